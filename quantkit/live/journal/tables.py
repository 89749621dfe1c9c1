"""Tables of the journal: one set for SQLite and PostgreSQL.

    journal      the record itself; append only (a trigger refuses changes), chained by hash
    wire_log     what went over the wire, secrets stripped, 90 days
    snapshots    states of the engine: a shortcut, the journal is the truth
    leases       who owns an account, and how many have (the epoch)
    commands     what people and other programs ask of the engine
    the rest     made from the journal by `journal.projections`, in the transaction that writes it

Contract: times are UTC nanoseconds, money is minor units (won, cents), quantities are shares; the deployment of what
belongs to none is "". JSON columns hold the very text they were given (`database` tells SQLAlchemy so): the hash of a
row is over its bytes. They hold objects and lists; JSON that may be a bare number stands in a text column.
`migrations/` makes these tables in databases; a test holds the two together.
"""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

METADATA: Final = sa.MetaData()


def _text(name: str, *, key: bool = False, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Text, primary_key=key, nullable=null)


def _whole(name: str, *, key: bool = False, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger, primary_key=key, nullable=null, autoincrement=False)


def _real(name: str, *, null: bool = True) -> sa.Column[Any]:
    return sa.Column(name, sa.Double, nullable=null)


def _json(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.JSON, nullable=False)


def _account() -> sa.Column[Any]:
    return _text("account_id", key=True)


def _last() -> tuple[sa.Column[Any], sa.Column[Any]]:
    """The entry that changed the row last."""
    return _whole("seq"), _whole("time")


journal = sa.Table(
    "journal", METADATA,
    _account(), _whole("seq", key=True), _whole("epoch"), _whole("ts_ns"), _text("kind"),
    _text("client_order_id", null=True), _text("strategy_id", null=True), _json("payload"), _text("prev_hash"),
    _text("hash"),
    sa.Index("journal_order", "account_id", "client_order_id"),
    sa.Index("journal_time", "account_id", "ts_ns"),
)  # fmt: skip
wire_log = sa.Table(
    "wire_log", METADATA,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    _text("account_id"), _whole("seq", null=True), _whole("time"), _text("direction"), _text("text"),
    sa.Index("wire_log_time", "account_id", "time"),
)  # fmt: skip
snapshots = sa.Table(
    "snapshots", METADATA,
    _account(), _whole("seq", key=True), _whole("time"), _text("hash"), _text("digest"),
    sa.Column("state", sa.LargeBinary, nullable=False),
)  # fmt: skip
leases = sa.Table("leases", METADATA, _account(), _text("owner"), _whole("epoch"), _whole("since"))
commands = sa.Table(
    "commands", METADATA,
    _account(), _text("id", key=True), _whole("time"), _text("name"), _json("arguments"), _text("by"), _text("reason"),
    _text("state"), _whole("seq", null=True),
    sa.Index("commands_state", "account_id", "state"),
)  # fmt: skip

orders = sa.Table(
    "orders", METADATA,
    _account(), _text("id", key=True), _text("deployment"), _text("symbol"), _text("side"), _text("type"),
    _text("rule"), _text("source"), _text("status"), _whole("quantity"), _real("price"), _whole("filled"),
    _whole("value"), _whole("commission"), _whole("tax"), _text("number", null=True), _json("numbers"),
    _json("trades"), _text("reason"), _whole("created"), _whole("submitted", null=True), _whole("ended", null=True),
    _whole("unresolved_since", null=True), _json("intent"), *_last(),
    sa.Index("orders_status", "account_id", "status"),
    sa.Index("orders_symbol", "symbol", "created"),
)  # fmt: skip
fills = sa.Table(
    "fills", METADATA,
    _account(), _text("order_id", key=True), _text("trade", key=True), _text("deployment"), _text("symbol"),
    _text("side"), _whole("quantity"), _real("price"), _whole("value"), _whole("commission"), _whole("tax"),
    sa.Column("provisional", sa.Boolean, nullable=False), sa.Column("inferred", sa.Boolean, nullable=False), *_last(),
    sa.Index("fills_symbol", "symbol", "time"),
    sa.Index("fills_time", "account_id", "time"),
)  # fmt: skip
positions = sa.Table(
    "positions", METADATA,
    _account(), _text("deployment", key=True), _text("symbol", key=True), _whole("quantity"), _whole("cost"),
    _whole("realized"), _whole("reported", null=True), *_last(),
)  # fmt: skip
cash = sa.Table(
    "cash", METADATA,
    _account(), _text("deployment", key=True), _whole("cash", null=True), _whole("today", null=True),
    _whole("next_1", null=True), _whole("next_2", null=True), _whole("orderable", null=True), *_last(),
)  # fmt: skip
external_orders = sa.Table(
    "external_orders", METADATA,
    _account(), _text("date", key=True), _text("number", key=True), _text("symbol"), _text("side"),
    _whole("quantity"), _whole("filled"), _whole("value"), _text("policy"), *_last(),
)  # fmt: skip
signals = sa.Table(
    "signals", METADATA,
    _account(), _text("deployment", key=True), _text("symbol", key=True), _whole("bar", key=True), _text("value"),
    _real("strength"), *_last(),
    sa.Index("signals_symbol", "symbol", "time"),
)  # fmt: skip
risk_state = sa.Table(
    "risk_state", METADATA,
    _account(), _text("scope", key=True), _text("deployment", key=True), _text("mode"), _text("reason"), _text("by"),
    *_last(),
)  # fmt: skip
strategy_state = sa.Table(
    "strategy_state", METADATA,
    _account(), _text("deployment", key=True), _text("date", null=True), _whole("bar", null=True),
    _whole("equity", null=True), _whole("cash", null=True), _text("digest", null=True), *_last(),
)  # fmt: skip
deployments = sa.Table(
    "deployments", METADATA,
    _account(), _text("deployment", key=True), _text("mode"), _text("artifact", null=True), _json("params"),
    _text("version"), _text("state"), _whole("started"), _whole("ended", null=True), _text("reason"), *_last(),
)  # fmt: skip

PROJECTIONS: Final[tuple[sa.Table, ...]] = (
    orders, fills, positions, cash, external_orders, signals, risk_state, strategy_state, deployments,
)  # fmt: skip
"""Tables that a replay of the journal must give again."""


def key_of(table: sa.Table) -> tuple[str, ...]:
    """Names of a projection's key but the account."""
    return tuple(column.name for column in table.primary_key.columns if column.name != "account_id")
