"""Orders of a rule with memory: those of a backtest that ends early against those of the whole.

Contract: compared are the orders decided before the cut (bar, name, side, kind, tag) and the fills before it, to the
last bit. `on_bar` itself cannot look ahead; signals can, and so can Python outside of it. Two runs of the same bars
must agree first. Called by `lookahead`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from quantkit.backtest.run import backtest
from quantkit.data.windows import known_at
from quantkit.hooks import silently
from quantkit.research.checking.base import RANDOMLY, when
from quantkit.research.checking.causes import RANDOM, with_line
from quantkit.research.checking.report import Finding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from quantkit.data.bars import Bars
    from quantkit.research.checking.decisions import Copies
    from quantkit.research.checking.hints import Hint
    from quantkit.strategy import Strategy

_ORDER = ("order_id", "bar", "symbol", "side", "kind", "tag")
_FILL = ("bar", "symbol", "side", "quantity", "price")


class Ordered(NamedTuple):
    """Orders and fills of a run, each (rows, columns) float64, in the order they were made."""

    orders: NDArray[np.float64]
    fills: NDArray[np.float64]

    def before(self, stop: int) -> Ordered:
        """Those decided, and those filled, before a row."""
        return Ordered(self.orders[self.orders[:, 1] < stop], self.fills[self.fills[:, 0] < stop])


def orders_of(strategy: Strategy, bars: Bars, *, cash: float) -> Ordered:
    """What a run orders and fills."""
    with silently():
        run = backtest(strategy, bars, cash=cash).run
    orders = np.stack([run.orders[name].astype(np.float64) for name in _ORDER], axis=1)
    fills = np.stack([run.fills[name].astype(np.float64) for name in _FILL], axis=1)
    return Ordered(orders[np.argsort(orders[:, 0], kind="stable")], fills)


def judge_orders(
    copies: Copies, bars: Bars, hints: Sequence[Hint], *, cash: float, seed: int, cuts: int
) -> tuple[list[Finding], int]:
    """What the orders of a rule show, and at how many cuts it was looked at."""
    whole = orders_of(copies.new(), bars, cash=cash)
    place = first_difference(whole, orders_of(copies.new(), bars, cash=cash), len(bars))
    if place is not None:
        row, name, what = place
        detail = f"two backtests of the same bars differ: not the same {what}s"
        cause = with_line(RANDOM, hints, *RANDOMLY)
        return [Finding("random", when(bars, row), bars.symbols[name], "orders", detail, cause)], 0
    stops = _stops(whole, len(bars), cuts, seed)
    found: list[tuple[int, int, int, str]] = []
    for stop in stops:
        place = first_difference(whole, orders_of(copies.new(), known_at(bars, stop), cash=cash), stop)
        if place is not None:
            found.append((place[0], place[1], stop, place[2]))
    if not found:
        return [], len(stops)
    row, name, stop, what = min(found)
    detail = (
        f"a run that ends with the bar of {when(bars, stop - 1)} does not make the {what}s that the run over all bars "
        f"made until then; so in {len(found)} of {len(stops)} runs"
    )
    return [Finding("lookahead", when(bars, row), bars.symbols[name], "orders", detail)], len(stops)


def _stops(whole: Ordered, length: int, count: int, seed: int) -> list[int]:
    """Numbers of rows to keep: half of them right after orders."""
    random = np.random.default_rng(seed)
    made = np.unique(whole.orders[:, 1]).astype(np.int64) + 1
    picked = random.choice(made, min(len(made), count - count // 2), replace=False) if len(made) else made
    rest = random.integers(length // 4, length, count - len(picked))
    stops = np.unique(np.concatenate([picked, rest]))
    return [int(stop) for stop in stops if 1 < stop < length]


def first_difference(whole: Ordered, cut: Ordered, stop: int) -> tuple[int, int, str] | None:
    """(row, name, "order" or "fill") of the first one before `stop` that is not in both; None where all are."""
    known = whole.before(stop)
    places = []
    for what, left, right, row, name in (
        ("order", known.orders, cut.before(stop).orders, 1, 2),
        ("fill", known.fills, cut.before(stop).fills, 0, 1),
    ):
        size = min(len(left), len(right))
        unequal = np.flatnonzero((left[:size] != right[:size]).any(axis=1))
        at = int(unequal[0]) if len(unequal) else size
        if at == len(left) == len(right):
            continue
        here = min((side[at] for side in (left, right) if at < len(side)), key=lambda one: float(one[row]))
        places.append((int(here[row]), int(here[name]), what))
    if not places:
        return None
    return min(places)
