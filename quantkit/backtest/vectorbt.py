"""`Result.to_vectorbt()`: the same fills as a vectorbt Portfolio, for its own plots and statistics.

Contract: vectorbt decides nothing. Every fill becomes one order of exactly its size, price and fee, in one group that
shares the cash, so that the value of the Portfolio is our equity at every bar.

What vectorbt cannot say is translated, or refused with ConfigError:

- it takes one order a bar and column: a bar with more gets extra rows 1 microsecond apart, the last being the bar;
- it knows no splits: share counts and prices are put in the shares of the first bar (by what the action did to the
  shares held), so values are the same and counts may be fractions; shares that an action took away altogether are sold
  for the cash it paid;
- it has no cash but that of orders: dividends, fractions of shares paid out, interest and borrowing fees are orders in
  two columns of their own, `CASH_IN` (sold short at the amount) and `CASH_OUT` (bought at it), whose price is next to
  nothing: each is one trade that stays open, and its profit is the money;
- it knows no money paid in, and would count it as profit: runs with deposits are refused;
- it wants a price in every row: that before a listing is the first, that after a delisting the last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from quantkit.backtest.holdings import position_matrix
from quantkit.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

    from quantkit.backtest.result import Result

__all__ = ["CASH_IN", "CASH_OUT", "to_vectorbt"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CASH_IN, CASH_OUT = "cash received", "cash paid"
NEXT_TO_NOTHING = 1e-9  # vectorbt takes no price of 0
_UNITS = {"s": "s", "m": "min", "h": "h", "d": "D", "w": "W"}


class _Orders(NamedTuple):
    """Orders in the sequence they happened: column, signed size in the shares of the first bar, price, fee."""

    bar: Ints
    column: Ints
    size: Floats
    price: Floats
    fee: Floats


def _refuse_deposits(result: Result) -> None:
    paid = int(result.run.deposits.sum())
    if paid:
        raise ConfigError(
            f"to_vectorbt: this run has deposits ({paid / result.bars.minor_unit:,.0f} in all), which vectorbt would "
            "count as profit; run it without them to compare"
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


def _actions(result: Result) -> tuple[Floats, list[tuple[int, int, float, float]], Floats]:
    """What corporate actions did: (T, N) shares now for one at the first bar, by what they did to the shares held (1
    where none was held); sales of shares that were taken away, (bar, column, signed size, price); (A,) cash of each
    action that no such sale accounts for."""
    run, names, unit = result.run, len(result.bars.symbols), result.bars.minor_unit
    ratios = np.ones((len(run), names))
    actions, sales = run.actions, []
    cash = actions["cash"] / unit
    if actions["share_delta"].any():
        held = position_matrix(run, names)
        for k, delta in enumerate(actions["share_delta"].tolist()):
            bar, symbol = int(actions["bar"][k]), int(actions["symbol"][k])
            before = int(held[bar - 1, symbol]) if bar else 0
            if before and (before + delta) * before > 0:
                ratios[bar:, symbol] *= (before + delta) / before
            elif before and delta:
                price = max(float(cash[k]) / before, 0.0)
                sales.append((bar, symbol, -before / float(ratios[bar, symbol]), price * float(ratios[bar, symbol])))
                cash[k] -= price * before
    return ratios, sales, cash


def _orders(result: Result) -> tuple[_Orders, Floats]:
    """Every order of the Portfolio, and the (T, N) share ratios."""
    run, unit, names = result.run, result.bars.minor_unit, len(result.bars.symbols)
    ratios, sales, cash = _actions(result)
    bars = np.concatenate((run.actions["bar"], run.flows["bar"])).astype(np.int64)
    amounts = np.concatenate((cash, run.flows["cash"] / unit))
    rows = [(bar, column, size, max(price, NEXT_TO_NOTHING), 0.0) for bar, column, size, price in sales]
    for column, sign in ((names, 1.0), (names + 1, -1.0)):
        mine = np.where(amounts * sign > 0.0, np.abs(amounts), 0.0)
        sums = np.bincount(bars, weights=mine, minlength=len(run))
        rows += [(int(bar), column, -sign, float(sums[bar]), 0.0) for bar in np.flatnonzero(sums)]
    fills = run.fills
    bar, symbol = fills["bar"], fills["symbol"].astype(np.int64)
    ratio = ratios[bar, symbol]
    table = np.array(rows, np.float64).reshape(-1, 5)
    every = (bar, symbol, fills["side"] * fills["quantity"] / ratio, fills["price"] * ratio,
             (fills["commission"] + fills["tax"]) / unit)  # fmt: skip
    joined = [np.concatenate((table[:, k], column)) for k, column in enumerate(every)]
    order = np.argsort(joined[0], kind="stable")  # actions of a bar come before its fills
    when, what, size, price, fee = (values[order] for values in joined)
    return _Orders(when.astype(np.int64), what.astype(np.int64), size, price, fee), ratios


def _priced(close: Floats) -> Floats:
    """Closes without gaps: the last one known, before the first that one, next to nothing where there is none."""
    known = np.isfinite(close)
    if known.all():
        return close
    rows = np.maximum.accumulate(np.where(known, np.arange(len(close))[:, None], -1), axis=0)
    first = np.where(known.any(axis=0), known.argmax(axis=0), 0)
    filled = np.take_along_axis(close, np.where(rows < 0, first, rows), axis=0)
    return np.where(np.isfinite(filled), filled, NEXT_TO_NOTHING)


def _step(freq: str) -> pd.Timedelta | None:
    """Time between bars, for vectorbt's durations and yearly figures; None for ticks and months."""
    import pandas as pd

    unit = _UNITS.get(freq[-1:])
    return None if unit is None else pd.Timedelta(int(freq[:-1]), unit)  # type: ignore[arg-type]


def to_vectorbt(result: Result) -> Any:
    """A `vectorbt.Portfolio` of the run.

    ConfigError when vectorbt is not installed, or when the run has what it cannot express (see above).
    """
    try:
        import vectorbt as vbt
    except ImportError as error:
        raise ConfigError('to_vectorbt needs vectorbt: pip install "quantkit[vectorbt]"') from error
    import pandas as pd

    _refuse_deposits(result)
    bars = result.bars
    orders, ratios = _orders(result)
    row, bar_of = _sub_rows(orders.bar, orders.column, len(bars))
    extra = [name for k, name in enumerate((CASH_IN, CASH_OUT)) if (orders.column == len(bars.symbols) + k).any()]
    places = {len(bars.symbols) + k: len(bars.symbols) + extra.index(name)
              for k, name in enumerate((CASH_IN, CASH_OUT)) if name in extra}  # fmt: skip
    column = np.array([places.get(k, k) for k in orders.column.tolist()], np.int64)
    shape = (len(bar_of), len(bars.symbols) + len(extra))
    size, price, fees = np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(shape)
    size[row, column], price[row, column], fees[row, column] = orders.size, orders.price, orders.fee
    last = np.flatnonzero(np.concatenate((bar_of[1:] != bar_of[:-1], [True])))
    behind = last[np.searchsorted(last, np.arange(len(bar_of)))] - np.arange(len(bar_of))
    index = bars.index.take(bar_of) - pd.to_timedelta(behind, unit="us")
    columns = pd.Index([*bars.symbols, *extra], name="symbol")
    closes = np.full(shape, NEXT_TO_NOTHING)
    closes[:, : len(bars.symbols)] = _priced(bars.raw.close * ratios)[bar_of]
    alone = shape[1] == 1  # a Series, so that vectorbt's plots need not be told which column
    table = pd.DataFrame(closes, index=index, columns=columns)
    # "auto" puts sales before buys inside a row, so vectorbt is never shorter of cash than our account was.
    return vbt.Portfolio.from_orders(
        table[columns[0]] if alone else table,
        size=size[:, 0] if alone else size,
        price=price[:, 0] if alone else price,
        fees=0.0,
        fixed_fees=fees[:, 0] if alone else fees,
        init_cash=result.run.initial_cash / bars.minor_unit,
        cash_sharing=True,
        group_by=True,
        call_seq="auto",
        freq=_step(bars.freq),
    )
