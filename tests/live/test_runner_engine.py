"""The runner with the real engine, a journal on disk and the exchange's own broker: sessions, kills, ten accounts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from quantkit.core.state import no_events
from quantkit.emulator.exchange import Exchange
from quantkit.emulator.port import EmulatedBroker
from quantkit.live.clock import VirtualClock, run_virtual
from quantkit.live.engine import Engine, Settings, fold, reduce
from quantkit.live.journal import leave_command, open_journal, read_journal
from quantkit.live.messages import BarClosed, Command, SessionOpens
from quantkit.live.recovery import recover
from quantkit.live.risk import GateLimits
from quantkit.live.runner import AccountRunner, RunnerSettings
from quantkit.live.sleeves import Sleeve
from quantkit.live.supervisor import Supervisor
from quantkit.market.days import epoch_days
from quantkit.trading.events import Kind
from quantkit.trading.orders import Status
from quantkit.trading.ports import InstrumentDay
from tests.emulator.markets import exchange
from tests.live.accounts import CASH, FRIDAY, MONDAY, NAMES, Scripted, Want, at, row_of

ORDER = "sma"


def market() -> Exchange:
    made, _ = exchange((70_000, 70_500, 69_500, 70_200, 1_000_000), base=70_000.0, day=MONDAY.isoformat(), cash=CASH)
    return made


def start(folder: Path, made: Exchange, clock: VirtualClock, account: str = "a") -> AccountRunner:
    """An account as a process starts it: lease, recovery, runner."""
    journal = open_journal(folder / f"{account}.sqlite", account, owner="test", now=clock.now_ns())
    book = Scripted()
    wants = (Want(1, quantity=10),)
    book.mornings.append([])  # of Friday's bar, which comes without a session
    book.says(evening=wants, morning=wants)
    sleeve = Sleeve(name=ORDER, book=book, capital=CASH, load=Scripted.read, limits=GateLimits(stale_ms=10**9))
    engine = recover(journal, [sleeve], settings=Settings())
    return AccountRunner(
        engine, journal, EmulatedBroker(made, account, now=clock.now_ns), clock, reduce=reduce, fold=fold,
        chance=lambda: 0.5, keep=folder, settings=RunnerSettings(intake=10.0),
    )  # fmt: skip


def friday(runner: AccountRunner, clock: VirtualClock) -> None:
    """Friday's bar, read on Monday morning, and Monday's session."""
    bar = BarClosed(clock.now_ns(), ORDER, at("15:30", FRIDAY), row_of(FRIDAY), no_events(), backfill=True)
    known = tuple(InstrumentDay(symbol=name, base=70_000.0, previous_close=70_000.0) for name in NAMES)
    runner.post(bar)
    runner.post(SessionOpens(clock.now_ns(), ORDER, int(epoch_days(MONDAY)), known, row_of(MONDAY), no_events()))


def same_as_its_journal(folder: Path, engine: Engine, account: str = "a") -> None:
    """What a restart would find is what memory held."""
    sleeve = Sleeve(name=ORDER, book=Scripted(), capital=CASH, load=Scripted.read, limits=GateLimits(stale_ms=10**9))
    reader = read_journal(folder / f"{account}.sqlite")
    assert recover(reader, [sleeve], settings=Settings()).snapshot() == engine.snapshot()
    reader.close()


def test_a_decision_of_friday_is_filled_in_mondays_auction_once(tmp_path: Path) -> None:
    async def main(clock: VirtualClock) -> tuple[AccountRunner, Exchange]:
        made = market()
        runner = start(tmp_path, made, clock)
        running = asyncio.create_task(runner.run())
        friday(runner, clock)
        await clock.sleep_until(at("15:50"))
        runner.stop(by="test", reason="evening")
        await running
        return runner, made

    runner, made = run_virtual(main, start=at("08:00"))
    assert runner.failure is None
    (order,) = runner.engine.orders.values()
    assert (order.status, order.filled) == (Status.FILLED, 10)
    assert at("08:30") <= order.submitted < at("08:31")  # type: ignore[operator]
    assert [line.filled for line in made.desk.accounts["a"].orders.values()] == [10]
    kinds = [one.entry.kind for one in read_journal(tmp_path / "a.sqlite").read()]
    assert kinds.index(Kind.ORDER_SUBMITTING) < kinds.index(Kind.ORDER_ACCEPTED)
    same_as_its_journal(tmp_path, runner.engine)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("after", "bought", "found"),
    [
        (0.001, 0, ["OrderUnresolved", "OrderRejected"]),  # the request never arrived, and the looks prove it
        (0.02, 0, ["OrderUnresolved", "OrderRejected"]),
        (0.03, 10, ["OrderUnresolved", "OrderBound"]),  # it stands at the exchange, the answer was lost with us
        (0.12, 10, ["OrderAccepted"]),
        (300.0, 10, ["OrderAccepted"]),
    ],
)
def test_killed_around_the_send_it_starts_again_and_never_sends_twice(
    tmp_path: Path, after: float, bought: int, found: list[str]
) -> None:
    async def main(clock: VirtualClock) -> tuple[AccountRunner, Exchange]:
        made = market()
        runner = start(tmp_path, made, clock)
        running = asyncio.create_task(runner.run())
        friday(runner, clock)
        await clock.sleep_until(at("08:30") + round(after * 1e9))
        for task in asyncio.all_tasks():  # what the account does ends where it stands; the exchange goes on
            if task is running or task.get_name().startswith("a "):
                task.cancel()
        await asyncio.wait([running])
        again = start(tmp_path, made, clock)
        running = asyncio.create_task(again.run())
        await clock.sleep_until(at("15:50"))
        again.stop(by="test")
        await running
        return again, made

    runner, made = run_virtual(main, start=at("08:00"))
    assert runner.failure is None
    lines = made.desk.accounts["a"].orders.values()
    assert [line.filled for line in lines] == ([bought] if bought else [])
    (order,) = runner.engine.orders.values()
    assert (order.filled, order.status) == (bought, Status.FILLED if bought else Status.REJECTED)
    assert order.unresolved_since is None
    words = {"OrderUnresolved", "OrderRejected", "OrderBound", "OrderAccepted"}
    kinds = [one.entry.kind.value for one in read_journal(tmp_path / "a.sqlite").read()]
    assert [kind for kind in kinds if kind in words] == found
    assert kinds.count("OrderSubmitting") == 1
    same_as_its_journal(tmp_path, runner.engine)  # type: ignore[arg-type]


def test_another_process_may_halt_the_account_before_it_sends(tmp_path: Path) -> None:
    async def main(clock: VirtualClock) -> tuple[AccountRunner, Exchange]:
        made = market()
        runner = start(tmp_path, made, clock)
        running = asyncio.create_task(runner.run())
        friday(runner, clock)
        await clock.sleep_until(at("08:20"))
        halt = Command(clock.now_ns(), "h1", "halt", "min", "wrong file")
        assert leave_command(tmp_path / "a.sqlite", "a", halt)
        assert not leave_command(tmp_path / "a.sqlite", "a", halt)
        await clock.sleep_until(at("10:00"))
        runner.stop(by="test")
        await running
        return runner, made

    runner, made = run_virtual(main, start=at("08:00"))
    assert runner.failure is None
    assert made.desk.accounts["a"].orders == {}
    kinds = [one.entry.payload.get("id") for one in read_journal(tmp_path / "a.sqlite").read()]
    assert kinds.count("h1") == 1


def test_a_second_owner_stops_the_first(tmp_path: Path) -> None:
    async def main(clock: VirtualClock) -> AccountRunner:
        made = market()
        runner = start(tmp_path, made, clock)
        running = asyncio.create_task(runner.run())
        await clock.sleep_until(at("08:10"))
        other = open_journal(tmp_path / "a.sqlite", "a", owner="other", now=clock.now_ns())
        friday(runner, clock)
        await running
        other.close()
        return runner

    failure = run_virtual(main, start=at("08:00")).failure
    assert failure is not None
    assert (failure.code, failure.restartable) == ("SECOND_OWNER", False)


def test_ten_accounts_of_one_process_all_trade_and_miss_no_bar(tmp_path: Path) -> None:
    names = [f"acc{k}" for k in range(10)]

    async def main(clock: VirtualClock) -> tuple[Supervisor, Exchange]:
        made = market()
        for name in names:
            made.open_account(name, CASH)

        def maker(name: str) -> Callable[[], object]:
            async def make() -> AccountRunner:
                return start(tmp_path, made, clock, name)

            return make

        supervisor = Supervisor(clock, {name: maker(name) for name in names}, chance=lambda: 0.5, beat=None)  # type: ignore[misc]
        running = asyncio.create_task(supervisor.run())
        await asyncio.sleep(1)
        for runner in supervisor.runners.values():
            friday(runner, clock)
        await clock.sleep_until(at("15:50"))
        for runner in supervisor.runners.values():
            runner.post(BarClosed(clock.now_ns(), ORDER, at("15:30"), row_of(MONDAY, 70_200.0), no_events()))
        await asyncio.sleep(1)
        supervisor.stop(by="test")
        await running
        return supervisor, made

    supervisor, made = run_virtual(main, start=at("08:00"))
    assert supervisor.given_up == {}
    for name in names:
        assert [line.filled for line in made.desk.accounts[name].orders.values()] == [10]
        folded = [one for one in read_journal(tmp_path / f"{name}.sqlite").read()
                  if one.entry.kind is Kind.BAR_FOLDED]  # fmt: skip
        assert [one.entry.payload["bar"] for one in folded] == [at("15:30", FRIDAY), at("15:30")]
