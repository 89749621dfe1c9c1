"""What history is made of: master files, minutes as bars, actions from adjusted prices."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import zipfile
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.brokers.kis import adjusted, masters
from quantkit.brokers.kis.charts import MINUTE, minute_candles, session_close
from quantkit.brokers.kis.codes import Environment
from quantkit.brokers.kis.landing import minute_row, stretches
from quantkit.brokers.kis.quotes import Minute
from quantkit.brokers.kis.server import Server
from quantkit.errors import BadData, RetryLater

DAY = dt.date(2025, 7, 8)
CLOSE = session_close(DAY) or 0


def packed(text: str, member: str = "KOSPI_CODE.MST") -> bytes:
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, text.encode("cp949"))
    return found.getvalue()


def line(code: str, name: str, width: int = 227, **places: str) -> str:
    """A line with a tail of blanks, and texts at places p41=... of it."""
    tail = [" "] * width
    for place, text in {"p0": "ST", **places}.items():
        at = int(place[1:])
        tail[at : at + len(text)] = text
    return f"{code:<9}{'KR7' + code:<12}{name}{' ' * (40 - len(name.encode('cp949')))}{''.join(tail)}"


def test_names_of_any_length_leave_the_tail_where_it_is() -> None:
    told = {"p41": "000250000", "p60": "YNY01", "p105": "19750611"}
    text = "\n".join([
        line("005930", "삼성전자", **told),
        line("Q500001", "A very long name of forty bytes, of lett", p0="EN", p60="NNN00"),
        line("58J297", "워런트", p0="EW"), line("069500", "KODEX 200", p0="EF"),
    ])  # fmt: skip
    stock, note, warrant, fund = masters.read("kospi_code.mst", packed(text + "\r\n"))
    assert (stock.symbol, stock.name, stock.market, stock.base) == ("005930", "삼성전자", "KOSPI", 250_000)
    assert (stock.halted, stock.liquidation, stock.managed, stock.warning) == (True, False, True, "01")
    assert (stock.listing, note.listing) == (dt.date(1975, 6, 11), None)
    assert (note.symbol, note.market, len(note.name)) == ("500001", "ETN", 40)
    assert (warrant.market, fund.market) == ("ELW", "ETF")
    young = masters.read("kosdaq_code.mst", packed(line("035720", "이름", 221, p36="000000100", p100="20170710")))
    assert (young[0].market, young[0].base, young[0].listing) == ("KOSDAQ", 100, dt.date(2017, 7, 10))
    assert masters.read("konex_code.mst", packed(line("900001", "작은회사", 184)))[0].market == "KONEX"


@pytest.mark.parametrize(("content", "words"), [
    (b"<html>moved</html>", "no master file"), (packed("005930 short"), "line 1: 12 characters"),
    (packed(line("005930", "이름", p41="a")), "base price 'a'"),
    (packed(line("005930", "이름", p105="20251345")), "listing date '20251345'"),
    (packed(line("005930", "이름", p0="  ")), "group ''"),
])  # fmt: skip
def test_a_file_that_is_none_says_where(content: bytes, words: str) -> None:
    with pytest.raises(BadData, match=words):
        masters.read("kospi_code.mst", content)


@given(st.data())
def test_a_broken_file_is_bad_data_or_read(data: st.DataObject) -> None:
    whole = bytearray(packed("\n".join(line(code, "이름") for code in ("005930", "000660"))))
    for _ in range(data.draw(st.integers(1, 5))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    content = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    with contextlib.suppress(BadData):
        assert len(masters.read("kospi_code.mst", content)) <= 2


async def test_masters_that_cannot_be_had_are_asked_for_later() -> None:
    with pytest.raises(RetryLater, match=r"kospi_code\.mst\.zip could not be had"):
        await masters.download(Server.emulated(Environment.REAL, "http://127.0.0.1:9"))


def minute(clock: str, price: float, volume: int, total: int) -> Minute:
    hour, minutes = int(clock[:2]), int(clock[2:])
    at = CLOSE + ((hour * 60 + minutes) - (15 * 60 + 30)) * MINUTE
    return Minute(time=at, open=price, high=price + 10, low=price, close=price + 10, volume=volume, value_so_far=total)


def test_minutes_end_where_ours_end_and_the_closing_print_closes_the_session() -> None:
    rows = [minute("0900", 100, 10, 1_050), minute("0901", 100, 0, 1_050), minute("1529", 200, 1, 1_255),
            minute("1530", 300, 2, 1_860), minute("1540", 300, 1, 2_165)]  # fmt: skip
    opening, quiet, last, late = minute_candles("005930", reversed(rows), whole=True)
    assert [(bar.close_time - CLOSE) // MINUTE for bar in (opening, quiet, last, late)] == [-389, -388, 0, 11]
    assert quiet.volume == 0
    assert (last.open, last.high, last.low, last.close, last.volume, last.value) == (200, 310, 200, 310, 3, 810)
    assert (opening.value, late.value) == (1_050, 305)
    assert minute_candles("005930", rows)[0].value is None  # nobody knows what was before


def test_a_value_that_its_shares_cannot_have_cost_is_left_out() -> None:
    before = minute("0900", 100, 10, 90_000)  # of an early market that the chart does not show
    rows = [before, minute("0901", 100, 1, 90_105)]
    assert [minute_row(bar)["value"] for bar in minute_candles("005930", rows, whole=True)] == [None, 105]


def test_stretches_are_of_sessions_not_of_dates() -> None:
    days = [dt.date(2025, 7, day) for day in (3, 4, 7, 8, 9, 10)]
    lacking = [days[0], days[1], days[2], days[5]]
    assert stretches(lacking, days) == [(days[0], days[2]), (days[5], days[5])]
    assert stretches(lacking, days, reach=6) == [(days[0], days[5])]


@given(
    ratio=st.sampled_from([Fraction(50), Fraction(5), Fraction(2), Fraction(1, 10), Fraction(3, 2), Fraction(11, 10)]),
    prices=st.lists(st.integers(20_000, 900_000), min_size=4, max_size=30), place=st.integers(1, 29),
    cut=st.booleans(),
)  # fmt: skip
def test_the_ratio_of_an_action_is_found(ratio: Fraction, prices: list[int], place: int, cut: bool) -> None:
    """Whether adjusted prices are rounded or cut off."""
    place = min(place, len(prices) - 1)
    days = []
    for day, price in enumerate(prices):
        real = (float(price), float(price + 500))
        moved = [
            won if day >= place else int(won / ratio) if cut else round(won / ratio) for won in (price, price + 500)
        ]
        days.append((day, real, tuple(map(float, moved))))
    found = adjusted.steps(days)
    assert [step.day for step in found] == [place]
    assert found[0].price_factor == pytest.approx(float(ratio), rel=5e-3)


@given(low=st.floats(1e-3, 1e3), wide=st.floats(1e-6, 0.5))
def test_the_plainest_fraction_lies_inside(low: float, wide: float) -> None:
    high = low * (1 + wide)
    found = adjusted.plainest(low, high)
    assert low * (1 - 1e-9) <= found <= high * (1 + 1e-9)


def test_charts_that_fit_no_factor_give_no_actions() -> None:
    odd = [(day, (100_000.0, 200_000.0), (90_000.0 + 100 * (day % 2), 150_000.0)) for day in range(60)]
    with pytest.raises(BadData, match="bases within 60 days"):
        adjusted.steps(odd)
