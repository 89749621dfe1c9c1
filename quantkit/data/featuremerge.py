"""Rows of a feature put in order and together: each key once, the later one holds.

Contract: pure. A key is a symbol, an as-of moment and a period. Rows come out as `FeatureRows` wants them: sorted by
symbol, moment and period, the labels of text in the order in which they became known. Called by `featurerows` for what
one table holds, by `featurestore` for that and what the lake holds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from quantkit.data.features import FeatureRows, stored_order
from quantkit.data.rows import Labels, concat_labels
from quantkit.errors import BadData

FloatArray = NDArray[np.float64]


def sorted_rows(
    symbol: Labels,
    day: NDArray[np.int32],
    moment: NDArray[np.int64],
    period: NDArray[np.int32],
    value: FloatArray,
    names: tuple[str, ...] | None,
    *,
    at: NDArray[np.int64],
) -> tuple[FeatureRows, NDArray[np.int64]]:
    """Rows in the order of `FeatureRows` (stable), labels in the order they became known; and `at` in that order."""
    key = stored_order(day, moment)
    code = symbol.codes
    step, later = np.diff(code), np.diff(key)
    in_order = (step > 0) | ((step == 0) & ((later > 0) | ((later == 0) & (np.diff(period.astype(np.int64)) >= 0))))
    if not in_order.all():
        order = _order(code, key, period)
        code, day, moment = code[order], day[order], moment[order]
        period, value, at = period[order], value[order], at[order]
    used = np.unique(code)
    rank = np.zeros(len(symbol.names), np.int32)
    rank[used] = np.arange(len(used), dtype=np.int32)
    rows = FeatureRows(
        tuple(symbol.names[one] for one in used.tolist()), rank[code].astype(np.int32), day, moment, period, value
    )
    return rows if names is None else relabelled(rows, names), at


def _order(code: NDArray[np.int32], key: NDArray[np.int64], period: NDArray[np.int32]) -> NDArray[np.int64]:
    """Positions that sort by symbol, moment, period; one number where it can be, for then runs in order cost little."""
    base = int(key.min())
    span = int(key.max()) - base + 1
    if int(period.min()) == int(period.max()) and span * (int(code.max()) + 1) < 2**62:
        return np.argsort(code.astype(np.int64) * span + (key - base), kind="stable").astype(np.int64)
    return np.lexsort((period, key, code)).astype(np.int64)


def relabelled(rows: FeatureRows, names: tuple[str, ...]) -> FeatureRows:
    """Text rows whose values are places in `names`, brought to labels in the order in which they became known."""
    first: dict[int, int] = {}
    key = stored_order(rows.day, rows.moment)
    held = np.flatnonzero(~np.isnan(rows.value))
    codes = rows.value[held].astype(np.int64)
    for code in np.unique(codes).tolist():
        first[code] = int(key[held[codes == code]].min())
    order = sorted(first, key=lambda code: (first[code], names[code]))
    place = np.full(len(names) + 1, np.nan)
    place[order] = np.arange(len(order))
    value = rows.value.copy()
    value[held] = place[codes]
    return FeatureRows(
        rows.symbols, rows.code, rows.day, rows.moment, rows.period, value, tuple(names[code] for code in order)
    )


def same_key(rows: FeatureRows) -> NDArray[np.bool_]:
    """(R - 1,) whether a row has the key of the row before it."""
    key = stored_order(rows.day, rows.moment)
    found = (np.diff(rows.code) == 0) & (np.diff(key) == 0) & (np.diff(rows.period.astype(np.int64)) == 0)
    return np.asarray(found, np.bool_)


def merged(old: FeatureRows | None, new: FeatureRows, *, name: str) -> tuple[FeatureRows, int, int]:
    """(rows of both, how many are new, how many took the place of one with another value)."""
    if old is None or not len(old):
        return new, len(new), 0
    if len(new) and old.has_periods != new.has_periods:
        has, lacks = ("have", "has none") if old.has_periods else ("have no", "has one")
        raise BadData(f"feature {name!r}: its stored rows {has} periods, this table {lacks}; use another name for it")
    symbol = concat_labels([Labels(rows.symbols, rows.code) for rows in (old, new)])
    words = sorted({*(old.labels or ()), *(new.labels or ())})
    values = [_in_words(rows, words) for rows in (old, new)]
    both = np.concatenate(values)
    ages = np.repeat([0, 1], [len(old), len(new)])
    day, moment, period = (
        np.concatenate([getattr(old, part), getattr(new, part)]) for part in ("day", "moment", "period")
    )
    is_text = old.labels is not None or new.labels is not None
    rows, _age = sorted_rows(symbol, day, moment, period, both, None, at=ages)
    same = same_key(rows)
    differs = ~equal(rows.value[1:], rows.value[:-1])
    replaced = int((same & differs).sum())
    kept = rows.chosen(np.append(~same, True))
    added = int(len(kept) - len(old))
    return (relabelled(kept, tuple(words)) if is_text else kept), added, replaced


def _in_words(rows: FeatureRows, words: list[str]) -> FloatArray:
    """Values of text rows as places in `words`."""
    if rows.labels is None:
        return rows.value
    place = np.array([*(words.index(label) for label in rows.labels), np.nan])
    return np.asarray(place[np.where(np.isnan(rows.value), -1, rows.value).astype(np.int64)], np.float64)


def equal(one: FloatArray, other: FloatArray) -> NDArray[np.bool_]:
    return np.asarray((one == other) | (np.isnan(one) & np.isnan(other)), np.bool_)
