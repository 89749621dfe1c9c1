"""The master file of ELWs: its lines as KIS's published structure has them, in bytes of CP949."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.brokers.kis import masters
from quantkit.brokers.kis.assumptions import Assumptions, Heard
from quantkit.brokers.kis.codes import Environment
from quantkit.brokers.kis.history import fill_instruments
from quantkit.brokers.kis.masters import Listed, Warrant
from quantkit.data.lake import Lake
from quantkit.errors import BadData
from tests.brokers.kis.test_emulated import client_of
from tests.emulator.kis.wire import emulator

FIELDS = (  # name and width in bytes, one behind the other
    ("code", 9), ("isin", 12), ("name", 40), ("form", 1), ("barrier", 13), ("basket", 1), ("u1", 9), ("u2", 9),
    ("u3", 9), ("u4", 9), ("u5", 9), ("issuer", 40), ("issuer_no", 5), ("strike", 9), ("last", 8), ("left", 4),
    ("right", 1), ("paid", 8), ("worth", 9), ("shares", 15), *((f"maker{place}", 5) for place in range(1, 11)),
)  # fmt: skip
LIKE_KIS = {
    "code": "58J297", "isin": "KRA581J29E37", "name": "한국J297삼성전자콜", "form": "0", "barrier": "0" * 13,
    "basket": "N", "u1": "005930", "issuer": "한국투자증권", "issuer_no": "00030", "strike": "000085000",
    "last": "20270311", "left": "0109", "right": "C",
    "paid": "20270316", "worth": "000000012", "shares": "000000000010000", "maker1": "00030",
}  # fmt: skip


def line(**changed: str | bytes) -> bytes:
    """A line of 270 bytes, texts to the left of their fields."""
    told = LIKE_KIS | changed
    said = [(told.get(name, ""), width) for name, width in FIELDS]
    raw = [(text if isinstance(text, bytes) else text.encode("cp949")).ljust(width) for text, width in said]
    assert [len(each) for each in raw] == [width for _, width in said]
    return b"".join(raw)


def packed(*lines: bytes, end: bytes = b"\n") -> bytes:
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("elw_code.mst", b"".join(each + end for each in lines))
    return found.getvalue()


def read(*lines: bytes, end: bytes = b"\n") -> list[Listed]:
    return masters.read("elw_code.mst", packed(*lines, end=end))


def test_a_line_is_read_by_bytes_whatever_its_names() -> None:
    assert len(line()) == 270
    (one,) = read(line())
    assert one == Listed(
        symbol="58J297", isin="KRA581J29E37", name="한국J297삼성전자콜", market="ELW", group="EW",
        warrant=Warrant(underlyings=("005930",), right="call", form="standard", strike=85_000.0,
                        last_day=dt.date(2027, 3, 11), issuer="한국투자증권"),
    )  # fmt: skip
    long, basket = read(
        line(name="가" * 20, issuer="나" * 20, right="P", form="2", barrier="0000000412.50", strike="350.25"),
        line(basket="Y", u1="A005930", u2="000660", u3="0009K0", strike="        0", right="E", last="0" * 8),
    )
    assert long.warrant == Warrant(
        underlyings=("005930",), right="put", form="knock_out", strike=350.25, barrier=412.5,
        last_day=dt.date(2027, 3, 11), issuer="나" * 20,
    )  # fmt: skip
    assert basket.warrant is not None
    assert basket.warrant.underlyings == ("005930", "000660", "0009K0")
    assert (basket.warrant.right, basket.warrant.strike, basket.warrant.last_day) == ("other", None, None)


def test_a_name_that_its_field_cuts_in_half_loses_its_last_letter() -> None:
    cut = ("a" + "가" * 20).encode("cp949")[:40]
    (one,) = read(line(name=cut))
    assert one.name == "a" + "가" * 19
    assert one.warrant is not None
    assert one.warrant.strike == 85_000.0


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_tails_that_are_cut_or_grow_change_nothing(end: bytes) -> None:
    whole, bare, longer = read(
        line(maker1="", shares=""), line(maker1="", shares="").rstrip(), line() + b"more", end=end
    )
    assert whole == bare == longer
    assert read(b"", line(), b"   ", end=end) == [whole]


@pytest.mark.parametrize(("bad", "words"), [
    (b"58J297   short", "14 bytes, expected 188 or more"),
    (line(code=""), "no code"),
    (line(right="X"), "form '0', right 'X', basket 'N'; expected one of 0 1 2"),
    (line(form="7"), "form '7'"),
    (line(basket="?"), "form '0', right 'C', basket"),
    (line(strike="85,000"), "strike '85,000', expected a number"),
    (line(strike="-1"), "strike '-1', expected a number"),
    (line(strike="１２"), "strike '１２', expected a number"),
    (line(strike="nan"), "strike 'nan', expected a number"),
    (line(strike="1_000"), "strike '1_000', expected a number"),
    (line(barrier="inf"), "barrier 'inf', expected a number"),
    (line(last="20270231"), "last trading day '20270231', expected YYYYMMDD"),
    (line(name=b"\xff\xff name"), "name .*expected text in CP949"),
    (line(name="한" * 20).decode("cp949").encode("utf-8"), ""),  # a file that was saved anew in UTF-8
])  # fmt: skip
def test_a_line_that_is_none_says_its_file_its_number_and_what_was_expected(bad: bytes, words: str) -> None:
    with pytest.raises(BadData, match=rf"elw_code\.mst line 2: {words}"):
        read(line(), bad)


async def test_terms_that_cannot_be_read_hide_no_other_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with emulator() as server, client_of(server, tmp_path, Environment.REAL) as client:
        whole = await client.names()
        assert (len(whole) > 0, whole.unread) == (True, "")
        true = masters.read

        def garbled(name: str, content: bytes) -> list[Listed]:
            return true(name, packed(b"58J297") if name == masters.WARRANTS else content)

        monkeypatch.setattr(masters, "read", garbled)
        found = await client.names()
        assert found == whole
        assert "terms of ELWs cannot be read: elw_code.mst line 1: 6 bytes" in found.unread
        report = await fill_instruments(client, Lake(tmp_path / "lake"))
        assert (report.added, report.notes) == (len(whole), (found.unread,))
        assert await Assumptions(client, Heard()).master_files() == (False, f"{found.unread}; {len(whole)} KOSPI")


def test_a_file_that_is_no_archive_says_so() -> None:
    with pytest.raises(BadData, match=r"elw_code\.mst\.zip is no master file"):
        masters.read("elw_code.mst", b"<html>moved</html>")


LETTERS = st.characters(codec="cp949", categories=("L", "N", "P", "S"))
CODES = st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=6, max_size=6).filter(
    lambda code: bool(code.strip("0"))
)
DAYS = st.dates(dt.date(2005, 12, 1), dt.date(2099, 12, 31))


@st.composite
def names(draw: st.DrawFn) -> str:
    text = draw(st.text(LETTERS, max_size=40))
    while len(text.encode("cp949")) > 40:
        text = text[:-1]
    return text


@st.composite
def warrants(draw: st.DrawFn) -> Listed:
    terms = Warrant(
        underlyings=tuple(draw(st.lists(CODES, max_size=5))),
        right=draw(st.sampled_from(["call", "put", "other", ""])),
        form=draw(st.sampled_from(["standard", "digital", "knock_out", ""])),
        strike=draw(st.none() | st.integers(1, 10**8).map(lambda cents: cents / 100)),
        barrier=draw(st.none() | st.integers(1, 10**9).map(lambda cents: cents / 100)),
        last_day=draw(st.none() | DAYS), issuer=draw(names()),
    )  # fmt: skip
    return Listed(
        symbol=draw(CODES), isin=f"KR{draw(CODES)}0000", name=draw(names()), market="ELW", group="EW", warrant=terms
    )


def written(one: Listed) -> bytes:
    """The line of a record: what `read` undoes."""
    terms = one.warrant
    assert terms is not None
    codes = {f"u{place}": code for place, code in enumerate((*terms.underlyings, "", "", "", "", "")[:5], 1)}
    return line(
        code=one.symbol, isin=one.isin, name=one.name, issuer=terms.issuer, **codes,
        right={"call": "C", "put": "P", "other": "E", "": ""}[terms.right],
        form={"standard": "0", "digital": "1", "knock_out": "2", "": ""}[terms.form],
        strike=f"{terms.strike or 0:09.2f}", barrier=f"{terms.barrier or 0:013.2f}",
        last="" if terms.last_day is None else f"{terms.last_day:%Y%m%d}",
    )  # fmt: skip


@given(st.lists(warrants(), max_size=5), st.sampled_from([b"\n", b"\r\n"]))
def test_what_is_written_is_read(listed: list[Listed], end: bytes) -> None:
    assert read(*map(written, listed), end=end) == listed


@given(st.lists(st.tuples(st.integers(0, 269), st.integers(0, 255)), min_size=1, max_size=8))
def test_a_broken_line_is_bad_data_or_read(changes: list[tuple[int, int]]) -> None:
    broken = bytearray(line())
    for place, byte in changes:
        broken[place] = byte
    with contextlib.suppress(BadData):
        assert len(read(bytes(broken))) <= 9
