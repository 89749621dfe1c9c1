"""Sessions over real sockets with connections that break: bars are the lake's, and no fill is missed."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from quantkit.emulator.faults import Fault, FaultKind, FaultPlan
from quantkit.live.clock import SocketLoop, run_virtual
from tests.brokers.kis.session import BEGINS, Outcome, minute_panel, play


def played(names: int, **options: Any) -> Outcome:
    """On virtual time."""
    given = partial(play, bars=minute_panel(names), **options)
    return run_virtual(given, start=BEGINS, loop_type=SocketLoop)


def test_reconnects_every_minute_cost_no_bar_and_no_fill() -> None:
    found = played(7, minutes=4, slots=7, tick_seconds=10.0)
    assert found.plan.splitlines()[0] == "6 names streamed, bars 1.5 s old; 1 by snapshots, up to 1.6 s old"
    assert (found.wrong_lake, found.wrong_exchange, found.missed) == ([], [], [])
    assert found.compared > 20
    assert found.connections > 4
    assert found.executions == 7 * found.orders > 0
    assert found.heard > 0


def test_snapshots_are_corrected_by_charts() -> None:
    found = played(4, minutes=3, slots=3, tick_seconds=5.0, drop_every=None)
    assert (found.wrong_lake, found.wrong_exchange, found.missed) == ([], [], [])
    assert found.given == found.complete == 3
    assert found.revised > 0
    assert found.connections == 1
    assert found.heard == found.executions > 0


def test_everything_that_a_stream_may_do_costs_no_bar_and_no_fill() -> None:
    faults = FaultPlan([
        Fault(FaultKind.SOCKET_STALL, on=("prices",), nth=(60, 150), seconds=(5.0, 20.0)),
        Fault(FaultKind.SOCKET_DROP, on=("prices",), nth=(100, 220)),
        Fault(FaultKind.NOTICE_DUPLICATED, probability=0.3),
        Fault(FaultKind.NOTICE_MISSING, on=("notice",), probability=0.2),
        Fault(FaultKind.NOTICE_REORDERED, probability=0.3, seconds=(1.0, 5.0)),
        Fault(FaultKind.NOTICE_LATE, probability=0.2, seconds=(1.0, 10.0)),
    ])  # fmt: skip
    found = played(4, minutes=5, tick_seconds=10.0, drop_every=None, faults=faults, noise_every=4.0)
    assert (found.wrong_lake, found.wrong_exchange, found.missed) == ([], [], [])
    assert found.connections > 1
    assert found.executions == 7 * found.orders > found.heard > 0
    assert {name for name in found.counts if name.startswith("bad")} == {
        "bad CONTROL", "bad FEED", "bad SEALED", "bad SHAPE", "bad VALUE", "bad WIDTH"
    }  # fmt: skip


def test_frames_that_cannot_be_read_and_shares_nobody_told_of_cost_no_bar_and_no_fill() -> None:
    faults = FaultPlan([
        Fault(FaultKind.FRAME_GARBAGE, on=("tick", "notice"), probability=0.1, until="09:04"),
        Fault(FaultKind.NOTICE_MISSING, on=("tick",), probability=0.05, until="09:04"),
        Fault(FaultKind.GARBAGE, probability=0.1),
    ])  # fmt: skip
    found = played(4, minutes=5, tick_seconds=10.0, drop_every=None, faults=faults)
    assert (found.wrong_lake, found.wrong_exchange, found.missed) == ([], [], [])
    assert (found.connections, found.given) == (1, 5)
    assert found.counts["missed shares"] > 0
    assert {"bad SHAPE", "bad WIDTH"} <= set(found.counts)
    assert found.executions == 7 * found.orders > found.heard > 0
    assert faults.injected[FaultKind.GARBAGE] > 3


def test_a_session_that_falls_silent_is_left_and_costs_no_bar_and_no_fill() -> None:
    faults = FaultPlan([Fault(FaultKind.SOCKET_SILENT, on=("prices",), nth=(60,), seconds=(200.0, 200.0))])
    found = played(4, minutes=5, tick_seconds=10.0, drop_every=None, faults=faults)
    assert (found.wrong_lake, found.wrong_exchange, found.missed) == ([], [], [])
    assert found.connections == 2
    assert found.executions == 7 * found.orders > found.heard > 0


@pytest.mark.slow
def test_a_whole_session_of_41_names_with_reconnects_every_minute() -> None:
    found = played(41, tick_seconds=10.0)
    assert (found.wrong_lake, found.wrong_exchange, found.missed) == ([], [], [])
    assert found.given == found.complete == 390
    assert found.drops >= 380
    assert found.executions == 7 * found.orders > 0
