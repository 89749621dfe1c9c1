"""Wrong arguments are named: the function, the argument, the value."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from quantkit import indicators as ta
from quantkit.errors import BadData, ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

X = np.arange(1.0, 11.0)
BARS = (X + 1, X - 1, X)
WINDOWS: dict[tuple[str, str], Callable[[object], object]] = {
    ("sma", "window"): lambda n: ta.sma(X, n),  # type: ignore[arg-type]
    ("ema", "window"): lambda n: ta.ema(X, n),  # type: ignore[arg-type]
    ("wma", "window"): lambda n: ta.wma(X, n),  # type: ignore[arg-type]
    ("macd", "fast"): lambda n: ta.macd(X, n),  # type: ignore[arg-type]
    ("macd", "slow"): lambda n: ta.macd(X, 5, n),  # type: ignore[arg-type]
    ("macd", "signal"): lambda n: ta.macd(X, 5, 6, n),  # type: ignore[arg-type]
    ("bollinger", "window"): lambda n: ta.bollinger(X, n),  # type: ignore[arg-type]
    ("rsi", "window"): lambda n: ta.rsi(X, n),  # type: ignore[arg-type]
    ("roc", "window"): lambda n: ta.roc(X, n),  # type: ignore[arg-type]
    ("momentum", "window"): lambda n: ta.momentum(X, n),  # type: ignore[arg-type]
    ("stochastic", "window"): lambda n: ta.stochastic(*BARS, n),  # type: ignore[arg-type]
    ("stochastic", "smooth"): lambda n: ta.stochastic(*BARS, 5, n),  # type: ignore[arg-type]
    ("stochastic", "signal"): lambda n: ta.stochastic(*BARS, 5, 3, n),  # type: ignore[arg-type]
    ("atr", "window"): lambda n: ta.atr(*BARS, n),  # type: ignore[arg-type]
    ("dmi", "window"): lambda n: ta.dmi(*BARS, n),  # type: ignore[arg-type]
    ("adx", "window"): lambda n: ta.adx(*BARS, n),  # type: ignore[arg-type]
    ("donchian", "window"): lambda n: ta.donchian(X, X, n),  # type: ignore[arg-type]
    ("rolling_sum", "window"): lambda n: ta.rolling_sum(X, n),  # type: ignore[arg-type]
    ("rolling_min", "window"): lambda n: ta.rolling_min(X, n),  # type: ignore[arg-type]
    ("rolling_max", "window"): lambda n: ta.rolling_max(X, n),  # type: ignore[arg-type]
    ("rolling_std", "window"): lambda n: ta.rolling_std(X, n),  # type: ignore[arg-type]
    ("rolling_zscore", "window"): lambda n: ta.rolling_zscore(X, n),  # type: ignore[arg-type]
    ("rolling_corr", "window"): lambda n: ta.rolling_corr(X, X, n),  # type: ignore[arg-type]
    ("vwap", "window"): lambda n: ta.vwap(X, X, n),  # type: ignore[arg-type]
    ("lag", "periods"): lambda n: ta.lag(X, n),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("value", [-1, 2.0, "5", True, np.float64(3.0)])
@pytest.mark.parametrize(("function", "argument"), WINDOWS)
def test_a_window_that_is_no_positive_whole_number_is_named(function: str, argument: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"ta\.{function}: {argument} = {re.escape(repr(value))}, expected"):
        WINDOWS[function, argument](value)


@pytest.mark.parametrize(("function", "argument"), [key for key in WINDOWS if key[1] != "periods"])
def test_a_window_of_zero_is_named_and_numpy_integers_pass(function: str, argument: str) -> None:
    call = WINDOWS[function, argument]
    with pytest.raises(ConfigError, match=rf"ta\.{function}: {argument} = 0, expected"):
        call(0)
    windows = {"fast": 4, "slow": 8}
    usual = windows.get(argument, 3)
    np.testing.assert_array_equal(np.asarray(call(np.int32(usual))), np.asarray(call(usual)))


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("ta.macd: fast = 26, expected less than slow = 26", lambda: ta.macd(X, 26, 26)),
        ("ta.bollinger: width = 0, expected a number above 0", lambda: ta.bollinger(X, 5, 0)),
        ("ta.bollinger: width = nan", lambda: ta.bollinger(X, 5, float("nan"))),
        ("ta.rolling_std: window = 1", lambda: ta.rolling_std(X, 1)),
        ("ta.rolling_std: ddof = 5, expected a whole number of at least 0 and below window = 5",
         lambda: ta.rolling_std(X, 5, ddof=5)),
        ("ta.zscore: ddof = -1", lambda: ta.zscore(X, ddof=-1)),
        ("ta.vwap: window = None, expected exactly one of window and session", lambda: ta.vwap(X, X)),
        ("ta.vwap: window = 3, expected exactly one of window and session", lambda: ta.vwap(X, X, 3, session=X)),
    ],
)  # fmt: skip
def test_other_wrong_settings_are_named(message: str, call: Callable[[], object]) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}"):
        call()


@pytest.mark.parametrize(
    ("message", "call"),
    [
        ("ta.sma: values has shape (), expected (T,) or (T, N)", lambda: ta.sma(3.0, 2)),
        ("ta.sma: values has shape (2, 2, 2)", lambda: ta.sma(np.ones((2, 2, 2)), 2)),
        ("ta.sma: values has dtype <U1, expected numbers", lambda: ta.sma(["a", "b"], 2)),
        ("ta.sma: values has dtype complex128, expected numbers", lambda: ta.sma([1j], 2)),
        ("ta.sma: values has dtype datetime64[us], expected numbers", lambda: ta.sma(np.zeros(3, "M8[us]"), 2)),
        ("ta.sma: values holds something that is not a number", lambda: ta.sma(np.array([1.0, "x"], dtype=object), 2)),
        ("ta.sma: values holds something that is not a number", lambda: ta.sma(pd.Series([1.0, "x"], dtype=object), 2)),
        ("ta.atr: low has shape (9,), expected (10,) as high has", lambda: ta.atr(X, X[1:], X)),
        ("ta.rolling_corr: other has shape (9,), expected (10,)", lambda: ta.rolling_corr(X, X[1:], 3)),
        ("ta.cross_over: other has shape (9,), expected (10,)", lambda: ta.cross_over(X, X[1:])),
        (
            "ta.rolling_corr: other has shape (3, 2), expected (3, 4) or (3,)",
            lambda: ta.rolling_corr(np.ones((3, 4)), np.ones((3, 2)), 3),
        ),
        ("ta.vwap: session has shape (3,), expected (10,)", lambda: ta.vwap(X, X, session=[1, 2, 3])),
        ("ta.rank: where has dtype float64, expected bool", lambda: ta.rank(X, where=X)),
        ("ta.rank: where has shape (9,), expected (10, 1)", lambda: ta.rank(X, where=X[1:] > 0)),
    ],
)
def test_wrong_arrays_are_named(message: str, call: Callable[[], object]) -> None:
    with pytest.raises(BadData) as caught:
        call()
    assert str(caught.value).startswith(message)


def test_pandas_missing_values_become_nan() -> None:
    holes = pd.Series([1, None, 3, 5], dtype="Int64")
    np.testing.assert_array_equal(ta.sma(holes, 2), [np.nan, np.nan, np.nan, 4.0])
    np.testing.assert_array_equal(ta.lag(pd.DataFrame({"a": holes}), 1)["a"], [np.nan, 1.0, np.nan, 3.0])
    np.testing.assert_array_equal(ta.lag(pd.Series([1.0, pd.NA], dtype=object), 0), [1.0, np.nan])


def test_polars_is_read_like_the_rest() -> None:
    polars = pytest.importorskip("polars", reason="polars is not installed: pip install polars")
    np.testing.assert_array_equal(ta.sma(polars.Series([1.0, None, 3.0, 5.0]), 2), [np.nan, np.nan, np.nan, 4.0])
    np.testing.assert_array_equal(ta.lag(polars.DataFrame({"a": X, "b": 2 * X}), 1)[1:, 1], 2 * X[:-1])


def test_a_memory_map_is_read_where_it_is(tmp_path: Path) -> None:
    np.save(tmp_path / "close.npy", np.tile(X, (3, 1)).T.copy())
    mapped = np.load(tmp_path / "close.npy", mmap_mode="r")
    result = ta.sma(mapped, 3)
    assert type(result) is np.ndarray
    np.testing.assert_array_equal(result[:, 1], ta.sma(X, 3))


def test_every_function_is_documented_in_the_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "indicators.md").read_text(encoding="utf-8")
    functions = [name for name in ta.__all__ if inspect.isfunction(getattr(ta, name))]
    assert [name for name in functions if f"| `{name}(" not in page] == []
