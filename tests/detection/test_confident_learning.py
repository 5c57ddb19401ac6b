"""ConfidentLearningDetector: any classifier out of fold, or probabilities given."""

from functools import partial

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.sparse import csr_array
from seeds_of_detectors import seed_of
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sknoisy import (
    ConfidentLearningDetector,
    SymmetricNoiseInjector,
    find_label_issues,
)
from sknoisy.detection._confident._pruning import FILTERS
from sknoisy.detection._confident._quality import QUALITIES, label_quality


def out_of_fold(estimator, X, codes, n_folds=5, random_state=0):
    """Probabilities by hand."""
    folds = StratifiedKFold(n_folds, shuffle=True, random_state=seed_of(random_state))
    proba = np.empty((len(codes), codes.max() + 1))
    for train, test in folds.split(np.zeros(len(codes)), codes):
        fitted = clone(estimator).fit(X[train], codes[train])
        proba[test] = fitted.predict_proba(X[test])
    return proba


@pytest.fixture
def digits(reference):
    return reference("confident_learning.npz")


class TestGivenProbabilities:
    def test_the_reference_is_reproduced(self, digits):
        labels, proba = digits["labels"], digits["pred_probs"]
        detector = ConfidentLearningDetector().fit(None, labels, pred_probs=proba)
        np.testing.assert_array_equal(detector.pred_probs_, proba)
        np.testing.assert_array_equal(detector.label_proba_, proba)
        # Processors differ in the last digit of a logarithm.
        rtol = 1e-15 if len(labels) == 1797 else 1e-13
        expected = digits["thresholds"]
        np.testing.assert_allclose(detector.thresholds_, expected, rtol=rtol)
        joint = digits["confident_joint_calibrated"]
        np.testing.assert_array_equal(detector.confident_joint_, joint)
        matrix = digits["noise_matrix_columns"].T
        np.testing.assert_allclose(detector.transition_matrix_, matrix, rtol=1e-7)
        np.testing.assert_allclose(detector.transition_matrix_.sum(1), 1, rtol=1e-12)
        rate = 1 - np.trace(joint) / len(labels)
        assert detector.noise_rate_ == pytest.approx(rate, rel=1e-12)
        assert detector.noise_rate_ == pytest.approx(0.25, abs=0.06)
        for name in digits:
            if name.startswith("issues_"):
                detector.set_params(filter_by=name.removeprefix("issues_"))
                detector.fit(None, labels, pred_probs=proba)
                np.testing.assert_array_equal(detector.noise_mask_, digits[name])
            if name.startswith("quality_"):
                detector.set_params(quality=name.removeprefix("quality_"))
                detector.fit(None, labels, pred_probs=proba)
                found = detector.label_quality_
                np.testing.assert_allclose(found, digits[name], rtol=rtol)

    @pytest.mark.fast_cases(4)
    @pytest.mark.parametrize("filter_by", FILTERS)
    @pytest.mark.parametrize("quality", QUALITIES)
    def test_scores_rank_as_the_quality_and_flags_by_filter(
        self, digits, filter_by, quality
    ):
        labels, proba = digits["labels"], digits["pred_probs"]
        detector = ConfidentLearningDetector(filter_by=filter_by, quality=quality)
        detector.fit(None, labels, pred_probs=proba)
        find = partial(find_label_issues, labels, proba, filter_by=filter_by)
        mask, ranking = detector.noise_mask_, detector.ranking()
        np.testing.assert_array_equal(mask, find())
        good = label_quality(labels, proba, quality)
        np.testing.assert_allclose(detector.noise_scores_, 1 - good, atol=1e-12)
        np.testing.assert_array_equal(ranking, np.argsort(good, kind="stable"))
        ranked = find(return_indices_ranked_by=quality)
        np.testing.assert_array_equal(ranking[mask[ranking]], ranked)

    def test_flagged_rows_are_not_pulled_in_front(self, digits):
        detector = ConfidentLearningDetector()
        detector.fit(None, digits["labels"], pred_probs=digits["pred_probs"])
        in_order = detector.noise_mask_[detector.ranking()]
        assert not in_order[: in_order.sum()].all()

    @pytest.mark.parametrize("dtype", [np.float64, np.float32])
    @pytest.mark.parametrize("quality", QUALITIES)
    def test_labels_of_almost_no_quality_keep_their_order(self, quality, dtype):
        # One minus any of them is 1.
        own = np.array([3e-19, 1e-25, 0.9, 2e-21, 1e-25, 0.8], dtype=dtype)
        proba = np.column_stack([own, 1 - own]).astype(dtype)
        detector = ConfidentLearningDetector(quality=quality)
        detector.fit(None, [0, 0, 0, 0, 0, 1], pred_probs=proba)
        good = label_quality(np.array([0, 0, 0, 0, 0, 1]), proba, quality)
        expected = np.argsort(good, kind="stable")
        assert detector.ranking().tolist() == expected.tolist()
        if quality == "self_confidence":
            assert detector.ranking()[:4].tolist() == [1, 4, 3, 0]
        assert detector.noise_scores_.max() <= 1

    def test_suggested_is_the_most_probable_other_label(self, digits):
        labels, proba = digits["labels"], digits["pred_probs"].copy()
        names = np.array([f"digit {k}" for k in range(10)])
        detector = ConfidentLearningDetector()
        detector.fit(None, names[labels], pred_probs=proba)
        np.testing.assert_array_equal(detector.pred_probs_, digits["pred_probs"])
        proba[np.arange(len(labels)), labels] = -1
        expected = np.where(detector.noise_mask_, proba.argmax(1), labels)
        assert detector.suggested_labels_.tolist() == names[expected].tolist()
        assert detector.classes_.tolist() == names.tolist()

    def test_quality_above_one_is_full_quality(self, monkeypatch):
        module = "sknoisy.detection._confident_learning.label_quality"
        monkeypatch.setattr(module, lambda codes, *_: np.full(len(codes), 1.001))
        proba = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.9, 0.1]])
        detector = ConfidentLearningDetector(filter_by="predicted_neq_given")
        detector.fit(None, [0, 0, 1, 1, 1], pred_probs=proba)
        assert detector.noise_mask_.tolist() == [False] * 4 + [True]
        assert detector.noise_scores_.tolist() == [0] * 5
        assert detector.label_quality_.tolist() == [1] * 5

    def test_a_frame_of_probabilities(self, digits):
        labels, proba = digits["labels"], digits["pred_probs"]
        plain = ConfidentLearningDetector().fit(None, labels, pred_probs=proba)
        frame = pd.DataFrame(proba, columns=[str(k) for k in range(10)])
        for given in (frame, pl.DataFrame(proba), proba.tolist()):
            other = ConfidentLearningDetector().fit(None, labels, pred_probs=given)
            np.testing.assert_array_equal(other.noise_scores_, plain.noise_scores_)

    def test_x_beside_probabilities_is_only_counted(self, digits):
        labels, proba = digits["labels"], digits["pred_probs"]
        texts = [f"text {row}" for row in range(len(labels))]
        detector = ConfidentLearningDetector()
        kept, labels_kept = detector.fit_resample(texts, labels, pred_probs=proba)
        rows = np.flatnonzero(~digits["issues_prune_by_noise_rate"])
        assert kept == [texts[row] for row in rows]
        np.testing.assert_array_equal(labels_kept, labels[rows])
        mask = ConfidentLearningDetector().fit_predict_noisy(
            None, labels, pred_probs=proba
        )
        np.testing.assert_array_equal(mask, detector.noise_mask_)

    def test_of_one_row_a_class(self):
        proba = np.array([[0.9, 0.1], [0.2, 0.8]])
        detector = ConfidentLearningDetector().fit(None, ["a", "b"], pred_probs=proba)
        assert not detector.noise_mask_.any() and detector.noise_rate_ == 0
        assert detector.transition_matrix_.tolist() == [[1, 0], [0, 1]]


class TestOutOfFold:
    def test_probabilities_by_hand(self, blobs):
        X, y, _ = blobs
        estimator = LogisticRegression(C=0.5)
        names = np.array(["ant", "bee", "cat"])
        detector = ConfidentLearningDetector(estimator, random_state=0)
        detector.fit(X, names[y])
        proba = out_of_fold(estimator, X, y)
        np.testing.assert_allclose(detector.pred_probs_, proba, rtol=1e-6)
        again = ConfidentLearningDetector()
        again.fit(None, names[y], pred_probs=detector.pred_probs_)
        np.testing.assert_array_equal(detector.noise_scores_, again.noise_scores_)
        assert not hasattr(estimator, "coef_")
        assert detector.n_features_in_ == 4 and not hasattr(again, "n_features_in_")

    def test_the_default_is_a_scaled_logistic_regression(self, blobs):
        X, y, _ = blobs
        X = X.astype(np.float64) * [1, 1e3, 1e-3, 1] + [0, 5e4, 0, 0]
        detector = ConfidentLearningDetector(random_state=0).fit(X, y)
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1))
        proba = out_of_fold(model, X, y)
        np.testing.assert_allclose(detector.pred_probs_, proba, rtol=1e-6)

    def test_folds_are_at_most_the_rows_of_the_smallest_class(self, blobs):
        X, y, _ = blobs
        keep = np.flatnonzero((y != 2) | (np.cumsum(y == 2) <= 3))
        X, y = X[keep], y[keep]
        estimator = LogisticRegression()
        for cv, n_folds in ((10, 3), (2, 2)):
            detector = ConfidentLearningDetector(estimator, cv=cv, random_state=0)
            proba = out_of_fold(estimator, X, y, n_folds)
            given = detector.fit(X, y).pred_probs_
            np.testing.assert_allclose(given, proba, rtol=1e-6)

    def test_votes_of_neighbours(self, blobs):
        X, y, is_noisy = blobs
        model = KNeighborsClassifier(5)
        detector = ConfidentLearningDetector(model, random_state=0).fit(X, y)
        np.testing.assert_allclose(detector.pred_probs_, out_of_fold(model, X, y))
        assert roc_auc_score(is_noisy, detector.noise_scores_) > 0.9

    def test_a_list_of_texts(self):
        rng = np.random.default_rng(0)
        words = {"sport": "ball goal team match", "money": "bank rate share market"}
        y = np.repeat(list(words), 60)
        texts = [" ".join(rng.choice(words[label].split(), 8)) for label in y]
        swapped = rng.choice(120, 24, replace=False)
        given = y.copy()
        given[swapped] = np.where(y[swapped] == "sport", "money", "sport")
        estimator = make_pipeline(TfidfVectorizer(), LogisticRegression())
        detector = ConfidentLearningDetector(estimator, random_state=0)
        detector.fit(texts, given)
        flagged = np.flatnonzero(detector.noise_mask_)
        assert set(flagged) <= set(swapped) and len(flagged) > 18
        assert (detector.suggested_labels_[flagged] == y[flagged]).all()
        assert set(detector.ranking()[:24]) == set(swapped)
        assert not hasattr(detector, "n_features_in_")

    @pytest.mark.fast_cases(1)
    @pytest.mark.parametrize("estimator", [None, LogisticRegression()], ids=str)
    def test_sparse_rows(self, blobs, estimator):
        X, y, _ = blobs
        X = np.where(X > 0.5, X, 0).astype(np.float64)
        detector = ConfidentLearningDetector(estimator, random_state=0)
        sparse = clone(detector).fit(csr_array(X), y)
        dense = clone(detector).fit(X, y)
        assert sparse.n_features_in_ == 4
        np.testing.assert_allclose(sparse.pred_probs_, dense.pred_probs_, atol=1e-3)
        assert detector.__sklearn_tags__().input_tags.sparse

    @pytest.mark.usefixtures("default_output")
    @pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
    def test_a_frame_with_categories(self, frame):
        rng = np.random.default_rng(0)
        y = np.repeat(["yes", "no"], 60)
        colour = np.where(y == "yes", "red", "blue")
        table = frame({"colour": colour, "size": rng.normal(size=120)})
        given = y.copy()
        given[:10] = "no"
        estimator = make_pipeline(
            make_column_transformer(
                (OneHotEncoder(), ["colour"]), (StandardScaler(), ["size"])
            ),
            LogisticRegression(),
        )
        detector = ConfidentLearningDetector(estimator, random_state=0)
        detector.fit(table, given)
        assert set(np.flatnonzero(detector.noise_mask_)) <= set(range(10))
        assert set(detector.ranking()[:10]) == set(range(10))
        assert detector.feature_names_in_.tolist() == ["colour", "size"]

    def test_a_search_chooses_within_each_fold(self, blobs):
        X, y, is_noisy = blobs
        search = GridSearchCV(LogisticRegression(), {"C": [1e-3, 0.1]}, cv=2)
        detector = ConfidentLearningDetector(search, random_state=0).fit(X, y)
        assert roc_auc_score(is_noisy, detector.noise_scores_) > 0.9

    @pytest.mark.slow
    def test_an_unseeded_estimator_follows_the_detectors_seed(self, blobs):
        X, y, _ = blobs
        before = np.append(*np.random.get_state()[1:3])
        forest = RandomForestClassifier(10)
        a, b, c = (
            ConfidentLearningDetector(forest, random_state=seed).fit(X, y).pred_probs_
            for seed in (0, 0, 1)
        )
        np.testing.assert_array_equal(a, b)
        assert (a != c).any() and forest.random_state is None
        ConfidentLearningDetector(make_pipeline(StandardScaler(), forest)).fit(X, y)
        np.testing.assert_array_equal(np.append(*np.random.get_state()[1:3]), before)
        seeded = RandomForestClassifier(10, random_state=7)
        detector = ConfidentLearningDetector(seeded, random_state=0).fit(X, y)
        proba = out_of_fold(seeded, X, y)
        np.testing.assert_allclose(detector.pred_probs_, proba, rtol=1e-6)

    @pytest.mark.slow
    def test_none_draws_anew(self, blobs):
        X, y, _ = blobs
        a, b = (ConfidentLearningDetector().fit(X, y).pred_probs_ for _ in range(2))
        assert (a != b).any()

    @pytest.mark.slow
    def test_folds_at_a_time_change_nothing(self, blobs):
        X, y, _ = blobs
        forest = RandomForestClassifier(10)
        one, two = (
            ConfidentLearningDetector(forest, n_jobs=n_jobs, random_state=0)
            for n_jobs in (None, 2)
        )
        given = two.fit(X, y).pred_probs_
        np.testing.assert_array_equal(one.fit(X, y).pred_probs_, given)

    @pytest.mark.fast_cases(1)
    @pytest.mark.parametrize(
        "labels", [["c", "a", "b"], [10, -3, 7], [2.0, 0.0, 1.0], [True, False, True]]
    )
    def test_labels_of_any_kind(self, blobs, labels):
        X, y, _ = blobs
        given = np.array(labels)[y]
        detector = ConfidentLearningDetector(random_state=0).fit(X, given)
        assert detector.classes_.tolist() == sorted(set(labels))
        assert detector.suggested_labels_.dtype == given.dtype
        changed = detector.suggested_labels_ != given
        np.testing.assert_array_equal(changed, detector.noise_mask_)
        as_list = ConfidentLearningDetector(random_state=0)
        as_list.fit(X.tolist(), given.tolist())
        np.testing.assert_array_equal(as_list.noise_mask_, detector.noise_mask_)


def test_a_second_fit_forgets_the_columns_of_the_first(blobs):
    X, y, _ = blobs
    detector = ConfidentLearningDetector(random_state=0)
    detector.fit(pd.DataFrame(X, columns=list("abcd")), y)
    detector.fit(None, y, pred_probs=detector.pred_probs_)
    assert not hasattr(detector, "n_features_in_")
    assert not hasattr(detector, "feature_names_in_")


class TestRefusals:
    def test_an_instance_is_asked_for(self, blobs):
        X, y, _ = blobs
        with pytest.raises(TypeError, match="instance of scikit-learn"):
            ConfidentLearningDetector(LogisticRegression).fit(X, y)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda X, y: (None, y), "pass X, pred_probs or both; got None for both"),
            (
                lambda X, y: (X.astype(str).astype(object) + "?", y),
                "has strings in column 0",
            ),
        ],
    )
    def test_bad_rows(self, blobs, change, message):
        X, y = change(*blobs[:2])
        with pytest.raises(ValueError, match=message):
            ConfidentLearningDetector().fit(X, y)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda p: p[:-1], "one row for each label, 180; got 179"),
            (lambda p: p[:, :2] / p[:, :2].sum(1, keepdims=True), "each of the 3 lab"),
            (lambda p: np.column_stack([p, 0 * p[:, 0]]), "got 4. For classes without"),
            (lambda p: p[:, 0], "column for each of two classes or more"),
            (lambda p: 2 * p, "rows of pred_probs must sum to 1; row 0 sums to 2"),
            (lambda p: p + np.array([-1, 1, 0]), "must not be negative; row 0"),
            (lambda p: np.where(p == p[7, 1], np.nan, p), "NaN .* row 7"),
        ],
    )
    def test_bad_probabilities(self, blobs, change, message):
        y = blobs[1]
        proba = np.random.default_rng(0).dirichlet([1, 1, 1], 180)
        with pytest.raises(ValueError, match=message):
            ConfidentLearningDetector().fit(None, y, pred_probs=change(proba))

    def test_x_of_other_length_beside_probabilities(self, blobs):
        X, y, _ = blobs
        proba = np.full((180, 3), 1 / 3)
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            ConfidentLearningDetector().fit(X[:-1], y, pred_probs=proba)

    def test_one_class_beside_probabilities(self):
        with pytest.raises(ValueError, match="only one class, 'a'"):
            ConfidentLearningDetector().fit(None, ["a", "a"], pred_probs=np.eye(2))

    def test_rows_of_nothing_cannot_be_kept(self, blobs):
        y = blobs[1]
        proba = np.full((180, 3), 1 / 3)
        with pytest.raises(ValueError, match="fit_resample returns rows of X, which"):
            ConfidentLearningDetector().fit_resample(None, y, pred_probs=proba)


def test_tags_are_those_of_what_is_fitted():
    tags = ConfidentLearningDetector(LogisticRegression()).__sklearn_tags__()
    assert tags.input_tags.sparse and tags.target_tags.required
    tags = ConfidentLearningDetector(KNeighborsClassifier(metric="precomputed"))
    assert tags.__sklearn_tags__().input_tags.pairwise


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "f1"), [(0.2, 0.83), (0.4, 0.85)])
def test_digits(rate, f1):
    # Ten seeds: F1 0.890-0.917 at 20 % and 0.909-0.937 at 40 %, AUROC 0.980-0.997, rate
    # too large by 0.002-0.067. Flagging all gives F1 0.33 and 0.57.
    X, y = load_digits(return_X_y=True)
    injector = SymmetricNoiseInjector(rate, random_state=0)
    X, y_noisy = injector.fit_resample(X, y)
    detector = ConfidentLearningDetector(random_state=0).fit(X, y_noisy)
    assert roc_auc_score(injector.noise_mask_, detector.noise_scores_) > 0.96
    assert f1_score(injector.noise_mask_, detector.noise_mask_) > f1
    assert detector.noise_rate_ == pytest.approx(rate, abs=0.1)
    truth = injector.transition_matrix_
    assert np.abs(detector.transition_matrix_ - truth).max() < 0.2
