"""Alpha and betas: a run's returns explained by those of a benchmark or of factors.

Contract: ordinary least squares in NumPy, r - f = alpha + sum of beta_k x factor_k + rest, one row a session. Standard
errors are those of Newey and West, "A Simple, Positive Semi-definite, Heteroskedasticity and Autocorrelation Consistent
Covariance Matrix", Econometrica 55 (1987), with Bartlett weights over floor(4 (n / 100)^(2/9)) lags (Newey and West,
Review of Economic Studies 61, 1994) unless told; or "plain" ones, which take the rest as independent and of one
variance. Both with n / (n - k). Alpha is given a session and a year (x periods, arithmetic).

Called by `Result.regression`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from quantkit.backtest.figures import session_ends
from quantkit.backtest.wording import number, percent
from quantkit.errors import BadData, ConfigError

if TYPE_CHECKING:
    import pandas as pd

    from quantkit.backtest.result import Result

__all__ = ["Regression", "regress", "regression_of"]

Floats = NDArray[np.float64]
ERRORS = ("newey-west", "plain")
SPARE = 8  # sessions there must be beyond the coefficients


@dataclass(frozen=True, slots=True, eq=False)
class Regression:
    """A fitted line.

    names         "alpha", then the factors; coefficients, deviations (standard errors) and t are (1 + K,) in that order
    r2, adjusted  part of the variance explained; the same, less what so many factors explain by chance
    observations  sessions used;  errors "newey-west" or "plain";  lags of the former
    periods       periods a year
    returns, factors   (n,) the run's excess returns and (n, K) the factors', as used
    """

    names: tuple[str, ...]
    coefficients: Floats
    deviations: Floats
    r2: float
    adjusted: float
    observations: int
    errors: str
    lags: int
    periods: float
    returns: Floats
    factors: Floats

    @property
    def t(self) -> Floats:
        """(1 + K,) coefficients over their standard errors."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.coefficients / self.deviations, np.float64)

    @property
    def alpha(self) -> float:
        """Return a year that the factors do not explain."""
        return float(self.coefficients[0]) * self.periods

    @property
    def betas(self) -> dict[str, float]:
        """Slope of each factor by name."""
        return dict(zip(self.names[1:], self.coefficients[1:].tolist(), strict=True))

    @property
    def method(self) -> str:
        """How the standard errors were made, in words."""
        return f"Newey-West, {self.lags} lags" if self.errors == "newey-west" else "plain standard errors"

    @property
    def frame(self) -> pd.DataFrame:
        """One row a coefficient: coefficient (alpha: a session), error, t."""
        import pandas as pd

        columns = {"coefficient": self.coefficients, "error": self.deviations, "t": self.t}
        return pd.DataFrame(columns, index=pd.Index(self.names, name="name"))

    def __repr__(self) -> str:
        alpha = f"alpha {percent(self.alpha)} a year (t {number(float(self.t[0]))})"
        slopes = [
            f"{name} {number(value)} (t {number(float(t))})"
            for name, value, t in zip(self.names[1:], self.coefficients[1:], self.t[1:], strict=True)
        ]
        said = ", ".join([alpha, *slopes])
        return f"<Regression {said}, R2 {number(self.r2)}, {self.observations:,} sessions, {self.method}>"


def regress(
    returns: Floats, factors: Floats, names: tuple[str, ...], *, periods: float, errors: str = "newey-west",
    lags: int | None = None,
) -> Regression:  # fmt: skip
    """Fit (n,) returns on (n, K) factors, both finite. ConfigError for other errors; BadData with too few sessions, or
    where a factor does not vary or is made of the others."""
    if errors not in ERRORS:
        raise ConfigError(f"regression(errors={errors!r}): choose one of {', '.join(ERRORS)}")
    if lags is not None and (isinstance(lags, bool) or not isinstance(lags, int) or lags < 0):
        raise ConfigError(f"regression(lags={lags!r}): expected a number of sessions, 0 or more")
    size, count = len(returns), factors.shape[1] + 1
    if size < count + SPARE:
        raise BadData(f"regression: {size} sessions in common for {count} coefficients; expected {count + SPARE}")
    spread = factors.std(axis=0)
    flat = np.flatnonzero(~(spread > 1e-14 * np.maximum(np.abs(factors).max(axis=0), 1e-300)))
    if len(flat):
        raise BadData(f"regression: the factor {names[flat[0]]!r} never varies")
    design = np.column_stack((np.ones(size), factors))
    scale = np.concatenate(([1.0], spread))
    if np.linalg.matrix_rank(design / scale) < count:
        raise BadData(f"regression: the factors {', '.join(names)} are sums of one another; leave one out")
    coefficients = np.asarray(np.linalg.lstsq(design, returns, rcond=None)[0], np.float64)
    rest = returns - design @ coefficients
    bread = np.linalg.inv(design.T @ design)
    used = math.floor(4.0 * (size / 100.0) ** (2.0 / 9.0)) if lags is None else lags
    if errors == "plain":
        covariance, used = bread * float(rest @ rest) / (size - count), 0
    else:
        covariance = bread @ _meat(design * rest[:, None], used) @ bread * (size / (size - count))
    total = returns - returns.mean()
    variance = float(total @ total)
    r2 = 1.0 - float(rest @ rest) / variance if variance > 0.0 else math.nan
    return Regression(
        names=("alpha", *names), coefficients=coefficients, deviations=np.sqrt(np.maximum(np.diag(covariance), 0.0)),
        r2=r2, adjusted=1.0 - (1.0 - r2) * (size - 1) / (size - count), observations=size, errors=errors, lags=used,
        periods=periods, returns=returns, factors=factors,
    )  # fmt: skip


def _meat(scores: Floats, lags: int) -> Floats:
    """Sum of the scores' covariances over lags, with weights that fall to 0 behind the last."""
    total = scores.T @ scores
    for lag in range(1, min(lags, len(scores) - 1) + 1):
        moved = scores[lag:].T @ scores[:-lag]
        total = total + (1.0 - lag / (lags + 1.0)) * (moved + moved.T)
    return np.asarray(total, np.float64)


def regression_of(
    result: Result, factors: object = None, *, errors: str = "newey-west", lags: int | None = None
) -> Regression:
    """`Result.regression()`."""
    free = result.risk_free / result.periods
    if factors is None:
        if result.comparison is None:
            raise ConfigError(
                "regression: the run has no benchmark; run it with benchmark=..., or give factor returns, "
                "regression(frame)"
            )
        ours, theirs = result.session_returns, result.comparison.returns(session_ends(result.bars.days))
        return regress(
            ours - free, theirs[:, None] - free, (result.comparison.name,), periods=result.periods,
            errors=errors, lags=lags,
        )  # fmt: skip
    ours, values, names = _joined(result, factors)
    return regress(ours - free, values, names, periods=result.periods, errors=errors, lags=lags)


def _joined(result: Result, factors: object) -> tuple[Floats, Floats, tuple[str, ...]]:
    """The run's returns and the factors' on the days both have."""
    import pandas as pd

    frame: Any = (
        factors.to_frame("factor" if factors.name is None else factors.name)
        if isinstance(factors, pd.Series)
        else factors
    )
    if not isinstance(frame, pd.DataFrame):
        raise ConfigError(
            f"regression(factors={type(factors).__name__}): expected a DataFrame of returns, a row a session and a "
            "column a factor, or a Series"
        )
    if not isinstance(frame.index, pd.DatetimeIndex):
        raise BadData(f"regression: the factors' rows are labelled {frame.index[:2].tolist()}; expected dates")
    numbers = frame.apply(pd.to_numeric, errors="coerce")
    numbers.index = frame.index.tz_localize(None).normalize()
    if numbers.index.has_duplicates:
        raise BadData(
            f"regression: the factors have two rows for {numbers.index[numbers.index.duplicated()][0].date()}"
        )
    typical = numbers.abs().median()
    if (typical > 0.5).any():
        name = typical.idxmax()
        raise BadData(
            f"regression: the factor {str(name)!r} is typically {typical[name]:,.4g}; expected returns as fractions "
            "(0.01 is 1 %): take pct_change() of levels, divide percents by 100"
        )
    returns = result.returns
    days = pd.DatetimeIndex(returns.index).tz_localize(None).normalize()
    numbers = numbers.reindex(days)
    whole = numbers.notna().all(axis=1).to_numpy()
    return (
        result.session_returns[whole],
        np.ascontiguousarray(numbers.to_numpy(dtype=np.float64)[whole]),
        tuple(str(name) for name in numbers.columns),
    )
