"""Networks with a branch, networks side by side, and the seams that serve them."""

from functools import partial

import numpy as np
import pytest
import torch
from scipy.special import softmax
from skorch.dataset import ValidSplit
from torch import nn
from torch.nn import functional as F

from sknoisy import NetClassifier
from sknoisy.nets import MLP, PreActResNet, Step, embed
from sknoisy.nets._attention import AttentiveNetwork
from sknoisy.nets._modules import embed_and_classify
from sknoisy.nets._peers import Peers

PARAMS = {"max_epochs": 3, "batch_size": 16, "module__hidden": 6, "random_state": 0}


class TwoStages(nn.Module):
    """Has its own features, but no `head`: two layers follow them."""

    def __init__(self):
        super().__init__()
        self.body, self.neck = nn.Linear(4, 7), nn.Linear(7, 5)
        self.last = nn.Linear(5, 3)

    def embed(self, X):
        return self.body(X).relu()

    def forward(self, X):
        return self.last(self.neck(self.embed(X)).relu())


class ConvHead(nn.Module):
    """Has features, but neither `head` nor a linear layer."""

    def __init__(self):
        super().__init__()
        self.last = nn.Conv1d(1, 3, 4)

    def embed(self, X):
        return X

    def forward(self, X):
        return self.last(X[:, None]).squeeze(2)


def small_conv():
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    ).append(nn.Linear(6, 2))


@pytest.fixture
def X():
    return torch.randn(9, 4, generator=torch.Generator().manual_seed(0))


class TestEmbedAndClassify:
    @pytest.mark.parametrize(
        "module",
        [
            MLP((4,), 3, hidden=6),
            nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)),
            TwoStages(),
        ],
        ids=["embed and head", "neither", "embed"],
    )
    def test_features_and_logits_belong_together(self, module, X):
        module.eval()
        features, logits = embed_and_classify(module, X)
        torch.testing.assert_close(logits, module(X))
        last = [m for m in module.modules() if isinstance(m, nn.Linear)][-1]
        torch.testing.assert_close(last(features), logits)
        assert features.requires_grad
        # The hook is gone: a second call sees its own input. The last bit of a row may
        # depend on the size of its batch.
        again, _ = embed_and_classify(module, X[:2])
        torch.testing.assert_close(again, features[:2])
        assert not last._forward_pre_hooks

    def test_one_forward_pass_is_one_draw_of_dropout(self, X):
        module = MLP((4,), 3, hidden=64, dropout=0.5)
        features, logits = embed_and_classify(module, X)
        assert module.head(features).equal(logits)
        assert not module.head(module.embed(X)).equal(logits)

    def test_images_before_the_last_layer_are_flattened(self):
        module, images = small_conv(), torch.rand(5, 3, 8, 8)
        features, logits = embed_and_classify(module, images)
        assert features.shape == (5, 6) and logits.shape == (5, 2)

    def test_embed_alone_has_no_gradient_through_the_hook(self, X):
        module = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
        assert not embed(module, X).requires_grad
        assert embed(module, X).equal(module[:2](X))

    @pytest.mark.parametrize(
        ("module", "message"),
        [
            (nn.ReLU(), "ReLU has no method `embed` and no Linear layer; give it"),
            (ConvHead(), "ConvHead has no `head` and no Linear layer; give it"),
        ],
    )
    def test_modules_without_features_are_refused(self, module, message, X):
        with pytest.raises(TypeError, match=message):
            embed_and_classify(module, X)

    def test_the_hook_goes_after_an_error_too(self, X):
        module = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(7))
        with pytest.raises(RuntimeError):
            embed_and_classify(module, X)
        assert not module[0]._forward_pre_hooks


class TestAttentiveNetwork:
    def make(self, network=None, kind="linear"):
        network = MLP((4,), 3, hidden=6) if network is None else network
        return AttentiveNetwork(network, torch.zeros(1, 4), kind)

    def test_a_linear_branch_by_hand(self, X):
        network = self.make().eval()
        (unit,) = network.attention
        assert unit.weight.shape == (1, 6) and unit.bias.item() == 0
        logits, attention = network.attend(X)
        features = network.network.embed(X)
        torch.testing.assert_close(attention, features @ unit.weight[0] + unit.bias)
        torch.testing.assert_close(logits, network.network(X))
        assert attention.shape == (9,)

    def test_an_mlp_branch_by_hand(self, X):
        network = self.make(kind="mlp").eval()
        kinds = [type(layer) for layer in network.attention]
        block = [nn.Linear, nn.ReLU, nn.Dropout]
        assert kinds == [*block, *block, nn.Linear]
        assert [m.p for m in network.attention if isinstance(m, nn.Dropout)] == [
            0.5
        ] * 2
        values = network.network.embed(X)
        for layer in (network.attention[0], network.attention[3]):
            assert layer.weight.shape == (6, 6)
            values = layer(values).relu()
        expected = network.attention[-1](values).squeeze(1)
        torch.testing.assert_close(network.attend(X)[1], expected)
        assert network.attention[-1].bias.item() == 0

    @pytest.mark.parametrize("network", [TwoStages(), MLP((4,), 3)])
    def test_forward_and_embed_are_those_of_the_network(self, network, X):
        attentive = self.make(network).eval()
        assert attentive(X).equal(network(X))
        assert attentive.embed(X).equal(network.embed(X))

    def test_the_branch_fits_what_enters_the_last_layer(self, X):
        # Its own embed has 7 features, the last layer takes 5.
        network = self.make(TwoStages())
        assert network.attention[0].in_features == 5
        assert network.attend(X)[1].shape == (9,)

    def test_the_gradient_of_the_attention_reaches_the_network(self, X):
        for module in (None, TwoStages()):
            network = self.make(module)
            network.attend(X)[1].sum().backward()
            weight = next(network.network.parameters())
            assert weight.grad is not None and weight.grad.any()

    def test_building_it_leaves_the_network_as_it_was(self):
        network = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 3))
        before = {k: v.clone() for k, v in network.state_dict().items()}
        for mode in (True, False):
            network.train(mode)
            self.make(network)
            assert network.training is mode
            for name, value in network.state_dict().items():
                assert value.equal(before[name])

    def test_images(self):
        network = AttentiveNetwork(small_conv(), torch.zeros(1, 3, 8, 8))
        logits, attention = network.attend(torch.rand(5, 3, 8, 8))
        assert logits.shape == (5, 2) and attention.shape == (5,)


class TwoHeads(nn.Module):
    """As VGG: two linear layers on pooled maps; another stands before the maps."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(8, 8)
        self.conv, self.pool = nn.Conv2d(3, 6, 3), nn.AdaptiveAvgPool2d(2)
        self.classifier = nn.Sequential(nn.Linear(24, 7), nn.ReLU(), nn.Linear(7, 2))

    def maps(self, X):
        return self.pool(self.conv(self.first(X)).relu()).flatten(1)

    def forward(self, X):
        return self.classifier(self.maps(X))


class TestBranchOnMaps:
    IMAGES = torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))

    def make(self, network, kind="linear"):
        network = AttentiveNetwork(network, self.IMAGES[:1], kind, "maps")
        return network.eval()

    def test_a_linear_branch_by_hand(self):
        attentive = self.make(TwoHeads())
        (unit,) = attentive.attention
        assert unit.weight.shape == (1, 24) and unit.bias.item() == 0
        logits, attention = attentive.attend(self.IMAGES)
        maps = attentive.network.maps(self.IMAGES)
        torch.testing.assert_close(attention, maps @ unit.weight[0] + unit.bias)
        torch.testing.assert_close(logits, attentive.network(self.IMAGES))
        assert attentive.embed(self.IMAGES).shape == (5, 7)
        assert not attentive.network.classifier[0]._forward_pre_hooks

    def test_hidden_layers_are_as_wide_as_the_features(self):
        attentive = self.make(TwoHeads(), "mlp")
        linear = [m for m in attentive.attention if isinstance(m, nn.Linear)]
        assert [tuple(m.weight.shape) for m in linear] == [(7, 24), (7, 7), (1, 7)]
        values = attentive.network.maps(self.IMAGES)
        for layer in linear[:-1]:
            values = layer(values).relu()
        expected = linear[-1](values).squeeze(1)
        torch.testing.assert_close(attentive.attend(self.IMAGES)[1], expected)

    @pytest.mark.parametrize("kind", ["linear", "mlp"])
    def test_with_one_linear_layer_it_is_that_on_features(self, kind):
        network = PreActResNet((3, 8, 8), 4, blocks=(1, 1), width=4).eval()
        on_maps = self.make(network, kind)
        on_features = AttentiveNetwork(network, self.IMAGES[:1], kind).eval()
        on_features.attention.load_state_dict(on_maps.attention.state_dict())
        pairs = zip(
            on_maps.attend(self.IMAGES), on_features.attend(self.IMAGES), strict=True
        )
        for ours, expected in pairs:
            torch.testing.assert_close(ours, expected)

    def test_its_gradient_reaches_the_convolution_past_the_classifier(self):
        attentive = self.make(TwoHeads())
        attentive.attend(self.IMAGES)[1].sum().backward()
        assert attentive.network.conv.weight.grad.any()
        assert attentive.network.classifier[0].weight.grad is None

    @pytest.mark.parametrize(
        ("network", "row"),
        [
            (MLP((4,), 3), torch.zeros(1, 4)),
            (nn.Sequential(nn.Linear(4, 4), nn.Conv1d(1, 3, 4)), torch.zeros(1, 1, 4)),
        ],
        ids=["no convolution", "nothing after it"],
    )
    def test_networks_without_maps_are_refused(self, network, row):
        message = "attention_input='maps' needs convolutions .*; (MLP|Sequential) has "
        with pytest.raises(ValueError, match=message):
            AttentiveNetwork(network, row, "linear", "maps")
        hooks = [layer._forward_hooks for layer in network.modules()]
        assert not any(hooks)


class TestPeers:
    def make(self, **params):
        return Peers(lambda: MLP((4,), 3, hidden=6, dropout=0.0), **params)

    def test_each_gives_the_logits_of_every_peer(self, X):
        peers = self.make(n_peers=3)
        given = peers.each(X)
        assert len(given) == len(peers.peers) == 3
        for logits, peer in zip(given, peers.peers, strict=True):
            assert logits.equal(peer(X))

    def test_mean_of_the_probabilities(self, X):
        peers = self.make(n_peers=3)
        each = [softmax(logits.detach().numpy(), axis=1) for logits in peers.each(X)]
        given = peers(X).softmax(1).detach()
        np.testing.assert_allclose(given, np.mean(each, axis=0), rtol=1e-5)

    def test_mean_of_the_logits(self, X):
        peers = self.make(mean_of="logits")
        expected = (peers.peers[0](X) + peers.peers[1](X)) / 2
        torch.testing.assert_close(peers(X), expected)

    def test_the_two_means_differ(self, X):
        peers = self.make()
        with torch.no_grad():
            for peer in peers.peers:
                peer.head.weight *= 20
        proba = peers(X).softmax(1)
        peers.mean_of = "logits"
        assert (proba - peers(X).softmax(1)).abs().max() > 0.05

    def test_extreme_logits_in_float32(self):
        class Sure(nn.Module):
            def __init__(self, label):
                super().__init__()
                self.label = label

            def forward(self, X):
                return 200 * F.one_hot(torch.full((len(X),), self.label), 2).float()

        labels = iter([0, 1])
        peers = Peers(lambda: Sure(next(labels)))
        np.testing.assert_allclose(peers(torch.zeros(1, 4)).softmax(1), [[0.5, 0.5]])

    def test_embed_is_side_by_side(self, X):
        peers = self.make(n_peers=2)
        given = peers.embed(X)
        assert given.shape == (9, 12)
        assert given[:, 6:].equal(peers.peers[1].embed(X))

    def test_initial_weights_differ(self):
        first, second = self.make().peers
        assert not first.head.weight.equal(second.head.weight)

    def test_one_network_twice_is_refused(self):
        network = MLP((4,), 3)
        with pytest.raises(ValueError, match="build must return a new network"):
            Peers(lambda: network)

    def test_the_mean_in_a_net(self, table):
        class Trio(NetClassifier):
            def initialize_module(self):
                self.module_ = Peers(lambda: self.build("module"), n_peers=3)
                return self

        net = Trio(**PARAMS).fit(*table)
        with torch.no_grad():
            each = net.module_.eval().each(torch.from_numpy(table[0]))
        expected = torch.stack(each).softmax(-1).mean(0)
        np.testing.assert_allclose(net.predict_proba(table[0]), expected, rtol=1e-4)
        assert net.transform(table[0]).shape == (45, 18)


class TestStartFit:
    class Starting(NetClassifier):
        """Notes what it is given before its parts are built."""

        def start_fit(self, dataset):
            assert not vars(self).get("module_")
            self.starts_ = [*vars(self).get("starts_", []), dataset]
            self.drawn_ = torch.rand(3)

    def test_once_before_the_parts_are_built_with_all_rows(self, table):
        X, y = table
        net = self.Starting(train_split=ValidSplit(3), **PARAMS).fit(X, y)
        (dataset,) = net.starts_
        np.testing.assert_array_equal(dataset.features, X)
        np.testing.assert_array_equal(dataset.codes, y)

    def test_only_at_a_fit_that_starts_anew(self, table):
        net = self.Starting(warm_start=True, **PARAMS).partial_fit(*table)
        net.partial_fit(*table).fit(*table)
        assert len(net.starts_) == 1

    def test_what_it_draws_does_not_shift_the_training(self, table):
        before = torch.random.get_rng_state()
        net = self.Starting(**PARAMS).fit(*table)
        plain = NetClassifier(**PARAMS).fit(*table)
        np.testing.assert_array_equal(
            net.predict_proba(table[0]), plain.predict_proba(table[0])
        )
        assert torch.equal(torch.random.get_rng_state(), before)

    def test_classes_and_device_are_known_in_it(self, table):
        class Asking(NetClassifier):
            def start_fit(self, dataset):
                self.seen_ = (self.classes_.tolist(), self.device_, self.seed_)

        net = Asking(**PARAMS).fit(table[0], np.array(["a", "b", "c"])[table[1]])
        assert net.seen_ == (["a", "b", "c"], net.device_, net.seed_)


class Counting(nn.Module):
    """Cross-entropy that keeps which rows it saw."""

    def __init__(self, n_samples, scale=1.0):
        super().__init__()
        self.register_buffer("count", torch.zeros(n_samples, dtype=torch.int64))
        self.scale = scale

    def forward(self, logits, y, index):
        self.count.index_add_(0, index, torch.ones_like(index))
        return self.scale * F.cross_entropy(logits, y)


class TestCriterionWithIndex:
    def test_it_is_given_the_row_numbers(self, table):
        net = NetClassifier(criterion=Counting, **PARAMS).fit(*table)
        assert net.criterion_.count.tolist() == [3] * 45
        plain = NetClassifier(**PARAMS).fit(*table)
        np.testing.assert_array_equal(
            net.predict_proba(table[0]), plain.predict_proba(table[0])
        )

    def test_they_stay_global_under_a_split(self, table):
        net = NetClassifier(criterion=Counting, train_split=ValidSplit(3), **PARAMS)
        net.fit(*table)
        seen = net.criterion_.count
        assert set(seen.tolist()) == {0, 3} and (seen > 0).sum() == 30

    def test_a_criterion_without_it_is_not(self, table):
        class Plain(nn.Module):
            def forward(self, logits, y):
                return F.cross_entropy(logits, y)

        NetClassifier(criterion=Plain, **PARAMS).fit(*table)

    def test_another_criterion_may_not_ask_for_it(self, table):
        net = NetClassifier(criterion=Counting, **PARAMS).fit(*table)
        net.set_params(criterion=nn.CrossEntropyLoss, max_epochs=1).fit(*table)
        assert not net.criterion_takes_index_

    def test_several_criteria_in_one_module_need_the_same_rows(self, table):
        class Twofold(NetClassifier):
            def initialize_criterion(self):
                parts = [nn.CrossEntropyLoss(), self.build("criterion")]
                self.criterion_ = nn.ModuleList(parts)
                return self

            def training_loss(self, X, y, index):
                logits = self.module_(X)
                return Step(self.criterion_[1](logits, y, index), logits)

        X, y = table
        net = Twofold(criterion=Counting, **PARAMS).fit(X, y)
        with pytest.raises(ValueError, match="Counting keeps a state for each row"):
            net.partial_fit(X[:30], y[:30])


class TestSlots:
    class Slotted(NetClassifier):
        """Trains with a criterion of a slot of its own, found by name."""

        prefixes_ = [*NetClassifier.prefixes_, "loss"]
        _stored_slots = ("loss",)

        def __init__(self, module=None, *, loss="counting", **kwargs):
            super().__init__(module, **kwargs)
            self.loss = loss

        def initialize_criterion(self):
            self.criterion_ = self.build("loss", Counting)
            return self

    def test_a_component_by_name_takes_its_parameters(self, table):
        net = self.Slotted(loss__scale=2.0, **PARAMS).fit(*table)
        assert net.criterion_.scale == 2.0
        assert net.get_params()["loss__scale"] == 2.0

    def test_a_fitted_net_takes_them_at_the_next_fit(self, table):
        net = self.Slotted(**PARAMS).fit(*table)
        before = net.criterion_
        net.set_params(loss__scale=3.0)
        assert net.criterion_ is before
        assert net.fit(*table).criterion_.scale == 3.0

    def test_typos_are_named(self, table):
        with pytest.raises(ValueError, match=r"no loss__scle; it takes scale"):
            self.Slotted(loss__scle=2.0, **PARAMS).fit(*table)

    def test_the_default_module_is_found_in_the_data(self, table):
        net = NetClassifier(**PARAMS).fit(*table)
        assert net.component_of("module") is MLP
        assert net.component_of("criterion") is nn.CrossEntropyLoss

    @pytest.mark.parametrize("slot", ["criterion", "module"])
    def test_a_function_that_makes_a_part_is_welcome(self, table, slot):
        def criterion(n_classes):
            return nn.CrossEntropyLoss(weight=torch.ones(n_classes))

        def module(input_shape, n_classes, *, bias=True):
            return nn.Linear(*input_shape, n_classes, bias)

        params = {
            "max_epochs": 1,
            slot: {"criterion": criterion, "module": module}[slot],
        }
        net = NetClassifier(**params).fit(*table)
        assert isinstance(getattr(net, slot + "_"), nn.Module)

    @pytest.mark.parametrize(
        ("function", "needs"),
        [(F.cross_entropy, "input, target"), (lambda *logits, y, **rest: 0, "y")],
    )
    def test_a_function_of_logits_is_not(self, table, function, needs):
        message = f"criterion must be a class or an instance.*needs {needs}"
        with pytest.raises(TypeError, match=message):
            NetClassifier(criterion=function, **PARAMS).fit(*table)
        ok = partial(nn.CrossEntropyLoss, label_smoothing=0.1)
        NetClassifier(criterion=ok, **PARAMS).fit(*table)
