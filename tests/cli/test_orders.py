"""`quantkit orders`, run as a person runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from quantkit.cli.app import run
from quantkit.cli.orders import read_holdings, read_positions
from quantkit.errors import BadData, ConfigError

RUN = ["--symbols", "AAPL,MSFT,IBM", "--cash", "100000"]


def test_the_next_window_is_shown_with_what_is_held_and_watched(
    in_demo: Path, sma_cross: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["orders", sma_cross, *RUN]) == 0
    said = capsys.readouterr().out
    for words in ("opening auction: orders from", "account simulated from", "held", "watched while the session runs"):
        assert words in said


def test_a_real_account_is_sent_what_it_lacks(
    in_demo: Path, sma_cross: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    account = tmp_path / "account.csv"
    account.write_text("종목코드,보유수량,평균단가\nAAPL,20,300\nGOOG,3,\n", encoding="utf-8")
    given = ["orders", sma_cross, *RUN, "--end", "2012-05-08", "--positions", str(account)]
    assert run(given) == 0
    said = capsys.readouterr().out
    for words in ("to be sent", "account as given", "10% around the last close", "! GOOG: not among the bars"):
        assert words in said
    assert run([*given, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [(one["symbol"], one["side"]) for one in document["orders"]] == [("IBM", "buy")]
    assert document["holdings"][0]["shares"] == 20


def test_a_close_that_is_over_is_wrong_usage(in_demo: Path, sma_cross: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["orders", sma_cross, *RUN, "--fill", "close"]) == 2
    assert "no order can be sent for it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "words"),
    [("name,quantity\nA,1\n", "symbol and quantity"), ("symbol,quantity\n005930,1.5\n", "no whole number"),
     ("symbol,quantity\n005930,\n", "no whole number"), ("symbol,quantity\n005930,1\n005930,2\n", "stands twice")],
)  # fmt: skip
def test_a_file_of_holdings_that_is_none_says_why(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "h.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadData, match=words):
        read_holdings(path)


def test_codes_keep_their_zeros_and_prices_may_be_left_out(tmp_path: Path) -> None:
    path = tmp_path / "h.csv"
    path.write_text("Symbol,Quantity\n005930,10\n", encoding="utf-8")
    assert read_holdings(path) == {"005930": (10, None)}


def test_positions_may_stand_on_the_command_line() -> None:
    assert read_positions("005930=10, AAPL=3,") == {"005930": (10, None), "AAPL": (3, None)}
    assert read_positions("none") == {}
    for text, words in (("005930=x", "whole number"), ("=3", "SYMBOL=SHARES"), ("A=1,A=2", "A stands twice")):
        with pytest.raises(ConfigError, match=words):
            read_positions(text)


def test_an_account_of_cash_alone_buys_what_is_wanted(
    in_demo: Path, sma_cross: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["orders", sma_cross, *RUN, "--end", "2012-05-08", "--positions", "none", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["holdings"] == []
    assert document["equity"] == document["cash"] == 100_000
    assert {one["side"] for one in document["orders"]} == {"buy"}
    assert all(one["opens"] < one["closes"] and one["reason"] for one in document["orders"])
