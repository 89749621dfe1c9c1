"""Which order kinds the exchange takes: by date, venue, phase of the day, market and status of the name.

Contract: pure; numpy only. Rows as in `tables` and `hours`: each holds from `since` to `until` (None: still) and says
where it is from; `confirmed=False` marks what no document at hand confirms. `ORDERS` says what is taken, `REFUSED` what
of that the state of a name takes away. Phases are those of `hours.PHASES`, and "vi_auction" for the two minutes after
a volatility interruption. Days are trade dates in Korea.
Called by `core` (through `rules` and `kernels.accepts`), live order gates and people.

One condition depends on the price and is therefore not here: a conditional order (조건부지정가) is not taken as a buy
at the upper or a sale at the lower price limit. Names in liquidation trading and overheated ones trade by calls every
30 minutes; those stand under "continuous".

Shares are ordered in lots (`tables.LOT_SIZES`): one share, of an ELW ten. `odd_lot` says what is none, `whole_lots`
cuts to them; whoever sizes, cuts or takes an order asks one of the two.

Sources: "KE" is the Enforcement Rules of the KOSPI Business Regulation (KRX's own English text, April 2026), "KRX" its
pages on the trading of ELWs and of KONEX, "press" newspapers, "brokers" the order codes brokers' APIs list by venue.

>>> accepted("market", date="2024-01-02")
''
>>> accepted("ioc", date="2024-01-02", phase="closing_auction")
'ORDER_PHASE kind=ioc phase=closing_auction: taken in continuous only'
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from quantkit.errors import BadData
from quantkit.market import KRX_MARKETS, MARKET_ID, MARKETS
from quantkit.market.days import epoch_days
from quantkit.market.instruments import market_name
from quantkit.market.tables import BEGINNING, IPO_BAND_SINCE, LOT_SIZES, MID_PRICE_SINCE

if TYPE_CHECKING:
    from quantkit.market.days import Date

KINDS: Final = (
    "limit", "market", "conditional", "ioc", "fok", "market_ioc", "market_fok",
    "best", "best_ioc", "best_fok", "best_own", "best_own_ioc", "best_own_fok", "mid", "mid_ioc", "mid_fok",
    "stop_limit",
)  # fmt: skip
"""지정가, 시장가, 조건부지정가, limit and market with IOC and FOK, 최유리, 최우선, 중간가, 스톱지정가.

The position is the bit of `order_rules`; the first seven are the kinds that the fold knows. "ioc" and "fok" alone are
limit orders. The best own price never goes with IOC or FOK: those two exist to be refused.
"""

FOLD_PHASES: Final = ("opening_orders", "continuous", "closing_auction")
FOLD_STATUSES: Final = ("trading", "liquidation", "first_day")
STATUSES: Final = (*FOLD_STATUSES, "administrative", "overheated", "caution", "halted")
"""정상, 정리매매, 신규상장일, 관리종목, 단기과열, 투자주의환기, 거래정지."""

CALLS: Final = ("opening_orders", "vi_auction", "closing_auction")
PHASES: Final = (
    *CALLS, "continuous", "at_last_close", "at_close", "single_price", "pre_market", "after_orders", "after_market",
    "closing_price",
)  # fmt: skip
VENUES: Final = ("KRX", "NXT")


class OrderRow(NamedTuple):
    """From `since` to `until`, `venue` takes `kinds` in `phases` for names of `markets`. Venue "*": wherever."""

    since: str
    until: str | None
    venue: str
    kinds: tuple[str, ...]
    phases: tuple[str, ...]
    markets: tuple[str, ...]
    confirmed: bool
    source: str


class RefusalRow(NamedTuple):
    """From `since` to `until`, names of `statuses` take none of `kinds` in `phases`, on any Korean venue."""

    since: str
    until: str | None
    statuses: tuple[str, ...]
    kinds: tuple[str, ...]
    phases: tuple[str, ...]
    source: str


_STOCKS: Final = ("KOSPI", "KOSDAQ")
_FUNDS: Final = ("ETF", "ETN")
_ALL: Final = (*_STOCKS, *_FUNDS)
_KRX: Final = KRX_MARKETS
_BEST_SINCE: Final = "2004-01-26"
_AFTER_SINCE: Final = "2026-09-14"
_IMMEDIATE: Final = ("ioc", "fok", "market_ioc", "market_fok", "best", "best_ioc", "best_fok", "best_own")
_MID: Final = ("mid", "mid_ioc", "mid_fok")
_ONE_PRICE: Final = ("at_last_close", "at_close", "single_price")
_NOW: Final = ("continuous",)
_NXT_SIDES: Final = ("pre_market", "after_orders", "after_market")
_US_KINDS: Final = ("limit", "market", "ioc", "fok", "market_ioc", "market_fok", "stop_limit")

ORDERS: Final = (
    OrderRow(BEGINNING, None, "KRX", ("limit",), (*CALLS, *_NOW), _KRX, True, "KE 10; all ELWs take"),
    OrderRow(BEGINNING, None, "KRX", ("limit",), _ONE_PRICE, (*_ALL, "KONEX"), True,
             "KE 10, 14(2): at the closing price, which is given, or at a limit in the ten-minute calls; KRX: no ELWs"),
    OrderRow(BEGINNING, None, "KRX", ("market",), (*CALLS, *_NOW), _ALL, True, "KE 10, 14(2)1; start not checked"),
    OrderRow("2013-07-01", None, "KRX", ("market",), (*CALLS, *_NOW), ("KONEX",), True,
             "KRX's page on KONEX: limit and market orders only"),
    OrderRow(BEGINNING, None, "KRX", ("conditional",), ("opening_orders", "vi_auction", *_NOW), _ALL, True,
             "KE 14(1)2-3, 14(2)1(k): not in the closing call; press 2003-09 knows it; start not checked"),
    OrderRow(_BEST_SINCE, None, "KRX", _IMMEDIATE, _NOW, ("KOSPI", *_FUNDS), True, "KE 14(2)2, 108; press 2004-01"),
    OrderRow(_BEST_SINCE, None, "KRX", _IMMEDIATE, _NOW, ("KOSDAQ",), False, "KE 108; start taken from KOSPI"),
    OrderRow(MID_PRICE_SINCE, None, "KRX", _MID, _NOW, _ALL, True,
             "KE 13(1)4-2, 14(2)4-2, 108: cancelled before the closing call"),
    OrderRow(MID_PRICE_SINCE, None, "KRX", ("stop_limit",), _NOW, _ALL, True, "KE 4-3, 14"),
    OrderRow(MID_PRICE_SINCE, None, "KRX", ("stop_limit",), CALLS, _ALL, False, "KE 4-3, 14: entry in calls"),
    OrderRow(_AFTER_SINCE, None, "KRX", ("limit", "ioc", "fok", "best", "best_ioc", "best_fok", "best_own"),
             ("after_market",), _ALL, False, "brokers: order codes of the after-market"),
    OrderRow(MID_PRICE_SINCE, None, "NXT", ("limit",), _NXT_SIDES, _ALL, False, "press; what else is taken: brokers"),
    OrderRow(_AFTER_SINCE, None, "NXT", ("best", "best_own"), ("pre_market", "after_market"), _ALL, False, "brokers"),
    OrderRow(MID_PRICE_SINCE, None, "NXT", ("limit",), _NOW, _ALL, True, "press"),
    OrderRow(MID_PRICE_SINCE, None, "NXT", (*_IMMEDIATE, *_MID, "stop_limit"), _NOW, _ALL, False,
             "press, brokers: neither plain market nor conditional orders"),
    OrderRow(MID_PRICE_SINCE, None, "NXT", ("limit",), ("closing_price",), _ALL, True, "press: at the KRX close"),
    OrderRow(BEGINNING, None, "*", _US_KINDS, FOLD_PHASES, ("US",), False, "general knowledge"),
    OrderRow(BEGINNING, None, "*", KINDS, PHASES, ("NONE",), True, "no exchange, no rules"),
)  # fmt: skip

_PLAIN: Final = ("limit", "market")
_FINE: Final = tuple(kind for kind in KINDS if kind not in _PLAIN)

REFUSED: Final = (
    RefusalRow(BEGINNING, None, ("liquidation", "administrative", "overheated", "caution"), _FINE, PHASES,
               "KE 14(2), 56-2: limit and market orders only; start not checked"),
    RefusalRow(IPO_BAND_SINCE, None, ("first_day",), ("market", "conditional"), ("opening_orders",),
               "KE 14(2)1(g): no market or conditional order for the opening price of a first day"),
    RefusalRow(BEGINNING, None, ("halted",), KINDS, PHASES, "general knowledge: new orders wait for the end of a halt"),
)  # fmt: skip


def _holds(row: OrderRow | RefusalRow, day: int) -> bool:
    until = np.inf if row.until is None else int(epoch_days(row.until))
    return bool(int(epoch_days(row.since)) <= day <= until)


def accepted(
    kind: str, *, date: Date, phase: str = "continuous", venue: str = "KRX", market: str = "KOSPI",
    status: str = "trading",
) -> str:  # fmt: skip
    """ "" when the order is taken; else why not: a code, what was asked, words.

    ORDER_KIND (nobody takes it), ORDER_NOT_YET (a later day does), ORDER_NO_PHASE (the venue has no such phase on that
    day), ORDER_MARKET (another market does), ORDER_PHASE (another phase does), ORDER_STATUS (the state of the name).
    BadData names a kind, phase, venue, market or status that is not known.
    """
    for name, value, known in (
        ("kind", kind, KINDS), ("phase", phase, PHASES), ("venue", venue, VENUES), ("status", status, STATUSES)
    ):  # fmt: skip
        if value not in known:
            raise BadData(f"{name}={value!r}: expected one of {', '.join(known)}")
    day, name = int(epoch_days(date)), market_name(market)
    here = [row for row in ORDERS if row.venue == venue or (row.venue == "*" and name in row.markets)]
    today = [row for row in here if _holds(row, day)]
    if any(kind in row.kinds and phase in row.phases and name in row.markets for row in today):
        return _refusal(kind, phase, name, status, day)
    asked = f"kind={kind} phase={phase}"
    mine = [row for row in here if kind in row.kinds and name in row.markets]
    if not any(phase in row.phases for row in today):
        return f"ORDER_NO_PHASE venue={venue} phase={phase}: {venue} has no such phase on {date}"
    if not any(kind in row.kinds for row in here):
        return f"ORDER_KIND {asked}: {venue} takes it nowhere"
    if not mine:
        return f"ORDER_MARKET kind={kind} market={name}: not for names of this market"
    if not any(row in today for row in mine):
        return f"ORDER_NOT_YET kind={kind} market={name}: taken from {min(row.since for row in mine)}"
    phases = sorted({each for row in mine if row in today for each in row.phases})
    return f"ORDER_PHASE {asked}: taken in {', '.join(phases)} only"


def _refusal(kind: str, phase: str, market: str, status: str, day: int) -> str:
    """Why the state of a Korean name forbids an order that its market takes, or ""."""
    for row in REFUSED if market in _KRX else ():
        if status in row.statuses and kind in row.kinds and phase in row.phases and _holds(row, day):
            return f"ORDER_STATUS kind={kind} phase={phase} status={status}: {row.source}"
    return ""


def whole_lots(shares: int, market: str) -> int:
    """Shares cut to whole lots of a market of `MARKETS`.

    >>> whole_lots(25, "ELW"), whole_lots(25, "KOSPI")
    (20, 25)
    """
    return shares - shares % LOT_SIZES.get(market, 1)


def odd_lot(shares: int, market: str) -> str:
    """ "" for whole lots of a market of `MARKETS`; else a code and what to order instead.

    >>> odd_lot(25, "ELW")
    'ORDER_LOT quantity=25 market=ELW: a multiple of 10 is needed, such as 20 or 30'
    """
    lot, less = LOT_SIZES.get(market, 1), whole_lots(shares, market)
    if shares == less:
        return ""
    such = f"{less} or {less + lot}" if less else str(lot)
    return f"ORDER_LOT quantity={shares} market={market}: a multiple of {lot} is needed, such as {such}"


def order_rules(days: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """What KRX takes on each of `days` (D,) in the phases and states the fold knows: a bit for each of KINDS.

    (D, M, S, P) int64, M = len(MARKETS), S = len(FOLD_STATUSES), P = len(FOLD_PHASES). `rules` asks once for the first
    day of each rule row, and `kernels.accepts` reads the answer.
    """
    table = np.zeros((len(days), len(MARKETS), len(FOLD_STATUSES), len(FOLD_PHASES)), np.int64)
    for number, day in enumerate(days.tolist()):
        for row in ORDERS:
            if row.venue not in ("KRX", "*") or not _holds(row, day):
                continue
            bits = sum(1 << KINDS.index(kind) for kind in row.kinds)
            for p, phase in enumerate(FOLD_PHASES):
                if phase in row.phases:
                    table[number, [MARKET_ID[market] for market in row.markets], :, p] |= bits
        for refusal in REFUSED:
            if not _holds(refusal, day):
                continue
            bits = sum(1 << KINDS.index(kind) for kind in refusal.kinds)
            for s, status in enumerate(FOLD_STATUSES):
                for p, phase in enumerate(FOLD_PHASES):
                    if status in refusal.statuses and phase in refusal.phases:
                        table[number, [MARKET_ID[market] for market in _KRX], s, p] &= ~bits
    return table


def change_dates() -> frozenset[str]:
    """First days on which these rows say something else than the day before."""
    begun = {row.since for row in (*ORDERS, *REFUSED)}
    ended = {str(np.datetime64(row.until) + 1) for row in (*ORDERS, *REFUSED) if row.until is not None}
    return frozenset(begun | ended)
