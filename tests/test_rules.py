"""Rules with memory: what they see, do and keep, compiled and in Python."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

from quantkit import Bars, ConfigError, Context, Strategy, backtest, param, ta
from quantkit.backtest.result import Result
from quantkit.data.bars import midnights

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
            elif self.cautious and ctx.close[0, s] > ctx.close[5, s] * 1.1:
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


@BOTH
def test_looking_further_back_than_warmup_is_an_error(bars: Bars, interpret: bool) -> None:
    class Far(Strategy):
        warmup = 2

        def on_bar(self, ctx: Context) -> None:
            if ctx.close[3, 0] > 0:
                ctx.target(0, 1.0)

    wanted = r"Far.on_bar on 2016-07-20: looked 3 bars back; warmup is 2: declare `warmup = 3`"
    with pytest.raises(ConfigError, match=wanted):
        backtest(Far(), bars, interpret=interpret)


@BOTH
def test_what_on_bar_raises_says_where(bars: Bars, interpret: bool) -> None:
    class Raises(Strategy):
        def on_bar(self, ctx: Context) -> None:
            if ctx.i == 5:
                raise ValueError("five")

    with pytest.raises(ValueError, match="five") as caught:
        backtest(Raises(), bars, interpret=interpret)
    assert caught.value.__notes__ == ["in Raises().on_bar on 2016-07-23"]
