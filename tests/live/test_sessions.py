"""Recorded days beside their backtest: every won between them has a cause, and what promotion asks is counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import quantkit as qk
from quantkit import Bars, Policy, Strategy
from quantkit.backtest.pieces import Terms
from quantkit.data.dates import day_text
from quantkit.errors import BadData
from quantkit.live.journal.memory import MemoryJournal
from quantkit.live.promotion.gates import paper_gates
from quantkit.live.record import read_record
from quantkit.live.sessions import Compared, daily_report
from tests.backtest.factories import random_bars
from tests.live.journals import NAME, Otherwise, journal_of, lines

BARS = random_bars(30, 3)
FIRST, CASH = 16, 10_000_000
COSTS = qk.Costs.kis()


class Rises(Strategy):
    """Hold what closed higher than two bars before."""

    policy = Policy(weighting="equal", funding="cash", retry=False)
    warmup = 2

    def targets(self, bars: Bars) -> np.ndarray:
        before = np.vstack([np.full((2, bars.shape[1]), np.inf), bars.close[:-2]])[: len(bars)]
        return bars.close > before


TERMS = Terms(strategy=Rises(), policy=Rises.policy, costs=COSTS, limits=None, fill="next_open", interpret=False)
RESULT = qk.backtest(Rises(), BARS, cash=CASH, costs=COSTS, start=day_text(int(BARS.days[FIRST])))
FILLED = sorted(set(RESULT.fills["order_id"]))


def compared(**other: Any) -> Compared:
    journal = journal_of(RESULT, TERMS, BARS, FIRST, otherwise=Otherwise(**other))
    return Compared(read_record(journal.read(), "first"), TERMS, BARS)


def sums(found: Compared) -> dict[str, float]:
    """What lies between, since the start, and whether it does add up on every day."""
    for date in (found.days[0], found.days[len(found.days) // 2], found.days[-1]):
        report = found._report(date, ())
        expected, real = report.equity
        assert sum(since for _, _, since in report.bridge) == real - expected
    return {cause: since for cause, _, since in found.report().bridge}


def test_days_that_went_as_the_backtest_leave_nothing_between() -> None:
    found = compared()
    assert found.ledger.same
    assert sums(found) == {}
    assert found.report().equity[0] == RESULT.equity.iloc[-1]
    assert found.days == tuple(day_text(int(day)) for day in BARS.days[FIRST + 1 :])
    records = found.records()
    assert sum(one.decisions for one in records) == len(RESULT.orders[RESULT.orders["decided"] > BARS.index[FIRST]])
    assert all(one.alike == one.decisions and one.mismatched == 0 for one in records)
    assert [one.passed for one in paper_gates(records)] == [True] * 5


def test_a_worse_price_is_the_price_s_and_shares_that_did_not_come_are_the_quantity_s() -> None:
    number = FILLED[0]
    fill = RESULT.fills[RESULT.fills["order_id"] == number].iloc[0]
    last = max(FILLED)
    late = RESULT.fills[RESULT.fills["order_id"] == last].iloc[0]
    assert "price" in sums(compared(worse={number: 10.0}))
    found = compared(worse={last: 10.0})
    assert sums(found) == {"price": -10.0 * late["quantity"]}
    report = found.report(str(late["time"])[:10])
    row = report.fills[report.fills["order"].str.endswith(f":{last}")].iloc[0]
    assert abs(row["price"] - row["model"]) == 10.0
    assert row["impact"] == 10.0 * late["quantity"]
    less = compared(part={number: int(fill["quantity"]) - 5})
    (first,) = [row for row in less.ledger.rows if row.cause == "fill"]
    assert (first.part, first.symbol) == ("quantity", fill["symbol"])
    report = less.report(str(fill["time"])[:10])
    assert report.unfilled["left"].tolist() == [5]
    assert report.filled == report.ordered - 5
    assert set(report.positions["symbol"]) == {fill["symbol"]}


def test_a_denial_is_the_gate_s_and_named_in_the_record() -> None:
    number = FILLED[0]
    found = compared(denied={number: "PRICE_COLLAR"})
    assert {row.cause for row in found.ledger.rows} == {"gate"}
    assert "PRICE_COLLAR" in found.ledger.rows[0].detail
    sums(found)
    record = next(one for one in found.records() if one.denials)
    assert (dict(record.denials), record.unexplained) == ({"PRICE_COLLAR": 1}, 0)
    assert record.date == str(RESULT.fills["time"][RESULT.fills["order_id"] == number].iloc[0])[:10]


def test_commission_that_differs_is_a_cost_and_adopted_shares_are_external() -> None:
    assert sums(compared(dearer={max(FILLED): 700})) == {"cost": -700.0}
    found = compared(adopted={5: (BARS.symbols[0], 3)})
    causes = sums(found)
    assert set(causes) == {"external"}
    assert causes["external"] == 3 * BARS.raw.close[-1, 0]


def test_a_decision_on_other_targets_is_a_decision_and_shuts_the_gate() -> None:
    """The rows say that the targets were others: the order of that bar, for which less came, is no fill's fault."""
    number = FILLED[3]
    order = next(one for one in lines(RESULT.run.orders) if one["order_id"] == number)
    found = compared(other_aims={int(order["bar"])})
    assert found.ledger.decisions[0] == found.ledger.decisions[1]  # the same orders came of them
    assert all(one.alike == one.decisions for one in found.records())


def test_bars_that_read_otherwise_now_are_counted() -> None:
    """The close of a name that was held is another in the bars of today."""
    held = int(np.flatnonzero((RESULT.positions.to_numpy() > 0).any(axis=1))[0])
    s = int(np.flatnonzero(RESULT.positions.to_numpy()[held])[0])
    close = np.array(BARS.raw.close)
    close[FIRST + held, s] += 5
    fields = {name: np.array(BARS.field(name)) for name in ("open", "high", "low", "close", "volume")}
    other = Bars(times=BARS.times, days=BARS.days, symbols=BARS.symbols, fields=fields | {"close": close},
                 flags=BARS.flags, markets=BARS.markets, prices=BARS.prices, freq=BARS.freq,
                 minor_unit=BARS.minor_unit)  # fmt: skip
    journal = journal_of(RESULT, TERMS, BARS, FIRST)
    found = Compared(read_record(journal.read(), "first"), TERMS, other)
    assert found.differing == {held}
    sums(found)
    assert {row.cause for row in found.ledger.rows} <= {"data"}
    record = next(one for one in found.records() if one.date == found.dates[held])
    assert record.mismatched == 1
    assert record.bars == 3


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_whatever_went_otherwise_the_parts_sum_to_the_won(data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.sampled_from(FILLED), min_size=1, max_size=6, unique=True))
    other: dict[str, dict[int, Any]] = {"worse": {}, "part": {}, "denied": {}, "dearer": {}, "adopted": {}}
    for number in chosen:
        kind = data.draw(st.sampled_from(sorted(other)))
        if kind == "adopted":
            row = data.draw(st.integers(1, len(RESULT.bars) - 1))
            other[kind][row] = (data.draw(st.sampled_from(BARS.symbols)), data.draw(st.integers(1, 9)))
        else:
            most = int(RESULT.fills["quantity"][RESULT.fills["order_id"] == number].iloc[0]) - 1
            other[kind][number] = {
                "worse": data.draw(st.integers(-50, 50)) * 1.0, "part": data.draw(st.integers(1, max(1, most))),
                "denied": "STALE_QUOTE", "dearer": data.draw(st.integers(11, 900)),
            }[kind]  # fmt: skip
    found = compared(**other)
    sums(found)
    assert found.ledger.explained, found.ledger.frame()


def test_bars_inside_the_day_are_compared_from_the_bar_that_was_first() -> None:
    """The deployment began in the middle of a session; what came before it is nobody's."""
    bars, first = random_bars(39, 3, freq="1h"), 17
    assert bars.days[first] == bars.days[first - 1]
    result = qk.backtest(Rises(), bars, cash=CASH, costs=COSTS, start=bars.index[first].to_pydatetime())
    number = sorted(set(result.fills["order_id"]))[2]
    journal = journal_of(result, TERMS, bars, first, otherwise=Otherwise(worse={number: 30.0}))
    found = Compared(read_record(journal.read(), "first"), TERMS, bars)
    assert len(found.result.bars) == len(bars) - first
    assert sums(found).keys() <= {"price", "cost"}
    assert "price" in sums(found)
    assert sum(one.decisions for one in found.records()) > 10


# --- reports ----------------------------------------------------------------------------------------------------------


def test_a_day_is_written_whole_and_says_what_the_report_says(tmp_path: Path) -> None:
    journal = journal_of(RESULT, TERMS, BARS, FIRST, otherwise=Otherwise(worse={FILLED[2]: 20.0}))
    page, document = daily_report(
        journal, TERMS, BARS, account="first", folder=tmp_path, day=day_text(int(BARS.days[26]))
    )
    assert page.name == f"drift-first-{day_text(int(BARS.days[26]))}.html"
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted((page.name, document.name))
    read = json.loads(document.read_text(encoding="utf-8"))
    assert sum(line["since"] for line in read["bridge"]) == read["equity"]["real"] - read["equity"]["expected"]
    assert len(read["days"]) == 26 - FIRST


def test_what_does_not_fit_says_why() -> None:
    journal = journal_of(RESULT, TERMS, BARS, FIRST)
    record = read_record(journal.read(), "first")
    with pytest.raises(BadData, match="do not hold the first bar"):
        Compared(record, TERMS, BARS.slice(FIRST + 3, len(BARS)))
    short = Compared(record, TERMS, BARS.slice(0, FIRST + 6))
    assert short.days[-1] == day_text(int(BARS.days[FIRST + 5]))
    with pytest.raises(BadData, match="is no session that rule traded"):
        short.report("1999-01-04")
    with pytest.raises(BadData, match="no bar of any deployment yet"):
        read_record(MemoryJournal("first").read(), "first")
    with pytest.raises(BadData, match="no bar of other"):
        read_record(journal.read(), "first", deployment="other")
    assert read_record(journal.read(), "first", deployment=NAME).folded == record.folded


def test_sessions_count_for_the_code_they_ran_with() -> None:
    found = compared()
    assert len(found.records(artifact="digest")) == len(found.days)
    assert found.records(artifact="another") == []
