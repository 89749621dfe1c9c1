"""Rows of `docs/execution.md` about the cash and the volume a strategy's own orders may take.

Around 10,000 won the tick is 10, and from a base of 10,000 the day's limits are 7,000 and 13,000. Bars are open, high,
low, close; an order made on bar 0 meets bar 1.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from quantkit import Policy
from tests.core.acted import FREE, acted, day_bars
from tests.core.hand import hand_bars
from tests.core.page import row

TWO_BIDS = (10_000, 10_000, 9_800, 9_850)


@row('cash, `funding="proceeds"`')
def test_buys_on_the_path_spend_what_the_open_left() -> None:
    run = acted(
        hand_bars([10_000, TWO_BIDS]),
        {0: lambda ctx: [ctx.buy(0, 6), ctx.buy(0, 6, limit=9_900, tif="gtc"), ctx.buy(0, 1, limit=9_850, tif="gtc")]},
        cash=100_000,
    )
    assert run.fills == [(1, 6, 10_000.0, "open"), (1, 4, 9_900.0, "limit")]
    assert run.ends[1:] == [(1, 4, "cut", "INSUFFICIENT_CASH", 1), (2, 0, "dropped", "INSUFFICIENT_CASH", 1)]
    assert run.cash == [100_000, 100_000 - 60_000 - 39_600]


@row('cash, `funding="proceeds"`')
def test_names_spend_in_the_order_of_their_symbols() -> None:
    bars = hand_bars([10_000, TWO_BIDS], [10_000, TWO_BIDS])  # 005930 and 000660
    run = acted(bars, {0: lambda ctx: [ctx.buy(s, 6, limit=9_900) for s in (0, 1)]}, cash=100_000)
    assert (run.fills, run.names) == ([(1, 6, 9_900.0, "limit"), (1, 4, 9_900.0, "limit")], [1, 0])


@row('cash, `funding="proceeds"`')
def test_a_sale_on_the_path_pays_for_later_buys_of_its_name_only() -> None:
    flat, up = 10_000, (10_000, 10_100, 10_000, 10_100)

    def trade(ctx: Any) -> None:
        ctx.sell(1, 10, limit=10_050)  # 000660, whose path comes first
        ctx.buy(1, 4, stop=10_080)
        ctx.buy(0, 5, stop=10_020, tif="day")

    run = acted(hand_bars([flat, flat, up], [flat, flat, up]), {0: lambda ctx: ctx.buy(1, 10), 1: trade}, cash=110_000)
    assert run.fills[1:] == [(2, -10, 10_050.0, "limit"), (2, 4, 10_080.0, "stop")]
    assert [bool(mark) for mark in run.from_proceeds] == [False, False, True], "10,000 won were there before"
    assert run.ends[3] == (3, 0, "dropped", "INSUFFICIENT_CASH", 2), "10,020 is more than what is not of 000660"
    assert run.cash[-1] == 10_000 + 100_500 - 40_320


CASH = Policy(collar=None, funding="cash")


@row('cash, `funding="cash"`')
def test_bids_reserve_their_money_older_first() -> None:
    run = acted(
        hand_bars([10_000, (10_000, 10_000, 9_400, 9_500)]),
        {0: lambda ctx: [ctx.buy(0, 6, limit=9_000, tif="gtc"), ctx.buy(0, 6, limit=9_500)]},
        policy=CASH,
        cash=100_000,
    )
    # 54,000 of 100,000 lie with the first, which never fills: 46,000 are 4 shares at 9,500
    assert run.fills == [(1, 4, 9_500.0, "limit")]
    assert run.ends == [(0, 0, "working", "", -1), (1, 4, "cut", "INSUFFICIENT_CASH", 1)]


@row('cash, `funding="cash"`')
def test_what_is_placed_keeps_its_money_through_the_session() -> None:
    bars = day_bars(
        {"2024-03-26": {"09:30": 10_000, "10:00": 10_000, "10:30": (9_500, 9_500, 8_900, 9_000)}}, freq="30m"
    )
    acts = {0: lambda ctx: ctx.buy(0, 6, limit=9_000), 1: lambda ctx: ctx.buy(0, 6)}
    run = acted(bars, acts, policy=CASH, cash=100_000)
    # the market order on bar 2 is counted at 46,000 / 10,000 (no base, no limits: the reference): 4 shares
    assert run.fills == [(2, 4, 9_500.0, "open"), (2, 6, 9_000.0, "limit")]


@row('cash, `funding="cash"`')
def test_orders_at_the_open_reserve_before_bids_and_stops_nothing() -> None:
    run = acted(
        hand_bars([10_000, (10_000, 10_200, 8_900, 9_000)]),
        {0: lambda ctx: [ctx.buy(0, 8, limit=9_000), ctx.buy(0, 3), ctx.buy(0, 9, stop=10_100)]},
        policy=replace(CASH, path="optimistic"),
        cash=100_000,
    )
    # 3 x 13,000 leave 61,000, 6 bids of 9,000; of the 70,000 that are there after the open 54,000 are reserved
    assert run.fills == [(1, 3, 10_000.0, "open"), (1, 1, 10_100.0, "stop"), (1, 6, 9_000.0, "limit")]
    assert run.ends[0] == (0, 6, "cut", "INSUFFICIENT_CASH", 1)
    assert run.ends[2] == (2, 1, "cut", "INSUFFICIENT_CASH", 1)


@row('cash, `funding="cash"`')
def test_a_parked_bid_reserves_nothing() -> None:
    run = acted(
        hand_bars([10_000, TWO_BIDS]),
        {0: lambda ctx: [ctx.buy(0, 5, limit=14_000, tif="gtc"), ctx.buy(0, 10, limit=9_900)]},
        policy=CASH,
        cash=100_000,
    )
    assert run.fills == [(1, 10, 9_900.0, "limit")]


CAP = replace(FREE, participation=0.005)  # 5 shares of the 1,000 that trade on each bar


@row("participation cap")
def test_the_cap_of_orders_at_the_open() -> None:
    own = acted(hand_bars([10_000] * 3), {0: lambda ctx: [ctx.buy(0, 3), ctx.buy(0, 4)]}, policy=CAP)
    assert own.fills == [(1, 3, 10_000.0, "open"), (1, 2, 10_000.0, "open")]
    assert own.ends == [(0, 3, "filled", "", 1), (1, 2, "cut", "PARTICIPATION", 1)]
    goal = acted(hand_bars([10_000] * 3), {0: lambda ctx: ctx.target_shares(0, 8)}, policy=CAP)
    assert goal.fills == [(1, 5, 10_000.0, "open"), (2, 3, 10_000.0, "open")]


@row("participation cap")
def test_the_cap_of_resting_orders() -> None:
    low, up = (10_000, 10_000, 9_850, 10_000), (10_000, 10_200, 10_000, 10_150)
    bid = acted(hand_bars([10_000, low, low]), {0: lambda ctx: ctx.buy(0, 8, limit=9_900, tif="gtc")}, policy=CAP)
    assert bid.fills == [(1, 5, 9_900.0, "limit"), (2, 3, 9_900.0, "limit")]
    day = acted(hand_bars([10_000, low, low]), {0: lambda ctx: ctx.buy(0, 8, limit=9_900)}, policy=CAP)
    assert day.fills == [(1, 5, 9_900.0, "limit")]
    stop = acted(hand_bars([10_000, up, 10_050]), {0: lambda ctx: ctx.buy(0, 8, stop=10_100)}, policy=CAP)
    assert stop.fills == [(1, 5, 10_100.0, "stop"), (2, 3, 10_050.0, "stop_open")]
    fok = acted(hand_bars([10_000] * 3), {0: lambda ctx: ctx.buy(0, 8, tif="fok")}, policy=CAP)
    assert (fok.fills, fok.ends[0][:3]) == ([], (0, 0, "dropped"))
    fits = acted(hand_bars([10_000] * 3), {0: lambda ctx: ctx.buy(0, 5, tif="fok")}, policy=CAP)
    assert fits.fills == [(1, 5, 10_000.0, "limit_open")]


@row("participation cap")
def test_the_rest_of_a_policys_stop_is_sold_by_the_goal() -> None:
    run = acted(
        hand_bars([10_000] * 3 + [(10_000, 10_000, 9_700, 9_750), 9_740]),
        {0: lambda ctx: ctx.target_shares(0, 8), 2: lambda ctx: ctx.buy(0, 1, limit=7_500, tif="gtc")},
        policy=replace(CAP, stop_loss=0.02),
    )
    assert run.fills[2:] == [(3, -5, 9_800.0, "stop_loss"), (4, -3, 9_740.0, "open")]


@row('cash, `funding="cash"`')
def test_a_child_cut_to_nothing_is_not_brought_back_by_its_entry() -> None:
    bars = hand_bars([10_000] * 3 + [(10_000, 10_000, 9_800, 9_800), 9_800, 9_800])
    acts = {
        0: lambda ctx: ctx.buy(0, 10),
        1: lambda ctx: ctx.buy(0, 10),
        2: lambda ctx: [ctx.buy(0, 1_000_000, limit=8_000, days=9), ctx.sell(0, 20, stop=9_900, take_profit=9_850)],
        3: lambda ctx: ctx.buy(0, 10, at="close"),  # takes what the first half of the sale brought
    }
    run = acted(bars, acts, policy=Policy(funding="cash", collar=None, participation=0.01))
    assert run.fills[2:] == [(3, -10, 9_900.0, "stop"), (4, -10, 9_800.0, "stop_open")]
    assert run.ends[4] == (4, 0, "dropped", "INSUFFICIENT_CASH", 4)
