"""Entries of the journal as lines for a person."""

from __future__ import annotations

from typing import Any

import pytest

from quantkit.cli.lines import line_of
from quantkit.trading.events import OF_ORDERS, PAYLOADS, Entry, Kind

FILL = {"trade": "1", "quantity": 1_200, "price": 71_250.0, "value": 1, "commission": 0, "tax": 0,
        "provisional": True, "inferred": False, "detail": ""}  # fmt: skip
INTENT = {"quantity": 1_000, "type": "limit", "price": None, "window": {"phase": "opening_auction"}, "rule": "target"}


@pytest.mark.parametrize(
    ("kind", "payload", "line"),
    [
        (Kind.RUN_STARTED, {"mode": "paper", "version": "1"}, "run started (paper, quantkit 1)"),
        (Kind.RUN_ENDED, {"reason": "SIGTERM"}, "run ended: SIGTERM"),
        (Kind.SESSION_OPENED, {"date": "2025-10-01", "actions": [{}], "bases": {"a": 1}},
         "session 2025-10-01 made ready, 1 names, 1 corporate actions"),
        (Kind.BAR_FOLDED, {"equity": 1_000, "cash": 900}, "bar closed: equity 1,000, cash 900"),
        (Kind.ORDER_INITIALIZED, {"intent": INTENT}, "order x decided: 1,000 limit, opening auction (target)"),
        (Kind.ORDER_INITIALIZED, {"intent": {**INTENT, "price": 9_990.0, "rule": ""}},
         "order x decided: 1,000 limit at 9,990, opening auction"),
        (Kind.ORDER_SUBMITTING, {"quantity": 3, "price": None}, "order x sent: 3 at market"),
        (Kind.ORDER_FILLED, FILL, "order x filled 1,200 at 71,250"),
        (Kind.FILL_CORRECTED, FILL, "order x fill corrected: 1,200 at 71,250"),
        (Kind.FILL_CORRECTED, {**FILL, "quantity": 0}, None),
        (Kind.ORDER_DENIED, {"code": "STALE_QUOTE", "detail": "4 s"}, "order x denied: STALE_QUOTE: 4 s"),
        (Kind.ORDER_EXPIRED, {"reason": ""}, "order x expired"),
        (Kind.CONNECTION_CHANGED, {"what": "prices", "up": False, "detail": "gone"}, "prices DOWN: gone"),
        (Kind.CONNECTION_CHANGED, {"what": "prices", "up": True, "detail": ""}, "prices up"),
        (Kind.RISK_STATE_CHANGED, {"scope": "account", "name": "first", "mode": "halted", "by": "ann", "reason": "odd"},
         "account first HALTED by ann: odd"),
        (Kind.COMMAND_RECEIVED, {"command": "stop", "by": "ann", "reason": ""}, "stop by ann: no reason given"),
        (Kind.PRICE_WATCHED, {"symbol": "a", "price": 1.0}, None),
    ],
)  # fmt: skip
def test_lines(kind: Kind, payload: dict[str, Any], line: str | None) -> None:
    order = "x" if kind in OF_ORDERS else None
    filler = dict.fromkeys(PAYLOADS[kind], 0)
    assert line_of(Entry(kind, 0, filler | payload, order)) == line


def test_every_kind_has_a_line_or_is_left_out_on_purpose() -> None:
    sample: dict[str, Any] = {"intent": INTENT, "actions": [], "bases": {}, "symbols": [], "mode": "halted"}
    silent = set()
    for kind in Kind:
        payload = {name: sample.get(name, 1) for name in PAYLOADS[kind]}
        if line_of(Entry(kind, 0, payload, "x" if kind in OF_ORDERS else None)) is None:
            silent.add(kind)
    assert silent == {
        Kind.PRICE_WATCHED, Kind.SIGNAL_RAISED, Kind.ACCOUNT_STATE, Kind.ORDER_PENDING_CANCEL,
        Kind.ORDER_PENDING_UPDATE,
    }  # fmt: skip
