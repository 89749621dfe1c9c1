"""Figures as people read them: labels, money, percent. Used by the summary, the plots and the report.

>>> percent(0.1234), money(1234567.0, "KRW"), money(-12.5, "USD"), number(float("nan"))
('12.3%', '₩1,234,567', '−$12.50', '–')
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FIGURES", "count", "money", "number", "percent", "price_text", "short_money", "show"]

NOTHING, MINUS = "–", "\N{MINUS SIGN}"


def _signed(text: str) -> str:
    """A true minus sign, and none before a rounded zero."""
    if text.startswith("-"):
        return MINUS + text[1:] if any(digit in text for digit in "123456789") else text[1:]
    return text


def percent(value: float, *, digits: int = 1) -> str:
    """A fraction in percent."""
    return _signed(f"{100.0 * value:,.{digits}f}%") if math.isfinite(value) else NOTHING


def number(value: float, *, digits: int = 2) -> str:
    """A plain number."""
    return _signed(f"{value:,.{digits}f}") if math.isfinite(value) else NOTHING


def count(value: float) -> str:
    """A whole number."""
    return number(value, digits=0)


def money(value: float, currency: str = "KRW") -> str:
    """Money with its sign and currency: whole won, or dollars and cents."""
    if not math.isfinite(value):
        return NOTHING
    sign, digits = ("₩", 0) if currency == "KRW" else ("$", 2)
    text = _signed(f"{value:,.{digits}f}")
    return MINUS + sign + text[1:] if text.startswith(MINUS) else sign + text


def price_text(value: float) -> str:
    """A price as traded: whole, or with the decimals it has (at most two)."""
    return number(value, digits=0 if abs(value - round(value)) < 0.005 else 2)


def short_money(value: float, currency: str = "KRW") -> str:
    """Money on an axis: up to four figures and a unit (T for 1e12, B, M, k)."""
    sign = (MINUS if value < 0.0 else "") + ("₩" if currency == "KRW" else "$")
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{sign}{abs(value) / size:.4g}{unit}"
    return f"{sign}{abs(value):.4g}"


# Name of a figure -> what people call it and how it is written.
FIGURES: dict[str, tuple[str, Callable[[float], str] | None]] = {
    "total_return": ("Total return", percent),
    "cagr": ("Annual growth (CAGR)", percent),
    "volatility": ("Volatility", percent),
    "sharpe": ("Sharpe ratio", number),
    "sortino": ("Sortino ratio", number),
    "calmar": ("Calmar ratio", number),
    "max_drawdown": ("Deepest drawdown", percent),
    "max_drawdown_days": ("Longest drawdown, days", count),
    "best_day": ("Best day", percent),
    "worst_day": ("Worst day", percent),
    "exposure": ("Money invested, mean", percent),
    "time_in_market": ("Time in the market", percent),
    "turnover": ("Turnover a year", percent),
    "proceeds_funded_share": ("Bought with same-bar sales", percent),
    "trades": ("Round trips", count),
    "open_trades": ("Still open", count),
    "win_rate": ("Won", percent),
    "ambiguous_trades": ("Ambiguous within their bar", count),
    "profit_factor": ("Profit factor", number),
    "avg_win": ("Mean win", percent),
    "avg_loss": ("Mean loss", percent),
    "avg_bars_held": ("Bars held, mean", number),
    "final_equity": ("Final equity", None),
    "deposits": ("Paid in later", None),
    "profit": ("Profit", None),
    "commission": ("Commission", None),
    "tax": ("Tax", None),
    "slippage": ("Slippage", None),
    "dividends": ("Dividends", None),
    "dividend_tax": ("Withheld from dividends", None),
    "interest": ("Interest on cash", None),
    "borrow_cost": ("Fees on borrowed shares", None),
    "benchmark_return": ("Benchmark return", percent),
    "excess_return": ("Ahead of the benchmark", percent),
    "alpha": ("Alpha a year", percent),
    "beta": ("Beta", number),
    "tracking_error": ("Tracking error", percent),
    "information_ratio": ("Information ratio", number),
}


def show(name: str, value: float, currency: str = "KRW") -> str:
    """A figure as text; one without a format of its own is money."""
    form = FIGURES[name][1]
    return money(value, currency) if form is None else form(value)
