"""A small HTTP/1.1 server: h11 over asyncio streams, names of headers as they were given.

Contract: `serve` calls `handle` for each request, one after another on a connection. Its `Reply` is sent as it stands;
`HOLD` is never answered: the connection stays silent until the client leaves. What is no HTTP is answered with 400.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import h11

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

LARGEST: Final = 1 << 20
_CHUNK: Final = 1 << 16


class Request(NamedTuple):
    """One request. Names of headers are in lower case; `query` as sent, the last of a name counts."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer; `headers` beside Content-Type and Content-Length. silent: nobody hears it."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    type: str = "application/json; charset=utf-8"
    silent: bool = False


HOLD: Final = Reply(0, b"", silent=True)


async def serve(handle: Callable[[Request], Awaitable[Reply]], host: str, port: int) -> asyncio.Server:
    """Listen; port 0 takes a free one."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await _talk(handle, reader, writer)
        writer.close()

    return await asyncio.start_server(connected, host, port)


async def _talk(
    handle: Callable[[Request], Awaitable[Reply]], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    wire = h11.Connection(h11.SERVER)
    while True:
        try:
            request = await _request(wire, reader)
        except h11.RemoteProtocolError as error:
            if wire.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                _send(wire, writer, Reply(error.error_status_hint, str(error).encode(), type="text/plain"), close=True)
                await writer.drain()
            return
        if request is None:
            return
        reply = await handle(request)
        if reply.silent:
            while await reader.read(_CHUNK):
                pass
            return
        _send(wire, writer, reply)
        await writer.drain()
        if wire.our_state is not h11.DONE or wire.their_state is not h11.DONE:
            return
        wire.start_next_cycle()


async def _request(wire: h11.Connection, reader: asyncio.StreamReader) -> Request | None:
    """The next request, whole; None where the client has left."""
    head: h11.Request | None = None
    body = bytearray()
    while True:
        event = wire.next_event()
        if event is h11.NEED_DATA:
            wire.receive_data(await reader.read(_CHUNK))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > LARGEST:
                raise h11.RemoteProtocolError("the body is too long", error_status_hint=413)
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            return _read(head, bytes(body))
        else:
            return None


def _read(head: h11.Request, body: bytes) -> Request:
    target = urlsplit("/" + head.target.decode("ascii", "replace").lstrip("/"))  # some clients begin with two
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
    query = dict(parse_qsl(target.query, keep_blank_values=True))
    return Request(head.method.decode("ascii"), target.path, query, headers, body)


def _send(wire: h11.Connection, writer: asyncio.StreamWriter, reply: Reply, *, close: bool = False) -> None:
    headers = [
        ("Content-Type", reply.type),
        ("Content-Length", str(len(reply.body))),
        *([("Connection", "close")] if close else []),
        *reply.headers,
    ]
    reason = HTTPStatus(reply.status).phrase.encode()
    parts = (
        h11.Response(status_code=reply.status, reason=reason, headers=headers),
        h11.Data(data=reply.body),
        h11.EndOfMessage(),
    )
    for part in parts:
        sent = wire.send(part)
        if sent:
            writer.write(sent)
