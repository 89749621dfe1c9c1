"""`quantkit warmup`: compile ahead what the first call would have to compile."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from quantkit.cli import console


def warmup(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Compile all kernels now, once per machine, so that no first call has to."""
    from quantkit.compiling import showing
    from quantkit.research.warmup import warm_up

    with showing("compiling all of quantkit's kernels, once per machine: about a minute"):
        start = time.perf_counter()
        done = warm_up()
        seconds = time.perf_counter() - start
    if as_json:
        console.emit({"seconds": seconds, **done._asdict()})
    elif not done.folder:
        console.say("nothing to compile: NUMBA_DISABLE_JIT is set")
    elif done.compiled:
        console.say(f"compiled {done.compiled} kernels in {seconds:.1f} s; they are kept in {done.folder}")
    else:
        console.say(f"all {done.loaded} kernels were compiled already ({seconds:.1f} s), in {done.folder}")
