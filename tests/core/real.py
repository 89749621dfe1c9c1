"""Rows of one symbol as the exchange published them, and what a run made of them in few words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

import quantkit as qk
from quantkit.backtest.result import Result
from quantkit.core.policy import Policy
from quantkit.data.bars import Bars
from quantkit.market.costs import Costs
from tests.data.lake_data import REAL

COLUMNS = ["symbol", "date", "open", "high", "low", "close", "volume", "base", "market"]
AT_MARKET = Policy(weighting="shares", amount=1.0, collar=None)
FREE = Costs(0.0, tax=0.0)


@cache
def table(name: str) -> pd.DataFrame:
    frame = pd.read_parquet(REAL / f"{name}.parquet")
    frame["date"] = frame["date"].astype(str)
    return frame.set_index("symbol", drop=False)


def rows_of(symbol: str, first: str, last: str, source: str) -> pd.DataFrame:
    rows = table(source).loc[[symbol]]
    rows = rows[(rows["date"] >= first) & (rows["date"] <= last)].sort_values("date")
    return rows[[name for name in COLUMNS if name in rows]].reset_index(drop=True)


def real(symbol: str, first: str, last: str, *, source: str = "krx_daily_raw", beside: str = "", **given: Any) -> Bars:
    """The bars of a symbol from `first` to `last`, and of another one `beside` it."""
    rows = rows_of(symbol, first, last, source)
    if beside:
        rows = pd.concat([rows, rows_of(beside, first, last, source)], ignore_index=True)
    return Bars.from_pandas(rows, **given)


@dataclass(frozen=True)
class Traded:
    result: Result

    @property
    def fills(self) -> list[tuple[str, int, float]]:
        """(day, shares bought or sold, price)."""
        f = self.result.fills
        signed = np.where(f["side"] == "buy", f["quantity"], -f["quantity"])
        return list(zip(f["time"].dt.strftime("%Y-%m-%d"), signed.tolist(), f["price"].tolist(), strict=True))

    @property
    def refused(self) -> list[tuple[str, str]]:
        """(day on which it did not fill, reason) of orders that ended so."""
        o = self.result.orders[self.result.orders["status"].isin(["dropped", "cut"])]
        return list(zip(o["done"].dt.strftime("%Y-%m-%d"), o["reason"], strict=True))

    def shares(self, day: str) -> int:
        """Shares of the first name at the close of a day."""
        return int(self.result.positions.loc[day].iloc[0])

    def equity(self, day: str) -> float:
        return float(self.result.equity.loc[day])


def trade(bars: Bars, wanted: Mapping[str, float], *, policy: Policy = AT_MARKET, **settings: Any) -> Traded:
    """Ask for so many shares of the first name at the close of each day given, and leave it alone otherwise."""
    targets = np.full(bars.shape, np.nan)
    days = [str(day) for day in bars.days.astype("datetime64[D]")]
    for day, shares in wanted.items():
        targets[days.index(day), 0] = shares
    given = {"cash": 1_000_000_000, "costs": FREE} | settings
    return Traded(qk.backtest(targets=targets, bars=bars, policy=policy, **given))


def listed_on(symbol: str, day: str, **more: str) -> pd.DataFrame:
    """An instrument table of one row."""
    return pd.DataFrame({"symbol": [symbol], "listing_date": [day], **{name: [value] for name, value in more.items()}})
