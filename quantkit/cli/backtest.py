"""`quantkit backtest`: run a strategy over a lake or a file, or repeat a recorded run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quantkit.cli import console
from quantkit.cli import inputs as given
from quantkit.errors import ConfigError

if TYPE_CHECKING:
    from quantkit import Result


def backtest(
    strategy: Annotated[
        str | None, typer.Argument(help="file.py, file.py:Class or module:Class.", show_default=False)
    ] = None,
    symbols: given.Symbols = None,
    start: given.Start = None,
    end: given.End = None,
    param: given.Params = None,
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
    deposit: given.Deposit = None,
    interpret: given.Interpret = False,
    manifest: Annotated[Path | None, typer.Option(help="Repeat the run of this manifest; give no strategy.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write an HTML page here.")] = None,
    capacity: Annotated[bool, typer.Option("--capacity", help="With the capacity curve: seven more runs.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Write a picture here (.png, .svg or .pdf).")] = None,
    tearsheet: Annotated[Path | None, typer.Option(help="Write all pictures as one here (.png, .svg, .pdf).")] = None,
    verdict: Annotated[
        bool, typer.Option("--verdict", help="Say what would have to be true for this to be real (runs it ~40 times).")
    ] = False,
    save_manifest: Annotated[Path | None, typer.Option(help="Write the manifest here.")] = None,
    as_json: given.AsJson = False,
) -> None:
    """Run a strategy over the lake (or over one file with --data) and print its figures.

    quantkit backtest strategies/sma_cross.py --symbols 005930,000660 --start 2015-01-01 --param fast=10 --report r.html

    quantkit backtest strategies/turtle.py --symbols 005930,000660 --slippage-ticks 1

    The files in strategies/ are examples; each says in its first lines why it should work and when it fails.
    """
    check_files(report, plot, tearsheet, save_manifest)
    if capacity and report is None and tearsheet is None:
        raise ConfigError("--capacity is drawn in a page or a tear sheet: give --report FILE or --tearsheet FILE")
    if (strategy is None) == (manifest is None):
        raise ConfigError("give a strategy file, or --manifest FILE, one of them")
    if manifest is not None:
        from quantkit.cli.repeat import repeat

        result, changed = repeat(manifest)
    else:
        result, changed = given.Request(
            strategy=str(strategy), params=given.parse_params(param), symbols=given.parse_symbols(symbols), start=start,
            end=end, cash=cash, lake=lake, data=data, market=market, prices=prices, freq=freq, fill=fill, costs=costs,
            slippage_ticks=slippage_ticks, slippage_bps=slippage_bps, benchmark=benchmark, deposit=deposit,
            interpret=interpret,
        ).run(), None  # fmt: skip
    if capacity:
        result.capacity()
    judged = result.verdict(progress=True) if verdict else None
    written = write_files(result, report=report, plot=plot, tearsheet=tearsheet, manifest=save_manifest)
    if as_json:
        from quantkit.cli.figures import document

        said = {} if judged is None else {"verdict": judged.to_dict()}
        console.emit({**document(result), **said, **({} if changed is None else {"changed": changed})})
    else:
        from quantkit.cli.figures import print_result

        print_result(result)
        if judged is not None:
            console.say(judged.text)
        for path in written:
            console.say(f"wrote {path}")
        if result.run_id is not None:
            console.note(f"run {result.run_id} of the run log; `quantkit reproduce {result.run_id}` repeats it")
    if changed is not None:
        _say_repeated(changed)


def _say_repeated(changed: list[str]) -> None:
    """Whether a repeat gave the recorded result; exit 1 when it did not."""
    if not changed:
        console.note("repeated: the same to the last bit")
        return
    console.error("the run does not repeat: " + "; ".join(changed))
    raise typer.Exit(1)


def check_files(*paths: Path | None) -> None:
    """Refuse a place that cannot be written to before the work, not after it."""
    for path in paths:
        if path is not None and path.is_dir():
            raise ConfigError(f"{path} is a folder; name a file in it")


def write_files(
    result: Result,
    *,
    report: Path | None = None,
    plot: Path | None = None,
    tearsheet: Path | None = None,
    manifest: Path | None = None,
) -> list[Path]:
    """Write what was asked for, making folders where needed; the paths written."""
    written = [path for path in (report, plot, tearsheet, manifest) if path is not None]
    for path in written:
        path.parent.mkdir(parents=True, exist_ok=True)
    if report is not None:
        result.report(report)
    for option, target, draw in (("--plot", plot, result.plot), ("--tearsheet", tearsheet, result.tearsheet)):
        if target is not None:
            try:
                draw().savefig(target, dpi=130)
            except ValueError as problem:  # matplotlib's word for an ending it does not know
                raise ConfigError(f"{option} {target}: {problem}") from problem
    if manifest is not None:
        manifest.write_text(console.json_text(result.manifest) + "\n", encoding="utf-8")
    return written


def read_json(path: Path) -> dict[str, object]:
    """A JSON object from a file; ConfigError when it is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"no such file: {path}") from None
    except (ValueError, UnicodeDecodeError) as problem:
        raise ConfigError(f"{path} is not JSON: {problem}") from problem
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: expected a JSON object, found {type(found).__name__}")
    return found
