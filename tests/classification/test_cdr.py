"""CDR: whose gradients are kept, in numpy, and what a whole training does."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skorch.callbacks import Callback, EarlyStopping
from skorch.dataset import ValidSplit
from torch import nn

from sknoisy import CDRClassifier, NetClassifier
from sknoisy.classification._cdr import keep_critical_gradients
from sknoisy.nets import PreActResNet

SMALL = {
    "module__hidden": 6,
    "module__dropout": 0.0,
    "max_epochs": 4,
    "batch_size": 60,
    "random_state": 0,
}


def parameter(weight, grad, dtype=torch.float32):
    made = nn.Parameter(torch.as_tensor(weight, dtype=dtype).clone())
    made.grad = torch.as_tensor(grad, dtype=dtype).clone()
    return made


def kept_in_numpy(weights, grads, rate):
    """The rule of the method text, by sorting; vectors keep their gradient."""
    matrices = [i for i, weight in enumerate(weights) if weight.ndim >= 2]
    products = np.concatenate([np.abs(grads[i] * weights[i]).ravel() for i in matrices])
    n_kept = max(1, int((1 - rate) * len(products) + 1e-9))
    threshold = np.sort(products)[::-1][n_kept - 1]
    out = [grad.copy() for grad in grads]
    for i in matrices:
        is_critical = np.abs(grads[i] * weights[i]) >= threshold
        out[i] = (1 - rate) * is_critical * grads[i]
    return out


shapes = st.lists(
    st.sampled_from([(3,), (1, 1), (4, 3), (2, 5), (2, 2, 3), (3, 1, 2, 2)]),
    min_size=1,
    max_size=5,
).filter(lambda drawn: any(len(shape) > 1 for shape in drawn))


class TestGradients:
    @given(shapes, st.integers(0, 99), st.integers(0, 10_000), st.booleans())
    def test_they_are_those_of_the_rule(self, shapes, percent, seed, has_ties):
        rng, rate = np.random.default_rng(seed), percent / 100
        weights = [rng.normal(size=shape) for shape in shapes]
        grads = [rng.normal(size=shape) for shape in shapes]
        if has_ties:
            weights, grads = [[a.round() for a in part] for part in (weights, grads)]
        params = [
            parameter(*pair, torch.float64) for pair in zip(weights, grads, strict=True)
        ]
        keep_critical_gradients(params, rate)
        expected = kept_in_numpy(weights, grads, rate)
        for param, grad, weight in zip(params, expected, weights, strict=True):
            np.testing.assert_allclose(param.grad.numpy(), grad, rtol=1e-12)
            np.testing.assert_array_equal(param.detach().numpy(), weight)

    @pytest.mark.parametrize(
        ("rate", "n_kept"), [(0.25, 75), (0.9, 10), (0.999, 1), (0.333, 66)]
    )
    def test_without_ties_the_share_is_exact(self, rate, n_kept):
        rng = np.random.default_rng(0)
        params = [parameter(*rng.normal(size=(2, 5, 10))) for _ in range(2)]
        keep_critical_gradients(params, rate)
        assert sum(int((param.grad != 0).sum()) for param in params) == n_kept

    def test_tensors_compete_with_each_other(self):
        params = [parameter(np.ones((5, 2)), np.full((5, 2), g)) for g in (1.0, 9.0)]
        keep_critical_gradients(params, 0.5)
        assert (params[0].grad == 0).all() and (params[1].grad == 4.5).all()

    def test_of_equals_all_are_kept(self):
        param = parameter(np.ones((4, 4)), np.ones((4, 4)))
        keep_critical_gradients([param], 0.75)
        assert (param.grad == 0.25).all()

    def test_the_weight_counts_not_the_gradient_alone(self):
        param = parameter([[0.1, 10.0, -10.0, 0.0]], [[5.0, 1.0, -1.0, 9.0]])
        keep_critical_gradients([param], 0.5)
        np.testing.assert_array_equal(param.grad.numpy(), [[0, 0.5, -0.5, 0]])

    def test_parameters_without_gradient_are_left_out(self):
        # Their 90 entries would raise the number of those that are kept.
        absent = nn.Parameter(torch.ones(9, 10))
        rng = np.random.default_rng(0)
        param = parameter(*rng.normal(size=(2, 2, 5)))
        keep_critical_gradients([absent, param], 0.5)
        assert absent.grad is None and int((param.grad != 0).sum()) == 5

    def test_without_any_weight_nothing_happens(self):
        vector = parameter([1.0, 2.0], [3.0, 4.0])
        keep_critical_gradients([vector, nn.Parameter(torch.ones(2, 2))], 0.5)
        keep_critical_gradients([], 0.5)
        assert vector.grad.tolist() == [3.0, 4.0]

    def test_rate_0_touches_nothing(self):
        param = parameter(np.ones((2, 3)), np.arange(6.0).reshape(2, 3))
        before = param.grad.clone()
        keep_critical_gradients([param], 0.0)
        assert torch.equal(param.grad, before)

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_a_gradient_that_is_not_finite_stays_visible(self, value):
        param = parameter(np.ones((2, 2)), [[value, 1.0], [3.0, 2.0]])
        keep_critical_gradients([param], 0.5)
        assert not param.grad[0, 0].isfinite()

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
    def test_kinds_of_numbers_may_be_mixed(self, dtype):
        rng = np.random.default_rng(0)
        params = [
            parameter(*rng.normal(size=(2, 4, 5)), kind)
            for kind in (torch.float32, dtype)
        ]
        keep_critical_gradients(params, 0.5)
        assert [param.grad.dtype for param in params] == [torch.float32, dtype]
        n_kept = sum(int((param.grad != 0).sum()) for param in params)
        assert 20 <= n_kept <= 21  # ties of rounding

    def test_all_of_bfloat16(self):
        param = parameter([[1, 2], [3, 4]], np.ones((2, 2)), torch.bfloat16)
        keep_critical_gradients([param], 0.5)
        assert param.grad.tolist() == [[0, 0], [0.5, 0.5]]

    def test_images_lie_in_memory_as_they_like(self):
        rng = np.random.default_rng(0)
        weight, grad = rng.normal(size=(2, 4, 3, 3, 3))
        params = [parameter(weight, grad) for _ in range(2)]
        form = torch.channels_last
        params[1].data = params[1].data.to(memory_format=form)
        params[1].grad = params[1].grad.to(memory_format=form)
        for param in params:
            keep_critical_gradients([param], 0.7)
        assert torch.equal(params[0].grad, params[1].grad)


class Linear(nn.Module):
    def __init__(self, input_shape, n_classes):
        super().__init__()
        self.out = nn.Linear(input_shape[0], n_classes)

    def forward(self, X):
        return self.out(X)


class Batches(Callback):
    """Keeps the batches, and the weights and gradients with which steps are taken."""

    def initialize(self):
        self.steps = []
        return self

    def on_grad_computed(self, net, named_parameters, batch=None, **kwargs):
        X, y = batch
        grads = [p.grad.clone() for p in net.module_.parameters()]
        self.steps.append((X.numpy().copy(), y.numpy().copy(), grads))


def sgd_in_numpy(batches, weights, rate, lr, momentum, decay):
    """Softmax regression by the method text: mask, decay, momentum, step."""
    moved = [np.zeros_like(part) for part in weights]
    for X, y in batches:
        W, b = weights
        logits = X @ W.T + b
        p = np.exp(logits - logits.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        p[np.arange(len(y)), y] -= 1
        grads = kept_in_numpy(weights, [p.T @ X / len(y), p.mean(0)], rate)
        grads = [g + decay * w for g, w in zip(grads, weights, strict=True)]
        moved = [momentum * m + g for m, g in zip(moved, grads, strict=True)]
        weights = [w - lr * m for w, m in zip(weights, moved, strict=True)]
    return weights


class TestTraining:
    @pytest.mark.fast_cases(1)
    @pytest.mark.parametrize("rate", [0.0, 0.3, 0.7])
    def test_several_steps_in_numpy(self, blobs, rate):
        X, y, _ = blobs
        torch.manual_seed(0)
        module = Linear((4,), 3)
        start = [p.detach().numpy().astype(float) for p in module.parameters()]
        params = {"max_epochs": 3, "batch_size": 50, "random_state": 0, "lr": 0.1}
        params |= {"lr_schedule": None, "callbacks": [("kept", Batches())]}
        params |= {"optimizer__momentum": 0.8, "optimizer__weight_decay": 0.05}
        clf = CDRClassifier(module, forget_rate=rate, **params).fit(X, y)
        steps = dict(clf.callbacks_)["kept"].steps
        assert len(steps) == 12
        batches = [(X.astype(float), y) for X, y, _ in steps]
        expected = sgd_in_numpy(batches, start, rate, 0.1, 0.8, 0.05)
        for param, value in zip(clf.module_.parameters(), expected, strict=True):
            np.testing.assert_allclose(
                param.detach().numpy(), value, rtol=1e-4, atol=1e-6
            )

    def test_the_rate_is_the_same_in_all_epochs(self, blobs):
        callbacks = [("kept", Batches())]
        clf = CDRClassifier(forget_rate=0.4, callbacks=callbacks, **SMALL)
        clf.fit(*blobs[:2])
        for *_, grads in dict(clf.callbacks_)["kept"].steps:
            matrices = [grad for grad in grads if grad.ndim == 2]
            n_kept = sum(int((grad != 0).sum()) for grad in matrices)
            # 6 × 4 and 3 × 6 weights
            assert n_kept == int(0.6 * 42)
            assert all((grad != 0).any() for grad in grads if grad.ndim == 1)

    def test_weights_that_are_not_critical_decay(self, blobs):
        X, y, _ = blobs
        params = {**SMALL, "max_epochs": 1, "batch_size": -1, "lr_schedule": None}
        params |= {"optimizer__momentum": 0.0, "optimizer__weight_decay": 0.1}
        params |= {"callbacks": [("kept", Batches())], "forget_rate": 0.5}
        still = CDRClassifier(**{**params, "lr": 0.0}).fit(X, y)
        clf = CDRClassifier(**{**params, "lr": 0.5}).fit(X, y)
        ((*_, grads),) = dict(clf.callbacks_)["kept"].steps
        pairs = zip(still.module_.parameters(), clf.module_.parameters(), strict=True)
        for (before, after), grad in zip(pairs, grads, strict=True):
            rest = grad == 0
            np.testing.assert_allclose(
                after[rest].detach(), 0.95 * before[rest].detach(), rtol=1e-6
            )

    @pytest.mark.parametrize("weighted", [False, True])
    @pytest.mark.parametrize("amp", [False, True])
    def test_rate_0_is_cross_entropy_to_the_bit(self, blobs, weighted, amp):
        X, y, _ = blobs
        w = np.random.default_rng(0).random(180) if weighted else None
        own = CDRClassifier(forget_rate=0.0, amp=amp, **SMALL)
        plain = NetClassifier(amp=amp, **SMALL)
        own, plain = own.fit(X, y, sample_weight=w), plain.fit(X, y, sample_weight=w)
        np.testing.assert_array_equal(own.predict_proba(X), plain.predict_proba(X))
        assert own.history[:, "train_loss"] == plain.history[:, "train_loss"]

    def test_sample_weights_weigh_the_rows(self, blobs):
        X, y, _ = blobs
        w = np.arange(180) % 2
        params = {**SMALL, "batch_size": -1, "forget_rate": 0.5}
        weighted = CDRClassifier(**params).fit(X, y, sample_weight=w)
        kept = CDRClassifier(**params).fit(X[1::2], y[1::2])
        np.testing.assert_allclose(
            weighted.predict_proba(X), kept.predict_proba(X), rtol=1e-4, atol=1e-5
        )

    @pytest.mark.parametrize("amp", [False, True])
    def test_mixed_precision_and_frozen_layers(self, amp):
        rng = np.random.default_rng(0)
        X = rng.random((40, 3, 8, 8)).astype(np.float32)
        y = np.arange(40) % 2
        module = PreActResNet((3, 8, 8), 2, blocks=(1, 1), width=4)
        first = next(module.parameters()).requires_grad_(False)
        params = {"max_epochs": 2, "batch_size": 20, "random_state": 0, "amp": amp}
        clf = CDRClassifier(module, forget_rate=0.5, **params).fit(X, y)
        assert torch.equal(next(clf.module_.parameters()), first)
        assert np.isfinite(clf.history[:, "train_loss"]).all()

    def test_optimizers_that_evaluate_the_loss_again(self, blobs):
        X, y, _ = blobs
        params = {**SMALL, "max_epochs": 1, "lr": 0.1, "optimizer": torch.optim.LBFGS}
        params |= {"callbacks": [("kept", Batches())]}
        clf = CDRClassifier(forget_rate=0.5, **params).fit(X, y)
        steps = dict(clf.callbacks_)["kept"].steps
        assert len(steps) > 3
        for *_, grads in steps:
            matrices = [grad for grad in grads if grad.ndim == 2]
            assert sum(int((grad != 0).sum()) for grad in matrices) == 21

    @pytest.mark.slow
    def test_fewer_wrong_labels_are_learnt(self, blobs):
        X, y, is_noisy = blobs
        params = {**SMALL, "max_epochs": 60, "module__hidden": 128, "lr": 0.3}
        fitted = []
        for rate in (0.0, 0.9):
            clf = CDRClassifier(forget_rate=rate, **params).fit(X, y)
            fitted.append((clf.predict(X) == y)[is_noisy].mean())
        # Seeds 0 to 9: 0.11 to 0.28 against 0.00 to 0.03 of the wrong labels.
        assert fitted[1] < fitted[0] - 0.05

    def test_the_recipe_of_the_guide_takes_the_best_epoch(self, blobs):
        X, y, _ = blobs

        class Keep(Callback):
            def initialize(self):
                self.probas = []
                return self

            def on_epoch_end(self, net, **kwargs):
                self.probas.append(net.predict_proba(X))

        stop = EarlyStopping(
            "valid_acc", patience=20, lower_is_better=False, load_best=True
        )
        params = {**SMALL, "max_epochs": 12, "module__hidden": 64, "lr": 0.5}
        clf = CDRClassifier(
            forget_rate=0.2,
            train_split=ValidSplit(5, stratified=True),
            callbacks=[("keep", Keep()), ("stop", stop)],
            **params,
        ).fit(X, y)
        best = int(np.argmax(clf.history[:, "valid_acc"]))
        assert best < 11
        expected = dict(clf.callbacks_)["keep"].probas[best]
        np.testing.assert_array_equal(clf.predict_proba(X), expected)
        given = expected[np.arange(180), y]
        np.testing.assert_allclose(clf.noise_scores_, 1 - given, atol=1e-6)
