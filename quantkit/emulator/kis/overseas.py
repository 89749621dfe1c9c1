"""Overseas stocks (해외주식) as KIS quotes them: the last price, days and minutes, where there are bars of them.

Contract: prices have four decimals (`zdiv` "4"), dates are New York's, rows come newest first. A page of days has at
most 100 rows up to BYMD; the next one begins before its oldest. A page of minutes has at most NREC (120) rows up to
KEYB, YYYYMMDDHHMMSS of New York; with NEXT blank it is the newest; `next` and `more` are "1" where older rows follow. A
symbol that is not known gets blanks and rt_cd 0, as at KIS. Panels are those of `bars`, asked for by length.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import numpy as np

from quantkit.data.bars import TRADED
from quantkit.data.stamps import step_us
from quantkit.emulator.kis.envelope import Answer, Business, digits, signed
from quantkit.market.days import SEOUL

if TYPE_CHECKING:
    from collections.abc import Callable

    from quantkit.data.bars import Bars

PRICE, DAYS, MINUTES = "HHDFS00000300", "HHDFS76240000", "HHDFS76950200"
EXCHANGES: Final = ("NAS", "NYS", "AMS", "BAQ", "BAY", "BAA", "HKS", "SHS", "SZS", "TSE", "HNX", "HSX")
AT_ONCE: Final = {DAYS: 100, MINUTES: 120}
_NEW_YORK = ZoneInfo("America/New_York")
_SECOND_US = 1_000_000


def _money(value: float) -> str:
    return f"{value:.4f}"


class Overseas:
    """Quotes of names that another exchange trades. bars: panels by length, such as "1d"; None: there are none."""

    def __init__(self, bars: Callable[[str], Bars | None] | None) -> None:
        self._bars = bars
        self._panels: dict[str, Bars | None] = {}

    def answer(self, tr: str, given: dict[str, str]) -> Answer | None:
        """The answer to one of the three services; None: it is another one."""
        if tr not in (PRICE, DAYS, MINUTES):
            return None
        if given.get("EXCD", "") not in EXCHANGES:
            raise Business("OPSQ2001", "ERROR : INPUT FIELD NOT FOUND [EXCD]")
        kind = {PRICE: self._price, DAYS: self._days, MINUTES: self._minutes}[tr]
        return kind(given)

    def _column(self, freq: str, symbol: str) -> tuple[Bars, int] | None:
        if freq not in self._panels:
            self._panels[freq] = None if self._bars is None else self._bars(freq)
        bars = self._panels[freq]
        return None if bars is None or symbol not in bars.symbols else (bars, bars.symbols.index(symbol))

    def _price(self, given: dict[str, str]) -> Answer:
        """The last close there is."""
        names = ("rsym", "zdiv", "base", "pvol", "last", "sign", "diff", "rate", "tvol", "tamt", "ordy")
        rows = self._daily(given)[-2:]
        if not rows:
            return Answer({"output": dict.fromkeys(names, "")})
        last, base = rows[-1], rows[0]["clos"]
        told = {
            "rsym": _key(given), "zdiv": "4", "base": base, "pvol": rows[0]["tvol"], "last": last["clos"],
            "sign": last["sign"], "diff": last["diff"], "rate": last["rate"], "tvol": last["tvol"],
            "tamt": last["tamt"], "ordy": "매수불가",
        }  # fmt: skip
        return Answer({"output": told})

    def _daily(self, given: dict[str, str]) -> list[dict[str, str]]:
        found = self._column("1d", given.get("SYMB", ""))
        if found is None:
            return []
        bars, column = found
        rows: list[dict[str, str]] = []
        before = 0.0
        for row in np.flatnonzero((bars.flags[:, column] & TRADED) != 0).tolist():
            opened, high, low, close, shares = (
                float(bars.field(name)[row, column]) for name in ("open", "high", "low", "close", "volume")
            )
            change = close - before if before else 0.0
            rows.append({
                "xymd": np.datetime64(int(bars.days[row]), "D").item().strftime("%Y%m%d"), "clos": _money(close),
                "sign": signed(change), "diff": _money(abs(change)),
                "rate": f"{change / before * 100 if before else 0.0:+.2f}", "open": _money(opened),
                "high": _money(high), "low": _money(low), "tvol": f"{shares:.0f}", "tamt": f"{close * shares:.0f}",
                "pbid": _money(close), "vbid": "0", "pask": _money(close), "vask": "0",
            })  # fmt: skip
            before = close
        return rows

    def _days(self, given: dict[str, str]) -> Answer:
        if given.get("GUBN") != "0":
            raise Business("OPSQ2001", "ERROR : INPUT FIELD NOT FOUND [GUBN]")  # days only: bars of weeks are not made
        until = given.get("BYMD", "").strip() or "99999999"
        rows = [row for row in self._daily(given) if row["xymd"] <= until][-AT_ONCE[DAYS] :][::-1]
        return Answer({"output1": {"rsym": _key(given), "zdiv": "4", "nrec": str(len(rows))}, "output2": rows})

    def _minutes(self, given: dict[str, str]) -> Answer:
        many = given.get("NREC", "")
        if not digits(many) or not digits(given.get("NMIN", "")):
            raise Business("OPSQ2002", "ERROR : INPUT FIELD NREC, NMIN")
        found = self._column(f"{int(given['NMIN'])}m", given.get("SYMB", ""))
        rows = [] if found is None else self._rows(*found)
        if given.get("NEXT", "").strip() == "1":
            rows = [row for row in rows if row["xymd"] + row["xhms"] <= given.get("KEYB", "").strip()]
        page = rows[-min(int(many), AT_ONCE[MINUTES]) :][::-1]
        more = "1" if len(page) < len(rows) else "0"
        head = {
            "rsym": _key(given), "zdiv": "4", "stim": "093000", "etim": "160000", "sktm": "233000", "ektm": "060000",
            "next": more, "more": more, "nrec": str(len(page)),
        }  # fmt: skip
        return Answer({"output1": head, "output2": page})

    def _rows(self, bars: Bars, column: int) -> list[dict[str, str]]:
        """All minutes, oldest first, labelled with their start."""
        rows = []
        for row in np.flatnonzero((bars.flags[:, column] & TRADED) != 0).tolist():
            begun = (int(bars.times[row]) - step_us(bars.freq)) // _SECOND_US
            there, here = (dt.datetime.fromtimestamp(begun, zone) for zone in (_NEW_YORK, SEOUL))
            opened, high, low, close, shares = (
                float(bars.field(name)[row, column]) for name in ("open", "high", "low", "close", "volume")
            )
            rows.append({
                "tymd": f"{there:%Y%m%d}", "xymd": f"{there:%Y%m%d}", "xhms": f"{there:%H%M%S}",
                "kymd": f"{here:%Y%m%d}", "khms": f"{here:%H%M%S}", "open": _money(opened), "high": _money(high),
                "low": _money(low), "last": _money(close), "evol": f"{shares:.0f}", "eamt": f"{close * shares:.0f}",
            })  # fmt: skip
        return rows


def _key(given: dict[str, str]) -> str:
    """rsym of a name."""
    return f"{'R' if given['EXCD'].startswith('BA') else 'D'}{given['EXCD']}{given.get('SYMB', '')}"
