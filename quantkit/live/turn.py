"""A turn: what one input makes of an account.

`Turn` collects the entries and effects of one input; `write` folds an entry as it is made, so memory and journal cannot
differ. What entries do not hold is what a morning or an evening did to a Book: a turn that took such a step is `due` a
snapshot in the same transaction. Contract: pure; time comes from the input, UTC nanoseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quantkit.live.account import SECOND, Engine, External, Fleeting, Hunt, Purpose, Settings
from quantkit.live.entries import fold
from quantkit.live.messages import CancelOrder, Effect, Look, Submit, Wake
from quantkit.live.switch import Mode, Scope, agrees, change, rule
from quantkit.trading.events import Entry, Kind

if TYPE_CHECKING:
    import datetime as dt

    from quantkit.live.windows import Span
    from quantkit.trading.orders import Order, Side

__all__ = ["SECOND", "Engine", "External", "Fleeting", "Hunt", "Purpose", "Settings", "Turn", "fold", "over"]


class Turn:
    """What one input makes of an account."""

    __slots__ = ("effects", "engine", "entries", "time")

    def __init__(self, engine: Engine, time: int) -> None:
        self.engine, self.time = engine, time
        self.entries: list[Entry] = []
        self.effects: list[Effect] = []

    def date(self, time: int | None = None) -> dt.date:
        """The exchange's day, of a moment or now."""
        settings = self.engine.settings
        return settings.hours.date_of(self.time if time is None else time, market=settings.market)

    def session(self) -> Span | None:
        """Today's session; None on a day without one."""
        settings = self.engine.settings
        return settings.hours.session_of(self.date(), market=settings.market)

    def owner(self, number: str | None, time: int) -> Order | None:
        """The order of ours that has a number at the broker, or asked for it, on the day of a moment: numbers come
        again every day."""
        engine = self.engine
        for names in (engine.number, engine.now.requests):
            order = engine.orders.get(names.get(number or "", ""))
            if order is not None and self.date(order.submitted or time) == self.date(time):
                return order
        return None

    def others(self, number: str | None, time: int) -> External | None:
        """The order of others that has it."""
        known = self.engine.external.get(number or "")
        return known if known is not None and known.date == self.engine.date_of(time) else None

    def write(
        self, kind: Kind, payload: dict[str, Any], *, order: str | None = None, deployment: str | None = None
    ) -> Order | None:
        """Make an entry, and what it says true."""
        entry = Entry(kind, self.time, payload, order=order, deployment=deployment)
        self.entries.append(entry)
        return fold(self.engine, entry)

    def order(self, kind: Kind, order: Order, payload: dict[str, Any]) -> Order:
        """An entry of an order; the order after it."""
        after = self.write(kind, payload, order=order.id, deployment=order.intent.deployment or None)
        return order if after is None else after

    def alarm(self, code: str, detail: str, *, key: str = "", order: str | None = None) -> None:
        """Something a person should know; once a day for each key."""
        key = f"{code}:{key}"
        if key not in self.engine.alarms:
            self.write(Kind.ALARM, {"code": code, "detail": detail, "key": key}, order=order)

    def restrict(self, scope: Scope, name: str, mode: Mode, *, reason: str, code: str, lifts: str = "") -> None:
        """Turn the switch tighter by rule."""
        _, entries = change(
            self.engine.switches, scope, name, mode, reason=reason, by=rule(code), time=self.time, lifts=lifts
        )
        for entry in entries:
            self.keep(entry)

    def agree(self, scope: Scope, name: str, *, code: str) -> None:
        """What a rule had shut until it agrees does."""
        for entry in agrees(self.engine.switches, scope, name, by=rule(code), time=self.time)[1]:
            self.keep(entry)

    def keep(self, entry: Entry) -> None:
        """An entry that somebody else made."""
        self.entries.append(entry)
        fold(self.engine, entry)

    def send(self, effect: Submit | CancelOrder | Effect) -> None:
        """Something for the runner to do, once the entries are safe."""
        self.effects.append(effect)

    def wake(self, name: str, at: int) -> None:
        """Ask for a moment; a later one of the same name replaces it."""
        if self.engine.now.timers.get(name) != at:
            self.engine.now.timers[name] = at
            self.effects.append(Wake(name, at))

    def wake_by(self, name: str, at: int) -> None:
        """Ask for a moment unless an earlier one of that name comes anyway."""
        known = self.engine.now.timers.get(name)
        if known is None or known <= self.time or known > at:
            self.wake(name, at)

    def look(
        self, why: str, *, orders: bool = True, positions: bool = False, cash: bool = False,
        witnesses: tuple[tuple[str, Side, str, float | None], ...] = (), of: frozenset[str] = frozenset(),
    ) -> None:  # fmt: skip
        """Ask the broker."""
        now = self.engine.now
        now.look += 1
        now.looks[now.look] = Purpose(why, of)
        self.effects.append(Look(now.look, orders=orders, positions=positions, cash=cash, witnesses=witnesses))


def over(turn: Turn) -> bool:
    """Whether the day's session is over, or there is none."""
    session = turn.session()
    return session is None or turn.time >= session.closes
