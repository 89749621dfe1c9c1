"""Both kinds of database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.journal.places import Place


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A database without a journal of the place's account."""
    where = tmp_path if request.param == "sqlite" else request.getfixturevalue("postgres")
    made = Place(request.param, where)
    yield made
    made.close()
