"""The drift report: parts that sum, a band that is left three days running, a page and a document."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.errors import BadData
from quantkit.live.drift import PARTS, DriftReport, drift, write_drift
from quantkit.live.drift_page import drift_page
from quantkit.live.promote import SessionRecord

OPEN = 1_763_942_400_000_000_000  # 09:00 in Seoul
SECOND = 1_000_000_000


def order(number: str, **changes: Any) -> dict[str, Any]:
    usual = {"id": number, "symbol": "005930", "side": "buy", "quantity": 10, "phase": "continuous", "decision": 1000.0,
             "close": 1100.0, "submitted": float(OPEN), "accepted": float(OPEN + 20_000_000), "reason": ""}  # fmt: skip
    return usual | changes


def fill(number: str, **changes: Any) -> dict[str, Any]:
    usual = {"order": number, "quantity": 10, "price": 1008.0, "commission": 15.0, "tax": 0.0, "time": OPEN + SECOND}
    return usual | changes


def modelled(number: str, price: float, **changes: Any) -> dict[str, Any]:
    return {"order": number, "quantity": 10, "price": price, "commission": 15.0, "tax": 0.0} | changes


def report(
    orders: list[dict[str, Any]], fills: list[dict[str, Any]], *, quotes: Any = None, model: Any = None, **given: Any
) -> DriftReport:
    names = ["order", "quantity", "price", "commission", "tax", "time"]
    return drift(
        date=given.pop("date", "2026-11-24"), account="first", orders=pd.DataFrame(orders),
        fills=pd.DataFrame(fills, columns=names), quotes=None if quotes is None else pd.DataFrame(quotes),
        model=None if model is None else pd.DataFrame(model), **given,
    )  # fmt: skip


def test_a_buy_is_split_into_what_the_wait_the_book_and_the_broker_cost() -> None:
    """Decided at 1000, sent at 1001 x 1005, filled at 1008: 30 for the wait, 20 for half the spread, 30 beyond it."""
    found = report([order("a")], [fill("a")], quotes=[{"order": "a", "bid": 1001.0, "ask": 1005.0}],
                   model=[modelled("a", 1004.0)])  # fmt: skip
    (row,) = found.fills.to_dict("records")
    assert [row[name] for name in PARTS] == [30.0, 20.0, 30.0, 15.0, 0.0]
    assert row["total"] == 95.0
    assert row["bps"] == pytest.approx(95.0 / 10_000 * 1e4)
    assert row["model_bps"] == pytest.approx((40.0 + 15.0) / 10_000 * 1e4)


def test_a_sale_above_the_mid_saves_what_a_buy_there_would_cost() -> None:
    found = report([order("a", side="sell")], [fill("a", tax=20.0)],
                   quotes=[{"order": "a", "bid": 1001.0, "ask": 1005.0}])  # fmt: skip
    (row,) = found.fills.to_dict("records")
    assert [row[name] for name in PARTS] == [-30.0, 20.0, -70.0, 35.0, 0.0]
    assert math.isnan(row["model_bps"])


def test_in_an_auction_the_print_stands_for_the_quote_and_without_either_nothing_is_split() -> None:
    found = report([order("a", phase="opening_auction"), order("b")], [fill("a"), fill("b")],
                   model=[modelled("a", 1008.0)])  # fmt: skip
    auction, alone = found.fills.to_dict("records")
    assert [auction[name] for name in PARTS] == [80.0, 0.0, 0.0, 15.0, 0.0]
    assert [alone[name] for name in PARTS] == [0.0, 0.0, 0.0, 15.0, 80.0]


@given(
    side=st.sampled_from(["buy", "sell"]), price=st.integers(900, 1100), bid=st.integers(900, 1100),
    wide=st.integers(0, 30), quantity=st.integers(1, 500), fees=st.integers(0, 900), quoted=st.booleans(),
    known=st.booleans(),
)  # fmt: skip
def test_the_parts_of_a_fill_sum_to_its_shortfall(
    side: str, price: int, bid: int, wide: int, quantity: int, fees: int, quoted: bool, known: bool
) -> None:
    found = report(
        [order("a", side=side, quantity=quantity)], [fill("a", price=float(price), quantity=quantity, commission=fees)],
        quotes=[{"order": "a", "bid": bid, "ask": bid + wide}] if quoted else None,
        model=[modelled("a", 1003.0)] if known else None,
    )  # fmt: skip
    (row,) = found.fills.to_dict("records")
    sign = 1 if side == "buy" else -1
    assert sum(row[name] for name in PARTS) == pytest.approx(row["total"])
    assert row["total"] == pytest.approx(sign * (price - 1000) * quantity + fees)
    assert sum(found.parts.values()) == pytest.approx(row["total"])


def test_shares_that_did_not_come_cost_what_they_would_have_earned() -> None:
    found = report(
        [order("a"), order("b", side="sell", reason="EXPIRED"), order("c")], [fill("a", quantity=4), fill("c")]
    )
    assert found.unfilled[["id", "left", "cost", "reason"]].to_dict("records") == [
        {"id": "a", "left": 6, "cost": 600.0, "reason": ""},
        {"id": "b", "left": 10, "cost": -1000.0, "reason": "EXPIRED"},
    ]
    assert (found.ordered, found.filled, found.parts["unfilled"]) == (30, 14, -400.0)


def test_latency_is_told_by_phase_and_gateway_and_counts_what_was_never_acknowledged() -> None:
    orders = [order(str(k), accepted=OPEN + (k + 1) * 1e6, gateway="rest") for k in range(20)]
    orders += [order("x", phase="closing_auction", accepted=np.nan, gateway="ocx"), order("y", submitted=np.nan)]
    found = report(orders, [fill("0", time=OPEN + 3 * SECOND)]).latency
    rows = {row["phase"]: row for row in found.to_dict("records")}
    assert (rows["continuous"]["orders"], rows["continuous"]["gateway"]) == (20, "rest")
    assert rows["continuous"]["accepted_p50"] == pytest.approx(10.5, abs=1e-3)
    assert rows["continuous"]["accepted_p95"] == pytest.approx(19.05, abs=1e-3)
    assert rows["continuous"]["filled_p50"] == pytest.approx(3000.0, abs=1e-3)
    assert rows["closing_auction"]["orders"] == 1
    assert math.isnan(rows["closing_auction"]["accepted_p50"])


def bad_day(date: str, price: float, history: Any = ()) -> DriftReport:
    numbers = [str(k) for k in range(4)]
    return report([order(k) for k in numbers], [fill(k, price=price) for k in numbers],
                  model=[modelled(k, 1002.0) for k in numbers], history=history, date=date)  # fmt: skip


def test_an_alert_is_raised_on_the_third_day_outside_the_band_and_not_before() -> None:
    days: Any = ()
    told = []
    for date, price in (("2026-11-20", 1030.0), ("2026-11-23", 1002.0), ("2026-11-24", 1030.0), ("2026-11-25", 980.0),
                        ("2026-11-26", 1030.0)):  # fmt: skip
        found = bad_day(date, price, days)
        days = json.loads(json.dumps(found.to_dict()))["days"]
        told.append([text.split(":")[0] for text in found.alerts])
    assert told == [[], [], [], [], ["DRIFT_OUTSIDE_BAND"]]
    assert [day["outside"] for day in days] == [True, False, True, True, True]


def test_a_day_without_fills_neither_raises_nor_ends_a_run_of_bad_days() -> None:
    days: Any = ()
    for date in ("2026-11-20", "2026-11-23"):
        days = json.loads(json.dumps(bad_day(date, 1030.0, days).to_dict()))["days"]
    quiet = report([order("a")], [], date="2026-11-24", history=days)
    assert quiet.alerts == ()
    days = json.loads(json.dumps(quiet.to_dict()))["days"]
    assert bad_day("2026-11-25", 1030.0, days).alerts[0].startswith("DRIFT_OUTSIDE_BAND")


def test_a_report_made_twice_counts_its_day_once() -> None:
    first = bad_day("2026-11-20", 1030.0)
    assert len(bad_day("2026-11-20", 1030.0, first.days).days) == 1


def test_positions_that_differ_are_an_alert() -> None:
    positions = pd.DataFrame({"symbol": ["005930", "000660"], "expected": [10, 5], "real": [10, 4]})
    found = report([order("a")], [fill("a")], positions=positions, equity=(1e6, 999_000.0))
    assert found.alerts == ("POSITION_DIFFERS: 000660 expected 5, real 4",)
    assert len(found.positions) == 1


def test_what_it_measures_goes_into_the_record_of_the_session() -> None:
    found = report([order("a"), order("b")], [fill("a"), fill("b", quantity=5)], model=[modelled("a", 1004.0)])
    record = SessionRecord(date=found.date, mode="paper", **found.measured())
    assert len(record.slippage_bps) == len(record.model_bps) == 1
    assert (record.ordered, record.filled, record.model_filled) == (20, 15, 10)


def test_a_page_and_a_document_are_written_and_hold_what_was_found(tmp_path: Path) -> None:
    found = replace(bad_day("2026-11-26", 1030.0, bad_day("2026-11-25", 1030.0).days), equity=(100_000.0, 98_880.0),
                    bridge=(("price", -120.0, -1120.0),))  # fmt: skip
    page, document = write_drift(found, tmp_path / "reports")
    assert (page.name, document.name) == ("drift-first-2026-11-26.html", "drift-first-2026-11-26.json")
    text = page.read_text(encoding="utf-8")
    for words in (
        "Where it went",
        "Median shortfall, day by day",
        "005930",
        "09:00:01",
        "fills at another price",
        "Real equity",
    ):
        assert words in text
    assert "http://" not in text.replace("http://www.w3.org", "")
    read = json.loads(document.read_text(encoding="utf-8"))
    assert read["fills"][0]["price"] == 1030.0
    assert read["bridge"] == [{"cause": "price", "today": -120.0, "since": -1120.0}]


def test_a_day_as_expected_has_one_column_of_equity_and_none_for_a_gateway_that_nobody_names() -> None:
    fine = drift_page(replace(report([order("a")], [fill("a")]), equity=(100_000.0, 100_000.0), bridge=()))
    assert "As expected, to the last unit of money." in fine
    assert "Since the start" not in fine
    assert "Gateway" not in fine
    assert "bp, model" in fine


def test_text_from_outside_is_escaped_and_an_empty_day_has_a_page() -> None:
    bad = drift_page(report([order("a", symbol="<b>x", reason="<i>")], []))
    assert "<b>x" not in bad
    assert "&lt;i&gt;" in bad
    assert "nothing expected" in bad
    many = [order(str(k)) for k in range(301)]
    assert "1 more in the JSON" in drift_page(report(many, [fill(str(k)) for k in range(301)]))


def test_tables_that_do_not_fit_are_refused() -> None:
    with pytest.raises(BadData, match="orders lacks phase"):
        report([{k: v for k, v in order("a").items() if k != "phase"}], [])
    with pytest.raises(BadData, match="unknown orders"):
        report([order("a")], [fill("b")])
    with pytest.raises(BadData, match="stands twice"):
        report([order("a"), order("a")], [])
