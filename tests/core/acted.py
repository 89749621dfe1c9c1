"""A rule written bar by bar in a test: what it does on a market by hand, and what came of it as short rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from quantkit import Bars, Costs, Policy, RiskLimits, Strategy, backtest
from quantkit.core.state import ORDER_KINDS, ORDER_STATUS, REASONS, RULES
from tests.core.hand import Bar
from tests.core.markets import SYMBOLS

if TYPE_CHECKING:
    from quantkit.core.interface import Context

Act = Callable[["Context"], object]
MINUTE_US = 60_000_000
SEOUL = 9 * 60  # minutes
FREE = Policy(collar=None)


@dataclass(frozen=True)
class Acted:
    """What a rule's orders became. `result` is the run's."""

    result: Any

    @property
    def fills(self) -> list[tuple[int, int, float, str]]:
        """(bar, shares bought or sold, price, rule), in the order they happened."""
        f = self.result.run.fills
        signed = (f["side"] * f["quantity"]).tolist()
        rules = [RULES[rule] for rule in f["rule"]]
        return list(zip(f["bar"].tolist(), signed, f["price"].tolist(), rules, strict=True))

    @property
    def orders(self) -> list[tuple[Any, ...]]:
        """(id, bar made on, kind, quantity, filled, status, reason, bar it ended on), by id."""
        o = {name: column.tolist() for name, column in self.result.run.orders.items()}
        kinds, statuses = [ORDER_KINDS[k] for k in o["kind"]], [ORDER_STATUS[k] for k in o["status"]]
        reasons = [REASONS[k] for k in o["reason"]]
        columns = (o["order_id"], o["bar"], kinds, o["quantity"], o["filled"], statuses, reasons, o["done_bar"])
        return sorted(zip(*columns, strict=True))

    @property
    def ends(self) -> list[tuple[int, int, str, str, int]]:
        """(id, filled, status, reason, bar it ended on) of each order."""
        return [(row[0], *row[4:]) for row in self.orders]

    @property
    def ambiguous(self) -> list[int]:
        return list(self.result.run.fills["ambiguous"].tolist())

    @property
    def names(self) -> list[int]:
        """The column of each fill's name."""
        return list(self.result.run.fills["symbol"].tolist())

    @property
    def from_proceeds(self) -> list[int]:
        return list(self.result.run.fills["from_proceeds"].tolist())

    @property
    def cash(self) -> list[int]:
        """Cash at the end of each bar."""
        return list(self.result.run.cash.tolist())

    @property
    def shares(self) -> list[int]:
        return list(self.result.run.state.names["shares"].tolist())


def acted(
    bars: Bars, acts: Mapping[int, Act] | Act, *, policy: Policy = FREE, cash: float = 10_000_000,
    costs: Costs | None = None, fill: str = "next_open", limits: RiskLimits | None = None, **of_class: Any,
) -> Acted:  # fmt: skip
    """Run a rule that does `acts[t]` on bar t (or the one act on every bar), in Python. `of_class`: its attributes."""

    def on_bar(_self: Any, ctx: Context) -> None:
        if callable(acts):
            acts(ctx)
        elif ctx.i in acts:
            acts[ctx.i](ctx)

    rule = type("Acting", (Strategy,), {"on_bar": on_bar} | of_class)()
    costs = Costs.free() if costs is None else costs
    return Acted(backtest(rule, bars, policy=policy, cash=cash, costs=costs, fill=fill, limits=limits, interpret=True))


def day_bars(days: Mapping[str, Mapping[str, Bar]], *, freq: str, volume: float = 1000.0) -> Bars:
    """Bars inside the day of one name: {"2024-03-26": {"09:30": bar, ...}}, by the time of Seoul they end at."""
    times, session, rows, last = [], [], [], float("nan")
    for day, bars in days.items():
        number = int(np.datetime64(day, "D").astype(np.int64))
        for clock, bar in bars.items():
            minute = number * 24 * 60 + int(clock[:2]) * 60 + int(clock[3:]) - SEOUL
            quiet = isinstance(bar, str)
            prices = (last,) * 4 if isinstance(bar, str) else bar if isinstance(bar, tuple) else (bar,) * 4
            last = prices[3]
            times.append(minute * MINUTE_US)
            session.append(number)
            rows.append((*prices, 0.0 if quiet else volume))
    columns = np.array(rows).T
    names = ("open", "high", "low", "close", "volume")
    fields = {name: column.reshape(-1, 1).copy() for name, column in zip(names, columns, strict=True)}
    return Bars(times=np.array(times), days=np.array(session), symbols=SYMBOLS[:1], fields=fields, markets="KOSPI",
                freq=freq)  # fmt: skip
