"""Tables made from the journal: a pure fold of its entries, in memory and in a database alike.

    orders, fills       `trading.events.fold_orders`, the only place where entries become orders
    positions           shares by deployment from fills and adoptions, at average cost; `reported`: the broker's count
    cash                by deployment: what the fold said last, moved by fills since; under "": what the broker reported
    external_orders     orders that somebody else made, by the session's date and the broker's number
    signals             what strategies wanted, with strength
    risk_state          the latest mode of each scope
    strategy_state      the last bar that went through the fold
    deployments         runs: mode, code, parameters, whether they go on

Contract: equal entries make equal rows, whichever way they are cut into appends. A row is a dict of its columns but the
account. `apply` may fail (Bug) and then, as after `rollback`, nothing has changed since the last `commit`; `changed`
tells the rows that differ from it. Rows not in memory are asked of `load`, so a writer need not hold all orders.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from quantkit.errors import Bug
from quantkit.live.journal.chain import canonical, encode
from quantkit.live.journal.tables import PROJECTIONS, key_of
from quantkit.trading.events import Kind, fold_orders, intent_from_json
from quantkit.trading.orders import Order, Side, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from quantkit.live.journal.base import Recorded
    from quantkit.trading.events import Entry

    Row = dict[str, Any]
    Key = tuple[Any, ...]

KEYS: Final = {table.name: key_of(table) for table in PROJECTIONS}
DEFAULTS: Final[dict[str, dict[str, Any]]] = {
    "positions": {"quantity": 0, "cost": 0, "realized": 0, "reported": None},
    "cash": {"cash": None, "today": None, "next_1": None, "next_2": None, "orderable": None},
    "strategy_state": {"date": None, "bar": None, "equity": None, "cash": None, "digest": None},
}
_FILLING: Final = frozenset({Kind.ORDER_PARTIALLY_FILLED, Kind.ORDER_FILLED, Kind.FILL_CORRECTED})


def nothing(_table: str, _key: Key) -> Row | None:
    """What a fold from the beginning finds in its tables."""
    return None


class Projections:
    """The rows, as far as they are in memory, and what changed since the last commit."""

    def __init__(self, load: Callable[[str, Key], Row | None] = nothing) -> None:
        self.orders: dict[str, Order] = {}
        self.rows: dict[str, dict[Key, Row]] = {name: {} for name in KEYS}
        self._load = load
        self._before: dict[tuple[str, Key], Row | None] = {}
        self._orders_before: dict[str, Order | None] = {}

    def apply(self, recorded: Iterable[Recorded]) -> None:
        """Bring the rows up to these entries. Bug where the state table of orders forbids one."""
        try:
            for one in recorded:
                self._one(one.seq, one.entry)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            self.rollback()
            raise Bug(f"entry {one.seq}, {one.entry.kind}, cannot be understood: {error!r}") from error
        except Bug:
            self.rollback()
            raise

    def changed(self) -> dict[str, list[Row]]:
        """Rows to be written, by table."""
        found: dict[str, list[Row]] = {}
        for name, key in self._before:
            found.setdefault(name, []).append(self.rows[name][key])
        return found

    def commit(self, *, keep: bool = True) -> None:
        """What was applied stands. keep=False forgets rows that are not needed to go on."""
        self._before.clear()
        self._orders_before.clear()
        if not keep:
            self.rows["fills"].clear()
            self.rows["signals"].clear()

    def rollback(self) -> None:
        """Back to the last commit."""
        for (name, key), row in self._before.items():
            if row is None:
                self.rows[name].pop(key, None)
            else:
                self.rows[name][key] = row
        for id_, order in self._orders_before.items():
            if order is None:
                self.orders.pop(id_, None)
            else:
                self.orders[id_] = order
        self._before.clear()
        self._orders_before.clear()

    def _find(self, name: str, key: Key) -> Row | None:
        row = self.rows[name].get(key)
        return self._load(name, key) if row is None else row

    def _put(self, name: str, key: Key, row: Row) -> None:
        self._before.setdefault((name, key), self.rows[name].get(key))
        self.rows[name][key] = row

    def _change(self, name: str, key: Key, seq: int, time: int, **columns: Any) -> None:
        """Set columns of a row, made where there is none."""
        before = self._find(name, key)
        if before is None:
            before = dict(zip(KEYS[name], key, strict=True)) | DEFAULTS.get(name, {})
        self._put(name, key, {**before, **columns, "seq": seq, "time": time})

    # --- one entry ----------------------------------------------------------------------------------------------------

    def _one(self, seq: int, entry: Entry) -> None:
        if entry.order is not None:
            self._order(seq, entry)
        made = _MAKE.get(entry.kind)
        if made is not None:
            made(self, seq, entry)

    def _order(self, seq: int, entry: Entry) -> None:
        id_ = entry.order or ""
        known = self.orders.get(id_)
        row = self._find("orders", (id_,))
        if known is None and row is not None:
            known = self.orders[id_] = order_of(row)
        after = fold_orders(self.orders, entry)
        if after is None:
            return
        self._orders_before.setdefault(id_, known)
        row = _new_row(after, entry) if row is None else row
        self._put("orders", (id_,), {**row, **_moving(after), "seq": seq, "time": entry.time})
        if entry.kind in _FILLING:
            self._fill(seq, entry, after)

    def _fill(self, seq: int, entry: Entry, order: Order) -> None:
        """A fill, or the differences that a correction makes to one."""
        given, intent, deployment = entry.payload, order.intent, order.intent.deployment
        key = (order.id, given["trade"])
        corrects = entry.kind is Kind.FILL_CORRECTED  # only then can there be a row: a trade is booked once
        before = (self._find("fills", key) if corrects else None) or {
            "quantity": 0,
            "value": 0,
            "commission": 0,
            "tax": 0,
        }
        moved = {name: before[name] + given[name] for name in ("quantity", "value", "commission", "tax")}
        self._change(
            "fills", key, seq, before.get("time", entry.time), **moved, price=given["price"],
            deployment=deployment, symbol=intent.symbol, side=intent.side.value,
            provisional=bool(given.get("provisional", False)), inferred=bool(given.get("inferred", False)),
        )  # fmt: skip
        flow = -intent.side.sign * given["value"] - given["commission"] - given["tax"]
        self._move(seq, entry, deployment, intent.symbol, intent.side.sign, given["quantity"], flow)
        self._spend(seq, entry, deployment, flow)

    def _move(self, seq: int, entry: Entry, deployment: str, symbol: str, sign: int, quantity: int, flow: int) -> None:
        """A trade, or a correction of one (its quantity may be 0 or less). flow: what cash changes by, costs included.

        cost is the money put into the shares held (less than 0 of a short position), realized what trades have brought.
        """
        row = self._find("positions", (deployment, symbol)) or DEFAULTS["positions"]
        held, cost, realized = row["quantity"], row["cost"], row["realized"]
        if held * sign >= 0:
            cost -= flow
        elif quantity > 0:
            leaving = min(quantity, abs(held))
            out, share = cost * leaving // abs(held), flow * leaving // quantity
            realized += share - out
            cost += share - flow - out
        else:  # a trade that took shares off took off fewer, or brought other money
            back = -quantity * cost // abs(held)
            realized += flow + back
            cost += back
        held += sign * quantity
        if held == 0:
            realized, cost = realized - cost, 0
        self._change("positions", (deployment, symbol), seq, entry.time, quantity=held, cost=cost, realized=realized)

    def _adjust(self, seq: int, entry: Entry, deployment: str, symbol: str, more: int) -> None:
        """Shares that came or went without a trade."""
        key = (deployment, symbol)
        row = self._find("positions", key) or DEFAULTS["positions"]
        held, cost = row["quantity"], row["cost"]
        after = held + more
        kept = cost * after // held if held and abs(after) < abs(held) and after * held >= 0 else cost
        self._change("positions", key, seq, entry.time, quantity=after, cost=kept if after else 0)

    def _spend(self, seq: int, entry: Entry, deployment: str, amount: int) -> None:
        row = self._find("cash", (deployment,))
        held = None if row is None else row["cash"]
        self._change("cash", (deployment,), seq, entry.time, cash=(held or 0) + amount)


# --- kinds that are not orders ----------------------------------------------------------------------------------------


def _owner(entry: Entry) -> str:
    return entry.deployment or ""


def _run_started(tables: Projections, seq: int, entry: Entry) -> None:
    given = entry.payload
    tables._change(
        "deployments", (_owner(entry),), seq, entry.time, mode=given["mode"], artifact=given["artifact"],
        params=encode(given["params"]), version=str(given["version"]), state="running", started=entry.time, ended=None,
        reason="",
    )  # fmt: skip


def _run_ended(tables: Projections, seq: int, entry: Entry) -> None:
    """The end of a run, or, where it names none, of all."""
    key = (_owner(entry),)
    if tables._find("deployments", key) is not None:
        reason = str(entry.payload["reason"])
        tables._change("deployments", key, seq, entry.time, state="ended", ended=entry.time, reason=reason)


def _session_opened(tables: Projections, seq: int, entry: Entry) -> None:
    tables._change("strategy_state", (_owner(entry),), seq, entry.time, date=str(entry.payload["date"]))


def _bar_folded(tables: Projections, seq: int, entry: Entry) -> None:
    given, key = entry.payload, (_owner(entry),)
    tables._change("strategy_state", key, seq, entry.time, bar=given["bar"], equity=given["equity"],
                   cash=given["cash"], digest=given["digest"])  # fmt: skip
    tables._change("cash", key, seq, entry.time, cash=given["cash"])


def _signal_raised(tables: Projections, seq: int, entry: Entry) -> None:
    given = entry.payload
    key = (_owner(entry), given["symbol"], given["bar"])
    tables._change("signals", key, seq, entry.time, value=encode(given["value"]), strength=given["strength"])


def _position_adopted(tables: Projections, seq: int, entry: Entry) -> None:
    """A person says how many shares there are: the cost follows in proportion, new shares come without one."""
    given = entry.payload
    deployment, more = given.get("deployment") or _owner(entry), given["after"] - given["before"]
    tables._adjust(seq, entry, deployment, given["symbol"], more)
    if given.get("from_unassigned"):
        tables._adjust(seq, entry, "", given["symbol"], -more)


def _external(tables: Projections, seq: int, entry: Entry) -> None:
    """An order of somebody else: what it moved since it was seen before is nobody's. Its number is the day's."""
    given = entry.payload
    day = max((row["date"] or "" for row in tables.rows["strategy_state"].values()), default="")
    key = (day, given["number"])
    before = tables._find("external_orders", key) or {"filled": 0, "value": 0}
    told = {name: given[name] for name in ("symbol", "side", "quantity", "filled", "value", "policy")}
    tables._change("external_orders", key, seq, entry.time, **told)
    if given.get("moves", True):
        sign = Side(given["side"]).sign
        flow = -sign * (given["value"] - before["value"]) - given.get("costs", 0)
        tables._move(seq, entry, "", given["symbol"], sign, given["filled"] - before["filled"], flow)
        tables._spend(seq, entry, "", flow)


def _account_state(tables: Projections, seq: int, entry: Entry) -> None:
    """The broker's word, kept beside what we count; the first one also says what is nobody's."""
    given = entry.payload
    if given["positions"] or given["cash"] is not None:
        told: dict[str, int] = given["positions"]
        known = [
            key[1] for key, row in tables.rows["positions"].items() if key[0] == "" and row["reported"] is not None
        ]
        for symbol in dict.fromkeys([*sorted(told), *sorted(known)]):
            tables._change("positions", ("", symbol), seq, entry.time, reported=told.get(symbol, 0))
    money: dict[str, Any] = {}
    if given["cash"] is not None:
        money = dict(zip(("today", "next_1", "next_2", "orderable"), given["cash"], strict=True))
    if "unassigned_cash" in given:
        money["cash"] = given["unassigned_cash"]
    if money:
        tables._change("cash", ("",), seq, entry.time, **money)
    for deployment, amount in given.get("assigned", {}).items():
        tables._spend(seq, entry, deployment, amount)
        tables._spend(seq, entry, "", -amount)
    for symbol, shares in given.get("unassigned", {}).items():
        held = (tables._find("positions", ("", symbol)) or DEFAULTS["positions"])["quantity"]
        tables._adjust(seq, entry, "", symbol, shares - held)


def _risk_state_changed(tables: Projections, seq: int, entry: Entry) -> None:
    given = entry.payload
    tables._change("risk_state", (given["scope"], _owner(entry)), seq, entry.time, mode=given["mode"],
                   reason=str(given["reason"]), by=str(given["by"]))  # fmt: skip


def _cost_corrected(tables: Projections, seq: int, entry: Entry) -> None:
    tables._spend(seq, entry, _owner(entry), -entry.payload["amount"])


_MAKE: Final[dict[Kind, Callable[[Projections, int, Entry], None]]] = {
    Kind.RUN_STARTED: _run_started,
    Kind.RUN_ENDED: _run_ended,
    Kind.SESSION_OPENED: _session_opened,
    Kind.BAR_FOLDED: _bar_folded,
    Kind.SIGNAL_RAISED: _signal_raised,
    Kind.EXTERNAL_ORDER_ADOPTED: _external,
    Kind.POSITION_ADOPTED: _position_adopted,
    Kind.ACCOUNT_STATE: _account_state,
    Kind.RISK_STATE_CHANGED: _risk_state_changed,
    Kind.COST_CORRECTED: _cost_corrected,
}


# --- orders as rows ---------------------------------------------------------------------------------------------------


def _new_row(order: Order, entry: Entry) -> Row:
    intent = order.intent
    return {
        "id": order.id, "deployment": intent.deployment, "symbol": intent.symbol, "side": intent.side.value,
        "type": intent.type.value, "rule": intent.rule, "source": intent.source, "created": entry.time,
        "intent": canonical(entry.payload["intent"]),
    }  # fmt: skip


def _moving(order: Order) -> Row:
    """The columns of an order that change in its life."""
    return {
        "status": order.status.value, "quantity": order.quantity, "price": order.price, "filled": order.filled,
        "value": order.value, "commission": order.commission, "tax": order.tax, "number": order.number,
        "numbers": encode(order.numbers), "trades": encode(sorted(order.trades)), "reason": order.reason,
        "submitted": order.submitted, "ended": order.ended, "unresolved_since": order.unresolved_since,
    }  # fmt: skip


def order_of(row: Row) -> Order:
    """The order that a row of `orders` tells."""
    same = ("quantity", "price", "filled", "value", "commission", "tax", "submitted", "ended", "unresolved_since",
            "reason")  # fmt: skip
    return Order(
        intent=intent_from_json(json.loads(row["intent"])),
        status=Status(row["status"]),
        numbers=tuple(json.loads(row["numbers"])),
        trades=frozenset(json.loads(row["trades"])),
        **{name: row[name] for name in same},
    )
