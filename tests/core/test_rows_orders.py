"""Rows of `docs/execution.md` about the life of a strategy's own orders: made, refused, changed, ended.

Around 10,000 won the tick is 10, and from a base of 10,000 the day's limits are 7,000 and 13,000. Bars are open, high,
low, close; an order made on bar 0 meets bar 1.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from quantkit import Bars, Costs, Policy, RiskLimits
from quantkit.data.actions import Action
from tests.core.acted import FREE, acted, day_bars
from tests.core.hand import GONE, HALTED, Bar, hand_bars
from tests.core.page import row

FLAT = hand_bars([10_000] * 4)
BOUGHT = (1, 10, 10_000.0, "open")
TWO_DAYS = day_bars(
    {
        "2024-03-26": {"09:30": 10_000, "10:00": 10_000, "15:30": 10_000},
        "2024-03-27": {"09:30": 10_000, "15:30": 10_010},
    },
    freq="30m",
)
UNCLOSED = day_bars(
    {"2024-03-26": {"09:30": 10_000, "10:00": 10_000}, "2024-03-27": {"11:00": 10_000, "11:30": 10_000}}, freq="30m"
)

UNOPENED = day_bars(
    {
        "2024-03-26": {"09:30": 10_000, "10:00": 10_000},
        "2024-03-27": {"11:00": 10_000, "11:30": 10_000},
        "2024-03-28": {"09:30": 10_000},
    },
    freq="30m",
)
EARLY = day_bars({"2024-03-26": {"09:30": 10_000}, "2024-03-27": {"08:50": 10_010, "09:30": 10_020}}, freq="30m")


def buying(quantity: float = 5, **given: Any) -> Any:
    """An act: buy the first name."""
    return lambda ctx: ctx.buy(0, quantity, **given)


def held(*bars: Bar, acts: Any, **settings: Any) -> Any:
    """Ten shares are bought at 10,000 on bar 1; `acts` are made at its close, for bar 2 and the following."""
    acts = acts if isinstance(acts, dict) else {1: acts}
    return acted(hand_bars([10_000, 10_000, *bars]), {0: lambda ctx: ctx.buy(0, 10)} | acts, **settings)


def end_of(bars: Bars, make: Any, **settings: Any) -> Any:
    """How the only order, made on bar 0, ended: (filled, status, reason, bar)."""
    ends = acted(bars, {0: make}, **settings).ends
    assert len(ends) == 1
    return ends[0][1:]


@row("a price of 0 or less, a quantity below 1, both `trail` and `stop`")
@pytest.mark.parametrize(
    "given",
    [
        {"limit": 0}, {"limit": -10}, {"stop": 0}, {"limit": 9_000, "take_profit": 0}, {"stop_loss": -1},
        {"quantity": 0}, {"quantity": 0.9}, {"quantity": -3}, {"quantity": float("nan")},
        {"stop": 11_000, "trail": 0.1}, {"stop": 11_000, "from_open": 0.5}, {"stop": 11_000, "at": "close"},
        {"trail": 0.1, "from_open": 0.5}, {"trail": 0.1, "at": "open"}, {"from_open": 0.5, "at": "open"},
        {"trail": 0.0}, {"trail": 1.0}, {"limit": 9_000, "days": 0}, {"limit": 9_000, "days": -2},
        {"limit": 9_000, "trail": 0.1}, {"limit": 9_000, "from_open": 0.5}, {"tif": "conditional"},
        {"limit": 9_000, "tif": "conditional", "stop": 11_000}, {"limit": 9_000, "tif": "conditional", "days": 2},
        {"tif": "ioc", "stop": 11_000}, {"tif": "fok", "at": "close"}, {"tif": "ioc", "days": 1},
    ],
)  # fmt: skip
def test_an_order_that_makes_no_sense_is_not_made(given: dict[str, Any]) -> None:
    run = acted(FLAT, {0: lambda ctx: ctx.buy(0, **({"quantity": 5} | given))})
    assert run.fills == []
    assert run.ends == [(0, 0, "dropped", "BAD_ORDER", 0)]


@row("a price of 0 or less, a quantity below 1, both `trail` and `stop`")
def test_no_order_for_a_name_that_is_not_listed() -> None:
    bars = hand_bars([10_000] * 3, [GONE, 10_000, 10_000])
    assert end_of(bars, lambda ctx: ctx.buy(1, 5)) == (0, "dropped", "BAD_ORDER", 0)


@row("a price of 0 or less, a quantity below 1, both `trail` and `stop`")
@pytest.mark.parametrize("given", [{"tif": "gtd"}, {"at": "noon"}])
def test_a_text_that_is_no_choice_is_an_error(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="choose one of"):
        acted(FLAT, {0: buying(**given)})


@row("day order outside the day's limits")
@pytest.mark.parametrize(
    "given",
    [{"limit": 13_010}, {"limit": 6_990}, {"limit": 13_010, "at": "open"}, {"limit": 6_990, "at": "close"},
     {"limit": 13_010, "tif": "ioc"}, {"limit": 6_990, "tif": "fok"}, {"stop": 10_100, "limit": 13_010, "tif": "day"}],
)  # fmt: skip
def test_a_price_the_day_does_not_know_is_refused(given: dict[str, Any]) -> None:
    bars = hand_bars([10_000, (10_000, 10_200, 9_900, 10_000), 10_000])
    assert end_of(bars, lambda ctx: ctx.buy(0, 5, **given)) == (0, "dropped", "OUT_OF_LIMITS", 1)
    assert end_of(bars, lambda ctx: ctx.buy(0, 5, limit=13_000)) == (5, "filled", "", 1)


@row("`gtc` limit outside the day's limits")
def test_a_bid_outside_the_limits_waits_for_its_day() -> None:
    bars = hand_bars([10_000, (10_000, 12_000, 10_000, 12_000), (12_100, 12_100, 12_000, 12_000)])
    run = acted(bars, {0: lambda ctx: ctx.buy(0, 5, limit=14_000, tif="gtc")})
    assert run.fills == [(2, 5, 12_100.0, "limit_open")], "above 13,000 on bar 1, below 15,600 on bar 2"
    low = hand_bars([10_000, (7_500, 7_500, 7_000, 7_100), (7_000, 7_000, 5_900, 6_000)])
    assert acted(low, {0: lambda ctx: ctx.buy(0, 5, limit=6_000, tif="gtc")}).fills == [(2, 5, 6_000.0, "limit")]


@row("ex-date")
def test_orders_follow_a_split() -> None:
    split = [Action("005930", "2024-03-27", "split", share_ratio=5.0)]
    bars = hand_bars([10_000, (2_000, 2_110, 1_790, 1_800)], actions=split)
    bid = acted(bars, {0: lambda ctx: ctx.buy(0, 5, limit=9_000, tif="gtc")})
    assert bid.fills == [(1, 25, 1_800.0, "limit")]
    assert acted(bars, {0: lambda ctx: ctx.buy(0, 5, stop=10_500)}).fills == [(1, 25, 2_100.0, "stop")]
    merged = [Action("005930", "2024-03-27", "reduction", share_ratio=0.1)]
    bars = hand_bars([10_000, 100_000], actions=merged)
    assert end_of(bars, lambda ctx: ctx.buy(0, 9, limit=9_000, tif="gtc")) == (0, "dropped", "EXPIRED", 1)


@row("day order at the end of its session")
def test_a_day_order_ends_with_its_session() -> None:
    def bid(ctx: Any) -> None:
        ctx.buy(0, 5, limit=9_000)

    assert end_of(FLAT, bid) == (0, "dropped", "EXPIRED", 1)
    assert end_of(hand_bars([10_000, HALTED, 10_000]), bid) == (0, "dropped", "HALTED", 1)
    assert end_of(TWO_DAYS, bid) == (0, "dropped", "EXPIRED", 2)
    assert end_of(UNCLOSED, bid) == (0, "dropped", "EXPIRED", 2), "when the next session begins"


@row("day order at the end of its session")
@pytest.mark.parametrize(
    ("bars", "made", "days", "end"),
    [(FLAT, 0, 1, 1), (FLAT, 0, 2, 2), (TWO_DAYS, 0, 1, 4), (TWO_DAYS, 2, 1, 4), (TWO_DAYS, 0, 2, -1)],
)
def test_days_count_sessions_from_the_next_on(bars: Bars, made: int, days: int, end: int) -> None:
    run = acted(bars, {made: lambda ctx: ctx.buy(0, 5, limit=9_000, days=days)})
    assert run.ends == [(0, 0, "dropped", "EXPIRED", end) if end > 0 else (0, 0, "working", "", -1)]


@row("halted bar")
def test_nothing_happens_without_trading() -> None:
    bars = hand_bars([10_000, HALTED, (10_050, 10_100, 10_000, 10_000)])
    for given, rule in (({"limit": 10_100, "tif": "gtc"}, "limit_open"), ({"stop": 9_900}, "stop_open")):
        assert acted(bars, {0: buying(**given)}).fills == [(2, 5, 10_050.0, rule)]


@row("liquidation trading")
def test_liquidation_trading_takes_limits_and_stops_only() -> None:
    bars = hand_bars([10_000, (10_000, 10_200, 9_800, 10_000), 10_000], liquidation=[1])
    for given in ({"limit": 9_900, "tif": "conditional"}, {"tif": "ioc"}, {"limit": 10_100, "tif": "fok"}):
        assert end_of(bars, buying(**given)) == (0, "dropped", "NOT_ACCEPTED", 1)
    run = acted(bars, {0: lambda ctx: [ctx.buy(0, 5, limit=9_900), ctx.buy(0, 5, stop=10_100)]})
    assert run.fills == [(1, 5, 9_900.0, "limit"), (1, 5, 10_100.0, "stop")]


@row("IOC and FOK")
@pytest.mark.parametrize("tif", ["ioc", "fok"])
def test_at_once_or_not_at_all(tif: str) -> None:
    def bid(ctx: Any) -> None:
        ctx.buy(0, 5, limit=10_050, tif=tif)

    def market(ctx: Any) -> None:
        ctx.buy(0, 5, tif=tif)

    def on(bar: Bar, make: Any = bid, **settings: Any) -> Any:
        return end_of(hand_bars([10_000, bar, 10_000]), make, **settings)

    assert acted(hand_bars([10_000, 10_050]), {0: bid}).fills == [(1, 5, 10_050.0, "limit_open")]
    slipped = Costs(commission=0.0, tax=0.0, slippage_ticks=9.0)
    run = acted(hand_bars([10_000, (10_000, 10_200, 9_900, 10_000)]), {0: bid}, costs=slipped)
    assert run.fills == [(1, 5, 10_050.0, "limit_open")]
    assert on((10_060, 10_060, 9_900, 10_000)) == (0, "dropped", "EXPIRED", 1)
    assert on(HALTED) == (0, "dropped", "HALTED", 1)
    assert on((10_110, 10_200, 9_900, 10_000), market, policy=Policy(collar=0.01)) == (0, "dropped", "COLLAR", 1)
    assert on((10_100, 10_200, 9_900, 10_000), market, policy=Policy(collar=0.01)) == (5, "filled", "", 1)
    assert on((13_000, 13_000, 9_900, 10_000), market) == (0, "dropped", "LIMIT_LOCKED", 1)
    assert on(10_000, policy=replace(FREE, participation=0.004))[0] == (4 if tif == "ioc" else 0)


@row("IOC and FOK in the closing auction")
@pytest.mark.parametrize(("freq", "end"), [("10m", (0, "dropped", "NOT_ACCEPTED", 1)), ("30m", (5, "filled", "", 1))])
@pytest.mark.parametrize("tif", ["ioc", "fok"])
def test_no_ioc_where_a_bar_is_the_closing_auction(freq: str, end: Any, tif: Any) -> None:
    bars = day_bars({"2024-03-26": {"15:20": 10_000, "15:30": 10_000}}, freq=freq)
    assert end_of(bars, lambda ctx: ctx.buy(0, 5, tif=tif)) == end


@row("조건부지정가 at or beyond the upper limit (buy), the lower (sell)")
def test_a_conditional_limit_at_the_days_limit_is_refused() -> None:
    bar = (10_000, 10_100, 9_900, 10_000)
    run = held(
        bar,
        acts=lambda ctx: [
            ctx.buy(0, 5, limit=13_000, tif="conditional"),
            ctx.sell(0, 5, limit=7_000, tif="conditional"),
            ctx.buy(0, 5, limit=12_990, tif="conditional"),
            ctx.sell(0, 5, limit=7_010, tif="conditional"),
        ],
    )
    refused, filled = (0, "dropped", "NOT_ACCEPTED", 2), (5, "filled", "", 2)
    assert [end[1:] for end in run.ends[1:]] == [refused, refused, filled, filled]
    assert run.fills[1:] == [(2, -5, 10_000.0, "limit_open"), (2, 5, 10_000.0, "limit_open")]


@row("조건부지정가 not filled before the close")
def test_a_conditional_limit_fills_at_the_close_at_the_latest() -> None:
    def bid(ctx: Any) -> None:
        ctx.buy(0, 5, limit=9_900, tif="conditional")

    assert acted(hand_bars([10_000, (10_000, 10_100, 9_890, 10_080)]), {0: bid}).fills == [(1, 5, 9_900.0, "limit")]
    late = acted(hand_bars([10_000, (10_000, 11_500, 9_950, 11_400)]), {0: bid}, policy=Policy(collar=0.1))
    assert late.fills == [(1, 5, 11_400.0, "conditional_close")], "the collar does not matter"
    assert acted(TWO_DAYS, {3: bid}).fills == [(4, 5, 10_010.0, "conditional_close")]
    assert acted(TWO_DAYS, {0: bid}).fills == [(2, 5, 10_000.0, "conditional_close")], "not on bar 1"
    assert end_of(UNCLOSED, bid) == (0, "dropped", "EXPIRED", 2)


@row("delisting")
def test_the_orders_of_a_name_that_is_gone_end() -> None:
    bars = hand_bars([10_000, 10_000, GONE], [10_000] * 3)
    run = acted(bars, {0: lambda ctx: [ctx.buy(0, 5, limit=9_000, tif="gtc"), ctx.buy(0, 5, stop=11_000)]})
    assert run.ends == [(0, 0, "dropped", "DELISTED", 2), (1, 0, "dropped", "DELISTED", 2)]


@row("sell beyond what is held")
def test_a_sale_is_cut_to_what_is_held() -> None:
    bar = (10_000, 10_100, 10_000, 10_000)
    run = held(bar, bar, acts=lambda ctx: [ctx.sell(0, 15, limit=10_050, tif="gtc"), ctx.sell(0, 2, limit=10_080)])
    assert run.fills == [BOUGHT, (2, -10, 10_050.0, "limit")]
    assert run.ends[1:] == [(1, 10, "cut", "INSUFFICIENT_SHARES", 2), (2, 0, "dropped", "INSUFFICIENT_SHARES", 2)]


@row("sell beyond what is held")
def test_a_child_waits_for_what_is_sold_elsewhere() -> None:
    bar = (10_000, 10_200, 10_000, 10_000)
    run = acted(
        hand_bars([10_000, 10_000, bar, bar]),
        {
            0: lambda ctx: ctx.buy(0, 10, take_profit=10_100),
            1: lambda ctx: ctx.sell(0, 6),
            2: lambda ctx: ctx.buy(0, 3),
        },
    )
    assert run.fills[1:] == [(2, -6, 10_000.0, "open"), (2, -4, 10_100.0, "limit"), (3, 3, 10_000.0, "open"),
                             (3, -3, 10_100.0, "limit")]  # fmt: skip
    assert run.orders[1][:6] == (1, 0, "limit", 10, 7, "working")


@row("`RiskLimits` on own buys")
@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"quantity": 5}, ""),  # 50,000 at the close
        ({"quantity": 6}, "ORDER_TOO_LARGE"),
        ({"quantity": 6, "limit": 9_000}, "ORDER_TOO_LARGE"),
        ({"quantity": 5, "limit": 9_000, "take_profit": 90_000}, ""),
        ({"quantity": 5, "stop": 10_100}, "ORDER_TOO_LARGE"),
        ({"quantity": 5, "stop": 10_100, "limit": 10_000}, ""),
        ({"quantity": 0}, "BAD_ORDER"),
    ],
)
def test_the_money_in_one_order(given: dict[str, Any], reason: str) -> None:
    run = acted(FLAT, {0: lambda ctx: ctx.buy(0, **given)}, limits=RiskLimits(max_order_value=50_000.0))
    assert [why for _, _, _, why, bar in run.ends if bar == 0] == ([reason] if reason else [])


@row("`RiskLimits` on own buys")
@pytest.mark.parametrize(
    ("drawdown", "loss", "shares", "reason"),
    [
        (0.04, 0.04, 1, "DRAWDOWN"),
        (0.06, 0.04, 1, "DAILY_LOSS"),
        (0.06, 0.06, 1, "ORDER_TOO_LARGE"),
        (0.06, 0.06, 2, "MAX_WEIGHT"),  # seven shares of 9,000 in 95,000
    ],
)
def test_the_first_limit_that_denies_is_the_reason(drawdown: float, loss: float, shares: int, reason: str) -> None:
    # half of 100,000 won in five shares of 10,000 that fall to 9,000: 5 % of the equity is lost on bar 2
    run = acted(
        hand_bars([10_000, 10_000, 9_000, 9_000]),
        {0: lambda ctx: [ctx.buy(0, 1) for _ in range(5)], 2: lambda ctx: [ctx.buy(0, 2), ctx.sell(0, 2)]},
        cash=100_000,
        limits=RiskLimits(max_drawdown=drawdown, max_daily_loss=loss, max_order_shares=shares, max_weight=0.5),
    )
    assert run.fills[:5] == [(1, 1, 10_000.0, "open")] * 5
    assert run.ends[5:] == [(5, 0, "dropped", reason, 2), (6, 2, "filled", "", 3)]


@row("group (`oco`, the two children of a bracket)")
def test_a_fill_of_one_takes_as_much_off_the_others() -> None:
    said = []

    def group(ctx: Any) -> None:
        small, stop = ctx.sell(0, 4, limit=10_050), ctx.sell(0, 10, stop=9_900)
        late = ctx.sell(0, 4, limit=10_900, tif="gtc")
        later = ctx.sell(0, 4, limit=10_950, tif="gtc")
        said.extend([ctx.oco(small, stop), ctx.oco(late, later), ctx.oco(99, stop), ctx.oco(stop, stop)])
        said.append(ctx.oco(stop, late))

    run = held((10_000, 10_100, 9_950, 10_000), (10_000, 10_000, 9_800, 9_800), acts=group)
    assert [bool(answer) for answer in said] == [True, True, False, False, True]
    assert run.fills == [BOUGHT, (2, -4, 10_050.0, "limit"), (3, -6, 9_900.0, "stop")]
    assert run.ends[3:] == [(3, 0, "dropped", "OCO", 2), (4, 0, "dropped", "OCO", 2)], (
        "the last call joined both groups"
    )


@row("group (`oco`, the two children of a bracket)")
def test_an_order_that_missed_its_auction_is_over_before_another_of_its_group_fills() -> None:
    def pair(ctx: Any) -> None:
        ctx.oco(ctx.buy(0, 1, at="open", limit=9_900), ctx.buy(0, 1, at="open"))

    run = acted(FLAT, {0: pair})
    assert run.ends == [(0, 0, "dropped", "COLLAR", 1), (1, 1, "filled", "", 1)]


@row("group (`oco`, the two children of a bracket)", '`shortfall="sequence"`')
def test_the_smaller_of_two_fills_first_where_buys_go_by_value() -> None:
    def pair(ctx: Any) -> None:
        ctx.oco(ctx.buy(0, 2, at="open"), ctx.buy(0, 1, at="open"))

    run = acted(FLAT, {0: pair}, policy=replace(FREE, shortfall="sequence"))
    assert run.ends == [(0, 1, "cut", "OCO", 1), (1, 1, "filled", "", 1)]
    assert acted(FLAT, {0: pair}).ends == [(0, 2, "filled", "", 1), (1, 0, "dropped", "OCO", 1)]


@row("bracket", "ex-date")
def test_children_end_with_an_entry_of_which_a_reduction_left_nothing() -> None:
    merged = [Action("005930", "2024-03-27", "reduction", share_ratio=0.1)]
    for entry in ({}, {"limit": 9_000, "tif": "gtc"}):
        run = acted(
            hand_bars([10_000, 100_000], actions=merged), {0: lambda ctx, e=entry: ctx.buy(0, 9, stop_loss=8_000, **e)}
        )
        assert run.ends == [(0, 0, "dropped", "EXPIRED", 1), (1, 0, "dropped", "PARENT", 1)]


@row("bracket")
def test_children_live_as_their_entry_fills() -> None:
    low = (9_950, 9_950, 9_890, 9_950)
    run = acted(
        hand_bars([10_000, low, low, (10_000, 10_200, 10_000, 10_000), 10_000]),
        {0: lambda ctx: ctx.buy(0, 6, limit=9_900, tif="gtc", take_profit=10_100, stop_loss=9_000)},
        policy=replace(FREE, participation=0.004),
    )
    assert run.fills == [(1, 4, 9_900.0, "limit"), (2, 2, 9_900.0, "limit"), (3, -4, 10_100.0, "limit")]
    assert run.orders[0] == (0, 0, "limit", 6, 6, "filled", "", 2)
    assert [r[2:6] for r in run.orders[1:]] == [("stop", 6, 0, "working"), ("limit", 6, 4, "working")]
    one = acted(hand_bars([10_000, low, (10_000, 10_200, 10_000, 10_000)]),
                {0: lambda ctx: ctx.buy(0, 6, limit=9_900, take_profit=10_100, stop_loss=9_000)})  # fmt: skip
    assert one.orders[1:] == [(1, 0, "stop", 6, 0, "dropped", "OCO", 2), (2, 0, "limit", 6, 6, "filled", "", 2)]


@row("bracket")
def test_children_end_with_an_entry_that_never_filled() -> None:
    run = acted(FLAT, {0: lambda ctx: ctx.buy(0, 6, limit=9_000, take_profit=10_100, stop_loss=8_000)})
    assert run.orders == [
        (0, 0, "limit", 6, 0, "dropped", "EXPIRED", 1),
        (1, 0, "stop", 6, 0, "dropped", "PARENT", 1),
        (2, 0, "limit", 6, 0, "dropped", "PARENT", 1),
    ]


@row("cancel")
def test_cancelled_is_cancelled_at_once() -> None:
    said = []

    def cancel(ctx: Any) -> None:
        said.extend([ctx.working(0), ctx.cancel(0), ctx.cancel(0), ctx.working(0), ctx.cancel(77), ctx.filled(0)])

    bars = hand_bars([10_000, 10_000, 9_000])
    run = acted(bars, {0: lambda ctx: ctx.buy(0, 5, limit=9_900, tif="gtc", take_profit=11_000), 1: cancel})
    assert said == [True, True, False, False, False, -1]
    assert (run.fills, run.ends) == ([], [(0, 0, "dropped", "CANCELLED", 1), (1, 0, "dropped", "PARENT", 1)])


@row("cancel")
def test_all_orders_of_a_name_can_be_cancelled() -> None:
    said = []

    def act(ctx: Any) -> None:
        ctx.buy(0, 1, limit=9_900, tif="gtc"), ctx.buy(1, 1), ctx.buy(0, 1)
        said.append(ctx.cancel_all(0))

    run = acted(hand_bars([10_000, 9_000], [10_000, 9_000]), {0: act})
    assert (said, run.fills, run.names) == ([2], [(1, 1, 9_000.0, "open")], [1])
    assert run.ends == [(0, 0, "dropped", "CANCELLED", 0), (1, 1, "filled", "", 1), (2, 0, "dropped", "CANCELLED", 0)]


@row("replace")
def test_a_new_order_takes_the_place_of_the_old() -> None:
    said = []

    def change(ctx: Any) -> None:
        said.append(ctx.replace(0, limit=9_900))
        said.extend([ctx.orders(0)[-1].tag, ctx.replace(55, limit=9_000)])

    bars = hand_bars([10_000, 10_000, (10_000, 10_000, 9_850, 9_900), (9_900, 9_900, 8_900, 9_000)])
    run = acted(bars, {0: lambda ctx: ctx.buy(0, 5, limit=9_500, tif="gtc", stop_loss=9_000, tag=7), 1: change})
    assert said == [2, 7, -1]
    assert run.fills == [(2, 5, 9_900.0, "limit"), (3, -5, 9_000.0, "stop")]
    assert run.ends == [(0, 0, "dropped", "REPLACED", 1), (1, 5, "filled", "", 3), (2, 5, "filled", "", 2)]


@row("replace")
def test_what_cannot_be_replaced_goes_on() -> None:
    bars = hand_bars([10_000, 10_000, (10_000, 10_000, 9_400, 9_500)])
    for wrong in ({"stop": 11_000}, {"quantity": 0}, {"limit": -1}):

        def change(ctx: Any, wrong: Any = wrong) -> None:
            ctx.replace(0, **wrong)

        run = acted(bars, {0: buying(limit=9_500, tif="gtc"), 1: change})
        assert run.fills == [(2, 5, 9_500.0, "limit")]
        assert run.ends == [(0, 5, "filled", "", 2), (1, 0, "dropped", "BAD_ORDER", 1)]


@row("replace")
def test_the_quantity_that_is_open_goes_over() -> None:
    bars = hand_bars([10_000, (9_900, 9_900, 9_890, 9_900), 9_800])
    acts = {0: buying(6, limit=9_900, tif="gtc"), 1: lambda ctx: ctx.replace(0, limit=9_850)}
    run = acted(bars, acts, policy=replace(FREE, participation=0.004))
    assert run.fills == [(1, 4, 9_900.0, "limit"), (2, 2, 9_800.0, "limit_open")]
    assert run.ends == [(0, 4, "cut", "REPLACED", 1), (1, 2, "filled", "", 2)]


@row("too many orders")
def test_the_room_for_orders_counts_children() -> None:
    def act(ctx: Any) -> None:
        ctx.buy(0, 1, limit=9_000, tif="gtc", take_profit=11_000)
        ctx.buy(0, 1, limit=9_000, tif="gtc", take_profit=11_000)
        ctx.buy(0, 1, limit=9_000, tif="gtc")
        ctx.buy(0, 1, limit=9_000, tif="gtc")

    run = acted(FLAT, {0: act}, max_orders=3)
    works, refused = (0, "working", "", -1), (0, "dropped", "TOO_MANY_ORDERS", 0)
    assert [end[1:] for end in run.ends] == [works, works, refused, works, refused]


@row('average price (`fill="next_bar_vwap"`)')
def test_a_market_order_at_the_bars_average_price() -> None:
    bar = (10_000, 10_200, 9_000, 10_020)
    bars = hand_bars([10_000, bar, (9_800, 9_800, 9_300, 9_400)])

    def on(bars: Bars, policy: Policy = FREE) -> Any:
        return acted(bars, {0: lambda ctx: ctx.buy(0, 5)}, fill="next_bar_vwap", policy=policy)

    assert on(bars).fills == [(1, 5, 9_805.0, "vwap")]
    stopped = on(bars, Policy(collar=None, stop_loss=0.05))  # 9,314.75, which bar 1 fell through before its average
    assert stopped.fills == [(1, 5, 9_805.0, "vwap"), (2, -5, 9_310.0, "stop_loss")]
    fields = {name: bars.field(name) for name in ("open", "high", "low", "close", "volume")}
    for value, price in ((9_650_000.0, 9_650.0), (10_300_000.0, 10_200.0)):  # over 1,000 shares; inside the bar
        fields["value"] = fields["volume"] * value / 1000
        valued = Bars(times=bars.times, symbols=bars.symbols, fields=fields, flags=bars.flags, markets="KOSPI")
        assert on(valued).fills == [(1, 5, price, "vwap")]
    high = hand_bars([10_000, (10_000, 10_400, 9_990, 10_050), 10_000])  # 10,110
    assert on(high, Policy(collar=0.01)).ends == [(0, 0, "dropped", "COLLAR", 1)]


@row("no auction in the data")
def test_an_auction_that_is_not_in_the_data() -> None:
    assert acted(TWO_DAYS, {0: lambda ctx: ctx.buy(0, 5, at="open")}).fills == [(3, 5, 10_000.0, "open")]
    assert acted(TWO_DAYS, {3: lambda ctx: ctx.buy(0, 5, at="close")}).fills == [(4, 5, 10_010.0, "close")]
    missed = acted(UNCLOSED, {0: buying(at="close")})
    assert (missed.fills, missed.ends) == ([], [(0, 0, "dropped", "EXPIRED", 2)])
    late = acted(UNOPENED, {0: buying(at="open")})  # it waits all Wednesday, in vain
    assert (late.fills, late.ends) == ([], [(0, 0, "dropped", "EXPIRED", 4)])
    early = acted(EARLY, {0: buying(at="open")})  # the bar before the open is not the one it waits for
    assert early.fills == [(2, 5, 10_020.0, "open")]


@row("no auction in the data")
def test_an_order_that_was_cut_and_meets_no_auction_ends_for_want_of_that() -> None:
    days = {"2024-03-26": {"09:30": 10_000}, "2024-03-27": {"11:00": 10_000, "15:30": 10_000}}
    cut = acted(day_bars(days, freq="30m"), {0: buying(3_000_000, at="open")}, policy=Policy(funding="cash"))
    assert (cut.fills, cut.ends) == ([], [(0, 0, "dropped", "EXPIRED", 2)])


@row("orders at the end of the run")
def test_what_still_works_at_the_end_is_a_row() -> None:
    run = acted(FLAT, {1: lambda ctx: ctx.buy(0, 5, stop=12_000), 3: lambda ctx: ctx.buy(0, 2)})
    assert run.orders == [(0, 1, "stop", 5, 0, "working", "", -1), (1, 3, "at_open", 2, 0, "working", "", -1)]
