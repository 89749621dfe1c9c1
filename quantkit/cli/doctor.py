"""`quantkit doctor`: what trading on this machine rests on, measured or assumed."""

from __future__ import annotations

from typing import Annotated

import typer

from quantkit.cli import console
from quantkit.cli import inputs as given
from quantkit.errors import ConfigError, RetryLater

MARKS = {"ok": "ok", "warning": "warning", "failed": "FAILED", "assumed": "assumed"}


def doctor(
    send_alert: Annotated[
        bool, typer.Option("--send-alert", help="Send a word to every address of the alerts.")
    ] = False,
    broker: Annotated[
        str | None,
        typer.Option("--broker", help="kis: hold what is assumed of it against an account.", show_default=False),
    ] = None,
    account: Annotated[
        str | None,
        typer.Option("--account", help="With --broker. Default: the keys of the environment.", show_default=False),
    ] = None,
    symbol: Annotated[str, typer.Option(help="With --broker: a name that trades every minute.")] = "005930",
    patience: Annotated[float, typer.Option(help="With --broker: seconds to listen to the stream.")] = 90.0,
    orders: Annotated[
        bool,
        typer.Option(
            "--orders/--no-orders", help="With --broker, 모의투자 only: one share, bought far away, cancelled."
        ),
    ] = True,
    as_json: given.AsJson = False,
) -> None:
    """Look at everything that trading rests on: machine, prices, calendar, rules, alerts, and each account.

    What cannot be looked at from here is listed as assumed. Exit code 1 when something failed.

    --broker kis walks what is assumed of KIS against an account instead, one harmless step at a time, and says of each
    whether it was confirmed, refuted or not testable, and what was seen. Exit code 1 when something was refuted.
    """
    import datetime as dt

    if broker is not None:
        from quantkit.cli.kis_doctor import walk_kis

        if broker != "kis":
            raise ConfigError(f"--broker {broker}: expected kis")
        code = walk_kis(account, symbol=symbol, patience=patience, orders=orders, as_json=as_json)
        raise typer.Exit(code)

    from quantkit import settings
    from quantkit.cli.account_checks import account_findings
    from quantkit.doctor import examine, worst

    told = settings.load()
    found = examine(told, dt.datetime.now(dt.UTC)) + account_findings(told)
    if send_alert:
        _send(told)
    state = worst(found)
    if as_json:
        console.emit({"state": state, "findings": [finding.to_dict() for finding in found]})
    else:
        rows = [[finding.area, MARKS[finding.state], finding.text, finding.remedy] for finding in found]
        console.table("", ("Area", "", "Found", "What to do"), rows, right=9)
        counts = ", ".join(f"{sum(finding.state == name for finding in found)} {name}" for name in MARKS)
        console.say(counts)
    if state == "failed":
        raise typer.Exit(1)


def _send(told: object) -> None:
    """A word to everybody; an error where one could not be reached."""
    from quantkit.live.alerts import Level, apprise_sender
    from quantkit.settings import Settings

    assert isinstance(told, Settings)
    urls = [url.get_secret_value() for url in told.alerts.urls]
    if not apprise_sender(urls)("quantkit doctor", "This is a test: alerts reach you.", Level.INFO):
        raise RetryLater(f"not all of the {len(urls)} addresses of [alerts] could be reached")
    console.note(f"sent to {len(urls)} addresses")
