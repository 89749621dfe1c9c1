"""`python -m tests.kill --sqlite 200 --postgres 20`: kill traders, and say what became of their orders.

    python -m tests.kill --kis 15     kills of the commands a person runs, over KIS's wire

Kills on SQLite are split into campaigns of at most 25, each with its own journal, day of the exchange and seed: 1, 2,
... from `--seed`. What was stopped goes on with `--seed` and `--sqlite` set to what is left; counts add up.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial

from tests.kill import kis
from tests.kill.campaign import Outcome, run
from tests.live.postgres import own_server

EACH = 25  # kills of a campaign: its exchange has one day, and so many lives fit into it on a busy machine too


def _line(one: Outcome) -> str:
    where = ", ".join(f"{count} {place}" for place, count in one.at.items())
    return (
        f"{one.journal}, seed {one.seed}: kills {one.kills} ({where}), restarts {one.restarts}, orders {one.orders}, "
        f"with fills {one.filled}, unanswered {one.unanswered}, stale {one.stale}, entries {one.entries}, "
        f"doubled {one.doubled}, lost {one.lost}, {one.seconds:.0f} s"
    )


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _total(found: list[Outcome]) -> str:
    names = ("kills", "restarts", "orders", "filled", "unanswered", "stale", "entries", "doubled", "lost")
    return "all: " + ", ".join(f"{name} {sum(getattr(one, name) for one in found)}" for name in names)


def main() -> int:
    """0 where nothing was lost or doubled and everything agrees."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sqlite", type=int, default=0, help="kills on SQLite journals")
    parser.add_argument("--postgres", type=int, default=0, help="kills on a PostgreSQL journal, in one campaign")
    parser.add_argument("--kis", type=int, default=0, help="kills of `quantkit paper`, and as many of `quantkit live`,"
                        " against `quantkit emulate kis`")  # fmt: skip
    parser.add_argument("--url", help="of a PostgreSQL database without this account; default: a server of its own")
    parser.add_argument("--seed", type=int, default=1, help="of the first campaign")
    parser.add_argument("--json", action="store_true", help="one line of JSON for each campaign")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the exchange's process ends too
    found = []
    with ExitStack() as stack:
        plans: list[tuple[str | None, int]] = [
            (None, min(EACH, given.sqlite - done)) for done in range(0, given.sqlite, EACH)
        ]
        if given.postgres:
            plans.append((given.url or stack.enter_context(own_server()), given.postgres))
        runs: list[Callable[..., Outcome]] = [partial(run, journal, kills) for journal, kills in plans]
        runs += [partial(kis.run, mode, given.kis) for mode in ("paper", "live") if given.kis]
        for number, campaign in enumerate(runs):
            one = campaign(seed=given.seed + number)
            found.append(one)
            _say(json.dumps(asdict(one)) if given.json else _line(one))
            for problem in one.problems[:20]:
                sys.stderr.write(f"  {problem}\n")
    if not given.json:
        _say(_total(found))
    return int(any(one.problems or one.doubled or one.lost for one in found))


if __name__ == "__main__":
    sys.exit(main())
