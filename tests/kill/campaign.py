"""A campaign: kill the trader again and again, let it settle, and hold its journal against the exchange's books."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from quantkit.host import new_sleeve
from quantkit.live.clock import SECOND
from quantkit.live.journal import read_journal, verify
from quantkit.live.journal.reader import Reader
from quantkit.live.recovery import recover
from quantkit.trading.events import Kind
from tests.kill.trader import Death, deployment, run_trader, warm
from tests.kill.venue import ACCOUNT, Pace, day_of_trading, packed, run_venue, unpacked

SPEED = 20.0  # faster, and a busy machine looks like a wire on which requests get lost
BEGINS = 900 * SECOND  # after the open: near it an order is looked for twice as long
PATIENCE = 120.0  # seconds until a trader must be there
SHORT, LONG = 1.5, 7.0  # seconds that a life lasts at most; every fifth is long: it can prove what became of orders


@dataclass
class Outcome:
    """What a campaign found. doubled: orders sent twice; lost: orders that one side alone knows, or knows otherwise;
    stale: requests that a machine too busy for the campaign's speed kept from arriving."""

    journal: str
    seed: int
    kills: int = 0
    restarts: int = 0
    at: dict[str, int] = field(default_factory=dict)
    orders: int = 0
    filled: int = 0
    unanswered: int = 0
    stale: int = 0
    entries: int = 0
    doubled: int = 0
    lost: int = 0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)


def campaign(journal: str, kills: int, *, seed: int, folder: Path, speed: float = SPEED) -> Outcome:
    """`kills` lives that end by SIGKILL, then one that settles."""
    begun = time.monotonic()
    socket = folder / "x"
    warm(seed)
    pace = Pace(day_of_trading().opens + BEGINS, time.monotonic_ns(), speed)
    venue = _fork(run_venue, socket, pace, seed)
    found = Outcome(journal.partition("://")[0] if "://" in journal else "sqlite", seed, kills=kills)
    try:
        _wait_for(socket)
        random, at = np.random.default_rng(seed), Counter[str]()
        for life in range(kills):
            at[_live_and_die(random, socket, journal, pace, life)] += 1
        found.at, found.restarts = dict(sorted(at.items())), kills
        _settle(socket, journal, pace)
        books = asyncio.run(_books(socket))
    finally:
        _end(venue)
    judge(found, journal, books)
    found.seconds = round(time.monotonic() - begun, 1)
    return found


def _live_and_die(random: np.random.Generator, socket: Path, journal: str, pace: Pace, life: int) -> str:
    """One life; where it ended."""
    kind = "long" if life % 5 == 4 else str(random.choice(["starting", "running", "append", "submit", "submit"]))
    after, nth = bool(random.integers(2)), int(random.integers(1, 40 if kind == "append" else 8))
    death = Death(kind, after, nth) if kind in ("append", "submit") else Death()
    reading, writing = os.pipe()
    child = _fork(run_trader, socket, journal, pace, death=death, ready=writing, calm=False, owner=f"life {life}")
    os.close(writing)
    try:
        if kind == "starting":
            time.sleep(float(random.uniform(0.0, 1.0)))
        else:
            select.select([reading], [], [], PATIENCE)
            seconds = float(random.uniform(0.05, SHORT)) if kind == "running" else LONG
            if _exited(child, seconds):
                return f"{'after' if after else 'before'} {kind}"
            kind = "running"
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return kind
    finally:
        os.close(reading)


def _exited(child: int, seconds: float) -> bool:
    """Whether it ended by itself within that time; anything but SIGKILL is an error."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            if not (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL):
                raise RuntimeError(f"the trader ended by itself: status {status}")
            return True
        time.sleep(0.005)
    return False


def _settle(socket: Path, journal: str, pace: Pace) -> None:
    """The last life: nothing new, everything brought to its end."""
    reading, writing = os.pipe()
    child = _fork(run_trader, socket, journal, pace, death=Death(), ready=writing, calm=True, owner="the last")
    os.close(writing)
    _, status = os.waitpid(child, 0)
    os.close(reading)
    if status:
        raise RuntimeError(f"the last trader ended with status {status}")


async def _books(socket: Path) -> dict[str, Any]:
    reader, writer = await asyncio.open_unix_connection(socket)
    writer.write(packed((1, 0, "books", ())))
    _, books = await unpacked(reader)
    writer.write(packed((2, 0, "finish", ())))
    await writer.drain()
    writer.close()
    assert isinstance(books, dict)
    return books


def _fork(work: Any, *given: Any, **options: Any) -> int:
    """Run `work` in a process of its own, forked from this one, so that nothing is loaded twice."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        work(*given, **options)
        status = 0
    except BaseException:  # noqa: BLE001 - a forked process must not run on as its parent would
        import traceback

        traceback.print_exc()
    finally:
        os._exit(status)


def _end(child: int) -> None:
    if os.waitpid(child, os.WNOHANG)[0] == 0:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _wait_for(path: Path) -> None:
    until = time.monotonic() + PATIENCE
    while not path.exists():
        if time.monotonic() > until:
            raise RuntimeError("the exchange did not come up")
        time.sleep(0.01)


# --- the judge --------------------------------------------------------------------------------------------------------


def judge(found: Outcome, journal: str, books: dict[str, Any]) -> None:
    """Hold the journal against the exchange's books."""
    reader = read_journal(journal, ACCOUNT)
    verdict = verify(reader)
    found.entries = verdict.entries
    found.problems += verdict.problems
    known, sent = _numbers(found, reader)
    engine = recover(reader, [new_sleeve(deployment())])
    reader.close()
    owners, filled = books["owners"], books["filled"]
    first = [number for number in owners if number not in books["chained"]]
    found.stale = books["stale"]
    found.orders, found.filled = len(first), sum(1 for shares in filled.values() if shares)
    found.doubled = len(first) - len({owners[number] for number in first})
    for number in sorted(set(owners) | set(known)):
        if known.get(number) != owners.get(number):
            found.lost += 1
            late = (books["times"].get(number, 0) - sent.get(owners.get(number, ""), 0)) / SECOND
            found.problems.append(
                f"order {number}: {known.get(number)} here, {owners.get(number)} there, {late:.3f} s after it was sent"
            )
    for order in engine.orders.values():
        shares = sum(filled.get(number, 0) for number in order.numbers)
        if shares != order.filled:
            found.lost += 1
            found.problems.append(f"{order.id}: {order.filled} shares here, {shares} at the exchange")
        if order.unresolved_since is not None or order.id in engine.working:
            found.problems.append(f"{order.id} is {order.status} and never ended")
    if engine.cash() != books["cash"]:
        found.problems.append(f"{engine.cash()} won here, {books['cash']} at the exchange")
    ours = {symbol: engine.shares(symbol) for sleeve in engine.sleeves.values() for symbol in sleeve.positions()}
    if ours != books["shares"]:
        found.problems.append(f"shares {ours} here, {books['shares']} at the exchange")


def _numbers(found: Outcome, reader: Reader) -> tuple[dict[str, str], dict[str, int]]:
    """The exchange's numbers of our orders, as the journal has them, number -> order; and when each was sent."""
    known: dict[str, str] = {}
    sent: dict[str, int] = {}
    for recorded in reader.read():
        entry = recorded.entry
        if entry.kind is Kind.ORDER_SUBMITTING and entry.order:
            if entry.order in sent:
                found.problems.append(f"{entry.order} was sent twice")
            sent[entry.order] = entry.time
        elif entry.kind in (Kind.ORDER_ACCEPTED, Kind.ORDER_BOUND, Kind.ORDER_UPDATED) and entry.order:
            known[str(entry.payload["number"])] = entry.order
        elif entry.kind is Kind.ORDER_UNRESOLVED:
            found.unanswered += 1
        elif entry.kind is Kind.EXTERNAL_ORDER_ADOPTED:
            found.problems.append(f"an order of ours was taken for another's: {entry.payload}")
    return known, sent


def run(journal: str | None, kills: int, *, seed: int) -> Outcome:
    """A campaign on a journal; None: a SQLite file of its own."""
    with tempfile.TemporaryDirectory(prefix="kill") as folder:
        where = journal or str(Path(folder) / f"{ACCOUNT}.sqlite")
        return campaign(where, kills, seed=seed, folder=Path(folder))
