"""A strategy's own orders: the compiled fold equals the plain-Python one on random markets and random scripts.

Scripts make, cancel, replace and group orders of every kind near the market; the rule that replays them runs
interpreted inside the compiled fold. Compared to the unit: fills, cash, equity, shares and goals. Policies' stops, caps
on volume and funding by cash alone beside own orders are left to the tests of the page's rows.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings

from tests.core.markets import Case, scripted_cases
from tests.core.runs import by_reference, differences

COMPARED = ("fills", "cash", "equity", "shares", "goals")
ALONE = {"funding": "proceeds", "participation": None, "stop_loss": None, "take_profit": None, "trailing_stop": None}


def own_orders_alone(case: Case) -> Case:
    """The same market and script under a policy that adds no stops, caps or reservations."""
    return case.but(policy=replace(case.policy, **ALONE))


@given(scripted_cases().map(own_orders_alone))
@settings(max_examples=max(80, settings.default.max_examples))
def test_own_orders_do_what_the_plain_fold_says(case: Case) -> None:
    assert [found for found in differences(case) if found.startswith(COMPARED)] == []


def test_scripts_make_things_happen() -> None:
    """Agreement means little where nothing happens: scripts fill at opens, on paths, by triggers and at closes."""
    seen: set[str] = set()

    @given(scripted_cases().map(own_orders_alone))
    @settings(max_examples=150)
    def look(case: Case) -> None:
        seen.update(fill.rule for fill in by_reference(case).fills)

    look()
    assert {"open", "close", "limit", "limit_open", "stop", "stop_open"} <= seen
