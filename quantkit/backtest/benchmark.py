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


def benchmark_levels(benchmark: object, bars: Bars) -> tuple[str | None, Floats | None]:
    """(name, (T,) levels) of what was asked for; (None, None) for None.

    "hold" buys every name listed on the first bar in equal parts and keeps it, without costs; a delisted name stays at
    its last price. A symbol of the bars is its adjusted close. A Series (or a frame with a `close` column) is taken
    by date.
    """
    if benchmark is None:
        return None, None
    if isinstance(benchmark, str):
        if benchmark == "hold":
            return "hold", _held(bars)
        if benchmark in bars.symbols:
            return benchmark, _carried(bars.close[:, bars.symbols.index(benchmark)])
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


def _held(bars: Bars) -> Floats:
    close = bars.close[:, bars.listed[0]]
    if close.shape[1] == 0:
        raise BadData(f"benchmark='hold': no name is listed on the first bar, {day_text(int(bars.days[0]))}")
    if np.isnan(close).any():
        rows = np.where(np.isnan(close), 0, np.arange(len(close))[:, None])
        close = np.take_along_axis(close, np.maximum.accumulate(rows, axis=0), axis=0)
    held: Floats = (close / close[0]).mean(axis=1)
    return held


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
