"""Own bars beside the broker's chart, after the close: the figure that says whether the data can be trusted.

Contract: pure. A bar differs where its prices or its volume do, or where only one side has it; the rate counts bars
that either side has. Minutes of the chart are joined to the length of our bars. Over 0.5 % is an alarm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from quantkit.live.bars import DAY, joined

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quantkit.trading.ports import Candle

ALARM_RATE: Final = 0.005
_SEOUL: Final = 9 * 3_600 * 1_000_000_000


class Difference(NamedTuple):
    """One bar that differs; None where a side lacks it."""

    symbol: str
    end: int
    own: Candle | None
    theirs: Candle | None


@dataclass(frozen=True, slots=True)
class Mismatch:
    """What the comparison of a session found; names that could not be asked for stand in `unknown`."""

    compared: int
    differences: tuple[Difference, ...]
    unknown: tuple[str, ...] = ()

    @property
    def rate(self) -> float:
        """Share of bars that differ; 0 where none were compared."""
        return len(self.differences) / self.compared if self.compared else 0.0

    def __add__(self, other: Mismatch) -> Mismatch:
        """Of two sets of names."""
        return Mismatch(
            self.compared + other.compared, self.differences + other.differences, self.unknown + other.unknown
        )


def compare(symbol: str, own: Sequence[Candle], theirs: Sequence[Candle], *, length: int) -> Mismatch:
    """One name's session. `own`: `TickBars.rows`; `theirs`: the broker's minutes; `length`: of our bars, ns."""
    ours = {candle.close_time: candle for candle in own if candle.volume > 0}
    parts: dict[int, list[Candle]] = {}
    for candle in theirs:
        if candle.volume > 0:
            end = candle.close_time + (-(candle.close_time + _SEOUL)) % min(length, DAY)
            parts.setdefault(end, []).append(candle)
    chart = {end: joined(symbol, end, found) for end, found in parts.items()}
    ends = sorted(ours.keys() | chart.keys())
    differing = [
        Difference(symbol, end, ours.get(end), chart.get(end))
        for end in ends
        if _figures(ours.get(end)) != _figures(chart.get(end))
    ]
    return Mismatch(len(ends), tuple(differing))


def _figures(candle: Candle | None) -> tuple[float, ...] | None:
    if candle is None:
        return None
    return (candle.open, candle.high, candle.low, candle.close, candle.volume)
