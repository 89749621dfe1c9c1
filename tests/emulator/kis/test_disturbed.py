"""What goes wrong before the first order: tokens, keys of the stream, its opening, its registrations."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from typing import Any

import httpx
import pytest
import websockets

from quantkit.emulator.faults import FORMS, Fault, FaultKind, FaultPlan
from quantkit.emulator.kis import KisEmulator
from tests.emulator.kis.wire import NAME, credentials, ear, emulator, wired

K = FaultKind
TOKEN, APPROVAL = "/oauth2/tokenP", "/oauth2/Approval"


def plan(kind: FaultKind, *on: str, **more: Any) -> FaultPlan:
    """That fault, the first time."""
    return FaultPlan([Fault(kind, on=on, **{"nth": (1,), **more})])


async def asked(server: KisEmulator, path: str) -> httpx.Response:
    me = server.customers[0]
    secret = {"secretkey": me.appsecret} if path == APPROVAL else {}
    async with httpx.AsyncClient(base_url=server.rest, timeout=2.0) as http:
        return await http.post(path, json=credentials(me, **secret))


async def silent(server: KisEmulator, request: Coroutine[Any, Any, object]) -> None:
    """Ask until the fault has struck, and hear nothing."""
    task = asyncio.create_task(request)
    while not server.faults.struck:
        await asyncio.sleep(0.001)
    for _ in range(5):
        await asyncio.sleep(0.001)
    assert not task.done()
    task.cancel()
    await asyncio.wait([task])


@pytest.mark.parametrize(("path", "on"), [(TOKEN, "token"), (APPROVAL, "approval")])
async def test_a_key_that_is_lost_on_its_way_there_was_not_made_and_on_its_way_back_it_was(path: str, on: str) -> None:
    async with emulator() as server:
        for kind, made in ((K.REQUEST_LOST, 0), (K.ANSWER_LOST, 1)):
            server.faults = plan(kind, on)
            await silent(server, asked(server, path))
            assert len(server.keys._approvals) + server.keys.issued == made
            assert server.faults.struck == {on: 1}


@pytest.mark.parametrize("path", [TOKEN, APPROVAL])
async def test_a_server_in_trouble_says_so_in_oauth_s_own_words(path: str) -> None:
    async with emulator() as server:
        server.faults = plan(K.SERVER_ERROR, "token", "approval")
        answer = await asked(server, path)
        assert (answer.status_code, set(answer.json())) == (500, {"error_code", "error_description"})


async def test_a_token_a_minute_is_what_a_limit_of_tokens_is() -> None:
    async with emulator() as server:
        server.faults = plan(K.RATE_LIMITED, "token", "approval")
        answer = await asked(server, TOKEN)
        assert (answer.status_code, answer.json()["error_code"]) == (403, "EGW00133")
        assert (await asked(server, TOKEN)).status_code == 200
        server.faults = plan(K.RATE_LIMITED, "token", "approval")
        assert (await asked(server, APPROVAL)).json()["error_code"] == "EGW00201"


@pytest.mark.parametrize("form", FORMS[K.GARBAGE])
async def test_a_key_s_answer_can_be_garbage_in_every_form(form: str) -> None:
    async with emulator() as server:
        good = set((await asked(server, APPROVAL)).json())
        server.faults = plan(K.GARBAGE, "approval", forms=(form,))
        answer = await asked(server, APPROVAL)
        try:
            told = set(json.loads(answer.content))
        except ValueError:
            return
        assert form == "fields"
        assert told <= good


async def test_a_late_token_comes_when_its_seconds_are_over() -> None:
    async with emulator(speed=100.0) as server:
        server.faults = plan(K.ANSWER_LATE, "token", seconds=(20.0, 20.0))
        begun = server.pace.now()
        assert (await asked(server, TOKEN)).status_code == 200
        assert server.pace.now() - begun >= 20e9


async def test_a_token_that_ends_early_is_dead_until_another_is_made_a_minute_later() -> None:
    async with emulator() as server, wired(server) as wire:
        first = wire.token
        server.faults = plan(K.TOKEN_REVOKED, "orders")
        codes = [(await wire.daily())["msg_cd"] for _ in range(2)]
        assert codes == ["EGW00123", "EGW00121"]
        assert (await asked(server, TOKEN)).json()["error_code"] == "EGW00133"
        server.pace.skip(61)
        await wire.login()
        assert wire.token != first
        assert (await wire.daily())["rt_cd"] == "0"


# --- the opening of the stream ----------------------------------------------------------------------------------------


async def opened(server: KisEmulator) -> websockets.ClientConnection:
    return await websockets.connect(server.stream)


@pytest.mark.parametrize("kind", [K.REQUEST_LOST, K.ANSWER_LOST])
async def test_a_handshake_that_hangs_is_never_answered(kind: FaultKind) -> None:
    async with emulator() as server:
        server.faults = plan(kind, "connect")
        await silent(server, opened(server))
        async with ear(server) as mine:
            assert (await mine.ask("H0STCNT0", NAME))["msg_cd"] == "OPSP0000"


@pytest.mark.parametrize(("kind", "status"), [(K.SERVER_ERROR, 503), (K.RATE_LIMITED, 429), (K.GARBAGE, 200)])
async def test_a_handshake_is_turned_away(kind: FaultKind, status: int) -> None:
    async with emulator() as server:
        server.faults = seeded(kind, early=True)
        with pytest.raises(websockets.InvalidStatus) as problem:
            await websockets.connect(server.stream)
        assert problem.value.response.status_code == status


async def test_a_session_is_closed_as_soon_as_it_is_open() -> None:
    async with emulator() as server:
        server.faults = seeded(K.SERVER_ERROR, early=False)
        socket = await websockets.connect(server.stream)
        with pytest.raises(websockets.ConnectionClosedError):
            await socket.recv()
        assert server.streams.sessions == []


def seeded(kind: FaultKind, *, early: bool) -> FaultPlan:
    """A plan whose first strike happens before anything was done, or after it."""
    found = (FaultPlan([Fault(kind, on=("connect",), nth=(1,))], seed=seed) for seed in range(99))
    return next(each for each in found if (each._strike(0, 1).chance < 0.5) == early)


async def test_a_late_handshake_is_answered_when_its_seconds_are_over() -> None:
    async with emulator(speed=100.0) as server:
        server.faults = plan(K.REQUEST_LATE, "connect", seconds=(20.0, 20.0))
        begun = server.pace.now()
        async with websockets.connect(server.stream):
            assert server.pace.now() - begun >= 20e9


# --- registrations ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "code"), [(K.REQUEST_LOST, "OPSP0000"), (K.ANSWER_LOST, "OPSP0002")])
async def test_a_registration_is_lost_there_or_on_its_way_back(kind: FaultKind, code: str) -> None:
    async with emulator() as server, ear(server) as mine:
        server.faults = plan(kind, "register")
        await mine.send("H0STCNT0", NAME)
        assert (await mine.ask("H0STASP0", NAME))["tr"] == "H0STASP0"  # nothing came before it
        assert (await mine.ask("H0STCNT0", NAME))["msg_cd"] == code


async def test_a_late_acknowledgement_comes_behind_what_it_acknowledges() -> None:
    async with emulator() as server, ear(server) as mine:
        server.faults = plan(K.ANSWER_LATE, "register", seconds=(30.0, 30.0))
        await mine.send("H0STCNT0", NAME)
        assert (await mine.ask("H0STASP0", NAME))["tr"] == "H0STASP0"  # nothing came before it
        server.pace.skip(29)
        server.advance()
        assert (await mine.text()).startswith("0|")
        server.pace.skip(2)
        while (told := await mine.text()).startswith("0|"):
            pass
        assert json.loads(told)["body"]["msg_cd"] == "OPSP0000"


@pytest.mark.parametrize("code", FORMS[K.REGISTRATION_REFUSED])
async def test_a_registration_is_refused_with_each_code(code: str) -> None:
    async with emulator() as server, ear(server) as mine:
        server.faults = plan(K.REGISTRATION_REFUSED, forms=(code,))
        answer = await mine.ask("H0STCNT0", NAME)
        assert (answer["msg_cd"], "output" in answer) == (code, False)
        if code == "OPSP8996":
            assert (answer["rt_cd"], answer["tr"]) == ("9", "(null)")
            with pytest.raises(websockets.ConnectionClosed):
                await mine.text()
        else:
            assert (await mine.ask("H0STCNT0", NAME))["msg_cd"] == "OPSP0000"


async def test_a_registration_is_acknowledged_twice() -> None:
    async with emulator() as server, ear(server) as mine:
        server.faults = plan(K.REGISTRATION_DUPLICATED)
        first = await mine.ask("H0STCNT0", NAME)
        assert json.loads(await mine.text())["body"] == {name: first[name] for name in first if name != "tr"}


async def test_an_acknowledgement_can_be_garbage() -> None:
    async with emulator() as server, ear(server) as mine:
        server.faults = plan(K.FRAME_GARBAGE, "register", forms=("cut",))
        await mine.send("H0STCNT0", NAME)
        told = await mine.text()
        with pytest.raises(json.JSONDecodeError):
            json.loads(told)


async def test_a_session_that_has_ended_counts_a_while_longer() -> None:
    async with emulator() as server:
        server.faults = plan(K.SESSION_LINGERS, seconds=(30.0, 30.0))
        async with ear(server) as mine:
            await mine.ask("H0STCNT0", NAME)
        async with ear(server) as mine:
            assert (await mine.ask("H0STCNT0", NAME))["msg_cd"] == "OPSP8996"
        server.pace.skip(31)
        server.advance()
        async with ear(server) as mine:
            assert (await mine.ask("H0STCNT0", NAME))["msg_cd"] == "OPSP0000"


async def test_the_control_endpoint_takes_them_and_says_what_they_concerned() -> None:
    async with emulator() as server, httpx.AsyncClient(base_url=server.rest) as http:
        faults = [
            {"kind": "rate_limited", "on": ["token"], "nth": [1]}, {"kind": "token_revoked", "nth": [9]},
            {"kind": "registration_refused", "forms": ["OPSP0007"], "nth": [1]}, {"kind": "session_lingers"},
            {"kind": "registration_duplicated", "probability": 1.0},
        ]  # fmt: skip
        assert (await http.post("/emulator/faults", json={"faults": faults})).status_code == 200
        await asked(server, TOKEN)
        async with ear(server) as mine:
            assert (await mine.ask("H0STCNT0", NAME))["msg_cd"] == "OPSP0007"
        state = (await http.get("/emulator/state")).json()
        assert state["injected"] == {"rate_limited": 1, "registration_refused": 1, "registration_duplicated": 1}
        assert state["struck"] == {"token": 1, "register": 2}
