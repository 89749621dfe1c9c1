"""Rows of `docs/execution.md` where two rules meet: corners that random markets found.

Around 10,000 won the tick is 10, and from a base of 10,000 the day's limits are 7,000 and 13,000. Bars are open, high,
low, close; an order made on bar 0 meets bar 1.
"""

from __future__ import annotations

from dataclasses import replace

from quantkit import Costs
from tests.core.acted import FREE, acted, day_bars
from tests.core.hand import GONE, HALTED, TEN, hand_bars, play
from tests.core.page import row

CASH = replace(FREE, funding="cash")


@row("stop or trail inside the bar")
def test_a_stop_above_the_price_sells_at_the_price_of_the_moment() -> None:
    # slippage makes the entry 10,600 and its stop 10,070, above the open: the first fall sells at the open
    policy, costs = replace(TEN, stop_loss=0.05, slippage_on="entry"), replace(Costs.free(), slippage_bps=600.0)
    bars = hand_bars([10_000, (10_000, 10_600, 9_900, 10_500)])
    assert play(bars, [True], policy=policy, costs=costs).fills[1:] == [(1, -10, 10_000.0, "stop_loss")]


@row('same close (`fill="close"`)', "high before low")
def test_the_peak_of_a_path_entry_does_not_take_in_the_bar_before_it() -> None:
    # bought at 10,000 after the high of 12,000; 9,500 is 5 % below the peak since, 21 % below that high
    bars = hand_bars([11_000, (11_500, 12_000, 9_900, 10_000), (10_000, 10_000, 9_500, 9_800)])
    act = {0: lambda ctx: ctx.buy(0, 10, limit=10_000)}
    run = acted(bars, act, policy=replace(FREE, trailing_stop=0.1), fill="close")
    assert run.fills == [(1, 10, 10_000.0, "limit")]


@row('cash, `funding="cash"`')
def test_what_a_limit_set_aside_beyond_its_cost_is_free_again() -> None:
    bars = hand_bars([10_000, (10_000, 10_600, 10_000, 10_600)])
    act = {0: lambda ctx: [ctx.buy(0, 9, limit=11_000), ctx.buy(0, 1, stop=10_500)]}
    run = acted(bars, act, cash=101_000, policy=CASH)  # 99,000 set aside, 90,000 paid: 11,000 are left
    assert run.fills == [(1, 9, 10_000.0, "limit_open"), (1, 1, 10_500.0, "stop")]


@row('cash, `funding="cash"`')
def test_an_order_that_had_to_fill_at_once_frees_what_it_set_aside() -> None:
    bars = hand_bars([10_000, (10_000, 10_600, 10_000, 10_600)])
    act = {0: lambda ctx: [ctx.buy(0, 10, limit=9_900, tif="ioc"), ctx.buy(0, 9, stop=10_500)]}
    run = acted(bars, act, cash=100_000, policy=CASH)
    assert run.fills == [(1, 9, 10_500.0, "stop")]
    assert run.ends[0] == (0, 0, "dropped", "EXPIRED", 1)


@row("halted bar or no trade (`traded` off)", "no auction in the data")
def test_an_order_at_the_close_of_a_halted_day_ends_with_it() -> None:
    run = acted(hand_bars([10_000, HALTED, 10_000]), {0: lambda ctx: ctx.buy(0, 1, at="close")})
    assert run.ends == [(0, 0, "dropped", "HALTED", 1)]


@row("no auction in the data")
def test_of_two_bars_with_the_closing_auction_the_first_may_be_halted() -> None:
    minutes = day_bars({"2024-03-26": {"15:29": 10_000, "15:30": HALTED, "15:31": 10_100}}, freq="1m")
    run = acted(minutes, {0: lambda ctx: ctx.buy(0, 1, at="close")})
    assert run.fills == [(2, 1, 10_100.0, "close")]


@row("delisting")
def test_children_of_a_replaced_entry_end_as_it_does() -> None:
    made: list[int] = []
    acts = {
        0: lambda ctx: made.append(ctx.buy(0, 1, limit=8_000, tif="gtc", take_profit=12_000)),
        1: lambda ctx: ctx.replace(made[0], limit=8_100),
    }
    run = acted(hand_bars([10_000, 10_000, 10_000, GONE]), acts)
    assert [end[2:] for end in run.ends[1:]] == [("dropped", "DELISTED", 3)] * 2
