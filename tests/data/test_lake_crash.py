"""An ingest that is killed, runs out of disk, or meets another one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from quantkit import Lake, RetryLater
from quantkit.data import merge as merging
from quantkit.data.rows import Rows
from tests.data.lake_data import prices, same_bars


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


_CHILD = """
import sys, os, signal
sys.path.insert(0, {root!r})
from quantkit import Lake
from quantkit.data import {module}
from tests.data.lake_data import prices
import quantkit.data.tables as tables, quantkit.data.merge as merge
original = {module}.{function}
def die(*args, **options):
    {before}
    os.kill(os.getpid(), signal.SIGKILL)
{module}.{function} = die
{patch}
Lake({lake!r}).ingest(prices(("005930", "000660", "035420"), count=40), market="KOSPI")
"""

POINTS = {
    "before the first file is written": ("merge", "write_part", "pass", ""),
    "after a file is written, before the commit": ("merge", "write_part", "original(*args, **options)", ""),
    "after the by-date copy": ("merge", "write_days", "original(*args, **options)", ""),
    "at the first commit": ("tables", "Table.commit", "pass", ""),
    "right after the commit": (
        "merge",
        "merge",
        "original(*args, **options)",
        "import quantkit.data.landing as landing; landing.merge = die",
    ),
}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("point", POINTS)
def test_a_killed_ingest_leaves_the_version_before_and_can_be_repeated(lake: Lake, point: str) -> None:
    lake.ingest(prices(count=20), market="KOSPI")
    before = lake.bars()
    module, function, act, patch = POINTS[point]
    root = str(Path(__file__).parents[2])
    script = _CHILD.format(root=root, module=module, function=function, before=act, patch=patch, lake=str(lake.path))
    child = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, check=False)
    assert child.returncode == -signal.SIGKILL, child.stderr.decode()
    fresh = Lake(lake.path)
    if point != "right after the commit":
        assert same_bars(fresh.bars(), before)
    table = prices(("005930", "000660", "035420"), count=40)
    fresh.ingest(table, market="KOSPI")
    assert fresh.ingest(table, market="KOSPI").added == 0
    assert (len(fresh.bars()), fresh.bars().symbols) == (40, ("000660", "005930", "035420"))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no file size limits")
def test_a_full_disk_is_one_clear_error_and_the_lake_is_as_before(lake: Lake) -> None:
    """The operating system refuses further bytes (a file size limit, in a process of its own), as a full disk does."""
    lake.ingest(prices(count=20), market="KOSPI")
    files = {path: path.stat().st_size for path in (lake.path / "bars_1d").rglob("*.parquet")}
    before, root = lake.bars(), str(Path(__file__).parents[2])
    script = f"""
import resource, signal, sys
sys.path.insert(0, {root!r})
import pyarrow.parquet, deltalake, duckdb
from quantkit import Lake, Refused
from tests.data.lake_data import prices
table = prices(tuple(f"{{n:06d}}" for n in range(300)), count=200)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    Lake({str(lake.path)!r}).ingest(table, market="KOSPI")
except Refused as refusal:
    print(refusal.code, refusal)
"""
    child = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, check=False)
    assert child.stdout.decode().startswith("LAKE_DISK_FULL"), child.stderr.decode()
    assert {path: path.stat().st_size for path in (lake.path / "bars_1d").rglob("*.parquet")} == files
    assert same_bars(Lake(lake.path).bars(), before)


def test_two_ingests_at_once_never_store_a_row_twice(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process lands the same rows after this one has compared, and before it commits."""
    lake.ingest(prices(count=5), market="KOSPI")
    original, meanwhile = merging.split, [True]

    def split(rows: Rows, freq: str) -> list[tuple[str, Rows]]:
        if meanwhile:
            meanwhile.clear()
            Lake(lake.path).ingest(prices(count=10), market="KOSPI")
        return original(rows, freq)

    monkeypatch.setattr(merging, "split", split)
    with pytest.raises(RetryLater, match="run the same ingest again"):
        lake.ingest(prices(count=10), market="KOSPI")
    assert lake.ingest(prices(count=10), market="KOSPI").added == 0
    assert lake.query("select count(*), count(distinct symbol || date) from bars_1d").fetchall() == [(20, 20)]
