"""From what a strategy returns to the (T, N) array that the core reads.

Contract: accepted are NumPy arrays and lists (T, N), or (T,) when there is one symbol; pandas frames and series,
whose rows and columns are matched by label (a frame with default integer labels counts by position; of columns with
several levels, as vectorbt's, the one that names the symbols counts); polars frames
whose columns are the symbols, and series. The answer is C-contiguous and either bool (in or out) or float64 with NaN
for "leave". Whole numbers 0 and 1 mean out and in where `whole_is_bool`. Everything else is a BadData naming the
owner, what came and what was expected.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from quantkit.data.dates import DAY_US, day_text
from quantkit.errors import BadData

if TYPE_CHECKING:
    import pandas as pd

    from quantkit.data.bars import Bars

Targets = NDArray[np.bool_] | NDArray[np.float64]


def is_plain(values: object, bars: Bars) -> TypeGuard[NDArray[np.bool_]]:
    """Whether these are targets as they should be: bool, (T, N), C-contiguous."""
    return (
        type(values) is np.ndarray
        and values.dtype == np.bool_
        and values.shape == bars.shape
        and values.flags.c_contiguous
    )


def as_targets(
    values: object, bars: Bars, *, owner: str = "targets", whole_is_bool: bool = True, allow_empty: bool = False
) -> Targets:
    """Targets of every bar and symbol, (T, N) bool or float64. `allow_empty` accepts floats without a single value."""
    if values is None:
        raise BadData(f"{owner}: got None; return an array of shape (T, N), one row per bar and one column per symbol")
    library = type(values).__module__.partition(".")[0]
    if library == "pandas":
        array = _from_pandas(values, bars, owner)
    elif library == "polars":
        array = _from_polars(values, bars, owner)
    else:
        array = np.asarray(values)
    if array.ndim == 1 and len(bars.symbols) == 1:
        array = array[:, None]
    if array.shape != bars.shape:
        rows, names = bars.shape
        raise BadData(
            f"{owner}: shape {array.shape}; expected (T, N) = ({rows}, {names}), a row per bar and a column per symbol"
        )
    return _typed(array, bars, owner, whole_is_bool, allow_empty)


def as_matrix(values: object, bars: Bars, *, owner: str) -> NDArray[np.float64]:
    """Numbers for every bar and symbol, (T, N) float64, C-contiguous; True is 1. (T,) counts for all symbols."""
    library = type(values).__module__.partition(".")[0]
    series = getattr(values, "ndim", 2) == 1 or not hasattr(values, "columns")
    if library == "pandas":
        array = _from_series(values, bars, owner) if series else _from_pandas(values, bars, owner)
    elif library == "polars":
        array = values.to_numpy() if series else _from_polars(values, bars, owner)  # type: ignore[attr-defined]
    else:
        array = np.asarray(values)
    if array.ndim == 1 and len(array) == len(bars):
        array = np.repeat(array[:, None], len(bars.symbols), axis=1)
    if array.shape != bars.shape:
        rows, names = bars.shape
        raise BadData(f"{owner}: shape {array.shape}; expected (T, N) = ({rows}, {names}), or ({rows},) for all names")
    if array.dtype.kind not in "biuf":
        raise BadData(f"{owner}: dtype {array.dtype}; expected numbers, or bool")
    return np.ascontiguousarray(array, dtype=np.float64)


def _typed(array: NDArray[Any], bars: Bars, owner: str, whole_is_bool: bool, allow_empty: bool) -> Targets:
    if array.dtype == object:
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError):
            raise BadData(f"{owner}: holds objects that are no numbers; expected bool, or float with NaN") from None
    if array.dtype == np.bool_:
        return np.ascontiguousarray(array)
    if array.dtype.kind in "iu" and whole_is_bool and bool(((array == 0) | (array == 1)).all()):
        return np.ascontiguousarray(array, dtype=np.bool_)
    if array.dtype.kind not in "iuf":
        raise BadData(f"{owner}: dtype {array.dtype}; expected bool (in or out) or float (weights, NaN = leave)")
    numbers = np.ascontiguousarray(array, dtype=np.float64)
    endless = np.isinf(numbers)
    if endless.any():
        row, column = (int(place[0]) for place in np.nonzero(endless))
        raise BadData(
            f"{owner}: {numbers[row, column]} at {_when(bars, row)} for {bars.symbols[column]}; a division by zero? "
            "Use NaN to leave a name as it is"
        )
    if not allow_empty:
        refuse_empty(numbers, bars, owner)
    return numbers


def no_value(values: Targets) -> bool:
    """Whether these are float targets without a single value."""
    return values.dtype == np.float64 and values.size > 0 and bool(np.isnan(values).all())


def refuse_empty(values: Targets, bars: Bars, owner: str) -> None:
    """BadData for float targets without a single value."""
    if no_value(values):
        raise BadData(
            f"{owner}: no value at all, every target is NaN; are {len(bars)} bars fewer than its windows need?"
        )


def _when(bars: Bars, row: int) -> str:
    return str(bars.index[row]) if bars.intraday else day_text(int(bars.days[row]))


def _from_pandas(values: Any, bars: Bars, owner: str) -> NDArray[Any]:
    """Values of a frame or series in the order of the panel's rows and columns."""
    import pandas as pd

    if isinstance(values, pd.Series):
        if len(bars.symbols) != 1:
            raise BadData(f"{owner}: a Series for {len(bars.symbols)} symbols; expected a DataFrame, one column each")
        values = values.to_frame(bars.symbols[0])
    if not isinstance(values, pd.DataFrame):
        raise BadData(f"{owner}: a pandas {type(values).__name__}; expected a DataFrame, index x symbols")
    if isinstance(values.columns, pd.MultiIndex):
        values = values.set_axis(_symbol_level(values.columns, bars, owner), axis=1)
    rows: Any = slice(None)
    columns: Any = slice(None)
    if not _unlabelled(values.index, len(bars)):
        rows = _matched(_stamps(values.index, bars, owner), bars, owner)
    if not _unlabelled(values.columns, len(bars.symbols)) and tuple(values.columns) != bars.symbols:
        _same_symbols([str(name) for name in values.columns], bars, owner)
        columns = values.columns.get_indexer(pd.Index(bars.symbols))
    whole = bool((values.dtypes == np.bool_).all())
    array = values.to_numpy(dtype=np.bool_) if whole else values.to_numpy(dtype=np.float64, na_value=np.nan)
    if not whole and all(pd.api.types.is_integer_dtype(kind) for kind in values.dtypes) and not np.isnan(array).any():
        array = array.astype(np.int64)
    return np.asarray(array[rows][:, columns])


def _symbol_level(columns: pd.MultiIndex, bars: Bars, owner: str) -> pd.Index[Any]:
    """The level of columns that names symbols, where the others (an indicator's parameters) say one thing only."""
    levels = [columns.get_level_values(k) for k in range(columns.nlevels)]
    found = [k for k, level in enumerate(levels) if set(map(str, level)) <= set(bars.symbols)]
    if not found:
        shown = [str(name) for name in columns.names]
        raise BadData(
            f"{owner}: columns have the levels {shown}, none of which holds the symbols {list(bars.symbols[:3])}; run "
            'the indicator on bars.frame("close")'
        )
    rest = columns.droplevel(found[-1])
    kinds = rest.unique()
    if len(kinds) > 1:
        names, some = [str(name) for name in rest.names], [_plain(kind) for kind in kinds[:2]]
        level = names if len(names) > 1 else names[0]
        raise BadData(
            f"{owner}: columns hold {len(kinds)} combinations of {names}, such as {some}; choose one: "
            f"frame.xs({some[0]!r}, axis=1, level={level!r})"
        )
    return levels[found[-1]].astype(str)


def _plain(label: Any) -> Any:
    """A label as Python writes it: 10, not np.int64(10)."""
    if isinstance(label, tuple):
        return tuple(_plain(part) for part in label)
    return label.item() if isinstance(label, np.generic) else label


def _from_series(values: Any, bars: Bars, owner: str) -> NDArray[Any]:
    """Values of a series in the order of the panel's rows."""
    rows: Any = slice(None)
    if not _unlabelled(values.index, len(bars)):
        rows = _matched(_stamps(values.index, bars, owner), bars, owner)
    return np.asarray(values.to_numpy()[rows])


def _unlabelled(index: pd.Index[Any], size: int) -> bool:
    """Whether labels are pandas' own 0..size-1, which say nothing: such a frame counts by position."""
    import pandas as pd

    return isinstance(index, pd.RangeIndex) and len(index) == size and index.start == 0 and index.step == 1


def _stamps(index: pd.Index[Any], bars: Bars, owner: str) -> NDArray[np.int64]:
    """Row labels as epoch days (daily bars) or UTC microseconds."""
    import pandas as pd

    if not isinstance(index, pd.DatetimeIndex):
        try:
            index = pd.DatetimeIndex(pd.to_datetime(index, format="ISO8601"))
        except (ValueError, TypeError):
            raise BadData(f"{owner}: row labels such as {index[:1].tolist()} are no dates; use bars.index") from None
    if bars.intraday:
        if index.tz is None:
            raise BadData(f"{owner}: row labels have no time zone; use bars.index, which is in Asia/Seoul")
        return index.tz_convert("UTC").tz_localize(None).to_numpy().astype("datetime64[us]").astype(np.int64)
    naive = index.tz_localize(None) if index.tz is not None else index
    return naive.to_numpy().astype("datetime64[us]").astype(np.int64) // DAY_US


def _matched(stamps: NDArray[np.int64], bars: Bars, owner: str) -> NDArray[np.int64]:
    """For each bar the row of the frame with its stamp; both must have the same ones."""
    wanted = bars.times if bars.intraday else bars.days
    order = np.argsort(stamps, kind="stable")
    if len(stamps) != len(wanted) or not np.array_equal(stamps[order], wanted):
        missing, extra = np.setdiff1d(wanted, stamps), np.setdiff1d(stamps, wanted)
        unit = "datetime64[us]" if bars.intraday else "datetime64[D]"
        shown = [", ".join(map(str, part[:3].astype(unit))) or "none" for part in (missing, extra)]
        raise BadData(
            f"{owner}: {len(stamps)} rows for {len(wanted)} bars; bars without a row: {len(missing)} ({shown[0]}), "
            f"rows without a bar: {len(extra)} ({shown[1]}); reindex to bars.index"
        )
    return order


def _same_symbols(columns: list[str], bars: Bars, owner: str) -> None:
    if sorted(columns) != sorted(bars.symbols):
        missing = sorted(set(bars.symbols) - set(columns))
        extra = sorted(set(columns) - set(bars.symbols))
        raise BadData(
            f"{owner}: {len(columns)} columns for {len(bars.symbols)} symbols: missing {missing[:5]}, extra {extra[:5]}"
        )


def _from_polars(values: Any, bars: Bars, owner: str) -> NDArray[Any]:
    """Values of a polars frame by column name, or of a series; nulls become NaN. Rows count by position."""
    if hasattr(values, "columns"):
        _same_symbols(list(values.columns), bars, owner)
        columns = [values[symbol] for symbol in bars.symbols]
    else:
        columns = [values]
    arrays = [column.to_numpy() for column in columns]
    return np.column_stack(arrays) if arrays else np.empty((len(bars), 0))
