"""The halt file: whatever stands in it halts, and nothing in it loosens."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from quantkit.errors import RetryLater
from quantkit.live.haltfile import halt_file, read_halt, write_halt
from quantkit.live.messages import Command
from tests.live.test_runner import World, play

HALT = Command(7, "cli:halt:7", "halt", "min", "numbers look wrong", {"scope": "account", "mode": "reducing"})


def test_a_file_says_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "first.halt"
    assert read_halt(path) is None
    write_halt(path, HALT)
    assert read_halt(path) == HALT
    assert [each.name for each in path.parent.iterdir()] == ["first.halt"]


@pytest.mark.parametrize(
    "text",
    ["", "stop it!", "{", "[]", "null", '{"name": "halt"}']
    + [json.dumps(asdict(replace(HALT, **changes))) for changes in (
        {"name": "resume"}, {"name": "order"}, {"id": ""}, {"by": ""}, {"reason": ""}, {"arguments": [1]}, {"id": 7},
    )],
)  # fmt: skip
def test_anything_else_halts_the_account(tmp_path: Path, text: str) -> None:
    path = tmp_path / "first.halt"
    path.write_text(text)
    found = read_halt(path)
    assert found is not None
    assert (found.name, found.by, found.arguments) == ("halt", "file first.halt", {})
    assert found.reason
    assert read_halt(path) == found  # the same again, so it is handed over once


def test_a_file_that_cannot_be_read_halts(tmp_path: Path) -> None:
    (tmp_path / "first.halt").mkdir()
    (tmp_path / "other.halt").write_bytes(b"\xff\xfe")
    for name in ("first", "other"):
        found = read_halt(tmp_path / f"{name}.halt")
        assert found is not None
        assert (found.name, "cannot be read" in found.reason) == ("halt", True)


def test_it_stands_beside_the_journal() -> None:
    assert halt_file("a/b/first.sqlite", "first", Path("j")) == Path("a/b/first.halt")
    assert halt_file("postgresql://h/d", "first", Path("j")) == Path("j/first.halt")


def test_the_runner_hands_it_over_once_even_when_the_journal_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "first.halt"

    def locked() -> list[Command]:
        raise RetryLater("locked")

    async def act(world: World) -> None:
        world.journal.commands = locked  # type: ignore[method-assign]
        await asyncio.sleep(2)
        assert world.heard(Command) == []
        write_halt(path, HALT)
        await asyncio.sleep(5)

    world = play(act, halt_file=path)
    (found,) = [each for each in world.heard(Command) if each.name == "halt"]
    assert replace(found, time=7) == HALT
