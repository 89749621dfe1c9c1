"""The first tables, and what keeps the journal append-only."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SQLITE_GUARDS = """
CREATE TRIGGER journal_no_update BEFORE UPDATE ON journal
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER journal_no_delete BEFORE DELETE ON journal
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER journal_no_replace BEFORE INSERT ON journal
WHEN EXISTS (SELECT 1 FROM journal WHERE account_id = NEW.account_id AND seq = NEW.seq)
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
"""
POSTGRES_GUARDS = """
CREATE FUNCTION journal_is_append_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'the journal is append-only' USING ERRCODE = 'insufficient_privilege'; END $$;
CREATE TRIGGER journal_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON journal
FOR EACH STATEMENT EXECUTE FUNCTION journal_is_append_only();
REVOKE UPDATE, DELETE, TRUNCATE ON journal FROM PUBLIC;
"""


def text(*names: str, key: bool = False, null: bool = False) -> list[sa.Column[Any]]:
    """Columns of text."""
    return [sa.Column(name, sa.Text(), primary_key=key, nullable=null) for name in names]


def whole(*names: str, key: bool = False, null: bool = False) -> list[sa.Column[Any]]:
    """Columns of 64-bit whole numbers."""
    return [sa.Column(name, sa.BigInteger(), primary_key=key, nullable=null, autoincrement=False) for name in names]


def real(name: str) -> sa.Column[Any]:
    """A column of floats."""
    return sa.Column(name, sa.Double(), nullable=True)


def json(*names: str) -> list[sa.Column[Any]]:
    """Columns of JSON."""
    return [sa.Column(name, sa.JSON(), nullable=False) for name in names]


def upgrade() -> None:
    """Make all tables."""
    record()
    ledgers()
    states()
    if op.get_bind().dialect.name == "sqlite":
        for statement in SQLITE_GUARDS.split(" END;\n"):
            if statement.strip():
                op.execute(sa.text(f"{statement} END"))
    else:
        op.execute(sa.text(POSTGRES_GUARDS))


def record() -> None:
    """The journal itself, and what is not made from it."""
    op.create_table(
        "journal", *text("account_id", key=True), *whole("seq", key=True), *whole("epoch", "ts_ns"), *text("kind"),
        *text("client_order_id", "strategy_id", null=True), *json("payload"), *text("prev_hash", "hash"),
    )  # fmt: skip
    op.create_index("journal_order", "journal", ["account_id", "client_order_id"])
    op.create_index("journal_time", "journal", ["account_id", "ts_ns"])
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "wire_log", sa.Column("id", number, primary_key=True, autoincrement=True), *text("account_id"),
        *whole("seq", null=True), *whole("time"), *text("direction", "text"),
    )  # fmt: skip
    op.create_index("wire_log_time", "wire_log", ["account_id", "time"])
    op.create_table(
        "snapshots", *text("account_id", key=True), *whole("seq", key=True), *whole("time"), *text("hash", "digest"),
        sa.Column("state", sa.LargeBinary(), nullable=False),
    )  # fmt: skip
    op.create_table("leases", *text("account_id", key=True), *text("owner"), *whole("epoch", "since"))
    op.create_table(
        "commands", *text("account_id", "id", key=True), *whole("time"), *text("name"), *json("arguments"),
        *text("by", "reason", "state"), *whole("seq", null=True),
    )  # fmt: skip
    op.create_index("commands_state", "commands", ["account_id", "state"])


def ledgers() -> None:
    """Orders, fills, positions, cash."""
    op.create_table(
        "orders", *text("account_id", "id", key=True),
        *text("deployment", "symbol", "side", "type", "rule", "source", "status"), *whole("quantity"), real("price"),
        *whole("filled", "value", "commission", "tax"), *text("number", null=True), *json("numbers", "trades"),
        *text("reason"), *whole("created"), *whole("submitted", "ended", "unresolved_since", null=True),
        *json("intent"), *whole("seq", "time"),
    )  # fmt: skip
    op.create_index("orders_status", "orders", ["account_id", "status"])
    op.create_index("orders_symbol", "orders", ["symbol", "created"])
    op.create_table(
        "fills", *text("account_id", "order_id", "trade", key=True), *text("deployment", "symbol", "side"),
        *whole("quantity"), real("price"), *whole("value", "commission", "tax"),
        sa.Column("provisional", sa.Boolean(), nullable=False), sa.Column("inferred", sa.Boolean(), nullable=False),
        *whole("seq", "time"),
    )  # fmt: skip
    op.create_index("fills_symbol", "fills", ["symbol", "time"])
    op.create_index("fills_time", "fills", ["account_id", "time"])
    op.create_table(
        "positions", *text("account_id", "deployment", "symbol", key=True), *whole("quantity", "cost", "realized"),
        *whole("reported", null=True), *whole("seq", "time"),
    )  # fmt: skip
    op.create_table(
        "cash", *text("account_id", "deployment", key=True),
        *whole("cash", "today", "next_1", "next_2", "orderable", null=True), *whole("seq", "time"),
    )  # fmt: skip
    op.create_table(
        "external_orders", *text("account_id", "date", "number", key=True), *text("symbol", "side"),
        *whole("quantity", "filled", "value"), *text("policy"), *whole("seq", "time"),
    )  # fmt: skip


def states() -> None:
    """Signals, risk, strategies, deployments."""
    op.create_table(
        "signals", *text("account_id", "deployment", "symbol", key=True), *whole("bar", key=True), *json("value"),
        real("strength"), *whole("seq", "time"),
    )  # fmt: skip
    op.create_index("signals_symbol", "signals", ["symbol", "time"])
    op.create_table(
        "risk_state", *text("account_id", "scope", "deployment", key=True), *text("mode", "reason", "by"),
        *whole("seq", "time"),
    )  # fmt: skip
    op.create_table(
        "strategy_state", *text("account_id", "deployment", key=True), *text("date", null=True),
        *whole("bar", "equity", "cash", null=True), *text("digest", null=True), *whole("seq", "time"),
    )  # fmt: skip
    op.create_table(
        "deployments", *text("account_id", "deployment", key=True), *text("mode"), *text("artifact", null=True),
        *json("params"), *text("version", "state"), *whole("started"), *whole("ended", null=True), *text("reason"),
        *whole("seq", "time"),
    )  # fmt: skip
