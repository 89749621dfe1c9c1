"""Volatility interruptions (변동성완화장치): when continuous trading of a name turns into a two-minute call.

Contract: data and one pure question. Dynamic: a price too far from the last trade. Static: a price too far from the
last price that a call auction made (before the opening: the base price). Either turns trading of the name into a call
of two minutes, which ends at random within 30 seconds; a call that would make such a price goes on for two minutes
more, once. The price that an interruption sets does not trigger the next.

Sources: rates KE 41-2(1)-(2), QE 28-5; length KE 35(1)4; exceptions KE 41-2(3)-(4), as of 2026-04. Not confirmed: the
days they began (general knowledge), and rates before 2026, taken as today's. Not modelled: 1 % for underlyings at the
close of a derivatives' expiry.

>>> Rates("KOSPI", "2024-01-02").breaks(10_650, last=10_000, reference=10_000)
'dynamic'
>>> Rates("KOSPI", "2010-01-04").breaks(10_650, last=10_000, reference=10_000)
''
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from quantkit.market.days import epoch_days

if TYPE_CHECKING:
    from quantkit.market.days import Date

DYNAMIC_SINCE: Final = "2014-09-01"
STATIC_SINCE: Final = "2015-06-15"
STATIC: Final = 0.10
CALL_SECONDS: Final = 120
CALM, LIVELY = 0.03, 0.06
CALM_CLOSE, LIVELY_CLOSE = 0.02, 0.04
_NARROW, _NARROW_TICKS = 1_000.0, 3  # not within three ticks, for names below 1,000 won
_EPSILON = 1e-9


class Rates:
    """Thresholds of one name on one day. calm: a KOSPI 200 name, or a fund on one of the broad or bond indices."""

    __slots__ = ("closing", "dynamic", "static")

    def __init__(self, market: str, date: Date, *, calm: bool = False, exempt: bool = False) -> None:
        day = int(epoch_days(date))
        narrow = calm and market != "KOSDAQ"
        on = not exempt and market not in ("KONEX", "ELW")
        since = on and day >= int(epoch_days(DYNAMIC_SINCE))
        self.dynamic = (CALM if narrow else LIVELY) if since else 0.0
        self.closing = (CALM_CLOSE if narrow else LIVELY_CLOSE) if since else 0.0
        self.static = STATIC if on and day >= int(epoch_days(STATIC_SINCE)) else 0.0

    def breaks(self, price: float, *, last: float, reference: float, closing: bool = False, tick: float = 1.0) -> str:
        """Which interruption a trade at `price` would set off: "dynamic", "static" or ""."""
        rate = self.closing if closing else self.dynamic
        if rate and last > 0 and abs(price / last - 1.0) >= rate - _EPSILON:
            if price < _NARROW and abs(price - last) <= _NARROW_TICKS * tick:
                return ""
            return "dynamic"
        if self.static and reference > 0 and abs(price / reference - 1.0) >= self.static - _EPSILON:
            return "static"
        return ""
