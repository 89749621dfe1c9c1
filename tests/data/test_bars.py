"""The panel: constructor, lazy fields, adjusted prices, parts, flags."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from quantkit.data.actions import Action
from quantkit.data.bars import LISTED, MEMBER, REQUIRED, TRADED, VALID, Bars, midnights
from quantkit.data.dates import epoch_day
from quantkit.errors import BadData, ConfigError

FIRST = epoch_day("2018-05-02")


def make_bars(closes, *, symbols=None, actions=None, volume=1000.0, days=None, **options):
    """Daily bars whose four prices are `closes` (T, N)."""
    closes = np.array(closes, dtype=float)
    names = symbols or tuple(f"{number:06d}" for number in range(closes.shape[1]))
    fields = {name: closes.copy() for name in ("open", "high", "low", "close")}
    fields["volume"] = np.full(closes.shape, volume)
    days = np.arange(len(closes)) + FIRST if days is None else np.asarray(days)
    return Bars(times=midnights(days), symbols=names, fields=fields, actions=actions, **options)


def test_a_daily_bar_shows_its_date_at_midnight_in_seoul():
    bars = make_bars([[1.0], [2.0]])
    assert [str(stamp) for stamp in bars.index] == ["2018-05-02 00:00:00+09:00", "2018-05-03 00:00:00+09:00"]
    assert bars.days.tolist() == [FIRST, FIRST + 1]
    assert len(bars) == 2
    assert bars.shape == (2, 1)


def test_dates_before_the_zone_was_nine_hours_keep_their_day():
    bars = make_bars([[1.0], [2.0]], days=[epoch_day("1955-03-02"), epoch_day("1988-05-08")])
    assert [str(stamp.date()) for stamp in bars.index] == ["1955-03-02", "1988-05-08"]


def test_without_actions_adjusted_prices_are_the_raw_ones_and_nothing_is_copied():
    bars = make_bars([[1.0, 2.0], [3.0, 4.0]])
    assert bars.close is bars.raw.close
    assert bars.volume is bars.raw.volume
    assert (bars.factor == 1.0).all()


def test_a_split_leaves_adjusted_prices_and_value_without_a_jump():
    split = [Action("000000", "2018-05-04", "split", share_ratio=50.0)]
    bars = make_bars([[2_650_000.0], [2_650_000.0], [53_000.0]], actions=split, volume=100.0)
    assert bars.close.ravel().tolist() == [2_650_000.0] * 3
    assert bars.raw.close[2, 0] == 53_000.0
    assert bars.volume.ravel().tolist() == [100.0, 100.0, 2.0]
    assert bars.raw.volume[2, 0] == 100.0


def test_a_field_is_loaded_once_and_only_when_asked_for():
    asked = []

    def load(name):
        def loader():
            asked.append(name)
            return np.ones((2, 1))

        return loader

    fields = {name: load(name) for name in REQUIRED}
    flags = np.full((2, 1), LISTED | VALID | TRADED | MEMBER, dtype=np.uint8)
    bars = Bars(times=midnights([1, 2]), symbols=("000000",), fields=fields, flags=flags)
    assert asked == []
    assert bars.close is bars.close
    assert bars.slice(1, 2).close.shape == (1, 1)
    assert asked == ["close"]


def test_a_loader_that_gives_the_wrong_shape_is_named():
    fields = {name: np.ones((2, 1)) for name in REQUIRED} | {"high": lambda: np.ones((3, 1))}
    bars = Bars(times=midnights([1, 2]), symbols=("000000",), fields=fields)
    with pytest.raises(BadData, match=r"'high' has shape \(3, 1\); the panel is \(2, 1\)"):
        _ = bars.high


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"times": midnights([2, 2])}, "times must increase: row 1"),
        ({"symbols": ("A", "A")}, "symbol 'A' appears twice"),
        ({"fields": {"close": np.ones((2, 2))}}, "fields lack open, high, low, volume"),
        ({"markets": ("KOSPI",)}, "one entry per symbol"),
        ({"flags": np.zeros((2, 1), np.uint8)}, r"flags are uint8 \(2, 1\)"),
    ],
)
def test_axes_that_do_not_fit_are_refused(change, words):
    given = {"times": midnights([1, 2]), "symbols": ("A", "B"), "fields": {name: np.ones((2, 2)) for name in REQUIRED}}
    with pytest.raises(BadData, match=words):
        Bars(**(given | change))


def test_a_slice_shares_memory_and_shows_the_same_adjusted_prices():
    split = [Action("000000", "2018-05-03", "split", share_ratio=3.0)]
    bars = make_bars([[30.0], [10.0], [11.0]], actions=split)
    part = bars.slice(1, 3)
    assert np.shares_memory(part.raw.close, bars.raw.close)
    assert part.close.tolist() == bars.close[1:].tolist() == [[30.0], [33.0]]


def test_the_first_session_of_a_slice_keeps_the_reference_price_of_the_day_before():
    split = [Action("000000", "2018-05-03", "split", share_ratio=3.0)]
    bars = make_bars([[30.0], [10.0], [11.0]], actions=split)
    assert np.isnan(bars.base[0, 0])
    assert bars.slice(1, 3).base.ravel().tolist() == bars.base[1:].ravel().tolist() == [10.0, 10.0]
    assert pickle.loads(pickle.dumps(bars.slice(1, 3))).base.ravel().tolist() == [10.0, 10.0]
    assert bars.slice(1, 3).slice(0, 1).select(["000000"]).base.ravel().tolist() == [10.0]


def test_the_exchanges_base_price_wins_where_it_is_known():
    fields = {name: np.array([[100.0], [110.0], [120.0]]) for name in REQUIRED}
    fields["base"] = np.array([[np.nan], [101.0], [np.nan]])
    bars = Bars(times=midnights([1, 2, 3]), symbols=("000000",), fields=fields)
    assert bars.base[1:].ravel().tolist() == [101.0, 110.0]


def test_a_window_takes_whole_months_and_both_ends():
    days = [epoch_day(day) for day in ("2023-12-28", "2024-01-02", "2024-01-31", "2024-02-01")]
    bars = make_bars([[1.0], [2.0], [3.0], [4.0]], days=days)
    assert bars.window("2024-01", "2024-01").close.ravel().tolist() == [2.0, 3.0]
    assert bars.window("20240102", None).close.ravel().tolist() == [2.0, 3.0, 4.0]
    assert bars.window(None, "2023").close.ravel().tolist() == [1.0]
    assert len(bars.window("2030-01-01", None)) == 0


def test_a_window_that_starts_after_its_end_is_refused():
    with pytest.raises(ConfigError, match="start 2024-02-01 is after end 2024-01-01"):
        make_bars([[1.0]]).window("2024-02-01", "2024-01-01")


def test_an_unreadable_date_is_refused_with_an_example():
    with pytest.raises(BadData, match="start: 'soon' is not a date; write it like '2024-01-31'"):
        make_bars([[1.0]]).window("soon")


def test_select_keeps_the_order_asked_for_and_names_what_is_missing():
    bars = make_bars([[1.0, 2.0, 3.0]], markets=("KOSPI", "KOSDAQ", "ETF"))
    part = bars.select(["000002", "000000"])
    assert part.symbols == ("000002", "000000")
    assert part.close.tolist() == [[3.0, 1.0]]
    assert part.close.flags.c_contiguous
    assert part.markets == ("ETF", "KOSPI")
    with pytest.raises(ConfigError, match="no bars for '999999'; the panel has 000000, 000001, 000002"):
        bars.select(["999999"])


def test_frame_names_fields_by_their_attribute():
    bars = make_bars([[1.0, 2.0]])
    assert bars.frame("raw.close").loc["2018-05-02", "000001"] == 2.0
    assert bars.frame("traded").dtypes.tolist() == [bool, bool]
    with pytest.raises(ConfigError, match=r"no .* field 'colse'"):
        bars.frame("colse")


def test_another_universe_changes_member_only_and_only_where_listed():
    bars = make_bars([[1.0, np.nan], [1.0, 1.0]])
    part = bars.with_member(np.array([[True, True], [False, True]]))
    assert part.member.tolist() == [[True, False], [False, True]]
    assert part.valid.tolist() == bars.valid.tolist()
    assert bars.member.tolist() == [[True, False], [True, True]]
    with pytest.raises(BadData, match=r"expected bool \(2, 2\)"):
        bars.with_member(np.ones((1, 2), dtype=bool))


def test_value_not_given_is_close_times_volume_as_traded():
    split = [Action("000000", "2018-05-03", "split", share_ratio=2.0)]
    bars = make_bars([[100.0], [50.0]], actions=split, volume=10.0)
    assert bars.value.ravel().tolist() == [1000.0, 500.0]


def test_a_pickled_panel_is_the_same_panel():
    split = [Action("000000", "2018-05-03", "split", share_ratio=2.0)]
    bars = make_bars([[100.0, 1.0], [50.0, 2.0]], actions=split, names={"000000": "삼성전자"})
    twin = pickle.loads(pickle.dumps(bars.slice(0, 2)))
    assert twin.symbols == bars.symbols
    assert twin.names == bars.names
    assert twin.close.tolist() == bars.close.tolist()
    assert twin.flags.tolist() == bars.flags.tolist()


def test_currency_follows_the_market():
    assert make_bars([[1.0]], markets="US").currency == "USD"
    assert make_bars([[1.0]]).currency == "KRW"
