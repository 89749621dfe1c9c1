"""`quantkit halt`, `resume` and `panic`: the kill switch in a person's hand.

Contract: `halt` leaves a file beside the journal and a command in it, with one id, so the engine hears of it by
whichever it can read, once, and an engine that is dead hears of it when it starts. `resume` takes the file away and
leaves a command. `panic` needs no engine: it cancels by the broker's own port, and leaves the account halted.
"""

from __future__ import annotations

import getpass
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quantkit.cli import console
from quantkit.cli import inputs as given
from quantkit.errors import ConfigError, QuantkitError

if TYPE_CHECKING:
    from pathlib import Path

    from quantkit.live.messages import Command
    from quantkit.settings import Settings

MODES = ("halted", "reducing", "flatten")
AccountName = Annotated[str | None, typer.Argument(help="Account of quantkit.toml.", show_default=False)]
Everybody = Annotated[bool, typer.Option("--all", help="Every account.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it stands in the journal.", show_default=False)]
Deployment = Annotated[str | None, typer.Option("--deployment", help="Only one deployment of the account.")]
Symbol = Annotated[str | None, typer.Option("--symbol", help="Only one name.")]


def halt(
    reason: Reason,
    account: AccountName = None,
    everybody: Everybody = False,
    mode: Annotated[str, typer.Option(help="halted, reducing (only exits go) or flatten (sell all).")] = "halted",
    deployment: Deployment = None,
    symbol: Symbol = None,
    cancel: Annotated[bool, typer.Option("--cancel", help="Cancel what stands, too.")] = False,
    as_json: given.AsJson = False,
) -> None:
    """Stop sending orders; latched until a person resumes.

    quantkit halt first --reason "numbers look wrong"

    quantkit halt --all --mode flatten --reason "out of everything"

    A running engine obeys within half a second, one that is not running when it starts.
    """
    if mode not in MODES:
        raise ConfigError(f"--mode {mode}: expected one of {', '.join(MODES)}")
    if mode == "flatten" and (symbol or (everybody and deployment)):
        raise ConfigError("--mode flatten: of an account or of one of its deployments")
    scope = _scope(everybody, deployment, symbol)
    arguments = dict(scope) if mode == "flatten" else {**scope, "mode": mode, "cancel": cancel}
    if mode == "flatten" and everybody:
        arguments = {}  # each account sells its own
    name = "flatten" if mode == "flatten" else "halt"
    _each(account, everybody, reason, name, arguments, as_json, file=not (deployment or symbol))


def resume(
    reason: Reason,
    account: AccountName = None,
    everybody: Everybody = False,
    deployment: Deployment = None,
    symbol: Symbol = None,
    as_json: given.AsJson = False,
) -> None:
    """Let orders go again: clear the latch of an account, a deployment, a name, or (--all) the one over all accounts.

    quantkit resume first --reason "checked by hand"

    Other latches stay: `quantkit journal show ACCOUNT --kind RiskStateChanged` lists them.
    """
    _each(account, everybody, reason, "resume", _scope(everybody, deployment, symbol), as_json,
          file=not (deployment or symbol))  # fmt: skip


def panic(
    account: Annotated[str, typer.Argument(help="Account of quantkit.toml.", show_default=False)],
    reason: Annotated[str, typer.Option("--reason", help="Why; it stands in the journal.")] = "panic",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: given.AsJson = False,
) -> None:
    """Cancel every open order of an account by its broker, without the engine, and leave it halted.

    For when the engine is dead or not to be trusted. Sells nothing. Exit code 1 while the broker's own list still shows
    something open. An emulated exchange lives in the process that runs its account: what runs cancels and halts; where
    nothing runs nothing can trade, and the next run is halted and cancels first.
    """
    from quantkit import settings
    from quantkit.cli.brokers import broker_of, lives_inside, run_with
    from quantkit.live.clock import SystemClock
    from quantkit.live.panic import cancel_all

    told = settings.load()
    inside = lives_inside(told, account)
    if not inside:
        broker_of(told, account, SystemClock())  # settings that are wrong are said before anything is left
    if not yes and not typer.confirm(f"Cancel every open order of {account} and halt it?", err=True):
        raise typer.Exit(1)
    command = _command("panic", {}, reason)
    left = _leave(told, account, command, file=_halting(command))
    if inside:
        _said_inside(account, left, as_json)
        return
    came = run_with(told, account, cancel_all)
    answer: dict[str, Any] = {
        "account": account, "cancelled": list(came.cancelled), "problems": list(came.problems), "done": came.done,
        "left": None if came.left is None else [f"{each.number} {each.symbol} {each.side} {each.leaves}"
                                                for each in came.left], **left,
    }  # fmt: skip
    if as_json:
        console.emit(answer)
    else:
        console.say(f"{account}: {len(came.cancelled)} orders cancelled; halted")
        for problem in came.problems:
            console.note(f"  {problem}")
        for line in answer["left"] or ():
            console.note(f"  still open: {line}")
    if not came.done:
        raise typer.Exit(1)


def _said_inside(account: str, left: dict[str, Any], as_json: bool) -> None:
    """A panic for an exchange that only the process running the account can reach."""
    said = "its emulated exchange stands still while nobody runs it; who does cancels, and trades nothing more"
    answer = {"account": account, "cancelled": [], "problems": [], "done": left["reached"], "left": None, **left}
    if as_json:
        console.emit(answer)
    else:
        console.say(f"{account}: {said} ({left['said']})")
    if not left["reached"]:
        raise typer.Exit(1)


# --- how it reaches an engine -----------------------------------------------------------------------------------------


def _scope(everybody: bool, deployment: str | None, symbol: str | None) -> dict[str, Any]:
    """Which latch is meant."""
    if sum((everybody, deployment is not None, symbol is not None)) > 1:
        raise ConfigError("one of --all, --deployment and --symbol")
    if everybody:
        return {"scope": "global"}
    if deployment is not None:
        return {"scope": "deployment", "name": deployment}
    return {"scope": "account"} if symbol is None else {"scope": "symbol", "name": symbol}


def _each(
    account: str | None, everybody: bool, reason: str, name: str, arguments: dict[str, Any], as_json: bool, *,
    file: bool,
) -> None:  # fmt: skip
    """Leave a command for one account or for all, and say where it went."""
    from quantkit import settings

    if not reason.strip():
        raise ConfigError("--reason: say why; it stands in the journal")
    if (account is None) != everybody:
        raise ConfigError("give an account, or --all")
    told = settings.load()
    names = known_accounts(told) if account is None else [account]
    if not names:
        raise ConfigError(f"no account is known: none in quantkit.toml, no journal in {told.journals}")
    command = _command(name, arguments, reason)
    answers = [{"account": each, **_leave(told, each, command, file=command if file else None)} for each in names]
    if as_json:
        console.emit({"command": name, "id": command.id, "accounts": answers})
    else:
        for answer in answers:
            console.say(f"{answer['account']}: {name}, {answer['said']}")
    if any(not answer["reached"] for answer in answers):
        raise typer.Exit(1)


def known_accounts(told: Settings) -> list[str]:
    """Accounts of the settings, and those that have a journal in the folder of journals."""
    return sorted({*told.accounts, *(path.stem for path in told.journals.glob("*.sqlite"))})


def _command(name: str, arguments: dict[str, Any], reason: str) -> Command:
    from quantkit.live.messages import Command

    now = time.time_ns()
    return Command(now, f"cli:{name}:{now}", name, getpass.getuser(), reason, arguments)


def _halting(command: Command) -> Command:
    """What stands in the file where the command itself is more than a file may ask for."""
    from dataclasses import replace

    return replace(command, id=f"{command.id}:halt", name="halt", arguments={"scope": "account"})


def _leave(told: Settings, account: str, command: Command, *, file: Command | None) -> dict[str, Any]:
    """Leave a command in the file and in the journal; what came of both. Neither keeps the other from being tried."""
    from quantkit.live.haltfile import halt_file
    from quantkit.live.journal import leave_command

    told.account(account)
    where = told.journal_of(account)
    path = halt_file(where, account, told.journals)
    said, reached = [], False
    if file is not None:
        problem = _filed(path, file)
        said.append(f"file {path}" if not problem else f"file {path} could not be changed: {problem}")
        reached = not problem
    try:
        leave_command(where, account, command)
    except ConfigError:
        said.append("no journal yet")
    except (QuantkitError, OSError) as error:
        said.append(f"journal: {error}")
    else:
        said.append("left in its journal")
        reached = True
    return {"reached": reached, "said": ", ".join(said)}


def _filed(path: Path, command: Command) -> str:
    """Write the file, or take it away for a resume; why not, where that fails."""
    from quantkit.live.haltfile import write_halt

    try:
        if command.name == "resume":
            path.unlink(missing_ok=True)
        else:
            write_halt(path, command)
    except OSError as error:
        return str(error)
    return ""
