"""Random policies that shape sizes and orders, and short selling, to be laid over a drawn case."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.core.markets import SYMBOLS, Case
from tests.core.reference_orders import Command

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


@st.composite
def shorted(draw: st.DrawFn, cases: st.SearchStrategy[Case]) -> Case:
    """A case that sells short: targets of both signs, a script whose goals have both, some turning on the way."""
    case = draw(cases)
    signs = draw(st.lists(st.sampled_from((-1.0, 1.0, -1.0)), min_size=6, max_size=6))
    turn = draw(st.sampled_from((None, len(case.bars) // 2)))
    sign = np.tile(signs[: len(case.bars.symbols)], (len(case.bars), 1))
    if turn is not None:
        sign[turn:] *= -1.0
    weighting = "weight" if case.policy.weighting in ("equal", "equal_held") else case.policy.weighting
    if case.policy.threshold is not None and weighting == "weight":
        weighting = "cash"
    amount = {"cash": 3_000_000.0}.get(weighting, 0.0) if not case.policy.amount else case.policy.amount
    policy = replace(
        case.policy, weighting=weighting, amount=amount, short="simulate",
        short_margin=draw(st.sampled_from((0.5, 1.0, 0.0, 0.33))),
    )  # fmt: skip
    script = case.script
    if script is not None:
        script = [[replace(c, weight=c.weight * sign[t, c.column]) for c in row] for t, row in enumerate(script)]
        last, names = len(script) - 1, len(case.bars.symbols)
        goal = st.tuples(st.integers(0, last), st.integers(0, names - 1), st.sampled_from((-0.4, -0.2, 0.3, 0.0)))
        for t, s, weight in draw(st.lists(goal, min_size=1, max_size=4)):
            script[t].append(Command("target", s, weight=weight))
    costs = replace(case.costs, borrow=draw(st.sampled_from((0.0, 0.2))))
    targets = np.asarray(case.targets, np.float64) * sign
    return case.but(targets=targets, policy=policy, costs=costs, script=script)
