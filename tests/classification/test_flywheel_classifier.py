"""FlywheelClassifier: every step in numpy, the order of the passes, both networks."""

from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pytest
import torch
from networks_in_numpy import cross_entropy, to_numpy
from scipy.special import log_softmax, softmax
from torch import nn

from sknoisy import FlywheelClassifier, TransitionNoiseInjector
from sknoisy.losses import FlywheelLoss, nt_xent, sup_con
from sknoisy.nets import MLP

SMALL = {
    "module__hidden": 6,
    "module__dropout": 0.0,
    "max_epochs": 5,
    "warmup_epochs": 2,
    "batch_size": 60,
    "lr": 0.1,
    "mixup_alpha": 4.0,
    "contrastive_weight": 0.0,
    "prior_weight": 0.0,
    "weak_view": 0.1,
    "random_state": 0,
}


def make(**params):
    return FlywheelClassifier(**{**SMALL, **params})


class View:
    """Noise that can be looked up afterwards; the first batch only tries it out."""

    def __init__(self):
        self.made = []

    def __call__(self, X):
        view = X + 0.3 * torch.randn_like(X)
        self.made.append(view.numpy().astype(float))
        return view


class Watched(FlywheelClassifier):
    """Keeps what each step was given and computed, and the weights around it."""

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        super().on_train_begin(net, X, y, **kwargs)
        if not len(self.history):
            self.steps_ = []

    def snapshot(self):
        parts = {"module": self.module_, "judge": self.judge_}
        if "contrast" in self.criterion_:
            parts["head"] = self.criterion_["contrast"].head
        return {name: to_numpy(part) for name, part in parts.items()}

    def training_loss(self, X, y, index):
        step = SimpleNamespace(epoch=len(self.history), turn=self.turn_, partner=None)
        step.X, step.y, step.index = X.numpy().copy(), y.numpy(), index.numpy()
        step.before = self.snapshot()
        self.steps_.append(step)

        def randperm(*args, randperm=torch.randperm, **kwargs):
            step.partner = randperm(*args, **kwargs)
            return step.partner

        with patch.object(torch, "randperm", randperm):
            made = super().training_loss(X, y, index)
        step.loss = made.loss.item()
        return made

    def on_batch_end(self, net, **kwargs):
        super().on_batch_end(net, **kwargs)
        if kwargs["training"]:
            self.steps_[-1].after = self.snapshot()


def embed(state, X):
    return np.maximum(X @ state["body.0.weight"].T + state["body.0.bias"], 0)


def mlp(state, X):
    """Logits of a network with one hidden layer, from its weights."""
    return embed(state, X) @ state["head.weight"].T + state["head.bias"]


def contrast(step, views, temperature, targets=None):
    z = embed(step.before["module"], views) @ step.before["head"]["0.weight"].T
    z = z + step.before["head"]["0.bias"]
    z = (z - z.mean(0)) / np.sqrt(z.var(0) + 1e-5)
    z = z * step.before["head"]["1.weight"] + step.before["head"]["1.bias"]
    z = torch.from_numpy(z).chunk(2)
    if targets is None:
        return nt_xent(*z, temperature).numpy()
    alike = np.array([[a @ b for b in targets] for a in targets])
    alike[np.arange(len(alike)), np.arange(len(alike))] = 1
    return sup_con(*z, mask=torch.from_numpy(alike), temperature=temperature).numpy()


class Replay:
    """The method from the weights that its networks had, in float64.

    ``losses`` are those of all steps, ``gammas`` those of all epochs; what is said of
    the rows in the end is ``q``, ``T`` and ``T_c``.
    """

    def __init__(self, clf, X, y, w=None):
        self.clf, self.X, self.y = clf, X.astype(float), y
        self.w = np.ones(len(y)) if w is None else w
        self.label = np.eye(3)[y]
        self.weak = iter(clf.weak_view.made[1:])
        self.strong = iter(getattr(clf.strong_view, "made", [])[1:])
        self.losses, self.gammas = [], []
        self.gamma, self.epsilon, self.f = None, np.full(len(y), 1 / 3), None
        for epoch in range(1, len(clf.history) + 1):
            steps = [step for step in clf.steps_ if step.epoch == epoch]
            rng = np.random.default_rng([clf.seed_, epoch])
            if steps[0].turn == "warm-up":
                self.losses += [self.warm_up(step) for step in steps]
                self.gammas.append(np.nan)
            else:
                self.cycle(steps, rng)
        last = clf.steps_[-1].after
        self.f = self.two_views(last["module"])
        self.estimate_epsilon()
        self.judge(last["judge"])
        self.T = self.spread(self.targets)

    def warm_up(self, step):
        names = ("module", "judge") if self.clf.auxiliary else ("judge",)
        both = [cross_entropy(mlp(step.before[n], step.X), step.y) for n in names]
        return np.average(sum(both), weights=self.w[step.index])

    def cycle(self, steps, rng):
        first = steps[0].before
        if self.gamma is None:
            self.f = self.two_views(first["module"])
            self.gamma = np.average(self.f.argmax(1) == self.y, weights=self.w)
        self.judge(first["judge"])
        self.gamma = np.average(self.q, weights=self.w)
        self.gammas.append(self.gamma)
        turns = [[s for s in steps if s.turn == turn] for turn in ("auxiliary", "main")]
        for step in turns[0]:
            share = rng.beta(self.clf.mixup_alpha, self.clf.mixup_alpha)
            self.losses.append(self.auxiliary(step, max(share, 1 - share)))
        if self.clf.auxiliary:
            self.f = self.two_views(turns[0][-1].after["module"])
            self.estimate_epsilon()
        self.losses += [self.main(step) for step in turns[1]]

    def two_views(self, state):
        first, second = (softmax(mlp(state, next(self.weak)), axis=1) for _ in "ab")
        return (first + second) / 2

    def judge(self, state):
        given = softmax(mlp(state, self.X), axis=1)[np.arange(len(self.y)), self.y]
        odds = self.gamma * given / ((1 - self.gamma) * self.epsilon)
        self.q = odds / (1 + odds)
        self.T_c = self.spread((1 - self.q)[:, None] * self.f)
        self.targets = self.q[:, None] * self.label + (1 - self.q)[:, None] * self.f

    def spread(self, values):
        sums = (self.w[:, None] * values).T @ self.label
        return sums / sums.sum(1, keepdims=True)

    def estimate_epsilon(self):
        if self.clf.epsilon == "estimated" and self.clf.auxiliary:
            self.epsilon = (self.f @ self.T_c)[np.arange(len(self.y)), self.y]

    def auxiliary(self, step, share):
        def mix(values):
            return share * values + (1 - share) * values[step.partner]

        logits = mlp(step.before["module"], mix(next(self.weak)))
        rows = -(mix(self.targets[step.index]) * log_softmax(logits, axis=1)).sum(1)
        weight = mix(self.w[step.index])
        loss = np.average(rows, weights=weight)
        prior = np.average(self.label, axis=0, weights=self.w)
        mean = np.average(softmax(logits, axis=1), axis=0, weights=weight)
        loss += self.clf.prior_weight * (prior * np.log(prior / mean)).sum()
        if self.clf.contrastive_weight:
            views = np.concatenate([next(self.strong), next(self.strong)])
            by_class = self.clf.contrast == "classes"
            targets = self.targets[step.index] if by_class else None
            rows = contrast(step, views, self.clf.temperature, targets)
            rows = np.average(rows, weights=self.w[step.index])
            loss += self.clf.contrastive_weight * rows
        return loss

    def main(self, step):
        resamples = self.clf.resample and self.clf.auxiliary
        learnt = self.f.argmax(1) if resamples else self.y
        prior = np.average(np.eye(3)[learnt], axis=0, weights=self.w)
        logits = mlp(step.before["judge"], next(self.weak))
        rows = cross_entropy(logits, learnt[step.index])
        if not resamples:
            rows = self.q[step.index] * rows
        lam = self.clf.lam_ if self.clf.auxiliary else min(self.clf.lam_, self.gamma)
        rows = rows + lam * np.log(softmax(logits, axis=1) + 1e-8) @ prior
        return np.average(rows, weights=self.w[step.index])


@pytest.fixture
def watch(blobs):
    def fit(sample_weight=None, **params):
        X, y, _ = blobs
        params = {"weak_view": View(), "strong_view": View(), **params}
        return Watched(**{**SMALL, **params}).fit(X, y, sample_weight=sample_weight)

    return fit


CONTRAST = {"contrastive_weight": 0.3, "temperature": 0.4}


class TestSteps:
    @pytest.mark.fast_cases(2)
    @pytest.mark.parametrize("weighted", [False, True])
    @pytest.mark.parametrize(
        "params",
        [
            {},
            CONTRAST,
            {"prior_weight": 1.0},
            {"resample": False},
            {"epsilon": "uniform"},
            {"lam": 0.0},
            {"lam": 1.5, "mixup_alpha": 0.5, "warmup_epochs": 1},
            {**CONTRAST, "contrast": "classes"},
            {"auxiliary": False, **CONTRAST, "prior_weight": 1.0},
            {"auxiliary": False, "lam": 2.5},
        ],
        ids=str,
    )
    def test_losses_and_judgements_in_numpy(self, watch, blobs, params, weighted):
        X, y, _ = blobs
        w = np.random.default_rng(0).random(180) if weighted else None
        clf = watch(w, **params)
        # The order in which views are looked up is that of the method.
        replay = Replay(clf, X, y, w)
        assert not list(replay.weak) and not list(replay.strong)
        losses = [step.loss for step in clf.steps_]
        np.testing.assert_allclose(losses, replay.losses, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(clf.gamma_, replay.gammas, rtol=1e-4)
        np.testing.assert_allclose(clf.clean_proba_, replay.q, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(clf.corruption_matrix_, replay.T_c, rtol=1e-3)
        np.testing.assert_allclose(clf.transition_matrix_, replay.T, rtol=1e-3)
        assert clf.refurbished_labels_.tolist() == replay.f.argmax(1).tolist()
        # Of two labels that a row may have, the corrupt ones may be the true one.
        own = np.diag(replay.T_c)[y] * replay.f[np.arange(180), y]
        all_classes = (replay.f @ replay.T_c)[np.arange(180), y]
        wrong = (1 - replay.q) * (1 - own / all_classes)
        np.testing.assert_allclose(clf.noise_scores_, wrong, rtol=1e-3, atol=1e-5)


class TestOrder:
    def test_each_pass_trains_its_own_part(self, watch):
        clf = watch(**CONTRAST, optimizer__weight_decay=0.0)
        moves = {
            "warm-up": {"module", "judge"},
            "auxiliary": {"module", "head"},
            "main": {"judge"},
        }
        for step in clf.steps_:
            moved = set()
            for name, before in step.before.items():
                after = step.after[name]
                changed = [(before[key] != after[key]).any() for key in before]
                moved |= {name} if any(changed) else set()
            assert moved == moves[step.turn]

    def test_in_the_warm_up_the_head_rests(self, watch):
        clf = watch(**CONTRAST, optimizer__weight_decay=0.1)
        step = clf.steps_[0]
        weight, later = (s["head"]["0.weight"] for s in (step.before, step.after))
        np.testing.assert_array_equal(later, weight)

    def test_both_passes_have_all_rows(self, watch):
        clf = watch()
        passes = [(1, "warm-up"), (2, "warm-up")]
        passes += [(e, t) for e in (3, 4, 5) for t in ("auxiliary", "main")]
        found = [(step.epoch, step.turn) for step in clf.steps_]
        assert found == [one for one in passes for _ in range(3)]
        for one in passes:
            steps = [step for step in clf.steps_ if (step.epoch, step.turn) == one]
            rows = np.concatenate([step.index for step in steps])
            assert sorted(rows) == list(range(180))
        assert clf.history[:, "train_batch_count"] == [3, 3, 6, 6, 6]

    @pytest.mark.filterwarnings("ignore:the refurbished labels have collapsed")
    def test_rows_are_judged_in_evaluation_mode_and_before_they_are_learnt(self, blobs):
        class Noted(FlywheelClassifier):
            def initialize_module(self):
                super().initialize_module()
                for name in ("module", "judge"):

                    def note(module, args, out, name=name):
                        noted.append((name, module.training, out.requires_grad))

                    getattr(self, name + "_").register_forward_hook(note)
                return self

        noted, (X, y, _) = [], blobs
        clf = Noted(**{**SMALL, "batch_size": -1, "max_epochs": 4}).fit(X, y)
        f_learns, g_learns = ("module", True, True), ("judge", True, True)
        f_says, g_says = ("module", False, False), ("judge", False, False)
        # The first call checks the shape of what f says.
        warm_up = [f_learns, g_learns]
        cycle = [g_says, f_learns, f_says, f_says, g_learns]
        expected = warm_up * 2 + [f_says] * 2 + cycle * 2 + [f_says] * 2 + [g_says]
        assert noted[1:] == expected
        # Only f predicts.
        n_before = len(noted)
        clf.predict(X)
        clf.predict_proba(X)
        assert noted[n_before:] == [f_says] * 2

    def test_predictions_do_not_know_the_judge(self, blobs):
        X, y, _ = blobs
        clf = make().fit(X, y)
        before, features = clf.predict_proba(X), clf.transform(X)
        assert type(clf.module_) is MLP and type(clf.judge_) is MLP
        expected = softmax(mlp(to_numpy(clf.module_), X), axis=1)
        np.testing.assert_allclose(before, expected, rtol=1e-4, atol=1e-6)
        with torch.no_grad():
            for weight in clf.judge_.parameters():
                weight.fill_(torch.nan)
        np.testing.assert_array_equal(clf.predict_proba(X), before)
        np.testing.assert_array_equal(clf.transform(X), features)


def noisy_blobs():
    """Ten blobs; four fifths of the labels are drawn from all classes."""
    rng = np.random.default_rng(0)
    y = np.arange(600) % 10
    X = (4 * np.eye(10)[y] + rng.normal(size=(600, 10))).astype(np.float32)
    return X, y, np.where(rng.random(600) < 0.8, rng.integers(0, 10, 600), y)


ALONE = {
    "auxiliary": False,
    "lam": 3.0,
    "lr": 0.02,
    "module__hidden": 32,
    "max_epochs": 12,
    "warmup_epochs": 3,
}


class TestWithoutAuxiliaryNetwork:
    def test_one_network_is_trained_judges_and_predicts(self, blobs):
        def refuse(X):
            raise AssertionError("the strong view is f's")

        X, y, _ = blobs
        clf = make(auxiliary=False, strong_view=refuse, **CONTRAST).fit(X, y)
        assert clf.module_ is clf.judge_ and list(clf.criterion_) == ["cycles"]
        assert clf.history[:, "train_batch_count"] == [3] * 5
        one = make(auxiliary=False, judge__hidden=3, **CONTRAST).fit(X, y)
        assert widths(one) == [6, 6]
        np.testing.assert_array_equal(clf.predict_proba(X), one.predict_proba(X))

    def test_a_later_fit_builds_the_other_network_again(self, blobs):
        X, y, _ = blobs
        clf = make(auxiliary=False).fit(X, y).set_params(auxiliary=True).fit(X, y)
        assert clf.module_ is not clf.judge_
        expected = make().fit(X, y)
        np.testing.assert_array_equal(clf.clean_proba_, expected.clean_proba_)

    def test_lam_is_at_most_gamma(self, blobs):
        X, y, _ = blobs
        large, larger = (make(auxiliary=False, lam=x).fit(X, y) for x in (1.5, 2.5))
        np.testing.assert_array_equal(large.clean_proba_, larger.clean_proba_)
        assert large.lam_ == 1.5
        none = make(auxiliary=False, lam=0.0).fit(X, y)
        assert not np.array_equal(none.clean_proba_, large.clean_proba_)

    @pytest.mark.slow
    def test_it_does_not_collapse(self, monkeypatch):
        # Seeds 0 to 9: 0.330 to 0.545 with λ of at most γ, 0.1 to 0.2 with λ = 3.
        X, y, given = noisy_blobs()
        assert make(**ALONE).fit(X, given).score(X, y) > 0.27
        monkeypatch.setattr(FlywheelLoss, "_weight_of_regulariser", lambda s: s.lam)
        with pytest.warns(UserWarning, match="have collapsed"):
            collapsed = make(**ALONE).fit(X, given)
        assert collapsed.score(X, y) < 0.27


class Plain(nn.Module):
    """A user's module that knows nothing of this library."""

    def __init__(self, width=9, n_out=3):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(4, width), nn.Tanh(), nn.Linear(width, n_out)
        )

    def forward(self, X):
        return self.layers(X)


class Flat(nn.Module):
    """No Linear layer: what it has beside its filter is a bias."""

    def __init__(self, n_classes):
        super().__init__()
        self.conv = nn.Conv1d(1, n_classes, 4)

    def forward(self, X):
        return self.conv(X[:, None])[:, :, 0]


def widths(clf):
    return [clf.module_.head.in_features, clf.judge_.head.in_features]


class TestNetworks:
    @pytest.mark.filterwarnings("ignore:the refurbished labels have collapsed")
    def test_they_have_one_class_and_two_sets_of_weights(self, blobs):
        X, y, _ = blobs
        clf = make(lr=0.0).fit(X, y)
        assert widths(clf) == [6, 6]
        weights = clf.module_.parameters(), clf.judge_.parameters()
        for a, b in zip(*weights, strict=True):
            assert a.shape == b.shape and not a.equal(b)

    def test_parameters_of_the_judge_replace_those_of_the_module(self, blobs):
        X, y, _ = blobs
        clf = make(judge__hidden=(5, 4)).fit(X, y)
        assert widths(clf) == [6, 4]
        # What is not replaced is the module's.
        assert len(clf.judge_.body) == 4
        other = make(judge__dropout=0.2).fit(X, y)
        assert widths(other) == [6, 6]
        assert [len(other.module_.body), len(other.judge_.body)] == [2, 3]

    def test_a_scorer_of_another_kind(self, blobs):
        X, y, _ = blobs
        clf = make(judge=Plain, judge__width=7).fit(X, y)
        assert type(clf.judge_) is Plain and clf.judge_.layers[0].out_features == 7
        with pytest.raises(ValueError, match="Plain takes no judge__hidden; it takes"):
            make(judge=Plain, judge__hidden=7).fit(X, y)

    def test_instances_are_copied(self, blobs):
        X, y, _ = blobs
        f, g = Plain(), Plain(5)
        states = to_numpy(f), to_numpy(g)
        clf = make(module=f, judge=g)
        clf.set_params(module__hidden=None, module__dropout=None)
        params = {k: v for k, v in SMALL.items() if not k.startswith("module")}
        clf = FlywheelClassifier(f, judge=g, **params).fit(X, y)
        for module, state in zip((f, g), states, strict=True):
            for name, value in to_numpy(module).items():
                np.testing.assert_array_equal(value, state[name])
        assert clf.module_ is not f and clf.judge_ is not g
        assert clf.score(X, y) > 0.7

    def test_an_instance_is_no_second_network(self, blobs):
        message = "module is an instance.*pass its class Plain, or another instance"
        with pytest.raises(ValueError, match=message):
            FlywheelClassifier(Plain()).fit(*blobs[:2])
        same = Plain()
        with pytest.raises(ValueError, match=message):
            FlywheelClassifier(same, judge=same).fit(*blobs[:2])

    def test_a_judge_with_too_few_outputs(self, blobs):
        message = "Plain must return logits.*2 outputs for a row, but 3"
        with pytest.raises(ValueError, match=message):
            make(judge=Plain, judge__n_out=2).fit(*blobs[:2])

    def test_typos_are_named(self, blobs):
        with pytest.raises(ValueError, match=r"judge__hiden.*hidden"):
            make(judge__hiden=3).fit(*blobs[:2])

    def test_new_parameters_build_them_anew(self, blobs):
        X, y, _ = blobs
        clf = make().fit(X, y)
        assert widths(clf.set_params(module__hidden=5)) == [5, 5]
        assert widths(clf.set_params(judge__hidden=3)) == [5, 3]
        clf.fit(X, y)
        fresh = make(module__hidden=5, judge__hidden=3).fit(X, y)
        np.testing.assert_array_equal(clf.predict_proba(X), fresh.predict_proba(X))
        np.testing.assert_array_equal(clf.clean_proba_, fresh.clean_proba_)

    def test_without_the_contrastive_term_there_is_no_head(self, blobs):
        def refuse(X):
            raise AssertionError("the strong view is not needed")

        X, y, _ = blobs
        clf = make(strong_view=refuse).fit(X, y)
        assert list(clf.criterion_) == ["cycles"]
        clf = make(contrastive_weight=0.1, temperature=0.3).fit(X, y)
        head = clf.criterion_["contrast"]
        assert head.head[0].in_features == 6 and head.temperature == 0.3

    def test_the_head_begins_after_the_warm_up(self, blobs):
        X, y, _ = blobs
        clf = make(contrastive_weight=0.1, max_epochs=3).fit(X, y)
        weights = clf.criterion_.parameters()
        buffers = [clf.optimizer_.state[w]["momentum_buffer"] for w in weights]
        assert all(buffer.any() for buffer in buffers)

    @pytest.mark.slow
    def test_a_later_contrastive_weight_waits_for_the_next_fit(self, blobs):
        X, y, _ = blobs
        clf, same = make().fit(X, y), make().fit(X, y)
        clf.set_params(contrastive_weight=0.1).partial_fit(X, y)
        np.testing.assert_array_equal(
            clf.clean_proba_, same.partial_fit(X, y).clean_proba_
        )
        assert "contrast" in clf.fit(X, y).criterion_
        clf.set_params(contrastive_weight=0.0).partial_fit(X, y)

    def test_a_module_without_features(self, blobs):
        X, y, _ = blobs
        params = {k: v for k, v in SMALL.items() if not k.startswith("module")}
        clf = FlywheelClassifier(Flat, **params).fit(X, y)
        assert clf.score(X, y) > 0.7
        message = "Flat has no method `embed` and no Linear layer; give it"
        with pytest.raises(TypeError, match=message):
            clf.set_params(contrastive_weight=0.1).fit(X, y)


@pytest.mark.slow
def test_the_noise_of_five_blobs_is_found():
    # Of the corrupt labels, 0.35 of all, four fifths name the next class and one fifth
    # the one after it.
    spread = 0.8 * np.roll(np.eye(5), 1, axis=1) + 0.2 * np.roll(np.eye(5), 2, axis=1)
    T = 0.65 * np.eye(5) + 0.35 * spread
    rng = np.random.default_rng(0)
    y = rng.integers(0, 5, 3000)
    X = (6 * np.eye(5, 6)[y] + rng.normal(size=(3000, 6))).astype(np.float32)
    _, y_noisy = TransitionNoiseInjector(T, random_state=0).fit_resample(X, y)
    clf = make(module__hidden=32, max_epochs=12, warmup_epochs=3).fit(X, y_noisy)
    # Seeds 0 to 9: at most 0.070, 0.123, 0.041 and 0.005 away; γ itself, of which only
    # a part can be known, 0.54 to 0.57. The transposed matrix is 0.8 away.
    np.testing.assert_allclose(clf.transition_matrix_, T, atol=0.12)
    wrong = clf.corruption_matrix_ * (1 - np.eye(5))
    wrong /= wrong.sum(1, keepdims=True)
    np.testing.assert_allclose(wrong, spread, atol=0.2)
    gamma, own = clf.gamma_[-1], np.diag(clf.corruption_matrix_)
    np.testing.assert_allclose(gamma + (1 - gamma) * own, 0.65, atol=0.07)
    assert 0.5 < gamma < 0.65
    assert clf.noise_rate_ == pytest.approx((y != y_noisy).mean(), abs=0.01)
    assert (clf.noise_mask_ == (y != y_noisy)).mean() > 0.995
    assert (clf.refurbished_labels_ == y).mean() > 0.99
