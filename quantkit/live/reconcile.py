"""Agreeing with the broker: at start, while running, at the end of a session.

At start: the order stream is opened and kept back; orders, shares and cash are asked for; what differs is settled; then
the stream is heard, then missing bars are read. Nothing is sent before that, and without a complete answer nothing is
sent at all; after half a minute that is an alarm.

    orders   `looks.settle`: the larger cumulative quantity counts
    shares   the account's, by name: sleeves and what is unassigned. A difference that two looks show is an alarm, and
             the name is REDUCING until a person adopts it; an action of the morning is expected until the count agrees
    cash     a difference within the brokers' rounding is booked (CostCorrected); a larger one that two looks show is an
             alarm, and the account is REDUCING until a person adopts it

What differs before the day's morning was told, the morning may explain (an action, money whose day has come): it is
alarm and REDUCING alike, and opens again where both agree.

Running: open orders every 10 s while any is open, shares and cash every 60 s, everything ten minutes after the close.
Contract: pure; times are UTC nanoseconds, money minor units.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from quantkit.live import life, looks, outcomes
from quantkit.live.messages import Backfill
from quantkit.live.switch import AGREED, Mode, Scope
from quantkit.live.turn import SECOND, Purpose, Turn, over
from quantkit.trading.events import Kind
from quantkit.trading.orders import Status

if TYPE_CHECKING:
    from quantkit.live.messages import ConnectionChanged, Looked

POSITIONS: Final = 60 * SECOND
SWEEP: Final = 600 * SECOND  # after the close
AGAIN: Final = 30 * SECOND
RECHECK: Final = 5 * SECOND
TWICE: Final = 2


# --- connections and the start --------------------------------------------------------------------------------------


def connection(turn: Turn, given: ConnectionChanged) -> None:
    """A connection came or went. With the order stream the account is reconciled anew."""
    now = turn.engine.now
    turn.write(Kind.CONNECTION_CHANGED, {
        "what": given.what, "up": given.up, "generation": given.generation, "detail": given.detail,
    })  # fmt: skip
    if given.up:
        now.up[given.what] = given.generation
    else:
        now.up.pop(given.what, None)
    if given.what != "orders":
        return
    outcomes.interrupted(turn)
    if given.up:
        now.stream_since, now.phase, now.tries, now.buffer = turn.time, "reconciling", 0, []
        begin(turn)
    else:
        now.stream_since, now.phase = None, "down"


def begin(turn: Turn) -> None:
    """Ask for everything."""
    if turn.engine.now.phase == "reconciling":
        turn.look("start", positions=True, cash=True)


def _try_again(turn: Turn) -> None:
    now = turn.engine.now
    delay = outcomes.DELAYS[min(now.tries, len(outcomes.DELAYS) - 1)]
    now.tries += 1
    turn.wake("reconcile", turn.time + delay)


def looked(turn: Turn, given: Looked) -> None:
    """The answer of a look."""
    now = turn.engine.now
    purpose = now.looks.pop(given.look, None)
    if purpose is None:
        return
    complete = not given.failed and given.orders is not None
    if purpose.why == "start":
        _started(turn, given, complete=complete)
        return
    if not complete:
        _failed(turn, purpose)
        return
    if now.phase != "ready" and purpose.why != "hunt":
        return  # the stream broke meanwhile: the reconciliation to come asks for all of it
    if given.asked < now.settled:
        _failed(turn, purpose)  # a later look was faster: what this one saw is old
        return
    looks.settle(turn, given)
    compare(turn, given)
    if purpose.why == "sweep":
        _left_out(turn, given)
        end_of_day(turn)
        turn.write(Kind.ACCOUNT_STATE, _state(given) | {"swept": turn.date().isoformat()})


def _failed(turn: Turn, purpose: Purpose) -> None:
    """A failed look is not a look."""
    match purpose.why:
        case "sweep":
            turn.wake("sweep", turn.time + AGAIN)
        case "ask" | "morning":
            turn.wake_by("ask", turn.time + looks.POLL)
        case _:
            pass  # the search for an order and the positions have their own next time


def _started(turn: Turn, given: Looked, *, complete: bool) -> None:
    """Orders, shares and cash are here: agree, hear what the stream said, and go."""
    engine, now = turn.engine, turn.engine.now
    if now.phase != "reconciling":
        return
    if not complete or given.positions is None or given.cash is None or given.asked < (now.stream_since or 0):
        if now.tries == len(outcomes.DELAYS):  # half a minute and more
            why = given.failed or "the answers are not whole"
            turn.alarm("NOT_RECONCILED", f"nothing is sent before orders, shares and cash can be read: {why}")
        _try_again(turn)
        return
    looks.settle(turn, given)
    _absent(turn, given)
    if not engine.opened:
        _first(turn, given)
    if not compare(turn, given, patient=False) and now.tries < TWICE:
        now.tries += 1
        turn.wake("reconcile", turn.time + RECHECK)
        return
    now.phase, now.tries = "ready", 0
    now.orderable = given.cash.orderable
    buffered, now.buffer = now.buffer, []
    for notice in buffered:
        life.on_notice(turn, notice)
    for sleeve in engine.sleeves.values():
        if sleeve.bar:
            turn.send(Backfill(sleeve.book.symbols, sleeve.bar, turn.time))
    turn.wake_by("positions", turn.time + POSITIONS)
    plan_sweep(turn)


def _absent(turn: Turn, given: Looked) -> None:
    """Orders with a number that a complete list of the day lacks: of a day before, or a broker that forgot."""
    assert given.orders is not None
    there = {line.number for line in given.orders}
    today = turn.date()
    for name in list(turn.engine.working):
        order = turn.engine.orders[name]
        if order.numbers and not there.intersection(order.numbers) and turn.date(order.submitted or 0) < today:
            life.finish(turn, order, Status.EXPIRED, "SESSION_END")


def _first(turn: Turn, given: Looked) -> None:
    """The first look at an account: what the sleeves do not hold is unassigned."""
    engine = turn.engine
    assert given.positions is not None
    assert given.cash is not None
    spare = given.cash.next_2 - sum(sleeve.cash() for sleeve in engine.sleeves.values())
    shares = {}
    for each in given.positions:
        rest = each.quantity - sum(sleeve.shares(each.symbol) for sleeve in engine.sleeves.values())
        if rest:
            shares[each.symbol] = rest
    turn.write(Kind.ACCOUNT_STATE, _state(given) | {"first": True, "unassigned_cash": spare, "unassigned": shares})
    if spare < 0:
        detail = f"the sleeves were given {-spare} more than the account has"
        turn.alarm("CAPITAL_TOO_LARGE", detail)
        turn.restrict(Scope.ACCOUNT, engine.account, Mode.REDUCING, reason=detail, code="CAPITAL_TOO_LARGE")


def _state(given: Looked) -> dict[str, Any]:
    cash = given.cash
    return {
        "positions": {each.symbol: each.quantity for each in given.positions or ()},
        "cash": None if cash is None else [cash.today, cash.next_1, cash.next_2, cash.orderable],
    }


# --- shares and cash ------------------------------------------------------------------------------------------------


def compare(turn: Turn, given: Looked, *, patient: bool = True) -> bool:
    """Hold shares and cash against the broker's; False where something differs that may yet agree.

    patient: while running, where a look may be older than a fill; names with fills on their way are left out.
    """
    agreed = True
    if given.positions is not None:
        agreed = _shares(turn, given, patient=patient)
    if given.cash is not None:
        if given.asked >= turn.engine.now.last_sent:
            turn.engine.now.orderable = given.cash.orderable
        agreed = _cash(turn, given, patient=patient) and agreed
    return agreed


def _moving(turn: Turn, asked: int) -> set[str]:
    """Names with fills that the broker's figures may not show yet."""
    engine = turn.engine
    lag = 2 * SECOND
    moving = {engine.orders[i].intent.symbol for i in engine.unconfirmed}
    moving |= {engine.orders[i].intent.symbol for i, at in engine.filled_at.items() if at > asked - lag}
    return moving | {order.intent.symbol for order in engine.unresolved()}


def _shares(turn: Turn, given: Looked, *, patient: bool) -> bool:
    engine, counts = turn.engine, turn.engine.now.mismatch
    assert given.positions is not None
    theirs = {each.symbol: each.quantity for each in given.positions}
    ours = {symbol for sleeve in engine.sleeves.values() for symbol in sleeve.positions()} | set(engine.unassigned)
    moving = _moving(turn, given.asked) if patient else {o.intent.symbol for o in engine.unresolved()}
    agreed, confirmed = True, []
    for symbol in sorted(ours | set(theirs) | set(engine.provisional)):
        if symbol in moving:
            continue
        here, there, key = engine.shares(symbol), theirs.get(symbol, 0), f"shares:{symbol}"
        if here == there:
            counts.pop(key, None)
            engine.now.differed.pop(key, None)
            turn.agree(Scope.SYMBOL, symbol, code="POSITION_DIFFERENCE")
            if symbol in engine.provisional:
                confirmed.append(symbol)
            continue
        if symbol in engine.provisional:
            continue  # it is REDUCING, and the broker's count may come late
        agreed = False
        counts[key] = counts.get(key, 0) + 1
        engine.now.differed.setdefault(key, {}).setdefault(there, here)
        if counts[key] >= TWICE:
            detail = f"{symbol}: {here} shares here, {there} at the broker"
            turn.alarm("POSITION_DIFFERENCE", detail, key=symbol)
            turn.restrict(Scope.SYMBOL, symbol, Mode.REDUCING, reason=detail, code="POSITION_DIFFERENCE",
                          lifts=_lifts(turn))  # fmt: skip
    if confirmed:
        turn.write(Kind.ACCOUNT_STATE, _state(given) | {"confirmed": confirmed})
    return agreed


def _cash(turn: Turn, given: Looked, *, patient: bool) -> bool:
    engine, counts = turn.engine, turn.engine.now.mismatch
    assert given.cash is not None
    if (patient and _moving(turn, given.asked)) or any(o.status is Status.SUBMITTED for o in engine.unresolved()):
        return True
    more = engine.cash() - given.cash.next_2
    fills, traded = engine.settled_cash
    if more == 0:
        counts.pop("cash", None)
        engine.now.differed.pop("cash", None)
        turn.agree(Scope.ACCOUNT, engine.account, code="CASH_DIFFERENCE")
        if fills:
            turn.write(Kind.ACCOUNT_STATE, _state(given) | {"equal_cash": True})
        _by_day(turn, given)
        return True
    if fills and abs(more) <= looks.FEE_PER_FILL * fills + looks.FEE_SHARE * traded:
        turn.write(Kind.COST_CORRECTED, {"amount": more, "detail": f"rounding of {fills} fills"})
        return True
    counts["cash"] = counts.get("cash", 0) + 1
    engine.now.differed.setdefault("cash", {}).setdefault(given.cash.next_2, engine.cash())
    if counts["cash"] >= TWICE:
        detail = f"{engine.cash()} in cash here, {given.cash.next_2} at the broker"
        turn.alarm("CASH_DIFFERENCE", detail)
        turn.restrict(Scope.ACCOUNT, engine.account, Mode.REDUCING, reason=detail, code="CASH_DIFFERENCE",
                      lifts=_lifts(turn))  # fmt: skip
    return False


def _lifts(turn: Turn) -> str:
    """Whether what is shut for a difference opens by itself: only while the day's morning is still to be told."""
    day = turn.engine.day
    return AGREED if day is not None and day < turn.date().isoformat() and turn.session() is not None else ""


def _by_day(turn: Turn, given: Looked) -> None:
    """The same money on other days is told, no more: what others traded settles on days that nobody here knows."""
    engine, cash = turn.engine, given.cash
    if cash is None or engine.external or not over(turn):
        return
    today = next_1 = engine.unassigned_cash
    for sleeve in engine.sleeves.values():
        first, second, _ = sleeve.cash_by_day()
        today, next_1 = today + first, next_1 + second
    if (today, next_1) != (cash.today, cash.next_1):
        turn.alarm(
            "CASH_BY_DAY", f"{today} and {next_1} by the next settlement here, {cash.today} and {cash.next_1} there"
        )


# --- timers and the end ---------------------------------------------------------------------------------------------


def ask(turn: Turn) -> None:
    """Time to look at the orders."""
    if turn.engine.now.phase == "ready":
        turn.look("ask")


def keep_asking(turn: Turn) -> None:
    """While an order stands, the list is asked every ten seconds."""
    if turn.engine.now.phase == "ready" and looks.keeps_asking(turn):
        turn.wake_by("ask", turn.time + looks.POLL)


def positions(turn: Turn) -> None:
    """Time to look at shares and cash."""
    if turn.engine.now.phase == "ready":
        turn.look("positions", positions=True, cash=True)
        turn.wake("positions", turn.time + POSITIONS)


def plan_sweep(turn: Turn) -> None:
    """Ask for the moment of the day's sweep, once; one that was missed comes at once."""
    session = turn.session()
    if session is not None and turn.engine.swept != turn.date().isoformat():
        turn.wake("sweep", max(session.closes + SWEEP, turn.time + SECOND))


def sweep(turn: Turn) -> None:
    """The session is over: time to look at everything."""
    if turn.engine.now.phase == "ready":
        turn.look("sweep", positions=True, cash=True)
    else:
        turn.wake("sweep", turn.time + AGAIN)


def _left_out(turn: Turn, given: Looked) -> None:
    """Orders of the day that its last list lacks: nobody knows what became of them."""
    there = {line.number for line in given.orders or ()}
    for name in turn.engine.working:
        order = turn.engine.orders[name]
        if order.numbers and not there.intersection(order.numbers):
            turn.alarm("NOT_IN_LIST", f"order {order.id}, number {order.number}: the day's last list lacks it",
                       key=order.id, order=order.id)  # fmt: skip
            turn.restrict(Scope.SYMBOL, order.intent.symbol, Mode.REDUCING, code="NOT_IN_LIST",
                          reason=f"nobody knows what became of order {order.id}")  # fmt: skip


def end_of_day(turn: Turn, *, before: str = "9999") -> None:
    """Every order of the session is final: what the list left standing has expired; what nobody answered shuts the
    account until a person has said what became of it. before: only orders that were sent before a date."""
    engine = turn.engine
    left = []
    for order in [engine.orders[name] for name in engine.working]:
        if engine.since(order, before):
            continue
        if order.unresolved_since is None and order.numbers:
            life.finish(turn, order, Status.EXPIRED, "SESSION_END")
        else:
            left.append(order.id)
    if left:
        detail = f"unresolved at the end of the session: {', '.join(sorted(left))}"
        turn.alarm("UNRESOLVED_AT_CLOSE", detail)
        turn.restrict(Scope.ACCOUNT, engine.account, Mode.HALTED, reason=detail, code="UNRESOLVED_AT_CLOSE")
