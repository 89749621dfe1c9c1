"""What the engine asks for, carried out: requests to the broker, looks, timers, backfills. Answers come back as inputs.

Contract: every request runs as a task of its own with a time limit on the loop's clock, and is made once: nothing here
repeats a send. How an end is told:

    the ticket came                      accepted, with the broker's number
    Refused                              refused, with its code
    RetryLater                           not_sent: nothing left this machine
    OutcomeUnknown, the limit, others    unknown: an order may stand

A look that fails in any part says so and shows nothing: half a look is not a look.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, assert_never

from quantkit.errors import OutcomeUnknown, QuantkitError, Refused, RetryLater
from quantkit.live import metrics
from quantkit.live.messages import (
    Answered,
    Backfill,
    CancelOrder,
    Effect,
    Input,
    Look,
    Looked,
    ModifyOrder,
    Submit,
    TimerFired,
    Wake,
)
from quantkit.trading.orders import Side

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from quantkit.live.clock import Clock
    from quantkit.trading.ports import Broker, Ticket


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Seconds that a request may take before its outcome counts as unknown, and a look as failed; leave: after its
    decision, in which an order must have left, or it does not leave at all."""

    order: float = 10.0
    leave: float = 30.0
    look: float = 30.0
    connect: float = 30.0


class Effects:
    """Carries out the effects of one account. `post` takes the inputs that come of it."""

    def __init__(
        self,
        account: str,
        broker: Broker,
        clock: Clock,
        post: Callable[[Input], None],
        *,
        limits: Limits | None = None,
        backfill: Callable[[Backfill], Awaitable[None]] | None = None,
        alarm: Callable[[str, str], None] | None = None,
    ) -> None:
        self.account, self.broker, self.clock, self.post = account, broker, clock, post
        self.limits = Limits() if limits is None else limits
        self._backfill, self._alarm = backfill, alarm
        self._running: dict[asyncio.Task[None], None] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def run(self, effect: Effect) -> None:
        """Start one effect; returns at once."""
        match effect:
            case Submit():
                approved = effect.approved
                self._ask("submit", approved.order.id, self.broker.submit(approved))
            case CancelOrder():
                self._ask("cancel", effect.order, self.broker.cancel(effect.number, effect.symbol, effect.quantity))
            case ModifyOrder():
                call = self.broker.modify(effect.number, effect.symbol, effect.quantity, effect.price)
                self._ask("modify", effect.order, call)
            case Look():
                self._start(self._look(effect), f"look {effect.look}")
            case Wake():
                self._wake(effect)
            case Backfill():
                if self._backfill is not None:
                    self._start(self._fill(self._backfill, effect), "backfill")
            case _:
                assert_never(effect)

    async def settle(self) -> None:
        """Wait until every request has ended; their limits bound that."""
        while self._running:
            await asyncio.wait(list(self._running))

    def drop_timers(self) -> None:
        """Forget what would wake the engine."""
        for handle in self._timers.values():
            handle.cancel()
        self._timers.clear()

    def _start(self, work: Coroutine[object, object, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=f"{self.account} {name}")
        self._running[task] = None
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None and self._alarm is not None:
            self._alarm("EFFECT_FAILED", f"{task.get_name()}: {error!r}")

    def _ask(self, request: str, order: str, call: Awaitable[Ticket]) -> None:
        self._start(self._answer(request, order, call), f"{request} {order}")

    async def _answer(self, request: str, order: str, call: Awaitable[Ticket]) -> None:
        """One request to its end, whatever that is."""
        loop = asyncio.get_running_loop()
        begun, number, code, detail = loop.time(), None, "", ""
        try:
            async with asyncio.timeout(self.limits.order):
                number = (await call).number
            outcome = "accepted"
        except Refused as error:
            outcome, code, detail = "refused", error.code, str(error)
        except RetryLater as error:
            outcome, code, detail = "not_sent", "NOT_SENT", str(error)
        except TimeoutError:
            outcome, code, detail = "unknown", "TIMEOUT", f"no answer within {self.limits.order:g} s"
        except OutcomeUnknown as error:
            outcome, code, detail = "unknown", "NO_ANSWER", str(error)
        except Exception as error:  # noqa: BLE001 - a bug of a broker's code proves nothing about the order
            outcome, code, detail = "unknown", "BUG", repr(error)
            if self._alarm is not None:
                self._alarm("BROKER_BUG", f"{request} {order}: {error!r}")
        metrics.ANSWERS.labels(self.account, request, outcome).inc()
        metrics.ANSWER_SECONDS.labels(self.account, request).observe(loop.time() - begun)
        self.post(Answered(self.clock.now_ns(), request, order, outcome, number, code, detail))

    async def _look(self, look: Look) -> None:
        asked = self.clock.now_ns()
        try:
            async with asyncio.timeout(self.limits.look):
                found = await self._read(look, asked)
        except TimeoutError:
            found = Looked(0, look.look, asked, failed=f"TIMEOUT: no answer within {self.limits.look:g} s")
        except QuantkitError as error:
            found = Looked(0, look.look, asked, failed=f"{type(error).__name__}: {error}")
        except Exception as error:  # noqa: BLE001 - whatever it was, nothing was seen
            found = Looked(0, look.look, asked, failed=f"BUG: {error!r}")
            if self._alarm is not None:
                self._alarm("BROKER_BUG", f"look {look.look}: {error!r}")
        if found.failed:
            metrics.LOOKS_FAILED.labels(self.account).inc()
        self.post(replace(found, time=self.clock.now_ns()))

    async def _read(self, look: Look, asked: int) -> Looked:
        """All that a look asks for, one after the other: orders first, so that what follows is not older."""
        broker = self.broker
        orders = tuple(await broker.orders()) if look.orders else None
        positions = tuple(await broker.positions()) if look.positions else None
        cash = await broker.cash() if look.cash else None
        orderable, sellable = {}, {}
        for order, side, symbol, price in look.witnesses:
            if side is Side.BUY:
                orderable[order] = await broker.orderable_cash(symbol, price)
            else:
                sellable[order] = await broker.sellable(symbol)
        return Looked(asked, look.look, asked, orders, positions, cash, orderable, sellable)

    def _wake(self, wake: Wake) -> None:
        if (before := self._timers.pop(wake.name, None)) is not None:
            before.cancel()

        def fire() -> None:
            if self.clock.now_ns() < wake.at:  # the clock was corrected meanwhile
                self._timers[wake.name] = self.clock.call_at(wake.at, fire)
                return
            self._timers.pop(wake.name, None)
            self.post(TimerFired(self.clock.now_ns(), wake.name))

        self._timers[wake.name] = self.clock.call_at(wake.at, fire)

    @staticmethod
    async def _fill(work: Callable[[Backfill], Awaitable[None]], effect: Backfill) -> None:
        await work(effect)
