"""Universe queries: which names belong, as of each bar, judged by data before that bar.

Contract: a query is a SQL condition over these columns, each as known at the close of the bar before (so what a query
says of bar t does not change with bar t, nor with anything later):

    symbol, name, market      as of that bar's date
    listed_days               bars since the first stored one
    open high low close       as traded            volume, value (close x volume where not stored)
    market_cap, shares        where stored
    per, sector, ...          features by name, as known at the close of that bar (see `features`); text as text
    value_20d, close_60d, ... mean over the last n bars of any numeric column above

for example "market = 'KOSPI' and value_20d > 1e9 and close > 1000". A name that is not listed is never a member,
delisted names are judged on every day they were listed, and a condition that is unknown (null) is not met. The first
bar has no bar before it: nobody is a member. DuckDB evaluates the condition, with no access to files. Called by
`lake`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from quantkit.data.carry import LISTED
from quantkit.errors import BadData

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from quantkit.data.features import Features

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

NUMBERS = ("open", "high", "low", "close", "volume", "value", "market_cap", "shares")
TEXTS = ("symbol", "name", "market")
_MEAN = re.compile(r"(\w+)_([1-9]\d{0,3})d\Z")
_WORD = re.compile(r"'(?:[^']|'')*'|[^\W\d]\w*")
_CHUNK = 2_000_000  # cells evaluated at a time


def columns_of(query: str, features: Features | None = None) -> tuple[set[str], int]:
    """(columns that the query names, bars of history it needs, at most)."""
    words = {word.casefold() for word in _WORD.findall(query) if not word.startswith("'")}
    reach = [int(found.group(2)) for word in words if (found := _MEAN.match(word))]
    known = {word for word in words if _is_column(word, features)}
    return known, max(reach, default=1) + 1


def _is_column(word: str, features: Features | None) -> bool:
    if word in NUMBERS or word in TEXTS or word == "listed_days":
        return True
    mean = _MEAN.match(word)
    if mean is not None and mean.group(1) in NUMBERS:
        return True
    return features is not None and (word in features or (mean is not None and mean.group(1) in features))


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
    features: Features,
    feature: Callable[[str], FloatArray],
) -> BoolArray:
    """(T, N) bool: listed now, and the condition holds at the bar before. Row 0 is False.

    listed_before (N,): stored bars of the symbol before the first row. field: a (T, N) matrix by name. feature: one of
    `features` as known at each bar.
    """
    wanted, _ = columns_of(query, features)
    listed = (flags & LISTED) != 0

    def number(name: str) -> FloatArray:
        return field(name) if name in NUMBERS else feature(name)

    data: dict[str, NDArray[Any]] = {}
    for name in wanted:
        if name == "listed_days":
            data[name] = np.cumsum(listed, axis=0, dtype=np.float64) + listed_before
        elif name not in NUMBERS and name not in TEXTS and name in features:
            data[name] = _worded(feature(name), features.rows(name, symbols).labels)
        elif name not in TEXTS:
            data[name] = _column(name, number)
    texts = {name: _texts(name, symbols, days, names, markets) for name in wanted if name in TEXTS}
    total = np.zeros(flags.shape, dtype=bool)
    step = max(1, _CHUNK // max(1, len(symbols)))
    for start in range(0, len(days) - 1, step):
        rows = slice(start, min(start + step, len(days) - 1))
        given = {name: matrix[rows] for name, matrix in (data | texts).items()}
        met = _evaluate(query, given, (rows, len(symbols)), features)
        total[rows.start + 1 : rows.stop + 1] = met & listed[rows] & listed[rows.start + 1 : rows.stop + 1]
    return total


def _column(name: str, number: Callable[[str], FloatArray]) -> FloatArray:
    if name in NUMBERS:
        return number(name)
    mean = _MEAN.match(name)
    assert mean is not None  # `columns_of` names nothing else
    return rolling_mean(number(mean.group(1)), int(mean.group(2)))


def _worded(codes: FloatArray, labels: tuple[str, ...] | None) -> NDArray[Any]:
    """A text feature as text, None where nothing is known; numbers as they are."""
    if labels is None:
        return codes
    known = ~np.isnan(codes)
    return np.array([*labels, None], dtype=object)[np.where(known, codes, -1).astype(np.int64)]


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


def _evaluate(
    query: str, columns: Mapping[str, NDArray[np.generic]], shape: tuple[slice, int], features: Features
) -> BoolArray:
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
            f"and means such as value_20d; features: {', '.join(features.names) or 'none'}"
        ) from error
    finally:
        connection.close()
    return np.asarray(answer, dtype=bool).reshape(-1, width)
