"""The stream: registrations, prices and order notices over a WebSocket, with KIS's acknowledgements.

Contract: `serve` talks to one client; `pump` is called after the exchange's time has moved and sends what it said. One
session a key: a second is told OPSP8996 and closed. 41 registrations a session, notices included. A PINGPONG text is
sent every `ping` seconds of the machine's; who answers none for `silence` seconds, neither as a pong nor as the same
text, is disconnected. Notices go to every session that asked for the customer's HTS id.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from quantkit.emulator.faults import FaultKind
from quantkit.emulator.kis.frames import frame, notice_record
from quantkit.emulator.kis.garbage import frames
from quantkit.emulator.kis.prices import SPEAKING, Prices
from quantkit.emulator.kis.trading import CODE_OF
from quantkit.emulator.session import SECOND, day_of, hhmmss
from quantkit.market.days import date_of
from quantkit.trading.orders import Side

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Mapping

    from websockets.http11 import Request, Response

    from quantkit.emulator.exchange import Exchange
    from quantkit.emulator.faults import FaultPlan, Strike
    from quantkit.emulator.kis.keys import Customer, Keys
    from quantkit.emulator.kis.trading import Trading
    from quantkit.trading.ports import Notice

SLOTS: Final = 41
QUIET: Final = frozenset({
    "H0NXCNT0", "H0NXASP0", "H0STANC0", "H0NXANC0", "H0UNANC0", "H0STMBC0", "H0NXMBC0", "H0UNMBC0", "H0STPGM0",
    "H0NXPGM0", "H0UNPGM0", "H0STMKO0", "H0NXMKO0", "H0UNMKO0", "H0STOUP0", "H0STOAA0", "H0STOAC0", "H0UPCNT0",
    "H0UPANC0", "H0UPPGM0", "H0STNAV0", "H0GSCNI0", "HDFSCNT0", "HDFSASP0", "HDFSASP1", "H0IFCNT0", "H0IFASP0",
    "H0IFCNI0", "H0GSCNI9", "H0IFCNI9", "H0BICNT0", "H0BJASP0", "H0BJCNT0", "H0CFASP0", "H0CFCNT0", "H0EUANC0",
    "H0EUASP0", "H0EUCNI0", "H0EUCNT0", "H0EWANC0", "H0IOASP0", "H0IOCNT0", "H0MFASP0", "H0MFCNI0", "H0MFCNT0",
    "H0ZFANC0", "H0ZFASP0", "H0ZFCNT0", "H0ZOANC0", "H0ZOASP0", "H0ZOCNT0", "HDFFF010", "HDFFF020", "HDFFF1C0",
    "HDFFF2C0",
})  # fmt: skip
"""Feeds that are acknowledged and never speak: what they tell does not happen here."""
PAPER_FEEDS: Final = frozenset({"H0STCNT0", "H0STASP0", "H0STCNI9", "H0IFCNI9", "H0GSCNI9"})
REFUSED: Final = {
    "OPSP0007": "SUBSCRIBE INTERNAL ERROR", "OPSP0009": "SUBSCRIBE ERROR : mci send failed",
    "OPSP0011": "invalid approval : NOT FOUND", "OPSP8996": "ALREADY IN USE appkey",
}  # fmt: skip
_K = FaultKind


class Socket(ServerConnection):
    """A connection that tells of pongs nobody asked for by a ping: KIS's own client answers PINGPONG with one."""

    on_pong: Callable[[], None] | None = None
    doomed = False  # it is closed as soon as it is open

    def acknowledge_pings(self, data: bytes) -> None:
        super().acknowledge_pings(data)
        if self.on_pong is not None:
            self.on_pong()


@dataclass(eq=False)
class Session:
    """One connection."""

    socket: Socket
    owner: Customer | None = None
    registered: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    outbox: asyncio.Queue[str | bytes] = field(default_factory=asyncio.Queue)
    heard: float = 0.0  # the machine's time of the last answer to a ping
    flows: asyncio.Event = field(default_factory=asyncio.Event)
    stalled: int = 0  # nothing leaves until then
    silent: int = 0  # neither does a PINGPONG

    def say(self, text: str, broken: Strike | None = None) -> None:
        """Send a frame, or what a fault makes of it."""
        for each in (text,) if broken is None else frames(text, broken):
            self.outbox.put_nowait(each)


class _Late(NamedTuple):
    """A frame that is held back."""

    due: int
    say: Callable[[], None]


class _Told(NamedTuple):
    """What a registration is answered. secret: key and iv of its feed."""

    rt_cd: str
    code: str
    words: str
    secret: tuple[str, str] | None = None


class Stream:
    """All sessions of one profile."""

    def __init__(
        self, exchange: Exchange, trading: Trading, keys: Keys, faults: Callable[[], FaultPlan], *,
        machine: Callable[[], float], columns: str, paper: bool, ping: float, silence: float,
        seconds: Callable[[float], float],
    ) -> None:  # fmt: skip
        self.exchange, self.trading, self.keys, self._faults = exchange, trading, keys, faults
        self.machine, self.columns, self.paper = machine, columns, paper
        self.ping, self.silence, self._seconds = ping, silence, seconds
        self.notices = "H0STCNI9" if paper else "H0STCNI0"
        self.sessions: list[Session] = []
        self.prices = Prices(exchange, columns=columns)
        self._listening: dict[str, deque[Notice]] = {}
        self._late: list[_Late] = []
        self._lingering: dict[str, int] = {}  # appkey: until when its last session counts
        self.sent = 0

    def forget(self) -> None:
        """Close every session: the server goes down for a moment."""
        for session in list(self.sessions):
            asyncio.get_running_loop().create_task(session.socket.close())

    async def opening(self, socket: ServerConnection, _: Request) -> Response | None:
        """A handshake, with what goes wrong on its way: an answer that turns it away, or None."""
        assert isinstance(socket, Socket)
        strikes = self._faults().strikes("connect", self.exchange.now)
        if _K.REQUEST_LOST in strikes or _K.ANSWER_LOST in strikes:
            await socket.wait_closed()
        held = max((strikes[kind].seconds for kind in (_K.REQUEST_LATE, _K.ANSWER_LATE) if kind in strikes),
                   default=0.0)  # fmt: skip
        if held:
            await asyncio.sleep(self._seconds(held))
        error = strikes.get(_K.SERVER_ERROR)
        if error is not None and error.chance < 0.5:
            return socket.respond(503, "Service Unavailable\n")
        if _K.RATE_LIMITED in strikes:
            return socket.respond(429, "Too Many Requests\n")
        if _K.GARBAGE in strikes:
            return socket.respond(200, "<html><body>OK</body></html>\n")
        socket.doomed = error is not None
        return None

    # --- one client -----------------------------------------------------------------------------------------------

    async def serve(self, socket: ServerConnection) -> None:
        """Talk to a client until it leaves."""
        assert isinstance(socket, Socket)
        if socket.doomed:
            socket.transport.abort()
            return
        session = Session(socket, heard=self.machine())
        session.flows.set()
        socket.on_pong = lambda: setattr(session, "heard", self.machine())
        self.sessions.append(session)
        writer = asyncio.get_running_loop().create_task(self._write(session))
        pinger = asyncio.get_running_loop().create_task(self._ping(session))
        try:
            async for message in socket:
                text = message if isinstance(message, str) else message.decode("utf-8", "replace")
                if "PINGPONG" in text:
                    session.heard = self.machine()
                elif not self._asked(session, text):
                    while not session.outbox.empty():
                        await socket.send(session.outbox.get_nowait(), text=True)
                    break
        except ConnectionClosed:
            pass  # the client left without a word; nothing is owed to it
        finally:
            writer.cancel()
            pinger.cancel()
            self.sessions.remove(session)
            self._linger(session)
            self._rewatch()
            with contextlib.suppress(ConnectionClosed):
                await socket.close()

    async def _write(self, session: Session) -> None:
        while True:
            text = await session.outbox.get()
            await session.flows.wait()
            with contextlib.suppress(ConnectionClosed):
                await session.socket.send(text, text=True)
                self.sent += 1

    async def _ping(self, session: Session) -> None:
        while True:
            await asyncio.sleep(self.ping)
            if self.machine() - session.heard > self.silence:
                await session.socket.close()
                return
            if session.silent > self.exchange.now:
                continue
            stamp = f"{self._date()}{hhmmss(self.exchange.now)}"
            text = json.dumps({"header": {"tr_id": "PINGPONG", "datetime": stamp}})
            with contextlib.suppress(ConnectionClosed):
                await session.socket.send(text)

    def _date(self) -> str:
        return f"{date_of(day_of(self.exchange.now)):%Y%m%d}"

    # --- registrations --------------------------------------------------------------------------------------------

    def _linger(self, session: Session) -> None:
        """A session has ended; the server may not have noticed."""
        now = self.exchange.now
        strike = self._faults().strikes("session", now).get(_K.SESSION_LINGERS)
        if strike is not None and session.owner is not None:
            self._lingering[session.owner.appkey] = now + round(strike.seconds * SECOND)

    def _asked(self, session: Session, text: str) -> bool:
        """A message of the client; whether the session goes on."""
        try:
            asked = json.loads(text)
            header, wanted = asked["header"], asked["body"]["input"]
            tr, key = str(wanted["tr_id"]), str(wanted["tr_key"])
        except (ValueError, KeyError, TypeError):
            self._answer(session, "(null)", "", _Told("1", "OPSP9999", "JSON PARSING ERROR : input not found"))
            return True
        if header.get("custtype") not in ("P", "B"):
            self._answer(session, tr, key, _Told("1", "OPSP8998", "invalid custtype"))
            return True
        owner = self.keys.approved(str(header.get("approval_key", "")))
        if owner is None:
            self._answer(session, tr, key, _Told("1", "OPSP0011", REFUSED["OPSP0011"]))
            return True
        strikes = self._faults().strikes("register", self.exchange.now, key)
        if _K.REQUEST_LOST in strikes:
            return True
        code = strikes[_K.REGISTRATION_REFUSED].form if _K.REGISTRATION_REFUSED in strikes else ""
        if any(other.owner is owner for other in self.sessions if other is not session) or (
            self._lingering.get(owner.appkey, 0) > self.exchange.now
        ):
            code = "OPSP8996"
        if code == "OPSP8996":
            self._answer(session, "(null)", "", _Told("9", code, REFUSED[code]))
            return False
        session.owner = owner
        told = _Told("1", code, REFUSED[code]) if code else self._register(
            session, owner, str(header.get("tr_type", "")), tr, key
        )  # fmt: skip
        self._answer(session, tr, key, told, strikes)
        self._rewatch()
        return True

    def _register(self, session: Session, owner: Customer, what: str, tr: str, key: str) -> _Told:
        known = tr in QUIET or tr in SPEAKING or tr == self.notices
        if not known or (self.paper and tr not in PAPER_FEEDS):
            return _Told("1", "OPSP8991", "invalid tr_id : NOT FOUND")
        if what == "2":
            if session.registered.pop((tr, key), None) is None:
                return _Told("1", "OPSP0003", "UNSUBSCRIBE ERROR(not found!)")
            return _Told("0", "OPSP0001", "UNSUBSCRIBE SUCCESS")
        if what != "1":
            return _Told("1", "OPSP8997", "invalid tr_type")
        if (tr, key) in session.registered:
            return _Told("1", "OPSP0002", "ALREADY IN SUBSCRIBE", session.registered[tr, key])
        if len(session.registered) >= SLOTS:
            return _Told("1", "OPSP0008", "MAX SUBSCRIBE OVER")
        if tr == self.notices and key != owner.hts_id:
            return _Told("1", "OPSP8992", "invalid tr_key")
        digest = hashlib.sha256(f"{owner.appkey} {tr} {id(session)}".encode()).hexdigest()
        session.registered[tr, key] = (digest[:32], digest[32:48])
        if tr == self.notices:
            self._listening.setdefault(owner.name, self.exchange.listen(owner.name))
        return _Told("0", "OPSP0000", "SUBSCRIBE SUCCESS", session.registered[tr, key])

    def _answer(
        self, session: Session, tr: str, key: str, told: _Told, strikes: Mapping[FaultKind, Strike] | None = None
    ) -> None:
        """Acknowledge, with what goes wrong on the way back."""
        strikes = strikes or {}
        body: dict[str, Any] = {"rt_cd": told.rt_cd, "msg_cd": told.code, "msg1": told.words}
        if told.secret is not None:
            body["output"] = {"iv": told.secret[1], "key": told.secret[0]}
        header = {"tr_id": tr, "tr_key": key, "encrypt": "N"}
        say = partial(
            session.say, json.dumps({"header": header, "body": body}, ensure_ascii=False), strikes.get(_K.FRAME_GARBAGE)
        )
        if _K.ANSWER_LOST in strikes:
            return
        for _ in range(2 if _K.REGISTRATION_DUPLICATED in strikes else 1):
            if _K.ANSWER_LATE in strikes:
                due = self.exchange.now + round(strikes[_K.ANSWER_LATE].seconds * SECOND)
                self._late.append(_Late(due, say))
            else:
                say()

    def _rewatch(self) -> None:
        """Somebody has registered, or left: what was said before is heard by who was there then."""
        self.prices.pump(self._faults())
        self.prices.hear(self.sessions)

    # --- what the exchange said -----------------------------------------------------------------------------------

    def pump(self) -> None:
        """Send what happened since the last time."""
        now = self.exchange.now
        faults = self._faults()
        for session in list(self.sessions):
            self._broken(session, faults, now)
        self.prices.pump(faults)
        for name, heard in self._listening.items():
            while heard:
                self._notice(name, heard.popleft(), faults)
        due = [each for each in self._late if each.due <= now]
        if due:
            self._late = [each for each in self._late if each.due > now]
            for late in sorted(due, key=lambda each: each.due):
                late.say()

    def _broken(self, session: Session, faults: FaultPlan, now: int) -> None:
        strikes = {**faults.strikes("prices", now), **faults.strikes("notices", now)}
        for kind in (_K.SOCKET_STALL, _K.SOCKET_SILENT):
            if kind in strikes:
                session.stalled = max(session.stalled, now + round(strikes[kind].seconds * SECOND))
        if session.stalled > now:
            session.flows.clear()
        else:
            session.flows.set()
        if _K.SOCKET_SILENT in strikes:
            session.silent = session.stalled
        if _K.SOCKET_DROP in strikes and session.socket.transport is not None:
            session.socket.transport.abort()

    # --- notices --------------------------------------------------------------------------------------------------

    def _notice(self, name: str, notice: Notice, faults: FaultPlan) -> None:
        """One notice of the exchange in KIS's words; the end of the day tells nothing."""
        owner = next(each for each in self.keys.customers if each.name == name)
        if notice.kind == "expired":
            return
        strikes = faults.strikes("notice", notice.time, notice.symbol)
        if _K.NOTICE_MISSING in strikes:
            return
        held = max((strikes[kind].seconds for kind in (_K.NOTICE_LATE, _K.NOTICE_REORDERED) if kind in strikes),
                   default=0.0)  # fmt: skip
        record, broken = notice_record(self._words(owner, notice), columns=self.columns), strikes.get(_K.FRAME_GARBAGE)
        say = partial(self._deliver, owner.hts_id, record, broken)
        for _ in range(2 if _K.NOTICE_DUPLICATED in strikes else 1):
            if held:
                self._late.append(_Late(self.exchange.now + round(held * SECOND), say))
            else:
                say()

    def _words(self, owner: Customer, notice: Notice) -> dict[str, str]:
        order = self.exchange.desk.account(owner.name).orders.get(notice.number)
        if order is None:
            order = self.trading.find(owner, notice.number)
        code = CODE_OF[(order.type, order.tif)]
        cancel = self.trading.cancels.pop(notice.number, "") if notice.kind == "canceled" else ""
        fill, price = notice.kind == "filled", notice.price if notice.price is not None else order.price
        number, original = self.trading.odno(notice.number), ""
        if cancel:
            number, original = self.trading.odno(cancel), self.trading.odno(notice.number)
        elif notice.original is not None:
            original = self.trading.odno(notice.original)
        changed = "2" if cancel else "1" if notice.kind == "replaced" else "0"
        state = "2" if fill or cancel or notice.kind == "replaced" else "3" if notice.kind == "canceled" else "1"
        return {
            "CUST_ID": owner.hts_id, "ACNT_NO": owner.account, "ODER_NO": number, "OODER_NO": original,
            "SELN_BYOV_CLS": "01" if notice.side is Side.SELL else "02", "RCTF_CLS": changed, "ODER_KIND": code,
            "ODER_COND": {"ioc": "1", "fok": "2"}.get(str(order.tif), "0"),
            "STCK_SHRN_ISCD": self.trading.code(notice.symbol),
            "CNTG_QTY": f"{notice.quantity:010d}", "CNTG_UNPR": f"{round(price or 0):09d}",
            "STCK_CNTG_HOUR": hhmmss(notice.time),
            "RFUS_YN": "1" if notice.kind == "rejected" else "0", "CNTG_YN": "2" if fill else "1", "ACPT_YN": state,
            "BRNC_NO": self.trading.branch, "ODER_QTY": f"{order.quantity:09d}", "ACNT_NAME": owner.name,
            "CNTG_ISNM": notice.symbol, "ORD_COND_PRC": "000000000", "ORD_EXG_GB": "1", "POPUP_YN": "Y",
            "FILLER": "", "CRDT_CLS": "10", "CRDT_LOAN_DATE": "", "CNTG_ISNM40": notice.symbol,
            "ODER_PRC": f"{round(order.price or 0):09d}",
        }  # fmt: skip

    def _deliver(self, hts_id: str, record: str, broken: Strike | None) -> None:
        for session in self.sessions:
            secret = session.registered.get((self.notices, hts_id))
            if secret is not None:
                session.say(frame(self.notices, [record], encrypt=secret), broken)
