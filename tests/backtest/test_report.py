"""`Result.report()`: one page, complete, closed in itself, and the same for the same run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from quantkit.backtest.charts import Line, chart, date_ticks, log_ticks, value_ticks
from quantkit.backtest.report import render
from quantkit.backtest.result import Result
from quantkit.backtest.wording import money, number, percent, short_money
from quantkit.core.policy import Policy
from quantkit.data.bars import Bars
from quantkit.errors import ConfigError
from quantkit.strategy import Strategy, param
from tests.backtest.factories import random_bars, random_result, random_run, weekdays


class Buyer(Strategy):
    """Buy what is <cheap> & hold it.

    The rest of the page of reasons.
    """

    fast: int = param(20, low=2, high=120)
    policy = Policy(weighting="equal", stop_loss=0.08)

    def targets(self, bars: Bars) -> np.ndarray:
        return bars.close > 0


class Page(HTMLParser):
    """Checks that tags close in order and collects what a reader sees."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.hover: list[dict[str, object]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "meta":
            self.open.append(tag)
        self.hover += [json.loads(value or "") for name, value in attrs if name == "data-hover"]
        assert not {name for name, _ in attrs} & {"src", "href"}

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ("line", "path", "rect")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.seen.append(data)


def read(page: str) -> Page:
    parsed = Page()
    parsed.feed(page)
    parsed.close()
    assert parsed.open == []
    return parsed


@pytest.fixture(scope="module")
def result() -> Result:
    source = random_result(750, 4, monthly=500_000)
    strategy = Buyer()
    assert source.comparison is not None
    return Result(
        bars=source.bars, run=source.run, strategy=strategy, policy=strategy.policy, fill="next_open",
        benchmark=source.comparison.levels, benchmark_name="코스피 200",
        manifest={"strategy": strategy.describe(), "note": "</pre><b>"},
    )  # fmt: skip


@pytest.fixture(scope="module")
def page(result: Result) -> str:
    return render(result)


def test_the_page_is_well_formed_and_needs_nothing_from_outside(page: str) -> None:
    parsed = read(page)
    assert "http" not in page.replace("http-equiv", "")
    assert "url(" not in page
    assert "@import" not in page
    assert len(parsed.hover) == 5


def test_the_page_says_all_that_a_reader_asks_for(result: Result, page: str) -> None:
    text = " ".join(read(page).seen)
    for said in ("Buyer", "Buy what is <cheap> & hold it.", "2018-01-02", "삼성전자", "fast", "stop_loss", "0.08",
                 "Before you believe this", "Sharpe ratio", "Rolling Sharpe ratio", "Worst drawdowns", "코스피 200",
                 "Returns of the sessions", "Where the money went", "Turnover by month", "Regression on 코스피 200",
                 "Newey-West", "Monthly returns", "Costs", "Trades",
                 "locked at the daily price limit", "Held at the end", "Profit by name", "money paid in",
                 "Manifest: what repeats this run", "the next bar's open"):  # fmt: skip
        assert said in text, said
    for warning in result.warnings:
        assert warning in text
    assert "The rest of the page" not in text.split("Manifest:")[0]


def test_text_from_outside_is_escaped(page: str) -> None:
    assert "<cheap>" not in page
    assert "</pre><b>" not in page


def test_a_long_list_of_trades_is_cut_and_says_so(result: Result, page: str) -> None:
    many = len(result.trades)
    assert many < 200
    assert f"{many} round trips; " in page
    longer = random_result(2500, 8)
    text = render(longer)
    assert f"The first 200 of {len(longer.trades):,} round trips" in text
    assert len(re.findall(r"<tr>", text)) < 340


def test_a_page_of_a_million_bars_stays_small() -> None:
    bars = random_bars(1_000_000, 1, freq="5m", drift=0.0)
    page = render(Result(bars=bars, run=random_run(bars.slice(0, 1_000_000), every=1_000)))
    assert len(page.encode()) < 1_500_000


def test_the_same_run_gives_the_same_bytes(result: Result, page: str, tmp_path: Path) -> None:
    assert result.comparison is not None
    again = Result(
        bars=result.bars, run=result.run, strategy=result.strategy, policy=result.policy, fill="next_open",
        benchmark=result.comparison.levels, benchmark_name="코스피 200", manifest=result.manifest,
    )  # fmt: skip
    path = again.report(tmp_path / "report.html")
    assert path.read_text(encoding="utf-8") == page
    assert [found.name for found in tmp_path.iterdir()] == ["report.html"]


def test_a_folder_that_is_not_there_is_named(result: Result, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing/report\.html"):
        result.report(tmp_path / "missing" / "report.html")


def test_one_name_shows_its_price_and_fills() -> None:
    single = random_result(300, 1)
    page = render(single)
    sides = single.fills["side"].value_counts()
    assert page.count('<path class="buy"') == sides["buy"]
    assert page.count('<path class="sell"') + page.count('<path class="stopped"') == sides["sell"]
    assert "005930 삼성전자" in page


def test_a_run_without_trades_has_a_page() -> None:
    bars = random_bars(30, 2)
    run = random_run(bars, every=1000)
    text = " ".join(read(render(Result(bars=bars, run=run))).seen)
    assert "Nothing was ever traded." in text
    assert "No orders." in text


def test_a_single_bar_has_a_page() -> None:
    bars = random_bars(1, 1)
    assert "<svg" in render(Result(bars=bars, run=random_run(bars)))


def test_the_page_is_made_without_matplotlib() -> None:
    code = (
        "import sys\n"
        "from tests.backtest.factories import random_result\n"
        "from quantkit.backtest.report import render\n"
        "render(random_result(60, 2))\n"
        "assert 'matplotlib' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("low", "high", "count", "ticks"),
    [
        (0.0, 1.0, 4, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (-0.4, 0.0, 2, [-0.4, -0.2, 0.0]),
        (98.0, 131.0, 5, [100, 105, 110, 115, 120, 125, 130]),
        (5.0, 5.0, 4, [5.0]),
    ],
)
def test_value_ticks_are_round(low: float, high: float, count: int, ticks: list[float]) -> None:
    assert value_ticks(low, high, count=count) == pytest.approx(ticks)


def test_log_ticks_are_one_two_five() -> None:
    assert log_ticks(90.0, 2_100.0) == [100, 200, 500, 1000, 2000]
    assert log_ticks(90.0, 2_000_000.0) == [100, 1000, 10_000, 100_000, 1_000_000]


@pytest.mark.parametrize(
    ("count", "first", "labels"),
    [
        (5, "2018-01-02", ["Jan 03", "Jan 04", "Jan 05", "Jan 08"]),
        (60, "2018-01-02", ["Jan 08", "Jan 15"]),
        (200, "2018-01-02", ["Feb", "Mar"]),
        (700, "2018-01-02", ["Apr", "Jul", "Oct", "2019"]),
        (2600, "2018-01-02", ["2019", "2020"]),
        (10_000, "1990-01-02", ["1995", "2000"]),
    ],
)
def test_date_ticks_are_the_finest_that_fit(count: int, first: str, labels: list[str]) -> None:
    ticks = date_ticks(weekdays(count, start=first))
    assert [label for _, label in ticks][: len(labels)] == labels
    assert len(ticks) <= 12


def test_a_flat_line_is_drawn_inside_its_panel() -> None:
    picture = chart(np.arange(10), [Line(np.full(10, 3.0), "ours", "flat")], height=100, form="number")
    assert "nan" not in picture
    assert "inf" not in picture


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (percent(-0.0001), "0.0%"),
        (percent(-0.0123), "−1.2%"),
        (percent(float("inf")), "–"),
        (money(-1_234.4), "−₩1,234"),
        (number(1234.5), "1,234.50"),
        (short_money(123_456_789.0), "₩123.5M"),
        (short_money(-2e12, "USD"), "−$2T"),
        (short_money(950.0), "₩950"),
    ],
)
def test_numbers_read_well(text: str, said: str) -> None:
    assert text == said
