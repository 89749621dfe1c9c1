"""Laws of the engine under any order of events: answers that are lost, notices twice, late or never, lists that lag,
restarts, foreign orders, replacements and cancels that race fills.

After every input: the journal recovers the very state; nothing is sent twice; what was filled never shrinks unless the
list took it back; cash and shares move only with fills. Once everybody has said everything: shares, cash and every
order are the broker's.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from quantkit.live.messages import (
    Answered,
    CancelOrder,
    Command,
    ConnectionChanged,
    Looked,
    MarketData,
    ModifyOrder,
    Noticed,
    Submit,
    TimerFired,
)
from quantkit.live.turn import Settings
from quantkit.trading.events import Kind
from quantkit.trading.orders import TERMINAL, OrderType, Side
from quantkit.trading.ports import BrokerOrder, Capabilities, Cash, Notice, Position, Tick
from tests.live.accounts import CASH, NAMES, Account, S, Scripted, Want, at

PRICES = (69_000.0, 70_000.0, 71_000.0)
EXAMPLES = 12  # of 25 events each; some hundreds find what a dozen do not
OPEN, LATEST = at("09:30"), at("14:30")


@dataclass
class Truth:
    """A broker that knows what is true: orders by number, shares, cash."""

    cash: int = CASH
    shares: dict[str, int] = field(default_factory=dict)
    orders: dict[str, BrokerOrder] = field(default_factory=dict)

    def bound(self, side: Side, symbol: str | None = None) -> int:
        live = [o for o in self.orders.values() if o.side is side and symbol in (None, o.symbol)]
        return sum(o.leaves * (int(o.price or 0) if side is Side.BUY else 1) for o in live)

    def place(self, symbol: str, side: Side, quantity: int, price: float | None, time: int,
              original: str | None = None) -> str | None:  # fmt: skip
        """The number of a new order; None where it is refused."""
        paid = price or 71_000.0
        if side is Side.BUY and paid * quantity > self.cash - self.bound(Side.BUY):
            return None
        if side is Side.SELL and quantity > self.shares.get(symbol, 0) - self.bound(Side.SELL, symbol):
            return None
        number = str(len(self.orders) + 1)
        kind = OrderType.MARKET if price is None else OrderType.LIMIT
        self.orders[number] = BrokerOrder(
            number=number, symbol=symbol, side=side, quantity=quantity, filled=0, value=0, leaves=quantity, type=kind,
            time=time, price=price, original=original,
        )  # fmt: skip
        return number

    def fill(self, number: str, quantity: int) -> int:
        """Shares that traded."""
        order = self.orders[number]
        quantity = min(quantity, order.leaves)
        value = int((order.price or 70_000.0) * quantity)
        self.orders[number] = replace(
            order, filled=order.filled + quantity, value=order.value + value, leaves=order.leaves - quantity,
            status="filled" if order.leaves == quantity else "open",
        )  # fmt: skip
        self.shares[order.symbol] = self.shares.get(order.symbol, 0) + order.side.sign * quantity
        self.cash -= order.side.sign * value
        return quantity

    def end(self, number: str) -> int:
        """Shares that were taken back."""
        order = self.orders[number]
        self.orders[number] = replace(order, leaves=0, status="canceled")
        return order.leaves


class Machine(RuleBasedStateMachine):
    """An intraday account between half past nine and half past two."""

    @initialize(how=st.sampled_from(["execution", "cumulative", "neither"]), witnesses=st.booleans())
    def begin(self, how: str, witnesses: bool) -> None:
        capabilities = Capabilities(name="b", list_lag=60.0, witnesses=witnesses)
        self.account = Account(Scripted(intraday=True), settings=Settings(capabilities=capabilities))
        self.truth, self.how = Truth(), how
        self.notices: list[Notice] = []
        self.old: list[tuple[int, tuple[BrokerOrder, ...]]] = []
        self.requests: list[Submit | CancelOrder | ModifyOrder] = []
        self.filled: dict[str, int] = {}
        self.count = self.fold = self.at = self.entries = 0
        self.up = True
        account = self.account
        account.connect()
        self._look()
        account.opens(at("08:05"))
        account.feed(MarketData(OPEN, tuple(Tick(name, OPEN, 70_000.0, 1) for name in NAMES)))
        self._after()

    # --- what the runner would do ---

    def _after(self) -> None:
        """Take the effects of the last input."""
        account = self.account
        for effect in account.effects[self.at :]:
            if isinstance(effect, Submit | CancelOrder | ModifyOrder):
                self.requests.append(effect)
        self.at = len(account.effects)

    def _feed(self, given: object) -> list[object]:
        made = self.account.feed(given)  # type: ignore[arg-type]
        self._after()
        return list(made)

    def _look(self, *, lag: int = 0, failed: bool = False) -> None:
        """Answer the oldest look with what is true, or was."""
        account, truth = self.account, self.truth
        if not account.looks:
            return
        ask = account.looks.pop(0)
        lines = tuple(truth.orders.values())
        if lag:
            lines = next((told for time, told in reversed(self.old) if time <= account.time - lag), ())
        held = tuple(Position(symbol=name, quantity=n, sellable=n) for name, n in truth.shares.items() if n)
        spare = truth.cash - truth.bound(Side.BUY)
        cash = Cash(today=truth.cash, next_1=truth.cash, next_2=truth.cash, orderable=spare)
        orderable = {name: spare for name, side, _, _ in ask.witnesses if side is Side.BUY}
        sellable = {
            name: truth.shares.get(symbol, 0) - truth.bound(Side.SELL, symbol)
            for name, side, symbol, _ in ask.witnesses if side is Side.SELL
        }  # fmt: skip
        given = Looked(account.time, ask.look, account.time, None if failed else lines,
                       held if ask.positions and not failed else None, cash if ask.cash and not failed else None,
                       orderable, sellable, "lost" if failed else "")  # fmt: skip
        self._feed(given)
        assert self._feed(given) == [], "an answer that came twice"

    def _tell(self, kind: str, number: str, quantity: int, *, original: str | None = None,
              price: float | None = None) -> None:  # fmt: skip
        """A notice that will come some time, unless it is lost."""
        order = self.truth.orders.get(number) or self.truth.orders[original or ""]
        self.count += 1
        self.notices.append(Notice(
            number=number, kind=kind, symbol=order.symbol, side=order.side, quantity=quantity, time=self.account.time,
            original=original, price=price, execution=str(self.count) if self.how == "execution" else None,
            cumulative=order.filled if self.how == "cumulative" and kind == "filled" else None,
            generation=self.account.engine.now.up.get("orders", 0),
        ))  # fmt: skip

    def _pass(self, seconds: int, *, looks: bool) -> None:
        """Let time go by, timers fire, and looks be answered where told."""
        account, until = self.account, min(self.account.time + seconds * S, LATEST + 1_000 * S)
        while looks and account.looks:
            self._look()
        while account.engine.now.timers:
            name, due = min(account.engine.now.timers.items(), key=lambda item: item[1])
            if due > until:
                break
            self._feed(TimerFired(max(due, account.time), name))
            while looks and account.looks:
                self._look()
        self._feed(MarketData(until, tuple(Tick(name, until, 70_000.0, 1) for name in NAMES)))
        self.old.append((until, tuple(self.truth.orders.values())))

    # --- what may happen ---

    @rule(wants=st.lists(st.tuples(st.integers(0, 1), st.sampled_from([1, -1]), st.sampled_from([3, 7, 10]),
                                   st.sampled_from(["market", "limit"])), max_size=2),
          reprice=st.sampled_from(PRICES), cut=st.integers(0, 2))  # fmt: skip
    def bar(self, wants: list[tuple[int, int, int, str]], reprice: float, cut: int) -> None:
        account = self.account
        if account.time > LATEST or account.time <= account.engine.sleeves["sma"].bar:
            return
        made = []
        for symbol, side, quantity, kind in wants:
            self.fold += 1
            limit = 70_000.0 if kind == "limit" else float("nan")
            made.append(Want(self.fold, symbol, side, quantity, limit, kind))
        orders = [o for o in account.engine.orders.values() if o.working and o.intent.fold_order > 0]
        standing = [
            Want(o.intent.fold_order, NAMES.index(o.intent.symbol), o.intent.side.sign, max(1, o.leaves - cut), reprice,
                 "limit")
            for o in orders if o.intent.kind == "limit" and o.leaves and "~" not in o.id
        ]  # fmt: skip
        account.book.mornings, account.book.evenings = [], []
        account.book.says(evening=made, morning=[*made, *standing])
        account.closes(account.time, price=70_000.0)
        self._after()

    @rule(symbol=st.sampled_from(NAMES), side=st.sampled_from(list(Side)), quantity=st.sampled_from([3, 7]),
          deployment=st.sampled_from(["sma", None]))  # fmt: skip
    def person(self, symbol: str, side: Side, quantity: int, deployment: str | None) -> None:
        self.count += 1
        asked = {"symbol": symbol, "side": side.value, "quantity": quantity, "price": 70_000.0}
        given = Command(self.account.time, f"p{self.count}", "order", "min", "", {**asked, "deployment": deployment})
        self._feed(given)
        assert self._feed(given) == [], "a command that came twice"

    @rule(pick=st.integers(0, 9))
    def take_back(self, pick: int) -> None:
        names = [o.id for o in self.account.engine.orders.values() if o.status not in TERMINAL]
        if names:
            self.count += 1
            given = {"order": names[pick % len(names)]}
            self._feed(Command(self.account.time, f"k{self.count}", "cancel", "min", "", given))

    @rule(arrives=st.booleans(), answered=st.booleans())
    def request(self, arrives: bool, answered: bool) -> None:
        if self.requests:
            self._carry_out(self.requests.pop(0), arrives=arrives, answered=answered)

    def _carry_out(self, asked: Submit | CancelOrder | ModifyOrder, *, arrives: bool, answered: bool) -> None:
        """One request to the broker, which may not arrive, and whose answer may not."""
        truth, number = self.truth, None
        if isinstance(asked, Submit):
            name, what, order = asked.approved.order.id, "submit", asked.approved.order
            if arrives:
                number = truth.place(order.intent.symbol, order.intent.side, asked.approved.quantity,
                                     asked.approved.price, self.account.time)  # fmt: skip
        else:
            name, what = asked.order, "cancel" if isinstance(asked, CancelOrder) else "modify"
            line = truth.orders.get(asked.number)
            if arrives and line is not None and line.leaves:
                number = self._change(asked, line)
        if not answered:
            self._feed(Answered(self.account.time, what, name, "unknown", None, "", "lost"))
        elif number is not None:
            self._feed(Answered(self.account.time, what, name, "accepted", number))
        else:
            outcome = "refused" if arrives else "not_sent"
            self._feed(Answered(self.account.time, what, name, outcome, None, "NO" if arrives else ""))

    def _change(self, asked: CancelOrder | ModifyOrder, line: BrokerOrder) -> str:
        truth, time = self.truth, self.account.time
        if isinstance(asked, CancelOrder):
            gone = truth.end(line.number)
            self._tell("canceled", f"c{line.number}", gone, original=line.number)
            return f"c{line.number}"
        left = min(asked.quantity, truth.end(line.number))
        number = str(len(truth.orders) + 1)
        truth.orders[number] = replace(
            line, number=number, original=line.number, quantity=left, leaves=left, filled=0, value=0, time=time,
            price=asked.price, status="open",
        )  # fmt: skip
        self._tell("replaced", number, left, original=line.number, price=asked.price)
        return number

    @rule(pick=st.integers(0, 9), quantity=st.integers(1, 10))
    def trade(self, pick: int, quantity: int) -> None:
        live = [o.number for o in self.truth.orders.values() if o.leaves]
        if live:
            number = live[pick % len(live)]
            traded = self.truth.fill(number, quantity)
            order = self.truth.orders[number]
            self._tell("filled", number, traded, original=order.original, price=order.price or 70_000.0)

    @rule(side=st.sampled_from(list(Side)), quantity=st.sampled_from([3, 7]))
    def stranger(self, side: Side, quantity: int) -> None:
        self.truth.place(NAMES[0], side, quantity, 70_000.0, self.account.time)

    @rule(pick=st.integers(0, 9), times=st.integers(0, 2))
    def hear(self, pick: int, times: int) -> None:
        """A notice comes: once, twice, or never; not in order."""
        if self.notices:
            said = self.notices.pop(pick % len(self.notices))
            for again in range(times):
                told = self._feed(Noticed(self.account.time, said))
                assert not (again and told), "a notice that came twice"

    @rule(lag=st.sampled_from([0, 0, 20, 50]), failed=st.booleans())
    def look(self, lag: int, failed: bool) -> None:
        self._look(lag=lag * S, failed=failed and lag == 0)

    @rule(seconds=st.sampled_from([1, 5, 20, 70]))
    def time_goes_by(self, seconds: int) -> None:
        if self.account.time < LATEST:
            self._pass(seconds, looks=False)

    @rule()
    def restart(self) -> None:
        for asked in self.requests:  # they left, and nobody heard what became of them
            self._carry_out_unheard(asked)
        self.requests.clear()
        self.account.restart()
        self._connect()

    def _carry_out_unheard(self, asked: Submit | CancelOrder | ModifyOrder) -> None:
        if isinstance(asked, Submit) and self.count % 2:
            order = asked.approved.order
            self.truth.place(order.intent.symbol, order.intent.side, asked.approved.quantity, asked.approved.price,
                             self.account.time)  # fmt: skip

    @rule()
    def stream_breaks(self) -> None:
        self._feed(ConnectionChanged(self.account.time, "orders", False))
        self._connect()

    def _connect(self) -> None:
        self.count += 1
        self.notices.clear()  # what the old connection did not say is never said
        self._feed(ConnectionChanged(self.account.time, "orders", True, self.count))

    # --- what holds ---

    @invariant()
    def laws(self) -> None:
        if not hasattr(self, "account"):
            return
        account, engine = self.account, self.account.engine
        sent = account.sent()
        assert len(sent) == len(set(sent)), "nothing is sent twice"
        taken_back = {
            entry.order for entry in account.entries[self.entries :] if entry.kind is Kind.FILL_CORRECTED
        }  # fmt: skip
        self.entries = len(account.entries)
        for order in engine.orders.values():
            assert order.filled >= self.filled.get(order.id, 0) or order.id in taken_back
            assert order.id not in engine.working or order.submitted is not None
            self.filled[order.id] = order.filled
        assert engine.shares(NAMES[0]) == sum(
            o.intent.side.sign * o.filled for o in engine.orders.values() if o.intent.symbol == NAMES[0]
        ) + sum(each.side.sign * each.filled for each in engine.external.values() if each.symbol == NAMES[0])
        assert engine.cash() == CASH - sum(
            each.side.sign * each.value
            for each in (*[_worth(o) for o in engine.orders.values()], *engine.external.values())
        )

    def teardown(self) -> None:
        """Everybody says everything: then all agrees."""
        if not hasattr(self, "account"):
            return
        for asked in self.requests:
            self._carry_out(asked, arrives=True, answered=True)
        if self.account.engine.now.phase != "ready":
            self.account.looks.clear()
            self._connect()
        self.requests.clear()
        self._pass(400, looks=True)
        while self.requests:
            self._carry_out(self.requests.pop(0), arrives=True, answered=True)
            self._pass(30, looks=True)
        self._pass(70, looks=True)
        self._agree()

    def _agree(self) -> None:
        engine, truth = self.account.engine, self.truth
        asked = "NEEDS_OPERATOR" in self.account.alarms()
        assert asked or not engine.unresolved()
        for number, line in truth.orders.items():
            if asked and line.symbol == NAMES[0]:
                continue
            known = engine.number.get(number)
            assert known is not None or number in engine.external, f"{number} belongs to nobody"
        if not asked:
            assert {name: engine.shares(name) for name in NAMES if engine.shares(name)} == {
                name: n for name, n in truth.shares.items() if n
            }
            assert engine.cash() == truth.cash
            assert not {"POSITION_DIFFERENCE", "CASH_DIFFERENCE", "BROKER_BELOW_LOCAL"} & set(self.account.alarms())


class _Worth:
    def __init__(self, side: Side, value: int) -> None:
        self.side, self.value = side, value


def _worth(order: object) -> _Worth:
    return _Worth(order.intent.side, order.value)  # type: ignore[attr-defined]


Machine.TestCase.settings = settings(
    max_examples=EXAMPLES, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestLaws = Machine.TestCase
