"""`quantkit drift`, and `promote --to live` with the sessions of an account's journal, as a person runs them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import quantkit as qk
from quantkit.backtest.pieces import Terms
from quantkit.cli.app import run
from quantkit.data.dates import day_text
from quantkit.live.journal import open_journal
from quantkit.live.promote import pins_of
from quantkit.strategy import load_strategy
from tests.backtest.factories import random_bars
from tests.live.journals import Otherwise, journal_of

CODE = '''"""A rule to be traded."""

import numpy as np
from quantkit import Policy, Strategy


class Rises(Strategy):
    """Hold what closed higher than two bars before."""

    policy = Policy(weighting="equal", funding="cash", retry=False)
    warmup = 2

    def targets(self, bars):
        before = np.vstack([np.full((2, bars.shape[1]), np.inf), bars.close[:-2]])[: len(bars)]
        return bars.close > before
'''
FIRST = 16


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A folder with a rule, its prices, and the journal of an account that traded it for 13 sessions."""
    monkeypatch.chdir(tmp_path)
    Path("rule.py").write_text(CODE, encoding="utf-8")
    bars = random_bars(30, 3)
    lines = [
        {"date": day_text(int(bars.days[row])), "symbol": symbol, "market": "KOSPI",
         **{name: float(bars.field(name)[row, s]) for name in ("open", "high", "low", "close", "volume")}}
        for row in range(len(bars)) for s, symbol in enumerate(bars.symbols)
    ]  # fmt: skip
    pd.DataFrame(lines).to_csv("prices.csv", index=False)
    strategy = load_strategy("rule.py")()
    terms = Terms(strategy=strategy, policy=strategy.policy, costs=qk.Costs.kis(), limits=None, fill="next_open",
                  interpret=False)  # fmt: skip
    result = qk.backtest(strategy, bars, cash=10_000_000, costs=qk.Costs.kis(), start=day_text(int(bars.days[FIRST])))
    last = int(result.fills["order_id"].max())
    with_pins = pins_of(strategy)
    journal = open_journal("data/journals", "first", owner="test", now=0)
    journal_of(result, terms, bars, FIRST, otherwise=Otherwise(worse={last: 10.0}), artifact=with_pins.digest,
               journal=journal)  # fmt: skip
    journal.close()
    return ["rule.py", "--data", "prices.csv", "--account", "first"]


def test_a_day_is_shown_with_what_lies_between_and_why(account: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["drift", *account]) == 0
    said = capsys.readouterr().out
    for words in ("account first", "between expected and real equity", "price", "first causes", ", expected "):
        assert words in said
    assert run(["drift", *account, "--html", "reports", "--json"]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    equity = document["equity"]
    assert sum(line["since"] for line in document["bridge"]) == equity["real"] - equity["expected"] != 0
    (page,) = Path("reports").glob("drift-first-*.html")
    assert "Real equity" in page.read_text(encoding="utf-8")


def test_the_backtest_pays_what_the_account_pays(account: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path("quantkit.toml").write_text('[accounts.first]\noptions = { costs = "free" }\n', encoding="utf-8")
    assert run(["drift", *account, "--json"]) == 0
    free = {line["cause"]: line["since"] for line in json.loads(capsys.readouterr().out)["bridge"]}
    assert free["cost"] < 0
    assert run(["drift", *account, "--json", "--costs", "kis"]) == 0
    assert "cost" not in {line["cause"] for line in json.loads(capsys.readouterr().out)["bridge"]}


def test_an_account_without_a_journal_and_a_day_without_a_session_are_errors(
    account: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["drift", *account[:-1], "second"]) == 2
    assert "no journal at" in capsys.readouterr().err
    assert run(["drift", *account, "--date", "2018-01-03"]) == 1
    assert "is no session that rule traded" in capsys.readouterr().err


def test_the_sessions_of_the_journal_are_the_evidence_for_live(
    account: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    usual = [*account, "--store", "promotions.sqlite", "--cash", "10000000", "--override", "a test", "--json"]
    assert run(["promote", *usual, "--to", "paper"]) == 0
    capsys.readouterr()
    assert run(["promote", *usual, "--to", "live"]) == 0
    made = json.loads(capsys.readouterr().out)
    gates = {gate["name"]: gate for gate in made["gates"]}
    assert (gates["sessions"]["passed"], gates["sessions"]["figure"][:2]) == (True, "10")
    assert [gates[name]["passed"] for name in ("decisions", "unresolved", "data", "denials")] == [True] * 4
    assert len(gates["sessions"]["facts"]["record"]) == 10
    assert run(["promotions", "2", "--store", "promotions.sqlite"]) == 0
    said = capsys.readouterr().out
    assert "Decided alike" in said
    Path("rule.py").write_text(CODE + "\n# changed\n", encoding="utf-8")
    assert run(["promote", *usual, "--to", "live"]) == 1
    assert "it is not what was promoted: rule.py changed" in capsys.readouterr().err
