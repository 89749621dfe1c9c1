"""Everything KIS offers, as data: 338 calls with their paths, transaction ids, fields and names in two languages.

`catalogue.json` is made by `tools/kis_catalogue.py`; this module reads it once and finds things in it. A call is known
by our name (its function, with a prefix for everything but domestic stocks: `overseas_price`), by KIS's function where
only one category has it, by a transaction id, or by its Korean name.

Contract: pure; nothing is sent. kind of a call: "read", "order" (it places, changes or cancels: only the broker sends
those), "stream" (WebSocket), "auth". kind of a field: "n" number, "d" date YYYYMMDD, "t" text.

>>> find("inquire_price").korean, find("HHDFS00000300").name, len(calls())
('주식현재가 시세', 'overseas_price', 338)
"""

from __future__ import annotations

import difflib
import functools
import json
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from quantkit.brokers.kis.codes import Environment
from quantkit.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

CATEGORIES: Final = ("auth", "stock", "overseas", "futures", "overseas_futures", "bond", "etf", "elw")
_NEAR: Final = 5


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a request or an answer: `wire` is KIS's name, `name` ours. `length` 0: not published."""

    wire: str
    name: str
    kind: str
    korean: str
    length: int = 0
    required: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """One call. `real` and `paper`: transaction ids by variant, "" where there is one only; empty where it is not
    served. `blocks`: fields of the answer by block; "?" where KIS does not say in which block they come."""

    name: str
    function: str
    category: str
    korean: str
    english: str
    method: str
    path: str
    kind: str
    real: Mapping[str, str]
    paper: Mapping[str, str]
    request: tuple[Field, ...]
    blocks: Mapping[str, tuple[Field, ...]]
    answer: Mapping[str, Field]  # all fields of the blocks by KIS's name

    @property
    def doc(self) -> str:
        """The call in words: what it is, and each field under KIS's name, ours and the Korean one."""
        lines = [f"{self.name}: {self.english} ({self.korean})", f"{self.method} {self.path}", "", "asks"]
        lines += [f"    {each.name} ({each.wire}): {each.korean}" for each in self.request]
        for block, fields in self.blocks.items():
            lines += [
                f"answers {block}".rstrip(),
                *(f"    {each.name} ({each.wire}): {each.korean}" for each in fields),
            ]
        return "\n".join(lines)

    def transactions(self, environment: Environment) -> Mapping[str, str]:
        """Transaction ids of an environment by variant; empty where it does not have this call."""
        return self.real if environment is Environment.REAL else self.paper


@functools.cache
def calls() -> Mapping[str, Call]:
    """All calls by our name, in the order of their categories."""
    text = resources.files("quantkit.brokers.kis").joinpath("catalogue.json").read_text(encoding="utf-8")
    document = json.loads(text)
    names: Mapping[str, list[str]] = document["names"]
    return {each["name"]: _call(each, names) for each in document["calls"]}


def _call(told: Mapping[str, Any], names: Mapping[str, list[str]]) -> Call:
    own: Mapping[str, str] = told.get("own", {})

    def field(wire: str, length: int = 0, *, required: bool = False) -> Field:
        lower = wire.lower()
        name, kind, korean = names[lower]
        return Field(wire, own.get(lower, name), kind, korean, length, required)

    blocks = {block: tuple(field(wire) for wire in fields.split()) for block, fields in told["blocks"].items()}
    return Call(
        told["name"], told["function"], told["category"], told["ko"], told["en"], told["method"], told["path"],
        told["kind"], told["real"], told["paper"],
        tuple(field(wire, length, required=bool(required)) for wire, length, required in told["request"]),
        blocks, {each.wire: each for fields in blocks.values() for each in fields},
    )  # fmt: skip


@functools.cache
def _index() -> Mapping[str, tuple[str, ...]]:
    """Our names by everything a call may be asked for with."""
    found: dict[str, list[str]] = {}
    for call in calls().values():
        said = {call.name, call.function, call.korean, call.path, *call.real.values(), *call.paper.values()}
        for word in said - {""}:
            found.setdefault(word.lower(), []).append(call.name)
    return {word: tuple(names) for word, names in found.items()}


def find(name: str) -> Call:
    """A call by any of its names. ConfigError with near ones where there is none, with all where there are several."""
    known = calls()
    asked = name.strip().lower()
    plain = asked.replace("-", "_")
    if plain in known:
        return known[plain]
    matching = _index().get(asked) or _index().get(plain, ())
    if len(matching) == 1:
        return known[matching[0]]
    if matching:
        raise ConfigError(f"KIS has {name!r} in several categories: {', '.join(matching)}")
    near = difflib.get_close_matches(plain, known, n=_NEAR, cutoff=0.5)
    hint = f"near it: {', '.join(near)}" if near else "`quantkit kis ls` lists all"
    raise ConfigError(f"KIS has no call {name!r}; {hint}")


def listing(category: str | None = None, words: str = "") -> list[Call]:
    """Calls of a category whose names have all the words in them. ConfigError for a category that is not there."""
    if category is not None and category not in CATEGORIES:
        raise ConfigError(f"category={category!r}: expected one of {', '.join(CATEGORIES)}")
    wanted = words.lower().split()
    return [
        call for call in calls().values()
        if category in (None, call.category)
        and all(word in f"{call.name} {call.english} {call.korean} {call.real}".lower() for word in wanted)
    ]  # fmt: skip
