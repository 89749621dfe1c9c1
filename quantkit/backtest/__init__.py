"""Running a strategy over bars, and everything said about the run afterwards.

The package and the function share a name on purpose: `quantkit.backtest(strategy, bars)` runs a backtest, and
`quantkit.backtest.metrics` is a module. Whichever is imported first, both work, because the package itself can be
called.
"""

from __future__ import annotations

import inspect
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from quantkit.backtest.result import Result


class _CallablePackage(ModuleType):
    """This package; a call is a call of `run.backtest`."""

    def __call__(self, *arguments: Any, **options: Any) -> Result:
        from quantkit.backtest.run import backtest

        return backtest(*arguments, **options)

    @property
    def __signature__(self) -> inspect.Signature:
        from quantkit.backtest.run import backtest

        return inspect.signature(backtest)


sys.modules[__name__].__class__ = _CallablePackage
