"""What a strategy wants: an entry for every name whose target changed on a bar, and how strongly it is wanted.

Contract: pure; nothing of the fold changes here. A signal is raised when the value that the fold keeps of a name
becomes another one, not on every bar, so a quiet strategy writes nothing. Its strength is what names are chosen by: the
rank, or the strength behind a `threshold`; else the value itself. What `on_bar` orders on its own is a signal too: the
shares it buys and sells, without a strength. Called by `days.closes`, before the intents of the bar are written.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from quantkit.trading.events import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quantkit.core.state import Floats, Inputs
    from quantkit.live.messages import BarClosed
    from quantkit.live.sleeves import Sleeve, Wanted
    from quantkit.live.turn import Turn


def kept(sleeve: Sleeve) -> Floats:
    """The targets as they are before a bar is decided; for `write`."""
    return sleeve.book.state.target.copy()


def write(turn: Turn, sleeve: Sleeve, given: BarClosed, before: Floats, decided: Sequence[Wanted]) -> None:
    """Journal what changed since `before`, and what the rule ordered on its own."""
    after, raised = sleeve.book.state.target, set()
    if after.tobytes() != before.tobytes():
        for place in (after != before).nonzero()[0].tolist():
            raised.add(place)
            _raise(turn, sleeve, given, place, float(after[place]), strength_of(given.row, place))
    own: dict[int, dict[str, int]] = {}
    for order in decided:
        if order.rule == "own" and order.symbol not in raised:
            shares = own.setdefault(int(order.symbol), {"buy": 0, "sell": 0})
            shares["buy" if order.side > 0 else "sell"] += int(order.quantity)
    for place, shares in own.items():
        _raise(turn, sleeve, given, place, shares, None)


def strength_of(row: Inputs, place: int) -> float | None:
    """How strongly a name is wanted on a bar; None where nothing says it."""
    for column in (row.rank, row.targets):
        if column.shape[1] > place and math.isfinite(value := float(column[0, place])):
            return value
    return None


def _raise(turn: Turn, sleeve: Sleeve, given: BarClosed, place: int, value: Any, strength: float | None) -> None:
    turn.write(Kind.SIGNAL_RAISED, {
        "symbol": sleeve.book.symbols[place], "bar": given.close, "value": value, "strength": strength,
        "backfill": given.backfill,
    }, deployment=sleeve.name)  # fmt: skip
