"""AUMDetector: margins, the extra class, and the decision."""

import numpy as np
import pytest
from seeds_of_detectors import seed_of
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.model_selection import GroupKFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from sknoisy import AUMDetector, NetClassifier, SymmetricNoiseInjector, load, save
from sknoisy.detection._aum import _mean_over, _ordinary_runs, _without_the_last
from sknoisy.detection._dynamics._stages import record_stages

STUMPS = GradientBoostingClassifier(n_estimators=5, max_depth=2, random_state=0)
SGD = SGDClassifier(loss="log_loss", random_state=0)
QUICK = {"max_epochs": 6, "module__hidden": 32, "random_state": 0}


@pytest.mark.slow
def test_digits_with_40_per_cent_noise():
    # Ten seeds: F1 0.948-0.978, AUROC 0.994-0.999; flagging all gives F1 0.57.
    X, y = (array[:800] for array in load_digits(return_X_y=True))
    injector = SymmetricNoiseInjector(0.4, random_state=0)
    _, y_noisy = injector.fit_resample(X, y)
    detector = AUMDetector(module__hidden=128, random_state=0).fit(X / 16, y_noisy)
    assert f1_score(injector.noise_mask_, detector.predict_noisy()) > 0.92
    assert roc_auc_score(injector.noise_mask_, detector.noise_scores_) > 0.985
    assert (detector.suggested_labels_ == y).mean() > 0.92


def test_extra_classes_are_disjoint_and_of_the_papers_size():
    rng = np.random.default_rng(0)
    first, second = AUMDetector()._extra_rows(100, 4, rng)
    assert len(first) == len(second) == 100 // 5
    assert not set(first) & set(second)


def test_every_row_is_ordinary_at_least_once_in_many_runs():
    extra = AUMDetector(n_runs=7)._extra_rows(12, 3, np.random.default_rng(0))
    ordinary = _ordinary_runs(extra, 12)
    assert ordinary.any(0).all()
    assert (~ordinary).sum(1).tolist() == [3] * 7


def test_means_leave_out_the_runs_in_the_extra_class():
    ordinary = np.array([[True, False, True], [True, True, False]])
    a, b = np.array([1.0, 2.0, 3.0]), np.array([5.0, 6.0, 7.0])
    np.testing.assert_allclose(_mean_over(ordinary, [a, b]), [3, 6, 3])
    wide = _mean_over(ordinary, [a[:, None] * [1, 2], b[:, None] * [1, 2]])
    np.testing.assert_allclose(wide, [[3, 6], [6, 12], [3, 6]])


def test_scores_follow_margins_and_thresholds(blobs):
    X, y, _ = blobs
    detector = AUMDetector(n_runs=2, **QUICK).fit(X, y)
    assert detector.thresholds_.shape == (2,)
    # The mean of the trajectory from the second epoch on is the margin.
    np.testing.assert_allclose(
        detector.trajectories_[:, 1:].mean(1), detector.margins_, rtol=1e-4, atol=1e-5
    )
    low, high = np.argsort(detector.margins_)[[0, -1]]
    assert detector.noise_scores_[low] > 0.5 > detector.noise_scores_[high]
    rank = roc_auc_score(detector.noise_scores_ > 0.5, -detector.margins_)
    assert rank > 0.95


def test_a_larger_percentile_flags_more(blobs):
    X, y, _ = blobs
    rates = [
        AUMDetector(percentile=p, **QUICK).fit(X, y).noise_rate_ for p in (10, 50, 99)
    ]
    assert rates[0] < rates[1] < rates[2]


def test_one_epoch_is_enough(blobs):
    X, y, _ = blobs
    detector = AUMDetector(max_epochs=1, random_state=0).fit(X, y)
    np.testing.assert_allclose(detector.trajectories_[:, 0], detector.margins_)


def test_too_few_rows_for_the_extra_class_are_refused():
    X, y = np.zeros((6, 2)), np.array([0, 1, 2, 0, 1, 2])
    with pytest.raises(ValueError, match="needs at least 8"):
        AUMDetector().fit(X, y)


def test_a_network_without_the_extra_output_is_refused(blobs):
    from skorch import NeuralNetClassifier
    from torch import nn

    from sknoisy.nets import MLP

    X, y, _ = blobs
    net = NeuralNetClassifier(
        MLP,
        module__input_shape=(4,),
        module__n_classes=3,
        criterion=nn.CrossEntropyLoss,
        verbose=0,
    )
    with pytest.raises(ValueError, match="3 outputs for a row, but 4"):
        AUMDetector(net).fit(X, y)


@pytest.mark.slow
def test_without_an_extra_class_a_network_has_an_output_for_each_class(blobs):
    X, y, is_noisy = blobs
    detector = AUMDetector(percentile=None, **QUICK).fit(X, y)
    assert detector.net_.module_.head.out_features == 3
    assert detector.thresholds_.tolist() == [0.0]
    np.testing.assert_allclose(
        detector.trajectories_[:, 1:].mean(1), detector.margins_, rtol=1e-4, atol=1e-5
    )
    np.testing.assert_array_equal(detector.noise_mask_, detector.margins_ < 0)
    assert roc_auc_score(is_noisy, detector.noise_scores_) > 0.9


class TestStages:
    def by_hand(self, estimator, X, y, splits=None):
        stages, _ = record_stages(
            *(clone(estimator), X, y, splits),
            **{"n_classes": 3, "signal": "margin", "n_passes": 30, "seed": seed_of(0)},
        )
        return stages

    @pytest.mark.parametrize("estimator", [STUMPS, SGD], ids=["boosting", "passes"])
    def test_margins_are_the_mean_over_the_stages_of_one_fit(self, blobs, estimator):
        X, y, is_noisy = blobs
        names = np.array(["ant", "bee", "cat"])
        detector = AUMDetector(estimator, random_state=0).fit(X, names[y])
        stages = self.by_hand(estimator, X, y)
        np.testing.assert_array_equal(detector.trajectories_, stages)
        np.testing.assert_allclose(detector.margins_, stages.mean(1), rtol=1e-5)
        np.testing.assert_array_equal(detector.noise_mask_, detector.margins_ < 0)
        order = np.argsort(detector.margins_, kind="stable")
        np.testing.assert_array_equal(detector.ranking(), order)
        assert roc_auc_score(is_noisy, detector.noise_scores_) > 0.9
        assert not hasattr(estimator, "classes_")

    def test_the_suggestion_is_the_class_of_the_largest_mean_value(self, blobs):
        X, y, _ = blobs
        detector = AUMDetector(STUMPS, random_state=0).fit(X, y)
        values = clone(STUMPS).fit(X, y).staged_decision_function(X)
        mean = np.mean(list(values), axis=0)
        mean[np.arange(180), y] = -np.inf
        expected = np.where(detector.noise_mask_, mean.argmax(1), y)
        np.testing.assert_array_equal(detector.suggested_labels_, expected)

    def test_out_of_fold_rows_are_read_by_fits_on_the_others(self, blobs):
        X, y, is_noisy = blobs
        detector = AUMDetector(STUMPS, cv=3, random_state=0).fit(X, y)
        folds = StratifiedKFold(3, shuffle=True, random_state=seed_of(0))
        stages = self.by_hand(STUMPS, X, y, list(folds.split(X, y)))
        np.testing.assert_array_equal(detector.trajectories_, stages)
        assert roc_auc_score(is_noisy, detector.noise_scores_) > 0.9

    @pytest.mark.parametrize("cv", [None, 3])
    def test_the_extra_class_works_as_for_a_network(self, blobs, cv):
        X, y, _ = blobs
        detector = AUMDetector(STUMPS, percentile=90, cv=cv, random_state=0).fit(X, y)
        rng = np.random.default_rng(np.random.RandomState(0).randint(2**31 - 1))
        extra = AUMDetector(percentile=90)._extra_rows(180, 3, rng)
        folds = StratifiedKFold(3, shuffle=True, random_state=int(rng.integers(2**31)))
        splits = None if cv is None else list(folds.split(X, y))
        total, times = np.zeros(180), np.zeros(180)
        for run, rows in enumerate(extra):
            given = y.copy()
            given[rows] = 3
            how = {"n_classes": 4, "signal": "margin", "n_passes": 1}
            stages, _ = record_stages(clone(STUMPS), X, given, splits, **how)
            margins = stages.mean(1, dtype=np.float64)
            threshold = np.percentile(margins[rows], 90)
            assert detector.thresholds_[run] == pytest.approx(threshold)
            own = np.setdiff1d(np.arange(180), rows)
            total[own] += margins[own]
            times[own] += 1
        np.testing.assert_allclose(detector.margins_, total / times, rtol=1e-6)

    def test_passes_are_as_many_as_max_epochs(self, blobs):
        X, y, _ = blobs
        detector = AUMDetector(SGD, max_epochs=4, random_state=0).fit(X, y)
        assert detector.trajectories_.shape == (180, 4)
        detector = AUMDetector(SGD, max_epochs=None, random_state=0).fit(X, y)
        assert detector.trajectories_.shape == (180, 20)
        with pytest.raises(ValueError, match="max_epochs: set on the estimator"):
            AUMDetector(STUMPS, max_epochs=4).fit(X, y)
        with pytest.raises(ValueError, match="lr: set on the estimator"):
            AUMDetector(SGD, lr=0.1).fit(X, y)

    def test_folds_at_a_time_change_nothing(self, blobs):
        X, y, _ = blobs
        one = AUMDetector(STUMPS, cv=2, random_state=0).fit(X, y)
        two = AUMDetector(STUMPS, cv=2, n_jobs=2, random_state=0).fit(X, y)
        np.testing.assert_array_equal(one.trajectories_, two.trajectories_)

    def test_groups_stay_together(self, blobs):
        X, y, _ = blobs
        groups = np.arange(180) // 6
        detector = AUMDetector(STUMPS, cv=GroupKFold(3), random_state=0)
        with config_context(enable_metadata_routing=False):
            detector.fit(X, y, groups=groups)
        splits = list(GroupKFold(3).split(X, y, groups))
        stages = self.by_hand(STUMPS, X, y, splits)
        np.testing.assert_array_equal(detector.trajectories_, stages)
        with pytest.raises(ValueError, match=r"cv=None learns all rows.* pass cv=5"):
            AUMDetector(STUMPS).fit(X, y, groups=groups)
        with pytest.raises(ValueError, match="a network learns all rows"):
            AUMDetector().fit(X, y, groups=groups)

    def test_a_list_of_texts(self):
        rng = np.random.default_rng(0)
        words = {"sport": "ball goal team match", "money": "bank rate share market"}
        y = np.repeat(list(words), 60)
        texts = [" ".join(rng.choice(words[label].split(), 8)) for label in y]
        given = y.copy()
        given[:10] = "money"
        detector = AUMDetector(make_pipeline(TfidfVectorizer(), SGD), random_state=0)
        detector.fit(texts, given)
        assert np.flatnonzero(detector.noise_mask_).tolist() == list(range(10))
        assert (detector.suggested_labels_ == y).all()

    def test_missing_values_are_for_the_estimator(self, blobs):
        X, y, _ = blobs
        X = np.where(np.arange(X.size).reshape(X.shape) % 7 == 0, np.nan, X)
        trees = HistGradientBoostingClassifier(max_iter=3)
        detector = AUMDetector(trees, random_state=0).fit(X, y)
        assert detector.n_features_in_ == 4
        assert detector.__sklearn_tags__().input_tags.allow_nan

    def test_a_second_fit_forgets_the_network(self, blobs):
        X, y, _ = blobs
        detector = AUMDetector(NetClassifier(max_epochs=1), random_state=0)
        detector.set_params(percentile=None).fit(X, y)
        assert hasattr(detector, "net_")
        detector.set_params(estimator=STUMPS).fit(X, y)
        assert not hasattr(detector, "net_")

    def test_it_is_saved_without_the_fitted_classifier(self, blobs, tmp_path):
        X, y, _ = blobs
        detector = AUMDetector(STUMPS, random_state=0).fit(X, y)
        save(detector, tmp_path / "detector")
        known = [GradientBoostingClassifier]
        loaded = load(tmp_path / "detector", known=known)
        np.testing.assert_array_equal(loaded.trajectories_, detector.trajectories_)

    @pytest.mark.parametrize(
        "estimator",
        [LogisticRegression(), SVC(), SGDClassifier, make_pipeline(NetClassifier())],
        ids=str,
    )
    def test_what_has_no_stages_is_refused(self, blobs, estimator):
        X, y, _ = blobs
        message = "must be a skorch net, .* one with staged_predict_proba, .* partial_"
        with pytest.raises(TypeError, match=message):
            AUMDetector(estimator).fit(X, y)

    def test_cv_with_a_network_is_refused(self, blobs):
        X, y, _ = blobs
        with pytest.raises(ValueError, match="cv=3 would have no effect: a network"):
            AUMDetector(cv=3).fit(X, y)


def test_each_class_keeps_two_rows():
    codes = np.array([0, 0, 0, 0, 1, 1, 2, 2, 2])
    assert _without_the_last(np.array([0, 4, 5, 6, 7]), codes).tolist() == [0, 7]
    assert _without_the_last(np.array([3, 0]), codes).tolist() == [3, 0]
