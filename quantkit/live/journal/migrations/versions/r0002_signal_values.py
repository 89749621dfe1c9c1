"""The value of a signal as the text it was given.

SQLite takes a number in a column that is declared JSON for a number of its own: "1.0" came back as 1, which is no
text. The table is made anew from the entries, as everything but the journal can be.
"""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

FIND = "SELECT account_id, strategy_id, payload, seq, ts_ns FROM journal WHERE kind = 'SignalRaised' ORDER BY seq"
PUT = """
INSERT INTO signals (account_id, deployment, symbol, bar, value, strength, seq, time)
VALUES (:account_id, :deployment, :symbol, :bar, :value, :strength, :seq, :time)
ON CONFLICT (account_id, deployment, symbol, bar)
DO UPDATE SET value = excluded.value, strength = excluded.strength, seq = excluded.seq, time = excluded.time
"""


def upgrade() -> None:
    """Make the table anew."""
    op.drop_table("signals")
    text, whole = sa.Text(), sa.BigInteger()
    op.create_table(
        "signals", sa.Column("account_id", text, primary_key=True), sa.Column("deployment", text, primary_key=True),
        sa.Column("symbol", text, primary_key=True), sa.Column("bar", whole, primary_key=True, autoincrement=False),
        sa.Column("value", text, nullable=False), sa.Column("strength", sa.Double(), nullable=True),
        sa.Column("seq", whole, nullable=False), sa.Column("time", whole, nullable=False),
    )  # fmt: skip
    op.create_index("signals_symbol", "signals", ["symbol", "time"])
    connection = op.get_bind()
    for account, deployment, payload, seq, time in connection.execute(sa.text(FIND)).fetchall():
        given = payload if isinstance(payload, dict) else json.loads(payload)
        connection.execute(sa.text(PUT), {
            "account_id": account, "deployment": deployment or "", "symbol": given["symbol"], "bar": given["bar"],
            "value": json.dumps(given["value"], sort_keys=True, separators=(",", ":"), ensure_ascii=False),
            "strength": given["strength"], "seq": seq, "time": time,
        })  # fmt: skip
