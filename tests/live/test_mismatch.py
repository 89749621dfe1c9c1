"""Own bars beside the broker's chart."""

from __future__ import annotations

from quantkit.live.bars import MINUTE
from quantkit.live.mismatch import Mismatch, compare
from quantkit.trading.ports import Candle

BASE = 1_762_905_600_000_000_000  # 2025-11-12 09:00 in Seoul


def candle(minute: int, close: float, volume: int = 5) -> Candle:
    return Candle("A", BASE + minute * MINUTE, 100.0, 110.0, 90.0, close, volume)


def test_equal_bars_do_not_differ_and_bars_without_trade_do_not_count() -> None:
    found = compare("A", [candle(1, 100.0)], [candle(1, 100.0), candle(2, 100.0, 0)], length=MINUTE)
    assert (found.compared, found.rate) == (1, 0.0)


def test_a_price_a_volume_or_a_missing_side_differs() -> None:
    own = [candle(1, 100.0), candle(2, 100.0), candle(3, 100.0), candle(4, 100.0)]
    theirs = [candle(1, 101.0), candle(2, 100.0, 6), candle(4, 100.0), candle(5, 100.0)]
    found = compare("A", own, theirs, length=MINUTE)
    assert [(one.end - BASE) // MINUTE for one in found.differences] == [1, 2, 3, 5]
    assert (found.compared, found.rate) == (5, 0.8)
    assert (found.differences[2].theirs, found.differences[3].own) == (None, None)


def test_minutes_are_joined_to_longer_bars() -> None:
    own = [Candle("A", BASE + 5 * MINUTE, 100.0, 110.0, 90.0, 105.0, 15)]
    found = compare("A", own, [candle(1, 100.0), candle(3, 104.0), candle(5, 105.0)], length=5 * MINUTE)
    assert found == Mismatch(1, ())


def test_two_sets_of_names_add_up() -> None:
    total = Mismatch(3, ()) + Mismatch(1, (), ("B",))
    assert (total.compared, total.unknown) == (4, ("B",))
    assert Mismatch(0, ()).rate == 0.0
