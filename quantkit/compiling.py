"""What happens while kernels are compiled: a person sees one line with a spinner, gone when it is done.

Python's collector of cycles rests meanwhile: a compiler makes millions of objects that live on, and looking at them
again and again takes a fifteenth of the time.

Contract: on standard error of a terminal, or under the cell of a notebook; nothing anywhere else, so that a pipe or a
log never sees it. Only one line at a time: what is shown first stays. Numba says when it compiles (`numba:compile`
events come after its cache had no answer), so a kernel found in the cache shows nothing.
Called by `jit` and by `quantkit warmup`. Rich is loaded when a spinner is drawn.
"""

from __future__ import annotations

import gc
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from numba.core import event

from quantkit.progress import in_notebook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MESSAGE: Final = "compiling quantkit's kernels, once per machine: about 10 s"

_PLACES: Final = 70_000  # of eight bytes, on CPython's stack of frames

F = TypeVar("F", bound="Callable[..., Any]")

_SPIN = (
    "<style>@keyframes quantkit-turn{{to{{transform:rotate(360deg)}}}}</style>"
    '<span style="display:inline-block;animation:quantkit-turn 1s linear infinite">&#9696;</span> {}'
)

_shown: list[Callable[[], None]] = []  # how to take away what is shown


def with_deep_stack(function: F) -> F:
    """A function below which CPython's stack of frames is one piece, for calls that compile.

    CPython takes the stack in pieces of 16 KiB, about thirty calls each, and gives a piece back as soon as the call
    that began it returns. A compiler's recursion crosses such an edge hundreds of thousands of times, a call of the
    operating system each: an eighth of the time to compile. A frame that asks for more gets a larger piece, and what
    it does not use is there for the calls below it.
    """
    plain = cast("Any", function)
    plain.__code__ = plain.__code__.replace(co_stacksize=_PLACES)
    return function


def _show_in_notebook(text: str) -> Callable[[], None]:
    from IPython.display import display

    shown = cast("Any", display)({"text/plain": text, "text/html": _SPIN.format(text)}, raw=True, display_id=True)
    return lambda: shown.update({"text/plain": f"done: {text}"}, raw=True)


def _show_on_terminal(text: str) -> Callable[[], None]:
    from rich.console import Console

    status = Console(stderr=True).status(text)
    status.start()
    return status.stop


def show(text: str) -> None:
    """Show a line until `hide`, where somebody watches and nothing is shown yet."""
    if _shown:
        return
    if in_notebook():
        _shown.append(_show_in_notebook(text))
    elif sys.stderr.isatty():
        _shown.append(_show_on_terminal(text))


def hide() -> None:
    """Take the line away."""
    while _shown:
        _shown.pop()()


@contextmanager
def showing(text: str) -> Iterator[None]:
    """Show a line while the block runs; compiling inside it shows none of its own."""
    mine = not _shown
    show(text)
    try:
        yield
    finally:
        if mine:
            hide()


class Watch(event.Listener):
    """Shows a line while a function that has one, and what it calls, is compiled."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, str], str] = {}
        self._mine: list[bool] = []  # for each compilation under way, whether the line is its own
        self._collects = False  # whether to let the collector go on afterwards

    def add(self, function: Any, line: str = MESSAGE) -> None:
        """Show `line` while `function` compiles."""
        self._lines[function.__module__, function.__qualname__] = line

    def on_start(self, event: Any) -> None:
        if not self._mine:
            self._collects = gc.isenabled()
            gc.disable()
        function = event.data["dispatcher"].py_func
        line = self._lines.get((function.__module__, function.__qualname__))
        self._mine.append(line is not None and not _shown)
        if line is not None:
            show(line)

    def on_end(self, event: Any) -> None:  # noqa: ARG002  # also when it fails
        if self._mine.pop():
            hide()
        if not self._mine and self._collects:
            gc.enable()
