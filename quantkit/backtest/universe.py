"""The universe a strategy asks for, as members of the bars it runs on.

Contract: nothing is dropped from the panel; names outside only lose `bars.member`, so a position in one is sold. A
query is judged on data before each bar (see `data.universe`). Bars whose members somebody has narrowed already, as a
lake does that was given the query and sees more history than the panel holds, are taken as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from quantkit.core.prepare import has_universe
from quantkit.errors import BadData, ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from quantkit.data.bars import Bars
    from quantkit.strategy import Strategy


def in_universe(bars: Bars, strategy: Strategy) -> Bars:
    """Bars with the strategy's universe as members; ConfigError for one that names no symbol of the panel."""
    universe = strategy.universe
    if universe is None or has_universe(bars.flags):
        return bars
    if callable(universe):
        member = np.asarray(universe(bars))
        if member.shape != bars.shape or member.dtype != np.bool_:
            raise BadData(f"{strategy.name}.universe gave {member.dtype} {member.shape}; expected bool {bars.shape}")
        return bars.with_member(member)
    if isinstance(universe, str):
        return bars.with_member(_queried(universe, bars))
    wanted = list(universe)
    inside = np.isin(bars.symbols, wanted)
    if not inside.any():
        raise ConfigError(f"{strategy.name}.universe = {wanted[:5]}: none of them is in the bars {bars!r}")
    return bars.with_member(np.broadcast_to(inside, bars.shape).copy())


def _queried(query: str, bars: Bars) -> NDArray[np.bool_]:
    from quantkit.data.universe import members

    def markets(symbol: str, days: NDArray[np.int64]) -> list[str | None]:
        found: list[str | None] = [bars.markets[bars.symbols.index(symbol)]] * len(days)
        for day, name, market in bars.market_changes:
            if name == symbol:
                found[int(np.searchsorted(days, day)) :] = [market] * (len(days) - int(np.searchsorted(days, day)))
        return found

    return members(
        query,
        symbols=bars.symbols,
        days=bars.days,
        flags=bars.flags,
        field=lambda name: bars.value if name == "value" else bars.field(name),
        listed_before=np.zeros(len(bars.symbols), np.int64),
        names=bars.names,
        markets=markets,
    )
