"""What KIS's answers look like: the envelope, refusals, numbers as text, pages.

Contract: every value is text; a business answer comes with HTTP 200 and `rt_cd`, a gateway's with 500, or 403 where a
key is wrong, that of OAuth with keys of its own. `msg1` is padded with blanks to 80 characters.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar

from quantkit.emulator.kis.http import Reply

if TYPE_CHECKING:
    from collections.abc import Sequence

Row = TypeVar("Row")

GATEWAY: Final = {
    "EGW00002": "서버 에러가 발생했습니다.",
    "EGW00101": "유효하지 않은 요청입니다.",
    "EGW00102": "AppKey는 필수입니다.",
    "EGW00103": "유효하지 않은 AppKey입니다.",
    "EGW00104": "AppSecret는 필수입니다.",
    "EGW00105": "유효하지 않은 AppSecret입니다.",
    "EGW00115": "grant_type은 필수입니다.",
    "EGW00116": "지원하지 않는 grant_type입니다.",
    "EGW00121": "유효하지 않은 token입니다.",
    "EGW00122": "token을 찾을 수 없습니다.",
    "EGW00123": "기간이 만료된 token입니다.",
    "EGW00131": "유효하지 않은 hashkey입니다.",
    "EGW00132": "Content-Type이 유효하지 않습니다.",
    "EGW00205": "credentials_type이 유효하지 않습니다.(Bearer)",
    "EGW00208": "custtype이 유효하지 않습니다.",
    "EGW00133": "접근토큰 발급 잠시 후 다시 시도하세요(1분당 1회)",
    "EGW00201": "초당 거래건수를 초과하였습니다.",
    "EGW00215": "원장 초당 거래건수를 초과하였습니다.",
    "EGW00302": "거래 시간이 초과되었습니다. 이전 거래를 확인하세요.",
    "EGW00310": "유효하지 않은 tr_id입니다.",
    "EGW02004": "실전투자 접근 시 모의투자 AppKey는 사용할 수 없습니다.",
    "EGW02006": "모의투자 TR 이 아닙니다.",
}
"""Codes of the gateway that this server gives, with its words."""


class Gateway(Exception):
    """The gateway turns a request away."""

    def __init__(self, code: str, status: int = 500) -> None:
        super().__init__(code)
        self.code, self.status = code, status


class Business(Exception):
    """The broker turns a request away: HTTP 200, rt_cd not 0."""

    def __init__(self, code: str, text: str, rt_cd: str = "1") -> None:
        super().__init__(f"{code} {text}")
        self.code, self.text, self.rt_cd = code, text, rt_cd


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service says: the blocks of its body by name. cont: F or M where more follows, D or E on the last page,
    "" where there are no pages."""

    blocks: dict[str, Any]
    code: str = "MCA00000"
    text: str = "정상처리 되었습니다."
    cont: str = ""
    context: dict[str, str] = field(default_factory=dict)


class Page(NamedTuple, Generic[Row]):
    """Rows of one page, the `tr_cont` of its answer, and the keys that lead to the next."""

    rows: list[Row]
    cont: str
    context: dict[str, str]


def text(body: dict[str, Any]) -> bytes:
    """A body as JSON."""
    return json.dumps(body, ensure_ascii=False).encode()


def answered(answer: Answer, headers: Sequence[tuple[str, str]]) -> Reply:
    """An answer in its envelope."""
    body = {**answer.context, **answer.blocks, "rt_cd": "0", "msg_cd": answer.code, "msg1": answer.text.ljust(80)}
    return Reply(200, text(body), (*headers, ("tr_cont", answer.cont)))


def turned_away(error: Business, headers: Sequence[tuple[str, str]]) -> Reply:
    """A refusal of the broker."""
    body = {"rt_cd": error.rt_cd, "msg_cd": error.code, "msg1": error.text.ljust(80)}
    return Reply(200, text(body), (*headers, ("tr_cont", "")))


def stopped(error: Gateway, headers: Sequence[tuple[str, str]], *, oauth: bool) -> Reply:
    """A refusal of the gateway; that of OAuth has keys of its own."""
    words = GATEWAY.get(error.code, "")
    if oauth:
        told = {"error_description": words, "error_code": error.code}
        return Reply(error.status, text(told), tuple(headers))
    body = {"rt_cd": "1", "msg_cd": error.code, "msg1": words}
    return Reply(error.status, text(body), tuple(headers))


def number(value: float | None, places: int = 0) -> str:
    """A number as text; nothing is 0, and so is the limit of a name that has none (ELW)."""
    if value is None or value == math.inf:
        return "0"
    return f"{value:.{places}f}" if places else str(round(value))


def signed(value: float) -> str:
    """prdy_vrss_sign of a difference without limits: 2 up, 3 flat, 5 down."""
    return "2" if value > 0 else "5" if value < 0 else "3"


def digits(said: str) -> bool:
    """Whether a parameter is a whole number, without a sign."""
    return said.isascii() and said.isdigit()


def day_asked(said: str, what: str) -> int:
    """The epoch day of a parameter such as 20250709. Business names `what` where it is none."""
    try:
        return (dt.datetime.strptime(said, "%Y%m%d").date() - dt.date(1970, 1, 1)).days  # noqa: DTZ007  a date
    except ValueError:
        raise Business("OPSQ2002", f"ERROR : INPUT FIELD {what}") from None


def page(rows: Sequence[Row], given: dict[str, str], cont: str, size: int, *, width: int = 100) -> Page[Row]:
    """The page that a request asks for, of rows or of what they are made from.

    given: its parameters, upper case; cont: its header tr_cont. Without "N" there, or without the key, it is the first.
    """
    key = given.get(f"CTX_AREA_NK{width}", "").strip()
    start = int(key) if cont == "N" and digits(key) else 0
    more = start + size < len(rows)
    mark = str(start + size) if more else ""
    first = given.get(f"CTX_AREA_FK{width}", "").strip() or "0"
    context = {f"ctx_area_fk{width}": first.ljust(width), f"ctx_area_nk{width}": mark.ljust(width)}
    return Page(list(rows[start : start + size]), ("M" if start else "F") if more else ("E" if start else "D"), context)
