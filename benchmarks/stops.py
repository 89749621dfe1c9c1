"""One symbol, 1,000,000 bars, in for 90 of every 100 bars unless a stop comes first.

The stops are a trailing stop, a stop loss and a take profit.

Both sides get the same prices, entries and exits. vectorbt has one stop that trails or not, so its run has the
trailing stop and the take profit; ours has the fixed stop loss besides. vectorbt checks stops from the bar after the
entry and fills at the same bar's close, ours from the entry bar and at the next open, with ticks, price limits and
whole won: the work is alike, the fills are not equal (`tests/oracles` compares those where meanings meet).

usage: python benchmarks/stops.py [--json]
"""

from __future__ import annotations

import numpy as np
from common import SEED, measure, run_sides

BARS = 1_000_000
RATE = 0.00015
TRAIL, STOP, TAKE = 0.01, 0.02, 0.015


def data() -> tuple[np.ndarray, ...]:
    """(open, high, low, close, entry, exit) (BARS,)."""
    random = np.random.default_rng(SEED)
    close = np.floor(50_000 * np.exp(np.cumsum(random.normal(0, 0.0005, BARS))) / 50) * 50
    close = np.maximum(close, 1_000.0)
    opens = np.append(close[:1], close[:-1])
    high = np.maximum(opens, close) + 50.0 * random.integers(0, 3, BARS)
    low = np.minimum(opens, close) - 50.0 * random.integers(0, 3, BARS)
    entry = np.zeros(BARS, bool)
    entry[::100] = True
    return opens, high, low, close, entry, np.roll(entry, 90)


def quantkit() -> dict[str, float]:
    from quantkit.core.fold import dates_of, plan_of, simulate
    from quantkit.core.policy import Policy
    from quantkit.core.state import Inputs, new_state, no_events
    from quantkit.market.costs import Costs

    opens, high, low, close, entry, leave = (column[:, None] for column in data())
    targets = np.full((BARS, 1), np.nan)
    targets[entry[:, 0]], targets[leave[:, 0]] = 0.95, 0.0  # 5 % of room for gaps and costs
    none = np.empty((0, 0))
    inputs = Inputs(
        opens, high, low, close, none, np.full(close.shape, 15, np.uint8), targets, *(none,) * 5,
        dates_of(np.arange(BARS, dtype=np.int64) // 380 + 12_000),
    )  # fmt: skip
    policy = Policy(weighting="weight", collar=None, stop_loss=STOP, take_profit=TAKE, trailing_stop=TRAIL)
    plan = plan_of(policy, Costs(commission=RATE, tax=0.0), float_targets=True)
    counts = []

    def work() -> None:
        counts.append(len(simulate(new_state(1, cash=100_000_000), inputs, no_events(), plan).fills))

    figures = measure(work)
    return figures | {"ns_a_bar": figures["median_s"] / BARS * 1e9, "fills": counts[-1]}


def vectorbt(engine: str) -> dict[str, float]:
    import warnings

    warnings.simplefilter("ignore")
    import vectorbt as vbt

    vbt.settings["engine"] = engine
    opens, high, low, close, entry, exits = data()
    counts = []

    def work() -> None:
        portfolio = vbt.Portfolio.from_signals(
            close, entry, exits, open=opens, high=high, low=low, sl_stop=TRAIL, sl_trail=True, tp_stop=TAKE,
            size_granularity=1.0, fees=RATE, init_cash=1e8, freq="1min",
        )  # fmt: skip
        counts.append(len(portfolio.order_records))

    figures = measure(work)
    return figures | {"ns_a_bar": figures["median_s"] / BARS * 1e9, "fills": counts[-1]}


if __name__ == "__main__":
    run_sides(
        __file__,
        {
            "quantkit": quantkit,
            "vectorbt rust": lambda: vectorbt("rust"),
            "vectorbt numba": lambda: vectorbt("numba"),
        },
        title="one symbol, 1,000,000 bars, stop loss + take profit + trailing stop",
        packages=("numpy", "numba", "vectorbt", "vectorbt-rust"),
    )
