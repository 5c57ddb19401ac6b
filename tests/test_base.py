import numpy as np
import pandas as pd
import polars as pl
import pytest
from imblearn.pipeline import make_pipeline
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.utils import get_tags

from sknoisy import (
    AutoNoiseDetector,
    CleanedClassifier,
    ConfidentLearningDetector,
    LossMixtureDetector,
    NoisyLabelFilter,
)
from sknoisy._validation import check_rows_and_labels
from sknoisy.base import (
    NoiseDetectorMixin,
    NoiseScoresMixin,
    judge_of,
    suggest_labels,
)


class FirstColumnDetector(NoiseDetectorMixin, BaseEstimator):
    """Takes the first column of X for the scores."""

    def __init__(self, offset=0.0):
        self.offset = offset

    def fit(self, X, y, extra=0.0):
        X, self.classes_, codes = check_rows_and_labels(self, X, y)
        self.noise_scores_ = X[:, 0].astype(np.float64) + self.offset + extra
        self.noise_mask_ = self.noise_scores_ > 0.5
        self.noise_rate_ = float(self.noise_mask_.mean())
        self.suggested_labels_ = self.classes_[codes]
        return self


@pytest.fixture
def X():
    scores = [0.1, 0.9, 0.4, 0.9, 0.0, 0.6, 0.4]
    return np.column_stack([scores, np.arange(7)])


@pytest.fixture
def y():
    return np.array(["a", "b", "b", "a", "a", "b", "b"])


class TestUndefinedScores:
    message = r"Detector has no score for 2 of 7 rows, first for row 3: .*Standardise X"

    def test_a_judgement_refuses_them(self, y):
        class Detector(NoiseScoresMixin):
            classes_ = np.array(["a", "b"])

        scores = [0, 1, 0, np.nan, 0, np.inf, 0]
        with pytest.raises(FloatingPointError, match=self.message):
            Detector().record_scores(scores, np.ones((7, 2)), np.zeros(7, dtype=int))

    def test_so_does_who_asks_another_detector(self, X, y):
        detector = FirstColumnDetector().fit(X, y)
        detector.noise_scores_[[3, 5]] = np.nan
        with pytest.raises(FloatingPointError, match=self.message):
            judge_of(detector, 7)


class TestScores:
    def test_predict_noisy_gives_a_copy_of_the_mask(self, X, y):
        detector = FirstColumnDetector().fit(X, y)
        mask = detector.predict_noisy()
        assert mask.dtype == bool
        assert mask.tolist() == [False, True, False, True, False, True, False]
        mask[:] = True
        assert detector.predict_noisy().tolist() != mask.tolist()

    def test_fit_predict_noisy_fits_and_hands_on_parameters(self, X, y):
        detector = FirstColumnDetector()
        np.testing.assert_array_equal(detector.fit_predict_noisy(X, y), X[:, 0] > 0.5)
        assert detector.fit_predict_noisy(X, y, extra=1.0).all()

    def test_ranking_is_by_score_and_ties_are_by_index(self, X, y):
        ranking = FirstColumnDetector().fit(X, y).ranking()
        assert ranking.tolist() == [1, 3, 5, 2, 6, 0, 4]
        assert ranking.dtype == np.int64

    def test_ranking_of_equal_scores_keeps_the_rows_in_order(self):
        scores = np.random.default_rng(0).integers(0, 3, 2000) / 4
        ranking = FirstColumnDetector().fit(scores[:, None], scores > 0).ranking()
        expected = sorted(range(2000), key=lambda row: (-scores[row], row))
        assert ranking.tolist() == expected

    @pytest.mark.parametrize("method", ["predict_noisy", "ranking"])
    def test_nothing_before_fit(self, method):
        with pytest.raises(NotFittedError, match=r"FirstColumnDetector.*not fitted"):
            getattr(FirstColumnDetector(), method)()

    def test_scores_alone_make_no_sampler(self):
        assert not hasattr(NoiseScoresMixin, "fit_resample")

    def test_tags_require_y(self):
        assert FirstColumnDetector().__sklearn_tags__().target_tags.required


class TestJudge:
    PROBA = np.array([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2], [0.6, 0.0, 0.4], [0, 0, 1]])
    CODES = np.array([1, 0, 0, 0])

    def test_the_most_probable_other_label_where_wrong(self):
        mask = np.array([True, False, True, True])
        given = suggest_labels(self.PROBA, self.CODES, mask)
        assert given.tolist() == [2, 0, 2, 2] and given.dtype == np.int64
        none = suggest_labels(self.PROBA, self.CODES, np.zeros(4, dtype=bool))
        assert none.tolist() == self.CODES.tolist()

    @pytest.mark.parametrize("scale", [1, -1, 100])
    def test_logits_will_do_and_nothing_is_changed(self, scale):
        logits = scale * np.random.default_rng(0).normal(size=(50, 4))
        codes = logits.argmin(1)
        before = logits.copy(), codes.copy()
        given = suggest_labels(logits, codes, np.ones(50, dtype=bool))
        assert (given != codes).all() and (given == logits.argmax(1)).all()
        best = suggest_labels(logits, given, np.ones(50, dtype=bool))
        assert (best == np.argsort(logits, axis=1)[:, -2]).all()
        np.testing.assert_array_equal(logits, before[0])
        np.testing.assert_array_equal(codes, before[1])

    def test_everything_follows_from_the_scores(self):
        detector = FirstColumnDetector()
        detector.classes_ = np.array(["ant", "bee", "cat"])
        scores = np.array([0.9, 0.5, 0.500001, 0.2], dtype=np.float32)
        detector.record_scores(scores, self.PROBA, self.CODES)
        assert detector.noise_scores_.dtype == np.float64
        # One half is no reason to doubt.
        assert detector.noise_mask_.tolist() == [True, False, True, False]
        assert detector.noise_rate_ == pytest.approx(scores.mean(), rel=1e-6)
        assert isinstance(detector.noise_rate_, float)
        assert detector.suggested_labels_.tolist() == ["cat", "ant", "cat", "ant"]


class TestResample:
    KEPT = [0, 2, 4, 6]

    @pytest.mark.parametrize(
        "container", [np.asarray, pd.DataFrame, pl.DataFrame, np.ndarray.tolist]
    )
    def test_kept_rows_in_order_and_in_their_container(self, X, y, container):
        given = container(X)
        detector = FirstColumnDetector()
        X_kept, y_kept = detector.fit_resample(given, y)
        assert type(X_kept) is type(given) and type(y_kept) is type(y)
        np.testing.assert_array_equal(np.asarray(X_kept), X[self.KEPT])
        np.testing.assert_array_equal(y_kept, y[self.KEPT])
        assert detector.sample_indices_.tolist() == self.KEPT

    @pytest.mark.parametrize("container", [list, pd.Series, pl.Series])
    def test_labels_keep_their_container(self, X, y, container):
        given = container(y)
        _, y_kept = FirstColumnDetector().fit_resample(X, given)
        assert type(y_kept) is type(given)
        assert list(y_kept) == y[self.KEPT].tolist()

    def test_pandas_keeps_index_columns_and_dtypes(self, X, y):
        table = pd.DataFrame(X, columns=["s", "n"], index=list("tuvwxyz"))
        table["n"] = table["n"].astype(int)
        labels = pd.Series(y, index=table.index, name="kind", dtype="category")
        X_kept, y_kept = FirstColumnDetector().fit_resample(table, labels)
        pd.testing.assert_frame_equal(X_kept, table.iloc[self.KEPT])
        pd.testing.assert_series_equal(y_kept, labels.iloc[self.KEPT])

    def test_fit_parameters_are_handed_on(self, X, y):
        X_kept, _ = FirstColumnDetector().fit_resample(X, y, extra=-1.0)
        assert len(X_kept) == 7

    def test_a_lost_class_is_an_error_that_names_it(self, X):
        y = np.array(["a", "c", "b", "c", "a", "b", "b"])
        with pytest.raises(ValueError, match=r"every row of class \['c'\] was flagged"):
            FirstColumnDetector().fit_resample(X, y)

    def test_a_step_of_an_imbalanced_learn_pipeline(self, X, y):
        pipe = make_pipeline(FirstColumnDetector(), LogisticRegression()).fit(X, y)
        plain = LogisticRegression().fit(X[self.KEPT], y[self.KEPT])
        np.testing.assert_allclose(pipe[-1].coef_, plain.coef_, rtol=1e-7)
        # Prediction drops nothing.
        assert len(pipe.predict(X)) == 7
        name = "firstcolumndetector__offset"
        again = clone(pipe).set_params(**{name: -1.0}).fit(X, y)
        assert len(again[0].sample_indices_) == 7


@pytest.mark.parametrize("part", [0.5, None, LogisticRegression, "logistic"])
def test_tags_can_be_asked_for_before_a_bad_part_is_refused(part):
    bad = AutoNoiseDetector([("a", part), 5])
    for owner in (
        bad,
        AutoNoiseDetector(part),
        ConfidentLearningDetector(part),
        LossMixtureDetector(part),
        NoisyLabelFilter(part),
        CleanedClassifier(part, part),
        NoisyLabelFilter(bad),
    ):
        assert get_tags(owner).target_tags.required
        with pytest.raises(NotFittedError):
            owner.predict_noisy()
