"""A progress bar for work of many runs: done, rate, time left.

Contract: drawn on standard error of a terminal, or under the cell of a notebook; nothing is written anywhere else,
unless a function is given, which is called with (done, total). Rich is loaded when a bar is drawn.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Shown", "Tell", "in_notebook", "shown"]

Tell = Callable[[int, int], None]
Shown = bool | Tell


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    python = sys.modules.get("IPython")
    shell = python.get_ipython() if python is not None else None
    return shell is not None and "IPKernelApp" in shell.config


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
