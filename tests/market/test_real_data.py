"""The rules against real exchange prices, where a folder with them is at hand.

QUANTKIT_REAL_DATA names the folder; without it, one beside the repository is looked for. The figures are facts about
its files: every price off the grid or beyond the limits is explained by a rule, or counted as a defect of its source.
"""

from __future__ import annotations

import csv
import os
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from quantkit.market import MARKET_ID
from quantkit.market.calendar import hours, is_session, sessions
from quantkit.market.conformity import PRICES, REASONS, Conformity, conformity
from quantkit.market.days import epoch_days
from quantkit.market.instruments import is_isin, market_name, symbols

FOLDER = Path(os.environ.get("QUANTKIT_REAL_DATA", Path(__file__).parents[3] / "shared" / "data"))

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"the folder of real prices {FOLDER} is absent")


def read(name: str, columns: list[str]) -> pd.DataFrame:
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"{path} is absent")
    return pd.read_parquet(path, columns=columns)


def judged(frame: pd.DataFrame) -> tuple[Conformity, pd.DataFrame]:
    """`frame` (symbol, date, market and prices) sorted and judged, with the liquidation windows on file."""
    frame = frame.assign(day=epoch_days(frame["date"].to_numpy().astype("datetime64[D]")))
    frame = frame.sort_values(["symbol", "day"], ignore_index=True)
    day = frame["day"].to_numpy()
    windows = read("krx_delistings.parquet", ["symbol", "liquidation_start", "liquidation_end"]).dropna()
    windows = windows.drop_duplicates("symbol", keep="last").set_index("symbol")
    begin, end = (
        pd.to_datetime(frame["symbol"].map(windows[name])).to_numpy()
        for name in ("liquidation_start", "liquidation_end")
    )
    date = day.astype("datetime64[D]")
    ids = frame["market"].map({label: MARKET_ID[market_name(label)] for label in frame["market"].unique()})
    found = conformity(
        pd.factorize(frame["symbol"])[0].astype(np.int64),
        day,
        ids.to_numpy(dtype=np.int64),
        {name: frame[name].to_numpy(dtype=np.float64) for name in PRICES},
        frame["volume"].to_numpy(dtype=np.float64),
        base=frame["base"].to_numpy(dtype=np.float64) if "base" in frame else None,
        liquidation=(begin <= date) & (date <= end),
        session=np.searchsorted(sessions("1990-01-03", "2026-12-31").astype(np.int64), day, side="right"),
    )
    return found, frame


@cache
def exchange() -> tuple[Conformity, pd.DataFrame]:
    columns = ["symbol", "date", *PRICES, "base", "volume", "market", "source"]
    frame = read("krx_daily_raw.parquet", columns)
    return judged(frame[frame["source"] == "krx-eod"])


@cache
def early() -> tuple[Conformity, pd.DataFrame]:
    return judged(read("krx_daily_raw_2000_2017.parquet", ["symbol", "date", *PRICES, "volume", "market"]))


def by_regime(found: Conformity, market: str) -> list[tuple[str, int, tuple[int, ...]]]:
    return [(str(r.since), r.bars, tuple(r.bars - n for n in r.on_grid)) for r in found.regimes if r.market == market]


def total(found: Conformity, reason: str) -> int:
    return sum(regime.reasons.get(reason, 0) for regime in found.regimes)


def test_every_exchange_price_before_march_2025_is_on_the_grid() -> None:
    found, _ = exchange()
    for market in ("KOSPI", "KOSDAQ", "KONEX"):
        for since, bars, off in by_regime(found, market):
            assert bars > 0
            assert since == "2025-03-04" or off == (0, 0, 0, 0), (market, since)


def test_mid_price_orders_left_the_grid_in_2026_as_often_as_reported() -> None:
    found, _ = exchange()
    assert by_regime(found, "KOSPI")[-1] == ("2025-03-04", 30_613, (0, 85, 59, 1))
    assert by_regime(found, "KOSDAQ")[-1] == ("2025-03-04", 58_094, (19, 156, 155, 60))
    assert total(found, "mid_price") == 144 + 369


def test_every_exchange_price_beyond_its_limits_is_explained() -> None:
    found, frame = exchange()
    assert frame.iloc[found.defects].empty
    assert (total(found, "first_day"), total(found, "liquidation")) == (16, 75)
    stocks = [regime for regime in found.regimes if regime.market != "KONEX"]
    assert sum(regime.judged for regime in stocks) == 380_441
    assert sum(regime.judged - regime.inside for regime in stocks) == 24 + 48
    assert sum(regime.touched[0] for regime in stocks) == 94
    assert sum(regime.touched[1] for regime in stocks) == 1_668


def test_konex_keeps_to_fifteen_percent() -> None:
    found, _ = exchange()
    konex = [regime for regime in found.regimes if regime.market == "KONEX"]
    assert sum(sum(regime.touched) for regime in konex) > 2_000
    assert sum(regime.judged - regime.inside for regime in konex) == sum(r.reasons.get("liquidation", 0) for r in konex)


def test_the_early_years_follow_their_own_grids() -> None:
    found, _ = early()
    assert by_regime(found, "KOSPI") == [
        ("None", 346_887, (8, 7, 4, 12)),
        ("2010-10-04", 221_249, (0, 1, 0, 1)),
        ("2015-06-15", 112_179, (0, 0, 0, 0)),
    ]
    assert by_regime(found, "KOSDAQ") == [
        ("None", 69_522, (19, 27, 29, 31)),
        ("2003-07-21", 59_783, (0, 0, 0, 0)),
        ("2005-03-28", 279_225, (0, 0, 0, 0)),
        ("2010-10-04", 350_857, (118, 123, 130, 125)),
        ("2015-06-15", 220_387, (0, 1, 0, 1)),
    ]


def test_defects_of_the_early_years_are_few_and_known_by_name() -> None:
    found, frame = early()
    wrong = frame.iloc[found.defects]
    assert len(wrong) == 633  # of 1.66 million bars; the source gives no base prices, so some are ex-rights days
    assert wrong["symbol"].value_counts().head(2).to_dict() == {"134060": 182, "032640": 86}


def test_fund_prices_are_on_the_grid_and_inside_the_limits() -> None:
    found, _ = judged(read("krx_etf_daily_raw.parquet", ["symbol", "date", *PRICES, "volume"]).assign(market="ETF"))
    assert [(str(r.since), r.bars, r.judged - r.inside) for r in found.regimes] == [
        ("2015-06-15", 116_548, 0),
        ("2023-12-11", 164_004, 0),
        ("2025-03-04", 119_545, 0),
    ]
    assert total(found, "mid_price") == 1_754  # 98.5 % of the bars of that time are wholly on the grid
    assert found.defects.size == 0


def test_every_bar_has_one_reason_and_the_counts_add_up() -> None:
    found, frame = exchange()
    counted = {name: total(found, name) for name in REASONS if name}
    assert counted == {name: int((found.reason == index).sum()) for index, name in enumerate(REASONS) if name}
    assert sum(regime.bars for regime in found.regimes) + counted["no_trade"] == len(frame)


def test_our_sessions_are_the_observed_ones() -> None:
    path = FOLDER / "krx_sessions.csv"
    if not path.exists():
        pytest.skip(f"{path} is absent")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    days = [row["date"] for row in rows]
    np.testing.assert_array_equal(sessions(days[0], days[-1]), np.array(days, dtype="datetime64[D]"))
    opens, closes = hours(days)
    for row, begin, end in zip(rows, opens.tolist(), closes.tolist(), strict=True):
        assert f"{begin // 60:02}:{begin % 60:02}" == row["open"], row
        assert f"{end // 60:02}:{end % 60:02}" == row["close"], row


def test_our_sessions_of_the_nineties_are_the_days_of_the_index() -> None:
    dates = pd.to_datetime(read("krx_index_daily.parquet", ["date"])["date"]).drop_duplicates().sort_values()
    days = dates.to_numpy().astype("datetime64[D]")
    assert is_session(days).all()
    np.testing.assert_array_equal(sessions(days[0], days[-1]), days)


def test_listed_codes_and_isins_are_well_formed() -> None:
    listed = read("krx_instruments.parquet", ["symbol", "isin"])
    assert symbols(listed["symbol"]) == listed["symbol"].tolist()
    assert all(is_isin(isin) for isin in listed["isin"])
