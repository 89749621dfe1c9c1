"""Alerts: what the journal says that a person should hear of, sent to the addresses of the settings.

Contract: an alert is made from an entry of the journal, never from an intention, so nothing is told that was not
written. A cursor (the seq of the last entry looked at) is kept in a small file, so a restart neither repeats nor skips.
Entries are looked at in order; where sending fails the cursor stays, and the same alerts are tried again with the next
`pump`. Nothing here can hold up or change trading. Which kinds are told, and how loud, is `LEVELS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, Protocol

from quantkit.errors import ConfigError, RetryLater
from quantkit.trading.events import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from quantkit.trading.events import Entry

MOST = 20  # alerts sent as one message; more are counted


class Level(IntEnum):
    """How loud."""

    INFO = 0
    WARNING = 1
    CRITICAL = 2


LEVELS: Final = {
    Kind.RUN_STARTED: Level.INFO,
    Kind.RUN_ENDED: Level.INFO,
    Kind.ORDER_FILLED: Level.INFO,
    Kind.ORDER_DENIED: Level.WARNING,
    Kind.ORDER_REJECTED: Level.WARNING,
    Kind.ORDER_UNRESOLVED: Level.WARNING,
    Kind.ORDER_BOUND: Level.WARNING,
    Kind.FILL_CORRECTED: Level.WARNING,
    Kind.COST_CORRECTED: Level.INFO,
    Kind.GAP_DETECTED: Level.WARNING,
    Kind.GAP_FILLED: Level.INFO,
    Kind.CONNECTION_CHANGED: Level.WARNING,
    Kind.RISK_STATE_CHANGED: Level.CRITICAL,
    Kind.EXTERNAL_ORDER_ADOPTED: Level.CRITICAL,
    Kind.POSITION_ADOPTED: Level.CRITICAL,
    Kind.ALARM: Level.CRITICAL,
}
"""Kinds of entries that are told. The others are read in the journal."""


class Line(Protocol):
    """One recorded entry, as a journal gives them."""

    @property
    def seq(self) -> int:
        """Its place."""

    @property
    def entry(self) -> Entry:
        """What it says."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing to be told."""

    seq: int
    level: Level
    text: str


def alert_of(line: Line) -> Alert | None:
    """The alert an entry makes; None where it makes none."""
    entry = line.entry
    level = LEVELS.get(entry.kind)
    if level is None:
        return None
    if entry.kind is Kind.CONNECTION_CHANGED and entry.payload["up"]:
        level = Level.INFO
    about = "" if entry.order is None else f" {entry.order}"
    said = ", ".join(f"{name}={value}" for name, value in entry.payload.items() if not isinstance(value, dict | list))
    return Alert(line.seq, level, f"{entry.kind}{about}: {said}" if said else f"{entry.kind}{about}")


class Alerter:
    """Follows one account's journal.

    read: entries after a seq, as `Journal.read`. send: see `apprise_sender`. cursor: file of the last seq told.
    """

    def __init__(
        self, account: str, read: Callable[[int], Iterable[Line]], send: Callable[[str, str, Level], bool], *,
        cursor: Path | None = None, least: Level = Level.WARNING,
    ) -> None:  # fmt: skip
        self.account = account
        self._read, self._send, self._cursor, self._least = read, send, cursor, least
        self.seq = _seq_in(cursor)

    def pump(self) -> int:
        """Tell what has been written since; how many alerts that were. RetryLater where nobody could be reached: the
        same will be told next time."""
        lines = list(self._read(self.seq))
        if not lines:
            return 0
        found = [alert for line in lines if (alert := alert_of(line)) is not None and alert.level >= self._least]
        if found and not self._send(*message_of(self.account, found)):
            raise RetryLater(f"{len(found)} alerts of {self.account} could not be sent; they are tried again")
        self.seq = lines[-1].seq
        _keep(self._cursor, self.seq)
        return len(found)


def message_of(account: str, alerts: Sequence[Alert]) -> tuple[str, str, Level]:
    """(title, body, level) of one message that tells several alerts."""
    level = max(alert.level for alert in alerts)
    shown = [f"#{alert.seq} {alert.text}" for alert in alerts[:MOST]]
    if len(alerts) > MOST:
        shown.append(f"... and {len(alerts) - MOST} more; `quantkit journal show {account}` has all")
    return f"quantkit {account}: {level.name.lower()}", "\n".join(shown), level


def apprise_sender(urls: Sequence[str]) -> Callable[[str, str, Level], bool]:
    """A function that sends to all addresses. ConfigError, without showing it, for one that Apprise does not know."""
    import apprise

    notifier = apprise.Apprise()
    for place, url in enumerate(urls, 1):
        if not notifier.add(url):
            raise ConfigError(
                f"alerts.urls: address {place} of {len(urls)} ({url.split(':')[0]}://...) is none Apprise knows"
            )
    loud: dict[Level, Any] = {
        Level.INFO: apprise.NotifyType.INFO,
        Level.WARNING: apprise.NotifyType.WARNING,
        Level.CRITICAL: apprise.NotifyType.FAILURE,
    }

    def send(title: str, body: str, level: Level) -> bool:
        return bool(notifier.notify(body=body, title=title, notify_type=loud[level])) if urls else True

    return send


def _seq_in(cursor: Path | None) -> int:
    if cursor is None or not cursor.exists():
        return 0
    text = cursor.read_text(encoding="ascii").strip()
    if not text.isdigit():
        raise ConfigError(f"{cursor} should hold the number of the last journal entry that was told; it holds {text!r}")
    return int(text)


def _keep(cursor: Path | None, seq: int) -> None:
    """Write the cursor so that a crash leaves the old or the new one."""
    if cursor is None:
        return
    cursor.parent.mkdir(parents=True, exist_ok=True)
    fresh = cursor.with_name(cursor.name + ".new")
    fresh.write_text(f"{seq}\n", encoding="ascii")
    fresh.replace(cursor)
