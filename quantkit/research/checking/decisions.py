"""What a strategy decides on given bars, as named columns, and where two such answers differ.

Contract: columns are (T, N) arrays: `targets` (or, of a rule with memory, each `signals['name']` that `prepare` gives),
`rank` and `member` where the strategy has them. Cells are compared as they stand, whether the account would have acted
on them or not. NaN equals NaN. Numbers that agree to `NOISE` of the column's usual size are equal: a sum over fewer
rows may round differently, and nobody trades on that.
Called by `probes`.
"""

from __future__ import annotations

import copy
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from quantkit.backtest.universe import in_universe
from quantkit.strategy import Strategy
from quantkit.strategy.blocks import history_of
from quantkit.strategy.fitting import evaluate_blocks, models_of, takes_model
from quantkit.strategy.rules import signals_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from quantkit.data.bars import Bars

    Array = NDArray[Any]
    Columns = dict[str, Array]

NOISE = 1e-9


class Gap(NamedTuple):
    """Where one column differs between the whole and a probe of it."""

    rows: NDArray[np.int64]  # rows with a difference, counted in the whole, increasing
    names: NDArray[np.int64]  # columns with one
    cells: int
    row: int  # the first cell that differs, and what stood there
    name: int
    was: float
    now: float
    emptied: bool  # every differing cell is NaN or False in the probe
    whole: bool  # of every name that differs, one side has no decision at all: NaN, False or 0 throughout


class Copies:
    """Fresh instances of a strategy, as it was given: what one keeps on itself, another does not see."""

    def __init__(self, strategy: Strategy) -> None:
        self._class = type(strategy)
        self._plain = strategy.params
        self._extra = {name: value for name, value in strategy.__dict__.items() if name not in self._plain}

    def new(self) -> Strategy:
        """Another one."""
        made = object.__new__(self._class)
        made.__dict__.update(self._plain)
        for name, value in self._extra.items():
            try:
                made.__dict__[name] = copy.deepcopy(value)
            except (TypeError, ValueError, AttributeError):  # a lock, a module: cannot be copied, so it is shared
                made.__dict__[name] = value
        return made


def decide(strategy: Strategy, bars: Bars, *, narrowed: bool, quiet: bool = True) -> Columns:
    """The decisions of every bar. narrowed: the bars' members are given data, and the universe is not asked again.

    quiet: warnings are not shown (a short or altered panel may cause some that the whole does not).
    """
    with warnings.catch_warnings(), np.errstate(**({"all": "ignore"} if quiet else {})):  # type: ignore[arg-type]
        if quiet:
            warnings.simplefilter("ignore")
        return _decide(strategy, bars, narrowed=narrowed)


def _decide(strategy: Strategy, bars: Bars, *, narrowed: bool) -> Columns:
    found: Columns = {}
    seen = bars
    if strategy.universe is not None and not narrowed:
        seen = in_universe(bars, strategy)
        if not isinstance(strategy.universe, list | tuple):
            found["member"] = seen.member
    models = models_of(strategy, seen.times, seen.days)
    if strategy.is_rule:
        found |= {f"signals[{name!r}]": values for name, values in signals_of(strategy, seen, models=models).items()}
    else:
        targets = strategy.evaluate(seen, allow_empty=True, models=models)
        if models is None or models.begins(seen) < len(seen):  # without a model yet there are no decisions
            found["targets"] = targets
    if type(strategy).rank is not Strategy.rank:
        history = history_of(strategy, intraday=bars.intraday)
        ranks = evaluate_blocks(
            partial(_ranks, strategy), seen, history, owner=f"{strategy!r}.rank",
            models=models if takes_model(type(strategy).rank) else None,
        )  # fmt: skip
        if ranks is not None:
            found["rank"] = ranks
    return found


def _ranks(strategy: Strategy, bars: Bars, *model: object) -> Array | None:
    values = strategy.rank(bars, *model)
    return None if values is None else np.ascontiguousarray(values, np.float64)


def usual_size(values: Array) -> float:
    """Magnitude of a column: the median of what is not 0, 1 for yes-or-no columns and empty ones."""
    if values.dtype.kind != "f":
        return 1.0
    size = np.abs(values[np.isfinite(values) & (values != 0.0)])
    return float(np.median(size)) if len(size) else 1.0


def differing(was: Array, now: Array, *, size: float = 1.0, noise: float = NOISE) -> NDArray[np.bool_]:
    """(T, N) where two answers of one shape are not the same."""
    if was.dtype.kind != "f" and now.dtype.kind != "f":
        return np.asarray(was != now, np.bool_)
    left, right = was.astype(np.float64, copy=False), now.astype(np.float64, copy=False)
    unequal = left != right
    if not unequal.any():
        return np.asarray(unequal, np.bool_)
    unequal &= ~(np.isnan(left) & np.isnan(right))
    with np.errstate(invalid="ignore"):
        near = np.abs(left - right) <= noise * np.maximum(np.maximum(np.abs(left), np.abs(right)), size)
    return np.asarray(unequal & ~near, np.bool_)


def gap_between(
    was: Array, now: Array, *, size: float = 1.0, offset: int = 0, names: NDArray[np.int64] | None = None
) -> Gap | None:
    """Where `now` differs from `was`; None where they agree. offset: row of the whole at which both begin.

    names: the columns of the whole that both show, where they do not show all.
    """
    if was.dtype == now.dtype and was.tobytes() == now.tobytes():
        return None
    apart = differing(was, now, size=size)
    if not apart.any():
        return None
    rows = np.flatnonzero(apart.any(axis=1))
    row = int(rows[0])
    name = int(np.argmax(apart[row]))
    columns = np.flatnonzero(apart.any(axis=0))
    said = [_decided(side[:, columns]).any(axis=0) for side in (was, now)]
    return Gap(
        rows=rows + offset,
        names=columns if names is None else names[columns],
        cells=int(apart.sum()),
        row=row + offset,
        name=name if names is None else int(names[name]),
        was=float(was[row, name]),
        now=float(now[row, name]),
        emptied=not _decided(now[apart]).any(),
        whole=not (said[0] & said[1]).any(),
    )


def _decided(values: Array) -> NDArray[np.bool_]:
    """Cells that hold a value other than 0, False and NaN."""
    return np.asarray((values == values) & (values != 0), np.bool_)
