"""AutoRobustClassifier: competition, combination, judged labels, odd data, files."""

import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from fitted_state import assert_same_weights
from scipy.sparse import csr_array
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import load_digits, load_wine
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknoisy import (
    AutoRobustClassifier,
    NetClassifier,
    SymmetricNoiseInjector,
    load,
    save,
)
from sknoisy._confident_joint import true_class_proba
from sknoisy._planting import _fits
from sknoisy.base import TrainingInterrupted, TrainingInterruptedWarning
from sknoisy.classification import _auto
from sknoisy.classification._contenders import default_contenders

LINES, DUMB = LogisticRegression(max_iter=500), DummyClassifier(strategy="prior")
PAIR = [("lines", LINES), ("bayes", GaussianNB())]


class Counting(ClassifierMixin, BaseEstimator):
    """Predicts the frequencies of the classes; may fail at some fit."""

    count = 0

    def __init__(self, fails_at=None, error=KeyboardInterrupt):
        self.fails_at = fails_at
        self.error = error

    def fit(self, X, y):
        Counting.count += 1
        if Counting.count == self.fails_at:
            raise self.error("stop")
        self.classes_, counts = np.unique(y, return_counts=True)
        self.share_ = counts / len(y)
        return self

    def predict_proba(self, X):
        return np.tile(self.share_, (len(X), 1))


@pytest.fixture(autouse=True)
def no_count():
    Counting.count = 0


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    X, y = X[:600] / 16, y[:600]
    noisy = SymmetricNoiseInjector(0.3, random_state=0).fit_resample(X, y)[1]
    return X, y, noisy


class TestCompetition:
    def test_the_poor_get_no_weight(self, digits):
        X, _, noisy = digits
        clf = AutoRobustClassifier([*PAIR, ("dumb", DUMB)], random_state=0)
        clf.fit(X, noisy)
        table = pd.DataFrame(clf.candidates_).set_index("name")
        assert table.loc["dumb", "weight"] == 0 and "dumb" not in dict(clf.estimators_)
        assert table["weight"].sum() == pytest.approx(1)
        assert clf.best_name_ == table["accuracy"].idxmax()

    def test_accuracies_are_those_of_held_out_rows(self, digits):
        X, _, noisy = digits
        clf = AutoRobustClassifier([("nearest", KNeighborsClassifier(1))], n_folds=2)
        clf.fit(X, noisy)
        # In sample it would be 1.
        assert clf.candidates_["accuracy"][0] < 0.8

    def test_the_prediction_is_the_weighted_mean(self, digits):
        X, _, noisy = digits
        clf = AutoRobustClassifier(PAIR, random_state=0).fit(X, noisy)
        fitted = dict(PAIR)
        proba = sum(
            weight * clone(fitted[name]).fit(X, noisy).predict_proba(X)
            for weight, (name, _) in zip(clf.weights_, clf.estimators_, strict=True)
        )
        T = clf.transition_matrix_
        np.testing.assert_allclose(T.sum(1), 1)
        np.testing.assert_allclose(clf.predict_proba(X), true_class_proba(proba, T, 2))

    def test_two_classes_are_not_corrected(self, digits):
        X, _, noisy = digits
        y = noisy % 2
        clf = AutoRobustClassifier(PAIR[:1], random_state=0).fit(X, y)
        proba = clone(LINES).fit(X, y).predict_proba(X)
        np.testing.assert_allclose(clf.predict_proba(X), proba)

    def test_select_takes_the_best_alone(self, digits):
        X, _, noisy = digits
        clf = AutoRobustClassifier(PAIR, strategy="select", random_state=0)
        clf.fit(X, noisy)
        assert [name for name, _ in clf.estimators_] == [clf.best_name_]
        assert clf.weights_.tolist() == [1]

    def test_far_behind_is_dropped_after_a_fold(self, digits):
        X, _, noisy = digits
        good = [(f"lines {C}", LogisticRegression(C=C)) for C in (0.2, 0.3, 0.5, 1)]
        clf = AutoRobustClassifier([*good, ("count", Counting())], random_state=0)
        clf.fit(X, noisy)
        assert Counting.count == 1
        assert clf.candidates_["error"][4].startswith("LeftOut: 0.")

    def test_a_larger_set_competes_on_a_subset(self, digits):
        X, _, noisy = digits
        clf = AutoRobustClassifier(PAIR[1:], max_rows=300, random_state=0).fit(X, noisy)
        assert clf.label_proba_.shape == (600, 10)
        assert np.isfinite(clf.noise_scores_).all()
        # Fitted on all rows.
        assert dict(clf.estimators_)["bayes"].class_count_.sum() == 600

    def test_jobs_change_nothing(self, digits):
        X, _, noisy = digits
        one, two = (
            AutoRobustClassifier(PAIR, n_jobs=n, random_state=0).fit(X, noisy)
            for n in (None, 2)
        )
        np.testing.assert_array_equal(one.noise_scores_, two.noise_scores_)
        np.testing.assert_array_equal(one.predict_proba(X), two.predict_proba(X))

    def test_parts_have_parameters(self):
        clf = AutoRobustClassifier(PAIR).set_params(lines__C=7.0)
        assert clf.get_params()["lines"].C == 7.0


class TestJudging:
    def test_wrong_labels_are_found(self, digits):
        X, y, noisy = digits
        clf = AutoRobustClassifier(PAIR, random_state=0).fit(X, noisy)
        wrong = y != noisy
        assert (clf.predict_noisy() == wrong).mean() > 0.85
        assert abs(clf.noise_rate_ - wrong.mean()) < 0.1
        assert not clf.scores_are_probabilities_
        right = clf.suggested_labels_[wrong & clf.noise_mask_]
        assert (right == y[wrong & clf.noise_mask_]).mean() > 0.7

    def test_a_label_that_occurs_once_is_not_judged(self, digits):
        X, _, noisy = digits
        noisy = noisy.copy()
        noisy[17] = 77
        clf = AutoRobustClassifier(PAIR, random_state=0).fit(X, noisy)
        assert clf.unjudged_.tolist() == [17]
        assert clf.noise_scores_[17] == 0.5 and not clf.noise_mask_[17]
        assert 77 in clf.classes_

    def test_no_label_that_occurs_twice(self):
        with pytest.raises(ValueError, match="no label of y occurs twice"):
            AutoRobustClassifier(PAIR).fit(np.eye(3), [0, 1, 2])


class TestBudget:
    @pytest.mark.parametrize(
        ("n_samples", "fast"),
        [(100, 2000), (5000, 2000), (7500, 3000), (90_000, 4000)],
    )
    def test_competing_rows(self, n_samples, fast):
        assert AutoRobustClassifier()._count_competing(n_samples) == fast
        clf = AutoRobustClassifier(budget="thorough")
        assert clf._count_competing(n_samples) == 10_000
        assert AutoRobustClassifier(max_rows=300)._count_competing(n_samples) == 300

    @pytest.mark.parametrize(
        ("params", "n_fits"),
        [
            ({}, 3),
            ({"max_rows": 100}, 2),
            ({"budget": "thorough"}, 5),
            ({"budget": "thorough", "max_rows": 100}, 3),
            ({"n_folds": 4}, 4),
        ],
    )
    def test_folds(self, digits, params, n_fits):
        clf = AutoRobustClassifier([("a", Counting())], **params)
        clf.fit(*digits[::2])
        # Each without a fold, and one on all rows.
        assert Counting.count == n_fits + 1

    def test_a_number_of_fits(self, digits):
        names = [(name, Counting()) for name in "abcde"]
        clf = AutoRobustClassifier(names, budget=9, random_state=0)
        clf.fit(*digits[::2])
        assert clf.candidates_["name"].tolist() == ["a", "b"]
        assert Counting.count == 8

    def test_few_fits(self, digits):
        clf = AutoRobustClassifier([("a", Counting())], budget=3, random_state=0)
        clf.fit(*digits[::2])
        assert Counting.count == 3

    def test_when_the_time_is_over(self, digits, monkeypatch):
        # A second passes between any two looks at the clock.
        ticks = iter(range(1000))
        clock = SimpleNamespace(
            monotonic=lambda: next(ticks), perf_counter=time.perf_counter
        )
        monkeypatch.setattr(_fits, "time", clock)
        names = [(name, Counting()) for name in "abc"]
        clf = AutoRobustClassifier(names, max_seconds=1.5, random_state=0)
        message = r"max_seconds=1.5 were over after 1 of 3 rounds; left out: b, c"
        with pytest.warns(UserWarning, match=message):
            clf.fit(*digits[::2])
        assert [name for name, _ in clf.estimators_] == ["a"]

    def test_thorough_takes_more(self):
        X = np.random.default_rng(0).normal(size=(600, 8))
        fast, thorough = (default_contenders(X, thorough=t) for t in (False, True))
        assert dict(fast).keys() < dict(thorough).keys()


class TestFailures:
    def test_one_that_fails_is_left_out(self, digits):
        candidates = [*PAIR, ("bad", Counting(1, ZeroDivisionError))]
        clf = AutoRobustClassifier(candidates, random_state=0)
        with pytest.warns(
            UserWarning, match=r"left out: bad \(ZeroDivisionError: stop"
        ):
            clf.fit(*digits[::2])
        assert clf.candidates_["error"][2] == "ZeroDivisionError: stop"

    def test_the_first_error_if_all_fail(self, digits):
        clf = AutoRobustClassifier([("bad", Counting(1, ZeroDivisionError))])
        with pytest.raises(ZeroDivisionError, match="stop"):
            clf.fit(*digits[::2])

    def test_interrupted_in_the_first_fold(self, digits):
        clf = AutoRobustClassifier([("a", Counting(1))])
        with pytest.raises(TrainingInterrupted, match="the first fold was complete"):
            clf.fit(*digits[::2])

    def test_interrupted_later_keeps_the_folds(self, digits):
        clf = AutoRobustClassifier([("a", Counting(3))], random_state=0)
        message = "candidates are weighted from 2 of 3 folds"
        with pytest.warns(TrainingInterruptedWarning, match=message):
            clf.fit(*digits[::2])
        assert np.isfinite(clf.label_proba_).all()

    @pytest.mark.parametrize(
        ("candidates", "error", "message"),
        [
            ([], ValueError, "list of .name, candidate. pairs"),
            ([("a", 3)], TypeError, "candidate 'a' must have a method fit"),
            ([("a", StandardScaler())], TypeError, "must have a method predict_proba"),
            ([("a__b", LINES)], ValueError, "must not contain __"),
        ],
    )
    def test_what_is_no_candidate(self, digits, candidates, error, message):
        with pytest.raises(error, match=message):
            AutoRobustClassifier(candidates).fit(*digits[::2])

    def test_sparse_rows_are_not_distilled(self, digits):
        X, _, noisy = digits
        with pytest.raises(ValueError, match="distill=True needs dense X"):
            AutoRobustClassifier(PAIR[:1], distill=True).fit(csr_array(X), noisy)


class TestDefaults:
    def test_a_small_table_in_a_pipeline_with_texts_for_labels(self):
        X, y = load_wine(return_X_y=True)
        y = np.array(["red", "rosé", "white"])[y]
        y[50:52] = "blue"
        clf = make_pipeline(StandardScaler(), AutoRobustClassifier(random_state=0))
        assert clf.fit(X, y).score(X, y) > 0.9
        assert set(clf.classes_) == {"red", "rosé", "white", "blue"}

    def test_sparse(self, digits):
        X, y, noisy = digits
        clf = AutoRobustClassifier(random_state=0).fit(csr_array(X), noisy)
        assert clf.score(csr_array(X), y) > 0.8

    def test_a_frame_of_all_kinds(self):
        rng = np.random.default_rng(0)
        y = np.arange(200) % 2
        frame = pd.DataFrame(
            {
                "number": np.where(
                    rng.random(200) < 0.1, np.nan, y + rng.normal(size=200)
                ),
                "colour": np.where(rng.random(200) < 0.8, y, 1 - y).astype(str),
                "when": pd.Timestamp("2020-01-01") + pd.to_timedelta(y * 40, "D"),
                "text": [
                    f"some words {'good' if k else 'bad'} {i}" for i, k in enumerate(y)
                ],
            }
        )
        clf = AutoRobustClassifier(random_state=0).fit(frame, y)
        assert clf.score(frame, y) > 0.95
        with pytest.raises(ValueError, match="feature names"):
            clf.predict(frame.drop(columns="text"))

    @pytest.mark.slow
    def test_networks_together_beat_a_plain_one(self):
        X, y = load_digits(return_X_y=True)
        X = X / 16
        train, test = np.arange(0, 1200), np.arange(1200, len(y))
        noisy = SymmetricNoiseInjector(0.5, random_state=0).fit_resample(
            X[train], y[train]
        )[1]
        plain = NetClassifier(random_state=0).fit(X[train], noisy)
        clf = AutoRobustClassifier(random_state=0).fit(X[train], noisy)
        gain = clf.score(X[test], y[test]) - plain.score(X[test], y[test])
        assert gain > 0.02


class TestDistilled:
    def test_one_network_predicts(self, digits, tmp_path):
        X, y, noisy = digits
        clf = AutoRobustClassifier(PAIR, distill=True, random_state=0).fit(X, noisy)
        ((name, net),) = clf.estimators_
        assert name == "distilled network" and isinstance(net[-1], NetClassifier)
        together = AutoRobustClassifier(PAIR, random_state=0).fit(X, noisy)
        assert clf.score(X, y) > together.score(X, y) - 0.03
        save(clf, tmp_path / "file")
        again = load(tmp_path / "file")
        np.testing.assert_array_equal(again.predict_proba(X), clf.predict_proba(X))

    def test_it_learns_what_the_others_predict(self, digits):
        X, _, noisy = digits
        together = AutoRobustClassifier(PAIR, random_state=0).fit(X, noisy)
        with config_context(enable_metadata_routing=True):
            clf = AutoRobustClassifier(PAIR, distill=True, random_state=0)
            clf.fit(X, noisy)
        ((_, model),) = clf.estimators_
        targets = together.predict_proba(X)
        by_hand = clone(model[-1]).fit(
            model[0].transform(X), noisy, soft_targets=targets
        )
        assert_same_weights(model[-1], by_hand)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["table", "embeddings", "frame", "sparse"])
def test_the_default_candidates_are_stored(kind, tmp_path):
    X, y = load_digits(return_X_y=True)
    X, y = X[:520] / 16, y[:520]
    if kind == "embeddings":
        X = np.hstack([X, X, X])
    elif kind == "frame":
        X = pd.DataFrame(X[:, 18:22]).astype({0: str}).add_prefix("c")
        X["text"] = [f"some words {label}" for label in y]
    elif kind == "sparse":
        X = csr_array(X)
    clf = AutoRobustClassifier(random_state=0).fit(X, y)
    # Whatever the weights, all can be stored.
    everyone = [(n, clone(c).fit(X, y)) for n, c in default_contenders(X)]
    clf.estimators_, clf.weights_ = everyone, np.full(len(everyone), 1 / len(everyone))
    save(clf, tmp_path / "file")
    again = load(tmp_path / "file")
    np.testing.assert_array_equal(again.predict_proba(X), clf.predict_proba(X))
    np.testing.assert_array_equal(again.noise_scores_, clf.noise_scores_)


def test_progress_counts_every_fit(digits, monkeypatch):
    bars = []
    original = _auto.progress

    def remember(*args, **params):
        bars.append(original(*args, **params))
        return bars[0]

    monkeypatch.setattr(_auto, "progress", remember)
    AutoRobustClassifier([*PAIR, ("dumb", DUMB)], verbose=1, distill=True).fit(
        *digits[::2]
    )
    assert bars[0].done == bars[0].total
