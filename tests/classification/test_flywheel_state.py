"""FlywheelClassifier: parameters, weights, going on, pickles, interrupted fits."""

import pickle

import numpy as np
import pytest
from fitted_state import Stop, assert_same_fit
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from skorch.callbacks import Checkpoint, EarlyStopping
from skorch.dataset import ValidSplit

from sknoisy import FlywheelClassifier
from sknoisy.base import TrainingInterruptedWarning

SMALL = {
    "module__hidden": 8,
    "module__dropout": 0.0,
    "max_epochs": 5,
    "warmup_epochs": 2,
    "batch_size": 60,
    "lr": 0.1,
    "mixup_alpha": 4.0,
    "contrastive_weight": 0.0,
    "prior_weight": 0.0,
    "weak_view": 0.1,
    "strong_view": 0.5,
    "random_state": 0,
}
# All that moves: dropout, views, both terms beside Equation 13.
FULL = {"module__dropout": 0.3, "contrastive_weight": 0.1, "prior_weight": 1.0}
COLLAPSED = "ignore:the refurbished labels have collapsed"


def make(**params):
    return FlywheelClassifier(**{**SMALL, **params})


class TestParameters:
    @pytest.mark.filterwarnings(COLLAPSED)
    @pytest.mark.parametrize(
        ("n_classes", "lam"), [(2, 0.6), (4, 1.2), (10, 3.0), (20, 3.0)]
    )
    def test_auto_lam_leaves_the_label_its_say(self, n_classes, lam):
        rng = np.random.default_rng(0)
        X, y = rng.normal(size=(80, 4)), np.arange(80) % n_classes
        clf = make(lam="auto", max_epochs=2, warmup_epochs=1).fit(X, y)
        assert clf.lam_ == pytest.approx(lam) and clf.lam == "auto"
        assert clf.criterion_["cycles"].lam == clf.lam_

    def test_lam_is_less_than_the_number_of_classes(self, blobs):
        X, y, _ = blobs
        message = r"lam=3 must be less than .* classes, 3: .*lam='auto' takes 0\.9\."
        with pytest.raises(ValueError, match=message):
            make(lam=3).fit(X, y)
        assert make(lam=2.9, max_epochs=3).fit(X, y).lam_ == 2.9

    def test_a_warm_up_leaves_epochs_for_cycles(self, blobs):
        X, y, _ = blobs
        for n_epochs in (2, 3):
            message = f"warmup_epochs=3 leaves no epoch.*than max_epochs={n_epochs}"
            with pytest.raises(ValueError, match=message):
                make(warmup_epochs=3, max_epochs=n_epochs).fit(X, y)
        # More epochs may follow.
        clf = make(warmup_epochs=3, max_epochs=2).partial_fit(X, y)
        assert np.isnan(clf.gamma_).all() and not clf.goes_on_
        clf = make(warmup_epochs=3, max_epochs=4).fit(X, y)
        assert np.isnan(clf.gamma_).tolist() == [True, True, True, False]
        # A warm start needs no more of it.
        clf.set_params(warm_start=True, max_epochs=1).fit(X, y)
        assert np.isfinite(clf.gamma_[3:]).all() and len(clf.gamma_) == 5

    @pytest.mark.fast_cases(1)
    @pytest.mark.parametrize("max_epochs", [2, 3, 10, 25])
    def test_an_automatic_warm_up_leaves_some_too(self, blobs, max_epochs):
        X, y, _ = blobs
        clf = make(warmup_epochs="auto", max_epochs=max_epochs).fit(X, y)
        n_warmup = np.isnan(clf.gamma_).sum()
        assert 1 <= n_warmup < max(2, max_epochs / 2)
        assert np.isnan(clf.gamma_[:n_warmup]).all()

    def test_new_ones_count_at_the_next_fit(self, blobs):
        X, y, _ = blobs
        params = {"lam": 0.3, "epsilon": "uniform", "resample": False}
        clf = make().fit(X, y).set_params(**params).fit(X, y)
        assert_same_fit(clf, make(**params).fit(X, y))
        assert clf.lam_ == 0.3


# One batch of rows as they are: what a mixture of rows weighs is another matter.
STILL = {"batch_size": -1, "weak_view": 0.0, "mixup_alpha": 1e-9, "max_epochs": 8}


class TestWeights:
    @pytest.mark.fast_cases(1)
    @pytest.mark.parametrize("params", [{}, {"prior_weight": 1.0}, {"resample": False}])
    def test_integer_weights_equal_repeated_rows(self, blobs, params):
        X, y, _ = blobs
        counts = np.random.default_rng(0).integers(0, 4, 180)
        clf = make(**STILL, **params)
        weighted = clone(clf).fit(X, y, sample_weight=counts)
        repeated = clone(clf).fit(X.repeat(counts, 0), y.repeat(counts))
        plain = clf.fit(X, y)
        for name in ("gamma_", "corruption_matrix_", "transition_matrix_"):
            found, expected = getattr(weighted, name), getattr(repeated, name)
            np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)
            # NaN in the warm-up.
            assert np.nanmax(np.abs(getattr(plain, name) - expected)) > 5e-3
        for a, b in (
            (weighted.predict_proba(X), repeated.predict_proba(X)),
            (weighted.clean_proba_.repeat(counts), repeated.clean_proba_),
            (weighted.noise_scores_.repeat(counts), repeated.noise_scores_),
        ):
            np.testing.assert_allclose(a, b, rtol=2e-3, atol=1e-4)

    @pytest.mark.slow
    def test_rows_of_weight_zero_are_judged_and_do_not_count(self, blobs):
        X, y, is_noisy = blobs
        w = (np.random.default_rng(0).random(180) < 0.7).astype(float)
        other = np.where(w == 0, (y + 1) % 3, y)
        params = {**STILL, "max_epochs": 40}
        a, b = (make(**params).fit(X, labels, sample_weight=w) for labels in (y, other))
        for name in ("gamma_", "corruption_matrix_", "transition_matrix_"):
            found, expected = getattr(a, name), getattr(b, name)
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(
            a.clean_proba_[w > 0], b.clean_proba_[w > 0], rtol=1e-3
        )
        left_out = w == 0
        assert roc_auc_score(is_noisy[left_out], a.noise_scores_[left_out]) > 0.8
        # With the other label, a right one is wrong.
        right = left_out & ~is_noisy
        assert (b.noise_scores_ > a.noise_scores_)[right].mean() > 0.95

    @pytest.mark.parametrize("params", [{}, FULL])
    def test_equal_weights_equal_none(self, blobs, params):
        X, y, _ = blobs
        weighted = make(**params).fit(X, y, sample_weight=np.full(180, 3.0))
        expected = make(**params).fit(X, y)
        for name in ("gamma_", "clean_proba_"):
            found = getattr(weighted, name)
            np.testing.assert_allclose(found, getattr(expected, name), rtol=1e-3)
        assert weighted.sample_weight_ is None


class TestState:
    CONSTANT = {"lr_schedule": None}

    def test_one_epoch_at_a_time(self, blobs):
        X, y, _ = blobs
        whole = make(**self.CONSTANT).fit(X, y)
        clf = make(**self.CONSTANT, max_epochs=1)
        for n_epochs in range(1, 6):
            clf.partial_fit(X, y)
            assert len(clf.gamma_) == n_epochs
            assert clf.clean_proba_.shape == (180,)
        assert_same_fit(whole, clf)

    def test_other_rows_are_refused_afterwards(self, blobs):
        X, y, _ = blobs
        clf = make().fit(X, y)
        for rows in (slice(0, 50), slice(None, None, -1)):
            with pytest.raises(ValueError, match="FlywheelLoss keeps a state for each"):
                clf.partial_fit(X[rows], y[rows])

    def test_a_pickle_holds_no_rows(self, blobs, tmp_path):
        _, y, _ = blobs
        X = np.random.default_rng(0).normal(size=(180, 2000)).astype(np.float32)
        keep = Checkpoint(monitor=None, dirname=str(tmp_path), f_pickle="net.pkl")
        clf = make(callbacks=[keep], module__hidden=1).fit(X, y)
        stored = pickle.dumps(clf), (tmp_path / "net.pkl").read_bytes()
        # Also not where training ended in an error.
        with pytest.raises(FloatingPointError, match="training diverged"):
            make(module__hidden=1, lr=1e9).fit(X, y)
        diverged = make(module__hidden=1, lr=1e9)
        with pytest.raises(FloatingPointError, match="Lower lr"):
            diverged.fit(X, y)
        for content in (*stored, pickle.dumps(diverged)):
            assert X.tobytes()[:400] not in content
            assert len(content) < X.nbytes / 4

    def test_a_checkpoint_holds_both_networks_and_the_rows(self, blobs, tmp_path):
        X, y, _ = blobs
        keep = Checkpoint(monitor=None, dirname=str(tmp_path), f_judge="judge.pt")
        clf = make(callbacks=[keep], **FULL).fit(X, y)
        other = make(**FULL, max_epochs=3).fit(X, y)
        other.load_params(checkpoint=keep)
        for name in ("module_", "judge_", "criterion_"):
            for key, value in getattr(clf, name).state_dict().items():
                assert value.equal(getattr(other, name).state_dict()[key])

    @pytest.mark.fast_cases(2)
    @pytest.mark.parametrize(
        ("epoch", "batch", "n_judged"), [(1, 2, 0), (2, 3, 0), (3, 2, 1), (4, 5, 2)]
    )
    def test_an_interrupted_fit_judges_by_what_it_has(
        self, blobs, epoch, batch, n_judged
    ):
        X, y, is_noisy = blobs
        clf = make(callbacks=[Stop(epoch, batch)], weak_view=0.0).fit(X, y)
        assert len(clf.history) == len(clf.gamma_) == epoch
        assert np.isfinite(clf.gamma_).sum() == n_judged
        assert "rows_" not in vars(clf)
        np.testing.assert_array_equal(clf.refurbished_labels_, clf.predict(X))
        # After two batches little has been learnt.
        if epoch > 1:
            assert roc_auc_score(is_noisy, clf.noise_scores_) > 0.7
        clf.set_params(callbacks=None).partial_fit(X, y)
        assert len(clf.gamma_) == epoch + 5

    def test_an_interruption_while_labels_are_judged(self, blobs):
        class Stopped(FlywheelClassifier):
            def eval_pass(self, dataset, modules=None):
                if len(self.history) == 4 and not self.history[-1].get("seen"):
                    self.history.record("seen", 1.0)
                    raise KeyboardInterrupt
                return super().eval_pass(dataset, modules)

        X, y, _ = blobs
        with pytest.warns(TrainingInterruptedWarning, match="3 of 5 epochs"):
            clf = Stopped(**SMALL).fit(X, y)
        assert np.isfinite(clf.gamma_).tolist() == [False, False, True, False]
        assert clf.clean_proba_.shape == (180,)

    def test_early_stopping_judges_by_what_it_kept(self, blobs):
        X, y, _ = blobs
        stop = EarlyStopping(patience=3, load_best=True)
        split = ValidSplit(4, stratified=True)
        clf = make(
            callbacks=[stop], max_epochs=60, lr=0.5, train_split=split, weak_view=0.0
        ).fit(X, y)
        assert len(clf.gamma_) == len(clf.history) < 60
        np.testing.assert_array_equal(clf.refurbished_labels_, clf.predict(X))
