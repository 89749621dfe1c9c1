"""A sweep gives each run the figures of its backtest, whoever makes it and however often it is interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import quantkit as qk
from quantkit.backtest.tally import NAMES
from quantkit.research.work import Job
from tests.backtest.factories import random_bars
from tests.research.ruled import Cross, Deadly, Fragile, Sized, Slow

BARS = random_bars(400, names=2)
GRID: dict[str, Any] = {"fast": [2, 5, 7, 11], "slow": [9, 20, 41]}


def swept(cls: type[qk.Strategy] = Cross, bars: qk.Bars = BARS, **given: Any) -> Any:
    return qk.sweep(cls, bars, progress=False, **{**GRID, **given})


def agrees(result: Any, place: int) -> None:
    """A run's row is its backtest, bit for bit."""
    expected = result.backtest(place).figures
    row = result.rows[place]
    for name, value in zip(NAMES, row.tolist(), strict=True):
        assert np.float64(value).tobytes() == np.float64(expected[name]).tobytes(), (place, name)


def test_every_run_is_its_backtest() -> None:
    result = swept(where=lambda p: p.fast < p.slow)
    assert len(result) == 11  # 11 / 9 is left out
    for place in range(len(result)):
        agrees(result, place)


@settings(max_examples=25, deadline=None)
@given(
    stop=st.lists(st.sampled_from((None, 0.02, 0.1)), min_size=1, max_size=2, unique=True),
    gross=st.lists(st.sampled_from((0.3, 1.0)), min_size=1, max_size=2, unique=True),
    names=st.sampled_from(([None], [1], [None, 1])),
    fill=st.sampled_from(("next_open", "next_close", "close")),
    start=st.sampled_from((None, "2018-06-04")),
)
def test_fields_of_the_policy_are_swept_too(
    stop: list[Any], gross: list[Any], names: list[Any], fill: str, start: str | None
) -> None:
    result = qk.sweep(
        Cross, BARS, fast=[3, 8], stop_loss=stop, gross=gross, max_names=names, fill=fill, start=start, progress=False
    )
    assert len(result) == 2 * len(stop) * len(gross) * len(names)
    for place in range(len(result)):
        agrees(result, place)
        assert result.errors[place] == ""


def test_a_policy_that_reads_parameters_is_swept_with_them() -> None:
    result = qk.sweep(Sized, BARS, gross=[0.2, 0.6, 1.0], window=[5, 30], progress=False)
    assert result.space.of_policy == frozenset()  # a parameter of the strategy comes first
    for place in range(len(result)):
        agrees(result, place)


def test_the_frame_says_what_was_run_and_how_it_went() -> None:
    frame = swept().frame
    assert list(frame.columns) == ["fast", "slow", *NAMES, "status", "error"]
    assert set(frame["status"]) == {"done"}
    assert frame["fast"].tolist()[:4] == [2, 2, 2, 5]


def test_the_best_is_the_best_by_the_metric_asked_for() -> None:
    for metric, choose in (("total_return", max), ("-volatility", min), ("max_drawdown", max)):
        result = swept(metric=metric)
        values = result.frame[metric.removeprefix("-")]
        place = int(np.flatnonzero(values == choose(values))[0])
        assert result.best == {"fast": result.points[place][0], "slow": result.points[place][1]}
        assert result.best_strategy == Cross(**result.best)
        assert result.top(1).index[0] == place


def test_one_run_that_raises_is_marked_and_the_others_go_on() -> None:
    result = swept(Fragile)
    assert (len(result), result.failed) == (12, 3)
    failed = result.frame[result.frame["status"] == "failed"]
    assert set(failed["fast"]) == {7}
    assert "ZeroDivisionError: seven is right out" in failed["error"].iloc[0]
    assert failed["sharpe"].isna().all()
    assert "3 failed" in repr(result)
    assert "fast=7" in repr(result)


def test_a_sweep_where_all_fail_says_why_there_is_no_best() -> None:
    result = swept(Fragile, fast=[7])
    with pytest.raises(qk.ConfigError, match="seven is right out"):
        _ = result.best
    assert "no run has a sharpe" in repr(result)


@pytest.mark.parametrize("jobs", [1, 3])
def test_threads_change_nothing(jobs: int) -> None:
    assert np.array_equal(swept(jobs=jobs).rows, swept().rows, equal_nan=True)


def test_a_thread_pool_of_the_callers_is_used() -> None:
    with ThreadPoolExecutor(2) as pool:
        assert np.array_equal(swept(executor=pool).rows, swept().rows, equal_nan=True)


def test_little_memory_for_indicators_changes_nothing() -> None:
    assert np.array_equal(swept(memory=0).rows, swept(memory=10_000).rows, equal_nan=True)


def test_equity_is_kept_when_asked_for() -> None:
    result = swept(keep="equity", cash=1_000_000)
    for place in (0, 5):
        expected = result.backtest(place).equity
        assert np.allclose(result.equity[place].to_numpy(), expected.to_numpy(), rtol=1e-15)
        assert result.equity.index.equals(expected.index)
    with pytest.raises(qk.ConfigError, match="keep="):
        _ = swept().equity


# --- other processes --------------------------------------------------------------------------------------------------


def spawning(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"))


def test_processes_change_nothing_and_get_the_bars_once() -> None:
    with spawning(2) as pool:
        result = swept(Fragile, executor=pool, keep="equity")
    alone = swept(Fragile, keep="equity")
    assert np.array_equal(result.rows, alone.rows, equal_nan=True)
    assert np.array_equal(result.growth, alone.growth, equal_nan=True)
    assert result.errors == alone.errors


@pytest.mark.slow  # each dead process takes its pool with it, and a new one has to load everything: 20 s
def test_a_worker_that_dies_costs_a_retry_and_nothing_else(tmp_path: Path) -> None:
    with spawning(2) as pool:
        result = swept(Deadly, fast=[2, 5, 11], mark=[str(tmp_path / "mark")], executor=pool)
    assert result.failed == 0
    assert np.array_equal(result.rows, swept(fast=[2, 5, 11]).rows, equal_nan=True)


@pytest.mark.slow  # as above, several times over: 60 s
def test_a_run_that_kills_every_worker_is_marked(tmp_path: Path) -> None:
    (tmp_path / "mark").touch()
    with spawning(2) as pool:
        result = swept(Deadly, slow=[20], mark=[str(tmp_path / "mark")], executor=pool)
    failed = result.frame[result.frame["status"] == "failed"]
    assert failed["fast"].tolist() == [7]
    assert "worker died" in failed["error"].iloc[0]


def test_a_dask_cluster_of_two_workers_changes_nothing() -> None:
    distributed = pytest.importorskip("dask.distributed", reason="Dask is an extra: pip install 'quantkit[dask]'")
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with (
        distributed.LocalCluster(**options, silence_logs=50) as cluster,
        distributed.Client(cluster) as client,
        client.get_executor() as executor,
    ):
        result = swept(Fragile, executor=executor)
    assert np.array_equal(result.rows, swept(Fragile).rows, equal_nan=True)
    assert result.errors == swept(Fragile).errors


def test_an_executor_that_is_none_is_refused() -> None:
    with pytest.raises(qk.ConfigError, match="Executor"):
        swept(executor="processes")


def test_a_worker_without_the_file_asks_for_the_job(tmp_path: Path) -> None:
    from quantkit.research import work

    answer = work.do_portion("nobody has this", str(tmp_path / "gone"), [(2, 9)])
    assert isinstance(answer, work._Missing)


# --- going on ---------------------------------------------------------------------------------------------------------


def test_a_finished_sweep_is_read_and_not_made_again(tmp_path: Path) -> None:
    first = swept(Fragile, resume=tmp_path / "kept", keep="equity")
    before = sorted(path.name for path in (tmp_path / "kept").iterdir())
    again = swept(Fragile, resume=tmp_path / "kept", keep="equity")
    assert np.array_equal(first.rows, again.rows, equal_nan=True)
    assert np.array_equal(first.growth, again.growth, equal_nan=True)
    assert first.errors == again.errors
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == before


def test_a_folder_of_another_sweep_is_refused(tmp_path: Path) -> None:
    swept(resume=tmp_path)
    for other in ({"fast": [2, 5]}, {"cash": 5_000_000}, {"bars": random_bars(399, names=2)}, {"cls": Fragile}):
        with pytest.raises(qk.ConfigError, match="another sweep"):
            swept(resume=tmp_path, **other)


def test_an_adaptive_sweep_goes_on_where_it_was(tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="Optuna is an extra: pip install 'quantkit[optuna]'")
    given = {"search": "adaptive", "fast": range(2, 40), "slow": range(10, 90), "seed": 3}
    whole = swept(runs=30, **given)
    assert len(set(whole.points)) == 30
    first = swept(runs=30, resume=tmp_path, **given)
    for piece in sorted(tmp_path.glob("piece-*"))[1:]:
        piece.unlink()
    assert swept(runs=30, resume=tmp_path, **given).points == first.points == whole.points


@pytest.mark.skipif(os.name == "nt", reason="needs a signal that cannot be caught")
def test_a_killed_sweep_goes_on(tmp_path: Path) -> None:
    code = (
        "import quantkit as qk, quantkit.research.sweep_store as store\n"
        "from tests.research.test_sweep import BARS, Slow\n"
        "store.EVERY = 0.05\n"
        f"qk.sweep(Slow, BARS, fast=range(2, 32), slow=[40, 50], jobs=1, progress=False, resume={str(tmp_path)!r})"
    )
    root = str(Path(__file__).parents[2])
    child = subprocess.Popen([sys.executable, "-c", code], cwd=root, env={**os.environ, "PYTHONPATH": root})
    until = time.monotonic() + 60
    while not list(tmp_path.glob("piece-*")) and child.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    kept = len(list(tmp_path.glob("piece-*")))
    assert kept > 0
    space = {"fast": range(2, 32), "slow": [40, 50]}
    result = qk.sweep(Slow, BARS, resume=tmp_path, progress=False, **space)
    assert np.array_equal(result.rows, qk.sweep(Cross, BARS, progress=False, **space).rows, equal_nan=True)


# --- wrong use --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"fast": []}, "no values"),
        ({"fast": range(5, 5)}, "no values"),
        ({"fats": [2]}, "did you mean 'fast'"),
        ({"nothing_like_it": [2]}, "neither a parameter of Cross .*fast, slow.* nor a field of Policy .*stop_loss"),
        ({"fast": [1]}, r"from 2 to 60"),
        ({"fast": [2.5]}, "a whole number"),
        ({"fast": [[2, 3]]}, "no number"),
        ({"where": lambda p: p.fast > 100}, "lets none of the 12 points through"),
        ({"where": lambda p: p.quick < 3}, "a point has fast, slow"),
        ({"metric": "sharp"}, "choose one of"),
        ({"search": "all"}, "grid, random, adaptive"),
        ({"runs": 0, "search": "random"}, "1 or more"),
        ({"runs": 5}, "search='random'"),
        ({"keep": "all"}, "metrics or equity"),
        ({"jobs": 0}, "1 or more"),
        ({"memory": -1}, "bytes"),
        ({"start": "2099"}, "after the last bar"),
        ({"cash": -1}, "cash"),
    ],
)
def test_wrong_arguments_are_named(given: dict[str, Any], said: str) -> None:
    with pytest.raises(qk.ConfigError, match=said):
        swept(**given)


def test_a_strategy_in_the_place_of_its_class_is_refused() -> None:
    with pytest.raises(qk.ConfigError, match="the class itself"):
        qk.sweep(Cross(), BARS, fast=[2, 3])  # type: ignore[arg-type]


def test_nothing_to_sweep_says_what_there_is() -> None:
    with pytest.raises(qk.ConfigError, match="fast, slow"):
        qk.sweep(Cross, BARS)


def test_an_error_in_where_keeps_its_kind() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        swept(where=lambda p: p.fast / 0 > 1)
    assert "fast" in caught.value.__notes__[0]


def test_where_sees_the_defaults_of_what_is_not_swept() -> None:
    assert len(qk.sweep(Cross, BARS, fast=[2, 30], where=lambda p: p.fast < p.slow, progress=False)) == 1


# --- searches ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("search", ["random", "adaptive"])
def test_a_search_repeats_and_stays_in_its_space(search: Any) -> None:
    if search == "adaptive":
        pytest.importorskip("optuna", reason="Optuna is an extra: pip install 'quantkit[optuna]'")
    given: dict[str, Any] = {"fast": range(2, 30), "slow": range(10, 90, 5), "search": search, "runs": 25}
    first, again = (swept(seed=4, where=lambda p: p.fast < p.slow, **given) for _ in range(2))
    assert first.points == again.points
    assert len(set(first.points)) == 25
    assert all(fast < slow for fast, slow in first.points)
    assert np.array_equal(first.rows, again.rows, equal_nan=True)
    assert swept(seed=5, **given).points != first.points


def test_a_search_without_values_draws_from_the_declared_ranges() -> None:
    result = qk.sweep(Sized, BARS, search="random", runs=12, progress=False)
    assert all(0.1 <= gross <= 1.0 and 2 <= window <= 60 for gross, window in result.points)
    assert len(set(result.points)) == 12


def test_a_space_smaller_than_the_search_is_searched_whole() -> None:
    result = swept(search="random", runs=500)
    assert sorted(result.points) == sorted(swept().points)


def test_a_job_makes_the_same_runs_in_any_portion() -> None:
    result = swept()
    job: Job = result.job
    whole = job.do(result.points)
    for place, point in enumerate(result.points):
        assert np.array_equal(job.do([point]).rows[0], whole.rows[place], equal_nan=True)


# --- logging ----------------------------------------------------------------------------------------------------------


def test_a_sweep_is_one_row_of_the_run_log_with_all_its_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTKIT_RUNS", str(tmp_path))
    result = swept(Fragile)
    log = qk.runs.RunLog(tmp_path)
    (row,) = log.rows()
    assert (row.kind, log.trials("Fragile").count) == ("sweep", len(result))


def test_progress_is_told_to_whoever_asks() -> None:
    told: list[tuple[int, int]] = []
    qk.sweep(Cross, BARS, **GRID, jobs=1, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (12, 12)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_pictures_and_pages_are_drawn(tmp_path: Path) -> None:
    result = swept(stop_loss=[None, 0.1])
    for name, figure in (("map", result.heatmap()), ("other", result.heatmap("stop_loss", "fast", metric="calmar")),
                         ("surface", result.surface())):  # fmt: skip
        figure.savefig(tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").stat().st_size > 5_000
    swept(slow=[20]).heatmap().savefig(tmp_path / "line.png")
    assert "Cross" in result.report(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<table" in result._repr_html_()


def test_cells_show_the_best_over_the_other_parameters() -> None:
    from quantkit.research.sweep_plots import cells

    result = swept(stop_loss=[None, 0.05])
    found = cells(result, "fast", "slow", "sharpe")
    frame = result.frame
    for (row, column), value in np.ndenumerate(found.values):
        there = frame[(frame["fast"] == found.x[column]) & (frame["slow"] == found.y[row])]
        assert value == there["sharpe"].max()
    assert found.others == ("stop_loss",)


def test_neighbours_are_one_step_away() -> None:
    result = swept()
    frame = result.frame
    stable = result.stability()
    near = frame[
        frame["fast"].isin([2, 5, 7]) & frame["slow"].isin([9, 20]) & ~((frame["fast"] == 5) & (frame["slow"] == 9))
    ]
    place = frame.index[(frame["fast"] == 5) & (frame["slow"] == 9)][0]
    assert stable.loc[place, "neighbours"] == 5
    assert stable.loc[place, "mean"] == pytest.approx(near["sharpe"].mean())
    assert stable.loc[place, "worst"] == near["sharpe"].min()
    assert stable["sharpe"].tolist() == sorted(stable["sharpe"], reverse=True)


def test_the_chance_of_overfitting_is_that_of_the_returns() -> None:
    from quantkit.research.overfit import probability_of_backtest_overfitting

    kept, again = swept(keep="equity"), swept()
    returns = np.column_stack([again.backtest(place).returns.to_numpy() for place in range(len(again))])
    assert np.array_equal(kept.returns(), returns)
    assert np.array_equal(again.returns(), returns)
    assert again.overfit(splits=8) == probability_of_backtest_overfitting(returns, splits=8)
