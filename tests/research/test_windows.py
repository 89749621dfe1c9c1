"""Windows of a walk-forward: where they begin and end."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from quantkit.errors import ConfigError
from quantkit.research.windows import Window, add_period, windows_of
from tests.backtest.factories import weekdays

DAYS = weekdays(1500, start="2018-01-02")


def dates(window: Window) -> list[str]:
    rows = (window.train, window.train_stop - 1, window.test, window.stop - 1)
    return [str(np.datetime64(int(DAYS[row]), "D")) for row in rows]


def test_years_are_calendar_years_where_the_bars_begin_with_one():
    found = windows_of(DAYS, train="3Y", test="1Y")
    assert dates(found[0]) == ["2018-01-02", "2020-12-31", "2021-01-01", "2021-12-31"]
    assert dates(found[1]) == ["2019-01-01", "2021-12-31", "2022-01-03", "2022-12-30"]
    assert found[-1].stop == len(DAYS)


def test_anchored_windows_begin_at_the_first_bar_and_an_embargo_shortens_them():
    found = windows_of(DAYS, train="2Y", test="6M", anchored=True, embargo=5)
    assert {window.train for window in found} == {0}
    assert all(window.test - window.train_stop == 5 for window in found)


def test_a_leftover_of_less_than_a_tenth_joins_the_window_before():
    days = np.arange(20_000, 20_209)
    assert [(found.test, found.stop) for found in windows_of(days, train=100, test=100)] == [(100, 209)]
    days = np.arange(20_000, 20_210)
    assert [(found.test, found.stop) for found in windows_of(days, train=100, test=100)] == [(100, 200), (200, 210)]


def test_bars_and_sessions_count_as_they_are():
    assert windows_of(DAYS, train=1000, test=200)[:2] == [Window(0, 1000, 1000, 1200), Window(200, 1200, 1200, 1400)]
    assert windows_of(DAYS, train="1000D", test="200D")[:2] == windows_of(DAYS, train=1000, test=200)[:2]
    intraday = np.repeat(DAYS, 3)
    assert windows_of(intraday, train="1000D", test="200D", embargo=1)[0] == Window(0, 2997, 3000, 3600)


def test_a_month_later_is_the_last_day_where_there_is_no_such_day():
    assert str(np.datetime64(add_period(19_388, "1M"), "D")) == "2023-02-28"
    assert str(np.datetime64(add_period(19_388, "13M"), "D")) == "2024-02-29"


@settings(max_examples=60, deadline=None)
@given(
    train=st.one_of(st.integers(1, 400), st.sampled_from(["1Y", "5M", "3W", "77D"])),
    test=st.one_of(st.integers(1, 400), st.sampled_from(["1Y", "5M", "3W", "77D"])),
    anchored=st.booleans(), embargo=st.integers(0, 3), first=st.integers(0, 300),
)  # fmt: skip
def test_tests_follow_each_other_and_training_ends_before_them(train, test, anchored, embargo, first):
    assume(embargo == 0 or not isinstance(train, int) or train > embargo)
    found = windows_of(DAYS, train=train, test=test, anchored=anchored, embargo=embargo, first=first)
    assert [window.test for window in found[1:]] == [window.stop for window in found[:-1]]
    assert found[-1].stop == len(DAYS)
    for window in found:
        assert first <= window.train < window.train_stop == window.test - embargo < window.stop


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"train": "3X"}, "train='3X'"),
        ({"train": 0}, "train=0"),
        ({"test": True}, "test=True"),
        ({"train": "9Y"}, "longer than the data, which has 1500 bars from 2018-01-02 to 2023-10-02"),
        ({"embargo": -1}, "embargo=-1"),
        ({"train": 5, "embargo": 5}, "nothing is left"),
    ],
)
def test_windows_that_cannot_be_are_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        windows_of(DAYS, **{"train": "3Y", "test": "1Y", **options})
