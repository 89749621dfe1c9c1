"""A `Case` through the compiled fold and through the reference, and where the two differ.

`compiled` calls the same preparation as `backtest` and keeps the fold's raw tables and state; `through_backtest` goes
through the public door.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from quantkit.core.fold import Output, plan_of, simulate
from quantkit.core.prepare import events_of, first_state, has_universe, inputs_of
from quantkit.core.state import ORDER_STATUS, REASONS, RULES, Inputs, Records, State
from quantkit.indicators import sma
from tests.core import reference
from tests.core.markets import Case, panel_of
from tests.core.reference_state import Account


class Prepared(NamedTuple):
    state: State
    inputs: Inputs
    events: Records
    plan: Any


def prepare(case: Case) -> Prepared:
    bars = case.bars
    inputs = inputs_of(
        bars,
        np.ascontiguousarray(case.targets, np.float64),
        policy=case.policy,
        rank=case.rank,
        liquidity=sma(bars.value, 20),
        volume=case.costs.impact > 0.0 or case.policy.participation is not None,
    )
    plan = plan_of(
        case.policy,
        case.costs,
        case.limits,
        fill=case.fill,
        minor_unit=bars.minor_unit,
        grid=bars.prices == "raw",
        float_targets=case.targets.dtype != np.bool_,
        has_universe=has_universe(inputs.flags),
    )
    state = first_state(bars, cash=case.cash, policy=case.policy)
    return Prepared(
        state, inputs, events_of(bars, [(t, paid / bars.minor_unit) for t, paid in sorted(case.deposits.items())]), plan
    )


def compiled(case: Case) -> tuple[Output, State]:
    prepared = prepare(case)
    return simulate(*prepared), prepared.state


def through_backtest(case: Case) -> Any:
    """The public entry's `Result`."""
    from quantkit.backtest.run import backtest

    return backtest(
        targets=case.targets, bars=case.bars, policy=case.policy,
        cash=case.cash / case.bars.minor_unit, costs=case.costs, fill=case.fill,
        limits=case.limits, rank=case.rank,
        deposits={int(case.bars.days[t]): paid / case.bars.minor_unit for t, paid in case.deposits.items()},
    )  # fmt: skip


def by_reference(case: Case) -> Account:
    return reference.simulate(
        panel_of(case.bars), case.targets.astype(float).tolist(), policy=case.policy, costs=case.costs,
        limits=case.limits, cash=case.cash, fill=case.fill, boolean=case.targets.dtype == np.bool_,
        rank=None if case.rank is None else case.rank.tolist(), deposits=case.deposits,
    )  # fmt: skip


FILL_COLUMNS = ("bar", "symbol", "side", "quantity", "price", "value", "commission", "tax", "slippage", "from_proceeds")


def fill_rows(output: Output) -> list[tuple[object, ...]]:
    """Fills as plain tuples in the order of FILL_COLUMNS, then the rule's name; sorted."""
    columns = [output.fills[name].tolist() for name in FILL_COLUMNS]
    return sorted(zip(*columns, (RULES[rule] for rule in output.fills["rule"].tolist()), strict=True))


def reference_fill_rows(account: Account) -> list[tuple[object, ...]]:
    return sorted(
        (
            f.bar,
            f.column,
            f.side,
            f.quantity,
            f.price,
            f.value,
            f.commission,
            f.tax,
            f.slippage,
            int(f.from_proceeds),
            f.rule,
        )
        for f in account.fills
    )


def denied_rows(output: Output) -> list[tuple[object, ...]]:
    """Orders cut or dropped: decided bar, column, side, quantity, filled, status, reason; sorted."""
    names = ("bar", "symbol", "side", "quantity", "filled")
    columns = [output.orders[name].tolist() for name in names]
    codes = (
        [ORDER_STATUS[status] for status in output.orders["status"].tolist()],
        [REASONS[reason] for reason in output.orders["reason"].tolist()],
    )
    return sorted(row for row in zip(*columns, *codes, strict=True) if row[5] in ("cut", "dropped"))


def reference_denied_rows(account: Account) -> list[tuple[object, ...]]:
    return sorted(
        (o.bar, o.column, o.side, o.quantity, o.filled, o.status, o.reason)
        for o in account.orders
        if o.status in ("cut", "dropped")
    )


def differences(case: Case) -> list[str]:
    """What the compiled run and the reference disagree about; empty when they agree."""
    output, state = compiled(case)
    account = by_reference(case)
    pairs: list[tuple[str, object, object]] = [
        ("fills", fill_rows(output), reference_fill_rows(account)),
        ("orders", denied_rows(output), reference_denied_rows(account)),
        ("cash", output.cash.tolist(), account.cash_by_bar),
        ("equity", output.equity.tolist(), account.equity_by_bar),
        ("shares", state.names["shares"].tolist(), account.shares),
        ("due", state.names["due"].tolist(), [account.owned(s) - n for s, n in enumerate(account.shares)]),
        ("goals", state.names["goal"].tolist(), account.goals),
    ]
    found = []
    for what, got, want in pairs:
        if got != want and isinstance(got, list) and isinstance(want, list):
            k = next((k for k, (a, b) in enumerate(zip(got, want, strict=False)) if a != b), min(len(got), len(want)))
            found.append(f"{what}[{k}]: compiled {got[k : k + 2]}, reference {want[k : k + 2]}")
    return found
