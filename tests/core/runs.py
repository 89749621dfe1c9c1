"""A `Case` through the compiled fold and through the reference, and where the two differ.

`compiled` calls the same preparation as `backtest` and keeps the fold's raw tables and state; `through_backtest` goes
through the public door.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from quantkit.core.fold import Output, plan_of, simulate
from quantkit.core.prepare import events_of, first_state, has_universe, inputs_of
from quantkit.core.state import (
    N_ORDERS,
    ORDER_STATUS,
    REASONS,
    RULES,
    STAGE_OVER,
    Inputs,
    Records,
    State,
)
from quantkit.indicators import sma
from quantkit.strategy.rules import rule_over, with_room
from tests.core import reference
from tests.core.markets import Case, panel_of
from tests.core.reference_state import Account
from tests.core.scripts import scripted


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
        vwap=case.fill == "next_bar_vwap",
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
    if case.script is None:
        return simulate(*prepared), prepared.state
    strategy = scripted(case.script, case.max_orders)
    state = with_room(strategy, prepared.state)
    with rule_over(
        strategy, case.bars, lead=0, state=state, inputs=prepared.inputs, plan=prepared.plan, interpret=True
    ) as rule:
        return simulate(state, *prepared[1:], rule), state


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
        script=case.script or (), max_orders=case.max_orders,
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


def own_rows(output: Output, state: State) -> list[tuple[object, ...]]:
    """Own orders, those at work too, and what a policy tagged: (bar, column, side, quantity, filled, status, reason,
    done, tag)."""
    names = ("bar", "symbol", "side", "quantity", "filled", "status", "reason", "done_bar", "tag")
    rows: list[tuple[object, ...]] = [
        (*row[:5], ORDER_STATUS[row[5]], REASONS[row[6]], *row[7:])
        for row in zip(*(output.orders[name].tolist() for name in names), strict=True)
        if row[-1]
    ]
    rows += [
        (*(int(order[name]) for name in ("bar", "symbol", "side", "want", "filled")), "working", "", -1, int(order.tag))
        for order in state.orders[: state.account[N_ORDERS]]
        if order.own and order.stage != STAGE_OVER
    ]
    return sorted(rows)


def reference_own_rows(account: Account) -> list[tuple[object, ...]]:
    return sorted(
        (
            o.bar,
            o.column,
            o.side,
            o.quantity,
            o.filled,
            o.status,
            "" if o.status == "working" else o.reason,
            o.done,
            o.tag,
        )
        for o in account.orders
        if o.own or (o.tag and o.status != "working")
    )


def ambiguous_rows(output: Output, state: State) -> list[tuple[object, ...]]:
    """(bar, column, side, quantity, price, rule, ambiguous, tag) of all fills."""
    tags = dict(zip(output.orders["order_id"].tolist(), output.orders["tag"].tolist(), strict=True))
    working = state.orders[: state.account[N_ORDERS]]
    tags |= dict(zip(working["id"].tolist(), working["tag"].tolist(), strict=True))
    f = output.fills
    columns = [f[name].tolist() for name in ("bar", "symbol", "side", "quantity", "price")]
    rules = [RULES[rule] for rule in f["rule"].tolist()]
    owned = [tags[order] for order in f["order_id"].tolist()]
    return sorted(zip(*columns, rules, (f["ambiguous"] == 1).tolist(), owned, strict=True))


def reference_ambiguous_rows(account: Account) -> list[tuple[object, ...]]:
    return sorted((f.bar, f.column, f.side, f.quantity, f.price, f.rule, f.ambiguous, f.tag) for f in account.fills)


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
        ("own orders", own_rows(output, state), reference_own_rows(account)),
        ("ambiguous", ambiguous_rows(output, state), reference_ambiguous_rows(account)),
    ]
    found = []
    for what, got, want in pairs:
        if got != want and isinstance(got, list) and isinstance(want, list):
            k = next((k for k, (a, b) in enumerate(zip(got, want, strict=False)) if a != b), min(len(got), len(want)))
            found.append(f"{what}[{k}]: compiled {got[k : k + 2]}, reference {want[k : k + 2]}")
    return found
