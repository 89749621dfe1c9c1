"""Where a check looks: how many probes of each kind fit the time, and at which bars.

Contract: pure; the same decisions, costs and seed give the same plan. Cuts go where they tell most: right after bars
at which a decision changes (a rule that knows tomorrow has changed too early there); at listings, delistings and bars
without a trade (what is filled backwards, or chosen by who survived, shows there); at both ends; and the rest at
random, one in each equal part of the panel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from quantkit.data.bars import Bars

    Rows = NDArray[np.int64]

_LEADS = np.array([1, 1, 1, 1, 2, 3, 6, 0], np.int64)  # rows kept after one at which a decision changes
_OVERHEAD = 3e-4  # seconds to make a panel and compare, besides the strategy's own


class Counts(NamedTuple):
    """Probes of each kind."""

    cuts: int
    changes: int
    live: int
    starts: int
    orders: int  # backtests of a rule with memory that end early


def counts_for(cost: float, half: float, budget: float) -> Counts:
    """What fits in `budget` seconds, but never less than says something.

    cost, half: seconds of one evaluation of all bars, and of half of them.
    """

    def fit(share: float, each: float, low: int, high: int) -> int:
        return int(np.clip(share * budget / (each + _OVERHEAD), low, high))

    return Counts(
        cuts=fit(0.45, half, 16, 480),
        changes=fit(0.2, 2.4 * cost, 6, 80),
        live=fit(0.12, half, 12, 60),
        starts=fit(0.08, cost, 4, 12),
        orders=6,
    )


def counts_of(cuts: int) -> Counts:
    """So many cuts, and of the others what goes with them."""
    return Counts(cuts, max(4, cuts // 5), max(6, cuts // 4), max(3, cuts // 20), max(2, min(cuts // 10, 12)))


def changing_rows(columns: Mapping[str, NDArray[Any]]) -> Rows:
    """Rows at which some decision differs from the row before, in columns that stand still most of the time."""
    found = np.zeros(0, np.int64)
    for values in columns.values():
        if len(values) < 2:
            continue
        apart = values[1:] != values[:-1]
        if values.dtype.kind == "f":
            apart &= ~(np.isnan(values[1:]) & np.isnan(values[:-1]))
        rows = np.flatnonzero(apart.any(axis=1)) + 1
        if len(rows) < 0.8 * len(values):
            found = np.union1d(found, rows)
    return found


def cut_rows(
    bars: Bars, columns: Mapping[str, NDArray[Any]], count: int, *, warmup: int, random: np.random.Generator
) -> Rows:
    """About `count` numbers of rows to keep, each from 1 to T - 1, increasing."""
    length = len(bars)
    ends = np.array([warmup // 2, warmup, warmup + 1, length - 2, length - 1])
    events = _events(bars)
    changes = changing_rows(columns)
    chosen = [ends, _some(events, count // 4, random)]
    picked = _some(changes, count // 2, random)
    chosen.append(picked + random.choice(_LEADS, len(picked)))
    rest = max(count - sum(map(len, chosen)), count // 4)
    edges = np.linspace(1, length, rest + 1)
    chosen.append((edges[:-1] + random.random(rest) * np.diff(edges)).astype(np.int64))
    rows = np.unique(np.concatenate(chosen))
    rows = rows[(rows >= 1) & (rows < length)]
    others = np.setdiff1d(np.arange(1, length), rows)
    more = random.choice(others, min(max(count - len(rows), 0), len(others)), replace=False)
    return np.union1d(rows, more)


def change_rows(
    bars: Bars, columns: Mapping[str, NDArray[Any]], count: int, *, warmup: int, random: np.random.Generator
) -> Rows:
    """Rows from which on bars are changed: half of them at changing decisions, the bar after included."""
    length = len(bars)
    changes = changing_rows(columns)
    picked = _some(changes[changes > warmup], count // 2, random)
    rest = count - len(picked)
    low = min(warmup + 1, length - 1)
    rows = np.concatenate([picked + random.integers(0, 2, len(picked)), random.integers(low, length, rest)])
    return np.unique(rows[(rows >= 1) & (rows < length)])


def live_runs(
    length: int, columns: Mapping[str, NDArray[Any]], count: int, *, warmup: int, random: np.random.Generator
) -> list[range]:
    """Three stretches of bars that follow each other, one of them the last bars, one where a decision changes."""
    each = max(2, count // 3)
    low = min(warmup + 1, max(length - each, 1))
    changes = changing_rows(columns)
    changes = changes[(changes >= low) & (changes < length - each)]
    middle = int(random.choice(changes)) - each // 3 if len(changes) else int(random.integers(low, length))
    firsts = sorted({low, min(max(low, middle), length - each), max(length - each, 1)})
    runs, after = [], 0
    for first in firsts:
        run = range(max(first, after), min(first + each, length + 1))
        if len(run):
            runs.append(run)
            after = run.stop
    return runs


def start_rows(bars: Bars, count: int, *, warmup: int, random: np.random.Generator) -> Rows:
    """First rows of shortened histories, which leave half of the bars after a warm-up: where sessions begin."""
    edges = np.linspace(1, max((len(bars) - warmup) // 2, 2), count + 1)
    rows = (edges[:-1] + random.random(count) * np.diff(edges)).astype(np.int64)
    rows = np.unique(np.searchsorted(bars.days, bars.days[rows]))
    return rows[rows > 0]


def _events(bars: Bars) -> Rows:
    """Numbers of rows to keep so that the last one is before a listing or delisting, or in a gap of some name."""
    listed = bars.listed
    moves = np.flatnonzero((listed[1:] != listed[:-1]).any(axis=1)) + 1
    gaps = np.flatnonzero((listed & ~bars.traded).any(axis=1)) + 1
    return np.union1d(moves, gaps)


def _some(rows: Rows, count: int, random: np.random.Generator) -> Rows:
    """At most `count` of these rows, spread over all of them."""
    if len(rows) <= count:
        return rows
    edges = np.linspace(0, len(rows), count + 1)
    return rows[(edges[:-1] + random.random(count) * np.diff(edges)).astype(np.int64)]
