"""One request there and one answer back: the only place where bytes leave for KIS's REST servers.

Contract: `Transport.send` returns an answer of any status, or raises `NotSent` (certain: not one byte of the request
left) or `Lost` (anything may have happened). Whatever cannot be proved not to have left is `Lost`. Every request has a
deadline as a whole besides those of its parts. No redirects, no cookies, no retries, no proxies towards an emulator.
The errors carry no header, no body and no other error, so no secret.

`HttpTransport` is httpx's pool; another library stands in by filling the port.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import httpx

if TYPE_CHECKING:
    from collections.abc import Mapping

_FIRST_BYTES = "send_request_headers.started"


class _NoQueries(logging.Filter):
    """The library logs each address it asks; a query has the account's number in it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """The same record with addresses cut off at their query."""
        if isinstance(record.args, tuple):
            record.args = tuple(
                each.copy_with(query=None) if isinstance(each, httpx.URL) else each for each in record.args
            )
        return True


_NO_QUERIES = _NoQueries()


class NotSent(Exception):
    """Nothing left this machine."""


class Lost(Exception):
    """It may have left, and no whole answer came back."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: to connect, to read or write a part, to wait for a free connection, and for all of it."""

    connect: float = 3.0
    part: float = 8.0
    pool: float = 5.0
    total: float = 15.0

    def times(self, pace: float) -> Timeouts:
        """The same on a clock that runs `pace` times as fast as the machine's, which answers no faster for it."""
        return Timeouts(self.connect * pace, self.part * pace, self.pool * pace, self.total * pace)


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent. `params` go into the address, `body` is JSON's text."""

    method: str
    path: str
    headers: Mapping[str, str] = field(repr=False)
    params: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. Names of headers in lower case."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class Transport(Protocol):
    """How requests travel."""

    async def send(self, request: Request) -> Answer:
        """The answer, of any status; NotSent or Lost."""

    async def close(self) -> None:
        """Let connections go."""


class HttpTransport:
    """One pool of connections to one server."""

    def __init__(self, base: str, *, timeouts: Timeouts | None = None, trust_environment: bool = True) -> None:
        logging.getLogger("httpx").addFilter(_NO_QUERIES)  # the same object again adds nothing
        self._timeouts = timeouts or Timeouts()
        self._client = httpx.AsyncClient(
            base_url=base,
            timeout=httpx.Timeout(self._timeouts.part, connect=self._timeouts.connect, pool=self._timeouts.pool),
            limits=httpx.Limits(max_connections=16, max_keepalive_connections=16, keepalive_expiry=10.0),
            follow_redirects=False,
            trust_env=trust_environment,
            verify=base.startswith("https:"),  # an emulator's plain HTTP has nothing to verify, and loading takes time
        )

    async def send(self, request: Request) -> Answer:
        """One request. What the connection was doing when it failed decides between NotSent and Lost."""
        if self._client.is_closed:
            raise NotSent("the client is closed")
        way = _Way()
        try:
            async with asyncio.timeout(self._timeouts.total):
                found = await self._client.request(
                    request.method, request.path, headers=dict(request.headers), params=dict(request.params) or None,
                    content=request.body, extensions={"trace": way.note},
                )  # fmt: skip
            return Answer(
                found.status_code, {name.lower(): value for name, value in found.headers.items()}, found.content
            )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as problem:
            what: Exception = NotSent(_words(problem))
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, TimeoutError, OSError) as problem:
            what = NotSent(_words(problem)) if way.only_connected else Lost(_words(problem))
        raise what  # outside the handler: the library's error has seen the headers, ours must not carry it

    async def close(self) -> None:
        """Close the pool."""
        await self._client.aclose()


class _Way:
    """How far a request got, as the connection tells it."""

    def __init__(self) -> None:
        self._told = self._left = False

    async def note(self, event: str, _facts: dict[str, Any]) -> None:
        self._told = True
        self._left = self._left or event.endswith(_FIRST_BYTES)

    @property
    def only_connected(self) -> bool:
        """Whether the connection told what it did, and that was not sending."""
        return self._told and not self._left


def _words(problem: Exception) -> str:
    return f"{type(problem).__name__}: {problem}".rstrip(": ")
