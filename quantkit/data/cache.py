"""Column cache: matrices of answered queries, memory-mapped, so that a repeated read costs what mapping costs.

Contract: one folder an entry, named by a hash of the pinned versions and the query; `meta.json` holds what is small,
each (T, N) array is an .npy file. Files are written under another name and renamed, so a reader sees all of a file or
nothing; an entry is never changed, because what it was computed from never changes. The least recently used entries
go when the folder outgrows `limit_bytes`. Deleting the folder is always safe. Loads numpy only: no Parquet, Delta or
DuckDB library. Called by `lake`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

LIMIT_BYTES = 4 << 30
_META = "meta.json"


class ColumnCache:
    """Entries of one lake under `folder`."""

    def __init__(self, folder: Path, *, limit_bytes: int = LIMIT_BYTES) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes

    @staticmethod
    def key(query: Mapping[str, object]) -> str:
        """Name of a query's entry; `query` must be JSON-serialisable."""
        return hashlib.sha256(json.dumps(query, sort_keys=True).encode()).hexdigest()[:32]

    def meta(self, key: str) -> dict[str, Any] | None:
        """The entry's small facts, None where there is none. Marks the entry as used."""
        path = self.folder / key / _META
        try:
            found: dict[str, Any] = json.loads(path.read_bytes())
            os.utime(path)
        except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
            return None
        except PermissionError:  # a read-only lake: the age of the entry cannot be kept
            return json.loads(path.read_bytes()) if os.access(path, os.R_OK) else None
        return found

    def array(self, key: str, name: str) -> NDArray[Any] | None:
        """A stored array, memory-mapped and read-only."""
        try:
            found: NDArray[Any] = np.load(self.folder / key / f"{name}.npy", mmap_mode="r")
            return found
        except (FileNotFoundError, ValueError):
            return None

    def store(self, key: str, meta: Mapping[str, object], arrays: Mapping[str, NDArray[Any]]) -> None:
        """Make an entry. A folder that cannot be written, or a full disk, only means that nothing is kept."""
        try:
            for name, array in arrays.items():
                self._write(key, f"{name}.npy", lambda file, array=array: np.save(file, array))  # type: ignore[misc]
            self._write(key, _META, lambda file: file.write(json.dumps(meta).encode()))
        except OSError:
            shutil.rmtree(self.folder / key, ignore_errors=True)
            return
        self.prune(keep=key)

    def field(self, key: str, name: str, build: Callable[[], NDArray[np.float64]]) -> NDArray[np.float64]:
        """A stored matrix, else the one that `build` gives, kept for the next time if the entry exists."""
        found = self.array(key, name)
        if found is not None:
            return found
        built = build()
        if (self.folder / key / _META).exists():
            try:
                self._write(key, f"{name}.npy", lambda file: np.save(file, built))
            except OSError:  # kept in memory for this caller; the disk stays as it was
                return built
            self.prune(keep=key)
        return built

    def prune(self, *, keep: str | None = None) -> int:
        """Delete the least recently used entries beyond the limit, never `keep`; gives the bytes left."""
        entries = []
        for entry in self.folder.iterdir() if self.folder.is_dir() else ():
            size, used = _size_and_use(entry)
            entries.append((used, size, entry))
        total = sum(size for _, size, _ in entries)
        for _, size, entry in sorted(entries):
            if total <= self.limit_bytes:
                break
            if entry.name != keep:
                shutil.rmtree(entry, ignore_errors=True)
                total -= size
        return total

    def _write(self, key: str, name: str, write: Callable[[Any], object]) -> None:
        folder = self.folder / key
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f".{name}.{os.getpid()}"
        try:
            with temporary.open("wb") as file:
                write(file)
            temporary.replace(folder / name)
        finally:
            temporary.unlink(missing_ok=True)


def _size_and_use(entry: Path) -> tuple[int, float]:
    """(bytes, time of last use) of an entry; files that vanish meanwhile do not count."""
    size, used = 0, 0.0
    for file in entry.glob("*"):
        try:
            status = file.stat()
        except FileNotFoundError:
            continue
        size, used = size + status.st_size, max(used, status.st_mtime)
    return size, used
