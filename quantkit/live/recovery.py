"""The engine after a restart: the latest snapshot, and the entries after it.

Contract: `recover` gives the engine that was in memory when the last transaction was written, to the last byte of its
snapshot; what a restart begins anew (connections, prices, looks) is not part of that. A snapshot is a header in JSON,
then each sleeve's morning row and book. BadData for anything else, and for another version.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields
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
    import pyarrow as pa

    pieces: list[bytes] = []
    sleeves = [_sleeve_to_json(sleeve, pieces) for sleeve in engine.sleeves.values()]
    head = {
        "version": VERSION, "account": engine.account, "sleeves": sleeves,
        "switches": engine.switches.to_json(),
        "external": [asdict(each) for each in engine.external.values()],
        "opened": engine.opened, "unassigned_cash": engine.unassigned_cash,
        "unassigned": _sorted(engine.unassigned), "commands": list(engine.commands), "alarms": sorted(engine.alarms),
        "confirmed": _sorted(engine.confirmed), "filled_at": _sorted(engine.filled_at),
        "cost_of": _sorted(engine.cost_of), "leaving": _sorted(engine.leaving),
        "provisional": _sorted(engine.provisional), "day": engine.day, "swept": engine.swept,
        "settled_cash": engine.settled_cash, "sizes": [len(piece) for piece in pieces],
    }  # fmt: skip
    text = f'{_text(head)[:-1]},"orders":[{_texts_of_orders(engine)}]}}'.encode()
    whole = b"".join([len(text).to_bytes(8, "little"), text, *pieces])
    packed: bytes = pa.Codec("zstd", compression_level=1).compress(whole, asbytes=True)  # a fourth of zlib's time
    return _MAGIC + packed


def _unpacked(data: bytes) -> bytes:
    """What was compressed. BadData where that cannot be read."""
    import pyarrow as pa

    if data[: len(_MAGIC)] != _MAGIC:
        raise BadData("these bytes are not a snapshot of a live engine (the magic word is missing)")
    try:
        found: bytes = pa.CompressedInputStream(pa.py_buffer(data[len(_MAGIC) :]), "zstd").read()
    except OSError as error:
        raise BadData(f"this snapshot of a live engine cannot be read: {error}") from None
    return found


def _text(given: dict[str, Any]) -> str:
    return json.dumps(given, separators=(",", ":"))


def _texts_of_orders(engine: Engine) -> str:
    """All orders. Most are as in the snapshot before, so texts are kept: an order is never changed in place."""
    kept = engine.texts
    engine.texts = {
        name: was if (was := kept.get(name)) is not None and was[0] is order else (order, _text(_order_to_json(order)))
        for name, order in engine.orders.items()
    }
    return ",".join(text for _, text in engine.texts.values())


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


def load(engine: Engine, data: bytes) -> None:
    """Bring an engine that has just been made to what `to_bytes` wrote."""
    whole = _unpacked(data)
    size = int.from_bytes(whole[:8], "little")
    try:
        head = json.loads(whole[8 : 8 + size])
    except ValueError as error:
        raise BadData(f"this snapshot of a live engine cannot be read: {error}") from None
    if head["version"] != VERSION:
        raise BadData(f"this snapshot has version {head['version']}; this quantkit reads version {VERSION}")
    if head["account"] != engine.account:
        raise BadData(f"this snapshot is of account {head['account']}, not of {engine.account}")
    pieces, at = [], 8 + size
    for length in head["sizes"]:
        pieces.append(whole[at : at + length])
        at += length
    if at != len(whole):
        raise BadData("this snapshot of a live engine is cut short")
    for given in head["sleeves"]:
        if given["name"] not in engine.sleeves:
            raise ConfigError(f"account {engine.account} holds a sleeve of {given['name']}, which is not deployed")
        _load_sleeve(engine.sleeves[given["name"]], given, pieces)
    _load_rest(engine, head)
    engine.derive()


def orders_in(data: bytes) -> list[Order] | None:
    """The orders that a snapshot holds; None where these bytes are none."""
    if data[: len(_MAGIC)] != _MAGIC:
        return None
    whole = _unpacked(data)
    head = json.loads(whole[8 : 8 + int.from_bytes(whole[:8], "little")])
    return [_order_from_json(each) for each in head["orders"]] if head["version"] == VERSION else None


def _load_rest(engine: Engine, head: dict[str, Any]) -> None:
    engine.orders = {order.id: order for order in map(_order_from_json, head["orders"])}
    engine.switches = Switches.from_json(head["switches"])
    engine.external = {each["number"]: External(**{**each, "side": Side(each["side"])}) for each in head["external"]}
    engine.opened, engine.unassigned_cash = head["opened"], head["unassigned_cash"]
    engine.unassigned = head["unassigned"]
    engine.commands, engine.alarms = dict.fromkeys(head["commands"]), set(head["alarms"])
    engine.confirmed = {name: (shown[0], shown[1]) for name, shown in head["confirmed"].items()}
    engine.filled_at, engine.cost_of, engine.leaving = head["filled_at"], head["cost_of"], head["leaving"]
    engine.provisional, engine.day, engine.swept = head["provisional"], head["day"], head["swept"]
    engine.settled_cash = (head["settled_cash"][0], head["settled_cash"][1])


def _order_from_json(given: dict[str, Any]) -> Order:
    return Order(**{
        **given, "intent": intent_from_json(given["intent"]), "status": Status(given["status"]),
        "numbers": tuple(given["numbers"]), "trades": frozenset(given["trades"]),
    })  # fmt: skip


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
