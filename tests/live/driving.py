"""A `Case` bar by bar through a `Book`, with a `BarBroker` that fills."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from quantkit.brokers.sim import BarBroker
from quantkit.core.bench import Outcome, Seen, before
from quantkit.core.fold import Output
from quantkit.core.state import ACTION_ROW, FILL_ROW, N_ORDERS, ORDER_ROW, Inputs, State, event_rows
from quantkit.live.book import Book
from quantkit.strategy.rules import past_of, rule_of, with_room
from tests.core.runs import prepare
from tests.core.scripts import scripted

if TYPE_CHECKING:
    from tests.core.markets import Case


def booked(book: Book, broker: BarBroker, outcome: Outcome) -> None:
    """Let the fills of an outcome come to both."""
    names = ("order_id", "symbol", "side", "quantity", "price", "value", "commission", "tax", "rule", "slippage",
             "from_proceeds", "ambiguous")  # fmt: skip
    broker.book(outcome.fills)
    for row in outcome.fills:
        values = {name: row[name].item() for name in names}
        values["order"] = values.pop("order_id")
        book.fill(**values)


def driven(case: Case, *, restart: int = 0, quick: bool = False) -> tuple[Output, State, Book]:
    """The whole case. restart: go through bytes after every so many bars. quick: run over quiet bars in one call."""
    start = prepare(case)
    rows, symbols = len(case.bars), case.bars.symbols
    strategy = None if case.script is None else scripted(case.script, case.max_orders)
    state = with_room(strategy, start.state)
    book = Book(symbols, state, start.plan, strategy=strategy, interpret=True, record=True)
    broker = BarBroker(state, start.plan, rule=strategy is not None)
    past = past_of(case.bars)
    equity, cash, t = np.zeros(rows, np.int64), np.zeros(rows, np.int64), 0
    ready = None
    if quick and strategy is not None:
        ready = rule_of(
            strategy, case.bars, lead=0, state=book.state, inputs=start.inputs, plan=start.plan, interpret=True
        )
    panel = book.panel(start.inputs, start.events, ready) if quick else None
    while t < rows:
        if panel is not None:
            reached = book.advance(panel, t).row
            equity[t:reached], cash[t:reached] = panel.equity[t:reached], panel.cash[t:reached]
            broker.settle(book.state)
            t = reached
            if t == rows:
                break
        row = start.inputs.rows(t, t + 1)
        seen: Any = () if strategy is None else Seen(past, t, {})
        one_bar(book, broker, row, event_rows(start.events, t, t + 1), seen)
        equity[t], cash[t] = book.equity, book.cash
        t += 1
        if restart and t % restart == 0:
            tables = book.tables
            book = Book.from_bytes(book.to_bytes(), start.plan, strategy=strategy, interpret=True, record=True)
            book.tables = tables
    joined = [np.concatenate([t[k] for t in book.tables]) if book.tables else np.empty(0, kind)
              for k, kind in enumerate((FILL_ROW, ORDER_ROW, ACTION_ROW))]  # fmt: skip
    return Output(equity, cash, *joined), book.state, book


def one_bar(book: Book, broker: BarBroker, row: Inputs, events: Any, seen: Any) -> None:
    """Morning, what the broker fills, evening."""
    morning = book.morning(before(row), events)
    broker.settle(book.state)
    for wanted in morning.wanted:
        broker.submit(wanted.order)
    if True:
        outcome = broker.match(row, book.state)
        booked(book, broker, outcome)
        book.adopt(outcome)
    book.evening(row, signals=seen)
    if book.closing:
        for order in book.state.orders[: book.state.account[N_ORDERS]]:
            broker.submit(int(order.id))
        outcome = broker.match(row, book.state, again=True)
        booked(book, broker, outcome)
        book.adopt(outcome)
        book.finish()
