"""One backtest, from a strategy and bars to a result.

    1. take the bars up to `end`; those before `start` only warm up               data.bars
    2. let the strategy compute its targets over them, once                       strategy
    3. turn policy, costs and limits into numbers, actions and deposits to events core.prepare, core.fold
    4. fold the bars from `start` on; `on_bar`, where there is one, acts in it    core.fold, strategy.rules
    5. hand the arrays to the result, which computes figures when asked           backtest.result

Contract: pure apart from what the strategy itself does; the same inputs give the same bits.

>>> backtest(targets=[[1.0], [1.0]], bars=None)
Traceback (most recent call last):
quantkit.errors.ConfigError: backtest(bars=None): give Bars, from Bars.from_pandas(frame) or Lake(path).bars(...)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from quantkit.backtest.benchmark import benchmark_levels
from quantkit.backtest.manifest import manifest_of
from quantkit.backtest.output import RunOutput
from quantkit.backtest.universe import in_universe
from quantkit.core.fold import Output, plan_of, simulate
from quantkit.core.policy import FILLS, Policy, RiskLimits
from quantkit.core.prepare import events_of, first_state, has_universe, inputs_of, valid_after_warmup
from quantkit.core.state import N_ORDERS, Floats, Ints, State
from quantkit.data.bars import Bars
from quantkit.data.dates import day_text, epoch_day
from quantkit.errors import BadData, ConfigError
from quantkit.market.costs import Costs
from quantkit.strategy import Strategy, as_targets
from quantkit.strategy.rules import rule_over, with_room

if TYPE_CHECKING:
    from quantkit.backtest.result import Result


def backtest(
    strategy: Strategy | None = None,
    bars: Bars | None = None,
    *,
    targets: object = None,
    policy: Policy | None = None,
    cash: float = 100_000_000,
    start: object = None,
    end: object = None,
    costs: Costs | None = None,
    fill: str = "next_open",
    limits: RiskLimits | None = None,
    benchmark: object = None,
    deposits: object = None,
    rank: object = None,
    interpret: bool = False,
) -> Result:
    """Run a strategy, or given targets, over bars under the exchange's rules.

    strategy   an instance of a `Strategy` class; or none and `targets`: (T, N) bool or float array or frame.
    policy     overrides the strategy's own.
    cash       money at the start, in won (US names: dollars).
    start, end sessions to trade, both included; bars before `start` are only history for the strategy.
    costs      None: the market's own taxes by date and KIS's online commission.
    fill       "next_open", "next_close", or "close" (the close decided on: flagged, cannot be promoted).
    limits     money limits, applied to buys inside the run.
    benchmark  "hold" (the same names bought and held in equal parts), a symbol of the bars, or a Series of levels.
    deposits   an amount paid in on the first session of every month after the first, or a mapping of date -> amount.
    rank       (T, N) numbers that choose among names when `max_names` is short; default: the strategy's own `rank`.
    interpret  run `on_bar` in Python, so that breakpoints in it hold; slow, the result is the same.

    Raises ConfigError for an argument out of range and BadData for data that does not fit, each naming the value.
    """
    bars = _checked(strategy, bars, targets=targets, cash=cash, fill=fill)
    costs = Costs.kis() if costs is None else costs
    rules = policy or (strategy.policy if strategy is not None else Policy())
    seen = bars.window(None, end) if end is not None else bars
    if strategy is not None:
        seen = in_universe(seen, strategy)
    first = _first_row(seen, start)
    values, chosen_by = _evaluated(strategy, seen, targets, rank, rules, limits)
    run_bars = seen.slice(first, len(seen)) if first else seen
    paid = _deposit_rows(run_bars, deposits)
    warmed = valid_after_warmup(seen.flags, strategy.warmup if strategy is not None else 0)
    inputs = inputs_of(
        run_bars,
        np.ascontiguousarray(values[first:], np.float64),
        policy=rules,
        flags=warmed[first:],
        rank=None if chosen_by[0] is None else chosen_by[0][first:],
        liquidity=None if chosen_by[1] is None else chosen_by[1][first:],
        after=int(bars.days[len(seen)]) if len(seen) < len(bars) else None,
    )
    plan = plan_of(
        rules,
        costs,
        limits,
        fill=fill,
        minor_unit=bars.minor_unit,
        grid=bars.prices == "raw",
        float_targets=values.dtype != np.bool_,
        has_universe=has_universe(inputs.flags),
    )
    initial = round(float(cash) * bars.minor_unit)
    state = with_room(strategy, first_state(run_bars, cash=initial))
    with rule_over(strategy, seen, lead=first, state=state, inputs=inputs, plan=plan, interpret=interpret) as rule:
        output = simulate(state, inputs, events_of(run_bars, paid), plan, rule)
    run = _run_output(output, state, paid, initial, bars.minor_unit, len(run_bars))
    name, levels = benchmark_levels(benchmark, run_bars)
    settings: dict[str, object] = {
        "history": day_text(int(bars.days[0])),
        "start": None if start is None else day_text(epoch_day(start, what="start")),
        "end": None if end is None else str(end),
        "benchmark": name,
        "deposits": [[day_text(int(run_bars.days[row])), amount] for row, amount in paid],
    }
    settings |= {"cash": float(cash), "fill": fill, "policy": rules.to_dict(), "costs": costs.to_dict()}
    settings["limits"] = limits and limits.to_dict()
    from quantkit.backtest.result import Result

    return Result(
        bars=run_bars,
        run=run,
        manifest=manifest_of(strategy, run_bars, values, settings, run),
        benchmark=levels,
        benchmark_name=name,
        strategy=strategy,
        policy=rules,
        fill=fill,
    )


def _checked(strategy: object, bars: object, *, targets: object, cash: object, fill: str) -> Bars:
    """The bars, when every argument is of the kind and in the range it must be; else ConfigError naming it."""
    if not isinstance(bars, Bars):
        raise ConfigError(f"backtest(bars={bars!r}): give Bars, from Bars.from_pandas(frame) or Lake(path).bars(...)")
    if (strategy is None) == (targets is None):
        raise ConfigError("backtest: give a strategy or targets, one of them")
    if strategy is not None and not isinstance(strategy, Strategy):
        hint = f"{strategy.__name__}(...)" if isinstance(strategy, type) else "an instance of a Strategy class"
        raise ConfigError(f"backtest(strategy={strategy!r}): expected {hint}")
    if fill not in FILLS:
        raise ConfigError(f"backtest(fill={fill!r}): choose one of {', '.join(FILLS)}")
    if isinstance(cash, bool) or not isinstance(cash, int | float | np.number) or not 0 < float(cash) < 9e15:
        raise ConfigError(f"backtest(cash={cash!r}): expected an amount of money above 0")
    return bars


def _first_row(bars: Bars, start: object) -> int:
    """Row of the first bar to trade. BadData when no bar is left."""
    if len(bars) == 0:
        raise BadData("no bars to run on: the panel is empty in the range asked for")
    if start is None:
        return 0
    row = int(np.searchsorted(bars.days, epoch_day(start, what="start")))
    if row == len(bars):
        raise ConfigError(f"start {start} is after the last bar, {day_text(int(bars.days[-1]))}")
    return row


def _evaluated(
    strategy: Strategy | None, bars: Bars, targets: object, rank: object, policy: Policy, limits: RiskLimits | None
) -> tuple[Any, tuple[Floats | None, Floats | None]]:
    """(targets, (rank, liquidity)); the latter two only where names may have to be chosen."""
    whole_is_bool = policy.weighting in ("equal", "equal_held")
    if strategy is None:
        values = as_targets(targets, bars, whole_is_bool=whole_is_bool)
    else:  # a rule has no targets of its own: none for any name
        values = np.empty((len(bars), 0)) if strategy.is_rule else strategy.evaluate(bars)
    if values.dtype != np.bool_ and bool((values < 0).any()):
        row, column = (int(place[0]) for place in np.nonzero(values < 0))
        raise BadData(
            f"target {values[row, column]:g} for {bars.symbols[column]} on {day_text(int(bars.days[row]))} is "
            "negative: short positions are not simulated; use weights from 0"
        )
    if policy.max_names is None and (limits is None or limits.max_names is None):
        return values, (None, None)
    given = rank if rank is not None else (strategy.rank(bars) if strategy is not None else None)
    ranks = None
    if given is not None:
        ranks = np.ascontiguousarray(given, np.float64)
        if ranks.shape != bars.shape:
            raise BadData(f"rank has shape {ranks.shape}; expected {bars.shape} (bars x symbols)")
    from quantkit.indicators import sma

    return values, (ranks, sma(bars.value, 20))


def _deposit_rows(bars: Bars, deposits: object) -> list[tuple[int, float]]:
    """(row, amount) of each deposit: a date between bars counts on the next one."""
    if deposits is None:
        return []
    if isinstance(deposits, int | float | np.number) and not isinstance(deposits, bool):
        months = bars.days.astype("datetime64[D]").astype("datetime64[M]")
        return [(int(row), float(deposits)) for row in np.flatnonzero(months[1:] != months[:-1]) + 1]
    items = getattr(deposits, "items", None)
    if not isinstance(deposits, Mapping) and items is None:
        raise ConfigError(
            f"deposits={deposits!r}: expected an amount a month, or a mapping or Series of date -> amount"
        )
    rows = []
    for date, amount in deposits.items() if isinstance(deposits, Mapping) else items():  # type: ignore[misc]
        row = int(np.searchsorted(bars.days, epoch_day(date, what="deposits")))
        if not np.isfinite(amount) or amount < 0:
            raise ConfigError(f"deposits[{date}] = {amount}: expected an amount of money, 0 or more")
        if row < len(bars):
            rows.append((row, float(amount)))
    return sorted(rows)


def _run_output(
    output: Output, state: State, paid: list[tuple[int, float]], initial: int, unit: int, length: int
) -> RunOutput:
    """The fold's tables as the result's columns, with orders still working at the end as rows of their own."""
    deposits: Ints = np.zeros(length, np.int64)
    for row, amount in paid:
        deposits[row] += round(amount * unit)
    working = state.orders[: int(state.account[N_ORDERS])]
    orders = {name: output.orders[name] for name in output.orders.dtype.names}
    if len(working):
        tail = {
            "order_id": working["id"],
            "bar": working["bar"],
            "symbol": working["symbol"],
            "side": working["side"],
            "quantity": working["want"],
            "filled": working["filled"],
            "kind": working["kind"],
            "status": np.zeros(len(working), np.int64),
            "reason": working["reason"],
            "done_bar": np.full(len(working), -1),
            "tag": working["tag"],
        }
        orders = {name: np.concatenate([orders[name], tail[name]]) for name in orders}
    return RunOutput(
        equity=output.equity,
        cash=output.cash,
        deposits=deposits,
        fills={name: output.fills[name] for name in output.fills.dtype.names},
        orders=orders,
        actions={name: output.actions[name] for name in output.actions.dtype.names},
        initial_cash=initial,
        state=state,
    )
