"""AUMDetector: margins, the extra class, and the decision."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.metrics import f1_score, roc_auc_score

from sknoisy import AUMDetector, SymmetricNoiseInjector
from sknoisy.detection._aum import _mean_over, _ordinary_runs

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
