"""`quantkit drift`: a recorded day beside its backtest: what trading cost, and where the account is not as expected."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quantkit.cli import console
from quantkit.cli import inputs as given
from quantkit.errors import ConfigError

if TYPE_CHECKING:
    from quantkit import Bars, Costs, Strategy
    from quantkit.core.policy import RiskLimits
    from quantkit.live.drift import DriftReport
    from quantkit.live.sessions import Compared

ROWS = 20


def drift(
    strategy: Annotated[str, typer.Argument(help="file.py or file.py:Class, as it traded.", show_default=False)],
    account: Annotated[str, typer.Option(help="Account whose journal is read.", show_default=False)],
    date: Annotated[str | None, typer.Option(help="Session; default: the last that the bars hold.")] = None,
    deployment: Annotated[str | None, typer.Option(help="Where the account has several.")] = None,
    symbols: given.Symbols = None,
    param: given.Params = None,
    lake: given.LakePath = Path("data/lake"),
    data: given.DataFile = None,
    market: given.Market = None,
    prices: given.Prices = "raw",
    freq: given.Freq = "1d",
    fill: given.Fill = "next_open",
    costs: Annotated[str | None, typer.Option(help="kis, kiwoom, free. Default: what the account pays.")] = None,
    slippage_ticks: given.SlippageTicks = None,
    slippage_bps: given.SlippageBps = 0.0,
    html: Annotated[Path | None, typer.Option(help="Folder for the report as page and JSON.")] = None,
    interpret: given.Interpret = False,
    as_json: given.AsJson = False,
) -> None:
    """Show what a session cost beside the model, and every won between the account and its backtest, by first cause.

    quantkit drift strategies/sma_cross.py --account first --symbols 005930,000660 --html reports

    The backtest is run anew, from the day the account began, over the bars of the lake: give the symbols and
    parameters that the account trades with.
    """
    from quantkit import Bars, settings
    from quantkit.cli.brokers import costs_name
    from quantkit.live.drift import write_drift
    from quantkit.strategy import load_strategy

    given.check_dates(date, None)
    asked = given.Request(
        strategy=strategy, params=given.parse_params(param), symbols=given.parse_symbols(symbols), lake=lake,
        data=data, market=market, prices=prices, freq=freq, fill=fill,
        costs=costs or costs_name(settings.load(), account), slippage_ticks=slippage_ticks, slippage_bps=slippage_bps,
    )  # fmt: skip
    rule = load_strategy(strategy)
    made = rule(**rule.parse(asked.params))
    bars = asked.bars(made)
    if not isinstance(bars, Bars):
        raise ConfigError("these bars are run in chunks; take fewer names (--symbols) or coarser bars (--freq)")
    found = recorded(account, made, bars, costs=asked.costs_of(bars), limits=limits_of(account), fill=fill,
                     deployment=deployment, interpret=interpret)  # fmt: skip
    report = found.report(date)
    written = () if html is None else write_drift(report, html)
    if as_json:
        console.emit(report.to_dict())
        return
    show(report)
    for path in written:
        console.say(f"wrote {path}")


def limits_of(account: str) -> RiskLimits | None:
    """The money limits of an account's settings."""
    from quantkit import settings

    return settings.load().account(account).risk_limits


def recorded(
    account: str, strategy: Strategy, bars: Bars, *, costs: Costs, limits: RiskLimits | None, fill: str = "next_open",
    deployment: str | None = None, interpret: bool = False,
) -> Compared:  # fmt: skip
    """An account's recorded days beside the backtest of a strategy. ConfigError where there is no journal."""
    from quantkit import settings
    from quantkit.backtest.pieces import Terms
    from quantkit.live.journal import read_journal
    from quantkit.live.record import read_record
    from quantkit.live.sessions import Compared

    terms = Terms(strategy=strategy, policy=strategy.policy, costs=costs, limits=limits, fill=fill,
                  interpret=interpret)  # fmt: skip
    journal = read_journal(settings.load().journal_of(account), account)
    try:
        record = read_record(journal.read(), account, deployment=deployment, market=(*bars.markets, "KOSPI")[0])
    finally:
        journal.close()
    return Compared(record, terms, bars)


def show(report: DriftReport) -> None:
    """The day in a terminal: the figures, what lies between, the causes, alerts."""
    digits = 0 if report.currency == "KRW" else 2

    def money(amount: float, sign: str = "") -> str:
        return f"{amount:{sign},.{digits}f}"

    low, high = report.band
    fills = "1 fill" if len(report.fills) == 1 else f"{len(report.fills):,} fills"
    shares = f"{report.filled:,} of {report.ordered:,} shares (model {report.model_filled:,})"
    console.say(f"{report.date}, account {report.account}: {fills}, {shares}")
    if len(report.fills):
        parts = ", ".join(f"{name} {money(amount)}" for name, amount in report.parts.items() if amount)
        console.say(f"shortfall: median {report.median_bps:.1f} bp, model's band {low:.1f} to {high:.1f} bp; {parts}")
    expected, real = report.equity
    console.say(f"equity {money(real)} {report.currency}, expected {money(expected)}, {money(real - expected, '+')}")
    if report.bridge:
        rows = [[cause, money(today, "+"), money(since, "+")] for cause, today, since in report.bridge]
        console.table("between expected and real equity", ("Cause", "Today", "Since the start"), rows, right=1)
        console.table("first causes", ("Since", "Cause", "Symbol", "What happened", "Equity"), _causes(report, money),
                      right=4)  # fmt: skip
    for alert in report.alerts:
        console.say(f"! {alert}")


def _causes(report: DriftReport, money: Any) -> list[list[str]]:
    largest = sorted(report.ledger, key=lambda row: -abs(row["amount"]))[:ROWS]
    return [
        [str(row["time"]), row["cause"], row["symbol"], row["detail"], money(row["amount"], "+")] for row in largest
    ]
