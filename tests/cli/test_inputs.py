"""Options turned into parameters, symbols, costs and frames."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from quantkit import BadData, ConfigError
from quantkit.cli import inputs


def test_parameters_stay_texts_for_the_strategy_to_read() -> None:
    assert inputs.parse_params(["fast = 10", "mode=a=b"]) == {"fast": "10", "mode": "a=b"}
    assert inputs.parse_params(None) == {}


@pytest.mark.parametrize(
    ("texts", "said"), [(["fast"], "name=value"), (["=3"], "name=value"), (["a=1", "a=2"], "twice")]
)
def test_a_parameter_that_is_none_is_named(texts: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        inputs.parse_params(texts)


def test_symbols_are_split_at_commas() -> None:
    assert inputs.parse_symbols("005930, 000660") == ("005930", "000660")
    assert inputs.parse_symbols(None) is None


@pytest.mark.parametrize(("text", "said"), [(" , ", "empty"), ("A,B,A", "twice")])
def test_symbols_that_are_none_or_repeat_are_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        inputs.parse_symbols(text)


def test_costs_come_by_the_brokers_name_with_slippage_added() -> None:
    costs = inputs.costs_named("kiwoom", ticks=1.0, bps=2.0)
    assert (costs.truncate_to, costs.slippage_ticks, costs.slippage_bps) == (10, 1.0, 2.0)
    with pytest.raises(ConfigError, match="choose one of kis, kiwoom, free"):
        inputs.costs_named("KIS")


def prices(**columns: object) -> pd.DataFrame:
    given = {"open": [10.0, 11.0], "high": [12.0, 12.0], "low": [9.0, 10.0], "close": [11.0, 12.0], "volume": [5, 6]}
    return pd.DataFrame({"date": ["2024-01-02", "2024-01-03"], **columns, **given})


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_codes_keep_their_leading_zeros(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"prices.{ending}"
    frame = prices(symbol=["000660", "000660"])
    frame.to_csv(path, index=False) if ending == "csv" else frame.to_parquet(path)
    assert inputs.bars_of_file(path, market="NONE", prices="raw", symbols=None).symbols == ("000660",)


def test_a_file_of_one_symbol_is_named_after_its_code(tmp_path: Path) -> None:
    path = tmp_path / "005930.csv"
    prices().to_csv(path, index=False)
    bars = inputs.bars_of_file(path, market="NONE", prices="raw", symbols=["005930"])
    assert bars.symbols == ("005930",)
    assert bars.source == str(path)


def test_korean_files_of_the_exchange_are_read(tmp_path: Path) -> None:
    path = tmp_path / "005930.csv"
    names = {"date": "일자", "open": "시가", "high": "고가", "low": "저가", "close": "종가", "volume": "거래량"}
    prices().rename(columns=names).to_csv(path, index=False, encoding="cp949")
    assert inputs.bars_of_file(path, market="NONE", prices="raw", symbols=None).close[:, 0].tolist() == [11.0, 12.0]


@pytest.mark.parametrize(("name", "content"), [("x.parquet", b"PAR1 no"), ("x.csv", b""), ("gone.csv", None)])
def test_a_file_that_is_no_table_is_bad_data_with_its_name(name: str, content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadData, match=name):
        inputs.read_frame(path)
