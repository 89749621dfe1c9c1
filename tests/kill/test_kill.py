"""A few kills in every run of the tests; `make kill` makes hundreds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest


def campaigns(*options: str) -> list[dict[str, Any]]:
    """Campaigns in a process of their own: it forks, and nothing else may run there."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.kill", "--json", *options],
        capture_output=True, text=True, check=False, timeout=1_500,
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},  # steps of a few names; compiling would take longer than all else
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr[-2_000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def clean(campaigns: list[dict[str, Any]], kills: int) -> None:
    assert campaigns
    for found in campaigns:
        assert found["problems"] == []
        assert (found["doubled"], found["lost"], found["kills"], found["restarts"]) == (0, 0, kills, kills)
        assert found["orders"] > 0


def test_killed_a_few_times_no_order_is_lost_and_none_is_sent_twice() -> None:
    clean(campaigns("--sqlite", "4"), 4)


@pytest.mark.slow
def test_killed_twenty_five_times_on_sqlite() -> None:
    clean(campaigns("--sqlite", "25"), 25)


@pytest.mark.slow
def test_killed_twenty_times_on_postgresql(postgres: str) -> None:
    clean(campaigns("--postgres", "20", "--url", postgres), 20)


@pytest.mark.slow
def test_the_commands_killed_three_times_each_over_kis() -> None:
    clean(campaigns("--kis", "3"), 3)
