"""From an intent to the broker: its window, the queue, the cut to what can be ordered, the gates, the send.

Contract: pure. One unacknowledged order at a time for each symbol and side, since a broker that knows no id of ours
can only be asked about one such order. `OrderSubmitting` is an entry of the turn before `Submit` is an effect of it.
Sales go before purchases. What its window's end finds unsent is dead.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

from quantkit.live import life, outcomes
from quantkit.live.messages import Submit
from quantkit.live.risk import Denied, GateLimits, View
from quantkit.live.switch import Mode, Modes, Scope
from quantkit.live.turn import SECOND, Turn
from quantkit.market.orders import whole_lots
from quantkit.trading.events import Kind
from quantkit.trading.orders import TERMINAL, Order, OrderType, Side, Status, Window

if TYPE_CHECKING:
    from quantkit.live.sleeves import Sleeve
    from quantkit.live.turn import Settings

MINUTE: Final = 60 * SECOND
_PHASES: Final = ("opening_auction", "continuous", "closing_auction")
STOP_PAUSE: Final = 10 * SECOND  # until a stop that was denied is looked at again
FOREVER: Final = 2**63
_LASTING: Final = frozenset({"TRADING_HALTED", "TRADING_REDUCING", "INSTRUMENT_BLOCKED"})
_PASSING: Final = frozenset({"STALE_QUOTE", "STREAM_RECONCILING"})
_STANDS: Final = frozenset({Status.ACCEPTED, Status.PARTIALLY_FILLED})
_AT_ONCE: Final = frozenset({"ioc", "fok"})
_CHANGING: Final = frozenset({Status.SUBMITTED, Status.PENDING_CANCEL, Status.PENDING_UPDATE})
_QUOTED: Final = frozenset({"continuous", "session"})
_PRICED: Final = frozenset({OrderType.LIMIT, OrderType.CONDITIONAL})


def window_of(sleeve: Sleeve, kind: str, close: int, settings: Settings, *, tif: str = "day") -> Window:
    """When an order decided at a bar's close may be sent.

    Daily bars: the next session's opening auction ("open"), its closing auction ("close"), or all of it until the
    closing auction. Intraday bars: the next bar. "at_open" and "at_close" wait for their auction on bars of any length.
    No auction takes what has to fill at once ("ioc", "fok").
    """
    if kind == "same_close":
        return Window("closing_auction", close, close + 60 * MINUTE)
    find = partial(settings.hours.next_window, market=settings.market, venue=sleeve.venue)
    intraday = sleeve.book.intraday
    if kind == "at_close" or (kind == "close" and not intraday):
        return find("closing_auction", close)
    ahead = [find(phase, close) for phase in _PHASES]
    if tif in _AT_ONCE:
        return ahead[1]
    if kind == "at_open" or (kind == "open" and not intraday):
        return ahead[0]
    if intraday:
        first = min(ahead, key=lambda window: max(window.opens, close))
        opens = max(first.opens, close)
        closes = min(first.closes, close + sleeve.step) if sleeve.step and first.opens <= close else first.closes
        return Window(first.phase, opens, max(closes, opens + 1))
    return Window("session", ahead[0].opens, find("continuous", ahead[0].opens).closes)


def pump(turn: Turn) -> None:
    """Send what may be sent now; end what is too late; ask for the moment when the next may."""
    engine = turn.engine
    for name in list(engine.now.standing):
        _replace(turn, name)
    if not engine.waiting:
        return
    queue = sorted((engine.orders[i] for i in engine.waiting), key=lambda order: order.intent.side is Side.BUY)
    for order in queue:
        window = order.intent.window
        if turn.time >= window.closes:
            life.finish(turn, order, Status.EXPIRED, "WINDOW_CLOSED")
        elif turn.time < window.opens:
            turn.wake_by("windows", window.opens)
        else:
            turn.wake_by("windows", window.closes)
            if _may_go(turn, order):
                _send(turn, order)


def _may_go(turn: Turn, order: Order) -> bool:
    """Whether its turn has come."""
    engine, sleeve = turn.engine, turn.engine.sleeve_of(order)
    if engine.now.stopped or engine.now.phase != "ready":
        return False
    if sleeve is not None and order.intent.fold_order >= 0 and not sleeve.opened:
        return False  # the morning is still to come
    if order.intent.source == "manual":
        return True  # a person is told at once
    return not slot_busy(turn, order) and not _other_side_leaves(turn, order)


def _other_side_leaves(turn: Turn, order: Order) -> bool:
    """Whether an order of the name on the other side is being taken back: sent now, this one could meet it."""
    engine, intent = turn.engine, order.intent
    return any(
        engine.orders[name].intent.symbol == intent.symbol and engine.orders[name].intent.side is not intent.side
        for name in engine.leaving
        if name in engine.working
    )


def slot_busy(turn: Turn, order: Order) -> bool:
    """Whether an order of the same name and side is on its way, being taken back, or unanswered.

    An unanswered sale does not hold up others: the broker bounds what can be sold.
    """
    engine, intent = turn.engine, order.intent
    for name in engine.working:
        other = engine.orders[name]
        if (other.intent.symbol, other.intent.side) != (intent.symbol, intent.side):
            continue
        if other.unresolved_since is not None and intent.side is Side.SELL:
            continue
        if other.status in _CHANGING or other.id in engine.leaving:
            return True
    return False


def _replace(turn: Turn, name: str) -> None:
    """Bring an order that stands to what the fold wants of it, once it stands and the gates agree.

    A price that is old, or a stream that is not ready, are waited for. What the gates deny otherwise must not stay at
    its old price either: it is taken back.
    """
    engine = turn.engine
    order, (total, price) = engine.orders.get(name), engine.now.standing[name]
    if order is None or order.status in TERMINAL or name in engine.leaving:
        del engine.now.standing[name]
        return
    if order.status not in _STANDS or order.number is None or engine.now.stopped:
        return
    left = min(total - order.filled, order.leaves)
    if left < 1 or (left == order.leaves and price == order.price):
        del engine.now.standing[name]
        if left < 1:
            life.cancel(turn, order, "NOT_WANTED")
        return
    asked = order.changed(quantity=order.filled + left, price=price)
    judged = engine.gate(asked, view_of(turn, asked, ask="modify"))
    if isinstance(judged, Denied) and judged.code in _PASSING:
        return
    del engine.now.standing[name]
    if isinstance(judged, Denied):
        life.cancel(turn, order, judged.code)
    else:
        life.modify(turn, order, quantity=left, price=price)


def _send(turn: Turn, order: Order) -> None:
    """Through the gates, and out."""
    engine, sleeve = turn.engine, turn.engine.sleeve_of(order)
    quantity, price = order.quantity, order.price
    if order.intent.rule == "flatten":
        quantity = _free(turn, order)  # all there is, now that nothing else of the name stands
        if quantity < 1:
            life.finish(turn, order, Status.CANCELED, "NOTHING_HELD")
            return
    if sleeve is not None and order.intent.fold_order in sleeve.wanted and "~" not in order.id:
        quantity, price = sleeve.wanted[order.intent.fold_order]
    if quantity < 1:
        life.finish(turn, order, Status.CANCELED, "NOT_WANTED")
        return
    if order.intent.type in _PRICED and price is None:
        turn.order(Kind.ORDER_DENIED, order, {"code": "NO_PRICE", "detail": "no morning gave its limit"})
        return
    asked = order.changed(quantity=quantity, price=price)
    cut = _orderable(turn, asked)
    ready = asked.changed(quantity=cut) if 0 < cut < quantity else asked
    view = view_of(turn, ready)
    judged = engine.gate(ready, view)
    if isinstance(judged, Denied):
        _hold_back(turn, order, judged.code)
        turn.order(Kind.ORDER_DENIED, order, {"code": judged.code, "detail": judged.detail})
        if judged.sets_reducing and sleeve is not None:
            lifts = "session" if judged.code == "DAILY_LOSS" else ""
            turn.restrict(Scope.DEPLOYMENT, sleeve.name, Mode.REDUCING, reason=judged.detail, code=judged.code,
                          lifts=lifts)  # fmt: skip
        return
    payload: dict[str, Any] = {"quantity": judged.quantity, "price": judged.price, **_arrival(turn, order)}
    if ready.quantity < quantity:
        payload |= {"wanted": quantity, "cut": "ORDERABLE_CASH" if order.intent.side is Side.BUY else "SELLABLE"}
    sent = turn.order(Kind.ORDER_SUBMITTING, order, payload)
    if order.intent.side is Side.BUY and not engine.settings.capabilities.cuts:
        engine.now.orderable -= _cost(turn, sent)
    engine.now.last_sent = turn.time
    turn.send(Submit(judged))


def _hold_back(turn: Turn, order: Order, code: str) -> None:
    """A stop that was denied would be met again by the next price, and denied again."""
    if order.status is Status.TRIGGERED:
        until = FOREVER if code in _LASTING else turn.time + STOP_PAUSE
        turn.engine.now.denied[order.intent.deployment, order.intent.symbol] = until


def _arrival(turn: Turn, order: Order) -> dict[str, float]:
    """The market that an order meets in continuous trading: the best bid and ask; an auction has none."""
    quote = turn.engine.now.quotes.get(order.intent.symbol)
    if order.intent.window.phase not in _QUOTED or quote is None or not quote.bids or not quote.asks:
        return {}
    return {"bid": float(quote.bids[0][0]), "ask": float(quote.asks[0][0])}


def _cost(turn: Turn, order: Order) -> int:
    """Money that a buy needs, with its commission."""
    value = outcomes.cost_of(turn, order)
    return value + life.costs(turn, order.changed(value=0, commission=0), value)[0]


def _bound(turn: Turn, order: Order) -> int:
    """Money that a standing buy needs, worked out once: with a limit it changes with the order alone."""
    known = turn.engine.now.bound.get(order.id)
    if known is not None and known[0] is order:
        return known[1]
    cost = _cost(turn, order)
    if order.price is not None:
        turn.engine.now.bound[order.id] = order, cost
    return cost


def _orderable(turn: Turn, order: Order) -> int:
    """Shares of an order that the broker can take, by what it said last, cut to whole lots."""
    engine = turn.engine
    if engine.settings.capabilities.cuts:
        return order.quantity
    fits = order.quantity
    if order.intent.side is Side.SELL:
        if order.intent.reduces:
            fits = min(fits, max(0, _free(turn, order)))
    elif (cost := _cost(turn, order)) > max(0, engine.now.orderable):
        fits = max(0, math.floor(engine.now.orderable / (cost / order.quantity)))
        while fits and _cost(turn, order.changed(quantity=fits)) > engine.now.orderable:
            fits -= 1
    return fits if fits == order.quantity else whole_lots(fits, _market(turn, order))


def _knows(turn: Turn, order: Order) -> Sleeve | None:
    """The sleeve that knows its name: its own, else another."""
    told = (turn.engine.sleeve_of(order), *turn.engine.sleeves.values())
    return next((sleeve for sleeve in told if sleeve is not None and order.intent.symbol in sleeve.columns), None)


def _market(turn: Turn, order: Order) -> str:
    """Market of its name."""
    knows = _knows(turn, order)
    return turn.engine.settings.market if knows is None else knows.market(order.intent.symbol)


def _free(turn: Turn, order: Order) -> int:
    """Shares that a sale may take: those held and not on sale already."""
    engine, sleeve = turn.engine, turn.engine.sleeve_of(order)
    intent = order.intent
    held = engine.unassigned.get(intent.symbol, 0) if sleeve is None else sleeve.shares(intent.symbol)
    root = order.id.partition("~")[0]
    return held - sum(
        other.leaves for other in (engine.orders[i] for i in engine.working)
        if other.intent.symbol == intent.symbol and other.intent.side is Side.SELL
        and other.intent.deployment == intent.deployment and other.id.partition("~")[0] != root
    )  # fmt: skip


# --- what the gates see ---------------------------------------------------------------------------------------------


def modes_of(turn: Turn, order: Order) -> Modes:
    """The switches over an order; a name with an action to confirm takes no new risk."""
    engine, intent = turn.engine, order.intent
    modes = engine.switches.modes(
        user=engine.settings.user, account=engine.account, deployment=intent.deployment, symbol=intent.symbol
    )
    if intent.symbol in engine.provisional and modes.symbol is Mode.RUNNING:
        modes = modes._replace(symbol=Mode.REDUCING)
    return modes


def view_of(turn: Turn, order: Order, *, ask: Literal["new", "modify"] = "new") -> View:
    """Everything that the gates may look at."""
    engine, intent, now = turn.engine, order.intent, turn.engine.now
    sleeve, hours = engine.sleeve_of(order), engine.settings.hours
    symbol, root = intent.symbol, intent.id.partition("~")[0]
    knows, market = _knows(turn, order), _market(turn, order)
    last = now.prices.get(symbol)
    told = (s.instruments.get(symbol) for s in (knows, *engine.sleeves.values()) if s is not None)
    today = next((each for each in told if each is not None), None)
    working = tuple(other for other in (engine.orders[i] for i in engine.working) if other.id.partition("~")[0] != root)
    positions = engine.unassigned if sleeve is None else sleeve.positions()
    available, equity = _means(turn, order, working, positions)
    times = engine.sent.get(intent.deployment, [])
    return View(
        now=turn.time, ask=ask, modes=modes_of(turn, order), market=market,
        date=hours.date_of(turn.time, market=market),
        phase=hours.phase_at(turn.time, market=market, venue=intent.venue),
        slot_busy=intent.source == "manual" and slot_busy(turn, order), reconciling=now.phase != "ready",
        seen=engine.seen, working=working, available=available, sellable=_free(turn, order), equity=equity,
        positions=positions, prices=_prices(turn, sleeve, positions, symbol),
        sent_last_minute=len(times) - bisect_right(times, turn.time - MINUTE), sent_today=len(times),
        limits=GateLimits() if sleeve is None else sleeve.limits,
        last_price=None if last is None else last[0], last_time=None if last is None else last[1],
        base=None if today is None else today.base, instrument=today,
        adv=None if sleeve is None else sleeve.adv.get(symbol),
        day_start_equity=None if sleeve is None else sleeve.day_start,
        peak_equity=None if sleeve is None else sleeve.peak(),
        losses_in_row=0 if sleeve is None else sleeve.losses,
        costs=None if sleeve is None else sleeve.costs, unit=1 if sleeve is None else sleeve.unit,
        raw=True if knows is None else knows.raw,
    )  # fmt: skip


def _means(turn: Turn, order: Order, working: tuple[Order, ...], positions: dict[str, int]) -> tuple[int, int]:
    """(money that may be bound, equity) of whoever the order is for. positions: theirs."""
    engine, sleeve = turn.engine, turn.engine.sleeve_of(order)
    bound = sum(
        _bound(turn, other) for other in working
        if other.intent.side is Side.BUY and other.intent.deployment == order.intent.deployment
    )  # fmt: skip
    if sleeve is None:
        available, equity = engine.unassigned_cash, engine.cash()
    else:
        available, equity = sleeve.book.available(), live_equity(turn, sleeve, positions)
        available += round((sleeve.limits.min_cash or 0.0) * sleeve.unit)  # the gate takes it off itself
    return min(available - bound, engine.now.orderable), equity


def live_equity(turn: Turn, sleeve: Sleeve, positions: dict[str, int]) -> int:
    """What a sleeve with these positions is worth now: at the last mark, moved by the prices since."""
    worth = sleeve.cash()
    for symbol, shares in positions.items():
        last = turn.engine.now.prices.get(symbol)
        price = last[0] if last else sleeve.last_close(symbol)
        worth += math.floor(price * shares * sleeve.unit + 0.5) if math.isfinite(price) else 0
    return worth


def _prices(turn: Turn, sleeve: Sleeve | None, positions: dict[str, int], symbol: str) -> dict[str, float]:
    """A price for every name held and for the one asked about."""
    found = {}
    for name in (*positions, symbol):
        last = turn.engine.now.prices.get(name)
        if last is not None:
            found[name] = last[0]
        elif sleeve is not None and name in sleeve.columns:
            found[name] = sleeve.last_close(name)
    return found
