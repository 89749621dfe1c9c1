"""paper, run as a person runs it: on an emulated exchange, as fast as it can be computed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from quantkit.cli.app import run
from quantkit.live.journal import read_journal, verify
from quantkit.trading.events import Kind
from tests.cli.trades import SYMBOLS, lay_out, promoted

FAST = ["--speed", "max", "--seed", "5", "--tick-seconds", "300"]
RUN = ["paper", "both.py", "--account", "first", "--symbols", SYMBOLS, *FAST]
DAY = ["--from", "2025-10-01", "--to", "2025-10-01"]
TWO = ["--from", "2025-10-01", "--to", "2025-10-02"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with accounts and a strategy that is promoted to paper."""
    monkeypatch.chdir(tmp_path)
    lay_out(tmp_path)
    promoted("paper")
    return tmp_path


def entries(account: str = "first") -> list[Any]:
    journal = read_journal(f"data/journals/{account}.sqlite", account)
    try:
        assert verify(journal).good
        return [recorded.entry for recorded in journal.read()]
    finally:
        journal.close()


def test_a_session_on_paper_trades_the_opening_auction_and_ends_by_itself(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*RUN, *DAY]) == 0, capsys.readouterr().err
    said = capsys.readouterr()
    assert "made-up prices (seed 5)" in said.err
    for words in (
        "paper of Both on first begins",
        "opening auction",
        "buy 000010 filled",
        "bar closed",
        "run ended: over",
    ):
        assert words in said.out
    kinds = [entry.kind for entry in entries()]
    assert kinds.count(Kind.ORDER_FILLED) == 2
    assert kinds[-1] is Kind.RUN_ENDED
    account = json.loads((here / "data/journals/first.paper.json").read_text(encoding="utf-8"))
    assert sorted(account["ledger"]["shares"]) == ["000010", "000020"]
