"""KIS's broker keeps the contract of brokers, over real sockets, in both environments."""

from __future__ import annotations

from tests.brokers.contract import BrokerContract
from tests.brokers.kis.benches import KisBench, KisPaperBench, PolledBench, StormyBench


class TestReal(BrokerContract):
    bench = KisBench


class TestPaper(BrokerContract):
    bench = KisPaperBench


class TestPolled(BrokerContract):
    bench = PolledBench


class TestStormy(BrokerContract):
    bench = StormyBench
