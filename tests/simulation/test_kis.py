"""The invariants hold where KIS's wire lies between the engine and the exchange, with everything that may go wrong on
it going wrong: no order lost, none doubled, none left unanswered that nobody was told of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from quantkit.emulator.faults import KEYS, Fault, FaultKind
from tests.simulation.crash_points import SCRIPT
from tests.simulation.kis_world import KisWorld, kis_world
from tests.simulation.scenario import STREAMS, WIRE, Scenario, drawn, drawn_short, fault, short

NEVER_ON_THE_WIRE = (
    FaultKind.CLOCK_SKEW, FaultKind.CANCEL_RACES_FILL, FaultKind.NOT_TAKEN_YET, FaultKind.FILL_FIRST
)  # fmt: skip
"""Kinds that are no event, or that depend on a cancel or a book."""


def everything(seed: int) -> Scenario:
    """Every kind of fault at once on all it may concern, those of the few notices and connections more often, and
    people who ask for things. Prices have to come through, or nobody trades: a name's morning is a request, and its
    bars are others; and a token costs a minute."""

    def rate(kind: FaultKind) -> float:
        if kind is FaultKind.TOKEN_REVOKED:
            return 0.003
        few = kind.startswith("notice") or kind in (FaultKind.FRAME_GARBAGE, FaultKind.SESSION_LINGERS)
        return 1.5 if kind in STREAMS else 0.4 if few else 0.03

    faults = [fault(kind, rate(kind), until="09:25") for kind in FaultKind if not kind.startswith("registration")]
    first = [(on, kind, 0.03 if on in KEYS else 0.003) for on, kind, _ in WIRE if on in (*KEYS, "register")]
    faults += [fault(kind, often, until="09:25", on=on) for on, kind, often in first]
    return short(seed, faults=tuple(faults), acts=SCRIPT.acts)


def played(scenario: Scenario, folder: Path, *, paper: bool = False) -> KisWorld:
    world = KisWorld(scenario, folder=folder, paper=paper)
    world.play()
    return world


def test_two_mornings_with_a_crash_and_a_weekend_between_break_nothing_over_kis(tmp_path: Path) -> None:
    scenario = replace(SCRIPT, acts=SCRIPT.acts[:3], points=(40,), end=9.1 * 3600, days=2)
    world = played(scenario, tmp_path)
    assert world.judge.broken == []
    assert (world.counts["crashes"], world.judge.kinds["RunEnded"]) == (1, 2)
    assert world.days[1] - world.days[0] == 3
    assert world.server.keys.issued == 2  # a token lives for a day
    numbers = [number for known in world.judge.orders.values() for number in known.numbers]
    assert len(set(numbers)) < len(numbers)  # KIS's begin anew each day
    assert world.judge.kinds["OrderFilled"] > 0


def test_a_cancel_that_comes_before_the_exchange_has_the_order_is_asked_for_again(tmp_path: Path) -> None:
    early = Fault(FaultKind.NOT_TAKEN_YET, probability=1.0, seconds=(3.0, 3.0))
    bid, cancel = SCRIPT.acts[:2]
    scenario = short(7, faults=(early,), acts=(bid, replace(cancel, at=bid.at)), end=9.1 * 3600)
    world = played(scenario, tmp_path)
    assert world.judge.broken == []
    assert world.judge.kinds["OrderCancelRejected"] > 0
    assert world.judge.orders["manual:b1"].end == "canceled"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 9))
def test_the_invariants_hold_in_the_first_minutes_over_kis(seed: int, tmp_path: Path) -> None:
    world = kis_world(drawn_short(seed), tmp_path)
    world.play()
    assert world.judge.broken == [], f"play it again with: python -m tests.simulation --kis --quick --seed {seed}"


@pytest.mark.slow
@pytest.mark.parametrize("seed", [3, 5, 10])  # a calm day, three stormy ones, 모의투자 with failing lists
def test_the_invariants_hold_in_whole_sessions_over_kis(seed: int, tmp_path: Path) -> None:
    world = KisWorld(drawn(seed), folder=tmp_path, paper=seed == 10)
    world.play()
    assert world.judge.broken == [], f"play it again with: python -m tests.simulation --kis --seed {seed}"
    assert world.judge.kinds["BarFolded"] > 100


@pytest.mark.slow
@pytest.mark.parametrize("paper", [False, True])
def test_with_every_fault_on_no_order_is_lost_or_doubled(tmp_path: Path, *, paper: bool) -> None:
    world = played(everything(5), tmp_path, paper=paper)
    assert world.judge.broken == []
    assert {kind for kind in FaultKind if not world.faults.injected[kind]} <= set(NEVER_ON_THE_WIRE)
    assert {"token", "approval", "connect", "register", "session"} <= set(world.faults.struck)
    assert world.counts["orders"] > 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(FaultKind))
def test_each_kind_of_fault_alone_breaks_nothing_over_kis(kind: FaultKind, tmp_path: Path) -> None:
    world = played(short(3, faults=(fault(kind, 0.5, until="09:25"),), acts=SCRIPT.acts), tmp_path)
    assert world.judge.broken == []
