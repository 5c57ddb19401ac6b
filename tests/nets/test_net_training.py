"""How NetClassifier trains: weights, seeds, epochs, learning rates, optimizers."""

import math
import warnings
from functools import partial
from itertools import chain

import numpy as np
import pytest
import torch
from fitted_state import assert_same_weights, weights_of
from scipy.special import log_softmax
from skorch.callbacks import LRScheduler
from torch import nn

from sknoisy.nets import LoaderBatches
from sknoisy.nets._device import isolated_rng, resolve_device, seed_torch

# One batch, no dropout: training is then a function of the multiset of rows.
ONE_BATCH = {"batch_size": -1, "module__dropout": 0.0, "max_epochs": 8}


def cross_entropy(logits, y):
    z = np.asarray(logits, np.float64)
    return -log_softmax(z, axis=1)[np.arange(len(y)), y]


class TestSampleWeights:
    def test_integer_weights_equal_repeated_rows(self, make_net, table):
        X, y = table
        counts = np.random.default_rng(0).integers(1, 5, len(y))
        a = make_net(**ONE_BATCH).fit(X, y, sample_weight=counts)
        b = make_net(**ONE_BATCH).fit(X.repeat(counts, 0), y.repeat(counts))
        plain = make_net(**ONE_BATCH).fit(X, y)
        given = a.predict_proba(X)
        np.testing.assert_allclose(given, b.predict_proba(X), rtol=1e-5, atol=1e-6)
        assert np.abs(given - plain.predict_proba(X)).max() > 1e-3

    def test_weight_zero_equals_removing_the_row(self, make_net, table):
        X, y = table
        keep = np.random.default_rng(0).random(len(y)) < 0.6
        a = make_net(**ONE_BATCH).fit(X, y, sample_weight=keep.astype(float))
        b = make_net(**ONE_BATCH).fit(X[keep], y[keep])
        np.testing.assert_allclose(
            a.predict_proba(X), b.predict_proba(X), rtol=1e-5, atol=1e-6
        )

    def test_equal_weights_equal_none_at_any_scale(self, make_net, table):
        X, y = table
        plain = make_net().fit(X, y).predict_proba(X)
        for scale in (1.0, 1e-3, 100.0):
            net = make_net().fit(X, y, sample_weight=np.full(len(y), scale))
            np.testing.assert_allclose(net.predict_proba(X), plain, rtol=1e-4)

    def test_they_are_read_by_row_in_every_batch(self, make_net, table, spy):
        X, y = table
        w = np.random.default_rng(0).random(len(y))
        make_net(callbacks=[spy], batch_size=8).fit(X, y, sample_weight=w)
        for index, _, codes, logits, loss in chain.from_iterable(spy.train):
            expected = np.average(cross_entropy(logits, codes), weights=w[index])
            np.testing.assert_allclose(loss, expected, rtol=1e-5)

    def test_a_batch_of_zero_weights_teaches_nothing(self, make_net, table):
        X, y = table
        w = np.zeros(len(y))
        w[0] = 1
        net = make_net(batch_size=4).fit(X, y, sample_weight=w)
        assert np.isfinite(net.predict_proba(X)).all()

    def test_they_multiply_class_weights(self, make_net, table, spy):
        X, y = table
        w = np.random.default_rng(0).random(len(y))
        of_class = np.array([1.0, 2.0, 5.0])
        net = make_net(
            **{**ONE_BATCH, "max_epochs": 1},
            callbacks=[spy],
            criterion__weight=torch.tensor(of_class, dtype=torch.float32),
        )
        net.fit(X, y)
        (_, _, codes, logits, loss) = spy.train[0][0]
        expected = np.average(cross_entropy(logits, codes), weights=of_class[codes])
        np.testing.assert_allclose(loss, expected, rtol=1e-5)
        net.fit(X, y, sample_weight=w)
        (index, _, codes, logits, loss) = spy.train[0][0]
        losses = of_class[codes] * cross_entropy(logits, codes)
        expected = np.average(losses, weights=w[index])
        np.testing.assert_allclose(loss, expected, rtol=1e-5)

    def test_they_are_forgotten_after_fit(self, make_net, table):
        X, y = table
        w = np.random.default_rng(0).random(len(y)) + 0.1
        net = make_net().fit(X, y, sample_weight=w)
        assert net.sample_weight_ is None
        net.fit(X, y)
        assert_same_weights(net, make_net().fit(X, y))

    def test_partial_fit_takes_them(self, make_net, table):
        X, y = table
        w = np.random.default_rng(0).random(len(y)) + 0.1
        a = make_net(lr_schedule=None, max_epochs=2).partial_fit(X, y, sample_weight=w)
        a.partial_fit(X, y, sample_weight=w)
        b = make_net(lr_schedule=None, max_epochs=4).fit(X, y, sample_weight=w)
        assert_same_weights(a, b)

    @pytest.mark.parametrize(
        ("weights", "message"),
        [
            (lambda n: -np.ones(n), "Negative values"),
            (lambda n: np.full(n, np.nan), "contains NaN"),
            (lambda n: np.full(n, np.inf), "infinity"),
            (lambda n: np.zeros(n), "at least one (positive|non-zero)"),
            (lambda n: np.ones(n - 1), r"sample_weight.shape == \(44,\)"),
            (lambda n: np.ones((n, 2)), "1D array or scalar"),
        ],
    )
    def test_bad_weights(self, make_net, table, weights, message):
        X, y = table
        with pytest.raises(ValueError, match=message):
            make_net().fit(X, y, sample_weight=weights(len(y)))

    def test_a_criterion_that_has_reduced_is_refused(self, make_net, table):
        X, y = table
        net = make_net(criterion=nn.CrossEntropyLoss())
        with pytest.raises(
            ValueError, match=r"CrossEntropyLoss, which returns their m"
        ):
            net.fit(X, y, sample_weight=np.ones(45))
        net = make_net(criterion=nn.CrossEntropyLoss(reduction="none"))
        net.fit(X, y, sample_weight=np.ones(45))
        plain = make_net().fit(X, y)
        np.testing.assert_allclose(
            net.predict_proba(X), plain.predict_proba(X), rtol=1e-4
        )


class TestRandomness:
    @pytest.mark.parametrize("state", [0, np.random.RandomState], ids=["int", "state"])
    def test_the_same_state_gives_the_same_bits(self, make_net, table, state):
        X, y = table
        make = (lambda: 5) if state == 0 else (lambda: state(5))
        a, b = (make_net(random_state=make()).fit(X, y) for _ in range(2))
        assert np.array_equal(a.predict_proba(X), b.predict_proba(X))
        assert_same_weights(a, b)

    def test_other_seeds_and_none_differ(self, make_net, table):
        X, y = table
        nets = [make_net(random_state=s).fit(X, y) for s in (0, 1, None, None)]
        firsts = {net.predict_proba(X)[0, 0] for net in nets}
        assert len(firsts) == 4
        assert len({net.seed_ for net in nets}) == 4

    def test_a_second_fit_forgets_the_first(self, make_net, table):
        X, y = table
        net = make_net().fit(X[::-1] * 2, y)
        assert net.fit(X, y) is net
        assert len(net.history) == 3
        assert_same_weights(net, make_net().fit(X, y))

    def test_a_fit_on_other_classes_and_features_starts_anew(self, make_net, table):
        X, y = table
        net = make_net().fit(X, y).fit(X[:, :2], y == 0)
        assert net.classes_.tolist() == [False, True] and net.n_features_in_ == 2
        np.testing.assert_array_equal(
            net.predict_proba(X[:, :2]),
            make_net().fit(X[:, :2], y == 0).predict_proba(X[:, :2]),
        )

    def test_every_epoch_has_its_own_order_and_each_row_once(
        self, make_net, table, spy
    ):
        make_net(callbacks=[spy]).fit(*table)
        orders = [np.concatenate([b[0] for b in epoch]).tolist() for epoch in spy.train]
        assert all(sorted(order) == list(range(45)) for order in orders)
        assert orders[0] != orders[1] != orders[2]

    @pytest.mark.parametrize(
        "params",
        [
            {},
            {"random_state": None},
            {"iterator_train": LoaderBatches, "iterator_valid": LoaderBatches},
        ],
        ids=["seeded", "unseeded", "loader"],
    )
    def test_nothing_global_changes(self, make_net, table, params):
        X, y = table
        torch.rand(1)

        def state():
            return (
                torch.get_num_threads(),
                torch.get_default_dtype(),
                list(warnings.filters),
                torch.is_grad_enabled(),
                torch.is_autocast_enabled("cpu"),
                torch.are_deterministic_algorithms_enabled(),
                torch.random.get_rng_state().tolist(),
                np.append(*np.random.get_state()[1:3]).tolist(),
            )

        before = state()
        net = make_net(**params).fit(X, y)
        net.partial_fit(X, y)
        assert state() == before
        net.predict(X)
        net.transform(X)
        net.get_feature_names_out()
        assert state() == before

    def test_global_seeds_have_no_say(self, make_net, table):
        X, y = table
        nets = []
        for seed in (0, 1):
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                nets.append(make_net(module__dropout=0.5).fit(X, y))
        assert_same_weights(*nets)

    def test_a_failed_fit_leaves_the_generator_as_well(self, make_net, table):
        before = torch.random.get_rng_state()
        with pytest.raises(FloatingPointError, match="diverged"):
            make_net(lr=1e12, max_epochs=20, module__hidden=32).fit(*table)
        assert torch.equal(torch.random.get_rng_state(), before)

    def test_seeding_is_confined(self):
        device = resolve_device("cpu")
        before = torch.random.get_rng_state()
        draws = []
        for entropy in ((1, 2), (1, 2), (1, 3), (2, 1)):
            with isolated_rng(device):
                seed_torch(device, *entropy)
                draws.append(torch.rand(1).item())
        assert draws[0] == draws[1] and len(set(draws)) == 3
        assert torch.equal(torch.random.get_rng_state(), before)


class TestMoreEpochs:
    def test_the_first_partial_fit_is_a_fit(self, make_net, table):
        X, y = table
        assert_same_weights(make_net().partial_fit(X, y), make_net().fit(X, y))

    def test_without_warm_start_fit_begins_anew(self, make_net, table):
        X, y = table
        net = make_net().fit(X, y).partial_fit(X, y).fit(X, y)
        assert len(net.history) == 3
        assert_same_weights(net, make_net().fit(X, y))

    def test_partial_fit_goes_on_with_other_rows(self, make_net, table):
        X, y = table
        net = make_net().fit(X, y)
        before = net.predict_proba(X)
        net.partial_fit(X[:20], y[:20])
        assert np.abs(net.predict_proba(X) - before).max() > 0


def factors(net_params, table, make_net, spy, **fit):
    X, y = table
    make_net(callbacks=[spy], lr=0.1, **net_params).fit(X, y, **fit)
    return np.array(spy.lrs)[:, 0] / 0.1


class TestLearningRate:
    @pytest.mark.parametrize(
        ("schedule", "expected"),
        [
            ("cosine", [0.5 * (1 + math.cos(math.pi * t / 5)) for t in range(5)]),
            (None, [1] * 5),
            (0.5, [1, 0.5, 0.25, 0.125, 0.0625]),
            (1.0, [1] * 5),
            (lambda done, total: 1 - done / total, [1, 0.8, 0.6, 0.4, 0.2]),
        ],
        ids=["cosine", "none", "half", "one", "callable"],
    )
    def test_schedules(self, make_net, table, spy, schedule, expected):
        params = {"lr_schedule": schedule, "max_epochs": 5}
        given = factors(params, table, make_net, spy)
        np.testing.assert_allclose(given, expected, rtol=1e-12)

    def test_cosine_is_the_default(self, make_net, table, spy):
        given = factors({"max_epochs": 2}, table, make_net, spy)
        np.testing.assert_allclose(given, [1, 0.5], rtol=1e-12)

    def test_the_base_rate_is_back_after_fit_and_partial_fit_starts_over(
        self, make_net, table, spy
    ):
        X, y = table
        net = make_net(callbacks=[spy], lr=0.1, max_epochs=2).fit(X, y)
        assert net.optimizer_.param_groups[0]["lr"] == 0.1
        net.partial_fit(X, y)
        np.testing.assert_allclose(np.ravel(spy.lrs), [0.1, 0.05], rtol=1e-12)

    def test_set_params_acts_on_the_next_epochs(self, make_net, table, spy):
        X, y = table
        net = make_net(callbacks=[spy], lr=0.1, max_epochs=2).fit(X, y)
        net.set_params(lr=0.02).partial_fit(X, y)
        np.testing.assert_allclose(np.ravel(spy.lrs), [0.02, 0.01], rtol=1e-12)
        net.set_params(lr_schedule=None).partial_fit(X, y)
        np.testing.assert_allclose(np.ravel(spy.lrs), [0.02, 0.02], rtol=1e-12)
        assert net.optimizer_.param_groups[0]["lr"] == 0.02

    def test_the_users_scheduler_takes_its_place(self, make_net, table, spy):
        scheduler = LRScheduler("StepLR", step_size=1, gamma=0.1)
        make_net(callbacks=[scheduler, spy], lr=0.1).fit(*table)
        np.testing.assert_allclose(np.ravel(spy.lrs), [0.1, 0.01, 0.001], rtol=1e-9)

    def test_it_acts_without_callbacks(self, make_net, table):
        X, y = table
        a, b = make_net(callbacks="disable").fit(X, y), make_net().fit(X, y)
        assert_same_weights(a, b)
        with pytest.raises(AssertionError):
            assert_same_weights(a, make_net(lr_schedule=None).fit(X, y))

    def test_groups_of_parameters_keep_their_ratio(self, make_net, table, spy):
        net = make_net(
            callbacks=[spy],
            lr=0.1,
            max_epochs=2,
            optimizer__param_groups=[("head*", {"lr": 0.4})],
        ).fit(*table)
        np.testing.assert_allclose(
            sorted(spy.lrs[0]) + sorted(spy.lrs[1]), [0.1, 0.4, 0.05, 0.2], rtol=1e-12
        )
        assert sorted(g["lr"] for g in net.optimizer_.param_groups) == [0.1, 0.4]

    def test_rate_zero_moves_nothing(self, make_net, table):
        X, y = table
        a = make_net(lr=0, max_epochs=1).fit(X, y)
        b = make_net(lr=0, max_epochs=4).fit(X, y)
        assert_same_weights(a, b)


class TestOptimizers:
    def linear_run(self, make_net, table, **params):
        """Train a linear model in one batch; return its weights and the data."""
        X, y = table
        params = {"max_epochs": 5, "lr_schedule": None, "batch_size": -1, **params}
        start = make_net(**{**params, "lr": 0, "module__hidden": ()}).fit(X, y)
        end = make_net(**{**params, "module__hidden": ()}).fit(X, y)
        return weights_of(start), weights_of(end)

    @pytest.mark.parametrize(
        ("params", "momentum", "decay"),
        [
            ({}, 0.9, 2e-3),
            ({"optimizer__momentum": 0.0}, 0.0, 2e-3),
            ({"optimizer__weight_decay": 0.1}, 0.9, 0.1),
            ({"optimizer": partial(torch.optim.SGD, momentum=0.5)}, 0.5, 2e-3),
        ],
        ids=["default", "momentum", "decay", "partial"],
    )
    def test_sgd_by_hand(self, make_net, table, params, momentum, decay):
        X, y = table
        start, end = self.linear_run(make_net, table, lr=0.1, **params)
        W, b = (w.astype(np.float64) for w in start)
        step_W, step_b = np.zeros_like(W), np.zeros_like(b)
        for _ in range(5):
            z = X @ W.T + b
            error = np.exp(log_softmax(z, axis=1)) - np.eye(3)[y]
            step_W = momentum * step_W + error.T @ X / len(y) + decay * W
            step_b = momentum * step_b + error.mean(0) + decay * b
            W, b = W - 0.1 * step_W, b - 0.1 * step_b
        np.testing.assert_allclose(end[0], W, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(end[1], b, rtol=1e-4, atol=1e-6)

    @pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.AdamW])
    def test_adam_as_in_a_plain_loop(self, make_net, table, optimizer):
        X, y = table
        start, end = self.linear_run(make_net, table, lr=0.05, optimizer=optimizer)
        model = nn.Linear(4, 3)
        with torch.no_grad():
            for p, value in zip(model.parameters(), start, strict=True):
                p.copy_(torch.from_numpy(value))
        plain = optimizer(model.parameters(), lr=0.05)
        for _ in range(5):
            plain.zero_grad()
            logits = model(torch.from_numpy(X))
            nn.functional.cross_entropy(logits, torch.from_numpy(y)).backward()
            plain.step()
        for given, expected in zip(end, model.parameters(), strict=True):
            np.testing.assert_allclose(given, expected.detach(), rtol=1e-4, atol=1e-5)

    def test_lbfgs_finds_the_optimum_of_logistic_regression(self, make_net, table):
        from sklearn.linear_model import LogisticRegression

        X, y = table
        X = X[:, :2]
        net = make_net(
            optimizer=torch.optim.LBFGS,
            optimizer__line_search_fn="strong_wolfe",
            module__hidden=(),
            batch_size=-1,
            lr=1,
            lr_schedule=None,
            max_epochs=8,
        ).fit(X, y)
        exact = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000).fit(X, y)
        np.testing.assert_allclose(
            net.predict_proba(X), exact.predict_proba(X), atol=2e-3
        )
        assert net.step_needs_closure_

    def test_epochs_are_seeded_for_every_optimizer(self, make_net, table):
        X, y = table
        params = {"optimizer": torch.optim.Adam, "lr_schedule": None, "lr": 0.01}
        a = make_net(max_epochs=2, **params).fit(X, y).partial_fit(X, y)
        assert_same_weights(a, make_net(max_epochs=4, **params).fit(X, y))

    def test_criterion_parameters_are_trained(self, make_net, table):
        class Scaled(nn.Module):
            def __init__(self):
                super().__init__()
                self.scale = nn.Parameter(torch.ones(1))

            def forward(self, logits, y):
                return nn.functional.cross_entropy(self.scale * logits, y)

        net = make_net(criterion=Scaled).fit(*table)
        assert net.criterion_.scale.item() != 1
