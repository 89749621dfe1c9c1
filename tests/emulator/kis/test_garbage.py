"""Answers and frames that are broken on purpose, as they look on the wire, and a session that falls silent."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Sequence
from typing import Any

import pytest

from quantkit.emulator.faults import FORMS, Fault, FaultKind, FaultPlan, Strike
from quantkit.emulator.kis.garbage import frames
from quantkit.emulator.session import SECOND
from quantkit.live.clock import SocketLoop, VirtualClock, run_virtual
from tests.emulator.kis.wire import CLOCK, NAME, QUOTES, ear, emulator, wired

K = FaultKind
HEAD = "0|H0STCNT0|"


async def garbled(form: str, *, seed: int = 0) -> tuple[int, bytes, dict[str, Any]]:
    """Status and body of a price whose answer has this form, and the body it should have had."""
    async with emulator() as server, wired(server) as wire:
        asked = {"FID_COND_MRKT_DIV_CODE": "J", "FID_INPUT_ISCD": NAME}
        whole = await wire.get(QUOTES + "inquire-price", "FHKST01010100", **asked)
        server.faults = FaultPlan([Fault(K.GARBAGE, on=("day",), nth=(1,), forms=(form,))], seed=seed)
        broken = await wire.get(QUOTES + "inquire-price", "FHKST01010100", **asked)
        assert server.faults.injected == {K.GARBAGE: 1}
        return broken.status_code, broken.content, dict(whole.json())


@pytest.mark.parametrize("form", [form for form in FORMS[K.GARBAGE] if form != "fields"])
@pytest.mark.parametrize("seed", [1, 4])
async def test_an_answer_of_these_forms_is_no_json(form: str, seed: int) -> None:
    _, body, _ = await garbled(form, seed=seed)
    with pytest.raises(ValueError):  # noqa: PT011  of the codec, or of JSON
        json.loads(body)


async def test_a_page_of_html_comes_with_either_status() -> None:
    found = [await garbled("html", seed=seed) for seed in range(8)]
    assert {status for status, _, _ in found} == {200, 502}
    assert all(body.startswith(b"<html>") for _, body, _ in found)


async def test_an_answer_may_lack_every_other_field() -> None:
    status, body, whole = await garbled("fields")
    found = json.loads(body)
    assert (status, found["rt_cd"]) == (200, "0")
    assert list(found["output"]) == list(whole["output"])[::2]


async def unread(form: str, *, seed: int = 1, feeds: Sequence[str] = ("H0STCNT0",)) -> list[str | bytes]:
    """The first messages of a stream whose trades are broken."""
    async with emulator(start=CLOCK.open - SECOND) as server, ear(server) as mine:
        for feed in feeds:
            await mine.ask(feed, NAME)
        server.faults = FaultPlan([Fault(K.FRAME_GARBAGE, on=("tick",), nth=(1,), forms=(form,))], seed=seed)
        server.pace.skip(40)
        server.advance()
        server.pace.skip(600)
        server.advance()
        return [await mine.socket.recv(decode=False) for _ in range(3)]


async def test_frames_of_trades_break_in_each_form() -> None:
    whole = (await unread("doubled"))[0]
    assert isinstance(whole, bytes)
    text = whole.decode()
    assert text.startswith(HEAD)
    assert (await unread("doubled"))[:2] == [whole, whole]
    assert (await unread("glued"))[0] == whole + whole
    assert whole.startswith(cut := bytes((await unread("cut"))[0]))
    assert len(cut) < len(whole)
    assert bytes((await unread("fields"))[0]).count(b"^") == text.count("^") - 1
    assert b"\xff" in bytes((await unread("bytes"))[0])
    assert bytes((await unread("strange"))[0]).startswith(b"0|H0STXXX0|001|")
    assert bytes((await unread("strange"))[1]).startswith(HEAD.encode())  # the next is whole


async def test_a_notice_breaks_behind_its_seal() -> None:
    async with emulator() as server, wired(server) as wire, ear(server) as mine:
        await mine.ask("H0STCNI9", server.customers[0].hts_id)
        server.faults = FaultPlan([Fault(K.FRAME_GARBAGE, nth=(1,), forms=("bytes",))])
        low = int(server.exchange.issues[NAME].lower)
        for _ in range(2):
            await wire.order("VTTC0012U", price=low)
        first = (await mine.text()).split("|", 3)
        assert first[:3] == ["1", "H0STCNI9", "001"]
        base64.b64decode(first[3], validate=True)
        _, second = await mine.records()
        assert second[0][1] == server.customers[0].account


def test_a_whole_frame_is_needed_to_break_one() -> None:
    for form in FORMS[K.FRAME_GARBAGE]:
        for chance in (0.0, 0.5, 0.999):
            for text in ("0|H0STCNT0|002|a^b^c^d", "1|H0STCNI0|001|QUJD"):
                found = frames(text, Strike(K.FRAME_GARBAGE, 0.0, chance, form))
                assert found == [text, text] if form == "doubled" else text not in found


@pytest.mark.parametrize(("kind", "most"), [(K.SOCKET_STALL, 3), (K.SOCKET_SILENT, 1)])
def test_a_stall_lets_heartbeats_through_and_silence_does_not(kind: K, most: int) -> None:
    async def main(clock: VirtualClock) -> list[str]:
        options = {"machine": asyncio.get_running_loop().time, "speed": 1.0, "beat": 1.0}
        async with emulator(start=CLOCK.open - SECOND, **options) as server, ear(server) as mine:
            await mine.ask("H0STCNT0", NAME)
            server.faults = FaultPlan([Fault(kind, on=("prices",), nth=(1,), seconds=(80.0, 80.0))])
            found = []
            while not found or "PINGPONG" in found[-1]:
                found.append(str(await mine.socket.recv()))
                await mine.socket.pong()
            assert clock.now_ns() - CLOCK.open >= 78 * SECOND
            return found

    found = run_virtual(main, start=CLOCK.open - SECOND, loop_type=SocketLoop)
    assert found[-1].startswith(HEAD)
    assert len(found) == most


async def test_faults_come_from_the_control_endpoint() -> None:
    async with emulator() as server, wired(server) as wire:
        plan = {"faults": [
            {"kind": "garbage", "on": ["submit"], "nth": [1], "forms": ["empty"]},
            {"kind": "frame_garbage", "forms": ["cut"]}, {"kind": "socket_silent", "nth": [1]},
        ]}  # fmt: skip
        assert (await wire.http.post("/emulator/faults", json=plan)).status_code == 200
        assert {fault.kind for fault in server.faults.faults} == {K.GARBAGE, K.FRAME_GARBAGE, K.SOCKET_SILENT}
        bad = await wire.http.post("/emulator/faults", json={"faults": [{"kind": "garbage", "forms": ["burnt"]}]})
        assert (bad.status_code, "burnt" in bad.json()["error"]) == (400, True)
        with pytest.raises(ValueError, match="Expecting value"):
            await wire.order("VTTC0012U")
        assert len((await wire.daily())["output1"]) == 1
