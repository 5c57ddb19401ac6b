"""RobustLossClassifier: named losses, own losses, pruning, grid search."""

from functools import partial

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback
from skorch.dataset import ValidSplit
from torch import nn
from torch.nn import functional as F

from sknoisy import NetClassifier, RobustLossClassifier, SymmetricNoiseInjector
from sknoisy.losses import (
    BootstrapLoss,
    ELRLoss,
    GCELoss,
    SCELoss,
    TruncatedGCELoss,
)

SMALL = {"module__hidden": 8, "max_epochs": 4, "batch_size": 32, "random_state": 0}
STAGED = ["peer", "nls", "f_divergence", "dmi"]
SMOOTH = partial(nn.CrossEntropyLoss, label_smoothing=0.1)


class Counting(nn.Module):
    """Cross-entropy that keeps which rows it saw."""

    def __init__(self, n_samples, scale=1.0):
        super().__init__()
        self.register_buffer("count", torch.zeros(n_samples, dtype=torch.int64))
        self.scale = scale

    def forward(self, logits, y, index):
        self.count.index_add_(0, index, torch.ones_like(index))
        return self.scale * F.cross_entropy(logits, y)


def make_smooth(n_classes, scale=1.0):
    """A function that makes a criterion, given a fact of the data."""
    return nn.CrossEntropyLoss(weight=torch.full((n_classes,), scale))


def same_training(a, b, X):
    assert a.history[:, "train_loss"] == b.history[:, "train_loss"]
    np.testing.assert_array_equal(a.predict_proba(X), b.predict_proba(X))


class TestLoss:
    @pytest.mark.fast_cases(2)
    @pytest.mark.parametrize(
        ("name", "criterion"),
        [
            ("gce", GCELoss),
            ("sce", SCELoss),
            ("bootstrap", BootstrapLoss),
            ("label_smoothing", SMOOTH),
            ("ce", nn.CrossEntropyLoss),
        ],
    )
    def test_a_named_loss_is_that_criterion_bit_for_bit(self, blobs, name, criterion):
        X, y, _ = blobs
        robust = RobustLossClassifier(loss=name, **SMALL).fit(X, y)
        plain = NetClassifier(criterion=criterion, **SMALL).fit(X, y)
        same_training(robust, plain, X)

    def test_truncated_gce_is_its_criterion_until_rows_are_pruned(self, blobs):
        X, y, _ = blobs
        params = {**SMALL, "prune_start_epoch": 5}
        robust = RobustLossClassifier(loss="truncated_gce", **params).fit(X, y)
        plain = NetClassifier(criterion=TruncatedGCELoss, **SMALL).fit(X, y)
        same_training(robust, plain, X)

    def test_the_losses_differ(self, blobs):
        X, y, _ = blobs
        names = "gce", "truncated_gce", "sce", "bootstrap", "label_smoothing", "ce"
        fits = [RobustLossClassifier(loss=name, **SMALL).fit(X, y) for name in names]
        last = [clf.history[-1, "train_loss"] for clf in fits]
        assert len(set(last)) == len(names)

    @pytest.mark.fast_cases(2)
    @pytest.mark.parametrize(
        ("name", "params"),
        [
            ("gce", {"q": 0.3}),
            ("truncated_gce", {"k": 0.2, "q": 0.9}),
            ("sce", {"a": 0.5, "A": -9.2}),
            ("bootstrap", {"targets": "soft", "weight": 0.1}),
            ("label_smoothing", {"label_smoothing": 0.3}),
        ],
    )
    def test_its_parameters_reach_it(self, blobs, name, params):
        given = {f"loss__{key}": value for key, value in params.items()}
        clf = RobustLossClassifier(loss=name, **given, **SMALL).fit(*blobs[:2])
        for key, value in params.items():
            assert getattr(clf.criterion_, key) == value
        default = RobustLossClassifier(loss=name, **SMALL).fit(*blobs[:2])
        losses = default.history[:, "train_loss"]
        assert clf.history[:, "train_loss"] != losses

    @pytest.mark.parametrize(
        ("name", "typo", "message"),
        [
            ("gce", "qq", "GCELoss takes no loss__qq; it takes q, reduction"),
            ("sce", "q", "SCELoss takes no loss__q; it takes a, b, A, reduction"),
            ("truncated_gce", "kk", "takes no loss__kk; it takes q, k, reduction"),
        ],
    )
    def test_typos_are_named(self, blobs, name, typo, message):
        clf = RobustLossClassifier(loss=name, **{f"loss__{typo}": 0.5}, **SMALL)
        with pytest.raises(ValueError, match=message):
            clf.fit(*blobs[:2])

    def test_bad_values_are_named(self, blobs):
        clf = RobustLossClassifier(loss__q=2.0, **SMALL)
        with pytest.raises(ValueError, match=r"q must be in \(0, 1\]; got 2.0"):
            clf.fit(*blobs[:2])


class TestOwnLoss:
    @pytest.mark.parametrize(
        ("loss", "scale"),
        [
            (Counting, 1.0),
            (partial(Counting, scale=2.0), 2.0),
            (Counting(180, 3.0), 3.0),
        ],
        ids=["class", "partial", "instance"],
    )
    def test_it_is_given_the_row_numbers(self, blobs, loss, scale):
        clf = RobustLossClassifier(loss=loss, **SMALL).fit(*blobs[:2])
        assert clf.criterion_.count.tolist() == [4] * 180
        assert clf.criterion_.scale == scale

    def test_an_instance_is_left_alone(self, blobs):
        loss = Counting(180)
        RobustLossClassifier(loss=loss, **SMALL).fit(*blobs[:2])
        assert not loss.count.any()

    def test_a_function_that_makes_one(self, blobs):
        X, y, _ = blobs
        clf = RobustLossClassifier(loss=make_smooth, loss__scale=1.0, **SMALL)
        plain = RobustLossClassifier(loss="ce", **SMALL).fit(X, y)
        np.testing.assert_allclose(
            clf.fit(X, y).predict_proba(X), plain.predict_proba(X), rtol=1e-4
        )

    def test_a_function_of_logits_is_refused_with_advice(self, blobs):
        message = (
            "loss must be a class or an instance, or a function that makes one; "
            "cross_entropy needs input, target"
        )
        with pytest.raises(TypeError, match=message):
            RobustLossClassifier(loss=F.cross_entropy, **SMALL).fit(*blobs[:2])

    def test_a_criterion_of_ours_with_row_state(self, blobs):
        X, y, _ = blobs
        clf = RobustLossClassifier(loss=ELRLoss, loss__lam=1.0, **SMALL).fit(X, y)
        assert clf.criterion_.lam == 1.0 and clf.criterion_.targets.shape == (180, 3)
        with pytest.raises(ValueError, match="ELRLoss keeps a state for each row"):
            clf.partial_fit(X[:50], y[:50])

    @pytest.mark.parametrize("loss", ["huber", 3, None])
    def test_another_name_is_refused(self, blobs, loss):
        with pytest.raises(
            ValueError, match=r"'loss' parameter .* must be a str among"
        ):
            RobustLossClassifier(loss=loss, **SMALL).fit(*blobs[:2])

    def test_the_slot_is_loss_and_not_criterion(self, blobs):
        for params in ({"criterion": GCELoss}, {"criterion__q": 0.3}):
            (name,) = params
            message = (
                f"^{name} would have no effect: RobustLossClassifier has its own loss"
            )
            with pytest.raises(ValueError, match=message):
                RobustLossClassifier(**params, **SMALL).fit(*blobs[:2])


class TestParameters:
    def test_a_fitted_net_takes_a_new_loss_at_the_next_fit(self, blobs):
        X, y, _ = blobs
        clf = RobustLossClassifier(**SMALL).fit(X, y)
        before = clf.predict_proba(X)
        clf.set_params(loss="sce", loss__a=0.3)
        assert isinstance(clf.criterion_, GCELoss)
        np.testing.assert_array_equal(clf.predict_proba(X), before)
        fresh = RobustLossClassifier(loss="sce", loss__a=0.3, **SMALL).fit(X, y)
        same_training(clf.fit(X, y), fresh, X)
        assert isinstance(clf.criterion_, SCELoss) and clf.criterion_.a == 0.3

    def test_get_params_and_clone(self):
        clf = RobustLossClassifier(loss="sce", loss__a=0.3, module__hidden=5)
        params = clone(clf).get_params()
        assert (params["loss"], params["loss__a"]) == ("sce", 0.3)
        assert params["module__hidden"] == 5 and params["prune_every"] == "auto"

    @pytest.mark.slow
    def test_grid_search_over_losses_and_their_parameters(self, blobs):
        X, y, _ = blobs
        grid = [
            {"loss": ["gce"], "loss__q": [0.3, 0.9]},
            {"loss": ["sce"], "loss__a": [0.1, 1.0]},
        ]
        search = GridSearchCV(RobustLossClassifier(**SMALL), grid, cv=2)
        search.fit(X, np.array(["ant", "bee", "cat"])[y])
        assert len(search.cv_results_["params"]) == 4
        assert search.best_score_ > 0.5
        best = search.best_estimator_
        (value,) = (v for k, v in search.best_params_.items() if k != "loss")
        name = "q" if best.loss == "gce" else "a"
        assert getattr(best.criterion_, name) == value
        assert best.predict_noisy().shape == (180,)


class Watched(RobustLossClassifier):
    """Keeps which rows are left out before each epoch, and their probability."""

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        super().on_train_begin(net, X, y, **kwargs)
        self.kept_, self.proba_ = [], []

    def on_epoch_begin(self, net, dataset_train=None, **kwargs):
        super().on_epoch_begin(net, dataset_train, **kwargs)
        _, codes, logits = self.eval_pass(dataset_train)
        p = softmax(logits["module"].numpy(), axis=1)
        self.proba_.append(p[np.arange(len(p)), codes])
        self.kept_.append(self.criterion_.kept.numpy().copy())


class TestPruning:
    @pytest.mark.fast_cases(2)
    @pytest.mark.parametrize(
        ("start", "every", "max_epochs", "pruned_before"),
        [
            (3, 2, 8, [3, 5, 7]),
            (2, 1, 5, [2, 3, 4, 5]),
            (6, 10, 8, [6]),
            # A third of the epochs, then every twelfth of them.
            ("auto", "auto", 24, [8, 10, 12, 14, 16, 18, 20, 22, 24]),
            ("auto", 100, 9, [3]),
            (9, 1, 8, []),
        ],
    )
    def test_rows_are_chosen_before_these_epochs(
        self, blobs, start, every, max_epochs, pruned_before
    ):
        X, y, _ = blobs
        params = {**SMALL, "max_epochs": max_epochs, "loss__k": 0.45}
        clf = Watched(
            loss="truncated_gce", prune_start_epoch=start, prune_every=every, **params
        ).fit(X, y)
        expected = np.ones(180, dtype=bool)
        for epoch in range(1, max_epochs + 1):
            if epoch in pruned_before:
                expected = clf.proba_[epoch - 1] > 0.45
            np.testing.assert_array_equal(clf.kept_[epoch - 1], expected)

    def test_it_leaves_out_mostly_wrong_labels(self, blobs):
        X, y, is_noisy = blobs
        clf = RobustLossClassifier(loss="truncated_gce", **{**SMALL, "max_epochs": 20})
        dropped = ~clf.fit(X, y).criterion_.kept.numpy()
        # Seeds 0 to 9: precision and recall at least 0.97.
        assert is_noisy[dropped].mean() > 0.9 and dropped[is_noisy].mean() > 0.9

    def test_rows_of_a_validation_split_are_never_chosen(self, blobs):
        X, y, _ = blobs
        clf = RobustLossClassifier(
            loss="truncated_gce",
            loss__k=0.9,
            prune_start_epoch=2,
            train_split=ValidSplit(3),
            **SMALL,
        ).fit(X, y)
        kept = clf.criterion_.kept.numpy()
        plain = RobustLossClassifier(
            loss="truncated_gce", loss__k=0.9, prune_start_epoch=2, **SMALL
        ).fit(X, y)
        assert kept.sum() >= 60 and plain.criterion_.kept.sum() < 120

    def test_other_losses_are_not_touched(self, blobs):
        X, y, _ = blobs
        a = RobustLossClassifier(prune_start_epoch=1, prune_every=1, **SMALL)
        b = RobustLossClassifier(**SMALL)
        same_training(a.fit(X, y), b.fit(X, y), X)


class Stages(Callback):
    """Keeps what the loss is in each epoch, and the learning rate of its last batch."""

    def initialize(self):
        self.warm, self.ramp, self.lrs = [], [], []
        return self

    def on_batch_end(self, net, training=False, **kwargs):
        lr = net.optimizer_.param_groups[0]["lr"]
        self.lrs = [*self.lrs[: len(net.history) - 1], lr]

    def on_epoch_end(self, net, **kwargs):
        self.warm.append(net.criterion_.warming_up)
        self.ramp.append(getattr(net.criterion_, "ramp", None))


def stages_of(blobs, **params):
    clf = RobustLossClassifier(callbacks=[("stages", Stages())], **{**SMALL, **params})
    clf.fit(*blobs[:2])
    return clf, dict(clf.callbacks_)["stages"]


class TestStages:
    def test_of_peer_loss(self, blobs):
        params = {"lr": 0.1, "lr_schedule": None, "max_epochs": 6, "loss__alpha": 1.0}
        clf, seen = stages_of(
            blobs, loss="peer", warmup_epochs=2, ramp_epochs=2, **params
        )
        assert seen.warm == [True, True, False, False, False, False]
        assert seen.ramp == [0, 0, 0.5, 1, 1, 1]
        np.testing.assert_allclose(seen.lrs, [0.1, 0.1, 0.1 / 1.5, 0.05, 0.05, 0.05])
        assert clf.optimizer_.param_groups[0]["lr"] == 0.1

    def test_auto_goes_by_the_number_of_epochs(self, blobs):
        _, seen = stages_of(blobs, loss="peer", max_epochs=20, batch_size=180)
        assert seen.warm == [True] * 2 + [False] * 18
        np.testing.assert_allclose(seen.ramp[:7], [0, 0, 0.25, 0.5, 0.75, 1, 1])
        _, seen = stages_of(blobs, loss="nls", max_epochs=20, batch_size=180)
        assert seen.warm == [True] * 2 + [False] * 18

    def test_the_learning_rate_of_a_fine_tuning_by_dmi(self, blobs):
        params = {"lr": 0.1, "lr_schedule": None, "warmup_epochs": 2}
        _, seen = stages_of(blobs, loss="dmi", **params)
        np.testing.assert_allclose(seen.lrs, [0.1, 0.1, 0.01, 0.01])

    def test_dmi_refuses_small_batches_and_weights(self, blobs):
        X, y, _ = blobs
        small = RobustLossClassifier(loss="dmi", **{**SMALL, "batch_size": 11})
        with pytest.raises(ValueError, match=r"these have 11. Set batch_size to 12"):
            small.fit(X, y)
        with pytest.raises(ValueError, match=r"DMILoss .* takes no sample_weight"):
            small.set_params(batch_size=12).fit(X, y, sample_weight=np.ones(180))

    def test_an_interrupted_epoch_leaves_the_learning_rate(self, blobs):
        class Stop(Callback):
            def on_batch_end(self, net, **kwargs):
                if len(net.history) == 3:
                    raise KeyboardInterrupt

        stop = {"callbacks": [Stop()], "lr_schedule": None, "lr": 0.1}
        clf = RobustLossClassifier(loss="peer", ramp_epochs=0, **stop, **SMALL)
        clf.fit(*blobs[:2])
        assert clf.criterion_.ramp == 1
        assert clf.optimizer_.param_groups[0]["lr"] == 0.1

    @pytest.mark.parametrize("loss", STAGED)
    def test_a_warmup_of_all_epochs_is_cross_entropy(self, blobs, loss):
        X, y, _ = blobs
        clf = RobustLossClassifier(loss=loss, warmup_epochs=4, **SMALL).fit(X, y)
        same_training(clf, NetClassifier(**SMALL).fit(X, y), X)
        other = RobustLossClassifier(loss=loss, warmup_epochs=2, **SMALL).fit(X, y)
        assert other.history[:2, "train_loss"] == clf.history[:2, "train_loss"]
        assert other.history[2:, "train_loss"] != clf.history[2:, "train_loss"]


@pytest.mark.slow
def test_peer_loss_learns_fewer_wrong_labels_of_digits():
    X, y = load_digits(return_X_y=True)
    X = (X / X.std()).astype(np.float32)
    _, y_noisy = SymmetricNoiseInjector(0.4, random_state=0).fit_resample(X, y)
    params = {**SMALL, "module__hidden": 64, "max_epochs": 20}
    scores = []
    for loss in ("peer", "ce"):
        clf = RobustLossClassifier(loss=loss, **params).fit(X[:700], y_noisy[:700])
        scores.append(clf.score(X[700:], y[700:]))
    assert scores[0] > scores[1] + 0.03


class TestWhatItSays:
    def test_scores_are_one_minus_the_predicted_probability(self, blobs):
        X, y, _ = blobs
        clf = RobustLossClassifier(**SMALL).fit(X, y)
        p = clf.predict_proba(X)
        expected = 1 - p[np.arange(180), y]
        np.testing.assert_allclose(clf.noise_scores_, expected, rtol=1e-5, atol=1e-7)
        others = np.where(np.eye(3)[y], -1, p).argmax(1)
        flagged = clf.noise_mask_
        assert 0 < flagged.sum() < 120
        np.testing.assert_array_equal(clf.suggested_labels_[flagged], others[flagged])

    @pytest.mark.fast_cases(2)
    @pytest.mark.parametrize(
        "loss",
        [
            *("gce", "truncated_gce", "sce", "bootstrap", "label_smoothing", "ce"),
            *("peer", "nls", "f_divergence"),
        ],
    )
    def test_sample_weights_of_one_change_nothing(self, blobs, loss):
        X, y, _ = blobs
        plain = RobustLossClassifier(loss=loss, **SMALL).fit(X, y)
        weighted = RobustLossClassifier(loss=loss, **SMALL)
        weighted.fit(X, y, sample_weight=np.full(180, 2.0))
        np.testing.assert_allclose(
            weighted.predict_proba(X), plain.predict_proba(X), rtol=1e-3, atol=1e-5
        )
        zero = np.where(y == 2, 0.0, 1.0)
        weighted.fit(X, y, sample_weight=zero)
        assert np.abs(weighted.predict_proba(X) - plain.predict_proba(X)).max() > 0.05
