"""Entries and exits made elsewhere, as targets for a backtest.

Contract: pure. What pandas, vectorbt or a list of flags says is only where to begin and where to end; `from_signals`
turns it into "in" and "out" of every bar, which is what `backtest(targets=...)` takes.

>>> from_signals([False, True, False, False, True], [False, False, False, True, True]).tolist()
[False, True, True, False, False]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from quantkit.errors import BadData, ConfigError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike

__all__ = ["from_signals"]

CONFLICTS = ("exit", "entry", "ignore")
Flags = NDArray[np.bool_]


@overload
def from_signals(
    entries: pd.DataFrame, exits: pd.DataFrame, *, conflict: Literal["exit", "entry", "ignore"] = ...
) -> pd.DataFrame: ...
@overload
def from_signals(
    entries: pd.Series[Any], exits: pd.Series[Any], *, conflict: Literal["exit", "entry", "ignore"] = ...
) -> pd.Series[bool]: ...
@overload
def from_signals(
    entries: ArrayLike, exits: ArrayLike, *, conflict: Literal["exit", "entry", "ignore"] = ...
) -> Flags: ...
def from_signals(
    entries: Any, exits: Any, *, conflict: Literal["exit", "entry", "ignore"] = "exit"
) -> Flags | pd.DataFrame | pd.Series[bool]:
    """Targets (True: in) from entries and exits: in from an entry until the next exit.

    entries, exits   bool of one shape, (T,) or (T, N), as decided at each bar's close; pandas objects must have the
                     same rows and columns, in any order, and give one with the labels of `entries`. Columns of several
                     levels (vectorbt's parameters over symbols) that differ are matched by their last one.
    conflict         both on one bar: "exit" leaves, "entry" enters or stays, "ignore" changes nothing, as vectorbt

    A further entry while in changes nothing. Raises BadData for missing values, other dtypes, shapes or labels;
    ConfigError for another `conflict`.

    >>> from_signals([True, False], [True, False], conflict="entry").tolist()
    [True, True]
    """
    if conflict not in CONFLICTS:
        raise ConfigError(f"from_signals(conflict={conflict!r}): choose one of {', '.join(CONFLICTS)}")
    if _is_pandas(entries) != _is_pandas(exits):
        raise BadData("from_signals: one of entries and exits is pandas, the other is not; labels cannot be matched")
    if _is_pandas(entries):
        exits = _matched(entries, exits)
    enter, leave = _flags("entries", entries), _flags("exits", exits)
    if enter.shape != leave.shape:
        raise BadData(f"from_signals: entries have shape {enter.shape}, exits {leave.shape}; expected the same")
    both = enter & leave
    if conflict == "ignore":
        enter, leave = enter & ~both, leave & ~both
    elif conflict == "entry":
        leave = leave & ~both
    rows = np.arange(len(enter)).reshape((-1,) + (1,) * (enter.ndim - 1))
    entered, left = (np.maximum.accumulate(np.where(flag, rows, -1), axis=0) for flag in (enter, leave))
    held: Flags = np.asarray(entered > left, np.bool_)
    if not _is_pandas(entries):
        return held
    labels = {"index": entries.index} | ({"name": entries.name} if enter.ndim == 1 else {"columns": entries.columns})
    return type(entries)(held, **labels)  # type: ignore[no-any-return]


def _is_pandas(values: object) -> bool:
    return type(values).__module__.partition(".")[0] == "pandas"


def _flags(name: str, values: Any) -> Flags:
    """Values as bool; BadData where they are not."""
    array = np.asarray(values)
    if array.dtype == object and not any(value is None or value != value for value in array.flat):
        array = array.astype(np.bool_) if all(isinstance(value, bool | np.bool_) for value in array.flat) else array
    if array.dtype != np.bool_:
        missing = array.dtype.kind in "fO" and any(value is None or value != value for value in array.flat)
        hint = "; missing values, from shift() perhaps: fillna(False)" if missing else ""
        raise BadData(f"from_signals: {name} have dtype {array.dtype}; expected bool{hint}")
    if array.ndim not in (1, 2):
        raise BadData(f"from_signals: {name} have shape {array.shape}; expected (T,) or (T, N)")
    return array


def _matched(entries: Any, exits: Any) -> Any:
    """Exits in the order of the entries' rows and columns. BadData when they are not the same ones."""
    if entries.ndim != exits.ndim:
        raise BadData("from_signals: one of entries and exits is a Series, the other a DataFrame")
    for axis, what in enumerate(("rows", "columns")[: entries.ndim]):
        if entries.axes[axis].equals(exits.axes[axis]):
            continue
        ours, theirs = (_last_level(frame.axes[axis]) for frame in (entries, exits))
        if ours.has_duplicates or theirs.has_duplicates:
            twice = (ours if ours.has_duplicates else theirs).duplicated().argmax()
            raise BadData(f"from_signals: two {what} are labelled {(ours if ours.has_duplicates else theirs)[twice]!r}")
        if len(ours) != len(theirs) or not ours.isin(theirs).all():
            missing, extra = ours.difference(theirs), theirs.difference(ours)
            raise BadData(
                f"from_signals: the exits lack {len(missing)} {what} of the entries ({list(missing[:3])}) and have "
                f"{len(extra)} others ({list(extra[:3])})"
            )
        exits = exits.take(theirs.get_indexer(ours), axis=axis)
    return exits


def _last_level(labels: Any) -> Any:
    return labels.get_level_values(-1) if labels.nlevels > 1 else labels
