"""How much of a result is left when something that should not matter is changed.

    shuffle_trades    the same trades in another order, and drawn with replacement
    resample_bars     other prices of the same kind: blocks of sessions drawn anew, all names together
    bootstrap_bars    the rule over many such panels
    parameter_noise   the rule with its parameters a little off
    cost_stress       the rule with commission, slippage and impact a few times as large
    break_even        cost of every fill at which nothing is left

Contract: the result is not touched, the runs are not logged (they are no tries), the same seed gives the same numbers,
and only figures of each run are kept, so memory does not grow with the number of runs. Figures are those of
`Result.figures`. `progress=True` draws a bar on a terminal; a function is called with (done, total). ConfigError where
a result cannot be run again.

Source of the blocks: Politis and Romano, "The Stationary Bootstrap", Journal of the American Statistical Association 89
(1994); its mean block length is what the tests hold. Orders of trades, parameters nearby and larger costs are common
practice without one author: there is no printed figure, the tests hold them against every order written out, and runs
by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from quantkit.data.bars import LISTED, MEMBER, TRADED, VALID, Bars
from quantkit.data.featuredraws import drawn_features
from quantkit.errors import BadData, ConfigError, QuantkitError
from quantkit.hooks import silently
from quantkit.progress import Shown, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from quantkit.backtest.result import Result
    from quantkit.market.costs import Costs
    from quantkit.strategy import Strategy

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = [
    "TradeOrder",
    "bootstrap_bars",
    "break_even",
    "cost_stress",
    "parameter_noise",
    "resample_bars",
    "shuffle_trades",
]

FIGURES = ("total_return", "cagr", "sharpe", "max_drawdown")
MOST_BPS = 900.0  # of the value, beyond which no break-even is looked for: commissions end at a tenth
_CELLS = 2_000_000
_STEPS = 12  # runs that a break-even takes, about


# --- order of trades --------------------------------------------------------------------------------------------------


class TradeOrder(NamedTuple):
    """Closed round trips in other orders; only what is realised is seen, not how far a trade was under water."""

    trades: int
    drawdown: float  # deepest, of the trades as they happened
    drawdowns: Floats  # (runs,) of the same trades in another order
    final: float  # worth of 1 after the trades as they happened
    finals: Floats  # (runs,) after as many trades drawn with replacement
    resampled_drawdowns: Floats  # (runs,) on the way of those

    def quantiles(self, *levels: float) -> dict[str, list[float]]:
        """Quantiles of the three distributions; default 5, 50 and 95 %."""
        at = levels or (0.05, 0.5, 0.95)
        parts = {"drawdowns": self.drawdowns, "finals": self.finals, "resampled_drawdowns": self.resampled_drawdowns}
        return {name: np.quantile(values, at).tolist() for name, values in parts.items()}


def shuffle_trades(result: Result, *, runs: int = 1000, seed: int = 0, progress: Shown = False) -> TradeOrder:
    """The closed round trips in random orders. Each moves the account by its profit over the money there when it began.

    The order changes the deepest drawdown and nothing else; drawing with replacement also changes the end: how far it
    hangs on a few trades. Trades that overlapped are taken one after another. BadData below 2 closed trades.
    """
    _positive("runs", runs)
    trades = result.round_trips
    closed = ~trades.open
    if int(closed.sum()) < 2:
        raise BadData(f"{int(closed.sum())} closed round trips: their order says something from 2 on")
    before = np.maximum(trades.entry_bar[closed] - 1, 0)
    unit = result.bars.minor_unit
    worth = np.where(trades.entry_bar[closed] > 0, result.run.equity[before], result.run.initial_cash) / unit
    moves = np.maximum(trades.pnl[closed] / np.maximum(worth, 1e-9), -1.0)
    random = np.random.default_rng(seed)
    step = max(1, _CELLS // len(moves))
    parts = []
    with shown(progress, "orders of trades") as tell:
        for done in range(0, runs, step):
            many = min(step, runs - done)
            order = random.permuted(np.broadcast_to(moves, (many, len(moves))), axis=1)
            drawn = moves[random.integers(0, len(moves), (many, len(moves)))]
            parts.append((_deepest(order), np.prod(1.0 + drawn, axis=1), _deepest(drawn)))
            tell(done + many, runs)
    drawdowns, finals, others = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    seen = moves[None]
    return TradeOrder(len(moves), float(_deepest(seen)[0]), drawdowns, float(np.prod(1.0 + seen)), finals, others)


def _deepest(moves: Floats) -> Floats:
    """(runs,) deepest drawdown of paths of relative moves (runs, trades)."""
    path = np.cumprod(1.0 + moves, axis=1)
    peak = np.maximum(np.maximum.accumulate(path, axis=1), 1.0)
    deepest: Floats = (path / peak - 1.0).min(axis=1)
    return np.minimum(deepest, 0.0)


# --- other prices -----------------------------------------------------------------------------------------------------


def resample_bars(bars: Bars, *, block: float = 20.0, seed: int = 0) -> Bars:
    """A panel of the same sessions and names whose moves are drawn anew, in blocks of sessions of the mean length
    `block`, for all names from the same sessions, so that what moves together still does.

    Open, high, low and close keep their places relative to the close before, so bars stay bars. Prices are `adjusted`
    ones: tick sizes, limits and corporate actions are out, dividends with them. A session drawn from before a name was
    listed, or after, is one without trade. Bars inside the day move as sessions; a session that was shorter is flat at
    its end. Names are in the universe where they were in the session drawn; features are those known in it.
    """
    _positive("block", block)
    starts = np.flatnonzero(np.concatenate(([True], bars.days[1:] != bars.days[:-1])))
    if len(starts) < 3:
        raise BadData(f"{len(starts)} sessions: blocks can be drawn from 3 on")
    lengths = np.diff(np.append(starts, len(bars)))
    drawn = 1 + _stationary(len(starts) - 1, len(starts) - 1, block, np.random.default_rng(seed))
    source = _source_rows(starts, lengths, np.concatenate(([0], drawn)))
    close = bars.close
    before = np.vstack((close[:1], close[:-1]))
    here = source >= 0
    rows = np.where(here, source, 0)
    traded = here[:, None] & bars.traded[rows] & np.isfinite(before[rows]) & np.isfinite(close[rows])
    ratios = {name: np.where(traded, getattr(bars, name)[rows] / before[rows], 1.0) for name in ("open", "high", "low")}
    moves = np.where(traded, close[rows] / before[rows], 1.0)
    moves[0] = 1.0
    path = _first_price(close) * np.cumprod(moves, axis=0)
    base = np.vstack((path[:1], path[:-1]))
    fields = {name: base * ratio for name, ratio in ratios.items()}
    for name in fields:
        fields[name][0] = path[0]
    volume = np.where(traded, bars.volume[rows], 0.0)
    fields |= {"close": path, "volume": volume}
    flags = np.full(bars.shape, LISTED | VALID, np.uint8)
    flags |= (traded & (volume > 0.0)).astype(np.uint8) * np.uint8(TRADED)
    flags |= _members(bars, rows, traded).astype(np.uint8) * np.uint8(MEMBER)
    return Bars(
        times=bars.times, days=bars.days, symbols=bars.symbols, fields=fields, flags=flags, markets=bars.markets,
        names=bars.names, prices="adjusted", freq=bars.freq, leverage=bars.leverage, minor_unit=bars.minor_unit,
        source=f"{bars.source or 'bars'}, resampled (block {block:g}, seed {seed})",
        features=drawn_features(bars, rows),
    )  # fmt: skip


def _stationary(count: int, size: int, block: float, random: np.random.Generator) -> Ints:
    """`count` places of 0..size-1: blocks of geometric length, mean `block`, that wrap around."""
    fresh = random.random(count) < 1.0 / block
    fresh[0] = True
    steps = np.arange(count)
    begun = np.maximum.accumulate(np.where(fresh, steps, 0))
    return (random.integers(0, size, count)[begun] + steps - begun) % size


def _source_rows(starts: Ints, lengths: Ints, drawn: Ints) -> Ints:
    """(T,) row that each row is drawn from; -1 where the drawn session was shorter."""
    session = np.repeat(np.arange(len(starts)), lengths)
    inside = np.arange(len(session)) - starts[session]
    picked = drawn[session]
    return np.where(inside < lengths[picked], starts[picked] + inside, -1)


def _first_price(close: Floats) -> Floats:
    """(N,) first close of each name."""
    known = np.isfinite(close)
    if not known.any(axis=0).all():
        raise BadData("a name has no price at all; select those that have")
    first: Floats = close[known.argmax(axis=0), np.arange(close.shape[1])]
    return first


def _members(bars: Bars, rows: Ints, traded: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(T, N) membership of the bars drawn; where a name was not there, what it was before."""
    listed = bars.listed
    member = bars.member
    if member[listed].all():
        return np.ones(bars.shape, np.bool_)
    found = member[rows]
    last = np.maximum.accumulate(np.where(traded, np.arange(len(rows))[:, None], 0), axis=0)
    kept: NDArray[np.bool_] = np.take_along_axis(found, last, axis=0)
    return kept


def bootstrap_bars(
    result: Result, *, runs: int = 100, block: float = 20.0, seed: int = 0, progress: Shown = False
) -> pd.DataFrame:
    """The rule over resampled panels: one row a run, FIGURES as columns. See `resample_bars`.

    A rule that lives on what follows what (momentum, reversion) within a block keeps its edge; one fitted to the one
    history there was does not.
    """
    _positive("runs", runs)
    _rule_of(result, "bars resampled")

    def one(number: int) -> dict[str, float]:
        again = _again(result, bars=lambda own: resample_bars(_panel(own), block=block, seed=seed + number))
        return _figures(again)

    return _table([one] * runs, progress, "resampled bars")


def _panel(bars: Any) -> Bars:
    if not isinstance(bars, Bars):
        raise ConfigError("a stream cannot be resampled: run on lake.bars(...) of fewer symbols or coarser bars")
    return bars


# --- other parameters -------------------------------------------------------------------------------------------------


def parameter_noise(
    result: Result, *, spread: float = 0.1, runs: int = 20, seed: int = 0, progress: Shown = False
) -> pd.DataFrame:
    """The rule with its numbers a little off: one row a run, the parameters and FIGURES as columns.

    First each number alone, `spread` of its size (at least its `step`, or 1 for a whole number) down and up; then
    `runs` draws that move all of them at once by up to that. Numbers stay within `low` and `high`; text and switches
    stay. What the rule itself refuses together is left out. ConfigError for a rule without numbers.
    """
    strategy = _rule_of(result, "other parameters")
    wanted = near(strategy, spread=spread, runs=runs, seed=seed)
    if not wanted:
        raise ConfigError(f"{strategy!r} has no number that could be a little off")

    def one(number: int) -> dict[str, Any] | None:
        try:
            other = strategy.replace(**wanted[number])
            return {**wanted[number], **_figures(_again(result, strategy=other))}
        except QuantkitError:  # the rule refuses these together
            return None

    return _table([one] * len(wanted), progress, "settings nearby")


def near(strategy: Strategy, *, spread: float = 0.1, runs: int = 20, seed: int = 0) -> list[dict[str, Any]]:
    """Parameter sets near a strategy's own, each once, its own left out."""
    if not 0.0 < spread <= 1.0:
        raise ConfigError(f"spread={spread!r}: expected a part of each number, above 0 and up to 1")
    own, declared = strategy.params, strategy.parameters()
    reach = {
        name: max(abs(float(value)) * spread, declared[name].step or (1.0 if isinstance(value, int) else 0.0))
        for name, value in own.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and declared[name].choices is None
    }
    random = np.random.default_rng(seed)
    moves = [{name: sign} for name in reach for sign in (-1.0, 1.0)]
    if len(reach) > 1:
        moves += [{name: float(random.uniform(-1.0, 1.0)) for name in reach} for _ in range(max(runs, 0))]
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for move in moves:
        changed = {name: _moved(declared[name], own[name], part * reach[name]) for name, part in move.items()}
        one = own | changed
        if one != own:
            found.setdefault(tuple(one.items()), one)
    return list(found.values())


def _moved(declared: Any, value: float, by: float) -> float:
    """The value moved, on the parameter's steps and within its range."""
    step = declared.step or (1 if isinstance(value, int) else None)
    moved = value + by if step is None else value + round(by / step) * step
    low = moved if declared.low is None else declared.low
    high = moved if declared.high is None else declared.high
    inside = min(max(moved, low), high)
    return round(inside) if isinstance(value, int) else float(inside)


# --- other costs ------------------------------------------------------------------------------------------------------


def cost_stress(result: Result, *, times: Sequence[float] = (1.0, 2.0, 5.0), progress: Shown = False) -> pd.DataFrame:
    """The run with commission, slippage and impact so many times as large: one row each, index `times`, FIGURES and
    `costs` (commission, tax and slippage paid) as columns. Taxes stay: they are the law's."""
    costs = _costs_of(result)
    for factor in times:
        if not 0.0 <= factor <= 1_000.0:
            raise ConfigError(f"times={factor!r}: expected how many times the costs, from 0")

    def one(number: int) -> dict[str, Any]:
        run = _again(result, costs=scaled(costs, times[number]))
        return {"times": float(times[number]), **_figures(run), "costs": _paid(run)}

    return _table([one] * len(times), progress, "other costs").set_index("times")


def scaled(costs: Costs, factor: float) -> Costs:
    """Commission, slippage and impact times a factor, a rate at most a tenth of the value."""

    def rate(value: float) -> float:
        return min(value * factor, 0.1)

    commission = costs.commission
    return replace(
        costs,
        commission={name: rate(value) for name, value in commission.items()}
        if isinstance(commission, Mapping)
        else rate(commission),
        minimum=round(costs.minimum * factor),
        fixed=costs.fixed * factor,
        slippage_ticks=costs.slippage_ticks * factor,
        slippage_bps=min(costs.slippage_bps * factor, 10_000.0),
        impact=min(costs.impact * factor, 10.0),
    )


def _paid(run: Result) -> float:
    return sum(run.figures[name] for name in ("commission", "tax", "slippage"))


def break_even(result: Result, *, tolerance: float = 0.5, progress: Shown = False) -> float:
    """Basis points of the value, lost on every fill on top of the run's own costs, that eat the profit.

    By halving, to within `tolerance`; charged as commission, since slippage moves by whole ticks. 0 for a run that
    loses as it is; infinite where 9 % of the value on each fill are not enough, or nothing was traded.
    """
    costs = _costs_of(result)
    if not _earns(result):
        return 0.0
    if not len(result.run.fills["bar"]):
        return float("inf")
    with shown(progress, "break-even cost") as tell:
        steps = 0

        def earns(bps: float) -> bool:
            nonlocal steps
            steps += 1
            found = _earns(_again(result, costs=dearer(costs, bps)))
            tell(steps, max(steps, _STEPS))
            return found

        low, high = 0.0, 10.0
        while earns(high):
            if high >= MOST_BPS:
                return float("inf")
            low, high = high, min(high * 4.0, MOST_BPS)
        while high - low > tolerance:
            middle = (low + high) / 2.0
            low, high = (middle, high) if earns(middle) else (low, middle)
    return (low + high) / 2.0


def dearer(costs: Costs, bps: float) -> Costs:
    """So many basis points more commission on every fill, a rate at most a tenth of the value."""
    own = costs.commission
    rates = dict(own) if isinstance(own, Mapping) else {"default": own}
    return replace(costs, commission={name: min(rate + bps / 1e4, 0.1) for name, rate in rates.items()})


def _earns(run: Result) -> bool:
    """Whether money is made, what was paid in left out."""
    return run.figures["profit"] > 0.0


# --- shared -----------------------------------------------------------------------------------------------------------


def _again(result: Result, **changes: Any) -> Result:
    if result.again is None:
        raise ConfigError("this result was not made by backtest(), so it cannot be run again")
    with silently():
        return result.again(benchmark=None, **changes)


def _rule_of(result: Result, what: str) -> Strategy:
    if result.strategy is None:
        raise ConfigError(f"targets were given, not a strategy: there is no rule to run with {what}")
    return result.strategy


def _costs_of(result: Result) -> Costs:
    if result.cost_model is None:
        raise ConfigError("this result was not made by backtest(): what its fills were charged is not known")
    return result.cost_model


def _figures(run: Result) -> dict[str, float]:
    return {name: run.figures[name] for name in FIGURES}


def _table(calls: Sequence[Callable[[int], dict[str, Any] | None]], progress: Shown, what: str) -> pd.DataFrame:
    """What each call gives, as rows; None gives no row."""
    import pandas as pd

    rows = []
    with shown(progress, what) as tell:
        for number, call in enumerate(calls):
            rows.append(call(number))
            tell(number + 1, len(calls))
    return pd.DataFrame([row for row in rows if row is not None])


def _positive(name: str, value: float) -> None:
    if isinstance(value, bool) or not value >= 1:
        raise ConfigError(f"{name}={value!r}: expected 1 or more")
