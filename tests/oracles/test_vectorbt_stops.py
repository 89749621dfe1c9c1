"""Trade by trade against vectorbt's `Portfolio.from_signals` with stop loss, take profit and trailing stop.

Theirs: stops are looked at before the bar's signals, from the bar after the entry on, the stop before the take. What a
rule of ours says in its place is in `rules`; what cannot be said is in `test_differences_vectorbt`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from quantkit.backtest.run import backtest
from quantkit.core.policy import Policy
from quantkit.market.costs import Costs
from tests.oracles.exact import NANO, Fill, assert_same, fills_of, float_costs
from tests.oracles.markets import Prices, at_random, of_every_kind, of_goog, of_stocks
from tests.oracles.rules import GoalsAtClose, SignalsAtClose, SignalsAtOpen, told

pytestmark = pytest.mark.filterwarnings("ignore")
CASH = 1e7
LEVELS: list[dict[str, Any]] = [
    {"stop": 0.0517},
    {"take": 0.0811},
    {"stop": 0.0517, "take": 0.0811},
    {"stop": 0.0517, "trailing": True},
    {"stop": 0.0813, "take": 0.1207, "trailing": True},
]


def theirs(
    vbt: Any, prices: Prices, enter: np.ndarray, leave: np.ndarray, *, stop: float = 0.0, take: float = 0.0,
    trailing: bool = False, **settings: Any,
) -> tuple[list[Fill], np.ndarray]:  # fmt: skip
    frames = {name: pd.DataFrame(getattr(prices, name)) for name in ("open", "high", "low")}
    portfolio = vbt.Portfolio.from_signals(
        pd.DataFrame(prices.close), pd.DataFrame(enter), pd.DataFrame(leave), **frames, sl_stop=stop or np.nan,
        tp_stop=take or np.nan, sl_trail=trailing, freq="1D", **({"size": 10, "init_cash": CASH} | settings),
    )  # fmt: skip
    fills = sorted(
        Fill(int(row["idx"]), int(row["col"]), -1 if row["side"] else 1, round(float(row["size"])),
             float(row["price"]), float(row["fees"]))
        for row in portfolio.order_records
    )  # fmt: skip
    return fills, portfolio.value().to_numpy()


def ended_at_the_open(
    fills: list[Fill], prices: Prices, take: float, base: np.ndarray, *, fees: float = 0.0, slippage: float = 0.0,
    side: int = 1,
) -> tuple[list[Fill], int]:  # fmt: skip
    """Their fills, but what a bar ended that opened beyond the take was ended at that open, which came first; how many
    that changed. See "open beyond the take, low below the stop" in docs/oracles.md. base: (T, N) entry prices; side: of
    the entries."""
    entered: dict[int, int] = {}
    changed, answer = 0, []
    for fill in fills:
        mine = fill
        if fill.side == side:
            entered[fill.column] = fill.bar
        elif take:
            open_ = prices.open[fill.bar, fill.column]
            level = base[entered[fill.column], fill.column] * (1 + side * take)
            better = open_ * (1 - side * slippage)
            if side * (open_ - level) >= 0 and side * (better - fill.price) > 1e-9:
                mine = fill._replace(price=better, fee=better * fill.shares * fees)
                changed += 1
        answer.append(mine)
    return answer, changed


def signals(prices: Prices, random: np.random.Generator, chance: float = 0.15) -> tuple[np.ndarray, np.ndarray]:
    shape = prices.close.shape
    return random.random(shape) < chance, random.random(shape) < 0.8 * chance


def down_a_bar(signal: np.ndarray) -> np.ndarray:
    return np.vstack([np.zeros_like(signal[:1]), signal[:-1]])


def cut_at_signals(prices: Prices, leave: np.ndarray) -> Prices:
    """Bars that end at their open where an exit fills there: they look at the whole bar before that signal."""
    high, low = (np.where(leave, prices.open, each) for each in (prices.high, prices.low))
    return prices._replace(high=high, low=low)


def theirs_at_open(
    vbt: Any, prices: Prices, enter: np.ndarray, leave: np.ndarray, *, from_fill: bool, **levels: Any
) -> list[Fill]:
    both = enter & leave
    leave = down_a_bar(leave & ~both)
    fills, _ = theirs(
        vbt, cut_at_signals(prices, leave), down_a_bar(enter & ~both), leave, price=pd.DataFrame(prices.open),
        stop_entry_price="fillprice" if from_fill else "close", **levels,
    )  # fmt: skip
    return fills


def at_close(
    prices: Prices, enter: Any, leave: Any, *, fees: float = 0.0, path: str = "nearer", quiet: Any = None, **levels: Any
) -> tuple[list[Fill], np.ndarray]:
    result = backtest(
        told(SignalsAtClose, {"enter": enter, "leave": leave}, **levels), prices.bars(quiet), cash=CASH, fill="close",
        policy=Policy(collar=None, limit_fill="touch", path=path), costs=float_costs(fees),
    )  # fmt: skip
    return fills_of(result), result.run.equity / NANO


def at_open(prices: Prices, enter: Any, leave: Any, *, path: str = "nearer", **levels: Any) -> list[Fill]:
    result = backtest(
        told(SignalsAtOpen, {"enter": enter, "leave": leave}, **levels), prices.bars(), cash=CASH,
        policy=Policy(collar=None, limit_fill="touch", path=path), costs=float_costs(),
    )  # fmt: skip
    return fills_of(result)


@pytest.mark.parametrize("levels", LEVELS, ids=str)
@pytest.mark.parametrize("market", ["goog", "stocks"])
def test_real_prices_traded_at_the_close_equal_vectorbt(vbt: Any, market: str, levels: dict[str, Any]) -> None:
    prices = of_goog() if market == "goog" else of_stocks()
    enter, leave = signals(prices, np.random.default_rng(5), 0.05)
    expected, value = theirs(vbt, prices, enter, leave, fees=0.001, **levels)
    actual, equity = at_close(prices, enter, leave, fees=0.001, **levels)
    assert_same(actual, expected)
    if market == "goog":
        np.testing.assert_allclose(equity, value.ravel(), rtol=1e-9)
    assert len(actual) > 100


@pytest.mark.parametrize("levels", LEVELS, ids=str)
@pytest.mark.parametrize("from_fill", [False, True], ids=["from the close", "from the price paid"])
@pytest.mark.parametrize("market", ["goog", "stocks"])
def test_real_prices_traded_at_the_next_open_equal_vectorbt(
    vbt: Any, market: str, from_fill: bool, levels: dict[str, Any]
) -> None:
    prices = of_goog() if market == "goog" else of_stocks()
    enter, leave = signals(prices, np.random.default_rng(6), 0.05)
    expected = theirs_at_open(vbt, prices, enter, leave, from_fill=from_fill, **levels)
    actual = at_open(prices, enter, leave, from_fill=from_fill, **levels)
    assert_same(actual, expected)
    assert len(actual) > 100


def drawn(random: np.random.Generator) -> dict[str, Any]:
    stop, take = float(random.choice([0, 0.0213, 0.0517])), float(random.choice([0, 0.0307, 0.0811]))
    return {"stop": stop, "take": take, "trailing": bool(random.random() < 0.4)}


@pytest.mark.parametrize(("seed", "markets"), [(3, 300), pytest.param(23, 3_000, marks=pytest.mark.slow)])
def test_random_markets_traded_at_the_close_equal_vectorbt(vbt: Any, seed: int, markets: int) -> None:
    random = np.random.default_rng(seed)
    total = gaps = 0
    for k in range(markets):
        prices = of_every_kind(random, int(random.integers(1, 3)))
        (enter, leave), levels, fees = signals(prices, random), drawn(random), float(random.choice([0, 0.002]))
        expected, _ = theirs(vbt, prices, enter, leave, fees=fees, **levels)
        expected, changed = ended_at_the_open(expected, prices, levels["take"], prices.close, fees=fees)
        actual, _ = at_close(prices, enter, leave, fees=fees, path=("nearer", "pessimistic")[k % 2], **levels)
        assert_same(actual, expected)
        total, gaps = total + len(actual), gaps + changed
    assert total > 10 * markets
    assert 0 < gaps < 0.01 * total


@pytest.mark.parametrize(("seed", "markets"), [(4, 150), pytest.param(24, 3_000, marks=pytest.mark.slow)])
def test_random_markets_traded_at_the_next_open_equal_vectorbt(vbt: Any, seed: int, markets: int) -> None:
    random = np.random.default_rng(seed)
    total = gaps = 0
    for k in range(markets):
        prices = of_every_kind(random, int(random.integers(1, 3)))
        (enter, leave), levels, from_fill = signals(prices, random), drawn(random), bool(random.random() < 0.5)
        expected = theirs_at_open(vbt, prices, enter, leave, from_fill=from_fill, **levels)
        base = prices.open if from_fill else prices.close
        expected, changed = ended_at_the_open(expected, prices, levels["take"], base)
        path = ("nearer", "pessimistic")[k % 2]
        actual = at_open(prices, enter, leave, from_fill=from_fill, path=path, **levels)
        assert_same(actual, expected)
        total, gaps = total + len(actual), gaps + changed
    assert total > 10 * markets
    assert gaps < 0.01 * total


def test_bars_without_a_trade_equal_bars_without_a_price(vbt: Any) -> None:
    random = np.random.default_rng(10)
    total = 0
    for _ in range(60):
        prices = at_random(random, 50)
        (enter, leave), levels = signals(prices, random), drawn(random) | {"take": 0.0}
        quiet = random.random(prices.close.shape) < 0.15
        quiet[0] = False
        holed = Prices(*(np.where(quiet, np.nan, each) for each in prices))
        expected, _ = theirs(vbt, holed, enter, leave, **levels)
        actual, _ = at_close(prices, enter, leave, quiet=quiet, **levels)
        assert_same(actual, expected)
        total += len(actual)
    assert total > 400


def goals(prices: Prices, enter: Any, leave: Any, costs: Costs, *, cash: float, shares: int = 0, **stops: Any):
    result = backtest(
        told(GoalsAtClose, {"enter": enter, "leave": leave}, shares=shares), prices.bars(), cash=cash, fill="close",
        policy=Policy(collar=None, retry=False, **stops), costs=costs,
    )  # fmt: skip
    return fills_of(result), result.run.equity / NANO


def test_all_of_the_money_with_the_policys_stops_equals_vectorbt(vbt: Any) -> None:
    random = np.random.default_rng(12)
    total = gaps = 0
    for k in range(120):
        prices = at_random(random, int(random.integers(20, 60)))
        (enter, leave), levels = signals(prices, random, 0.2), drawn(random) | {"trailing": False}
        fees, fixed = float(random.choice([0, 0.002])), float(random.choice([0, 3.0]))
        expected, value = theirs(
            vbt, prices, enter, leave, fees=fees, fixed_fees=fixed, size=np.inf, size_granularity=1.0, init_cash=1e4,
            stop_entry_price="fillprice", **levels,
        )  # fmt: skip
        expected, changed = ended_at_the_open(expected, prices, levels["take"], prices.close, fees=fees)
        gaps += changed > 0
        if changed:
            continue  # another price, another number of shares ever after
        actual, equity = goals(
            prices, enter, leave, float_costs(fees, fixed=fixed), cash=1e4, stop_loss=levels["stop"] or None,
            take_profit=levels["take"] or None, path=("nearer", "pessimistic")[k % 2],
        )  # fmt: skip
        assert_same(actual, expected)
        np.testing.assert_allclose(equity, value.ravel(), rtol=1e-9)
        total += len(actual)
    assert total > 800
    assert gaps < 5


def test_slippage_on_stops_equals_vectorbt_but_stays_inside_the_bar(vbt: Any) -> None:
    random = np.random.default_rng(13)
    total = inside = 0
    for _ in range(100):
        prices = at_random(random, 60)
        prices = prices._replace(high=prices.high * 1.003, low=prices.low * 0.997)  # room at the close
        (enter, leave), levels = signals(prices, random), drawn(random) | {"trailing": False}
        expected, _ = theirs(
            vbt, prices, enter, leave, slippage=0.002, stop_entry_price="fillprice", stop_exit_price="stopmarket",
            **levels,
        )  # fmt: skip
        expected, _ = ended_at_the_open(expected, prices, levels["take"], prices.close * 1.002, slippage=0.002)
        kept = [fill._replace(price=max(fill.price, prices.low[fill.bar, 0])) for fill in expected]
        stops = {"stop_loss": levels["stop"] or None, "take_profit": levels["take"] or None}
        actual, _ = goals(prices, enter, leave, float_costs(slippage=0.002), cash=1e6, shares=10, **stops)
        assert_same(actual, kept)
        total, inside = (
            total + len(actual),
            inside + sum(a.price != b.price for a, b in zip(kept, expected, strict=True)),
        )
    assert total > 800
    assert 0 < inside < 0.05 * total


def test_short_positions_with_the_policys_stops_equal_vectorbt(vbt: Any) -> None:
    random = np.random.default_rng(14)
    total = gaps = 0
    for k in range(100):
        prices = at_random(random, 60)
        (enter, leave), levels, fees = signals(prices, random), drawn(random) | {"trailing": False}, 0.001
        expected, value = theirs(
            vbt, prices, enter, leave, direction="shortonly", fees=fees, stop_entry_price="fillprice", **levels
        )
        expected, changed = ended_at_the_open(expected, prices, levels["take"], prices.close, fees=fees, side=-1)
        actual, equity = goals(
            prices, enter, leave, float_costs(fees), cash=CASH, shares=-10, short="simulate", short_margin=0.0,
            stop_loss=levels["stop"] or None, take_profit=levels["take"] or None, path=("nearer", "pessimistic")[k % 2],
        )  # fmt: skip
        assert_same(actual, expected)
        if not changed:
            np.testing.assert_allclose(equity, value.ravel(), rtol=1e-9)
        total, gaps = total + len(actual), gaps + changed
    assert total > 800
    assert gaps < 0.01 * total
