"""Sessions, hours and phases against the answer file and the public calendar."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import quantkit
from quantkit.errors import BadData
from quantkit.market import calendar, krx
from quantkit.market.calendar import hours, is_session, next_session, phases, session, sessions

if TYPE_CHECKING:
    from .conftest import Answers

DAYS = st.dates(dt.date(1990, 2, 1), dt.date(2027, 11, 30))


def test_every_special_day_opens_and_closes_as_answered(answers: Answers) -> None:
    for row in answers("sessions"):
        found = krx.session(row["date"])
        if row["open"]:
            assert found is not None, row
            assert (f"{found.open:%H:%M}", f"{found.close:%H:%M}") == (row["open"], row["close"]), row
        else:
            assert found is None, row


def test_hours_of_many_days_are_those_of_each(answers: Answers) -> None:
    rows = answers("sessions")
    opens, closes = hours([row["date"] for row in rows])
    for row, begin, end in zip(rows, opens.tolist(), closes.tolist(), strict=True):
        assert (begin < 0) == (end < 0) == (row["open"] == "")
        if begin >= 0:
            assert f"{begin // 60:02}:{begin % 60:02}" == row["open"]


def test_our_days_differ_from_the_public_calendar_only_where_it_is_known_to_be_wrong() -> None:
    public = calendar.public_calendar("XKRX", start="1999-01-01", end="2027-12-31").sessions
    theirs = set(public.strftime("%Y-%m-%d"))
    ours = set(np.datetime_as_string(sessions("1999-01-01", "2027-12-31")).tolist())
    assert ours <= theirs
    assert sorted(theirs - ours) in ([], ["2026-06-03", "2026-07-17", "2027-05-03", "2027-07-19"])


def test_years_beyond_our_table_come_from_the_public_calendar() -> None:
    assert is_session("2030-01-02")
    assert not is_session("2030-01-01")
    assert is_session("1985-03-04")
    assert next_session("2027-12-30") == dt.date(2028, 1, 3)
    assert len(sessions("2027-12-01", "2028-01-31")) > 30


def test_years_that_nobody_knows_are_refused() -> None:
    for day in ("1979-12-31", "2041-01-02"):
        with pytest.raises(BadData, match="1980 to 2040"):
            is_session(day)


def test_saturdays_were_sessions_until_december_1998() -> None:
    assert is_session("1998-11-28")
    assert not is_session("1998-12-12")


def test_settlement_is_two_sessions_later() -> None:
    assert next_session("2020-12-29", n=2) == dt.date(2021, 1, 4)
    assert next_session("2024-12-27", n=2) == dt.date(2025, 1, 2)
    np.testing.assert_array_equal(
        next_session(["2026-06-01", "2026-06-02"], n=2), np.array(["2026-06-04", "2026-06-05"], dtype="datetime64[D]")
    )


@given(DAYS, st.integers(1, 30))
def test_going_forth_and_back_ends_where_it_began(day: dt.date, n: int) -> None:
    there = next_session(day, n=n)
    assert is_session(there)
    assert there > day
    assert next_session(there, n=-n) == (day if is_session(day) else next_session(day, n=-1))


@given(DAYS, DAYS)
def test_sessions_are_the_days_that_are_sessions(one: dt.date, other: dt.date) -> None:
    start, end = min(one, other), min(max(one, other), min(one, other) + dt.timedelta(days=60))
    days = np.arange(np.datetime64(start), np.datetime64(end) + 1)
    np.testing.assert_array_equal(sessions(start, end), days[is_session(days)])


def test_start_after_end_and_no_step_are_refused() -> None:
    with pytest.raises(BadData, match="start is after end"):
        sessions("2024-01-03", "2024-01-02")
    with pytest.raises(BadData, match="n=0"):
        next_session("2024-01-02", n=0)


def test_shapes_are_kept() -> None:
    days = np.array([["2024-01-01", "2024-01-02"]], dtype="datetime64[D]")
    assert is_session(days).shape == (1, 2)
    assert is_session(pd.DatetimeIndex(["2024-01-01", "2024-01-02"])).tolist() == [False, True]
    assert is_session(np.array([], dtype="datetime64[D]")).shape == (0,)


def times(date: str, venue: str = "KRX") -> dict[str, tuple[str, str]]:
    return {phase.name: (f"{phase.start:%H:%M}", f"{phase.end:%H:%M}") for phase in phases(date, venue=venue)}  # type: ignore[arg-type]


def test_an_ordinary_day_has_its_phases() -> None:
    assert times("2025-06-02") == {
        "opening_orders": ("08:30", "09:00"),
        "at_last_close": ("08:30", "08:40"),
        "continuous": ("09:00", "15:20"),
        "closing_auction": ("15:20", "15:30"),
        "at_close": ("15:40", "16:00"),
        "single_price": ("16:00", "18:00"),
    }


def test_exam_days_move_an_hour_and_after_hours_still_end_at_six() -> None:
    day = times("2025-11-13")
    assert day["continuous"] == ("10:00", "16:20")
    assert day["closing_auction"] == ("16:20", "16:30")
    assert day["single_price"] == ("17:00", "18:00")
    assert times("2025-11-13", "NXT")["after_market"] == ("16:30", "20:00")
    assert "pre_market" not in times("2025-11-13", "NXT")


def test_the_first_session_of_a_year_opens_late_and_closes_as_always() -> None:
    day = times("2025-01-02")
    assert day["opening_orders"] == ("09:30", "10:00")
    assert day["closing_auction"] == ("15:20", "15:30")


def test_phases_change_with_the_years() -> None:
    assert times("2016-07-29")["closing_auction"] == ("14:50", "15:00")
    assert times("2019-04-26")["opening_orders"] == ("08:00", "09:00")
    assert [p.start.hour for p in phases("2000-05-19") if p.name == "continuous"] == [9, 13]
    assert times("2025-02-28", "NXT") == {}
    assert times("2025-03-04", "NXT")["pre_market"] == ("08:00", "08:50")
    assert phases("2025-06-03") == ()


def test_the_after_market_of_2026_is_marked_as_not_confirmed() -> None:
    found = [phase for phase in phases("2026-09-15") if phase.name == "after_market"]
    assert [phase.confirmed for phase in found] == [False]


def test_the_phases_of_an_expected_exam_day_are_not_confirmed() -> None:
    assert not any(phase.confirmed for phase in phases("2026-11-19"))
    assert all(phase.confirmed for phase in phases("2025-11-13"))


def test_a_session_of_our_years_needs_no_other_calendar() -> None:
    code = (
        f"import sys; sys.path[:0] = [{str(Path(quantkit.__path__[0]).parent)!r}]\n"
        "from quantkit.market import krx, calendar\n"
        "assert krx.session('2024-01-02') and len(calendar.sessions('1990-01-03', '2027-12-31')) > 9000\n"
        "print(sorted(set(sys.modules) & {'pandas', 'exchange_calendars', 'numba', 'duckdb'}))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_session_is_the_same_thing_from_both_doors() -> None:
    assert krx.session is session
    assert calendar.Session(dt.time(9), dt.time(15, 30)) == krx.session("2024-01-03")
