"""The record of a run: enough to repeat it bit for bit, and to notice when something underneath has changed.

Contract: a manifest is plain data (JSON). It names the strategy and the hash of its source, parameters, policy, costs,
limits, the data and its version, the exchange rules used, package versions, and a hash of what came out. Nothing in it
is secret and no price is copied. Hashes are computed when the manifest is first read, not during the run.
"""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np

from quantkit.core.state import STATE_VERSION
from quantkit.data.dates import day_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from quantkit.backtest.output import RunOutput
    from quantkit.data.bars import Bars
    from quantkit.strategy import Strategy

MANIFEST_VERSION = 1
_PACKAGES = ("quantkit", "numpy", "pandas", "numba", "pyarrow", "duckdb", "deltalake")


def manifest_of(
    strategy: Strategy | None,
    bars: Bars,
    targets: np.ndarray[Any, Any] | None,
    settings: Mapping[str, object],
    run: RunOutput,
    *,
    data_digest: Callable[[], str] | None = None,
) -> Callable[[], dict[str, Any]]:
    """A function that gives the manifest of a run; it hashes on its first call and remembers.

    targets: those given in place of a strategy. data_digest: what `rows_digest` of the bars gives, where they are not
    in memory.
    """

    @cache
    def build() -> dict[str, Any]:
        return {
            "manifest_version": MANIFEST_VERSION,
            "strategy": None if strategy is None else strategy.describe(),
            "targets_sha256": None if targets is None else digest(targets),
            "run": dict(settings),
            "data": {
                "source": bars.source,
                "version": bars.version,
                "freq": bars.freq,
                "prices": bars.prices,
                "symbols": list(bars.symbols),
                "markets": bars.markets[0] if len(set(bars.markets)) == 1 else list(bars.markets),
                "first": day_text(int(bars.days[0])),
                "last": day_text(int(bars.days[-1])),
                "bars": len(bars),
                "sha256": rows_digest([bars], bars.actions) if data_digest is None else data_digest(),
            },
            "rules": {"sha256": rules_digest(), "state_version": STATE_VERSION},
            "packages": package_versions(),
            "result": {
                "final_equity": int(run.equity[-1]),
                "fills": len(run.fills["bar"]),
                "sha256": digest(run.equity, run.cash, *(run.fills[name] for name in sorted(run.fills))),
            },
        }

    return build


def digest(*arrays: np.ndarray[Any, Any]) -> str:
    """SHA-256 of the arrays' bytes, in order, with their dtypes and shapes."""
    total = hashlib.sha256()
    for array in arrays:
        total.update(f"{array.dtype.descr}{array.shape}".encode())
        total.update(np.ascontiguousarray(array).view(np.uint8).data if array.size else b"")
    return total.hexdigest()


def rows_digest(pieces: Iterable[Bars], actions: np.ndarray[Any, Any]) -> str:
    """SHA-256 of the bars of a run, whole or in pieces: times, flags, opens, closes and actions."""
    totals = [hashlib.sha256() for _ in range(4)]
    for bars in pieces:
        for total, array in zip(totals, (bars.times, bars.flags, bars.raw.open, bars.raw.close), strict=True):
            total.update(np.ascontiguousarray(array).view(np.uint8).data)
    return hashlib.sha256(b"".join(total.digest() for total in totals) + digest(actions).encode()).hexdigest()


@cache
def rules_digest() -> str:
    """Hash of the exchange's dated rules (ticks, limits, taxes) that every run uses."""
    from quantkit.market.rules import rule_tables

    tables = rule_tables(np.arange(7_000, 40_000, dtype=np.int64))
    return digest(*tables)


def package_versions() -> dict[str, str]:
    """Versions that can change a result: Python's and those of the packages that compute."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            from quantkit import __version__

            found[name] = __version__ if name == "quantkit" else "not installed"
    return found
