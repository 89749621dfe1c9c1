"""Across names: rank, z-score and demean of each row on its own.

Contract: inputs (T, N), time first, names in columns ((T,) is one name); outputs float64 of the same shape. A value
takes part where it is known (not NaN, not infinite) and `where`, a bool array of the same shape (`bars.member`, say),
is True; elsewhere the result is NaN. The order of columns, and columns that take no part, change no bit of the
others.

>>> rank([[10.0, 30.0, 20.0, 20.0]], pct=False).tolist()
[[1.0, 4.0, 2.5, 2.5]]
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from quantkit.indicators import cross_kernels as kernels
from quantkit.indicators.inputs import FloatArray, freedom, mask, matrix, shaped
from quantkit.indicators.memo import shared

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

BLOCK_BYTES = 1 << 20  # rows are sorted in blocks of this size, which bounds the memory used


@shared
def rank(values: ArrayLike, *, where: ArrayLike | None = None, pct: bool = True, ascending: bool = True) -> FloatArray:
    """Rank of each value in its row: the lowest has 1 (the highest with ascending=False), equal values share the mean.

    pct=True divides by the number of values ranked: above 0 to 1; pct=False gives ordinals 1 to n. Fractional ranks
    of ties as in Kendall (1945) and pandas' `rank(axis=1)`. Raises BadData for a `where` that is not bool of the same
    shape.
    """
    table = matrix("rank", "values", values)
    allowed = mask("rank", where, table.shape)
    out = np.empty_like(table)
    step = max(1, BLOCK_BYTES // (8 * max(1, table.shape[1])))
    for start in range(0, len(table), step):
        rows = slice(start, start + step)
        part = np.where(allowed[rows] & np.isfinite(table[rows]), table[rows], np.nan)
        kernels.rank_rows(part, np.argsort(part, axis=1), not ascending, pct, out[rows])
    return shaped(out, values)


@shared
def demean(values: ArrayLike, *, where: ArrayLike | None = None) -> FloatArray:
    """Each value less the mean of its row, in the unit of `values`.

    The mean is exactly the value in a row of equal ones. Raises BadData for a `where` that is not bool of the same
    shape.
    """
    table = matrix("demean", "values", values)
    out = np.empty_like(table)
    kernels.centre_rows(table, mask("demean", where, table.shape), 0, False, out)
    return shaped(out, values)


@shared
def zscore(values: ArrayLike, *, where: ArrayLike | None = None, ddof: int = 1) -> FloatArray:
    """(x - mean) / standard deviation of its row, without unit.

    NaN where the row is constant or has at most `ddof` values. Raises ConfigError for a negative ddof, BadData for a
    `where` that is not bool of the same shape.
    """
    ddof = freedom("zscore", ddof)
    table = matrix("zscore", "values", values)
    out = np.empty_like(table)
    kernels.centre_rows(table, mask("zscore", where, table.shape), ddof, True, out)
    return shaped(out, values)
