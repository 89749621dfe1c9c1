"""The rows of `docs/execution.md` about money: costs, what is due, corporate actions, short positions, by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from quantkit import Context, Strategy
from quantkit.backtest.run import backtest
from quantkit.core.account import more_commission
from quantkit.core.fold import plan_of
from quantkit.core.policy import Policy
from quantkit.core.state import ENTRY_INTEREST, ENTRY_KINDS, ORDER, no_records
from quantkit.data.actions import Action
from quantkit.data.bars import Bars, midnights
from quantkit.jit import njit_entry
from quantkit.market.costs import Costs
from tests.core.hand import GONE, TEN, Played, hand_bars, play
from tests.core.page import row

STOP = Policy(weighting="shares", amount=10, collar=None, stop_loss=0.08)

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
    fees_of(plan_of(Policy(), costs), no_records(1, ORDER), np.array(values), fees)
    return fees.tolist()


@row('`per="order_day"`')
def test_an_orders_fills_of_a_day_pay_for_their_total() -> None:
    each = Costs(0.00015, truncate_to=10, minimum=100)
    assert charged(each, 500_000, 500_000, 1_234_567) == [100, 100, 180]
    day = Costs(0.00015, truncate_to=10, minimum=100, per="order_day")
    assert charged(day, 500_000, 500_000, 1_234_567) == [100, 50, 180]  # 100, 150 and 330 in all


@row('`per="order_day"`')
def test_a_limit_order_that_fills_in_parts_pays_once_a_session() -> None:
    day = hand_bars([10_000] * 5)
    times = np.repeat(midnights([int(day.days[0]), int(day.days[1])]), (4, 1)) + 3_600_000_000 * np.arange(10, 15)
    hours = Bars(times=times, symbols=day.symbols, flags=day.flags, markets=day.markets, freq="1h",
                 fields={name: day.field(name) for name in ("open", "high", "low", "close", "volume")})  # fmt: skip

    class InParts(Strategy):
        policy = Policy(collar=None, limit_fill="touch", participation=0.1)

        def on_bar(self, ctx: Context) -> None:
            if ctx.i == 0:
                ctx.buy(0, 500, limit=10_000.0, tif="gtc")

    def paid(costs: Costs) -> list[float]:
        return backtest(InParts(), hours, costs=costs).fills["commission"].tolist()

    each = Costs(0.00015, truncate_to=100)  # 100 shares of 10,000 a bar, as much as the volume allows: 150, cut
    assert paid(each) == [100.0, 100.0, 100.0, 100.0]
    assert paid(replace(each, per="order_day")) == [100.0, 200.0, 100.0, 100.0]  # 150, 300, 450; the next day anew


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


@row("interest")
def test_settled_cash_earns_interest_for_calendar_days() -> None:
    bars = hand_bars([10_000] * 6)  # Tuesday to Friday, Monday, Tuesday
    idle = play(bars, [False], cash=10_000_000, costs=Costs(0.0, tax=0.0, interest=0.0365))
    day = 1_000  # 10,000,000 x 0.0365 / 365; on more cash a little more, cut
    assert idle.cash[:4] == [10_000_000, 10_000_000 + day, 10_000_000 + 2 * day, 10_000_000 + 3 * day]
    assert idle.cash[4] == 10_003_000 + 3_000  # three days, floor(10,003,000 x 0.0003)
    assert idle.output.actions["kind"].tolist() == [ENTRY_INTEREST] * 5
    spent = play(bars, [90.0, 0.0], cash=10_000_000, costs=Costs(0.0, tax=0.0, interest=0.0365))
    # bought on Wednesday and sold on Thursday for 9,000,000: the buy settles on Friday, the sale on Monday
    assert np.diff(spent.cash).tolist() == [1_000 - 9_000_000, 1_000 + 9_000_000, 1_000, 300, 1_000]


def test_the_public_run_reads_the_volume_for_impact() -> None:
    bars = hand_bars([10_000, (10_000, 10_500, 9_500, 10_000)])
    result = backtest(targets=[[1.0], [1.0]], bars=bars, policy=TEN, costs=Costs(0.0, tax=0.0, impact=0.02))
    assert result.fills["price"].tolist() == [10_020.0]
    assert result.manifest["run"]["costs"]["impact"] == 0.02


def test_interest_stands_in_the_result() -> None:
    bars = hand_bars([10_000] * 3)
    result = backtest(targets=[[0.0]] * 3, bars=bars, cash=10_000_000, costs=Costs(0.0, tax=0.0, interest=0.0365))
    assert result.cash_flows["kind"].tolist() == ["interest"] * 2
    assert result.cash_flows["amount"].tolist() == [1_000.0, 1_000.0]
    assert result.stats["interest"] == result.stats["profit"] == 2_000.0
    assert len(result.actions) == 0


# --- dividends, rights, new shares ----------------------------------------------------------------------------------


def actions_of(played: Played) -> list[tuple[str, int, int, int, int]]:
    """(kind, change of shares, cash, tax, assumed) of the actions on what was held."""
    rows = played.output.actions
    kinds = [ENTRY_KINDS[kind] for kind in rows["kind"]]
    columns = [rows[name].tolist() for name in ("share_delta", "cash", "tax", "assumed")]
    return list(zip(kinds, *columns, strict=True))


@row("cash dividend", "pay date")
def test_a_dividend_comes_after_tax_on_its_pay_date() -> None:
    dividend = [Action("005930", "2024-03-28", "dividend", cash_per_share=361.0, pay_date="2024-03-31")]
    bars = hand_bars([10_000] * 5, actions=dividend)
    taxed = play(bars, [True], cash=1_000_000, costs=Costs(0.0, tax=0.0))
    assert actions_of(taxed) == [("dividend", 0, 3_055, 555, 0)]  # 3,610 x 0.154 = 555.9
    assert taxed.cash == [1_000_000, 900_000, 900_000, 900_000, 903_055]  # 03-31 is a Sunday
    assert taxed.output.equity.tolist() == [1_000_000, 1_000_000, 1_003_055, 1_003_055, 1_003_055]
    other = play(bars, [True], cash=1_000_000, costs=Costs(0.0, tax=0.0, dividend_tax=0.1))
    assert actions_of(other) == [("dividend", 0, 3_249, 361, 0)]
    at_once = hand_bars([10_000] * 3, actions=[Action("005930", "2024-03-28", "dividend", cash_per_share=361.0)])
    assert play(at_once, [True], cash=1_000_000).cash == [1_000_000, 900_000, 903_610]
    american = hand_bars([100.0] * 3, actions=[Action("005930", "2024-03-28", "dividend", cash_per_share=1.5)],
                         markets=["US"], minor_unit=100, prices="adjusted")  # fmt: skip
    assert actions_of(play(american, [True], costs=Costs(0.0))) == [("dividend", 0, 1_275, 225, 0)]  # cents


@row("rights issue")
def test_rights_are_sold_at_their_theoretical_value() -> None:
    rights = [Action("005930", "2024-03-28", "rights", price_factor=1.25, pay_date="2024-04-01")]
    bars = hand_bars([10_000, 10_000, 8_000, 8_000, 8_000], actions=rights)
    played = play(bars, [True], cash=1_000_000, costs=Costs(0.0))
    assert actions_of(played) == [("rights", 0, 20_000, 0, 1)]  # (10,000 - 8,000) x 10
    assert played.cash == [1_000_000, 900_000, 900_000, 900_000, 920_000]
    assert played.output.equity.tolist() == [1_000_000] * 5
    stopped = play(bars, [True], policy=STOP)  # the average entry follows: 8,000 is no loss
    assert stopped.shares == [10]
    given = [Action("005930", "2024-03-28", "rights", price_factor=1.25, cash_per_share=1_500.0)]
    known = play(hand_bars([10_000, 10_000, 8_000], actions=given), [True])
    assert actions_of(known) == [("rights", 0, 15_000, 0, 0)]


def test_a_right_taken_as_sold_is_flagged() -> None:
    rights = [Action("005930", "2024-03-28", "rights", price_factor=1.25)]
    bars = hand_bars([10_000, 10_000, 8_000], actions=rights)
    result = backtest(targets=[[1.0]] * 3, bars=bars, policy=TEN, costs=Costs.free())
    assert result.actions[["kind", "shares", "cash", "assumed"]].values.tolist() == [["rights", 0, 20_000.0, True]]
    assert any("theoretical value" in said for said in result.warnings)
    assert result.stats["profit"] == 0.0
    assert result.trades["pnl"].tolist() == [0.0]


@row("new shares listed later (`receivable`, share ratio above 1)")
def test_new_shares_are_owned_at_once_and_sold_after_their_listing() -> None:
    bonus = [Action("005930", "2024-03-28", "bonus", share_ratio=1.25, pay_date="2024-04-01", receivable=True)]
    bars = hand_bars([10_000, 10_000, 8_000, 8_000, 8_000, 8_000], actions=bonus)
    played = play(bars, [True], cash=1_000_000)
    assert actions_of(played) == [("bonus", 2, 4_000, 0, 0)]  # 2.5 new shares, half a share paid with the listing
    assert played.cash == [1_000_000, 900_000, 900_000, 900_000, 904_000, 904_000]
    assert played.output.equity.tolist() == [1_000_000] * 6
    assert (played.shares, played.state.names["due"].tolist()) == ([12], [0])
    sold = play(bars, [1.0, 1.0, 0.0], cash=1_000_000)  # what is due is sold on the bar after it came
    assert sold.fills == [(1, 10, 10_000.0, "open"), (3, -10, 8_000.0, "open"), (5, -2, 8_000.0, "open")]
    assert sold.refused == []
    still = play(hand_bars([10_000, 10_000, 8_000, 8_000], actions=bonus), [True])
    assert (still.shares, still.state.names["due"].tolist()) == ([10], [2])
    gone = play(hand_bars([10_000, 10_000, 8_000, GONE], actions=bonus), [True], cash=1_000_000)
    assert gone.fills[1:] == [(3, -12, 8_000.0, "delisting")]


def test_the_peak_follows_shares_that_are_only_due() -> None:
    bonus = [Action("005930", "2024-03-28", "bonus", share_ratio=1.25, pay_date="2024-04-01", receivable=True)]
    bars = hand_bars([10_000, 10_000, 8_000, (8_000, 9_000, 8_000, 8_000), 8_000], actions=bonus)
    played = play(bars, [1.0, 1.0, 0.0], policy=replace(TEN, trailing_stop=0.05), cash=1_000_000)
    # all that is listed is sold before the high of 9,000; what comes the day after has fallen by more than 5 % since
    assert played.fills[1:] == [(3, -10, 8_000.0, "open"), (4, -2, 8_000.0, "trailing_stop_gap")]


def test_a_weight_counts_what_is_due() -> None:
    bonus = [Action("005930", "2024-03-28", "bonus", share_ratio=2.0, pay_date="2024-04-03", receivable=True)]
    policy = Policy(weighting="weight", rebalance=1, collar=None)
    played = play(hand_bars([10_000, 10_000, 5_000, 5_000, 5_000], actions=bonus), [0.5], cash=1_000_000, policy=policy)
    assert played.fills == [(1, 50, 10_000.0, "open")]
    assert played.state.names["due"].tolist() == [50]


@row("several actions on one day")
def test_a_dividend_is_due_on_the_shares_before_a_split_of_the_day() -> None:
    both = [
        Action("005930", "2024-03-28", "split", share_ratio=5.0),
        Action("005930", "2024-03-28", "dividend", cash_per_share=100.0),
    ]
    played = play(hand_bars([10_000, 10_000, 2_000], actions=both), [True])
    assert actions_of(played) == [("dividend", 0, 1_000, 0, 0), ("split", 40, 0, 0, 0)]


@row("capital reduction")
def test_a_reduction_takes_shares_and_may_pay_for_them() -> None:
    free = [Action("005930", "2024-03-28", "reduction", share_ratio=0.3)]
    bars = hand_bars([(9_000, 9_000, 9_000, 9_000)] * 2 + [30_000], actions=free)
    played = play(bars, [1.5], cash=1_000_000)
    assert (played.shares, actions_of(played)) == ([4], [("reduction", -11, 15_000, 0, 0)])  # 4.5: half at 30,000
    assert played.output.equity.tolist() == [1_000_000] * 3
    paying = Action("005930", "2024-03-28", "reduction", price_factor=1.25, share_ratio=0.5, cash_per_share=6_000.0)
    paid = play(hand_bars([10_000, 10_000, 8_000], actions=[paying]), [True], cash=1_000_000, costs=Costs(0.0))
    assert (paid.shares, actions_of(paid)) == ([5], [("reduction", -5, 60_000, 0, 0)])
    assert paid.output.equity.tolist() == [1_000_000] * 3


@row("spin-off")
def test_what_is_spun_off_is_sold_at_its_theoretical_value() -> None:
    parted = [Action("005930", "2024-03-28", "spinoff", price_factor=0.8, share_ratio=0.6)]
    played = play(hand_bars([10_000, 10_000, 12_500], actions=parted), [True], cash=1_000_000)
    assert (played.shares, actions_of(played)) == ([6], [("spinoff", -4, 25_000, 0, 1)])  # 10,000 - 12,500 x 0.6
    assert played.output.equity.tolist() == [1_000_000] * 3


@row("merger")
def test_a_merger_gives_what_its_ratio_and_cash_say() -> None:
    merged = [Action("005930", "2024-03-28", "merger", price_factor=1.25, share_ratio=1.2, cash_per_share=400.0)]
    played = play(hand_bars([10_000, 10_000, 8_000], actions=merged), [True], cash=1_000_000, costs=Costs(0.0))
    assert (played.shares, actions_of(played)) == ([12], [("merger", 2, 4_000, 0, 0)])
    assert played.output.equity.tolist() == [1_000_000] * 3
