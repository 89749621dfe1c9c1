"""Short-sale bans (공매도 금지) by date and market.

Contract: pure; numpy only. Each row holds from `since` to `until` for every issue of the Korea Exchange and says where
it is from. Days are trade dates in Korea. Where no row holds, and on other exchanges, covered short sales are allowed.
That an ordinary retail account may never sell short is not said here.
Called by `core` (through `rules`), for `short="simulate"`.

Covered short sales also keep the uptick rule (not below the last price, at it only after a rise) and are limit orders
(KB 18, KE 14(2)); bars cannot show the first, so a simulation does not hold it. ELWs are never sold short (KRX's page).

>>> short_allowed("2020-03-13"), short_allowed("2020-03-16"), short_allowed("2022-01-03", member=True)
(True, False, True)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from quantkit.market import KRX_MARKETS, MARKET_ID, MARKETS
from quantkit.market.days import epoch_days
from quantkit.market.instruments import market_name

if TYPE_CHECKING:
    from quantkit.market.days import Date

ALLOWED, BANNED, MEMBERS_ONLY = range(3)
"""What `short_table` holds. Members are those of the KOSPI 200 and the KOSDAQ 150."""


class BanRow(NamedTuple):
    """From `since` to `until`, short sales of Korean issues are as `state` says."""

    since: str
    until: str
    state: int
    confirmed: bool
    source: str


BANS: Final = (
    BanRow("2008-10-01", "2009-05-31", BANNED, False, "years: press; days: general knowledge; financials longer"),
    BanRow("2011-08-10", "2011-11-09", BANNED, False, "years: press; days: general knowledge; financials longer"),
    BanRow("2020-03-16", "2021-05-02", BANNED, True, "press: all issues"),
    BanRow("2021-05-03", "2023-11-05", MEMBERS_ONLY, True, "press: members of the KOSPI 200 and the KOSDAQ 150"),
    BanRow("2023-11-06", "2025-03-30", BANNED, True, "press: all issues; resumed 2025-03-31"),
)
"""From 2025-03-31 on all issues, with a registration number on the order (KE 108(17))."""


def _state(day: int) -> int:
    """What holds on an epoch day for Korean issues."""
    for row in BANS:
        if int(epoch_days(row.since)) <= day <= int(epoch_days(row.until)):
            return row.state
    return ALLOWED


def short_allowed(date: Date, market: str = "KOSPI", member: bool | None = None) -> bool:
    """Whether a covered short sale of a name of `market` was allowed on a trade date.

    member: whether the name was in the KOSPI 200 or the KOSDAQ 150 on that day; matters from 2021-05-03 to 2023-11-05,
    where not knowing (None) counts as no.
    """
    name = market_name(market)
    if name == "ELW":
        return False
    if name not in KRX_MARKETS:
        return True
    state = _state(int(epoch_days(date)))
    return state == ALLOWED or (state == MEMBERS_ONLY and member is True)


def short_table(days: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """ALLOWED, BANNED or MEMBERS_ONLY on each of `days` (D,) by market id: (D, M) uint8. `rules` keeps it by row."""
    table = np.zeros((len(days), len(MARKETS)), np.uint8)
    ids = [MARKET_ID[market] for market in KRX_MARKETS]
    for number, day in enumerate(days.tolist()):
        table[number, ids] = _state(day)
    table[:, MARKET_ID["ELW"]] = BANNED
    return table


def change_dates() -> frozenset[str]:
    """First days on which these rows say something else than the day before."""
    return frozenset({row.since for row in BANS} | {str(np.datetime64(row.until) + 1) for row in BANS})
