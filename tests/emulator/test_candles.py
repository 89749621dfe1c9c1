"""The charts of an emulated exchange."""

from __future__ import annotations

import pytest

from quantkit.emulator.candles import candles
from quantkit.emulator.exchange import BarSource, Exchange, random_bars, session_clock

SECOND = 1_000_000_000
CLOCK = session_clock("2025-06-02")
NAME = "000010"


def exchange() -> Exchange:
    return Exchange(BarSource(random_bars(seed=1, symbols=2, sessions_count=2), tick_seconds=60.0), seed=1)


@pytest.mark.parametrize("freq", ["1m", "5m", "30m"])
def test_the_last_bar_holds_the_closing_print_and_all_together_are_the_day(freq: str) -> None:
    on = exchange()
    on.advance(CLOCK.close + 60 * SECOND)
    found = candles(on, NAME, freq, CLOCK.orders, CLOCK.close)
    (day,) = candles(on, NAME, "1d", CLOCK.orders, CLOCK.close)
    assert found[-1].close_time == CLOCK.close
    assert (found[0].open, found[-1].close) == (day.open, day.close)
    assert sum(candle.volume for candle in found) == day.volume
    assert candles(on, NAME, freq, CLOCK.orders, CLOCK.close + 600 * SECOND) == found
    assert candles(on, NAME, freq, CLOCK.close - 1, CLOCK.close) == found[-1:]


def test_before_its_print_the_last_bar_is_not_finished() -> None:
    on = exchange()
    on.advance(CLOCK.close - SECOND)
    before = candles(on, NAME, "1m", CLOCK.orders, CLOCK.close)
    assert before[-1].close_time < CLOCK.close
    on.advance(CLOCK.close + 60 * SECOND)
    after = candles(on, NAME, "1m", CLOCK.orders, CLOCK.close)
    assert after[:-1] == before
    on.advance(session_clock("2025-06-04").open)  # a day later the chart is the same
    assert candles(on, NAME, "1m", CLOCK.orders, CLOCK.close) == after
