"""Commands are read on a wide terminal: a narrow one breaks the words of tables."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many columns as tables need."""
    monkeypatch.setenv("COLUMNS", "200")
