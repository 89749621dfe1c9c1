"""The figures of a run: `Result.stats`.

Contract: NumPy over the arrays of `RunOutput`; nothing is built per name and bar. Returns are time-weighted: a
deposit of a bar is there before the bar trades, so r = equity / (equity before + deposit) - 1, and money paid in is
no gain. Drawdowns look at every bar; ratios at one return a session (the last bar of each), daily and intraday alike.
Years are those of the calendar. `docs/metrics.md` says the same for users.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from quantkit.backtest import metrics
from quantkit.backtest.holdings import names_held
from quantkit.core.state import ENTRY_BORROW, ENTRY_INTEREST

if TYPE_CHECKING:
    from quantkit.backtest.comparison import Benchmark
    from quantkit.backtest.output import RunOutput
    from quantkit.backtest.trades import Trades

__all__ = [
    "account_figures",
    "calendar_years",
    "figures",
    "growth_of",
    "session_ends",
    "session_returns",
    "turnover_of",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def growth_of(run: RunOutput) -> Floats:
    """(T,) worth of 1 put in before the first bar, deposits taken out."""
    equity = run.equity.astype(np.float64)
    if not run.deposits.any():
        return equity / run.initial_cash
    before = np.concatenate(([float(run.initial_cash)], equity[:-1])) + run.deposits
    lost = before <= 0.0  # nothing was there to grow
    return np.asarray(np.cumprod(np.where(lost, 1.0, equity / np.where(lost, 1.0, before))), np.float64)


def session_ends(days: Ints) -> Ints:
    """Rows of the last bar of each session."""
    return np.concatenate((np.flatnonzero(days[1:] != days[:-1]), [len(days) - 1]))


def session_returns(growth: Floats, ends: Ints) -> Floats:
    """One simple return a session; the first counts from the money before the run. 0 once nothing is left."""
    picked = growth if len(ends) == len(growth) else growth[ends]
    returns = np.empty(len(picked))
    returns[0] = picked[0] - 1.0
    if picked.min() > 0.0:
        np.divide(picked[1:], picked[:-1], out=returns[1:])
        returns[1:] -= 1.0
    else:
        alive = picked[:-1] > 0.0
        returns[1:] = np.where(alive, picked[1:] / np.where(alive, picked[:-1], 1.0) - 1.0, 0.0)
    return returns


def calendar_years(days: Ints) -> float:
    """Years from the first to the last day, both included."""
    return float(days[-1] - days[0] + 1) / metrics.DAYS_PER_YEAR


def _turned(run: RunOutput, unit: float) -> Floats:
    """(F,) half the value of each fill over the money there before its bar."""
    fills = run.fills
    bar = fills["bar"]
    before = np.where(bar > 0, run.equity[np.maximum(bar - 1, 0)], run.initial_cash) + run.deposits[bar]
    return np.asarray(0.5 * unit * fills["price"] * fills["quantity"] / np.maximum(before, 1), np.float64)


def turnover_of(run: RunOutput, unit: float) -> Floats:
    """(T,) half of what was bought and sold on each bar, over the money there before it."""
    return np.asarray(np.bincount(run.fills["bar"], weights=_turned(run, unit), minlength=len(run)), np.float64)


def _risk(days: Ints, growth: Floats, returns: Floats, periods: float, risk_free: float) -> dict[str, float]:
    """Return and risk."""
    total = float(growth[-1]) - 1.0
    rate = metrics.compound_rate(total, calendar_years(days))
    drawdown = metrics.drawdowns(growth)
    deepest = float(drawdown.min())
    return {
        "total_return": total,
        "cagr": rate,
        "volatility": metrics.volatility(returns, periods=periods),
        "sharpe": metrics.sharpe(returns, periods=periods, risk_free=risk_free),
        "sortino": metrics.sortino(returns, periods=periods, target=risk_free),
        "calmar": metrics.calmar(rate, deepest),
        "max_drawdown": deepest,
        "max_drawdown_days": float(metrics.longest_drawdown(drawdown, days)),
        "best_day": float(returns.max()),
        "worst_day": float(returns.min()),
    }


def _activity(run: RunOutput, days: Ints, unit: float) -> dict[str, float]:
    """How much of the money was at work, and how often it moved."""
    idle = run.cash / np.maximum(run.equity, 1)
    held = names_held(run)
    fills = run.fills
    bought = fills["price"] * fills["quantity"] * (fills["side"] > 0)
    spent = float(bought.sum())
    return {
        "exposure": 1.0 - float(idle.mean()),
        "time_in_market": float(np.count_nonzero(held)) / len(held),
        "turnover": float(_turned(run, unit).sum()) / calendar_years(days),
        "proceeds_funded_share": float(bought[fills["from_proceeds"]].sum()) / spent if spent > 0.0 else 0.0,
    }


def _trading(trades: Trades) -> dict[str, float]:
    """Closed round trips."""
    closed = ~trades.open
    pnl, ret = trades.pnl[closed], trades.ret[closed]
    won, lost = pnl > 0.0, pnl < 0.0
    losses = -float(pnl[lost].sum())
    held = trades.exit_bar[closed] - trades.entry_bar[closed]
    nan = math.nan
    return {
        "trades": float(len(pnl)),
        "open_trades": float(len(trades) - len(pnl)),
        "win_rate": float(won.mean()) if len(pnl) else nan,
        "profit_factor": float(pnl[won].sum()) / losses if losses > 0.0 else nan,
        "avg_win": float(ret[won].mean()) if won.any() else nan,
        "avg_loss": float(ret[lost].mean()) if lost.any() else nan,
        "avg_bars_held": float(held.mean()) if len(held) else nan,
        "ambiguous_trades": float(np.count_nonzero(trades.ambiguous)),
    }


def _money(run: RunOutput, unit: float) -> dict[str, float]:
    """Sums of money, in units of price."""
    fills = run.fills
    deposits = float(run.deposits.sum()) / unit
    return {
        "final_equity": float(run.equity[-1]) / unit,
        "deposits": deposits,
        "profit": float(run.equity[-1] - run.initial_cash) / unit - deposits,
        "commission": float(fills["commission"].sum()) / unit,
        "tax": float(fills["tax"].sum()) / unit,
        "slippage": float(fills["slippage"].sum()) / unit,
        "dividends": float(run.actions["cash"].sum()) / unit,
        "dividend_tax": float(run.actions["tax"].sum()) / unit,
        "interest": float(run.flows["cash"][run.flows["kind"] == ENTRY_INTEREST].sum()) / unit,
        "borrow_cost": -float(run.flows["cash"][run.flows["kind"] == ENTRY_BORROW].sum()) / unit,
    }


def _against(
    benchmark: Benchmark, ends: Ints, total: float, returns: Floats, periods: float, risk_free: float
) -> dict[str, float]:
    """Figures against the benchmark."""
    theirs = benchmark.returns(ends)
    gain = float(benchmark.levels[-1] / benchmark.levels[0]) - 1.0
    alpha, beta = metrics.alpha_beta(returns, theirs, periods=periods, risk_free=risk_free)
    information, tracking = metrics.information_ratio(returns, theirs, periods=periods)
    return {
        "benchmark_return": gain,
        "excess_return": total - gain,
        "alpha": alpha,
        "beta": beta,
        "tracking_error": tracking,
        "information_ratio": information,
    }


def account_figures(
    run: RunOutput, *, days: Ints, growth: Floats, minor_unit: int, periods: float, risk_free: float
) -> dict[str, float]:
    """The figures that need neither round trips nor a benchmark; arguments as for `figures`."""
    ends = session_ends(days)
    returns = session_returns(growth, ends)
    unit = float(minor_unit)
    return _risk(days, growth, returns, periods, risk_free / periods) | _activity(run, days, unit) | _money(run, unit)


def figures(
    run: RunOutput,
    *,
    days: Ints,
    growth: Floats,
    trades: Trades,
    benchmark: Benchmark | None,
    minor_unit: int,
    periods: float,
    risk_free: float,
) -> dict[str, float]:
    """Every figure of a run by name; figures against a benchmark only with one.

    days (T,) int64 epoch days · growth (T,) `growth_of(run)` · periods a year · risk_free a year
    """
    ends = session_ends(days)
    returns = session_returns(growth, ends)
    unit, free = float(minor_unit), risk_free / periods
    found = _risk(days, growth, returns, periods, free)
    found |= _activity(run, days, unit) | _trading(trades) | _money(run, unit)
    if benchmark is not None:
        found |= _against(benchmark, ends, found["total_return"], returns, periods, free)
    return found
