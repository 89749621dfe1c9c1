"""`quantkit journal show|verify|export`: read the record of an account, beside whoever writes it.

Contract: nothing is written to a journal and no lease is taken, so an account that runs does not notice. Passwords of a
URL are never shown. Times are read and shown in Seoul; money is the market's minor unit (won, cents).
"""

from __future__ import annotations

import datetime as dt
import json
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quantkit.cli import console
from quantkit.cli import inputs as given
from quantkit.errors import ConfigError

if TYPE_CHECKING:
    import sqlalchemy as sa

    from quantkit.live.journal.finding import Filters
    from quantkit.live.journal.projections import Row
    from quantkit.live.journal.reader import Reader
    from quantkit.trading.events import Kind

app = typer.Typer(help="Read the record of an account.", no_args_is_help=True)

PROJECTIONS = {"orders": "orders", "fills": "fills", "positions": "positions", "cash": "cash", "signals": "signals",
               "risk": "risk_state", "strategy": "strategy_state", "deployments": "deployments",
               "external": "external_orders"}  # fmt: skip
SHOWN = {
    "orders": ("time", "id", "symbol", "side", "status", "filled", "quantity", "price", "rule", "number", "reason"),
    "fills": ("time", "order_id", "symbol", "side", "quantity", "price", "value", "commission", "tax", "provisional"),
    "positions": ("time", "deployment", "symbol", "quantity", "cost", "realized", "reported"),
    "cash": ("time", "deployment", "cash", "today", "next_1", "next_2", "orderable"),
    "signals": ("time", "deployment", "symbol", "bar", "value", "strength"),
    "risk_state": ("time", "scope", "deployment", "mode", "reason", "by"),
    "strategy_state": ("time", "deployment", "date", "bar", "equity", "cash", "digest"),
    "deployments": ("time", "deployment", "mode", "state", "started", "ended", "reason", "version"),
    "external_orders": ("time", "date", "number", "symbol", "side", "quantity", "filled", "value", "policy"),
}
LONGEST = 160  # characters shown of a payload
TIMES = frozenset({"time", "bar", "started", "ended", "ts_ns"})

AccountName = Annotated[str | None, typer.Argument(help="Account of quantkit.toml.", show_default=False)]
AccountOption = Annotated[str | None, typer.Option("--account", help="The same, as an option.", show_default=False)]
Where = Annotated[
    str | None,
    typer.Option("--journal", help="A file, a folder or postgresql://... in place of the account's own."),
]
Order = Annotated[str | None, typer.Option("--order", help="Only what concerns this order.")]
Deployment = Annotated[str | None, typer.Option("--deployment", help="Only this deployment.")]
Symbol = Annotated[str | None, typer.Option("--symbol", help="Only this name (of a projection).")]
KindNames = Annotated[str | None, typer.Option("--kind", help="Only these kinds of entries: A,B (OrderFilled, Alarm).")]
Since = Annotated[str | None, typer.Option("--since", help="Seoul time: 2026-07-17 or 2026-07-17T09:00.")]
Until = Annotated[str | None, typer.Option("--until", help="Included; a date means to the end of that day.")]
Projection = Annotated[
    str | None, typer.Option("--projection", help=f"A table made from the entries: {', '.join(PROJECTIONS)}.")
]


@app.command("show")
def show(
    account: AccountName = None,
    account_option: AccountOption = None,
    journal: Where = None,
    order: Order = None,
    deployment: Deployment = None,
    symbol: Symbol = None,
    kind: KindNames = None,
    since: Since = None,
    until: Until = None,
    tail: Annotated[int, typer.Option(min=0, help="How many of the newest; 0: all.")] = 50,
    projection: Projection = None,
    as_json: given.AsJson = False,
) -> None:
    """Show entries of an account, or a table made from them.

    quantkit journal show first --since 2026-07-17 --kind OrderFilled,Alarm

    quantkit journal show first --projection orders --symbol 005930

    Rows are shown as they stand; `quantkit journal verify` checks them.
    """
    from quantkit.live.journal import finding, tables

    table = tables.journal if projection is None else _projection(projection)
    filters = _filters(order, deployment, symbol, kind, since, until)
    with closing(_open(account or account_option, journal, account_option)) as reader:
        shown = _shown(reader)
        with reader.at_once():
            total = finding.count(reader, table, filters)
            rows = finding.last(reader, table, filters, tail)
    if as_json:
        console.emit({"account": reader.account, "journal": shown, "table": table.name, "rows": total,
                      "shown": [_whole(row, table) for row in rows]})  # fmt: skip
        return
    more = " (--tail 0 shows all)" if len(rows) < total else ""
    title = f"{reader.account}: {table.name}, {len(rows):,} of {total:,}{more}"
    if table is tables.journal:
        columns = ("seq", "time", "kind", "deployment", "order", "what")
        console.table(title, columns, [_entry(row) for row in rows], right=len(columns))
    else:
        names = SHOWN[table.name]
        console.table(title, names, [[_cell(name, row[name]) for name in names] for row in rows], right=len(names))


@app.command("verify")
def verify(
    account: AccountName = None,
    account_option: AccountOption = None,
    journal: Where = None,
    head: Annotated[
        str | None, typer.Option("--head", help="SEQ:HASH that somebody wrote down earlier; it must still be there.")
    ] = None,
    as_json: given.AsJson = False,
) -> None:
    """Check that a journal says what was written into it: hash chain, numbers, epochs, tables, snapshots.

    quantkit journal verify first

    quantkit journal verify first --head 1042:9f86d081884c...

    The first entry that does not fit is named, with what differs; exit code 1. What is printed at the end, SEQ:HASH, is
    what to write down: who can change the file can change every hash after it, but not what stands elsewhere.
    """
    from quantkit.live.journal import verify as check

    known = None if head is None else _head(head)
    with closing(_open(account or account_option, journal, account_option)) as reader:
        found = check(reader, known=known)
        shown = _shown(reader)
    if as_json:
        console.emit({"account": found.account, "journal": shown, "good": found.good, "entries": found.entries,
                      "head": found.head, "problems": list(found.problems)})  # fmt: skip
    elif found.good:
        console.say(f"{found.account}: {found.entries:,} entries; chain, tables and snapshots agree")
        console.say(f"head {found.entries}:{found.head}")
    else:
        console.say(f"{found.account}: wrong after {found.entries:,} good entries, {shown}")
        for problem in found.problems:
            console.say(f"  {problem}")
    if not found.good:
        raise typer.Exit(1)


@app.command("export")
def export(
    out: Annotated[Path, typer.Argument(help="File to write: .parquet, .csv or .jsonl.", show_default=False)],
    account: Annotated[str | None, typer.Option("--account", help="Account of quantkit.toml.")] = None,
    journal: Where = None,
    wire: Annotated[
        bool, typer.Option("--wire", help="What went over the wire, in place of the entries; secrets were stripped.")
    ] = False,
    order: Order = None,
    deployment: Deployment = None,
    symbol: Symbol = None,
    kind: KindNames = None,
    since: Since = None,
    until: Until = None,
    projection: Projection = None,
    as_json: given.AsJson = False,
) -> None:
    """Write entries, a table made from them, or the wire log to a file, whole or not at all.

    quantkit journal export july.parquet --account first --since 2026-07-01 --until 2026-07-31

    quantkit journal export fills.csv --account first --projection fills
    """
    from quantkit.live.journal import finding, tables
    from quantkit.live.journal.export import form_of, write

    if wire and projection is not None:
        raise ConfigError("one of --wire and --projection")
    table = tables.wire_log if wire else tables.journal if projection is None else _projection(projection)
    filters = _filters(order, deployment, symbol, kind, since, until)
    form = form_of(out)
    with closing(_open(account, journal, account)) as reader:
        rows = write(finding.pages(reader, table, filters), table, out)
        name = reader.account
    if as_json:
        console.emit({"account": name, "table": table.name, "rows": rows, "file": str(out), "form": form})
    else:
        console.say(f"{name}: {rows:,} rows of {table.name} in {out}")


# --- which journal ----------------------------------------------------------------------------------------------------


def _open(account: str | None, journal: str | None, again: str | None) -> Reader:
    """The journal that is meant: of an account of the settings, or where it was said to lie."""
    from quantkit.live.journal import read_journal

    if again is not None and account != again:
        raise ConfigError(f"{account} or {again}: which account?")
    if journal is not None:
        return read_journal(journal, account)
    from quantkit import settings
    from quantkit.cli.halt import known_accounts

    told = settings.load()
    if account is None:
        known = known_accounts(told)
        if len(known) != 1:
            raise ConfigError(f"which account? Known are: {', '.join(known) or 'none'}")
        account = known[0]
    return read_journal(told.journal_of(account), account)


def _shown(reader: Reader) -> str:
    from quantkit.live.journal.database import shown

    return shown(reader.url)


# --- what is asked ----------------------------------------------------------------------------------------------------


def _filters(
    order: str | None, deployment: str | None, symbol: str | None, kind: str | None, since: str | None,
    until: str | None,
) -> Filters:  # fmt: skip
    from quantkit.live.journal.finding import Filters

    return Filters(order=order, deployment=deployment, symbol=symbol, kinds=_kinds(kind),
                   since=_moment("--since", since, end=False), until=_moment("--until", until, end=True))  # fmt: skip


def _kinds(text: str | None) -> tuple[Kind, ...]:
    from quantkit.trading.events import Kind

    known = {kind.value.lower(): kind for kind in Kind}
    found = []
    for name in (text or "").split(","):
        if name.strip():
            if name.strip().lower() not in known:
                raise ConfigError(f"--kind {name.strip()}: expected one of {', '.join(Kind)}")
            found.append(known[name.strip().lower()])
    return tuple(found)


def _moment(option: str, text: str | None, *, end: bool) -> int | None:
    """A time in Seoul as UTC nanoseconds; of a date its beginning or its end."""
    from zoneinfo import ZoneInfo

    if text is None:
        return None
    try:
        when = dt.datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{option} {text}: expected a time as 2026-07-17 or 2026-07-17T09:00") from None
    if when.tzinfo is None:
        when = when.replace(tzinfo=ZoneInfo("Asia/Seoul"))
    whole_day = end and len(text) <= len("2026-07-17")
    micros = (when + dt.timedelta(days=1 if whole_day else 0) - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(
        microseconds=1
    )
    return micros * 1_000 - (1 if whole_day else 0)


def _head(text: str) -> tuple[int, str]:
    seq, _, hash_ = text.partition(":")
    if not seq.isdigit() or len(hash_) != 64:
        raise ConfigError(f"--head {text}: expected SEQ:HASH as `quantkit journal verify` prints it")
    return int(seq), hash_


def _projection(name: str) -> sa.Table:
    from quantkit.live.journal import tables

    if name not in PROJECTIONS:
        raise ConfigError(f"--projection {name}: expected one of {', '.join(PROJECTIONS)}")
    return tables.METADATA.tables[PROJECTIONS[name]]


# --- how it looks -----------------------------------------------------------------------------------------------------


def _entry(row: Row) -> list[str]:
    """A line of `show`."""
    what = _said(row["kind"], json.loads(row["payload"]))
    what = what if len(what) <= LONGEST else f"{what[:LONGEST]}..."
    names = (row["strategy_id"] or "", row["client_order_id"] or "")
    return [str(row["seq"]), _cell("ts_ns", row["ts_ns"]), row["kind"], *names, what]


def _said(kind: str, payload: dict[str, Any]) -> str:
    """A payload in a line."""
    if kind == "OrderInitialized":
        intent = payload["intent"]
        price = "at the market" if intent["price"] is None else f"at {intent['price']:,}"
        return f"{intent['side']} {intent['quantity']:,} {intent['symbol']} {price}, {intent['type']}, {intent['rule']}"
    return ", ".join(f"{name} {_value(value)}" for name, value in payload.items() if value not in (None, "", {}, []))


def _value(value: object) -> str:
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _cell(name: str, value: object) -> str:
    from quantkit.live.journal.export import seoul

    if value is None:
        return ""
    if name in TIMES and isinstance(value, int):
        return seoul(value).removesuffix("+09:00").replace("T", " ")[:23]
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:,}"
    return str(value)


def _whole(row: Row, table: sa.Table) -> Row:
    """A row for a program: JSON columns as what they say, the time in Seoul beside it."""
    import sqlalchemy as sa

    from quantkit.live.journal.export import seoul

    found = {"seoul": seoul(row["ts_ns" if "ts_ns" in row else "time"]), **row}
    for column in table.columns:
        if isinstance(column.type, sa.JSON) or (table.name, column.name) in _JSON_TEXT:
            found[column.name] = json.loads(found[column.name])
    return found


_JSON_TEXT = {("signals", "value")}
