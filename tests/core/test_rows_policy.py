"""The policies of `docs/execution.md`, row by row: markets by hand, the answer worked out beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import nan, sqrt
from typing import Any

import numpy as np
import pytest

from quantkit.core.policy import Policy, RiskLimits
from quantkit.core.prepare import inputs_of
from quantkit.core.scale import bars_a_year, scale_of
from quantkit.data.actions import Action
from quantkit.data.bars import Bars
from quantkit.errors import ConfigError
from tests.core.hand import GONE, HALTED, MISSING, TEN, Played, hand_bars
from tests.core.markets import Case
from tests.core.page import row
from tests.core.runs import compiled, differences

WEIGHTS = Policy(weighting="weight", collar=None)
FLAT = [10_000] * 8


def run(bars: Bars, *targets: Sequence[Any], **settings: Any) -> Played:
    """Fold the bars with one row of targets a name (a short row keeps its last value); check the plain fold too."""
    rows = len(bars)
    columns = [[*values, *[values[-1]] * (rows - len(values))] for values in targets]
    kind = np.bool_ if all(isinstance(value, bool) for values in columns for value in values) else np.float64
    case = Case(bars, np.array(columns, kind).T.copy(), **({"policy": TEN} | settings))
    assert differences(case) == []
    return Played(*compiled(case))


def goals(played: Played) -> list[int]:
    return played.state.names["goal"].tolist()


# --- strengths ------------------------------------------------------------------------------------------------------


@row("`threshold=x`")
def test_a_strength_at_the_threshold_is_in_and_a_smaller_one_out() -> None:
    scored = Policy(weighting="buying_power", amount=0.10, threshold=0.7, collar=None)
    strengths = [0.69, 0.7, nan, 0.9, 0.2]  # bought once, for 10 % of 10,000,000; 0.9 is no change
    played = run(hand_bars(FLAT), strengths, policy=scored)
    assert played.fills == [(2, 100, 10_000.0, "open"), (5, -100, 10_000.0, "open")]


@row("`threshold=x`")
def test_the_strongest_come_first_where_no_rank_is_given() -> None:
    one = replace(TEN, threshold=0.5, max_names=1)
    bars = hand_bars(FLAT, FLAT)
    assert run(bars, [0.6], [0.8], policy=one).shares == [0, 10]
    assert run(bars, [0.6], [0.8], policy=one, rank=np.array([[2.0, 1.0]] * 8)).shares == [10, 0]
    halves = Policy(threshold=0.5, collar=None)  # "equal": 1/2 of equity each, whatever the strength
    assert run(bars, [0.6], [5.0], policy=halves).shares == [500, 500]


# --- volatility -----------------------------------------------------------------------------------------------------


@row("`vol_target=v`", "returns and variance", "volatility not known")
def test_a_name_is_sized_by_its_own_volatility_once_it_is_known() -> None:
    # returns 10 %, -10 %: mean 0, variance 0.02, a year 0.02 x 252 = 5.04; factor 0.5 / sqrt(5.04) = 0.2227...
    policy = replace(WEIGHTS, vol_target=0.5, vol_window=2)
    played = run(hand_bars([10_000, 11_000, 9_900, 9_900]), [1.0], policy=policy)
    expected = int(10_000_000 / 9_900 * 0.5 / sqrt(5.04))
    assert expected == 224
    assert played.fills == [(3, 224, 9_900.0, "open")]  # waited for two returns, without a new value
    shares = replace(TEN, vol_target=0.5, vol_window=2)
    assert run(hand_bars([10_000, 11_000, 9_900, 9_900]), [True], policy=shares).shares == [2]


@row("`vol_target=v`")
def test_a_calm_name_gets_the_cap() -> None:
    quiet = hand_bars([10_000, 10_000, 10_010, 10_000, 10_000])
    calm = replace(TEN, vol_target=0.5, vol_window=2)
    assert run(quiet, [True], policy=calm).shares == [10]
    assert run(quiet, [True], policy=replace(calm, vol_cap=2.0)).shares == [20]


@row("returns and variance")
def test_a_split_is_no_return_and_a_halt_is_a_return_of_nothing() -> None:
    split = Action(symbol="005930", ex_date="2024-03-28", kind="split", price_factor=5.0, share_ratio=5.0)
    policy = Policy(weighting="weight", vol_target=0.5, vol_window=2, vol_cap=9.0)
    plain = scale_of(hand_bars([10_000, 11_000, 11_000, 9_900]), policy)
    parted = scale_of(hand_bars([10_000, 11_000, 2_200, 1_980], actions=[split]), policy)
    halted = scale_of(hand_bars([10_000, 11_000, HALTED, 9_900]), policy)
    assert parted.tolist()[2:] == plain.tolist()[2:] == halted.tolist()[2:]
    assert plain[3, 0] == pytest.approx(0.5 / sqrt(0.005 * 252))  # returns 0 and -10 %


@row("volatility not known")
def test_a_name_listed_late_waits_and_a_missing_row_does_not_buy() -> None:
    policy = replace(WEIGHTS, vol_target=0.5, vol_window=2)
    late = hand_bars([GONE, 10_000, 11_000, 9_900, 9_900, 9_900])
    assert run(late, [1.0], policy=policy).fills == [(4, 224, 9_900.0, "open")]
    missing = hand_bars([10_000, 11_000, MISSING, 9_900, 9_900, 9_900])
    assert [fill[0] for fill in run(missing, [1.0, nan], policy=policy).fills] == [4]
    assert run(late, [1.0, 1.0, 0.0, 0.0], policy=policy).fills == []  # the wait ends with the target


@row("bars a year")
def test_bars_a_year_follow_from_their_length() -> None:
    found = [bars_a_year(freq) for freq in ("1d", "5d", "1w", "1M", "5m", "1h", "30s")]
    assert found == [252.0, 252 / 5, 52.0, 12.0, 252 * 78.0, 252 * 7.0, 252 * 780.0]
    with pytest.raises(ConfigError, match="fixed length"):
        bars_a_year("100ticks")


def test_another_column_and_more_history_change_no_bit_of_a_factor() -> None:
    rng = np.random.default_rng(1)
    prices = (10_000 * np.exp(np.cumsum(rng.normal(0, 0.02, (60, 3)), axis=0))).round()
    policy = Policy(weighting="weight", vol_target=0.3, vol_cap=9.0)
    whole = scale_of(hand_bars(*prices.T.tolist()), policy)
    alone = scale_of(hand_bars(prices[:, 1].tolist()), policy)
    later = scale_of(hand_bars(*prices[20:].T.tolist()), policy)
    assert whole[:, 1:2].tobytes() == alone.tobytes()
    assert whole[40:].tobytes() == later[20:].tobytes()
    returns = prices[40 - 20 : 40 + 1, 0]
    spread = (returns[1:] / returns[:-1] - 1).std(ddof=1) * sqrt(252)
    assert whole[40, 0] == pytest.approx(0.3 / spread)


# --- caps -----------------------------------------------------------------------------------------------------------


@row("`cap_name=c`")
def test_no_name_gets_more_than_its_cap() -> None:
    played = run(hand_bars(FLAT, FLAT), [0.5], [0.1], policy=replace(WEIGHTS, cap_name=0.2))
    assert played.shares == [200, 100]


@row("`cap_group=c`, `groups`")
def test_a_group_has_one_cap_and_a_name_without_a_group_none() -> None:
    chips = {"005930": "chips", "000660": "chips"}
    policy = replace(WEIGHTS, cap_group=0.3, groups=chips)
    rank = np.array([[1.0, 2.0, 0.0]] * 8)
    played = run(hand_bars(FLAT, FLAT, FLAT), [0.2], [0.25], [0.4], policy=policy, rank=rank)
    assert played.shares == [50, 250, 400]  # the second ranks before the first, which gets what is left


@row("`cap_gross=c`", "room under caps")
def test_gross_goes_by_rank_and_the_last_get_nothing() -> None:
    policy = replace(WEIGHTS, cap_gross=0.5)
    rank = np.array([[1.0, 3.0, 2.0]] * 8)
    assert run(hand_bars(FLAT, FLAT, FLAT), [0.3], [0.3], [0.3], policy=policy, rank=rank).shares == [0, 300, 200]
    bars = hand_bars(FLAT, FLAT, FLAT)  # no rank, no traded value before the 20th bar: by symbol, 000660 first
    assert run(bars, [0.3], [0.3], [0.3], policy=policy).shares == [200, 300, 0]


@row("room under caps")
def test_goals_that_stand_take_their_room_at_todays_close_first() -> None:
    policy = replace(WEIGHTS, cap_gross=0.5)
    grown = [10_000, 10_000, 12_000, 12_000, 12_000, 12_000, 12_000, 12_000]
    rank = np.array([[1.0, 2.0]] * 8)
    played = run(hand_bars(grown, FLAT), [0.3], [0.0, 0.0, 0.3], policy=policy, rank=rank)
    # bar 2: 300 x 12,000 = 3,600,000 of 5,300,000 (equity 10,600,000) stand; 1,700,000 / 10,000 are left
    assert played.shares == [300, 170]
    dated = replace(policy, rebalance=3)  # bar 3: both are sized, the better rank first: 0.3, then 0.2 of 10,600,000
    assert run(hand_bars(grown, FLAT), [0.3], [0.0, 0.0, 0.3], policy=dated).shares[1] == 318
    assert run(hand_bars(grown, FLAT), [0.3], [0.0, 0.0, 0.3], policy=dated, rank=rank).shares[0] == 176


# --- what is not worth an order -------------------------------------------------------------------------------------


@row("`drift=d`")
@pytest.mark.parametrize(("price", "shares"), [(11_900, 500), (12_500, 450)])
def test_a_held_name_is_left_alone_within_its_band(price: float, shares: int) -> None:
    # weight 0.5, 500 shares. 11,900: equity 10,950,000, size 460.08, away by 39.9 < 46; 12,500: 450, away by 50 > 45
    policy = replace(WEIGHTS, rebalance=2, drift=0.1)
    assert run(hand_bars([10_000, 10_000, *[price] * 2]), [0.5], policy=policy).shares == [shares]


@row("`drift=d`")
def test_a_changed_value_is_held_to_the_band_on_a_date_only() -> None:
    policy = replace(WEIGHTS, rebalance=3, drift=0.1)
    assert run(hand_bars(FLAT[:5]), [0.5, 0.5, 0.52], policy=policy).shares == [520]
    assert run(hand_bars(FLAT[:5]), [0.5, 0.5, 0.5, 0.52], policy=policy).shares == [500]
    assert run(hand_bars(FLAT[:5]), [0.5, 0.5, 0.5, 0.0], policy=policy).shares == [0]


@row("`min_trade_value=m`")
def test_a_small_gap_is_not_traded_unless_it_is_the_end() -> None:
    policy = replace(WEIGHTS, min_trade_value=500_000.0)
    played = run(hand_bars(FLAT), [0.04, 0.05, 0.09, 0.10, 0.01, 0.0], policy=policy)
    # 400,000 is too little, 500,000 is not; 90 is 40 away, 100 is 50 away; 10 is 90 away, and the last 10 always go
    assert played.fills == [(2, 50, 10_000.0, "open"), (4, 50, 10_000.0, "open"), (5, -90, 10_000.0, "open"),
                            (6, -10, 10_000.0, "open")]  # fmt: skip
    assert played.refused == []


# --- turnover -------------------------------------------------------------------------------------------------------


@row("`max_turnover=m`")
def test_entries_are_scaled_to_the_turnover_and_go_on_later() -> None:
    policy = replace(WEIGHTS, max_turnover=0.2)
    played = run(hand_bars(FLAT, FLAT), [0.3], [0.1], policy=policy)
    # 4,000,000 wanted, 2,000,000 allowed: half of each; then 150 and 50 are left, which fit
    assert played.fills_of(0) == [(1, 150, 10_000.0, "open"), (2, 150, 10_000.0, "open")]
    assert played.fills_of(1) == [(1, 50, 10_000.0, "open"), (2, 50, 10_000.0, "open")]
    assert played.refused == [(0, "cut", "TURNOVER"), (0, "cut", "TURNOVER")]


@row("`max_turnover=m`")
def test_exits_go_whole_and_take_their_part_of_the_turnover() -> None:
    policy = replace(WEIGHTS, max_turnover=0.5)
    played = run(hand_bars(FLAT, FLAT, FLAT), [0.4, 0.0], [0.1, 0.05], [0.0, 0.3], policy=policy)
    # bar 1: exit 4,000,000, room 1,000,000 for a sale of 500,000 and a buy of 3,000,000: 2/7 of each
    assert played.fills_of(0)[1:] == [(2, -400, 10_000.0, "open")]
    assert played.fills_of(1)[1:] == [(2, -14, 10_000.0, "open"), (3, -36, 10_000.0, "open")]
    assert played.fills_of(2) == [(2, 85, 10_000.0, "open"), (3, 215, 10_000.0, "open")]
    less = replace(policy, max_turnover=0.3)  # bar 2: the exit is 4,000,000 of 3,000,000: no room for the other sale
    both = run(hand_bars(FLAT, FLAT), [0.4, 0.4, 0.0], [0.1, 0.1, 0.05], policy=less)
    assert both.fills_of(0)[-1] == (3, -400, 10_000.0, "open")
    assert both.fills_of(1)[-1] == (4, -50, 10_000.0, "open")
    assert both.refused[2:] == [(2, "dropped", "TURNOVER")]


@row("`max_turnover=m`")
def test_limits_look_at_what_the_turnover_left() -> None:
    policy, limits = replace(WEIGHTS, max_turnover=0.1), RiskLimits(max_order_value=1_000_000.0)
    played = run(hand_bars(FLAT[:3]), [0.3], policy=policy, limits=limits)
    assert [fill[:2] for fill in played.fills] == [(1, 100), (2, 100)]
    exposed = run(hand_bars(FLAT[:3]), [0.3], policy=policy, limits=RiskLimits(max_exposure=0.05))
    assert exposed.refused == [(0, "cut", "MAX_EXPOSURE")]  # and said once: it goes on


# --- time and units -------------------------------------------------------------------------------------------------


@row("`max_holding=n`")
def test_after_n_bars_a_position_is_sold_and_stays_out_until_flat() -> None:
    policy = replace(TEN, max_holding=2)
    played = run(hand_bars(FLAT), [True, True, True, True, True, False, True], policy=policy)
    assert played.fills == [(1, 10, 10_000.0, "open"), (4, -10, 10_000.0, "open"), (7, 10, 10_000.0, "open")]
    assert played.output.orders["tag"].tolist() == [0, -1, 0]
    halted = run(hand_bars([*FLAT[:4], HALTED, 10_000]), [True], policy=policy)
    assert halted.fills[1:] == [(5, -10, 10_000.0, "open")]
    assert halted.output.orders["tag"].tolist() == [0, -1, -1]
    gone = run(hand_bars(FLAT), [True, True, True, False, True], policy=policy)  # flat already: nothing to stay out of
    assert [fill[:2] for fill in gone.fills] == [(1, 10), (4, -10), (5, 10)]


@row("`max_holding=n`")
def test_a_place_that_was_held_too_long_goes_to_another() -> None:
    one = replace(TEN, max_names=1, max_holding=1)
    played = run(hand_bars(FLAT, FLAT), [True], [True], policy=one, rank=np.array([[2.0, 1.0]] * 8))
    assert [fill[:2] for fill in played.fills_of(0)] == [(1, 10), (3, -10)]
    assert [fill[:2] for fill in played.fills_of(1)] == [(3, 10), (5, -10)]


@row("`pyramid=n`, `pyramid_step=p`")
def test_a_unit_is_added_for_each_step_above_the_last_buy() -> None:
    rising = [10_000, 10_000, 10_490, 10_500, 10_600, 11_100, 11_200, 13_000, 13_000]
    policy = replace(TEN, pyramid=3, pyramid_step=0.05)
    played = run(hand_bars(rising), [True], policy=policy)
    # 10,500 is 5 % above 10,000; filled at 10,600, 11,130 is next: 11,200, filled at 13,000; then no more
    assert played.fills == [(1, 10, 10_000.0, "open"), (4, 10, 10_600.0, "open"), (7, 10, 13_000.0, "open")]
    assert goals(played) == [30]


@row("`pyramid=n`, `pyramid_step=p`")
def test_units_follow_splits_and_new_sizes_and_start_again() -> None:
    split = Action(symbol="005930", ex_date="2024-03-28", kind="split", price_factor=2.0, share_ratio=2.0)
    policy = replace(TEN, pyramid=2, pyramid_step=0.05)
    parted = run(hand_bars([10_000, 10_000, 5_240, 5_250, 5_250], actions=[split]), [True], policy=policy)
    assert parted.fills == [(1, 10, 10_000.0, "open"), (4, 10, 5_250.0, "open")]  # from 10,000 / 2 x 1.05 on
    dated = replace(WEIGHTS, pyramid=2, pyramid_step=0.05, rebalance=3)
    up = [10_000, 10_000, 10_000, 11_000, 11_000, 11_000, 11_000, 11_000]
    # bar 3 is a date: 2 units x floor-less 0.1 x 10,100,000 / 11,000 = 183.6; bar 6: the same again
    sized = run(hand_bars(up), [0.1], policy=dated)
    assert [fill[:2] for fill in sized.fills] == [(1, 100), (4, 83)]
    again = run(hand_bars([*up[:5], 11_000, 11_000, 11_000]), [True, True, True, True, False, True], policy=policy)
    assert goals(again) == [10]


@row("`pyramid=n`, `pyramid_step=p`")
def test_no_unit_while_the_last_is_not_filled_or_the_row_says_nothing() -> None:
    policy = replace(TEN, pyramid=9, pyramid_step=0.05)
    assert goals(run(hand_bars([10_000, 10_000, 11_000, HALTED, HALTED]), [True], policy=policy)) == [20]
    assert goals(run(hand_bars([10_000, 10_000, 11_000, 12_000]), [1.0, nan, nan, 1.0], policy=policy)) == [20]


@row("`cooldown=n`")
@pytest.mark.parametrize(
    ("fill", "bought"), [("next_open", [0, 1, 6]), ("next_close", [0, 1, 6]), ("close", [0, 0, 4])]
)
def test_a_name_is_not_bought_again_until_it_has_cooled_down(fill: str, bought: list[int]) -> None:
    later = 0 if fill == "close" else 1
    played = run(hand_bars(FLAT), [True, False, True], policy=replace(TEN, cooldown=2), fill=fill)
    # sold on bar 2 (same close: bar 1): no buy may fill on the two bars after, so 3 and 4 (2 and 3)
    assert [fill[:2] for fill in played.fills] == [(later, 10), (1 + later, -10), (4 + later, 10)]


@row("`cooldown=n`")
def test_a_place_goes_to_another_while_a_name_cools_down() -> None:
    one = replace(TEN, max_names=1, cooldown=4)
    first, second = [True, False, True], [False, False, False, True]
    played = run(hand_bars(FLAT, FLAT), first, second, policy=one, rank=np.array([[2.0, 1.0]] * 8))
    assert [fill[:2] for fill in played.fills_of(1)] == [(4, 10)]
    assert [fill[:2] for fill in played.fills_of(0)] == [(1, 10), (2, -10)]
    stopped = replace(TEN, cooldown=3, stop_loss=0.05)
    fall = hand_bars([10_000, 10_000, (10_000, 10_000, 9_000, 9_000), *[9_000] * 6])
    assert [fill[:2] for fill in run(fall, [True, True, True, False, True], policy=stopped).fills] == [
        (1, 10), (2, -10), (6, 10),
    ]  # fmt: skip


# --- together -------------------------------------------------------------------------------------------------------


def test_all_of_them_at_once() -> None:
    """Strengths, volatility, caps, turnover and units on one name, worked out step by step."""
    policy = Policy(
        weighting="equal", max_names=2, threshold=0.5, vol_target=0.5, vol_window=2, cap_name=0.12, max_turnover=0.08,
        pyramid=2, pyramid_step=0.05, collar=None,
    )  # fmt: skip
    prices = [10_000, 11_000, 9_900, 9_900, 9_900, 10_400, 10_400]
    played = run(hand_bars(prices), [0.6], policy=policy)
    # bar 2: 0.5 x 10,000,000 / 9,900 x 0.2227 = 112.47 (cap 121.2), 112 x 9,900 = 1,108,800 of 800,000: 80.8 shares
    # bar 3: another volatility, but the goal stands: 32 x 9,900 fit. bar 5: 10,400 >= 9,900 x 1.05, one more unit of
    # today's size, cut to the cap: equity 10,000,000 + 112 x 500 = 10,056,000, x 0.12 / 10,400 = 116.03
    assert [fill[:2] for fill in played.fills] == [(3, 80), (4, 32), (6, 4)]
    assert goals(played) == [116]


@row("`pyramid=n`, `pyramid_step=p`")
def test_a_unit_never_sells_where_a_cap_has_become_too_low() -> None:
    policy = replace(WEIGHTS, pyramid=2, pyramid_step=0.05, cap_name=0.1)
    assert run(hand_bars([10_000, 10_000, 11_000, 11_000]), [0.3], policy=policy).shares == [100]


def test_the_array_of_factors_is_there_only_when_it_is_asked_for() -> None:
    bars = hand_bars(FLAT)
    targets = np.ones((8, 1))
    assert inputs_of(bars, targets, policy=TEN).scale.shape == (0, 0)
    assert inputs_of(bars, targets, policy=replace(TEN, vol_target=0.2)).scale.shape == (8, 1)
