"""`quantkit doctor --broker kis`: what is assumed of KIS, held against an account."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from quantkit.cli import console

if TYPE_CHECKING:
    from quantkit.brokers.kis.assumptions import Checked
    from quantkit.brokers.kis.client import KisClient

STATES = ("confirmed", "refuted", "not testable")


def walk_kis(account: str | None, *, symbol: str, patience: float, orders: bool, as_json: bool) -> int:
    """Walk every assumption, one after another, and say what was seen; the exit code. Refused ACCOUNT_IN_USE where the
    account is being run: its engine would take these orders for somebody else's."""
    from pathlib import Path

    from quantkit import settings
    from quantkit.brokers.kis.assumptions import Assumptions, Heard
    from quantkit.brokers.kis.stream import KisStream, StreamSettings
    from quantkit.cli.owner import owned
    from quantkit.kis import run_client, server_for
    from quantkit.live.clock import system_random

    told, heard = settings.load(), Heard()
    found: list[Checked] = []

    async def main(client: KisClient, pace: float) -> None:
        stream = KisStream(client, chance=system_random(), settings=StreamSettings().times(max(1.0, pace)))
        walk = Assumptions(
            client, heard, stream=stream, symbol=symbol, patience=patience, pace=max(1.0, pace), orders=orders
        )
        async for checked in walk.walk():
            found.append(checked)
            if not as_json:
                console.say(f"{checked.state:<12}  {checked.name:<24}{checked.assumed}")
                console.say(f"{'':<14}{checked.seen}")
        await stream.close()

    with ExitStack() as stack:
        if account is not None:
            lock = Path(told.journals) / f"{account}.lock"
            stack.enter_context(owned(lock, account, "quantkit doctor --broker kis"))
        run_client(told, account, main, listen=heard)
    if as_json:
        console.emit({
            "server": server_for(told, account).name,
            "checked": [{"name": each.name, "assumed": each.assumed, "state": each.state, "seen": each.seen}
                        for each in found],
        })  # fmt: skip
    else:
        console.say(", ".join(f"{sum(each.state == state for each in found)} {state}" for state in STATES))
    return 1 if any(each.state == "refuted" for each in found) else 0
