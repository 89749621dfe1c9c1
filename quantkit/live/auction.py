"""Orders "at open" live in the opening auction only: what it leaves of them is taken back.

Contract: pure. An exchange has no such order for us; what does not fill in the call would stand all day, and could fill
at prices that the rule never meant. The first trade of a name after the open says that its call has printed; where none
comes, the longest that a call may take. `GRACE` later, when fills of the call are known, the rest is cancelled: the
fold hears `COLLAR`, as in a backtest whose open was beyond the collar, and decides again at its next bar.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from quantkit.live import life
from quantkit.live.turn import SECOND, Turn
from quantkit.trading.orders import Order, Status

if TYPE_CHECKING:
    from quantkit.trading.ports import Tick

GRACE: Final = 1 * SECOND
LONGEST: Final = 200 * SECOND
"""After the open: two minutes more where the price is too wild, each end up to 30 s later at random, and some."""

_AT_OPEN: Final = frozenset({"open", "at_open"})
_STANDS: Final = frozenset({Status.ACCEPTED, Status.PARTIALLY_FILLED})


def printed(turn: Turn, tick: Tick) -> None:
    """A trade: perhaps the first of a name after the open."""
    opening = turn.engine.now.opening
    opens, seen = opening[tick.symbol]
    if seen is None and tick.time >= opens:
        opening[tick.symbol] = opens, turn.time
        turn.wake_by("opening", turn.time + GRACE)


def end(turn: Turn) -> None:
    """Take back what the opening auction has left; ask for the moment when that is due."""
    engine, before = turn.engine, turn.engine.now.opening
    if engine.settings.capabilities.cuts:
        return  # it ends them itself, when it has seen the whole bar
    engine.now.opening = {}
    for name in list(engine.working):
        order = engine.orders[name]
        if order.intent.kind not in _AT_OPEN or order.intent.window.phase != "opening_auction":
            continue
        if name in engine.leaving or order.status not in _STANDS:
            continue
        symbol = order.intent.symbol
        opens, seen = before.get(symbol, (_open_of(turn, order), None))
        due = opens + LONGEST if seen is None else seen + GRACE
        if turn.time >= due:
            life.cancel(turn, order, "COLLAR")
            continue
        engine.now.opening[symbol] = opens, seen
        turn.wake_by("opening", due)


def _open_of(turn: Turn, order: Order) -> int:
    """When the session opens, in whose call an order waits."""
    settings, window = turn.engine.settings, order.intent.window
    day = settings.hours.date_of(window.opens, market=settings.market)
    session = settings.hours.session_of(day, market=settings.market)
    return window.closes if session is None else session.opens
