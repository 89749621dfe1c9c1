"""`quantkit sweep`: run a strategy with many parameters, show the best and how far to believe them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quantkit.cli import console
from quantkit.cli import inputs as given
from quantkit.cli.backtest import check_files
from quantkit.cli.space import Space, Where, space_of, where_of
from quantkit.errors import ConfigError

if TYPE_CHECKING:
    from quantkit.research.sweep_result import SweepResult

COLUMNS = ("total_return", "cagr", "sharpe", "max_drawdown", "trades", "win_rate")
ENDINGS = (".csv", ".parquet", ".pq")


def sweep(
    strategy: Annotated[str, typer.Argument(help="file.py, file.py:Class or module:Class.", show_default=False)],
    symbols: given.Symbols = None,
    param: Space = None,
    where: Where = None,
    metric: Annotated[str, typer.Option(help="Figure to choose by; -volatility: less is better.")] = "sharpe",
    search: Annotated[str, typer.Option(help="grid (all), random, or adaptive (Optuna).")] = "grid",
    runs: Annotated[int | None, typer.Option(help="Runs of a random or adaptive search. Default: 100.", min=1)] = None,
    seed: Annotated[int, typer.Option(help="Seed of a random or adaptive search.")] = 0,
    jobs: Annotated[int | None, typer.Option(help="Threads. Default: one a core.", min=1)] = None,
    start: given.Start = None,
    end: given.End = None,
    cash: given.Cash = 100_000_000,
    lake: given.LakePath = Path("data/lake"),
    data: given.DataFile = None,
    market: given.Market = None,
    prices: given.Prices = "raw",
    freq: given.Freq = "1d",
    fill: given.Fill = "next_open",
    costs: given.CostsName = "kis",
    slippage_ticks: given.SlippageTicks = None,
    slippage_bps: given.SlippageBps = 0.0,
    resume: Annotated[
        Path | None, typer.Option(help="Folder to keep results in as they come; a sweep that was stopped goes on.")
    ] = None,
    top: Annotated[int, typer.Option(help="How many of the best runs to show.", min=1)] = 10,
    overfit: Annotated[
        bool, typer.Option("--overfit", help="Say how likely it is that the best was chosen by luck.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Write all runs here (.csv or .parquet).")] = None,
    report: Annotated[Path | None, typer.Option(help="Write an HTML page here.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Write the heatmap here (.png, .svg or .pdf).")] = None,
    as_json: given.AsJson = False,
) -> None:
    """Run a strategy with every combination of the values given and print the best runs.

    quantkit sweep strategies/sma_cross.py --symbols AAPL --param fast=5:60:5 --param slow=20:200:20 --where "fast<slow"
    """
    check_files(out, report, plot)
    if out is not None and out.suffix.lower() not in ENDINGS:
        raise ConfigError(f"--out {out}: name a file ending in {' or '.join(ENDINGS)}")
    request = given.Request(
        strategy=strategy, symbols=given.parse_symbols(symbols), start=start, end=end, cash=cash, lake=lake, data=data,
        market=market, prices=prices, freq=freq, fill=fill, costs=costs, slippage_ticks=slippage_ticks,
        slippage_bps=slippage_bps,
    )  # fmt: skip
    found = _sweep(
        request, param or [], where, metric=metric, search=search, runs=runs, seed=seed, jobs=jobs, resume=resume
    )  # fmt: skip
    chance = found.overfit() if overfit else None
    written = _write(found, out=out, report=report, plot=plot)
    if as_json:
        console.emit(_document(found, top, chance))
        return
    _print(found, top)
    if chance is not None:
        console.say(f"probability of backtest overfitting: {chance:.0%} (by chance 50%)")
    for path in written:
        console.say(f"wrote {path}")


def _sweep(request: given.Request, texts: list[str], where: str | None, **how: Any) -> SweepResult:
    from quantkit.data.bars import Bars
    from quantkit.research.sweep import sweep as run
    from quantkit.strategy import load_strategy

    given.check_dates(request.start, request.end)
    cls = load_strategy(request.strategy)
    space: dict[str, Any] = dict(space_of(cls, texts))
    condition = where_of(where)
    bars = request.bars(cls())
    if not isinstance(bars, Bars):
        raise ConfigError("sweep: these bars do not fit into memory; name fewer --symbols, or a coarser --freq")
    return run(
        cls, bars, where=condition, cash=request.cash, start=request.start, end=request.end, fill=request.fill,
        costs=request.costs_of(bars), **how, **space,
    )  # fmt: skip


def _write(found: SweepResult, *, out: Path | None, report: Path | None, plot: Path | None) -> list[Path]:
    """Write what was asked for; the paths written."""
    written = [path for path in (out, report, plot) if path is not None]
    for path in written:
        path.parent.mkdir(parents=True, exist_ok=True)
    if out is not None and out.suffix.lower() == ".csv":
        found.frame.to_csv(out)
    elif out is not None:
        found.frame.to_parquet(out)
    if report is not None:
        found.report(report)
    if plot is not None:
        try:
            found.heatmap().savefig(plot, dpi=130)
        except ValueError as problem:  # matplotlib's word for an ending it does not know
            raise ConfigError(f"--plot {plot}: {problem}") from problem
    return written


def _print(found: SweepResult, top: int) -> None:
    """The summary, and the best runs as a table."""
    from quantkit.backtest.wording import FIGURES, show

    console.say(found.summary())
    best = found.top(top)
    if not len(best):
        return
    names = list(found.space.names)
    figures = list(dict.fromkeys((found.metric.removeprefix("-"), *COLUMNS)))
    rows = [
        [str(row[name]) for name in names] + [show(name, row[name], found.bars.currency) for name in figures]
        for row in best.to_dict("records")
    ]
    titles = [*names, *(FIGURES[name][0] for name in figures)]
    console.table(f"Best {len(rows)} of {len(found):,} by {found.metric}", titles, rows, right=0)


def _document(found: SweepResult, top: int, chance: float | None) -> dict[str, Any]:
    """What `--json` prints."""
    place = found.place_of_best
    return {
        "strategy": found.strategy_class.__name__,
        "metric": found.metric,
        "search": found.search,
        "space": found.space.plain(),
        "runs": len(found),
        "failed": found.failed,
        "best": None if place is None else found.best,
        "top": found.top(top).drop(columns=["status", "error"]).reset_index().to_dict("records"),
        "errors": [
            {"run": run, "error": error} for run, error in enumerate(found.errors) if error
        ][:top],
        "overfit": chance,
    }  # fmt: skip
