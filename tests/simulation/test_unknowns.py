"""What became of outcomes that nobody knew is read from the journal, and stands in the report."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from quantkit.trading.events import Entry, Kind
from tests.simulation.__main__ import Played, _progress, report
from tests.simulation.scenario import short
from tests.simulation.unknowns import ANSWER, LIST, NOTICE, REPLACED, SILENCE, Unknowns
from tests.simulation.world import World

FILL = {"trade": "1", "quantity": 3, "price": 10.0, "value": 30, "commission": 0, "tax": 0, "provisional": True}
SENT = Entry(Kind.ORDER_SUBMITTING, 0, {"quantity": 3, "price": None}, order="a")
CANCEL = Entry(Kind.ORDER_PENDING_CANCEL, 0, {"reason": ""}, order="a")
LOST = Entry(Kind.ORDER_UNRESOLVED, 1, {"detail": "no answer"}, order="a")


def entry(kind: Kind, **given: Any) -> Entry:
    return Entry(kind, 5, given, order="a")


def followed(*entries: Entry) -> Unknowns:
    unknowns = Unknowns()
    for each in entries:
        unknowns.heard(each)
    return unknowns


@pytest.mark.parametrize(
    ("asked", "told", "by"),
    [
        (SENT, entry(Kind.ORDER_BOUND, number="7", filled=0, value=0), LIST),
        (SENT, entry(Kind.ORDER_REJECTED, code="NOT_FOUND", detail="4 looks"), SILENCE),
        (SENT, entry(Kind.ORDER_REJECTED, code="INSUFFICIENT_CASH", detail="KIS VTTC0012U: ..."), ANSWER),
        (SENT, entry(Kind.ORDER_REJECTED, code="INSUFFICIENT_CASH", detail=""), NOTICE),
        (SENT, entry(Kind.ORDER_ACCEPTED, number="7"), ANSWER),
        (CANCEL, entry(Kind.ORDER_CANCEL_REJECTED, code="STILL_OPEN", detail="3 shares stand"), LIST),
        (CANCEL, entry(Kind.ORDER_CANCELED, number="8", reason=""), NOTICE),
        (CANCEL, entry(Kind.ORDER_CANCELED, number=None, reason=""), LIST),
        (CANCEL, entry(Kind.ORDER_FILLED, inferred=True, **FILL), LIST),
        (CANCEL, entry(Kind.ORDER_FILLED, inferred=False, **FILL), NOTICE),
        (CANCEL, entry(Kind.ORDER_EXPIRED, reason="SESSION_END"), LIST),
        (CANCEL, entry(Kind.ORDER_UPDATED, number="8", quantity=3, price=None), REPLACED),
    ],
)
def test_what_told_an_outcome_is_counted(asked: Entry, told: Entry, by: str) -> None:
    unknowns = followed(asked, LOST, LOST, told, told)  # a second word adds nothing
    assert unknowns.resolved == {by: 1}
    assert unknowns.met.total() == 1
    assert unknowns.figures(set())["neither"] == 0


def test_a_part_that_fills_says_nothing_of_a_cancel() -> None:
    part = entry(Kind.ORDER_PARTIALLY_FILLED, inferred=False, **FILL)
    assert followed(SENT, CANCEL, LOST, part).open == {"a": "cancel"}


def test_what_a_person_said_was_handed_and_what_was_refused_was_not() -> None:
    adopted = Entry(
        Kind.COMMAND_RECEIVED, 5, {"command": "adopt", "arguments": {"order": "a"}, "by": "min", "reason": ""}
    )
    bound = entry(Kind.ORDER_BOUND, number="7", filled=0, value=0)
    assert followed(SENT, LOST, adopted, bound).figures(set())["handed"] == 1
    later = Entry(Kind.ORDER_BOUND, 6, bound.payload, order="a")
    assert followed(SENT, LOST, adopted, later).resolved == {LIST: 1}


def test_what_is_left_was_handed_to_whoever_was_asked_and_is_lost_to_others() -> None:
    unknowns = followed(SENT, LOST)
    assert (unknowns.figures({"a"})["handed"], unknowns.figures({"a"})["neither"]) == (1, 0)
    assert (unknowns.figures(set())["handed"], unknowns.figures(set())["neither"]) == (0, 1)


def test_an_unknown_that_is_neither_breaks_the_run_and_is_in_the_report() -> None:
    world = World(short(1))
    intent = {"symbol": "000010", "side": "buy", "deployment": "daily"}
    world.judge.heard([Entry(Kind.ORDER_INITIALIZED, 0, {"intent": intent}, order="a"), SENT, LOST])
    world.judge.heard([SENT])
    world.judge.at_rest(over=False)
    world.loop.close()
    assert [each[:2] for each in world.judge.broken] == ["I1", "I7"]
    found = Played(1, 1, world.judge.broken, "", Counter(orders=1), outcomes=world.judge.outcomes())
    told = {line[:21].strip(): line[21:].strip() for line in report([found, found], 1.0).splitlines()}
    wanted = {"unknown outcomes": "2", "order": "2", "resolved": "0", "handed to operator": "0", "neither": "2",
              "orders lost": "2", "orders doubled": "2", "invariants broken": "4"}  # fmt: skip
    assert {name: told[name] for name in wanted} == wanted
    line = _progress([found, found], 9, 1)
    assert line.endswith("unknown 2, handed 0, neither 2, lost 2, doubled 2, broken 4; the rest: --first 2 --seeds 8")
