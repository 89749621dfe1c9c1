"""Where a lower layer lets a higher one in, by name, so that neither has to import the other.

    run_made          after every `backtest`, with its result and what describes the run: the run log takes it down
    verdict           `Result.verdict`
    verdict_section   its part of the report page

Contract: a hook's home is loaded when it is first called, like the public names of `quantkit`. `call` tells of
something that happened; runs made inside `silently()` tell nothing: they are steps of one piece of work (a stress test,
a table of paths), not tries of somebody. What hears of a run and fails says so in its answer; it never ends the run.
`ask` is a plain call whose answer is wanted.

>>> with silently():
...     call("run_made", None) is None
True
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_HOMES = {
    "run_made": "quantkit.research.runs",
    "verdict": "quantkit.research.verdict",
    "verdict_section": "quantkit.research.verdict",
}
_silent: ContextVar[bool] = ContextVar("quantkit_silent", default=False)


def call(name: str, *given: Any) -> Any:
    """Tell the function `name` of the layer above, and give its answer; None inside `silently()`."""
    return None if _silent.get() else ask(name, *given)


def ask(name: str, *given: Any, **options: Any) -> Any:
    """What the function `name` of the layer above answers."""
    return getattr(import_module(_HOMES[name]), name)(*given, **options)


@contextmanager
def silently() -> Iterator[None]:
    """No hook is called by runs made in this block (of this thread)."""
    before = _silent.set(True)
    try:
        yield
    finally:
        _silent.reset(before)
