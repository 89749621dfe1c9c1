"""Promotion: the recorded act that lets a strategy trade on paper, then with little money, then with all of it.

    research -> paper -> live_capped -> live

    pins_of            what a promotion pins: code, parameters, policy, limits, universe, fill rule, packages
    promote            measure the gates of the next step, decide, write it down
    require_promotion  what `paper` and `live` ask before they begin

Contract: time and the person come from the caller. A promotion holds for exactly what it pins: one changed byte of the
strategy's file or of a local module, one parameter, policy, limit or package, and it is research again; the answer says
which. New bars do not revoke it; a past that reads differently than it did raises an alarm. An override opens gates
that the machine found shut, needs a reason and is written down; `fill="close"`, short sales no broker makes and a
strategy that was not checked are refused whatever the reason.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from quantkit.backtest.manifest import digest as digest_of
from quantkit.backtest.manifest import package_versions
from quantkit.data.dates import day_text, epoch_day
from quantkit.errors import ConfigError, Refused
from quantkit.live.promotion.evidence import Replay, measure
from quantkit.live.promotion.gates import Gate, SessionRecord, live_gates, paper_gates
from quantkit.live.promotion.store import FILE, PromotionStore
from quantkit.plain import plain
from quantkit.trading.events import Entry, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from quantkit.core.policy import Policy, RiskLimits
    from quantkit.data.bars import Bars
    from quantkit.strategy import Strategy

    Sessions = Callable[[str, str], Sequence[SessionRecord]]

__all__ = [
    "FILE",
    "STATES",
    "Gate",
    "Pins",
    "Promotion",
    "PromotionStore",
    "SessionRecord",
    "Standing",
    "entry_of",
    "pins_of",
    "promote",
    "require_promotion",
    "standing_of",
]

STATES: Final = ("research", "paper", "live_capped", "live")
CAP: Final = 0.05  # of the capital that a first promotion to live may use
_LOOSE: Final = frozenset({"packages"})  # pinned, but the same rule still: its sessions count


@dataclass(frozen=True, kw_only=True)
class Pins:
    """What exactly is promoted. Plain values throughout.

    code       file name, relative to the strategy's folder -> SHA-256 of its bytes
    universe   the strategy's own universe, and the symbols it was given
    """

    strategy: str
    code: Mapping[str, str]
    params: Mapping[str, Any]
    policy: Mapping[str, Any]
    limits: Mapping[str, Any] | None
    universe: Mapping[str, Any]
    fill: str
    freq: str
    packages: Mapping[str, str]

    @cached_property
    def digest(self) -> str:
        """One hash of all but the packages."""
        kept = {name: value for name, value in self.to_dict().items() if name not in _LOOSE}
        return hashlib.sha256(json.dumps(kept, sort_keys=True, ensure_ascii=False).encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {name: plain(value) for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Pins:
        """What `to_dict` wrote."""
        return cls(**values)

    def changed(self, before: Pins) -> tuple[str, ...]:
        """What is not as it was promoted, each as `policy.stop_loss: 0.05, promoted with None`."""
        found: list[str] = []
        now, then = self.to_dict(), before.to_dict()
        for name in now:
            _differences(name, now[name], then[name], found)
        return tuple(found)


def _differences(name: str, now: object, then: object, found: list[str]) -> None:
    if now == then:
        return
    if isinstance(now, dict) and isinstance(then, dict):
        for key in dict.fromkeys((*now, *then)):
            _differences(f"{name}.{key}", now.get(key), then.get(key), found)
    elif name.startswith("code."):
        word = "new" if then is None else "gone" if now is None else "changed"
        found.append(f"{name.removeprefix('code.')} {word}")
    else:
        found.append(f"{name}: {now!r}, promoted with {then!r}")


def pins_of(
    strategy: Strategy,
    *,
    policy: Policy | None = None,
    limits: RiskLimits | None = None,
    symbols: Sequence[str] | None = None,
    fill: str = "next_open",
    freq: str = "1d",
) -> Pins:
    """The pins of a strategy as it is now. symbols: those it was given; None: all that its universe has.

    ConfigError for a strategy without a file: what was typed into a notebook cannot be found again.
    """
    source = strategy.source
    if source.path is None:
        raise ConfigError(f"{strategy.name} has no file; only a strategy in a file can be promoted")
    code = {source.path.name: source.sha256}
    for path in source.local_modules:
        code[path.relative_to(source.path.parent).as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    described = strategy.describe()
    chosen: dict[str, Any] = {
        "universe": described["universe"],
        "symbols": None if symbols is None else sorted(symbols),
    }
    values = {
        "strategy": strategy.name,
        "code": code,
        "params": strategy.params,
        "policy": (policy or strategy.policy).to_dict(),
        "limits": None if limits is None else limits.to_dict(),
        "universe": chosen,
        "fill": fill,
        "freq": freq,
        "packages": package_versions(),
    }
    return Pins.from_dict({name: plain(value) for name, value in values.items()})


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """One attempt to go from a state to the next.

    time      UTC nanoseconds
    before, after   the states; `granted` says whether `after` was reached
    override  the reason a person gave to open gates that were shut; "" where none were
    capital   part of the account's capital it may use
    data      what the evidence was measured on
    """

    time: int
    pins: Pins
    before: str
    after: str
    granted: bool
    gates: tuple[Gate, ...]
    data: Mapping[str, Any]
    by: str
    override: str = ""
    capital: float = 1.0
    id: int = 0

    @property
    def shut(self) -> tuple[Gate, ...]:
        """Gates that have not been passed."""
        return tuple(one for one in self.gates if not one.passed)

    def told(self) -> dict[str, Any]:
        """What an account's journal holds of the promotion that it trades under, an override's reason in it."""
        return {
            "id": self.id, "after": self.after, "by": self.by, "override": self.override, "capital": self.capital,
            "shut": [one.name for one in self.shut],
        }  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return {
            "id": self.id, "time": self.time, "strategy": self.pins.strategy, "digest": self.pins.digest,
            "before": self.before, "after": self.after, "granted": self.granted, "override": self.override,
            "by": self.by, "capital": self.capital, "pins": self.pins.to_dict(), "data": plain(self.data),
            "gates": [one.to_dict() for one in self.gates],
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a strategy stands now.

    promotion   the newest that was granted to these pins; None in research
    changed     what differs from the newest promotion of a strategy of this name, where that is why it stands in
                research, or which packages differ
    alarms      what a person must look at, though it revokes nothing
    """

    state: str
    promotion: Promotion | None = None
    changed: tuple[str, ...] = ()
    alarms: tuple[str, ...] = ()


def standing_of(pins: Pins, store: PromotionStore, *, bars: Bars | None = None) -> Standing:
    """Where these pins stand. bars: with them, whether the past that the evidence saw still reads the same."""
    mine = store.promotions(digest=pins.digest, granted=True)
    if not mine:
        others = store.promotions(strategy=pins.strategy, granted=True)
        return Standing("research", None, pins.changed(others[-1].pins) if others else ())
    last = mine[-1]
    alarms = [] if bars is None else _restated(last, bars)
    changed = pins.changed(last.pins)
    return Standing("research" if changed else last.after, None if changed else last, changed, tuple(alarms))


def promote(
    strategy: Strategy,
    bars: Bars,
    *,
    to: str,
    store: PromotionStore,
    time: int,
    by: str,
    settings: Mapping[str, Any],
    symbols: Sequence[str] | None = None,
    override: str = "",
    replay: Replay | None = None,
    sessions: Sessions | None = None,
    shorts: bool = False,
    tell: Callable[[Promotion], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Promotion:
    """Measure the gates of the next step towards `to` ("paper" or "live"), decide, and write the attempt down.

    bars       those that the evidence is measured on; every step measures what research must show anew
    settings   arguments of `backtest` besides strategy and bars
    override   a reason, which opens gates that are not final
    sessions   (digest, "paper" or "live") -> records of the sessions that the pinned code traded, oldest first, read
               from the account's journal (`live.sessions.Compared.records`); asked only on the way to live
    tell       called with the attempt once it is stored: the hook of whoever keeps a journal (`entry_of`)

    Raises Refused NOT_PROMOTED where live is asked for before paper.
    """
    if to not in ("paper", "live"):
        raise ConfigError(f"promote(to={to!r}): choose paper or live")
    if override and not override.strip():
        raise ConfigError("an override needs a reason in words")
    fill = settings.get("fill", "next_open")
    pins = pins_of(strategy, policy=settings.get("policy"), limits=settings.get("limits"), symbols=symbols, fill=fill,
                   freq=bars.freq)  # fmt: skip
    before = standing_of(pins, store)
    after = _next(before, to, pins)
    gates = measure(strategy, bars, settings, code=pins.code, replay=replay, shorts=shorts, progress=progress)
    if after == "live_capped":
        gates += paper_gates(() if sessions is None else sessions(pins.digest, "paper"))
    elif after == "live":
        gates += live_gates(() if sessions is None else sessions(pins.digest, "live"))
    shut = [one for one in gates if not one.passed]
    granted = not shut or (bool(override) and not any(one.final for one in shut))
    made = Promotion(
        time=time,
        pins=pins,
        before=before.state,
        after=after,
        granted=granted,
        gates=tuple(gates),
        data=data_of(bars),
        by=by,
        override=override.strip() if shut else "",
        capital=CAP if after == "live_capped" else 1.0,
    )
    made = replace(made, id=store.add(made))
    if tell is not None:
        tell(made)
    return made


def _next(before: Standing, to: str, pins: Pins) -> str:
    """The state that this attempt is for."""
    if to == "paper":
        return "paper"
    if before.state == "research":
        raise _refused(pins, "paper first", before)
    return "live_capped" if before.state == "paper" else "live"


def require_promotion(
    strategy: Strategy,
    mode: str,
    *,
    store: PromotionStore,
    policy: Policy | None = None,
    limits: RiskLimits | None = None,
    symbols: Sequence[str] | None = None,
    fill: str = "next_open",
    freq: str = "1d",
    bars: Bars | None = None,
) -> Standing:
    """The standing of a strategy that may trade in `mode` ("paper" or "live"); Refused NOT_PROMOTED where it may not.

    The message says what has changed since the last promotion, or that there was none. `Standing.promotion.capital` is
    the part of the capital it may use, `Standing.alarms` (with `bars`) what to tell a person.
    """
    if mode not in ("paper", "live"):
        raise ConfigError(f"require_promotion(mode={mode!r}): choose paper or live")
    pins = pins_of(strategy, policy=policy, limits=limits, symbols=symbols, fill=fill, freq=freq)
    found = standing_of(pins, store, bars=bars)
    least = "paper" if mode == "paper" else "live_capped"
    if STATES.index(found.state) < STATES.index(least):
        raise _refused(pins, mode, found)
    return found


def _refused(pins: Pins, mode: str, found: Standing) -> Refused:
    if found.changed:
        shown = "; ".join(found.changed[:5]) + (f"; {len(found.changed) - 5} more" if len(found.changed) > 5 else "")
        why = f"it is not what was promoted: {shown}"
    elif found.state == "research":
        why = "it was never promoted"
    else:
        why = f"it is promoted to {found.state}"
    wanted = "live" if mode == "live" and found.state != "research" else "paper"
    return Refused("NOT_PROMOTED", f"{pins.strategy}: {why}; run `quantkit promote FILE --to {wanted}`")


def data_of(bars: Bars) -> dict[str, Any]:
    """What evidence was measured on, with a hash of its past."""
    return {
        "source": bars.source,
        "version": bars.version,
        "symbols": list(bars.symbols),
        "first": day_text(int(bars.days[0])),
        "last": day_text(int(bars.days[-1])),
        "bars": len(bars),
        "sha256": past_digest(bars),
    }


def past_digest(bars: Bars) -> str:
    """SHA-256 of times, opens and closes as traded; what later actions and listings change is not in it."""
    raw = bars.raw
    return digest_of(np.asarray(bars.times), np.nan_to_num(raw.open), np.nan_to_num(raw.close))


def _restated(promotion: Promotion, bars: Bars) -> list[str]:
    """Whether the past under the evidence is another one now."""
    data = promotion.data
    symbols = list(data["symbols"])
    lost = sorted(set(symbols) - set(bars.symbols))
    if lost:
        return [f"RESTATED: {len(lost)} names of the evidence are gone from the data, first {lost[0]}"]
    days = (epoch_day(data["first"], what="first"), epoch_day(data["last"], what="last"))
    rows = np.searchsorted(bars.days, days[0], side="left"), np.searchsorted(bars.days, days[1], side="right")
    past = bars.slice(int(rows[0]), int(rows[1])).select(symbols)
    if past_digest(past) == data["sha256"]:
        return []
    return [
        (
            f"RESTATED: prices from {data['first']} to {data['last']} are not those of the evidence (version "
            f"{data['version']}); look at what changed, and promote again if it matters"
        )
    ]


def entry_of(promotion: Promotion) -> Entry:
    """The journal's entry of a promotion, an override's reason in it."""
    arguments = {
        "strategy": promotion.pins.strategy, "digest": promotion.pins.digest, "before": promotion.before,
        "after": promotion.after, "granted": promotion.granted, "promotion": promotion.id,
        "shut": [one.name for one in promotion.shut],
    }  # fmt: skip
    return Entry(
        Kind.COMMAND_RECEIVED,
        promotion.time,
        {"command": "promote", "arguments": arguments, "by": promotion.by, "reason": promotion.override},
        deployment=None,
    )


def beside(lake: Path) -> Path:
    """Where promotions are kept unless told otherwise: beside the lake."""
    return lake.parent / FILE
