"""Every other service of KIS: well-formed answers to all 274, from a table of the wire's facts.

    services.find(method, path, tr, paper)        which one is asked for, or why there is none
    services.answer(service, owner, given, cont)  its answer

Contract: a service that another module replays is not asked for here. Fields carry what the exchange knows of the name
that was asked for (prices, volumes, its daily bars, a ranking of all names by what they traded today) or what an empty
one looks like: "0", "0.00", "00000000", "N", "3", "". Lists with nothing to tell are empty, or have `blanks` rows of
such fields, for those who want to see what a row looks like. Parameters that are missing, or of another account, are
refused. An order for a product that this exchange does not have is refused, never taken.

Codes: EGW00310 unknown, EGW02006 not on paper, OPSQ0002 another path, OPSQ2001 a parameter is missing, APTR0058 the
account, APBK0656 an order.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Final

from quantkit.emulator.kis import codes
from quantkit.emulator.kis.envelope import Answer, Business, Gateway, number, signed
from quantkit.emulator.kis.masters import GROUPS
from quantkit.emulator.kis.quotes import won
from quantkit.emulator.session import day_of, hhmmss
from quantkit.emulator.sources import Warrant
from quantkit.market.days import date_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quantkit.emulator.kis.keys import Customer
    from quantkit.emulator.kis.overseas import Overseas
    from quantkit.emulator.kis.quotes import Quotes, Today
    from quantkit.emulator.kis.trading import Trading

_EMPTY: Final = {"0": "0", "2": "0.00", "d": "00000000", "t": "000000", "y": "N", "s": "3", "": ""}
_NAMES: Final = ("FID_INPUT_ISCD", "PDNO", "SHT_CD", "SYMB", "SRS_CD", "ITEM_CD", "OVRS_FUTR_FX_PDNO")
_CODES: Final = frozenset((
    "stck_shrn_iscd", "mksc_shrn_iscd", "elw_shrn_iscd", "pdno", "shtn_pdno", "shrn_iscd", "iscd", "sht_cd", "symb",
    "srs_cd", "code",
))  # fmt: skip
_TITLES: Final = frozenset(("hts_kor_isnm", "prdt_name", "prdt_abrv_name", "kor_isnm", "isin_name"))
_BY_DAY: Final = frozenset(("stck_bsop_date", "bsop_date"))
DAYS: Final = 30  # of a list by day
RANKED: Final = 30


@dataclass(frozen=True, slots=True)
class Service:
    """One service: its ids, the parameters it needs, width of its keys of paging, and blocks: list or not, fields."""

    method: str
    path: str
    real: tuple[str, ...]
    paper: tuple[str, ...]
    needs: tuple[str, ...]
    width: int
    blocks: Mapping[str, tuple[bool, tuple[str, ...]]]


@functools.cache
def table() -> tuple[tuple[Service, ...], Mapping[str, str]]:
    """All services, and what kind of text each field is."""
    text = resources.files("quantkit.emulator.kis").joinpath("services.json").read_text(encoding="utf-8")
    told = json.loads(text)
    found = tuple(
        Service(
            one["method"], one["path"], tuple(one["real"]), tuple(one["paper"]), tuple(one["needs"]), one["width"],
            {name: (bool(many), tuple(fields.split())) for name, (many, fields) in one["blocks"].items()},
        )
        for one in told["services"]
    )  # fmt: skip
    return found, {name: kind for kind, names in told["kinds"].items() for name in names.split()}


@functools.cache
def _by_id() -> Mapping[str, Service]:
    return {tr: one for one in table()[0] for tr in (*one.real, *one.paper)}


def find(method: str, path: str, tr: str, *, paper: bool) -> Service:
    """The service that a request asks for."""
    service = _by_id().get(tr)
    if service is None:
        raise Gateway("EGW00310")
    if tr not in (service.paper if paper else service.real):
        raise Gateway("EGW02006" if paper else "EGW00310")
    if (method, path) != (service.method, service.path):
        raise Business("OPSQ0002", "ERROR : 없는 서비스 코드 입니다.")
    return service


class Services:
    """Answers of all services in the table. blanks: rows of lists that have none."""

    def __init__(self, quotes: Quotes, trading: Trading, overseas: Overseas, *, blanks: int = 0) -> None:
        self.quotes, self.trading, self.overseas, self.blanks = quotes, trading, overseas, blanks
        self.exchange = quotes.exchange
        self._kinds = table()[1]

    def answer(self, service: Service, owner: Customer, given: dict[str, str]) -> Answer:
        """The answer to a request, or its refusal."""
        for name in service.needs:
            if name not in given:
                raise Business("OPSQ2001", f"ERROR : INPUT FIELD NOT FOUND [{name}]")
        if "CANO" in service.needs:
            self.trading.check_account(owner, given)
        if service.method == "POST":
            raise Business("APBK0656", "해당종목정보가 없습니다.")
        told = self.overseas.answer(service.real[0], given)
        if told is not None:
            return told
        day = self._named(given)
        if day is None and service.path.endswith("/search-stock-info"):
            raise Business("MCA05918", "종목코드 오류입니다.")
        blocks = {
            name: self._rows(service, fields, day, given) if many else self._row(fields, day, given)
            for name, (many, fields) in service.blocks.items()
        }
        if not service.width:
            return Answer(blocks)
        context = {f"ctx_area_{key}{service.width}": " " * service.width for key in ("fk", "nk")}
        return Answer(blocks, "KIOK0510", "조회가 완료되었습니다.", "D", context)

    def _named(self, given: dict[str, str]) -> Today | None:
        """The name of this exchange that is asked for; None: another one, or none."""
        try:
            return self.quotes.of(_asked(given))
        except Business:
            return None

    def _row(self, fields: tuple[str, ...], day: Today | None, given: dict[str, str]) -> dict[str, str]:
        """One row: what an empty one looks like, and what is known beside."""
        row = {name: _EMPTY[self._kinds.get(name, "")] for name in fields}
        known = dict.fromkeys(_CODES, _asked(given)) if day is None else self._facts(day)
        return row | {name: value for name, value in known.items() if name in row}

    def _facts(self, day: Today) -> dict[str, str]:
        """What the exchange knows of a name, under the names that KIS has for it."""
        issue, facts = day.issue, day.issue.facts
        opened, high, low = day.prints.prices
        book = self.exchange.quote(issue.symbol)
        now = hhmmss(self.exchange.now)
        said = {
            **day.versus(), "stck_prpr": number(day.last), "stck_clpr": number(day.last),
            "acml_vol": number(day.prints.volume), "acml_tr_pbmn": number(day.value), "stck_oprc": number(opened),
            "stck_hgpr": number(high), "stck_lwpr": number(low), "stck_mxpr": number(issue.upper),
            "stck_llam": number(issue.lower), "stck_sdpr": number(facts.base),
            "stck_prdy_clpr": number(facts.previous_close), "prdy_clpr": number(facts.previous_close),
            "aspr_unit": number(issue.grid.tick(day.last)), "stck_cntg_hour": now, "bsop_hour": now,
            "askp": number(book.asks[0][0] if book.asks else 0), "bidp": number(book.bids[0][0] if book.bids else 0),
            "stck_bsop_date": f"{date_of(self.exchange.day or 0):%Y%m%d}",
        }  # fmt: skip
        said |= {
            "mket_id_cd": "KSQ" if facts.market == "KOSDAQ" else "STK", "prdt_type_cd": "300",
            "scty_grp_id_cd": GROUPS.get(facts.market, "ST"),
            "excg_dvsn_cd": "03" if facts.market == "KOSDAQ" else "02", "thdt_clpr": number(facts.base),
            "bfdy_clpr": number(facts.previous_close), "tr_stop_yn": "Y" if facts.halted else "N",
        }  # fmt: skip
        if facts.market == "ELW":
            terms = getattr(self.exchange.source, "warrants", {}).get(issue.symbol, Warrant())
            said |= {
                "elw_prpr": number(day.last), "elw_oprc": number(opened), "elw_hgpr": number(high),
                "elw_lwpr": number(low), "elw_sdpr": number(facts.base), "acpr": number(terms.strike or 0, 2),
                "unas_shrn_iscd": next(iter(terms.underlyings), ""),
            }  # fmt: skip
        title = self.quotes.title(issue.symbol)
        return said | dict.fromkeys(_CODES, codes.coded(issue.symbol, facts.market)) | dict.fromkeys(_TITLES, title)

    def _rows(
        self, service: Service, fields: tuple[str, ...], day: Today | None, given: dict[str, str]
    ) -> list[dict[str, str]]:
        """Rows of a list."""
        if day is not None and _BY_DAY & set(fields) and "/trading/" not in service.path:
            return self._by_day(fields, day, given)
        if "/domestic-stock/" in service.path and ("/ranking/" in service.path or service.path.endswith("-rank")):
            return self._ranking(fields, given)
        if day is not None and service.path.endswith("/inquire-elw-price"):
            return [self._row(fields, day, given)]
        return [self._row(fields, day, given) for _ in range(self.blanks)]

    def _by_day(self, fields: tuple[str, ...], day: Today, given: dict[str, str]) -> list[dict[str, str]]:
        """A row a session, newest first."""
        today = self.exchange.day or 0
        blank = self._row(fields, day, given)
        rows, before = [], 0.0
        for bar in self.quotes.daily(day, today - 2 * DAYS, today):
            change = bar.close - before if before else 0.0
            date = f"{date_of(day_of(bar.close_time)):%Y%m%d}"
            told = {
                "stck_clpr": number(bar.close), "stck_prpr": number(bar.close), "stck_oprc": number(bar.open),
                "stck_hgpr": number(bar.high), "stck_lwpr": number(bar.low), "acml_vol": number(bar.volume),
                "acml_tr_pbmn": number(won(bar)), "prdy_vrss": number(change),
                "prdy_vrss_sign": signed(change), "prdy_ctrt": number(change / before * 100 if before else 0.0, 2),
                **dict.fromkeys(_BY_DAY, date),
            }  # fmt: skip
            rows.append(blank | {name: told[name] for name in told if name in fields})
            before = bar.close
        return rows[-DAYS:][::-1]

    def _ranking(self, fields: tuple[str, ...], given: dict[str, str]) -> list[dict[str, str]]:
        """A row a name, what traded most first."""
        days = sorted(
            (self.quotes.of(codes.coded(one.symbol, one.market)) for one in self.exchange.issues.values()),
            key=lambda one: (-one.prints.volume, one.issue.symbol),
        )
        return [
            self._row(fields, day, given) | ({"data_rank": str(place)} if "data_rank" in fields else {})
            for place, day in enumerate(days[:RANKED], 1)
        ]


def _asked(given: dict[str, str]) -> str:
    """The code of the name that is asked for; "" where none is."""
    return next((given[name] for name in _NAMES if given.get(name)), "")
