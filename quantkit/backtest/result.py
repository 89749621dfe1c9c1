"""The result of a run: figures, tables, pictures, a page.

Contract: everything is computed when first asked for and kept; nothing here changes the run. Money and prices are in
won (dollars for US names), times are the bars' index in Asia/Seoul. Figures come from NumPy arrays; DataFrames are
made only for the tables a person looks at, matplotlib is loaded by `plot()` alone.

Made by `quantkit.backtest`; also by hand from a `RunOutput`:

    result = Result(bars=bars, run=run, manifest={})
    result.stats["sharpe"], result.report("run.html")
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from quantkit import hooks
from quantkit.backtest import figures as _figures
from quantkit.backtest import holdings, metrics
from quantkit.backtest.comparison import Benchmark
from quantkit.errors import Bug

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    import pandas as pd
    from matplotlib.figure import Figure

    from quantkit.backtest.output import RunOutput
    from quantkit.backtest.regression import Regression
    from quantkit.backtest.tearsheet import Distribution, Episodes
    from quantkit.backtest.trades import Trades
    from quantkit.core.policy import Policy
    from quantkit.data.bars import Bars
    from quantkit.market.costs import Costs
    from quantkit.research.verdict import Verdict
    from quantkit.strategy import Strategy

__all__ = ["Result"]

Floats = NDArray[np.float64]


class Entry(Protocol):
    """What the run log made of a run; asking waits until it is written."""

    @property
    def run_id(self) -> int | None:
        """Number of the run in the log; None where it could not be written."""

    @property
    def problem(self) -> str | None:
        """Why it could not be written, as a sentence."""


class Result:
    """What a strategy did and how well.

    bars        the bars of the run, one row for each row of `run` (those that only warmed up are cut)
    run         arrays of the run
    manifest    what repeats the run, or a function that gives it when first asked
    benchmark   (T,) float64 levels to compare with, any scale, and their name
    strategy, policy, fill   what was run, for titles and the report; None: targets were given
    periods     periods a year of the ratios; None: from the bars' frequency (252 for sessions)
    again       the same backtest once more: `again(policy)`, `again(cash=..., costs=...)`, any argument of `backtest`;
                `bars` may be a function of the run's own; None: it was not made by `backtest`
    cost_model  what fills were charged; None: not known
    risk_free   rate a year that Sharpe, Sortino and alpha are measured against
    """

    def __init__(
        self,
        *,
        bars: Bars,
        run: RunOutput,
        manifest: Mapping[str, Any] | Callable[[], Mapping[str, Any]] | None = None,
        benchmark: Floats | None = None,
        benchmark_name: str | None = None,
        strategy: Strategy | None = None,
        policy: Policy | None = None,
        fill: str | None = None,
        again: Callable[..., Result] | None = None,
        cost_model: Costs | None = None,
        periods: float | None = None,
        risk_free: float = 0.0,
    ) -> None:
        if len(bars) != len(run) or not len(run):
            raise Bug(f"a result needs one bar for each row of its run: {len(bars)} bars, {len(run)} rows")
        if benchmark is not None and len(benchmark) != len(run):
            raise Bug(f"the benchmark has {len(benchmark)} levels for {len(run)} bars")
        self.bars = bars
        self.run = run
        self.strategy = strategy
        self.policy = policy
        self.fill = fill
        self.again = again
        self.cost_model = cost_model
        called = "buy and hold" if benchmark_name == "hold" else benchmark_name or "benchmark"
        self.comparison = None if benchmark is None else Benchmark(benchmark, called)
        self.periods = metrics.periods_per_year(bars.freq) if periods is None else periods
        self.risk_free = risk_free
        self.entry: Entry | None = None
        self.capacities: pd.DataFrame | None = None
        self.judged: Verdict | None = None
        self._manifest = manifest

    # --- what it is -----------------------------------------------------------------------------------------------

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """Plain data that repeats the run."""
        return dict((self._manifest() if callable(self._manifest) else self._manifest) or {})

    @property
    def run_id(self) -> int | None:
        """Number of the run in the run log; None where it was not taken down."""
        return None if self.entry is None else self.entry.run_id

    @property
    def name(self) -> str:
        """Name of the strategy's class; "targets" where only targets were given."""
        return "targets" if self.strategy is None else self.strategy.name

    @property
    def years(self) -> float:
        """Calendar years the run covers."""
        return _figures.calendar_years(self.bars.days)

    @property
    def span(self) -> tuple[str, str]:
        """First and last day, as text."""
        first, last = self.bars.days[[0, -1]].astype("datetime64[D]")
        return str(first), str(last)

    def label(self, symbol: str) -> str:
        """A code with its name, where one is known: `005930 삼성전자`."""
        name = self.bars.names.get(symbol)
        return f"{symbol} {name}" if name else symbol

    # --- figures --------------------------------------------------------------------------------------------------

    @cached_property
    def figures(self) -> dict[str, float]:
        """Every figure by name, as plain floats."""
        return _figures.figures(
            self.run,
            days=self.bars.days,
            growth=self.growth,
            trades=self.round_trips,
            benchmark=self.comparison,
            minor_unit=self.bars.minor_unit,
            periods=self.periods,
            risk_free=self.risk_free,
        )

    @cached_property
    def stats(self) -> pd.Series[float]:
        """Every figure as a Series of floats; fractions are fractions (0.12 is 12 %), counts are whole floats."""
        import pandas as pd

        return pd.Series(self.figures, dtype=np.float64, name=self.name)

    @cached_property
    def growth(self) -> Floats:
        """(T,) worth of 1 put in at the start, deposits taken out."""
        return _figures.growth_of(self.run)

    @cached_property
    def round_trips(self) -> Trades:
        """Trades as arrays; `trades` is the table."""
        from quantkit.backtest.trades import round_trips

        return round_trips(self.run, last_price=self.last_close, minor_unit=self.bars.minor_unit)

    @cached_property
    def last_close(self) -> Floats:
        """(N,) close of the last bar, as traded."""
        return self.bars.raw.close[-1] if self.run.last_close is None else self.run.last_close

    @cached_property
    def warnings(self) -> list[str]:
        """What to know before believing this result, in plain sentences."""
        from quantkit.backtest.cautions import cautions

        unlogged = None if self.entry is None else self.entry.problem
        return cautions(self) if unlogged is None else [*cautions(self), unlogged]

    # --- series ---------------------------------------------------------------------------------------------------

    def _series(self, values: NDArray[Any], name: str) -> pd.Series[float]:
        import pandas as pd

        return pd.Series(values, index=self.bars.index, name=name)

    @cached_property
    def equity(self) -> pd.Series[float]:
        """Cash, dividends due and positions at each bar's close."""
        return self._series(self.run.equity / self.bars.minor_unit, "equity")

    @cached_property
    def session_returns(self) -> Floats:
        """(P,) time-weighted simple return of each session; `returns` is the Series."""
        return _figures.session_returns(self.growth, _figures.session_ends(self.bars.days))

    @cached_property
    def returns(self) -> pd.Series[float]:
        """Time-weighted simple return of each session, at its last bar: deposits are no gain."""
        import pandas as pd

        ends = _figures.session_ends(self.bars.days)
        return pd.Series(self.session_returns, index=self.bars.index[ends], name="returns")

    @cached_property
    def drawdown(self) -> pd.Series[float]:
        """Distance from the highest point so far, 0 or negative, deposits taken out."""
        return self._series(metrics.drawdowns(self.growth), "drawdown")

    @cached_property
    def exposure(self) -> pd.Series[float]:
        """Part of the equity that is not cash."""
        equity = np.maximum(self.run.equity, 1)
        return self._series(1.0 - self.run.cash / equity, "exposure")

    @cached_property
    def names_held(self) -> pd.Series[int]:
        """Number of names held at each close."""
        return self._series(holdings.names_held(self.run), "names_held")  # type: ignore[return-value]

    @cached_property
    def turnover(self) -> pd.Series[float]:
        """Half of what was bought and sold on each bar, over the equity before it."""
        return self._series(_figures.turnover_of(self.run, float(self.bars.minor_unit)), "turnover")

    @cached_property
    def benchmark(self) -> pd.Series[float] | None:
        """The same money, deposits included, put into the benchmark; None without one."""
        if self.comparison is None:
            return None
        unit = self.bars.minor_unit
        values = self.comparison.account(self.run.initial_cash / unit, self.run.deposits / unit)
        return self._series(values, self.comparison.name)

    # --- tables ---------------------------------------------------------------------------------------------------

    @cached_property
    def fills(self) -> pd.DataFrame:
        """One row a fill: time, symbol, name, side, quantity, price, commission, tax, slippage, order_id, rule,
        from_proceeds."""
        from quantkit.backtest import tables

        return tables.fills_table(self)

    @cached_property
    def orders(self) -> pd.DataFrame:
        """One row an order, also those cut, dropped or refused: status and reason say what became of it."""
        from quantkit.backtest import tables

        return tables.orders_table(self)

    @cached_property
    def actions(self) -> pd.DataFrame:
        """Corporate actions on names that were held: kind, change of shares, cash after tax, tax withheld; `assumed`
        where nothing says what it was worth (unknown kind, a right taken as sold at its theoretical value)."""
        from quantkit.backtest import tables

        return tables.actions_table(self)

    @cached_property
    def cash_flows(self) -> pd.DataFrame:
        """Interest on idle cash and fees on borrowed shares: time, kind, amount (a cost is negative)."""
        from quantkit.backtest import tables

        return tables.flows_table(self)

    @cached_property
    def trades(self) -> pd.DataFrame:
        """Round trips, first in first out, oldest exit first and open ones last; `pnl` is after costs, with
        dividends."""
        from quantkit.backtest import tables

        return tables.trades_table(self)

    def paths(self) -> pd.DataFrame:
        """How the result moves with the order of a bar's high and low, which bars do not tell: one row for each
        `Policy.path`, each a run of its own. The run's own comes first. ConfigError for a result made by hand."""
        from quantkit.backtest.paths import path_table

        return path_table(self)

    @cached_property
    def positions(self) -> pd.DataFrame:
        """Shares at each close, one column a symbol, with those listed later. Made of fills and share actions when
        first asked for."""
        import pandas as pd

        shares = holdings.position_matrix(self.run, len(self.bars.symbols))
        return pd.DataFrame(
            shares, index=self.bars.index, columns=pd.Index(self.bars.symbols, name="symbol"), copy=False
        )

    @cached_property
    def costs(self) -> pd.DataFrame:
        """Commission, tax, slippage and their total by month; `costs.sum()` is the run's."""
        from quantkit.backtest import tables

        return tables.costs_table(self)

    @cached_property
    def monthly(self) -> pd.DataFrame:
        """Return of each month (columns 1 to 12) of each year, and of the year."""
        from quantkit.backtest import tables

        return tables.monthly_table(self)

    # --- a closer look --------------------------------------------------------------------------------------------

    @cached_property
    def episodes(self) -> Episodes:
        """Drawdowns as arrays; `drawdowns` is the table."""
        from quantkit.backtest.tearsheet import drawdown_episodes

        return drawdown_episodes(self.growth, self.bars.days)

    @cached_property
    def drawdowns(self) -> pd.DataFrame:
        """Every stretch below a peak, deepest first: depth, peak, trough, recovered (NaT: not yet), days in all, down
        and up again."""
        from quantkit.backtest import tables

        return tables.drawdowns_table(self)

    def rolling(self, window: int | None = None) -> pd.DataFrame:
        """Return, volatility and Sharpe ratio of the `window` sessions up to each (the last two a year's).

        window   None: half a year, or a quarter or a month, whichever is the longest that fits the run twice
        """
        from quantkit.backtest import tables

        return tables.rolling_table(self, window)

    @cached_property
    def distribution(self) -> Distribution:
        """Moments and tails of the returns: mean, deviation, skew, kurtosis (normal: 3), var, shortfall, beyond."""
        from quantkit.backtest.tearsheet import distribution

        return distribution(self.session_returns)

    def regression(
        self,
        factors: pd.DataFrame | pd.Series[float] | None = None,
        *,
        errors: str = "newey-west",
        lags: int | None = None,
    ) -> Regression:
        """Alpha, betas, t-values and R2 of the returns on the benchmark's, or on factor returns (a row a session, a
        column a factor, as fractions; the days both have are used).

        errors   "newey-west" (over `lags` sessions; None: 4 (n / 100)^(2/9)) or "plain"
        """
        from quantkit.backtest.regression import regression_of

        return regression_of(self, factors, errors=errors, lags=lags)

    def capacity(
        self,
        capitals: Iterable[float] | None = None,
        *,
        impact: float | None = None,
        participation: float | None = None,
    ) -> pd.DataFrame:
        """The same run with more and more money, each order moving its price by impact x sqrt(quantity / volume).

        One row a capital, each a backtest: cagr, sharpe, costs, the part of the orders that filled, and more. Kept in
        `capacities`, which the report and the tear sheet show.

        capitals       None: the run's own and up to a thousand times that, seven in all
        impact         None: the run's own, else the median daily volatility of the names traded
        participation  largest part of a bar's volume; None: the policy's own, else 0.1
        """
        from quantkit.backtest.capacity import capacity_table

        self.capacities = capacity_table(self, capitals, impact=impact, participation=participation)
        return self.capacities

    def verdict(
        self, sweep: object = None, *, again: bool = True, progress: bool | Callable[[int, int], None] = False
    ) -> Verdict:
        """What would have to be true for this to be real, in plain words: see `research.verdict`. The report shows it.

        sweep      the sweep the strategy was chosen from, or the (T, runs) returns of all that were tried
        again      run the strategy again, some forty times, with other costs and settings nearby
        progress   True: a bar on a terminal; or called with (done, total) of those runs
        """
        self.judged = hooks.ask("verdict", self, sweep, again=again, progress=progress)
        return cast("Verdict", self.judged)

    # --- to look at -----------------------------------------------------------------------------------------------

    def summary(self) -> str:
        """Figures and warnings as text for a terminal."""
        from quantkit.backtest import tables

        return tables.summary_text(self)

    def to_dict(self) -> dict[str, Any]:
        """Figures (None where undefined), warnings and manifest, ready for JSON."""
        stats = {name: value if np.isfinite(value) else None for name, value in self.figures.items()}
        return {"name": self.name, "start": self.span[0], "end": self.span[1], "stats": stats,
                "warnings": self.warnings, "manifest": self.manifest}  # fmt: skip

    def plot(self, what: str | None = None, *, symbol: str | None = None) -> Figure:
        """A matplotlib figure: the run at a glance (equity, drawdown, positions, and trades on the price of a symbol).

        what     one picture by name instead: equity, drawdown, rolling, months, distribution, exposure, turnover,
                 costs, regression, capacity (runs more backtests, unless `capacity` was called before)
        symbol   which name's price; None: the only one of the run, else no price panel
        """
        if what is not None:
            from quantkit.backtest.panels import draw_panel

            return draw_panel(self, what)
        from quantkit.backtest.plots import draw

        return draw(self, symbol=symbol)

    def tearsheet(self) -> Figure:
        """All pictures of `plot(name)` on one matplotlib figure; `report` is the same as a page, with tables."""
        from quantkit.backtest.panels import draw_tearsheet

        return draw_tearsheet(self)

    def report(self, path: str | Path, *, capacity: bool = False, factors: pd.DataFrame | None = None) -> Path:
        """Write one self-contained HTML page and return its path.

        capacity   with the capacity curve, which takes seven more runs (it is shown anyhow once `capacity` was called)
        factors    with a regression on these factor returns, beside the one on the benchmark
        """
        from quantkit.backtest.report import write_report

        return write_report(self, path, capacity=capacity, factors=factors)

    def to_vectorbt(self) -> Any:
        """The same fills as a `vectorbt.Portfolio`. ConfigError where vectorbt cannot express the run."""
        from quantkit.backtest.vectorbt import to_vectorbt

        return to_vectorbt(self)

    def __repr__(self) -> str:
        first, last = self.span
        gain, fills = self.figures["total_return"], len(self.run.fills["bar"])
        return f"<Result {self.name} {first}..{last}: {gain:+.1%}, {fills} fills>"

    def _repr_html_(self) -> str:
        from quantkit.backtest import tables

        return tables.summary_html(self)
