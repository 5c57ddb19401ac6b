import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import confusion_matrix

from sknoisy.noise import (
    SymmetricNoiseInjector,
    empirical_transition_matrix,
    estimate_transition_matrix,
    noise_report,
)

COLUMNS = ["n_rows", "n_wrong", "noise_rate", "top_wrong_label", "share_of_wrong"]
ANIMALS = np.array(["ant", "bee", "cat", "dog"])

pairs_of_labels = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from("abcd")), min_size=1, max_size=40
).map(lambda pairs: tuple(map(list, zip(*pairs, strict=True))))


def noisy_codes(n_samples=500, n_classes=4):
    rng = np.random.default_rng(0)
    y = rng.integers(n_classes, size=n_samples)
    flips = rng.random(n_samples) < 0.3
    return y, np.where(flips, rng.integers(n_classes, size=n_samples), y)


# estimate_transition_matrix


@given(pairs_of_labels)
@settings(deadline=None)
def test_matrix_is_the_normalised_confusion_matrix(labels):
    y_true, y_noisy = labels
    classes = list("abcd")
    counts = confusion_matrix(y_true, y_noisy, labels=classes)
    T = estimate_transition_matrix(y_true, y_noisy, labels=classes)
    for row, count in zip(T, counts, strict=True):
        if count.sum():
            assert_allclose(row, count / count.sum(), rtol=1e-12)
    assert_allclose(T.sum(axis=1), 1, rtol=1e-12)


@pytest.mark.parametrize(
    "kind",
    [
        lambda y: y,
        lambda y: y + 10,
        lambda y: y.astype(np.float64),
        lambda y: ANIMALS[y],
        lambda y: ANIMALS[y].astype(object),
        lambda y: ANIMALS[y].tolist(),
        lambda y: pd.Series(ANIMALS[y], index=-np.arange(len(y)), dtype="category"),
        lambda y: pl.Series(ANIMALS[y]),
    ],
    ids=["codes", "numbers", "floats", "names", "objects", "list", "pandas", "polars"],
)
def test_labels_of_every_kind_give_the_matrix_of_their_codes(kind):
    y, noisy = noisy_codes()
    T = estimate_transition_matrix(kind(y), kind(noisy))
    assert_array_equal(T, empirical_transition_matrix(y, noisy, 4))


def test_the_two_vectors_may_be_of_different_kinds():
    y, noisy = noisy_codes()
    T = estimate_transition_matrix(pd.Series(ANIMALS[y]), ANIMALS[noisy].tolist())
    assert_array_equal(T, empirical_transition_matrix(y, noisy, 4))


def test_a_label_that_is_only_given_has_a_column_and_the_row_of_the_identity():
    T = estimate_transition_matrix(["b", "b"], ["a", "b"])
    assert_array_equal(T, [[1, 0], [0.5, 0.5]])


def test_labels_set_the_order_and_may_name_classes_that_do_not_occur():
    y, noisy = noisy_codes()
    sorted_matrix = estimate_transition_matrix(ANIMALS[y], ANIMALS[noisy])
    order = [2, 0, 3, 1]
    T = estimate_transition_matrix(
        ANIMALS[y], ANIMALS[noisy], labels=[*ANIMALS[order], "emu"]
    )
    assert_array_equal(T[:4, :4], sorted_matrix[np.ix_(order, order)])
    assert_array_equal(T[4], [0, 0, 0, 0, 1])
    assert_array_equal(T[:, 4], [0, 0, 0, 0, 1])


def test_labels_of_estimators_will_do():
    X, y = np.zeros((200, 1)), ANIMALS[np.arange(200) % 4]
    injector = SymmetricNoiseInjector(0.4, selection="exact", random_state=0)
    _, y_noisy = injector.fit_resample(X, y)
    T = estimate_transition_matrix(y, y_noisy, labels=injector.classes_)
    assert_allclose(1 - np.diag(T).mean(), injector.noise_rate_, rtol=1e-12)


@pytest.mark.parametrize("function", [estimate_transition_matrix, noise_report])
def test_vectors_that_do_not_fit_are_refused(function):
    with pytest.raises(ValueError, match=r"same number of labels.*got 2 and 1"):
        function([0, 1], [0])
    with pytest.raises(ValueError, match="at least one; got 0 and 0"):
        function([], [])
    with pytest.raises(TypeError, match=r"one kind, .* got \[0, '0', 1, '1'\]"):
        function([0, 1], ["0", "1"])
    with pytest.raises(ValueError, match="NaN"):
        function([0.0, np.nan], [0, 1])
    with pytest.raises(ValueError, match=r"1 missing label\(s\)"):
        function(["a", "b"], np.array(["a", None], dtype=object))
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        function([0.5, 1.5], [0, 1])


def test_labels_that_do_not_fit_are_refused():
    with pytest.raises(
        ValueError, match=r"not in labels: \['b'\]; labels are \['a', 'c'\]"
    ):
        estimate_transition_matrix(["a", "a"], ["a", "b"], labels=["a", "c"])
    with pytest.raises(ValueError, match=r"every class once; got \['a', 'b', 'a'\]"):
        estimate_transition_matrix(["a"], ["b"], labels=["a", "b", "a"])


# noise_report


def test_report_of_a_table_counted_by_hand():
    y_true = ["cat"] * 5 + ["dog"] * 3 + ["ant"] * 2
    y_noisy = ["cat", "dog", "dog", "emu", "cat", "dog", "dog", "dog", "cat", "dog"]
    report = noise_report(y_true, y_noisy)
    assert report.columns.tolist() == COLUMNS
    assert report.index.name == "true_label"
    assert report.index.tolist() == ["ant", "cat", "dog", "all classes"]
    assert report["n_rows"].tolist() == [2, 5, 3, 10]
    assert report["n_wrong"].tolist() == [2, 3, 0, 5]
    assert report["noise_rate"].tolist() == [1, 0.6, 0, 0.5]
    assert report["top_wrong_label"].tolist() == ["cat", "dog", None, "dog"]
    expected = [1 / 2, 2 / 3, np.nan, 3 / 5]
    assert_allclose(report["share_of_wrong"], expected, rtol=1e-12)


@given(pairs_of_labels)
@settings(deadline=None)
def test_report_agrees_with_a_count_row_by_row(labels):
    y_true, y_noisy = labels
    report = noise_report(y_true, y_noisy)
    assert report.index.tolist() == [*sorted(set(y_true)), "all classes"]
    for label, row in report.iterrows():
        given = [
            g
            for t, g in zip(y_true, y_noisy, strict=True)
            if label in (t, "all classes")
        ]
        wrong = [
            g
            for t, g in zip(y_true, y_noisy, strict=True)
            if t != g and label in (t, "all classes")
        ]
        assert (row["n_rows"], row["n_wrong"]) == (len(given), len(wrong))
        assert row["noise_rate"] == len(wrong) / len(given)
        if wrong:
            top = min(set(wrong), key=lambda g: (-wrong.count(g), g))
            assert row["top_wrong_label"] == top
            assert row["share_of_wrong"] == wrong.count(top) / len(wrong)
        else:
            assert row["top_wrong_label"] is None
            assert np.isnan(row["share_of_wrong"])


def test_numbers_stay_numbers_beside_classes_without_wrong_labels():
    report = noise_report([3, 3, 7], [3, 7, 7])
    assert report.index.tolist() == [3, 7, "all classes"]
    assert report["top_wrong_label"].tolist() == [7, None, 7]
    assert isinstance(report.loc[3, "top_wrong_label"], int)
    assert report["n_wrong"].dtype == np.int64
    assert report["noise_rate"].dtype == np.float64


def test_report_takes_series_of_pandas_and_polars():
    y, noisy = noisy_codes()
    expected = noise_report(ANIMALS[y], ANIMALS[noisy])
    for kind in (pd.Series, pl.Series, list):
        report = noise_report(kind(ANIMALS[y]), kind(ANIMALS[noisy]))
        pd.testing.assert_frame_equal(report, expected)


def test_missing_pandas_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    message = r"noise_report needs pandas: pip install 'sknoisy\[report\]'\."
    with pytest.raises(ImportError, match=message):
        noise_report([0, 1], [0, 1])
    # The matrix needs none.
    assert_array_equal(estimate_transition_matrix([0, 1], [0, 1]), np.eye(2))


@pytest.mark.parametrize("labels", [5, True, "ab", {"a": 1}, int])
def test_labels_are_a_list(labels):
    with pytest.raises(TypeError, match="labels must list the classes in their order"):
        estimate_transition_matrix([0, 1], [0, 1], labels=labels)
