"""`quantkit runs` and `quantkit reproduce`: the run log, and one of its runs again."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quantkit.cli import console
from quantkit.cli import inputs as given
from quantkit.errors import ConfigError

if TYPE_CHECKING:
    from quantkit import Result
    from quantkit.research.runs import Run, RunLog

COLUMNS = ("total_return", "sharpe", "max_drawdown", "fills")


def runs(
    numbers: Annotated[
        list[int] | None, typer.Argument(help="Runs to lay side by side; none: list them.", show_default=False)
    ] = None,
    lake: given.LakePath = Path("data/lake"),
    strategy: Annotated[str | None, typer.Option(help="Only runs of this class, or of this file.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only backtest, sweep or walk_forward.")] = None,
    last: Annotated[int, typer.Option(help="The last so many; 0: all.", min=0)] = 20,
    as_json: given.AsJson = False,
) -> None:
    """List the runs made on a lake's bars, or compare some of them.

    quantkit runs --strategy SmaCross

    quantkit runs 3 7
    """
    log = open_log(lake)
    if numbers:
        _compare(log, numbers, as_json=as_json)
        return
    found = log.rows(strategy=strategy, kind=kind, last=last or None)
    if as_json:
        console.emit({"log": str(log.path), "runs": [run.to_dict() for run in found]})
        return
    if not found:
        console.say(f"no runs in {log.path}" if strategy is None and kind is None else "no such runs")
        return
    rows = [
        [str(run.id), run.time[2:16].replace("T", " "), run.kind, run.strategy, _settings(run.parameters),
         f"{run.trials:,}", *_figures(run)]
        for run in found
    ]  # fmt: skip
    head = ("Run", "UTC", "Kind", "Strategy", "Parameters", "Trials", "Return", "Sharpe", "Drawdown", "Fills")
    console.table(f"{log.path}", head, rows, right=5)
    for name in dict.fromkeys(run.strategy for run in found):
        trials = log.trials(name)
        console.say(f"{name}: {trials.count:,} trials in all, repeats not counted")


def open_log(lake: Path) -> RunLog:
    """The log that runs on the lake go to; ConfigError when there is no lake."""
    import os

    from quantkit.research.runs import RunLog

    told = os.environ.get("QUANTKIT_RUNS", "")
    if told and told.lower() != "off":
        return RunLog(told)
    if not lake.exists():
        raise ConfigError(f"no lake at {lake}, so no runs on it; --lake FOLDER names another")
    return RunLog(lake)


def _called(run: Run) -> str:
    return run.strategy if run.file is None else f"{run.strategy} ({Path(run.file).name})"


def _settings(parameters: Mapping[str, Any]) -> str:
    text = ", ".join(f"{name}={_short(value)}" for name, value in parameters.items())
    return text if len(text) <= 60 else text[:57] + "..."


def _short(value: Any) -> str:
    if isinstance(value, list) and len(value) > 3:
        return f"{value[0]}..{value[-1]}"
    return str(value)


def _figures(run: Run) -> list[str]:
    from quantkit.backtest.wording import show

    found = []
    for name in COLUMNS:
        value = run.metrics.get(name)
        if value is None:
            found.append("-")
        else:
            found.append(f"{value:,.0f}" if name == "fills" else show(name, value, _currency(run)))
    return found


# --- side by side -----------------------------------------------------------------------------------------------------


def _compare(log: RunLog, numbers: Sequence[int], *, as_json: bool) -> None:
    """Figures of some runs, and the settings that are not the same in all of them."""
    found = [log.get(number) for number in dict.fromkeys(numbers)]
    if len(found) < 2 and not as_json:
        _show_one(found[0])
        return
    flat = [_flat(run) for run in found]
    names = dict.fromkeys(name for one in flat for name in one)
    differing = {
        name: [one.get(name) for one in flat] for name in names if len({repr(one.get(name)) for one in flat}) > 1
    }
    if as_json:
        console.emit({"runs": [run.to_dict() for run in found], "differing": differing})
        return
    from quantkit.cli.figures import figure_rows

    heads = [f"Run {run.id}" for run in found]
    console.table("Figures", ("Figure", *heads), figure_rows([(run.metrics, _currency(run)) for run in found]))
    said = [[name, *("-" if value is None else _cell(value) for value in row)] for name, row in differing.items()]
    if said:
        console.table("Settings that differ", ("Setting", *heads), said)
    else:
        console.say("All settings are the same.")


def _show_one(run: Run) -> None:
    """One run: its figures and settings."""
    from quantkit.cli.figures import figure_rows

    console.table(f"Run {run.id}: {_called(run)}, {run.kind} of {run.time} (UTC)", ("Figure", "Value"),
                  figure_rows([(run.metrics, _currency(run))]))  # fmt: skip
    console.table("Settings", ("Setting", "Value"), [[name, _cell(value)] for name, value in _flat(run).items()])


def _flat(run: Run) -> dict[str, object]:
    """What defines a run: parameters, money, policy, costs, data, code."""
    from quantkit.cli.compare import settings_of

    described = {"name": run.strategy, "params": run.parameters}
    found = {"kind": run.kind, **settings_of({**run.manifest, "strategy": described})}
    found["code"] = None if run.code_hash is None else run.code_hash[:12]
    return found


def _currency(run: Run) -> str:
    markets = run.manifest.get("data", {}).get("markets")
    return "USD" if markets == "US" or (isinstance(markets, list) and set(markets) == {"US"}) else "KRW"


def _cell(value: object) -> str:
    text = str(value)
    return text if len(text) <= 40 else text[:37] + "..."


# --- again ------------------------------------------------------------------------------------------------------------


def reproduce(
    run: Annotated[str, typer.Argument(help="Number of a run (`quantkit runs` lists them), or a manifest file.")],
    lake: given.LakePath = Path("data/lake"),
    current: Annotated[bool, typer.Option("--current", help="Run the file as it is now, not as it was.")] = False,
    as_json: given.AsJson = False,
) -> None:
    """Repeat a run and compare its fills.

    Data is read at the recorded version, and the strategy's text is the one the log kept; --current takes the file as
    it is now. Exit code 1 when the result is not the same; the lines say what differs: the code, the data, the
    exchange's rules, a package.

    quantkit reproduce 7
    """
    found = _again(run, lake, current=current)
    if as_json:
        console.emit(found)
    else:
        _say(found)
    if not found["same"]:
        raise typer.Exit(1)


def _again(run: str, lake: Path, *, current: bool) -> dict[str, Any]:
    """The run again: whether it is the same, what differs, what to know."""
    if not run.isdigit():
        from quantkit.cli.repeat import repeat

        result, changed = repeat(Path(run))
        return _found(run, result, changed, [], None)
    from quantkit.cli.repeat import repeat_manifest
    from quantkit.hooks import silently

    log = open_log(lake)
    row = log.get(int(run))
    if row.kind != "backtest":
        what = row.kind.replace("_", "-")
        raise ConfigError(f"run {run} is a {what} of {row.trials:,} runs; only a backtest can be reproduced")
    with silently(), _code(log, _here(row, log, lake), current=current) as (manifest, notes):
        result, changed = repeat_manifest(manifest, where=f"run {run} of {log.path}")
    return _found(run, result, changed, notes, _fills_apart(log.fills(row.id), result, manifest))


def _here(row: Run, log: RunLog, lake: Path) -> Run:
    """The row with the lake whose folder the log lies in, wherever it was then."""
    if log.path.parent != lake:
        return row
    return replace(row, manifest={**row.manifest, "data": {**row.manifest["data"], "source": str(lake)}})


@contextmanager
def _code(log: RunLog, row: Run, *, current: bool) -> Iterator[tuple[dict[str, Any], list[str]]]:
    """The manifest with the strategy file to run, and what to say of it: the recorded text, in a folder of its own."""
    manifest, kept = row.manifest, log.code(row)
    described = manifest.get("strategy") or {}
    file = Path(described.get("file") or "")
    if not kept or not described.get("file"):
        yield manifest, []
        return
    changed = [name for name, text in kept.items() if _text(file.parent / name) != text]
    if not changed or current:
        yield manifest, [f"{file.parent / name} has changed since; run as it is now" for name in changed]
        return
    with tempfile.TemporaryDirectory(prefix="quantkit-") as folder:
        for name, text in kept.items():
            place = Path(folder) / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(text)
        hint = "has changed since; run as it was (--current runs it as it is)"
        notes = [f"{file.parent / name} {hint}" for name in changed]
        yield {**manifest, "strategy": {**described, "file": str(Path(folder) / file.name)}}, notes


def _text(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _fills_apart(kept: Mapping[str, Any] | None, result: Result, manifest: Mapping[str, Any]) -> dict[str, Any] | None:
    """Numbers of fills then and now and the first that is not the same; None where none were kept."""
    if kept is None:
        return None
    now, symbols = result.run.fills, manifest["data"]["symbols"]
    before = list(zip(*(kept[name].tolist() for name in kept), strict=True))
    after = list(zip(*(now[name].tolist() for name in kept), strict=True))
    pairs = zip(before, after, strict=False)
    first = next((row for row, (one, other) in enumerate(pairs) if one != other), min(len(before), len(after)))
    apart = first < max(len(before), len(after))
    days = result.bars.days.astype("datetime64[D]")

    def words(rows: list[tuple[Any, ...]], names: Sequence[str]) -> str | None:
        if not apart or first >= len(rows):
            return None
        bar, symbol, side, quantity, price = rows[first]
        return f"{days[bar]} {names[symbol]} {'buy' if side > 0 else 'sell'} {quantity:,} at {price:,.10g}"

    return {"then": len(before), "now": len(after), "first_difference": first if apart else None,
            "then_fill": words(before, symbols), "now_fill": words(after, result.bars.symbols)}  # fmt: skip


def _found(
    run: str, result: Result, changed: list[str], notes: list[str], fills: dict[str, Any] | None
) -> dict[str, Any]:
    final = float(result.run.equity[-1]) / result.bars.minor_unit
    return {"run": run, "same": not changed, "changed": changed, "notes": notes, "fills": fills, "final_equity": final,
            "repr": repr(result)}  # fmt: skip


def _say(found: Mapping[str, Any]) -> None:
    for note in found["notes"]:
        console.say(f"! {note}")
    fills = found["fills"]
    if found["same"]:
        many = "" if fills is None else f": {fills['now']:,} fills"
        console.say(f"{found['repr']}: the same to the last bit{many}")
        return
    console.say(found["repr"])
    if fills is not None:
        same = fills["first_difference"] is None
        console.say(f"{fills['then']:,} fills then, {fills['now']:,} now" + (": all the same" if same else ""))
        if not same:
            console.say(f"the first that differs, number {fills['first_difference'] + 1:,}: "
                        f"then {fills['then_fill'] or 'none'}; now {fills['now_fill'] or 'none'}")  # fmt: skip
    console.error("the run does not repeat: " + "; ".join(found["changed"]))
