"""One share on 모의투자, bought at the day's lower limit, changed and cancelled: what KIS says of it, step by step.

Contract: `rehearse` yields one `Checked` an assumption. No order is sent on 실전, while `orders` is False, or where the
first is refused; whatever still stands at the end is cancelled. These are the only orders that do not pass the gates:
there is no strategy, no money and no engine behind them.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from quantkit.brokers.kis.answers import Refusal
from quantkit.brokers.kis.assumptions import SPELLINGS, Checked, State, Untestable
from quantkit.brokers.kis.codes import reason_of
from quantkit.brokers.kis.figures import SECOND
from quantkit.errors import QuantkitError, RetryLater
from quantkit.trading.orders import Side

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from quantkit.brokers.kis.assumptions import Assumptions
    from quantkit.brokers.kis.frames import OrderNotice
    from quantkit.brokers.kis.ledger import Accepted, OrderLine

CASH, CHANGE, LIST = "order-cash", "order-rvsecncl", "inquire-daily-ccld"
ASSUMED: Final = {
    "ORDER_CODES": "a buy is accepted with 40600000, a change with 40620000, a cancel with 40630000",
    "REPLY_KEYS": "the answer to an order names KRX_FWDG_ORD_ORGNO, ODNO and ORD_TMD, in whatever capitals",
    "LIST_LAG": "an order is in the list of the day within 90 s",
    "ROW_SPELLING": f"a row of the list has {' or '.join(SPELLINGS)}, and excg_id_dvsn_cd in whatever capitals",
    "RESERVATION": "an open buy takes its money off what may be bought (the witness of lost orders)",
    "CHANGE_MAKES_A_NUMBER": "a change gives a new number that names the old one, and the old one has nothing left",
    "OLD_NUMBER_IS_DEAD": "the number before a change can no longer be cancelled (40330000)",
    "CANCEL_SHOWS": "a cancelled order has nothing left in the list",
    "TOO_MUCH_MONEY": "a buy beyond what there is money for is refused with 40250000",
    "NOTICES_COME": "own orders are told on the stream (H0STCNI9)",
    "CHANGE_NOTICE": "a change is told with RCTF_CLS 1 and ACPT_YN 2, naming the old number",
    "CANCEL_NOTICE": "a cancel is told with RCTF_CLS 2 and ACPT_YN 2, naming the order",
}


async def rehearse(walk: Assumptions) -> AsyncIterator[Checked]:
    """All of `ASSUMED`, each once."""
    told: dict[str, Checked] = {}
    why = "orders are not tried on 실전" if not walk.paper else "--no-orders" if not walk.orders else ""
    if not why:
        one = _Rehearsal(walk, told)
        try:
            await one.run()
        except Untestable as problem:
            why = str(problem)
        except QuantkitError as problem:
            why = f"{type(problem).__name__}: {problem}"
        finally:
            await one.clear()
    for name, assumed in ASSUMED.items():
        yield told.get(name) or Checked(name, assumed, "not testable", why or "it did not come to that")


class _Rehearsal:
    """The orders of one walk."""

    def __init__(self, walk: Assumptions, told: dict[str, Checked]) -> None:
        self.walk, self.client, self.heard = walk, walk.client, walk.heard
        self._told = told
        self._sent: list[Accepted] = []
        self._notices: list[OrderNotice] = []

    def tell(self, name: str, holds: bool | None, seen: str) -> None:
        """What was seen of an assumption; None: it cannot be told."""
        state: State = "not testable" if holds is None else "confirmed" if holds else "refuted"
        self._told[name] = Checked(name, ASSUMED[name], state, seen)

    async def run(self) -> None:
        """Buy, change, cancel."""
        listening = await self._listen()
        try:
            price = await self.client.price(self.walk.symbol)
            free = (await self.client.buyable(self.walk.symbol, price.lower)).amount
            first = await self._first(price.lower)
            await self._listed(first)
            await self._reserved(free, price.lower)
            second = await self._changed(first, price.lower + price.tick)
            await self._cancelled(second)
            await self._too_much(price.lower)
            await self._told_of(first, second, heard=listening is not None)
        finally:
            if listening is not None:
                listening.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await listening

    async def clear(self) -> None:
        """Cancel whatever stands of ours."""
        with contextlib.suppress(QuantkitError):
            ours = {each.number: each for each in self._sent}
            for line in await self.client.orders():
                if line.leaves and line.number in ours:
                    await self.client.cancel(line.number, ours[line.number].branch)

    # --- steps ------------------------------------------------------------------------------------------------------

    async def _first(self, price: float) -> Accepted:
        try:
            found = await self.client.submit(self.walk.symbol, Side.BUY, 1, price=price)
        except Refusal as refusal:
            raise Untestable(f"the first order was refused: {refusal.code} {refusal.text}") from None
        self._sent.append(found)
        self.tell("ORDER_CODES", None, f"buy {self.heard.code(CASH)}")
        keys = sorted(self.heard.body(CASH).get("output", {}))
        wanted = {"krx_fwdg_ord_orgno", "odno", "ord_tmd"}
        self.tell("REPLY_KEYS", wanted <= {key.lower() for key in keys}, ", ".join(keys))
        return found

    async def _listed(self, order: Accepted) -> None:
        """Wait until an order is in the list."""
        began = self.client.clock.now_ns()
        while self.client.clock.now_ns() < began + 90 * SECOND:
            if await self._line(order.number) is not None:
                lag = (self.client.clock.now_ns() - began) / SECOND
                self.tell("LIST_LAG", True, f"{lag:.1f} s after the answer")
                names = {name for row in self.heard.body(LIST).get("output1", []) for name in row}
                spelled = [name for name in SPELLINGS if name in names]
                venue = [name for name in names if name.lower() == "excg_id_dvsn_cd"]
                self.tell("ROW_SPELLING", bool(spelled and venue), ", ".join([*spelled, *venue]) or "neither")
                return
            await self.walk.pause(1.0)
        self.tell("LIST_LAG", False, "not in the list after 90 s")
        raise Untestable("the order is not in the list")

    async def _reserved(self, free: int, price: float) -> None:
        after = (await self.client.buyable(self.walk.symbol, price)).amount
        self.tell("RESERVATION", free - after >= price, f"{free - after:,} won less with {price:,.0f} won on order")

    async def _changed(self, first: Accepted, price: float) -> Accepted:
        second = await self._patiently(lambda: self.client.modify(first.number, first.branch, None, price))
        self._sent.append(second)
        code, old, new = self.heard.code(CHANGE), await self._line(first.number), await self._line(second.number)
        self.tell("ORDER_CODES", None, f"{self._told['ORDER_CODES'].seen}, change {code}")
        linked = new is not None and new.original == first.number
        left = None if old is None else old.leaves
        seen = f"another number: {second.number != first.number}, named: {linked}, left of the old: {left}"
        self.tell("CHANGE_MAKES_A_NUMBER", linked and second.number != first.number and left == 0, seen)
        said = await self._refusal(self.client.cancel(first.number, first.branch))
        self.tell("OLD_NUMBER_IS_DEAD", said.startswith("40330000"), said or "it was accepted")
        return second

    async def _cancelled(self, order: Accepted) -> None:
        gone = await self._patiently(lambda: self.client.cancel(order.number, order.branch))
        codes = f"{self._told['ORDER_CODES'].seen}, cancel {self.heard.code(CHANGE)}"
        self.tell("ORDER_CODES", codes == "buy 40600000, change 40620000, cancel 40630000", codes)
        line, own = await self._line(order.number), await self._line(gone.number)
        row = "a row of its own" if own is not None else "no row of its own"
        seen = "it is not in the list" if line is None else f"{line.leaves} left, {line.canceled} cancelled"
        self.tell("CANCEL_SHOWS", line is not None and line.leaves == 0, f"{seen}; the cancel has {row}")

    async def _too_much(self, price: float) -> None:
        money = (await self.client.buyable(self.walk.symbol, price)).largest_amount
        shares = int(2 * money / price) + 10
        said = await self._refusal(self.client.submit(self.walk.symbol, Side.BUY, shares, price=price))
        known = reason_of(*said.split(" ", 1))[0] if " " in said else ""
        self.tell("TOO_MUCH_MONEY", said.startswith("40250000"), f"{said or 'it was accepted'} ({known})")

    async def _told_of(self, first: Accepted, second: Accepted, *, heard: bool) -> None:
        """What the stream said of all this."""
        if not heard:
            return
        await self.walk.pause(3.0)
        ours = [each for each in self._notices if {each.number, each.original} & {first.number, second.number}]
        self.tell("NOTICES_COME", bool(ours), f"{len(ours)} notices of these orders")
        for name, change, old in (("CHANGE_NOTICE", "modify", first), ("CANCEL_NOTICE", "cancel", second)):
            said = [each for each in ours if each.change == change]
            seen = ", ".join(f"ACPT_YN {each.state} of {each.original or 'nothing'}" for each in said)
            good = any(each.state == "2" and each.original == old.number for each in said)
            self.tell(name, good if ours else None, seen or "none came")

    # --- helpers ----------------------------------------------------------------------------------------------------

    async def _line(self, number: str) -> OrderLine | None:
        return next((line for line in await self.client.orders() if line.number == number), None)

    async def _patiently(self, ask: Callable[[], Awaitable[Accepted]]) -> Accepted:
        """A change or a cancel; again a second later where the exchange has not taken the order yet."""
        try:
            return await ask()
        except RetryLater:
            await self.walk.pause(1.0)
            return await ask()

    async def _refusal(self, asked: Awaitable[Accepted]) -> str:
        """KIS's code and text; "" where it was accepted after all, which `clear` takes back."""
        try:
            self._sent.append(await asked)
        except Refusal as refusal:
            return f"{refusal.code} {refusal.text}"
        return ""

    async def _listen(self) -> asyncio.Task[None] | None:
        """Hear own orders from here on."""
        stream = self.walk.stream
        if stream is None or not stream.hears_orders:
            self._untold("the keys have no HTS id (KIS_HTS_ID): without it nothing is told")
            return None
        try:
            ear = await stream.open("orders")
        except QuantkitError as problem:
            self._untold(f"{type(problem).__name__}: {problem}")
            return None

        async def hear() -> None:
            try:
                with contextlib.suppress(QuantkitError):
                    async for notice in ear:
                        self._notices.append(notice)
            finally:
                await stream.leave(ear)

        return asyncio.get_running_loop().create_task(hear(), name="kis rehearsal")

    def _untold(self, why: str) -> None:
        for name in ("NOTICES_COME", "CHANGE_NOTICE", "CANCEL_NOTICE"):
            self.tell(name, None, why)
