"""Panels a strategy is asked about again: with other days to come, without names nobody knew yet.

Contract: rows before `row` are those of the whole to the last bit, prices, volumes, flags and reference prices alike;
the rest is invented from a seed. Every altered panel forgets its data version, so that nothing kept for the stored data
is used for it. (Panels cut short are `data.windows.known_at`.)

    apart    from `row` on each name is 60 % higher or 40 % lower, as a coin says, with 5 times or a fifth of the volume
    mirror   the same with every coin turned over
    noise    every later bar has its own factor
    gone     from `row` on a part of the names is delisted
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from quantkit.data.windows import known_at, with_fields

if TYPE_CHECKING:
    from quantkit.data.bars import Bars, BoolArray, FloatArray

PRICES = ("open", "high", "low", "close", "base", "market_cap")
AMOUNTS = ("volume", "value", "shares")

_UP, _DOWN = 1.6, 0.6


def changed(bars: Bars, row: int, how: str, *, seed: int, rows: int | None = None) -> Bars:
    """The panel with other bars from `row` on, or only `rows` of them. how: see the module's table."""
    stop = len(bars) if rows is None else min(row + rows, len(bars))
    random = np.random.default_rng([seed, row])
    names = bars.shape[1]
    coin = random.random(names) < 0.5
    if how == "gone":
        return _without(bars, row, stop, coin if coin.any() and not coin.all() else np.arange(names) == row % names)
    if how == "noise":
        price = np.exp(random.normal(0.0, 0.25, (stop - row, names)))
        amount = np.exp(random.normal(0.0, 1.0, (stop - row, names)))
    else:
        up = coin if how == "apart" else ~coin
        price, amount = np.where(up, _UP, _DOWN), np.where(up, 5.0, 0.2)
    fields = {name: _scaled(bars.field(name), row, stop, price) for name in PRICES if bars.has(name)}
    fields |= {name: _scaled(bars.field(name), row, stop, amount) for name in AMOUNTS if bars.has(name)}
    return with_fields(bars, fields, bars.flags)


def _scaled(values: FloatArray, row: int, stop: int, factor: FloatArray) -> FloatArray:
    out = values.copy()
    out[row:stop] *= factor
    return out


def _without(bars: Bars, row: int, stop: int, gone: BoolArray) -> Bars:
    """Some names delisted from `row` on."""
    fields = {}
    for name in (*PRICES, *AMOUNTS):
        if bars.has(name):
            fields[name] = bars.field(name).copy()
            fields[name][row:stop, gone] = np.nan
    flags = bars.flags.copy()
    flags[row:stop, gone] = 0
    return with_fields(bars, fields, flags)


def without_later_names(bars: Bars, stop: int) -> Bars | None:
    """Rows before `stop` without the columns of names that are listed only later; None where there are none."""
    part = known_at(bars, stop)
    known = np.asarray(part.listed.any(axis=0), np.bool_)
    if known.all() or not known.any():
        return None
    return part.select([symbol for symbol, one in zip(bars.symbols, known.tolist(), strict=True) if one])
