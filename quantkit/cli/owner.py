"""One process an account: a lock that the system lets go of when its process ends, however it ends.

Contract: a file `ACCOUNT.lock` beside the journals, holding who has it. The journal's lease guards the account itself,
also between machines; this says so before anything begins, and names the process.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from quantkit.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def owned(path: Path, account: str, what: str) -> Iterator[None]:
    """Have the account while the block runs. Refused ACCOUNT_IN_USE where another process has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        if not _locked(file):
            file.seek(0)
            who = file.read().strip() or "another process"
            raise Refused("ACCOUNT_IN_USE", f"{account} is run by {who}; stop that one first (Ctrl-C there)")
        file.seek(0)
        file.truncate()
        file.write(f"process {os.getpid()} ({what})\n")
        file.flush()
        yield


def _locked(file: IO[str]) -> bool:
    """Take the lock without waiting; whether it was free."""
    if sys.platform == "win32":
        import msvcrt

        file.seek(1 << 20)  # a byte beyond what is written there, which others may read
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
