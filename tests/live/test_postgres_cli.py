"""The commands of a running account, with its journal in a real PostgreSQL: `journal = "postgresql://..."`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from quantkit.cli.app import run
from tests.cli.trades import SETTINGS, SYMBOLS, lay_out, promoted

RUN = ["both.py", "--symbols", SYMBOLS, "--speed", "max", "--seed", "5", "--tick-seconds", "300", "--param",
       "swap=true", "--from", "2025-10-01"]  # fmt: skip


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_database: Callable[[], str]) -> str:
    """A folder whose two accounts keep their journals in one database; its URL."""
    monkeypatch.chdir(tmp_path)
    lay_out(tmp_path)
    url = new_database()
    text = SETTINGS.replace("cash =", f'journal = "{url}"\ncash =')
    Path("quantkit.toml").write_text(text, encoding="utf-8")
    return url


def told(*words: str, capsys: pytest.CaptureFixture[str]) -> Any:
    """What a command that ends well prints as JSON: one document, or its lines."""
    assert run([*words, "--json"]) == 0, capsys.readouterr().err
    text = capsys.readouterr().out
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return [json.loads(line) for line in text.splitlines()]


@pytest.mark.slow
def test_paper_and_live_trade_are_read_and_halted_with_journals_in_postgres(
    here: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    promoted("paper", swap=True)
    promoted("live", account="second", swap=True)
    for command, account in (("paper", "first"), ("live", "second")):
        last = told(command, *RUN, "--account", account, "--to", "2025-10-01", capsys=capsys)[-2]
        assert last["positions"]
        assert told("journal", "verify", "--account", account, capsys=capsys)["good"]
        shown = told("journal", "show", "--account", account, "--kind", "OrderFilled", capsys=capsys)
        assert shown
    assert run(["journal", "export", "fills.csv", "--account", "second", "--projection", "fills"]) == 0
    capsys.readouterr()
    assert len(Path("fills.csv").read_text(encoding="utf-8").splitlines()) > 1
    assert told("halt", "second", "--reason", "a drill", capsys=capsys) is not None
    assert told("live", *RUN, "--account", "second", "--to", "2025-10-02", capsys=capsys)[-2]["modes"] == {
        "Both": "halted"
    }
    assert not list(tmp_path.rglob("*.sqlite-wal"))  # nothing went to a file on the side
