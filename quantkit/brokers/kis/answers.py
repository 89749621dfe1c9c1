"""What KIS answers: the envelope read, and every failure turned into the error that says what to do next.

    token dead          reads: renewed and asked again, once (`wire`); orders: RetryLater, nothing was taken
    too many a second   reads: asked again after a pause; orders: OutcomeUnknown, or RetryLater where the settings trust
                        KIS's word that a refused request was not executed
    server in trouble   reads: asked again; orders: OutcomeUnknown
    no readable answer  reads: asked again, BadData where it said 200; orders: OutcomeUnknown
    refused             Refusal, with the broker's own code and text
    keys, rights        reads: ConfigError, with what to change; orders: Refusal

Contract: pure. `rt_cd` "0" is success and nothing else is. Texts of the broker are shown as they came, in one line.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from quantkit.brokers.kis.codes import Act, Environment, act_of, remedy
from quantkit.errors import BadData, ConfigError, OutcomeUnknown, QuantkitError, Refused, RetryLater

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quantkit.brokers.kis.transport import Answer

LONGEST: Final = 300  # characters of a broker's text that an error repeats
_MORE: Final = ("F", "M")


class Refusal(Refused):
    """The broker said no. `code` and `text` are its own words; `transaction` is what was asked, `advice` what to do."""

    def __init__(self, code: str, text: str, transaction: str = "", advice: str = "") -> None:
        super().__init__(code, _with(text, advice))
        self.text, self.transaction, self.advice = text, transaction, advice


class TokenDead(RetryLater):
    """The token does not serve any more. Nothing was done."""


class NothingSent(RetryLater):
    """No connection: not a byte of it left."""


class IssueLimit(RetryLater):
    """A token was asked for twice within a minute."""


class Throttled(RetryLater):
    """Too many requests a second."""


class ListChanged(RetryLater):
    """The list moved while it was paged through."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """One answer, read. `body` is its JSON with the names as they came."""

    status: int
    ok: bool
    code: str
    text: str
    body: Mapping[str, Any] = field(repr=False)
    more: bool = False  # another page follows
    said: str = ""  # rt_cd; "" where there is none

    def block(self, name: str) -> Any:
        """An output by its name, whatever its capitals; None where there is none."""
        if name in self.body:
            return self.body[name]
        return next((value for key, value in self.body.items() if key.lower() == name.lower()), None)

    def rows(self, name: str) -> list[dict[str, Any]]:
        """An output as rows, names in lower case: one for an object; empty ones, which pad lists, left out. BadData
        where it is no output."""
        found = self.block(name)
        if found is None or found == "":
            return []
        rows = [found] if isinstance(found, dict) else found
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise BadData(f"KIS: {name} is {type(found).__name__}, expected an object or a list of them")
        return [{key.lower(): value for key, value in row.items()} for row in rows if row]

    def row(self, name: str) -> dict[str, Any]:
        """The only row of an output, of which some are lists of one. BadData where there is none or several."""
        rows = self.rows(name)
        if len(rows) != 1:
            raise BadData(f"KIS: {name} has {len(rows)} rows, expected 1 ({self.code} {self.text})")
        return rows[0]

    def context(self) -> dict[str, str]:
        """The keys of the next page, as the next request carries them."""
        return {name.upper(): str(value) for name, value in self.body.items() if name.lower().startswith("ctx_area_")}


def body_of(answer: Answer) -> dict[str, Any] | None:
    """The object of JSON that an answer is; None where it is none."""
    try:
        body = json.loads(answer.body.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def read(answer: Answer) -> Envelope | None:
    """The envelope of an answer of any status; None where there is none in it."""
    body = body_of(answer)
    if body is None:
        return None
    said = body.get("rt_cd")
    code = _text(body.get("msg_cd")) or _text(body.get("error_code"))
    text = _text(body.get("msg1")) or _text(body.get("error_description"))
    if said is None and not code:
        return None
    word = "" if said is None else str(said)
    return Envelope(
        answer.status, 200 <= answer.status < 300 and word == "0", code, text, body,
        answer.headers.get("tr_cont", "").strip() in _MORE, word,
    )  # fmt: skip


def _text(value: object) -> str:
    return " ".join(str(value).split())[:LONGEST] if isinstance(value, str | int) else ""


def failure(
    envelope: Envelope, transaction: str, environment: Environment, *, order: bool, trust_throttle: bool = False
) -> QuantkitError:
    """The error that an envelope which is not `ok` stands for."""
    code, text = envelope.code or f"HTTP {envelope.status}", envelope.text or "no text"
    what = f"KIS {transaction}: {code} {text}"
    act = act_of(envelope.code, envelope.text, envelope.status)
    advice = remedy(envelope.code, envelope.text)
    if act is Act.PAPER and environment is Environment.PAPER:
        return Refusal("PAPER_UNSUPPORTED", f"{code} {text}", transaction, "모의투자 does not serve it")
    if (act is Act.CONFIG or (act is Act.PAPER and advice)) and not order:
        return ConfigError(_with(what, advice))
    if act is Act.TOKEN:
        return TokenDead(f"{what}; nothing was done, the next request has a new token")
    if act is Act.ISSUE_LIMIT:
        return IssueLimit(f"{what}; {advice}")
    if act is Act.NOT_YET:
        return RetryLater(f"{what}; the exchange has not taken the order yet, ask again in a second")
    if act is Act.CHANGED:
        return ListChanged(f"{what}; ask for the list again")
    if act is Act.THROTTLED:
        if order and not trust_throttle:
            return OutcomeUnknown(f"{what}; whether the order was taken must be looked up")
        return Throttled(f"{what}; nothing was done: {advice}")
    if act is Act.TEMPORARY:
        if order:
            return OutcomeUnknown(f"{what}; whether it was taken must be looked up")
        return RetryLater(_with(what, advice or "KIS's server is in trouble, ask again later"))
    if order and (envelope.said == "0" or (not envelope.said and envelope.status < 400)):
        return OutcomeUnknown(f"{what}; that is neither yes nor no, it must be looked up")
    return Refusal(code, text, transaction, advice)


def _with(text: str, advice: str) -> str:
    return f"{text}; {advice}" if advice else text


def unreadable(status: int, transaction: str, *, order: bool) -> QuantkitError:
    """The error for an answer without an envelope."""
    what = f"KIS {transaction}: HTTP {status} without an answer that can be read"
    if order:
        return OutcomeUnknown(f"{what}; whether it was taken must be looked up")
    return BadData(f"{what}; ask again later") if status == 200 else RetryLater(f"{what}; ask again later")
