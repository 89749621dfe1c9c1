"""`verify` finds what somebody changed behind the journal's back, and names the first bad row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from quantkit.errors import BadData, Refused
from quantkit.live.journal import GENESIS, read_journal, verify
from quantkit.live.journal.audit import MOST, Verdict
from tests.live.journal.places import Place, alarm, life


@pytest.fixture
def kept(place: Place) -> Iterator[Place]:
    """A journal of two owners with two whole orders, a snapshot in between, open to changes."""
    first = place.open("first")
    first.append(life(0), snapshot=b"one")
    second = place.open("second")
    second.append([*life(1), alarm()], snapshot=b"two")
    place.close()
    place.unguard()
    yield place
    place.guard()


def check(place: Place) -> Verdict:
    reader = read_journal(place.where, place.account)
    try:
        return verify(reader)
    finally:
        reader.close()


def test_untouched_journal_is_good(kept: Place) -> None:
    found = check(kept)
    assert (found.good, found.entries, found.problems) == (True, 11, ())
    (head,) = kept.run("SELECT hash FROM journal WHERE account_id = ? AND seq = 11", kept.account)
    assert found.head == head[0]


def test_empty_journal_is_good(place: Place) -> None:
    place.open()
    assert check(place) == Verdict(place.account, 0, GENESIS, ())


@pytest.mark.parametrize(
    "change",
    [f"UPDATE journal SET {what} WHERE account_id = ? AND seq = 4" for what in (
        "payload = '{\"code\":\"X\",\"detail\":\"\"}'", "ts_ns = 5", "kind = 'OrderFilled'", "strategy_id = 'e'",
        "client_order_id = 'd:1:1'", "epoch = 2", "hash = 'x'", "prev_hash = 'x'", "kind = 'NoSuchKind'",
    )],
)  # fmt: skip
def test_changed_row_is_found(kept: Place, change: str) -> None:
    kept.run(change, kept.account)
    found = check(kept)
    assert (found.good, found.entries) == (False, 3)
    assert "entry 4" in found.problems[0]


def test_deleted_row_is_found(kept: Place) -> None:
    kept.run("DELETE FROM journal WHERE account_id = ? AND seq = 4", kept.account)
    assert "entry 4 is missing" in check(kept).problems[0]


def test_rows_that_changed_places_are_found(kept: Place) -> None:
    for old, new in ((4, 99), (5, 4), (99, 5)):
        kept.run("UPDATE journal SET seq = ? WHERE account_id = ? AND seq = ?", new, kept.account, old)
    assert "entry 4: it does not follow" in check(kept).problems[0]


def test_epochs_that_fall_are_found_even_in_a_chain_that_fits(kept: Place) -> None:
    kept.run("UPDATE leases SET epoch = 0 WHERE account_id = ?", kept.account)
    assert check(kept).problems == ("leases: epoch 0, the journal has 2",)
    forger = kept.open("forger")
    forger.append([alarm()])
    assert "epoch 1 after 2" in check(kept).problems[0]


def test_cut_off_end_is_found_by_what_was_made_from_it(kept: Place) -> None:
    kept.run("DELETE FROM journal WHERE account_id = ? AND seq > 5", kept.account)
    found = check(kept)
    assert found.entries == 5
    assert "snapshot after 11: it belongs to another journal" in found.problems
    assert "orders d:1:1: no entry makes it" in found.problems


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("UPDATE orders SET filled = 9 WHERE account_id = ? AND id = 'd:1:1'",
         "orders d:1:1: filled is 9, a replay gives 10 (entry 10)"),
        ("UPDATE positions SET quantity = 21 WHERE account_id = ?",
         "positions d 005930: quantity is 21, a replay gives 20 (entry 10)"),
        ("UPDATE cash SET cash = 0 WHERE account_id = ?", "cash d: cash is 0, a replay gives -1400060 (entry 10)"),
        ("DELETE FROM fills WHERE account_id = ? AND order_id = 'd:1:0' AND trade = 'b'",
         "fills d:1:0 b: missing; entry 5 makes it"),
        ("UPDATE orders SET trades = '[]' WHERE account_id = ? AND id = 'd:1:0'",
         "orders d:1:0: trades is '[]', a replay gives '[\"a\",\"b\"]' (entry 5)"),
        ("UPDATE snapshots SET digest = 'x' WHERE account_id = ? AND seq = 5",
         "snapshot after 5: its digest differs from its content"),
    ],
)  # fmt: skip
def test_changed_table_is_found(kept: Place, change: str, problem: str) -> None:
    kept.run(change, kept.account)
    assert check(kept).problems == (problem,)


def test_many_differences_are_counted_not_listed(place: Place) -> None:
    journal = place.open()
    for number in range(MOST + 5):
        journal.append(life(number))
    place.run("DELETE FROM orders WHERE account_id = ?", place.account)
    found = check(place).problems
    assert len(found) == MOST + 1
    assert found[-1] == "and 5 more"


@pytest.mark.parametrize("statement", [
    "UPDATE journal SET kind = 'Alarm' WHERE account_id = ?",
    "DELETE FROM journal WHERE account_id = ?",
])  # fmt: skip
def test_journal_itself_refuses_changes(place: Place, statement: str) -> None:
    journal = place.open()
    journal.append(life())
    with pytest.raises(Exception, match="append-only"):
        place.run(statement, place.account)
    assert check(place).good


def test_row_cannot_be_replaced_in_sqlite(place: Place) -> None:
    journal = place.open()
    journal.append(life())
    if place.kind == "sqlite":
        copy = "INSERT OR REPLACE INTO journal SELECT account_id, seq, epoch, 99, kind, client_order_id, strategy_id, payload, prev_hash, hash FROM journal"  # noqa: E501
    else:
        copy = "TRUNCATE journal"
    with pytest.raises(Exception, match="append-only"):
        place.run(copy)
    assert check(place).good


def test_reading_stops_at_a_broken_chain(kept: Place) -> None:
    kept.run("UPDATE journal SET payload = '{}' WHERE account_id = ? AND seq = 7", kept.account)
    read = kept.open().read()
    assert [next(read).seq for _ in range(6)] == [1, 2, 3, 4, 5, 6]
    with pytest.raises(BadData, match="entry 7"):
        next(read)


@pytest.mark.parametrize("text", ["{", "1,2", "[]", "{},{}"])
def test_payload_that_is_no_json_is_named_after_the_rows_before_it(tmp_path: Path, text: str) -> None:
    place = Place("sqlite", tmp_path)
    place.open().append(life())
    place.close()
    place.unguard()
    place.run("UPDATE journal SET payload = ? WHERE seq = 3", text)
    found = check(place)
    assert (found.entries, len(found.problems)) == (2, 1)
    assert "entry 3" in found.problems[0]


def test_other_problem_of_reading_is_not_taken_for_a_verdict(kept: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: int) -> None:
        raise Refused("JOURNAL_FAILED", "disk")

    reader = read_journal(kept.where, kept.account)
    monkeypatch.setattr(reader, "rows", fail)
    with pytest.raises(Refused, match="JOURNAL_FAILED"):
        verify(reader)
    reader.close()
