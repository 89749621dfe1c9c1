"""Orders of two runs that are one order, and their fills piece by piece.

Contract: an order is known by the bar it was decided on, its name and side; where several were decided there, by kind,
tag and quantity first, then by their sequence: the runs' own numbers mean nothing to each other once they differ. Fills
are cut into pieces that both runs have on the same bar, that one has later, or that one lacks; money is cut with
them, and the pieces of a fill sum to it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quantkit.live.ledger.causes import Cause
    from quantkit.live.ledger.tables import Arrays

EXTERNAL = "external"


@dataclass(slots=True)
class Part:
    """A fill, or what is left of one."""

    row: int
    quantity: int
    price: float
    value: int
    commission: int
    tax: int

    def take(self, quantity: int, like: Part | None = None, *, close: int = 0) -> Part:
        """Cut off so many shares with their part of the money; the last piece gets what is left.

        like: the same shares in the other run; their commission and tax are taken where they differ from an even part
        by no more than `close`, or where a least commission makes them what the whole pays.
        """
        whole = self.quantity
        value, commission, tax = (amount * quantity // whole for amount in (self.value, self.commission, self.tax))
        if like is not None and quantity < whole:
            if abs(like.commission - commission) <= close or like.commission == self.commission:
                commission = like.commission
            if abs(like.tax - tax) <= close:
                tax = like.tax
        piece = Part(self.row, quantity, self.price, value, commission, tax)
        self.quantity, self.value = self.quantity - quantity, self.value - value
        self.commission, self.tax = self.commission - commission, self.tax - tax
        return piece


@dataclass(slots=True)
class Piece:
    """Shares that were expected, that came, or both. ordered: one run lacks them because it never ordered them."""

    expected: Part | None
    actual: Part | None
    ordered: bool = False
    cause: Cause | None = None

    @property
    def quantity(self) -> int:
        """Shares."""
        part = self.expected or self.actual
        return 0 if part is None else part.quantity


@dataclass(slots=True)
class Asked:
    """One side of a pair: an order as one run knows it."""

    quantity: int
    status: str
    reason: str
    mark: tuple[str, int]
    place: int
    parts: list[Part] = field(default_factory=list)


@dataclass(slots=True)
class Pair:
    """One order as both runs know it; None: that run never made it."""

    row: int
    symbol: int
    side: int
    expected: Asked | None
    actual: Asked | None
    pieces: list[Piece] = field(default_factory=list)
    verdict: Cause | None = None  # why the orders differ
    missing: Cause | None = None  # why their fills do

    @property
    def kind(self) -> str:
        """Kind of order, as either run calls it."""
        asked = self.expected or self.actual
        return "" if asked is None else asked.mark[0]

    @property
    def alike(self) -> bool:
        """Whether both runs asked for the same."""
        return self.expected is not None and self.actual is not None and self.expected.quantity == self.actual.quantity

    @property
    def denied(self) -> bool:
        """Whether a gate stopped it."""
        return self.actual is not None and self.actual.status == "denied"


def pairs_of(expected: Arrays, actual: Arrays) -> list[Pair]:
    """Every order of either run, by the bar it was decided on."""
    first, second = _asked(expected), _asked(actual)
    found = []
    for key in first.keys() | second.keys():
        for one, other in _matched(first.get(key, []), second.get(key, [])):
            pair = Pair(*key, one, other)
            pair.pieces = list(_pieces(pair, close=cut_of(expected.unit)))
            found.append(pair)
    return sorted(found, key=lambda pair: (pair.row, _place(pair), pair.symbol, pair.side))


def cut_of(unit: int) -> int:
    """Minor units within which a broker's cutting of commissions moves one: 10 won, a cent."""
    return 10 if unit == 1 else 1


def _place(pair: Pair) -> int:
    asked = pair.expected or pair.actual
    return 0 if asked is None else asked.place


def _asked(run: Arrays) -> dict[tuple[int, int, int], list[Asked]]:
    """Orders by (bar, name, side); fills that no order of the table made are orders of their own."""
    orders, fills = run.orders, run.fills
    parts: dict[int, list[int]] = defaultdict(list)
    for place, number in enumerate(fills.order.tolist()):
        parts[number if number >= 0 else -1 - place].append(place)
    found: dict[tuple[int, int, int], list[Asked]] = defaultdict(list)
    for place, number in enumerate(orders.id.tolist()):
        key = (int(orders.row[place]), int(orders.symbol[place]), int(orders.side[place]))
        asked = Asked(
            int(orders.quantity[place]), orders.status[place], orders.reason[place], orders.mark[place], place
        )
        asked.parts = [_part(run, fill) for fill in parts.pop(number, ())]
        found[key].append(asked)
    for number, places in parts.items():
        key = (int(fills.row[places[0]]), int(fills.symbol[places[0]]), int(fills.side[places[0]]))
        kind = "unknown" if number >= 0 else EXTERNAL
        asked = Asked(int(fills.quantity[places].sum()), "filled", "", (kind, 0), len(orders.id) + places[0])
        asked.parts = [_part(run, fill) for fill in places]
        found[key].append(asked)
    return found


def _part(run: Arrays, place: int) -> Part:
    fills = run.fills
    return Part(int(fills.row[place]), int(fills.quantity[place]), float(fills.price[place]), int(fills.value[place]),
                int(fills.commission[place]), int(fills.tax[place]))  # fmt: skip


def _matched(first: list[Asked], second: list[Asked]) -> Iterator[tuple[Asked | None, Asked | None]]:
    """Pairs of orders of one bar, name and side: the most alike first."""
    first, second = list(first), list(second)
    looks = (_alike, _akin, _of_others)
    for look in looks:
        for one in list(first):
            other = next((asked for asked in second if look(asked) == look(one)), None)
            if other is not None:
                first.remove(one)
                second.remove(other)
                yield one, other
    yield from ((one, None) for one in first)
    yield from ((None, other) for other in second)


def _alike(asked: Asked) -> object:
    return asked.mark, asked.quantity


def _akin(asked: Asked) -> object:
    return asked.mark


def _of_others(asked: Asked) -> object:
    return asked.mark[0] == EXTERNAL


def _pieces(pair: Pair, close: int) -> Iterator[Piece]:
    """What both runs filled on the same bar, then what one filled on another, then what only one has."""
    first = [] if pair.expected is None else pair.expected.parts
    second = [] if pair.actual is None else pair.actual.parts
    for same_bar in (True, False):
        for one in first:
            for other in second:
                quantity = min(one.quantity, other.quantity)
                if quantity and (one.row == other.row or not same_bar):
                    if one.quantity <= other.quantity:
                        taken = one.take(quantity)
                        yield Piece(taken, other.take(quantity, taken, close=close))
                    else:
                        taken = other.take(quantity)
                        yield Piece(one.take(quantity, taken, close=close), taken)
    wanted = (0 if asked is None else asked.quantity for asked in (pair.expected, pair.actual))
    short = next(wanted) - next(wanted)  # ordered less than expected by so many
    for lacking, parts in ((short, first), (-short, second)):
        for part in parts:
            ordered = min(max(lacking, 0), part.quantity)
            for quantity, never_ordered in ((ordered, True), (part.quantity - ordered, False)):
                if quantity:
                    taken = part.take(quantity)
                    yield Piece(taken, None, never_ordered) if parts is first else Piece(None, taken, never_ordered)
            lacking -= ordered


def same_runs(expected: Arrays, actual: Arrays) -> bool:
    """Whether nothing at all differs, found without pairing anything."""
    columns = [(getattr(expected.fills, name), getattr(actual.fills, name)) for name in type(expected.fills).__slots__]
    orders = ("row", "symbol", "side", "quantity")
    columns += [(getattr(expected.orders, name), getattr(actual.orders, name)) for name in orders]
    columns += [(expected.equity, actual.equity), (expected.deposits, actual.deposits), (expected.close, actual.close)]
    columns += [(expected.prices[name], actual.prices[name]) for name in expected.prices if name in actual.prices]
    for one, other in ((expected.actions, actual.actions), (expected.flows, actual.flows)):
        columns += [(getattr(one, name), getattr(other, name)) for name in ("row", "symbol", "shares", "cash")]
    plain = (expected.start_cash, expected.start_shares) == (actual.start_cash, actual.start_shares)
    foreign = len(expected.external.row) + len(actual.external.row) + len(actual.doubtful)
    if expected.targets is not None and actual.targets is not None:
        columns.append((expected.targets, actual.targets))
    return (
        plain
        and not foreign
        and "denied" not in actual.orders.status
        and all(np.array_equal(one, other, equal_nan=one.dtype.kind == "f") for one, other in columns)
    )
