"""KIS's REST as the emulator serves it, seen from the wire."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import httpx
import pytest

from quantkit.emulator.faults import Fault, FaultKind, FaultPlan
from quantkit.emulator.kis import KisEmulator
from quantkit.errors import ConfigError
from tests.emulator.kis.wire import CLOCK, NAME, QUOTES, TRADING, credentials, emulator, exchange, wired


async def test_headers_keep_the_case_that_the_official_client_reads() -> None:
    async with emulator() as server, wired(server) as wire:
        answer = await wire.get(QUOTES + "inquire-price", "FHKST01010100", fid_cond_mrkt_div_code="J",
                                fid_input_iscd=NAME)  # fmt: skip
        names = [name.decode() for name, _ in answer.headers.raw]
        assert {"Content-Type", "Content-Length", "Date"} < set(names)
        assert [name for name in names if name.islower()] == ["tr_id", "gt_uid", "tr_cont"]
        body = answer.json()
        assert (body["rt_cd"], body["msg_cd"], len(body["msg1"])) == ("0", "MCA00000", 80)
        assert all(isinstance(value, str) for value in body["output"].values())


async def test_a_token_is_the_same_for_six_hours_and_asked_for_once_a_minute() -> None:
    async with emulator() as server, httpx.AsyncClient(base_url=server.rest) as http:
        me = server.customers[0]
        first = (await http.post("/oauth2/tokenP", json=credentials(me))).json()
        again = await http.post("/oauth2/tokenP", json=credentials(me))
        assert (again.status_code, again.json()["error_code"]) == (403, "EGW00133")
        server.pace.skip(61)
        assert (await http.post("/oauth2/tokenP", json=credentials(me))).json()["access_token"] == first["access_token"]
        server.pace.skip(6 * 3600)
        assert (await http.post("/oauth2/tokenP", json=credentials(me))).json()["access_token"] != first["access_token"]
        assert (first["token_type"], first["expires_in"]) == ("Bearer", 86_400)
        assert first["access_token_token_expired"] == "2025-07-10 09:01:00"


@pytest.mark.parametrize(
    ("change", "code"),
    [({"appkey": ""}, "EGW00102"), ({"appkey": "x" * 36}, "EGW00103"), ({"appsecret": ""}, "EGW00104"),
     ({"appsecret": "x"}, "EGW00105"), ({"grant_type": ""}, "EGW00115"), ({"grant_type": "password"}, "EGW00116")],
)  # fmt: skip
async def test_wrong_keys_get_no_token(change: dict[str, str], code: str) -> None:
    async with emulator() as server, httpx.AsyncClient(base_url=server.rest) as http:
        answer = await http.post("/oauth2/tokenP", json=credentials(server.customers[0], **change))
        assert (answer.status_code, answer.json()["error_code"]) == (403, code)


async def test_a_key_of_one_profile_opens_nothing_of_the_other() -> None:
    async with emulator(paper=True) as paper, emulator(paper=False) as real:
        for server, other, status, code in ((real, paper, 500, "EGW02004"), (paper, real, 403, "EGW00103")):
            async with httpx.AsyncClient(base_url=server.rest) as http:
                answer = await http.post("/oauth2/tokenP", json=credentials(other.customers[0]))
                body = answer.json()
                assert (answer.status_code, body.get("msg_cd") or body["error_code"]) == (status, code)


async def test_tokens_end_by_time_and_by_maintenance() -> None:
    async with emulator() as server, wired(server) as wire:
        given = {"FID_COND_MRKT_DIV_CODE": "J", "FID_INPUT_ISCD": NAME}
        server.keys.revoke_all()
        gone = await wire.get(QUOTES + "inquire-price", "FHKST01010100", **given)
        assert (gone.status_code, gone.json()["msg_cd"]) == (500, "EGW00121")
        server.pace.skip(61)
        await wire.login()
        assert (await wire.get(QUOTES + "inquire-price", "FHKST01010100", **given)).json()["rt_cd"] == "0"
        server.pace.skip(86_400)
        old = await wire.get(QUOTES + "inquire-price", "FHKST01010100", **given)
        assert (old.status_code, old.json()["msg_cd"]) == (500, "EGW00123")


@pytest.mark.parametrize(("speed", "second"), [(0.0, 1.1), (60.0, 0.02)])
async def test_more_calls_a_second_than_allowed_are_turned_away(speed: float, second: float) -> None:
    """A second of the machine's, or an emulated one where those pass faster."""
    clock = [0.0]
    async with emulator(calls=2, speed=speed, machine=lambda: clock[0]) as server, wired(server) as wire:
        given = {"FID_COND_MRKT_DIV_CODE": "J", "FID_INPUT_ISCD": NAME}
        codes = [(await wire.get(QUOTES + "inquire-ccnl", "FHKST01010300", **given)).json()["msg_cd"] for _ in range(3)]
        assert codes == ["MCA00000", "MCA00000", "EGW00201"]
        clock[0] = second
        assert (await wire.get(QUOTES + "inquire-ccnl", "FHKST01010300", **given)).json()["rt_cd"] == "0"


async def test_a_key_that_is_wrong_in_a_call_has_the_gateway_s_envelope() -> None:
    """The shape with error_code is OAuth's alone."""
    async with emulator() as server, wired(server) as wire:
        given = {"FID_COND_MRKT_DIV_CODE": "J", "FID_INPUT_ISCD": NAME}
        for change, status, code in (
            ({"appkey": "x" * 36}, 403, "EGW00103"), ({"appsecret": "x"}, 403, "EGW00105"),
            ({"authorization": f"Basic {wire.token}"}, 500, "EGW00205"), ({"authorization": ""}, 500, "EGW00121"),
            ({"custtype": "X"}, 500, "EGW00208"),
        ):  # fmt: skip
            headers = wire.headers("FHKST01010100") | change
            answer = await wire.http.get(QUOTES + "inquire-price", params=given, headers=headers)
            body = answer.json()
            assert (answer.status_code, body["rt_cd"], body["msg_cd"]) == (status, "1", code)
        odd = await wire.http.post("/oauth2/tokenP", json=credentials(server.customers[0], appsecret="x"))
        assert set(odd.json()) == {"error_description", "error_code"}


async def test_a_hash_key_belongs_to_its_body() -> None:
    async with emulator() as server, wired(server) as wire:
        body = {**wire.account, "PDNO": NAME, "ORD_DVSN": "01", "ORD_QTY": "3", "ORD_UNPR": "0"}
        keys = {"appkey": server.customers[0].appkey, "appsecret": server.customers[0].appsecret}
        made = (await wire.http.post("/uapi/hashkey", json=body, headers=keys)).json()
        assert made["BODY"] == body

        async def sent(**more: str) -> tuple[int, str]:
            headers = wire.headers("VTTC0012U") | more
            text = json.dumps(body | {"ORD_QTY": more.pop("shares", "3")})
            answer = await wire.http.post(TRADING + "order-cash", content=text, headers=headers)
            return answer.status_code, answer.json()["msg_cd"]

        kind = {"content-type": "application/json"}
        assert await sent(hashkey=made["HASH"], **kind) == (200, "40600000")
        assert await sent(hashkey=made["HASH"], shares="4", **kind) == (500, "EGW00131")
        assert await sent(hashkey="0" * 64, **kind) == (500, "EGW00131")
        assert await sent(**{"content-type": "text/plain"}) == (500, "EGW00132")
        assert len((await wire.daily())["output1"]) == 1


async def test_the_account_s_own_count_is_another_one() -> None:
    async with emulator(ledger=2, machine=lambda: 0.0) as server, wired(server) as wire:
        found = [(await wire.get(TRADING + "inquire-balance", "VTTC8434R", **wire.account)).json()["msg_cd"]
                 for _ in range(3)]  # fmt: skip
        assert found == ["KIOK0510", "KIOK0510", "EGW00215"]
        given = {"FID_COND_MRKT_DIV_CODE": "J", "FID_INPUT_ISCD": NAME}
        assert (await wire.get(QUOTES + "inquire-price", "FHKST01010100", **given)).json()["rt_cd"] == "0"


@pytest.mark.parametrize("odd", ["x", "-1", "²", "٣", "1e5", "nan", "inf", "1..5", "1.5", "1", "99999999999999999999"])
async def test_odd_numbers_are_refused_or_answered_at_once(odd: str) -> None:
    """A price of one won once made the buyable shares a count of a hundred million steps."""
    async with emulator(paper=False) as server, wired(server) as wire:
        given = {**wire.account, "PDNO": NAME, "ORD_DVSN": "00", "ORD_UNPR": odd}
        answer = (await wire.get(TRADING + "inquire-psbl-order", "TTTC8908R", **given)).json()
        whole = odd.replace(".", "", 1)
        known = whole.isascii() and whole.isdigit()
        assert answer["msg_cd"] == ("KIOK0510" if known else "OPSQ2002")
        if known:
            told = answer["output"]
            shares, won = int(told["nrcvb_buy_qty"]), float(odd)
            assert shares * won <= int(told["ord_psbl_cash"]) <= (shares + 1) * won * 1.001
        refused = await wire.order("TTTC0012U", kind="00", ORD_UNPR=odd, ORD_QTY=odd)
        assert refused["rt_cd"] == "1"
        chart = await wire.get(QUOTES + "inquire-time-itemchartprice", "FHKST03010200", FID_COND_MRKT_DIV_CODE="J",
                               FID_INPUT_ISCD=NAME, FID_INPUT_HOUR_1=odd)  # fmt: skip
        assert chart.status_code == 200
        day = await wire.get(QUOTES + "chk-holiday", "CTCA0903R", BASS_DT="10000101", CTX_AREA_NK="", CTX_AREA_FK="")
        assert day.json()["msg_cd"] == "OPSQ2002"


@pytest.mark.parametrize(
    ("path", "tr", "status", "code"),
    [
        (QUOTES + "inquire-price", "FHKST99999999", 500, "EGW00310"),
        (QUOTES + "inquire-ccnl", "FHKST01010100", 200, "OPSQ0002"),
        (QUOTES + "chk-holiday", "CTCA0903R", 500, "EGW02006"),
        (TRADING + "inquire-balance", "TTTC8434R", 500, "EGW02006"),
        (TRADING + "inquire-psbl-sell", "VTTC8408R", 500, "EGW02006"),
    ],
)
async def test_services_are_told_by_path_and_id_and_profile(path: str, tr: str, status: int, code: str) -> None:
    async with emulator() as server, wired(server) as wire:
        answer = await wire.get(path, tr, **wire.account)
        assert (answer.status_code, answer.json()["msg_cd"]) == (status, code)


async def test_old_and_new_identifiers_buy_and_sell() -> None:
    async with emulator(paper=False) as server, wired(server) as wire:
        assert (await wire.order("TTTC0802U"))["msg_cd"] == "APBK0013"
        bought = await wire.order("TTTC0012U")
        assert bought["output"] == {"KRX_FWDG_ORD_ORGNO": "06010", "ODNO": "0000000002", "ORD_TMD": "090100"}
        assert (await wire.order("TTTC0801U", shares=5))["rt_cd"] == "0"
        assert (await wire.order("TTTC0011U", shares=5))["rt_cd"] == "0"
        balance = (await wire.get(TRADING + "inquire-balance", "TTTC8434R", **wire.account)).json()
        assert (balance["output1"][0]["hldg_qty"], balance["output1"][0]["thdt_buyqty"]) == ("10", "20")
        cash = balance["output2"][0]
        assert cash["dnca_tot_amt"] == "100000000"
        assert int(cash["prvs_rcdl_excc_amt"]) < 100_000_000
        assert int(cash["tot_evlu_amt"]) == int(cash["prvs_rcdl_excc_amt"]) + int(cash["scts_evlu_amt"])


async def test_a_modified_order_has_a_new_number_and_the_old_one_is_done() -> None:
    async with emulator() as server, wired(server) as wire:
        low = int(server.exchange.issues[NAME].lower)
        placed = await wire.order("VTTC0012U", price=low)
        first = placed["output"]["ODNO"]
        assert placed["msg_cd"] == "40600000"
        tick = int(server.exchange.issues[NAME].grid.tick(low))
        second = (await wire.change("VTTC0013U", first, "01", ORD_UNPR=str(low + tick)))["output"]["ODNO"]
        assert second != first
        assert (await wire.change("VTTC0013U", first, "02"))["msg_cd"] == "40330000"
        assert (await wire.change("VTTC0013U", second, "02"))["msg_cd"] == "40630000"
        rows = {row["odno"]: row for row in (await wire.daily())["output1"]}
        assert [(r["orgn_odno"], r["cncl_yn"], r["rmn_qty"], r["ord_unpr"]) for r in rows.values()] == [
            ("", "Y", "0", str(low)), (first, "Y", "0", str(low + tick))
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"CANO": "99999999"}, "APTR0058"), ({"PDNO": "999990"}, "APBK0656"), ({"ORD_QTY": "x"}, "OPSQ2002"),
        ({"ORD_QTY": "0"}, "40310000"), ({"ORD_DVSN": "11"}, "APBK1943"), ({"ORD_UNPR": "1"}, "40310000"),
        ({"ORD_QTY": "10000000"}, "40250000"), ({"EXCG_ID_DVSN_CD": "NXT"}, "APBK3013"),
    ],
)  # fmt: skip
async def test_bad_orders_are_refused_and_nothing_stands(body: dict[str, str], code: str) -> None:
    async with emulator() as server, wired(server) as wire:
        low = int(server.exchange.issues[NAME].lower)
        refused = await wire.order("VTTC0012U", price=low, **body)
        assert (refused["status"], refused["rt_cd"], refused["msg_cd"]) == (200, "1", code)
        assert (await wire.daily())["output1"] == []


async def test_orders_at_wrong_times_are_refused_with_the_time_s_code() -> None:
    async with emulator(start=CLOCK.orders - 60 * 10**9) as server, wired(server) as wire:
        assert (await wire.order("VTTC0012U"))["msg_cd"] == "40570000"
        server.pace.skip(8 * 3600)
        assert (await wire.order("VTTC0012U"))["msg_cd"] == "40580000"


async def test_lists_come_in_pages_and_a_key_leads_to_the_next() -> None:
    async with emulator() as server, wired(server) as wire:
        low = int(server.exchange.issues[NAME].lower)
        for _ in range(17):
            await wire.order("VTTC0012U", price=low, shares=1)
        given = {**wire.account, "INQR_STRT_DT": "20250101", "INQR_END_DT": "20261231", "INQR_DVSN": "01"}
        first = await wire.get(TRADING + "inquire-daily-ccld", "VTTC0081R", **given)
        keys = {name.upper(): first.json()[name] for name in ("ctx_area_fk100", "ctx_area_nk100")}
        assert (first.headers["tr_cont"], len(first.json()["output1"])) == ("F", 15)
        second = await wire.get(TRADING + "inquire-daily-ccld", "VTTC0081R", "N", **given, **keys)
        assert (second.headers["tr_cont"], [row["odno"] for row in second.json()["output1"]]) == (
            "E", ["0000000016", "0000000017"]
        )  # fmt: skip
        again = await wire.get(TRADING + "inquire-daily-ccld", "VTTC0081R", **given, **keys)
        assert again.json()["output1"] == first.json()["output1"]  # without "N" it is the first page again


async def test_orders_are_listed_by_what_became_of_them() -> None:
    async with emulator() as server, wired(server) as wire:
        low = int(server.exchange.issues[NAME].lower)
        gone, rests = [(await wire.order("VTTC0012U", price=low))["output"]["ODNO"] for _ in range(2)]
        bought = (await wire.order("VTTC0012U"))["output"]["ODNO"]
        await wire.change("VTTC0013U", gone, "02")
        for what, numbers in (("00", [gone, rests, bought]), ("01", [bought]), ("02", [rests])):
            assert [row["odno"] for row in (await wire.daily(CCLD_DVSN=what))["output1"]] == numbers


async def test_a_path_may_begin_with_two_slashes() -> None:
    async with emulator() as server, wired(server) as wire:
        url = f"{server.rest}//{QUOTES.lstrip('/')}inquire-price"
        given = {"fid_cond_mrkt_div_code": "J", "fid_input_iscd": NAME}
        answer = await wire.http.get(url, params=given, headers=wire.headers("FHKST01010100"))
        assert answer.json()["rt_cd"] == "0"


async def test_charts_are_newest_first_with_the_minute_s_start() -> None:
    async with emulator() as server, wired(server) as wire:
        server.pace.skip(600)
        given = {"FID_COND_MRKT_DIV_CODE": "J", "FID_INPUT_ISCD": NAME}
        rows = (await wire.get(QUOTES + "inquire-time-itemchartprice", "FHKST03010200", FID_INPUT_HOUR_1="091100",
                               **given)).json()["output2"]  # fmt: skip
        hours = [row["stck_cntg_hour"] for row in rows]
        assert hours == sorted(hours, reverse=True)
        assert (hours[-1], hours[0]) == ("090000", "091100") or hours[0] == "091000"
        days = (await wire.get(QUOTES + "inquire-daily-itemchartprice", "FHKST03010100", FID_INPUT_DATE_1="20250101",
                               FID_INPUT_DATE_2="20251231", FID_PERIOD_DIV_CODE="D", FID_ORG_ADJ_PRC="1",
                               **given)).json()["output2"]  # fmt: skip
        assert len(days) == 26
        assert days[0]["stck_bsop_date"] == "20250709"


async def test_minutes_to_come_are_shown_at_the_price_of_now() -> None:
    async with emulator() as server, wired(server) as wire:
        server.pace.skip(600)
        given = {"FID_COND_MRKT_DIV_CODE": "J", "FID_INPUT_ISCD": NAME, "FID_PW_DATA_INCU_YN": "N"}
        url = QUOTES + "inquire-time-itemchartprice"

        async def rows(hour: str) -> list[dict[str, str]]:
            answer = await wire.get(url, "FHKST03010200", FID_INPUT_HOUR_1=hour, **given)
            return list(answer.json()["output2"])

        soon, late = await rows("092000"), await rows("153000")
        last = server.exchange.issues[NAME].traded().trades[-1][1]
        flat = [row for row in soon if row["stck_cntg_hour"] > "091100"]
        assert [row["stck_cntg_hour"] for row in flat] == [f"09{minute:02d}00" for minute in range(20, 11, -1)]
        prices = ("stck_prpr", "stck_oprc", "stck_hgpr", "stck_lwpr")
        assert {row[name] for row in flat + late for name in prices} == {f"{last:.0f}"}
        assert {row["cntg_vol"] for row in flat + late} == {"0"}
        assert {row["acml_tr_pbmn"] for row in flat} == {soon[len(flat)]["acml_tr_pbmn"]}
        assert (len(late), late[0]["stck_cntg_hour"], late[-1]["stck_cntg_hour"]) == (30, "153000", "150100")
        assert soon[len(flat) :] == await rows("091100")


async def test_an_order_that_the_exchange_has_not_taken_cannot_be_changed() -> None:
    async with emulator() as server, wired(server) as wire:
        server.faults = FaultPlan([Fault(FaultKind.NOT_TAKEN_YET, probability=1.0, seconds=(1.0, 1.0))])
        odno = (await wire.order("VTTC0012U", price=int(server.exchange.issues[NAME].lower)))["output"]["ODNO"]
        for what in ("01", "02"):
            refused = await wire.change("VTTC0013U", odno, what)
            assert (refused["status"], refused["rt_cd"]) == (200, "1")
            assert "거래소 미접수" in refused["msg1"]
        server.pace.skip(1)
        assert (await wire.change("VTTC0013U", odno, "02"))["rt_cd"] == "0"


async def test_faults_strike_on_the_wire() -> None:
    async with emulator() as server, wired(server) as wire:
        plan = [Fault(kind, on=("submit",), nth=(count,)) for count, kind in enumerate(
            (FaultKind.TOKEN_EXPIRED, FaultKind.RATE_LIMITED, FaultKind.GARBAGE), 1)]  # fmt: skip
        plan[2] = replace(plan[2], forms=("html",))
        server.faults = FaultPlan([*plan, Fault(FaultKind.ANSWER_LOST, on=("submit",), nth=(4,))])
        codes = [(await wire.order("VTTC0012U"))["msg_cd"] for _ in range(2)]
        assert codes[0] == "EGW00123"
        assert codes[1] in ("EGW00201", "EGW00215")
        with pytest.raises(ValueError, match="Expecting value"):
            await wire.order("VTTC0012U")
        with pytest.raises(httpx.ReadTimeout):
            await wire.order("VTTC0012U")
        assert len((await wire.daily())["output1"]) == 2  # the garbled and the unheard answer stood for orders
        state = (await wire.http.get("/emulator/state")).json()
        assert sum(state["injected"].values()) == 4


async def test_what_is_no_request_is_answered_with_400() -> None:
    async with emulator() as server:
        host, port = server.rest.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"no http\r\n\r\n")
        await writer.drain()
        assert (await reader.read()).startswith(b"HTTP/1.1 400")
        writer.close()


def test_it_listens_on_loopback_only() -> None:
    with pytest.raises(ConfigError, match=r"0\.0\.0\.0"):
        KisEmulator(exchange(), host="0.0.0.0")
