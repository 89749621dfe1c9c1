"""A strategy's own orders: the compiled fold equals the plain-Python one on random markets and random scripts.

Scripts make, cancel, replace and group orders of every kind near the market, beside targets, policies' stops, caps on
volume and either funding; the rule that replays them runs interpreted inside the compiled fold. Compared to the unit:
fills and their marks, cash, equity, shares, goals, and every row of orders with its reason and its last bar.

`HYPOTHESIS_PROFILE=deep pytest tests/core/test_orders_against_reference.py` runs thousands of scripts.
"""

from __future__ import annotations

from hypothesis import given, settings

from tests.core.markets import SHORT_STARTS, Case, scripted_cases
from tests.core.runs import by_reference, differences
from tests.core.shapings import shaped, shorted


@given(scripted_cases())
@settings(max_examples=max(120, settings.default.max_examples))
def test_own_orders_do_what_the_plain_fold_says(case: Case) -> None:
    assert differences(case) == []


@given(shaped(scripted_cases()))
def test_own_orders_beside_policies_do_what_the_plain_fold_says(case: Case) -> None:
    assert differences(case) == []


@given(shorted(scripted_cases(starts=SHORT_STARTS)))
@settings(max_examples=max(120, settings.default.max_examples))
def test_own_orders_beside_short_positions_do_what_the_plain_fold_says(case: Case) -> None:
    assert differences(case) == []


@given(shorted(shaped(scripted_cases(starts=SHORT_STARTS))))
def test_own_orders_beside_policies_and_short_positions_do_what_the_plain_fold_says(case: Case) -> None:
    assert differences(case) == []


def test_scripts_make_things_happen() -> None:
    """Agreement means little where nothing happens: scripts fill at opens, on paths, by triggers and at closes, beside
    policies' stops, and orders end for many reasons."""
    seen: set[str] = set()

    @given(scripted_cases())
    @settings(max_examples=200, derandomize=True)
    def look(case: Case) -> None:
        account = by_reference(case)
        seen.update(fill.rule for fill in account.fills)
        seen.update(order.reason for order in account.orders)
        seen.update("ambiguous" for fill in account.fills if fill.ambiguous)

    look()
    assert {"open", "close", "limit", "limit_open", "stop", "stop_open", "stop_loss", "conditional_close"} <= seen
    assert {"OCO", "PARENT", "EXPIRED", "CANCELLED", "REPLACED", "INSUFFICIENT_CASH", "PARTICIPATION"} <= seen
    assert {"BAD_ORDER", "OUT_OF_LIMITS", "HALTED", "INSUFFICIENT_SHARES", "ambiguous"} <= seen
