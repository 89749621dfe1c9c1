"""The engine after a restart: the latest snapshot, and the entries after it.

Contract: `recover` gives the engine that was in memory when the last transaction was written, to the last byte of its
snapshot; what a restart begins anew (connections, prices, looks) is not part of that. A snapshot is a header in JSON,
each sleeve's morning row and book, then a line of JSON for each order. BadData for anything else, and for another
version.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from operator import is_
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from quantkit.core.state import Inputs, records
from quantkit.errors import BadData, ConfigError
from quantkit.live.switch import Switches
from quantkit.live.turn import Engine, External, fold
from quantkit.trading.events import intent_from_json, intent_to_json
from quantkit.trading.orders import Order, Side, Status
from quantkit.trading.ports import InstrumentDay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from quantkit.live.risk import Denied, View
    from quantkit.live.sleeves import Sleeve
    from quantkit.live.turn import Settings
    from quantkit.trading.approval import Approved
    from quantkit.trading.events import Entry


class _Recorded(Protocol):
    @property
    def entry(self) -> Entry: ...


class Journal(Protocol):
    """What recovery reads of a journal."""

    @property
    def account(self) -> str: ...
    def read(self, after: int = 0) -> Iterable[_Recorded]: ...
    def snapshot(self) -> tuple[int, bytes] | None: ...


_KNOWN: Final = tuple(field.name for field in fields(InstrumentDay))
_MAGIC: Final = b"quantkit-engine\x00"
_PACK: Final = 16  # orders
VERSION: Final = 1


def recover(
    journal: Journal, sleeves: Iterable[Sleeve], *, settings: Settings | None = None,
    gate: Callable[[Order, View], Approved | Denied] | None = None,
) -> Engine:  # fmt: skip
    """The engine as the journal has it. sleeves: new ones, as for an engine that begins."""
    engine = Engine(journal.account, sleeves, settings=settings, gate=gate)
    found = journal.snapshot()
    if found is not None:
        load(engine, found[1])
    for recorded in journal.read(0 if found is None else found[0]):
        fold(engine, recorded.entry)
    engine.derive()
    return engine


# --- writing --------------------------------------------------------------------------------------------------------


def to_bytes(engine: Engine) -> bytes:
    """Everything that a restart needs."""
    pieces: list[bytes] = []
    sleeves = [_sleeve_to_json(sleeve, pieces) for sleeve in engine.sleeves.values()]
    head = {
        "version": VERSION, "account": engine.account, "sleeves": sleeves,
        "switches": engine.switches.to_json(),
        "external": [asdict(each) for each in engine.external.values()],
        "opened": engine.opened, "unassigned_cash": engine.unassigned_cash,
        "unassigned": _sorted(engine.unassigned), "commands": list(engine.commands), "alarms": sorted(engine.alarms),
        "leaving": _sorted(engine.leaving), "provisional": _sorted(engine.provisional), "day": engine.day,
        "swept": engine.swept, "settled_cash": engine.settled_cash, "sizes": [len(piece) for piece in pieces],
        "orders": len(engine.orders),
    }  # fmt: skip
    text = _text(head).encode()
    return b"".join([_MAGIC, _packed(b"".join([len(text).to_bytes(8, "little"), text, *pieces])), *_orders(engine)])


def _packed(data: bytes) -> bytes:
    """A frame of zstd: a fourth of zlib's time. Frames after each other unpack to what was in them."""
    import pyarrow as pa

    found: bytes = pa.Codec("zstd", compression_level=1).compress(data, asbytes=True)
    return found


def _text(given: dict[str, Any]) -> str:
    return json.dumps(given, separators=(",", ":"))


def _orders(engine: Engine) -> list[bytes]:
    """All orders, a line each, packed by a few. Nearly all packs are as in the snapshot before, and are kept: an order
    is never changed in place. So a bar waits no longer in the evening of a busy day than in its morning."""
    kept, orders, costs = engine.packs, list(engine.orders.values()), engine.cost_of
    engine.packs = []
    for place, first in enumerate(range(0, len(orders), _PACK)):
        part = orders[first : first + _PACK]
        shown = [(engine.confirmed.get(o.id), engine.filled_at.get(o.id), costs.get(o.id)) for o in part]
        was = kept[place] if place < len(kept) else None
        if was is not None and was[1] == shown and len(was[0]) == len(part) and all(map(is_, was[0], part)):
            engine.packs.append(was)
            continue
        lines = [
            _text({**_order_to_json(order), "shown": told}) + "\n" for order, told in zip(part, shown, strict=True)
        ]
        engine.packs.append((part, shown, _packed("".join(lines).encode())))
    return [packed for _, _, packed in engine.packs]


def _sorted(mapping: dict[str, Any]) -> dict[str, Any]:
    return dict(sorted(mapping.items()))


def _order_to_json(order: Order) -> dict[str, Any]:
    return {
        "intent": intent_to_json(order.intent), "status": order.status.value, "quantity": order.quantity,
        "price": order.price, "filled": order.filled, "value": order.value, "commission": order.commission,
        "tax": order.tax, "numbers": order.numbers, "submitted": order.submitted, "ended": order.ended,
        "unresolved_since": order.unresolved_since, "reason": order.reason, "trades": sorted(order.trades),
    }  # fmt: skip


def _sleeve_to_json(sleeve: Sleeve, pieces: list[bytes]) -> dict[str, Any]:
    """A sleeve's own figures; its row and its book go to the pieces."""
    row = None
    if sleeve.row is not None:
        row = []
        for column in sleeve.row:
            row.append([column.dtype.descr if column.dtype.names else column.dtype.str, list(column.shape)])
            pieces.append(np.ascontiguousarray(column).tobytes())
    pieces.append(sleeve.book.to_bytes())
    return {
        "name": sleeve.name, "granted": sleeve.granted, "row": row, "day": sleeve.day, "bar": sleeve.bar,
        "step": sleeve.step, "opened": sleeve.opened, "instruments": [
            {field: getattr(each, field) for field in _KNOWN} for each in sleeve.instruments.values()
        ],
        "wanted": sorted([order, *what] for order, what in sleeve.wanted.items()),
        "ids": sorted([order, names] for order, names in sleeve.ids.items()),
        "day_start": sleeve.day_start, "losses": sleeve.losses,
        "realized": sorted([place, amount] for place, amount in sleeve.realized.items()),
    }  # fmt: skip


# --- reading --------------------------------------------------------------------------------------------------------


def _opened(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The header, and what follows it. BadData where that cannot be read."""
    import pyarrow as pa

    if data[: len(_MAGIC)] != _MAGIC:
        raise BadData("these bytes are not a snapshot of a live engine (the magic word is missing)")
    try:
        whole = pa.CompressedInputStream(pa.py_buffer(data[len(_MAGIC) :]), "zstd").read()
        size = 8 + int.from_bytes(whole[:8], "little")
        return json.loads(whole[8:size]), whole[size:]
    except (OSError, ValueError) as error:
        raise BadData(f"this snapshot of a live engine cannot be read: {error}") from None


def load(engine: Engine, data: bytes) -> None:
    """Bring an engine that has just been made to what `to_bytes` wrote."""
    head, whole = _opened(data)
    if head["version"] != VERSION:
        raise BadData(f"this snapshot has version {head['version']}; this quantkit reads version {VERSION}")
    if head["account"] != engine.account:
        raise BadData(f"this snapshot is of account {head['account']}, not of {engine.account}")
    pieces, at = [], 0
    for length in head["sizes"]:
        pieces.append(whole[at : at + length])
        at += length
    lines = whole[at:].splitlines()
    if len(lines) != head["orders"]:
        raise BadData("this snapshot of a live engine is cut short")
    for given in head["sleeves"]:
        if given["name"] not in engine.sleeves:
            raise ConfigError(f"account {engine.account} holds a sleeve of {given['name']}, which is not deployed")
        _load_sleeve(engine.sleeves[given["name"]], given, pieces)
    _load_orders(engine, lines)
    _load_rest(engine, head)
    engine.derive()


def orders_in(data: bytes) -> list[Order] | None:
    """The orders that a snapshot holds; None where these bytes are none."""
    if data[: len(_MAGIC)] != _MAGIC:
        return None
    head, whole = _opened(data)
    lines = whole[sum(head["sizes"]) :].splitlines()
    return [_order_from_json(json.loads(line))[0] for line in lines] if head["version"] == VERSION else None


def _load_orders(engine: Engine, lines: list[bytes]) -> None:
    engine.orders, engine.confirmed, engine.filled_at, engine.cost_of = {}, {}, {}, {}
    for line in lines:
        order, (confirmed, filled_at, cost) = _order_from_json(json.loads(line))
        engine.orders[order.id] = order
        if confirmed is not None:
            engine.confirmed[order.id] = (confirmed[0], confirmed[1])
        if filled_at is not None:
            engine.filled_at[order.id] = filled_at
        if cost is not None:
            engine.cost_of[order.id] = cost


def _load_rest(engine: Engine, head: dict[str, Any]) -> None:
    engine.switches = Switches.from_json(head["switches"])
    engine.external = {each["number"]: External(**{**each, "side": Side(each["side"])}) for each in head["external"]}
    engine.opened, engine.unassigned_cash = head["opened"], head["unassigned_cash"]
    engine.unassigned = head["unassigned"]
    engine.commands, engine.alarms = dict.fromkeys(head["commands"]), set(head["alarms"])
    engine.leaving, engine.provisional = head["leaving"], head["provisional"]
    engine.day, engine.swept = head["day"], head["swept"]
    engine.settled_cash = (head["settled_cash"][0], head["settled_cash"][1])


def _order_from_json(given: dict[str, Any]) -> tuple[Order, list[Any]]:
    """An order; and its shares and value as the list showed them, the time of its last fill, its costs."""
    shown = given.pop("shown")
    return Order(**{
        **given, "intent": intent_from_json(given["intent"]), "status": Status(given["status"]),
        "numbers": tuple(given["numbers"]), "trades": frozenset(given["trades"]),
    }), shown  # fmt: skip


def _load_sleeve(sleeve: Sleeve, given: dict[str, Any], pieces: list[bytes]) -> None:
    if given["row"] is not None:
        columns = []
        for kind, shape in given["row"]:
            dtype = np.dtype(kind if isinstance(kind, str) else [(name, how) for name, how in kind])
            array = np.frombuffer(pieces.pop(0), dtype).reshape(shape).copy()
            columns.append(records(array) if dtype.names else array)
        sleeve.row = Inputs._make(columns)
    sleeve.take_book(pieces.pop(0))
    for name in ("granted", "day", "bar", "step", "opened", "day_start", "losses"):
        setattr(sleeve, name, given[name])
    sleeve.instruments = {each["symbol"]: InstrumentDay(**each) for each in given["instruments"]}
    sleeve.wanted = {order: (quantity, price) for order, quantity, price in given["wanted"]}
    sleeve.ids = {order: list(names) for order, names in given["ids"]}
    sleeve.realized = dict(given["realized"])
