"""Networks with auxiliary logits, which are ignored or weighted by name."""

import copy
from collections import namedtuple

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sknoisy import NALClassifier, NetClassifier
from sknoisy.nets import AdversarialMasking, TorchvisionNet

Outputs = namedtuple("Outputs", ["logits", "aux_logits2", "aux_logits1"])


class Model(nn.Module):
    """Laid out as torchvision's GoogLeNet: two auxiliary heads, in training only."""

    def __init__(self):
        super().__init__()
        self.body = nn.Conv2d(3, 6, 3)
        self.aux1 = nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 1000))
        self.AuxLogits = nn.Linear(6, 1000)
        self.fc = nn.Linear(6, 1000)

    def forward(self, X):
        made = self.body(X).mean((2, 3))
        if not self.training:
            return self.fc(made)
        return Outputs(self.fc(made), self.AuxLogits(made), self.aux1(made))


RNG = np.random.default_rng(0)
Y = np.arange(20) % 2
X = (RNG.random((20, 3, 8, 8)) * 0.5 + 0.5 * Y[:, None, None, None]).astype("f4")
PARAMS = {"module": TorchvisionNet, "module__model": Model, "augment": None}
PARAMS |= {"random_state": 0, "batch_size": 20, "max_epochs": 1}


def test_heads_of_all_outputs_are_replaced():
    net = TorchvisionNet(4, Model)
    assert net.network.fc.out_features == net.network.AuxLogits.out_features == 4
    assert [layer.out_features for layer in net.network.aux1] == [5, 4]
    batch = torch.tensor(X)
    assert net(batch).shape == net.eval()(batch).shape == (20, 4)
    torch.testing.assert_close(net.network.fc(net.embed(batch)), net(batch))


def test_they_are_ignored_without_weights():
    net = NetClassifier(**PARAMS)
    net.fit(X, Y)
    before = TorchvisionNet(2, Model)
    assert net.module_.auxiliary_logits == {}
    head = net.module_.network.AuxLogits
    assert head.weight.grad is None and head.out_features == 2
    assert before.auxiliary is None


def test_their_losses_are_weighted_by_name():
    weights = {"aux_logits1": 0.3, "aux_logits2": 0.7}
    start = TorchvisionNet(2, Model, auxiliary=weights)
    net = NetClassifier(
        start,
        augment=None,
        batch_size=20,
        max_epochs=1,
        optimizer__momentum=0,
        optimizer__weight_decay=0,
        lr=0.1,
        lr_schedule=None,
    ).fit(X, Y)
    by_hand = copy.deepcopy(start).train()
    out = by_hand.network(torch.tensor(X))
    y = torch.tensor(Y)
    loss = F.cross_entropy(out.logits, y) + 0.3 * F.cross_entropy(out.aux_logits1, y)
    loss = loss + 0.7 * F.cross_entropy(out.aux_logits2, y)
    loss.backward()
    assert net.history[-1]["train_loss"] == pytest.approx(loss.item(), rel=1e-5)
    pairs = zip(by_hand.parameters(), net.module_.parameters(), strict=True)
    for weight, learnt in pairs:
        expected = weight.detach() - 0.1 * weight.grad
        torch.testing.assert_close(learnt.detach(), expected, rtol=1e-4, atol=1e-6)
    # What was kept for the loss is gone, so that the net can be copied.
    assert copy.deepcopy(net.module_).auxiliary_logits == {}


def test_sample_weights_count_for_them_too():
    weights = np.where(Y == 0, 1.0, 0.0)
    params = {**PARAMS, "module__auxiliary": {"aux_logits1": 1.0}, "max_epochs": 30}
    net = NetClassifier(**params, lr=0.2).fit(X, Y, sample_weight=weights)
    assert set(net.predict(X)) == {0}


def test_names_that_are_not_there():
    net = NetClassifier(**PARAMS, module__auxiliary={"aux": 1.0})
    message = "auxiliary names 'aux', but .* outputs 'aux_logits2', 'aux_logits1'"
    with pytest.raises(ValueError, match=message):
        net.fit(X, Y)


@pytest.mark.parametrize("kind", [NALClassifier, NetClassifier])
def test_who_does_not_learn_from_them_says_so(kind):
    masking = {"masking": AdversarialMasking} if kind is NetClassifier else {}
    net = kind(**PARAMS, **masking, module__auxiliary={"aux_logits1": 1.0})
    who = "masking" if masking else "NALClassifier"
    with pytest.raises(ValueError, match=f"{who} does not learn from auxiliary logits"):
        net.fit(X, Y)
    if not masking:
        ignored = kind(**PARAMS).fit(X, Y)
        assert ignored.noise_scores_.shape == (20,)
