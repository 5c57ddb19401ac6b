"""PESClassifier: what is renewed and what stands still, stages, its loss in numpy."""

import copy
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pytest
import torch
from fitted_state import Stop, assert_same_fit
from networks_in_numpy import cross_entropy, mlp, to_numpy
from scipy.special import log_softmax, softmax
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from torch import nn

from sknoisy import NetClassifier, PESClassifier, SymmetricNoiseInjector
from sknoisy.classification._progressive import (
    Stage,
    class_weights,
    parts_of,
    stage_of,
)
from sknoisy.nets import MLP, PreActResNet

SMALL = {
    "module__hidden": 8,
    "module__dropout": 0.0,
    "max_epochs": 5,
    "warmup_epochs": 1,
    "refine_epochs": 2,
    "batch_size": 60,
    "lr": 0.1,
    "random_state": 0,
}


def make(**params):
    return PESClassifier(**{**SMALL, **params})


class Three(nn.Module):
    """A network of three parts; the first has statistics of batches."""

    def __init__(self, input_shape, n_classes):
        super().__init__()
        n = input_shape[0]
        self.first = nn.Sequential(nn.Linear(n, 6), nn.BatchNorm1d(6), nn.ReLU())
        self.drop = nn.Dropout(0.5)
        self.second = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU())
        self.head = nn.Linear(5, n_classes)

    def forward(self, X):
        return self.head(self.second(self.drop(self.first(X))))


OF_THREE = {
    "module": Three,
    "max_epochs": 6,
    "warmup_epochs": 1,
    "refine_epochs": (2, 1),
    "batch_size": 60,
    "random_state": 0,
}


class Watched(PESClassifier):
    """Keeps the network at the start and the end of each epoch, and each step."""

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        super().on_train_begin(net, X, y, **kwargs)
        if not len(self.history):
            self.before_, self.begun_, self.ended_, self.taken_ = {}, {}, {}, []

    def state(self):
        return {k: v.numpy().copy() for k, v in self.module_.state_dict().items()}

    def on_epoch_begin(self, net, *args, **kwargs):
        before, main = self.state(), self.optimizer_
        super().on_epoch_begin(net, *args, **kwargs)
        epoch = len(self.history)
        self.before_[epoch], self.begun_[epoch] = before, self.state()
        if self.stage_.kind == "kept" and self.stage_.is_first:
            assert self.optimizer_ is main and not main.state

    def on_epoch_end(self, net, *args, **kwargs):
        super().on_epoch_end(net, *args, **kwargs)
        self.ended_[len(self.history)] = self.state()

    def training_loss(self, X, y, index):
        step = SimpleNamespace(epoch=len(self.history), n=self.n_labelled_)
        step.y, step.index, step.X = y.numpy(), index.numpy(), X.numpy().copy()
        step.before = copy.deepcopy(to_numpy(self.module_))

        def randperm(*args, randperm=torch.randperm, **kwargs):
            step.partner = randperm(*args, **kwargs).numpy()
            return torch.from_numpy(step.partner)

        made = getattr(self.weak_view, "made", [])
        n_made = len(made)
        with patch.object(torch, "randperm", randperm):
            result = super().training_loss(X, y, index)
        step.views, step.loss = made[n_made:], result.loss.item()
        step.logits = result.logits.detach().numpy()
        self.taken_.append(step)
        return result


def watch(blobs, sample_weight=None, **params):
    clf = Watched(**{**SMALL, **params})
    return clf.fit(*blobs[:2], sample_weight=sample_weight)


class TestStages:
    def test_their_order_by_hand(self):
        found = [stage_of(epoch, 2, (3, 1)) for epoch in range(1, 9)]
        assert found == [
            Stage("early", 0, False),
            Stage("early", 0, False),
            Stage("refine", 2, True),
            Stage("refine", 2, False),
            Stage("refine", 2, False),
            Stage("refine", 1, True),
            Stage("kept", 2, True),
            Stage("kept", 2, False),
        ]

    def test_a_refinement_may_be_left_out(self):
        kinds = [stage_of(epoch, 1, (2, 0, 1))[:2] for epoch in range(1, 6)]
        assert kinds == [
            ("early", 0),
            ("refine", 3),
            ("refine", 3),
            ("refine", 1),
            ("kept", 3),
        ]

    @pytest.mark.parametrize(
        ("module", "max_epochs", "batch_size", "expected"),
        [
            (MLP, 20, 3, (3,)),  # ten steps an epoch, 30 in all
            (MLP, 200, 3, (5,)),
            (MLP, 20, 1, (1,)),
            (Three, 200, 3, (7, 5)),
            (MLP, 20, -1, (5,)),  # one step: no more than a quarter of the epochs
            (Three, 4, 30, (1, 1)),
        ],
    )
    def test_auto_is_the_published_share_or_enough_steps(
        self, blobs, module, max_epochs, batch_size, expected
    ):
        clf = PESClassifier(module, max_epochs=max_epochs, batch_size=batch_size)
        clf.fit(*(rows[:30] for rows in blobs[:2]))
        assert clf.refine_epochs_ == expected
        assert clf.n_early_ == max(1, max_epochs // 10)


def test_weights_of_classes():
    counts = torch.tensor([4, 0, 1, 10])
    found = class_weights(counts).numpy()
    np.testing.assert_allclose(found, [3.75 / 4, 0, 3.75, 0.375])
    # Each class that is there counts alike.
    assert found @ counts.numpy() == pytest.approx(3 * 15 / 4)


class TestRefinement:
    def test_what_moves_in_which_epoch(self, blobs):
        clf = Watched(**OF_THREE).fit(*blobs[:2])

        def moving(epoch):
            begun, ended = clf.begun_[epoch], clf.ended_[epoch]
            moved = {k for k in begun if not np.array_equal(begun[k], ended[k])}
            return {name.split(".")[0] for name in moved}

        every = {"first", "second", "head"}
        assert [moving(epoch) for epoch in range(1, 7)] == [
            every,
            {"second", "head"},
            {"second", "head"},
            {"head"},
            every,
            every,
        ]

    def test_what_is_renewed_at_the_start_of_which_epoch(self, blobs):
        clf = Watched(**OF_THREE).fit(*blobs[:2])
        other = Watched(**{**OF_THREE, "random_state": 1}).fit(*blobs[:2])
        renewed = {}
        for epoch in range(1, 7):
            before, begun = clf.before_[epoch], clf.begun_[epoch]
            names = {k for k in begun if not np.array_equal(begun[k], before[k])}
            renewed[epoch] = {k.split(".")[0] for k in names if "weight" in k}
        assert {epoch: names for epoch, names in renewed.items() if names} == {
            2: {"second", "head"},
            4: {"head"},
        }
        fresh = clf.begun_[2]["head.weight"]
        assert (fresh != clf.begun_[1]["head.weight"]).all()
        assert (fresh != clf.begun_[4]["head.weight"]).all()
        assert (fresh != other.begun_[2]["head.weight"]).all()
        # Statistics of batches start again, too.
        assert (clf.begun_[2]["second.1.running_mean"] == 0).all()
        assert (clf.begun_[2]["first.1.running_mean"] != 0).all()

    def test_a_step_of_adam_in_numpy(self, blobs):
        X, y, _ = blobs
        params = {"refine_epochs": 1, "max_epochs": 3, "batch_size": -1}
        clf = watch(blobs, refine_lr=0.02, **params)
        begun = {k: v.astype(float) for k, v in clf.begun_[2].items()}
        hidden = X @ begun["body.0.weight"].T + begun["body.0.bias"]
        hidden = np.maximum(hidden, 0)
        error = (softmax(mlp(begun, X), axis=1) - np.eye(3)[y]) / len(y)
        for name, grad in (
            ("head.weight", error.T @ hidden),
            ("head.bias", error.sum(0)),
        ):
            # The first step of Adam: mean and root of the mean square are the gradient.
            expected = begun[name] - 0.02 * grad / (np.abs(grad) + 1e-8)
            np.testing.assert_allclose(clf.ended_[2][name], expected, rtol=1e-4)

    def test_other_parts_are_in_evaluation_mode(self, blobs):
        X, y, _ = blobs
        clf = watch(blobs, module__dropout=0.9)
        steps = [step for step in clf.taken_ if step.epoch in (2, 3)]
        assert len(steps) == 6
        for step in steps:
            # Dropout is within the body.
            logits = mlp(step.before, X[step.index])
            np.testing.assert_allclose(step.logits, logits, rtol=1e-4, atol=1e-5)
            expected = cross_entropy(logits, y[step.index]).mean()
            assert step.loss == pytest.approx(expected, rel=1e-4)
        early = clf.taken_[0]
        assert not np.allclose(early.logits, mlp(early.before, X[early.index]))

    @pytest.mark.parametrize("refit_head", [True, False])
    def test_renewed_parts_may_stand_still_afterwards(self, blobs, refit_head):
        clf = watch(blobs, refit_head=refit_head)
        last, refined = clf.ended_[5], clf.ended_[3]
        assert np.array_equal(last["head.weight"], refined["head.weight"]) != refit_head
        assert (last["body.0.weight"] != refined["body.0.weight"]).any()

    def test_an_instance_gets_its_own_weights_back(self, blobs):
        given = MLP((4,), 3, hidden=8, dropout=0.0)
        params = {k: v for k, v in SMALL.items() if not k.startswith("module__")}
        clf = Watched(given, **params).fit(*blobs[:2])
        np.testing.assert_array_equal(
            clf.begun_[2]["head.weight"], given.head.weight.detach().numpy()
        )
        assert (clf.before_[2]["head.weight"] != clf.begun_[2]["head.weight"]).any()


def kept_of(clf, X, y, epoch):
    """The labels predicted at the start of an epoch, and the weights of the classes."""
    state = {k: v.astype(float) for k, v in clf.begun_[epoch].items()}
    is_kept = mlp(state, X).argmax(1) == y
    counts = np.bincount(y[is_kept], minlength=3)
    return is_kept, np.divide(counts.mean(), counts, where=counts > 0, out=np.zeros(3))


class View:
    """Shifts a batch a little further at each call, and keeps what it has made."""

    def __init__(self):
        self.made = []

    def __call__(self, X):
        view = X.add_(0.01 * (1 + len(self.made) % 5))
        self.made.append(view.numpy().astype(float))
        return view


class TestKeptLabels:
    @pytest.mark.parametrize("weighted", [False, True])
    def test_loss_in_numpy(self, blobs, weighted):
        X, y, _ = blobs
        w = np.random.default_rng(0).random(180) if weighted else np.ones(180)
        clf = watch(blobs, w if weighted else None)
        for epoch in (4, 5):
            is_kept, own = kept_of(clf, X, y, epoch)
            assert 0 < is_kept.mean() < 1
            assert clf.history_[epoch - 1, "kept"] == pytest.approx(is_kept.mean())
            steps = [step for step in clf.taken_ if step.epoch == epoch]
            rows = np.concatenate([step.index for step in steps])
            np.testing.assert_array_equal(np.sort(rows), np.flatnonzero(is_kept))
            for step in steps:
                loss = cross_entropy(mlp(step.before, X[step.index]), step.y)
                weight = own[step.y] * w[step.index]
                expected = np.average(loss, weights=weight)
                assert step.loss == pytest.approx(expected, rel=1e-4)

    @pytest.mark.slow
    @pytest.mark.parametrize("weighted", [False, True])
    def test_loss_with_guessed_labels_in_numpy(self, blobs, weighted):
        X, y, _ = blobs
        w = np.random.default_rng(0).random(180) if weighted else np.ones(180)
        clf = watch(
            blobs,
            w if weighted else None,
            semi=True,
            weak_view=View(),
            max_epochs=6,
            unlabeled_weight=7.0,
        )
        for epoch in (4, 5, 6):
            is_kept, own = kept_of(clf, X, y, epoch)
            rng = np.random.default_rng([clf.seed_, epoch])
            steps = [step for step in clf.taken_ if step.epoch == epoch]
            assert len(steps) == 3
            for position, step in enumerate(steps):
                n = step.n
                assert is_kept[step.index[:n]].all()
                assert not is_kept[step.index[n:]].any()
                share = rng.beta(4.0, 4.0)
                done = epoch - 4 + position / 3
                lam = 7.0 * min(done / (16 / 300 * 6), 1.0)
                expected = mixed(step, own, w, max(share, 1 - share), lam)
                assert step.loss == pytest.approx(expected, rel=1e-4, abs=1e-5)
            # A step has rows of either kind in proportion.
            assert sum(len(step.index) for step in steps) == 180
            assert abs(steps[0].n - is_kept.sum() / 3) <= 1

    def test_if_only_one_class_is_predicted_all_labels_are_learnt(self, blobs):
        class One(Watched):
            def eval_pass(self, dataset, modules=None):
                rows, codes, logits = super().eval_pass(dataset, modules)
                one = torch.tensor([1.0, 0.0, 0.0]).expand(len(codes), 3)
                return rows, codes, dict.fromkeys(logits, one)

        clf = One(**SMALL).fit(*blobs[:2])
        last = [step.index for step in clf.taken_ if step.epoch == 5]
        np.testing.assert_array_equal(np.sort(np.concatenate(last)), np.arange(180))


def mixed(step, own, w, share, lam):
    """The step with guessed labels, by the weights before it and the views it took."""
    n, (first, second) = step.n, step.views
    p = [softmax(mlp(step.before, view[n:]), axis=1) for view in (first, second)]
    guessed = ((p[0] + p[1]) / 2) ** 2
    guessed /= guessed.sum(1, keepdims=True)
    given = np.eye(3)[step.y[:n]]
    rows = np.concatenate([first[:n], second[:n], first[n:], second[n:]])
    targets = np.concatenate([given, given, guessed, guessed])
    kept = np.minimum(own, 3)[step.y[:n]] * w[step.index[:n]]
    rest = w[step.index[n:]]
    weight = np.concatenate([kept, kept, rest, rest])

    def mix(values):
        return share * values + (1 - share) * values[step.partner]

    logits, targets, weight = mlp(step.before, mix(rows)), mix(targets), mix(weight)
    fit = -(targets * log_softmax(logits, axis=1)).sum(1)[: 2 * n]
    away = ((softmax(logits, axis=1) - targets) ** 2).mean(1)[2 * n :]
    loss = np.average(fit, weights=weight[: 2 * n])
    return loss + lam * np.average(away, weights=weight[2 * n :])


class TestTrainings:
    @pytest.mark.parametrize("epoch", [2, 3, 4])
    def test_a_killed_training_goes_on_from_its_file(self, blobs, tmp_path, epoch):
        path = tmp_path / "run.pt"
        whole = make().fit(*blobs[:2])
        stop = Stop(epoch, 2, RuntimeError)
        with pytest.raises(RuntimeError, match="stopped in epoch"):
            make(checkpoint=path, callbacks=[stop]).fit(*blobs[:2])
        assert_same_fit(make(checkpoint=path).fit(*blobs[:2]), whole)

    @pytest.mark.parametrize("epoch", [2, 4])
    def test_after_an_interruption_the_optimizer_is_that_of_the_net(self, blobs, epoch):
        clf = make(callbacks=[Stop(epoch, 2)])
        clf.fit(*blobs[:2])
        assert isinstance(clf.optimizer_, torch.optim.SGD)
        assert clf.resting_ is None and len(clf.noise_scores_) == 180

    def test_calls_add_up_across_the_refinement(self, blobs):
        params = {"lr_schedule": None}
        once, parts = make(**params).fit(*blobs[:2]), make(**params)
        for n_epochs in (2, 3):
            parts.partial_fit(*blobs[:2], epochs=n_epochs)
        assert_same_fit(parts, once)

    @pytest.mark.slow
    def test_a_grid_search_over_its_own_parameters(self, blobs):
        grid = {"refine_epochs": [1, (2,)], "warmup_epochs": [1, 2]}
        search = GridSearchCV(make(max_epochs=8), grid, cv=2).fit(*blobs[:2])
        assert search.best_estimator_.refine_epochs_ in {(1,), (2,)}
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()


class TestRefusals:
    def test_a_network_of_one_part(self, blobs):
        message = r"needs two named children .* Sequential has the parts \['0'\]"
        with pytest.raises(ValueError, match=message):
            PESClassifier(nn.Sequential(nn.Linear(4, 3))).fit(*blobs[:2])

    @pytest.mark.parametrize("given", [(), (0, 1), (1.5,), (1, -1), [True, "2"]])
    def test_numbers_of_epochs(self, blobs, given):
        with pytest.raises(ValueError, match="must be 'auto', or integers"):
            make(refine_epochs=given).fit(*blobs[:2])

    def test_more_refinements_than_parts(self, blobs):
        with pytest.raises(ValueError, match="would renew 2 of 2 parts"):
            make(refine_epochs=(1, 1)).fit(*blobs[:2])

    def test_no_epoch_for_kept_labels(self, blobs):
        with pytest.raises(ValueError, match="leave no epoch in which labels are kept"):
            make(max_epochs=3).fit(*blobs[:2])


class Wrapper(nn.Module):
    """A network within a network, as those of torchvision are."""

    def __init__(self):
        super().__init__()
        self.scale, self.network = nn.Identity(), Three((4,), 3)


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (MLP((4,), 3), ["body.0", "head"]),
        (MLP((4,), 3, hidden=(8, 8)), ["body.0", "body.3", "head"]),
        (Three((4,), 3), ["first", "second", "head"]),
        (Wrapper(), ["first", "second", "head"]),
        (nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 3)), ["0", "2"]),
        (nn.Sequential(nn.Linear(4, 3)), ["0"]),
    ],
)
def test_parts_are_named_children_with_weights(module, expected):
    assert [name for name, _ in parts_of(module)] == expected


def test_what_normalises_belongs_to_the_part_before():
    network = PreActResNet((3, 8, 8), 3, blocks=(1, 1), width=4)
    parts = dict(parts_of(network))
    assert list(parts) == ["body.0", "body.1", "body.2", "head"]
    assert [type(layer).__name__ for layer in parts["body.2"]] == [
        "_PreActBlock",
        "BatchNorm2d",
    ]


@pytest.mark.slow
def test_it_is_more_accurate_than_plain_training_on_digits():
    X, y = load_digits(return_X_y=True)
    injector = SymmetricNoiseInjector(0.6, random_state=0)
    X, y_noisy = injector.fit_resample(X / X.std(), y)
    params = {"batch_size": 32, "random_state": 0}
    plain = NetClassifier(**params).fit(X[:600], y_noisy[:600])
    robust = PESClassifier(**params).fit(X[:600], y_noisy[:600])
    gain = robust.score(X[600:], y[600:]) - plain.score(X[600:], y[600:])
    assert gain > 0.05
