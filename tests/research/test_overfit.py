"""Statistics of luck: figures printed in their papers, and the laws they obey."""

from __future__ import annotations

import math
from math import comb

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from quantkit.errors import BadData, ConfigError
from quantkit.research import overfit

YEAR = 250**0.5  # the deflated Sharpe ratio's paper counts 250 days


# --- figures of the papers ------------------------------------------------------------------------------------------


def test_psr_of_the_papers_fund_falls_with_its_skew_and_tails() -> None:
    """Bailey and Lopez de Prado 2012: 24 months, 0.458 a month; 0.982 if normal, 0.913 with its own moments."""
    assert overfit.probabilistic_sharpe_ratio(0.458, 24) == pytest.approx(0.982, abs=5e-4)
    assert overfit.probabilistic_sharpe_ratio(0.458, 24, -2.448, 10.164) == pytest.approx(0.913, abs=5e-4)


@pytest.mark.parametrize(("periods", "years"), [(252, 2.73), (52, 2.83), (12, 3.24)])
def test_track_record_to_tell_two_from_one(periods: int, years: float) -> None:
    """Same paper: years of days, weeks and months before a yearly ratio of 2 is above 1 at 95 %."""
    scale = periods**-0.5
    needed = overfit.minimum_track_record_length(2 * scale, benchmark=1 * scale)
    assert needed / periods == pytest.approx(years, abs=5e-3)


def test_dsr_of_the_papers_example() -> None:
    """Bailey and Lopez de Prado 2014: 2.5 a year over 1,250 days, skew -3, kurtosis 10, 100 trials, variance 1/2."""
    moments = (2.5 / YEAR, 1250, -3.0, 10.0)
    assert overfit.expected_maximum_sharpe(100, 0.5 / 250) == pytest.approx(0.1132, abs=5e-5)
    assert overfit.deflated_sharpe_ratio(*moments, 100, 0.5 / 250) == pytest.approx(0.9004, abs=5e-5)
    assert overfit.deflated_sharpe_ratio(*moments, 46, 0.5 / 250) == pytest.approx(0.9505, abs=5e-5)
    normal = overfit.deflated_sharpe_ratio(2.5 / YEAR, 1250, 0.0, 3.0, 88, 0.5 / 250)
    assert normal == pytest.approx(0.9505, abs=5e-5)


def test_sixteen_blocks_have_12870_halves() -> None:
    """Bailey et al. 2017: every half of 16 blocks, each with the other half as its test."""
    found = overfit.cscv(np.random.default_rng(1).normal(size=(320, 5)), 16)
    assert len(found.logits) == comb(16, 8) == 12_870


def test_where_all_earn_exactly_nothing_the_best_half_is_always_lost_again() -> None:
    """Bailey et al. 2017, overfit by construction: strategies of mean 0 over the whole time. The probability is 1."""
    random = np.random.default_rng(765)
    returns = random.normal(0.0, 0.01, (2400, 100))
    returns -= returns.mean(axis=0)
    found = overfit.cscv(returns, 8)
    assert found.pbo == 1.0
    assert found.loss == 1.0
    assert found.slope == pytest.approx(-1.0, abs=0.05)


def test_noise_is_a_coin_flip() -> None:
    """Same paper: what is chosen among strategies without merit is as often above as below the middle elsewhere."""
    found = [
        overfit.probability_of_backtest_overfitting(np.random.default_rng(seed).normal(size=(240, 20)), 8)
        for seed in range(60)
    ]
    assert np.mean(found) == pytest.approx(0.5, abs=0.06)


def test_a_strategy_that_is_better_is_found_in_every_half() -> None:
    returns = np.random.default_rng(3).normal(0.0, 0.01, (1000, 30))
    returns[:, 11] += 0.004
    found = overfit.cscv(returns)
    assert found.pbo < 0.01
    assert found.loss == 0.0


def test_cscv_by_hand() -> None:
    """Two blocks, three strategies, in plain Python."""
    returns = np.array([[2.0, 1.0, -1.0], [4.0, -2.0, 1.0], [-1.0, 3.0, 1.0], [-3.0, 4.0, 2.0]])
    found = overfit.cscv(returns, 2)
    ratios = [part.mean(axis=0) / part.std(axis=0, ddof=1) for part in (returns[:2], returns[2:])]
    ranks = []
    for here, there in ((0, 1), (1, 0)):
        best = int(ratios[here].argmax())
        ranks.append(sum(ratios[there] <= ratios[there][best]) / 4.0)
    assert found.logits == pytest.approx([math.log(rank / (1 - rank)) for rank in ranks])
    assert found.pbo == np.mean([rank <= 0.5 for rank in ranks])


# --- the bootstrap tests --------------------------------------------------------------------------------------------


def test_bad_strategies_spoil_the_reality_check_and_not_hansens_test() -> None:
    """Hansen 2005: what the test is for."""
    random = np.random.default_rng(5)
    good = random.normal(0.0, 0.01, (400, 2)) + np.array([0.0013, 0.0])
    bad = random.normal(-0.01, 0.05, (400, 40))
    alone_rc, alone = overfit.reality_check(good, reps=400), overfit.superior_predictive_ability(good, reps=400)
    many = np.hstack([good, bad])
    spoiled_rc, kept = overfit.reality_check(many, reps=400), overfit.superior_predictive_ability(many, reps=400)
    assert alone_rc < 0.05
    assert spoiled_rc > 0.5
    assert alone.consistent < 0.05
    assert kept.consistent < 0.05
    assert kept.lower <= kept.consistent <= kept.upper


def test_p_values_of_noise_are_about_uniform() -> None:
    """White 2000: under no merit the test rejects as often as it says."""
    found = [
        overfit.reality_check(np.random.default_rng(seed).normal(size=(150, 4)), reps=200, block=2, seed=seed)
        for seed in range(80)
    ]
    assert np.mean(found) == pytest.approx(0.5, abs=0.1)
    assert np.mean(np.array(found) < 0.2) == pytest.approx(0.2, abs=0.12)


def test_the_standard_errors_are_those_of_the_bootstrap() -> None:
    """Politis and Romano 1994: the closed form against a million drawn blocks' worth of means."""
    from arch.bootstrap import StationaryBootstrap

    values = np.cumsum(np.random.default_rng(2).normal(size=(300, 1)), axis=0)[::3] * 0.1
    drawn = StationaryBootstrap(5, values, seed=np.random.default_rng(1)).apply(lambda x: x.mean(axis=0), reps=4000)
    assert overfit._long_variance(values, 5)[0] == pytest.approx(len(values) * drawn.var(), rel=0.1)


def test_the_same_seed_gives_the_same_p_value_and_a_benchmark_is_taken_off() -> None:
    returns = np.random.default_rng(9).normal(0.001, 0.01, (200, 3))
    assert overfit.reality_check(returns, seed=4) == overfit.reality_check(returns, seed=4)
    against = overfit.reality_check(returns, returns[:, 0] + 0.002)
    assert against > overfit.reality_check(returns)


# --- laws -----------------------------------------------------------------------------------------------------------

ratios = st.floats(-0.5, 0.5)
lengths = st.integers(2, 5000)
skews = st.floats(-3.0, 3.0)
tails = st.floats(0.0, 20.0)
variances = st.floats(0.0, 0.05)


@given(ratios, lengths, skews, tails, st.integers(1, 10**7), variances)
def test_deflating_never_adds(
    sharpe: float, length: int, skew: float, over: float, trials: int, variance: float
) -> None:
    kurtosis = skew * skew + 1.0 + over
    plain = overfit.probabilistic_sharpe_ratio(sharpe, length, skew, kurtosis)
    deflated = overfit.deflated_sharpe_ratio(sharpe, length, skew, kurtosis, trials, variance)
    assert 0.0 <= deflated <= plain <= 1.0
    assert overfit.deflated_sharpe_ratio(sharpe, length, skew, kurtosis, 1, variance) == plain


@given(ratios, lengths, st.integers(1, 10**6), st.integers(1, 10**6), variances)
def test_more_trials_never_help(sharpe: float, length: int, trials: int, more: int, variance: float) -> None:
    few = overfit.deflated_sharpe_ratio(sharpe, length, 0.0, 3.0, trials, variance)
    assert overfit.deflated_sharpe_ratio(sharpe, length, 0.0, 3.0, trials + more, variance) <= few + 1e-12


@given(st.floats(0.01, 0.5), skews, tails, st.floats(0.0, 0.4), st.floats(0.55, 0.99))
def test_a_record_of_the_needed_length_has_the_confidence_asked_for(
    sharpe: float, skew: float, over: float, part: float, confidence: float
) -> None:
    kurtosis, benchmark = skew * skew + 1.0 + over, part * sharpe
    needed = overfit.minimum_track_record_length(sharpe, skew, kurtosis, benchmark, confidence)
    assume(needed > 1.0)
    found = overfit.probabilistic_sharpe_ratio(sharpe, needed, skew, kurtosis, benchmark)
    assert found == pytest.approx(confidence, abs=1e-6)


@settings(deadline=None, max_examples=25)
@given(st.integers(2, 8), st.integers(1, 5), st.integers(2, 12), st.integers(0, 10**6))
def test_halves_are_symmetric(pairs: int, each: int, strategies: int, seed: int) -> None:
    splits = 2 * min(pairs, 4)
    returns = np.random.default_rng(seed).normal(size=(splits * (each + 1), strategies))
    found = overfit.cscv(returns, splits)
    assert 0.0 <= found.pbo <= 1.0
    assert len(found.logits) == comb(splits, splits // 2)
    mirrored = overfit.cscv(returns[::-1], splits)  # time's order within and of the blocks does not matter
    assert mirrored.pbo == pytest.approx(found.pbo)
    scaled = overfit.cscv(returns * 7.0, splits)
    assert scaled.pbo == pytest.approx(found.pbo)


def test_moments_are_those_of_scipy() -> None:
    from scipy import stats

    returns = np.random.default_rng(1).standard_t(5, 500) * 0.01
    found = overfit.moments(returns)
    assert found.sharpe == pytest.approx(returns.mean() / returns.std(ddof=1))
    assert found.skew == pytest.approx(stats.skew(returns))
    assert found.kurtosis == pytest.approx(stats.kurtosis(returns, fisher=False))
    assert found.observations == 500


# --- what is refused ------------------------------------------------------------------------------------------------


def test_what_cannot_be_computed_says_so() -> None:
    noise = np.random.default_rng(1).normal(size=(64, 3))
    hole = noise.copy()
    hole[5, 1] = np.nan
    cases = [
        (lambda: overfit.probabilistic_sharpe_ratio(math.nan, 10), ConfigError, "sharpe=nan"),
        (lambda: overfit.probabilistic_sharpe_ratio(0.1, 1), ConfigError, "observations=1"),
        (lambda: overfit.probabilistic_sharpe_ratio(0.1, 10, 0.0, 0.0), ConfigError, "kurtosis is not excess"),
        (lambda: overfit.deflated_sharpe_ratio(0.1, 10, 0.0, 3.0, 0, 0.1), ConfigError, "trials=0"),
        (lambda: overfit.expected_maximum_sharpe(10, math.nan), ConfigError, "trial_variance=nan"),
        (lambda: overfit.minimum_track_record_length(0.1, confidence=95), ConfigError, "confidence=95"),
        (lambda: overfit.cscv(noise, 7), ConfigError, "splits=7"),
        (lambda: overfit.cscv(noise, 34), ConfigError, "64 periods are too few"),
        (lambda: overfit.cscv(noise[:, :1], 4), BadData, "2 strategies or more"),
        (lambda: overfit.cscv(hole, 4), BadData, r"returns\[5, 1\] is nan"),
        (lambda: overfit.reality_check(noise, [1.0]), BadData, "64 finite returns"),
        (lambda: overfit.reality_check(noise, block=100), ConfigError, "block=100"),
        (lambda: overfit.reality_check(noise, reps=5), ConfigError, "reps=5"),
        (lambda: overfit.moments([0.1, 0.1, 0.1]), BadData, "never change"),
        (lambda: overfit.moments([0.1]), BadData, "3 or more"),
    ]
    for call, error, words in cases:
        with pytest.raises(error, match=words):
            call()
    assert overfit.minimum_track_record_length(0.1, benchmark=0.1) == math.inf


def test_strategies_that_never_trade_count_with_a_ratio_of_nothing() -> None:
    returns = np.random.default_rng(1).normal(0.001, 0.01, (64, 3))
    returns[:, 1] = 0.0
    found = overfit.cscv(returns, 8)
    assert np.isfinite(found.in_sample).all()
    assert np.isfinite(found.out_of_sample).all()
