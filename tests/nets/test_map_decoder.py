"""Decoders of adversarial masking: their shapes, their gradients, what they restore."""

import itertools

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

from sknoisy import DivideMixClassifier, NetClassifier
from sknoisy.nets import AdversarialMasking, PreActResNet
from sknoisy.nets._decoding import MapDecoder, make_decoder, weighted_errors
from sknoisy.nets._peers import networks_of


@pytest.fixture(scope="module")
def digits():
    """Digits of 16 x 16 pixels."""
    X, y = load_digits(return_X_y=True)
    X = torch.from_numpy(X.reshape(-1, 1, 8, 8) / 16).float()
    return F.interpolate(X, (16, 16), mode="bilinear").numpy(), y


class TestShapes:
    @pytest.mark.parametrize(
        ("n_channels", "side", "sides"),
        [(512, 4, [10, 15, 32]), (2048, 7, [25, 75, 224])],
    )
    def test_the_published_ones(self, n_channels, side, sides):
        decoder = make_decoder((n_channels, side, side), (3, sides[-1], sides[-1]))
        assert [layer.out_channels for layer in decoder] == [256, 128, 3]
        assert decoder[0].in_channels == n_channels
        assert all(isinstance(layer, nn.ConvTranspose2d) for layer in decoder)
        made, found = torch.zeros(1, n_channels, side, side), []
        for layer in decoder:
            # One channel is enough to see a size.
            made = F.conv_transpose2d(
                made[:, :1],
                layer.weight[:1, :1],
                None,
                layer.stride,
                layer.padding,
                layer.output_padding,
            )
            found.append(made.shape[2])
        assert found == sides

    def test_others_double_the_size(self):
        decoder = make_decoder((512, 7, 7), (3, 56, 56))
        assert [layer.kernel_size for layer in decoder] == [(4, 4)] * 3
        assert [layer.stride for layer in decoder] == [(2, 2)] * 3
        assert [layer.out_channels for layer in decoder] == [256, 128, 3]

    @pytest.mark.parametrize(
        ("map_shape", "image_shape"),
        [
            ((8, 2, 2), (3, 64, 64)),
            ((8, 10, 10), (3, 299, 299)),
            ((1, 7, 7), (1, 224, 224)),
            ((3, 5, 7), (2, 28, 40)),
            ((16, 7, 7), (3, 64, 48)),
            ((4, 1, 6), (1, 8, 6)),
        ],
    )
    def test_any_image(self, map_shape, image_shape):
        restored = make_decoder(map_shape, image_shape)(torch.rand(2, *map_shape))
        assert restored.shape == (2, *image_shape)

    def test_all_sizes_up_to_40(self):
        for side, image in itertools.combinations_with_replacement(range(1, 41), 2):
            decoder = make_decoder((1, side, side), (1, image, image))
            size = side
            for layer in decoder:
                kernel, stride, padding = (
                    values[0]
                    for values in (layer.kernel_size, layer.stride, layer.padding)
                )
                assert kernel >= stride, "a pixel would depend on nothing"
                size = (size - 1) * stride + kernel - 2 * padding
                size += layer.output_padding[0]
            assert size == image

    def test_the_scale_of_the_maps_does_not_matter(self):
        torch.manual_seed(0)
        decoder, maps = make_decoder((12, 4, 4), (1, 8, 8)), torch.rand(3, 12, 4, 4)
        restored = decoder(maps)
        torch.testing.assert_close(
            decoder(50 * maps + 3), restored, rtol=1e-3, atol=1e-4
        )
        seen = MapDecoder()(maps).double().numpy()
        maps = maps.double().numpy()
        mean, spread = (f(maps, (1, 2, 3), keepdims=True) for f in (np.mean, np.std))
        expected = 8 / 12**0.5 * (maps - mean) / spread
        np.testing.assert_allclose(seen, expected, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose((seen**2).sum(1).mean((1, 2)), 64, rtol=1e-3)


class TestWeight:
    def gradients(self, weight, target):
        """Return errors, and gradients of the decoder, the map and an own sum."""
        torch.manual_seed(0)
        decoder = nn.ConvTranspose2d(3, 1, 2, 2)
        feature_map = torch.rand(5, 3, 4, 4, requires_grad=True)

        def errors_of(maps):
            return (decoder(maps) - target).square().mean((1, 2, 3))

        errors = weighted_errors(errors_of, feature_map, weight)
        found = torch.autograd.grad(errors.sum(), [decoder.weight, feature_map])
        alone = errors_of(feature_map)
        expected = torch.autograd.grad(alone.sum(), [decoder.weight, feature_map])
        return errors, alone, found, expected

    @pytest.mark.parametrize("weight", [0.02, 0.3, 1.0, 2.0])
    def test_is_that_of_the_network_only(self, weight):
        errors, alone, found, expected = self.gradients(weight, target=0.5)
        assert alone.max() < 2
        torch.testing.assert_close(errors, weight * alone)
        torch.testing.assert_close(found[0], expected[0])
        torch.testing.assert_close(found[1], weight * expected[1])

    def test_errors_worse_than_the_mean_pixel_count_as_much_as_that(self):
        errors, alone, found, expected = self.gradients(0.5, target=100.0)
        assert alone.min() > 5_000
        torch.testing.assert_close(errors, 0.5 * alone)
        share = (2 / alone)[:, None, None, None]
        torch.testing.assert_close(found[1], 0.5 * share * expected[1])

    @pytest.mark.slow
    def test_a_decoder_that_diverges_does_not_spoil_the_training(self, digits):
        X, y = digits
        params = {"module__blocks": (1, 1), "module__width": 4, "batch_size": 32}
        clf = NetClassifier(
            PreActResNet,
            masking=AdversarialMasking,
            lr=1.0,
            max_epochs=4,
            random_state=0,
            **params,
        )
        assert np.isfinite(clf.fit(X[:300], y[:300]).history[:, "train_loss"]).all()


def explained(restored, X, rows):
    """Return R² of some pixels, against the mean of all."""
    error = (restored - X)[rows].square().sum()
    return float(1 - error / (X - X.mean())[rows].square().sum())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "n_epochs"), [(NetClassifier, 6), (DivideMixClassifier, 4)]
)
def test_masked_images_that_were_not_trained_on_are_restored(digits, kind, n_epochs):
    X, y = digits
    # All parameters of masking are the default ones.
    clf = kind(
        PreActResNet,
        module__blocks=(1, 1, 1),
        module__width=8,
        masking=AdversarialMasking,
        max_epochs=n_epochs,
        batch_size=32,
        random_state=0,
    ).fit(X[:300], y[:300])
    torch.manual_seed(0)
    held_out = torch.from_numpy(X[300:600])
    targets = F.one_hot(torch.from_numpy(y[300:600])).float()
    for turn, network in enumerate(networks_of(clf.module_.eval())):
        with torch.no_grad():
            feature_map = network.feature_map(held_out)
        masked, _ = clf.masking_.views(held_out, targets, torch.ones(300), feature_map)
        for view in masked:
            restored = clf.masking_.restore(turn, network, view)
            assert restored.shape == view.shape
            assert explained(restored, held_out, slice(None)) > 0.3
            hidden = view != held_out
            assert 0.01 < hidden.float().mean() < 0.2
            assert explained(restored, held_out, hidden) > 0.3


def test_images_are_restored_in_their_range():
    class Mean(nn.Module):
        def feature_map(self, X):
            return X.mean(1, keepdim=True)

    torch.manual_seed(0)
    X = 30 + 5 * torch.randn(64, 2, 8, 8) * torch.tensor([1.0, 2.0])[:, None, None]
    masking = AdversarialMasking().start([Mean()], torch.zeros(1, 2, 8, 8), 64)
    masking.reconstruction_loss(0, Mean().feature_map(X.repeat(2, 1, 1, 1)), X)
    with torch.no_grad():
        decoded = masking.decoders[0](Mean().feature_map(X))
    scale, mean = X.std((0, 2, 3)), X.mean((0, 2, 3))
    expected = mean[:, None, None] + scale[:, None, None] * decoded
    restored = masking.restore(0, Mean(), X)
    torch.testing.assert_close(restored, expected, rtol=1e-3, atol=1e-3)


def test_errors_do_not_depend_on_the_range_of_images():
    torch.manual_seed(0)
    X, maps = torch.rand(6, 1, 8, 8), torch.rand(12, 3, 4, 4)

    class Shaped(nn.Module):
        def feature_map(self, X):
            return maps[: len(X)]

    masking = AdversarialMasking().start([Shaped()], torch.zeros(1, 1, 8, 8), 6)
    found = masking.reconstruction_loss(0, maps, X)
    again = masking.reconstruction_loss(0, maps, 255 * X - 7)
    torch.testing.assert_close(found, again, rtol=1e-3, atol=1e-3)
