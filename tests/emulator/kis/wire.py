"""A client as bare as can be: what is on the wire, taken apart by hand."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import websockets
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from quantkit.emulator.exchange import BarSource, Exchange, random_bars, session_clock
from quantkit.emulator.kis import Customer, KisEmulator
from quantkit.emulator.session import SECOND

BARS = random_bars(seed=1, symbols=3, sessions_count=30)
DAY = int(BARS.days[25])
CLOCK = session_clock(DAY)
NAME = "000010"
TRADING = "/uapi/domestic-stock/v1/trading/"
QUOTES = "/uapi/domestic-stock/v1/quotations/"


def exchange() -> Exchange:
    """Sessions of three made-up names from the 26th on."""
    return Exchange(BarSource(BARS, start=DAY, tick_seconds=20.0))


@asynccontextmanager
async def emulator(*, start: int = CLOCK.open + 60 * SECOND, **options: Any) -> AsyncIterator[KisEmulator]:
    """Servers whose time stands until it is skipped."""
    given: dict[str, Any] = {"paper": True, "speed": 0.0, "calls": 1_000, "start": start, **options}
    async with KisEmulator(exchange(), **given) as server:
        yield server


class Wire:
    """Requests of one customer."""

    def __init__(self, server: KisEmulator, http: httpx.AsyncClient, who: int = 0) -> None:
        self.server, self.http, self.me = server, http, server.customers[who]
        self.token = ""

    async def login(self) -> None:
        """Ask for a token."""
        answer = await self.http.post("/oauth2/tokenP", json=credentials(self.me))
        self.token = answer.json()["access_token"]

    def headers(self, tr: str, **more: str) -> dict[str, str]:
        """Of a call."""
        return {
            "authorization": f"Bearer {self.token}", "appkey": self.me.appkey, "appsecret": self.me.appsecret,
            "tr_id": tr, "custtype": "P", **more,
        }  # fmt: skip

    @property
    def account(self) -> dict[str, str]:
        return {"CANO": self.me.account[:8], "ACNT_PRDT_CD": self.me.account[8:]}

    async def get(self, path: str, tr: str, cont: str = "", **query: str) -> httpx.Response:
        return await self.http.get(path, params=query, headers=self.headers(tr, tr_cont=cont))

    async def order(self, tr: str, *, price: int = 0, shares: int = 10, kind: str = "", **more: str) -> dict[str, Any]:
        """order-cash; a market order without a price."""
        body = {
            **self.account, "PDNO": NAME, "ORD_DVSN": kind or ("00" if price else "01"), "ORD_QTY": str(shares),
            "ORD_UNPR": str(price), **more,
        }  # fmt: skip
        answer = await self.http.post(TRADING + "order-cash", json=body, headers=self.headers(tr))
        return dict(answer.json(), status=answer.status_code)

    async def change(self, tr: str, odno: str, what: str, **more: str) -> dict[str, Any]:
        """order-rvsecncl of the whole rest."""
        body = {
            **self.account, "KRX_FWDG_ORD_ORGNO": "00950", "ORGN_ODNO": odno, "ORD_DVSN": "00",
            "RVSE_CNCL_DVSN_CD": what, "ORD_QTY": "0", "ORD_UNPR": "0", "QTY_ALL_ORD_YN": "Y", **more,
        }  # fmt: skip
        answer = await self.http.post(TRADING + "order-rvsecncl", json=body, headers=self.headers(tr))
        return dict(answer.json(), status=answer.status_code)

    async def daily(self, tr: str = "VTTC0081R", **more: str) -> dict[str, Any]:
        """Orders of the year."""
        given = {**self.account, "INQR_STRT_DT": "20250101", "INQR_END_DT": "20261231", "INQR_DVSN": "01", **more}
        return dict((await self.get(TRADING + "inquire-daily-ccld", tr, **given)).json())


@asynccontextmanager
async def wired(server: KisEmulator, who: int = 0) -> AsyncIterator[Wire]:
    """A customer with a token."""
    async with httpx.AsyncClient(base_url=server.rest, timeout=2.0) as http:
        wire = Wire(server, http, who)
        await wire.login()
        yield wire


def credentials(me: Customer, **other: str) -> dict[str, str]:
    return {"grant_type": "client_credentials", "appkey": me.appkey, "appsecret": me.appsecret, **other}


class Ear:
    """One WebSocket session."""

    def __init__(self, socket: websockets.ClientConnection, key: str) -> None:
        self.socket, self.key = socket, key
        self.secrets: dict[str, tuple[str, str]] = {}

    async def send(self, tr: str, key: str, what: str = "1", approval: str | None = None) -> None:
        """Register or leave."""
        header = {"approval_key": approval or self.key, "custtype": "P", "tr_type": what, "content-type": "utf-8"}
        await self.socket.send(json.dumps({"header": header, "body": {"input": {"tr_id": tr, "tr_key": key}}}))

    async def ask(self, tr: str, key: str, what: str = "1", approval: str | None = None) -> dict[str, Any]:
        """Register or leave; the acknowledgement."""
        await self.send(tr, key, what, approval)
        answer = json.loads(await self.text())
        if "output" in answer["body"]:
            self.secrets[tr] = (answer["body"]["output"]["key"], answer["body"]["output"]["iv"])
        return dict(answer["body"], tr=answer["header"]["tr_id"])

    async def text(self) -> str:
        async with asyncio.timeout(3):
            return str(await self.socket.recv())

    async def records(self) -> tuple[str, list[list[str]]]:
        """The next data frame: its id, and its records column by column."""
        flag, tr, count, payload = (await self.text()).split("|", 3)
        if flag == "1":
            payload = decrypted(payload, *self.secrets[tr])
        columns = payload.split("^")
        width = len(columns) // int(count)
        return tr, [columns[place : place + width] for place in range(0, len(columns), width)]


@asynccontextmanager
async def ear(server: KisEmulator, who: int = 0, path: str = "/tryitout") -> AsyncIterator[Ear]:
    me = server.customers[who]
    async with httpx.AsyncClient(base_url=server.rest) as http:
        body = {"grant_type": "client_credentials", "appkey": me.appkey, "secretkey": me.appsecret}
        key = (await http.post("/oauth2/Approval", json=body)).json()["approval_key"]
    async with websockets.connect(server.stream + path, ping_interval=None) as socket:
        yield Ear(socket, key)


def decrypted(payload: str, key: str, iv: str) -> str:
    """AES-256-CBC of base64."""
    plain = Cipher(algorithms.AES(key.encode()), modes.CBC(iv.encode())).decryptor()
    padded = plain.update(base64.b64decode(payload)) + plain.finalize()
    pad = padding.PKCS7(128).unpadder()
    return (pad.update(padded) + pad.finalize()).decode()
