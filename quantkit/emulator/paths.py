"""A bar as the trades it may have been: from its open over its extremes to its close.

Contract: deterministic for a generator. Every path starts at the open, touches high and low, ends at the close, leaves
neither range nor grid in between (the bar's own four prices are taken as they are), and its volumes are whole shares
that add up to the bar's. Where a bar has fewer shares than prices to show, each price gets one. Whether the high or the
low comes first is drawn; the low is likelier to come first in a rising bar.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

FEWEST = 4  # open, two extremes, close
_LOW_FIRST = 0.65  # chance in a rising bar


class Ranges(NamedTuple):
    """M bars: prices (M,) float64, whole shares (M,) int64, the time they fill [start, stop) in nanoseconds (M,)."""

    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: IntArray
    start: IntArray
    stop: IntArray
    opened: npt.NDArray[np.bool_]  # the open was printed by a call before
    closes: npt.NDArray[np.bool_]  # the close is printed by a call after


class Flow(NamedTuple):
    """Trades in the order of their times: (K,) arrays. side: +1 where the buyer came to the seller."""

    times: IntArray
    prices: FloatArray
    volumes: IntArray
    sides: IntArray


def walk(rng: np.random.Generator, bars: Ranges, ticks: int, floor: Callable[[FloatArray], FloatArray]) -> Flow:
    """Trades of M bars one after the other, up to `ticks` each; `floor` cuts prices to the grid."""
    size, count = len(bars.open), max(ticks, FEWEST)
    first = 1 + (rng.random(size) * (count - 3)).astype(np.int64)
    second = first + 1 + (rng.random(size) * (count - 2 - first)).astype(np.int64)
    rising = bars.close >= bars.open
    high_first = rng.random(size) < np.where(rising, 1 - _LOW_FIRST, _LOW_FIRST)
    one, two = np.where(high_first, bars.high, bars.low), np.where(high_first, bars.low, bars.high)
    noise = np.cumsum(rng.standard_normal((size, count)), axis=1)
    noise *= ((bars.high - bars.low) / (2.0 * np.sqrt(count)))[:, None]
    rows = np.arange(size)
    noise -= _through(noise[:, 0], noise[rows, first], noise[rows, second], noise[:, -1], first, second, count)
    prices = floor(_through(bars.open, one, two, bars.close, first, second, count) + noise)
    prices = np.clip(prices, bars.low[:, None], bars.high[:, None])
    prices[:, 0], prices[:, -1] = bars.open, bars.close
    prices[rows, first], prices[rows, second] = one, two
    kept, volumes = _shares(rng, bars, prices, (first, second), high_first)
    jitter = (np.arange(count) + rng.random((size, count))) / count
    times = bars.start[:, None] + (jitter * (bars.stop - bars.start)[:, None]).astype(np.int64)
    draws = np.where(rng.random(int(kept.sum())) < 0.5, -1, 1)
    found = prices[kept]
    step = np.sign(np.diff(found, prepend=found[:1])).astype(np.int64)
    return Flow(times[kept], found, volumes[kept], np.where(step == 0, draws, step))


def _through(
    a: FloatArray, b: FloatArray, c: FloatArray, d: FloatArray, first: IntArray, second: IntArray, count: int
) -> FloatArray:
    """Straight lines from a at 0 over b at `first` and c at `second` to d at the end: (M, count)."""
    k = np.arange(count, dtype=np.float64)[None, :]
    i, j = first[:, None].astype(np.float64), second[:, None].astype(np.float64)
    a, b, c, d = a[:, None], b[:, None], c[:, None], d[:, None]
    early, late = a + (b - a) * k / i, c + (d - c) * (k - j) / (count - 1 - j)
    return np.where(k <= i, early, np.where(k <= j, b + (c - b) * (k - i) / (j - i), late))


def _shares(
    rng: np.random.Generator,
    bars: Ranges,
    prices: FloatArray,
    extremes: tuple[IntArray, IntArray],
    high_first: npt.NDArray[np.bool_],
) -> tuple[npt.NDArray[np.bool_], IntArray]:
    """Which trades take place, and their shares (M, count)."""
    size, count = prices.shape
    rows = np.arange(size)
    must = np.zeros((size, count), dtype=bool)
    must[:, 0] = ~bars.opened
    must[:, -1] = ~bars.closes & (bars.high > bars.low)
    needs_high = bars.high > np.maximum(bars.open, bars.close)
    needs_low = bars.low < np.minimum(bars.open, bars.close)
    must[rows, extremes[0]] = np.where(high_first, needs_high, needs_low)
    must[rows, extremes[1]] = np.where(high_first, needs_low, needs_high)
    volume = np.maximum(bars.volume, must.sum(axis=1))
    chance = np.where(must, -1.0, rng.random((size, count)))
    ranks = np.argsort(np.argsort(chance, axis=1), axis=1)
    kept = ranks < np.minimum(volume, count)[:, None]
    weights = rng.exponential(size=(size, count)) * kept
    total = weights.sum(axis=1, keepdims=True)
    spare = (volume - kept.sum(axis=1))[:, None]
    shares = np.floor(np.divide(weights, total, out=np.zeros_like(weights), where=total > 0) * spare).astype(np.int64)
    rest = volume - kept.sum(axis=1) - shares.sum(axis=1)
    largest = np.argmax(weights, axis=1)
    shares[rows, largest] += rest
    return kept, shares + kept
