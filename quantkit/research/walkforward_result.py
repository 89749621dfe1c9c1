"""What a walk-forward found: windows, one equity curve, how stable the parameters were.

Contract: `result` is a `Result` like any other, of one account over all test windows; `windows` says what each chose
and how it did inside that account. Figures of a window are those of the account from the close before it; pictures and
the page are made when asked for.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from quantkit.backtest import metrics
from quantkit.backtest.figures import calendar_years, session_ends, session_returns
from quantkit.plain import plain
from quantkit.research.candidates import LOWER_IS_BETTER, plain_sets, stability_of
from quantkit.research.trial import Runner

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd
    from matplotlib.figure import Figure

    from quantkit.backtest.result import Result
    from quantkit.data.bars import Bars
    from quantkit.research.candidates import Candidates
    from quantkit.research.walkforward import Choice
    from quantkit.research.windows import Window

__all__ = ["WalkForwardResult"]

NO_TRADES, NO_SCORE, SHORT = "no trades", "no in-sample figure", "short"


class WalkForwardResult:
    """The out-of-sample run of a walk-forward.

    result     the stitched account, a `Result`: fills, trades, positions, report
    bars       all bars that were given, those before the first test window too
    settings   train, test, anchored, metric, embargo, and the windows: the manifest has them as `walk_forward`
    log_number the row of the run log, None where nothing is logged
    """

    def __init__(
        self,
        result: Result,
        *,
        bars: Bars,
        windows: Sequence[Window],
        choices: Sequence[Choice],
        candidates: Candidates,
        settings: dict[str, Any],
        terms: dict[str, Any],
    ) -> None:
        self.result, self.bars, self.settings = result, bars, settings
        self.places, self.choices, self.candidates = tuple(windows), tuple(choices), candidates
        self.terms = terms
        self.log_number: int | None = None

    @property
    def metric(self) -> str:
        """The figure that parameters were chosen by."""
        return str(self.settings["metric"])

    @property
    def strategy_class(self) -> type[Any]:
        """The class that was walked."""
        return self.candidates.cls

    @property
    def equity(self) -> pd.Series[float]:
        """Equity of the one account over all test windows."""
        return self.result.equity

    @property
    def stats(self) -> pd.Series[float]:
        """Figures of the one account, and `efficiency`: the mean of what windows made out of sample over the mean of
        what their parameters had made in sample, by the metric."""
        stats = self.result.stats.copy()
        stats["windows"] = float(len(self.places))
        stats["efficiency"] = self.efficiency
        return stats

    @cached_property
    def efficiency(self) -> float:
        """Mean out-of-sample metric over the mean in-sample one; NaN unless the latter is above 0."""
        pairs = [
            (choice.score, found)
            for choice, found in zip(self.choices, self._scores, strict=True)
            if not math.isnan(choice.score) and not math.isnan(found)
        ]
        inside = float(np.mean([pair[0] for pair in pairs])) if pairs else math.nan
        return float(np.mean([pair[1] for pair in pairs])) / inside if inside > 0.0 else math.nan

    @cached_property
    def windows(self) -> pd.DataFrame:
        """One row a window.

        train_start, train_end, test_start, test_end   first and last bars
        parameters and a column for each   what was chosen
        in_sample, median_in_sample   the metric of the chosen and of the middle parameter set over the training bars
        out_of_sample   the metric over the test bars; total_return, sharpe, max_drawdown, fills of the same bars
        sets, failed    parameter sets that ran, and those of them that raised; `error` of the first
        mark            "no trades", "no in-sample figure" (the parameters of the window before), "short"; or empty
        """
        import pandas as pd

        index = self.bars.index
        rows = []
        for number, (window, choice) in enumerate(zip(self.places, self.choices, strict=True)):
            figures = self._figures[number]
            rows.append({
                "train_start": index[window.train], "train_end": index[window.train_stop - 1],
                "test_start": index[window.test], "test_end": index[window.stop - 1],
                "parameters": plain_sets([choice.parameters])[0], **choice.parameters,
                "in_sample": choice.score, "median_in_sample": choice.median, "out_of_sample": self._scores[number],
                **{name: figures[name] for name in ("total_return", "sharpe", "max_drawdown")},
                "fills": int(figures["fills"]), "sets": choice.sets, "failed": choice.failed, "error": choice.error,
                "mark": ", ".join(self._marks(number)),
            })  # fmt: skip
        return pd.DataFrame(rows)

    def _marks(self, number: int) -> list[str]:
        found = [] if self._figures[number]["fills"] else [NO_TRADES]
        if math.isnan(self.choices[number].score):
            found.append(NO_SCORE)
        sizes = [window.stop - window.test for window in self.places]
        if number == len(sizes) - 1 and number and sizes[-1] < 0.9 * min(sizes[:-1]):
            found.append(SHORT)
        return found

    @cached_property
    def _figures(self) -> list[dict[str, float]]:
        """Figures of the account over each window's rows."""
        result, first = self.result, self.places[0].test
        growth, days, fills = result.growth, result.bars.days, result.run.fills["bar"]
        found = []
        for window in self.places:
            begin, stop = window.test - first, window.stop - first
            before = growth[begin - 1] if begin else 1.0
            own = growth[begin:stop] / before if before > 0.0 else np.ones(stop - begin)
            returns = session_returns(own, session_ends(days[begin:stop]))
            total = float(own[-1]) - 1.0
            rate = metrics.compound_rate(total, calendar_years(days[begin:stop]))
            deepest = float(metrics.drawdowns(own).min())
            found.append({
                "total_return": total, "cagr": rate, "max_drawdown": deepest,
                "volatility": metrics.volatility(returns, periods=result.periods),
                "sharpe": metrics.sharpe(returns, periods=result.periods),
                "sortino": metrics.sortino(returns, periods=result.periods),
                "calmar": metrics.calmar(rate, deepest),
                "fills": float(np.count_nonzero((fills >= begin) & (fills < stop))),
            })  # fmt: skip
        return found

    @cached_property
    def _scores(self) -> list[float]:
        """The metric of each window out of sample: of the account where it is one of returns, else of a run of its
        own over the window's bars."""
        if self.metric in self._figures[0]:
            return [figures[self.metric] for figures in self._figures]
        scores = []
        for window, choice in zip(self.places, self.choices, strict=True):
            seen, made = self.bars.slice(0, window.stop), self.candidates.made(choice.parameters)
            runner = Runner(seen, start=np.datetime64(int(seen.days[window.test]), "D"), **self.terms)
            scores.append(runner.run(made.strategy, made.policy).figures[self.metric])
        return scores

    def stability(self) -> pd.DataFrame:
        """How much the chosen values moved: one row a parameter.

        values      different values chosen, of `tried` that were tried
        most_common, share   the value chosen most often, and in which part of the windows
        changes     windows whose value is not that of the window before, as a part of the edges
        step        mean distance between neighbouring windows over the range that was tried: 0 never moves, values
                    drawn at random from an even grid give about 1/3; NaN for what is no number
        lowest, highest   of the chosen values
        """
        return stability_of(self.candidates, [choice.parameters for choice in self.choices])

    @property
    def beaten(self) -> float:
        """Part of the windows that did out of sample at least what the middle parameter set did in sample."""
        sign = -1.0 if self.metric in LOWER_IS_BETTER else 1.0
        pairs = [(c.median, s) for c, s in zip(self.choices, self._scores, strict=True) if not math.isnan(c.median + s)]
        return float(np.mean([sign * s >= sign * m for m, s in pairs])) if pairs else math.nan

    def to_dict(self) -> dict[str, Any]:
        """Figures, windows and settings as plain values for JSON."""
        return {
            "strategy": self.strategy_class.__name__,
            **{name: value for name, value in self.settings.items() if name != "windows"},
            "stats": {name: value if math.isfinite(value) else None for name, value in self.stats.items()},
            "windows": [
                {name: plain(value) for name, value in row.items() if name not in self.candidates.names}
                for row in self.windows.to_dict("records")
            ],
            "stability": {
                str(name): {column: plain(value) for column, value in row.items()}
                for name, row in self.stability().to_dict("index").items()
            },
            "warnings": self.result.warnings,
            "manifest": self.result.manifest,
        }

    def plot(self) -> Figure:
        """A matplotlib figure: equity with the windows' edges, chosen parameters, in sample beside out of sample."""
        from quantkit.research.walkforward_views import draw

        return draw(self)

    def report(self, path: str | Path) -> Path:
        """Write one self-contained HTML page: the windows, their parameters, and the tear sheet of the account."""
        from quantkit.research.report import write_walk_forward
        from quantkit.research.walkforward_views import cautions

        return write_walk_forward(self, path, cautions(self))

    def summary(self) -> str:
        """What happened, window by window, as text."""
        from quantkit.research.walkforward_views import summary_text

        return summary_text(self)

    def __repr__(self) -> str:
        first, last = self.result.span
        figures, count = self.result.figures, len(self.places)
        return (
            f"<WalkForwardResult {self.strategy_class.__name__} {first}..{last}: {count} window{'s' * (count > 1)}, "
            f"{figures['total_return']:+.1%}, sharpe {figures['sharpe']:.2f}>"
        )
