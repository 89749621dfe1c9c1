"""`quantkit kis`: everything 한국투자증권 offers, listed, explained and asked for.

Thin: `ls` and `show` read the catalogue, `call` asks through `KisClient`. Orders do not leave here.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quantkit.cli import console
from quantkit.cli import inputs as given
from quantkit.errors import ConfigError

if TYPE_CHECKING:
    from quantkit.brokers.kis.calling import Result
    from quantkit.brokers.kis.catalogue import Call, Field

app = typer.Typer(help="한국투자증권 (KIS): what it offers, and any question of it.", no_args_is_help=True)
AccountOption = Annotated[
    str | None, typer.Option("--account", help="Account of quantkit.toml; default: the keys alone.")
]
SHOWN = 40  # rows of a table
FILLED = ("CANO", "ACNT_PRDT_CD", "CTX_AREA_")
_KINDS = {"n": "number", "d": "date", "t": "text"}


@app.command("ls")
def list_calls(
    words: Annotated[
        list[str] | None, typer.Argument(help="Words that the names must have, English or Korean.")
    ] = None,
    category: Annotated[
        str | None, typer.Option(help="auth, stock, overseas, futures, overseas_futures, bond, etf or elw.")
    ] = None,
    as_json: given.AsJson = False,
) -> None:
    """List what KIS offers: 338 calls by category."""
    from quantkit.brokers.kis.catalogue import listing

    found = listing(category, " ".join(words or []))
    if as_json:
        console.emit({"calls": [_facts(call) for call in found]})
        return
    if not found:
        console.note(f"no call has {' '.join(words or [])!r} in its names; `quantkit kis ls` lists all")
        return
    rows = [(call.name, call.english, call.korean, call.kind, "yes" if call.paper else "") for call in found]
    console.table(f"{len(found)} calls", ("name", "what it is", "KIS's name", "kind", "paper"), rows, right=9)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Name, Korean name or transaction id of a call.")],
    as_json: given.AsJson = False,
) -> None:
    """Explain a call: its fields, what comes back, and where it is served."""
    from quantkit.brokers.kis.catalogue import find

    call = find(name)
    if as_json:
        answer = {block: [_field(field) for field in fields] for block, fields in call.blocks.items()}
        console.emit(_facts(call) | {"request": [_field(field) for field in call.request], "answer": answer})
        return
    console.say(f"{call.name}: {call.english} ({call.korean})")
    console.say(f"{call.method} {call.path}, {call.kind}")
    for environment, ids in (("real", call.real), ("paper", call.paper)):
        told = ", ".join(f"{variant}: {tr}" if variant else tr or "yes" for variant, tr in ids.items())
        console.say(f"{environment}: {told or 'not served'}")
    if call.kind == "order":
        console.say("It places or changes orders: they leave only through the broker, not by `kis call`.")
    if call.kind == "stream":
        console.say("It is a stream: subscribed to by its transaction id and a key, not called.")
    if call.request:
        rows = [
            (field.wire, field.name, field.korean, _KINDS[field.kind], str(field.length or ""),
             "filled in" if field.wire.upper().startswith(FILLED) else "yes" if field.required else "")
            for field in call.request
        ]  # fmt: skip
        console.table("fields", ("KIS's", "ours", "Korean", "type", "length", "required"), rows, right=9)
    for block, fields in call.blocks.items():
        lines = [(field.wire, field.name, field.korean, _KINDS[field.kind]) for field in fields]
        console.table(f"answer {block}".rstrip(), ("KIS's", "ours", "Korean", "type"), lines, right=9)


@app.command()
def seal(
    path: Annotated[Path, typer.Argument(help="File of keys, as KIS's samples have it.")] = Path("kis_devlp.yaml"),
    to: Annotated[Path, typer.Option(help="Where they are kept from now on.")] = Path("kis_devlp.sealed"),
) -> None:
    """Keep keys sealed: only who has QUANTKIT_VAULT_KEY (`openssl rand -hex 32`) opens them.

    The sealed file is looked for wherever kis_devlp.yaml is; an account of its own names it: options.keys.
    """
    from quantkit.brokers.kis import sources

    sources.seal(path, to, sources.environment())
    console.say(f"{to} holds the keys, sealed with QUANTKIT_VAULT_KEY; delete {path} when you have tried it")


@app.command()
def call(
    name: Annotated[str, typer.Argument(help="Name of a call, as `kis ls` shows it.")],
    fields: Annotated[list[str] | None, typer.Argument(help="field=value, under KIS's names or ours.")] = None,
    account: AccountOption = None,
    variant: Annotated[str | None, typer.Option(help="Which transaction, where a call has several.")] = None,
    pages: Annotated[int | None, typer.Option(help="At most so many pages; default all.")] = None,
    emulator: Annotated[str | None, typer.Option(help="Ask an emulator instead: http://127.0.0.1:PORT.")] = None,
    as_json: given.AsJson = False,
) -> None:
    """Ask KIS anything but to order.

    Keys come from the account, from KIS_APP_KEY and its kin, or from kis_devlp.yaml (sealed: kis_devlp.sealed).
    """
    from quantkit.brokers.kis.calling import check_callable
    from quantkit.brokers.kis.catalogue import find
    from quantkit.kis import connect

    check_callable(find(name))  # before keys are looked for
    arguments: dict[str, object] = {}
    for text in fields or []:
        key, sign, value = text.partition("=")
        if not sign or not key:
            raise ConfigError(f"{text!r}: expected field=value, such as FID_INPUT_ISCD=005930")
        if key in arguments:
            raise ConfigError(f"{key} was given twice")
        arguments[key] = value

    async def ask() -> Result:
        async with connect(account, emulator=emulator) as client:
            return await client.call(name, variant=variant, pages=pages, **arguments)

    _show_result(asyncio.run(ask()), as_json=as_json)


def _show_result(found: Result, *, as_json: bool) -> None:
    blocks = {block: [{key: _plain(value) for key, value in row.items()} for row in rows]
              for block, rows in found.blocks.items()}  # fmt: skip
    if as_json:
        console.emit({
            "call": found.call.name, "code": found.code, "text": found.text, "more": found.more,
            "unread": list(found.unread), "blocks": blocks,
        })  # fmt: skip
        return
    if not any(blocks.values()):
        console.say(f"{found.code} {found.text}")
    korean = {field.name: field.korean for field in found.call.answer.values()}
    for block, rows in blocks.items():
        if len(rows) == 1:
            facts = [(key, "" if value is None else str(value), korean.get(key, "")) for key, value in rows[0].items()]
            console.table(block, ("field", "value", "Korean"), facts, right=9)
        elif rows:
            names = list(rows[0])
            lines = [["" if row.get(key) is None else str(row.get(key)) for key in names] for row in rows[:SHOWN]]
            console.table(f"{block}: {len(rows)} rows", names, lines, right=0)
    if any(len(rows) > SHOWN for rows in blocks.values()):
        console.note(f"the first {SHOWN} rows are shown; --json has all")
    if found.more:
        console.note("there are more pages; leave --pages out for all")
    if found.unread:
        console.note(f"left as KIS wrote them: {', '.join(found.unread)}")


def _plain(value: object) -> object:
    """A value for JSON: dates as text, a Decimal as the digits it has."""
    return value.isoformat() if isinstance(value, dt.date) else str(value) if isinstance(value, Decimal) else value


def _facts(call: Call) -> dict[str, object]:
    return {
        "name": call.name, "english": call.english, "korean": call.korean, "category": call.category,
        "kind": call.kind, "method": call.method, "path": call.path, "real": dict(call.real), "paper": dict(call.paper),
    }  # fmt: skip


def _field(field: Field) -> dict[str, object]:
    return {
        "kis": field.wire, "name": field.name, "korean": field.korean, "type": _KINDS[field.kind],
        "length": field.length or None, "required": field.required,
    }  # fmt: skip
