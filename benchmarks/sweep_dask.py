"""A sweep on a local Dask cluster: one worker against two, each a process of one thread; wall clock.

60,000 runs (10,000 pairs of averages, six sizes of position), so that the work is more than the messages.

usage: python benchmarks/sweep_dask.py [--json]
"""

from __future__ import annotations

import statistics
import time

from common import run_sides
from sweep import FAST, SLOW, bars_and_rule

SIZES = [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]


def dask(workers: int) -> dict[str, float]:
    """Median of three sweeps after one that loads everything in the workers."""
    from dask.distributed import Client, LocalCluster

    import quantkit as qk

    bars, rule = bars_and_rule()
    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        found = []
        for _ in range(4):
            began = time.perf_counter()
            result = qk.sweep(
                rule, bars, fast=FAST, slow=SLOW, gross=SIZES, executor=client.get_executor(), progress=False
            )
            found.append(time.perf_counter() - began)
    return {"median_s": statistics.median(found[1:]), "runs": len(result), "failed": result.failed}


if __name__ == "__main__":
    run_sides(
        __file__,
        {"2 workers": lambda: dask(2), "1 worker": lambda: dask(1)},
        title="60,000 runs x 2,500 bars on a local Dask cluster, seconds",
        packages=("numpy", "numba", "dask", "distributed"),
    )
