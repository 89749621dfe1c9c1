"""Slots of a feed, and the age that each name's bar will have."""

from __future__ import annotations

import pytest

from quantkit.errors import ConfigError
from quantkit.live.planner import HELD, Want, plan


def test_held_names_are_streamed_before_the_universe() -> None:
    found = plan([Want("A"), Want("B"), Want("C"), Want("C", HELD)], length=60.0, slots=2)
    assert found.streamed == ("C", "A")
    assert found.polled == ("B",)


def test_ages_grow_with_the_requests_ahead() -> None:
    found = plan([Want(f"{k}") for k in range(12)], length=60.0, slots=2, requests_per_second=2.0)
    assert (found.ages["0"], found.ages["2"], found.ages["11"]) == (1.5, 2.0, 6.5)
    assert found.text().splitlines()[0] == "2 names streamed, bars 1.5 s old; 10 asked for, up to 6.5 s old"


def test_a_universe_that_takes_longer_than_a_fifth_of_the_bar_is_refused() -> None:
    wanted = [Want(f"{k}") for k in range(200)]
    assert len(plan(wanted, length=300.0, slots=41, requests_per_second=3.0).polled) == 159
    with pytest.raises(ConfigError, match=r"older than 12\.0 s"):
        plan(wanted, length=60.0, slots=41, requests_per_second=3.0)


def test_a_feed_without_slots_streams_everything() -> None:
    assert plan([Want("A"), Want("B")], length=60.0).polled == ()
    assert plan([], length=60.0).text() == "0 names streamed, bars 0.0 s old"


def test_snapshots_of_many_names_serve_what_is_not_streamed() -> None:
    wanted = [Want(f"{k}") for k in range(200)]
    found = plan(wanted, length=60.0, slots=40, requests_per_second=10.0, at_once=30)
    assert (len(found.streamed), len(found.sampled), found.polled) == (40, 160, ())
    assert found.fed == tuple(f"{k}" for k in range(200))
    assert [found.ages[name] for name in ("39", "40", "69", "70", "199")] == [1.5, 1.6, 1.6, 1.7, 2.1]
    lines = found.text().splitlines()
    assert lines[0] == "40 names streamed, bars 1.5 s old; 160 by snapshots, up to 2.1 s old"
    assert lines[-1] == "  199  2.1 s"


def test_snapshots_that_charts_cannot_correct_in_time_are_refused() -> None:
    wanted = [Want(f"{k}") for k in range(700)]
    with pytest.raises(ConfigError, match=r"660 of 700 names.*66\.0 s a bar of 60 s, at 10 requests a second"):
        plan(wanted, length=60.0, slots=40, requests_per_second=10.0, at_once=30)
