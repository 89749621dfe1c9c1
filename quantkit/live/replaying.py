"""The inputs of a replay: bars that are there already, and a broker that has seen a bar's whole path.

    ahead   bars on which nobody could fill an order are folded in one call, after the evening of the bar before; then
            the next bar has its morning, and its orders go
    acted   stops and held orders that the path brought to act: intents, which the gates see before anything is booked
    seen    the path itself, after its fills

Contract: pure; with quiet bars in one call or one by one the engine's state is the same to the last byte. Of a quiet
stretch the journal holds what its last session and its last bar would have written: one SessionOpened (where one begins
in it) and one BarFolded, whose `bars` says for how many it stands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from quantkit.live import days, life, signals
from quantkit.live.messages import BarClosed
from quantkit.trading.events import Kind

if TYPE_CHECKING:
    from quantkit.live.messages import Acted, BarsAhead, PathSeen
    from quantkit.live.sleeves import Sleeve
    from quantkit.live.turn import Turn


def ahead(turn: Turn, given: BarsAhead) -> None:
    """Fold what is quiet; have the next morning where its session is open."""
    sleeve = turn.engine.sleeves[given.deployment]
    book: Any = sleeve.book
    row, equity, targets = given.start, sleeve.equity(), signals.kept(sleeve)
    turn.engine.due = True
    if given.quick:
        said = book.advance(given.panel, given.start, path=given.path)
        row = said.row
        if row > given.start or given.path is not None:
            _folded(turn, sleeve, given, said, equity, targets)
    dates = given.panel.inputs.dates
    if row < len(given.ends) and int(dates["day"][row]) == sleeve.day:
        days.morning(turn, sleeve, *given.panel.morning(row))
        turn.time = given.trading(row)


def _folded(turn: Turn, sleeve: Sleeve, given: BarsAhead, said: Any, equity: int, targets: Any) -> None:
    """Journal quiet bars as the last of them would have been. equity, targets: before them."""
    panel, row, start = given.panel, said.row, given.start - (given.path is not None)
    last = row - 1
    today = panel.inputs.dates["day"]
    if int(today[last]) != sleeve.day:
        opening = given.session(last)
        first = int(np.searchsorted(today, today[last]))
        turn.time = opening.time
        days.begin_day(turn, sleeve, opening, int(panel.equity[first - 1]) if first > start else equity)
        sleeve.day = opening.day
        sleeve.instruments = {each.symbol: each for each in opening.instruments}
    turn.time = int(given.ends[last])
    sleeve.row, _ = panel.morning(last)
    for gone in said.ended:
        days.fold_ended(turn, sleeve, gone.order, gone.reason)
    closes = given.ends[max(start - 1, 0) : row]
    if len(closes) > 1 and sleeve.step != given.shortest:
        found = int(np.diff(closes).min())
        sleeve.step = min(sleeve.step, found) if sleeve.step else found
    sleeve.bar, sleeve.opened = turn.time, False
    turn.write(Kind.BAR_FOLDED, {
        "bar": turn.time, "equity": int(panel.equity[last]), "cash": int(panel.cash[last]), "digest": sleeve.digest(),
        "complete": True, "backfill": False, "bars": row - start,
    }, deployment=sleeve.name)  # fmt: skip
    closed = BarClosed(turn.time, sleeve.name, turn.time, panel.row(last), panel.events[:0])
    days.decide(turn, sleeve, closed, targets, said.decided)


def acted(turn: Turn, given: Acted) -> None:
    """Orders for what the path brought to act, in the place of what stands of it."""
    sleeve = turn.engine.sleeves[given.deployment]
    settings, turn.engine.due = turn.engine.settings, True
    phase = settings.hours.phase_at(turn.time, market=settings.market, venue=sleeve.venue) or "continuous"
    for wanted, price, held in zip(given.wanted, given.prices, given.held, strict=True):
        before = [turn.engine.orders[name] for name in sleeve.ids.get(wanted.order, ())]
        days.trigger(turn, sleeve, wanted, price, phase=phase, held=held)
        for order in before:
            life.cancel(turn, order, "GREW")


def seen(turn: Turn, given: PathSeen) -> None:
    """Take over what fills alone do not tell; end an evening that waited for its own close."""
    sleeve = turn.engine.sleeves[given.deployment]
    book: Any = sleeve.book
    book.adopt(given.outcome)
    turn.engine.due = True
    if not given.again:
        return
    said = book.finish()
    sleeve.opened = False
    for gone in said.ended:
        days.fold_ended(turn, sleeve, gone.order, gone.reason)
    turn.write(Kind.BAR_FOLDED, {
        "bar": sleeve.bar, "equity": int(said.equity), "cash": int(said.cash), "digest": sleeve.digest(),
        "complete": True, "backfill": False,
    }, deployment=sleeve.name)  # fmt: skip
