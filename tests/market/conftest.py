"""Answers: small CSV files, each row with its source."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# The first example of a law may have to compile a kernel.
settings.register_profile("kernels", deadline=None)
settings.load_profile("kernels")

Answers = Callable[[str], list[dict[str, str]]]


@pytest.fixture(scope="session")
def answers() -> Answers:
    """Reads an answer file by name; every row must say where it is from."""

    def read(name: str) -> list[dict[str, str]]:
        with (Path(__file__).parent / "answers" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert rows
        assert all(row["source"] for row in rows)
        return rows

    return read
