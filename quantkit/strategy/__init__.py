"""What a user writes against: a class with parameters, a policy and `targets(bars)`.

Contract: a strategy is pure and causal. Its targets at bar t may depend on bars up to t only; it keeps nothing between
calls, reads no clock and no file. The same object runs in backtest, replay, paper and live.

    base       Strategy: parameters, policy, evaluation
    params     param(): typed parameters with a range
    targets    what `targets` may return, and how it becomes a (T, N) array
    loading    load_strategy("file.py[:Class]" | "module[:Class]")
    sources    the text behind a class, its hash, and the local modules it imports

>>> class Hold(Strategy):
...     days: int = param(5, low=1, high=20)
>>> Hold(days=7).params
{'days': 7}
"""

from quantkit.strategy.base import Strategy
from quantkit.strategy.loading import load_strategy
from quantkit.strategy.params import Param, param
from quantkit.strategy.targets import as_targets

__all__ = ["Param", "Strategy", "as_targets", "load_strategy", "param"]
