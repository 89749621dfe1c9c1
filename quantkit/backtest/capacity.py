"""How much money a rule can carry: the same run with more and more of it, each order moving the price against itself.

Contract: every row is a backtest of its own, so this is computed only when asked for. Impact is the square-root law of
`Costs(impact=)`, fills of a bar take at most `participation` of its volume; what does not fit is asked for again while
the goal stands. Deposits, and a policy's `amount` and `min_trade_value`, grow with the money; `RiskLimits` do not:
they are what they are.

Called by `Result.capacity`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from quantkit.backtest.figures import session_ends
from quantkit.errors import BadData, ConfigError
from quantkit.hooks import silently

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from quantkit.backtest.result import Result
    from quantkit.core.policy import Policy

__all__ = ["capacity_table", "half_capital", "usual_impact"]

Floats = NDArray[np.float64]

STEPS = (1.0, 10.0**0.5, 10.0, 10.0**1.5, 100.0, 10.0**2.5, 1000.0)
PARTICIPATION = 0.1
NAMES = 200
FIGURES = ("cagr", "total_return", "sharpe", "max_drawdown", "turnover", "profit")


def usual_impact(result: Result) -> float:
    """Median, over the names that were traded (at most 200 of them, evenly taken), of the deviation of daily log
    returns: the factor of the law. Reads a name at a time, so that a streamed run stays one."""
    bars = result.bars
    last = session_ends(bars.days)
    found = []
    for column in _traded(result):
        close = bars.select([bars.symbols[column]]).close[last, 0]
        steps = np.diff(np.log(close[close > 0.0]))
        if len(steps) > 1:
            found.append(float(steps.std(ddof=1)))
    if not found:
        raise ConfigError("capacity: too few prices to measure how much a name moves; give impact=")
    return float(np.median(found))


def _traded(result: Result) -> list[int]:
    """Columns of names that were traded, at most 200."""
    columns = np.unique(result.run.fills["symbol"]).astype(np.int64)
    some = np.unique(np.linspace(0, len(columns) - 1, min(len(columns), NAMES)).astype(np.int64))
    return [int(column) for column in columns[some]]


def _capitals(result: Result, capitals: Iterable[float] | None) -> list[float]:
    own = result.run.initial_cash / result.bars.minor_unit
    if capitals is None:
        return [float(f"{own * step:.3g}") for step in STEPS]
    found = sorted({float(capital) for capital in capitals})
    if not found or not found[0] > 0.0 or not np.isfinite(found[-1]):
        raise ConfigError(f"capacity(capitals={capitals!r}): expected amounts of money above 0")
    return found


def _grown(policy: Policy, times: float) -> Policy:
    changes: dict[str, Any] = {}
    if policy.weighting in ("cash", "shares"):
        changes["amount"] = policy.amount * times
    if policy.min_trade_value is not None:
        changes["min_trade_value"] = policy.min_trade_value * times
    return replace(policy, **changes) if changes else policy


def _row(run: Result) -> dict[str, float]:
    stats, fills, orders = run.figures, run.run.fills, run.run.orders
    traded = float((fills["price"] * fills["quantity"]).sum())
    asked = float(orders["quantity"].sum())
    costs = stats["commission"] + stats["tax"] + stats["slippage"]
    return {
        **{name: stats[name] for name in FIGURES},
        "costs": costs,
        "cost_of_traded": costs / traded if traded > 0.0 else np.nan,
        "filled": float(orders["filled"].sum()) / asked if asked > 0.0 else np.nan,
    }


def capacity_table(
    result: Result,
    capitals: Iterable[float] | None = None,
    *,
    impact: float | None = None,
    participation: float | None = None,
) -> pd.DataFrame:
    """`Result.capacity()`."""
    import pandas as pd

    if result.again is None or result.policy is None or result.cost_model is None:
        raise ConfigError("capacity: this result was not made by backtest(), so it cannot be run with other capital")
    if not len(result.run.fills["bar"]):
        raise ConfigError("capacity: nothing was traded, so capital makes no difference")
    bars = result.bars
    if not any((bars.select([bars.symbols[column]]).volume > 0.0).any() for column in _traded(result)):
        raise BadData("capacity: the bars have no volume, and impact and participation are measured against it")
    own_impact, own_part = result.cost_model.impact, result.policy.participation
    if impact is None:
        impact = own_impact if own_impact > 0.0 else usual_impact(result)
    part = participation if participation is not None else own_part if own_part is not None else PARTICIPATION
    costs = replace(result.cost_model, impact=impact)
    policy = replace(result.policy, participation=part)
    unit = result.bars.minor_unit
    paid = np.flatnonzero(result.run.deposits)
    dates = [str(day) for day in result.bars.days[paid].astype("datetime64[D]")]
    rows = {}
    for capital in _capitals(result, capitals):
        times = capital * unit / result.run.initial_cash
        given = (result.run.deposits[paid] / unit * times).tolist()
        deposits = dict(zip(dates, given, strict=True)) or None
        with silently():  # the same try with other money
            run = result.again(_grown(policy, times), cash=capital, costs=costs, deposits=deposits)
        rows[capital] = _row(run)
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("capital")
    table.attrs |= {"impact": impact, "participation": part}
    return table


def half_capital(table: pd.DataFrame) -> float:
    """Capital at which half of the annual growth at the least capital is left, between rows by the logarithm of the
    capital; NaN where growth never falls so far or there was none to lose."""
    capital, growth = np.asarray(table.index, np.float64), table["cagr"].to_numpy(dtype=np.float64)
    goal = 0.5 * growth[0]
    below = np.flatnonzero(growth <= goal)
    if not growth[0] > 0.0 or not len(below):
        return float("nan")
    k = int(below[0])
    part = (growth[k - 1] - goal) / (growth[k - 1] - growth[k])
    return float(np.exp(np.log(capital[k - 1]) + part * np.log(capital[k] / capital[k - 1])))
