"""The daily jobs of a run: what is looked at in the morning, and told after the close.

    memory          at 3:00: what days before left in memory goes (`live.pauses`)
    capital         90 minutes before the open: a promotion that came meanwhile enlarges what the strategy may use
    morning         30 minutes before the open: the day's hours, read anew, and what is known of each name
    bar mismatch    15 minutes after the close: own bars beside the feed's chart; over 0.5 % is an alarm
    daily report    20 minutes after the close: the session's drift report; three days outside the band are an alarm
    journal head    25 minutes after the close: number and hash of the journal's last entry, to the addresses of alerts

Contract: a job that fails alarms (`JOB_FAILED`) and holds up nothing; one that was missed because nobody ran is made up
for once, but for those that only concern the session that is on.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Final

from quantkit.errors import BadData, RetryLater

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from quantkit.cli.running import Running
    from quantkit.live.schedule import Job

MINUTE: Final = 60


def jobs_of(running: Running) -> Sequence[Job]:
    """The jobs of one run."""
    from quantkit.live.schedule import Job

    made = Jobs(running)
    return (
        Job("memory", made.memory, anchor="midnight", seconds=180 * MINUTE, rule="skip"),
        Job("capital", made.capital, anchor="open", seconds=-90 * MINUTE, rule="skip", limit=600.0),
        Job("morning", made.morning, anchor="open", seconds=-30 * MINUTE, rule="skip", limit=600.0),
        Job("bar mismatch", made.mismatch, anchor="close", seconds=15 * MINUTE, rule="skip", limit=600.0),
        Job("daily report", made.report, anchor="close", seconds=20 * MINUTE, rule="once"),
        Job("journal head", made.head, anchor="close", seconds=25 * MINUTE, rule="once", retries=2),
    )


class Jobs:
    """What the jobs of one run do."""

    def __init__(self, running: Running) -> None:
        self._running = running

    async def memory(self, _date: dt.date) -> str:
        """Collect what is dead, in the one hour in which a pause holds up nobody."""
        from quantkit.live.pauses import collect

        return f"{collect():,} objects"

    async def capital(self, date: dt.date) -> str:
        """What the strategy may use by now; its sleeve is given more with the session's morning, never within a day."""
        from quantkit.live.messages import Command

        made, host = self._running.made, self._running.host
        assert host is not None
        allowed = await asyncio.to_thread(made.allowed)
        for name, runner in host.supervisor.runners.items():
            for deployment, decider in host.deciders.items():
                now, amount = host.clock.now_ns(), round(allowed * decider.bars.minor_unit)
                what = {"deployment": deployment, "amount": amount}
                why = f"{deployment} may use {allowed:,.0f}"
                runner.post(Command(now, f"capital:{name}:{deployment}:{date}", "capital", "rule CAPITAL", why, what))
        return f"{allowed:,.0f}"

    async def morning(self, date: dt.date) -> str:
        """Read calendar and names anew; what a person should know goes to the journal as an alarm."""
        from quantkit.live.windows import clock_text, session_of, unconfirmed

        host, prices = self._running.host, self._running.made.prices
        assert host is not None
        session = session_of(date, market=prices.market)
        if session is None:
            return "closed"
        found = await host.hub.instruments(host.hub.plan.fed + host.hub.plan.polled)
        blocked = [each.symbol for each in found if each.halted or each.managed or each.liquidation]
        shaky = unconfirmed(date)
        if blocked:
            self._running.alarm("NAMES_BLOCKED", f"halted, managed or in liquidation today: {', '.join(blocked)}")
        said = f"{clock_text(session.opens)} to {clock_text(session.closes)}, {len(found)} names"
        return said + (f"; unconfirmed: {', '.join(shaky)}" if shaky else "")

    async def mismatch(self, date: dt.date) -> str:
        """Own bars of the session beside the feed's."""
        from quantkit.live.mismatch import ALARM_RATE

        host = self._running.host
        assert host is not None
        found = await host.hub.mismatch()
        if found.rate > ALARM_RATE:
            detail = f"{date}: {len(found.differences)} of {found.compared} bars differ from the feed's chart"
            self._running.alarm("BAR_MISMATCH", detail)
        return f"{len(found.differences)} of {found.compared} bars differ"

    async def report(self, date: dt.date) -> str:
        """The session's drift report; a median that left the model's band three days running is an alarm."""
        said, alerts = await asyncio.to_thread(daily_report, self._running, date)
        for alert in alerts:
            code, _, detail = alert.partition(": ")
            if code == "DRIFT_OUTSIDE_BAND":
                self._running.alarm(code, detail)
        return said

    async def head(self, date: dt.date) -> str:
        """Tell where the journal stands, so that nobody can rewrite it unseen. RetryLater where nobody was reached."""
        from quantkit.live.alerts import Level
        from quantkit.live.journal import read_journal

        running = self._running
        journal = read_journal(running.where, running.asked.account)
        try:
            seq, hash_ = journal.head()
        finally:
            journal.close()
        text = f"{date}: the journal's last entry is {seq}, {hash_}"
        sent = await asyncio.to_thread(running.alerting.send, f"quantkit {running.asked.account}", text, Level.INFO)
        if not sent:
            raise RetryLater("the journal's head could not be sent")
        return text


def daily_report(running: Running, date: dt.date) -> tuple[str, list[str]]:
    """Write the session's drift report into the folder of journals: (what became of it, its alerts)."""
    from quantkit.live import sessions
    from quantkit.live.journal import read_journal

    host, account = running.host, running.asked.account
    assert host is not None
    found: list[str] = []
    alerts: list[str] = []
    for name, decider in host.deciders.items():
        journal = read_journal(running.where, account)
        try:
            page, document = sessions.daily_report(
                journal, decider.terms, decider.bars, account=account, day=date.isoformat(),
                folder=running.made.folder / "reports", deployment=name, market=running.made.prices.market,
            )  # fmt: skip
        except BadData as problem:
            found.append(f"{name}: no report: {problem}")
        else:
            found.append(str(page))
            alerts += json.loads(document.read_text(encoding="utf-8"))["alerts"]
        finally:
            journal.close()
    running.log.info("session over", date=str(date), report=found)
    return "; ".join(found), alerts
