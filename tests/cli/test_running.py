"""Signals of a run, apart from the run."""

from __future__ import annotations

import os
import signal

import pytest

from quantkit.cli.running import Running, runner_settings


class Seen:
    """Stands for what is shown, and for the host."""

    def __init__(self) -> None:
        self.ended, self.lines, self.stopped = False, list[str](), list[str]()

    def end(self) -> None:
        self.ended = True

    def say(self, line: str) -> None:
        self.lines.append(line)

    def stop(self, *, by: str, reason: str) -> None:
        self.stopped.append(f"{reason} by {by}")


def running() -> tuple[Running, Seen]:
    made, seen = Running.__new__(Running), Seen()
    made.interrupts, made.follower, made.host = 0, seen, seen  # type: ignore[assignment]
    return made, seen


def test_the_first_signal_asks_and_the_second_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made, seen = running()
    monkeypatch.setattr(made, "_soon", lambda act: act())
    made._signalled(signal.SIGINT, None)
    assert seen.stopped[0].startswith("SIGINT by ")
    assert not seen.ended

    def left(code: int) -> None:
        raise SystemExit(code)

    monkeypatch.setattr(os, "_exit", left)
    with pytest.raises(SystemExit, match="130"):
        made._signalled(signal.SIGINT, None)
    assert seen.ended  # the terminal is put back first


def test_a_signal_before_there_is_a_host_is_remembered() -> None:
    made, _ = running()
    made.host = None
    made._signalled(signal.SIGTERM, None)
    assert made.interrupts == 1


def test_how_long_an_answer_may_take_does_not_shrink_with_the_pace() -> None:
    assert [runner_settings(speed).limits.order for speed in (None, 0.5, 1.0, 60.0)] == [10.0, 10.0, 10.0, 600.0]
    assert [runner_settings(speed).intake for speed in (None, 1.0, 60.0)] == [60.0, 0.5, 30.0]
