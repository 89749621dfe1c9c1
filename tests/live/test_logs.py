"""Logs: one line an event, for people or for programs, and never a secret."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog

from quantkit.errors import ConfigError, Refused
from quantkit.live import logs
from quantkit.live.redact import Redactor

Configure = Callable[..., None]
SECRET = "PSq7x-hunter2-key"


@pytest.fixture(autouse=True)
def configure() -> Iterator[Configure]:
    """`logs.configure`, undone after the test."""
    closing: list[Callable[[], None]] = []
    yield lambda **options: closing.append(logs.configure(**options))
    for close in closing:
        close()
    assert not structlog.is_configured()


def lines(stream: io.StringIO) -> list[dict[str, str]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_json_where_a_program_reads_it(configure: Configure) -> None:
    stream = io.StringIO()
    configure(form="json", stream=stream)
    logs.get("engine", account="first").info("bar folded", bar=3, name="삼성전자")
    (line,) = lines(stream)
    assert line["event"] == "bar folded"
    assert (line["part"], line["account"], line["level"]) == ("engine", "first", "info")
    assert (line["bar"], line["name"]) == (3, "삼성전자")
    assert line["timestamp"].endswith("Z")


def test_the_level_cuts_off(configure: Configure) -> None:
    stream = io.StringIO()
    configure(level="warning", form="json", stream=stream)
    logs.get("engine").info("quiet")
    logs.get("engine").warning("loud")
    assert [line["event"] for line in lines(stream)] == ["loud"]


@pytest.mark.parametrize("form", ["json", "text"])
def test_no_secret_is_written_anywhere(configure: Configure, form: str, tmp_path: Path) -> None:
    stream, file = io.StringIO(), tmp_path / "logs" / "engine.log"
    configure(form=form, stream=stream, file=file, redactor=Redactor([SECRET]))
    log = logs.get("broker")
    log.info("asked", appkey=SECRET, header={"authorization": f"Bearer {SECRET}"}, text=f"said {SECRET} twice")
    try:
        raise Refused("EGW00123", f"token {SECRET} expired")
    except Refused:
        log.exception("refused")
    written = stream.getvalue() + file.read_text()
    assert SECRET not in written
    assert "EGW00123" in written
    assert "***" in written


def test_the_file_is_json_beside_text_for_people(configure: Configure, tmp_path: Path) -> None:
    stream, file = io.StringIO(), tmp_path / "engine.log"
    configure(form="text", stream=stream, file=file)
    logs.get("engine").info("bar folded", bar=3)
    assert "bar folded" in stream.getvalue()
    assert "bar=3" in stream.getvalue()
    assert json.loads(file.read_text())["bar"] == 3


def test_a_file_that_cannot_be_is_refused(configure: Configure, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match=r"logs\.file"):
        configure(file=tmp_path / "folder")


@pytest.mark.parametrize("word", ["x" * 300_000, "1" * 300_000, "x1-" * 100_000])
def test_a_long_word_is_looked_at_once(word: str) -> None:
    """A word that is looked at from each of its letters takes minutes."""
    assert Redactor().text(f"{word} appkey=hunter {word}") == f"{word} appkey=*** {word}"
