"""Which rows of `docs/execution.md` a test is about: `@row("first cell", ...)`, found again by reading the tests."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[2] / "docs" / "execution.md"


def row(*cells: str) -> Callable[[Any], Any]:
    """Name the rows, by their first cell, that the decorated test is about."""
    assert cells
    return lambda test: test


def rows_of_the_page() -> set[str]:
    """First cells of all tables that start with "case"."""
    cells, in_cases = set(), False
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        in_cases = line.startswith("| case |") or (in_cases and line.startswith("|"))
        if in_cases and not re.match(r"\| (case \||---)|\|---", line):
            cells.add(line.split(" | ")[0].removeprefix("| "))
    return cells


def rows_with_a_test() -> set[str]:
    """Cells named by `@row` on the tests of this folder."""
    cells = set()
    for file in sorted(Path(__file__).parent.glob("test_*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                for mark in node.decorator_list:
                    if isinstance(mark, ast.Call) and getattr(mark.func, "id", "") == "row":
                        cells |= {ast.literal_eval(cell) for cell in mark.args}
    return cells
