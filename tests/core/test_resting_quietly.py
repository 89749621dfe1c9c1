"""Bars that bring none of a strategy's orders to act are passed over; nothing may tell that they were.

A call that asks for nothing (cancelling an order that never was) makes the fold look at every order again. So the same
rule with and without such a call on every bar is the same run with and without the short cut.
"""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import quantkit as qk
from quantkit.backtest.pieces import Terms, decide_rows, fold_rows
from quantkit.core import codes
from quantkit.core.prepare import events_of, first_state
from quantkit.core.state import State
from quantkit.strategy.rules import with_room
from tests.core.hand import hand_bars

LEVELS = 4


class Grid(qk.Strategy):
    """Rests bids with their takes, a stop and a stop-limit around the first price, and a goal now and then."""

    noisy: bool = qk.param(False)
    tif: int = qk.param(0, low=0, high=2)
    policy = qk.Policy(collar=None, limit_fill="touch", weighting="weight")

    def on_bar(self, ctx: qk.Context) -> None:
        if self.noisy:
            ctx.cancel(-1)
        busy = 0
        for order in ctx.orders(0):
            busy |= 1 << order.tag
        for j in range(LEVELS):
            if busy & (1 << j) == 0 and ctx.i % 3 == 0:
                level = 10_000.0 * (1.0 - 0.01 * (j + 1))
                if self.tif == 0:
                    ctx.buy(0, 5, limit=level, take_profit=level * 1.02, stop_loss=level * 0.97, tif="gtc", tag=j)
                elif self.tif == 1:
                    ctx.buy(0, 5, limit=level, take_profit=level * 1.02, tif="day", tag=j)
                else:
                    ctx.buy(0, 5, stop=10_000.0 * (1.0 + 0.01 * (j + 1)), tif="gtc", tag=j)
        if ctx.n > 1 and ctx.i % 17 == 16:
            ctx.target_shares(1, float(ctx.i % 5))


def minutes(seed: int, *, halts: bool, steps: int) -> qk.Bars:
    """Three sessions of two names, prices a few ticks around 10,000 won."""
    random = np.random.default_rng(seed)
    n = 3 * 60
    close = 10_000 + 10.0 * np.cumsum(random.integers(-steps, steps + 1, (n, 2)), axis=0)
    opens = np.vstack([close[:1], close[:-1]])
    high = np.maximum(opens, close) + 10.0 * random.integers(0, 3, (n, 2))
    low = np.minimum(opens, close) - 10.0 * random.integers(0, 3, (n, 2))
    volume = np.full((n, 2), 1e6)
    if halts:
        still = random.random((n, 2)) < 0.05
        for values in (opens, high, low):
            values[still] = close[still]
        volume[still] = 0.0
    days = np.array(["2024-03-04", "2024-03-05", "2024-03-06"], "datetime64[us]").astype(np.int64)
    times = (days[:, None] + 60_000_000 * (1 + np.arange(60))).ravel()
    fields = {"open": opens, "high": high, "low": low, "close": close, "volume": volume}
    return qk.Bars(times=times, symbols=("000001", "000002"), fields=fields, markets="KOSPI", freq="1m")


def tables(result: qk.Result) -> list[np.ndarray]:
    run = result.run
    return [run.equity, run.cash, *run.fills.values(), *run.orders.values()]


@given(
    st.integers(0, 10_000), st.booleans(), st.integers(1, 12), st.integers(0, 2), st.sampled_from(["proceeds", "cash"])
)
@settings(max_examples=40)
def test_passing_over_quiet_bars_changes_nothing(seed: int, halts: bool, steps: int, tif: int, funding: str) -> None:
    bars = minutes(seed, halts=halts, steps=steps)
    policy = qk.Policy(collar=None, limit_fill="touch", weighting="weight", funding=funding)
    quick, slow = (
        qk.backtest(Grid(noisy=noisy, tif=tif), bars, policy=policy, cash=10_000_000) for noisy in (False, True)
    )
    for ours, theirs in zip(tables(quick), tables(slow), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def state_amid_a_session(strategy: qk.Strategy) -> State:
    """The state after 45 minutes of a session that goes on."""
    bars = minutes(1, halts=False, steps=1).slice(0, 45)
    policy = qk.Policy(collar=None)
    terms = Terms(strategy=strategy, policy=policy, costs=qk.Costs.free(), limits=None, fill="next_open")
    state = with_room(strategy, first_state(bars, cash=10_000_000, policy=policy))
    today = int(bars.days[-1])
    rows = decide_rows(terms, bars)
    fold_rows(terms, state, bars, rows, first=0, flags=bars.flags, events=events_of(bars, []), after=today)
    return state


def test_quiet_bars_are_passed_over() -> None:
    """The law above means something only where the short cut is taken: on calm bars it is, after a call it is not."""
    quick, slow = (state_amid_a_session(Grid(noisy=noisy)) for noisy in (False, True))
    assert quick.account[codes.QUIET] == quick.account[codes.N_ORDERS] > 0
    assert slow.account[codes.QUIET] == 0


def test_a_daily_run_never_passes_over_a_bar() -> None:
    """Each day's orders are looked at anew in the morning."""
    state = qk.backtest(Grid(), hand_bars([10_000] * 30), policy=qk.Policy(collar=None)).run.state
    assert state is not None
    assert state.account[codes.QUIET] == 0
