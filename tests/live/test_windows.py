"""Windows of a session: they move with the day's own hours."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.errors import ConfigError
from quantkit.live.windows import (
    clock_text,
    date_of,
    next_span,
    next_window,
    ordinary_windows,
    phase_at,
    session_of,
    unconfirmed,
    windows_of,
)
from quantkit.trading.orders import Window

SEOUL = dt.timezone(dt.timedelta(hours=9))


def at(text: str) -> int:
    """UTC nanoseconds of a moment in Seoul."""
    return round(dt.datetime.fromisoformat(text).replace(tzinfo=SEOUL).timestamp()) * 1_000_000_000


def shown(windows: tuple[Window, ...]) -> list[str]:
    return [f"{window.phase} {clock_text(window.opens)} {clock_text(window.closes)}" for window in windows]


ORDINARY = ["opening_auction 08:30 08:59", "continuous 09:00 15:20", "closing_auction 15:20 15:29"]


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("2025-11-12", ORDINARY),
        ("2025-11-13", ["opening_auction 09:30 09:59", "continuous 10:00 16:20", "closing_auction 16:20 16:29"]),
        ("2025-01-02", ["opening_auction 09:30 09:59", "continuous 10:00 15:20", "closing_auction 15:20 15:29"]),
        ("2026-06-03", []),  # local elections; the public calendar has it open
        ("2026-07-17", []),
        ("2025-11-15", []),  # a Saturday
        ("1997-05-14", []),
        ("1997-05-13", ["opening_auction 09:00 09:29", "continuous 09:30 14:50", "closing_auction 14:50 14:59"]),
        ("1999-05-13", ["opening_auction 08:00 08:59", "continuous 09:00 12:00", "continuous 13:00 14:50",
                        "closing_auction 14:50 14:59"]),
    ],
)  # fmt: skip
def test_windows_are_those_of_the_day(date: str, expected: list[str]) -> None:
    assert shown(windows_of(date)) == expected


def test_nxt_has_its_own_windows_and_none_before_it_began() -> None:
    assert shown(windows_of("2025-11-12", venue="NXT")) == [
        "pre_market 08:00 08:50", "continuous 09:00:30 15:20", "after_market 15:40 20:00",
    ]  # fmt: skip
    assert shown(windows_of("2025-11-13", venue="NXT")) == ["continuous 10:00:30 16:20", "after_market 16:30 20:00"]
    assert windows_of("2025-03-03", venue="NXT") == ()
    assert windows_of("2024-11-12", venue="NXT") == ()


def test_new_york_keeps_its_half_days() -> None:
    summer, half = windows_of("2025-07-01", market="US"), windows_of("2025-07-03", market="US")
    assert shown(summer) == ["opening_auction 21:30 22:28", "continuous 22:30 05:00",
                             "closing_auction 04:30 04:50"]  # fmt: skip
    assert half[1].closes - half[1].opens == 3.5 * 3600 * 10**9
    assert windows_of("2025-07-04", market="US") == ()


def test_a_market_without_hours_trades_every_day() -> None:
    windows = windows_of("2025-11-15", market="NONE")
    assert shown(windows) == ["opening_auction 00:00 00:01", "continuous 00:00 00:00", "closing_auction 23:58 23:59"]
    bar_closes = at("2025-11-15T00:00") + 86_400 * 10**9
    assert next_window("opening_auction", bar_closes, market="NONE").opens == bar_closes


@pytest.mark.parametrize(
    ("after", "kind", "opens"),
    [
        ("2025-11-12T15:30", "opening_auction", "2025-11-13T09:30"),  # into the exam day
        ("2025-11-13T09:45", "opening_auction", "2025-11-13T09:30"),  # open already
        ("2025-11-13T09:59", "opening_auction", "2025-11-14T08:30"),  # its last minute is not used
        ("2025-11-14T12:00", "continuous", "2025-11-14T09:00"),
        ("2025-11-14T15:20", "continuous", "2025-11-17T09:00"),
        ("2026-06-02T16:00", "closing_auction", "2026-06-04T15:20"),
        ("2025-12-30T16:00", "opening_auction", "2026-01-02T09:30"),  # 12-31 is closed, the first session is late
    ],
)
def test_the_next_window_is_the_first_that_has_not_closed(after: str, kind: str, opens: str) -> None:
    assert next_window(kind, at(after)).opens == at(opens)


def test_a_kind_that_the_venue_lacks_is_refused() -> None:
    with pytest.raises(ConfigError, match="opening_auction"):
        next_window("opening_auction", at("2025-11-12T15:30"), venue="NXT")


@pytest.mark.parametrize(
    ("moment", "phase"),
    [
        ("2025-11-12T08:29:59", None),
        ("2025-11-12T08:30:00", "opening_auction"),
        ("2025-11-12T08:59:59", "opening_auction"),
        ("2025-11-12T09:00:00", "continuous"),
        ("2025-11-12T15:19:59", "continuous"),
        ("2025-11-12T15:29:59", "closing_auction"),
        ("2025-11-12T15:30:00", None),
        ("2025-11-12T15:45:00", "at_close"),
        ("2025-11-12T16:30:00", "single_price"),
        ("2025-11-13T09:15:00", None),
        ("2025-11-13T09:35:00", "opening_auction"),
        ("2026-10-01T17:00:00", None),  # the after-market's start is hearsay
        ("2025-11-15T12:00:00", None),
    ],
)
def test_the_phase_at_a_moment(moment: str, phase: str | None) -> None:
    assert phase_at(at(moment)) == phase


def test_hours_that_rest_on_a_rule_of_thumb_are_named() -> None:
    assert unconfirmed("2025-11-13") == ()
    assert "continuous" in unconfirmed("2026-11-19")  # an exam day after the last observed one
    assert unconfirmed("1995-05-02") == ("closing_auction", "continuous", "opening_auction")


def test_sessions_give_open_and_close() -> None:
    span = session_of("2025-11-13")
    assert span is not None
    assert (clock_text(span.opens), clock_text(span.closes)) == ("10:00", "16:30")
    assert session_of("2026-06-03") is None
    assert next_span(span.closes).date == dt.date(2025, 11, 14)
    assert next_span(span.closes - 1).date == dt.date(2025, 11, 13)


def test_a_day_that_only_its_bars_know_keeps_ordinary_hours() -> None:
    assert shown(ordinary_windows("2026-06-03")) == ORDINARY
    assert ordinary_windows("2025-11-13") == windows_of("2025-11-13")


@given(st.dates(dt.date(1999, 1, 4), dt.date(2026, 12, 31)))
def test_windows_lie_inside_their_phases_and_do_not_overlap(date: dt.date) -> None:
    windows = windows_of(date)
    for window in windows:
        assert window.opens < window.closes
        assert date_of(window.opens) == date
        assert phase_at(window.opens) == phase_at(window.closes - 1) == window.phase
        assert next_window(window.phase, window.opens) == window
    assert all(one.closes <= two.opens for one, two in pairwise(windows))
