"""Where rules come from: files, notebook cells and texts; compiled once, and never stale."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantkit import Bars, Strategy, backtest, load_strategy
from quantkit.data.bars import midnights
from quantkit.strategy import compiling
from quantkit.strategy.rules import context_type

pytestmark = pytest.mark.skipif(
    os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"), reason="nothing compiles with NUMBA_DISABLE_JIT"
)

RULE = """
from quantkit import Strategy, param
from helper import STEP, wanted

BASE = 1

class Buys(Strategy):
    more: int = param(0)

    def on_bar(self, ctx):
        ctx.target_shares(0, BASE + wanted(STEP) + self.more)
"""
HELPER = (
    "STEP = 10\ndef wanted(x):\n    return twice(x)\ndef twice(x):\n    return 2 * x if x < 100 else twice(x - 1)\n"
)


@pytest.fixture(scope="module")
def bars() -> Bars:
    return flat(5, 1)


def flat(rows: int, names: int) -> Bars:
    ones = {name: np.full((rows, names), 1000.0) for name in ("open", "high", "low", "close", "volume")}
    return Bars(times=midnights(np.arange(17_000, 17_000 + rows)), symbols=tuple("ABC"[:names]), fields=ones)


def shares(strategy: Strategy, bars: Bars) -> int:
    return int(backtest(strategy, bars).run.state.names["shares"][0])


def native(cls: Any) -> Any:
    return compiling.compiled(cls, context_type(cls, ())).dispatcher


def write(folder: Path, rule: str = RULE, helper: str = HELPER) -> str:
    (folder / "rule.py").write_text(rule, encoding="utf-8")
    (folder / "helper.py").write_text(helper, encoding="utf-8")
    return str(folder / "rule.py")


def test_a_class_is_compiled_once_whatever_its_parameters_and_the_panel(tmp_path: Path, bars: Bars) -> None:
    cls = load_strategy(write(tmp_path))
    found = {more: shares(cls(more=more), bars) for more in range(5)}
    assert found == {more: 21 + more for more in range(5)}
    first = native(cls)
    assert shares(cls(), flat(9, 3)) == 21
    assert native(cls) is first
    assert len(first.overloads) == 1


def test_another_process_finds_the_compiled_rule_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cls = load_strategy(write(tmp_path))
    for count in ("cache_misses", "cache_hits"):
        monkeypatch.setattr(compiling, "_known", {})  # as in a new process
        assert sum(getattr(native(cls).stats, count).values()) == 1


@pytest.mark.parametrize(
    ("rule", "helper", "expected"),
    [
        (RULE.replace("BASE = 1", "BASE = 2"), HELPER, 22),
        (RULE, HELPER.replace("STEP = 10", "STEP = 11"), 23),
        (RULE, HELPER.replace("2 * x", "3 * x"), 31),
    ],
    ids=["a constant of the file", "a constant beside it", "a function called by a function beside it"],
)
def test_a_change_is_never_answered_with_old_code(
    tmp_path: Path, bars: Bars, rule: str, helper: str, expected: int
) -> None:
    assert shares(load_strategy(write(tmp_path))(), bars) == 21
    assert shares(load_strategy(write(tmp_path, rule, helper))(), bars) == expected
    assert shares(load_strategy(write(tmp_path))(), bars) == 21


def test_a_rule_without_a_file_runs(bars: Bars) -> None:
    scope: dict[str, Any] = {}
    exec(RULE.replace("from helper import STEP, wanted", HELPER), scope)
    assert shares(scope["Buys"](more=1), bars) == 22


def test_a_value_from_around_the_class_is_part_of_it(bars: Bars) -> None:
    def made(amount: int) -> Strategy:
        class Around(Strategy):
            def on_bar(self, ctx: Any) -> None:
                ctx.target_shares(0, amount)

        return Around()

    assert [shares(made(amount), bars) for amount in (3, 4, 3)] == [3, 4, 3]


CELLS = """
import numpy as np
from IPython.core.interactiveshell import InteractiveShell
from tests.test_rules_sources import HELPER, RULE, flat, native, shares

shell = InteractiveShell.instance()
cell = RULE.replace("from helper import STEP, wanted", HELPER)
for more, text in enumerate([cell, cell, cell.replace("BASE = 1", "BASE = 5")]):
    assert shell.run_cell(text).success
    print(shares(shell.user_ns["Buys"](), flat(5, 1)), end=" ")
"""


def test_a_notebook_cell_runs_and_runs_again_changed(tmp_path: Path) -> None:
    pytest.importorskip("IPython", reason="notebooks need the notebook extra")
    settings = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "IPYTHONDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", CELLS], capture_output=True, text=True, check=False, env=settings)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["21", "21", "25"]
