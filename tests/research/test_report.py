"""Pages of a sweep and of a walk-forward: complete, closed in themselves, true to the frames they are made from."""

from __future__ import annotations

import itertools
import math
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from quantkit.backtest.shapes import heat, histogram, scatter, steps
from quantkit.backtest.wording import number
from quantkit.data.bars import Bars
from quantkit.errors import ConfigError
from quantkit.research.report import sweep_page, walk_forward_page, write_sweep
from quantkit.strategy import Strategy, param
from tests.backtest.factories import random_bars, random_result
from tests.backtest.test_report import read

FIGURES = ("sharpe", "total_return", "cagr", "max_drawdown", "volatility", "trades", "win_rate", "turnover")


class Cross(Strategy):
    """Hold a name whose fast average stands above its slow one."""

    fast: int = param(10, low=2, high=60)
    slow: int = param(40, low=5, high=200)

    def targets(self, bars: Bars) -> np.ndarray:
        return bars.close > 0


def swept(space: dict[str, list[Any]], *, metric: str = "sharpe", failing: int = 0) -> Any:
    """A sweep with figures made up: a hill with noise on it."""
    rng = np.random.default_rng(1)
    rows = []
    for number_, values in enumerate(itertools.product(*space.values())):
        height = 1.0 - sum(((k % 7) - 3) ** 2 for k in range(len(values))) / 50 + 0.3 * rng.normal()
        row: dict[str, Any] = dict(zip(space, values, strict=True)) | dict.fromkeys(FIGURES, height)
        row |= {"status": "done", "error": ""}
        if number_ < failing:
            row |= dict.fromkeys(FIGURES, math.nan) | {"status": "failed", "error": "ValueError: <windows> & bad"}
        rows.append(row | ({} if number_ < failing else {"trades": 12.0, "max_drawdown": -0.2}))
    frame = pd.DataFrame(rows)
    agree = frame[list(space)].assign(neighbours=4, mean=0.81, worst=0.1)
    return SimpleNamespace(
        frame=frame, metric=metric, strategy_class=Cross, bars=random_bars(500, 2), stability=lambda: agree,
        space=SimpleNamespace(names=tuple(space)), settings={"start": None, "end": None},
    )  # fmt: skip


PAIR = {"fast": list(range(5, 35, 5)), "slow": list(range(20, 100, 10))}


def test_a_sweep_has_its_page_with_what_the_best_means() -> None:
    result = swept(PAIR, failing=3)
    page = sweep_page(result, overfitting=0.41)
    text = " ".join(read(page).seen)
    best = result.frame["sharpe"].max()
    for said in ("Cross, sweep", "The best of 48 runs", "the best of 45 would still be", "deflated Sharpe ratio",
                 "overfitting: 41%", "3 of 48 runs failed", number(best), "Do neighbours agree?", "0.810", "Best runs",
                 "closed 12 trades", "ValueError: <windows> & bad", "fast 5 to 30, 6 values"):  # fmt: skip
        assert said in " ".join(text.split()) or said in re.sub(r"\s+", " ", re.sub("<[^>]+>", "", page)), said
    assert "http" not in page
    assert "nan" not in page.split("<script>")[0]


def test_every_cell_of_a_map_is_a_run() -> None:
    result = swept(PAIR, failing=3)
    page = sweep_page(result)
    told = re.findall(r"<title>fast (\d+), slow (\d+): ([^<]+)</title>", page)
    frame = result.frame.set_index(["fast", "slow"])
    assert len(told) == 45
    assert all(said == number(frame.loc[(int(fast), int(slow)), "sharpe"]) for fast, slow, said in told)
    assert page.count('<rect class="best"') == 1


def test_three_parameters_give_three_maps_of_medians() -> None:
    result = swept(PAIR | {"stop_loss": [None, 0.05, 0.1]})
    page = sweep_page(result)
    assert page.count('class="best" x=') == 3
    assert "median over the other" in page
    told = dict(re.findall(r"<title>fast 5, slow (\d+): ([^<]+)</title>", page))
    frame = result.frame
    middle = frame[(frame["fast"] == 5) & (frame["slow"] == 20)]["sharpe"].median()
    assert told["20"] == number(middle)
    assert "none, 0.05, 0.1" in page


def test_a_single_parameter_is_a_line_and_words_are_a_list() -> None:
    assert "Sharpe ratio over fast" in sweep_page(swept({"fast": list(range(5, 35, 5))}))
    page = sweep_page(swept({"weighting": ["equal", "cash", "shares"]}))
    assert "Sharpe ratio over weighting" in page


def test_many_values_are_put_into_bins() -> None:
    rng = np.random.default_rng(3)
    result = swept({"fast": [1, 2], "slow": [float(value) for value in rng.uniform(5, 200, 300)]})
    page = sweep_page(result)
    assert page.count("<rect") <= 2 * 20


def test_a_metric_that_is_better_low_is_dark_where_it_is_low() -> None:
    result = swept(PAIR, metric="-volatility")
    page = sweep_page(result)
    frame = re.search(r'<rect class="best"[^>]*color-mix\(in srgb,var\(--ours\) (\d+)%', page)
    assert frame is not None
    assert frame[1] == "100"
    first = page.index("Best runs")
    assert number(100 * result.frame["volatility"].min(), digits=1) in page[first : first + 3000]


def test_a_best_at_the_edge_says_so() -> None:
    result = swept(PAIR)
    result.frame.loc[result.frame["fast"] == 5, "sharpe"] += 9.0
    assert "fast = 5 is the edge of what was tried" in sweep_page(result)


def test_a_sweep_in_which_all_failed_still_has_a_page() -> None:
    page = sweep_page(swept({"fast": [5, 10]}, failing=2))
    assert "No run has a figure" in page
    assert "2 of 2 runs failed" in page


def test_ten_thousand_runs_stay_a_small_page() -> None:
    page = sweep_page(swept({"fast": list(range(100)), "slow": list(range(100))}))
    assert len(page.encode()) < 400_000


def test_the_same_sweep_gives_the_same_bytes(tmp_path: Path) -> None:
    assert sweep_page(swept(PAIR)) == write_sweep(swept(PAIR), tmp_path / "sweep.html").read_text(encoding="utf-8")
    with pytest.raises(ConfigError, match=r"missing/sweep\.html"):
        write_sweep(swept(PAIR), tmp_path / "missing" / "sweep.html")


def walked(count: int = 5) -> Any:
    """A walk-forward of made-up windows over a real account."""
    result = random_result(600, 3)
    index, rng = result.bars.index, np.random.default_rng(2)
    edges = np.linspace(0, len(index) - 1, count + 1).astype(int)
    sets = [{"fast": fast, "kind": kind} for fast in (5, 10, 20, 40) for kind in ("slow", "quick")]
    chosen = [sets[k] for k in rng.integers(0, len(sets), count)]
    rows = [
        {"train_start": index[0], "train_end": index[max(edges[k] - 1, 0)], "test_start": index[edges[k]],
         "test_end": index[edges[k + 1]], **chosen[k], "in_sample": 1.0 + 0.2 * k, "out_of_sample": 0.5 - 0.1 * k,
         "total_return": 0.03 - 0.01 * k, "max_drawdown": -0.1, "fills": 4, "mark": "no trades" if k == 1 else ""}
        for k in range(count)
    ]  # fmt: skip
    moved = pd.DataFrame(
        {"values": [2, 1], "tried": [4, 2], "most_common": [10, "slow"], "share": [0.6, 1.0], "changes": [0.5, 0.0],
         "step": [0.2, math.nan]}, index=pd.Index(["fast", "kind"], name="parameter"),
    )  # fmt: skip

    class Sets(list[dict[str, Any]]):
        names = ("fast", "kind")

        @property
        def sets(self) -> list[dict[str, Any]]:
            return list(self)

    return SimpleNamespace(
        result=result, windows=pd.DataFrame(rows), settings={"train": "3Y", "test": "1Y", "anchored": False},
        candidates=Sets(sets), metric="sharpe", strategy_class=Cross, efficiency=0.25, beaten=0.4,
        stability=lambda: moved,
    )  # fmt: skip


def test_a_walk_forward_has_its_page() -> None:
    page = walk_forward_page(walked(), ["One window has no trade."])
    text = " ".join(read(page).seen)
    for said in ("Cross, walk-forward", "One window has no trade.", "promised and kept", "Parameters over time",
                 "What each window chose", "no trades", "Kept (out over in)", "25%", "Monthly returns",
                 "Worst drawdowns", "fast", "kind", "out of sample throughout"):  # fmt: skip
        assert said in text, said
    assert page.count('class="edge"') == 2 * 4
    assert len(re.findall(r"<title>\d{4}-\d\d: [^<]* in sample", page)) == 5
    assert "http" not in page


def test_a_walk_of_one_window_has_a_page() -> None:
    page = walk_forward_page(walked(1))
    assert "promised and kept" not in page
    assert "What each window chose" in page


def test_pictures_of_single_values_stay_inside_their_frame() -> None:
    texts = [
        heat(np.array([[1.0]]), ["5"], ["20"], text=number, x_label="a", y_label="b", best=(0, 0)),
        histogram(np.array([0.0, 1.0]), np.array([3]), text=number),
        scatter(np.array([1.0, 1.0]), np.array([2.0, 2.0]), x_text=number, y_text=number),
        steps(np.array([18_000]), np.array([5.0]), text=number),
    ]
    assert not [text for text in texts if "nan" in text or "inf" in text]
