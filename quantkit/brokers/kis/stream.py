"""One WebSocket session of KIS: registrations, what comes over them, and its end.

    stream = KisStream(client, chance=random.random)
    ear = await stream.open("prices")                 a connection; own orders are registered first
    await stream.subscribe(ear, [("H0STCNT0", "005930")])
    async for tick in ear: ...                        until the connection ends: RetryLater
    await stream.leave(ear)                           or `drop`, where the connection is not to be trusted

KIS gives an app key one session and a session 41 registrations, those for own orders included; both are kept here, and
the one too many is a ConfigError before anything is sent. Prices, own orders and records of other feeds are heard by
`Ear`s of one connection; when it ends, all of them end, and whoever opens next dials anew: fresh approval key, back-off
with jitter between two attempts, own orders first, every registration acknowledged.

Contract: each connection has a generation, higher than those before; nothing of an ended connection is heard any more.
A frame that cannot be read is counted by its code (`counts`) and changes nothing; a record that came twice is heard
once. PINGPONG is answered. A connection over which nothing at all came for `silence` seconds is ended. Errors:
RetryLater (dial again), Refused (KIS's code and text), ConfigError. None of them shows a key, an account or an HTS id.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections import Counter, deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from weakref import WeakValueDictionary

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from quantkit.brokers.kis.catalogue import calls
from quantkit.brokers.kis.codes import SLOTS, Act, Environment, act_of, remedy
from quantkit.brokers.kis.columns import BadFrame
from quantkit.brokers.kis.figures import SECOND
from quantkit.brokers.kis.frames import (
    NOTICES,
    Ack,
    Books,
    Orders,
    Ping,
    Records,
    Trades,
    day_at,
    feeds,
    parse,
)
from quantkit.errors import ConfigError, QuantkitError, Refused, RetryLater
from quantkit.trading.backoff import Backoff
from quantkit.trading.ports import Lost

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Sequence

    from pydantic import SecretStr
    from websockets.asyncio.client import ClientConnection

    from quantkit.brokers.kis.client import KisClient
    from quantkit.brokers.kis.frames import OrderNotice
    from quantkit.trading.ports import Quote, Tick

Registration: TypeAlias = "tuple[str, str]"  # feed and key
PATH: Final = "/tryitout"
UNKNOWN_NAME: Final = "OPSP8992"
KINDS: Final = ("prices", "orders", "records")
_DAY_NS: Final = 86_400 * SECOND
_PONG: Final = 125  # bytes that a control frame holds
_NO_PRICES: Final = ("CONTROL", "FEED", "SEALED")  # frames that cannot be read and held no trades of ours
_QUIET: Final = logging.getLogger("quantkit.kis.socket")  # the library's own writes frames: keys, HTS ids, accounts
_QUIET.setLevel(logging.WARNING)
_open: WeakValueDictionary[tuple[str, str], KisStream] = WeakValueDictionary()


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSettings:
    """Seconds, but for `slots` and `most` (items that may wait for a reader before the connection is given up)."""

    slots: int = SLOTS
    answer: float = 10.0  # to an opening, and to a registration
    silence: float = 120.0  # KIS sends a PINGPONG every minute or so, also when nothing trades
    steady: float = 20.0  # how long a connection lasts before the next back-off begins anew
    most: int = 500_000

    def times(self, pace: float) -> StreamSettings:
        """The same on a clock that runs `pace` times as fast as the machine's."""
        return replace(self, answer=self.answer * pace, silence=self.silence * pace)


class Ear:
    """What one reader hears of one connection, from the moment it was opened."""

    def __init__(self, connection: Connection, kind: str) -> None:
        self.connection, self.kind = connection, kind
        self.wanted: tuple[Registration, ...] = ()
        self.items: deque[Any] = deque()
        self.lost: list[Lost] = []  # of prices
        self.left = False  # nobody wants to hear more
        self._ready = asyncio.Event()

    @property
    def generation(self) -> int:
        """Of its connection."""
        return self.connection.generation

    def put(self, items: Iterable[Any]) -> None:
        """More to hear; a frame of a connection that has ended is not heard."""
        if self.connection.why is None:
            self.items.extend(items)
            self._ready.set()

    def wake(self) -> None:
        """The connection has ended, or the reader has left."""
        self._ready.set()

    async def __aiter__(self) -> AsyncIterator[Any]:
        """All that came before the connection ended, then RetryLater; nothing more once it was left."""
        while True:
            while self.items and not self.left:
                yield self.items.popleft()
            if self.left:
                return
            if self.connection.why is not None:
                break
            self._ready.clear()
            await self._ready.wait()
        raise RetryLater(f"KIS's stream: {self.connection.why}")


@dataclass(eq=False)
class Connection:
    """One session. `why` it ended; None while it stands."""

    socket: ClientConnection
    generation: int
    approval: SecretStr = field(repr=False)
    began: int
    heard: int
    why: str | None = None
    ears: list[Ear] = field(default_factory=list)
    registered: set[Registration] = field(default_factory=set, repr=False)
    secrets: dict[str, tuple[str, str]] = field(default_factory=dict, repr=False)
    last: dict[str, dict[str, tuple[int, Tick]]] = field(default_factory=dict, repr=False)  # by feed and name
    asked: tuple[Registration, asyncio.Future[Ack | None]] | None = field(default=None, repr=False)
    told: set[str] = field(default_factory=set)  # kinds of bad frames
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)


class KisStream:
    """The session of one client's app key. chance: of jitter, in [0, 1). told: hears of what goes wrong, in words."""

    def __init__(
        self, client: KisClient, *, chance: Callable[[], float], settings: StreamSettings | None = None,
        told: Callable[[str], None] | None = None,
    ) -> None:  # fmt: skip
        self.client, self.settings = client, settings or StreamSettings()
        self.counts: Counter[str] = Counter()
        self.generation = 0
        self.connection: Connection | None = None
        self._clock, self._told = client.clock, told
        self._hts_id = client.hts_id
        self._notices = NOTICES[client.environment is Environment.PAPER]
        self._day = day_at(client.clock.now_ns())
        self._wait, self._not_before = Backoff(chance), 0
        self._dialling = asyncio.Lock()
        self._key = (client.wire.keys.fingerprint, client.server.name)

    @property
    def hears_orders(self) -> bool:
        """Whether own orders are registered: the keys have an HTS id."""
        return self._hts_id is not None

    @property
    def free(self) -> int:
        """Registrations of a session that are left for prices and records."""
        return self.settings.slots - self.hears_orders

    # --- a session --------------------------------------------------------------------------------------------------

    async def open(self, kind: str, *, floor: int = 0) -> Ear:
        """An ear on the connection that stands, else on a new one. floor: its generation is at least that. RetryLater,
        Refused or ConfigError where there is none."""
        if kind not in KINDS or (kind == "orders" and not self.hears_orders):
            raise ConfigError(f"{kind!r}: expected prices or records, or orders where the keys have an HTS id")
        async with self._dialling:
            connection = self.connection
            if connection is None:
                return await self._dial(kind, floor)
            connection.generation = max(connection.generation, floor)
            ear = Ear(connection, kind)
            connection.ears.append(ear)
            return ear

    async def leave(self, ear: Ear) -> None:
        """Hear no more; the last one closes the session."""
        connection = ear.connection
        ear.left = True
        ear.wake()
        if ear in connection.ears:
            connection.ears.remove(ear)
        if not connection.ears:
            await self._end(connection, "left")
        elif ear.wanted and connection.why is None:
            ear.wanted = ()
            with contextlib.suppress(QuantkitError):
                await self._settle(connection)

    async def drop(self, ear: Ear, why: str) -> None:
        """End the connection of an ear, if it still stands."""
        await self._end(ear.connection, why)

    async def close(self) -> None:
        """End the session."""
        if self.connection is not None:
            await self._end(self.connection, "closed")

    async def _dial(self, kind: str, floor: int) -> Ear:
        """A new connection, own orders registered."""
        other = _open.get(self._key)
        if other is not None and other is not self and other.connection is not None:
            raise ConfigError("this process has a stream for this app key, and KIS gives a key one session")
        await self._clock.sleep_until(self._not_before)
        self.generation = max(self.generation + 1, floor)
        self.counts["dials"] += 1
        try:
            approval = await self.client.approval_key()
            connection = await self._connect(approval)
            ear = Ear(connection, kind)
            connection.ears.append(ear)
            try:
                await self._settle(connection)
            except BaseException:
                await self._end(connection, "not opened")
                raise
        except BaseException as error:
            if self._not_before <= self._clock.now_ns():  # there was no connection that could end
                self._not_before = self._clock.now_ns() + round(self._wait.next() * SECOND)
            self._say(f"not connected: {type(error).__name__}: {error}")
            raise
        return ear

    async def _connect(self, approval: SecretStr) -> Connection:
        server, settings = self.client.server, self.settings
        try:
            socket = await connect(
                server.stream + PATH, ping_interval=None, compression=None, open_timeout=settings.answer,
                close_timeout=1.0, max_size=1 << 21, max_queue=1024, proxy=None if server.is_emulated else True,
                logger=_QUIET,
            )  # fmt: skip
        except (OSError, TimeoutError, WebSocketException) as error:
            why = self.client.wire.masked(f"{type(error).__name__}: {error}")
            raise RetryLater(f"KIS's stream cannot be opened: {why}") from None
        now = self._clock.now_ns()
        connection = Connection(socket, self.generation, approval, now, now)
        self.connection, _open[self._key] = connection, self
        loop = asyncio.get_running_loop()
        connection.tasks = [
            loop.create_task(self._read(connection), name="kis stream reader"),
            loop.create_task(self._watch(connection), name="kis stream watchdog"),
        ]
        return connection

    async def _end(self, connection: Connection, why: str) -> None:
        """End a connection, once: nothing of it is heard from here on."""
        if connection.why is not None:
            return
        connection.why = why = self.client.wire.masked(why)
        now = self._clock.now_ns()
        if self.connection is connection:
            self.connection = None
            if now - connection.began >= self.settings.steady * SECOND:
                self._wait.reset()
            self._not_before = max(self._not_before, now + round(self._wait.next() * SECOND))
        if connection.asked is not None and not connection.asked[1].done():
            connection.asked[1].set_result(None)
        for ear in connection.ears:
            ear.wake()
        self._say(f"connection {connection.generation} ended: {why}")
        for task in connection.tasks:
            if task is not asyncio.current_task():
                task.cancel()
        await connection.socket.close()

    def _say(self, what: str) -> None:
        if self._told is not None:
            self._told(self.client.wire.masked(what))

    async def _watch(self, connection: Connection) -> None:
        """End a connection over which nothing comes."""
        patience = round(self.settings.silence * SECOND)
        while self._clock.now_ns() < connection.heard + patience:
            await self._clock.sleep_until(connection.heard + patience)
        self.counts["silences"] += 1
        await self._end(connection, f"SILENT: nothing came for {self.settings.silence:g} s")

    # --- registrations ----------------------------------------------------------------------------------------------

    async def subscribe(self, ear: Ear, wanted: Sequence[Registration]) -> None:
        """All that this ear is to hear, (feed, key) each; what it had before and does not want is given back. Returns
        when everything is acknowledged. ConfigError for more than there is room for."""
        for feed, _ in wanted:
            self._check(feed)
        others = {each for other in ear.connection.ears if other is not ear for each in other.wanted}
        asked = others | set(wanted)
        if len(asked) > self.free:
            kept = " with one for own orders" if self.hears_orders else ""
            raise ConfigError(
                f"{len(asked)} registrations are asked for: KIS gives a session {self.settings.slots}{kept}, so"
                f" {self.free} are left; the one too many is {wanted[-1][0]} of {wanted[-1][1]}"
            )
        ear.wanted = tuple(dict.fromkeys(wanted))
        if ear.connection.why is not None:
            raise RetryLater(f"KIS's stream: {ear.connection.why}")
        await self._settle(ear.connection)

    def _check(self, feed: str) -> None:
        """ConfigError for a feed that KIS does not have, Refused for one that paper does not."""
        name = feeds().get(feed)
        if name is None:
            raise ConfigError(f"KIS has no feed {feed!r}; `quantkit kis ls` lists all")
        if feed in NOTICES:
            raise ConfigError(f"{feed}: own orders are registered by themselves, where the keys have an HTS id")
        if feed not in calls()[name].transactions(self.client.environment).values():
            raise Refused("PAPER_UNSUPPORTED", f"{feed} ({calls()[name].korean}) is not served on 모의투자")

    async def _settle(self, connection: Connection) -> None:
        """Register what is wanted and give back what is not, one after another. Own orders come first."""
        async with connection.lock:
            wanted: dict[Registration, None] = {}
            if self._hts_id is not None:
                wanted[self._notices, self._hts_id.get_secret_value()] = None
            for ear in connection.ears:
                wanted |= dict.fromkeys(ear.wanted)
            for each in sorted(connection.registered - set(wanted)):
                await self._ask(connection, each, "2")
                connection.registered.discard(each)
            for each in wanted:
                if each not in connection.registered:
                    await self._register(connection, each)

    async def _register(self, connection: Connection, what: Registration) -> None:
        """One more. A name that KIS does not know is counted and told; the others are heard all the same."""
        try:
            await self._ask(connection, what, "1")
        except Refused as problem:
            if problem.code != UNKNOWN_NAME or what[0] in NOTICES:
                raise
            self.counts["unknown names"] += 1
            self._say(f"{what[1]} is not heard: {problem}")
        else:
            connection.registered.add(what)

    async def _ask(self, connection: Connection, what: Registration, kind: str) -> None:
        """Register (kind 1) or give back (2), and wait for KIS's word. A dead approval key is renewed once."""
        for last in (False, True):
            ack = await self._answer(connection, what, kind)
            if ack.ok or ack.code == "OPSP0002" or (kind == "2" and ack.code == "OPSP0003"):
                return
            act = act_of(ack.code, ack.text, 200)
            text = self.client.wire.masked(ack.text)
            said = f"KIS's stream, {what[0]}: {ack.code} {text}; {remedy(ack.code)}".removesuffix("; ")
            if act is Act.TOKEN and not last:
                connection.approval = await self.client.approval_key()
            elif act is Act.TEMPORARY or act is Act.TOKEN:
                await self._end(connection, said)
                raise RetryLater(said)
            else:
                raise Refused(ack.code, said)

    async def _answer(self, connection: Connection, what: Registration, kind: str) -> Ack:
        header = {
            "approval_key": connection.approval.get_secret_value(), "custtype": "P", "tr_type": kind,
            "content-type": "utf-8",
        }  # fmt: skip
        text = json.dumps({"header": header, "body": {"input": {"tr_id": what[0], "tr_key": what[1]}}})
        answer: asyncio.Future[Ack | None] = asyncio.get_running_loop().create_future()
        connection.asked = (what, answer)
        why = "it ended"
        try:
            async with asyncio.timeout(self.settings.answer):
                await connection.socket.send(text)
                if (ack := await answer) is not None:
                    return ack
        except TimeoutError:
            why = f"no answer to a registration of {what[0]} for {self.settings.answer:g} s"
        except (OSError, WebSocketException) as error:
            why = f"{type(error).__name__}: {error}"
        finally:
            connection.asked = None
        await self._end(connection, why)
        raise RetryLater(f"KIS's stream: {connection.why}")

    # --- what comes -------------------------------------------------------------------------------------------------

    async def _read(self, connection: Connection) -> None:
        """Everything that comes, until the connection ends."""
        why = "the reader failed"
        try:
            while True:
                message = await connection.socket.recv(decode=False)
                before, connection.heard = connection.heard, self._clock.now_ns()
                await self._take(connection, message, before)
        except (OSError, WebSocketException) as error:
            why = f"{type(error).__name__}: {error}"
        finally:
            await self._end(connection, why)

    async def _take(self, connection: Connection, message: bytes, before: int) -> None:
        if connection.heard >= self._day.midnight + _DAY_NS:
            self._day = day_at(connection.heard)
        self.counts["frames"] += 1
        try:
            said = parse(message, self._day, secrets=connection.secrets, generation=connection.generation)
        except BadFrame as problem:
            self.counts[f"bad {problem.code}"] += 1
            if problem.code not in connection.told:
                connection.told.add(problem.code)
                self._say(f"a frame that cannot be read: {problem}")
            if problem.code not in _NO_PRICES:
                self._lose(connection, Lost(None, before - SECOND, connection.heard))  # trades tell whole seconds
            return
        if isinstance(said, Trades):
            self._tell(connection, "prices", self._once(connection, said))
        elif isinstance(said, Books):
            self._tell(connection, "prices", said.quotes)
        elif isinstance(said, Orders):
            self._tell(connection, "orders", said.notices)
        elif isinstance(said, Ping):
            self.counts["pings"] += 1
            if len(said.text.encode()) <= _PONG:
                await connection.socket.pong(said.text)
            else:
                await connection.socket.send(said.text)
        elif isinstance(said, Ack):
            self._acknowledged(connection, said)
        else:
            self._tell(connection, "records", [said])

    def _tell(self, connection: Connection, kind: str, items: Sequence[Tick | Quote | OrderNotice | Records]) -> None:
        for ear in connection.ears:
            if ear.kind == kind:
                ear.put(items)
                if len(ear.items) > self.settings.most:
                    raise OSError(f"OVERRUN: {len(ear.items)} {kind} wait for a reader")

    def _lose(self, connection: Connection, lost: Lost) -> None:
        """Trades were missed: who reads prices has to look them up."""
        for ear in connection.ears:
            if ear.kind == "prices":
                ear.lost.append(lost)

    def _once(self, connection: Connection, said: Trades) -> list[Tick]:
        """The trades that were not told before. A trade raises the day's volume; what does not is an echo, or what a
        call would print. Shares that no record told of are counted, and lost: a chart has them."""
        last = connection.last.setdefault(said.feed, {})
        kept = []
        for tick, total, expected in zip(said.ticks, said.totals, said.expected, strict=True):
            before = last.get(tick.symbol)
            if before is None:
                if expected:
                    self.counts["expected prints"] += 1
                    continue
            elif total == before[0] and (expected or tick == before[1]):
                self.counts["expected prints" if expected else "echoes"] += 1
                continue
            elif total - tick.volume > before[0]:
                self.counts["missed shares"] += total - tick.volume - before[0]
                self._lose(connection, Lost((tick.symbol,), before[1].time, tick.time + 1))
            last[tick.symbol] = (total, tick)
            kept.append(tick)
        return kept

    def _acknowledged(self, connection: Connection, ack: Ack) -> None:
        if ack.secret is not None:
            connection.secrets[ack.feed] = ack.secret
        asked = connection.asked
        nameless = not ack.ok and not feeds().get(ack.feed)  # KIS answers some refusals to "(null)"
        if asked is None or asked[1].done() or not (nameless or (ack.feed, ack.key) == asked[0]):
            self.counts["stray answers"] += 1
        else:
            asked[1].set_result(ack)
