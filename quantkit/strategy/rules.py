"""Rules with memory: from a strategy with `on_bar` to what the fold calls.

    1. the class's parameters and declared state become records                 strategy.memory
    2. `prepare(bars)` gives signals, checked, one (T, N) array each             here
    3. `on_bar` becomes native code, once a class                               strategy.compiling
    4. prices, signals and addresses become a `core.context.Rule`                here

Contract: `on_bar` is called on every bar from the `warmup`-th of the panel on, so `warmup` bars back there is always a
bar; in one piece, in chunks and bar by bar it is called on the same bars with the same answers. Interpreted, the same
fold calls the Python method, with a `Context` over the same arrays.
"""

from __future__ import annotations

import ctypes
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from quantkit.data.dates import day_text, time_text
from quantkit.errors import BadData, ConfigError
from quantkit.strategy.blocks import history_of
from quantkit.strategy.compiling import compiled, names_in
from quantkit.strategy.fitting import evaluate_blocks, models_of
from quantkit.strategy.memory import beside_params, memory_of, params_dtype, params_record, records_in, user_bytes
from quantkit.strategy.targets import as_matrix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from quantkit.core.context import Frame, Past, Rule
    from quantkit.core.kinds import ContextType
    from quantkit.core.state import Inputs, Record, State
    from quantkit.data.bars import Bars
    from quantkit.strategy.base import Strategy
    from quantkit.strategy.fitting import Models

_STOP_ITERATION = -3  # Numba's code for "a StopIteration was raised"

Signals = dict[str, Any]  # name -> (T, N) float64, C-contiguous


def signals_of(
    strategy: Strategy,
    bars: Bars,
    *,
    first: int = 0,
    needed: int = 0,
    models: Models | None = None,
    allow_empty: bool = False,
) -> Signals:
    """What `prepare` computes for rows `first` on, checked and C-contiguous, evaluated in blocks as targets are.

    With models, rows without one are NaN, as are those before `needed`, which nobody reads. models: those of the run;
    None: the strategy's own. BadData names the signal that is not one number for each bar and name.
    """
    owner = f"{strategy!r}.prepare"
    names: list[str] | None = None

    def compute(part: Bars, *model: object) -> NDArray[np.float64]:
        nonlocal names
        given = _prepared(strategy, part, owner, *model)
        if names is not None and names != list(given):
            raise BadData(f"{owner}: gives {', '.join(given)} for {part!r}, and gave {', '.join(names)} before")
        names = list(given)
        empty = np.empty((*part.shape, 0))
        return np.stack(list(given.values()), axis=2) if given else empty

    history = history_of(strategy, intraday=bars.intraday)
    models = models_of(strategy, bars.times, bars.days) if models is None else models
    if history == "all" and models is None:
        return {name: values[first:] for name, values in _prepared(strategy, bars, owner).items()}
    found = evaluate_blocks(compute, bars, history, models=models, first=first, needed=needed, owner=owner)
    if models is not None and names is None and not allow_empty:
        models.refuse_none(bars)
    return {name: np.ascontiguousarray(found[:, :, k]) for k, name in enumerate(names or ()) if found is not None}


def _prepared(strategy: Strategy, bars: Bars, owner: str, *model: object) -> Signals:
    """`prepare(bars)`, or `prepare(bars, model)`, checked."""
    try:
        given = strategy.prepare(bars, *model)
    except Exception as error:
        error.add_note(f"while {owner} ran on {bars!r}")
        raise
    if not hasattr(given, "items"):
        raise BadData(f"{owner}: gives {type(given).__name__}; expected a dict of name -> (T, N) array")
    for name in given:
        if not isinstance(name, str) or not name:
            raise BadData(f"{owner}: the name {name!r} of a signal is no text")
    return {name: as_matrix(values, bars, owner=f"{owner}[{name!r}]") for name, values in given.items()}


def past_of(bars: Bars, *, volume: bool = True) -> Past:
    """The prices of a panel as a rule looks back on them; `volume` only where it does."""
    from quantkit.core.context import Past
    from quantkit.data.actions import changes

    none = np.empty((0, 0))
    raw = bars.raw
    return Past(
        open=raw.open,
        high=raw.high,
        low=raw.low,
        close=raw.close,
        volume=raw.volume if volume else none,
        factor=np.ascontiguousarray(bars.factor) if changes(bars.actions, bars.symbols) else none,
        share_factor=(
            np.ascontiguousarray(bars.share_factor)
            if changes(bars.actions, bars.symbols, field="share_ratio")
            else none
        ),
        times=np.ascontiguousarray(bars.times),
        days=np.ascontiguousarray(bars.days),
    )


class ReadyRule:
    """A strategy's `on_bar` over some rows; `rule` is what the fold is given, and lives as long as this."""

    def __init__(
        self, strategy: Strategy, symbols: tuple[str, ...], rule: Rule, signals: Signals, *, intraday: bool
    ) -> None:
        self.strategy, self.symbols, self.rule, self.signals = strategy, symbols, rule, signals
        self.intraday = intraday
        self.kept: object = None  # what the rule's addresses point to
        self.error: BaseException | None = None  # what an interpreted rule raised

    @contextmanager
    def reported(self) -> Iterator[None]:
        """Around a fold: what goes wrong in the rule comes out saying where."""
        from quantkit.core.context import RuleError

        try:
            yield
        except RuleError:
            raise self._refused() from None
        except StopIteration as stop:
            raised = self.error or stop
            if isinstance(raised, RuleError):
                raise self._refused() from None
            raised.add_note(self._where())
            raise raised from None
        except Exception as error:
            error.add_note(self._where())
            raise

    def _when(self) -> str:
        from quantkit.core.context import NOW_LEAD, NOW_ROW

        row = int(self.rule.now[NOW_ROW] + self.rule.now[NOW_LEAD])
        past = self.rule.past
        if not 0 <= row < len(past.days):
            return "no bar"
        return time_text(int(past.times[row])) if self.intraday else day_text(int(past.days[row]))

    def _where(self) -> str:
        return f"in {self.strategy!r}.on_bar on {self._when()}"

    def _refused(self) -> ConfigError:
        """Why `on_bar` cannot have what it asked for."""
        from quantkit.core.context import NOW_DETAIL, NOW_ERROR, NOW_NAME, NOW_REACH, SHORTED

        back, name, reach = (int(self.rule.now[place]) for place in (NOW_DETAIL, NOW_NAME, NOW_REACH))
        start = f"{self.strategy.name}.on_bar on {self._when()}"
        names = len(self.symbols)
        if self.rule.now[NOW_ERROR] == SHORTED:
            return ConfigError(f"{start}: a goal below 0 for {self.symbols[name]}: short positions are not simulated")
        if back < 0:
            many = "1 bar" if back == -1 else f"{-back} bars"
            return ConfigError(f"{start}: looked {many} ahead; k counts bars back, 0 is this bar")
        if back > reach:
            many = "1 bar" if back == 1 else f"{back} bars"
            return ConfigError(f"{start}: looked {many} back; warmup is {reach}: declare `warmup = {back}`")
        return ConfigError(f"{start}: asked for name {name}; the names are 0 to {names - 1} (range(ctx.n))")


def with_room(strategy: Strategy | None, state: State) -> State:
    """A first state with room for what a rule keeps and for its resting orders."""
    if strategy is None or not strategy.is_rule:
        return state
    names = len(state.names)
    orders = np.zeros(len(state.orders) + strategy.max_orders, state.orders.dtype)
    return state._replace(user=user_bytes(type(strategy), names), orders=orders)


@contextmanager
def rule_over(
    strategy: Strategy | None,
    bars: Bars,
    *,
    lead: int,
    state: State,
    inputs: Inputs,
    plan: Record,
    signals: Signals | None = None,
    interpret: bool = False,
    begins: int = 0,
) -> Iterator[Rule | None]:
    """Around one fold: the rule of a strategy, see `rule_of`, or None where it has none; errors say where."""
    if strategy is None or not strategy.is_rule:
        yield None
        return
    ready = rule_of(
        strategy, bars, lead=lead, state=state, inputs=inputs, plan=plan, signals=signals, interpret=interpret,
        begins=begins,
    )  # fmt: skip
    with ready.reported():
        yield ready.rule


def rule_of(
    strategy: Strategy,
    bars: Bars,
    *,
    lead: int,
    state: State,
    inputs: Inputs,
    plan: Record,
    signals: Signals | None = None,
    interpret: bool = False,
    begins: int = 0,
) -> ReadyRule:
    """The rule of a strategy over `bars`, whose rows from `lead` on are those of `inputs`.

    signals: `signals_of` the rows from `lead` on, where they are at hand. interpret: run `on_bar` in Python.
    begins: row of `bars` before which it is not called, as it has no model there.
    """
    from quantkit.core.context import NOW_FROM, NOW_LEAD, NOW_REACH, NOW_SIZE

    if signals is None:
        signals = {name: values[lead:] for name, values in signals_of(strategy, bars).items()}
    now = np.zeros(NOW_SIZE, np.int64)
    now[NOW_LEAD], now[NOW_REACH], now[NOW_FROM] = lead, strategy.warmup, max(strategy.warmup, begins)
    volume = is_python(interpret=interpret) or "volume" in names_in(type(strategy).on_bar)
    return ready_rule(
        strategy, bars.symbols, past_of(bars, volume=volume), signals, now, state=state, inputs=inputs, plan=plan,
        interpret=interpret, intraday=bars.intraday,
    )  # fmt: skip


def is_python(*, interpret: bool = False) -> bool:
    """Whether a rule runs as Python: asked for, or nothing is compiled."""
    import numba

    return interpret or bool(getattr(numba.config, "DISABLE_JIT", 0))


def ready_rule(
    strategy: Strategy,
    symbols: tuple[str, ...],
    past: Past,
    signals: Signals,
    now: NDArray[np.int64],
    *,
    state: State,
    inputs: Inputs,
    plan: Record,
    interpret: bool,
    intraday: bool,
) -> ReadyRule:
    """A rule over the rows of `inputs`, whose row 0 is row now[NOW_LEAD] of `past`; `signals` have their rows."""
    from quantkit.core.context import Frame, Rule

    addresses = np.array([values.ctypes.data for values in signals.values()], np.int64)
    ready = ReadyRule(strategy, symbols, Rule(0, 0, past, addresses, now), signals, intraday=intraday)
    if not is_python(interpret=interpret):
        _native(ready, state)
        return ready
    none: Any = None  # what a rule does not see, `ask` finds by address
    run = _interpreted(ready, Frame(state, inputs, plan, none, past, addresses, now))
    if is_python():
        ready.rule = ready.rule._replace(call=lambda _params, given: run(given))
    else:
        _callback(ready, run)
    return ready


def context_type(cls: Any, signals: tuple[str, ...]) -> ContextType:
    """What `ctx` is to the compiler in a class's `on_bar`."""
    from quantkit.core.kinds import ContextType, MemoryType

    own = MemoryType("self", params_dtype(cls, cls.parameters()), beside_params(cls))
    return ContextType(signals, own, *memory_of(cls))


def _native(ready: ReadyRule, state: State) -> None:
    """Let the fold call compiled code."""
    from quantkit.core.asking import address_of_ask
    from quantkit.core.context import NOW_ASK, NOW_PARAMS

    strategy, rule = ready.strategy, ready.rule
    cls = type(strategy)
    records_in(state.user, cls, len(state.names))
    params = params_dtype(cls, cls.parameters())
    record = params_record(strategy, params)
    native = compiled(cls, context_type(cls, tuple(ready.signals)))
    rule.now[NOW_PARAMS], rule.now[NOW_ASK] = record.ctypes.data, address_of_ask()
    ready.rule = rule._replace(call=native.address, params=record.ctypes.data)
    ready.kept = (native, record)


def _interpreted(ready: ReadyRule, frame: Frame) -> Callable[[Any], None]:
    """Python's `on_bar` as a function of the frame's address."""
    from quantkit.core.asking import ask
    from quantkit.core.interface import Context
    from quantkit.core.views import Record

    strategy = ready.strategy
    own, each = records_in(frame.state.user, type(strategy), len(frame.state.names))
    memory = None if own is None else Record(own)

    def run(address: Any) -> None:
        ctx = Context(
            frame, address, ask, params=strategy, signals=ready.signals, state=memory, symbol_state=each
        )  # fmt: skip
        with np.errstate(all="ignore"):  # as compiled code divides
            strategy.on_bar(ctx)

    return run


def _callback(ready: ReadyRule, run: Callable[[Any], None]) -> None:
    """Let the compiled fold call Python: native code with the arguments of a compiled rule."""

    def call(_answer: int, _error: int, _params: int, address: int) -> int:
        try:
            run(address)
        except BaseException as error:  # noqa: BLE001 - whatever it is leaves through compiled code and is raised again
            ready.error = error
            return _STOP_ITERATION
        return 0

    native = ctypes.CFUNCTYPE(ctypes.c_int32, *(ctypes.c_void_p,) * 4)(call)
    ready.rule = ready.rule._replace(call=ctypes.cast(native, ctypes.c_void_p).value)
    ready.kept = native
