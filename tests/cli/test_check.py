"""`quantkit check`: exit codes, what it prints, and which bars it looks at."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from quantkit.cli.app import run

PEEK = '''
from quantkit import Strategy, param


class Peek(Strategy):
    """Buys before a rise."""

    days: int = param(1, low=1, high=20)

    def targets(self, bars):
        close = bars.frame("close")
        return close.shift(-self.days) > close
'''


@pytest.fixture
def peek(in_demo: Path, tmp_path: Path) -> str:
    path = tmp_path / "peek.py"
    path.write_text(PEEK, encoding="utf-8")
    return str(path)


def test_a_clean_strategy_ends_well(in_demo: Path, sma_cross: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", sma_cross, "--symbols", "AAPL,IBM", "--cuts", "30"]) == 0
    shown = capsys.readouterr().out
    assert "SmaCross(fast=20, slow=60): nothing looks ahead" in shown
    assert "warm-up  59 bars (declared 59)" in shown


def test_a_finding_ends_with_one_and_names_line_and_cause(peek: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", peek, "--symbols", "AAPL", "--param", "days=3", "--cuts", "30"]) == 1
    shown = capsys.readouterr().out
    assert "1. lookahead in targets: negative shift of 3 bars (line 12: close.shift(-self.days))" in shown
    assert all(len(line) <= 120 for line in shown.splitlines())


def test_json_is_the_report(peek: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["check", peek, "--symbols", "IBM", "--start", "2005", "--end", "2007", "--cuts", "20", "--seed", "4"]
    assert run([*arguments, "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is False
    assert report["seed"] == 4
    assert report["data"]["first"] == "2005-01-03"
    assert report["data"]["last"] == "2007-12-31"
    assert report["findings"][0]["symbol"] == "IBM"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere.py"], 2, "nowhere.py"),
        (["FILE", "--param", "speed=3"], 2, "Peek has no parameter 'speed'"),
        (["FILE", "--symbols", "MSFTX"], 1, "did you mean MSFT?"),
        (["FILE", "--start", "2013-02-25"], 1, "there is nothing to hide; give more bars"),
        (["FILE", "--start", "2010", "--end", "2005"], 2, "--start 2010 is after --end 2005"),
        (["FILE", "--lake", "no/lake"], 2, "no lake at no/lake"),
        (["FILE", "--cuts", "0"], 2, ""),
    ],
)
def test_wrong_usage_is_named(
    peek: str, arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["check", *(peek if one == "FILE" else one for one in arguments)]) == code
    assert message in capsys.readouterr().err
