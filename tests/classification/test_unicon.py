"""UNICONClassifier: divergence and selection by hand, each step in numpy, scores."""

import copy
from itertools import pairwise
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pytest
import torch
from networks_in_numpy import cross_entropy, mlp, to_numpy
from scipy.spatial.distance import jensenshannon
from scipy.special import log_softmax, softmax
from sklearn.datasets import load_digits
from torch import nn

from sknoisy import NetClassifier, SymmetricNoiseInjector, UNICONClassifier
from sknoisy.classification._row_groups import Reserve
from sknoisy.classification._unicon import (
    label_divergence,
    selection_cut,
    uniform_selection,
)
from sknoisy.nets import AdversarialMasking, ArrayDataset, PreActResNet, TensorBatches

SMALL = {
    "module__hidden": 8,
    "module__dropout": 0.0,
    "max_epochs": 4,
    "warmup_epochs": 2,
    "batch_size": 30,
    "lr": 0.1,
    "random_state": 0,
}


def make(**params):
    return UNICONClassifier(**{**SMALL, **params})


class TestDivergence:
    @pytest.mark.parametrize(("log_base", "base"), [(2, 2), ("e", np.e)])
    def test_it_is_that_of_label_and_prediction(self, log_base, base):
        proba = np.random.default_rng(0).dirichlet(np.ones(4), 50)
        labels = np.eye(4)[np.arange(50) % 4]
        expected = jensenshannon(proba, labels, base, axis=1) ** 2
        own = (proba * labels).sum(1)
        np.testing.assert_allclose(label_divergence(own, log_base), expected, rtol=1e-7)

    def test_limits_and_order(self):
        found = label_divergence([0, 1e-300, 0.1, 0.5, 0.9, 1])
        assert found[0] == found[1] == 1 and found[-1] == 0
        assert (np.diff(found[1:]) < 0).all()
        np.testing.assert_allclose(label_divergence(0, "e"), np.log(2))


class TestSelection:
    def test_the_cut_is_the_mean_and_falls_above_the_limit(self):
        divergence = np.array([0.2, 0.9, 1.0])
        assert selection_cut(divergence, 0.71, 5.0) == pytest.approx(0.7)
        assert selection_cut(divergence, 0.6, 5.0) == pytest.approx(0.7 - 0.5 / 5)
        # With coefficient 1 no row is below.
        assert selection_cut(divergence, 0.6, 1.0) == pytest.approx(0.2)

    def test_natural_logarithms_never_reach_the_limit(self):
        assert label_divergence(np.zeros(3), "e").mean() < 0.7

    @pytest.mark.parametrize("seed", range(3))
    def test_each_class_keeps_its_smallest(self, seed):
        rng = np.random.default_rng(seed)
        codes, divergence = rng.integers(0, 4, 60), rng.random(60)
        # Class 4 occurs twice, class 5 never.
        codes[[7, 30]] = 4
        is_kept = uniform_selection(divergence, codes, 6, 33)
        for code in range(5):
            rows = np.flatnonzero(codes == code)
            expected = rows[divergence[rows].argsort()][: 33 // 6]
            np.testing.assert_array_equal(
                np.flatnonzero(is_kept & (codes == code)), np.sort(expected)
            )
        assert is_kept[codes == 4].all()

    def test_it_does_not_depend_on_the_order_of_the_rows(self):
        rng = np.random.default_rng(0)
        codes, divergence = rng.integers(0, 3, 40), rng.random(40)
        order = rng.permutation(40)
        one = uniform_selection(divergence, codes, 3, 20)
        other = uniform_selection(divergence[order], codes[order], 3, 20)
        np.testing.assert_array_equal(one[order], other)


def test_a_reserve_gives_any_number_of_rows_and_each_as_often():
    X = np.arange(10, dtype=np.float32)[:, None]
    data = ArrayDataset(X, np.arange(10))
    reserve = Reserve(TensorBatches(data, batch_size=4))
    taken = [reserve.take(n) for n in (3, 1, 13, 8, 5)]
    assert [len(batch.index) for batch in taken] == [3, 1, 13, 8, 5]
    rows = np.concatenate([batch.index for batch in taken])
    np.testing.assert_array_equal(rows, np.tile(np.arange(10), 3))
    for batch in taken:
        np.testing.assert_array_equal(batch[0][:, 0], batch.index)
        np.testing.assert_array_equal(batch[1], batch.index)


class View:
    """Shifts a batch a little further at each call, and keeps what it has made."""

    def __init__(self, step):
        self.step, self.made = step, []

    def __call__(self, X):
        view = X.add_(self.step * (1 + len(self.made) % 5))
        self.made.append(view.numpy().astype(float))
        return view


class Watched(UNICONClassifier):
    """Keeps what each step was given and computed, and each judgement."""

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        super().on_train_begin(net, X, y, **kwargs)
        self.taken_, self.judged_ = [], []

    def division(self, turn):
        before = [to_numpy(peer) for peer in self.module_.peers]
        kept, others = super().division(turn)
        self.judged_.append(
            SimpleNamespace(
                epoch=len(self.history),
                turn=turn,
                before=copy.deepcopy(before),
                kept=kept,
                others=others,
                weight=self.clean_.numpy().astype(float),
            )
        )
        return kept, others

    def training_loss(self, X, y, index):
        step = SimpleNamespace(epoch=len(self.history), turn=self.turn_, calls=[])
        step.n, step.y, step.index = self.n_labelled_, y.numpy(), index.numpy()
        step.before = copy.deepcopy([to_numpy(peer) for peer in self.module_.peers])
        step.heads = copy.deepcopy([to_numpy(head) for head in self.criterion_])
        views = self.weak_view, self.strong_view
        n_made = [len(getattr(view, "made", ())) for view in views]

        def randperm(*args, randperm=torch.randperm, **kwargs):
            step.partner = randperm(*args, **kwargs).numpy()
            return torch.from_numpy(step.partner)

        with patch.object(torch, "randperm", randperm):
            result = super().training_loss(X, y, index)
        if isinstance(self.weak_view, View):
            step.weak, step.strong = (
                view.made[n:] for view, n in zip(views, n_made, strict=True)
            )
        step.loss, step.logits = result.loss.item(), result.logits.detach().numpy()
        self.taken_.append(step)
        return result


@pytest.fixture
def watch(blobs):
    def fit(sample_weight=None, **params):
        views = {"weak_view": View(0.01), "strong_view": View(-0.1)}
        params = {**SMALL, **views, **params}
        return Watched(**params).fit(*blobs[:2], sample_weight=sample_weight)

    return fit


def semi_supervised(clf):
    return [step for step in clf.taken_ if step.n is not None]


def judgement(clf, step):
    (found,) = (j for j in clf.judged_ if (j.epoch, j.turn) == (step.epoch, step.turn))
    return found


def sharpened(p, temperature):
    raised = p ** (1 / temperature)
    return raised / raised.sum(1, keepdims=True)


def contrast_by_hand(peer, head, first, second, temperature):
    """The loss of each row, by a double loop over the views."""
    rows = np.concatenate([first, second])
    hidden = np.maximum(rows @ peer["body.0.weight"].T + peer["body.0.bias"], 0)
    z = hidden @ head["head.0.weight"].T + head["head.0.bias"]
    z = (z - z.mean(0)) / np.sqrt(z.var(0) + 1e-5)
    z = z * head["head.1.weight"] + head["head.1.bias"]
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    n, loss = len(first), np.zeros(2 * len(first))
    for i in range(2 * n):
        others = [z[i] @ z[j] / temperature for j in range(2 * n) if j != i]
        own = z[i] @ z[(i + n) % (2 * n)] / temperature
        loss[i] = np.log(np.exp(others).sum()) - own
    return (loss[:n] + loss[n:]) / 2


def expected_loss(clf, step, share, lam, weight):
    """The step of the paper, by the weights before it and the views it took."""
    n, T = step.n, clf.temperature
    own, other = step.before[step.turn], step.before[1 - step.turn]
    p = [softmax(mlp(own, view), axis=1) for view in step.weak]
    p_other = [softmax(mlp(other, view[n:]), axis=1) for view in step.weak]
    w = judgement(clf, step).weight[step.index[:n], None]
    refined = w * np.eye(3)[step.y[:n]] + (1 - w) * (p[0][:n] + p[1][:n]) / 2
    refined = sharpened(refined, T)
    guessed = sharpened((p[0][n:] + p[1][n:] + p_other[0] + p_other[1]) / 4, T)
    first, second = step.strong
    rows = np.concatenate([first[:n], second[:n], first[n:], second[n:]])
    targets = np.concatenate([refined, refined, guessed, guessed])
    weights = np.concatenate([weight[:n], weight[:n], weight[n:], weight[n:]])

    def mix(values):
        return share * values + (1 - share) * values[step.partner]

    logits, targets, mixed = mlp(own, mix(rows)), mix(targets), mix(weights)
    fit = -(targets * log_softmax(logits, axis=1)).sum(1)[: 2 * n]
    away = ((softmax(logits, axis=1) - targets) ** 2).mean(1)[2 * n :]
    loss = np.average(fit, weights=mixed[: 2 * n])
    loss += lam * np.average(away, weights=mixed[2 * n :])
    mean = np.average(softmax(logits, axis=1), axis=0, weights=mixed)
    loss += clf.prior_weight * (np.log(1 / 3 / mean) / 3).sum()
    contrast = contrast_by_hand(
        own, step.heads[step.turn], first[n:], second[n:], clf.contrastive_temperature
    )
    return loss + clf.contrastive_weight * np.average(contrast, weights=weight[n:])


class TestStep:
    @pytest.mark.slow
    @pytest.mark.parametrize(
        "params",
        [
            {},
            {"temperature": 1.0, "contrastive_weight": 1.0, "log_base": "e"},
            {"contrastive_temperature": 0.5, "contrastive_weight": 3.0},
        ],
        ids=str,
    )
    @pytest.mark.parametrize("weighted", [False, True])
    def test_loss_in_numpy(self, watch, params, weighted):
        w = np.random.default_rng(0).random(180) if weighted else None
        clf = watch(w, ramp_epochs=0, unlabeled_weight=3.0, **params)
        steps = semi_supervised(clf)
        assert {(step.epoch, step.turn) for step in steps} == {
            (epoch, turn) for epoch in (3, 4) for turn in (0, 1)
        }
        drawn = {}
        for step in steps:
            rng = drawn.setdefault(
                step.epoch, np.random.default_rng([clf.seed_, step.epoch])
            )
            share = rng.beta(4.0, 4.0)
            share = max(share, 1 - share)
            weight = np.ones(len(step.y)) if w is None else w[step.index]
            expected = expected_loss(clf, step, share, 3.0, weight)
            assert step.loss == pytest.approx(expected, rel=1e-4, abs=1e-5)
            own = step.before[step.turn]
            mean = sum(mlp(own, view) for view in step.weak) / 2
            np.testing.assert_allclose(step.logits, mean, rtol=1e-4, atol=1e-5)

    def test_without_contrast_there_is_no_head(self, blobs):
        clf = make(contrastive_weight=0, max_epochs=3).fit(*blobs[:2])
        assert isinstance(clf.criterion_, nn.Identity)

    def test_each_network_trains_its_own_head_after_the_warm_up(self, watch):
        params = {"contrastive_weight": 1.0, "optimizer__weight_decay": 0.0}
        steps = watch(max_epochs=3, **params).taken_
        for step, following in pairwise(steps):
            for turn in (0, 1):
                before = step.heads[turn]["head.0.weight"]
                stands = np.array_equal(following.heads[turn]["head.0.weight"], before)
                assert stands == (step.n is None or step.turn != turn)


class TestJudgement:
    @pytest.mark.fast_cases(1)
    @pytest.mark.parametrize("log_base", [2, "e"])
    def test_both_networks_judge_before_each_of_both_is_trained(
        self, watch, blobs, log_base
    ):
        X, y, _ = blobs
        # Dropout shows that they judge in evaluation mode.
        clf = watch(module__dropout=0.5, log_base=log_base)
        assert [(j.epoch, j.turn) for j in clf.judged_] == [
            (3, 0),
            (3, 1),
            (4, 0),
            (4, 1),
        ]
        kept = []
        for found in clf.judged_:
            p = sum(softmax(mlp(peer, X), axis=1) for peer in found.before) / 2
            base = 2 if log_base == 2 else np.e
            d = jensenshannon(p, np.eye(3)[y], base, axis=1) ** 2
            expected = uniform_selection(d, y, 3, int((d < d.mean()).sum()))
            np.testing.assert_array_equal(found.kept, np.flatnonzero(expected))
            np.testing.assert_array_equal(found.others, np.flatnonzero(~expected))
            weight = 1 - d * (d >= 0.5)
            np.testing.assert_allclose(found.weight, weight, rtol=1e-4, atol=1e-5)
            kept.append(expected.mean())
        assert np.isnan(clf.history_[:2, "kept"]).all()
        expected = np.reshape(kept, (2, 2)).mean(1)
        np.testing.assert_allclose(clf.history_[2:, "kept"], expected)
        # The second judgement is by a network that the first pass has changed.
        first, second = clf.judged_[:2]
        assert (first.before[0]["head.bias"] != second.before[0]["head.bias"]).any()
        assert (first.before[1]["head.bias"] == second.before[1]["head.bias"]).all()

    def test_rows_of_the_passes_are_those_of_the_judgement(self, watch):
        clf = watch()
        for found in clf.judged_:
            steps = [s for s in semi_supervised(clf) if judgement(clf, s) is found]
            kept = np.concatenate([step.index[: step.n] for step in steps])
            np.testing.assert_array_equal(np.sort(kept), found.kept)
            others = np.concatenate([step.index[step.n :] for step in steps])
            assert {*others} <= {*found.others}

    @pytest.mark.parametrize(
        ("params", "most"),
        [({}, 4), ({"adjustment_threshold": 0.0, "filter_coefficient": 1.01}, 4)],
        ids=["usual", "few clean"],
    )
    def test_more_rows_are_guessed_the_fewer_labels_are_clean(
        self, watch, blobs, params, most
    ):
        X, y, _ = blobs
        steps = semi_supervised(clf := watch(max_epochs=3, **params))
        assert steps
        for step in steps:
            found = judgement(clf, step)
            p = sum(softmax(mlp(peer, X), axis=1) for peer in found.before) / 2
            d = jensenshannon(p, np.eye(3)[y], 2, axis=1) ** 2
            cut = d.mean()
            if params:
                cut -= (cut - d.min()) / 1.01
            expected = min(step.n / (2 * (d < cut).mean()), most * step.n)
            assert len(step.y) - step.n == int(expected)

    def test_if_no_label_is_clean_all_given_ones_are_learnt(self, watch, blobs):
        clf = watch(
            max_epochs=3, adjustment_threshold=0, filter_coefficient=1, batch_size=60
        )
        X, y, _ = blobs
        last = [step for step in clf.taken_ if step.epoch == 3]
        assert len(last) == 2 * 3 and {step.n for step in last} == {None}
        for step in last:
            logits = mlp(step.before[step.turn], X[step.index])
            expected = cross_entropy(logits, y[step.index]).mean()
            assert step.loss == pytest.approx(expected, rel=1e-4)


class TestScores:
    @pytest.mark.parametrize("log_base", [2, "e"])
    def test_they_are_the_divergence_in_bits(self, blobs, log_base):
        X, y, _ = blobs
        clf = make(max_epochs=3, log_base=log_base).fit(X, y)
        p = sum(softmax(mlp(to_numpy(peer), X), axis=1) for peer in clf.module_.peers)
        expected = jensenshannon(p / 2, np.eye(3)[y], 2, axis=1) ** 2
        np.testing.assert_allclose(clf.noise_scores_, expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(clf.noise_mask_, clf.noise_scores_ > 0.5)

    def test_nothing_beyond_the_warm_up_is_told(self, blobs):
        with pytest.warns(UserWarning, match="no label was replaced"):
            make(max_epochs=2).fit(*blobs[:2])


class NoLinear(nn.Module):
    """A network in which nobody can find features."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv1d(2, 3, 1)

    def forward(self, X):
        return self.layer(X[:, :, None])[:, :, 0]


def test_only_the_contrast_needs_features(blobs):
    X, y, _ = blobs
    plain = {"module": NoLinear, "max_epochs": 3, "warmup_epochs": 1}
    UNICONClassifier(contrastive_weight=0, **plain).fit(X[:, :2], y)
    with pytest.raises(TypeError, match="NoLinear has no method `embed` and no Linear"):
        UNICONClassifier(**plain).fit(X[:, :2], y)


@pytest.mark.slow
def test_masked_views_are_those_of_the_weak_view_and_follow_the_strong_ones():
    rng = np.random.default_rng(0)
    y = np.tile([0, 1, 2], 20)
    X = rng.integers(0, 100, (60, 3, 8, 8)) + 50 * y[:, None, None, None]
    seen = []

    class Watching(UNICONClassifier):
        def group_loss(self, X, labelled, unlabelled, index):
            if self.masking_.is_active:
                for group in (labelled, unlabelled):
                    one, _, peak, valley = group.views
                    for view in (peak, valley):
                        assert 0 < (view != one).float().mean() < 0.5
            return super().group_loss(X, labelled, unlabelled, index)

        def mixed_loss(self, labelled, unlabelled, index):
            if self.masking_.is_active:
                views = labelled.views
                # A strong view of black images is black, a masked one is not.
                seen.append([float(view.abs().max()) for view in views[:2]])
                assert len(views) == len(unlabelled.views) == 4
                assert all(view.abs().max() > 0 for view in views[2:])
            return super().mixed_loss(labelled, unlabelled, index)

    Watching(
        PreActResNet,
        module__blocks=(1,),
        module__width=4,
        masking=AdversarialMasking,
        masking__warmup_epochs=1,
        warmup_epochs=1,
        strong_view=torch.zeros_like,
        max_epochs=3,
        batch_size=20,
        random_state=0,
    ).fit(X.astype(np.uint8), y)
    assert seen and {*np.ravel(seen)} == {0.0}


@pytest.mark.slow
def test_it_is_more_accurate_than_plain_training_on_digits():
    X, y = load_digits(return_X_y=True)
    injector = SymmetricNoiseInjector(0.6, random_state=0)
    X, y_noisy = injector.fit_resample(X / X.std(), y)
    params = {"batch_size": 32, "random_state": 0}
    plain = NetClassifier(**params).fit(X[:600], y_noisy[:600])
    robust = UNICONClassifier(**params).fit(X[:600], y_noisy[:600])
    gain = robust.score(X[600:], y[600:]) - plain.score(X[600:], y[600:])
    # 0.22 in this run.
    assert gain > 0.1
    is_wrong = injector.noise_mask_[:600]
    assert (robust.noise_mask_ == is_wrong).mean() > 0.85
