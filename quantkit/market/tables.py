"""The exchange's dated facts: ticks, price limits, sale taxes. One row a fact, each row with its source.

Contract: data only. A row holds from its day (a trade date in Korea) until the next row for the same market. Before a
market's first row that first row is used, as the oldest rule known: the tick and limit rows are confirmed from 2000 on.
Prices are won (US: dollars), rates are fractions of one.
`rules` turns these rows into arrays; nobody else reads them, except the tests that compare them with the answer files.

Sources: "KOSPI rules" and "KOSDAQ rules" are the Korea Exchange's Business Regulations and their Enforcement Rules (its
own English text, as of April 2026). "observed" means seen in exchange prices of the time. "press" is newspapers and
brokers' notices. "derived" and "general knowledge" mark what no document at hand confirms.
"""

from __future__ import annotations

from typing import Final, NamedTuple

Bands = tuple[tuple[float, float], ...]


class TickRow(NamedTuple):
    """From `since` on, a price at or above a band's lower bound moves in that band's tick."""

    since: str
    markets: tuple[str, ...]
    bands: Bands
    source: str


class LimitRow(NamedTuple):
    """From `since` on, a price stays within `rate` of the base price; None: no limit."""

    since: str
    markets: tuple[str, ...]
    rate: float | None
    source: str


class FirstDayRow(NamedTuple):
    """From `since` on, what moves the prices of a name's first trading day, in place of the daily limit.

    "ordinary": nothing does; "opening": the opening price lies between 90 % and 200 % of the offer price, and the
    limits stand around that opening price; "band": 60 % to 400 % of the offer price all day.
    """

    since: str
    markets: tuple[str, ...]
    rule: str
    source: str


class TaxRow(NamedTuple):
    """From trade date `since` on, a sale pays `securities` (transaction tax) + `rural` (special rural tax).

    The law dates a rate by the transfer, two trading days after the trade: `settles` is that legal date.
    """

    since: str
    settles: str
    market: str
    securities: float
    rural: float
    source: str


BEGINNING: Final = "1956-03-03"
"""The first day of organised trading in Korea: stands for "since ever" where the true start does not matter."""

_KOSPI_2000: Final[Bands] = ((0, 5), (5_000, 10), (10_000, 50), (50_000, 100), (100_000, 500), (500_000, 1_000))
_KOSPI_2010: Final[Bands] = ((0, 1), (1_000, 5), *_KOSPI_2000[1:])
_KOSDAQ_2000: Final[Bands] = ((0, 10), (10_000, 50), (50_000, 100))
_KOSDAQ_2003: Final[Bands] = ((0, 5), (5_000, 10), (10_000, 50), (50_000, 100))
_KOSDAQ_2010: Final[Bands] = ((0, 1), (1_000, 5), *_KOSDAQ_2003[1:])
_STOCK_2023: Final[Bands] = (
    (0, 1), (2_000, 5), (5_000, 10), (20_000, 50), (50_000, 100), (200_000, 500), (500_000, 1_000),
)  # fmt: skip
_FUND_2023: Final[Bands] = ((0, 1), (2_000, 5))
_FIVE: Final[Bands] = ((0, 5),)

TICKS: Final = (
    TickRow(BEGINNING, ("KOSPI",), _KOSPI_2000, "observed from 2000-01-04, every price"),
    TickRow(BEGINNING, ("KOSDAQ", "KONEX"), _KOSDAQ_2000, "observed from 2000-02-11, 99.96 % of prices"),
    TickRow("2003-07-21", ("KOSDAQ", "KONEX"), _KOSDAQ_2003, "observed: the first 5-won price is of that day"),
    TickRow("2010-10-04", ("KOSPI",), _KOSPI_2010, "KOSPI rules 32, addendum of regulation 624; observed"),
    TickRow("2010-10-04", ("KOSDAQ", "KONEX"), _KOSDAQ_2010, "KOSDAQ rules 18; observed, KONEX from 2018"),
    TickRow("2023-01-25", ("KOSPI",), _STOCK_2023, "KOSPI rules 32(2), regulation 2094; observed"),
    TickRow("2023-01-25", ("KOSDAQ", "KONEX"), _STOCK_2023, "KOSDAQ rules 18(2), regulation 2092; observed"),
    TickRow(BEGINNING, ("ETF", "ETN"), _FIVE, "exchange notices of 2022 and 2023; ETFs observed from 2020"),
    TickRow("2023-12-11", ("ETF", "ETN"), _FUND_2023, "KOSPI rules 32(2)2, regulation 2181; ETFs observed"),
    TickRow(BEGINNING, ("ELW",), _FIVE, "KOSPI rules 32(2)3, KRX's page on ELWs; start not confirmed"),
    TickRow(BEGINNING, ("US",), ((0, 0.01),), "cent quotes; before 2001 and below one dollar finer steps existed"),
    TickRow(BEGINNING, ("NONE",), ((0, 0.0),), "no grid"),
)

LIMITS: Final = (
    LimitRow(BEGINNING, ("KOSPI",), 0.15, "observed from 2000-01-04; in force since 1998-12-07 by general knowledge"),
    LimitRow(BEGINNING, ("KOSDAQ",), 0.12, "observed from 2000-02-11: no close beyond 12 % before 2005-03-28"),
    LimitRow("2005-03-28", ("KOSDAQ",), 0.15, "observed: the first closes at 15 % are of that day"),
    LimitRow("2015-06-15", ("KOSPI",), 0.30, "KOSPI rules 20(2), regulation 1185; observed"),
    LimitRow("2015-06-15", ("KOSDAQ",), 0.30, "KOSDAQ rules 14(2); observed"),
    LimitRow(
        BEGINNING,
        ("KONEX",),
        0.15,
        "observed 2018 to 2026: 5,000 bars touch it, only liquidations pass it; before that general knowledge",
    ),
    LimitRow(BEGINNING, ("ETF", "ETN"), 0.15, "general knowledge"),
    LimitRow("2015-06-15", ("ETF", "ETN"), 0.30, "KOSPI rules 20(2): times the multiple, where below 1 counts as 1"),
    LimitRow(BEGINNING, ("ELW",), None, "KOSPI rules 20(1) names stocks, ETFs, ETNs, certificates; KRX's page: none"),
    LimitRow(BEGINNING, ("US", "NONE"), None, "no daily limit"),
)

_RATE_DERIVED: Final = "rate: press; trade date derived from two-day settlement"
TAXES: Final = (
    TaxRow(BEGINNING, "1996-01-01", "KOSPI", 0.0015, 0.0015, "press 2019-04: unchanged since 1996"),
    TaxRow(BEGINNING, "1996-01-01", "KOSDAQ", 0.0030, 0.0, "press 2019-04: unchanged since 1996"),
    TaxRow(BEGINNING, "2013-07-01", "KONEX", 0.0030, 0.0, "press 2019-04; start of the market not confirmed"),
    TaxRow("2019-05-30", "2019-06-03", "KOSPI", 0.0010, 0.0015, "press 2019-05, date confirmed"),
    TaxRow("2019-05-30", "2019-06-03", "KOSDAQ", 0.0025, 0.0, "press 2019-05, date confirmed"),
    TaxRow("2019-05-30", "2019-06-03", "KONEX", 0.0010, 0.0, "press 2019-05, date confirmed"),
    TaxRow("2020-12-29", "2021-01-04", "KOSPI", 0.0008, 0.0015, "press 2020-12-29, date confirmed"),
    TaxRow("2020-12-29", "2021-01-04", "KOSDAQ", 0.0023, 0.0, "press 2020-12-29, date confirmed"),
    TaxRow("2022-12-28", "2023-01-02", "KOSPI", 0.0005, 0.0015, _RATE_DERIVED),
    TaxRow("2022-12-28", "2023-01-02", "KOSDAQ", 0.0020, 0.0, _RATE_DERIVED),
    TaxRow("2023-12-27", "2024-01-02", "KOSPI", 0.0003, 0.0015, _RATE_DERIVED),
    TaxRow("2023-12-27", "2024-01-02", "KOSDAQ", 0.0018, 0.0, _RATE_DERIVED),
    TaxRow("2024-12-27", "2025-01-02", "KOSPI", 0.0, 0.0015, "broker notice 2024-12, date confirmed"),
    TaxRow("2024-12-27", "2025-01-02", "KOSDAQ", 0.0015, 0.0, "broker notice 2024-12, date confirmed"),
    TaxRow("2025-12-29", "2026-01-02", "KOSPI", 0.0005, 0.0015, _RATE_DERIVED),
    TaxRow("2025-12-29", "2026-01-02", "KOSDAQ", 0.0020, 0.0, _RATE_DERIVED),
)
"""ETF, ETN, ELW and US sales are not taxed (general knowledge for ETF, ETN and ELW), so they have no row."""

IPO_BAND_SINCE: Final = "2023-06-26"
"""From this day a first day trades between 60 % and 400 % of the offer price (KOSPI rules 31(3); observed)."""

FIRST_DAY_RULES: Final = ("ordinary", "opening", "band")
FIRST_DAYS: Final = (
    FirstDayRow(BEGINNING, ("KOSPI", "KOSDAQ", "KONEX"), "opening", "general knowledge; KOSPI rules 14 until 2023-04"),
    FirstDayRow(IPO_BAND_SINCE, ("KOSPI", "KOSDAQ"), "band", "KOSPI rules 31(3); observed"),
)
"""Funds begin like any day, around the base that the exchange names. KONEX's own band is wider and left out."""

MID_PRICE_SINCE: Final = "2025-03-04"
"""From this day mid-price orders print between ticks (KOSPI rules 4-2; observed): bars may leave the grid."""

LOT_SIZES: Final = {"ELW": 10}
"""Shares in a lot, where not 1, on every day (KOSPI rules 33, KOSDAQ rules 18; KRX's page on ELWs says ten, too). KOSPI
lots of 10, to 2014-06-01, are left out."""
