"""Whether the runs around a run agree with it.

Contract: pure. Neighbours of a point differ from it by at most one step on every axis that has an order (a step: to the
next value that was listed, or drawn by any run) and have the same value on the others. Called by `SweepResult`.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from quantkit.backtest.tally import NAMES

if TYPE_CHECKING:
    import pandas as pd

    from quantkit.core.state import Floats
    from quantkit.research.sweep_result import SweepResult

MOST_AXES = 6  # axes whose steps are combined; beyond, neighbours differ on one axis


class Near(NamedTuple):
    """What the neighbours of a run have."""

    runs: int
    mean: float
    worst: float


def around(result: SweepResult, place: int) -> Near | None:
    """The neighbours of one run; None where it has none."""
    near = _Grid(result).near(place)
    return near if near.runs else None


def stability_of(result: SweepResult) -> pd.DataFrame:
    """See `SweepResult.stability`."""
    import pandas as pd

    grid = _Grid(result)
    found = [grid.near(place) for place in range(len(result))]
    own = grid.values
    frame = result.frame[list(result.space.names)].copy()
    frame[result.metric.removeprefix("-")] = own
    frame["neighbours"] = [near.runs for near in found]
    frame["mean"] = [near.mean for near in found]
    frame["worst"] = [near.worst for near in found]
    frame["drop"] = (own - frame["mean"].to_numpy()) * grid.sign
    frame["rank"] = pd.Series(frame["mean"].to_numpy() * grid.sign).rank(ascending=False, method="min").to_numpy()
    order = np.argsort(-result.scores, kind="stable")
    return frame.iloc[order]


class _Grid:
    """Runs by the places of their values on the axes."""

    def __init__(self, result: SweepResult) -> None:
        self.sign = -1.0 if result.metric.startswith("-") else 1.0
        self.values: Floats = result.rows[:, NAMES.index(result.metric.removeprefix("-"))]
        codes = []
        steps = []
        for place, axis in enumerate(result.space.axes):
            listed = [point[place] for point in result.points]
            ordered = sorted(set(listed)) if axis.numeric else list(dict.fromkeys(listed))
            number = {value: k for k, value in enumerate(ordered)}
            codes.append([number[value] for value in listed])
            steps.append((-1, 0, 1) if axis.numeric and len(ordered) > 1 else (0,))
        self.codes = list(zip(*codes, strict=True))
        self.places = {code: place for place, code in enumerate(self.codes)}
        if len(steps) <= MOST_AXES:
            self.steps = [step for step in itertools.product(*steps) if any(step)]
        else:
            self.steps = [
                tuple(move if k == axis else 0 for k in range(len(steps)))
                for axis, moves in enumerate(steps) for move in moves if move
            ]  # fmt: skip

    def near(self, place: int) -> Near:
        """The neighbours of a run that have a value."""
        code = self.codes[place]
        found = (self.places.get(tuple(map(int.__add__, code, step))) for step in self.steps)
        values = self.values[[other for other in found if other is not None]]
        values = values[~np.isnan(values)]
        if not len(values):
            return Near(0, float("nan"), float("nan"))
        worst = float((values * self.sign).min()) * self.sign
        return Near(len(values), float(values.mean()), worst)
