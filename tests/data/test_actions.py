"""Corporate actions: what a row may say, factors, and where an action falls in a panel."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.data.actions import (
    KIND_ID,
    NO_DAY,
    Action,
    actions_frame,
    changes,
    factor_matrix,
    locate,
    make_actions,
    no_actions,
)
from quantkit.data.dates import epoch_day
from quantkit.errors import BadData


def test_a_split_needs_only_its_share_ratio():
    table = make_actions([Action("005930", "2018-05-04", "split", share_ratio=50)])
    assert table["price_factor"].tolist() == [50.0]
    assert table["ex_day"].tolist() == [epoch_day("2018-05-04")]
    assert table["pay_day"].tolist() == [NO_DAY]


def test_a_cash_dividend_moves_no_price_and_no_share():
    table = make_actions([Action("005930", "2023-12-27", "dividend", cash_per_share=361, pay_date="2024-04-19")])
    assert (table["price_factor"][0], table["share_ratio"][0], table["cash_per_share"][0]) == (1.0, 1.0, 361.0)
    assert not changes(table, ("005930",))


def test_an_unknown_kind_counts_shares_by_its_price_factor():
    table = make_actions([Action("005930", "2023-12-27", "unknown", price_factor=1.25)])
    assert np.isnan(table["share_ratio"][0])
    days = np.array([epoch_day("2023-12-26"), epoch_day("2023-12-27")])
    assert factor_matrix(table, days, ("005930",), field="share_ratio").ravel().tolist() == [1.0, 1.25]
    assert changes(table, ("005930",), field="share_ratio")


def test_actions_come_out_in_date_order_and_survive_a_frame():
    rows = [
        Action("B", "2024-02-01", "split", share_ratio=2.0),
        Action("A", "2024-01-02", "dividend", cash_per_share=10.0, pay_date="2024-03-02"),
        Action("A", "2024-02-01", "bonus", share_ratio=1.1, receivable=True),
    ]
    table = make_actions(rows)
    assert table["symbol"].tolist() == ["A", "A", "B"]
    assert (make_actions(actions_frame(table)) == table).all()
    assert len(make_actions(None)) == len(make_actions(pd.DataFrame(columns=["symbol", "ex_date", "kind"]))) == 0


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"symbol": "A", "ex_date": "2024-01-02", "kind": "gift"}, "kind 'gift' is not one of split, bonus"),
        ({"symbol": 5930, "ex_date": "2024-01-02", "kind": "split"}, "symbol 5930 is not a code"),
        ({"symbol": "A", "ex_date": "2024-01-02", "kind": "split"}, "a split needs share_ratio"),
        ({"symbol": "A", "ex_date": "2024-01-02", "kind": "rights"}, "rights need price_factor"),
        (
            {"symbol": "A", "ex_date": "2024-01-02", "kind": "rights", "price_factor": 1.1, "share_ratio": 1.2},
            "taken as sold",
        ),
        (
            {"symbol": "A", "ex_date": "2024-01-02", "kind": "reduction", "share_ratio": 0.5, "cash_per_share": 9.0},
            "a reduction that pays cash needs price_factor",
        ),
        ({"symbol": "A", "ex_date": "x", "kind": "dividend"}, "ex_date: 'x' is not a date"),
        (
            {"symbol": "A", "ex_date": "2024-01-02", "kind": "split", "share_ratio": -1.0},
            "must be a finite number above 0",
        ),
        ({"symbol": "A", "ex_date": "2024-01-02", "kind": "unknown", "price_factor": 0.0}, "price_factor 0.0 must be"),
        ({"symbol": "A", "ex_date": "2024-01-02", "kind": "dividend", "cash_per_share": -1.0}, "zero or more"),
        ({"symbol": "A", "kind": "split", "ratio": 2.0}, r"missing \['ex_date'\], unknown \['ratio'\]"),
        ("A", "expected an Action or a mapping"),
    ],
)
def test_a_row_that_cannot_be_is_refused_with_its_number(row, words):
    with pytest.raises(BadData, match=words) as caught:
        make_actions([Action("Z", "2024-01-02", "dividend"), row])
    assert "actions row 1" in str(caught.value)


def test_a_price_factor_given_the_wrong_way_round_says_so():
    with pytest.raises(BadData, match=r"disagree for a split; price_factor is what raw prices are multiplied by"):
        make_actions([Action("A", "2024-01-02", "split", price_factor=0.02, share_ratio=50.0)])


def test_actions_that_are_no_rows_are_refused():
    with pytest.raises(BadData, match="expected a DataFrame or a list of Action rows, got str"):
        make_actions("splits.csv")


def test_an_action_falls_on_the_first_bar_on_or_after_its_ex_date():
    table = make_actions(
        [
            Action("A", "2024-01-01", "split", share_ratio=9.0),  # before the panel
            Action("A", "2024-01-02", "split", share_ratio=2.0),  # on its first bar
            Action("A", "2024-01-04", "split", share_ratio=3.0),  # on a day without a bar
            Action("B", "2024-01-03", "dividend", cash_per_share=1.0),
            Action("C", "2024-01-03", "dividend", cash_per_share=1.0),  # not in the panel
            Action("A", "2024-02-01", "split", share_ratio=4.0),  # after it
        ]
    )
    days = np.array([epoch_day(day) for day in ("2024-01-02", "2024-01-02", "2024-01-03", "2024-01-05")])
    placed = locate(table, days, ("B", "A"))
    assert placed.row.tolist() == [0, 2, 3]
    assert placed.column.tolist() == [1, 0, 1]
    assert placed.table["kind"].tolist() == [KIND_ID["split"], KIND_ID["dividend"], KIND_ID["split"]]
    assert len(locate(no_actions(), days, ("B", "A")).row) == 0


ratios = st.sampled_from([0.1, 0.5, 1.0, 1.05, 2.0, 5.0, 50.0])
events = st.lists(st.tuples(st.sampled_from("ABC"), st.integers(0, 40), ratios), max_size=12)


@given(events=events, cut=st.integers(1, 40))
def test_a_factor_once_seen_never_changes_when_bars_or_actions_are_added(events, cut):
    days = np.arange(41)
    rows = [Action(symbol, day, "split", share_ratio=ratio) for symbol, day, ratio in events]
    whole = factor_matrix(make_actions(rows), days, ("A", "B", "C"))
    known = [row for row in rows if row.ex_date < cut]
    early = factor_matrix(make_actions(known), days[:cut], ("A", "B", "C"))
    assert np.array_equal(whole[:cut], early)
