"""What a fill is worth and costs, and a state's cash, for callers in Python: functions of `core.account`, uncompiled.

Contract: a compiled step can be called by other steps only. These are the same lines run by Python, which the laws of
the fold hold equal to the last bit.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from quantkit.core import account

if TYPE_CHECKING:
    from collections.abc import Callable

    from quantkit.core.state import Record, State


def numbers_of(plan: Record) -> Any:
    """A plan as an object with plain numbers, for these functions: reading a column of a record takes a microsecond."""
    return SimpleNamespace(
        **{name: plan[name].item() if plan[name].ndim == 0 else plan[name] for name in plan.dtype.names}
    )


money = cast("Callable[[float, int, float], int]", getattr(account.money, "py_func", account.money))
"""Value in minor units: of a price, a quantity and the minor units in one unit of price."""

cash_of = cast("Callable[[State], int]", getattr(account.cash_of, "py_func", account.cash_of))
"""All cash of a state, settled or on its way, minor units."""

commission_of = cast(
    "Callable[[Record, int, int], int]", getattr(account.commission_of, "py_func", account.commission_of)
)
"""Commission on one fill: of a plan, a market's id and a value in minor units."""

tax_of = cast("Callable[[Record, float, int], int]", getattr(account.tax_of, "py_func", account.tax_of))
"""Tax on a sale: of a plan, the market's rate and a value in minor units."""
