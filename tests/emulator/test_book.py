"""Price-time priority, against a list that is sorted for every trade."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.emulator.book import Book, Resting
from quantkit.errors import Bug

actions = st.lists(
    st.one_of(
        st.tuples(st.just("order"), st.sampled_from((1, -1)), st.integers(90, 110), st.integers(1, 50)),
        st.tuples(st.just("cancel"), st.integers(0, 30), st.integers(1, 60), st.just(0)),
    ),
    max_size=40,
)


@given(steps=actions)
def test_makers_trade_by_price_and_then_by_time_and_the_book_never_crosses(
    steps: list[tuple[str, int, int, int]],
) -> None:
    book, known = Book(), []  # known: orders in the order they came
    for what, a, b, c in steps:
        if what == "cancel":
            if a < len(known):
                book.cancel(known[a], b)
            continue
        taker = Resting(len(known) + 1, "a", a, float(b), c)
        makers = sorted(
            (order for order in known if order.side == -a and order.leaves and (b - order.price) * a >= 0),
            key=lambda order: (a * order.price, order.number),
        )
        expected, left = [], c
        for order in makers:
            if left:
                expected.append((order.number, order.price, min(left, order.leaves)))
                left -= expected[-1][2]
        assert [(m.number, price, shares) for m, price, shares in book.take(a, c, float(b))] == expected
        taker.leaves = left
        known.append(taker)
        if left:
            book.add(taker)
        bid, ask = book.best(1), book.best(-1)
        assert bid is None or ask is None or bid < ask
        for side in (1, -1):
            resting = [order for order in known if order.side == side and order.leaves]
            assert sum(total for _, total in book.levels(side, 10**6)) == sum(order.leaves for order in resting)
            assert list(book.orders(side)) == sorted(resting, key=lambda order: (-side * order.price, order.number))


def test_an_order_that_would_cross_is_a_bug() -> None:
    book = Book()
    book.add(Resting(1, "a", -1, 100.0, 5))
    with pytest.raises(Bug, match="cross"):
        book.add(Resting(2, "a", 1, 100.0, 5))


def test_what_is_left_after_a_partial_cancel_keeps_its_place() -> None:
    book = Book()
    first, second = Resting(1, "a", -1, 100.0, 5), Resting(2, "a", -1, 100.0, 5)
    book.add(first)
    book.add(second)
    assert book.cancel(first, 2) == 2
    assert [(m.number, shares) for m, _, shares in book.take(1, 4)] == [(1, 3), (2, 1)]


def test_thinning_keeps_an_accounts_orders_only_ahead_of_others() -> None:
    book = Book()
    for number, account in enumerate(("crowd", "us", "crowd"), 1):
        book.add(Resting(number, account, 1, 100.0, 5))
    book.add(Resting(4, "crowd", 1, 99.0, 5))
    book.thin("crowd")
    assert [order.number for order in book.orders(1)] == [1, 2]
    assert book.best(1) == 100.0
    assert book.quantity(1, 99.0) == 0
