"""Where the flow of everybody else comes from: bars of the lake, recorded ticks, or a made-up market.

Contract: a source says for a session what each name did: base price, status, the two prints of the calls and the trades
between them (`SymbolDay`). It is deterministic: the same source, seed and day give the same trades. Prices are raw, as
traded; times UTC nanoseconds, days epoch days. A bar's open and close are the prints of the calls where the bar holds
them; its other trades come from `paths`. A bar that nobody traded in makes no trades.

Assumed, since bars do not tell: the opening call trades 5 % of a day's volume and the closing call 10 %, and of an
intraday bar that holds a call, 30 %.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from quantkit.data.bars import FIRST_DAY, LIQUIDATION, LISTED, TRADED, VALID, Bars
from quantkit.data.stamps import step_us
from quantkit.emulator.grid import Grid
from quantkit.emulator.paths import Flow, Ranges, walk
from quantkit.emulator.session import RANDOM_END, SECOND, Clock, day_of, session_clock
from quantkit.errors import BadData
from quantkit.market import MARKET_ID, grid
from quantkit.market.calendar import sessions
from quantkit.market.rules import rule_rows
from quantkit.trading.ports import Candle

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from quantkit.emulator.paths import FloatArray
    from quantkit.trading.ports import Tick

OPENING_SHARE: Final = 0.05
CLOSING_SHARE: Final = 0.10
CALL_SHARE: Final = 0.30
_SETTLED: Final = RANDOM_END + SECOND  # the call has printed by then


def no_flow() -> Flow:
    """Nobody traded."""
    return Flow(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64), np.zeros(0, np.int64))


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolDay:
    """One name on one day. opening, closing: price and shares of the calls' prints, None where there was none."""

    symbol: str
    market: str
    base: float
    previous_close: float
    flow: Flow = field(default_factory=no_flow)
    opening: tuple[float, int] | None = None
    closing: tuple[float, int] | None = None
    halted: bool = False
    liquidation: bool = False
    first_day: bool = False
    calm: bool = False  # KOSPI 200: narrower volatility interruptions
    deep: bool = False  # the calls fill orders of ours of any size, as a backtest assumes
    leverage: float = 1.0
    share_ratio: float = 1.0  # shares held before today times this are shares held today

    @property
    def volume(self) -> int:
        """Shares of the whole day."""
        calls = sum(call[1] for call in (self.opening, self.closing) if call is not None)
        return int(self.flow.volumes.sum()) + calls

    @property
    def status(self) -> str:
        """A word of `market.orders.STATUSES`."""
        if self.halted:
            return "halted"
        return "liquidation" if self.liquidation else "first_day" if self.first_day else "trading"


@dataclass(frozen=True, slots=True, kw_only=True)
class Warrant:
    """What an ELW is a right to; what nobody said is "" or None. right: call, put or other; last_day: of trading."""

    underlyings: tuple[str, ...] = ()
    right: str = ""
    strike: float | None = None
    barrier: float | None = None
    last_day: dt.date | None = None


class Source(Protocol):
    """What an exchange replays."""

    symbols: tuple[str, ...]

    def days(self) -> Sequence[int]:
        """Its sessions, epoch days, ascending."""

    def day(self, day: int) -> Mapping[str, SymbolDay]:
        """What each name did on one of them; names not listed are left out."""

    def history(self, symbol: str, freq: str, since: int, until: int) -> Sequence[Candle]:
        """Bars whose end lies in (since, until], of days before the emulator's own; may be empty."""


class BarSource:
    """The days of a panel of raw bars, daily or within the day.

    seed            draws the path inside each bar
    tick_seconds    about how far apart trades are
    start, end      epoch days of the first and last session to run; default: all of the panel
    calm            names of the KOSPI 200
    deep            calls take orders of ours of any size at the bar's open and close: for comparisons with a backtest
    charts          panels of other lengths, asked for by length ("1m") when a chart needs one; None: there is none
    warrants        terms of ELWs

    ConfigError or BadData for adjusted prices, other markets than Korea's, or days that are no sessions.
    """

    def __init__(
        self,
        bars: Bars,
        *,
        seed: int = 0,
        tick_seconds: float = 1.0,
        start: int | None = None,
        end: int | None = None,
        calm: Iterable[str] = (),
        deep: bool = False,
        charts: Callable[[str], Bars | None] | None = None,
        warrants: Mapping[str, Warrant] | None = None,
    ) -> None:
        if bars.prices != "raw":
            raise BadData("the emulator replays raw prices: adjusted ones stand on no grid")
        self.bars, self.seed, self.tick_seconds = bars, seed, tick_seconds
        self.symbols = bars.symbols
        self.calm, self.deep = frozenset(calm), deep
        self.warrants = dict(warrants or {})
        self._charts, self._panels = charts, {bars.freq: bars}
        self._days = [
            day
            for day in np.unique(bars.days).tolist()
            if (start is None or day >= start) and (end is None or day <= end)
        ]

    def days(self) -> Sequence[int]:
        return self._days

    def day(self, day: int) -> Mapping[str, SymbolDay]:
        clock = session_clock(day)
        lo, hi = np.searchsorted(self.bars.days, [day, day + 1]).tolist()
        if lo == hi:
            raise BadData(f"{np.datetime64(day, 'D')}: the panel has no bar of that day")
        found = {}
        for column, symbol in enumerate(self.symbols):
            if self.bars.flags[hi - 1, column] & LISTED:
                found[symbol] = self._symbol(column, symbol, day, slice(lo, hi), clock)
        return found

    def _symbol(self, column: int, symbol: str, day: int, rows: slice, clock: Clock) -> SymbolDay:
        bars = self.bars
        flags = bars.flags[rows, column]
        traded = (flags & TRADED) != 0
        market = self._market(symbol, column, day)
        before = bars.raw.close[rows.start - 1, column] if rows.start else np.nan
        base = bars.base[rows.start, column]
        if not base > 0:
            base = Grid(market, str(np.datetime64(day, "D"))).ceil(float(bars.raw.open[rows, column][0]))
        closed = float(before) if before > 0 else float(base)
        quiet = SymbolDay(
            symbol=symbol, market=market, base=float(base), previous_close=closed,
            halted=not traded.any() and bool((flags & VALID).any()), liquidation=bool(flags[0] & LIQUIDATION),
            first_day=bool(flags[0] & FIRST_DAY), calm=symbol in self.calm, leverage=float(bars.leverage[column]),
            share_ratio=self._ratio(symbol, day), deep=self.deep,
        )  # fmt: skip
        if not traded.any():
            return quiet
        opening, closing, ranges = _carved(bars, column, rows, traded, clock)
        rng = np.random.default_rng([self.seed, day, zlib.crc32(symbol.encode())])
        ids, row = np.array(MARKET_ID[market]), rule_rows(np.array(day))

        def floor(prices: FloatArray) -> FloatArray:
            return grid.floor_prices(row, ids, prices)

        flow = no_flow()
        if len(ranges.open):
            span = int((ranges.stop - ranges.start).max())
            flow = walk(rng, ranges, round(span / SECOND / self.tick_seconds), floor)
        return replace(quiet, opening=opening, closing=closing, flow=flow)

    def _market(self, symbol: str, column: int, day: int) -> str:
        """The market of a name on a day."""
        moves = [move for move in self.bars.market_changes if move[1] == symbol and move[0] <= day]
        return moves[-1][2] if moves else self.bars.markets[column]

    def _ratio(self, symbol: str, day: int) -> float:
        """Shares of today for one of yesterday."""
        table = self.bars.actions
        mine = table[(table["symbol"] == symbol) & (table["ex_day"] == day) & ~table["receivable"]]
        ratios = np.where(np.isnan(mine["share_ratio"]), mine["price_factor"], mine["share_ratio"])
        return float(np.prod(ratios))

    def history(self, symbol: str, freq: str, since: int, until: int) -> Sequence[Candle]:
        bars = self._panel(freq)
        if bars is None or symbol not in bars.symbols:
            return []
        column = bars.symbols.index(symbol)
        ends = bars.times * 1_000
        if freq == "1d":
            ends = np.array([session_clock(int(day)).close for day in bars.days], dtype=np.int64)
        rows = np.flatnonzero((ends > since) & (ends <= until) & ((bars.flags[:, column] & TRADED) != 0))
        raw, value = bars.raw, bars.value[rows, column] if bars.has("value") else np.full(len(rows), np.nan)
        return [
            Candle(symbol, int(ends[row]), float(raw.open[row, column]), float(raw.high[row, column]),
                   float(raw.low[row, column]), float(raw.close[row, column]), int(raw.volume[row, column]),
                   None if np.isnan(won) else float(won))
            for row, won in zip(rows.tolist(), value.tolist(), strict=True)
        ]  # fmt: skip

    def _panel(self, freq: str) -> Bars | None:
        """The panel of a length."""
        if freq not in self._panels and self._charts is not None:
            found = self._charts(freq)
            if found is None:
                return None
            self._panels[freq] = found
        return self._panels.get(freq)


def _carved(
    bars: Bars, column: int, rows: slice, traded: object, clock: Clock
) -> tuple[tuple[float, int] | None, tuple[float, int] | None, Ranges]:
    """The prints of the calls, cut out of the bars that hold them, and the rest."""
    live = np.flatnonzero(traded) + rows.start  # type: ignore[arg-type]
    o, h, low, c = (bars.field(name)[live, column].copy() for name in ("open", "high", "low", "close"))
    volume = bars.volume[live, column].astype(np.int64)
    if bars.freq == "1d":
        start, stop = np.full(len(live), clock.open), np.full(len(live), clock.close)
    else:
        stop = bars.times[live] * 1_000
        start = stop - step_us(bars.freq) * 1_000
    within = (stop > clock.open) & (start < clock.close + RANDOM_END)
    o, h, low, c, volume, start, stop = (each[within] for each in (o, h, low, c, volume, start, stop))
    opens, ends = start <= clock.open, stop > clock.closing
    only = start >= clock.closing  # nothing but the call
    opening = closing = None
    if opens.any():
        share = OPENING_SHARE if bars.freq == "1d" else CALL_SHARE
        shares = max(1, int(volume[0] * share))
        opening = (float(o[0]), shares)
        volume[0] -= shares
    if ends.any():
        share = CLOSING_SHARE if bars.freq == "1d" else CALL_SHARE
        shares = int(volume[only].sum())
        if not only.any():
            shares = max(1, int(volume[-1] * share))
            if not volume[-1] and c[-1] == o[0]:  # the opening call has it all
                shares = 0
            volume[-1] = max(0, volume[-1] - shares)
        closing = (float(c[-1]), shares) if shares else None
    kept = ~only
    start = np.where(opens, np.maximum(start, clock.open) + _SETTLED, start)
    stop = np.minimum(stop, clock.closing)
    needed = (h > np.maximum(o, c)) | (low < np.minimum(o, c))
    kept &= (stop > start) & ((volume > 0) | needed)
    ranges = Ranges(*(each[kept] for each in (o, h, low, c, volume, start, stop, opens, ends)))
    return opening, closing, ranges


class TickSource:
    """Recorded trades, by name. `bases` gives each name's base price by epoch day; markets default to KOSPI.

    Ticks marked `auction` are the prints of calls: the first of a day is the opening, one after 15:20 the close.
    """

    def __init__(
        self,
        ticks: Iterable[Tick],
        *,
        bases: Mapping[tuple[str, int], float],
        markets: Mapping[str, str] | None = None,
    ) -> None:
        self._ticks: dict[tuple[str, int], list[Tick]] = {}
        for tick in ticks:
            self._ticks.setdefault((tick.symbol, day_of(tick.time)), []).append(tick)
        self._bases, self._markets = dict(bases), dict(markets or {})
        self.symbols = tuple(sorted({symbol for symbol, _ in self._ticks}))
        lacking = sorted(key for key in self._ticks if key not in self._bases)
        if lacking:
            raise BadData(f"no base price of {lacking[0][0]} on {np.datetime64(lacking[0][1], 'D')}")

    def days(self) -> Sequence[int]:
        return sorted({day for _, day in self._ticks})

    def day(self, day: int) -> Mapping[str, SymbolDay]:
        clock = session_clock(day)
        found = {}
        for symbol in self.symbols:
            ticks = sorted(self._ticks.get((symbol, day), ()), key=lambda tick: tick.time)
            if not ticks:
                continue
            calls = [tick for tick in ticks if tick.auction]
            opening = next((tick for tick in calls if tick.time < clock.closing), None)
            closing = next((tick for tick in reversed(calls) if tick.time >= clock.closing), None)
            rest = [
                tick for tick in ticks
                if tick is not opening and tick is not closing and clock.open <= tick.time < clock.closing
            ]  # fmt: skip
            base = self._bases[symbol, day]
            found[symbol] = SymbolDay(
                symbol=symbol, market=self._markets.get(symbol, "KOSPI"), base=base, previous_close=base,
                flow=_recorded(rest), opening=_print(opening), closing=_print(closing),
            )  # fmt: skip
        return found

    def history(self, symbol: str, freq: str, since: int, until: int) -> Sequence[Candle]:  # noqa: ARG002
        return []  # records of trades have no bars


def _print(tick: Tick | None) -> tuple[float, int] | None:
    return None if tick is None else (tick.price, tick.volume)


def _recorded(ticks: list[Tick]) -> Flow:
    """Trades with the side that the step of the price tells; an unchanged price keeps the side before."""
    prices = np.array([tick.price for tick in ticks], dtype=np.float64)
    sides, side = [], 1
    for step in np.diff(prices, prepend=prices[:1]).tolist():
        side = int(np.sign(step)) or side
        sides.append(side)
    times = np.array([tick.time for tick in ticks], dtype=np.int64)
    volumes = np.array([tick.volume for tick in ticks], dtype=np.int64)
    return Flow(times, prices, volumes, np.array(sides, dtype=np.int64))


def random_bars(
    *, seed: int, symbols: int | Sequence[str] = 20, start: str = "2025-06-02", sessions_count: int = 5,
    volatility: float = 0.02, market: str = "KOSPI",
) -> Bars:  # fmt: skip
    """A made-up market of daily bars on the grid and inside the limits: for simulations that need no lake."""
    codes = tuple(f"{number + 1:05d}0" for number in range(symbols)) if isinstance(symbols, int) else tuple(symbols)
    rng = np.random.default_rng(seed)
    days = sessions(start, str(np.datetime64(start) + 2 * sessions_count + 30)).astype(np.int64)[:sessions_count]
    shape = (len(days), len(codes))
    fields = {name: np.zeros(shape) for name in ("open", "high", "low", "close", "volume", "base")}
    last = np.exp(rng.uniform(np.log(2_000), np.log(300_000), len(codes)))
    for t, day in enumerate(days.tolist()):
        rules = Grid(market, str(np.datetime64(day, "D")))
        for n in range(len(codes)):
            base = rules.ceil(float(last[n]))
            low, high = rules.limits(base)
            steps = base * np.exp(volatility * rng.standard_normal(6))
            prices = sorted(min(max(rules.floor(float(price)), low), high) for price in steps)
            o, c = prices[int(rng.integers(0, 6))], prices[int(rng.integers(0, 6))]
            volume = float(rng.integers(10_000, 2_000_000))
            row = (o, prices[-1], prices[0], c, volume, base)
            for name, value in zip(fields, row, strict=True):
                fields[name][t, n] = value
            last[n] = c
    times = days * 86_400_000_000 - 9 * 3_600_000_000
    return Bars(times=times, symbols=codes, fields=dict(fields), markets=market)
