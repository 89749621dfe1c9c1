"""After a warm-up nothing is left to compile."""

from __future__ import annotations

from pathlib import Path

import numba
import numpy as np
import pytest

from quantkit import backtest
from quantkit.core.policy import Policy, RiskLimits
from quantkit.jit import stored_kernels
from quantkit.research.warmup import warm_up
from quantkit.strategy import load_strategy
from tests.backtest.factories import random_bars

FOLDER = Path(__file__).parents[2] / "strategies"
STRATEGIES = ("sma_cross", "rsi_reversion", "donchian_breakout", "momentum")


def compiled() -> int:
    return sum(sum(kernel.stats.cache_misses.values()) for kernel in stored_kernels())


@pytest.fixture(scope="module", autouse=True)
def warmed() -> None:
    warm_up()


def test_it_says_what_it_did() -> None:
    done = warm_up()
    assert done.compiled + done.loaded >= len([k for k in stored_kernels() if k.signatures and k.stats.cache_path])
    assert bool(done.folder) == (not numba.config.DISABLE_JIT)


def test_every_kernel_that_python_calls_has_been_used() -> None:
    inner = {"orders_of", "tick_at", "grid_price", "floor_tick", "ceil_tick", "session_limits", "limits_at", "known",
             "blank", "exact_sum", "reach", "moves"}  # fmt: skip
    ours = [kernel.py_func for kernel in stored_kernels() if not kernel.signatures]
    unused = {function.__name__ for function in ours if function.__module__.startswith("quantkit.")}
    assert unused <= inner, "called by other kernels only"


def test_the_shipped_strategies_find_everything_compiled() -> None:
    before = compiled()
    bars = random_bars(320)
    for name in STRATEGIES:
        _ = backtest(load_strategy(FOLDER / f"{name}.py")(), bars).trades
    targets = np.random.default_rng(1).random(bars.shape) * 0.4
    policy = Policy(stop_loss=0.05, funding="cash")
    backtest(targets=targets, bars=bars, policy=policy, limits=RiskLimits(max_weight=0.3), fill="close", deposits=1e6)
    assert compiled() == before
