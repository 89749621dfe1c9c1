"""`Result.to_vectorbt()`: the same fills as a vectorbt Portfolio, for its own plots and statistics.

Contract: vectorbt decides nothing. Every fill becomes one order of exactly its size, price and fee, in one group that
shares the cash, so that the value of the Portfolio is our equity at every bar.

What vectorbt cannot say is translated, or refused with ConfigError:

- it takes one order a bar and column: a bar with more gets extra rows 1 microsecond apart, the last being the bar;
- it knows no splits: share counts and prices are put in the shares of the first bar (by what the action did to the
  shares held), so values are the same and counts may be fractions;
- it has no cash flows: runs with dividends, paid-out fractions or deposits are refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from quantkit.backtest.holdings import position_matrix
from quantkit.errors import ConfigError

if TYPE_CHECKING:
    from quantkit.backtest.result import Result

__all__ = ["to_vectorbt"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def _refuse_cash_flows(result: Result) -> None:
    unit = result.bars.minor_unit
    run = result.run
    paid, other = int(run.deposits.sum()), int(run.actions["cash"].sum() + run.flows["cash"].sum())
    if paid or run.actions["cash"].any() or run.flows["cash"].any():
        what = "deposits" if paid else "cash from dividends, fractions of shares or interest"
        raise ConfigError(
            f"to_vectorbt: this run has {what} ({(paid or other) / unit:,.0f} in all), and vectorbt knows no cash "
            "but that of orders; run without them to compare"
        )


def _sub_rows(bar: Ints, symbol: Ints, size: int) -> tuple[Ints, Ints]:
    """For each fill its row, for each row its bar. A bar starts a new row when a symbol comes again; order is kept."""
    nth = np.zeros(len(bar), np.int64)
    seen: set[int] = set()
    for k, (this, name) in enumerate(zip(bar.tolist(), symbol.tolist(), strict=True)):
        if k and this == bar[k - 1]:
            nth[k] = nth[k - 1] + (name in seen)
        if not k or this != bar[k - 1] or nth[k] != nth[k - 1]:
            seen = set()
        seen.add(name)
    rows = np.ones(size, np.int64)
    np.maximum.at(rows, bar, nth + 1)
    first = np.cumsum(rows) - rows
    return first[bar] + nth, np.repeat(np.arange(size), rows)


def _share_ratios(result: Result) -> Floats:
    """(T, N) shares now for one at the first bar, by what actions did to the shares held; 1 where none was held."""
    run, names = result.run, len(result.bars.symbols)
    ratios = np.ones((len(run), names))
    actions = run.actions
    if actions["share_delta"].any():
        held = position_matrix(run, names)
        for bar, symbol, delta in zip(actions["bar"], actions["symbol"], actions["share_delta"], strict=True):
            before = held[bar - 1, symbol] if bar else 0
            if before and before + delta > 0:
                ratios[bar:, symbol] *= (before + delta) / before
            elif before and delta:
                raise ConfigError(
                    f"to_vectorbt: an action took all {before} shares of {result.bars.symbols[symbol]} away; vectorbt "
                    "has no order for that"
                )
    return ratios


def to_vectorbt(result: Result) -> Any:
    """A `vectorbt.Portfolio` of the run.

    ConfigError when vectorbt is not installed, or when the run has what it cannot express (see above).
    """
    try:
        import vectorbt as vbt
    except ImportError as error:
        raise ConfigError('to_vectorbt needs vectorbt: pip install "quantkit[vectorbt]"') from error
    import pandas as pd

    _refuse_cash_flows(result)
    bars, fills = result.bars, result.run.fills
    bar, symbol = fills["bar"], fills["symbol"].astype(np.int64)
    row, bar_of = _sub_rows(bar, symbol, len(bars))
    ratios = _share_ratios(result)
    shape = (len(bar_of), len(bars.symbols))
    size, price, fees = np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(shape)
    size[row, symbol] = fills["side"] * fills["quantity"] / ratios[bar, symbol]
    price[row, symbol] = fills["price"] * ratios[bar, symbol]
    fees[row, symbol] = (fills["commission"] + fills["tax"]) / bars.minor_unit
    last = np.concatenate((bar_of[1:] != bar_of[:-1], [True]))
    behind = np.flatnonzero(last)[np.searchsorted(np.flatnonzero(last), np.arange(len(bar_of)))] - np.arange(
        len(bar_of)
    )
    index = bars.index.take(bar_of) - pd.to_timedelta(behind, unit="us")
    columns = pd.Index(bars.symbols, name="symbol")
    close = pd.DataFrame((bars.raw.close * ratios)[bar_of], index=index, columns=columns)
    # "auto" puts sales before buys inside a row, so vectorbt is never shorter of cash than our account was.
    return vbt.Portfolio.from_orders(
        close,
        size=size,
        price=price,
        fees=0.0,
        fixed_fees=fees,
        init_cash=result.run.initial_cash / bars.minor_unit,
        cash_sharing=True,
        group_by=True,
        call_seq="auto",
        freq=None if bars.intraday else "1D",
    )
