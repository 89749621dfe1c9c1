"""One backtest, from a strategy and bars to a result.

    1. take the bars up to `end`; those before `start` only warm up               data.bars
    2. let the strategy compute its targets over them, once                       strategy
    3. turn policy, costs and limits into numbers, actions and deposits to events backtest.pieces, core.prepare
    4. fold the bars from `start` on; `on_bar`, where there is one, acts in it    core.fold, strategy.rules
    5. hand the arrays to the result, which computes figures when asked           backtest.result
    6. tell the run log, where the bars came from a lake                          hooks, research.runs

A stream goes the same way a chunk at a time (`stream`).

Contract: pure apart from what the strategy itself does; the same inputs give the same bits.

>>> backtest(targets=[[1.0], [1.0]], bars=None)
Traceback (most recent call last):
quantkit.errors.ConfigError: backtest(bars=None): give Bars, from Bars.from_pandas(frame) or Lake(path).bars(...)
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from quantkit import hooks
from quantkit.backtest.benchmark import benchmark_levels
from quantkit.backtest.manifest import Record
from quantkit.backtest.output import FLOW_FIELDS, RunOutput
from quantkit.backtest.pieces import Decided, Terms, decide_rows, fold_rows
from quantkit.backtest.universe import in_universe
from quantkit.compiling import with_deep_stack
from quantkit.core.codes import STAGE_OVER
from quantkit.core.policy import FILLS, Policy, RiskLimits
from quantkit.core.prepare import events_of, first_state, valid_after_warmup
from quantkit.core.state import N_ORDERS, Bytes, Floats, Ints, Records, State
from quantkit.data.bars import Bars
from quantkit.data.dates import day_text, epoch_day
from quantkit.errors import BadData, ConfigError
from quantkit.market.costs import Costs
from quantkit.strategy import Strategy
from quantkit.strategy.fitting import models_of
from quantkit.strategy.rules import with_room

if TYPE_CHECKING:
    from quantkit.backtest.result import Result
    from quantkit.core.fold import Output
    from quantkit.data.stream import BarStream


@with_deep_stack
def backtest(
    strategy: Strategy | None = None,
    bars: Bars | BarStream | None = None,
    *,
    targets: object = None,
    policy: Policy | None = None,
    cash: float = 100_000_000,
    start: object = None,
    end: object = None,
    costs: Costs | None = None,
    fill: str = "next_open",
    limits: RiskLimits | None = None,
    benchmark: object = None,
    deposits: object = None,
    rank: object = None,
    short: Literal["simulate"] | None = None,
    interpret: bool = False,
) -> Result:
    """Run a strategy, or given targets, over bars under the exchange's rules.

    strategy   an instance of a `Strategy` class; or none and `targets`: (T, N) bool or float array or frame.
    bars       `Bars`; or a `lake.stream(...)`, run chunk by chunk with the same result.
    policy     overrides the strategy's own.
    cash       money at the start, in won (US names: dollars).
    start, end sessions to trade, both included; bars before `start` are only history for the strategy.
    costs      None: the market's own taxes by date and KIS's online commission; inside the day a tick of slippage too.
    fill       "next_open", "next_close", or "close" (the close decided on: flagged, cannot be promoted).
    limits     money limits, applied to buys inside the run.
    benchmark  "hold" (the same names bought and held in equal parts), a symbol of the bars, or a Series of levels.
    deposits   an amount paid in on the first session of every month after the first, or a mapping of date -> amount.
    rank       (T, N) numbers that choose among names when `max_names` is short; default: the strategy's own `rank`.
    short      "simulate": negative targets are short positions (also `Policy(short=)`); flagged in every report.
    interpret  run `on_bar` in Python, so that breakpoints in it hold; slow, the result is the same.

    Raises ConfigError for an argument out of range and BadData for data that does not fit, each naming the value.
    """

    def again(other: Policy | None = None, /, **changes: Any) -> Result:
        given: dict[str, Any] = {
            "strategy": strategy, "bars": bars, "targets": targets, "policy": policy, "cash": cash, "start": start,
            "end": end, "costs": costs, "fill": fill, "limits": limits, "benchmark": benchmark, "deposits": deposits,
            "rank": rank, "short": short, "interpret": interpret,
        }  # fmt: skip
        if other is not None:
            given |= {"policy": other, "short": None}
        if callable(changes.get("bars")):
            changes["bars"] = changes["bars"](bars)
        return backtest(**(given | changes))

    bars = checked(strategy, bars, targets=targets, cash=cash, fill=fill)
    terms = terms_of(
        strategy, policy, costs, limits, intraday=bars.intraday, fill=fill, short=short, interpret=interpret
    )
    span = Span(cash=float(cash), start=start, end=end, benchmark=benchmark, deposits=deposits, again=again)
    if not isinstance(bars, Bars):
        from quantkit.backtest.stream import run_stream

        if targets is not None or rank is not None:
            raise ConfigError("backtest: targets and rank are arrays of all rows; a stream is run with a strategy")
        return run_stream(terms, bars, span)
    run = prepared(terms, span, bars, targets=targets, rank=rank)
    state = run.first_state()
    return run.result(run.fold(state), state)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A run in memory, ready to be folded: by the simulator, or bar by bar by a replay.

    bars: those that are folded; seen: with the ones before, which only warm up; first: row of `seen` they begin at.
    paid: (row, amount) of deposits; after: epoch day of the bar that follows the last; history: of the first.
    """

    terms: Terms
    span: Span
    seen: Bars
    bars: Bars
    first: int
    found: Decided
    paid: list[tuple[int, float]]
    after: int | None
    history: int

    @property
    def events(self) -> Records:
        """Actions, transfers, deposits, names that are gone."""
        return events_of(self.bars, self.paid)

    @property
    def flags(self) -> Bytes:
        """Of the bars, names still warming up not valid."""
        return valid_after_warmup(self.seen.flags, self.terms.warmup)[self.first :]

    def first_state(self) -> State:
        """The account before the first bar."""
        money = round(self.span.cash * self.bars.minor_unit)
        return with_room(self.terms.strategy, first_state(self.bars, cash=money, policy=self.terms.policy))

    def fold(self, state: State) -> Output:
        """All bars, filled by the simulator."""
        return fold_rows(
            self.terms, state, self.seen, self.found.rows(self.first), first=self.first, flags=self.flags,
            events=self.events, after=self.after,
        )  # fmt: skip

    def result(self, output: Output, state: State, *, told: bool = True) -> Result:
        """What came of it. told: False keeps it out of the run log."""
        given = None if self.terms.strategy is not None else self.found.targets
        return result_of(
            self.terms, self.span, self.bars, output, state, self.paid,
            benchmark_levels(self.span.benchmark, self.bars), history=self.history, targets=given, told=told,
        )  # fmt: skip


def prepared(
    terms: Terms, span: Span, bars: Bars, *, targets: object = None, rank: object = None, needed: int | None = None
) -> Prepared:
    """Cut the bars, decide them, place the deposits. needed: first row of `bars` whose decisions are read."""
    seen = bars.window(None, span.end) if span.end is not None else bars
    if terms.strategy is not None:
        seen = in_universe(seen, terms.strategy)
    first = first_row(seen, span.start)
    terms = replace(terms, models=models_of(terms.strategy, seen.times, seen.days))
    found = decide_rows(terms, seen, targets=targets, rank=rank, needed=first if needed is None else needed)
    own = seen.slice(first, len(seen)) if first else seen
    return Prepared(
        terms=terms, span=span, seen=seen, bars=own, first=first, found=found,
        paid=deposit_rows(own.days, span.deposits), history=int(bars.days[0]),
        after=int(bars.days[len(seen)]) if len(seen) < len(bars) else None,
    )  # fmt: skip


def terms_of(
    strategy: Strategy | None, policy: Policy | None, costs: Costs | None, limits: RiskLimits | None, *,
    intraday: bool, fill: str, short: Literal["simulate"] | None, interpret: bool,
) -> Terms:  # fmt: skip
    """What a run is made under, with what stands for arguments that were not given."""
    rules = policy or (strategy.policy if strategy is not None else Policy())
    return Terms(
        strategy=strategy,
        policy=rules if short is None else replace(rules, short=short),
        costs=default_costs(intraday) if costs is None else costs,
        limits=limits,
        fill=fill,
        interpret=interpret,
    )


def default_costs(intraday: bool) -> Costs:
    """KIS's commission and the market's taxes; inside the day at least a tick of slippage, since the next bar's open
    is printed before an order decided on this one can be there."""
    return replace(Costs.kis(), slippage_ticks=1.0) if intraday else Costs.kis()


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Money and time of a run, as given."""

    cash: float
    start: object
    end: object
    benchmark: object
    deposits: object
    again: Callable[..., Result]


def result_of(
    terms: Terms,
    span: Span,
    bars: Bars,
    output: Output,
    state: State,
    paid: list[tuple[int, float]],
    levels: tuple[str | None, Floats | None],
    *,
    history: int,
    targets: Floats | None = None,
    data_digest: Callable[[], str] | None = None,
    told: bool = True,
) -> Result:
    """The result of a fold over `bars` (one row each), with the settings that repeat it.

    history: epoch day of the first bar the strategy saw. data_digest: in place of one over the bars' matrices. told:
    False keeps it out of the run log.
    """
    from quantkit.backtest.result import Result

    models = None if terms.models is None else terms.models.fitted
    run = run_output(output, state, paid, round(span.cash * bars.minor_unit), bars.minor_unit, len(bars))
    settings = {
        "cash": span.cash,
        "history": day_text(history),
        "start": None if span.start is None else day_text(epoch_day(span.start, what="start")),
        "end": None if span.end is None else str(span.end),
        "fill": terms.fill,
        "benchmark": levels[0],
        "deposits": [[day_text(int(bars.days[row])), amount] for row, amount in paid],
        "policy": terms.policy.to_dict(),
        "costs": terms.costs.to_dict(),
        "limits": terms.limits and terms.limits.to_dict(),
    }
    record = Record(terms.strategy, bars, targets, settings, run, data_digest=data_digest, models=models)
    result = Result(
        bars=bars,
        run=run,
        manifest=record,
        benchmark=levels[1],
        benchmark_name=levels[0],
        strategy=terms.strategy,
        policy=terms.policy,
        fill=terms.fill,
        again=span.again,
        cost_model=terms.costs,
    )
    if told:
        result.entry = hooks.call("run_made", result, record)
    return result


def checked(strategy: object, bars: object, *, targets: object, cash: object, fill: str) -> Bars | BarStream:
    """The bars, when every argument is of the kind and in the range it must be; else ConfigError naming it."""
    if not isinstance(bars, Bars) and not (hasattr(bars, "chunks") and hasattr(bars, "cuts")):
        raise ConfigError(
            f"backtest(bars={bars!r}): give Bars, from Bars.from_pandas(frame) or Lake(path).bars(...), or a stream"
        )
    if (strategy is None) == (targets is None):
        raise ConfigError("backtest: give a strategy or targets, one of them")
    if strategy is not None and not isinstance(strategy, Strategy):
        hint = f"{strategy.__name__}(...)" if isinstance(strategy, type) else "an instance of a Strategy class"
        raise ConfigError(f"backtest(strategy={strategy!r}): expected {hint}")
    if fill not in FILLS:
        raise ConfigError(f"backtest(fill={fill!r}): choose one of {', '.join(FILLS)}")
    money_of(cash, owner="backtest")
    return cast("Bars | BarStream", bars)


def money_of(cash: object, *, owner: str) -> float:
    """The money a run starts with; ConfigError when it is no amount above 0."""
    if isinstance(cash, bool) or not isinstance(cash, int | float | np.number) or not 0 < float(cash) < 9e15:
        raise ConfigError(f"{owner}(cash={cash!r}): expected an amount of money above 0")
    return float(cash)


def first_row(bars: Bars | BarStream, start: object) -> int:
    """Row of the first bar to trade; a moment with a time of day counts inside the day. BadData when no bar is left."""
    if len(bars) == 0:
        raise BadData("no bars to run on: the panel is empty in the range asked for")
    if start is None:
        return 0
    if isinstance(start, dt.datetime) and start.tzinfo is not None and isinstance(bars, Bars) and bars.intraday:
        row = int(np.searchsorted(bars.times, round(start.timestamp() * 1_000_000)))
        if row < len(bars):
            return row
    row = int(np.searchsorted(bars.days, epoch_day(start, what="start")))
    if row == len(bars):
        raise ConfigError(f"start {start} is after the last bar, {day_text(int(bars.days[-1]))}")
    return row


def deposit_rows(days: Ints, deposits: object) -> list[tuple[int, float]]:
    """(row, amount) of each deposit: a date between bars counts on the next one."""
    if deposits is None:
        return []
    if isinstance(deposits, int | float | np.number) and not isinstance(deposits, bool):
        months = days.astype("datetime64[D]").astype("datetime64[M]")
        return [(int(row), float(deposits)) for row in np.flatnonzero(months[1:] != months[:-1]) + 1]
    items = getattr(deposits, "items", None)
    if not isinstance(deposits, Mapping) and items is None:
        raise ConfigError(
            f"deposits={deposits!r}: expected an amount a month, or a mapping or Series of date -> amount"
        )
    rows = []
    for date, amount in deposits.items() if isinstance(deposits, Mapping) else items():  # type: ignore[misc]
        row = int(np.searchsorted(days, epoch_day(date, what="deposits")))
        if not np.isfinite(amount) or amount < 0:
            raise ConfigError(f"deposits[{date}] = {amount}: expected an amount of money, 0 or more")
        if row < len(days):
            rows.append((row, float(amount)))
    return sorted(rows)


def run_output(
    output: Output, state: State, paid: list[tuple[int, float]], initial: int, unit: int, length: int
) -> RunOutput:
    """The fold's tables as the result's columns, with orders still working at the end as rows of their own."""
    deposits: Ints = np.zeros(length, np.int64)
    for row, amount in paid:
        deposits[row] += round(amount * unit)
    table = state.orders[: int(state.account[N_ORDERS])]
    working = table[table["stage"] != STAGE_OVER]  # what ended on the last bar has its row already
    orders = {name: output.orders[name] for name in output.orders.dtype.names}
    if len(working):
        tail = {
            "order_id": working["id"],
            "bar": working["bar"],
            "symbol": working["symbol"],
            "side": working["side"],
            "quantity": working["want"],
            "filled": working["filled"],
            "kind": working["kind"],
            "status": np.zeros(len(working), np.int64),
            "reason": working["reason"],
            "done_bar": np.full(len(working), -1),
            "tag": working["tag"],
        }
        orders = {name: np.concatenate([orders[name], tail[name]]) for name in orders}
    of_names = output.actions["symbol"] >= 0
    return RunOutput(
        equity=output.equity,
        cash=output.cash,
        deposits=deposits,
        fills={name: output.fills[name] for name in output.fills.dtype.names},
        orders=orders,
        actions={name: output.actions[name][of_names] for name in output.actions.dtype.names},
        flows={name: output.actions[name][~of_names] for name in FLOW_FIELDS},
        initial_cash=initial,
        last_close=state.names["last_close"].copy(),
        state=state,
    )
