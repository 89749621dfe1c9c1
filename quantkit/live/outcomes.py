"""Orders whose outcome nobody knows: asked for, never guessed, never sent again.

    1 OrderUnresolved; cash and shares stay bound, the slot (symbol, side) stays blocked
    2 look 1 s later, then after 2, 4, 8, 15, 15 ... s; only a complete answer counts
    3 the broker's orders that nobody owns, with the same symbol, side, quantity, type and price, sent in our time:
      one: OrderBound. Two or more: NEEDS_OPERATOR, and the slot stays blocked
    4 none: REJECTED(NOT_FOUND) when all hold: 4 good looks; 60 s (120 s within 10 minutes of open and close); the order
      stream stood all the while; and the witnesses, orderable cash and sellable shares, show nothing bound for it.
      A broker without witnesses must not have shown it for twice as many looks and twice as long as its list may lag
    5 it is not sent again, save a sale that takes risk away: for no more than the broker says can be sold
    6 a cancel that nobody answered is asked for again where the order still stands; of a replacement the broker's
      numbers count

A NOT_FOUND order is a tombstone until the next session: a late line brings it back by OrderBound, with an alarm, and
what is left of it is cancelled. Contract: pure; times are UTC nanoseconds.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from quantkit.core.amounts import money
from quantkit.live.risk import exchange
from quantkit.live.turn import SECOND, Hunt, Turn
from quantkit.trading.events import Kind, intent_to_json
from quantkit.trading.orders import IN_FLIGHT, NOT_FOUND, Order, Side, Status

if TYPE_CHECKING:
    from quantkit.live.messages import Looked
    from quantkit.live.sleeves import Sleeve
    from quantkit.trading.ports import BrokerOrder

DELAYS: Final = tuple(seconds * SECOND for seconds in (1, 2, 4, 8, 15))
GOOD_LOOKS: Final = 4
SPAN: Final = 60 * SECOND
SPAN_AT_EDGES: Final = 120 * SECOND
EDGE: Final = 600 * SECOND
LONGEST_ANSWER: Final = 60 * SECOND  # no request stays open longer
SLACK: Final = 30 * SECOND  # after nobody waits for the answer any more, a request may still arrive


def begin(turn: Turn, order: Order, detail: str) -> None:
    """An answer never came."""
    turn.order(Kind.ORDER_UNRESOLVED, order, {"detail": detail})
    hunt(turn, order)


def hunt(turn: Turn, order: Order) -> None:
    """Begin to look for it."""
    turn.engine.now.hunts[order.id] = Hunt()
    turn.wake(f"hunt:{order.id}", turn.time + DELAYS[0])


def look_again(turn: Turn, name: str) -> None:
    """The time for the next look has come."""
    order, seeking = turn.engine.orders.get(name), turn.engine.now.hunts.get(name)
    if order is None or seeking is None or order.unresolved_since is None:
        turn.engine.now.hunts.pop(name, None)
        return
    asks: tuple[tuple[str, Side, str, float | None], ...] = ()
    if order.status is Status.SUBMITTED and turn.engine.settings.capabilities.witnesses:
        asks = ((order.id, order.intent.side, order.intent.symbol, order.price),)
    turn.look("hunt", witnesses=asks, cash=bool(asks), of=frozenset({order.id}))
    seeking.looks += 1
    turn.wake(f"hunt:{name}", turn.time + DELAYS[min(seeking.looks, len(DELAYS) - 1)])


def interrupted(turn: Turn) -> None:
    """The order stream broke: nothing seen so far counts."""
    hunts = turn.engine.now.hunts
    for name, seeking in hunts.items():
        hunts[name] = Hunt(looks=seeking.looks)


# --- what a look shows ----------------------------------------------------------------------------------------------


def matches(turn: Turn, order: Order, line: BrokerOrder) -> bool:
    """Whether a line that nobody owns may be this order."""
    intent = order.intent
    sent = order.submitted or 0
    answered = min(order.unresolved_since or sent + LONGEST_ANSWER, sent + LONGEST_ANSWER)
    return (
        line.original is None
        and (line.symbol, line.side, line.quantity) == (intent.symbol, intent.side, order.quantity)
        and line.type is intent.type
        and (order.price is None or line.price == order.price)
        and sent - turn.engine.settings.skew <= line.time <= answered + SLACK
        and (line.tag is None or not turn.engine.settings.capabilities.caller_tag or line.tag == order.id)
    )


def judge(
    turn: Turn, given: Looked, lines: list[BrokerOrder]
) -> tuple[list[tuple[Order, BrokerOrder]], list[BrokerOrder]]:
    """Bind what is found among lines that nobody owns; (orders bound with their lines, the lines that are left).

    A line that may be that of an order whose answer is still on its way waits for that answer."""
    bound: list[tuple[Order, BrokerOrder]] = []
    left = list(lines)
    coming = [o for i in turn.engine.working if (o := turn.engine.orders[i]).status is Status.SUBMITTED
              and o.unresolved_since is None]  # fmt: skip
    for order in [*turn.engine.unresolved(), *turn.engine.tombstones()]:
        seeking = order.status is Status.SUBMITTED
        if not (seeking or order.status is Status.REJECTED) or given.asked < (order.submitted or 0):
            continue
        found = [
            line for line in left if turn.others(line.number, line.time) is None and matches(turn, order, line)
        ]  # fmt: skip
        if any(matches(turn, other, line) for other in coming for line in found):
            continue
        if len(found) == 1:
            left.remove(found[0])
            bound.append((reopen(turn, order, found[0].number, filled=found[0].filled, value=found[0].value), found[0]))
        elif found:
            numbers = ", ".join(line.number for line in found)
            turn.alarm("NEEDS_OPERATOR", f"order {order.id} may be any of {numbers}: adopt one", key=order.id,
                       order=order.id)  # fmt: skip
            if seeking:  # of one that was given up they are others' until a person says more
                left = [line for line in left if line not in found]
        elif seeking:
            _not_there(turn, order, given)
    return bound, left


def reopen(turn: Turn, order: Order, number: str, *, filled: int, value: int) -> Order:
    """The broker has it after all."""
    late = order.status is Status.REJECTED
    after = turn.order(Kind.ORDER_BOUND, order, {"number": number, "filled": filled, "value": value})
    turn.engine.now.hunts.pop(order.id, None)
    if late:
        turn.alarm("LATE_ORDER", f"order {order.id} was given up and stands as {number}", key=order.id, order=order.id)
        turn.engine.leaving[order.id] = "LATE"  # the fold has decided anew since: what is left goes
        turn.engine.due = True
    return after


def _not_there(turn: Turn, order: Order, given: Looked) -> None:
    """A complete list without it."""
    now = turn.engine.now
    seeking = now.hunts.get(order.id)
    since = order.unresolved_since or 0
    if seeking is None or now.stream_since is None or given.asked < max(since, now.stream_since):
        return
    if turn.date(order.submitted or 0) < turn.date(given.asked):
        return  # the list of another day says nothing: a person must
    seeking.good += 1
    seeking.first = given.asked if seeking.first is None else seeking.first
    seeking.free = _nothing_bound(turn, order, given, free=seeking.free)
    send_again(turn, order, given)
    looks, span = GOOD_LOOKS, _span(turn, since)
    if not turn.engine.settings.capabilities.witnesses:
        looks, span = 2 * looks, max(span, int(2 * turn.engine.settings.capabilities.list_lag * SECOND))
    if seeking.good >= looks and given.asked - max(since, now.stream_since) >= span and seeking.free:
        turn.order(Kind.ORDER_REJECTED, order, {"code": NOT_FOUND, "detail": f"{seeking.good} looks"})
        now.hunts.pop(order.id, None)


def _span(turn: Turn, since: int) -> int:
    """How long a list must not have shown it."""
    session = turn.session()
    near = session is not None and any(abs(since - edge) <= EDGE for edge in (session.opens, session.closes))
    return SPAN_AT_EDGES if near else SPAN


def _nothing_bound(turn: Turn, order: Order, given: Looked, *, free: bool) -> bool:
    """Whether the broker binds neither money nor shares for it; what it did not say, this time, stays as it was.

    Of the two figures that the account could show, with and without the order, the nearer one counts.
    """
    engine = turn.engine
    if not engine.settings.capabilities.witnesses:
        return True
    if order.intent.side is Side.SELL:
        reported = given.sellable.get(order.id)
        if reported is None:
            return free
        selling = sum(o.leaves for o in _others(turn, order) if o.intent.side is Side.SELL
                      and o.intent.symbol == order.intent.symbol)  # fmt: skip
        selling += sum(line.leaves for line in _foreign(turn, given, Side.SELL) if line.symbol == order.intent.symbol)
        return reported > engine.shares(order.intent.symbol) - selling - order.leaves / 2
    reported = given.orderable.get(order.id)
    if reported is None:
        return free
    needed = cost_of(turn, order)
    buying = sum(cost_of(turn, o) for o in _others(turn, order) if o.intent.side is Side.BUY)
    buying += sum(cost_of(turn, replace(order, price=line.price, quantity=line.leaves, filled=0))
                  for line in _foreign(turn, given, Side.BUY))  # fmt: skip
    return reported > engine.cash() - buying - needed / 2


def _foreign(turn: Turn, given: Looked, side: Side) -> list[BrokerOrder]:
    """Orders of others that stand: they bind money and shares too."""
    return [line for line in given.orders or () if line.side is side and line.leaves
            and turn.owner(line.number, line.time) is None]  # fmt: skip


def _others(turn: Turn, order: Order) -> list[Order]:
    return [turn.engine.orders[i] for i in turn.engine.working if i != order.id]


def cost_of(turn: Turn, order: Order) -> int:
    """Money that a buy binds for what is left of it: at its limit, a market order at the day's upper limit price; where
    that is not known at the last price and 30 %."""
    sleeve = turn.engine.sleeve_of(order)
    price = order.price
    if price is None:
        price = _upper(turn, order, sleeve)
    if price is None:
        last = turn.engine.now.prices.get(order.intent.symbol)
        price = 1.3 * (last[0] if last else order.intent.decision_price or 0.0)
    return int(money(price, order.leaves, 1.0 if sleeve is None else sleeve.plan.unit))


def _upper(turn: Turn, order: Order, sleeve: Sleeve | None) -> float | None:
    """The day's upper limit price of an order's name; None where its base price is not known, or it has none."""
    symbol = order.intent.symbol
    today = None if sleeve is None else sleeve.instruments.get(symbol)
    if sleeve is None or not sleeve.raw or today is None or not today.base > 0:
        return None
    market = sleeve.market(symbol)
    _, upper = exchange.limits(
        today.base,
        turn.engine.settings.hours.date_of(turn.time, market=market),
        market,
        today.leverage,
        today.first_day,
        today.liquidation,
    )
    return upper if math.isfinite(upper) else None


def send_again(turn: Turn, order: Order, given: Looked) -> None:
    """A sale that takes risk away goes again for what the broker says can be sold beyond what is to be kept: were the
    first one alive, its shares would be bound. Never for so few that the broker could take both."""
    intent, engine = order.intent, turn.engine
    sellable, sleeve = given.sellable.get(order.id), engine.sleeve_of(order)
    if not intent.reduces or intent.side is not Side.SELL or sellable is None or sleeve is None:
        return
    root, _, count = intent.id.partition("~")
    following = f"{root}~{int(count or 0) + 1}"
    selling = sum(o.leaves for o in _others(turn, order) if o.intent.side is Side.SELL
                  and o.intent.symbol == intent.symbol)  # fmt: skip
    keep = max(0, engine.shares(intent.symbol) - selling - order.leaves)
    quantity = min(order.leaves, sellable - keep)
    if following in engine.orders or quantity <= keep or quantity < 1 or turn.time >= intent.window.closes:
        return
    again = replace(intent, id=following, quantity=quantity)
    turn.write(
        Kind.ORDER_INITIALIZED, {"intent": intent_to_json(again), "again": intent.id}, order=again.id,
        deployment=intent.deployment or None,
    )  # fmt: skip


def begin_all(turn: Turn) -> None:
    """After a restart: what was in flight when the process ended has no answer."""
    for name in list(turn.engine.working):
        order = turn.engine.orders[name]
        if order.status in IN_FLIGHT:
            if order.unresolved_since is None:
                begin(turn, order, "the process ended before the answer")
            else:
                hunt(turn, order)
