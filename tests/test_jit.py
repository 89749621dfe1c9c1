"""The one way quantkit compiles."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np
import pytest

from quantkit.jit import frozen


class Pair(NamedTuple):
    prices: np.ndarray
    rows: np.ndarray


def test_mapped_and_plain_arrays_are_one_type_to_a_kernel(tmp_path: Path) -> None:
    values = np.arange(6.0).reshape(3, 2)
    rows = np.zeros(3, [("day", np.int32)]).view(np.recarray)
    np.save(tmp_path / "values.npy", values)
    mapped = np.load(tmp_path / "values.npy", mmap_mode="r")
    assert numba.typeof(Pair(values, rows)) != numba.typeof(Pair(mapped, rows))
    assert numba.typeof(frozen(Pair(values, rows))) == numba.typeof(frozen(Pair(mapped, rows)))


def test_freezing_copies_nothing_and_leaves_the_original_alone() -> None:
    given = Pair(np.arange(3.0), np.zeros(3, [("day", np.int32)]).view(np.recarray))
    kept = frozen(given)
    assert np.shares_memory(kept.prices, given.prices)
    assert given.prices.flags.writeable
    assert isinstance(kept, Pair)
    assert kept.rows.day.tolist() == [0, 0, 0], "records keep their columns"
    with pytest.raises(ValueError, match="read-only"):
        kept.prices[0] = 1.0
