"""Bars out of ticks: what belongs to a bar, when it closes, what makes a row invalid."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantkit.errors import ConfigError
from quantkit.live.bars import GRACE, MINUTE, SECOND, Bar, Hole, TickBars
from quantkit.live.windows import session_of
from quantkit.trading.ports import Candle, Tick

SPAN = session_of("2025-11-12")
assert SPAN is not None
OPENS, CLOSES = SPAN.opens, SPAN.closes
NAMES = ("A", "B")


def minutes(**given: object) -> TickBars:
    settings = {"opens": OPENS, "closes": CLOSES, "length": MINUTE, "last": {"A": 100.0, "B": 50.0}, **given}
    return TickBars(NAMES, **settings)  # type: ignore[arg-type]


def tick(symbol: str, seconds: float, price: float, volume: int = 1, **given: int) -> Tick:
    """A trade so many seconds after the open."""
    return Tick(symbol, OPENS + round(seconds * SECOND), price, volume, **given)


def row(bar: Bar, symbol: str) -> list[float]:
    i = bar.symbols.index(symbol)
    return [float(field[i]) for field in (bar.open, bar.high, bar.low, bar.close, bar.volume)]


def test_a_bar_closes_on_the_clock_and_not_on_the_next_tick() -> None:
    bars = minutes()
    bars.add([tick("A", 1, 101.0, 3), tick("A", 59.999, 99.0, 2)])
    edge = OPENS + MINUTE
    assert bars.due() == edge + GRACE
    assert bars.close_due(edge + GRACE - 1) == ()
    (bar,) = bars.close_due(edge + GRACE)
    assert (bar.begin, bar.end, bar.time) == (OPENS, edge, edge + GRACE)
    assert row(bar, "A") == [101.0, 101.0, 99.0, 99.0, 5.0]
    assert bar.value[0] == 3 * 101.0 + 2 * 99.0
    assert bar.complete
    assert not bar.backfill


def test_a_name_without_a_trade_is_carried_and_stays_valid() -> None:
    bars = minutes()
    bars.add([tick("A", 1, 101.0)])
    first, second = bars.close_due(OPENS + 2 * MINUTE + GRACE)
    assert row(first, "B") == [50.0, 50.0, 50.0, 50.0, 0.0]
    assert row(second, "A") == [101.0, 101.0, 101.0, 101.0, 0.0]
    assert first.traded.tolist() == [True, False]
    assert second.valid.tolist() == [True, True]


def test_a_name_that_never_had_a_price_is_not_valid() -> None:
    bars = minutes(last={"A": 100.0})
    (bar,) = bars.close_due(OPENS + MINUTE + GRACE)
    assert bar.valid.tolist() == [True, False]
    assert bar.complete  # nothing was missed: there is nothing to know


def test_a_tick_on_the_edge_belongs_to_the_next_bar() -> None:
    bars = minutes()
    bars.add([tick("A", 60, 102.0), tick("A", 59, 101.0)])
    first, second = bars.close_due(OPENS + 2 * MINUTE + GRACE)
    assert (row(first, "A")[3], row(second, "A")[3]) == (101.0, 102.0)


def test_late_ticks_inside_the_grace_count() -> None:
    bars = minutes()
    bars.add([tick("A", 60.5, 105.0), tick("A", 59.5, 101.0)], now=OPENS + MINUTE + SECOND)
    (bar,) = bars.close_due(OPENS + MINUTE + GRACE)
    assert row(bar, "A") == [101.0, 101.0, 101.0, 101.0, 1.0]
    assert bars.counts["late"] == 0


def test_later_ones_are_counted_mark_the_bar_and_carry_on() -> None:
    bars = minutes()
    bars.add([tick("A", 5, 101.0)])
    (bar,) = bars.close_due(OPENS + MINUTE + GRACE)
    bars.add([tick("A", 55, 103.0, 4), tick("B", 55, 51.0)])
    assert row(bar, "A")[3] == 101.0  # what was decided on does not change
    assert bars.counts["late"] == 2
    assert bars.revised == {(OPENS + MINUTE, "A"), (OPENS + MINUTE, "B")}
    (after,) = bars.close_due(OPENS + 2 * MINUTE + GRACE)
    assert after.close.tolist() == [103.0, 51.0]
    assert bars.rows("A")[0].volume == 5


def test_frames_of_a_dead_socket_are_dropped() -> None:
    bars = minutes(generation=1)
    bars.generation = 2
    bars.add([tick("A", 1, 999.0, generation=1), tick("A", 2, 101.0, generation=2)])
    (bar,) = bars.close_due(OPENS + MINUTE + GRACE)
    assert row(bar, "A") == [101.0, 101.0, 101.0, 101.0, 1.0]
    assert bars.counts["stale"] == 1


def test_what_is_no_trade_of_the_session_is_left_out_and_counted() -> None:
    bars = minutes()
    bars.add([tick("A", -1, 90.0), tick("C", 1, 1.0), tick("A", 1, float("nan")), tick("A", 1, 1.0, 0),
              Tick("A", CLOSES + 20 * MINUTE, 90.0, 1)])  # fmt: skip
    (bar,) = bars.close_due(OPENS + MINUTE + GRACE)
    assert not bar.traded.any()
    assert bars.counts == {"outside": 2, "bad": 2}


def last_bar(bars: TickBars) -> None:
    """Give all bars but the one that ends with the session."""
    bars.close_due(CLOSES + GRACE)
    assert bars.ready() == CLOSES + MINUTE


def test_the_last_bar_closes_on_the_auctions_print() -> None:
    bars = minutes()
    last_bar(bars)
    bars.add([Tick("A", CLOSES + 7 * SECOND, 104.0, 900, auction=True)], now=CLOSES + 7 * SECOND)
    assert bars.due() == CLOSES + MINUTE
    bars.add([Tick("B", CLOSES + 12 * SECOND, 49.0, 70, auction=True)], now=CLOSES + 13 * SECOND)
    assert bars.due() == CLOSES + 13 * SECOND
    (bar,) = bars.close_due(CLOSES + 13 * SECOND)
    assert (bar.end, bar.close.tolist(), bar.volume.tolist()) == (CLOSES, [104.0, 49.0], [900.0, 70.0])
    assert bars.due() is None


def test_without_a_print_the_last_bar_closes_a_minute_after_its_time() -> None:
    bars = minutes()
    last_bar(bars)
    assert bars.close_due(CLOSES + MINUTE - 1) == ()
    (bar,) = bars.close_due(CLOSES + MINUTE)
    assert bar.valid.all()
    assert not bar.traded.any()


def test_a_venue_without_an_auction_closes_its_last_bar_like_any() -> None:
    bars = minutes(auction=False)
    assert len(bars.close_due(CLOSES + GRACE)) == 390
    bars.add([Tick("A", CLOSES + SECOND, 104.0, 900)])
    assert bars.counts["outside"] == 1


def test_a_hole_makes_its_names_invalid_and_nothing_else() -> None:
    bars = minutes()
    bars.outage(OPENS + 70 * SECOND, OPENS + 80 * SECOND, symbols=["B"])
    first, second, third = bars.close_due(OPENS + 3 * MINUTE + GRACE)
    assert [bar.complete for bar in (first, second, third)] == [True, False, True]
    assert second.valid.tolist() == [True, False]


def test_while_the_feed_is_out_no_row_is_valid() -> None:
    bars = minutes()
    bars.outage(OPENS + 90 * SECOND)
    assert [bar.valid.any() for bar in bars.close_due(OPENS + 3 * MINUTE + GRACE)] == [True, False, False]
    bars.recovered(OPENS + 3 * MINUTE + 10 * SECOND)
    fourth, fifth = bars.close_due(OPENS + 5 * MINUTE + GRACE)
    assert (fourth.valid.any(), fifth.valid.all()) == (False, True)


def test_silence_inside_a_call_auction_is_no_hole() -> None:
    bars = minutes(quiet=[(CLOSES - 10 * MINUTE, CLOSES)])
    bars.outage(CLOSES - 9 * MINUTE, CLOSES - SECOND)
    assert all(bar.complete for bar in bars.close_due(CLOSES + MINUTE))
    bars = minutes(quiet=[(CLOSES - 10 * MINUTE, CLOSES)])
    bars.outage(CLOSES - 9 * MINUTE, CLOSES + SECOND)  # the print may have come in that second
    given = bars.close_due(CLOSES + MINUTE)
    assert [bar.end for bar in given if not bar.complete] == [CLOSES]


def test_candles_fill_a_hole_before_the_bar_is_given() -> None:
    bars = minutes(patience=12 * SECOND)
    bars.add([tick("A", 5, 101.0), tick("B", 5, 51.0)])
    bars.outage(OPENS + 10 * SECOND, OPENS + 20 * SECOND)
    edge = OPENS + MINUTE
    assert bars.close_due(edge + GRACE) == ()
    assert bars.holes(edge - 1) == ()
    assert bars.holes(edge) == (Hole(OPENS, edge, NAMES),)
    assert bars.fill("A", OPENS, edge, [Candle("A", edge, 101.0, 109.0, 101.0, 105.0, 40, 4_200.0)]) == ()
    assert bars.fill("B", OPENS, edge, []) == ()  # the chart has no trade of it
    assert bars.due() == edge + GRACE
    bars.add([tick("A", 59.9, 500.0)])  # the candle holds it already
    (bar,) = bars.close_due(edge + 2 * SECOND)
    assert row(bar, "A") == [101.0, 109.0, 101.0, 105.0, 40.0]
    assert (bar.valid.all(), bar.complete, bar.traded.tolist()) == (True, True, [True, False])
    assert row(bar, "B")[3] == 50.0


def test_patience_ends_and_the_rest_is_not_valid() -> None:
    bars = minutes(patience=12 * SECOND)
    bars.outage(OPENS, OPENS + SECOND)
    edge = OPENS + MINUTE
    bars.fill("B", OPENS, edge, [Candle("B", edge, 51.0, 51.0, 51.0, 51.0, 4)])
    assert bars.due() == edge + 12 * SECOND
    (bar,) = bars.close_due(edge + 12 * SECOND)
    assert bar.valid.tolist() == [False, True]
    assert bar.value[1] == 204.0


def test_candles_after_the_bar_make_revisions_and_later_rows_know() -> None:
    bars = minutes()
    bars.outage(OPENS, OPENS + SECOND, symbols=["A"])
    bars.close_due(OPENS + MINUTE + GRACE)
    edge = OPENS + MINUTE
    (revision,) = bars.fill("A", OPENS, edge, [Candle("A", edge, 101.0, 101.0, 101.0, 101.0, 4)])
    assert (revision.end, revision.candle.close) == (edge, 101.0)
    assert bars.fill("A", OPENS, edge, [Candle("A", edge, 101.0, 101.0, 101.0, 101.0, 4)]) == ()
    (bar,) = bars.close_due(edge + MINUTE + GRACE)
    assert row(bar, "A")[3] == 101.0


def test_a_sampled_name_is_given_on_time_and_corrected_once() -> None:
    bars = minutes(sampled=("B",))
    bars.add([tick("A", 1, 101.0), tick("B", 59.9, 51.0, 9)])
    (bar,) = bars.close_due(OPENS + MINUTE + GRACE)
    assert bar.complete
    assert bar.valid.tolist() == [True, True]
    assert row(bar, "B") == [51.0, 51.0, 51.0, 51.0, 9.0]
    assert bars.holes(OPENS + MINUTE + GRACE) == ()
    assert bars.scars() == (Hole(OPENS, OPENS + MINUTE, ("B",)),)
    (revision,) = bars.fill("B", OPENS, OPENS + MINUTE, [Candle("B", OPENS + MINUTE, 50.0, 52.0, 49.0, 51.0, 9)])
    assert (revision.candle.high, revision.candle.low) == (52.0, 49.0)
    assert bars.scars() == ()


def test_a_trade_that_a_snapshot_saw_too_early_is_taken_out_of_a_quiet_bar() -> None:
    bars = minutes(sampled=("B",))
    bars.add([tick("A", 1, 101.0), tick("B", 59.9, 51.0, 9), tick("B", 119.9, 52.0, 3)])
    bars.outage(OPENS, OPENS + SECOND, symbols=["A"])
    bars.close_due(OPENS + 2 * MINUTE + GRACE + 12 * SECOND)
    first, second = OPENS + MINUTE, OPENS + 2 * MINUTE
    assert [(made.end, made.candle) for made in bars.fill("B", OPENS, first, [])] == [
        (first, Candle("B", first, 50.0, 50.0, 50.0, 50.0, 0, 0.0))
    ]  # fmt: skip
    assert bars.fill("B", first, second, [Candle("B", second, 51.0, 52.0, 51.0, 52.0, 12)]) != ()
    assert [candle.volume for candle in bars.rows("B")] == [12]
    assert bars.fill("A", OPENS, first, []) == ()  # it was heard: the chart may be late
    assert [candle.volume for candle in bars.rows("A")] == [1]
    assert bars.scars() == ()


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["hole", "fill", "close"]), st.integers(0, 290), st.integers(1, 120),
                  st.sampled_from([("A",), ("B",), NAMES])),
        max_size=25,
    )
)  # fmt: skip
def test_looking_at_scars_changes_nothing(steps: list[tuple[str, int, int, tuple[str, ...]]]) -> None:
    """What has been filled is forgotten while looking."""
    once, again = minutes(patience=12 * SECOND), minutes(patience=12 * SECOND)
    now = OPENS
    for what, at, seconds, names in steps:
        since, until = OPENS + at * SECOND, OPENS + (at + seconds) * SECOND
        for bars in (once, again):
            if what == "hole":
                bars.outage(since, until, symbols=names)
            elif what == "fill":
                for name in names:
                    bars.fill(name, OPENS + at // 60 * MINUTE, OPENS + (at + seconds) // 60 * MINUTE, [])
        now = max(now, until if what == "close" else now)
        given = [[(bar.end, bar.complete, bar.valid.tolist()) for bar in bars.close_due(now)] for bars in (once, again)]
        assert given[0] == given[1]
        assert again.scars() == again.scars()
    assert (once.scars(), once.holes(now), once.due()) == (again.scars(), again.holes(now), again.due())


def test_minute_candles_fill_longer_bars() -> None:
    bars = minutes(length=5 * MINUTE, patience=MINUTE)
    bars.outage(OPENS, OPENS + SECOND)
    candles = [Candle("A", OPENS + k * MINUTE, 100.0 + k, 110.0 + k, 90.0 - k, 101.0 + k, 10) for k in (2, 1, 5)]
    bars.fill("A", OPENS, OPENS + 5 * MINUTE, candles)
    (bar,) = bars.close_due(OPENS + 6 * MINUTE)
    assert row(bar, "A") == [101.0, 115.0, 85.0, 106.0, 30.0]
    assert bar.valid.tolist() == [True, False]


def test_a_day_waits_for_its_candles_and_takes_theirs() -> None:
    bars = minutes(length=None, confirm=True, patience=120 * MINUTE)
    bars.add([tick("A", 5, 101.0, 3), tick("B", 5, 51.0, 3)])
    assert bars.close_due(CLOSES + MINUTE) == ()
    bars.fill("A", OPENS, CLOSES, [Candle("A", CLOSES, 101.0, 103.0, 99.0, 102.0, 1_000)])
    assert bars.holes(CLOSES)[0].symbols == ("B",)
    bars.fill("B", OPENS, CLOSES, [Candle("B", CLOSES, 51.0, 51.0, 51.0, 51.0, 3)])
    (bar,) = bars.close_due(CLOSES + MINUTE)
    assert (bar.close.tolist(), bar.end) == ([102.0, 51.0], CLOSES)
    assert bars.due() is None


def test_an_unconfirmed_name_of_a_day_is_not_valid_in_the_end() -> None:
    bars = minutes(length=None, confirm=True, patience=120 * MINUTE)
    bars.add([tick("A", 5, 101.0, 3), tick("B", 5, 51.0, 3)])
    bars.fill("A", OPENS, CLOSES, [Candle("A", CLOSES, 101.0, 101.0, 101.0, 101.0, 3)])
    (bar,) = bars.close_due(CLOSES + 120 * MINUTE)
    assert bar.valid.tolist() == [True, False]


def test_a_late_start_backfills_what_was_not_folded_before() -> None:
    started = OPENS + 150 * SECOND  # inside the third minute
    bars = minutes(started=started, after=OPENS + MINUTE)
    assert bars.due() == started + MINUTE
    for name in NAMES:
        bars.fill(name, OPENS, OPENS + 2 * MINUTE, [Candle(name, OPENS + 2 * MINUTE, 7.0, 7.0, 7.0, 7.0, 1)])
    second, third = bars.close_due(OPENS + 3 * MINUTE + GRACE)
    assert (second.end, second.backfill, second.valid.all()) == (OPENS + 2 * MINUTE, True, True)
    assert (third.end, third.backfill, third.valid.any()) == (OPENS + 3 * MINUTE, False, False)


def test_hours_count_from_midnight_and_end_with_the_session() -> None:
    bars = minutes(length=60 * MINUTE)
    given = bars.close_due(CLOSES + MINUTE)
    assert [(bar.end - OPENS) // (60 * MINUTE) for bar in given] == [1, 2, 3, 4, 5, 6, 7]
    assert given[-1].time == CLOSES + MINUTE


def test_a_length_that_divides_no_day_is_refused() -> None:
    with pytest.raises(ConfigError, match="divides a day"):
        minutes(length=7 * MINUTE)


def test_candles_of_a_bar_are_its_valid_rows() -> None:
    bars = minutes(last={"A": 100.0})
    bars.add([tick("A", 1, 101.0, 3)])
    (bar,) = bars.close_due(OPENS + MINUTE + GRACE)
    assert bar.candles() == (Candle("A", OPENS + MINUTE, 101.0, 101.0, 101.0, 101.0, 3, 303.0),)


TICKS = st.lists(
    st.tuples(st.sampled_from(NAMES), st.integers(0, 299_999), st.integers(90, 110), st.integers(1, 50)), max_size=80
)


@given(TICKS, st.sampled_from([SECOND, 10 * SECOND, MINUTE, 5 * MINUTE]), st.integers(1, 7))
def test_bars_are_what_pandas_resamples(given_ticks: list[tuple[str, int, int, int]], length: int, batch: int) -> None:
    ticks = [Tick(s, OPENS + ms * 1_000_000, float(price), volume) for s, ms, price, volume in given_ticks]
    bars = minutes(length=length, last={})
    for k in range(0, len(ticks), batch):
        bars.add(ticks[k : k + batch])
    closed = bars.close_due(OPENS + 5 * MINUTE + GRACE)
    assert len(closed) == 5 * MINUTE // length
    for name in NAMES:
        own = [t for t in ticks if t.symbol == name]
        ordered = sorted(own, key=lambda t: t.time)  # stable: of equal times the first come stays first
        index = pd.DatetimeIndex(np.array([t.time for t in ordered], dtype="datetime64[ns]"))
        price = pd.Series([t.price for t in ordered], index=index, dtype=np.float64)
        volume = pd.Series([float(t.volume) for t in ordered], index=index, dtype=np.float64)
        step = pd.Timedelta(length, unit="ns")
        wanted = price.resample(step, closed="left", label="right").ohlc().join(
            volume.resample(step, closed="left", label="right").sum().rename("volume")
        ).dropna() if len(own) else pd.DataFrame()  # fmt: skip
        found = [(bar.end, row(bar, name)) for bar in closed if bar.traded[bar.symbols.index(name)]]
        assert found == [(time.value, list(map(float, values))) for time, values in zip(
            wanted.index, wanted.to_numpy() if len(wanted) else [], strict=True)]  # fmt: skip


@given(TICKS, st.randoms(use_true_random=False))
def test_the_order_of_ticks_of_different_times_does_not_matter(
    given_ticks: list[tuple[str, int, int, int]], luck: object
) -> None:
    unique = list({(s, ms): Tick(s, OPENS + ms * 1_000_000, float(p), v) for s, ms, p, v in given_ticks}.values())
    mixed = list(unique)
    luck.shuffle(mixed)  # type: ignore[attr-defined]
    one, two = minutes(), minutes()
    one.add(unique)
    two.add(mixed)
    for left, right in zip(one.close_due(CLOSES), two.close_due(CLOSES), strict=True):
        assert [row(left, name) for name in NAMES] == [row(right, name) for name in NAMES]
