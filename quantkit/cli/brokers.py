"""Which broker stands behind an account's name: the one place where settings become a `Broker`.

    broker_of    of an account, by its settings, for whoever needs no prices (`quantkit panic`)
    run_with     a program with such a broker, in the broker's time
    ways         how `quantkit paper` and `quantkit live` reach a broker, over the prices they run on, by name

Contract: makes, connects nothing. A secret is read by the broker's own folder, never here. ConfigError names the
account and what it should say. Another broker is one more line in `WAYS`, and in `broker_of`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from quantkit.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from quantkit.brokers.paper import PaperBroker
    from quantkit.brokers.paper.broker import Clock as PaperClock
    from quantkit.cli.prices import Prices
    from quantkit.live.clock import Clock
    from quantkit.market.costs import Costs
    from quantkit.settings import Settings
    from quantkit.trading.ports import Broker, Feed

Result = TypeVar("Result")

PAPER_OPTIONS = ("costs", "market", "markets", "share", "latency_ms", "jitter_ms")


def broker_of(told: Settings, name: str, clock: PaperClock) -> Broker:
    """The broker of an account."""
    kind = told.account(name).broker
    if kind == "paper":
        return paper_of(told, name, clock)
    if kind == "kis":
        from quantkit.brokers.kis.broker import KisBroker
        from quantkit.kis import client_of

        return KisBroker(client_of(told, name, clock))
    if kind == "emulator":
        raise ConfigError(f"account {name}: an emulated exchange lives in the process that runs it, and ends with it")
    raise ConfigError(f"account {name}: broker={kind!r} is not known; expected {' or '.join(WAYS)}")


def lives_inside(told: Settings, name: str) -> bool:
    """Whether an account's broker lives in the process that runs the account; while nobody does, time there stands."""
    return told.account(name).broker == "emulator"


def run_with(told: Settings, name: str, main: Callable[[Broker], Awaitable[Result]]) -> Result:
    """Run a program with an account's broker alone, in the broker's time."""
    from quantkit.live.clock import SystemClock

    if told.account(name).broker == "kis":
        from quantkit.brokers.kis.broker import KisBroker
        from quantkit.kis import run_client

        return run_client(told, name, lambda client, _pace: main(KisBroker(client)))

    async def here() -> Result:
        return await main(broker_of(told, name, SystemClock()))

    return asyncio.run(here())


def paper_state(told: Settings, name: str) -> Path:
    """The file in which a paper account lives."""
    return Path(told.journals) / f"{name}.paper.json"


def emulator_state(told: Settings, name: str) -> Path:
    """The file in which an account on an emulated exchange lives."""
    return Path(told.journals) / f"{name}.emulator.jsonl"


def paper_of(
    told: Settings, name: str, clock: PaperClock, *, markets: Mapping[str, str] | None = None,
    chance: Callable[[], float] | None = None,
) -> PaperBroker:  # fmt: skip
    """A paper account; `options` of its settings are PAPER_OPTIONS. markets: of its names, where options say none."""
    from quantkit.brokers.paper import Latency, PaperBroker
    from quantkit.live.clock import system_random

    account = told.account(name)
    given: dict[str, Any] = dict(account.options)
    for key in given:
        if key not in PAPER_OPTIONS:
            raise ConfigError(f"account {name}: options.{key} is not known; there are {', '.join(PAPER_OPTIONS)}")
    latency = Latency(float(given.pop("latency_ms", 80.0)), float(given.pop("jitter_ms", 40.0)))
    given["costs"] = account_costs(told, name)
    given.setdefault("markets", markets)
    return PaperBroker(
        name, clock=clock, cash=int(account.cash), state=paper_state(told, name), latency=latency,
        chance=chance or system_random(), **given,
    )  # fmt: skip


def costs_name(told: Settings, name: str) -> str:
    """Whose commissions an account pays: `costs` of its options."""
    return str(told.account(name).options.get("costs", "kis"))


def account_costs(told: Settings, name: str) -> Costs:
    """What an account pays."""
    from quantkit.cli.inputs import COSTS, costs_named

    said = costs_name(told, name)
    if said not in COSTS:
        raise ConfigError(f"account {name}: costs={said!r}, expected one of {', '.join(COSTS)}")
    return costs_named(said)


# --- over prices that run ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Way:
    """How orders of a run reach a broker.

    last   the last moment that the broker remembers of an account, UTC nanoseconds; 0: nothing
    join   (feed that the engine reads, broker) on the clock of the run
    prices where prices come from when nobody says
    real   whether an account's money is somebody's; None: never
    """

    last: Callable[[Settings, str], int]
    join: Callable[[Settings, str, Prices, Clock], tuple[Feed, Broker]]
    prices: str = "emulator"
    real: Callable[[Settings, str], bool] | None = None

    def trades_money(self, told: Settings, name: str) -> bool:
        """Whether orders of this account would move money."""
        return self.real is not None and self.real(told, name)


def _paper_last(told: Settings, name: str) -> int:
    from quantkit.brokers.paper.store import Store

    found = Store(paper_state(told, name)).read()
    return 0 if found is None else int(found["now"])


def _paper(told: Settings, name: str, prices: Prices, clock: Clock) -> tuple[Feed, Broker]:
    from quantkit.live.clock import seeded_random

    chance = None if prices.seed is None else seeded_random(prices.seed)
    broker = paper_of(told, name, clock, markets=prices.markets, chance=chance)
    return broker.watch(prices.feed(clock)), broker


def _emulator_last(told: Settings, name: str) -> int:
    from quantkit.emulator.memory import last_time

    return last_time(emulator_state(told, name))


def _emulator(told: Settings, name: str, prices: Prices, clock: Clock) -> tuple[Feed, Broker]:
    from quantkit.cli.prices import EmulatedPrices
    from quantkit.emulator.port import EmulatedBroker

    if not isinstance(prices, EmulatedPrices):
        raise ConfigError("--broker emulator: the emulated exchange gives the prices too; use --prices emulator")
    prices.remember(emulator_state(told, name), account=name, cash=int(told.account(name).cash),
                    costs=account_costs(told, name))  # fmt: skip
    return prices.feed(clock), EmulatedBroker(prices.exchange, name, now=clock.now_ns, step=prices.step)


def _kis(_told: Settings, _name: str, prices: Prices, clock: Clock) -> tuple[Feed, Broker]:
    from quantkit.cli.kis_prices import KisPrices

    if not isinstance(prices, KisPrices):
        raise ConfigError("--broker kis: KIS trades at its own prices; use --prices kis")
    desk = prices.desk(clock)
    return desk.feed, desk.broker


def _kis_real(told: Settings, name: str) -> bool:
    from quantkit.brokers.kis.codes import Environment
    from quantkit.kis import server_for

    account = name if told.account(name).broker == "kis" else None
    return server_for(told, account).environment is Environment.REAL


WAYS: Final[dict[str, Way]] = {
    "paper": Way(_paper_last, _paper),
    "emulator": Way(_emulator_last, _emulator),
    "kis": Way(lambda _told, _name: 0, _kis, prices="kis", real=_kis_real),
}
"""Ways by the name that `--broker` and `broker` of an account take."""


def way_of(name: str) -> Way:
    """The way of a name. ConfigError names those that there are."""
    if name not in WAYS:
        raise ConfigError(f"--broker {name}: expected one of {', '.join(WAYS)}")
    return WAYS[name]
