"""Every service of KIS answers: asked through our client, and as bare HTTP."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quantkit.brokers.kis.answers import Envelope
from quantkit.brokers.kis.catalogue import Call, Field, calls, find
from quantkit.brokers.kis.codes import Environment
from quantkit.brokers.kis.continuing import first_page, next_page
from quantkit.data.bars import Bars
from quantkit.emulator.kis.services import table
from quantkit.errors import BadData, Refused
from quantkit.trading.orders import OrderType, Side
from tests.brokers.kis.test_emulated import client_of
from tests.emulator.kis.wire import NAME, emulator, wired

GIVEN = {
    "FID_INPUT_ISCD": NAME, "PDNO": NAME, "FID_COND_MRKT_DIV_CODE": "J", "EXCD": "NAS", "SYMB": "AAPL", "GUBN": "0",
    "NMIN": "1", "NREC": "120", "FID_PERIOD_DIV_CODE": "D", "PRDT_TYPE_CD": "300", "FID_INPUT_HOUR": "153000",
    "QRY_CNT": "100", "FID_ORG_ADJ_PRC": "1",
}  # fmt: skip
READS = [call for call in calls().values() if call.kind == "read"]
ORDERS = [call for call in calls().values() if call.kind == "order"]


def value(field: Field) -> str:
    """Something that fits a field."""
    said = {"n": "1", "d": "20250707"}.get(field.kind, "0")
    return GIVEN.get(re.sub(r"_\d+$", "", field.wire.upper()), said)[: field.length or None]


def arguments(call: Call) -> dict[str, Any]:
    skipped = ("CANO", "ACNT_PRDT_CD")
    return {
        field.wire: value(field) for field in call.request
        if field.required and field.wire.upper() not in skipped and not field.wire.upper().startswith("CTX_AREA")
    }  # fmt: skip


async def test_every_question_of_the_catalogue_gives_typed_records(tmp_path: Path) -> None:
    asked = 0
    async with emulator(paper=False, blanks=1) as server, client_of(server, tmp_path, Environment.REAL) as client:
        await client.submit(NAME, Side.BUY, 1, type=OrderType.MARKET)
        await client.submit(NAME, Side.BUY, 1, price=(await client.price(NAME)).lower)
        server.pace.skip(60)
        for call in READS:
            for variant in call.real:
                found = await client.call(call.name, variant=variant or None, pages=1, **arguments(call))
                assert found.unread == (), call.name
                assert any(found.blocks.values()), call.name
                names = {field.name for fields in call.blocks.values() for field in fields}
                strange = {name for rows in found.blocks.values() for row in rows for name in row} - names
                assert not strange, (call.name, strange)
                asked += 1
        for call in ORDERS:
            with pytest.raises(Refused, match="ORDER_BY_CALL"):
                await client.call(call.name)
    assert asked >= len(READS)
    assert len(READS) + len(ORDERS) == len(table()[0]) == 274  # and four for keys


async def test_paper_answers_what_it_has_and_turns_the_rest_away(tmp_path: Path) -> None:
    async with emulator(paper=True, blanks=1) as server, client_of(server, tmp_path, Environment.PAPER) as client:
        for call in READS:
            for variant in call.paper:
                found = await client.call(call.name, variant=variant or None, pages=1, **arguments(call))
                assert found.unread == (), call.name
        server.pace.skip(120)  # a second token
        async with wired(server) as wire:
            for call in (each for each in calls().values() if each.kind in ("read", "order") and not each.paper):
                for tr in call.real.values():
                    answer = await wire.http.request(call.method, call.path, headers=wire.headers(tr))
                    assert (answer.status_code, answer.json()["msg_cd"]) == (500, "EGW02006"), call.name


async def test_orders_for_what_is_not_traded_here_are_never_taken() -> None:
    async with emulator(paper=False) as server, wired(server) as wire:
        for call in ORDERS:
            if call.name in ("order_cash", "order_rvsecncl"):  # these are
                continue
            body = {field.wire.upper(): "1" for field in call.request} | wire.account
            for tr in call.real.values():
                answer = (await wire.http.post(call.path, json=body, headers=wire.headers(tr))).json()
                assert (answer["rt_cd"], answer["msg_cd"]) == ("1", "APBK0656"), call.name
        assert not server.exchange.desk.account("kis1").orders


async def test_what_is_missing_or_strange_is_refused() -> None:
    path = "/uapi/domestic-stock/v1/quotations/invest-opinion"
    whole = {"FID_COND_MRKT_DIV_CODE": "J", "FID_COND_SCR_DIV_CODE": "16633", "FID_INPUT_ISCD": NAME,
             "FID_INPUT_DATE_1": "20250601", "FID_INPUT_DATE_2": "20250701"}  # fmt: skip
    async with emulator(paper=False) as server, wired(server) as wire:
        for name in whole:
            less = {key: text for key, text in whole.items() if key != name}
            told = (await wire.get(path, "FHKST663300C0", **less)).json()
            assert (told["rt_cd"], told["msg_cd"]) == ("1", "OPSQ2001")
            assert name in told["msg1"]
        lower = {name.lower(): text for name, text in whole.items()}
        assert (await wire.get(path, "FHKST663300C0", **lower)).json()["rt_cd"] == "0"
        assert (await wire.get(path + "s", "FHKST663300C0", **whole)).json()["msg_cd"] == "OPSQ0002"
        assert (await wire.get(path, "FHKST663300C9", **whole)).json()["msg_cd"] == "EGW00310"
        deposit = "/uapi/domestic-futureoption/v1/trading/inquire-deposit"
        told = (await wire.get(deposit, "CTRP6550R", CANO="99999999", ACNT_PRDT_CD="03")).json()
        assert told["msg_cd"] == "APTR0058"


async def test_what_the_exchange_knows_is_told(tmp_path: Path) -> None:
    async with emulator(paper=False) as server, client_of(server, tmp_path, Environment.REAL) as client:
        server.pace.skip(3600)
        price = await client.price(NAME)
        fund = await client.call("etf_inquire_price", market="J", symbol=NAME)
        assert (fund.record["price"], fund.record["volume"]) == (price.price, price.volume)
        ranked = await client.call("volume_rank", **arguments(find("volume_rank")))
        assert [row["rank" if "rank" in row else "data_rank"] for row in ranked.rows] == [1, 2, 3]
        volumes = [row["volume"] for row in ranked.rows]
        assert volumes == sorted(volumes, reverse=True)
        assert volumes[0] > 0
        trend = await client.call("daily_short_sale", **arguments(find("daily_short_sale")))
        dates = [row["date"] for row in trend.blocks["output2"]]
        assert len(dates) > 20
        assert dates == sorted(dates, reverse=True)
        assert (await client.call("inquire_balance_rlz_pl", **arguments(find("inquire_balance_rlz_pl")))).blocks[
            "output1"
        ] == ()


def test_two_readings_of_the_fields_agree_on_what_is_a_number_and_what_a_date() -> None:
    """The emulator's and the client's were made apart from each other. What one takes for text may be a number."""
    kinds = table()[1]
    fields = {field.wire: field.kind for call in calls().values() for field in call.answer.values()}
    ours = {"0": "n", "2": "n", "d": "d", "t": "t", "y": "t", "s": "t"}
    apart = {name: (kind, fields[name]) for name, kind in kinds.items() if ours[kind] != fields[name]}
    assert apart == {"td_stop_dt": ("d", "t")}  # a span of dates, says its label


# --- overseas: pages that hang on the last row ------------------------------------------------------------------------


def abroad(freq: str) -> Bars | None:
    """250 days, or 500 minutes of two of them, of one name in New York."""
    if freq == "1d":
        days = np.arange(np.datetime64("2024-06-03"), np.datetime64("2025-07-01"))
        days = days[np.is_busday(days)][:250].astype(np.int64)
        times = days * 86_400_000_000
    elif freq == "1m":
        opens = [dt.datetime(2025, 5, day, 13, 30, tzinfo=dt.UTC).timestamp() for day in (19, 20)]
        times = np.array([round(at) * 10**6 + (k + 1) * 60_000_000 for at in opens for k in range(250)])
    else:
        return None
    close = 100.0 + np.arange(len(times))[:, None] / 8
    fields = dict.fromkeys(("open", "high", "low", "close"), close) | {"volume": np.full(close.shape, 7.0)}
    return Bars(times=times, symbols=("AAPL",), fields=fields, markets="US", freq=freq)


async def test_days_and_minutes_abroad_are_paged_backwards(tmp_path: Path) -> None:
    async with (
        emulator(paper=False, overseas=abroad) as server,
        client_of(server, tmp_path, Environment.REAL) as client,
    ):
        asked = {"AUTH": "", "EXCD": "NAS", "SYMB": "AAPL", "GUBN": "0", "BYMD": "", "MODP": "0"}
        days = await client.call("overseas_dailyprice", pages=10, **asked)
        found = [row["local_date"] for row in days.blocks["output2"]]
        assert (len(found), days.more) == (250, False)
        assert found == sorted(set(found), reverse=True)
        first = await client.call("overseas_dailyprice", key_buffer="", **asked)
        assert (len(first.blocks["output2"]), first.more) == (100, True)
        minutes = {"AUTH": "", "EXCD": "NAS", "SYMB": "AAPL", "NMIN": "1", "PINC": "1", "NREC": "120", "FILL": ""}
        whole = await client.call("overseas_inquire_time_itemchartprice", pages=9, **minutes)
        rows = whole.blocks["output2"]
        assert (len(rows), whole.more) == (500, False)
        assert len({(row["local_date"], row["local_time"]) for row in rows}) == 500
        price = (await client.call("overseas_price", AUTH="", EXCD="NAS", SYMB="AAPL")).record
        assert price["price"] == days.blocks["output2"][0]["close"]
        assert (await client.call("overseas_price", AUTH="", EXCD="NAS", SYMB="NOPE")).record["price"] is None


def test_charts_of_futures_abroad_go_on_with_the_key_that_came() -> None:
    call = find("overseas_futures_inquire_time_futurechartprice")
    params = {"QRY_CNT": "2", "QRY_TP": "Q", "INDEX_KEY": ""}
    rows = [{"data_date": "20250707", "data_time": "090000"}, {"data_date": "20250707", "data_time": "085900"}]

    def page(rows: list[dict[str, str]], key: str) -> Envelope:
        return Envelope(200, ok=True, code="", text="", body={"output2": {"index_key": key}, "output1": rows})

    assert next_page(call, params, page(rows, "K1")) == {**params, "QRY_TP": "P", "INDEX_KEY": "K1"}
    for last in (page(rows, "  "), page(rows[:1], "K1"), page([], "K1")):
        assert next_page(call, params, last) is None
    assert first_page(call, {"SRS_CD": "ESZ25"}) == {"SRS_CD": "ESZ25", "QRY_TP": "Q", "INDEX_KEY": ""}


async def test_a_chart_that_does_not_end_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        emulator(paper=False, overseas=abroad) as server,
        client_of(server, tmp_path, Environment.REAL) as client,
    ):
        overseas = server.services.overseas
        same = overseas.answer("HHDFS76240000", {"EXCD": "NAS", "SYMB": "AAPL", "GUBN": "0"})
        monkeypatch.setattr(type(overseas), "answer", lambda *_: same)
        with pytest.raises(BadData, match="page 2 came twice"):
            await client.call("overseas_dailyprice", pages=5, AUTH="", EXCD="NAS", SYMB="AAPL", GUBN="0", BYMD="",
                              MODP="0")  # fmt: skip
