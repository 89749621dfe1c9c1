"""Short-sale bans, day by day around their edges."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from quantkit.market import MARKET_ID
from quantkit.market.days import epoch_days
from quantkit.market.rules import rule_rows, rule_tables
from quantkit.market.short import ALLOWED, BANNED, BANS, MEMBERS_ONLY, short_allowed

# last day before, first day, last day, first day after
BANNED_SPANS = [
    ("2008-09-30", "2008-10-01", "2009-05-31", "2009-06-01"),
    ("2011-08-09", "2011-08-10", "2011-11-09", "2011-11-10"),
    ("2020-03-13", "2020-03-16", "2021-05-02", "2021-05-03"),
    ("2023-11-05", "2023-11-06", "2025-03-30", "2025-03-31"),
]


@pytest.mark.parametrize("market", ["KOSPI", "KOSDAQ", "KONEX", "ETF"])
@pytest.mark.parametrize(("before", "first", "last", "after"), BANNED_SPANS)
def test_a_ban_holds_for_every_issue_from_its_first_to_its_last_day(
    before: str, first: str, last: str, after: str, market: str
) -> None:
    found = [short_allowed(day, market, member=True) for day in (before, first, last, after)]
    assert found == [True, False, False, True]
    assert not short_allowed(first, market)


@pytest.mark.parametrize("day", ["2021-05-03", "2022-06-15", "2023-11-05"])
def test_between_two_bans_only_index_members_could_be_sold_short(day: str) -> None:
    assert short_allowed(day, member=True)
    assert not short_allowed(day, member=False)
    assert not short_allowed(day), "not knowing counts as no"


@pytest.mark.parametrize("day", ["2007-01-02", "2025-04-01"])
def test_an_elw_is_never_sold_short(day: str) -> None:
    assert not short_allowed(day, "ELW", member=True)


def test_other_exchanges_have_no_ban_of_ours() -> None:
    assert short_allowed("2020-03-19", "US")


def test_the_table_says_the_same_by_rule_row() -> None:
    table = rule_tables(np.zeros(0, np.int64)).short
    days = np.arange(*epoch_days(["2008-01-01", "2026-01-01"]))
    for name in ("KOSPI", "KOSDAQ", "ELW", "US"):
        state = table[rule_rows(days), MARKET_ID[name]]
        texts = days.astype("datetime64[D]").astype(str)
        for day, found in zip(texts[::7].tolist(), state[::7].tolist(), strict=True):
            expected = (
                ALLOWED if short_allowed(day, name) else MEMBERS_ONLY if short_allowed(day, name, True) else BANNED
            )
            assert found == expected, (day, name)


def test_rows_follow_one_another() -> None:
    assert all(one.until < two.since for one, two in itertools.pairwise(BANS))
    assert all(row.source and row.since <= row.until for row in BANS)
