"""What a sweep found: a table, the best, pictures of the space, and how far to believe the best.

Contract: everything is computed when asked for; nothing here changes the runs. `rows` are figures in the order of
`tally.NAMES`, NaN where a run failed. "Better" is more of `metric`, or less of it with a "-" in front. The best of many
is better than it is: `stability` says whether its neighbours agree, `overfit` how likely choosing it was luck.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from quantkit.backtest.tally import NAMES
from quantkit.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd
    from matplotlib.figure import Figure

    from quantkit.backtest.result import Result
    from quantkit.core.state import Floats
    from quantkit.data.bars import Bars
    from quantkit.research.space import Point, Space
    from quantkit.research.work import Job
    from quantkit.strategy import Strategy

__all__ = ["SweepResult"]

SHOWN = ("total_return", "cagr", "sharpe", "max_drawdown", "trades")
ROOM = 256 << 20  # bytes of returns that `overfit` looks at


class SweepResult:
    """The runs of a sweep.

    strategy_class, bars, space, metric, search   what was asked for
    points, rows, errors   of each run: its values by `space.names`, its figures (R, F), its error or an empty text
    growth                 (R, T) worth of 1, with keep="equity"; else None
    settings               cash, start, end, costs, fill, limits, as given
    """

    def __init__(
        self, *, strategy_class: type[Strategy], bars: Bars, space: Space, metric: str, points: list[Point],
        rows: Floats, errors: list[str], growth: Floats | None, job: Job, search: str, settings: Mapping[str, Any],
    ) -> None:  # fmt: skip
        self.strategy_class, self.bars, self.space, self.metric = strategy_class, bars, space, metric
        self.points, self.rows, self.errors, self.growth = points, rows, errors, growth
        self.job, self.search, self.settings = job, search, settings

    def __len__(self) -> int:
        return len(self.points)

    # --- the table ------------------------------------------------------------------------------------------------

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row a run: its parameters, its figures, `status` ("done" or "failed") and `error`."""
        import pandas as pd

        columns: dict[str, Any] = {
            name: [point[place] for point in self.points] for place, name in enumerate(self.space.names)
        }
        columns |= {name: self.rows[:, place] for place, name in enumerate(NAMES)}
        columns["status"] = ["failed" if error else "done" for error in self.errors]
        columns["error"] = self.errors
        return pd.DataFrame(columns, index=pd.RangeIndex(len(self.points), name="run"))

    @property
    def failed(self) -> int:
        """Runs that raised."""
        return sum(bool(error) for error in self.errors)

    @property
    def scores(self) -> Floats:
        """(R,) the metric of each run, larger is better; NaN where it is not known."""
        values = self.rows[:, NAMES.index(self.metric.removeprefix("-"))]
        return -values if self.metric.startswith("-") else values

    @property
    def place_of_best(self) -> int | None:
        """Row of the best run, the first of equals; None where no run has a value."""
        scores = self.scores
        return None if not len(scores) or bool(np.isnan(scores).all()) else int(np.nanargmax(scores))

    def _best(self) -> int:
        place = self.place_of_best
        if place is None:
            error = next((error for error in self.errors if error), None)
            why = f"{self.failed} of {len(self)} failed: {error}" if error else f"{self.metric} is not defined in any"
            raise ConfigError(f"no run of this sweep has a {self.metric}: {why}")
        return place

    @property
    def best(self) -> dict[str, Any]:
        """Values of the best run, by name. ConfigError when no run has one."""
        return dict(zip(self.space.names, self.points[self._best()], strict=True))

    @property
    def best_strategy(self) -> Strategy:
        """The strategy of the best run; fields of the policy are not in it, see `backtest`."""
        return self.strategy_class(**self.space.split(self.points[self._best()])[0])

    def backtest(self, run: int | None = None, **arguments: Any) -> Result:
        """The whole `Result` of one run (its row; None: the best), under the settings of the sweep."""
        from dataclasses import replace

        from quantkit.backtest.run import backtest

        params, changed = self.space.split(self.points[self._best() if run is None else run])
        strategy = self.strategy_class(**params)
        policy = strategy.policy if self.job.policy is None else self.job.policy
        return backtest(strategy, self.bars, policy=replace(policy, **changed), **{**self.settings, **arguments})

    def top(self, count: int = 10) -> pd.DataFrame:
        """The best rows of `frame`, best first."""
        order = np.argsort(-self.scores, kind="stable")  # NaN last
        known = order[~np.isnan(self.scores[order])]
        return self.frame.iloc[known[:count]]

    @cached_property
    def equity(self) -> pd.DataFrame:
        """Money at each bar, one column a run. ConfigError unless the sweep was made with keep="equity"."""
        import pandas as pd

        if self.growth is None:
            raise ConfigError('this sweep kept figures only; sweep(..., keep="equity") keeps the equity of each run')
        first = self.job.runner.settings.first
        stamps = self.job.runner.seen.index[first:]
        cash = float(self.settings["cash"])
        return pd.DataFrame(self.growth.T * cash, index=stamps, columns=pd.RangeIndex(len(self), name="run"))

    # --- how far to believe it ------------------------------------------------------------------------------------

    def stability(self) -> pd.DataFrame:
        """How much the neighbours of each run agree, one row a run, best first.

        Neighbours are one step away on one or several axes (a step: to the next value listed; on axes without an order,
        the same value). Columns: the parameters, the metric, `neighbours` (how many), `mean` and `worst` of theirs,
        `drop` (own less their mean) and `rank` (of the mean among all: 1 is the best plateau). A best run whose
        neighbours are poor was luck; one on a plateau is worth looking at.
        """
        from quantkit.research.neighbours import stability_of

        return stability_of(self)

    def overfit(self, splits: int = 16) -> float:
        """Probability of backtest overfitting (CSCV): how often the best of one half of the time is below the middle
        in the other half; by chance 1/2. Runs are made again where their equity was not kept; of more than fit
        256 MiB, as many as do are taken, evenly spread over the runs from best to worst."""
        from quantkit.research.overfit import probability_of_backtest_overfitting

        return probability_of_backtest_overfitting(self.returns(), splits=splits)

    def returns(self) -> Floats:
        """(P, runs) return of each session of the runs that did not fail, made again where they were not kept."""
        from quantkit.backtest.figures import session_ends, session_returns

        good = np.flatnonzero([not error for error in self.errors])
        if len(good) < 2:
            raise ConfigError(f"this sweep has {len(good)} runs that did not fail; two or more can be compared")
        ends = session_ends(self.job.runner.days)
        most = max(2, ROOM // (8 * len(ends)))
        if len(good) > most:
            order = good[np.argsort(-self.scores[good], kind="stable")]
            good = np.sort(order[np.linspace(0, len(order) - 1, most).astype(np.int64)])
        out = np.empty((len(ends), len(good)))
        step = 64
        for start in range(0, len(good), step):
            part = good[start : start + step]
            growth = self.growth[part] if self.growth is not None else self._again(part)
            for column, values in enumerate(growth):
                out[:, start + column] = session_returns(values, ends)
        return out

    def _again(self, places: np.ndarray[Any, Any]) -> Floats:
        from dataclasses import replace

        return replace(self.job, growth=True).do([self.points[place] for place in places.tolist()]).growth

    # --- to look at -----------------------------------------------------------------------------------------------

    def heatmap(self, x: str | None = None, y: str | None = None, *, metric: str | None = None) -> Figure:
        """The metric over two parameters in colours; over all others the best is shown. With one axis, a line.

        x, y   names of axes; default: the first two that have several values
        """
        from quantkit.research.sweep_plots import heatmap

        return heatmap(self, x, y, metric or self.metric)

    def surface(self, x: str | None = None, y: str | None = None, *, metric: str | None = None) -> Figure:
        """The same as a surface in three dimensions."""
        from quantkit.research.sweep_plots import surface

        return surface(self, x, y, metric or self.metric)

    def report(self, path: str | Path) -> Path:
        """Write one self-contained HTML page, with the probability of overfitting where it can be computed."""
        from quantkit.errors import QuantkitError
        from quantkit.research.report import write_sweep

        try:
            chance: float | None = self.overfit()
        except QuantkitError:
            chance = None  # one run, or too few sessions: the page says nothing about it
        return write_sweep(self, path, overfitting=chance)

    def summary(self) -> str:
        """What was run, what failed, what came out best and whether its neighbours agree: a few lines."""
        from quantkit.backtest.wording import show

        lines = [f"{len(self):,} runs of {self.strategy_class.__name__} ({self.search})"]
        if self.failed:
            first = next(place for place, error in enumerate(self.errors) if error)
            lines.append(f"{self.failed:,} failed; the first: {self._named(first)}: {self.errors[first]}")
        place = self.place_of_best
        if place is None:
            return "\n".join([*lines, f"no run has a {self.metric}"])
        lines.append(f"best {self.metric}: {self._named(place)}")
        figures = dict(zip(NAMES, self.rows[place].tolist(), strict=True))
        shown = dict.fromkeys((self.metric.removeprefix("-"), *SHOWN))
        words = [f"{name} {show(name, figures[name], self.bars.currency)}" for name in shown]
        lines.append("  " + ", ".join(words))
        from quantkit.research.neighbours import around

        near = around(self, place)
        if near is not None:
            name = self.metric.removeprefix("-")
            lines.append(
                f"  its {near.runs} neighbours: {show(name, near.mean, self.bars.currency)} on average, "
                f"{show(name, near.worst, self.bars.currency)} at worst"
            )
        return "\n".join(lines)

    def _named(self, place: int) -> str:
        return " ".join(f"{name}={value}" for name, value in zip(self.space.names, self.points[place], strict=True))

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        import html

        names = [*self.space.names, *dict.fromkeys((self.metric.removeprefix("-"), *SHOWN))]
        table = self.top(10)[names].to_html(float_format=lambda value: f"{value:,.4g}", border=0)
        return f"<pre>{html.escape(self.summary())}</pre>{table}"
