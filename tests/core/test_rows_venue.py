"""Rows of `docs/execution.md` about what the exchange allows: first trading days."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.core.hand import GONE, hand_bars, play
from tests.core.page import row


def offered(*closes: float, base: float, start: str = "2024-03-26", market: str = "KOSDAQ") -> Any:
    """A name listed on the second bar at offer price `base`; it opens at the first price and closes at the others."""
    opening, close = closes
    bar = (opening, max(closes), min(closes), close)
    bases = np.array([[np.nan], [base], [close]])
    bars = hand_bars([GONE, bar, close], start=start, first_day=[1], markets=[market])
    bars._fields["base"] = bases
    return bars


@row("first trading day")
@pytest.mark.parametrize(
    ("close", "start", "market", "fills"),
    [
        (40_000, "2023-12-20", "KOSPI", False),  # 400 % of 10,000: everybody wants it, nobody sells
        (39_950, "2023-12-20", "KOSPI", True),
        (40_000, "2023-06-22", "KOSDAQ", False),  # the second bar is of 2023-06-23: 20,000 + 30 % = 26,000
        (26_000, "2023-06-22", "KOSDAQ", False),
        (25_950, "2023-06-22", "KOSDAQ", True),
        (25_950, "2024-03-26", "KONEX", False),  # 20,000 + 15 % = 23,000
        (13_000, "2024-03-26", "ETF", False),  # as on any day: 10,000 + 30 %
        (12_995, "2024-03-26", "ETF", True),
    ],
)
def test_a_first_day_has_its_own_upper_limit(close: float, start: str, market: str, fills: bool) -> None:
    opening = 10_000 if market == "ETF" else 20_000
    played = play(offered(opening, close, base=10_000, start=start, market=market), [False, True], fill="close")
    assert ([fill[:2] for fill in played.fills] == [(1, 10)]) == fills
    assert fills or played.refused[0] == (1, "dropped", "LIMIT_LOCKED")


@row("first trading day")
def test_without_an_offer_price_a_first_day_has_no_limit() -> None:
    played = play(offered(20_000, 90_000, base=np.nan), [False, True], fill="close")
    assert played.fills[0][:3] == (1, 10, 90_000.0)
