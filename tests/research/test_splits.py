"""Purged folds: no label of the training rows meets one of the test rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from quantkit.errors import BadData, ConfigError
from quantkit.research.splits import CombinatorialPurgedCV, PurgedKFold, paths_of


@pytest.mark.parametrize(("groups", "tested", "splits", "paths"), [(6, 2, 15, 5), (10, 2, 45, 9), (6, 1, 6, 1)])
def test_splits_and_paths_are_those_of_the_book(groups, tested, splits, paths):
    """Lopez de Prado 2018, section 12.4.1: N = 6, k = 2 makes 15 splits and 5 paths; phi[N, 2] = N - 1."""
    cv = CombinatorialPurgedCV(groups, tested, span=0)
    assert (cv.get_n_splits(), cv.paths, paths_of(groups, tested)) == (splits, paths, paths)
    assert len(list(cv.split(np.zeros(60)))) == splits


def test_paths_use_every_test_once():
    """Figure 12.2 of the book: the first path takes the tests of group 1 from splits 1, of group 3 from split 2, ..."""
    cv = CombinatorialPurgedCV(6, 2)
    table = cv.path_splits()
    assert table.shape == (5, 6)
    assert table[0].tolist() == [0, 0, 1, 2, 3, 4]
    pairs = {(int(split), group) for path in table for group, split in enumerate(path)}
    assert pairs == {(number, group) for number, tested in enumerate(cv.combinations) for group in tested}


@st.composite
def problems(draw: st.DrawFn) -> tuple[Any, np.ndarray, int]:
    rows = draw(st.integers(20, 90))
    spans = np.array(draw(st.lists(st.integers(0, 6), min_size=rows, max_size=rows)))
    ends = np.minimum(np.arange(rows) + spans, rows - 1)
    embargo = draw(st.integers(0, 4))
    groups = draw(st.integers(2, 6))
    if draw(st.booleans()):
        return PurgedKFold(groups, span=ends, embargo=embargo), ends, embargo
    return CombinatorialPurgedCV(groups, draw(st.integers(1, groups - 1)), span=ends, embargo=embargo), ends, embargo


@settings(max_examples=80, deadline=None)
@given(problem=problems())
def test_no_training_label_meets_a_test_label_and_the_embargo_holds(problem):
    cv, ends, embargo = problem
    rows = len(ends)
    try:
        found = list(cv.split(np.zeros((rows, 2))))
    except BadData:
        assume(False)
    tested = np.zeros(rows, int)
    for train, test in found:
        tested[test] += 1
        assert not np.intersect1d(train, test).size
        edges = np.flatnonzero(np.diff(test) > 1)
        blocks = zip([test[0], *test[edges + 1]], [*test[edges], test[-1]], strict=True)
        spans = [(begin, ends[begin : stop + 1].max()) for begin, stop in blocks]
        for row in train:
            for begin, last in spans:
                assert ends[row] < begin or row > last + embargo
        left_out = np.setdiff1d(np.arange(rows), np.concatenate([train, test]))
        for row in left_out:  # nothing is left out without a reason
            assert any(row <= last + embargo + 0 and ends[row] >= begin for begin, last in _blocks(cv, test, ends))
    assert set(tested) == {cv.paths if isinstance(cv, CombinatorialPurgedCV) else 1}


def _blocks(cv: Any, test: np.ndarray, ends: np.ndarray) -> list[tuple[int, int]]:
    """The groups of a test set, adjoining ones apart, with the end of their last label."""
    return [(begin, ends[begin:stop].max()) for begin, stop in cv._edges(len(ends)) if begin in test]


def test_names_that_share_a_time_stay_together():
    times = np.repeat(pd.date_range("2024-01-01", periods=40), 3)
    cv = PurgedKFold(4, span=5, embargo=0.05)
    for train, test in cv.split(np.zeros((120, 2)), groups=times):
        days = {times[row] for row in train}
        assert not days & {times[row] for row in test}
        assert len(train) == 3 * len(days)
        begin, stop = test[0] // 3, test[-1] // 3
        allowed = [day for day in range(40) if day + 5 < begin or day > min(stop + 5, 39) + 2]
        assert sorted({int(row) // 3 for row in train}) == allowed


def test_end_times_may_be_a_series():
    index = pd.date_range("2024-01-01", periods=30)
    ends = pd.Series(index + pd.Timedelta(days=3), index=index)
    by_times = [train.tolist() for train, _ in PurgedKFold(3, span=ends).split(np.zeros(30))]
    assert by_times == [train.tolist() for train, _ in PurgedKFold(3, span=3).split(np.zeros(30))]


def test_scikit_learn_takes_it():
    selection = pytest.importorskip("sklearn.model_selection", reason="the extra [models] brings scikit-learn")
    linear = pytest.importorskip("sklearn.linear_model", reason="the extra [models] brings scikit-learn")
    random = np.random.default_rng(1)
    x, y = random.normal(size=(200, 2)), random.normal(size=200)
    assert len(selection.cross_val_score(linear.Ridge(), x, y, cv=PurgedKFold(5, span=4, embargo=2))) == 5
    assert len(selection.cross_val_score(linear.Ridge(), x, y, cv=CombinatorialPurgedCV(6, 2, span=4))) == 15
    search = selection.GridSearchCV(linear.Ridge(), {"alpha": [0.1, 1.0]}, cv=PurgedKFold(4, span=4)).fit(x, y)
    assert search.best_params_["alpha"] in (0.1, 1.0)


def test_purging_takes_away_what_overlapping_labels_leak():
    """A nearest neighbour of overlapping labels of noise looks clever in plain folds; purged, it is what it is."""
    neighbors = pytest.importorskip("sklearn.neighbors", reason="the extra [models] brings scikit-learn")
    selection = pytest.importorskip("sklearn.model_selection", reason="the extra [models] brings scikit-learn")
    steps = np.random.default_rng(2).normal(size=640)
    label = np.array([steps[row + 1 : row + 41].sum() for row in range(600)])
    x = np.arange(600.0)[:, None]
    model = neighbors.KNeighborsRegressor(1)
    plain = selection.cross_val_score(model, x, label, cv=selection.KFold(100)).mean()
    clean = selection.cross_val_score(model, x, label, cv=PurgedKFold(100, span=40)).mean()
    assert clean < plain


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: PurgedKFold(1), "folds=1"),
        (lambda: PurgedKFold(5, embargo=-1), "embargo=-1"),
        (lambda: PurgedKFold(5, span=-1), "span=-1"),
        (lambda: CombinatorialPurgedCV(4, 4), "groups above tested"),
        (lambda: list(PurgedKFold(9).split(np.zeros(5))), "5 bars cannot be cut into 9 groups"),
        (lambda: list(PurgedKFold(2, span=50).split(np.zeros(50))), "fold 1 of 2 has nothing left to train on"),
        (lambda: list(PurgedKFold(2, span=np.zeros(9, int)).split(np.zeros(9))), "ends at bar 0, before it begins"),
        (lambda: list(PurgedKFold(2, span=np.zeros(3, int)).split(np.zeros(9))), r"give \(9,\) whole numbers"),
        (lambda: list(PurgedKFold(2).split(np.zeros(3), groups=[3, 2, 1])), "not in order of time"),
    ],
)
def test_folds_that_cannot_be_are_refused(make, words):
    with pytest.raises((BadData, ConfigError), match=words):
        make()


@given(groups=st.integers(2, 12), tested=st.integers(1, 11))
def test_the_number_of_paths_is_whole(groups, tested):
    assume(tested < groups)
    assert paths_of(groups, tested) == math.comb(groups - 1, tested - 1)
