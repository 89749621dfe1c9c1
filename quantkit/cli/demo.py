"""`quantkit demo`: real prices into a lake, one strategy over them, a report to look at.

The prices are thirteen years of five US shares, as traded, from the package bokeh-sampledata, because no package ships
Korean ones. Splits and dividends are read off its adjusted close. Everything after the prices is what a run over your
own data does. Running it again changes nothing and ends the same.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quantkit.cli import console
from quantkit.cli import inputs as given
from quantkit.cli.backtest import write_files
from quantkit.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

    from quantkit import Lake, Result
    from quantkit.data.landing import IngestReport

NAMES = {"AAPL": "Apple", "FB": "Facebook", "GOOG": "Google", "IBM": "Intl. Business Machines", "MSFT": "Microsoft"}
CASH, SLIPPAGE_BPS = 100_000, 5.0


def demo(
    lake: given.LakePath = Path("data/lake"),
    reports: Annotated[Path, typer.Option(help="Folder for the page and the picture.")] = Path("reports"),
    as_json: given.AsJson = False,
) -> None:
    """Put sample prices into a lake, run an example strategy, write a report."""
    from quantkit.data.lake import Lake

    frame = sample_prices()
    console.note(f"1. {len(frame):,} daily prices of {len(NAMES)} US shares into {lake}")
    landed = fill(Lake(lake), frame)
    strategy = example("sma_cross")
    console.note(f"2. {strategy.name} over them (the first run compiles, which takes some seconds)")
    result = given.Request(
        strategy=str(strategy), symbols=tuple(NAMES), lake=lake, cash=CASH, slippage_bps=SLIPPAGE_BPS, benchmark="hold"
    ).run()
    console.note(f"3. the report into {reports}")
    names = ("demo.html", "demo.png", "demo.manifest.json")
    page, picture, manifest = (reports / name for name in names)
    write_files(result, report=page, plot=picture, manifest=manifest)
    if as_json:
        from quantkit.cli.figures import document

        files = {"lake": str(lake), "report": str(page), "plot": str(picture), "manifest_file": str(manifest)}
        console.emit({**document(result), "files": files})
        return
    _print(result, landed, strategy, lake, (page, picture, manifest))


def sample_prices() -> pd.DataFrame:
    """Long frame: ticker, date, open, high, low, close, volume (as traded), adj_close. ConfigError without it."""
    try:
        from bokeh_sampledata.stocks import data
    except ImportError:
        raise ConfigError(
            'the demo needs its sample prices: pip install "quantkit[demo]", or pip install bokeh-sampledata'
        ) from None
    found: pd.DataFrame = data
    return found


def fill(lake: Lake, frame: pd.DataFrame) -> IngestReport:
    """Prices as traded, names, and the splits and dividends that the adjusted close implies, into the lake."""
    import pandas as pd

    from quantkit.data.derive import dividends_from_adjusted_close, splits_from_adjusted_close

    landed = lake.ingest(frame.drop(columns="adj_close"), market="US")
    names = pd.DataFrame({"symbol": list(NAMES), "name": list(NAMES.values()), "market": "US"})
    lake.ingest(names, table="instruments")
    lake.ingest([*splits_from_adjusted_close(frame), *dividends_from_adjusted_close(frame)], table="actions")
    return landed


def example(name: str) -> Path:
    """File of an example strategy: in `strategies/` of a checkout, or in an installed package's copy of that folder."""
    import quantkit

    package = Path(quantkit.__file__).parent
    places = (package / "_strategies", package.parent / "strategies")
    for folder in places:
        path = folder / f"{name}.py"
        if path.is_file():
            return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    raise ConfigError(f"no example strategy {name!r} in {' or '.join(map(str, places))}; install quantkit again")


def _program() -> str:
    """How to call quantkit from here: by name where the shell finds it, else by its place."""
    if shutil.which("quantkit"):
        return "quantkit"
    beside = Path(sys.executable).with_name("quantkit")
    if not beside.is_file():
        return "python -m quantkit"
    return str(beside.relative_to(Path.cwd()) if beside.is_relative_to(Path.cwd()) else beside)


def _print(result: Result, landed: IngestReport, strategy: Path, lake: Path, files: tuple[Path, Path, Path]) -> None:
    from quantkit.cli.figures import print_result

    page, picture, manifest = files
    console.note()
    print_result(result)
    console.say()
    stored = f"{landed.added:,} prices new" if landed.added else "all prices were there already"
    console.say(f"Lake      {lake}  ({stored}, {landed.quarantined:,} set aside)")
    console.say(f"Strategy  {strategy}")
    console.say(f"Report    {page}  (open it in a browser)")
    console.say(f"Picture   {picture}")
    console.say(f"Manifest  {manifest}")
    where = "" if lake == Path("data/lake") else f" --lake {lake}"
    program = _program()
    console.say()
    console.say("Try next:")
    for line in (
        f"backtest {strategy} --symbols AAPL,MSFT{where} --cash 100000 --param fast=10 --report mine.html",
        f"backtest --manifest {manifest}",
        f"compare {strategy} {strategy.with_name('rsi_reversion.py')} --symbols IBM{where} --cash 100000",
        "data ingest YOUR_PRICES.csv --market KOSPI",
    ):
        console.say(f"  {program} {line}")
