"""A deployment's desk between the hub and the account."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from quantkit.errors import Bug
from quantkit.live.bars import MINUTE, Bar, Revision
from quantkit.live.clock import VirtualClock, run_virtual
from quantkit.live.desk import Desk
from quantkit.live.hub import MarketHub
from quantkit.live.messages import BarClosed, ConnectionChanged, Input, MarketData, SessionOpens
from quantkit.trading.events import Kind
from quantkit.trading.ports import Candle, InstrumentDay
from tests.live.test_hub import CLOSES, NAMES, OPENS, FakeFeed


class NoDecider:
    """Makes inputs that carry only what came in."""

    def __init__(self) -> None:
        self.candles: list[Sequence[Candle]] = []

    def opens(self, day: int, instruments: Sequence[InstrumentDay], time: int) -> SessionOpens:
        return SessionOpens(time, "dep", day, tuple(instruments), None, None)  # type: ignore[arg-type]

    def closes(
        self, candles: Sequence[Candle], close: int, time: int, *, complete: bool = True, backfill: bool = False
    ) -> BarClosed:
        self.candles.append(candles)
        return BarClosed(time, "dep", close, None, None, (), complete, backfill)  # type: ignore[arg-type]


def day(decider: NoDecider, *, freq: str, begin: int, end: int, after: int = 0, drop: int | None = None,
        revised: list[Revision] | None = None) -> tuple[list[Input], list[tuple[Kind, dict[str, Any]]]]:  # fmt: skip
    posted: list[Input] = []
    noted: list[tuple[Kind, dict[str, Any]]] = []

    async def main(clock: VirtualClock) -> None:
        feed = FakeFeed(clock)
        if drop is not None:
            feed.drops.append(drop)
            feed.chart_error = lambda _symbol, now: now < drop + 3 * MINUTE
        hub = MarketHub(feed, clock, chance=lambda: 0.5)
        desk = Desk(
            "dep", decider, clock, symbols=NAMES, freq=freq, post=posted.append, after=after,
            note=lambda kind, payload: noted.append((kind, payload)),
            revise=None if revised is None else revised.extend,
        )  # fmt: skip
        hub.subscribe(desk.subscription)
        tasks = [asyncio.create_task(hub.run()), asyncio.create_task(desk.run())]
        await clock.sleep_until(end)
        assert not any(task.done() for task in tasks)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    run_virtual(main, start=begin)
    return posted, noted


def test_the_morning_comes_after_the_bars_before_it_and_before_its_own() -> None:
    decider = NoDecider()
    begin = CLOSES + 17 * 60 * MINUTE  # 08:30 of the next day, an exam day: it opens at 10:00
    posted, _ = day(decider, freq="1d", begin=begin, end=begin + 45 * MINUTE, after=OPENS - 100 * MINUTE)
    kinds = [item for item in posted if isinstance(item, SessionOpens | BarClosed)]
    missed, morning = kinds
    assert isinstance(missed, BarClosed)
    assert (missed.close, missed.backfill, missed.complete) == (CLOSES, True, True)
    assert [candle.symbol for candle in decider.candles[0]] == ["A", "B"]
    assert isinstance(morning, SessionOpens)
    assert np.datetime64(morning.day, "D") == np.datetime64("2025-11-13")
    assert [known.symbol for known in morning.instruments] == ["A", "B"]


def test_bars_prices_and_connections_reach_the_account() -> None:
    posted, noted = day(NoDecider(), freq="1m", begin=OPENS - 30 * MINUTE, end=OPENS + 3 * MINUTE)
    bars = [item.close for item in posted if isinstance(item, BarClosed)]
    assert bars == [OPENS + MINUTE, OPENS + 2 * MINUTE]
    assert sum(isinstance(item, ConnectionChanged) for item in posted) == 1
    assert sum(len(item.items) for item in posted if isinstance(item, MarketData)) > 50
    assert noted == []


def test_gaps_are_journalled_and_revisions_handed_to_history() -> None:
    revised: list[Revision] = []
    posted, noted = day(
        NoDecider(), freq="1m", begin=OPENS - MINUTE, end=OPENS + 8 * MINUTE, drop=OPENS + 90 * 10**9, revised=revised
    )
    assert [kind for kind, _ in noted] == [Kind.GAP_DETECTED, Kind.GAP_FILLED]
    assert noted[0][1] == noted[1][1]
    assert noted[0][1]["symbols"] == ["A", "B"]
    assert [item.complete for item in posted if isinstance(item, BarClosed)] == [True, False, *[True] * 5]
    assert {(one.end, one.candle.symbol) for one in revised} == {(OPENS + 2 * MINUTE, "A"), (OPENS + 2 * MINUTE, "B")}


def test_an_error_of_the_decider_ends_the_desk() -> None:
    class Broken(NoDecider):
        def closes(self, candles: Sequence[Candle], close: int, time: int, **given: bool) -> BarClosed:  # type: ignore[override]
            raise Bug("no such bar")

    async def main(clock: VirtualClock) -> None:
        desk = Desk("dep", Broken(), clock, symbols=("A",), freq="1m", post=lambda _i: None, note=lambda _k, _p: None)
        one, yes = np.ones(1), np.ones(1, dtype=bool)
        desk.subscription.on_bar(Bar(0, 1, 2, ("A",), one, one, one, one, one, one, yes, yes, complete=True))
        await desk.run()

    with pytest.raises(Bug, match="no such bar"):
        run_virtual(main)
