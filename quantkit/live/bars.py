"""Bars out of ticks, closed by the clock and never by the next tick.

Contract: pure; ticks and times go in, bars come out, the same ones each time. Times are UTC nanoseconds of the
exchange. A bar is [begin, end) and stamped with its end; steps count from midnight in Seoul, as in the lake.

1. A bar is ready `grace` (1.5 s) after its edge. Ticks of it that came until then count, in any order; later ones are
   counted as late, mark the bar revised and change nothing that was decided.
2. The bar at the session's end waits for the closing auction: ready when every name has printed, or 60 s after.
3. Without a trade a row is carried: close carried on, volume 0, not traded. Auctions and a name's volatility
   interruption are phases without trades, not gaps.
4. Where the feed had a hole the names concerned are not valid, unless the broker's candles have filled it by then: a
   bar with holes waits for them until `patience` after its edge. With `confirm` (the day) it waits for all candles.
5. Each bar is given once, in order. Candles that come later make revisions, which history may take in.

>>> bars = TickBars(["A"], opens=0, closes=120 * SECOND, length=60 * SECOND, auction=False)
>>> bars.add([Tick("A", 5 * SECOND, 100.0, 7)])
>>> [bar.close.tolist() for bar in bars.close_due(61 * SECOND)], bars.due() == 61_500_000_000
([], True)
>>> [(bar.close.tolist(), bar.volume.tolist()) for bar in bars.close_due(bars.due())]
[([100.0], [7.0])]
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import numpy as np

from quantkit.errors import ConfigError
from quantkit.trading.ports import Candle, Tick

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    FloatArray: TypeAlias = NDArray[np.float64]
    FlagArray: TypeAlias = NDArray[np.bool_]

SECOND: Final = 1_000_000_000
MINUTE: Final = 60 * SECOND
DAY: Final = 86_400 * SECOND
GRACE: Final = 3 * SECOND // 2
AUCTION_WAIT: Final = 60 * SECOND
_SEOUL: Final = 9 * 60 * MINUTE
_OPEN, _HIGH, _LOW, _CLOSE, _VOLUME, _VALUE, _FIRST, _LAST = range(8)
_Row: TypeAlias = list[float]


@dataclass(frozen=True, slots=True, eq=False)
class Bar:
    """One bar of every name: (N,) arrays in the order of `symbols`.

    valid: the row may be decided on. complete: no name lacks a part. backfill: it had closed before the feed was there.
    """

    begin: int
    end: int
    time: int  # when it was closed
    symbols: tuple[str, ...]
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    value: FloatArray
    traded: FlagArray
    valid: FlagArray
    complete: bool
    backfill: bool = False

    def candles(self) -> tuple[Candle, ...]:
        """The valid rows as candles; a carried one has volume 0."""
        return tuple(
            Candle(
                self.symbols[i],
                self.end,
                float(self.open[i]),
                float(self.high[i]),
                float(self.low[i]),
                float(self.close[i]),
                int(self.volume[i]),
                float(self.value[i]),
            )
            for i in np.flatnonzero(self.valid)
        )


class Revision(NamedTuple):
    """A row of a bar that was given before, as it is known now."""

    end: int
    candle: Candle


class Hole(NamedTuple):
    """Names of one bar that wait for the broker's candles."""

    begin: int
    end: int
    symbols: tuple[str, ...]


class _Outage(NamedTuple):
    """What the feed missed; `symbols` None: all names, `until` None: still."""

    symbols: frozenset[str] | None
    since: int
    until: int | None


class _Bucket:
    """A bar in the making."""

    __slots__ = ("begin", "closed", "end", "filled", "rows")

    def __init__(self, begin: int, end: int) -> None:
        self.begin, self.end, self.closed = begin, end, False
        self.rows: dict[str, _Row] = {}
        self.filled: set[str] = set()


class TickBars:
    """Bars of one length over one session. `length` None: one bar, the day.

    last: the price before the session by name (the day's base price). after: bars up to there have been folded before
    and are not given again. started: when the feed began to listen; what closed before that is backfill and waits for
    candles until `started + catch_up`. quiet: spans in which nothing can trade; a hole there is none. sampled: names
    whose ticks are snapshots: their bars are given like others and stay scars until candles have corrected them.
    """

    def __init__(
        self,
        symbols: Sequence[str],
        *,
        opens: int,
        closes: int,
        length: int | None,
        grace: int = GRACE,
        patience: int = 0,
        auction: bool = True,
        confirm: bool = False,
        last: Mapping[str, float] | None = None,
        after: int = 0,
        started: int | None = None,
        catch_up: int = MINUTE,
        quiet: Sequence[tuple[int, int]] = (),
        generation: int = 0,
        sampled: Sequence[str] = (),
    ) -> None:
        if length is not None and (length <= 0 or DAY % length):
            raise ConfigError(f"bars of {length} ns: expected a length that divides a day")
        self.symbols = tuple(symbols)
        self.opens, self.closes, self.length = opens, closes, length
        self.grace, self.patience, self.confirm = grace, patience, confirm
        self.generation = generation
        self.counts: Counter[str] = Counter()  # "late", "stale", "outside", "bad"
        self.revised: set[tuple[int, str]] = set()
        self._auction, self._quiet, self._catch_up = auction, tuple(quiet), catch_up
        self._started = opens if started is None else started
        self._known = frozenset(symbols)
        self._sampled = frozenset(sampled)
        self._base = dict(last or {})
        self._last = {name: self._base.get(name, float("nan")) for name in symbols}
        self._last_time = dict.fromkeys(symbols, 0)
        self._buckets = self._grid()
        self._next = next((i for i, b in enumerate(self._buckets) if b.end > after), len(self._buckets))
        self._first = self._next
        for bucket in self._buckets[: self._first]:
            bucket.closed = True
        self._outages: list[_Outage] = []
        if self._started > opens:
            self._outages.append(_Outage(None, opens, self._started))
        self._printed: set[str] = set()
        self._all_printed: int | None = None
        self._current = self._buckets[min(self._next, len(self._buckets) - 1)]

    def _grid(self) -> list[_Bucket]:
        if self.length is None:
            return [_Bucket(self.opens, self.closes)]
        buckets, begin = [], self.opens
        while begin < self.closes:
            end = begin - (begin + _SEOUL) % self.length + self.length
            buckets.append(_Bucket(begin, end))
            begin = end
        return buckets

    # --- what comes in ---

    def add(self, ticks: Iterable[Tick], now: int = 0) -> None:
        """Take in ticks, in any order; other names are passed over. `now` only tells when the last print came."""
        bucket, rows, begin, end = self._current, self._current.rows, self._current.begin, self._current.end
        closes, generation, known, closed = self.closes, self.generation, self._known, self._current.closed
        for tick in ticks:
            time, price, volume = tick.time, tick.price, tick.volume
            if tick.generation < generation:
                self.counts["stale"] += 1
                continue
            if not begin <= time < end or time >= closes:
                found = self._place(tick, now)
                if found is None:
                    self.counts["outside"] += 1
                    continue
                bucket, rows, begin, end, closed = found, found.rows, found.begin, found.end, found.closed
            row = rows.get(tick.symbol)
            if row is None and tick.symbol not in known:
                continue
            if not price > 0 or volume <= 0:
                self.counts["bad"] += 1
                continue
            if closed or tick.symbol in bucket.filled:
                self._late(bucket, tick)
            elif row is None:
                rows[tick.symbol] = [price, price, price, price, volume, price * volume, time, time]
            else:
                _merge(row, tick)
        self._current = bucket

    def _place(self, tick: Tick, now: int) -> _Bucket | None:
        """The bar a tick belongs to; the closing auction's print belongs to the last. None outside the session."""
        time = tick.time
        if time >= self.closes:
            if not self._auction or time >= self.closes + AUCTION_WAIT:
                return None
            if tick.symbol in self._known:
                self._printed.add(tick.symbol)
            if self._all_printed is None and self._printed >= self._known:
                self._all_printed = max(now, time)
            return self._buckets[-1]
        if time < self.opens:
            return None
        if self.length is None:
            return self._buckets[0]
        first = self._buckets[0].end - self.length
        return self._buckets[(time - first) // self.length]

    def _late(self, bucket: _Bucket, tick: Tick) -> None:
        """A tick of a bar that has been given: counted, marked, and known to later carried rows. The broker's own
        candle, once taken in, holds every tick there was."""
        self.counts["late"] += 1
        if tick.symbol in bucket.filled:
            return
        self.revised.add((bucket.end, tick.symbol))
        row = bucket.rows.get(tick.symbol)
        if row is None:
            price, volume, time = tick.price, tick.volume, tick.time
            bucket.rows[tick.symbol] = [price, price, price, price, volume, price * volume, time, time]
        else:
            _merge(row, tick)
        self._remember(tick.symbol, tick.price, tick.time)

    def outage(self, since: int, until: int | None = None, *, symbols: Sequence[str] | None = None) -> None:
        """The feed was silent, or still is (`until` None), for these names or for all."""
        names = None if symbols is None else frozenset(symbols)
        if until is not None and self._outages:
            last = self._outages[-1]
            if last.until is not None and last.symbols == names and last.since <= since <= last.until:
                self._outages[-1] = last._replace(until=max(until, last.until))  # a hole that goes on
                return
        self._outages.append(_Outage(names, since, until))

    def recovered(self, until: int) -> None:
        """All names come again; those that an outage named are left as they are."""
        self._outages = [
            out._replace(until=until) if out.until is None and out.symbols is None else out for out in self._outages
        ]

    def fill(self, symbol: str, since: int, until: int, candles: Sequence[Candle]) -> tuple[Revision, ...]:
        """The broker's candles of (since, until]: whole bars in there are theirs, also where no candle says "no trade".

        Bars not yet given take them in; for those that were, the rows that differ come back as revisions. A trade that
        was heard and that no candle has stays in a bar that was given, but not one that a snapshot told of.
        """
        changed = []
        for bucket in self._buckets:
            if bucket.end <= since or bucket.begin < since or min(bucket.end, self.closes) > until:
                continue
            parts = [c for c in candles if bucket.begin < c.close_time <= bucket.end and c.volume > 0]
            row = _joined(parts) if parts else None
            if bucket.closed:
                bucket.filled.add(symbol)
                if row is None and symbol in self._sampled and symbol in bucket.rows:
                    del bucket.rows[symbol]  # what a snapshot saw was traded after it
                    row = [self._before(bucket, symbol)] * 4 + [0.0] * 4
                elif row is not None and _differs(bucket.rows.get(symbol), row):
                    bucket.rows[symbol] = row
                    self._remember(symbol, row[_CLOSE], int(row[_LAST]))
                else:
                    continue
                self.revised.add((bucket.end, symbol))
                changed.append(Revision(bucket.end, _candle(symbol, bucket.end, row)))
                continue
            if row is None and self.confirm and symbol in bucket.rows:
                continue  # it traded: the chart of the day is not there yet
            bucket.filled.add(symbol)
            if row is not None:
                bucket.rows[symbol] = row
            else:
                bucket.rows.pop(symbol, None)
        return tuple(changed)

    def _before(self, bucket: _Bucket, symbol: str) -> float:
        """The price that a bar without a trade carries on."""
        closes = [each.rows[symbol][_CLOSE] for each in self._buckets if each.end < bucket.end and symbol in each.rows]
        return closes[-1] if closes else self._base.get(symbol, float("nan"))

    def rows(self, symbol: str) -> tuple[Candle, ...]:
        """All bars of one name with a trade, late ticks included: to lay beside the broker's chart."""
        return tuple(
            _candle(symbol, bucket.end, row) for bucket in self._buckets if (row := bucket.rows.get(symbol)) is not None
        )

    # --- what comes out ---

    def due(self) -> int | None:
        """When `close_due` will next give a bar if nothing comes in between; None after the last."""
        if self._next >= len(self._buckets):
            return None
        bucket = self._buckets[self._next]
        ready = self._ready(bucket)
        return max(ready, self._deadline(bucket)) if self._missing(bucket) else ready

    def ready(self) -> int | None:
        """When the next bar is ready, holes or not: the moment to ask for `holes`."""
        return None if self._next >= len(self._buckets) else self._ready(self._buckets[self._next])

    def next_begin(self) -> int:
        """Where the next bar begins; the session's end after the last."""
        return self.closes if self._next >= len(self._buckets) else self._buckets[self._next].begin

    def holes(self, now: int) -> tuple[Hole, ...]:
        """Bars that are over by `now`, not given yet, and lack candles of names."""
        found = []
        for bucket in self._buckets[self._next :]:
            if self._edge(bucket) > now:
                break
            if missing := self._missing(bucket):
                found.append(Hole(bucket.begin, bucket.end, tuple(s for s in self.symbols if s in missing)))
        return tuple(found)

    def scars(self) -> tuple[Hole, ...]:
        """Bars that were given with holes or on snapshots, and what no candle has filled since."""
        if not self._outages and not self.confirm and not self._sampled:
            return ()
        found, scarred = [], []
        for bucket in self._buckets[self._first : self._next]:
            if missing := self._missing(bucket) | (self._sampled - bucket.filled):
                found.append(Hole(bucket.begin, bucket.end, tuple(s for s in self.symbols if s in missing)))
                scarred.append(bucket)
        begun = self.next_begin()
        self._outages = [  # those whose bars are all filled need not be looked at again
            out for out in self._outages
            if out.until is None or out.until > begun or any(self._touches(out, bucket) for bucket in scarred)
        ]  # fmt: skip
        return tuple(found)

    def close_due(self, now: int) -> tuple[Bar, ...]:
        """The bars that are due by `now`, in order."""
        given = []
        while (due := self.due()) is not None and due <= now:
            given.append(self._close(self._buckets[self._next], now))
            self._next += 1
        return tuple(given)

    def _edge(self, bucket: _Bucket) -> int:
        return min(bucket.end, self.closes)

    def _ready(self, bucket: _Bucket) -> int:
        """When its ticks should all be there."""
        if not self._auction or bucket.end < self.closes:
            return self._edge(bucket) + self.grace
        if self._all_printed is not None:
            return max(self.closes, self._all_printed)
        return self.closes + AUCTION_WAIT

    def _deadline(self, bucket: _Bucket) -> int:
        """Until when it waits for candles."""
        edge = self._edge(bucket)
        return self._started + self._catch_up if edge <= self._started else edge + self.patience

    def _missing(self, bucket: _Bucket) -> set[str]:
        """Names that are not whole: holes that no candle has filled."""
        if self.confirm:
            return set(self._known - bucket.filled)
        missing: set[str] = set()
        for outage in self._outages:
            if self._touches(outage, bucket):
                missing |= self._known if outage.symbols is None else outage.symbols & self._known
        return missing - bucket.filled if missing else missing

    def _touches(self, outage: _Outage, bucket: _Bucket) -> bool:
        """Whether anything of the bar could have traded while the feed was out."""
        last = self._auction and bucket.end >= self.closes
        since = max(outage.since, bucket.begin)
        until = self.closes + AUCTION_WAIT if last else bucket.end
        if outage.until is not None:
            until = min(until, outage.until)
        for begin, end in self._quiet:
            since = end if begin <= since < end else since
            until = begin if begin < until <= end else until
        return since < until

    def _remember(self, symbol: str, price: float, time: int) -> None:
        if time >= self._last_time[symbol]:
            self._last[symbol], self._last_time[symbol] = price, time

    def _close(self, bucket: _Bucket, now: int) -> Bar:
        missing = self._missing(bucket)
        bucket.closed = True
        table = np.empty((len(self.symbols), 6))
        traded = np.zeros(len(self.symbols), dtype=np.bool_)
        for i, symbol in enumerate(self.symbols):
            row = bucket.rows.get(symbol)
            if row is None:
                price = self._last[symbol]
                table[i] = (price, price, price, price, 0.0, 0.0)
            else:
                self._remember(symbol, row[_CLOSE], int(row[_LAST]))
                table[i], traded[i] = row[:6], True
        valid = np.isfinite(table[:, _CLOSE])
        if missing:
            valid &= np.array([symbol not in missing for symbol in self.symbols])
        prices = np.ascontiguousarray(table.T)
        return Bar(
            begin=bucket.begin,
            end=bucket.end,
            time=now,
            symbols=self.symbols,
            open=prices[_OPEN],
            high=prices[_HIGH],
            low=prices[_LOW],
            close=prices[_CLOSE],
            volume=prices[_VOLUME],
            value=prices[_VALUE],
            traded=traded,
            valid=valid,
            complete=not missing,
            backfill=self._edge(bucket) <= self._started,
        )


def _merge(row: _Row, tick: Tick) -> None:
    """One more trade of a bar. Of equal times the first come is the open, the last come the close."""
    price, volume, time = tick.price, tick.volume, tick.time
    if price > row[_HIGH]:
        row[_HIGH] = price
    elif price < row[_LOW]:
        row[_LOW] = price
    if time >= row[_LAST]:
        row[_CLOSE], row[_LAST] = price, time
    elif time < row[_FIRST]:
        row[_OPEN], row[_FIRST] = price, time
    row[_VOLUME] += volume
    row[_VALUE] += price * volume


def _joined(parts: Sequence[Candle]) -> _Row:
    """Candles of one bar as one row, by time."""
    ordered = sorted(parts, key=lambda candle: candle.close_time)
    value = sum(c.close * c.volume if c.value is None else c.value for c in ordered)
    return [
        ordered[0].open,
        max(c.high for c in ordered),
        min(c.low for c in ordered),
        ordered[-1].close,
        sum(c.volume for c in ordered),
        value,
        ordered[0].close_time,
        ordered[-1].close_time,
    ]


def _differs(own: _Row | None, other: _Row) -> bool:
    return own is None or own[:5] != other[:5]


def joined(symbol: str, end: int, parts: Sequence[Candle]) -> Candle:
    """Candles of one bar as one candle."""
    return _candle(symbol, end, _joined(parts))


def _candle(symbol: str, end: int, row: _Row) -> Candle:
    return Candle(symbol, end, row[_OPEN], row[_HIGH], row[_LOW], row[_CLOSE], int(row[_VOLUME]), row[_VALUE])
