"""What a person or a program sees of a run: a picture on a terminal, lines elsewhere, JSON lines where asked; alerts.

Contract: reads the journal with a connection of its own, and the engine's state; writes to neither. On standard output
nothing but the picture, the lines or the JSON. Each JSON line is an object with `event`:

    entry    one entry of the journal: seq, time, kind, order, deployment, payload
    phase    the session's phase changed: time, phase
    status   how the account stands, at the end of the run
    end      down: accounts that were given up, with the reason
"""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final, TextIO

import typer

from quantkit.cli.lines import line_of
from quantkit.cli.status_view import clock_text, render
from quantkit.plain import plain

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rich.live import Live

    from quantkit.cli.trading import Plan
    from quantkit.host import Host
    from quantkit.live.alerts import Level
    from quantkit.live.journal.reader import Reader
    from quantkit.settings import Settings

REDRAW: Final = 0.25  # seconds of the machine between two pictures
KEPT: Final = 6  # lines under the picture


class Follower:
    """Shows one account of a run."""

    def __init__(self, made: Plan, where: str) -> None:
        self.made, self.where, self.name = made, where, made.asked.account
        self.as_json = made.asked.as_json
        self.seq = self._head()
        self.moved = True  # whether the last look found something new
        self._reader: Reader | None = None
        self._live: Live | None = None
        self._recent: deque[str] = deque(maxlen=KEPT)
        self._phase = ""
        self._drawn = 0.0

    # --- the terminal ---------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Open the picture, where there is a terminal and nobody asked for lines."""
        made = self.made
        if self.as_json:
            return
        if sys.stdout.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(highlight=False), auto_refresh=False, redirect_stdout=False)
            self._live.start()
        word = "goes on" if made.resumed else "begins"
        self.say(f"{clock_text(made.start)}  {made.asked.mode} of {made.strategy.name} on {self.name} {word}")

    def end(self) -> None:
        """Close the picture; the last one stays on the screen."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def log_stream(self) -> TextIO:
        """Where log lines go: above the picture, or to standard error."""
        return sys.stderr

    def say(self, line: str) -> None:
        """One line: under the picture, or printed."""
        if self._live is not None:
            self._recent.append(line)
        elif not self.as_json:
            typer.echo(line)

    # --- looking --------------------------------------------------------------------------------------------------

    def look(self, host: Host | None) -> None:
        """Show what is new."""
        runner = None if host is None else host.supervisor.runners.get(self.name)
        if host is None or runner is None:
            return
        head = runner.journal.head()[0]  # type: ignore[attr-defined]
        self.moved = head != self.seq
        if self.moved:
            orders = runner.engine.orders
            for recorded in self._opened().read(self.seq):
                self.seq = recorded.seq
                if self.as_json:
                    entry = recorded.entry
                    self._emit("entry", seq=recorded.seq, time=entry.time, kind=entry.kind.value, order=entry.order,
                               deployment=entry.deployment, payload=entry.payload)  # fmt: skip
                elif (text := line_of(recorded.entry, orders)) is not None:
                    self.say(f"{clock_text(recorded.entry.time)}  {text}")
        self._phases(host)
        if self._live is not None and time.monotonic() - self._drawn >= REDRAW:
            self._draw(host)

    def over(self, host: Host | None, down: dict[str, str]) -> None:
        """The last word."""
        self.look(host)
        statuses = [] if host is None else [one for one in host.statuses() if one.account == self.name]
        for status in statuses:
            if self.as_json:
                self._emit("status", **status.to_dict())
            elif self._live is None:
                won = "" if status.profit is None else f", {status.profit:+,} today"
                held = ", ".join(f"{line.symbol} {line.shares:,}" for line in status.positions) or "nothing"
                money = f"equity {status.equity:,}{won}; cash {status.cash:,}"
                self.say(f"{clock_text(status.time)}  {money}; holds {held}")
                if status.feed:
                    counted = ", ".join(f"{what} {count:,}" for what, count in sorted(status.feed.items()))
                    self.say(f"{clock_text(status.time)}  prices: {counted}")
        if self._live is not None and host is not None:
            self._draw(host)
        if self.as_json:
            self._emit("end", down=down)

    def _phases(self, host: Host) -> None:
        from quantkit.live.windows import phase_at

        now = host.clock.now_ns()
        phase = phase_at(now, market=host.hub.market) or "closed"
        if phase != self._phase:
            self._phase = phase
            if self.as_json:
                self._emit("phase", time=now, phase=phase)
            else:
                self.say(f"{clock_text(now)}  {phase.replace('_', ' ')}")

    def _draw(self, host: Host) -> None:
        from rich.console import Group
        from rich.text import Text

        if self._live is None:
            return
        self._drawn = time.monotonic()
        lines = [Text(line, style="dim", no_wrap=True, overflow="ellipsis") for line in self._recent]
        self._live.update(Group(render(host.statuses()), *lines), refresh=True)

    def _emit(self, event: str, **what: Any) -> None:
        typer.echo(json.dumps(plain({"event": event, "account": self.name, **what}), ensure_ascii=False))

    def _opened(self) -> Reader:
        from quantkit.live.journal import read_journal

        if self._reader is None:
            self._reader = read_journal(self.where, self.name)
        return self._reader

    def _head(self) -> int:
        from quantkit.errors import ConfigError
        from quantkit.live.journal import read_journal

        try:
            journal = read_journal(self.where, self.name)
        except ConfigError:
            return 0  # none yet
        try:
            return journal.head()[0]
        finally:
            journal.close()


class Alerting:
    """Alerts of one account: from its journal, to the addresses of the settings."""

    def __init__(self, told: Settings, name: str, where: str, cursor: Path) -> None:
        self.name, self._where, self._cursor = name, where, cursor
        self._least = told.alerts.least
        self.silent = not told.alerts.urls
        self.send: Callable[[str, str, Level], bool] = lambda *_: True
        if not self.silent:
            from quantkit.live.alerts import apprise_sender

            self.send = apprise_sender([url.get_secret_value() for url in told.alerts.urls])

    def pump(self) -> int:
        """Tell what is new; how many alerts that were. RetryLater where nobody could be reached."""
        from quantkit.live.alerts import Alerter, Level
        from quantkit.live.journal import read_journal

        if self.silent:
            return 0
        journal = read_journal(self._where, self.name)
        try:
            least = Level[self._least.upper()]
            return Alerter(self.name, journal.read, self.send, cursor=self._cursor, least=least).pump()
        finally:
            journal.close()
