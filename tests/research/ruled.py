"""Strategies of the tests, in a module that worker processes can import."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np

import quantkit as qk


class Cross(qk.Strategy):
    """Hold a name while its fast average stands above its slow one."""

    fast: int = qk.param(5, low=2, high=60)
    slow: int = qk.param(20, low=3, high=240)

    def targets(self, bars: qk.Bars) -> Any:
        return qk.ta.sma(bars.close, self.fast) > qk.ta.sma(bars.close, self.slow)


class Fragile(Cross):
    """Raises in one run of many."""

    def targets(self, bars: qk.Bars) -> Any:
        if self.fast == 7:
            raise ZeroDivisionError("seven is right out")
        return super().targets(bars)


class Deadly(Cross):
    """Kills the process it runs in: always with fast=7, the first time only with fast=5 (a file remembers)."""

    mark: str = qk.param("")

    def targets(self, bars: qk.Bars) -> Any:
        mark = Path(self.mark)
        if self.fast == 7 or (self.fast == 5 and not mark.exists()):
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().targets(bars)


class Slow(Cross):
    """Takes its time, so that a test can end the process in the middle."""

    def targets(self, bars: qk.Bars) -> Any:
        import time

        time.sleep(0.02)
        return super().targets(bars)


class Sized(qk.Strategy):
    """A policy that reads a parameter, and weights."""

    gross: float = qk.param(0.5, low=0.1, high=1.0)
    window: int = qk.param(10, low=2, high=60)

    @property
    def policy(self) -> qk.Policy:
        return qk.Policy(weighting="weight", cash_buffer=1.0 - self.gross)

    def targets(self, bars: qk.Bars) -> Any:
        above = bars.close > qk.ta.sma(bars.close, self.window)
        return np.where(above, self.gross / len(bars.symbols), 0.0)
