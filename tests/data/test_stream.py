"""Streams: chunk by chunk the bars of the whole range, whatever the chunks, over halts, splits and delistings."""

from __future__ import annotations

import tempfile

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantkit import Bars, Lake
from quantkit.data.bars import TRADED
from quantkit.errors import BadData, ConfigError
from tests.data.lake_data import days, prices

FIELDS = ("open", "high", "low", "close", "volume")
DERIVED = ("open", "high", "low", "close", "volume", "value", "base", "factor", "prior_close")
SYMBOLS = ("000010", "000020", "000030")


def same_rows(part: Bars, whole: Bars, row: int) -> None:
    """`part` is rows row.. of `whole`, in everything a strategy or the fold can see."""
    there = whole.slice(row, row + len(part))
    assert part.symbols == there.symbols
    assert part.markets == there.markets
    assert part.market_changes == there.market_changes
    assert (part.freq, part.prices, part.version, part.minor_unit) == (
        there.freq, there.prices, there.version, there.minor_unit
    )  # fmt: skip
    assert part.times.tolist() == there.times.tolist()
    assert part.days.tolist() == there.days.tolist()
    assert np.array_equal(part.flags, there.flags)
    assert np.array_equal(part.actions, there.actions)
    for name in FIELDS:
        assert part.field(name).tobytes() == there.field(name).tobytes(), name
    for name in DERIVED:
        assert getattr(part, name).tobytes() == getattr(there, name).tobytes(), name


def minute_rows(plan: list[list[int]], *, bars: int, start: str = "2024-02-26") -> pd.DataFrame:
    """Rows of a plan: for each symbol one digit a minute: 0 no row, 1 a halted row, 2 a trade."""
    sessions = days(start, len(plan[0]) // bars)
    opens = pd.DatetimeIndex(sessions.astype("datetime64[us]")).tz_localize("Asia/Seoul") + pd.Timedelta(minutes=541)
    stamps = [first + pd.Timedelta(minutes=minute) for first in opens for minute in range(bars)]
    rows = []
    for symbol, digits in zip(SYMBOLS, plan, strict=False):
        for number, (stamp, digit) in enumerate(zip(stamps, digits, strict=True)):
            price = 10_000 + 50 * (number % 7) + (40_000 if symbol == SYMBOLS[1] and number < len(digits) // 2 else 0)
            if digit == 2:
                rows.append((symbol, stamp, price, price + 50, price - 50, price, 10 + number))
            elif digit == 1:
                rows.append((symbol, stamp, 0, 0, 0, price, 0))
    return pd.DataFrame(rows, columns=["symbol", "time", *FIELDS])


@st.composite
def markets(draw: st.DrawFn) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Minute rows of up to three symbols over a month's end, their instruments and actions."""
    bars, sessions, names = 3, draw(st.integers(2, 7)), draw(st.integers(1, 3))
    size = bars * sessions
    runs = st.lists(st.tuples(st.sampled_from([0, 0, 1, 2, 2]), st.integers(1, 6)), min_size=1, max_size=10)
    plan = []
    for _ in range(names):
        digits = [digit for digit, many in draw(runs) for _ in range(many)][:size]
        plan.append(digits + [draw(st.sampled_from([0, 2]))] * (size - len(digits)))
    plan[0][0] = 2
    for digits in plan:
        digits[draw(st.integers(0, size - 1))] = 2
    listed = [f"{day}" for day in days("2024-02-26", sessions)]
    gone = draw(st.dictionaries(st.sampled_from(SYMBOLS[:names]), st.sampled_from(listed), max_size=2))
    instruments = pd.DataFrame(
        [(symbol, "KOSPI", gone.get(symbol)) for symbol in SYMBOLS[:names]],
        columns=["symbol", "market", "delisting_date"],
    )
    splits = draw(
        st.lists(
            st.tuples(st.sampled_from(SYMBOLS[:names]), st.sampled_from(listed), st.sampled_from([3.0, 0.7])),
            max_size=3,
        )
    )
    actions = pd.DataFrame(
        [(symbol, day, "split", ratio) for (symbol, day), ratio in {(s, d): r for s, d, r in splits}.items()],
        columns=["symbol", "ex_date", "kind", "share_ratio"],
    )
    return minute_rows(plan, bars=bars), instruments, actions


def filled(folder: str, market: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]) -> Lake:
    rows, instruments, actions = market
    lake = Lake(folder)
    lake.ingest(rows, "bars_1m", market="KOSPI")
    lake.ingest(instruments, "instruments")
    if len(actions):
        lake.ingest(actions, "actions")
    return lake


@given(market=markets(), chunk=st.integers(1, 5), lead=st.integers(0, 8), cut=st.sampled_from([None, "2024-02-28"]))
@settings(max_examples=40, deadline=None)
def test_chunks_are_the_whole_cut_up(market, chunk, lead, cut):
    with tempfile.TemporaryDirectory() as folder:
        lake = filled(folder, market)
        try:
            whole = lake.bars(None, cut, freq="1m")
        except BadData:
            return  # nothing from that day on
        stream = lake.stream(None, cut, chunk=chunk)
        assert stream.shape == whole.shape
        assert stream.version == whole.version
        row = 0
        for number, part in enumerate(stream.chunks(lead=lead)):
            assert part.row == row == stream.cuts[number]
            assert part.first >= min(lead, row)
            same_rows(part.bars, whole, row - part.first)
            row += len(part.bars) - part.first
        assert row == len(whole)


@given(market=markets(), chunk=st.integers(1, 4), names=st.lists(st.sampled_from(FIELDS), unique=True))
@settings(max_examples=12, deadline=None)
def test_a_field_first_read_in_a_later_chunk_has_its_history(market, chunk, names):
    """What a chunk did not read is read again when the next one needs it."""
    with tempfile.TemporaryDirectory() as folder:
        lake = filled(folder, market)
        whole = lake.bars(freq="1m")
        for part in lake.stream(chunk=chunk).chunks(lead=4):
            begin = part.row - part.first
            for name in names[: part.row % 4]:
                expected = whole.field(name)[begin : begin + len(part.bars)]
                assert part.bars.field(name).tobytes() == expected.tobytes()


def test_daily_chunks_end_with_a_month(tmp_path):
    lake = Lake(tmp_path)
    lake.ingest(prices(count=70), market="KOSPI")
    whole, stream = lake.bars(), lake.stream(freq="1d", chunk=5)
    months = whole.days.astype("datetime64[D]").astype("datetime64[M]")
    assert all(months[row] != months[row - 1] for row in stream.cuts[1:-1])
    row = 0
    for bars in stream:
        same_rows(bars, whole, row)
        row += len(bars)
    assert row == len(whole) == stream.sessions


def test_iterating_gives_each_bar_once(tmp_path):
    lake = filled(str(tmp_path), (minute_rows([[2] * 12, [0, 2] * 6], bars=3), _no_instruments(), pd.DataFrame()))
    stream = lake.stream(chunk=2)
    assert [len(bars) for bars in stream] == [6, 6]
    assert [len(bars) for bars in stream] == [6, 6]  # and again
    assert stream.sessions == 4
    assert "12 x 2 2024-02-26..2024-02-29 in 2 chunks" in repr(stream)


def _no_instruments() -> pd.DataFrame:
    return pd.DataFrame([(symbol, "KOSPI") for symbol in SYMBOLS[:2]], columns=["symbol", "market"])


def test_a_stream_keeps_its_version_when_rows_come(tmp_path):
    rows = minute_rows([[2] * 12], bars=3)
    lake = Lake(tmp_path)
    lake.ingest(rows[:6], "bars_1m", market="KOSPI")
    stream = lake.stream(chunk=1)
    lake.ingest(rows[6:], "bars_1m", market="KOSPI")
    assert sum(len(bars) for bars in stream) == 6
    assert sum(len(bars) for bars in lake.stream(version=stream.version)) == 6
    assert sum(len(bars) for bars in lake.stream()) == 12


def test_the_whole_range_can_be_looked_at_by_symbol(tmp_path):
    plan = [[2, 0, 0, 2, 2, 0], [0, 0, 2, 0, 1, 2]]
    lake = filled(str(tmp_path), (minute_rows(plan, bars=3), _no_instruments(), pd.DataFrame()))
    whole, stream = lake.bars(freq="1m"), lake.stream(chunk=1)
    same_rows(stream.panel, whole, 0)
    same_rows(stream.part(2), whole, 2)
    one = stream.part(1).select(["000020"])
    assert one.raw.close.tobytes() == whole.select(["000020"]).slice(1, 6).raw.close.tobytes()
    with pytest.raises(ConfigError, match="no bars for '000099'"):
        stream.panel.select("000099")


def test_chunks_fit_a_budget_and_end_where_files_end(tmp_path, monkeypatch):
    from quantkit.data import stream as module

    lake = filled(str(tmp_path), (minute_rows([[2] * 21], bars=3), _no_instruments(), pd.DataFrame()))
    assert len(lake.stream().cuts) == 2
    monkeypatch.setattr(module, "BUDGET_BYTES", module.CELL_BYTES * 16)  # 16 rows; February has 12 of the 21
    assert lake.stream().cuts.tolist() == [0, 12, 21]
    monkeypatch.setattr(module, "BUDGET_BYTES", module.CELL_BYTES * 7)
    assert lake.stream().cuts.tolist() == [0, 6, 12, 18, 21]
    monkeypatch.setattr(module, "BUDGET_BYTES", 1)
    assert lake.stream().cuts.tolist() == list(range(0, 22, 3))


@pytest.mark.parametrize("chunk", [0, -1, True, 2.5])
def test_a_chunk_is_a_number_of_sessions(tmp_path, chunk):
    lake = filled(str(tmp_path), (minute_rows([[2] * 3], bars=3), _no_instruments(), pd.DataFrame()))
    with pytest.raises(ConfigError, match="a number of sessions"):
        lake.stream(chunk=chunk)


def test_only_stored_bars_are_streamed(tmp_path):
    lake = filled(str(tmp_path), (minute_rows([[2] * 3], bars=3), _no_instruments(), pd.DataFrame()))
    with pytest.raises(ConfigError, match=r"stores 1m; stream that, and use bars.at\('5m'\)"):
        lake.stream(freq="5m")


def test_a_halt_over_several_chunks_carries_the_close_that_was_traded(tmp_path):
    plan = [[2, 2, 2] + [1] * 9 + [2, 2, 2], [2] * 15]
    lake = filled(str(tmp_path), (minute_rows(plan, bars=3), _no_instruments(), pd.DataFrame()))
    last = None
    for bars in lake.stream(chunk=1):
        traded = (bars.flags[:, 0] & TRADED) != 0
        if traded.any():
            last = bars.raw.close[-1, 0]
        else:
            assert set(bars.raw.close[:, 0].tolist()) == {last}
