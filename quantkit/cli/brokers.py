"""Which broker stands behind an account's name: the one place where settings become a `Broker`.

Contract: makes, connects nothing. A secret is read by the broker's own folder, never here. ConfigError names the
account and what it should say.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantkit.errors import ConfigError

if TYPE_CHECKING:
    from quantkit.brokers.paper import PaperBroker
    from quantkit.brokers.paper.broker import Clock
    from quantkit.market.costs import Costs
    from quantkit.settings import Settings
    from quantkit.trading.ports import Broker

PAPER_OPTIONS = ("costs", "market", "markets", "share", "latency_ms", "jitter_ms")


def broker_of(told: Settings, name: str, clock: Clock) -> Broker:
    """The broker of an account."""
    kind = told.account(name).broker
    if kind == "paper":
        return paper_of(told, name, clock)
    if kind == "emulator":
        raise ConfigError(f"account {name}: an emulated exchange lives in the process that runs it, and ends with it")
    raise ConfigError(f"account {name}: broker={kind!r} is not known; expected paper or emulator")


def paper_state(told: Settings, name: str) -> Path:
    """The file in which a paper account lives."""
    return Path(told.journals) / f"{name}.paper.json"


def paper_of(told: Settings, name: str, clock: Clock) -> PaperBroker:
    """A paper account; `options` of its settings are PAPER_OPTIONS."""
    from quantkit.brokers.paper import Latency, PaperBroker
    from quantkit.live.clock import system_random

    account = told.account(name)
    given: dict[str, Any] = dict(account.options)
    for key in given:
        if key not in PAPER_OPTIONS:
            raise ConfigError(f"account {name}: options.{key} is not known; there are {', '.join(PAPER_OPTIONS)}")
    latency = Latency(float(given.pop("latency_ms", 80.0)), float(given.pop("jitter_ms", 40.0)))
    given["costs"] = costs_of(str(given.get("costs", "kis")))
    return PaperBroker(
        name, clock=clock, cash=int(account.cash), state=paper_state(told, name), latency=latency,
        chance=system_random(), **given,
    )  # fmt: skip


def costs_of(name: str) -> Costs:
    """A schedule of commissions by its name."""
    from quantkit.market.costs import Costs

    known = {"kis": Costs.kis, "kiwoom": Costs.kiwoom, "free": Costs.free}
    if name not in known:
        raise ConfigError(f"costs={name!r}: expected one of {', '.join(known)}")
    return known[name]()
