"""Secrets out of what is kept: the wire log, logs, alerts.

A secret is known by its name (a header, a JSON field, a query parameter: keys, tokens, passwords, account numbers, as
the Korean brokers call them) or by its value (`Redactor(values=...)`: the keys and account numbers of this process).
Contract: pure; what stands in a secret's place is `HIDDEN`, so lengths do not tell either; text that is not JSON is
searched as text; nothing else of a message changes but the spaces of its JSON.

>>> Redactor(values=["hunter22"]).text('{"appkey": "abc", "note": "hunter22 again", "qty": 3}')
'{"appkey": "***", "note": "*** again", "qty": 3}'
>>> Redactor().text("authorization: Bearer eyJhb.xyz")
'authorization: ***'
"""

from __future__ import annotations

import functools
import json
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, MutableMapping

HIDDEN: Final = "***"
SHORTEST = 4  # characters of a registered value; shorter ones would blank out half a message

_EXACT = frozenset({
    # what a name is when nothing but letters and digits are left of it
    "authorization", "cookie", "setcookie", "key", "apikey", "appkey", "secret", "appsecret", "secretkey", "apisecret",
    "hashkey", "password", "passwd", "pwd", "pin", "otp", "credential", "credentials", "iv",
    "cano", "acntprdtcd", "account", "accountno", "accountnumber", "accno", "acctno", "acntno", "acnt", "acct",
    "accountlist", "htsid", "custid", "userid", "mbcrtelno", "macaddress", "accn",
    "계좌번호", "계좌", "비밀번호", "계좌비밀번호",
})  # fmt: skip
_PART = (
    "token",
    "secret",
    "appkey",
    "apikey",
    "approvalkey",
    "password",
    "passwd",
    "credential",
    "계좌번호",
    "비밀번호",
)
_LETTER = "[A-Za-z가-힣]"
_NAMED = re.compile(  # a name begins with the first letter of its word; a word is looked at once, however long it is
    rf"""(?<![\w.\-])(?:(?!{_LETTER})[\w.\-])*+(?P<name>{_LETTER}[\w.\-]*+)["']?\s*(?:=|:)\s*"""
    r"""(?P<value>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|"""
    r"""(?:(?:Bearer|Basic|bearer|basic)\s+)?[^\s"'&,;{}\[\]]+)"""
)
_BEARER = re.compile(r"\b([Bb]earer|[Bb]asic)\s+[\w.~+/=-]{8,}")
_ADDRESS = re.compile(r"((?<!\w)\w++://[^\s/:@]*:)[^\s/@]+(@)")  # a password in an address
_NOISE = re.compile(r"[^0-9a-z가-힣]")


@functools.lru_cache(maxsize=1 << 12)
def secret_name(name: str) -> bool:
    """Whether a field of that name holds a secret."""
    bare = _NOISE.sub("", name.lower())
    return bare in _EXACT or any(part in bare for part in _PART)


class Redactor:
    """Takes secrets out of texts and values; `values` are secrets of this process, whatever they are called."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._values: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self.register(*values)

    def register(self, *values: str) -> None:
        """More secrets; those under `SHORTEST` characters are not looked for."""
        self._values.update(value for value in values if len(value) >= SHORTEST)
        if self._values:
            longest_first = sorted(self._values, key=lambda value: (-len(value), value))
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def text(self, text: str) -> str:
        """A message without its secrets."""
        if text.lstrip()[:1] in ("{", "["):
            try:
                return json.dumps(self.value(json.loads(text)), ensure_ascii=False)
            except ValueError:  # it only looked like JSON
                return self._plain(text)
        return self._plain(text)

    def value(self, value: Any, name: str = "") -> Any:
        """A value of JSON's types without its secrets; `name` is what it is called."""
        if name and value is not None and secret_name(name):
            return HIDDEN
        if isinstance(value, dict):
            return {self._known(str(key)): self.value(item, str(key)) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, int) and not isinstance(value, bool) and self._known(str(value)) != str(value):
            return HIDDEN
        return value

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Headers of a request or an answer without their secrets."""
        return {name: HIDDEN if secret_name(name) else self._plain(value) for name, value in headers.items()}

    def __call__(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """As a processor of structlog."""
        for name, value in event.items():
            event[name] = self._logged(value, name)
        return event

    def _logged(self, value: Any, name: str) -> Any:
        if isinstance(value, BaseException):
            return self._plain(f"{type(value).__name__}: {value}")
        return self.value(value, "" if name in ("event", "account") else name)  # accounts have names of our own in logs

    def _plain(self, text: str) -> str:
        """Text that is not JSON."""
        text = _ADDRESS.sub(rf"\1{HIDDEN}\2", text)
        return self._known(_BEARER.sub(rf"\1 {HIDDEN}", _NAMED.sub(_hide, text)))

    def _known(self, text: str) -> str:
        return text if self._pattern is None else self._pattern.sub(HIDDEN, text)


def _hide(found: re.Match[str]) -> str:
    if not secret_name(found["name"]):
        return found[0]
    value = found["value"]
    quote = value[0] if value[0] in "\"'" else ""
    return f"{found[0].removesuffix(value)}{quote}{HIDDEN}{quote}"
