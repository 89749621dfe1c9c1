"""Kills of the command a person runs: `quantkit paper` or `quantkit live` against `quantkit emulate kis`, in processes
of their own.

Contract: the strategy trades at every minute; the command is killed with SIGKILL at random moments, from its start on,
and begun again. In the end it is halted and settles, and its journal is held against KIS's list of the day, asked for
by a client: every order of the list is one of the journal's with the same name, side and fills, no order of the journal
has two, shares agree, and nothing is unanswered that no person was told of. No key or token stands in what was left.
"""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from quantkit.brokers.kis.client import KisClient
from quantkit.brokers.kis.ledger import OrderLine
from quantkit.emulator.sources import random_bars
from quantkit.errors import ConfigError
from quantkit.kis import run_client
from quantkit.live.journal import read_journal, verify
from quantkit.settings import load
from quantkit.trading.events import Kind, fold_orders
from quantkit.trading.orders import TERMINAL, Order, Side
from tests.cli.trades import kis_account, promoted
from tests.kill.campaign import Outcome
from tests.planted import Watch

NAMES, SPEED = 6, 15.0
STARTING, TRADING = 5.0, 12.0  # seconds after its begin, or after it wrote, in which a life ends
QUIET = 10.0  # seconds in which nothing stands: two minutes and a half of the exchange
PATIENCE = 240.0  # seconds
JOURNAL = Path("data/journals/first.sqlite")
QUANTKIT = [sys.executable, "-m", "quantkit"]
STRATEGY = '''
"""In and out at the whim of a hash."""

import numpy as np
import quantkit as qk


class Flips(qk.Strategy):
    """Holds two names of five, others each minute."""

    policy = qk.Policy(weighting="equal", gross=0.5, funding="cash", collar=0.03)

    def targets(self, bars):
        word = bars.times[:, None] // 60_000_000 * 2_654_435_761 + np.arange(len(bars.symbols)) * 40_503
        return (word >> 7) % 5 < 2
'''


def run(mode: str, kills: int, *, seed: int) -> Outcome:
    """`kills` lives of `quantkit paper` or `quantkit live` that end by SIGKILL, then one that ends by itself."""
    begun = time.monotonic()
    found = Outcome(f"kis {mode}", seed, kills=kills)
    with (
        tempfile.TemporaryDirectory(prefix="kill") as folder,
        pytest.MonkeyPatch.context() as patch,
        contextlib.ExitStack() as stack,
    ):
        patch.chdir(folder)
        patch.setenv("QUANTKIT_CACHE", str(Path(folder) / "cache"))
        patch.setenv("KIS_CONFIG", "keys.yaml")
        _emulator(stack, mode, seed)
        command = _laid_out(mode, seed)
        random, at = np.random.default_rng(seed), Counter[str]()
        for _ in range(kills):
            at[_life(command, random)] += 1
        found.at, found.restarts = dict(sorted(at.items())), kills
        _settle(command, found)
        judge(found, *_books())
        found.problems += Watch().leaks(Path(folder))
    found.seconds = round(time.monotonic() - begun, 1)
    return found


def _emulator(stack: contextlib.ExitStack, mode: str, seed: int) -> None:
    """The servers, in a process of their own, and settings and keys to reach them."""
    options = [
        "--random", str(seed), "--names", str(NAMES), "--speed", str(SPEED), "--from", "09:05", "--calls", "100000",
        "--port", "0", "--stream-port", "0", "--keys", "keys.yaml", *(["--real"] if mode == "live" else []),
    ]  # fmt: skip
    server = subprocess.Popen([*QUANTKIT, "emulate", "kis", *options], stdout=subprocess.PIPE, text=True)
    stack.callback(_end, server)
    assert server.stdout is not None
    told = server.stdout.readline()
    found = re.search(r"(http://\S+) and (ws://\S+)", told + server.stdout.readline())
    if found is None:
        raise RuntimeError(f"the emulator did not come up: {told}")
    kis_account(Path(), found[1], found[2], real=mode == "live", cash=100_000_000, max_weight=0.9)


def _end(process: subprocess.Popen[Any]) -> None:
    process.kill()
    process.communicate()


def _laid_out(mode: str, seed: int) -> list[str]:
    """Strategy, the last minutes before the session, and a promotion; the command to run."""
    bars = random_bars(seed=seed, symbols=NAMES, sessions_count=61)  # as the emulator makes them up
    Path("both.py").write_text(STRATEGY, encoding="utf-8")
    close = bars.raw.close[-2]
    day = str(np.datetime64(int(bars.days[-2]), "D"))
    rows = [
        {"date": f"{day} 15:{minute}:00+09:00", "symbol": symbol, "volume": 1_000.0,
         **dict.fromkeys(("open", "high", "low", "close"), price)}
        for minute in (29, 30) for symbol, price in zip(bars.symbols, close, strict=True)
    ]  # fmt: skip
    pd.DataFrame(rows).to_csv("bars.csv", index=False)
    symbols = ",".join(bars.symbols)
    promoted(mode, symbols=symbols, freq="1m")
    return [
        *QUANTKIT, mode, "both.py", "--account", "first", "--symbols", symbols, "--data", "bars.csv", "--market",
        "KOSPI", "--freq", "1m", "--broker", "kis",
    ]  # fmt: skip


def _life(command: list[str], random: np.random.Generator) -> str:
    """One life; what it was at when it ended: one in four ends while it starts, the others once they write."""
    starting, before = bool(random.integers(4) == 0), _entries()
    with _begun(command) as process:
        if not starting:
            _until(lambda: _entries() > before, process)
        time.sleep(float(random.uniform(0.0, STARTING if starting else TRADING)))
        if process.poll() is not None:
            raise RuntimeError(f"the command ended by itself, {process.returncode}: {_said()}")
        process.kill()
    return "trading" if _entries() > before else "starting"


def _settle(command: list[str], found: Outcome) -> None:
    """A life that sends nothing new, until nothing stands and nothing is unanswered."""
    subprocess.run([*QUANTKIT, "halt", "first", "--reason", "the end", "--cancel"], check=True, capture_output=True)
    before = _entries()
    with _begun(command) as process:
        _until(lambda: _entries() > before, process)
        quiet = time.monotonic()

        def settled() -> bool:
            nonlocal quiet
            if any(order.submitted and order.status not in TERMINAL for order in _orders().values()):
                quiet = time.monotonic()
            return time.monotonic() > quiet + QUIET

        _until(settled, process)
        process.send_signal(signal.SIGTERM)
        if process.wait(PATIENCE):
            found.problems.append(f"the last life ended with {process.returncode}: {_said()}")


@contextlib.contextmanager
def _begun(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    with Path("said.txt").open("ab") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _until(holds: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + PATIENCE
    while not holds():
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"the command ended by itself ({process.returncode}) or hangs: {_said()}")
        time.sleep(0.1)


def _said() -> str:
    return Path("said.txt").read_text(encoding="utf-8", errors="replace")[-2_000:]


def _entries() -> int:
    """What the journal has."""
    try:
        reader = read_journal(str(JOURNAL), "first")
    except ConfigError:  # there is none yet, or it is being made
        return 0
    with contextlib.closing(reader):
        return reader.head()[0]


def _orders() -> dict[str, Order]:
    """The journal's orders."""
    orders: dict[str, Order] = {}
    with contextlib.closing(read_journal(str(JOURNAL), "first")) as reader:
        for recorded in reader.read():
            fold_orders(orders, recorded.entry)
    return orders


def _books() -> tuple[list[OrderLine], dict[str, int]]:
    """KIS's list of the day, and its shares."""

    async def ask(client: KisClient, _: float) -> tuple[list[OrderLine], dict[str, int]]:
        lines = await client.orders()
        return lines, {each.symbol: each.quantity for each in (await client.balance()).holdings if each.quantity}

    return run_client(load(), "first", ask)


# --- the judge --------------------------------------------------------------------------------------------------------


def judge(found: Outcome, lines: list[OrderLine], shares: dict[str, int]) -> None:
    """Hold the journal against KIS's list."""
    orders: dict[str, Order] = {}
    told: set[str] = set()
    reader = read_journal(str(JOURNAL), "first")
    verdict = verify(reader)
    found.entries = verdict.entries
    found.problems += verdict.problems
    for recorded in reader.read():
        entry = recorded.entry
        fold_orders(orders, entry)
        found.unanswered += entry.kind is Kind.ORDER_UNRESOLVED
        if entry.kind is Kind.EXTERNAL_ORDER_ADOPTED:
            found.problems.append(f"an order of ours was taken for another's: {entry.payload}")
        elif entry.kind is Kind.ALARM and entry.payload["code"] == "NEEDS_OPERATOR":
            told.add(str(entry.order))
    reader.close()
    owners = {number: order for order in orders.values() for number in order.numbers}
    listed = {line.number: line for line in lines}
    found.orders, found.filled = len(lines), sum(line.filled > 0 for line in lines)
    for line in lines:
        owner = owners.get(line.number)
        if owner is None or (owner.intent.symbol, owner.intent.side) != (line.symbol, line.side):
            found.lost += 1
            found.problems.append(f"order {line.number} is {owner and owner.id} here, {line.side} {line.symbol} there")
    for order in orders.values():
        there = [listed[number] for number in order.numbers if number in listed]
        found.doubled += sum(line.original is None for line in there) > 1
        if order.filled != sum(line.filled for line in there):
            found.lost += 1
            found.problems.append(f"{order.id}: {order.filled} shares here, {there} there")
        if order.submitted is not None and order.status not in TERMINAL and order.id not in told:
            found.problems.append(f"{order.id} is {order.status} and never ended")
    ours = Counter[str]()
    for order in orders.values():
        ours[order.intent.symbol] += order.filled if order.intent.side is Side.BUY else -order.filled
    if {symbol: held for symbol, held in ours.items() if held} != shares:
        found.problems.append(f"shares {dict(ours)} here, {shares} at KIS")
