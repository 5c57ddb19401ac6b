"""DynamicsClassifier: Appendix B's classifier on simulated trajectories."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from sknoisy import DynamicsClassifier


def simulate(n, seed, same_mean=False):
    """Noisy trajectories start low; with the same mean, only the order of epochs."""
    rng = np.random.default_rng(seed)
    is_noisy = rng.random(n) < 0.4
    shape = np.linspace(-1, 1, 10)
    level = 0 if same_mean else np.where(is_noisy, -1, 1)[:, None]
    slope = np.where(is_noisy, 1, -1)[:, None]
    return level + slope * shape + rng.normal(0, 0.7, (n, 10)), is_noisy


@pytest.mark.slow
def test_it_reads_the_order_of_epochs_that_the_mean_hides():
    X, y = simulate(600, 0, same_mean=True)
    X_test, y_test = simulate(400, 1, same_mean=True)
    full = DynamicsClassifier(random_state=0).fit(X, y)
    mean = DynamicsClassifier(summarize=True, random_state=0).fit(X, y)
    assert f1_score(y_test, full.predict(X_test)) > 0.95
    # Without the order there is nothing to learn: at best the F1 of flagging all, .57.
    assert f1_score(y_test, mean.predict(X_test)) < 0.65


@pytest.mark.slow
def test_the_mean_is_enough_where_levels_differ():
    X, y = simulate(600, 0)
    X_test, y_test = simulate(400, 1)
    mean = DynamicsClassifier(summarize=True, random_state=0).fit(X, y)
    assert f1_score(y_test, mean.predict(X_test)) > 0.95


@pytest.mark.slow
def test_the_epoch_with_the_best_validation_f1_is_kept():
    X, y = simulate(200, 0)
    X[:, 1:] = 0  # little to learn: the score goes up and down
    clf = DynamicsClassifier(max_epochs=12, random_state=0).fit(X, y)
    assert len(clf.validation_scores_) == 12
    best = clf.best_epoch_ - 1
    assert clf.validation_scores_[best] == max(clf.validation_scores_)
    assert best == int(np.argmax(clf.validation_scores_))
    for name, value in clf.module_.state_dict().items():
        np.testing.assert_array_equal(value, clf.best_state_[name])


@pytest.mark.slow
def test_the_validation_score_is_the_f1_of_the_held_out_rows():
    X, y = simulate(200, 0)
    seen = {}

    class Spy(DynamicsClassifier):
        def get_split_datasets(self, X, y=None, **kwargs):
            seen["split"] = super().get_split_datasets(X, y, **kwargs)
            return seen["split"]

    clf = Spy(random_state=0).fit(X, y)
    train, valid = (np.asarray(part.indices) for part in seen["split"])
    assert sorted([*train, *valid]) == list(range(200))
    assert len(valid) == 50
    kept = f1_score(y[valid], clf.predict(X[valid]))
    assert kept == pytest.approx(max(clf.validation_scores_))


def test_without_validation_the_last_epoch_stays():
    X, y = simulate(100, 0)
    clf = DynamicsClassifier(max_epochs=3, validation_fraction=0.0).fit(X, y)
    assert clf.validation_scores_ == [] and clf.best_epoch_ == 3


def test_a_class_of_one_row_is_not_split_off():
    X, y = simulate(50, 0)
    y = np.arange(50) == 7
    clf = DynamicsClassifier(max_epochs=2, random_state=0).fit(X, y)
    assert clf.validation_scores_ == []


def test_learning_rate_falls_by_one_per_cent():
    from skorch.callbacks import Callback

    rates = []

    class Watch(Callback):
        def on_epoch_end(self, net, **kwargs):
            rates.append(net.optimizer_.param_groups[0]["lr"])

    X, y = simulate(100, 0)
    DynamicsClassifier(max_epochs=3, callbacks=[Watch()]).fit(X, y)
    np.testing.assert_allclose(rates, [1, 0.99, 0.99**2], rtol=1e-12)


def test_three_classes_are_refused():
    X, _ = simulate(60, 0)
    with pytest.raises(ValueError, match="Only binary classification is supported"):
        DynamicsClassifier().fit(X, np.arange(60) % 3)


@pytest.mark.slow
def test_real_trajectories_of_digits():
    from sklearn.datasets import load_digits

    from sknoisy import DynaCorDetector, SymmetricNoiseInjector

    X, y = load_digits(return_X_y=True)
    injector = SymmetricNoiseInjector(0.6, random_state=0)
    _, y_noisy = injector.fit_resample(X, y)
    # One setting and two runs: only the trajectories are looked at.
    detector = DynaCorDetector(
        settings=[{"lr": 0.1}], n_runs=2, max_epochs=15, random_state=0
    ).fit(X / 16, y_noisy)
    trajectories, is_noisy = detector.trajectories_, injector.noise_mask_
    clf = DynamicsClassifier(random_state=0).fit(trajectories[:1200], is_noisy[:1200])
    # Truth for two thirds of the rows; flagging all has F1 0.75.
    # Three seeds: 0.959-0.971.
    assert f1_score(is_noisy[1200:], clf.predict(trajectories[1200:])) > 0.93


def test_parameters_of_its_networks_are_checked():
    X, y = simulate(100, 0)
    with pytest.raises(ValueError, match=r"dropout must be in \[0, 1\); got 7"):
        DynamicsClassifier(max_epochs=1, module__dropout=7).fit(X, y)
    with pytest.raises(TypeError, match="hidden must be an integer; got 'many'"):
        DynamicsClassifier(summarize=True, module__hidden="many").fit(X, y)
