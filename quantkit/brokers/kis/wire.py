"""One call of KIS: token, limiter, headers, the answer judged, reads repeated, lists paged through.

    read      a question: repeated where repeating is safe (nothing sent, no answer, throttled, server in trouble), at
              most `TRIES` times; with a new token once
    pages     a question whose answer comes in pages: all of them, or an error; a list that does not end is an error
    order     sent once, never again. Refusal, ConfigError: it said no. RetryLater: nothing stands (no connection, dead
              token, no token). OutcomeUnknown: it may stand
    post      without an envelope: tokens, approval keys, hash keys

Contract: every byte goes through one `Transport` and one `Limiter`. `listen` is told of each request and answer with
all secrets taken out (headers are left out), for the wire log. A cancelled order is as unknown as a lost one: whoever
cancels must look.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from quantkit.brokers.kis.answers import (
    Envelope,
    ListChanged,
    NothingSent,
    Throttled,
    TokenDead,
    body_of,
    failure,
    read,
    unreadable,
)
from quantkit.brokers.kis.calling import is_password
from quantkit.brokers.kis.codes import HASHKEY_PATH, REVOKE_PATH, TOKEN_PATH, Act, act_of
from quantkit.brokers.kis.limiter import Clock, Lane, Limiter
from quantkit.brokers.kis.tokens import Issued, Tokens, read_issue
from quantkit.brokers.kis.transport import Answer, Lost, NotSent, Request, Transport
from quantkit.errors import BadData, ConfigError, OutcomeUnknown, QuantkitError, Refused, RetryLater

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from quantkit.brokers.kis.server import Keys, Server

TRIES: Final = 4
PAGES: Final = 500  # of one list; more is a list that does not end
_BACK_OFF_NS: Final = 250_000_000
_SHORTEST: Final = 6  # characters of a secret that is looked for in texts


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its answer for the wire log, secrets taken out. `answer` is "" where none came."""

    transaction: str
    method: str
    path: str
    request: str
    status: int | None
    answer: str
    sent: int
    received: int
    date: str = ""  # the `Date` header: what o'clock it is there


class Wire:
    """Calls of one app key to one server."""

    def __init__(
        self, keys: Keys, server: Server, *, transport: Transport, limiter: Limiter, clock: Clock, folder: Path,
        vault_key: bytes | None = None, listen: Callable[[Exchange], None] | None = None, trust_throttle: bool = False,
        waits: Callable[[float], None] | None = None,
    ) -> None:  # fmt: skip
        self.keys, self.server, self.clock, self.limiter = keys, server, clock, limiter
        self._transport, self._listen, self._trust = transport, listen, trust_throttle
        self._secrets = set(keys.secrets())
        self.tokens = Tokens(
            keys, server, issue=self._issue, clock=clock, folder=folder, vault_key=vault_key, waits=waits
        )

    # --- questions --------------------------------------------------------------------------------------------------

    async def read(
        self, transaction: str, path: str, params: Mapping[str, str], *, lane: Lane = Lane.DATA, method: str = "GET",
        again: bool = False,
    ) -> Envelope:  # fmt: skip
        """The answer to a question. `again`: it is for the page after one. Errors as the port says."""
        renewed, tries = False, 0
        while True:
            token = await self.tokens.token()
            try:
                return await self._once(transaction, path, params, token, lane=lane, method=method, again=again)
            except TokenDead:
                self.tokens.reject(token)
                if renewed:
                    raise
                renewed = True
            except Throttled:
                tries += 1
                self.limiter.pause()
                if tries >= TRIES:
                    raise
            except ListChanged:
                raise
            except RetryLater:
                tries += 1
                if tries >= TRIES:
                    raise
                await self.clock.sleep_until(self.clock.now_ns() + (_BACK_OFF_NS << tries))

    async def pages(
        self, transaction: str, path: str, params: Mapping[str, str], *, lane: Lane = Lane.QUERY,
        most: int | None = None,
    ) -> list[Envelope]:  # fmt: skip
        """All pages of a list, first to last, or the first `most`. RetryLater where it changed under our eyes each
        time; BadData where it does not end."""
        for _ in range(TRIES - 1):
            try:
                return await self._all_pages(transaction, path, params, lane, most)
            except ListChanged:
                continue
        return await self._all_pages(transaction, path, params, lane, most)

    async def _all_pages(
        self, transaction: str, path: str, params: Mapping[str, str], lane: Lane, most: int | None
    ) -> list[Envelope]:
        found = [await self.read(transaction, path, params, lane=lane)]
        seen: set[tuple[tuple[str, str], ...]] = set()
        last_body: object = None
        while found[-1].more and (most is None or len(found) < most):
            place = found[-1].context()
            key = tuple(sorted((name, value.strip()) for name, value in place.items()))
            if key in seen and found[-1].body == last_body:
                raise BadData(f"KIS {transaction}: page {len(found)} came twice; the list does not end")
            if len(found) >= PAGES:
                raise BadData(f"KIS {transaction}: more than {PAGES} pages; the list does not end")
            seen.add(key)
            last_body = found[-1].body
            found.append(await self.read(transaction, path, {**params, **place}, lane=lane, again=True))
        return found

    async def probe(self, transaction: str, path: str, params: Mapping[str, str], token: str) -> None:
        """Ask once, with a token of the caller's: the listener is told what comes back, whatever it is. RetryLater
        where nothing does."""
        with contextlib.suppress(Refused, ConfigError, BadData, TokenDead, Throttled):
            await self._once(transaction, path, params, token, lane=Lane.QUERY, method="GET")

    # --- orders -----------------------------------------------------------------------------------------------------

    async def order(
        self, transaction: str, path: str, body: Mapping[str, str], *, lane: Lane, hashed: bool = False
    ) -> Envelope:
        """Send an order, a change or a cancel: once."""
        token = await self.tokens.token(wait=False)
        extra = {"hashkey": await self.hash_key(body)} if hashed else {}
        try:
            return await self._once(transaction, path, body, token, lane=lane, method="POST", order=True, extra=extra)
        except TokenDead:
            self.tokens.reject(token)
            raise
        except Throttled:
            self.limiter.pause()
            raise

    # --- keys -------------------------------------------------------------------------------------------------------

    async def hash_key(self, body: Mapping[str, str]) -> str:
        """HASH of an order's body, for the header `hashkey`. It is not needed today."""
        headers = {
            "appkey": self.keys.app_key.get_secret_value(), "appsecret": self.keys.app_secret.get_secret_value()
        }  # fmt: skip
        found = await self.post(HASHKEY_PATH, body, lane=Lane.ORDER, headers=headers)
        value = found.get("HASH")
        if not isinstance(value, str) or not value.strip():
            raise RetryLater("KIS gave no hash key; nothing was sent")
        return value.strip()

    async def revoke(self) -> str:
        """End the token that lives (접근토큰폐기), everywhere; the next request has a new one. What KIS says of it."""
        token = await self.tokens.token()
        body = {
            "appkey": self.keys.app_key.get_secret_value(), "appsecret": self.keys.app_secret.get_secret_value(),
            "token": token,
        }  # fmt: skip
        found = await self.post(REVOKE_PATH, body)
        self.tokens.reject(token)
        return self.masked(str(found.get("message", "")).strip())

    async def post(
        self, path: str, body: Mapping[str, str], *, lane: Lane = Lane.QUERY, headers: Mapping[str, str] | None = None
    ) -> Mapping[str, Any]:
        """What a path without envelopes answers. It is sent once; errors as `read` has, and RetryLater for an answer
        that cannot be read: what needs a key was not sent."""
        request = Request("POST", path, {"content-type": _JSON, **(headers or {})}, body=json.dumps(dict(body)))
        answer = await self._travel(request, path, json.dumps(sorted(body)), lane=lane, order=False)
        envelope = read(answer)
        if envelope is not None and not envelope.ok:
            raise self._failed(envelope, path)
        found = body_of(answer)
        if found is None or answer.status != 200:
            raise RetryLater(f"{unreadable(answer.status, path, order=False)}")
        return found

    def hide(self, *secrets: str) -> None:
        """More values that no log and no error may show."""
        self._secrets.update(secret for secret in secrets if len(secret) >= _SHORTEST)

    def masked(self, text: str) -> str:
        """A text without the secrets of this wire."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text

    async def close(self) -> None:
        """Let connections go."""
        await self._transport.close()

    # --- inside -----------------------------------------------------------------------------------------------------

    async def _issue(self) -> Issued:
        keys = self.keys
        body = {
            "grant_type": "client_credentials", "appkey": keys.app_key.get_secret_value(),
            "appsecret": keys.app_secret.get_secret_value(),
        }  # fmt: skip
        answer = dict(await self.post(TOKEN_PATH, body))
        if self.server.is_emulated:  # its dates are those of the sessions it replays: only how long counts
            answer.pop("access_token_token_expired", None)
        try:
            issued = read_issue(answer, self.clock.now_ns())
        except BadData as problem:
            raise RetryLater(f"{problem}; ask again later") from None
        self.hide(issued.token)
        return issued

    async def _once(
        self, transaction: str, path: str, fields: Mapping[str, str], token: str, *, lane: Lane, method: str,
        again: bool = False, order: bool = False, extra: Mapping[str, str] | None = None,
    ) -> Envelope:  # fmt: skip
        """One request. The envelope where it says "0", the error where it does not."""
        self.hide(token)
        headers = {
            "content-type": _JSON, "authorization": f"Bearer {token}",
            "appkey": self.keys.app_key.get_secret_value(), "appsecret": self.keys.app_secret.get_secret_value(),
            "tr_id": transaction, "tr_cont": "N" if again else "", "custtype": "P", **(extra or {}),
        }  # fmt: skip
        text = json.dumps(dict(fields), ensure_ascii=False)
        told = json.dumps(
            {name: "***" if is_password(name) else value for name, value in fields.items()}, ensure_ascii=False
        )
        request = (
            Request(method, path, headers, params=fields)
            if method == "GET"
            else Request(method, path, headers, body=text)
        )
        answer = await self._travel(request, transaction, told, lane=lane, order=order)
        envelope = read(answer)
        if envelope is None:
            raise unreadable(answer.status, transaction, order=order)
        empty = not order and act_of(envelope.code, envelope.text, envelope.status) is Act.EMPTY
        if envelope.ok or empty:
            return replace(envelope, text=self.masked(envelope.text))
        raise self._failed(envelope, transaction, order=order)

    def _failed(self, envelope: Envelope, transaction: str, *, order: bool = False) -> QuantkitError:
        if envelope.code == "EGW02004":
            self.tokens.forget()
        shown = replace(envelope, ok=False, text=self.masked(envelope.text), body={})
        return failure(shown, transaction, self.server.environment, order=order, trust_throttle=self._trust)

    async def _travel(self, request: Request, transaction: str, told: str, *, lane: Lane, order: bool) -> Answer:
        """There and back, and a word to the listener."""
        await self.limiter.enter(lane)
        sent = self.clock.now_ns()
        answer: Answer | None = None
        problem: QuantkitError | None = None  # raised outside its handler: what it came of may hold headers
        try:
            answer = await self._transport.send(request)
        except NotSent as lost:
            there = "is its emulator running?" if self.server.is_emulated else "is the network there?"
            problem = NothingSent(f"KIS {transaction}: {self.masked(str(lost))}; nothing was sent; {there}")
        except Lost as lost:
            what = f"KIS {transaction}: no answer ({self.masked(str(lost))})"
            problem = OutcomeUnknown(f"{what}; whether it was taken must be looked up") if order else RetryLater(what)
        finally:
            self._tell(request, transaction, told, answer, sent)
        if problem is not None:
            raise problem
        assert answer is not None
        return answer

    def _tell(self, request: Request, transaction: str, told: str, answer: Answer | None, sent: int) -> None:
        if self._listen is None:
            return
        secret = request.path.startswith("/oauth2")
        said = "" if answer is None or secret else answer.body.decode("utf-8", "replace")
        self._listen(
            Exchange(
                transaction, request.method, request.path, self.masked(told), None if answer is None else answer.status,
                self.masked(said), sent, self.clock.now_ns(),
                "" if answer is None else answer.headers.get("date", ""),
            )
        )  # fmt: skip


_JSON: Final = "application/json; charset=utf-8"
