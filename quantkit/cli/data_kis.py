"""`quantkit data ingest --source kis`: history from 한국투자증권, with keys of an account.

Thin: asks `brokers.kis.history` and shows what it did. What came before an error or Ctrl-C is in the lake, and the same
command goes on from there.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING

from quantkit.cli import console
from quantkit.errors import ConfigError, Refused
from quantkit.progress import shown

if TYPE_CHECKING:
    from quantkit.brokers.kis.client import KisClient
    from quantkit.brokers.kis.history import HistoryReport, NameReport
    from quantkit.data.lake import Lake
    from quantkit.data.landing import IngestReport

SHOWN = 5  # stretches without rows of one name


def instruments(lake: Lake, symbols: str | None, account: str | None) -> IngestReport:
    """Market, name and first day of some names, or of all."""
    from quantkit import settings
    from quantkit.brokers.kis.history import fill_instruments
    from quantkit.kis import run_client

    async def ask(client: KisClient, _pace: float) -> IngestReport:
        return await fill_instruments(client, lake, None if symbols is None else _codes(symbols))

    return run_client(settings.load(), account, ask)


def bars(
    lake: Lake, freq: str, symbols: str | None, start: str | None, end: str | None, account: str | None, *,
    as_json: bool,
) -> None:  # fmt: skip
    """Daily or minute bars; Refused after the report where KIS refused a name."""
    from quantkit import settings
    from quantkit.brokers.kis.history import fill
    from quantkit.kis import run_client

    if symbols is None or start is None:
        raise ConfigError("a download needs --symbols and --start")
    codes, first, last = _codes(symbols), _date(start, "--start"), None if end is None else _date(end, "--end")

    async def ask(client: KisClient, _pace: float) -> HistoryReport:
        with shown(True, f"{freq} from kis") as advance:
            return await fill(client, lake, codes, freq=freq, start=first, end=last, progress=advance)

    report = run_client(settings.load(), account, ask)
    if as_json:
        console.emit(dataclasses.asdict(report))
    else:
        _show(report)
    refused = {one.symbol: one.refused for one in report.names if one.refused}
    if refused:
        raise Refused("KIS_REFUSED", "; ".join(f"{symbol}: {why}" for symbol, why in refused.items()))


def _codes(text: str) -> list[str]:
    return [code.strip() for code in text.split(",") if code.strip()]


def _date(text: str, option: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{option} {text}: expected a date such as 2024-01-31") from None


def _show(report: HistoryReport) -> None:
    rows = [
        (one.symbol, one.name, one.market, f"{one.stored:,}", f"{one.asked:,}", f"{one.came:,}", f"{one.rows:,}",
         f"{one.asked - one.came:,}")
        for one in report.names
    ]  # fmt: skip
    columns = ("symbol", "name", "market", "had", "asked for", "came", "rows", "without a row")
    console.table(f"{report.freq}, sessions from {report.start} to {report.end}", columns, rows, right=3)
    console.say(
        f"{report.added:,} rows added, {report.replaced:,} replaced, {report.quarantined:,} quarantined; "
        f"{report.actions} actions read off adjusted prices (kind unknown)"
    )
    for one in report.names:
        if one.empty:
            console.say(f"{one.symbol} without a row: {_stretches(one)}")
        if one.begins is not None:
            console.say(f"{one.symbol}: asked for from {report.start}, KIS has minutes from {one.begins}")
    for note in report.notes:
        console.say(f"note: {note}")


def _stretches(one: NameReport) -> str:
    said = [str(first) if first == last else f"{first} to {last}" for first, last in one.empty]
    return ", ".join(said[:SHOWN]) + (f" and {len(said) - SHOWN} more" if len(said) > SHOWN else "")
