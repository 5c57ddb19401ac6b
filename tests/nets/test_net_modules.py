import numpy as np
import pytest
import torch
from torch import nn

from sknoisy.nets import MLP, NetClassifier, embed
from sknoisy.nets._defaults import (
    begin_momentum,
    default_module,
    default_optimizer_params,
)


def n_parameters(module):
    return sum(p.numel() for p in module.parameters())


class TestMLP:
    @pytest.mark.parametrize(
        ("hidden", "expected"),
        [
            (16, (5 * 16 + 16) + (16 * 3 + 3)),
            ((8, 4), (5 * 8 + 8) + (8 * 4 + 4) + (4 * 3 + 3)),
            ([8], (5 * 8 + 8) + (8 * 3 + 3)),
            ((), 5 * 3 + 3),
        ],
    )
    def test_number_of_parameters(self, hidden, expected):
        assert n_parameters(MLP((5,), 3, hidden=hidden)) == expected

    def test_default_is_one_layer_of_512_with_dropout(self):
        net = MLP((5,), 3)
        assert n_parameters(net) == 5 * 512 + 512 + 512 * 3 + 3
        assert [m.p for m in net.modules() if isinstance(m, nn.Dropout)] == [0.3]

    def test_forward_is_relu_layers_then_a_linear_one(self):
        net = MLP((4,), 3, hidden=(6, 5), dropout=0.5).eval()
        X = np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32)
        values = X.astype(np.float64)
        weights = [p.detach().numpy().astype(np.float64) for p in net.parameters()]
        for W, b in ((weights[0], weights[1]), (weights[2], weights[3])):
            values = np.maximum(values @ W.T + b, 0)
        embedded = net.embed(torch.from_numpy(X)).detach().numpy()
        np.testing.assert_allclose(embedded, values, rtol=1e-5, atol=1e-6)
        logits = net(torch.from_numpy(X)).detach().numpy()
        expected = values @ weights[4].T + weights[5]
        np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-6)

    def test_no_hidden_layer_is_a_linear_model(self):
        net, X = MLP((4,), 3, hidden=()), torch.randn(6, 4)
        assert net.embed(X).equal(X)
        assert net(X).equal(net.head(X))

    def test_images_are_flattened(self):
        net = MLP((2, 3, 4), 5, hidden=7)
        assert net(torch.zeros(6, 2, 3, 4)).shape == (6, 5)

    def test_dropout_acts_in_training_only(self):
        net, X = MLP((4,), 2, dropout=0.5), torch.randn(5, 4)
        assert not net(X).equal(net(X))
        net.eval()
        assert net(X).equal(net(X))

    @pytest.mark.parametrize("dropout", [1, 1.5, -0.1])
    def test_dropout_outside_its_range_is_refused(self, dropout):
        with pytest.raises(ValueError, match=rf"dropout .* \[0, 1\); got {dropout}"):
            MLP((4,), 2, dropout=dropout)

    @pytest.mark.parametrize("hidden", [0, (4, 0), -1])
    def test_empty_layers_are_refused(self, hidden):
        with pytest.raises(ValueError, match="hidden must hold widths of at least 1"):
            MLP((4,), 2, hidden=hidden)


class TestEmbed:
    def test_a_method_of_the_module_comes_first(self):
        class Own(nn.Module):
            def __init__(self):
                super().__init__()
                self.fc = nn.Linear(3, 2)

            def embed(self, X):
                return X * 2

        X = torch.randn(4, 3)
        assert embed(Own(), X).equal(X * 2)

    def test_otherwise_it_is_what_enters_the_last_linear_layer(self):
        net = nn.Sequential(
            nn.Conv2d(1, 4, 3),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(36, 5),
            nn.Tanh(),
            nn.Linear(5, 2),
        )
        X = torch.randn(6, 1, 5, 5)
        features = embed(net, X)
        torch.testing.assert_close(features, net[:5](X), rtol=1e-6, atol=1e-7)
        assert not net[5]._forward_pre_hooks

    def test_the_hook_goes_also_if_the_module_fails(self):
        net = nn.Sequential(nn.Linear(3, 2))
        with pytest.raises(RuntimeError, match="shapes"):
            embed(net, torch.zeros(2, 4))
        assert not net[0]._forward_pre_hooks

    def test_a_module_without_either_is_refused(self):
        with pytest.raises(TypeError, match=r"Sequential has no method `embed`"):
            embed(nn.Sequential(nn.Conv2d(1, 2, 1), nn.Flatten()), torch.zeros(2))


class TestDefaults:
    def test_tables_get_an_mlp(self):
        assert default_module((7,)) is MLP

    @pytest.mark.parametrize("shape", [(2, 3), (1, 2, 3, 4)])
    def test_other_shapes_have_no_default(self, shape):
        with pytest.raises(ValueError, match=f"{len(shape) + 1} dimensions; set mod"):
            default_module(shape)

    def test_only_plain_sgd_gets_momentum_and_weight_decay(self):
        cpu = torch.device("cpu")
        params = default_optimizer_params(torch.optim.SGD, {"lr": 1}, cpu)
        assert params["momentum"] == 0.9 and params["weight_decay"] == 2e-3
        given = {"momentum": 0.0, "weight_decay": 0.5}
        params = default_optimizer_params(torch.optim.SGD, given, cpu)
        assert (params["momentum"], params["weight_decay"]) == (0.0, 0.5)
        for other in (torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop):
            params = default_optimizer_params(other, {}, cpu)
            assert not {"momentum", "weight_decay"} & params.keys()

    @pytest.mark.parametrize(
        "optimizer", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW]
    )
    def test_a_part_may_begin_later(self, optimizer):
        # Its steps are those that it would take alone.
        def trained(parts, begins):
            weights = [nn.Parameter(torch.arange(1.0, 4)) for _ in parts]
            params = default_optimizer_params(optimizer, {}, torch.device("cpu"))
            stepped = optimizer(weights, lr=0.1, **params)
            for epoch in range(5):
                stepped.zero_grad()
                loss = [
                    part * weight.square().sum()
                    for part, weight in zip(parts, weights, strict=True)
                    if epoch >= begins[part]
                ]
                if loss:
                    sum(loss).backward()
                begin_momentum(stepped)
                stepped.step()
            return [weight.detach() for weight in weights]

        begins = {1: 0, 2: 3}
        early, late = trained([1, 2], begins)
        assert torch.equal(early, trained([1], begins)[0])
        assert torch.equal(late, trained([2], begins)[0])

    def test_a_part_may_begin_within_an_epoch(self):
        # The second layer is used from the fifth of eight batches on.
        class Growing(nn.Module):
            def __init__(self):
                super().__init__()
                self.first, self.second = nn.Linear(4, 3), nn.Linear(4, 3)
                self.n_seen = 0

            def forward(self, X):
                self.n_seen += self.training
                out = self.first(X)
                return out + self.second(X) if self.n_seen > 4 else out

        rng = np.random.default_rng(0)
        X, y = rng.standard_normal((64, 4), dtype=np.float32), np.arange(64) % 3
        net = NetClassifier(Growing, batch_size=8, max_epochs=1, random_state=0)
        net.fit(X, y)
        for weight in net.module_.parameters():
            assert "momentum_buffer" in net.optimizer_.state[weight]

    def test_it_is_told_whether_a_part_may_still_begin(self):
        weights = [nn.Parameter(torch.ones(2)) for _ in range(2)]
        stepped = torch.optim.SGD(weights, lr=0.1, momentum=0.9, fused=True)
        used = ((0,), True), ((0, 1), False), ((1,), False)
        for parts, may_be_late in used:
            stepped.zero_grad()
            sum(weights[part].sum() for part in parts).backward()
            assert begin_momentum(stepped) is may_be_late
            stepped.step()
        assert begin_momentum(torch.optim.SGD(weights, lr=0.1)) is False

    def test_the_users_choice_of_kernel_stands(self):
        cpu = torch.device("cpu")
        for choice in ({"foreach": True}, {"fused": False}, {"differentiable": True}):
            params = default_optimizer_params(torch.optim.Adam, choice, cpu)
            assert choice.items() <= params.items()
            assert params.get("fused", False) is False
        assert "fused" not in default_optimizer_params(
            torch.optim.Adam, {}, torch.device("mps")
        )
