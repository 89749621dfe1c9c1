"""`quantkit replay`: a strategy through the live engine, bar by bar, beside its backtest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from quantkit.cli import console
from quantkit.cli import inputs as given
from quantkit.errors import ConfigError

if TYPE_CHECKING:
    from quantkit.replay import Replayed

SHOWN = 20  # rows of the ledger


def replay(
    strategy: Annotated[str, typer.Argument(help="file.py, file.py:Class or module:Class.", show_default=False)],
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
    deposit: given.Deposit = None,
    interpret: given.Interpret = False,
    honest: Annotated[
        bool, typer.Option("--honest", help="Decide every bar anew, from the bars up to it: for what fails `check`.")
    ] = False,
    journal: Annotated[
        Path | None, typer.Option(help="Keep the journal in this file (SQLite). Default: memory.")
    ] = None,
    as_json: given.AsJson = False,
) -> None:
    """Run a strategy through the live engine, its gates, a journal and a simulated broker, and compare with `backtest`.

    quantkit replay strategies/sma_cross.py --symbols 005930,000660 --start 2015-01-01

    Fills, orders, cash and equity have to be the same to the won and the share. Where they are not, the ledger says
    where every won of the difference comes from, first cause first, and the exit code is 1.
    """
    asked = given.Request(
        strategy=strategy, params=given.parse_params(param), symbols=given.parse_symbols(symbols), start=start, end=end,
        cash=cash, lake=lake, data=data, market=market, prices=prices, freq=freq, fill=fill, costs=costs,
        slippage_ticks=slippage_ticks, slippage_bps=slippage_bps, deposit=deposit, interpret=interpret,
    )  # fmt: skip
    if journal is not None and journal.exists():
        raise ConfigError(f"--journal {journal}: it is there already; give another path")
    found = _replayed(asked, honest=honest, journal=journal)
    if as_json:
        console.emit(found.to_dict())
    else:
        _say(found, journal)
    if not found.same:
        raise typer.Exit(1)


def _replayed(asked: given.Request, *, honest: bool, journal: Path | None) -> Replayed:
    """Load what is needed, and replay."""
    from quantkit.data.bars import Bars
    from quantkit.replay.run import replay as run
    from quantkit.strategy import load_strategy

    given.check_dates(asked.start, asked.end)
    rule = load_strategy(asked.strategy)
    made = rule(**rule.parse(asked.params))
    bars = asked.bars(made)
    if not isinstance(bars, Bars):
        rows, names = bars.shape
        raise ConfigError(
            f"{rows:,} bars of {names:,} names do not fit in memory; take fewer names (--symbols) or less time (--end)"
        )
    return run(
        made, bars, cash=asked.cash, start=asked.start, end=asked.end, costs=asked.costs_of(bars), fill=asked.fill,
        deposits=asked.deposit, interpret=asked.interpret, honest=honest, journal=journal, progress=True,
    )  # fmt: skip


def _say(found: Replayed, journal: Path | None) -> None:
    """What was compared, and what differs."""
    said = found.to_dict()
    rows = [
        ("fills", f"{said['fills']['backtest']:,}", f"{said['fills']['replay']:,}"),
        ("orders", f"{said['orders']['backtest']:,}", f"{said['orders']['replay']:,}"),
        ("last equity", f"{found.backtest.equity.iloc[-1]:,.0f}", f"{found.equity.iloc[-1]:,.0f}"),
    ]
    console.table(f"{said['bars']:,} bars of {len(found.bars.symbols):,} names", ("", "backtest", "replay"), rows)
    console.say(f"largest difference in equity: {said['equity_difference']:,.0f}")
    console.say(
        f"{found.sent:,} orders sent, {found.denied:,} denied by a gate, {found.entries:,} journal entries"
        + (f" in {journal}" if journal is not None else "")
        + f"; {found.seconds:.2f} s, {said['bars_per_second']:,} bars/s"
    )
    if found.same:
        console.say("the same, to the last won and share")
        return
    console.say(f"not the same: {', '.join(found.differs)}")
    cells = list(found.ledger.cells(most=SHOWN))
    console.table("first causes", ("began", "cause", "symbol", "what", "amount", "follow"), cells, right=4)
    if len(found.ledger.rows) > SHOWN:
        console.say(f"{len(found.ledger.rows) - SHOWN:,} more; --json has all")
