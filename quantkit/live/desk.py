"""One deployment between the hub and its account: sessions and bars become inputs, in their order.

Contract: what the hub gives is queued and decided on one at a time, in a thread, so that a heavy strategy holds up
neither the ticks nor the other accounts. A session's morning comes after every bar before it. Prices, connections and
gaps pass straight through. The `Decider` keeps the history; here is none.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, assert_never

from quantkit.live.bars import Bar
from quantkit.live.hub import Gap, Subscription
from quantkit.market.days import epoch_days
from quantkit.trading.events import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from quantkit.live.bars import Revision
    from quantkit.live.clock import Clock
    from quantkit.live.messages import BarClosed, Input, SessionOpens
    from quantkit.live.windows import Span
    from quantkit.trading.ports import Candle, InstrumentDay


@dataclass(frozen=True, slots=True)
class _Morning:
    span: Span
    known: tuple[InstrumentDay, ...]


@dataclass(frozen=True, slots=True)
class _Revised:
    revisions: tuple[Revision, ...]


class Decides(Protocol):
    """What a desk asks of a deployment's decider."""

    def opens(self, day: int, instruments: Sequence[InstrumentDay], time: int) -> SessionOpens: ...
    def closes(
        self, candles: Sequence[Candle], close: int, time: int, *, complete: bool = True, backfill: bool = False
    ) -> BarClosed: ...


class Desk:
    """post, note: of the account's runner. revise: takes revisions of bars that were given, where history can."""

    def __init__(
        self,
        deployment: str,
        decider: Decides,
        clock: Clock,
        *,
        symbols: Sequence[str],
        freq: str,
        post: Callable[[Input], None],
        note: Callable[[Kind, dict[str, Any]], None],
        after: int = 0,
        priority: Mapping[str, int] | None = None,
        revise: Callable[[tuple[Revision, ...]], None] | None = None,
    ) -> None:
        self.deployment, self.decider, self.clock = deployment, decider, clock
        self._post, self._note, self._revise = post, note, revise
        self._work: asyncio.Queue[Bar | _Morning | _Revised] = asyncio.Queue()
        self.subscription = Subscription(
            name=deployment,
            symbols=tuple(symbols),
            freq=freq,
            on_bar=self._work.put_nowait,
            on_data=post,
            on_connection=post,
            on_gap=self._gap,
            on_revised=lambda revisions: self._work.put_nowait(_Revised(revisions)),
            on_session=lambda span, known: self._work.put_nowait(_Morning(span, known)),
            after=after,
            priority=priority or {},
        )

    async def run(self) -> None:
        """For as long as the deployment; an error of the decider ends it, and with it what it would have traded."""
        while True:
            item = await self._work.get()
            now = self.clock.now_ns()
            match item:
                case Bar():
                    self._post(await asyncio.to_thread(self._close, item, now))
                case _Morning():
                    day = int(epoch_days(item.span.date))
                    self._post(await asyncio.to_thread(self.decider.opens, day, item.known, now))
                case _Revised():
                    if self._revise is not None:
                        self._revise(item.revisions)
                case _:
                    assert_never(item)

    def _close(self, bar: Bar, now: int) -> BarClosed:
        return self.decider.closes(bar.candles(), bar.end, now, complete=bar.complete, backfill=bar.backfill)

    def _gap(self, gap: Gap, filled: bool) -> None:
        kind = Kind.GAP_FILLED if filled else Kind.GAP_DETECTED
        self._note(kind, {"symbols": list(gap.symbols), "since": gap.since, "until": gap.until})
