"""What a journal is to those who use it.

Contract: `append` is one transaction: the entries, the tables made from them and the snapshot are all there when it
returns, or none is. Nobody but the owner of the lease appends: whoever opened the account last. Entries are numbered
from 1 without holes. What `append` may raise:

    Refused("SECOND_OWNER")        somebody else has opened the account: stop
    Refused("JOURNAL_FULL")        no room on the disk
    Refused("JOURNAL_READONLY")    the file, the folder or the database's role may not be written
    Refused("JOURNAL_FAILED")      the disk or the database failed
    Refused("JOURNAL_MOVED")       an append before this one seemed to fail and was written: open the journal again
    RetryLater                     locked by another process, or the connection is lost: the same entries may be
                                   given again, and stand in the journal once
    BadData                        the file is damaged
    Bug                            an entry that no journal can hold, or a move that the state table of orders lacks
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from quantkit.live.messages import Command
    from quantkit.trading.events import Entry


@dataclass(frozen=True, slots=True)
class Recorded:
    """An entry in its place. `epoch` counts the owners of the account; the hashes are those of `journal.chain`."""

    seq: int
    epoch: int
    entry: Entry
    prev_hash: str
    hash: str


class Journal(Protocol):
    """The record of one account, open for writing."""

    account: str
    epoch: int

    def append(self, entries: Sequence[Entry], *, snapshot: bytes | None = None) -> Sequence[Recorded]:
        """Write entries, and the engine's state after them. Durable when it returns."""

    def read(self, after: int = 0) -> Iterator[Recorded]:
        """Entries after that number, oldest first. BadData where the chain is broken."""

    def head(self) -> tuple[int, str]:
        """Number and hash of the last entry; (0, GENESIS) of an empty journal."""

    def snapshot(self) -> tuple[int, bytes] | None:
        """The latest state of the engine, and the number of the entry after which it was taken."""

    def log_wire(self, seq: int | None, direction: str, text: str, time: int) -> None:
        """Keep what went over the wire, secrets stripped, for 90 days. Never raises for want of room."""

    def send(self, command: Command) -> bool:
        """Leave a command for the engine; False where one with its id was left before."""

    def commands(self) -> list[Command]:
        """Commands that nobody has journalled yet, oldest first."""

    def close(self) -> None:
        """Leave; the lease stays until somebody else opens the account."""
