"""Questions are repeated where that is safe, lists are paged to their end, orders are sent once."""

from __future__ import annotations

import asyncio

import pytest

from quantkit.brokers.kis.answers import Refusal, TokenDead
from quantkit.brokers.kis.client import Options
from quantkit.brokers.kis.codes import Environment
from quantkit.brokers.kis.transport import Timeouts
from quantkit.errors import BadData, ConfigError, OutcomeUnknown, QuantkitError, Refused, RetryLater
from quantkit.trading.orders import Side
from tests.brokers.kis.conftest import Opened
from tests.brokers.kis.server import Asked, Reply, done, refused

PRICE = ("GET", "/uapi/domestic-stock/v1/quotations/inquire-price", "FHKST01010100")
ORDER = ("POST", "/uapi/domestic-stock/v1/trading/order-cash", "TTTC0012U")
LIST = ("GET", "/uapi/domestic-stock/v1/trading/inquire-psbl-rvsecncl", "TTTC0084R")
GOOD = Reply(done(output={"stck_prpr": "70000", "acml_vol": "1"}))
TAKEN = Reply(done("APBK0013", output={"ODNO": "0000000001", "KRX_FWDG_ORD_ORGNO": "06010", "ORD_TMD": "100000"}))
PASSING = [
    Reply(fault="close"), Reply(done(), fault="cut"), Reply(b"<html>", 502), Reply(refused("EGW00201", "초당"), 500),
    Reply(refused("EGW00215", "초당"), 500), Reply(refused("EGW00302", "TIMEOUT"), 500),
    Reply(refused("EGW09999", "?"), 503),
]  # fmt: skip


@pytest.mark.parametrize("first", PASSING)
async def test_a_question_that_fails_in_passing_is_asked_again(opened: Opened, first: Reply) -> None:
    async with opened() as bench:
        bench.kis.at(*PRICE, first, first, GOOD)
        assert (await bench.client().price("005930")).price == 70000.0
        assert len(bench.kis.asked_for(PRICE[2])) == 3


@pytest.mark.parametrize("always", PASSING)
async def test_a_question_is_not_asked_for_ever(opened: Opened, always: Reply) -> None:
    async with opened() as bench:
        bench.kis.at(*PRICE, always)
        with pytest.raises(RetryLater):
            await bench.client().price("005930")
        assert len(bench.kis.asked_for(PRICE[2])) == 4


@pytest.mark.parametrize(("reply", "kind", "words"), [
    (Reply(refused("MCA05918", "종목코드 오류입니다.")), Refusal, "MCA05918: 종목코드 오류입니다."),
    (Reply(refused("MCA00124", "해당 서비스를 찾을 수 없습니다.")), Refusal, "MCA00124: 해당 서비스를"),
    (Reply(refused("EGW02006", "모의투자 TR 이 아닙니다."), 500), ConfigError, "EGW02006 .*check KIS_IS_PAPER"),
    (Reply(refused("OPSQ2000", "ERROR INVALID_CHECK_ACNO"), 500), ConfigError, "OPSQ2000.*check KIS_ACCOUNT_NO"),
    (Reply(refused("EGW00303", "IP"), 500), ConfigError, "EGW00303.*this address"),
    (Reply(b"not json", 200), BadData, "HTTP 200 without an answer that can be read"),
    (Reply({"output": {}}, 200), BadData, "HTTP 200"),
    (Reply(done(output=["text"])), BadData, "expected an object or a list of them"),
    (Reply(done(output=[])), BadData, "output has 0 rows"),
    (Reply(done(output={"stck_prpr": "7O000", "acml_vol": "1"})), BadData, "stck_prpr='7O000', expected a number"),
    (Reply(done(output={"stck_prpr": "", "acml_vol": "1"})), BadData, "stck_prpr=''"),
    (Reply(done(output={"acml_vol": "1"})), BadData, "no field stck_prpr"),
    (Reply(done(output={"stck_prpr": "1", "acml_vol": "1.5"})), BadData, "acml_vol='1.5', expected a whole number"),
])  # fmt: skip
async def test_an_answer_that_says_no_is_the_error_that_says_what_to_do(
    opened: Opened, reply: Reply, kind: type[QuantkitError], words: str
) -> None:
    async with opened() as bench:
        bench.kis.at(*PRICE, reply)
        with pytest.raises(kind, match=words):
            await bench.client().price("005930")
        assert len(bench.kis.asked_for(PRICE[2])) == 1


@pytest.mark.parametrize("reply", [
    Reply(refused("MCA00124", "해당 서비스를 찾을 수 없습니다.")),
    Reply(refused("EGW02006", "모의투자 TR 이 아닙니다."), 500),
])  # fmt: skip
async def test_what_paper_does_not_serve_is_known_by_its_answers(opened: Opened, reply: Reply) -> None:
    async with opened() as bench:
        bench.kis.at(*PRICE, reply)
        with pytest.raises(Refusal, match=r"PAPER_UNSUPPORTED: (MCA00124|EGW02006) .*모의투자 does not serve it"):
            await bench.client(Environment.PAPER).price("005930")


async def test_a_dead_token_is_renewed_once_and_the_question_asked_again(opened: Opened) -> None:
    async with opened() as bench:
        bench.kis.at(*PRICE, GOOD)
        client = bench.client()
        await client.price("005930")
        bench.kis.dead.add(bench.kis.tokens[-1])
        bench.clock.now += 100 * 10**9
        await client.price("005930")
        assert len(bench.kis.tokens) == 2
        bench.kis.at(*PRICE, Reply(refused("EGW00121", "유효하지 않은 token 입니다."), 401))
        bench.clock.now += 100 * 10**9
        with pytest.raises(TokenDead, match="EGW00121"):
            await client.price("005930")
        assert len(bench.kis.tokens) == 3


async def test_the_same_token_given_again_is_tried_again(opened: Opened) -> None:
    async with opened() as bench:
        bench.kis.same_token = True
        bench.kis.at(*PRICE, GOOD)
        client = bench.client()
        await client.price("005930")
        bench.kis.dead.add(bench.kis.tokens[-1])
        await client.price("005930")
        assert bench.kis.tokens == bench.kis.tokens[:1] * 2
        assert bench.clock.waited >= 61 * 10**9


async def test_an_order_with_a_dead_token_is_not_sent_again_and_the_next_has_a_new_one(opened: Opened) -> None:
    async with opened() as bench:
        bench.kis.at(*ORDER, TAKEN)
        client = bench.client()
        await client.submit("005930", Side.BUY, 1, price=100.0)
        bench.kis.dead.add(bench.kis.tokens[-1])
        with pytest.raises(RetryLater, match=r"EGW00123.*nothing was done"):
            await client.submit("005930", Side.BUY, 1, price=100.0)
        assert len(bench.kis.asked_for(ORDER[2])) == 2
        with pytest.raises(RetryLater, match=r"one token a minute.*Nothing was sent"):
            await client.submit("005930", Side.BUY, 1, price=100.0)
        bench.clock.now += 62 * 10**9
        await client.submit("005930", Side.BUY, 1, price=100.0)
        assert len(bench.kis.asked_for(ORDER[2])) == 3


async def test_whether_a_throttled_order_was_taken_is_a_setting(opened: Opened) -> None:
    async with opened() as bench:
        bench.kis.at(*ORDER, Reply(refused("EGW00201", "초당 거래건수를 초과하였습니다."), 500))
        with pytest.raises(OutcomeUnknown, match="EGW00201"):
            await bench.client().submit("005930", Side.BUY, 1, price=100.0)
        with pytest.raises(RetryLater, match=r"EGW00201.*nothing was done"):
            await bench.client(options=Options(trust_throttle=True)).submit("005930", Side.BUY, 1, price=100.0)
        assert len(bench.kis.asked_for(ORDER[2])) == 2


@pytest.mark.parametrize("reply", [
    Reply(refused("EGW00103", "유효하지 않은 AppKey입니다."), 403), Reply(refused("APBK0400", "주문가능수량 초과")),
    Reply(refused("EGW02006", "모의투자 TR 이 아닙니다."), 500), Reply(refused("40570000", "장 시작 전입니다.")),
])  # fmt: skip
async def test_an_order_that_the_broker_refuses_is_refused_whatever_the_reason(opened: Opened, reply: Reply) -> None:
    async with opened() as bench:
        bench.kis.at(*ORDER, reply)
        with pytest.raises(Refused):
            await bench.client().submit("005930", Side.BUY, 1, price=100.0)


async def test_a_hash_key_goes_with_orders_where_it_is_wanted(opened: Opened) -> None:
    async with opened() as bench:
        bench.kis.at(*ORDER, TAKEN)
        await bench.client(options=Options(hashkey=True)).submit("005930", Side.BUY, 1, price=100.0)
        assert bench.kis.asked_for(ORDER[2])[0].headers["hashkey"] == "abcdef0123456789"
        hashed = bench.kis.asked_at("/uapi/hashkey")[0]
        assert hashed.body == bench.kis.asked_for(ORDER[2])[0].body
        await bench.client().submit("005930", Side.BUY, 1, price=100.0)
        assert "hashkey" not in bench.kis.asked_for(ORDER[2])[1].headers


def _line(number: int) -> dict[str, str]:
    return {"odno": str(number), "pdno": "005930", "sll_buy_dvsn_cd": "02", "ord_qty": "1", "psbl_qty": "1"}


def _page(place: int, last: int) -> Reply:
    more = place < last
    return Reply(done("KIOK0500" if more else "KIOK0510", output=[_line(place)], ctx_area_fk100="f".ljust(100),
                      ctx_area_nk100=f"{place + 1}".ljust(100)), tr_cont="M" if more else "E")  # fmt: skip


def _place(asked: Asked) -> int:
    """Page 1 again for whoever leaves out the header or the keys, as KIS does."""
    return int(asked.query["CTX_AREA_NK100"].strip() or 1) if asked.headers["tr_cont"] == "N" else 1


async def test_lists_are_paged_to_their_end(opened: Opened) -> None:
    async with opened() as bench:
        bench.kis.at(*LIST, lambda asked: _page(_place(asked), 7))
        found = await bench.client().open_orders()
        assert [each.number for each in found] == [f"{place:010d}" for place in range(1, 8)]
        assert bench.kis.asked_for(LIST[2])[1].query["CTX_AREA_FK100"] == "f".ljust(100)


async def test_a_list_that_does_not_end_is_an_error(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quantkit.brokers.kis.wire.PAGES", 20)
    async with opened() as bench:
        bench.kis.at(*LIST, _page(1, 9))
        with pytest.raises(BadData, match="page 2 came twice"):
            await bench.client().open_orders()
        bench.kis.at(*LIST, lambda asked: _page(_place(asked), 10**9))
        with pytest.raises(BadData, match="more than 20 pages"):
            await bench.client().open_orders()


async def test_keys_of_the_next_page_do_not_make_one(opened: Opened) -> None:
    async with opened() as bench:
        bench.kis.at(*LIST, Reply(done(output=[_line(1)], ctx_area_fk100="", ctx_area_nk100="^^"), tr_cont="D"))
        assert len(await bench.client().open_orders()) == 1


async def test_a_list_that_changed_is_read_from_its_first_page_again(opened: Opened) -> None:
    async with opened() as bench:
        changed = Reply(refused("KIOK0001", "조회이후에 자료가 변경되었습니다.(다시 조회하세요)"))
        bench.kis.at(*LIST, _page(1, 2), changed, _page(1, 2), _page(2, 2))
        assert len(await bench.client().open_orders()) == 2
        assert [each.headers["tr_cont"] for each in bench.kis.asked_for(LIST[2])] == ["", "N", "", "N"]
        bench.kis.at(*LIST, changed)
        with pytest.raises(RetryLater, match="ask for the list again"):
            await bench.client().open_orders()


async def test_a_page_that_is_missing_is_no_list(opened: Opened) -> None:
    async with opened() as bench:
        bench.kis.at(*LIST, _page(1, 2), Reply(b"", 502))
        with pytest.raises(RetryLater):
            await bench.client().open_orders()


async def test_no_data_is_an_empty_list(opened: Opened) -> None:
    async with opened() as bench:
        bench.kis.at(*LIST, Reply(refused("KIOK0560", "조회할 내용이 없습니다")))
        assert await bench.client().open_orders() == []


async def test_a_server_that_drips_is_given_up(opened: Opened) -> None:
    async with opened() as bench:
        bench.kis.at(*ORDER, Reply(fault="hang"))
        client = bench.client(options=Options(timeouts=Timeouts(total=0.2)))
        with pytest.raises(OutcomeUnknown):
            await client.submit("005930", Side.BUY, 1, price=100.0)


async def test_a_cancelled_question_leaves_the_client_whole(opened: Opened) -> None:
    async with opened() as bench:
        bench.kis.at(*PRICE, Reply(fault="hang"), GOOD)
        client = bench.client()
        await client.wire.tokens.token()
        task = asyncio.create_task(client.price("005930"))
        while not bench.kis.asked_for(PRICE[2]):
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await client.price("005930")).price == 70000.0


async def test_the_other_environments_calls_are_not_there(opened: Opened) -> None:
    async with opened() as bench:
        client = bench.client(Environment.PAPER)
        for call in (client.snapshots(["005930"]), client.open_orders(), client.instrument("005930")):
            with pytest.raises(Refused, match="PAPER_UNSUPPORTED"):
                await call
        assert bench.kis.asked == []
