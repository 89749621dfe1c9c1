"""An entry of the journal as one line for a person, or none where it changes nothing that a person follows.

Contract: pure. The line names its order by what it does, not by its id.

>>> from quantkit.trading.events import Entry, Kind
>>> line_of(Entry(Kind.ALARM, 0, {"code": "LOOP_LAG", "detail": "300 ms"}))
'ALARM LOOP_LAG: 300 ms'
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from quantkit.trading.events import Entry, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from quantkit.trading.orders import Order


def line_of(entry: Entry, orders: Mapping[str, Order] | None = None) -> str | None:
    """The line of an entry; orders: by id, for what an order is about."""
    made = _LINES.get(entry.kind)
    if made is None or (entry.kind is Kind.FILL_CORRECTED and not entry.payload["quantity"]):
        return None  # a fill that was confirmed as it was
    text = made(entry.payload)
    order = None if entry.order is None else (orders or {}).get(entry.order)
    if order is not None:
        return f"{order.intent.side} {order.intent.symbol} {text}"
    return f"order {entry.order} {text}" if entry.order is not None else text


def _price(value: object) -> str:
    return "market" if value is None else f"{value:,g}" if isinstance(value, int | float) else str(value)


def _decided(given: Mapping[str, Any]) -> str:
    intent = given["intent"]
    price = "" if intent["price"] is None else f" at {_price(intent['price'])}"
    return f"decided: {intent['quantity']:,} {intent['type']}{price}, {intent['window']['phase'].replace('_', ' ')}" + (
        f" ({intent['rule']})" if intent.get("rule") else ""
    )


def _filled(word: str) -> Callable[[Mapping[str, Any]], str]:
    def line(given: Mapping[str, Any]) -> str:
        return f"{word} {given['quantity']:,} at {_price(given['price'])}"

    return line


def _why(word: str) -> Callable[[Mapping[str, Any]], str]:
    def line(given: Mapping[str, Any]) -> str:
        said = [str(given[name]) for name in ("code", "detail", "reason") if given.get(name)]
        return f"{word}: {': '.join(said)}" if said else word

    return line


def _session(given: Mapping[str, Any]) -> str:
    actions = f", {len(given['actions'])} corporate actions" if given["actions"] else ""
    return f"session {given['date']} made ready, {len(given['bases'])} names{actions}"


_LINES: Final[dict[Kind, Callable[[Mapping[str, Any]], str]]] = {
    Kind.RUN_STARTED: lambda given: f"run started ({given['mode']}, quantkit {given['version']})",
    Kind.RUN_ENDED: lambda given: f"run ended: {given['reason']}",
    Kind.SESSION_OPENED: _session,
    Kind.BAR_FOLDED: lambda given: f"bar closed: equity {given['equity']:,}, cash {given['cash']:,}",
    Kind.ORDER_INITIALIZED: _decided,
    Kind.ORDER_DENIED: _why("denied"),
    Kind.ORDER_TRIGGERED: lambda given: f"triggered at {_price(given['price'])}",
    Kind.ORDER_SUBMITTING: lambda given: f"sent: {given['quantity']:,} at {_price(given['price'])}",
    Kind.ORDER_ACCEPTED: lambda given: f"accepted as {given['number']}",
    Kind.ORDER_REJECTED: _why("rejected"),
    Kind.ORDER_UNRESOLVED: _why("UNRESOLVED"),
    Kind.ORDER_BOUND: lambda given: f"found at the broker as {given['number']}",
    Kind.ORDER_PARTIALLY_FILLED: _filled("filled in part"),
    Kind.ORDER_FILLED: _filled("filled"),
    Kind.FILL_CORRECTED: _filled("fill corrected:"),
    Kind.COST_CORRECTED: lambda given: f"costs corrected by {given['amount']:,}: {given['detail']}",
    Kind.ORDER_CANCELED: _why("cancelled"),
    Kind.ORDER_CANCEL_REJECTED: _why("cancel rejected"),
    Kind.ORDER_UPDATED: lambda given: f"replaced: {given['quantity']:,} at {_price(given['price'])}",
    Kind.ORDER_UPDATE_REJECTED: _why("replacement rejected"),
    Kind.ORDER_EXPIRED: _why("expired"),
    Kind.EXTERNAL_ORDER_ADOPTED: lambda given: f"somebody else's order: {given['side']} {given['symbol']}",
    Kind.POSITION_ADOPTED: lambda given: f"{given['symbol']} adopted: {given['before']:,} -> {given['after']:,} shares",
    Kind.RISK_STATE_CHANGED: lambda given: (
        f"{given['scope']} {given.get('name', '')} {given['mode'].upper()} by {given['by']}: {given['reason']}"
    ),
    Kind.CONNECTION_CHANGED: lambda given: f"{given['what']} {'up' if given['up'] else 'DOWN: ' + given['detail']}",
    Kind.GAP_DETECTED: lambda given: f"prices were missed, {len(given['symbols'])} names",
    Kind.GAP_FILLED: lambda given: f"missed prices are filled, {len(given['symbols'])} names",
    Kind.COMMAND_RECEIVED: lambda given: f"{given['command']} by {given['by']}: {given['reason'] or 'no reason given'}",
    Kind.ALARM: lambda given: f"ALARM {given['code']}: {given['detail']}",
}
