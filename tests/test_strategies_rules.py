"""The shipped rules with memory: the same compiled, in Python and in chunks; no peeking; and they do what they say."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from quantkit import Bars, ConfigError, Costs, Lake, Result, Strategy, backtest
from quantkit.data.actions import Action
from quantkit.data.bars import midnights
from quantkit.strategy import load_strategy
from tests.data.lake_data import days

FOLDER = Path(__file__).parent.parent / "strategies"
DAILY = ("volatility_breakout", "grid", "pairs", "turtle")
RULES = (*DAILY, "opening_range")
COLUMNS = ["symbol", "open", "high", "low", "close", "volume"]
PARAMS: dict[str, dict[str, Any]] = {"pairs": {"window": 20, "enter": 1.5, "together": 0.0}}
COUNT, SPLIT = 130, 70  # days; the day on which the first name becomes two for one
MINUTES = [*range(541, 586), *range(600, 916, 15), 920, 930]  # of the day; the last bar is the closing auction


@cache
def rule(name: str) -> type[Strategy]:
    """The class of a file; one that may be run in chunks of days as well."""
    cls = load_strategy(FOLDER / f"{name}.py")
    return cls if name == "opening_range" else type(cls.__name__, (cls,), {"history": 40})


def made(name: str) -> Strategy:
    """A strategy that has something to do in a few months."""
    return rule(name)(**PARAMS.get(name, {}))


def quotes(size: int, *, seed: int, jump: float, spread: float) -> tuple[np.ndarray, ...]:
    """Open, high, low, close and volume of a walk that comes back, between 60,000 and 199,000 in steps of 200."""
    rng = np.random.default_rng(seed)
    walk = np.zeros(size)
    for k in range(1, size):
        walk[k] = 0.98 * walk[k - 1] + jump * rng.normal()
    close = np.clip(110_000 * np.exp(walk), 60_000, 199_000)
    opening = np.append(close[:1], close[:-1]) * (1 + spread * rng.normal(size=size) / 2)
    high = np.maximum(opening, close) * (1 + spread * rng.uniform(size=size))
    low = np.minimum(opening, close) * (1 - spread * rng.uniform(size=size))
    prices = [200 * np.round(each / 200) for each in (opening, high, low, close)]
    return (*prices, rng.integers(1_000, 9_000, size).astype(float))


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Two names by the day, the first split in two, and two by the minute."""
    sessions = pd.DatetimeIndex(days("2024-01-02", COUNT).astype("datetime64[us]"))
    frames = []
    for symbol, seed in (("000010", 1), ("000020", 2)):
        frame = pd.DataFrame(dict(zip(COLUMNS[1:], quotes(COUNT, seed=seed, jump=0.02, spread=0.02), strict=True)))
        frames.append(frame.assign(symbol=symbol, date=sessions))
    frames[0].loc[SPLIT:, ["open", "high", "low", "close"]] /= 2
    frames[0].loc[SPLIT:, "volume"] *= 2
    minutes = [day.tz_localize("Asia/Seoul") + pd.Timedelta(minutes=m) for day in sessions[:10] for m in MINUTES]
    for symbol, seed in (("000010", 3), ("000020", 4)):
        values = quotes(len(minutes), seed=seed, jump=0.005, spread=0.003)
        frame = pd.DataFrame(dict(zip(COLUMNS[1:], values, strict=True)))
        frames.append(frame.assign(symbol=symbol, time=minutes))
    found = Lake(tmp_path_factory.mktemp("rules"))
    found.ingest(pd.concat(frames[:2]), "bars_1d", market="KOSPI")
    found.ingest(pd.concat(frames[2:]), "bars_1m", market="KOSPI")
    action = {"symbol": "000010", "ex_date": f"{sessions[SPLIT]:%Y-%m-%d}", "kind": "split", "share_ratio": 2.0}
    found.ingest(pd.DataFrame([action]), "actions")
    return found


def bars_for(name: str, lake: Lake) -> Bars:
    found = lake.bars(freq="1d" if name in DAILY else "1m")
    assert len(found) == (COUNT if name in DAILY else 10 * len(MINUTES))
    return found


@cache
def run(name: str, lake: Lake) -> Result:
    """The compiled run in one piece."""
    return backtest(made(name), bars_for(name, lake))


def same(one: Result, other: Result) -> None:
    """Two results of the same fills, orders and equity, to the bit."""
    pd.testing.assert_frame_equal(one.fills, other.fills, check_exact=True)
    pd.testing.assert_frame_equal(one.orders, other.orders, check_exact=True)
    assert one.run.equity.tobytes() == other.run.equity.tobytes()
    assert one.run.state.user.tobytes() == other.run.state.user.tobytes()


@pytest.mark.parametrize("name", RULES)
def test_a_rule_does_the_same_in_python(name: str, lake: Lake) -> None:
    assert len(run(name, lake).fills) >= 10
    same(backtest(made(name), bars_for(name, lake), interpret=True), run(name, lake))


@pytest.mark.parametrize("name", RULES)
def test_a_rule_does_the_same_in_chunks(name: str, lake: Lake) -> None:
    stream = lake.stream(freq="1d" if name in DAILY else "1m", chunk=40 if name in DAILY else 3)
    assert len(stream.cuts) > 3
    same(backtest(made(name), stream), run(name, lake))


@pytest.mark.parametrize("name", RULES)
def test_what_comes_later_changes_nothing_before(name: str, lake: Lake) -> None:
    bars, whole = bars_for(name, lake), run(name, lake)
    for cut in (SPLIT + 1, len(bars) - 2):
        known = backtest(made(name), bars.slice(0, cut))
        before = whole.fills[whole.fills["time"] <= bars.index[cut - 1]]
        assert len(before) > 0
        pd.testing.assert_frame_equal(known.fills, before.reset_index(drop=True), check_exact=True)
        assert known.run.equity.tolist() == whole.run.equity[:cut].tolist()


# --- what each of them does, by hand ----------------------------------------------------------------------------------

FIRST = 19_725  # 2024-01-03, epoch day


def panel(*rows: tuple[float, float, float, float], minutes: list[int] | None = None, **more: Any) -> Bars:
    """One name, a row (open, high, low, close) a day; or a row a minute of the day."""
    given = np.array(rows, np.float64)
    fields = {name: np.ascontiguousarray(given[:, [k]]) for k, name in enumerate(COLUMNS[1:5])}
    fields["volume"] = np.full((len(rows), 1), 1e6)
    if minutes is None:
        times = midnights(np.arange(FIRST, FIRST + len(rows)))
    else:
        day = np.cumsum(np.diff(minutes, prepend=minutes[0]) < 0)
        times = midnights(FIRST + day) + 60_000_000 * np.array(minutes)
    return Bars(times=times, symbols=("000010",), fields=fields, freq="1d" if minutes is None else "1m", **more)


def told(result: Result) -> list[tuple[int, str, float]]:
    """(row, side, price) of each fill."""
    fills = result.fills
    rows = np.searchsorted(result.bars.index, fills["time"])
    return list(zip(rows.tolist(), fills["side"], fills["price"], strict=True))


def shipped(name: str, bars: Bars, **params: Any) -> Result:
    return backtest(load_strategy(FOLDER / f"{name}.py")(**params), bars, costs=Costs.free())


def test_a_volatility_breakout_is_bought_at_its_trigger_and_sold_at_the_next_open() -> None:
    bars = panel(
        (10_000, 10_100, 9_900, 10_000),
        (10_000, 10_100, 9_900, 10_000),
        (10_000, 10_150, 9_900, 10_100),
        (10_100, 10_200, 9_900, 10_150),  # above its average, range 300
        (10_150, 10_350, 10_100, 10_200),  # trigger 10,150 + 150
        (10_240, 10_360, 10_200, 10_100),  # sold; trigger 10,240 + 125 not reached, and no longer rising
        (10_100, 10_900, 10_000, 10_100),
    )
    assert told(shipped("volatility_breakout", bars, trend=3)) == [(4, "buy", 10_300.0), (5, "sell", 10_240.0)]


def test_a_grid_offers_what_it_bought_a_step_higher_and_bids_again() -> None:
    bars = panel(
        (10_000, 10_000, 10_000, 10_000),
        (10_000, 10_050, 9_950, 10_010),  # the upper half at once, and the anchor's own level
        (10_010, 10_250, 10_000, 10_210),  # 10,200 sells that one
        (10_210, 10_220, 9_700, 9_750),  # bids at 10,000 and 9,800
        (9_750, 11_100, 9_740, 11_050),  # everything, up to 11,000; then anew around 11,050
        (11_050, 11_060, 11_040, 11_050),
    )
    fills = told(shipped("grid", bars, step=0.02))
    assert fills[:9] == [
        *[(1, "buy", 10_000.0)] * 5, (2, "sell", 10_200.0), (3, "buy", 10_000.0), (3, "buy", 9_800.0),
        (4, "sell", 10_000.0),
    ]  # fmt: skip
    assert fills[9:14] == [(4, "sell", price) for price in (10_200.0, 10_400.0, 10_600.0, 10_800.0, 11_000.0)]
    assert fills[14:] == [(5, "buy", 11_050.0)] * 5


@pytest.mark.parametrize(
    ("name", "params"),
    [("grid", {"step": 0.03}), ("turtle", {"entry": 5, "window": 5}), ("volatility_breakout", {"trend": 5})],
)
def test_prices_that_are_kept_mean_the_same_after_a_split(name: str, params: dict[str, float]) -> None:
    rows = np.column_stack(quotes(60, seed=5, jump=0.02, spread=0.02)[:4])
    plain = shipped(name, panel(*rows, markets="NONE"), **params)
    rows[30:] /= 2
    split = shipped(name, panel(*rows, markets="NONE", actions=[Action("000010", FIRST + 30, "split", 2.0)]), **params)
    assert sum(row >= 30 for row, _, _ in told(plain)) >= 4
    back = [(row, side, price * (2 if row >= 30 else 1)) for row, side, price in told(split)]
    assert [one[:2] for one in back] == [one[:2] for one in told(plain)]
    np.testing.assert_allclose([one[2] for one in back], [one[2] for one in told(plain)], atol=2)


def test_a_turtle_adds_units_half_a_range_apart_and_one_stop_follows_them_all() -> None:
    bars = panel(
        *[(price, price + 100, price - 100, price) for price in range(10_070, 9_950, -10)],  # ceiling 10,100, ATR 200
        (10_050, 10_250, 10_040, 10_240),  # units at 10,100 and 10,200
        (10_250, 10_420, 10_200, 10_400),  # and at 10,300 and 10,400
        (10_400, 10_500, 10_390, 10_490),
        (10_480, 10_490, 9_900, 9_950),  # the stop of all of them: 10,500 - 400
    )
    assert told(shipped("turtle", bars, entry=5, window=5)) == [
        (12, "buy", 10_100.0), (12, "buy", 10_200.0), (13, "buy", 10_300.0), (13, "buy", 10_400.0),
        *[(15, "sell", 10_100.0)] * 4,
    ]  # fmt: skip


def test_a_pair_holds_the_cheap_one_until_they_meet() -> None:
    rng = np.random.default_rng(3)
    both = 10_000 * np.exp(np.cumsum(rng.normal(0, 0.01, 100)))
    close = np.column_stack([both, both * 2]) * (1 + rng.normal(0, 0.0005, (100, 2)))
    close[30:33, 0] *= 0.97  # the first falls behind
    close[75:78, 1] *= 0.97  # the second does
    bars = Bars(
        times=midnights(np.arange(FIRST, FIRST + 100)), symbols=("A", "B"), markets="NONE",
        fields={name: close if name != "volume" else np.ones((100, 2)) for name in COLUMNS[1:]},
    )  # fmt: skip
    fills = shipped("pairs", bars, window=20, enter=2.5).fills
    rows = np.searchsorted(bars.index, fills["time"])
    kept = [(row, symbol, side) for row, symbol, side in zip(rows, fills["symbol"], fills["side"], strict=True)]
    assert [one for one in kept if 30 <= one[0] < 40] == [(31, "A", "buy"), (34, "A", "sell")]
    assert [one for one in kept if 75 <= one[0] < 85] == [(76, "B", "buy"), (79, "B", "sell")]
    legs = shipped("pairs", bars, window=20, enter=2.5, short=True).positions
    assert (np.sign(legs.iloc[32]).tolist(), np.sign(legs.iloc[77]).tolist()) == ([1, -1], [-1, 1])
    money = abs(legs * close)
    np.testing.assert_allclose(money.iloc[[32, 77]].sum(axis=1), 98e6, rtol=0.05)


def test_pairs_are_two(lake: Lake) -> None:
    with pytest.raises(ConfigError, match="Pairs trades two names, and was given 1"):
        backtest(made("pairs"), bars_for("pairs", lake).select(["000010"]))


def test_an_opening_range_is_left_below_it_or_at_the_close() -> None:
    minutes = [541, 542, 543, 544, 545, 546, 700, 701, 920, 930]
    quiet = (10_000, 10_010, 9_990, 10_000)
    day = [quiet, (10_000, 10_050, 9_950, 10_000), quiet, quiet]  # 9,950 to 10,050 in three minutes
    bars = panel(
        *day, (10_000, 10_100, 10_000, 10_080), (10_080, 10_090, 10_000, 10_010), *[quiet] * 3,
        (10_020, 10_020, 10_020, 10_020),  # bought at 10,070, sold in the closing auction
        *day, (10_000, 10_100, 10_000, 10_080), (10_080, 10_080, 9_900, 9_910), *[quiet] * 4,  # sold below the range
        *day, *[quiet] * 3, (10_000, 10_100, 10_000, 10_090), *[quiet] * 2,  # too late
        minutes=minutes * 3,
    )  # fmt: skip
    result = shipped("opening_range", bars, minutes=3, until=160)
    assert told(result) == [(4, "buy", 10_070.0), (9, "sell", 10_020.0), (14, "buy", 10_070.0), (15, "sell", 9_950.0)]
    assert result.fills["rule"].tolist() == ["stop", "close", "stop", "stop"]
