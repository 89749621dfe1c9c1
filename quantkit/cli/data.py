"""`quantkit data`: fill the lake, look at it, check it against the exchange's rules.

Thin: every command calls one method of `Lake` and shows what it gives. The lake is `--lake`, by default `data/lake`.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from quantkit.cli import console, data_kis
from quantkit.errors import ConfigError
from quantkit.progress import shown

if TYPE_CHECKING:
    from quantkit.data.bars import Bars
    from quantkit.data.landing import IngestReport
    from quantkit.data.survey import Survey

app = typer.Typer(help="Prices: ingest, list, check, show.", no_args_is_help=True)

LakeOption = Annotated[Path, typer.Option("--lake", help="Folder of the lake.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
_LAKE = Path("data/lake")
_PRICES = ("open", "high", "low", "close")


@app.command()
def ingest(
    paths: Annotated[list[str] | None, typer.Argument(help="CSV or Parquet files, folders or globs.")] = None,
    lake: LakeOption = _LAKE,
    table: Annotated[str, typer.Option(help="bars_1d, bars_1m, instruments, actions or features.")] = "bars_1d",
    market: Annotated[str | None, typer.Option(help="Market of every row, where no column says it.")] = None,
    prices: Annotated[str, typer.Option(help="raw, or adjusted (수정주가).")] = "raw",
    symbol: Annotated[str | None, typer.Option(help="Symbol of every row.")] = None,
    stamp: Annotated[str, typer.Option(help="What intraday stamps mean: close or open of the bar.")] = "close",
    zone: Annotated[str | None, typer.Option(help="Time zone of intraday stamps without one: Asia/Seoul.")] = None,
    source: Annotated[str | None, typer.Option(help="Download instead: pykrx, fdr or kis.")] = None,
    symbols: Annotated[str | None, typer.Option(help="Symbols to download, with commas between.")] = None,
    start: Annotated[str | None, typer.Option(help="First date to download.")] = None,
    end: Annotated[str | None, typer.Option(help="Last date to download; default today.")] = None,
    freq: Annotated[str | None, typer.Option(help="From kis: 1d or 1m; default that of --table.")] = None,
    account: Annotated[str | None, typer.Option(help="From kis: account of the settings; default its keys.")] = None,
    name: Annotated[str | None, typer.Option(help="Features: name of the only one in the table.")] = None,
    as_of: Annotated[str | None, typer.Option(help="Features: column of the date they became known.")] = None,
    blank: Annotated[str, typer.Option(help="Features: an empty cell ends the value (clear) or not (skip).")] = "clear",
    as_json: JsonOption = False,
) -> None:
    """Check prices, or features (fundamentals, flows, memberships), and bring them into the lake.

    Running it again changes nothing.
    """
    from quantkit.data.lake import Lake

    if source == "kis" and not paths:
        if {market, symbol, zone, name, as_of} != {None} or (prices, stamp, blank) != ("raw", "close", "clear"):
            raise ConfigError("--source kis takes --symbols, --start, --end, --freq, --table, --account and --lake")
        if table == "instruments" and freq is None:
            _show_report(data_kis.instruments(Lake(lake), symbols, account), as_json=as_json)
        else:
            told = freq or table.removeprefix("bars_")
            data_kis.bars(Lake(lake), told, symbols, start, end, account, as_json=as_json)
        return
    if freq is not None or account is not None:
        raise ConfigError("--freq and --account are for --source kis")
    if table == "features" and paths:
        with shown(True, "ingest") as advance:
            report = Lake(lake).ingest_features(
                paths, name=name, symbol=symbol, as_of=as_of, blank=cast(Literal["clear", "skip"], blank),
                progress=lambda done, total, _: advance(done, total),
            )  # fmt: skip
        _show_report(report, as_json=as_json)
        return
    if name is not None or as_of is not None or blank != "clear":
        raise ConfigError("--name, --as-of and --blank are for features: add --table features")
    if (source is None) == (not paths):
        raise ConfigError("give files to ingest, or --source with --symbols and --start, not both")
    if prices not in ("raw", "adjusted") or stamp not in ("close", "open"):
        raise ConfigError("--prices is raw or adjusted; --stamp is close or open")
    kind, meaning = cast(Literal["raw", "adjusted"], prices), cast(Literal["close", "open"], stamp)
    with shown(True, "ingest") as advance:
        if source is None:
            report = Lake(lake).ingest(
                paths, table, market=market, prices=kind, symbol=symbol, stamp=meaning, zone=zone,
                progress=lambda done, total, _: advance(done, total),
            )  # fmt: skip
        else:
            report = _download(Lake(lake), source, symbols, start, end, market)
    _show_report(report, as_json=as_json)


def _download(
    lake: object, source: str, symbols: str | None, start: str | None, end: str | None, market: str | None
) -> IngestReport:
    import datetime as dt

    from quantkit.data.lake import Lake
    from quantkit.data.sources import source_by_name

    if symbols is None or start is None:
        raise ConfigError("a download needs --symbols and --start")
    codes = [code.strip() for code in symbols.split(",") if code.strip()]
    seoul = dt.timezone(dt.timedelta(hours=9))
    last = end or dt.datetime.now(seoul).date().isoformat()
    return cast(Lake, lake).download(source_by_name(source), codes, start=start, end=last, market=market)


def _show_report(report: IngestReport, *, as_json: bool) -> None:
    if as_json:
        console.emit(dataclasses.asdict(report))
        return
    facts = ("added", "replaced", "quarantined", "flagged", "sources", "skipped", "actions", "version")
    console.table("ingest", ("what", "count"), [(name, f"{getattr(report, name):,}") for name in facts])
    for reason, count in report.reasons.items():
        console.say(f"quarantined {count:,}: {reason}")
    if report.actions:
        console.say(f"{report.actions} actions derived from base prices, kind unknown: see `quantkit data check`")
    for note in report.notes:
        console.say(f"note: {note}")


@app.command("list")
def list_tables(lake: LakeOption = _LAKE, as_json: JsonOption = False) -> None:
    """Tables, versions, rows, symbols, dates."""
    from quantkit.data.lake import Lake

    tables, features = Lake(lake).info(), Lake(lake).features()
    if as_json:
        console.emit({
            "lake": str(lake), "tables": [dataclasses.asdict(one) for one in tables],
            "features": [dataclasses.asdict(one) for one in features],
        })  # fmt: skip
        return
    if not tables:
        console.say(f"{lake} holds no table yet; fill it with `quantkit data ingest FILES`")
        return
    rows = [
        (
            one.table,
            str(one.version),
            f"{one.rows:,}",
            f"{one.symbols:,}",
            one.first or "",
            one.last or "",
            f"{one.bytes / 1e6:,.1f}",
        )
        for one in tables
    ]
    console.table(str(lake), ("table", "version", "rows", "symbols", "first", "last", "MB"), rows)
    if features:
        lines = [
            (one.name, one.kind, f"{one.rows:,}", f"{one.symbols:,}", one.first or "", one.last or "",
             "by period" if one.periods else "")
            for one in features
        ]  # fmt: skip
        console.table("features", ("name", "kind", "rows", "symbols", "first as of", "last as of", ""), lines)


@app.command()
def check(
    lake: LakeOption = _LAKE,
    version: Annotated[int | None, typer.Option(help="Version of bars_1d.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Hold the daily bars against the exchange's rules and calendar."""
    from quantkit.data.lake import Lake

    found = Lake(lake).check(version=version)
    if as_json:
        console.emit(dataclasses.asdict(found))
        return
    _show_survey(found)


def _show_survey(found: Survey) -> None:
    console.say(
        f"{found.table} version {found.version}: {found.rows:,} rows, {found.symbols:,} symbols, "
        f"{found.first} to {found.last}"
    )
    if found.regimes:
        console.say("raw prices and the rules of their day:")
    for one in found.regimes:
        when = f"{'from ' + one.since if one.since else 'always'}{' to ' + one.until if one.until else ''}"
        share = [
            f"{name} {100 * count / max(one.bars, 1):.3f} %" for name, count in zip(_PRICES, one.on_grid, strict=True)
        ]
        console.say(f"  {one.market} {when}: {one.bars:,} bars traded")
        console.say(f"    on the tick grid: {', '.join(share)}")
        why = ", ".join(f"{name} {count:,}" for name, count in one.reasons.items() if name != "no_trade") or "none"
        inside = 100 * one.inside / max(one.judged, 1)
        console.say(f"    inside the limits: {inside:.4f} % of {one.judged:,}; exceptions: {why}")
    flags = ", ".join(f"{name} {count:,}" for name, count in found.flags.items() if count) or "none"
    console.say(f"flags: {flags}")
    console.say(f"not explained by a rule: {found.defect_count:,} bars")
    for defect in found.defects[:20]:
        prices = "/".join(f"{price:g}" for price in defect.prices)
        console.say(f"  {defect.symbol} {defect.date} {prices} base {defect.base:g}")
    _show_gaps(found)
    quarantine = ", ".join(f"{name} {count:,}" for name, count in found.quarantine.items()) or "empty"
    console.say(f"quarantine: {quarantine}")
    console.say(
        f"actions of unknown kind: {len(found.unknown_actions):,} "
        "(state what they are: quantkit data ingest FILE --table actions)"
    )
    for symbol, date, factor in found.unknown_actions[:20]:
        console.say(f"  {symbol} {date} price factor {factor:.6g}")
    if found.unknown_market:
        console.say(f"no market known: {len(found.unknown_market):,} symbols ({', '.join(found.unknown_market[:5])})")


def _show_gaps(found: Survey) -> None:
    missing = len(found.market_gaps)
    shown = ", ".join(found.market_gaps[:10]) + (", ..." if missing > 10 else "")
    console.say(f"sessions without any row: {missing:,}" + (f" ({shown})" if missing else ""))
    names = ", ".join(f"{symbol} {count:,}" for symbol, count in found.gap_symbols[:5])
    console.say(
        f"rows missing between a symbol's first and last: {found.symbol_gaps:,}"
        + (f" (most: {names})" if names else "")
    )


@app.command()
def show(
    symbol: Annotated[str, typer.Argument(help="For example 005930.")],
    lake: LakeOption = _LAKE,
    freq: Annotated[str, typer.Option(help="1d, 1m, 5m, ...")] = "1d",
    start: Annotated[str | None, typer.Option(help="First date.")] = None,
    end: Annotated[str | None, typer.Option(help="Last date.")] = None,
    rows: Annotated[int, typer.Option("--rows", "-n", min=1, help="How many of the last bars.")] = 20,
    features: Annotated[str | None, typer.Option("--features", help="Features as known then, commas between.")] = None,
    as_json: JsonOption = False,
) -> None:
    """The last bars of a symbol, as traded, and what was known of features at each."""
    from quantkit.data.lake import Lake

    bars = Lake(lake).bars([symbol], start, end, freq)
    first = max(0, len(bars) - rows)
    names = [name.strip() for name in (features or "").split(",") if name.strip()]
    known = [_known(bars, name) for name in names]
    shown = [_bar(bars, row) for row in range(first, len(bars))]
    if as_json:
        for row, bar in enumerate(shown, first):
            if names:
                bar["features"] = {name: values[row] for name, values in zip(names, known, strict=True)}
        console.emit({"symbol": symbol, "name": bars.names.get(symbol), "market": bars.markets[0],
                      "version": bars.version, "prices": bars.prices, "bars": shown})  # fmt: skip
        return
    title = f"{symbol} {bars.names.get(symbol, '')} {bars.markets[0]}, {len(bars):,} bars, {bars.prices} prices"
    lines = []
    for row, bar in enumerate(shown, first):
        state = "" if bar["traded"] else "no trade" if bar["valid"] else "missing"
        prices = [_price(bar[name], bars.minor_unit) for name in ("open", "high", "low", "close")]
        then = ["" if values[row] is None else f"{values[row]}" for values in known]
        lines.append((str(bar["time"]), *prices, _price(bar["volume"], 1), f"{bar['factor']:.6g}", *then, state))
    console.table(title, ("time", "open", "high", "low", "close", "volume", "factor", *names, ""), lines)


def _known(bars: Bars, name: str) -> list[float | str | None]:
    """What was known of a feature of the only symbol at each bar; text as text."""
    labels = bars.feature_labels(name)
    values = bars.feature(name)[:, 0].tolist()
    return [None if value != value else labels[int(value)] if labels else value for value in values]


def _bar(bars: Bars, row: int) -> dict[str, object]:
    stamp = bars.index[row]
    facts: dict[str, object] = {
        "time": stamp.strftime("%Y-%m-%d %H:%M") if bars.intraday else stamp.strftime("%Y-%m-%d")
    }
    facts |= {name: float(bars.field(name)[row, 0]) for name in ("open", "high", "low", "close", "volume")}
    facts |= {
        "factor": float(bars.factor[row, 0]),
        "traded": bool(bars.traded[row, 0]),
        "valid": bool(bars.valid[row, 0]),
    }
    return facts


def _price(value: object, minor_unit: int) -> str:
    return f"{float(cast(float, value)):,.{2 if minor_unit == 100 else 0}f}"
