"""A hub's two works beside the stream: making a session ready, and reading what the stream has missed.

Contract: bars of sessions that passed since the last one folded come first, as backfill, out of the broker's candles;
then the bars of the session that is on. Holes are filled name by name, those of bars not yet given before those that
were, or with them where one answer holds both; bars of sampled names are corrected like the latter. Bars shorter than a
minute have no chart to be filled from. A request that fails is made again a second later.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from quantkit.errors import QuantkitError
from quantkit.live.bars import GRACE, MINUTE, SECOND, TickBars
from quantkit.live.planner import SHARE
from quantkit.live.windows import next_span, windows_of

if TYPE_CHECKING:
    from quantkit.live.hub import MarketHub, Served
    from quantkit.live.windows import Span

_PASS: Final = 50  # requests before the list of holes is made anew
_TOGETHER: Final = 25 * MINUTE  # so much of a chart comes at once
_ATTEMPTS: Final = 30  # for a name's chart of a session that has passed


async def prepare(hub: MarketHub) -> None:
    """Bars for every session: an hour before its open, or as soon as somebody asks."""
    while True:
        hub.unready.clear()
        span, now = hub.next_span(), hub.clock.now_ns()
        at = span.opens - round(hub.settings.before * SECOND)
        for one in [one for one in hub.served if one.subscription.after]:
            await _past(hub, one, span)
        if now >= at:
            fresh = [one for one in hub.served if one.span != span]
            if fresh:
                await _begin(hub, fresh, span)
            at = span.closes
        await hub.until(hub.unready, at)


async def _begin(hub: MarketHub, fresh: list[Served], span: Span) -> None:
    """Base prices, then bars; the stream is asked for the names as well."""
    hub.tries.clear()
    symbols = sorted({name for one in fresh for name in one.subscription.symbols})
    known = {day.symbol: day for day in await hub.instruments(symbols)}
    last = {name: day.base for name, day in known.items()}
    now = hub.clock.now_ns()
    for one in fresh:
        one.span = span
        asking = 2 * len(one.names) / hub.settings.requests_per_second
        catch_up = max(MINUTE, round(asking * SECOND))
        one.bars = _bars(hub, one, span, last, started=max(now, span.opens), catch_up=catch_up)
        one.told.clear()
        if hub.up:
            one.bars.generation = hub.generation
        else:
            one.bars.outage(now)
        polled = [name for name in hub.plan.polled if name in one.names]
        if polled:
            one.bars.outage(span.opens, symbols=polled)
        if one.subscription.on_session is not None:
            one.subscription.on_session(span, tuple(known[s] for s in one.subscription.symbols if s in known))
    try:
        await hub.resubscribe()
    except (QuantkitError, OSError, TimeoutError) as error:
        hub.give_up(f"SUBSCRIBE: {error}")
    hub.changed.set()
    hub.work.set()


def _bars(hub: MarketHub, one: Served, span: Span, last: dict[str, float], *, started: int, catch_up: int) -> TickBars:
    """Bars of a session for one subscription."""
    length = one.subscription.length
    windows = windows_of(span.date, market=hub.market, venue=hub.venue)
    patience = round(hub.settings.confirm * SECOND) if length is None else round(SHARE * length)
    sampled = [name for name in hub.plan.sampled if name in one.names]
    oldest = round(max((hub.plan.ages[name] for name in sampled), default=0.0) * SECOND)
    return TickBars(
        one.subscription.symbols,
        opens=span.opens,
        closes=span.closes,
        length=length,
        grace=GRACE if length is None else min(max(GRACE, oldest), patience),
        patience=patience,
        auction=any(window.phase == "closing_auction" for window in windows),
        confirm=length is None,
        last=last,
        after=one.subscription.after,
        started=started,
        catch_up=catch_up,
        quiet=[(w.opens, span.closes) for w in windows if w.phase == "closing_auction"],
        generation=hub.generation,
        sampled=sampled,
    )


async def _past(hub: MarketHub, one: Served, now_on: Span) -> None:
    """Sessions between the last bar folded and the one that is on or comes, out of candles alone."""
    span = next_span(one.subscription.after, market=hub.market)
    while span.opens < now_on.opens and one.span != span:
        bars = _bars(hub, one, span, {}, started=hub.clock.now_ns(), catch_up=0)
        chart = "1d" if one.subscription.length is None else "1m"
        for symbol in one.subscription.symbols:
            for _ in range(_ATTEMPTS):
                if await _fill(hub, [one], symbol, chart, span.opens, span.closes, bars=bars):
                    break
                await asyncio.sleep(hub.settings.retry)
        for bar in bars.close_due(hub.clock.now_ns()):
            hub.give(one, bar)
        span = next_span(span.closes, market=hub.market)


async def repair(hub: MarketHub) -> None:
    """Fill holes whenever there are some. A name whose chart lacks what is wanted lets the others go first."""
    while True:
        await hub.work.wait()
        hub.work.clear()
        asked = _wanted(hub)[:_PASS]
        for symbol, chart, since, until in asked:
            await _fill(hub, hub.served, symbol, chart, since, until)
            hub.changed.set()
        hub.settle_gaps()
        left = _wanted(hub)
        stuck = {request[:2] for request in asked} & {request[:2] for request in left}
        hub.tries.update(stuck)
        if left:
            await asyncio.sleep(hub.settings.retry if stuck else 0)
            hub.work.set()


def _wanted(hub: MarketHub) -> list[tuple[str, str, int, int]]:
    """(name, chart, since, until) of everything that is over and lacks candles: bars to be given first, then those that
    were; names asked for in vain behind the others, else in the order of the plan."""
    now = hub.clock.now_ns()
    spans: dict[tuple[int, str, str], tuple[int, int]] = {}
    for one in hub.served:
        bars, length = one.bars, one.subscription.length
        if bars is None or (length is not None and length < MINUTE):
            continue
        chart = "1d" if length is None else "1m"
        for given, holes in enumerate((bars.holes(now), bars.scars())):
            for hole in holes:
                for symbol in hole.symbols:
                    since, until = spans.get((given, symbol, chart), (hole.begin, hole.end))
                    spans[given, symbol, chart] = min(since, hole.begin), max(until, hole.end)
    for given, symbol, chart in [key for key in spans if key[0]]:
        since, until = spans[given, symbol, chart]
        fresh = spans.get((0, symbol, chart))
        if fresh is not None and fresh[1] - since <= _TOGETHER:  # one request for both
            spans[0, symbol, chart] = (since, max(until, fresh[1]))
            del spans[given, symbol, chart]
    rank = {name: place for place, name in enumerate((*hub.plan.fed, *hub.plan.polled))}
    ordered = sorted(spans, key=lambda key: (key[0], hub.tries[key[1], key[2]], rank.get(key[1], 0), key[2]))
    return [(key[1], key[2], *spans[key]) for key in ordered]


async def _fill(
    hub: MarketHub,
    served: list[Served],
    symbol: str,
    chart: str,
    since: int,
    until: int,
    *,
    bars: TickBars | None = None,
) -> bool:
    """Read one name's candles into everybody's bars; whether that worked."""
    try:
        candles = await hub.candles(symbol, chart, since, until)
    except (QuantkitError, OSError, TimeoutError):
        return False
    for one in served:
        into = one.bars if bars is None else bars
        daily = one.subscription.length is None
        if into is None or symbol not in one.names or daily != (chart == "1d"):
            continue
        revisions = into.fill(symbol, since, until, candles)
        if revisions and one.subscription.on_revised is not None:
            one.subscription.on_revised(revisions)
    return True
