"""The walk over two runs that gives each difference to its first cause.

On each bar, in this order:

    1. deposits, foreign fills, adoptions; corporate actions on shares that only one run has
    2. bars that differ, where something was held
    3. fills of orders decided on earlier bars
    4. orders decided here: where they differ, why
    5. fills of orders decided here (stops, orders at the close)
    6. interest and fees

An order differs because the strategy's target does (then the first bar that differs did it, or nobody but the decision
itself); because the runs hold other shares of the name, by the oldest cause that made it so; because some cause has
moved the account's money; and where none of that is so, it is a decision. A target that is known never follows from
money: it is computed from bars.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from quantkit.live.ledger.pairs import EXTERNAL, Pair, Part, Piece, cut_of, pairs_of, same_runs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from quantkit.live.ledger.tables import Arrays, Moves

_STOPS = frozenset({"stop_loss", "trailing_stop", "take_profit"})
_OF_THE_ACCOUNT = frozenset(
    {"INSUFFICIENT_CASH", "INSUFFICIENT_SHARES", "MARGIN", "MAX_WEIGHT", "MAX_POSITIONS", "MAX_EXPOSURE", "DAILY_LOSS",
     "DRAWDOWN", "TURNOVER"}
)  # fmt: skip
"""Reasons that tell of money and shares: such a cut follows from whatever made those differ."""


@dataclass(slots=True, eq=False)
class Cause:
    """A first cause and its bookings: money (bar, minor units), shares (bar, column, count), and marks, which count on
    their bar alone. part: of a fill, "price" or "quantity"."""

    kind: str
    row: int
    symbol: int
    detail: str
    part: str = ""
    follows: int = 0
    money: list[tuple[int, int]] = field(default_factory=list)
    shares: list[tuple[int, int, int]] = field(default_factory=list)
    marks: list[tuple[int, int]] = field(default_factory=list)
    cash: int = 0
    held: dict[int, int] = field(default_factory=dict)
    names: set[int] = field(default_factory=set)
    times: int = 0

    def book(self, row: int, symbol: int, *, money: int = 0, shares: int = 0) -> None:
        """Add to what it has done."""
        if money:
            self.money.append((row, money))
            self.cash += money
        if shares:
            self.shares.append((row, symbol, shares))
            self.held[symbol] = self.held.get(symbol, 0) + shares
        self.names.add(symbol)

    @property
    def open(self) -> bool:
        """Whether the account still differs by it."""
        return self.cash != 0 or any(self.held.values())

    def text(self) -> str:
        """What happened; how often, where it is the sum of many."""
        return f"{self.detail}, {self.times} fills" if self.times > 1 else self.detail


class Walk:
    """Two runs, bar by bar. `run` gives the causes, oldest first."""

    def __init__(self, expected: Arrays, actual: Arrays, *, replayed: bool = False) -> None:
        self.first, self.second, self.replayed = expected, actual, replayed
        self.causes: list[Cause] = []
        self.decisions: NDArray[np.int64] = np.zeros((len(expected.equity), 2), np.int64)
        self._common: dict[str, Cause] = {}
        self._data: dict[tuple[int, int], Cause | None] = {}  # bars that differ; the cause, once something follows
        self._held: dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}

    def run(self) -> list[Cause]:
        """Walk all bars."""
        if same_runs(self.first, self.second):
            np.add.at(self.decisions, self.first.orders.row, 1)
            return []
        pairs = pairs_of(self.first, self.second)
        for pair in pairs:
            if pair.kind != EXTERNAL:
                self.decisions[pair.row] += (pair.alike, 1)
        for pair in pairs:
            if self.replayed and pair.denied:
                self._judge(pair)
        legs, decided = self._agenda(pairs)
        self._opening()
        self._find_data()
        data_rows = defaultdict(list)
        for row, symbol in self._data:
            data_rows[row].append(symbol)
        for row in self._rows(legs, decided, data_rows):
            self._money_in(row)
            self._actions(row)
            for symbol in data_rows.get(row, ()):
                self._mark(row, symbol)
            for pair, piece in legs.get(row, ()):
                if pair.row < row:
                    self._leg(row, pair, piece)
            for pair in decided.get(row, ()):
                self._judge(pair)
            for pair, piece in legs.get(row, ()):
                if pair.row >= row:
                    self._leg(row, pair, piece)
            self._flows(row)
        return self.causes

    def _agenda(self, pairs: list[Pair]) -> tuple[dict[int, list[tuple[Pair, Piece]]], dict[int, list[Pair]]]:
        """What there is to look at by bar: pieces of fills on each bar they touch, orders that differ."""
        legs: dict[int, list[tuple[Pair, Piece]]] = defaultdict(list)
        decided: dict[int, list[Pair]] = defaultdict(list)
        for pair in pairs:
            if pair.verdict is None and (not pair.alike or pair.denied) and pair.kind != EXTERNAL:
                decided[pair.row].append(pair)
            for piece in pair.pieces:
                for row in {part.row for part in (piece.expected, piece.actual) if part is not None}:
                    legs[row].append((pair, piece))
        return legs, decided

    def _rows(self, *agendas: Iterable[int]) -> list[int]:
        """Bars on which anything happened."""
        found: set[int] = set()
        for agenda in agendas:
            found.update(agenda)
        found.update(np.flatnonzero(self.first.deposits != self.second.deposits).tolist())
        for run in (self.first, self.second):
            for moves in (run.actions, run.flows, run.external):
                found.update(moves.row.tolist())
        return sorted(found)

    # --- what comes from outside --------------------------------------------------------------------------------------

    def _new(self, kind: str, row: int, symbol: int, detail: str, *, part: str = "") -> Cause:
        """Another cause; in a replay the gate that has denied an order: nothing else there is not the same."""
        gates = [cause for cause in self.causes if cause.kind == "gate"] if self.replayed and kind != "gate" else []
        if gates:
            before = (cause for cause in reversed(gates) if cause.symbol == symbol and cause.row <= row)
            gate = next(before, gates[0])
            gate.follows += 1
            return gate
        cause = Cause(kind, row, symbol, detail, part)
        self.causes.append(cause)
        return cause

    def _shared(self, kind: str, row: int, detail: str) -> Cause:
        """The one cause of all differences of a kind that no name and no bar has alone."""
        cause = self._common.get(detail)
        if cause is None:
            cause = self._common[detail] = self._new(kind, row, -1, detail)
        cause.times += cause.kind == kind
        return cause

    def _opening(self) -> None:
        """Balances that differ before the first bar."""
        first, second = self.first, self.second
        if first.start_cash != second.start_cash:
            cause = self._new("external", 0, -1, "another opening balance")
            cause.book(0, -1, money=second.start_cash - first.start_cash)
        for symbol in sorted(first.start_shares.keys() | second.start_shares.keys()):
            more = second.start_shares.get(symbol, 0) - first.start_shares.get(symbol, 0)
            if more:
                cause = self._new("external", 0, symbol, f"another opening position: {more:+,}")
                cause.book(0, symbol, shares=more)

    def _money_in(self, row: int) -> None:
        """Deposits, and what others did to the account."""
        more = int(self.second.deposits[row] - self.first.deposits[row])
        if more:
            self._new("external", row, -1, "deposit" if more > 0 else "a deposit that did not come").book(
                row, -1, money=more
            )
        ours = _moves_at(self.first.external, row)
        for move in _moves_at(self.second.external, row):
            if move in ours:
                ours.remove(move)
            else:
                self._external(row, move, 1)
        for move in ours:
            self._external(row, move, -1)

    def _external(self, row: int, move: tuple[int, str, int, int], sign: int) -> None:
        symbol, kind, shares, cash = move
        detail = f"{kind} {shares:+,}" if shares else kind
        cause = self._new("external", row, symbol, detail if sign > 0 else f"{detail}, expected only")
        cause.book(row, symbol, money=sign * cash, shares=sign * shares)

    def _shares(self, symbol: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        if symbol not in self._held:
            self._held[symbol] = (self.first.shares(symbol), self.second.shares(symbol))
        return self._held[symbol]

    def _actions(self, row: int) -> None:
        """Corporate actions: what they give to shares that only one run has belongs to the cause of those."""
        told: list[dict[tuple[int, str], list[int]]] = []
        for run in (self.first, self.second):
            sums: dict[tuple[int, str], list[int]] = {}
            for symbol, kind, shares, cash in _moves_at(run.actions, row):
                entry = sums.setdefault((symbol, kind), [0, 0])
                entry[0] += shares
                entry[1] += cash
            told.append(sums)
        for key in dict.fromkeys((*told[0], *told[1])):
            self._action(row, *key, *told[0].get(key, [0, 0]), *told[1].get(key, [0, 0]))

    def _action(self, row: int, symbol: int, kind: str, shares: int, cash: int, got: int, paid: int) -> None:
        """One action: `shares` and `cash` expected, `got` and `paid` in truth."""
        own = [cause for cause in self.causes if cause.held.get(symbol)]
        if (shares, cash) == (got, paid) and len(own) < 2:
            return
        before = [int(column[row - 1]) if row else 0 for column in self._shares(symbol)]
        if not own:
            cause = self._new("data", row, symbol, f"{kind}: not the same in both runs")
            cause.book(row, symbol, money=paid - cash, shares=got - shares)
            return
        basis = (before[0], shares, cash) if before[0] else (before[1], got, paid)
        more_shares, more_cash = got - shares, paid - cash
        own.sort(key=lambda cause: abs(cause.held[symbol]))  # what rounding leaves goes to the largest
        for place, cause in enumerate(own):
            part = (
                (cause.held[symbol] * basis[1] // basis[0], cause.held[symbol] * basis[2] // basis[0])
                if basis[0]
                else (0, 0)
            )
            if place == len(own) - 1:
                part = (more_shares, more_cash)
            cause.book(row, symbol, shares=part[0], money=part[1])
            cause.follows += 1
            more_shares, more_cash = more_shares - part[0], more_cash - part[1]

    def _flows(self, row: int) -> None:
        """Interest, fees on what is borrowed, corrections: they follow from money that differs, or are costs."""
        sums: dict[str, int] = defaultdict(int)
        for sign, run in ((-1, self.first), (1, self.second)):
            for _, kind, _, cash in _moves_at(run.flows, row):
                sums[kind] += sign * cash
        for kind, more in sums.items():
            if more:
                older = None if kind == "correction" else self._oldest()
                (older or self._shared("cost", row, kind)).book(row, -1, money=more)

    # --- bars that differ ---------------------------------------------------------------------------------------------

    def _find_data(self) -> None:
        """Cells of the bars that differ; no cause is made of one before something comes of it."""
        first, second = self.first, self.second
        differs = ~_equal(first.close, second.close)
        for name in first.prices.keys() & second.prices.keys():
            differs |= ~_equal(first.prices[name], second.prices[name])
        self._data = {(int(row), int(symbol)): None for row, symbol in zip(*np.nonzero(differs), strict=True)}
        self._data.update({(row, -1): None for row in second.doubtful})

    def _data_cause(self, row: int, symbol: int) -> Cause:
        cause = self._data[row, symbol]
        if cause is None and symbol < 0:
            cause = self._data[row, symbol] = self._new(
                "data", row, -1, "bars of names that were not held read otherwise"
            )
        if cause is None:
            was, found = self.first.close[row, symbol], self.second.close[row, symbol]
            detail = f"close {found:,.10g}, expected {was:,.10g}" if was != found else "another open, high or low"
            cause = self._data[row, symbol] = self._new("data", row, symbol, detail)
        return cause

    def _mark(self, row: int, symbol: int) -> None:
        """What both runs hold is worth something else at another close."""
        if symbol < 0:
            return
        held = int(self._shares(symbol)[0][row])
        was, found = (
            int(np.floor(np.nan_to_num(run.close[row, symbol]) * held * run.unit + 0.5))
            for run in (self.first, self.second)
        )
        if was != found:
            self._data_cause(row, symbol).marks.append((row, found - was))

    # --- orders that differ -------------------------------------------------------------------------------------------

    def _oldest(self, symbol: int | None = None) -> Cause | None:
        """The oldest cause by which the account differs, or by which a name does."""
        if symbol is None:
            return next((cause for cause in self.causes if cause.open), None)
        held = next((cause for cause in self.causes if cause.held.get(symbol)), None)
        return held or next((cause for cause in self.causes if symbol in cause.names and cause.open), None)

    def _earliest_data(self, row: int, symbol: int | None = None) -> Cause | None:
        """The first bar up to `row` that differs, of one name or of any."""
        found = [key for key in self._data if key[0] <= row and (symbol is None or key[1] == symbol)]
        return self._data_cause(*min(found)) if found else None

    def _judge(self, pair: Pair) -> None:
        """Why an order was made by one run only, or for another quantity."""
        row, symbol = pair.row, pair.symbol
        if pair.actual is not None and pair.denied:
            words = f"{pair.actual.reason or 'denied'}: {_side(pair)} {pair.actual.quantity:,}"
            pair.verdict = pair.missing = self._new("gate", row, symbol, words)
            return
        targets, why = self._targets(row, symbol), ""
        if targets is not None and not _same(*targets):
            older = self._earliest_data(row, symbol) or self._earliest_data(row)
            why = f"target {targets[1]:g}, expected {targets[0]:g}"
        else:
            older = self._state(row, symbol, known=targets is not None)
        if older is not None:
            older.follows += older.row < row or older.kind == "data"
        pair.verdict = older or self._decision(pair, why)

    def _state(self, row: int, symbol: int, *, known: bool) -> Cause | None:
        """What made the runs differ when they sized an order. known: their targets are, and are the same."""
        held = self._oldest(symbol)
        if held is not None:
            return held
        own = (row, symbol) in self._data if known else True
        data = self._earliest_data(row, symbol) if own else None
        if data is not None:
            return self._data_cause(row, symbol) if known else data
        money = self._oldest() or next((c for c in self.causes if c.marks and c.marks[-1][0] == row), None)
        return money or (None if known else self._earliest_data(row))

    def _targets(self, row: int, symbol: int) -> tuple[float, float] | None:
        if self.first.targets is None or self.second.targets is None:
            return None
        if not self.first.targets.shape[1] or not self.second.targets.shape[1]:
            return None
        return float(self.first.targets[row, symbol]), float(self.second.targets[row, symbol])

    def _decision(self, pair: Pair, why: str = "") -> Cause:
        """A cause of its own: nothing before it explains the order."""
        side = _side(pair)
        asked = [None if one is None else one.quantity for one in (pair.expected, pair.actual)]
        if asked[0] is None:
            detail = f"{side} {asked[1]:,} ordered, nothing expected"
        elif asked[1] is None:
            detail = f"{side} {asked[0]:,} expected, nothing ordered"
        else:
            detail = f"{side} {asked[1]:,} ordered, {asked[0]:,} expected"
            if not why and abs(asked[1] - asked[0]) == 1 and self._targets(pair.row, pair.symbol) is not None:
                return self._new("rounding", pair.row, pair.symbol, detail)
        return self._new("decision", pair.row, pair.symbol, f"{detail} ({why})" if why else detail)

    # --- fills that differ --------------------------------------------------------------------------------------------

    def _leg(self, row: int, pair: Pair, piece: Piece) -> None:
        """Book what a piece does on one bar."""
        expected, actual = piece.expected, piece.actual
        if expected is not None and actual is not None and expected.row == actual.row:
            self._priced(row, pair, expected, actual)
            return
        if piece.cause is None:
            piece.cause = self._moved(row, pair, piece)
        else:
            piece.cause.follows += piece.cause.row < row
        for sign, part in ((-1, expected), (1, actual)):
            if part is not None and part.row == row:
                money = -pair.side * part.value - part.commission - part.tax
                piece.cause.book(row, pair.symbol, money=sign * money, shares=sign * pair.side * part.quantity)

    def _moved(self, row: int, pair: Pair, piece: Piece) -> Cause:
        """Why shares came on another bar, or in one run only."""
        side = f"{_side(pair)} {piece.quantity:,}"
        if pair.kind == EXTERNAL:
            where = "foreign fill" if piece.expected is None else "foreign fill, expected only"
            return self._new("external", row, pair.symbol, f"{where}: {side}")
        if piece.expected is not None and piece.actual is not None:
            then = self.first.index[piece.expected.row], self.first.index[piece.actual.row]
            data = self._data_of((piece.expected.row, piece.actual.row), pair.symbol)
            return data or self._new("timing", row, pair.symbol, f"{side} filled {then[1]}, expected {then[0]}")
        if piece.ordered and pair.verdict is not None:
            return pair.verdict
        if pair.missing is None:
            pair.missing = self._missing(row, pair, piece, side)
        return pair.missing

    def _missing(self, row: int, pair: Pair, piece: Piece, side: str) -> Cause:
        """Why an order that both runs made was filled for less in one of them."""
        lacking, had = (pair.actual, pair.expected) if piece.actual is None else (pair.expected, pair.actual)
        reason = "" if lacking is None else lacking.reason
        if reason in _OF_THE_ACCOUNT and (had is None or had.reason != reason or had.quantity):
            older = self._oldest()
            if older is not None:
                older.follows += 1
                return older
        data = self._data_of((row,), pair.symbol)
        words = f"{side} missed" if piece.actual is None else f"{side} more than expected"
        return data or self._new("fill", row, pair.symbol, f"{words} ({reason})" if reason else words,
                                 part="quantity")  # fmt: skip

    def _data_of(self, rows: tuple[int, ...], symbol: int) -> Cause | None:
        for row in rows:
            if (row, symbol) in self._data:
                return self._data_cause(row, symbol)
        return None

    def _priced(self, row: int, pair: Pair, expected: Part, actual: Part) -> None:
        """The same shares on the same bar: another price, another cost."""
        symbol, more = pair.symbol, actual.value - expected.value
        rest, owed = -pair.side * more, 0
        for was, found, words in (
            (expected.commission, actual.commission, "commission"),
            (expected.tax, actual.tax, "tax"),
        ):
            usual = was if not more or not expected.value else round(was * actual.value / expected.value)
            if abs(found - usual) <= (cut_of(self.first.unit) if more else 0):
                usual = found  # what another price makes of it, cut as the broker cuts it
            owed += usual - was
            if found != usual:
                self._shared("cost", row, words).book(row, symbol, money=usual - found)
        if rest or owed:
            self._price_cause(row, pair, expected, actual).book(row, symbol, money=rest - owed)

    def _price_cause(self, row: int, pair: Pair, expected: Part, actual: Part) -> Cause:
        older = pair.verdict
        if older is None and pair.kind in _STOPS:
            older = self._oldest(pair.symbol)
        older = older or self._data_of((row,), pair.symbol)
        if older is not None:
            older.follows += older.row < row
            return older
        if expected.price == actual.price:
            return self._shared("rounding", row, "value of a fill")
        side = "bought" if pair.side > 0 else "sold"
        detail = f"{side} at {actual.price:,.10g}, expected {expected.price:,.10g}"
        return self._new("fill", row, pair.symbol, detail, part="price")


def _moves_at(moves: Moves, row: int) -> list[tuple[int, str, int, int]]:
    """(column, kind, shares, cash) of the moves of a bar."""
    places = np.flatnonzero(moves.row == row)
    return [(int(moves.symbol[k]), moves.kind[k], int(moves.shares[k]), int(moves.cash[k])) for k in places]


def _same(one: float, other: float) -> bool:
    return one == other or (one != one and other != other)


def _equal(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (one == other) | (np.isnan(one) & np.isnan(other))
    return found


def _side(pair: Pair) -> str:
    return "buy" if pair.side > 0 else "sell"
