"""Sessions under faults: the invariants hold, a seed writes one journal, and the judge finds what is broken."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from quantkit.emulator.faults import FaultKind
from quantkit.trading.events import Entry, Kind
from tests.simulation.crash_points import SCRIPT, killed_at, points_of
from tests.simulation.judge import Judge
from tests.simulation.scenario import LATEST, Scenario, drawn, drawn_short, fault, short
from tests.simulation.world import World

FEW = 5
CRASHES = 10  # of the points of the script, evenly


def played(scenario: Scenario, folder: Path) -> World:
    world = World(scenario, folder=folder)
    world.play()
    return world


@pytest.mark.parametrize("seed", range(1, FEW + 1))
def test_the_invariants_hold_in_the_first_minutes(seed: int, tmp_path: Path) -> None:
    world = played(drawn_short(seed), tmp_path)
    assert world.judge.broken == [], f"replay it with: python -m tests.simulation --quick --seed {seed}"
    assert world.judge.kinds["RunEnded"] > 0


@pytest.mark.parametrize("seed", [18, 20, 25])  # money paid in: beside roundings, with a stored journal, at the start
def test_the_invariants_hold_where_they_once_did_not(seed: int, tmp_path: Path) -> None:
    assert played(drawn_short(seed), tmp_path).judge.broken == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 13))
def test_the_invariants_hold_in_whole_sessions(seed: int, tmp_path: Path) -> None:
    world = played(drawn(seed), tmp_path)
    assert world.judge.broken == [], f"replay it with: python -m tests.simulation --seed {seed}"
    assert world.judge.kinds["BarFolded"] > 100


@pytest.mark.parametrize("kind", list(FaultKind))
def test_each_kind_of_fault_alone_breaks_nothing(kind: FaultKind, tmp_path: Path) -> None:
    world = played(short(3, faults=(fault(kind, 0.5, until="09:25"),), acts=SCRIPT.acts), tmp_path)
    assert world.judge.broken == []
    not_here = (FaultKind.CLOCK_SKEW, FaultKind.CANCEL_RACES_FILL, *LATEST)
    assert world.faults.injected[kind] > 0 or kind in not_here


def test_the_same_seed_writes_the_same_journal_to_the_byte(tmp_path: Path) -> None:
    scenario = replace(drawn_short(11), stored=False)
    journals = []
    for _ in range(2):
        world = played(scenario, tmp_path)
        journals.append([repr(one).encode() for one in world.records()])
    assert journals[0] == journals[1]
    assert len(journals[0]) > 50


def test_killed_at_points_of_a_day_it_goes_on() -> None:
    total = points_of(SCRIPT)
    assert {"before an append", "after an append", "before Submit", "after Submit", "before CancelOrder",
            "after CancelOrder", "before Look", "before Wake", "the answer of a submit"} <= set(total)  # fmt: skip
    for point in range(1, len(total) + 1, len(total) // CRASHES):
        assert killed_at(SCRIPT, point) == [], f"point {point}, {total[point - 1]}"


@pytest.mark.slow
def test_killed_at_every_point_it_goes_on() -> None:
    total = points_of(SCRIPT)
    broken = {point: killed_at(SCRIPT, point) for point in range(1, len(total) + 1)}
    assert {point: what for point, what in broken.items() if what} == {}


def test_the_script_has_a_buy_a_part_a_cancel_a_stop_and_a_flatten() -> None:
    world = World(SCRIPT)
    world.play()
    rules = {known.id.partition(":")[0] for known in world.judge.orders.values()}
    assert {"daily", "manual", "f1"} <= rules
    for kind in (Kind.ORDER_PARTIALLY_FILLED, Kind.ORDER_FILLED, Kind.ORDER_CANCELED, Kind.ORDER_TRIGGERED):
        assert world.judge.kinds[kind.value] > 0


# --- the judge --------------------------------------------------------------------------------------------------------


def test_the_judge_finds_what_the_exchange_has_and_the_journal_lacks(tmp_path: Path) -> None:
    world = World(short(1))
    judge = world.judge
    world.exchange.desk.accounts["sim"].shares["000010"] = 5
    judge.at_rest()
    world.exchange.desk.accounts["sim"].settled -= 1
    judge.at_rest()
    world.loop.close()
    assert [each[:2] for each in judge.broken] == ["I2", "I2", "I2"]


def test_what_others_bought_while_the_account_was_asked_is_no_deposit() -> None:
    world = World(short(1))
    account = world.exchange.desk.accounts["sim"]
    asked = Entry(Kind.ACCOUNT_STATE, 0, {"first": True, "positions": {}, "cash": [0, 0, account.total, 0]})
    account.settled -= 400_000
    world.judge.heard([asked])
    bought = {"number": "1", "symbol": "000010", "side": "buy", "quantity": 4, "filled": 4, "value": 400_000,
              "policy": "tolerate", "moves": True, "costs": 0}  # fmt: skip
    account.shares["000010"] = 4
    world.judge.heard([Entry(Kind.EXTERNAL_ORDER_ADOPTED, 0, bought)])
    world.judge.at_rest()
    world.judge.deposit(5_000_000)
    account.settled += 5_000_000
    world.judge.heard([asked, Entry(Kind.EXTERNAL_ORDER_ADOPTED, 1, bought | {"number": "2", "filled": 0, "value": 0})])
    world.loop.close()
    assert (world.judge.broken, world.judge.given) == ([], 5_000_000)


def test_the_judge_finds_orders_after_a_halt_and_a_second_send() -> None:
    world = World(short(1))
    judge: Judge = world.judge
    intent = {"symbol": "000010", "side": "buy", "deployment": "daily"}
    judge.heard([Entry(Kind.ORDER_INITIALIZED, 0, {"intent": intent}, order="a")])
    halted = {"scope": "account", "name": "sim", "mode": "halted", "reason": "", "by": ""}
    judge.heard([Entry(Kind.RISK_STATE_CHANGED, 0, halted)])
    sent = Entry(Kind.ORDER_SUBMITTING, 0, {"quantity": 3, "price": None}, order="a")
    judge.heard([sent, sent])
    world.loop.close()
    assert [each[:2] for each in judge.broken] == ["I5", "I1", "I5"]
