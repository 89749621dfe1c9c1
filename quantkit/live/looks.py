"""What the broker's list of today's orders says: the truth about fills, and about what still stands.

Contract: pure. A look that failed, or lacks what was asked for, is no look. Quantities and amounts of the list are
cumulative over an order's chain of numbers:

    more than was booked     the difference is booked as one inferred fill
    the same                 what the stream said is confirmed; a different amount is corrected
    less                     a list that lags is waited for; a provisional fill that it never shows is taken back; less
                             than it has shown before is an alarm and the account is REDUCING

A line that nobody owns is searched for unanswered orders (`outcomes`), else it is an order that others made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from quantkit.live import life, outcomes
from quantkit.live.messages import CancelOrder
from quantkit.live.switch import Mode, Scope
from quantkit.live.turn import SECOND, Turn
from quantkit.trading.events import Kind, intent_to_json
from quantkit.trading.orders import TERMINAL, Intent, Order, OrderType, Status, Window

if TYPE_CHECKING:
    from quantkit.live.messages import Looked
    from quantkit.trading.ports import BrokerOrder

FEE_PER_FILL: Final = 10  # minor units that a broker's figure may differ by, for each fill
FEE_SHARE: Final = 0.00001  # and this part of the value
POLL: Final = 10 * SECOND
_STANDS: Final = frozenset({Status.ACCEPTED, Status.PARTIALLY_FILLED})


def settle(turn: Turn, given: Looked) -> None:
    """Bring every order up to a complete list."""
    assert given.orders is not None
    turn.engine.now.settled = given.asked
    groups, rest = _by_owner(turn, given.orders)
    shown = turn.engine.now.shown
    for name, lines in groups.items():
        if shown.get(name) != lines or name in turn.engine.unconfirmed:  # else it has ended, and nothing is new
            order = settle_one(turn, turn.engine.orders[name], lines, given.asked)
            if order.status in TERMINAL and name not in turn.engine.unconfirmed and not any(e.leaves for e in lines):
                shown[name] = lines
    bound, rest = outcomes.judge(turn, given, rest)
    for order, line in bound:
        settle_one(turn, order, [line], given.asked)
        life.adopt_orphans(turn, turn.engine.orders[order.id], line.number)
    for line in rest:
        _of_others(turn, line)


def keeps_asking(turn: Turn) -> bool:
    """Whether an order stands at the broker, or a fill is not in its list yet."""
    engine = turn.engine
    return bool(engine.working or engine.unconfirmed or any(o.filled < o.quantity for o in engine.external.values()))


def _by_owner(turn: Turn, lines: tuple[BrokerOrder, ...]) -> tuple[dict[str, list[BrokerOrder]], list[BrokerOrder]]:
    """The lines of each order of ours, by chains of numbers; and those of nobody."""
    by_number = {line.number: line for line in lines}
    groups: dict[str, list[BrokerOrder]] = {}
    rest = []
    for line in sorted(lines, key=lambda each: (each.time, each.number)):
        at: BrokerOrder | None = line
        owner: Order | None = None
        steps = 0
        while at is not None and owner is None and steps < len(lines) + 1:
            owner = turn.owner(at.number, line.time) or turn.owner(at.original, line.time)
            at, steps = by_number.get(at.original or ""), steps + 1
        if owner is not None:
            groups.setdefault(owner.id, []).append(line)
        elif not life.former(turn, line.time):  # a broker may show the day before until the morning
            rest.append(line)
    return groups, rest


# --- one order ------------------------------------------------------------------------------------------------------


def settle_one(turn: Turn, order: Order, lines: list[BrokerOrder], asked: int) -> Order:
    """Bring one order up to its lines of the list; the order after it."""
    filled, value = sum(line.filled for line in lines), sum(line.value for line in lines)
    order = _fills(turn, order, lines, filled, value, asked)
    if order.filled == filled:  # else the list lags behind the stream
        _standing(turn, order, lines, filled, asked)
        _costs(turn, turn.engine.orders[order.id], lines)
    return turn.engine.orders[order.id]


def _fills(turn: Turn, order: Order, lines: list[BrokerOrder], filled: int, value: int, asked: int) -> Order:
    engine = turn.engine
    known = engine.confirmed.get(order.id, (0, 0))
    shown = (filled, value)
    if filled > order.filled:
        more, worth = filled - order.filled, value - order.value
        unit = life.value_of(turn, order, 1.0, 1)
        day = turn.date().isoformat()
        return life.book(
            turn, order, trade=f"list:{engine.account}:{day}:{lines[0].number}:{filled}", quantity=more,
            price=worth / more / unit, value=worth, inferred=True, confirmed=shown,
        )  # fmt: skip
    if filled < order.filled:
        if filled < known[0]:
            key = f"below:{order.id}"
            engine.now.mismatch[key] = engine.now.mismatch.get(key, 0) + 1
            if engine.now.mismatch[key] > 1:  # one list may be an old one
                detail = f"order {order.id}: the list shows {filled} shares, it has shown {known[0]}"
                turn.alarm("BROKER_BELOW_LOCAL", detail, key=order.id, order=order.id)
                turn.restrict(Scope.ACCOUNT, engine.account, Mode.REDUCING, reason=detail, code="BROKER_BELOW_LOCAL")
        elif asked >= engine.filled_at[order.id] + _lag(turn):
            turn.alarm("FILL_TAKEN_BACK", f"order {order.id}: {order.filled - filled} shares were never executed",
                       key=f"{order.id}:{filled}", order=order.id)  # fmt: skip
            return _correct(turn, order, filled, value, "the list never showed it")
        return order
    engine.now.mismatch.pop(f"below:{order.id}", None)
    if value != order.value:
        return _correct(turn, order, filled, value, "the list has another amount")
    if known != shown:
        return _correct(turn, order, filled, value, "confirmed")
    return order


def _correct(turn: Turn, order: Order, filled: int, value: int, detail: str) -> Order:
    """Bring what was booked to what the list says."""
    commission = tax = 0
    if value != order.value and order.value:
        commission = int(order.commission * value / order.value) - order.commission
        tax = int(order.tax * value / order.value) - order.tax
    shares = filled - order.filled
    price = (value - order.value) / shares / life.value_of(turn, order, 1.0, 1) if shares else None
    return turn.order(Kind.FILL_CORRECTED, order, {
        "trade": f"list:{order.id}:{filled}:{value}", "quantity": shares, "price": price, "value": value - order.value,
        "commission": commission, "tax": tax, "detail": detail, "confirmed": [filled, value],
    })  # fmt: skip


def _standing(turn: Turn, order: Order, lines: list[BrokerOrder], filled: int, asked: int) -> None:
    """Whether and how it still stands, as the list says."""
    live = [line for line in lines if line.leaves > 0 and line.status == "open"]
    if not live:
        there = order.number is None or any(line.number == order.number for line in lines)
        coming = order.status is Status.PENDING_UPDATE and not _waited(turn, order, asked, _lag(turn))
        if order.status not in TERMINAL and order.status is not Status.SUBMITTED and there and not coming:
            _over(turn, order, lines)
        return  # else the list does not show yet what it was replaced by
    line, leaves = live[-1], sum(each.leaves for each in live)
    waited = _waited(turn, order, asked, life.PATIENCE) or order.unresolved_since is not None
    match order.status:
        case Status.CANCELED | Status.EXPIRED | Status.REJECTED | Status.FILLED:
            _alive_after_all(turn, order, line, asked)
            return
        case Status.PENDING_CANCEL if line.number not in order.numbers:
            _replaced(turn, order, line, filled + leaves)
            life.follow(turn, turn.engine.orders[order.id])
        case Status.PENDING_CANCEL if waited:
            turn.order(Kind.ORDER_CANCEL_REJECTED, order, {"code": "STILL_OPEN", "detail": f"{leaves} shares stand"})
            turn.engine.now.hunts.pop(order.id, None)
        case Status.PENDING_UPDATE if line.number not in order.numbers:
            _replaced(turn, order, line, filled + leaves)
        case Status.PENDING_UPDATE if waited:
            turn.order(Kind.ORDER_UPDATE_REJECTED, order, {"code": "STILL_OPEN", "detail": f"{leaves} shares stand"})
            turn.engine.now.hunts.pop(order.id, None)
        case Status.ACCEPTED | Status.PARTIALLY_FILLED if (
            line.number not in order.numbers or filled + leaves != order.quantity
        ):
            _replaced(turn, order, line, filled + leaves)
        case _:
            pass  # as we have it, or still on its way
    order = turn.engine.orders[order.id]
    if order.id in turn.engine.leaving and order.status in _STANDS:
        life.cancel(turn, order, turn.engine.leaving[order.id])


def _lag(turn: Turn) -> int:
    """How far the list may be behind, nanoseconds."""
    return int(turn.engine.settings.capabilities.list_lag * SECOND)


def _waited(turn: Turn, order: Order, asked: int, patience: int) -> bool:
    """Whether what was asked for a cancel or a replacement has had its time."""
    return asked >= turn.engine.now.asked_at.get(order.id, 0) + patience


def _replaced(turn: Turn, order: Order, line: BrokerOrder, quantity: int) -> None:
    price = order.price if line.price is None else line.price
    turn.order(Kind.ORDER_UPDATED, order, {"number": line.number, "quantity": quantity, "price": price})
    turn.engine.now.hunts.pop(order.id, None)


def _over(turn: Turn, order: Order, lines: list[BrokerOrder]) -> None:
    """Nothing of it stands any more."""
    words = {line.status for line in lines}
    reason = next((line.reason for line in reversed(lines) if line.reason), "")
    turn.engine.now.hunts.pop(order.id, None)
    if "rejected" in words and order.status is Status.ACCEPTED and not order.filled:
        life.finish(turn, order, Status.REJECTED, reason or "REFUSED")
    elif "expired" in words:
        life.finish(turn, order, Status.EXPIRED, reason or "SESSION_END")
    else:
        life.finish(turn, order, Status.CANCELED, turn.engine.leaving.get(order.id) or reason or "CANCELED_ELSEWHERE")


def _alive_after_all(turn: Turn, order: Order, line: BrokerOrder, asked: int) -> None:
    """It has ended here and stands there: a list that lags, or a notice that was wrong."""
    if asked < (order.ended or 0) + _lag(turn):
        turn.wake_by("ask", turn.time + POLL)
        return
    turn.alarm("STILL_OPEN", f"order {order.id} is {order.status} here and stands as {line.number}", key=order.id,
               order=order.id)  # fmt: skip
    turn.send(CancelOrder(order.id, line.number, line.symbol, line.leaves))


def _costs(turn: Turn, order: Order, lines: list[BrokerOrder]) -> None:
    """Costs as the broker has them, once the order has ended."""
    figures = [(line.commission, line.tax) for line in lines if line.filled]
    if order.status not in TERMINAL or not figures or any(c is None for c, _ in figures):
        return
    total = sum((c or 0) + (t or 0) for c, t in figures)
    more = total - turn.engine.cost_of.get(order.id, order.commission + order.tax)
    if more == 0:
        return
    allowed = FEE_PER_FILL * max(1, len(order.trades)) + FEE_SHARE * order.value
    detail = f"order {order.id}: the broker charged {total}, the model {order.commission + order.tax}"
    if order.intent.deployment and abs(more) > allowed:  # an order of nobody's has no model
        turn.alarm("COST_DIFFERENCE", detail, key=order.id, order=order.id)
        turn.restrict(Scope.ACCOUNT, turn.engine.account, Mode.REDUCING, reason=detail, code="COST_DIFFERENCE")
    turn.write(
        Kind.COST_CORRECTED, {"amount": more, "detail": detail, "total": total}, order=order.id,
        deployment=order.intent.deployment or None,
    )  # fmt: skip


# --- orders of others -----------------------------------------------------------------------------------------------


def _of_others(turn: Turn, line: BrokerOrder) -> None:
    """An order at the broker that nobody here made."""
    engine = turn.engine
    known = turn.others(line.number, turn.time)
    if known is not None:
        if (known.filled, known.value, known.costs) != (line.filled, line.value, _charged(turn, line)):
            _adopt(turn, line, known.policy, moves=True)
        return
    if any(
        o.status is Status.SUBMITTED and o.intent.symbol == line.symbol and o.intent.side is line.side
        for o in (engine.orders[i] for i in engine.working)
    ):
        return  # it may be the one whose answer is on its way
    policy = engine.settings.external
    sleeve = next((s for s in engine.sleeves.values() if line.symbol in s.columns), None)
    if policy == "claim" and sleeve is not None and line.original is None:
        _claim(turn, line, sleeve.name)
        return
    _adopt(turn, line, policy, moves=engine.opened)
    if line.original is None:
        turn.alarm("EXTERNAL_ORDER", f"{line.side} {line.quantity} {line.symbol}, number {line.number}",
                   key=line.number)  # fmt: skip
    if policy == "halt":
        turn.restrict(Scope.ACCOUNT, engine.account, Mode.HALTED, code="EXTERNAL_ORDER",
                      reason=f"order {line.number} was made elsewhere")  # fmt: skip


def _adopt(turn: Turn, line: BrokerOrder, policy: str, *, moves: bool) -> None:
    """Its shares and money are nobody's. moves: False where the first look at the account counted them already."""
    turn.engine.now.orphans.pop(line.number, None)
    known = turn.others(line.number, turn.time)
    charged = _charged(turn, line) - (0 if known is None else known.costs)
    turn.write(Kind.EXTERNAL_ORDER_ADOPTED, {
        "number": line.number, "symbol": line.symbol, "side": line.side.value, "quantity": line.quantity,
        "filled": line.filled, "value": line.value, "policy": policy, "moves": moves, "costs": charged,
    })  # fmt: skip


def _charged(turn: Turn, line: BrokerOrder) -> int:
    """What an order of others cost: as the broker says, else as it charges ours."""
    if line.commission is not None and line.tax is not None:
        return line.commission + line.tax
    return sum(life.charged(turn, line.symbol, line.side, line.value))


def _claim(turn: Turn, line: BrokerOrder, deployment: str) -> None:
    """A sleeve takes an order of others as its own."""
    name = f"{deployment}:external:{turn.date().isoformat()}:{line.number}"
    priced = line.type in (OrderType.LIMIT, OrderType.CONDITIONAL)
    price = (line.price or 0.0) if priced else None
    intent = Intent(
        id=name, deployment=deployment, symbol=line.symbol, side=line.side, quantity=line.quantity,
        type=line.type, window=Window("continuous", line.time, line.time + SECOND),
        price=price, bar=line.time, rule="manual", source="manual",
    )  # fmt: skip
    order = turn.write(Kind.ORDER_INITIALIZED, {"intent": intent_to_json(intent)}, order=name, deployment=deployment)
    assert order is not None
    order = turn.order(Kind.ORDER_SUBMITTING, order, {"quantity": line.quantity, "price": price, "claimed": True})
    order = turn.order(Kind.ORDER_BOUND, order, {"number": line.number, "filled": line.filled, "value": line.value})
    settle_one(turn, order, [line], turn.time)
    life.adopt_orphans(turn, turn.engine.orders[name], line.number)
