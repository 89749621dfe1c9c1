"""Bars through the engine, one by one: every order through `reduce`, the gates, the journal and a simulated broker.

    1. bars on which nobody could fill an order go in one input             BarsAhead
    2. the session opens; orders go in the windows of the bar               SessionOpens, TimerFired, Answered
    3. the broker fills from the whole bar; what we watched goes now        brokers.sim, Acted
    4. its fills are heard and booked, then the path itself                 Noticed, PathSeen
    5. the evening: orders end, the strategy decides                        BarClosed

Where no order is left after 4, the path and the evening are the beginning of the next 1.

Contract: everything that happens to an account happens in `engine.reduce` and stands in the journal. The broker keeps
money and shares of its own and refuses to go on (Bug) where the engine's are not the same. Deterministic.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from quantkit.core.bench import joined
from quantkit.core.fold import Output
from quantkit.core.state import (
    CLOSING,
    DAY,
    KIND_SAME_CLOSE,
    N_ORDERS,
    RULE_LIMIT,
    RULE_LIMIT_OPEN,
    RULE_STOP,
    RULE_TAKE_GAP,
    event_rows,
)
from quantkit.data.bars import FIRST_DAY, LIQUIDATION
from quantkit.errors import Bug
from quantkit.live.engine import Engine, Settings, reduce
from quantkit.live.messages import (
    Acted,
    Answered,
    BarClosed,
    BarsAhead,
    CancelOrder,
    ConnectionChanged,
    Look,
    Looked,
    ModifyOrder,
    Noticed,
    PathSeen,
    SessionOpens,
    Submit,
    TimerFired,
)
from quantkit.live.risk import Denied, GateLimits, check
from quantkit.live.wanted import STOP_RULES, Wanted
from quantkit.market import MARKETS
from quantkit.replay.hours import BarHours
from quantkit.trading.orders import Side, Status
from quantkit.trading.ports import Capabilities, Cash, InstrumentDay, Notice

if TYPE_CHECKING:
    from collections.abc import Iterable

    from quantkit.backtest.pieces import Terms
    from quantkit.core.bench import Outcome
    from quantkit.core.state import Inputs
    from quantkit.live.book import Book
    from quantkit.live.journal import Journal
    from quantkit.live.messages import Effect, Input
    from quantkit.live.risk import View
    from quantkit.progress import Tell
    from quantkit.replay.ready import Ready
    from quantkit.trading.approval import Approved
    from quantkit.trading.orders import Order

NAME: Final = "replay"
_ENOUGH: Final = 1 << 62
_OF_FILLS: Final = (
    "order_id", "symbol", "side", "quantity", "price", "value", "commission", "tax", "rule", "slippage",
    "from_proceeds", "ambiguous",
)  # fmt: skip
_OF_LIMITS: Final = frozenset({RULE_LIMIT, RULE_LIMIT_OPEN})
_SHOWN: Final = 2_000  # bars between two words of progress


class Denial(NamedTuple):
    """An order that a gate stopped."""

    fold_order: int
    order: str
    code: str
    detail: str


class Driver:
    """One replay. `sleeve` and `engine` are what is left of it."""

    def __init__(self, ready: Ready, journal: Journal, *, quick: bool, gates: GateLimits | None = None) -> None:
        self.ready, self.journal, self.quick = ready, journal, quick
        self.inputs, self.events = ready.inputs, ready.events
        self.hours = BarHours(ready.bars, self.inputs.dates["phase"])
        self.sleeve = ready.sleeve(NAME, gate_limits(ready.terms) if gates is None else gates)
        self.broker = ready.broker(self.sleeve.book.state)
        settings = Settings(
            capabilities=Capabilities(name="replay", execution_numbers=True, cuts=True), hours=self.hours,
            market=(*ready.bars.markets, "KOSPI")[0],
        )  # fmt: skip
        self.engine = Engine(journal.account, [self.sleeve], settings=settings, gate=self._gate)
        self.panel: Any = self.book.panel(self.inputs, self.events, ready.rule(self.book))
        self.equity: np.ndarray[Any, Any] = np.zeros(len(self.inputs.dates), np.int64)
        self.cash = self.equity.copy()
        self.inputs_made = self.entries = self.sent = 0
        self.denials: list[Denial] = []
        self._number = self._execution = 0
        self._sent: dict[int, str] = {}  # fold's order -> the broker's number, while it stands
        self._path: Outcome | None = None  # of the bar before, whose evening is still to come
        self._met: dict[int, tuple[float, int]] = {}  # what the path brought to act: its price, shares held by then
        self._bases = np.zeros(len(ready.bars.symbols))
        self._binds_cash = ready.binds_cash
        self._joins = quick and self.panel.rule is None and ready.folding.plan["fill_kind"] != KIND_SAME_CLOSE

    @property
    def denied(self) -> int:
        """Orders that a gate stopped."""
        return len(self.denials)

    @property
    def book(self) -> Book:
        """The fold's state under the engine."""
        found: Any = self.sleeve.book
        return found  # type: ignore[no-any-return]

    # --- the run ------------------------------------------------------------------------------------------------------

    def run(self, tell: Tell) -> Output:
        """All bars."""
        rows, row, said = len(self.inputs.dates), 0, 0
        self._connect()
        while row < rows:
            row = self._ahead(row)
            if row < rows:
                self._bar(row)
                row += 1
            if row - said >= _SHOWN or row == rows:
                tell(row, rows)
                said = row
        self.journal.append((), snapshot=self.engine.snapshot())
        return Output(self.equity, self.cash, *joined(self.book.tables))

    def _connect(self) -> None:
        """The order stream, and the first look: the account has what the sleeve was given."""
        begin = self.hours.of(0).morning - MINUTE_BEFORE
        effects = self._reduce(ConnectionChanged(begin, "orders", True, 1))
        look = next(effect for effect in effects if isinstance(effect, Look))
        money = self.sleeve.cash()
        cash = Cash(today=money, next_1=money, next_2=money, orderable=_ENOUGH)
        self._reduce(Looked(begin, look.look, begin, orders=(), positions=(), cash=cash))
        if self.engine.now.phase != "ready":
            raise Bug("the engine does not agree with a broker that begins as it does")

    def _ahead(self, row: int) -> int:
        """Fold quiet bars from `row` on, and have the morning of the next one of an open session; which that is."""
        if not self.quick and self.hours.opens_session(row):
            return row
        begun = self.sleeve.bar
        time = self.hours.ends[row - 1] if row else self.hours.of(0).morning
        hours, panel, path, self._path = self.hours, self.panel, self._path, None
        given = BarsAhead(
            time, NAME, panel, row, hours.array, self._session, hours.trading, hours.shortest, self.quick, path
        )
        effects = self._reduce(given)
        if self.sleeve.bar != begun:
            first, row = row - (path is not None), hours.row_at(self.sleeve.bar) + 1
            self.equity[first:row], self.cash[first:row] = panel.equity[first:row], panel.cash[first:row]
        time = hours.trading(row) if self.sleeve.opened else max(time, self.sleeve.bar)
        self._do(effects, time)  # a morning may end orders
        return row

    def _bar(self, row: int) -> None:
        """One bar, part by part."""
        at = self.hours.of(row)
        opens = self.hours.opens_session(row)
        if opens:
            self._do(self._reduce(self._session(row)), at.morning)
        self.broker.settle(self.book.state)
        for moment, due in (
            (at.opening, opens), (at.trading, True), (at.closing, bool(self.inputs.dates["phase"][row] & CLOSING)),
        ):  # fmt: skip
            if due and self.engine.waiting:
                self._do(self._reduce(TimerFired(moment, "windows")), moment)
        laid = self.panel.row(row)
        path = self._match(laid, at.told)
        if self._joins and row + 1 < len(self.equity) and not (self.engine.working or self.engine.waiting):
            self._path = path
            return
        self._do(self._reduce(PathSeen(at.told, NAME, path)), at.told)
        given, seen = self.ready.row(row)
        events = event_rows(self.events, row, row + 1)
        self._do(self._reduce(BarClosed(at.end, NAME, at.end, given, events, seen, alone=True)), at.end)
        last = self.hours.ends_session(row)
        if self.book.closing:
            if last:  # what is being taken back ends by itself, and holds up no order for this close
                self._expire(self.engine.leaving, at.end)
            path = self._match(laid, at.end, again=True)
            self._do(self._reduce(PathSeen(at.end, NAME, path, again=True)), at.end)
        self.equity[row], self.cash[row] = self.book.equity, self.book.cash
        if last:
            self._expire(self.engine.working, at.end)

    def _expire(self, names: Iterable[str], time: int) -> None:
        """The exchange ends orders with its session."""
        for order in [self.engine.orders[name] for name in names]:
            self._notice(order, "expired", time, order.leaves)

    def _session(self, row: int) -> SessionOpens:
        """The morning of the session of a bar."""
        first = row
        while not self.hours.opens_session(first):
            first -= 1
        laid, events = self.panel.morning(first)
        begun = self.hours.days[first] == int(self.book.state.account[DAY])  # a quiet stretch has gone through it
        self._bases = self.broker.bases(laid, None if begun else events, self.book.state)
        flags, bars = laid.flags[0], self.ready.bars
        instruments = tuple(
            InstrumentDay(
                symbol=symbol, base=base, previous_close=base,  # both sides know the morning's actions: none to confirm
                first_day=bool(flag & FIRST_DAY), liquidation=bool(flag & LIQUIDATION), leverage=leverage,
            )
            for symbol, base, flag, leverage in zip(
                bars.symbols, self._bases.tolist(), flags.tolist(), bars.leverage.tolist(), strict=True
            )
        )  # fmt: skip
        return SessionOpens(self.hours.of(first).morning, NAME, self.hours.days[first], instruments, laid, events)

    # --- the broker ---------------------------------------------------------------------------------------------------

    def _match(self, row: Inputs, time: int, *, again: bool = False) -> Outcome:
        """What a bar fills: heard and booked, fill by fill; the path."""
        engine, refused = self.engine, set[int]()
        waiting = {engine.orders[i].intent.fold_order for i in engine.waiting}
        while True:
            self.broker.orders = {*self._sent, *waiting}
            outcome = self.broker.match(row, self.book.state, again=again, refused=refused)
            said = self._acted(outcome, time)
            if not said:
                break
            if said & refused:
                raise Bug(f"stops of the policy were denied, and a replay cannot leave them out: {self.denials[-1:]}")
            refused |= said
        self.broker.book(outcome.fills)
        for fill in zip(*(outcome.fills[name].tolist() for name in _OF_FILLS), strict=True):
            self._filled(dict(zip(_OF_FILLS, fill, strict=True)), time)
        return outcome

    def _acted(self, outcome: Outcome, time: int) -> set[int]:
        """Send what we watched ourselves and the path brought to act, and anew what grew on it beyond what stands: the
        exit of an entry that filled further. Returns the orders that a gate denied."""
        ids = outcome.fills["order_id"].tolist()
        filled: dict[int, int] = {}
        for order, quantity in zip(ids, outcome.fills["quantity"].tolist(), strict=True):
            filled[order] = filled.get(order, 0) + quantity
        short = {order for order, quantity in filled.items() if quantity > self._stands(order)}
        if not short:
            return set()
        unsent: dict[int, list[Any]] = {}
        held = self.book.state.names["shares"].copy()
        met: dict[int, tuple[float, int]] = {}
        for order, fill in zip(ids, outcome.fills, strict=True):
            if order in short:
                met.setdefault(order, (float(fill["price"]), int(held[fill["symbol"]])))
                unsent.setdefault(order, []).append(fill)
            held[fill["symbol"]] += fill["side"] * fill["quantity"]
        self._met = met
        wanted = tuple(self._wanted(order, fills, outcome) for order, fills in unsent.items())
        prices, shares = zip(*met.values(), strict=True)
        self._do(self._reduce(Acted(time, NAME, wanted, prices, shares)), time)
        return {order for order in unsent if order not in self._sent}

    def _stands(self, order: int) -> int:
        """Shares that an order of the fold has at the broker."""
        return self.engine.orders[self.sleeve.ids[order][-1]].leaves if order in self._sent else 0

    def _wanted(self, order: int, fills: list[Any], outcome: Outcome) -> Wanted:
        """An order of ours that was met, in the engine's words."""
        rule, s, side, price = (fills[0][name].item() for name in ("rule", "symbol", "side", "price"))
        quantity = sum(int(fill["quantity"]) for fill in fills)
        table = outcome.state.orders[: int(outcome.state.account[N_ORDERS])]
        mine = table[table["id"] == order]
        tag = int(mine["tag"][0]) if len(mine) else 0
        limit = float(mine["level"][0]) if rule in _OF_LIMITS and len(mine) else self.book.bench.collar(s, side, price)
        said = STOP_RULES[rule] if RULE_STOP <= rule <= RULE_TAKE_GAP else "own"
        return Wanted(order, s, side, quantity, limit, "limit" if math.isfinite(limit) else "market", "day", said, tag)

    def _filled(self, fill: dict[str, Any], time: int) -> None:
        """Say a fill on the order stream."""
        names = self.sleeve.ids[fill["order_id"]]
        order = self.engine.orders[names[-1]]
        self._execution += 1
        more = {name: fill[name] for name in ("rule", "slippage", "from_proceeds", "ambiguous")}
        self._notice(
            order, "filled", time, fill["quantity"], price=fill["price"], execution=str(self._execution),
            commission=fill["commission"], tax=fill["tax"], simulated=more,
        )  # fmt: skip

    def _notice(self, order: Order, kind: str, time: int, quantity: int, **more: Any) -> None:
        intent = order.intent
        notice = Notice(
            number=order.numbers[-1], kind=kind, symbol=intent.symbol, side=intent.side, quantity=quantity, time=time,
            generation=1, **more,
        )  # fmt: skip
        self._do(self._reduce(Noticed(time, notice)), time)
        after = self.engine.orders[order.id]
        if after.status not in _STANDING and self._sent.get(intent.fold_order) in after.numbers:
            del self._sent[intent.fold_order]

    def _do(self, effects: Iterable[Effect], time: int) -> None:
        """Carry out what the engine wants done, and answer."""
        for effect in effects:
            match effect:
                case Submit():
                    self._submit(effect.approved.order, time)
                case CancelOrder():
                    self._number += 1
                    answer = Answered(time, "cancel", effect.order, "accepted", str(self._number))
                    self._do(self._reduce(answer), time)
                    self._notice(self.engine.orders[effect.order], "canceled", time, effect.quantity)
                case ModifyOrder():
                    self._modify(effect, time)
                case _:
                    pass  # a replay's stream loses nothing: no looks, and its moments come by themselves

    def _submit(self, order: Order, time: int) -> None:
        self._number += 1
        self.sent += 1
        self._sent[order.intent.fold_order] = str(self._number)
        self._do(self._reduce(Answered(time, "submit", order.id, "accepted", str(self._number))), time)

    def _modify(self, effect: ModifyOrder, time: int) -> None:
        self._number += 1
        self._do(self._reduce(Answered(time, "modify", effect.order, "accepted", str(self._number))), time)
        order = self.engine.orders[effect.order]
        notice = Notice(
            number=str(self._number), original=order.numbers[-1], kind="replaced", symbol=effect.symbol,
            side=order.intent.side, quantity=effect.quantity, price=effect.price, time=time, generation=1,
        )  # fmt: skip
        self._do(self._reduce(Noticed(time, notice)), time)
        self._sent[order.intent.fold_order] = str(self._number)

    # --- the engine ---------------------------------------------------------------------------------------------------

    def _reduce(self, given: Input) -> list[Effect]:
        """One input through the engine and into the journal."""
        self.inputs_made += 1
        self.engine, entries, effects = reduce(self.engine, given)
        if entries:
            self.entries += len(entries)
            self.journal.append(entries)
        return effects

    def _gate(self, order: Order, view: View) -> Approved | Denied:
        """The gates, with what bars and a broker of bars say in the place of quotes and of a broker's reservations.

        The last price is that of the bar before (in a session's first bar the day's base, of what a path brought to act
        the price it was met at), and is never old. A broker of bars binds neither shares nor money, and cuts what there
        is nothing for when it fills; only buys that the fold has cut to the cash already are held to it here.
        """
        symbol, positions, available, row = order.intent.symbol, view.positions, _ENOUGH, self.hours.row_at(view.now)
        if order.status is Status.TRIGGERED:
            last, held = self._met[order.intent.fold_order]
            positions = {**positions, symbol: held}
        else:
            held = self.sleeve.shares(symbol)
            last = math.nan if self.hours.opens_session(row) else self.sleeve.last_close(symbol)
            if self._binds_cash:
                available = view.available
        place = self.sleeve.columns[symbol]
        base, raw = float(self._bases[place]), view.raw
        if not base > 0.0:  # a first bar has no limits: nothing says from where they would count
            base, raw = float(self.inputs.open[row, place]), False
        view.last_price, view.last_time = last if last > 0.0 else base, view.now
        view.base, view.raw, view.sellable = base, raw, abs(held)
        view.positions, view.available = positions, available
        view.market = MARKETS[self.book.state.names["market"][place]]
        view.working = [other for other in view.working if _aside(other, order)]
        judged = check(order, view)
        if isinstance(judged, Denied):
            self.denials.append(Denial(order.intent.fold_order, order.id, judged.code, judged.detail))
        return judged


_STANDING: Final = frozenset({
    Status.SUBMITTED, Status.ACCEPTED, Status.PARTIALLY_FILLED, Status.PENDING_CANCEL, Status.PENDING_UPDATE,
})  # fmt: skip
MINUTE_BEFORE: Final = 60_000_000_000


def _aside(other: Order, order: Order) -> bool:
    """Whether a gate sees another order: a broker of bars binds no shares, and lets both sides of a name fill."""
    same = other.intent.symbol == order.intent.symbol
    return not same or (order.status is not Status.TRIGGERED and other.intent.side is order.intent.side is Side.BUY)


def gate_limits(terms: Terms) -> GateLimits:
    """The numbers of the gates of a replay: the run's money limits and collar. Time stands still while a bar's orders
    go, so their rate says nothing; bars tell of no name that is managed; a broker of bars cuts what there is nothing
    for when it fills."""
    return GateLimits.of(
        terms.limits, terms.policy, per_minute=_ENOUGH, per_day=_ENOUGH, blocked=frozenset({"halted"}), short=True
    )
