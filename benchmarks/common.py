"""Shared by the benchmarks: seeded prices, one side measured in a process of its own, a table of ratios.

A benchmark script runs both sides in one call. Each side runs in a fresh process (`SCRIPT --side NAME`), so that memory
is its own and nothing one side loads helps the other; it makes the same data from the same seed, runs the work once to
warm up and then several times, and prints one JSON line. The parent prints medians, ratios, versions and the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

SEED = 20240101


def panel(bars: int, names: int, *, vol: float = 0.02) -> np.ndarray:
    """(bars, names) closes with a common factor, whole won, about 5,000 to 500,000."""
    random = np.random.default_rng(SEED)
    beta, drift = random.uniform(0.5, 1.5, names), random.normal(0.0002, 0.0003, names)
    market = random.normal(0.0, vol * 0.5, bars)
    level = np.log(random.uniform(5_000, 500_000, names))
    close = np.empty((bars, names))
    for row in range(bars):
        level = level + (drift + beta * market[row] + random.normal(0, vol, names) if row else 0.0)
        close[row] = np.floor(np.exp(level))
    return np.maximum(close, 100.0)


def rss_mib() -> float:
    """Resident memory now."""
    with Path("/proc/self/statm").open() as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def peak_mib() -> float:
    """Largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(work: Callable[[], object], *, runs: int = 7, warm: int = 1) -> dict[str, float]:
    """Median and least seconds of `runs` calls after `warm` uncounted ones, and the memory the calls added."""
    before = rss_mib()
    for _ in range(warm):
        work()
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return {"median_s": statistics.median(seconds), "min_s": min(seconds), "added_mib": peak_mib() - before}


def versions(*packages: str) -> dict[str, str]:
    """Installed versions, Python's first."""
    found = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _times(ours: dict[str, float], theirs: dict[str, float], rate: str | None, time: str) -> float:
    """How many times longer the other side takes for the same work."""
    return ours[rate] / theirs[rate] if rate else theirs[time] / ours[time]


def run_sides(
    script: str,
    sides: dict[str, Callable[[], dict[str, float]]],
    *,
    title: str,
    packages: tuple[str, ...],
    rate: str | None = None,
    time: str = "median_s",
) -> None:
    """Measure every side in its own process and print the comparison; the first side is ours.

    rate: a figure to compare by, more of it being better, where the sides do not do the same amount of work; time: the
    figure, less of it being better, that is compared otherwise.
    """
    parser = argparse.ArgumentParser(description=title)
    parser.add_argument("--side", choices=list(sides), help="run one side only, in this process, and print JSON")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")
    chosen = parser.parse_args()
    if chosen.side:
        print(json.dumps(sides[chosen.side]()))
        return
    figures: dict[str, dict[str, float]] = {}
    for name in sides:
        done = subprocess.run([sys.executable, script, "--side", name], capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{name}: failed\n{done.stderr[-600:]}", file=sys.stderr)
            continue
        figures[name] = json.loads(done.stdout.strip().splitlines()[-1])
    if chosen.json:
        said = {"title": title, "load": os.getloadavg()[0], "figures": figures, "versions": versions(*packages)}
        print(json.dumps(said))
        return
    print(title)
    print(
        f"  {platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, "
        + ", ".join(f"{k} {v}" for k, v in versions(*packages).items())
    )
    ours = next(iter(sides))
    for name, row in figures.items():
        times = None if name == ours or ours not in figures else _times(figures[ours], row, rate, time)
        ratio = "" if times is None else f"   {times:8.2f} x {ours}"
        cells = "  ".join(f"{key} {value:,.4g}" for key, value in row.items())
        print(f"  {name:<24} {cells}{ratio}")
