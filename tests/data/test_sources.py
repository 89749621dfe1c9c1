"""Downloads, on frames shaped as pykrx 1.0.51 and FinanceDataReader 0.9.202 return them (read from their source)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from quantkit import BadData, ConfigError, Lake, RetryLater
from quantkit.data.sources import FdrSource, PykrxSource, fetch_frames, source_by_name
from tests.data.lake_data import days

CLOSE = np.array([70_000, 70_500, 71_000])
DATES = pd.DatetimeIndex(days(count=3).astype("datetime64[s]"))


def krx_frame() -> pd.DataFrame:
    """`pykrx.stock.get_market_ohlcv_by_date(..., adjusted=False)`: int32 prices and volume, a float32 change."""
    columns = {"시가": CLOSE, "고가": CLOSE + 500, "저가": CLOSE - 500, "종가": CLOSE, "거래량": CLOSE * 10}
    frame = pd.DataFrame(columns, index=DATES.rename("날짜")).astype(np.int32)
    return frame.assign(거래대금=np.array([10**11] * 3), 등락률=np.zeros(3, np.float32))


def portal_frame() -> pd.DataFrame:
    """`adjusted=True` asks the portal: int64, no traded value, the first change NaN."""
    return krx_frame().drop(columns="거래대금").astype(np.int64).assign(등락률=[np.nan, 0.7, 0.7])


def naver_frame() -> pd.DataFrame:
    """`FinanceDataReader.DataReader("005930")`: int64 and a ratio, index Date."""
    columns = {"Open": CLOSE, "High": CLOSE + 500, "Low": CLOSE - 500, "Close": CLOSE, "Volume": CLOSE * 10}
    frame = pd.DataFrame(columns, index=DATES.rename("Date"))
    return frame.assign(Change=frame["Close"].pct_change())


def yahoo_frame() -> pd.DataFrame:
    """`FinanceDataReader.DataReader("AAPL")`: floats and an adjusted close, an index without a name."""
    return naver_frame().drop(columns="Change").astype(float).assign(**{"Adj Close": CLOSE * 0.9}).rename_axis(None)


@pytest.fixture
def pykrx(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, object]]:
    """A stand-in for the library: what it was asked, and what it answers by symbol."""
    state: dict[str, object] = {"asked": [], "empty": set(), "raises": None}

    def get_market_ohlcv_by_date(
        fromdate: str, todate: str, ticker: str, freq: str = "d", adjusted: bool = True
    ) -> object:
        state["asked"].append((fromdate, todate, ticker, adjusted))  # type: ignore[attr-defined]
        if state["raises"] is not None:
            raise state["raises"]  # type: ignore[misc]
        if ticker in state["empty"]:  # type: ignore[operator]
            return pd.DataFrame()
        return portal_frame() if adjusted else krx_frame()

    package, stock = ModuleType("pykrx"), ModuleType("pykrx.stock")
    stock.get_market_ohlcv_by_date = get_market_ohlcv_by_date  # type: ignore[attr-defined]
    package.stock = stock  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pykrx", package)
    monkeypatch.setitem(sys.modules, "pykrx.stock", stock)
    return state


@pytest.fixture
def fdr(monkeypatch: pytest.MonkeyPatch) -> None:
    package = ModuleType("FinanceDataReader")
    package.DataReader = lambda symbol, start, end: naver_frame() if symbol[0].isdigit() else yahoo_frame()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "FinanceDataReader", package)


def test_pykrx_prices_land_raw_with_their_value(tmp_path: Path, pykrx: dict[str, object]) -> None:
    lake = Lake(tmp_path / "lake")
    report = lake.download(PykrxSource(), ["005930", "000660"], start="2024-01-02", end="2024-01-31", market="KOSPI")
    bars = lake.bars()
    assert report.added == 6
    assert pykrx["asked"] == [("20240102", "20240131", symbol, False) for symbol in ("005930", "000660")]
    assert bars.prices == "raw"
    assert bars.raw.close[:, 0].tolist() == CLOSE.tolist()
    assert bars.value[0, 0] == 10**11


def test_pykrx_can_be_asked_for_adjusted_prices(tmp_path: Path, pykrx: dict[str, object]) -> None:
    lake = Lake(tmp_path / "lake")
    lake.download(PykrxSource("adjusted"), ["005930"], start="2024", end="2024", market="KOSPI")
    assert pykrx["asked"] == [("20240101", "20241231", "005930", True)]
    assert lake.bars().prices == "adjusted"


def test_a_symbol_without_data_is_left_out(tmp_path: Path, pykrx: dict[str, object]) -> None:
    pykrx["empty"] = {"000660"}
    lake = Lake(tmp_path / "lake")
    assert lake.download(PykrxSource(), ["005930", "000660"], start="2024", end="2024", market="KOSPI").added == 3
    with pytest.raises(BadData, match="no prices for 000660"):
        lake.download(PykrxSource(), ["000660"], start="2024", end="2024")


@pytest.mark.parametrize(
    ("failure", "error"),
    [(ConnectionError("no route"), RetryLater), (KeyError("output"), BadData), (ValueError("x"), BadData)],
)
def test_what_the_library_raises_names_the_symbol(pykrx: dict[str, object], failure: Exception, error: type) -> None:
    pykrx["raises"] = failure
    with pytest.raises(error, match=r"pykrx: .*005930"):
        fetch_frames(PykrxSource(), ["005930"], start="2024", end="2024")


@pytest.mark.usefixtures("fdr")
def test_fdr_prices_land_adjusted(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    lake.download(FdrSource(), ["005930"], start="2024-01-02", end="2024-01-31", market="KOSPI")
    assert (lake.bars().prices, len(lake.bars())) == ("adjusted", 3)


@pytest.mark.usefixtures("fdr")
def test_fdr_frames_of_yahoo_have_no_index_name(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    lake.download(FdrSource(), ["AAPL"], start="2024-01-02", end="2024-01-31", market="US")
    assert lake.bars().raw.close[:, 0].tolist() == CLOSE.tolist()


@pytest.mark.parametrize(("name", "kind"), [("pykrx", PykrxSource), ("fdr", FdrSource)])
def test_sources_have_names(name: str, kind: type) -> None:
    assert isinstance(source_by_name(name), kind)


def test_an_unknown_source_and_a_missing_library_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="pykrx or fdr"):
        source_by_name("bloomberg")
    monkeypatch.setitem(sys.modules, "FinanceDataReader", None)
    with pytest.raises(ConfigError, match=r"quantkit\[fdr\]"):
        fetch_frames(FdrSource(), ["005930"], start="2024", end="2024")


def test_dates_the_wrong_way_round_are_refused_before_the_network(pykrx: dict[str, object]) -> None:
    with pytest.raises(BadData, match="is after end"):
        fetch_frames(PykrxSource(), ["005930"], start="2024-02-01", end="2024-01-01")
    assert pykrx["asked"] == []


@pytest.mark.parametrize(
    ("module", "function"), [("pykrx.stock", "get_market_ohlcv_by_date"), ("FinanceDataReader", "DataReader")]
)
def test_the_installed_library_still_has_the_function(module: str, function: str) -> None:
    import subprocess

    script = f"import importlib; getattr(importlib.import_module({module!r}), {function!r})"
    found = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, check=False)
    if b"ModuleNotFoundError" in found.stderr:
        pytest.skip(f"{module} is an optional package and not installed")
    assert found.returncode == 0, found.stderr.decode()
