"""What `docs/kis.md` shows runs as shown, against the emulated servers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from quantkit.brokers.kis.catalogue import CATEGORIES, calls, find
from quantkit.data.bars import Bars
from quantkit.emulator.exchange import BarSource, Exchange, random_bars, session_clock
from quantkit.emulator.kis import KisEmulator
from quantkit.emulator.kis.http import Reply, Request
from quantkit.emulator.session import SECOND
from tests.cli.servers import beside, environment

PAGE = (Path(__file__).parents[3] / "docs" / "kis.md").read_text(encoding="utf-8")
BARS = random_bars(seed=1, symbols=("005930", "069500", "000660"), start="2025-01-02", sessions_count=80)


class Heard(KisEmulator):
    """An emulator that keeps which transactions it was asked for."""

    asked: list[str]

    async def handle(self, request: Request) -> Reply:
        self.asked.append(request.headers.get("tr_id", ""))
        return await super().handle(request)


def abroad(freq: str) -> Bars | None:
    """Two days of a name in New York."""
    days = np.array([20_200, 20_201]) * 86_400_000_000
    fields = {name: np.array([[200.25], [201.5]]) for name in ("open", "high", "low", "close")}
    fields["volume"] = np.array([[1e6], [2e6]])
    return Bars(times=days, symbols=("AAPL",), fields=fields, markets="US", freq="1d") if freq == "1d" else None


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Heard]:
    """The real profile in a thread of its own, an hour into a session; its keys in the environment."""
    today = int(BARS.days[-1])
    made = Heard(
        Exchange(BarSource(BARS, start=today, tick_seconds=60.0)), paper=False, speed=0.0, calls=1_000, blanks=1,
        start=session_clock(today).open + 3600 * SECOND, overseas=abroad,
    )  # fmt: skip
    made.asked = []
    monkeypatch.chdir(tmp_path)
    with beside(made):
        for name, value in {"QUANTKIT_CACHE": str(tmp_path), **environment(made)}.items():
            monkeypatch.setenv(name, value)
        yield made


def test_python_on_the_page_runs_from_top_to_bottom(server: Heard, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    names: dict[str, object] = {"__name__": "page"}
    for block in blocks:
        exec(compile(block, "docs/kis.md", "exec"), names)
        assert capsys.readouterr().out.strip(), block
    asked = {find(each).category for each in server.asked if each}
    assert asked | {"auth"} == set(CATEGORIES)
    assert server.keys.issued == 1  # though its day is long past


def test_every_call_on_the_page_is_in_the_catalogue() -> None:
    named = set(re.findall(r'call\("(\w+)"', PAGE)) | set(re.findall(r"kis (?:call|show) (\w+)", PAGE))
    assert named <= set(calls())
    assert len(named) >= 9
