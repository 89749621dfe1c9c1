"""What this house takes KIS to do without having seen it, and how an account can show whether it does.

    1 questions      keys, tokens, rates, clock, charts, what 모의투자 lacks
    2 orders         (모의투자 only, `rehearsal`) one share at the day's lower limit: bought, changed, cancelled
    3 the stream     how often it says PINGPONG
    4 the rest       what nobody can try without harm, money or another key, and why

Contract: `walk` yields one `Checked` an assumption and ends whatever KIS says: an error is "not testable", in its own
words. Nothing that costs money is asked; orders are sent on 모의투자 alone, cancelled again, and not while `orders`
is False. `Heard` must be the client's listener: codes and statuses are read from what went over the wire.
"""

from __future__ import annotations

import datetime as dt
import email.utils
import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from quantkit.brokers.kis.codes import RATE, STOCK, Environment, transaction
from quantkit.brokers.kis.figures import SECOND, decimal, moment
from quantkit.brokers.kis.ledger import plain_symbol
from quantkit.errors import BadData, QuantkitError
from quantkit.market.krx import lot_size

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from quantkit.brokers.kis.client import KisClient
    from quantkit.brokers.kis.masters import Listed
    from quantkit.brokers.kis.stream import KisStream
    from quantkit.brokers.kis.wire import Exchange

State = Literal["confirmed", "refuted", "not testable"]
SPELLINGS: Final = ("cnc_cfrm_qty", "cncl_cfrm_qty")
BURST_S: Final = 2.0  # seconds at the full rate
_NO_TOKEN: Final = "quantkit-doctor-asks-with-a-token-that-is-none"


@dataclass(frozen=True, slots=True)
class Checked:
    """One assumption, and what was seen of it."""

    name: str
    assumed: str
    state: State
    seen: str


class Untestable(Exception):
    """This account, at this time, cannot show it; the message says why."""


class Heard:
    """A client's listener that remembers: codes and statuses are only on the wire."""

    def __init__(self, then: Callable[[Exchange], None] | None = None) -> None:
        self.exchanges: list[Exchange] = []
        self._then = then

    def __call__(self, told: Exchange) -> None:
        self.exchanges.append(told)
        if self._then is not None:
            self._then(told)

    def body(self, path: str) -> dict[str, Any]:
        """The latest answer of a path. Untestable where there was none that can be read."""
        for told in reversed(self.exchanges):
            if told.path.endswith(path) and told.answer:
                try:
                    found = json.loads(told.answer)
                except ValueError:
                    continue
                if isinstance(found, dict):
                    return found
        raise Untestable(f"no answer of {path} was seen")

    def code(self, path: str) -> str:
        """msg_cd of the latest answer of a path."""
        found = self.body(path)
        return str(found.get("msg_cd") or found.get("error_code") or "")


NOT_TESTABLE: Final[dict[str, tuple[str, str]]] = {
    "OTHER_KEYS": (
        "keys of one environment are refused by the other's server",
        "it takes a key of each, and the client never sends one to the other's server",
    ),
    "PING_SILENCE": ("an unanswered PINGPONG ends the session after about 100 s", "ours are always answered"),
    "SESSION_LIFE": ("a session of the stream may end at night", "it takes a night; it is dialled anew"),
    "THROTTLED_ORDER": (
        "an order refused with EGW00201 or EGW00215 was not executed",
        "it takes a burst of orders; until it is known such an order is unknown (`trust_throttle = true` believes it)",
    ),
    "LATE_ORDER_KINDS": ("ORD_DVSN 27-29 and 41-47 are those of the extended sessions", "we send none of them"),
    "NXT_COLUMNS": ("books of NXT and SOR have 62, 65 or 66 columns", "the parser takes any number from 59 on"),
    "NIGHT_FUTURES": ("a night futures order is changed by TTTN1103U or STTN1103U", "futures have no broker here"),
}
"""What is assumed, and why it is not tried, by name."""


class Assumptions:
    """One walk. patience: seconds to listen to the stream, of the machine's; pace: seconds of the clock in one of them;
    symbol: a name that trades every minute."""

    def __init__(
        self, client: KisClient, heard: Heard, *, stream: KisStream | None = None, symbol: str = "005930",
        patience: float = 90.0, pace: float = 1.0, orders: bool = True,
    ) -> None:  # fmt: skip
        self.client, self.heard, self.stream = client, heard, stream
        self.symbol, self.patience, self.pace, self.orders = symbol, patience, pace, orders
        self.paper = client.environment is Environment.PAPER
        self._names: list[Listed] | None = None
        self._unread = ""  # of the master files

    async def walk(self) -> AsyncIterator[Checked]:
        """Every assumption, in order."""
        from quantkit.brokers.kis.rehearsal import rehearse

        for look in (
            self.account_answers, self.clock_agrees, self.dead_token, self.same_token, self.rate_holds,
            self.amounts_without_a_name, self.minute_labels, self.index_rows, self.master_files, self.elw_market,
            self.elw_terms, self.lots, self.overseas_open_orders,
        ):  # fmt: skip
            yield await self._looked(look)
        async for checked in rehearse(self):
            yield checked
        yield await self._looked(self.pings)
        for name, (assumed, why) in NOT_TESTABLE.items():
            yield Checked(name, assumed, "not testable", why)

    async def _looked(self, look: Any) -> Checked:
        """One check to its end. Its docstring is what is assumed."""
        name, assumed = look.__name__.upper(), " ".join(str(look.__doc__).split()).rstrip(".")
        try:
            holds, seen = await look()
        except Untestable as why:
            return Checked(name, assumed, "not testable", str(why))
        except QuantkitError as problem:
            return Checked(name, assumed, "not testable", f"{type(problem).__name__}: {problem}")
        return Checked(name, assumed, "confirmed" if holds else "refuted", seen)

    async def pause(self, seconds: float) -> None:
        """Let time pass."""
        await self.client.clock.sleep_until(self.client.clock.now_ns() + round(seconds * SECOND))

    # --- questions --------------------------------------------------------------------------------------------------

    async def account_answers(self) -> tuple[bool, str]:
        """keys, account and server belong together, and the balance has money by settlement day"""
        found = await self.client.balance()
        return True, f"{len(found.holdings)} names held; cash today, at D+1 and D+2 is told"

    async def clock_agrees(self) -> tuple[bool, str]:
        """answers carry a Date header, and this machine's clock is within two seconds of it"""
        dated = [told for told in self.heard.exchanges if told.date]
        if not dated:
            return False, "no Date header"
        last = dated[-1]
        said = email.utils.parsedate_to_datetime(last.date).timestamp()
        off = said + 0.5 - (last.sent + last.received) / 2 / SECOND
        unsure = (last.received - last.sent) / 2 / SECOND
        good = abs(off) <= 2.0 + unsure
        words = "good" if good else "set it, or keep a time service running"
        return good, f"the server's clock less ours: {off:+.1f} s, give or take {0.5 + unsure:.1f}; {words}"

    async def dead_token(self) -> tuple[bool, str]:
        """a token that is none is answered with HTTP 500 and EGW00121 or EGW00123"""
        await self._price_with(_NO_TOKEN)
        status, code = self.heard.exchanges[-1].status, self.heard.code("inquire-price")
        return (status, code) in ((500, "EGW00121"), (500, "EGW00123")), f"HTTP {status} {code}"

    async def same_token(self) -> tuple[bool, str]:
        """a token asked for again within six hours, a minute later, is the same one"""
        if not self.paper:
            raise Untestable("each issue on 실전 sends its owner a message")
        tokens = self.client.wire.tokens
        before = await tokens.token()
        again = await tokens.again()
        if before == again:
            return True, "the same"
        await self._price_with(before)
        serves = self.heard.exchanges[-1].status == 200
        return False, f"another one; the older {'serves on' if serves else 'is dead'}"

    async def _price_with(self, token: str) -> None:
        params = {"FID_COND_MRKT_DIV_CODE": "J", "FID_INPUT_ISCD": self.symbol}
        told = transaction("price", self.client.environment)
        await self.client.wire.probe(told, f"{STOCK}/quotations/inquire-price", params, token)

    async def rate_holds(self) -> tuple[bool, str]:
        """as many questions a second as the client makes (19, 모의투자 2) are answered, new accounts' too"""
        before = len(self.heard.exchanges)
        count = max(2, round(BURST_S * RATE[self.client.environment]))
        for _ in range(count):
            await self.client.buyable()
        new = self.heard.exchanges[before:]
        refused = [told for told in new if "EGW00201" in told.answer or "EGW00215" in told.answer]
        ledger = sum("EGW00215" in told.answer for told in refused)
        return not refused, f"{count} questions, {len(refused)} refused, {ledger} of them by the ledger (EGW00215)"

    async def amounts_without_a_name(self) -> tuple[bool, str]:
        """what may be bought is the same with and without a name (매수가능조회)"""
        price = (await self.client.price(self.symbol)).price
        none, named = await self.client.buyable(), await self.client.buyable(self.symbol, price)
        return none.amount == named.amount, f"{none.amount:,} without, {named.amount:,} with {self.symbol} at {price:g}"

    async def minute_labels(self) -> tuple[bool, str]:
        """minutes are labelled with their start from 09:00 on, and the closing print with 15:30"""
        today = self.client.today()
        rows = await self.client.minutes(self.symbol, today)
        if not rows:
            raise Untestable("there are no minutes of today")
        first, last = ((row.time - moment(today, "000000")) // (60 * SECOND) for row in (rows[0], rows[-1]))
        seen = f"{len(rows)} minutes, labelled {first // 60:02d}:{first % 60:02d} to {last // 60:02d}:{last % 60:02d}"
        if self.client.clock.now_ns() < moment(today, "153100"):
            if first != 9 * 60:
                return False, seen
            raise Untestable(f"{seen}; the last is known after 15:31")
        return (first, last) == (9 * 60, 15 * 60 + 30), seen

    async def index_rows(self) -> tuple[bool, str]:
        """an index's daily chart gives 50 rows a request"""
        today = self.client.today()
        found = await self.client.call(
            "inquire_daily_indexchartprice", pages=1, market="U", symbol="0001", period="D",
            from_date=today.replace(year=today.year - 1), to_date=today,
        )  # fmt: skip
        count = len(found.blocks.get("output2", ()))
        if not count:
            raise Untestable("the index has no rows here")
        return count == 50, f"{count} rows for a year"

    async def master_files(self) -> tuple[bool, str]:
        """the master files are had without keys, and have their fields at the places that are published"""
        try:
            found = Counter(one.market for one in await self._listed())
        except BadData as problem:
            return False, str(problem)
        seen = ", ".join(f"{count:,} {market}" for market, count in found.most_common())
        return not self._unread, f"{self._unread}; {seen}" if self._unread else seen

    async def elw_market(self) -> tuple[bool, str]:
        """price, book and days of an ELW are those of a stock, asked for in market W"""
        name, today = (await self._warrants())[0].symbol, self.client.today()
        price, book = await self.client.price(name), await self.client.book(name)
        days = await self.client.days(name, today - dt.timedelta(days=30), today)
        seen = f"{name}: {price.price:g} won, {len(book.bids)} and {len(book.asks)} levels, {len(days)} days"
        return price.price > 0.0 and bool(days), seen

    async def elw_terms(self) -> tuple[bool, str]:
        """an ELW's strike and underlying in its master file are those that its price tells (inquire_elw_price)"""
        told = [one for one in await self._warrants() if one.warrant is not None and one.warrant.strike]
        if not told:
            raise Untestable("the master files have no ELW with a strike")
        seen, holds = [], True
        for one in {each.symbol: each for each in (told[0], told[len(told) // 2], told[-1])}.values():
            await self.client.call("inquire_elw_price", market="W", symbol=one.symbol)
            row = self.heard.body("inquire-elw-price").get("output1") or {}
            row = row[0] if isinstance(row, list) else row
            strike, underlying = decimal(row, "acpr"), plain_symbol(str(row.get("unas_shrn_iscd", "")).strip())
            terms = one.warrant
            holds &= terms is not None and strike == terms.strike and underlying in terms.underlyings
            said = "" if terms is None else f"{terms.strike:g} on {'+'.join(terms.underlyings)}"
            seen.append(f"{one.symbol}: {said}, its price says {strike:g} on {underlying}")
        return holds, "; ".join(seen)

    async def lots(self) -> tuple[bool, str]:
        """an order of an ELW is for a multiple of ten, one of anything else for any number of shares"""
        listed = [one for one in await self._listed() if one.lot]
        if not listed:
            raise Untestable("the master files tell no lots")
        strange = [one for one in listed if one.lot != lot_size(one.market)]
        some = ", ".join(f"{one.symbol} ({one.market}) {one.lot}" for one in strange[:5])
        return not strange, f"{len(listed):,} names, {len(strange)} otherwise{': ' if some else ''}{some}"

    async def _listed(self) -> list[Listed]:
        """The master files, had once."""
        if self._names is None:
            found = await self.client.names()
            self._names, self._unread = list(found.values()), found.unread
        return self._names

    async def _warrants(self) -> list[Listed]:
        """ELWs that trade."""
        listed = [one for one in await self._listed() if one.market == "ELW" and not one.halted]
        if not listed:
            raise Untestable("the master files list no ELW")
        return listed

    async def overseas_open_orders(self) -> tuple[bool, str]:
        """모의투자 does not serve open overseas orders (VTTS3018R)"""
        if not self.paper:
            raise Untestable("it is a question of 모의투자")
        path = "/uapi/overseas-stock/v1/trading/inquire-nccs"
        fields = self.client.account.fields() | {"OVRS_EXCG_CD": "NASD", "SORT_SQN": "", "CTX_AREA_FK200": "",
                                                 "CTX_AREA_NK200": ""}  # fmt: skip
        await self.client.wire.probe("VTTS3018R", path, fields, await self.client.wire.tokens.token())
        found = self.heard.body("inquire-nccs")
        return str(found.get("rt_cd")) != "0", f"{found.get('msg_cd')} {str(found.get('msg1', '')).strip()}"

    # --- the stream -------------------------------------------------------------------------------------------------

    async def pings(self) -> tuple[bool, str]:
        """the stream says PINGPONG at least every two minutes"""
        if self.stream is None:
            raise Untestable("there is no stream")
        ear = await self.stream.open("records")
        try:
            began, counted = self.client.clock.now_ns(), self.stream.counts["pings"]
            until, times = began + round(self.patience * self.pace * SECOND), list[float]()
            while self.client.clock.now_ns() < until and len(times) < 3:
                await self.pause(min(1.0, self.patience / 10) * self.pace)
                if self.stream.counts["pings"] > counted:
                    counted = self.stream.counts["pings"]
                    times.append((self.client.clock.now_ns() - began) / SECOND / self.pace)
        finally:
            await self.stream.leave(ear)
        if not times:
            if self.patience < 120.0:
                raise Untestable(f"none within {self.patience:g} s; --patience 150 waits longer")
            return False, f"none within {self.patience:g} s"
        gaps = [f"{later - earlier:.0f} s" for earlier, later in zip([0.0, *times], times, strict=False)]
        return True, f"after {', '.join(gaps)}"
