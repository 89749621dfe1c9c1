"""`quantkit.check`: planted biases are found and named, clean strategies pass, and the report says what was done."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import quantkit as qk
from quantkit import BadData, Bars, ConfigError, Strategy, ta
from quantkit.research.checking.report import CheckReport
from quantkit.strategy import load_strategy
from tests.backtest.factories import random_bars
from tests.research.biases import clean, planted
from tests.research.biases.panel import minutes, panel

CUTS = 60
FOLDER = Path(__file__).parents[2] / "strategies"


def name_of(one: object) -> str:
    return getattr(one, "cls", one).__name__


def test_there_are_enough_of_both() -> None:
    assert len(planted.PLANTED + planted.MINUTES) >= 25
    assert len(clean.CLEAN + clean.MINUTES) >= 25


def bars_for(case: planted.Planted) -> Bars:
    if case in planted.MINUTES:
        return minutes()
    return panel.__wrapped__() if case.cls is planted.Overwrites else panel()  # one to be written into


@pytest.mark.parametrize("case", planted.PLANTED + planted.MINUTES, ids=name_of)
def test_a_planted_bias_is_found_and_named(case: planted.Planted) -> None:
    report = qk.check(case.cls(), bars_for(case), cuts=CUTS)
    assert not report.ok
    assert [finding.column for finding in report.findings] == [case.column]
    assert report.findings[0].kind == case.kind
    assert report.findings[0].cause.startswith(case.cause)


@pytest.mark.parametrize("cls", clean.CLEAN + clean.MINUTES, ids=name_of)
def test_a_clean_strategy_passes(cls: type[Strategy]) -> None:
    report = qk.check(cls(), minutes() if cls in clean.MINUTES else panel(), cuts=CUTS)
    assert report.ok, report


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_the_shipped_strategies_pass(file: Path) -> None:
    bars = minutes(8) if file.stem == "opening_range" else panel()
    if file.stem == "pairs":
        bars = bars.select(bars.symbols[:2])
    report = qk.check(load_strategy(file)(), bars, cuts=CUTS)
    assert report.ok, report
    assert report.cuts > 0


class Late(Strategy):
    """Knows the close of the day after tomorrow, of one name, from one day on."""

    def targets(self, bars: Bars):
        later = np.full(bars.shape, False)
        later[300:-2, 2] = bars.close[302:, 2] > 0
        return later


def test_the_first_bar_and_name_that_differ_are_told() -> None:
    bars = random_bars(400, 4)
    cut_everywhere = qk.check(Late(), bars, cuts=2_000)
    (finding,) = cut_everywhere.findings
    assert finding.time == str(bars.index[300].date())
    assert finding.symbol == bars.symbols[2]
    assert finding.column == "targets"
    assert finding.detail.startswith("True with all bars, False when the bars end with")


def test_a_report_is_plain_data_and_comes_back_from_json() -> None:
    report = qk.check(planted.TomorrowIsUp(), panel(), cuts=20, seed=3)
    text = json.dumps(report.to_dict(), allow_nan=False)
    assert CheckReport.from_dict(json.loads(text)) == CheckReport.from_dict(report.to_dict())
    assert CheckReport.from_dict(json.loads(text)).to_dict() == report.to_dict()
    kept = json.loads(text)
    assert kept["ok"] is False
    assert kept["source_hash"] == planted.TomorrowIsUp().source_hash
    assert kept["seed"] == 3
    assert kept["cuts"] >= 20
    assert kept["data"]["symbols"] == list(panel().symbols)
    assert len(kept["data"]["sha256"]) == 64
    assert kept["findings"][0].keys() == {"kind", "time", "symbol", "column", "detail", "cause"}


def test_the_same_arguments_give_the_same_report() -> None:
    first, second = (qk.check(planted.CentredMean(), panel(), cuts=30, seed=5).to_dict() for _ in range(2))
    assert first == second


def test_the_bars_are_as_they_were() -> None:
    bars = panel()
    before = {name: bars.field(name).tobytes() for name in ("open", "high", "low", "close", "volume")}
    flags = bars.flags.tobytes()
    qk.check(clean.Cross(), bars, cuts=20)
    assert before == {name: bars.field(name).tobytes() for name in before}
    assert bars.flags.tobytes() == flags


@pytest.mark.parametrize(("window", "declared"), [(5, 4), (60, 59), (200, 199)])
def test_the_warm_up_of_an_average_is_measured(window: int, declared: int) -> None:
    class Mean(Strategy):
        warmup = declared

        def targets(self, bars: Bars):
            return ta.sma(bars.close, window) / bars.close / 2

    report = qk.check(Mean(), random_bars(900, 4), cuts=100)
    assert report.warmup == declared
    assert not report.notes


def test_a_warm_up_that_is_too_short_is_a_note_not_a_finding() -> None:
    report = qk.check(clean.Cross(), random_bars(900, 4), cuts=100)
    assert report.ok
    assert report.warmup == 49
    assert any("warmup = 0 is declared" in note for note in report.notes)


def test_a_warm_up_that_does_not_fit_in_the_bars_is_not_measured() -> None:
    report = qk.check(clean.LongWarmUp(), random_bars(450, 2), cuts=CUTS)
    assert report.ok
    assert report.warmup is None
    assert "not measured (declared 400)" in repr(report)
    assert any("too few to measure" in note for note in report.notes)


def test_what_never_forgets_its_start_has_no_warm_up() -> None:
    report = qk.check(clean.ExpandingQuantile(), panel(), cuts=CUTS)
    assert report.warmup is None
    assert "never stable" in repr(report)


def test_a_cheap_evaluation_buys_more_cuts_than_a_dear_one() -> None:
    ticks = iter(range(10_000))
    cheap = qk.check(clean.Cross(), panel(), clock=lambda: 0.0)
    dear = qk.check(clean.Cross(), panel(), clock=lambda: float(next(ticks)))  # a second an evaluation
    assert dear.cuts < 40 < 150 < cheap.cuts


def test_progress_reaches_its_end() -> None:
    steps: list[tuple[int, int]] = []
    qk.check(clean.Cross(), panel(), cuts=20, progress=lambda done, total: steps.append((done, total)))
    assert steps[-1][0] == steps[-1][1]
    assert [done for done, _ in steps] == list(range(1, len(steps) + 1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((clean.Cross, "bars"), r"check\(strategy=.*expected Cross\(...\)"),
        ((clean.Cross(), "bars"), r"check\(bars='bars'\): give Bars"),
    ],
)
def test_arguments_of_the_wrong_kind_are_named(arguments, message) -> None:
    with pytest.raises(ConfigError, match=message):
        qk.check(*arguments)


def test_too_few_bars_are_refused() -> None:
    with pytest.raises(BadData, match=r"100 bars, and LongWarmUp declares warmup = 400"):
        qk.check(clean.LongWarmUp(), random_bars(100, 2))
    with pytest.raises(ConfigError, match=r"check\(cuts=0\)"):
        qk.check(clean.Cross(), panel(), cuts=0)


def test_an_error_on_all_bars_comes_out_as_it_is() -> None:
    class Broken(Strategy):
        def targets(self, bars: Bars):
            raise KeyError("per")

    with pytest.raises(KeyError, match="per"):
        qk.check(Broken(), panel())


def test_needing_some_bars_to_begin_with_is_a_note() -> None:
    class Needs(Strategy):
        def targets(self, bars: Bars):
            if len(bars) < 50:
                raise ValueError("fifty bars at least")
            return bars.close > ta.sma(bars.close, 50)

    report = qk.check(Needs(), panel(), cuts=CUTS)
    assert report.ok
    assert any("cannot decide on" in note and "fifty bars" in note for note in report.notes)


@settings(max_examples=25, deadline=None)
@given(ahead=st.integers(1, 30), seed=st.integers(0, 1_000), names=st.integers(1, 3))
def test_any_shift_into_the_future_is_found_and_measured(ahead: int, seed: int, names: int) -> None:
    class Ahead(Strategy):
        def targets(self, bars: Bars):
            return bars.frame("close").shift(-ahead) > bars.frame("close")

    report = qk.check(Ahead(), random_bars(300, names, seed=seed), cuts=40, seed=seed)
    many = "1 bar" if ahead == 1 else f"{ahead} bars"
    assert report.findings[0].cause.startswith(f"negative shift of {many}")


@settings(max_examples=25, deadline=None)
@given(back=st.integers(0, 60), seed=st.integers(0, 1_000))
def test_no_look_back_is_ever_blamed(back: int, seed: int) -> None:
    class Back(Strategy):
        def targets(self, bars: Bars):
            return bars.frame("close").shift(back) > bars.frame("close").ewm(span=back + 2).mean()

    assert qk.check(Back(), random_bars(300, 2, seed=seed), cuts=30, seed=seed).ok


def test_features_are_looked_at_like_prices() -> None:
    bars = panel()
    random = np.random.default_rng(0)
    dates = bars.index[5::60].tz_localize(None)
    rows = [(date, symbol, random.normal(10, 3)) for symbol in bars.symbols for date in dates]
    valued = bars.with_feature("per", pd.DataFrame(rows, columns=["as_of", "symbol", "value"]))

    class Cheap(Strategy):
        ahead: int = qk.param(0, low=0)

        def targets(self, bars: Bars):
            return pd.DataFrame(bars.feature("per")).shift(-self.ahead) < 10

    assert qk.check(Cheap(), valued, cuts=CUTS).ok
    assert qk.check(Cheap(ahead=20), valued, cuts=CUTS).findings[0].cause.startswith("negative shift of 20 bars")
