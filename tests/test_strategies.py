"""The shipped strategies: they load from their files, look back only, and decide what they say they do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from quantkit import Costs, backtest
from quantkit.data.bars import REQUIRED, Bars, midnights
from quantkit.strategy import load_strategy

FOLDER = Path(__file__).parent.parent / "strategies"
FILES = ("sma_cross", "rsi_reversion", "donchian_breakout", "momentum", "scored_rule")
ALL = sorted(path.stem for path in FOLDER.glob("*.py"))  # rules with memory: tests/test_strategies_rules.py


@pytest.fixture(scope="module")
def bars():
    """Three hundred days of forty random walks, some listed late, some with unknown days."""
    rng = np.random.default_rng(7)
    close = 10_000 * np.exp(np.cumsum(rng.normal(0, 0.02, (320, 40)), axis=0))
    high, low = close * 1.01, close * 0.99
    fields = {"open": close, "high": high, "low": low, "close": close, "volume": np.full(close.shape, 1e5)}
    for column in range(5):
        for name in REQUIRED:
            fields[name] = fields[name].copy()
            fields[name][: 20 * column, column] = np.nan
    symbols = tuple(f"{number:06d}" for number in range(40))
    return Bars(times=midnights(np.arange(320) + 19_000), symbols=symbols, fields=fields)


@pytest.mark.parametrize("name", ALL)
def test_each_file_says_what_it_stands_on_and_stays_short(name):
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    for word in ("Hypothesis", "Universe", "Data", "Fails when", "Costs"):
        assert f"\n{word}" in text
    assert len(text.splitlines()) <= 80


@pytest.mark.parametrize("name", FILES)
def test_each_strategy_decides_something_and_looks_back_only(name, bars):
    strategy = load_strategy(FOLDER / f"{name}.py")()
    whole = strategy.evaluate(bars)
    assert whole.shape == bars.shape
    assert whole.dtype == (np.float64 if strategy.policy.threshold else np.bool_)
    wanted = whole >= strategy.policy.threshold if strategy.policy.threshold else whole
    assert 0 < wanted.sum() < wanted.size
    assert not wanted[: max(strategy.warmup - 1, 0)].any()
    for cut in (130, 260, 301):
        assert np.array_equal(strategy.evaluate(bars.slice(0, cut)), whole[:cut], equal_nan=whole.dtype != np.bool_)
    ranks = strategy.rank(bars)
    assert ranks is None or ranks.shape == bars.shape


def test_learned_weights_find_what_was_put_into_the_past():
    rng = np.random.default_rng(3)
    steps = rng.normal(0, 0.02, (900, 30))
    for row in range(10, 900):
        steps[row] -= 0.05 * steps[row - 5 : row].sum(axis=0)  # a week's rise is given back
    close = 10_000 * np.exp(np.cumsum(steps, axis=0))
    fields = {
        "open": close,
        "high": close * 1.01,
        "low": close * 0.99,
        "close": close,
        "volume": np.full((900, 30), 1e6),
    }
    bars = Bars(times=midnights(np.arange(900) + 19_000), symbols=tuple(f"{n:06d}" for n in range(30)), fields=fields)
    strategy = load_strategy(FOLDER / "learned_weights.py")()
    week, month, _ = strategy.fit(bars.slice(0, 800))
    assert week < -0.1
    assert abs(month) < abs(week)
    held = strategy.evaluate(bars)
    assert not held[:375].any()
    assert np.array_equal(strategy.evaluate(bars.slice(0, 880)), held[:880])
    result = backtest(strategy, bars, costs=Costs.free())
    assert result.names_held.max() == 10
    assert [model["date"][:4] for model in result.manifest["models"]] == ["2024"]


def test_momentum_holds_the_tenth_of_members_that_rose_most(bars):
    strategy = load_strategy(FOLDER / "momentum.py")()
    member = np.ones(bars.shape, dtype=bool)
    member[:, 20:] = False
    held = strategy.evaluate(bars.with_member(member))[-1]
    rise = bars.close[-1 - 21, :20] / bars.close[-1 - 252, :20]
    best = np.argsort(np.nan_to_num(rise))[-2:]  # a name without a year of prices has no rank
    assert sorted(np.flatnonzero(held)) == sorted(best)


def test_rsi_reversion_holds_from_the_dip_until_the_recovery():
    close = np.array([100.0 + day for day in range(40)] + [139, 137, 135, 134, 136, 139, 142, 145, 146, 147])[:, None]
    bars = Bars(times=midnights(np.arange(50)), symbols=("A",), fields=dict.fromkeys(REQUIRED, close))
    strategy = load_strategy(FOLDER / "rsi_reversion.py")(window=2, low=20.0, high=60.0, trend=20)
    held = strategy.evaluate(bars)[:, 0]
    first, last = np.flatnonzero(held)[[0, -1]]
    assert close[first, 0] < close[first - 1, 0]
    assert close[last + 1, 0] > close[last, 0]
    assert held[first : last + 1].all()


def test_a_breakout_is_above_the_high_that_stood_before_it():
    close = np.array([10.0] * 10 + [11.0, 12.0, 12.0, 9.0, 9.0])[:, None]
    bars = Bars(times=midnights(np.arange(15)), symbols=("A",), fields=dict.fromkeys(REQUIRED, close))
    strategy = load_strategy(FOLDER / "donchian_breakout.py")(entry=5, leave=2)
    assert strategy.evaluate(bars)[:, 0].tolist() == [False] * 10 + [True, True, True, False, False]


def test_a_scored_rule_buys_a_tenth_of_the_cash_at_strength_and_keeps_it_until_weakness():
    steps = [0.0] * 25 + [0.02] * 6 + [-0.005] * 6 + [-0.03] * 6
    close = np.round(10_000 * np.cumprod(1 + np.array(steps)), -1)[:, None]
    fields = {name: close + add for name, add in (("open", 0), ("high", 50), ("low", -50), ("close", 0))}
    fields["volume"] = np.full(close.shape, 1e6)
    bars = Bars(times=midnights(np.arange(len(steps)) + 19_725), symbols=("A",), fields=fields, markets="NONE")
    strategy = load_strategy(FOLDER / "scored_rule.py")(window=20, enter=0.8, leave=0.5)
    strength = strategy.strength(bars)[:, 0]
    bought = np.flatnonzero(strength >= 0.8)[0]
    sold = bought + np.flatnonzero(strength[bought:] < 0.5)[0]
    assert np.any((strength[bought:sold] < 0.8) & (strength[bought:sold] >= 0.5))
    fills = backtest(strategy, bars, cash=10_000_000, costs=Costs.free()).fills
    rows = np.searchsorted(bars.index, fills["time"]).tolist()
    assert list(zip(rows, fills["side"], strict=True)) == [(bought + 1, "buy"), (sold + 1, "sell")]
    assert fills["quantity"].tolist() == [1_000_000 // close[bought, 0]] * 2


def test_policies_follow_the_parameters():
    reversion = load_strategy(FOLDER / "rsi_reversion.py")(names=3, stop=0.05)
    assert (reversion.policy.max_names, reversion.policy.stop_loss) == (3, 0.05)
    assert load_strategy(FOLDER / "donchian_breakout.py")(trail=0.2).policy.trailing_stop == 0.2
    assert load_strategy(FOLDER / "momentum.py")().policy.trade_on == "rebalance"
    scored = load_strategy(FOLDER / "scored_rule.py")(enter=0.9, size=0.2).policy
    assert (scored.weighting, scored.amount, scored.threshold) == ("buying_power", 0.2, 0.9)
