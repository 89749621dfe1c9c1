"""Universe queries: which names belong, as of each bar, judged by data before that bar.

Contract: a query is a SQL condition over these columns, each as known at the close of the bar before (so what a query
says of bar t does not change with bar t, nor with anything later):

    symbol, name, market      as of that bar's date
    listed_days               bars since the first stored one
    open high low close       as traded            volume, value (close x volume where not stored)
    market_cap, shares        where stored
    value_20d, close_60d, ... mean over the last n bars of any numeric column above

for example "market = 'KOSPI' and value_20d > 1e9 and close > 1000". A name that is not listed is never a member,
delisted names are judged on every day they were listed, and a condition that is unknown (null) is not met. The first
bar has no bar before it: nobody is a member. DuckDB evaluates the condition, with no access to files. Called by
`lake`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from quantkit.data.carry import LISTED
from quantkit.errors import BadData

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

NUMBERS = ("open", "high", "low", "close", "volume", "value", "market_cap", "shares")
TEXTS = ("symbol", "name", "market")
_MEAN = re.compile(r"(" + "|".join(NUMBERS) + r")_([1-9]\d{0,3})d\Z")
_WORD = re.compile(r"'(?:[^']|'')*'|[A-Za-z_][A-Za-z_0-9]*")
_CHUNK = 2_000_000  # cells evaluated at a time


def columns_of(query: str) -> tuple[set[str], int]:
    """(columns that the query names, bars of history it needs)."""
    words = {word.lower() for word in _WORD.findall(query) if not word.startswith("'")}
    known = {word for word in words if word in NUMBERS or word in TEXTS or word == "listed_days" or _MEAN.match(word)}
    reach = [int(found.group(2)) for word in known if (found := _MEAN.match(word))]
    return known, max(reach, default=1) + 1


def members(
    query: str,
    *,
    symbols: Sequence[str],
    days: IntArray,
    flags: NDArray[np.uint8],
    field: Callable[[str], FloatArray],
    listed_before: IntArray,
    names: Mapping[str, str],
    markets: Callable[[str, IntArray], Sequence[str | None]],
) -> BoolArray:
    """(T, N) bool: listed now, and the condition holds at the bar before. Row 0 is False.

    listed_before (N,): stored bars of the symbol before the first row. field: a (T, N) matrix by name.
    """
    wanted, _ = columns_of(query)
    listed = (flags & LISTED) != 0
    data = {name: _column(name, field, listed, listed_before) for name in wanted if name not in TEXTS}
    texts = {name: _texts(name, symbols, days, names, markets) for name in wanted if name in TEXTS}
    total = np.zeros(flags.shape, dtype=bool)
    step = max(1, _CHUNK // max(1, len(symbols)))
    for start in range(0, len(days) - 1, step):
        rows = slice(start, min(start + step, len(days) - 1))
        met = _evaluate(query, {name: matrix[rows] for name, matrix in (data | texts).items()}, (rows, len(symbols)))
        total[rows.start + 1 : rows.stop + 1] = met & listed[rows] & listed[rows.start + 1 : rows.stop + 1]
    return total


def _column(name: str, field: Callable[[str], FloatArray], listed: BoolArray, before: IntArray) -> FloatArray:
    if name == "listed_days":
        return np.cumsum(listed, axis=0, dtype=np.float64) + before
    mean = _MEAN.match(name)
    if mean is None:
        return field(name)
    return rolling_mean(field(mean.group(1)), int(mean.group(2)))


def rolling_mean(matrix: FloatArray, length: int) -> FloatArray:
    """Mean of the last `length` rows, NaN while there are fewer or one is NaN; the same bits for every later end."""
    out = np.full(matrix.shape, np.nan)
    for stop in range(length, len(matrix) + 1):
        out[stop - 1] = matrix[stop - length : stop].mean(axis=0)
    return out


def _texts(
    name: str,
    symbols: Sequence[str],
    days: IntArray,
    names: Mapping[str, str],
    markets: Callable[[str, IntArray], Sequence[str | None]],
) -> NDArray[np.object_]:
    if name == "market":
        table = np.empty((len(days), len(symbols)), dtype=object)
        for column, symbol in enumerate(symbols):
            table[:, column] = markets(symbol, days)
        return table
    row = np.array([symbol if name == "symbol" else names.get(symbol) for symbol in symbols], dtype=object)
    return np.broadcast_to(row, (len(days), len(symbols)))


def _evaluate(query: str, columns: Mapping[str, NDArray[np.generic]], shape: tuple[slice, int]) -> BoolArray:
    """The condition over flattened columns."""
    import duckdb
    import pyarrow as pa

    rows, width = shape
    cells = (rows.stop - rows.start) * width
    arrays = {name: pa.array(matrix.ravel(), from_pandas=True) for name, matrix in columns.items()}
    table = pa.table({"row_number": pa.array(np.arange(cells)), **arrays})
    connection = duckdb.connect(config={"enable_external_access": "false"})
    try:
        connection.register("bars_before", table)
        answer = connection.sql(f"select coalesce(({query}), false)::boolean as met from bars_before").fetchnumpy()[
            "met"
        ]
    except duckdb.Error as error:
        first = str(error).splitlines()[0]
        raise BadData(
            f"universe query {query!r}: {first}. Columns: {', '.join((*TEXTS, 'listed_days', *NUMBERS))}, "
            "and means such as value_20d"
        ) from error
    finally:
        connection.close()
    return np.asarray(answer, dtype=bool).reshape(-1, width)
