"""Line charts as inline SVG, for pages: no library, no font file, colours from the page's style sheet.

Contract: pure functions from arrays to text. Rows are spaced evenly (trading time: no gaps at night or on holidays).
Lines, areas and marks carry CSS classes, so one picture serves light, dark and paper. The numbers behind the lines go
into `data-*` attributes for the page's crosshair. Used by `report`.

>>> days = np.arange(20_000, 20_500)
>>> chart(days, [Line(np.linspace(1.0, 2.0, 500), "ours", "equity")], height=120, form="number")[:4]
'<svg'
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from quantkit.backtest.thinning import thin
from quantkit.backtest.wording import number, percent, short_money

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Line", "Marks", "chart"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 1000.0, 64.0, 8.0, 10.0, 24.0
POINTS = 1200
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class Line:
    """(T,) values without NaN, a CSS class, a label; `area` fills it to zero."""

    values: Floats
    css: str
    label: str
    area: bool = False


@dataclass(frozen=True, slots=True)
class Marks:
    """Triangles at rows and values: up or down."""

    rows: Ints
    values: Floats
    css: str
    up: bool = field(default=True)


def _axis_text(form: str, currency: str) -> Callable[[float], str]:
    if form == "percent":
        return lambda value: percent(value, digits=0)
    if form == "money":
        return lambda value: short_money(value, currency)
    return lambda value: number(
        value, digits=next(d for d in range(4) if d == 3 or abs(round(value, d) - value) < 1e-9)
    )


def value_ticks(low: float, high: float, *, count: int) -> list[float]:
    """Round values (1, 2 or 5 times a power of ten apart) inside low..high, about `count` of them."""
    if not high > low:
        return [low]
    rough = (high - low) / max(count, 1)
    power = 10.0 ** np.floor(np.log10(rough))
    step = power * min((1.0, 2.0, 5.0, 10.0), key=lambda size: abs(np.log(power * size / rough)))
    first = int(np.ceil(low / step - 1e-9))
    return [index * step for index in range(first, int(np.floor(high / step + 1e-9)) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten inside low..high (positive); powers alone when those would be many."""
    first, last = int(np.floor(np.log10(low))), int(np.ceil(np.log10(high)))
    sizes = (1.0, 2.0, 5.0) if last - first <= 3 else (1.0,)
    ticks = [size * 10.0**power for power in range(first, last + 1) for size in sizes]
    return [tick for tick in ticks if low <= tick <= high]


def date_ticks(days: Ints, *, most: int = 12) -> list[tuple[int, str]]:
    """(row, label) of the first bar of years, quarters, months or days: the finest that gives at most `most`."""
    dates = days.astype("datetime64[D]")
    months = dates.astype("datetime64[M]").astype(np.int64)
    kinds = [(days, "day"), ((days + 3) // 7, "day"), (months, "month"), (months // 3, "month")]
    kinds += [(months // (12 * years), "year") for years in (1, 2, 5, 10, 20, 50)]
    rows, kind = np.zeros(0, np.int64), "year"
    for keys, unit in kinds:
        rows, kind = np.flatnonzero(keys[1:] != keys[:-1]) + 1, unit
        if len(rows) <= most:
            break
    if not len(rows):
        rows = np.zeros(1, np.int64)
    labels = []
    for row in rows:
        year, month = int(months[row]) // 12 + 1970, int(months[row]) % 12
        if kind == "day":
            text = f"{_MONTHS[month]} {str(dates[row])[8:]}"
        else:
            text = str(year) if kind == "year" or month == 0 else _MONTHS[month]
        labels.append((int(row), text))
    return labels


def _path(x: Floats, y: Floats) -> str:
    """Path data, tenths of a pixel, relative moves: half the size of absolute ones."""
    px, py = np.round(10 * x).astype(np.int64), np.round(10 * y).astype(np.int64)
    steps = zip((np.diff(px) / 10).tolist(), (np.diff(py) / 10).tolist(), strict=True)
    return f"M{px[0] / 10:g} {py[0] / 10:g}l" + " ".join(f"{dx:g} {dy:g}" for dx, dy in steps)


def _frame(days: Ints, ticks: list[float], at_x: Callable[[Floats], Floats], at_y: Callable[[Floats], Floats],
           text: Callable[[float], str], height: float) -> list[str]:  # fmt: skip
    """Grid and axis labels."""
    parts = []
    for tick in ticks:
        y = float(at_y(np.float64(tick)))  # type: ignore[arg-type]
        css = "zero" if tick == 0.0 else "grid"
        parts.append(f'<line class="{css}" x1="{LEFT:g}" x2="{WIDTH - RIGHT:g}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(
            f'<text class="tick" x="{LEFT - 8:g}" y="{y + 4:.1f}" text-anchor="end">{escape(text(tick))}</text>'
        )
    last = -100.0
    for row, label in date_ticks(days):
        x = float(at_x(np.float64(row)))  # type: ignore[arg-type]
        if x - last < 44.0 or x > WIDTH - RIGHT - 12.0:
            continue
        last = x
        anchor = "start" if x < LEFT + 14.0 else "middle"
        parts.append(f'<text class="tick" x="{x:.1f}" y="{height - 6:g}" text-anchor="{anchor}">{label}</text>')
    return parts


def _triangle(x: float, y: float, css: str, up: bool) -> str:
    size = 5.0 if up else -5.0
    return f'<path class="{css}" d="M{x:.1f} {y:.1f}l-4.5 {size * 1.7:.1f}h9z"/>'


def _hover(days: Ints, rows: Ints, lines: Sequence[Line], x: Floats, form: str) -> str:
    """What the crosshair shows: place, date and values of every drawn row."""
    digits = {"percent": 4, "money": 2}.get(form, 2)
    data = {
        "x": np.round(x, 1).tolist(),
        "d": days[rows].tolist(),
        "v": [[float(f"{value:.{digits}f}") for value in line.values[rows]] for line in lines],
        "n": [line.label for line in lines],
        "c": [line.css for line in lines],
        "f": form,
    }
    return escape(json.dumps(data, separators=(",", ":"), ensure_ascii=False), quote=True)


def _range(lines: Sequence[Line], floor: float | None, ceiling: float | None, log: bool) -> tuple[float, float]:
    """Lowest and highest value of the axis: those of the lines with a little room, but none beyond floor and
    ceiling."""
    low = min(float(line.values.min()) for line in lines)
    high = max(float(line.values.max()) for line in lines)
    if log:
        return low / 1.1, high * 1.1
    low = low if floor is None else min(low, floor)
    high = high if ceiling is None else max(high, ceiling)
    room = 0.04 * (high - low) or abs(high) * 0.05 or 1.0
    return (low if low == floor else low - room), (high if high == ceiling else high + room)


def chart(
    days: Ints,
    lines: Sequence[Line],
    *,
    height: float,
    form: str,
    currency: str = "KRW",
    marks: Sequence[Marks] = (),
    edges: Sequence[int] = (),
    floor: float | None = None,
    ceiling: float | None = None,
    log: bool = False,
    title: str = "",
) -> str:
    """One panel.

    days    (T,) int64 epoch days, for the axis
    lines   drawn in order, the last on top
    form    "percent", "money" or "number"
    edges   rows before which a dashed line stands
    floor, ceiling   where the axis must begin or end, unless a value lies beyond (0 for areas)
    log     equal distances are equal ratios; values must be positive
    """
    size = len(days)
    rows = np.unique(np.concatenate([thin(line.values, points=POINTS // len(lines)) for line in lines]))
    low, high = _range(lines, floor, ceiling, log)
    bottom, top = (np.log(low), np.log(high)) if log else (low, high)

    def at_x(row: Floats) -> Floats:
        return LEFT + (WIDTH - LEFT - RIGHT) * row / max(size - 1, 1)

    def at_y(value: Floats) -> Floats:
        return TOP + (height - TOP - BOTTOM) * (top - (np.log(value) if log else value)) / (top - bottom)

    ticks = log_ticks(low, high) if log else value_ticks(low, high, count=max(2, int(height / 45)))
    parts = _frame(days, ticks, at_x, at_y, _axis_text(form, currency), height)
    x = at_x(rows.astype(np.float64))
    for place in at_x(np.array(edges, np.float64)).tolist():
        parts.append(f'<path class="edge" d="M{place:.1f} {TOP:g}V{height - BOTTOM:g}"/>')
    for line in lines:
        y = at_y(line.values[rows])
        path = _path(x, y)
        if line.area:
            zero = float(at_y(np.float64(0.0)))  # type: ignore[arg-type]
            parts.append(f'<path class="{line.css} area" d="{path}V{zero:.1f}H{x[0]:.1f}z"/>')
        parts.append(f'<path class="{line.css} line" d="{path}"/>')
    for mark in marks:
        places = zip(at_x(mark.rows.astype(np.float64)).tolist(), at_y(mark.values).tolist(), strict=True)
        parts += [_triangle(px, py, mark.css, mark.up) for px, py in places]
    parts.append(f'<line class="cross" y1="{TOP:g}" y2="{height - BOTTOM:g}"/>')
    return (
        f'<svg viewBox="0 0 {WIDTH:g} {height:g}" role="img" aria-label="{escape(title, quote=True)}" '
        f'data-hover="{_hover(days, rows, lines, x, form)}">{"".join(parts)}</svg>'
    )
