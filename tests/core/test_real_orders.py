"""A strategy's own orders on real days: they rest, wait and act as the exchange allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

import quantkit as qk
from quantkit import Strategy, param
from quantkit.data.bars import Bars
from tests.core.real import AT_MARKET, FREE, Traded, real
from tests.data.lake_data import needs_real_data

if TYPE_CHECKING:
    from quantkit.core.interface import Context

pytestmark = needs_real_data

LIMIT, STOP, DAY_LIMIT, IOC, HOLD_WITH_STOP = range(5)


class Once(Strategy):
    """One order, made at the close of one day."""

    policy = AT_MARKET
    kind: int = param(LIMIT, low=LIMIT, high=HOLD_WITH_STOP)
    day: int = param(0, low=0, high=99_999)
    price: float = param(1.0, low=1.0, high=9e9)

    def on_bar(self, ctx: Context) -> None:
        if ctx.day != self.day:
            return
        if self.kind == LIMIT:
            ctx.buy(0, 10, limit=self.price, tif="gtc")
        elif self.kind == STOP:
            ctx.buy(0, 10, stop=self.price)
        elif self.kind == DAY_LIMIT:
            ctx.buy(0, 10, limit=self.price)
        elif self.kind == IOC:
            ctx.buy(0, 10, limit=self.price, tif="ioc")
        elif self.kind == HOLD_WITH_STOP:
            ctx.buy(0, 10, stop_loss=self.price)


def once(bars: Bars, kind: int, day: str, price: float) -> Traded:
    number = int(np.datetime64(day, "D").astype(np.int64))
    strategy = Once(kind=kind, day=number, price=price)
    return Traded(qk.backtest(strategy, bars, cash=1_000_000_000, costs=FREE))


def test_a_limit_at_the_upper_limit_waits_while_the_day_is_locked() -> None:
    traded = once(real("006570", "2021-01-28", "2021-02-04"), LIMIT, "2021-01-29", 5_290)
    assert traded.fills == [("2021-02-02", 10, 5_290.0)], "2021-02-01 knows one price, 5,290, and no seller"


def test_a_stop_overrun_by_a_locked_open_acts_at_the_next_open() -> None:
    traded = once(real("004140", "2021-01-11", "2021-01-18"), STOP, "2021-01-12", 4_000)
    assert traded.fills == [("2021-01-14", 10, 5_340.0)], "2021-01-13 opens at its limit, 5,080"


def test_a_limit_beyond_the_days_limits_is_parked_until_they_reach_it() -> None:
    bars = real("065170", "2026-01-22", "2026-02-12")
    traded = once(bars, LIMIT, "2026-01-26", 4_300)
    assert traded.fills == [("2026-02-06", 10, 4_300.0)], "parked while the upper limit was below, then it falls to it"
    assert traded.refused == []
    assert once(bars, DAY_LIMIT, "2026-01-26", 4_300).refused == [("2026-01-27", "OUT_OF_LIMITS")]


def test_a_stop_is_rebased_through_a_halt_and_a_split() -> None:
    split = [{"symbol": "005300", "ex_date": "2019-05-03", "kind": "split", "share_ratio": 10.0}]
    bars = real("005300", "2019-04-24", "2019-05-10", actions=split)
    traded = once(bars, HOLD_WITH_STOP, "2019-04-25", 1_700_000)
    assert traded.fills == [("2019-04-26", 10, 1_736_000.0), ("2019-05-03", -100, 170_000.0)]


def test_a_limit_does_not_fill_on_halted_days() -> None:
    traded = once(real("141070", "2021-01-28", "2021-02-04"), LIMIT, "2021-01-29", 1_300)
    assert traded.fills == [("2021-02-02", 10, 1_230.0)], "the next open is better than the limit"


@pytest.mark.parametrize(
    ("symbol", "day", "refused"),
    [
        ("000670", "2003-06-02", True),  # IOC orders exist from 2004-01-26 on
        ("000670", "2004-02-02", False),
    ],
)
def test_an_order_kind_is_refused_before_the_exchange_took_it(symbol: str, day: str, refused: bool) -> None:
    bars = real(symbol, day[:7] + "-01", day[:7] + "-28", source="krx_daily_raw_2000_2017")
    close = bars.raw.close[bars.days == np.datetime64(day, "D").astype(np.int64), 0]
    traded = once(bars, IOC, day, close.item())
    assert ([reason for _, reason in traded.refused] == ["NOT_ACCEPTED"]) == refused


def test_liquidation_trading_takes_limits_but_no_ioc() -> None:
    window = {"symbol": ["036260"], "liquidation_start": ["2021-02-02"], "liquidation_end": ["2021-02-10"]}
    bars = real("036260", "2019-05-21", "2021-02-10", instruments=pd.DataFrame(window))
    assert once(bars, IOC, "2021-02-02", 250).refused == [("2021-02-03", "NOT_ACCEPTED")]
    assert len(once(bars, LIMIT, "2021-02-02", 250).fills) == 1
