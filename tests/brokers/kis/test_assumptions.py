"""The walk over what is assumed of KIS ends, says what it saw, and leaves nothing behind."""

from __future__ import annotations

from quantkit.brokers.kis.assumptions import NOT_TESTABLE, Assumptions, Checked, Heard
from quantkit.brokers.kis.client import KisClient
from quantkit.brokers.kis.rehearsal import ASSUMED
from quantkit.brokers.kis.stream import KisStream
from quantkit.emulator.faults import Fault, FaultKind
from quantkit.emulator.session import SECOND
from quantkit.live.clock import VirtualClock
from tests.brokers.benches import SYMBOL, TEN
from tests.brokers.kis.benches import KisBench, KisPaperBench


def walked(bench_type: type[KisBench], *faults: Fault, closed: bool = False, orders: bool = True) -> dict[str, Checked]:
    """A walk against the emulator, by name; at its end nothing stands."""

    async def main(clock: VirtualClock) -> dict[str, Checked]:
        async with bench_type(clock) as bench:
            if closed:
                await bench.until_closed()
            heard = Heard()
            client: KisClient = bench.client_of(clock, listen=heard)
            bench.fault(*faults)
            async with client:
                stream = KisStream(client, chance=lambda: 0.5)
                walk = Assumptions(client, heard, stream=stream, symbol=SYMBOL, patience=100.0, orders=orders)
                found = [checked async for checked in walk.walk()]
                await stream.close()
            assert not any(each.leaves for each in bench.exchange.orders("kis1"))
            assert all(each.seen and each.assumed for each in found)
            assert len({each.name for each in found}) == len(found)
            return {each.name: each for each in found}

    return bench_type.run(main, start=TEN)  # type: ignore[return-value]


def test_against_the_emulator_everything_that_can_be_seen_is_confirmed() -> None:
    found = walked(KisPaperBench)
    assert set(found) >= set(ASSUMED) | set(NOT_TESTABLE)
    for name, checked in found.items():
        if name in NOT_TESTABLE:
            assert checked.state == "not testable"
    assert [(each.name, each.seen) for each in found.values() if each.state == "refuted"] == []
    assert {name for name, each in found.items() if each.state == "confirmed"} >= set(ASSUMED) | {
        "ACCOUNT_ANSWERS", "CLOCK_AGREES", "DEAD_TOKEN", "SAME_TOKEN", "RATE_HOLDS", "AMOUNTS_WITHOUT_A_NAME",
        "OVERSEAS_OPEN_ORDERS", "PINGS", "MASTER_FILES",
    }  # fmt: skip


def test_real_is_asked_questions_and_never_sends_an_order() -> None:
    found = walked(KisBench)
    assert {found[name].state for name in ASSUMED} == {"not testable"}
    assert found["SAME_TOKEN"].state == "not testable"
    assert found["ACCOUNT_ANSWERS"].state == "confirmed"


def test_a_token_that_somebody_else_asked_for_is_waited_for_once_more() -> None:
    async def main(clock: VirtualClock) -> str:
        async with KisPaperBench(clock) as bench:
            tokens = bench.client.wire.tokens
            first = await tokens.token()
            await clock.sleep_until(clock.now_ns() + 30 * SECOND)
            bench.server.keys._asked[bench.server.customers[0].appkey] = clock.now_ns()  # from another machine
            assert await tokens.again() == first
        return first

    assert KisPaperBench.run(main, start=TEN)  # type: ignore[func-returns-value]


def test_no_orders_means_none() -> None:
    found = walked(KisPaperBench, orders=False)
    assert {found[name].seen for name in ASSUMED} == {"--no-orders"}


def test_a_closed_market_and_a_server_in_trouble_end_no_walk() -> None:
    found = walked(KisPaperBench, closed=True)
    assert "40580000" in found["ORDER_CODES"].seen
    assert found["PINGS"].state == "confirmed"
    found = walked(KisPaperBench, Fault(FaultKind.SERVER_ERROR, probability=1.0))
    assert found["ACCOUNT_ANSWERS"].state == "not testable"
    assert "EGW00302" in found["ACCOUNT_ANSWERS"].seen
    found = walked(KisPaperBench, Fault(FaultKind.CLOCK_SKEW, seconds=(3_600.0, 3_600.0)))
    assert found["CLOCK_AGREES"].state == "refuted"
    assert "+3600" in found["CLOCK_AGREES"].seen
