"""The examples in the market's docstrings and on its page run as written."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

from quantkit import market

MODULES = [f"quantkit.market.{module.name}" for module in pkgutil.iter_modules(market.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_run(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_the_market_page_runs_from_top_to_bottom() -> None:
    page = Path(__file__).parents[2] / "docs" / "market.md"
    result = doctest.testfile(str(page), module_relative=False, encoding="utf-8")
    assert result.attempted > 10
    assert result.failed == 0
