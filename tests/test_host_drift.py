"""Two sessions on paper at the emulator, and what their journal says: orders as foretold, every won accounted for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import quantkit as qk
from quantkit import Bars, Policy, Strategy, ta
from quantkit.brokers.paper import PaperBroker
from quantkit.data.dates import day_text
from quantkit.emulator.exchange import BarSource, Exchange, random_bars, session_clock
from quantkit.emulator.feed import EmulatedFeed
from quantkit.host import Deployment, Host, Hosted
from quantkit.live.clock import run_virtual, seeded_random
from quantkit.live.hub import MarketHub
from quantkit.live.orders import next_orders
from quantkit.live.record import read_record
from quantkit.live.sessions import Compared, daily_report
from quantkit.trading.events import Kind

CASH = 3_000_000
HOUR = 3_600_000_000_000


class Cross(Strategy):
    """Hold what is above its short average, with a stop."""

    policy = Policy(weighting="equal", stop_loss=0.02, funding="cash")
    warmup = 4

    def targets(self, bars: Bars) -> Any:
        return ta.sma(bars.close, 2) > ta.sma(bars.close, 4)


BARS = random_bars(seed=3, symbols=2, sessions_count=16)
CUT = 14
DEPLOYMENT = Deployment(name="cross", strategy=Cross(), bars=BARS.slice(0, CUT), capital=CASH)


@pytest.fixture(scope="module")
def journal() -> Any:
    """The journal of the last two sessions."""

    async def main(clock: Any) -> Any:
        exchange = Exchange(BarSource(BARS, start=int(BARS.days[CUT])), seed=1)
        broker = PaperBroker("first", clock=clock, cash=CASH)
        feed = broker.watch(EmulatedFeed(exchange, now=clock.now_ns))
        hub = MarketHub(feed, clock, chance=seeded_random(1))
        account = Hosted(name="first", deployments=[DEPLOYMENT], broker=lambda _: broker, artifact="digest")
        host = Host([account], hub, clock, chance=seeded_random(2), owner="test")
        await host.run(until=session_clock(int(BARS.days[-1])).close + 3 * HOUR)
        assert not host.supervisor.given_up
        return host.supervisor.runners["first"].journal

    return run_virtual(main, start=session_clock(int(BARS.days[CUT])).orders - HOUR)


def test_what_is_sent_into_the_first_auctions_is_what_orders_foretold(journal: Any) -> None:
    """Until something fills otherwise than in the backtest the engine sends what `next_orders` prints."""
    record = read_record(journal.read(), "first")
    compared = 0
    for row in range(1, len(BARS) - CUT + 1):
        date = record.date(row)
        end = CUT + row - 1
        found = next_orders(Cross(), BARS.slice(0, end), cash=CASH, start=day_text(int(BARS.days[CUT - 1])))
        orders = [asked.order for asked in record.asked.values() if asked.date == date]
        sent = [
            (order.intent.symbol, str(order.intent.side), order.quantity, order.price)
            for order in orders if order.submitted is not None and order.intent.rule == "target"
        ]  # fmt: skip
        assert sorted(sent) == sorted((one.symbol, one.side, one.quantity, one.limit) for one in found.orders)
        compared += len(sent)
        if any(order.intent.rule == "stop_loss" for order in orders):
            break  # a stop fills at the market's prices, not at the model's
    assert compared


def test_every_won_between_the_account_and_its_backtest_has_a_cause(journal: Any) -> None:
    found = Compared(read_record(journal.read(), "first"), DEPLOYMENT.terms, BARS)
    assert found.days == tuple(day_text(int(day)) for day in BARS.days[CUT:])
    assert found.ledger.explained
    before = 0.0
    for date in found.days:
        report = found.report(date)
        expected, real = report.equity
        assert sum(since for _, _, since in report.bridge) == real - expected
        assert sum(today for _, today, _ in report.bridge) == real - expected - before
        before = real - expected
    folded = [each.entry for each in journal.read() if each.entry.kind is Kind.BAR_FOLDED]
    assert real == folded[-1].payload["equity"]
    result = qk.backtest(Cross(), BARS, cash=CASH, start=day_text(int(BARS.days[CUT - 1])))
    assert expected == result.equity.iloc[-1]


def test_fills_at_other_prices_are_split_and_their_sum_is_the_ledger_s(journal: Any) -> None:
    """What fills cost beyond the model, fill by fill, is what the ledger says of price and cost."""
    found = Compared(read_record(journal.read(), "first"), DEPLOYMENT.terms, BARS)
    paid = 0.0
    for date in found.days:
        report = found.report(date)
        rows = report.fills
        paid += float(((rows["price"] - rows["model"]) * rows["quantity"]).where(rows["side"] == "buy", other=0).sum())
        paid -= float(((rows["price"] - rows["model"]) * rows["quantity"]).where(rows["side"] == "sell", other=0).sum())
        assert (
            rows[["delay", "spread", "impact", "fees", "unsplit"]].sum(axis=1) - rows["total"]
        ).abs().max() < 1e-6 or (not len(rows))
    fees = found.actual.fills[["commission", "tax"]].to_numpy().sum()
    usual = found.expected.fills[["commission", "tax"]].to_numpy().sum()
    causes = {cause: since for cause, _, since in report.bridge}
    assert -(paid + fees - usual) == pytest.approx(causes.get("price", 0.0) + causes.get("cost", 0.0), abs=0.5)


def test_the_records_of_the_sessions_are_evidence(journal: Any) -> None:
    found = Compared(read_record(journal.read(), "first"), DEPLOYMENT.terms, BARS)
    records = found.records(artifact="digest")
    assert [one.date for one in records] == list(found.days)
    assert all((one.mode, one.unresolved, one.mismatched, one.unexplained) == ("paper", 0, 0, 0) for one in records)
    assert all(one.alike == one.decisions for one in records)
    assert sum(one.filled for one in records) > 0


def test_the_daily_job_writes_the_day(journal: Any, tmp_path: Path) -> None:
    page, document = daily_report(journal, DEPLOYMENT.terms, BARS, account="first", folder=tmp_path)
    read = json.loads(document.read_text(encoding="utf-8"))
    assert read["date"] == day_text(int(BARS.days[-1]))
    assert sum(line["since"] for line in read["bridge"]) == read["equity"]["real"] - read["equity"]["expected"]
    assert "Expected and real" in page.read_text(encoding="utf-8")
