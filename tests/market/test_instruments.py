"""Codes, market labels and ISINs as they are met in files and messages."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from quantkit.errors import BadData
from quantkit.market.instruments import (
    Code,
    is_isin,
    isin_check_digit,
    market_ids,
    market_name,
    parse_code,
    symbol,
    symbols,
)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("005930", Code("005930", "KRX", None)),
        (" 005930 ", Code("005930", "KRX", None)),
        ("A005930", Code("005930", "KRX", None)),
        ("Q520057", Code("520057", "KRX", None)),
        ("0009K0", Code("0009K0", "KRX", None)),
        ("0155e0", Code("0155E0", "KRX", None)),
        ("A0155E0", Code("0155E0", "KRX", None)),
        ("00680K", Code("00680K", "KRX", None)),
        ("039490_NX", Code("039490", "NXT", None)),
        ("039490_AL", Code("039490", "SOR", None)),
        ("005930.KS", Code("005930", "KRX", "KOSPI")),
        ("035720.KQ", Code("035720", "KRX", "KOSDAQ")),
    ],
)
def test_every_known_spelling_gives_its_code(text: str, code: Code) -> None:
    assert parse_code(text) == code
    assert symbol(text) == code.symbol


@pytest.mark.parametrize("number", [5930, np.int64(5930)])
def test_a_number_is_refused_and_the_answer_shows_the_code(number: int) -> None:
    with pytest.raises(BadData, match=r"must be '005930'"):
        symbol(number)


@pytest.mark.parametrize("text", ["5930", "", "0059301", "00593O!", "KR7005930003", None, 5930.0, True, "５９３００１"])
def test_what_is_no_code_is_refused(text: object) -> None:
    with pytest.raises(BadData, match="symbol="):
        symbol(text)


def test_lost_zeros_are_pointed_out() -> None:
    with pytest.raises(BadData, match="'005930'"):
        symbol("5930")


def test_many_codes_keep_their_order() -> None:
    assert symbols(["A005930", "000660", "A005930"]) == ["005930", "000660", "005930"]


def test_american_tickers_are_capitals_with_a_class() -> None:
    assert symbol("brk.b", market="US") == "BRK.B"
    for wrong in (5, "5930", ""):
        with pytest.raises(BadData, match="symbol="):
            symbol(wrong, market="US")


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("KOSPI", "KOSPI"), ("코스피", "KOSPI"), ("유가증권", "KOSPI"), ("유가증권시장", "KOSPI"),
        ("kosdaq", "KOSDAQ"), ("KOSDAQ GLOBAL", "KOSDAQ"), ("KOSDAQ  global", "KOSDAQ"),
        ("코스닥", "KOSDAQ"), ("코스닥 글로벌", "KOSDAQ"), ("코넥스", "KONEX"), ("NASDAQ", "US"),
    ],
)  # fmt: skip
def test_labels_give_the_short_name_of_their_market(label: str, name: str) -> None:
    assert market_name(label) == name


@pytest.mark.parametrize("label", ["", "KOSPI200", None, 1, float("nan")])
def test_an_unknown_label_is_refused_by_name(label: object) -> None:
    with pytest.raises(BadData, match="market="):
        market_name(label)


def test_market_ids_of_labels_and_of_ids() -> None:
    np.testing.assert_array_equal(market_ids(pd.Series(["코스닥", "KOSPI", "KOSDAQ GLOBAL"])), [1, 0, 1])
    np.testing.assert_array_equal(market_ids(np.array([[0, 7]], dtype=np.int8)), [[0, 7]])
    for wrong in ([8], [-1]):
        with pytest.raises(BadData, match="market ids"):
            market_ids(np.array(wrong))


def test_isin_check_digits_hold() -> None:
    for isin in ("KR7005930003", "KR7005931001", "US0378331005"):
        assert is_isin(isin)
        assert isin_check_digit(isin[:11]) == int(isin[11])
    for wrong in ("KR7005930004", "KR700593000", "kr7005930003", ""):
        assert not is_isin(wrong)
