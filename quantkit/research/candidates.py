"""Parameter sets that a window chooses among, and how one is better than another.

Contract: a name of the space that is a parameter of the strategy varies it; else one that is a field of `Policy` varies
the policy's; else ConfigError names both kinds. The sets are in the order of the keywords, the last one fastest. A set
that the strategy refuses (`fast` above its highest) is an error before anything runs, not a row without a figure.
"""

from __future__ import annotations

import math
import os
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any

import numpy as np

from quantkit.errors import ConfigError
from quantkit.research.space import Axis, Space, policy_names
from quantkit.research.stitching import Chosen, with_policy
from quantkit.strategy import Strategy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import pandas as pd

__all__ = ["LOWER_IS_BETTER", "Candidates", "best_of", "plain_sets", "pool_of", "stability_of"]

LOWER_IS_BETTER = frozenset(
    ("volatility", "max_drawdown_days", "turnover", "commission", "tax", "slippage", "borrow_cost", "ambiguous_trades")
)


class Candidates:
    """All parameter sets of a space, in order.

    sets   one dict of values each; names   the names that vary; caller   what messages call the search
    """

    def __init__(
        self, cls: type[Strategy], space: Mapping[str, object], where: Callable[[Any], object] | None, *, caller: str
    ) -> None:
        if not isinstance(cls, type) or not issubclass(cls, Strategy):
            raise ConfigError(f"expected a Strategy class, as in {caller}(SmaCross, bars, ...), got {cls!r}")
        self.cls = cls
        of_policy = policy_names(cls, space, caller=caller)
        axes = tuple(Axis(name, tuple(_values(name, given))) for name, given in space.items())
        self.space = Space(cls, axes, of_policy, where, caller)
        self.names = self.space.names
        points = self.space.let_through(product(*(axis.values for axis in axes)))
        self.sets: list[dict[str, Any]] = [dict(zip(self.names, point, strict=True)) for point in points]
        if not self.sets:
            raise ConfigError(f"where leaves none of {self.space.size} parameter sets; loosen it or widen the ranges")
        for one in self.sets:
            self.made(one)

    def __len__(self) -> int:
        return len(self.sets)

    def made(self, one: Mapping[str, Any]) -> Chosen:
        """The strategy and the policy of a set."""
        own, changes = self.space.split(tuple(one[name] for name in self.names))
        return with_policy(self.cls(**own), changes)


def _values(name: str, given: Any) -> list[Any]:
    """The values of one name; a single value counts as a list of it."""
    if isinstance(given, str) or not hasattr(given, "__iter__"):
        return [given]
    values = list(given)
    if not values:
        raise ConfigError(f"{name} has no values to try: {given!r}")
    return values


@contextmanager
def pool_of(executor: Executor | None) -> Iterator[Executor]:
    """The executor, left open; or threads of our own, one a core."""
    if executor is not None:
        yield executor
        return
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        yield threads


def best_of(scores: Sequence[float], metric: str) -> int | None:
    """Place of the best score, the first of equal ones; None where none is a number."""
    sign = -1.0 if metric in LOWER_IS_BETTER else 1.0
    best: int | None = None
    for place, score in enumerate(scores):
        if not math.isnan(score) and (best is None or sign * score > sign * scores[best]):
            best = place
    return best


def plain_sets(sets: Iterable[Mapping[str, object]]) -> list[dict[str, object]]:
    """Values as JSON takes them."""
    return [{name: getattr(value, "item", lambda value=value: value)() for name, value in one.items()} for one in sets]


def stability_of(candidates: Candidates, found: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """How much chosen sets differ from one to the next: see `WalkForwardResult.stability`."""
    import pandas as pd

    rows = {}
    for name in candidates.names if found else ():
        chosen = [one[name] for one in found]
        tried = list({repr(one[name]): one[name] for one in candidates.sets}.values())
        common = max(dict.fromkeys(chosen), key=chosen.count)
        edges = list(pairwise(chosen))
        numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in tried)
        reach = float(max(tried) - min(tried)) if numbers else math.nan
        moved = [abs(float(b - a)) for a, b in edges] if numbers else []
        rows[name] = {
            "values": len({repr(value) for value in chosen}), "tried": len(tried), "most_common": common,
            "share": chosen.count(common) / len(chosen),
            "changes": sum(a != b for a, b in edges) / len(edges) if edges else math.nan,
            "step": float(np.mean(moved)) / reach if moved and reach > 0.0 else math.nan,
            "lowest": min(chosen) if numbers else None, "highest": max(chosen) if numbers else None,
        }  # fmt: skip
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("parameter")
