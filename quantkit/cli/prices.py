"""Where prices come from, and with them time: the one place where `--prices NAME` becomes a feed and a clock.

    emulator   an exchange on this machine replays sessions of the lake, or of a made-up market, at any speed
    kis        KIS's stream and charts (`kis_prices`), or those of an emulator of its servers

Contract: `PRICES` holds them by name; each is made from what the command line says and gives a `Prices`. An emulated
market stands still while nobody runs it: a run goes on at the moment at which the one before it ended or was killed.
A broker's prices come in their own time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from quantkit.cli import console
from quantkit.cli import inputs as given
from quantkit.data.dates import day_text, epoch_day, last_day
from quantkit.errors import BadData, ConfigError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from quantkit.data.bars import Bars
    from quantkit.emulator.exchange import Exchange
    from quantkit.live.clock import Clock
    from quantkit.live.hub import HubSettings
    from quantkit.market.costs import Costs
    from quantkit.strategy import Strategy
    from quantkit.trading.ports import Feed

Result = TypeVar("Result")

SECOND: Final = 1_000_000_000
MINUTE: Final = 60 * SECOND
BEFORE: Final = 70 * MINUTE  # the open: when a run begins
AFTER: Final = 45 * MINUTE  # the close: when it ends; the jobs of the day are done by then
HISTORY: Final = 300  # sessions of a made-up market before the first that is traded


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the command line says of prices."""

    strategy: Strategy
    file: str
    symbols: tuple[str, ...] | None
    lake: Path
    data: Path | None
    market: str | None
    freq: str
    first: str | None
    last: str | None
    speed: str
    seed: int | None
    tick_seconds: float
    account: str = ""
    real: bool | None = None  # of a broker with two worlds: which one; None: as its keys say


class Prices(Protocol):
    """Prices and their time."""

    name: str
    market: str  # whose hours count
    hub: HubSettings
    until: int | None  # when the run is over; None: never
    seed: int | None  # of chance in the run; None: the machine's
    markets: dict[str, str]  # of each name
    speed: float | None  # times as fast as the machine's clock; None: as fast as can be computed

    def start(self, after: int) -> int:
        """When a run begins. after: the last moment that the account remembers, 0 for none. UTC nanoseconds."""

    def history(self, until: int) -> Bars:
        """Bars that ended by then."""

    def feed(self, clock: Clock) -> Feed:
        """The feed, on the clock of the run."""

    def run(self, main: Callable[[Clock], Awaitable[Result]], *, start: int) -> Result:
        """Run a program in the time of these prices."""


class EmulatedPrices:
    """Sessions of a panel of bars, on an emulated exchange. speed: times as fast as the machine's clock; None: as fast
    as it can be computed."""

    name: str = "emulator"

    def __init__(
        self, bars: Bars, *, first: str | None, last: str | None, speed: float | None, seed: int, tick_seconds: float
    ) -> None:
        from quantkit.live.hub import HubSettings

        self.bars, self.tick_seconds = bars, tick_seconds
        self.speed: float | None = speed
        self.seed: int | None = seed
        self.markets = dict(zip(bars.symbols, bars.markets, strict=True))
        self.market = "KOSPI"  # whose hours the exchange keeps
        self.step = max(1.0, tick_seconds / 60.0)  # seconds between two looks at the exchange
        times = 1.0 if speed is None else max(1.0, speed)  # answers take the machine's seconds
        self.hub = HubSettings(silence=max(30.0 * times, 20.0 * tick_seconds), answer=30.0 * times)
        self.days = _replayed(bars, first, last)
        self.until: int | None = _clock(self.days[-1]).close + AFTER
        self._exchange: Exchange | None = None

    @cached_property
    def source(self) -> Any:
        """What the exchange replays."""
        from quantkit.emulator.sources import BarSource

        return BarSource(
            self.bars, seed=self.seed or 0, tick_seconds=self.tick_seconds, start=self.days[0], end=self.days[-1]
        )

    @property
    def about(self) -> dict[str, Any]:
        """What makes these prices the same again."""
        from quantkit.live.promote import past_digest

        past = self.bars.slice(0, int(self.bars.days.searchsorted(self.days[0])) + 1)
        return {"seed": self.seed, "tick_seconds": self.tick_seconds, "first": day_text(self.days[0]),
                "symbols": list(self.bars.symbols), "past": past_digest(past)[:16]}  # fmt: skip

    def remember(self, path: Path, *, account: str, cash: int, costs: Costs) -> None:
        """Let the exchange hold an account that outlives this process."""
        from quantkit.emulator.memory import RememberedExchange

        if self._exchange is None:
            self._exchange = RememberedExchange(
                self.source, path, account=account, cash=cash, costs=costs, seed=self.seed or 0, about=self.about
            )

    @property
    def exchange(self) -> Exchange:
        """The exchange that gives these prices."""
        from quantkit.emulator.exchange import Exchange

        if self._exchange is None:
            self._exchange = Exchange(self.source, seed=self.seed or 0)
        return self._exchange

    def start(self, after: int) -> int:
        """The hour before the first session, or the moment after the last that is remembered."""
        assert self.until is not None
        if after >= self.until:
            raise ConfigError(
                f"the account stands at {moment(after)}, after the last of these sessions ({day_text(self.days[-1])}): "
                "give a later --to, or another account"
            )
        return max(int(_clock(self.days[0]).open) - BEFORE, after + 1)

    def history(self, until: int) -> Bars:
        """Bars that ended by then: of sessions before the first as the lake has them, later ones as they traded."""
        from quantkit.host import bar_ends

        ends = bar_ends(self.bars, market=self.market)
        found = self.bars.slice(0, int(ends.searchsorted(until, side="right")))
        traded = int(found.days.searchsorted(self.days[0]))
        if self._exchange is None or traded == len(found):
            return found
        self._exchange.advance(until)
        return as_traded(found, self._exchange, ends[traded : len(found)], traded)

    def feed(self, clock: Clock) -> Feed:
        """The exchange's prices."""
        from quantkit.emulator.feed import EmulatedFeed

        return EmulatedFeed(self.exchange, now=clock.now_ns, step=self.step)

    def run(self, main: Callable[[Clock], Awaitable[Result]], *, start: int) -> Result:
        """On virtual time, or on the machine's at its speed."""
        from quantkit.live.clock import run_paced, run_virtual

        if self.speed is None:
            return run_virtual(main, start=start)
        return run_paced(main, start=start, speed=self.speed)


def as_traded(bars: Bars, exchange: Exchange, ends: Any, first: int) -> Bars:
    """The bars with the rows from `first` on as the exchange printed them: our own trades moved its prices."""
    from quantkit.data.bars import Bars
    from quantkit.emulator.candles import candles

    names = [name for name in ("open", "high", "low", "close", "volume", "value") if bars.has(name)]
    fields: dict[str, Any] = {name: bars.field(name).copy() for name in names}
    if bars.has("base"):
        fields["base"] = bars.field("base")
    rows = {int(end): row for row, end in enumerate(ends, start=first)}
    for column, symbol in enumerate(bars.symbols):
        for candle in candles(exchange, symbol, bars.freq, int(ends[0]) - 1, int(ends[-1])):
            row = rows.get(candle.close_time)
            for name in names if row is not None and candle.volume else ():
                fields[name][row, column] = getattr(candle, name)
    return Bars(
        times=bars.times, days=bars.days, symbols=bars.symbols, fields=fields, flags=bars.flags, actions=bars.actions,
        markets=bars.markets, market_changes=bars.market_changes, names=bars.names, prices=bars.prices, freq=bars.freq,
        version=bars.version, leverage=bars.leverage, source=bars.source, minor_unit=bars.minor_unit,
        features=bars.features,
    )  # fmt: skip


def moment(time: int) -> str:
    """A moment in Seoul, as people read it."""
    import numpy as np

    return f"{np.datetime64(time // SECOND + 9 * 3600, 's')} in Seoul".replace("T", " ")


def _clock(day: int) -> Any:
    from quantkit.emulator.session import session_clock

    return session_clock(day)


def _replayed(bars: Bars, first: str | None, last: str | None) -> list[int]:
    """Epoch days to be replayed; each must have bars, and two bars must lie before them."""
    import numpy as np

    from quantkit.market.calendar import next_session, sessions

    held = np.unique(bars.days)
    if not len(held):
        raise BadData("there are no bars")
    begin = int(held[-1]) if first is None else epoch_day(first, what="--from")
    end = int(held[-1]) if last is None else last_day(last, what="--to")
    if begin > end:
        raise ConfigError(f"--from {day_text(begin)} is after --to {day_text(end)}")
    days = sessions(day_text(begin), day_text(end)).astype(np.int64)
    if not len(days):
        following = next_session(day_text(end))
        raise ConfigError(
            f"the exchange was closed from {day_text(begin)} to {day_text(end)}; the next session is {following}"
        )
    lacking = np.setdiff1d(days, held)
    if len(lacking):
        raise BadData(
            f"no bars of {day_text(int(lacking[0]))}" + (f" and {len(lacking) - 1} more sessions" if len(lacking) > 1
            else "") + f": there are {day_text(int(held[0]))} to {day_text(int(held[-1]))}"
        )  # fmt: skip
    known = int(bars.days.searchsorted(days[0]))
    if known < 2:
        raise BadData(f"{known} bars before {day_text(int(days[0]))}: a rule needs at least two to begin with")
    return [int(day) for day in days]


# --- from the command line --------------------------------------------------------------------------------------------


def emulated(wanted: Wanted) -> EmulatedPrices:
    """The emulator over the lake, or over a made-up market where that lacks the prices and a seed is given."""
    options: dict[str, Any] = {
        "first": wanted.first, "last": wanted.last, "speed": speed_of(wanted.speed), "seed": wanted.seed or 0,
        "tick_seconds": wanted.tick_seconds,
    }  # fmt: skip
    given.check_dates(wanted.first, wanted.last, names=("--from", "--to"))
    if not wanted.tick_seconds > 0:
        raise ConfigError(f"--tick-seconds {wanted.tick_seconds:g}: seconds between two trades, above 0")
    try:
        return EmulatedPrices(_checked(stored_bars(wanted)), **options)
    except (BadData, _NoLake) as lacking:
        if wanted.data is not None:
            raise
        if wanted.seed is None:
            raise type(lacking)(f"{lacking}; or give --seed N for made-up prices") from None
        if wanted.symbols is None or wanted.first is None or wanted.freq != "1d":
            raise type(lacking)(
                f"{lacking}; made-up prices are daily and need --symbols and --from besides --seed"
            ) from None
        made = EmulatedPrices(_made_up(wanted), **options)
        console.note(f"made-up prices (seed {wanted.seed}), for {lacking}")
        return made


class _NoLake(ConfigError):
    """There is no lake."""


def stored_bars(wanted: Wanted) -> Bars:
    """What the lake or the file has of the names."""
    from quantkit import Bars

    if wanted.data is None and not wanted.lake.is_dir():
        raise _NoLake(f"no lake at {wanted.lake}: fill one with `quantkit data ingest FILE --lake {wanted.lake}`")
    found = given.Request(
        strategy=wanted.file, symbols=wanted.symbols, end=wanted.last, lake=wanted.lake, data=wanted.data,
        market=wanted.market, freq=wanted.freq,
    ).bars(wanted.strategy)  # fmt: skip
    if not isinstance(found, Bars):
        raise ConfigError(f"{found.shape[0]:,} bars are too many to keep in memory: give fewer names with --symbols")
    return found


def _checked(bars: Bars) -> Bars:
    """Bars that a Korean exchange can replay."""
    from quantkit.market import KRX_MARKETS

    abroad = sorted({market for market in bars.markets if market not in KRX_MARKETS})
    if abroad:
        raise ConfigError(f"the emulator is a Korean exchange; it cannot trade names of {', '.join(abroad)}")
    return bars


def _made_up(wanted: Wanted) -> Bars:
    """A made-up market: three hundred sessions and more before the first that is traded."""
    from quantkit.emulator.sources import random_bars
    from quantkit.market.calendar import sessions

    assert wanted.first is not None
    begin = epoch_day(wanted.first, what="--from")
    end = begin if wanted.last is None else last_day(wanted.last, what="--to")
    known = max(HISTORY, wanted.strategy.warmup + 20)
    before = sessions(day_text(begin - 2 * known - 60), day_text(begin - 1))[-known:]
    count = len(before) + len(sessions(day_text(begin), day_text(end)))
    return random_bars(
        seed=wanted.seed or 0, symbols=list(wanted.symbols or ()), start=str(before[0]), sessions_count=count
    )


def speed_of(text: str) -> float | None:
    """`max` is None; else a number above 0."""
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        raise ConfigError(f"--speed {text}: a number of times real time, or max") from None
    if not 0.0 < speed < 1e6:
        raise ConfigError(f"--speed {text}: time has to pass; a number above 0 and below a million, or max")
    return speed


def _kis(wanted: Wanted) -> Prices:
    from quantkit.cli.kis_prices import KisPrices

    return KisPrices(wanted)


PRICES: Final[dict[str, Callable[[Wanted], Prices]]] = {"emulator": emulated, "kis": _kis}
"""Makers by the name that `--prices` and `feed` of an account take."""


def prices_of(name: str, wanted: Wanted) -> Prices:
    """The prices of a name. ConfigError names those that there are."""
    if name not in PRICES:
        raise ConfigError(f"--prices {name}: expected one of {', '.join(PRICES)}")
    return PRICES[name](wanted)
