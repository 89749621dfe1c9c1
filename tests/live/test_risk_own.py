"""Orders that a rule makes itself, before the money limits: priced as the fold has them; sales open no short."""

from __future__ import annotations

from tests.live.test_risk import BUY, SELL, code, order, view, working

TIGHT = {
    "max_order_shares": 1, "max_order_value": 1.0, "max_weight": 0.01, "max_names": 0, "max_exposure": 0.01,
    "max_drawdown": 0.01, "short": True,
}  # fmt: skip


def test_no_money_limit_denies_a_sale_of_a_rule_that_the_fold_will_cut() -> None:
    lost = view(TIGHT, positions={}, sellable=0, peak_equity=99_000_000)
    assert code(order(SELL, rule="own"), lost) == ""
    assert code(order(SELL, rule="target"), lost) == "ORDER_TOO_LARGE"


def test_a_sale_that_the_fold_will_cut_makes_no_room_and_takes_none() -> None:
    waits = working(SELL, 1_000, symbol="000660", rule="own")
    assert code(order(BUY), view({"max_names": 2, "max_exposure": 0.46}, working=(waits,))) == ""
    assert code(order(BUY), view({"max_exposure": 0.45}, working=(waits,))) == "MAX_EXPOSURE"


def test_a_limit_that_a_rule_gave_its_order_is_its_price_for_the_limits() -> None:
    cheap = {"price": 69_000.0, "rule": "own", "kind": "limit"}
    assert code(order(BUY, **cheap), view({"max_order_value": 690_000.0})) == ""
    assert code(order(BUY, **{**cheap, "rule": "target"}), view({"max_order_value": 690_000.0})) == "ORDER_TOO_LARGE"
    others = (working(BUY, **cheap),)
    assert code(order(BUY, **cheap), view({"max_weight": 8_380_000 / 17_000_000}, working=others)) == ""
    assert code(order(BUY, **cheap), view({"max_weight": 8_379_000 / 17_000_000}, working=others)) == "MAX_WEIGHT"
