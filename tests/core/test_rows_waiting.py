"""A row of `docs/execution.md`: limits that wait for the stop of their group, while other orders act on the same bar.

From a base of 10,000 the day's limits are 7,000 and 13,000. Bars are open, high, low, close.
"""

from __future__ import annotations

from typing import Any

import pytest

from quantkit import Policy
from tests.core.acted import FREE, acted
from tests.core.hand import hand_bars
from tests.core.page import row

HIGH_FIRST = (10_000, 10_800, 9_000, 9_200)


def beside(other: Any, bar: Any, **bracket: float) -> list[tuple[int, int, float]]:
    """What follows the buy of 20 shares at 10,000: `other` sells 10 of them, the rest has a stop and a take."""

    def orders(ctx: Any) -> None:
        other(ctx)
        ctx.oco(ctx.sell(0, 10, stop=bracket["stop"]), ctx.sell(0, 10, limit=bracket["take"], tif="gtc"))

    return after_a_buy(orders, bar, FREE)


def after_a_buy(orders: Any, bar: Any, policy: Policy) -> list[tuple[int, int, float]]:
    run = acted(hand_bars([10_000, 10_000, bar]), {0: lambda ctx: ctx.buy(0, 20), 1: orders}, policy=policy)
    assert run.fills[0][:3] == (1, 20, 10_000.0)
    return [fill[:3] for fill in run.fills[1:]]


@row("a stop and a limit of one group in one bar")
def test_another_order_on_the_way_up_does_not_let_a_waiting_take_act() -> None:
    fills = beside(lambda ctx: ctx.sell(0, 10, limit=10_600), HIGH_FIRST, stop=9_500, take=10_300)
    assert fills == [(2, -10, 10_600.0), (2, -10, 9_500.0)]


@row("a stop and a limit of one group in one bar")
def test_another_order_on_the_way_down_does_not_let_a_waiting_take_act() -> None:
    fills = beside(lambda ctx: ctx.sell(0, 10, trail=0.03), HIGH_FIRST, stop=9_500, take=10_300)
    assert fills == [(2, -10, 10_470.0), (2, -10, 9_500.0)]  # 10,800 x 0.97, on the grid below


@row("a stop and a limit of one group in one bar")
def test_a_take_that_waited_stands_again_once_its_stop_could_not_fill() -> None:
    bar = (10_000, 12_000, 7_000, 11_000)  # the stop is met at the day's lower limit, where nobody buys
    fills = beside(lambda ctx: None, bar, stop=7_000, take=10_300)
    assert fills == [(2, -10, 10_300.0)]
    with_other = beside(lambda ctx: ctx.sell(0, 10, limit=10_600), bar, stop=7_000, take=10_300)
    assert with_other == [(2, -10, 10_600.0), (2, -10, 10_300.0)]


@row("a stop and a limit of one group in one bar")
@pytest.mark.parametrize("own", [10_600, 10_290])
def test_the_policys_take_waits_for_its_stop_whatever_own_orders_do(own: float) -> None:
    policy = Policy(collar=None, stop_loss=0.05, take_profit=0.03)
    fills = after_a_buy(lambda ctx: ctx.sell(0, 10, limit=own), HIGH_FIRST, policy)
    assert fills == [(2, -10, float(own)), (2, -10, 9_500.0)]
