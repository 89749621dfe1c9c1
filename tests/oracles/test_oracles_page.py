"""Every difference on `docs/oracles.md` is shown by a test, and every such test is on the page."""

from __future__ import annotations

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "oracles.md"


def test_the_page_and_the_tests_of_differences_name_each_other() -> None:
    text = PAGE.read_text(encoding="utf-8")
    shown = [
        node.name
        for file in sorted(HERE.glob("test_differences_*.py"))
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    assert sorted(re.findall(r"`(test_\w+)` \|$", text, re.MULTILINE)) == sorted(shown)


def test_the_files_the_page_names_exist() -> None:
    named = re.findall(r"`(test_\w+\.py)`", PAGE.read_text(encoding="utf-8"))
    assert len(named) > 5
    assert [name for name in named if not (HERE / name).exists()] == []
