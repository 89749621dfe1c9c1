"""The command line: thin commands over the public Python names.

Contract: exit code 0 done, 1 the thing asked for failed, 2 wrong usage, 130 interrupted. Results go to standard output,
errors and progress to standard error; `--json` prints one JSON document and nothing else. Starting up loads neither
pandas nor Numba: each command imports what it needs when it runs.

    app       the command tree, and how an error becomes one line and an exit code
    console   tables, numbers, progress, JSON
    inputs    options that several commands share, turned into strategies, bars and costs
    data, backtest, compare, demo   one command group each
"""

from __future__ import annotations

import io
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Entry point of the `quantkit` script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a sign that the terminal cannot show must not end the command
            stream.reconfigure(errors="replace")
    from quantkit.cli.app import run

    sys.exit(run(sys.argv[1:]))
