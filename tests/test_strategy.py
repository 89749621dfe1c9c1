"""Strategy, param, what targets may return, and loading from files."""

from __future__ import annotations

import copy
import hashlib
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantkit.core.policy import Policy
from quantkit.data.bars import REQUIRED, Bars, midnights
from quantkit.errors import BadData, ConfigError
from quantkit.strategy import Strategy, as_targets, load_strategy, param

ROOT = Path(__file__).parent.parent


class Cross(Strategy):
    """Two windows."""

    fast: int = param(20, low=2, high=120, doc="fast window")
    slow: int = param(60, low=5)
    edge: float = param(1, low=0.5)
    side: str = param("long", choices=("long", "flat"))
    loud: bool = param(False)

    def targets(self, bars):
        return bars.close > self.edge


class Always(Strategy):
    """Returns what it was given."""

    answer = None

    def targets(self, bars):
        return self.answer


def answer(values):
    strategy = Always()
    strategy.answer = values
    return strategy


def make_bars(names=2, *, rows=3, intraday=False):
    fields = {name: np.arange(rows * names, dtype=float).reshape(rows, names) + 1 for name in REQUIRED}
    symbols = tuple("ABCDE"[:names])
    if intraday:
        times = midnights([19_724])[0] + (np.arange(rows) + 541) * 60_000_000
        return Bars(times=times, symbols=symbols, fields=fields, freq="1m")
    return Bars(times=midnights(np.arange(rows) + 19_724), symbols=symbols, fields=fields)


# --- parameters ---------------------------------------------------------------------------------------------------


def test_parameters_have_their_defaults_and_types():
    assert Cross().params == {"fast": 20, "slow": 60, "edge": 1.0, "side": "long", "loud": False}
    assert type(Cross().edge) is float
    assert Cross(fast=np.int64(7), edge=2).params["edge"] == 2.0
    assert type(Cross(fast=np.int64(7)).fast) is int
    assert repr(Cross(fast=5)) == "Cross(fast=5, slow=60, edge=1.0, side='long', loud=False)"


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"fast": 1}, r"Cross\(fast=1\): expected a whole number from 2 to 120"),
        ({"fast": 20.0}, r"Cross\(fast=20.0\): expected a whole number"),
        ({"fast": True}, r"Cross\(fast=True\): expected a whole number"),
        ({"fast": "20"}, r"Cross\(fast='20'\): expected a whole number"),
        ({"slow": 4}, r"Cross\(slow=4\): expected a whole number, 5 or more"),
        ({"edge": float("nan")}, r"Cross\(edge=nan\): expected a number, 0.5 or more"),
        ({"side": "short"}, r"Cross\(side='short'\): expected one of 'long', 'flat'"),
        ({"loud": 1}, r"Cross\(loud=1\): expected True or False"),
        ({"fsat": 5}, "Cross has no parameter 'fsat'; did you mean 'fast'.*fast, slow, edge, side, loud"),
        ({"zebra": 5}, "Cross has no parameter 'zebra'"),
    ],
)
def test_a_wrong_parameter_names_strategy_parameter_value_and_range(params, words):
    with pytest.raises(ConfigError, match=words):
        Cross(**params)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("x: int = param(5, low=6)", r"Broken\(x=5\): expected a whole number, 6 or more"),
        ("x: int = param(5, low=9, high=6)", "Broken.x: low 9 is above high 6"),
        ("x: int = param(5, step=0)", "Broken.x: step 0 must be above 0"),
        ("x = param('a', low=1)", "Broken.x: low, high and step are for numbers"),
        ("x = param([1])", "Broken.x: a default of type list"),
        ("policy = param(5)", "Broken: a parameter cannot be called 'policy'"),
    ],
)
def test_a_wrong_declaration_is_refused_when_the_class_is_made(body, words):
    with pytest.raises(ConfigError, match=words):
        exec(f"class Broken(Strategy):\n    {body}", {"Strategy": Strategy, "param": param})


def test_parameters_are_fixed_and_replaced_by_a_copy():
    strategy = Cross()
    with pytest.raises(ConfigError, match=r"Cross.fast is fixed; build another one: strategy.replace\(fast=9\)"):
        strategy.fast = 9
    assert strategy.replace(fast=9).params == strategy.params | {"fast": 9}


def test_a_subclass_inherits_and_overrides_parameters():
    class Narrow(Cross):
        fast: int = param(5, low=2, high=10)
        side = "long"  # no longer a parameter
        extra: int = param(1)

    assert Narrow().params == {"fast": 5, "slow": 60, "edge": 1.0, "loud": False, "extra": 1}
    assert Narrow().side == "long"


def test_texts_of_a_command_line_become_values():
    assert Cross.parse({"fast": "7", "edge": "2", "loud": "yes", "side": "flat"}) == {
        "fast": 7,
        "edge": 2.0,
        "loud": True,
        "side": "flat",
    }
    for text in ({"fast": "7.5"}, {"loud": "maybe"}, {"edge": "x"}):
        with pytest.raises(ConfigError, match="expected"):
            Cross.parse(text)
    with pytest.raises(ConfigError, match="no parameter 'quick'"):
        Cross.parse({"quick": "1"})


def test_strategies_are_equal_by_class_and_parameters():
    class Twin(Cross):
        pass

    assert Cross(fast=5) == Cross(fast=5)
    assert len({Cross(fast=5), Cross(fast=5), Cross()}) == 2
    assert Cross() != Twin()
    assert Cross() != "Cross"
    assert copy.deepcopy(Cross(fast=5)) == pickle.loads(pickle.dumps(Cross(fast=5))) == Cross(fast=5)


def test_what_is_not_said_has_a_default():
    strategy = Cross()
    assert strategy.policy == Policy()
    assert strategy.universe is None
    assert (strategy.warmup, strategy.history) == (0, None)
    assert strategy.rank(make_bars()) is None
    assert strategy.name == "Cross"


def test_a_policy_may_read_the_parameters():
    class Tight(Strategy):
        stop: float = param(0.1, low=0.01, high=0.5)

        @property
        def policy(self):
            return Policy(stop_loss=self.stop)

    assert Tight(stop=0.2).policy.stop_loss == 0.2


def test_a_description_is_plain_data():
    class Known(Cross):
        universe = ("005930", "000660")
        warmup = 60

    said = Known(fast=5).describe()
    assert said["params"]["fast"] == 5
    assert said["parameters"]["fast"] == {
        "type": "int",
        "default": 20,
        "low": 2,
        "high": 120,
        "step": None,
        "choices": None,
        "doc": "fast window",
        "value": 5,
    }
    assert said["universe"] == ["005930", "000660"]
    assert (said["warmup"], said["policy"]["weighting"]) == (60, "equal")
    assert said["source_hash"] == hashlib.sha256(Path(__file__).read_bytes()).hexdigest()


# --- what targets may return --------------------------------------------------------------------------------------


def test_a_strategy_without_targets_says_so():
    with pytest.raises(ConfigError, match="Strategy defines no targets"):
        Strategy().evaluate(make_bars())


def test_bool_stays_bool_and_numbers_become_float_and_contiguous():
    bars = make_bars()
    flags = answer(np.asfortranarray(bars.close > 2)).evaluate(bars)
    assert flags.dtype == np.bool_
    assert flags.flags.c_contiguous
    weights = answer((bars.close / 100).astype(np.float32)).evaluate(bars)
    assert weights.dtype == np.float64


def test_whole_zeros_and_ones_are_in_or_out_when_sizes_are_equal():
    bars = make_bars()
    whole = np.array([[0, 1]] * 3)
    assert answer(whole).evaluate(bars).dtype == np.bool_

    class Counted(Always):
        answer = whole
        policy = Policy(weighting="shares", amount=1.0)

    assert Counted().evaluate(bars).dtype == np.float64
    assert answer(whole * 5).evaluate(bars).dtype == np.float64


def test_lists_series_and_flat_arrays_serve_for_one_symbol():
    bars = make_bars(1)
    for values in ([True, False, True], np.array([1, 0, 1]), pl.Series([True, False, True])):
        assert answer(values).evaluate(bars).ravel().tolist() == [True, False, True]
    series = pd.Series([True, False, True], index=bars.index)
    assert answer(series).evaluate(bars).ravel().tolist() == [True, False, True]
    assert answer([[1.5], [np.nan], [None]]).evaluate(bars)[0, 0] == 1.5


@given(rows=st.permutations(range(3)), columns=st.permutations(range(2)))
def test_frames_are_matched_by_label_whatever_their_order(rows, columns):
    bars = make_bars()
    frame = bars.frame("close").iloc[list(rows), list(columns)]
    assert as_targets(frame, bars).tolist() == bars.close.tolist()
    naive = frame.set_axis(frame.index.tz_localize(None), axis=0)
    assert as_targets(naive, bars).tolist() == bars.close.tolist()
    if list(rows) == [0, 1, 2]:
        assert as_targets(pl.DataFrame(frame.reset_index(drop=True)), bars).tolist() == bars.close.tolist()


def test_frames_within_the_day_are_matched_by_instant():
    bars = make_bars(intraday=True)
    frame = bars.frame("close")
    assert as_targets(frame.tz_convert("UTC")[::-1], bars).tolist() == bars.close.tolist()
    with pytest.raises(BadData, match=r"row labels have no time zone; use bars.index"):
        as_targets(frame.tz_localize(None), bars)


def test_a_frame_with_default_labels_counts_by_position():
    bars = make_bars()
    assert as_targets(pd.DataFrame(bars.close), bars).tolist() == bars.close.tolist()
    assert as_targets(pd.DataFrame(bars.close > 2), bars).dtype == np.bool_


def test_missing_values_in_frames_are_nan():
    bars = make_bars()
    frame = (bars.frame("close") > 2).astype("boolean")
    frame.iloc[0, 0] = pd.NA
    values = as_targets(frame, bars)
    assert np.isnan(values[0, 0])
    assert values[2].tolist() == [1.0, 1.0]
    nulls = pl.DataFrame({"A": [1.0, None, 2.0], "B": [0.0, 0.0, 0.0]})
    assert np.isnan(as_targets(nulls, bars)[1, 0])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda _: None, "got None; return a"),
        (lambda _: np.ones(3), r"shape \(3,\); expected \(T, N\) = \(3, 2\), a row per bar and a column per symbol"),
        (lambda _: np.ones((2, 3)), r"shape \(2, 3\); expected"),
        (lambda bars: np.full(bars.shape, np.nan), "no value at all, every target is NaN; are 3 bars fewer"),
        (lambda bars: np.where(bars.close == 4.0, np.inf, 0.1), "inf at 2024-01-03 for B; a division by zero"),
        (lambda bars: np.full(bars.shape, "in"), "dtype <U2; expected bool"),
        (lambda bars: np.full(bars.shape, object()), "holds objects that are no numbers"),
        (lambda bars: bars.frame("close").iloc[1:], r"2 rows for 3 bars; bars without a row: 1 \(2024-01-02\)"),
        (lambda bars: bars.frame("close")[["A"]], r"1 columns for 2 symbols: missing \['B'\], extra \[\]"),
        (lambda bars: bars.frame("close")["A"], "a Series for 2 symbols; expected a DataFrame"),
        (lambda bars: bars.frame("close").set_axis(["x", "y", "z"]), "row labels such as .'x'. are no dates"),
        (lambda bars: bars.index, "a pandas DatetimeIndex; expected a DataFrame"),
        (lambda _: pl.DataFrame({"A": [1.0] * 3, "C": [1.0] * 3}), r"missing \['B'\], extra \['C'\]"),
    ],
)
def test_targets_that_do_not_fit_say_what_was_expected(make, words):
    bars = make_bars()
    with pytest.raises(BadData, match=words) as caught:
        answer(make(bars)).evaluate(bars)
    assert str(caught.value).startswith("Always().targets: ")


def test_a_block_of_a_longer_run_may_hold_no_value():
    bars = make_bars()
    assert np.isnan(answer(np.full(bars.shape, np.nan)).evaluate(bars, allow_empty=True)).all()


def test_an_error_inside_targets_keeps_its_type_and_names_the_strategy():
    class Fails(Strategy):
        window: int = param(3)

        def targets(self, bars):
            raise ZeroDivisionError("oops")

    with pytest.raises(ZeroDivisionError) as caught:
        Fails(window=4).evaluate(make_bars())
    assert "while computing the targets of Fails(window=4)" in caught.value.__notes__[0]


# --- loading ------------------------------------------------------------------------------------------------------


@pytest.fixture
def write(tmp_path):
    """Write a Python file below a folder of its own."""

    def writer(text, name="rule.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("from quantkit.strategy import Strategy, param\n" + textwrap.dedent(text), encoding="utf-8")
        return path

    return writer


ONE = """
class Rule(Strategy):
    days: int = param(5, low=1)

    def targets(self, bars):
        return bars.close > self.days
"""


def test_a_file_with_one_class_needs_no_name(write):
    path = write(ONE)
    cls = load_strategy(path)
    assert cls(days=7).params == {"days": 7}
    assert load_strategy(f"{path}:Rule") is cls
    assert cls().source_hash == hashlib.sha256(path.read_bytes()).hexdigest()
    assert cls().source.path == path.resolve()


def test_a_module_may_be_named_instead_of_a_file(write, monkeypatch):
    monkeypatch.syspath_prepend(str(write(ONE, "rulebook/rule_module.py").parent.parent))
    write("", "rulebook/__init__.py")
    assert load_strategy("rulebook.rule_module").__name__ == "Rule"
    assert load_strategy("rulebook.rule_module:Rule")().params == {"days": 5}


def test_a_changed_file_is_loaded_again_and_an_unchanged_one_is_not(write):
    path = write(ONE)
    first = load_strategy(path)
    assert load_strategy(path) is first
    write(ONE.replace("param(5", "param(6"))
    assert load_strategy(path)().params == {"days": 6}
    assert first().params == {"days": 5}


def test_a_strategy_from_a_file_can_be_sent_to_another_process(write, tmp_path):
    path = write(ONE)
    parcel = tmp_path / "parcel"
    parcel.write_bytes(pickle.dumps(load_strategy(path)(days=9)))
    code = f"import pickle, pathlib; print(pickle.loads(pathlib.Path({str(parcel)!r}).read_bytes()))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "Rule(days=9)"


def test_a_sent_strategy_whose_file_has_changed_is_refused(write):
    path = write(ONE)
    parcel = pickle.dumps(load_strategy(path)())
    write(ONE + "\n# another text\n")
    with pytest.raises(ConfigError, match="has changed since Rule was built"):
        pickle.loads(parcel)


def test_local_modules_are_found_through_each_other(write):
    write("LIMIT = 3\n", "deep/limits.py")
    write("", "deep/__init__.py")
    write("from deep.limits import LIMIT\n", "helper.py")
    write("never = 1\n", "unrelated.py")
    path = write("from helper import LIMIT\nimport numpy\n" + textwrap.dedent(ONE).replace("param(5", "param(LIMIT"))
    strategy = load_strategy(path)()
    assert strategy.params == {"days": 3}
    assert [file.name for file in strategy.local_modules] == ["__init__.py", "limits.py", "helper.py"]


def test_two_folders_may_each_have_a_helper_of_the_same_name(write):
    rule = "from common_helper import DAYS\n" + textwrap.dedent(ONE).replace("param(5", "param(DAYS")
    for folder, days in (("one", 11), ("two", 22)):
        write(f"DAYS = {days}\n", f"{folder}/common_helper.py")
        path = write(rule, f"{folder}/rule.py")
        assert load_strategy(path)().params == {"days": days}
    write("DAYS = 33\n", "two/common_helper.py")
    assert load_strategy(path)().params == {"days": 33}


def test_a_notebook_class_has_a_hash_that_follows_its_code():
    def made(days):
        space = {"__name__": "__console__", "Strategy": Strategy, "param": param}
        exec(f"class Cell(Strategy):\n    days: int = param({days})\n", space)
        return space["Cell"]()

    assert made(5).source_hash == made(5).source_hash != made(6).source_hash
    assert made(5).source.path is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def f(:\n    pass\n", r"rule.py, line 2: .*def f\(:"),
        ("x = 1\n", "defines no Strategy class; write class Name"),
        (ONE + ONE.replace("Rule", "Other"), "defines Rule, Other; choose one, as in .*rule.py:Rule"),
        ("import not_there_at_all\n", "rule.py, line 2: no module 'not_there_at_all'; install it or put"),
        ("x = 1\ny = x / 0\n", "rule.py, line 3: ZeroDivisionError: division by zero"),
        (ONE.replace("low=1", "low=9"), r"rule.py, line \d+: Rule\(days=5\): expected a whole number, 9 or more"),
    ],
)
def test_a_file_that_cannot_be_used_says_where_and_why(write, text, words):
    with pytest.raises(ConfigError, match=words):
        load_strategy(write(text))


def test_what_is_not_there_is_named(write, tmp_path):
    path = write(ONE)
    with pytest.raises(ConfigError, match=r"no strategy file .*other.py; .* has rule.py"):
        load_strategy(tmp_path / "other.py")
    with pytest.raises(ConfigError, match="has no Strategy class 'Ruler'; it has Rule"):
        load_strategy(f"{path}:Ruler")
    with pytest.raises(ConfigError, match="a class name is missing after the colon"):
        load_strategy(f"{path}:")
    with pytest.raises(ConfigError, match="is a folder; name the strategy file"):
        load_strategy(tmp_path)
    with pytest.raises(ConfigError, match="no file and no module 'no_such_rule'"):
        load_strategy("no_such_rule")


def test_a_file_that_is_not_python_text_is_refused(tmp_path):
    path = tmp_path / "rule.py"
    path.write_bytes(b"x = '\xff\xfe'\n")
    with pytest.raises(ConfigError, match=r"rule.py"):
        load_strategy(path)


def test_importing_strategies_and_bars_loads_no_heavy_library():
    code = (
        "import sys, quantkit.strategy, quantkit.data.bars;"
        "print([m for m in ('pandas', 'numba', 'duckdb', 'pyarrow', 'matplotlib', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
