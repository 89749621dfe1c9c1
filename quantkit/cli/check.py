"""`quantkit check`: does a strategy know tomorrow?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quantkit.cli import console
from quantkit.cli import inputs as given
from quantkit.errors import ConfigError
from quantkit.progress import shown

if TYPE_CHECKING:
    from quantkit import Bars, Strategy


def check(
    strategy: Annotated[str, typer.Argument(help="file.py, file.py:Class or module:Class.", show_default=False)],
    symbols: given.Symbols = None,
    start: Annotated[str | None, typer.Option(help="First session to look at; nothing before it is loaded.")] = None,
    end: given.End = None,
    param: given.Params = None,
    cash: given.Cash = 100_000_000,
    lake: given.LakePath = Path("data/lake"),
    data: given.DataFile = None,
    market: given.Market = None,
    prices: given.Prices = "raw",
    freq: given.Freq = "1d",
    seed: Annotated[int, typer.Option(help="Of the places looked at and the bars made up.", min=0)] = 0,
    cuts: Annotated[
        int | None, typer.Option(help="How often to hide the future. Default: as often as fits in two seconds.", min=1)
    ] = None,
    as_json: given.AsJson = False,
) -> None:
    """Hide the future, change it, run bar by bar, begin later: does what was decided before stay the same?

    quantkit check strategies/sma_cross.py --symbols 005930,000660

    Ends with exit code 1 when something is found that looks ahead, and says which bar, name and column differ first
    and, where the pattern tells, what the mistake is.
    """
    from quantkit.research.lookahead import check as look
    from quantkit.strategy import load_strategy

    given.check_dates(start, end)
    rule = load_strategy(strategy)
    made = rule(**rule.parse(given.parse_params(param)))
    codes = given.parse_symbols(symbols)
    if data is not None:
        bars = given.bars_of_file(data, market=market, prices=prices, symbols=codes).window(start, end)
    else:
        bars = _stored(lake, made, codes=codes, start=start, end=end, freq=freq)
    with shown(True, "looking for tomorrow") as advance:
        report = look(made, bars, seed=seed, cuts=cuts, cash=cash, progress=advance)
    if as_json:
        console.emit(report.to_dict())
    else:
        console.say(str(report))
    if not report.ok:
        raise typer.Exit(1)


def _stored(
    lake: Path, strategy: Strategy, *, codes: tuple[str, ...] | None, start: str | None, end: str | None, freq: str
) -> Bars:
    """Bars of the lake, where they fit in memory."""
    from quantkit import Bars

    found = given.bars_of_lake(lake, strategy, symbols=codes, start=start, end=end, freq=freq)
    if not isinstance(found, Bars):
        rows, names = found.shape
        raise ConfigError(
            f"{rows:,} bars of {names:,} names are too many to look at again and again; take fewer names (--symbols) "
            "or less time (--start, --end)"
        )
    return found
