"""Arguments are checked before anything is sent; answers keep every number right."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from quantkit.brokers.kis import ledger, quotes
from quantkit.brokers.kis.answers import Envelope, read
from quantkit.brokers.kis.calling import arguments, chosen, result
from quantkit.brokers.kis.catalogue import find
from quantkit.brokers.kis.codes import Environment
from quantkit.brokers.kis.figures import decimal, plain_number, whole, wire_price
from quantkit.brokers.kis.server import Account
from quantkit.brokers.kis.transport import Answer
from quantkit.errors import BadData, ConfigError, Refused
from tests.brokers.kis.conftest import START, Opened
from tests.brokers.kis.server import Asked, Reply, done
from tests.brokers.kis.test_emulated import client_of
from tests.emulator.kis.wire import NAME, emulator

ACCOUNT = Account("73019482", "01")
CHART = find("inquire_daily_itemchartprice")
LISTED = find("inquire_daily_ccld")


def envelope(**outputs: object) -> Envelope:
    return Envelope(200, ok=True, code="MCA00000", text="ok", body=outputs)


def chart(**changes: object) -> dict[str, str]:
    fields: dict[str, object] = {
        "market": "J", "symbol": "005930", "from_date": "20250101", "to_date": "20250131", "period": "D",
        "raw_price": "1",
    }  # fmt: skip
    return arguments(CHART, fields | changes, ACCOUNT)


def test_fields_have_two_names_and_go_out_under_kis() -> None:
    ours = chart(from_date=dt.date(2025, 1, 1))
    theirs = arguments(CHART, {
        "fid_cond_mrkt_div_code": "J", "FID_INPUT_ISCD": "005930", "FID_INPUT_DATE_1": "20250101",
        "FID_INPUT_DATE_2": "20250131", "FID_PERIOD_DIV_CODE": "D", "FID_ORG_ADJ_PRC": "1",
    }, ACCOUNT)  # fmt: skip
    assert ours == theirs
    assert list(ours) == [field.wire for field in CHART.request]


@pytest.mark.parametrize(("changes", "words"), [
    ({"symbol": 5930}, r"FID_INPUT_ISCD \(symbol\)=5930 \(int\): expected text, such as '005930'"),
    ({"symbol": None}, "expected text"),
    ({"symbol": "0" * 13}, "13 characters, at most 12 fit"),
    ({"symbol": "00593\n"}, "control character"),
    ({"from_date": "2025-01-01"}, "expected a date YYYYMMDD"),
    ({"from_date": "20251301"}, "expected a date YYYYMMDD"),
    ({"from_date": 20250101}, "expected a date or YYYYMMDD"),
    ({"from_date": dt.datetime(2025, 1, 1, tzinfo=dt.UTC)}, "expected a date or YYYYMMDD"),
    ({"symbl": "005930"}, "no field 'symbl'; near it: symbol"),
    ({"zzzzzz": "1"}, "no field 'zzzzzz'; it has FID_COND_MRKT_DIV_CODE"),
    ({"FID_INPUT_ISCD": "000660"}, "FID_INPUT_ISCD.*was given twice"),
])  # fmt: skip
def test_wrong_arguments_are_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        chart(**changes)


def test_a_password_is_shown_nowhere() -> None:
    call = find("futures_inquire_ngt_balance")
    given = {"MGNA_DVSN": "01", "EXCC_STAT_CD": "1"}
    assert arguments(call, given | {"ACNT_PWD": "hunter22"}, ACCOUNT)["ACNT_PWD"] == "hunter22"
    for wrong in (12345678, "hunter22" * 90):
        with pytest.raises(ConfigError, match="ACNT_PWD") as said:
            arguments(call, given | {"ACNT_PWD": wrong}, ACCOUNT)
        assert str(wrong) not in str(said.value)


def test_what_is_missing_is_listed_with_its_korean_name() -> None:
    with pytest.raises(
        ConfigError, match=r"missing FID_COND_MRKT_DIV_CODE \(market, 조건 시장 분류 코드\), FID_INPUT_ISCD"
    ):
        arguments(find("inquire_price"), {}, ACCOUNT)


def test_the_account_and_the_keys_of_paging_are_filled_in() -> None:
    call = find("inquire_psbl_rvsecncl")
    sent = arguments(call, {"INQR_DVSN_1": "0", "INQR_DVSN_2": "0"}, ACCOUNT)
    assert (sent["CANO"], sent["ACNT_PRDT_CD"], sent["CTX_AREA_FK100"]) == ("73019482", "01", "")
    assert (
        arguments(call, {"ACNT_PRDT_CD": "03", "INQR_DVSN_1": "0", "INQR_DVSN_2": "0"}, ACCOUNT)["ACNT_PRDT_CD"] == "03"
    )
    with pytest.raises(ConfigError, match="the account comes from the keys"):
        arguments(call, {"CANO": "11111111"}, ACCOUNT)


def test_of_a_series_only_the_first_is_needed() -> None:
    sent = arguments(find("intstock_multprice"), {"market_1": "J", "symbol_1": "005930"}, ACCOUNT)
    assert sent == {"FID_COND_MRKT_DIV_CODE_1": "J", "FID_INPUT_ISCD_1": "005930"}


def test_numbers_may_be_numbers_and_flags_may_be_flags() -> None:
    call = find("inquire_psbl_order")
    base = {"PDNO": "005930", "ORD_DVSN": "00", "CMA_EVLU_AMT_ICLD_YN": False, "OVRS_ICLD_YN": True}
    for price, text in ((70000, "70000"), (70000.5, "70000.5"), (Decimal("1E3"), "1000"), ("", "")):
        sent = arguments(call, base | {"ORD_UNPR": price}, ACCOUNT)
        assert (sent["ORD_UNPR"], sent["CMA_EVLU_AMT_ICLD_YN"], sent["OVRS_ICLD_YN"]) == (text, "N", "Y")
    for bad in ("1e3", "1,000", float("nan"), True):
        with pytest.raises(ConfigError, match="ORD_UNPR"):
            arguments(call, base | {"ORD_UNPR": bad}, ACCOUNT)


def test_a_call_with_several_transactions_wants_to_know_which() -> None:
    assert chosen(LISTED, Environment.PAPER, "older") == "VTSC9215R"
    with pytest.raises(ConfigError, match="expected one of 'within3m', 'older'"):
        chosen(LISTED, Environment.REAL, None)
    with pytest.raises(ConfigError, match="variant='x'"):
        chosen(CHART, Environment.REAL, "x")
    with pytest.raises(Refused, match="PAPER_UNSUPPORTED"):
        chosen(find("bond_inquire_price"), Environment.PAPER, None)


def test_values_have_their_types_and_doubtful_ones_stay_text() -> None:
    rows = [
        {"stck_bsop_date": "20250102", "stck_clpr": "53400", "prtt_rate": "0.50", "acml_vol": "9007199254740993"},
        {"stck_bsop_date": "00000000", "stck_clpr": "", "prtt_rate": "1,5"}, {},
    ]  # fmt: skip
    summary = {"stck_prpr": "000070000", "hts_kor_isnm": " 삼성전자 ", "new_field": "007"}
    found = result(CHART, [envelope(output1=summary, output2=rows)])
    assert dict(found.blocks["output1"][0]) == {"price": 70000, "name": "삼성전자", "new_field": "007"}
    first, second = found.rows
    assert (first.date, first.close, first.split_rate, first.volume) == (
        dt.date(2025, 1, 2),
        53400,
        0.5,
        9007199254740993,
    )
    assert (second.date, second.close, second.split_rate) == (None, None, "1,5")
    assert found.unread == ("split_rate",)
    with pytest.raises(AttributeError, match="no field 'clos'; near it: close"):
        _ = first.clos
    frame = found.frame()
    assert (str(frame["close"].dtype), str(frame["volume"].dtype)) == ("Int64", "Int64")
    assert frame["volume"][0] == 9007199254740993
    assert str(frame["date"].dtype).startswith("datetime64")
    assert frame["split_rate"].tolist() == [0.5, "1,5"]
    with pytest.raises(BadData, match="2 rows, expected 1"):
        _ = found.record


def test_pages_become_one_and_sums_are_the_last() -> None:
    call = find("inquire_balance")
    pages = [
        envelope(output1=[{"pdno": "005930"}, {"pdno": "000660"}], output2=[{"dnca_tot_amt": "1"}]),
        envelope(output1=[{"pdno": "035720"}], output2=[{"dnca_tot_amt": "2"}]),
    ]
    found = result(call, pages)
    assert [row.symbol for row in found.rows] == ["005930", "000660", "035720"]
    assert [row.cash for row in found.blocks["output2"]] == [2]


def test_columns_lose_nothing() -> None:
    rows = [
        {"stck_clpr": value, "acml_vol": "12345678901234567890123", "stck_oprc": "1.5", "stck_hgpr": "3"}
        for value in ("1", "9007199254740993", "2.5")
    ]
    frame = result(CHART, [envelope(output2=rows)]).frame()
    assert list(frame["close"]) == [1, 9007199254740993, 2.5]
    assert frame["volume"][0] == 12345678901234567890123
    assert frame["open"].dtype == np.float64
    assert frame["high"].dtype == np.int64
    assert frame.shape == (3, 4)
    assert result(CHART, [envelope(output2=[])]).frame().empty


async def test_keys_of_the_catalogue_are_made_and_not_shown(opened: Opened) -> None:
    async with opened() as bench:
        client = bench.client()
        for name in ("auth_token", "auth_ws_token"):
            found = await client.call(name)
            assert "kept and not shown" in found.text
            assert not found.blocks
        with pytest.raises(ConfigError, match="do not give appkey"):
            await client.call("auth_token", appkey="x")
        assert (await client.call("hashkey", PDNO="005930", ORD_QTY=1)).record.hash == "abcdef0123456789"
        assert bench.kis.asked[-1].body == {"PDNO": "005930", "ORD_QTY": "1"}


async def test_a_token_that_was_revoked_is_not_used_again(tmp_path: Path) -> None:
    async with emulator(paper=False) as server, client_of(server, tmp_path, Environment.REAL) as client:
        await client.price(NAME)
        server.pace.skip(120)  # a token a minute
        assert "폐기에 성공" in (await client.call("revoke_token")).text
        await client.price(NAME)
        assert server.keys.issued == 2


async def test_pages_can_be_limited(opened: Opened) -> None:
    async with opened() as bench:

        def page(asked: Asked) -> Reply:
            rows = [{"bass_dt": "20260105", "opnd_yn": "Y"}] * 2
            return Reply(done(output=rows, ctx_area_nk=str(len(bench.kis.asked)), ctx_area_fk="x"), tr_cont="F")

        bench.kis.at("GET", "/uapi/domestic-stock/v1/quotations/chk-holiday", "CTCA0903R", page)
        client = bench.client()
        found = await client.call("chk_holiday", pages=2, date="20260105")
        assert (len(found.rows), found.more) == (4, True)
        assert found.rows[0] == {"date": dt.date(2026, 1, 5), "open_day": "Y"}
        with pytest.raises(ConfigError, match="pages=0"):
            await client.call("chk_holiday", pages=0, date="20260105")


# --- fuzz -------------------------------------------------------------------------------------------------------------

TEXTS = st.one_of(
    st.from_regex(r"[ ]?[+-]?0*[0-9]{0,22}\.?[0-9]{0,6}[ ]?", fullmatch=True), st.text(max_size=12),
    st.sampled_from(["", " ", "-", "+", ".", "1e5", "1_000", "１２", "٣", "NaN", "inf", "0x10", "1,000", "--1", "12-"]),
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4), max_leaves=12,
)  # fmt: skip


@given(TEXTS)
@example("-0.00")
@example("007.50")
def test_a_number_is_the_number_that_is_written_or_none(text: str) -> None:
    plain = plain_number(text)
    if plain is None:
        return
    assert Decimal(plain) == Decimal(text.strip())
    assert plain == plain_number(plain)
    assert plain.isascii()
    row = {"x": text}
    assert decimal(row, "x") == float(text.strip())
    if Decimal(plain) == int(Decimal(plain)) and "." not in plain:
        assert whole(row, "x") == int(Decimal(text.strip()))
    else:
        with pytest.raises(BadData, match="whole number"):
            whole(row, "x")


@given(st.dictionaries(st.sampled_from([field.wire for field in CHART.answer.values()]), TEXTS, max_size=8))
def test_a_value_is_right_or_left_as_it_was(row: dict[str, str]) -> None:
    found = result(CHART, [envelope(output1=row)])
    for wire, text in row.items():
        field = CHART.answer[wire]
        value = found.rows[0][field.name]
        if isinstance(value, int | float | Decimal):
            assert field.kind == "n"
            assert Decimal(str(value) if not isinstance(value, float) else repr(value)) == Decimal(text.strip())
        elif isinstance(value, dt.date):
            assert f"{value:%Y%m%d}" == text.strip()
        elif value is not None:
            assert value == text.strip()
        else:
            assert not text.strip().strip("0") or field.kind == "n"
    if row:
        assert len(found.frame()) == 1


@given(st.dictionaries(st.sampled_from(["rt_cd", "msg_cd", "msg1", "output", "output1", "output2"]), JSON, max_size=6),
       st.sampled_from([200, 403, 500]))  # fmt: skip
def test_no_answer_breaks_the_reader(body: dict[str, Any], status: int) -> None:
    import json

    found = read(Answer(status, {}, json.dumps(body).encode()))
    if found is None:
        return
    assert found.ok == (status == 200 and str(body.get("rt_cd")) == "0" and body.get("rt_cd") is not None)
    for name in ("output", "output1", "output2"):
        try:
            rows = found.rows(name)
        except BadData:
            continue
        assert all(isinstance(row, dict) for row in rows)
    try:
        result(CHART, [found]).frame()
    except BadData as problem:
        assert "KIS" in str(problem)  # noqa: PT017 - most examples do not raise


@given(st.binary(max_size=60))
def test_no_bytes_break_the_reader(body: bytes) -> None:
    found = read(Answer(200, {}, body))
    assert found is None or isinstance(found.code, str)


ROWS = {
    quotes.snapshot_of: {"inter_shrn_iscd": "005930", "inter2_prpr": "1", "acml_vol": "1"},
    quotes.minute_of: {"stck_bsop_date": "20260105", "stck_cntg_hour": "090000", "stck_oprc": "1", "stck_hgpr": "1",
                       "stck_lwpr": "1", "stck_prpr": "1", "cntg_vol": "1"},
    quotes.day_row_of: {"stck_bsop_date": "20260105", "stck_oprc": "1", "stck_hgpr": "1", "stck_lwpr": "1",
                        "stck_clpr": "1", "acml_vol": "1"},
    quotes.calendar_day_of: {"bass_dt": "20260105", "opnd_yn": "Y"},
    ledger.holding_of: {"pdno": "005930", "hldg_qty": "1", "ord_psbl_qty": "1"},
    ledger.order_line_of: {"odno": "1", "pdno": "005930", "sll_buy_dvsn_cd": "01", "ord_qty": "1", "tot_ccld_qty": "1",
                           "ord_dt": "20260105", "ord_tmd": "090000"},
    ledger.open_order_of: {"odno": "1", "pdno": "005930", "sll_buy_dvsn_cd": "01", "ord_qty": "1", "psbl_qty": "1"},
    ledger.buyable_of: {"ord_psbl_cash": "1", "nrcvb_buy_amt": "1"},
}  # fmt: skip


@pytest.mark.parametrize("reader", ROWS, ids=lambda reader: reader.__name__)
@given(data=st.data())
def test_a_row_is_read_whole_or_not_at_all(reader: Any, data: st.DataObject) -> None:
    row: dict[str, Any] = dict(ROWS[reader])
    reader(row)
    name = data.draw(st.sampled_from(sorted(row)))
    row[name] = data.draw(TEXTS | st.none() | st.integers() | st.booleans() | st.lists(st.text(), max_size=1))
    try:
        found = reader(row)
    except BadData as problem:
        assert name in str(problem) or "time" in str(problem)  # noqa: PT017 - not every example raises
        return
    numbers = {getattr(found, field) for field in found.__slots__ if isinstance(getattr(found, field), int | float)}
    said = str(row[name]).strip()
    if plain_number(said) is not None and not name.endswith(
        ("dt", "tmd", "date", "hour", "odno", "pdno", "iscd", "cd")
    ):
        assert any(Decimal(number) == Decimal(said) or number == float(said) for number in numbers)


@given(st.floats(allow_nan=True, allow_infinity=True) | st.integers(-5, 10**13))
def test_a_price_goes_out_as_it_is_or_not_at_all(price: float) -> None:
    try:
        text = wire_price(price)
    except BadData:
        assert not 0.0 < price < 1e12 or round(price, 4) != price
        return
    assert float(text) == price
    assert "e" not in text
    assert not text.startswith("-")


def test_an_order_reply_with_a_strange_time_is_still_taken() -> None:
    found = ledger.accepted_of({"odno": "77", "ord_tmd": "999999"}, START, "")
    assert (found.number, found.time, found.branch) == ("0000000077", START, "")
