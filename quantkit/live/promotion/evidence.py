"""What research has to show before paper, measured on the spot: a backtest, a check, a replay, the run log.

Contract: nothing is taken on trust; every figure is computed here from the strategy and the bars, or read from the run
log by the hash of the very code. Nothing of the strategy or the bars is changed. Takes as long as its parts: a check, a
replay and two backtests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from quantkit.errors import BadData, ConfigError, QuantkitError
from quantkit.hooks import silently
from quantkit.live.parity import Ledger, compare, tables_of
from quantkit.live.promotion.gates import Gate, gate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from quantkit.backtest.result import Result
    from quantkit.data.bars import Bars
    from quantkit.research.checking.report import CheckReport
    from quantkit.strategy import Strategy

__all__ = ["Replay", "adv_shares", "measure"]

TRADES: Final = 30
ADV_PART: Final = 0.01
ADV_DAYS: Final = 20
Floats = NDArray[np.float64]


class Replay(Protocol):
    """The same run, bar by bar through the live engine."""

    def __call__(self, strategy: Strategy, bars: Bars, /, **settings: Any) -> Result: ...


def measure(
    strategy: Strategy,
    bars: Bars,
    settings: Mapping[str, Any],
    *,
    code: Mapping[str, str],
    replay: Replay | None = None,
    shorts: bool = False,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> list[Gate]:
    """The gates of research -> paper.

    settings   arguments of `backtest` besides strategy and bars: cash, start, end, costs, fill, limits, policy, short
    code       file name -> hash of the strategy's files, by which its walk-forwards are found
    replay     `quantkit.replay.replay`; None: the gate stays shut
    shorts     whether the broker can sell short, so that `short="simulate"` is no fiction
    """
    fill, policy = settings.get("fill", "next_open"), settings.get("policy") or strategy.policy
    short = settings.get("short") or policy.short
    gates = [
        gate("fill", fill != "close", str(fill), "an order that can still be sent",
             'the close it was decided on is over: use fill="next_open" or "next_close"', final=True),
        gate("short", short is None or shorts, short or "none", "nothing sold that is not held",
             "this broker cannot sell short", final=True),
    ]  # fmt: skip
    if not all(one.passed for one in gates):
        return gates
    from quantkit.backtest.run import backtest

    with silently():
        result = backtest(strategy, bars, **settings)
        gates += check_gates(strategy, bars, seed=seed, progress=progress)
        gates.append(_replayed(strategy, bars, settings, result, replay))
    gates.append(_out_of_sample(strategy, bars, code))
    gates.append(_trades(result))
    gates.append(_costs(result))
    gates.append(_capacity(result))
    return gates


def check_gates(
    strategy: Strategy, bars: Bars, *, seed: int = 0, progress: Callable[[int, int], None] | None = None
) -> list[Gate]:
    """Look-ahead and warm-up, by `quantkit.check`. What cannot be checked cannot be promoted, by no override."""
    from quantkit.research.lookahead import check

    names = ("no_look_ahead", "nothing decided before the cuts moves")
    try:
        report = check(strategy, bars, seed=seed, progress=progress)
    except QuantkitError as problem:
        return [gate(names[0], False, "not checked", names[1], str(problem), final=True)]
    first = report.findings[0] if report.findings else None
    return [
        gate(
            names[0], report.ok, report.looked_at if report.ok else f"{len(report.findings)} findings", names[1],
            "" if first is None else f"{first.kind} in {first.column} on {first.time}: {first.cause or first.detail}",
            cuts=report.cuts, changes=report.changes, live=report.live, starts=report.starts, seed=report.seed,
            findings=[f"{one.kind} {one.column} {one.time} {one.symbol}" for one in report.findings],
        ),
        _warmup(report),
    ]  # fmt: skip


def _warmup(report: CheckReport) -> Gate:
    """The history decisions need, against what the strategy declares; rules with memory are not measured."""
    rule = "orders" in report.columns and len(report.columns) == 1
    needed = report.warmup
    passed = rule or (needed is not None and needed <= report.declared_warmup)
    return gate(
        "warmup", passed, report.warmup_text, "no more history than declared",
        "decisions never stop depending on where the history starts" if needed is None
        else f"declare warmup = {needed}", warmup=needed, declared=report.declared_warmup,
    )  # fmt: skip


def _replayed(
    strategy: Strategy, bars: Bars, settings: Mapping[str, Any], result: Result, replay: Replay | None
) -> Gate:
    """The live engine's way through the same bars."""
    name, need = "replay", "the live engine gives the backtest, to the won"
    if replay is None:
        return gate(name, False, "not replayed", need, "no replay was given")
    try:
        ledger: Ledger = compare(tables_of(result), tables_of(replay(strategy, bars, **settings)))
    except QuantkitError as problem:
        return gate(name, False, "not replayed", need, str(problem))
    figure = f"{ledger.fills[1]:,} fills, the same" if ledger.same else f"{ledger.total / ledger.unit:+,.0f}"
    first = next(iter(ledger.rows), None)
    advice = "" if first is None else f"first cause: {first.cause} on {first.time} {first.symbol}, {first.detail}"
    return gate(name, ledger.same, figure, need, advice, ledger=ledger.to_dict() | {"rows": []})


def _out_of_sample(strategy: Strategy, bars: Bars, code: Mapping[str, str]) -> Gate:
    """A walk-forward of this very code in the run log of the bars' lake."""
    from quantkit.research.runs import RunLog, place_of

    name, need = "out_of_sample", "a walk-forward of this code in the run log"
    advice = "run `quantkit walkforward` on this file as it is now"
    place = place_of(bars)
    if place is None:
        return gate(name, False, "none", need, "bars without a lake have no run log: use a lake, and " + advice)
    rows = RunLog(place).rows(strategy=strategy.name, kind="walk_forward")
    mine = [run for run in rows if run.manifest.get("code") == dict(code)]
    if not mine:
        figure = f"none of this code, {len(rows)} of others" if rows else "none"
        return gate(name, False, figure, need, advice)
    run = mine[-1] if mine[-1].id > mine[0].id else mine[0]
    sharpe, gain = (run.metrics.get(one) for one in ("sharpe", "total_return"))
    shown = ", ".join(f"{word} {value:{spec}}" for word, value, spec in
                      (("return", gain, ".1%"), ("Sharpe", sharpe, ".2f")) if value is not None)  # fmt: skip
    figures = {key: run.metrics.get(key) for key in ("total_return", "cagr", "sharpe", "max_drawdown", "trades")}
    return gate(name, True, f"run {run.id}: {shown}", need, "", run=run.id, figures=figures,
                trials=run.trials, data_version=run.data_version)  # fmt: skip


def _trades(result: Result) -> Gate:
    count = len(result.run.fills["bar"]) and int(result.figures["trades"])
    return gate("trades", count >= TRADES, f"{count:,}", f"{TRADES} or more", "a longer history, or more names",
                trades=count)  # fmt: skip


def _costs(result: Result) -> Gate:
    costs = result.cost_model
    commission = costs is not None and bool(np.asarray(costs.rates()).max() > 0.0)
    taxed = costs is not None and (costs.tax is None or costs.tax > 0.0)
    told = f"{'commission' if commission else 'no commission'}, {'tax' if taxed else 'no tax'}"
    return gate("costs", commission and taxed, told, "commission and tax charged",
                "run with a broker's costs: --costs kis or kiwoom", paid=result.figures.get("commission"),
                tax=result.figures.get("tax"))  # fmt: skip


def adv_shares(result: Result) -> Floats:
    """Each name's shares traded in a session over its mean volume of the twenty sessions before; NaN where none."""
    bars, fills = result.bars, result.run.fills
    starts = np.flatnonzero(np.diff(bars.days, prepend=bars.days[0] - 1))
    session = np.searchsorted(starts, fills["bar"], side="right") - 1
    found: dict[tuple[int, int], float] = {}
    for row, symbol, quantity in zip(session.tolist(), fills["symbol"].tolist(), fills["quantity"], strict=True):
        found[row, symbol] = found.get((row, symbol), 0.0) + float(quantity)
    volumes: dict[int, Floats] = {}
    parts = []
    for (row, symbol), quantity in found.items():
        if symbol not in volumes:
            volume = np.nan_to_num(bars.select([bars.symbols[symbol]]).volume[:, 0])
            volumes[symbol] = np.add.reduceat(volume, starts)
        before = volumes[symbol][max(0, row - ADV_DAYS) : row]
        parts.append(quantity / before.mean() if len(before) and before.mean() > 0.0 else np.nan)
    return np.array(parts, np.float64)


def _capacity(result: Result) -> Gate:
    """What the orders are of the names' usual volume, and how much of them a tenth of each bar's volume would fill."""
    name, need = "capacity", f"19 of 20 orders at most {ADV_PART:.0%} of the mean daily volume"
    advice = "less money (--cash), thicker names, or smaller orders (RiskLimits)"
    try:
        with silently():
            filled = float(result.capacity([result.run.initial_cash / result.bars.minor_unit])["filled"].iloc[0])
    except (BadData, ConfigError) as problem:
        return gate(name, False, "not measured", need, str(problem))
    shares = adv_shares(result)
    known = shares[np.isfinite(shares)]
    usual = float(np.quantile(known, 0.95)) if len(known) else float("nan")
    return gate(name, usual <= ADV_PART, f"{usual:.3%} of daily volume, {filled:.0%} fills at a tenth of a bar", need,
                advice, adv_95=usual, filled=filled, unknown=len(shares) - len(known))  # fmt: skip
