"""Does a journal still say what was written into it?

    1. every row follows the one before: numbers without holes, epochs that never fall, hashes that fit
    2. the last epoch is not newer than the lease
    3. projections equal a replay of the entries from nothing
    4. snapshots fit their digests and stand where they say; where `orders_in` can read them, their orders are those
       that the entries before them make
    5. a head that somebody wrote down earlier is still there

Contract: reads only, all of it as it stood at one moment, so a journal that is being written can be checked. It goes
on after a difference in a table, and stops at a broken chain, since nothing after it can be judged. Who can rewrite
the file can rewrite every hash: what proves that nobody did is a head that was written down elsewhere (`known`).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import sqlalchemy as sa

from quantkit.errors import BadData, Bug
from quantkit.live.journal import tables
from quantkit.live.journal.chain import GENESIS
from quantkit.live.journal.projections import Projections
from quantkit.live.journal.reader import digest_of
from quantkit.trading.orders import TERMINAL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from quantkit.live.journal.projections import Key, Row
    from quantkit.live.journal.reader import Reader
    from quantkit.trading.orders import Order

    Orders = dict[str, Order]

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


def verify(
    journal: Reader, *, known: tuple[int, str] | None = None,
    orders_in: Callable[[bytes], Iterable[Order] | None] | None = None,
) -> Verdict:  # fmt: skip
    """Check a whole journal.

    known: number and hash of an entry, as somebody wrote them down. orders_in: orders that a snapshot holds, or None.
    """
    with journal.at_once():
        return _verified(journal, known, orders_in)


def _verified(
    journal: Reader, known: tuple[int, str] | None, orders_in: Callable[[bytes], Iterable[Order] | None] | None
) -> Verdict:
    replayed, stands = Projections(), known is None
    states, said = _states(journal), list[str]()
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
            stands = stands or (count, hash_) == known
            if count in states and orders_in is not None:
                said += _other_orders(count, orders_in(states[count]), replayed.orders)
    except (BadData, Bug) as broken:
        return Verdict(journal.account, count, hash_, (str(broken),))
    if not stands and known is not None:
        problems.append(f"entry {known[0]} with hash {known[1][:16]}... is not there: the journal was cut or rewritten")
    problems += _lease(journal, epoch)
    for table in tables.PROJECTIONS:
        problems += _compared(table.name, journal.projection(table), replayed.rows[table.name])
    problems += _snapshots(journal, count)
    problems += said
    if len(problems) > MOST:
        problems[MOST:] = [f"and {len(problems) - MOST} more"]
    return Verdict(journal.account, count, hash_, tuple(problems))


def _lease(journal: Reader, epoch: int) -> Iterator[str]:
    chosen = sa.select(tables.leases.c.epoch).where(tables.leases.c.account_id == journal.account)
    with journal.reading() as connection:
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


def _states(journal: Reader) -> dict[int, bytes]:
    """States whose digest fits, by the entry they were taken after."""
    kept = tables.snapshots.c
    chosen = sa.select(kept.seq, kept.digest, kept.state).where(kept.account_id == journal.account)
    with journal.reading() as connection:
        return {seq: state for seq, digest, state in connection.execute(chosen) if digest == digest_of(state)}


def _other_orders(seq: int, told: Iterable[Order] | None, made: Orders) -> Iterator[str]:
    """Orders of a state that are not as the entries make them, and live ones that it lacks."""
    if told is None:
        return
    held = {order.id: order for order in told}
    for name, order in held.items():
        if made.get(name) != order:
            yield f"snapshot after {seq}: order {name}: {_differs(order, made.get(name))}"
    for name, order in made.items():
        if order.status not in TERMINAL and name not in held:
            yield f"snapshot after {seq}: order {name} is missing"


def _differs(told: Order, made: Order | None) -> str:
    """The first thing in which an order is another one."""
    if made is None:
        return "no entry makes it"
    name = next(each.name for each in fields(told) if getattr(told, each.name) != getattr(made, each.name))
    return f"{name} is {getattr(told, name)!r}, a replay gives {getattr(made, name)!r}"


def _snapshots(journal: Reader, count: int) -> Iterator[str]:
    """Snapshots that are damaged or stand after no entry."""
    kept = tables.snapshots.c
    chosen = sa.select(kept.seq, kept.hash, kept.digest, kept.state).where(kept.account_id == journal.account)
    with journal.reading() as connection:
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
