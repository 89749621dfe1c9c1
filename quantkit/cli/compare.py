"""`quantkit compare`: two results side by side: figures, and the settings that differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from quantkit.cli import console
from quantkit.cli import inputs as given
from quantkit.cli.backtest import read_json
from quantkit.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two results."""

    label: str
    currency: str
    stats: Mapping[str, float | None]
    manifest: Mapping[str, Any]


def compare(
    a: Annotated[str, typer.Argument(help="A file saved from `backtest --json`, a manifest, or a strategy file.")],
    b: Annotated[str, typer.Argument(help="The other one.")],
    symbols: given.Symbols = None,
    start: given.Start = None,
    end: given.End = None,
    cash: given.Cash = 100_000_000,
    lake: given.LakePath = Path("data/lake"),
    data: given.DataFile = None,
    market: given.Market = None,
    prices: given.Prices = "raw",
    freq: given.Freq = "1d",
    fill: given.Fill = "next_open",
    costs: given.CostsName = "kis",
    slippage_ticks: given.SlippageTicks = None,
    slippage_bps: given.SlippageBps = 0.0,
    benchmark: given.BenchmarkName = None,
    deposit: given.Deposit = None,
    as_json: given.AsJson = False,
) -> None:
    """Lay two results side by side. Manifests are run again, strategy files are run with the options given here.

    quantkit compare strategies/sma_cross.py strategies/rsi_reversion.py --symbols 005930 --start 2015-01-01
    """

    def side(text: str) -> Side:
        if Path(text).suffix.lower() == ".json":
            return _saved(Path(text))
        request = given.Request(
            strategy=text, symbols=given.parse_symbols(symbols), start=start, end=end, cash=cash, lake=lake, data=data,
            market=market, prices=prices, freq=freq, fill=fill, costs=costs, slippage_ticks=slippage_ticks,
            slippage_bps=slippage_bps, benchmark=benchmark, deposit=deposit,
        )  # fmt: skip
        return _side(request.run())

    left, right = side(a), side(b)
    differing = {
        name: [one, other] for name, one, other in _differing(settings_of(left.manifest), settings_of(right.manifest))
    }
    if as_json:
        sides = {name: {"name": one.label, "stats": one.stats} for name, one in (("a", left), ("b", right))}
        console.emit({**sides, "settings": differing})
        return
    _print(left, right, differing)


def _saved(path: Path) -> Side:
    """A saved result as it is; a manifest by running it again."""
    found = read_json(path)
    if "stats" in found:
        stats = cast("dict[str, float | None]", found["stats"])
        manifest = cast("dict[str, Any]", found.get("manifest") or {})
        return Side(str(found.get("name", path.stem)), str(found.get("currency", "KRW")), stats, manifest)
    if "manifest_version" not in found:
        raise ConfigError(
            f"{path}: neither a saved result (`backtest --json > FILE`) nor a manifest (`--save-manifest`)"
        )
    from quantkit.cli.repeat import repeat_manifest

    result, changed = repeat_manifest(found, where=str(path))
    if changed:
        console.note(f"note: {path} does not repeat: {'; '.join(changed)}")
    return _side(result)


def _side(result: Any) -> Side:
    from quantkit.cli.figures import document

    found = document(result)
    return Side(found["name"], found["currency"], found["stats"], found["manifest"])


def settings_of(manifest: Mapping[str, Any]) -> dict[str, object]:
    """What defines a run, flat: parameters, money, policy, costs, data."""
    strategy = manifest.get("strategy") or {}
    run, data = manifest.get("run") or {}, manifest.get("data") or {}
    flat: dict[str, object] = {"strategy": strategy.get("name")}
    flat |= {f"param {name}": value for name, value in (strategy.get("params") or {}).items()}
    for name, value in run.items():
        if isinstance(value, Mapping):
            flat |= {f"{name} {part}": setting for part, setting in value.items()}
        else:
            flat[name] = value
    for name in ("first", "last", "freq", "prices", "version", "symbols"):
        value = data.get(name)
        flat[name] = ", ".join(value) if isinstance(value, list) else value
    return flat


def _differing(left: Mapping[str, object], right: Mapping[str, object]) -> Iterator[tuple[str, object, object]]:
    for name in dict.fromkeys((*left, *right)):
        one, other = left.get(name), right.get(name)
        if one != other:
            yield name, one, other


def _print(left: Side, right: Side, differing: Mapping[str, list[object]]) -> None:
    from quantkit.cli.figures import figure_rows

    labels = (left.label, right.label) if left.label != right.label else (f"A {left.label}", f"B {right.label}")
    rows = figure_rows([(left.stats, left.currency), (right.stats, right.currency)])
    console.table("Figures", ("Figure", *labels), rows)
    if differing:
        said = [
            [name, *("-" if value is None else _short(value) for value in pair)] for name, pair in differing.items()
        ]
        console.table("Settings that differ", ("Setting", *labels), said)
    else:
        console.say("All settings are the same.")


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else text[:37] + "..."
