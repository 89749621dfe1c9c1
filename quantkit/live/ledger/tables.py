"""What the parity ledger reads of a run: plain tables, and the same as arrays.

Contract: times are those of the bars (`Result.fills` has them so), money in the tables is in units of price, as
people see it; arrays hold int64 minor units, rows and columns. Nothing is changed in place.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from quantkit.errors import BadData

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from quantkit.backtest.result import Result

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

FIELDS = ("open", "high", "low", "close")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """One run of an account, as tables.

    index      (T,) closes of the bars
    symbols    the N names of the columns
    equity     (T,) int64 minor units at each close
    close      (T, N) as traded, carried where a name did not trade
    prices     "open", "high", "low" likewise, where they are known: they tell a data difference from a fill's
    fills      time, symbol, side, quantity, price, commission, tax, order_id; `value` where price x quantity does not
               give it. order_id -1: a fill that no order of ours made
    orders     order_id, decided, symbol, side, quantity, status, reason; kind and tag where known. Status "denied": by
               a gate, whose code is the reason
    actions    time, symbol, kind, shares, cash: corporate actions on what was held
    flows      time, kind, amount: interest, fees on what was borrowed, corrections of costs
    external   time, symbol ("" for money alone), kind, shares, cash: foreign fills, adoptions, withdrawals
    deposits   (T,) int64 minor units paid in before each bar
    targets    (T, N) row values of the strategy, where they are known: they tell a decision from a size
    doubtful   bars that are known to differ from the other run's in names whose prices were not kept
    """

    index: pd.DatetimeIndex
    symbols: tuple[str, ...]
    equity: Ints
    close: Floats
    fills: pd.DataFrame
    orders: pd.DataFrame
    prices: Mapping[str, Floats] = field(default_factory=dict)
    actions: pd.DataFrame | None = None
    flows: pd.DataFrame | None = None
    external: pd.DataFrame | None = None
    deposits: Ints | None = None
    targets: Floats | None = None
    doubtful: frozenset[int] = frozenset()
    start_cash: int = 0
    start_shares: Mapping[str, int] = field(default_factory=dict)
    unit: int = 1


def tables_of(result: Result, *, targets: Floats | None = None) -> Tables:
    """The tables of a backtest, or of anything else that gives a `Result`. targets: (T, N) of the run's bars."""
    raw = result.bars.raw
    return Tables(
        index=result.bars.index,
        symbols=result.bars.symbols,
        equity=result.run.equity,
        close=raw.close,
        prices={name: getattr(raw, name) for name in FIELDS[:3]},
        fills=result.fills,
        orders=result.orders,
        actions=result.actions,
        flows=result.cash_flows,
        deposits=result.run.deposits,
        targets=targets,
        start_cash=result.run.initial_cash,
        unit=result.bars.minor_unit,
    )


@dataclass(frozen=True, slots=True)
class Fills:
    """Columns of fills, in the order they happened."""

    row: Ints
    symbol: Ints
    side: Ints
    quantity: Ints
    price: Floats
    value: Ints
    commission: Ints
    tax: Ints
    order: Ints


@dataclass(frozen=True, slots=True)
class Orders:
    """Columns of orders."""

    id: Ints
    row: Ints  # decided on
    symbol: Ints
    side: Ints
    quantity: Ints
    status: tuple[str, ...]
    reason: tuple[str, ...]
    mark: tuple[tuple[str, int], ...]  # kind and tag


@dataclass(frozen=True, slots=True)
class Moves:
    """Changes of shares and cash that no order made: actions, flows, external ones."""

    row: Ints
    symbol: Ints  # -1: money alone
    kind: tuple[str, ...]
    shares: Ints
    cash: Ints


@dataclass(frozen=True, slots=True)
class Arrays:
    """One run as arrays, on the names that both runs have."""

    index: pd.DatetimeIndex
    symbols: tuple[str, ...]
    equity: Ints
    close: Floats
    prices: dict[str, Floats]
    fills: Fills
    orders: Orders
    actions: Moves
    flows: Moves
    external: Moves
    deposits: Ints
    targets: Floats | None
    doubtful: frozenset[int]
    start_cash: int
    start_shares: dict[int, int]
    unit: int

    @property
    def touched(self) -> Ints:
        """Columns of names that shares were ever held of."""
        held = np.fromiter(self.start_shares, np.int64, len(self.start_shares))
        return np.unique(np.concatenate((held, self.fills.symbol, self.external.symbol[self.external.symbol >= 0])))

    def shares(self, symbol: int) -> Ints:
        """(T,) shares of a name at each close."""
        change: Ints = np.zeros(len(self.equity), np.int64)
        change[0] += self.start_shares.get(symbol, 0)
        mine = self.fills.symbol == symbol
        np.add.at(change, self.fills.row[mine], (self.fills.side * self.fills.quantity)[mine])
        for moves in (self.actions, self.external):
            mine = moves.symbol == symbol
            np.add.at(change, moves.row[mine], moves.shares[mine])
        return np.cumsum(change)


def aligned(expected: Tables, actual: Tables) -> tuple[Arrays, Arrays]:
    """Both runs as arrays over the same bars and names."""
    if not len(expected.index):
        raise BadData("parity: no bars to compare")
    if len(expected.index) != len(actual.index) or not bool((expected.index == actual.index).all()):
        raise BadData(
            f"parity: the runs cover different bars: {len(expected.index)} from {expected.index[0]} to "
            f"{expected.index[-1]}, and {len(actual.index)}" + (
                f" from {actual.index[0]} to {actual.index[-1]}" if len(actual.index) else ""
            ) + "; cut both to the span they share"
        )  # fmt: skip
    if expected.unit != actual.unit:
        raise BadData(f"parity: minor units differ: {expected.unit} and {actual.unit} in one unit of price")
    symbols = tuple(dict.fromkeys((*expected.symbols, *actual.symbols)))
    return _arrays(expected, symbols, "expected"), _arrays(actual, symbols, "actual")


def _arrays(run: Tables, symbols: tuple[str, ...], who: str) -> Arrays:
    """One run on the given names."""
    places = {symbol: place for place, symbol in enumerate(symbols)}
    reader = _Reader(run, places, who)
    shape = (len(run.index), len(symbols))
    columns = [places[symbol] for symbol in run.symbols]

    def wide(values: Floats) -> Floats:
        found = np.full(shape, np.nan)
        found[:, columns] = values
        return found

    unknown = sorted(set(run.start_shares) - set(places))
    if unknown:
        raise BadData(f"parity: the {who} run holds {', '.join(unknown)} at its start and has no bars of it")
    return Arrays(
        index=run.index,
        symbols=symbols,
        equity=np.asarray(run.equity, np.int64),
        close=wide(run.close),
        prices={name: wide(values) for name, values in run.prices.items()},
        fills=reader.fills(run.fills),
        orders=reader.orders(run.orders),
        actions=reader.moves(run.actions, "actions"),
        flows=reader.moves(run.flows, "flows"),
        external=reader.moves(run.external, "external"),
        deposits=np.zeros(shape[0], np.int64) if run.deposits is None else np.asarray(run.deposits, np.int64),
        targets=None if run.targets is None else wide(run.targets),
        doubtful=run.doubtful,
        start_cash=int(run.start_cash),
        start_shares={places[symbol]: int(shares) for symbol, shares in run.start_shares.items() if shares},
        unit=int(run.unit),
    )


class _Reader:
    """Turns the tables of one run into columns."""

    def __init__(self, run: Tables, places: Mapping[str, int], who: str) -> None:
        self.index, self.unit, self.places, self.who = run.index, int(run.unit), places, who

    def rows(self, times: Any, table: str) -> Ints:
        """Bars of the times. BadData for a time that is no bar's."""
        import pandas as pd

        stamps = pd.DatetimeIndex(times)
        found = self.index.get_indexer(stamps).astype(np.int64)
        if (found < 0).any():
            lost = stamps[found < 0][0]
            raise BadData(f"parity: {table} of the {self.who} run has the time {lost}, which is no bar of it")
        return found

    def columns(self, symbols: Any, table: str) -> Ints:
        """Columns of the names, -1 for "". BadData for a name without bars."""
        lost = sorted({symbol for symbol in symbols if symbol and symbol not in self.places})
        if lost:
            raise BadData(f"parity: {table} of the {self.who} run names {', '.join(lost)}, of which it has no bars")
        return np.array([self.places[symbol] if symbol else -1 for symbol in symbols], np.int64)

    def money(self, amounts: Any) -> Ints:
        """Minor units of amounts in units of price."""
        return np.rint(np.asarray(amounts, np.float64) * self.unit).astype(np.int64)

    def fills(self, table: pd.DataFrame) -> Fills:
        """The columns of fills."""
        price, quantity = table["price"].to_numpy(np.float64), table["quantity"].to_numpy(np.int64)
        value = np.floor(price * quantity * self.unit + 0.5).astype(np.int64)
        found = Fills(
            row=self.rows(table["time"], "fills"),
            symbol=self.columns(table["symbol"], "fills"),
            side=_signs(table["side"]),
            quantity=quantity,
            price=price,
            value=self.money(table["value"]) if "value" in table else value,
            commission=self.money(table["commission"]),
            tax=self.money(table["tax"]),
            order=table["order_id"].to_numpy(np.int64),
        )
        order = np.argsort(found.row, kind="stable")
        return Fills(*(getattr(found, name)[order] for name in Fills.__slots__))

    def orders(self, table: pd.DataFrame) -> Orders:
        """The columns of orders."""
        kinds = table["kind"] if "kind" in table else [""] * len(table)
        tags = table["tag"] if "tag" in table else [0] * len(table)
        return Orders(
            id=table["order_id"].to_numpy(np.int64),
            row=self.rows(table["decided"], "orders"),
            symbol=self.columns(table["symbol"], "orders"),
            side=_signs(table["side"]),
            quantity=table["quantity"].to_numpy(np.int64),
            status=tuple(map(str, table["status"])),
            reason=tuple(map(str, table["reason"])),
            mark=tuple((str(kind), int(tag)) for kind, tag in zip(kinds, tags, strict=True)),
        )

    def moves(self, table: pd.DataFrame | None, name: str) -> Moves:
        """The columns of actions, of flows (which have neither symbol nor shares), or of external changes."""
        if table is None or not len(table):
            none = np.zeros(0, np.int64)
            return Moves(none, none, (), none, none)
        size = len(table)
        return Moves(
            row=self.rows(table["time"], name),
            symbol=self.columns(table["symbol"], name) if "symbol" in table else np.full(size, -1, np.int64),
            kind=tuple(map(str, table["kind"])),
            shares=table["shares"].to_numpy(np.int64) if "shares" in table else np.zeros(size, np.int64),
            cash=self.money(table["cash"] if "cash" in table else table["amount"]),
        )


def _signs(sides: Any) -> Ints:
    """+1 for "buy", -1 for "sell"."""
    wrong = sorted({str(side) for side in sides} - {"buy", "sell"})
    if wrong:
        raise BadData(f"parity: a side is buy or sell, not {', '.join(wrong)}")
    return np.array([1 if str(side) == "buy" else -1 for side in sides], np.int64)
