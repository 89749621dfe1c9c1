"""What lower layers call by name is there, and silence is of its block only."""

from __future__ import annotations

from importlib import import_module
from threading import Thread

import pytest

from quantkit import hooks


@pytest.mark.parametrize(("name", "home"), sorted(hooks._HOMES.items()))
def test_every_hook_has_a_function_behind_it(name: str, home: str) -> None:
    assert callable(getattr(import_module(home), name))


def test_silence_ends_with_its_block_and_is_of_its_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []
    monkeypatch.setattr("quantkit.research.runs.run_made", lambda what, _record: heard.append(what))
    with hooks.silently():
        hooks.call("run_made", "inside", None)
        with hooks.silently():
            hooks.call("run_made", "deeper", None)
        hooks.call("run_made", "after the inner block", None)
        other = Thread(target=hooks.call, args=("run_made", "another thread", None))
        other.start()
        other.join()
    hooks.call("run_made", "outside", None)
    assert heard == ["another thread", "outside"]
