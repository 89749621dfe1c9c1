"""US stocks: the functions of the Korea Exchange, with almost nothing to say."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from quantkit.errors import BadData
from quantkit.market import krx, us


def test_cents_are_exact_at_any_price() -> None:
    cents = np.arange(1, 100_000)
    prices = cents / 100
    np.testing.assert_array_equal(us.floor_tick(prices, "2012-01-03"), prices)
    np.testing.assert_array_equal(us.ceil_tick(prices, "2012-01-03"), prices)
    assert us.floor_tick(180.509, "2012-01-03") == 180.5
    assert us.ceil_tick(180.501, "2012-01-03") == 180.51
    assert us.tick_size(5.0, "2012-01-03") == 0.01


def test_nothing_is_limited_or_taxed() -> None:
    assert us.price_limits(100.0, "2012-01-03") == (0.0, np.inf)
    assert us.sale_tax_rate("2012-01-03") == 0.0
    np.testing.assert_array_equal(us.sale_tax_rate(["2012-01-03", "2013-01-03"]), [0.0, 0.0])
    assert us.lot_size() == 1


def test_sessions_are_new_yorks() -> None:
    assert us.session("2012-12-24") == us.Session(dt.time(9, 30), dt.time(13, 0))
    assert us.session("2012-12-26") == us.Session(dt.time(9, 30), dt.time(16, 0))
    assert us.session("2012-12-25") is None
    with pytest.raises(BadData, match="New York"):
        us.session("1950-01-03")


def test_korean_markets_are_refused() -> None:
    with pytest.raises(BadData, match="KOSPI"):
        us.tick_size(100, "2012-01-03", "KOSPI")


def test_both_markets_offer_the_same_functions() -> None:
    assert set(us.__all__) <= set(krx.__all__)
