"""KIS's servers on your own machine; see `server`."""

from quantkit.emulator.kis.keys import Customer
from quantkit.emulator.kis.server import KisEmulator

__all__ = ["Customer", "KisEmulator"]
