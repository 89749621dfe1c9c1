"""The run log: what is taken down, when, by whom at once, and how trials are counted."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantkit import Lake, Strategy, backtest, load_strategy, runs
from quantkit.errors import BadData, ConfigError
from quantkit.research import run_store
from tests.research.lakes import RULE, bars_in_memory, make_lake, write_rule


@pytest.fixture(scope="module")
def shared_lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return make_lake(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def lake(shared_lake: Lake) -> Iterator[Lake]:
    """The lake with an empty log."""
    yield shared_lake
    runs.log_to(None)
    for file in shared_lake.path.glob("runs.sqlite*"):
        file.unlink()


@pytest.fixture
def rising(tmp_path: Path) -> type[Strategy]:
    return load_strategy(write_rule(tmp_path))


def test_a_run_on_bars_of_a_lake_is_a_row_in_its_folder(lake: Lake, rising: type[Strategy]) -> None:
    result = backtest(rising(window=7), lake.bars(), cash=10_000_000)
    assert result.run_id == 1
    (row,) = runs.RunLog(lake.path).rows()
    assert (row.kind, row.strategy, row.parameters, row.trials) == ("backtest", "Rising", {"window": 7}, 1)
    assert row.code_hash == rising(window=7).source_hash
    assert row.data_version == result.bars.version
    assert row.metrics["sharpe"] == pytest.approx(result.figures["sharpe"])
    assert row.metrics["total_return"] == pytest.approx(result.figures["total_return"])
    assert row.sharpe_mean == pytest.approx(result.figures["sharpe"] / np.sqrt(252))
    assert row.manifest["result"]["sha256"] == result.manifest["result"]["sha256"]
    assert row.time.endswith("Z")


def test_the_log_keeps_the_fills_and_the_text_of_the_rule(lake: Lake, rising: type[Strategy]) -> None:
    result = backtest(rising(), lake.bars())
    log = runs.RunLog(lake.path)
    kept = log.fills(int(result.run_id or 0))
    assert kept is not None
    for name, values in kept.items():
        assert values.tolist() == result.run.fills[name].tolist()
    assert log.code(log.get(1)) == {"rising.py": RULE.encode()}


def test_bars_without_a_lake_are_logged_only_when_told(lake: Lake, rising: type[Strategy], tmp_path: Path) -> None:
    bars = bars_in_memory()
    assert backtest(rising(), bars).run_id is None
    runs.log_to(tmp_path / "elsewhere")
    assert backtest(rising(), bars).run_id == 1
    assert backtest(rising(), lake.bars()).run_id == 2
    runs.log_to(None)
    assert len(runs.RunLog(tmp_path / "elsewhere").rows()) == 2
    assert not (lake.path / "runs.sqlite").exists()


def test_a_log_that_is_still_being_made_is_waited_for(
    lake: Lake, rising: type[Strategy], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, never = run_store.write, threading.Event()

    def late(path: Path, batch: Iterable[run_store.Entry]) -> None:
        never.wait(0.2)
        written(path, batch)

    monkeypatch.setattr(run_store, "write", late)
    runs.log_to(tmp_path / "new")
    backtest(rising(), bars_in_memory())
    assert len(runs.RunLog(tmp_path / "new").rows()) == 1


def test_the_environment_says_where_or_that_nothing_is_logged(
    lake: Lake, rising: type[Strategy], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUANTKIT_RUNS", str(tmp_path))
    assert backtest(rising(), bars_in_memory()).run_id == 1
    monkeypatch.setenv("QUANTKIT_RUNS", "off")
    assert backtest(rising(), lake.bars()).run_id is None
    assert len(runs.RunLog(tmp_path).rows()) == 1


def test_runs_inside_a_larger_piece_of_work_are_no_tries(lake: Lake, rising: type[Strategy]) -> None:
    with runs.paused():
        assert backtest(rising(), lake.bars()).run_id is None
    result = backtest(rising(), lake.bars())
    result.paths()
    assert len(runs.RunLog(lake.path).rows()) == 1


def test_a_log_that_cannot_be_written_is_a_warning_and_the_run_is_the_same(
    rising: type[Strategy], lake: Lake, tmp_path: Path
) -> None:
    plain = backtest(rising(), lake.bars())
    blocked = tmp_path / "a file"
    blocked.write_text("no folder")
    runs.log_to(blocked)
    result = backtest(rising(), lake.bars())
    assert result.run_id is None
    assert [said for said in result.warnings if "not in the run log" in said]
    assert not [said for said in plain.warnings if "run log" in said]
    assert result.run.equity.tolist() == plain.run.equity.tolist()


def test_a_log_of_a_newer_quantkit_is_left_alone(lake: Lake, rising: type[Strategy]) -> None:
    import sqlite3

    backtest(rising(), lake.bars()).run_id  # noqa: B018  # waits until it is written
    database = sqlite3.connect(lake.path / "runs.sqlite")
    database.execute("PRAGMA user_version = 99")
    database.close()
    assert any("newer quantkit" in said for said in backtest(rising(), lake.bars()).warnings)
    with pytest.raises(BadData, match="newer quantkit"):
        runs.RunLog(lake.path).rows()


def test_processes_may_write_at_once(lake: Lake, tmp_path: Path) -> None:
    file = write_rule(tmp_path)
    code = (
        f"import quantkit as qk\nR = qk.load_strategy({str(file)!r})\nbars = qk.Lake({str(lake.path)!r}).bars()\n"
        "for n in range(10):\n    r = qk.backtest(R(window=2 + n), bars)\n"
        "print(r.run_id, [w for w in r.warnings if 'log' in w])"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    going = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate()[0] for process in going]
    assert all(text.strip().endswith("[]") for text in said), said
    rows = runs.RunLog(lake.path).rows()
    assert [row.id for row in rows] == list(range(1, 21))
    assert runs.RunLog(lake.path).trials("Rising").count == 10


def test_an_entry_that_cannot_be_made_leaves_the_others(tmp_path: Path, lake: Lake, rising: type[Strategy]) -> None:
    backtest(rising(), lake.bars()).run_id  # noqa: B018

    def broken() -> run_store.Draft:
        raise ZeroDivisionError("no row")

    path = lake.path / "runs.sqlite"
    (row,) = run_store.read_rows(path)
    good = run_store.Entry(lambda: run_store.Draft({**row, "token": "another"}))
    bad = run_store.Entry(broken)
    run_store.write(path, [bad, good])
    assert bad.run_id is None
    assert "ZeroDivisionError: no row" in str(bad.problem)
    assert (good.run_id, good.problem) == (2, None)


def test_a_row_that_the_file_refuses_leaves_nothing_of_its_batch(lake: Lake, rising: type[Strategy]) -> None:
    backtest(rising(), lake.bars()).run_id  # noqa: B018
    path = lake.path / "runs.sqlite"
    (row,) = run_store.read_rows(path)
    first = run_store.Entry(lambda: run_store.Draft({**row, "token": "first"}))
    second = run_store.Entry(lambda: run_store.Draft({**row, "token": "second", "metrics": "{half"}))
    run_store.write(path, [first, second])
    assert first.problem is not None
    assert second.problem is not None
    assert len(run_store.read_rows(path)) == 1


def test_repeats_are_one_trial_and_changes_are_others(lake: Lake, tmp_path: Path) -> None:
    rule = load_strategy(write_rule(tmp_path))
    bars = lake.bars()
    for _ in range(3):
        backtest(rule(window=5), bars)
    log = runs.RunLog(lake.path)
    assert log.trials("Rising").count == 1
    backtest(rule(window=5), bars, cash=5_000_000)
    assert log.trials("Rising").count == 1  # more money is not another rule
    backtest(rule(window=6), bars)
    backtest(rule(window=5), lake.bars(["005930"]))
    backtest(rule(window=5), bars, start="2024-03-04")
    assert log.trials("Rising").count == 4
    edited = load_strategy(write_rule(tmp_path, RULE.replace("bars.close >", "bars.open >")))
    backtest(edited(window=5), bars)
    assert log.trials("Rising").count == 5
    assert log.trials("Another", file=tmp_path / "rising.py").count == 5
    assert log.trials("Another").count == 0


def test_a_sweep_counts_its_runs_once_however_often_it_is_recorded(lake: Lake, rising: type[Strategy]) -> None:
    bars = lake.bars()
    sharpes = [0.01, 0.05, float("nan"), -0.02]
    numbers = {
        runs.record(kind="sweep", strategy=rising, bars=bars, parameters={"window": range(2, 6)},
                    metrics={"sharpe": 0.8}, sharpes=sharpes, token="sweep one")
        for _ in range(3)
    }  # fmt: skip
    assert numbers == {1}
    found = runs.RunLog(lake.path).trials("Rising")
    assert (found.count, found.rows) == (4, 1)
    assert found.mean == pytest.approx(np.nanmean(sharpes))
    backtest(rising(window=9), bars)
    assert runs.RunLog(lake.path).trials("Rising").count == 5


def test_work_without_a_log_is_not_recorded_and_work_of_nothing_is_refused(lake: Lake, rising: type[Strategy]) -> None:
    arguments = {"kind": "sweep", "strategy": rising, "parameters": {}, "metrics": {}}
    assert runs.record(bars=bars_in_memory(), sharpes=[0.1], **arguments) is None  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="trials=0"):
        runs.record(bars=lake.bars(), **arguments)  # type: ignore[arg-type]


def test_a_row_that_is_not_there_is_named(lake: Lake, rising: type[Strategy], tmp_path: Path) -> None:
    backtest(rising(), lake.bars())
    with pytest.raises(BadData, match=r"has no run 9; the last is 1"):
        runs.RunLog(lake.path).get(9)
    assert runs.RunLog(tmp_path).rows() == []
    with pytest.raises(BadData, match="it is empty"):
        runs.RunLog(tmp_path).get(1)
    with pytest.raises(ConfigError, match="no folder"):
        runs.RunLog(tmp_path / "nowhere")
    (tmp_path / "runs.sqlite").write_text("this is no database, and longer than a header would be" * 40)
    with pytest.raises(BadData, match="cannot be read as a run log"):
        runs.RunLog(tmp_path).rows()


def test_rows_are_found_by_strategy_and_kind(lake: Lake, rising: type[Strategy]) -> None:
    backtest(rising(), lake.bars())
    frame = lake.bars().frame("close") > 80_000
    backtest(targets=frame, bars=lake.bars())
    log = runs.RunLog(lake.path)
    assert [row.strategy for row in log.rows()] == ["Rising", "targets"]
    assert [row.id for row in log.rows(strategy="rising.py")] == [1]
    assert [row.id for row in log.rows(strategy="targets", kind="backtest")] == [2]
    assert [row.id for row in log.rows(last=1)] == [2]
    assert log.frame()["window"].tolist()[0] == 5


def test_long_lists_of_names_are_kept_once(tmp_path: Path, rising: type[Strategy]) -> None:
    symbols = tuple(f"{number:06d}" for number in range(100, 100 + run_store.LONG + 10))
    lake = make_lake(tmp_path, symbols=symbols, count=30)
    first, second = (backtest(rising(window=n), lake.bars()) for n in (3, 4))
    log = runs.RunLog(lake.path)
    assert set(log.rows()[0].manifest["data"]["symbols"]) == {"shared"}
    for result in (first, second):
        assert log.get(int(result.run_id or 0)).manifest["data"]["symbols"] == list(symbols)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.lists(st.floats(-0.3, 0.3, allow_nan=False), min_size=1, max_size=6), min_size=1, max_size=6),
    st.sampled_from([252.0, 52.0, 12.0]),
)
def test_pooled_groups_have_the_mean_and_variance_of_all_their_trials(
    groups: list[list[float]], periods: float
) -> None:
    rows = [
        {
            "trials": len(group),
            "sharpe_mean": float(np.mean(group)),
            "sharpe_variance": float(np.var(group, ddof=1)) if len(group) > 1 else None,
            "periods": periods,
        }
        for group in groups
    ]
    found = runs._pooled(rows, len(rows), 252.0)
    values = np.concatenate(groups) * np.sqrt(periods / 252.0)  # a ratio a period is smaller where periods are shorter
    assert found.count == len(values)
    assert found.mean == pytest.approx(values.mean(), abs=1e-12)
    if len(values) > 1:
        assert found.variance == pytest.approx(values.var(ddof=1), abs=1e-12)
    else:
        assert np.isnan(found.variance)


def test_short_records_count_but_do_not_widen_the_spread(lake: Lake, rising: type[Strategy]) -> None:
    bars = lake.bars()
    for window in (4, 5, 6):
        backtest(rising(window=window), bars)
    backtest(rising(window=4), bars, start="2024-06-03")  # a few weeks
    runs.record(kind="walk_forward", strategy=rising, bars=bars, parameters={}, metrics={}, sharpes=[-0.4, 0.5, 0.3])
    log = runs.RunLog(lake.path)
    span = float(bars.days[-1] - bars.days[0]) + 1.0
    everything, alike = log.trials("Rising"), log.trials("Rising", days=span)
    assert everything.count == alike.count == 7
    whole = [row.sharpe_mean for row in log.rows()[:3]]
    assert alike.variance == pytest.approx(np.var(whole, ddof=1))
    assert alike.mean == pytest.approx(np.mean(whole))


def test_walk_forwards_of_other_windows_are_other_trials(lake: Lake, rising: type[Strategy]) -> None:
    for train, cash in (("1Y", 1), ("2Y", 1), ("2Y", 5)):
        runs.record(kind="walk_forward", strategy=rising, bars=lake.bars(), parameters={"window": [3]}, metrics={},
                    sharpes=[0.1, 0.2], settings={"train": train, "cash": cash})  # fmt: skip
    assert runs.RunLog(lake.path).trials("Rising").count == 4


def test_where_no_thread_is_to_be_had_the_row_is_written_at_once(
    lake: Lake, rising: type[Strategy], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("threading.Thread.start", refuse)
    assert [backtest(rising(window=window), lake.bars()).run_id for window in (5, 6)] == [1, 2]
