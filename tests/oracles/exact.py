"""Settings under which quantkit means exactly what another engine means, and the real prices they are compared on.

vectorbt `from_orders`: fills at the close it decides on, sells before buys and buys in rising value, each cut to the
cash left, the order (not the goal) cut to whole shares, every row of targets sized anew, nothing tried again.
backtesting.py: fills at the next open, the spread paid on entries only, an order that does not fit is dropped whole.
Both keep money as a float: cash in billionths of a unit stands for that.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from quantkit.core.policy import Policy
from quantkit.data.bars import Bars, midnights
from quantkit.market.costs import Costs

NANO = 1_000_000_000  # minor units in one unit of money


def float_costs(rate: float = 0.0, *, fixed: float = 0.0, slippage: float = 0.0) -> Costs:
    """Commission `rate` of value and `fixed` money a fill, no tax, `slippage` as a fraction of the price."""
    return Costs(commission=rate, fixed=fixed * NANO, tax=0.0, slippage_bps=slippage * 10_000)


def like_vectorbt(**changes: object) -> Policy:
    """The policy of `Portfolio.from_orders` with "targetpercent", call_seq="auto" and whole shares."""
    settings = {
        "weighting": "weight",
        "shortfall": "sequence",
        "rounding": "order",
        "rebalance": 1,
        "retry": False,
        "collar": None,
    }
    return Policy(**(settings | changes))


def like_backtesting_py(shares: int, **changes: object) -> Policy:
    """The policy that repeats `self.buy(size=shares)` and `self.position.close()`."""
    settings = {
        "weighting": "shares",
        "amount": shares,
        "shortfall": "reject",
        "retry": False,
        "collar": None,
        "slippage_on": "entry",
    }
    return Policy(**(settings | changes))


def panel(
    open_: np.ndarray, high: np.ndarray, low: np.ndarray, close: np.ndarray, volume: np.ndarray | None = None
) -> Bars:
    """Bars without exchange rules, in float money; each argument is (T, N)."""
    rows, columns = close.shape
    return Bars(
        times=midnights(np.arange(rows) + 12_000),
        symbols=[f"S{column:03d}" for column in range(columns)],
        fields={
            "open": open_,
            "high": high,
            "low": low,
            "close": close,
            "volume": np.ones_like(close) if volume is None else volume,
        },
        prices="adjusted",
        markets="NONE",
        minor_unit=NANO,
    )


def close_panel(close: np.ndarray) -> Bars:
    """Bars for fills at the close; high and low are wide, since vectorbt lets slippage leave the bar."""
    return panel(close, close * 2, close / 2, close)


def goog() -> pd.DataFrame:
    """Real daily prices of GOOG, 2004-08-19 to 2013-03-01, as backtesting.py ships them."""
    module = pytest.importorskip("backtesting.test", reason="the extra [oracles] brings backtesting.py")
    return module.GOOG


def five_stocks() -> pd.DataFrame:
    """Real closes of AAPL, GOOG, IBM and MSFT on common days from bokeh's sample data, (T, 4)."""
    stocks = pytest.importorskip("bokeh_sampledata.stocks", reason="the extra [demo] brings bokeh-sampledata")
    frames = {
        name: pd.Series(data["close"], index=pd.to_datetime(data["date"]))
        for name, data in (("AAPL", stocks.AAPL), ("GOOG", stocks.GOOG), ("IBM", stocks.IBM), ("MSFT", stocks.MSFT))
    }
    return pd.DataFrame(frames).dropna()


class Fill(NamedTuple):
    """One fill, as either engine made it."""

    bar: int
    column: int
    side: int
    shares: int
    price: float
    fee: float  # in money


def assert_same(ours: list[Fill], theirs: list[Fill], *, rtol: float = 1e-9) -> None:
    """The same fills: bars, sides and shares exactly, prices and fees as far as floats go."""
    assert [fill[:4] for fill in ours] == [fill[:4] for fill in theirs]
    np.testing.assert_allclose([fill.price for fill in ours], [fill.price for fill in theirs], rtol=rtol)
    np.testing.assert_allclose([fill.fee for fill in ours], [fill.fee for fill in theirs], rtol=rtol, atol=1e-8)


def fills_of(result: object) -> list[Fill]:
    """Each fill of a result, in order of bar and column, those of one bar as they came."""
    fills = result.run.fills  # type: ignore[attr-defined]
    rows = zip(
        fills["bar"], fills["symbol"], fills["side"], fills["quantity"], fills["price"], fills["commission"],
        strict=True,
    )  # fmt: skip
    made = (Fill(int(a), int(b), int(c), int(d), float(e), float(f) / NANO) for a, b, c, d, e, f in rows)
    return sorted(made, key=lambda fill: fill[:2])
