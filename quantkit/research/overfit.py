"""Is it luck? Statistics of Sharpe ratios, of a record's length and of a search for the best.

Contract: pure. Sharpe ratios are per period, not annualised (a year's ratio over the square root of its periods);
kurtosis is not excess: 3 for a normal distribution. `returns` of several strategies are (T, runs): one row a period,
one column a strategy. The test of each function reproduces a figure that its paper prints, where the paper prints one
that needs no data; where it does not, the docstring says what is reproduced instead. What cannot be computed is a
ConfigError or BadData that names the value, never a NaN.

Sources
    [PSR]  Bailey and Lopez de Prado, "The Sharpe Ratio Efficient Frontier", Journal of Risk 15 (2012)
    [DSR]  Bailey and Lopez de Prado, "The Deflated Sharpe Ratio: Correcting for Selection Bias, Backtest Overfitting,
           and Non-Normality", Journal of Portfolio Management 40 (2014)
    [PBO]  Bailey, Borwein, Lopez de Prado and Zhu, "The Probability of Backtest Overfitting", Journal of Computational
           Finance 20 (2017)
    [RC]   White, "A Reality Check for Data Snooping", Econometrica 68 (2000)
    [SPA]  Hansen, "A Test for Superior Predictive Ability", Journal of Business & Economic Statistics 23 (2005)
    [SB]   Politis and Romano, "The Stationary Bootstrap", Journal of the American Statistical Association 89 (1994)

>>> round(probabilistic_sharpe_ratio(0.458, 24, -2.448, 10.164), 3)        # a fund's two years of months
0.913
"""

from __future__ import annotations

import math
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from quantkit.errors import BadData, ConfigError

if TYPE_CHECKING:
    from statistics import NormalDist

    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = [
    "Cscv",
    "Moments",
    "Spa",
    "cscv",
    "deflated_sharpe_ratio",
    "expected_maximum_sharpe",
    "minimum_track_record_length",
    "moments",
    "probabilistic_sharpe_ratio",
    "probability_of_backtest_overfitting",
    "reality_check",
    "superior_predictive_ability",
]

EULER = 0.57721566490153286061
_CELLS = 2_000_000  # of the tables that CSCV works on at a time: 16 MB each


class Moments(NamedTuple):
    """What the formulas need of a series of returns."""

    sharpe: float  # per period
    observations: int
    skew: float
    kurtosis: float  # 3 for a normal distribution


def moments(returns: ArrayLike) -> Moments:
    """Sharpe ratio per period, length, skew and kurtosis of (T,) simple returns. BadData where they have none."""
    values = np.asarray(returns, np.float64).ravel()
    if len(values) < 3 or not np.isfinite(values).all():
        raise BadData(f"returns: expected 3 or more finite numbers, found {int(np.isfinite(values).sum())}")
    centred = values - values.mean()
    second = float((centred**2).mean())
    if not second > 1e-28 * float(np.abs(values).max()) ** 2:
        raise BadData("returns: they never change, so they have no Sharpe ratio")
    deviation = math.sqrt(second * len(values) / (len(values) - 1))
    third, fourth = float((centred**3).mean()), float((centred**4).mean())
    return Moments(float(values.mean()) / deviation, len(values), third / second**1.5, fourth / second**2)


# --- one record -------------------------------------------------------------------------------------------------------


def probabilistic_sharpe_ratio(
    sharpe: float, observations: float, skew: float = 0.0, kurtosis: float = 3.0, benchmark: float = 0.0
) -> float:
    """Probability that the true Sharpe ratio is above `benchmark`, given the one seen over so many periods [PSR].

    >>> round(probabilistic_sharpe_ratio(0.458, 24), 3)                    # as if its returns were normal
    0.982
    """
    _finite(sharpe=sharpe, benchmark=benchmark)
    if not observations > 1:
        raise ConfigError(f"observations={observations!r}: expected 2 periods or more")
    z = (sharpe - benchmark) * math.sqrt(observations - 1.0) / math.sqrt(_spread(sharpe, skew, kurtosis))
    return _normal().cdf(z)


def minimum_track_record_length(
    sharpe: float, skew: float = 0.0, kurtosis: float = 3.0, benchmark: float = 0.0, confidence: float = 0.95
) -> float:
    """Periods needed before a Sharpe ratio this large says, at this confidence, that the true one is above
    `benchmark` [PSR]. Infinite where it is not above the benchmark itself.

    >>> daily = 252 ** -0.5
    >>> round(minimum_track_record_length(2 * daily, benchmark=1 * daily) / 252, 2)     # years of days
    2.73
    """
    _finite(sharpe=sharpe, benchmark=benchmark)
    if not 0.5 < confidence < 1.0:
        raise ConfigError(f"confidence={confidence!r}: expected a number above 0.5 and below 1, such as 0.95")
    if sharpe <= benchmark:
        return math.inf
    return 1.0 + _spread(sharpe, skew, kurtosis) * (_normal().inv_cdf(confidence) / (sharpe - benchmark)) ** 2


# --- the best of many -------------------------------------------------------------------------------------------------


def expected_maximum_sharpe(trials: float, trial_variance: float) -> float:
    """Sharpe ratio to expect of the best of `trials` independent strategies that all earn nothing, where their
    ratios per period vary by `trial_variance`; 0 for a single one [DSR].

    >>> round(expected_maximum_sharpe(100, 0.5 / 250) * 250 ** 0.5, 2)     # the paper's example, a year's ratio
    1.79
    """
    if not trials >= 1 or math.isinf(trials):
        raise ConfigError(f"trials={trials!r}: expected how many were tried, 1 or more")
    if not trial_variance >= 0.0 or math.isinf(trial_variance):
        raise ConfigError(f"trial_variance={trial_variance!r}: expected the variance of the trials' Sharpe ratios")
    if trials == 1:
        return 0.0
    inverse = _normal().inv_cdf
    best = (1.0 - EULER) * inverse(1.0 - 1.0 / trials) + EULER * inverse(1.0 - 1.0 / (trials * math.e))
    return math.sqrt(trial_variance) * max(best, 0.0)  # below 1.3 trials the approximation falls under 0


def deflated_sharpe_ratio(
    sharpe: float, observations: float, skew: float, kurtosis: float, trials: float, trial_variance: float
) -> float:
    """Probability that the true Sharpe ratio is above 0, given that the one seen is the best of `trials` [DSR].

    It is the probabilistic Sharpe ratio against what luck alone would have given: `expected_maximum_sharpe`. Trials
    that resemble each other count for fewer than they are; all of them is the cautious number.

    >>> year = 250 ** 0.5
    >>> round(deflated_sharpe_ratio(2.5 / year, 1250, -3.0, 10.0, 100, 0.5 / 250), 4)
    0.9004
    """
    luck = expected_maximum_sharpe(trials, trial_variance)
    return probabilistic_sharpe_ratio(sharpe, observations, skew, kurtosis, luck)


class Cscv(NamedTuple):
    """What combinatorially symmetric cross-validation found; one entry a way of halving the time."""

    pbo: float  # share of the halvings whose best strategy was no better than the middle one in the other half
    logits: Floats  # of its rank there; below 0: worse than the middle
    in_sample: Floats  # its Sharpe ratio per period where it was chosen
    out_of_sample: Floats  # and in the other half
    slope: float  # of the line of out-of-sample on in-sample ratios
    loss: float  # share of the halvings in which it lost money in the other half


def cscv(returns: ArrayLike, splits: int = 16) -> Cscv:
    """Combinatorially symmetric cross-validation of (T, runs) returns [PBO].

        1. cut the time into `splits` blocks, of one length to a row
        2. of every half of the blocks: the strategy with the best Sharpe ratio there
        3. its rank among all in the other half, as a logit

    A strategy without variation in a half counts with a Sharpe ratio of 0 there; equal ones share their ranks.
    The paper's own examples need its data; the tests hold what it says of them: 12,870 halvings for 16 blocks, a
    probability of 1 where all strategies earn exactly nothing over the whole time (what one half gained the other
    lost), about 1/2 for noise and about 0 where one strategy is truly better.
    """
    values = _matrix(returns)
    if isinstance(splits, bool) or int(splits) != splits or splits < 2 or splits % 2:
        raise ConfigError(f"splits={splits!r}: expected an even number of blocks, such as 16")
    if len(values) < 2 * splits:
        raise ConfigError(
            f"splits={splits}: {len(values)} periods are too few; give 2 a block, so {2 * splits} or more"
        )
    halves = np.array(list(combinations(range(int(splits)), int(splits) // 2)), np.int64)
    blocks = _Blocks(values, int(splits))
    step = max(1, _CELLS // values.shape[1])
    parts = [_chosen(blocks, halves[row : row + step]) for row in range(0, len(halves), step)]
    rank, inside, outside = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    logits = np.log(rank / (1.0 - rank))
    spread = inside - inside.mean()
    steep = float(spread @ spread)
    slope = float(spread @ outside) / steep if steep > 0.0 else 0.0
    return Cscv(float((logits <= 0.0).mean()), logits, inside, outside, slope, float((outside < 0.0).mean()))


def probability_of_backtest_overfitting(returns: ArrayLike, splits: int = 16) -> float:
    """Probability that the strategy with the best Sharpe ratio in one half of the time is no better than the middle one
    in the other half: `cscv` of (T, runs) returns, in `splits` blocks [PBO]. Choosing by chance gives 1/2."""
    return cscv(returns, splits).pbo


class _Blocks:
    """Sums of each block, from which the Sharpe ratios of any union of blocks follow."""

    def __init__(self, values: Floats, splits: int) -> None:
        self.middle = values.mean(axis=0)
        centred = values - self.middle
        edges = np.linspace(0, len(values), splits + 1).round().astype(np.int64)[:-1]
        self.sums = np.add.reduceat(centred, edges, axis=0)
        self.squares = np.add.reduceat(centred**2, edges, axis=0)
        self.sizes = np.diff(np.append(edges, len(values))).astype(np.float64)
        self.floor = 1e-24 * (values**2).mean(axis=0)

    def sharpe(self, picked: Floats) -> Floats:
        """(C, runs) ratios over the blocks that each row of `picked` (C, splits), 0 or 1, takes."""
        size = (picked @ self.sizes)[:, None]
        sums = picked @ self.sums
        variance = (picked @ self.squares - sums**2 / size) / (size - 1.0)
        still = variance <= self.floor
        ratio: Floats = np.where(still, 0.0, self.middle + sums / size) / np.sqrt(np.where(still, 1.0, variance))
        return ratio


def _chosen(blocks: _Blocks, halves: NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
    """Of each half: the best strategy's relative rank in the other half, and its ratio in both."""
    picked = np.zeros((len(halves), len(blocks.sizes)))
    np.put_along_axis(picked, halves, 1.0, axis=1)
    inside, outside = blocks.sharpe(picked), blocks.sharpe(1.0 - picked)
    rows, best = np.arange(len(halves)), inside.argmax(axis=1)
    own = outside[rows, best][:, None]
    below, same = (outside < own).sum(axis=1), (outside == own).sum(axis=1)
    rank = (below + (same + 1.0) / 2.0) / (outside.shape[1] + 1.0)
    return rank, inside[rows, best], own[:, 0]


class Spa(NamedTuple):
    """p-values of the test for superior predictive ability."""

    lower: float  # strategies worse than the benchmark are left out of what luck may do
    consistent: float  # the test's own: only those that are clearly worse are left out
    upper: float  # none is left out, as in the reality check


def reality_check(
    returns: ArrayLike, benchmark: ArrayLike = 0.0, *, block: float | None = None, reps: int = 1000, seed: int = 0
) -> float:
    """White's reality check [RC]: the probability that the best of (T, runs) strategies would beat the benchmark by as
    much as it did if none were better than it. Compares mean returns, by stationary bootstrap [SB].

    benchmark   (T,) returns, or one number for all periods
    block       mean length of the bootstrap's blocks in periods; default the square root of T
    reps, seed  of the bootstrap

    The bootstrap is `arch`'s. The paper's figures need its data; the tests hold what the test is for: uniform p-values
    where no strategy is better, small ones where one is.
    """
    better = _matrix(returns) - _column(benchmark, returns)
    return float(_bootstrapped(better, block, reps, seed).upper)


def superior_predictive_ability(
    returns: ArrayLike, benchmark: ArrayLike = 0.0, *, block: float | None = None, reps: int = 1000, seed: int = 0
) -> Spa:
    """Hansen's test [SPA]: as `reality_check`, each strategy measured by its own standard error, and strategies that
    are clearly worse than the benchmark do not hide a good one.

    The standard errors are those of the stationary bootstrap [SB]; `arch` does the rest. The paper's figures need its
    data; the tests hold its claim: adding many bad strategies spoils the reality check and leaves this test as it was.
    """
    better = _matrix(returns) - _column(benchmark, returns)
    length = _block_length(block, len(better))
    return _bootstrapped(better / np.sqrt(_long_variance(better, length)), block, reps, seed)


def _bootstrapped(better: Floats, block: float | None, reps: int, seed: int) -> Spa:
    """p-values by arch, which takes losses: here the benchmark's are 0, a strategy's what it earned less."""
    try:
        from arch.bootstrap import SPA
    except ImportError:
        raise ConfigError("this test needs the package arch: pip install 'quantkit[research]'") from None
    if isinstance(reps, bool) or int(reps) != reps or reps < 100:
        raise ConfigError(f"reps={reps!r}: expected 100 samples or more")
    length = _block_length(block, len(better))
    test: Any = SPA(np.zeros(len(better)), -better, block_size=length, reps=int(reps), seed=np.random.default_rng(seed))
    test.compute()
    found = test.pvalues
    return Spa(*(float(found[name]) for name in ("lower", "consistent", "upper")))


def _long_variance(values: Floats, length: int) -> Floats:
    """(runs,) variance of the root-T mean under the stationary bootstrap with blocks of this mean length [SB, lemma 1].

    Autocovariances by Fourier transform. A strategy that never differs from the benchmark counts as one of variance 1.
    """
    count = len(values)
    centred = values - values.mean(axis=0)
    lags = np.arange(1, count)
    keep = 1.0 - 1.0 / length
    weight = np.concatenate(([1.0], 2.0 * ((1 - lags / count) * keep**lags + lags / count * keep ** (count - lags))))
    found = np.empty(values.shape[1])
    step = max(1, _CELLS // (2 * count))
    for at in range(0, values.shape[1], step):
        part = np.fft.rfft(centred[:, at : at + step], 2 * count, axis=0)
        covariance = np.fft.irfft(part.real**2 + part.imag**2, 2 * count, axis=0)[:count] / count
        found[at : at + step] = weight @ covariance
    return np.where(found > 1e-24 * (values**2).mean(axis=0), found, 1.0)


# --- checks -----------------------------------------------------------------------------------------------------------


def _normal() -> NormalDist:
    from statistics import NormalDist

    return NormalDist()


def _spread(sharpe: float, skew: float, kurtosis: float) -> float:
    """Variance of a Sharpe ratio's estimate times its number of observations [PSR]."""
    _finite(skew=skew, kurtosis=kurtosis)
    if kurtosis < skew * skew + 1.0 - 1e-9:
        raise ConfigError(
            f"kurtosis={kurtosis!r} with skew={skew!r}: no distribution has these; kurtosis is not excess (normal: 3) "
            f"and here at least {skew * skew + 1.0:g}"
        )
    return max(1.0 - skew * sharpe + (kurtosis - 1.0) / 4.0 * sharpe * sharpe, 1e-12)


def _finite(**given: float) -> None:
    for name, value in given.items():
        if not math.isfinite(value):
            raise ConfigError(f"{name}={value!r}: expected a finite number")


def _matrix(returns: ArrayLike) -> Floats:
    values = np.asarray(returns, np.float64)
    if values.ndim != 2 or values.shape[1] < 2 or not len(values):
        raise BadData(f"returns have shape {values.shape}; expected (periods, strategies) with 2 strategies or more")
    if not np.isfinite(values).all():
        row, column = (int(place[0]) for place in np.nonzero(~np.isfinite(values)))
        raise BadData(f"returns[{row}, {column}] is {values[row, column]}; every strategy needs a return each period")
    return values


def _column(benchmark: ArrayLike, returns: ArrayLike) -> Floats:
    """(T, 1) returns of the benchmark."""
    count = len(np.asarray(returns))
    values = np.asarray(benchmark, np.float64)
    if values.ndim > 1 or (values.ndim == 1 and len(values) != count) or not np.isfinite(values).all():
        raise BadData(f"benchmark has shape {values.shape}; expected a number, or {count} finite returns")
    return np.broadcast_to(values, (count,))[:, None]


def _block_length(block: float | None, count: int) -> int:
    if block is None:
        return max(2, int(math.sqrt(count)))
    if not 1 <= block <= count:
        raise ConfigError(f"block={block!r}: expected a length from 1 to {count} periods")
    return round(block)
