"""Recorded days beside their backtest: parity ledger, drift report and promotion record of each, out of the journal.

    1. the record of a deployment                       live.record
    2. the backtest of the same code over the same bars  `Compared`
    3. both as tables, every won between them booked     live.parity
    4. a report a day; a record a session                live.drift, live.promotion.gates

Contract: everything is computed anew from the journal and the bars, nothing is stored: what a promotion asks for
(`records`), what `quantkit drift` shows (`reports`) and what a daily job writes (`daily_report`) are the same figures.
The backtest begins on the first bar that was folded, with the money that was there. What the bars lack (today's, while
the lake waits for the night) is left out. Shares and money that moved without an order are booked by what the journal
holds of each bar: a corporate action or interest where the backtest has one, else as "external".
"""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from quantkit.backtest.run import backtest
from quantkit.backtest.universe import in_universe
from quantkit.data.dates import day_text
from quantkit.errors import BadData
from quantkit.hooks import silently
from quantkit.live.deciding import inputs_from
from quantkit.live.drift import DriftReport, drift, write_drift
from quantkit.live.ledger.recorded import groups_of, opening_of, recorded_tables, wanted_of
from quantkit.live.ledger.tables import FIELDS
from quantkit.live.parity import Ledger, Tables, compare, tables_of
from quantkit.live.prints import aims_of, seen_of
from quantkit.live.promotion.gates import SessionRecord
from quantkit.live.record import Record, read_record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Protocol

    from quantkit.backtest.pieces import Terms
    from quantkit.backtest.result import Result
    from quantkit.core.state import Floats, Inputs, Ints
    from quantkit.data.bars import Bars
    from quantkit.data.views import RawPrices
    from quantkit.live.journal import Recorded
    from quantkit.live.record import Asked, Folded

    class Reads(Protocol):
        """A journal, as far as it is read."""

        def read(self, after: int = 0) -> Iterator[Recorded]: ...


__all__ = ["Compared", "daily_report"]

LOOK_BACK: Final = 60  # sessions of which a report shows the medians


class Compared:
    """A record and its backtest.

    terms   what the deployment runs under (`host.Deployment.terms`)
    bars    the same bars with their history: as the deployment saw them, or the lake's

    BadData where the bars do not reach the first bar folded, or lack one after it.
    """

    def __init__(self, record: Record, terms: Terms, bars: Bars) -> None:
        self.record, self.terms = record, terms
        ends = _places(record, bars)
        known = np.flatnonzero(ends >= 0)
        if not len(known) or known[0] != 0:
            raise BadData(
                f"the bars ({day_text(int(bars.days[0]))} to {day_text(int(bars.days[-1]))}) do not hold the first bar "
                f"of {record.deployment}, {record.date(0)}: give those it traded on"
            )
        self.count = int(np.flatnonzero(np.append(ends < 0, True))[0])
        if (ends[self.count :] >= 0).any():
            raise BadData(f"the bars lack one of {record.date(self.count)}, which {record.deployment} folded")
        self.first, last = int(ends[0]), int(ends[self.count - 1])
        self.bars = bars.slice(0, last + 1)
        self.rows = ends[: self.count] - self.first
        self.dates = tuple(day_text(int(day)) for day in self.bars.days[self.first :])

    # --- the two runs -------------------------------------------------------------------------------------------------

    @cached_property
    def result(self) -> Result:
        """The backtest of the days."""
        terms, start = self.terms, self.bars.index[self.first]
        with silently():
            return backtest(
                terms.strategy, self.bars, policy=terms.policy, cash=opening_of(self.record)[0] / self.bars.minor_unit,
                start=start.to_pydatetime() if self.bars.intraday else start.date(), costs=terms.costs, fill=terms.fill,
                limits=terms.limits, interpret=terms.interpret,
            )  # fmt: skip

    @cached_property
    def expected(self) -> Tables:
        """The backtest's tables."""
        return tables_of(self.result, targets=self._targets[0])

    @cached_property
    def actual(self) -> Tables:
        """The record's tables."""
        _, targets, doubtful = self._targets
        return recorded_tables(self.record, self.result, self.rows, targets=targets, doubtful=doubtful)

    @cached_property
    def ledger(self) -> Ledger:
        """Every won between the two, with its first cause."""
        return compare(self.expected, self.actual)

    @cached_property
    def _inputs(self) -> Inputs:
        strategy = self.terms.strategy
        seen = self.bars if strategy is None else in_universe(self.bars, strategy)
        return inputs_from(self.terms, seen, first=self.first)[0]

    @cached_property
    def differing(self) -> frozenset[int]:
        """Bars of the backtest that do not read as they did when they were folded."""
        found = set()
        for folded, row in zip(self.record.folded, self.rows.tolist(), strict=False):
            if folded.seen and folded.seen != seen_of(self._inputs.rows(row, row + 1)):
                found.add(row)
        return frozenset(found)

    @cached_property
    def _targets(self) -> tuple[Floats | None, Floats | None, frozenset[int]]:
        """(what the backtest aims at, what the record did, bars that differ in names whose prices were not kept)."""
        if self.terms.strategy is None or self.terms.strategy.is_rule:
            return None, None, frozenset()
        expected = np.asarray(self._inputs.targets, np.float64)
        actual = expected.copy()
        for folded, row in zip(self.record.folded, self.rows.tolist(), strict=False):
            if folded.aims and folded.aims != aims_of(self._inputs.rows(row, row + 1)):
                actual[row] = np.nan
        return expected, actual, self.differing - self._known_to_differ()

    def _known_to_differ(self) -> frozenset[int]:
        """Bars of which a recorded price is another."""
        raw = self.bars.raw
        found = set()
        for folded, row in zip(self.record.folded, self.rows.tolist(), strict=False):
            if row in self.differing and _mismatched(folded, raw, self.first + row, self.bars.symbols):
                found.add(row)
        return frozenset(found)

    # --- a day --------------------------------------------------------------------------------------------------------

    @cached_property
    def days(self) -> tuple[str, ...]:
        """Sessions that were traded, not read later, oldest first."""
        lived = {self.record.date(k) for k in range(self.count) if not self.record.folded[k].backfill}
        return tuple(date for date in self.record.sessions if date in lived)

    def rows_of(self, date: str) -> list[int]:
        """Bars of a session."""
        return [row for row, day in enumerate(self.dates) if day == date]

    def report(self, date: str | None = None) -> DriftReport:
        """The drift report of a session; None: the last. BadData for a day that was not traded."""
        if not self.days:
            raise BadData(f"{self.record.deployment} has traded no session yet that the bars hold")
        date = self.days[-1] if date is None else date
        if date not in self.days:
            raise BadData(
                f"{date} is no session that {self.record.deployment} traded ({self.days[0]} to {self.days[-1]})"
            )
        place = self.days.index(date)
        found = None
        for day in self.days[max(0, place + 1 - LOOK_BACK) : place + 1]:
            found = self._report(day, () if found is None else found.days)
        assert found is not None
        return found

    def _report(self, date: str, history: Any) -> DriftReport:
        rows = self.rows_of(date)
        end, before = rows[-1], rows[0] - 1
        expected, actual, unit = self.expected, self.actual, self.bars.minor_unit
        account = self.record.account if self.record.alone else f"{self.record.account}-{self.record.deployment}"
        orders, fills, quotes, model = self._orders(date, end)
        return drift(
            date=date, account=account, orders=orders, fills=fills, quotes=quotes, model=model,
            positions=self._positions(end), equity=(expected.equity[end] / unit, actual.equity[end] / unit),
            history=history, bridge=self._bridge(end, before), ledger=self._causes(end), currency=self.bars.currency,
        )  # fmt: skip

    def _bridge(self, end: int, before: int) -> list[tuple[str, float, float]]:
        """(cause, today, since the start) of what lies between expected and real equity."""
        ledger = self.ledger
        found: dict[str, list[int]] = {}
        for row, effect in zip(ledger.rows, ledger.effects, strict=True):
            since = int(effect[end])
            today = since - (int(effect[before]) if before >= 0 else 0)
            sums = found.setdefault(row.part or row.cause, [0, 0])
            sums[0] += today
            sums[1] += since
        return [(name, *(amount / ledger.unit for amount in sums)) for name, sums in found.items() if any(sums)]  # type: ignore[misc]

    def _causes(self, end: int) -> list[dict[str, Any]]:
        """First causes up to a bar, with what each had done by then."""
        ledger = self.ledger
        return [
            {"time": row.time, "cause": row.part or row.cause, "symbol": row.symbol, "detail": row.detail,
             "amount": int(effect[end]) / ledger.unit}
            for row, effect in zip(ledger.rows, ledger.effects, strict=True) if row.row <= end
        ]  # fmt: skip

    def _positions(self, end: int) -> pd.DataFrame:
        expected = {str(name): int(count) for name, count in self.result.positions.iloc[end].items() if count}
        place = int(np.flatnonzero(self.rows <= end)[-1])
        real = {name: int(kept[0] or 0) for name, kept in self.record.folded[place].held.items()}
        names = sorted(name for name in expected.keys() | real.keys() if expected.get(name) or real.get(name))
        lines = [(name, expected.get(name, 0), real.get(name, 0)) for name in names]
        return pd.DataFrame(lines, columns=["symbol", "expected", "real"])

    # --- orders beside the model's ------------------------------------------------------------------------------------

    @cached_property
    def _groups(self) -> dict[str, list[tuple[int, list[Asked]]]]:
        """Orders by the day they were for; those that another took the place of before they left are left out."""
        found: dict[str, list[tuple[int, list[Asked]]]] = defaultdict(list)
        for number, many in groups_of(self.record).items():
            by_day: dict[str, list[Asked]] = defaultdict(list)
            for asked in many:
                by_day[asked.date].append(asked)
            for date, same in by_day.items():
                sent = [each for each in same if each.order.submitted is not None]
                found[date].append((number, sent or same[-1:]))
        return found

    @cached_property
    def _modelled(self) -> dict[int, tuple[int, dict[str, list[dict[str, Any]]]]]:
        """The backtest's order for each of ours: (shares it asked for, its fills by day)."""
        fills: dict[int, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
        for fill in _lines(self.result.fills):
            fills[fill["order_id"]][str(fill["time"])[:10]].append(fill)
        theirs: dict[tuple[Any, str, str], list[dict[str, Any]]] = defaultdict(list)
        for order in _lines(self.result.orders):
            theirs[order["decided"], order["symbol"], order["side"]].append(order)
        found = {}
        for line in _lines(self.actual.orders):
            waiting = theirs[line["decided"], line["symbol"], line["side"]]
            same = next((one for one in waiting if one["kind"] == line["kind"]), waiting[0] if waiting else None)
            if same is not None:
                waiting.remove(same)
                found[line["order_id"]] = (same["quantity"], fills[same["order_id"]])
        return found

    def _orders(self, date: str, end: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
        """Orders, fills, quotes and the model's fills of a day, as `drift` reads them."""
        orders, fills, quotes, model = [], [], [], []
        unit = self.bars.minor_unit
        booked = defaultdict(list)
        for fill in self.record.fills:
            booked[fill.number].append(fill)
        for number, many in self._groups.get(date, ()):
            line = self._line(many, end)
            orders.append(line)
            if many[0].bid is not None:
                quotes.append({"order": line["id"], "bid": many[0].bid, "ask": many[0].ask})
            fills += [
                {"order": line["id"], "quantity": fill.quantity, "price": fill.price,
                 "commission": fill.commission / unit, "tax": fill.tax / unit, "time": fill.time}
                for asked in many for fill in booked[asked.order.id]
            ]  # fmt: skip
            wanted, theirs = self._modelled.get(number, (0, {}))
            for modelled in theirs.get(date, ()):
                part = line["quantity"] / wanted if wanted else 1.0  # ours is larger or smaller: so is the model's
                scaled = {name: modelled[name] * part for name in ("quantity", "commission", "tax")}
                model.append({"order": line["id"], "price": modelled["price"], **scaled})
        columns = ("id", "symbol", "side", "quantity", "phase", "decision", "close", "submitted", "accepted", "reason")
        return (
            pd.DataFrame(orders, columns=list(columns)),
            pd.DataFrame(fills, columns=["order", "quantity", "price", "commission", "tax", "time"]),
            pd.DataFrame(quotes, columns=["order", "bid", "ask"]),
            pd.DataFrame(model, columns=["order", "quantity", "price", "commission", "tax"]),
        )

    def _line(self, many: list[Asked], end: int) -> dict[str, Any]:
        first, last = many[0], many[-1]
        intent, wanted = first.order.intent, wanted_of(many)
        s = self.result.bars.symbols.index(intent.symbol)
        close = float(self.result.bars.raw.close[end, s])
        filled = sum(each.order.filled for each in many)
        return {
            "id": first.order.id, "symbol": intent.symbol, "side": str(intent.side), "quantity": wanted,
            "phase": intent.window.phase, "decision": self._decision(first, s, end, close), "close": close,
            "submitted": np.nan if first.order.submitted is None else float(first.order.submitted),
            "accepted": np.nan if first.accepted is None else float(first.accepted),
            "reason": "" if filled >= wanted else last.order.reason,
        }  # fmt: skip

    def _decision(self, asked: Asked, s: int, end: int, close: float) -> float:
        """The price that was decided on, in the money of the day: a split between the two moves it."""
        if asked.decision is None:
            return close
        bars = self.result.bars
        row = int(self.rows[asked.row]) if asked.row < self.count else end
        adjusted, raw = bars.close, bars.raw.close
        then, now = (float(adjusted[at, s] / raw[at, s]) for at in (row, end))
        return asked.decision * then / now if then > 0 and now > 0 else asked.decision

    # --- evidence -----------------------------------------------------------------------------------------------------

    def records(self, *, artifact: str | None = None) -> list[SessionRecord]:
        """What promotion asks of every session traded, oldest first. artifact: only those of this code."""
        return [
            self._record_of(date) for date in self.days
            if artifact is None or self.record.sessions[date].artifact == artifact
        ]  # fmt: skip

    def _record_of(self, date: str) -> SessionRecord:
        rows, session, ledger = set(self.rows_of(date)), self.record.sessions[date], self.ledger
        causes = [row.cause for row in ledger.rows if row.row in rows]
        decided = int(ledger.decided[sorted(rows), 1].sum())
        return SessionRecord(
            date=date, mode=session.mode, decisions=decided, alike=decided - causes.count("decision"),
            unresolved=session.unresolved, bars=len(rows) * len(self.bars.symbols),
            mismatched=sum(self._differences(row) for row in rows), denials=session.denials,
            unexplained=causes.count("unexplained"), adoptions=session.adopted, restarts=session.restarts,
            **self._report(date, ()).measured(),
        )  # fmt: skip

    def _differences(self, row: int) -> int:
        """Names whose bar is another now; one at least where the print says so."""
        if row not in self.differing:
            return 0
        place = int(np.flatnonzero(self.rows == row)[0])
        return max(1, _mismatched(self.record.folded[place], self.bars.raw, self.first + row, self.bars.symbols))


def _lines(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A table's rows."""
    found: list[dict[str, Any]] = table.to_dict("records")  # type: ignore[assignment]
    return found


def _mismatched(folded: Folded, raw: RawPrices, row: int, symbols: tuple[str, ...]) -> int:
    """Names held of which a price was recorded otherwise."""
    found = 0
    for symbol, (_, *kept) in folded.held.items():
        now = [float(getattr(raw, name)[row, symbols.index(symbol)]) for name in FIELDS] if symbol in symbols else []
        found += any(was is not None and was != price for was, price in zip(kept, now, strict=False))
    return found


def _places(record: Record, bars: Bars) -> Ints:
    """Row of the bars that each folded bar is; -1: they do not have it."""
    if bars.intraday:
        wanted, there = np.array([folded.end // 1_000 for folded in record.folded]), np.asarray(bars.times)
    else:
        dates = [np.datetime64(record.date(k), "D").astype(np.int64) for k in range(len(record.folded))]
        wanted, there = np.array(dates), np.asarray(bars.days)
    found = np.searchsorted(there, wanted)
    inside = found < len(there)
    hit = np.zeros(len(found), bool)
    hit[inside] = there[found[inside]] == wanted[inside]
    return np.where(hit, found, -1).astype(np.int64)


def daily_report(
    journal: Reads, terms: Terms, bars: Bars, *, account: str, folder: str | Path, day: str | None = None,
    deployment: str | None = None, market: str = "KOSPI",
) -> tuple[Path, Path]:  # fmt: skip
    """Write the drift report of a session (page and JSON), whole or not at all; their paths. day: default the last.

    journal: the account's, open or for reading. bars: those the deployment decided on, with their history (its
    decider's), or the lake's. Called by the daily job of `quantkit paper` and `live`, and by `quantkit drift`.
    """
    record = read_record(journal.read(), account, deployment=deployment, market=market)
    return write_drift(Compared(record, terms, bars).report(day), folder)
