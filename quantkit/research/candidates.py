"""Parameter sets that a window chooses among, and how one is better than another.

Contract: a name of the space that is a parameter of the strategy varies it; else one that is a field of `Policy` varies
the policy's; else ConfigError names both kinds. The sets are in the order of the keywords, the last one fastest. A set
that the strategy refuses (`fast` above its highest) is an error before anything runs, not a row without a figure.
"""

from __future__ import annotations

import math
from dataclasses import fields
from itertools import pairwise, product
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from quantkit.errors import ConfigError
from quantkit.research.stitching import Chosen, with_policy
from quantkit.strategy import Strategy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import pandas as pd

__all__ = ["LOWER_IS_BETTER", "Candidates", "best_of", "plain_sets", "stability_of"]

LOWER_IS_BETTER = frozenset(
    ("volatility", "max_drawdown_days", "turnover", "commission", "tax", "slippage", "borrow_cost", "ambiguous_trades")
)


class Candidates:
    """All parameter sets of a space, in order.

    sets   one dict of values each; names   the names that vary
    """

    def __init__(
        self, cls: type[Strategy], space: Mapping[str, object], where: Callable[[Any], object] | None = None
    ) -> None:
        if not isinstance(cls, type) or not issubclass(cls, Strategy):
            raise ConfigError(f"expected a Strategy class, as in walk_forward(SmaCross, bars, ...), got {cls!r}")
        self.cls = cls
        own = cls.parameters()
        self.policy_fields = _policy_fields(own, space, cls)
        values = {name: _values(name, given) for name, given in space.items()}
        self.names = tuple(values)
        everything: list[dict[str, Any]] = [dict(zip(values, one, strict=True)) for one in product(*values.values())]
        defaults = {name: one.default for name, one in own.items()}
        self.sets = [one for one in everything if where is None or where(SimpleNamespace(**defaults | one))]
        if not self.sets:
            raise ConfigError(f"where leaves none of {len(everything)} parameter sets; loosen it or widen the ranges")
        for one in self.sets:
            self.made(one)

    def __len__(self) -> int:
        return len(self.sets)

    def made(self, one: Mapping[str, Any]) -> Chosen:
        """The strategy and the policy of a set."""
        changes = {name: one[name] for name in self.policy_fields}
        return with_policy(self.cls(**{name: one[name] for name in one if name not in changes}), changes)


def _policy_fields(own: Mapping[str, object], space: Mapping[str, object], cls: type[Strategy]) -> tuple[str, ...]:
    from quantkit.core.policy import Policy

    known = {field.name for field in fields(Policy)}
    for name in space:
        if name not in own and name not in known:
            raise ConfigError(
                f"{name!r} is neither a parameter of {cls.__name__} ({', '.join(own) or 'it has none'}) nor a field of "
                f"Policy ({', '.join(sorted(known))})"
            )
    return tuple(name for name in space if name not in own)


def _values(name: str, given: Any) -> list[Any]:
    """The values of one name; a single value counts as a list of it."""
    if isinstance(given, str) or not hasattr(given, "__iter__"):
        return [given]
    values = list(given)
    if not values:
        raise ConfigError(f"{name} has no values to try: {given!r}")
    return values


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
