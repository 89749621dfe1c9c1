"""Orders and accounts as KIS serves them, over the exchange.

Contract: each function answers one service for one customer, or raises `Business` or `Gateway`. Order numbers begin
anew each day; a modification and a cancel have numbers of their own. The list of orders has no rows for cancels: the
row of the order says what was cancelled, and what its session left over stays its rest (assumptions: no capture was
seen).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

from quantkit.emulator.kis import codes
from quantkit.emulator.kis.envelope import Answer, Business, day_asked, digits, number, page
from quantkit.emulator.session import SECOND, day_of, hhmmss
from quantkit.errors import Refused
from quantkit.market.costs import Costs
from quantkit.market.days import date_of
from quantkit.trading.orders import OrderType, Side, TimeInForce

if TYPE_CHECKING:
    from collections.abc import Iterable

    from quantkit.emulator.accounts import Placed
    from quantkit.emulator.exchange import Exchange
    from quantkit.emulator.kis.keys import Customer
    from quantkit.trading.ports import BrokerOrder

KINDS: Final[dict[str, tuple[OrderType, TimeInForce, str]]] = {
    "00": (OrderType.LIMIT, TimeInForce.DAY, "지정가"),
    "01": (OrderType.MARKET, TimeInForce.DAY, "시장가"),
    "02": (OrderType.CONDITIONAL, TimeInForce.DAY, "조건부지정가"),
    "03": (OrderType.BEST, TimeInForce.DAY, "최유리지정가"),
    "04": (OrderType.FIRST, TimeInForce.DAY, "최우선지정가"),
    "11": (OrderType.LIMIT, TimeInForce.IOC, "IOC지정가"),
    "12": (OrderType.LIMIT, TimeInForce.FOK, "FOK지정가"),
    "13": (OrderType.MARKET, TimeInForce.IOC, "IOC시장가"),
    "14": (OrderType.MARKET, TimeInForce.FOK, "FOK시장가"),
    "15": (OrderType.BEST, TimeInForce.IOC, "IOC최유리"),
    "16": (OrderType.BEST, TimeInForce.FOK, "FOK최유리"),
}
"""ORD_DVSN: type, time in force, word."""

PRICED: Final = frozenset({"00", "02", "11", "12"})
PAPER_KINDS: Final = frozenset({"00", "01", "02", "03", "04"})
CODE_OF: Final = {(kind, tif): code for code, (kind, tif, _) in KINDS.items()}

_REFUSALS: Final = {
    "UNKNOWN_SYMBOL": ("APBK0656", "해당종목정보가 없습니다."),
    "QUANTITY": ("APBK0918", "주문수량을 확인하여 주십시오."),
    "INSTRUMENT_BLOCKED": ("APBK0634", "거래정지종목으로 주문이 불가합니다."),
    "SESSION_PHASE": ("APBK0918", "장운영시간이 아닙니다."),
    "PRICE_TICK": ("APBK0918", "호가단위 오류입니다. 주문단가를 확인하여 주십시오."),
    "PRICE_LIMIT": ("APBK0918", "주문단가가 상하한가를 벗어났습니다."),
    "INSUFFICIENT_CASH": ("APBK0918", "주문가능금액을 초과하였습니다."),
    "INSUFFICIENT_SHARES": ("APBK0400", "주문 가능한 수량을 초과하였습니다."),
    "UNKNOWN_ORDER": ("APBK1663", "원주문번호가 존재하지 않습니다."),
    "NOTHING_LEFT": ("APBK0918", "정정취소 가능수량이 없습니다."),
    **dict.fromkeys(
        ("ORDER_KIND", "ORDER_MARKET", "ORDER_PHASE", "ORDER_STATUS"), ("APBK1943", "주문구분을 확인하여 주십시오.")
    ),
}
_PAPER: Final = {
    "QUANTITY": ("40310000", "모의투자 주문수량 오류입니다."),
    "INSTRUMENT_BLOCKED": ("90000000", "모의투자 주문처리가 안되었습니다(매매불가 종목)"),
    "PRICE_TICK": ("40310000", "모의투자 주문처리가 안되었습니다(호가단위 오류)"),
    "PRICE_LIMIT": ("40310000", "모의투자 주문처리가 안되었습니다(상하한가 오류)"),
    "INSUFFICIENT_CASH": ("40250000", "모의투자 주문가능금액이 부족합니다."),
    "INSUFFICIENT_SHARES": ("40240000", "모의투자 잔고내역이 없습니다."),
    "UNKNOWN_ORDER": ("40330000", "모의투자 정정/취소할 수량이 없습니다."),
    "NOTHING_LEFT": ("40330000", "모의투자 정정/취소할 수량이 없습니다."),
}
_DONE: Final = {
    "buy": ("40600000", "모의투자 매수주문이 완료 되었습니다."),
    "sell": ("40590000", "모의투자 매도주문이 완료 되었습니다."),
    "modify": ("40620000", "모의투자 정정주문이 완료 되었습니다."),  # the code is not confirmed
    "cancel": ("40630000", "모의투자 취소주문이 완료 되었습니다."),
}
_LISTED: Final = ("APBK0013", "주문 전송 완료 되었습니다.")
_FEES: Final = Costs.kis()


class Taken(NamedTuple):
    """An order that was taken, on the day it was."""

    day: int
    order: Placed


class Trading:
    """The order desk and the ledger of one profile."""

    def __init__(self, exchange: Exchange, *, paper: bool) -> None:
        self.exchange, self.paper = exchange, paper
        self.branch = "00950" if paper else "06010"
        self.cancels: dict[str, str] = {}  # of the day: the cancel's number by the order's
        self._taken: dict[str, list[Taken]] = {}
        self._day = -1
        self._bases: dict[int, int] = {}  # by day: the exchange's number before its first

    # --- numbers -------------------------------------------------------------------------------------------------

    def odno(self, number: str) -> str:
        """The number of an order as customers know it: of the day."""
        self._today()
        return self._of_day(self._day, number)

    def number(self, odno: str) -> str:
        self._today()
        if not digits(odno):
            raise self._refusal("UNKNOWN_ORDER")
        return f"{int(odno) + self._bases[self._day]:010d}"

    def _today(self) -> None:
        day = self.exchange.day
        if day is not None and day != self._day:
            placed = [int(each) for each in self.exchange.desk.placed]
            self._day = day
            self._bases[day] = min(placed, default=self.exchange.desk.last_number + 1) - 1
            self.cancels = {}

    def _refusal(self, code: str, detail: str = "") -> Business:
        if self.paper and code == "SESSION_PHASE":
            return self._closed()
        known = {**_REFUSALS, **_PAPER} if self.paper else _REFUSALS
        return Business(*known.get(code, ("APBK0918", f"주문이 거부되었습니다. {code} {detail}".strip())))

    def _closed(self) -> Business:
        """Why a paper order comes at a wrong time."""
        now, clock = self.exchange.now, self.exchange.clock
        if clock is None or day_of(now) != self.exchange.day:
            return Business("40100000", "모의투자 영업일이 아닙니다.")
        if now < clock.orders:
            return Business("40570000", "모의투자 장시작전 입니다.")
        return Business("40580000", "모의투자 장종료 입니다.")

    # --- orders --------------------------------------------------------------------------------------------------

    def check_account(self, owner: Customer, given: dict[str, str]) -> None:
        """The account of the request is the key's own."""
        if given.get("CANO", "") + given.get("ACNT_PRDT_CD", "") != owner.account:
            raise Business("APTR0058", "ERROR : INPUT INVALID_CHECK_ACNO")

    def code(self, symbol: str) -> str:
        """KIS's code of a name."""
        issue = self.exchange.issues.get(symbol)
        return symbol if issue is None else codes.coded(symbol, issue.market)

    def _symbol(self, given: dict[str, str]) -> str:
        """The name that a request is about; what no name has, where there is none."""
        issue = codes.find(self.exchange.issues, given.get("PDNO", ""))
        return "" if issue is None else str(issue.symbol)

    def order(self, owner: Customer, given: dict[str, str], side: Side) -> Answer:
        """order-cash."""
        self.check_account(owner, given)
        kind, tif, _ = self._kind(given.get("ORD_DVSN", ""))
        quantity = _whole(given, "ORD_QTY")
        if given.get("EXCG_ID_DVSN_CD", "KRX") not in ("KRX", "SOR") or (
            self.paper and given.get("EXCG_ID_DVSN_CD", "KRX") != "KRX"
        ):
            raise Business("APBK3013", "해당 거래소로 주문할 수 없습니다.")
        if kind is OrderType.CONDITIONAL and given.get("EXCG_ID_DVSN_CD") == "SOR":
            raise Business("APBK1943", "주문구분을 확인하여 주십시오.")
        price = self._price(given, given["ORD_DVSN"])
        try:
            order = self.exchange.submit(
                owner.name, self._symbol(given), side, quantity, type=kind, price=price, tif=tif
            )
        except Refused as refused:
            raise self._refusal(refused.code, str(refused)) from refused
        self._keep(owner, order)
        return self._sent("buy" if side is Side.BUY else "sell", order.number)

    def change(self, owner: Customer, given: dict[str, str]) -> Answer:
        """order-rvsecncl."""
        self.check_account(owner, given)
        if not given.get("KRX_FWDG_ORD_ORGNO", "").strip():
            raise Business("APBK0918", "주문조직번호를 확인하여 주십시오.")
        number_ = self.number(given.get("ORGN_ODNO", ""))
        what = given.get("RVSE_CNCL_DVSN_CD")
        whole = given.get("QTY_ALL_ORD_YN") == "Y"
        order = self.exchange.desk.account(owner.name).orders.get(number_)
        if order is None:
            raise self._refusal("UNKNOWN_ORDER")
        quantity = order.leaves if whole else _whole(given, "ORD_QTY")
        try:
            if what == "02":
                return self._sent("cancel", self.cancel(owner.name, number_, quantity))
            if what != "01":
                raise Business("APBK0918", "정정취소구분을 확인하여 주십시오.")
            self._kind(given.get("ORD_DVSN", ""))
            if quantity > order.leaves:
                raise self._refusal("NOTHING_LEFT")
            price = self._price(given, given["ORD_DVSN"])
            made = self.exchange.replace(owner.name, number_, quantity, price)
        except Refused as refused:
            raise self._refusal(refused.code, str(refused)) from refused
        self._keep(owner, made)
        return self._sent("modify", made.number)

    def check_taken(self, owner: Customer, given: dict[str, str], seconds: float) -> None:
        """The exchange takes an order so long after KIS did; before that it cannot be changed."""
        order = self.exchange.desk.account(owner.name).orders.get(self.number(given.get("ORGN_ODNO", "")))
        if order is not None and self.exchange.now < order.time + round(seconds * SECOND):
            raise Business("APBK0918", "거래소 미접수로 정정취소주문이 불가합니다.")

    def cancel(self, account: str, number_: str, quantity: int) -> str:
        """Cancel, and remember the number that the cancel was given for its notice."""
        self._today()
        self.cancels[number_] = ""
        try:
            made = self.exchange.cancel(account, number_, quantity)
        except Refused:
            del self.cancels[number_]
            raise
        self.cancels[number_] = made
        return made

    def find(self, owner: Customer, number_: str) -> Placed:
        """An order of any day."""
        return next(each.order for each in self._taken[owner.name] if each.order.number == number_)

    def _keep(self, owner: Customer, order: Placed) -> None:
        self._taken.setdefault(owner.name, []).append(Taken(self.exchange.day or 0, order))

    def _kind(self, code: str) -> tuple[OrderType, TimeInForce, str]:
        found = KINDS.get(code)
        if found is None or (self.paper and code not in PAPER_KINDS):
            raise Business("APBK1943", "주문구분을 확인하여 주십시오.")
        return found

    def _price(self, given: dict[str, str], code: str) -> float | None:
        price = _asked_price(given)
        if code in PRICED:
            return price
        if price:
            raise Business("APBK0918", "주문단가를 0으로 입력하여 주십시오.")
        return None

    def _sent(self, what: str, number_: str) -> Answer:
        code, words = _DONE[what] if self.paper else _LISTED
        clock = hhmmss(self.exchange.now)
        output = {"KRX_FWDG_ORD_ORGNO": self.branch, "ODNO": self.odno(number_), "ORD_TMD": clock}
        return Answer({"output": output}, code, words)

    # --- lists ---------------------------------------------------------------------------------------------------

    def _lines(self, owner: Customer, since: int, until: int, at: int | None) -> Iterable[tuple[Taken, BrokerOrder]]:
        for taken in self._taken.get(owner.name, ()):
            if since <= taken.day <= until and (line := taken.order.line(at)) is not None:
                yield taken, line

    def daily(self, owner: Customer, given: dict[str, str], cont: str, at: int | None = None) -> Answer:
        """inquire-daily-ccld: at: as the list stood then."""
        self.check_account(owner, given)
        self._today()
        since, until = (
            day_asked(given.get("INQR_STRT_DT", ""), "INQR_STRT_DT"),
            day_asked(given.get("INQR_END_DT", ""), "INQR_END_DT"),
        )
        side, done = given.get("SLL_BUY_DVSN_CD", "00"), given.get("CCLD_DVSN", "00")
        hidden = given.get("EXCG_ID_DVSN_CD", "KRX") == "NXT"
        found, ordered, filled, value, costs = [], 0, 0, 0, 0
        for taken, line in self._lines(owner, since, until, at):
            wanted = not hidden and side in ("", "00", "01" if line.side is Side.SELL else "02")
            wanted &= given.get("PDNO", "") in ("", self.code(line.symbol))
            wanted &= {"01": line.filled > 0, "02": line.leaves > 0}.get(done, True)
            wire = self._of_day(taken.day, line.number)
            wanted &= given.get("ODNO", "") in ("", wire)
            if wanted:
                found.append((taken, line, wire))
                ordered, filled, value = ordered + line.quantity, filled + line.filled, value + line.value
                costs += (line.commission or 0) + (line.tax or 0)
        if given.get("INQR_DVSN", "00") == "00":
            found.reverse()
        part = page(found, given, cont, 15 if self.paper else 100)
        rows = [self._row(*each) for each in part.rows]
        totals = {
            "tot_ord_qty": number(ordered), "tot_ccld_qty": number(filled), "tot_ccld_amt": number(value),
            "prsm_tlex_smtl": number(costs), "pchs_avg_pric": number(value / filled if filled else 0, 4),
        }  # fmt: skip
        return Answer(
            {"output1": rows, "output2": totals}, "KIOK0510" if found else "KIOK0560",
            "조회가 완료되었습니다." if found else "조회할 내용이 없습니다.", part.cont, part.context,
        )  # fmt: skip

    def _of_day(self, day: int, number_: str) -> str:
        """An order's number of its own day."""
        return f"{int(number_) - self._bases[day]:010d}"

    def _row(self, taken: Taken, line: BrokerOrder, wire: str) -> dict[str, str]:
        code = CODE_OF[(line.type, taken.order.tif)]
        sell = line.side is Side.SELL
        rest = line.quantity - line.filled if line.status == "expired" else line.leaves
        gone = line.quantity - line.filled - rest
        original = "" if line.original is None else self._of_day(taken.day, line.original)
        word = f"{'매도' if sell else '매수'}{'정정' if original else ''}"
        price = line.price if code in PRICED else 0
        return {
            "ord_dt": f"{date_of(taken.day):%Y%m%d}", "ord_gno_brno": self.branch, "odno": wire, "orgn_odno": original,
            "ord_dvsn_name": KINDS[code][2], "sll_buy_dvsn_cd": "01" if sell else "02",
            "sll_buy_dvsn_cd_name": f"{word}*" if gone and not rest else word, "pdno": self.code(line.symbol),
            "prdt_name": line.symbol, "ord_qty": number(line.quantity), "ord_unpr": number(price),
            "ord_tmd": hhmmss(line.time), "tot_ccld_qty": number(line.filled),
            "avg_prvs": number(line.value / line.filled if line.filled else 0, 4 if self.paper else 0),
            "cncl_yn": "Y" if gone else "N", "tot_ccld_amt": number(line.value), "loan_dt": "", "ordr_empno": "OpnAPI",
            "ord_dvsn_cd": code, "cnc_cfrm_qty": number(gone), "rmn_qty": number(rest),
            "rjct_qty": "0", "ccld_cndt_name": "없음", "inqr_ip_addr": "", "cpbc_ordp_ord_rcit_dvsn_cd": "",
            "cpbc_ordp_infm_mthd_dvsn_cd": "", "infm_tmd": "", "ctac_tlno": "", "prdt_type_cd": "300",
            "excg_dvsn_cd": "02", "cpbc_ordp_mtrl_dvsn_cd": "", "ord_orgno": self.branch, "rsvn_ord_end_dt": "",
            "excg_id_dvsn_Cd": "KRX", "stpm_cndt_pric": "", "stpm_efct_occr_dtmd": "",
        }  # fmt: skip

    def changeable(self, owner: Customer, given: dict[str, str], cont: str) -> Answer:
        """inquire-psbl-rvsecncl."""
        self.check_account(owner, given)
        self._today()
        side = given.get("INQR_DVSN_2", "0")
        rows = []
        for taken, line in self._lines(owner, self._day, self._day, None):
            if not line.leaves or side not in ("", "0", "1" if line.side is Side.SELL else "2"):
                continue
            row = self._row(taken, line, self.odno(line.number))
            names = ("ord_gno_brno", "odno", "orgn_odno", "ord_dvsn_name", "pdno", "prdt_name", "ord_qty", "ord_unpr",
                     "ord_tmd", "tot_ccld_qty", "tot_ccld_amt", "sll_buy_dvsn_cd", "ord_dvsn_cd", "excg_dvsn_cd",
                     "stpm_cndt_pric")  # fmt: skip
            rows.append({
                **{name: row[name] for name in names}, "psbl_qty": row["rmn_qty"], "mgco_aptm_odno": "",
                "rvse_cncl_dvsn_name": "정정" if row["orgn_odno"] else "", "excg_id_dvsn_cd": "KRX",
                "excg_id_dvsn_name": "한국거래소", "stpm_efct_occr_yn": "N",
            })  # fmt: skip
        part = page(rows, given, cont, 50)
        return Answer({"output": part.rows}, "KIOK0510", "조회가 완료되었습니다.", part.cont, part.context)

    # --- money and shares ----------------------------------------------------------------------------------------

    def _last(self, symbol: str) -> float:
        issue = self.exchange.issues.get(symbol)
        if issue is None:
            return 0.0
        issue.sync()
        return float(issue.last)

    def balance(self, owner: Customer, given: dict[str, str], cont: str, at: int | None = None) -> Answer:
        """inquire-balance. Names sold out today stay as rows with nothing."""
        self.check_account(owner, given)
        self._today()
        account = self.exchange.desk.account(owner.name)
        held = {one.symbol: one for one in self.exchange.positions(owner.name, at=at)}
        today = list(self._lines(owner, self._day, self._day, at))
        moved = {line.symbol for _, line in today if line.filled}
        rows, worth, paid = [], 0.0, 0.0
        for symbol in sorted({*held, *moved}):
            one = held.get(symbol)
            quantity, average = (one.quantity, one.average or 0.0) if one else (0, 0.0)
            last, cost = self._last(symbol), (average or 0.0) * quantity
            value = last * quantity
            worth, paid = worth + value, paid + cost
            bought, sold = (
                sum(line.filled for _, line in today if line.symbol == symbol and line.side is side)
                for side in (Side.BUY, Side.SELL)
            )
            rate = (value - cost) / cost * 100 if cost else 0.0
            rows.append({
                "pdno": self.code(symbol), "prdt_name": symbol, "trad_dvsn_name": "현금",
                "bfdy_buy_qty": "0", "bfdy_sll_qty": "0",
                "thdt_buyqty": number(bought), "thdt_sll_qty": number(sold), "hldg_qty": number(quantity),
                "ord_psbl_qty": number(one.sellable if one else 0), "pchs_avg_pric": number(average, 4),
                "pchs_amt": number(cost), "prpr": number(last), "evlu_amt": number(value),
                "evlu_pfls_amt": number(value - cost), "evlu_pfls_rt": number(rate, 2),
                "evlu_erng_rt": number(rate, 8), "loan_dt": "", "loan_amt": "0", "stln_slng_chgs": "0",
                "expd_dt": "", "fltt_rt": "0.00000000", "bfdy_cprs_icdc": "0", "item_mgna_rt_name": "",
                "grta_rt_name": "", "sbst_pric": "0", "stck_loan_unpr": "0.0000",
            })  # fmt: skip
        cash = self.exchange.cash(owner.name, at=at)
        bought = sum(line.value for _, line in today if line.side is Side.BUY)
        sold = sum(line.value for _, line in today if line.side is Side.SELL)
        fees = sum((line.commission or 0) + (line.tax or 0) for _, line in today)
        total = worth + cash.next_2
        totals = {
            "dnca_tot_amt": number(cash.today), "nxdy_excc_amt": number(cash.next_1),
            "prvs_rcdl_excc_amt": number(cash.next_2), "cma_evlu_amt": "0", "bfdy_buy_amt": "0",
            "thdt_buy_amt": number(bought), "nxdy_auto_rdpt_amt": "0", "bfdy_sll_amt": "0",
            "thdt_sll_amt": number(sold), "d2_auto_rdpt_amt": "0", "bfdy_tlex_amt": "0", "thdt_tlex_amt": number(fees),
            "tot_loan_amt": "0", "scts_evlu_amt": number(worth), "tot_evlu_amt": number(total),
            "nass_amt": number(total), "fncg_gld_auto_rdpt_yn": "", "pchs_amt_smtl_amt": number(paid),
            "evlu_amt_smtl_amt": number(worth), "evlu_pfls_smtl_amt": number(worth - paid),
            "tot_stln_slng_chgs": "0", "bfdy_tot_asst_evlu_amt": number(account.total), "asst_icdc_amt": "0",
            "asst_icdc_erng_rt": "0.00000000",
        }  # fmt: skip
        part = page(rows, given, cont, 20 if self.paper else 50)
        return Answer(
            {"output1": part.rows, "output2": [totals]}, "KIOK0510", "조회가 완료되었습니다.", part.cont, part.context
        )

    def buyable(self, owner: Customer, given: dict[str, str]) -> Answer:
        """inquire-psbl-order: a market order is counted at the upper limit."""
        self.check_account(owner, given)
        orderable = max(0, self.exchange.cash(owner.name).orderable)
        issue = codes.find(self.exchange.issues, given.get("PDNO", ""))
        price = _asked_price(given)
        if issue is not None and (given.get("ORD_DVSN") == "01" or not price):
            price = float(issue.upper) if issue.upper < math.inf else self._last(issue.symbol)
        quantity = 0
        if price:
            quantity = int(orderable // price)
            while (lacks := quantity * price + _FEES.commission_on(int(quantity * price)) - orderable) > 0:
                quantity -= max(1, int(lacks // (2 * price)))  # the fee shrinks as well
        output = {
            "ord_psbl_cash": number(orderable), "ord_psbl_sbst": "0", "ruse_psbl_amt": "0", "fund_rpch_chgs": "0",
            "psbl_qty_calc_unpr": number(price), "nrcvb_buy_amt": number(orderable), "nrcvb_buy_qty": number(quantity),
            "max_buy_amt": number(orderable), "max_buy_qty": number(quantity), "cma_evlu_amt": "0",
            "ovrs_re_use_amt_wcrc": "0", "ord_psbl_frcr_amt_wcrc": "0",
        }  # fmt: skip
        return Answer({"output": output}, "KIOK0510", "조회가 완료되었습니다.")

    def sellable(self, owner: Customer, given: dict[str, str]) -> Answer:
        """inquire-psbl-sell."""
        self.check_account(owner, given)
        symbol = self._symbol(given)
        account = self.exchange.desk.account(owner.name)
        held = account.shares.get(symbol, 0)
        last, paid = self._last(symbol), account.spent.get(symbol, 0.0)
        output = {
            "pdno": self.code(symbol), "prdt_name": symbol, "buy_qty": "0", "sll_qty": "0", "cblc_qty": number(held),
            "nsvg_qty": "0", "ord_psbl_qty": number(account.sellable(symbol)),
            "pchs_avg_pric": number(paid / held if held else 0, 4), "pchs_amt": number(paid), "now_pric": number(last),
            "evlu_amt": number(last * held), "evlu_pfls_amt": number(last * held - paid),
            "evlu_pfls_rt": number((last * held - paid) / paid * 100 if paid else 0, 2),
        }  # fmt: skip
        return Answer({"output1": output}, "KIOK0510", "조회가 완료되었습니다.")


def _whole(given: dict[str, str], name: str) -> int:
    said = given.get(name, "")
    if not digits(said):
        raise Business("OPSQ2002", f"ERROR : INPUT FIELD {name}")
    return int(said)


def _asked_price(given: dict[str, str]) -> float:
    """ORD_UNPR; 0 where there is none."""
    said = given.get("ORD_UNPR", "").strip() or "0"
    if not digits(said.replace(".", "", 1)):
        raise Business("OPSQ2002", "ERROR : INPUT FIELD ORD_UNPR")
    return float(said)
