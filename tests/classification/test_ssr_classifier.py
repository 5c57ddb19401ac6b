"""SSRClassifier: whom it selects, each step in numpy, and what it says of labels."""

import copy
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pytest
import torch
from networks_in_numpy import mlp, to_numpy
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import log_softmax, softmax
from sklearn.datasets import load_digits
from torch import nn

from sknoisy import NetClassifier, SSRClassifier, SymmetricNoiseInjector
from sknoisy.classification import _ssr as module
from sknoisy.classification._ssr import balanced_rows
from sknoisy.nets import PreActResNet

SMALL = {
    "module__hidden": 8,
    "module__dropout": 0.0,
    "max_epochs": 4,
    "batch_size": 50,
    "lr": 0.2,
    "random_state": 0,
}


def make(**params):
    return SSRClassifier(**{**SMALL, **params})


class View:
    """Shifts a batch a little further at each call, and keeps what it has made."""

    def __init__(self):
        self.made = []

    def __call__(self, X):
        view = X.add_(0.01 * (1 + len(self.made) % 5))
        self.made.append(view.numpy().astype(float))
        return view


class Watched(SSRClassifier):
    """Keeps what each epoch has judged, and what each step was given and computed."""

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        super().on_train_begin(net, X, y, **kwargs)
        self.taken_, self.epochs_ = [], {}

    def on_epoch_begin(self, net, *args, **kwargs):
        super().on_epoch_begin(net, *args, **kwargs)
        as_array = None if self.labels_ is None else self.labels_.numpy().copy()
        quality = self.label_quality_
        self.epochs_[len(self.history)] = SimpleNamespace(
            state=copy.deepcopy(to_numpy(self.module_)),
            labels=as_array,
            sample=self.sample_,
            quality=None if quality is None else quality.numpy()[0].copy(),
        )

    def training_loss(self, X, y, index):
        step = SimpleNamespace(epoch=len(self.history), index=index.numpy())
        step.X, step.y = X.numpy().astype(float), y.numpy()
        step.state = copy.deepcopy(to_numpy(self.module_))
        made = getattr(self.strong_view, "made", [])
        n_made = len(made)

        def randperm(*args, randperm=torch.randperm, **kwargs):
            step.partner = randperm(*args, **kwargs).numpy()
            return torch.from_numpy(step.partner)

        with patch.object(torch, "randperm", randperm):
            result = super().training_loss(X, y, index)
        step.views = made[n_made:]
        step.loss, step.logits = result.loss.item(), result.logits.detach().numpy()
        step.learnt = result.learnt
        self.taken_.append(step)
        return result


def watch(blobs, sample_weight=None, **params):
    params = {**SMALL, "strong_view": View(), **params}
    return Watched(**params).fit(*blobs[:2], sample_weight=sample_weight)


def judged(state, X, y, clf):
    """Labels of an epoch and vote ratios, by full sorts in double precision."""
    hidden = np.maximum(X @ state["body.0.weight"].T + state["body.0.bias"], 0)
    p = softmax(mlp(state, X), axis=1)
    labels = np.where(p.max(1) > clf.relabel_threshold, p.argmax(1), y)
    norms = np.linalg.norm(hidden, axis=1, keepdims=True)
    unit = hidden / np.maximum(norms, 1e-12)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, np.inf)
    near = np.argsort(-cosines, axis=1)[:, : clf.n_neighbors_]
    counts = np.stack([(labels[near] == c).sum(1) for c in range(3)], 1)
    g = counts / (np.bincount(labels, minlength=3) / len(y) + 1e-10)
    return labels, g / g.max(1, keepdims=True), p


class TestSelection:
    def test_votes_and_labels_in_numpy(self, blobs):
        X, y, _ = blobs
        clf = watch(blobs, relabel_threshold=0.7, n_neighbors=21)
        assert clf.epochs_[1].labels is None
        for epoch in (2, 3, 4):
            seen = clf.epochs_[epoch]
            labels, ratios, p = judged(seen.state, X.astype(float), y, clf)
            # Those at the very threshold may be rounded to either side.
            assert (np.abs(p.max(1) - 0.7) > 1e-4).all()
            assert_array_equal(seen.labels, labels)
            own = ratios[np.arange(180), labels]
            assert_allclose(seen.quality, own, rtol=1e-5)
            chosen = np.flatnonzero(own >= 1 - 1e-9)
            assert_array_equal(np.unique(seen.sample), chosen)
            assert clf.history[epoch - 1, "kept"] == pytest.approx(len(chosen) / 180)
            share = (labels != y).mean()
            assert clf.history[epoch - 1, "relabelled"] == pytest.approx(share)
        assert np.isnan(clf.history[0, "kept"])
        assert clf.history[-1, "relabelled"] > 0.05

    def test_one_neighbour_which_is_the_row_itself_selects_all(self, blobs):
        clf = watch(blobs, n_neighbors=1)
        assert clf.history[1:, "kept"] == [1.0] * 3 and clf.selected_mask_.all()

    def test_all_rows_as_neighbours_select_all_if_balanced(self, blobs):
        clf = watch(blobs, n_neighbors=180, relabel_threshold=1.0)
        assert clf.history[1:, "kept"] == [1.0] * 3
        # Else the largest class; one class alone is not learnt.
        X, y = blobs[0][:-20], blobs[1][:-20]
        params = {"balance_votes": False, "relabel_threshold": 1.0}
        clf = make(n_neighbors=160, **params).fit(X, y)
        largest = np.bincount(y).argmax()
        assert_array_equal(clf.selected_mask_, y == largest)

    def test_a_threshold_of_one_replaces_no_label(self, blobs):
        clf = watch(blobs, relabel_threshold=1.0)
        assert clf.history[1:, "relabelled"] == [0.0] * 3
        for epoch in (2, 3, 4):
            assert_array_equal(clf.epochs_[epoch].labels, blobs[1])

    @pytest.mark.parametrize("threshold", [0.1, 0.5])
    def test_a_lower_threshold_selects_more(self, blobs, threshold):
        # Without any training the networks, and so the votes, are the same.
        strict = make(lr=0.0).fit(*blobs[:2])
        clf = make(lr=0.0, selection_threshold=threshold).fit(*blobs[:2])
        assert clf.selected_mask_.sum() > strict.selected_mask_.sum()
        assert clf.selected_mask_[strict.selected_mask_].all()
        assert_array_equal(clf.label_proba_, strict.label_proba_)

    def test_judgement_is_by_the_last_network_alone(self, blobs):
        clf = make().fit(*blobs[:2])
        X, y = blobs[:2]
        clf.n_neighbors_ = 24
        _, ratios, p = judged(to_numpy(clf.module_), X.astype(float), y, clf)
        own, rest = ratios[np.arange(180), y], ratios.copy()
        rest[np.arange(180), y] = 0
        score = 1 - own / (own + rest.max(1))
        # Of rows at the same cosine any may be the last neighbour.
        same = np.isclose(clf.noise_scores_, score, rtol=1e-5, atol=1e-6)
        assert same.mean() > 0.97
        shares = ratios / ratios.sum(1, keepdims=True)
        assert_allclose(clf.label_proba_[same], shares[same], rtol=1e-5, atol=1e-6)
        sure = (p.max(1) > 0.9) & (p.argmax(1) != y)
        expected = np.where(sure, p.argmax(1), rest.argmax(1))
        flagged = clf.noise_mask_
        assert flagged.any() and (sure & flagged).any()
        assert_array_equal(clf.suggested_labels_[flagged], expected[flagged])
        assert_array_equal(clf.suggested_labels_[~flagged], y[~flagged])

    def test_the_default_number_of_neighbours(self, blobs):
        X, y, _ = blobs
        for n_rows, expected in [(180, 24), (60, 10), (9, 9)]:
            clf = make(max_epochs=2).fit(X[:n_rows], y[:n_rows])
            assert clf.n_neighbors_ == expected
        X, y = np.repeat(X, 10, 0), np.repeat(y, 10)
        assert make(max_epochs=2).fit(X, y).n_neighbors_ == 200

    def test_more_rows_than_the_bank_holds(self, blobs, monkeypatch):
        X, y, is_wrong = blobs
        monkeypatch.setattr(module, "_BANK_SIZE", 100)
        clf = make(max_epochs=8).fit(X, y)
        assert (clf.noise_mask_ == is_wrong).mean() > 0.9
        again = make(max_epochs=8).fit(X, y)
        assert_array_equal(clf.noise_scores_, again.noise_scores_)

    def test_a_row_need_not_vote_for_itself(self, blobs):
        X, y, _ = blobs
        params = {"include_self": False, "balance_votes": False, "n_neighbors": 1}
        clf = make(lr=0.0, relabel_threshold=1.0, **params).fit(X, y)
        features = clf.transform(X).astype(float)
        features /= np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
        cosines = features @ features.T
        np.fill_diagonal(cosines, -np.inf)
        same = clf.selected_mask_ == (y[cosines.argmax(1)] == y)
        assert same.mean() > 0.97 and not clf.selected_mask_.all()


class TestSample:
    def test_each_class_as_often_as_the_largest(self):
        labels = np.array([2] * 5 + [0] * 3 + [3])
        rows = np.arange(100, 109)
        found = balanced_rows(labels, rows, np.random.default_rng(0))
        assert len(found) == 15
        label_of = dict(zip(rows, labels, strict=True))
        drawn = np.array([label_of[row] for row in found])
        assert_array_equal(np.bincount(drawn, minlength=4), [5, 0, 5, 5])
        times = np.bincount(found)[100:]
        assert_array_equal(times[:5], 1)
        assert sorted(times[5:8]) == [1, 2, 2] and times[8] == 5

    def test_an_epoch_has_the_steps_of_all_rows_and_cycles_the_sample(self, blobs):
        clf = watch(blobs, batch_size=20)
        for epoch in (2, 3, 4):
            steps = [step for step in clf.taken_ if step.epoch == epoch]
            assert len(steps) == 9
            sample = clf.epochs_[epoch].sample
            learnt = np.concatenate([step.index for step in steps])[: len(sample)]
            fewer = min(len(sample), len(learnt))
            times = np.bincount(sample, minlength=180)
            assert (np.bincount(learnt[:fewer], minlength=180) <= times).all()


class TestStep:
    @pytest.mark.fast_cases(2)
    @pytest.mark.parametrize("weighted", [False, True])
    @pytest.mark.parametrize("alpha", [4.0, 0.3])
    def test_loss_in_numpy(self, blobs, weighted, alpha):
        w = np.random.default_rng(0).random(180) if weighted else None
        clf = watch(blobs, w, mixup_alpha=alpha)
        steps = [step for step in clf.taken_ if step.epoch > 1]
        assert len(steps) == 12
        for epoch in (2, 3, 4):
            rng = np.random.default_rng([clf.seed_, epoch])
            seen = clf.epochs_[epoch]
            counts = np.bincount(seen.labels[np.unique(seen.sample)], minlength=3)
            for c in np.flatnonzero(counts):
                rng.permutation(counts[c])
            for step in [step for step in steps if step.epoch == epoch]:
                share = rng.beta(alpha, alpha)
                share = max(share, 1 - share)
                targets = np.tile(np.eye(3)[seen.labels[step.index]], (2, 1))
                weight = np.ones(180) if w is None else w
                weight = np.tile(weight[step.index], 2)
                partner = step.partner

                def mix(values, share=share, partner=partner):
                    return share * values + (1 - share) * values[partner]

                logits = mlp(step.state, mix(np.concatenate(step.views)))
                loss = -(mix(targets) * log_softmax(logits, axis=1)).sum(1)
                expected = np.average(loss, weights=mix(weight))
                assert step.loss == pytest.approx(expected, rel=1e-4, abs=1e-5)
                mean = (logits[: len(step.y)] + logits[len(step.y) :]) / 2
                assert_allclose(step.logits, mean, rtol=1e-4, atol=1e-5)
                (learnt,) = step.learnt
                assert_array_equal(learnt.targets, seen.labels[step.index])
                assert learnt.rows is None

    def test_consistency_learns_all_rows_beside_the_selected_ones(self, blobs):
        clf = watch(blobs, consistency_weight=1.0, weak_view=View())
        for epoch in (2, 3, 4):
            steps = [step for step in clf.taken_ if step.epoch == epoch]
            selected = [step.learnt[0].rows for step in steps]
            others = [
                step.index[len(rows) :]
                for step, rows in zip(steps, selected, strict=True)
            ]
            assert sorted(np.concatenate(others)) == list(range(180))
            sample = clf.epochs_[epoch].sample
            for step, rows in zip(steps, selected, strict=True):
                assert_array_equal(rows, np.arange(len(rows)))
                assert np.isin(step.index[: len(rows)], sample).all()
                assert step.logits.shape == (len(step.index), 3)
                assert len(step.learnt[0].X) == len(step.index)

    def test_heads_are_trained_with_consistency_only(self, blobs):
        clf = make(consistency_weight=0.5).fit(*blobs[:2])
        fresh = make(consistency_weight=0.5, lr=0.0).fit(*blobs[:2])
        moved = [
            not torch.equal(a, b)
            for a, b in zip(
                clf.criterion_.parameters(), fresh.criterion_.parameters(), strict=True
            )
        ]
        assert all(moved)
        assert not list(make().fit(*blobs[:2]).criterion_.parameters())

    def test_a_step_of_consistency_is_its_weight_times_the_loss(self, blobs):
        X, y, _ = blobs
        found = []

        class Halved(SSRClassifier):
            def training_loss(self, X, y, index):
                step = super().training_loss(X, y, index)
                if self.labels_ is not None:
                    found.append(float(step.loss.detach()))
                return step

            def _consistency_loss(self, X, index):
                more, logits = super()._consistency_loss(X, index)
                return more * 0 - 1, logits

        for weight in (1.0, 3.0):
            params = {**SMALL, "max_epochs": 2, "consistency_weight": weight}
            Halved(**params).fit(X, y)
        # The first step of both has the same networks and rows.
        assert found[0] - found[4] == pytest.approx(2.0, abs=1e-5)


class TestEpochs:
    def test_a_table_begins_with_an_epoch_on_the_given_labels(self, blobs):
        clf = watch(blobs)
        assert clf.n_warmup_ == 1 and clf.consistency_ == 0
        for step in clf.taken_[:4]:
            loss = -log_softmax(mlp(step.state, step.X), axis=1)
            expected = loss[np.arange(len(step.y)), step.y].mean()
            assert step.loss == pytest.approx(expected, rel=1e-4)
            assert not step.views
        assert watch(blobs, warmup_epochs=0).epochs_[1].sample is not None

    def test_images_begin_with_a_selection_and_are_consistent(self):
        rng = np.random.default_rng(0)
        X = rng.random((40, 1, 8, 8), dtype=np.float32)
        y = np.arange(40) % 2
        net = {"module__blocks": (1,), "module__width": 4, "batch_size": 20}
        clf = SSRClassifier(PreActResNet, max_epochs=2, random_state=0, **net)
        clf.fit(X, y)
        assert clf.n_warmup_ == 0 and clf.consistency_ == 1
        assert np.isfinite(clf.history[:, "kept"]).all()
        with pytest.raises(ValueError, match=r"from 0.* to 3.*to a callable\.$"):
            clf.fit(3 * X, y)

    def test_if_one_class_is_selected_all_given_labels_are_learnt(self, blobs):
        X, y = blobs[0][:-20], blobs[1][:-20]
        params = {"balance_votes": False, "relabel_threshold": 1.0}
        clf = watch((X, y), n_neighbors=160, **params)
        assert 0.2 < clf.history[-1, "kept"] < 0.8
        for epoch in (2, 3, 4):
            seen = clf.epochs_[epoch]
            assert seen.sample is seen.labels is seen.quality is None
        learnt = np.concatenate([step.index for step in clf.taken_])
        assert_array_equal(np.bincount(learnt), 4)
        assert not clf.epochs_absent_.any()

    def test_a_class_that_is_never_selected_is_reported(self, blobs):
        X, y, _ = blobs
        y = y.copy()
        # Two rows of a fourth class among those of the others.
        y[:2] = 3
        params = {"balance_votes": False, "max_epochs": 5}
        with pytest.warns(UserWarning, match=r"selected as one of \[3\] in the last 4"):
            clf = make(**params).fit(X, y)
        assert_array_equal(clf.epochs_absent_, [0, 0, 0, 4])
        assert make(**{**params, "max_epochs": 3}).fit(X, y).epochs_absent_[3] == 2

    def test_a_warm_up_must_leave_an_epoch(self, blobs):
        with pytest.raises(ValueError, match="warmup_epochs=4 leaves no epoch"):
            make(warmup_epochs=4).fit(*blobs[:2])
        assert np.isnan(make(max_epochs=1).fit(*blobs[:2]).history[0, "kept"])

    def test_rows_that_are_held_out_are_not_selected(self, blobs):
        from skorch.dataset import ValidSplit

        clf = watch(blobs, train_split=ValidSplit(3))
        learnt = np.unique(np.concatenate([step.index for step in clf.taken_]))
        assert len(learnt) <= 120 and len(clf.noise_scores_) == 180

    def test_a_network_without_features_is_refused_before_training(self, blobs):
        class Bare(nn.Module):
            def __init__(self, input_shape, n_classes):
                super().__init__()
                self.weight = nn.Parameter(torch.zeros(*input_shape, n_classes))

            def forward(self, X):
                return X @ self.weight

        with pytest.raises(TypeError, match="Bare has no method `embed`"):
            SSRClassifier(Bare, random_state=0).fit(*blobs[:2])


class TestDigits:
    """Over ten seeds: accuracies .918 +- .011, right flags .971 +- .006."""

    @pytest.mark.slow
    def test_six_in_ten_labels_are_wrong(self):
        X, y = load_digits(return_X_y=True)
        X = (X / X.std()).astype(np.float32)
        injector = SymmetricNoiseInjector(0.6, random_state=0)
        noisy = injector.fit_resample(X, y)[1]
        params = {"batch_size": 32, "random_state": 0}
        clf = SSRClassifier(**params).fit(X[:1000], noisy[:1000])
        plain = NetClassifier(**params).fit(X[:1000], noisy[:1000])
        # Cross-entropy has .82 +- .04.
        assert clf.score(X[1000:], y[1000:]) > 0.89
        assert clf.score(X[1000:], y[1000:]) > plain.score(X[1000:], y[1000:]) + 0.03
        assert (clf.noise_mask_ == injector.noise_mask_[:1000]).mean() > 0.955
        assert (clf.suggested_labels_ == y[:1000]).mean() > 0.9
