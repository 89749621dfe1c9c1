"""A strategy's universe becomes members of its bars, whatever form it has."""

from __future__ import annotations

import numpy as np
import pytest

from quantkit.backtest.run import backtest
from quantkit.data.bars import Bars
from quantkit.errors import BadData, ConfigError
from quantkit.market.costs import Costs
from quantkit.strategy import Strategy
from tests.backtest.test_run import bars_of


class Everything(Strategy):
    """In whatever it may be in."""

    def targets(self, bars: Bars) -> np.ndarray:
        return np.ones(bars.shape, bool)


def bought(universe: object, bars: Bars) -> list[tuple[int, int, int]]:
    strategy = type("Picky", (Everything,), {"universe": universe, "__module__": __name__})()
    fills = backtest(strategy, bars, costs=Costs.free(), cash=10_000_000).run.fills
    return [
        (int(bar), int(symbol), int(side))
        for bar, symbol, side in zip(fills["bar"], fills["symbol"], fills["side"], strict=False)
    ]


def test_a_list_of_symbols_leaves_the_others_out() -> None:
    assert bought(("000660",), bars_of()) == [(1, 1, 1)]


def test_a_query_is_judged_on_the_bar_before() -> None:
    # 005930 closes at 50,000 + 100 a day: above 51,000 from bar 11 on, so a member from bar 12, bought on bar 13
    assert bought("symbol = '005930' and close > 51000", bars_of()) == [(13, 0, 1)]


def test_a_name_that_leaves_the_universe_is_sold() -> None:
    assert bought("symbol = '005930' and close < 51000", bars_of()) == [(2, 0, 1), (12, 0, -1)]


def test_a_callable_gives_members_itself_and_is_checked() -> None:
    def second_only(bars: Bars) -> np.ndarray:
        member = np.zeros(bars.shape, bool)
        member[:, 1] = True
        return member

    assert bought(staticmethod(second_only), bars_of()) == [(1, 1, 1)]
    with pytest.raises(BadData, match="expected bool"):
        bought(staticmethod(lambda bars: np.ones(3)), bars_of())


def test_members_that_the_bars_already_carry_are_kept() -> None:
    bars = bars_of()
    member = np.zeros(bars.shape, bool)
    member[:, 1] = True
    assert bought(("005930",), bars.with_member(member)) == [(1, 1, 1)]


def test_a_universe_without_a_symbol_of_the_bars_is_refused() -> None:
    with pytest.raises(ConfigError, match="none of them"):
        bought(("123456",), bars_of())
