"""The typed calls: what goes out and what comes of the answers."""

from __future__ import annotations

import datetime as dt

import pytest

from quantkit.brokers.kis.answers import Refusal
from quantkit.brokers.kis.codes import Environment
from quantkit.brokers.kis.limiter import Lane
from quantkit.errors import BadData, ConfigError, OutcomeUnknown, Refused, RetryLater
from quantkit.trading.orders import OrderType, Side, TimeInForce
from tests.brokers.kis.conftest import START, Opened
from tests.brokers.kis.server import ACCOUNT, Asked, Reply, done, refused

QUOTES = "/uapi/domestic-stock/v1/quotations"
TRADING = "/uapi/domestic-stock/v1/trading"
TAKEN = done("APBK0013", "주문 전송 완료 되었습니다.", output={"KRX_FWDG_ORD_ORGNO": "06010", "ODNO": "0000117057",
                                                   "ORD_TMD": "100001"})  # fmt: skip


async def test_a_price_is_asked_for_with_all_headers_and_read_whole(opened: Opened) -> None:
    async with opened() as bench:
        bench.kis.at("GET", f"{QUOTES}/inquire-price", "FHKST01010100", Reply(done(output={
            "stck_prpr": "000070500", "prdy_vrss": "-500", "prdy_ctrt": "-0.70", "acml_vol": "0001234567",
            "acml_tr_pbmn": "87000000000", "stck_mxpr": "92300", "stck_llam": "49700", "aspr_unit": "100",
            "iscd_stat_cls_code": "58", "temp_stop_yn": "N", "sltr_yn": "N", "vi_cls_code": "N",
        })))  # fmt: skip
        price = await bench.client().price("005930")
        assert (price.price, price.change, price.rate, price.volume) == (70500.0, -500.0, -0.7, 1234567)
        assert (price.upper, price.lower, price.tick, price.halted, price.vi) == (92300.0, 49700.0, 100.0, True, False)
        asked = bench.kis.asked_for("FHKST01010100")[0]
        assert asked.query == {"FID_COND_MRKT_DIV_CODE": "J", "FID_INPUT_ISCD": "005930"}
        assert asked.headers["custtype"] == "P"
        assert asked.headers["authorization"].startswith("Bearer eyJ")
        assert asked.headers["tr_cont"] == ""
        assert len(asked.headers["appkey"]) == 36
        assert len(asked.headers["appsecret"]) == 180


async def test_etn_and_elw_have_codes_of_their_own(opened: Opened) -> None:
    async with opened() as bench:
        row = {"stck_prpr": "10", "acml_vol": "0"}
        bench.kis.at("GET", f"{QUOTES}/inquire-price", "FHKST01010100", Reply(done(output=row)))
        client = bench.client(markets={"500001": "ETN", "58J297": "ELW"})
        assert (await client.price("500001")).symbol == "500001"
        await client.price("58J297")
        await client.price("005930", venue="SOR")
        asked = [each.query for each in bench.kis.asked_for("FHKST01010100")]
        assert [(each["FID_COND_MRKT_DIV_CODE"], each["FID_INPUT_ISCD"]) for each in asked] == [
            ("J", "Q500001"), ("W", "58J297"), ("UN", "005930")
        ]  # fmt: skip
        with pytest.raises(ConfigError, match="venue="):
            await client.price("005930", venue="NYSE")


def _many(asked: Asked) -> Reply:
    codes = [value for name, value in asked.query.items() if name.startswith("FID_INPUT_ISCD_")]
    return Reply(done(output=[
        {"inter_shrn_iscd": code, "inter2_prpr": str(1000 + place), "acml_vol": "5"} for place, code in enumerate(codes)
    ] + [{}]))  # fmt: skip


async def test_snapshots_take_thirty_names_a_request(opened: Opened) -> None:
    async with opened() as bench:
        bench.kis.at("GET", f"{QUOTES}/intstock-multprice", "FHKST11300006", _many)
        names = [f"{number:06d}" for number in range(100, 165)]
        found = await bench.client(markets={"000101": "ETN"}).snapshots(names)
        assert list(found) == names
        assert [len(each.query) for each in bench.kis.asked_for("FHKST11300006")] == [60, 60, 10]
        assert bench.kis.asked_for("FHKST11300006")[0].query["FID_INPUT_ISCD_2"] == "Q000101"
        assert found["000101"].price == 1001.0


async def test_a_book_leaves_empty_levels_out(opened: Opened) -> None:
    async with opened() as bench:
        levels = {
            "aspr_acpt_hour": "100001", "askp1": "70100", "askp_rsqn1": "12", "bidp1": "70000", "bidp_rsqn1": "3",
            "bidp2": "69900", "bidp_rsqn2": "4", "askp2": "0", "total_bidp_rsqn": "7",
        }  # fmt: skip
        bench.kis.at("GET", f"{QUOTES}/inquire-asking-price-exp-ccn", "FHKST01010200",
                     Reply(done(output1=levels, output2=[{"antc_cnpr": "70050", "stck_prpr": "70000"}])))  # fmt: skip
        book = await bench.client(Environment.PAPER).book("005930")
        assert book.asks == ((70100.0, 12),)
        assert book.bids == ((70000.0, 3), (69900.0, 4))
        assert (book.time, book.expected, book.total_bid) == (START + 10**9, 70050.0, 7)


async def test_an_order_goes_out_once_and_comes_back_with_its_number(opened: Opened) -> None:
    async with opened() as bench:
        bench.kis.at("POST", f"{TRADING}/order-cash", "TTTC0012U", Reply(TAKEN))
        accepted = await bench.client().submit("005930", Side.BUY, 10, price=70000.0)
        assert (accepted.number, accepted.branch, accepted.time) == ("0000117057", "06010", START + 10**9)
        body = bench.kis.asked_for("TTTC0012U")[0].body
        assert body == {
            "CANO": ACCOUNT, "ACNT_PRDT_CD": "01", "PDNO": "005930", "SLL_TYPE": "", "ORD_DVSN": "00",
            "ORD_QTY": "10", "ORD_UNPR": "70000", "CNDT_PRIC": "", "EXCG_ID_DVSN_CD": "KRX",
        }  # fmt: skip


async def test_paper_and_real_have_ids_of_their_own(opened: Opened) -> None:
    async with opened() as bench:
        bench.kis.at("POST", f"{TRADING}/order-cash", "VTTC0011U", Reply(TAKEN))
        bench.kis.at("POST", f"{TRADING}/order-rvsecncl", "VTTC0013U", Reply(TAKEN))
        client = bench.client(Environment.PAPER)
        await client.submit("005930", Side.SELL, 1, type=OrderType.MARKET)
        await client.cancel("117057", "00950")
        await client.modify("0000117057", "00950", 3, 69900.0)
        market, cancel, change = (each.body for each in bench.kis.asked if each.tr_id)
        assert (market["ORD_DVSN"], market["ORD_UNPR"], market["SLL_TYPE"]) == ("01", "0", "01")
        assert (cancel["ORGN_ODNO"], cancel["ORD_QTY"], cancel["QTY_ALL_ORD_YN"]) == ("0000117057", "0", "Y")
        assert (cancel["RVSE_CNCL_DVSN_CD"], change["RVSE_CNCL_DVSN_CD"]) == ("02", "01")
        assert (change["ORD_QTY"], change["QTY_ALL_ORD_YN"], change["ORD_UNPR"]) == ("3", "N", "69900")
        with pytest.raises(Refused, match="PAPER_UNSUPPORTED"):
            await client.submit("005930", Side.BUY, 1, price=100.0, venue="NXT")
        with pytest.raises(Refused, match="PAPER_UNSUPPORTED"):
            await client.submit("005930", Side.BUY, 1, price=100.0, tif=TimeInForce.IOC)
        assert len([each for each in bench.kis.asked if each.tr_id]) == 3


@pytest.mark.parametrize("fault", ["close", "cut", "hang"])
async def test_an_order_without_an_answer_is_unknown_and_not_sent_again(opened: Opened, fault: str) -> None:
    async with opened() as bench:
        bench.kis.at("POST", f"{TRADING}/order-cash", "TTTC0012U", Reply(TAKEN, fault=fault))
        with pytest.raises(OutcomeUnknown, match="must be looked up"):
            await bench.client(total=0.3).submit("005930", Side.BUY, 10, price=70000.0)
        assert len(bench.kis.asked_for("TTTC0012U")) == 1


@pytest.mark.parametrize("reply", [
    Reply(b"<html>bad gateway</html>", 502), Reply(b"", 200), Reply([], 200), Reply({"output": {}}, 200),
    Reply(refused("EGW00302", "TRANSACTION TIMEOUT"), 500), Reply(refused("EGW00201", "초당 거래건수 초과"), 500),
    Reply(refused("EGW99999", "?"), 500), Reply(done(output={"ODNO": ""})), Reply(done(output=[])), Reply(done()),
    Reply(done(output={"ODNO": "12345678901"})), Reply(TAKEN, 404),
    Reply({"msg_cd": "APBK0013", "output": {"ODNO": "1"}}),
])  # fmt: skip
async def test_what_does_not_prove_a_refusal_leaves_an_order_unknown(opened: Opened, reply: Reply) -> None:
    async with opened() as bench:
        bench.kis.at("POST", f"{TRADING}/order-cash", "TTTC0012U", reply)
        with pytest.raises(OutcomeUnknown):
            await bench.client().submit("005930", Side.BUY, 10, price=70000.0)
        assert len(bench.kis.asked_for("TTTC0012U")) == 1


async def test_a_refusal_keeps_the_brokers_code_and_text(opened: Opened) -> None:
    async with opened() as bench:
        bench.kis.at("POST", f"{TRADING}/order-cash", "TTTC0012U",
                     Reply(refused("APBK0918", f"장운영시간이 아닙니다. 계좌 {ACCOUNT}".ljust(80))),
                     Reply(refused("XYZ12345", "새로운 사유"), 400))  # fmt: skip
        client = bench.client()
        with pytest.raises(Refusal, match="APBK0918: 장운영시간이 아닙니다") as said:
            await client.submit("005930", Side.BUY, 10, price=70000.0)
        assert said.value.text == "장운영시간이 아닙니다. 계좌 ***"
        with pytest.raises(Refusal, match="XYZ12345: 새로운 사유"):
            await client.submit("005930", Side.BUY, 10, price=70000.0)


async def test_an_order_that_never_left_is_known_not_to_stand(opened: Opened) -> None:
    async with opened() as bench:
        client, closed = bench.client(), bench.client()
        bench.clients.remove(client)
        await client.wire.tokens.token()
    for each, why in ((client, "ConnectError"), (closed, "closed")):
        with pytest.raises(RetryLater, match=f"{why}.*nothing was sent"):
            await each.submit("005930", Side.BUY, 10, price=70000.0)
    await client.close()


async def test_a_cancel_that_came_before_the_exchange_may_be_repeated(opened: Opened) -> None:
    async with opened() as bench:
        bench.kis.at("POST", f"{TRADING}/order-rvsecncl", "TTTC0013U",
                     Reply(refused("APBK1663", "거래소 미접수로 정정취소주문이 불가합니다")), Reply(TAKEN))  # fmt: skip
        client = bench.client()
        with pytest.raises(RetryLater, match="ask again in a second"):
            await client.cancel("0000117057", "06010")
        assert (await client.cancel("0000117057", "06010")).number == "0000117057"


async def test_bad_orders_do_not_leave(opened: Opened) -> None:
    async with opened() as bench:
        client = bench.client()
        for quantity in (0, -1, True, 1.0, 10**10):
            with pytest.raises(BadData, match="quantity"):
                await client.submit("005930", Side.BUY, quantity, price=100.0)  # type: ignore[arg-type]
        for price in (0.0, -1.0, float("nan"), float("inf"), 100.00001):
            with pytest.raises(BadData, match="price"):
                await client.submit("005930", Side.BUY, 1, price=price)
        with pytest.raises(BadData, match="limit order with price None"):
            await client.submit("005930", Side.BUY, 1)
        with pytest.raises(Refused, match="ORDER_KIND"):
            await client.submit("005930", Side.BUY, 1, type=OrderType.MARKET, venue="NXT")
        with pytest.raises(BadData, match="odno"):
            await client.cancel("12345678901", "06010")
        assert bench.kis.asked == []


async def test_charts_are_paged_backwards_until_they_are_whole(opened: Opened) -> None:
    async with opened() as bench:
        first, last = dt.date(2025, 1, 2), dt.date(2025, 9, 30)

        def bars(asked: Asked) -> Reply:
            day = dt.date.fromisoformat(asked.query["FID_INPUT_DATE_2"])
            since = dt.date.fromisoformat(asked.query["FID_INPUT_DATE_1"])
            rows = []
            while day >= since and len(rows) < 100:
                if day.weekday() < 5:
                    rows.append({"stck_bsop_date": f"{day:%Y%m%d}", "stck_clpr": str(day.toordinal()), "stck_oprc": "1",
                                 "stck_hgpr": "2", "stck_lwpr": "1", "acml_vol": "10", "mod_yn": "N"})  # fmt: skip
                day -= dt.timedelta(days=1)
            return Reply(done(output1={}, output2=[*rows, {}]))

        bench.kis.at("GET", f"{QUOTES}/inquire-daily-itemchartprice", "FHKST03010100", bars)
        found = await bench.client().days("005930", first, last)
        wanted = [first + dt.timedelta(days=place) for place in range((last - first).days + 1)]
        assert [each.date for each in found] == [day for day in wanted if day.weekday() < 5]
        assert all(each.close == each.date.toordinal() for each in found)
        assert len(bench.kis.asked_for("FHKST03010100")) == 2 + 1 - 1
        assert {each.query["FID_ORG_ADJ_PRC"] for each in bench.kis.asked_for("FHKST03010100")} == {"1"}


async def test_minutes_of_today_end_now_and_begin_where_asked(opened: Opened) -> None:
    async with opened() as bench:

        def bars(asked: Asked) -> Reply:
            at = dt.datetime.fromisoformat(f"20260105T{asked.query['FID_INPUT_HOUR_1'][:4]}")
            rows = [at - dt.timedelta(minutes=place) for place in range(30)]
            return Reply(done(output1={}, output2=[
                {"stck_bsop_date": "20260105", "stck_cntg_hour": f"{row:%H%M%S}", "stck_prpr": "1", "stck_oprc": "1",
                 "stck_hgpr": "1", "stck_lwpr": "1", "cntg_vol": "7"} for row in rows if row.hour >= 9
            ]))  # fmt: skip

        bench.kis.at("GET", f"{QUOTES}/inquire-time-itemchartprice", "FHKST03010200", bars)
        found = await bench.client().minutes("005930", dt.date(2026, 1, 5))
        labels = [dt.datetime.fromtimestamp(each.time / 1e9, dt.timezone(dt.timedelta(hours=9))) for each in found]
        assert [f"{label:%H%M}" for label in labels] == [f"09{minute:02d}" for minute in range(60)] + ["1000"]
        assert bench.kis.asked_for("FHKST03010200")[0].query["FID_INPUT_HOUR_1"] == "100000"
        part = await bench.client().minutes("005930", dt.date(2026, 1, 5), since="093000", until="093500")
        assert len(part) == 6


async def test_a_balance_is_all_pages_and_the_last_sums(opened: Opened) -> None:
    async with opened() as bench:

        def page(asked: Asked) -> Reply:
            last = asked.headers["tr_cont"] == "N"
            assert asked.query["CTX_AREA_NK100"].strip() == ("NEXT" if last else "")
            rows = [{"pdno": "000660" if last else "Q500001", "hldg_qty": "10", "ord_psbl_qty": "4",
                     "pchs_avg_pric": "70000.2500", "pchs_amt": "700003"}]  # fmt: skip
            sums = {"dnca_tot_amt": "1000000", "nxdy_excc_amt": "900000", "prvs_rcdl_excc_amt": "-5"}
            return Reply(done(output1=rows, output2=[sums], ctx_area_fk100="F".ljust(100),
                              ctx_area_nk100="NEXT".ljust(100)), tr_cont="D" if last else "M")  # fmt: skip

        bench.kis.at("GET", f"{TRADING}/inquire-balance", "VTTC8434R", page)
        client = bench.client(Environment.PAPER)
        balance = await client.balance()
        assert [(each.symbol, each.quantity, each.sellable) for each in balance.holdings] == [
            ("500001", 10, 4), ("000660", 10, 4)
        ]  # fmt: skip
        assert (balance.cash, balance.cash_1, balance.cash_2) == (1000000, 900000, -5)
        assert (await client.sellable("000660")).sellable == 4
        assert (await client.sellable("035720")).sellable == 0


async def test_orders_of_the_day_are_read_by_their_numbers(opened: Opened) -> None:
    async with opened() as bench:
        line = {
            "ord_dt": "20260105", "ord_gno_brno": "06010", "odno": "117057", "orgn_odno": "0000000000",
            "sll_buy_dvsn_cd": "02", "pdno": "005930", "ord_qty": "10", "ord_unpr": "70000", "ord_tmd": "095959",
            "tot_ccld_qty": "4", "avg_prvs": "69950.5", "tot_ccld_amt": "279802", "rmn_qty": "6", "ord_dvsn_cd": "00",
            "cncl_yn": "N", "excg_id_dvsn_Cd": "NXT", "cncl_cfrm_qty": "0", "rjct_qty": "0",
        }  # fmt: skip
        bench.kis.at("GET", f"{TRADING}/inquire-daily-ccld", "TTTC0081R", Reply(done(output1=[line, line], output2={})))
        lines = await bench.client().orders()
        assert len(lines) == 1
        days = [line, line | {"ord_dt": "20260106", "ord_tmd": "083000"}]
        bench.kis.at("GET", f"{TRADING}/inquire-daily-ccld", "TTTC0081R", Reply(done(output1=days, output2={})))
        assert len(await bench.client().orders(dt.date(2026, 1, 5), dt.date(2026, 1, 6))) == 2
        assert (lines[0].number, lines[0].original, lines[0].side, lines[0].venue) == (
            "0000117057", None, Side.BUY, "NXT"
        )  # fmt: skip
        assert (lines[0].filled, lines[0].leaves, lines[0].kind) == (4, 6, (OrderType.LIMIT, TimeInForce.DAY))
        asked = bench.kis.asked_for("TTTC0081R")[0].query
        assert (asked["INQR_STRT_DT"], asked["EXCG_ID_DVSN_CD"], asked["CCLD_DVSN"]) == ("20260105", "ALL", "00")
        with pytest.raises(ConfigError, match="all from 2025-10-07"):
            await bench.client().orders(dt.date(2025, 1, 1), dt.date(2026, 1, 5))


async def test_buyable_and_sellable_shares_are_asked_for(opened: Opened) -> None:
    async with opened() as bench:
        bench.kis.at("GET", f"{TRADING}/inquire-psbl-order", "TTTC8908R", Reply(done(output={
            "ord_psbl_cash": "1000000", "nrcvb_buy_amt": "999000", "nrcvb_buy_qty": "14", "psbl_qty_calc_unpr": "70000",
        })))  # fmt: skip
        bench.kis.at("GET", f"{TRADING}/inquire-psbl-sell", "TTTC8408R", Reply(done(output1={
            "cblc_qty": "10", "ord_psbl_qty": "6", "pchs_avg_pric": "1.5",
        })))  # fmt: skip
        client = bench.client()
        found = await client.buyable("005930", 70000.0, lane=Lane.ORDER)
        assert (found.cash, found.amount, found.quantity) == (1000000, 999000, 14)
        await client.buyable("005930")
        assert [each.query["ORD_DVSN"] for each in bench.kis.asked_for("TTTC8908R")] == ["00", "01"]
        assert (await client.sellable("005930")).sellable == 6


async def test_the_streams_key_is_asked_for_with_the_secret_under_its_other_name(opened: Opened) -> None:
    async with opened() as bench:
        key = await bench.client().approval_key()
        assert key.get_secret_value().startswith("4a1b2c3d")
        assert set(bench.kis.asked_at("/oauth2/Approval")[0].body) == {"grant_type", "appkey", "secretkey"}
