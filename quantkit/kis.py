"""A client for 한국투자증권 from settings and keys, for people and for commands.

    from quantkit.kis import connect

    async with connect() as kis:                      # keys as `quantkit.brokers.kis.sources` finds them
        price = await kis.price("005930")
        found = await kis.call("inquire_daily_price", market="J", symbol="005930", period="D", raw_price="1")
        found.frame()

`client_of` is the one place where an account of the settings becomes a client. Options of one with `broker = "kis"`:

    environment     "real" or "paper"; without it, what the keys say
    emulator        http://127.0.0.1:PORT: an emulator instead of KIS; stream: its WebSocket, where it is another port
    rate            requests a second, where KIS has granted other ones
    hashkey         true: send a hash key with orders
    trust_throttle  true: believe that an order refused for its rate limit was not executed
    markets         { "500001" = "ETN", "58J297" = "ELW" }: names whose codes look different on the wire

Without an account, `KIS_EMULATOR` of the environment stands for `emulator`. ConfigError for what is not there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

from quantkit.brokers.kis import sources
from quantkit.brokers.kis.client import KisClient, Options
from quantkit.brokers.kis.codes import RATE, Environment
from quantkit.brokers.kis.limiter import Limiter
from quantkit.brokers.kis.server import Server
from quantkit.brokers.kis.vault import vault_key
from quantkit.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from quantkit.brokers.kis.limiter import Clock
    from quantkit.brokers.kis.wire import Exchange
    from quantkit.settings import Settings

_limiters: WeakValueDictionary[tuple[str, str, int], Limiter] = WeakValueDictionary()  # a limiter holds its clock
OPTIONS: Final = ("environment", "emulator", "stream", "rate", "hashkey", "trust_throttle", "markets")


def connect(account: str | None = None, *, emulator: str | None = None) -> KisClient:
    """A client on the machine's clock, for an account of the settings or for the keys that are found without one."""
    from quantkit import settings
    from quantkit.live.clock import SystemClock

    return client_of(settings.load(), account, SystemClock(), emulator=emulator)


def client_of(
    told: Settings, account: str | None, clock: Clock, *, listen: Callable[[Exchange], None] | None = None,
    emulator: str | None = None, real: bool | None = None,
) -> KisClient:  # fmt: skip
    """A client for an account of the settings whose broker is "kis", or for the keys that are found without one.

    real: True and False insist on the environment, None takes what the account or the keys say. Clients of one app key
    on one clock share their limiter. ConfigError for options that are not there, missing keys, and keys of the other
    environment.
    """
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
        environ, wanted=None if said is None else Environment(said), secrets=None if known is None else known.secrets
    )
    address = emulator or str(options.get("emulator", "")) or (environ.get("KIS_EMULATOR", "") if known is None else "")
    server = Server.emulated(keys.environment, address, str(options.get("stream", ""))) if address else None
    rate = options.get("rate")
    if rate is not None and (not isinstance(rate, int) or rate < 1):
        raise ConfigError(f"account {account}: options.rate={rate!r}, expected requests a second, 1 or more")
    place = (keys.fingerprint, Server.official(keys.environment).name if server is None else server.name, id(clock))
    limiter = _limiters.get(place)
    if limiter is None or (rate is not None and limiter.rate != rate):
        limiter = _limiters[place] = Limiter(rate or RATE[keys.environment], clock)
    return KisClient(
        keys, clock=clock, limiter=limiter, folder=sources.token_folder(environ), server=server,
        vault_key=vault_key(environ),
        markets=dict(options.get("markets", {})), listen=listen,
        options=Options(
            hashkey=bool(options.get("hashkey", False)),
            trust_throttle=bool(options.get("trust_throttle", False)),
        ),
    )  # fmt: skip
