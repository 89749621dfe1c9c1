"""Corporate actions, read off raw prices beside adjusted ones (수정주가).

Contract: pure. An adjusted price is the raw one times a factor, in whole won. Each day's prices leave an interval that
its factor lies in; days whose intervals meet have one factor, and where they no longer meet an action took place. Its
price factor is the plainest fraction that fits all days around it, so a split comes out as exactly 50. What moves all
four prices of a day by less than a won is not seen; neither are cash dividends, which KIS does not adjust for.
BadData where adjusted prices change their basis as often as no company's do: they are then not what is said here.

>>> steps([(1, (2_650_000.0,), (53_000.0,)), (2, (53_000.0,), (53_000.0,))])
[Step(day=2, price_factor=50.0)]
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from quantkit.errors import BadData

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_SLACK = 1.0  # won that an adjusted price may be off: nobody says how it is rounded
_OFTEN = 20  # days for one action, beyond the first few


class Step(NamedTuple):
    """From this day on prices stand on another basis; price_factor = last close / base, as the lake has it."""

    day: int
    price_factor: float


class _Span(NamedTuple):
    """Days with one factor, which lies between low and high."""

    first: int
    low: float
    high: float


def steps(days: Iterable[tuple[int, Sequence[float], Sequence[float]]]) -> list[Step]:
    """Actions among days in order: (epoch day, raw prices, the same adjusted). Prices of 0 say nothing."""
    spans: list[_Span] = []
    count = odd = 0
    for day, raw, adjusted in days:
        count += 1
        pairs = [(real, shown) for real, shown in zip(raw, adjusted, strict=True) if real > 0.0 and shown > 0.0]
        if not pairs:
            continue
        low = max((shown - _SLACK) / real for real, shown in pairs)
        high = min((shown + _SLACK) / real for real, shown in pairs)
        if low > high:  # prices of one day on two bases
            odd += 1
            continue
        last = spans[-1] if spans else None
        if last is not None and max(last.low, low) <= min(last.high, high):
            spans[-1] = _Span(last.first, max(last.low, low), min(last.high, high))
        else:
            spans.append(_Span(day, low, high))
    if len(spans) - 1 + odd > 4 + count // _OFTEN:
        raise BadData(f"adjusted prices stand on {len(spans)} bases within {count} days, {odd} days on none")
    found = []
    for before, after in pairwise(spans):
        least, most = after.low / before.high, after.high / max(before.low, 1e-12)
        found.append(Step(after.first, plainest(max(least, 1e-12), most)))
    return found


def plainest(low: float, high: float) -> float:
    """The fraction of the smallest denominator in [low, high], both above 0 (Stern and Brocot's walk, in strides)."""
    whole = math.floor(low)
    if whole == low or whole + 1 <= high:
        return float(whole if whole == low else whole + 1)
    return whole + 1.0 / plainest(1.0 / (high - whole), 1.0 / (low - whole))
