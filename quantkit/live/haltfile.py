"""A file beside the journal that halts an account: it works when the engine is dead, and when the database is.

Contract: the file holds one command as JSON, as `quantkit halt` writes it. Whatever else stands there, nothing too,
halts the account: `touch first.halt` is enough. The runner looks at it with every look for commands and hands the
command over once; an engine that starts later finds it there. `quantkit resume` takes it away. What cannot be read
halts, too: nobody can know that it says nothing.

>>> halt_file("data/journals/first.sqlite", "first", Path("data/journals")).as_posix()
'data/journals/first.halt'
>>> halt_file("postgresql://host/trading", "first", Path("data/journals")).as_posix()
'data/journals/first.halt'
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from quantkit.live.messages import Command

NAMES = ("halt", "flatten")  # what a file may ask for: nothing that loosens


def halt_file(journal: str, account: str, folder: Path) -> Path:
    """Where the file of an account is: beside its journal, or in `folder` where that is in a database."""
    return (folder if "://" in journal else Path(journal).parent) / f"{account}.halt"


def write_halt(path: Path, command: Command) -> None:
    """Leave the file: there as a whole, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.new")
    with beside.open("w", encoding="utf-8") as file:
        json.dump(asdict(command), file, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def read_halt(path: Path) -> Command | None:
    """The command of a file; None where there is no file."""
    try:
        changed = path.stat().st_mtime_ns
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as problem:
        return _halted(path, 0, f"{path.name} cannot be read: {problem}")
    found = _parsed(text)
    return found or _halted(path, changed, text.strip() or f"{path.name} is there")


def _parsed(text: str) -> Command | None:
    """The command that `write_halt` wrote; None for any other text."""
    try:
        given: dict[str, Any] = json.loads(text)
        command = Command(**given)
    except (ValueError, TypeError):
        return None
    sound = command.name in NAMES and isinstance(command.arguments, dict)
    sound = sound and all(isinstance(each, str) and each for each in (command.id, command.by, command.reason))
    return command if sound else None


def _halted(path: Path, changed: int, why: str) -> Command:
    return Command(changed, f"file:{path.name}:{changed}", "halt", f"file {path.name}", why[:200])
