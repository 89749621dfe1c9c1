"""`qk.replay`: what it says of a strategy that lives as it was tested, and of one that does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import quantkit as qk
from quantkit import ta
from quantkit.brokers.sim import BarBroker
from quantkit.core.bench import Outcome
from quantkit.emulator.sources import random_bars
from quantkit.live.parity import tables_of
from quantkit.replay.run import replay
from quantkit.trading.events import Kind


class Cross(qk.Strategy):
    """Hold a name while its fast average stands above its slow one."""

    policy = qk.Policy(weighting="equal", stop_loss=0.05)
    warmup = 8

    def targets(self, bars: qk.Bars) -> Any:
        return ta.sma(bars.close, 3) > ta.sma(bars.close, 8)


class Peeks(Cross):
    """Knows the close of tomorrow."""

    def targets(self, bars: qk.Bars) -> Any:
        ahead = np.roll(bars.close, -1, axis=0)
        return ahead > bars.close


@pytest.fixture(scope="module")
def bars() -> qk.Bars:
    return random_bars(seed=3, symbols=3, sessions_count=40)


@pytest.mark.parametrize("fill", ["next_open", "next_close", "close"])
@pytest.mark.parametrize("honest", [False, True])
def test_a_strategy_lives_as_it_was_tested(bars: qk.Bars, fill: str, honest: bool) -> None:
    told: list[tuple[int, int]] = []
    found = replay(Cross(), bars, fill=fill, honest=honest, progress=lambda done, total: told.append((done, total)))
    assert found.same
    assert found.ledger.same
    pd.testing.assert_frame_equal(found.fills, qk.backtest(Cross(), bars, fill=fill).fills)
    assert len(found.fills) > 10
    assert told[-1] == (len(bars), len(bars))
    assert found.to_dict()["equity_difference"] == 0


def test_every_order_went_through_engine_gates_and_journal(bars: qk.Bars) -> None:
    found = replay(Cross(), bars)
    entries = [recorded.entry for recorded in found.journal.read()]
    kinds = [entry.kind for entry in entries]
    assert kinds.count(Kind.ORDER_SUBMITTING) == kinds.count(Kind.ORDER_ACCEPTED) == found.sent
    assert (
        sum(entry.payload["quantity"] for entry in entries if "trade" in entry.payload) == found.fills["quantity"].sum()
    )
    assert len(entries) == found.entries
    folded = [entry.payload for entry in entries if entry.kind is Kind.BAR_FOLDED]
    assert sum(payload.get("bars", 1) for payload in folded) == len(found.bars)  # quiet bars go together, each once
    assert len(folded) < len(found.bars)
    assert [payload["equity"] for payload in folded][-1] == found.run.equity[-1]
    triggered = [entry for entry in entries if entry.kind is Kind.ORDER_TRIGGERED]
    assert len(triggered) == (found.fills["rule"].str.startswith("stop_loss")).sum()


def test_a_strategy_that_looks_ahead_is_not_decided_at_once(bars: qk.Bars) -> None:
    with pytest.raises(qk.ConfigError, match="does not pass"):
        replay(Peeks(), bars)
    found = replay(Peeks(), bars, honest=True)
    assert not found.same
    assert found.ledger.rows[0].cause == "decision"
    assert "equity" in found.differs


def test_a_price_that_the_broker_moves_is_found_with_its_bar(bars: qk.Bars, monkeypatch: pytest.MonkeyPatch) -> None:
    match, seen = BarBroker.match, []

    def dearer(self: BarBroker, *given: Any, **more: Any) -> Outcome:
        outcome = match(self, *given, **more)
        if len(outcome.fills) and not seen:
            seen.append(outcome.fills.copy())
            outcome.fills["price"][0] += 5.0
            outcome.fills["value"][0] += 5 * outcome.fills["quantity"][0]
        return outcome

    monkeypatch.setattr(BarBroker, "match", dearer)
    found = replay(Cross(), bars)
    moved = seen[0][0]
    first = found.ledger.rows[0]
    assert (first.cause, first.symbol) == ("fill", bars.symbols[int(moved["symbol"])])
    assert first.time == str(bars.index[int(moved["bar"])].date())
    assert abs(first.largest) >= 5 * int(moved["quantity"]) or first.follows
    assert found.ledger.explained
    assert not found.same
    assert found.ledger.total == found.run.equity[-1] - found.backtest.run.equity[-1]


def test_a_gate_that_stops_an_order_is_the_cause(bars: qk.Bars) -> None:
    from quantkit.live.risk import GateLimits

    found = replay(Cross(), bars, gates=GateLimits(short=True, per_minute=1 << 40, per_day=1 << 40, max_order_shares=1))
    assert found.denied
    assert not found.same
    assert found.run.fills["bar"].size == 0
    assert {row.cause for row in found.ledger.rows} == {"gate"}
    assert "ORDER_TOO_LARGE" in found.ledger.rows[0].detail


class FarLimits(qk.Strategy):
    """Buys at up to a quarter above the close, once with an exit under it; sells far below what it does not have."""

    def on_bar(self, ctx: Any) -> None:
        if ctx.i == 3:
            ctx.buy(0, 10, limit=ctx.close[0, 0] * 1.25, take_profit=ctx.close[0, 0] * 1.02)
        if ctx.i == 20:
            ctx.buy(1, 1, limit=ctx.close[0, 1] * 1.25, tif="ioc")
            ctx.buy(1, 1, limit=ctx.close[0, 1] * 0.8)
            ctx.sell(2, 1, limit=ctx.close[0, 2] * 0.8)


def test_what_a_denied_order_brings_about_stands_under_its_gate(bars: qk.Bars) -> None:
    found = replay(FarLimits(), bars, interpret=True, checked_before=True)
    assert found.denied == 3
    assert [(row.cause, row.symbol) for row in found.ledger.rows] == [("gate", symbol) for symbol in bars.symbols]
    assert [row.detail.split()[:2] for row in found.ledger.rows] == [
        ["PRICE_COLLAR:", side] for side in ("buy", "buy", "sell")
    ]
    assert [bool(row.largest) for row in found.ledger.rows] == [True, True, False]
    assert found.ledger.explained
    assert found.ledger.total == found.run.equity[-1] - found.backtest.run.equity[-1] != 0


def test_given_targets_are_replayed_too(bars: qk.Bars) -> None:
    targets = np.zeros(bars.shape)
    targets[3:20, 1] = 0.5
    found = replay(targets=targets, bars=bars, deposits={bars.index[10]: 1_000_000})
    assert found.same
    assert len(found.fills) == 2


def test_a_journal_is_kept_and_not_written_twice(bars: qk.Bars, tmp_path: Any) -> None:
    path = tmp_path / "replay.sqlite"
    found = replay(Cross(), bars, journal=path)
    assert found.same
    assert path.is_file()
    with pytest.raises(qk.ConfigError, match="holds a journal"):
        replay(Cross(), bars, journal=path)


def test_the_public_name_is_the_function(bars: qk.Bars) -> None:
    found = qk.replay(Cross(), bars, start=bars.index[10], cash=5_000_000)
    assert found.same
    assert found.bars.index[0] == bars.index[10]
    assert tables_of(found).start_cash == 5_000_000  # type: ignore[arg-type]
    assert "the same" in repr(found)


def test_what_cannot_be_replayed_is_refused(bars: qk.Bars) -> None:
    with pytest.raises(qk.ConfigError, match="give Bars"):
        replay(Cross(), None)
    with pytest.raises(qk.ConfigError, match="fill="):
        replay(Cross(), bars, fill="tomorrow")
