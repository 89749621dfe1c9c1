"""The probes of a check: ask the strategy again with less, or other, bars and keep what differs before the cut.

    cut      rows before `stop` alone, as they were known then                 a fresh instance each time
    change   all rows, those from `stop` on made up                            likewise
    names    a cut without the columns of names that are listed later          likewise
    live     one instance over growing histories of one start, last row only   as the live engine goes
    starts   all rows from a later first one: how long until the answers agree
    orders   of a rule with memory: the orders of a backtest that ends early

Contract: probes never stop at the strategy's error; they keep it with the number of rows that raised it. The bars are
not written to. Called by `lookahead`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from quantkit.data.windows import known_at
from quantkit.research.checking.decisions import Gap, decide, differing, gap_between, usual_size
from quantkit.research.checking.panels import changed, without_later_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from quantkit.data.bars import Bars
    from quantkit.research.checking.decisions import Array, Columns, Copies

START_TOLERANCE = 1e-3


class Difference(NamedTuple):
    """A column that is not the same in a probe."""

    probe: str
    stop: int  # rows before this one are the whole's
    column: str
    gap: Gap


class Failure(NamedTuple):
    """A probe in which the strategy raised."""

    probe: str
    stop: int
    text: str


class Probes:
    """A strategy, bars and what it decides on all of them; collects differences and failures."""

    def __init__(
        self, copies: Copies, bars: Bars, whole: Columns, *, narrowed: bool, seed: int, in_blocks: bool = False
    ) -> None:
        self.copies, self.bars, self.whole = copies, bars, whole
        self.narrowed, self.seed = narrowed, seed
        self.sizes = {name: usual_size(values) for name, values in whole.items()}
        self.found: list[Difference] = []
        self.failed: list[Failure] = []
        self.made: dict[str, int] = {}
        self.in_blocks = in_blocks
        self.moved = False  # whether a change of the bars ever moved a decision on or after it

    def cuts(self, stops: Iterable[int], step: Callable[[], None]) -> None:
        """Cut the future off at each of these numbers of rows."""
        for stop in stops:
            self._ask("cut", stop, known_at(self.bars, stop))
            step()

    def changes(self, rows: Iterable[int], step: Callable[[], None]) -> None:
        """Make up other bars from each of these rows on, in two ways out of `WAYS`."""
        for number, row in enumerate(rows):
            pair = ("apart", "mirror") if number % 2 == 0 else ("noise", "gone")
            for how in pair:
                if how == "gone" and self.bars.shape[1] == 1:
                    continue
                self._ask("change", row, changed(self.bars, row, how, seed=self.seed))
            step()

    def impulse(self, row: int, how: str) -> dict[str, Array]:
        """Per column, the rows whose decisions move when the bar `row` alone is another; {} when it raises."""
        now = self._decided("impulse", row, changed(self.bars, row, how, seed=self.seed, rows=1))
        if now is None:
            return {}
        found = {}
        for column, values in self.whole.items():
            if column in now and now[column].shape == values.shape:
                apart = differing(values, now[column], size=self.sizes[column])
                found[column] = np.flatnonzero(apart.any(axis=1))
        return found

    def names(self, stops: Iterable[int]) -> None:
        """Cut, and leave out the columns of names that nobody knew yet. A strategy may need them: no failure."""
        column_of = {symbol: column for column, symbol in enumerate(self.bars.symbols)}
        for stop in stops:
            part = without_later_names(self.bars, stop)
            if part is None:
                continue
            kept = len(self.failed)
            now = self._decided("names", stop, part)
            del self.failed[kept:]
            if now is None:
                continue
            self.made["names"] = self.made.get("names", 0) + 1
            columns = np.array([column_of[symbol] for symbol in part.symbols], np.int64)
            for column, values in self.whole.items():
                if column not in now:
                    continue
                gap = gap_between(values[:stop, columns], now[column], size=self.sizes[column], names=columns)
                if gap is not None:
                    self.found.append(Difference("names", stop, column, gap))

    def live(self, runs: Iterable[range], step: Callable[[], None]) -> None:
        """Let one instance decide on bar after bar; compare each last row with the whole's."""
        strategy = self.copies.new()
        for run in runs:
            for stop in run:
                self.made["live"] = self.made.get("live", 0) + 1
                try:
                    now = decide(strategy, known_at(self.bars, stop), narrowed=self.narrowed)
                except Exception as error:  # noqa: BLE001 - whatever a strategy raises is what the report is about
                    self.failed.append(Failure("live", stop, _said(error)))
                    continue
                for column, values in self.whole.items():
                    last = now.get(column)
                    if last is None or len(last) != stop:
                        continue
                    gap = gap_between(values[stop - 1 : stop], last[-1:], size=self.sizes[column], offset=stop - 1)
                    if gap is not None:
                        self.found.append(Difference("live", stop, column, gap))
                step()

    def starts(self, rows: Iterable[int], step: Callable[[], None]) -> list[tuple[int, int, int]]:
        """(start, bars until the decisions agree with the whole's, bars compared) for each later first row."""
        found = []
        valid = self.bars.valid
        for start in rows:
            part = self.bars.slice(start, len(self.bars))
            part.version = None
            now = self._decided("start", start, part)
            step()
            if now is None:
                continue
            last = 0
            for column, values in self.whole.items():
                if column == "member" or column not in now:
                    continue
                apart = differing(values[start:], now[column], size=self.sizes[column], noise=START_TOLERANCE)
                rows_apart = np.flatnonzero((apart & valid[start:]).any(axis=1))
                last = max(last, int(rows_apart[-1]) + 1 if len(rows_apart) else 0)
            found.append((start, last, len(self.bars) - start))
        return found

    def _ask(self, probe: str, stop: int, bars: Bars) -> None:
        """Decide on another panel and keep how the rows before `stop` differ."""
        self.made[probe] = self.made.get(probe, 0) + 1
        now = self._decided(probe, stop, bars)
        if now is None:
            return
        for column, values in self.whole.items():
            other = now.get(column)
            if other is None:
                continue
            gap = gap_between(values[:stop], other[:stop], size=self.sizes[column])
            if gap is not None:
                self.found.append(Difference(probe, stop, column, gap))
            if probe == "change" and not self.moved:
                self.moved = gap_between(values[stop:], other[stop:], size=self.sizes[column]) is not None

    def _decided(self, probe: str, stop: int, bars: Bars) -> Columns | None:
        try:
            return decide(self.copies.new(), bars, narrowed=self.narrowed)
        except Exception as error:  # noqa: BLE001 - whatever a strategy raises is what the report is about
            self.failed.append(Failure(probe, stop, _said(error)))
            return None


def _said(error: Exception) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
