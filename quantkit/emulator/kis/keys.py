"""Customers of the emulated KIS: application keys, tokens, approval keys, and how often each may call.

Contract: times are the emulator's, UTC nanoseconds; calls a second are counted by `seconds`. A token lives 24 hours;
asked for again within 6 it is the same one; a new one is made at most once a minute a key (403 EGW00133). A key of the
other profile is turned away.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from quantkit.emulator.kis.envelope import Gateway
from quantkit.emulator.session import SECOND, day_of, seoul
from quantkit.market.days import date_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

LIFE: Final = 86_400 * SECOND
SAME: Final = 6 * 3600 * SECOND
EVERY: Final = 60 * SECOND
APPROVED: Final = 86_400 * SECOND


@dataclass(frozen=True, slots=True)
class Customer:
    """Who has a key. account: eight digits and two; name: of the account on the exchange."""

    name: str
    hts_id: str
    account: str
    appkey: str = field(repr=False)
    appsecret: str = field(repr=False)
    paper: bool


def customers(wanted: int | Sequence[str], *, paper: bool, seed: int = 0) -> list[Customer]:
    """Made-up customers, so many or by the names of their accounts; the same for the same seed."""
    names = [f"kis{k + 1}" for k in range(wanted)] if isinstance(wanted, int) else wanted
    found = []
    for k, name in enumerate(names):
        base = f"{'paper' if paper else 'real'} {seed} {k}"
        key = ("PS" + _letters(f"{base} key", 34))[:36]
        account = f"{(50 if paper else 60) * 1_000_000 + k + 1:08d}01"
        found.append(Customer(name, f"user{k + 1:04d}", account, key, _letters(f"{base} secret", 180), paper))
    return found


def _letters(words: str, length: int) -> str:
    made, block = "", words
    while len(made) < length:
        block = hashlib.sha512(block.encode()).hexdigest()
        made += base64.b64encode(bytes.fromhex(block)).decode().replace("/", "x").replace("+", "y").rstrip("=")
    return made[:length]


class _Window:
    """At most so many calls within any second."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._times: deque[float] = deque()

    def take(self, now: float) -> bool:
        while self._times and self._times[0] <= now - 1.0:
            self._times.popleft()
        if len(self._times) >= self.limit:
            return False
        self._times.append(now)
        return True


class Keys:
    """Keys of one profile's customers, and what was issued to them. others: customers of the other profile; seconds:
    what calls are counted by."""

    def __init__(
        self, own: Sequence[Customer], others: Sequence[Customer], *, now: Callable[[], int],
        seconds: Callable[[], float], calls: int, ledger: int | None,
    ) -> None:  # fmt: skip
        self.customers = tuple(own)
        self._by_key = {one.appkey: one for one in own}
        self._others = {one.appkey for one in others}
        self._now, self._seconds = now, seconds
        self._calls = {one.appkey: _Window(calls) for one in own}
        self._ledger = {} if ledger is None else {one.account: _Window(ledger) for one in own}
        self._tokens: dict[str, tuple[str, int, bool]] = {}  # appkey -> token, issued, revoked
        self._owners: dict[str, tuple[str, int]] = {}  # token -> appkey, issued
        self._approvals: dict[str, tuple[str, int]] = {}
        self._asked: dict[str, int] = {}
        self._made = 0
        self.issued = 0

    # --- OAuth ---------------------------------------------------------------------------------------------------

    def customer(self, appkey: str | None, secret: str | None) -> Customer:
        """Whose key this is. Gateway, 403: missing, not known, or of the other profile."""
        if not appkey:
            raise Gateway("EGW00102", 403)
        if appkey in self._others and appkey not in self._by_key:
            paper = not self.customers[0].paper if self.customers else True
            raise Gateway("EGW02004" if paper else "EGW00103", 500 if paper else 403)
        found = self._by_key.get(appkey)
        if found is None:
            raise Gateway("EGW00103", 403)
        if not secret:
            raise Gateway("EGW00104", 403)
        if secret != found.appsecret:
            raise Gateway("EGW00105", 403)
        return found

    def token(self, body: dict[str, str]) -> dict[str, object]:
        """Answer of /oauth2/tokenP."""
        _granted(body)
        owner = self.customer(body.get("appkey"), body.get("appsecret"))
        now = self._now()
        held = self._tokens.get(owner.appkey)
        if now - self._asked.get(owner.appkey, -EVERY) < EVERY:
            raise Gateway("EGW00133", 403)
        self._asked[owner.appkey] = now
        if held is None or held[2] or now - held[1] >= SAME:
            self._made += 1
            self.issued += 1
            held = (self._jwt(owner, now), now, False)
            self._tokens[owner.appkey] = held
            self._owners[held[0]] = (owner.appkey, now)
        ends = held[1] + LIFE
        return {
            "access_token": held[0],
            "access_token_token_expired": f"{_date(ends)} {seoul(ends)}",
            "token_type": "Bearer",
            "expires_in": max(0, (ends - now) // SECOND),
        }

    def _jwt(self, owner: Customer, now: int) -> str:
        parts = (
            {"typ": "JWT", "alg": "HS512"},
            {"sub": "token", "aud": owner.hts_id, "iat": now // SECOND, "jti": owner.appkey, "n": self._made},
        )
        words = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
        return ".".join([*words, _letters(f"{owner.appkey} {self._made}", 86)])

    def revoke(self, body: dict[str, str]) -> dict[str, object]:
        """Answer of /oauth2/revokeP."""
        owner = self.customer(body.get("appkey"), body.get("appsecret"))
        found = self._owners.pop(body.get("token", ""), None)
        if found is None:
            raise Gateway("EGW00121", 403)
        held = self._tokens.get(owner.appkey)
        if held is not None and held[0] == body["token"]:
            self._tokens[owner.appkey] = (held[0], held[1], True)
        return {"code": 200, "message": "접근토큰 폐기에 성공하였습니다"}

    def end(self, owner: Customer) -> None:
        """A customer's token is gone before its time; another one is made when it is asked for."""
        token, issued, _ = self._tokens.get(owner.appkey, ("", 0, True))
        self._owners.pop(token, None)
        self._tokens[owner.appkey] = (token, issued, True)

    def revoke_all(self) -> None:
        """A night's maintenance: every token is gone before its time."""
        self._owners.clear()
        self._tokens = {key: (token, issued, True) for key, (token, issued, _) in self._tokens.items()}

    def approval(self, body: dict[str, str]) -> dict[str, object]:
        """Answer of /oauth2/Approval; the secret has another name there."""
        _granted(body)
        owner = self.customer(body.get("appkey"), body.get("secretkey"))
        self._made += 1
        digest = hashlib.md5(f"{owner.appkey} approval {self._made}".encode(), usedforsecurity=False).hexdigest()
        key = "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:]))
        self._approvals[key] = (owner.appkey, self._now())
        return {"approval_key": key}

    def approved(self, key: str) -> Customer | None:
        """Whose approval key this is, None where it is none or too old."""
        appkey, made = self._approvals.get(key, ("", 0))
        return self._by_key.get(appkey) if self._now() - made < APPROVED else None

    # --- each call -----------------------------------------------------------------------------------------------

    def caller(self, headers: dict[str, str]) -> Customer:
        """Whose call this is, counted. Gateway: no such key, no such token, or too many calls."""
        owner = self.customer(headers.get("appkey"), headers.get("appsecret"))
        words = headers.get("authorization", "").split()
        if words and words[0].lower() != "bearer":
            raise Gateway("EGW00205")
        if len(words) != 2:
            raise Gateway("EGW00121")
        if headers.get("custtype", "P") not in ("P", "B"):
            raise Gateway("EGW00208")
        appkey, issued = self._owners.get(words[1], ("", 0))
        if appkey != owner.appkey:
            raise Gateway("EGW00121")
        if self._now() - issued >= LIFE:
            raise Gateway("EGW00123")
        if not self._calls[owner.appkey].take(self._seconds()):
            raise Gateway("EGW00201")
        return owner

    def at_the_ledger(self, owner: Customer) -> None:
        """Another count for what asks for the account."""
        window = self._ledger.get(owner.account)
        if window is not None and not window.take(self._seconds()):
            raise Gateway("EGW00215")


def hash_of(owner: Customer, body: Mapping[str, str]) -> str:
    """The hash key of a body."""
    return hashlib.sha256(f"{owner.appkey} {json.dumps(body, sort_keys=True)}".encode()).hexdigest()


def _granted(body: dict[str, str]) -> None:
    grant = body.get("grant_type")
    if not grant:
        raise Gateway("EGW00115", 403)
    if grant != "client_credentials":
        raise Gateway("EGW00116", 403)


def _date(time: int) -> str:
    return str(date_of(day_of(time)))
