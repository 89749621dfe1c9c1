"""Real ex-days: what a position is worth does not jump when the exchange moves the base price.

The price factor of an action is the last close over the exchange's base price of the ex-day; the share ratio is what
the company announced. A position bought before is worth the same at the new base as at the last close, up to the tick
that the base was rounded to.
"""

from __future__ import annotations

from math import floor

import numpy as np
import pytest

from quantkit.core.bench import Bench, Fill
from quantkit.core.fold import Output, simulate
from quantkit.core.state import RULE_OPEN, State
from quantkit.data.bars import Bars
from quantkit.market import krx
from tests.core.markets import Case
from tests.core.real import AT_MARKET, FREE, Traded, real, rows_of, trade
from tests.core.runs import prepare
from tests.data.lake_data import needs_real_data

pytestmark = needs_real_data

HELD = 1_007  # a number that no ratio divides


def across(symbol: str, ex_day: str, kind: str, ratio: float | None) -> tuple[Traded, str, float, float]:
    """(a run that held HELD shares over the ex-day, the day before, its close, the base)."""
    rows = rows_of(symbol, ex_day[:4], ex_day, "krx_daily_raw").set_index("date")
    close, base = float(rows["close"].iloc[-2]), float(rows["base"].iloc[-1])
    open_days = rows.index[:-1][(rows["open"].iloc[:-1] > 0).to_numpy()]
    bought = rows.index[rows.index.get_loc(open_days[-1]) - 1]
    action = {"symbol": symbol, "ex_date": ex_day, "kind": kind, "price_factor": close / base}
    if ratio is not None:
        action["share_ratio"] = ratio
    bars = real(symbol, bought, ex_day, actions=[action])
    traded = trade(bars, {bought: HELD}, cash=100_000_000_000)
    assert [fill[:2] for fill in traded.fills] == [(open_days[-1], HELD)]
    return traded, rows.index[-2], close, base


def jump(traded: Traded, before: str, ex_day: str, base: float) -> float:
    """By how much the account is worth more at the base of the ex-day than at the close before."""
    shares, close = traded.shares(ex_day), float(traded.result.bars.raw.close[-1, 0])
    return traded.equity(ex_day) + shares * (base - close) - traded.equity(before)


@pytest.mark.parametrize(
    ("symbol", "ex_day", "kind", "ratio"),
    [
        ("079370", "2024-01-16", "bonus", 3.0),  # 52,800 to 17,600
        ("336370", "2024-01-08", "bonus", 2.0),  # 27,000 to 13,500
        ("112610", "2021-02-08", "bonus", 2.0),  # 169,500 to 84,800
        ("268600", "2021-02-01", "bonus", 2.0),  # 288,100 to 144,100
        ("348210", "2021-01-13", "bonus", 3.0),  # 168,500 to 56,200
        ("086960", "2023-01-09", "bonus", 4.0),  # 7,080 to 1,770, then locked at 2,300
        ("210120", "2025-01-24", "split", 2.5),  # 21,600 to 8,640
        ("355390", "2025-01-24", "split", 2.0),
        ("406820", "2026-01-07", "bonus", 4.0),
        ("009810", "2026-02-10", "split", 0.2),  # 261 to 1,305
        ("089230", "2024-02-13", "split", 0.1),
        ("094860", "2024-02-05", "split", 0.2),
        ("043090", "2025-02-10", "reduction", 1 / 6),
    ],
)
def test_a_position_keeps_its_value_when_its_shares_change(symbol: str, ex_day: str, kind: str, ratio: float) -> None:
    traded, before, close, base = across(symbol, ex_day, kind, ratio)
    assert traded.shares(ex_day) == floor(HELD * ratio + 1e-9)
    rounding = krx.tick_size(base, ex_day, "KOSDAQ") * HELD * ratio + close
    assert abs(jump(traded, before, ex_day, base)) <= rounding
    assert abs(jump(traded, before, ex_day, base)) < 0.01 * HELD * close


@pytest.mark.parametrize(
    ("symbol", "ex_day", "right"),
    [
        ("034220", "2024-01-25", 1_040),  # LG Display: 13,740 to 12,700
        ("001440", "2024-01-30", 980),
        ("001500", "2025-01-14", 780),
        ("091810", "2026-01-28", 72),
        ("001360", "2024-01-04", 220),
    ],
)
def test_a_right_that_is_not_used_is_sold_for_what_the_price_falls(symbol: str, ex_day: str, right: float) -> None:
    traded, before, close, base = across(symbol, ex_day, "rights", None)
    assert close - base == right
    assert traded.shares(ex_day) == HELD
    assert jump(traded, before, ex_day, base) == pytest.approx(0.0, abs=1.0)
    done = traded.result.actions.iloc[-1]
    assert done["cash"] == pytest.approx(HELD * right, abs=1.0)
    assert bool(done["assumed"])


@pytest.mark.parametrize(
    ("symbol", "ex_day", "kind", "ratio"),
    [
        ("003070", "2023-01-31", "spinoff", 0.750987),  # Kolon Global; its car dealer leaves
        ("033290", "2024-02-02", "spinoff", 0.634533),
        ("007460", "2023-01-19", "reduction", 1 / 3),  # 572 to 1,720
        ("003560", "2024-01-04", "reduction", 1 / 3),  # 3,585 to 10,760, on a halted day
        ("052300", "2025-02-03", "split", 0.1),  # ten old shares for one: 300 to 3,000
        ("355150", "2024-02-02", "split", 0.2),
        ("227420", "2024-01-19", "split", 0.5),  # KONEX, halted
        ("060900", "2026-01-12", "split", 2.0),  # 1,201 to 600: cut below one won
    ],
)
def test_a_position_held_through_a_long_halt_keeps_its_value(symbol: str, ex_day: str, kind: str, ratio: float) -> None:
    rows = rows_of(symbol, ex_day[:4], ex_day, "krx_daily_raw")
    close, base = float(rows["close"].iloc[-2]), float(rows["base"].iloc[-1])
    action = {"symbol": symbol, "ex_date": ex_day, "kind": kind, "price_factor": close / base, "share_ratio": ratio}
    bars = real(symbol, ex_day[:4], ex_day, actions=[action])
    output, state = held(bars, HELD, close)
    shares = int(state.names["shares"][0])
    assert shares == floor(HELD * ratio + 1e-9)
    assert output.equity[-2] == HELD * close
    at_base = int(output.equity[-1]) + shares * (base - float(bars.raw.close[-1, 0]))
    assert at_base == pytest.approx(HELD * close, abs=krx.tick_size(base, ex_day, "KOSDAQ") * HELD * ratio + 1)


def held(bars: Bars, shares: int, price: float) -> tuple[Output, State]:
    """A run without orders of an account that holds so many shares, and nothing else, from before the first bar."""
    case = Case(bars, np.full(bars.shape, np.nan), policy=AT_MARKET, costs=FREE, cash=round(shares * price))
    state, inputs, events, plan = prepare(case)
    bench = Bench(state, plan)
    bench.lay(inputs._make(column[:1] for column in inputs))
    bench.fill(Fill(-1, 0, 1, shares, price, round(shares * price), 0, 0, RULE_OPEN))
    state.names["goal"][0] = shares
    return simulate(state, inputs, events, plan), state


def test_a_position_bought_before_two_actions_in_a_week_is_worth_what_the_exchange_says() -> None:
    actions = [
        {"symbol": "210120", "ex_date": "2025-01-24", "kind": "split", "share_ratio": 2.5, "price_factor": 2.5},
        {
            "symbol": "210120",
            "ex_date": "2025-01-31",
            "kind": "bonus",
            "share_ratio": 3.0,
            "price_factor": 2.9985,
        },
    ]
    traded = trade(real("210120", "2025-01-20", "2025-02-05", actions=actions), {"2025-01-20": 10})
    assert traded.shares("2025-01-24") == 25
    assert traded.shares("2025-01-31") == 75
    assert traded.equity("2025-01-31") - traded.equity("2025-01-24") == pytest.approx(75 * 3_545 - 25 * 10_300)
