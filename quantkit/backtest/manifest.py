"""The record of a run: enough to repeat it bit for bit, and to notice when something underneath has changed.

Contract: a manifest is plain data (JSON). It names the strategy and the hash of its source, parameters, policy, costs,
limits, the data and its version, the exchange rules used, package versions, and a hash of what came out. Nothing in it
is secret and no price is copied. Hashes are computed when the manifest is first read, not during the run; `brief` is
the same record without those that cost time, for the run log.
"""

from __future__ import annotations

import hashlib
import platform
import sys
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


class Record:
    """The manifest of a run, hashed on the first call and remembered.

    targets      those given in place of a strategy
    data_digest  what `rows_digest` of the bars gives, where they are not in memory
    models       `fitting.Models.fitted`, where the strategy fits any
    """

    def __init__(
        self,
        strategy: Strategy | None,
        bars: Bars,
        targets: np.ndarray[Any, Any] | None,
        settings: Mapping[str, object],
        run: RunOutput,
        *,
        data_digest: Callable[[], str] | None = None,
        models: list[dict[str, Any]] | None = None,
    ) -> None:
        self.strategy, self.bars, self.targets, self.settings, self.run = strategy, bars, targets, settings, run
        self._data_digest = data_digest or (lambda: rows_digest([bars], bars.actions))
        self._models = models
        self._whole: dict[str, Any] | None = None

    def __call__(self) -> dict[str, Any]:
        """All of it."""
        if self._whole is None:
            described = None if self.strategy is None else self.strategy.describe()
            given = None if self.targets is None else digest(self.targets)
            self._whole = {
                **self.brief(described, data_digest=self._data_digest()),
                "targets_sha256": given,
                "packages": package_versions(),
            }
        return self._whole

    def brief(self, described: Mapping[str, Any] | None, *, data_digest: str | None = None) -> dict[str, Any]:
        """What costs little: targets are not hashed, nor is data of a stored version, which the version tells.

        described: `strategy.describe()`, taken when the run was made.
        """
        bars, run = self.bars, self.run
        if data_digest is None and bars.version is None:
            data_digest = self._data_digest()
        return {
            "manifest_version": MANIFEST_VERSION,
            "strategy": described,
            "targets_sha256": None,
            "run": dict(self.settings),
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
                "sha256": data_digest,
            },
            "rules": {"sha256": rules_digest(), "state_version": STATE_VERSION},
            "packages": loaded_versions(),
            **({} if self._models is None else {"models": self._models}),
            "result": {
                "final_equity": int(run.equity[-1]),
                "fills": len(run.fills["bar"]),
                "sha256": digest(run.equity, run.cash, *(run.fills[name] for name in sorted(run.fills))),
            },
        }


def digest(*arrays: np.ndarray[Any, Any]) -> str:
    """SHA-256 of the arrays' bytes, in order, with their dtypes and shapes."""
    total = hashlib.sha256()
    for array in arrays:
        total.update(f"{array.dtype.descr}{array.shape}".encode())
        total.update(np.ascontiguousarray(array).view(np.uint8).data if array.size else b"")
    return total.hexdigest()


def rows_digest(pieces: Iterable[Bars], actions: np.ndarray[Any, Any]) -> str:
    """SHA-256 of the bars of a run, whole or in pieces: times, flags, opens, closes, actions, features given with them.

    Features of a lake are told by its version.
    """
    totals, given = [hashlib.sha256() for _ in range(4)], ""
    for bars in pieces:
        given = given or bars.features.digest()
        for total, array in zip(totals, (bars.times, bars.flags, bars.raw.open, bars.raw.close), strict=True):
            total.update(np.ascontiguousarray(array).view(np.uint8).data)
    return hashlib.sha256(
        b"".join(total.digest() for total in totals) + f"{digest(actions)}{given}".encode()
    ).hexdigest()


@cache
def rules_digest() -> str:
    """Hash of the exchange's dated rules (ticks, limits, taxes) that every run uses."""
    from quantkit.market.rules import rule_tables

    tables = rule_tables(np.arange(7_000, 40_000, dtype=np.int64))
    return digest(*tables)


def loaded_versions() -> dict[str, str]:
    """`package_versions` of what this process has loaded, which is what a run made in it can depend on."""
    loaded = {name: getattr(sys.modules.get(name), "__version__", None) for name in _PACKAGES}
    return {"python": platform.python_version(), **{name: text for name, text in loaded.items() if text}}


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
