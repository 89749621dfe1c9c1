"""Repeat the run that a manifest records, and say what is not as it was.

    1. read the manifest: a file of `--save-manifest`, or one of `backtest --json` (which holds it)
    2. load the strategy file with the recorded parameters
    3. load the recorded symbols: from the lake at the recorded version, or from the recorded file
    4. run with the recorded money, dates, costs, limits, policy and deposits
    5. compare hashes: strategy, data, exchange rules, versions, result

Contract: a run whose result hash is the recorded one is the same to the last bit; then nothing is reported, even if a
version number differs. ConfigError when the manifest cannot say what to run (targets given without a strategy).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from quantkit.cli import inputs
from quantkit.errors import ConfigError

if TYPE_CHECKING:
    from quantkit import Bars, Result, Strategy
    from quantkit.data.stream import BarStream


def repeat(path: Path) -> tuple[Result, list[str]]:
    """The result, and what differs from the record in words (nothing: repeated exactly)."""
    from quantkit.cli.backtest import read_json

    found = read_json(path)
    return repeat_manifest(cast("Mapping[str, Any]", found.get("manifest", found)), where=str(path))


def repeat_manifest(manifest: Mapping[str, Any], *, where: str) -> tuple[Result, list[str]]:
    """`repeat` for a manifest that was read already; `where` names it in errors."""
    from quantkit.backtest.manifest import MANIFEST_VERSION
    from quantkit.backtest.run import backtest
    from quantkit.core.policy import Policy, RiskLimits
    from quantkit.market.costs import Costs

    if manifest.get("manifest_version") != MANIFEST_VERSION:
        version = manifest.get("manifest_version")
        hint = "it is no manifest" if version is None else f"its version is {version}"
        raise ConfigError(f"{where}: expected a manifest of version {MANIFEST_VERSION}; {hint}")
    try:
        strategy = _strategy(manifest, where)
        bars = _bars(manifest, strategy, where)
        run = manifest["run"]
        limits = run["limits"]
        result = backtest(
            strategy,
            bars,
            policy=Policy.from_dict(run["policy"]),
            cash=run["cash"],
            start=run["start"],
            end=run["end"],
            costs=Costs.from_dict(run["costs"]),
            fill=run["fill"],
            limits=None if limits is None else RiskLimits(**limits),
            benchmark=_benchmark(run["benchmark"], manifest, bars),
            deposits=dict(run["deposits"]) or None,
        )
    except KeyError as missing:
        raise ConfigError(f"{where}: the manifest lacks {missing}") from missing
    return result, differences(manifest, result.manifest)


def _strategy(manifest: Mapping[str, Any], where: str) -> Strategy:
    from quantkit.strategy import load_strategy

    described = manifest["strategy"]
    if described is None:
        raise ConfigError(f"{where} records a run of given targets, without a strategy: repeat it from Python")
    if described["file"] is None:
        raise ConfigError(f"{where}: {described['name']} was not loaded from a file: repeat it from Python")
    return load_strategy(f"{described['file']}:{described['name']}")(**described["params"])


def _bars(manifest: Mapping[str, Any], strategy: Strategy, where: str) -> Bars | BarStream:
    data, run = manifest["data"], manifest["run"]
    source = Path(data["source"] or "")
    if source.is_dir():
        return inputs.bars_of_lake(
            source, strategy, symbols=data["symbols"], start=run["history"], end=run["end"] or data["last"],
            freq=data["freq"], version=data["version"],
        )  # fmt: skip
    if source.is_file():
        market = data["markets"]
        markets = market if isinstance(market, str) else dict(zip(data["symbols"], market, strict=True))
        return inputs.bars_of_file(source, market=markets, prices=data["prices"], symbols=data["symbols"])
    raise ConfigError(
        f"{where}: its data, {data['source']!r}, is neither a lake nor a file here; run from the same folder"
    )


def _benchmark(name: str | None, manifest: Mapping[str, Any], bars: Bars | BarStream) -> object:
    """The benchmark by its name. One given as values and not in the lake is left out: no fill depends on it."""
    from quantkit.errors import QuantkitError

    if name is None or name == "hold" or name in bars.symbols:
        return name
    source = Path(manifest["data"]["source"])
    if not source.is_dir():
        return None
    try:
        return inputs.open_lake(source).bars([name], None, manifest["run"]["end"]).frame("close")[name]
    except QuantkitError:
        return None


def differences(recorded: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """In words, why two manifests do not describe the same run; empty when the results are equal to the last bit."""
    if recorded["result"]["sha256"] == found["result"]["sha256"]:
        return []
    before, after = recorded["result"]["final_equity"], found["result"]["final_equity"]
    said = [f"the result differs (equity at the end {before:,} then, {after:,} now)"]
    if recorded["strategy"]["source_hash"] != found["strategy"]["source_hash"]:
        said.append(f"{found['strategy']['file']} has changed")
    then, now = recorded["data"], found["data"]
    if then.get("version") != now.get("version"):
        said.append(f"the data was {then.get('version')}, is {now.get('version')}")
    elif then["sha256"] not in (None, now["sha256"]):  # the run log leaves the hash of stored versions out
        said.append("the data has changed")
    if recorded["rules"]["sha256"] != found["rules"]["sha256"]:
        said.append("the exchange rules have changed")
    versions = found["packages"]
    said += [
        f"{name} was {version}, is {versions.get(name)}"
        for name, version in recorded["packages"].items()
        if versions.get(name) != version
    ]
    return said
