"""Corporate actions that prices betray: from the exchange's base price, or from a vendor's adjusted close.

Contract: pure over rows already stored. An action derived from a base price has kind "unknown", price_factor = last
close / base, share_ratio unknown: a base price says that the price basis moved, not why. An off-grid close is
followed by the next grid price up (rule of 2025-02-27) and is no action. Nothing is derived across a session that the
table lacks for the whole market, nor on a symbol's first row. Called by `landing` after an ingest.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from quantkit.data.actions import Action
from quantkit.data.dates import day_text
from quantkit.data.parts import read_columns, time_values, values
from quantkit.data.rows import ADJUSTED
from quantkit.errors import BadData
from quantkit.market import MARKET_ID

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from quantkit.data.versions import Part, Parts

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]

# Ratios in which companies split: whole numbers, their inverses, and halves, thirds, quarters, fifths.
_RATIOS = sorted(
    {float(n) for n in range(2, 101)}
    | {1.0 / n for n in range(2, 101)}
    | {1.5, 2.5, 4 / 3, 5 / 3, 1.25, 1.2, 2 / 3, 0.75}
)


@dataclass(frozen=True, slots=True)
class Derived:
    """An action read off a base price."""

    symbol: str
    ex_day: int
    price_factor: float


def from_base(parts: Parts, sessions: IntArray | None) -> list[Derived]:
    """Actions that the stored base prices of a daily table imply, by ex-day and symbol.

    `sessions`: epoch days with a Korean session; a session the table lacks breaks the chain from close to base.
    """
    lacking = _lacking(parts, sessions)
    years: dict[int, list[Part]] = defaultdict(list)
    for part in parts.parts:
        years[part.index.span[0] // 366].append(part)
    last: dict[str, tuple[int, float, int]] = {}
    found: list[Derived] = []
    for year in sorted(years):
        found += _year(years[year], last, lacking)
    return sorted(found, key=lambda one: (one.ex_day, one.symbol))


def _lacking(parts: Parts, sessions: IntArray | None) -> IntArray:
    """Sessions of the exchange on which the table has no Korean row at all."""
    stored = parts.times({0}, np.iinfo(np.int64).min, np.iinfo(np.int64).max)
    if sessions is None or not len(stored):
        return np.zeros(0, np.int64)
    inside = sessions[(sessions > stored[0]) & (sessions < stored[-1])]
    return np.setdiff1d(inside, stored)


def _year(parts: list[Part], last: dict[str, tuple[int, float, int]], lacking: IntArray) -> list[Derived]:
    """Actions of the parts of about a year. `last`: (day, close, market) of each symbol so far; brought up to date."""
    names = sorted({symbol for part in parts for symbol in part.index.symbols})
    place = {symbol: number for number, symbol in enumerate(names)}
    code, day, close, base, market = _stacked(parts, place)
    prior_day, prior = np.full(len(code), -1, np.int64), np.full(len(code), np.nan)
    same = code[1:] == code[:-1]
    prior_day[1:][same], prior[1:][same] = day[:-1][same], close[:-1][same]
    first = np.flatnonzero(np.append(True, ~same))
    for row in first.tolist():
        prior_day[row], prior[row], _ = last.get(names[code[row]], (-1, np.nan, 0))
    _remember_last(last, names, code, day, close, market)
    expected = _expected_base(prior, day, market)
    with np.errstate(invalid="ignore"):
        moved = (base > 0) & (prior_day >= 0) & (np.abs(base / expected - 1.0) > 1e-9)
    broken = np.searchsorted(lacking, day) != np.searchsorted(lacking, prior_day)
    rows = np.flatnonzero(moved & ~broken & (market != _US))
    return [Derived(names[code[row]], int(day[row]), float(prior[row] / base[row])) for row in rows.tolist()]


_US = MARKET_ID["US"]


def _stacked(parts: list[Part], place: dict[str, int]) -> tuple[IntArray, IntArray, FloatArray, FloatArray, IntArray]:
    """(code, day, close, base, market) of raw rows of all parts, sorted by symbol and day."""
    codes, days, closes, bases, markets = [], [], [], [], []
    for part in parts:
        index = part.index
        columns = ["date", "close", "flag", *(["base"] if "base" in index.present else [])]
        table = read_columns(part.path, columns, None)
        counts = np.diff(index.start)
        raw = (table["flag"].to_numpy() & ADJUSTED) == 0
        close = values(table["close"])
        base = values(table["base"]) if "base" in index.present else np.full(len(close), np.nan)
        codes.append(np.repeat(np.array([place[symbol] for symbol in index.symbols], np.int64), counts)[raw])
        markets.append(np.repeat(index.market, counts)[raw])
        days.append(time_values(table["date"])[raw])
        closes.append(close[raw])
        bases.append(base[raw])
    code, day = np.concatenate(codes), np.concatenate(days)
    order = np.lexsort((day, code))
    close, base, market = np.concatenate(closes), np.concatenate(bases), np.concatenate(markets)
    return code[order], day[order], close[order], base[order], market[order]


def _remember_last(
    last: dict[str, tuple[int, float, int]], names: list[str], code: IntArray, day: IntArray, close: FloatArray,
    market: IntArray,
) -> None:  # fmt: skip
    ends = np.flatnonzero(np.append(code[1:] != code[:-1], True)) if len(code) else np.zeros(0, np.int64)
    for row in ends.tolist():
        last[names[code[row]]] = (int(day[row]), float(close[row]), int(market[row]))


def _expected_base(prior: FloatArray, day: IntArray, market: IntArray) -> FloatArray:
    """The base that follows an ordinary close: itself, or the next grid price up when it is off the grid."""
    from quantkit.market import grid
    from quantkit.market.rules import rule_rows

    return grid.ceil_prices(rule_rows(day), np.maximum(market, 0), prior)


def splits_from_adjusted_close(frame: pd.DataFrame) -> list[Action]:
    """Splits that a vendor's adjusted close betrays; columns symbol, date, close, adj_close (any spelling).

    close / adjusted close steps down by the split ratio on an ex-date, and by about 1 + yield at a cash dividend. A
    step of 20 % or more within half a percent of a plain ratio (2, 3, 3/2, 1/10 ...) is taken for a split. A stock
    dividend below 20 % is missed; a cash dividend of a fifth of the price could be mistaken. Check the result.
    """
    return [
        Action(symbol, day_text(day), "split", share_ratio=float(ratio))
        for symbol, day, step, _ in _adjustment_steps(frame)
        if (ratio := _split_ratio(step)) is not None
    ]


def dividends_from_adjusted_close(frame: pd.DataFrame, *, smallest: float = 0.001) -> list[Action]:
    """Cash dividends that a vendor's adjusted close betrays: last close x (1 - 1 / step), rounded to the cent.

    Holds for vendors who adjust by 1 - dividend / last close. Steps below `smallest` are rounding, plain ratios are
    splits. The day a dividend is paid is not known: the ex-date stands in.
    """
    return [
        Action(symbol, day_text(day), "dividend", cash_per_share=round(close * (1.0 - 1.0 / step), 2))
        for symbol, day, step, close in _adjustment_steps(frame)
        if step > 1.0 + smallest and _split_ratio(step) is None
    ]


def _split_ratio(step: float) -> float | None:
    if 1 / 1.2 < step < 1.2:
        return None
    nearest = min(_RATIOS, key=lambda plain: abs(plain / step - 1.0))
    return nearest if abs(nearest / step - 1.0) < 0.005 else None


def _adjustment_steps(frame: pd.DataFrame) -> Iterator[tuple[str, int, float, float]]:
    """(symbol, ex-day, size of the step, last close before it) wherever the adjustment factor changes."""
    import pandas as pd

    from quantkit.data.columns import canonical

    table = frame.rename(columns=dict(canonical(frame.columns).items()))
    lacking = [name for name in ("symbol", "date", "close", "adj_close") if name not in table.columns]
    if lacking:
        raise BadData(f"frame: no column for {', '.join(lacking)}; an adjusted close is needed beside the close")
    for symbol, rows in table.sort_values("date").groupby("symbol"):
        close = np.asarray(rows["close"], float)
        ratio = close / np.asarray(rows["adj_close"], float)
        step = ratio[:-1] / ratio[1:]
        days = pd.to_datetime(rows["date"]).to_numpy().astype("datetime64[D]").astype(np.int64)
        for row in np.flatnonzero(np.abs(step - 1.0) > 1e-6).tolist():
            yield str(symbol), int(days[row + 1]), float(step[row]), float(close[row])


__all__ = ["Derived", "dividends_from_adjusted_close", "from_base", "splits_from_adjusted_close"]
