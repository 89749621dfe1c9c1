"""Accounts in one process on the emulated exchange, on the real clock: an order a second each, no bar may be missed.

Work: one host with a journal on the disk for each account. Every account has a rule on one-second bars of one name that
buys ten shares on even seconds and sells them on odd ones. The exchange runs in the same process: three trades a second
of each of 20 names, a crowd's book, answers after 20 to 60 ms. The first 35 s of trading are not
counted: opening calls end at random within 30.

    orders_s      orders sent, a second and account
    bars          bars folded of those that ended meanwhile, all accounts together; missed: the rest
    late_ms       from a bar's end to the order it led to, with the grace of 200 ms that late ticks are given
    cpu           of one processor

usage: python benchmarks/live_accounts.py [--json] [--side NAME]
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from common import run_sides

import quantkit as qk
from quantkit.data.bars import Bars
from quantkit.emulator.exchange import BarSource, Exchange, random_bars
from quantkit.emulator.feed import EmulatedFeed
from quantkit.emulator.port import EmulatedBroker
from quantkit.host import Deployment, Host, Hosted
from quantkit.live.clock import SECOND, VirtualClock, run_paced, seeded_random
from quantkit.live.hub import MarketHub
from quantkit.live.journal import read_journal
from quantkit.live.windows import Span, session_of
from quantkit.trading.events import Kind

NAMES, CASH, FIRST, COUNTED = 20, 100_000_000, 35, 45
DAYS = random_bars(seed=5, symbols=NAMES, sessions_count=3, start="2025-06-09")


class Flip(qk.Strategy):
    """Ten shares on even seconds, none on odd ones."""

    policy = qk.Policy(weighting="shares", amount=10, collar=0.03)

    def targets(self, bars: Bars) -> Any:
        return np.repeat((bars.times // 10**6 % 2 == 0)[:, None], len(bars.symbols), axis=1)


def session() -> Span:
    """The day that is traded."""
    found = session_of(np.datetime64(int(DAYS.days[1]), "D").item())
    assert found is not None
    return found


def history(column: int, opens: int) -> Bars:
    """Two one-second bars of a name, of the session before."""
    last = opens // 1_000 - (17 * 3_600 + 1_800) * 10**6
    close = np.full((2, 1), float(DAYS.close[0, column]))
    fields = dict.fromkeys(("open", "high", "low", "close"), close) | {"volume": np.full((2, 1), 1_000.0)}
    times = np.array([last - 10**6, last])
    return Bars(times=times, symbols=(DAYS.symbols[column],), fields=fields, markets="KOSPI", freq="1s")


async def play(folder: Path, accounts: int, clock: VirtualClock) -> tuple[int, float]:
    """Run all accounts; when counting began, and the processor's seconds since."""
    span = session()
    exchange = Exchange(BarSource(DAYS, start=int(DAYS.days[1]), tick_seconds=0.3), seed=1, interrupts=False)
    hosted = []
    for number in range(accounts):
        name = f"account{number:03d}"
        exchange.open_account(name, CASH)
        rule = Deployment(
            name=f"flip{number:03d}", strategy=Flip(), bars=history(number % NAMES, span.opens), capital=float(CASH)
        )  # fmt: skip
        broker = EmulatedBroker(exchange, name, now=clock.now_ns, step=0.05)
        hosted.append(
            Hosted(name=name, deployments=[rule], broker=lambda _, broker=broker: broker,
                   journal=folder / f"{name}.sqlite")
        )  # fmt: skip
    hub = MarketHub(EmulatedFeed(exchange, now=clock.now_ns, step=0.05), clock, chance=seeded_random(1))
    host = Host(hosted, hub, clock, chance=seeded_random(2), owner="benchmark")
    running = asyncio.create_task(host.run())
    begun = span.opens + FIRST * SECOND
    await clock.sleep_until(begun)
    used = time.process_time()
    await clock.sleep_until(begun + (COUNTED + 3) * SECOND)
    used = time.process_time() - used
    host.stop(by="benchmark")
    await running
    return begun, used / (COUNTED + 3)


def measured(accounts: int) -> dict[str, float]:
    """What the journals tell of the seconds that count."""
    with tempfile.TemporaryDirectory() as folder:
        start = session().opens - (20 + accounts // 2) * SECOND
        begun, cpu = run_paced(partial(play, Path(folder), accounts), start=start, speed=1.0)
        until, bars, late = begun + COUNTED * SECOND, 0, []
        for path in sorted(Path(folder).glob("*.sqlite")):
            journal = read_journal(path)
            decided: dict[str, int] = {}
            for entry in (recorded.entry for recorded in journal.read()):
                if entry.kind is Kind.BAR_FOLDED and begun < entry.payload["bar"] <= until:
                    bars += 1
                elif entry.kind is Kind.ORDER_INITIALIZED:
                    decided[entry.order or ""] = entry.payload["intent"]["bar"]
                elif entry.kind is Kind.ORDER_SUBMITTING and begun < decided[entry.order or ""] <= until:
                    late.append((entry.time - decided[entry.order or ""]) / 1e6)
            journal.close()
    return {
        "orders_s": len(late) / accounts / COUNTED, "bars": bars, "missed": accounts * COUNTED - bars,
        "late_p50_ms": float(np.percentile(late or [np.nan], 50)),
        "late_p99_ms": float(np.percentile(late or [np.nan], 99)), "cpu": cpu,
    }  # fmt: skip


if __name__ == "__main__":
    run_sides(
        __file__,
        {"10 accounts": partial(measured, 10), "100 accounts": partial(measured, 100)},
        title="Accounts in one process, an order a second each (bound: 10 accounts, no missed bar; aim: 100)",
        packages=("numpy", "sqlalchemy"),
        time="late_p99_ms",
    )
