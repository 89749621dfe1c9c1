"""promote and promotions, run as a person runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from quantkit.cli.app import run

RUN = ["--symbols", "AAPL,MSFT", "--cash", "100000"]


@pytest.fixture
def place(tmp_path: Path) -> list[str]:
    """Where this test keeps its promotions."""
    return ["--store", str(tmp_path / "promotions.sqlite")]


def test_a_promotion_shows_every_gate_and_ends_with_1_where_one_is_shut(
    in_demo: Path, sma_cross: str, place: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["promote", sma_cross, "--to", "paper", *RUN, *place]) == 1
    said = capsys.readouterr().out
    for words in ("research -> paper", "no_look_ahead", "run `quantkit walkforward`", "not promoted:"):
        assert words in said
    assert run(["promotions", *place]) == 0
    assert "research -> paper" in capsys.readouterr().out


def test_an_override_promotes_and_the_list_and_one_promotion_show_it(
    in_demo: Path, sma_cross: str, place: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["promote", sma_cross, "--to", "paper", *RUN, *place, "--override", "only to look", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["granted"], made["override"], made["after"]) == (True, "only to look", "paper")
    assert made["pins"]["universe"]["symbols"] == ["AAPL", "MSFT"]
    assert run(["promotions", "--json", "--granted", "--strategy", "SmaCross", *place]) == 0
    listed = json.loads(capsys.readouterr().out)["promotions"]
    assert listed == [made]
    assert run(["promotions", "1", *place]) == 0
    assert "! overridden: only to look" in capsys.readouterr().out
    assert run(["promotions", "1", "--json", *place]) == 0
    assert json.loads(capsys.readouterr().out) == made


def test_live_before_paper_is_refused(
    in_demo: Path, sma_cross: str, place: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["promote", sma_cross, "--to", "live", *RUN, *place]) == 1
    assert "NOT_PROMOTED: SmaCross: it was never promoted" in capsys.readouterr().err


def test_the_limits_of_an_account_are_pinned(
    in_demo: Path, sma_cross: str, place: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    file = tmp_path / "quantkit.toml"
    file.write_text("[accounts.first]\nlimits = { max_weight = 0.25 }\n", encoding="utf-8")
    monkeypatch.setenv("QUANTKIT_CONFIG", str(file))
    given = ["promote", sma_cross, "--to", "paper", *RUN, *place, "--json", "--account", "first"]
    assert run(given) == 1
    assert json.loads(capsys.readouterr().out)["pins"]["limits"]["max_weight"] == 0.25


def test_a_close_that_is_over_cannot_be_promoted(
    in_demo: Path, sma_cross: str, place: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["promote", sma_cross, "--to", "paper", *RUN, *place, "--fill", "close", "--override", "please"]) == 1
    assert "no override opens fill" in capsys.readouterr().out


def test_no_promotions_are_said_to_be_none_and_an_unknown_number_is_an_error(
    place: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["promotions", *place]) == 0
    assert "no promotions in" in capsys.readouterr().out
    assert run(["promotions", "7", *place]) == 1
    assert "no promotion 7" in capsys.readouterr().err
