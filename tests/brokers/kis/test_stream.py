"""The stream against a small server of this machine that does what KIS does, and what it should not."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from quantkit.brokers.kis.catalogue import find
from quantkit.brokers.kis.client import KisClient
from quantkit.brokers.kis.codes import Environment
from quantkit.brokers.kis.limiter import SECOND
from quantkit.brokers.kis.notices import KisOrders
from quantkit.brokers.kis.server import Server
from quantkit.brokers.kis.stream import KisStream
from quantkit.errors import ConfigError, Refused, RetryLater
from quantkit.trading.ports import Quote, Tick
from tests.brokers.kis.conftest import keys
from tests.brokers.kis.frames import IV, KEY, book, frame, notice, trade
from tests.brokers.kis.server import ACCOUNT
from tests.brokers.kis.sockets import HTS_ID, Bench, listen, streaming, until

Opened = Callable[..., AbstractAsyncContextManager[Bench]]


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    """Open a bench inside a test's own loop."""
    return partial(streaming, tmp_path)


PRICES = [("H0STCNT0", "005930"), ("H0STASP0", "005930")]


async def test_own_orders_come_first_and_everything_is_acknowledged(opened: Opened) -> None:
    async with opened() as bench:
        ear = await bench.stream.open("prices")
        await bench.stream.subscribe(ear, PRICES)
        assert bench.sockets.asked == [("1", "H0STCNI0", HTS_ID), *(("1", *each) for each in PRICES)]
        await bench.stream.subscribe(ear, [("H0STASP0", "005930"), ("H0STCNT0", "000660")])
        assert bench.sockets.asked[3:] == [("2", *PRICES[0]), ("1", "H0STCNT0", "000660")]
        await bench.sockets.say(frame("H0STCNT0", trade(symbol="000660")))
        (tick,) = await listen(ear, 1)
        assert isinstance(tick, Tick)
        assert (tick.symbol, tick.generation) == ("000660", 1)


async def test_prices_and_records_are_heard_by_those_who_opened_them(opened: Opened) -> None:
    async with opened() as bench:
        prices, records = await bench.stream.open("prices"), await bench.stream.open("records")
        await bench.stream.subscribe(prices, PRICES)
        await bench.stream.subscribe(records, [("H0UPCNT0", "0001")])
        index = ["1" for _ in find("H0UPCNT0").blocks[""]]
        await bench.sockets.say(frame("H0UPCNT0", index), frame("H0STASP0", book()), frame("H0STCNT0", trade()))
        assert [type(item) for item in await listen(prices, 2)] == [Quote, Tick]
        (told,) = await listen(records, 1)
        assert (told.feed, len(told.rows), len(told.rows[0])) == ("H0UPCNT0", 1, len(index))
        assert bench.stream.counts["dials"] == 1
        with pytest.raises(ConfigError, match="expected prices or records"):
            await bench.stream.open("everything")


async def test_paper_has_feeds_of_its_own(opened: Opened) -> None:
    async with opened(Environment.PAPER) as bench:
        ear = await bench.stream.open("prices")
        assert bench.sockets.asked == [("1", "H0STCNI9", HTS_ID)]
        with pytest.raises(Refused) as caught:
            await bench.stream.subscribe(ear, [("H0UNCNT0", "005930")])
        assert caught.value.code == "PAPER_UNSUPPORTED"
        with pytest.raises(ConfigError, match="no feed 'H0STXXX0'"):
            await bench.stream.subscribe(ear, [("H0STXXX0", "005930")])


async def test_the_42nd_registration_is_refused_before_it_is_sent(opened: Opened) -> None:
    async with opened() as bench:
        ear = await bench.stream.open("prices")
        names = [("H0STCNT0", f"{k:06d}") for k in range(41)]
        with pytest.raises(ConfigError, match=r"41 registrations.*41 with one for own orders, so 40 are left.*000040"):
            await bench.stream.subscribe(ear, names)
        assert len(bench.sockets.asked) == 1
        await bench.stream.subscribe(ear, names[:40])
        other = await bench.stream.open("records")
        with pytest.raises(ConfigError, match="H0UPCNT0 of 0001"):
            await bench.stream.subscribe(other, [("H0UPCNT0", "0001")])
        assert len(bench.sockets.asked) == 41
        await bench.stream.leave(ear)
        await bench.stream.subscribe(other, [("H0UPCNT0", "0001")])
        assert [each[0] for each in bench.sockets.asked[41:]] == ["2"] * 40 + ["1"]


async def test_a_connection_that_breaks_ends_every_ear_and_the_next_begins_anew(opened: Opened) -> None:
    async with opened() as bench:
        prices, orders = await bench.stream.open("prices"), await bench.stream.open("orders")
        await bench.stream.subscribe(prices, PRICES[:1])
        await bench.sockets.say(frame("H0STCNT0", trade()))
        await bench.sockets.open[-1].close()
        assert len([item async for item in until_end(prices)]) == 1
        assert [item async for item in until_end(orders)] == []
        again = asyncio.ensure_future(bench.stream.open("prices"))
        await until(lambda: bench.clock.pending() == [0.5])
        bench.clock.pass_(0.49)
        await asyncio.sleep(0)
        assert not again.done()
        bench.clock.pass_(0.02)
        assert (await again).generation == 2
        assert bench.approvals == 2  # a key of its own
        assert bench.sockets.asked[-1] == ("1", "H0STCNI0", HTS_ID)
        orders.put([1])
        assert not orders.items  # of the connection that is gone nothing passes


async def until_end(ear: Any) -> AsyncIterator[Any]:
    """What an ear hears until its connection ends."""
    heard = aiter(ear)
    with contextlib.suppress(RetryLater):
        while True:
            yield await anext(heard)


async def test_waits_between_attempts_grow_until_one_lasts(opened: Opened) -> None:
    async with opened() as bench:
        for wait in (0.0, 0.5, 1.0, 2.0):
            opening = asyncio.ensure_future(bench.stream.open("prices"))
            if wait:
                await until(lambda due=wait: bench.clock.pending() == [due])  # type: ignore[misc]
            bench.clock.pass_(wait)
            await bench.stream.drop(await opening, "of a test")
        opening = asyncio.ensure_future(bench.stream.open("prices"))
        await until(lambda: bench.clock.pending() == [4.0])
        bench.clock.pass_(4.0)
        lasting = await opening
        bench.clock.pass_(21.0)
        await bench.stream.drop(lasting, "of a test")
        assert bench.stream._not_before - bench.clock.now == SECOND // 2


async def test_silence_ends_a_connection_and_a_ping_is_no_silence(opened: Opened) -> None:
    async with opened(silence=100.0) as bench:
        ear = await bench.stream.open("prices")
        await until(lambda: bench.clock.pending() == [100.0])
        bench.clock.pass_(60.0)
        await bench.sockets.say('{"header":{"tr_id":"PINGPONG","datetime":"20260105100000"}}')
        await until(lambda: bench.stream.counts["pings"] == 1)
        bench.clock.pass_(60.0)
        await until(lambda: bench.clock.pending() == [40.0])
        assert bench.stream.connection is not None
        bench.clock.pass_(40.0)
        with pytest.raises(RetryLater, match="SILENT"):
            await listen(ear, 1)
        assert bench.stream.counts["silences"] == 1


async def test_garbage_is_counted_and_changes_nothing(opened: Opened) -> None:
    async with opened() as bench:
        ear = await bench.stream.open("prices")
        good = trade()
        await bench.sockets.say(
            "0|H0STCNT0|001|x", "nonsense", b"\xff\xfe\xfd", frame("H0STCNT0", trade(price="x")),
            frame("H0STCNI0", notice()), "0|H0STZZZ0|001|1", frame("H0STCNT0", good),
        )  # fmt: skip
        (tick,) = await listen(ear, 1)
        assert tick.price == 70_000.0
        counts = {name: count for name, count in bench.stream.counts.items() if name.startswith("bad")}
        assert counts == {
            "bad WIDTH": 1, "bad CONTROL": 1, "bad SHAPE": 1, "bad VALUE": 1, "bad SEALED": 1, "bad FEED": 1
        }  # fmt: skip
        assert len(bench.said) == 6


async def test_an_echo_is_heard_once_and_a_gap_is_counted(opened: Opened) -> None:
    async with opened() as bench:
        ear = await bench.stream.open("prices")
        first = trade(volume="10", total="1000")
        await bench.sockets.say(
            frame("H0STCNT0", first, first), frame("H0STCNT0", first),
            frame("H0STCNT0", trade(volume="5", total="1005", hour="C")),  # volume grew: it is a trade
            frame("H0STCNT0", trade(volume="7", total="1005", hour="C", price="1")),  # what a call would print
            frame("H0STCNT0", trade(volume="5", total="1030")),
            frame("H0STCNT0", trade(symbol="000660", hour="B", price="1")),
        )  # fmt: skip
        await bench.sockets.say(frame("H0STCNT0", trade(symbol="000660")))
        heard = await listen(ear, 4)
        assert [(tick.symbol, tick.volume) for tick in heard] == [
            ("005930", 10), ("005930", 5), ("005930", 5), ("000660", 15)
        ]  # fmt: skip
        counts = bench.stream.counts
        assert (counts["echoes"], counts["expected prints"], counts["missed shares"]) == (2, 2, 20)


async def test_own_fills_are_heard_by_their_account(opened: Opened) -> None:
    async with opened() as bench:
        mine = KisOrders(bench.stream, f"{ACCOUNT}01")
        await mine.connect()
        await bench.sockets.say(
            frame("H0STCNI0", notice(account="9999999901"), sealed=True),
            frame("H0STCNI0", notice(account=f"{ACCOUNT}01", number="0000000007"), sealed=True),
        )
        (told,) = await listen(mine.notices(), 1)
        assert (told.number, told.kind, told.quantity) == ("0000000007", "filled", 10)
        assert bench.stream.counts["notices of others"] == 1
        await mine.close()
        assert bench.stream.connection is None


@pytest.mark.parametrize(
    ("code", "error", "words"),
    [
        ("OPSP0008", Refused, "OPSP0008.*41 registrations"), ("OPSP8991", Refused, "OPSP8991"),
        ("OPSP8992", Refused, "KIS_HTS_ID"), ("OPSP8996", RetryLater, "another session of this app key"),
        ("OPSP0007", RetryLater, "OPSP0007"), ("OPSP0011", RetryLater, "OPSP0011"), ("OPSP9999", Refused, "OPSP9999"),
    ],
)  # fmt: skip
async def test_a_registration_that_kis_refuses_says_so(
    opened: Opened, code: str, error: type[Exception], words: str
) -> None:
    async with opened() as bench:
        bench.sockets.refuse["H0STCNI0"] = [code, code]
        with pytest.raises(error, match=words):
            await bench.stream.open("orders")
        assert bench.stream.connection is None
        assert bench.stream._not_before == bench.clock.now + SECOND // 2  # one step of the back-off, not two
        await until(lambda: not bench.sockets.open)


async def test_a_name_that_kis_does_not_know_keeps_no_other_from_being_heard(opened: Opened) -> None:
    async with opened() as bench:
        ear = await bench.stream.open("prices")
        bench.sockets.refuse["H0STCNT0"] = ["OPSP8992"]
        await bench.stream.subscribe(ear, [("H0STCNT0", "999999"), ("H0STCNT0", "005930")])
        assert bench.stream.counts["unknown names"] == 1
        assert "999999 is not heard" in bench.said[0]
        await bench.sockets.say(frame("H0STCNT0", trade()))
        assert [tick.symbol for tick in await listen(ear, 1)] == ["005930"]


async def test_a_dead_approval_key_is_renewed_once(opened: Opened) -> None:
    async with opened() as bench:
        bench.sockets.refuse["H0STCNT0"] = ["OPSP0011"]
        ear = await bench.stream.open("prices")
        await bench.stream.subscribe(ear, PRICES[:1])
        assert bench.approvals == 2
        assert bench.sockets.asked[-2:] == [("1", *PRICES[0])] * 2
        bench.sockets.refuse["H0STASP0"] = ["OPSP0002"]  # it is there already
        await bench.stream.subscribe(ear, PRICES)


async def test_no_answer_to_a_registration_ends_the_connection(opened: Opened) -> None:
    async with opened(answer=0.05) as bench:
        bench.sockets.quiet = True
        with pytest.raises(RetryLater, match="no answer to a registration of H0STCNI0"):
            await bench.stream.open("prices")
        assert bench.stream.connection is None


async def test_a_server_that_is_not_there_is_tried_again_later(opened: Opened) -> None:
    async with opened() as bench:
        away = Server.emulated(Environment.REAL, bench.kis.base, "ws://127.0.0.1:1")
        client = KisClient(keys(), clock=bench.clock, folder=bench.client.wire.tokens.path.parent, server=away)
        async with client:
            stream = KisStream(client, chance=lambda: 0.5)
            with pytest.raises(RetryLater, match="cannot be opened"):
                await stream.open("prices")
            assert stream._not_before > bench.clock.now


async def test_a_process_has_one_session_of_a_key(opened: Opened) -> None:
    async with opened() as bench:
        await bench.stream.open("prices")
        second = KisStream(bench.client, chance=lambda: 0.5)
        with pytest.raises(ConfigError, match="one session"):
            await second.open("orders")


async def test_whoever_does_not_read_is_left(opened: Opened) -> None:
    async with opened(most=3) as bench:
        ear = await bench.stream.open("prices")
        rows = [trade(total=str(1_000 + 15 * k)) for k in range(4)]
        await bench.sockets.say(frame("H0STCNT0", *rows))
        await until(lambda: ear.connection.why is not None)
        assert "OVERRUN" in (ear.connection.why or "")


async def test_nothing_that_is_told_shows_a_secret(opened: Opened) -> None:
    async with opened() as bench:
        ear = await bench.stream.open("prices")
        bench.sockets.refuse["H0STCNT0"] = ["OPSP8991"]
        with pytest.raises(Refused) as caught:
            await bench.stream.subscribe(ear, PRICES[:1])
        await bench.sockets.open[-1].close(reason=f"{bench.sockets.keys[0]} of {HTS_ID}")
        await until(lambda: ear.connection.why is not None)
        words = " ".join([*bench.said, str(caught.value), repr(ear.connection), repr(bench.stream.counts)])
        assert "of ***" in words
        assert not [secret for secret in (bench.sockets.keys[0], HTS_ID, KEY, IV, ACCOUNT) if secret in words]
