"""2,500 names x 2,500 days, monthly top-decile momentum, one cash account: fills, equity and metrics.

All sides get the same closes and the same table of target weights (equal weights of the top decile by 12-1 month
momentum, every 21 days, NaN between) and end with total return, Sharpe ratio, maximum drawdown and the list of fills.
Ours is the public `backtest(...)` with the market's rules on, its `stats` and its `fills`; vectorbt is
`Portfolio.from_orders` with cash sharing; bt is its `WeighTarget` and `Rebalance` algos. Memory is what the work adds
to a process that already holds the data.

usage: python benchmarks/portfolio.py [--json]
"""

from __future__ import annotations

import numpy as np
from common import measure, panel, run_sides

BARS, NAMES, STEP = 2_500, 2_500, 21


def weights_of(close: np.ndarray) -> np.ndarray:
    """(T, N) target weights: 1 / k for the top decile on rebalance rows, 0 for the others, NaN between."""
    weights = np.full(close.shape, np.nan)
    k = close.shape[1] // 10
    for row in range(252, len(close), STEP):
        momentum = close[row - 21] / close[row - 252] - 1
        weights[row] = 0.0
        weights[row, np.argpartition(-momentum, k)[:k]] = 0.99 / k
    return weights


def quantkit() -> dict[str, float]:
    from quantkit.backtest.run import backtest
    from quantkit.core.policy import Policy
    from quantkit.data.bars import Bars, midnights
    from quantkit.market.costs import Costs

    close = panel(BARS, NAMES)
    weights = weights_of(close)
    open_ = np.vstack([close[:1], close[:-1]])
    fields = {"open": open_, "high": np.maximum(open_, close), "low": np.minimum(open_, close), "close": close}
    days = np.arange(BARS) + 15_000
    bars = Bars(
        times=midnights(days),
        symbols=[f"{n:06d}" for n in range(NAMES)],
        fields=fields | {"volume": np.ones_like(close)},
    )
    policy = Policy(weighting="weight", rebalance=1)
    seen = []

    def work() -> None:
        result = backtest(
            targets=weights, bars=bars, policy=policy, cash=1_000_000_000, costs=Costs(commission=0.00015)
        )
        seen.append((len(result.fills), float(result.stats["sharpe"])))

    return measure(work, runs=5) | {"fills": seen[-1][0], "sharpe": seen[-1][1]}


def vectorbt(engine: str) -> dict[str, float]:
    import warnings

    warnings.simplefilter("ignore")
    import pandas as pd
    import vectorbt as vbt

    vbt.settings["engine"] = engine
    close = panel(BARS, NAMES)
    weights = pd.DataFrame(weights_of(close))
    frame = pd.DataFrame(close)
    seen = []

    def work() -> None:
        portfolio = vbt.Portfolio.from_orders(
            frame, weights, size_type="targetpercent", group_by=True, cash_sharing=True, call_seq="auto",
            size_granularity=1.0, fees=0.00015, init_cash=1e9, freq="1D",
        )  # fmt: skip
        sharpe = float(portfolio.sharpe_ratio())
        portfolio.total_return(), portfolio.max_drawdown()
        seen.append((len(portfolio.order_records), sharpe))

    return measure(work, runs=1, warm=1) | {"fills": seen[-1][0], "sharpe": seen[-1][1]}


def bt() -> dict[str, float]:
    import warnings

    warnings.simplefilter("ignore")
    import bt as library
    import pandas as pd

    close = panel(BARS, NAMES)
    dates = pd.bdate_range("2011-01-03", periods=BARS)
    frame = pd.DataFrame(close, index=dates, columns=[f"{n:06d}" for n in range(NAMES)])
    weights = pd.DataFrame(weights_of(close), index=dates, columns=frame.columns).dropna(how="all")
    seen = []

    def work() -> None:
        strategy = library.Strategy("momentum", [library.algos.WeighTarget(weights), library.algos.Rebalance()])
        test = library.Backtest(
            strategy, frame, initial_capital=1e9, integer_positions=True, progress_bar=False,
            commissions=lambda quantity, price: abs(quantity) * price * 0.00015,
        )  # fmt: skip
        outcome = library.run(test)
        seen.append((len(outcome.get_transactions()), float(outcome.stats.loc["daily_sharpe"].iloc[0])))

    return measure(work, runs=1, warm=0) | {"fills": seen[-1][0], "sharpe": seen[-1][1]}


if __name__ == "__main__":
    run_sides(
        __file__,
        {"quantkit": quantkit, "vectorbt rust": lambda: vectorbt("rust"), "bt": bt},
        title=f"{NAMES:,} names x {BARS:,} days, monthly top-decile momentum, shared cash, fills and metrics",
        packages=("numpy", "numba", "pandas", "vectorbt", "vectorbt-rust", "bt"),
    )
