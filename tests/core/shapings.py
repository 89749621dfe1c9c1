"""Random policies that shape sizes and orders, to be laid over the policy of a drawn case."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.core.markets import SYMBOLS, Case

GROUPS = {SYMBOLS[0]: "chips", SYMBOLS[1]: "chips", SYMBOLS[2]: "web", SYMBOLS[4]: "bio"}
VALUES: dict[str, tuple[Any, ...]] = {
    "threshold": (0.3, 0.5, 0.75),
    "vol_target": (0.1, 0.4, 2.0),
    "cap_name": (0.1, 0.3),
    "cap_group": (0.2, 0.5),
    "cap_gross": (0.4, 0.8),
    "drift": (0.01, 0.1, 0.5),
    "max_turnover": (0.05, 0.3, 1.0),
    "min_trade_value": (200_000.0, 1_000_000.0),
    "max_holding": (1, 3, 8),
    "pyramid": (2, 4),
    "cooldown": (1, 2, 5),
}
# What never binds on the markets of `tests.core.markets`.
IDLE = {
    "cap_name": 100.0, "cap_group": 100.0, "cap_gross": 100.0, "groups": GROUPS, "max_turnover": 1e6,
    "min_trade_value": 1e-9, "max_holding": 1_000_000, "pyramid": 2, "pyramid_step": 99.0,
}  # fmt: skip


@st.composite
def shaped(draw: st.DrawFn, cases: st.SearchStrategy[Case], always: str = "") -> Case:
    """A case with up to four of these policies on, `always` among them, in ranges that bind."""
    case = draw(cases)
    names = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=4, unique=True))
    names += [always] if always and always not in names else []
    settings = {name: draw(st.sampled_from(VALUES[name])) for name in names}
    if case.policy.weighting == "weight":
        settings.pop("threshold", None)
    if "drift" in settings and case.policy.rebalance == "change":
        settings["rebalance"] = 2
    if "pyramid" in settings:
        settings["pyramid_step"] = draw(st.sampled_from((0.001, 0.01, 0.05)))
    if "vol_target" in settings:
        settings |= {"vol_window": draw(st.sampled_from((2, 3, 6))), "vol_cap": draw(st.sampled_from((1.0, 3.0)))}
    if "cap_group" in settings:
        settings["groups"] = GROUPS
    if "threshold" in settings and case.targets.dtype == np.bool_:
        case = case.but(targets=case.targets.astype(np.float64))
    return case.but(policy=replace(case.policy, **settings))
