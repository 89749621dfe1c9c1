"""What can be wrong when KIS is asked: from Python and from the command line it is the same error, with KIS's own code
and text and what to do; nothing is sent twice, and no traceback is shown.

Orders have no command of their own: they leave through a strategy alone, so their rows are asked in Python only. What
comes over the stream is at the end; garbage frames of it are in `tests/brokers/kis/test_stream.py`.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from quantkit.brokers.kis import wire
from quantkit.brokers.kis.broker import KisBroker
from quantkit.brokers.kis.client import KisClient
from quantkit.brokers.kis.codes import RATE, Environment
from quantkit.brokers.kis.stream import KisStream
from quantkit.cli.app import run
from quantkit.emulator.faults import Fault, FaultKind, FaultPlan
from quantkit.emulator.kis import KisEmulator
from quantkit.emulator.kis.http import Reply, Request
from quantkit.emulator.session import SECOND
from quantkit.errors import BadData, ConfigError, QuantkitError, Refused, RetryLater
from quantkit.kis import connect
from tests.brokers.contract import BUY, SELL, ask
from tests.cli.servers import environment, serving
from tests.emulator.kis.wire import BARS, CLOCK, NAME, exchange

PRICE = ["inquire_price", "market=J", f"symbol={NAME}"]
MONEY = ["inquire_psbl_order", "PDNO=", "ORD_UNPR=", "ORD_DVSN=00", "CMA_EVLU_AMT_ICLD_YN=N", "OVRS_ICLD_YN=N"]
LAST = float(BARS.raw.close[24, BARS.symbols.index(NAME)])
ASKED: list[str] = []  # paths of requests
Ask = Callable[[KisClient], Awaitable[object]]


@dataclass(frozen=True, kw_only=True)
class Case:
    """ask and command: the same, twice; requests: of that path, in each of the two."""

    error: type[QuantkitError]
    words: tuple[str, ...]
    ask: Ask = lambda client: client.price(NAME)
    command: list[str] | None = field(default_factory=lambda: PRICE)
    keys: dict[str, str] = field(default_factory=dict)
    fault: FaultKind | None = None
    requests: int = 1


def question(fault: FaultKind, error: type[QuantkitError], requests: int, *words: str) -> Case:
    return Case(fault=fault, error=error, requests=requests, words=words)


def refused_order(code: str, words: tuple[str, ...], *given: Any, requests: int = 1, **more: Any) -> Case:
    """An order at 모의투자, in Python."""

    async def send(client: KisClient) -> None:
        broker = KisBroker(client)
        broker._connected = True  # it would ask for money first
        await broker.submit(ask(*given, **more))

    return Case(error=Refused, words=(f"{code}:", *words), ask=send, command=None, requests=requests)


def none_of(client: KisClient) -> Awaitable[object]:
    order = ask(NAME, BUY, 1, LAST)
    object.__setattr__(order, "quantity", 0)
    broker = KisBroker(client)
    broker._connected = True
    return broker.submit(order)


CASES = {
    "a wrong app key": Case(
        keys={"KIS_APP_KEY": "P" * 36}, error=ConfigError, requests=0,
        words=("EGW00103 유효하지 않은 AppKey", "check KIS_APP_KEY"),
    ),
    "a wrong app secret": Case(
        keys={"KIS_APP_SECRET": "s" * 180}, error=ConfigError, requests=0,
        words=("EGW00105 유효하지 않은 AppSecret", "check KIS_APP_SECRET"),
    ),
    "an account of another form": Case(
        keys={"KIS_ACCOUNT_NO": "1234-5678"}, error=ConfigError, requests=0,
        words=("KIS_ACCOUNT_NO", "eight digits and a product of two, such as 12345678-01"),
    ),
    "an account of somebody else": Case(
        keys={"KIS_ACCOUNT_NO": "87654321-01"}, error=ConfigError, ask=lambda client: client.buyable(), command=MONEY,
        words=("APTR0058", "INVALID_CHECK_ACNO", "check KIS_ACCOUNT_NO"),
    ),
    "keys of 모의투자 said to be of 실전": Case(
        keys={"KIS_IS_PAPER": "false"}, error=ConfigError, ask=lambda client: client.buyable(), command=MONEY,
        words=("EGW02006", "KIS_IS_PAPER"),
    ),
    "a server out of reach": Case(
        keys={"KIS_EMULATOR": "http://127.0.0.1:1"}, error=RetryLater, requests=0,
        words=("/oauth2/tokenP: ConnectError", "nothing was sent; is its emulator running?"),
    ),
    "a token that stays dead": question(
        FaultKind.TOKEN_EXPIRED, RetryLater, 2, "EGW00123", "기간이 만료된 token", "the next request has a new token"
    ),
    "a code that is none": Case(
        error=Refused, ask=lambda client: client.price("999999"), command=[*PRICE[:2], "symbol=999999"],
        words=("MCA05918: 종목코드 오류", "check the code"),
    ),
    "what 모의투자 does not have": Case(
        error=Refused, ask=lambda client: client.snapshots([NAME]), requests=0,
        command=["intstock_multprice", "FID_COND_MRKT_DIV_CODE_1=J", f"FID_INPUT_ISCD_1={NAME}"],
        words=("PAPER_UNSUPPORTED:", "is not served on 모의투자"),
    ),
    "too many a second": question(
        FaultKind.RATE_LIMITED, RetryLater, 1, "EGW00201 초당 거래건수를 초과", "ask again", "`rate` is too high"
    ),
    "a server in trouble": question(FaultKind.SERVER_ERROR, RetryLater, 1, "EGW00302", "ask again later"),
    "an answer that is garbage": question(FaultKind.GARBAGE, BadData, 1, "without an answer that can be read"),
    "an order by its call": Case(
        error=Refused, ask=lambda client: client.call("order_cash"), command=["order_cash"], requests=0,
        words=("ORDER_BY_CALL:", "only through the broker"),
    ),
    "a name that is halted": refused_order(
        "INSTRUMENT_BLOCKED", ("90000000 모의투자 주문처리가 안되었습니다(매매불가 종목)", "does not trade now"),
        "000020", BUY, 1, 1_000.0,
    ),
    "a price off its tick": refused_order(
        "PRICE_TICK", ("40310000", "호가단위 오류", "round the price"), NAME, BUY, 1, LAST + 1
    ),
    "a price beyond the day's limits": refused_order(
        "PRICE_LIMIT", ("40310000", "상하한가 오류", "within the day's limits"), NAME, BUY, 1, LAST * 2
    ),
    "more than there is money for": refused_order(
        "INSUFFICIENT_CASH", ("40250000", "주문가능금액이 부족", "buy less"), NAME, BUY, 1_000_000, LAST
    ),
    "more than is held": refused_order(
        "INSUFFICIENT_SHARES", ("40240000", "잔고내역이 없습니다", "sell no more"), NAME, SELL, 1, LAST
    ),
    "an order for a code that is none": refused_order(
        "UNKNOWN_SYMBOL", ("APBK0656 해당종목정보가 없습니다", "check the code"), "999999", BUY, 1, 1_000.0
    ),
    "an order of nothing": Case(
        error=Refused, ask=none_of, command=None, requests=0, words=("BAD_ORDER:", "quantity=0", "nothing was sent")
    ),
    "a venue that 모의투자 does not have": refused_order(
        "PAPER_UNSUPPORTED", ("모의투자 takes no", "NXT"), NAME, BUY, 1, LAST, venue="NXT", requests=0
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def emulated() -> Iterator[KisEmulator]:
    """모의투자 in a session; time stands, and is let pass by the tests."""
    start, market = CLOCK.open + 600 * SECOND, exchange()
    market.advance(start)
    market.halt("000020")
    handle = KisEmulator.handle

    async def counted(self: KisEmulator, request: Request) -> Reply:
        ASKED.append(request.path)
        return await handle(self, request)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(KisEmulator, "handle", counted)
        with serving(market, paper=True, speed=0.0, calls=10**6, start=start) as made:
            yield made


@pytest.fixture
def server(emulated: KisEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KisEmulator:
    """The same without faults, its keys in the environment, and a folder without a token."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QUANTKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("KIS_CONFIG", raising=False)
    monkeypatch.setattr(wire, "TRIES", 1)  # of a question: that it is asked again is tested elsewhere
    monkeypatch.setitem(RATE, Environment.PAPER, 20)
    for name, value in environment(emulated).items():
        monkeypatch.setenv(name, value)
    emulated.faults = FaultPlan()
    later(emulated, tmp_path)
    return emulated


def questions() -> int:
    """How many requests there were since the last time, those for tokens left out."""
    count = sum(path.startswith("/uapi/") for path in ASKED)
    ASKED.clear()
    return count


def later(server: KisEmulator, folder: Path) -> None:
    """Let the last token have been asked for a while ago: KIS gives one a minute."""
    server.pace.skip(120)
    for file in (folder / "cache" / "tokens").glob("*.json"):
        told = json.loads(file.read_text())
        file.write_text(json.dumps(told | {"asked": told["asked"] - 120 * 10**9}))


def fails(case: Case, server: KisEmulator) -> QuantkitError:
    """What Python raises."""

    async def asked() -> None:
        async with connect() as client:
            await case.ask(client)

    if case.fault is not None:
        server.faults = FaultPlan(
            [Fault(case.fault, since="00:00", forms=("html",) if "garbage" in case.fault else ())]
        )
    with pytest.raises(case.error) as problem:
        asyncio.run(asked())
    return problem.value


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_each_is_one_error_with_kis_s_words_and_what_to_do(
    case: Case, server: KisEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in case.keys.items():
        monkeypatch.setenv(name, value)
    if case.fault is FaultKind.TOKEN_EXPIRED:
        asyncio.run(_primed())
        later(server, tmp_path)
    questions()
    problem = fails(case, server)
    assert questions() == case.requests
    assert [word for word in case.words if word not in str(problem)] == []
    if case.command is None:
        return
    later(server, tmp_path)
    assert run(["kis", "call", *case.command]) == (2 if case.error is ConfigError else 1)
    said = capsys.readouterr()
    assert questions() == case.requests
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert [word for word in case.words if word not in said.err] == []


async def _primed() -> None:
    async with connect() as client:
        await client.price(NAME)


def test_an_order_when_the_market_is_closed(server: KisEmulator) -> None:
    now = server.pace.now()
    server.pace.skip((CLOCK.close + 3_600 * SECOND - now) / SECOND)
    problem = fails(refused_order("SESSION_PHASE", (), NAME, BUY, 1, LAST), server)
    server.pace.skip((now - server.pace.now()) / SECOND)
    assert "40580000 모의투자 장종료" in str(problem)
    assert "send it in a phase of the session that takes it" in str(problem)


def test_a_42nd_registration_and_a_feed_of_real_are_refused_before_they_are_sent(server: KisEmulator) -> None:
    async def asked(*wanted: tuple[str, str]) -> None:
        async with connect() as client:
            stream = KisStream(client, chance=lambda: 0.5)
            try:
                await stream.subscribe(await stream.open("records"), wanted)
            finally:
                await stream.close()

    with pytest.raises(ConfigError, match="41 registrations are asked for: KIS gives a session 41 with one for own"):
        asyncio.run(asked(*(("H0STCNT0", f"{number:06d}") for number in range(41))))
    with pytest.raises(Refused, match=r"PAPER_UNSUPPORTED: H0UPCNT0 .* is not served on 모의투자"):
        asyncio.run(asked(("H0UPCNT0", "0001")))
    assert server.streams.sent == 2  # the answers to the registrations of own orders


def test_a_clock_that_is_an_hour_off_is_refuted_by_the_doctor(
    server: KisEmulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert server.customers
    start = CLOCK.open + 600 * SECOND
    plan = FaultPlan([Fault(FaultKind.CLOCK_SKEW, seconds=(3_600.0, 3_600.0), since="00:00")])
    with serving(exchange(), paper=True, speed=50.0, calls=10**6, start=start, faults=plan) as skewed:
        for name, value in environment(skewed).items():
            monkeypatch.setenv(name, value)
        assert run(["doctor", "--broker", "kis", "--symbol", NAME, "--patience", "1", "--no-orders", "--json"]) == 1
    found = {each["name"]: each for each in json.loads(capsys.readouterr().out)["checked"]}
    assert found["CLOCK_AGREES"]["state"] == "refuted"
    assert re.search(r"less ours: \+(35|36)\d\d\.\d s", found["CLOCK_AGREES"]["seen"])
    assert "set it, or keep a time service running" in found["CLOCK_AGREES"]["seen"]
