"""What the first-class questions about an account give: records of our own, read from KIS's rows.

Contract: as in `quotes`: pure, whole records or BadData. Order numbers are text of ten characters, zeros in front: as a
number they would name another order. Quantities and amounts are cumulative.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quantkit.brokers.kis.codes import order_type
from quantkit.brokers.kis.figures import date, day_of, decimal, flag, moment, shown, text, whole
from quantkit.errors import BadData
from quantkit.trading.orders import Side

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quantkit.trading.orders import OrderType, TimeInForce


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """Shares of one name. Names sold today stay with a quantity of 0 until they are settled."""

    symbol: str
    name: str
    quantity: int
    sellable: int  # 주문가능수량: without what open sales bind
    average: float
    cost: int
    price: float
    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """주식잔고조회: all holdings and the money by settlement day. `total` is securities and cash of D+2."""

    holdings: tuple[Holding, ...]
    cash: int  # 예수금총금액, today
    cash_1: int  # D+1
    cash_2: int  # D+2: what it will be when all trades of today are settled
    securities: int
    total: int
    net: int


def holding_of(row: Mapping[str, Any]) -> Holding:
    """One row of output1 of inquire-balance."""
    return Holding(
        symbol=plain_symbol(text(row, "pdno")), name=text(row, "prdt_name", ""), quantity=whole(row, "hldg_qty"),
        sellable=whole(row, "ord_psbl_qty"), average=decimal(row, "pchs_avg_pric", 0.0),
        cost=round(decimal(row, "pchs_amt", 0.0)), price=decimal(row, "prpr", 0.0),
        value=round(decimal(row, "evlu_amt", 0.0)),
    )  # fmt: skip


def balance_of(holdings: tuple[Holding, ...], row: Mapping[str, Any]) -> Balance:
    """The holdings of all pages and the sums, output2 of inquire-balance."""
    return Balance(
        holdings=holdings, cash=whole(row, "dnca_tot_amt"), cash_1=whole(row, "nxdy_excc_amt"),
        cash_2=whole(row, "prvs_rcdl_excc_amt"), securities=whole(row, "scts_evlu_amt", 0),
        total=whole(row, "tot_evlu_amt", 0), net=whole(row, "nass_amt", 0),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderLine:
    """One order of 주식일별주문체결조회, cumulative. Changes and cancels are lines that name `original`."""

    number: str  # ten digits with their zeros
    original: str | None
    branch: str  # 주문채번지점번호: what a change or cancel must carry
    symbol: str
    side: Side
    code: str  # ORD_DVSN
    kind: tuple[OrderType, TimeInForce] | None  # what the code means, where it is one that we send
    quantity: int
    price: float
    filled: int
    average: float
    value: int
    leaves: int
    canceled: int
    rejected: int
    is_cancel: bool  # 취소여부
    venue: str
    time: int
    client: str = ""  # 조회IP주소: where the order came from, masked by nobody


def order_line_of(row: Mapping[str, Any]) -> OrderLine:
    """One row of output1 of inquire-daily-ccld."""
    code = text(row, "ord_dvsn_cd", "")
    canceled = whole(row, "cnc_cfrm_qty" if "cnc_cfrm_qty" in row else "cncl_cfrm_qty", 0)
    return OrderLine(
        number=number_of(text(row, "odno")), original=_original(text(row, "orgn_odno", "")),
        branch=text(row, "ord_gno_brno", ""), symbol=plain_symbol(text(row, "pdno")),
        side=side_of(text(row, "sll_buy_dvsn_cd")), code=code, kind=order_type(code), quantity=whole(row, "ord_qty"),
        price=decimal(row, "ord_unpr", 0.0), filled=whole(row, "tot_ccld_qty"), average=decimal(row, "avg_prvs", 0.0),
        value=whole(row, "tot_ccld_amt", 0), leaves=whole(row, "rmn_qty", 0), canceled=canceled,
        rejected=whole(row, "rjct_qty", 0), is_cancel=flag(row, "cncl_yn"),
        venue=text(row, "excg_id_dvsn_cd", "") or "KRX", time=moment(date(row, "ord_dt"), text(row, "ord_tmd")),
        client=text(row, "inqr_ip_addr", ""),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOrder:
    """One order of 주식정정취소가능주문조회: `changeable` shares of it can still be changed or cancelled."""

    number: str
    original: str | None
    branch: str
    symbol: str
    side: Side
    code: str
    quantity: int
    price: float
    filled: int
    changeable: int
    venue: str


def open_order_of(row: Mapping[str, Any]) -> OpenOrder:
    """One row of inquire-psbl-rvsecncl."""
    return OpenOrder(
        number=number_of(text(row, "odno")), original=_original(text(row, "orgn_odno", "")),
        branch=text(row, "ord_gno_brno", ""), symbol=plain_symbol(text(row, "pdno")),
        side=side_of(text(row, "sll_buy_dvsn_cd")), code=text(row, "ord_dvsn_cd", ""), quantity=whole(row, "ord_qty"),
        price=decimal(row, "ord_unpr", 0.0), filled=whole(row, "tot_ccld_qty", 0), changeable=whole(row, "psbl_qty"),
        venue=text(row, "excg_id_dvsn_cd", "") or "KRX",
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Buyable:
    """매수가능조회: what a buy may bind without borrowing (미수), and with it. `price` is what it was reckoned with."""

    cash: int  # 주문가능현금
    amount: int  # 미수없는매수금액
    quantity: int  # 미수없는매수수량
    largest_amount: int
    largest_quantity: int
    price: float


def buyable_of(row: Mapping[str, Any]) -> Buyable:
    """The output of inquire-psbl-order."""
    return Buyable(
        cash=whole(row, "ord_psbl_cash"), amount=whole(row, "nrcvb_buy_amt"), quantity=whole(row, "nrcvb_buy_qty", 0),
        largest_amount=whole(row, "max_buy_amt", 0), largest_quantity=whole(row, "max_buy_qty", 0),
        price=decimal(row, "psbl_qty_calc_unpr", 0.0),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Sellable:
    """매도가능수량조회."""

    symbol: str
    quantity: int  # 잔고수량
    sellable: int  # 주문가능수량
    average: float


def sellable_of(symbol: str, row: Mapping[str, Any]) -> Sellable:
    """output1 of inquire-psbl-sell."""
    return Sellable(
        symbol=symbol, quantity=whole(row, "cblc_qty", 0), sellable=whole(row, "ord_psbl_qty"),
        average=decimal(row, "pchs_avg_pric", 0.0),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """KIS took an order, a change or a cancel: its number, and the branch that a change of it must name."""

    number: str
    branch: str
    time: int
    text: str = ""


def side_of(code: str) -> Side:
    """Of SLL_BUY_DVSN_CD. BadData for any other than 01 and 02."""
    if code not in ("01", "02"):
        raise BadData(f"KIS: sll_buy_dvsn_cd={shown(code)}, expected 01 (sell) or 02 (buy)")
    return Side.SELL if code == "01" else Side.BUY


def number_of(said: str) -> str:
    """An order number, ten digits with zeros in front. BadData for anything else."""
    if not said or len(said) > 10 or not (said.isascii() and said.isalnum()):
        raise BadData(f"KIS: odno={shown(said)}, expected an order number")
    return said.rjust(10, "0")


def _original(said: str) -> str | None:
    return number_of(said) if said.strip("0") else None


def plain_symbol(code: str) -> str:
    """Our code of KIS's: without the A of old files and the Q of ETN."""
    return code[1:] if len(code) == 7 and code[0] in "AQ" else code


def accepted_of(row: Mapping[str, Any], now: int, said: str) -> Accepted:
    """The output of an order that was taken. BadData where its number cannot be read; a time that cannot is `now`."""
    number = number_of(text(row, "odno"))
    try:
        time = moment(day_of(now), text(row, "ord_tmd", ""))
    except BadData:
        time = now
    return Accepted(number=number, branch=text(row, "krx_fwdg_ord_orgno", ""), time=time, text=said)
