"""Signals and indicators made elsewhere run here: vectorbt, TA-Lib, plain pandas; and the page that shows how."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import talib  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

import quantkit as qk
from quantkit import ta
from quantkit.data.bars import Bars
from quantkit.errors import BadData, ConfigError
from tests.backtest.factories import random_bars

pytestmark = pytest.mark.filterwarnings("ignore")  # vectorbt's own

flags = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40)


@pytest.fixture(scope="module")
def bars() -> Bars:
    return random_bars(300, 3)


@pytest.fixture(scope="module")
def vbt() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("vectorbt", reason="the extra [vectorbt] brings it")


@given(flags, st.sampled_from(["exit", "entry", "ignore"]))
def test_targets_follow_entries_and_exits_bar_by_bar(pairs: list[tuple[bool, bool]], conflict: Any) -> None:
    held, expected = False, []
    for enter, leave in pairs:
        if enter and leave:
            held = {"exit": False, "entry": True, "ignore": held}[conflict]
        else:
            held = (held or enter) and not leave
        expected.append(held)
    enters, leaves = (np.array(side) for side in zip(*pairs, strict=True))
    assert qk.from_signals(enters, leaves, conflict=conflict).tolist() == expected
    if conflict == "exit":
        assert ta.hold(enters, leaves).tolist() == expected


def test_frames_are_matched_by_label(bars: Bars) -> None:
    close = bars.frame("close")
    enter, leave = close > close.shift(), close < close.shift()
    mixed = leave.iloc[::-1, [2, 0, 1]]
    found = qk.from_signals(enter, mixed)
    assert found.equals(qk.from_signals(enter, leave))
    assert found.index.equals(bars.index)
    assert tuple(found.columns) == bars.symbols
    again = qk.backtest(targets=found.iloc[:, [1, 2, 0]], bars=bars)
    assert again.equity.equals(qk.backtest(targets=found, bars=bars).equity)


def test_signals_that_do_not_match_are_named(bars: Bars) -> None:
    close = bars.frame("close")
    enter, leave = close > 0, close < 0
    with pytest.raises(BadData, match=r"lack 1 rows .*2018-01-02.* and have 0 others"):
        qk.from_signals(enter, leave.iloc[1:])
    with pytest.raises(BadData, match=r"lack 1 columns .*'005930'.* and have 1 others .*'KOSPI'"):
        qk.from_signals(enter, leave.rename(columns={"005930": "KOSPI"}))
    with pytest.raises(BadData, match="one of entries and exits is pandas"):
        qk.from_signals(enter, leave.to_numpy())
    with pytest.raises(BadData, match=r"entries have dtype object.*fillna\(False\)"):
        qk.from_signals(enter.shift(), leave)
    with pytest.raises(BadData, match=r"exits have dtype int64; expected bool$"):
        qk.from_signals([True, False], [0, 1])
    with pytest.raises(BadData, match=r"shape \(2,\), exits \(3,\)"):
        qk.from_signals([True, False], [True, False, False])
    with pytest.raises(BadData, match="one of entries and exits is a Series"):
        qk.from_signals(enter, leave["005930"])
    with pytest.raises(ConfigError, match=r"conflict='both'\): choose one of exit, entry, ignore"):
        qk.from_signals([True], [True], conflict="both")  # type: ignore[call-overload]


def crossings(vbt: Any, close: Any, fast: Any, slow: Any) -> tuple[Any, Any]:
    quick, calm = vbt.MA.run(close, window=fast, short_name="fast"), vbt.MA.run(close, window=slow, short_name="slow")
    return quick.ma_crossed_above(calm), quick.ma_crossed_below(calm)


def test_crossings_of_vectorbt_run_as_they_are(bars: Bars, vbt: Any) -> None:
    enter, leave = crossings(vbt, bars.frame("close"), 10, 40)
    assert enter.columns.names == ["fast_window", "slow_window", "symbol"]
    result = qk.backtest(targets=qk.from_signals(enter, leave), bars=bars)
    plain = qk.from_signals(enter.to_numpy(), leave.to_numpy())
    assert len(result.fills) > 10
    assert result.equity.equals(qk.backtest(targets=plain, bars=bars).equity)


def test_vectorbt_and_quantkit_trade_the_same_signals_alike(vbt: Any) -> None:
    single = random_bars(400, 1)
    close = single.frame("close")["005930"]
    enter, leave = crossings(vbt, close, 10, 40)
    theirs = vbt.Portfolio.from_signals(close, enter, leave, init_cash=1e8, size_granularity=1, freq="1D")
    ours = qk.backtest(targets=qk.from_signals(enter, leave, conflict="ignore"), bars=single, cash=1e8, fill="close",
                       costs=qk.Costs.free(), policy=qk.Policy(collar=None))  # fmt: skip
    assert len(ours.fills) == len(theirs.orders.records) > 5
    assert ours.figures["total_return"] == pytest.approx(theirs.total_return())
    assert ours.to_vectorbt().total_return() == pytest.approx(theirs.total_return())


def test_several_parameters_at_once_are_refused_with_what_to_write(bars: Bars, vbt: Any) -> None:
    quick, calm = vbt.MA.run_combs(bars.frame("close"), window=[5, 10, 40], r=2, short_names=["fast", "slow"])
    enter, leave = quick.ma_crossed_above(calm), quick.ma_crossed_below(calm)
    targets = qk.from_signals(enter, leave)
    with pytest.raises(BadData, match=r"3 combinations of \['fast_window', 'slow_window'\]") as refused:
        qk.backtest(targets=targets, bars=bars)
    told = re.search(r"choose one: frame(\.xs\(.*\))$", str(refused.value))
    assert told is not None
    names: dict[str, Any] = {"targets": targets}
    exec(f"chosen = targets{told[1]}", names)  # the hint is code that works
    chosen = names["chosen"]
    assert qk.backtest(targets=chosen, bars=bars).fills.shape[0] > 10


def test_columns_that_name_no_symbol_are_refused(bars: Bars, vbt: Any) -> None:
    close = bars.frame("close")["005930"]
    quick, calm = vbt.MA.run_combs(close, window=[5, 10, 40], r=2, short_names=["fast", "slow"])
    with pytest.raises(BadData, match=r"levels \['fast_window', 'slow_window'\], none of which holds the symbols"):
        qk.backtest(targets=quick.ma_crossed_above(calm), bars=bars)


def test_a_frame_for_other_days_or_names_is_refused(bars: Bars) -> None:
    targets = bars.frame("close") > 0
    with pytest.raises(BadData, match=r"299 rows for 300 bars; bars without a row: 1 \(2018-01-02\)"):
        qk.backtest(targets=targets.iloc[1:], bars=bars)
    with pytest.raises(BadData, match=r"missing \['005930'\], extra \['KOSPI'\]"):
        qk.backtest(targets=targets.rename(columns={"005930": "KOSPI"}), bars=bars)
    with pytest.raises(BadData, match="a Series for 3 symbols"):
        qk.backtest(targets=targets["005930"], bars=bars)


PAIRS = {
    "sma": (lambda c: ta.sma(c, 20), lambda c: talib.SMA(c, 20)),
    "ema": (lambda c: ta.ema(c, 20), lambda c: talib.EMA(c, 20)),
    "rsi": (lambda c: ta.rsi(c, 14), lambda c: talib.RSI(c, 14)),
    "bollinger": (lambda c: ta.bollinger(c, 20, 2.0).upper, lambda c: talib.BBANDS(c, 20, 2.0, 2.0)[0]),
    "roc": (lambda c: ta.roc(c, 10), lambda c: talib.ROC(c, 10)),
}


@pytest.mark.parametrize("name", PAIRS)
def test_a_series_in_gives_the_series_that_talib_gives(bars: Bars, name: str) -> None:
    close = bars.frame("close")["005930"]
    ours, theirs = (function(close) for function in PAIRS[name])
    assert isinstance(ours, pd.Series)
    assert ours.name == "005930"
    assert ours.index.equals(theirs.index)
    assert ours.isna().equals(theirs.isna().rename("005930")), "the warm-up is as long"
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def test_outputs_of_talib_and_frames_of_it_go_on_here(bars: Bars) -> None:
    close = bars.frame("close")
    theirs = close.apply(lambda column: talib.SMA(column, 20))
    crossed = ta.cross_over(ta.sma(close, 5), theirs)
    assert isinstance(crossed, pd.DataFrame)
    ours = ta.cross_over(ta.sma(bars.close, 5), ta.sma(bars.close, 20))
    assert (crossed.to_numpy() == ours).all(), "averages of whole prices are correctly rounded in both"
    again = ta.ema(theirs, 10)  # NaN at the head: the seed waits for the first value
    assert again.isna().sum().tolist() == [28, 28, 28]
    assert len(qk.backtest(targets=close > theirs, bars=bars).fills) > 10


def test_series_on_other_rows_are_not_compared_by_position(bars: Bars) -> None:
    close = bars.frame("close")["005930"]
    with pytest.raises(BadData, match=r"ta\.cross_over: the rows of other have other labels than those of values"):
        ta.cross_over(close.iloc[1:], close.iloc[:-1])
    with pytest.raises(BadData, match=r"ta\.atr: the rows of low have other labels than those of high"):
        ta.atr(close, close.iloc[::-1], close, 14)


def test_the_page_runs_from_top_to_bottom(vbt: Any) -> None:
    page = Path(__file__).parents[2] / "docs" / "interop.md"
    found = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert len(found) == 5
    bars = random_bars(400, 2)
    names: dict[str, object] = {"__name__": "page", "bars": bars}
    for block in found:
        exec(compile(block, page.name, "exec"), names)
