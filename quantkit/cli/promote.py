"""`quantkit promote` and `quantkit promotions`: the act that lets a strategy trade, and the record of it."""

from __future__ import annotations

import getpass
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quantkit.cli import console
from quantkit.cli import inputs as given
from quantkit.errors import ConfigError
from quantkit.progress import shown

if TYPE_CHECKING:
    from quantkit import Bars, Result, Strategy
    from quantkit.live.promote import Promotion, PromotionStore
    from quantkit.live.promotion.gates import SessionRecord

StorePath = Annotated[
    Path | None, typer.Option("--store", help="File of promotions. Default: promotions.sqlite beside the lake.")
]


def promote(
    strategy: Annotated[str, typer.Argument(help="file.py or file.py:Class.", show_default=False)],
    to: Annotated[str, typer.Option("--to", help="paper or live.", show_default=False)],
    symbols: given.Symbols = None,
    start: given.Start = None,
    end: given.End = None,
    param: given.Params = None,
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
    account: Annotated[
        str | None,
        typer.Option(
            help="Account of quantkit.toml: its money limits are pinned, its journal "
            "is the record of sessions that --to live asks for."
        ),
    ] = None,
    override: Annotated[str, typer.Option(help="Open gates that are shut, for this reason.")] = "",
    store: StorePath = None,
    as_json: given.AsJson = False,
) -> None:
    """Measure what the next step asks for, decide, and write it down; every gate is shown with its figure.

    quantkit promote strategies/sma_cross.py --to paper --symbols 005930,000660

    From paper, `--to live` allows a twentieth of the capital first, and all of it once that has gone well. Ends with
    exit code 1 where a gate stays shut.
    """
    from quantkit.live.promote import PromotionStore, beside
    from quantkit.live.promote import promote as attempt
    from quantkit.strategy import load_strategy

    given.check_dates(start, end)
    asked = given.Request(
        strategy=strategy, params=given.parse_params(param), symbols=given.parse_symbols(symbols), start=start, end=end,
        cash=cash, lake=lake, data=data, market=market, prices=prices, freq=freq, fill=fill, costs=costs,
        slippage_ticks=slippage_ticks, slippage_bps=slippage_bps,
    )  # fmt: skip
    rule = load_strategy(strategy)
    made = rule(**rule.parse(asked.params))
    bars = _in_memory(asked, made)
    settings: dict[str, Any] = {
        "cash": cash, "start": start, "end": end, "costs": asked.costs_of(bars), "fill": fill,
        "limits": _limits(account),
    }  # fmt: skip
    with shown(True, "looking for tomorrow") as advance:
        promotion = attempt(
            made, bars, to=to, store=PromotionStore(store or beside(lake)), time=time.time_ns(), by=getpass.getuser(),
            settings=settings, symbols=asked.symbols, override=override, progress=advance, replay=_replayed,
            sessions=None if account is None else _sessions_of(account, made, bars, settings),
        )  # fmt: skip
    if as_json:
        console.emit(promotion.to_dict())
    else:
        show(promotion)
    if not promotion.granted:
        raise typer.Exit(1)


def _replayed(strategy: Strategy, bars: Bars, /, **settings: Any) -> Result:
    """The same run through the live engine; a gate of its own asks whether the strategy looks ahead."""
    from quantkit.replay.run import replay

    return replay(strategy, bars, checked_before=True, **settings).result


def promotions(
    number: Annotated[
        int | None, typer.Argument(help="Show this one whole; none: list all.", show_default=False)
    ] = None,
    lake: given.LakePath = Path("data/lake"),
    strategy: Annotated[str | None, typer.Option(help="Only those of this class.")] = None,
    granted: Annotated[bool, typer.Option("--granted", help="Leave out attempts that were refused.")] = False,
    store: StorePath = None,
    as_json: given.AsJson = False,
) -> None:
    """List what was promoted, when, by whom and on what evidence, or show one promotion with its gates.

    quantkit promotions

    quantkit promotions 3
    """
    from quantkit.live.promote import PromotionStore, beside

    opened = PromotionStore(store or beside(lake))
    if number is not None:
        one = opened.get(number)
        if as_json:
            console.emit(one.to_dict())
        else:
            show(one)
        return
    found = opened.promotions(strategy=strategy, granted=True if granted else None)
    if as_json:
        console.emit({"store": opened.place, "promotions": [one.to_dict() for one in found]})
        return
    if not found:
        console.say(f"no promotions in {opened.place}")
        return
    _list(opened, found)


def _list(store: PromotionStore, found: list[Promotion]) -> None:
    rows = [
        [str(one.id), _when(one), one.pins.strategy, _given(one), f"{one.before} -> {one.after}", _verdict(one),
         f"{len(one.gates) - len(one.shut)}/{len(one.gates)}", one.by, one.pins.digest[:12]]
        for one in found
    ]  # fmt: skip
    head = ("No", "UTC", "Strategy", "Parameters", "Step", "Granted", "Gates", "By", "Digest")
    console.table(store.place, head, rows, right=9)


def show(promotion: Promotion) -> None:
    """One attempt with its gates."""
    pins = promotion.pins
    console.say(
        f"promotion {promotion.id}: {pins.strategy}({_given(promotion)}), {promotion.before} -> {promotion.after}"
    )
    code = ", ".join(f"{name} {text[:12]}" for name, text in pins.code.items())
    console.say(f"  code {code}; digest {pins.digest[:12]}; {_when(promotion)} UTC by {promotion.by}")
    data = promotion.data
    console.say(
        f"  evidence {data['first']} to {data['last']}, {len(data['symbols']):,} names, version {data['version']}"
    )
    rows = [[one.name, "pass" if one.passed else "FAIL", one.figure, one.need, one.advice] for one in promotion.gates]
    console.table("gates", ("Gate", "", "Found", "Needed", "What would make it pass"), rows, right=9)
    for one in promotion.gates:
        if one.facts.get("record"):
            _record(one.facts["record"])
    if promotion.override:
        console.say(f"! overridden: {promotion.override}")
    capital = f", with {promotion.capital:.0%} of the capital" if promotion.capital < 1.0 else ""
    if promotion.granted:
        console.say(f"promoted to {promotion.after}{capital}")
    elif any(one.final for one in promotion.shut):
        console.say("not promoted; no override opens " + ", ".join(one.name for one in promotion.shut if one.final))
    else:
        console.say(f"not promoted: {len(promotion.shut)} gates are shut")


def _record(lines: list[dict[str, Any]]) -> None:
    """The sessions that a promotion was given for."""
    rows = [
        [line["date"], line["decisions"], line["filled"],
         "" if line["median_bps"] is None else f"{line['median_bps']:.1f} bp",
         *(str(line[name]) for name in ("denied", "unresolved", "mismatched", "adoptions", "restarts"))]
        for line in lines
    ]  # fmt: skip
    head = ("Session", "Decided alike", "Shares filled", "Median shortfall", "Denied", "Unresolved", "Bars differ",
            "Adopted", "Restarts")  # fmt: skip
    console.table("sessions", head, rows, right=1)


def _verdict(promotion: Promotion) -> str:
    if not promotion.granted:
        return "no"
    return "overridden" if promotion.override else "yes"


def _given(promotion: Promotion) -> str:
    return ", ".join(f"{name}={value}" for name, value in promotion.pins.params.items())


def _when(promotion: Promotion) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(promotion.time // 1_000_000_000))


def _limits(account: str | None) -> Any:
    """The money limits of an account's settings; None where none is named."""
    if account is None:
        return None
    from quantkit import settings

    return settings.load().account(account).risk_limits


def _sessions_of(account: str, strategy: Strategy, bars: Bars, given_settings: dict[str, Any]) -> Any:
    """Who reads the sessions of some code and mode out of an account's journal; none where there is no journal yet."""

    def sessions(digest: str, mode: str) -> list[SessionRecord]:
        from quantkit import settings
        from quantkit.backtest.run import default_costs
        from quantkit.cli.brokers import account_costs
        from quantkit.cli.drift import recorded

        ticks = default_costs(bars.intraday).slippage_ticks
        paid = replace(account_costs(settings.load(), account), slippage_ticks=ticks)
        found = recorded(account, strategy, bars, costs=paid, limits=given_settings["limits"],
                         fill=given_settings["fill"])  # fmt: skip
        return [one for one in found.records(artifact=digest) if one.mode == mode]

    return sessions


def _in_memory(asked: given.Request, strategy: Strategy) -> Bars:
    from quantkit import Bars

    bars = asked.bars(strategy)
    if not isinstance(bars, Bars):
        rows, names = bars.shape
        raise ConfigError(
            f"{rows:,} bars of {names:,} names are too many to check; promote on fewer names (--symbols) or less time"
        )
    return bars
