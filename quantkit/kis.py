"""A client for 한국투자증권 from settings and keys, for people and for commands.

    from quantkit.kis import connect

    async with connect() as kis:                      # keys as `quantkit.brokers.kis.sources` finds them
        price = await kis.price("005930")
        found = await kis.call("inquire_daily_price", market="J", symbol="005930", period="D", raw_price="1")
        found.frame()

    stream = KisStream(kis, chance=...)               one session: prices and own orders
    hub = MarketHub(feed := KisFeed(kis, stream), ..., settings=hub_settings(feed))

`client_of` is the one place where an account of the settings becomes a client; `run_client` runs a program with one in
the time of its server, which is an emulator's own. Options of an account with `broker = "kis"`:

    environment     "real" or "paper"; without it, what the keys say
    keys            a file of keys, kis_devlp.yaml or a sealed one, where the account has no `secrets`
    emulator        http://127.0.0.1:PORT: an emulator instead of KIS; stream: its WebSocket, where it is another port
    rate            requests a second, where KIS has granted other ones
    hashkey         true: send a hash key with orders
    trust_throttle  true: believe that an order refused for its rate limit was not executed
    markets         { "500001" = "ETN", "58J297" = "ELW" }: names whose codes look different on the wire

Where keys are found, `KIS_EMULATOR` and `KIS_EMULATOR_STREAM` may say that they are an emulator's, as its own file
does.
ConfigError for what is not there.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar
from weakref import WeakValueDictionary

import httpx

from quantkit.brokers.kis import sources
from quantkit.brokers.kis.client import KisClient, Options
from quantkit.brokers.kis.codes import RATE, Environment
from quantkit.brokers.kis.limiter import CLOSER_S, Limiter
from quantkit.brokers.kis.server import Server, server_of
from quantkit.brokers.kis.transport import Timeouts
from quantkit.brokers.kis.vault import vault_key
from quantkit.errors import ConfigError
from quantkit.progress import Countdown

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from quantkit.brokers.kis.feed import KisFeed
    from quantkit.brokers.kis.limiter import Clock
    from quantkit.brokers.kis.server import Keys
    from quantkit.brokers.kis.wire import Exchange
    from quantkit.live.clock import Clock as LiveClock
    from quantkit.live.hub import HubSettings
    from quantkit.settings import Settings

Result = TypeVar("Result")
_limiters: WeakValueDictionary[tuple[str, str, int], Limiter] = WeakValueDictionary()  # a limiter holds its clock
OPTIONS: Final = ("environment", "keys", "emulator", "stream", "rate", "hashkey", "trust_throttle", "markets")


def connect(account: str | None = None, *, emulator: str | None = None) -> KisClient:
    """A client on the machine's clock, for an account of the settings or for the keys that are found without one."""
    from quantkit import settings
    from quantkit.live.clock import SystemClock

    return client_of(settings.load(), account, SystemClock(), emulator=emulator)


def client_of(
    told: Settings, account: str | None, clock: Clock, *, listen: Callable[[Exchange], None] | None = None,
    emulator: str | None = None, real: bool | None = None, pace: float = 1.0, lines: bool = False,
) -> KisClient:  # fmt: skip
    """A client for an account of the settings whose broker is "kis", or for the keys that are found without one. Where
    it waits for a token, standard error says so; lines: in whole lines, since something else is drawn there.

    real: True and False insist on the environment, None takes what the account or the keys say. pace: of the clock, in
    seconds of it for one of the machine's. Clients of one app key on one clock share their limiter. ConfigError for
    options that are not there, missing keys, and keys of the other environment.
    """
    keys, server, options, environ = _found(told, account, emulator, real)
    rate = options.get("rate")
    if rate is not None and (not isinstance(rate, int) or rate < 1):
        raise ConfigError(f"account {account}: options.rate={rate!r}, expected requests a second, 1 or more")
    place = (keys.fingerprint, server.name, id(clock))
    limiter = _limiters.get(place)
    if limiter is None or (rate is not None and limiter.rate != rate):
        window = 1.0 + CLOSER_S * max(1.0, pace)
        limiter = _limiters[place] = Limiter(rate or RATE[keys.environment], clock, window_s=window)
    return KisClient(
        keys, clock=clock, limiter=limiter, folder=sources.token_folder(environ), server=server,
        vault_key=vault_key(environ),
        markets=dict(options.get("markets", {})), listen=listen,
        waits=Countdown("KIS gives a key one token a minute", lines=lines),
        options=Options(
            hashkey=bool(options.get("hashkey", False)),
            trust_throttle=bool(options.get("trust_throttle", False)),
            timeouts=Timeouts().times(max(1.0, pace)),
        ),
    )  # fmt: skip


def server_for(told: Settings, account: str | None, *, real: bool | None = None) -> Server:
    """The server that a client of an account asks. Errors as `client_of`."""
    return _found(told, account, None, real)[1]


def _found(
    told: Settings, account: str | None, emulator: str | None, real: bool | None
) -> tuple[Keys, Server, dict[str, Any], dict[str, str]]:
    """Keys of an account, their server, its options, and the environment."""
    known = None if account is None else told.account(account)
    if known is not None and known.broker != "kis":
        raise ConfigError(f"account {account}: broker={known.broker!r}, expected kis")
    options: dict[str, Any] = {} if known is None else dict(known.options)
    for name in options:
        if name not in OPTIONS:
            raise ConfigError(f"account {account}: options.{name} is not known; there are {', '.join(OPTIONS)}")
    said = options.get("environment") if real is None else "real" if real else "paper"
    if said not in (None, "real", "paper"):
        raise ConfigError(f"account {account}: options.environment={said!r}, expected real or paper")
    environ = sources.environment()
    keys = sources.find_keys(
        environ, wanted=None if said is None else Environment(said), secrets=None if known is None else known.secrets,
        file=str(options.get("keys", "")),
    )  # fmt: skip
    address = emulator or str(options.get("emulator", ""))
    server = server_of(
        keys,
        Server.emulated(keys.environment, address, str(options.get("stream", keys.stream))) if address else None,
    )
    return keys, server, options, environ


# --- the time of a server ---------------------------------------------------------------------------------------------


class ServerTime(NamedTuple):
    """What time it is where a server stands. ends: when an emulator's last session closes; None: never."""

    now: int
    pace: float
    ends: int | None


def time_of(server: Server) -> ServerTime:
    """The machine's time, or an emulator's. ConfigError where no emulator answers, where its time stands, or where it
    is the other environment's."""
    from quantkit.live.clock import SystemClock

    if not server.is_emulated:
        return ServerTime(SystemClock().now_ns(), 1.0, None)
    try:
        told = httpx.get(f"{server.rest}/emulator/state", timeout=5.0, trust_env=False).json()
        found = ServerTime(int(told["time"]), float(told["speed"]), int(told["ends"]))
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as problem:
        raise ConfigError(
            f"no emulator answers at {server.rest} ({type(problem).__name__}): `quantkit emulate kis`"
        ) from None
    speaks = Environment.PAPER if told.get("paper") else Environment.REAL
    if speaks is not server.environment:
        raise ConfigError(
            f"the emulator at {server.rest} is one of {speaks}, and keys of {server.environment} were given; "
            "`quantkit emulate kis --real` is one of real"
        )
    if not found.pace > 0.0:
        raise ConfigError(f"time stands at the emulator at {server.rest}: start it with --speed above 0")
    return found


def run_at(server: Server, main: Callable[[LiveClock], Awaitable[Result]]) -> Result:
    """Run a program in the time of a server."""
    from quantkit.live.clock import SystemClock, run_paced

    if server.is_emulated:
        told = time_of(server)
        return run_paced(main, start=told.now, speed=told.pace)

    async def now() -> Result:
        return await main(SystemClock())

    return asyncio.run(now())


def run_client(
    told: Settings, account: str | None, main: Callable[[KisClient, float], Awaitable[Result]], *,
    listen: Callable[[Exchange], None] | None = None,
) -> Result:  # fmt: skip
    """Run a program with a client of an account, in the time of its server. main: gets the client, and the pace of its
    clock."""
    server = server_for(told, account)
    pace = time_of(server).pace

    async def whole(clock: LiveClock) -> Result:
        async with client_of(told, account, clock, listen=listen, pace=pace) as client:
            return await main(client, pace)

    return run_at(server, whole)


def hub_settings(feed: KisFeed, *, pace: float = 1.0) -> HubSettings:
    """What a hub must know of KIS: names that are streamed, names of a snapshot, requests a second; and how long a
    connection may be silent, PINGPONG included, which KIS sends once a minute or more often. pace: seconds of the clock
    for one of the machine's."""
    from quantkit.live.hub import HubSettings

    times = max(1.0, pace)
    return HubSettings(
        slots=feed.slots, at_once=feed.at_once, requests_per_second=feed.requests_per_second, silence=75.0 * times,
        basket_silence=10.0 * times, answer=30.0 * times,
    )  # fmt: skip
