"""What the first-class questions about prices give: records of our own, read from KIS's rows.

Contract: pure; rows have their names in lower case. Every record is whole or there is none: a field that it needs and
that cannot be read is BadData. Prices are float won, quantities and amounts int; a price of 0.0 means that there is
none (no trade yet, no bid). Moments are UTC nanoseconds, dates are Seoul's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from quantkit.brokers.kis.figures import date, decimal, flag, moment, text, whole

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """주식현재가 시세: where a name stands now, and its day."""

    symbol: str
    price: float
    change: float  # against the previous close, signed
    rate: float  # the same in percent
    open: float
    high: float
    low: float
    volume: int
    value: int  # won traded today
    base: float  # 기준가
    upper: float
    lower: float
    tick: float  # 호가단위
    listed_shares: int
    status: str  # 종목상태구분코드
    halted: bool
    managed: bool  # 관리종목
    liquidation: bool  # 정리매매
    overheated: bool  # 단기과열
    warning: str  # 시장경고코드: 00 none, 01 caution, 02 warning, 03 danger
    vi: bool  # a volatility interruption is on


def price_of(symbol: str, row: Mapping[str, Any]) -> Price:
    """One row of inquire-price."""
    status = text(row, "iscd_stat_cls_code", "")
    return Price(
        symbol=symbol, price=decimal(row, "stck_prpr"), change=decimal(row, "prdy_vrss", 0.0),
        rate=decimal(row, "prdy_ctrt", 0.0), open=decimal(row, "stck_oprc", 0.0), high=decimal(row, "stck_hgpr", 0.0),
        low=decimal(row, "stck_lwpr", 0.0), volume=whole(row, "acml_vol"), value=whole(row, "acml_tr_pbmn", 0),
        base=decimal(row, "stck_sdpr", 0.0), upper=decimal(row, "stck_mxpr", 0.0), lower=decimal(row, "stck_llam", 0.0),
        tick=decimal(row, "aspr_unit", 0.0), listed_shares=whole(row, "lstn_stcn", 0), status=status,
        halted=status == "58" or flag(row, "temp_stop_yn"), managed=_marked(row, "mang_issu_cls_code"),
        liquidation=flag(row, "sltr_yn"), overheated=flag(row, "short_over_yn"),
        warning=text(row, "mrkt_warn_cls_code", ""), vi=_marked(row, "vi_cls_code"),
    )  # fmt: skip


def _marked(row: Mapping[str, Any], name: str) -> bool:
    """Of a code: whether it says anything but no."""
    return text(row, name, "") not in ("", "0", "00", "N")


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One name of 관심종목(멀티종목) 시세조회."""

    symbol: str
    name: str
    price: float
    change: float
    rate: float
    open: float
    high: float
    low: float
    previous_close: float
    base: float
    upper: float
    lower: float
    volume: int
    value: int
    bid: float
    ask: float
    bid_quantity: int
    ask_quantity: int


def snapshot_of(row: Mapping[str, Any]) -> Snapshot:
    """One row of intstock-multprice."""
    return Snapshot(
        symbol=text(row, "inter_shrn_iscd"), name=text(row, "inter_kor_isnm", ""), price=decimal(row, "inter2_prpr"),
        change=decimal(row, "inter2_prdy_vrss", 0.0), rate=decimal(row, "prdy_ctrt", 0.0),
        open=decimal(row, "inter2_oprc", 0.0), high=decimal(row, "inter2_hgpr", 0.0),
        low=decimal(row, "inter2_lwpr", 0.0), previous_close=decimal(row, "inter2_prdy_clpr", 0.0),
        base=decimal(row, "inter2_sdpr", 0.0), upper=decimal(row, "inter2_mxpr", 0.0),
        lower=decimal(row, "inter2_llam", 0.0), volume=whole(row, "acml_vol"), value=whole(row, "acml_tr_pbmn", 0),
        bid=decimal(row, "inter2_bidp", 0.0), ask=decimal(row, "inter2_askp", 0.0),
        bid_quantity=whole(row, "shnu_rsqn", 0), ask_quantity=whole(row, "seln_rsqn", 0),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """주식현재가 호가/예상체결: ten levels each way, nearest first, empty ones left out."""

    symbol: str
    time: int
    bids: tuple[tuple[float, int], ...]
    asks: tuple[tuple[float, int], ...]
    total_bid: int
    total_ask: int
    expected: float  # the print a running auction would make
    expected_volume: int
    price: float


def book_of(symbol: str, levels: Mapping[str, Any], rest: Mapping[str, Any], today: dt.date) -> Book:
    """output1 and output2 of inquire-asking-price-exp-ccn."""

    def side(letter: str) -> tuple[tuple[float, int], ...]:
        pairs = [
            (decimal(levels, f"{letter}{place}", 0.0), whole(levels, f"{letter}_rsqn{place}", 0))
            for place in range(1, 11)
        ]
        return tuple(pair for pair in pairs if pair[0] > 0.0)

    return Book(
        symbol=symbol, time=moment(today, text(levels, "aspr_acpt_hour")), bids=side("bidp"), asks=side("askp"),
        total_bid=whole(levels, "total_bidp_rsqn", 0), total_ask=whole(levels, "total_askp_rsqn", 0),
        expected=decimal(rest, "antc_cnpr", 0.0), expected_volume=whole(rest, "antc_vol", 0),
        price=decimal(rest, "stck_prpr", 0.0),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Minute:
    """One row of a minute chart. `time` is the label as KIS gives it: the minute's start, 15:30 for the closing print.
    The newest row of a running day is still forming."""

    time: int
    open: float
    high: float
    low: float
    close: float
    volume: int
    value_so_far: int  # won traded since the day began


def minute_label(row: Mapping[str, Any]) -> int:
    """The time of a row of output2 of a minute chart, UTC nanoseconds."""
    return moment(date(row, "stck_bsop_date"), text(row, "stck_cntg_hour"))


def minute_of(row: Mapping[str, Any]) -> Minute:
    """One row of output2 of a minute chart."""
    return Minute(
        time=minute_label(row), open=decimal(row, "stck_oprc"),
        high=decimal(row, "stck_hgpr"), low=decimal(row, "stck_lwpr"), close=decimal(row, "stck_prpr"),
        volume=whole(row, "cntg_vol"), value_so_far=whole(row, "acml_tr_pbmn", 0),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One row of a daily (weekly, monthly, yearly) chart."""

    date: dt.date
    open: float
    high: float
    low: float
    close: float
    volume: int
    value: int
    change: float
    ex_code: str  # 락구분코드: 00 none, 01 rights, 02 dividend, ...
    split_ratio: float  # 분할비율
    restated: bool  # 변경여부: KIS changed this row
    restated_for: str  # 재평가사유코드


def day_row_of(row: Mapping[str, Any]) -> Day:
    """One row of output2 of inquire-daily-itemchartprice."""
    return Day(
        date=date(row, "stck_bsop_date"), open=decimal(row, "stck_oprc"), high=decimal(row, "stck_hgpr"),
        low=decimal(row, "stck_lwpr"), close=decimal(row, "stck_clpr"), volume=whole(row, "acml_vol"),
        value=whole(row, "acml_tr_pbmn", 0), change=decimal(row, "prdy_vrss", 0.0),
        ex_code=text(row, "flng_cls_code", ""), split_ratio=decimal(row, "prtt_rate", 0.0),
        restated=flag(row, "mod_yn"), restated_for=text(row, "revl_issu_reas", ""),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """주식기본조회: what a name is."""

    symbol: str
    isin: str
    name: str
    market: str  # 시장ID코드: STK, KSQ, KNX, ...
    group: str  # 증권그룹ID코드: ST, EF, EN, EW, ...
    listed_shares: int
    face_value: float
    halted: bool
    managed: bool
    previous_close: float
    nxt: bool  # NXT trades it
    nxt_halted: bool


def instrument_of(symbol: str, row: Mapping[str, Any]) -> Instrument:
    """The output of search-stock-info."""
    return Instrument(
        symbol=symbol, isin=text(row, "std_pdno"), name=text(row, "prdt_abrv_name", "") or text(row, "prdt_name", ""),
        market=text(row, "mket_id_cd", ""), group=text(row, "scty_grp_id_cd", ""),
        listed_shares=whole(row, "lstg_stqt", 0), face_value=decimal(row, "papr", 0.0), halted=flag(row, "tr_stop_yn"),
        managed=flag(row, "admn_item_yn"), previous_close=decimal(row, "bfdy_clpr", 0.0),
        nxt=flag(row, "cptt_trad_tr_psbl_yn"), nxt_halted=flag(row, "nxt_tr_stop_yn"),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarDay:
    """국내휴장일조회: one date."""

    date: dt.date
    business: bool
    trading: bool
    open: bool  # orders may be sent
    settlement: bool


def calendar_day_of(row: Mapping[str, Any]) -> CalendarDay:
    """One row of chk-holiday."""
    return CalendarDay(
        date=date(row, "bass_dt"), business=flag(row, "bzdy_yn"), trading=flag(row, "tr_day_yn"),
        open=flag(row, "opnd_yn"), settlement=flag(row, "sttl_day_yn"),
    )  # fmt: skip


def renamed(snapshot: Snapshot, symbol: str) -> Snapshot:
    """The same under our own code."""
    return snapshot if snapshot.symbol == symbol else replace(snapshot, symbol=symbol)
