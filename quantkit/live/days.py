"""A bar of a sleeve: its morning, the prices while it runs, its evening.

    morning   the session's actions and base prices; what should stand now; halted names dropped, quantities cut anew
    watch     prices that bring held orders and the policy's stops to act
    evening   orders end, the account is marked, the strategy decides: intents for the next window

Contract: pure. Every number of the fold comes from the sleeve's Book; here orders of the fold become intents and back.
Daily bars have their morning with `SessionOpens`, intraday bars at once after the evening before, and the first of a
session with `SessionOpens`. A bar that comes without a morning (read later than it closed) has it then, with its own
row. Intents whose window has passed end unsent, whoever decided them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from quantkit.core.state import AUCTION_ONLY, CLOSING, Inputs
from quantkit.live import auction, dispatch, life, reconcile, signals
from quantkit.live.prints import aims_of, held_of, seen_of
from quantkit.live.switch import Mode, Scope, next_session
from quantkit.market import KRX_MARKETS
from quantkit.plain import plain
from quantkit.trading.events import Entry, Kind, intent_to_json
from quantkit.trading.orders import Intent, OrderType, Side, TimeInForce, Window
from quantkit.trading.ports import InstrumentDay, Tick

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quantkit.live.messages import BarClosed, MarketData, SessionOpens
    from quantkit.live.sleeves import Sleeve, Wanted
    from quantkit.live.turn import Turn
    from quantkit.trading.ports import Quote

_AUCTION: Final = 600_000_000_000  # closing auction, nanoseconds
_UNPRICED: Final = frozenset({"market", "same_close"})
_NOT_SENT: Final = frozenset({"stop_loss", "trailing_stop", "take_profit"})
STOP_WINDOW: Final = 60_000_000_000  # a triggered order that could not go for so long is dead; its price is old


# --- the morning ----------------------------------------------------------------------------------------------------


def opens(turn: Turn, given: SessionOpens) -> None:
    """A session begins for one deployment."""
    engine, sleeve = turn.engine, turn.engine.sleeves[given.deployment]
    engine.due = True
    sleeve.instruments = {each.symbol: each for each in given.instruments}
    if sleeve.day == given.day:
        return  # a restart within the session: the names are read anew, the morning has been
    begin_day(turn, sleeve, given, sleeve.equity())
    if sleeve.opened:
        detail = f"{sleeve.name}: the bar of the session before was never closed"
        turn.alarm("BAR_MISSING", detail, key=sleeve.name)
        turn.restrict(Scope.DEPLOYMENT, sleeve.name, Mode.REDUCING, reason=detail, code="BAR_MISSING")
    else:
        morning(turn, sleeve, given.row, given.events)
    sleeve.day, sleeve.row = given.day, given.row
    _halted(turn, sleeve)
    _actions(turn, sleeve)
    if engine.now.phase == "ready":
        turn.look("morning", positions=True, cash=True)
    reconcile.plan_sweep(turn)


def begin_day(turn: Turn, sleeve: Sleeve, given: SessionOpens, equity: int) -> None:
    """What a new day ends and lifts; its entry."""
    engine, date = turn.engine, np.datetime64(given.day, "D").item().isoformat()
    _stale(turn, date)
    if engine.day is None or date > engine.day:
        _, lifted = next_session(engine.switches, turn.time)
        for entry in lifted:
            turn.keep(entry)
    bases = {each.symbol: each.base for each in given.instruments}
    turn.write(Kind.SESSION_OPENED, {
        "date": date, "actions": plain(_rows(given.events)), "bases": plain(bases), "equity": equity,
        "deployment": sleeve.name,
    }, deployment=sleeve.name)  # fmt: skip
    _grant(turn, sleeve)


def _grant(turn: Turn, sleeve: Sleeve) -> None:
    """Give what a promotion has allowed since the last morning, out of nobody's money; nothing is taken away."""
    more = sleeve.capital - sleeve.granted
    there = min(more, max(turn.engine.unassigned_cash, 0))
    if there > 0:
        turn.write(Kind.ACCOUNT_STATE, {
            "positions": {}, "cash": None, "assigned": {sleeve.name: there}, "granted": True, "by": "rule CAPITAL",
            "reason": f"{sleeve.name} may use {sleeve.capital:,}",
        })  # fmt: skip
    if there < more:
        turn.alarm("CAPITAL_SHORT", f"{sleeve.name} may use {more - there:,} more, which is not there", key=sleeve.name)


def _rows(events: Any) -> list[dict[str, Any]]:
    names = events.dtype.names or ()
    return [{name: event[name].item() for name in names} for event in events]


def _stale(turn: Turn, date: str) -> None:
    """Orders of a day before: the exchange has ended them; those nobody answered keep the account shut. Where this day
    is told late, orders of its own stand as they are."""
    if turn.engine.day is not None and date > turn.engine.day:
        reconcile.end_of_day(turn, before=date)


def _moved(today: InstrumentDay) -> bool:
    """Whether an action stands between the last close and today's base price."""
    return today.previous_close > 0 and abs(today.base / today.previous_close - 1.0) > 1e-9


def _halted(turn: Turn, sleeve: Sleeve) -> None:
    """Drop what cannot trade today, and what a person ordered in shares and prices of before an action."""
    for name in list(turn.engine.waiting):
        order = turn.engine.orders[name]
        today = sleeve.instruments.get(order.intent.symbol)
        if order.intent.deployment == sleeve.name and today is not None and today.halted:
            turn.order(Kind.ORDER_DENIED, order, {"code": "HALTED", "detail": f"{order.intent.symbol} is halted"})
        elif order.intent.source == "manual" and today is not None and _moved(today):
            detail = f"{order.intent.symbol}: base {today.base:g} after {today.previous_close:g}"
            turn.order(Kind.ORDER_DENIED, order, {"code": "CORPORATE_ACTION", "detail": detail})


def _actions(turn: Turn, sleeve: Sleeve) -> None:
    """A base price that is not the last close is an action until the broker's share count says so."""
    expected = {}
    for today in sleeve.instruments.values():
        if _moved(today) and turn.engine.shares(today.symbol):
            expected[today.symbol] = turn.engine.shares(today.symbol)
    if expected:
        detail = ", ".join(f"{symbol}: {shares} shares" for symbol, shares in expected.items())
        turn.write(Kind.ACCOUNT_STATE, {"positions": {}, "cash": None, "expected": expected})
        turn.alarm("ACTION_TO_CONFIRM", f"{detail} expected after today's action", key=sleeve.name)


def morning(turn: Turn, sleeve: Sleeve, row: Inputs, events: Any) -> None:
    """Steps 1 and 2 of the coming bar, and what should stand after them."""
    turn.engine.due = True
    if getattr(sleeve.book, "closing", False):
        sleeve.book.finish()  # type: ignore[attr-defined]
    said = sleeve.book.morning(row, events)
    sleeve.opened, sleeve.row = True, row
    for gone in said.ended:
        fold_ended(turn, sleeve, gone.order, gone.reason)
    standing = set()
    for wanted in said.wanted:
        standing.add(wanted.order)
        _should_stand(turn, sleeve, wanted)
    for fold_order in [each for each in sleeve.wanted if each not in standing]:
        waiting = [i for i in sleeve.ids.get(fold_order, ()) if i in turn.engine.waiting]
        for name in waiting:
            if turn.engine.orders[name].intent.rule not in _NOT_SENT:
                sleeve.wanted.pop(fold_order, None)
                life.cancel(turn, turn.engine.orders[name], "NOT_WANTED")


def fold_ended(turn: Turn, sleeve: Sleeve, fold_order: int, reason: str) -> None:
    """The fold has ended an order: so must the exchange."""
    sleeve.wanted.pop(fold_order, None)
    for name in list(sleeve.ids.get(fold_order, ())):
        life.cancel(turn, turn.engine.orders[name], reason or "ENDED")


def _should_stand(turn: Turn, sleeve: Sleeve, wanted: Wanted) -> None:
    """Bring the orders of one order of the fold to what it wants now."""
    price = sleeve.wants(wanted)
    live = [turn.engine.orders[i] for i in sleeve.ids.get(wanted.order, ())]
    kind = _type_of(sleeve, wanted, price, known=True)
    if not live:
        close = sleeve.bar or turn.time
        if sleeve.book.intraday:
            close = max(close, _session_start(turn))
        intend(turn, sleeve, wanted, kind, price, close)
        return
    for order in live:
        if order.id in turn.engine.waiting:
            if order.intent.type is not kind:
                intend(turn, sleeve, wanted, kind, price, order.intent.bar, instead=order.intent.window)
                life.cancel(turn, order, "REPRICED")
        elif "~" not in order.id and (wanted.quantity < order.leaves or (price is not None and price != order.price)):
            turn.engine.now.standing[order.id] = order.filled + int(wanted.quantity), price or order.price


def _session_start(turn: Turn) -> int:
    """When today's orders may first be sent; 0 on a day without a session."""
    session = turn.session()
    return 0 if session is None else session.opens - 30 * 60_000_000_000


# --- intents --------------------------------------------------------------------------------------------------------


def _type_of(sleeve: Sleeve, wanted: Wanted, price: float | None, *, known: bool) -> OrderType:
    """How the exchange is asked to price it. known: False before the morning, when a limit may still be missing."""
    if wanted.kind == "conditional":
        return OrderType.CONDITIONAL
    if price is not None or (not known and sleeve.plan.collar >= 0 and wanted.kind not in _UNPRICED):
        return OrderType.LIMIT
    return OrderType.MARKET


def intend(
    turn: Turn, sleeve: Sleeve, wanted: Wanted, kind: OrderType, price: float | None, close: int,
    *, instead: Window | None = None, window: Window | None = None, strength: float | None = None,
    held: int | None = None, last: float | None = None,
) -> None:  # fmt: skip
    """Journal an intent for an order of the fold."""
    name = f"{sleeve.name}:{close}:{wanted.order}"
    while name in turn.engine.orders:
        name += "r"
    symbol = sleeve.book.symbols[wanted.symbol]
    held = sleeve.shares(symbol) if held is None else held
    last = sleeve.last_close(symbol) if last is None else last
    intent = Intent(
        id=name, deployment=sleeve.name, symbol=symbol, side=Side.BUY if wanted.side > 0 else Side.SELL,
        quantity=int(wanted.quantity), type=kind,
        window=instead or window or dispatch.window_of(
            sleeve, wanted.kind, close, turn.engine.settings, tif=wanted.tif
        ), price=price,
        tif=TimeInForce(wanted.tif), venue=sleeve.venue, bar=close, fold_order=int(wanted.order), rule=wanted.rule,
        kind=wanted.kind, reduces=0 < wanted.quantity <= abs(held) and held * wanted.side < 0,
        decision_price=last if math.isfinite(last) else None, strength=strength,
    )  # fmt: skip
    turn.write(Kind.ORDER_INITIALIZED, {"intent": intent_to_json(intent)}, order=name, deployment=sleeve.name)


# --- while a bar runs -----------------------------------------------------------------------------------------------


def prices(turn: Turn, given: MarketData) -> None:
    """Follow prices, and send what they bring to act."""
    now = turn.engine.now
    latest, quotes, opening = now.prices, now.quotes, now.opening
    sleeves = [s for s in turn.engine.sleeves.values() if s.opened and s.row is not None]
    for item in given.items:
        if not isinstance(item, Tick):
            quotes[item.symbol] = item
            _quoted(latest, item)
            continue
        latest[item.symbol] = (item.price, item.time)
        if item.symbol in opening:
            auction.printed(turn, item)
        for sleeve in sleeves:
            place = sleeve.columns.get(item.symbol)
            if place is not None and not item.auction:
                _watch(turn, sleeve, place, item.price)


def _quoted(latest: dict[str, tuple[float, int]], quote: Quote) -> None:
    """A quote makes a price fresh: the last trade's where the book still allows it, else the nearest of the book."""
    last = latest.get(quote.symbol)
    if last is None or quote.time < last[1] or quote.expected is not None:
        return  # in a call the book tells no price
    bid = quote.bids[0][0] if quote.bids else 0.0
    ask = quote.asks[0][0] if quote.asks else math.inf
    if bid < ask and (bid > 0.0 or ask < math.inf):
        latest[quote.symbol] = (min(max(last[0], bid), ask), quote.time)


def _watch(turn: Turn, sleeve: Sleeve, place: int, price: float) -> None:
    """Write a price that moved something, so that recovery lets it do so again, and send what it brings to act. A name
    whose stop was denied is left alone until that may have changed (`engine.reduce`), or for a while."""
    denied = turn.engine.now.denied
    if denied and turn.time < denied.get((sleeve.name, sleeve.book.symbols[place]), 0):
        return
    wanted = sleeve.book.watch(place, price, sleeve.row)  # type: ignore[arg-type]
    if wanted is None:
        return
    payload = {"symbol": sleeve.book.symbols[place], "price": price}
    turn.entries.append(Entry(Kind.PRICE_WATCHED, turn.time, payload, deployment=sleeve.name))
    for each in wanted:
        trigger(turn, sleeve, each, price)


def trigger(
    turn: Turn, sleeve: Sleeve, wanted: Wanted, price: float, *, phase: str = "continuous", held: int | None = None
) -> None:
    """Journal an order that we held ourselves and whose price was met: it may go now. held: shares of the name."""
    limit = sleeve.wants(wanted)
    intend(
        turn, sleeve, wanted, OrderType.MARKET if limit is None else OrderType.LIMIT, limit, turn.time,
        window=Window(phase, turn.time, turn.time + STOP_WINDOW), held=held,
    )  # fmt: skip
    turn.write(Kind.ORDER_TRIGGERED, {"price": price}, order=sleeve.ids[wanted.order][-1], deployment=sleeve.name)


# --- the evening ----------------------------------------------------------------------------------------------------


def closes(turn: Turn, given: BarClosed) -> None:
    """A bar is over for one deployment."""
    sleeve = turn.engine.sleeves[given.deployment]
    if given.close <= sleeve.bar:
        return  # it was folded before: a backfill that overlaps
    turn.engine.due = True
    if not sleeve.opened:
        morning(turn, sleeve, given.row, given.events)
    targets = signals.kept(sleeve)
    said = sleeve.book.evening(given.row, signals=given.signals)
    count_bars(sleeve, given.close)
    sleeve.opened = getattr(sleeve.book, "closing", False)  # then orders for this very close may go
    for gone in said.ended:
        fold_ended(turn, sleeve, gone.order, gone.reason)
    turn.write(Kind.BAR_FOLDED, {
        "bar": given.close, "equity": int(said.equity), "cash": int(said.cash), "digest": sleeve.digest(),
        "complete": given.complete, "backfill": given.backfill, **({} if given.alone else _told(sleeve, given.row)),
    }, deployment=sleeve.name)  # fmt: skip
    decide(turn, sleeve, given, targets, said.decided)
    if sleeve.book.intraday and not given.alone:
        row = coming(turn, sleeve, given)
        if row is not None:
            morning(turn, sleeve, row, given.events[:0])


def decide(turn: Turn, sleeve: Sleeve, given: BarClosed, targets: Any, decided: Sequence[Any]) -> None:
    """Signals and intents of a bar. targets: those before it."""
    signals.write(turn, sleeve, given, targets, decided)
    for wanted in decided:
        price = sleeve.wants(wanted)
        last = float(given.row.close[0, wanted.symbol]) if sleeve.opened else None  # the book knows it tomorrow
        intend(
            turn, sleeve, wanted, _type_of(sleeve, wanted, price, known=False), price, given.close, last=last,
            strength=_strength(given, wanted),
        )  # fmt: skip


def _strength(given: BarClosed, wanted: Wanted) -> float | None:
    """How strongly the strategy wants a name; what `on_bar` orders says no strength."""
    return None if wanted.rule == "own" else signals.strength_of(given.row, int(wanted.symbol))


def _told(sleeve: Sleeve, row: Inputs) -> dict[str, Any]:
    """What the drift report needs of a bar: the names held, and prints of what was decided on."""
    held = held_of(sleeve.book.symbols, sleeve.book.state, row)
    return {"held": held, "seen": seen_of(row), "aims": aims_of(row)}


def count_bars(sleeve: Sleeve, close: int) -> None:
    """Keep the close, and learn how long a bar is: the shortest distance seen."""
    step = close - sleeve.bar
    if sleeve.bar and step > 0 and (sleeve.step == 0 or step < sleeve.step):
        sleeve.step = step
    sleeve.bar = close


def coming(turn: Turn, sleeve: Sleeve, given: BarClosed) -> Inputs | None:
    """The row of the next bar of the session as far as it is known; None where none is left."""
    market = sleeve.markets[0] if sleeve.markets else turn.engine.settings.market
    hours = turn.engine.settings.hours
    session = hours.session_of(hours.date_of(given.close - 1, market=market), market=market)
    if session is None or given.close >= session.closes:
        return None
    dates = given.row.dates.copy()
    dates["rebalance"] = 0
    last = sleeve.step > 0 and given.close + sleeve.step >= session.closes
    in_auction = market in KRX_MARKETS and session.closes - _AUCTION <= given.close
    phase = (CLOSING if last or in_auction else 0) | (AUCTION_ONLY if in_auction else 0)
    dates["phase"] = phase
    return given.row._replace(dates=dates)
