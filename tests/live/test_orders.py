"""What would be sent next is what the backtest goes on to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import quantkit as qk
from quantkit import Bars, Policy, Strategy
from quantkit.core.policy import RiskLimits
from quantkit.errors import BadData, ConfigError
from quantkit.live.orders import NextOrders, Watched, next_orders
from tests.backtest.factories import random_bars

COUNT, NAMES, CASH = 60, 4, 10_000_000
BARS = random_bars(COUNT, NAMES)


class Rises(Strategy):
    """Hold what closed higher than three bars before."""

    policy = Policy(weighting="equal", funding="cash")
    warmup = 3

    def targets(self, bars: Bars) -> np.ndarray:
        before = np.vstack([np.full((3, bars.shape[1]), np.inf), bars.close[:-3]])[: len(bars)]
        return bars.close > before


class Weighs(Rises):
    """The same by weights that move."""

    def targets(self, bars: Bars) -> np.ndarray:  # type: ignore[override]
        return np.where(super().targets(bars), 0.1 + 0.1 * (np.arange(len(bars)) % 2)[:, None], 0.0)


class Ladder(Strategy):
    """Buy at a limit under the close, sell with a stop."""

    def on_bar(self, ctx: Any) -> None:
        for s in range(ctx.n):
            if ctx.position[s] == 0 and len(ctx.orders(s)) == 0:
                ctx.buy(s, 10, limit=ctx.close[0, s] * 0.8, tag=7)


def following(strategy: Strategy, cut: int, **given: Any) -> pd.DataFrame:
    """The orders that the backtest filled at the open (the close) of the bar after the cut, and its stops on it."""
    result = qk.backtest(strategy, BARS.slice(0, cut + 1), **({"cash": CASH} | given))
    fills = result.fills
    rules = ("close" if given.get("fill") == "next_close" else "open", *STOPS)
    return fills[(fills["time"] == BARS.index[cut]) & fills["rule"].isin(rules)]


def shown(found: NextOrders) -> list[tuple[str, str, int]]:
    return sorted((one.symbol, one.side, one.quantity) for one in found.orders)


STOPS = ("stop_loss", "stop_loss_gap", "trailing_stop", "trailing_stop_gap", "take_profit", "take_profit_gap")


def _met(watched: Watched, fill: dict[str, Any], cut: int) -> None:
    """A stop that filled on the bar of row `cut` was watched for at a price that the bar met; a trailing stop may
    have moved up with it."""
    s = BARS.symbols.index(fill["symbol"])
    if fill["rule"].startswith("take_profit"):
        assert watched.above is not None
        assert BARS.raw.high[cut, s] >= watched.above
    else:
        assert watched.below is not None
        assert fill["rule"].startswith("trailing_stop") or BARS.raw.low[cut, s] <= watched.below


def as_rows(fills: pd.DataFrame) -> list[tuple[str, str, int]]:
    return sorted(zip(fills["symbol"], fills["side"], fills["quantity"], strict=True))


@settings(max_examples=40, deadline=None)
@given(
    cut=st.integers(5, COUNT - 1), kind=st.sampled_from([Rises, Weighs]),
    fill=st.sampled_from(["next_open", "next_close"]),
    rebalance=st.sampled_from(["change", "week", 4]), cap=st.sampled_from([None, 2]), retry=st.booleans(),
    holding=st.sampled_from([None, 4]), stop=st.sampled_from([None, 0.02]), trail=st.sampled_from([None, 0.03]),
    take=st.sampled_from([None, 0.02]), limit=st.sampled_from([None, 0.15]), cash=st.sampled_from([CASH, 300_000]),
)  # fmt: skip
def test_the_orders_are_the_fills_of_the_next_bar(
    cut: int, kind: type[Strategy], fill: str, rebalance: Any, cap: int | None, retry: bool, holding: int | None,
    stop: float | None, trail: float | None, take: float | None, limit: float | None, cash: int,
) -> None:  # fmt: skip
    """With funding="cash" and opens inside the collar, nothing but the window lies between the two; what a stop sells
    on that bar was watched for, at a price that the bar met."""
    policy = Policy(weighting="equal" if kind is Rises else "weight", funding="cash", rebalance=rebalance,
                    max_names=cap, retry=retry, max_holding=holding, stop_loss=stop, trailing_stop=trail,
                    take_profit=take)  # fmt: skip
    limits = None if limit is None else RiskLimits(max_weight=limit)
    terms: dict[str, Any] = {"policy": policy, "fill": fill, "limits": limits, "cash": cash}
    found = next_orders(kind(), BARS.slice(0, cut), **terms)
    bar = following(kind(), cut, **terms)
    stopped = bar["rule"].isin(STOPS)
    watched = {one.symbol: one for one in found.watched}
    for fill_of in bar[stopped].to_dict("records"):
        if fill_of["symbol"] in watched:
            _met(watched[fill_of["symbol"]], fill_of, cut)
        else:  # bought on that very bar, at a price nobody knows before
            assert (fill_of["symbol"], "buy", fill_of["quantity"]) in shown(found)
    fills = bar[~stopped]
    gone = set(bar[stopped]["symbol"]) if fill == "next_close" else set()  # sold in the session, before its close
    left = [one for one in found.orders if one.symbol not in gone]
    assert sorted((one.symbol, one.side, one.quantity) for one in left) == as_rows(fills[~fills["symbol"].isin(gone)])
    prices = dict(zip(fills["symbol"], fills["price"], strict=True))
    for one in left:
        assert one.limit is not None
        assert (one.limit - prices[one.symbol]) * (1 if one.side == "buy" else -1) >= 0
        assert one.value == one.quantity * BARS.raw.close[cut - 1, BARS.symbols.index(one.symbol)]


def test_equity_cash_and_holdings_are_those_of_the_backtest() -> None:
    result = qk.backtest(Rises(), BARS.slice(0, 30), cash=CASH)
    found = next_orders(Rises(), BARS.slice(0, 30), cash=CASH)
    assert found.equity == result.equity.iloc[-1]
    assert found.cash == result.run.cash[-1]
    held = {one.symbol: one.shares for one in found.holdings}
    assert held == {name: count for name, count in result.positions.iloc[-1].items() if count}
    assert found.account == "simulated from 2018-01-02"


def test_the_session_and_its_hours_are_the_calendar_s() -> None:
    def after(day: str, **given: Any) -> NextOrders:
        row = int(np.searchsorted(bars.days, np.datetime64(day, "D").astype(np.int64), side="right"))
        return next_orders(Rises(), bars.slice(0, row), cash=CASH, **given)

    bars = random_bars(300, 2)
    usual = after("2018-02-14")  # the new year holidays follow, then a weekend
    assert (usual.session, usual.phase, usual.last_bar) == ("2018-02-19", "opening_auction", "2018-02-14")
    exam = after("2018-11-14")
    assert (exam.session, exam.closes) == ("2018-11-15", "09:59")
    late = after("2018-11-14", fill="next_close")
    assert (late.phase, late.opens, late.closes) == ("closing_auction", "16:20", "16:29")


def test_inside_a_session_the_window_is_the_continuous_one_until_its_last_bar() -> None:
    bars = random_bars(13, 2, freq="5m")
    inside, over = (next_orders(Rises(), bars.slice(0, stop), cash=CASH) for stop in (9, 12))
    assert (inside.session, inside.phase) == (str(bars.index[8])[:10], "continuous")
    assert over.phase in ("opening_auction", "continuous")
    assert inside.last_bar == str(bars.index[8])[:16]


def test_what_was_cut_or_dropped_says_why() -> None:
    """With 300,000 won of which a name takes a quarter, dear names are cut; a limit on orders drops what is larger."""
    limits = RiskLimits(max_order_value=100_000)
    lost = [
        one for cut in range(5, 40)
        for one in next_orders(Rises(), BARS.slice(0, cut), cash=CASH, limits=limits).dropped
    ]  # fmt: skip
    assert {one.reason for one in lost} == {"ORDER_TOO_LARGE"}
    assert all(one.filled == 0 and one.quantity > 0 for one in lost)


def test_a_buy_that_the_cash_does_not_cover_at_its_limit_is_cut_and_says_so() -> None:
    policy = Policy(weighting="equal", funding="cash", cash_buffer=0.0, gross=1.0)
    cuts = [one for cut in range(5, COUNT) for one in
            next_orders(Rises(), BARS.slice(0, cut), cash=CASH, policy=policy).orders if one.cut]  # fmt: skip
    assert cuts
    assert all(one.cut.endswith("INSUFFICIENT_CASH") for one in cuts)


def test_with_proceeds_a_note_says_when_buys_need_more_than_there_is() -> None:
    policy = Policy(weighting="equal", gross=1.0)
    told = [next_orders(Rises(), BARS.slice(0, cut), cash=CASH, policy=policy).notes for cut in range(5, 40)]
    assert any(notes and "the sales would bring" in notes[0] for notes in told)


def test_reasons_name_target_rebalance_and_max_holding() -> None:
    def reasons(strategy: Strategy, **policy: Any) -> set[str]:
        given = Policy(weighting="equal" if isinstance(strategy, Rises) and type(strategy) is Rises else "weight",
                       funding="cash", **policy)  # fmt: skip
        return {one.reason.split(":")[0].split(",")[0] for cut in range(5, COUNT)
                for one in next_orders(strategy, BARS.slice(0, cut), cash=CASH, policy=given).orders}  # fmt: skip

    assert "target changed" in reasons(Rises())
    assert "rebalance" in reasons(Rises(), rebalance=3)
    assert "held for max_holding = 3 bars" in reasons(Rises(), max_holding=3)


def test_stops_are_watched_and_own_orders_are_sent_at_their_limit() -> None:
    stopped = next_orders(Rises(), BARS.slice(0, 30), cash=CASH, policy=Policy(weighting="equal", stop_loss=0.05))
    assert {one.symbol for one in stopped.watched} == {one.symbol for one in stopped.holdings}
    assert all(one.below is not None and one.above is None for one in stopped.watched)
    own = next_orders(Ladder(), BARS.slice(0, 30), cash=CASH)
    assert own.orders
    assert {(one.reason, one.phase, one.quantity, one.opens, one.closes) for one in own.orders} == {
        ("own order of on_bar, tag 7", "session", 10, "08:00", "15:20")}  # fmt: skip
    assert all(one.limit is not None and one.limit < one.reference for one in own.orders)


# --- a real account ---------------------------------------------------------------------------------------------------


def test_an_account_that_is_the_simulated_one_is_sent_the_same_orders() -> None:
    same = 0
    for cut in range(6, COUNT):
        bars = BARS.slice(0, cut)
        expected = next_orders(Rises(), bars, cash=CASH)
        held: dict[str, tuple[int, float | None]] = {one.symbol: (one.shares, None) for one in expected.holdings}
        found = next_orders(Rises(), bars, cash=expected.cash, holdings=held)
        assert found.equity == expected.equity
        assert [one[:2] for one in shown(found)] == [one[:2] for one in shown(expected)] or expected.dropped
        same += shown(found) == shown(expected)
    assert same > 0.8 * (COUNT - 6)


def test_what_is_not_wanted_is_sold_and_what_is_wanted_is_bought() -> None:
    wanted = Rises().evaluate(BARS)[29]
    out, into = BARS.symbols[int(np.flatnonzero(~wanted)[0])], BARS.symbols[int(np.flatnonzero(wanted)[0])]
    found = next_orders(Rises(), BARS.slice(0, 30), cash=CASH, holdings={out: (7, 50_000.0), "999999": (5, None)})
    orders = {one.symbol: one for one in found.orders}
    assert (orders[out].side, orders[out].quantity) == ("sell", 7)
    assert orders[into].side == "buy"
    assert orders[into].quantity > 0
    assert found.account == "as given"
    assert any(note.startswith("999999: not among the bars") for note in found.notes)


def test_what_is_held_and_wanted_is_left_alone() -> None:
    targets = Rises().evaluate(BARS)
    row = next(row for row in range(10, COUNT) if (targets[row] & targets[row - 1]).any())
    s = int(np.flatnonzero(targets[row] & targets[row - 1])[0])
    found = next_orders(Rises(), BARS.slice(0, row + 1), cash=CASH, holdings={BARS.symbols[s]: (3, None)})
    assert BARS.symbols[s] not in {one.symbol for one in found.orders}


def test_the_average_price_is_what_a_stop_counts_from() -> None:
    targets = Rises().evaluate(BARS)
    row = next(row for row in range(10, COUNT) if (targets[row] & targets[row - 1]).any())
    symbol = BARS.symbols[int(np.flatnonzero(targets[row] & targets[row - 1])[0])]
    policy = Policy(weighting="equal", stop_loss=0.1, max_holding=50)
    found = next_orders(Rises(), BARS.slice(0, row + 1), cash=CASH, policy=policy, holdings={symbol: (3, 10_000.0)})
    assert found.watched[0].below == pytest.approx(9_000.0)
    assert any("max_holding" in note for note in found.notes)


# --- complaints -------------------------------------------------------------------------------------------------------


def test_what_cannot_be_sent_is_refused() -> None:
    for fill in ("close", "next_bar_vwap"):
        with pytest.raises(ConfigError, match="no order can be sent"):
            next_orders(Rises(), BARS, fill=fill)
    with pytest.raises(ConfigError, match="leave the holdings out"):
        next_orders(Ladder(), BARS, holdings={})
    with pytest.raises(BadData, match="0 or more"):
        next_orders(Rises(), BARS, holdings={BARS.symbols[0]: (-1, None)})
    with pytest.raises(BadData, match="two bars"):
        next_orders(Rises(), BARS.slice(0, 1), holdings={})


def test_it_is_a_document() -> None:
    found = next(one for cut in range(5, COUNT) if (one := next_orders(Rises(), BARS.slice(0, cut), cash=CASH)).orders)
    document = found.to_dict()
    assert document["orders"][0]["symbol"] in BARS.symbols
    assert document["collar"] == pytest.approx(Policy().collar)
