"""Which names a feed streams and which are asked for: a plan that says how old each name's bar will be.

Contract: pure. A feed has so many slots (None: as many as wanted). They go to the lowest priority first: 0 for names
with open orders or positions, whose stops must be watched, then the universe in its order. The rest is asked for after
each bar's edge, one request a name; the last of them is as old as all the requests take. A universe whose bars would
not be complete within 20 % of their length is refused: fewer names, longer bars, or a feed with more slots.

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

    def text(self) -> str:
        """For a person, before the session."""
        oldest = max((self.ages[name] for name in self.streamed), default=0.0)
        lines = [f"{len(self.streamed)} names streamed, bars {oldest:.1f} s old"]
        if self.polled:
            lines[0] += f"; {len(self.polled)} asked for, up to {self.ages[self.polled[-1]]:.1f} s old"
        return "\n".join([*lines, *(f"  {name}  {self.ages[name]:.1f} s" for name in self.polled)])


def plan(
    wanted: Sequence[Want],
    *,
    length: float,
    slots: int | None = None,
    requests_per_second: float = 1.0,
    grace: float = 1.5,
) -> Plan:
    """Serve every name once. `length`: seconds of the shortest bar. ConfigError where bars would be too old."""
    best: dict[str, int] = {}
    for want in wanted:
        best[want.symbol] = min(want.priority, best.get(want.symbol, want.priority))
    ordered = sorted(best, key=best.__getitem__)  # stable: the universe keeps its order
    cut = len(ordered) if slots is None else slots
    streamed, polled = tuple(ordered[:cut]), tuple(ordered[cut:])
    ages = dict.fromkeys(streamed, grace)
    ages |= {name: grace + (place + 1) / requests_per_second for place, name in enumerate(polled)}
    most = SHARE * length
    late = [name for name in ordered if ages[name] > most]
    if late:
        raise ConfigError(
            f"{len(late)} of {len(ordered)} names would have bars older than {most:.1f} s, 20 % of {length:g} s,"
            f" the first {late[0]} with {ages[late[0]]:.1f} s: the feed streams {len(streamed)} names and answers"
            f" {requests_per_second:g} requests a second; take fewer names or longer bars"
        )
    return Plan(streamed, polled, ages)
