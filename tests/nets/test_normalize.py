"""Normalisation as a first layer, of every network for images."""

import numpy as np
import pytest
import torch

from sknoisy import ELRPlusClassifier, NetClassifier, load, save
from sknoisy.nets import (
    CNN9,
    Normalize,
    PreActResNet,
    PreActResNet18,
    ResNet,
    ResNet18,
    ResNet34,
    random_crop,
)
from sknoisy.nets._normalize import NORMALIZATIONS

# One value for each channel, so that order and sign matter.
PAIR = ((0.1, 0.5, 0.7), (0.2, 0.25, 0.5))
X = torch.rand(2, 3, 28, 28)


def by_hand(X, pair=PAIR):
    mean, std = (np.array(part)[:, None, None] for part in pair)
    return torch.tensor((X.numpy() - mean) / std, dtype=torch.float32)


def test_each_channel_has_its_mean_and_deviation():
    torch.testing.assert_close(Normalize(*PAIR)(X), by_hand(X))
    for name, pair in NORMALIZATIONS.items():
        torch.testing.assert_close(Normalize(name)(X), by_hand(X, pair))


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        (PreActResNet, {"blocks": (1,), "width": 4}),
        (PreActResNet, {"blocks": (1,), "width": 4, "stem": "normalized"}),
        (PreActResNet18, {"width": 2}),
        (ResNet, {"blocks": (1,), "width": 4}),
        (ResNet18, {"width": 2}),
        (ResNet34, {"width": 2}),
        (CNN9, {"width": 2}),
    ],
)
def test_a_network_begins_with_it(kind, params):
    torch.manual_seed(0)
    plain = kind((3, 28, 28), 4, **params).eval()
    torch.manual_seed(0)
    net = kind((3, 28, 28), 4, **params, normalize=PAIR).eval()
    torch.testing.assert_close(net(X), plain(by_hand(X)))
    torch.testing.assert_close(net.feature_map(X), plain.feature_map(by_hand(X)))


def test_black_padding_is_what_the_network_sees_as_black():
    # Papers pad images before they normalise them.
    moved = random_crop(torch.ones(50, 3, 8, 8), padding=4)
    seen = Normalize("cifar10")(moved)
    black = Normalize("cifar10")(torch.zeros(1, 3, 1, 1))
    is_padding = (moved == 0).all(1)
    assert is_padding.any()
    for channel in range(3):
        values = seen[:, channel][is_padding]
        torch.testing.assert_close(
            values, black[0, channel].expand_as(values[:, None])[:, 0]
        )


def test_through_classifiers_and_files(tmp_path):
    rng = np.random.default_rng(0)
    images, y = rng.integers(0, 256, (24, 3, 8, 8)).astype(np.uint8), np.arange(24) % 2
    params = {"module": PreActResNet, "module__blocks": (1,), "module__width": 4}
    params |= {"max_epochs": 2, "augment": None, "random_state": 0}
    normalized = NetClassifier(**params, module__normalize=PAIR).fit(images, y)
    by_user = by_hand(torch.tensor(images) / 255).numpy()
    expected = NetClassifier(**params).fit(by_user, y).predict_proba(by_user)
    np.testing.assert_allclose(normalized.predict_proba(images), expected, rtol=1e-4)
    save(normalized, tmp_path / "net.sknoisy")
    again = load(tmp_path / "net.sknoisy").predict_proba(images)
    np.testing.assert_array_equal(again, normalized.predict_proba(images))
    robust = ELRPlusClassifier(**params, module__normalize="cifar10").fit(images, y)
    # The averages of the networks keep what is no weight.
    for network in (*robust.module_.peers, *robust.module_.averages):
        torch.testing.assert_close(network.body[0].mean, Normalize("cifar10").mean)


@pytest.mark.parametrize(
    ("normalize", "message"),
    [
        ("cifar", "no normalisation 'cifar'; there are cifar10, cifar100"),
        (0.5, "normalize must be a name, a pair of means and deviations, or None"),
        (((0.5, 0.5), (1, 1)), "has 2 means, but images have 3 channels"),
        (((0.5,), (1, 1)), "mean and std must have one value for each channel"),
        (((0.5,) * 3, (1, 0, 1)), "std must be positive"),
    ],
)
def test_what_it_cannot_be(normalize, message):
    with pytest.raises(ValueError, match=message):
        ResNet((3, 8, 8), 2, blocks=(1,), width=2, normalize=normalize)


def test_mean_alone_is_refused():
    with pytest.raises(ValueError, match="mean and std must have one value"):
        Normalize([0.5])
    with pytest.raises(ValueError, match="there is no normalisation 'imagenet'"):
        Normalize("imagenet", [1.0])
