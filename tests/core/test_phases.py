"""Which bars hold the opening and the closing auction: from hours and stamps, never from what comes later."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import numpy as np
import pytest

from quantkit import Costs
from quantkit.backtest.run import default_costs
from quantkit.core.phases import intraday_phases
from quantkit.core.state import AUCTION_ONLY, CLOSING, OPENING
from tests.core.page import row

CLOSE = CLOSING | AUCTION_ONLY  # a bar of ten minutes or less holds nothing else
MINUTE = 60_000_000
SEOUL_US = 9 * 60 * MINUTE


def day_of(text: str) -> int:
    return int(np.datetime64(text, "D").astype(np.int64))


def stamps(day: str, *texts: str) -> np.ndarray:
    """UTC microseconds of these times of a Seoul day."""
    minutes = [int(text[:2]) * 60 + int(text[3:5]) for text in texts]
    return day_of(day) * 86_400_000_000 - SEOUL_US + np.array(minutes, np.int64) * MINUTE


def phases(day: str, *texts: str, step: int = 1, market: str = "KOSPI") -> list[int]:
    times = stamps(day, *texts)
    return intraday_phases(times, np.full(len(times), day_of(day)), step=step * MINUTE, market=market).tolist()


@row("opening auction", "closing auction", "late open, exam day", "data that begins late or stops early")
@row("a day that the calendar calls closed")
@pytest.mark.parametrize(
    ("day", "texts", "expected"),
    [
        ("2025-03-05", ("09:01", "09:02", "15:19", "15:30"), [OPENING, 0, 0, CLOSE]),
        ("2025-03-05", ("09:00", "09:01", "15:30"), [OPENING, 0, CLOSE]),  # the print in a bar of its own
        ("2025-03-05", ("08:10", "09:01", "15:30", "15:31", "15:41"), [0, OPENING, CLOSE, CLOSE, 0]),
        ("2025-03-05", ("09:05", "14:55"), [0, 0]),  # begins late, stops early
        ("2025-11-13", ("09:01", "10:01", "15:30", "16:30"), [0, OPENING, 0, CLOSE]),  # exam day
        ("2025-01-02", ("09:01", "10:01", "15:30"), [0, OPENING, CLOSE]),  # first session of the year
        ("2015-03-05", ("09:01", "15:00", "15:30"), [OPENING, CLOSE, 0]),  # the close of those years
        ("2025-03-01", ("09:01", "15:30"), [OPENING, CLOSE]),  # a holiday, yet there are bars
        ("2050-03-01", ("09:01", "15:30"), [0, 0]),  # beyond the calendar
    ],
)
def test_auction_bars_follow_the_hours_of_the_day(day: str, texts: tuple[str, ...], expected: list[int]) -> None:
    assert phases(day, *texts) == expected


def test_longer_bars_hold_the_auctions_they_cover() -> None:
    assert phases("2025-03-05", "10:00", "11:00", "15:00", "16:00", step=60) == [OPENING, 0, 0, CLOSING]
    assert phases("2025-03-05", "09:05", "09:10", "15:30", step=5) == [OPENING, 0, CLOSE]


def test_bars_of_ticks_open_with_the_first_and_close_with_the_print() -> None:
    assert phases("2025-03-05", "08:59", "09:07", "15:12", "15:30", step=0) == [0, OPENING, 0, CLOSING]


@row('market "NONE"')
def test_a_market_without_hours_opens_each_day_and_never_closes_it() -> None:
    assert phases("2025-03-05", "00:01", "23:59", market="NONE") == [OPENING, 0]


def test_new_york_hours_follow_its_summer_time_and_half_days() -> None:
    def utc(text: str) -> int:
        return int(dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC).timestamp()) * 1_000_000

    winter, summer, half = "2024-01-05", "2024-07-05", "2024-11-29"
    times = [
        f"{winter}T14:31",
        f"{winter}T21:00",
        f"{summer}T13:31",
        f"{summer}T20:00",
        f"{half}T14:31",
        f"{half}T18:00",
    ]
    days = np.array([day_of(text[:10]) for text in times])
    found = intraday_phases(np.array([utc(text) for text in times]), days, step=MINUTE, market="US")
    assert found.tolist() == [OPENING, CLOSING] * 3


def test_a_bar_keeps_its_phase_when_later_bars_come() -> None:
    times = np.concatenate(
        [stamps(day, "08:30", "09:00", "09:01", "15:30", "15:31") for day in ("2025-03-05", "2025-03-06")]
    )
    days = np.repeat([day_of("2025-03-05"), day_of("2025-03-06")], 5)
    whole = intraday_phases(times, days, step=MINUTE, market="KOSDAQ")
    for length in range(len(times) + 1):
        part = intraday_phases(times[:length], days[:length], step=MINUTE, market="KOSDAQ")
        assert part.tolist() == whole[:length].tolist()


@row("bars inside the day, no costs given")
def test_minutes_lose_a_tick_and_days_none() -> None:
    assert default_costs(intraday=True) == replace(Costs.kis(), slippage_ticks=1.0)
    assert default_costs(intraday=False) == Costs.kis()
