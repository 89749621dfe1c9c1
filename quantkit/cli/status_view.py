"""The terminal's picture of running accounts: phase, money, positions, orders, how old bars are, what is connected.

Contract: draws `quantkit.live.status.Status` and nothing else; a Rich renderable, made anew each time.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from quantkit.live.status import Status

SECOND = 1_000_000_000
MOST = 12  # lines of a table
_SEOUL = ZoneInfo("Asia/Seoul")
_GOOD, _BAD, _DIM = "green", "bold red", "dim"


def render(found: Sequence[Status], *, unit: int = 1) -> RenderableType:
    """All accounts, one panel each. unit: minor units in one unit of money."""
    return Group(*(_panel(status, unit) for status in found))


def clock_text(time: int) -> str:
    """A moment in Seoul."""
    return f"{dt.datetime.fromtimestamp(time / SECOND, _SEOUL):%Y-%m-%d %H:%M:%S}"


def age_text(age: int | None) -> str:
    """How long ago, in the largest unit that says it."""
    if age is None:
        return "never"
    seconds = age / SECOND
    for size, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} s"


def _panel(status: Status, unit: int) -> Panel:
    strict = {mode for mode in status.modes.values() if mode != "running"}
    halted = bool(strict & {"halted", "flatten"})
    parts: list[RenderableType] = [_head(status, unit)]
    if status.positions:
        parts.append(_positions(status, unit))
    if status.orders:
        parts.append(_orders(status))
    parts.extend(Text(f"alarm  {alarm}", style=_BAD) for alarm in status.alarms[-MOST:])
    title = f"{status.account}  {clock_text(status.time)} Seoul  {status.phase.replace('_', ' ')}"
    return Panel(
        Group(*parts), title=title, title_align="left", border_style=_BAD if halted else "yellow" if strict else _GOOD
    )


def _head(status: Status, unit: int) -> Text:
    text = Text()
    text.append(f"equity {status.equity / unit:,.0f}   cash {status.cash / unit:,.0f}   today ")
    if status.profit is None:
        text.append("-", style=_DIM)
    else:
        percent = status.profit / status.day_start if status.day_start else 0.0
        text.append(f"{status.profit / unit:+,.0f} ({percent:+.2%})", style=_GOOD if status.profit >= 0 else _BAD)
    for name, mode in status.modes.items():
        text.append(f"\n{name}: ")
        text.append(mode, style=_GOOD if mode == "running" else _BAD)
        text.append(
            f"   last bar {age_text(status.bar_ages.get(name))} ago" if status.bar_ages.get(name) else "   no bar yet"
        )
    text.append(f"\naccount {status.link}")
    for what, up in status.connections.items():
        text.append(f"   {what} ")
        text.append("up" if up else "down", style=_GOOD if up else _BAD)
    return text


def _positions(status: Status, unit: int) -> Table:
    drawn = Table(
        "Position", "Shares", "Entry", "Price", "Value", "Profit", box=None, header_style="bold", pad_edge=False
    )
    for column in drawn.columns[1:]:
        column.justify = "right"
    for line in sorted(status.positions, key=lambda each: -each.value)[:MOST]:
        style = _GOOD if line.profit >= 0 else "red"
        prices = (f"{line.entry:,.2f}", f"{line.price:,.2f}", f"{line.value / unit:,.0f}")
        drawn.add_row(line.symbol, f"{line.shares:,}", *prices, Text(f"{line.profit / unit:+,.0f}", style=style))
    if len(status.positions) > MOST:
        drawn.add_row(f"and {len(status.positions) - MOST} more")
    return drawn


def _orders(status: Status) -> Table:
    drawn = Table(
        "Order", "Symbol", "Side", "Filled", "Price", "State", "Age", box=None, header_style="bold", pad_edge=False
    )
    for column in drawn.columns[3:5]:
        column.justify = "right"
    for line in status.orders[:MOST]:
        waits = line.age is None
        word = "waits for" if waits else line.status.replace("_", " ")
        state = Text("unresolved", style=_BAD) if line.unresolved else Text(word, style=_DIM if waits else "")
        price = f"{line.price:,.2f}" if line.price is not None else "" if waits else "market"
        when = line.window.replace("_", " ") if line.age is None else age_text(line.age)
        drawn.add_row(line.id, line.symbol, line.side, f"{line.filled:,}/{line.quantity:,}", price, state, when)
    if len(status.orders) > MOST:
        drawn.add_row(f"and {len(status.orders) - MOST} more")
    return drawn
