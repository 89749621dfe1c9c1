"""quantkit: test a trading rule on Korean equities under the exchange's real rules.

    >>> import quantkit as qk
    >>> "backtest" in qk.__all__
    True

Every public name is listed in `__all__` and loaded when first used, so that importing quantkit costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from quantkit import indicators as ta
    from quantkit.backtest.result import Result
    from quantkit.backtest.run import backtest
    from quantkit.backtest.signals import from_signals
    from quantkit.core.interface import Context
    from quantkit.core.policy import Policy, RiskLimits
    from quantkit.data.bars import Bars
    from quantkit.data.lake import Lake
    from quantkit.errors import BadData, Bug, ConfigError, OutcomeUnknown, QuantkitError, Refused, RetryLater
    from quantkit.market.costs import Costs
    from quantkit.replay import replay
    from quantkit.research import runs
    from quantkit.research.checking.report import CheckReport
    from quantkit.research.holdout import holdout
    from quantkit.research.lookahead import check
    from quantkit.research.sweep import sweep
    from quantkit.research.walkforward import walk_forward
    from quantkit.strategy import Strategy, load_strategy, param

__all__ = [
    "BadData",
    "Bars",
    "Bug",
    "CheckReport",
    "ConfigError",
    "Context",
    "Costs",
    "Lake",
    "OutcomeUnknown",
    "Policy",
    "QuantkitError",
    "Refused",
    "Result",
    "RetryLater",
    "RiskLimits",
    "Strategy",
    "backtest",
    "check",
    "from_signals",
    "holdout",
    "load_strategy",
    "param",
    "replay",
    "runs",
    "sweep",
    "ta",
    "walk_forward",
]

_HOMES = {
    "Bars": "quantkit.data.bars",
    "CheckReport": "quantkit.research.checking.report",
    "Context": "quantkit.core.interface",
    "Costs": "quantkit.market.costs",
    "Lake": "quantkit.data.lake",
    "Policy": "quantkit.core.policy",
    "Result": "quantkit.backtest.result",
    "RiskLimits": "quantkit.core.policy",
    "Strategy": "quantkit.strategy",
    "check": "quantkit.research.lookahead",
    "from_signals": "quantkit.backtest.signals",
    "holdout": "quantkit.research.holdout",
    "load_strategy": "quantkit.strategy",
    "param": "quantkit.strategy",
    "walk_forward": "quantkit.research.walkforward",
    "sweep": "quantkit.research.sweep",
}
_PACKAGES = {  # the name stands for the whole module
    "backtest": "quantkit.backtest",
    "replay": "quantkit.replay",
    "runs": "quantkit.research.runs",
    "ta": "quantkit.indicators",
}


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name in _PACKAGES:
        value: object = import_module(_PACKAGES[name])
    elif name in __all__:
        value = getattr(import_module(_HOMES.get(name, "quantkit.errors")), name)
    else:
        raise AttributeError(f"module 'quantkit' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
