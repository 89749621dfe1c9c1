"""A holdout: fixed when declared, opened once a version, every look on the record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import quantkit as qk
from quantkit import Bars, Lake, Policy, Strategy, backtest, holdout, param, ta
from quantkit.errors import BadData, ConfigError
from tests.backtest.factories import random_bars
from tests.data.lake_data import prices


class Above(Strategy):
    """In while the close is above its mean."""

    window: int = param(10, low=2, high=60)

    def targets(self, bars: Bars) -> Any:
        if self.window == 13:
            raise ZeroDivisionError("thirteen")
        return bars.close > ta.sma(bars.close, self.window)


@pytest.mark.parametrize(
    ("size", "start"),
    [("1Y", "2018-12-03"), ("6M", "2019-06-03"), (100, "2019-07-16"), ("100D", "2019-07-16"), (0.2, "2019-07-16"),
     ("2019-03-02", "2019-03-04")],
)  # fmt: skip
def test_a_holdout_begins_where_its_size_says(size, start, tmp_path: Path):
    bars = random_bars(500)
    held = holdout(bars, size, home=tmp_path)
    assert held.start == start
    assert str(held.research.index[-1].date()) < start
    assert len(held.research) + held.sessions == 500
    assert repr(held) == f"<Holdout from {start}, {held.sessions} sessions, never opened>"


def test_what_was_declared_stays_when_bars_come(tmp_path: Path):
    first = holdout(random_bars(500), "1Y", home=tmp_path)
    later = holdout(random_bars(600), "1Y", home=tmp_path)
    assert later.start == first.start
    assert later.sessions == first.sessions + 100
    with pytest.raises(ConfigError, match=r"declared as 1Y and begins on 2018-12-03.*a holdout that moves is none"):
        holdout(random_bars(500), "2Y", home=tmp_path)
    assert holdout(random_bars(500), "6M", home=tmp_path, name="other").start == "2019-06-03"


def test_each_version_opens_it_once_and_every_look_counts(tmp_path: Path):
    bars = random_bars(500)
    held = holdout(bars, "1Y", home=tmp_path)
    one = held.open(Above(), cash=50_000_000)
    plain = backtest(Above(), bars, start=held.start, cash=50_000_000)
    assert one.equity.equals(plain.equity)
    assert one.manifest["holdout"]["opening"] == 1
    assert one.warnings[0].startswith("This is the first opening")
    with pytest.raises(ConfigError, match=r"Above\(window=10\) opened this holdout on 20.*total_return.*may once"):
        held.open(Above())
    two = held.open(Above(window=20))
    assert (two.manifest["holdout"]["opening"], two.manifest["holdout"]["versions_before"]) == (2, 1)
    assert "opening 2 of the holdout: one other version has been looked at before" in two.warnings[0]
    assert "opening 2 of the holdout" in two.report(tmp_path / "two.html").read_text(encoding="utf-8")
    assert "opening 2 of the holdout" in two.verdict().text
    assert [point.stands for point in one.verdict().points if point.name == "holdout"] == [True]
    three = holdout(random_bars(500), "1Y", home=tmp_path).open(Above(), policy=Policy(stop_loss=0.1))
    assert "2 other versions" in three.warnings[0]
    assert [look["params"]["window"] for look in held.openings] == [10, 20, 10]
    assert held.openings[0]["figures"]["total_return"] == one.figures["total_return"]
    assert "opened 3 times" in repr(held)


def test_a_look_that_crashed_may_be_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    held = holdout(random_bars(300), 100, home=tmp_path)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            held.open(Above(window=13))
    assert [look["figures"] for look in held.openings] == [None]
    assert held.open(Above()).manifest["holdout"]["versions_before"] == 1


def test_the_record_of_a_lake_lies_in_its_folder(tmp_path: Path):
    lake = Lake(tmp_path / "lake")
    lake.ingest(prices(("000010", "000020"), count=150), market="KOSPI")
    held = holdout(lake.bars(), "2M")
    assert held.path == tmp_path / "lake" / "holdout.sqlite"
    assert holdout(lake.bars(["000010"]), "2M").start == held.start
    held.open(Above())
    assert lake.tables() == ("bars_1d", "calendar", "instruments")
    other = holdout(random_bars(300), 50)
    assert other.path.parent != held.path.parent


@pytest.mark.parametrize("size", ["9Y", 300, 0, -1, True, 1.5, 0.0, "2X", "2031-01-01", "2001-01-01"])
def test_a_size_that_leaves_nothing_is_refused(size, tmp_path: Path):
    with pytest.raises(ConfigError):
        holdout(random_bars(300), size, home=tmp_path)


def test_wrong_arguments_are_named(tmp_path: Path):
    with pytest.raises(ConfigError, match="give Bars"):
        holdout([1, 2], "1Y")  # type: ignore[arg-type]
    with pytest.raises(BadData, match="no bars"):
        holdout(random_bars(300).slice(0, 0), "1Y")
    held = qk.holdout(random_bars(300), 100, home=tmp_path)
    with pytest.raises(ConfigError, match="opened whole"):
        held.open(Above(), end="2018-12-01")
    with pytest.raises(ConfigError, match="an instance of a Strategy class"):
        held.open(Above)  # type: ignore[arg-type]
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be used"):
        holdout(random_bars(300), 100, home=tmp_path / "file")
