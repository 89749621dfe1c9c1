"""Small markets for the tests of the emulator."""

from __future__ import annotations

import numpy as np

from quantkit.data.bars import Bars
from quantkit.emulator.exchange import BarSource, Exchange
from quantkit.emulator.session import SECOND, Clock, session_clock
from quantkit.market.costs import Costs
from quantkit.market.days import epoch_days

DAY = "2025-06-02"
SYMBOL = "005930"
MINUTE = 60 * SECOND


def daily(
    *rows: tuple[float, float, float, float, int], day: str = DAY, base: float = 10_000.0, symbol: str = SYMBOL
) -> Bars:
    """Daily bars of one name from `day` on, one a session; the base of the first is given, then the close before."""
    from quantkit.market.calendar import sessions

    days = sessions(day, str(np.datetime64(day) + 40)).astype(np.int64)[: len(rows)]
    names = ("open", "high", "low", "close", "volume")
    fields = {name: np.array([[float(row[k])] for row in rows]) for k, name in enumerate(names)}
    fields["base"] = np.array([[base], *[[row[3]] for row in rows[:-1]]])
    times = days * 86_400_000_000 - 9 * 3_600_000_000
    return Bars(times=times, symbols=(symbol,), fields=dict(fields), markets="KOSPI")


def minutes(rows: dict[int, tuple[float, float, float, float, int]], *, day: str = DAY, base: float = 10_000.0) -> Bars:
    """Minute bars of one name: minutes after the open at which the bar closes -> open, high, low, close, volume."""
    clock = session_clock(day)
    ends = sorted(rows)
    names = ("open", "high", "low", "close", "volume")
    fields = {name: np.array([[float(rows[end][k])] for end in ends]) for k, name in enumerate(names)}
    fields["base"] = np.full((len(ends), 1), base)
    times = np.array([(clock.open + end * MINUTE) // 1_000 for end in ends])
    days = np.full(len(ends), int(epoch_days(day)))
    return Bars(times=times, symbols=(SYMBOL,), fields=dict(fields), markets="KOSPI", freq="1m", days=days)


def exchange(
    *rows: tuple[float, float, float, float, int], cash: int = 100_000_000, shares: int = 0, interrupts: bool = True,
    base: float = 10_000.0, free: bool = True, seed: int = 0, random_end: bool = True, day: str = DAY,
    tick_seconds: float = 30.0,
) -> tuple[Exchange, Clock]:  # fmt: skip
    """An exchange of one name with the account "a"; trades about every half minute."""
    bars = daily(*(rows or ((10_000, 10_200, 9_900, 10_100, 1_000_000),)), base=base, day=day)
    costs = Costs.free() if free else Costs.kiwoom()
    made = Exchange(
        BarSource(bars, tick_seconds=tick_seconds), costs=costs, interrupts=interrupts, seed=seed,
        random_end=random_end,
    )  # fmt: skip
    made.open_account("a", cash, shares={SYMBOL: shares} if shares else None)
    return made, session_clock(day)
