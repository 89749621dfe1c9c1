"""The compiled fold equals the plain-Python one: fills and their marks, refusals, cash, equity, shares and
goals, to the minor unit.

`HYPOTHESIS_PROFILE=deep pytest tests/core/test_against_reference.py` runs thousands of markets instead of dozens.
"""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, seed, settings

from quantkit.core.state import REASONS, RULES
from tests.core.markets import SHORT_STARTS, Case, cases
from tests.core.runs import by_reference, differences, fill_rows, reference_fill_rows, through_backtest
from tests.core.shapings import shaped, shorted


@given(cases())
@settings(max_examples=max(200, settings.default.max_examples))
def test_the_compiled_run_equals_the_plain_python_one(case: Case) -> None:
    assert differences(case) == []


@given(shaped(cases()))
@settings(max_examples=max(150, settings.default.max_examples))
def test_policies_shape_sizes_and_orders_as_the_plain_fold_says(case: Case) -> None:
    assert differences(case) == []


@given(shorted(cases(starts=SHORT_STARTS)))
@settings(max_examples=max(200, settings.default.max_examples))
def test_short_positions_are_what_the_plain_fold_says(case: Case) -> None:
    assert differences(case) == []


@given(shorted(shaped(cases(starts=SHORT_STARTS))))
@settings(max_examples=max(100, settings.default.max_examples))
def test_policies_shape_short_positions_as_the_plain_fold_says(case: Case) -> None:
    assert differences(case) == []


@given(cases())
def test_backtest_hands_on_what_the_reference_says(case: Case) -> None:
    run = through_backtest(case).run
    account = by_reference(case)
    assert run.cash.tolist() == account.cash_by_bar
    assert run.equity.tolist() == account.equity_by_bar
    columns = [run.fills[name].tolist() for name in ("bar", "symbol", "side", "quantity", "price", "commission", "tax")]
    expected = [(f.bar, f.column, f.side, f.quantity, f.price, f.commission, f.tax) for f in account.fills]
    assert sorted(zip(*columns, strict=True)) == sorted(expected)


def test_random_markets_reach_every_rule_and_every_reason() -> None:
    """Agreement means little where nothing happens: 500 markets make every rule and every reason occur."""
    seen: Counter[str] = Counter()

    @seed(20240326)
    @settings(max_examples=500, database=None, derandomize=False)
    @given(cases())
    def look(case: Case) -> None:
        account = by_reference(case)
        seen.update({fill.rule for fill in account.fills})
        seen.update({order.reason for order in account.orders})
        seen.update({"from_proceeds"} if any(fill.from_proceeds for fill in account.fills) else set())

    look()
    print("examples in which each rule and reason occurs, of 500:", dict(seen.most_common()))  # noqa: T201
    assert {*RULES[:10], *REASONS[:14], "from_proceeds"} <= set(seen)


def test_random_markets_reach_what_is_about_short_positions() -> None:
    """400 markets close shorts by every stop and print, and deny, cut and drop short sales for every reason."""
    seen: set[str] = set()

    @seed(20250401)
    @settings(max_examples=400, database=None, derandomize=False)
    @given(shorted(shaped(cases(starts=SHORT_STARTS))))
    def look(case: Case) -> None:
        account = by_reference(case)
        fills, orders = account.fills, account.orders
        closed = [order for order in orders if order.role == "covers" or order.kind in RULES]
        seen.update(f"{order.kind} closes" for order in closed if order.side > 0 and order.filled)
        seen.update(f"delisting {fill.side}" for fill in fills if fill.rule == "delisting")
        seen.update(f"opens {order.reason}" for order in orders if order.role == "opens")
        seen.update(f"covers {order.reason}" for order in orders if order.role == "covers")
        seen.update("ambiguous" for fill in fills if fill.ambiguous and fill.side > 0)

    look()
    reasons = ("SHORT_BANNED", "MARGIN", "COLLAR", "LIMIT_LOCKED", "PARTICIPATION", "TURNOVER", "STOPPED", "DAILY_LOSS",
                "ORDER_TOO_LARGE", "MAX_WEIGHT", "MAX_POSITIONS", "MAX_EXPOSURE")  # fmt: skip
    closing = ("at_open", "at_close", "same_close", "vwap", "stop_loss", "take_profit", "trailing_stop")
    wanted = {"ambiguous", "delisting 1", "covers INSUFFICIENT_SHARES", "covers LIMIT_LOCKED", "covers PARTICIPATION"}
    wanted |= {f"opens {reason}" for reason in reasons} | {f"{kind} closes" for kind in closing}
    assert wanted <= seen, wanted - seen


@pytest.mark.slow
def test_a_wider_and_longer_market_agrees_too() -> None:
    @seed(random.Random(7).randrange(10**6))
    @settings(max_examples=40, database=None, derandomize=False)
    @given(cases(max_bars=120, max_names=6))
    def compare(case: Case) -> None:
        assert differences(case) == []

    compare()


def test_a_difference_would_be_seen() -> None:
    """The comparison itself: rows that differ in one field are not equal."""
    from tests.core.runs import compiled

    case = Case.example()
    output, _ = compiled(case)
    account = by_reference(case)
    assert fill_rows(output) == reference_fill_rows(account) != []
    account.fills[0].tax += 1
    assert fill_rows(output) != reference_fill_rows(account)
    assert np.all(output.equity > 0)
