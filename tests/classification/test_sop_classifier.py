"""SOP: its steps, its second view, and what it says of labels."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from skorch.dataset import ValidSplit
from torch.nn import functional as F

from sknoisy import NetClassifier, SOPClassifier, SymmetricNoiseInjector
from sknoisy.classification._sop import default_v_lr
from sknoisy.losses import SOPLoss

SMALL = {
    "module__hidden": 6,
    "module__dropout": 0.0,
    "max_epochs": 4,
    "batch_size": 60,
    "random_state": 0,
}


def test_it_is_the_criterion_in_a_plain_net(blobs):
    X, y, _ = blobs
    own = SOPClassifier(u_lr=0.1, v_lr=0.2, initial=0.1, **SMALL).fit(X, y)
    params = {"criterion__u_lr": 0.1, "criterion__v_lr": 0.2, "criterion__initial": 0.1}
    plain = NetClassifier(criterion=SOPLoss, **params, **SMALL).fit(X, y)
    np.testing.assert_array_equal(own.predict_proba(X), plain.predict_proba(X))
    assert torch.equal(own.criterion_.v, plain.criterion_.v)
    u, v = own.criterion_.u.numpy(), own.criterion_.v.numpy()
    rest = v.astype(float) ** 2
    rest[np.arange(180), y] = 1 - u.astype(float) ** 2
    expected = 1 - rest[np.arange(180), y] / rest.sum(1)
    np.testing.assert_allclose(own.noise_scores_, expected, rtol=1e-4, atol=1e-6)


def test_consistency_and_balance_are_added(blobs):
    X, y, _ = blobs
    params = {**SMALL, "lr": 0.0, "max_epochs": 1, "batch_size": -1}
    plain = SOPClassifier(**params).fit(X, y)
    view = {"strong_view": lambda batch: 2 * batch}
    both = SOPClassifier(
        consistency_weight=0.9, balance_weight=0.1, **view, **params
    ).fit(X, y)
    with torch.no_grad():
        weak, strong = (plain.module_(torch.tensor(k * X)) for k in (1, 2))
    kl = F.kl_div(strong.log_softmax(1), weak.softmax(1), reduction="batchmean")
    # The noise of 1e-4 at the start hardly moves the mean prediction.
    balance = -weak.softmax(1).mean(0).log().mean()
    added = both.history[0, "train_loss"] - plain.history[0, "train_loss"]
    assert added == pytest.approx(float(0.9 * kl + 0.1 * balance), abs=1e-4)


@pytest.mark.parametrize(("max_epochs", "initial"), [(300, 1e-3), (100, 0.05)])
def test_a_contradicted_label_is_given_up_after_a_fifth_of_the_epochs(
    max_epochs, initial
):
    v, step, n_epochs = initial, 4 * default_v_lr(max_epochs, initial), 0
    while v * v < 0.5:
        v *= 1 + step * (1 - v * v)
        n_epochs += 1
    assert 0.2 * max_epochs <= n_epochs < 0.26 * max_epochs
    assert default_v_lr(3, 1e-3) == 0.25


def test_rows_that_are_not_learnt_are_judged_by_the_prediction(blobs):
    X, y, _ = blobs
    clf = SOPClassifier(train_split=ValidSplit(3), **SMALL).fit(X, y)
    absent = ~clf.criterion_.seen.numpy()
    assert absent.sum() == 60
    np.testing.assert_allclose(
        clf.estimated_targets_[absent], clf.predict_proba(X)[absent], rtol=1e-5
    )


@pytest.mark.slow
def test_wrong_labels_of_digits_are_explained():
    X, y = load_digits(return_X_y=True)
    injector = SymmetricNoiseInjector(0.4, random_state=0)
    X, y_noisy = injector.fit_resample((X / X.std()).astype(np.float32), y)
    clf = SOPClassifier(random_state=0).fit(X[:1000], y_noisy[:1000])
    is_wrong = (y != y_noisy)[:1000]
    learnt = clf.estimated_targets_.argmax(1)
    assert (learnt == y[:1000])[is_wrong].mean() > 0.75
    assert (learnt == y[:1000])[~is_wrong].mean() > 0.9
