"""What a journal recorded, as the tables that the parity ledger reads.

Contract: pure. Fills and orders are the journal's. Shares and cash at each bar are too, and what moved them besides
fills is found as the rest: it is an action or interest where the backtest has one on that bar, else external. So the
tables account for every won of the recorded equity, whatever the backtest says.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from quantkit.live.ledger.tables import FIELDS, Tables
from quantkit.trading.orders import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quantkit.backtest.result import Result
    from quantkit.live.record import Asked, Record

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_KINDS: Final = {"open": "at_open", "close": "at_close", "market": "at_open"}
_STOPS: Final = frozenset({"stop_loss", "trailing_stop", "take_profit"})
_FILL: Final = ("time", "symbol", "side", "quantity", "price", "value", "commission", "tax", "order_id")
_ORDER: Final = ("order_id", "decided", "symbol", "side", "quantity", "status", "reason", "kind")
_MOVE: Final = ("time", "symbol", "kind", "shares", "cash")


def opening_of(record: Record) -> tuple[int, dict[str, int]]:
    """(cash, shares) before the first bar that was folded: what it ended with, less its fills."""
    first = record.folded[0]
    cash, shares = first.cash, {name: int(kept[0] or 0) for name, kept in first.held.items()}
    for fill in record.fills:
        if fill.row == 0:
            intent = record.asked[fill.number].order.intent
            cash += intent.side.sign * fill.value + fill.commission + fill.tax
            shares[intent.symbol] = shares.get(intent.symbol, 0) - intent.side.sign * fill.quantity
    return cash, {name: count for name, count in shares.items() if count}


def groups_of(record: Record) -> dict[int, list[Asked]]:
    """Orders by number: all that were sent for one order of the fold are one, and all attempts of one stop on a bar; a
    person's stand alone."""
    found: dict[int, list[Asked]] = {}
    numbers: dict[object, int] = {}
    for asked in record.asked.values():
        intent = asked.order.intent
        key: object = intent.id if intent.fold_order < 0 else intent.fold_order
        if intent.rule in _STOPS:
            key = (intent.symbol, intent.side, intent.rule, asked.row)
        found.setdefault(numbers.setdefault(key, len(numbers)), []).append(asked)
    return found


def wanted_of(many: list[Asked]) -> int:
    """Shares that orders which are one asked for."""
    first = many[0].order.intent
    return max(each.order.intent.quantity for each in many) if first.rule in _STOPS else first.quantity


def recorded_tables(
    record: Record, result: Result, rows: Ints, *, targets: Floats | None, doubtful: frozenset[int]
) -> Tables:
    """The recorded days on the bars of their backtest. rows: bar of the backtest that each folded bar is, the first
    `len(rows)` of the record."""
    made = _Maker(record, result, rows)
    cash, shares = opening_of(record)
    made.account(cash, shares)
    prices = made.prices()
    return Tables(
        index=result.bars.index,
        symbols=result.bars.symbols,
        equity=made.equity,
        close=prices.pop("close"),
        prices=prices,
        fills=made.table(made.fills, _FILL),
        orders=made.table(made.orders(), _ORDER),
        actions=made.table(made.actions, _MOVE),
        flows=made.table(made.flows, ("time", "kind", "amount")),
        external=made.table(made.external, _MOVE),
        deposits=result.run.deposits,
        targets=targets,
        doubtful=doubtful,
        start_cash=cash,
        start_shares=shares,
        unit=result.bars.minor_unit,
    )


@dataclass(slots=True)
class _Day:
    """What moved on one bar besides fills, minor units and shares."""

    cash: int
    shares: dict[str, int]


class _Maker:
    def __init__(self, record: Record, result: Result, rows: Ints) -> None:
        self.record, self.result, self.rows = record, result, rows
        self.index, self.unit = result.bars.index, result.bars.minor_unit
        self.numbers = {each.order.id: number for number, many in groups_of(record).items() for each in many}
        self.equity: Ints = np.zeros(len(self.index), np.int64)
        self.fills: list[dict[str, Any]] = []
        self.actions: list[dict[str, Any]] = []
        self.flows: list[dict[str, Any]] = []
        self.external: list[dict[str, Any]] = []
        self.known = {
            kind: {stamp: table.to_dict("records") for stamp, table in source.groupby("time", sort=False)}
            for kind, source in (("actions", result.actions), ("flows", result.cash_flows))
        }

    def table(self, lines: Sequence[dict[str, Any]], columns: tuple[str, ...]) -> pd.DataFrame:
        return pd.DataFrame(list(lines), columns=list(columns))

    # --- the account, bar by bar --------------------------------------------------------------------------------------

    def account(self, cash: int, shares: dict[str, int]) -> None:
        """Book fills, and what else moved shares and money from one bar to the next."""
        fills, outside = defaultdict(list), defaultdict(list)
        for fill in self.record.fills:
            fills[fill.row].append(fill)
        for move in self.record.outside:
            outside[move.row].append(move)
        held, before = dict(shares), -1
        theirs = self._expected_shares()
        for place, row in enumerate(self.rows.tolist()):
            folded = self.record.folded[place]
            day = _Day(folded.cash - cash, {})
            now = {name: int(kept[0] or 0) for name, kept in folded.held.items()}
            for name in dict.fromkeys((*held, *now)):
                day.shares[name] = now.get(name, 0) - held.get(name, 0)
            for fill in fills[place]:
                self._fill(row, fill, day)
            for move in outside[place]:
                self._outside(row, move, day)
            self._rest(row, day, held, theirs[row - 1] if row else {})
            self.equity[before + 1 : row] = self.equity[before] if before >= 0 else folded.equity
            self.equity[row] = folded.equity
            cash, held, before = folded.cash, {name: count for name, count in now.items() if count}, row

    def _expected_shares(self) -> list[dict[str, int]]:
        symbols = self.result.bars.symbols
        matrix = self.result.positions.to_numpy()
        return [{symbols[s]: int(line[s]) for s in np.flatnonzero(line)} for line in matrix]

    def _fill(self, row: int, fill: Any, day: _Day) -> None:
        intent = self.record.asked[fill.number].order.intent
        sign = intent.side.sign
        day.cash += sign * fill.value + fill.commission + fill.tax
        day.shares[intent.symbol] = day.shares.get(intent.symbol, 0) - sign * fill.quantity
        self.fills.append({
            "time": self.index[row], "symbol": intent.symbol, "side": str(intent.side), "quantity": fill.quantity,
            "price": fill.price, "value": fill.value / self.unit, "commission": fill.commission / self.unit,
            "tax": fill.tax / self.unit, "order_id": self.numbers[fill.number],
        })  # fmt: skip

    def _outside(self, row: int, move: Any, day: _Day) -> None:
        day.cash -= move.cash
        if move.symbol:
            day.shares[move.symbol] = day.shares.get(move.symbol, 0) - move.shares
        if move.kind == "correction" and not move.shares:
            self._flow(row, move.kind, move.cash)
        else:
            self._move(self.external, row, move.symbol, move.kind, move.shares, move.cash)

    def _rest(self, row: int, day: _Day, held: dict[str, int], theirs: dict[str, int]) -> None:
        """What fills do not account for: actions and flows as the backtest has them, the remainder beside them."""
        stamp = self.index[row]
        actions = [each for each in self.known["actions"].get(stamp, ()) if held.get(each["symbol"])]
        for action in actions:
            symbol = action["symbol"]
            cash = round(action["cash"] * self.unit * held[symbol] / theirs.get(symbol, held[symbol]))
            shares = day.shares.pop(symbol, 0) if action["shares"] else 0
            cash = day.cash if abs(day.cash - cash) <= 1 else cash
            day.cash -= cash
            self._move(self.actions, row, symbol, action["kind"], shares, cash)
        for symbol, shares in day.shares.items():
            if shares:
                self._move(self.external, row, symbol, "shares", shares, 0)
        flows = self.known["flows"].get(stamp, ()) if day.cash else ()
        for place, flow in enumerate(flows):
            amount = round(flow["amount"] * self.unit) if place < len(flows) - 1 else day.cash
            day.cash -= amount
            self._flow(row, flow["kind"], amount)
        if day.cash:
            self._move(self.external, row, "", "cash", 0, day.cash)

    def _flow(self, row: int, kind: str, amount: int) -> None:
        self.flows.append({"time": self.index[row], "kind": kind, "amount": amount / self.unit})

    def _move(self, table: list[dict[str, Any]], row: int, symbol: str, kind: str, shares: int, cash: int) -> None:
        table.append({"time": self.index[row], "symbol": symbol, "kind": kind, "shares": shares,
                      "cash": cash / self.unit})  # fmt: skip

    # --- orders and prices --------------------------------------------------------------------------------------------

    def orders(self) -> list[dict[str, Any]]:
        """A line an order of the fold, as it was asked for first."""
        found = []
        for number, many in groups_of(self.record).items():
            first, last = many[0], many[-1].order
            if first.row >= len(self.rows):
                continue
            intent, wanted = first.order.intent, wanted_of(many)
            filled = sum(each.order.filled for each in many)
            found.append({
                "order_id": number, "decided": self.index[self.rows[first.row]], "symbol": intent.symbol,
                "side": str(intent.side), "quantity": wanted,
                "status": "filled" if filled >= wanted else "denied" if last.status is Status.DENIED else "cut",
                "reason": "" if filled >= wanted else last.reason,
                "kind": intent.rule if intent.rule in _STOPS else _KINDS.get(intent.kind, intent.kind),
            })  # fmt: skip
        return found

    def prices(self) -> dict[str, Floats]:
        """The backtest's bars, with the prices that were recorded of names held."""
        raw = self.result.bars.raw
        found = {name: np.array(getattr(raw, name), np.float64) for name in FIELDS}
        places = {symbol: s for s, symbol in enumerate(self.result.bars.symbols)}
        for folded, row in zip(self.record.folded, self.rows.tolist(), strict=False):
            for symbol, (_, *kept) in folded.held.items():
                for name, price in zip(FIELDS, kept, strict=True):
                    if price is not None and symbol in places:
                        found[name][row, places[symbol]] = price
        return found
