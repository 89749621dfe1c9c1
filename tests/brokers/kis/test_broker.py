"""KIS's broker where things go wrong: on the wire, and in what is asked of it. Nothing is sent twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pydantic import SecretStr

from quantkit.brokers.kis.broker import KisBroker
from quantkit.brokers.kis.client import KisClient, Options
from quantkit.brokers.kis.server import Account, RealKeys, Server
from quantkit.brokers.kis.wirelog import LONGEST, WireLog
from quantkit.emulator.faults import FORMS, Fault, FaultKind
from quantkit.emulator.session import SECOND
from quantkit.errors import ConfigError, OutcomeUnknown, Refused, RetryLater
from quantkit.live.clock import SystemClock, VirtualClock
from quantkit.trading.orders import OrderType, TimeInForce
from tests.brokers.benches import PRICE, SHARES, SYMBOL, TEN
from tests.brokers.contract import BUY, SELL, ask, holding, line, standing
from tests.brokers.kis.benches import ACCOUNT, KisBench, KisPaperBench, keys_of

K = FaultKind
ORDER = "order-cash"


class TrustingBench(KisBench):
    """KIS is believed that what it throttled was not executed."""

    options = Options(rate=1_000, trust_throttle=True)


def on(bench: type[KisBench] = KisBench) -> Callable[[Callable[[Any], Awaitable[None]]], Callable[[], None]]:
    """Run a test on a bench, connected, in virtual time."""

    def wrap(test: Callable[[Any], Awaitable[None]]) -> Callable[[], None]:
        def run() -> None:
            async def main(clock: VirtualClock) -> None:
                async with bench(clock) as made:
                    await made.broker.connect()
                    await test(made)
                    await made.broker.close()

            bench.run(main, start=TEN)

        run.__name__, run.__doc__ = test.__name__, test.__doc__
        return run

    return wrap


def fresh(shares: int = 3, price: float = PRICE - 100, **more: Any) -> Any:
    """A buy that rests."""
    return ask(SYMBOL, BUY, shares, price, **more)


async def refusal_of(asked: Awaitable[object]) -> str:
    """The code of a refusal; "" where there was none."""
    try:
        await asked
    except Refused as problem:
        return problem.code
    return ""


# --- on the wire ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "stands"),
    [
        (Fault(K.REQUEST_LOST, on=("submit",), nth=(1,)), 0),
        (Fault(K.ANSWER_LOST, on=("submit",), nth=(1,)), 1),
        (Fault(K.GARBAGE, on=("submit",), nth=(1,)), 1),
        (Fault(K.REQUEST_LATE, on=("submit",), nth=(1,), seconds=(30.0, 30.0)), 1),
        (Fault(K.RATE_LIMITED, on=("submit",), nth=(1,)), 0),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else "",
)
def test_an_order_without_an_answer_is_unknown_and_was_sent_once(fault: Fault, stands: int) -> None:
    @on()
    async def test(bench: KisBench) -> None:
        bench.fault(fault)
        with pytest.raises(OutcomeUnknown):
            await bench.broker.submit(fresh())
        await asyncio.sleep(60)
        assert len(await standing(bench.broker)) == stands
        assert bench.sent(ORDER) == 1

    test()


@pytest.mark.parametrize("form", FORMS[K.GARBAGE])
def test_an_order_whose_answer_is_garbage_was_sent_once_and_is_found(form: str) -> None:
    @on()
    async def test(bench: KisBench) -> None:
        bench.fault(Fault(K.GARBAGE, on=("submit",), nth=(1,), forms=(form,)))
        with pytest.raises(OutcomeUnknown):
            await bench.broker.submit(fresh())
        assert len(await standing(bench.broker)) == 1
        bench.fault(Fault(K.GARBAGE, probability=1.0, forms=(form,)))
        for ask_ in (bench.broker.orders, bench.broker.positions, bench.broker.cash):
            with pytest.raises(RetryLater):
                await ask_()
        with pytest.raises(OutcomeUnknown):
            await bench.broker.cancel(bench.exchange.orders(ACCOUNT)[-1].number, SYMBOL, 3)
        assert bench.sent(ORDER) == 1
        assert bench.sent("order-rvsecncl") == 1

    test()


@on()
async def test_a_server_in_trouble_leaves_the_outcome_open_and_gets_one_request_an_order(bench: KisBench) -> None:
    bench.fault(Fault(K.SERVER_ERROR, on=("submit",), probability=1.0))
    for asked in range(1, 9):
        with pytest.raises(OutcomeUnknown, match="EGW00302"):
            await bench.broker.submit(fresh())
        assert bench.sent(ORDER) == asked
    assert 0 < len(await standing(bench.broker)) < 8  # some were taken, some were not


@on(KisPaperBench)
async def test_an_order_that_met_a_dead_token_goes_again_once(bench: KisBench) -> None:
    await asyncio.sleep(120)  # a token a minute
    bench.fault(Fault(K.TOKEN_EXPIRED, on=("submit",), nth=(1,)))
    ticket = await bench.broker.submit(fresh())
    assert [each.number for each in await standing(bench.broker)] == [ticket.number]
    assert bench.sent(ORDER) == 2
    bench.fault(Fault(K.TOKEN_EXPIRED, on=("submit",), probability=1.0))
    await asyncio.sleep(120)
    with pytest.raises(RetryLater, match="EGW00123"):
        await bench.broker.submit(fresh())
    assert bench.sent(ORDER) == 4  # and not a third time
    assert len(await standing(bench.broker)) == 1


@on()
async def test_a_token_that_dies_within_its_minute_denies_the_order(bench: KisBench) -> None:
    bench.server.keys.revoke_all()
    with pytest.raises(RetryLater, match=r"one token a minute.*Nothing was sent"):
        await bench.broker.submit(fresh())
    await asyncio.sleep(120)
    ticket = await bench.broker.submit(fresh())
    assert [each.number for each in await standing(bench.broker)] == [ticket.number]


@on(TrustingBench)
async def test_a_throttled_order_goes_again_where_kis_is_believed(bench: KisBench) -> None:
    bench.fault(Fault(K.RATE_LIMITED, on=("submit",), nth=(1,)))
    ticket = await bench.broker.submit(fresh())
    assert [each.number for each in await standing(bench.broker)] == [ticket.number]


@on()
async def test_a_fill_before_the_acknowledgement_is_in_the_list_once(bench: KisBench) -> None:
    bench.fault(Fault(K.FILL_FIRST, on=("submit",), nth=(1,), seconds=(5.0, 5.0)))
    ticket = await bench.broker.submit(fresh(10))
    found = await line(bench.broker, ticket.number)
    assert found.filled > 0
    assert await holding(bench.broker, SYMBOL) == SHARES + found.filled


@on()
async def test_a_cancel_that_loses_its_race_takes_off_what_is_left_or_is_refused(bench: KisBench) -> None:
    bench.fault(Fault(K.CANCEL_RACES_FILL, on=("cancel",), probability=1.0))
    refused = 0
    for _ in range(6):
        ticket = await bench.broker.submit(fresh(10))
        code = await refusal_of(bench.broker.cancel(ticket.number, SYMBOL, 10))
        assert code in ("", "NOTHING_LEFT")
        refused += bool(code)
        found = await line(bench.broker, ticket.number)
        assert (found.leaves, found.filled > 0) == (0, True)
        assert found.status == ("filled" if found.filled == 10 else "canceled")
    assert 0 < refused < 6


@on()
async def test_a_cancel_that_comes_too_early_may_be_asked_for_again(bench: KisBench) -> None:
    bench.fault(Fault(K.NOT_TAKEN_YET, probability=1.0, seconds=(1.0, 1.0)))
    ticket = await bench.broker.submit(fresh())
    with pytest.raises(RetryLater, match="has not taken the order yet"):
        await bench.broker.cancel(ticket.number, SYMBOL, 3)
    with pytest.raises(RetryLater, match="has not taken the order yet"):
        await bench.broker.modify(ticket.number, SYMBOL, 3, PRICE - 200)
    assert len(await standing(bench.broker)) == 1
    await asyncio.sleep(1)
    await bench.broker.cancel(ticket.number, SYMBOL, 3)
    assert await standing(bench.broker) == []


@on()
async def test_a_list_that_lags_shows_an_order_later_and_nothing_else(bench: KisBench) -> None:
    await asyncio.sleep(60)
    ticket = await bench.broker.submit(fresh())
    bench.fault(Fault(K.LIST_LAGS, on=("orders",), nth=(1,), seconds=(30.0, 30.0)))
    assert await bench.broker.orders() == []
    assert [each.number for each in await bench.broker.orders()] == [ticket.number]


@on(KisPaperBench)
async def test_a_list_whose_page_is_missing_is_whole_or_an_error(bench: KisBench) -> None:
    for _ in range(20):  # a page has fifteen
        await bench.broker.submit(fresh(1))
    bench.fault(Fault(K.PAGE_MISSING, on=("orders",), nth=(1,)))
    assert len(await bench.broker.orders()) == 20
    bench.fault(Fault(K.PAGE_MISSING, on=("orders",), probability=1.0))
    with pytest.raises(RetryLater, match="다시 조회하세요"):
        await bench.broker.orders()


@on()
async def test_an_old_snapshot_shows_the_account_as_it_was(bench: KisBench) -> None:
    await asyncio.sleep(60)
    await bench.offer(SYMBOL, SELL, PRICE, 50)
    await bench.broker.submit(ask(SYMBOL, BUY, 5, PRICE))
    bench.fault(Fault(K.STALE_SNAPSHOT, on=("positions",), nth=(1,), seconds=(30.0, 30.0)))
    assert await holding(bench.broker, SYMBOL) == SHARES
    assert await holding(bench.broker, SYMBOL) == SHARES + 5


@on()
async def test_a_replacement_by_less_leaves_nothing_at_the_old_price(bench: KisBench) -> None:
    ticket = await bench.broker.submit(fresh(10))
    second = await bench.broker.modify(ticket.number, SYMBOL, 4, PRICE - 200)
    (found,) = await standing(bench.broker)
    assert (found.number, found.leaves, found.price) == (second.number, 4, PRICE - 200)


@on()
async def test_another_process_knows_branch_and_kind_of_an_order_from_the_list(bench: KisBench) -> None:
    ticket = await bench.broker.submit(fresh(10))
    other = KisBroker(bench.client)
    await other.connect()
    await other.cancel(ticket.number, SYMBOL, 10)
    assert await standing(bench.broker) == []
    await other.close()


# --- what is asked ----------------------------------------------------------------------------------------------------


@on()
async def test_refusals_carry_our_code_and_the_brokers_own_words(bench: KisBench) -> None:
    bench.exchange.halt(bench.other)
    for code, theirs, wanted in (
        ("UNKNOWN_SYMBOL", "APBK0656 해당종목정보가 없습니다", ask("999999", BUY, 1, PRICE)),
        ("INSTRUMENT_BLOCKED", "APBK0634 거래정지종목", ask(bench.other, BUY, 1, PRICE)),
        ("PRICE_TICK", "APBK0918 호가단위 오류입니다", ask(SYMBOL, BUY, 1, PRICE + 50)),
        ("INSUFFICIENT_CASH", "APBK0918 주문가능금액을 초과", ask(SYMBOL, BUY, 100_000, PRICE)),
    ):
        before = bench.sent(ORDER)
        with pytest.raises(Refused, match=theirs) as refusal:
            await bench.broker.submit(wanted)
        assert refusal.value.code == code
        assert bench.sent(ORDER) == before + 1
    await bench.until_closed()
    with pytest.raises(Refused, match=r"APBK0918 장운영시간이 아닙니다.*send it in a phase") as refusal:
        await bench.broker.submit(fresh())
    assert refusal.value.code == "SESSION_PHASE"


@on(KisPaperBench)
async def test_paper_says_in_its_own_codes_what_it_does_not_take(bench: KisBench) -> None:
    bench.exchange.halt(bench.other)
    for code, theirs, wanted in (
        ("INSTRUMENT_BLOCKED", "매매불가 종목", ask(bench.other, BUY, 1, PRICE)),
        ("PRICE_TICK", "40310000 .*호가단위 오류", ask(SYMBOL, BUY, 1, PRICE + 50)),
        ("INSUFFICIENT_CASH", "40250000", ask(SYMBOL, BUY, 100_000, PRICE)),
        ("INSUFFICIENT_SHARES", "40240000", ask(SYMBOL, SELL, SHARES + 1, PRICE)),
    ):
        with pytest.raises(Refused, match=theirs) as refusal:
            await bench.broker.submit(wanted)
        assert refusal.value.code == code
    await bench.until_closed()
    with pytest.raises(Refused, match="40580000 모의투자 장종료") as refusal:
        await bench.broker.submit(fresh())
    assert refusal.value.code == "SESSION_PHASE"


@on(KisPaperBench)
async def test_what_cannot_be_right_is_not_sent(bench: KisBench) -> None:
    for code, wanted in (
        ("BAD_ORDER", ask(SYMBOL, BUY, 1, 70_000.123456)),
        ("PAPER_UNSUPPORTED", fresh(venue="NXT")),
        ("PAPER_UNSUPPORTED", fresh(tif=TimeInForce.IOC)),
        ("VENUE", fresh(venue="NYSE")),
        ("ORDER_KIND", ask(SYMBOL, BUY, 1, type=OrderType.FIRST, tif=TimeInForce.IOC)),
    ):
        with pytest.raises(Refused) as refusal:
            await bench.broker.submit(wanted)
        assert refusal.value.code == code
    none = ask(SYMBOL, BUY, 1, PRICE)
    object.__setattr__(none, "quantity", 0)
    with pytest.raises(Refused, match="quantity=0"):
        await bench.broker.submit(none)
    with pytest.raises(Refused, match="모의투자"):
        await bench.client.snapshots([SYMBOL])
    assert bench.sent(ORDER) == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"app_key": SecretStr("P" * 36)}, "EGW00103.*KIS_APP_KEY"),
        ({"app_secret": SecretStr("s" * 180)}, "EGW00105.*KIS_APP_SECRET"),
        ({"account": Account("99999999")}, "APTR0058.*KIS_ACCOUNT_NO"),
    ],
)
def test_wrong_keys_and_accounts_are_refused_before_any_order(change: dict[str, Any], words: str) -> None:
    @on()
    async def test(bench: KisBench) -> None:
        right = keys_of(bench.server, bench.environment)
        told = {name: getattr(right, name) for name in ("app_key", "app_secret", "account")} | change
        client = KisClient(
            RealKeys(**told), clock=bench.clock, folder=bench.folder / "other", options=bench.options,
            server=Server.emulated(bench.environment, bench.server.rest),
        )  # fmt: skip
        async with client:
            with pytest.raises(Refused, match=words) as refusal:
                await KisBroker(client).connect()
            assert refusal.value.code == "BROKER_CONFIG"

    test()


def test_an_account_number_is_eight_digits_and_two() -> None:
    for text in ("1234567", "12345678-1", "1234-5678-01", "ABCDEFGH-01", ""):
        with pytest.raises(ConfigError, match="12345678-01") as problem:
            Account.parse(text)
        assert not text or text not in str(problem.value).replace("12345678-01", "")


@on()
async def test_an_hour_off_is_seen_by_the_fifth_answer(bench: KisBench) -> None:
    bench.fault(Fault(K.CLOCK_SKEW, seconds=(3_600.0, 3_600.0)))
    clock = SystemClock(wall=bench.clock.now_ns, monotonic=bench.clock.now_ns)
    client = bench.client_of(clock, listen=WireLog(clock))
    async with client:
        broker = KisBroker(client)
        await broker.connect()
        for _ in range(5):
            await broker.cash()
        assert clock.offset.state == "deny"
        assert abs(clock.offset.ns - 3_600 * SECOND) < SECOND


@on()
async def test_what_went_over_the_wire_is_kept_without_secrets(bench: KisBench) -> None:
    kept: list[tuple[str, str, int]] = []
    log = WireLog(bench.clock)
    client = bench.client_of(bench.clock, listen=log)
    async with client:
        broker = KisBroker(client, log=log)
        broker.log_to(lambda direction, text, time: kept.append((direction, text, time)))
        await broker.connect()
        ticket = await broker.submit(fresh(3))
    me = bench.server.customers[0]
    whole = "\n".join(text for _, text, _ in kept)
    assert "POST /uapi/domestic-stock/v1/trading/order-cash TTTC0012U" in whole
    assert ticket.number in whole
    for secret in (me.appkey, me.appsecret, me.account[:8], me.hts_id):
        assert secret not in whole
    assert [direction for direction, _, _ in kept] == ["out", "in"] * (len(kept) // 2)
    assert all(len(text) <= LONGEST + 4 for _, text, _ in kept)
