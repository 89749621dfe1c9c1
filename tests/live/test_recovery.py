"""What a restart reads: snapshots that are none, of others, cut short; and sleeves that are not deployed any more."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from quantkit.errors import BadData, ConfigError
from quantkit.live.engine import Engine
from quantkit.live.recovery import load, orders_in, recover
from tests.live.accounts import Account, Scripted, Want, at

MAGIC = b"quantkit-engine\x00"


def snapshot() -> bytes:
    account = Account()
    account.sending(Want(1))
    return account.engine.snapshot()


def changed(data: bytes, **changes: Any) -> bytes:
    """A snapshot with other values in its header."""
    whole = pa.CompressedInputStream(pa.py_buffer(data[len(MAGIC) :]), "zstd").read()
    size = int.from_bytes(whole[:8], "little")
    head = json.dumps({**json.loads(whole[8 : 8 + size]), **changes}).encode()
    return MAGIC + pa.compress(len(head).to_bytes(8, "little") + head + whole[8 + size :], codec="zstd", asbytes=True)


def fresh(name: str = "acc", *, sleeves: bool = True) -> Engine:
    account = Account()
    return Engine(name, [account.sleeve(Scripted())] if sleeves else [])


def test_a_snapshot_brings_back_the_same_bytes() -> None:
    engine = fresh()
    load(engine, snapshot())
    assert engine.snapshot() == snapshot()


def test_orders_that_changed_between_two_snapshots_are_read_as_they_are() -> None:
    account = Account()
    account.sending(Want(1))
    engine, one = account.engine, account.order()
    intents = [replace(one.intent, id=f"sma:{number}") for number in range(40)]
    engine.orders = {intent.id: replace(one, intent=intent) for intent in intents}
    engine.snapshot()
    engine.confirmed["sma:3"], engine.cost_of["sma:17"] = (1, 70_000), 23
    engine.orders["sma:35"] = replace(engine.orders["sma:35"], reason="TEST")
    del engine.orders["sma:39"]
    read = fresh()
    load(read, engine.snapshot())
    assert read.orders == engine.orders
    assert (read.confirmed, read.cost_of) == ({"sma:3": (1, 70_000)}, {"sma:17": 23})
    assert read.snapshot() == engine.snapshot()
    assert orders_in(engine.snapshot()) == list(engine.orders.values())


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"something else", "magic word"),
        (MAGIC + b"not packed", "cannot be read"),
        (MAGIC + pa.compress(b"\x04" + bytes(7) + b"{no}", codec="zstd", asbytes=True), "cannot be read"),
    ],
)
def test_what_is_no_snapshot_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(BadData, match=why):
        load(fresh(), data)


def test_snapshots_of_others_and_of_other_times_are_refused() -> None:
    with pytest.raises(BadData, match="version 99"):
        load(fresh(), changed(snapshot(), version=99))
    with pytest.raises(BadData, match="not of another"):
        load(fresh("another"), snapshot())
    with pytest.raises(BadData, match="cut short"):
        load(fresh(), changed(snapshot(), orders=2))
    with pytest.raises(ConfigError, match="not deployed"):
        load(fresh(sleeves=False), snapshot())


def test_an_engine_before_its_first_morning_comes_back_too() -> None:
    account = Account()
    account.journal.append((), snapshot=account.engine.snapshot())
    assert account.recovered().snapshot() == account.engine.snapshot()
    assert account.recovered().sleeves["sma"].row is None


def test_a_gate_of_ones_own_comes_through_a_restart() -> None:
    account = Account()

    def closed(order: Any, view: Any) -> Any:
        from quantkit.live.risk import Denied

        return Denied("CLOSED", order.id)

    engine = recover(account.journal, [account.sleeve(account.book)], gate=closed)
    assert engine.gate is closed
    account.engine = engine
    account.lawful = False
    account.sending(Want(1))
    assert account.order().reason == "CLOSED"
    assert account.time == at("08:30")
