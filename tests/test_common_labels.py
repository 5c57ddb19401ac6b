"""Labels of every kind at every entry point: in, out, or refused in words."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from label_kinds import CODES, KINDS, MISSING, NO_LABELS
from public_estimators import INJECTORS, ONE_EACH, label
from sklearn.base import BaseEstimator, clone
from sklearn.naive_bayes import GaussianNB
from test_labels import plain, same_kind

from sknoisy import (
    CleanedClassifier,
    ConfidentLearningDetector,
    NetClassifier,
    NoisyLabelFilter,
    SymmetricNoiseInjector,
    estimate_transition_matrix,
    find_label_issues,
    label_report,
    noise_report,
)
from sknoisy._codes import encode_labels
from sknoisy._labels import label_list
from sknoisy._validation import check_rows_and_labels
from sknoisy.base import NoiseDetectorMixin

pytestmark = pytest.mark.filterwarnings("ignore:A column-vector y")

X = (3 * np.eye(3)[CODES] + np.arange(36).reshape(12, 3) % 5 / 10).astype(np.float32)
PROBA = np.full((12, 3), 0.1) + 0.7 * np.eye(3)[CODES]
# Row 0 looks like the last class.
PROBA[0] = 0.1, 0.1, 0.8

NO_LABELS = {name: case for name, case in NO_LABELS.items() if name != "generator"}


class FirstIsWrong(NoiseDetectorMixin, BaseEstimator):
    """Flags row 0 and suggests the next class."""

    def fit(self, X, y):
        _, self.classes_, codes = check_rows_and_labels(self, X, y)
        n_classes = len(self.classes_)
        following = np.roll(np.eye(n_classes), 1, axis=1)
        self.record_scores(np.arange(12) == 0, following[codes], codes)
        return self


def two_classes(y):
    return len(encode_labels(y)[0]) == 2


@pytest.mark.parametrize(("y", "classes"), KINDS.values(), ids=KINDS)
class TestKinds:
    @pytest.mark.fast_cases(4)
    def test_injectors(self, y, classes):
        injector = SymmetricNoiseInjector(0.5, selection="exact", random_state=0)
        same, noisy = injector.fit_resample(X, y)
        assert same is X and label_list(injector.classes_) == sorted(set(classes))
        same_kind(noisy, y)
        _, given = encode_labels(y)
        _, codes = encode_labels(noisy, injector.classes_)
        np.testing.assert_array_equal(codes != given, injector.noise_mask_)
        assert injector.noise_mask_.sum() == 6
        again = injector.corrupt(X, y)
        same_kind(again, y)
        assert plain(again) == plain(noisy)

    @pytest.mark.fast_cases(4)
    def test_detectors_filters_and_reports(self, y, classes):
        proba = PROBA
        if two_classes(y):
            proba = np.stack([PROBA[:, 0], PROBA[:, 1:].sum(1)], 1)
        detector = ConfidentLearningDetector(filter_by="predicted_neq_given")
        for judge in (detector, NoisyLabelFilter(detector)):
            _, kept = judge.fit_resample(X, y, pred_probs=proba)
            assert plain(kept) == plain(y)[1:]
            assert type(kept) is type(y)
            assert getattr(kept, "dtype", None) == getattr(y, "dtype", None)
            assert label_list(judge.classes_) == sorted(set(classes))
            suggested = [judge.classes_[-1], *judge.classes_[encode_labels(y)[1]][1:]]
            assert judge.suggested_labels_.tolist() == np.array(suggested).tolist()
        report = label_report(detector, X, y)
        frame = report.frame[["given_label", "suggested_label"]]
        assert report.classes.dtype == judge.classes_.dtype
        np.testing.assert_array_equal(
            encode_labels(frame["given_label"], report.classes)[1],
            encode_labels(y, report.classes)[1],
        )
        assert (frame.nunique() == len(set(classes))).all()
        assert (
            report.by_class["n_rows"].sum() == report.confusion.to_numpy().sum() == 12
        )

    @pytest.mark.fast_cases(4)
    def test_classifiers_and_tables(self, y, classes):
        cleaned = CleanedClassifier(FirstIsWrong(), GaussianNB(), action="relabel")
        cleaned.fit(X, y)
        assert set(label_list(cleaned.classes_)) == set(classes)
        assert set(label_list(cleaned.predict(X))) == set(classes)
        assert cleaned.score(X, y) > 0.8
        report = noise_report(y, y)
        assert report.index[:-1].tolist() == sorted(set(classes))
        T = estimate_transition_matrix(y, y, labels=sorted(set(classes))[::-1])
        np.testing.assert_array_equal(T, np.eye(len(set(classes))))


@pytest.mark.fast_cases(4)
@pytest.mark.parametrize(
    "kind",
    [
        *("pandas boolean", "pandas Int64", "pandas category of bool", "numpy uint64"),
        *("pandas datetime64", "polars Enum", "numpy object of int", "list of str"),
        *("tensor of int64", "pandas frame"),
    ],
)
def test_nets_predict_the_users_values(kind):
    y, classes = KINDS[kind]
    net = NetClassifier(module__hidden=8, max_epochs=2, lr=0.3, random_state=0)
    net.fit(X, y)
    assert label_list(net.classes_) == sorted(set(classes))
    predicted = net.predict(X)
    assert predicted.dtype == net.classes_.dtype
    _, codes = encode_labels(y)
    assert net.score(X, y) == (predicted == net.classes_[codes]).mean()
    np.testing.assert_array_equal(net.partial_fit(X, y).classes_, net.classes_)


@pytest.mark.fast_cases(4)
@pytest.mark.parametrize("injector", INJECTORS, ids=label)
@pytest.mark.parametrize(
    "kind",
    [
        "pandas category, unused, ordered",
        "polars Enum",
        "list of int",
        "tensor of bool",
    ],
)
def test_every_injector_keeps_the_kind(injector, kind):
    y, _ = KINDS[kind]
    rows = X + np.linspace(0, 1, 12, dtype=np.float32)[:, None]
    _, noisy = clone(injector).set_params(random_state=0).fit_resample(rows, y)
    same_kind(noisy, y)


def test_corrupt_takes_another_kind_than_fit():
    injector = SymmetricNoiseInjector(1.0, random_state=0).fit(X, ["a", "b", "c"] * 4)
    for y in (pd.Series(["a"] * 12, dtype="string"), pl.Series(["a"] * 12), ["a"] * 12):
        noisy = injector.corrupt(X, y)
        same_kind(noisy, y)
        assert set(noisy) == {"b", "c"}
    y = pd.Series(["a"] * 12, dtype="category")
    with pytest.raises(
        ValueError, match=r"cannot hold all labels given to fit, \['a', 'b', 'c'\]"
    ):
        injector.corrupt(X, y)
    with pytest.raises(ValueError, match="unknown labels"):
        injector.corrupt(X, [1] * 12)


def fitting(estimator):
    return lambda X, y: clone(estimator).fit(X, y)


# BetaMixture and BMMLossSplitter take losses; they have no labels.
SUPERVISED = [e for e in ONE_EACH if e.__sklearn_tags__().target_tags.required]
ENTRIES = {
    **{label(estimator): fitting(estimator) for estimator in SUPERVISED},
    "NetClassifier.partial_fit": lambda X, y: NetClassifier().partial_fit(X, y),
    "noise_report": lambda X, y: noise_report(y, y),
    "estimate_transition_matrix": lambda X, y: estimate_transition_matrix(y, y),
    "label_report": lambda X, y: label_report(FirstIsWrong(), X, y),
}


@pytest.mark.fast_cases(3)
@pytest.mark.parametrize("enter", ENTRIES.values(), ids=ENTRIES)
def test_what_is_no_label_is_refused_before_anything_else(enter):
    for y, message in NO_LABELS.values():
        with pytest.raises((TypeError, ValueError), match=message):
            enter(X, y)
    for y in MISSING.values():
        with pytest.raises(ValueError, match=r"y has 1 missing .* the first in row 1;"):
            enter(X[:4], y)


def test_labels_of_find_label_issues():
    expected = find_label_issues(CODES, PROBA)
    kinds = (
        "pandas Int8",
        "pandas Sparse",
        "polars Int8",
        "numpy int8",
        "numpy column",
    )
    for labels in (torch.tensor(CODES), *(KINDS[kind][0] for kind in kinds)):
        np.testing.assert_array_equal(find_label_issues(labels, PROBA), expected)
    whole = {k: v for k, v in NO_LABELS.items() if k not in ("fractions", "infinite")}
    for labels, message in whole.values():
        message = message.replace("y", "(y|labels)")
        with pytest.raises((TypeError, ValueError), match=message):
            find_label_issues(labels, PROBA)
    for labels in MISSING.values():
        with pytest.raises(ValueError, match=r"labels has 1 missing .* in row 1;"):
            find_label_issues(labels, PROBA[:4])
