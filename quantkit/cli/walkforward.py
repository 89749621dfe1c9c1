"""`quantkit walkforward`: choose parameters on the past, trade them on what follows."""

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
    from quantkit.research.walkforward_result import WalkForwardResult


def walkforward(
    strategy: Annotated[str, typer.Argument(help="file.py, file.py:Class or module:Class.", show_default=False)],
    symbols: given.Symbols = None,
    train: Annotated[
        str, typer.Option(help="Length of a training window: 3Y, 6M, 2W, 250D (sessions), 500 (bars).")
    ] = "3Y",
    test: Annotated[str, typer.Option(help="Length of the test window after it.")] = "1Y",
    anchored: Annotated[bool, typer.Option("--anchored", help="Train from the first bar on, in every window.")] = False,
    param: Space = None,
    where: Where = None,
    metric: Annotated[str, typer.Option(help="Figure to choose by.")] = "sharpe",
    embargo: Annotated[int, typer.Option(help="Sessions left out between training and test.", min=0)] = 0,
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
    benchmark: given.BenchmarkName = None,
    resume: Annotated[
        Path | None, typer.Option(help="Keep what finished windows chose here; a stopped walk goes on from it.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write an HTML page here.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Write a picture here (.png, .svg or .pdf).")] = None,
    as_json: given.AsJson = False,
) -> None:
    """Choose parameters on each training window, trade them in one account on the window after it.

    quantkit walkforward strategies/sma_cross.py --symbols 005930 --param fast=5:60:5 --param slow=20:200:20
    """
    check_files(report, plot, resume)
    request = given.Request(
        strategy=strategy, symbols=given.parse_symbols(symbols), start=start, end=end, cash=cash, lake=lake, data=data,
        market=market, prices=prices, freq=freq, fill=fill, costs=costs, slippage_ticks=slippage_ticks,
        slippage_bps=slippage_bps, benchmark=benchmark,
    )  # fmt: skip
    found = _walk(
        request, param or [], where, train=_length(train), test=_length(test), anchored=anchored, metric=metric,
        embargo=embargo, resume=resume,
    )  # fmt: skip
    written = _write(found, report=report, plot=plot)
    if as_json:
        console.emit(found.to_dict())
        return
    console.say(found.summary())
    for path in written:
        console.say(f"wrote {path}")


def _walk(
    request: given.Request, texts: list[str], where: str | None, *, train: str | int, test: str | int, anchored: bool,
    metric: str, embargo: int, resume: Path | None,
) -> WalkForwardResult:  # fmt: skip
    from quantkit.data.bars import Bars
    from quantkit.research.walkforward import walk_forward
    from quantkit.strategy import load_strategy

    given.check_dates(request.start, request.end)
    cls = load_strategy(request.strategy)
    space: dict[str, Any] = dict(space_of(cls, texts))
    condition = where_of(where)
    bars = request.bars(cls())
    if not isinstance(bars, Bars):
        raise ConfigError("walkforward: these bars do not fit into memory; name fewer --symbols, or a coarser --freq")
    return walk_forward(
        cls, bars, train=train, test=test, anchored=anchored, metric=metric, embargo=embargo, where=condition,
        resume=resume, cash=request.cash, start=request.start, end=request.end, fill=request.fill,
        costs=request.costs_of(bars), benchmark=request.benchmark_of(bars), **space,
    )  # fmt: skip


def _length(text: str) -> str | int:
    return int(text) if text.strip().isdigit() else text.strip()


def _write(found: WalkForwardResult, *, report: Path | None, plot: Path | None) -> list[Path]:
    """Write what was asked for; the paths written."""
    written = [path for path in (report, plot) if path is not None]
    for path in written:
        path.parent.mkdir(parents=True, exist_ok=True)
    if report is not None:
        found.report(report)
    if plot is not None:
        try:
            found.plot().savefig(plot, dpi=130)
        except ValueError as problem:  # matplotlib's word for an ending it does not know
            raise ConfigError(f"--plot {plot}: {problem}") from problem
    return written
