"""The universe a strategy asks for, as members of the bars it runs on.

Contract: nothing is dropped from the panel; names outside only lose `bars.member`, so a position in one is sold. A
query is judged on data before each bar (see `data.universe`). Bars whose members somebody has narrowed already, as a
lake does that was given the query and sees more history than the panel holds, are taken as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from quantkit.core.prepare import has_universe
from quantkit.errors import BadData, ConfigError
from quantkit.strategy.blocks import history_of, in_blocks

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from quantkit.core.state import Ints
    from quantkit.data.bars import Bars
    from quantkit.strategy import Strategy


def in_universe(bars: Bars, strategy: Strategy) -> Bars:
    """Bars with the strategy's universe as members; ConfigError for one that names no symbol of the panel."""
    member = members_from(bars, strategy)
    return bars if member is None else bars.with_member(member)


def history_needed(strategy: Strategy) -> int:
    """Bars before a row that its membership looks at, besides the strategy's own history."""
    from quantkit.data.universe import columns_of

    return columns_of(strategy.universe)[1] if isinstance(strategy.universe, str) else 0


def members_from(
    bars: Bars, strategy: Strategy, *, first: int = 0, listed_before: Ints | None = None
) -> NDArray[np.bool_] | None:
    """(R, N) membership of rows `first` on, the rows before being history; None where there is nothing to narrow.

    listed_before: (N,) listed bars of each name before the first row, in a piece of a longer panel.
    """
    universe = strategy.universe
    if universe is None or has_universe(bars.flags):
        return None
    if callable(universe):
        history = history_of(strategy, intraday=bars.intraday)
        found = in_blocks(lambda part: _called(universe, part, strategy), bars, history, first=first)
        return np.zeros((0, len(bars.symbols)), np.bool_) if found is None else found
    if isinstance(universe, str):
        return _queried(universe, bars, listed_before)[first:]
    wanted = list(universe)
    inside = np.isin(bars.symbols, wanted)
    if not inside.any():
        raise ConfigError(f"{strategy.name}.universe = {wanted[:5]}: none of them is in the bars {bars!r}")
    return np.broadcast_to(inside, (len(bars) - first, len(inside))).copy()


def _called(universe: Callable[[Bars], Any], bars: Bars, strategy: Strategy) -> NDArray[np.bool_]:
    member = np.asarray(universe(bars))
    if member.shape != bars.shape or member.dtype != np.bool_:
        raise BadData(f"{strategy.name}.universe gave {member.dtype} {member.shape}; expected bool {bars.shape}")
    return member


def _queried(query: str, bars: Bars, listed_before: Ints | None) -> NDArray[np.bool_]:
    from quantkit.data.universe import members

    def markets(symbol: str, days: NDArray[np.int64]) -> list[str | None]:
        found: list[str | None] = [bars.markets[bars.symbols.index(symbol)]] * len(days)
        for day, name, market in bars.market_changes:
            if name == symbol:
                found[int(np.searchsorted(days, day)) :] = [market] * (len(days) - int(np.searchsorted(days, day)))
        return found

    def number(name: str) -> NDArray[np.float64]:
        if name == "value":
            return bars.value
        return bars.feature(name) if not bars.has(name) and name in bars.features else bars.field(name)

    return members(
        query,
        symbols=bars.symbols,
        days=bars.days,
        flags=bars.flags,
        field=number,
        features=bars.features,
        feature=bars.feature,
        listed_before=np.zeros(len(bars.symbols), np.int64) if listed_before is None else listed_before,
        names=bars.names,
        markets=markets,
    )
