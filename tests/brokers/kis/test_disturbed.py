"""The client where tokens, keys of the stream, its opening and its registrations go wrong: nothing is sent without a
token, an error says that it may be tried again, and the next attempt comes through."""

from __future__ import annotations

import asyncio

import pytest

from quantkit.emulator.faults import CONCERNS, FORMS, Fault, FaultKind
from quantkit.errors import RetryLater
from tests.brokers.contract import standing
from tests.brokers.kis.benches import ACCOUNT, KisBench
from tests.brokers.kis.test_broker import ORDER, fresh, on

K = FaultKind
HARMLESS = (K.REGISTRATION_DUPLICATED, K.TOKEN_EXPIRED, K.TOKEN_REVOKED)
READABLE = (("approval", "fields"), ("token", "fields"), ("register", "doubled"), ("register", "OPSP0011"))
"""What is left of them says enough; a dead key of the stream is renewed at once."""


def faults(*what: str) -> list[Fault]:
    """Every kind that may concern it, in every form, the first time."""
    return [
        Fault(kind, on=(each,), nth=(1,), seconds=(40.0, 40.0), forms=(form,) if form else ())
        for each in what
        for kind in FaultKind
        if each in CONCERNS[kind] and kind not in HARMLESS
        for form in FORMS.get(kind, ("",))
        if (each, form) not in READABLE
    ]


def named(value: object) -> str:
    return f"{value.on[0]}-{value.kind}-{''.join(value.forms)}" if isinstance(value, Fault) else ""


@pytest.mark.parametrize("fault", faults("token"), ids=named)
def test_an_order_does_not_leave_without_a_token(fault: Fault) -> None:
    @on()
    async def test(bench: KisBench) -> None:
        await asyncio.sleep(120)
        bench.server.keys.revoke_all()
        bench.fault(fault)
        with pytest.raises(RetryLater):
            await bench.broker.submit(fresh())  # this one learns that the token is dead, or gets no other
        with pytest.raises(RetryLater):
            await bench.broker.submit(fresh())
        assert bench.server.exchange.orders(ACCOUNT) == []
        await asyncio.sleep(120)  # one that came late counts from then on
        ticket = await bench.broker.submit(fresh())
        assert [each.number for each in await standing(bench.broker)] == [ticket.number]
        assert bench.sent(ORDER) == 2  # with the dead token, and with the new one

    test()


@pytest.mark.parametrize("fault", faults("approval", "connect", "register"), ids=named)
def test_the_next_connection_comes_through(fault: Fault) -> None:
    @on()
    async def test(bench: KisBench) -> None:
        await bench.broker.close()
        bench.fault(fault)
        with pytest.raises(RetryLater):
            await bench.broker.connect()
        await bench.broker.connect()
        heard = bench.broker.notices()
        await bench.broker.submit(fresh())
        assert (await anext(heard)).kind == "accepted"
        await heard.aclose()

    test()
