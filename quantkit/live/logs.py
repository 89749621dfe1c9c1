"""Logs of a running engine: structlog, one line an event, secrets taken out before anything is written.

Contract: `configure` is called once by the command that runs the engine; libraries only call `get(name)`. Lines go to
standard error as text (for a terminal) or as JSON (for a program), and to a file as JSON where one is given. Times are
UTC. What the journal holds is not repeated here: logs are for finding out, the journal is for knowing.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, TextIO

import structlog

from quantkit.errors import ConfigError
from quantkit.live.redact import Redactor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class _Tee:
    """Writes each line to all of several files, at once."""

    def __init__(self, *files: tuple[TextIO, Any]) -> None:
        self._files = files

    def msg(self, event: dict[str, Any]) -> None:
        """One event, rendered for each file by its own renderer."""
        for file, render in self._files:
            file.write(render(None, "", dict(event)) + "\n")
            file.flush()

    log = debug = info = warning = warn = error = critical = fatal = exception = failure = msg


def configure(
    *, level: str = "info", form: str = "text", file: Path | None = None, redactor: Redactor | None = None,
    stream: TextIO | None = None,
) -> Callable[[], None]:  # fmt: skip
    """Say where logs of this process go; calling the answer closes the file. ConfigError where it cannot be written."""
    out = sys.stderr if stream is None else stream
    json = structlog.processors.JSONRenderer(ensure_ascii=False)
    text = structlog.dev.ConsoleRenderer(colors=form == "text" and out.isatty(), exception_formatter=_plain_trace)
    files: list[tuple[TextIO, Any]] = [(out, text if form == "text" else json)]
    if file is not None:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            files.append((file.open("a", encoding="utf-8"), json))
        except OSError as problem:
            raise ConfigError(f"logs.file = {file}: {problem.strerror or problem}") from None
    tee = _Tee(*files)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            Redactor() if redactor is None else redactor,
            _hand_over,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=lambda *_: tee,
        cache_logger_on_first_use=False,
    )

    def close() -> None:
        structlog.reset_defaults()
        for opened, _ in files[1:]:
            opened.close()

    return close


def get(name: str, **bound: Any) -> Any:
    """A logger that says who it is."""
    return structlog.get_logger(part=name, **bound)


def _hand_over(_logger: Any, _method: str, event: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The event as it is: each file renders it in its own way."""
    return (event,), {}


def _plain_trace(file: TextIO, trace: Any) -> None:
    structlog.dev.plain_traceback(file, trace)
