"""KIS's servers on your own machine: REST and WebSocket over the emulated exchange.

    async with KisEmulator(exchange, accounts=3, paper=True, speed=60) as kis:
        kis.rest, kis.stream, kis.customers

Contract: written from published facts about the wire and from nothing of our client. One emulator serves one profile,
real or paper (모의투자): identifiers, codes, page sizes, limits and what is not supported differ. It listens on
loopback only. What it does not replay is answered from a table of all of KIS's services (`services`); what is not in it
gets EGW00310. Master files are at /common/master/. Beside KIS's services it has its own:

    GET  /emulator/state    the time, sessions, frames, faults so far
    POST /emulator/faults   a fault plan as JSON, from now on
    POST /emulator/time     {"seconds": s}: let so much time pass at once
    POST /emulator/revoke   all tokens end, as in a night's maintenance
    POST /emulator/drop     all sessions of the stream are closed
"""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import json
import secrets
import time
from typing import TYPE_CHECKING, Any, Final, Self

from websockets.asyncio.server import serve as serve_sockets

from quantkit.emulator.faults import FaultKind, FaultPlan
from quantkit.emulator.kis import garbage, http, masters
from quantkit.emulator.kis.envelope import Answer, Business, Gateway, answered, stopped, text, turned_away
from quantkit.emulator.kis.http import HOLD, Reply, Request
from quantkit.emulator.kis.keys import Customer, Keys, customers, hash_of
from quantkit.emulator.kis.overseas import Overseas
from quantkit.emulator.kis.pace import Pace
from quantkit.emulator.kis.quotes import Quotes
from quantkit.emulator.kis.services import Service, Services, find
from quantkit.emulator.kis.stream import Socket, Stream
from quantkit.emulator.kis.trading import Trading
from quantkit.emulator.session import SECOND, session_clock
from quantkit.errors import ConfigError
from quantkit.trading.orders import Side

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from quantkit.data.bars import Bars
    from quantkit.emulator.exchange import Exchange
    from quantkit.emulator.faults import Strike

_K = FaultKind
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
_T: Final = "/uapi/domestic-stock/v1/trading/"
_Q: Final = "/uapi/domestic-stock/v1/quotations/"
ORDERS: Final = {
    "TTTC0012U": "buy", "TTTC0802U": "buy", "TTTC0011U": "sell", "TTTC0801U": "sell", "TTTC0013U": "change",
    "TTTC0803U": "change",
}  # fmt: skip
ACCOUNT: Final = {
    "TTTC0081R": "daily", "TTTC8001R": "daily", "CTSC9215R": "daily", "CTSC9115R": "daily", "TTTC0084R": "changeable",
    "TTTC8036R": "changeable", "TTTC8908R": "buyable", "TTTC8408R": "sellable", "TTTC8434R": "balance",
}  # fmt: skip
LEDGER: Final = frozenset((*ORDERS.values(), *ACCOUNT.values()))
NOT_ON_PAPER: Final = frozenset({"TTTC0084R", "TTTC8036R", "TTTC8408R"})
PATHS: Final = {
    "buy": "order-cash", "sell": "order-cash", "change": "order-rvsecncl", "daily": "inquire-daily-ccld",
    "changeable": "inquire-psbl-rvsecncl", "buyable": "inquire-psbl-order", "sellable": "inquire-psbl-sell",
    "balance": "inquire-balance",
}  # fmt: skip
QUOTES: Final = {
    "FHKST01010100": ("inquire-price", "price", True), "FHKST11300006": ("intstock-multprice", "several", False),
    "FHKST01010200": ("inquire-asking-price-exp-ccn", "book", True), "FHKST01010300": ("inquire-ccnl", "ticks", True),
    "FHKST01010400": ("inquire-daily-price", "recent", True),
    "FHKST03010200": ("inquire-time-itemchartprice", "minutes", True),
    "FHKST03010230": ("inquire-time-dailychartprice", "past", False),
    "FHKST03010100": ("inquire-daily-itemchartprice", "days", True),
    "CTCA0903R": ("chk-holiday", "holidays", False),
}  # fmt: skip
"""TR id: last part of the path, what answers it, whether paper has it."""
_KEYS: Final = {"/oauth2/tokenP": "token", "/oauth2/Approval": "approval"}
_FAULTS: Final = {
    "buy": "submit", "sell": "submit", "daily": "orders", "changeable": "orders", "buyable": "orderable_cash",
    "sellable": "sellable", "balance": "positions", "minutes": "candles", "past": "candles", "days": "candles",
}  # fmt: skip


class KisEmulator:
    """One profile's servers over an exchange.

    accounts      customers to make, or names of their accounts; those that the exchange lacks begin with `cash` won
    speed         emulated seconds in one of the machine's; 0: time stands until it is skipped
    start         UTC nanoseconds at which time begins; default: the exchange's
    calls, ledger requests a second for a key, and for its account; None: KIS's own (20, or 2 on paper), no count. The
                  second is an emulated one where those pass faster than the machine's
    columns       profile of the stream's columns, `frames.COLUMNS`
    ping, silence seconds between two PINGPONGs, and without an answer before a session is closed
    overseas      bars of names elsewhere by length ("1d", "1m"), for quotes of overseas stocks
    blanks        rows of empty fields in lists with nothing to tell
    machine, beat the machine's seconds, and how many pass between two looks at the exchange
    """

    def __init__(
        self, exchange: Exchange, *, paper: bool = True, accounts: int | Sequence[str] = 1, cash: int = 100_000_000,
        speed: float = 1.0, start: int | None = None, faults: FaultPlan | None = None, host: str = "127.0.0.1",
        port: int = 0, stream_port: int = 0, calls: int | None = None, ledger: int | None = None,
        columns: str = "2026-09", ping: float = 30.0, silence: float = 100.0, seed: int = 0,
        machine: Callable[[], float] = time.monotonic, beat: float = 0.002,
        overseas: Callable[[str], Bars | None] | None = None, blanks: int = 0,
    ) -> None:  # fmt: skip
        if host not in LOOPBACK:
            raise ConfigError(f"host={host!r}: the emulator listens on loopback only, such as 127.0.0.1")
        self.exchange, self.paper = exchange, paper
        self.pace = Pace(exchange.now if start is None else start, speed=speed, machine=machine)
        self.faults = FaultPlan() if faults is None else faults
        own = customers(accounts, paper=paper, seed=seed)
        for one in own:
            if one.name not in exchange.desk.accounts:
                exchange.open_account(one.name, cash)
        per_second = (2 if paper else 20) if calls is None else calls
        self.keys = Keys(
            own, customers(accounts, paper=not paper, seed=seed), now=self.pace.now,
            seconds=machine if speed <= 1.0 else lambda: self.pace.now() / SECOND, calls=per_second, ledger=ledger,
        )  # fmt: skip
        self.trading, self.quotes = Trading(exchange, paper=paper), Quotes(exchange)
        self.services = Services(self.quotes, self.trading, Overseas(overseas), blanks=blanks)
        self.streams = Stream(
            exchange, self.trading, self.keys, lambda: self.faults, machine=machine, columns=columns, paper=paper,
            ping=ping, silence=silence, seconds=self.pace.seconds,
        )  # fmt: skip
        self._where, self._ports = host, (port, stream_port)
        self._servers: list[Any] = []
        self._every = beat
        self._heart: asyncio.Task[None] | None = None
        self.requests = 0

    @property
    def customers(self) -> tuple[Customer, ...]:
        """Who may call."""
        return self.keys.customers

    async def __aenter__(self) -> Self:
        rest = await http.serve(self.handle, self._where, self._ports[0])
        stream = await serve_sockets(
            self.streams.serve,
            self._where,
            self._ports[1],
            ping_interval=None,
            compression=None,
            create_connection=Socket,
            process_request=self.streams.opening,
            open_timeout=None,
        )
        self._servers = [rest, stream]
        port, stream_port = (each.sockets[0].getsockname()[1] for each in (rest, stream))
        self.rest, self.stream = f"http://{self._where}:{port}", f"ws://{self._where}:{stream_port}"
        self._heart = asyncio.get_running_loop().create_task(self._beat())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._heart is not None:
            self._heart.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._heart
        for server in self._servers:
            server.close()
        for server in self._servers:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(server.wait_closed(), 1.0)

    @property
    def alive(self) -> bool:
        """Whether time goes on; what stopped it is raised on leaving."""
        return self._heart is not None and not self._heart.done()

    async def _beat(self) -> None:
        """Let the exchange follow the clock."""
        while True:
            self.advance()
            await asyncio.sleep(self._every)

    def advance(self) -> None:
        """Let everything happen up to now, and tell who listens."""
        self.exchange.advance(self.pace.now())
        self.streams.pump()

    # --- requests -------------------------------------------------------------------------------------------------

    async def handle(self, request: Request) -> Reply:
        """One request, whatever it is."""
        self.requests += 1
        headers = self._headers(request)
        if request.path.startswith("/emulator/"):
            return self._control(request)
        if request.path.startswith(masters.FOLDER):
            return masters.file(self.quotes, request.path.removeprefix(masters.FOLDER))
        oauth = request.path.startswith("/oauth2/")
        try:
            if oauth or request.path == "/uapi/hashkey":
                return await self._keyed(request, headers, oauth=oauth)
            return await self._service(request, headers)
        except Gateway as error:
            return stopped(error, headers, oauth=oauth)
        except Business as error:
            return turned_away(error, headers)

    async def _keyed(self, request: Request, headers: tuple[tuple[str, str], ...], *, oauth: bool) -> Reply:
        """A request for a token or a key, with what goes wrong on its way."""
        name = _KEYS.get(request.path)
        strikes = {} if name is None else self.faults.strikes(name, self.pace.now())
        if _K.RATE_LIMITED in strikes:
            raise Gateway("EGW00133", 403) if name == "token" else Gateway("EGW00201")
        if not await self._there(strikes):
            return HOLD
        try:
            reply = Reply(200, text(self._oauth(request)), headers)
        except Gateway as error:
            reply = stopped(error, headers, oauth=oauth)
        return await self._back(reply, strikes)

    def _headers(self, request: Request) -> tuple[tuple[str, str], ...]:
        """Title-Case for the ordinary ones, lower case for KIS's own."""
        now = self.pace.now()
        date = email.utils.formatdate((now + self.faults.skew(now)) / SECOND, usegmt=True)
        own = request.headers
        return (("Date", date), ("tr_id", own.get("tr_id", "")), ("gt_uid", secrets.token_hex(16)))

    def _oauth(self, request: Request) -> dict[str, object]:
        if request.method != "POST":
            raise Gateway("EGW00101")
        body = _body(request)
        match request.path:
            case "/oauth2/tokenP":
                return self.keys.token(body)
            case "/oauth2/revokeP":
                return self.keys.revoke(body)
            case "/oauth2/Approval":
                return self.keys.approval(body)
            case "/uapi/hashkey":
                owner = self.keys.customer(request.headers.get("appkey"), request.headers.get("appsecret"))
                return {"BODY": body, "HASH": hash_of(owner, body)}
        raise Gateway("EGW00101")

    async def _service(self, request: Request, headers: tuple[tuple[str, str], ...]) -> Reply:
        owner = self.keys.caller(request.headers)
        what = self._what(request)
        posted = request.method == "POST"
        given = _posted(owner, request) if posted else {name.upper(): said for name, said in request.query.items()}
        name = _FAULTS.get(what, "day") if isinstance(what, str) else "day"
        if what == "change":
            name = "cancel" if given.get("RVSE_CNCL_DVSN_CD") == "02" else "modify"
        self.exchange.advance(self.pace.now())
        strikes = self.faults.strikes(name, self.pace.now(), given.get("PDNO") or given.get("FID_INPUT_ISCD"))
        ledger = isinstance(what, str) and what in LEDGER
        if ledger:
            self.keys.at_the_ledger(owner)
        if _K.TOKEN_REVOKED in strikes:
            self.keys.end(owner)
        if _K.TOKEN_EXPIRED in strikes or _K.TOKEN_REVOKED in strikes:
            raise Gateway("EGW00123")
        if _K.RATE_LIMITED in strikes:
            raise Gateway("EGW00215" if ledger and strikes[_K.RATE_LIMITED].chance < 0.5 else "EGW00201")
        if not await self._there(strikes):
            return HOLD
        reply = self._done(owner, what, given, request.headers.get("tr_cont", ""), strikes, headers)
        return await self._back(reply, strikes)

    async def _there(self, strikes: Mapping[FaultKind, Strike]) -> bool:
        """The way of a request; whether it arrives. Gateway: the server is in trouble before it does anything."""
        error = strikes.get(_K.SERVER_ERROR)
        if _K.REQUEST_LOST in strikes:
            return False
        if error is not None and error.chance < 0.5:
            raise Gateway("EGW00302")
        if _K.REQUEST_LATE in strikes:
            await asyncio.sleep(self.pace.seconds(strikes[_K.REQUEST_LATE].seconds))
            self.exchange.advance(self.pace.now())
        return True

    async def _back(self, reply: Reply, strikes: Mapping[FaultKind, Strike]) -> Reply:
        """The way of the answer."""
        if _K.ANSWER_LOST in strikes:
            return HOLD
        held = max((strikes[kind].seconds for kind in (_K.ANSWER_LATE, _K.FILL_FIRST) if kind in strikes), default=0.0)
        if held:
            await asyncio.sleep(self.pace.seconds(held))
        if _K.SERVER_ERROR in strikes:
            raise Gateway("EGW00302")
        if _K.GARBAGE in strikes:
            return garbage.reply(reply, strikes[_K.GARBAGE])
        return reply

    def _what(self, request: Request) -> str | Service:
        """Which service is asked for, by method, path and TR id together: one that is replayed, or one of the table."""
        tr, path = request.headers.get("tr_id", ""), request.path
        quote = QUOTES.get(tr)
        if quote is not None:
            if request.method != "GET" or path != _Q + quote[0]:
                raise Business("OPSQ0002", "ERROR : 없는 서비스 코드 입니다.")
            if self.paper and not quote[2]:
                raise Gateway("EGW02006")
            return quote[1]
        real = f"{'C' if tr[1:4] == 'TSC' else 'T'}{tr[1:]}" if tr.startswith("V") else tr
        name = ORDERS.get(real) or ACCOUNT.get(real)
        if name is None:
            return find(request.method, path, tr, paper=self.paper)
        if self.paper != tr.startswith("V") or (self.paper and real in NOT_ON_PAPER):
            raise Gateway("EGW02006" if self.paper else "EGW00310")
        if path != _T + PATHS[name] or request.method != ("POST" if real in ORDERS else "GET"):
            raise Business("OPSQ0002", "ERROR : 없는 서비스 코드 입니다.")
        return name

    def _done(
        self, owner: Customer, what: str | Service, given: dict[str, str], cont: str,
        strikes: Mapping[FaultKind, Strike], headers: tuple[tuple[str, str], ...],
    ) -> Reply:  # fmt: skip
        """Do it; the answer, or the refusal, as it would leave."""
        try:
            answer = self._answer(owner, what, given, cont, strikes)
        except Business as error:
            return turned_away(error, headers)
        if _K.PAGE_MISSING in strikes and answer.cont:
            changed = Business("APBK0918", "조회이후에 자료가 변경되었습니다.(다시 조회하세요)")
            return turned_away(changed, headers)
        return answered(answer, headers)

    def _answer(
        self, owner: Customer, what: str | Service, given: dict[str, str], cont: str,
        strikes: Mapping[FaultKind, Strike],
    ) -> Answer:  # fmt: skip
        trading, quotes = self.trading, self.quotes
        if self.exchange.day is None:
            raise Business("APBK0918", "장운영시간이 아닙니다.")
        if isinstance(what, Service):
            return self.services.answer(what, owner, given)
        then = next((strikes[kind] for kind in (_K.LIST_LAGS, _K.STALE_SNAPSHOT) if kind in strikes), None)
        at = None if then is None else self.exchange.now - round(then.seconds * SECOND)
        match what:
            case "buy" | "sell":
                answer = trading.order(owner, given, Side.BUY if what == "buy" else Side.SELL)
                if _K.FILL_FIRST in strikes:
                    self._race(owner, answer.blocks["output"]["ODNO"], strikes[_K.FILL_FIRST])
                return answer
            case "change":
                if _K.NOT_TAKEN_YET in strikes:
                    trading.check_taken(owner, given, strikes[_K.NOT_TAKEN_YET].seconds)
                if _K.CANCEL_RACES_FILL in strikes:
                    self._race(owner, given.get("ORGN_ODNO", ""), strikes[_K.CANCEL_RACES_FILL])
                return trading.change(owner, given)
            case "daily":
                return trading.daily(owner, given, cont, at)
            case "changeable":
                return trading.changeable(owner, given, cont)
            case "buyable":
                return trading.buyable(owner, given)
            case "sellable":
                return trading.sellable(owner, given)
            case "balance":
                return trading.balance(owner, given, cont, at)
            case "past":
                return quotes.minutes(given, past=True)
        services: dict[str, Callable[[dict[str, str]], Answer]] = {
            "price": quotes.price, "several": quotes.several, "book": quotes.book, "ticks": quotes.ticks,
            "recent": quotes.recent, "minutes": quotes.minutes, "days": quotes.days, "holidays": quotes.holidays,
        }  # fmt: skip
        return services[what](given)

    def _race(self, owner: Customer, odno: str, strike: Strike) -> None:
        """Somebody trades with part of an order, or all of it."""
        number = self.trading.number(odno)
        order = self.exchange.desk.account(owner.name).orders.get(number)
        if order is not None and order.leaves and order.price is not None:
            self.exchange.strike(owner.name, number, max(1, round(order.leaves * min(1.0, 1.3 * strike.chance))))

    # --- control --------------------------------------------------------------------------------------------------

    def _control(self, request: Request) -> Reply:
        """What tests and people ask of the emulator itself."""
        match request.method, request.path:
            case "GET", "/emulator/state":
                pass
            case "POST", "/emulator/faults":
                try:
                    self.faults = FaultPlan.from_dict(json.loads(request.body or b"{}"))
                except (ValueError, ConfigError) as error:
                    return Reply(400, text({"error": str(error)}))
            case "POST", "/emulator/time":
                self.pace.skip(float(json.loads(request.body)["seconds"]))
                self.advance()
            case "POST", "/emulator/revoke":
                self.keys.revoke_all()
            case "POST", "/emulator/drop":
                self.streams.forget()
            case _:
                return Reply(404, text({"error": f"{request.method} {request.path} is not known"}))
        return Reply(200, text(self.state()))

    def state(self) -> dict[str, Any]:
        """Time, traffic and faults so far."""
        return {
            "time": self.pace.now(),
            "speed": self.pace.speed,
            "paper": self.paper,
            "ends": session_clock(self.exchange.source.days()[-1]).close,
            "day": self.exchange.day,
            "requests": self.requests,
            "tokens": self.keys.issued,
            "sessions": len(self.streams.sessions),
            "frames": self.streams.sent,
            "injected": {str(kind): count for kind, count in self.faults.injected.items()},
            "struck": dict(self.faults.struck),
        }


def _posted(owner: Customer, request: Request) -> dict[str, str]:
    """The body of a service's POST, whose hash key, where it has one, is its own."""
    if not request.headers.get("content-type", "application/json").startswith("application/json"):
        raise Gateway("EGW00132")
    body, told = _body(request), request.headers.get("hashkey")
    if told and told != hash_of(owner, body):
        raise Gateway("EGW00131")
    return body


def _body(request: Request) -> dict[str, str]:
    """A JSON object of text."""
    try:
        found = json.loads(request.body or b"{}")
    except ValueError:
        raise Gateway("EGW00101") from None
    if not isinstance(found, dict):
        raise Gateway("EGW00101")
    return {str(name): value if isinstance(value, str) else str(value) for name, value in found.items()}
