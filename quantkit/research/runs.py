"""The run log: every run, sweep and walk-forward on a lake's bars, kept beside them; how many tries there were.

    data/lake/runs.sqlite     written by `quantkit.backtest` itself, by `sweep` and `walk_forward` through `record`

Contract: a run is logged where its bars came from: in the folder of their lake. Bars without a lake are logged only
when told, by `log_to(FOLDER)` or the environment's QUANTKIT_RUNS=FOLDER, which then take every run; QUANTKIT_RUNS=off
writes nothing. Logging costs a run less than a millisecond and never breaks it: what cannot be written is a sentence in
`Result.warnings`. Sharpe ratios here are per period, `periods` a year (252: sessions); times are UTC.

A *trial* is one way of making money that was tried: the same strategy text, parameters, policy, limits, fill rule,
symbols and dates are one trial however often they run; a change of any is another. Cash, costs and benchmarks are not
counted: they change what a rule earns, not which rule it is. A strategy's *family* is every class of its name and every
class in its file, whatever the text was at the time: an edited rule is another try, not a new start.

>>> log = RunLog("data/lake")                                              # doctest: +SKIP
>>> log.trials("SmaCross").count                                           # doctest: +SKIP
341
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from quantkit.errors import BadData, ConfigError
from quantkit.hooks import silently as paused
from quantkit.plain import plain
from quantkit.research import run_store
from quantkit.research.run_store import Draft, Entry, plain_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

    from quantkit.backtest.manifest import Record
    from quantkit.backtest.result import Result
    from quantkit.data.bars import Bars
    from quantkit.strategy import Strategy

__all__ = ["Run", "RunLog", "Trials", "log_to", "paused", "place_of", "record"]

FILE = "runs.sqlite"
KINDS = ("backtest", "sweep", "walk_forward")
FILL_FIELDS = ("bar", "symbol", "side", "quantity", "price")
MOST_FILLS = 50_000  # kept with a run; beyond, only their hash

_chosen: list[Path] = []  # at most one: where `log_to` said


def log_to(place: str | Path | None) -> None:
    """Log every run of this process in a folder (or a file ending in .sqlite); None: each in its own lake again."""
    _chosen[:] = [] if place is None else [_file(place)]


def _file(place: str | Path) -> Path:
    path = Path(place).expanduser()
    return path if path.suffix == ".sqlite" else path / FILE


def place_of(bars: Bars) -> Path | None:
    """The log that runs on these bars go to; None where they are not logged."""
    if _chosen:
        return _chosen[0]
    told = os.environ.get("QUANTKIT_RUNS", "")
    if told:
        return None if told.lower() == "off" else _file(told)
    if not bars.source or bars.version is None or not Path(bars.source).is_dir():
        return None
    return Path(bars.source) / FILE


# --- writing ----------------------------------------------------------------------------------------------------------


def run_made(result: Result, record: Record) -> Entry | None:
    """Called after every backtest (see `quantkit.hooks`): take the run down. None where it is not to be logged."""
    try:
        path = place_of(result.bars)
        if path is None:
            return None
        described = None if result.strategy is None else result.strategy.describe()
    except Exception as problem:  # noqa: BLE001  # a log that fails must not end a run
        entry = Entry(lambda: Draft({}))
        entry.finish(None, f"This run is not in the run log: {type(problem).__name__}: {problem}")
        return entry
    entry = Entry(lambda: _of_result(result, record, described))
    run_store.writer(path).put(entry)
    return entry


def _of_result(result: Result, record: Record, described: Mapping[str, Any] | None) -> Draft:
    from quantkit.backtest import figures, metrics

    bars, growth = result.bars, result.growth
    found = figures.account_figures(
        result.run, days=bars.days, growth=growth, minor_unit=bars.minor_unit, periods=result.periods,
        risk_free=result.risk_free,
    )  # fmt: skip
    found["fills"] = float(len(result.run.fills["bar"]))
    sharpe = metrics.sharpe(figures.session_returns(growth, figures.session_ends(bars.days)), periods=1.0)
    draft = _draft("backtest", described, record.brief(described), found, result.periods)
    draft.values |= {"sharpe_mean": sharpe if np.isfinite(sharpe) else None, "fills": _packed(result.run.fills)}
    return draft


def record(
    *,
    kind: str,
    strategy: Strategy | type[Strategy],
    bars: Bars,
    parameters: Mapping[str, object],
    metrics: Mapping[str, float],
    sharpes: ArrayLike = (),
    trials: int | None = None,
    periods: float = 252.0,
    settings: Mapping[str, object] | None = None,
    token: str | None = None,
) -> int | None:
    """Take down one piece of work of many runs; its number in the log, None where bars are not logged.

    kind        "sweep" or "walk_forward" (any word; `backtest` logs its own runs)
    parameters  what was chosen, or the space that was searched: plain values
    metrics     figures to list, by the names of `Result.figures`
    sharpes     Sharpe ratio per period of every run made, NaN for those that failed
    trials      number of runs; default: the number of `sharpes`
    settings    cash, fill, costs, search, ...: what else defines the work
    token       the same work under the same token is one row, however often it is recorded (a resumed sweep)

    ConfigError says why a row cannot be written.
    """
    path = place_of(bars)
    if path is None:
        return None
    values = np.asarray(sharpes, np.float64).ravel()
    number = len(values) if trials is None else int(trials)
    if number < 1:
        raise ConfigError(f"record(trials={number}): give the Sharpe ratios of the runs, or how many there were")
    described = _described(strategy)
    data = {"source": bars.source, "version": bars.version, "freq": bars.freq, "symbols": list(bars.symbols),
            "first": _day(bars, 0), "last": _day(bars, -1), "bars": len(bars.days)}  # fmt: skip
    manifest = {"strategy": described, "run": {**(settings or {}), "parameters": parameters}, "data": data}

    def build() -> Draft:
        draft = _draft(kind, described, manifest, metrics, periods)
        seen = values[np.isfinite(values)]
        draft.values |= {
            "parameters": plain_json(parameters),
            "trials": number,
            "sharpe_mean": float(seen.mean()) if len(seen) else None,
            "sharpe_variance": float(seen.var(ddof=1)) if len(seen) > 1 else None,
        }
        if token is not None:
            draft.values["token"] = token
        return draft

    entry = Entry(build)
    run_store.writer(path).put(entry)
    if entry.problem is not None:
        raise ConfigError(entry.problem)
    return entry.run_id


def _day(bars: Bars, row: int) -> str:
    from quantkit.data.dates import day_text

    return day_text(int(bars.days[row]))


def _described(strategy: Strategy | type[Strategy]) -> dict[str, Any]:
    """What a row says of a strategy; a class has no parameters yet."""
    if not isinstance(strategy, type):
        return strategy.describe()
    from quantkit.strategy.sources import source_of

    source = source_of(strategy)
    return {"name": strategy.__name__, "file": None if source.path is None else str(source.path),
            "source_hash": source.sha256, "local_modules": [str(path) for path in source.local_modules]}  # fmt: skip


def _draft(
    kind: str,
    described: Mapping[str, Any] | None,
    manifest: Mapping[str, Any],
    metrics: Mapping[str, float],
    periods: float,
) -> Draft:
    """A row of one trial."""
    draft = Draft({})
    known = described or {}
    code = _keep_code(known, draft)
    draft.values = {
        "token": uuid.uuid4().hex,
        "kind": kind,
        "strategy": known.get("name", "targets"),
        "file": known.get("file"),
        "code_hash": known.get("source_hash"),
        "parameters": plain_json(known.get("params", {})),
        "manifest": plain_json({**run_store.shorten(manifest, draft), "code": code}),
        "metrics": plain_json(metrics),
        "data_version": manifest["data"]["version"],
        "trial_key": trial_key(manifest),
        "trials": 1,
        "periods": periods,
    }
    return draft


def _keep_code(described: Mapping[str, Any], draft: Draft) -> dict[str, str]:
    """The strategy's file and the local modules beside it, kept in the log: name -> hash."""
    if described.get("file") is None:
        return {}
    file = Path(described["file"])
    kept = {}
    for path in (file, *map(Path, described.get("local_modules", ()))):
        if path.is_file():
            kept[path.relative_to(file.parent).as_posix()] = draft.keep(path.read_bytes())
    return kept


_NO_TRIAL = frozenset(("cash", "costs", "deposits", "benchmark", "history", "best", "windows"))


def trial_key(manifest: Mapping[str, Any]) -> str:
    """Hash of what makes a trial: the rule and where it was tried, not the money or what it cost."""
    strategy, run, data = manifest["strategy"] or {}, manifest["run"], manifest["data"]
    made = None if strategy else manifest["result"]["sha256"]  # targets that were given: what came of them
    parts = {
        "code": [strategy.get("source_hash"), strategy.get("name"), strategy.get("params"), made],
        "run": {name: value for name, value in run.items() if name not in _NO_TRIAL},
        "data": [data["freq"], sorted(data["symbols"])],
    }
    return hashlib.sha256(json.dumps(plain(parts), sort_keys=True).encode()).hexdigest()


def _packed(fills: Mapping[str, NDArray[Any]]) -> bytes | None:
    """Fills as bytes: bar, symbol, side, quantity and price, column after column; None for too many."""
    if len(fills["bar"]) > MOST_FILLS:
        return None
    kinds = (np.int64, np.int32, np.int8, np.int64, np.float64)
    columns = (np.ascontiguousarray(fills[name], kind) for name, kind in zip(FILL_FIELDS, kinds, strict=True))
    return zlib.compress(b"".join(column.tobytes() for column in columns), 1)


def _unpacked(stored: bytes) -> dict[str, NDArray[Any]]:
    raw, found, at = zlib.decompress(stored), {}, 0
    count = len(raw) // 29
    for name, kind in zip(FILL_FIELDS, (np.int64, np.int32, np.int8, np.int64, np.float64), strict=True):
        found[name] = np.frombuffer(raw, kind, count, at)
        at += found[name].nbytes
    return found


# --- reading ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Run:
    """One row of the log. `metrics` by the names of `Result.figures`; Sharpe ratios of trials per period."""

    id: int
    time: str
    kind: str
    strategy: str
    file: str | None
    code_hash: str | None
    parameters: dict[str, Any]
    metrics: dict[str, float | None]
    manifest: dict[str, Any]
    data_version: str | None
    trial_key: str
    trials: int
    sharpe_mean: float | None
    sharpe_variance: float | None
    periods: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values for `--json`; the strategy's texts are left in the log."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Trials:
    """What the log knows of the tries of a family.

    count           trials: runs of sweeps and walk-forwards included, repeats left out
    rows            rows of the log behind them
    mean, variance  of the trials' Sharpe ratios per period; NaN where there are too few
    """

    count: int
    rows: int
    mean: float
    variance: float


class RunLog:
    """The log of a lake (its folder) or of a file ending in .sqlite. Reading creates nothing.

    ConfigError where the folder is not there, BadData where the file is no run log.
    """

    def __init__(self, home: str | Path) -> None:
        self.path = _file(home)
        if not self.path.parent.is_dir():
            run_store.writer(self.path).flush()  # a first run that is still being written makes the folder
        if not self.path.parent.is_dir():
            raise ConfigError(f"no run log at {self.path}: there is no folder {self.path.parent}")

    def __repr__(self) -> str:
        return f"RunLog({str(self.path)!r})"

    def rows(self, *, strategy: str | None = None, kind: str | None = None, last: int | None = None) -> list[Run]:
        """Rows, oldest first; of a strategy (a class's name or its file), of a kind, the last so many."""
        asked, given = [], []
        if strategy is not None:
            asked.append("(strategy = ? OR file = ? OR file LIKE ?)")
            given += [strategy, strategy, f"%/{strategy}"]
        if kind is not None:
            asked.append("kind = ?")
            given.append(kind)
        where = f"WHERE {' AND '.join(asked)}" if asked else ""
        limit = "" if last is None else f" LIMIT {int(last)}"
        found = run_store.read_rows(self.path, f"{where} ORDER BY id DESC{limit}", given)
        return [_run(row) for row in reversed(found)]

    def get(self, number: int) -> Run:
        """One row, with its whole manifest. BadData when there is none."""
        row = self._row(number)
        run = _run(row)
        return _replaced(run, run_store.restore(run.manifest, self.path))

    def fills(self, number: int) -> dict[str, NDArray[Any]] | None:
        """Fills of a run (columns of FILL_FIELDS; `symbol` is a place in the manifest's list); None where the row has
        none: a sweep, or more than were kept."""
        stored = self._row(number)["fills"]
        return None if stored is None else _unpacked(stored)

    def code(self, run: Run) -> dict[str, bytes]:
        """The strategy's file and its local modules as they were: name beside the file -> text."""
        return {name: run_store.read_shared(self.path, key) for name, key in run.manifest.get("code", {}).items()}

    def frame(self, **asked: Any) -> pd.DataFrame:
        """`rows` as a table: one row a run, parameters and metrics as columns."""
        import pandas as pd

        return pd.DataFrame([
            {"id": run.id, "time": run.time, "kind": run.kind, "strategy": run.strategy, "trials": run.trials,
             **run.parameters, **run.metrics}
            for run in self.rows(**asked)
        ])  # fmt: skip

    def trials(
        self, strategy: str, *, file: str | Path | None = None, periods: float = 252.0, days: float = 0.0
    ) -> Trials:
        """How many trials of a family the log holds, and how their Sharpe ratios (per period) spread.

        strategy, file   the family: every class of this name, and every class in this file
        periods          periods a year that mean and variance are in
        days             calendar days of the record to compare with: ratios of records less than half as long, and of
                         the windows of a walk-forward, vary for being short; they count as trials, not in the spread
        """
        rows = run_store.read_rows(
            self.path, "WHERE strategy = ? OR file = ? ORDER BY id", (strategy, None if file is None else str(file))
        )
        latest = {row["trial_key"]: row for row in rows}
        alike = [
            row if row["kind"] != "walk_forward" and _days(row) >= days / 2.0 else {**row, "sharpe_mean": None}
            for row in latest.values()
        ]
        return _pooled(alike, len(rows), periods)

    def _row(self, number: int) -> dict[str, Any]:
        found = run_store.read_rows(self.path, "WHERE id = ?", (int(number),))
        if not found:
            last = run_store.read_rows(self.path, "ORDER BY id DESC LIMIT 1")
            have = f"the last is {last[0]['id']}" if last else "it is empty"
            raise BadData(f"{self.path} has no run {number}; {have}")
        return found[0]


def _run(row: Mapping[str, Any]) -> Run:
    texts = {name: json.loads(row[name]) for name in ("parameters", "metrics", "manifest")}
    return Run(**{name: texts.get(name, row[name]) for name in Run.__slots__})


def _replaced(run: Run, manifest: dict[str, Any]) -> Run:
    from dataclasses import replace

    return replace(run, manifest=manifest)


def _days(row: Mapping[str, Any]) -> float:
    """Calendar days that a row's runs cover."""
    manifest = json.loads(row["manifest"])
    run, data = manifest["run"], manifest["data"]
    first = max(filter(None, (run.get("start"), data["first"])))
    last = data["last"] if row["kind"] == "backtest" else min(filter(None, (run.get("end"), data["last"])))
    span = np.datetime64(str(last)[:10], "D") - np.datetime64(str(first)[:10], "D")
    return float(span.astype(np.int64)) + 1.0


def _pooled(rows: Sequence[Mapping[str, Any]], total: int, periods: float) -> Trials:
    """Number, mean and variance of all trials of several rows, each row a group with its own."""
    count = sum(row["trials"] for row in rows)
    known = [row for row in rows if row["sharpe_mean"] is not None]
    size = np.array([row["trials"] for row in known], np.float64)
    scale = np.array([np.sqrt(row["periods"] / periods) for row in known])
    mean = scale * np.array([row["sharpe_mean"] for row in known], np.float64)
    inner = scale**2 * np.array([row["sharpe_variance"] or 0.0 for row in known], np.float64)
    if not len(known):
        return Trials(count, total, float("nan"), float("nan"))
    middle = float((size * mean).sum() / size.sum())
    spread = float(((size - 1.0) * inner + size * (mean - middle) ** 2).sum())
    return Trials(count, total, middle, spread / (float(size.sum()) - 1.0) if size.sum() > 1.0 else float("nan"))
