"""Order kinds by date, venue, phase, market and status, as the rule book says."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.errors import BadData
from quantkit.market import MARKET_ID, MARKETS, kernels, krx
from quantkit.market.days import epoch_days
from quantkit.market.orders import (
    FOLD_PHASES,
    FOLD_STATUSES,
    KINDS,
    ORDERS,
    PHASES,
    REFUSED,
    accepted,
    odd_lot,
    order_rules,
    whole_lots,
)
from quantkit.market.rules import rule_rows, rule_tables
from tests.market.conftest import Answers

RULES = rule_tables(np.zeros(0, np.int64))
accepts = getattr(kernels.accepts, "py_func", kernels.accepts)  # compiled, it can be called from compiled code only
DAYS = ("2003-01-02", "2004-01-26", "2014-01-02", "2023-06-23", "2023-06-26", "2025-03-03", "2025-03-04", "2026-09-14")


def test_the_exchange_takes_what_its_rules_say(answers: Answers) -> None:
    for row in answers("orders"):
        asked = {name: row[name] for name in ("date", "venue", "market", "phase", "status")}
        taken = [kind for kind in KINDS if not accepted(kind, **asked)]
        assert taken == row["taken"].split(), row


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"kind": "best_own_ioc"}, "ORDER_KIND "),
        ({"kind": "mid", "date": "2025-03-03"}, "ORDER_NOT_YET kind=mid market=KOSPI: taken from 2025-03-04"),
        ({"kind": "limit", "venue": "NXT", "date": "2025-03-03"}, "ORDER_NO_PHASE venue=NXT phase=continuous"),
        ({"kind": "market", "market": "ELW"}, "ORDER_MARKET kind=market market=ELW"),
        ({"kind": "fok", "market": "코넥스"}, "ORDER_MARKET kind=fok market=KONEX"),
        ({"kind": "conditional", "phase": "closing_auction"}, "ORDER_PHASE "),
        ({"kind": "ioc", "phase": "opening_orders"}, "ORDER_PHASE kind=ioc phase=opening_orders: taken in"),
        ({"kind": "ioc", "status": "liquidation"}, "ORDER_STATUS kind=ioc phase=continuous status=liquidation"),
        ({"kind": "limit", "status": "halted"}, "ORDER_STATUS "),
        ({"kind": "market", "phase": "opening_orders", "status": "first_day"}, "ORDER_STATUS "),
    ],
)
def test_a_refusal_says_why(asked: dict[str, str], code: str) -> None:
    assert accepted(**{"date": "2025-06-02", **asked}).startswith(code)


@pytest.mark.parametrize("wrong", ["kind", "phase", "venue", "status", "market"])
def test_an_unknown_word_is_refused_by_name(wrong: str) -> None:
    asked = {"kind": "limit", "date": "2025-06-02", wrong: "nothing"}
    with pytest.raises(BadData, match=f"{wrong}='nothing'"):
        accepted(**asked)


def test_compiled_code_gives_the_same_answer() -> None:
    for day, market in itertools.product(DAYS, MARKETS):
        row = int(rule_rows(epoch_days(day)))
        for (s, status), (p, phase), (k, kind) in itertools.product(
            enumerate(FOLD_STATUSES), enumerate(FOLD_PHASES), enumerate(KINDS)
        ):
            said = not accepted(kind, date=day, phase=phase, market=market, status=status)
            assert accepts(RULES, row, MARKET_ID[market], k, p, s) == said, (day, market, status, phase, kind)


def test_the_fold_counts_the_kinds_as_agreed() -> None:
    assert KINDS[:7] == ("limit", "market", "conditional", "ioc", "fok", "market_ioc", "market_fok")
    assert order_rules(np.array([20_000])).shape == (1, len(MARKETS), 3, 3)


def test_every_row_names_known_things_and_its_source() -> None:
    for row in (*ORDERS, *REFUSED):
        assert row.source
        assert set(row.kinds) <= set(KINDS)
        assert set(row.phases) <= set(PHASES)
        assert row.until is None or row.since <= row.until


@given(st.integers(0, 10**9), st.sampled_from(MARKETS))
def test_whole_lots_are_the_most_that_is_no_odd_lot(shares: int, market: str) -> None:
    whole, lot = whole_lots(shares, market), 10 if market == "ELW" else 1
    assert 0 <= shares - whole < lot
    assert odd_lot(whole, market) == ""
    assert bool(odd_lot(shares, market)) == (shares != whole)


def test_an_odd_lot_says_what_to_order_instead() -> None:
    assert odd_lot(25, "ELW").endswith("a multiple of 10 is needed, such as 20 or 30")
    assert odd_lot(3, "ELW").endswith("such as 10")


def test_lots() -> None:
    assert [krx.lot_size(market) for market in ("KOSPI", "KOSDAQ", "KONEX", "ETF", "ETN", "ELW")] == [1, 1, 1, 1, 1, 10]
