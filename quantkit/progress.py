"""A progress bar for work of many runs: done, rate, time left. And a countdown, where something must be waited for.

Contract: a bar is drawn on standard error of a terminal, or under the cell of a notebook; nothing is written anywhere
else, unless a function is given, which is called with (done, total). Rich is loaded when a bar is drawn. A countdown is
written to standard error, whatever that is: who waits for a minute wants to know why.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Countdown", "Shown", "Tell", "in_notebook", "shown"]

Tell = Callable[[int, int], None]
Shown = bool | Tell


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    python = sys.modules.get("IPython")
    shell = python.get_ipython() if python is not None else None
    return shell is not None and "IPKernelApp" in shell.config


class Countdown:
    """Says what is waited for: called with the seconds left, 0 when it is over. On a terminal one line counts down;
    where there is none, or `lines` is True, a line says it once a wait."""

    def __init__(self, what: str, *, lines: bool = False) -> None:
        self._what, self._lines, self._shown = what, lines, 0

    def __call__(self, left_s: float) -> None:
        said = f"{self._what}: {left_s:.0f} s left"
        counts = sys.stderr.isatty() and not self._lines
        if left_s <= 0:
            self._write("\r" + " " * self._shown + "\r" if counts and self._shown else "")
            self._shown = 0
        elif counts:
            self._write("\r" + said.ljust(self._shown))
            self._shown = len(said)
        elif not self._shown:
            self._write(said + "\n")
            self._shown = len(said)

    @staticmethod
    def _write(text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()


def _silent(done: int, total: int, /) -> None:
    """Progress that nobody watches."""


@contextmanager
def shown(progress: Shown, what: str) -> Iterator[Tell]:
    """A function that is told (done, total) while the block runs."""
    if callable(progress):
        yield progress
        return
    notebook = in_notebook()
    if not progress or not (notebook or sys.stderr.isatty()):
        yield _silent
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"),
               TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())  # fmt: skip
    console = Console() if notebook else Console(stderr=True)
    with Progress(*columns, console=console, transient=not notebook) as bar:
        task = bar.add_task(what, total=None, rate="")

        def tell(done: int, total: int) -> None:
            speed = bar.tasks[task].speed
            bar.update(task, completed=done, total=total, rate=f"{speed:,.0f}/s" if speed else "")

        yield tell
