"""The emulated broker keeps the contract of brokers also where it tells as little as a Korean one may."""

from __future__ import annotations

from quantkit.live.clock import VirtualClock
from quantkit.trading.ports import Capabilities
from tests.brokers.benches import EmulatorBench
from tests.brokers.contract import BrokerContract


class PlainBench(EmulatorBench):
    """No execution numbers, no cumulative notices, no witnesses."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock)
        self.broker.capabilities = Capabilities(name="emulator, plain", witnesses=False, list_lag=0.0)


class TestPlain(BrokerContract):
    bench = PlainBench
