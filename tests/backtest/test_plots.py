"""`Result.plot()`: the panels, thread safety, fonts, and lines of many bars."""

from __future__ import annotations

import io
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from quantkit.backtest import fonts
from quantkit.backtest.result import Result
from quantkit.backtest.thinning import thin
from quantkit.errors import ConfigError
from tests.backtest.factories import random_result


@pytest.fixture(scope="module")
def several() -> Result:
    return random_result(400, 3, monthly=100_000)


@pytest.fixture(scope="module")
def single() -> Result:
    return random_result(400, 1)


def titles(figure: Figure) -> list[str]:
    return [axes.get_title(loc="left") for axes in figure.axes]


def png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=40)
    return buffer.getvalue()


def test_a_run_of_several_names_has_equity_drawdown_exposure_and_names(several: Result) -> None:
    said = titles(several.plot())
    assert [text.split(",")[0] for text in said] == ["Equity", "Drawdown", "Money invested", "Names held"]


def test_a_run_of_one_name_shows_every_fill_on_its_price(single: Result) -> None:
    figure = single.plot()
    price = figure.axes[-1]
    assert "005930" in price.get_title(loc="left")
    marks = np.concatenate([np.asarray(dots.get_offsets()) for dots in price.collections])
    assert len(marks) == len(single.fills)
    assert sorted(marks[:, 1]) == pytest.approx(sorted(single.fills["price"]))


def test_fills_before_a_split_are_drawn_in_the_won_of_the_last_bar() -> None:
    result = random_result(400, 1)
    bars = result.bars
    split = 200
    raw = {name: bars.field(name).copy() for name in ("open", "high", "low", "close", "volume")}
    for name in ("open", "high", "low", "close"):
        raw[name][:split] *= 50
    early = result.run.fills["bar"] < split
    result.run.fills["price"][early] *= 50
    actions = [{"symbol": "005930", "ex_date": str(bars.days[split].astype("datetime64[D]")), "kind": "split",
                "price_factor": 50.0, "share_ratio": 50.0}]  # fmt: skip
    whole = type(bars)(times=bars.times, symbols=bars.symbols, fields=raw, actions=actions)
    figure = Result(bars=whole, run=result.run).plot()
    marks = np.concatenate([np.asarray(dots.get_offsets()) for dots in figure.axes[-1].collections])
    assert sorted(marks[:, 1]) == pytest.approx(sorted(random_result(400, 1).fills["price"]))


def test_a_symbol_may_be_asked_for(several: Result) -> None:
    assert "000660" in titles(several.plot(symbol="000660"))[-1]
    with pytest.raises(ConfigError, match="symbol='999999'"):
        several.plot(symbol="999999")


def test_money_paid_in_and_the_benchmark_have_their_lines(several: Result) -> None:
    legend = several.plot().axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()][2] == "money paid in"


def test_no_glyph_is_missing_with_or_without_a_korean_font(single: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    for found in (fonts._hangul(), None):
        monkeypatch.setattr(fonts, "_hangul", lambda found=found: found)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert png(single.plot())[:4] == b"\x89PNG"


def test_without_a_korean_font_codes_stand_for_names(single: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "_hangul", lambda: None)
    figure = single.plot()
    assert titles(figure)[-1].startswith("005930,")
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert legend.get_texts()[1].get_text() == "benchmark"
    assert fonts.drawable("KOSPI 200 ₩", "x") == "KOSPI 200 ₩"
    assert fonts.drawable("코스피", "index") == "index"


def test_settings_of_the_process_are_left_alone(several: Result) -> None:
    before = dict(mpl.rcParams)
    several.plot()
    assert dict(mpl.rcParams) == before


def test_threads_may_draw_at_once(several: Result) -> None:
    with ThreadPoolExecutor(4) as pool:
        pictures = list(pool.map(lambda _: png(several.plot()), range(4)))
    assert len(set(pictures)) == 1


def test_pyplot_is_never_loaded() -> None:
    code = (
        "import sys\n"
        "from tests.backtest.factories import random_result\n"
        "result = random_result(60, 1); result.stats; result.warnings\n"
        "assert 'matplotlib' not in sys.modules, 'figures need no matplotlib'\n"
        "result.plot()\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_hundredfold_gain_is_drawn_on_a_logarithmic_axis() -> None:
    result = random_result(50, 1)
    result.run.equity[:] = np.geomspace(100_000_000, 9_000_000_000, 50).astype(np.int64)
    fresh = Result(bars=result.bars, run=result.run)
    assert fresh.plot().axes[0].get_yscale() == "log"


@pytest.mark.parametrize("size", [1, 2, 999, 1000, 1001, 12_345, 100_000])
def test_thinned_rows_keep_the_extremes_and_the_ends(size: int) -> None:
    values = np.cumsum(np.random.default_rng(1).normal(size=size))
    rows = thin(values, points=1000)
    assert len(rows) <= 1004
    assert (np.diff(rows) > 0).all()
    assert (rows[0], rows[-1]) == (0, size - 1)
    assert (values[rows].min(), values[rows].max()) == (values.min(), values.max())
