"""Cross-validation where labels overlap: purged and embargoed folds, and all combinations of them.

    PurgedKFold(5, span=10, embargo=0.01)            each fold tested once
    CombinatorialPurgedCV(6, 2, span=10)             every pair of 6 groups tested: 15 splits, 5 paths

Contract: rows are in order of time. A row's label looks at bars from its own to `span` bars later; a training row whose
label overlaps a test label (purged), or that begins within `embargo` bars after one ended, is left out. Splitters have
`split(X, y, groups)` and `get_n_splits`, so scikit-learn takes them as `cv=`; `groups` are then the times of the rows,
where several rows (names) share one. Indices are int64, ascending.

M. Lopez de Prado, Advances in Financial Machine Learning (2018), sections 7.4 (purging, embargo) and 12.3 to 12.4
(combinatorial purged cross-validation, its number of paths).

>>> paths_of(6, 2), paths_of(10, 2), paths_of(6, 3)
(5, 9, 10)
"""

from __future__ import annotations

import math
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from quantkit.errors import BadData, ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["CombinatorialPurgedCV", "PurgedKFold", "paths_of", "purged"]

Ints = NDArray[np.int64]


def paths_of(groups: int, tested: int) -> int:
    """Backtest paths of all combinations of `tested` among `groups`: phi = tested / groups * C(groups, tested)."""
    return math.comb(groups, tested) * tested // groups


def purged(tests: Sequence[tuple[int, int]], ends: Ints, embargo: int = 0) -> Ints:
    """Times that may be trained on when the blocks `tests` (begin, stop) are tested.

    ends   (T,) int64: the last time that the label of each one looks at, itself or later
    """
    keep = np.ones(len(ends), np.bool_)
    times = np.arange(len(ends))
    for begin, stop in tests:
        last = int(ends[begin:stop].max())
        keep &= (times > last + embargo) | (ends < begin)
    return np.flatnonzero(keep).astype(np.int64)


class _Splitter:
    """What both have in common: label spans, embargo, rows that share a time."""

    def __init__(self, blocks: int, span: object, embargo: float) -> None:
        self.blocks, self.span, self.embargo = blocks, span, embargo
        if isinstance(embargo, bool) or not isinstance(embargo, int | float | np.number) or not 0 <= embargo < np.inf:
            raise ConfigError(f"embargo={embargo!r}: give a number of bars, or a part of them below 1")
        if isinstance(span, bool) or (isinstance(span, int | np.integer) and span < 0):
            raise ConfigError(f"span={span!r}: give the bars that a label looks ahead, 0 or more, or (T,) last bars")

    def _axes(self, X: Any, groups: Any) -> tuple[Ints, int]:  # noqa: N803 - scikit-learn's name
        """(n,) number of each row's time, and how many times there are."""
        rows = len(X)
        if groups is None:
            return np.arange(rows, dtype=np.int64), rows
        times = np.asarray(groups)
        if times.shape != (rows,):
            raise BadData(f"groups {times.shape}: give the time of each of the {rows} rows")
        if bool((times[1:] < times[:-1]).any()):
            raise BadData("groups: rows are not in order of time; sort them first")
        unique, place = np.unique(times, return_inverse=True)
        return place.astype(np.int64), len(unique)

    def _ends(self, times: int) -> Ints:
        """(T,) last time each label looks at."""
        own = np.arange(times, dtype=np.int64)
        if isinstance(self.span, int | np.integer):
            return np.minimum(own + int(self.span), times - 1)
        ends = _located(self.span, times) if hasattr(self.span, "index") else np.asarray(self.span)
        if ends.shape != (times,) or ends.dtype.kind not in "iu":
            raise BadData(f"span: {ends.dtype} {ends.shape}; give ({times},) whole numbers, the last bar of each label")
        if bool((ends < own).any()):
            row = int((ends < own).argmax())
            raise BadData(f"span: the label of bar {row} ends at bar {int(ends[row])}, before it begins")
        return np.minimum(ends, times - 1).astype(np.int64)

    def _edges(self, times: int) -> list[tuple[int, int]]:
        """Blocks of nearly equal length, in order."""
        if times < self.blocks:
            raise BadData(f"{times} bars cannot be cut into {self.blocks} groups")
        cuts = np.linspace(0, times, self.blocks + 1).round().astype(np.int64)
        return [(int(a), int(b)) for a, b in pairwise(cuts)]

    def _split(self, X: Any, groups: Any, tests: Sequence[tuple[int, ...]]) -> Iterator[tuple[Ints, Ints]]:  # noqa: N803
        place, times = self._axes(X, groups)
        ends, edges = self._ends(times), self._edges(times)
        embargo = int(self.embargo) if self.embargo >= 1 else int(self.embargo * times)
        for number, tested in enumerate(tests):
            blocks = [edges[group] for group in tested]
            inside = np.zeros(times, np.bool_)
            for begin, stop in blocks:
                inside[begin:stop] = True
            train = np.zeros(times, np.bool_)
            train[purged(blocks, ends, embargo)] = True
            if not train.any():
                raise BadData(
                    f"fold {number + 1} of {len(tests)} has nothing left to train on: labels span up to "
                    f"{int((ends - np.arange(times)).max())} bars and the embargo {embargo}, of {times} bars"
                )
            yield np.flatnonzero(train[place]).astype(np.int64), np.flatnonzero(inside[place]).astype(np.int64)


def _located(span: Any, times: int) -> Ints:
    """A Series of end times by start time, as positions: the last bar at or before each end."""
    ends = np.searchsorted(np.asarray(span.index), np.asarray(span), side="right") - 1
    if len(ends) != times:
        raise BadData(f"span: a Series of {len(ends)} labels for {times} bars")
    return np.asarray(ends, np.int64)


class PurgedKFold(_Splitter):
    """`folds` blocks of time, each tested once by what was learned of the others, purged and embargoed.

    span     bars that a label looks ahead (a 5-bar return: 5); (T,) whole numbers, the last bar of each label; or a
             Series of end times by start time
    embargo  bars after a test block that are left out; below 1: a part of all bars
    """

    def __init__(self, folds: int = 5, *, span: object = 1, embargo: float = 0.0) -> None:
        if isinstance(folds, bool) or not isinstance(folds, int | np.integer) or folds < 2:
            raise ConfigError(f"PurgedKFold(folds={folds!r}): give 2 or more")
        super().__init__(int(folds), span, embargo)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:  # noqa: ARG002, N803
        """Number of splits."""
        return self.blocks

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[Ints, Ints]]:  # noqa: ARG002, N803
        """(train, test) rows of each fold."""
        yield from self._split(X, groups, [(group,) for group in range(self.blocks)])

    def __repr__(self) -> str:
        return f"PurgedKFold({self.blocks}, span={_told(self.span)}, embargo={self.embargo!r})"


class CombinatorialPurgedCV(_Splitter):
    """Every choice of `tested` among `groups` blocks of time is a test set once.

    Each block is tested `paths` times; put together, the tests make `paths` whole histories, each of predictions made
    without the bars they are about. span, embargo as in `PurgedKFold`.
    """

    def __init__(self, groups: int = 6, tested: int = 2, *, span: object = 1, embargo: float = 0.0) -> None:
        numbers = all(isinstance(one, int | np.integer) and not isinstance(one, bool) for one in (groups, tested))
        if not numbers or not 1 <= tested < groups:
            raise ConfigError(
                f"CombinatorialPurgedCV({groups!r}, {tested!r}): give groups above tested, tested 1 or more"
            )
        super().__init__(int(groups), span, embargo)
        self.tested = int(tested)

    @property
    def combinations(self) -> list[tuple[int, ...]]:
        """The tested groups of each split, in order."""
        return list(combinations(range(self.blocks), self.tested))

    @property
    def paths(self) -> int:
        """Number of whole histories that the tests make."""
        return paths_of(self.blocks, self.tested)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:  # noqa: ARG002, N803
        """Number of splits, C(groups, tested)."""
        return math.comb(self.blocks, self.tested)

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[Ints, Ints]]:  # noqa: ARG002, N803
        """(train, test) rows of each combination, in the order of `combinations`."""
        yield from self._split(X, groups, self.combinations)

    def path_splits(self) -> Ints:
        """(paths, groups) int64: the split whose test of a group belongs to a path; each test is on one path."""
        found = np.full((self.paths, self.blocks), -1, np.int64)
        used = [0] * self.blocks
        for number, tested in enumerate(self.combinations):
            for group in tested:
                found[used[group], group] = number
                used[group] += 1
        return found

    def groups_of(self, rows: int) -> Ints:
        """(rows,) int64: the group of each bar."""
        found = np.empty(rows, np.int64)
        for group, (begin, stop) in enumerate(self._edges(rows)):
            found[begin:stop] = group
        return found

    def __repr__(self) -> str:
        return f"CombinatorialPurgedCV({self.blocks}, {self.tested}, span={_told(self.span)}, embargo={self.embargo!r})"


def _told(span: object) -> str:
    return repr(span) if isinstance(span, int | np.integer) else "..."
