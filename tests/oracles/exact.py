"""Settings under which quantkit means exactly what another engine means, and the real prices they are compared on.

vectorbt `from_orders`: fills at the close it decides on, sells before buys and buys in rising value, each cut to the
cash left, the order (not the goal) cut to whole shares, every row of targets sized anew, nothing tried again.
backtesting.py: fills at the next open, the spread paid on entries only, an order that does not fit is dropped whole.
Both keep money as a float: cash in billionths of a unit stands for that.
"""

from __future__ import annotations

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


def panel(open_: np.ndarray, high: np.ndarray, low: np.ndarray, close: np.ndarray) -> Bars:
    """Bars without exchange rules, in float money; each argument is (T, N)."""
    rows, columns = close.shape
    return Bars(
        times=midnights(np.arange(rows) + 12_000),
        symbols=[f"S{column:03d}" for column in range(columns)],
        fields={"open": open_, "high": high, "low": low, "close": close, "volume": np.ones_like(close)},
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


def fills_of(result: object) -> list[tuple[int, int, int, int, float, float]]:
    """(bar, column, side, shares, price, commission in money) of each fill, in order of bar and column."""
    fills = result.run.fills  # type: ignore[attr-defined]
    rows = zip(
        fills["bar"], fills["symbol"], fills["side"], fills["quantity"], fills["price"], fills["commission"],
        strict=True,
    )  # fmt: skip
    return sorted((int(a), int(b), int(c), int(d), float(e), float(f) / NANO) for a, b, c, d, e, f in rows)
