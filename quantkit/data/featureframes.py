"""Features given with a panel, without a lake: DataFrames in the shapes that `Lake.ingest_features` takes.

Contract: nothing is set aside here: the first row that cannot be used is BadData with its row, symbol and reason.
Called by the methods of `Bars` of the same names and by `Bars.from_pandas(features=...)`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from quantkit.data.featurerows import How, Reading, read_source
from quantkit.data.features import check_name
from quantkit.data.windows import slice_rows
from quantkit.errors import BadData

if TYPE_CHECKING:
    import pandas as pd

    from quantkit.data.bars import Bars


def with_feature(bars: Bars, name: str, frame: pd.DataFrame, *, blank: Literal["clear", "skip"] = "clear") -> Bars:
    """The same panel with one feature more.

    frame   symbol, as_of, [period] and value (or one other column); or a table of as-of dates x symbols: the index
            says when the numbers of a row became known, the columns are symbols of the bars.
    blank   an empty cell says that there is no value any more ("clear"), or says nothing ("skip").

    Raises BadData for rows that cannot be used.
    """
    import pandas as pd

    if isinstance(frame.index, pd.DatetimeIndex) and len(frame.columns) and set(frame.columns) <= set(bars.symbols):
        frame = frame.rename_axis(index="as_of").reset_index().melt("as_of", var_name="symbol", value_name="value")
    return _with(bars, _read(frame, How(name=check_name(name), blank=blank)))


def with_features(bars: Bars, frame: pd.DataFrame) -> Bars:
    """The same panel with the features of a table, long or wide."""
    return _with(bars, _read(frame, How()))


def _read(frame: pd.DataFrame, how: How) -> Reading:
    from quantkit.data.files import Source, as_arrow

    table = as_arrow(frame)
    reading = read_source(Source("features", tuple(table.column_names), content=table), how)
    if reading.rejects.rows:
        line, symbol, time, reason = reading.rejects.rows[0]
        raise BadData(
            f"features row {line - 1} ({symbol or 'no symbol'}, {time or 'no date'}): {reason}; "
            f"{len(reading.rejects.rows)} such row(s). Correct or drop them; a lake sets such rows aside"
        )
    return reading


def _with(bars: Bars, reading: Reading) -> Bars:
    part = slice_rows(bars, 0, len(bars))
    part.features = bars.features.having(reading.features)
    part._cache["prior_close"] = bars.prior_close
    return part
