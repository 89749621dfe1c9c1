"""A daily strategy that is restarted every night trades in the opening auction exactly as its backtest does."""

from __future__ import annotations

from pathlib import Path

import pytest

import quantkit as qk
from quantkit import ta
from quantkit.data.bars import Bars
from quantkit.emulator.exchange import BarSource, Exchange, random_bars
from quantkit.trading.events import Kind
from tests.live.nights import ACCOUNT, backtest_fills, entries_of, live_fills, one_day

KNOWN = 9  # bars that the first process starts with


class Cross(qk.Strategy):
    def targets(self, bars: Bars) -> object:
        return ta.sma(bars.close, 2) > ta.sma(bars.close, 5)


def nights(
    folder: Path, bars: Bars, policy: qk.Policy, cash: int, *, known: int = KNOWN, tick_seconds: float = 1800.0
) -> Exchange:
    """Every session after the first `known` bars, each in a process of its own; the exchange goes on."""
    source = BarSource(bars, start=int(bars.days[known]), tick_seconds=tick_seconds, deep=True)
    exchange = Exchange(source, seed=1)
    exchange.open_account(ACCOUNT, cash)
    for row in range(known, len(bars)):
        one_day(bars, row, exchange, folder, strategy=Cross(), policy=policy, cash=cash)
    return exchange


@pytest.mark.parametrize(
    ("policy", "cash", "seed", "volatility"),
    [
        (qk.Policy(max_names=3, funding="cash", collar=0.02), 100_000_000, 5, 0.02),  # some opens are beyond the limit
        pytest.param(  # market orders, large ones
            qk.Policy(max_names=4, funding="cash", collar=None), 5_000_000_000, 7, 0.08, marks=pytest.mark.slow
        ),
    ],
    ids=["narrow collar", "large"],
)
def test_a_strategy_restarted_every_night_equals_its_backtest(
    tmp_path: Path, policy: qk.Policy, cash: int, seed: int, volatility: float
) -> None:
    """Fills (name, side, shares, price, costs), cash and equity of eleven sessions, to the won."""
    bars = random_bars(seed=seed, symbols=6, sessions_count=KNOWN + 10, volatility=volatility)
    exchange = nights(tmp_path, bars, policy, cash)
    expected = qk.backtest(Cross(), bars, policy=policy, cash=cash, start=bars.index[KNOWN - 1])
    entries = entries_of(tmp_path)
    assert len(expected.fills) >= 8
    assert live_fills(entries) == backtest_fills(expected)
    folded = [entry.payload for entry in entries if entry.kind is Kind.BAR_FOLDED]
    assert [payload["equity"] for payload in folded] == expected.run.equity.tolist()
    assert [payload["cash"] for payload in folded] == expected.run.cash.tolist()
    account = exchange.desk.accounts[ACCOUNT]
    assert account.total == int(expected.run.cash[-1])
    kinds = [entry.kind for entry in entries]
    assert (kinds.count(Kind.RUN_STARTED), kinds.count(Kind.ALARM), kinds.count(Kind.GAP_DETECTED)) == (10, 0, 0)


def test_with_stops_the_day_and_the_shares_are_the_same_and_the_price_is_that_of_the_tick(tmp_path: Path) -> None:
    """A stop is watched on ticks and sent as a limit with the collar: it fills where the market is by then."""
    known = KNOWN + 1
    bars = random_bars(seed=7, symbols=6, sessions_count=known + 1, volatility=0.03)
    policy = qk.Policy(max_names=3, funding="cash", collar=0.1, stop_loss=0.05)
    nights(tmp_path, bars, policy, 100_000_000, known=known, tick_seconds=60.0)
    expected = qk.backtest(Cross(), bars, policy=policy, cash=100_000_000, start=bars.index[known - 1])
    live, tested = live_fills(entries_of(tmp_path)), backtest_fills(expected)
    bought = [fill for fill in tested if fill.side == "buy"]
    assert len(bought) == 3
    assert [fill for fill in live if fill.side == "buy"] == bought
    (stop,), (ours,) = ([fill for fill in fills if fill.side == "sell"] for fills in (tested, live))
    assert list(expected.fills["rule"]).count("stop_loss") == 1
    assert ours[:4] == stop[:4]
    assert stop.price * 0.98 <= ours.price <= stop.price
