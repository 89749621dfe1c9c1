"""How the market functions are called: one value or many, and what comes back.

Contract: types, the reading of numbers, and the return of one value as one value. A decorator here changes nothing at
run time; it tells the type checker that plain arguments give a float and arrays give an array.
Used by `krx` and `us`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast, overload

import numpy as np

from quantkit.errors import BadData

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    import pandas as pd

    from quantkit.market.days import Date, Dates
    from quantkit.market.rules import FloatArray

Number: TypeAlias = float | int | np.floating | np.integer
Numbers: TypeAlias = "list[float] | list[int] | npt.NDArray[Any] | pd.Series[Any]"
Labels: TypeAlias = "list[str] | npt.NDArray[Any] | pd.Series[Any]"


class PriceRule(Protocol):
    """(price, date, market) -> price."""

    @overload
    def __call__(self, price: Number, date: Date, market: str = ...) -> float: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, price: Number | Numbers, date: Date | Dates, market: str | Labels = ...) -> FloatArray: ...


class LimitRule(Protocol):
    """(base, date, market, leverage) -> (lower, upper)."""

    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, base: Number, date: Date, market: str = ..., *, leverage: Number = ...
    ) -> tuple[float, float]: ...
    @overload
    def __call__(
        self,
        base: Number | Numbers,
        date: Date | Dates,
        market: str | Labels = ...,
        *,
        leverage: Number | Numbers = ...,
    ) -> tuple[FloatArray, FloatArray]: ...


class BandRule(Protocol):
    """(offer, date, market) -> (lowest, highest)."""

    @overload
    def __call__(self, offer: Number, date: Date, market: str = ...) -> tuple[float, float]: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(
        self, offer: Number | Numbers, date: Date | Dates, market: str | Labels = ...
    ) -> tuple[FloatArray, FloatArray]: ...


class RateRule(Protocol):
    """(date, market) -> rate."""

    @overload
    def __call__(self, date: Date, market: str = ...) -> float: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, date: Date | Dates, market: str | Labels = ...) -> FloatArray: ...


class RatePartsRule(Protocol):
    """(date, market) -> two rates."""

    @overload
    def __call__(self, date: Date, market: str = ...) -> tuple[float, float]: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, date: Date | Dates, market: str | Labels = ...) -> tuple[FloatArray, FloatArray]: ...


def price_rule(function: Callable[..., float | FloatArray]) -> PriceRule:
    return cast("PriceRule", function)


def limit_rule(function: Callable[..., tuple[float | FloatArray, float | FloatArray]]) -> LimitRule:
    return cast("LimitRule", function)


def band_rule(function: Callable[..., tuple[float | FloatArray, float | FloatArray]]) -> BandRule:
    return cast("BandRule", function)


def rate_rule(function: Callable[..., float | FloatArray]) -> RateRule:
    return cast("RateRule", function)


def rate_parts_rule(function: Callable[..., tuple[float | FloatArray, float | FloatArray]]) -> RatePartsRule:
    return cast("RatePartsRule", function)


def numbers(name: str, values: Number | Numbers) -> FloatArray:
    """`values` as float64, or BadData that names them."""
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise BadData(f"{name}={values!r:.60}: expected a number or an array of numbers") from error


def plain(values: FloatArray) -> float | FloatArray:
    """A float for one value, the array for many."""
    return float(values) if np.ndim(values) == 0 else np.asarray(values)
