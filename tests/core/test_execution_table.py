"""`docs/execution.md`, row by row: small markets by hand, the answer worked out beside them.

`@row("...")` names the page's row (its first cell) that a test is about; `test_page` finds rows without one. Prices
around 10,000 won have a tick of 10 and, from a base of 10,000, limits of 7,000 and 13,000.
"""

from __future__ import annotations

from dataclasses import replace
from math import nan
from typing import Any

import numpy as np
import pytest

from quantkit.core.policy import Policy, RiskLimits
from quantkit.data.actions import Action
from quantkit.market.costs import Costs
from tests.core.hand import GONE, HALTED, MISSING, TEN, hand_bars, play
from tests.core.page import row

SLIP = Costs(0.0, tax=0.0, slippage_ticks=1.0)


# --- when an order fills --------------------------------------------------------------------------------------------


@row('at open (`fill="next_open"`, the default)')
def test_an_order_fills_at_the_next_open_up_to_its_collar_rounded_inward() -> None:
    assert play(hand_bars([10_000, (10_100, 10_300, 10_000, 10_200)]), [True]).fills == [(1, 10, 10_100.0, "open")]
    collar = replace(TEN, collar=0.10)  # 10,010 x 1.1 = 11,011, down to 11,010
    assert play(hand_bars([10_010, 11_010]), [True], policy=collar).fills == [(1, 10, 11_010.0, "open")]
    assert play(hand_bars([10_010, 11_020]), [True], policy=collar).fills == []


@row("open beyond the collar", "what was cut or lost")
def test_beyond_the_collar_an_order_is_dropped_and_made_again() -> None:
    bars = hand_bars([10_000, (11_500, 11_500, 10_400, 10_500), 10_600])
    played = play(bars, [True], policy=replace(TEN, collar=0.10))
    assert played.refused == [(0, "dropped", "COLLAR")]
    assert played.fills == [(2, 10, 10_600.0, "open")]
    assert play(bars, [True], policy=replace(TEN, collar=0.10, retry=False)).fills == []


@row('at close (`fill="next_close"`)')
def test_at_close_fills_at_the_next_close_within_the_collar() -> None:
    bars = hand_bars([10_000, (10_100, 10_300, 10_000, 10_200)])
    assert play(bars, [True], fill="next_close").fills == [(1, 10, 10_200.0, "close")]
    far = hand_bars([10_000, (10_000, 11_200, 10_000, 11_200)])
    assert play(far, [True], fill="next_close", policy=replace(TEN, collar=0.10)).refused == [(0, "dropped", "COLLAR")]


@row('same close (`fill="close"`)')
def test_the_same_close_fills_on_the_bar_it_was_decided_on() -> None:
    played = play(hand_bars([10_000, 10_100]), [True], fill="close")
    assert played.fills == [(0, 10, 10_000.0, "same_close")]
    assert played.cash == [9_900_000, 9_900_000]


@row("halted bar or no trade (`traded` off)")
def test_a_halted_bar_fills_nothing_and_stops_wait() -> None:
    played = play(hand_bars([10_000, HALTED, 10_200]), [True])
    assert played.refused == [(0, "dropped", "HALTED")]
    assert played.fills == [(2, 10, 10_200.0, "open")]
    stopped = play(hand_bars([10_000, 10_000, HALTED, 9_000]), [True], policy=replace(TEN, stop_loss=0.08))
    assert stopped.fills[1:] == [(3, -10, 9_000.0, "stop_loss_gap")]


@row("buy when the price is at or above the upper limit")
def test_nobody_buys_at_the_upper_limit() -> None:
    played = play(hand_bars([10_000, (13_000, 13_000, 12_500, 12_500)]), [True])
    assert (played.fills, played.refused) == ([], [(0, "dropped", "LIMIT_LOCKED")])
    assert play(hand_bars([10_000, 12_990]), [True]).fills == [(1, 10, 12_990.0, "open")]


@row("sell when the price is at or below the lower limit")
def test_nobody_sells_at_the_lower_limit() -> None:
    played = play(hand_bars([10_000, 10_000, 7_000]), [True, False])
    assert played.fills == [(1, 10, 10_000.0, "open")]
    assert played.refused == [(1, "dropped", "LIMIT_LOCKED")]


@row("several reasons at once")
@pytest.mark.parametrize(("after", "reason"), [(13_000, "LIMIT_LOCKED"), (11_010, "COLLAR"), (HALTED, "HALTED")])
def test_the_first_of_several_reasons_is_written(after: object, reason: str) -> None:
    collared = Policy(weighting="shares", amount=10)  # 13,000 is the upper limit and beyond the collar too
    assert play(hand_bars([10_000, after]), [True], policy=collared).refused == [(0, "dropped", reason)]


@row("limits")
def test_limits_come_from_the_base_price_and_can_be_off() -> None:
    # width = floor(239,000 x 0.3 / 500) x 500 = 71,500: 167,500 is the limit, 167,300 would be 0.7 x 239,000
    locked = play(hand_bars([239_000, 239_000, 167_500]), [True, False])
    assert locked.refused == [(1, "dropped", "LIMIT_LOCKED")]
    free = play(hand_bars([239_000, 239_000, 167_500], liquidation=[2]), [True, False])
    assert free.fills[1:] == [(2, -10, 167_500.0, "open")]
    adjusted = play(hand_bars([239_000, 239_000, 167_500], prices="adjusted"), [True, False])
    assert adjusted.fills[1:] == [(2, -10, 167_500.0, "open")]


@row("slippage")
def test_slippage_goes_against_the_trader_and_stays_inside_bar_and_limit() -> None:
    wide = (10_000, 10_500, 9_500, 10_000)
    assert play(hand_bars([10_000, wide, wide]), [True, False], costs=SLIP).fills == [
        (1, 10, 10_010.0, "open"),
        (2, -10, 9_990.0, "open"),
    ]
    points = Costs(0.0, tax=0.0, slippage_bps=7.0)  # 10,007 up to 10,010; 9,993 down to 9,990
    assert [f[2] for f in play(hand_bars([10_000, wide, wide]), [True, False], costs=points).fills] == [
        10_010.0,
        9_990.0,
    ]
    assert play(hand_bars([10_000, 10_000]), [True], costs=SLIP).fills == [(1, 10, 10_000.0, "open")]
    tight = replace(TEN, collar=0.02)  # limit 10,200
    high = play(hand_bars([10_000, (10_200, 10_500, 10_000, 10_200)]), [True], costs=SLIP, policy=tight)
    assert high.fills == [(1, 10, 10_200.0, "open")]
    assert play(hand_bars([10_000, (10_005, 10_500, 10_000, 10_200)]), [True]).fills == [(1, 10, 10_005.0, "open")]


@row('`slippage_on="entry"`')
def test_slippage_on_entry_spares_the_sale() -> None:
    wide = (10_000, 10_500, 9_500, 10_000)
    played = play(hand_bars([10_000, wide, wide]), [True, False], costs=SLIP, policy=replace(TEN, slippage_on="entry"))
    assert [fill[2] for fill in played.fills] == [10_010.0, 10_000.0]


@row("sells before buys", '`funding="proceeds"` (default)')
def test_sales_pay_for_the_buys_of_the_same_step_whatever_the_column() -> None:
    bars = hand_bars([10_000] * 3, [10_000] * 3)
    for first, second in (([True, False], [False, True]), ([False, True], [True, False])):
        played = play(bars, first, second, cash=100_000)
        assert [(f[0], f[1]) for f in played.fills] == [(1, 10), (2, -10), (2, 10)]
        assert played.output.fills["from_proceeds"].tolist() == [0, 0, 1]


@row("selling more than is held")
def test_a_sale_is_cut_to_the_shares_held() -> None:
    bars = hand_bars([10_000, 10_000, (10_000, 10_000, 9_000, 9_100)])
    played = play(bars, [True, False], fill="next_close", policy=replace(TEN, stop_loss=0.08))
    assert played.fills == [(1, 10, 10_000.0, "close"), (2, -10, 9_200.0, "stop_loss")]
    assert played.refused == [(1, "dropped", "INSUFFICIENT_SHARES")]


# --- when cash is short ---------------------------------------------------------------------------------------------


@row('`funding="cash"`')
def test_cash_funding_reserves_at_the_limit_price_and_waits_for_sales() -> None:
    policy, bars = replace(TEN, funding="cash"), hand_bars([10_000, 10_000])
    tight = play(bars, [True], policy=replace(policy, collar=0.10), cash=100_000)
    assert tight.fills == [(1, 9, 10_000.0, "open")]  # 10 x 100,000 / 110,000
    assert play(bars, [True], policy=policy, cash=100_000).shares == [7]  # counted at 13,000
    assert play(hand_bars([10_000, 10_000], prices="adjusted"), [True], policy=policy, cash=100_000).shares == [10]
    swap = play(hand_bars([10_000] * 4, [10_000] * 4, prices="adjusted"), [True, False], [False, True],
                policy=policy, cash=100_000)  # fmt: skip
    assert swap.refused == [(1, "dropped", "INSUFFICIENT_CASH")]
    assert swap.fills_of(1) == [(3, 10, 10_000.0, "open")]


@row('`shortfall="scale"` (default)')
def test_scaled_buys_are_cut_by_one_ratio() -> None:
    played = play(hand_bars([10_000] * 2, [10_000] * 2), [True], [True], cash=150_000)
    assert played.shares == [7, 7]
    assert played.refused == [(0, "cut", "INSUFFICIENT_CASH")] * 2


@row('`shortfall="sequence"`')
def test_buys_in_sequence_fill_the_smallest_first() -> None:
    bars = hand_bars([10_000] * 2, [5_000] * 2)
    assert play(bars, [True], [True], cash=120_000, policy=replace(TEN, shortfall="sequence")).shares == [7, 10]


@row('`shortfall="reject"`')
def test_a_rejected_buy_is_dropped_whole_by_symbol_order() -> None:
    played = play(hand_bars([10_000] * 2, [10_000] * 2), [True], [True], cash=150_000,
                  policy=replace(TEN, shortfall="reject"))  # fmt: skip
    assert played.shares == [0, 10]  # 000660 before 005930
    assert played.refused == [(0, "dropped", "INSUFFICIENT_CASH")]


@row("`RiskLimits.min_cash`")
def test_min_cash_is_not_spendable() -> None:
    played = play(hand_bars([10_000] * 2), [True], cash=150_000, limits=RiskLimits(min_cash=60_000))
    assert played.fills == [(1, 9, 10_000.0, "open")]


@row("not even one share")
def test_a_buy_of_not_even_one_share_is_not_made_and_said_once() -> None:
    played = play(hand_bars([10_000] * 4), [True], cash=9_000)
    assert (played.fills, played.refused) == ([], [(0, "dropped", "INSUFFICIENT_CASH")])


# --- stops ----------------------------------------------------------------------------------------------------------

STOP, TAKE, TRAIL = (replace(TEN, **{name: rate}) for name, rate in
                     (("stop_loss", 0.08), ("take_profit", 0.08), ("trailing_stop", 0.05)))  # fmt: skip


def sale(bar: Any, policy: Policy, *, entry: float = 10_000, costs: Costs | None = None) -> list[tuple[Any, ...]]:
    """What is sold on the bar after an entry at `entry`."""
    played = play(hand_bars([entry, entry, bar]), [True], policy=policy, costs=costs or Costs.free())
    return [fill[2:] for fill in played.fills[1:]]


@row("path")
def test_at_equal_distance_the_low_comes_first() -> None:
    # low 9,700 is above 9,500; then the peak is 10,300, the trail 9,785, and the close is below it
    assert sale((10_000, 10_300, 9_700, 9_780), TRAIL) == [(9_780.0, "trailing_stop")]
    assert sale((10_000, 10_300, 9_700, 9_790), TRAIL) == []


@row("gap at the open (held before the bar)")
def test_a_gap_through_a_level_sells_at_the_open() -> None:
    assert sale((9_100, 9_300, 9_000, 9_200), STOP) == [(9_100.0, "stop_loss_gap")]
    assert sale((9_400, 9_900, 9_300, 9_800), TRAIL) == [(9_400.0, "trailing_stop_gap")]
    assert sale((10_900, 11_000, 10_700, 10_800), TAKE) == [(10_900.0, "take_profit_gap")]
    same_bar = play(hand_bars([10_000, (9_100, 9_100, 9_000, 9_000)]), [True], policy=STOP)
    assert same_bar.fills == [(1, 10, 9_100.0, "open")]  # its own entry: the level is 8,372


@row("stop or trail inside the bar")
def test_inside_the_bar_the_higher_level_sells_rounded_down() -> None:
    assert sale((10_000, 10_050, 9_150, 9_300), STOP) == [(9_200.0, "stop_loss")]
    assert sale((10_010, 10_050, 9_150, 9_300), STOP, entry=10_010) == [(9_200.0, "stop_loss")]  # 9,209.2
    assert sale((10_000, 10_000, 9_000, 9_300), replace(STOP, trailing_stop=0.05)) == [(9_500.0, "trailing_stop")]


@row("high before low")
def test_a_high_before_the_low_raises_the_trail_first() -> None:
    assert sale((10_000, 10_200, 9_600, 9_900), TRAIL) == [(9_690.0, "trailing_stop")]


@row("low before high")
def test_a_high_after_the_low_raises_the_trail_for_the_close() -> None:
    assert sale((10_000, 10_600, 9_900, 10_050), TRAIL) == [(10_070.0, "trailing_stop")]


@row("take profit inside the bar")
def test_a_take_profit_sells_at_its_level_raised_to_the_grid() -> None:
    assert sale((10_010, 10_820, 10_000, 10_500), TAKE, entry=10_010) == [(10_820.0, "take_profit")]  # 10,810.8
    assert sale((10_010, 10_810, 10_000, 10_500), TAKE, entry=10_010) == []


@row("stop and take in one bar")
def test_of_stop_and_take_in_one_bar_the_stop_wins() -> None:
    assert sale((10_500, 10_900, 9_100, 10_000), replace(STOP, take_profit=0.08)) == [(9_200.0, "stop_loss")]


@row("at the lower price limit")
def test_a_stop_at_the_lower_limit_waits_armed() -> None:
    played = play(hand_bars([10_000, 10_000, 7_000, 6_500]), [True], policy=STOP)
    assert played.refused == [(2, "dropped", "LIMIT_LOCKED")]
    assert played.fills[1:] == [(3, -10, 6_500.0, "stop_loss_gap")]


@row("slippage")
def test_a_stop_slips_as_any_sale() -> None:
    assert sale((10_000, 10_000, 9_000, 9_300), STOP, costs=SLIP) == [(9_190.0, "stop_loss")]


@row("afterwards")
def test_a_stopped_name_stays_out_until_its_target_has_been_false() -> None:
    bars = hand_bars([10_000, 10_000, (10_000, 10_000, 9_100, 9_100), 9_100, 9_100, 9_100])
    assert [f[0] for f in play(bars, [True], policy=STOP).fills] == [1, 2]
    assert [f[0] for f in play(bars, [True, True, True, False, True], policy=STOP).fills] == [1, 2, 5]
    more = play(bars, [1.0, 2.0], policy=STOP, fill="next_close")
    assert more.fills == [(1, 10, 10_000.0, "close"), (2, -10, 9_200.0, "stop_loss")]
    assert more.refused == [(1, "dropped", "STOPPED")]


# --- from target to goal --------------------------------------------------------------------------------------------

WEIGHT = Policy(weighting="weight", collar=None)


@row("a value counts when", "weight (float targets)")
def test_a_value_counts_when_it_changes_or_on_a_rebalance_date() -> None:
    bars = hand_bars([10_000, 10_000, 12_500, 12_500, 12_500])
    assert play(bars, [0.5], cash=1_000_000, policy=WEIGHT).shares == [50]
    # after 12,500: equity 1,125,000 x 0.5 / 12,500 = 45
    every = play(bars, [0.5], cash=1_000_000, policy=replace(WEIGHT, rebalance=1))
    assert every.fills[1:] == [(3, -5, 12_500.0, "open")]
    read = play(bars, [0.5, 0.25], cash=1_000_000, policy=replace(WEIGHT, rebalance=3, trade_on="rebalance"))
    assert [fill[0] for fill in read.fills] == [1, 4]
    buffered = play(bars, [0.5], cash=1_000_000, policy=replace(WEIGHT, cash_buffer=0.1))
    assert buffered.shares == [45]


@row("value 0 or False")
def test_false_is_a_goal_of_nothing() -> None:
    assert play(hand_bars([10_000] * 3), [True, False]).fills[1:] == [(2, -10, 10_000.0, "open")]


@row("NaN")
def test_nan_leaves_a_goal_as_it_is_and_what_was_lost_is_tried_again() -> None:
    assert play(hand_bars([10_000] * 4), [1.0, nan]).shares == [10]
    again = play(hand_bars([10_000, HALTED, 10_000, 10_000]), [1.0, nan, nan])
    assert again.fills == [(2, 10, 10_000.0, "open")]


@row("`valid` off")
def test_missing_data_makes_no_goal_and_no_order() -> None:
    assert play(hand_bars([10_000, 10_000, MISSING, MISSING]), [True, True, False]).shares == [10]
    again = play(hand_bars([10_000, MISSING, 10_000, 10_000]), [1.0, 1.0, nan])
    assert again.fills == [(3, 10, 10_000.0, "open")]  # not ordered on the bar without data


@row("`member` off while valid")
def test_leaving_the_universe_sells_at_once() -> None:
    bars = hand_bars([10_000] * 4, outside=[2, 3])
    assert play(bars, [1.0, nan]).fills[1:] == [(3, -10, 10_000.0, "open")]
    policy = replace(TEN, rebalance=10, trade_on="rebalance")
    assert play(bars, [True], policy=policy).fills[1:] == [(3, -10, 10_000.0, "open")]


@row("`equal`")
def test_equal_divides_by_members_or_by_max_names() -> None:
    bars = hand_bars([10_000] * 3, [10_000] * 3)
    assert play(bars, [True], [False], cash=1_000_000, policy=Policy()).shares == [50, 0]
    assert play(bars, [True], [False], cash=1_000_000, policy=Policy(max_names=4, gross=0.8)).shares == [20, 0]


@row("`equal_held`")
def test_equal_held_resizes_all_when_the_set_changes() -> None:
    bars = hand_bars([10_000] * 4, [10_000] * 4)
    policy = Policy(weighting="equal_held")
    played = play(bars, [True], [False, True], cash=1_000_000, policy=policy)
    assert played.fills_of(0) == [(1, 100, 10_000.0, "open"), (2, -50, 10_000.0, "open")]
    assert played.fills_of(1) == [(2, 50, 10_000.0, "open")]
    dated = play(bars, [True], [False, True], cash=1_000_000, policy=replace(policy, gross=0.5, rebalance=10))
    assert dated.shares == [50, 25]


@row("`cash`, `shares`")
def test_fixed_cash_and_fixed_shares() -> None:
    bars = hand_bars([10_000] * 2)
    assert play(bars, [True], policy=Policy(weighting="cash", amount=55_000)).shares == [5]
    assert play(bars, [2.5], policy=TEN).shares == [25]


@row("`buying_power`")
def test_buying_power_is_a_part_of_the_cash_when_the_value_changes() -> None:
    policy = Policy(weighting="buying_power", amount=0.4, rebalance=1, collar=None)
    played = play(hand_bars([10_000] * 4), [1.0, 1.0, 0.5], cash=1_000_000, policy=policy)
    assert played.fills == [(1, 40, 10_000.0, "open"), (3, 12, 10_000.0, "open")]  # 0.5 x 0.4 x 600,000


@row("more names than `max_names`")
def test_places_go_by_rank_and_are_kept_until_a_rebalance_date() -> None:
    bars = hand_bars([10_000] * 4, [10_000] * 4)
    rank = np.array([[1.0, 2.0], [2.0, 1.0], [2.0, 1.0], [2.0, 1.0]])
    one = replace(TEN, max_names=1)
    assert play(bars, [True], [True], policy=one, rank=rank).shares == [0, 10]
    assert play(bars, [True], [True], policy=replace(one, rebalance=1), rank=rank).shares == [10, 0]
    assert play(bars, [True], [True, False], policy=one, rank=rank).shares == [10, 0]
    assert play(bars, [True], [True], policy=one).shares == [0, 10]  # a tie: 000660 before 005930


@row('`rounding="order"`')
def test_rounding_the_order_cuts_the_difference_toward_zero() -> None:
    bars = hand_bars([10_000] * 3)
    assert play(bars, [1.0, 0.75]).shares == [7]
    assert play(bars, [1.0, 0.75], policy=replace(TEN, rounding="order")).shares == [8]


@row("a goal that is not a whole number")
def test_a_tenth_of_thirty_shares_is_three() -> None:
    assert play(hand_bars([10_000] * 2), [0.1], policy=replace(TEN, amount=30)).shares == [3]


@row("`week`, `month`")
def test_weeks_and_months_end_on_their_last_session() -> None:
    bars = hand_bars([10_000] * 10)  # Tuesday 2024-03-26; Friday the 29th ends week and month, Friday 04-05 a week
    for every, filled in (("month", [4]), ("week", [4, 9])):
        policy = Policy(weighting="shares", amount=10, rebalance=every, trade_on="rebalance", collar=None)
        played = play(bars, [1.0, 1.0, 1.0, 1.0, 2.0], policy=policy)
        assert [fill[0] for fill in played.fills] == filled
    third = play(bars, [1.0, 2.0], policy=replace(TEN, rebalance=3, trade_on="rebalance"))
    assert [fill[0] for fill in third.fills] == [1, 4]


# --- risk limits ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (RiskLimits(max_order_value=99_000), "ORDER_TOO_LARGE"),
        (RiskLimits(max_order_shares=9), "ORDER_TOO_LARGE"),
        (RiskLimits(max_weight=0.009), "MAX_WEIGHT"),
    ],
)
def test_a_buy_beyond_a_limit_is_a_row_said_once(limits: RiskLimits, reason: str) -> None:
    played = play(hand_bars([10_000] * 3), [True], limits=limits)
    assert (played.fills, played.refused) == ([], [(0, "dropped", reason)])


def test_losses_stop_buys_for_the_day_or_for_good_and_sales_never() -> None:
    bars, rank = hand_bars([10_000, 10_000, 8_000, 8_000, 8_000], [10_000] * 5), [False, False, True]
    daily = play(bars, [True, True, False], rank, cash=200_000, limits=RiskLimits(max_daily_loss=0.05))
    assert daily.refused == [(2, "dropped", "DAILY_LOSS")]
    assert [f[:2] for f in daily.fills] == [(1, 10), (3, -10), (4, 10)]
    ever = play(bars, [True, True, False], rank, cash=200_000, limits=RiskLimits(max_drawdown=0.05))
    assert ever.refused == [(2, "dropped", "DRAWDOWN")]
    assert [f[:2] for f in ever.fills] == [(1, 10), (3, -10)]


def test_limits_on_all_buys_keep_the_best_ranked_and_cut_the_rest() -> None:
    bars = hand_bars([10_000] * 2, [10_000] * 2)
    best = play(bars, [True], [True], limits=RiskLimits(max_names=1), rank=np.array([[2.0, 1.0]] * 2))
    assert (best.shares, best.refused) == ([10, 0], [(0, "dropped", "MAX_POSITIONS")])
    half = play(bars, [True], [True], cash=200_000, limits=RiskLimits(max_exposure=0.5))
    assert (half.shares, half.refused) == ([5, 5], [(0, "cut", "MAX_EXPOSURE")] * 2)


# --- corporate actions, deposits, delisting, costs ------------------------------------------------------------------


@row("split, reverse split, bonus (share ratio r)")
def test_a_split_moves_shares_goal_and_levels_and_pays_the_fraction() -> None:
    split = [Action("005930", "2024-03-28", "split", share_ratio=5.0)]
    played = play(hand_bars([10_000, 10_000, (2_000, 2_000, 1_830, 1_900)], actions=split), [True], policy=STOP)
    assert played.fills[1:] == [(2, -50, 1_840.0, "stop_loss")]
    bonus = [Action("005930", "2024-03-28", "bonus", share_ratio=1.07)]
    paid = play(hand_bars([10_000, 10_000, 9_350], actions=bonus), [True], cash=1_000_000)
    assert paid.shares == [10]
    assert paid.cash == [1_000_000, 900_000, 906_542]  # 0.7 x 10,000 / 1.07


@row("action of unknown kind (share ratio NaN)")
def test_an_unknown_action_is_taken_as_value_neutral() -> None:
    unknown = [Action("005930", "2024-03-28", "unknown", price_factor=2.0)]
    assert play(hand_bars([10_000, 10_000, 5_000], actions=unknown), [True]).shares == [20]


@row("cash dividend")
def test_a_dividend_counts_from_the_ex_date_and_is_paid_later() -> None:
    dividend = [Action("005930", "2024-03-28", "dividend", cash_per_share=361.0, pay_date="2024-04-01")]
    played = play(hand_bars([10_000] * 5, actions=dividend), [True], cash=1_000_000)
    assert played.cash == [1_000_000, 900_000, 900_000, 900_000, 903_610]
    assert played.output.equity.tolist() == [1_000_000, 1_000_000, 1_003_610, 1_003_610, 1_003_610]


@row("deposit")
def test_a_deposit_is_there_before_the_bar_trades() -> None:
    played = play(hand_bars([10_000] * 3), [True], cash=50_000, deposits={1: 50_000})
    assert played.fills == [(1, 10, 10_000.0, "open")]


@row("delisting")
def test_a_delisted_name_is_settled_at_its_last_close_for_free() -> None:
    played = play(hand_bars([10_000, 10_000, 300, GONE], liquidation=[2]), [True], costs=Costs(0.01, tax=0.01))
    assert played.fills[1:] == [(3, -10, 300.0, "delisting")]
    assert played.output.fills["commission"].tolist() == [1_000, 0]
    assert play(hand_bars([10_000, GONE]), [True]).refused == [(0, "dropped", "DELISTED")]


@row("market transfer")
def test_a_transfer_brings_the_new_markets_ticks() -> None:
    wide = (150_000, 152_000, 148_000, 150_000)  # in 2015 a tick of 100 on KOSDAQ, 500 on KOSPI
    days = hand_bars([1] * 4, start="2015-07-01").days
    moved = [(0, "005930", "KOSDAQ"), (int(days[2]), "005930", "KOSPI")]
    bars = hand_bars([150_000, wide, wide, wide], start="2015-07-01", market_changes=moved)
    assert [f[2] for f in play(bars, [1.0, 2.0], costs=SLIP).fills] == [150_100.0, 150_500.0]


@row("commission", "sale tax", '`per="fill"` (default)')
def test_commission_and_tax_are_cut_as_the_page_says() -> None:
    bars = hand_bars([10_000] * 3)
    policy = replace(TEN, amount=100)
    fills = play(bars, [True, False], policy=policy, costs=Costs(0.00015)).output.fills
    assert fills["commission"].tolist() == [150, 150]
    assert fills["tax"].tolist() == [0, 1_800]  # 0.18 % in 2024
    ten = play(bars, [True, False], policy=policy, costs=Costs(0.000158, truncate_to=10, minimum=100, tax=0.001))
    assert ten.output.fills["commission"].tolist() == [150, 150]
    assert ten.output.fills["tax"].tolist() == [0, 1_000]
    least = play(bars, [True], costs=Costs(0.00015, minimum=1_005, truncate_to=10, fixed=3.0))
    assert least.output.fills["commission"].tolist() == [1_000]
