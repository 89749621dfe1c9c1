"""Which points of a space are run: all, some at random, or those that earlier runs make promising.

    grid       every point that `where` lets through
    random     `runs` different points, each as likely as any other
    adaptive   Optuna's tree of Parzen estimators [1], asked for a few points at a time and told how they did

Contract: a search is a generator: it yields lists of new points and is sent, for each list, the value of each point
(larger is better, NaN: failed). The same seed and the same answers give the same points on every machine, whatever runs
them, so that a sweep that was killed goes on where it was.

[1] Bergstra, Bardenet, Bengio, Kégl, "Algorithms for Hyper-Parameter Optimization", NIPS 2011.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from quantkit.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Generator

    from quantkit.research.space import Axis, Point, Space

    Search = Generator[list[Point], list[float], None]

SEARCHES = ("grid", "random", "adaptive")
RUNS = 100  # of a search that is not told how many
LISTED = 200_000  # points of a space that random draws are made from a list of
TOGETHER = 8  # points that an adaptive search is asked for at once
PATIENCE = 50  # draws in a row that give nothing new before a search ends


def search_of(kind: str, space: Space, *, runs: int | None, seed: int) -> tuple[Search, int]:
    """A search and how many points it will give at most. ConfigError for a kind that is none."""
    if kind not in SEARCHES:
        raise ConfigError(f"sweep(search={kind!r}): choose one of {', '.join(SEARCHES)}")
    if runs is not None and (isinstance(runs, bool) or not isinstance(runs, int) or runs < 1):
        raise ConfigError(f"sweep(runs={runs!r}): expected a whole number, 1 or more")
    if kind == "grid":
        points = space.grid()
        if runs is not None and runs < len(points):
            raise ConfigError(
                f"sweep(runs={runs}): the grid has {len(points):,} points; search='random' takes a part of it"
            )
        return _all_of(points), len(points)
    wanted = RUNS if runs is None else runs
    if kind == "random":
        points = _drawn(space, wanted, np.random.default_rng(seed))
        return _all_of(points), len(points)
    size = space.size
    return _adaptive(space, wanted, seed), wanted if size is None else min(wanted, size)


def _all_of(points: list[Point]) -> Search:
    yield points


def _drawn(space: Space, runs: int, random: np.random.Generator) -> list[Point]:
    """Different points, at random; fewer where there are fewer."""
    size = space.size
    if size is not None and size <= LISTED:
        grid = space.grid()
        chosen = random.permutation(len(grid))[:runs]
        return [grid[place] for place in chosen.tolist()]
    found: dict[Point, None] = {}
    missed = 0
    while len(found) < runs and missed < PATIENCE * runs:
        point = tuple(_draw(axis, random) for axis in space.axes)
        if point in found or not space.allows(point):
            missed += 1
        else:
            found[point] = None
    if not found:
        raise ConfigError(f"sweep: `where` let none of {missed:,} random points through")
    return list(found)


def _draw(axis: Axis, random: np.random.Generator) -> Any:
    if axis.drawn:
        return float(random.uniform(axis.low, axis.high))
    return axis.values[int(random.integers(len(axis.values)))]


def _adaptive(space: Space, runs: int, seed: int) -> Search:
    """Ask, run, tell; points that `where` refuses or that were run already are told at once and do not count."""
    try:
        import optuna
    except ImportError:
        raise ConfigError(
            "sweep(search='adaptive') needs Optuna: pip install 'quantkit[optuna]', or search='random'"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=max(10, min(40, runs // 4)))
    study = optuna.create_study(direction="maximize", sampler=sampler)
    known: dict[Point, float] = {}
    missed = 0
    while len(known) < runs and missed < PATIENCE * TOGETHER:
        asked: list[tuple[Any, Point]] = []
        while len(asked) < min(TOGETHER, runs - len(known)) and missed < PATIENCE * TOGETHER:
            trial = study.ask()
            point = tuple(_suggest(trial, axis) for axis in space.axes)
            if point in known:
                missed += 1
                _tell(study, trial, known[point])
            elif any(point == other for _, other in asked) or not space.allows(point):
                missed += 1
                _tell(study, trial, float("nan"))
            else:
                asked.append((trial, point))
        if not asked:
            break
        values = yield [point for _, point in asked]
        missed = 0
        for (trial, point), value in zip(asked, values, strict=True):
            known[point] = value
            _tell(study, trial, value)
    if not known:
        raise ConfigError(f"sweep: `where` let none of {missed:,} points through")


def _tell(study: Any, trial: Any, value: float) -> None:
    from optuna.trial import TrialState

    if value == value:
        study.tell(trial, value)
    else:
        study.tell(trial, state=TrialState.FAIL)


def _suggest(trial: Any, axis: Axis) -> Any:
    """A value of an axis; numbers by their place in order, so that near ones count as near."""
    if axis.drawn:
        return trial.suggest_float(axis.name, axis.low, axis.high)
    if axis.numeric and len(axis.values) > 1:
        ordered = sorted(axis.values)
        return ordered[trial.suggest_int(axis.name, 0, len(ordered) - 1)]
    place = trial.suggest_categorical(axis.name, list(range(len(axis.values))))
    return axis.values[place]
