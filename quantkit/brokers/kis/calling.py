"""Calls of the catalogue: arguments checked before anything is sent, answers under English names with their types.

Arguments may be given under KIS's names, in any capitals, or ours. The account's fields and the keys of paging are
filled in. A code is text: 5930 for a symbol is refused, since it has lost what it was.

Contract: pure. ConfigError for arguments; the message names the field, what was found and what fits. Numbers are int,
float where KIS wrote decimals, and Decimal where a float would not be the same number; a blank is None. A value that
is not what the catalogue says is left as KIS wrote it and its name stands in `Result.unread`: a number that is there is
right. Dates are dates, None where KIS writes zeros. What the catalogue does not know keeps KIS's name and text.
"""

from __future__ import annotations

import datetime as dt
import difflib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from quantkit.brokers.kis.figures import plain_date, plain_number
from quantkit.errors import BadData, ConfigError, Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from quantkit.brokers.kis.answers import Envelope
    from quantkit.brokers.kis.catalogue import Call, Field
    from quantkit.brokers.kis.codes import Environment
    from quantkit.brokers.kis.server import Account

Value: TypeAlias = "str | int | float | Decimal | dt.date | None"
_EXACT: Final = 2**53
_ENVELOPE: Final = frozenset({"rt_cd", "msg_cd", "msg1"})


# --- what goes out ----------------------------------------------------------------------------------------------------


def check_callable(call: Call) -> None:
    """Refused for orders, ConfigError for streams."""
    if call.kind == "order":
        raise Refused("ORDER_BY_CALL", f"{call.name} places or changes orders: they leave only through the broker")
    if call.kind == "stream":
        raise ConfigError(f"{call.name} is a stream ({', '.join(call.real.values())}): it is subscribed to, not called")


def chosen(call: Call, environment: Environment, variant: str | None) -> str:
    """The transaction id to ask with. Refused for what an environment does not have and for orders; ConfigError for
    streams, and for a variant that is not there or not said."""
    check_callable(call)
    known = call.transactions(environment)
    if not known:
        raise Refused("PAPER_UNSUPPORTED", f"{call.name} ({call.korean}) is not served on 모의투자")
    if variant is None and len(known) == 1:
        return next(iter(known.values()))
    if variant is None or variant not in known:
        raise ConfigError(f"{call.name}: variant={variant!r}, expected one of {', '.join(map(repr, known))}")
    return known[variant]


def arguments(call: Call, given: Mapping[str, object], account: Account) -> dict[str, str]:
    """The fields of a request, all of them, as they are sent."""
    places = {field.name: field for field in call.request} | {field.wire.lower(): field for field in call.request}
    said: dict[str, str] = {}
    for name, value in given.items():
        field = places.get(name) or places.get(name.lower())
        if field is None:
            raise ConfigError(_unknown(call, name, places))
        if field.wire in said:
            raise ConfigError(f"{call.name}: {field.wire} ({field.name}) was given twice")
        if field.wire.upper() == "CANO":
            raise ConfigError(f"{call.name}: the account comes from the keys; do not give {name}")
        said[field.wire] = _text(call, field, value)
    own = account.fields()
    missing = []
    for field in call.request:
        if field.wire in said:
            continue
        if field.wire.upper() in own:
            said[field.wire] = own[field.wire.upper()]
        elif field.wire.upper().startswith("CTX_AREA_"):
            said[field.wire] = ""
        elif field.required:
            missing.append(f"{field.wire} ({field.name}, {field.korean})" if field.korean else field.wire)
    if missing:
        raise ConfigError(f"{call.name}: missing {', '.join(missing)}; what may be blank is given as ''")
    return {field.wire: said[field.wire] for field in call.request if field.wire in said}


def is_password(wire: str) -> bool:
    """Whether a field's value is to be shown nowhere."""
    return "PWD" in wire.upper() or "SECRET" in wire.upper()


def _unknown(call: Call, name: str, places: Mapping[str, Field]) -> str:
    near = difflib.get_close_matches(name.lower(), places, n=3, cutoff=0.5)
    known = [f"{field.wire} ({field.name})" for field in call.request]
    hint = f"near it: {', '.join(near)}" if near else f"it has {', '.join(known[:12]) or 'none'}"
    return f"{call.name}: no field {name!r}; {hint}"


def _text(call: Call, field: Field, value: object) -> str:
    """A value as it is sent."""
    where = f"{call.name}: {field.wire} ({field.name})"
    if is_password(field.wire):
        if isinstance(value, str) and value.isprintable() and len(value) <= (field.length or len(value)):
            return value
        raise ConfigError(f"{where}: expected text of at most {field.length or 'some'} characters")
    if isinstance(value, bool):
        shown = ("Y" if value else "N") if field.wire.upper().endswith("_YN") else None
    elif isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        shown = f"{value:%Y%m%d}"
    elif isinstance(value, str):
        shown = value
    elif field.kind == "n" and isinstance(value, int):
        shown = str(value)
    elif field.kind == "n" and isinstance(value, Decimal):
        shown = format(value, "f")
    elif field.kind == "n" and isinstance(value, float) and math.isfinite(value):
        shown = format(Decimal(repr(value)), "f")
    else:
        shown = None
    if shown is None:
        what = {"n": "a number", "d": "a date or YYYYMMDD"}.get(field.kind, "text, such as '005930'")
        raise ConfigError(f"{where}={value!r} ({type(value).__name__}): expected {what}")
    if field.kind == "n" and shown.strip() and plain_number(shown) is None:
        raise ConfigError(f"{where}={shown!r}: expected a plain number, or ''")
    if field.kind == "d" and shown.strip() and plain_date(shown) is None:
        raise ConfigError(f"{where}={shown!r}: expected a date YYYYMMDD, or ''")
    if field.length and len(shown) > field.length:
        raise ConfigError(f"{where}={shown!r}: {len(shown)} characters, at most {field.length} fit")
    if not shown.isprintable():
        raise ConfigError(f"{where}={shown!r}: a control character in it")
    return shown


# --- what comes back --------------------------------------------------------------------------------------------------


class Record(Mapping[str, Value]):
    """One row: a mapping of English names, which are attributes as well."""

    __slots__ = ("_values",)

    def __init__(self, values: dict[str, Value]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> Value:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __getattr__(self, name: str) -> Value:
        try:
            return self._values[name]
        except KeyError:
            near = difflib.get_close_matches(name, self._values, n=3)
            raise AttributeError(f"no field {name!r}{'; near it: ' + ', '.join(near) if near else ''}") from None

    def __repr__(self) -> str:
        return f"Record({', '.join(f'{name}={value!r}' for name, value in self._values.items())})"


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to a call, all pages together. `more`: there were more pages than were asked for."""

    call: Call
    blocks: Mapping[str, tuple[Record, ...]]
    code: str
    text: str
    more: bool = False
    unread: tuple[str, ...] = ()  # English names of values that are not what the catalogue says; they are text

    @property
    def main(self) -> str:
        """The block that matters most: the longest, of equals the first. "" where there is none."""
        return max(self.blocks, key=lambda block: len(self.blocks[block]), default="")

    @property
    def rows(self) -> tuple[Record, ...]:
        """Rows of the main block."""
        return self.blocks.get(self.main, ())

    @property
    def record(self) -> Record:
        """The only row of the main block. BadData where it has another number of them."""
        if len(self.rows) != 1:
            raise BadData(f"{self.call.name}: {len(self.rows)} rows, expected 1")
        return self.rows[0]

    def frame(self, block: str | None = None) -> pd.DataFrame:
        """A block (default: the main one) as a DataFrame: int64 or Int64, float64, datetime64, text."""
        import pandas as pd

        rows = self.blocks.get(self.main if block is None else block.lower(), ())
        names = list(dict.fromkeys(name for row in rows for name in row))
        return pd.DataFrame({name: _column([row.get(name) for row in rows]) for name in names})


def result(call: Call, pages: Sequence[Envelope], *, more: bool = False) -> Result:
    """What the pages of an answer say."""
    unread: dict[str, None] = {}
    blocks: dict[str, list[list[Record]]] = {}
    for page in pages:
        for name, value in page.body.items():
            if isinstance(value, dict | list) and name.lower() not in _ENVELOPE:
                rows = [record_of(call, row, unread) for row in page.rows(name)]
                blocks.setdefault(name.lower(), []).append(rows)
    whole = {name: _joined(parts, blocks) for name, parts in blocks.items()}
    last = pages[-1]
    return Result(call, whole, last.code, last.text, more, tuple(unread))


def _joined(parts: list[list[Record]], blocks: Mapping[str, list[list[Record]]]) -> tuple[Record, ...]:
    """Rows of all pages; of sums, one row a page beside a list, the last."""
    lists = any(len(rows) > 1 for others in blocks.values() for rows in others)
    if lists and len(parts) > 1 and all(len(rows) <= 1 for rows in parts):
        return tuple(next((rows for rows in reversed(parts) if rows), []))
    return tuple(row for rows in parts for row in rows)


def record_of(call: Call, row: Mapping[str, Any], unread: dict[str, None]) -> Record:
    """One row under our names; names of values that are not what the catalogue says go into `unread`."""
    values: dict[str, Value] = {}
    for wire, raw in row.items():
        field = call.answer.get(wire)
        name = wire if field is None else field.name
        if name in values:  # a name of ours that KIS uses for another field
            name = wire
        values[name], known = _value("t" if field is None else field.kind, raw)
        if not known:
            unread[name] = None
    return Record(values)


def _value(kind: str, raw: object) -> tuple[Value, bool]:
    """A value in its type, and whether it was one."""
    if raw is None:
        return None, True
    said = raw.strip() if isinstance(raw, str) else str(raw) if isinstance(raw, int | float) else None
    if said is None or isinstance(raw, bool):
        return str(raw), False
    if kind == "n":
        return (None, True) if not said else _number(said)
    if kind == "d":
        found = plain_date(said)
        return (found, True) if found is not None or not said.strip("0") else (said, False)
    return said, True


def _number(said: str) -> tuple[Value, bool]:
    plain = plain_number(said)
    if plain is None:
        return said, False
    if "." not in said:
        return int(plain), True
    exact, near = Decimal(plain), float(plain)
    return (near if math.isfinite(near) and Decimal(repr(near)) == exact else exact), True


def _column(values: list[Value]) -> pd.Series[Any]:
    """A column whose type loses nothing."""
    import pandas as pd

    kinds = {type(value) for value in values if value is not None}
    if kinds == {int} and all(abs(value) < 2**63 for value in values if isinstance(value, int)):
        return pd.Series(values, dtype="Int64" if None in values else "int64")
    if kinds and kinds <= {int, float} and all(abs(v) <= _EXACT for v in values if isinstance(v, int)):
        return pd.Series([math.nan if value is None else value for value in values], dtype="float64")
    if kinds == {dt.date}:
        return pd.to_datetime(pd.Series(values))
    return pd.Series(values, dtype="str" if kinds == {str} else "object")
