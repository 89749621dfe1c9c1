"""Everything that one name traded on one day, in the order it took place: its total figures, and its bars.

Contract: trades are added once, in the order of time, and never taken back; totals are known without counting again.
`bars` keeps those of each length as they end, so that a chart costs what is new in it. Times are UTC nanoseconds; a bar
of length d that ends at t holds the trades of [t - d, t), the last one of a session also the closing print.

>>> prints = Prints("A")
>>> for trade in ((10, 100.0, 3), (70, 90.0, 2), (75, 95.0, 1)):
...     prints.add(*trade)
>>> prints.prices, prints.volume, prints.value
((100.0, 100.0, 90.0), 6, 575.0)
>>> [(bar.close_time, bar.close, bar.volume) for bar in prints.bars(60, 600, until=120)]
[(60, 100.0, 3), (120, 95.0, 3)]
"""

from __future__ import annotations

from bisect import bisect_right
from operator import attrgetter
from typing import TYPE_CHECKING

from quantkit.trading.ports import Candle

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from quantkit.emulator.issue import Issue
    from quantkit.emulator.sources import Source, SymbolDay

Trade = tuple[int, float, int]
"""Time, price, shares."""
ends_at = attrgetter("close_time")


class Prints:
    """A name's trades of a day."""

    __slots__ = ("_lengths", "high", "low", "opened", "symbol", "trades", "value", "volume")

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.trades: list[Trade] = []
        self.opened = self.high = self.low = 0.0  # 0 without a trade
        self.volume, self.value = 0, 0.0
        self._lengths: dict[int, _Bars] = {}

    def add(self, time: int, price: float, shares: int) -> None:
        """One trade more."""
        if not self.trades:
            self.opened = self.high = self.low = price
        elif price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        self.trades.append((time, price, shares))
        self.volume += shares
        self.value += price * shares

    @property
    def prices(self) -> tuple[float, float, float]:
        """(open, high, low), 0 without a trade."""
        return self.opened, self.high, self.low

    def bars(self, step: int, last: int, *, until: int) -> list[Candle]:
        """Bars of `step` nanoseconds that end by `until`, whose trades must all be in; `last`: the session's end."""
        kept = self._lengths.setdefault(step, _Bars(self.symbol, step, last))
        kept.take(self.trades, until)
        return kept.ended[: bisect_right(kept.ended, until, key=ends_at)]


class _Bars:
    """Bars of one length that have ended."""

    __slots__ = ("_last", "_step", "_symbol", "_taken", "ended")

    def __init__(self, symbol: str, step: int, last: int) -> None:
        self._symbol, self._step, self._last = symbol, step, last
        self._taken = 0
        self.ended: list[Candle] = []

    def _end(self, trade: Trade) -> int:
        return min((trade[0] // self._step + 1) * self._step, self._last)

    def take(self, trades: Sequence[Trade], until: int) -> None:
        """Make the bars that have ended since."""
        while self._taken < len(trades) and (end := self._end(trades[self._taken])) <= until:
            stop = self._taken + 1
            while stop < len(trades) and self._end(trades[stop]) == end:
                stop += 1
            self.ended.append(candle_of(self._symbol, end, trades[self._taken : stop]))
            self._taken = stop


def candle_of(symbol: str, end: int, trades: Sequence[Trade]) -> Candle:
    """Trades of one name, at least one, as a bar."""
    prices = [price for _, price, _ in trades]
    shares = sum(part for _, _, part in trades)
    value = sum(price * part for _, price, part in trades)
    return Candle(symbol, end, prices[0], max(prices), min(prices), prices[-1], shares, value)


class Past:
    """Sessions of an exchange that are over: what traded otherwise than its source says, and bars once asked for."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._trades: dict[tuple[str, int], list[Trade] | None] = {}  # None: as the source says
        self._charts: dict[tuple[str, int, int], list[Candle]] = {}
        self._seen: tuple[int, Mapping[str, SymbolDay]] = (-1, {})

    def keep(self, day: int, issues: Iterable[Issue]) -> None:
        """A session is over."""
        for issue in issues:
            self._trades[issue.symbol, day] = issue.trades() if issue.own or issue.clip else None

    def bars(self, symbol: str, day: int, step: int, last: int) -> list[Candle]:
        """Bars of a day, as `Prints.bars`; none where the name did not trade, or the day is not over."""
        if (symbol, day) not in self._trades:
            return []
        found = self._charts.get((symbol, day, step))
        if found is None:
            prints = Prints(symbol)
            for trade in self._trades[symbol, day] or self._flow(symbol, day):
                prints.add(*trade)
            found = self._charts[symbol, day, step] = prints.bars(step, last, until=last)
        return found

    def _flow(self, symbol: str, day: int) -> Iterable[Trade]:
        if self._seen[0] != day:
            self._seen = (day, self._source.day(day))
        flow = self._seen[1][symbol].flow
        return zip(flow.times.tolist(), flow.prices.tolist(), flow.volumes.tolist(), strict=True)
