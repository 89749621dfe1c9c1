"""Walk-forward: choose parameters on the past, trade them on what follows, and again.

    1. windows of training and test bars                              windows
    2. each window: run every parameter set on the training bars      trial.Runner, on an executor
    3. take the best by `metric`                                      candidates.best_of
    4. trade all test windows with one account                        stitching

Contract: what a window chooses depends on bars up to the end of its training window alone, what it trades on bars up to
the bar at hand; a test changes the data after each and finds both untouched. Bars before a window warm up its
indicators. A parameter set that raises is counted as failed and the rest go on; only a window where all fail stops the
walk. A window whose sets have no figure (no trade at all) keeps the parameters of the window before, and is marked.

>>> walk_forward(None, None)
Traceback (most recent call last):
quantkit.errors.ConfigError: expected a Strategy class, as in walk_forward(SmaCross, bars, ...), got None
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantkit.backtest.manifest import rows_digest
from quantkit.backtest.metrics import periods_per_year
from quantkit.backtest.run import first_row
from quantkit.data.bars import Bars
from quantkit.data.dates import day_text
from quantkit.errors import BadData, ConfigError
from quantkit.progress import Shown, Tell, shown
from quantkit.research import runs
from quantkit.research.candidates import Candidates, best_of, plain_sets, pool_of
from quantkit.research.stitching import Account, Chosen, stitched
from quantkit.research.trial import Runner
from quantkit.research.windows import windows_of
from quantkit.strategy.sources import source_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Executor

    from quantkit.core.policy import RiskLimits
    from quantkit.market.costs import Costs
    from quantkit.research.walkforward_result import WalkForwardResult
    from quantkit.research.windows import Window
    from quantkit.strategy import Strategy

__all__ = ["Choice", "walk_forward"]

CHUNK, TASKS = 16, 32  # parameter sets that one task of an executor runs, at least; tasks of a window, about


@dataclass(frozen=True, slots=True)
class Choice:
    """What a window chose, and from what."""

    parameters: dict[str, Any]
    score: float  # the metric over the training window; NaN where no set had one
    median: float  # the middle set's
    sets: int
    failed: int
    error: str  # of the first set that failed
    sharpes: tuple[float, ...]  # of every set, per period, NaN where it failed


def walk_forward(
    strategy: type[Strategy],
    bars: Bars,
    *,
    train: str | int = "3Y",
    test: str | int = "1Y",
    anchored: bool = False,
    metric: str = "sharpe",
    embargo: int = 0,
    where: Callable[[Any], object] | None = None,
    executor: Executor | None = None,
    progress: Shown = True,
    resume: str | Path | None = None,
    cash: float = 100_000_000,
    start: object = None,
    end: object = None,
    costs: Costs | None = None,
    fill: str = "next_open",
    limits: RiskLimits | None = None,
    benchmark: object = None,
    deposits: object = None,
    **space: object,
) -> WalkForwardResult:
    """Choose parameters on `train`, trade them on the `test` that follows, and so on to the end of the bars.

    train, test  lengths: "3Y", "6M", "2W", "250D" (sessions), or bars
    anchored     every training window begins at the first bar, instead of moving along
    metric       figure of `Result.stats` that is chosen by; the lower is better for volatility and costs
    embargo      sessions left out between training and test, for rules that hold what the training window bought
    where        which parameter sets count: `where=lambda p: p.fast < p.slow`
    executor     any `concurrent.futures.Executor`; None: threads, one a core
    progress     a bar on a terminal, or a function called with (done, total)
    resume       a file that keeps what finished windows chose; a walk that was stopped goes on from it
    start, end   the range that is walked; bars before `start` only warm up
    space        values to try of the strategy's parameters, or of fields of its Policy

    The other arguments are those of `backtest`; deposits count from the first test window on. ConfigError for a space,
    a metric or windows that cannot be; BadData where every parameter set fails in a window.
    """
    from quantkit.research.walkforward_result import WalkForwardResult

    candidates = Candidates(strategy, space, where, caller="walk_forward")
    if not isinstance(bars, Bars):
        raise ConfigError(
            f"walk_forward(bars={bars!r}): give Bars, from Bars.from_pandas(frame) or Lake(path).bars(...)"
        )
    bars = bars.window(None, end) if end is not None else bars
    first = first_row(bars, start)
    windows = windows_of(bars.days, train=train, test=test, anchored=anchored, embargo=embargo, first=first)
    terms: dict[str, Any] = {"cash": cash, "costs": costs, "fill": fill, "limits": limits}
    search = _Search(candidates, bars, metric, terms)
    kept = _Kept(resume, search)
    choices: list[Choice] = []
    with pool_of(executor) as pool, shown(progress, f"walk-forward of {strategy.__name__}") as tell:
        total = len(windows) * len(candidates)
        for number, window in enumerate(windows):
            done = number * len(candidates)
            found = kept.get(window)
            if found is None:
                found = search.choose(window, pool, _from(done, total, tell))
                kept.add(window, found)
            choices.append(_settled(found, choices, candidates, window, bars))
            tell(done + len(candidates), total)
    account = Account(cash=cash, costs=costs, fill=fill, limits=limits, benchmark=benchmark, deposits=deposits)
    settings = {
        "train": train, "test": test, "anchored": anchored, "metric": metric, "embargo": embargo,
        "parameter_sets": len(candidates), "windows": _plain_windows(bars, windows, choices),
    }  # fmt: skip
    made = [candidates.made(choice.parameters) for choice in choices]
    result = WalkForwardResult(
        stitched(bars, windows, made, account, settings), bars=bars, windows=windows, choices=choices,
        candidates=candidates, settings=settings, terms=terms,
    )  # fmt: skip
    result.log_number = runs.record(
        kind="walk_forward", strategy=strategy, bars=bars, metrics=result.result.figures,
        parameters={name: [str(one[name]) for one in _different(candidates.sets, name)] for name in candidates.names},
        sharpes=[sharpe for choice in choices for sharpe in choice.sharpes], settings=settings,
        periods=periods_per_year(bars.freq), trials=max(1, sum(choice.sets for choice in choices)),
    )  # fmt: skip
    return result


def _from(done: int, total: int, tell: Tell) -> Callable[[int], None]:
    """Progress of a part of the work."""
    return lambda more: tell(done + more, total)


def _different(sets: Sequence[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """One set for each value of a name."""
    return list({str(one[name]): one for one in sets}.values())


def _plain_windows(bars: Bars, windows: Sequence[Window], choices: Sequence[Choice]) -> list[dict[str, Any]]:
    """Windows and what they chose, for the manifest."""
    return [
        {
            "train": [day_text(int(bars.days[window.train])), day_text(int(bars.days[window.train_stop - 1]))],
            "test": [day_text(int(bars.days[window.test])), day_text(int(bars.days[window.stop - 1]))],
            "parameters": plain_sets([choice.parameters])[0],
        }
        for window, choice in zip(windows, choices, strict=True)
    ]


def _settled(found: Choice, before: Sequence[Choice], candidates: Candidates, window: Window, bars: Bars) -> Choice:
    """A choice with parameters: those of the window before where no set has a figure."""
    if found.failed == found.sets:
        days = [day_text(int(bars.days[row])) for row in (window.train, window.train_stop - 1)]
        raise BadData(f"walk_forward: every parameter set failed from {days[0]} to {days[1]}; the first: {found.error}")
    if found.parameters:
        return found
    chosen = before[-1].parameters if before else candidates.sets[0]
    return Choice(chosen, math.nan, math.nan, found.sets, found.failed, found.error, found.sharpes)


# --- in one window ----------------------------------------------------------------------------------------------------


class _Search:
    """The parameter sets over one training window."""

    def __init__(self, candidates: Candidates, bars: Bars, metric: str, terms: dict[str, Any]) -> None:
        self.candidates, self.bars, self.metric, self.terms = candidates, bars, metric, terms
        self.root = math.sqrt(periods_per_year(bars.freq))

    def choose(self, window: Window, pool: Executor, tell: Callable[[int], None]) -> Choice:
        """The best set on the training bars of a window; no parameters where none has a figure."""
        seen = self.bars.slice(0, window.train_stop)
        runner = Runner(seen, start=day_text(int(seen.days[window.train])), **self.terms)
        sets = self.candidates.sets
        size = max(CHUNK, len(sets) // TASKS)  # a task ships the bars where workers are processes
        chunks = [[self.candidates.made(one) for one in sets[k : k + size]] for k in range(0, len(sets), size)]
        tasks = [pool.submit(_trials, runner, chunk, self.metric) for chunk in chunks]
        rows: list[tuple[float, float, str]] = []
        try:
            for task in tasks:
                rows += task.result()
                tell(len(rows))
        finally:
            for task in tasks:
                task.cancel()
        scores = [row[0] for row in rows]
        best = best_of(scores, self.metric)
        known = sorted(score for score in scores if not math.isnan(score))
        errors = [row[2] for row in rows if row[2]]
        return Choice(
            {} if best is None else sets[best],
            math.nan if best is None else scores[best],
            known[len(known) // 2] if known else math.nan,
            len(sets), len(errors), errors[0] if errors else "",
            tuple(row[1] / self.root for row in rows),
        )  # fmt: skip

    def key(self, window: Window) -> str:
        """Hash of everything a choice depends on."""
        seen = self.bars.slice(0, window.train_stop)
        terms = {name: value.to_dict() if hasattr(value, "to_dict") else value for name, value in self.terms.items()}
        facts = [
            source_of(self.candidates.cls).sha256, self.candidates.cls.__qualname__, plain_sets(self.candidates.sets),
            self.metric, terms, window[:2], rows_digest([seen], seen.actions),
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def _trials(runner: Runner, some: Sequence[Chosen], metric: str) -> list[tuple[float, float, str]]:
    """(metric, Sharpe ratio, error) of some sets. ConfigError for a metric there is none of."""
    found = []
    for one in some:
        try:
            figures = runner.run(one.strategy, one.policy).figures
        except Exception as error:  # noqa: BLE001 - a set that fails is marked; the others go on
            found.append((math.nan, math.nan, f"{one.strategy!r}: {type(error).__name__}: {error}"))
            continue
        if metric not in figures:
            raise ConfigError(f"metric={metric!r}: choose one of {', '.join(sorted(figures))}")
        moved = figures["time_in_market"] > 0.0 or figures["trades"] > 0.0
        found.append((figures[metric] if moved else math.nan, figures["sharpe"], ""))
    return found


class _Kept:
    """Choices of finished windows in a file, one line each; a line cut short by a crash is not there."""

    def __init__(self, path: str | Path | None, search: _Search) -> None:
        self.path = None if path is None else Path(path)
        self.search = search
        self.found = {} if self.path is None else dict(_lines(self.path))

    def get(self, window: Window) -> Choice | None:
        """What the window chose in an earlier walk over the same bars with the same code and settings."""
        line = self.found.get(self.search.key(window)) if self.path is not None else None
        if line is None:
            return None
        place = line.pop("place")
        sets = self.search.candidates.sets
        numbers = {name: math.nan if line[name] is None else line[name] for name in ("score", "median")}
        sharpes = tuple(math.nan if value is None else value for value in line["sharpes"])
        return Choice(**line | numbers | {"parameters": {} if place is None else sets[place], "sharpes": sharpes})

    def add(self, window: Window, choice: Choice) -> None:
        """Keep a choice."""
        if self.path is None:
            return
        sets = self.search.candidates.sets
        line = asdict(choice) | {
            "place": sets.index(choice.parameters) if choice.parameters else None,
            "score": _number(choice.score), "median": _number(choice.median),
            "sharpes": [_number(value) for value in choice.sharpes], "key": self.search.key(window),
        }  # fmt: skip
        del line["parameters"]
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            torn = self.path.is_file() and not self.path.read_bytes().endswith(b"\n") and self.path.stat().st_size > 0
            with self.path.open("a", encoding="utf-8") as file:
                file.write(("\n" if torn else "") + json.dumps(line) + "\n")
        except OSError as error:
            raise ConfigError(f"resume={str(self.path)!r} cannot be written: {error.strerror}") from error


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Readable lines of a file of choices, by key. ConfigError for a file that is something else."""
    if path.is_dir():
        raise ConfigError(f"resume={str(path)!r} is a folder; name a file in it")
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    for number, text in enumerate(lines):
        try:
            line = json.loads(text)
            yield line.pop("key"), line
        except (ValueError, KeyError, AttributeError):
            if number == 0 and len(lines) > 1:
                raise ConfigError(
                    f"resume={str(path)!r} holds something else than a walk-forward; name another file"
                ) from None
