"""What a result is compared with: an index, one name, or the universe simply held.

Contract: levels are (T,) float64 on the run's bars, any scale; returns are taken from them. A level known on a date
counts from that date until the next one, never earlier.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from quantkit.data.dates import day_text
from quantkit.errors import BadData, ConfigError

if TYPE_CHECKING:
    import pandas as pd

    from quantkit.core.state import Floats, Ints
    from quantkit.data.bars import Bars


def benchmark_levels(benchmark: object, bars: Bars, *, held: Held | None = None) -> tuple[str | None, Floats | None]:
    """(name, (T,) levels) of what was asked for; (None, None) for None.

    "hold" buys every name listed on the first bar in equal parts and keeps it, without costs; a delisted name stays at
    its last price. A symbol of the bars is its adjusted close. A Series (or a frame with a `close` column) is taken
    by date. held: the bars' own, where they came in pieces.
    """
    if benchmark is None:
        return None, None
    if isinstance(benchmark, str):
        if benchmark == "hold":
            if held is None:
                held = Held()
                held.add(bars)
            return "hold", held.levels
        if benchmark in bars.symbols:
            return benchmark, _carried(bars.select([benchmark]).close[:, 0])
        raise ConfigError(
            f"benchmark={benchmark!r}: not a symbol of these bars; give one, 'hold', or a Series of levels"
        )
    if hasattr(benchmark, "columns"):
        frame = cast("pd.DataFrame", benchmark)
        named = [column for column in frame.columns if str(column).lower() in ("close", "종가")]
        if not named:
            raise ConfigError(f"benchmark frame has columns {list(frame.columns)}; expected one named close")
        benchmark = frame[named[0]]
    if hasattr(benchmark, "index") and hasattr(benchmark, "to_numpy"):
        series = cast("pd.Series[float]", benchmark)
        return "benchmark" if series.name is None else str(series.name), _by_date(series, bars)
    levels = np.asarray(benchmark, dtype=np.float64)
    if levels.shape != (len(bars),):
        raise BadData(f"benchmark has shape {levels.shape}; expected ({len(bars)},), one level a bar")
    return "benchmark", _carried(levels)


def _carried(levels: Floats) -> Floats:
    """Levels with gaps filled by the last one known."""
    rows = np.where(np.isnan(levels), 0, np.arange(len(levels)))
    return levels[np.maximum.accumulate(rows)]


class Held:
    """Levels of the names of the first bar, bought in equal parts and kept; bars may come in pieces."""

    def __init__(self) -> None:
        self._columns: Ints | None = None
        self._first = self._last = np.empty(0)
        self._parts: list[Floats] = []

    def add(self, bars: Bars) -> None:
        """The next rows. BadData when no name is listed on the first."""
        if self._columns is None:
            self._columns = np.flatnonzero(bars.listed[0])
            if not len(self._columns):
                raise BadData(f"benchmark='hold': no name is listed on the first bar, {day_text(int(bars.days[0]))}")
            self._first = self._last = bars.close[0, self._columns]
        close = bars.close[:, self._columns]
        if np.isnan(close).any():
            close = np.concatenate([self._last[None], close])
            rows = np.where(np.isnan(close), 0, np.arange(len(close))[:, None])
            close = np.take_along_axis(close, np.maximum.accumulate(rows, axis=0), axis=0)[1:]
        self._last = close[-1]
        self._parts.append((close / self._first).mean(axis=1))

    @property
    def levels(self) -> Floats:
        """(T,) mean of what one unit in each name has become."""
        return np.concatenate(self._parts)


def _by_date(series: pd.Series[float], bars: Bars) -> Floats:
    import pandas as pd

    index = pd.DatetimeIndex(cast("Any", series.index))
    days: Ints = index.tz_localize(None).to_numpy().astype("datetime64[D]").astype(np.int64)
    if np.any(np.diff(days) < 0):
        raise BadData("benchmark dates are not in order; sort the Series by its index")
    place = np.searchsorted(days, bars.days, side="right") - 1
    if len(days) == 0 or place[0] < 0:
        first = day_text(int(days[0])) if len(days) else "never"
        raise BadData(f"benchmark starts {first}, after the run's first bar {day_text(int(bars.days[0]))}")
    return _carried(np.asarray(series.to_numpy(dtype=np.float64)[place], np.float64))
