"""The price of a call and who trades in it, against a search over every price of the grid."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.emulator.auction import Day, Uncross, allocate, effective, uncross
from quantkit.emulator.book import Resting
from quantkit.emulator.grid import Grid

GRID = Grid("KOSPI", "2025-06-02")
LOWER, UPPER = GRID.limits(10_000)
PRICES = [10_000.0 + 10 * step for step in range(-8, 9)]


def day(last: float = 10_000.0) -> Day:
    return Day(last, LOWER, UPPER, GRID)


def orders(*rows: tuple[int, float | None, int]) -> list[Resting]:
    return [
        Resting(number, "a", side, price or 0.0, shares, market=price is None)
        for number, (side, price, shares) in enumerate(rows, 1)
    ]


some_orders = st.lists(
    st.tuples(st.sampled_from((1, -1)), st.one_of(st.none(), st.sampled_from(PRICES)), st.integers(1, 300)),
    min_size=1, max_size=25,
)  # fmt: skip


def by_search(book: list[Resting], last: float) -> Uncross | None:
    """Every grid price between the limits, one after the other: most volume, least left over, nearest to the last."""
    priced = effective(book, day(last))
    if priced is None:
        return None
    best: list[tuple[float, int]] = []
    key = (0, 0)
    price = LOWER
    while price <= UPPER:
        demand = sum(shares for side, at, shares in priced if side > 0 and at >= price)
        supply = sum(shares for side, at, shares in priced if side < 0 and at <= price)
        found = (min(demand, supply), -abs(demand - supply))
        if found[0] and found > key:
            best, key = [], found
        if found[0] and found == key:
            best.append((price, demand - supply))
        price = GRID.up(price)
    if not best:
        return None
    at_last = [each for each in best if each[0] == last]
    above = [each for each in best if each[0] > last]
    chosen = at_last[0] if at_last else above[0] if above else best[-1]
    return Uncross(chosen[0], key[0], chosen[1])


@given(rows=some_orders, last=st.sampled_from(PRICES))
def test_the_price_of_a_call_is_the_one_a_search_over_all_prices_finds(
    rows: list[tuple[int, float | None, int]], last: float
) -> None:
    book = orders(*rows)
    if not all(order.market for order in book):
        assert uncross(book, day(last)) == by_search(book, last)


@given(rows=some_orders, last=st.sampled_from([LOWER, *PRICES, UPPER]))
def test_both_sides_of_a_call_trade_its_volume_by_price_and_then_time(
    rows: list[tuple[int, float | None, int]], last: float
) -> None:
    book = orders(*rows)
    result = uncross(book, day(last))
    if result is None:
        return
    assert LOWER <= result.price <= UPPER
    assert GRID.holds(result.price)
    for side in (1, -1):
        given_shares = {order.number: shares for order, shares in allocate(book, side, result, day(last))}
        assert sum(given_shares.values()) == result.volume
        assert all(0 < shares <= book[number - 1].leaves for number, shares in given_shares.items())
        for number in given_shares:
            order = book[number - 1]
            assert order.market or (order.price - result.price) * side >= 0
            if result.price in (LOWER, UPPER):
                continue
            before = [
                each for each in book
                if each.side == side and each is not order and (each.market, each.price * side) > (
                    order.market, order.price * side
                ) and each.market >= order.market
            ]  # fmt: skip
            assert all(given_shares.get(each.number, 0) == each.leaves for each in before if not order.market)


@pytest.mark.parametrize(
    ("rows", "last", "expected"),
    [
        # the last price is one of those that qualify
        ([(1, 10_050.0, 10), (-1, 9_950.0, 10)], 10_000.0, (10_000.0, 10, 0)),
        # it lies below them: the nearest
        ([(1, 10_050.0, 10), (-1, 10_020.0, 10)], 10_000.0, (10_020.0, 10, 0)),
        # it lies above them: the nearest
        ([(1, 9_970.0, 10), (-1, 9_950.0, 10)], 10_000.0, (9_970.0, 10, 0)),
        # market orders alone: the last price, and one tick towards the heavier side
        ([(1, None, 10), (-1, None, 10)], 10_000.0, (10_000.0, 10, 0)),
        ([(1, None, 20), (-1, None, 10)], 10_000.0, (10_010.0, 10, 10)),
        ([(1, None, 10), (-1, None, 20)], 10_000.0, (9_990.0, 10, -10)),
        # a market buy counts one tick above the best bid
        ([(1, 10_000.0, 5), (1, None, 5), (-1, 9_990.0, 5)], 9_990.0, (10_010.0, 5, 0)),
        # nobody meets
        ([(1, 9_990.0, 5), (-1, 10_000.0, 5)], 9_990.0, None),
        ([(1, 9_990.0, 5)], 9_990.0, None),
    ],
)  # fmt: skip
def test_ties_go_to_the_last_price(
    rows: list[tuple[int, float | None, int]], last: float, expected: tuple[float, int, int] | None
) -> None:
    result = uncross(orders(*rows), day(last))
    assert result == (None if expected is None else Uncross(*expected))


def test_at_the_upper_limit_size_replaces_time() -> None:
    book = orders((1, UPPER, 50), (1, UPPER, 1_000), (1, UPPER, 400), (-1, UPPER, 700))
    result = uncross(book, day(UPPER))
    assert result is not None
    shares = {order.number: part for order, part in allocate(book, 1, result, day(UPPER))}
    # 100 each, largest first (100, 100, 50), then half of what is left: 450 of 900; nothing remains for the third
    assert shares == {2: 550, 3: 100, 1: 50}
