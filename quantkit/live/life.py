"""The life of an order once it was sent: answers to our requests, and what the order stream says.

Contract: pure; every change is an entry of the turn. The stream may repeat itself, come in any order, and come before
the answer to the request it belongs to; a fill is booked once all the same:

    with an execution number       by that number
    with a cumulative quantity     by (broker's number, cumulative), and only for what the list has not shown yet
    with neither                   by broker's number, time, price and quantity; more than was ordered is never booked

What the stream said is provisional until the broker's list of orders shows it (`quantkit.live.looks`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from quantkit.core.amounts import money
from quantkit.live import outcomes
from quantkit.live.messages import Answered, CancelOrder, ModifyOrder
from quantkit.live.sleeves import costs_of, costs_on
from quantkit.live.turn import SECOND, Turn, over
from quantkit.trading.events import Kind
from quantkit.trading.orders import NOT_FOUND, TERMINAL, Order, Side, Status

if TYPE_CHECKING:
    from quantkit.trading.ports import Notice

SOON: Final = 1 * SECOND  # after a fill was heard, when the list is asked about it
PATIENCE: Final = 5 * SECOND  # for the stream to confirm a cancel or a replacement that was taken
_STANDS: Final = frozenset({Status.ACCEPTED, Status.PARTIALLY_FILLED})


# --- what is booked -------------------------------------------------------------------------------------------------


def value_of(turn: Turn, order: Order, price: float, quantity: int) -> int:
    """Minor units."""
    sleeve = turn.engine.sleeve_of(order)
    return int(money(price, quantity, 1.0 if sleeve is None else sleeve.plan.unit))


def costs(turn: Turn, order: Order, value: int) -> tuple[int, int]:
    """(commission, tax) of a further fill, by the cost model."""
    sleeve, intent = turn.engine.sleeve_of(order), order.intent
    if sleeve is not None:
        return costs_of(sleeve, order, value, turn.date())
    commission, tax = charged(turn, intent.symbol, intent.side, order.value + value)
    return commission - order.commission, tax - order.tax


def charged(turn: Turn, symbol: str, side: Side, value: int) -> tuple[int, int]:
    """(commission, tax) of an order that is no sleeve's: the broker takes what it takes of ours. Nothing where there
    are none."""
    sleeve = next(iter(turn.engine.sleeves.values()), None)
    if sleeve is None or not value:
        return 0, 0
    market = sleeve.market(symbol) if symbol in sleeve.columns else turn.engine.settings.market
    return costs_on(sleeve, market, side, value, turn.date())


def book(
    turn: Turn, order: Order, *, trade: str, quantity: int, price: float, value: int, provisional: bool = False,
    inferred: bool = False, commission: int | None = None, tax: int | None = None,
    confirmed: tuple[int, int] | None = None, simulated: dict[str, int] | None = None,
) -> Order:  # fmt: skip
    """Book a fill; the order after it. An order that had ended ends again after a late fill."""
    modelled = (0, 0) if simulated is not None else costs(turn, order, value)
    payload: dict[str, Any] = {
        "trade": trade, "quantity": quantity, "price": price, "value": value,
        "commission": modelled[0] if commission is None else commission,
        "tax": modelled[1] if tax is None else tax,
        "provisional": provisional, "inferred": inferred,
        "confirmed": None if confirmed is None else list(confirmed),
    }  # fmt: skip
    if simulated is not None:
        payload["simulated"] = simulated
    if order.status is Status.FILLED:  # more than was asked for: the broker's word counts, and a person looks
        turn.alarm("OVERFILL", f"order {order.id}: {quantity} shares beyond {order.quantity}", key=order.id)
        return turn.order(Kind.FILL_CORRECTED, order, {**payload, "detail": "overfill"})
    ended, reason = order.status, order.reason
    done = order.filled + quantity >= order.quantity
    after = turn.order(Kind.ORDER_FILLED if done else Kind.ORDER_PARTIALLY_FILLED, order, payload)
    if not done and ended in TERMINAL:  # the notice of its end had overtaken this fill
        after = finish(turn, after, Status.EXPIRED if ended is Status.EXPIRED else Status.CANCELED, reason)
    if done and after.filled > after.quantity:
        turn.alarm("OVERFILL", f"order {after.id}: {after.filled} of {after.quantity} shares", key=after.id)
    return after


def finish(turn: Turn, order: Order, status: Status, reason: str, *, number: str | None = None) -> Order:
    """An order has ended at the broker, or before it got there."""
    match status:
        case Status.CANCELED:
            return turn.order(Kind.ORDER_CANCELED, order, {"number": number, "reason": reason})
        case Status.EXPIRED:
            return turn.order(Kind.ORDER_EXPIRED, order, {"reason": reason})
        case _:
            return turn.order(Kind.ORDER_REJECTED, order, {"code": reason, "detail": ""})


def accept(turn: Turn, order: Order, number: str) -> Order:
    """The broker has given an order its number; what the stream said of that number before counts now."""
    after = turn.order(Kind.ORDER_ACCEPTED, order, {"number": number})
    turn.engine.now.hunts.pop(order.id, None)
    return adopt_orphans(turn, after, number)


def adopt_orphans(turn: Turn, order: Order, number: str) -> Order:
    """Hear again what the stream said of a number that nobody knew."""
    for notice in turn.engine.now.orphans.pop(number, ()):
        on_notice(turn, notice)
    order = turn.engine.orders[order.id]
    if order.id in turn.engine.leaving and order.status in _STANDS:
        order = cancel(turn, order, turn.engine.leaving[order.id])
    return order


# --- what is asked for ----------------------------------------------------------------------------------------------


def cancel(turn: Turn, order: Order, reason: str) -> Order:
    """End an order: at once where it was never sent, by asking the broker where it stands there.

    One without a number yet is cancelled as soon as it has one; one that is asked for already is not asked again.
    """
    if order.status in TERMINAL:
        return order
    if order.id in turn.engine.waiting:
        return finish(turn, order, Status.CANCELED, reason)
    turn.engine.leaving.setdefault(order.id, reason)
    if order.status is Status.PENDING_CANCEL or order.number is None or order.unresolved_since is not None:
        turn.engine.due = True  # `leaving` is in no entry yet
        return order
    if over(turn):  # the exchange ends it by itself; the list will say so
        turn.engine.due = True
        turn.wake_by("ask", turn.time + SOON)
        return order
    order = turn.order(Kind.ORDER_PENDING_CANCEL, order, {"reason": reason})
    turn.engine.now.asked_at[order.id] = turn.time
    turn.send(CancelOrder(order.id, order.numbers[-1], order.intent.symbol, order.leaves))
    return order


def former(turn: Turn, time: int) -> bool:
    """Whether a moment was on a day before this one."""
    return time < turn.time and turn.date(time) < turn.date()


def follow(turn: Turn, order: Order) -> None:
    """An order that is being taken back has a new number: the request went to one that stands no more."""
    if order.status is Status.PENDING_CANCEL:
        order = turn.order(Kind.ORDER_PENDING_CANCEL, order, {"reason": turn.engine.leaving.get(order.id, "")})
        turn.engine.now.asked_at[order.id] = turn.time
        turn.send(CancelOrder(order.id, order.numbers[-1], order.intent.symbol, order.leaves))


def modify(turn: Turn, order: Order, *, quantity: int, price: float | None) -> Order:
    """Ask the broker to replace what is left of an order that stands; `quantity` is what shall be left."""
    order = turn.order(Kind.ORDER_PENDING_UPDATE, order, {"quantity": quantity, "price": price})
    turn.engine.now.asked_at[order.id] = turn.time
    turn.send(ModifyOrder(order.id, order.numbers[-1], order.intent.symbol, quantity, price))
    return order


# --- answers --------------------------------------------------------------------------------------------------------


def on_answer(turn: Turn, given: Answered) -> None:
    """What became of a request."""
    order = turn.engine.orders.get(given.order)
    if order is None:
        return  # of a day that is over
    match given.request:
        case "submit":
            _submitted(turn, order, given)
        case "cancel":
            _asked_to_cancel(turn, order, given)
        case _:
            _asked_to_modify(turn, order, given)


def _submitted(turn: Turn, order: Order, given: Answered) -> None:
    owner = turn.owner(given.number, turn.time)
    if owner is not None and owner.id != order.id:
        if order.status is Status.SUBMITTED:  # one line is one order: the list gave it to another that was alike
            outcomes.begin(turn, order, f"number {given.number} is that of order {owner.id}")
        return
    if given.outcome == "accepted" and given.number:
        if order.status is Status.REJECTED and order.reason == NOT_FOUND:
            outcomes.reopen(turn, order, given.number, filled=0, value=0)
            adopt_orphans(turn, turn.engine.orders[order.id], given.number)
        elif order.status is Status.SUBMITTED:
            accept(turn, order, given.number)
        elif given.number not in order.numbers:
            turn.alarm("NEEDS_OPERATOR", f"order {order.id} stands as {order.number}, and as {given.number} too",
                       key=order.id, order=order.id)  # fmt: skip
        return  # else the stream or the list was faster
    if order.status is not Status.SUBMITTED:
        return
    match given.outcome:
        case "refused":
            turn.order(Kind.ORDER_REJECTED, order, {"code": given.code or "REFUSED", "detail": given.detail})
            turn.engine.now.hunts.pop(order.id, None)
        case "not_sent":
            if order.unresolved_since is None:
                turn.order(Kind.ORDER_REJECTED, order, {"code": "NOT_SENT", "detail": given.detail})
        case _:
            outcomes.begin(turn, order, given.detail or given.code or "no answer")


def _asked_to_cancel(turn: Turn, order: Order, given: Answered) -> None:
    if order.status is not Status.PENDING_CANCEL:
        return
    match given.outcome:
        case "accepted":
            if given.number:
                turn.engine.now.requests[given.number] = order.id
            turn.wake_by("ask", turn.time + PATIENCE)
        case "refused" | "not_sent":
            code = given.code or ("NOT_SENT" if given.outcome == "not_sent" else "REFUSED")
            turn.order(Kind.ORDER_CANCEL_REJECTED, order, {"code": code, "detail": given.detail})
            turn.wake_by("ask", turn.time + SOON)  # it may have filled; where it still stands the list says so
        case _:
            outcomes.begin(turn, order, given.detail or "no answer to the cancel")


def _asked_to_modify(turn: Turn, order: Order, given: Answered) -> None:
    if order.status is not Status.PENDING_UPDATE:
        return
    match given.outcome:
        case "accepted":
            if given.number:
                turn.engine.now.requests[given.number] = order.id
            turn.wake_by("ask", turn.time + SOON)
        case "refused" | "not_sent":
            code = given.code or ("NOT_SENT" if given.outcome == "not_sent" else "REFUSED")
            turn.order(Kind.ORDER_UPDATE_REJECTED, order, {"code": code, "detail": given.detail})
            turn.wake_by("ask", turn.time + SOON)
        case _:
            outcomes.begin(turn, order, given.detail or "no answer to the replacement")


# --- the stream -----------------------------------------------------------------------------------------------------


def heard(turn: Turn, notice: Notice) -> None:
    """One notice of the stream: dropped from a dead connection or a former day, whose numbers may have come again;
    kept while the account is reconciled."""
    now = turn.engine.now
    if notice.generation < now.up.get("orders", 0) or former(turn, notice.time):
        return
    if now.phase != "ready":
        now.buffer.append(notice)
    else:
        on_notice(turn, notice)


def on_notice(turn: Turn, notice: Notice) -> None:
    """What it means to the order it is about; one that nobody knows is kept until somebody does."""
    order = order_of(turn, notice)
    if order is None:
        if not any(turn.others(number, notice.time) for number in (notice.number, notice.original)):
            turn.engine.now.orphans.setdefault(_first(notice), []).append(notice)
        turn.wake_by("ask", turn.time + SOON)
        return
    match notice.kind:
        case "accepted":
            pass  # its number is known, so that was known before
        case "rejected":
            _refused(turn, order, notice)
        case "filled":
            _filled(turn, order, notice)
        case "canceled":
            _canceled(turn, order, notice)
        case "replaced":
            _replaced(turn, order, notice)
        case _:
            if order.status not in TERMINAL:
                finish(turn, order, Status.EXPIRED, notice.reason or "SESSION_END")


def order_of(turn: Turn, notice: Notice) -> Order | None:
    """The order that a notice is about, by any number of its chain."""
    return turn.owner(notice.number, turn.time) or turn.owner(notice.original, turn.time)


def _first(notice: Notice) -> str:
    """The number under which an unknown notice waits: the one that an answer would bring."""
    return notice.original or notice.number


def _refused(turn: Turn, order: Order, notice: Notice) -> None:
    code = notice.reason or "REFUSED"
    match order.status:
        case Status.PENDING_CANCEL if order.numbers[:1] != (notice.number,) or notice.original:
            turn.order(Kind.ORDER_CANCEL_REJECTED, order, {"code": code, "detail": ""})
            turn.wake_by("ask", turn.time + SOON)
        case Status.PENDING_UPDATE:
            turn.order(Kind.ORDER_UPDATE_REJECTED, order, {"code": code, "detail": ""})
            turn.wake_by("ask", turn.time + SOON)
        case Status.SUBMITTED | Status.ACCEPTED:
            turn.order(Kind.ORDER_REJECTED, order, {"code": code, "detail": ""})
        case _:
            pass  # said before, or of a request that nobody made here


def _filled(turn: Turn, order: Order, notice: Notice) -> None:
    quantity, trade = _new_shares(turn, order, notice)
    turn.wake_by("ask", turn.time + SOON)
    if quantity <= 0:
        return
    if notice.price is None:
        return  # the list knows the price
    if order.status is Status.REJECTED and order.reason != NOT_FOUND:
        turn.alarm("FILL_OF_REJECTED", f"order {order.id}: {quantity} shares after its refusal", key=order.id)
    if notice.number in order.numbers[:-1] and order.status not in TERMINAL:
        grown = {"number": order.number, "quantity": order.quantity + quantity, "price": order.price}
        order = turn.order(Kind.ORDER_UPDATED, order, grown)  # what is left was counted without this fill
    value = value_of(turn, order, notice.price, quantity)
    split = quantity != notice.quantity
    book(
        turn, order, trade=trade, quantity=quantity, price=notice.price, value=value, provisional=True,
        commission=None if split else notice.commission, tax=None if split else notice.tax,
        simulated=None if split else notice.simulated,
    )  # fmt: skip


def _new_shares(turn: Turn, order: Order, notice: Notice) -> tuple[int, str]:
    """How many shares of a notice of a fill were not booked before, and the name of that fill.

    What the list showed first, without names, is taken off what the stream tells later.
    """
    now, room = turn.engine.now, order.quantity - order.filled
    if notice.execution is not None:
        trade = f"{notice.number}:{notice.execution}"
    elif notice.cumulative is not None:
        trade = f"{notice.number}@{notice.cumulative}"
    else:
        trade = f"{notice.number}:{notice.time}:{notice.price}:{notice.quantity}"
    if trade in order.trades or (order.id, trade) in now.heard:
        return 0, trade
    now.heard.add((order.id, trade))
    shares = notice.quantity
    if notice.number in order.numbers[:-1]:
        room += shares
    if notice.cumulative is not None and notice.execution is None and order.numbers[:1] == (notice.number,):
        shares = min(shares, notice.cumulative - turn.engine.confirmed.get(order.id, (0, 0))[0])
    else:
        known = min(shares, now.inferred.get(order.id, 0))
        if known:
            now.inferred[order.id] -= known
        shares -= known
    return min(shares, room), trade


def _canceled(turn: Turn, order: Order, notice: Notice) -> None:
    if order.status in TERMINAL:
        return
    if order.status is not Status.PENDING_CANCEL and 0 < notice.quantity < order.leaves:
        turn.wake_by("ask", turn.time)  # somebody else took a part of it back: the list says what is left
        return
    reason = turn.engine.leaving.get(order.id) or notice.reason or "CANCELED_ELSEWHERE"
    number = notice.number if notice.number != order.number else None
    finish(turn, order, Status.CANCELED, reason, number=number)
    turn.wake_by("ask", turn.time + SOON)


def _replaced(turn: Turn, order: Order, notice: Notice) -> None:
    if order.status in TERMINAL or notice.number in order.numbers:
        return
    price = order.price if notice.price is None else notice.price
    turn.order(
        Kind.ORDER_UPDATED, order,
        {"number": notice.number, "quantity": order.filled + notice.quantity, "price": price},
    )  # fmt: skip
    follow(turn, adopt_orphans(turn, turn.engine.orders[order.id], notice.number))
    turn.wake_by("ask", turn.time + SOON)
