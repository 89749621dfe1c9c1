"""A journal as a live run would have written it, made of a backtest: what happened is the backtest's, but for what a
test says went otherwise."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from quantkit.backtest.pieces import Terms
from quantkit.backtest.result import Result
from quantkit.data.bars import Bars
from quantkit.host import bar_ends
from quantkit.live.deciding import inputs_from
from quantkit.live.journal.memory import MemoryJournal
from quantkit.live.prints import aims_of, seen_of
from quantkit.live.windows import windows_of
from quantkit.trading.events import Entry, Kind, intent_to_json
from quantkit.trading.orders import Intent, OrderType, Side

SECOND = 1_000_000_000
NAME = "rule"


def lines(table: Any) -> list[dict[str, Any]]:
    """A table of columns row by row."""
    columns = {name: np.asarray(values).tolist() for name, values in table.items()}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


@dataclass
class Otherwise:
    """What went otherwise. Keys are order numbers of the backtest (`late`: bars)."""

    worse: dict[int, float] = field(default_factory=dict)  # price for a share
    part: dict[int, int] = field(default_factory=dict)  # shares that came
    denied: dict[int, str] = field(default_factory=dict)
    dearer: dict[int, int] = field(default_factory=dict)  # commission
    adopted: dict[int, tuple[str, int]] = field(default_factory=dict)  # bar -> name, shares
    other_aims: set[int] = field(default_factory=set)  # bars decided on other targets


def journal_of(result: Result, terms: Terms, bars: Bars, first: int, *, otherwise: Otherwise | None = None,
               artifact: str = "digest", mode: str = "paper", journal: Any = None) -> Any:  # fmt: skip
    """The journal of a deployment that began on row `first` of the bars; in memory, or one that is open."""
    made = _Writer(result, terms, bars, first, otherwise or Otherwise(), artifact, mode).write()
    journal = MemoryJournal("first") if journal is None else journal
    journal.append(made)
    return journal


class _Writer:
    def __init__(
        self, result: Result, terms: Terms, bars: Bars, first: int, otherwise: Otherwise, artifact: str, mode: str
    ) -> None:
        self.result, self.other = result, otherwise
        self.ends = bar_ends(bars)[first : first + len(result.bars)].tolist()
        self.inputs = inputs_from(terms, bars, first=first)[0]
        self.names = result.bars.symbols
        self.entries: list[Entry] = []
        self.cash, self.shares = result.run.initial_cash, dict.fromkeys(self.names, 0)
        self.say(Kind.RUN_STARTED, self.ends[0] + 600 * SECOND, mode=mode, artifact=artifact, params={}, version="1")

    def say(self, kind: Kind, time: int, order: str | None = None, **payload: Any) -> None:
        self.entries.append(Entry(kind, time, payload, order=order, deployment=NAME))

    def write(self) -> list[Entry]:
        fills: dict[int, list[Any]] = defaultdict(list)
        decided: dict[int, list[Any]] = defaultdict(list)
        for fill in lines(self.result.run.fills):
            fills[int(fill["bar"])].append(fill)
        for order in lines(self.result.run.orders):
            decided[int(order["bar"])].append(order)
        for row, end in enumerate(self.ends):
            day = np.datetime64(int(self.result.bars.days[row]), "D").item()
            if row:
                self.say(Kind.SESSION_OPENED, windows_of(day)[0].opens - 60 * SECOND, date=day.isoformat(), actions=[],
                         bases={}, equity=0)  # fmt: skip
            for fill in fills[row]:
                self.fill(fill, windows_of(day)[0].opens)
            if row in self.other.adopted:
                name, more = self.other.adopted[row]
                self.say(Kind.POSITION_ADOPTED, end - SECOND, symbol=name, before=self.shares[name],
                         after=self.shares[name] + more, reason="found", by="min", deployment=NAME)  # fmt: skip
                self.shares[name] += more
            self.fold(row, end)
            for order in decided[row]:
                self.initialize(order, row, end)
        return self.entries

    def initialize(self, order: Any, row: int, end: int) -> None:
        after = self.result.bars.days[row] if row + 1 == len(self.ends) else self.result.bars.days[row + 1]
        symbol = self.names[int(order["symbol"])]
        intent = Intent(
            id=f"{NAME}:{end}:{int(order['order_id'])}", deployment=NAME, symbol=symbol,
            side=Side.BUY if order["side"] > 0 else Side.SELL, quantity=int(order["quantity"]), type=OrderType.LIMIT,
            window=windows_of(np.datetime64(int(after), "D").item())[0], bar=end, fold_order=int(order["order_id"]),
            kind="open", decision_price=float(self.result.bars.raw.close[row, int(order["symbol"])]),
        )  # fmt: skip
        self.say(Kind.ORDER_INITIALIZED, end, intent.id, intent=intent_to_json(intent))

    def fill(self, fill: Any, opens: int) -> None:
        number = int(fill["order_id"])
        name = next(entry.order for entry in self.entries if entry.kind is Kind.ORDER_INITIALIZED
                    and entry.payload["intent"]["fold_order"] == number)  # fmt: skip
        if number in self.other.denied:
            self.say(Kind.ORDER_DENIED, opens, name, code=self.other.denied[number], detail="")
            return
        asked, side = int(fill["quantity"]), int(fill["side"])
        quantity = self.other.part.get(number, asked)
        price = float(fill["price"]) + side * self.other.worse.get(number, 0.0)
        commission = int(fill["commission"]) * quantity // asked + self.other.dearer.get(number, 0)
        tax, value = int(fill["tax"]) * quantity // asked, round(price * quantity)
        self.say(Kind.ORDER_SUBMITTING, opens, name, quantity=asked, price=None)
        self.say(Kind.ORDER_ACCEPTED, opens + SECOND // 20, name, number=str(number))
        self.say(Kind.ORDER_FILLED if quantity == asked else Kind.ORDER_PARTIALLY_FILLED, opens + 1800 * SECOND, name,
                 trade=f"t{number}", quantity=quantity, price=price, value=value, commission=commission, tax=tax,
                 provisional=False, inferred=False)  # fmt: skip
        if quantity < asked:
            self.say(Kind.ORDER_EXPIRED, opens + 3600 * SECOND, name, reason="SESSION_END")
        self.cash -= side * value + commission + tax
        self.shares[self.names[int(fill["symbol"])]] += side * quantity

    def fold(self, row: int, end: int) -> None:
        raw, inputs = self.result.bars.raw, self.inputs.rows(row, row + 1)
        held = {
            name: [self.shares[name], *(float(getattr(raw, each)[row, s]) for each in ("open", "high", "low", "close"))]
            for s, name in enumerate(self.names) if self.shares[name]
        }  # fmt: skip
        equity = self.cash + sum(round(kept[0] * kept[4]) for kept in held.values())
        aims = "other" if row in self.other.other_aims else aims_of(inputs)
        self.say(Kind.BAR_FOLDED, end + SECOND, bar=end, equity=equity, cash=self.cash, digest="", held=held,
                 seen=seen_of(inputs), aims=aims, backfill=row == 0)  # fmt: skip
