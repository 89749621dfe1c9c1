"""Rows of `docs/execution.md` about where on a bar's path a strategy's own orders fill.

Around 10,000 won the tick is 10, and from a base of 10,000 the day's limits are 7,000 and 13,000. Bars are open, high,
low, close; an order made on bar 0 meets bar 1.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from quantkit import Costs, Policy
from quantkit.data.actions import Action
from tests.core.acted import FREE, acted, day_bars
from tests.core.hand import HALTED, MISSING, Bar, hand_bars
from tests.core.page import row

TOUCH = replace(FREE, limit_fill="touch")
Fill = tuple[int, int, float, str]


def ticks(count: float) -> Costs:
    return Costs(commission=0.0, tax=0.0, slippage_ticks=count)


def on_one(bar: Bar, make: Any, **settings: Any) -> list[Fill]:
    """What orders made at a close of 10,000 do on the next bar, to a name that is not held."""
    return acted(hand_bars([10_000, bar]), {0: make}, **settings).fills


def held(*bars: Bar, acts: Any, **settings: Any) -> Any:
    """Ten shares are bought at 10,000 on bar 1; `acts` are made at its close, for bar 2 and the following."""
    return acted(hand_bars([10_000, 10_000, *bars]), {0: lambda ctx: ctx.buy(0, 10), 1: acts}, **settings)


BOUGHT = (1, 10, 10_000.0, "open")


@row("goals")
def test_a_policy_does_not_undo_what_own_orders_did() -> None:
    run = acted(
        hand_bars([10_000] * 7),
        {
            0: lambda ctx: ctx.target_shares(0, 10),
            1: lambda ctx: ctx.buy(0, 5),  # the goal becomes 15: nothing is sold on bar 3
            3: lambda ctx: ctx.sell(0, 4),  # and 11
        },
    )
    assert run.fills == [(1, 10, 10_000.0, "open"), (2, 5, 10_000.0, "open"), (4, -4, 10_000.0, "open")]


@row("goals")
def test_a_sale_leaves_no_goal_below_nothing() -> None:
    def close_and_sell(ctx: Any) -> None:
        ctx.sell(0, 4)
        ctx.close_position(0)

    run = acted(
        hand_bars([10_000] * 6),
        {0: lambda ctx: ctx.target_shares(0, 10), 1: close_and_sell, 2: lambda ctx: ctx.buy(0, 5)},
    )
    # the goal is 0 when the own sale fills, and stays 0; the five bought later are then the whole goal
    assert run.fills == [(1, 10, 10_000.0, "open"), (2, -4, 10_000.0, "open"), (2, -6, 10_000.0, "open"),
                         (3, 5, 10_000.0, "open")]  # fmt: skip
    assert run.shares == [5]


@row("path of a bar with own orders")
def test_the_price_that_is_met_first_acts_first() -> None:
    fills = on_one((10_000, 10_000, 9_500, 9_600), lambda ctx: [ctx.buy(0, 1, limit=9_700), ctx.buy(0, 2, limit=9_900)])
    assert fills == [(1, 2, 9_900.0, "limit"), (1, 1, 9_700.0, "limit")]


@row("path of a bar with own orders")
def test_at_one_price_stops_go_before_limits_older_before_newer_own_before_the_policy() -> None:
    run = held(
        (10_000, 10_000, 9_700, 9_700),
        acts=lambda ctx: [ctx.buy(0, 3, limit=9_800), ctx.sell(0, 4, stop=9_800), ctx.sell(0, 1, stop=9_800)],
        policy=Policy(collar=None, stop_loss=0.02),  # at 9,800 too: what is held then, and after the limit
    )
    assert run.fills[:4] == [BOUGHT, (2, -4, 9_800.0, "stop"), (2, -1, 9_800.0, "stop"), (2, -5, 9_800.0, "stop_loss")]
    assert run.fills[4:] == [(2, 3, 9_800.0, "limit")]


@row("path of a bar with own orders")
def test_at_one_price_sells_go_before_buys() -> None:
    run = held((9_850, 9_850, 9_850, 9_850), acts=lambda ctx: [ctx.buy(0, 3, stop=9_800), ctx.sell(0, 4, stop=9_900)])
    assert run.fills == [BOUGHT, (2, -4, 9_850.0, "stop_open"), (2, 3, 9_850.0, "stop_open")]


@row("path of a bar with own orders")
def test_what_met_its_price_in_vain_is_not_looked_at_again() -> None:
    # a cap of 4 shares of 1,000 traded: the bid of 3 leaves 1, the next takes it and sees no second fall
    run = acted(
        hand_bars([10_000, (10_000, 10_000, 9_500, 9_600), (9_600, 9_600, 9_590, 9_600)]),
        {0: lambda ctx: [ctx.buy(0, 3, limit=9_900, tif="gtc"), ctx.buy(0, 3, limit=9_700, tif="gtc")]},
        policy=replace(FREE, participation=0.004),
    )
    assert run.fills == [(1, 3, 9_900.0, "limit"), (1, 1, 9_700.0, "limit"), (2, 2, 9_600.0, "limit_open")]


LOW_NEARER = (10_000, 10_150, 9_900, 10_000)
HIGH_NEARER = (10_000, 10_100, 9_850, 10_000)
SAME = (10_000, 10_100, 9_900, 10_000)


@row('`path="nearer"` (default)', '`path="pessimistic"`', '`path="optimistic"`')
@pytest.mark.parametrize(
    ("path", "bar", "low_first_held", "low_first_flat"),
    [
        ("nearer", LOW_NEARER, True, True),
        ("nearer", HIGH_NEARER, False, False),
        ("nearer", SAME, True, True),
        ("pessimistic", LOW_NEARER, True, False),
        ("pessimistic", HIGH_NEARER, True, False),
        ("optimistic", LOW_NEARER, False, True),
        ("optimistic", HIGH_NEARER, False, True),
    ],
)
def test_the_order_of_the_extremes(path: str, bar: Bar, low_first_held: bool, low_first_flat: bool) -> None:
    policy = Policy(collar=None, path=path)  # type: ignore[arg-type]
    run = held(bar, acts=lambda ctx: [ctx.sell(0, 4, stop=9_950), ctx.sell(0, 4, limit=10_050)], policy=policy)
    stop, limit = (2, -4, 9_950.0, "stop"), (2, -4, 10_050.0, "limit")
    assert run.fills == [BOUGHT, *((stop, limit) if low_first_held else (limit, stop))]
    fills = on_one(bar, lambda ctx: [ctx.buy(0, 4, stop=10_050), ctx.buy(0, 4, limit=9_950)], policy=policy)
    above, below = (1, 4, 10_050.0, "stop"), (1, 4, 9_950.0, "limit")
    assert fills == ([below, above] if low_first_flat else [above, below])


@row("limit at the open")
@pytest.mark.parametrize(
    ("lost", "price"),
    [(0, 9_900.0), (2, 9_920.0), (10, 9_950.0)],  # never beyond the limit
)
def test_an_open_that_is_better_than_the_limit(lost: int, price: float) -> None:
    fills = on_one((9_900, 10_100, 9_850, 10_000), lambda ctx: ctx.buy(0, 5, limit=9_950), costs=ticks(lost))
    assert fills == [(1, 5, price, "limit_open")]
    run = held((10_100, 10_200, 9_850, 10_000), acts=lambda ctx: ctx.sell(0, 5, limit=10_050), costs=ticks(lost))
    assert run.fills[1:] == [(2, -5, 20_000 - price, "limit_open")]


@row("limit at the open")
def test_an_open_at_the_limit_fills_by_touch_only() -> None:
    def bid(ctx: Any) -> None:
        ctx.buy(0, 5, limit=9_900)

    assert on_one((9_900, 9_950, 9_900, 9_950), bid) == []
    assert on_one((9_900, 9_950, 9_900, 9_950), bid, policy=TOUCH) == [(1, 5, 9_900.0, "limit_open")]
    assert on_one((9_900, 9_950, 9_890, 9_950), bid) == [(1, 5, 9_900.0, "limit")]


@row("limit on a leg")
def test_a_limit_fills_when_the_price_goes_beyond_it() -> None:
    def bid(ctx: Any) -> None:
        ctx.buy(0, 5, limit=9_909)  # 9,900 on the grid

    assert on_one((10_000, 10_000, 9_900, 10_000), bid) == []
    assert on_one((10_000, 10_000, 9_900, 10_000), bid, policy=TOUCH) == [(1, 5, 9_900.0, "limit")]
    assert on_one((10_000, 10_000, 9_890, 10_000), bid, costs=ticks(3)) == [(1, 5, 9_900.0, "limit")]
    offer = held((10_000, 10_100, 10_000, 10_000), acts=lambda ctx: ctx.sell(0, 5, limit=10_081), costs=ticks(3))
    assert offer.fills[1:] == [(2, -5, 10_090.0, "limit")]


@row("stop at the open")
def test_an_open_at_or_past_the_trigger() -> None:
    def buy_stop(ctx: Any) -> None:
        ctx.buy(0, 5, stop=10_100)

    assert on_one((10_090, 10_090, 10_000, 10_000), buy_stop) == []
    assert on_one((10_100, 10_150, 10_000, 10_000), buy_stop) == [(1, 5, 10_100.0, "stop_open")]
    assert on_one((10_300, 10_350, 10_000, 10_000), buy_stop) == [(1, 5, 10_300.0, "stop_open")]
    run = held((9_700, 9_800, 9_600, 9_700), acts=lambda ctx: ctx.sell(0, 10, stop=9_900))
    assert run.fills[1:] == [(2, -10, 9_700.0, "stop_open")]


@row("stop on a leg")
@pytest.mark.parametrize(
    ("bar", "lost", "collar", "price"),
    [
        ((10_000, 10_100, 9_990, 10_000), 0, None, 10_100.0),  # to meet it is enough
        ((10_000, 10_200, 9_990, 10_000), 3, None, 10_130.0),
        ((10_000, 10_110, 9_990, 10_000), 3, None, 10_110.0),  # inside the bar
        ((10_000, 10_200, 9_990, 10_000), 3, 0.002, 10_120.0),  # 10,100 x 1.002 = 10,120.2
    ],
)
def test_a_trigger_met_on_the_path(bar: Bar, lost: int, collar: float | None, price: float) -> None:
    policy = Policy(collar=collar)
    fills = on_one(bar, lambda ctx: ctx.buy(0, 5, stop=10_091), policy=policy, costs=ticks(lost))  # 10,100 on the grid
    assert fills == [(1, 5, price, "stop")]
    assert on_one((10_000, 10_090, 9_990, 10_000), lambda ctx: ctx.buy(0, 5, stop=10_091)) == []


@row("stop-limit")
@pytest.mark.parametrize(("lost", "price"), [(0, 10_100.0), (3, 10_130.0), (10, 10_150.0)])
def test_a_stop_limit_takes_the_price_of_its_trigger(lost: int, price: float) -> None:
    fills = on_one(
        (10_000, 10_300, 9_990, 10_000), lambda ctx: ctx.buy(0, 5, stop=10_100, limit=10_150), costs=ticks(lost)
    )
    assert fills == [(1, 5, price, "limit")]


@row("stop-limit")
def test_a_stop_limit_overrun_rests_as_a_limit() -> None:
    def order(ctx: Any) -> None:
        ctx.buy(0, 5, stop=10_100, limit=10_150)

    overrun = (10_300, 10_400, 10_200, 10_200)
    assert on_one((10_300, 10_400, 10_000, 10_200), order) == [(1, 5, 10_150.0, "limit")]  # up, then down through it
    for bar, fill in (
        ((10_200, 10_200, 10_100, 10_100), (2, 5, 10_150.0, "limit")),
        ((10_050, 10_200, 10_050, 10_100), (2, 5, 10_050.0, "limit_open")),  # below the trigger: it is a limit now
    ):
        assert acted(hand_bars([10_000, overrun, bar]), {0: order}).fills == [fill]
    assert acted(hand_bars([10_000, overrun, (10_160, 10_200, 10_150, 10_160)]), {0: order}).ends == [
        (0, 0, "working", "", -1)
    ]


@row("trailing")
@pytest.mark.parametrize(
    ("bars", "fill"),
    [
        ([(9_600, 9_600, 9_400, 9_400)], (2, -10, 9_500.0, "stop")),  # 5 % below the last close
        ([(9_400, 9_600, 9_400, 9_400)], (2, -10, 9_400.0, "stop_open")),
        ([(10_000, 10_100, 9_500, 9_600)], (2, -10, 9_590.0, "stop")),  # high first: 10,100 x 0.95 = 9,595
        ([(10_000, 10_400, 10_000, 10_400), (10_300, 10_300, 9_800, 9_800)], (3, -10, 9_880.0, "stop")),
        ([(10_000, 10_600, 9_900, 10_050)], (2, -10, 10_070.0, "stop")),  # low first: then 10,600 x 0.95, to the close
    ],
)
def test_a_trailing_sale(bars: list[Bar], fill: Fill) -> None:
    assert held(*bars, acts=lambda ctx: ctx.sell(0, 10, trail=0.05)).fills == [BOUGHT, fill]


@row("trailing")
def test_a_trailing_buy() -> None:
    run = acted(
        hand_bars([10_000, (10_000, 10_000, 9_600, 9_600), (9_700, 10_200, 9_700, 10_200)]),
        {0: lambda ctx: ctx.buy(0, 5, trail=0.05)},
    )
    assert run.fills == [(2, 5, 10_080.0, "stop")]  # 9,600 x 1.05


@row("from the open")
def test_a_breakout_counts_from_the_coming_open() -> None:
    first = (10_000, 10_200, 9_800, 10_000)  # a range of 400

    def half(ctx: Any) -> None:
        ctx.buy(0, 5, from_open=0.5)

    def on(*bars: Bar, made: int = 0, **more: Any) -> Any:
        return acted(hand_bars([first, *bars], **more), {made: half})

    assert on((10_100, 10_400, 10_090, 10_100)).fills == [(1, 5, 10_300.0, "stop")]
    assert on((10_100, 10_290, 10_000, 10_100)).ends == [(0, 0, "dropped", "EXPIRED", 1)]  # a day order
    assert on(HALTED, (10_100, 10_400, 10_090, 10_100), made=1).fills == [(2, 5, 10_300.0, "stop")]
    split = Action("005930", "2024-03-27", "split", share_ratio=2.0)  # a range of 200 then
    assert on((5_100, 5_300, 5_090, 5_100), actions=[split]).fills == [(1, 10, 5_200.0, "stop")]
    nothing_seen = acted(hand_bars([10_000, 10_000], [MISSING, (10_000, 12_000, 9_000, 10_000)]),
                         {0: lambda ctx: ctx.buy(1, 5, from_open=0.5)})  # fmt: skip
    assert (nothing_seen.fills, nothing_seen.ends) == ([], [(0, 0, "dropped", "EXPIRED", 1)])


@row("from the open")
def test_a_breakout_stays_where_the_session_opened() -> None:
    bars = day_bars(
        {
            "2024-03-26": {"09:30": (10_000, 10_200, 9_900, 10_000), "15:30": (10_000, 10_000, 9_800, 10_000)},
            "2024-03-27": {"09:30": (10_100, 10_200, 10_100, 10_200), "10:00": (10_250, 10_400, 10_240, 10_400)},
        },
        freq="30m",
    )
    # made before the session's end or at it, it waits for the coming one: 10,100 + half of 10,200 - 9,800
    for made in (0, 1):
        assert acted(bars, {made: lambda ctx: ctx.buy(0, 5, from_open=0.5)}).fills == [(3, 5, 10_300.0, "stop")]
    assert acted(bars, {2: lambda ctx: ctx.buy(0, 5, from_open=0.1)}).fills == []  # for the session after


@row("an order that goes live beyond its price")
@pytest.mark.parametrize(("lost", "price"), [(0, 9_900.0), (2, 9_880.0)])
def test_a_child_beyond_its_price_acts_at_the_price_of_the_moment(lost: int, price: float) -> None:
    bar = (10_000, 10_000, 9_700, 9_800)
    taken = on_one(bar, lambda ctx: ctx.buy(0, 5, limit=9_900, take_profit=9_800), costs=ticks(lost))
    assert taken == [(1, 5, 9_900.0, "limit"), (1, -5, price, "limit")]
    stopped = on_one(bar, lambda ctx: ctx.buy(0, 5, limit=9_900, stop_loss=9_950), costs=ticks(lost))
    assert stopped == [(1, 5, 9_900.0, "limit"), (1, -5, price, "stop")]


@row("own stop and policy stop in one bar")
def test_own_stops_and_the_policys_stand_on_one_path() -> None:
    falls = (10_000, 10_150, 9_600, 9_800)  # to the high first
    policy = Policy(collar=None, stop_loss=0.02, take_profit=0.01)  # 9,800 and 10,100

    def after(act: Any, path: Any = "nearer") -> Any:
        return held(falls, acts=act, policy=replace(policy, path=path))

    above = after(lambda ctx: ctx.sell(0, 4, stop=9_900))
    assert above.fills == [BOUGHT, (2, -4, 9_900.0, "stop"), (2, -6, 9_800.0, "stop_loss")]
    below = after(lambda ctx: ctx.sell(0, 4, stop=9_700))
    assert below.fills == [BOUGHT, (2, -10, 9_800.0, "stop_loss")]
    assert below.ends[1] == (1, 0, "dropped", "INSUFFICIENT_SHARES", 2)
    never = after(lambda ctx: ctx.sell(0, 4, limit=12_000))
    assert never.fills == below.fills, "the take waits for its stop, as without own orders"
    own = after(lambda ctx: ctx.sell(0, 4, limit=10_050))
    assert own.fills == [BOUGHT, (2, -4, 10_050.0, "limit"), (2, -6, 9_800.0, "stop_loss")]
    hopeful = after(lambda ctx: ctx.sell(0, 4, stop=9_700), path="optimistic")
    assert hopeful.fills == [BOUGHT, (2, -10, 10_100.0, "take_profit")]


@row("at the upper limit a buy, at the lower limit a sell")
def test_nobody_sells_at_the_upper_limit() -> None:
    run = acted(
        hand_bars([10_000, 13_000, (11_500, 11_800, 11_500, 11_600), (11_600, 12_100, 11_600, 12_000)]),
        {0: lambda ctx: ctx.buy(0, 5, stop=12_000)},
    )
    assert run.fills == [(3, 5, 12_000.0, "stop")], "the locked day did not trigger it"
    low = held(7_000, (7_500, 7_500, 6_900, 7_000), acts=lambda ctx: ctx.sell(0, 5, stop=7_200))
    assert low.fills == [BOUGHT, (3, -5, 7_200.0, "stop")]


@row("at the upper limit a buy, at the lower limit a sell")
@pytest.mark.parametrize("policy", [FREE, TOUCH])
def test_a_limit_at_the_very_limit_of_the_day_fills_when_the_price_leaves_it(policy: Policy) -> None:
    def bid(ctx: Any) -> None:
        ctx.buy(0, 5, limit=13_000)

    assert on_one(13_000, bid, policy=policy) == []
    assert on_one((13_000, 13_000, 12_500, 12_500), bid, policy=policy) == [(1, 5, 13_000.0, "limit")]


@row("a stop and a limit of one group in one bar")
@pytest.mark.parametrize(
    ("path", "bar", "fill"),
    [
        ("nearer", (10_000, 10_100, 9_800, 10_000), (2, -10, 9_900.0, "stop")),  # high first, yet the stop
        ("nearer", (10_000, 10_100, 9_910, 10_000), (2, -10, 10_050.0, "limit")),
        ("optimistic", (10_000, 10_100, 9_800, 10_000), (2, -10, 10_050.0, "limit")),
    ],
)
def test_a_groups_stop_goes_before_its_limit(path: Any, bar: Bar, fill: Fill) -> None:
    def group(ctx: Any) -> None:
        ctx.oco(ctx.sell(0, 10, limit=10_050, tif="gtc"), ctx.sell(0, 10, stop=9_900))

    run = held(bar, acts=group, policy=Policy(collar=None, path=path))
    assert run.fills == [BOUGHT, fill]
    assert sorted(row[1:4] for row in run.ends) == [(0, "dropped", "OCO"), (10, "filled", ""), (10, "filled", "")]


@row("ambiguous")
@pytest.mark.parametrize(
    ("bar", "marks"),
    [
        ((10_000, 10_100, 9_800, 10_000), [False, True]),
        ((10_000, 10_100, 9_950, 10_000), [False, False]),  # the stop is out of reach
        ((9_800, 10_100, 9_800, 10_000), [False, False]),  # the open is no question
    ],
)
def test_a_fill_that_hangs_on_the_order_of_the_extremes_is_marked(bar: Bar, marks: list[bool]) -> None:
    run = held(bar, acts=lambda ctx: [ctx.sell(0, 10, limit=10_050), ctx.sell(0, 10, stop=9_900)])
    assert len(run.fills) == 2
    assert [bool(mark) for mark in run.ambiguous] == marks


@row("ambiguous")
def test_the_open_of_an_ambiguous_bar_is_not_marked() -> None:
    run = held(
        (10_000, 10_100, 9_800, 10_000),
        acts=lambda ctx: [ctx.sell(0, 4, stop=10_050), ctx.sell(0, 10, limit=10_060), ctx.sell(0, 10, stop=9_900)],
    )
    assert run.fills[1:] == [(2, -4, 10_000.0, "stop_open"), (2, -6, 10_060.0, "limit")]
    assert [bool(mark) for mark in run.ambiguous] == [False, False, True]


@row("ambiguous")
def test_a_take_that_gave_way_to_its_stop_is_marked() -> None:
    def bracket(ctx: Any) -> None:
        ctx.oco(ctx.sell(0, 10, limit=10_050), ctx.sell(0, 10, stop=9_900))

    # either order of the extremes gives the stop; a take before its stop would give another fill
    run = held((10_000, 10_100, 9_800, 10_000), acts=bracket, policy=Policy(collar=None, path="pessimistic"))
    assert (run.fills, [bool(mark) for mark in run.ambiguous]) == ([BOUGHT, (2, -10, 9_900.0, "stop")], [False, True])


@row("ambiguous")
def test_stops_of_the_policy_that_change_places_leave_nothing_open() -> None:
    run = acted(
        hand_bars([12_210, (12_210, 12_750, 11_110, 11_390)]),
        {0: lambda ctx: [ctx.buy(0, 1, limit=12_200), ctx.buy(0, 1, stop=12_650)]},
        policy=Policy(collar=None, trailing_stop=0.03),
    )
    assert sorted(fill[1:3] for fill in run.fills) == [(-1, 11_830.0), (-1, 12_360.0), (1, 12_200.0), (1, 12_650.0)]
    assert not any(run.ambiguous)


@row("path of a bar with own orders")
def test_what_is_beyond_its_price_goes_before_what_has_just_reached_it() -> None:
    def acts(ctx: Any) -> None:
        ctx.sell(0, 10, limit=10_050)
        ctx.buy(0, 4, stop=10_050, take_profit=10_040)

    run = held((10_000, 10_100, 10_000, 10_000), acts=acts)
    assert run.fills == [BOUGHT, (2, 4, 10_050.0, "stop"), (2, -4, 10_050.0, "limit"), (2, -10, 10_050.0, "limit")]
