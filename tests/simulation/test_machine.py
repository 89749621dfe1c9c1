"""The first minutes of a session in any order of events: a state machine over the same world and the same judge."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from quantkit.emulator.faults import FaultKind, FaultPlan
from tests.simulation.crash_points import SCRIPT
from tests.simulation.scenario import Act, fault, short
from tests.simulation.world import SECOND, World

KINDS = [kind for kind in FaultKind if kind is not FaultKind.CLOCK_SKEW]
LONGEST = 40 * 60  # seconds; the session is at rest after that


class Session(RuleBasedStateMachine):
    """Time passes, things go wrong, people act; at the end all is quiet and must agree."""

    @initialize(seed=st.integers(0, 3), delivered=st.sampled_from([0.0, 1.0]))
    def begin(self, seed: int, delivered: float) -> None:
        self.world = World(short(seed, delivered=delivered))
        self.world.__enter__()
        self.world.start()
        self.begun = self.world.loop.now_ns()
        self.made = 0

    @property
    def early(self) -> bool:
        """Whether there is time left for what goes wrong now to be settled."""
        return self.world.loop.now_ns() < self.begun + LONGEST * SECOND

    def pass_time(self, seconds: float) -> None:
        self.world.run_until(self.world.loop.now_ns() + round(seconds * SECOND))

    @rule(seconds=st.sampled_from([0.01, 0.05, 1.0, 7.0, 30.0, 120.0]))
    def time_passes(self, seconds: float) -> None:
        self.pass_time(seconds)

    @rule()
    def the_market_opens(self) -> None:
        self.pass_time(max(0.0, (6 * 60 + 35) - (self.world.loop.now_ns() - self.begun) / SECOND))

    @precondition(lambda self: self.early)
    @rule(kinds=st.lists(st.sampled_from(KINDS), max_size=3), seed=st.integers(0, 99))
    def faults_change(self, kinds: list[FaultKind], seed: int) -> None:
        plan = FaultPlan([fault(kind, 0.4, until="23:00") for kind in kinds], seed=seed)
        self.use(plan)

    def use(self, plan: FaultPlan) -> None:
        self.world.faults = plan
        for link in [] if self.world.process is None else self.world.process.links:
            link.faults = plan

    @precondition(lambda self: self.early)
    @rule(down=st.sampled_from([0.1, 5.0, 200.0]))
    def the_process_dies(self, down: float) -> None:
        self.world.do(Act(0.0, "crash", {"down": down}))
        self.pass_time(0.001)

    @precondition(lambda self: self.early)
    @rule(draw=st.floats(0.0, 0.999))
    def others_trade(self, draw: float) -> None:
        self.world.do(Act(0.0, "trade", {"draw": draw}))

    @precondition(lambda self: self.early)
    @rule(act=st.sampled_from([act for act in SCRIPT.acts if act.given["name"] != "cancel"]))
    def a_person_trades(self, act: Act) -> None:
        self.command(act.given["name"], act.given["arguments"])

    @precondition(lambda self: self.early)
    @rule(
        name=st.sampled_from(["halt", "resume", "panic", "cancel", "order"]),
        mode=st.sampled_from(["halted", "reducing"]), cancel=st.booleans(), draw=st.floats(0.0, 0.999),
    )  # fmt: skip
    def a_person_decides(self, name: str, mode: str, cancel: bool, draw: float) -> None:
        arguments: dict[str, Any] = {"mode": mode, "cancel": cancel} if name == "halt" else {}
        self.command(name, arguments, draw)

    def command(self, name: str, arguments: dict[str, Any], draw: float = 0.0) -> None:
        self.made += 1
        given = {"name": name, "id": f"m{self.made}", "draw": draw, "arguments": arguments}
        self.world.do(Act(0.0, "command", given))

    @invariant()
    def nothing_is_broken(self) -> None:
        if hasattr(self, "world"):
            self.world.exchange.advance(self.world.loop.now_ns())
            self.world.judge.look(self.world.loop.now_ns())
            assert self.world.judge.broken == []

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        try:
            self.use(FaultPlan())
            self.pass_time(10 * 60)
            self.world.rest()
            assert self.world.judge.broken == []
        finally:
            self.world.__exit__(None, None, None)


HOW: dict[str, Any] = {"deadline": None, "derandomize": True, "suppress_health_check": list(HealthCheck)}


class TestSession(Session.TestCase):  # type: ignore[misc,name-defined]
    settings = settings(max_examples=5, stateful_step_count=12, **HOW)


@pytest.mark.slow
class TestManySessions(Session.TestCase):  # type: ignore[misc,name-defined]
    settings = settings(max_examples=150, stateful_step_count=30, **HOW)
