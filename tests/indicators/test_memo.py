"""What is shared between runs is what would have been computed, and only that."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from quantkit import ta
from quantkit.indicators.memo import Memo, sharing
from tests.backtest.factories import random_bars

BARS = random_bars(120, names=2)


def test_a_call_is_computed_once() -> None:
    memo = Memo(1 << 20)
    memo.watch(BARS)
    with sharing(memo):
        assert ta.sma(BARS.close, 5) is ta.sma(BARS.close, 5)
        assert ta.macd(BARS.close) is ta.macd(BARS.close)
        assert ta.sma(BARS.close, 6) is not ta.sma(BARS.close, 5)
        assert ta.sma(BARS.high, 5) is not ta.sma(BARS.close, 5)
        assert ta.rolling_std(BARS.close, 5, ddof=0) is not ta.rolling_std(BARS.close, 5)
    assert ta.sma(BARS.close, 5) is not ta.sma(BARS.close, 5)


def test_an_indicator_of_an_indicator_is_shared_too() -> None:
    memo = Memo(1 << 20)
    memo.watch(BARS)
    with sharing(memo):
        assert ta.sma(ta.rsi(BARS.close, 9), 3) is ta.sma(ta.rsi(BARS.close, 9), 3)


def test_an_array_of_the_strategys_own_is_never_remembered() -> None:
    memo = Memo(1 << 20)
    memo.watch(BARS)
    with sharing(memo):
        for shift in range(50):  # freed and made again, often in the same place
            mine = BARS.close + shift
            assert np.array_equal(ta.sma(mine, 4), _plain(mine, 4), equal_nan=True)
            del mine
            gc.collect(0)
    assert (len(memo), memo.hits) == (0, 0)


def _plain(values: np.ndarray, window: int) -> np.ndarray:
    with sharing(None):
        return ta.sma(values, window)


def test_the_least_recently_used_go_first_and_their_marks_with_them() -> None:
    size = BARS.close.nbytes
    memo = Memo(3 * size)
    memo.watch(BARS)
    with sharing(memo):
        first, second, _ = (ta.sma(BARS.close, window) for window in (2, 3, 4))
        assert ta.sma(BARS.close, 2) is first
        ta.sma(BARS.close, 5)
        assert ta.sma(BARS.close, 2) is first
        assert ta.sma(BARS.close, 3) is not second
        assert memo.used <= memo.limit
        for window in range(6, 40):  # arrays made from arrays that are gone
            assert np.array_equal(ta.ema(ta.sma(BARS.close, window), 3), _nested(window), equal_nan=True)


def _nested(window: int) -> np.ndarray:
    with sharing(None):
        return ta.ema(ta.sma(BARS.close, window), 3)


def test_an_answer_larger_than_the_limit_is_not_kept() -> None:
    memo = Memo(10)
    memo.watch(BARS)
    with sharing(memo):
        ta.sma(BARS.close, 5)
    assert (len(memo), memo.used) == (0, 0)


def test_threads_get_the_same_answers() -> None:
    memo = Memo(4 * BARS.close.nbytes)
    memo.watch(BARS)

    def work(window: int) -> np.ndarray:
        with sharing(memo):
            return ta.sma(BARS.close, window)

    windows = [2 + k % 7 for k in range(200)]
    with ThreadPoolExecutor(4) as pool:
        for window, found in zip(windows, pool.map(work, windows), strict=True):
            assert np.array_equal(found, _plain(BARS.close, window), equal_nan=True)


@settings(max_examples=40, deadline=None)
@given(calls=st.lists(st.tuples(st.sampled_from(("sma", "ema", "rsi", "wma")), st.integers(2, 5)), max_size=30),
       room=st.integers(0, 6))  # fmt: skip
def test_any_sequence_of_calls_gives_what_it_gives_without(calls: list[tuple[str, int]], room: int) -> None:
    memo = Memo(room * BARS.close.nbytes)
    memo.watch(BARS)
    for name, window in calls:
        with sharing(memo):
            found = getattr(ta, name)(BARS.close, window)
        with sharing(None):
            assert np.array_equal(found, getattr(ta, name)(BARS.close, window), equal_nan=True)
