"""Actions read off base prices and adjusted closes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from quantkit import BadData, Lake
from quantkit.data.derive import dividends_from_adjusted_close, splits_from_adjusted_close
from tests.data.lake_data import days, frame, row

DAY = [str(day) for day in days(start="2025-03-04", count=8)]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def actions(lake: Lake) -> list[tuple[object, ...]]:
    sql = "select symbol, cast(ex_date as varchar), kind, price_factor, share_ratio, source from actions order by 2, 1"
    return lake.query(sql).fetchall() if "actions" in lake.tables() else []


def test_a_moved_base_is_an_action_of_unknown_kind_that_adjusts_prices(lake: Lake) -> None:
    closes = [(1000, 1000), (1010, 1000), (505, 505), (500, 505)]
    rows = [row("000001", DAY[n], close, base=base) for n, (close, base) in enumerate(closes)]
    report = lake.ingest(frame(*rows), market="KOSPI")
    assert report.actions == 1
    assert actions(lake) == [("000001", DAY[2], "unknown", 2.0, None, "base")]
    bars = lake.bars()
    assert bars.close[:, 0].tolist() == [1000, 1010, 1010, 1000]
    assert bars.volume[:, 0].tolist() == [10, 10, 5, 5]  # taken as value-neutral until somebody says what it was
    assert lake.check().unknown_actions == [("000001", DAY[2], 2.0)]


def test_an_off_grid_close_is_followed_by_the_next_grid_price_and_is_no_action(lake: Lake) -> None:
    lake.ingest(frame(row("000001", DAY[0], 2003, base=2000), row("000001", DAY[1], 2010, base=2005)), market="KOSDAQ")
    assert list(actions(lake)) == []


def test_a_first_row_has_no_action_whatever_its_base(lake: Lake) -> None:
    lake.ingest(frame(row("000001", DAY[0], 4000, base=1000), row("000001", DAY[1], 4000, base=4000)), market="KOSDAQ")
    assert actions(lake) == []


def test_a_session_that_the_whole_market_lacks_breaks_the_chain(lake: Lake) -> None:
    rows = [row(symbol, DAY[n], 1000, base=1000) for symbol in ("000001", "000002") for n in (0, 1)]
    rows += [row(symbol, DAY[3], 1100, base=1050) for symbol in ("000001", "000002")]  # DAY[2] is absent for everybody
    lake.ingest(frame(*rows), market="KOSPI")
    assert actions(lake) == []


def test_a_name_that_was_away_alone_keeps_its_chain(lake: Lake) -> None:
    rows = [row("000001", day, 1000, base=1000) for day in DAY[:4]]
    rows += [row("000002", DAY[0], 1000, base=1000), row("000002", DAY[3], 500, base=500)]
    lake.ingest(frame(*rows), market="KOSPI")
    assert [one[:2] for one in actions(lake)] == [("000002", DAY[3])]


def test_the_chain_crosses_years_and_ingests(lake: Lake) -> None:
    d = [str(day) for day in days(start="2024-12-26", count=6)]
    rows = [row("000001", day, 1000, base=1000) for day in d[:3]]
    lake.ingest(frame(*rows), market="KOSPI")
    later = lake.ingest(frame(row("000001", d[3], 500, base=500)), market="KOSPI")
    assert later.actions == 1
    assert [one[1] for one in actions(lake)] == [d[3]]


def test_a_stated_action_takes_the_place_of_the_derived_one_and_stays(lake: Lake) -> None:
    rows = frame(row("000001", DAY[0], 1000, base=1000), row("000001", DAY[1], 500, base=500))
    lake.ingest(rows, market="KOSPI")
    lake.ingest([{"symbol": "000001", "ex_date": DAY[1], "kind": "split", "share_ratio": 2.0}], "actions")
    assert actions(lake) == [("000001", DAY[1], "split", 2.0, 2.0, "given")]
    lake.ingest(frame(row("000001", DAY[2], 500, base=500)), market="KOSPI")
    assert [one[2] for one in actions(lake)] == ["split"]


def test_stating_an_action_twice_changes_nothing(lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "actions.csv"
    path.write_text(
        "symbol,ex_date,kind,share_ratio,cash_per_share\n000001,2024-01-03,split,2,\n000001,2024-02-01,dividend,,361\n"
    )
    first = lake.ingest(path, "actions")
    again = lake.ingest(path, "actions")
    assert (first.added, again.added, again.replaced, again.version) == (2, 0, 0, first.version)


def adjusted(symbol: str, raw: list[float], factor: list[float]) -> pd.DataFrame:
    dates = pd.to_datetime(DAY[: len(raw)])
    return pd.DataFrame({"Ticker": symbol, "Date": dates, "Close": raw, "Adj Close": np.array(raw) * np.array(factor)})


def test_an_adjusted_close_tells_splits_from_dividends() -> None:
    # From day 2 on 2:1; on day 4 a dividend of 3.00 after a close of 60, so earlier factors carry 1 - 3/60.
    table = adjusted("XYZ", [100, 102, 52, 60, 58], [0.475, 0.475, 0.95, 0.95, 1.0])
    splits, dividends = splits_from_adjusted_close(table), dividends_from_adjusted_close(table)
    assert [(one.ex_date, one.share_ratio) for one in splits] == [(DAY[2], 2.0)]
    assert [(one.ex_date, one.cash_per_share) for one in dividends] == [(DAY[4], 3.0)]


def test_a_frame_without_an_adjusted_close_is_refused() -> None:
    with pytest.raises(BadData, match="adj_close"):
        splits_from_adjusted_close(adjusted("XYZ", [1, 2], [1, 1]).drop(columns="Adj Close"))
