"""DynaCorDetector the paper's way: its settings, corrupted copies, the encoder."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.metrics import f1_score, roc_auc_score
from skorch import NeuralNetClassifier
from torch import nn

from sknoisy import DynaCorDetector, NetClassifier, SymmetricNoiseInjector
from sknoisy.base import TrainingInterruptedWarning
from sknoisy.nets import MLP, DynamicsRecorder

PAPER = {
    "settings": "paper",
    "corruption": "copy",
    "decision": "cluster",
    "copy_view": None,
}
QUICK = {**PAPER, "max_epochs": 6, "encoder_epochs": 2, "random_state": 0}
QUICK["module__hidden"] = 32


@pytest.fixture(scope="module")
def noisy_digits():
    X, y = load_digits(return_X_y=True)
    X, y = X[:1000], y[:1000]
    injector = SymmetricNoiseInjector(0.4, random_state=0)
    _, y_noisy = injector.fit_resample(X, y)
    return X / 16, y, y_noisy, injector.noise_mask_


@pytest.mark.slow
def test_digits_with_40_per_cent_noise(noisy_digits):
    # Ten seeds of noise and detector: F1 0.954-0.982, AUROC 0.996-0.999, 95-97 % right
    # after repair. A detector without the encoder's clusters (all flagged) has F1 0.57.
    X, y, y_noisy, is_noisy = noisy_digits
    detector = DynaCorDetector(**PAPER, random_state=0).fit(X, y_noisy)
    assert f1_score(is_noisy, detector.predict_noisy()) > 0.92
    assert roc_auc_score(is_noisy, detector.noise_scores_) > 0.985
    assert abs(detector.noise_rate_ - is_noisy.mean()) < 0.05
    # 60 % of the given labels are right, and the suggestions must repair most others.
    assert (detector.suggested_labels_ == y).mean() > 0.92


@pytest.mark.slow
@pytest.mark.parametrize(
    # Ten seeds: at least 0.983, and 0.80 for the alignment.
    ("signal", "floor"),
    [("loss", 0.95), ("probability", 0.95), ("prob_diff", 0.95), ("alignment", 0.68)],
)
def test_every_signal_points_the_right_way(noisy_digits, signal, floor):
    X, _, y_noisy, is_noisy = (part[:500] for part in noisy_digits)
    detector = DynaCorDetector(**PAPER, signal=signal, max_epochs=15, random_state=0)
    detector.fit(X, y_noisy)
    assert roc_auc_score(is_noisy, detector.noise_scores_) > floor
    # Raw trajectories keep the sign of the paper's table: the loss grows with noise.
    clean, noisy = (
        detector.trajectories_[rows].mean() for rows in (~is_noisy, is_noisy)
    )
    assert (noisy > clean) == (signal == "loss")


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize("normalize", ["l2_time", "sign", "zscore", None])
@pytest.mark.parametrize("eval_distance", ["euclidean", "cosine"])
def test_every_scaling_and_distance_finds_blobs(blobs, normalize, eval_distance):
    X, y, is_noisy = blobs
    detector = DynaCorDetector(
        normalize=normalize, eval_distance=eval_distance, **QUICK
    ).fit(X, y)
    assert roc_auc_score(is_noisy, detector.noise_scores_) > 0.85


def test_without_copies(blobs):
    X, y, is_noisy = blobs
    detector = DynaCorDetector(corruption_rate=0, **QUICK).fit(X, y)
    assert len(detector.corrupted_indices_) == 0
    assert np.isnan(detector.setting_aurocs_).all()
    assert roc_auc_score(is_noisy, detector.noise_scores_) > 0.85


def test_copies_stay_out_of_every_attribute(blobs):
    X, y, _ = blobs
    detector = DynaCorDetector(corruption_rate=0.5, **QUICK).fit(X, y)
    assert len(detector.corrupted_indices_) == 90
    assert len(set(detector.corrupted_indices_)) == 90
    assert len(detector.encoder_.scores_) == 180 + 90
    assert detector.trajectories_.shape == (180, 6)
    for name in ("noise_scores_", "noise_mask_", "suggested_labels_"):
        assert len(getattr(detector, name)) == 180


def test_trajectories_are_those_of_the_networks_own_recorder(blobs):
    X, y, _ = blobs
    detector = DynaCorDetector(**QUICK).fit(X, y)
    recorder = next(
        callback
        for _, callback in detector.net_.callbacks_
        if isinstance(callback, DynamicsRecorder)
    )
    np.testing.assert_array_equal(recorder.trajectories_[:180], detector.trajectories_)
    assert not np.isnan(recorder.trajectories_).any()


def test_copy_view_reaches_the_network_only_for_copies(blobs):
    X, y, _ = blobs
    seen = []

    def view(rows):
        seen.append(rows.copy())
        return rows + 0.1

    detector = DynaCorDetector(**{**QUICK, "copy_view": view}).fit(X, y)
    np.testing.assert_array_equal(seen[0], X[detector.corrupted_indices_])
    plain = DynaCorDetector(**QUICK).fit(X, y)
    assert (plain.noise_scores_ != detector.noise_scores_).any()


@pytest.mark.slow
def test_a_stock_skorch_net_is_watched_and_left_alone(blobs):
    X, y, is_noisy = blobs
    net = NeuralNetClassifier(
        MLP,
        module__input_shape=(4,),
        module__n_classes=3,
        module__hidden=32,
        criterion=nn.CrossEntropyLoss,
        max_epochs=6,
        lr=0.1,
        verbose=0,
        callbacks="disable",
    )
    before = net.get_params(deep=False)
    detector = DynaCorDetector(net, **PAPER, random_state=0).fit(X, y)
    assert net.get_params(deep=False) == before and not net.initialized_
    assert roc_auc_score(is_noisy, detector.noise_scores_) > 0.85
    again = DynaCorDetector(net, **PAPER, random_state=0).fit(X, y)
    np.testing.assert_array_equal(again.noise_scores_, detector.noise_scores_)


@pytest.mark.slow
def test_probabilities_under_nll_loss_give_the_margins_of_their_logs(blobs):
    X, y, _ = blobs

    class Softmax(MLP):
        def forward(self, X):
            return super().forward(X).softmax(1)

    common = {
        "module__input_shape": (4,),
        "module__n_classes": 3,
        "max_epochs": 3,
        "verbose": 0,
    }
    with_logits = NeuralNetClassifier(MLP, criterion=nn.CrossEntropyLoss, **common)
    with_proba = NeuralNetClassifier(Softmax, **common)
    a, b = (
        DynaCorDetector(net, **PAPER, random_state=0).fit(X, y).trajectories_
        for net in (with_logits, with_proba)
    )
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_callbacks_of_the_user_run_and_disable_keeps_the_recorder(blobs):
    from skorch.callbacks import Callback

    X, y, _ = blobs

    class Counter(Callback):
        epochs = 0

        def on_epoch_end(self, net, **kwargs):
            Counter.epochs += 1

    DynaCorDetector(callbacks=[Counter()], **QUICK).fit(X, y)
    assert Counter.epochs == 6
    disabled = DynaCorDetector(callbacks="disable", **QUICK).fit(X, y)
    plain = DynaCorDetector(**QUICK).fit(X, y)
    np.testing.assert_array_equal(disabled.noise_scores_, plain.noise_scores_)
    assert [name for name, _ in disabled.net_.callbacks_] == ["DynamicsRecorder"]


def test_an_interrupted_training_keeps_its_epochs(blobs):
    from skorch.callbacks import Callback

    X, y, _ = blobs

    class Interrupt(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == self.epoch:
                raise KeyboardInterrupt

    late, early = Interrupt(), Interrupt()
    late.epoch, early.epoch = 4, 1
    detector = DynaCorDetector(callbacks=[late], **QUICK).fit(X, y)
    assert detector.trajectories_.shape == (180, 3)
    with pytest.raises(RuntimeError, match="before every row") as caught:
        DynaCorDetector(callbacks=[early], **QUICK).fit(X, y)
    assert "before its first epoch" in str(caught.value.__cause__)


def test_an_interrupted_encoder_says_so(blobs, monkeypatch):
    from sknoisy.detection._dynamics._encoder import DynamicsClustering

    def interrupt(*args):
        raise KeyboardInterrupt

    X, y, _ = blobs
    monkeypatch.setattr(DynamicsClustering, "_set_centers", interrupt)
    with pytest.raises(RuntimeError, match="before the encoder"):
        DynaCorDetector(**QUICK).fit(X, y)


def test_an_encoder_that_diverges_names_its_own_rate(blobs):
    X, y, _ = blobs
    message = r"encoder .* diverged; lower encoder_lr \(now 1e\+30\)"
    with pytest.raises(FloatingPointError, match=message):
        DynaCorDetector(encoder_lr=1e30, **QUICK).fit(X, y)


def test_an_encoder_interrupted_later_keeps_its_best_epoch(blobs, monkeypatch):
    from sknoisy.detection._dynamics._encoder import DynamicsClustering

    def interrupt(*args):
        raise KeyboardInterrupt

    X, y, _ = blobs
    monkeypatch.setattr(DynamicsClustering, "training_loss", interrupt)
    message = r"encoder was interrupted: .* best of 0 epochs of \d"
    with pytest.warns(TrainingInterruptedWarning, match=message):
        detector = DynaCorDetector(**QUICK).fit(X, y)
    assert detector.encoder_.best_epoch_ == 0
    assert detector.noise_scores_.shape == (180,)


def test_flat_parameters_reach_the_network(blobs):
    X, y, _ = blobs
    detector = DynaCorDetector(
        max_epochs=2,
        lr=0.3,
        batch_size=50,
        module__hidden=(8, 4),
        optimizer__momentum=0.5,
        **PAPER,
    ).fit(X, y)
    net = detector.net_
    assert (net.max_epochs, net.lr, net.batch_size) == (2, 0.3, 50)
    assert net.module_.head.in_features == 4
    group = net.optimizer_.param_groups[0]
    assert (group["momentum"], group["weight_decay"]) == (0.5, 5e-4)


@pytest.mark.slow
def test_settings_and_lengths_are_the_papers(blobs):
    X, y, _ = blobs
    detector = DynaCorDetector(**PAPER, random_state=0).fit(X, y)
    params = detector.net_.get_params()
    assert params["module__hidden"] == (512, 512)
    assert params["module__dropout"] == 0
    assert params["optimizer__weight_decay"] == 5e-4
    assert (params["lr"], params["max_epochs"], params["batch_size"]) == (0.1, 30, 128)
    assert detector.corruption_rate == 0.1
    assert detector.encoder_.criterion_.weight == 0.5
    assert detector.encoder_lr == 1e-5
    assert len(detector.encoder_.metrics_) == 11  # 10 epochs, and before the first
    assert detector.settings_ == [detector.best_setting_]
    assert detector.setting_aurocs_.shape == (1, 1)
    assert detector.encoder_.module_.cnn.fc.out_features == 512
    assert detector.encoder_.optimizer_.defaults["weight_decay"] == 5e-4


def test_flat_parameters_beside_an_estimator_are_refused(blobs):
    X, y, _ = blobs
    for params in ({"module__hidden": 8}, {"max_epochs": 5}):
        name = next(iter(params))
        with pytest.raises(ValueError, match=f"{name}: set on the estimator"):
            DynaCorDetector(NetClassifier(), **PAPER, **params).fit(X, y)


def test_other_estimators_are_refused(blobs):
    from sklearn.linear_model import LogisticRegression

    X, y, _ = blobs
    with pytest.raises(TypeError, match="must be a skorch net"):
        DynaCorDetector(LogisticRegression(), **PAPER).fit(X, y)


def test_a_rate_that_corrupts_no_row_is_refused(blobs):
    X, y, _ = blobs
    with pytest.raises(ValueError, match="leaves no row to corrupt"):
        DynaCorDetector(**PAPER, corruption_rate=0.001).fit(X, y)
