"""What happens in a simulated session, drawn from its seed as data: faults, crashes, commands, money, others' orders.

A scenario holds all that chance decides; the world has none of its own. Times are seconds after midnight in Seoul.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

from quantkit.emulator.faults import CONCERNS, KEYS, Fault, FaultKind

START, END = 7.8 * 3600, 16.25 * 3600
FAULTS_END = "15:45"
STREAMS = (FaultKind.SOCKET_STALL, FaultKind.SOCKET_DROP, FaultKind.SOCKET_SILENT)
LATEST = (
    FaultKind.TOKEN_REVOKED, FaultKind.SESSION_LINGERS, FaultKind.REGISTRATION_REFUSED,
    FaultKind.REGISTRATION_DUPLICATED, FaultKind.NOT_TAKEN_YET,
)  # fmt: skip
NEWER = (FaultKind.FRAME_GARBAGE, FaultKind.SOCKET_SILENT)
WIRE = (
    *((name, kind, 0.5) for name, kind in product(KEYS, FaultKind) if name in CONCERNS[kind]),
    *(("register", kind, 0.05) for kind in FaultKind if "register" in CONCERNS[kind]),
    ("session", FaultKind.SESSION_LINGERS, 5.0),
    ("", FaultKind.TOKEN_REVOKED, 0.1),
    ("", FaultKind.NOT_TAKEN_YET, 3.0),
)
"""What goes wrong on KIS's wire, all but the last two there alone: on what, the kind, and how often. A token costs a
minute, and a session has 41 registrations. They are drawn after everything else of a seed, as `NEWER` are, so that what
was drawn before stays."""
DEPLOYMENTS = ("daily", "minute", "resting")
_SPANS: dict[FaultKind, tuple[float, float]] = {
    FaultKind.REQUEST_LATE: (0.5, 12.0), FaultKind.ANSWER_LATE: (0.5, 12.0), FaultKind.NOTICE_REORDERED: (0.5, 5.0),
    FaultKind.NOTICE_LATE: (0.5, 20.0), FaultKind.FILL_FIRST: (0.2, 2.0), FaultKind.LIST_LAGS: (1.0, 90.0),
    FaultKind.STALE_SNAPSHOT: (1.0, 60.0), FaultKind.SOCKET_STALL: (5.0, 60.0), FaultKind.CLOCK_SKEW: (-0.4, 0.4),
    FaultKind.SOCKET_SILENT: (5.0, 200.0), FaultKind.SESSION_LINGERS: (1.0, 60.0),
    FaultKind.NOT_TAKEN_YET: (0.3, 120.0),
}  # fmt: skip


@dataclass(frozen=True)
class Act:
    """Something that people, others or bad luck do at a time."""

    at: float
    what: str  # "crash", "command", "trade", "deposit", "restart"
    given: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Scenario:
    """A session, or several: crashes come every day, what people do on the first. points: counts of moments of the
    process at which it dies; stored: the journal is a file."""

    seed: int
    faults: tuple[Fault, ...] = ()
    acts: tuple[Act, ...] = ()
    points: tuple[int, ...] = ()
    stored: bool = False
    days: int = 1
    delivered: float = 0.5  # how likely what a dying process has just sent arrives
    begin: float = START
    end: float = END
    alone: bool = False  # the daily rule alone


def calm(seed: int, **more: Any) -> Scenario:
    """A session in which nothing goes wrong."""
    return Scenario(seed, **more)


def short(seed: int, **more: Any) -> Scenario:
    """The first minutes of a session with the daily rule alone: cheap enough for hundreds of them."""
    return Scenario(seed, **{"begin": 8.9 * 3600, "end": 9.7 * 3600, "alone": True, **more})


def fault(kind: FaultKind, rate: float, *, until: str = FAULTS_END, on: str = "") -> Fault:
    """A fault of a kind until a time of day; streams are asked every step, so they break less often."""
    probability = 0.0 if kind is FaultKind.CLOCK_SKEW else rate / 100 if kind in STREAMS else rate
    return Fault(
        kind, on=(on,) if on else (), probability=min(1.0, probability), seconds=_SPANS.get(kind, (1.0, 1.0)),
        until=until,
    )  # fmt: skip


def drawn_short(seed: int) -> Scenario:
    """The session of a seed, pressed into half an hour: more goes wrong in it a minute."""
    whole = drawn(seed)
    acts = tuple(replace(act, at=8.92 * 3600 + (act.at - 8.0 * 3600) / 15) for act in whole.acts)
    faults = tuple(replace(each, until="09:35", probability=min(1.0, 1.5 * each.probability)) for each in whole.faults)
    points = tuple(1 + point % 300 for point in whole.points)
    return short(seed, faults=faults, acts=acts, points=points, stored=whole.stored, delivered=whole.delivered)


def drawn(seed: int) -> Scenario:
    """The session of a seed: some kinds of faults at some rates, and whatever else."""
    rng = random.Random(f"session {seed}")
    level = rng.choice([0.0, 0.01, 0.03, 0.1])

    def some(kinds: Iterable[tuple[str, FaultKind, float]]) -> tuple[Fault, ...]:
        return tuple(
            fault(kind, level * often * rng.uniform(0.2, 2.0), on=on)
            for on, kind, often in kinds
            if level and rng.random() < 0.6
        )

    faults = some(("", kind, 1.0) for kind in FaultKind if kind not in (*NEWER, *LATEST))
    crashes = rng.choice([0, 0, 1, 1, 2, 3])
    acts = [
        Act(rng.uniform(8.0 * 3600, 15.6 * 3600), "crash", {"down": _spread(rng, 0.1, 900.0)}) for _ in range(crashes)
    ]
    for number in range(rng.choice([0, 0, 2, 4, 8])):
        acts += _command(rng, number)
    for _ in range(rng.choice([0, 0, 1, 3])):
        acts.append(Act(rng.uniform(8.6 * 3600, 15.4 * 3600), "trade", {"draw": rng.random()}))
    if rng.random() < 0.2:
        acts.append(Act(rng.uniform(8.2 * 3600, 15.0 * 3600), "deposit", {"amount": rng.randrange(10**5, 10**7)}))
    points = sorted(rng.randrange(1, 4_000) for _ in range(rng.choice([0, 0, 1, 2])))
    delivered = rng.random()
    last = (*some(("", kind, 1.0) for kind in NEWER), *some(WIRE))
    return Scenario(
        seed, faults + last, tuple(sorted(acts, key=lambda act: act.at)), tuple(points), stored=seed % 20 == 0,
        days=3 if seed % 10 == 5 else 1, delivered=delivered,
    )  # fmt: skip


def _spread(rng: random.Random, low: float, high: float) -> float:
    """A number between the two, small ones as likely as large ones."""
    return low * (high / low) ** rng.random()


def _command(rng: random.Random, number: int) -> list[Act]:
    """A command, and what undoes it later."""
    at = rng.uniform(8.1 * 3600, 15.5 * 3600)
    later = at + rng.uniform(60.0, 3_600.0)
    account = rng.random() < 0.5
    scope = {"scope": "account"} if account else {"scope": "deployment", "name": rng.choice(DEPLOYMENTS)}
    name = rng.choice(["halt", "halt", "flatten", "order", "order", "cancel", "cancel", "panic", "stop"])
    given: dict[str, Any] = {"name": name, "id": f"c{number}", "draw": rng.random(), "arguments": {}}
    back = Act(later, "command", {"name": "resume", "id": f"r{number}", "draw": 0.0, "arguments": scope})
    match name:
        case "halt":
            given["arguments"] = {**scope, "mode": rng.choice(["halted", "reducing"]), "cancel": rng.random() < 0.5}
            return [Act(at, "command", given), back]
        case "flatten":
            given["arguments"] = scope
            return [Act(at, "command", given), back]
        case "panic":
            back.given["arguments"] = {"scope": "account"}
            return [Act(at, "command", given), back]
        case "stop":
            return [Act(at, "command", given), Act(min(later, 16 * 3600.0), "restart")]  # up again by the end
        case _:
            return [Act(at, "command", given)]
