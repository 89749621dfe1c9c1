"""Rows of `docs/execution.md` about lots: ELWs are traded by ten, everything else by the share."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings

from quantkit.core.policy import Policy, RiskLimits
from quantkit.core.prepare import first_state
from quantkit.errors import ConfigError
from quantkit.market import MARKETS, krx
from quantkit.market.orders import odd_lot
from tests.core.acted import acted
from tests.core.hand import hand_bars, play
from tests.core.markets import Case, cases
from tests.core.page import row
from tests.core.runs import compiled, differences

WEIGHT = Policy(weighting="weight", collar=0.5)
ONE = hand_bars([1_000] * 3, markets=["ELW"])


@row("lots")
@pytest.mark.parametrize(("weight", "shares"), [(0.25, 20), (0.2, 20), (0.199, 10), (0.099, 0)])
def test_a_goal_is_cut_to_lots(weight: float, shares: int) -> None:
    played = play(ONE, [weight], policy=WEIGHT, cash=100_000)
    assert [fill[1] for fill in played.fills] == ([shares] if shares else [])
    stock = play(hand_bars([1_000] * 3), [weight], policy=WEIGHT, cash=100_000)
    assert [fill[1] for fill in stock.fills] == [int(weight * 100 + 1e-9)]


@row("lots")
@pytest.mark.parametrize(("shortfall", "first", "second"), [("scale", 30, 30), ("sequence", 20, 50), ("reject", 0, 50)])
def test_what_cash_cuts_it_cuts_to_lots(shortfall: Any, first: int, second: int) -> None:
    """Twice fifty at 1,300 are 130,000: 76 % of fifty are 38, and 35,000 pay for 26. The second name sorts first."""
    bars = hand_bars([1_000, 1_300], [1_000, 1_300], markets=["ELW", "ELW"])
    played = play(bars, [0.5], [0.5], policy=replace(WEIGHT, shortfall=shortfall), cash=100_000)
    assert [sum(fill[1] for fill in played.fills_of(name)) for name in (0, 1)] == [first, second]


@row("lots")
def test_less_than_a_lot_is_no_order() -> None:
    short = play(hand_bars([1_000, 1_100], markets=["ELW"]), [1.0], policy=WEIGHT, cash=10_500)
    assert (short.fills, short.refused) == ([], [(0, "dropped", "INSUFFICIENT_CASH")])
    none = play(ONE, [1.0], policy=replace(WEIGHT, weighting="shares", amount=20), cash=9_999)
    assert (none.fills, none.refused) == ([], [(0, "dropped", "INSUFFICIENT_CASH")])
    some = play(ONE, [1.0], policy=replace(WEIGHT, weighting="shares", amount=20), cash=10_000)
    assert [fill[1] for fill in some.fills] == [10]


@row("lots")
def test_other_cuts_are_to_lots_too() -> None:
    half = play(ONE, [0.5], policy=replace(WEIGHT, participation=0.025), cash=100_000)  # of 1,000 traded
    assert [fill[1] for fill in half.fills] == [20, 20]
    turned = play(ONE, [0.5], policy=replace(WEIGHT, max_turnover=0.25), cash=100_000)
    assert [fill[1] for fill in turned.fills] == [20, 20]
    exposed = play(ONE, [0.5], policy=WEIGHT, limits=RiskLimits(max_exposure=0.37), cash=100_000)
    assert [fill[1] for fill in exposed.fills] == [30]


@row("lots")
def test_an_own_order_of_an_odd_lot_is_not_made() -> None:
    run = acted(ONE, {0: lambda ctx: [ctx.buy(0, 15), ctx.buy(0, 20)]}, policy=WEIGHT)
    assert [fill[1] for fill in run.fills] == [20]
    assert (0, 0, "dropped", "BAD_ORDER", 0) in run.ends
    asked = acted(ONE, {0: lambda ctx: ctx.target_shares(0, 37)}, policy=WEIGHT)
    assert [fill[1] for fill in asked.fills] == [30]


@row("lots")
def test_an_elw_has_no_limits_of_the_day() -> None:
    """Three times the base: an ELW trades there, a stock's order is refused."""
    for market, shares, reason in (("ELW", 20, ""), ("KOSPI", 0, "OUT_OF_LIMITS")):
        bars = hand_bars([1_000, (3_000, 3_000, 2_900, 3_000)], markets=[market])
        run = acted(bars, {0: lambda ctx: ctx.buy(0, 20, limit=3_000)}, policy=WEIGHT)
        assert [(end[1], end[3]) for end in run.ends] == [(shares, reason)]


def test_market_orders_of_an_elw_are_refused_before_anything_runs() -> None:
    market = replace(WEIGHT, collar=None)
    with pytest.raises(ConfigError, match=r"collar=None.*005930 is of ELW.*give a collar"):
        first_state(ONE, cash=1_000_000, policy=market)
    assert first_state(hand_bars([1_000]), cash=1_000_000, policy=market)


@given(cases(calm=True, markets_of=("ELW", "KOSPI")))
@settings(max_examples=100)
def test_every_fill_of_an_elw_is_whole_lots_and_as_the_plain_fold_says(case: Case) -> None:
    assert differences(case) == []
    output, _ = compiled(case)
    for order in (*output.orders, *output.fills):
        assert odd_lot(int(order["quantity"]), case.bars.markets[order["symbol"]]) == ""


def test_the_fold_has_the_lots_of_the_rules() -> None:
    from quantkit.market.rules import lot_sizes

    assert lot_sizes().tolist() == [krx.lot_size(name) if name not in ("US", "NONE") else 1 for name in MARKETS]
