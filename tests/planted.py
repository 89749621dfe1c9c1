"""Keys, tokens and account numbers of a test's KIS clients, looked for in everything that the test leaves or shows.

What counts as a secret is what the code itself holds for one: keys, secrets, HTS ids and account numbers wherever they
are read, well formed or not, and of every `Keys` that is made; tokens and approval keys as they are handed to
`Wire.hide`; and for other processes what stands in files of keys and tokens. Looked at: every message of our errors,
every exchange told to the wire log, reprs of clients, brokers, streams and keys, all log records down to DEBUG with
their tracebacks from the first secret on, what was printed, and every file under the test's folder, of any format.

Not taken for leaks are files that hold keys by their nature: the token cache, and the user's own settings. The
emulator's side of a socket is no client either: its loggers are not listened to.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import _pytest.capture
import pytest

from quantkit.brokers.kis import broker, client, server, sources, stream, wire
from quantkit.errors import QuantkitError

SHORTEST = 8
HOLDS_KEYS = re.compile(r"kis-(real|paper).*\.json|.*\.env|.*\.yaml|.*\.toml")
WRITTEN = re.compile(
    r"""(?:app_?key|app_?secret|account_no|hts_id|token)["']?\s*[:=]\s*["']?([^\s"',}]+)""", re.IGNORECASE
)
SERVERS = ("websockets.server",)


@dataclass
class Watch:
    """Secrets of a test, and what it said. A report that shows a Watch shows neither."""

    secrets: set[str] = field(default_factory=set, repr=False)
    said: list[tuple[str, str]] = field(default_factory=list, repr=False)

    def plant(self, *values: str) -> None:
        """More secrets. Short ones would be found by chance."""
        self.secrets.update(value for value in values if len(value) >= SHORTEST)

    def tell(self, where: str, text: str) -> None:
        """Something that others can see."""
        self.said.append((where, text))

    def leaks(self, folder: Path | None = None) -> list[str]:
        """Where a secret stands, without the secret."""
        files = [] if folder is None else [path for path in folder.rglob("*") if path.is_file()]
        for path in files:
            if _by_nature(path):
                self.plant(*WRITTEN.findall(path.read_text(encoding="utf-8", errors="replace")))
        if not self.secrets:
            return []
        found = set()
        if self._has("\n".join(text for _, text in self.said)):
            found = {f"{where}: {self._shown(text)}" for where, text in self.said if self._has(text)}
        for path in files:
            if not _by_nature(path) and self._has(path.read_bytes().decode("latin-1")):
                found.add(f"file {path.relative_to(folder)}")
            if self._has(path.name):
                found.add(f"name of {path.relative_to(folder)}")
        return sorted(found)

    def _has(self, text: str) -> bool:
        return any(secret in text for secret in self.secrets)

    def _shown(self, text: str) -> str:
        for secret in sorted(self.secrets, key=len, reverse=True):
            text = text.replace(secret, f"<{len(secret)} characters of a secret>")
        return text[:500]


def _by_nature(path: Path) -> bool:
    return HOLDS_KEYS.fullmatch(path.name) is not None


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
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        _hear_secrets(watch, patch, first=lambda: stack.enter_context(_listening(_Heard(watch))))
        _hear_words(watch, patch)
        yield watch


def _hear_secrets(watch: Watch, patch: pytest.MonkeyPatch, first: Callable[[], object]) -> None:
    """Plant what the code takes for a secret. first: called once, before the first of them."""
    begun = False

    def plant(*values: str) -> None:
        nonlocal begun
        if not begun:
            begun = True
            first()
        watch.plant(*values)

    _before(patch, server._Keys, "__post_init__", lambda keys: plant(*keys.secrets()))
    _before(patch, sources, "_checked", lambda said, *_: plant(*(said.get(name, "") for name in sources.SECRETS)))
    _before(patch, wire.Wire, "hide", lambda _, *secrets: plant(*secrets))


def _hear_words(watch: Watch, patch: pytest.MonkeyPatch) -> None:
    """Tell what the code shows."""
    _after(patch, server._Keys, "__post_init__", lambda keys: watch.tell("repr of keys", f"{keys!r} {keys.account!r}"))
    for kind in (client.KisClient, broker.KisBroker, stream.KisStream, wire.Wire):
        _after(patch, kind, "__init__", lambda made: watch.tell(f"repr of {type(made).__name__}", repr(made)))
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
    readouterr = _pytest.capture.CaptureFixture.readouterr

    def printed(self: Any) -> Any:
        found = readouterr(self)
        watch.tell("output", f"{found.out}{found.err}")
        return found

    patch.setattr(_pytest.capture.CaptureFixture, "readouterr", printed)


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


def _before(patch: pytest.MonkeyPatch, place: object, name: str, first: Callable[..., None]) -> None:
    """Do something before a function or a method, with what it is given."""
    function = getattr(place, name)

    def both(*args: Any, **fields: Any) -> Any:
        first(*args)
        return function(*args, **fields)

    patch.setattr(place, name, both)


def _after(patch: pytest.MonkeyPatch, kind: type, name: str, then: Callable[[Any], None]) -> None:
    """Do something after a method of a class, with the object."""
    method = getattr(kind, name)

    def both(self: Any, *args: Any, **fields: Any) -> None:
        method(self, *args, **fields)
        then(self)

    patch.setattr(kind, name, both)
