"""Play seeds and say what was found.

    python -m tests.simulation --seeds 500            seeds 1 to 500, on all processors
    python -m tests.simulation --first 251 --seeds 250   where a run was stopped: counts of runs add up
    python -m tests.simulation --seed 7               one seed, with what happened in it
    python -m tests.simulation --quick --seeds 500    half an hour of each, one strategy
    python -m tests.simulation --kis --seeds 50       whole sessions over KIS's wire, on real sockets
    python -m tests.simulation --kis --quick --seeds 50   half an hour of each over it
    python -m tests.simulation --points               a short session, killed at every point of the process

Exit 1 where an invariant is broken; the seeds concerned are printed with the command that replays each.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import repeat
from pathlib import Path
from typing import NamedTuple

from tests.simulation.crash_points import SCRIPT, killed_at, points_of
from tests.simulation.kis_world import kis_world
from tests.simulation.scenario import drawn, drawn_short
from tests.simulation.world import World

CHUNK = 5
TOLD = 25  # seeds between two lines of what was played so far


class How(NamedTuple):
    """Options of what is played."""

    kis: bool = False
    quick: bool = False


@dataclass
class Played:
    """What one seed came to."""

    seed: int
    days: int
    broken: list[str]
    head: str
    counts: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    struck: Counter[str] = field(default_factory=Counter)  # what the faults concerned
    outcomes: Counter[str] = field(default_factory=Counter)


def played(seed: int, how: How) -> Played:
    """One seed from beginning to end; an error counts as broken."""
    scenario = drawn_short(seed) if how.quick else drawn(seed)
    with tempfile.TemporaryDirectory() as folder:
        world = kis_world(scenario, Path(folder)) if how.kis else World(scenario, folder=Path(folder))
        try:
            broken = world.play().broken
            head = world.head()
        except Exception as error:  # noqa: BLE001 - whatever it is, this seed found it
            broken, head = [f"error: {error!r}"], ""
    found = Played(seed, scenario.days, broken, head, world.counts, outcomes=world.judge.outcomes())
    found.struck.update(world.faults.struck)
    found.faults.update({str(kind): count for kind, count in world.faults.injected.items()})
    return found


def _several(seeds: Iterable[int], how: How) -> list[Played]:
    found = []
    for seed in seeds:
        found.append(played(seed, how))
        gc.collect()
    return found


def play(seeds: list[int], workers: int, how: How) -> Iterator[Played]:
    """Seeds in processes, in their order."""
    chunks = [seeds[k : k + CHUNK] for k in range(0, len(seeds), CHUNK)]
    if workers == 1:
        for chunk in chunks:
            yield from _several(chunk, how)
        return
    with ProcessPoolExecutor(workers) as pool:
        for found in pool.map(_several, chunks, repeat(how)):
            yield from found


def report(found: list[Played], seconds: float) -> str:
    """The figures of all seeds."""
    counts, faults, struck, outcomes = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
    for each in found:
        counts += each.counts
        faults += each.faults
        struck += each.struck
        outcomes += each.outcomes
    days = sum(each.days for each in found)
    broken = [each for each in found if each.broken]
    lines = [
        f"seeds                {len(found)}",
        f"simulated days       {days} in {seconds:.0f} s, {days / seconds:.2f} a second",
        *(f"{name:<20} {counts[name]}" for name in sorted(counts)),
        f"faults injected      {faults.total()}",
        *(f"    {name:<20} {count}" for name, count in sorted(faults.items())),
        "    on                   " + ", ".join(f"{name} {count}" for name, count in sorted(struck.items())),
        *_outcomes(outcomes),
        f"invariants broken    {sum(len(each.broken) for each in broken)}",
    ]
    return "\n".join(lines)


def _outcomes(counts: Counter[str]) -> list[str]:
    """What nobody knew the outcome of, and what became of it; orders lost and doubled."""

    def parts(kind: str) -> list[str]:
        return [f"    {name.removeprefix(kind):<20} {counts[name]}" for name in sorted(counts) if name.startswith(kind)]

    return [
        f"unknown outcomes     {counts['met']}",
        *parts("met: "),
        f"resolved             {sum(count for name, count in counts.items() if name.startswith('by: '))}",
        *parts("by: "),
        f"handed to operator   {counts['handed']}",
        f"neither              {counts['neither']}",
        f"orders lost          {counts['lost']}",
        f"orders doubled       {counts['doubled']}",
    ]


def _progress(found: list[Played], last: int, first: int) -> str:
    """What was played so far, in one line: figures of runs that were stopped add up."""
    outcomes = sum((each.outcomes for each in found), Counter[str]())
    told = {
        "days": sum(each.days for each in found), "orders": sum(each.counts["orders"] for each in found),
        "faults": sum(each.faults.total() for each in found), "unknown": outcomes["met"],
        **{name: outcomes[name] for name in ("handed", "neither", "lost", "doubled")},
        "broken": sum(len(each.broken) for each in found),
    }  # fmt: skip
    done = found[-1].seed
    more = "" if done == last else f"; the rest: --first {done + 1} --seeds {last - done}"
    return f"seeds {first} to {done}: {', '.join(f'{name} {count}' for name, count in told.items())}{more}"


def _tell(each: Played, how: How) -> None:
    option = "".join(f" --{name}" for name, given in how._asdict().items() if given)
    for what in each.broken:
        print(f"seed {each.seed}: {what}")
    if each.broken:
        print(f"    replay it with: python -m tests.simulation{option} --seed {each.seed}", flush=True)


def _points() -> int:
    total, broken = points_of(SCRIPT), 0
    for point, kind in enumerate(total, 1):
        for what in killed_at(SCRIPT, point):
            broken += 1
            print(f"killed at point {point}, {kind}: {what}", flush=True)
    print(f"crash points         {len(total)}")
    for kind, count in sorted(Counter(total).items()):
        print(f"    {kind:<24} {count}")
    print(f"invariants broken    {broken}")
    return int(broken > 0)


def _one(seed: int, how: How) -> int:
    scenario = drawn_short(seed) if how.quick else drawn(seed)
    print(replace(scenario, acts=()))
    for act in scenario.acts:
        print(f"    {int(act.at // 3600):02}:{int(act.at % 3600 // 60):02}:{act.at % 60:06.3f} {act.what} {act.given}")
    begun = time.perf_counter()
    found = played(seed, how)
    _tell(found, how)
    print(report([found], time.perf_counter() - begun))
    print(f"journal head         {found.head}")
    return int(bool(found.broken))


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description="Sessions under faults.")
    parser.add_argument("--seeds", type=int, default=20, help="how many seeds")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    parser.add_argument("--seed", type=int, help="one seed alone")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--quick", action="store_true", help="half an hour with one strategy instead of whole sessions")
    parser.add_argument("--kis", action="store_true", help="over KIS's wire; one seed in four is 모의투자")
    parser.add_argument("--points", action="store_true", help="kill a short session at every point")
    given = parser.parse_args()
    if given.points:
        return _points()
    how = How(kis=given.kis, quick=given.quick)
    if given.seed is not None:
        return _one(given.seed, how)
    begun, found = time.perf_counter(), []
    seeds = list(range(given.first, given.first + given.seeds))
    for each in play(seeds, given.workers, how):
        found.append(each)
        _tell(each, how)
        if len(found) % TOLD == 0:
            print(_progress(found, seeds[-1], seeds[0]), flush=True)
    print(report(found, time.perf_counter() - begun))
    return int(any(each.broken for each in found))


if __name__ == "__main__":
    sys.exit(main())
