"""Two views of a panel: prices as traded (`bars.raw`) and running values of the session (`bars.session`).

Contract: every answer is a (T, N) float64 array. Running values at bar t use the bars of the same session up to and
including t, nothing later. They are NaN until the symbol's first trade of the session, and adjusted forward like
`bars.close`, so the two can be compared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from quantkit.data.bars import Bars

FloatArray = NDArray[np.float64]


class RawPrices:
    """The fields as traded, unadjusted."""

    __slots__ = ("_bars",)

    def __init__(self, bars: Bars) -> None:
        self._bars = bars

    @property
    def open(self) -> FloatArray:
        """First trade of the bar; carried close if none."""
        return self._bars.field("open")

    @property
    def high(self) -> FloatArray:
        """Highest trade of the bar; carried close if none."""
        return self._bars.field("high")

    @property
    def low(self) -> FloatArray:
        """Lowest trade of the bar; carried close if none."""
        return self._bars.field("low")

    @property
    def close(self) -> FloatArray:
        """Last trade of the bar; carried close if none."""
        return self._bars.field("close")

    @property
    def volume(self) -> FloatArray:
        """Shares traded, in the shares of the day."""
        return self._bars.field("volume")

    @property
    def value(self) -> FloatArray:
        """Money traded."""
        return self._bars.value

    @property
    def base(self) -> FloatArray:
        """Reference price of the session, on which price limits stand."""
        return self._bars.base


class Session:
    """Running values of the session each bar belongs to; on daily bars they are the bar's own."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._starts = np.flatnonzero(np.diff(bars.days, prepend=bars.days[:1] - 1))
        self._cache: dict[str, FloatArray] = {}

    def arrays(self) -> Iterator[FloatArray]:
        """The running values computed so far."""
        yield from self._cache.values()

    @property
    def bar(self) -> NDArray[np.int64]:
        """(T,) number of the bar within its session, from 0."""
        rows = np.arange(len(self._bars), dtype=np.int64)
        return rows - np.repeat(self._starts, np.diff(self._starts, append=len(rows)))

    @property
    def open(self) -> FloatArray:
        """Price of the session's first trade."""
        return self._run("open", lambda: self._masked(self._bars.open, np.nan), _first)

    @property
    def high(self) -> FloatArray:
        """Highest trade of the session so far."""
        return self._run("high", lambda: self._masked(self._bars.high, np.nan), np.fmax.accumulate)

    @property
    def low(self) -> FloatArray:
        """Lowest trade of the session so far."""
        return self._run("low", lambda: self._masked(self._bars.low, np.nan), np.fmin.accumulate)

    @property
    def volume(self) -> FloatArray:
        """Shares traded in the session so far."""
        return self._run("volume", lambda: self._masked(self._bars.volume, 0.0), np.add.accumulate)

    @property
    def value(self) -> FloatArray:
        """Money traded in the session so far."""
        return self._run("value", lambda: self._masked(self._bars.value, 0.0), np.add.accumulate)

    def _masked(self, values: FloatArray, empty: float) -> FloatArray:
        return np.where(self._bars.traded, values, empty)

    def _run(self, name: str, load: Callable[[], FloatArray], accumulate: Callable[..., FloatArray]) -> FloatArray:
        """Accumulate over each session's rows; once per field."""
        if name not in self._cache:
            values = load()
            stops = np.append(self._starts[1:], len(values))
            for start, stop in zip(self._starts.tolist(), stops.tolist(), strict=True):
                if stop - start > 1:
                    values[start:stop] = accumulate(values[start:stop], axis=0)
            self._cache[name] = values
        return self._cache[name]


def _first(values: FloatArray, axis: int = 0) -> FloatArray:
    """The first value that is not NaN, repeated down the rows from where it stands."""
    seen = ~np.isnan(values)
    rows = np.argmax(seen, axis=axis)
    first = values[rows, np.arange(values.shape[1])]
    return np.where(np.logical_or.accumulate(seen, axis=axis), first, np.nan)
