"""A journal in memory: for replays and simulations, and for what need not outlive the process.

Contract: that of `journal.base`, but nothing is durable, and hashes are made when somebody asks for them (`head`,
`read`, the result of `append`), so a replay of a million bars pays for none. Entries must not change after `append`.
`reopen` is what a second owner does: it takes the account over with the next epoch, and the one before is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, overload

from quantkit.errors import Bug, Refused
from quantkit.live.journal.base import Recorded
from quantkit.live.journal.chain import GENESIS, canonical, row_hash
from quantkit.live.redact import Redactor
from quantkit.trading.events import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quantkit.live.messages import Command
    from quantkit.trading.events import Entry


@dataclass(slots=True)
class _Shelf:
    """What stays when the account changes hands."""

    entries: list[Entry] = field(default_factory=list)
    since: list[tuple[int, int]] = field(default_factory=list)  # (number of entries before it, epoch)
    recorded: list[Recorded] = field(default_factory=list)  # as far as somebody has asked
    snapshot: tuple[int, bytes] | None = None
    wire: list[tuple[int | None, str, str, int]] = field(default_factory=list)
    waiting: dict[str, Command] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)  # ids of all commands


class MemoryJournal:
    """Entries in a list."""

    def __init__(self, account: str = "memory", *, redactor: Redactor | None = None) -> None:
        self.account = account
        self.epoch = 1
        self._redactor = Redactor() if redactor is None else redactor
        self._shelf = _Shelf(since=[(0, 1)])
        self._closed = False

    def reopen(self) -> MemoryJournal:
        """The same journal under its next owner."""
        after = MemoryJournal(self.account, redactor=self._redactor)
        after._shelf = self._shelf
        after.epoch = self._shelf.since[-1][1] + 1
        self._shelf.since.append((len(self._shelf.entries), after.epoch))
        return after

    def append(self, entries: Sequence[Entry], *, snapshot: bytes | None = None) -> Sequence[Recorded]:
        """Keep entries; what is returned makes its hashes when it is looked at."""
        shelf = self._shelf
        if self._closed:
            raise Bug(f"the journal of {self.account} is closed")
        if shelf.since[-1][1] != self.epoch:
            raise Refused("SECOND_OWNER", f"account {self.account} was opened by another owner")
        first = len(shelf.entries)
        shelf.entries.extend(entries)
        if shelf.waiting:
            for entry in entries:
                if entry.kind is Kind.COMMAND_RECEIVED:
                    shelf.waiting.pop(str(entry.payload.get("id")), None)
        if snapshot is not None:
            shelf.snapshot = (len(shelf.entries), snapshot)
        return _Appended(self, first, len(shelf.entries))

    def read(self, after: int = 0) -> Iterator[Recorded]:
        """Entries after that number; those appended meanwhile come too."""
        place = after
        while place < len(self._shelf.entries):
            self._chain(len(self._shelf.entries))
            yield self._shelf.recorded[place]
            place += 1

    def head(self) -> tuple[int, str]:
        """Number and hash of the last entry."""
        count = len(self._shelf.entries)
        self._chain(count)
        return (count, self._shelf.recorded[-1].hash) if count else (0, GENESIS)

    def snapshot(self) -> tuple[int, bytes] | None:
        """The latest snapshot."""
        return self._shelf.snapshot

    def log_wire(self, seq: int | None, direction: str, text: str, time: int) -> None:
        """Keep a message, secrets stripped; `wire` shows them."""
        self._shelf.wire.append((seq, direction, self._redactor.text(text), time))

    @property
    def wire(self) -> Sequence[tuple[int | None, str, str, int]]:
        """(seq, direction, text, time) of every message kept."""
        return tuple(self._shelf.wire)

    def send(self, command: Command) -> bool:
        """Leave a command for the engine."""
        if command.id in self._shelf.known:
            return False
        self._shelf.known.add(command.id)
        self._shelf.waiting[command.id] = command
        return True

    def commands(self) -> list[Command]:
        """Commands that no entry speaks of."""
        return list(self._shelf.waiting.values())

    def close(self) -> None:
        """No more appends by this owner."""
        self._closed = True

    def _chain(self, count: int) -> None:
        """Give the first `count` entries their hashes."""
        shelf = self._shelf
        done = len(shelf.recorded)
        if done >= count:
            return
        before = shelf.recorded[-1].hash if done else GENESIS
        place = max(index for index, (start, _) in enumerate(shelf.since) if start <= done)
        for index in range(done, count):
            while place + 1 < len(shelf.since) and shelf.since[place + 1][0] <= index:
                place += 1
            entry, epoch = shelf.entries[index], shelf.since[place][1]
            after = row_hash(self.account, index + 1, epoch, entry, canonical(entry.payload), before)
            shelf.recorded.append(Recorded(index + 1, epoch, entry, before, after))
            before = after


class _Appended(Sequence[Recorded]):
    """What one `append` wrote."""

    __slots__ = ("_first", "_journal", "_stop")

    def __init__(self, journal: MemoryJournal, first: int, stop: int) -> None:
        self._journal, self._first, self._stop = journal, first, stop

    def __len__(self) -> int:
        return self._stop - self._first

    @overload
    def __getitem__(self, place: int) -> Recorded: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Recorded]: ...
    def __getitem__(self, place: int | slice) -> Recorded | Sequence[Recorded]:
        self._journal._chain(self._stop)
        return self._journal._shelf.recorded[self._first : self._stop][place]
