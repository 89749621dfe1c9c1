"""The kill switch: who may trade, as latches that only a person opens again.

    RUNNING    everything that the gates allow
    REDUCING   only what takes risk away
    FLATTEN    as REDUCING, and the engine cancels and sells what is held
    HALTED     nothing but cancels

Contract: pure. `Switches` is a value; every change is a journal entry RiskStateChanged, and `fold_switches` of those
entries is the state, so a restart finds the switch as it was. A latch stands for a scope (all accounts, a user, an
account, a deployment, a name) and the strictest one counts. Rules, watchdogs and files may only tighten a latch; to
loosen or clear one takes a person and a reason. Two kinds clear themselves: a daily loss lifts with the next session,
as in the fold, and a difference to the broker that was seen before the day's morning once both agree, since a morning
may explain it. Times are UTC nanoseconds.
Called by the engine (commands, rules, watchdogs), by recovery, and by the gates, which read `Modes`.

>>> state, _ = change(Switches(), Scope.ACCOUNT, "first", Mode.HALTED, reason="stop", by=person("min"), time=0)
>>> state.modes(account="first").strictest
<Mode.HALTED: 'halted'>
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from quantkit.errors import BadData, Refused
from quantkit.trading.events import Entry, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

ALL: Final = "*"  # the name of the one latch of scope GLOBAL
SESSION: Final = "session"  # a latch that the next session lifts
AGREED: Final = "agreed"  # one that the rule lifts which turned it


class Mode(StrEnum):
    """What may be sent."""

    RUNNING = "running"
    REDUCING = "reducing"
    FLATTEN = "flatten"
    HALTED = "halted"

    @property
    def severity(self) -> int:
        """0 for RUNNING, more for stricter."""
        return _SEVERITY[self]


_SEVERITY: Final = {mode: place for place, mode in enumerate(Mode)}


class Scope(StrEnum):
    """What a latch holds back."""

    GLOBAL = "global"
    USER = "user"
    ACCOUNT = "account"
    DEPLOYMENT = "deployment"
    SYMBOL = "symbol"


class Modes(NamedTuple):
    """The mode of each scope that an order stands in."""

    everywhere: Mode
    user: Mode
    account: Mode
    deployment: Mode
    symbol: Mode = Mode.RUNNING

    @property
    def strictest(self) -> Mode:
        """The mode that counts."""
        return max(self, key=_SEVERITY.__getitem__)

    @property
    def scope(self) -> Scope:
        """Whose mode that is, the widest scope first."""
        return list(Scope)[self.index(self.strictest)]


FREE: Final = Modes(Mode.RUNNING, Mode.RUNNING, Mode.RUNNING, Mode.RUNNING)


@dataclass(frozen=True, slots=True)
class By:
    """Who turned the switch: `origin` is "person", "rule", "watchdog" or "file"."""

    origin: str
    name: str

    def __post_init__(self) -> None:
        if self.origin not in ("person", "rule", "watchdog", "file") or not self.name.strip():
            raise BadData(f"By({self.origin!r}, {self.name!r}): expected person, rule, watchdog or file, and a name")

    def __str__(self) -> str:
        return f"{self.origin} {self.name}"


def person(name: str) -> By:
    """A human being."""
    return By("person", name)


def rule(code: str) -> By:
    """A gate or another rule, by its code."""
    return By("rule", code)


def who(text: str) -> By:
    """Who stands behind a command, by its `by`: "watchdog ..." and "file ..." are no persons."""
    origin, _, name = text.partition(" ")
    return By(origin, name) if origin in ("watchdog", "file", "rule") and name.strip() else person(text)


@dataclass(frozen=True, slots=True)
class Latch:
    """A switch that is not RUNNING. `lifts` is SESSION where the next session clears it, AGREED where the rule that
    turned it does as soon as what differed agrees."""

    mode: Mode
    reason: str
    by: str
    since: int
    lifts: str = ""


@dataclass(frozen=True, slots=True)
class Switches:
    """All latches that are set, by (scope, name). What is not here is RUNNING."""

    latches: Mapping[tuple[Scope, str], Latch] = field(default_factory=dict)

    def mode(self, scope: Scope, name: str = ALL) -> Mode:
        """The mode of one scope, itself alone."""
        latch = self.latches.get((scope, name))
        return Mode.RUNNING if latch is None else latch.mode

    def modes(self, *, user: str = "", account: str = "", deployment: str = "", symbol: str = "") -> Modes:
        """What the gates read for an order."""
        if not self.latches:
            return FREE
        return Modes(
            self.mode(Scope.GLOBAL), self.mode(Scope.USER, user), self.mode(Scope.ACCOUNT, account),
            self.mode(Scope.DEPLOYMENT, deployment), self.mode(Scope.SYMBOL, symbol),
        )  # fmt: skip

    def to_json(self) -> list[dict[str, Any]]:
        """JSON's own types, for a snapshot of the engine."""
        return [
            {"scope": scope.value, "name": name, "mode": latch.mode.value, "reason": latch.reason, "by": latch.by,
             "since": latch.since, "lifts": latch.lifts}
            for (scope, name), latch in sorted(self.latches.items())
        ]  # fmt: skip

    @classmethod
    def from_json(cls, rows: list[dict[str, Any]]) -> Switches:
        """What `to_json` wrote."""
        return cls({
            (Scope(row["scope"]), row["name"]):
                Latch(Mode(row["mode"]), row["reason"], row["by"], row["since"], row["lifts"])
            for row in rows
        })  # fmt: skip


def change(
    state: Switches, scope: Scope, name: str, mode: Mode, *, reason: str, by: By, time: int, lifts: str = ""
) -> tuple[Switches, list[Entry]]:
    """The switch after somebody turned it, and the entries to journal; none where nothing changes.

    A tighter latch replaces a looser one. Refused: RISK_NEEDS_PERSON where anybody but a person loosens or clears a
    latch, RISK_NEEDS_REASON without a reason.
    """
    if not reason.strip():
        raise Refused("RISK_NEEDS_REASON", f"{scope} {name} to {mode}: say why")
    before = state.latches.get((scope, name))
    now = Mode.RUNNING if before is None else before.mode
    if by.origin != "person":
        if mode is Mode.RUNNING and before is not None:
            raise Refused("RISK_NEEDS_PERSON", f"{scope} {name} is {now}, and {by} may not clear that")
        if mode.severity < now.severity:
            return state, []
    for_good = before is not None and bool(before.lifts) and not lifts  # what would have lifted by itself
    if mode is now and not for_good:
        return state, []
    payload = {"scope": scope.value, "name": name, "mode": mode.value, "reason": reason, "by": str(by), "lifts": lifts}
    entry = Entry(Kind.RISK_STATE_CHANGED, time, payload, deployment=name if scope is Scope.DEPLOYMENT else None)
    return fold_switches(state, entry), [entry]


def next_session(state: Switches, time: int) -> tuple[Switches, list[Entry]]:
    """The switch on a new trading day: latches of the day before that were to last that day are lifted."""
    entries = [
        _lifted(scope, name, f"a new session lifts: {latch.reason}", "session", time)
        for (scope, name), latch in sorted(state.latches.items()) if latch.lifts == SESSION
    ]  # fmt: skip
    for entry in entries:
        state = fold_switches(state, entry)
    return state, entries


def agrees(state: Switches, scope: Scope, name: str, *, by: By, time: int) -> tuple[Switches, list[Entry]]:
    """The switch once what differed agrees: a latch that this rule turned until then is lifted."""
    latch = state.latches.get((scope, name))
    if latch is None or latch.lifts != AGREED or latch.by != str(by):
        return state, []
    entry = _lifted(scope, name, f"it agrees now: {latch.reason}", latch.by, time)
    return fold_switches(state, entry), [entry]


def _lifted(scope: Scope, name: str, reason: str, by: str, time: int) -> Entry:
    payload = {
        "scope": scope.value, "name": name, "mode": Mode.RUNNING.value, "by": by, "lifts": "", "reason": reason
    }  # fmt: skip
    return Entry(Kind.RISK_STATE_CHANGED, time, payload, deployment=name if scope is Scope.DEPLOYMENT else None)


def fold_switches(state: Switches, entry: Entry) -> Switches:
    """The switch after a journal entry; entries of other kinds change nothing."""
    if entry.kind is not Kind.RISK_STATE_CHANGED:
        return state
    given = entry.payload
    key = (Scope(given["scope"]), given.get("name", ALL))
    latches = dict(state.latches)
    latches.pop(key, None)
    mode = Mode(given["mode"])
    if mode is not Mode.RUNNING:
        latches[key] = Latch(mode, given["reason"], given["by"], entry.time, given.get("lifts", ""))
    return Switches(latches)
