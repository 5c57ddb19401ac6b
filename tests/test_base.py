import numpy as np
import pandas as pd
import polars as pl
import pytest
from imblearn.pipeline import make_pipeline
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression

from sknoisy._validation import check_rows_and_labels
from sknoisy._verdicts import scorer_of
from sknoisy.base import NoiseDetectorMixin, NoiseScoresMixin


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
            scorer_of(detector, 7)


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


def test_everything_follows_from_the_scores():
    proba = np.array([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2], [0.6, 0.0, 0.4], [0, 0, 1]])
    codes = np.array([1, 0, 0, 0])
    detector = FirstColumnDetector()
    detector.classes_ = np.array(["ant", "bee", "cat"])
    scores = np.array([0.9, 0.5, 0.500001, 0.2], dtype=np.float32)
    detector.record_scores(scores, proba, codes)
    assert detector.noise_scores_.dtype == np.float64
    # One half is no reason to doubt.
    assert detector.noise_mask_.tolist() == [True, False, True, False]
    assert detector.noise_rate_ == pytest.approx(scores.mean(), rel=1e-6)
    assert isinstance(detector.noise_rate_, float)
    assert detector.suggested_labels_.tolist() == ["cat", "ant", "cat", "ant"]
