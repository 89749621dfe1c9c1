"""A strategy trades on paper for two sessions: what it leaves in every table, and that it follows from the entries."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from quantkit import Bars, Policy, Strategy, ta
from quantkit.brokers.paper import PaperBroker
from quantkit.data.dates import day_text
from quantkit.emulator.exchange import BarSource, Exchange, random_bars, session_clock
from quantkit.emulator.feed import EmulatedFeed
from quantkit.host import Deployment, Host, Hosted
from quantkit.live.clock import VirtualClock, run_virtual, seeded_random
from quantkit.live.hub import MarketHub
from quantkit.live.journal import leave_command, read_journal, tables, verify
from quantkit.live.journal.reader import Reader
from quantkit.live.messages import Command
from quantkit.live.runner import RunnerSettings
from quantkit.trading.events import Kind
from tests.live.journal.places import Place

BARS, CUT = random_bars(seed=3, symbols=3, sessions_count=18), 14
LAST = CUT + 1
HOUR = 3_600 * 10**9


class Strength(Strategy):
    """In where the close stands more than 0.5 % above its average, the strongest first."""

    policy = Policy(weighting="equal", threshold=0.005, max_names=1, funding="cash")

    def targets(self, bars: Bars) -> object:
        return bars.close / ta.sma(bars.close, 3) - 1.0


def trade(place: Place, *, until: int) -> None:
    """From the evening before session CUT to the evening of session `until`; a person halts it on the last."""

    async def main(clock: VirtualClock) -> None:
        feed = EmulatedFeed(
            Exchange(BarSource(BARS, start=int(BARS.days[CUT]), tick_seconds=120.0), seed=1), now=clock.now_ns
        )
        broker = PaperBroker(place.account, clock=clock, cash=100_000_000)
        hub = MarketHub(broker.watch(feed), clock, chance=seeded_random(1))
        deployment = Deployment(name="strength", strategy=Strength(), bars=BARS.slice(0, CUT), capital=100_000_000)
        hosted = Hosted(name=place.account, deployments=[deployment], broker=lambda _: broker, journal=place.where)
        host = Host([hosted], hub, clock, chance=seeded_random(2), owner="test",
                    settings=RunnerSettings(intake=600.0))  # fmt: skip
        end = session_clock(int(BARS.days[until])).close
        clock.call_at(end, lambda: leave_command(
            place.where, place.account, Command(end, "h", "halt", "kim", "enough", {"scope": "account"})
        ))  # fmt: skip
        await host.run(until=end + HOUR)
        assert host.supervisor.given_up == {}

    run_virtual(main, start=session_clock(int(BARS.days[CUT])).orders - HOUR)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def traded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    sqlite = request.param == "sqlite"
    place = Place(request.param, tmp_path_factory.mktemp("traded") if sqlite else request.getfixturevalue("postgres"))
    trade(place, until=LAST)
    with contextlib.closing(read_journal(place.where, place.account)) as reader:
        yield reader


def test_every_table_is_filled_and_follows_from_the_entries(traded: Reader) -> None:
    assert verify(traded).problems == ()
    rows = {table.name: traded.projection(table) for table in tables.PROJECTIONS}
    assert {name for name, found in rows.items() if not found} == {"external_orders"}  # nobody else traded
    assert {row["status"] for row in rows["orders"].values()} >= {"filled"}
    bought = {key[0] for key in rows["fills"]}
    assert bought <= {key[0] for key in rows["orders"]}
    held = {key[1]: row["quantity"] for key, row in rows["positions"].items() if key[0] == "strength"}
    for symbol, quantity in held.items():
        fills = [row for row in rows["fills"].values() if row["symbol"] == symbol]
        assert quantity == sum(row["quantity"] if row["side"] == "buy" else -row["quantity"] for row in fills)
    spent = sum((row["value"] if row["side"] == "buy" else -row["value"]) + row["commission"] + row["tax"]
                for row in rows["fills"].values())  # fmt: skip
    assert rows["cash"]["strength",]["cash"] == 100_000_000 - spent
    assert rows["strategy_state"]["strength",]["date"] == day_text(int(BARS.days[LAST]))
    assert rows["risk_state"]["account", ""]["mode"] == "halted"
    assert rows["deployments"]["",]["state"] == "ended"


def test_signals_stand_with_the_strength_names_were_chosen_by(traded: Reader) -> None:
    close = BARS.close
    average = (close[2:] + close[1:-1] + close[:-2]) / 3.0
    strength = {(symbol, row): close[row, s] / average[row - 2, s] - 1.0
                for s, symbol in enumerate(BARS.symbols) for row in range(2, len(BARS))}  # fmt: skip
    row_of = {session_clock(int(day)).close: row for row, day in enumerate(BARS.days)}
    before = dict.fromkeys(BARS.symbols, 0.0)
    signals = [one.entry for one in traded.read() if one.entry.kind is Kind.SIGNAL_RAISED]
    assert signals
    for entry in signals:
        given = entry.payload
        told = strength[given["symbol"], row_of[given["bar"]]]
        assert given["strength"] == pytest.approx(told, abs=1e-12)
        assert given["value"] == float(told >= 0.005) != before[given["symbol"]]
        before[given["symbol"]] = given["value"]
    stored = traded.projection(tables.signals)
    assert {(e.deployment, e.payload["symbol"], e.payload["bar"]): e.payload["strength"] for e in signals} == {
        key: row["strength"] for key, row in stored.items()
    }


def test_intents_carry_the_strength_too(traded: Reader) -> None:
    signals = {(key[1], key[2]): row["strength"] for key, row in traded.projection(tables.signals).items()}
    intents = [one.entry.payload["intent"] for one in traded.read() if one.entry.kind is Kind.ORDER_INITIALIZED]
    told = {(intent["symbol"], intent["bar"]): intent["strength"] for intent in intents}
    assert told
    for key in told.keys() & signals.keys():
        assert told[key] == signals[key]
