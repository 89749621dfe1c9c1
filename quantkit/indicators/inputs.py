"""What enters an indicator: arrays made two-dimensional, arguments checked.

Contract: pure. Every array that reaches compiled code is a read-only C-contiguous (T, N) float64, whatever it was
before (list, NumPy, memory map, pandas, polars), so that each kernel is compiled for exactly one signature. Nothing
is copied that already has this form. Wrong arguments raise ConfigError, wrong arrays BadData; both name the function
and the value. Called by every public function of `quantkit.indicators`.

>>> prices = matrix("sma", "values", [1, 2, 3])
>>> prices.shape, prices.dtype.name
((3, 1), 'float64')
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, TypeVar, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from quantkit.errors import BadData, ConfigError

if TYPE_CHECKING:
    import pandas as pd

FloatArray: TypeAlias = NDArray[np.float64]
BoolArray: TypeAlias = NDArray[np.bool_]
IntArray: TypeAlias = NDArray[np.int64]
Array = TypeVar("Array", FloatArray, BoolArray)


def matrix(function: str, name: str, values: ArrayLike) -> FloatArray:
    """Read-only (T, N) float64 view or copy of a (T,) or (T, N) input; a (T,) input is one column."""
    raw = np.asarray(values)
    if raw.dtype.kind not in "biufO":
        raise BadData(f"ta.{function}: {name} has dtype {raw.dtype}, expected numbers")
    if raw.ndim not in (1, 2):
        raise BadData(f"ta.{function}: {name} has shape {raw.shape}, expected (T,) or (T, N)")
    try:
        table = np.require(raw, dtype=np.float64, requirements=["C", "A"])
    except (TypeError, ValueError) as error:
        # pandas columns with NA arrive as objects; pandas itself knows how to turn them into NaN
        table = _nullable(function, name, values, error)
    view = table.reshape(table.shape[0], 1 if table.ndim == 1 else table.shape[1]).view()
    view.flags.writeable = False
    return view


def matrices(function: str, **named: ArrayLike) -> list[FloatArray]:
    """`matrix` of each named input; all must have the shape of the first."""
    same_labels(function, **named)
    tables = [matrix(function, name, values) for name, values in named.items()]
    first, shape = next((name, np.shape(values)) for name, values in named.items())
    for name, table in zip(named, tables, strict=True):
        if table.shape != tables[0].shape:
            found = np.shape(named[name])
            raise BadData(f"ta.{function}: {name} has shape {found}, expected {shape} as {first} has")
    return tables


def beside(function: str, name: str, values: ArrayLike, shape: tuple[int, int]) -> FloatArray:
    """A second input for a (T, N) first one: the same shape, or one column (an index, say) that serves every name."""
    table = matrix(function, name, values)
    if table.shape == (shape[0], 1) and shape[1] != 1:
        table = np.repeat(table, shape[1], axis=1)
        table.flags.writeable = False
    if table.shape != shape:
        column = f"({shape[0]},)"
        expected = column if shape[1] == 1 else f"{shape} or {column}"
        raise BadData(f"ta.{function}: {name} has shape {np.shape(values)}, expected {expected}")
    return table


def mask(function: str, where: ArrayLike | None, shape: tuple[int, int]) -> BoolArray:
    """Read-only (T, N) bool: `where`, or all True without one."""
    if where is None:
        table = np.ones(shape, dtype=np.bool_)
    else:
        table = np.asarray(where)
        if table.dtype != np.bool_:
            raise BadData(f"ta.{function}: where has dtype {table.dtype}, expected bool")
        if table.ndim == 1:
            table = table.reshape(-1, 1)
        if table.shape != shape:
            raise BadData(f"ta.{function}: where has shape {np.shape(where)}, expected {shape}")
    view = np.ascontiguousarray(table).view()
    view.flags.writeable = False
    return view


def integer(function: str, name: str, value: object, low: int = 1) -> int:
    """`value` as int, or ConfigError when it is no whole number of at least `low`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < low:
        raise ConfigError(f"ta.{function}: {name} = {value!r}, expected a whole number of bars, at least {low}")
    return int(value)


def positive(function: str, name: str, value: object) -> float:
    """`value` as float, or ConfigError when it is no finite number above zero."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0.0 < float(value) < np.inf:
        raise ConfigError(f"ta.{function}: {name} = {value!r}, expected a number above 0")
    return float(value)


def freedom(function: str, ddof: object, window: int | None = None) -> int:
    """`ddof` as int, or ConfigError when it is negative or leaves nothing of a window to divide by."""
    whole = int(ddof) if isinstance(ddof, int | np.integer) and not isinstance(ddof, bool) else -1
    if whole < 0 or (window is not None and whole >= window):
        bound = "" if window is None else f" and below window = {window}"
        raise ConfigError(f"ta.{function}: ddof = {ddof!r}, expected a whole number of at least 0{bound}")
    return whole


def shaped(result: FloatArray, like: ArrayLike) -> FloatArray:
    """A (T, 1) result as (T,) when the input was one-dimensional; labelled as the input where that was pandas."""
    return labelled(result.reshape(-1) if np.ndim(like) == 1 else result, like)


def labelled(result: Array, like: object) -> Array:
    """A result with the labels of a pandas input (same index, columns, name); an array where the input had none."""
    if not _has_labels(like):
        return result
    import pandas as pd

    if isinstance(like, pd.Series):
        return cast("Array", pd.Series(result, index=like.index, name=like.name))
    frame = cast("pd.DataFrame", like)
    return cast("Array", pd.DataFrame(result, index=frame.index, columns=frame.columns, copy=False))


def same_labels(function: str, **named: object) -> None:
    """BadData when pandas inputs do not stand on the same rows: arrays meet by position, labels must agree."""
    first = next(((name, values) for name, values in named.items() if _has_labels(values)), None)
    for name, values in named.items():
        if first is not None and _has_labels(values) and not values.index.equals(first[1].index):  # type: ignore[attr-defined]
            raise BadData(f"ta.{function}: the rows of {name} have other labels than those of {first[0]}; align them")


def _has_labels(values: object) -> bool:
    return type(values).__module__.partition(".")[0] == "pandas" and hasattr(values, "index")


def _nullable(function: str, name: str, values: ArrayLike, error: Exception) -> FloatArray:
    to_numpy = getattr(values, "to_numpy", None)
    if to_numpy is None:
        raise BadData(f"ta.{function}: {name} holds something that is not a number: {error}") from error
    try:
        return np.require(to_numpy(dtype=np.float64, na_value=np.nan), requirements=["C", "A"])
    except (TypeError, ValueError) as again:
        raise BadData(f"ta.{function}: {name} holds something that is not a number: {again}") from again
