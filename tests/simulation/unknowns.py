"""Outcomes that nobody knew, and what became of each, as the journal tells it: `Unknowns`.

    met        requests without an answer: an order, a cancel or a replacement
    resolved   by the order list, by its silence (the list never had it), by a notice, by an answer that came after all
    handed     to the operator: settled by a person's word, or left to one at the end
    neither    nobody knows, and nobody was asked: the judge breaks the run

Each that was met is one of the other three.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container
from typing import Any

from quantkit.trading.events import Entry, Kind
from quantkit.trading.orders import NOT_FOUND

_ASKED = {
    Kind.ORDER_SUBMITTING: "order", Kind.ORDER_PENDING_CANCEL: "cancel", Kind.ORDER_PENDING_UPDATE: "replacement"
}  # fmt: skip
PERSON = "operator"
LIST, SILENCE, NOTICE, ANSWER = "order list", "order list without it", "notice", "late answer"
REPLACED = "its replacement, listed or told"


class Unknowns:
    """Follows the orders of one journal."""

    def __init__(self) -> None:
        self.met: Counter[str] = Counter()  # by what was asked
        self.resolved: Counter[str] = Counter()  # by what told it
        self.handed = 0
        self.open: dict[str, str] = {}  # by order: what was asked
        self._asked: dict[str, str] = {}
        self._told: dict[str, int] = {}  # by order: when a person said what became of it

    def heard(self, entry: Entry) -> None:
        """An entry of the journal, in its order."""
        name, kind = str(entry.order), entry.kind
        if kind is Kind.COMMAND_RECEIVED and entry.payload["command"] == "adopt":
            self._told[str(entry.payload["arguments"].get("order"))] = entry.time
        elif kind in _ASKED:
            self._asked[name] = _ASKED[kind]
        elif kind is Kind.ORDER_UNRESOLVED and name not in self.open:
            self.open[name] = self._asked[name]
            self.met[self.open[name]] += 1
        elif name in self.open and (by := _resolved_by(kind, entry.payload)):
            del self.open[name]
            if self._told.get(name) == entry.time:
                self.handed += 1
            else:
                self.resolved[by] += 1

    def figures(self, operator: Container[str]) -> Counter[str]:
        """All of it by name. operator: orders that a person was asked about."""
        left = sum(name in operator for name in self.open)
        found = Counter({"met": self.met.total(), "handed": self.handed + left, "neither": len(self.open) - left})
        found.update({f"met: {what}": count for what, count in self.met.items()})
        found.update({f"by: {what}": count for what, count in self.resolved.items()})
        return found


def _resolved_by(kind: Kind, given: dict[str, Any]) -> str:
    """What told that outcome; "" where an entry tells none."""
    match kind:
        case Kind.ORDER_BOUND:
            return LIST
        case Kind.ORDER_ACCEPTED:
            return ANSWER
        case Kind.ORDER_UPDATED:
            return REPLACED
        case Kind.ORDER_REJECTED | Kind.ORDER_CANCEL_REJECTED | Kind.ORDER_UPDATE_REJECTED:
            words = {NOT_FOUND: SILENCE, "STILL_OPEN": LIST}
            return words.get(given["code"], ANSWER if given["detail"] else NOTICE)
        case Kind.ORDER_CANCELED:
            return NOTICE if given["number"] else LIST
        case Kind.ORDER_EXPIRED:
            return LIST
        case Kind.ORDER_FILLED:
            return LIST if given["inferred"] else NOTICE
        case _:
            return ""
