"""ELR and ELR+: every step in numpy, the order of the passes, and what they say."""

import copy
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pytest
import torch
from networks_in_numpy import mlp, to_numpy
from scipy.special import softmax
from skorch.dataset import ValidSplit
from torch import nn

from sknoisy import ELRClassifier, ELRPlusClassifier, NetClassifier
from sknoisy.losses import ELRLoss

SMALL = {
    "module__hidden": 6,
    "module__dropout": 0.0,
    "max_epochs": 4,
    "batch_size": 60,
    "random_state": 0,
}
# Nothing moves but the targets, so that every epoch can be computed in numpy.
STILL = {**SMALL, "lr": 0.0, "batch_size": -1}
BOTH = [ELRClassifier, ELRPlusClassifier]


def clamped(logits):
    p = softmax(logits, axis=1).clip(1e-4, 1 - 1e-4)
    return p, p / p.sum(1, keepdims=True)


class TestELR:
    def test_losses_and_averages_in_numpy(self, blobs):
        X, y, _ = blobs
        clf = ELRClassifier(lam=2.0, beta=0.6, **STILL).fit(X, y)
        p, scaled = clamped(mlp(to_numpy(clf.module_), X))
        losses = []
        for n_moves in range(1, 5):
            t = (1 - 0.6**n_moves) * scaled
            agreement = (t * p).sum(1)
            rows = -np.log(p[np.arange(180), y]) + 2 * np.log(1 - agreement)
            losses.append(rows.mean())
        np.testing.assert_allclose(clf.history[:, "train_loss"], losses, rtol=1e-5)
        np.testing.assert_allclose(clf.estimated_targets_, t, rtol=1e-4)
        np.testing.assert_allclose(
            clf.noise_scores_, 1 - scaled[np.arange(180), y], rtol=1e-4
        )

    def test_it_is_the_criterion_in_a_plain_net(self, blobs):
        X, y, _ = blobs
        own = ELRClassifier(lam=1.0, beta=0.9, **SMALL).fit(X, y)
        plain = NetClassifier(
            criterion=ELRLoss, criterion__lam=1.0, criterion__beta=0.9, **SMALL
        ).fit(X, y)
        np.testing.assert_array_equal(own.predict_proba(X), plain.predict_proba(X))
        expected = plain.criterion_.targets.numpy()
        np.testing.assert_array_equal(own.estimated_targets_, expected)

    @pytest.mark.slow
    def test_the_regulariser_holds_rows_back(self, blobs):
        X, y, is_noisy = blobs
        params = {**SMALL, "max_epochs": 60, "module__hidden": 128, "lr": 0.3}
        fitted = []
        for lam in (0.0, 3.0):
            clf = ELRClassifier(lam=lam, **params).fit(X, y)
            fitted.append((clf.predict(X) == y)[is_noisy].mean())
        # Seeds 0 to 9: 0.11 to 0.28 against 0.00 to 0.03 of the wrong labels.
        assert fitted[1] < fitted[0] - 0.1

    def test_sample_weights_weigh_the_rows(self, blobs):
        X, y, _ = blobs
        w = np.random.default_rng(0).random(180)
        clf = ELRClassifier(lam=2.0, beta=0.6, **STILL).fit(X, y, sample_weight=w)
        p, scaled = clamped(mlp(to_numpy(clf.module_), X))
        rows = -np.log(p[np.arange(180), y])
        rows += 2 * np.log(1 - (0.4 * scaled * p).sum(1))
        assert clf.history[0, "train_loss"] == pytest.approx(
            (w * rows).sum() / w.sum(), rel=1e-5
        )


@pytest.mark.parametrize("estimator", BOTH)
class TestBoth:
    @pytest.mark.fast_cases(1)
    @pytest.mark.parametrize("beta", [0.7, 0.99])
    def test_a_slow_average_does_not_make_labels_suspicious(
        self, blobs, estimator, beta
    ):
        # After n epochs the averages sum to 1 − β^n only: for 0.99 to 0.18.
        X, y, is_noisy = blobs
        params = {**SMALL, "max_epochs": 20, "module__hidden": 64}
        clf = estimator(beta=beta, **params).fit(X, y)
        sums = clf.estimated_targets_.sum(1)
        np.testing.assert_allclose(sums, 1 - beta**20, rtol=1e-4)
        shares = clf.estimated_targets_ / sums[:, None]
        expected = 1 - shares[np.arange(180), y]
        np.testing.assert_allclose(clf.noise_scores_, expected, rtol=1e-4, atol=1e-6)
        # Seeds 0 to 9: at most 0.05, at least 0.97.
        assert clf.noise_mask_[~is_noisy].mean() < 0.1
        assert clf.noise_mask_[is_noisy].mean() > 0.9

    def test_rows_without_an_average_are_judged_by_the_prediction(
        self, blobs, estimator
    ):
        X, y, _ = blobs
        clf = estimator(train_split=ValidSplit(3), **SMALL).fit(X, y)
        absent = ~clf.estimated_targets_.any(1)
        assert absent.sum() == 60
        p = clf.predict_proba(X)[np.arange(180), y]
        np.testing.assert_allclose(
            clf.noise_scores_[absent], (1 - p)[absent], rtol=1e-4, atol=1e-6
        )

    def test_other_rows_are_refused_afterwards(self, blobs, estimator):
        X, y, _ = blobs
        clf = estimator(**SMALL).fit(X, y)
        for rows in (slice(0, 50), slice(None, None, -1)):
            with pytest.raises(ValueError, match="ELRLoss keeps a state for each row"):
                clf.partial_fit(X[rows], y[rows])


def tables(clf):
    return [part.targets.numpy().astype(float) for part in clf.criterion_]


class Watched(ELRPlusClassifier):
    """Keeps what each step was given and computed, and what it left behind."""

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        super().on_train_begin(net, X, y, **kwargs)
        if not len(self.history):
            self.taken_ = []

    def snapshot(self):
        module = self.module_
        return SimpleNamespace(
            peers=[to_numpy(peer) for peer in module.peers],
            averages=[to_numpy(average) for average in module.averages],
            tables=tables(self),
        )

    def training_loss(self, X, y, index):
        step = SimpleNamespace(epoch=len(self.history), turn=self.turn_, calls=[])
        step.X, step.y, step.index = X.numpy().copy(), y.numpy().copy(), index.numpy()
        step.before = copy.deepcopy(self.snapshot())
        self.taken_.append(step)

        def randperm(*args, randperm=torch.randperm, **kwargs):
            step.partner = randperm(*args, **kwargs)
            return step.partner

        hooks = []
        for kind in ("peers", "averages"):
            for i, part in enumerate(getattr(self.module_, kind)):

                def note(module, args, out, who=(kind, i)):
                    step.calls.append((*who, module.training, out.requires_grad))

                hooks.append(part.register_forward_hook(note))
        with patch.object(torch, "randperm", randperm):
            made = super().training_loss(X, y, index)
        for hook in hooks:
            hook.remove()
        step.loss = made.loss.item()
        return made

    def passes(self, batches):
        for turn, pass_ in super().passes(batches):
            yield turn, self.watched(pass_)

    def watched(self, batches):
        n_done = len(self.taken_)
        for batch in batches:
            # The weight average has moved before the next batch is made.
            self.note_what_is_left(n_done)
            yield batch
        self.note_what_is_left(n_done)

    def note_what_is_left(self, n_done):
        if len(self.taken_) > n_done:
            self.taken_[-1].after = copy.deepcopy(self.snapshot())


@pytest.fixture
def watch(blobs):
    def fit(sample_weight=None, **params):
        X, y, _ = blobs
        return Watched(**{**SMALL, **params}).fit(X, y, sample_weight=sample_weight)

    return fit


def shares(clf, alpha):
    """The share of each batch, drawn anew from the seed and the epoch."""
    drawn = []
    for epoch in range(1, len(clf.history) + 1):
        rng = np.random.default_rng([clf.seed_, epoch])
        n_steps = sum(step.epoch == epoch for step in clf.taken_)
        drawn += [rng.beta(alpha, alpha) for _ in range(n_steps)]
    return [max(share, 1 - share) for share in drawn]


def expected_step(step, share, *, lam, beta, ramp=1.0, product=False):
    """The step of the paper: rows of the loss, and the table it leaves behind."""
    _, taught = clamped(mlp(step.before.averages[1 - step.turn], step.X))
    table = step.before.tables[step.turn].copy()
    table[step.index] = beta * table[step.index] + (1 - beta) * taught

    def mix(values):
        return share * values + (1 - share) * values[step.partner]

    q, labels = mix(table[step.index]), mix(np.eye(3)[step.y])
    if product:
        labels = labels * q
        labels /= labels.sum(1, keepdims=True)
    logits = mlp(step.before.peers[step.turn], mix(step.X.astype(float)))
    fit = -(labels * np.log(softmax(logits, axis=1))).sum(1)
    penalty = np.log(1 - (q * clamped(logits)[0]).sum(1))
    return fit + ramp * lam * penalty, table


class TestPlusStep:
    @pytest.mark.parametrize(
        ("params", "product"),
        [
            ({}, False),
            ({"lam": 1.0, "beta": 0.9, "mixup_alpha": 0.3}, False),
            ({"label_target_product": True}, True),
        ],
        ids=str,
    )
    def test_loss_and_table_in_numpy(self, watch, params, product):
        clf = watch(**params)
        assert len(clf.taken_) == 4 * 2 * 3
        drawn = shares(clf, params.get("mixup_alpha", 1.0))
        for step, share in zip(clf.taken_, drawn, strict=True):
            lam, beta = params.get("lam", 3.0), params.get("beta", 0.7)
            rows, table = expected_step(
                step, share, lam=lam, beta=beta, product=product
            )
            assert step.loss == pytest.approx(rows.mean(), rel=1e-4, abs=1e-5)
            np.testing.assert_allclose(
                step.after.tables[step.turn], table, rtol=1e-4, atol=1e-6
            )
            # The other network's table stays.
            np.testing.assert_array_equal(
                step.after.tables[1 - step.turn], step.before.tables[1 - step.turn]
            )

    def test_the_penalty_may_rise_over_steps(self, watch):
        clf = watch(lam_ramp_steps=8)
        drawn, seen = shares(clf, 1.0), [0, 0]
        for step, share in zip(clf.taken_, drawn, strict=True):
            seen[step.turn] += 1
            ramp = np.exp(-5 * (1 - min(seen[step.turn], 8) / 8) ** 2)
            rows, _ = expected_step(step, share, lam=3.0, beta=0.7, ramp=ramp)
            assert step.loss == pytest.approx(rows.mean(), rel=1e-4, abs=1e-5)
        assert seen == [12, 12]

    def test_weights_are_mixed_as_the_rows_are(self, watch):
        w = np.random.default_rng(0).random(180)
        clf = watch(sample_weight=w)
        for step, share in zip(clf.taken_, shares(clf, 1.0), strict=True):
            rows, _ = expected_step(step, share, lam=3.0, beta=0.7)
            weight = w[step.index]
            mixed = share * weight + (1 - share) * weight[step.partner]
            expected = (mixed * rows).sum() / mixed.sum()
            assert step.loss == pytest.approx(expected, rel=1e-4, abs=1e-5)

    def test_the_teacher_is_the_others_average_in_training_mode(self, watch):
        for step in watch().taken_:
            assert step.calls == [
                ("averages", 1 - step.turn, True, False),
                ("peers", step.turn, True, True),
            ]

    def test_each_network_has_the_whole_epoch(self, watch):
        clf = watch()
        turns = [(step.epoch, step.turn) for step in clf.taken_]
        assert turns == [(e, t) for e in (1, 2, 3, 4) for t in (0, 1) for _ in range(3)]
        for epoch in (1, 2, 3, 4):
            for turn in (0, 1):
                steps = [s for s in clf.taken_ if (s.epoch, s.turn) == (epoch, turn)]
                rows = np.concatenate([step.index for step in steps])
                assert sorted(rows) == list(range(180))

    def test_meanwhile_the_other_network_and_its_average_stand_still(self, watch):
        clf = watch()
        for step in clf.taken_:
            mine, other = step.turn, 1 - step.turn
            for kind in ("peers", "averages"):
                before, after = getattr(step.before, kind), getattr(step.after, kind)
                for name, value in before[other].items():
                    np.testing.assert_array_equal(value, after[other][name])
                changed = [(before[mine][k] != after[mine][k]).any() for k in after[0]]
                assert all(changed)

    def test_history_has_both_passes(self, watch):
        clf = watch()
        losses = [row["train_loss"] for row in clf.history[0]["batches"]]
        assert losses == [step.loss for step in clf.taken_[:6]]
        assert clf.history[:, "train_batch_count"] == [6] * 4
        given = clf.history[0, "train_loss"]
        assert given == pytest.approx(np.mean(losses), rel=1e-6)

    def test_a_validation_pass_is_one(self, watch):
        clf = watch(train_split=ValidSplit(3))
        assert clf.history[:, "valid_batch_count"] == [1] * 4
        assert np.isfinite(clf.history[:, "valid_loss"]).all()


class TestPlusAverages:
    def test_the_momentum_rises_over_steps(self, watch):
        clf = watch(average_momentum=0.9, average_ramp_steps=10)
        n_steps = [0, 0]
        for step in clf.taken_:
            n_steps[step.turn] += 1
            done = min(n_steps[step.turn] + 1, 10)
            momentum = 0.9 * np.exp(-5 * (1 - done / 10) ** 2)
            for name, old in step.before.averages[step.turn].items():
                new = step.after.peers[step.turn][name]
                expected = momentum * old + (1 - momentum) * new
                given = step.after.averages[step.turn][name]
                np.testing.assert_allclose(given, expected, rtol=1e-4, atol=1e-6)

    def test_without_a_ramp_it_is_constant(self, watch):
        clf = watch(average_momentum=0.5, average_ramp_steps=0)
        step = clf.taken_[0]
        for name, old in step.before.averages[0].items():
            expected = (old + step.after.peers[0][name]) / 2
            given = step.after.averages[0][name]
            np.testing.assert_allclose(given, expected, rtol=1e-5, atol=1e-7)

    @pytest.mark.fast_cases(2)
    @pytest.mark.parametrize(
        ("batch_size", "max_epochs", "expected"),
        # 40,000 / 78,200 of all steps of a network
        [(60, 4, 6), (-1, 10, 5), (50, 20, 41), (7, 1, 13)],
    )
    def test_auto_is_half_of_all_steps(self, watch, batch_size, max_epochs, expected):
        clf = watch(batch_size=batch_size, max_epochs=max_epochs)
        assert clf.ramp_steps_ == expected

    def test_they_start_as_copies(self, watch):
        before = watch().taken_[0].before
        for peer, average in zip(before.peers, before.averages, strict=True):
            for name, value in peer.items():
                np.testing.assert_array_equal(value, average[name])

    def test_buffers_are_not_averaged(self, blobs):
        class Normed(nn.Module):
            def __init__(self):
                super().__init__()
                self.norm, self.out = nn.BatchNorm1d(4, momentum=None), nn.Linear(4, 3)

            def forward(self, X):
                return self.out(self.norm(X))

        X, y, _ = blobs
        params = {"max_epochs": 2, "batch_size": 60, "random_state": 0}
        clf = ELRPlusClassifier(Normed, **params).fit(X, y)
        # The mean over all batches that passed: the raw rows through the averages, in
        # the other's pass, and mixed ones, of a smaller spread, through the peers.
        for average in clf.module_.averages:
            norm = average.norm
            assert norm.num_batches_tracked == 6
            np.testing.assert_allclose(norm.running_mean, X.mean(0), rtol=1e-3)
            expected = np.var(X, axis=0, ddof=1)
            np.testing.assert_allclose(norm.running_var, expected, rtol=0.1)
        for peer in clf.module_.peers:
            assert (peer.norm.running_var < 0.9 * norm.running_var).all()

    def test_averages_are_not_trained(self, watch):
        clf = watch()
        assert not any(p.requires_grad for p in clf.module_.averages.parameters())
        assert all(p.grad is None for p in clf.module_.averages.parameters())


class TestPlusNetworks:
    def test_they_differ_and_predict_the_mean_of_their_logits(self, blobs):
        X, y, _ = blobs
        clf = ELRPlusClassifier(**SMALL).fit(X, y)
        first, second = (mlp(to_numpy(peer), X) for peer in clf.module_.peers)
        assert np.abs(first - second).max() > 0.1
        expected = softmax((first + second) / 2, axis=1)
        np.testing.assert_allclose(clf.predict_proba(X), expected, rtol=1e-4, atol=1e-6)
        assert clf.transform(X).shape == (180, 12)

    def test_targets_are_averaged_over_both(self, blobs):
        clf = ELRPlusClassifier(**SMALL).fit(*blobs[:2])
        first, second = tables(clf)
        assert np.abs(first - second).max() > 1e-3
        np.testing.assert_allclose(
            clf.estimated_targets_, (first + second) / 2, rtol=1e-5, atol=1e-7
        )

    def test_an_instance_is_refused(self, blobs):
        message = (
            "module must be a class: two copies of an instance would start with the "
            "same weights. Pass Linear and module__"
        )
        with pytest.raises(ValueError, match=message):
            ELRPlusClassifier(nn.Linear(4, 3)).fit(*blobs[:2])
