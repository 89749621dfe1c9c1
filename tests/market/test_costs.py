"""Commission schedules, and what `Costs` refuses."""

from __future__ import annotations

import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.errors import ConfigError
from quantkit.market import MARKET_ID
from quantkit.market.costs import Costs, cut


def test_kis_charges_its_online_rates_by_market() -> None:
    kis = Costs.kis()
    assert kis.rate("KOSPI") == kis.rate("KOSDAQ") == 0.000140527
    assert kis.rate("ETF") == kis.rate("ETN") == 0.000146527
    assert kis.rate("ELW") == 0.0001498527
    assert kis.rate("US") == 0.0
    assert kis.commission_on(10_000_000) == 1_405
    assert kis.commission_on(10_000_000, market="ETF") == 1_465


def test_kiwoom_cuts_its_commission_to_ten_won() -> None:
    assert Costs.kiwoom().commission_on(1_234_567) == 180
    assert Costs.kiwoom().commission_on(10_000) == 0


def test_both_brokers_cut_once_for_an_orders_day() -> None:
    assert Costs.kis().per == Costs.kiwoom().per == "order_day"
    assert Costs(0.00015).per == "fill"


def test_free_costs_nothing_and_taxes_nothing() -> None:
    assert Costs.free().commission_on(10**12) == 0
    assert Costs.free().tax_on(10**9, market_rate=0.002) == 0


def test_tax_follows_the_market_unless_a_number_replaces_it() -> None:
    assert Costs.kis().tax_on(1_234_567, market_rate=0.0018) == 2_222
    assert Costs(0.0, tax=0.003).tax_on(1_000_000, market_rate=0.0018) == 3_000


def test_a_minimum_and_a_fixed_amount_count_for_real_fills_only() -> None:
    costs = Costs(0.0001, minimum=1_000, fixed=500)
    assert costs.commission_on(100_000) == 1_000
    assert costs.commission_on(100_000_000) == 10_500
    assert costs.commission_on(0) == 0


def test_rates_come_by_market_id() -> None:
    rates = Costs({"default": 0.001, "KOSDAQ": 0.002}).rates()
    assert rates[MARKET_ID["KOSDAQ"]] == 0.002
    assert rates[MARKET_ID["KOSPI"]] == rates[MARKET_ID["US"]] == 0.001


@pytest.mark.parametrize(
    "costs", [Costs.kis(), Costs.kiwoom(), Costs.free(), Costs(0.0001, 100, 10, 0.002, 1, 2.5, 3, "order_day", 0.01)]
)
def test_a_manifest_gives_the_same_costs_back(costs: Costs) -> None:
    assert Costs.from_dict(json.loads(json.dumps(costs.to_dict()))) == costs
    assert pickle.loads(pickle.dumps(costs)) == costs


def test_costs_do_not_change_when_the_mapping_they_came_from_does() -> None:
    mapping = {"default": 0.001}
    costs = Costs(mapping)
    mapping["default"] = 0.09
    assert costs.rate("KOSPI") == 0.001


@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_a_larger_fill_never_costs_less(one: int, other: int) -> None:
    for costs in (Costs.kis(), Costs.kiwoom(), Costs(0.0001, minimum=1_000, truncate_to=10, fixed=7)):
        assert costs.commission_on(min(one, other)) <= costs.commission_on(max(one, other))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"commission": 0.15}, "commission"),
        ({"commission": -0.001}, "commission"),
        ({"commission": float("nan")}, "commission"),
        ({"commission": "0.1"}, "commission"),
        ({"commission": {"KOSPI": 0.001}}, "default"),
        ({"commission": {"default": 0.001, "NYSEX": 0.001}}, "NYSEX"),
        ({"commission": 0.0, "minimum": -1}, "minimum"),
        ({"commission": 0.0, "minimum": 0.5}, "minimum"),
        ({"commission": 0.0, "truncate_to": 0}, "truncate_to"),
        ({"commission": 0.0, "tax": 0.5}, "tax"),
        ({"commission": 0.0, "slippage_ticks": -1}, "slippage_ticks"),
        ({"commission": 0.0, "slippage_bps": 20_000}, "slippage_bps"),
        ({"commission": 0.0, "fixed": float("inf")}, "fixed"),
        ({"commission": 0.0, "tax": True}, "tax"),
        ({"commission": 0.0, "per": "order"}, "order_day"),
        ({"commission": 0.0, "impact": -0.1}, "impact"),
        ({"commission": 0.0, "impact": float("nan")}, "impact"),
    ],
)
def test_a_field_out_of_range_is_named(settings: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        Costs(**settings)  # type: ignore[arg-type]


def test_an_unknown_key_or_market_is_named() -> None:
    with pytest.raises(ConfigError, match="comission"):
        Costs.from_dict({"comission": 0.1})
    with pytest.raises(ConfigError, match="NYSEX"):
        Costs.kis().rate("NYSEX")


@pytest.mark.parametrize(
    ("value", "rate", "fee"), [(100_000_000, 0.0018, 180_000), (10_000, 0.0023, 23), (1_000_000, 0.00015, 150)]
)
def test_a_whole_fee_is_not_lost_to_binary_rounding(value: int, rate: float, fee: int) -> None:
    assert cut(value * rate) == fee
