"""DynamicBootstrapClassifier: each step's loss, by hand in float64."""

import numpy as np
import pytest
import torch
from fast_part import examples
from hypothesis import given
from hypothesis import strategies as st
from networks_in_numpy import cross_entropy
from scipy.special import log_softmax, softmax
from torch import nn

from sknoisy import BMMLossSplitter, DynamicBootstrapClassifier, NetClassifier
from sknoisy.classification._dynamic_bootstrap import guided_shares
from sknoisy.classification._posterior_table import PosteriorTable
from sknoisy.losses import BootstrapLoss

PLAIN = {
    "module__hidden": 8,
    "module__dropout": 0.0,
    "max_epochs": 6,
    "random_state": 0,
}


def forward(step, X):
    """Logits of an MLP with one hidden layer, before the step, in float64."""
    weights = {name: w.astype(np.float64) for name, w in step.state.items()}
    hidden = X @ weights["body.0.weight"].T + weights["body.0.bias"]
    return np.maximum(hidden, 0) @ weights["head.weight"].T + weights["head.bias"]


def shares_of(step):
    """Solve x̄ = δx + (1 − δ)x' for δ in each row; NaN for its own partner."""
    X = step.X.astype(np.float64)
    away = X - X[step.partner]
    moved = step.calls[-1].X - X[step.partner]
    with np.errstate(invalid="ignore"):
        return (moved * away).sum(1) / (away**2).sum(1)


def temperature_of(clf, step):
    if clf.targets != "soft_to_hard":
        return 1.0
    n_before = clf.warmup_epochs + (clf.mixup == "guided")
    n_left, n_done = clf.max_epochs - n_before, step.epoch - n_before - 1
    ladder = np.linspace(1, 0.001, max(1, round(89 / 190 * n_left)))
    return ladder[min(n_done, len(ladder) - 1)]


def loss_by_hand(clf, step, w, label_share, prior=None):
    """Equation 8 of the reproduction and R, row by row; and the gradient by z̄'s bias.

    R is the divergence of the mean prediction from the prior, by default uniform.

    With mixup the beliefs are constants, and hard ones always are. Else they are the
    softmax v of z/T, whose part of the gradient is -v (log h - Σ v log h) / T.
    """
    n_rows, n_classes = step.logits.shape
    eye = np.eye(n_classes)
    unmixed = forward(step, step.X.astype(np.float64))
    mixed = forward(step, step.calls[-1].X.astype(np.float64))
    log_h, h = log_softmax(mixed, axis=1), softmax(mixed, axis=1)
    temperature = temperature_of(clf, step)
    beliefs = softmax(unmixed / temperature, axis=1)
    if clf.targets == "hard":
        beliefs = eye[unmixed.argmax(1)]
    are_constant = clf.targets == "hard" or clf.mixup or clf.detach_targets
    loss, grad = 0.0, np.zeros(n_classes)
    for p in range(n_rows):
        pair = [(p, 1.0)]
        if step.partner is not None:
            pair = [(p, label_share[p]), (step.partner[p], 1 - label_share[p])]
        for q, share in pair:
            target = (1 - w[q]) * eye[step.y[q]] + w[q] * beliefs[q]
            loss -= share * (target @ log_h[p])
            grad += share * (h[p] - target)
            if not are_constant:
                v = beliefs[q]
                grad -= share * w[q] * v * (log_h[p] - v @ log_h[p]) / temperature
    mean = h.mean(axis=0)
    prior = np.full(n_classes, 1 / n_classes) if prior is None else prior
    penalty = sum(p * np.log(p / m) for p, m in zip(prior, mean, strict=True) if p)
    pull = prior * h / mean
    slope = (pull.sum(1, keepdims=True) * h - pull).sum(0)
    grad += clf.prior_weight * slope
    return loss / n_rows + clf.prior_weight * penalty, grad / n_rows


def steps_of(clf, phase):
    steps = [step for step in clf.steps_ if step.phase == phase]
    assert len(steps) >= 3
    return steps


class TestGuidedShares:
    @given(st.lists(st.floats(1e-4, 1 - 1e-4), min_size=2, max_size=20))
    @examples(50)
    def test_both_shares_of_a_swapped_pair_add_up_to_one(self, p_clean):
        p_clean = torch.tensor(p_clean, dtype=torch.float64)
        swap = torch.arange(len(p_clean)).flip(0)
        share = guided_shares(p_clean, swap)
        assert ((share > 0) & (share < 1)).all()
        torch.testing.assert_close(
            share + share[swap], torch.ones_like(share), rtol=1e-12, atol=0
        )

    def test_they_follow_the_formula(self):
        p_clean = torch.tensor([0.9, 0.1, 0.5])
        share = guided_shares(p_clean, torch.tensor([1, 2, 2]))
        np.testing.assert_allclose(share, [0.9, 1 / 6, 0.5], rtol=1e-6)

    @pytest.mark.parametrize("mean", [0.1, 0.3, 0.5, 0.8])
    def test_beta_draws_have_mean_and_spread_of_the_distribution(self, mean):
        # Of 20,000 draws: standard errors up to 0.0025 of the mean and 0.002 of the
        # standard deviation; 4 of these are allowed.
        draws = self._draws("beta", mean)
        sd = np.sqrt(mean * (1 - mean) / 2)
        assert draws.mean() == pytest.approx(mean, abs=0.01)
        assert draws.std() == pytest.approx(sd, abs=0.008)
        assert ((draws >= 0) & (draws <= 1)).all()

    @pytest.mark.parametrize("mean", [0.1, 0.3, 0.5, 0.8])
    def test_binomial_draws_are_all_but_the_mean(self, mean):
        draws = self._draws("binomial", mean)
        assert draws.mean() == pytest.approx(mean, abs=0.0005)
        # By the delta method for a / (a + b), both drawn: at most 0.00354. The standard
        # error of a standard deviation from 20,000 draws is 0.5 %.
        variance = mean * (1 - mean) * (mean**2 + (1 - mean) ** 2) / 10_000
        assert draws.std() == pytest.approx(np.sqrt(variance), rel=0.03)
        assert draws.std() < 0.0036

    def _draws(self, guidance, mean):
        p_clean = torch.full((20_001,), mean)
        p_clean[-1] = 1 - mean
        partner = torch.full((20_001,), 20_000)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            draws = guided_shares(p_clean, partner, guidance)
        return draws[:-1].numpy().astype(np.float64)

    @pytest.mark.parametrize("guidance", ["deterministic", "beta", "binomial"])
    def test_extremes_stay_in_range(self, guidance):
        p_clean = torch.tensor([1e-4, 1 - 1e-4]).repeat(50_000)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            share = guided_shares(p_clean, torch.arange(100_000).roll(1), guidance)
        assert ((share >= 0) & (share <= 1)).all()

    def test_binomial_draws_of_nothing_share_evenly(self, monkeypatch):
        monkeypatch.setattr(torch, "binomial", lambda n, p: torch.zeros_like(p))
        share = guided_shares(torch.full((4,), 0.3), torch.arange(4), "binomial")
        assert share.tolist() == [0.5] * 4


# Largest distance of 60 shares from their mean: no more than rounding; six standard
# deviations of 0.0035; hardly ever near it.
GAPS = {"deterministic": (0, 1e-4), "binomial": (1e-4, 0.022), "beta": (0.3, 1)}


class TestLossOfABatch:
    @pytest.mark.fast_cases(2)
    @pytest.mark.parametrize("prior_weight", [0.0, 1.0])
    @pytest.mark.parametrize("targets", ["hard", "soft", "soft_to_hard"])
    @pytest.mark.parametrize("weights", ["dynamic", "static"])
    @pytest.mark.parametrize("mixup", [None, "static", "guided"])
    def test_bootstrapping(self, watch, blobs, targets, weights, mixup, prior_weight):
        X, y, _ = blobs
        params = {"targets": targets, "weights": weights, "mixup": mixup}
        clf = watch(X, y, prior_weight=prior_weight, lr=0.02, **params)
        for step in steps_of(clf, "bootstrap"):
            w = np.full(60, 0.2 if targets == "hard" else 0.05)
            if weights == "dynamic":
                w = step.p_noisy.astype(np.float64)
            # However guided inputs are mixed, labels count half.
            share = np.full(60, 0.5)
            if mixup == "static":
                share = np.full(60, np.nanmedian(shares_of(step)))
            loss, grad = loss_by_hand(clf, step, w, share)
            np.testing.assert_allclose(step.loss, loss, rtol=2e-5)
            np.testing.assert_allclose(step.grad, grad, rtol=1e-3, atol=3e-6)
            # What recorders see are the logits of the rows themselves.
            unmixed = forward(step, step.X.astype(np.float64))
            np.testing.assert_allclose(step.logits, unmixed, rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("mixup", [None, "static", "guided"])
    def test_warm_up_is_on_plain_labels_without_r(self, watch, blobs, mixup):
        X, y, _ = blobs
        clf = watch(X, y, mixup=mixup, targets="soft", prior_weight=5.0)
        for step in steps_of(clf, "plain"):
            assert step.p_noisy is None and len(step.calls) == 1
            h = forward(step, step.calls[0].X.astype(np.float64))
            expected = cross_entropy(h, step.y)
            if mixup is not None:
                share = np.nanmedian(shares_of(step))
                other = cross_entropy(h, step.y[step.partner])
                expected = share * expected + (1 - share) * other
            np.testing.assert_allclose(step.loss, expected.mean(), rtol=1e-5)

    def test_guided_mixtures_start_on_plain_labels_at_a_share_of_their_own(
        self, watch, blobs
    ):
        X, y, _ = blobs
        clf = watch(X, y, mixup="guided", prior_weight=5.0, batch_size=30)
        found = []
        for step in steps_of(clf, "guided"):
            assert [call.training for call in step.calls] == [False, True]
            log_h = forward(step, step.calls[-1].X.astype(np.float64))
            own = cross_entropy(log_h, step.y).mean()
            other = cross_entropy(log_h, step.y[step.partner]).mean()
            found.append((step.loss - other) / (own - other))
        # Neither one half, nor the share of the inputs: a beta draw for each batch.
        draws = np.random.default_rng([clf.seed_, 3]).beta(32, 32, size=6)
        np.testing.assert_allclose(found, draws, atol=2e-3)

    @pytest.mark.slow
    def test_a_static_share_is_one_draw_for_a_batch(self, watch, blobs):
        X, y, _ = blobs
        # Beta(32, 32) has standard deviation 0.062, Beta(1, 1) 0.289. That of 180
        # draws is off by 5 % in one of three cases; 15 % is allowed.
        for alpha, sd in ((32, 0.0620), (1, 0.2887)):
            clf = watch(X, y, mixup_alpha=alpha, batch_size=6)
            found = np.array([np.nanmedian(shares_of(step)) for step in clf.steps_])
            assert len(np.unique(found.round(6))) == len(found) == 180
            assert found.std() == pytest.approx(sd, rel=0.15)
            assert found.mean() == pytest.approx(0.5, abs=3 * sd / np.sqrt(180))
        for step in clf.steps_:
            shares = shares_of(step)
            is_mixed = ~np.isnan(shares)
            assert np.ptp(shares[is_mixed]) < 1e-3
            assert sorted(step.partner) == list(range(6))

    @pytest.mark.parametrize("guidance", ["deterministic", "beta", "binomial"])
    def test_guided_inputs_are_mixed_by_cleanness(self, watch, blobs, guidance):
        X, y, _ = blobs
        clf = watch(X, y, mixup="guided", guidance=guidance)
        for step in steps_of(clf, "guided") + steps_of(clf, "bootstrap"):
            c = 1 - step.p_noisy.astype(np.float64)
            expected = c / (c + c[step.partner])
            shares = shares_of(step)
            is_mixed = ~np.isnan(shares)
            gap = np.abs(shares - expected)[is_mixed]
            least, most = GAPS[guidance]
            assert least <= gap.max() <= most

    def test_with_a_share_of_one_there_is_no_partner(self, blobs):
        class Alone(DynamicBootstrapClassifier):
            def on_epoch_begin(self, net, *args, **kwargs):
                super().on_epoch_begin(net, *args, **kwargs)
                self.rng_ = self

            @staticmethod
            def beta(a, b):
                return 1.0

        X, y, _ = blobs
        alone = Alone(**PLAIN).fit(X, y)
        plain = DynamicBootstrapClassifier(mixup=None, **PLAIN).fit(X, y)
        expected = plain.predict_proba(X)
        np.testing.assert_allclose(alone.predict_proba(X), expected, rtol=1e-3)
        mixed = DynamicBootstrapClassifier(**PLAIN).fit(X, y)
        assert np.abs(mixed.predict_proba(X) - expected).max() > 0.01

    def test_held_back_soft_targets_weigh_cross_entropy(self, watch, blobs):
        X, y, _ = blobs
        params = {"targets": "soft", "mixup": None, "prior_weight": 0.0}
        clf = watch(X, y, detach_targets=True, **params)
        for step in steps_of(clf, "bootstrap"):
            h = softmax(forward(step, step.X.astype(np.float64)), axis=1)
            clean = (1 - step.p_noisy)[:, None].astype(np.float64)
            expected = (clean * (h - np.eye(3)[step.y])).mean(axis=0)
            np.testing.assert_allclose(step.grad, expected, rtol=1e-3, atol=1e-6)


class TestLimits:
    STATIC = {**PLAIN, "weights": "static", "warmup_epochs": 0}

    @pytest.mark.fast_cases(1)
    @pytest.mark.parametrize("mixup", [None, "static"])
    @pytest.mark.parametrize("targets", ["hard", "soft"])
    def test_at_weight_one_labels_do_not_enter(self, blobs, mixup, targets):
        X, y, _ = blobs
        params = {**self.STATIC, "mixup": mixup, "targets": targets}
        other = np.random.default_rng(1).permutation(y)
        proba = [
            DynamicBootstrapClassifier(static_weight=weight, **params)
            .fit(X, labels)
            .predict_proba(X)
            for weight, labels in ((1.0, y), (1.0, other), (0.9, other))
        ]
        np.testing.assert_array_equal(proba[0], proba[1])
        assert np.abs(proba[0] - proba[2]).max() > 1e-3

    def test_at_weight_zero_it_is_mixup(self, blobs):
        X, y, _ = blobs
        params = {"prior_weight": 0.0, "static_weight": 0.0, **self.STATIC}
        zero = DynamicBootstrapClassifier(**params).fit(X, y)
        plain = DynamicBootstrapClassifier(weights=None, **PLAIN).fit(X, y)
        expected = plain.predict_proba(X)
        np.testing.assert_allclose(zero.predict_proba(X), expected, rtol=1e-3)
        net = NetClassifier(**PLAIN).fit(X, y)
        assert np.abs(net.predict_proba(X) - expected).max() > 1e-2

    @pytest.mark.parametrize("targets", ["hard", "soft"])
    def test_static_without_mixup_is_the_static_loss(self, blobs, targets):
        X, y, _ = blobs
        params = {"mixup": None, "prior_weight": 0, **self.STATIC}
        ours = DynamicBootstrapClassifier(targets=targets, **params).fit(X, y)
        net = NetClassifier(
            criterion=BootstrapLoss, criterion__targets=targets, **PLAIN
        ).fit(X, y)
        expected = net.predict_proba(X)
        np.testing.assert_allclose(ours.predict_proba(X), expected, rtol=1e-3)

    def test_without_weights_and_mixup_it_is_a_plain_net(self, blobs):
        X, y, _ = blobs
        params = {**PLAIN, "module__dropout": 0.3}
        w = np.random.default_rng(0).random(len(y))
        for fit_params in ({}, {"sample_weight": w}):
            ours = DynamicBootstrapClassifier(weights=None, mixup=None, **params)
            net = NetClassifier(**params).fit(X, y, **fit_params)
            ours.fit(X, y, **fit_params)
            np.testing.assert_array_equal(ours.predict_proba(X), net.predict_proba(X))


class TestPrior:
    @pytest.mark.fast_cases(2)
    @pytest.mark.parametrize("mixup", [None, "static", "guided"])
    @pytest.mark.parametrize("prior", [[0.2, 0.5, 0.3], (0.0, 0.25, 0.75), "labels"])
    def test_the_regulariser_pulls_towards_it(self, watch, blobs, prior, mixup):
        X, y, _ = blobs
        rows = np.concatenate([np.flatnonzero(y == 0)[:20], np.flatnonzero(y)])
        X, y = X[rows], y[rows]
        shares = [np.mean(y == k) for k in range(3)] if prior == "labels" else prior
        clf = watch(X, y, prior=prior, mixup=mixup, prior_weight=2.0, lr=0.02)
        np.testing.assert_allclose(clf.prior_, shares, rtol=1e-12)
        for step in steps_of(clf, "bootstrap"):
            w, n_rows = step.p_noisy.astype(np.float64), len(step.y)
            share = np.full(n_rows, 0.5)
            if mixup == "static":
                share = np.full(n_rows, np.nanmedian(shares_of(step)))
            loss, grad = loss_by_hand(clf, step, w, share, np.array(shares))
            np.testing.assert_allclose(step.loss, loss, rtol=2e-5)
            np.testing.assert_allclose(step.grad, grad, rtol=1e-3, atol=3e-6)

    def test_labels_count_by_sample_weight(self, blobs):
        X, y, _ = blobs
        w = np.random.default_rng(0).random(180)
        clf = DynamicBootstrapClassifier(prior="labels", **PLAIN)
        shares = clf.fit(X, y, sample_weight=w).prior_
        expected = [w[y == k].sum() / w.sum() for k in range(3)]
        np.testing.assert_allclose(shares, expected, rtol=1e-6)

    def test_equal_shares_are_the_default(self, blobs):
        X, y, _ = blobs
        params = {**PLAIN, "max_epochs": 8}
        default = DynamicBootstrapClassifier(**params).fit(X, y)
        assert default.prior_.tolist() == [1 / 3] * 3
        expected = default.predict_proba(X)
        thirds = np.full(3, 1 / 3, dtype=np.float32)
        given = DynamicBootstrapClassifier(prior=thirds, **params).fit(X, y)
        np.testing.assert_array_equal(given.predict_proba(X), expected)
        other = DynamicBootstrapClassifier(prior=[0.8, 0.1, 0.1], **params).fit(X, y)
        mean = other.predict_proba(X).mean(0)
        assert mean[0] > expected.mean(0)[0] + 0.02

    @pytest.mark.parametrize(
        "prior",
        [
            *([0.5, 0.5], [[0.2, 0.3, 0.5]], [0.2, 0.3, 0.4], [-0.1, 0.6, 0.5]),
            *([np.nan, 0.5, 0.5], ["a", "b", "c"], [0.5, [0.2, 0.3], 0.5]),
        ],
        ids=str,
    )
    def test_what_is_none_is_refused(self, blobs, prior):
        X, y, _ = blobs
        message = r"prior must hold a share of each of the 3 classes, \[0, 1, 2\]"
        with pytest.raises(ValueError, match=message):
            DynamicBootstrapClassifier(prior=prior, **PLAIN).fit(X, y)

    def test_another_word_is_refused(self, blobs):
        X, y, _ = blobs
        with pytest.raises(ValueError, match=r"'prior' parameter .*'uniform'"):
            DynamicBootstrapClassifier(prior="flat", **PLAIN).fit(X, y)


class TestPosterior:
    """In evaluation mode, under the mixture of the epoch before."""

    @pytest.mark.fast_cases(2)
    @pytest.mark.usefixtures("default_output")
    @pytest.mark.parametrize("mixup", [None, "static", "guided"])
    @pytest.mark.parametrize("mixture", ["beta", "gaussian"])
    def test_of_every_batch(self, watch, blobs, mixup, mixture):
        X, y, _ = blobs
        clf = watch(X, y, mixup=mixup, mixture=mixture, module__dropout=0.5, lr=0.3)
        differ = 0
        for step in clf.steps_:
            if step.phase == "plain":
                continue
            assert [c.training for c in step.calls][:2] == [False, True]
            losses = cross_entropy(forward(step, step.X.astype(np.float64)), step.y)
            expected = clf.mixtures_[step.epoch - 2].transform(losses)[:, 0]
            expected = np.clip(expected, 1e-4, 1 - 1e-4)
            # Where the posterior is steep, the rounding of a float32 loss shows.
            np.testing.assert_allclose(step.p_noisy, expected, atol=5e-3)
            for other in (step.epoch - 3, step.epoch - 1):
                wrong = clf.mixtures_[other].transform(losses)[:, 0]
                differ += np.abs(wrong - expected).max() > 2e-2
        assert differ > 10

    @pytest.mark.usefixtures("default_output")
    @pytest.mark.parametrize("mixture", ["beta", "gaussian"])
    @pytest.mark.parametrize("lookup", ["exact", "lookup"])
    def test_of_any_loss(self, mixture, lookup):
        rng = np.random.default_rng(0)
        losses = np.concatenate([rng.gamma(2, 0.2, 700), rng.normal(4, 0.5, 300)])
        splitter = BMMLossSplitter(mixture, posterior=lookup, random_state=0)
        splitter.fit(losses)
        table = PosteriorTable(splitter, "cpu")
        grid = np.concatenate([[0.0, 1e-7, 30.0, 1e6], losses, rng.uniform(0, 6, 9999)])
        given = table(torch.tensor(grid, dtype=torch.float32)).numpy()
        gap = np.abs(given - splitter.transform(grid)[:, 0])
        # A look-up table jumps; a loss next to a jump may be on the other side of it.
        is_jumping = lookup == "lookup"
        assert np.quantile(gap, 0.99 if is_jumping else 1) < 1e-3

    def test_of_losses_that_cannot_be_split(self):
        with pytest.warns(UserWarning, match="all but equal"):
            splitter = BMMLossSplitter().fit(np.full(100, 0.7))
        table = PosteriorTable(splitter, "cpu")
        given = table(torch.tensor([0.0, 0.7, 0.70001, 9.0]))
        assert given.tolist() == [0.5] * 4

    @pytest.mark.usefixtures("default_output")
    def test_of_losses_that_are_too_few(self):
        losses = np.random.default_rng(0).gamma(2, 1, 40)
        with pytest.warns(UserWarning, match="40 losses are too few"):
            splitter = BMMLossSplitter().fit(losses)
        grid = np.linspace(splitter.lo_ + 1e-3, splitter.hi_, 500)
        table = PosteriorTable(splitter, "cpu")
        given = table(torch.tensor(grid, dtype=torch.float32))
        gap = np.abs(given.numpy() - splitter.transform(grid)[:, 0])
        # Ranks are steps, and a loss next to one may be on the other side of it.
        assert np.quantile(gap, 0.98) < 1e-3 and gap.max() <= 1 / 40 + 1e-6

    def test_batch_normalisation_learns_from_mixed_and_unmixed_rows_only(self, blobs):
        class Normed(nn.Module):
            def __init__(self, n_classes):
                super().__init__()
                self.norm, self.head = nn.BatchNorm1d(4), nn.Linear(4, n_classes)

            def forward(self, X):
                return self.head(self.norm(X))

        X, y, _ = blobs
        params = {"batch_size": 60, "max_epochs": 4, "warmup_epochs": 2}
        clf = DynamicBootstrapClassifier(Normed, **params).fit(X, y)
        # One training pass for each of 3 batches and epochs of warm-up, then two.
        assert clf.module_.norm.num_batches_tracked == 3 * (2 * 1 + 2 * 2)


def test_the_posterior_of_a_loss_that_is_nan_is_nan():
    losses = np.random.default_rng(0).gamma(2, 0.2, 100)
    table = PosteriorTable(BMMLossSplitter(random_state=0).fit(losses), "cpu")
    found = table(torch.tensor([float("nan"), 0.2]))
    assert found.isnan().tolist() == [True, False]
