"""Replaying a strategy bar by bar through the live engine, and comparing it with its backtest.

The package and the function share a name, as those of `quantkit.backtest` do: `quantkit.replay(strategy, bars)`
replays, and whichever of the two is imported first, both work.
"""

from __future__ import annotations

import inspect
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quantkit.replay.run import Replayed

__all__ = ["Replayed", "replay"]


def replay(*arguments: Any, **options: Any) -> Replayed:
    """`run.replay`: see there."""
    from quantkit.replay.run import replay as run

    return run(*arguments, **options)


def __getattr__(name: str) -> object:
    if name == "Replayed":
        from quantkit.replay.run import Replayed

        return Replayed
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class _CallablePackage(ModuleType):
    """This package; a call is a call of `run.replay`."""

    def __call__(self, *arguments: Any, **options: Any) -> Replayed:
        return replay(*arguments, **options)

    @property
    def __signature__(self) -> inspect.Signature:
        from quantkit.replay.run import replay as run

        return inspect.signature(run)


sys.modules[__name__].__class__ = _CallablePackage
