"""`quantkit emulate`: a broker's servers on this machine, over replayed or made-up sessions."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import signal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quantkit.cli import console
from quantkit.cli import inputs as given
from quantkit.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from quantkit.data.bars import Bars
    from quantkit.emulator.exchange import Exchange
    from quantkit.emulator.kis import Customer, KisEmulator
    from quantkit.emulator.sources import Warrant

app = typer.Typer(help="Run a broker's servers on this machine, to rehearse against.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Run a broker's servers on this machine, to rehearse against."""


@app.command("kis")
def kis(
    date: Annotated[str | None, typer.Option("--date", help="First session. Default: the last of the prices.")] = None,
    overseas: Annotated[
        str | None, typer.Option(help="Names of the lake to quote as overseas stocks, commas between.")
    ] = None,
    sessions: Annotated[int, typer.Option(help="How many sessions to run.")] = 1,
    symbols: given.Symbols = None,
    lake: given.LakePath = Path("data/lake"),
    freq: given.Freq = "1d",
    random: Annotated[int | None, typer.Option("--random", help="Make prices up from this seed; no lake.")] = None,
    names: Annotated[int, typer.Option(help="How many names to make up.")] = 20,
    real: Annotated[bool, typer.Option("--real", help="Speak as the real servers do, not as those for paper.")] = False,
    speed: Annotated[float, typer.Option(help="Emulated seconds in one second; 0: time stands.")] = 1.0,
    since: Annotated[str, typer.Option("--from", help="Time of day to begin at, Seoul; 06:00 or later.")] = "08:50",
    accounts: Annotated[int, typer.Option(help="How many accounts, each with a key.")] = 1,
    cash: given.Cash = 100_000_000,
    faults: Annotated[Path | None, typer.Option(help="What goes wrong: a .json or .toml plan of kinds, below.")] = None,
    calls: Annotated[int | None, typer.Option(help="Requests a second for a key. Default: 20, on paper 2.")] = None,
    ledger: Annotated[
        int | None, typer.Option(help="Requests a second that ask for an account, counted besides. Default: no count.")
    ] = None,
    port: Annotated[int, typer.Option(help="Of the REST server; 0: any free one.")] = 29443,
    stream_port: Annotated[int, typer.Option(help="Of the WebSocket server; 0: any free one.")] = 31000,
    keys: Annotated[Path, typer.Option(help="File for the keys of the accounts.")] = Path("kis_emulator.yaml"),
    seed: Annotated[int, typer.Option(help="Of the crowd, the prices between bars and the keys.")] = 0,
) -> None:
    """Serve KIS's REST and WebSocket on 127.0.0.1 over sessions of the lake.

    quantkit emulate kis --lake data/lake --date 2024-05-02 --speed 60 --accounts 3

    quantkit emulate kis --random 1 --names 5 --speed 60

    Runs until its sessions are over or Ctrl-C. --keys gets the keys of its made-up accounts; they open nothing else.

    --faults, or POST /emulator/faults with the same as JSON, GET /emulator/state tells what happened. Kinds:
    request_lost request_late answer_lost answer_late server_error garbage rate_limited token_expired; notice_duplicated
    notice_reordered notice_missing notice_late fill_first cancel_races_fill not_taken_yet; list_lags page_missing
    stale_snapshot; socket_stall socket_silent socket_drop frame_garbage; token_revoked session_lingers
    registration_refused registration_duplicated; clock_skew. Fields, and what each may concern (tokens, the stream's
    opening, ...): docs/live.md, Faults.
    """
    if sessions < 1 or accounts < 1:
        raise ConfigError(f"--sessions {sessions} --accounts {accounts}: at least one is needed of each")
    from quantkit.emulator.faults import FaultPlan

    plan = None if faults is None else FaultPlan.read(faults)
    bars = _bars(random, names, sessions, lake, symbols, freq)
    exchange, start = exchange_over(
        bars, date=date, sessions=sessions, since=since, seed=seed,
        charts=None if random is not None else partial(_charts, lake, bars.symbols),
        warrants=None if random is not None else _warrants(lake),
    )  # fmt: skip
    asyncio.run(
        _serve(
            exchange, keys=keys, real=real, start=start, speed=speed, accounts=accounts, cash=int(cash), faults=plan,
            calls=calls, ledger=ledger, port=port, stream_port=stream_port, seed=seed,
            overseas=None if overseas is None else partial(_charts, lake, given.parse_symbols(overseas)),
        )
    )  # fmt: skip


def _bars(random: int | None, names: int, sessions: int, lake: Path, symbols: str | None, freq: str) -> Bars:
    """Prices to replay."""
    if random is not None:
        from quantkit.emulator.exchange import random_bars

        return random_bars(seed=random, symbols=names, sessions_count=max(61, sessions + 60))
    from quantkit.market import KRX_MARKETS

    if not lake.is_dir():
        raise ConfigError(f"no lake at {lake}: fill one with `quantkit data ingest`, or make prices up with --random 1")
    bars = given.open_lake(lake).bars(given.parse_symbols(symbols), freq=freq)
    if (strange := sorted(set(bars.markets) - set(KRX_MARKETS))) != []:
        raise ConfigError(
            f"{lake}: names of {', '.join(strange)} are no names of the Korea Exchange; give --symbols, or --random 1"
        )
    return bars


def _charts(lake: Path, symbols: Sequence[str] | None, freq: str) -> Bars | None:
    """Bars of another length for charts of the past, where the lake has them."""
    found = given.open_lake(lake)
    return found.bars(symbols, freq=freq) if f"bars_{freq}" in found.tables() else None


def _warrants(lake: Path) -> dict[str, Warrant]:
    """Terms of ELWs, as the lake has them."""
    from quantkit.data.reference import Instruments
    from quantkit.data.tables import Table
    from quantkit.emulator.sources import Warrant
    from quantkit.market.days import date_of

    found = {}
    for symbol, one in Instruments.load(Table(given.open_lake(lake).path / "instruments")).items():
        if one.market == "ELW":
            found[symbol] = Warrant(
                underlyings=tuple(filter(None, (one.underlying or "").split(","))), right=one.warrant or "",
                strike=one.strike, barrier=one.barrier,
                last_day=None if one.delisting is None else date_of(one.delisting) - dt.timedelta(days=1),
            )  # fmt: skip
    return found


def exchange_over(
    bars: Bars, *, date: str | None, sessions: int, since: str, seed: int,
    charts: Callable[[str], Bars | None] | None = None, warrants: Mapping[str, Warrant] | None = None,
) -> tuple[Exchange, int]:  # fmt: skip
    """An exchange over sessions of these bars, and when its clock begins, UTC nanoseconds."""
    import numpy as np

    from quantkit.data.dates import epoch_day
    from quantkit.emulator.exchange import BarSource, Exchange
    from quantkit.emulator.session import BEGINS, SECOND, midnight, seoul

    given.check_dates(date, None, names=("--date", "--date"))
    days = np.unique(bars.days)
    first = int(days[-min(sessions, len(days))]) if date is None else epoch_day(date)
    if first not in days:
        low, high = (str(np.datetime64(int(each), "D")) for each in (days[0], days[-1]))
        raise ConfigError(f"--date {date}: there is no bar of that day; bars run from {low} to {high}")
    last = int(days[min(len(days) - 1, int(np.searchsorted(days, first)) + sessions - 1)])
    source = BarSource(bars, start=first, end=last, seed=seed, charts=charts, warrants=warrants)
    try:
        clock = dt.time.fromisoformat(since)
    except ValueError as error:
        raise ConfigError(f"--from {since}: a time of day such as 08:50 is needed") from error
    begins = midnight(first) + (clock.hour * 3600 + clock.minute * 60 + clock.second) * SECOND
    made = Exchange(source, seed=seed)
    if not midnight(first) + BEGINS <= begins < _over(made):
        early, late = seoul(midnight(first) + BEGINS)[:5], seoul(_over(made))[:5]
        raise ConfigError(f"--from {since}: the exchange's day begins at {early}, and the last one ends at {late}")
    return made, begins


def _over(exchange: Exchange) -> int:
    """When an emulator has nothing left to do: an hour after the last close."""
    from quantkit.emulator.session import SECOND, session_clock

    return session_clock(exchange.source.days()[-1]).close + 3600 * SECOND


async def _serve(exchange: Exchange, *, keys: Path, real: bool, **options: Any) -> None:
    """Until the sessions are over, or somebody ends it."""
    from quantkit.emulator.kis import KisEmulator
    from quantkit.emulator.session import day_of, seoul
    from quantkit.market.days import date_of

    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, ended.set)
    over = _over(exchange)
    try:
        server = await KisEmulator(exchange, paper=not real, **options).__aenter__()
    except (OSError, OverflowError) as error:  # the latter: a number that no port has
        raise ConfigError(f"--port {options['port']} or --stream-port {options['stream_port']}: {error}") from error
    try:
        write_keys(keys, server)
        console.say(f"KIS {'real' if real else 'paper (모의투자)'}, emulated: {server.rest} and {server.stream}")
        console.say(f"{len(exchange.source.symbols)} names; keys of accounts: {len(server.customers)}, in {keys}")
        first = exchange.source.symbols[0]
        console.say(f"ask it: KIS_CONFIG={keys} quantkit kis call inquire_price market=J symbol={first}")
        told = ""
        while not ended.is_set() and server.alive and server.pace.now() < over:
            now = server.pace.now()
            stamp = f"{date_of(day_of(now))} {seoul(now)[:5]}"
            state = server.state()
            if stamp[:-1] != told:  # each ten emulated minutes
                told = stamp[:-1]
                console.note(
                    f"{stamp}  requests {state['requests']:,}  frames {state['frames']:,}  sessions {state['sessions']}"
                    f"  faults {sum(state['injected'].values())}"
                )
            try:
                await asyncio.wait_for(ended.wait(), 0.25)
            except TimeoutError:
                continue
    finally:
        await server.__aexit__(None, None, None)
    console.note("ended")


def write_keys(path: Path, server: KisEmulator) -> None:
    """Keys and addresses in a file as `quantkit.kis` reads it, for the owner's eyes only: the first account's by name,
    all of them below."""

    def named(one: Customer) -> dict[str, str]:
        return {"KIS_APP_KEY": one.appkey, "KIS_APP_SECRET": one.appsecret, "KIS_ACCOUNT_NO": f'"{one.account}"',
                "KIS_HTS_ID": one.hts_id, "KIS_IS_PAPER": str(server.paper).lower(), "KIS_EMULATOR": server.rest,
                "KIS_EMULATOR_STREAM": server.stream}  # fmt: skip

    lines = [
        "# Keys of emulated accounts; they open nothing but this emulator.",
        f"# KIS_CONFIG={path} makes them yours.",
    ]
    lines += [f"{name}: {value}" for name, value in named(server.customers[0]).items()]
    lines.append("accounts:")
    for one in server.customers:
        lines += [f"{'    ' if at else '  - '}{name}: {value}" for at, (name, value) in enumerate(named(one).items())]
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
