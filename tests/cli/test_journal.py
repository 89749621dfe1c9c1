"""`quantkit journal`: what is shown, what is found wrong, what is written to a file; never a change to a journal."""

from __future__ import annotations

import csv
import hashlib
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from quantkit.cli.app import run
from quantkit.live.journal import open_stored
from quantkit.live.journal.store import StoredJournal
from quantkit.trading.events import Entry, Kind
from tests.live.journal.places import Place, alarm, began, filled, intent, life, sent

Shown = Callable[..., str]
JULY = 1_752_710_400_000_000_000  # 2025-07-17 09:00 in Seoul


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StoredJournal:
    """The journal of an account that its owner still has open."""
    monkeypatch.chdir(tmp_path)
    journal = open_stored("data/journals", "first", owner="test", now=1)
    journal.append(life(0), snapshot=b"state")
    late = intent(1, symbol="000660")
    journal.append([began(late, JULY), sent(late, JULY), filled(late, "a", 3, time=JULY + 86_400 * 10**9)])
    journal.append([
        Entry(Kind.SIGNAL_RAISED, JULY, {"symbol": "000660", "bar": 5, "value": 1.0, "strength": 0.5}, None, "d"),
        alarm("끝 [red]", JULY),
    ])  # fmt: skip
    journal.log_wire(1, "out", '{"appkey": "PSverysecret", "ORD_QTY": "3"}', 10)
    return journal


@pytest.fixture
def said(written: StoredJournal, capsys: pytest.CaptureFixture[str]) -> Shown:
    def say(*arguments: str, code: int = 0) -> str:
        capsys.readouterr()
        assert run(["journal", *arguments]) == code
        found = capsys.readouterr()
        return found.out if code == 0 or found.out else found.err

    return say


def rows(said: Shown, *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(said("show", *arguments, "--json"))["shown"]
    return found


# --- show -------------------------------------------------------------------------------------------------------------


def test_entries_are_shown_in_seoul_time_beside_their_writer(said: Shown, written: StoredJournal) -> None:
    text = said("show", "first")
    assert "2025-07-17 09:00:00" in text
    assert "buy 10 000660 at 70,000.0, limit, target" in text
    assert "끝 [red]" in text
    assert "10 of 10" in text
    assert written.append([alarm()])[0].seq == 11  # the owner goes on, and is still the owner


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["--order", "d:1:1"], [6, 7, 8]),
        (["--deployment", "d", "--kind", "orderfilled, SignalRaised"], [5, 9]),
        (["--kind", "Alarm"], [10]),
        (["--tail", "2"], [9, 10]),
        (["--since", "2025-07-17T09:00", "--until", "2025-07-17"], [6, 7, 9, 10]),
        (["--since", "2025-07-18"], [8]),
        (["--since", "2025-07-17T00:00:00+00:00", "--until", "2025-07-17T09:00"], [6, 7, 9, 10]),
        (["--until", "2025-07-16"], [1, 2, 3, 4, 5]),
    ],
)
def test_filters(said: Shown, arguments: list[str], found: list[int]) -> None:
    assert [row["seq"] for row in rows(said, "first", *arguments)] == found


def test_what_is_left_out_is_counted(said: Shown) -> None:
    assert "journal, 2 of 10 (--tail 0 shows all)" in said("show", "first", "--tail", "2")
    assert len(rows(said, "--tail", "0")) == 10


def test_account_may_be_an_argument_an_option_or_the_only_one(said: Shown) -> None:
    assert rows(said, "first") == rows(said, "--account", "first") == rows(said)
    assert rows(said, "--journal", "data/journals/first.sqlite") == rows(said)
    assert "first or second" in said("show", "first", "--account", "second", code=2)


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("orders", {"id": "d:1:1", "symbol": "000660", "status": "partially_filled", "filled": 3}),
        ("fills", {"order_id": "d:1:1", "quantity": 3, "value": 210_000, "provisional": False}),
        ("positions", {"symbol": "000660", "quantity": 3, "cost": 210_015}),
        ("cash", {"deployment": "d", "cash": -910_045}),
        ("signals", {"symbol": "000660", "value": 1.0, "strength": 0.5}),
    ],
)
def test_projections(said: Shown, name: str, row: dict[str, Any]) -> None:
    assert rows(said, "--projection", name)[-1].items() >= row.items()
    assert said("show", "--projection", name)
    if name in ("orders", "fills", "positions"):
        assert [each["symbol"] for each in rows(said, "--projection", name, "--symbol", "000660")] == ["000660"]


@pytest.mark.parametrize("name", ["risk", "strategy", "deployments", "external"])
def test_empty_projections_are_shown_too(said: Shown, name: str) -> None:
    assert rows(said, "--projection", name) == []
    assert "0 of 0" in said("show", "--projection", name)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--kind", "Filled"], "--kind Filled: expected one of RunStarted"),
        (["--since", "yesterday"], "--since yesterday: expected a time"),
        (["--projection", "shares"], "expected one of orders, fills"),
        (["--symbol", "005930"], "--symbol: journal knows no symbol"),
        (["--order", "x", "--projection", "cash"], "--order: cash knows no order"),
        (["nobody"], "no journal at"),
        (["--journal", "nowhere.sqlite"], "no journal at nowhere.sqlite"),
        (["--journal", "mysql://u:hidden@h/d"], "not mysql"),
        (["--journal", "postgresql://u:hid:den@h/d"], "lost"),
        (["--journal", "postgresql://u:hidden@h:port/d"], "URL cannot be read"),
        (["--journal", "postgresql://u@h:1/d?password=hidden"], "lost"),
    ],
)
def test_what_cannot_be_shown_is_said_without_secrets(said: Shown, arguments: list[str], why: str) -> None:
    text = said("show", *arguments, code=1 if why == "lost" else 2)
    assert why in text
    assert "hid" not in text


def test_two_accounts_and_none_named_is_a_question(said: Shown) -> None:
    open_stored("data/journals", "second", owner="test", now=1).close()
    assert "which account? Known are: first, second" in said("show", code=2)


# --- verify -----------------------------------------------------------------------------------------------------------


def test_verify_of_a_journal_that_is_open_and_good(said: Shown, written: StoredJournal) -> None:
    text = said("verify", "first")
    seq, hash_ = written.head()
    assert "10 entries; chain, tables and snapshots agree" in text
    assert f"head {seq}:{hash_}" in text
    found = json.loads(said("verify", "--json", "--head", f"{seq}:{hash_}"))
    assert (found["good"], found["problems"]) == (True, [])


def change(statement: str) -> None:
    connection = sqlite3.connect("data/journals/first.sqlite", isolation_level=None)
    for name in ("update", "delete", "replace"):
        connection.execute(f"DROP TRIGGER journal_no_{name}")
    connection.execute(statement)
    connection.close()


def test_verify_names_the_first_break_and_fails(said: Shown, written: StoredJournal) -> None:
    written.close()
    change("UPDATE journal SET payload = replace(payload, '70000.0', '60000.0') WHERE seq = 4")
    text = said("verify", code=1)
    assert "wrong after 3 good entries" in text
    assert "entry 4: it was changed after it was written (its hash differs)" in text
    found = json.loads(said("verify", "--json", code=1))
    assert (found["good"], found["entries"]) == (False, 3)


def test_verify_names_the_row_of_a_table_that_differs(said: Shown, written: StoredJournal) -> None:
    written.close()
    change("UPDATE positions SET quantity = 99 WHERE symbol = '000660'")
    assert "positions d 000660: quantity is 99, a replay gives 3 (entry 8)" in said("verify", code=1)


def test_journal_that_was_cut_and_made_whole_again_lacks_the_head_that_was_told(
    said: Shown, written: StoredJournal, tmp_path: Path
) -> None:
    """Whoever may write the file can make another good journal; a hash kept elsewhere tells it from ours."""
    seq, hash_ = written.head()
    written.close()
    other = Place("sqlite", tmp_path / "other", account="first")
    other.open().append(life(0))
    other.close()
    where = ["--journal", str(tmp_path / "other")]
    said("verify", "first", *where)
    text = said("verify", "first", *where, "--head", f"{seq}:{hash_}", code=1)
    assert f"entry 10 with hash {hash_[:16]}... is not there: the journal was cut or rewritten" in text
    assert "expected SEQ:HASH" in said("verify", "--head", "10:abc", code=2)


# --- export -----------------------------------------------------------------------------------------------------------


def test_three_forms_hold_the_same_entries(said: Shown, written: StoredJournal, tmp_path: Path) -> None:
    for form in ("parquet", "csv", "jsonl"):
        assert "10 rows of journal" in said("export", f"all.{form}", "--account", "first")
    table = pq.read_table(tmp_path / "all.parquet").to_pylist()
    with (tmp_path / "all.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    objects = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text(encoding="utf-8").splitlines()]
    entries = list(written.read())
    assert [row["hash"] for row in table] == [row["hash"] for row in lines] == [one.hash for one in entries]
    assert [row["payload"] for row in objects] == [one.entry.payload for one in entries]
    assert [json.loads(row["payload"]) for row in lines] == [one.entry.payload for one in entries]
    assert table[5]["seoul"] == "2025-07-17T09:00:00+09:00"
    assert (table[0]["ts_ns"], lines[0]["ts_ns"], objects[0]["ts_ns"]) == (1, "1", 1)


def test_chain_can_be_checked_from_the_exported_file_alone(said: Shown, tmp_path: Path) -> None:
    said("export", "all.parquet")
    before = "0" * 64
    for row in pq.read_table(tmp_path / "all.parquet").to_pylist():
        told = {name: row[name] for name in ("client_order_id", "epoch", "kind", "seq", "strategy_id", "ts_ns")}
        told |= {"account_id": "first", "payload": json.loads(row["payload"])}
        text = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        before = hashlib.sha256((before + text).encode()).hexdigest()
        assert row["hash"] == before


def test_filters_projections_and_the_wire_log(said: Shown, tmp_path: Path) -> None:
    assert "2 rows of orders" in said("export", "orders.csv", "--projection", "orders")
    assert "1 rows of fills" in said("export", "fills.csv", "--projection", "fills", "--symbol", "000660")
    assert "3 rows of journal" in said("export", "order.jsonl", "--order", "d:1:1")
    found = json.loads(said("export", "wire.jsonl", "--wire", "--json"))
    assert (found["rows"], found["table"], found["form"]) == (1, "wire_log", "jsonl")
    wire = (tmp_path / "wire.jsonl").read_text()
    assert "ORD_QTY" in wire
    assert "verysecret" not in wire
    assert "one of --wire and --projection" in said("export", "x.csv", "--wire", "--projection", "fills", code=2)
    for projection in ("positions", "cash", "signals", "risk", "strategy", "deployments", "external"):
        said("export", f"{projection}.parquet", "--projection", projection)


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_export_that_fails_leaves_what_was_there(
    said: Shown, written: StoredJournal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    from quantkit.live.journal import export

    (tmp_path / f"all.{form}").write_text("before")
    kept = export._told

    def broken(*arguments: Any) -> Any:
        yield from list(kept(*arguments))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export, "_told", broken)
    assert "EXPORT_FAILED" in said("export", f"all.{form}", code=1)
    assert (tmp_path / f"all.{form}").read_text() == "before"
    assert [path.name for path in tmp_path.glob(".*")] == []


def test_file_whose_name_says_no_form_is_refused(said: Shown) -> None:
    assert "ends in .parquet, .csv, .jsonl, .ndjson" in said("export", "all.xlsx", code=2)
    assert "No such file" in said("export", "nowhere/all.csv", code=1)
