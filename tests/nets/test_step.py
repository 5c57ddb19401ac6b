"""What a training step gives back, and who reads it."""

import numpy as np
import pytest
import torch
from public_estimators import public_estimators
from skorch.callbacks import Callback
from torch.nn import functional as F

from sknoisy import NetClassifier
from sknoisy.nets import Learnt, Step

PARAMS = {"max_epochs": 3, "batch_size": 60, "module__hidden": 4, "random_state": 0}
pytestmark = pytest.mark.filterwarnings("ignore:the refurbished labels have collapsed")


class Reader(Callback):
    """Keep who has learnt what, as a callback is told."""

    def on_train_begin(self, net, **kwargs):
        self.seen = []

    def on_batch_end(self, net, batch=None, training=False, learnt=(), **kwargs):
        self.seen += [(net, batch, *one) for one in learnt]


class OfTheFirstRelease(NetClassifier):
    """Written when a step was a pair."""

    def training_loss(self, X, y, index):
        logits = self.module_(X)
        return F.cross_entropy(logits, y), logits


class Calling(NetClassifier):
    def training_loss(self, X, y, index):
        loss, logits = super().training_loss(X, y, index)
        return Step(loss, logits)


def test_a_pair_is_taken_with_a_warning(blobs):
    X, y, _ = blobs
    with pytest.warns(FutureWarning, match="OfTheFirstRelease returns a tuple") as told:
        old = OfTheFirstRelease(**PARAMS).fit(X, y)
    assert len(told) == 1 and told[0].filename == __file__
    new = NetClassifier(**PARAMS).fit(X, y)
    np.testing.assert_array_equal(old.predict_proba(X), new.predict_proba(X))


def test_a_step_is_unpacked_with_a_warning(blobs):
    X, y, _ = blobs
    with pytest.warns(FutureWarning, match=r"read step.loss and step.logits") as told:
        old = Calling(**PARAMS).fit(X, y)
    assert told[0].filename == __file__
    new = NetClassifier(**PARAMS).fit(X, y)
    np.testing.assert_array_equal(old.predict_proba(X), new.predict_proba(X))


@pytest.mark.parametrize("made", [None, torch.ones(()), (1, 2, 3)])
def test_anything_else_is_refused(blobs, made):
    class Other(NetClassifier):
        def training_loss(self, X, y, index):
            return made

    message = rf"Other must return a sknoisy.nets.Step\(.* {type(made).__name__}\."
    with pytest.raises(TypeError, match=message):
        Other(**PARAMS).fit(*blobs[:2])


@pytest.mark.parametrize(
    ("loss", "found"),
    [
        (torch.zeros(()), "a number that depends on no trainable parameter"),
        (torch.ones(3, requires_grad=True), r"a tensor of shape \(3,\)"),
        (0.0, "an object of type float"),
    ],
    ids=["no gradient", "a loss for each row", "no tensor"],
)
def test_a_loss_without_a_gradient_is_refused(blobs, loss, found):
    class Other(NetClassifier):
        def training_loss(self, X, y, index):
            return Step(loss, self.module_(X))

    message = f"training_loss of Other must .* the loss is {found}.*weighted_mean"
    with pytest.raises(ValueError, match=message):
        Other(**PARAMS).fit(*blobs[:2])


@pytest.mark.parametrize(
    "make", [NetClassifier, *public_estimators("robust classifier")]
)
def test_callbacks_are_told_what_was_learnt(blobs, make):
    X, y, _ = blobs
    reader = Reader()
    clf = make(callbacks=[reader], **PARAMS).fit(X, y)
    networks = {
        id(part) for name in clf._modules for part in getattr(clf, f"{name}_").modules()
    }
    assert len(reader.seen) >= 9
    for _, batch, network, rows, targets, chosen in reader.seen:
        assert id(network) in networks
        assert rows.shape == batch[0].shape and len(targets) == len(batch[1])
        if targets.ndim == 2:
            torch.testing.assert_close(targets.sum(1), torch.ones(len(targets)))
        assert chosen is None or len(chosen) <= len(rows)


def test_what_is_learnt_without_saying_is_empty():
    assert Step(torch.ones(()), torch.ones(2, 3)).learnt == ()
    assert Learnt(None, None, None).rows is None
