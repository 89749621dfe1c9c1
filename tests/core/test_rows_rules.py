"""Rows of `docs/execution.md` about the goals of rules with memory."""

from __future__ import annotations

from typing import Any

import pytest

from quantkit import Bars, ConfigError, Costs, Policy, Strategy, backtest
from quantkit.data.dates import day_text
from tests.core.hand import MISSING, hand_bars
from tests.core.page import row

FREE = Costs(commission=0.0, tax=0.0)


def act(on_bar: Any, bars: Bars, *, policy: Policy | None = None, cash: float = 1_000_000, **more: Any) -> Any:
    """What a rule did: [(bar, shares bought or sold, price)], and the shares held at the end."""
    rule = type("Own", (Strategy,), {"on_bar": on_bar} | more)()
    run = backtest(rule, bars, policy=policy or Policy(collar=None), cash=cash, costs=FREE).run
    signed = run.fills["quantity"] * run.fills["side"]
    fills = list(zip(run.fills["bar"].tolist(), signed.tolist(), run.fills["price"].tolist(), strict=True))
    return fills, run.state.names["shares"].tolist()


@row("`ctx.target(s, w)`")
def test_a_weight_is_of_equity_at_the_close_less_the_buffer() -> None:
    def on_bar(_self: Any, ctx: Any) -> None:
        if ctx.i < 2:
            ctx.target(0, 0.5)

    bars = hand_bars([(1000, 1000, 1000, 990), (1000, 2000, 1000, 2000), 2000, 2000])
    fills, shares = act(on_bar, bars, policy=Policy(collar=None, cash_buffer=0.1))
    # 0.5 x 1,000,000 x 0.9 / 990 = 454.5; then 0.5 x (546,000 + 454 x 2,000) x 0.9 / 2,000 = 327.1
    assert fills == [(1, 454, 1000.0), (2, 327 - 454, 2000.0)]
    assert shares == [327]


@row("`ctx.target_shares(s, n)`, `ctx.close_position(s)`")
def test_a_goal_in_shares_and_its_end() -> None:
    def on_bar(_self: Any, ctx: Any) -> None:
        if ctx.i == 0:
            ctx.target_shares(0, 12.9)
        if ctx.i == 2:
            ctx.close_position(0)

    assert act(on_bar, hand_bars([1000, 1000, 1000, 1000])) == ([(1, 12, 1000.0), (3, -12, 1000.0)], [0])


@row("a goal set while `valid` is off, or to NaN")
def test_nothing_is_decided_without_data() -> None:
    def on_bar(_self: Any, ctx: Any) -> None:
        if ctx.i == 0:
            ctx.target_shares(0, 10)
        if ctx.i == 2:
            ctx.close_position(0)  # not valid
        if ctx.i == 3:
            ctx.target(0, ctx.cash * float("nan"))

    assert act(on_bar, hand_bars([1000, 1000, MISSING, 1000, 1000])) == ([(1, 10, 1000.0)], [10])


@row("a goal set while `member` is off")
def test_a_name_outside_the_universe_has_no_goal() -> None:
    def on_bar(_self: Any, ctx: Any) -> None:
        if ctx.i != 2:
            ctx.target_shares(0, 10 + ctx.i)

    fills, shares = act(on_bar, hand_bars([1000] * 5, outside=[2, 3]))
    assert fills == [(1, 10, 1000.0), (2, 1, 1000.0), (4, -11, 1000.0)]
    assert shares == [0]


@row('a goal below 0 without `short="simulate"`')
def test_a_goal_below_nothing_ends_the_run() -> None:
    def on_bar(_self: Any, ctx: Any) -> None:
        ctx.target_shares(0, -1)

    bars = hand_bars([1000, 1000])
    with pytest.raises(ConfigError, match=f"on {day_text(int(bars.days[0]))}: a goal below 0 for {bars.symbols[0]}"):
        act(on_bar, bars)


@row("a goal set after a stop")
def test_a_rule_may_enter_again_on_the_bar_it_was_stopped_out() -> None:
    def on_bar(_self: Any, ctx: Any) -> None:
        if ctx.position[0] == 0:
            ctx.target_shares(0, 10)

    bars = hand_bars([1000, 1000, (1000, 1000, 850, 860), 860])
    fills, shares = act(on_bar, bars, policy=Policy(collar=None, stop_loss=0.1))
    assert fills == [(1, 10, 1000.0), (2, -10, 900.0), (3, 10, 860.0)]
    assert shares == [10]


@row("an order's quantity that is not whole")
@pytest.mark.parametrize(("asked", "bought"), [(12.9, 12), (0.1 * 30, 3), (7, 7)])
def test_an_order_is_of_whole_shares(asked: float, bought: int) -> None:
    def on_bar(_self: Any, ctx: Any) -> None:
        if ctx.i == 0:
            ctx.buy(0, asked)

    assert act(on_bar, hand_bars([1000, 1000])) == ([(1, bought, 1000.0)], [bought])


@row("the first `warmup` bars of the panel")
def test_a_rule_acts_from_its_warmup_on() -> None:
    def on_bar(_self: Any, ctx: Any) -> None:
        ctx.target_shares(0, ctx.close[2, 0] / 100)

    fills, _ = act(on_bar, hand_bars([1000, 1100, 1200, 1300, 1400]), warmup=2)
    assert fills == [(3, 10, 1300.0), (4, 1, 1400.0)]
