"""X of every kind at every entry point: taken, or refused in words."""

import numpy as np
import pytest
import torch
from public_estimators import ONE_EACH, kind_of, label
from row_kinds import AS_NUMBERS, NO_ROWS, ODD_ROWS, TEXTS, TOO_MUCH, Y
from sklearn.base import clone
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from sknoisy import (
    AutoNoiseDetector,
    BetaMixture,
    BMMLossSplitter,
    CleanedClassifier,
    ConfidentLearningDetector,
    LossMixtureDetector,
    NeighborVoteDetector,
    NetClassifier,
    NoisyLabelFilter,
    find_label_issues,
    label_report,
)
from sknoisy._selected_rows import rows_of
from sknoisy.noise._class_conditional import _AnyRowsMixin

pytestmark = [
    pytest.mark.filterwarnings("ignore:pandas.DataFrame with sparse columns"),
    pytest.mark.filterwarnings("ignore:X has feature names"),
]

NO_ROWS = {name: case for name, case in NO_ROWS.items() if name != "generator"}

# They look at X by a classifier of the user's, which may take what X is.
BY_CLASSIFIER = {
    "ConfidentLearningDetector": ConfidentLearningDetector(LogisticRegression(), cv=2),
    "CleanedClassifier": CleanedClassifier(
        ConfidentLearningDetector(LogisticRegression(), cv=2), LogisticRegression()
    ),
    "NoisyLabelFilter": NoisyLabelFilter(
        ConfidentLearningDetector(LogisticRegression(), cv=2)
    ),
}
COUNTING = [e for e in ONE_EACH if isinstance(e, _AnyRowsMixin)]
# They read X themselves; several of them by a network.
READING = {
    label(e): e
    for e in ONE_EACH
    if e not in COUNTING and kind_of(type(e)) not in ("mixture", "holder")
}
READING["AutoNoiseDetector"] = AutoNoiseDetector()
READING["ConfidentLearningDetector"] = ConfidentLearningDetector(cv=2)
READING = {
    name: clone(e).set_params(estimator=None) if hasattr(e, "estimator") else e
    for name, e in READING.items()
}
FLOAT64 = {"AutoNoiseDetector", "AutoRobustClassifier", "ConfidentLearningDetector"}


@pytest.mark.parametrize("estimator", READING.values(), ids=READING)
def test_what_is_no_table_of_numbers_is_refused_before_any_training(estimator):
    cases = {**NO_ROWS, **ODD_ROWS}
    if type(estimator).__name__ not in FLOAT64:
        cases.update(TOO_MUCH)
    if isinstance(estimator, AutoNoiseDetector):
        # Frames of strings are encoded; lists in their cells are not.
        taken = ("column of strings", "polars column of strings", "categories")
        cases = {name: case for name, case in cases.items() if name not in taken}
        lists, _ = cases["column of lists"]
        cases["column of lists"] = (
            lists,
            "column 'embedding' holds several values a cell",
        )
    for X, message in cases.values():
        with pytest.raises((TypeError, ValueError), match=message):
            clone(estimator).fit(X, Y)


@pytest.mark.parametrize("estimator", BY_CLASSIFIER.values(), ids=BY_CLASSIFIER)
def test_what_a_classifier_cannot_read_is_explained(estimator):
    for X, message in {**NO_ROWS, **ODD_ROWS}.values():
        with pytest.raises((TypeError, ValueError), match=message):
            clone(estimator).fit(X, Y)


@pytest.mark.parametrize("injector", COUNTING, ids=label)
def test_injectors_that_count_rows_need_rows(injector):
    for X, message in NO_ROWS.values():
        with pytest.raises((TypeError, ValueError), match=message):
            clone(injector).fit_resample(X, Y)
    fitted = clone(injector).fit(None, Y)
    with pytest.raises(TypeError, match="X is a dict"):
        fitted.corrupt({"a": Y}, Y)
    for X, _ in ODD_ROWS.values():
        clone(injector).fit_resample(X, Y)


@pytest.mark.parametrize("mixture", [BMMLossSplitter(), BetaMixture()], ids=str)
def test_losses_are_numbers(mixture):
    # One loss a row may stand in one dimension, as these do; a matrix is as good.
    flat = [name for name in ODD_ROWS if name.endswith("of texts")]
    others = {*flat, "list of dicts", "np.matrix"}
    odd = {name: case for name, case in ODD_ROWS.items() if name not in others}
    for X, message in {**NO_ROWS, **odd}.values():
        with pytest.raises((TypeError, ValueError), match=message):
            clone(mixture).fit(X)


def test_a_report_needs_rows():
    fitted = ConfidentLearningDetector(cv=2).fit(AS_NUMBERS["frame"], Y)
    for X, message in NO_ROWS.values():
        with pytest.raises((TypeError, ValueError), match=message):
            label_report(fitted, X, Y)


def test_probabilities_of_find_label_issues():
    labels, proba = [0, 1, 1], np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
    expected = find_label_issues(labels, proba)
    for given in (torch.tensor(proba), torch.tensor(proba, dtype=torch.bfloat16)):
        np.testing.assert_array_equal(find_label_issues(labels, given), expected)
    for given, message in (
        ({"a": labels}, "pred_probs is a dict, which has no rows"),
        (torch.tensor(proba, requires_grad=True), r"pass pred_probs.detach\(\)"),
        (np.ma.array(proba, mask=proba > 0.5), "pred_probs has 3 masked entries"),
        (proba + 0j, "must be real numbers; got dtype complex128"),
        (proba.astype("S"), r"must be real numbers; got dtype \|S"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            find_label_issues(labels, given)


@pytest.mark.parametrize("X", AS_NUMBERS.values(), ids=AS_NUMBERS)
def test_the_bits_do_not_depend_on_what_holds_the_numbers(X):
    expected = FITTED.predict_proba(AS_NUMBERS["tuples"])
    np.testing.assert_array_equal(FITTED.predict_proba(X), expected)


FITTED = NetClassifier(module__hidden=2, max_epochs=1, random_state=0)


@pytest.fixture(autouse=True, scope="module")
def _fit_once():
    FITTED.fit(AS_NUMBERS["tuples"], Y)


def test_the_advice_on_texts_works():
    to_numbers = make_pipeline(TfidfVectorizer(), TruncatedSVD(2))
    small = {"module__hidden": 2, "max_epochs": 1, "random_state": 0}
    make_pipeline(to_numbers, NetClassifier(**small)).fit(TEXTS, Y)
    by_texts = make_pipeline(TfidfVectorizer(), LogisticRegression())
    assert ConfidentLearningDetector(by_texts, cv=2).fit(TEXTS, Y).noise_rate_ == 0


@pytest.mark.parametrize(
    "estimator",
    [BMMLossSplitter(), LossMixtureDetector(LogisticRegression())],
    ids=lambda estimator: type(estimator).__name__,
)
def test_no_rows_at_all(estimator):
    with pytest.raises(ValueError, match=r"X is None|Expected 2D array"):
        estimator.fit(None, np.arange(40) % 2)


def test_rows_that_only_an_array_makes_can_be_kept():
    class Rows:
        def __init__(self, X):
            self.X = X

        def __array__(self, dtype=None, copy=None):
            return np.asarray(self.X, dtype=dtype)

        def __len__(self):
            return len(self.X)

    X = np.arange(8.0).reshape(4, 2)
    np.testing.assert_array_equal(rows_of(Rows(X), [1, 3]), X[[1, 3]])


@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function"])
def test_a_cleaned_classifier_names_rows_that_cannot_be(method):
    X, y = np.random.default_rng(0).normal(size=(40, 2)), np.arange(40) % 2
    detector = NeighborVoteDetector(n_rounds=1, random_state=0)
    model = CleanedClassifier(detector, LogisticRegression()).fit(X, y)
    with pytest.raises(TypeError, match=r"X is a sparse tensor; pass X\.to_dense"):
        getattr(model, method)(torch.tensor(X).to_sparse())
    with pytest.raises(TypeError, match="X is a dict, which has no rows"):
        getattr(model, method)({"a": 1})


def test_weights_that_are_no_numbers():
    X, y = np.zeros((4, 2), np.float32), [0, 1, 0, 1]
    with pytest.raises(TypeError, match="sample_weight must be numbers, one for"):
        NetClassifier(max_epochs=1).fit(X, y, sample_weight=["heavy"] * 4)
