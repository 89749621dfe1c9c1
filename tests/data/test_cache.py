"""The column cache: all of an entry or nothing, bounded, harmless to lose."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest

from quantkit import Lake
from quantkit.data.cache import ColumnCache
from tests.data.lake_data import prices


@pytest.fixture
def cache(tmp_path: Path) -> ColumnCache:
    return ColumnCache(tmp_path / "columns")


def test_an_array_comes_back_mapped_and_read_only(cache: ColumnCache) -> None:
    cache.store("key", {"fields": ["close"]}, {"flags": np.ones((3, 2), np.uint8)})
    assert cache.meta("key") == {"fields": ["close"]}
    stored = cache.array("key", "flags")
    assert isinstance(stored, np.memmap)
    assert not stored.flags.writeable


def test_a_field_is_built_once(cache: ColumnCache) -> None:
    cache.store("key", {}, {})
    calls = []

    def build() -> np.ndarray:
        calls.append(1)
        return np.arange(6.0).reshape(3, 2)

    for _ in range(3):
        np.testing.assert_array_equal(cache.field("key", "close", build), np.arange(6.0).reshape(3, 2))
    assert len(calls) == 1


def test_the_key_depends_on_every_part_of_the_query() -> None:
    queries = [{"a": 1, "b": [1]}, {"a": 2, "b": [1]}, {"a": 1, "b": [1, 2]}, {"a": 1, "b": None}]
    assert len({ColumnCache.key(query) for query in queries}) == 4
    assert ColumnCache.key({"a": 1, "b": 2}) == ColumnCache.key({"b": 2, "a": 1})


def test_the_least_recently_used_entries_go_first(cache: ColumnCache) -> None:
    cache.limit_bytes = 3_000
    for number, key in enumerate(("old", "used", "new")):
        cache.store(key, {}, {"flags": np.zeros(1_000, np.uint8)})
        for file in (cache.folder / key).iterdir():
            os.utime(file, (1_000 + number, 1_000 + number))
    assert cache.meta("old") is None or cache.folder.joinpath("old").exists()
    for file in (cache.folder / "used").iterdir():
        os.utime(file, (5_000, 5_000))
    cache.store("newest", {}, {"flags": np.zeros(1_000, np.uint8)})
    left = {entry.name for entry in cache.folder.iterdir()}
    assert "newest" in left
    assert "used" in left
    assert "new" not in left
    assert sum(file.stat().st_size for file in cache.folder.rglob("*.npy")) <= cache.limit_bytes


def test_a_mapped_array_survives_the_deletion_of_its_entry(cache: ColumnCache) -> None:
    cache.store("key", {}, {"flags": np.full(5_000, 7, np.uint8)})
    mapped = cache.array("key", "flags")
    cache.limit_bytes = 0
    cache.prune()
    assert cache.meta("key") is None
    assert mapped is not None
    assert (mapped == 7).all()


def test_a_torn_meta_file_counts_as_absent(cache: ColumnCache) -> None:
    cache.store("key", {"a": 1}, {})
    (cache.folder / "key" / "meta.json").write_text('{"a":')
    assert cache.meta("key") is None


def test_readers_never_see_half_an_array(cache: ColumnCache) -> None:
    cache.store("key", {}, {})
    wrong: list[float] = []

    def read() -> None:
        for _ in range(200):
            found = cache.array("key", "close")
            if found is not None:
                wrong.append(float(np.abs(np.asarray(found) - 3.0).max()))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for thread in readers:
        thread.start()
    for _ in range(50):
        (cache.folder / "key" / "close.npy").unlink(missing_ok=True)
        cache.field("key", "close", lambda: np.full((100, 100), 3.0))
    for thread in readers:
        thread.join()
    assert max(wrong, default=0.0) == 0.0


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a user whom file permissions hold back")
def test_a_read_only_lake_still_answers(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    lake.ingest(prices(), market="KOSPI")
    lake.cache.folder.parent.chmod(0o500)
    try:
        assert lake.bars().close.shape == (10, 2)
    finally:
        lake.cache.folder.parent.chmod(0o700)


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    lake.ingest(prices(), market="KOSPI")
    lake.cache.folder.parent.mkdir(exist_ok=True)
    lake.cache.folder.write_text("a file where the folder should be")
    first, again = lake.bars(), lake.bars()
    np.testing.assert_array_equal(first.close, again.close)


def test_lost_fields_and_lost_entries_are_read_anew(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    lake.ingest(prices(), market="KOSPI")
    expected = np.array(lake.bars().close)
    next(lake.cache.folder.rglob("close.npy")).unlink()
    np.testing.assert_array_equal(lake.bars().close, expected)
    for entry in lake.cache.folder.iterdir():
        for file in entry.iterdir():
            file.unlink()
    np.testing.assert_array_equal(lake.bars().close, expected)


def test_a_new_version_is_a_new_answer(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    lake.ingest(prices(count=5), market="KOSPI")
    assert len(lake.bars()) == 5
    lake.ingest(prices(count=8), market="KOSPI")
    assert len(lake.bars()) == 8
