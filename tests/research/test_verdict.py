"""The verdict: what it counts, what it says, and that it promises nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from quantkit import Bars, Strategy, backtest, param, runs, ta
from quantkit.backtest.result import Result
from quantkit.cli.app import run
from quantkit.research import overfit
from tests.backtest.factories import random_bars, random_result
from tests.research.lakes import bars_in_memory, make_lake, write_rule


class Rising(Strategy):
    """Hold a name that stands above its average."""

    window: int = param(10, low=2, high=60)

    def targets(self, bars: Bars) -> np.ndarray:
        return bars.close > ta.sma(bars.close, self.window)


def points(result: Result, *given: object, **options: bool) -> dict[str, bool | None]:
    return {point.name: point.stands for point in result.verdict(*given, **options).points}


@pytest.fixture(scope="module")
def result() -> Result:
    return backtest(Rising(), bars_in_memory(symbols=("005930", "000660", "035420"), count=240), cash=50_000_000)


def test_trials_are_counted_from_the_log_and_deflate(tmp_path: Path) -> None:
    lake = make_lake(tmp_path)
    alone = backtest(Rising(), lake.bars()).verdict(again=False)
    assert alone.figures["trials"] == 1
    assert alone.figures["deflated_sharpe"] == alone.figures["probabilistic_sharpe"]
    for window in range(2, 30, 3):
        last = backtest(Rising(window=window), lake.bars())
    again = backtest(Rising(), lake.bars()).verdict(again=False)
    assert last.run_id == 11
    assert again.figures["trials"] == 11
    assert again.figures["counted"] == 1
    assert again.figures["deflated_sharpe"] < alone.figures["deflated_sharpe"]
    assert again.figures["luck_sharpe"] > 0
    assert "11 settings of Rising" in again.text
    assert len(runs.RunLog(lake.path).rows()) == 12


def test_its_figures_are_those_of_the_formulas(result: Result) -> None:
    found = result.verdict(again=False).figures
    moments = overfit.moments(result.returns)
    assert found["sharpe"] == pytest.approx(result.figures["sharpe"])
    assert found["probabilistic_sharpe"] == pytest.approx(overfit.probabilistic_sharpe_ratio(*moments))
    needed = overfit.minimum_track_record_length(moments.sharpe, moments.skew, moments.kurtosis)
    assert found["years_needed"] == pytest.approx(needed / 252)
    assert found["years"] == pytest.approx(240 / 252)


def test_without_a_log_it_says_that_nothing_was_counted(result: Result) -> None:
    judged = result.verdict(again=False)
    assert points(result, again=False)["tried"] is None
    assert "Nothing was counted (these bars are of no lake)" in judged.text
    assert judged.figures["counted"] == 0


def test_runs_again_fill_in_costs_and_settings(result: Result, tmp_path: Path) -> None:
    without = points(result, again=False)
    assert (without["costs"], without["settings"]) == (None, None)
    steps: list[int] = []
    judged = result.verdict(progress=lambda done, total: steps.append(done))
    assert {"break_even_bps", "neighbours", "return_at_double_costs"} <= set(judged.figures)
    assert steps
    page = result.report(tmp_path / "r.html").read_text(encoding="utf-8")
    assert "Is it real?" in page
    assert "settings nearby" in page


def test_a_report_nobody_asked_a_verdict_for_has_one_without_runs(tmp_path: Path) -> None:
    result = random_result(300, 3)
    page = result.report(tmp_path / "r.html").read_text(encoding="utf-8")
    assert "Is it real?" in page
    assert "not run with other costs" in page
    assert result.judged is None


def test_a_sweep_or_its_returns_judge_the_choice(result: Result) -> None:
    random = np.random.default_rng(1)
    noise = random.normal(size=(160, 20))
    noise -= noise.mean(axis=0)  # what one half gains the other loses
    assert points(result, noise, again=False)["choice"] is False
    good = random.normal(size=(160, 20))
    good[:, 3] += 1.0
    assert points(result, good, again=False)["choice"] is True

    class Swept:
        def overfit(self) -> float:
            return 0.3

    judged = result.verdict(Swept(), again=False)
    assert judged.figures["pbo"] == 0.3
    assert points(result, Swept(), again=False)["choice"] is None
    assert "choosing by chance gives 50%" in judged.text


def test_one_trade_one_name_one_year_are_seen() -> None:
    bars = random_bars(750, 3, drift=0.0)
    close = bars.field("close")
    for name in ("open", "high", "low", "close"):
        bars.field(name)[300:, 1] *= 4.0  # one jump of one name makes everything
    assert close[300, 1] > 2 * close[299, 1]
    held = backtest(targets=np.ones(bars.shape, bool), bars=bars)
    found = points(held, again=False)
    assert found["trades"] is False
    assert found["names"] is False
    assert found["years"] is False
    assert found["settings"] is None
    single = backtest(Rising(), random_bars(300, 1))
    assert points(single, again=False)["names"] is None


def test_what_loses_and_what_never_trades_are_said_plainly() -> None:
    bars = random_bars(300, 2, drift=-0.004)
    losing = backtest(Rising(), bars)
    assert losing.figures["profit"] < 0
    judged = losing.verdict()
    assert judged.headline.startswith("It loses money")
    assert judged.figures["break_even_bps"] == 0.0
    assert judged.figures["years_needed"] == np.inf
    assert judged.to_dict()["figures"]["years_needed"] is None
    idle = backtest(targets=np.zeros(bars.shape, bool), bars=bars).verdict()
    assert idle.points == ()
    assert "Nothing was traded" in str(idle)


def test_nothing_is_promised(result: Result) -> None:
    text = result.verdict().text.lower()
    assert not [word for word in ("guarantee", "proven", "certain", "robust", "alpha") if word in text]
    assert text == result.verdict().text.lower()
    json.dumps(result.verdict().to_dict(), allow_nan=False)


def test_the_command_line_prints_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_lake(tmp_path)
    write_rule(tmp_path)
    monkeypatch.chdir(tmp_path)
    arguments = ["backtest", "rising.py", "--lake", str(tmp_path / "lake"), "--verdict"]
    assert run(arguments) == 0
    assert "For it to be real, this would have to be true" in capsys.readouterr().out
    assert run([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"]["figures"]["trials"] == 1
