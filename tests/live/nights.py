"""A deployment that is started at 08:00 of every session, by a process that knows nothing but journal and history."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from quantkit.core.policy import Policy
from quantkit.data.bars import Bars
from quantkit.emulator.exchange import Exchange, session_clock
from quantkit.emulator.feed import EmulatedFeed
from quantkit.emulator.port import EmulatedBroker
from quantkit.host import Deployment, Host, Hosted
from quantkit.live.clock import VirtualClock, run_virtual, seeded_random
from quantkit.live.hub import HubSettings, MarketHub
from quantkit.live.journal import read_journal
from quantkit.live.runner import RunnerSettings
from quantkit.strategy import Strategy
from quantkit.trading.events import Entry, Kind

HOUR = 3_600_000_000_000
ACCOUNT = "first"
DEPLOYMENT = "daily"
STEP = 5.0  # seconds between two looks at the exchange
FILLS = (Kind.ORDER_FILLED, Kind.ORDER_PARTIALLY_FILLED)


class Fill(NamedTuple):
    """What a live run and a backtest both say of a fill."""

    day: str
    symbol: str
    side: str
    quantity: int
    price: float
    costs: int


def seoul_day(time: int) -> str:
    return str(np.datetime64(time + 9 * HOUR, "ns").astype("datetime64[D]"))


def one_day(
    bars: Bars, row: int, exchange: Exchange, folder: Path, *, strategy: Strategy, policy: Policy, cash: int,
    until: int = 2 * HOUR,
) -> None:  # fmt: skip
    """The session of one row: a new process at 08:00 with the bars before it, until two hours after the close."""
    clock_of_day = session_clock(int(bars.days[row]))

    async def main(clock: VirtualClock) -> Host:
        hub = MarketHub(
            EmulatedFeed(exchange, now=clock.now_ns, step=STEP), clock, chance=seeded_random(1),
            settings=HubSettings(silence=1e9),  # the few trades a day of a test are no silence
        )  # fmt: skip
        deployment = Deployment(
            name=DEPLOYMENT, strategy=strategy, bars=bars.slice(0, row), capital=float(cash), policy=policy
        )
        account = Hosted(
            name=ACCOUNT, deployments=[deployment], journal=folder / f"{ACCOUNT}.sqlite",
            broker=lambda _: EmulatedBroker(exchange, ACCOUNT, now=clock.now_ns, step=STEP),
        )  # fmt: skip
        host = Host(
            [account], hub, clock, chance=seeded_random(2), owner=f"process of row {row}",
            settings=RunnerSettings(intake=60.0),
        )  # fmt: skip
        await host.run(until=clock_of_day.close + until)
        return host

    host = run_virtual(main, start=clock_of_day.open - HOUR)
    assert host.supervisor.given_up == {}
    assert host.supervisor.runners[ACCOUNT].failure is None


def entries_of(folder: Path) -> list[Entry]:
    reader = read_journal(folder / f"{ACCOUNT}.sqlite")
    found = [recorded.entry for recorded in reader.read()]
    reader.close()
    return found


def live_fills(entries: list[Entry]) -> list[Fill]:
    """Fills of the journal, pieces of an order on a day together."""
    intents: dict[str, dict[str, Any]] = {}
    sums: dict[tuple[str, str, float], list[int]] = {}
    for entry in entries:
        if entry.kind is Kind.ORDER_INITIALIZED and entry.order is not None:
            intents[entry.order] = entry.payload["intent"]
        elif entry.kind in FILLS and entry.order is not None:
            given = entry.payload
            row = sums.setdefault((entry.order, seoul_day(entry.time), given["price"]), [0, 0])
            row[0] += given["quantity"]
            row[1] += given["commission"] + given["tax"]
    return sorted(
        Fill(day, intents[order]["symbol"], intents[order]["side"], quantity, price, costs)
        for (order, day, price), (quantity, costs) in sums.items()
    )


def backtest_fills(result: Any) -> list[Fill]:
    """Fills of a backtest."""
    table = result.fills
    return sorted(
        Fill(str(time)[:10], symbol, str(side), int(quantity), float(price), int(commission + tax))
        for time, symbol, side, quantity, price, commission, tax in zip(
            table["time"], table["symbol"], table["side"], table["quantity"], table["price"], table["commission"],
            table["tax"], strict=True,
        )
    )  # fmt: skip
