"""`backtest(...)`: what it is given, what it refuses, and that a manifest says enough to repeat a run."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from quantkit.backtest.run import backtest
from quantkit.core.interface import Context
from quantkit.core.policy import Policy, RiskLimits
from quantkit.data.bars import Bars
from quantkit.errors import BadData, ConfigError
from quantkit.market.costs import Costs
from quantkit.strategy import Strategy, param

DAYS = pd.bdate_range("2024-01-02", periods=60)
FREE = Costs.free()


def bars_of(*, symbols: tuple[str, ...] = ("005930", "000660"), start: float = 50_000.0) -> Bars:
    """Two names that rise by one tick a day, opening where they closed the day before."""
    rows = []
    for number, symbol in enumerate(symbols):
        for day, date in enumerate(DAYS):
            close = start * (number + 1) + 100 * day
            low, high = min(close, close - 100), max(close, close - 100)
            rows.append((date, symbol, close - 100, high, low, close, 1_000))
    columns = ["date", "symbol", "open", "high", "low", "close", "volume"]
    return Bars.from_pandas(pd.DataFrame(rows, columns=columns), market="KOSPI")


class Hold(Strategy):
    """In from the bar `since` on."""

    since: int = param(0, low=0, high=100)

    def targets(self, bars: Bars) -> np.ndarray:
        wanted = np.zeros(bars.shape, bool)
        wanted[self.since :] = True
        return wanted


def test_an_equal_weight_rule_buys_at_the_next_open_and_keeps() -> None:
    result = backtest(Hold(), bars_of(), cash=10_000_000, costs=FREE)
    fills = result.run.fills
    assert fills["bar"].tolist() == [1, 1]
    assert fills["quantity"].tolist() == [100, 50]  # half of the equity over closes of 50,000 and 100,000
    assert fills["price"].tolist() == [50_000.0, 100_000.0]
    assert result.run.equity[-1] == 10_000_000 + 100 * 5_900 + 50 * 5_900


def test_bars_before_start_only_warm_up() -> None:
    bars = bars_of()
    result = backtest(Hold(since=10), bars, start=DAYS[30], costs=FREE)
    assert len(result.run) == 30
    assert result.run.fills["bar"].tolist() == [1, 1]
    assert backtest(Hold(since=50), bars, end=DAYS[20], costs=FREE).run.fills["bar"].size == 0


def test_targets_may_be_a_frame_without_a_class() -> None:
    bars = bars_of()
    frame = pd.DataFrame(0.5, index=bars.index, columns=list(bars.symbols))
    result = backtest(targets=frame, bars=bars, costs=FREE, cash=10_000_000)
    assert result.run.fills["quantity"].tolist() == [100, 50]
    assert result.manifest["strategy"] is None
    assert len(result.manifest["targets_sha256"]) == 64


def test_a_monthly_deposit_arrives_on_the_first_session_of_each_later_month() -> None:
    result = backtest(Hold(since=59), bars_of(), deposits=300_000, costs=FREE, cash=1_000_000)
    months = pd.DatetimeIndex(DAYS).month
    expected = np.zeros(60, np.int64)
    expected[[int(np.argmax(months == month)) for month in (2, 3)]] = 300_000
    np.testing.assert_array_equal(result.run.deposits, expected)
    assert result.run.equity[-1] == 1_600_000
    assert result.stats["total_return"] == 0.0


def test_dated_deposits_count_on_the_next_bar() -> None:
    saturday = "2024-01-06"
    result = backtest(Hold(since=59), bars_of(), deposits={saturday: 5_000}, costs=FREE)
    assert np.flatnonzero(result.run.deposits).tolist() == [4]
    with pytest.raises(ConfigError, match="deposits"):
        backtest(Hold(), bars_of(), deposits={saturday: -5})


@pytest.mark.parametrize("benchmark", ["hold", "005930"])
def test_a_benchmark_from_the_bars_gives_figures_against_it(benchmark: str) -> None:
    result = backtest(Hold(), bars_of(), benchmark=benchmark, costs=FREE)
    assert result.stats["benchmark_return"] > 0.05
    assert "beta" in result.stats


def test_a_benchmark_series_is_taken_by_date_and_must_start_in_time() -> None:
    bars = bars_of()
    index = pd.Series(np.linspace(100, 200, 60), index=DAYS, name="KOSPI")
    assert backtest(Hold(), bars, benchmark=index).stats["benchmark_return"] == pytest.approx(1.0)
    with pytest.raises(BadData, match="benchmark starts"):
        backtest(Hold(), bars, benchmark=index.iloc[5:])
    with pytest.raises(ConfigError, match="not a symbol"):
        backtest(Hold(), bars, benchmark="KOSPI200")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cash": 0}, "cash=0"),
        ({"cash": -5.0}, "cash=-5"),
        ({"cash": float("nan")}, "cash=nan"),
        ({"cash": "much"}, "cash='much'"),
        ({"fill": "open"}, "next_open, next_close, close"),
        ({"start": "2030-01-01"}, "after the last bar"),
        ({"start": "2024-02-01", "end": "2024-01-05"}, "after"),
        ({"deposits": "weekly"}, "deposits='weekly'"),
        ({"targets": [[1.0]]}, "give a strategy or targets"),
    ],
)
def test_an_argument_out_of_range_is_refused_by_name(settings: dict[str, object], message: str) -> None:
    with pytest.raises((ConfigError, BadData), match=message):
        backtest(Hold(), bars_of(), **settings)  # type: ignore[arg-type]


def test_what_is_no_strategy_and_no_bars_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"Hold\(\.\.\.\)"):
        backtest(Hold, bars_of())  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="give Bars"):
        backtest(Hold(), pd.DataFrame())  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="give a strategy or targets"):
        backtest(None, bars_of())


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (np.full((60, 2), np.nan), "no value at all"),
        (np.ones((60, 3)), r"shape \(60, 3\)"),
        (np.full((60, 2), -0.5), "negative"),
        (np.full((60, 2), np.inf), "inf"),
    ],
)
def test_targets_that_mean_nothing_are_refused(targets: np.ndarray, message: str) -> None:
    with pytest.raises(BadData, match=message):
        backtest(targets=targets, bars=bars_of())


def test_a_manifest_is_json_and_names_everything_that_repeats_the_run() -> None:
    settings = {
        "cash": 7_000_000,
        "policy": Policy(stop_loss=0.1),
        "limits": RiskLimits(max_weight=0.6),
        "fill": "next_close",
    }
    result = backtest(Hold(since=3), bars_of(), **settings)  # type: ignore[arg-type]
    manifest = json.loads(json.dumps(result.manifest))
    assert manifest["strategy"]["params"] == {"since": 3}
    assert manifest["run"]["policy"]["stop_loss"] == 0.1
    assert manifest["run"]["limits"]["max_weight"] == 0.6
    assert manifest["run"]["cash"] == 7_000_000
    assert manifest["data"]["symbols"] == ["005930", "000660"]
    again = backtest(Hold(since=3), bars_of(), **settings)  # type: ignore[arg-type]
    assert again.manifest["result"] == manifest["result"]
    other = backtest(Hold(since=4), bars_of(), **settings)  # type: ignore[arg-type]
    assert other.manifest["result"]["sha256"] != manifest["result"]["sha256"]


def test_money_of_us_names_is_kept_in_cents() -> None:
    close = np.array([[10.01], [10.02], [10.03], [10.05]])
    frame = pd.DataFrame(
        {"open": close[:, 0], "high": close[:, 0], "low": close[:, 0], "close": close[:, 0], "volume": 5}
    )
    frame.insert(0, "symbol", "AAPL")
    frame.insert(0, "date", DAYS[:4])
    bars = Bars.from_pandas(frame, market="US")
    result = backtest(targets=np.ones((4, 1)), bars=bars, cash=1_000.0, costs=FREE)
    assert result.run.fills["quantity"].tolist() == [99]
    assert result.run.cash[-1] == 100_000 - 99 * 1_002
    assert result.equity.iloc[-1] == pytest.approx(1_000 + 99 * 0.03)


class Warm(Hold):
    """In from the start, but only after three bars of a name's own history."""

    warmup = 3
    policy = Policy(max_names=2)


def test_warm_up_counts_each_names_own_listed_bars_also_before_start() -> None:
    frame = pd.concat(
        [
            pd.DataFrame({"date": DAYS, "symbol": "005930"}),
            pd.DataFrame({"date": DAYS[20:], "symbol": "000660"}),
        ]
    )
    prices = {"open": 50_000.0, "high": 50_000.0, "low": 50_000.0, "close": 50_000.0, "volume": 10}
    late = Bars.from_pandas(frame.assign(**prices).sort_values(["date", "symbol"]), market="KOSPI")
    fills = backtest(Warm(), late, start=DAYS[10], costs=FREE, cash=10_000_000).run.fills
    bought = {late.symbols[int(symbol)]: int(bar) for symbol, bar in zip(fills["symbol"], fills["bar"], strict=True)}
    # 005930 is warm before the run starts; 000660 has its first bars on rows 10, 11, 12 of the run
    assert bought == {"005930": 1, "000660": 14}


class Restless(Strategy):
    """Has one order waiting and places it anew on every bar."""

    def on_bar(self, ctx: Context) -> None:
        waiting = False
        for order in ctx.orders(0):
            ctx.replace(order.id, limit=ctx.close[0, 0] - 20_000.0)
            waiting = True
        if not waiting:
            ctx.buy(0, 1, limit=ctx.close[0, 0] - 20_000.0, tif="gtc")


def test_an_order_that_ended_on_the_last_bar_is_not_also_working() -> None:
    orders = backtest(Restless(), bars_of(symbols=("005930",)), costs=FREE).orders
    assert len(orders) == len(DAYS)
    assert not orders["order_id"].duplicated().any()
    assert (orders["status"] == "working").sum() == 1
