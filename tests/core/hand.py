"""Markets written by hand: a few bars a name, and what a run made of them as short rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from quantkit.core.fold import Output
from quantkit.core.policy import Policy
from quantkit.core.state import ORDER_STATUS, REASONS, RULES, State
from quantkit.data.bars import FIRST_DAY, LIQUIDATION, LISTED, MEMBER, TRADED, VALID, Bars, midnights
from quantkit.data.dates import epoch_day
from tests.core.markets import SYMBOLS, Case
from tests.core.reference_decide import next_session
from tests.core.runs import compiled, differences

HALTED, MISSING, GONE = "halted", "missing", "gone"
Bar = float | tuple[float, float, float, float] | str
TEN = Policy(weighting="shares", amount=10, collar=None)  # ten shares of what is wanted, at the market


@dataclass(frozen=True)
class Played:
    output: Output
    state: State

    @property
    def fills(self) -> list[tuple[int, int, float, str]]:
        """(bar, shares bought or sold, price, rule) in the order of bars; names are told apart by `fills_of`."""
        return [row[:1] + row[2:] for row in self.rows]

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        f = self.output.fills
        signed = (f["side"] * f["quantity"]).tolist()
        rules = [RULES[rule] for rule in f["rule"]]
        return list(zip(f["bar"].tolist(), f["symbol"].tolist(), signed, f["price"].tolist(), rules, strict=True))

    def fills_of(self, name: int) -> list[tuple[int, int, float, str]]:
        return [row[:1] + row[2:] for row in self.rows if row[1] == name]

    @property
    def refused(self) -> list[tuple[int, str, str]]:
        """(bar decided on, status, reason) of orders cut or dropped."""
        o = self.output.orders
        rows = zip(o["bar"].tolist(), o["status"].tolist(), o["reason"].tolist(), strict=True)
        return [(bar, ORDER_STATUS[status], REASONS[reason]) for bar, status, reason in rows if reason]

    @property
    def cash(self) -> list[int]:
        return self.output.cash.tolist()

    @property
    def shares(self) -> list[int]:
        return self.state.names["shares"].tolist()


def hand_bars(
    *names: Sequence[Bar], start: str = "2024-03-26", markets: Sequence[str] | None = None, outside: Sequence[int] = (),
    liquidation: Sequence[int] = (), first_day: Sequence[int] = (), **given: Any,
) -> Bars:  # fmt: skip
    """Daily bars from the first session on or after `start`: a number is a flat bar, a tuple open, high, low, close.

    `outside`: bars on which no name is a member; `liquidation`: bars of liquidation trading; `first_day`: of listing.
    """
    rows = len(names[0])
    days = [next_session(epoch_day(start) - 1)]
    while len(days) < rows:
        days.append(next_session(days[-1]))
    fields = {name: np.full((rows, len(names)), np.nan) for name in ("open", "high", "low", "close", "volume")}
    flags = np.zeros((rows, len(names)), np.uint8)
    for s, bars in enumerate(names):
        last = np.nan
        for t, bar in enumerate(bars):
            if bar == GONE:
                continue
            quiet = isinstance(bar, str)
            o, h, low, last = (last,) * 4 if isinstance(bar, str) else bar if isinstance(bar, tuple) else (bar,) * 4
            for name, value in zip(fields, (o, h, low, last, 0.0 if quiet else 1000.0), strict=True):
                fields[name][t, s] = value
            flags[t, s] = LISTED | (0 if quiet else TRADED) | (0 if bar == MISSING else VALID)
            flags[t, s] |= (0 if t in outside else MEMBER) | (LIQUIDATION if t in liquidation else 0)
            flags[t, s] |= FIRST_DAY if t in first_day else 0
    return Bars(times=midnights(days), symbols=SYMBOLS[: len(names)], fields=fields, flags=flags,
                markets=markets or ["KOSPI"] * len(names), **given)  # fmt: skip


def play(bars: Bars, *targets: Sequence[Any], alone: bool = False, **settings: Any) -> Played:
    """Fold the bars with one row of targets a name (a short row keeps its last value); check the reference too.

    alone: for what the reference does not know.
    """
    rows = len(bars)
    columns = [[*row, *[row[-1]] * (rows - len(row))] for row in targets]
    kind = np.bool_ if all(isinstance(value, bool) for row in columns for value in row) else np.float64
    settings = {"policy": TEN, "cash": 10_000_000} | settings
    case = Case(bars, np.array(columns, kind).T.copy(), **settings)
    assert alone or differences(case) == []
    return Played(*compiled(case))
