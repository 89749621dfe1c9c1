"""A paper account's memory: one JSON file, replaced as a whole.

Contract: a write is there entirely or not at all, also when the machine stops in the middle of it. One process owns a
file: one that somebody else has written since is not overwritten (Refused PAPER_SECOND_OWNER). BadData: the file is no
paper account's.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Final

from quantkit.errors import BadData, Refused

if TYPE_CHECKING:
    from pathlib import Path

VERSION: Final = 1


class Store:
    """The file of one account."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen = self._stamp()

    def read(self) -> dict[str, Any] | None:
        """What was written last; None where there is no file yet."""
        self._seen = self._stamp()
        if self._seen is None:
            return None
        try:
            document = json.loads(self.path.read_text(encoding="utf-8"))
            if document["version"] != VERSION:
                raise BadData(f"{self.path}: version {document['version']} of a paper account; {VERSION} is known")
        except (ValueError, KeyError, TypeError) as problem:
            raise BadData(f"{self.path} is no paper account: {problem}") from problem
        return dict(document)

    def write(self, document: dict[str, Any]) -> None:
        """Put a document in place of the one before. OSError where the disk says no: then nothing has changed."""
        if self._stamp() != self._seen:
            raise Refused("PAPER_SECOND_OWNER", f"{self.path} was written by another process: stop one of them")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_name(f"{self.path.name}.new")
        try:
            with beside.open("w", encoding="utf-8") as file:
                json.dump({"version": VERSION, **document}, file, ensure_ascii=False, separators=(",", ":"))
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self.path)
        finally:
            beside.unlink(missing_ok=True)
        self._seen = self._stamp()

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size
