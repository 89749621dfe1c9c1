"""Fingerprints of a bar: what the journal keeps of the prices and targets a decision was made on, to be found again.

Contract: pure. Two rows with the same print decided on the same bars (`seen_of`), or on the same targets, ranks and
scales (`aims_of`), to the last bit. Prices themselves are kept of names that are held or have orders (`held_of`).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from quantkit.core.state import N_ORDERS
from quantkit.data.bars import TRADED, VALID

if TYPE_CHECKING:
    from quantkit.core.state import Floats, Inputs, State

_SIZE = 8
_PLACES = 4


def seen_of(row: Inputs) -> str:
    """Of one bar's prices, and of which names traded and are valid."""
    return _print(_values(row.open, row.high, row.low, row.close) + (row.flags & (TRADED | VALID)).tobytes())


def aims_of(row: Inputs) -> str:
    """Of one bar's targets, ranks and scales."""
    return _print(_values(row.targets, row.rank, row.scale))


def _values(*columns: Floats) -> bytes:
    """The numbers of some columns, 0 for what is none: the bytes of a NaN are not always the same."""
    values = np.concatenate([column.reshape(-1) for column in columns], dtype=np.float64)
    values[values != values] = 0.0
    return values.tobytes()


def _print(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=_SIZE).hexdigest()


def held_of(symbols: tuple[str, ...], state: State, row: Inputs) -> dict[str, list[float | None]]:
    """[shares with those on their way, open, high, low, close] of names that are held or have orders; a price that is
    not known is None."""
    names = state.names
    owned = names["shares"] + names["due"]
    places = set(owned.nonzero()[0].tolist())
    places.update(state.orders["symbol"][: state.account[N_ORDERS]].tolist())
    found: dict[str, list[float | None]] = {}
    for s in sorted(places):
        prices = (row.open[0, s], row.high[0, s], row.low[0, s], names["last_close"][s])
        found[symbols[s]] = [int(owned[s]), *(None if price != price else float(price) for price in prices)]
    return found
