"""What goes wrong between a broker and its client, as data, and a plan that decides when.

Contract: a `Fault` says what happens, to which requests or messages, and how often; a `FaultPlan` is asked at each of
them and answers the same for the same seed and the same sequence of questions. A decision about one fault never moves
another's. Times of day are Seoul's. ConfigError names what a plan cannot hold.

A fault happens where its span holds and the count of what it concerns is in `nth`, or a draw is below `probability`.
A fault with a span and neither happens always inside it. What may be named in `on`:

    requests   submit cancel modify orders positions cash orderable_cash sellable connect candles day
    notice     each notice of the order stream           tick       each trade on the price stream
    notices    the order stream, every second            prices     the price stream, every second
    token      each request for an access token          approval   each for the key of the stream
    register   each registration on the stream           session    each end of a session of the stream

What `garbage` and `frame_garbage` make of an answer or a frame is drawn from their `forms` (`FORMS`): its end is cut
off, it comes twice, two are glued into one, fields are missing, bytes are no text, a page of HTML or nothing at all.
The forms of `registration_refused` are KIS's codes. The last four are on KIS's wire alone; there `connect` is the
stream's opening, which a `server_error` refuses or closes at once.

>>> plan = FaultPlan([Fault(FaultKind.ANSWER_LOST, on=("submit",), nth=(2,))])
>>> [bool(plan.strikes("submit", 0)) for _ in range(3)]
[False, True, False]
"""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from quantkit.emulator.crowd import draw
from quantkit.emulator.session import seoul
from quantkit.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class FaultKind(StrEnum):
    """What may go wrong."""

    REQUEST_LOST = "request_lost"  # it never arrives; nobody answers
    REQUEST_LATE = "request_late"  # it arrives `seconds` late, perhaps after the caller gave up
    ANSWER_LOST = "answer_lost"  # it was done; nobody answers
    ANSWER_LATE = "answer_late"  # it was done; the answer takes `seconds`
    SERVER_ERROR = "server_error"  # 5xx; in half the cases it was done
    GARBAGE = "garbage"  # it was done; the answer cannot be read, or lacks half of what it should say
    RATE_LIMITED = "rate_limited"  # 429; it was not done
    TOKEN_EXPIRED = "token_expired"  # 401 in the middle of an order; it was not done
    NOTICE_DUPLICATED = "notice_duplicated"
    NOTICE_REORDERED = "notice_reordered"  # held back by `seconds`, so that later ones overtake it
    NOTICE_MISSING = "notice_missing"
    NOTICE_LATE = "notice_late"  # it, and all behind it, `seconds` late
    FILL_FIRST = "fill_first"  # the fill is heard before the order is acknowledged, `seconds` later
    CANCEL_RACES_FILL = "cancel_races_fill"  # somebody trades with the order just before the cancel arrives
    LIST_LAGS = "list_lags"  # the list of orders shows how things stood `seconds` ago
    PAGE_MISSING = "page_missing"  # a page of a list does not come
    STALE_SNAPSHOT = "stale_snapshot"  # positions or cash as they stood `seconds` ago
    SOCKET_STALL = "socket_stall"  # no price and no notice is heard for `seconds`, then all of it; heartbeats are
    SOCKET_DROP = "socket_drop"  # the connection breaks; what happens until the next one is not heard
    CLOCK_SKEW = "clock_skew"  # the broker's times are `seconds` off, all the time
    FRAME_GARBAGE = "frame_garbage"  # a frame of the stream cannot be read: what it says is lost
    SOCKET_SILENT = "socket_silent"  # a stall in which heartbeats are not heard either
    TOKEN_REVOKED = "token_revoked"  # the token ends before its time: this request and all after it need another one
    SESSION_LINGERS = "session_lingers"  # a stream that has ended counts for `seconds` more: another is turned away
    REGISTRATION_REFUSED = "registration_refused"  # the server could not, or says so
    REGISTRATION_DUPLICATED = "registration_duplicated"  # it is acknowledged twice
    NOT_TAKEN_YET = "not_taken_yet"  # an order younger than `seconds` cannot be changed: the exchange has it not yet


_ORDERS: Final = ("submit", "cancel", "modify")
_READS: Final = ("orders", "positions", "cash", "orderable_cash", "sellable", "candles", "day")
REQUESTS: Final = (*_ORDERS, *_READS, "connect")
KEYS: Final = ("token", "approval")
BY_NAME: Final = ("tick", "register", *KEYS)
_K = FaultKind
CONCERNS: Final[dict[FaultKind, tuple[str, ...]]] = {
    **dict.fromkeys((_K.REQUEST_LOST, _K.ANSWER_LOST, _K.ANSWER_LATE), (*REQUESTS, *KEYS, "register")),
    **dict.fromkeys((_K.REQUEST_LATE, _K.SERVER_ERROR, _K.GARBAGE, _K.RATE_LIMITED), (*REQUESTS, *KEYS)),
    **dict.fromkeys((_K.TOKEN_EXPIRED, _K.TOKEN_REVOKED), REQUESTS),
    **dict.fromkeys((_K.NOTICE_DUPLICATED, _K.NOTICE_REORDERED, _K.NOTICE_LATE), ("notice",)),
    _K.NOTICE_MISSING: ("notice", "tick"),
    _K.FRAME_GARBAGE: ("notice", "tick", "register"),
    **dict.fromkeys((_K.REGISTRATION_REFUSED, _K.REGISTRATION_DUPLICATED), ("register",)),
    _K.FILL_FIRST: ("submit",),
    _K.CANCEL_RACES_FILL: ("cancel",),
    _K.NOT_TAKEN_YET: ("cancel", "modify"),
    _K.LIST_LAGS: ("orders",),
    _K.PAGE_MISSING: ("orders", "positions"),
    _K.STALE_SNAPSHOT: ("positions", "cash"),
    **dict.fromkeys((_K.SOCKET_STALL, _K.SOCKET_DROP, _K.SOCKET_SILENT), ("notices", "prices")),
    _K.SESSION_LINGERS: ("session",),
    _K.CLOCK_SKEW: ("time",),
}
"""What each kind may concern; a fault that names nothing concerns all of it, but `BY_NAME` only by name."""
FORMS: Final[dict[FaultKind, tuple[str, ...]]] = {
    _K.GARBAGE: ("html", "cut", "empty", "glued", "fields", "bytes"),
    _K.FRAME_GARBAGE: ("cut", "doubled", "glued", "fields", "bytes", "strange"),
    _K.REGISTRATION_REFUSED: ("OPSP0007", "OPSP0009", "OPSP0011", "OPSP8996"),
}
"""What may become of an answer, of a frame, of a registration; a fault that names none may have any of them."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong. seconds: from, to; drawn between them where the kind takes a time.

    nth: counts of what it concerns, from 1. since, until: times of day in Seoul, "HH:MM" or "HH:MM:SS".
    symbols: only where one of these names is concerned. forms: of garbage, `FORMS`.
    """

    kind: FaultKind
    on: tuple[str, ...] = ()
    probability: float = 0.0
    nth: tuple[int, ...] = ()
    since: str | None = None
    until: str | None = None
    seconds: tuple[float, float] = (1.0, 1.0)
    symbols: tuple[str, ...] = ()
    forms: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        known = CONCERNS[self.kind]
        strange = [name for name in self.on if name not in known]
        if strange:
            raise ConfigError(f"fault {self.kind}: on={strange[0]!r}; it may concern {', '.join(known)}")
        shapes = FORMS.get(self.kind, ())
        if unknown := [form for form in self.forms if form not in shapes]:
            raise ConfigError(f"fault {self.kind}: forms={unknown[0]!r}; it may have {', '.join(shapes) or 'none'}")
        if not 0.0 <= self.probability <= 1.0:
            raise ConfigError(f"fault {self.kind}: probability={self.probability!r}; a number from 0 to 1 is needed")
        if any(count < 1 for count in self.nth):
            raise ConfigError(f"fault {self.kind}: nth={self.nth}; counts begin at 1")
        if self.seconds[0] > self.seconds[1] or (self.seconds[0] < 0 and self.kind is not _K.CLOCK_SKEW):
            raise ConfigError(f"fault {self.kind}: seconds={self.seconds}; (from, to), 0 or more, is needed")
        for name in ("since", "until"):
            if (text := getattr(self, name)) is not None and not _is_time(text):
                raise ConfigError(f"fault {self.kind}: {name}={text!r}; a time such as 09:00 is needed")

    @property
    def concerns(self) -> tuple[str, ...]:
        """What it may happen to."""
        known = CONCERNS[self.kind]
        return self.on or tuple(name for name in known if name not in BY_NAME) or known

    def holds(self, now: int) -> bool:
        """Whether its span holds."""
        if self.since is None and self.until is None:
            return True
        clock = seoul(now)
        return (self.since or "") <= clock and (self.until is None or clock < self.until)

    @property
    def always(self) -> bool:
        """Whether it happens each time its span holds."""
        return not self.nth and not self.probability and (self.since is not None or self.until is not None)


def _is_time(text: str) -> bool:
    parts = text.split(":")
    return len(parts) in (2, 3) and all(len(part) == 2 and part.isdigit() for part in parts)


class Strike(NamedTuple):
    """A fault that happens now. `seconds`, `chance`, in [0, 1), and `form` of garbage were drawn for it."""

    kind: FaultKind
    seconds: float
    chance: float
    form: str = ""


class FaultPlan:
    """Faults, and when they happen. `injected` counts those that did by kind, `struck` by what they concerned."""

    def __init__(self, faults: Iterable[Fault] = (), *, seed: int = 0) -> None:
        self.faults, self.seed = tuple(faults), seed
        self.injected: Counter[FaultKind] = Counter()
        self.struck: Counter[str] = Counter()
        self._counts = [0] * len(self.faults)
        self._on: dict[str, list[int]] = {}
        for place, fault in enumerate(self.faults):
            for what in fault.concerns:
                self._on.setdefault(what, []).append(place)

    def concerns(self, what: str) -> bool:
        """Whether anything may happen there at all."""
        return what in self._on

    def strikes(self, what: str, now: int, symbol: str | None = None) -> dict[FaultKind, Strike]:
        """What goes wrong with this one; every question counts."""
        found: dict[FaultKind, Strike] = {}
        for place in self._on.get(what, ()):
            fault = self.faults[place]
            if (fault.symbols and symbol not in fault.symbols) or not fault.holds(now):
                continue
            self._counts[place] += 1
            count = self._counts[place]
            if fault.always or count in fault.nth or draw(self.seed, place, count, 1) < fault.probability:
                found[fault.kind] = self._strike(place, count)
                self.injected[fault.kind] += 1
                self.struck[what] += 1
        return found

    def skew(self, now: int) -> int:
        """Nanoseconds by which the broker's times are off."""
        total = 0.0
        for place in self._on.get("time", ()):
            if self.faults[place].holds(now):
                total += self._strike(place, 0).seconds
        return round(total * 1e9)

    def _strike(self, place: int, count: int) -> Strike:
        fault = self.faults[place]
        low, high = fault.seconds
        seconds = low + (high - low) * draw(self.seed, place, count, 2)
        forms = fault.forms or FORMS.get(fault.kind, ("",))
        form = forms[int(len(forms) * draw(self.seed, place, count, 4))]
        return Strike(fault.kind, seconds, draw(self.seed, place, count, 3), form)

    # --- files ----------------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """JSON's own types; what stands at its default is left out."""
        plain = Fault(FaultKind.CLOCK_SKEW)
        rows = []
        for fault in self.faults:
            row = {name: value for name, value in asdict(fault).items() if value != getattr(plain, name)}
            rows.append({"kind": str(fault.kind), **{k: _plain(v) for k, v in row.items() if k != "kind"}})
        return {"seed": self.seed, "faults": rows}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> FaultPlan:
        """The inverse of `to_dict`. ConfigError names what is not known."""
        names = {field.name for field in fields(Fault)}
        faults = []
        for row in data.get("faults", ()):
            strange = sorted(set(row) - names)
            if strange or row.get("kind") not in list(FaultKind):
                wanted = f"kinds are {', '.join(FaultKind)}; fields are {', '.join(sorted(names))}"
                raise ConfigError(f"fault {dict(row)!r}: {wanted}")
            given: dict[str, Any] = {
                name: tuple(value) if isinstance(value, list) else value for name, value in row.items()
            }
            faults.append(Fault(**{**given, "kind": FaultKind(row["kind"])}))
        if strange := sorted(set(data) - {"seed", "faults"}):
            raise ConfigError(f"fault plan: {strange[0]!r} is not known; seed and faults are")
        return cls(faults, seed=int(data.get("seed", 0)))

    @classmethod
    def read(cls, path: str | Path) -> FaultPlan:
        """A plan from a .json or .toml file."""
        file = Path(path)
        try:
            text = file.read_text(encoding="utf-8")
            data = tomllib.loads(text) if file.suffix == ".toml" else json.loads(text)
        except (OSError, ValueError) as error:
            raise ConfigError(f"fault plan {file}: {error}") from error
        return cls.from_dict(data)

    def write(self, path: str | Path) -> None:
        """The plan as a .json file."""
        Path(path).write_text(json.dumps(self.to_dict(), indent=1), encoding="utf-8")

    @classmethod
    def storm(cls, seed: int, *, rate: float = 0.02) -> FaultPlan:
        """Some of everything: every kind at a rate drawn around `rate`; streams break a few times an hour."""
        spans: dict[FaultKind, tuple[float, float]] = {
            _K.REQUEST_LATE: (0.5, 12.0), _K.ANSWER_LATE: (0.5, 12.0), _K.NOTICE_REORDERED: (0.5, 5.0),
            _K.NOTICE_LATE: (0.5, 20.0), _K.FILL_FIRST: (0.2, 2.0), _K.LIST_LAGS: (1.0, 90.0),
            _K.STALE_SNAPSHOT: (1.0, 60.0), _K.SOCKET_STALL: (5.0, 60.0), _K.CLOCK_SKEW: (-0.4, 0.4),
            _K.SOCKET_SILENT: (5.0, 200.0), _K.SESSION_LINGERS: (1.0, 60.0), _K.NOT_TAKEN_YET: (0.3, 5.0),
        }  # fmt: skip
        faults = []
        for place, kind in enumerate(FaultKind):
            per_second = 1 / 40 if kind.startswith("socket") else 1.0
            chance = 0.0 if kind is _K.CLOCK_SKEW else min(1.0, 2 * rate * draw(seed, place) * per_second)
            faults.append(Fault(kind, probability=chance, seconds=spans.get(kind, (1.0, 1.0))))
            if named := tuple(name for name in CONCERNS[kind] if name in (*KEYS, "register")):
                faults.append(replace(faults[-1], on=named))
        return cls(faults, seed=seed)


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
