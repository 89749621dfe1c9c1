"""Where a journal under test lies, and entries for it."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quantkit.live.journal import open_stored
from quantkit.live.journal.store import StoredJournal
from quantkit.trading.events import Entry, Kind, intent_to_json
from quantkit.trading.orders import Intent, OrderType, Side, Window

NAMES = itertools.count()


@dataclass
class Place:
    """A database for one account. `run` speaks to it behind the journal's back."""

    kind: str
    where: str | Path
    account: str = field(default_factory=lambda: f"account{next(NAMES)}")
    opened: list[StoredJournal] = field(default_factory=list)

    def open(self, owner: str = "me", now: int = 1_000) -> StoredJournal:
        journal = open_stored(self.where, self.account, owner=owner, now=now)
        self.opened.append(journal)
        return journal

    def run(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        if self.kind == "sqlite":
            connection = sqlite3.connect(Path(self.where) / f"{self.account}.sqlite", isolation_level=None)
            try:
                return connection.execute(statement, values).fetchall()
            finally:
                connection.close()
        import psycopg

        with psycopg.connect(str(self.where), autocommit=True) as server:
            done = server.execute(statement.replace("?", "%s"), values or None)
            return done.fetchall() if done.description else []

    def unguard(self) -> None:
        """What somebody who may do everything would do before a change."""
        if self.kind == "sqlite":
            for name in ("update", "delete", "replace"):
                self.run(f"DROP TRIGGER IF EXISTS journal_no_{name}")
        else:
            self.run("ALTER TABLE journal DISABLE TRIGGER journal_no_change")

    def guard(self) -> None:
        if self.kind == "postgres":
            self.run("ALTER TABLE journal ENABLE TRIGGER journal_no_change")

    def close(self) -> None:
        for journal in self.opened:
            journal.close()


def intent(number: int = 0, *, side: Side = Side.BUY, quantity: int = 10, symbol: str = "005930") -> Intent:
    return Intent(id=f"d:1:{number}", deployment="d", symbol=symbol, side=side, quantity=quantity,
                  type=OrderType.LIMIT, window=Window("continuous", 0, 100), price=70_000.0)  # fmt: skip


def began(wanted: Intent, time: int = 1) -> Entry:
    return Entry(Kind.ORDER_INITIALIZED, time, {"intent": intent_to_json(wanted)}, wanted.id, wanted.deployment)


def sent(wanted: Intent, time: int = 2) -> Entry:
    payload = {"quantity": wanted.quantity, "price": wanted.price}
    return Entry(Kind.ORDER_SUBMITTING, time, payload, wanted.id, wanted.deployment)


def accepted(wanted: Intent, number: str = "0001", time: int = 3) -> Entry:
    return Entry(Kind.ORDER_ACCEPTED, time, {"number": number}, wanted.id, wanted.deployment)


def filled(wanted: Intent, trade: str, quantity: int, *, price: float = 70_000.0, last: bool = False, time: int = 4,
           commission: int = 15, tax: int = 0, kind: Kind | None = None) -> Entry:  # fmt: skip
    payload = {"trade": trade, "quantity": quantity, "price": price, "value": round(quantity * price),
               "commission": commission, "tax": tax, "provisional": False, "inferred": False,
               "detail": ""}  # fmt: skip
    made = kind or (Kind.ORDER_FILLED if last else Kind.ORDER_PARTIALLY_FILLED)
    return Entry(made, time, payload, wanted.id, wanted.deployment)


def alarm(text: str = "", time: int = 9) -> Entry:
    return Entry(Kind.ALARM, time, {"code": "TEST", "detail": text})


def life(number: int = 0) -> Sequence[Entry]:
    """A buy that fills in two parts."""
    wanted = intent(number)
    return [began(wanted), sent(wanted), accepted(wanted), filled(wanted, "a", 4), filled(wanted, "b", 6, last=True)]
