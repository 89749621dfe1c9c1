"""Real days of the exchange, replayed: locked limits, first days, halts, liquidations; the outcome stated in words.

Orders are market orders at the next open, by goals in shares, without costs, unless said otherwise.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from quantkit.market import krx
from tests.core.real import AT_MARKET, listed_on, real, table, trade
from tests.data.lake_data import needs_real_data

pytestmark = needs_real_data
LOCKED, HALTED = "LIMIT_LOCKED", "HALTED"
ANSWERS = Path(__file__).parents[1] / "market" / "answers"


# --- days locked at a price limit -----------------------------------------------------------------------------------

WAITS = [  # symbol, decided, the days it does not fill and why, then the day and the price it does
    ("004140", "2021-01-12", {"2021-01-13": LOCKED}, "2021-01-14", 5_340),  # opens at 5,080 = 3,915 + 30 %
    ("006570", "2021-01-29", {"2021-02-01": LOCKED}, "2021-02-02", 5_560),  # one price all day: 5,290
    ("290690", "2024-01-02", {"2024-01-03": HALTED, "2024-01-04": LOCKED}, "2024-01-05", 8_350),
    ("079950", "2026-01-05", {"2026-01-06": LOCKED}, "2026-01-07", 3_135),
    ("047400", "2026-01-06", {"2026-01-07": LOCKED}, "2026-01-08", 1_850),
    ("012860", "2026-01-14", {"2026-01-15": HALTED, "2026-01-16": LOCKED}, "2026-01-19", 5_850),
    ("076610", "2026-01-16", dict.fromkeys(("2026-01-19", "2026-01-20", "2026-01-21"), LOCKED), "2026-01-22", 1_600),
    ("290660", "2026-01-27", dict.fromkeys(("2026-01-28", "2026-01-29"), LOCKED), "2026-01-30", 1_121),
    ("065170", "2026-01-26", {  # nine sessions: wanted at 1,262, had at 4,900
        "2026-01-27": LOCKED, "2026-01-28": LOCKED, "2026-01-29": HALTED, "2026-01-30": LOCKED, "2026-02-02": LOCKED,
        "2026-02-03": HALTED, "2026-02-04": LOCKED, "2026-02-05": LOCKED, "2026-02-06": LOCKED,
    }, "2026-02-09", 4_900),
]  # fmt: skip


@pytest.mark.parametrize(("symbol", "decided", "waits", "filled", "price"), WAITS)
def test_nobody_buys_at_an_open_locked_up_and_the_goal_waits_for_one_that_is_not(
    symbol: str, decided: str, waits: dict[str, str], filled: str, price: float
) -> None:
    traded = trade(real(symbol, decided[:8] + "01", "2026-02-20"), {decided: 10})
    assert traded.refused == list(waits.items())
    assert traded.fills == [(filled, 10, price)]


@pytest.mark.parametrize(
    ("symbol", "bought", "decided", "waits", "filled", "price"),
    [
        ("214870", "2023-01-25", "2023-01-27", ["2023-01-30"], "2023-01-31", 5_900),  # 11,620 to 8,140 at the open
        ("084990", "2023-02-13", "2024-01-02", ["2024-01-03"], "2024-01-04", 3_915),
        ("016790", "2024-01-12", "2024-01-16", ["2024-01-17", "2024-01-18"], "2024-01-19", 2_205),
        ("290690", "2024-01-19", "2024-01-23", ["2024-01-24"], "2024-01-25", 1_523),
    ],
)
def test_nobody_sells_at_an_open_locked_down(
    symbol: str, bought: str, decided: str, waits: list[str], filled: str, price: float
) -> None:
    traded = trade(real(symbol, bought, "2026-02-20"), {bought: 10, decided: 0})
    assert traded.refused == [(day, LOCKED) for day in waits]
    assert traded.fills[1:] == [(filled, -10, price)]


def test_a_stop_below_a_locked_open_waits_for_the_next_day() -> None:
    policy = replace(AT_MARKET, stop_loss=0.1)
    traded = trade(real("016790", "2024-01-12", "2024-01-23"), {"2024-01-15": 10}, policy=policy)
    assert traded.fills == [("2024-01-16", 10, 5_350.0), ("2024-01-19", -10, 2_205.0)]
    assert traded.refused == [("2024-01-17", LOCKED), ("2024-01-18", LOCKED)], "4,815 was the stop; 2,205 came of it"


def test_all_days_that_closed_at_their_limit_refuse_orders_at_the_close() -> None:
    judged = {"upper": 0, "lower": 0}
    cases = pd.read_csv(ANSWERS / "limit_cases.csv", dtype={"symbol": str})
    for case in cases.to_dict("records"):
        rows = table("krx_daily_raw").loc[[case["symbol"]]]
        days = sorted(rows["date"][(rows["date"] <= case["date"]) & (rows["date"] >= case["date"][:4])])[-3:]
        calm = rows.set_index("date").loc[days]
        lower, upper = krx.price_limits(calm["base"].to_numpy(), days, case["market"])
        ordinary = (calm["open"] > 0) & (calm["close"] > lower) & (calm["close"] < upper)
        if not ordinary[:-1].all() or len(days) < 3:
            continue  # nothing could be held on the day before, or nothing be decided
        wanted = {days[1]: 7.0} if case["kind"] == "upper" else {days[0]: 7.0, days[1]: 0.0}
        traded = trade(real(case["symbol"], days[0], days[2]), wanted, fill="next_close")
        assert [fill[0] for fill in traded.fills] == ([] if case["kind"] == "upper" else [days[1]]), case
        assert traded.refused == [(days[2], LOCKED)], case
        judged[case["kind"]] += 1
    assert judged == {"upper": 90, "lower": 33}


@pytest.mark.parametrize(
    ("symbol", "decided", "locked"),
    [
        ("049770", "2015-06-11", "2015-06-12"),  # KOSPI +15 % on the last day of that limit: 290,000 to 333,500
        ("109080", "2015-06-11", "2015-06-12"),  # KOSDAQ: 5,780 to 6,640
        ("080220", "2015-06-12", "2015-06-15"),  # KOSDAQ +30 % on the first day: 7,250 to 9,420
        ("002680", "2005-03-24", "2005-03-25"),  # KOSDAQ +12 % on the last day: 1,905 to 2,130
        ("025870", "2005-03-25", "2005-03-28"),  # KOSDAQ +15 % on the first day: 2,010 to 2,310
    ],
)
def test_a_limit_is_that_of_its_day(symbol: str, decided: str, locked: str) -> None:
    bars = real(symbol, decided[:8] + "01", locked, source="krx_daily_raw_2000_2017")
    traded = trade(bars, {decided: 1}, fill="next_close")
    assert traded.fills == []
    assert traded.refused == [(locked, LOCKED)]


# --- first trading days ---------------------------------------------------------------------------------------------

OFFERS = [  # symbol, day, whether its close could be bought, the fill that came of it (fill="close")
    ("457550", "2024-01-24", ["2024-01-24", "2024-01-25"], ("2024-01-26", 31_000)),  # 5,300 to 21,200 all day
    ("460930", "2024-01-26", ["2024-01-26"], ("2024-01-29", 20_450)),  # closes at 29,200 = 400 %
    ("105760", "2024-01-29", [], ("2024-01-29", 23_350)),  # 18,000; it was at 56,300
    ("440290", "2024-01-25", [], ("2024-01-25", 6_700)),  # 3,400: + 97 %, inside the band
    ("452400", "2024-02-01", [], ("2024-02-01", 37_100)),
    ("0001A0", "2026-01-30", [], ("2026-01-30", 34_850)),  # 10,000: + 248 %
    ("086710", "2021-01-27", ["2021-01-27"], ("2021-01-28", None)),  # opens at 23,000, locked at 29,900: 따상
    ("277810", "2021-02-03", ["2021-02-03"], ("2021-02-04", None)),
    ("163730", "2021-01-29", [], ("2021-01-29", 29_100)),
]


@pytest.mark.parametrize(("symbol", "day", "locked", "filled"), OFFERS)
def test_a_first_day_moves_within_its_own_limits(
    symbol: str, day: str, locked: list[str], filled: tuple[str, float | None]
) -> None:
    bars = real(symbol, day, "2026-02-20", instruments=listed_on(symbol, day))
    traded = trade(bars, {day: 3}, fill="close")
    assert traded.refused == [(each, LOCKED) for each in locked]
    when, _, price = traded.fills[0]
    assert when == filled[0]
    assert filled[1] is None or price == filled[1]


def test_without_its_listing_date_a_first_day_would_look_locked() -> None:
    traded = trade(real("440290", "2024-01-25", "2024-01-26"), {"2024-01-25": 3}, fill="close")
    assert traded.refused[0] == ("2024-01-25", LOCKED), "6,700 lies above 3,400 + 30 %"


# --- halts ----------------------------------------------------------------------------------------------------------


def test_orders_of_a_halt_do_not_fill_and_the_goal_waits_for_its_end() -> None:
    split = [{"symbol": "005300", "ex_date": "2019-05-03", "kind": "split", "share_ratio": 10.0}]
    traded = trade(real("005300", "2019-04-24", "2019-05-10", actions=split), {"2019-04-26": 10})
    assert traded.refused == [("2019-04-29", HALTED), ("2019-04-30", HALTED), ("2019-05-02", HALTED)]
    assert traded.fills == [("2019-05-03", 100, 176_000.0)], "ten old shares are a hundred new ones"


def test_a_stop_waits_through_a_halt_and_stands_on_the_new_price_after_it() -> None:
    split = [{"symbol": "005300", "ex_date": "2019-05-03", "kind": "split", "share_ratio": 10.0}]
    bars = real("005300", "2019-04-24", "2019-05-10", actions=split)
    traded = trade(bars, {"2019-04-25": 10}, policy=replace(AT_MARKET, stop_loss=0.03))
    assert traded.fills[0] == ("2019-04-26", 10, 1_736_000.0)
    assert traded.equity("2019-05-02") == traded.equity("2019-04-26")
    # 1,736,000 x 0.97 / 10 = 168,392, down to the grid of 500
    assert traded.fills[1] == ("2019-05-03", -100, 168_000.0)


def test_a_row_with_volume_but_no_price_fills_nothing() -> None:
    traded = trade(real("141070", "2021-01-28", "2021-02-04"), {"2021-01-29": 10})
    assert traded.refused == [("2021-02-01", HALTED)], "177 shares changed hands outside the session"
    assert traded.fills == [("2021-02-02", 10, 1_230.0)]


# --- liquidation trading --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("symbol", "bought", "last", "first", "until", "fall", "price"),
    [
        ("036260", "2019-05-21", "2019-05-23", "2021-02-02", "2021-02-10", -0.91, 192),
        ("064510", "2021-02-18", "2021-02-22", "2023-01-06", "2023-01-16", -0.88, 310),
        ("114120", "2021-02-18", "2021-02-22", "2024-02-02", "2024-02-14", -0.86, 1_500),
        ("078940", "2023-02-10", "2023-02-14", "2025-02-10", "2025-02-18", -0.98, 41),
        ("150840", "2021-02-18", "2021-02-22", "2026-01-15", "2026-01-23", -0.98, 116),
        ("001140", "2024-02-08", "2024-02-13", "2026-01-16", "2026-01-26", -0.97, 52),
    ],
)
def test_a_fall_without_limit_fills_in_liquidation_trading(
    symbol: str, bought: str, last: str, first: str, until: str, fall: float, price: float
) -> None:
    window = pd.DataFrame({"symbol": [symbol], "liquidation_start": [first], "liquidation_end": [until]})
    bars = real(symbol, bought, until, instruments=window)
    days = [str(day) for day in bars.days.astype("datetime64[D]")]
    before = days[days.index(first) - 1]
    traded = trade(bars, {bought: 10, before: 0})
    assert traded.fills[1] == (first, -10, price)
    assert traded.refused == []
    row = days.index(first)
    assert bars.raw.open[row, 0] / bars.base[row, 0] - 1.0 == pytest.approx(fall, abs=0.01)
    assert (bars.frame("status").iloc[row:, 0] == "liquidation").all()
    blind = trade(real(symbol, bought, until), {bought: 10, before: 0})
    assert (first, LOCKED) in blind.refused, f"{last}: without its window the day looks locked"


def test_what_is_held_to_the_end_is_settled_at_the_last_close() -> None:
    ends = pd.DataFrame({"symbol": ["036260"], "liquidation_start": ["2021-02-02"], "liquidation_end": ["2021-02-10"],
                         "delisting_date": ["2021-02-15"]})  # fmt: skip
    bars = real("036260", "2019-05-21", "2021-02-16", beside="005930", instruments=ends)
    traded = trade(bars, {"2019-05-21": 10})
    last = float(table("krx_daily_raw").loc[["036260"]].set_index("date").loc["2021-02-10", "close"])
    assert traded.fills[1] == ("2021-02-15", -10, last)
    assert bars.frame("status").loc["2021-02-15", "036260"] == "delisted"


# --- prices between ticks -------------------------------------------------------------------------------------------


def test_a_print_between_ticks_is_a_fill_at_that_print() -> None:
    rows = table("krx_daily_raw")
    rows = rows[(rows["date"] >= "2026-01-05") & (rows["market"] == "KOSDAQ") & (rows["open"] > 0)]
    off = rows[krx.floor_tick(rows["close"].to_numpy(), "2026-01-05", "KOSDAQ") != rows["close"].to_numpy()]
    assert len(off) > 20
    for symbol, day, close in off[["symbol", "date", "close"]].head(5).itertuples(index=False):
        traded = trade(real(symbol, day, day), {day: 3}, fill="close")
        assert traded.fills == [(day, 3, float(close))]
        after = np.sort(rows.loc[[symbol], "date"].to_numpy())
        following = after[after > day][:1]
        if len(following):
            base = float(rows.loc[[symbol]].set_index("date").loc[following[0], "base"])
            assert base == krx.base_price(close, following[0], "KOSDAQ")
