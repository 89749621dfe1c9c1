"""The access token of one app key: issued rarely, kept on disk, shared by all processes that use the key.

KIS sends its owner a message for each token and issues one a minute; a token lives for a day and may die earlier, at
night. So: 1 what is in memory, 2 what is on disk (another process may have renewed it), 3 a new one, asked for by one
process at a time (a lock between processes) and never twice within 61 s: the time of asking is on disk before the
request leaves, so it holds over crashes and refusals as well. Renewed ten minutes before its end; while a renewal fails
the old one serves on. A token that the server called dead (`reject`) is not used again by anybody. While a minute is
waited for, `waits` is told the seconds left, about once a second, and 0 at the end.

Contract: one file an app key, environment and server, so tokens of real and paper never meet; the environment stands
in the document too. An app key whose token lies in the other environment's file is a ConfigError, nothing sent.
Times are UTC nanoseconds; KIS's expiry is text in Seoul's time, and the earlier of that and `expires_in` counts.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from quantkit.brokers.kis.answers import IssueLimit, NothingSent
from quantkit.brokers.kis.codes import Environment
from quantkit.brokers.kis.limiter import SECOND
from quantkit.brokers.kis.vault import FileLock, SealedFile
from quantkit.errors import BadData, ConfigError, QuantkitError, RetryLater
from quantkit.market.days import SEOUL

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from quantkit.brokers.kis.limiter import Clock
    from quantkit.brokers.kis.server import Keys, Server

EARLY_NS: Final = 600 * SECOND
BETWEEN_NS: Final = 61 * SECOND
TRIES: Final = 3  # how often a minute is waited for, and one try more
_UNTOLD_NS: Final = 3600 * SECOND  # life of a token whose answer does not say


@dataclass(frozen=True, slots=True)
class Issued:
    """A token, and when it ends."""

    token: str
    expires: int

    def __repr__(self) -> str:
        return f"Issued(***, expires={self.expires})"


def read_issue(answer: Mapping[str, Any], now: int) -> Issued:
    """What the server's answer to the request for a token says. BadData where there is no token in it."""
    token = answer.get("access_token")
    if not isinstance(token, str) or not token.strip() or not token.isascii():
        raise BadData("KIS's answer to the request for a token has no access_token")
    ends = []
    try:
        ends.append(now + int(float(str(answer.get("expires_in", "")).strip()) * SECOND))
    except (ValueError, OverflowError):
        ends.append(now + _UNTOLD_NS)
    try:
        said = dt.datetime.fromisoformat(str(answer.get("access_token_token_expired", "")).strip())
        ends.append(round(said.replace(tzinfo=SEOUL).timestamp()) * SECOND)
    except (ValueError, OverflowError):
        ends.append(ends[0])
    return Issued(token.strip(), min(ends))


class Tokens:
    """The token of one app key. issue: asks the server for one; folder: where the file lies."""

    def __init__(
        self, keys: Keys, server: Server, *, issue: Callable[[], Awaitable[Issued]], clock: Clock, folder: Path,
        vault_key: bytes | None = None, waits: Callable[[float], None] | None = None,
    ) -> None:  # fmt: skip
        self._keys, self._server, self._issue, self._clock = keys, server, issue, clock
        self._waits = waits
        self._folder = folder
        self._vault_key = vault_key
        self._file = self._file_of(server.environment)
        self._between = FileLock(self._file.path.with_suffix(".lock"), clock, patience_s=30.0)
        self._one = asyncio.Lock()
        self._kept: Issued | None = None
        self._dead: set[str] = set()

    @property
    def path(self) -> Path:
        """The file."""
        return self._file.path

    async def token(self, *, wait: bool = True) -> str:
        """A token that lives. RetryLater where a new one may not be asked for yet, and `wait` is False."""
        for tries in range(TRIES):
            async with self._one:
                if self._fresh(self._kept) and self._kept is not None:
                    return self._kept.token
                self._refuse_other_world()
                found = await self._renewed(last=not wait or tries == TRIES - 1)
                if isinstance(found, Issued):
                    self._kept = found
                    return found.token
            if not wait:
                raise RetryLater(f"KIS issues one token a minute; the next in {found / SECOND:.0f} s. Nothing was sent")
            await self._wait_until(self._clock.now_ns() + found)  # others may ask meanwhile, and need not wait
        raise RetryLater("KIS gave no token. Nothing was sent")

    async def again(self) -> str:
        """A token asked for anew though one lives, as soon as its minute is over; a minute later where somebody else
        asked for one."""
        async with self._one, self._between.held():
            asked, _ = self._look()
            await self._wait_until(asked + BETWEEN_NS)
            try:
                self._kept = await self._ask(None, asked)
            except IssueLimit:
                await self._wait_until(self._clock.now_ns() + BETWEEN_NS)
                self._kept = await self._ask(None, asked)
            return self._kept.token

    async def _wait_until(self, until: int) -> None:
        tell = self._waits
        if tell is None:
            await self._clock.sleep_until(until)
            return
        try:
            while (left := until - self._clock.now_ns()) > 0:
                tell(left / SECOND)
                await self._clock.sleep_until(min(until, self._clock.now_ns() + SECOND))
        finally:
            tell(0.0)

    def reject(self, token: str) -> None:
        """The server says that this token is dead."""
        self._dead.add(token)

    def forget(self) -> None:
        """Throw the file away: the key turned out to be of the other environment."""
        self._kept = None
        self._file.delete()

    def _fresh(self, kept: Issued | None, early: int = EARLY_NS) -> bool:
        return kept is not None and kept.token not in self._dead and self._clock.now_ns() < kept.expires - early

    async def _renewed(self, *, last: bool) -> Issued | int:
        """A token that lives, another process's or a new one; or how long nobody may ask for one, in nanoseconds."""
        async with self._between.held():
            asked, kept = self._look()
            if kept is not None and self._fresh(kept):
                return kept
            pause = min(BETWEEN_NS, asked + BETWEEN_NS - self._clock.now_ns())
            if pause <= 0:
                try:
                    return await self._ask(kept, asked)
                except IssueLimit:  # somebody asked from another machine
                    if last:
                        raise
                    pause = BETWEEN_NS
        return kept if kept is not None and self._fresh(kept, early=SECOND) else pause

    async def _ask(self, kept: Issued | None, asked: int) -> Issued:
        """A new token. While the old one lives a failure is not one."""
        now = self._clock.now_ns()
        self._keep(kept, now)
        try:
            found = await self._issue()
        except QuantkitError as problem:
            if isinstance(problem, NothingSent):
                self._keep(kept, asked)
            if kept is not None and self._fresh(kept, early=SECOND):
                return kept
            raise
        self._dead.discard(found.token)  # KIS gives the same one again within six hours: what it says now counts
        self._keep(found, now)
        return found

    def _look(self) -> tuple[int, Issued | None]:
        """When a token was asked for last, and the token on disk."""
        document = self._file.read()
        if document is None:
            try:
                return int(self.path.stat().st_mtime) * SECOND, None  # cut off while it was written
            except FileNotFoundError:
                return 0, None
        if document.get("environment") != str(self._server.environment):
            raise ConfigError(f"{self.path} is not of {self._server.environment}: delete it")
        token, expires, asked = document.get("token"), document.get("expires"), document.get("asked")
        kept = Issued(token, expires) if isinstance(token, str) and isinstance(expires, int) and token else None
        if not isinstance(asked, int):
            return 0, kept
        if asked > (now := self._clock.now_ns()):  # the clock was set back, or an emulator began its day again
            self._keep(kept, asked := now)
        return asked, kept

    def _keep(self, issued: Issued | None, asked: int) -> None:
        live = issued is not None and issued.token not in self._dead
        self._file.write({
            "environment": str(self._server.environment), "asked": asked,
            "token": issued.token if live and issued else "", "expires": issued.expires if live and issued else 0,
        })  # fmt: skip

    def _file_of(self, environment: Environment) -> SealedFile:
        name = self._server.name.replace(str(self._server.environment), str(environment), 1)
        path = self._folder / f"kis-{name}-{self._keys.fingerprint}.json"
        return SealedFile(path, f"quantkit|kis|{name}|{self._keys.fingerprint}|1", self._vault_key)

    def _refuse_other_world(self) -> None:
        """ConfigError where this app key has been given a token by the other environment's server."""
        other = next(each for each in Environment if each is not self._server.environment)
        file = self._file_of(other)
        if not self._server.is_emulated and (file.read() or {}).get("token"):
            raise ConfigError(
                f"{self._keys.source or 'keys'}: this app key has opened the {other} server before, and real and paper "
                f"have keys of their own; if it is of {self._server.environment} after all, delete {file.path}"
            )
