"""Gates 1 to 6: may anything be sent, is the way free, does the exchange take it now, was it sent before.

Contract: each gate is a pure function of the order, the view and the facts of the order; it answers None or why not.
Whatever a gate needs and does not find denies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from quantkit.live.risk import exchange
from quantkit.live.risk.judged import positive
from quantkit.live.risk.view import Denied
from quantkit.live.switch import FREE, Mode
from quantkit.trading.orders import Status, kind_of

if TYPE_CHECKING:
    from quantkit.live.risk.judged import Judged
    from quantkit.live.risk.view import View
    from quantkit.trading.orders import Order

_UNSENT: Final = frozenset({Status.INITIALIZED, Status.TRIGGERED})


def trading(order: Order, view: View, facts: Judged) -> Denied | None:
    """1. The kill switch: HALTED lets nothing through, REDUCING and FLATTEN what reduces."""
    if view.modes == FREE:
        return None
    mode = view.modes.strictest
    if mode is Mode.HALTED:
        return Denied("TRADING_HALTED", f"scope={view.modes.scope}")
    if facts.reduces:
        return None
    return Denied("TRADING_REDUCING", f"scope={view.modes.scope} mode={mode} held={facts.held} order={order.quantity}")


def slot(order: Order, view: View, facts: Judged) -> Denied | None:
    """2. One unacknowledged order at a time for an account, a name and a side: what makes a lost answer findable."""
    if view.slot_busy and view.ask == "new":
        return Denied("UNRESOLVED_SLOT", f"symbol={order.intent.symbol} side={order.intent.side}")
    return None


def stream(order: Order, view: View, facts: Judged) -> Denied | None:
    """3. Sends wait for the order stream."""
    return Denied("STREAM_RECONCILING", "the order stream is not ready") if view.reconciling else None


def quote(order: Order, view: View, facts: Judged) -> Denied | None:
    """3. A price that is old or missing is no price. Orders into an auction rest on the day's base price instead."""
    if facts.into_call:
        return None if positive(view.base) else Denied("STALE_QUOTE", f"base={view.base}: no base price of the day")
    if not positive(view.last_price) or view.last_time is None:
        return Denied("STALE_QUOTE", f"last={view.last_price} time={view.last_time}: no price")
    age = abs(view.now - view.last_time) // 1_000_000  # a price of the future is as wrong as an old one
    if age > view.limits.stale_ms:
        return Denied("STALE_QUOTE", f"age_ms={age} limit_ms={view.limits.stale_ms}")
    return None


def phase(order: Order, view: View, facts: Judged) -> Denied | None:
    """4. Within its window, in the phase the window is of, and of a kind that is taken in that phase.

    One that is replaced was sent in its window, and is there already: a conditional order that shrinks in the closing
    auction.
    """
    window = order.intent.window
    if view.phase is None:
        return Denied("SESSION_PHASE", f"window={window.phase}: nothing takes orders now")
    if view.ask == "modify":
        return None
    now = exchange.PHASE_NAMES.get(view.phase, view.phase)
    if not window.opens <= view.now < window.closes:
        return Denied("SESSION_PHASE", f"now={view.now} window={window.opens}..{window.closes}")
    if now not in exchange.TAKEN_IN.get(window.phase, (window.phase,)):
        return Denied("SESSION_PHASE", f"phase={view.phase} window={window.phase}")
    kind, status = kind_of(order.intent.type, order.intent.tif), exchange.status_of(view.instrument)
    why = exchange.refusal(kind, view.date, now, order.intent.venue, view.market, status)
    return Denied("SESSION_PHASE", why) if why else None


def instrument(order: Order, view: View, facts: Judged) -> Denied | None:
    """5. Names that are halted take no order; those in trouble may only be left."""
    today = view.instrument
    if today is None:
        return Denied("INSTRUMENT_BLOCKED", "nothing is known of the name today")
    if today.halted:
        return Denied("INSTRUMENT_BLOCKED", "halted")
    if facts.reduces:
        return None
    for state in ("managed", "liquidation", "single_price"):
        if state in view.limits.blocked and getattr(today, state):
            return Denied("INSTRUMENT_BLOCKED", state)
    return None


def duplicate(order: Order, view: View, facts: Judged) -> Denied | None:
    """6. An intent is sent once: its id names deployment, bar and place, so a bar seen twice makes the same."""
    if view.ask == "new" and (order.id in view.seen or order.status not in _UNSENT):
        return Denied("DUPLICATE_SIGNAL", f"status={order.status}")
    return None
