import numpy as np
import pandas as pd
import polars as pl
import pytest
from fast_part import examples
from hypothesis import given
from hypothesis import strategies as st
from known_detector import FITS, KnownDetector
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sknoisy import ConfidentLearningDetector, LossMixtureDetector, NoisyLabelFilter

SCORES = np.array([0.1, 0.9, 0.6, 0.6, 0.2, 0.7, 0.0, 0.4])
LABELS = np.array(["ant", "bee", "ant", "bee", "ant", "bee", "ant", "bee"])


def rows(scores=SCORES):
    return np.column_stack([scores, np.arange(len(scores))])


@pytest.mark.parametrize(
    ("params", "dropped"),
    [
        ({}, [1, 2, 3, 5]),
        ({"threshold": 0.65}, [1, 5]),
        ({"threshold": 0.6}, [1, 5]),
        ({"threshold": 0.0}, [0, 1, 2, 3, 4, 5, 7]),
        ({"threshold": 1.0}, []),
        ({"keep": 1.0}, []),
        ({"keep": 8}, []),
        ({"keep": 7}, [1]),
        # Rows 2 and 3 have equal scores, and the first one goes first.
        ({"keep": 5}, [1, 2, 5]),
        ({"keep": 0.625}, [1, 2, 5]),
        ({"keep": 1}, [0, 1, 2, 3, 4, 5, 7]),
    ],
)
def test_what_is_dropped(params, dropped):
    fitted = NoisyLabelFilter(KnownDetector(), **params).fit(rows(), LABELS)
    assert np.flatnonzero(fitted.predict_noisy()).tolist() == dropped
    assert fitted.sample_indices_.tolist() == sorted(set(range(8)) - set(dropped))


@examples(60)
@given(
    scores=st.lists(st.sampled_from([0.0, 0.2, 0.5, 0.8, 1.0]), min_size=1),
    share=st.floats(0.01, 1),
)
def test_the_budget_is_met_and_no_kept_row_is_more_suspicious(scores, share):
    y = np.arange(len(scores)) % 2
    fitted = NoisyLabelFilter(KnownDetector(scores), keep=share)
    fitted.fit(rows(scores), y)
    kept = fitted.sample_indices_
    assert abs(len(kept) - share * len(scores)) <= 0.5
    dropped = fitted.noise_scores_[fitted.noise_mask_]
    if len(kept) and len(dropped):
        assert fitted.noise_scores_[kept].max() <= dropped.min()


@examples(30)
@given(low=st.floats(0, 1), high=st.floats(0, 1))
def test_a_larger_threshold_drops_no_more(low, high):
    low, high = sorted((low, high))
    a, b = (
        NoisyLabelFilter(KnownDetector(), threshold=t).fit(rows(), LABELS).noise_mask_
        for t in (low, high)
    )
    assert not (b & ~a).any()


def test_without_a_rule_it_is_the_detector(blobs):
    X, y, _ = blobs
    detector = LossMixtureDetector(LogisticRegression(), random_state=0)
    plain, held = clone(detector), NoisyLabelFilter(detector)
    for one, other in zip(
        plain.fit_resample(X, y), held.fit_resample(X, y), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    for name in ("noise_scores_", "noise_mask_", "noise_rate_", "suggested_labels_"):
        np.testing.assert_array_equal(getattr(held, name), getattr(plain, name))
    np.testing.assert_array_equal(held.ranking(), plain.ranking())
    assert held.classes_.tolist() == [0, 1, 2] and held.n_features_in_ == 4


def test_suggestions_follow_the_decision_of_the_filter():
    strict = NoisyLabelFilter(KnownDetector(), threshold=0.65).fit(rows(), LABELS)
    np.testing.assert_array_equal(
        strict.suggested_labels_ != LABELS, strict.noise_mask_
    )
    # Rows 7 and 4 go as well, and the detector has nothing against their labels.
    tight = NoisyLabelFilter(KnownDetector(), keep=2).fit(rows(), LABELS)
    changed = tight.suggested_labels_ != LABELS
    assert np.flatnonzero(changed).tolist() == [1, 2, 3, 5]
    assert np.flatnonzero(tight.noise_mask_).tolist() == [1, 2, 3, 4, 5, 7]


def test_the_noise_rate_is_the_estimate_and_not_the_budget():
    fitted = NoisyLabelFilter(KnownDetector(rate=0.3), keep=0.5).fit(rows(), LABELS)
    assert fitted.noise_rate_ == 0.3


def test_nothing_of_the_users_changes():
    detector, X, y = KnownDetector(), rows(), LABELS.copy()
    NoisyLabelFilter(detector, keep=3).fit(X, y)
    unfitted = {"scores": None, "level": 0.5, "rate": None, "calibrated": False}
    assert vars(detector) == unfitted
    np.testing.assert_array_equal(X, rows())
    np.testing.assert_array_equal(y, LABELS)


class TestTypesAreKept:
    def test_pandas(self):
        index = [f"r{i}" for i in range(8)]
        X = pd.DataFrame(rows(), columns=["score", "id"], index=index)
        y = pd.Series(LABELS, index=index, name="kind")
        sampler = NoisyLabelFilter(KnownDetector(), keep=6)
        X_kept, y_kept = sampler.fit_resample(X, y)
        pd.testing.assert_frame_equal(X_kept, X.drop(index=["r1", "r5"]))
        pd.testing.assert_series_equal(y_kept, y.drop(index=["r1", "r5"]))
        assert sampler.feature_names_in_.tolist() == ["score", "id"]

    def test_polars(self):
        X = pl.DataFrame(rows(), schema=["score", "id"])
        X_kept, y_kept = NoisyLabelFilter(KnownDetector(), keep=6).fit_resample(
            X, pl.Series("kind", LABELS.tolist())
        )
        assert isinstance(X_kept, pl.DataFrame) and isinstance(y_kept, pl.Series)
        assert X_kept["id"].to_list() == [0, 2, 3, 4, 6, 7]

    def test_texts_and_sparse_matrices(self):
        texts = [f"text {i}" for i in range(8)]
        X_kept, _ = NoisyLabelFilter(KnownDetector(SCORES), keep=6).fit_resample(
            texts, LABELS
        )
        assert X_kept == [texts[i] for i in (0, 2, 3, 4, 6, 7)]
        X_kept, _ = NoisyLabelFilter(KnownDetector(SCORES), keep=6).fit_resample(
            csr_array(rows()), LABELS
        )
        np.testing.assert_array_equal(X_kept.toarray(), rows()[[0, 2, 3, 4, 6, 7]])


def test_a_lost_class_is_refused():
    y = np.array(["ant", "bee", "ant", "ant", "ant", "ant", "ant", "ant"])
    with pytest.raises(ValueError, match=r"every row of class \['bee'\]"):
        NoisyLabelFilter(KnownDetector(), keep=7).fit_resample(rows(), y)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"keep": 0.5, "threshold": 0.5}, "keep and threshold exclude each other"),
        ({"keep": 9}, r"keep=9 is more than the number of rows, 8"),
    ],
)
def test_bad_parameters_are_refused(params, message):
    FITS.clear()
    with pytest.raises(ValueError, match=message):
        NoisyLabelFilter(**{"detector": KnownDetector(), **params}).fit(rows(), LABELS)
    assert not FITS


def test_what_judges_no_labels_is_refused(blobs):
    X, y, _ = blobs
    with pytest.raises(TypeError, match=r"LogisticRegression does not set noise_sco"):
        NoisyLabelFilter(LogisticRegression()).fit(X, y)


class Halve(BaseEstimator):
    """A detector that forgets half of the rows."""

    def fit(self, X, y):
        vars(self).update(vars(KnownDetector().fit(X[::2], y[::2])))
        return self


def test_a_verdict_on_other_rows_is_refused():
    with pytest.raises(ValueError, match="scored 4 rows, but 8 were given"):
        NoisyLabelFilter(Halve()).fit(rows(), LABELS)


@pytest.mark.usefixtures("default_output")
def test_a_pipeline_that_ends_in_a_detector():
    pipe = make_pipeline(FunctionTransformer(np.copy), KnownDetector())
    sampler = NoisyLabelFilter(pipe, threshold=0.65).fit(rows(), LABELS)
    assert np.flatnonzero(sampler.noise_mask_).tolist() == [1, 5]


def test_fit_parameters_reach_the_detector(blobs):
    _, y, _ = blobs
    proba = np.full((len(y), 3), 0.1)
    proba[np.arange(len(y)), y] = 0.8
    proba[[4, 9]] = np.roll(proba[[4, 9]], 1, axis=1)
    sampler = NoisyLabelFilter(ConfidentLearningDetector(), keep=len(y) - 2)
    sampler.fit(None, y, pred_probs=proba)
    assert np.flatnonzero(sampler.noise_mask_).tolist() == [4, 9]


@pytest.mark.slow
@pytest.mark.usefixtures("default_output")
def test_step_of_an_imbalanced_learn_pipeline(blobs):
    from imblearn.pipeline import make_pipeline as make_imblearn_pipeline
    from sklearn.model_selection import GridSearchCV

    X, y, _ = blobs
    detector = LossMixtureDetector(LogisticRegression(), random_state=0)
    pipe = make_imblearn_pipeline(
        StandardScaler(), NoisyLabelFilter(detector, keep=0.8), LogisticRegression()
    ).fit(X, y)
    kept = pipe[1].sample_indices_
    assert len(kept) == 144
    plain = LogisticRegression().fit(pipe[0].transform(X)[kept], y[kept])
    np.testing.assert_allclose(pipe[-1].coef_, plain.coef_, rtol=1e-6)
    grid = {
        "noisylabelfilter__keep": [0.7, 1.0],
        "noisylabelfilter__detector__estimator__C": [0.1],
    }
    search = GridSearchCV(pipe, grid, cv=2).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_a_second_fit_forgets_the_first():
    fitted = NoisyLabelFilter(KnownDetector(SCORES)).fit(rows(), LABELS)
    fitted.fit([f"text {i}" for i in range(8)], LABELS)
    assert not hasattr(fitted, "n_features_in_")
