"""Every broker of the house on the contract suite: one line each."""

from __future__ import annotations

from tests.brokers.benches import EmulatorBench, PaperBench
from tests.brokers.contract import BrokerContract


class TestPaper(BrokerContract):
    bench = PaperBench


class TestEmulator(BrokerContract):
    bench = EmulatorBench
