"""Prices as KIS serves them: snapshots, books, charts, holidays.

Contract: each function answers one service of the quotation services of domestic stocks, newest row first, with the
published caps on rows (30 ticks, 30 minutes of today or 120 of the past, 100 days). A minute's row is labelled with its
start; the closing call prints at 153000. Figures that an exchange of prices does not have (ratios of the business,
foreigners' holdings) are "0", as unknown.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from quantkit.emulator.candles import candles
from quantkit.emulator.kis import codes
from quantkit.emulator.kis.envelope import Answer, Business, day_asked, digits, number, signed
from quantkit.emulator.prints import candle_of
from quantkit.emulator.session import DAY, SECOND, day_of, hhmmss, midnight, session_clock
from quantkit.errors import BadData
from quantkit.market.calendar import is_session
from quantkit.market.days import date_of
from quantkit.market.krx import lot_size
from quantkit.trading.ports import Candle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quantkit.emulator.exchange import Exchange
    from quantkit.emulator.issue import Issue
    from quantkit.emulator.prints import Prints

MINUTE: Final = 60 * SECOND
YEAR: Final = 366  # days that minutes are kept for
_OF_A_PRICE: Final = (
    "iscd_stat_cls_code", "marg_rate", "rprs_mrkt_kor_name", "new_hgpr_lwpr_cls_code", "bstp_kor_isnm",
    "temp_stop_yn", "oprc_rang_cont_yn", "clpr_rang_cont_yn", "crdt_able_yn", "grmn_rate_cls_code", "elw_pblc_yn",
    "stck_prpr", "prdy_vrss", "prdy_vrss_sign", "prdy_ctrt", "acml_tr_pbmn", "acml_vol", "prdy_vrss_vol_rate",
    "stck_oprc", "stck_hgpr", "stck_lwpr", "stck_mxpr", "stck_llam", "stck_sdpr", "wghn_avrg_stck_prc",
    "hts_frgn_ehrt", "frgn_ntby_qty", "pgtr_ntby_qty", "pvt_scnd_dmrs_prc", "pvt_frst_dmrs_prc", "pvt_pont_val",
    "pvt_frst_dmsp_prc", "pvt_scnd_dmsp_prc", "dmrs_val", "dmsp_val", "cpfn", "rstc_wdth_prc", "stck_fcam",
    "stck_sspr", "aspr_unit", "hts_deal_qty_unit_val", "lstn_stcn", "hts_avls", "per", "pbr", "stac_month",
    "vol_tnrt", "eps", "bps", "d250_hgpr", "d250_hgpr_date", "d250_hgpr_vrss_prpr_rate", "d250_lwpr",
    "d250_lwpr_date", "d250_lwpr_vrss_prpr_rate", "stck_dryy_hgpr", "dryy_hgpr_vrss_prpr_rate", "dryy_hgpr_date",
    "stck_dryy_lwpr", "dryy_lwpr_vrss_prpr_rate", "dryy_lwpr_date", "w52_hgpr", "w52_hgpr_vrss_prpr_ctrt",
    "w52_hgpr_date", "w52_lwpr", "w52_lwpr_vrss_prpr_ctrt", "w52_lwpr_date", "whol_loan_rmnd_rate", "ssts_yn",
    "stck_shrn_iscd", "fcam_cnnm", "cpfn_cnnm", "apprch_rate", "frgn_hldn_qty", "vi_cls_code", "ovtm_vi_cls_code",
    "last_ssts_cntg_qty", "invt_caful_yn", "mrkt_warn_cls_code", "short_over_yn", "sltr_yn", "mang_issu_cls_code",
)  # fmt: skip
_YES_NO: Final = frozenset(name for name in _OF_A_PRICE if name.endswith("_yn"))
_DATES: Final = frozenset(name for name in _OF_A_PRICE if name.endswith("_date"))


@dataclass(slots=True)
class Today:
    """What a name did so far."""

    issue: Issue
    prints: Prints

    @property
    def last(self) -> float:
        return self.prints.trades[-1][1] if self.prints.trades else self.issue.facts.previous_close

    @property
    def value(self) -> int:
        return round(self.prints.value)

    @property
    def change(self) -> float:
        return self.last - self.issue.facts.base if self.prints.trades else 0.0

    @property
    def sign(self) -> str:
        """1 and 4: at the limits."""
        if self.prints.trades and self.last >= self.issue.upper:
            return "1"
        if self.prints.trades and self.last <= self.issue.lower:
            return "4"
        return signed(self.change)

    @property
    def rate(self) -> str:
        return number(self.change / self.issue.facts.base * 100, 2)

    def versus(self) -> dict[str, str]:
        """How far from yesterday."""
        return {"prdy_vrss": number(self.change), "prdy_vrss_sign": self.sign, "prdy_ctrt": self.rate}


class Quotes:
    """The quotation services."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange

    def today(self, given: dict[str, str]) -> Today:
        """The name that a request asks for. Business where there is none."""
        market = given.get("FID_COND_MRKT_DIV_CODE", "J")
        if market not in codes.MARKETS:
            raise Business("OPSQ2001", "ERROR : INPUT FIELD NOT FOUND [FID_COND_MRKT_DIV_CODE]")
        return self.of(given.get("FID_INPUT_ISCD", ""), market)

    def of(self, code: str, market: str | None = None) -> Today:
        """A name's day, by its code."""
        issue = codes.find(self.exchange.issues, code, market)
        if issue is None:
            raise Business("MCA05918", "종목코드 오류입니다.")
        return Today(issue, issue.traded())

    def title(self, symbol: str) -> str:
        """A name's name; its code where nobody said it."""
        bars = getattr(self.exchange.source, "bars", None)
        return symbol if bars is None else str(bars.names.get(symbol, symbol))

    # --- snapshots -----------------------------------------------------------------------------------------------

    def price(self, given: dict[str, str]) -> Answer:
        """inquire-price: every field there is."""
        day = self.today(given)
        issue, facts = day.issue, day.issue.facts
        opened, high, low = day.prints.prices
        rows = dict.fromkeys(_OF_A_PRICE, "0")
        rows |= dict.fromkeys(_YES_NO, "N") | dict.fromkeys(_DATES, f"{date_of(self.exchange.day or 0):%Y%m%d}")
        rows |= day.versus() | {
            "iscd_stat_cls_code": "58" if facts.halted else "51" if facts.liquidation else "55", "marg_rate": "100.00",
            "rprs_mrkt_kor_name": {"KOSPI": "KOSPI", "KOSDAQ": "KOSDAQ"}.get(facts.market, facts.market),
            "bstp_kor_isnm": "", "temp_stop_yn": "Y" if facts.halted else "N", "stck_prpr": number(day.last),
            "acml_tr_pbmn": number(day.value), "acml_vol": number(day.prints.volume), "stck_oprc": number(opened),
            "stck_hgpr": number(high), "stck_lwpr": number(low), "stck_mxpr": number(issue.upper),
            "stck_llam": number(issue.lower), "stck_sdpr": number(facts.base),
            "wghn_avrg_stck_prc": number(day.value / day.prints.volume if day.prints.volume else 0, 2),
            "aspr_unit": number(issue.grid.tick(day.last)), "hts_deal_qty_unit_val": str(lot_size(facts.market)),
            "stck_shrn_iscd": facts.symbol, "vi_cls_code": "Y" if issue.phase == "vi_auction" else "N",
            "ovtm_vi_cls_code": "N",
            "mrkt_warn_cls_code": "00", "sltr_yn": "Y" if facts.liquidation else "N", "stac_month": "12",
            "mang_issu_cls_code": "N", "fcam_cnnm": "", "cpfn_cnnm": "", "new_hgpr_lwpr_cls_code": "",
        }  # fmt: skip
        return Answer({"output": rows})

    def several(self, given: dict[str, str]) -> Answer:
        """intstock-multprice: up to 30 names."""
        rows = []
        for k in range(1, 31):
            code = given.get(f"FID_INPUT_ISCD_{k}", "")
            if not code:
                continue
            day = self.of(code, given.get(f"FID_COND_MRKT_DIV_CODE_{k}", "J"))
            opened, high, low = day.prints.prices
            book = self.exchange.quote(day.issue.symbol)
            rows.append({
                "prdy_vrss_sign": day.sign, "prdy_ctrt": day.rate,
                "kospi_kosdaq_cls_name": day.issue.facts.market, "mrkt_trtm_cls_name": "",
                "hour_cls_code": "0", "inter_shrn_iscd": code, "inter_kor_isnm": day.issue.symbol,
                "inter2_prpr": number(day.last), "inter2_prdy_vrss": number(day.change),
                "acml_vol": number(day.prints.volume), "inter2_oprc": number(opened),
                "inter2_hgpr": number(high), "inter2_lwpr": number(low),
                "inter2_llam": number(day.issue.lower), "inter2_mxpr": number(day.issue.upper),
                "inter2_askp": number(book.asks[0][0] if book.asks else 0),
                "inter2_bidp": number(book.bids[0][0] if book.bids else 0),
                "seln_rsqn": number(book.asks[0][1] if book.asks else 0),
                "shnu_rsqn": number(book.bids[0][1] if book.bids else 0),
                "total_askp_rsqn": number(sum(q for _, q in book.asks)),
                "total_bidp_rsqn": number(sum(q for _, q in book.bids)), "acml_tr_pbmn": number(day.value),
                "inter2_prdy_clpr": number(day.issue.facts.previous_close), "oprc_vrss_hgpr_rate": "0",
                "intr_antc_cntg_vrss": "0", "intr_antc_cntg_vrss_sign": "3", "intr_antc_cntg_prdy_ctrt": "0",
                "intr_antc_vol": "0", "inter2_sdpr": number(day.issue.facts.base),
            })  # fmt: skip
        return Answer({"output": rows})

    def book(self, given: dict[str, str]) -> Answer:
        """inquire-asking-price-exp-ccn."""
        day = self.today(given)
        book = self.exchange.quote(day.issue.symbol, levels=10)
        opened, high, low = day.prints.prices
        first: dict[str, str] = {"aspr_acpt_hour": hhmmss(self.exchange.now)}
        for side, levels in (("ask", book.asks), ("bid", book.bids)):
            for k in range(10):
                price, shares = levels[k] if k < len(levels) else (0.0, 0)
                first[f"{side}p{k + 1}"] = number(price)
                first[f"{side}p_rsqn{k + 1}"] = number(shares)
                first[f"{side}p_rsqn_icdc{k + 1}"] = "0"
        asks, bids = sum(q for _, q in book.asks), sum(q for _, q in book.bids)
        first |= {"total_askp_rsqn": number(asks), "total_bidp_rsqn": number(bids)}
        first["ntby_aspr_rsqn"] = number(bids - asks)
        first |= dict.fromkeys(
            ("total_askp_rsqn_icdc", "total_bidp_rsqn_icdc", "ovtm_total_askp_icdc", "ovtm_total_bidp_icdc",
             "ovtm_total_askp_rsqn", "ovtm_total_bidp_rsqn"), "0",
        )  # fmt: skip
        first["new_mkop_cls_code"] = "20" if day.issue.phase == "continuous" else "10"
        expected = book.expected or 0.0
        change = expected - day.issue.facts.base if expected else 0.0
        second = {
            "antc_mkop_cls_code": "311", "stck_prpr": number(day.last), "stck_oprc": number(opened),
            "stck_hgpr": number(high), "stck_lwpr": number(low), "stck_sdpr": number(day.issue.facts.base),
            "antc_cnpr": number(expected), "antc_cntg_vrss_sign": signed(change), "antc_cntg_vrss": number(abs(change)),
            "antc_cntg_prdy_ctrt": number(change / day.issue.facts.base * 100, 2), "antc_vol": "0",
            "stck_shrn_iscd": day.issue.symbol, "vi_cls_code": "Y" if day.issue.phase == "vi_auction" else "N",
        }  # fmt: skip
        return Answer({"output1": first, "output2": second})

    def ticks(self, given: dict[str, str]) -> Answer:
        """inquire-ccnl: the last 30 trades."""
        day = self.today(given)
        rows = []
        for time, price, shares in reversed(day.prints.trades[-30:]):
            change = price - day.issue.facts.base
            rows.append({
                "stck_cntg_hour": hhmmss(time), "stck_prpr": number(price), "prdy_vrss": number(change),
                "prdy_vrss_sign": signed(change), "cntg_vol": number(shares), "tday_rltv": "100.00",
                "prdy_ctrt": number(change / day.issue.facts.base * 100, 2),
            })  # fmt: skip
        return Answer({"output": rows})

    # --- charts --------------------------------------------------------------------------------------------------

    def _head(self, day: Today) -> dict[str, str]:
        return {
            **day.versus(), "stck_prdy_clpr": number(day.issue.facts.previous_close), "stck_prpr": number(day.last),
            "acml_vol": number(day.prints.volume), "acml_tr_pbmn": number(day.value),
            "hts_kor_isnm": self.title(day.issue.symbol),
        }  # fmt: skip

    def minutes(self, given: dict[str, str], *, past: bool = False) -> Answer:
        """inquire-time-itemchartprice, and inquire-time-dailychartprice for days of the year before."""
        day = self.today(given)
        date = _epoch(given.get("FID_INPUT_DATE_1", "")) if past else self.exchange.day or 0
        hour = given.get("FID_INPUT_HOUR_1", "").ljust(6, "0")
        if not digits(hour) or len(hour) != 6:
            raise Business("OPSQ2002", "ERROR : INPUT FIELD FID_INPUT_HOUR_1")
        asked = midnight(date) + (int(hour[:2]) * 3600 + int(hour[2:4]) * 60 + int(hour[4:])) * SECOND
        found: list[Candle] = []
        cap = 120 if past else 30
        for span in (0,) if given.get("FID_PW_DATA_INCU_YN", "N") == "N" else (0, 10, 60, YEAR):
            since = midnight(max(date - span, (self.exchange.day or 0) - YEAR))
            found = candles(self.exchange, day.issue.symbol, "1m", since, asked + MINUTE)
            if found and _label(found[-1]) > asked:  # the closing print
                found.pop()
            if len(found) >= cap:
                break
        forming = None if past else self._forming(day, asked + MINUTE)
        found += [forming] if forming else []
        labelled = [(_label(candle), candle) for candle in found] + ([] if past else self._to_come(day, asked, cap))
        totals: defaultdict[int, float] = defaultdict(float)  # of each day so far
        for begun, candle in labelled[:-cap]:
            totals[day_of(begun)] += won(candle)
        rows = []
        for begun, candle in labelled[-cap:]:
            on = day_of(begun)
            totals[on] += won(candle)
            rows.append({
                "stck_bsop_date": f"{date_of(on):%Y%m%d}", "stck_cntg_hour": hhmmss(begun),
                "stck_prpr": number(candle.close), "stck_oprc": number(candle.open), "stck_hgpr": number(candle.high),
                "stck_lwpr": number(candle.low), "cntg_vol": number(candle.volume), "acml_tr_pbmn": number(totals[on]),
            })  # fmt: skip
        return Answer({"output1": self._head(day), "output2": rows[::-1]})

    def _forming(self, day: Today, until: int) -> Candle | None:
        """The minute that is on."""
        begun = self.exchange.now // MINUTE * MINUTE
        trades = day.prints.trades
        inside = trades[bisect_left(trades, (begun,)) :]
        if not inside or begun + MINUTE > until:
            return None
        return candle_of(day.issue.symbol, begun + MINUTE, inside)

    def _to_come(self, day: Today, until: int, most: int) -> list[tuple[int, Candle]]:
        """Minutes that have not begun, with their labels: who asks for a later hour is shown the price of now."""
        next_one = (self.exchange.now // MINUTE + 1) * MINUTE
        begun = range(max(next_one, until // MINUTE * MINUTE - (most - 1) * MINUTE), until + 1, MINUTE)
        return [(at, Candle(day.issue.symbol, at + MINUTE, *(day.last,) * 4, 0, 0.0)) for at in begun]

    def daily(self, day: Today, since: int, until: int) -> list[Candle]:
        """Daily bars, today's as it stands now."""
        found = candles(self.exchange, day.issue.symbol, "1d", midnight(since), midnight(until) + DAY)
        today = self.exchange.day or 0
        if day.prints.trades and since <= today <= until and (not found or day_of(found[-1].close_time) != today):
            opened, high, low = day.prints.prices
            now = self.exchange.now
            found.append(Candle(day.issue.symbol, now, opened, high, low, day.last, day.prints.volume, day.value))
        return found

    def days(self, given: dict[str, str]) -> Answer:
        """inquire-daily-itemchartprice: at most the newest 100 of the range."""
        day = self.today(given)
        since, until = _epoch(given.get("FID_INPUT_DATE_1", "")), _epoch(given.get("FID_INPUT_DATE_2", ""))
        period = given.get("FID_PERIOD_DIV_CODE", "")
        if period not in ("D", "W", "M", "Y"):
            raise Business("OPSQ2001", "ERROR : INPUT FIELD NOT FOUND [FID_PERIOD_DIV_CODE]")
        bars = _together(self.daily(day, since, until), period)
        factors = self._factors(day, bars, raw=given.get("FID_ORG_ADJ_PRC", "0") == "1")
        rows = []
        for place, bar in enumerate(bars):
            before = bars[place - 1].close * factors[place - 1] if place else 0.0
            factor = factors[place]
            change = bar.close * factor - before if place else 0.0
            rows.append({
                "stck_bsop_date": f"{date_of(day_of(bar.close_time)):%Y%m%d}", "stck_clpr": number(bar.close * factor),
                "stck_oprc": number(bar.open * factor), "stck_hgpr": number(bar.high * factor),
                "stck_lwpr": number(bar.low * factor), "acml_vol": number(bar.volume / factor),
                "acml_tr_pbmn": number(won(bar)), "flng_cls_code": "00",
                "prtt_rate": "0.00", "mod_yn": "Y" if factor != 1.0 else "N", "prdy_vrss_sign": signed(change),
                "prdy_vrss": number(change), "revl_issu_reas": "",
            })  # fmt: skip
        opened, high, low = day.prints.prices
        head = {
            **self._head(day), "stck_shrn_iscd": day.issue.symbol, "prdy_vol": "0",
            "stck_mxpr": number(day.issue.upper), "stck_llam": number(day.issue.lower), "stck_oprc": number(opened),
            "stck_hgpr": number(high), "stck_lwpr": number(low), "stck_prdy_oprc": "0", "stck_prdy_hgpr": "0",
            "stck_prdy_lwpr": "0", "askp": "0", "bidp": "0", "prdy_vrss_vol": "0", "vol_tnrt": "0.00",
            "stck_fcam": "0", "lstn_stcn": "0", "cpfn": "0", "hts_avls": "0", "per": "0.00", "eps": "0.00",
            "pbr": "0.00", "itewhol_loan_rmnd_ratem": "0.00",
        }  # fmt: skip
        return Answer({"output1": head, "output2": rows[-100:][::-1]})

    def _factors(self, day: Today, bars: Sequence[Candle], *, raw: bool) -> list[float]:
        """What prices of each bar are multiplied with, so that they stand beside today's."""
        found = [1.0] * len(bars)
        table = getattr(getattr(self.exchange.source, "bars", None), "actions", None)
        if raw or table is None:
            return found
        for row in table[table["symbol"] == day.issue.symbol]:
            for place, bar in enumerate(bars):
                if day_of(bar.close_time) < row["ex_day"] <= (self.exchange.day or 0):
                    found[place] /= float(row["price_factor"])
        return found

    def recent(self, given: dict[str, str]) -> Answer:
        """inquire-daily-price: 30 days."""
        today = self.exchange.day or 0
        span = {"FID_INPUT_DATE_1": f"{date_of(today - 60):%Y%m%d}", "FID_INPUT_DATE_2": f"{date_of(today):%Y%m%d}"}
        rows = self.days({"FID_PERIOD_DIV_CODE": "D", **given, **span}).blocks["output2"][:30]
        names = ("stck_bsop_date", "stck_oprc", "stck_hgpr", "stck_lwpr", "stck_clpr", "acml_vol", "prdy_vrss",
                 "prdy_vrss_sign", "flng_cls_code")  # fmt: skip
        more = ("prdy_vrss_vol_rate", "prdy_ctrt", "hts_frgn_ehrt", "frgn_ntby_qty", "acml_prtt_rate")
        return Answer({"output": [{**{n: row[n] for n in names}, **dict.fromkeys(more, "0")} for row in rows]})

    # --- what else is known --------------------------------------------------------------------------------------

    def holidays(self, given: dict[str, str]) -> Answer:
        """chk-holiday: 24 days from a date on."""
        begun = _epoch(given.get("BASS_DT", ""))
        try:
            open_ = [is_session(date_of(day)) for day in range(begun, begun + 24)]
        except (BadData, OverflowError):
            raise Business("OPSQ2002", "ERROR : INPUT FIELD BASS_DT") from None
        rows = []
        for day, session in enumerate(open_, begun):
            date, opened = date_of(day), "Y" if session else "N"
            rows.append({
                "bass_dt": f"{date:%Y%m%d}", "wday_dvsn_cd": f"{date.isoweekday() % 7 + 1:02d}", "bzdy_yn": opened,
                "tr_day_yn": opened, "opnd_yn": opened, "sttl_day_yn": opened,
            })  # fmt: skip
        context = {"ctx_area_nk": "".ljust(20), "ctx_area_fk": (given.get("BASS_DT", "")).ljust(20)}
        return Answer({"output": rows}, "KIOK0510", "조회가 완료되었습니다.", "D", context)


def _label(candle: Candle) -> int:
    """The moment that a minute's row is labelled with: its start, of the one that closes the session its end."""
    ends = candle.close_time
    return ends if ends == session_clock(day_of(ends)).close else ends - MINUTE


def won(candle: Candle) -> float:
    """What a bar traded, near enough where nobody kept it."""
    return candle.close * candle.volume if candle.value is None else candle.value


def _together(bars: Sequence[Candle], period: str) -> list[Candle]:
    """Weeks, months or years of daily bars, dated with their last day."""
    if period == "D":
        return list(bars)

    def key(bar: Candle) -> tuple[int, ...]:
        date = date_of(day_of(bar.close_time))
        return date.isocalendar()[:2] if period == "W" else (date.year, date.month) if period == "M" else (date.year,)

    groups: dict[tuple[int, ...], list[Candle]] = {}
    for bar in bars:
        groups.setdefault(key(bar), []).append(bar)
    return [
        Candle(each[0].symbol, each[-1].close_time, each[0].open, max(b.high for b in each), min(b.low for b in each),
            each[-1].close, sum(b.volume for b in each), sum(map(won, each)))
        for each in groups.values()
    ]  # fmt: skip


def _epoch(said: str) -> int:
    return day_asked(said, f"DATE {said!r}")
