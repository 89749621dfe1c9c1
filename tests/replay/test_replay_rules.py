"""Rules with orders of their own, replayed: when their orders go, and that their fills are the backtest's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import quantkit as qk
from quantkit.core.policy import Policy
from quantkit.core.state import to_bytes
from quantkit.live.journal import open_journal
from quantkit.replay.driver import NAME, Driver
from quantkit.replay.ready import Ready
from quantkit.replay.run import replay
from quantkit.trading.events import Kind
from tests.core.markets import Case, make_bars
from tests.core.reference_orders import Command
from tests.replay.running import prepared, simulated


def case_of(commands: dict[int, list[Command]], *, rows: int = 6, per_day: int = 3, **more: Any) -> Case:
    """One name on bars of ten minutes, three a session; commands by bar."""
    bytes_ = np.full((rows, 1, 5), 3, np.uint8)
    bytes_[..., 0] = 0
    bars = make_bars(
        "2024-03-26", bytes_, listed=[(0, rows - 1)], markets=["KOSPI"], actions=[], per_day=per_day, freq="10m",
        to_close=True,
    )  # fmt: skip
    script = [commands.get(t, []) for t in range(rows)]
    return Case(bars, np.full(bars.shape, np.nan), script=script, **more)


def replayed(case: Case) -> tuple[Driver, list[Any]]:
    """The replay, held to the fold, and the entries of its journal."""
    journal = open_journal(None, NAME, owner="test", now=0)
    driver = Driver(Ready(prepared(case), honest=False), journal, quick=True)
    mine, (output, state) = driver.run(lambda done, total: None), simulated(case)
    assert [table.tolist() for table in mine] == [table.tolist() for table in output]
    assert to_bytes(driver.book.state, ("x",)) == to_bytes(state, ("x",))
    assert driver.denials == []
    return driver, [recorded.entry for recorded in journal.read()]


def sent(entries: list[Any], driver: Driver) -> list[tuple[int, str]]:
    """(bar on which it went, window) of every order."""
    windows = {entry.order: entry.payload["intent"]["window"]["phase"]
               for entry in entries if entry.kind is Kind.ORDER_INITIALIZED}  # fmt: skip
    ends = driver.hours.array
    return [(int(np.searchsorted(ends, entry.time)), windows[entry.order])
            for entry in entries if entry.kind is Kind.ORDER_SUBMITTING]  # fmt: skip


def buy(**keywords: Any) -> Command:
    """An order of five shares."""
    return Command("buy", 0, 5, keywords)


@pytest.mark.parametrize(
    ("keywords", "bar", "window"),
    [
        ({"at": "open"}, 3, "opening_auction"),  # of tomorrow, not of the bar that comes next
        ({"at": "close"}, 2, "closing_auction"),
        ({}, 1, "continuous"),
    ],
)
@pytest.mark.parametrize("fill", ["next_open", "next_close"])
def test_an_order_goes_in_the_window_of_its_print(keywords: dict[str, Any], bar: int, window: str, fill: str) -> None:
    driver, entries = replayed(case_of({0: [buy(**keywords)]}, fill=fill))
    assert sent(entries, driver) == [(bar, window)]
    assert driver.book.tables[-1].fills["quantity"].tolist() == [5]


def test_a_collar_beyond_the_days_limits_asks_for_no_more_than_they_allow() -> None:
    bytes_ = np.full((8, 1, 5), 3, np.uint8)
    bytes_[:, 0, 0] = (0, 0, 0, 0, 0, 246, 246, 0)  # on the second day two bars at the upper limit
    bars = make_bars("2024-03-26", bytes_, listed=[(0, 7)], markets=["KOSPI"], actions=[], per_day=4, freq="10m")
    script: list[list[Command]] = [[], [], [], [], [], [buy(), buy(tif="ioc")], [buy(at="close")], []]
    _, entries = replayed(Case(bars, np.full(bars.shape, np.nan), Policy(collar=0.1), script=script))
    prices = {entry.payload["price"] for entry in entries if entry.kind is Kind.ORDER_SUBMITTING}
    assert prices == {bars.field("high").max()}


def test_an_exit_that_grows_with_its_entry_goes_anew() -> None:
    """The cap lets ten shares in on the second bar and five on the third, at whose open the exit sells all fifteen."""
    bytes_ = np.full((6, 1, 5), 3, np.uint8)
    bytes_[..., 0], bytes_[:, 0, 4] = 0, (50, 0, 50, 50, 50, 50)
    bars = make_bars("2024-03-26", bytes_, listed=[(0, 5)], markets=["KOSPI"], actions=[], per_day=3, freq="10m")
    close = float(bars.field("close")[0, 0])
    entry = Command("buy", 0, 15, {"stop": close * 0.98, "take_profit": close * 0.97})
    case = Case(bars, np.full(bars.shape, np.nan), Policy(participation=0.01), script=[[entry], [], [], [], [], []])
    driver, entries = replayed(case)
    fills = np.concatenate([table.fills for table in driver.book.tables])
    assert [(fill["bar"], fill["side"], fill["quantity"]) for fill in fills] == [(1, 1, 10), (2, 1, 5), (2, -1, 15)]
    said = [(entry.kind, entry.payload.get("quantity")) for entry in entries if (entry.order or "").endswith(":1")]
    assert (Kind.ORDER_SUBMITTING, 10) in said
    assert (Kind.ORDER_SUBMITTING, 15) in said
    assert [entry.payload["reason"] for entry in entries if entry.kind is Kind.ORDER_CANCELED] == ["GREW"]


def test_shares_that_come_in_the_morning_meet_a_stop_on_that_bar() -> None:
    """All listed shares are sold; those of a bonus come on a day that opens below the stop."""
    bytes_ = np.full((8, 1, 5), 3, np.uint8)
    bytes_[..., 0], bytes_[..., 3] = 0, 0
    bytes_[4:, 0, :2] = (220, 60)  # gaps down
    bars = make_bars("2024-03-25", bytes_, listed=[(0, 7)], markets=["KOSPI"], actions=[(2, 0, 6, 3)], per_day=1)
    script = [[Command("buy", 0, 40, {})], [], [Command("sell", 0, 40, {})], [], [], [], [], []]
    driver, _ = replayed(Case(bars, np.full(bars.shape, np.nan), Policy(stop_loss=0.05), script=script))
    fills = np.concatenate([table.fills for table in driver.book.tables])
    assert [(fill["side"], fill["quantity"]) for fill in fills] == [(1, 40), (-1, 40), (-1, 4)]


class Bracket(qk.Strategy):
    """Every third bar a breakout with an exit on both sides, now and then at the open, and a trailing stop for it."""

    def on_bar(self, ctx: Any) -> None:
        for s in range(2):
            close = ctx.close[0, s]
            if ctx.i % 3 == s:
                ctx.buy(s, 20, stop=close * 1.002, limit=close * 1.01, take_profit=close * 1.02, stop_loss=close * 0.99)
            if ctx.i % 7 == s:
                ctx.buy(s, 5, at="open")
            if ctx.i % 11 == s:
                ctx.sell(s, 10, trail=0.01)
                ctx.sell(s, 5, limit=close * 1.01, tif="conditional")


@pytest.mark.parametrize("per_day", [1, 6])
@pytest.mark.parametrize(("fill", "honest"), [("next_open", False), ("next_open", True), ("close", False)])
def test_a_rule_lives_as_it_was_tested(per_day: int, fill: str, honest: bool) -> None:
    bytes_ = np.random.default_rng(5).integers(0, 210, (36, 2, 5)).astype(np.uint8)
    bars = make_bars(
        "2024-03-26", bytes_, listed=[(0, 35)] * 2, markets=["KOSPI", "KOSDAQ"], actions=[(24, 0, 1, 0)],
        per_day=per_day, freq="10m", to_close=True,
    )  # fmt: skip
    found = replay(Bracket(), bars, fill=fill, honest=honest, interpret=True, checked_before=True)
    assert found.same
    assert len(found.fills) > 10
    assert len(set(found.fills["rule"])) > 4
