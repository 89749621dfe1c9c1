"""What the exchange says, by date and market: ticks, limits, taxes, sessions, codes, commissions.

Contract: importing this package loads nothing but the standard library. Everybody else asks here; no other part of
the house knows a tick size, a tax rate or a holiday.

    tables       the dated facts, each with its source      rules        the same facts as arrays for compiled code
    krx, us      the functions a person calls               kernels      the same functions, compiled
    calendar     sessions and phases of the day             instruments  codes and market labels
    costs        commissions                                conformity   real prices held against the rules
    orders       order kinds the exchange takes             short        short-sale bans
"""

from __future__ import annotations

from typing import Final

MARKETS: Final = ("KOSPI", "KOSDAQ", "KONEX", "ETF", "ETN", "ELW", "US", "NONE")
"""Short names of the markets; the position is the market id in compiled code. "NONE" has no ticks, limits or tax."""

MARKET_ID: Final[dict[str, int]] = {name: position for position, name in enumerate(MARKETS)}

KRX_MARKETS: Final = ("KOSPI", "KOSDAQ", "KONEX", "ETF", "ETN", "ELW")
"""The markets that the Korea Exchange runs."""

__all__ = ["KRX_MARKETS", "MARKETS", "MARKET_ID"]
