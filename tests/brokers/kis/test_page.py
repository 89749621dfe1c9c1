"""What `docs/kis.md` shows runs as shown."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from quantkit.brokers.kis.catalogue import CATEGORIES, calls, find
from tests.brokers.kis.server import ACCOUNT, APP_KEY, APP_SECRET, Asked, Kis, Reply, done, serving

PAGE = (Path(__file__).parents[3] / "docs" / "kis.md").read_text(encoding="utf-8")
VALUES = {"n": "12", "d": "20250102", "t": "A"}
KNOWN = {"stck_bsop_date": "20250102", "sll_buy_dvsn_cd": "01", "aspr_acpt_hour": "090000", "ord_tmd": "090000",
         "ord_dt": "20250102", "odno": "1"}  # fmt: skip


def answer(asked: Asked) -> Reply:
    """Whatever is asked for, with every field that KIS publishes."""
    call = find(asked.tr_id)
    blocks = {}
    for block, fields in call.blocks.items():
        row = {field.wire: KNOWN.get(field.wire, "N" if field.wire.endswith("_yn") else VALUES[field.kind])
               for field in fields}  # fmt: skip
        blocks[block] = row
    if "?" in blocks:
        row = blocks.pop("?")
        blocks |= {"output1": row, "output2": row}
    blocks.pop("", None)
    return Reply(done(**{block: [row, row] if call.name == "volume_rank" else row for block, row in blocks.items()}))


@pytest.fixture
def kis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kis]:
    state, ready, over, loop = Kis(fallback=answer), threading.Event(), asyncio.Event(), asyncio.new_event_loop()

    async def serve() -> None:
        async with serving(state):
            ready.set()
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    monkeypatch.chdir(tmp_path)
    said = {"QUANTKIT_CACHE": str(tmp_path), "KIS_APP_KEY": APP_KEY, "KIS_APP_SECRET": APP_SECRET,
            "KIS_IS_PAPER": "false", "KIS_ACCOUNT_NO": f"{ACCOUNT}-01", "KIS_EMULATOR": state.base}  # fmt: skip
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    yield state
    loop.call_soon_threadsafe(over.set)
    thread.join(10)
    loop.close()


def test_python_on_the_page_runs_from_top_to_bottom(kis: Kis, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    names: dict[str, object] = {"__name__": "page"}
    for block in blocks:
        exec(compile(block, "docs/kis.md", "exec"), names)
    assert len(capsys.readouterr().out.splitlines()) >= len(blocks)
    asked = {find(each.tr_id).category for each in kis.asked if each.tr_id}
    assert asked | {"auth"} == set(CATEGORIES)


def test_every_call_on_the_page_is_in_the_catalogue() -> None:
    named = set(re.findall(r'call\("(\w+)"', PAGE)) | set(re.findall(r"kis (?:call|show) (\w+)", PAGE))
    assert named <= set(calls())
    assert len(named) >= 9
