"""The fold: the same compiled steps for years in one call, for a chunk, or for one bar.

    for each bar:  open_bar -> release -> match_open -> match_path -> match_close -> expire -> mark -> decide
                   and with fill="close" once more: match_close -> expire -> mark

A strategy's `on_bar` acts at the start of `decide`; its own orders are looked at in all steps before (`book`, `path`).

`simulate` composes them over all rows it is given and carries the state, so that a run in one piece, in chunks and bar
by bar is the same run to the last bit. `core.steps` has the parts of a bar, which live trading takes one by one with
fills from outside. Nothing is allocated inside; full buffers hand control back and are emptied.

Numbers: money int64 minor units, shares int64, prices float64 in the won of the day, bars counted from the run's first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numba
import numpy as np

from quantkit.core.account import cash_of
from quantkit.core.coast import coast, may_coast
from quantkit.core.context import Books, Frame, Rule, frame_address, inputs_of, log_of, state_of
from quantkit.core.context import plan_of as plan_at
from quantkit.core.matching import match_close
from quantkit.core.policy import CAPS, FILLS, LIMIT_FILLS, PATHS, SHORTFALLS, WEIGHTINGS, Policy, RiskLimits, shaping_of
from quantkit.core.state import (
    CLOSING,
    DATE,
    EQUITY,
    EVENT,
    N_PAY,
    OPENING,
    PLAN,
    PREV_ROW,
    RULES_OF_DATES,
    Bytes,
    Inputs,
    Ints,
    Log,
    Record,
    Records,
    State,
    copied,
    i64,
    new_log,
    no_records,
    room_for_bar,
)
from quantkit.core.steps import closes_again, end_bar, evening, evening_again, market, morning
from quantkit.jit import frozen, njit_bare, njit_entry
from quantkit.market.rules import lot_sizes, rule_tables

if TYPE_CHECKING:
    from quantkit.core.context import Address
    from quantkit.market.costs import Costs


class Output(NamedTuple):
    """What a run leaves behind besides its state."""

    equity: Ints  # (T,) at each bar's close
    cash: Ints  # (T,) settled or not
    fills: Records  # FILL_ROW
    orders: Records  # ORDER_ROW
    actions: Records  # ACTION_ROW


@njit_entry
def _run(
    state: State, inputs: Inputs, events: Records, plan: Record, log: Log, equity: Ints, cash: Ints,
    start: int, room: int, rare: int | None, extra: int | None, rule: Rule | None, plain: int | None,
) -> int:  # fmt: skip
    """Fold bars from `start` on; returns the next bar to fold: all of them, or fewer when a buffer could run over.

    rare, extra: None compiles a kernel without what `is_rare` and `is_extra` name, which a first run need not wait for.
    rule: None compiles one without own orders; then plain is 1, else None: only what is None is left out.
    """
    if rule is None:
        books = frame_address(Books(state, inputs, plan, log))
        return _fold(books, i64(0), i64(0), events, equity, cash, start, room, rare, extra, None, plain)
    frame = frame_address(Frame(state, inputs, plan, log, rule.past, rule.signals, rule.now))
    return _fold(frame, rule.call, rule.params, events, equity, cash, start, room, rare, extra, i64(1), plain)


@njit_bare
def _fold(
    frame: Address, call: Address, params: Address, events: Records, equity: Ints, cash: Ints,
    start: int, room: int, rare: int | None, extra: int | None, rule: int | None, plain: int | None,
) -> int:  # fmt: skip
    state, inputs, plan, log = state_of(frame), inputs_of(frame), plan_at(frame), log_of(frame)
    account = state.account
    full = len(log.fills) - room
    t = start
    while t < len(inputs.dates):
        if plain is not None and may_coast(state, events, plan, t, extra):
            t = coast(state, inputs, events, plan, equity, cash, t)
            if t == len(inputs.dates):
                break
        if log.used[1] > full or log.used[2] > full:  # every fill has its row of orders
            return t
        prints = morning(state, inputs, events, plan, log, frame, t, rare, extra, rule, i64(1))
        market(state, inputs, plan, log, frame, t, prints, rare, extra, rule, plain)
        evening(state, inputs, plan, log, frame, call, params, t, prints, extra, rule, plain)
        if closes_again(state, plan):
            match_close(state, inputs, plan, log, t, rare, extra, rule)
            evening_again(state, inputs, plan, log, frame, t, rule)
        equity[t] = account[EQUITY]
        cash[t] = cash_of(state)
        end_bar(state, plan, rare)
        t += 1
    return t


def _close_chunk(state: State, inputs: Inputs) -> None:
    """Leave the state as if it had never known rows: what the next chunk needs of this one is in it."""
    row = int(state.account[PREV_ROW])
    if row >= 0:
        state.names["session_close"] = inputs.close[row]
    state.names["last_close"] = inputs.close[-1]
    state.account[[PREV_ROW, EVENT]] = (-1, 0)


def emptied(log: Log) -> tuple[Records, Records, Records]:
    """Copies of the filled part of the buffers, which start anew."""
    fills, orders, actions = log.used.tolist()
    log.used[:] = 0
    return copied(log.fills[:fills]), copied(log.orders[:orders]), copied(log.actions[:actions])


def is_rare(state: State, events: Records, plan: Record) -> bool:
    """Whether a run needs more than the small kernel: events, interest, a cap on volume, funding by cash alone."""
    owed = len(events) > 0 or state.account[N_PAY] > 0 or plan["interest"] > 0.0
    return bool(owed or plan["participation"] < np.inf or plan["funding_cash"])


def is_extra(plan: Record) -> bool:
    """Whether a decision needs more: places, risk limits, policies that shape sizes and orders, another way to share
    what cash is short, short positions.
    """
    limits = ("max_order_value", "max_order_shares", "max_weight", "max_positions", "max_exposure")
    limited = any(plan[name] < np.inf for name in (*limits, "max_daily_loss", "max_drawdown"))
    shaped = any(plan[name] < np.inf for name in (*CAPS, "max_turnover")) or plan["drift"] >= 0 or plan["pyramid"] > 1
    shaped |= any(plan[name] > 0 for name in ("scaled", "max_holding", "cooldown", "min_trade_value"))
    return bool(limited or shaped or plan["max_names"] or plan["shortfall"] or plan["shorting"])


def _coasts(plan: Record) -> bool:
    """Whether no limit and no policy looks at a bar on which no target changes."""
    limited = any(plan[name] < np.inf for name in ("max_daily_loss", "max_drawdown"))
    looking = any(plan[name] > 0 for name in ("has_universe", "interest", "shorting", "max_holding", "cooldown"))
    return not (limited or looking or plan["pyramid"] > 1)


def kernel_of(
    state: State, events: Records, plan: Record, rule: Rule | None = None
) -> tuple[int | None, int | None, int | None]:
    """rare, extra, plain: which kernel a run needs."""
    extra = 1 if is_extra(plan) else None
    rare = 1 if rule is not None or extra or is_rare(state, events, plan) else None
    return rare, extra, 1 if rule is None else None


def address_of_run(*arguments: object) -> Address:
    """Where the fold lies that is compiled for arguments like these, those of `_run`; for `core.repeat`."""
    if not hasattr(_run, "overloads"):
        return _run
    compiled: Any = _run
    kinds = tuple(numba.typeof(value) for value in arguments)
    compiled.compile(kinds)
    result = compiled.overloads[kinds]
    return int(result.library.get_pointer_to_function(result.fndesc.llvm_func_name))


def simulate(state: State, inputs: Inputs, events: Records, plan: Record, rule: Rule | None = None) -> Output:
    """Fold all rows of `inputs` (T >= 1) with the simulator filling orders; `state` is carried in place.

    rule: a strategy's `on_bar`; what it raises is raised here, and the state is then of no use.
    """
    inputs = frozen(inputs)
    if rule is not None:
        rule = rule._replace(past=frozen(rule.past))
    names = len(state.names)
    resting = len(state.orders) if rule is not None else 0
    log, room = new_log(names, orders=resting), room_for_bar(names, resting)
    rare, extra, plain = kernel_of(state, events, plan, rule)
    equity, cash = np.empty(len(inputs.dates), np.int64), np.empty(len(inputs.dates), np.int64)
    parts = []
    t = 0
    while t < len(inputs.dates):
        t = _run(state, inputs, events, plan, log, equity, cash, t, room, rare, extra, rule, plain)
        parts.append(emptied(log))
    _close_chunk(state, inputs)
    fills, orders, actions = (np.concatenate(tables) for tables in zip(*parts, strict=True))
    return Output(equity, cash, fills, orders, actions)


def plan_of(
    policy: Policy,
    costs: Costs,
    limits: RiskLimits | None = None,
    *,
    fill: str = "next_open",
    minor_unit: int = 1,
    grid: bool = True,
    float_targets: bool = False,
    has_universe: bool = False,
) -> Record:
    """Policy, costs and limits as the numbers the compiled steps read.

    grid: False switches ticks and price limits off (adjusted prices).
    float_targets: weights, unless the weighting multiplies an amount or a threshold makes them in or out; then "equal"
    and "equal_held" do not apply.
    """
    weighting = policy.weighting
    if float_targets and policy.threshold is None and weighting in ("equal", "equal_held"):
        weighting = "weight"
    cap = limits or RiskLimits()

    def or_none(value: float | None) -> float:
        return 0.0 if value is None else float(value)

    def or_inf(value: float | None) -> float:
        return float("inf") if value is None else float(value)

    numbers = {
        "weighting": WEIGHTINGS.index(weighting),
        "amount": float(policy.amount),
        "gross": float(policy.gross),
        "max_names": policy.max_names or 0,
        "periodic": int(policy.rebalance != "change"),
        "read_on_dates": int(policy.trade_on == "rebalance"),
        "stop_loss": or_none(policy.stop_loss),
        "take_profit": or_none(policy.take_profit),
        "trailing_stop": or_none(policy.trailing_stop),
        "funding_cash": int(policy.funding == "cash"),
        "collar": -1.0 if policy.collar is None else float(policy.collar),
        "cash_buffer": float(policy.cash_buffer),
        "retry": int(policy.retry),
        "shortfall": SHORTFALLS.index(policy.shortfall),
        "rounding_order": int(policy.rounding == "order"),
        "slip_entry_only": int(policy.slippage_on == "entry"),
        "fill_kind": FILLS.index(fill),
        "unit": float(minor_unit),
        "has_universe": int(has_universe),
        "lot": lot_sizes(),
        "shorting": int(policy.short is not None),
        "short_margin": float(policy.short_margin),
        "touch": LIMIT_FILLS.index(policy.limit_fill),
        "path": PATHS.index(policy.path),
        "participation": or_inf(policy.participation),
        "max_order_value": or_inf(cap.max_order_value),
        "max_order_shares": or_inf(cap.max_order_shares),
        "max_weight": or_inf(cap.max_weight),
        "max_positions": or_inf(cap.max_names),
        "max_exposure": or_inf(cap.max_exposure),
        "max_daily_loss": or_inf(cap.max_daily_loss),
        "max_drawdown": or_inf(cap.max_drawdown),
        "min_cash": or_none(cap.min_cash),
    } | shaping_of(policy)
    record = no_records(1, PLAN)
    for name, value in (numbers | _costs_in_numbers(costs)).items():
        record[name] = value
    for name, table in zip(RULES_OF_DATES, rule_tables(np.zeros(0, np.int64), grid=grid)[1:], strict=True):
        record[name] = table
    record["coasts"] = _coasts(record[0])
    return record[0]


def dates_of(days: Ints, rebalance: Bytes | None = None, phase: Bytes | None = None) -> Records:
    """The (T,) DATE rows of bars with these session days: rule row, whether it is a rebalance date, and its auctions.

    phase: bits of `core.phases`; None: daily bars, which hold both.
    """
    dates = no_records(len(days), DATE)
    dates["day"] = days
    dates["row"] = rule_tables(days).row
    if rebalance is not None:
        dates["rebalance"] = rebalance
    dates["phase"] = OPENING | CLOSING if phase is None else phase
    return dates


def _costs_in_numbers(costs: Costs) -> dict[str, object]:
    """The part of a plan that says what a fill and a day cost."""
    return {
        "slip_ticks": float(costs.slippage_ticks),
        "slip_bps": float(costs.slippage_bps),
        "impact": float(costs.impact),
        "per_order_day": int(costs.per == "order_day"),
        "commission": costs.rates(),
        "minimum": float(costs.minimum),
        "truncate_to": float(costs.truncate_to),
        "fixed": float(costs.fixed),
        "interest": float(costs.interest),
        "borrow": float(costs.borrow),
        "dividend_tax": costs.dividend_tax_rates(),
        "tax": -1.0 if costs.tax is None else float(costs.tax),
    }
