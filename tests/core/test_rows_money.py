"""The rows of `docs/execution.md` about money: costs, what is due, corporate actions, short positions, by hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from quantkit.core.account import more_commission
from quantkit.core.fold import plan_of
from quantkit.core.policy import Policy
from quantkit.core.state import ORDER
from quantkit.jit import njit_entry
from quantkit.market.costs import Costs
from tests.core.hand import TEN, hand_bars, play
from tests.core.page import row

# --- costs ----------------------------------------------------------------------------------------------------------


@njit_entry
def fees_of(plan: Any, orders: Any, values: Any, fees: Any) -> None:
    """Commission of one order's fills, one after the other, as the simulator books them."""
    for k in range(len(values)):
        fees[k] = more_commission(plan, orders[0], 0, values[k])
        orders[0].value += values[k]
        orders[0].fee += fees[k]


def charged(costs: Costs, *values: int) -> list[int]:
    fees = np.zeros(len(values), np.int64)
    fees_of(plan_of(Policy(), costs), np.zeros(1, ORDER).view(np.recarray), np.array(values), fees)
    return fees.tolist()


@row('`per="order_day"`')
def test_an_orders_fills_of_a_day_pay_for_their_total() -> None:
    each = Costs(0.00015, truncate_to=10, minimum=100)
    assert charged(each, 500_000, 500_000, 1_234_567) == [100, 100, 180]
    day = Costs(0.00015, truncate_to=10, minimum=100, per="order_day")
    assert charged(day, 500_000, 500_000, 1_234_567) == [100, 50, 180]  # 100, 150 and 330 in all


@row("impact")
def test_a_large_order_moves_the_price_by_the_root_of_its_part_of_the_volume() -> None:
    wide = (10_000, 10_500, 9_500, 10_000)  # the volume is 1,000
    moved = Costs(0.0, tax=0.0, impact=0.02)
    assert play(hand_bars([10_000, wide, wide]), [True, False], costs=moved).fills == [
        (1, 10, 10_020.0, "open"),  # sqrt(10 / 1,000) x 0.02 x 10,000
        (2, -10, 9_980.0, "open"),
    ]
    ticks = Costs(0.0, tax=0.0, impact=0.02, slippage_ticks=1.0, slippage_bps=1.0)
    assert play(hand_bars([10_000, wide]), [4.0], costs=ticks).fills == [(1, 40, 10_060.0, "open")]  # 40 + 10 + 1, up
    bars = hand_bars([10_000, wide])
    bars.field("volume")[1] = 0.0
    assert play(bars, [True], costs=moved).fills == [(1, 10, 10_000.0, "open")]


def test_the_public_run_reads_the_volume_for_impact() -> None:
    from quantkit.backtest.run import backtest

    bars = hand_bars([10_000, (10_000, 10_500, 9_500, 10_000)])
    result = backtest(targets=[[1.0], [1.0]], bars=bars, policy=TEN, costs=Costs(0.0, tax=0.0, impact=0.02))
    assert result.fills["price"].tolist() == [10_020.0]
    assert result.manifest["run"]["costs"]["impact"] == 0.02
