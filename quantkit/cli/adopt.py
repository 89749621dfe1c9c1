"""`quantkit adopt`: a person says whose shares, money and orders are.

Contract: the command is left in the account's journal; its engine takes it from there, does it once and writes what
came of it. Nothing changes while no process runs the account; the command waits. Who asked, and why, is kept.
"""

from __future__ import annotations

import getpass
import time
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quantkit.cli import console
from quantkit.cli import inputs as given
from quantkit.errors import ConfigError

if TYPE_CHECKING:
    from quantkit.live.messages import Command
    from quantkit.trading.events import Entry

_LOOK_S = 0.2  # seconds between looks for the answer


def adopt(
    account: Annotated[str, typer.Argument(help="Account of quantkit.toml.", show_default=False)],
    reason: Annotated[str, typer.Option("--reason", help="Why; it stands in the journal.", show_default=False)],
    symbol: Annotated[str | None, typer.Option("--symbol", help="The name whose shares are meant.")] = None,
    shares: Annotated[int | None, typer.Option(help="The account holds so many of --symbol, says its broker.")] = None,
    cash: Annotated[
        int | None, typer.Option(help="The account's money, on its way too, as its broker says; in won or cents.")
    ] = None,
    assign: Annotated[
        int | None,
        typer.Option(help="So many shares of --symbol, or won or cents, from nobody to --deployment; below 0: back."),
    ] = None,
    deployment: Annotated[str | None, typer.Option("--deployment", help="Whose it becomes; nobody's without.")] = None,
    order: Annotated[str | None, typer.Option("--order", help="An order whose outcome nobody knows.")] = None,
    number: Annotated[str | None, typer.Option("--number", help="The broker's number of --order.")] = None,
    outcome: Annotated[
        str | None, typer.Option("--outcome", help="What became of --order: not-found or ended.")
    ] = None,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for the engine's answer; 0: do not.")] = 5.0,
    as_json: given.AsJson = False,
) -> None:
    """Say whose shares, money and orders are, where the engine cannot know.

    quantkit adopt first --symbol 005930 --shares 12 --reason "two bought by phone"

    quantkit adopt first --symbol 005930 --assign 2 --deployment cross --reason "they are the rule's now"

    quantkit adopt first --assign 1000000 --deployment cross --reason "deposit of July"

    quantkit adopt first --cash 10250000 --reason "interest"

    quantkit adopt first --order cross:1752822000000000000:3 --number 0001234 --reason "seen in the HTS"

    What differs from the broker's books keeps an account from opening positions until a person has said what is
    right. A running engine answers within a second; without one the command waits in the journal, with exit code 1.
    """
    from quantkit import settings
    from quantkit.live.journal import leave_command
    from quantkit.live.messages import Command

    if not reason.strip():
        raise ConfigError("--reason: say why; it stands in the journal")
    arguments = _arguments(symbol, shares, cash, assign, deployment, order, number, outcome)
    told = settings.load()
    told.account(account)
    where = told.journal_of(account)
    now = time.time_ns()
    command = Command(now, f"cli:adopt:{now}", "adopt", getpass.getuser(), reason, arguments)
    leave_command(where, account, command)
    answer = {"account": account, "command": "adopt", "id": command.id, **_answer(where, account, command, wait)}
    if as_json:
        console.emit(answer)
    else:
        console.say(f"{account}: adopt, {answer['said']}")
    if answer["state"] == "refused" or (answer["state"] == "waiting" and wait):
        raise typer.Exit(1)


def _arguments(
    symbol: str | None, shares: int | None, cash: int | None, assign: int | None, deployment: str | None,
    order: str | None, number: str | None, outcome: str | None,
) -> dict[str, Any]:  # fmt: skip
    """What the engine is told; ConfigError where it is not one thing, and all of it."""
    asked = [name for name, value in (("--shares", shares), ("--cash", cash), ("--assign", assign), ("--order", order))
             if value is not None]  # fmt: skip
    if len(asked) != 1:
        raise ConfigError(f"one of --shares, --cash, --assign and --order, not {' and '.join(asked) or 'none'}")
    _only(asked[0], {"--symbol": symbol, "--deployment": deployment, "--number": number, "--outcome": outcome})
    match asked[0]:
        case "--shares":
            if symbol is None:
                raise ConfigError("--shares: of which --symbol?")
            return {"symbol": symbol, "quantity": shares, "deployment": deployment}
        case "--cash":
            return {"cash": True, "amount": cash}
        case "--assign":
            if deployment is None:
                raise ConfigError("--assign: to which --deployment?")
            what: dict[str, Any] = {"cash": True} if symbol is None else {"symbol": symbol}
            return {**what, "assign": assign, "deployment": deployment}
        case _:
            if (number is None) == (outcome is None) or outcome not in (None, "not-found", "ended"):
                raise ConfigError("--order: give the broker's --number, or --outcome not-found or ended")
            ended = {"outcome": (outcome or "").replace("-", "_")}
            return {"order": order, **(ended if number is None else {"number": number})}


_WITH = {"--shares": {"--symbol", "--deployment"}, "--cash": set(), "--assign": {"--symbol", "--deployment"},
         "--order": {"--number", "--outcome"}}  # fmt: skip


def _only(asked: str, given_: dict[str, str | None]) -> None:
    for name, value in given_.items():
        if value is not None and name not in _WITH[asked]:
            raise ConfigError(f"{name} says nothing with {asked}")


# --- what came of it --------------------------------------------------------------------------------------------------


def _answer(where: str, account: str, command: Command, wait: float) -> dict[str, Any]:
    """The engine's answer, as its journal has it."""
    from quantkit.live.journal import read_journal

    if not wait:
        return {"state": "waiting", "said": "left in its journal; done by the engine that runs it, or when it starts"}
    until = time.monotonic() + wait
    with closing(read_journal(where, account)) as reader:
        while (seq := reader.received(command.id)) is None:
            if time.monotonic() >= until:
                return {"state": "waiting", "said": f"nobody took it within {wait:g} s: no process seems to run the "
                        "account. It stays in its journal and is done when the account starts"}  # fmt: skip
            time.sleep(_LOOK_S)
        return _told([one.entry for one in reader.read(seq - 1)], command, seq)


def _told(entries: list[Entry], command: Command, seq: int) -> dict[str, Any]:
    """What stands in the journal of the turn that did it: entries of one moment."""
    from quantkit.trading.events import Kind

    turn = [entry for entry in entries if entry.time == entries[0].time]
    for entry in turn:
        if entry.kind is Kind.ALARM and entry.payload.get("key") == f"COMMAND_REFUSED:{command.id}":
            return {"state": "refused", "seq": seq, "said": f"refused: {entry.payload['detail']}"}
    kinds = ", ".join(dict.fromkeys(entry.kind.value for entry in turn[1:])) or "nothing changed"
    return {"state": "done", "seq": seq, "said": f"done, entry {seq}: {kinds}"}
