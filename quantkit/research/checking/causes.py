"""From a pattern of differences to the cause: what kind of mistake moves exactly these decisions.

Contract: pure. The pattern decides which causes are possible; the strategy's text (`hints`) chooses among those
and lends the line; a hint alone is nothing. What is looked at, for each point at which the bars to come were hidden or
changed: how far back decisions move (the reach), whether the reach ends at the start of a week or month, whether whole
names come and go; and, for a single changed bar, how far decisions move before and after it.

    the reach grows with the history, whole names come and go     universe chosen with hindsight
    the reach grows with the history                              full-sample normalisation, a fit on all bars, ...
    never across the start of a week (month, ...)                 forward-looking resample
    k bars, for one changed bar exactly the one k before it       negative shift of k bars
    k bars before and as many after                               centred window of 2k + 1 bars
    gaps that only later bars fill                                backfill
    moved by cutting, by no change of price or volume             counts from the last bar; dates of later bars
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from quantkit.data.bars import Bars
    from quantkit.research.checking.hints import Hint
    from quantkit.research.checking.probes import Difference

    Rows = NDArray[np.int64]
    Impulses = Mapping[int, Sequence[Rows]]  # changed row -> rows that moved, one array a way of changing

UNIVERSE = "universe chosen with hindsight"
RANDOM = "randomness without a seed"
STATE = "state kept between calls"
WRITES = "writes into the bars it is given"
FULL = "full-sample normalisation"
FIT = "a fit on all bars"
FILTER = "a filter that runs in both directions"
RESAMPLE = "forward-looking resample"
SHIFT = "negative shift"
CENTRE = "centred window"
BACKFILL = "backfill"
INTERPOLATION = "interpolation between earlier and later values"
ACTIONS = "corporate actions before their date"
DATES = "dates of later bars"
LENGTH = "counts from the last bar"
FIXED = "a fixed number of bars"
REVERSED = "a window over reversed bars"

_NEAR = 60  # bars before a changed one in which a shift is looked for beside something else
_LONG = 300  # bars ahead that no label or window is likely to look
_FAR = {"filter": FILTER, "fit": FIT}  # what else needs all bars; else a statistic over them


class Reach(NamedTuple):
    """How far one column moves."""

    back: int  # bars before the first hidden or changed one, at most
    ahead: int  # bars after a single changed one; -1: it does not move itself
    only: bool  # a single changed bar moves the decision `back` bars before it, and none between


def cause_of(
    differences: Sequence[Difference],
    impulses: Impulses,
    bars: Bars,
    hints: Sequence[Hint],
    *,
    changes: int,
    blocks: bool,
) -> str:
    """What the differences of one column say, with the line of the text that agrees; "" where nothing fits.

    differences: of cuts and changes. changes: how many changes were made in all. blocks: the strategy is shown its bars
    in pieces, which end with a period.
    """
    cuts = [one for one in differences if one.probe == "cut"]
    kinds = {hint.kind for hint in hints}
    moved = [one for one in differences if one.probe == "change"]
    reach = _reach(differences, impulses)
    if differences[0].column == "member" or _whole_names(differences):
        return with_line(UNIVERSE, hints, "last", "full")
    if not moved and changes >= 4 and not any(_before(row, rows) for row, ways in impulses.items() for rows in ways):
        return _blind(reach, bars, hints)
    if cuts and all(one.gap.emptied for one in cuts) and "backfill" in kinds and "shift" not in kinds:
        return with_line(BACKFILL, hints, "backfill")
    period = "" if reach.only else _period(differences, bars, telling=3 if "resample" in kinds else 6)
    if period and not (blocks and "full" in kinds and "resample" not in kinds):
        return with_line(f"{RESAMPLE} ({period})", hints, "resample")
    long = reach.back * 4 > len(bars) and (reach.back > _LONG or bool(kinds & {*_FAR, "full", "reverse", "last"}))
    if period or long or _is_far(differences):
        kind = next((kind for kind in _FAR if kind in kinds), "full")
        return with_line(_FAR.get(kind, FULL), hints, kind, "reverse", "last") + _and_shifted(impulses, hints)
    return _near(reach, hints)


def _and_shifted(impulses: Impulses, hints: Sequence[Hint]) -> str:
    """A shift besides a cause of all bars: a changed bar moves the decision so many bars before, and few others."""
    near = [row - rows[(rows < row) & (rows >= row - _NEAR)] for row, ways in impulses.items() for rows in ways]
    near = [distances for distances in near if len(distances)]
    for hint in hints:
        hits = sum(hint.steps in distances.tolist() for distances in near)
        if hint.kind == "shift" and hint.steps and hits * 2 >= max(len(near), 3) and max(map(len, near)) <= 5:
            return f"; and {SHIFT} of {_bars(hint.steps)} (line {hint.line}: {hint.text})"
    return ""


def _bars(count: int) -> str:
    return "1 bar" if count == 1 else f"{count} bars"


def _near(reach: Reach, hints: Sequence[Hint]) -> str:
    """The cause of a reach that does not grow."""
    kinds = [hint.kind for hint in hints]
    bars = _bars(reach.back)
    symmetric = reach.back >= 2 and abs(reach.back - reach.ahead) <= 1
    shift = f"{SHIFT} of {bars}"
    hints = sorted(hints, key=lambda hint: hint.kind == "shift" and hint.steps not in (0, reach.back))
    if reach.only and "shift" in kinds:
        return with_line(shift, hints, "shift")
    if "centre" in kinds and (symmetric or "shift" not in kinds):
        return with_line(f"{CENTRE} of {2 * reach.back + 1} bars", hints, "centre")
    for kind, cause in (("shift", shift), ("interpolate", INTERPOLATION), ("reverse", REVERSED), ("filter", FILTER)):
        if kind in kinds:
            return with_line(cause, hints, kind)
    if reach.only or reach.back == 1:
        return with_line(shift, hints, "slice")
    if symmetric:
        return f"{CENTRE} of {reach.back + reach.ahead + 1} bars"
    if "resample" in kinds:
        return with_line(RESAMPLE, hints, "resample")
    return with_line(f"{SHIFT} or forward window of {bars}", hints, "slice")


def _blind(reach: Reach, bars: Bars, hints: Sequence[Hint]) -> str:
    """The cause where cutting moves decisions and no other price or volume does."""
    kinds = [hint.kind for hint in hints]
    if "actions" in kinds and len(bars.actions):
        return with_line(ACTIONS, hints, "actions")
    if reach.back <= 3:
        return with_line(DATES, hints, "shift", "slice")
    return with_line(LENGTH, hints, "last", "length")


def _reach(differences: Sequence[Difference], impulses: Impulses) -> Reach:
    back = max((one.stop - int(one.gap.rows[0]) for one in differences), default=0)
    ahead, distances = -1, set[int]()
    for row, ways in impulses.items():
        for rows in ways:
            if len(rows):
                ahead = max(ahead, int(rows[-1]) - row)
                distances |= set((row - rows[rows < row]).tolist())
    back = max(back, *distances) if distances else back
    return Reach(back, ahead, bool(distances) and distances == {back})


def _before(row: int, rows: Rows) -> bool:
    return bool(len(rows)) and int(rows[0]) < row


def _whole_names(differences: Sequence[Difference]) -> bool:
    """Whether names come and go with all of their decisions, in all probes that are long enough to tell."""
    telling = [one for one in differences if one.stop > 20]
    return bool(telling) and all(one.gap.whole for one in telling) and _is_far(telling)


def _is_far(differences: Sequence[Difference]) -> bool:
    """Whether the reach grows with the number of bars: in the longer probes a good part of all of them."""
    stops = np.array([one.stop for one in differences])
    reach = stops - np.array([int(one.gap.rows[0]) for one in differences])
    longer = stops >= np.median(stops)
    return bool(np.quantile(reach[longer] / stops[longer], 0.75) > 0.4) and int(reach.max()) > 5


def _period(differences: Sequence[Difference], bars: Bars, *, telling: int) -> str:
    """The calendar period inside which every difference stays, where so many of them tell; else ""."""
    inside = [one for one in differences if one.stop < len(bars)]
    stops = np.array([one.stop for one in inside], np.int64)
    firsts = np.array([one.gap.rows[0] for one in inside], np.int64)
    reach = int((stops - firsts).max()) if inside else 0
    if reach < 2 or len(np.unique(stops - firsts)) < 2:
        return ""
    for name, groups in _calendar(bars).items():
        begins = np.searchsorted(groups, groups[stops])
        near = int((stops - begins < reach).sum())  # a shift of as many bars would have crossed the start here
        if (firsts >= begins).all() and near >= telling and len(np.unique(begins)) > 1:
            return name
    return ""


def _calendar(bars: Bars) -> dict[str, Rows]:
    """The number of the period each bar lies in, shortest first."""
    days = bars.days
    months = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    found = {"session": days} if bars.intraday else {}
    return {**found, "week": (days + 3) // 7, "month": months, "quarter": months // 3, "year": months // 12}


def with_line(cause: str, hints: Sequence[Hint], *kinds: str) -> str:
    """The cause with the first line that hints at one of these kinds, in the order of kinds."""
    for kind in kinds:
        for hint in hints:
            if hint.kind == kind:
                return f"{cause} (line {hint.line}: {hint.text})"
    return cause
