"""What `quantkit doctor` looks at in each account: broker, journal, switches, what is left over, promotion, jobs.

Contract: looks and never changes anything; takes no lease, so it may run beside the engine. A check that breaks is a
finding of its own. An account without a journal has nothing to be looked at yet. Findings carry the area
"account NAME".
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantkit.cli.brokers import WAYS, emulator_state, paper_state
from quantkit.cli.prices import PRICES, moment
from quantkit.doctor import Finding
from quantkit.errors import QuantkitError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from quantkit.live.journal.reader import Reader
    from quantkit.settings import Settings


def account_findings(told: Settings) -> list[Finding]:
    """All findings of all accounts: those of the settings, and those that have a journal."""
    from quantkit.cli.halt import known_accounts

    found: list[Finding] = []
    for name in known_accounts(told):
        if told.accounts and name not in told.accounts:
            found.append(Finding(f"account {name}", "warning", "it has a journal, and no settings any more",
                                 f"[accounts.{name}], or move its files away"))  # fmt: skip
            continue
        for check in (_ways, _broker_state, _halted, _journalled, _jobs):
            found += _looked(check, told, name)
    return found


def _looked(check: Callable[[Settings, str], Iterator[Finding]], told: Settings, name: str) -> list[Finding]:
    try:
        return list(check(told, name))
    except (QuantkitError, OSError) as problem:
        return [Finding(f"account {name}", "failed", " ".join(str(problem).split()))]


def _ways(told: Settings, name: str) -> Iterator[Finding]:
    """Whether broker and prices are known here."""
    account = told.account(name)
    for what, given, known in (("broker", account.broker, WAYS), ("feed", account.feed, PRICES)):
        if given and given not in known:
            yield Finding(f"account {name}", "failed", f"{what} = {given!r} is not known",
                          f"one of {', '.join(known)}")  # fmt: skip


def _broker_state(told: Settings, name: str) -> Iterator[Finding]:
    """What the brokers on this machine remember of the account."""
    from quantkit.brokers.paper.store import Store
    from quantkit.emulator.memory import read_lines

    area = f"account {name}"
    kept = Store(paper_state(told, name)).read()
    if kept is not None:
        shares = kept["ledger"]["shares"]
        open_ = sum(bool(order["leaves"]) for order in kept["orders"])
        text = f"paper broker: as of {moment(kept['now'])}, {len(shares)} names held, {open_} orders open"
        wrong = kept["account"] != name
        yield Finding(area, "failed" if wrong else "ok", text + (f", of account {kept['account']}" if wrong else ""))
    lines = read_lines(emulator_state(told, name))
    if lines:
        begun = lines[0]
        text = f"emulated exchange: from {begun.get('first')}, seed {begun.get('seed')}, {len(lines) - 1} requests"
        yield Finding(area, "ok", text)


def _halted(told: Settings, name: str) -> Iterator[Finding]:
    """A file that halts it."""
    from quantkit.live.haltfile import halt_file, read_halt

    left = read_halt(halt_file(told.journal_of(name), name, Path(told.journals)))
    if left is not None:
        yield Finding(f"account {name}", "warning", f"a file asks for {left.name}: {left.reason}",
                      f"`quantkit resume {name} --reason ...` when it may trade again")  # fmt: skip


def _journalled(told: Settings, name: str) -> Iterator[Finding]:
    """The journal, and what stands in it."""
    from quantkit.live.journal import read_journal, verify
    from quantkit.live.journal.database import locate, path_of

    area, path = f"account {name}", path_of(locate(told.journal_of(name), name))
    if path is not None and not path.is_file():
        yield Finding(area, "ok", "no journal yet: the first run makes it")
        return
    journal = read_journal(told.journal_of(name), name)
    try:
        checked = verify(journal)
        if checked.good:
            yield Finding(
                area, "ok", f"journal: {checked.entries:,} entries, chain and tables agree, head {checked.head[:12]}"
            )
        else:
            yield Finding(area, "failed", f"journal: {checked.problems[0]}",
                          "do not trade on it; keep the file, and begin another account")  # fmt: skip
        yield from _switches(journal, area, name)
        yield from _left_over(journal, area)
        yield from _deployed(journal, area, told)
        yield from _told(journal, area, told, name)
    finally:
        journal.close()


def _switches(journal: Reader, area: str, name: str) -> Iterator[Finding]:
    """Latches that are not RUNNING."""
    from quantkit.live.journal import tables

    for row in journal.projection(tables.risk_state).values():
        if row["mode"] != "running":
            where = row["deployment"] or row["scope"]
            yield Finding(area, "warning", f"{where} is {row['mode'].upper()} by {row['by']}: {row['reason']}",
                          f"`quantkit resume {name} --reason ...` lifts it")  # fmt: skip


def _left_over(journal: Reader, area: str) -> Iterator[Finding]:
    """Orders whose outcome nobody knows, and commands that nobody took."""
    from quantkit.live.journal import tables

    rows = journal.projection(tables.orders).values()
    lost = [row["id"] for row in rows if row["unresolved_since"] is not None and row["ended"] is None]
    if lost:
        yield Finding(area, "warning", f"{len(lost)} orders without an answer, first {lost[0]}",
                      "the next start looks for them at the broker")  # fmt: skip
    waiting = journal.commands()
    if waiting:
        yield Finding(area, "warning", f"{len(waiting)} commands wait, first {waiting[0].name}: the next start obeys")


def _deployed(journal: Reader, area: str, told: Settings) -> Iterator[Finding]:
    """What ran last, and whether it may run again."""
    from quantkit.live.journal import tables
    from quantkit.live.promote import PromotionStore, beside

    runs: list[dict[str, Any]] = sorted(journal.projection(tables.deployments).values(), key=lambda row: row["started"])
    if not runs:
        return
    last = runs[-1]
    ended = f"ended {moment(last['ended'])} ({last['reason']})" if last["ended"] else "runs, or was killed"
    yield Finding(area, "ok", f"last run: {last['mode']}, began {moment(last['started'])}, {ended}")
    store = PromotionStore(beside(told.lake))
    granted = store.promotions(digest=last["artifact"], granted=True) if last["artifact"] else []
    if granted:
        newest = granted[-1]
        yield Finding(area, "ok", f"{newest.pins.strategy}: promoted to {newest.after} (promotion {newest.id})")
    else:
        yield Finding(
            area, "warning", f"what ran last is not promoted in {store.place}", "`quantkit promote FILE --to ...`"
        )


def _told(journal: Reader, area: str, told: Settings, name: str) -> Iterator[Finding]:
    """Entries that nobody was told of."""
    if not told.alerts.urls:
        return
    from quantkit.live.alerts import Alerter

    cursor = Alerter(name, journal.read, lambda *_: True, cursor=Path(told.journals) / f"{name}.alerts").seq
    behind = journal.head()[0] - cursor
    yield Finding(area, "warning" if behind > 0 else "ok", f"alerts: told up to entry {cursor}, {behind} after it",
                  "they are sent when the account runs next" if behind > 0 else "")  # fmt: skip


def _jobs(told: Settings, name: str) -> Iterator[Finding]:
    """How each daily job went last."""
    from quantkit.live.schedule import FileRecord

    runs = FileRecord(Path(told.journals) / f"{name}.jobs.jsonl").runs()
    for run in {run.job: run for run in runs}.values():
        if run.result == "failed":
            yield Finding(f"account {name}", "warning", f"job {run.job} of {run.date} failed: {run.detail}")
    if runs:
        latest = runs[-1]
        yield Finding(f"account {name}", "ok", f"{len(runs)} runs of daily jobs; last {latest.job} of {latest.date}")
