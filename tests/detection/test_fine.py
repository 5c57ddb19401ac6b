"""FINE: directions by a full SVD, odds by scikit-learn's mixture, limits, real data."""

import numpy as np
import pytest
from fast_part import examples
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from sklearn.mixture import GaussianMixture
from sklearn.preprocessing import FunctionTransformer

from sknoisy import FINEDetector, NetClassifier, SymmetricNoiseInjector
from sknoisy.detection._fine import _log_odds, _noisy_proba, class_alignments


@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(4, 30))
@examples(60)
def test_alignments_by_a_full_svd(seed, n_features, n_samples):
    rng = np.random.default_rng(seed)
    features = rng.normal(1, 1, (n_samples, n_features)) * rng.gamma(2, size=n_features)
    codes = np.arange(n_samples) % 3
    found = class_alignments(features, codes, 4)
    for c in range(3):
        u = np.linalg.svd(features[codes == c])[2][0]
        expected = np.abs(features @ u) / np.linalg.norm(features, axis=1)
        # Equal singular values have no first vector.
        values = np.linalg.svd(features[codes == c])[1]
        if len(values) < 2 or values[0] > 1.001 * values[1]:
            assert_allclose(found[:, c], np.minimum(expected, 1), atol=1e-7)
    assert_array_equal(found[:, 3], 0)
    assert ((found >= 0) & (found <= 1)).all()


def test_a_row_of_zeros_points_nowhere():
    features = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 0.0], [0.0, 3.0]])
    found = class_alignments(features, np.array([0, 0, 0, 1]), 2)
    assert_allclose(found, [[1, 0], [1, 0], [0, 0], [0, 1]], atol=1e-12)


def test_the_length_of_other_classes_rows_does_not_matter():
    rng = np.random.default_rng(0)
    features, codes = rng.normal(1, 1, (40, 5)), np.arange(40) % 2
    scaled = features * np.where(codes == 1, 7.0, 1.0)[:, None]
    before, after = (class_alignments(f, codes, 2) for f in (features, scaled))
    assert_allclose(before, after, atol=1e-12)


class TestOdds:
    def draw(self, seed=0):
        rng = np.random.default_rng(seed)
        return np.r_[rng.normal(0.4, 0.1, 60), rng.normal(0.9, 0.03, 140)].clip(0, 1)

    @pytest.mark.usefixtures("no_dispatch")
    def test_between_the_means_they_are_the_mixtures(self):
        alignments = self.draw()
        mixture = GaussianMixture(2, max_iter=100, tol=1e-6, random_state=3)
        mixture.fit(alignments[:, None])
        low, high = np.argsort(mixture.means_[:, 0])
        inside = (alignments > mixture.means_[low]) & (
            alignments < mixture.means_[high]
        )
        expected = mixture.predict_proba(alignments[:, None])[:, low]
        found = _noisy_proba(alignments, 3)
        assert inside.sum() > 50
        assert_allclose(found[inside], expected[inside], atol=2e-6)
        # Those of the mixture turn back where the wider component wins again.
        top = alignments.argmax()
        assert found[top] < 0.01

    @given(st.integers(0, 1000))
    @examples(20)
    def test_the_less_aligned_the_more_suspicious(self, seed):
        alignments = np.sort(self.draw(seed))
        proba = _noisy_proba(alignments, 0)
        distinct = np.diff(alignments) > 0
        assert (np.diff(proba)[distinct] < 0).all()
        assert ((proba >= 0) & (proba <= 1)).all()

    def test_they_go_on_as_straight_lines(self):
        alignments = np.r_[self.draw(), [0.0, 0.05, 0.1]]
        odds = _log_odds(alignments, 0)[-3:]
        assert np.isfinite(odds).all() and odds[0] > odds[1] > odds[2]
        assert_allclose(odds[0] - odds[1], odds[1] - odds[2], rtol=1e-6)

    def test_nothing_to_split(self):
        assert (_noisy_proba(np.full(50, 0.7), 0) < 1e-6).all()
        assert (_noisy_proba(np.linspace(0, 1, 9), 0) <= 1e-6).all()


class TestDetector:
    @pytest.mark.slow
    def test_digits(self):
        X, y = load_digits(return_X_y=True)
        injector = SymmetricNoiseInjector(0.3, random_state=0)
        X, y_noisy = injector.fit_resample(X, y)
        detector = FINEDetector(random_state=0).fit(X, y_noisy)
        is_wrong = injector.noise_mask_
        # 0.93 when written; directions of the other classes give 0.2.
        assert roc_auc_score(is_wrong, detector.noise_scores_) > 0.88
        flagged = detector.noise_mask_
        right = (detector.suggested_labels_ == y)[flagged & is_wrong]
        assert right.mean() > 0.8
        assert not hasattr(detector, "estimator_")

    def test_what_is_suggested(self):
        rng = np.random.default_rng(0)
        y = np.repeat([0, 1, 2], 40)
        X = 5 * np.eye(3)[y] + rng.normal(0, 0.3, (120, 3))
        given = y.copy()
        given[:4] = [1, 2, 1, 2]
        detector = FINEDetector(random_state=0).fit(X, given)
        assert_array_equal(np.flatnonzero(detector.noise_mask_)[:4], range(4))
        assert_array_equal(detector.suggested_labels_[:4], 0)
        own = detector.alignments_[np.arange(120), given]
        order = np.lexsort((-own[given == 1], -detector.noise_scores_[given == 1]))
        assert (np.diff(own[given == 1][order]) >= 0).all()

    @pytest.mark.slow
    def test_the_threshold_keeps_what_is_probably_clean(self):
        X, y = load_digits(return_X_y=True)
        masks = {
            threshold: FINEDetector(threshold=threshold, random_state=0).fit(X, y)
            for threshold in (0.1, 0.5, 0.9)
        }
        for threshold, detector in masks.items():
            expected = detector.noise_scores_ > 1 - threshold
            assert_array_equal(detector.noise_mask_, expected)
        assert masks[0.1].noise_mask_.sum() < masks[0.9].noise_mask_.sum()

    @pytest.mark.slow
    @pytest.mark.usefixtures("default_output")
    def test_features_of_an_estimator(self):
        X, y = load_digits(return_X_y=True)
        halved = FunctionTransformer(lambda X: X[:, ::2])
        found = FINEDetector(halved, random_state=0).fit(X, y)
        expected = FINEDetector(random_state=0).fit(X[:, ::2], y)
        assert_allclose(found.noise_scores_, expected.noise_scores_)
        assert found.estimator_ is not halved

    @pytest.mark.slow
    def test_a_network_makes_features_of_images(self):
        rng = np.random.default_rng(0)
        y = rng.permutation(np.repeat([0, 1], 30))
        X = rng.random((60, 3, 8, 8)) * 0.3 + 0.6 * (y == 1)[:, None, None, None]
        y_noisy = y.copy()
        y_noisy[:6] = 1 - y[:6]
        X = X.astype(np.float32)
        with pytest.raises(ValueError, match=r"estimator=NetClassifier\(\)"):
            FINEDetector().fit(X, y_noisy)
        from sknoisy.nets import PreActResNet

        net = NetClassifier(PreActResNet, module__blocks=(1,), module__width=8)
        net.set_params(max_epochs=8, batch_size=16, augment=None)
        detector = FINEDetector(net, random_state=0).fit(X, y_noisy)
        assert detector.alignments_.shape == (60, 2)
        again = FINEDetector(net, random_state=0).fit(X, y_noisy)
        assert_array_equal(again.noise_scores_, detector.noise_scores_)
        detector.set_params(estimator=None).fit(X.reshape(60, -1), y_noisy)
        assert not hasattr(detector, "estimator_")

    @pytest.mark.parametrize("threshold", [0.0, 1.0])
    def test_thresholds_that_mean_nothing(self, threshold):
        X, y = load_digits(return_X_y=True)
        with pytest.raises(ValueError, match="threshold"):
            FINEDetector(threshold=threshold).fit(X, y)

    @pytest.mark.usefixtures("default_output")
    def test_features_that_are_not_numbers(self):
        X, y = load_digits(return_X_y=True)
        broken = FunctionTransformer(lambda X: X * np.nan)
        with pytest.raises(ValueError, match="NaN"):
            FINEDetector(broken).fit(X, y)
