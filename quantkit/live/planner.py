"""Which names a feed streams and which are asked for: a plan that says how old each name's bar will be.

Contract: pure. A feed has so many slots (None: as many as wanted). They go to the lowest priority first: 0 for names
with open orders or positions, whose stops must be watched, then the universe in its order. The rest is asked for after
each bar's edge; the last of them is as old as all the requests take. Where the feed has snapshots, `at_once` names a
request, the rest is sampled: its bars are given on what snapshots tell and corrected by one chart a name, and the
charts of one bar must be read before the next one ends. Else it is polled: one chart a name before the bar is given.
A universe whose bars would not be complete within 20 % of their length is refused: fewer names, longer bars, or a feed
with more slots.

>>> print(plan([Want("A"), Want("B"), Want("C")], length=60.0, slots=2, requests_per_second=2.0).text())
2 names streamed, bars 1.5 s old; 1 asked for, up to 2.0 s old
  C  2.0 s
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from quantkit.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

HELD: Final = 0
UNIVERSE: Final = 1
SHARE: Final = 0.2  # of a bar's length that its age may take


@dataclass(frozen=True, slots=True)
class Want:
    """A name that somebody needs."""

    symbol: str
    priority: int = UNIVERSE


@dataclass(frozen=True, slots=True)
class Plan:
    """How names are served; `ages` are seconds from a bar's end to its being complete."""

    streamed: tuple[str, ...]
    polled: tuple[str, ...]
    ages: dict[str, float]
    sampled: tuple[str, ...] = ()

    @property
    def fed(self) -> tuple[str, ...]:
        """What the feed is asked for: names it streams, then names it takes snapshots of."""
        return self.streamed + self.sampled

    def text(self) -> str:
        """For a person, before the session."""
        oldest = max((self.ages[name] for name in self.streamed), default=0.0)
        lines = [f"{len(self.streamed)} names streamed, bars {oldest:.1f} s old"]
        for names, how in ((self.sampled, "by snapshots"), (self.polled, "asked for")):
            if names:
                lines[0] += f"; {len(names)} {how}, up to {self.ages[names[-1]]:.1f} s old"
        return "\n".join([*lines, *(f"  {name}  {self.ages[name]:.1f} s" for name in self.sampled + self.polled)])


def plan(
    wanted: Sequence[Want],
    *,
    length: float,
    slots: int | None = None,
    requests_per_second: float = 1.0,
    grace: float = 1.5,
    at_once: int = 0,
) -> Plan:
    """Serve every name once. `length`: seconds of the shortest bar; `at_once`: names that a snapshot tells, 0: there
    are none. ConfigError where bars would be too old, or corrected too late."""
    best: dict[str, int] = {}
    for want in wanted:
        best[want.symbol] = min(want.priority, best.get(want.symbol, want.priority))
    ordered = sorted(best, key=best.__getitem__)  # stable: the universe keeps its order
    cut = len(ordered) if slots is None else slots
    streamed, rest = tuple(ordered[:cut]), tuple(ordered[cut:])
    ages = dict.fromkeys(streamed, grace)
    ages |= {name: grace + (place // max(1, at_once) + 1) / requests_per_second for place, name in enumerate(rest)}
    most = SHARE * length
    late = [name for name in ordered if ages[name] > most]
    if late:
        raise ConfigError(
            f"{len(late)} of {len(ordered)} names would have bars older than {most:.1f} s, 20 % of {length:g} s,"
            f" the first {late[0]} with {ages[late[0]]:.1f} s: the feed streams {len(streamed)} names and answers"
            f" {requests_per_second:g} requests a second; take fewer names or longer bars"
        )
    if at_once and len(rest) > length * requests_per_second:
        raise ConfigError(
            f"{len(rest)} of {len(ordered)} names would be told by snapshots, and the charts that correct them take"
            f" {len(rest) / requests_per_second:.1f} s a bar of {length:g} s, at {requests_per_second:g} requests a"
            " second; take fewer names or longer bars"
        )
    return Plan(streamed, (), ages, rest) if at_once else Plan(streamed, rest, ages)
