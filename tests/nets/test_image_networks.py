"""Networks for small images: layers, shapes, sizes, and what is built on them."""

from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sknoisy.nets import (
    CNN9,
    NetClassifier,
    PreActResNet,
    PreActResNet18,
    ResNet,
    ResNet18,
    ResNet34,
    embed,
)
from sknoisy.nets._attention import AttentiveNetwork
from sknoisy.nets._defaults import default_module
from sknoisy.nets._image_networks import _Block, _PreActBlock
from sknoisy.nets._modules import embed_and_classify
from sknoisy.nets._peers import Peers

pytestmark = pytest.mark.usefixtures("seeded")
RESIDUAL = [PreActResNet, ResNet]
ALL = [PreActResNet, PreActResNet18, ResNet, ResNet18, ResNet34, CNN9]
# The fewest channels with which all of them are the same kind of network.
SMALL = {"width": 4}


def n_parameters(module):
    return sum(p.numel() for p in module.parameters())


def on_paper(network, *args, **params):
    """Build a network without the memory of its weights."""
    with torch.device("meta"):
        return network(*args, **params)


def normalised(X, norm):
    """Batch normalisation in evaluation mode, from its formula."""
    mean, var, weight, bias = (
        part[:, None, None]
        for part in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    )
    return weight * (X - mean) / (var + norm.eps).sqrt() + bias


def shake(module):
    """Give normalisations values that differ from their initial ones."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for values in (layer.weight, layer.running_var):
                nn.init.uniform_(values, 0.5, 2.0)
            for values in (layer.bias, layer.running_mean):
                nn.init.normal_(values)
    return module.eval()


class TestSizes:
    @pytest.mark.parametrize(
        ("network", "expected"),
        [
            # 11,171,146 in the widely used implementation without the normalisation
            # after the last block, which has two parameters for each of 512 channels.
            (PreActResNet18, 11_171_146 + 2 * 512),
            # The widely used implementations for 32 x 32 pixels and ten classes.
            (ResNet18, 11_173_962),
            (ResNet34, 21_282_122),
        ],
    )
    def test_published_numbers_of_parameters(self, network, expected):
        assert n_parameters(on_paper(network, (3, 32, 32), 10)) == expected

    @pytest.mark.fast_cases(1)
    @pytest.mark.parametrize(("n_channels", "n_classes"), [(3, 10), (1, 14)])
    def test_nine_layers_by_their_list(self, n_channels, n_classes):
        widths = [n_channels, 128, 128, 128, 256, 256, 256, 512, 256, 128]
        expected = 128 * n_classes + n_classes
        for n_in, n_out in pairwise(widths):
            # Weights and bias of a 3 x 3 convolution, scale and shift after it.
            expected += 9 * n_in * n_out + n_out + 2 * n_out
        network = on_paper(CNN9, (n_channels, 32, 32), n_classes)
        assert n_parameters(network) == expected

    @pytest.mark.parametrize(
        ("network", "params", "depth"),
        [
            (PreActResNet, {}, 18),
            (PreActResNet18, {}, 18),
            (ResNet18, {}, 18),
            (ResNet34, {}, 34),
            (ResNet, {"blocks": (3, 4, 6, 3)}, 34),
            (PreActResNet, {"blocks": (1, 2, 1)}, 10),
        ],
    )
    def test_the_depth_counts_3x3_convolutions_and_the_head(
        self, network, params, depth
    ):
        layers = list(on_paper(network, (3, 32, 32), 10, **params).modules())
        convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
        kernels = [layer.kernel_size for layer in convolutions]
        n_linear = sum(isinstance(layer, nn.Linear) for layer in layers)
        assert kernels.count((3, 3)) + n_linear == depth and n_linear == 1
        # The others change size or channels on the shortcuts, one a resolution.
        n_resolutions = len(params.get("blocks", (2, 2, 2, 2)))
        assert kernels.count((1, 1)) == len(kernels) - depth + 1 == n_resolutions - 1
        # A normalisation follows, and makes a bias void.
        assert all(layer.bias is None for layer in convolutions)

    def test_nine_layers_as_published(self):
        layers = list(on_paper(CNN9, (3, 32, 32), 10).body)
        kinds = [type(layer).__name__ for layer in layers]
        three = ["Conv2d", "BatchNorm2d", "LeakyReLU"] * 3
        between = ["MaxPool2d", "Dropout2d"]
        assert kinds == [*three, *between, *three, *between, *three]
        convolutions = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
        assert len(convolutions) == 9
        assert [c.padding for c in convolutions] == [(1, 1)] * 6 + [(0, 0)] * 3
        slopes = {c.negative_slope for c in layers if isinstance(c, nn.LeakyReLU)}
        drops = {c.p for c in layers if isinstance(c, nn.Dropout2d)}
        assert slopes == {0.01} and drops == {0.25}
        other = on_paper(CNN9, (3, 32, 32), 10, dropout=0.5).body
        assert {c.p for c in other if isinstance(c, nn.Dropout2d)} == {0.5}

    def test_numbers_in_the_name_are_those_of_the_parent(self):
        for short, long, blocks in (
            (PreActResNet18, PreActResNet, (2, 2, 2, 2)),
            (ResNet18, ResNet, (2, 2, 2, 2)),
            (ResNet34, ResNet, (3, 4, 6, 3)),
        ):
            a = on_paper(short, (3, 32, 32), 7, width=8).state_dict()
            b = on_paper(long, (3, 32, 32), 7, blocks, 8).state_dict()
            shapes = [{k: v.shape for k, v in state.items()} for state in (a, b)]
            assert shapes[0] == shapes[1]


class TestShapes:
    @pytest.mark.fast_cases(4)
    @pytest.mark.parametrize("network", RESIDUAL)
    @pytest.mark.parametrize(
        ("shape", "blocks", "side"),
        [
            ((3, 32, 32), (1, 1, 1, 1), 4),
            ((1, 32, 32), (1, 1, 1, 1), 4),
            ((3, 8, 8), (1, 1, 1, 1), 1),
            ((3, 8, 8), (2, 1), 4),
            ((4, 9, 9), (1, 1, 1), 3),
            ((3, 4, 4), (1,), 4),
        ],
    )
    def test_residual_networks(self, network, shape, blocks, side):
        net = network(shape, 5, blocks, **SMALL).eval()
        X = torch.rand(3, *shape)
        n_out = 4 * 2 ** (len(blocks) - 1)
        assert net.feature_map(X).shape == (3, n_out, side, side)
        assert net.embed(X).shape == (3, n_out) and net(X).shape == (3, 5)

    @pytest.mark.parametrize("network", [PreActResNet18, ResNet18, ResNet34])
    @pytest.mark.parametrize("shape", [(3, 32, 32), (1, 8, 8), (3, 16, 24)])
    def test_named_networks_halve_three_times(self, network, shape):
        net = network(shape, 2, **SMALL).eval()
        expected = (2, 32, shape[1] // 8, shape[2] // 8)
        assert net.feature_map(torch.rand(2, *shape)).shape == expected

    @pytest.mark.parametrize(
        ("shape", "map_shape"),
        [((3, 32, 32), (2, 2)), ((1, 28, 28), (1, 1)), ((3, 28, 40), (1, 4))],
    )
    def test_nine_layers(self, shape, map_shape):
        net = CNN9(shape, 6, **SMALL).eval()
        X = torch.rand(2, *shape)
        assert net.feature_map(X).shape == (2, 4, *map_shape)
        assert net.embed(X).shape == (2, 4) and net(X).shape == (2, 6)

    @pytest.mark.parametrize("network", ALL)
    def test_the_head_takes_the_mean_of_the_map(self, network):
        net = shake(network((3, 32, 32), 5, **SMALL))
        X = torch.rand(2, 3, 32, 32)
        mean = net.feature_map(X).detach().numpy().astype(np.float64).mean((2, 3))
        embedded = net.embed(X).detach().numpy()
        np.testing.assert_allclose(embedded, mean, rtol=1e-5, atol=1e-6)
        W, b = (p.detach().numpy().astype(np.float64) for p in net.head.parameters())
        logits = net(X).detach().numpy()
        np.testing.assert_allclose(logits, mean @ W.T + b, rtol=1e-4, atol=1e-5)

    def test_images_get_the_network_of_18_layers(self):
        assert default_module((3, 32, 32)) is PreActResNet18


class TestBlocks:
    @pytest.mark.parametrize(("n_in", "n_out", "stride"), [(4, 4, 1), (4, 6, 2)])
    def test_a_block_with_normalisation_first(self, n_in, n_out, stride):
        block = shake(_PreActBlock(n_in, n_out, stride))
        X = torch.randn(3, n_in, 6, 6)
        inner = normalised(X, block.norm1).clamp_min(0)
        out = F.conv2d(inner, block.conv1.weight, stride=stride, padding=1)
        out = normalised(out, block.norm2).clamp_min(0)
        out = F.conv2d(out, block.conv2.weight, padding=1)
        if stride == 1:
            shortcut = X
        else:
            # The shortcut that changes the size starts from what is normalised.
            shortcut = F.conv2d(inner, block.shortcut.weight, stride=stride)
        torch.testing.assert_close(block(X), out + shortcut, rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize(("n_in", "n_out", "stride"), [(4, 4, 1), (4, 6, 2)])
    def test_a_block_with_normalisation_after(self, n_in, n_out, stride):
        block = shake(_Block(n_in, n_out, stride))
        X = torch.randn(3, n_in, 6, 6)
        out = F.conv2d(X, block.conv1.weight, stride=stride, padding=1)
        out = normalised(out, block.norm1).clamp_min(0)
        out = normalised(F.conv2d(out, block.conv2.weight, padding=1), block.norm2)
        shortcut = X
        if stride == 2:
            conv, norm = block.shortcut
            shortcut = normalised(F.conv2d(X, conv.weight, stride=2), norm)
        expected = (out + shortcut).clamp_min(0)
        torch.testing.assert_close(block(X), expected, rtol=1e-4, atol=1e-5)

    def test_without_convolutions_a_block_is_the_identity(self):
        X = torch.randn(3, 4, 6, 6)
        blocks = _PreActBlock(4, 4, 1), _Block(4, 4, 1)
        for block in blocks:
            for conv in (block.conv1, block.conv2):
                nn.init.zeros_(conv.weight)
        assert blocks[0](X).equal(X)
        assert blocks[1](X).equal(X.clamp_min(0))

    @pytest.mark.parametrize("network", RESIDUAL)
    def test_only_the_first_block_of_a_resolution_halves(self, network):
        net = network((3, 32, 32), 2, (2, 3, 1), **SMALL)
        blocks = [m for m in net.body if isinstance(m, _PreActBlock | _Block)]
        strides = [block.conv1.stride[0] for block in blocks]
        assert strides == [1, 1, 2, 1, 1, 2]
        assert [block.conv2.out_channels for block in blocks] == [4, 4, 8, 8, 8, 16]

    def test_the_last_map_is_normalised_and_has_no_negative_values(self):
        net = PreActResNet((3, 8, 8), 2, (1, 1), width=4)
        norm, relu = net.body[-2:]
        assert isinstance(norm, nn.BatchNorm2d) and isinstance(relu, nn.ReLU)
        features = net.feature_map(torch.rand(16, 3, 8, 8))
        assert (features >= 0).all() and (features == 0).any()


class TestErrors:
    @pytest.mark.parametrize("network", ALL)
    @pytest.mark.parametrize("shape", [(4,), (8, 8), (2, 3, 32, 32)])
    def test_rows_that_are_no_images(self, network, shape):
        text = ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
        message = rf"{network.__name__} takes images of .* X have shape \({text}\)\."
        with pytest.raises(ValueError, match=message):
            network(shape, 2)

    @pytest.mark.parametrize(
        ("network", "params", "least"),
        [
            (PreActResNet18, {}, 8),
            (ResNet34, {}, 8),
            (ResNet, {"blocks": (1, 1)}, 2),
            (CNN9, {}, 28),
        ],
    )
    def test_images_that_are_too_small(self, network, params, least):
        for height, width in ((least - 1, 64), (64, least - 1)):
            message = f"at least {least} x {least} pixels; got {height} x {width}. Pad"
            with pytest.raises(ValueError, match=message):
                network((3, height, width), 2, **SMALL, **params)
        net = network((3, least, least), 2, **SMALL, **params)
        assert net(torch.rand(4, 3, least, least)).shape == (4, 2)

    def test_a_net_names_them_too(self):
        X, y = np.zeros((6, 3, 7, 7), np.uint8), np.arange(6) % 2
        with pytest.raises(ValueError, match=r"PreActResNet18 .* 8 x 8 pixels; got 7"):
            NetClassifier().fit(X, y)


class TestTraining:
    @pytest.mark.fast_cases(4)
    @pytest.mark.parametrize("network", ALL)
    @pytest.mark.parametrize(
        "layout",
        [
            torch.contiguous_format,
            pytest.param(
                torch.channels_last,
                marks=pytest.mark.skipif(
                    "AVX512" not in torch.backends.cpu.get_cpu_capability(),
                    reason="torch may end the process without AVX-512",
                ),
            ),
        ],
    )
    def test_the_gradient_reaches_every_parameter(self, network, layout):
        net = network((3, 32, 32), 3, **SMALL).to(memory_format=layout)
        X = torch.rand(4, 3, 32, 32).contiguous(memory_format=layout)
        F.cross_entropy(net(X), torch.tensor([0, 1, 2, 0])).backward()
        for name, weight in net.named_parameters():
            assert weight.grad is not None and weight.grad.isfinite().all(), name
            # Normalisation takes away what the bias of CNN9's convolutions adds.
            if not (network is CNN9 and name.endswith("bias")):
                assert weight.grad.abs().max() > 0, name

    @pytest.mark.parametrize("network", ALL)
    def test_a_step_on_a_batch_of_two(self, network):
        side = 28 if network is CNN9 else 8
        net = network((3, side, side), 2, **SMALL)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        X, y = torch.rand(2, 3, side, side), torch.tensor([0, 1])
        loss = F.cross_entropy(net(X), y)
        loss.backward()
        optimizer.step()
        assert torch.isfinite(net(X)).all() and net(X).shape == (2, 2)

    @pytest.mark.parametrize("network", ALL)
    def test_the_images_stay_as_they_are(self, network):
        net = network((3, 32, 32), 2, **SMALL)
        X = torch.randn(2, 3, 32, 32)
        before = X.clone()
        net(X)
        assert X.equal(before)

    @pytest.mark.parametrize("network", ALL)
    def test_images_of_a_batch_do_not_meet_in_evaluation(self, network):
        net = shake(network((3, 32, 32), 2, **SMALL))
        X = torch.rand(3, 3, 32, 32)
        torch.testing.assert_close(net(X)[1:2], net(X[1:2]), rtol=1e-4, atol=1e-5)

    @pytest.mark.slow
    def test_a_net_learns_where_a_bright_spot_lies(self):
        rng = np.random.default_rng(0)
        y = np.arange(64) % 2
        X = rng.integers(0, 60, (64, 1, 8, 8)).astype(np.uint8)
        X[y == 1, :, 3:5, 3:5] += 150
        net = NetClassifier(
            PreActResNet,
            module__blocks=(1, 1),
            module__width=4,
            max_epochs=20,
            batch_size=16,
            random_state=0,
        ).fit(X, y)
        assert net.score(X, y) > 0.9


@pytest.mark.parametrize("network", ALL)
class TestWithTheRest:
    """The same images through what methods build around a network."""

    @pytest.fixture
    def X(self):
        return torch.rand(3, 3, 32, 32)

    def make(self, network):
        return shake(network((3, 32, 32), 5, **SMALL))

    def test_embed(self, network, X):
        net = self.make(network)
        assert embed(net, X).equal(net.embed(X))

    def test_embed_and_classify(self, network, X):
        net = self.make(network)
        features, logits = embed_and_classify(net, X)
        assert features.equal(net.embed(X)) and logits.equal(net(X))
        assert features.requires_grad

    def test_attention(self, network, X):
        net = self.make(network)
        attentive = AttentiveNetwork(net, X[:1]).eval()
        logits, attention = attentive.attend(X)
        assert logits.equal(net(X)) and attention.shape == (3,)
        (unit,) = attentive.attention
        expected = net.embed(X) @ unit.weight[0] + unit.bias
        torch.testing.assert_close(attention, expected)

    @pytest.mark.fast_cases(2)
    def test_peers(self, network, X):
        build = partial(network, (3, 32, 32), 5, **SMALL)
        peers = Peers(build).eval()
        a, b = peers.each(X)
        assert not a.equal(b)
        expected = (a.softmax(1) + b.softmax(1)) / 2
        torch.testing.assert_close(peers(X).softmax(1), expected)
        embedded = peers.embed(X)
        assert embedded.shape[1] == 2 * build().embed(X).shape[1]


class TestStem:
    """The network of Arazo et al.: normalised at the start, and not at the end."""

    def test_it_computes_what_the_published_code_does(self):
        torch.manual_seed(0)
        net = PreActResNet((3, 8, 8), 4, blocks=(1, 1), width=4, stem="normalized")
        X = torch.rand(5, 3, 8, 8)
        made = nn.functional.conv2d(X, net.body[0].weight, padding=1)
        # The statistics of the batch, as in training.
        made = (made - made.mean((0, 2, 3), keepdim=True)) / (
            made.var((0, 2, 3), keepdim=True, correction=0) + 1e-5
        ).sqrt()
        made = net.body[4](net.body[3](made.relu()))
        logits = made.mean((2, 3)) @ net.head.weight.T + net.head.bias
        torch.testing.assert_close(net.train()(X), logits, rtol=1e-4, atol=1e-5)

    def test_it_has_as_many_weights_as_the_published_network(self):
        # Convolutions, normalisations and the last layer, counted by hand.
        widths = [64, 64, 128, 128, 256, 256, 512, 512]
        before = [64, *widths[:-1]]
        count = 3 * 9 * 64 + 2 * 64 + 512 * 10 + 10
        for n_in, n_out in zip(before, widths, strict=True):
            count += 2 * n_in + 9 * n_in * n_out + 2 * n_out + 9 * n_out * n_out
            count += n_in * n_out if n_in != n_out else 0
        net = PreActResNet18((3, 32, 32), 10, stem="normalized")
        assert sum(weight.numel() for weight in net.parameters()) == count
        plain = PreActResNet18((3, 32, 32), 10)
        # The last normalisation has 512 channels, the first 64.
        assert sum(w.numel() for w in plain.parameters()) == count + 2 * (512 - 64)

    def test_other_stems_are_refused(self):
        with pytest.raises(ValueError, match="stem must be 'plain' or 'normalized'"):
            PreActResNet((3, 8, 8), 4, stem="arazo")
