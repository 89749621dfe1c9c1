"""Tokens: asked for rarely, kept on disk, never of the other world."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from quantkit.brokers.kis.codes import Environment
from quantkit.brokers.kis.limiter import SECOND
from quantkit.brokers.kis.server import Account, RealKeys, Server
from quantkit.brokers.kis.tokens import Issued, Tokens, read_issue
from quantkit.brokers.kis.vault import SealedFile, vault_key
from quantkit.errors import BadData, ConfigError, RetryLater
from tests.brokers.kis.conftest import START, JumpClock, Opened, keys
from tests.brokers.kis.server import APP_KEY, Reply, refused

KEY = bytes(range(32))


def store(
    folder: Path, clock: JumpClock, given: list[str], *, environment: Environment = Environment.REAL,
    server: Server | None = None, vault: bytes | None = None, waits: Callable[[float], None] | None = None,
) -> Tokens:  # fmt: skip
    """A store whose server gives token-0, token-1, ... for a day; `given` counts them."""

    async def issue() -> Issued:
        given.append(f"token-{len(given)}")
        await asyncio.sleep(0)
        return Issued(given[-1], clock.now + 86_400 * SECOND)

    server = server or Server.emulated(environment, "http://127.0.0.1:1")
    return Tokens(keys(environment), server, issue=issue, clock=clock, folder=folder, vault_key=vault, waits=waits)


async def test_one_token_serves_everybody_until_shortly_before_its_end(tmp_path: Path) -> None:
    clock, given = JumpClock(), list[str]()
    first, second = store(tmp_path, clock, given), store(tmp_path, clock, given)
    assert set(await asyncio.gather(*(each.token() for each in (first, second) * 5))) == {"token-0"}
    clock.now += (86_400 - 601) * SECOND
    assert await second.token() == "token-0"
    clock.now += 2 * SECOND
    assert [await second.token(), await first.token()] == ["token-1", "token-1"]


async def test_no_second_token_is_asked_for_within_a_minute(tmp_path: Path) -> None:
    clock, given = JumpClock(), list[str]()
    first = store(tmp_path, clock, given)
    first.reject(await first.token())
    with pytest.raises(RetryLater, match=r"in 61 s\. Nothing was sent"):
        await first.token(wait=False)
    assert await first.token() == "token-1"
    assert clock.now == START + 61 * SECOND


async def test_a_clock_that_was_set_back_costs_a_minute_and_no_more(tmp_path: Path) -> None:
    clock, given = JumpClock(), list[str]()
    await store(tmp_path, clock, given).token()
    clock.now -= 7_200 * SECOND
    tokens = store(tmp_path, clock, given)
    tokens.reject(await tokens.token())
    assert await tokens.token() == "token-1"
    assert clock.now == START - 7_200 * SECOND + 61 * SECOND
    clock.now -= 7_200 * SECOND
    assert await tokens.again() == "token-2"
    assert clock.waited == 122 * SECOND


async def test_who_waits_for_a_token_is_told_how_long(tmp_path: Path) -> None:
    clock, given, heard = JumpClock(), list[str](), list[float]()
    tokens = store(tmp_path, clock, given, waits=heard.append)
    assert await tokens.token() == "token-0"
    assert heard == []
    tokens.reject("token-0")
    assert await tokens.token() == "token-1"
    assert heard == [float(left) for left in range(61, -1, -1)]
    heard.clear()
    assert await tokens.again() == "token-2"
    assert heard == [float(left) for left in range(61, -1, -1)]
    assert clock.now == START + 122 * SECOND


async def test_a_token_that_another_process_renewed_is_taken_over(tmp_path: Path) -> None:
    clock, given = JumpClock(), list[str]()
    first, second = store(tmp_path, clock, given), store(tmp_path, clock, given)
    await first.token()
    await second.token()
    clock.now += 100 * SECOND
    first.reject("token-0")
    assert await first.token() == "token-1"
    second.reject("token-0")
    assert await second.token(wait=False) == "token-1"


async def test_while_a_renewal_fails_the_old_token_serves_on(tmp_path: Path) -> None:
    clock, given = JumpClock(), list[str]()
    await store(tmp_path, clock, given).token()

    async def issue() -> Issued:
        raise RetryLater("no answer")

    late = Tokens(keys(), Server.emulated(Environment.REAL, "http://127.0.0.1:1"), issue=issue, clock=clock,
                  folder=tmp_path)  # fmt: skip
    clock.now += (86_400 - 300) * SECOND
    assert await late.token() == "token-0"
    clock.now += 400 * SECOND
    with pytest.raises(RetryLater, match="no answer"):
        await late.token()


async def test_the_file_is_its_owners_and_whole(tmp_path: Path) -> None:
    clock, given = JumpClock(), list[str]()
    tokens = store(tmp_path / "deep" / "folder", clock, given)
    await tokens.token()
    assert stat.S_IMODE(tokens.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(tokens.path.parent.stat().st_mode) == 0o700
    assert {path.suffix for path in tokens.path.parent.iterdir()} == {".json", ".lock"}
    tokens.path.chmod(0o644)
    assert await store(tmp_path / "deep" / "folder", clock, given).token() == "token-0"
    assert stat.S_IMODE(tokens.path.stat().st_mode) == 0o600
    assert APP_KEY not in tokens.path.name + tokens.path.read_text()


async def test_a_file_cut_off_costs_a_token_and_still_no_two_within_a_minute(tmp_path: Path) -> None:
    given = list[str]()
    clock = JumpClock()
    tokens = store(tmp_path, clock, given)
    await tokens.token()
    tokens.path.write_text(tokens.path.read_text()[:40])
    clock.now = int(tokens.path.stat().st_mtime) * SECOND + SECOND
    again = store(tmp_path, clock, given)
    with pytest.raises(RetryLater, match="in 60 s"):
        await again.token(wait=False)
    assert await again.token() == "token-1"


async def test_with_a_vault_key_the_file_is_sealed_to_its_owner(tmp_path: Path) -> None:
    clock, given = JumpClock(), list[str]()
    tokens = store(tmp_path, clock, given, vault=KEY)
    await tokens.token()
    assert set(json.loads(tokens.path.read_text())) == {"sealed"}
    assert await store(tmp_path, clock, given, vault=KEY).token() == "token-0"
    for wrong in (None, bytes(32)):
        with pytest.raises(ConfigError, match="QUANTKIT_VAULT_KEY"):
            await store(tmp_path, clock, given, vault=wrong).token()
    moved = SealedFile(tokens.path, "quantkit|kis|real|other|1", KEY)
    with pytest.raises(ConfigError, match="does not open"):
        moved.read()
    assert len(given) == 1


async def test_an_open_file_is_sealed_once_there_is_a_key(tmp_path: Path) -> None:
    clock, given = JumpClock(), list[str]()
    await store(tmp_path, clock, given).token()
    clock.now += 86_400 * SECOND
    sealed = store(tmp_path, clock, given, vault=KEY)
    assert await sealed.token() == "token-1"
    assert "token-1" not in sealed.path.read_text()


@pytest.mark.parametrize("text", ["00" * 32, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="])
def test_vault_keys_are_hex_or_base64(text: str) -> None:
    found = vault_key({"QUANTKIT_VAULT_KEY": text})
    assert found is not None
    assert len(found) == 32
    assert vault_key({}) is None
    for bad in ("hunter2", "00" * 31, "zz" * 32):
        with pytest.raises(ConfigError, match="expected 32 bytes"):
            vault_key({"QUANTKIT_VAULT_KEY": bad})


async def test_real_and_paper_never_share_a_token(tmp_path: Path) -> None:
    clock, given = JumpClock(), list[str]()
    real, paper = store(tmp_path, clock, given), store(tmp_path, clock, given, environment=Environment.PAPER)
    assert await real.token() != await paper.token()
    assert real.path != paper.path
    paper.path.write_text(real.path.read_text())
    with pytest.raises(ConfigError, match="is not of paper"):
        await store(tmp_path, clock, given, environment=Environment.PAPER).token()


async def test_a_key_that_opened_one_world_is_refused_in_the_other(tmp_path: Path) -> None:
    clock, given = JumpClock(), list[str]()
    official = {kind: Server.official(kind) for kind in Environment}
    await store(tmp_path, clock, given, environment=Environment.PAPER, server=official[Environment.PAPER]).token()
    with pytest.raises(ConfigError, match="has opened the paper server before"):
        await store(tmp_path, clock, given, server=official[Environment.REAL]).token()
    assert len(given) == 1


def test_the_earlier_end_counts_and_seoul_is_nine_hours_ahead() -> None:
    day = {"access_token": "a", "expires_in": 86400, "access_token_token_expired": "2026-01-05 11:00:00"}
    assert read_issue(day, START).expires == START + 3600 * SECOND
    assert read_issue(day | {"access_token_token_expired": "?"}, START).expires == START + 86400 * SECOND
    assert read_issue({"access_token": "a"}, START).expires == START + 3600 * SECOND
    for bad in ({}, {"access_token": ""}, {"access_token": 5}, {"access_token": "토큰"}):
        with pytest.raises(BadData, match="no access_token"):
            read_issue(bad, START)


async def test_over_the_wire_the_minute_is_waited_for_once(opened: Opened) -> None:
    async with opened() as bench:
        bench.kis.token_reply = Reply(
            {"error_description": "접근토큰 발급 잠시 후 다시 시도하세요(1분당 1회)", "error_code": "EGW00133"}, 403
        )
        client = bench.client()
        with pytest.raises(RetryLater, match="EGW00133"):
            await client.wire.tokens.token(wait=False)
        assert bench.clock.waited == 0
        with pytest.raises(RetryLater, match="EGW00133"):
            await client.wire.tokens.token()
        assert len(bench.kis.asked_at("/oauth2/tokenP")) == 3
        assert bench.clock.waited >= 122 * SECOND


async def test_a_wrong_key_says_what_to_change(opened: Opened) -> None:
    async with opened() as bench:
        bench.kis.token_reply = Reply(
            {"error_description": "유효하지 않은 AppKey입니다.", "error_code": "EGW00103"}, 403
        )
        with pytest.raises(ConfigError, match=r"EGW00103.*check KIS_APP_KEY"):
            await bench.client().price("005930")


async def test_a_paper_key_on_the_real_server_says_so_and_its_token_is_thrown_away(opened: Opened) -> None:
    async with opened() as bench:
        bench.kis.at("GET", "/uapi/domestic-stock/v1/quotations/inquire-price", "FHKST01010100",
                     Reply(refused("EGW02004", "실전투자 appkey 가 아닙니다."), 500))  # fmt: skip
        client = bench.client()
        with pytest.raises(ConfigError, match="KIS_IS_PAPER=true"):
            await client.price("005930")
        assert not client.wire.tokens.path.exists()


def test_keys_have_no_text() -> None:
    made = RealKeys(
        app_key=SecretStr("planted-key"), app_secret=SecretStr("planted-secret"), account=Account("73019482")
    )
    assert "planted" not in f"{made!r} {made}"
    assert "73019482" not in f"{made!r} {made}"


async def test_an_order_does_not_wait_behind_a_question_that_waits_for_a_minute(tmp_path: Path) -> None:
    given = list[str]()

    class Standing(JumpClock):
        async def sleep_until(self, at: int) -> None:
            while self.now < at:
                await asyncio.sleep(0)

    clock = Standing()
    tokens = store(tmp_path, clock, given)
    tokens.reject(await tokens.token())
    patient = asyncio.create_task(tokens.token())
    for _ in range(10):
        await asyncio.sleep(0)
    with pytest.raises(RetryLater, match="Nothing was sent"):
        await asyncio.wait_for(tokens.token(wait=False), 5)
    clock.now += 61 * SECOND
    assert await patient == "token-1"
