"""Appending, reading, owning: the same in SQLite and PostgreSQL."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from quantkit.errors import Bug, ConfigError, Refused
from quantkit.live.journal import GENESIS, MemoryJournal, leave_command, open_journal, open_stored, read_journal
from quantkit.live.journal.store import SNAPSHOTS_KEPT, WIRE_KEPT_NS
from quantkit.live.messages import Command
from quantkit.trading.events import Entry, Kind
from tests.live.journal.places import Place, accepted, alarm, began, filled, intent, life, sent


def test_entries_come_back_as_they_were_written_and_in_order(place: Place) -> None:
    journal = place.open()
    assert journal.head() == (0, GENESIS)
    wrote = [*journal.append(life()[:2]), *journal.append(life()[2:])]
    assert [one.seq for one in wrote] == [1, 2, 3, 4, 5]
    assert list(journal.read()) == wrote
    assert list(journal.read(after=3)) == wrote[3:]
    assert journal.head() == (5, wrote[-1].hash)
    again = place.open()
    assert list(again.read()) == wrote
    assert again.head() == journal.head()


def test_hash_is_sha256_over_the_hash_before_and_the_canonical_row(place: Place) -> None:
    journal = place.open()
    journal.append([Entry(Kind.ALARM, 7, {"detail": '삼성전자 "x"\n\x01', "code": "B"}, "id\u00e9", None), alarm()])
    before = GENESIS
    columns = "account_id, seq, epoch, ts_ns, kind, client_order_id, strategy_id, payload, prev_hash, hash"
    rows = place.run(f"SELECT {columns} FROM journal WHERE account_id = ? ORDER BY seq", place.account)
    assert len(rows) == 2
    for row in rows:
        named = dict(zip(columns.split(", "), row, strict=True))
        prev_hash, found = named.pop("prev_hash"), named.pop("hash")
        named["payload"] = json.loads(named["payload"]) if isinstance(named["payload"], str) else named["payload"]
        text = json.dumps(named, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert prev_hash == before
        before = hashlib.sha256((prev_hash + text).encode()).hexdigest()
        assert found == before


def test_memory_and_database_chain_alike(place: Place) -> None:
    memory, stored = MemoryJournal(place.account), place.open()
    entries = [*life(0), *life(1), alarm("끝")]
    assert [one.hash for one in memory.append(entries)] == [one.hash for one in stored.append(entries)]
    assert memory.head() == stored.head()


def test_append_of_nothing_writes_nothing(place: Place) -> None:
    journal = place.open()
    assert journal.append([]) == ()
    assert journal.head() == (0, GENESIS)


def test_second_owner_takes_over_and_the_first_fails_on_its_next_append(place: Place) -> None:
    first = place.open("first")
    first.append([alarm("1")])
    second = place.open("second")
    assert (first.epoch, second.epoch) == (1, 2)
    with pytest.raises(Refused, match="SECOND_OWNER") as refusal:
        first.append([alarm("2")])
    assert refusal.value.code == "SECOND_OWNER"
    assert "second" in str(refusal.value)
    second.append([alarm("3")])
    assert [(one.seq, one.epoch, one.entry.payload["detail"]) for one in second.read()] == [(1, 1, "1"), (2, 2, "3")]
    with pytest.raises(Refused, match="SECOND_OWNER"):
        first.append([], snapshot=b"state")


def test_owner_in_another_process_is_an_owner(place: Place) -> None:
    here = place.open("here")
    code = (
        "import sys; from quantkit.live.journal import open_stored; from quantkit.trading.events import *\n"
        "journal = open_stored(sys.argv[1], sys.argv[2], owner='there', now=5)\n"
        "journal.append([Entry(Kind.ALARM, 6, {'code': 'X', 'detail': 'there'})])"
    )
    subprocess.run([sys.executable, "-c", code, str(place.where), place.account], check=True,
                   cwd=Path(__file__).parents[3])  # fmt: skip
    with pytest.raises(Refused, match="SECOND_OWNER"):
        here.append([alarm()])
    assert [one.entry.payload["detail"] for one in here.read()] == ["there"]


def test_append_that_the_state_table_forbids_changes_nothing(place: Place) -> None:
    journal = place.open()
    wanted = intent()
    journal.append([began(wanted), sent(wanted)])
    with pytest.raises(Bug, match="no move of the state table"):
        journal.append([accepted(wanted), Entry(Kind.ORDER_TRIGGERED, 4, {"price": 1.0}, wanted.id, "d")])
    with pytest.raises(Bug, match="never initialised"):
        journal.append([accepted(intent(7))])
    assert [one.seq for one in journal.read()] == [1, 2]
    assert place.run("SELECT status FROM orders WHERE account_id = ?", place.account) == [("submitted",)]
    journal.append([accepted(wanted)])
    assert place.run("SELECT status, number FROM orders WHERE account_id = ?", place.account) == [("accepted", "0001")]


@pytest.mark.parametrize("payload", [float("nan"), {1, 2}, object()])
def test_what_json_cannot_say_is_refused_before_anything_is_written(place: Place, payload: Any) -> None:
    journal = place.open()
    with pytest.raises(Bug, match="JSON cannot say"):
        journal.append([alarm(), Entry(Kind.ALARM, 1, {"code": "X", "detail": payload})])
    assert list(journal.read()) == []


def test_ended_orders_and_old_fills_are_found_again_when_an_entry_speaks_of_them(place: Place) -> None:
    journal = place.open()
    wanted = intent()
    journal.append([began(wanted), sent(wanted), accepted(wanted), filled(wanted, "a", 10, last=True)])
    again = place.open()
    assert again._tables.orders == {}
    with pytest.raises(Bug, match="no move of the state table"):
        again.append([accepted(wanted)])
    again.append([filled(wanted, "a", 0, price=70_100.0, commission=-5, kind=Kind.FILL_CORRECTED)])
    assert place.run("SELECT quantity, value, commission, price, seq, time FROM fills WHERE account_id = ?",
                     place.account) == [(10, 700_000, 10, 70_100.0, 5, 4)]  # fmt: skip
    with pytest.raises(Bug, match="initialised before"):
        again.append([began(wanted)])


def test_latest_snapshot_comes_back_and_older_ones_go(place: Place) -> None:
    journal = place.open()
    assert journal.snapshot() is None
    journal.append([], snapshot=b"empty")
    assert place.open().snapshot() == (0, b"empty")
    journal = place.open()
    for count in range(1, 6):
        journal.append([alarm()], snapshot=b"state %d" % count)
    journal.append([alarm()])
    assert place.open().snapshot() == (5, b"state 5")
    kept = place.run("SELECT seq FROM snapshots WHERE account_id = ? ORDER BY seq", place.account)
    assert [seq for (seq,) in kept] == [3, 4, 5]
    assert len(kept) == SNAPSHOTS_KEPT


def test_damaged_snapshot_is_passed_over(place: Place) -> None:
    journal = place.open()
    journal.append([alarm()], snapshot=b"good")
    journal.append([alarm()], snapshot=b"bad")
    place.run("UPDATE snapshots SET digest = 'x' WHERE account_id = ? AND seq = 2", place.account)
    assert journal.snapshot() == (1, b"good")


def test_closed_journal_takes_nothing(place: Place) -> None:
    journal = place.open()
    journal.close()
    with pytest.raises(Bug, match="closed"):
        journal.append([alarm()])


def test_commands_wait_until_an_entry_speaks_of_them(place: Place) -> None:
    journal = place.open()
    halt = Command(5, "c1", "halt", "kim", "wrong prices", {"scope": "account"})
    assert leave_command(place.where, place.account, halt)
    assert not leave_command(place.where, place.account, halt)
    assert journal.send(Command(6, "c2", "resume", "kim"))
    assert journal.commands() == [halt, Command(6, "c2", "resume", "kim")]
    given = {"id": "c1", "command": "halt", "arguments": {}, "by": "kim", "reason": "wrong prices"}
    journal.append([Entry(Kind.COMMAND_RECEIVED, 7, given)])
    assert [one.id for one in journal.commands()] == ["c2"]
    assert not journal.send(halt)
    assert place.run("SELECT state, seq FROM commands WHERE account_id = ? AND id = 'c1'", place.account) == [
        ("received", 1)
    ]


def test_wire_log_keeps_messages_without_secrets_for_ninety_days(place: Place) -> None:
    journal = place.open()
    journal.log_wire(None, "out", '{"appkey": "PSabc", "CANO": "12345678", "ORD_QTY": "3"}', 10)
    journal.log_wire(1, "in", "authorization: Bearer abcdefghij", 10 + WIRE_KEPT_NS)
    rows = place.run("SELECT seq, direction, text FROM wire_log WHERE account_id = ? ORDER BY id", place.account)
    assert rows == [(None, "out", '{"appkey": "***", "CANO": "***", "ORD_QTY": "3"}'),
                    (1, "in", "authorization: ***")]  # fmt: skip
    place.open(now=11 + WIRE_KEPT_NS)
    assert place.run("SELECT seq FROM wire_log WHERE account_id = ?", place.account) == [(1,)]


def test_reader_needs_no_lease_and_says_what_it_does_not_find(place: Place, tmp_path: Path) -> None:
    journal = place.open()
    journal.append([alarm()])
    reader = read_journal(place.where, place.account)
    assert list(reader.read()) == list(journal.read())
    reader.close()
    journal.append([alarm()])
    with pytest.raises(ConfigError, match=r"no journal at|no account nobody"):
        read_journal(place.where, "nobody")
    (tmp_path / "other.sqlite").touch()
    with pytest.raises(ConfigError, match="is no journal"):
        read_journal(tmp_path / "other.sqlite")


def test_file_holds_one_account_and_says_which(tmp_path: Path) -> None:
    file = tmp_path / "one.sqlite"
    open_stored(file, "first", owner="me", now=1).close()
    with pytest.raises(ConfigError, match="journal of first, not of second"):
        open_stored(file, "second", owner="me", now=1)
    assert read_journal(file).account == "first"


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".."])
def test_account_whose_name_is_a_path_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="must not hold a path"):
        open_journal(tmp_path, name, owner="me", now=1)


def test_address_of_another_database_is_refused() -> None:
    with pytest.raises(ConfigError, match="mysql"):
        open_journal("mysql://root:pw@host/db", "a", owner="me", now=1)


def test_no_place_means_memory() -> None:
    assert isinstance(open_journal(None, "a", owner="me", now=1), MemoryJournal)
