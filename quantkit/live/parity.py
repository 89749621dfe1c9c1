"""The parity ledger: where two runs of one account differ, and why, to the last won.

    expected   what should have happened: a backtest
    actual     what did: a replay, or recorded days of paper and live (`ledger.recorded`)

    1. bring both onto the same names                                       ledger.tables
    2. pair orders by the bar they were decided on, fills by their orders    ledger.pairs
    3. walk the bars; each difference is a first cause or follows from one   ledger.causes
    4. value every cause at every close                                      here

Contract: plain tables in, nothing of the engine; both runs have the same bars. Money is int64 minor units. At every bar
the causes' effects sum to the difference in equity: what no cause explains stands as a row of its own, "unexplained",
and only whole minor units that valuing at fractional prices rounds away are "rounding".
What an earlier difference brings about is booked under it: a fill that was missed is one row, with the profit that
was missed, the order that made up for it and the sizes that came out differently because of the money.

>>> CAUSES[0]
'decision'
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from quantkit.live.ledger.causes import Cause, Walk
from quantkit.live.ledger.tables import Tables, aligned, tables_of
from quantkit.plain import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

__all__ = ["CAUSES", "Ledger", "Row", "Tables", "compare", "tables_of"]

Ints = NDArray[np.int64]

CAUSES: Final = ("decision", "data", "timing", "fill", "cost", "rounding", "gate", "external", "unexplained")
"""What a row may be booked under.

decision     a different target or order, though the bars and the account were the same
data         a different bar, or a corporate action that only one run knew
timing       the same order, filled on another bar
fill         the same order, filled at another price or for another quantity
cost         commission, tax, interest
rounding     a share or a minor unit that rounding decides
gate         an order that a gate of live trading denied; the code says which
external     foreign fills, adopted positions, deposits, another opening balance
unexplained  what the tables do not account for: one of them is wrong
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One first cause, with everything that followed from it.

    time     close of the bar on which it began
    amount   minor units in equity at the last bar, actual less expected
    largest  the effect that was largest in absolute value at any bar, with its sign
    follows  differences that were booked under it after the first
    row      number of the bar on which it began
    part     of a fill: "price", or "quantity": shares that did not come, or too many
    """

    cause: str
    time: str
    symbol: str
    detail: str
    amount: int
    largest: int
    follows: int
    row: int = 0
    part: str = ""


@dataclass(frozen=True, slots=True)
class Ledger:
    """Every won between two runs. `rows` are in the order in which they began.

    difference   (T,) equity of actual less expected, minor units
    effects      (R, T) each row's part of it; the rows sum to `difference`
    decided      (T, 2) orders decided on each bar: those that both runs decided alike, and all that either did
    """

    rows: tuple[Row, ...]
    index: pd.DatetimeIndex = field(repr=False)
    difference: Ints = field(repr=False)
    effects: Ints = field(repr=False)
    decided: Ints = field(repr=False)
    fills: tuple[int, int]
    unit: int = 1

    @property
    def times(self) -> tuple[str, ...]:
        """Of the bars, as text: the date where all are midnights."""
        return tuple(self.index.strftime(_form(self.index)))

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not self.rows

    @property
    def explained(self) -> bool:
        """Whether every difference has a cause."""
        return all(row.cause != "unexplained" for row in self.rows)

    @property
    def total(self) -> int:
        """Difference in equity at the last bar, minor units."""
        return int(self.difference[-1]) if len(self.difference) else 0

    @property
    def decisions(self) -> tuple[int, int]:
        """Orders that both runs decided alike, and all that either did."""
        alike, total = self.decided.sum(axis=0).tolist()
        return alike, total

    @property
    def decision_parity(self) -> float:
        """Part of all orders that both runs decided alike; 1.0 where there were none."""
        alike, total = self.decisions
        return alike / total if total else 1.0

    def by_cause(self) -> dict[str, int]:
        """Minor units at the last bar by cause, in the order of `CAUSES`; causes that did not occur are left out."""
        found = {cause: [row.amount for row in self.rows if row.cause == cause] for cause in CAUSES}
        return {cause: sum(amounts) for cause, amounts in found.items() if amounts}

    def frame(self) -> pd.DataFrame:
        """One row a first cause, money in units of price."""
        import pandas as pd

        columns = ("cause", "time", "symbol", "detail", "amount", "largest", "follows")
        rows = [[getattr(row, name) for name in columns] for row in self.rows]
        table = pd.DataFrame(rows, columns=list(columns))
        return table.assign(amount=table["amount"] / self.unit, largest=table["largest"] / self.unit)

    def by_bar(self) -> pd.DataFrame:
        """A row a bar: the difference in equity and each cause's part of it, in units of price."""
        import pandas as pd

        table = {"difference": self.difference}
        for cause in CAUSES:
            places = [place for place, row in enumerate(self.rows) if row.cause == cause]
            if places:
                table[cause] = self.effects[places].sum(axis=0)
        return pd.DataFrame(table, index=pd.Index(self.times, name="time")) / self.unit

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; money in units of price."""
        unit = self.unit
        counted = Counter(row.cause for row in self.rows)
        amounts = self.by_cause()
        values = {
            "same": self.same,
            "explained": self.explained,
            "difference": self.total / unit,
            "bars": len(self.index),
            "decisions": {"alike": self.decisions[0], "all": self.decisions[1], "share": self.decision_parity},
            "fills": {"expected": self.fills[0], "actual": self.fills[1]},
            "causes": {cause: {"rows": counted[cause], "amount": amounts[cause] / unit} for cause in amounts},
            "rows": [
                {"cause": row.cause, "time": row.time, "symbol": row.symbol, "detail": row.detail,
                 "amount": row.amount / unit, "largest": row.largest / unit, "follows": row.follows}
                for row in self.rows
            ],
        }  # fmt: skip
        return {name: plain(value) for name, value in values.items()}

    def cells(self, *, most: int | None = None) -> Iterator[tuple[str, ...]]:
        """Rows as text for a terminal: time, cause, symbol, detail, amount, follows."""
        for row in self.rows if most is None else self.rows[:most]:
            amount = row.amount / self.unit
            shown = f"{amount:+,.0f}" if self.unit == 1 else f"{amount:+,.2f}"
            yield row.time, row.cause, row.symbol, row.detail, shown, str(row.follows or "")

    def __repr__(self) -> str:
        if self.same:
            return f"<Ledger: the same, {self.decisions[1]} orders and {self.fills[0]} fills on {len(self.index)} bars>"
        causes = ", ".join(f"{cause} {amount / self.unit:+,.0f}" for cause, amount in self.by_cause().items())
        return f"<Ledger {self.total / self.unit:+,.0f}: {causes}>"


def compare(expected: Tables, actual: Tables, *, replayed: bool = False) -> Ledger:
    """Book every minor unit by which `actual` ends above or below `expected` to its first cause.

    replayed: `actual` is a replay, whose broker fills as `expected` does: what differs after a gate has denied an
    order follows from that.

    BadData where the runs do not cover the same bars, or a table names a symbol or a time that is not theirs.
    """
    first, second = aligned(expected, actual)
    walk = Walk(first, second, replayed=replayed)
    causes = walk.run()
    difference = second.equity - first.equity
    effects = np.zeros((len(causes), len(difference)), np.int64)
    for place, cause in enumerate(causes):
        effects[place] = _effect(cause, second)
    rest = difference - effects.sum(axis=0)
    if rest.any():
        causes.append(_rest(rest, first, second, len(causes)))
        effects = np.vstack([effects, rest])
    form, rows = _form(first.index), []
    for cause, effect in zip(causes, effects, strict=True):
        biggest = int(effect[np.abs(effect).argmax()]) if len(effect) else 0
        symbol = first.symbols[cause.symbol] if cause.symbol >= 0 else ""
        time = first.index[cause.row].strftime(form)
        rows.append(Row(cause.kind, time, symbol, cause.text(), int(effect[-1]), biggest, cause.follows, cause.row,
                        cause.part))  # fmt: skip
    order = sorted(range(len(rows)), key=lambda place: causes[place].row)
    return Ledger(
        rows=tuple(rows[place] for place in order),
        index=first.index,
        difference=difference,
        effects=effects[order],
        decided=walk.decisions,
        fills=(len(first.fills.row), len(second.fills.row)),
        unit=first.unit,
    )


def _effect(cause: Cause, actual: Any) -> Ints:
    """(T,) what a cause makes of the equity at each close."""
    found: Ints = np.zeros(len(actual.equity), np.int64)
    for row, amount in cause.money:
        found[row] += amount
    found = np.cumsum(found)
    held: dict[int, Ints] = {}
    for row, symbol, shares in cause.shares:
        held.setdefault(symbol, np.zeros(len(found), np.int64))[row] += shares
    for symbol, changes in held.items():
        count = np.cumsum(changes)
        some = count != 0
        found[some] += valued(actual.close[some, symbol], count[some], actual.unit)
    for row, amount in cause.marks:
        found[row] += amount
    return found


def valued(close: NDArray[np.float64], shares: Ints, unit: int) -> Ints:
    """Minor units of so many shares at a price, rounded to the nearest."""
    return np.floor(np.nan_to_num(close) * shares * unit + 0.5).astype(np.int64)


def _rest(rest: Ints, first: Any, second: Any, causes: int) -> Cause:
    """The cause of what no other explains: rounding where fractional prices can make as much, else none known."""
    row = int(np.flatnonzero(rest)[0])
    fractional = [
        bool((np.mod(np.nan_to_num(run.close[:, run.touched]) * run.unit, 1.0) != 0.0).any()) for run in (first, second)
    ]
    bound = (len(first.touched) + len(second.touched)) * (1 + causes) if any(fractional) else 0
    if int(np.abs(rest).max()) <= bound:
        return Cause("rounding", row, -1, "positions valued at fractional prices")
    return Cause("unexplained", row, -1, "equity that fills, actions and flows do not account for")


def _form(index: pd.DatetimeIndex) -> str:
    """How times are written."""
    return "%Y-%m-%d" if bool((index == index.normalize()).all()) else "%Y-%m-%d %H:%M:%S"
