"""The decisions on all bars, made more than once: what is not the same twice cannot be compared with anything.

Contract: the bars must be as they were afterwards, two fresh instances must agree, one instance must agree with itself,
and a cut asked for before anything else must be answered the same later. Called by `lookahead`.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, NamedTuple

from quantkit.data.dates import day_text
from quantkit.data.windows import known_at
from quantkit.research.checking.causes import RANDOM, STATE, WRITES, with_line
from quantkit.research.checking.decisions import decide, gap_between
from quantkit.research.checking.report import Finding
from quantkit.strategy.artifacts import afresh

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    from quantkit.data.bars import Bars
    from quantkit.research.checking.decisions import Columns, Copies, Gap
    from quantkit.research.checking.hints import Hint

RANDOMLY = ("random", "clock")
FIELDS = ("open", "high", "low", "close", "volume")


class Base(NamedTuple):
    """The decisions on all bars, and what making them showed."""

    whole: Columns
    cost: float  # seconds of one evaluation of all bars
    half: float  # and of half of them
    finding: Finding | None  # why nothing can be compared


def when(bars: Bars, row: int) -> str:
    """A bar's date, or inside the day its time."""
    return str(bars.index[row]) if bars.intraday else day_text(int(bars.days[row]))


def base_of(copies: Copies, bars: Bars, *, hints: Sequence[Hint], narrowed: bool, clock: Callable[[], float]) -> Base:
    """Decide on all bars; ask again until it is known whether the answer stands."""
    seen = _sums(bars)
    half = len(bars) // 2 + 1
    early = _maybe(copies, known_at(bars, half), narrowed=narrowed)  # before any instance has seen all bars
    first = copies.new()
    whole = decide(first, bars, narrowed=narrowed, quiet=False)
    if _sums(bars) != seen:
        detail = "the prices of the bars are not the same after one evaluation; work on a copy of the arrays"
        return Base(
            whole, 0.0, 0.0, Finding("state", when(bars, 0), bars.symbols[0], next(iter(whole)), detail, WRITES)
        )
    with afresh():  # models are fitted a second time as well
        again = decide(copies.new(), bars, narrowed=narrowed)
    begun = clock()
    again_same = decide(copies.new(), bars, narrowed=narrowed)
    cost = clock() - begun
    found = _first_gap(whole, again) or _first_gap(whole, again_same)
    if found is not None:
        detail = "two evaluations of the same bars differ"
        return Base(whole, cost, cost, _finding("random", found, bars, detail, with_line(RANDOM, hints, *RANDOMLY)))
    found = _first_gap(whole, decide(first, bars, narrowed=narrowed))
    detail = "the same instance, asked twice on the same bars, answers differently"
    begun = clock()
    late = _maybe(copies, known_at(bars, half), narrowed=narrowed)
    cost_half = clock() - begun
    if found is None and early is not None and late is not None:
        found = _first_gap(early, late)
        detail = "bars cut short are answered differently before and after all bars were seen"
    finding = None if found is None else _finding("state", found, bars, detail, STATE)
    return Base(whole, cost, cost_half, finding)


def shown(value: float, *, like: np.dtype[np.generic]) -> str:
    """A decision in words."""
    return str(bool(value)) if like.kind == "b" else f"{value:.6g}"


def _finding(kind: str, found: tuple[str, Gap, np.dtype[np.generic]], bars: Bars, detail: str, cause: str) -> Finding:
    column, gap, kept = found
    said = f"{detail}: {shown(gap.was, like=kept)}, then {shown(gap.now, like=kept)}; {gap.cells:,} cells in all"
    return Finding(kind, when(bars, gap.row), bars.symbols[gap.name], column, said, cause)


def _maybe(copies: Copies, bars: Bars, *, narrowed: bool) -> Columns | None:
    """Decisions, or None where the strategy fails on these bars (the probes tell of that)."""
    try:
        return decide(copies.new(), bars, narrowed=narrowed)
    except Exception:  # noqa: BLE001 - whatever a strategy raises on fewer bars is found again, and told, by the probes
        return None


def _first_gap(was: Columns, now: Columns) -> tuple[str, Gap, np.dtype[np.generic]] | None:
    for column, values in was.items():
        other = now.get(column)
        gap = None if other is None or other.shape != values.shape else gap_between(values, other)
        if gap is not None:
            return column, gap, values.dtype
    return None


def _sums(bars: Bars) -> list[int]:
    """Check sums of the stored prices and volumes."""
    return [zlib.crc32(bars.field(name).data) for name in FIELDS] + [zlib.crc32(bars.flags.data)]
