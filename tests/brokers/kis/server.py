"""A small HTTP server on this machine that answers as KIS's does where a test says so: OAuth, envelopes, faults.

Written from the facts of the wire, on asyncio's streams; it shares nothing with the client. `Kis.answers[(method, path,
tr_id)]` holds what to answer: a list of replies, the last of which repeats, or a function of the request.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

APP_KEY = "PSAbcdefghijklmnopqrstuvwxyz01234567"
APP_SECRET = ("ecretSECRET0123456789+/" * 8 + "Z" * 180)[:180]
ACCOUNT = "73019482"


@dataclass
class Asked:
    """A request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def tr_id(self) -> str:
        return self.headers.get("tr_id", "")

    @property
    def fields(self) -> dict[str, Any]:
        return self.query or self.body


@dataclass
class Reply:
    """What to answer. fault: "close" hangs up without a word, "cut" after half of it, "hang" never answers."""

    body: Any = None
    status: int = 200
    tr_cont: str = ""
    fault: str = ""


def done(code: str = "MCA00000", text: str = "정상처리 되었습니다.", **outputs: Any) -> dict[str, Any]:
    """A good envelope; the text padded as the real one is."""
    return {"rt_cd": "0", "msg_cd": code, "msg1": text.ljust(80), **outputs}


def refused(code: str, text: str, said: str = "1") -> dict[str, Any]:
    return {"rt_cd": said, "msg_cd": code, "msg1": text}


Answer = Reply | Callable[[Asked], Reply]


@dataclass
class Kis:
    """The server's state; tests set `answers` and read `asked`."""

    answers: dict[tuple[str, str, str], list[Answer]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    dead: set[str] = field(default_factory=set)
    same_token: bool = False
    expires_in: Any = 86400
    expired: str = "2099-01-01 00:00:00"
    token_reply: Reply | None = None
    fallback: Callable[[Asked], Reply] | None = None
    base: str = ""

    def at(self, method: str, path: str, tr_id: str, *replies: Answer) -> None:
        """Answer a call."""
        self.answers[method, path, tr_id] = list(replies)

    def asked_for(self, tr_id: str) -> list[Asked]:
        return [each for each in self.asked if each.tr_id == tr_id]

    def asked_at(self, path: str) -> list[Asked]:
        return [each for each in self.asked if each.path == path]

    def reply(self, asked: Asked) -> Reply:
        if asked.path == "/emulator/state":  # that it is one of the real servers, in the machine's time
            now = time.time_ns()
            return Reply({"time": now, "speed": 1.0, "ends": now + 10**15, "paper": False})
        self.asked.append(asked)
        if asked.path == "/oauth2/tokenP":
            return self._token()
        if asked.path == "/oauth2/Approval":
            return Reply({"approval_key": "4a1b2c3d-approval-5e6f-7081-92a3b4c5d6e7"})
        if asked.path == "/uapi/hashkey":
            return Reply({"BODY": asked.body, "HASH": "abcdef0123456789"})
        bearer = asked.headers.get("authorization", "").removeprefix("Bearer ")
        if bearer not in self.tokens or bearer in self.dead:
            return Reply(refused("EGW00123", "기간이 만료된 token 입니다."), 500)
        known = self.answers.get((asked.method, asked.path, asked.tr_id))
        if not known and self.fallback is not None:
            return self.fallback(asked)
        if not known:
            return Reply(refused("EGW00310", f"유효하지 않은 tr_id {asked.tr_id} {asked.path}"), 500)
        answer = known.pop(0) if len(known) > 1 else known[0]
        return answer(asked) if callable(answer) else answer

    def _token(self) -> Reply:
        if self.token_reply is not None:
            return self.token_reply
        token = self.tokens[-1] if self.same_token and self.tokens else f"eyJ0eXAi.token{len(self.tokens)}.signature"
        self.tokens.append(token)
        if self.same_token:
            self.dead.discard(token)
        return Reply({
            "access_token": token, "token_type": "Bearer", "expires_in": self.expires_in,
            "access_token_token_expired": self.expired,
        })  # fmt: skip


async def _read(reader: asyncio.StreamReader) -> Asked | None:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    raw = await reader.readexactly(int(headers.get("content-length", "0")))
    parts = urlsplit(target)
    return Asked(method, parts.path, dict(parse_qsl(parts.query, keep_blank_values=True)), headers,
                 json.loads(raw) if raw else {})  # fmt: skip


def _bytes(asked: Asked, reply: Reply) -> bytes:
    body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body, ensure_ascii=False).encode()
    lines = [
        f"HTTP/1.1 {reply.status} X", "Content-Type: application/json; charset=utf-8", f"Content-Length: {len(body)}",
        "Date: Mon, 05 Jan 2026 00:00:00 GMT", f"tr_id: {asked.tr_id}", f"tr_cont: {reply.tr_cont}",
    ]  # fmt: skip
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


@asynccontextmanager
async def serving(kis: Kis) -> AsyncIterator[Kis]:
    """The server on a free port of this machine; `kis.base` is its address."""
    writers: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        try:
            while (asked := await _read(reader)) is not None:
                reply = kis.reply(asked)
                if reply.fault == "hang":
                    await asyncio.Event().wait()
                whole = b"" if reply.fault == "close" else _bytes(asked, reply)
                writer.write(whole[: len(whole) // 2] if reply.fault == "cut" else whole)
                await writer.drain()
                if reply.fault:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client went
        except asyncio.CancelledError:
            pass  # the test is over
        finally:
            writers.discard(writer)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    kis.base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield kis
    finally:
        server.close()
        for writer in list(writers):
            writer.close()
        await asyncio.sleep(0)
