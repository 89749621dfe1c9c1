"""What `Context` gives where a rule asks for a cell: `ctx.close[k, s]`, `ctx.position[s]`, `ctx.state.last`.

Contract: views of the run's own arrays, read when asked; the answers are those of compiled code (`reading`). A cell
that does not exist is a RuleError.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from quantkit.core.interface import Context


class Cells:
    """A column over time: `[k, s]`."""

    def __init__(self, ctx: Context, values: Any, factor: Any, *, shares: bool = False) -> None:
        self._ctx, self._values, self._factor, self._shares = ctx, values, factor, shares

    def __getitem__(self, place: tuple[int, int]) -> Any:
        if not isinstance(place, tuple):
            raise TypeError("a price takes how many bars back and which name, as in ctx.close[0, s]")
        k, s = place
        self._ctx._check(k, s)
        row = self._ctx._row()
        value = self._values[row - k, s]
        if len(self._factor) == 0 or k == 0:
            return value
        then, today = self._factor[row - k, s], self._factor[row, s]
        if then == today:
            return value
        return value * today / then if self._shares else value * then / today


class Signal:
    """One column of `prepare`: `[s]`."""

    def __init__(self, ctx: Context, values: Any) -> None:
        self._ctx, self._values = ctx, values

    def __getitem__(self, s: int) -> Any:
        from quantkit.core.context import NOW_ROW

        self._ctx._check(0, s)
        return self._values[self._ctx._frame.now[NOW_ROW], s]


class Flags:
    """A yes or no for each name."""

    def __init__(self, ctx: Context, bit: int) -> None:
        self._ctx, self._bit = ctx, bit

    def __getitem__(self, s: int) -> bool:
        from quantkit.core.context import NOW_ROW

        self._ctx._check(0, s)
        frame = self._ctx._frame
        return bool(frame.inputs.flags[frame.now[NOW_ROW], s] & self._bit)


class Factor:
    """The forward price factor of each name today."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    def __getitem__(self, s: int) -> Any:
        self._ctx._check(0, s)
        factor = self._ctx._frame.past.factor
        return factor[self._ctx._row(), s] if len(factor) else np.float64(1.0)


class Held:
    """A number about what is held of each name."""

    def __init__(self, ctx: Context, what: str) -> None:
        self._ctx, self._what = ctx, what

    def __getitem__(self, s: int) -> Any:
        self._ctx._check(0, s)
        frame = self._ctx._frame
        row = frame.state.names[s]
        if self._what == "shares":
            return row["shares"]
        if row["shares"] == 0:
            return np.float64(np.nan)
        return row["entry_value"] / row["entry_qty"] / frame.plan["unit"]


class PerName:
    """A record for each name."""

    def __init__(self, ctx: Context, rows: Any) -> None:
        self._ctx, self._rows = ctx, rows

    def __getitem__(self, s: int) -> Any:
        self._ctx._check(0, s)
        return Record(self._rows[s])


class Record:
    """A declared record: its fields as attributes, whatever their names."""

    __slots__ = ("_row",)

    def __init__(self, row: Any) -> None:
        object.__setattr__(self, "_row", row)

    def __getattr__(self, name: str) -> Any:
        if name not in self._row.dtype.names:
            raise AttributeError(f"no field {name!r}; it has {', '.join(self._row.dtype.names)}")
        return self._row[name]

    def __setattr__(self, name: str, value: Any) -> None:
        getattr(self, name)
        self._row[name] = value
