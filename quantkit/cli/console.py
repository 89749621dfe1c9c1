"""What commands show: tables, numbers, errors, JSON.

Contract: results to standard output, everything else to standard error, so that a pipe gets results only. Rich is
loaded when the first table is drawn.

>>> json_text({"sharpe": float("nan")})
'{\\n  "sharpe": null\\n}'
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import typer

from quantkit.plain import plain

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def error(message: str) -> None:
    """One line to standard error."""
    typer.echo(f"error: {' '.join(message.split())}", err=True)


def note(message: str = "") -> None:
    """A line for the person watching, to standard error."""
    typer.echo(message, err=True)


def say(message: str = "") -> None:
    """A line of the result, to standard output."""
    typer.echo(message)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: int = 1) -> None:
    """Draw a table; the columns from position `right` on are aligned right."""
    from rich.table import Table

    drawn = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for place, column in enumerate(columns):
        drawn.add_column(column, justify="right" if place >= right else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*row)
    show(drawn)


def show(drawn: Table) -> None:
    """Print a Rich table to standard output."""
    output().print(drawn)


def output() -> Console:
    """A Rich console on standard output that takes text as it is (no markup, no emoji)."""
    from rich.console import Console

    wide = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160  # a pipe has no edge to fold at
    return Console(markup=False, emoji=False, highlight=False, width=wide)


def emit(document: Mapping[str, object]) -> None:
    """Print one JSON document. NaN and infinities become null."""
    typer.echo(json_text(document))


def json_text(document: Mapping[str, object]) -> str:
    """JSON with Korean text left readable; what has no number in JSON is null."""
    return json.dumps(plain(document), ensure_ascii=False, indent=2, allow_nan=False)
