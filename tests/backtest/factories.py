"""A small market and a plain account, in slow and obvious Python: runs to compute figures from.

The account is nobody's idea of good execution. It buys and sells at the close of the day, whole shares, with commission
and tax in whole won, and writes down exactly what `RunOutput` asks for. Splits, dividends, deposits and stops happen.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from quantkit.backtest.output import ACTION_FIELDS, FILL_FIELDS, ORDER_FIELDS, RunOutput
from quantkit.backtest.result import Result
from quantkit.core.state import ORDER_KINDS, ORDER_STATUS, REASONS, RULES
from quantkit.data.actions import KIND_ID
from quantkit.data.bars import Bars, midnights

NAMES = {"005930": "삼성전자", "000660": "SK하이닉스", "035420": "NAVER", "005380": "현대차", "051910": "LG화학",
         "068270": "셀트리온", "105560": "KB금융", "0009K0": "에이치엠씨"}  # fmt: skip
SYMBOLS = tuple(NAMES)


def weekdays(count: int, *, start: str = "2018-01-02") -> np.ndarray:
    """So many weekdays from `start`, as epoch days."""
    days = np.arange(np.datetime64(start, "D"), np.datetime64(start, "D") + 2 * count + 10)
    return days[np.is_busday(days)][:count].astype(np.int64)


def random_bars(count: int = 750, names: int = 4, *, seed: int = 7, freq: str = "1d", drift: float = 0.0004) -> Bars:
    """A random walk of whole won; "5m" gives sessions of six bars."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(drift, 0.018, (count, names)) + rng.normal(0, 0.008, (count, 1))
    close = np.round(rng.uniform(20_000, 90_000, names) * np.exp(np.cumsum(steps, axis=0)))
    opening = np.round(close * np.exp(rng.normal(0, 0.006, close.shape)))
    high = np.round(np.maximum(opening, close) * (1 + rng.uniform(0, 0.01, close.shape)))
    low = np.round(np.minimum(opening, close) * (1 - rng.uniform(0, 0.01, close.shape)))
    if freq == "1d":
        times = midnights(weekdays(count))
    else:
        days, rest = np.divmod(np.arange(count), 6)
        times = midnights(weekdays(count // 6 + 1)[days]) + (9 * 3600 + (rest + 1) * 3600) * 1_000_000
    symbols = SYMBOLS[:names] if names <= len(SYMBOLS) else tuple(f"{column:06d}" for column in range(names))
    fields = {"open": opening, "high": high, "low": low, "close": close, "volume": np.full(close.shape, 10_000.0)}
    return Bars(
        times=times, symbols=symbols, fields=fields, names={s: NAMES[s] for s in symbols if s in NAMES}, freq=freq
    )


class Account:
    """Cash and whole shares; `out()` gives the RunOutput."""

    def __init__(self, bars: Bars, cash: int) -> None:
        self.bars, self.initial = bars, cash
        self.cash = cash
        self.shares = np.zeros(len(bars.symbols), np.int64)
        self.fills: dict[str, list[object]] = {name: [] for name in FILL_FIELDS}
        self.orders: dict[str, list[object]] = {name: [] for name in ORDER_FIELDS}
        self.actions: dict[str, list[object]] = {name: [] for name in ACTION_FIELDS}
        self.deposits = np.zeros(len(bars), np.int64)
        self.equity, self.held_cash = np.zeros(len(bars), np.int64), np.zeros(len(bars), np.int64)

    def deposit(self, t: int, amount: int) -> None:
        self.deposits[t] += amount
        self.cash += amount

    def act(self, t: int, s: int, *, delta: int = 0, cash: int = 0, kind: str = "dividend") -> None:
        self.shares[s] += delta
        self.cash += cash
        for name, value in zip(
            ACTION_FIELDS, (t, s, KIND_ID[kind], delta, cash, 0, int(kind == "unknown")), strict=True
        ):
            self.actions[name].append(value)

    def fill(
        self, t: int, s: int, side: int, quantity: int, *, price: float | None = None, rule: str = "open",
        commission: int | None = None, tax: int | None = None, proceeds: bool = False, slippage: int = 0,
    ) -> None:  # fmt: skip
        price = float(self.bars.raw.close[t, s]) if price is None else price
        value = round(price * quantity)
        commission = int(value * 0.00015) if commission is None else commission
        tax = (int(value * 0.0018) if side < 0 else 0) if tax is None else tax
        self.cash -= side * value + commission + tax
        self.shares[s] += side * quantity
        order = len(self.orders["bar"])
        row = (t, s, side, quantity, price, commission, tax, slippage, order, RULES.index(rule), proceeds, False)
        for name, cell in zip(FILL_FIELDS, row, strict=True):
            self.fills[name].append(cell)
        self.order(t, s, side, quantity, filled=quantity)

    def order(self, t: int, s: int, side: int, quantity: int, *, filled: int = 0, reason: str = "") -> None:
        status = "filled" if filled == quantity else "cut" if filled else "dropped"
        row = (len(self.orders["bar"]), max(t - 1, 0), s, side, quantity, filled, ORDER_KINDS.index("at_open"),
               ORDER_STATUS.index(status), REASONS.index(reason), t, 0)  # fmt: skip
        for name, cell in zip(ORDER_FIELDS, row, strict=True):
            self.orders[name].append(cell)

    def mark(self, t: int) -> None:
        held = np.flatnonzero(self.shares)
        self.held_cash[t] = self.cash
        self.equity[t] = self.cash + round(float((self.shares[held] * self.bars.raw.close[t, held]).sum()))

    def out(self) -> RunOutput:
        return RunOutput(
            self.equity, self.held_cash, self.deposits, self.fills, self.orders, self.actions, self.initial
        )


def random_run(bars: Bars, *, seed: int = 3, cash: int = 100_000_000, actions: bool = False, monthly: int = 0,
               every: int = 5) -> RunOutput:  # fmt: skip
    """Trades at random: in a name for a few weeks, sometimes adding, sometimes selling a part."""
    rng = np.random.default_rng(seed)
    account, names = Account(bars, cash), len(bars.symbols)
    factor = np.ones(names, np.int64)
    prices = bars.raw.close
    months = bars.days.astype("datetime64[D]").astype("datetime64[M]")
    for t in range(len(bars)):
        if monthly and t and months[t] != months[t - 1]:
            account.deposit(t, monthly)
        for s in range(names):
            if actions and rng.random() < 0.01 and account.shares[s] > 0:
                account.act(t, s, cash=int(account.shares[s]) * 250)
            if actions and rng.random() < 0.004 and factor[s] == 1 and t > 20:
                factor[s] = 2
                prices[t:, s] = np.round(prices[t:, s] / 2)  # two new shares for one
                if account.shares[s]:
                    account.act(t, s, delta=int(account.shares[s]), kind="unknown" if rng.random() < 0.3 else "split")
        if t % every == 0 and t:
            for s in rng.permutation(names):
                held = int(account.shares[s])
                if held and rng.random() < 0.35:
                    rule = "stop_loss" if rng.random() < 0.3 else "open"
                    account.fill(t, s, -1, held if rng.random() < 0.7 else max(held // 2, 1), rule=rule, slippage=17)
                elif rng.random() < 0.3:
                    quantity = int(account.cash * 0.3 // prices[t, s])
                    if quantity > 0 and rng.random() < 0.97:
                        account.fill(t, s, 1, quantity, slippage=31, proceeds=bool(rng.random() < 0.15))
                    else:
                        account.order(t, s, 1, 10, reason="LIMIT_LOCKED")
        account.mark(t)
    return account.out()


def random_result(count: int = 750, names: int = 4, **options: object) -> Result:
    """A result of `random_run` on `random_bars`, beside the mean of its names."""
    choices = defaultdict(lambda: None, options)
    bars = random_bars(count, names, freq=str(choices["freq"] or "1d"))
    run = random_run(bars, actions=bool(choices["actions"]), monthly=int(choices["monthly"] or 0))  # type: ignore[call-overload]
    close = bars.raw.close
    levels = (close / close[0]).mean(axis=1) if not choices["actions"] else None
    return Result(bars=bars, run=run, benchmark=levels, benchmark_name="코스피 200")
