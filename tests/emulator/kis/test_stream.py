"""KIS's stream as the emulator serves it, seen from the wire."""

from __future__ import annotations

import json

import pytest
import websockets

from quantkit.emulator.session import SECOND
from tests.emulator.kis.wire import CLOCK, NAME, Ear, ear, emulator, wired


async def test_registrations_are_acknowledged_each_in_its_way() -> None:
    async with emulator() as server, ear(server) as mine:
        first = await mine.ask("H0STCNT0", NAME)
        assert (first["rt_cd"], first["msg_cd"]) == ("0", "OPSP0000")
        assert (len(first["output"]["key"]), len(first["output"]["iv"])) == (32, 16)
        assert (await mine.ask("H0STCNT0", NAME))["msg_cd"] == "OPSP0002"
        assert (await mine.ask("H0STCNT0", NAME, "2"))["msg_cd"] == "OPSP0001"
        assert (await mine.ask("H0STCNT0", NAME, "2"))["msg_cd"] == "OPSP0003"
        assert (await mine.ask("H0STXXX0", NAME))["msg_cd"] == "OPSP8991"
        assert (await mine.ask("H0UNCNT0", NAME))["msg_cd"] == "OPSP8991"  # paper has it not
        assert (await mine.ask("H0STCNI9", "stranger"))["msg_cd"] == "OPSP8992"
        assert (await mine.ask("H0STCNT0", NAME, approval="none"))["msg_cd"] == "OPSP0011"


async def test_a_registration_says_whose_it_is() -> None:
    async with emulator() as server, ear(server) as mine:
        header = {"approval_key": mine.key, "tr_type": "1", "content-type": "utf-8"}
        await mine.socket.send(json.dumps({"header": header, "body": {"input": {"tr_id": "H0STCNT0", "tr_key": NAME}}}))
        assert json.loads(await mine.text())["body"]["msg_cd"] == "OPSP8998"


async def test_a_unified_book_has_six_columns_more_than_the_first_ones() -> None:
    async with emulator(paper=False) as server, ear(server) as mine:
        await mine.ask("H0STASP0", NAME)
        await mine.ask("H0UNASP0", NAME)
        server.pace.skip(60)
        server.advance()
        told = dict([await mine.records() for _ in range(2)])
        ours, both = told["H0STASP0"][0], told["H0UNASP0"][0]
        assert (len(ours), len(both), ours[62]) == (63, 65, "2")
        assert ours[:59] == both[:59]


async def test_the_42nd_registration_is_one_too_many() -> None:
    async with emulator() as server, ear(server) as mine:
        codes = [(await mine.ask("H0STCNT0", f"{k:06d}"))["msg_cd"] for k in range(42)]
        assert codes == ["OPSP0000"] * 41 + ["OPSP0008"]


async def test_a_key_has_one_session() -> None:
    async with emulator(accounts=2) as server, ear(server) as mine, ear(server) as second, ear(server, 1) as other:
        await mine.ask("H0STCNT0", NAME)
        assert (await other.ask("H0STCNT0", NAME))["msg_cd"] == "OPSP0000"
        refused = await second.ask("H0STCNT0", NAME)
        assert (refused["rt_cd"], refused["msg_cd"], refused["tr"]) == ("9", "OPSP8996", "(null)")
        with pytest.raises(websockets.ConnectionClosed):
            await second.text()
        assert (await mine.ask("H0STASP0", NAME))["msg_cd"] == "OPSP0000"


async def test_trades_come_several_in_a_frame_and_add_up() -> None:
    async with emulator(start=CLOCK.open - SECOND) as server, ear(server) as mine:
        await mine.ask("H0STCNT0", NAME)
        server.pace.skip(1_200)
        tr, rows = await mine.records()
        assert (tr, {len(row) for row in rows}) == ("H0STCNT0", {47})
        assert len(rows) > 1
        volumes = [int(row[12]) for row in rows]
        assert [int(row[13]) for row in rows] == [sum(volumes[: k + 1]) for k in range(len(rows))]
        trades = server.exchange.issues[NAME].trades()
        assert [(float(row[2]), int(row[12])) for row in rows] == [(p, v) for _, p, v in trades[: len(rows)]]


@pytest.mark.parametrize(("columns", "widths"), [("2025", (46, 59)), ("2026-02", (46, 59)), ("2026-09", (47, 63))])
async def test_columns_are_those_of_the_day_s_wire(columns: str, widths: tuple[int, int]) -> None:
    async with emulator(columns=columns) as server, ear(server) as mine:
        await mine.ask("H0STCNT0", NAME)
        await mine.ask("H0STASP0", NAME)
        server.pace.skip(300)
        seen = {}
        while len(seen) < 2:
            tr, rows = await mine.records()
            seen[tr] = len(rows[0])
        assert (seen["H0STCNT0"], seen["H0STASP0"]) == widths


async def test_an_order_s_notices_tell_its_life() -> None:
    async with emulator() as server, wired(server) as wire, ear(server) as mine:
        await mine.ask("H0STCNI9", server.customers[0].hts_id)
        low = int(server.exchange.issues[NAME].lower)
        odno = (await wire.order("VTTC0012U", price=low))["output"]["ODNO"]
        accepted = (await mine.records())[1][0]
        assert len(accepted) == 26
        assert accepted[1:7] == [server.customers[0].account, odno, "", "02", "0", "00"]
        assert (accepted[9], accepted[13], accepted[14], accepted[15]) == ("0000000010", "1", "1", "00950")
        cancel = (await wire.change("VTTC0013U", odno, "02"))["output"]["ODNO"]
        cancelled = (await mine.records())[1][0]
        assert (cancelled[2], cancelled[3], cancelled[5], cancelled[13], cancelled[14]) == (cancel, odno, "2", "1", "2")
        bought = (await wire.order("VTTC0012U", shares=3))["output"]["ODNO"]
        kinds = [(await mine.records())[1][0] for _ in range(2)]
        assert [(row[2], row[13], row[14], row[9]) for row in kinds] == [
            (bought, "1", "1", "0000000003"), (bought, "2", "2", "0000000003")
        ]  # fmt: skip


async def test_pings_go_out_and_the_silent_are_left() -> None:
    async with emulator(ping=0.02, silence=0.15) as server, ear(server) as mine:
        first = json.loads(await mine.text())
        assert first["header"]["tr_id"] == "PINGPONG"
        for _ in range(20):
            await mine.socket.send(await mine.text())  # the same text back
        for _ in range(20):
            await mine.socket.pong(await mine.text())  # or a pong
        with pytest.raises(websockets.ConnectionClosed):
            await until_closed(mine)


async def until_closed(mine: Ear) -> None:
    """Read, and answer nothing."""
    while True:
        await mine.text()


async def test_a_new_connection_gets_nothing_of_what_was_missed() -> None:
    async with emulator() as server:
        async with ear(server) as mine:
            await mine.ask("H0STCNT0", NAME)
        server.pace.skip(300)
        server.advance()
        async with ear(server, path="/") as again:
            await again.ask("H0STCNT0", NAME)
            server.pace.skip(60)
            _, rows = await again.records()
            assert rows[0][1] >= "090600"
            assert int(rows[0][13]) > sum(int(row[12]) for row in rows)  # the day's volume knows what was missed


async def test_a_trade_is_told_to_all_who_registered_it_and_by_each_feed() -> None:
    async with emulator(paper=False, accounts=2) as server, ear(server) as mine, ear(server, 1) as other:
        for feed in ("H0STCNT0", "H0UNCNT0"):
            await mine.ask(feed, NAME)
        await other.ask("H0STCNT0", NAME)
        await other.ask("H0STCNT0", "000020")
        server.pace.skip(60)
        server.advance()
        told = dict([await mine.records() for _ in range(2)])
        assert set(told) == {"H0STCNT0", "H0UNCNT0"}
        assert told["H0STCNT0"] == told["H0UNCNT0"]
        _, rows = await other.records()
        assert {row[0] for row in rows} == {NAME, "000020"}
        assert [row for row in rows if row[0] == NAME] == told["H0STCNT0"]
