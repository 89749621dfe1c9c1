"""Frames of the stream, right and wrong: what is told is what was sent, or it is an error with a code."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.brokers.kis import columns
from quantkit.brokers.kis.catalogue import calls, find
from quantkit.brokers.kis.columns import BadFrame
from quantkit.brokers.kis.frames import (
    BOOKS,
    ELW_BOOKS,
    ELW_TRADES,
    TRADES,
    Ack,
    Books,
    Day,
    OrderNotice,
    Orders,
    Ping,
    Records,
    Said,
    Trades,
    day_at,
    feeds,
    parse,
)
from quantkit.market.days import SEOUL
from quantkit.trading.orders import Side
from quantkit.trading.ports import Quote, Tick
from tests.brokers.kis.frames import DATE, IV, KEY, book, frame, notice, seal, trade

AT = round(dt.datetime(2026, 1, 5, 9, 30, 15, tzinfo=SEOUL).timestamp()) * 10**9
TODAY = day_at(AT)
SECRETS = {"H0STCNI0": (KEY, IV), "H0STCNI9": (KEY, IV)}
CODES = {"SHAPE", "WIDTH", "FEED", "VALUE", "SEALED", "CONTROL"}


def read(text: str | bytes, day: Day = TODAY) -> Said:
    return parse(text, day, secrets=SECRETS, generation=3)


def trades(text: str) -> Trades:
    found = read(text)
    assert isinstance(found, Trades)
    return found


def notices(*records: list[str], feed: str = "H0STCNI0") -> list[OrderNotice]:
    found = read(frame(feed, *records, sealed=True))
    assert isinstance(found, Orders)
    return found.notices


def code_of(text: str | bytes) -> str:
    with pytest.raises(BadFrame) as caught:
        read(text)
    assert caught.value.code in CODES
    return caught.value.code


def tried(text: str | bytes) -> Said | str:
    """What a frame says, or the code of its error."""
    try:
        return read(text)
    except BadFrame as problem:
        return problem.code


# --- trades -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("feed", TRADES.values())
@pytest.mark.parametrize("more", [(), ("2",), ("2", "new", "columns")])
def test_a_trade_is_told_whatever_columns_came_later(feed: str, more: tuple[str, ...]) -> None:
    found = trades(frame(feed, trade(more=more), trade(symbol="0001A0", price="0071000", total="1234570", more=more)))
    assert found.ticks == [
        Tick("005930", AT, 70_000.0, 15, 3), Tick("0001A0", AT, 71_000.0, 15, 3),
    ]  # fmt: skip
    assert (found.feed, found.totals, found.expected) == (feed, [1_234_567, 1_234_570], [False, False])


def test_a_trade_of_an_elw_is_told() -> None:
    found = trades(frame(ELW_TRADES, trade(symbol="58J297", hour="12.5", more=["0"] * 17)))
    assert (found.ticks[0].symbol, found.expected) == ("58J297", [False])


def test_bytes_are_read_as_text_is() -> None:
    assert read(frame("H0STCNT0", trade()).encode()) == read(frame("H0STCNT0", trade()))


def test_a_code_of_an_etn_is_ours() -> None:
    assert trades(frame("H0STCNT0", trade(symbol="Q500001"))).ticks[0].symbol == "500001"


def test_the_print_of_a_call_and_what_a_call_would_print_are_told_apart() -> None:
    found = trades(frame("H0STCNT0", trade(initiator="3"), trade(hour="B")))
    assert [(tick.auction, told) for tick, told in zip(found.ticks, found.expected, strict=True)] == [
        (True, False), (False, True)
    ]  # fmt: skip


def test_a_trade_belongs_to_the_date_it_tells() -> None:
    assert trades(frame("H0STCNT0", trade(date="20260102"))).ticks[0].time == AT - 3 * 86_400 * 10**9


@pytest.mark.parametrize(
    "wrong",
    [
        {"price": ""}, {"price": "0"}, {"price": "-70000"}, {"price": "7O000"}, {"price": "70,000"}, {"price": "7e4"},
        {"price": "nan"}, {"price": "７００００"}, {"price": "1" * 400}, {"price": "1_000"}, {"volume": ""},
        {"volume": "1.5"}, {"volume": "-3"}, {"volume": "9" * 5_000}, {"total": ""}, {"total": "x"},
        {"clock": "9:30:15"}, {"clock": "250000"}, {"clock": "096000"}, {"clock": "093060"}, {"clock": "+93015"},
        {"symbol": ""}, {"symbol": "00593"}, {"symbol": "삼성전자우선"}, {"symbol": "0059 30"}, {"date": "20261301"},
        {"date": ""}, {"date": "20"},
    ],
)  # fmt: skip
def test_a_trade_with_one_wrong_value_is_no_trade(wrong: dict[str, str]) -> None:
    assert code_of(frame("H0STCNT0", trade(**wrong))) == "VALUE"  # type: ignore[arg-type]
    assert code_of(frame("H0STCNT0", trade(), trade(**wrong))) == "VALUE"  # type: ignore[arg-type]


def test_decimals_and_blanks_around_a_number_are_its_own() -> None:
    found = trades(frame("H0STCNT0", trade(price=" 70000.50", volume="0000000015 ", total="+1234567")))
    assert (found.ticks[0].price, found.ticks[0].volume, found.totals) == (70_000.5, 15, [1_234_567])


@pytest.mark.parametrize("make", [trade, book, notice])
@pytest.mark.parametrize("count", ["000", "002", "003", "1", "01", "0x1", "+01", "１００", ""])
def test_a_number_of_records_that_does_not_fit_is_an_error(make: Callable[..., list[str]], count: str) -> None:
    feed = {trade: "H0STCNT0", book: "H0STASP0", notice: "H0STCNI0"}[make]  # type: ignore[index]
    sealed = make is notice
    _, _, _, payload = frame(feed, make(), sealed=sealed).split("|", 3)
    assert code_of(f"{int(sealed)}|{feed}|{count}|{payload}") in ("SHAPE", "WIDTH")


def test_two_records_told_as_one_are_not_taken_for_one() -> None:
    both = "^".join([*trade(), *trade()])
    assert code_of(f"0|H0STCNT0|001|{both}") == "WIDTH"


@given(st.integers(0, 46), st.integers(1, 3))
def test_a_missing_column_never_shifts_the_others(gone: int, records: int) -> None:
    rows = [trade(total=str(1_000 + k)) for k in range(records)]
    whole = trades(frame("H0STCNT0", *rows))
    for row in rows:
        del row[gone]
    try:
        found = trades(frame("H0STCNT0", *rows))
    except BadFrame:
        return
    assert found.ticks == whole.ticks
    assert found.totals == whole.totals


@given(st.integers(0, 62))
def test_a_missing_column_never_shifts_a_book(gone: int) -> None:
    row = book()
    whole = read(frame("H0STASP0", row))
    del row[gone]
    try:
        assert read(frame("H0STASP0", row)) == whole
    except BadFrame:
        assert gone <= 51


@given(st.data())
def test_a_frame_that_was_cut_off_is_an_error_or_tells_the_same(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from([
        frame("H0STCNT0", trade()), frame("H0STCNT0", trade(), trade(total="1234570")), frame("H0STASP0", book()),
        frame("H0STCNI0", notice(), sealed=True), frame("H0STCNI0", notice(), notice(), sealed=True),
    ]))  # fmt: skip
    whole = read(text)
    part = text[: data.draw(st.integers(0, len(text) - 1))]
    found = tried(part)
    assert found == whole or found in CODES


@given(st.one_of(st.text(), st.binary(), st.from_regex(r"[01]\|H0(ST|NX|UN)(CNT|ASP|CNI)0\|\d{3}\|[0-9^A-Z.-]*")))
def test_nothing_that_comes_is_more_than_an_error(text: str | bytes) -> None:
    found = tried(text)
    assert found in CODES if isinstance(found, str) else isinstance(found, Said)


_NUMBERS = st.integers(1, 10**7)


@given(
    st.lists(st.tuples(_NUMBERS, _NUMBERS, st.integers(0, 10**12), st.integers(0, 86_399)), min_size=1, max_size=20),
    st.integers(0, 12),
)
def test_what_was_sent_is_what_is_told(sent: list[tuple[int, int, int, int]], zeros: int) -> None:
    rows = [
        trade(price=str(price).zfill(zeros), volume=str(volume).zfill(zeros), total=str(total),
              clock=f"{at // 3600:02d}{at // 60 % 60:02d}{at % 60:02d}")
        for price, volume, total, at in sent
    ]  # fmt: skip
    found = trades(frame("H0STCNT0", *rows))
    assert [(tick.price, tick.volume, total, (tick.time - TODAY.midnight) // 10**9) for tick, total in
            zip(found.ticks, found.totals, strict=True)] == sent  # fmt: skip


@given(st.data())
def test_a_damaged_trade_is_an_error_or_differs_only_where_it_was_damaged(data: st.DataObject) -> None:
    row = trade()
    place = data.draw(st.integers(0, len(row) - 1))
    row[place] = data.draw(st.text(st.characters(exclude_characters="^|", codec="utf-8"), max_size=12))
    try:
        found = trades(frame("H0STCNT0", row))
    except BadFrame:
        return
    told = found.ticks[0]
    want = {0: "symbol", 1: "time", 2: "price", 12: "volume", 21: "auction", 33: "time"}
    plain = trades(frame("H0STCNT0", trade())).ticks[0]
    assert all(getattr(told, name) == getattr(plain, name) for name in ("symbol", "time", "price", "volume", "auction")
               if name != want.get(place))  # fmt: skip
    if place in (2, 12):
        assert float(row[place]) == getattr(told, want[place])


def test_a_wrong_text_is_wrong_each_time() -> None:
    for _ in range(2):
        assert code_of(frame("H0STCNT0", trade(price="7O000"))) == "VALUE"
        assert code_of(frame("H0STASP0", book(asks=[(70_100, -5)]))) == "VALUE"


def test_what_was_read_before_is_forgotten_before_it_is_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "MANY", 3)
    for price in range(1_000, 1_020):
        assert trades(frame("H0STCNT0", trade(price=str(price)))).ticks[0].price == float(price)
    assert len(columns.prices) <= 3


# --- books ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("feed", "more"), [(BOOKS["KRX"], 0), (BOOKS["KRX"], 4), (BOOKS["NXT"], 3), (BOOKS["SOR"], 7)])
def test_a_book_is_ten_levels_each_way(feed: str, more: int) -> None:
    found = read(frame(feed, book(more=more)))
    assert isinstance(found, Books)
    asks = tuple((70_100.0 + 100 * k, 10 + k) for k in range(10))
    bids = tuple((70_000.0 - 100 * k, 20 + k) for k in range(10))
    assert found.quotes == [Quote("005930", AT, bids, asks, 3)]


def test_a_book_of_an_elw_has_what_it_would_print_elsewhere() -> None:
    row = [*book(symbol="58J297", hour="A")[:45], "70050", "12", "5", "-500", "-0.71", *["0"] * 23]
    found = read(frame(ELW_BOOKS, row))
    assert isinstance(found, Books)
    assert (found.quotes[0].symbol, found.quotes[0].expected, len(found.quotes[0].asks)) == ("58J297", 70_050.0, 10)
    row[47] = "7"
    assert code_of(frame(ELW_BOOKS, row)) == "VALUE"


def test_levels_that_are_not_there_are_left_out() -> None:
    found = read(frame("H0STASP0", book(asks=[(70_100, 5)], bids=[])))
    assert isinstance(found, Books)
    assert (found.quotes[0].asks, found.quotes[0].bids) == (((70_100.0, 5),), ())


def test_a_call_tells_what_it_would_print() -> None:
    quote = read(frame("H0STASP0", book(hour="A", expected="70050"))).quotes[0]  # type: ignore[union-attr]
    still = read(frame("H0STASP0", book(hour="0", expected="70050"))).quotes[0]  # type: ignore[union-attr]
    assert (quote.expected, still.expected) == (70_050.0, None)


@pytest.mark.parametrize("wrong", [
    book(asks=[(70_200, 1), (70_100, 1)]), book(bids=[(69_900, 1), (70_000, 1)]), book(clock=""), book(sign="-500"),
    book(asks=[(70_100, -5)]), book(symbol=""), book(hour="A", expected="7O"),
])  # fmt: skip
def test_a_book_out_of_order_is_no_book(wrong: list[str]) -> None:
    assert code_of(frame("H0STASP0", wrong)) == "VALUE"


_VALUES = st.one_of(
    st.from_regex(r"[ +-]?[0-9]{0,8}(\.[0-9]{0,2})? ?", fullmatch=True),
    st.text(st.characters(exclude_characters="^|", codec="utf-8"), max_size=12),
)


@given(st.integers(0, 62), _VALUES)
def test_a_damaged_book_is_an_error_or_differs_only_where_it_was_damaged(place: int, text: str) -> None:
    row = book()
    row[place] = text
    found = tried(frame("H0STASP0", row))
    if isinstance(found, str):
        return
    assert isinstance(found, Books)
    whole = read(frame("H0STASP0", book())).quotes[0]  # type: ignore[union-attr]
    levels = [list(level) for level in (*whole.asks, *whole.bids)]
    if 3 <= place < 43:
        levels[(place - 3) % 20][(place - 3) // 20] = float(text.strip() or 0)
    (told,) = found.quotes
    assert [list(level) for level in (*told.asks, *told.bids)] == [level for level in levels if level[0] > 0.0]
    assert told.symbol == "005930" or place == 0
    assert told.time == AT or place == 1
    assert told.expected is None or place == 2


# --- notices of orders ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("feed", ["H0STCNI0", "H0STCNI9"])
def test_a_fill_is_told_with_all_its_zeros(feed: str, old: bool) -> None:
    (found,) = notices(notice(old=old), feed=feed)
    assert (found.number, found.original, found.branch, found.account) == ("0000117057", None, "91252", "1234567801")
    assert (found.kind, found.side, found.quantity, found.price, found.time) == ("filled", Side.BUY, 10, 70_000.0, AT)
    assert (found.order_quantity, found.order_price, found.venue) == (10, 70_000.0, "KRX")
    told = found.notice(7)
    assert (told.kind, told.number, told.quantity, told.price, told.generation) == (
        "filled", "0000117057", 10, 70_000.0, 7
    )  # fmt: skip
    assert told.execution is None
    assert told.cumulative is None


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ({"executed": "1", "state": "1"}, "accepted"),
        ({"executed": "1", "state": "2"}, "accepted"),
        ({"executed": "1", "state": "1", "refused": "1"}, "rejected"),
        ({"executed": "1", "state": "3"}, "canceled"),
        ({"executed": "1", "state": "1", "change": "2", "original": "0000117000"}, "accepted"),
        ({"executed": "1", "state": "2", "change": "2", "original": "0000117000"}, "canceled"),
        ({"executed": "1", "state": "2", "change": "1", "original": "0000117000"}, "replaced"),
        ({"executed": "1", "state": "1", "change": "2", "original": "0000117000", "refused": "1"}, "rejected"),
    ],
)
def test_an_order_s_life_in_our_words(said: dict[str, str], kind: str) -> None:
    (found,) = notices(notice(**said))  # type: ignore[arg-type]
    assert (found.kind, found.notice().kind) == (kind, kind)
    assert found.original == (said.get("original") or None)


def test_a_name_in_another_encoding_loses_no_fill() -> None:
    row = notice(name="삼성전자")
    broken = "^".join(row).encode().replace("삼성전자".encode(), "삼성전자".encode("euc-kr"))
    found = read(f"1|H0STCNI0|001|{seal(broken)}")
    assert isinstance(found, Orders)
    assert found.notices[0].quantity == 10


@pytest.mark.parametrize("wrong", [
    {"number": ""}, {"number": "00001170571"}, {"account": "12345678"}, {"side": "03"}, {"change": "9"},
    {"quantity": ""}, {"quantity": "-1"}, {"price": "x"}, {"clock": ""}, {"refused": ""}, {"executed": "3"},
    {"state": ""}, {"symbol": ""}, {"venue": "9"},
])  # fmt: skip
def test_a_notice_with_one_wrong_value_is_an_error_that_shows_nothing(wrong: dict[str, str]) -> None:
    with pytest.raises(BadFrame) as caught:
        notices(notice(**wrong))  # type: ignore[arg-type]
    assert caught.value.code == "VALUE"
    assert not [secret for secret in ("1234567801", "planted", "홍길동") if secret in str(caught.value)]


@given(st.integers(0, 25), _VALUES)
def test_a_damaged_notice_is_an_error_or_differs_only_where_it_was_damaged(place: int, text: str) -> None:
    row = notice()
    row[place] = text
    found = tried(frame("H0STCNI0", row, sealed=True))
    if isinstance(found, str):
        return
    assert isinstance(found, Orders)
    (whole,), (told,) = notices(notice()), found.notices
    names = {1: "account", 2: "number", 3: "original", 4: "side", 5: "change", 6: "code", 8: "symbol", 9: "quantity",
             10: "price", 11: "time", 12: "rejected", 13: "executed", 14: "state", 15: "branch", 16: "order_quantity",
             19: "venue", 25: "order_price"}  # fmt: skip
    assert {name for name, value in told._asdict().items() if value != getattr(whole, name)} <= {names.get(place)}
    if place in (9, 10, 16, 25):
        assert getattr(told, names[place]) == float(text.strip() or 0)


@pytest.mark.parametrize("columns", [22, 24, 25, 46, 52])
def test_a_notice_of_another_width_is_an_error(columns: int) -> None:
    row = [*notice(), *["0"] * 30][:columns]
    assert code_of(frame("H0STCNI0", row, sealed=True)) == "WIDTH"


def test_notices_are_sealed_with_the_key_of_their_feed() -> None:
    assert code_of(frame("H0STCNI0", notice())) == "SEALED"  # in the open: not KIS's
    assert code_of("1|H0STCNI0|001|" + seal("^".join(notice()), key=KEY[::-1])) in ("SEALED", "WIDTH")
    assert code_of("1|H0STCNI0|001|no base 64") == "SEALED"
    assert code_of("1|H0STCNI0|001|") == "SEALED"
    assert code_of("1|H0GSCNI0|001|" + seal("x")) == "SEALED"  # no acknowledgement brought its key
    with pytest.raises(BadFrame) as caught:
        parse(frame("H0STCNI0", notice(), sealed=True), TODAY, secrets={"H0STCNI0": ("short", IV)})
    assert caught.value.code == "SEALED"


# --- everything else --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("feed", sorted(feeds()))
def test_every_stream_of_the_catalogue_can_be_read(feed: str) -> None:
    call = find(feed)
    values = {"n": "-0012.50", "d": DATE, "t": "abc"}
    columns = [values[each.kind] for each in call.blocks[""]]
    if feed in (*TRADES.values(), *BOOKS.values(), ELW_TRADES, ELW_BOOKS, "H0STCNI0", "H0STCNI9"):
        with pytest.raises(BadFrame):
            read(f"0|{feed}|001|" + "^".join(columns[:-20]))
        return
    found = read(f"0|{feed}|002|" + "^".join([*columns, "later", *columns, "later"]))
    assert isinstance(found, Records)
    assert (len(found.rows), found.unread) == (2, ())
    assert len(found.rows[0]) == len(columns)
    numbers = [found.rows[0][each.name] for each in call.blocks[""] if each.kind == "n"]
    assert not numbers or set(map(str, numbers)) == {"-12.5"}


def test_a_record_that_is_not_what_the_catalogue_says_stays_text() -> None:
    call = calls()["etf_nav_trend"]
    columns = ["x1" if each.kind == "n" else "005930" for each in call.blocks[""]]
    found = read("0|H0STNAV0|001|" + "^".join(columns))
    assert isinstance(found, Records)
    assert set(found.unread) == {each.name for each in call.blocks[""] if each.kind == "n"}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "CONTROL"), ("nonsense", "CONTROL"), ("0|H0STCNT0|001", "CONTROL"), ("{", "CONTROL"), ("[]", "CONTROL"),
        ("{}", "CONTROL"), ('{"header": {}}', "CONTROL"), ('{"header": {"tr_id": "x"}}', "CONTROL"),
        ("[" * 100_000, "CONTROL"), ("2|H0STCNT0|001|x", "SHAPE"), ("|||", "SHAPE"), ("0|NOTHING0|001|x", "FEED"),
        (b"0|H0STCNT0|001|\xff\xfe", "SHAPE"), ("x" * 2_000_000, "SHAPE"), ("0|H0STNAV0|001|1^2", "WIDTH"),
    ],
)  # fmt: skip
def test_what_is_no_frame_says_why(text: str | bytes, code: str) -> None:
    assert code_of(text) == code


def acknowledgement(**body: Any) -> str:
    return json.dumps({"header": {"tr_id": "H0STCNI0", "tr_key": "planted-hts-id", "encrypt": "N"}, "body": body})


def test_answers_to_registrations_and_pings_are_told() -> None:
    said = read(acknowledgement(rt_cd="0", msg_cd="OPSP0000", msg1="SUBSCRIBE SUCCESS", output={"iv": IV, "key": KEY}))
    assert said == Ack("H0STCNI0", "planted-hts-id", ok=True, code="OPSP0000", text="SUBSCRIBE SUCCESS",
                       secret=(KEY, IV))  # fmt: skip
    assert not [secret for secret in ("planted", KEY, IV) if secret in repr(said)]
    refused = read(acknowledgement(rt_cd="1", msg_cd="OPSP0008", msg1="MAX SUBSCRIBE OVER"))
    assert isinstance(refused, Ack)
    assert (refused.ok, refused.secret) == (False, None)
    ping = '{"header":{"tr_id":"PINGPONG","datetime":"20260105093015"}}'
    assert read(ping) == Ping(ping)
