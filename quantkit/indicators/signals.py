"""Comparing a series with itself and with others: crossings and lags.

Contract: inputs (T,) or (T, N), time first; crossings are bool of the same shape, lag is float64. A missing value (NaN)
on either side, now or one row ago, is no crossing.

>>> cross_over([1.0, 3.0, 4.0], 2.0).tolist()
[False, True, False]
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from quantkit.errors import BadData
from quantkit.indicators.inputs import BoolArray, FloatArray, beside, integer, labelled, matrix, same_labels, shaped
from quantkit.indicators.memo import shared

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@shared
def cross_over(values: ArrayLike, other: ArrayLike) -> BoolArray:
    """True where `values` is above `other` now and was not one row ago (x[t] > y[t] and x[t-1] <= y[t-1]).

    `other` is a number, one column, or of the shape of `values`. The first row is False. Raises BadData for other
    shapes.
    """
    left, right = _sides("cross_over", values, other)
    return _crossing(left, right, values)


@shared
def cross_under(values: ArrayLike, other: ArrayLike) -> BoolArray:
    """True where `values` is below `other` now and was not one row ago (x[t] < y[t] and x[t-1] >= y[t-1]).

    `other` is a number, one column, or of the shape of `values`. The first row is False. Raises BadData for other
    shapes.
    """
    left, right = _sides("cross_under", values, other)
    return _crossing(right, left, values)


@shared
def lag(values: ArrayLike, periods: int = 1) -> FloatArray:
    """The value `periods` rows ago, in the unit of `values`; the first `periods` rows are NaN.

    periods=0 gives the input. Raises ConfigError for periods < 0: that would be tomorrow's value.
    """
    periods = integer("lag", "periods", periods, low=0)
    table = matrix("lag", "values", values)
    out = np.empty_like(table)
    out[:periods] = np.nan
    out[periods:] = table[: max(len(table) - periods, 0)]
    return shaped(out, values)


def hold(enter: ArrayLike, leave: ArrayLike) -> BoolArray:
    """True from a row where `enter` holds until the next one where `leave` does; both on one row: out.

    Both are bool, (T,) or (T, N), of one shape. What a rule with separate entries and exits returns as its targets.
    Raises BadData for other shapes or dtypes.

    >>> hold([False, True, False, False], [False, False, False, True]).tolist()
    [False, True, True, False]
    """
    same_labels("hold", enter=enter, leave=leave)
    flags = []
    for name, given in (("enter", enter), ("leave", leave)):
        array = np.asarray(given)
        if array.dtype != np.bool_ or array.ndim not in (1, 2):
            raise BadData(f"ta.hold: {name} is {array.dtype} {array.shape}; expected bool of shape (T,) or (T, N)")
        flags.append(array)
    if flags[0].shape != flags[1].shape:
        raise BadData(f"ta.hold: leave has shape {flags[1].shape}, expected {flags[0].shape}")
    rows = np.arange(len(flags[0])).reshape((-1,) + (1,) * (flags[0].ndim - 1))
    entered, left = (np.maximum.accumulate(np.where(flag, rows, -1), axis=0) for flag in flags)
    return labelled(np.asarray(entered > left, np.bool_), enter)


def _sides(function: str, values: ArrayLike, other: ArrayLike) -> tuple[FloatArray, FloatArray]:
    left = matrix(function, "values", values)
    if np.ndim(other) == 0:
        return left, np.full((1, 1), float(np.asarray(other))).repeat(len(left), axis=0)
    same_labels(function, values=values, other=other)
    return left, beside(function, "other", other, left.shape)


def _crossing(above: FloatArray, below: FloatArray, like: ArrayLike) -> BoolArray:
    out = np.zeros(np.broadcast_shapes(above.shape, below.shape), dtype=np.bool_)
    out[1:] = (above[1:] > below[1:]) & (above[:-1] <= below[:-1])
    return labelled(out.reshape(-1) if np.ndim(like) == 1 else out, like)
