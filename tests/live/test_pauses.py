"""What is loaded before a run is no work for the collector in it."""

from __future__ import annotations

import gc

from quantkit.live.pauses import frozen


def test_what_is_loaded_is_left_out_of_the_collectors_walks_for_as_long_as_the_run() -> None:
    before = gc.get_freeze_count()
    with frozen():
        assert gc.get_freeze_count() > before + 1_000  # the modules of this test alone are more
    assert gc.get_freeze_count() == 0
