"""From differences to findings and notes: one finding a column, with the first bar and name, how often, and the cause.

Contract: every difference of a cut or a change is a finding; nothing else is but failures on fewer bars, and live runs
that differ. What only concerns how much history is loaded is a note. Called by `lookahead`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quantkit.backtest.manifest import rows_digest
from quantkit.data.dates import day_text
from quantkit.research.checking import causes
from quantkit.research.checking.base import shown, when
from quantkit.research.checking.decisions import differing
from quantkit.research.checking.report import Finding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from quantkit.data.bars import Bars
    from quantkit.research.checking.hints import Hint
    from quantkit.research.checking.probes import Difference, Failure, Probes
    from quantkit.strategy import Strategy

IMPULSES = 10
_NEEDS_PART = 0.3  # failing on fewer than this part of the bars is needing history


def judged(probes: Probes, hints: Sequence[Hint]) -> list[Finding]:
    """The findings of all probes, by column, and of failures."""
    findings = []
    for column in probes.whole:
        mine = [one for one in probes.found if one.column == column]
        ahead = [one for one in mine if one.probe in ("cut", "change")]
        live = [one for one in mine if one.probe == "live"]
        names = [one for one in mine if one.probe == "names"]
        if live and not ahead:
            ahead = _recut(probes, live, column)
        if ahead:
            findings.append(_looks_ahead(probes, column, ahead, hints))
        elif live:
            detail = "an instance that decides bar after bar, as in a live run, does not decide as on all bars at once"
            findings.append(_one("state", probes, column, live, detail, causes.STATE))
        if names and not ahead:
            detail = "leaving out the columns of names that are listed only later changes what was decided before"
            cause = causes.with_line(causes.UNIVERSE, hints, "length", "full")
            findings.append(_one("universe", probes, column, names, detail, cause))
    failure = _failure(probes)
    return findings if failure is None else [*findings, failure]


def _recut(probes: Probes, live: Sequence[Difference], column: str) -> list[Difference]:
    """Cuts where a live run differs, with fresh instances: those that differ as well."""
    kept = len(probes.found)
    probes.cuts([one.stop for one in live[:4]], lambda: None)
    return [one for one in probes.found[kept:] if one.column == column]


def _looks_ahead(probes: Probes, column: str, found: Sequence[Difference], hints: Sequence[Hint]) -> Finding:
    cuts = [one for one in found if one.probe == "cut"]
    moved = [one for one in found if one.probe == "change"]
    impulses = {}
    stops = sorted({one.stop for one in found if one.stop < len(probes.bars)})
    for row in stops[:: max(1, len(stops) // IMPULSES)][:IMPULSES]:
        ways = (probes.impulse(row, how).get(column) for how in ("apart", "mirror"))
        impulses[row] = [rows for rows in ways if rows is not None]
    made = probes.made
    cause = causes.cause_of(found, impulses, probes.bars, hints, changes=made.get("change", 0), blocks=probes.in_blocks)
    reach = max(one.stop - int(one.gap.rows[0]) for one in found)
    detail = (
        f"{len(cuts)} of {made.get('cut', 0)} cuts and {len(moved)} of {made.get('change', 0)} changes of later bars "
        f"move decisions up to {reach} {'bar' if reach == 1 else 'bars'} before them"
    )
    return _one("universe" if column == "member" else "lookahead", probes, column, found, detail, cause)


def _one(kind: str, probes: Probes, column: str, found: Sequence[Difference], detail: str, cause: str) -> Finding:
    """A finding at the first cell that differs."""
    first = min(found, key=lambda one: (one.gap.row, one.probe != "cut", one.stop))
    gap, bars, like = first.gap, probes.bars, probes.whole[column].dtype
    how = {
        "cut": f"when the bars end with {when(bars, first.stop - 1)}",
        "live": f"decided live on {when(bars, first.stop - 1)}",
        "names": f"without names listed after {when(bars, first.stop - 1)}",
        "change": f"when bars from {when(bars, min(first.stop, len(bars) - 1))} on are others",
    }[first.probe]
    said = f"{shown(gap.was, like=like)} with all bars, {shown(gap.now, like=like)} {how}"
    return Finding(kind, when(bars, gap.row), bars.symbols[gap.name], column, f"{said}; {detail}", cause)


def _short(probes: Probes) -> list[Failure]:
    return [one for one in probes.failed if one.probe in ("cut", "live")]


def _failure(probes: Probes) -> Finding | None:
    """The finding of failures on fewer bars, unless the strategy only needs some to begin with."""
    failed = _short(probes)
    if not failed or max(one.stop for one in failed) <= _NEEDS_PART * len(probes.bars):
        return None
    last = max(failed, key=lambda one: one.stop)
    detail = (
        f"with the bars up to {when(probes.bars, last.stop - 1)} it raises {last.text}; a live run has no more than "
        f"those. {len(failed)} of {probes.made.get('cut', 0) + probes.made.get('live', 0)} shorter histories raise"
    )
    column = next(iter(probes.whole), "targets")
    return Finding("error", when(probes.bars, last.stop - 1), probes.bars.symbols[0], column, detail, causes.FIXED)


def notes_of(strategy: Strategy, probes: Probes, hints: Sequence[Hint]) -> list[str]:
    """What a reader should know besides."""
    notes = []
    short = _short(probes)
    if short and _failure(probes) is None:
        most = max(short, key=lambda one: one.stop)
        notes.append(f"it cannot decide on {most.stop} bars or fewer ({most.text})")
    other = [one for one in probes.failed if one.probe in ("change", "start")]
    if other:
        notes.append(f"it raised on {len(other)} altered histories, which say nothing then ({other[0].text})")
    if not probes.made:
        if probes.whole:
            notes.append("nothing else was looked at: mend this first")
    elif "targets" in probes.whole and _stands_still(probes.whole["targets"]):
        notes.append("no target ever changes on these bars, so there was next to nothing to catch")
    elif probes.whole and not probes.found and not probes.moved and probes.made.get("change"):
        notes.append("no change of prices or volumes moves a decision: it is not made of these bars")
    files = next((hint for hint in hints if hint.kind == "files"), None)
    if files is not None:
        notes.append(f"line {files.line} reads data of its own ({files.text}): when that was known cannot be checked")
    if isinstance(strategy.universe, list | tuple):
        notes.append("its universe is a fixed list: whether it was chosen knowing how they did cannot be checked")
    return notes


def _stands_still(values: NDArray[Any]) -> bool:
    """Whether every row is like the first."""
    return not bool(differing(values[1:], values[:-1]).any())


def enough_for(starts: Sequence[tuple[int, int, int]], declared: int) -> list[tuple[int, int, int]]:
    """The later starts that leave bars enough to see decisions agree, and go on agreeing."""
    return [one for one in starts if one[2] > 1.5 * declared + 20]


def warmup_of(starts: Sequence[tuple[int, int, int]], declared: int) -> tuple[int | None, list[str]]:
    """Bars until decisions no longer depend on where the history starts (None: never, or not measured), and notes."""
    if not starts:
        return None, []
    starts = enough_for(starts, declared)
    if not starts:
        return None, ["these bars are too few to measure how much history the decisions need"]
    unsettled = [one for one in starts if one[1] > 0.9 * one[2]]
    if len(unsettled) * 2 > len(starts):
        note = (
            "on these bars decisions never stop to depend on the first one loaded (a running total, a mean over all "
            "bars so far, a position kept from then): backtest and live agree only from the same first bar"
        )
        return None, [note]
    measured = max((last for _, last, size in starts if last <= 0.9 * size), default=0)
    if measured <= declared:
        return measured, []
    many = "1 bar" if measured == 1 else f"{measured} bars"
    note = (
        f"decisions take {many} to forget where the history starts, and warmup = {declared} is declared: targets count "
        "before they have"
    )
    return measured, [note]


def data_of(bars: Bars) -> dict[str, Any]:
    """What the bars are, with a digest of them."""
    return {
        "source": bars.source,
        "version": None if bars.version is None else str(bars.version),
        "freq": bars.freq,
        "prices": bars.prices,
        "symbols": list(bars.symbols),
        "first": day_text(int(bars.days[0])),
        "last": day_text(int(bars.days[-1])),
        "bars": len(bars),
        "sha256": rows_digest([bars], bars.actions),
    }
