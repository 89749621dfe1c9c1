"""The rows of `docs/execution.md` about positions below nothing, worked out by hand.

Short sales are allowed again from 2025-03-31; prices around 10,000 have a tick of 10 and limits of 7,000 and 13,000.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from quantkit import Context, Strategy
from quantkit.backtest.run import backtest
from quantkit.core.policy import Policy, RiskLimits
from quantkit.core.state import ENTRY_KINDS
from quantkit.data.actions import Action
from quantkit.errors import BadData, ConfigError
from quantkit.market.costs import Costs
from tests.core.hand import GONE, MISSING, TEN, Bars, Played, hand_bars, play
from tests.core.page import row
from tests.core.reference_orders import Command

SHORT = replace(TEN, short="simulate")
FREE_DAY = "2025-04-01"  # a Tuesday


def bars_of(*names: Any, start: str = FREE_DAY, **given: Any) -> Bars:
    return hand_bars(*names, start=start, **given)


def short(bars: Bars, *targets: Any, **settings: Any) -> Played:
    return play(bars, *targets, **({"policy": SHORT} | settings))


@row("negative target")
def test_a_negative_target_is_sold_short_and_bought_back() -> None:
    played = short(bars_of([10_000, 10_000, 9_000, 9_000]), [-1.0, -1.0, 0.0], cash=1_000_000)
    assert played.fills == [(1, -10, 10_000.0, "open"), (3, 10, 9_000.0, "open")]
    assert played.output.equity.tolist() == [1_000_000, 1_000_000, 1_010_000, 1_010_000]
    weights = Policy(weighting="weight", collar=None, short="simulate")
    assert short(bars_of([10_000] * 2), [-1 / 3], cash=1_000_000, policy=weights).shares == [-33]
    cut = replace(SHORT, rounding="order")
    assert short(bars_of([10_000] * 3), [-1.0, -0.75], policy=cut).shares == [-8]


@row("from long to short, and back")
def test_a_position_is_turned_by_two_orders() -> None:
    turned = short(bars_of([10_000] * 4), [1.0, -1.0, 0.5])
    assert turned.fills == [
        (1, 10, 10_000.0, "open"),
        (2, -10, 10_000.0, "open"),
        (2, -10, 10_000.0, "open"),
        (3, 10, 10_000.0, "open"),
        (3, 5, 10_000.0, "open"),
    ]
    assert len(turned.output.orders) == 5


@row("short sale", "buys beside shorts")
def test_a_short_ties_up_its_margin() -> None:
    played = short(bars_of([10_000] * 4), [-3.0], cash=100_000)  # 15 x 10,000 for 30 shares: room for 20
    assert (played.shares, played.refused) == ([-20], [(0, "cut", "MARGIN")])
    beside = short(bars_of([10_000] * 3, [10_000] * 3), [-1.0], [1.0], cash=100_000)
    assert beside.shares == [-10, 5]  # 100,000 + 100,000 - 150,000 are left for buys
    assert beside.refused[0] == (0, "cut", "INSUFFICIENT_CASH")
    full = short(bars_of([10_000] * 2), [-3.0], cash=100_000, policy=replace(SHORT, short_margin=1.0))
    assert full.shares == [-10]
    taxed = short(bars_of([10_000] * 2), [-3.0], cash=100_000, costs=Costs(0.001))  # a share ties up 5,000 + 10 + 15
    assert taxed.shares == [-19]
    by_symbol = short(bars_of([10_000] * 2, [10_000] * 2), [-2.0], [-2.0], cash=150_000)
    assert by_symbol.shares == [-10, -20]  # 000660 before 005930


@row("`max_holding=n`", "own orders and shorts")
def test_what_an_own_buy_asks_of_an_ended_goal_is_not_the_policys_order() -> None:
    # Bar 2 ends the goal of the short and is missing; the own buy of 7 moves the goal to 7, and 3 are still missing.
    script: list[list[Command]] = [[] for _ in range(6)]
    script[0] = [Command("target_shares", 0, weight=-3.0)]
    script[2] = [Command("buy", 0, 7, {"tag": 1})]
    bars = bars_of([10_000, 10_000, MISSING, 10_000, 10_000, 10_000])
    played = play(bars, [np.nan], script=script, policy=replace(SHORT, max_holding=1), cash=1_000_000)
    assert [fill[:2] for fill in played.fills] == [(1, -3), (3, 7), (4, 3), (5, -7)]
    assert played.output.orders["tag"].tolist() == [0, 1, 0, -1]


@row("buys beside shorts")
def test_buys_with_cash_only_spend_the_buying_power_before_the_bar() -> None:
    policy = replace(SHORT, funding="cash", collar=0.10)
    played = short(bars_of([10_000] * 4, [10_000] * 4), [-1.0], [0.0, 1.0], cash=100_000, policy=policy)
    assert played.fills_of(0) == [(1, -10, 10_000.0, "open")]
    assert played.fills_of(1)[0] == (2, 4, 10_000.0, "open")  # 50,000 at 11,000 each


@row("one matching step", "closing a short")
def test_what_is_bought_back_frees_the_margin_for_new_shorts() -> None:
    bars = bars_of([10_000] * 4, [10_000] * 4)
    swapped = short(bars, [0.0, -2.0, -2.0], [-2.0, 0.0, 0.0], cash=100_000)
    assert [row[:3] for row in swapped.rows] == [(1, 1, -20), (2, 1, 20), (2, 0, -20)]
    broke = short(bars_of([10_000, 10_000, 12_900, 16_700, 16_700]), [-2.0, -2.0, -2.0, 0.0], cash=100_000)
    assert broke.fills[-1] == (4, 20, 16_700.0, "open")  # for 334,000, with 300,000 in the account
    assert broke.cash[-1] == -34_000


@row("ban of the day (`market.short`)", "not even one share short")
def test_bans_hold_by_date() -> None:
    banned = short(bars_of([10_000] * 4, start="2024-03-26"), [-1.0])
    assert (banned.fills, banned.refused) == ([], [(0, "dropped", "SHORT_BANNED")])
    friday = bars_of([10_000] * 4, start="2020-03-13")  # banned from Monday the 16th on
    assert short(friday, [-1.0]).refused == [(0, "dropped", "SHORT_BANNED")]
    again = bars_of([10_000] * 4, start="2025-03-28")  # a Friday; resumed on Monday the 31st
    assert short(again, [-1.0]).fills == [(2, -10, 10_000.0, "open")]
    back = short(bars_of([10_000] * 4, start="2020-03-12"), [-1.0, 0.0])  # buying back is never banned
    assert back.fills == [(1, -10, 10_000.0, "open"), (2, 10, 10_000.0, "open")]
    abroad = short(bars_of([10_000] * 2, start="2024-03-26", markets=["US"]), [-1.0], alone=True)
    assert abroad.shares == [-10]
    poor = short(bars_of([10_000] * 3), [-1.0], cash=4_000)
    assert (poor.fills, poor.refused) == ([], [(0, "dropped", "MARGIN")])


@row("limits on short sales")
def test_limits_deny_a_short_sale_and_never_its_end() -> None:
    bars = bars_of([10_000] * 3)
    assert short(bars, [-1.0], limits=RiskLimits(max_order_shares=9)).refused == [(0, "dropped", "ORDER_TOO_LARGE")]
    assert short(bars, [-1.0], limits=RiskLimits(max_weight=0.009)).refused == [(0, "dropped", "MAX_WEIGHT")]
    two = short(bars_of([10_000] * 2, [10_000] * 2), [-1.0], [1.0], limits=RiskLimits(max_names=1))
    assert (two.shares, two.refused) == ([0, 10], [(0, "dropped", "MAX_POSITIONS")])
    half = short(bars_of([10_000] * 2, [10_000] * 2), [-1.0], [1.0], cash=200_000, limits=RiskLimits(max_exposure=0.5))
    assert half.shares == [-5, 5]
    lost = bars_of([10_000, 10_000, 12_000, 12_000, 12_000])
    ended = short(lost, [-1.0, -1.0, 0.0, -1.0], cash=200_000, limits=RiskLimits(max_drawdown=0.05))
    assert ended.fills == [(1, -10, 10_000.0, "open"), (3, 10, 12_000.0, "open")]
    assert ended.refused == [(3, "dropped", "DRAWDOWN")]


@row("sale tax and fee")
def test_a_short_pays_tax_when_sold_and_a_fee_by_the_day() -> None:
    bars = bars_of([10_000] * 5)  # Tuesday to Friday, Monday
    played = short(bars, [-10.0], cash=1_000_000, costs=Costs(0.0, borrow=0.365))
    assert played.output.fills["tax"].tolist() == [1_500]  # 0.15 % in 2025
    assert played.cash == [1_000_000, 1_998_500, 1_997_500, 1_996_500, 1_993_500]
    assert [ENTRY_KINDS[kind] for kind in played.output.actions["kind"]] == ["borrow"] * 3
    assert played.output.actions["cash"].tolist() == [-1_000, -1_000, -3_000]


STOPS = {
    "stop": (replace(SHORT, stop_loss=0.08), (10_000, 10_850, 9_900, 10_000), (10_800.0, "stop_loss")),
    "gap": (replace(SHORT, stop_loss=0.08), (11_000, 11_000, 10_900, 10_900), (11_000.0, "stop_loss_gap")),
    "take": (replace(SHORT, take_profit=0.05), (10_000, 10_000, 9_400, 9_800), (9_500.0, "take_profit")),
    "take gap": (replace(SHORT, take_profit=0.05), (9_400, 9_400, 9_300, 9_400), (9_400.0, "take_profit_gap")),
    "both": (
        replace(SHORT, take_profit=0.05, stop_loss=0.08), (10_000, 10_900, 9_400, 9_500), (10_800.0, "stop_loss")
    ),
    "low first": (replace(SHORT, trailing_stop=0.05), (9_200, 9_500, 9_000, 9_400), (9_450.0, "trailing_stop")),
    "high first": (replace(SHORT, trailing_stop=0.05), (9_900, 9_900, 9_000, 9_600), (9_450.0, "trailing_stop")),
    "grid": (replace(SHORT, stop_loss=0.0815), (10_000, 10_850, 9_900, 10_000), (10_820.0, "stop_loss")),
}  # fmt: skip


@row("stops of a short")
@pytest.mark.parametrize("case", STOPS)
def test_stops_of_a_short_are_mirrored(case: str) -> None:
    policy, bar, (price, rule) = STOPS[case]
    o, h, low, c = bar
    played = short(bars_of([10_000, 10_000, (o, max(o, h), low, c), 10_000]), [-1.0], policy=policy)
    assert played.fills == [(1, -10, 10_000.0, "open"), (2, 10, price, rule)]  # and out until the target was 0


@row("stops of a short")
def test_a_short_is_not_bought_back_at_the_upper_limit_and_its_trail_follows_the_low() -> None:
    locked = short(bars_of([10_000, 10_000, 13_000]), [-1.0], policy=replace(SHORT, stop_loss=0.08))
    assert locked.refused == [(2, "dropped", "LIMIT_LOCKED")]
    trailed = short(bars_of([10_000, 10_000, 9_000, (9_300, 9_500, 9_300, 9_500)]), [-1.0],
                    policy=replace(SHORT, trailing_stop=0.05))  # fmt: skip
    assert trailed.fills[1:] == [(3, 10, 9_450.0, "trailing_stop")]
    added = short(bars_of([10_000, 10_000, (12_000, 12_000, 11_950, 12_000), 12_000]), [-1.0, -2.0],
                  policy=replace(SHORT, stop_loss=0.085))  # fmt: skip
    assert added.fills[2:] == [(2, 20, 12_000.0, "stop_loss_gap")]  # the average, 11,000, stops at 11,935


@row("actions on a short")
def test_a_short_pays_what_a_holder_receives() -> None:
    def after(*actions: Action, price: float = 10_000) -> Played:
        return short(bars_of([10_000, 10_000, price, price], actions=actions), [-1.0], cash=1_000_000, costs=Costs(0.0))

    split = after(Action("005930", "2025-04-03", "split", share_ratio=5.0), price=2_000)
    assert (split.shares, split.output.equity[1], split.output.equity[3]) == ([-50], 999_850, 999_850)
    bonus = after(Action("005930", "2025-04-03", "bonus", share_ratio=1.07, pay_date="2025-05-02", receivable=True))
    assert bonus.shares == [-10]
    assert bonus.output.actions["cash"].tolist() == [-6_542]  # 0.7 x 10,000 / 1.07
    assert bonus.cash[-1] == bonus.cash[1]  # paid in May
    paid = after(Action("005930", "2025-04-03", "dividend", cash_per_share=361.0))
    assert (paid.output.actions["cash"].tolist(), paid.output.actions["tax"].tolist()) == ([-3_610], [0])
    rights = after(Action("005930", "2025-04-03", "rights", price_factor=1.25), price=8_000)
    assert rights.output.actions["cash"].tolist() == [-20_000]
    assert rights.output.equity[3] == rights.output.equity[1]


@row("delisting of a short")
def test_a_delisted_short_is_bought_back_at_the_last_close() -> None:
    gone = short(bars_of([10_000, 10_000, 300, GONE], liquidation=[2]), [-1.0], costs=Costs(0.01, tax=0.0))
    assert gone.fills[1:] == [(3, 10, 300.0, "delisting")]
    assert gone.output.fills["commission"].tolist() == [1_000, 0]


@row("own orders and shorts")
def test_a_rule_goes_short_by_a_goal_not_by_a_sale() -> None:
    class Sells(Strategy):
        policy = SHORT

        def on_bar(self, ctx: Context) -> None:
            if ctx.i == 0:
                ctx.sell(0, 10)
                ctx.sell(0, 10, limit=9_000.0)
            if ctx.i == 2:
                ctx.target(0, -0.5)

    result = backtest(Sells(), bars_of([10_000] * 5), cash=1_000_000, costs=Costs.free())
    assert result.positions["005930"].tolist() == [0, 0, 0, -50, -50]
    assert result.orders["reason"].tolist()[:2] == ["INSUFFICIENT_SHARES"] * 2


@row("closing a short", "own orders and shorts")
def test_an_own_buy_of_no_more_than_is_short_closes() -> None:
    def after(quantity: int, policy: Policy = SHORT, **settings: Any) -> Played:
        script: list[list[Command]] = [[] for _ in range(4)]
        script[0] = [Command("target_shares", 0, weight=-20.0)]
        script[1] = [Command("buy", 0, quantity, {"limit": 10_000.0, "tag": 1})]
        bars = bars_of([10_000, 10_000, (10_000, 10_000, 9_900, 9_900), 9_900])
        return play(bars, [np.nan], script=script, policy=policy, **({"cash": 100_000} | settings))

    closed = after(20)  # the buying power is 0
    assert closed.fills == [(1, -20, 10_000.0, "open"), (2, 20, 10_000.0, "limit")]
    assert after(20, replace(SHORT, funding="cash")).fills == closed.fills
    assert after(20, limits=RiskLimits(max_order_shares=19)).shares == [0]  # which also lets no short in
    assert after(21).refused == [(1, "dropped", "INSUFFICIENT_CASH")]
    turned = after(25, replace(SHORT, short_margin=0.0), cash=300_000)
    assert (turned.shares, turned.state.names["goal"].tolist()) == ([5], [5])
    assert turned.state.names["entry_value"].tolist() == [50_000]


@row("buys beside shorts")
def test_a_buy_through_a_short_leaves_nothing_free_on_its_bar() -> None:
    script: list[list[Command]] = [[] for _ in range(3)]
    script[0] = [Command("target_shares", 0, weight=-2.0)]
    script[1] = [Command("buy", 0, 8, {"limit": 9_900.0, "tag": 1}), Command("buy", 0, 2, {"stop": 10_100.0, "tag": 2})]
    bars = bars_of([10_000, 10_000, (10_000, 10_200, 9_800, 10_000)])
    played = play(bars, [np.nan], script=script, policy=SHORT, cash=100_000)
    assert played.fills[1:] == [(2, 8, 9_900.0, "limit"), (2, 1, 10_100.0, "stop")]  # 90,000 - 79,200 are left


@row("closing a short")
def test_a_closing_order_buys_no_more_than_is_short() -> None:
    script: list[list[Command]] = [[] for _ in range(5)]
    script[0] = [Command("target_shares", 0, weight=-10.0)]
    script[2] = [Command("target_shares", 0, weight=0.0), Command("buy", 0, 4, {"tag": 1})]
    played = play(bars_of([10_000] * 5), [np.nan], script=script, policy=SHORT)
    assert [fill[:2] for fill in played.fills] == [(1, -10), (3, 4), (3, 6), (4, 4)]  # an own buy moves the goal
    assert played.refused == [(2, "cut", "INSUFFICIENT_SHARES")]


@row("afterwards", "from long to short, and back")
def test_a_stop_drops_what_would_open_the_other_side() -> None:
    bars = bars_of([10_000, 10_000, (10_000, 10_000, 8_900, 9_000), 9_000])
    played = short(bars, [1.0, -1.0], fill="next_close", policy=replace(SHORT, stop_loss=0.08))
    assert played.fills == [(1, 10, 10_000.0, "close"), (2, -10, 9_200.0, "stop_loss")]
    assert played.refused == [(1, "dropped", "INSUFFICIENT_SHARES"), (1, "dropped", "STOPPED")]


@row("from long to short, and back")
def test_nothing_is_sold_short_while_shares_are_due() -> None:
    bonus = Action("005930", "2025-04-03", "bonus", share_ratio=1.5, pay_date="2025-04-07", receivable=True)
    bars = bars_of([15_000, 15_000, 10_000, 10_000, 10_000, 10_000], actions=[bonus])
    played = short(bars, [1.0, 1.0, -1.0])
    assert played.fills == [(1, 10, 15_000.0, "open"), (3, -10, 10_000.0, "open"), (5, -5, 10_000.0, "open"),
                            (5, -10, 10_000.0, "open")]  # fmt: skip
    between = short(bars, [1.0, -1.0])  # decided the day before the shares became due
    assert (2, -10, 10_000.0, "open") in between.fills
    assert (1, "dropped", "INSUFFICIENT_SHARES") in between.refused


@row("limits on short sales", "`max_turnover=m`")
def test_what_closes_makes_room_for_what_opens() -> None:
    bars = bars_of([10_000] * 4, [10_000] * 4)
    swapped = short(bars, [-1.0, 0.0], [0.0, 1.0], cash=200_000, limits=RiskLimits(max_exposure=0.5))
    assert swapped.shares == [0, 10]
    both = short(bars, [-1.0, -0.5], [0.0, 1.0], cash=200_000, limits=RiskLimits(max_exposure=0.5))
    assert both.shares == [-5, 5]
    slow = short(bars_of([10_000] * 5), [1.0, 1.0, -1.0], cash=200_000, policy=replace(SHORT, max_turnover=0.7))
    assert slow.fills == [(1, 10, 10_000.0, "open"), (3, -10, 10_000.0, "open"), (3, -4, 10_000.0, "open"),
                          (4, -6, 10_000.0, "open")]  # fmt: skip
    slower = short(bars_of([10_000] * 4), [1.0, 1.0, -1.0], cash=200_000, policy=replace(SHORT, max_turnover=0.45))
    assert slower.refused == [(0, "cut", "TURNOVER"), (2, "dropped", "TURNOVER"), (2, "cut", "TURNOVER")]


@row("short sale")
def test_a_fixed_tax_does_not_make_a_short_sale_smaller_than_it_may_be() -> None:
    played = short(bars_of([10_000] * 2), [-40.0], cash=1_014_999, costs=Costs(0.0, tax=0.0075))
    assert played.shares == [-199]  # a share ties up 5,000 + 75
    more = short(bars_of([10_000] * 2), [-40.0], cash=1_015_000, costs=Costs(0.0, tax=0.0075))
    assert more.shares == [-200]


@row("`pyramid=n`, `pyramid_step=p`")
def test_a_position_that_turns_starts_with_one_unit() -> None:
    policy = replace(SHORT, pyramid=3, pyramid_step=0.01)
    played = short(bars_of([10_000, 10_000, 10_200, 10_200, 10_200]), [1.0, 1.0, 1.0, -1.0], policy=policy)
    assert played.fills == [(1, 10, 10_000.0, "open"), (3, 10, 10_200.0, "open"), (4, -20, 10_200.0, "open"),
                            (4, -10, 10_200.0, "open")]  # fmt: skip


@row("weight (float targets)", "negative target")
def test_equity_below_nothing_denies_nothing_and_sizes_nothing() -> None:
    bars = bars_of([10_000, 10_000, 13_000, 16_900, 21_950, 21_950], [10_000] * 6)
    free = replace(SHORT, short_margin=0.0)
    lost = short(bars, [-2.0], [0.0, 0.0, 0.0, 0.0, 1.0], cash=200_000, policy=free)
    assert int(lost.output.equity[4]) < 0
    assert [reason for _, _, reason in lost.refused] == ["INSUFFICIENT_CASH"]  # and not MAX_WEIGHT: there is none
    weights = replace(free, weighting="weight")
    sized = short(bars, [-2.0], [0.0, 0.0, 0.0, 0.0, 1.0], cash=200_000, policy=weights)
    assert sized.state.names["goal"].tolist()[1] == 0


# --- through the public door ----------------------------------------------------------------------------------------


def test_a_negative_target_is_refused_unless_it_is_asked_for() -> None:
    bars, targets = bars_of([10_000] * 3), [[-0.5]] * 3
    with pytest.raises(BadData, match='short="simulate"'):
        backtest(targets=targets, bars=bars)
    with pytest.raises(ConfigError, match="short"):
        backtest(targets=targets, bars=bars, short="yes")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="short_margin"):
        Policy(short_margin=-0.1)
    policy = Policy(weighting="weight", collar=None)
    result = backtest(targets=targets, bars=bars, policy=policy, short="simulate", costs=Costs.free(), cash=1_000_000)
    assert result.positions["005930"].tolist() == [0, -50, -50]
    assert result.manifest["run"]["policy"]["short"] == "simulate"
    assert any("No retail account in Korea" in said for said in result.warnings)
    assert result.trades["quantity"].tolist() == [-50]


def test_a_short_that_falls_is_a_won_trade() -> None:
    bars = bars_of([10_000, 10_000, 9_000, 9_000])
    result = backtest(targets=[[-1.0], [-1.0], [0.0], [0.0]], bars=bars, policy=SHORT, costs=Costs.free())
    assert result.trades[["quantity", "pnl", "return"]].values.tolist() == [[-10, 10_000.0, 0.1]]
    assert result.stats["win_rate"] == 1.0


def test_fees_on_borrowed_shares_stand_in_the_result() -> None:
    policy = Policy(weighting="shares", amount=100, collar=None, short="simulate")
    costs = Costs(0.0, tax=0.0, borrow=0.365)
    result = backtest(targets=[[-1.0]] * 4, bars=bars_of([10_000] * 4), policy=policy, costs=costs)
    assert result.stats["borrow_cost"] == -result.stats["profit"] == 2_000.0
    assert result.cash_flows["amount"].tolist() == [-1_000.0, -1_000.0]
