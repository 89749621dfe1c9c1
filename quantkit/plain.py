"""Values as JSON takes them.

>>> plain({"sharpe": float("nan"), "spans": (1, 2)})
{'sharpe': None, 'spans': [1, 2]}
"""

from __future__ import annotations

import math
from collections.abc import Mapping


def plain(value: object) -> object:
    """Plain values of mappings, sequences and NumPy scalars: null for what is no number; else a value's text."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | range):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    item = getattr(value, "item", None)
    return plain(item()) if callable(item) else str(value)
