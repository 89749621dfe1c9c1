"""What a fill costs: commission schedules, sale tax, slippage. Pure data with two small calculations.

Contract: frozen values, checked when built. Rates are fractions of the traded value; amounts are minor units (won;
cents for US names). Commission is due on both sides, tax on sales only. Both are cut down, never rounded up: tax to one
minor unit, commission to a multiple of `truncate_to`.
`core` reads the numbers; `to_dict` puts them into a manifest and `from_dict` reads them back.

Sources of the schedules: the brokers' published online rates, which include the fees of the exchange and its bodies
(KIS BanKIS; Kiwoom online, whose API samples cut the commission to 10 won). Not confirmed, and assumed: KIS cuts to
1 won; both cut once for an order's fills of a day (`per="order_day"`), which never charges less than fill by fill.

Impact: an order moves the price by impact x price x sqrt(quantity / volume of the bar), the square-root law of Almgren,
Thum, Hauptmann and Li, "Direct estimation of equity market impact", Risk 18 (2005), and Toth et al., "Anomalous price
impact and the critical nature of liquidity in financial markets", Physical Review X 1 (2011). The factor is about the
name's daily volatility: 0.02 moves the price 1 % where an order is a quarter of the volume.

>>> Costs.kiwoom().commission_on(1_234_567, market="KOSPI")
180
>>> Costs.free().commission_on(1_234_567)
0
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
import numpy.typing as npt

from quantkit.errors import ConfigError
from quantkit.market import MARKET_ID, MARKETS

DEFAULT = "default"
PER = ("fill", "order_day")
HIGHEST_RATE = 0.1
"""A commission or tax above a tenth of the value is a percentage typed as a fraction, not a rate."""

DIVIDEND_TAX: dict[str, float] = {DEFAULT: 0.154, "US": 0.15, "NONE": 0.0}
"""Withheld from cash dividends by market: in Korea 14 % income tax and a tenth of it for the municipality, since 2005
(before, more); from US names 15 % by treaty, to which Korea adds nothing. General knowledge, not checked at the source.
"""

_NOT_KOREAN: dict[str, float] = {"US": 0.0, "NONE": 0.0}


def _refuse(name: str, value: object, wanted: str) -> ConfigError:
    return ConfigError(f"Costs({name}={value!r}): expected {wanted}")


def _number(name: str, value: object, high: float = math.inf) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise _refuse(name, value, "a number")
    if not 0.0 <= value <= high or math.isinf(value):
        raise _refuse(
            name, value, "a number from 0" if math.isinf(high) else f"a rate from 0 to {high:g} (1 % is 0.01)"
        )
    return float(value)


def _whole(name: str, value: object, low: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < low:
        raise _refuse(name, value, f"a whole number from {low}")
    return int(value)


def cut(amount: float, unit: int = 1) -> int:
    """`amount` cut down to a multiple of `unit`, as the compiled account cuts it.

    Binary rounding is not a loss: a product that falls short of a whole number by less than a millionth is that number.
    """
    return math.floor((amount + 1e-6) / unit) * unit


@dataclass(frozen=True, slots=True)
class Costs:
    """Costs of a fill.

    commission      rate of value, each side; or rates by market name, with "default" for the markets not named
    minimum         least commission of a fill, `fixed` included, minor units
    truncate_to     commission is cut down to a multiple of this many minor units
    tax             None: the market's own sale tax by trade date; a number replaces it on every date and market
    slippage_ticks  ticks lost on each fill, against the trader
    slippage_bps    basis points of the price lost on each fill, against the trader
    fixed           minor units added to every fill's commission, before the cut
    per             what a commission is worked out on: each "fill", or one order's fills of a session together
                    ("order_day": a later fill is charged what it adds)
    interest        a year, on positive settled cash, for the calendar days between sessions (a year has 365)
    borrow          a year, on the value of short positions at the last close, likewise
    dividend_tax    withheld from cash dividends; None: the market's own, see `DIVIDEND_TAX`
    impact          fraction of the price lost by an order as large as its bar's volume; falls with the square root

    ConfigError names the field that is out of range.
    """

    commission: float | Mapping[str, float]
    minimum: int = 0
    truncate_to: int = 1
    tax: float | None = None
    slippage_ticks: float = 0.0
    slippage_bps: float = 0.0
    fixed: float = 0.0
    per: Literal["fill", "order_day"] = "fill"
    impact: float = 0.0
    interest: float = 0.0
    borrow: float = 0.0
    dividend_tax: float | None = None

    def __post_init__(self) -> None:
        commission: float | dict[str, float]
        if isinstance(self.commission, Mapping):
            commission = {}
            for name, rate in self.commission.items():
                if name != DEFAULT and name not in MARKET_ID:
                    raise _refuse("commission", name, f"markets among {', '.join(MARKETS)} or {DEFAULT!r}")
                commission[name] = _number(f"commission[{name}]", rate, HIGHEST_RATE)
            missing = [name for name in MARKETS if name not in commission]
            if missing and DEFAULT not in commission:
                raise _refuse("commission", self.commission, f"a {DEFAULT!r} rate, or one for {', '.join(missing)}")
        else:
            commission = _number("commission", self.commission, HIGHEST_RATE)
        checked = {
            "commission": commission,
            "minimum": _whole("minimum", self.minimum, 0),
            "truncate_to": _whole("truncate_to", self.truncate_to, 1),
            "tax": None if self.tax is None else _number("tax", self.tax, HIGHEST_RATE),
            "slippage_ticks": _number("slippage_ticks", self.slippage_ticks),
            "slippage_bps": _number("slippage_bps", self.slippage_bps, 10_000.0),
            "fixed": _number("fixed", self.fixed),
            "impact": _number("impact", self.impact, 10.0),
            "interest": _number("interest", self.interest, 1.0),
            "borrow": _number("borrow", self.borrow, 10.0),
            "dividend_tax": None if self.dividend_tax is None else _number("dividend_tax", self.dividend_tax, 1.0),
        }
        if self.per not in PER:
            raise _refuse("per", self.per, f"one of {', '.join(PER)}")
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @classmethod
    def kis(cls) -> Costs:
        """한국투자증권 BanKIS, online: 0.0140527 %, ETF and ETN 0.0146527 %, ELW 0.01498527 % (its page, undated). US
        names are free of commission here."""
        rates = {DEFAULT: 0.000140527, "ETF": 0.000146527, "ETN": 0.000146527, "ELW": 0.0001498527, **_NOT_KOREAN}
        return cls(rates, per="order_day")

    @classmethod
    def kiwoom(cls) -> Costs:
        """키움증권, online: 0.015 %, cut to 10 won. US names are free of commission here."""
        return cls({DEFAULT: 0.00015, **_NOT_KOREAN}, truncate_to=10, per="order_day")

    @classmethod
    def free(cls) -> Costs:
        """No commission, no tax, not on dividends either, no slippage."""
        return cls(0.0, tax=0.0, dividend_tax=0.0)

    def rate(self, market: str) -> float:
        """Commission rate of one market. ConfigError when the market is not known."""
        if market not in MARKET_ID:
            raise _refuse("commission", market, f"a market among {', '.join(MARKETS)}")
        if isinstance(self.commission, Mapping):
            return self.commission.get(market, self.commission.get(DEFAULT, 0.0))
        return self.commission

    def rates(self) -> npt.NDArray[np.float64]:
        """Commission rates by market id: (M,) float64."""
        return np.array([self.rate(name) for name in MARKETS])

    def dividend_tax_rates(self) -> npt.NDArray[np.float64]:
        """Rates withheld from cash dividends by market id: (M,) float64."""
        own = [DIVIDEND_TAX.get(name, DIVIDEND_TAX[DEFAULT]) for name in MARKETS]
        return np.array(own if self.dividend_tax is None else [self.dividend_tax] * len(MARKETS))

    def commission_on(self, value: float, *, market: str = "KOSPI") -> int:
        """Commission on one fill (or one order's day) of `value` minor units, in minor units; on nothing, nothing."""
        if not value > 0:
            return 0
        return cut(max(value * self.rate(market) + self.fixed, self.minimum), self.truncate_to)

    def tax_on(self, value: float, *, market_rate: float) -> int:
        """Tax on one sale of `value` minor units where the market's own rate is `market_rate`, in minor units."""
        return cut(value * (market_rate if self.tax is None else self.tax))

    def to_dict(self) -> dict[str, object]:
        """The fields as plain numbers and dictionaries, for JSON."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        if isinstance(self.commission, Mapping):
            values["commission"] = dict(self.commission)
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> Costs:
        """The inverse of `to_dict`. ConfigError names a key that is no field, or a field that is out of range."""
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown or "commission" not in values:
            raise ConfigError(
                f"Costs.from_dict: expected keys among {sorted(known)} with commission, got {sorted(values)}"
            )
        return cls(**values)  # type: ignore[arg-type]  # every value is checked in __post_init__
