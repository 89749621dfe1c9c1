"""Keys, tokens and account numbers of a test's KIS clients, looked for in everything that the test leaves or shows.

What counts as a secret is what the code itself holds for one: keys, secrets, HTS ids and account numbers of every
`Keys` that is made, tokens and approval keys as they are handed to `Wire.hide`. Looked at: every message of our errors,
every exchange told to the wire log, reprs of clients, brokers, streams and keys, all log records down to DEBUG with
their tracebacks, what was printed, and every file under the test's folder, whatever its format.

Left out are files that hold keys by their nature: the token cache, and what a test wrote as the user's own settings.
The emulator's side of a socket is no client either: its loggers are not listened to.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import _pytest.capture
import pytest

from quantkit.brokers.kis import broker, client, server, stream, wire
from quantkit.errors import QuantkitError

SHORTEST = 8
OWN_FILES = ("kis_devlp.yaml", ".env", "quantkit.toml", "kis_emulator.yaml", "keys.yaml")
TOKENS = re.compile(r"kis-(real|paper).*\.json")
SERVERS = ("websockets.server",)


@dataclass
class Watch:
    """Secrets of a test, and what it said."""

    secrets: set[str] = field(default_factory=set)
    said: list[tuple[str, str]] = field(default_factory=list)

    def plant(self, *values: str) -> None:
        """More secrets. Short ones would be found by chance."""
        self.secrets.update(value for value in values if len(value) >= SHORTEST)

    def tell(self, where: str, text: str) -> None:
        """Something that others can see."""
        self.said.append((where, text))

    def leaks(self, folder: Path | None = None) -> list[str]:
        """Where a secret stands, without the secret."""
        found = {f"{where}: {self._shown(text)}" for where, text in self.said if self._has(text)}
        if folder is not None:
            raw = [secret.encode() for secret in self.secrets]
            found |= {
                f"file {path.relative_to(folder)}" for path in folder.rglob("*")
                if path.is_file() and not _by_nature(path) and any(secret in path.read_bytes() for secret in raw)
            }  # fmt: skip
            found |= {f"name of {path.relative_to(folder)}" for path in folder.rglob("*") if self._has(path.name)}
        return sorted(found)

    def _has(self, text: str) -> bool:
        return any(secret in text for secret in self.secrets)

    def _shown(self, text: str) -> str:
        for secret in sorted(self.secrets, key=len, reverse=True):
            text = text.replace(secret, f"<{len(secret)} characters of a secret>")
        return text[:500]


def _by_nature(path: Path) -> bool:
    return path.name in OWN_FILES or TOKENS.fullmatch(path.name) is not None


class _Heard(logging.Handler):
    """All log records, as text with their tracebacks."""

    def __init__(self, watch: Watch) -> None:
        super().__init__(logging.DEBUG)
        self._watch, self._format = watch, logging.Formatter("%(name)s %(message)s")

    def emit(self, record: logging.LogRecord) -> None:
        self._watch.tell(f"log {record.name}", self._format.format(record))


@contextmanager
def watched() -> Iterator[Watch]:
    """Watch what happens inside."""
    watch = Watch()
    patch = pytest.MonkeyPatch()
    _after(patch, server._Keys, "__post_init__", lambda made: _keys(watch, made))
    for kind in (client.KisClient, broker.KisBroker, stream.KisStream, wire.Wire):
        _after(patch, kind, "__init__", lambda made: watch.tell(f"repr of {type(made).__name__}", repr(made)))
    hide = wire.Wire.hide
    patch.setattr(wire.Wire, "hide", lambda self, *secrets: (watch.plant(*secrets), hide(self, *secrets))[1])
    exchange = wire.Exchange

    def told(*args: Any, **fields: Any) -> wire.Exchange:
        made = exchange(*args, **fields)
        watch.tell("wire log", repr(made))
        return made

    patch.setattr(wire, "Exchange", told)

    def failed(self: QuantkitError, *args: object) -> None:
        Exception.__init__(self, *args)
        watch.tell(f"error {type(self).__name__}", f"{self} {self!r}")

    patch.setattr(QuantkitError, "__init__", failed)
    read = _pytest.capture.CaptureFixture.readouterr

    def printed(self: Any) -> Any:
        found = read(self)
        watch.tell("output", f"{found.out}{found.err}")
        return found

    patch.setattr(_pytest.capture.CaptureFixture, "readouterr", printed)
    try:
        with _listening(_Heard(watch)):
            yield watch
    finally:
        patch.undo()


@contextmanager
def _listening(handler: logging.Handler) -> Iterator[None]:
    """Let one handler hear everything; the others hear what they heard before, for each costs time."""
    root = logging.getLogger()
    quiet = {logger: logger.level for logger in (root, *map(logging.getLogger, SERVERS))}
    others = {other: other.level for other in root.handlers}
    for other, level in others.items():
        other.setLevel(max(level, root.level))
    for logger in quiet:
        logger.setLevel(logging.DEBUG if logger is root else logging.WARNING)
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        for each, level in (*quiet.items(), *others.items()):
            each.setLevel(level)


def _after(patch: pytest.MonkeyPatch, kind: type, name: str, then: Callable[[Any], None]) -> None:
    """Do something after a method of a class."""
    method = getattr(kind, name)

    def both(self: Any, *args: Any, **fields: Any) -> None:
        method(self, *args, **fields)
        then(self)

    patch.setattr(kind, name, both)


def _keys(watch: Watch, made: Any) -> None:
    watch.plant(*made.secrets())
    watch.tell("repr of keys", f"{made!r} {made.account!r}")
