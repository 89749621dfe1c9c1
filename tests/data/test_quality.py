"""What quality rejects, flags, and lets pass."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from quantkit import Lake
from tests.data.lake_data import days, frame, row

DAY = [str(day) for day in days(count=8)]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def quarantine(lake: Lake) -> list[tuple[str, str, int]]:
    return lake.query("select reason, symbol, line from quarantine order by line").fetchall()


BAD = {
    "NaN price": ({"close": np.nan}, "PRICE_MISSING"),
    "infinite price": ({"high": np.inf}, "PRICE_MISSING"),
    "close of zero": ({"close": 0}, "PRICE_NOT_POSITIVE"),
    "negative open": ({"open": -1}, "PRICE_NOT_POSITIVE"),
    "open alone of zero": ({"open": 0}, "PRICE_NOT_POSITIVE"),
    "NaN volume": ({"volume": np.nan}, "VOLUME_MISSING"),
    "negative volume": ({"volume": -5}, "VOLUME_NEGATIVE"),
    "high below the close": ({"high": 900}, "OHLC_ORDER"),
    "low above the open": ({"low": 1100, "high": 1200, "close": 1150}, "OHLC_ORDER"),
    "a Saturday": ({"date": pd.Timestamp("2024-01-06")}, "NO_SESSION"),
    "a holiday": ({"date": pd.Timestamp("2024-05-06")}, "NO_SESSION"),
    "no date": ({"date": pd.NaT}, "DATE_UNREADABLE"),
    "no symbol": ({"symbol": None}, "SYMBOL_MISSING"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_row_is_set_aside_with_its_reason_and_line_and_the_others_land(lake: Lake, case: str) -> None:
    change, reason = BAD[case]
    table = frame(*(row("000001", day, 1000) for day in DAY[:4]))
    for name, value in change.items():
        table[name] = table[name].astype(object) if name == "symbol" else table[name]
        if name in ("open", "high", "low", "close", "volume"):
            table[name] = table[name].astype(float)
        table.loc[2, name] = value
    report = lake.ingest(table, market="KOSPI")
    assert (report.added, report.quarantined, dict(report.reasons)) == (3, 1, {reason: 1})
    assert quarantine(lake) == [(reason, table["symbol"][2] or "", 3)]


def test_quarantine_holds_a_row_once_however_often_it_comes(lake: Lake) -> None:
    table = frame(row("000001", DAY[0], 1000), row("000001", DAY[1], -1))
    for _ in range(3):
        assert lake.ingest(table, market="KOSPI").quarantined == 1
    assert len(quarantine(lake)) == 1


def test_the_line_of_a_csv_counts_its_header(lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    frame(row("000001", DAY[0], 1000), row("000001", DAY[1], -1)).to_csv(path, index=False)
    lake.ingest(path, market="KOSPI")
    assert lake.query("select line, source from quarantine").fetchall() == [(3, str(path))]


def test_identical_rows_collapse_and_conflicting_ones_are_both_set_aside(lake: Lake) -> None:
    report = lake.ingest(
        frame(
            row("000001", DAY[0], 1000),
            row("000001", DAY[0], 1000),
            row("000001", DAY[1], 1000),
            row("000001", DAY[1], 1010),
            row("000001", DAY[2], 1000),
        ),
        market="KOSPI",
    )
    assert (report.added, dict(report.reasons)) == (2, {"DUPLICATE_CONFLICT": 2})
    assert [line for _, _, line in quarantine(lake)] == [3, 4]


def test_a_halted_row_lands_as_carried_and_off_hours_volume_is_flagged(lake: Lake) -> None:
    halted = {"open": 0, "high": 0, "low": 0, "volume": 0}
    report = lake.ingest(
        frame(
            row("000001", DAY[0], 1000),
            {**row("000001", DAY[1], 1000), **halted},
            {**row("000001", DAY[2], 1000), **halted, "volume": 77},
        ),
        market="KOSPI",
    )
    bars = lake.bars()
    assert (report.added, report.flagged) == (3, 1)
    assert bars.traded[:, 0].tolist() == [True, False, False]
    assert bars.valid.all()
    assert bars.raw.volume[:, 0].tolist() == [10, 0, 0]
    assert bars.raw.low[:, 0].tolist() == [1000, 1000, 1000]


def flags(lake: Lake, bit: int) -> list[str]:
    return [
        str(found[0]) for found in lake.query(f"select date from bars_1d where flag & {bit} != 0 order by 1").fetchall()
    ]


def test_off_grid_prices_land_with_a_flag(lake: Lake) -> None:
    report = lake.ingest(
        frame(row("000001", "2024-01-02", 10_000), row("000001", "2024-01-03", 10_001)), market="KOSPI"
    )
    assert (report.added, report.flagged) == (2, 1)
    assert flags(lake, 2) == ["2024-01-03"]


@pytest.mark.parametrize(
    ("close", "base", "beyond"),
    [(13_000, None, False), (13_010, None, True), (13_010, 10_010, False), (6_000, None, True), (6_000, 6_000, False)],
)
def test_prices_beyond_the_limits_are_flagged_unless_the_base_moved(
    lake: Lake, close: float, base: float | None, beyond: bool
) -> None:
    table = frame(row("000001", DAY[0], 10_000), row("000001", DAY[1], close)).assign(base=[np.nan, base])
    lake.ingest(table.astype({"base": float}), market="KOSPI")
    assert (flags(lake, 4) == [DAY[1]]) == beyond


def test_a_first_trading_day_and_a_liquidation_explain_a_price_beyond_the_limits(lake: Lake) -> None:
    lake.ingest(
        pd.DataFrame({"symbol": ["000002"], "liquidation_from": [DAY[2]], "liquidation_to": [DAY[3]]}), "instruments"
    )
    old = [row("000001", day, 10_000) for day in DAY[:4]]
    ipo = {**row("000003", DAY[1], 40_000), "base": 10_000}
    wound_up = [row("000002", DAY[0], 1_000), row("000002", DAY[1], 1_000), row("000002", DAY[2], 100)]
    lake.ingest(frame(*old, *wound_up, ipo), market="KOSDAQ")
    assert flags(lake, 4) == []


def test_adjusted_prices_know_no_grid_but_one_won_of_rounding(lake: Lake) -> None:
    rounded = {**row("000001", DAY[0], 10_001), "high": 10_000}
    broken = {**row("000001", DAY[1], 10_050), "high": 10_000}
    report = lake.ingest(frame(rounded, broken), market="KOSPI", prices="adjusted")
    assert (report.added, dict(report.reasons)) == (1, {"OHLC_ORDER": 1})
    assert (lake.bars().raw.high[0, 0], flags(lake, 2), flags(lake, 32)) == (10_001, [], [DAY[0]])


def test_the_check_names_missing_sessions_and_gaps(lake: Lake) -> None:
    rows = [row("000001", day, 1000) for day in DAY if day != DAY[3]]
    rows += [row("000002", day, 1000) for day in DAY if day not in (DAY[3], DAY[5])]
    lake.ingest(frame(*rows), market="KOSPI")
    found = lake.check()
    assert found.market_gaps == [DAY[3]]
    assert (found.symbol_gaps, found.gap_symbols) == (1, [("000002", 1)])
    assert (found.rows, found.symbols, found.first, found.last) == (13, 2, DAY[0], DAY[7])
