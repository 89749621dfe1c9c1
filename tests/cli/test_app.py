"""Exit codes and what a person sees when something fails."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from quantkit.cli import app, console, demo
from quantkit.errors import BadData, Bug, ConfigError, Refused
from quantkit.progress import Countdown, shown


def fail_with(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    def raise_it() -> None:
        raise error

    monkeypatch.setattr(demo, "sample_prices", raise_it)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ConfigError("--lake x: no"), 2, "error: --lake x: no"),
        (BadData("row 3: close -1"), 1, "error: row 3: close -1"),
        (Refused("LIMIT_PRICE", "too far"), 1, "error: LIMIT_PRICE: too far"),
        (Bug("cannot be"), 1, "error: unexpected Bug: cannot be; add --debug to see where"),
        (ValueError("two\nlines"), 1, "error: unexpected ValueError: two lines; add --debug to see where"),
        (KeyError(), 1, "error: unexpected KeyError: no message; add --debug to see where"),
        (OSError(28, "No space left on device", "data/lake"), 1, "error: No space left on device: data/lake"),
        (KeyboardInterrupt(), 130, "error: interrupted"),
    ],
)
def test_an_error_is_one_line_and_a_code(
    error: BaseException, code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fail_with(error, monkeypatch)
    assert app.run(["demo"]) == code
    seen = capsys.readouterr()
    assert seen.out == ""
    assert seen.err.strip() == said


@pytest.mark.parametrize("place", [0, 1])
def test_debug_shows_the_traceback_wherever_it_stands(
    place: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fail_with(ValueError("odd"), monkeypatch)
    arguments = ["demo"]
    arguments.insert(place, "--debug")
    assert app.run(arguments) == 1
    seen = capsys.readouterr().err
    assert "Traceback (most recent call last)" in seen
    assert seen.strip().endswith("error: unexpected ValueError: odd")


@pytest.mark.parametrize("arguments", [["--nonsense"], ["nonsense"], ["backtest", "--nonsense"], ["compare", "one"]])
def test_wrong_usage_is_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(arguments) == 2
    assert "Usage: quantkit" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["--help"], ["demo", "-h"], ["backtest", "--help"], ["compare", "--help"], ["data", "--help"]]
)
def test_every_command_has_help(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(arguments) == 0
    assert "Usage: quantkit" in capsys.readouterr().out


def test_python_m_quantkit_is_the_same_command() -> None:
    done = subprocess.run([sys.executable, "-m", "quantkit", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("quantkit ")


def test_json_has_null_where_a_figure_is_undefined_and_keeps_korean_readable() -> None:
    text = console.json_text({"sharpe": float("nan"), "name": "삼성전자", "days": (1, 2)})
    assert "삼성전자" in text
    assert json.loads(text) == {"sharpe": None, "name": "삼성전자", "days": [1, 2]}


def test_progress_is_silent_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    with shown(True, "ingest") as advance:
        advance(1, 2)
    assert capsys.readouterr() == ("", "")


def test_warming_up_says_what_was_compiled_and_where_it_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["warmup", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"seconds", "compiled", "loaded", "folder"}
    assert app.run(["warmup"]) == 0
    assert found["folder"] in capsys.readouterr().out


@pytest.mark.parametrize(("terminal", "lines", "shown"), [
    (True, False, "\rwait: 61 s left\rwait: 9 s left \r              \r"), (False, False, "wait: 61 s left\n"),
    (True, True, "wait: 61 s left\n"),
])  # fmt: skip
def test_who_waits_sees_how_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], terminal: bool, lines: bool, shown: str
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    tell = Countdown("wait", lines=lines)
    for left in (61.0, 9.0, 0.0):
        tell(left)
    tell(0.0)  # nothing was waited for: nothing is written
    found = capsys.readouterr()
    assert (found.out, found.err) == ("", shown)
