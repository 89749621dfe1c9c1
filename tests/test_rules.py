"""Rules with memory: what they see, do and keep, compiled and in Python, in one piece and bar by bar."""

from __future__ import annotations

import hashlib
import itertools
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from quantkit import BadData, Bars, ConfigError, Context, Costs, Strategy, backtest, param, ta
from quantkit.backtest.result import Result
from quantkit.core.fold import plan_of, simulate
from quantkit.core.prepare import events_of, first_state, inputs_of, valid_after_warmup
from quantkit.core.state import event_rows, from_bytes, to_bytes
from quantkit.data.actions import Action
from quantkit.data.bars import midnights
from quantkit.data.dates import day_text
from quantkit.strategy.memory import records_in
from quantkit.strategy.rules import rule_over, signals_of, with_room

UNCOMPILED = os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")
BOTH = pytest.mark.parametrize("interpret", [False, True], ids=["compiled", "interpreted"])


def walk(bars: int = 300, names: int = 3, seed: int = 0, **more: Any) -> Bars:
    """A random market without gaps, in whole ticks."""
    rng = np.random.default_rng(seed)
    close = np.round(20_000 * np.cumprod(1 + rng.normal(0, 0.02, (bars, names)), axis=0), -1)
    fields = {"open": np.round(close * (1 + rng.normal(0, 0.003, close.shape)), -1), "close": close}
    fields["high"] = np.round(np.maximum(fields["open"], close) * 1.01, -1)
    fields["low"] = np.round(np.minimum(fields["open"], close) * 0.99, -1)
    fields["volume"] = rng.integers(1_000, 9_000, close.shape).astype(float)
    symbols = tuple("ABCDEFGH"[:names])
    return Bars(times=midnights(np.arange(17_000, 17_000 + bars)), symbols=symbols, fields=fields, **more)


def same(one: Result, other: Result) -> bool:
    """Whether two runs left the same state, fills and orders, to the bit."""
    tables = (one.fills.equals(other.fills), one.orders.equals(other.orders), one.equity.equals(other.equity))
    states = zip(one.run.state, other.run.state, strict=True)
    return all(tables) and all(a.tobytes() == b.tobytes() for a, b in states)


def double(x: float) -> float:
    return x * SCALE


def busy(ctx: Context, s: int) -> bool:
    return bool(ctx.volume[0, s] > 8_000.0)


SCALE = 2.0


class Grid(Strategy):
    """Buys below an average, with memory of all kinds."""

    width: float = param(0.02)
    rungs: int = param(3)
    cautious: bool = param(True)
    how: str = param("plain")
    part = 0.5
    warmup = 5
    max_orders = 100
    state = {"count": int, "last": float, "closes": (float, 4), "seen": bool}
    symbol_state = {"base": float, "entries": int}

    def prepare(self, bars: Bars) -> dict[str, Any]:
        return {"mean": ta.sma(bars.close, 5), "up": bars.close[:, 0] > 20_000}

    def on_bar(self, ctx: Context) -> None:
        ctx.state.count += 1
        ctx.state.seen = True
        ctx.state.closes[ctx.i % 4] = ctx.close[0, 0]
        for s in range(ctx.n):
            memory = ctx.symbol_state[s]
            if ctx.position[s] == 0 and len(ctx.orders(s)) == 0:
                memory.base = ctx.signals["mean"][s] + 0.0 * ctx.signals["up"][s]
                memory.entries += 1
                for rung in range(self.rungs):
                    price = memory.base * (1 - self.width * (rung + 1))
                    ctx.buy(s, double(0.01 * ctx.cash) / price, limit=price, tif="gtc", tag=rung,
                            take_profit=memory.base * 1.01, stop_loss=memory.base * 0.8)  # fmt: skip
            elif self.cautious and (busy(ctx, s) or ctx.close[0, s] > ctx.close[5, s] * 1.1):
                ctx.cancel_all(s)
                ctx.close_position(s)
                ctx.state.last = ctx.entry[s] * ctx.params.part


@pytest.fixture(scope="module")
def bars() -> Bars:
    return walk()


def test_interpreted_a_rule_does_the_same_to_the_bit(bars: Bars) -> None:
    compiled, interpreted = backtest(Grid(), bars), backtest(Grid(), bars, interpret=True)
    assert len(compiled.fills) > 20
    assert set(compiled.orders["reason"]) >= {"", "OCO", "CANCELLED"}
    assert same(compiled, interpreted)


def piecewise(strategy: Strategy, bars: Bars, cuts: list[int]) -> Any:
    """The state after a run in pieces, each shown `warmup` bars of the past only, saved and loaded in between."""
    state = with_room(strategy, first_state(bars, cash=100_000_000))
    plan = plan_of(strategy.policy, Costs.kis(), float_targets=True)
    events = events_of(bars)
    flags = valid_after_warmup(bars.flags, strategy.warmup)
    inputs = inputs_of(bars, np.empty((len(bars), 0)), policy=strategy.policy, flags=flags)
    signals = signals_of(strategy, bars)
    for start, stop in itertools.pairwise([0, *cuts, len(bars)]):
        lead = min(start, strategy.warmup)
        seen = bars.slice(start - lead, stop)
        part = inputs.rows(start, stop)
        own = {name: values[start:stop] for name, values in signals.items()}
        with rule_over(strategy, seen, lead=lead, state=state, inputs=part, plan=plan, signals=own) as rule:
            simulate(state, part, event_rows(events, start, stop), plan, rule)
        state, _ = from_bytes(to_bytes(state, bars.symbols))
    return state


@pytest.mark.parametrize("cuts", [[1], [100, 101, 250], list(range(1, 300))], ids=["one", "some", "every bar"])
def test_in_pieces_a_rule_does_the_same_to_the_bit(bars: Bars, cuts: list[int]) -> None:
    whole, pieces = backtest(Grid(), bars).run.state, piecewise(Grid(), bars, cuts)
    for name, one, other in zip(whole._fields, whole, pieces, strict=True):
        assert one.tobytes() == other.tobytes(), name


@pytest.mark.skipif(UNCOMPILED, reason="compares a compiled run with an uncompiled one")
def test_uncompiled_a_rule_does_the_same_to_the_bit(bars: Bars) -> None:
    lines = (
        "import sys, hashlib, pickle, quantkit as qk",
        "from tests.test_rules import Grid, walk",
        "state = qk.backtest(Grid(), walk()).run.state",
        "print(hashlib.sha256(b''.join(part.tobytes() for part in state)).hexdigest())",
    )
    other = os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False, env=other
    )
    assert done.returncode == 0, done.stderr
    ours = backtest(Grid(), bars).run.state
    assert done.stdout.strip() == hashlib.sha256(b"".join(part.tobytes() for part in ours)).hexdigest()


# --- what a rule sees -------------------------------------------------------------------------------------------------


class Notes(Strategy):
    """Writes down what it sees of the second name on its last bar."""

    last: int = param(7)
    warmup = 3
    state = {"seen": (float, 22), "calls": int}

    def prepare(self, bars: Bars) -> dict[str, Any]:
        return {"flag": bars.close > 0, "all": np.arange(len(bars)), "frame": bars.frame("close")}

    def on_bar(self, ctx: Context) -> None:
        ctx.state.calls += 1
        if ctx.i == 0:
            ctx.target_shares(1, 10)
        if ctx.i == self.last:
            seen = ctx.state.seen
            for k in range(4):
                seen[k] = ctx.close[k, 1]
                seen[4 + k] = ctx.volume[k, 1]
            seen[8], seen[9], seen[10] = ctx.signals["flag"][1], ctx.signals["all"][0], ctx.signals["frame"][1]
            seen[11], seen[12], seen[13] = ctx.day, ctx.minute, ctx.n
            seen[14], seen[15], seen[16] = ctx.cash, ctx.equity, ctx.position[1]
            seen[17] = ctx.entry[1]
            seen[18] = ctx.valid[1] + 2 * ctx.traded[1] + 4 * ctx.member[1] + 8 * ctx.new_session
            seen[19] = ctx.time
            seen[20], seen[21] = ctx.factor[1], ctx.session_bar


def kept(result: Result, strategy: Strategy) -> Any:
    """The `state` record after a run."""
    return records_in(result.run.state.user, type(strategy), len(result.bars.symbols))[0]


@BOTH
def test_what_a_rule_sees(interpret: bool) -> None:
    day = 17_008
    bars = walk(20, 2, actions=[Action("B", day, "split", share_ratio=10.0)])
    bars.raw.close[8:, 1] = bars.raw.close[:12, 1]
    result = backtest(Notes(), bars, start=day_text(17_003), interpret=interpret)
    state = kept(result, Notes())
    seen, row = state["seen"], 10
    assert state["calls"] == 20 - 3  # bars before `start` are history
    raw, volume = bars.raw.close[:, 1], bars.raw.volume[:, 1]
    assert list(seen[:4]) == [raw[row], raw[row - 1], raw[row - 2], raw[row - 3] / 10]
    assert list(seen[4:8]) == [volume[row], volume[row - 1], volume[row - 2], volume[row - 3] * 10]
    assert list(seen[8:14]) == [1.0, row, bars.close[row, 1], bars.days[row], 0, 2]
    assert seen[14] == result.run.cash[row - 3]
    assert seen[15] == result.run.equity[row - 3]
    assert seen[16] == result.run.state.names["shares"][1]
    fill = result.fills.iloc[0]
    assert seen[17] == fill["price"] / 10
    assert seen[16] == fill["quantity"] * 10
    assert seen[18] == 15
    assert seen[19] == bars.times[row]
    assert list(seen[20:22]) == [10.0, 0.0]


@BOTH
def test_minutes_are_of_seoul(interpret: bool) -> None:
    class Clock(Strategy):
        state = {"minute": int, "sessions": int}

        def on_bar(self, ctx: Context) -> None:
            ctx.state.minute = ctx.minute
            ctx.state.sessions += ctx.new_session

    start = np.array([np.datetime64("2024-01-02T00:01"), np.datetime64("2024-01-03T00:01")], "datetime64[us]")
    times = (start[:, None] + np.arange(5).astype("timedelta64[m]")).ravel().astype(np.int64)
    ones = {name: np.full((10, 1), 1000.0) for name in ("open", "high", "low", "close", "volume")}
    bars = Bars(times=times, symbols=("A",), fields=ones, freq="1m")
    state = kept(backtest(Clock(), bars, interpret=interpret), Clock())
    assert state.item() == (9 * 60 + 5, 2)


# --- what goes wrong --------------------------------------------------------------------------------------------------


class Looks(Strategy):
    """Asks for cells that may not exist."""

    back: int = param(0)
    column: int = param(0)
    what: int = param(0)
    warmup = 2

    def on_bar(self, ctx: Context) -> None:
        if self.what == 0:
            ctx.target(0, ctx.close[self.back, self.column])
        elif self.what == 1 and ctx.valid[self.column]:
            ctx.target(0, 1.0)
        elif self.what == 2:
            ctx.buy(self.column, 1)
        elif self.what == 3:
            ctx.target(self.column, -0.5)
        else:
            ctx.target(0, len(ctx.orders(self.column)))


@BOTH
@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"back": 3}, "looked 3 bars back; warmup is 2: declare `warmup = 3`"),
        ({"back": -1}, "looked 1 bar ahead; k counts bars back, 0 is this bar"),
        ({"column": 3}, r"asked for name 3; the names are 0 to 2 \(range\(ctx.n\)\)"),
        ({"column": -1}, "asked for name -1"),
        ({"column": 3, "what": 1}, "asked for name 3"),
        ({"column": 3, "what": 2}, "asked for name 3"),
        ({"column": 3, "what": 4}, "asked for name 3"),
        ({"column": 1, "what": 3}, "a goal below 0 for B: short positions are not simulated"),
    ],
)
def test_looking_at_what_is_not_there_ends_the_run(
    bars: Bars, asked: dict[str, int], message: str, interpret: bool
) -> None:
    with pytest.raises(ConfigError, match=f"Looks.on_bar on {day_text(int(bars.days[2]))}: {message}"):
        backtest(Looks(**asked), bars, interpret=interpret)


@BOTH
def test_what_on_bar_raises_says_where(bars: Bars, interpret: bool) -> None:
    class Raises(Strategy):
        def on_bar(self, ctx: Context) -> None:
            if ctx.i == 5:
                raise ValueError("five", ctx.n)

    with pytest.raises(ValueError, match="five") as caught:
        backtest(Raises(), bars, interpret=interpret)
    assert caught.value.args == ("five", 3)
    assert caught.value.__notes__ == [f"in Raises().on_bar on {day_text(int(bars.days[5]))}"]


def test_interpreted_on_bar_is_plain_python(bars: Bars) -> None:
    seen: list[str] = []

    class Plain(Strategy):
        def on_bar(self, ctx: Context) -> None:
            seen.append(f"{ctx.i}: {ctx.close[0, 0]:.0f}")

    backtest(Plain(), bars, interpret=True)
    assert seen[:2] == [f"{row}: {bars.close[row, 0]:.0f}" for row in range(2)]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"on_bar": 3}, "Own.on_bar is a int; write it as def on_bar"),
        ({"on_bar": lambda _self: None}, r"Own.on_bar\(_self\): write it as def on_bar\(self, ctx\)"),
        ({"on_bar": lambda _self, _ctx: (yield)}, "cannot yield or await"),
        ({"targets": lambda _self, _bars: None}, "defines both targets and on_bar; keep one"),
        ({"state": [float]}, "expected a dict of names and types"),
        ({"state": {"a": str}}, r"Own.state\['a'\] = <class 'str'>: expected a name and int, float or bool"),
        ({"symbol_state": {"a b": int}}, r"Own.symbol_state\['a b'\]"),
        ({"state": {"a": (bool, 4)}}, r"Own.state\['a'\] = \(<class 'bool'>, 4\): write \(int, \.\.\.\)"),
        ({"state": {"a": (float, 0)}}, r"Own.state\['a'\]"),
        ({"max_orders": 0}, "Own.max_orders = 0: expected a whole number"),
    ],
)
def test_a_class_that_cannot_be_a_rule(body: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        type("Own", (Strategy,), {"on_bar": lambda _self, _ctx: None} | body)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([1.0], "gives list; expected a dict of name"),
        ({3: np.ones(300)}, "the name 3 of a signal is no text"),
        ({"a": np.ones(5)}, r"prepare\['a'\]: shape \(5,\); expected \(T, N\) = \(300, 3\), or \(300,\) for all names"),
        ({"a": np.array(["x"] * 300)}, r"prepare\['a'\]: dtype <U1; expected numbers, or bool"),
    ],
)
def test_what_prepare_gives_is_checked(bars: Bars, given: Any, message: str) -> None:
    class Own(Strategy):
        def prepare(self, bars: Bars) -> Any:
            return given

        def on_bar(self, ctx: Context) -> None:
            ctx.target(0, 1.0)

    with pytest.raises(BadData, match=message):
        backtest(Own(), bars)
