"""Alerts come from journal entries, once each, also over restarts and over addresses that cannot be reached."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from quantkit.errors import ConfigError, RetryLater
from quantkit.live.alerts import MOST, Alerter, Level, alert_of, apprise_sender
from quantkit.trading.events import Entry, Kind


@dataclass
class Line:
    seq: int
    entry: Entry


def alarm(seq: int, code: str = "GAP") -> Line:
    return Line(seq, Entry(Kind.ALARM, 0, {"code": code, "detail": "look"}))


def folded(seq: int) -> Line:
    return Line(seq, Entry(Kind.BAR_FOLDED, 0, {"bar": 0, "equity": 1, "cash": 1, "digest": ""}))


class Book:
    """A journal of lines, and a sender that notes or fails."""

    def __init__(self, *lines: Line) -> None:
        self.lines = list(lines)
        self.sent: list[tuple[str, str, Level]] = []
        self.reachable = True

    def read(self, after: int) -> list[Line]:
        return [line for line in self.lines if line.seq > after]

    def send(self, title: str, body: str, level: Level) -> bool:
        if self.reachable:
            self.sent.append((title, body, level))
        return self.reachable


def test_an_entry_is_told_once_also_after_a_restart(tmp_path: Path) -> None:
    book, cursor = Book(folded(1), alarm(2, "FIRST"), folded(3)), tmp_path / "a" / "first.alerts"
    assert Alerter("a", book.read, book.send, cursor=cursor).pump() == 1
    again = Alerter("a", book.read, book.send, cursor=cursor)
    assert again.seq == 3
    assert again.pump() == 0
    book.lines.append(alarm(4, "SECOND"))
    assert again.pump() == 1
    assert [body for _, body, _ in book.sent] == [
        "#2 Alarm: code=FIRST, detail=look",
        "#4 Alarm: code=SECOND, detail=look",
    ]


def test_what_could_not_be_sent_is_sent_later(tmp_path: Path) -> None:
    book, cursor = Book(alarm(1)), tmp_path / "cursor"
    alerter = Alerter("a", book.read, book.send, cursor=cursor)
    book.reachable = False
    with pytest.raises(RetryLater, match="1 alerts of a"):
        alerter.pump()
    assert not cursor.exists()
    book.reachable = True
    assert alerter.pump() == 1
    assert len(book.sent) == 1


def test_level_decides_and_a_connection_that_comes_back_is_quiet() -> None:
    def connection(seq: int, *, up: bool) -> Line:
        payload = {"what": "orders", "up": up, "generation": 1, "detail": ""}
        return Line(seq, Entry(Kind.CONNECTION_CHANGED, 0, payload))

    book = Book(connection(1, up=False), connection(2, up=True))
    assert Alerter("a", book.read, book.send).pump() == 1
    assert Alerter("a", book.read, book.send, least=Level.INFO).pump() == 2
    assert Alerter("a", book.read, book.send, least=Level.CRITICAL).pump() == 0
    assert alert_of(folded(1)) is None


def test_many_alerts_are_one_message() -> None:
    book = Book(*(alarm(seq) for seq in range(1, MOST + 6)))
    assert Alerter("acc", book.read, book.send).pump() == MOST + 5
    ((title, body, level),) = book.sent
    assert (title, level) == ("quantkit acc: critical", Level.CRITICAL)
    assert body.endswith("... and 5 more; `quantkit journal show acc` has all")


def test_a_spoilt_cursor_is_named(tmp_path: Path) -> None:
    (tmp_path / "cursor").write_text("many")
    with pytest.raises(ConfigError, match="'many'"):
        Alerter("a", Book().read, Book().send, cursor=tmp_path / "cursor")


def test_an_address_that_is_none_is_refused_without_showing_it() -> None:
    with pytest.raises(ConfigError, match=r"address 2 of 2 \(nonsense://\.\.\.\)") as caught:
        apprise_sender(["json://localhost:1/", "nonsense://token-hunter2"])
    assert "hunter2" not in str(caught.value)


@pytest.fixture
def hook() -> Iterator[tuple[int, list[dict[str, str]]]]:
    """A web hook on this machine: its port, and what it was told."""
    told: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1], told
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_web_hook_hears_it(hook: tuple[int, list[dict[str, str]]]) -> None:
    port, told = hook
    book = Book(alarm(1, "DISK_FULL"))
    assert Alerter("acc", book.read, apprise_sender([f"json://127.0.0.1:{port}/"])).pump() == 1
    assert told[0]["title"] == "quantkit acc: critical"
    assert "DISK_FULL" in told[0]["message"]


def test_nobody_to_tell_is_no_failure() -> None:
    assert Alerter("acc", Book(alarm(1)).read, apprise_sender([])).pump() == 1
