"""Policies and limits are checked when they are built, and survive a manifest."""

from __future__ import annotations

import json

import pytest

from quantkit.core.policy import Policy, RiskLimits
from quantkit.errors import ConfigError


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"weighting": "equally"}, "weighting"),
        ({"weighting": "shares"}, "amount"),
        ({"weighting": "buying_power", "amount": 1.5}, "amount"),
        ({"gross": 0.0}, "gross"),
        ({"stop_loss": 8}, "stop_loss"),
        ({"stop_loss": True}, "stop_loss"),
        ({"trailing_stop": 0.0}, "trailing_stop"),
        ({"take_profit": -0.1}, "take_profit"),
        ({"collar": 1.0}, "collar"),
        ({"max_names": 0}, "max_names"),
        ({"max_names": 2.5}, "max_names"),
        ({"rebalance": "monthly"}, "rebalance"),
        ({"rebalance": 0}, "rebalance"),
        ({"trade_on": "rebalance"}, "trade_on"),
        ({"cash_buffer": 1.0}, "cash_buffer"),
        ({"threshold": 0.0}, "threshold"),
        ({"threshold": 0.7, "weighting": "weight"}, "threshold"),
        ({"vol_target": 0.0}, "vol_target"),
        ({"vol_window": 1}, "vol_window"),
        ({"vol_cap": -1.0}, "vol_cap"),
        ({"cap_name": 0}, "cap_name"),
        ({"cap_group": 0.3}, "cap_group"),
        ({"cap_gross": "all"}, "cap_gross"),
        ({"groups": ["005930"]}, "groups"),
        ({"groups": {"005930": 1}}, "groups"),
        ({"drift": 0.1}, "drift"),
        ({"drift": 0.0, "rebalance": 5}, "drift"),
        ({"max_turnover": -0.1}, "max_turnover"),
        ({"min_trade_value": 0}, "min_trade_value"),
        ({"max_holding": 0}, "max_holding"),
        ({"pyramid": 0}, "pyramid"),
        ({"pyramid": 3}, "pyramid_step"),
        ({"cooldown": 1.5}, "cooldown"),
    ],
)
def test_a_policy_out_of_range_is_refused_by_name(settings: dict[str, object], field: str) -> None:
    with pytest.raises(ConfigError, match=rf"Policy\({field}="):
        Policy(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("settings", [{"max_daily_loss": 3.0}, {"max_weight": 0.0}, {"max_names": "five"}])
def test_a_limit_out_of_range_is_refused_by_name(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=rf"RiskLimits\({next(iter(settings))}="):
        RiskLimits(**settings)  # type: ignore[arg-type]


def test_a_policy_comes_back_from_json_as_it_was() -> None:
    policy = Policy(weighting="equal_held", max_names=20, rebalance="month", trailing_stop=0.1, collar=None)
    assert Policy.from_dict(json.loads(json.dumps(policy.to_dict()))) == policy


def test_an_unknown_field_of_a_stored_policy_is_named() -> None:
    with pytest.raises(ConfigError, match="no field 'stoploss'"):
        Policy.from_dict({"stoploss": 0.1})


def test_groups_are_kept_as_they_were_given_and_travel_in_a_manifest() -> None:
    groups = {"005930": "chips"}
    policy = Policy(cap_group=0.3, groups=groups, cap_gross=1.0, vol_target=0.2, pyramid=2, pyramid_step=0.05)
    groups["000660"] = "chips"
    assert policy.groups == {"005930": "chips"}
    assert Policy.from_dict(json.loads(json.dumps(policy.to_dict()))) == policy
    assert len({policy, Policy.from_dict(policy.to_dict())}) == 1
