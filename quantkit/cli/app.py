"""The command tree, and how an error becomes one line on standard error and an exit code.

Contract: `run` never raises and never shows a traceback unless `--debug` is among the arguments (anywhere: it is what a
person adds to the end of the line that failed). A ConfigError is wrong usage (2), every other failure is 1.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from quantkit.cli import (
    adopt,
    backtest,
    check,
    compare,
    console,
    data,
    demo,
    doctor,
    drift,
    emulate,
    halt,
    journal,
    kis,
    orders,
    paper,
    promote,
    replay,
    runs,
    sweep,
    walkforward,
    warmup,
)
from quantkit.errors import Bug, ConfigError, QuantkitError

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130
LONGEST = 300  # characters shown of an error that nobody expected; `--debug` shows all

app = typer.Typer(
    name="quantkit",
    help="Test a trading rule on Korean equities under the exchange's real rules.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        from quantkit import __version__

        typer.echo(f"quantkit {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and leave.", callback=_version, is_eager=True)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Options before the command; `run` reads `--debug` itself."""


app.command("demo")(demo.demo)
app.command("backtest")(backtest.backtest)
app.command("check")(check.check)
app.command("compare")(compare.compare)
app.command("runs")(runs.runs)
app.command("doctor")(doctor.doctor)
app.command("replay")(replay.replay)
app.command("reproduce")(runs.reproduce)
app.command("paper")(paper.paper)
app.command("live")(paper.live)
app.command("halt")(halt.halt)
app.command("resume")(halt.resume)
app.command("panic")(halt.panic)
app.command("adopt")(adopt.adopt)
app.command("sweep")(sweep.sweep)
app.command("walkforward")(walkforward.walkforward)
app.command("orders")(orders.orders)
app.command("drift")(drift.drift)
app.command("promote")(promote.promote)
app.command("promotions")(promote.promotions)
app.command("warmup")(warmup.warmup)
app.add_typer(data.app, name="data")
app.add_typer(emulate.app, name="emulate")
app.add_typer(kis.app, name="kis")
app.add_typer(journal.app, name="journal")


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    debug = "--debug" in arguments
    kept = [argument for argument in arguments if argument != "--debug"]
    try:
        app(args=kept, prog_name="quantkit")
    except SystemExit as leave:
        code = leave.code if isinstance(leave.code, int) else FAILED
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Exception as failure:  # noqa: BLE001  # the last line of defence: every error ends as a line and a code
        return _failed(failure, debug=debug)
    else:
        code = DONE
    if code == INTERRUPTED:
        console.error("interrupted")
    return code


def _failed(failure: Exception, *, debug: bool) -> int:
    """Say what went wrong; the exit code."""
    if debug:
        traceback.print_exception(failure, file=sys.stderr)
    if isinstance(failure, QuantkitError) and not isinstance(failure, Bug):
        console.error(str(failure))
        return USAGE if isinstance(failure, ConfigError) else FAILED
    if isinstance(failure, OSError) and failure.strerror:
        where = f": {failure.filename}" if failure.filename else ""
        console.error(f"{failure.strerror}{where}")
        return FAILED
    detail = " ".join(str(failure).split()) or "no message"
    detail = detail if len(detail) <= LONGEST else f"{detail[:LONGEST]}..."
    hint = "" if debug else "; add --debug to see where"
    console.error(f"unexpected {type(failure).__name__}: {detail}{hint}")
    return FAILED
