"""Real prices of the exchange: what is known of them, and their known defects."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from quantkit import Lake
from tests.data.lake_data import REAL, needs_real_data


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


@needs_real_data
@pytest.mark.slow
def test_the_whole_market_lands_and_keeps_the_rules_it_is_known_to_keep(lake: Lake) -> None:
    path = REAL / "krx_daily_raw.parquet"
    report = lake.ingest(path)
    assert (report.added, report.quarantined) == (812_469, 0)
    assert lake.ingest(path).skipped == 1
    delistings = pd.read_parquet(REAL / "krx_delistings.parquet")
    columns = ["delisting_date", "liquidation_start", "liquidation_end"]
    dates = delistings[columns].where(delistings[columns].apply(lambda column: column.str.match(r"\d{4}-")))
    lake.ingest(dates.assign(symbol=delistings["symbol"]), "instruments")  # one row says 20-03-13
    found = lake.check()
    bars = {(one.market, one.since): one for one in found.regimes}
    assert bars["KOSPI", "2015-06-15"].bars == 183_531
    assert bars["KOSDAQ", "2015-06-15"].on_grid == (298_192,) * 4
    assert bars["KOSPI", "2023-01-25"].bars == 64_768
    assert bars["KOSDAQ", "2025-03-04"].bars == 58_094
    assert "2021-01-22" in found.market_gaps
    assert found.flags["off_hours"] >= 1
    week = lake.bars(start="2024-01-08", end="2024-01-12")
    assert week.shape[0] == 5
    assert (week.raw.close[week.listed] > 0).all()


@needs_real_data
@pytest.mark.slow
def test_an_action_derived_from_base_prices_is_the_known_split(lake: Lake) -> None:
    table = pd.read_parquet(REAL / "krx_daily_raw.parquet", filters=[("date", ">=", pd.Timestamp("2024-01-01").date())])
    report = lake.ingest(pa.Table.from_pandas(table[table["date"].astype(str) < "2024-03"]))
    assert report.actions > 10
    split = [one for one in lake.check().unknown_actions if one[:2] == ("33637L", "2024-01-08")]
    assert split[0][2] == pytest.approx(2.0, rel=0.02)


@needs_real_data
@pytest.mark.slow
def test_known_defects_of_other_sources_are_caught(lake: Lake) -> None:
    kept = pd.read_parquet(REAL / "krx_daily_raw_2000_2017.parquet")
    report = lake.ingest(kept)
    assert report.reasons == {"NO_SESSION": 4_982}
    adjusted = Lake(lake.path.parent / "adjusted")
    found = adjusted.ingest(REAL / "krx_daily_adj_2023_2025.parquet", prices="adjusted")
    assert found.reasons == {"OHLC_ORDER": 11}  # of 82 closes above the high, 71 by the one won of rounding
    assert adjusted.check().flags["widened"] == 71
    dirty = Lake(lake.path.parent / "dirty").ingest(REAL / "krx_daily_vendor_dirty.parquet")
    assert dirty.reasons == {"OHLC_ORDER": 77_462, "PRICE_NOT_POSITIVE": 10_576, "NO_SESSION": 165}
