"""KIS (한국투자증권) on the wire: servers, transaction ids, order types, and what each error code asks of us.

Contract: constants and pure functions; nothing here sends or reads anything. Real (실전) and paper (모의투자) are two
`Environment`s, and everything that differs between them is looked up by one: a transaction id of one is never spelled
for the other. Error codes are judged in `act_of` and nowhere else; the text beside a code may say more than the code
does (APBK0918 alone has four meanings), so both are asked.

>>> transaction("order_buy", Environment.PAPER), act_of("EGW00123", "", 500).name
('VTTC0012U', 'TOKEN')
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Final

from quantkit.errors import ConfigError, Refused
from quantkit.trading.orders import OrderType, TimeInForce


class Environment(StrEnum):
    """Which of the two worlds: money, or none."""

    REAL = "real"  # 실전투자
    PAPER = "paper"  # 모의투자


REST: Final = {
    Environment.REAL: "https://openapi.koreainvestment.com:9443",
    Environment.PAPER: "https://openapivts.koreainvestment.com:29443",
}
STREAM: Final = {
    Environment.REAL: "ws://ops.koreainvestment.com:21000",
    Environment.PAPER: "ws://ops.koreainvestment.com:31000",
}
MASTERS: Final = "https://new.real.download.dws.co.kr"  # files of names; no keys go there
RATE: Final = {
    Environment.REAL: 19,
    Environment.PAPER: 2,
}  # requests a second of one app key; theirs are 20 and 2
SLOTS: Final = 41  # registrations of one stream, fill notices included

STOCK: Final = "/uapi/domestic-stock/v1"
TOKEN_PATH: Final = "/oauth2/tokenP"
REVOKE_PATH: Final = "/oauth2/revokeP"
APPROVAL_PATH: Final = "/oauth2/Approval"
HASHKEY_PATH: Final = "/uapi/hashkey"

_TRANSACTIONS: Final[dict[str, tuple[str, str]]] = {
    # what: (real, paper); "" where paper has none
    "order_buy": ("TTTC0012U", "VTTC0012U"),
    "order_sell": ("TTTC0011U", "VTTC0011U"),
    "order_change": ("TTTC0013U", "VTTC0013U"),
    "orders": ("TTTC0081R", "VTTC0081R"),
    "orders_old": ("CTSC9215R", "VTSC9215R"),
    "changeable": ("TTTC0084R", ""),
    "buyable": ("TTTC8908R", "VTTC8908R"),
    "sellable": ("TTTC8408R", ""),
    "balance": ("TTTC8434R", "VTTC8434R"),
    "price": ("FHKST01010100", "FHKST01010100"),
    "book": ("FHKST01010200", "FHKST01010200"),
    "snapshots": ("FHKST11300006", ""),
    "minutes": ("FHKST03010200", "FHKST03010200"),
    "minutes_past": ("FHKST03010230", ""),
    "daily": ("FHKST03010100", "FHKST03010100"),
    "instrument": ("CTPF1002R", ""),
    "holidays": ("CTCA0903R", ""),
}


def supports(what: str, environment: Environment) -> bool:
    """Whether this environment has that call at all."""
    return bool(_TRANSACTIONS[what][environment is Environment.PAPER])


def transaction(what: str, environment: Environment) -> str:
    """The transaction id of a call. Refused (PAPER_UNSUPPORTED) where paper has none."""
    found = _TRANSACTIONS[what][environment is Environment.PAPER]
    if not found:
        raise Refused("PAPER_UNSUPPORTED", f"{what} ({_TRANSACTIONS[what][0]}) is not served on 모의투자")
    return found


# --- orders -----------------------------------------------------------------------------------------------------------

VENUES: Final = ("KRX", "NXT", "SOR")
MARKET_CODES: Final = {"KRX": "J", "NXT": "NX", "SOR": "UN"}  # FID_COND_MRKT_DIV_CODE by venue; UN: both together
_ORDER_CODES: Final = {
    (OrderType.LIMIT, TimeInForce.DAY): "00",
    (OrderType.MARKET, TimeInForce.DAY): "01",
    (OrderType.CONDITIONAL, TimeInForce.DAY): "02",
    (OrderType.BEST, TimeInForce.DAY): "03",
    (OrderType.FIRST, TimeInForce.DAY): "04",
    (OrderType.LIMIT, TimeInForce.IOC): "11",
    (OrderType.LIMIT, TimeInForce.FOK): "12",
    (OrderType.MARKET, TimeInForce.IOC): "13",
    (OrderType.MARKET, TimeInForce.FOK): "14",
    (OrderType.BEST, TimeInForce.IOC): "15",
    (OrderType.BEST, TimeInForce.FOK): "16",
}
_CODES_BACK: Final = {code: kind for kind, code in _ORDER_CODES.items()}
_AT_VENUE: Final = {
    "KRX": frozenset(_ORDER_CODES.values()),
    "NXT": frozenset(_ORDER_CODES.values()) - {"01", "02"},
    "SOR": frozenset(_ORDER_CODES.values()) - {"02"},
}
_ON_PAPER: Final = frozenset({"00", "01", "02", "03", "04"})


def order_code(type: OrderType, tif: TimeInForce, venue: str, environment: Environment) -> str:  # noqa: A002 - its name
    """ORD_DVSN of an order type at a venue. Refused (ORDER_KIND, VENUE, PAPER_UNSUPPORTED) where it is not taken."""
    if venue not in VENUES:
        raise Refused("VENUE", f"venue {venue!r}: KIS routes to {', '.join(VENUES)}")
    code = _ORDER_CODES.get((type, tif))
    if code is None or code not in _AT_VENUE[venue]:
        raise Refused("ORDER_KIND", f"{venue} takes no {type} order for {tif}")
    if environment is Environment.PAPER and (venue != "KRX" or code not in _ON_PAPER):
        raise Refused("PAPER_UNSUPPORTED", f"모의투자 takes no {type} order for {tif} at {venue}")
    return code


def order_type(code: str) -> tuple[OrderType, TimeInForce] | None:
    """What an ORD_DVSN means; None for those that we never send (off-hours, mid-price, ...)."""
    return _CODES_BACK.get(code)


# --- error codes ------------------------------------------------------------------------------------------------------


class Act(IntEnum):
    """What a code asks of us."""

    REFUSED = 0  # it said no: nothing was done
    CONFIG = 1  # keys, account, rights or the request itself: a person must change something
    PAPER = 2  # 모의투자 does not have it
    TOKEN = 3  # the token is dead: nothing was done, a new one is needed
    ISSUE_LIMIT = 4  # a token was asked for twice within a minute
    THROTTLED = 5  # too many requests a second; said not to have been executed
    TEMPORARY = 6  # a server in trouble: nobody knows what became of an order
    NOT_YET = 7  # the original has not reached the exchange: the same change may be asked for again shortly
    CHANGED = 8  # the list moved while it was paged through: from the first page again
    EMPTY = 9  # nothing to tell


_ACTS: Final[dict[str, Act]] = {
    **dict.fromkeys(("EGW00121", "EGW00122", "EGW00123", "EGW00124", "EGW00125", "EGW00126"), Act.TOKEN),
    "EGW00133": Act.ISSUE_LIMIT,
    **dict.fromkeys(("EGW00201", "EGW00215"), Act.THROTTLED),
    **dict.fromkeys(
        ("EGW00001", "EGW00002", "EGW00202", "EGW00203", "EGW00300", "EGW00301", "EGW00302", "90020000"), Act.TEMPORARY
    ),
    **dict.fromkeys(("EGW00213", "EGW02006", "MCA00124"), Act.PAPER),
    **dict.fromkeys((f"EGW{number:05d}" for number in (
        3, 4, 101, 102, 103, 104, 105, 115, 116, 117, 131, 132, 204, 205, 206, 207, 208, 209, 210, 211, 212, 303, 304,
        310, 2004,
    )), Act.CONFIG),
    **dict.fromkeys(("IGW00002", "APTR0058", "OPSQ2000", "APAC0489", "APBK1744", "40910000"), Act.CONFIG),
    "KIOK0560": Act.EMPTY,
    # of the stream
    **dict.fromkeys(("OPSP0010", "OPSP0011"), Act.TOKEN),
    **dict.fromkeys(("OPSP0007", "OPSP0009", "OPSP8996"), Act.TEMPORARY),
}  # fmt: skip
_TEXTS: Final = (
    ("거래소 미접수", Act.NOT_YET),
    ("조회이후에 자료가 변경", Act.CHANGED),
    ("조회 이후에 자료가 변경", Act.CHANGED),
)
_REMEDIES: Final = {
    "EGW00103": "the app key is not known to this server: check KIS_APP_KEY, and that KIS_IS_PAPER fits it",
    "EGW00105": "the app secret does not belong to the app key: check KIS_APP_SECRET",
    "EGW00133": "KIS issues one token a minute; the one it gave is in the token cache",
    **dict.fromkeys(
        ("EGW00201", "EGW00215"),
        "ask again; where it stays so another program uses this app key, or `rate` is too high",
    ),
    **dict.fromkeys(
        ("EGW00213", "EGW02006"), "keys of 실전 were given, and this server is one of 모의투자: check KIS_IS_PAPER"
    ),
    "EGW00207": "KIS does not take requests of this app key from this address",
    "EGW00303": "KIS does not take requests of this app key from this address",
    "EGW00310": "the transaction id is not known to this server",
    "EGW02004": "this is an app key of 모의투자 on the server of 실전: say KIS_IS_PAPER=true, or give the real keys",
    "IGW00002": "the account does not belong to this app key: check KIS_ACCOUNT_NO",
    "OPSQ2000": "the account does not belong to this app key: check KIS_ACCOUNT_NO",
    "APTR0058": "the account does not belong to this app key: check KIS_ACCOUNT_NO",
    "OPSP0008": "a session has 41 registrations, those for own orders included",
    "OPSP8992": "the stream does not know this name; for own orders it is the HTS id: check KIS_HTS_ID",
    "OPSP8996": "another session of this app key is open, here or elsewhere: close it; one that crashed ends by itself",
    "40910000": "this account has not been entered for 모의투자 orders; enter it on KIS's site",
}


_UNKNOWN: Final = "check the code; of an ETN or ELW the client must know that it is one (`markets`, `names()`)"
_REASONS: Final = (
    # words of the text, codes, our code, what to do; the text goes before the code: APBK0918 alone has six meanings
    (("호가단위",), (), "PRICE_TICK", "round the price to the tick of its price range"),
    (("상하한", "상한가", "하한가"), (), "PRICE_LIMIT", "give a price within the day's limits"),
    (("영업일이 아", "영업일 아"), ("40100000",), "SESSION_PHASE", "the exchange is closed today"),
    (
        ("장운영시간", "장시작전", "장종료", "장마감", "주문시간", "주문가능시간", "장개시전"),
        ("40570000", "40580000", "APBK1058", "KIOK0320", "APBK1664"),
        "SESSION_PHASE",
        "send it in a phase of the session that takes it",
    ),
    (("주문가능금액", "예수금", "증거금"), ("40250000",), "INSUFFICIENT_CASH", "buy less, or end an open buy"),
    (
        ("잔고내역이 없", "가능한 수량", "매도가능수량", "잔고가 부족", "잔고부족", "보유수량"),
        ("APBK0400", "APBK1234", "40240000"),
        "INSUFFICIENT_SHARES",
        "sell no more than is not on sale already",
    ),
    (("거래정지", "매매정지", "매매불가"), ("APBK0634",), "INSTRUMENT_BLOCKED", "the name does not trade now"),
    (("종목정보가 없", "종목코드"), ("APBK0656", "MCA05918"), "UNKNOWN_SYMBOL", _UNKNOWN),
    (("원주문번호", "원주문이"), ("APBK1663",), "UNKNOWN_ORDER", "look at today's list of orders"),
    (("가능수량이 없", "할 수량이 없"), ("40330000",), "NOTHING_LEFT", "it has filled, or was changed or cancelled"),
    (("주문수량",), (), "QUANTITY", "give a whole number of shares, 1 or more, of an ELW a multiple of 10"),
    (("주문구분",), ("APBK1943", "APBK3013"), "ORDER_KIND", "give another kind of order, of an ELW a limit"),
)


def reason_of(code: str, text: str) -> tuple[str, str]:
    """Why an order was refused, in the house's codes, and what to do; KIS's own code and "" where nobody knows."""
    for words, _, ours, advice in _REASONS:
        if any(word in text for word in words):
            return ours, advice
    return next(((ours, advice) for _, codes, ours, advice in _REASONS if code in codes), (code, ""))


def act_of(code: str, text: str, status: int) -> Act:
    """What an answer that is not "0" asks of us, by its code, its text and its HTTP status.

    A code that is not known is a refusal where the broker itself says so (HTTP 200 or 4xx); from a server in trouble
    (5xx) it proves nothing.
    """
    for words, act in _TEXTS:
        if words in text:
            return act
    known = _ACTS.get(code)
    if known is not None:
        return known
    return Act.TEMPORARY if status >= 500 else Act.REFUSED


def remedy(code: str, text: str = "") -> str:
    """What to do about an answer; "" where nobody knows better than the broker's text."""
    return _REMEDIES.get(code) or reason_of(code, text)[1]


def check_venue(venue: str) -> str:
    """FID_COND_MRKT_DIV_CODE of a venue. ConfigError where there is no such venue."""
    if venue not in MARKET_CODES:
        raise ConfigError(f"venue={venue!r}: expected one of {', '.join(MARKET_CODES)}")
    return MARKET_CODES[venue]
