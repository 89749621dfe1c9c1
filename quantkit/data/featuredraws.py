"""Features of a panel whose rows were drawn from another: at each row what was known at the row it was drawn from.

Contract: as `Stored` of `features`; a matrix is asked for once a feature is. Resampled prices without the features that
went with them would make every rule that reads features look like luck. Called by `research.noise`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from quantkit.data.features import NO_MOMENT, NO_PERIOD, FeatureRows, Features

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quantkit.data.bars import Bars
    from quantkit.data.features import IntArray


def drawn_features(bars: Bars, rows: IntArray) -> Features:
    """Features for a panel of the same times and symbols whose row t is row `rows[t]` of `bars`."""
    return Features(stored=_Drawn(bars, rows)) if bars.features.names else Features()


@dataclass(frozen=True)
class _Drawn:
    """What a panel knew at other rows, as rows that become known at these."""

    bars: Bars
    rows: IntArray

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features."""
        return self.bars.features.names

    def read(self, name: str, symbols: Sequence[str] | None) -> FeatureRows:
        """A row wherever the value changes; it counts from that bar on."""
        bars = self.bars if symbols is None else self.bars.select(symbols)
        values = bars.feature(name)[self.rows].T
        change = np.ones(values.shape, np.bool_)
        one, other = values[:, 1:], values[:, :-1]
        change[:, 1:] = (one != other) & ~(np.isnan(one) & np.isnan(other))
        code, row = np.nonzero(change)
        return FeatureRows(
            bars.symbols,
            code.astype(np.int32),
            (bars.days[row] - 1).astype(np.int32),
            bars.times[row] - 1 if bars.intraday else np.full(len(row), NO_MOMENT),
            np.full(len(row), NO_PERIOD, np.int32),
            values[change],
            bars.feature_labels(name) or None,
        )
