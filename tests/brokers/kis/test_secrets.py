"""Planted secrets never come out: not in what the wire log hears, not in errors, texts, reprs or tracebacks, not
in what libraries log, not in file names."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Awaitable, Callable

import pytest

from quantkit.brokers.kis.client import KisClient
from quantkit.errors import QuantkitError
from quantkit.trading.orders import Side
from tests.brokers.kis.conftest import Bench, Opened
from tests.brokers.kis.server import ACCOUNT, APP_KEY, APP_SECRET, Reply, done, refused

PRICE = ("GET", "/uapi/domestic-stock/v1/quotations/inquire-price", "FHKST01010100")
ORDER = ("POST", "/uapi/domestic-stock/v1/trading/order-cash", "TTTC0012U")
LIST = ("GET", "/uapi/domestic-stock/v1/trading/inquire-balance", "TTTC8434R")
PLANTED = (APP_KEY, APP_SECRET, ACCOUNT, "eyJ0eXAi.token", "planted-hts-id", "4a1b2c3d-approval")
TELLING = f"계좌 {ACCOUNT} {ACCOUNT}-01 {ACCOUNT}01 key {APP_KEY} secret {APP_SECRET} planted-hts-id"


def clean(text: str) -> None:
    for secret in PLANTED:
        assert secret not in text, f"{secret[:12]}... in {text[:300]}"


async def failing(work: Awaitable[object]) -> bool:
    """What a call that fails shows: its error, its trail, and the errors that it hides behind it. Whether it failed."""
    try:
        await work
    except QuantkitError as problem:
        clean(f"{problem} {problem!r}")
        clean("".join(traceback.format_exception(problem)))
        clean(f"{problem.__cause__}")
        hidden = problem.__context__
        while hidden is not None:
            clean(f"{hidden} {hidden!r}")
            hidden = hidden.__context__
        return True
    return False


CALLS: list[Callable[[KisClient], Awaitable[object]]] = [
    lambda client: client.price("005930"),
    lambda client: client.balance(),
    lambda client: client.submit("005930", Side.BUY, 1, price=100.0),
    lambda client: client.call("inquire_price", market="J", symbol="005930"),
    lambda client: client.call("inquire_price", market="J"),
    lambda client: client.approval_key(),
    lambda client: client.wire.tokens.token(),
]
FAULTS = [
    Reply(fault="close"), Reply(fault="cut", body=done()), Reply(TELLING.encode(), 502), Reply(TELLING.encode()),
    Reply(refused("APBK0918", TELLING)), Reply(refused("EGW00002", TELLING), 500),
    Reply(refused("EGW00123", TELLING), 500),
    Reply(refused("EGW00201", TELLING), 500), Reply(refused("OPSQ2000", TELLING), 500), Reply(done(output=TELLING)),
    Reply(done(output={"stck_prpr": TELLING, "acml_vol": "1", "odno": TELLING}, output1=[{"pdno": TELLING}])),
    Reply(done(output={"stck_prpr": "1", "acml_vol": "1", "ODNO": "1"}, output2=[{"dnca_tot_amt": "1"}])),
]  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.status}{fault.fault}")
async def test_nothing_that_goes_wrong_tells_a_secret(
    opened: Opened, fault: Reply, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    async with opened() as bench:
        for place in (PRICE, ORDER, LIST):
            bench.kis.at(*place, fault)
        failed = 0
        for call in CALLS:
            client = bench.client()
            failed += await failing(call(client))
            clean(repr(client))
            bench.clock.now += 200 * 10**9
        assert failed >= 2  # one of the calls lacks a field
        _check(bench)
    clean(caplog.text)
    clean("".join(capfd.readouterr()))


@pytest.mark.parametrize("reply", [
    Reply({"error_code": "EGW00103", "error_description": TELLING}, 403), Reply(TELLING.encode(), 500),
    Reply({"access_token": ""}), Reply(fault="close"),
    Reply({"error_code": "EGW00133", "error_description": TELLING}, 403),
])  # fmt: skip
async def test_a_token_that_is_not_given_tells_no_secret(opened: Opened, reply: Reply) -> None:
    async with opened() as bench:
        bench.kis.token_reply = reply
        failed = [await failing(call(bench.client())) for call in CALLS]
        assert failed == [True] * 5 + [False, True]  # a key for the stream takes no token
        _check(bench)


async def test_what_went_well_tells_no_secret_either(opened: Opened) -> None:
    async with opened() as bench:
        bench.kis.at(*ORDER, Reply(done("APBK0013", TELLING, output={"ODNO": "1"})))
        client = bench.client()
        accepted = await client.submit("005930", Side.BUY, 1, price=100.0)
        key = await client.approval_key()
        clean(f"{accepted} {key} {key!r} {client.wire.tokens!r} {client.account!r} {client.server!r}")
        _check(bench)
        assert [each.transaction for each in bench.heard] == ["/oauth2/tokenP", ORDER[2], "/oauth2/Approval"]
        assert '"CANO": "***"' in bench.heard[1].request


def _check(bench: Bench) -> None:
    for told in bench.heard:
        clean(repr(told))
    for path in bench.folder.iterdir():
        clean(path.name)
