"""One symbol, 1,000,000 bars, about 10,000 fills, given targets: the simulation alone.

Both sides get the same closes and the same rows of target weights (1 or 0, given when they change) and pay the same
commission. vectorbt runs `Portfolio.from_orders` with its Rust engine and with its Numba engine; `from_signals` is
beside them because it is its fastest entry point. Ours is `core.fold.simulate`: every order, fill, cash and equity of
each bar, with price limits, ticks, settlement and limits by date on; tax is off, since vectorbt knows none.

usage: python benchmarks/simulate.py [--json]
"""

from __future__ import annotations

import numpy as np
from common import SEED, measure, run_sides

BARS = 1_000_000
RATE = 0.00015


def data() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(SEED)
    close = np.floor(50_000 * np.exp(np.cumsum(random.normal(0, 0.0005, BARS))) / 50) * 50
    weights = np.full(BARS, np.nan)
    weights[::100] = np.tile([0.95, 0.0], BARS // 200)
    return np.maximum(close, 1_000.0), weights


def quantkit() -> dict[str, float]:
    from quantkit.core.fold import dates_of, plan_of, simulate
    from quantkit.core.policy import Policy
    from quantkit.core.state import Inputs, new_state, no_events
    from quantkit.market.costs import Costs

    close, weights = (column[:, None] for column in data())
    open_ = np.vstack([close[:1], close[:-1]])
    none = np.empty((0, 0))
    flags = np.full(close.shape, 15, np.uint8)
    days = np.arange(BARS, dtype=np.int64) // 380 + 12_000
    inputs = Inputs(
        open_,
        np.maximum(open_, close),
        np.minimum(open_, close),
        close,
        none,
        flags,
        weights,
        *(none,) * 5,  # rank, liquidity, volume, average price, scale
        dates_of(days),
    )
    plan = plan_of(Policy(weighting="weight", collar=None), Costs(commission=RATE, tax=0.0), float_targets=True)
    counts = []

    def work() -> None:
        output = simulate(new_state(1, cash=100_000_000), inputs, no_events(), plan)
        counts.append(len(output.fills))

    figures = measure(work)
    return figures | {"ns_a_bar": figures["median_s"] / BARS * 1e9, "fills": counts[-1]}


def vectorbt(engine: str, entry: str) -> dict[str, float]:
    import warnings

    warnings.simplefilter("ignore")
    import vectorbt as vbt

    vbt.settings["engine"] = engine
    close, weights = data()
    entries, exits = weights > 0, weights == 0
    counts = []

    def work() -> None:
        if entry == "from_orders":
            portfolio = vbt.Portfolio.from_orders(
                close, weights, size_type="targetpercent", size_granularity=1.0, fees=RATE, init_cash=1e8, freq="1min"
            )
        else:
            portfolio = vbt.Portfolio.from_signals(
                close, entries, exits, size_granularity=1.0, fees=RATE, init_cash=1e8, freq="1min"
            )
        counts.append(len(portfolio.order_records))

    figures = measure(work)
    return figures | {"ns_a_bar": figures["median_s"] / BARS * 1e9, "fills": counts[-1]}


if __name__ == "__main__":
    run_sides(
        __file__,
        {
            "quantkit": quantkit,
            "vectorbt rust orders": lambda: vectorbt("rust", "from_orders"),
            "vectorbt rust signals": lambda: vectorbt("rust", "from_signals"),
            "vectorbt numba orders": lambda: vectorbt("numba", "from_orders"),
        },
        title="one symbol, 1,000,000 bars, ~10,000 fills, simulate only",
        packages=("numpy", "numba", "vectorbt", "vectorbt-rust"),
    )
