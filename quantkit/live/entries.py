"""What an entry of the journal changes in an account: `fold`, in a turn and in recovery alike.

Contract: pure; the only way an entry changes an Engine, so memory and journal cannot differ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from quantkit.live.account import WAITING, External
from quantkit.live.switch import fold_switches
from quantkit.trading.events import Kind, fold_orders
from quantkit.trading.orders import TERMINAL, WORKING, Side, Status, TimeInForce

if TYPE_CHECKING:
    from quantkit.core.state import Inputs
    from quantkit.live.account import Engine
    from quantkit.live.sleeves import Sleeve
    from quantkit.trading.events import Entry
    from quantkit.trading.orders import Order

_RESTS: Final = frozenset({"limit", "conditional", "at_open", "at_close"})
_DROPS: Final = frozenset({Status.DENIED, Status.REJECTED, Status.CANCELED, Status.EXPIRED})


def fold(engine: Engine, entry: Entry) -> Order | None:
    """Change the engine as an entry says; the order concerned."""
    kind, given = entry.kind, entry.payload
    if entry.order is not None:
        before = engine.orders.get(entry.order)
        order = fold_orders(engine.orders, entry)
        if order is not None:
            _fold_order(engine, before, order, entry)
            return order
    match kind:
        case Kind.RISK_STATE_CHANGED:
            engine.switches = fold_switches(engine.switches, entry)
        case Kind.SESSION_OPENED:
            _new_day(engine, entry)
        case Kind.EXTERNAL_ORDER_ADOPTED:
            _fold_external(engine, entry)
        case Kind.POSITION_ADOPTED:
            _fold_adoption(engine, given)
        case Kind.ACCOUNT_STATE:
            _fold_account(engine, given)
        case Kind.PRICE_WATCHED:
            _watch_again(engine, entry)
        case Kind.COST_CORRECTED:
            _fold_costs(engine, entry)
        case Kind.COMMAND_RECEIVED:
            engine.commands[given.get("id", "")] = None
        case Kind.ALARM:
            engine.alarms.add(given.get("key", given["code"]))
        case _:
            pass  # tells of what happened; nothing follows from it
    return None


def _fold_order(engine: Engine, before: Order | None, order: Order, entry: Entry) -> None:
    """What an order's entry means to its sleeve and to the lists that follow from orders."""
    kind, sleeve, status = entry.kind, engine.sleeve_of(order), order.status
    for number in order.numbers if before is None else order.numbers[len(before.numbers) :]:
        engine.number[number] = order.id
    engine.waiting.pop(order.id, None)
    engine.working.pop(order.id, None)
    if status in WAITING:
        engine.waiting[order.id] = None
    elif status in WORKING:
        engine.working[order.id] = None
    match kind:
        case Kind.ORDER_INITIALIZED:
            if sleeve is not None and order.intent.fold_order >= 0:
                sleeve.ids.setdefault(order.intent.fold_order, []).append(order.id)
        case Kind.ORDER_SUBMITTING:
            engine.sent.setdefault(order.intent.deployment, []).append(entry.time)
            engine.seen.add(order.id)
        case Kind.ORDER_PARTIALLY_FILLED | Kind.ORDER_FILLED | Kind.FILL_CORRECTED:
            _fold_fill(engine, sleeve, order, entry)
        case Kind.ORDER_PENDING_CANCEL:
            engine.leaving[order.id] = entry.payload["reason"]
        case _:
            pass  # the order itself says all
    if before is not None and len(order.numbers) > len(before.numbers):
        _ours_after_all(engine, order.numbers[-1], engine.date_of(entry.time))
    if status in TERMINAL:
        engine.leaving.pop(order.id, None)
        if before is None or before.status not in TERMINAL:
            _end(sleeve, order, entry)


def _fold_fill(engine: Engine, sleeve: Sleeve | None, order: Order, entry: Entry) -> None:
    given = entry.payload
    quantity, value, costs = given["quantity"], given["value"], given["commission"] + given["tax"]
    if sleeve is not None:
        sleeve.book_fill(
            order, quantity=quantity, price=given["price"] or 0.0, value=value, commission=given["commission"],
            tax=given["tax"], simulated=given.get("simulated"),
        )  # fmt: skip
    else:
        _move_unassigned(engine, order.intent.symbol, order.intent.side.sign, quantity, value)
        engine.unassigned_cash -= costs
    engine.filled_at[order.id] = entry.time
    if given.get("inferred"):
        engine.now.inferred[order.id] = engine.now.inferred.get(order.id, 0) + quantity
    if given.get("confirmed") is not None:
        engine.confirmed[order.id] = (given["confirmed"][0], given["confirmed"][1])
    engine.unconfirmed.pop(order.id, None)
    if engine.confirmed.get(order.id, (0, 0))[0] != order.filled:
        engine.unconfirmed[order.id] = None
    fills, traded = engine.settled_cash
    engine.settled_cash = fills + 1, traded + abs(value)


def _move_unassigned(engine: Engine, symbol: str, sign: int, quantity: int, value: int) -> None:
    held = engine.unassigned.pop(symbol, 0) + sign * quantity
    if held:
        engine.unassigned[symbol] = held
    engine.unassigned_cash -= sign * value


def _end(sleeve: Sleeve | None, order: Order, entry: Entry) -> None:
    """Tell the sleeve's book that an order of the fold has ended, unless the fold ended it or another stands for it."""
    fold_order = order.intent.fold_order
    if sleeve is None or fold_order < 0:
        return
    live = [each for each in sleeve.ids.get(fold_order, ()) if each != order.id]
    if live:
        sleeve.ids[fold_order] = live
        return
    sleeve.ids.pop(fold_order, None)
    if order.status is Status.EXPIRED and order.intent.kind in _RESTS and order.intent.tif is TimeInForce.DAY:
        return  # the exchange ends every order with its session; how long the fold's own lives, it says itself
    if order.status in _DROPS and fold_order in sleeve.wanted:
        del sleeve.wanted[fold_order]
        sleeve.book.drop(fold_order, entry.payload.get("code") or entry.payload.get("reason") or order.status.value)


def _ours_after_all(engine: Engine, number: str, day: str) -> None:
    """An order that was taken for somebody else's is ours: what it moved is booked with it, not beside it."""
    other = engine.external.get(number)
    if other is not None and other.date == day:
        del engine.external[number]
        _move_unassigned(engine, other.symbol, -other.side.sign, other.filled, other.value)
        engine.unassigned_cash += other.costs


def _new_day(engine: Engine, entry: Entry) -> None:
    """Forget what ended on the days before. The morning may be told late: what is of this day stays as it is."""
    given, now = entry.payload, engine.now
    today = given["date"]
    engine.sleeves[entry.deployment or ""].day_start = given["equity"]
    if engine.day is not None and today <= engine.day:
        return
    engine.day = today
    keep = {i: o for i, o in engine.orders.items() if o.status not in TERMINAL or engine.since(o, today)}
    engine.orders = keep
    for kept in (engine.confirmed, engine.filled_at, engine.cost_of):
        for gone in [each for each in kept if each not in keep]:
            del kept[gone]
    engine.external = {n: each for n, each in engine.external.items() if each.date >= today}
    engine.alarms = set()
    engine.derive()  # without the numbers of the days before: the broker begins to count anew
    now.heard = {each for each in now.heard if each[0] in keep}
    now.orphans = {n: told for n, told in now.orphans.items() if engine.date_of(told[-1].time) >= today}
    now.mismatch, now.shown, now.bound = {}, {}, {}


def _fold_external(engine: Engine, entry: Entry) -> None:
    """Keep an order that is not ours as it was seen, and what it moved since it was seen before."""
    given, today = entry.payload, engine.date_of(entry.time)
    before = engine.external.get(given["number"])
    if before is not None and before.date != today:
        before = None  # an order of the day before had the number
    now = External(
        given["number"], given["symbol"], Side(given["side"]), given["quantity"], given["filled"], given["value"],
        given["policy"], given.get("costs", 0) + (0 if before is None else before.costs), today,
    )  # fmt: skip
    if given.get("moves", True):
        filled, value = (0, 0) if before is None else (before.filled, before.value)
        _move_unassigned(engine, now.symbol, now.side.sign, now.filled - filled, now.value - value)
        engine.unassigned_cash -= given.get("costs", 0)
        fills, traded = engine.settled_cash
        engine.settled_cash = fills + 1, traded + abs(now.value - value)
    engine.external[now.number] = now


def _fold_adoption(engine: Engine, given: dict[str, Any]) -> None:
    """A person says whose the difference is."""
    more = given["after"] - given["before"]
    sleeve = engine.sleeves.get(given.get("deployment") or "")
    if sleeve is None:
        _move_unassigned(engine, given["symbol"], 1, more, 0)
    elif more:
        place = sleeve.columns[given["symbol"]]
        price = given.get("price") or 0.0
        sleeve.book.fill(
            order=-1, symbol=place, side=1 if more > 0 else -1, quantity=abs(more), price=price, value=0,
            commission=0, tax=0, rule=0,
        )  # fmt: skip
        if given.get("from_unassigned"):
            _move_unassigned(engine, given["symbol"], -1, more, 0)
    engine.provisional.pop(given["symbol"], None)


def _fold_account(engine: Engine, given: dict[str, Any]) -> None:
    """The account as the broker had it: the first look says what is unassigned, later ones that all is equal."""
    if given.get("first") or given.get("adopted"):
        engine.unassigned_cash = given["unassigned_cash"]
    if given.get("first"):
        engine.unassigned = dict(given["unassigned"])
        engine.opened = True
    for name, amount in given.get("assigned", {}).items():
        engine.unassigned_cash -= amount
        engine.sleeves[name].deposit(amount)
        if given.get("granted"):
            engine.sleeves[name].granted += amount
    if given.get("swept"):
        engine.swept = given["swept"]
    for symbol in given.get("confirmed", ()):
        engine.provisional.pop(symbol, None)
    engine.provisional.update(given.get("expected", {}))
    if given.get("equal_cash"):
        engine.settled_cash = (0, 0)


def _watch_again(engine: Engine, entry: Entry) -> None:
    """A watched price moved a peak or met a stop: in recovery it does so again."""
    sleeve = engine.sleeves[entry.deployment or ""]
    row = cast("Inputs", sleeve.row)  # a morning was before any price
    for wanted in sleeve.book.watch(sleeve.columns[entry.payload["symbol"]], entry.payload["price"], row) or ():
        sleeve.wants(wanted)


def _fold_costs(engine: Engine, entry: Entry) -> None:
    """Costs as the broker has them: an order's go to its sleeve, the account's to what is unassigned."""
    given = entry.payload
    order = engine.orders.get(entry.order or "")
    if order is None:
        engine.unassigned_cash -= given["amount"]
        engine.settled_cash = (0, 0)
        return
    engine.cost_of[order.id] = given["total"]
    sleeve = engine.sleeve_of(order)
    if sleeve is None:
        engine.unassigned_cash -= given["amount"]
    else:
        sleeve.book_cash(-given["amount"])
