"""`quantkit doctor`: everything that trading here rests on, looked at: what was measured, and what is only assumed.

    ok        looked at and found right
    warning   works, and will hurt later
    failed    does not work; `remedy` says what to do
    assumed   nobody here can look: a rule known from hearsay, a broker's behaviour that only an account can show

Contract: looks and never changes anything, except that each account's disk is timed with a file that is removed again.
A check that breaks is itself a finding. Brokers add checks of their own under their name.
"""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import os
import platform
import shutil
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal
from zoneinfo import ZoneInfo

from quantkit.errors import QuantkitError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from quantkit.settings import Settings

State = Literal["ok", "warning", "failed", "assumed"]

SEOUL: Final = ZoneInfo("Asia/Seoul")
PACKAGES: Final = ("numpy", "pandas", "numba", "pyarrow", "duckdb", "deltalake", "sqlalchemy", "exchange-calendars")
LEAST_FREE = 1 << 30  # bytes of disk
SLOW_COMMIT = 0.05  # seconds that one durable write may take
STALE_SESSIONS = 3  # sessions that the lake may lack


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    area: str
    state: State
    text: str
    remedy: str = ""

    def to_dict(self) -> dict[str, str]:
        """Plain values."""
        return asdict(self)


def examine(settings: Settings, now: dt.datetime) -> list[Finding]:
    """All findings, in the order of the areas. `now` is an aware time."""
    checks: tuple[Callable[[Settings, dt.datetime], Iterator[Finding]], ...] = (
        _machine, _kernels, _lake, _calendar, _rules, _accounts, _alerts,
    )  # fmt: skip
    found: list[Finding] = []
    for check in checks:
        try:
            found.extend(check(settings, now))
        except (QuantkitError, OSError) as problem:
            found.append(Finding(check.__name__.strip("_"), "failed", " ".join(str(problem).split())))
    return found


def _machine(_settings: Settings, now: dt.datetime) -> Iterator[Finding]:
    """Python, packages, disk, clock."""
    yield Finding("machine", "ok", f"Python {platform.python_version()} on {platform.system()} {platform.machine()}")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    yield Finding("machine", "ok", versions)
    free = shutil.disk_usage(Path.cwd()).free
    enough = free >= LEAST_FREE
    yield Finding("machine", "ok" if enough else "failed", f"{free / (1 << 30):.1f} GiB of disk free",
                  "" if enough else "a journal that cannot be written stops trading: make room")  # fmt: skip
    zone = time.strftime("%z")
    yield Finding(
        "machine", "ok", f"clock: {now:%Y-%m-%d %H:%M:%S} UTC, local offset {zone}; all times here are UTC or Seoul"
    )
    yield Finding("machine", "assumed", "the clock is right: its offset is measured against a broker's answers",
                  "keep a time service running (chrony); over 500 ms alarms, over 2 s denies orders")  # fmt: skip


def _kernels(_settings: Settings, _now: dt.datetime) -> Iterator[Finding]:
    """Whether compiled code is kept."""
    import quantkit

    told = os.environ.get("NUMBA_CACHE_DIR")
    folder = Path(told) if told else Path(quantkit.__file__).parent / "core" / "__pycache__"
    kept = len(list(folder.rglob("*.nbi"))) if folder.is_dir() else 0
    near = next(parent for parent in (folder, *folder.parents) if parent.is_dir())
    if not os.access(near, os.W_OK):
        yield Finding("kernels", "warning", f"compiled code cannot be kept in {folder}: every start compiles anew",
                      "set NUMBA_CACHE_DIR to a folder that can be written to")  # fmt: skip
    elif not kept:
        yield Finding("kernels", "warning", "no compiled code is kept yet: the first run takes some seconds more",
                      "run `quantkit warmup` before a session")  # fmt: skip
    else:
        yield Finding("kernels", "ok", f"{kept} compiled kernels in {folder}")


def _lake(settings: Settings, now: dt.datetime) -> Iterator[Finding]:
    """Whether there are prices, and how old they are."""
    from quantkit import Lake
    from quantkit.market import calendar

    if not settings.lake.is_dir():
        yield Finding("lake", "warning", f"no lake in {settings.lake}", "`quantkit data ingest FILES`, or --lake")
        return
    tables = Lake(settings.lake).info()
    if not tables:
        yield Finding("lake", "warning", f"the lake in {settings.lake} holds nothing", "`quantkit data ingest FILES`")
    today = now.astimezone(SEOUL).date()
    for table in tables:
        text = f"{table.table}: {table.rows:,} rows of {table.symbols:,} names, {table.first} to {table.last}"
        if not table.table.startswith("bars") or table.last is None:
            yield Finding("lake", "ok", text)
            continue
        last = dt.date.fromisoformat(table.last[:10])
        missed = len(calendar.sessions(last, today)) - 1 if last < today else 0
        late = missed > STALE_SESSIONS
        yield Finding("lake", "warning" if late else "ok", f"{text}; {max(missed, 0):,} sessions since",
                      "bring it up to date before trading on it" if late else "")  # fmt: skip


def _calendar(_settings: Settings, now: dt.datetime) -> Iterator[Finding]:
    """Today's and the next session's hours, and what of them is hearsay."""
    from quantkit.live.windows import unconfirmed
    from quantkit.market import calendar
    from quantkit.market.hours import LAST_YEAR

    today = now.astimezone(SEOUL).date()
    for label, date in (("today", today), ("next session", calendar.next_session(today))):
        session = calendar.session(date)
        if session is None:
            yield Finding("calendar", "ok", f"{label} {date}: closed")
            continue
        yield Finding("calendar", "ok", f"{label} {date}: {session.open:%H:%M} to {session.close:%H:%M} in Seoul")
        if date.year > LAST_YEAR:
            yield Finding("calendar", "warning", f"{date}: own dates end with {LAST_YEAR}; hours are guessed",
                          "bring quantkit up to date: elections, exam days and new holidays are missing")  # fmt: skip
        for phase in unconfirmed(date):
            yield Finding("calendar", "assumed", f"{date}: hours of {phase} rest on hearsay; orders are not sent in it")
    for date, why in ((dt.date(2026, 6, 3), "local elections"), (dt.date(2026, 7, 17), "Constitution Day")):
        if calendar.is_session(date):
            yield Finding("calendar", "failed", f"{date} ({why}) counts as a session", "reinstall quantkit")


def _rules(_settings: Settings, now: dt.datetime) -> Iterator[Finding]:
    """What the exchange's rules of today rest on."""
    from quantkit.market import krx
    from quantkit.market.hours import PHASES
    from quantkit.market.orders import ORDERS
    from quantkit.market.short import BANS

    today = now.astimezone(SEOUL).date()
    day = today.isoformat()
    taxes = ", ".join(
        f"{market} {krx.sale_tax_rate(today, market=market):.2%}" for market in ("KOSPI", "KOSDAQ", "ETF")
    )
    yield Finding("rules", "ok", f"sale tax today: {taxes}; tick of 70,000 won: {krx.tick_size(70_000, today):g}")
    for row in ORDERS:
        if not row.confirmed and row.since <= day and (row.until is None or day <= row.until):
            which = f"{', '.join(row.kinds)} on {row.venue} for {', '.join(row.markets)}"
            yield Finding("rules", "assumed", f"orders {which}: {row.source}")
    for phase in PHASES:
        if not phase.confirmed and phase.since <= day and (phase.until is None or day <= phase.until):
            yield Finding("rules", "assumed", f"{phase.venue} {phase.name}: {phase.source}")
    for ban in BANS:
        if not ban.confirmed:
            yield Finding("rules", "assumed", f"short sales banned {ban.since} to {ban.until}: {ban.source}")
    yield Finding("rules", "assumed", "commissions are the brokers' published online rates, cut once an order and day",
                  "compare the first day's statement; `Costs` takes other rates")  # fmt: skip


def _accounts(settings: Settings, _now: dt.datetime) -> Iterator[Finding]:
    """Each account of the settings: whether it may trade money, and whether its journal's disk is quick enough."""
    if not settings.accounts:
        yield Finding("accounts", "ok", "no account in the settings: `quantkit paper` makes one when it is named")
    for name, account in sorted(settings.accounts.items()):
        armed = "armed: `quantkit live` may send orders" if account.armed else "not armed: no order leaves for money"
        yield Finding("accounts", "warning" if account.armed else "ok", f"{name} ({account.broker}): {armed}",
                      "remove `armed = true` when nothing should trade" if account.armed else "")  # fmt: skip
        if account.risk_limits is None:
            yield Finding(
                "accounts", "warning", f"{name}: no money limits", f"[accounts.{name}] limits = {{ max_weight = 0.2 }}"
            )
    folders = {Path(where).parent for name in settings.accounts if "://" not in (where := settings.journal_of(name))}
    for folder in sorted(folders or {settings.journals}):
        yield _commit_time(folder)


def _commit_time(folder: Path) -> Finding:
    """How long one durable write takes where a journal lies."""
    near = next(parent for parent in (folder, *folder.absolute().parents) if parent.is_dir())
    try:
        with tempfile.TemporaryFile(dir=near) as file:
            took = []
            for _ in range(9):
                start = time.perf_counter()
                file.write(b"x" * 512)
                file.flush()
                os.fsync(file.fileno())
                took.append(time.perf_counter() - start)
    except OSError as problem:
        return Finding(
            "accounts", "failed", f"journals in {folder}: {problem.strerror}", "choose another folder: journals = ..."
        )
    middle = statistics.median(took)
    slow = middle > SLOW_COMMIT
    text = f"journals in {folder}: a durable write takes {middle * 1e3:.1f} ms"
    return Finding("accounts", "warning" if slow else "ok", text,
                   "every order waits for one: use a local disk" if slow else "")  # fmt: skip


def _alerts(settings: Settings, _now: dt.datetime) -> Iterator[Finding]:
    """Whether anybody hears of trouble."""
    count = len(settings.alerts.urls)
    if not count:
        yield Finding(
            "alerts", "warning", "nobody is told when something goes wrong", "[alerts] urls = [...], as Apprise writes"
        )
        return
    from quantkit.live.alerts import apprise_sender

    apprise_sender([url.get_secret_value() for url in settings.alerts.urls])
    yield Finding("alerts", "ok", f"{count} addresses, from {settings.alerts.least} on; --send-alert tries them")


def worst(findings: list[Finding]) -> State:
    """The worst state among them; assumptions count as nothing wrong."""
    order: tuple[State, ...] = ("failed", "warning", "ok")
    states = {finding.state for finding in findings}
    return next((state for state in order if state in states), "ok")
