"""A sweep's results on disk while it runs, so that one that was killed goes on.

    FOLDER/sweep.json         what is swept: strategy and its hash, space, settings, a digest of the bars
    FOLDER/piece-00000.parquet, ...   runs that are done: parameters, figures, status, error (growth, when kept)

Contract: a piece is whole or not there (written beside, then renamed). A folder of another sweep is refused, naming
what differs. pyarrow is loaded when a folder is used.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from quantkit.backtest.tally import NAMES
from quantkit.errors import BadData, ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from quantkit.core.state import Floats
    from quantkit.research.space import Point
    from quantkit.research.work import Done

FORMAT = 1
EVERY = 2.0  # seconds between pieces, at least


class Store:
    """The folder of one sweep."""

    def __init__(
        self, folder: str | Path, identity: Mapping[str, Any], names: tuple[str, ...], clock: Callable[[], float]
    ) -> None:
        self.folder, self.names, self._clock = Path(folder), names, clock
        self._pieces = 0
        self._waiting: list[tuple[Point, Floats, str, Floats | None]] = []
        self._written = self._clock()
        if self.folder.exists() and not self.folder.is_dir():
            raise ConfigError(f"sweep(resume={str(folder)!r}): a file; name a folder")
        self.folder.mkdir(parents=True, exist_ok=True)
        self._check({"format": FORMAT, **identity})

    def _check(self, identity: dict[str, Any]) -> None:
        place = self.folder / "sweep.json"
        text = json.dumps(identity, indent=1, sort_keys=True, default=str, ensure_ascii=False)
        self.token = hashlib.sha256(text.encode()).hexdigest()  # the same for the same sweep
        if not place.exists():
            if any(self.folder.glob("*.parquet")):
                raise ConfigError(f"sweep(resume={str(self.folder)!r}): holds Parquet files of something else")
            _put(place, text.encode())
            return
        try:
            before = json.loads(place.read_text(encoding="utf-8"))
        except ValueError as error:
            raise BadData(f"{place} cannot be read ({error}); remove the folder to begin anew") from error
        now = json.loads(text)
        other = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
        if other:
            what = "; ".join(f"{name} was {_short(before.get(name))}, is {_short(now.get(name))}" for name in other[:3])
            raise ConfigError(f"sweep(resume={str(self.folder)!r}): the folder is of another sweep: {what}")

    def done(self) -> Iterator[tuple[Point, Floats, str, Floats | None]]:
        """(point, figures, error, growth) of the runs already made."""
        import pyarrow.parquet as pq

        for path in sorted(self.folder.glob("piece-*.parquet")):
            self._pieces = max(self._pieces, int(path.stem.partition("-")[2]) + 1)
            try:
                table = pq.read_table(path)
            except (OSError, ValueError) as error:
                raise BadData(f"{path} cannot be read ({error}); remove it, its runs will be made again") from error
            points = [tuple(json.loads(text)) for text in table["point"].to_pylist()]
            rows = np.column_stack([table[f"figure.{name}"].to_numpy() for name in NAMES])
            errors = table["error"].to_pylist()
            growth = table["growth"].to_pylist() if "growth" in table.column_names else [None] * len(points)
            for place, point in enumerate(points):
                kept = growth[place]
                yield point, rows[place], errors[place], None if kept is None else np.frombuffer(kept)

    def add(self, points: list[Point], done: Done) -> None:
        """Take runs down; a piece is written now and then, and by `flush`."""
        for place, point in enumerate(points):
            grown = done.growth[place] if len(done.growth) else None
            self._waiting.append((point, done.rows[place], done.errors[place], grown))
        if self._clock() - self._written >= EVERY:
            self.flush()

    def flush(self) -> None:
        """Write what waits as one piece."""
        self._written = self._clock()
        if not self._waiting:
            return
        import pyarrow as pa
        import pyarrow.parquet as pq

        points, rows, errors, growth = zip(*self._waiting, strict=True)
        columns: dict[str, Any] = {"point": [json.dumps(point) for point in points]}
        for place, name in enumerate(self.names):
            values = [point[place] for point in points]
            columns[name] = values if len({type(value) for value in values}) == 1 else [str(value) for value in values]
        columns |= {f"figure.{name}": np.stack(rows)[:, place] for place, name in enumerate(NAMES)}
        columns["status"] = ["failed" if error else "done" for error in errors]
        columns["error"] = list(errors)
        if growth[0] is not None:
            columns["growth"] = [values.tobytes() for values in growth]
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table(columns), sink)
        _put(self.folder / f"piece-{self._pieces:05d}.parquet", sink.getvalue().to_pybytes())
        self._pieces += 1
        self._waiting = []


def _put(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with beside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def _short(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."
