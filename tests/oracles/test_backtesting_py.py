"""Trade by trade against backtesting.py: orders at the next open, fixed shares, costs on both sides, spread on
entries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from quantkit.backtest.run import backtest
from quantkit.data.bars import Bars
from tests.oracles.exact import fills_of, float_costs, goog, like_backtesting_py, panel
from tests.oracles.test_vectorbt import crossing

pytestmark = pytest.mark.filterwarnings("ignore")
SHARES = 10


def prices() -> tuple[Bars, np.ndarray]:
    frame = goog()
    columns = [frame[name].to_numpy(float)[:, None] for name in ("Open", "High", "Low", "Close")]
    wide = (columns[0], np.maximum(columns[1], columns[0] * 1.1), columns[2], columns[3])  # room for the spread
    return panel(*wide), columns[3]


def theirs(hold: np.ndarray, *, cash: float, **settings: Any) -> list[tuple[int, int, int, float, float, float]]:
    backtesting = pytest.importorskip("backtesting", reason="the extra [oracles] brings backtesting.py")

    class Follow(backtesting.Strategy):
        def init(self) -> None:
            pass

        def next(self) -> None:
            now = len(self.data) - 1
            if hold[now] and not hold[now - 1]:
                self.buy(size=SHARES)
            elif not hold[now] and self.position:
                self.position.close()

    trades = backtesting.Backtest(goog(), Follow, cash=cash, **settings).run()["_trades"]
    return [
        (
            int(row.EntryBar),
            int(row.ExitBar),
            int(row.Size),
            float(row.EntryPrice),
            float(row.ExitPrice),
            float(row.PnL),
        )
        for row in trades.sort_values("EntryBar").itertuples()
    ]


def ours(bars: Bars, hold: np.ndarray, *, cash: float, fill: str, rate: float, spread: float):
    result = backtest(
        targets=hold[:, None], bars=bars, policy=like_backtesting_py(SHARES), cash=cash, fill=fill,
        costs=float_costs(rate, slippage=spread),
    )  # fmt: skip
    trades, entry = [], None
    for bar, _, side, quantity, price, commission in fills_of(result):
        if side > 0:
            entry = (bar, quantity, price, commission)
        elif entry is not None:
            gain = (price - entry[2]) * quantity - commission - entry[3]
            trades.append((entry[0], bar, quantity, entry[2], price, gain))
            entry = None
    return trades


def holding(close: np.ndarray) -> np.ndarray:
    """True while the 10-day average is above the 30-day one; nothing on bar 0, where backtesting.py does not decide."""
    flips = crossing(close, 10, 30)[:, 0]
    rows = np.maximum.accumulate(np.where(np.isnan(flips), 0, np.arange(len(flips))))
    hold = np.nan_to_num(flips[rows]).astype(bool)
    hold[0] = False
    return hold


@pytest.mark.parametrize(
    ("fill", "rate", "spread"),
    [("next_open", 0.0, 0.0), ("next_open", 0.002, 0.0), ("next_open", 0.001, 0.001), ("close", 0.001, 0.0)],
)
def test_fixed_shares_on_real_prices_equal_backtesting_py_trade_by_trade(fill: str, rate: float, spread: float) -> None:
    bars, close = prices()
    hold = holding(close)
    hold[-2:] = False  # it leaves an open trade out of its table
    expected = theirs(hold, cash=1e6, commission=rate, spread=spread, trade_on_close=fill == "close")
    actual = ours(bars, hold, cash=1e6, fill=fill, rate=rate, spread=spread)
    assert len(expected) > 30
    assert [trade[:3] for trade in actual] == [trade[:3] for trade in expected]
    for column in (3, 4, 5):
        np.testing.assert_allclose(
            [trade[column] for trade in actual], [trade[column] for trade in expected], rtol=1e-9, atol=1e-6
        )


def test_an_order_that_does_not_fit_is_dropped_whole_as_there() -> None:
    bars, close = prices()
    hold = holding(close)
    hold[-2:] = False
    cash = 1_400.0  # enough for ten shares at first, too little when they cost more
    expected = theirs(hold, cash=cash, commission=0.001)
    actual = ours(bars, hold, cash=cash, fill="next_open", rate=0.001, spread=0.0)
    assert 0 < len(expected) < 34  # 34 with cash enough
    assert [trade[:3] for trade in actual] == [trade[:3] for trade in expected]


@pytest.mark.parametrize("fill", ["next_open", "close"])
def test_fixed_shares_sold_short_equal_backtesting_py_fill_by_fill(fill: str) -> None:
    backtesting = pytest.importorskip("backtesting", reason="the extra [oracles] brings backtesting.py")
    bars, close = prices()
    hold = holding(close)
    hold[-2:] = False

    class Short(backtesting.Strategy):
        def init(self) -> None:
            pass

        def next(self) -> None:
            now = len(self.data) - 1
            if hold[now] and not hold[now - 1]:
                self.sell(size=SHARES)
            elif not hold[now] and self.position:
                self.position.close()

    run = backtesting.Backtest(goog(), Short, cash=1e6, commission=0.001, trade_on_close=fill == "close").run()
    expected = []
    for row in run["_trades"].sort_values("EntryBar").itertuples():
        expected += [(row.EntryBar, -SHARES, row.EntryPrice), (row.ExitBar, SHARES, row.ExitPrice)]
    result = backtest(
        targets=-hold[:, None].astype(float), bars=bars, policy=like_backtesting_py(SHARES, short="simulate"), cash=1e6,
        fill=fill, costs=float_costs(0.001),
    )  # fmt: skip
    actual = [(fill_.bar, fill_.side * fill_.shares, fill_.price) for fill_ in fills_of(result)]
    assert len(actual) > 60
    assert [fill_[:2] for fill_ in actual] == [fill_[:2] for fill_ in expected]
    np.testing.assert_allclose([fill_[2] for fill_ in actual], [fill_[2] for fill_ in expected], rtol=1e-9)
    if fill == "next_open":
        value = run["_equity_curve"]["Equity"].to_numpy()
        np.testing.assert_allclose(result.equity.to_numpy(), value, rtol=1e-9)
