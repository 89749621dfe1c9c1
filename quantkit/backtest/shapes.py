"""Small pictures for pages that are not lines over time: histograms, columns, clouds of points, curves, heat maps.

Contract: as `charts`: pure functions from arrays to inline SVG, coloured by the page's style sheet through CSS classes;
a `<title>` in a bar or a point is what the pointer is told. `width` is the picture's own, so that one made for half a
page has letters of the same size as one made for a whole page. Used by `tear_sections` and by the pages of research.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from quantkit.backtest.charts import date_ticks, log_ticks, value_ticks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Axis", "columns", "curve", "heat", "histogram", "scatter", "steps"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
WHOLE, HALF = 1000.0, 600.0
LEFT, RIGHT, TOP, BOTTOM = 64.0, 10.0, 12.0, 26.0


@dataclass(frozen=True, slots=True)
class Axis:
    """Lowest and highest value, how a tick is written, whether equal distances are equal ratios."""

    low: float
    high: float
    text: Callable[[float], str]
    log: bool = False
    label: str = ""

    def place(self, value: Floats | float) -> Floats:
        """Where values lie, 0 to 1."""
        low, high = (np.log(self.low), np.log(self.high)) if self.log else (self.low, self.high)
        at = np.log(value) if self.log else np.asarray(value, np.float64)
        return np.asarray((at - low) / (high - low if high > low else 1.0), np.float64)

    def ticks(self, count: int) -> list[float]:
        """Round values on it."""
        return log_ticks(self.low, self.high) if self.log else value_ticks(self.low, self.high, count=count)


def spanning(values: Floats, text: Callable[[float], str], *, zero: bool = False, log: bool = False,
             label: str = "") -> Axis:  # fmt: skip
    """An axis around values, with a little room; `zero`: 0 is on it."""
    low, high = float(values.min()), float(values.max())
    if log:
        return Axis(low / 1.15, high * 1.15, text, True, label)
    low, high = (min(low, 0.0), max(high, 0.0)) if zero else (low, high)
    room = 0.05 * (high - low) or abs(high) * 0.05 or 1.0
    return Axis(low if zero and low == 0.0 else low - room, high + room, text, False, label)


class _Sheet:
    """One picture being drawn."""

    def __init__(
        self, width: float, height: float, x: Axis, y: Axis, title: str, ticks: Sequence[float] | None = None
    ) -> None:
        self.ticks = ticks
        self.width, self.height, self.x, self.y, self.title = width, height, x, y, title
        self.bottom = BOTTOM + (18.0 if x.label else 0.0)
        self.parts: list[str] = []

    def at(self, x: Floats | float, y: Floats | float) -> tuple[Floats, Floats]:
        """Pixels of values."""
        inner = self.height - TOP - self.bottom
        return LEFT + (self.width - LEFT - RIGHT) * self.x.place(x), TOP + inner * (1.0 - self.y.place(y))

    def frame(self, *, across: bool = True) -> None:
        """Grid, ticks and the label below; `across`: numbers on the x axis too."""
        for tick in self.y.ticks(max(2, int(self.height / 48))) if self.ticks is None else self.ticks:
            y = float(self.at(self.x.low, tick)[1])
            css = "zero" if tick == 0.0 else "grid"
            self.parts.append(f'<path class="{css}" d="M{LEFT:g} {y:.1f}H{self.width - RIGHT:g}"/>')
            self.text(LEFT - 8.0, y + 4.0, self.y.text(tick), anchor="end")
        last = -100.0
        for tick in self.x.ticks(max(2, int(self.width / 90))) if across else ():
            x = float(self.at(tick, self.y.low)[0])
            if x - last >= 52.0:
                last = x
                self.text(x, self.height - self.bottom + 18.0, self.x.text(tick))
        if self.x.label:
            self.text((LEFT + self.width - RIGHT) / 2.0, self.height - 5.0, self.x.label)

    def text(self, x: float, y: float, said: str, *, anchor: str = "middle") -> None:
        """Words in the colour of ticks."""
        self.parts.append(f'<text class="tick" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(said)}</text>')

    def box(self, x0: float, x1: float, value: float, css: str, said: str) -> None:
        """A bar from zero to a value, between two places of the x axis."""
        (left, top), (right, zero) = self.at(x0, value), self.at(x1, max(self.y.low, 0.0))
        wide = max(float(right - left) - 1.0, 0.6)
        self.parts.append(
            f'<path class="{css} fill" d="M{float(left):.1f} {float(zero):.1f}V{float(top):.1f}h{wide:.1f}'
            f'V{float(zero):.1f}z"><title>{escape(said)}</title></path>'
        )

    def path(self, x: Floats, y: Floats, css: str) -> None:
        """A line."""
        px, py = self.at(x, y)
        steps = " ".join(f"{a:.1f} {b:.1f}" for a, b in zip(px, py, strict=True))
        self.parts.append(f'<path class="{css} line" d="M{steps}"/>')

    def upright(self, x: float, css: str, said: str) -> None:
        """A dashed line at a value, with words beside it."""
        px = float(self.at(x, self.y.low)[0])
        self.parts.append(f'<path class="{css} line dash" d="M{px:.1f} {TOP:g}V{self.height - self.bottom:.1f}"/>')
        late = px > self.width * 0.7
        self.text(px - 6.0 if late else px + 6.0, TOP + 10.0, said, anchor="end" if late else "start")

    def done(self, css: str = "") -> str:
        """The SVG."""
        kind = f' class="{css}"' if css else ""
        return (
            f'<svg{kind} viewBox="0 0 {self.width:g} {self.height:g}" role="img" '
            f'aria-label="{escape(self.title, quote=True)}">{"".join(self.parts)}</svg>'
        )


def _css(width: float) -> str:
    return "half" if width < WHOLE else ""


def histogram(
    edges: Floats, counts: Ints, *, text: Callable[[float], str], curve: Floats | None = None,
    mark: tuple[float, str] | None = None, width: float = HALF, height: float = 280.0, title: str = "",
) -> str:  # fmt: skip
    """Counts between edges; curve (2, P) drawn over them; mark: a value and its words."""
    top = float(max(counts.max(), curve[1].max() if curve is not None else 0.0))
    y = Axis(0.0, (1.06 if mark is None else 1.16) * top, lambda value: f"{value:,.0f}")
    sheet = _Sheet(width, height, Axis(float(edges[0]), float(edges[-1]), text), y, title)
    sheet.frame()
    for low, high, count in zip(edges[:-1].tolist(), edges[1:].tolist(), counts.tolist(), strict=True):
        if count:
            sheet.box(low, high, float(count), "ours", f"{text(low)} to {text(high)}: {count:,}")
    if curve is not None:
        sheet.path(curve[0], curve[1], "price")
    if mark is not None:
        sheet.upright(mark[0], "drop", mark[1])
    return sheet.done(_css(width))


def columns(
    days: Ints, values: Floats, *, text: Callable[[float], str], css: str = "names", width: float = WHOLE,
    height: float = 130.0, title: str = "",
) -> str:  # fmt: skip
    """One bar a date, evenly spaced; days (M,) epoch days of the first of each."""
    y = spanning(values, text, zero=True)
    sheet = _Sheet(width, height, Axis(0.0, float(len(values)), str), y, title)
    sheet.frame(across=False)
    last = -100.0
    for row, label in date_ticks(days):
        x = float(sheet.at(row + 0.5, 0.0)[0])
        if x - last >= 44.0:
            last = x
            sheet.text(x, height - 6.0, label)
    months = days.astype("datetime64[D]").astype("datetime64[M]")
    for k, value in enumerate(values.tolist()):
        if value:
            sheet.box(k + 0.08, k + 0.92, value, css, f"{months[k]}: {text(value)}")
    return sheet.done(_css(width))


def steps(
    days: Ints, values: Floats, *, text: Callable[[float], str], ticks: Sequence[float] | None = None,
    width: float = WHOLE, height: float = 120.0, title: str = "",
) -> str:  # fmt: skip
    """One level piece a date, evenly spaced; NaN leaves a gap. ticks: values that the axis names, and reaches over."""
    known = values[np.isfinite(values)] if ticks is None else np.array(ticks, np.float64)
    sheet = _Sheet(width, height, Axis(0.0, float(len(values)), str), spanning(known, text), title, ticks)
    sheet.frame(across=False)
    dates, last = days.astype("datetime64[D]"), -100.0
    for k, value in enumerate(values.tolist()):
        x0, x1 = (float(sheet.at(place, sheet.y.low)[0]) for place in (k, k + 1))
        if x0 - last >= 64.0:
            last = x0
            sheet.text(x0, height - 6.0, str(dates[k])[:7], anchor="start")
        if np.isfinite(value):
            y = float(sheet.at(k, value)[1])
            words = escape(f"from {dates[k]}: {text(value)}")
            sheet.parts.append(
                f'<path class="ours line thick" d="M{x0 + 2:.1f} {y:.1f}H{x1 - 2:.1f}"><title>{words}</title></path>'
            )
    return sheet.done(_css(width))


def scatter(
    x: Floats, y: Floats, *, x_text: Callable[[float], str], y_text: Callable[[float], str], label: str = "",
    line: tuple[float, float] | None = None, said: Sequence[str] | None = None, most: int = 1500,
    width: float = HALF, height: float = 320.0, title: str = "",
) -> str:  # fmt: skip
    """Points, at most `most` (evenly taken); line (intercept, slope); said: words of each point."""
    sheet = _Sheet(width, height, spanning(x, x_text, label=label), spanning(y, y_text), title)
    sheet.frame()
    rows = np.unique(np.linspace(0, len(x) - 1, min(len(x), most)).astype(np.int64))
    px, py = sheet.at(x[rows], y[rows])
    dots = [(f"{a:.1f}", f"{b:.1f}") for a, b in zip(px.tolist(), py.tolist(), strict=True)]
    if said is None:  # one path for all: a third of the size of circles
        sheet.parts.append(f'<path class="ours dots" d="{"".join(f"M{a} {b}h0" for a, b in dots)}"/>')
    else:
        for k, (a, b) in zip(rows.tolist(), dots, strict=True):
            words = escape(said[k])
            sheet.parts.append(f'<path class="ours dots big" d="M{a} {b}h0"><title>{words}</title></path>')
    if line is not None:
        ends = np.array([x.min(), x.max()])
        sheet.path(ends, line[0] + line[1] * ends, "price")
    return sheet.done(_css(width))


def curve(
    x: Floats, lines: Sequence[tuple[Floats, str]], *, x_text: Callable[[float], str],
    y_text: Callable[[float], str], log_x: bool = False, label: str = "", mark: tuple[float, str] | None = None,
    width: float = WHOLE, height: float = 260.0, title: str = "",
) -> str:  # fmt: skip
    """Lines through points over numbers; lines are ((P,) values, CSS class)."""
    together = np.concatenate([values for values, _ in lines])
    y = spanning(together, y_text)
    sheet = _Sheet(width, height, spanning(x, x_text, log=log_x, label=label), y, title)
    sheet.frame()
    for values, css in lines:
        sheet.path(x, values, css)
        for at, value in zip(x.tolist(), values.tolist(), strict=True):
            px, py = (float(place) for place in sheet.at(at, value))
            words = escape(f"{x_text(at)}: {y_text(value)}")
            sheet.parts.append(f'<path class="{css} dots big" d="M{px:.1f} {py:.1f}h0"><title>{words}</title></path>')
    if mark is not None:
        sheet.upright(mark[0], "drop", mark[1])
    return sheet.done(_css(width))


def heat(
    values: Floats, xs: Sequence[str], ys: Sequence[str], *, text: Callable[[float], str], x_label: str, y_label: str,
    best: tuple[int, int] | None = None, width: float = HALF, title: str = "",
) -> str:  # fmt: skip
    """A table of colours: values (Y, X), the first row at the bottom; NaN cells stay empty, the best one is framed."""
    rows, cols = values.shape
    left, right, top, bottom = 74.0, 10.0, 10.0, 44.0
    wide = (width - left - right) / cols
    tall = min(max(280.0 / rows, 5.0), 34.0)
    height = top + bottom + tall * rows
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    parts = []
    for (row, col), value in np.ndenumerate(values):
        if np.isfinite(value):
            part = (value - low) / (high - low) if high > low else 0.5
            place = f'x="{left + col * wide:.1f}" y="{top + (rows - 1 - row) * tall:.1f}"'
            said = escape(f"{x_label} {xs[col]}, {y_label} {ys[row]}: {text(float(value))}")
            tint = f"fill:color-mix(in srgb,var(--ours) {100 * part:.0f}%,var(--cold))"
            frame = ' class="best"' if best == (row, col) else ""
            parts.append(
                f'<rect{frame} {place} width="{wide + 0.3:.1f}" height="{tall + 0.3:.1f}" style="{tint}">'
                f"<title>{said}</title></rect>"
            )
    if best is not None:  # again, over its neighbours
        x, y = left + best[1] * wide, top + (rows - 1 - best[0]) * tall
        parts.append(f'<path class="best" d="M{x:.1f} {y:.1f}h{wide:.1f}v{tall:.1f}h{-wide:.1f}z"/>')
    middle = top + tall * rows / 2.0
    every_x, every_y = max(1, int(np.ceil(44.0 / wide))), max(1, int(np.ceil(16.0 / tall)))
    parts += [_word(left + (k + 0.5) * wide, height - bottom + 17.0, xs[k], "middle") for k in range(0, cols, every_x)]
    parts += [_word(left - 8.0, top + (rows - 0.5 - k) * tall + 4.0, ys[k], "end") for k in range(0, rows, every_y)]
    parts.append(_word(left + (width - left - right) / 2.0, height - 8.0, x_label, "middle"))
    parts.append(
        f'<text class="tick" x="14" y="{middle:.1f}" text-anchor="middle" transform="rotate(-90 14 {middle:.1f})">'
        f"{escape(y_label)}</text>"
    )
    kind = f' class="{_css(width)}"' if _css(width) else ""
    return (
        f'<svg{kind} viewBox="0 0 {width:g} {height:.0f}" role="img" aria-label="{escape(title, quote=True)}">'
        f"{''.join(parts)}</svg>"
    )


def _word(x: float, y: float, said: str, anchor: str) -> str:
    return f'<text class="tick" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(said)}</text>'
