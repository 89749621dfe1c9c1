"""Cross-validation over parameters: is what is best on some of the time still good on the rest?

    1. run every parameter set over all bars once                        trial.Runner, threads
    2. each split: the best set on the training sessions, judged on the tested ones, beside all the others
    3. combinatorial splits: the tests put together make whole histories, each traded by sets chosen without it

Contract: a set's returns over a stretch are those of one run over all bars, so positions held into the stretch count;
`embargo` sessions around each test are left out of training. Metrics are of returns; they are undefined (NaN) for a set
that never moves. Only figures are kept of each set, never a (T x sets) matrix; those chosen are run once more.

M. Lopez de Prado, Advances in Financial Machine Learning (2018), chapter 12.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from quantkit.backtest import metrics
from quantkit.backtest.figures import session_ends, session_returns
from quantkit.errors import BadData, ConfigError
from quantkit.progress import Shown, shown
from quantkit.research.candidates import LOWER_IS_BETTER, Candidates, best_of, plain_sets, pool_of, stability_of
from quantkit.research.splits import CombinatorialPurgedCV, PurgedKFold
from quantkit.research.trial import Runner

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Executor

    import pandas as pd
    from numpy.typing import NDArray

    from quantkit.data.bars import Bars
    from quantkit.research.stitching import Chosen
    from quantkit.strategy import Strategy

    Floats = NDArray[np.float64]
    Split = tuple[NDArray[np.int64], NDArray[np.int64]]

__all__ = ["CrossValidation", "cross_validate"]

METRICS = ("sharpe", "sortino", "total_return", "volatility", "max_drawdown")


def cross_validate(
    strategy: type[Strategy],
    bars: Bars,
    *,
    cv: PurgedKFold | CombinatorialPurgedCV | None = None,
    metric: str = "sharpe",
    where: Callable[[Any], object] | None = None,
    executor: Executor | None = None,
    progress: Shown = True,
    start: object = None,
    end: object = None,
    cash: float = 100_000_000,
    costs: Any = None,
    fill: str = "next_open",
    limits: Any = None,
    **space: object,
) -> CrossValidation:
    """Choose among parameter sets on the training sessions of each split, and judge the choice on the tested ones.

    cv      splits of the sessions. Default: `CombinatorialPurgedCV(6, 2, span=1, embargo=5)`: 15 splits, 5 histories
    metric  "sharpe", "sortino", "total_return", "volatility" or "max_drawdown"
    space   values to try of the strategy's parameters, or of fields of its Policy

    The other arguments are those of `walk_forward`. ConfigError for a space, a metric or splits that cannot be.
    """
    if metric not in METRICS:
        raise ConfigError(f"metric={metric!r}: cross-validation compares {', '.join(METRICS)}")
    candidates = Candidates(strategy, space, where, caller="cross_validate")
    cv = CombinatorialPurgedCV(6, 2, span=1, embargo=5) if cv is None else cv
    runner = Runner(bars, start=start, end=end, cash=cash, costs=costs, fill=fill, limits=limits)
    ends = session_ends(runner.days)
    splits = list(cv.split(ends))
    made, periods = [candidates.made(one) for one in candidates.sets], metrics.periods_per_year(bars.freq)
    scores = np.full((len(made), len(splits), 2), np.nan)
    errors: list[str] = []
    with pool_of(executor) as workers, shown(progress, f"cross-validation of {strategy.__name__}") as tell:
        tasks = [workers.submit(_judged, runner, one, ends, splits, metric, periods) for one in made]
        for number, task in enumerate(tasks):
            found = task.result()
            if isinstance(found, str):
                errors.append(found)
            else:
                scores[number] = found
            tell(number + 1, len(tasks))
    if len(errors) == len(made):
        raise BadData(f"cross_validate: every parameter set failed; the first: {errors[0]}")
    return CrossValidation(candidates, runner, cv, splits, scores, metric, errors)


def _judged(
    runner: Runner, one: Chosen, ends: NDArray[np.int64], splits: Sequence[Split], metric: str, periods: float
) -> Floats | str:
    """(splits, 2) of one set: the metric over training and over tested sessions; what it raised."""
    try:
        returns = session_returns(runner.run(one.strategy, one.policy).growth, ends)
    except Exception as error:  # noqa: BLE001 - a set that fails is counted; the others go on
        return f"{one.strategy!r}: {type(error).__name__}: {error}"
    return np.array([[score(returns[rows], metric, periods) for rows in split] for split in splits])


def score(returns: Floats, metric: str, periods: float) -> float:
    """A metric of returns; NaN for returns that never move."""
    if not returns.any():
        return math.nan
    if metric == "sharpe":
        return metrics.sharpe(returns, periods=periods)
    if metric == "sortino":
        return metrics.sortino(returns, periods=periods)
    if metric == "volatility":
        return metrics.volatility(returns, periods=periods)
    growth = np.asarray(np.cumprod(1.0 + returns), np.float64)
    return float(growth[-1] - 1.0) if metric == "total_return" else float(metrics.drawdowns(growth).min())


class CrossValidation:
    """What each split chose and how it did.

    splits   (train, test) sessions of each; scores (sets, splits, 2) in and out of sample; failed: sets that raised
    """

    def __init__(
        self, candidates: Candidates, runner: Runner, cv: PurgedKFold | CombinatorialPurgedCV,
        splits: Sequence[Split], scores: Floats, metric: str, errors: Sequence[str],
    ) -> None:  # fmt: skip
        self.candidates, self.cv, self.splits, self.scores = candidates, cv, tuple(splits), scores
        self.metric, self.errors = metric, tuple(errors)
        self._runner = runner
        self.chosen = [best_of(scores[:, number, 0].tolist(), metric) for number in range(len(splits))]

    @property
    def failed(self) -> int:
        """Parameter sets that raised."""
        return len(self.errors)

    @property
    def folds(self) -> pd.DataFrame:
        """One row a split: what was chosen, the metric in and out of sample, and `rank`, the part of the other sets
        that did worse out of sample (0.5 is what chance gives); `mark` where nothing could be chosen or judged."""
        import pandas as pd

        rows = []
        for number, (split, best) in enumerate(zip(self.splits, self.chosen, strict=True)):
            inside, outside = (math.nan, math.nan) if best is None else self.scores[best, number]
            mark = "no figure in sample" if best is None else "no trades" if math.isnan(outside) else ""
            values = plain_sets([self.candidates.sets[best]])[0] if best is not None else {}
            rows.append({
                "train_sessions": len(split[0]), "test_sessions": len(split[1]), "parameters": values,
                **{name: values.get(name) for name in self.candidates.names},
                "in_sample": inside, "out_of_sample": outside, "rank": self._rank(best, number), "mark": mark,
            })  # fmt: skip
        return pd.DataFrame(rows)

    def _rank(self, best: int | None, number: int) -> float:
        """Part of the other sets that did worse than the chosen one on the tested sessions; ties count half."""
        if best is None or math.isnan(self.scores[best, number, 1]):
            return math.nan
        others = np.delete(self.scores[:, number, 1], best)
        others, own = others[np.isfinite(others)], self.scores[best, number, 1]
        if not len(others):
            return math.nan
        sign = -1.0 if self.metric in LOWER_IS_BETTER else 1.0
        return float((np.sum(sign * others < sign * own) + 0.5 * np.sum(others == own)) / len(others))

    @property
    def overfit(self) -> float:
        """Part of the splits whose choice did worse out of sample than the middle of all: about a half by chance."""
        ranks = self.folds["rank"].to_numpy(np.float64)
        known = ranks[np.isfinite(ranks)]
        return float((known < 0.5).mean()) if len(known) else math.nan

    def stability(self) -> pd.DataFrame:
        """How much the chosen values differ between splits, as `WalkForwardResult.stability`."""
        chosen = [self.candidates.sets[best] for best in self.chosen if best is not None]
        return stability_of(self.candidates, chosen)

    @property
    def paths(self) -> pd.DataFrame:
        """Growth of 1 over every whole history, one column a path: each session traded by the set that its split chose
        without it. One path for `PurgedKFold`; sessions whose split chose nothing stand still."""
        import pandas as pd

        table = self.cv.path_splits() if isinstance(self.cv, CombinatorialPurgedCV) else None
        days = self._runner.days
        ends = session_ends(days)
        returns = {
            best: session_returns(self._runner.run(one.strategy, one.policy).growth, ends)
            for best in sorted({best for best in self.chosen if best is not None})
            for one in [self.candidates.made(self.candidates.sets[best])]
        }
        count = 1 if table is None else len(table)
        found = np.zeros((len(ends), count))
        for number, (_, tested) in enumerate(self.splits):
            best = self.chosen[number]
            if best is None:
                continue
            for path in range(count):
                rows = tested if table is None else tested[table[path, self._groups(len(ends))[tested]] == number]
                found[rows, path] = returns[best][rows]
        index = pd.DatetimeIndex(days[ends].astype("datetime64[D]").astype("datetime64[us]"), tz="Asia/Seoul")
        return pd.DataFrame(np.cumprod(1.0 + found, axis=0), index=index, columns=pd.RangeIndex(count, name="path"))

    def _groups(self, rows: int) -> NDArray[np.int64]:
        assert isinstance(self.cv, CombinatorialPurgedCV)
        return self.cv.groups_of(rows)

    def __repr__(self) -> str:
        sets, splits = len(self.candidates), len(self.splits)
        name = self.candidates.cls.__name__
        return f"<CrossValidation {name}: {sets} sets, {splits} splits, overfit {self.overfit:.0%}>"
