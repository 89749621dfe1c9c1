"""Does a journal still say what was written into it?

    1. every row follows the one before: numbers without holes, epochs that never fall, hashes that fit
    2. the last epoch is not newer than the lease
    3. projections equal a replay of the entries from nothing
    4. snapshots fit their digests and stand where they say

Contract: reads only, in pages; run it on a journal nobody is writing, or on a copy. It goes on after a difference in a
table, and stops at a broken chain, since nothing after it can be judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from quantkit.errors import BadData, Bug
from quantkit.live.journal import tables
from quantkit.live.journal.chain import GENESIS
from quantkit.live.journal.database import reading
from quantkit.live.journal.projections import Projections
from quantkit.live.journal.reader import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quantkit.live.journal.projections import Key, Row
    from quantkit.live.journal.reader import Reader

MOST = 20  # differences named


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `verify` found. problems: one line each, the first bad row first; none: all agrees."""

    account: str
    entries: int
    head: str
    problems: tuple[str, ...]

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def verify(journal: Reader) -> Verdict:
    """Check a whole journal."""
    replayed = Projections()
    count, hash_, epoch = 0, GENESIS, 0
    problems: list[str] = []
    try:
        for one in journal.read():
            if one.epoch < epoch:
                fallen = f"journal of {journal.account}, entry {one.seq}: epoch {one.epoch} after {epoch}"
                return Verdict(journal.account, count, hash_, (fallen,))
            replayed.apply((one,))
            replayed.commit()
            count, hash_, epoch = one.seq, one.hash, one.epoch
    except (BadData, Bug) as broken:
        return Verdict(journal.account, count, hash_, (str(broken),))
    problems += _lease(journal, epoch)
    for table in tables.PROJECTIONS:
        problems += _compared(table.name, journal.projection(table), replayed.rows[table.name])
    problems += _snapshots(journal, count)
    if len(problems) > MOST:
        problems[MOST:] = [f"and {len(problems) - MOST} more"]
    return Verdict(journal.account, count, hash_, tuple(problems))


def _lease(journal: Reader, epoch: int) -> Iterator[str]:
    chosen = sa.select(tables.leases.c.epoch).where(tables.leases.c.account_id == journal.account)
    with reading(journal._engine, journal.url) as connection:
        found = connection.execute(chosen).scalar()
    if found is None or found < epoch:
        yield f"leases: epoch {found}, the journal has {epoch}"


def _compared(name: str, stored: dict[Key, Row], replayed: dict[Key, Row]) -> Iterator[str]:
    """Differences of a projection's rows from those a replay makes."""
    for key in sorted(set(stored) | set(replayed), key=str):
        said = " ".join(str(part) or '""' for part in key)
        if key not in stored:
            yield f"{name} {said}: missing; entry {replayed[key]['seq']} makes it"
        elif key not in replayed:
            yield f"{name} {said}: no entry makes it"
        elif stored[key] != replayed[key]:
            column = next(each for each in replayed[key] if stored[key][each] != replayed[key][each])
            yield (
                f"{name} {said}: {column} is {stored[key][column]!r}, a replay gives {replayed[key][column]!r} "
                f"(entry {replayed[key]['seq']})"
            )


def _snapshots(journal: Reader, count: int) -> Iterator[str]:
    """Snapshots that are damaged or stand after no entry."""
    kept = tables.snapshots.c
    chosen = sa.select(kept.seq, kept.hash, kept.digest, kept.state).where(kept.account_id == journal.account)
    with reading(journal._engine, journal.url) as connection:
        found = connection.execute(chosen.order_by(kept.seq)).fetchall()
        hashes = {
            seq: connection.execute(
                sa.select(tables.journal.c.hash).where(
                    tables.journal.c.account_id == journal.account, tables.journal.c.seq == seq
                )
            ).scalar()
            for seq, *_ in found
        }
    for seq, hash_, digest, state in found:
        if digest != digest_of(state):
            yield f"snapshot after {seq}: its digest differs from its content"
        if seq > count or hash_ != (hashes[seq] if seq else GENESIS):
            yield f"snapshot after {seq}: it belongs to another journal"
