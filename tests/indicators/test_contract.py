"""What every indicator promises, whatever it computes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantkit import indicators as ta
from quantkit.indicators import cross_kernels, recursive_kernels, window_kernels
from tests.indicators.catalogue import (
    BY_COLUMN,
    CROSS,
    EVERY,
    RECURSIVE,
    WINDOWED,
    Market,
    market,
    outputs,
    with_holes,
)

untimed = settings(deadline=None, max_examples=60)  # the first example may have to compile a kernel


@st.composite
def markets(draw: st.DrawFn) -> Market:
    seed = draw(st.integers(0, 2**32 - 1))
    clean = market(draw(st.integers(1, 60)), draw(st.integers(1, 5)), seed)
    return with_holes(clean, seed) if draw(st.booleans()) else clean


def same_bits(left: np.ndarray, right: np.ndarray) -> bool:
    return left.shape == right.shape and left.dtype == right.dtype and left.tobytes() == right.tobytes()


@pytest.mark.parametrize("name", EVERY)
@untimed
@given(data=markets(), share=st.floats(0, 1))
def test_a_prefix_gives_the_same_bits_as_the_whole(name: str, data: Market, share: float) -> None:
    cut = int(share * len(data))
    whole = outputs(EVERY[name], data)
    part = outputs(EVERY[name], data.map(lambda field: field[:cut]))
    assert all(same_bits(a[:cut], b) for a, b in zip(whole, part, strict=True))


def test_prefixes_agree_across_the_tiles_that_kernels_work_in() -> None:
    data = with_holes(market(300, 300, 5), 5, share=0.002)
    for name, call in EVERY.items():
        whole = outputs(call, data)
        for cut in (127, 128, 129, 256, 299):
            part = outputs(call, data.map(lambda field, cut=cut: field[:cut]))  # type: ignore[misc]
            assert all(same_bits(a[:cut], b) for a, b in zip(whole, part, strict=True)), (name, cut)


@pytest.mark.parametrize("name", BY_COLUMN)
@untimed
@given(data=markets())
def test_a_column_does_not_depend_on_the_others(name: str, data: Market) -> None:
    whole = outputs(BY_COLUMN[name], data)
    for j in range(data.close.shape[1]):
        alone = outputs(BY_COLUMN[name], data.map(lambda field, j=j: field[:, j]))  # type: ignore[misc]
        assert all(same_bits(a[:, j].copy(), b) for a, b in zip(whole, alone, strict=True))


@pytest.mark.parametrize("name", CROSS)
@untimed
@given(data=markets(), seed=st.integers(0, 2**32 - 1))
def test_across_names_neither_order_nor_columns_without_data_change_a_bit(name: str, data: Market, seed: int) -> None:
    columns = data.close.shape[1]
    order = np.random.default_rng(seed).permutation(columns + 2)
    wider = data.map(lambda field: np.hstack([field, np.full((len(field), 2), np.nan)])[:, order])
    (whole,), (moved,) = outputs(CROSS[name], data), outputs(CROSS[name], wider)
    back = np.argsort(order)[:columns]
    assert same_bits(whole, np.ascontiguousarray(moved[:, back]))


@pytest.mark.parametrize("name", EVERY)
def test_outputs_are_contiguous_and_keep_the_shape(name: str) -> None:
    data = with_holes(market(40, 3, 1), 2)
    kind = np.bool_ if name.startswith("cross_") else np.float64
    for shaped in (data, data.map(lambda field: field[:, 0]), data.map(lambda field: field[:0])):
        for result in outputs(EVERY[name], shaped):
            assert result.shape == shaped.close.shape
            assert result.dtype == kind
            assert result.flags.c_contiguous
            assert result.flags.writeable


@pytest.mark.parametrize("name", EVERY)
def test_inputs_are_left_alone_and_results_own_their_memory(name: str) -> None:
    data = with_holes(market(40, 3, 1), 2)
    before = data.map(np.copy)
    for result in outputs(EVERY[name], data):
        for field in ("high", "low", "close", "volume"):
            assert not np.shares_memory(result, getattr(data, field))
            assert same_bits(getattr(data, field), getattr(before, field))


@pytest.mark.parametrize("name", BY_COLUMN)
def test_a_column_without_values_gives_nothing(name: str) -> None:
    data = market(40, 3, 3).map(lambda field: np.where([False, True, False], np.nan, field))
    for result in outputs(BY_COLUMN[name], data):
        assert not result[:, 1].any() if result.dtype == np.bool_ else np.isnan(result[:, 1]).all()


@pytest.mark.parametrize("name", BY_COLUMN)
@untimed
@given(rows=st.integers(1, 40), lead=st.integers(0, 20), seed=st.integers(0, 2**32 - 1))
def test_rows_before_a_listing_are_skipped(name: str, rows: int, lead: int, seed: int) -> None:
    if name == "vwap by session":
        lead = 7 * (lead // 7)  # whole sessions, so that they begin on the same rows
    data = market(rows, 2, seed)
    late = data.map(lambda field: np.vstack([np.full((lead, 2), np.nan), field]))
    for result, expected in zip(outputs(BY_COLUMN[name], late), outputs(BY_COLUMN[name], data), strict=True):
        np.testing.assert_allclose(result[lead:], expected, rtol=1e-9, atol=1e-9)
        assert not result[:lead].any() if result.dtype == np.bool_ else np.isnan(result[:lead]).all()


@pytest.mark.parametrize("name", WINDOWED)
@untimed
@given(seed=st.integers(0, 2**32 - 1), hole=st.integers(0, 59), what=st.sampled_from([np.nan, np.inf, -np.inf, 1e200]))
def test_a_bad_value_is_forgotten_when_it_leaves_the_window(name: str, seed: int, hole: int, what: float) -> None:
    memory, call = WINDOWED[name]
    data = market(60, 2, seed)
    broken = data.map(np.copy)
    for field in (broken.high, broken.low, broken.close, broken.volume):
        field[hole, 0] = what
    for result, clean in zip(outputs(call, broken), outputs(call, data), strict=True):
        touched = result[hole : hole + memory, 0]
        if result.dtype == np.bool_:
            assert not np.isnan(what) or not touched.any()
        elif not np.isfinite(what) and name not in ("lag", "roc", "momentum"):
            assert np.isnan(touched).all() or name == "stochastic"
        np.testing.assert_allclose(result[hole + memory :, 0], clean[hole + memory :, 0], rtol=1e-9, atol=1e-9)
        assert same_bits(result[:hole, 0].copy(), clean[:hole, 0].copy())


@pytest.mark.parametrize("name", ["ema", "rsi", "macd", "atr", "dmi", "adx", "obv"])
@untimed
@given(seed=st.integers(0, 2**32 - 1), hole=st.integers(0, 40))
def test_a_recursion_gives_nan_at_a_hole_and_goes_on_as_if_the_row_were_not_there(
    name: str, seed: int, hole: int
) -> None:
    data = market(40, 2, seed)
    holed = data.map(lambda field: np.insert(field, hole, np.nan, axis=0))
    for result, clean in zip(outputs(RECURSIVE[name], holed), outputs(RECURSIVE[name], data), strict=True):
        assert np.isnan(result[hole]).all()
        assert same_bits(np.delete(result, hole, axis=0), clean)


@pytest.mark.parametrize("name", EVERY)
def test_pandas_and_arrays_in_any_layout_give_the_same_bits(name: str) -> None:
    data = with_holes(market(50, 3, 8), 9)
    expected = outputs(EVERY[name], data)
    fields = (data.high, data.low, data.close, data.volume)
    index = pd.date_range("2024-01-02", periods=len(data.close), tz="Asia/Seoul")
    frames = Market(*(pd.DataFrame(field, index=index, columns=list("xyz")) for field in fields))  # type: ignore[arg-type]
    turned = Market(*(np.asfortranarray(field) for field in fields))
    locked = data.map(np.copy)
    for field in (locked.high, locked.low, locked.close, locked.volume):
        field.flags.writeable = False
    for other in (turned, locked):
        assert all(same_bits(a, b) for a, b in zip(outputs(EVERY[name], other), expected, strict=True))
    for found, array in zip(outputs(EVERY[name], frames), expected, strict=True):
        assert isinstance(found, pd.DataFrame)
        assert found.index.equals(index)
        assert list(found.columns) == list("xyz")
        assert same_bits(found.to_numpy(), array)


@pytest.mark.parametrize("window", [2, 3, 7, 200])
@pytest.mark.parametrize("constant", [0.1, 1 / 3, 70_000.0, 12345.678, 1e-7])
def test_a_constant_window_has_its_constant_as_mean_and_no_deviation(window: int, constant: float) -> None:
    values = np.concatenate([np.linspace(1.0, 9e5, 333), np.full(700, constant)])
    flat = slice(333 + window - 1, None)
    for average in (ta.sma(values, window), ta.wma(values, window), ta.bollinger(values, window).upper):
        assert (average[flat] == constant).all()
    assert (ta.rolling_std(values, window)[flat] == 0.0).all()
    assert np.isnan(ta.rolling_zscore(values, window)[flat]).all()
    assert np.isnan(ta.rolling_corr(values, np.arange(1033.0), window)[flat]).all()
    assert (ta.ema(values[333:], window)[window - 1 :] == constant).all()


@untimed
@given(st.lists(st.integers(1, 10**6), min_size=30, max_size=90), st.integers(1, 30))
def test_the_average_of_whole_numbers_is_correctly_rounded(prices: list[int], window: int) -> None:
    result = ta.sma(prices, window)
    expected = [sum(prices[t - window + 1 : t + 1]) / window for t in range(window - 1, len(prices))]
    assert result[window - 1 :].tolist() == expected


def test_a_million_rows_leave_no_drift() -> None:
    draw = np.random.default_rng(0)
    values = draw.normal(size=1_000_000) * 10.0 ** draw.integers(-6, 7, 1_000_000)
    tail = values[-50:]
    assert ta.rolling_sum(values, 50)[-1] == pytest.approx(np.sum(tail), rel=1e-13, abs=1e-8)
    assert ta.rolling_std(values, 50)[-1] == pytest.approx(np.std(tail, ddof=1), rel=1e-12)
    values[-100] = 1e18  # far above the rest, and gone from the window
    assert ta.rolling_sum(values, 50)[-1] == pytest.approx(np.sum(tail), rel=1e-13, abs=1e-8)


def test_each_kernel_is_compiled_for_one_signature_whatever_comes_in() -> None:
    data = market(30, 3, 4)
    locked = data.map(np.copy)
    for field in (locked.high, locked.low, locked.close, locked.volume):
        field.flags.writeable = False
    for shape in (data, locked, data.map(lambda field: field[:, 0]), data.map(lambda field: field.astype(np.float32))):
        for call in EVERY.values():
            outputs(call, shape)
    compiled = {
        name: len(kernel.signatures)
        for module in (window_kernels, recursive_kernels, cross_kernels)
        for name, kernel in vars(module).items()
        if hasattr(kernel, "signatures")  # nothing is compiled under NUMBA_DISABLE_JIT=1
    }
    assert {name: count for name, count in compiled.items() if count > 1} == {}


def test_threads_share_the_kernels() -> None:
    data = [market(200, 40, seed) for seed in range(8)]
    alone = [ta.adx(m.high, m.low, m.close, 14) for m in data]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda m: ta.adx(m.high, m.low, m.close, 14), data))
    assert all(same_bits(a, b) for a, b in zip(alone, together, strict=True))


def digests() -> list[str]:
    """One digest per case on small data with holes; also run as a program by the test below."""
    data = with_holes(market(150, 4, 21), 22, share=0.01)
    data.close[5:9, 1] = [0.0, -0.0, 0.0, -0.0]
    lines = []
    for name, call in EVERY.items():
        # every NaN counts as the same: processors and compilers choose its sign freely
        arrays = [np.where(np.isnan(a), np.nan, a) if a.dtype == np.float64 else a for a in outputs(call, data)]
        lines.append(f"{name} {hashlib.sha256(b''.join(a.tobytes() for a in arrays)).hexdigest()}")
    return lines


@pytest.mark.parametrize("disabled", ["1", "0"])
def test_compiled_and_uncompiled_give_the_same_bits(disabled: str) -> None:
    root = Path(__file__).parents[2]
    program = "from tests.indicators.test_contract import digests; print(*digests(), sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=root,
        env={**os.environ, "NUMBA_DISABLE_JIT": disabled},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == digests()
