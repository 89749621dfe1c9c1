"""The catalogue is whole, its names are ours and fit the tool that makes it, and every read of it can be called."""

from __future__ import annotations

import importlib.util
import re
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

from quantkit.brokers.kis.catalogue import CATEGORIES, Call, calls, find, listing
from quantkit.brokers.kis.codes import _TRANSACTIONS, Environment
from quantkit.errors import ConfigError
from tests.brokers.kis.conftest import Opened
from tests.brokers.kis.server import Asked, Reply, done

ALL = list(calls().values())
REPOSITORY = Path(__file__).parents[3]
GIVEN = {"n": "1", "d": "20260105", "t": "A"}


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("kis_catalogue", REPOSITORY / "tools" / "kis_catalogue.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_all_of_it_is_there() -> None:
    assert len(ALL) == 338
    assert Counter(call.kind for call in ALL) == {"read": 256, "stream": 60, "order": 18, "auth": 4}
    assert Counter(call.category for call in ALL) == {
        "auth": 4, "stock": 156, "overseas": 51, "futures": 44, "overseas_futures": 35, "bond": 18, "etf": 6, "elw": 24
    }  # fmt: skip
    assert sum(bool(call.paper) for call in ALL) == 47
    assert all(call.english and call.korean and call.path.startswith("/") for call in ALL)


def test_every_name_and_title_comes_from_the_tool(tool: ModuleType) -> None:
    assert {call.name: call.english for call in ALL} == tool.TITLES
    for call in ALL:
        for fields in [call.request, *call.blocks.values()]:
            told = tool.english([field.wire.lower() for field in fields])
            assert {field.wire.lower(): (field.name, field.kind) for field in fields} == told, call.name


def test_no_two_fields_of_a_call_share_a_name() -> None:
    for call in ALL:
        for fields in [call.request, *call.blocks.values()]:
            names = [field.name for field in fields]
            assert len(names) == len(set(names)), call.name
            assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in names), call.name


def test_the_ids_of_the_typed_calls_are_the_catalogues() -> None:
    real = {tr for call in ALL for tr in call.real.values()}
    paper = {tr for call in ALL for tr in call.paper.values()}
    for what, (one, other) in _TRANSACTIONS.items():
        assert one in real, what
        assert other in paper | {""}, what


def test_codes_are_no_numbers() -> None:
    """What would be wrong as a number: symbols, order numbers, branches, members, flags, times."""
    text = ("pdno", "odno", "iscd", "_cd", "_code", "_yn", "_no", "tmd", "orgno", "brno", "_id", "_name", "isnm")
    for call in ALL:
        for fields in [call.request, *call.blocks.values()]:
            for field in fields:
                if field.wire.lower().endswith(text):
                    assert field.kind == "t", (call.name, field.wire)


def test_a_call_is_found_by_any_of_its_names() -> None:
    one = find("inquire_price")
    assert [find(name).name for name in ("FHKST01010100", "주식현재가 시세", "INQUIRE-PRICE", one.path)] == [
        "inquire_price"
    ] * 4
    assert find("dailyprice").name == "overseas_dailyprice"
    assert find("VTTC8434R").name == "inquire_balance"
    with pytest.raises(ConfigError, match="in several categories: overseas_updown_rate, elw_updown_rate"):
        find("updown_rate")
    with pytest.raises(ConfigError, match=r"no call 'inquire_prise'; near it: inquire_price"):
        find("inquire_prise")
    with pytest.raises(ConfigError, match="kis ls"):
        find("@@@@")


def test_the_listing_narrows() -> None:
    assert len(listing()) == 338
    assert {call.category for call in listing("bond")} == {"bond"}
    assert [call.name for call in listing(words="잔고 pension")] == [
        "pension_inquire_balance", "pension_inquire_present_balance"
    ]  # fmt: skip
    assert set(CATEGORIES) == {call.category for call in ALL}
    with pytest.raises(ConfigError, match="expected one of auth, stock"):
        listing("crypto")


def _answer(call: Call) -> dict[str, object]:
    """An answer with all the fields KIS publishes, each with a value of its kind."""
    values = {"n": "000123.50", "d": "20260105", "t": "0012"}
    blocks: dict[str, object] = {}
    for block, fields in call.blocks.items():
        row = {field.wire: values[field.kind] for field in fields}
        if block:
            blocks["output" if block == "?" else block] = [row, row] if block == "output2" else row
    return done(**blocks)


async def test_every_question_of_the_catalogue_can_be_asked(opened: Opened) -> None:
    async with opened() as bench:
        client = bench.client()
        client.wire.limiter.rate = 10**6
        asked: list[Asked] = []
        for call in ALL:
            if call.kind != "read":
                continue
            for variant, transaction in call.real.items():
                reply = Reply(_answer(call))
                bench.kis.at(call.method, call.path, transaction, lambda each, reply=reply: asked.append(each) or reply)
                fields = {
                    field.name: GIVEN[field.kind][: field.length or 9] for field in call.request
                    if field.required and not field.wire.upper().startswith(("CANO", "ACNT_PRDT", "CTX_AREA"))
                }  # fmt: skip
                found = await client.call(call.name, variant=variant or None, **fields)
                assert found.unread == (), call.name
                published = {field.name for block, fields_ in call.blocks.items() if block for field in fields_}
                assert {name for rows in found.blocks.values() for row in rows for name in row} == published, call.name
                kinds = {field.name: field.kind for field in call.answer.values()}
                for row in found.rows:
                    assert all(value == 123.5 for name, value in row.items() if kinds[name] == "n"), call.name
                    assert all(value == "0012" for name, value in row.items() if kinds[name] == "t"), call.name
                if len(asked) % 20 == 0:  # making frames takes longer than all the rest
                    assert len(found.frame()) == len(found.rows)
        assert len(asked) == 256 + 2
        for each in asked:
            assert each.query.get("CANO", "73019482") == "73019482"


@pytest.mark.parametrize("call", [call for call in ALL if call.kind in ("order", "stream")], ids=lambda call: call.name)
async def test_orders_and_streams_are_not_called(opened: Opened, call: Call) -> None:
    async with opened() as bench:
        with pytest.raises(Exception, match=r"ORDER_BY_CALL|is a stream"):
            await bench.client().call(call.name)
        assert bench.kis.asked == []


async def test_what_paper_lacks_is_refused_here(opened: Opened) -> None:
    async with opened() as bench:
        client = bench.client(Environment.PAPER)
        for call in ALL:
            if call.kind == "read" and not call.paper:
                with pytest.raises(Exception, match="PAPER_UNSUPPORTED"):
                    await client.call(call.name)
        assert bench.kis.asked == []


def test_a_call_says_its_fields_under_all_their_names() -> None:
    said = find("inquire_price").doc.splitlines()
    assert said[0].endswith("(주식현재가 시세)")
    assert "    price (stck_prpr): 주식 현재가" in said
    assert any(line.startswith("    symbol (FID_INPUT_ISCD): ") for line in said)
    assert all(call.doc.count("\n    ") == len(call.request) + sum(map(len, call.blocks.values()))
               for call in calls().values())  # fmt: skip
