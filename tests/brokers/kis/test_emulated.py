"""The client against the emulated servers, which were written from the same facts by nobody who read it."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from pydantic import SecretStr

from quantkit.brokers.kis.client import KisClient, Options
from quantkit.brokers.kis.codes import Environment
from quantkit.brokers.kis.server import Account, RealKeys, Server
from quantkit.brokers.kis.wire import Exchange
from quantkit.emulator.kis import KisEmulator
from quantkit.errors import ConfigError, Refused
from quantkit.market.days import SEOUL
from quantkit.trading.orders import OrderType, Side, TimeInForce
from tests.brokers.kis.benches import keys_of
from tests.emulator.kis.wire import NAME, emulator


class EmulatorsClock:
    """The emulator's time; waiting lets it pass."""

    def __init__(self, server: KisEmulator) -> None:
        self.server = server

    def now_ns(self) -> int:
        return self.server.pace.now()

    async def sleep_until(self, at: int) -> None:
        if at > self.now_ns():
            self.server.pace.skip((at - self.now_ns()) / 1e9)
        await asyncio.sleep(0)


def client_of(
    server: KisEmulator, folder: Path, environment: Environment, *, listen: Callable[[Exchange], None] | None = None
) -> KisClient:
    return KisClient(
        keys_of(server, environment), clock=EmulatorsClock(server), folder=folder, options=Options(rate=500),
        server=Server.emulated(environment, server.rest, server.stream), listen=listen,
    )  # fmt: skip


@pytest.mark.parametrize("environment", Environment)
async def test_an_order_lives_and_dies_by_its_numbers(tmp_path: Path, environment: Environment) -> None:
    async with (
        emulator(paper=environment is Environment.PAPER) as server,
        client_of(server, tmp_path, environment) as client,
    ):
        price = await client.price(NAME)
        assert price.lower < price.price < price.upper
        book = await client.book(NAME)
        assert book.bids[0][0] < book.asks[0][0]
        low = price.lower
        first = await client.submit(NAME, Side.BUY, 10, price=low)
        assert len(first.number) == 10
        assert first.branch
        changed = await client.modify(first.number, first.branch, 4, low + price.tick)
        assert changed.number != first.number
        lines = {line.number: line for line in await client.orders()}
        assert lines[changed.number].original == first.number
        assert lines[first.number].kind == (OrderType.LIMIT, TimeInForce.DAY)
        gone = await client.cancel(changed.number, changed.branch)
        lines = {line.number: line for line in await client.orders()}
        assert lines[changed.number].leaves == 0
        assert gone.number not in (first.number, changed.number)
        with pytest.raises(Refused):
            await client.cancel(changed.number, changed.branch)


@pytest.mark.parametrize("environment", Environment)
async def test_what_was_bought_is_held_and_may_be_sold(tmp_path: Path, environment: Environment) -> None:
    async with (
        emulator(paper=environment is Environment.PAPER) as server,
        client_of(server, tmp_path, environment) as client,
    ):
        before = await client.buyable(NAME)
        bought = await client.submit(NAME, Side.BUY, 3, type=OrderType.MARKET)
        server.pace.skip(60)
        line = next(line for line in await client.orders() if line.number == bought.number)
        assert (line.filled, line.leaves, line.side) == (3, 0, Side.BUY)
        assert line.value == pytest.approx(line.average * 3)
        held = next(each for each in (await client.balance()).holdings if each.symbol == NAME)
        assert (held.quantity, held.sellable) == (3, 3)
        assert (await client.sellable(NAME)).sellable == 3
        assert (await client.buyable(NAME)).amount < before.amount
        with pytest.raises(Refused):
            await client.submit(NAME, Side.SELL, 30, type=OrderType.MARKET)


async def test_charts_come_whole(tmp_path: Path) -> None:
    async with emulator(paper=False) as server, client_of(server, tmp_path, Environment.REAL) as client:
        server.pace.skip(3600)
        today = dt.datetime.fromtimestamp(server.pace.now() / 1e9, SEOUL).date()
        days = await client.days(NAME, today - dt.timedelta(days=60), today)
        assert [each.date for each in days] == sorted({each.date for each in days})
        minutes = await client.minutes(NAME, today)
        assert len(minutes) > 30
        assert all(later.time - earlier.time == 60 * 10**9 for earlier, later in pairwise(minutes))
        assert set(await client.snapshots([NAME])) == {NAME}
        assert (await client.instrument(NAME)).symbol == NAME
        assert (await client.holidays(today))[0].date == today
        found = await client.call("inquire_ccnl", market="J", symbol=NAME)
        assert found.unread == ()
        assert {"time", "price", "trade_volume"} <= set(found.rows[0])


async def test_a_nights_maintenance_costs_one_token(tmp_path: Path) -> None:
    async with emulator() as server, client_of(server, tmp_path, Environment.PAPER) as client:
        await client.price(NAME)
        server.keys.revoke_all()
        assert (await client.price(NAME)).symbol == NAME


async def test_keys_of_the_other_profile_say_so(tmp_path: Path) -> None:
    async with emulator(paper=True) as paper, emulator(paper=False) as real:
        me = paper.customers[0]
        keys = RealKeys(
            app_key=SecretStr(me.appkey), app_secret=SecretStr(me.appsecret), account=Account.parse(me.account)
        )
        client = KisClient(keys, clock=EmulatorsClock(real), folder=tmp_path,
                           server=Server.emulated(Environment.REAL, real.rest))  # fmt: skip
        async with client:
            with pytest.raises(ConfigError, match=r"EGW02004.*KIS_IS_PAPER=true"):
                await client.price(NAME)
