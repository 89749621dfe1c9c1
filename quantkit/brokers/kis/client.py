"""`KisClient`: KIS's REST servers for one account, with types of our own. The broker, the history and the command line
stand on it.

    client = KisClient(keys, clock=clock, folder=folder, server=None, options=None, markets=None, listen=None, ...)
    await client.close()                    also `async with`

    prices      price(symbol) -> Price                    snapshots(symbols) -> {symbol: Snapshot}, 30 names a request
                book(symbol) -> Book                      instrument(symbol) -> Instrument
                minutes(symbol, day) -> [Minute]          days(symbol, start, end) -> [Day]
                day_with_minutes(symbol, day) -> date     holidays(day) -> [CalendarDay]
                names() -> {symbol: Listed}               learn(markets): which of them are ETN and ELW
    account     balance() -> Balance                      orders(start, end) -> [OrderLine]
                open_orders() -> [OpenOrder]              buyable(symbol, price) -> Buyable
                sellable(symbol) -> Sellable
    orders      submit(...) / modify(...) / cancel(...) -> Accepted
    keys        approval_key() -> SecretStr               wire.tokens, wire.read, wire.pages, wire.order
    catalogue   call(name, **fields) -> Result            everything else KIS has

Contract: errors are RetryLater (a question may be asked again; an order has not left or was not taken), `Refusal` (a
Refused with the broker's code and text), OutcomeUnknown (orders only: it may stand), ConfigError (keys, settings, an
argument) and BadData (KIS said something that cannot be read). Symbols are our codes ("005930"); `markets` says which
of them are "ETN" and "ELW", which KIS knows by another code and in another market. venue: "KRX", "NXT", or "SOR" for
both. Lists are complete or an error; charts come oldest first. Orders go out once and leave only through the broker,
which has gates and a journal; nothing else may call `submit`, `modify`, `cancel`, but `rehearsal`, on 모의투자 alone.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

from pydantic import SecretStr

from quantkit.brokers.kis import asking, charts, ledger, masters, quotes
from quantkit.brokers.kis.codes import (
    APPROVAL_PATH,
    RATE,
    STOCK,
    Environment,
    check_venue,
    order_code,
    supports,
    transaction,
)
from quantkit.brokers.kis.figures import day_of, wire_price
from quantkit.brokers.kis.limiter import Clock, Lane, Limiter
from quantkit.brokers.kis.server import Keys, Server, server_of
from quantkit.brokers.kis.transport import HttpTransport, Timeouts, Transport
from quantkit.brokers.kis.wire import Exchange, Wire
from quantkit.errors import BadData, ConfigError, OutcomeUnknown, RetryLater
from quantkit.market import MARKETS
from quantkit.trading.orders import OrderType, Side, TimeInForce

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from quantkit.brokers.kis.answers import Envelope
    from quantkit.brokers.kis.calling import Result

AT_ONCE: Final = 30  # names of one request for snapshots
OLD_ORDERS: Final = dt.timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Options:
    """rate: requests a second (None: 19 real, 2 paper). hashkey: send one with orders. trust_throttle: believe KIS that
    an order refused for its rate limit was not executed (False: such an order's outcome is unknown)."""

    rate: int | None = None
    hashkey: bool = False
    trust_throttle: bool = False
    timeouts: Timeouts = field(default_factory=Timeouts)


class KisClient:
    """One account at KIS. folder: where tokens are kept. limiter: shared by all clients of an app key. listen: is told
    of every exchange, secrets taken out. waits: is told the seconds left while a token is waited for."""

    def __init__(
        self, keys: Keys, *, clock: Clock, folder: Path, server: Server | None = None, options: Options | None = None,
        markets: Mapping[str, str] | None = None, vault_key: bytes | None = None, limiter: Limiter | None = None,
        transport: Transport | None = None, listen: Callable[[Exchange], None] | None = None,
        waits: Callable[[float], None] | None = None,
    ) -> None:  # fmt: skip
        self.server = server_of(keys, server)
        self.environment: Environment = keys.environment
        self.account, self.hts_id = keys.account, keys.hts_id
        self.markets: dict[str, str] = {}
        self.learn(markets or {})
        self.clock, self._keys, self._options = clock, keys, options or Options()
        self._lines: dict[str, tuple[dict[str, Any], ledger.OrderLine]] = {}  # of the list of orders, as last read
        told = self._options
        self.wire = Wire(
            keys, self.server, clock=clock, folder=folder, vault_key=vault_key, listen=listen, waits=waits,
            limiter=limiter or Limiter(told.rate or RATE[keys.environment], clock), trust_throttle=told.trust_throttle,
            transport=transport or HttpTransport(
                self.server.rest, timeouts=told.timeouts, trust_environment=not self.server.is_emulated
            ),
        )  # fmt: skip

    async def close(self) -> None:
        """Let connections go."""
        await self.wire.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"KisClient({self.server.name})"

    # --- prices -----------------------------------------------------------------------------------------------------

    async def price(self, symbol: str, *, venue: str = "KRX", lane: Lane = Lane.DATA) -> quotes.Price:
        """주식현재가 시세."""
        found = await self._quote("price", "inquire-price", self._named(symbol, venue), lane)
        return quotes.price_of(symbol, found.row("output"))

    async def snapshots(
        self, symbols: Sequence[str], *, venue: str = "KRX", lane: Lane = Lane.DATA
    ) -> dict[str, quotes.Snapshot]:
        """관심종목(멀티종목) 시세조회: as many requests as are needed. Names that KIS leaves out are left out.
        Refused (PAPER_UNSUPPORTED) on 모의투자, which has single prices only."""
        found: dict[str, quotes.Snapshot] = {}
        for first in range(0, len(symbols), AT_ONCE):
            part = symbols[first : first + AT_ONCE]
            params: dict[str, str] = {}
            for place, symbol in enumerate(part, 1):
                named = self._named(symbol, venue)
                params[f"FID_COND_MRKT_DIV_CODE_{place}"] = named["FID_COND_MRKT_DIV_CODE"]
                params[f"FID_INPUT_ISCD_{place}"] = named["FID_INPUT_ISCD"]
            answer = await self._quote("snapshots", "intstock-multprice", params, lane)
            back = {self.code(symbol): symbol for symbol in part}
            for row in answer.rows("output"):
                told = quotes.snapshot_of(row)
                symbol = back.get(told.symbol) or ledger.plain_symbol(told.symbol)
                if symbol in part:
                    found[symbol] = quotes.renamed(told, symbol)
        return found

    async def book(self, symbol: str, *, venue: str = "KRX", lane: Lane = Lane.DATA) -> quotes.Book:
        """주식현재가 호가/예상체결."""
        found = await self._quote("book", "inquire-asking-price-exp-ccn", self._named(symbol, venue), lane)
        rest = found.rows("output2")
        return quotes.book_of(symbol, found.row("output1"), rest[0] if rest else {}, self.today())

    async def minutes(
        self, symbol: str, day: dt.date, *, since: str = "000000", until: str = "235959", venue: str = "KRX",
        lane: Lane = Lane.DATA,
    ) -> list[quotes.Minute]:  # fmt: skip
        """Minute chart of one day between two labels HHMMSS, both included, oldest first. Another day than today is
        asked for elsewhere, reaches back about a year and is real only."""
        return await charts.minutes(
            self._quote, self._named(symbol, venue), day, since, until, self.clock.now_ns(), lane
        )

    async def day_with_minutes(self, symbol: str, day: dt.date, *, lane: Lane = Lane.HISTORY) -> dt.date | None:
        """The last day with minutes, that day or one before it; None where KIS's minutes do not reach back so far.
        Real only."""
        found = await charts.newest_minute(self._quote, self._named(symbol, "KRX"), day, lane)
        return None if found is None else day_of(found)

    async def days(
        self, symbol: str, start: dt.date, end: dt.date, *, period: str = "D", adjusted: bool = False,
        venue: str = "KRX", lane: Lane = Lane.HISTORY,
    ) -> list[quotes.Day]:  # fmt: skip
        """Chart by day (period W, M, Y: week, month, year) from start to end, both included, oldest first. Raw prices,
        or adjusted ones, which change afterwards. One request gives a hundred rows: as many as are needed go out."""
        if period not in ("D", "W", "M", "Y") or start > end:
            raise ConfigError(f"period={period!r}, {start} to {end}: expected D, W, M or Y and a start before the end")
        terms = {"FID_PERIOD_DIV_CODE": period, "FID_ORG_ADJ_PRC": "0" if adjusted else "1"}
        return await charts.days(self._quote, self._named(symbol, venue) | terms, start, end, lane)

    async def instrument(self, symbol: str, *, lane: Lane = Lane.DATA) -> quotes.Instrument:
        """주식기본조회. Real only."""
        params = {"PRDT_TYPE_CD": "300", "PDNO": self.code(symbol)}
        found = await self._quote("instrument", "search-stock-info", params, lane)
        return quotes.instrument_of(symbol, found.row("output"))

    async def names(self) -> masters.Names:
        """종목 마스터: every name of KOSPI (with ETF, ETN and ELW), KOSDAQ and KONEX; no keys are sent. What it says
        of ETN and ELW holds for this client from here on."""
        found = await masters.download(self.server)
        self.learn({symbol: one.market for symbol, one in found.items()})
        return found

    def learn(self, markets: Mapping[str, str]) -> None:
        """Markets of names; those of ETN and ELW matter. ConfigError for a market that there is not."""
        for symbol, market in markets.items():
            if market not in MARKETS:
                raise ConfigError(f"{symbol}: market {market!r}, expected one of {', '.join(MARKETS)}")
        self.markets |= {symbol: market for symbol, market in markets.items() if market in ("ETN", "ELW")}

    async def holidays(self, day: dt.date) -> list[quotes.CalendarDay]:
        """국내휴장일조회 from a day on. Real only; KIS asks to be asked once a day."""
        params = {"BASS_DT": f"{day:%Y%m%d}", "CTX_AREA_NK": "", "CTX_AREA_FK": ""}
        found = await self.wire.read(
            transaction("holidays", self.environment), f"{STOCK}/quotations/chk-holiday", params
        )
        return [quotes.calendar_day_of(row) for row in found.rows("output")]

    # --- the account ------------------------------------------------------------------------------------------------

    async def balance(self, *, lane: Lane = Lane.QUERY) -> ledger.Balance:
        """주식잔고조회, all pages."""
        params = self.account.fields() | {
            "AFHR_FLPR_YN": "N", "OFL_YN": "", "INQR_DVSN": "02", "UNPR_DVSN": "01", "FUND_STTL_ICLD_YN": "N",
            "FNCG_AMT_AUTO_RDPT_YN": "N", "PRCS_DVSN": "00", **_FIRST_PAGE,
        }  # fmt: skip
        pages = await self._list("balance", "inquire-balance", params, lane)
        holdings = tuple(ledger.holding_of(row) for page in pages for row in page.rows("output1"))
        return ledger.balance_of(holdings, pages[-1].row("output2"))

    async def orders(
        self, start: dt.date | None = None, end: dt.date | None = None, *, symbol: str = "", number: str = "",
        lane: Lane = Lane.QUERY,
    ) -> list[ledger.OrderLine]:  # fmt: skip
        """주식일별주문체결조회: all orders of some days (default: today), ended ones too, all venues, all pages, oldest
        first. ConfigError for days older than 90 and younger ones at once: KIS keeps them apart."""
        today = self.today()
        first, last = start or today, end or today
        young = today - OLD_ORDERS
        if first > last or first < young <= last:
            raise ConfigError(f"orders {first} to {last}: expected days that are all from {young} on, or all before")
        params = self.account.fields() | {
            "INQR_STRT_DT": f"{first:%Y%m%d}", "INQR_END_DT": f"{last:%Y%m%d}", "SLL_BUY_DVSN_CD": "00",
            "PDNO": self.code(symbol) if symbol else "", "ORD_GNO_BRNO": "", "ODNO": number, "CCLD_DVSN": "00",
            "INQR_DVSN": "01", "INQR_DVSN_1": "", "INQR_DVSN_3": "00",
            "EXCG_ID_DVSN_CD": "KRX" if self.environment is Environment.PAPER else "ALL", **_FIRST_PAGE,
        }  # fmt: skip
        pages = await self._list("orders" if first >= young else "orders_old", "inquire-daily-ccld", params, lane)
        lines = []
        for page in pages:
            lines += [self._line(row) for row in page.rows("output1")]
            await asyncio.sleep(0)  # prices are not held up by a long list
        return list({(day_of(line.time), line.number): line for line in lines}.values())

    def _line(self, row: dict[str, Any]) -> ledger.OrderLine:
        """A row of that list, which is asked for again and again: one that is as it was is not read anew."""
        number = str(row.get("odno"))
        known = self._lines.get(number)
        if known is None or known[0] != row:
            known = self._lines[number] = row, ledger.order_line_of(row)
        return known[1]

    async def open_orders(self, *, lane: Lane = Lane.QUERY) -> list[ledger.OpenOrder]:
        """주식정정취소가능주문조회, all pages. Real only; on 모의투자 `orders` has `leaves`."""
        params = self.account.fields() | {"INQR_DVSN_1": "0", "INQR_DVSN_2": "0", **_FIRST_PAGE}
        pages = await self._list("changeable", "inquire-psbl-rvsecncl", params, lane)
        return [ledger.open_order_of(row) for page in pages for row in page.rows("output")]

    async def buyable(self, symbol: str = "", price: float | None = None, *, lane: Lane = Lane.QUERY) -> ledger.Buyable:
        """매수가능조회: at a price, or with a market order (None). Without a symbol amounts only."""
        params = self.account.fields() | {
            "PDNO": self.code(symbol) if symbol else "", "ORD_UNPR": "" if price is None else wire_price(price),
            "ORD_DVSN": "01" if price is None else "00", "CMA_EVLU_AMT_ICLD_YN": "N", "OVRS_ICLD_YN": "N",
        }  # fmt: skip
        found = await self._ask("buyable", "inquire-psbl-order", params, lane)
        return ledger.buyable_of(found.row("output"))

    async def sellable(self, symbol: str, *, lane: Lane = Lane.QUERY) -> ledger.Sellable:
        """매도가능수량조회; on 모의투자, which has none, what the balance says."""
        if supports("sellable", self.environment):
            params = self.account.fields() | {"PDNO": self.code(symbol)}
            found = await self._ask("sellable", "inquire-psbl-sell", params, lane)
            return ledger.sellable_of(symbol, found.row("output1"))
        held = [each for each in (await self.balance(lane=lane)).holdings if each.symbol == symbol]
        return ledger.Sellable(
            symbol=symbol, quantity=sum(each.quantity for each in held), sellable=sum(each.sellable for each in held),
            average=held[0].average if held else 0.0,
        )  # fmt: skip

    # --- orders -----------------------------------------------------------------------------------------------------

    async def submit(
        self, symbol: str, side: Side, quantity: int, *, price: float | None = None,
        type: OrderType = OrderType.LIMIT, tif: TimeInForce = TimeInForce.DAY, venue: str = "KRX",  # noqa: A002
        lane: Lane = Lane.ORDER,
    ) -> ledger.Accepted:  # fmt: skip
        """주식주문(현금). Sent once. A limit has a price, a market or best order none."""
        code = order_code(type, tif, venue, self.environment)
        if (price is None) == (type in (OrderType.LIMIT, OrderType.CONDITIONAL)):
            raise BadData(f"a {type} order with price {price!r}")
        body = self.account.fields() | {
            "PDNO": self.code(symbol), "ORD_DVSN": code, "ORD_QTY": _shares(quantity), "ORD_UNPR": wire_price(price),
            "EXCG_ID_DVSN_CD": venue, "SLL_TYPE": "01" if side is Side.SELL else "", "CNDT_PRIC": "",
        }  # fmt: skip
        return await self._send("order_buy" if side is Side.BUY else "order_sell", "order-cash", body, lane)

    async def modify(
        self, number: str, branch: str, quantity: int | None, price: float | None, *,
        type: OrderType = OrderType.LIMIT, tif: TimeInForce = TimeInForce.DAY, venue: str = "KRX",  # noqa: A002
        lane: Lane = Lane.ORDER,
    ) -> ledger.Accepted:  # fmt: skip
        """주식주문(정정): other terms for `quantity` shares of what is left, None for all. It gets a new number."""
        return await self._change("01", number, branch, quantity, price, (type, tif, venue), lane)

    async def cancel(
        self, number: str, branch: str, quantity: int | None = None, *, type: OrderType = OrderType.LIMIT,  # noqa: A002
        tif: TimeInForce = TimeInForce.DAY, venue: str = "KRX", lane: Lane = Lane.CANCEL,
    ) -> ledger.Accepted:  # fmt: skip
        """주식주문(취소): `quantity` shares of what is left, None for all. RetryLater where the exchange has not taken
        the order yet."""
        return await self._change("02", number, branch, quantity, None, (type, tif, venue), lane)

    async def _change(
        self, what: str, number: str, branch: str, quantity: int | None, price: float | None,
        terms: tuple[OrderType, TimeInForce, str], lane: Lane,
    ) -> ledger.Accepted:  # fmt: skip
        kind, tif, venue = terms
        body = self.account.fields() | {
            "KRX_FWDG_ORD_ORGNO": branch, "ORGN_ODNO": ledger.number_of(number),
            "ORD_DVSN": order_code(kind, tif, venue, self.environment), "RVSE_CNCL_DVSN_CD": what,
            "ORD_QTY": "0" if quantity is None else _shares(quantity), "ORD_UNPR": wire_price(price),
            "QTY_ALL_ORD_YN": "Y" if quantity is None else "N", "CNDT_PRIC": "", "EXCG_ID_DVSN_CD": venue,
        }  # fmt: skip
        return await self._send("order_change", "order-rvsecncl", body, lane)

    async def _send(self, what: str, path: str, body: dict[str, str], lane: Lane) -> ledger.Accepted:
        """One order. What was accepted and cannot be read is unknown."""
        name = transaction(what, self.environment)
        found = await self.wire.order(name, f"{STOCK}/trading/{path}", body, lane=lane, hashed=self._options.hashkey)
        try:
            return ledger.accepted_of(found.row("output"), self.clock.now_ns(), found.text)
        except BadData as problem:
            raise OutcomeUnknown(f"KIS {name}: taken, and its number cannot be read ({problem})") from None

    # --- the catalogue ----------------------------------------------------------------------------------------------

    async def call(
        self, name: str, /, *, variant: str | None = None, pages: int | None = None, **fields: object
    ) -> Result:
        """Any call of the catalogue but orders and streams, by its name; fields under KIS's names or ours. All pages,
        or the first `pages`; of charts that run backwards (`continuing`) one. `variant` says which transaction where
        a call has several. ConfigError for arguments, Refused for a call that paper does not have, and for one that
        orders: orders leave through the broker."""
        return await asking.ask(self, name, fields, variant=variant, pages=pages)

    # --- keys -------------------------------------------------------------------------------------------------------

    async def approval_key(self) -> SecretStr:
        """A new key for the stream (웹소켓 접속키). It lives for a day; only subscribing looks at it."""
        body = {
            "grant_type": "client_credentials", "appkey": self._keys.app_key.get_secret_value(),
            "secretkey": self._keys.app_secret.get_secret_value(),
        }  # fmt: skip
        found = (await self.wire.post(APPROVAL_PATH, body)).get("approval_key")
        if not isinstance(found, str) or not found.strip():
            raise RetryLater("KIS gave no approval key for the stream")
        self.wire.hide(found.strip())
        return SecretStr(found.strip())

    # --- inside -----------------------------------------------------------------------------------------------------

    def today(self) -> dt.date:
        """The date in Seoul."""
        return day_of(self.clock.now_ns())

    def code(self, symbol: str) -> str:
        """A symbol as KIS writes it."""
        return f"Q{symbol}" if self.markets.get(symbol) == "ETN" else symbol

    def _named(self, symbol: str, venue: str) -> dict[str, str]:
        code = "W" if self.markets.get(symbol) == "ELW" else check_venue(venue)
        return {"FID_COND_MRKT_DIV_CODE": code, "FID_INPUT_ISCD": self.code(symbol)}

    async def _quote(self, what: str, path: str, params: Mapping[str, str], lane: Lane) -> Envelope:
        return await self.wire.read(
            transaction(what, self.environment), f"{STOCK}/quotations/{path}", params, lane=lane
        )

    async def _ask(self, what: str, path: str, params: Mapping[str, str], lane: Lane) -> Envelope:
        return await self.wire.read(transaction(what, self.environment), f"{STOCK}/trading/{path}", params, lane=lane)

    async def _list(self, what: str, path: str, params: Mapping[str, str], lane: Lane) -> list[Envelope]:
        return await self.wire.pages(transaction(what, self.environment), f"{STOCK}/trading/{path}", params, lane=lane)


def _shares(quantity: int) -> str:
    if isinstance(quantity, bool) or not isinstance(quantity, int) or not 0 < quantity < 10**10:
        raise BadData(f"quantity={quantity!r}: expected a whole number of shares, 1 or more")
    return str(quantity)


_FIRST_PAGE: Final = {"CTX_AREA_FK100": "", "CTX_AREA_NK100": ""}
