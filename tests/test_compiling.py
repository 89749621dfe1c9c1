"""What a person sees while kernels compile."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from quantkit import compiling
from quantkit.compiling import MESSAGE, Watch, hide, show, showing


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def a_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    seen = Terminal()
    monkeypatch.setattr(sys, "stderr", seen)
    monkeypatch.setenv("TERM", "xterm-256color")  # a dumb one can draw no line that goes away
    monkeypatch.setattr(compiling, "in_notebook", lambda: False)
    return seen


def compilation_of(function: Any) -> Any:
    return SimpleNamespace(data={"dispatcher": SimpleNamespace(py_func=function)})


def entry() -> None:
    """Stands for a kernel that Python calls."""


def step() -> None:
    """Stands for a kernel that others call."""


@pytest.fixture
def watch() -> Watch:
    made = Watch()
    made.add(entry)
    return made


def test_a_terminal_shows_the_line_while_an_entry_compiles(monkeypatch: pytest.MonkeyPatch, watch: Watch) -> None:
    terminal = a_terminal(monkeypatch)
    watch.on_start(compilation_of(entry))
    watch.on_start(compilation_of(step))
    watch.on_end(compilation_of(step))
    assert compiling._shown, "until the entry itself is done"
    watch.on_end(compilation_of(entry))
    assert not compiling._shown
    assert MESSAGE in terminal.getvalue()


def test_other_functions_show_nothing(monkeypatch: pytest.MonkeyPatch, watch: Watch) -> None:
    terminal = a_terminal(monkeypatch)
    watch.on_start(compilation_of(step))
    watch.on_end(compilation_of(step))
    assert terminal.getvalue() == ""


def test_a_pipe_sees_nothing(monkeypatch: pytest.MonkeyPatch, watch: Watch) -> None:
    seen = io.StringIO()
    monkeypatch.setattr(sys, "stderr", seen)
    with showing("a line"):
        watch.on_start(compilation_of(entry))
        watch.on_end(compilation_of(entry))
    assert seen.getvalue() == ""


def test_only_one_line_at_a_time(monkeypatch: pytest.MonkeyPatch, watch: Watch) -> None:
    terminal = a_terminal(monkeypatch)
    with showing("all of them"):
        watch.on_start(compilation_of(entry))
        watch.on_end(compilation_of(entry))
        assert compiling._shown
    assert not compiling._shown
    assert "all of them" in terminal.getvalue()
    assert MESSAGE not in terminal.getvalue()


def test_the_line_goes_when_the_block_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    a_terminal(monkeypatch)
    with pytest.raises(ZeroDivisionError), showing("a line"):
        raise ZeroDivisionError
    assert not compiling._shown


def test_a_notebook_shows_the_line_under_its_cell_and_then_that_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[dict[str, str]] = []

    def display(content: dict[str, str], **_options: object) -> SimpleNamespace:
        shown.append(content)
        return SimpleNamespace(update=lambda content, **_options: shown.append(content))

    monkeypatch.setattr("IPython.display.display", display)
    monkeypatch.setattr(compiling, "in_notebook", lambda: True)
    show(MESSAGE)
    hide()
    assert shown[0]["text/plain"] == MESSAGE
    assert MESSAGE in shown[0]["text/html"]
    assert shown[1] == {"text/plain": f"done: {MESSAGE}"}


def test_a_process_without_a_notebook_knows_it() -> None:
    assert not compiling.in_notebook()
