"""Prices by name: which sessions are replayed, when a run begins, and what its history is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from quantkit.cli.prices import AFTER, BEFORE, EmulatedPrices, moment, speed_of
from quantkit.emulator.candles import candles
from quantkit.emulator.exchange import random_bars, session_clock
from quantkit.errors import BadData, ConfigError
from quantkit.market.costs import Costs
from quantkit.trading.orders import OrderType, Side

BARS = random_bars(seed=2, symbols=["000010", "000020"], start="2025-09-22", sessions_count=8)
MINUTE = 60_000_000_000


def prices(first: str = "2025-09-25", last: str = "2025-09-26") -> EmulatedPrices:
    return EmulatedPrices(BARS, first=first, last=last, speed=None, seed=4, tick_seconds=60.0)


def test_a_run_lasts_from_before_the_first_open_to_after_the_last_close() -> None:
    found = prices()
    assert found.start(0) == session_clock("2025-09-25").open - BEFORE
    assert found.until == session_clock("2025-09-26").close + AFTER
    middle = session_clock("2025-09-25").open + MINUTE
    assert found.start(middle) == middle + 1
    with pytest.raises(ConfigError, match="the account stands at 2025-09-26 17:30:00 in Seoul, after the last"):
        found.start(session_clock("2025-09-26").close + 120 * MINUTE)


def test_the_history_ends_where_the_run_begins() -> None:
    found = prices()
    assert len(found.history(found.start(0))) == 3
    assert len(found.history(session_clock("2025-09-25").close - 1)) == 3
    assert len(found.history(session_clock("2025-09-25").close)) == 4


def test_the_history_of_an_exchange_is_what_traded_there(tmp_path: Path) -> None:
    found = prices()
    found.remember(tmp_path / "a.jsonl", account="a", cash=10**13, costs=Costs.free())
    exchange, clock = found.exchange, session_clock("2025-09-25")
    exchange.advance(clock.open + 10 * MINUTE)
    exchange.submit("a", "000010", Side.BUY, 50_000, type=OrderType.MARKET)
    after = clock.close + 5 * MINUTE
    traded = found.history(after)
    (candle,) = candles(exchange, "000010", "1d", clock.orders, after)
    assert traded.volume[3, 0] == candle.volume > BARS.volume[3, 0]
    assert traded.raw.high[3, 0] == candle.high
    assert np.array_equal(traded.raw.close[:3], BARS.raw.close[:3])
    assert np.array_equal(traded.raw.close[3, 1], BARS.raw.close[3, 1])


@pytest.mark.parametrize(
    ("first", "last", "error", "words"),
    [
        (
            "2025-09-27",
            "2025-09-28",
            ConfigError,
            "closed from 2025-09-27 to 2025-09-28; the next session is 2025-09-29",
        ),
        ("2025-09-26", "2025-09-25", ConfigError, "is after"),
        ("2025-10-01", "2025-10-20", BadData, "no bars of 2025-10-02 and .* more sessions"),
        ("2025-09-23", "2025-09-23", BadData, "1 bars before 2025-09-23"),
    ],
)
def test_sessions_that_cannot_be_replayed(first: str, last: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        prices(first, last)


def test_speeds() -> None:
    assert (speed_of("max"), speed_of("1"), speed_of("0.5")) == (None, 1.0, 0.5)
    for text in ("0", "-1", "nan", "inf", "1e7", "quick"):
        with pytest.raises(ConfigError, match="--speed"):
            speed_of(text)


def test_moments_are_told_in_seoul() -> None:
    assert moment(session_clock("2025-11-13").open) == "2025-11-13 10:00:00 in Seoul"  # an exam day
