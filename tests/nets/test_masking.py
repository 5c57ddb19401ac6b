"""Adversarial masking as a part of nets: its loss, its hosts, what they are told."""

import copy
import pickle

import numpy as np
import pytest
import torch
from public_estimators import public_estimators
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback
from torch import nn

from sknoisy import (
    CoTeachingClassifier,
    DivideMixClassifier,
    ELRPlusClassifier,
    FlywheelClassifier,
    NALClassifier,
    NetClassifier,
    SSRClassifier,
)
from sknoisy.base import TrainingInterruptedWarning
from sknoisy.nets import (
    MLP,
    AdversarialMasking,
    Learnt,
    LoaderBatches,
    PreActResNet,
    Step,
)
from sknoisy.nets._masked_training import clean_proba
from sknoisy.nets._masking import watch_maps
from sknoisy.nets._peers import networks_of

SMALL = {"module__blocks": (1, 1), "module__width": 4}
FAST = {"max_epochs": 4, "batch_size": 16, "random_state": 0, "augment": None}
pytestmark = pytest.mark.filterwarnings("ignore:.*losses are too few")
NOTHING = {"mask_ratio": (0.0, 0.0), "quality_ratio": 0.0}
# All nets that learn from rows, and say what they learn.
HOSTS = [NetClassifier, *public_estimators("robust classifier")]
FITTED = {}


class Plain(nn.Module):
    """A network that keeps no statistics: a further pass leaves no trace."""

    def __init__(self, input_shape, n_classes):
        super().__init__()
        self.body = nn.Conv2d(input_shape[0], 5, 3, stride=2, padding=1)
        self.head = nn.Linear(5, n_classes)

    def feature_map(self, X):
        return self.body(X).relu()

    def embed(self, X):
        return self.feature_map(X).mean((2, 3))

    def forward(self, X):
        return self.head(self.embed(X))


class Decoders(Callback):
    """Keep what the decoders are made with."""

    def on_train_begin(self, net, **kwargs):
        self.made = copy.deepcopy(net.masking_.decoders.state_dict())


@pytest.fixture
def images():
    """Bright squares in one of three corners; a fifth of the labels is wrong."""
    rng = np.random.default_rng(0)
    y = rng.permutation(np.repeat([0, 1, 2], 20))
    X = rng.random((60, 1, 8, 8)) * 0.3
    for image, (r, c) in zip(X, np.array([[0, 0], [0, 5], [5, 0]])[y], strict=True):
        image[0, r : r + 3, c : c + 3] += 0.7
    is_noisy = np.zeros(60, dtype=bool)
    is_noisy[rng.choice(60, 12, replace=False)] = True
    given = np.where(is_noisy, (y + rng.integers(1, 3, 60)) % 3, y)
    return X.astype(np.float32), given, is_noisy


def started(network, n_samples=10, row_shape=(1, 8, 8), **params):
    return AdversarialMasking(**params).start(
        [network], torch.zeros(1, *row_shape), n_samples
    )


class TestViews:
    def test_peak_and_valley_are_hidden_in_rectangles(self):
        torch.manual_seed(0)
        X, targets = torch.rand(9, 3, 12, 12), torch.eye(3).repeat(3, 1)
        feature_map = torch.zeros(9, 2, 12, 12)
        feature_map[:, 0, 4, 7], feature_map[:, 1] = 5.0, 1.0
        feature_map[:, 1, 9, 2] = 0.0
        masking = AdversarialMasking(mask_ratio=(0.1, 0.2))
        masked, _ = masking.views(X, targets, torch.ones(9), feature_map)
        for view, (r, c) in zip(masked, [(4, 7), (9, 2)], strict=True):
            changed = (view != X).all(1)
            assert changed[:, r, c].all()
            assert torch.equal((view != X).any(1), changed)
            for mask, image in zip(changed, view, strict=True):
                h, w = mask.any(1).sum(), mask.any(0).sum()
                assert mask.sum() == h * w
                # half of ρ each, but for the rounding of both sides
                assert 0.03 * 144 <= h * w <= 0.14 * 144
                assert all(len(channel[mask].unique()) == 1 for channel in image)

    def test_both_views_have_colours_of_their_own(self):
        torch.manual_seed(0)
        X, targets = torch.zeros(40, 3, 8, 8), torch.eye(4).repeat(10, 1)
        masking = AdversarialMasking(mask_ratio=(0.3, 0.3))
        masked, _ = masking.views(X, targets, torch.ones(40), torch.rand(40, 2, 4, 4))
        colours = torch.cat([view.amax((2, 3)) for view in masked])
        assert len(colours.flatten().unique()) == 240
        assert 0.4 < colours.mean() < 0.6

    def test_more_is_hidden_where_the_label_is_doubtful(self):
        torch.manual_seed(0)
        X, targets = torch.rand(500, 1, 8, 8), torch.eye(2).repeat(250, 1)
        quality = torch.linspace(0, 1, 500)
        masking = AdversarialMasking(mask_ratio=(0.02, 0.07), quality_ratio=0.3)
        _, softened = masking.views(X, targets, quality, torch.rand(500, 2, 4, 4))
        ratio = 1 - softened.amax(1)
        extra = ratio - 0.3 * (1 - quality)
        assert (extra > 0.02 - 1e-6).all() and (extra < 0.07 + 1e-6).all()
        assert extra.std() > 0.01

    def test_nothing_hidden_is_the_image_and_its_label(self):
        X, targets = torch.rand(5, 1, 8, 8), torch.eye(5)
        masked, softened = AdversarialMasking(**NOTHING).views(
            X, targets, torch.ones(5), torch.rand(5, 2, 4, 4)
        )
        assert torch.equal(masked[0], X) and torch.equal(masked[1], X)
        assert torch.equal(softened, targets)

    @pytest.mark.parametrize(
        ("aspect", "low", "high"), [("fixed", 0.5, 0.5), ("uniform", 0.5, 2.0)]
    )
    def test_aspects(self, aspect, low, high):
        torch.manual_seed(0)
        X, targets = torch.zeros(400, 1, 64, 64), torch.eye(2).repeat(200, 1)
        masking = AdversarialMasking((0.2, 0.2), aspect=aspect, aspect_ratio=0.5)
        masked, _ = masking.views(X, targets, torch.ones(400), torch.rand(400, 1, 4, 4))
        h = (masked[0][:, 0] > 0).any(2).sum(1)
        w = (masked[0][:, 0] > 0).any(1).sum(1)
        found = h / w
        assert found.min() > low - 0.06 and found.max() < high + 0.15
        if aspect == "uniform":
            assert found.min() < 0.55 and found.max() > 1.9
            assert abs(found.mean() - 1.25) < 0.08


class TestLoss:
    @pytest.mark.parametrize("given_map", [True, False])
    def test_by_hand(self, given_map):
        torch.manual_seed(1)
        network = Plain((1, 8, 8), 3)
        masking = started(network, masking_weight=0.7, reconstruction_weight=0.4)
        masking.label_quality[0, 4:] = 0.2
        X, index = torch.rand(6, 1, 8, 8), torch.tensor([3, 4, 5, 6, 0, 1])
        targets = torch.rand(6, 3).softmax(1)
        made = network.feature_map(X).detach()
        torch.manual_seed(2)
        loss = masking(0, network, X, targets, index, made if given_map else None)
        torch.manual_seed(2)
        quality = torch.tensor([1.0, 0.2, 0.2, 0.2, 1.0, 1.0])
        masked, softened = masking.views(X, targets, quality, made)
        pixels = (X - X.mean()) / (X.var(correction=0) + 1e-5).sqrt()
        expected = torch.zeros(6)
        for view in masked:
            entropy = -(softened * network(view).log_softmax(1)).sum(1)
            restored = masking.decoders[0](network.feature_map(view))
            error = ((restored - pixels) ** 2).mean((1, 2, 3))
            expected += 0.7 * 0.5 * entropy + 0.4 * error
        torch.testing.assert_close(loss, expected)

    def test_no_reconstruction_no_decoder_gradient(self):
        network = Plain((1, 8, 8), 3)
        masking = started(network, reconstruction_weight=0.0)
        X, index = torch.rand(6, 1, 8, 8), torch.arange(6)
        masking(0, network, X, torch.eye(3).repeat(2, 1), index).sum().backward()
        assert all(p.grad is None for p in masking.decoders.parameters())
        assert network.head.weight.grad.abs().sum() > 0

    def test_peak_and_valley_share_one_error_each(self):
        network = Plain((1, 8, 8), 3)
        masking = started(network)
        feature_map, X = torch.rand(4, 5, 4, 4), torch.rand(2, 1, 8, 8)
        restored = masking.decoders[0](feature_map)
        pixels = (X - X.mean()) / (X.var(correction=0) + 1e-5).sqrt()
        errors = [
            ((restored[k] - pixels[k]) ** 2).mean()
            + ((restored[k + 2] - pixels[k]) ** 2).mean()
            for k in (0, 1)
        ]
        found = masking.reconstruction_loss(0, feature_map, X)
        torch.testing.assert_close(found, torch.stack(errors))


class TestHost:
    def test_weights_of_nought_leave_the_host_as_it_is(self, images):
        X, y, _ = images
        plain = NetClassifier(Plain, **FAST).fit(X, y)
        masked = NetClassifier(
            Plain,
            masking=AdversarialMasking,
            masking__masking_weight=0.0,
            masking__reconstruction_weight=0.0,
            **FAST,
        ).fit(X, y)
        for a, b in zip(
            plain.module_.parameters(), masked.module_.parameters(), strict=True
        ):
            assert torch.equal(a, b)
        assert masked.masking_.is_active

    def test_the_warm_up_is_the_hosts(self, images):
        X, y, _ = images
        plain = NetClassifier(Plain, **FAST).fit(X, y)
        warm = NetClassifier(
            Plain, masking=AdversarialMasking, masking__warmup_epochs=4, **FAST
        ).fit(X, y)
        np.testing.assert_array_equal(plain.predict_proba(X), warm.predict_proba(X))
        assert (warm.masking_.label_quality == 1).all()
        longer = warm.set_params(max_epochs=1).partial_fit(X, y)
        assert (longer.masking_.label_quality < 1).any()

    def test_no_map_is_computed_twice(self, images):
        X, y, _ = images
        sizes = []

        class Counted(Plain):
            def feature_map(self, X):
                if self.training:
                    sizes.append(len(X))
                return super().feature_map(X)

        params = {"masking__warmup_epochs": 0, "batch_size": 60, "max_epochs": 2}
        NetClassifier(Counted, masking=AdversarialMasking, **{**FAST, **params}).fit(
            X, y
        )
        # The host's own pass, and one for both views.
        assert sizes == [60, 120, 60, 120]

    def test_a_host_that_mixes_rows_has_the_map_computed(self, images):
        X, y, _ = images
        calls = []

        class Counted(Plain):
            def feature_map(self, X):
                if self.training:
                    calls.append((len(X), torch.is_grad_enabled()))
                return super().feature_map(X)

        params = {"masking__warmup_epochs": 0, "batch_size": 60, "max_epochs": 1}
        ELRPlusClassifier(
            Counted, masking=AdversarialMasking, **{**FAST, **params}
        ).fit(X, y)
        turn = [(60, False), (60, True), (60, False), (120, True)]
        assert calls == 2 * turn

    def test_watching_leaves_no_trace(self):
        network, X = Plain((1, 8, 8), 2), torch.rand(3, 1, 8, 8)
        with pytest.raises(ZeroDivisionError), watch_maps([network]) as maps:
            network(X)
            raise ZeroDivisionError
        ((seen, made),) = maps[network]
        assert seen is X and torch.equal(made, network.feature_map(X))
        assert "feature_map" not in vars(network)

    def test_an_interrupted_step_leaves_nothing(self, images):
        X, y, _ = images

        class Stopped(AdversarialMasking):
            def forward(self, *args):
                raise KeyboardInterrupt

        clf = NetClassifier(PreActResNet, masking=Stopped, **SMALL, **FAST)
        with pytest.warns(
            TrainingInterruptedWarning, match="in epoch 2: it has 1 of 4"
        ):
            assert clf.fit(X, y).open_step_ is None
        assert "feature_map" not in vars(clf.module_)
        assert clf.predict(X).shape == (60,)

    @pytest.mark.slow
    def test_labels_are_judged(self, images):
        X, y, is_noisy = images
        params = {**FAST, "max_epochs": 20}
        clf = NetClassifier(
            PreActResNet, masking=AdversarialMasking, **SMALL, **params
        ).fit(X, y)
        quality = clf.masking_.label_quality[0].numpy()
        # Judged the other way round it would be below 0.2.
        assert roc_auc_score(~is_noisy, quality) > 0.8
        assert quality.min() >= 0 and quality.max() <= 1

    @pytest.mark.slow
    def test_networks_hear_of_labels_from_each_other(self, images):
        X, y, _ = images

        class Judged(ELRPlusClassifier):
            def eval_pass(self, dataset, modules=None):
                self.evaluated_ = super().eval_pass(dataset, modules)
                return self.evaluated_

            def on_epoch_end(self, net, *args, **kwargs):
                super().on_epoch_end(net, *args, **kwargs)
                if self.masking_.is_active:
                    rows, codes, logits = self.evaluated_
                    for turn in (0, 1):
                        told = self.masking_.label_quality[turn, rows]
                        other = clean_proba(self, logits[1 - turn], codes)
                        own = clean_proba(self, logits[turn], codes)
                        assert torch.equal(told, other)
                        assert not torch.equal(told, own)
                        self.n_seen_ = getattr(self, "n_seen_", 0) + 1

        clf = Judged(PreActResNet, masking=AdversarialMasking, **SMALL, **FAST)
        assert clf.fit(X, y).n_seen_ == 6

    @pytest.mark.parametrize("dtype", [torch.int64, torch.bool])
    def test_a_step_without_learnt_rows_masks_nothing(self, images, dtype):
        class Idle(NetClassifier):
            def training_loss(self, X, y, index):
                logits = self.module_(X)
                rows = torch.zeros(len(y) if dtype == torch.bool else 0, dtype=dtype)
                learnt = [Learnt(self.module_, X, y, rows)]
                return Step(0 * logits.sum(), logits, learnt)

        masking = {"masking": AdversarialMasking, "masking__warmup_epochs": 1}
        net = Idle(Plain, **{**FAST, "max_epochs": 2}, **masking)
        net.fit(images[0], images[1])
        assert net.history[:, "train_loss"] == [0, 0]

    def test_rows_that_co_teaching_has_chosen(self, images):
        X, y, _ = images
        seen = []

        class Watched(CoTeachingClassifier):
            def training_loss(self, X, y, index):
                step = super().training_loss(X, y, index)
                self.chosen_ = [(index[one.rows], X[one.rows]) for one in step.learnt]
                self.peers_ = [*self.module_.peers]
                return step

        class Masking(AdversarialMasking):
            def forward(self, turn, network, X, targets, index, feature_map):
                rows, images = clf.chosen_[turn]
                assert torch.equal(index, rows) and torch.equal(X, images)
                assert torch.equal(targets.argmax(1), torch.from_numpy(y)[index])
                assert network is clf.peers_[turn]
                with torch.no_grad():
                    again = network.feature_map(X)
                torch.testing.assert_close(feature_map, again)
                seen.append((turn, len(X)))
                return super().forward(turn, network, X, targets, index, feature_map)

        params = {**FAST, "batch_size": 60, "forget_rate": 0.5, "ramp_epochs": 1}
        clf = Watched(Plain, masking=Masking, **params)
        clf.fit(X, y)
        assert seen == [(0, 30), (1, 30)] * 3

    @pytest.mark.fast_cases(1)
    @pytest.mark.parametrize("weight", [0.0, 0.5])
    def test_groups_of_divide_mix_have_two_views_more(self, images, weight):
        X, y, _ = images
        seen = []

        class Watched(DivideMixClassifier):
            def mixed_loss(self, labelled, unlabelled, index):
                n = self.n_labelled_
                for group in (labelled, unlabelled):
                    one, _, peak, valley = group.views
                    # Views of the first: unmasked pixels are its own.
                    for view in (peak, valley):
                        assert 0 < (view != one).float().mean() < 0.5
                    first, second, softened, again = group.targets
                    assert torch.equal(first, second)
                    assert torch.equal(softened, again)
                    ratio = first.amax(1) - softened.gather(
                        1, first.argmax(1, keepdim=True)
                    ).squeeze(1)
                    rows = index[:n] if group is labelled else index[n:]
                    quality = self.clean_[1 - self.turn_, rows]
                    extra = ratio - 0.1 * (1 - quality)
                    assert (extra > 0.1 - 1e-5).all() and (extra < 0.2 + 1e-5).all()
                loss = super().mixed_loss(labelled, unlabelled, index)
                seen.append(float(loss.detach()))
                return loss

            def training_loss(self, X, y, index):
                step = super().training_loss(X, y, index)
                if self.masking_.is_active:
                    # What is added is the decoder's error.
                    assert (float(step.loss.detach()) > seen[-1]) == (weight > 0)
                return step

        Watched(
            PreActResNet,
            masking=AdversarialMasking,
            masking__mask_ratio=(0.1, 0.2),
            masking__quality_ratio=0.1,
            masking__reconstruction_weight=weight,
            masking__warmup_epochs=2,
            warmup_epochs=2,
            unlabeled_weight=1.0,
            lr=0.02,
            **SMALL,
            **FAST,
        ).fit(X, y)
        assert len(seen) > 8

    @pytest.mark.parametrize("weighted", [False, True])
    def test_elr_plus_mixes_masked_copies_by_hand(self, images, weighted):
        X, y, _ = images
        seen = []

        class Watched(ELRPlusClassifier):
            def training_loss(self, X, y, index):
                state, rng = torch.get_rng_state(), copy.deepcopy(self.rng_)
                step = super().training_loss(X, y, index)
                after = torch.get_rng_state()
                torch.set_rng_state(state)
                seen.append((float(step.loss.detach()), self.by_hand(X, y, index, rng)))
                torch.set_rng_state(after)
                assert step.logits.shape == (len(X), 3)
                return step

            @torch.no_grad()
            def by_hand(self, X, y, index, rng):
                own, n = self.module_.peers[self.turn_], len(X)
                given = torch.eye(3)[y]
                masked, softened, restoring = self.masking_.views_and_loss(
                    self.turn_,
                    own,
                    X,
                    given,
                    self.masking_.label_quality[self.turn_, index],
                )
                rows, labels = torch.cat([X, *masked]), [given, softened, softened]
                partner = torch.randperm(3 * n)
                share = rng.beta(1.0, 1.0)
                share = max(share, 1 - share)

                def mix(values):
                    return share * values + (1 - share) * values[partner]

                proba = own(mix(rows)).softmax(1)
                entropy = -(mix(torch.cat(labels)) * proba.log()).sum(1)
                # Those of the step, which has moved them.
                t = self.criterion_[self.turn_].targets[index].repeat(3, 1)
                agreement = (mix(t)[:n] * proba[:n].clamp(1e-4, 1 - 1e-4)).sum(1)
                losses = torch.cat(
                    [entropy[:n] + 2.0 * (1 - agreement).log(), 0.35 * entropy[n:]]
                )
                weight = torch.ones(n) if weights is None else weights[index]
                total = (mix(weight.repeat(3)) * losses).sum()
                total += (weight * restoring).sum()
                return float(total / weight.sum())

        weights = torch.arange(1.0, 61.0) if weighted else None
        Watched(
            Plain,
            lam=2.0,
            mix_masked=True,
            masking=AdversarialMasking,
            masking__mask_ratio=(0.1, 0.3),
            masking__masking_weight=0.7,
            masking__warmup_epochs=0,
            **{**FAST, "max_epochs": 2, "batch_size": 20},
        ).fit(X, y, sample_weight=None if weights is None else weights.numpy())
        found, expected = np.array(seen).T
        assert len(seen) == 12
        np.testing.assert_allclose(found, expected, rtol=1e-4)

    def test_mixing_of_no_masks_is_refused(self, images):
        with pytest.raises(ValueError, match="mix_masked=True would have no effect"):
            ELRPlusClassifier(Plain, mix_masked=True, **FAST).fit(*images[:2])

    @pytest.mark.parametrize("masked", [False, True])
    def test_divide_mix_learns_two_strong_views_too(self, images, masked):
        X, y, _ = images
        made, steps = {"weak": [], "strong": []}, []

        def weak(X):
            made["weak"].append(X + 0.01 * len(made["weak"]))
            return made["weak"][-1]

        def strong(X):
            made["strong"].append(2 - X - 0.01 * len(made["strong"]))
            return made["strong"][-1]

        class Watched(DivideMixClassifier):
            def row_groups(self, X, y, index):
                found = super().row_groups(X, y, index)
                # What the labels were guessed of.
                self.guessed_of_ = made["weak"][-2:]
                return found

            def mixed_loss(self, labelled, unlabelled, index):
                n = self.n_labelled_
                learnt = [*made["weak"][-2:], *made["strong"][-2:]]
                # None is one of those of which the labels were guessed.
                assert made["weak"][-4] is self.guessed_of_[0]
                for group, rows in (
                    (labelled, slice(None, n)),
                    (unlabelled, slice(n, None)),
                ):
                    assert len(group.views) == len(group.targets) == 4 + 2 * masked
                    for view, expected in zip(group.views[:4], learnt, strict=True):
                        assert torch.equal(view, expected[rows])
                    for targets in group.targets[:4]:
                        assert torch.equal(targets, group.targets[0])
                    for view, targets in zip(
                        group.views[4:], group.targets[4:], strict=True
                    ):
                        # What is not hidden is that of the first view of the guess.
                        changed = view != self.guessed_of_[0][rows]
                        assert 0 < changed.float().mean() < 0.5
                        lost = (group.targets[0] - targets).amax(1)
                        assert (lost > 0.1 - 1e-5).all() and (lost < 0.3).all()
                steps.append(len(index))
                return super().mixed_loss(labelled, unlabelled, index)

        masks = {
            "masking": AdversarialMasking,
            "masking__mask_ratio": (0.1, 0.2),
            "masking__quality_ratio": 0.05,
            "masking__warmup_epochs": 1,
        }
        clf = Watched(
            Plain,
            weak_view=weak,
            strong_view=strong,
            warmup_epochs=1,
            **(masks if masked else {}),
            **{**FAST, "max_epochs": 3},
        ).fit(X, y)
        assert len(steps) > 3
        assert clf.predict_proba(X).shape == (60, 3)

    @pytest.mark.slow
    @pytest.mark.parametrize("weighted", [False, True])
    def test_ssr_mixes_masked_views_of_selected_rows(self, images, weighted):
        X, y, _ = images
        seen = []

        class Watched(SSRClassifier):
            def _mixed_loss(self, views, targets, index):
                if self.masking_.is_active:
                    one, _, peak, valley = views
                    for view in (peak, valley):
                        assert 0 < (view != one).float().mean() < 0.5
                    first, second, softened, again = targets
                    assert torch.equal(first, second)
                    assert torch.equal(softened, again)
                    labels = self.labels_[index]
                    assert torch.equal(first.argmax(1), labels)
                    own = softened.gather(1, labels[:, None]).squeeze(1)
                    # What the label has lost beyond the share that is drawn.
                    extra = 1 - own - 0.3 * (1 - self.label_quality_[0, index])
                    assert (extra > 0.1 - 1e-5).all() and (extra < 0.2 + 1e-5).all()
                    seen.append(float(self.label_quality_[0, index].min()))
                loss, logits = super()._mixed_loss(views, targets, index)
                assert logits.shape == (len(index), len(self.classes_))
                return loss, logits

        class Masking(AdversarialMasking):
            def forward(self, *args):
                raise AssertionError("the views are masked twice")

        weight = np.random.default_rng(0).random(len(y)) if weighted else None
        Watched(
            PreActResNet,
            masking=Masking,
            masking__mask_ratio=(0.1, 0.2),
            masking__quality_ratio=0.3,
            masking__warmup_epochs=1,
            selection_threshold=0.5,
            n_neighbors=30,
            **SMALL,
            **FAST,
        ).fit(X, y, sample_weight=weight)
        # Some of the rows are selected against votes.
        assert len(seen) > 8 and min(seen) < 0.95

    @pytest.mark.slow
    def test_targets_of_noise_attention(self, images):
        X, y, _ = images
        seen = []

        class Masking(AdversarialMasking):
            def forward(self, turn, network, X, targets, index, feature_map):
                same = torch.equal(targets, clf.criterion_.targets[index])
                seen.append((same, bool((targets.amax(1) < 1).any())))
                return super().forward(turn, network, X, targets, index, feature_map)

        clf = NALClassifier(PreActResNet, masking=Masking, **SMALL, **FAST)
        clf.fit(X, y)
        assert all(same for same, _ in seen) and seen[-1][1]

    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore:the refurbished labels have collapsed")
    def test_what_flywheel_has_learnt_and_knows(self, images):
        X, y, _ = images
        seen = []

        class Watched(FlywheelClassifier):
            def training_loss(self, X, y, index):
                step = super().training_loss(X, y, index)
                self.learnt_ = step.learnt[0]
                return step

        class Masking(AdversarialMasking):
            def forward(self, turn, network, X, targets, index, feature_map):
                assert network is clf.learnt_.network is clf.module_
                assert X is clf.learnt_.X
                cycles, quality = clf.criterion_["cycles"], self.label_quality[0]
                # The judge has spoken in this very epoch.
                seen.append(not cycles.gamma.isnan() and torch.equal(quality, cycles.q))
                return super().forward(turn, network, X, targets, index, feature_map)

        params = {**FAST, "masking__warmup_epochs": 0, "max_epochs": 3}
        clf = Watched(PreActResNet, masking=Masking, **SMALL, **params)
        clf.fit(X, y)
        # A pass of the judge alone is not masked.
        assert seen == [False] * 4 + [True] * 8


@pytest.mark.filterwarnings("ignore:the refurbished labels have collapsed")
@pytest.mark.parametrize("host", HOSTS)
class TestEveryHost:
    def make(self, host, **params):
        return host(
            PreActResNet,
            **{"masking": AdversarialMasking, **SMALL, **FAST, **params},
        )

    @pytest.fixture
    def whole(self, images, host):
        """Return the host after four epochs: fitted once for tests that only read."""
        if host not in FITTED:
            FITTED[host] = self.make(host).fit(*images[:2])
        return FITTED[host]

    @pytest.mark.fast_cases(1)
    def test_decoders_are_trained_and_results_depend_on_the_seed(
        self, images, host, whole
    ):
        X, y, _ = images
        again = self.make(host).fit(X, y)
        other = self.make(host, random_state=1).fit(X, y)
        without = self.make(host, masking=None).fit(X, y)
        proba = whole.predict_proba(X)
        np.testing.assert_array_equal(proba, again.predict_proba(X))
        assert (proba != other.predict_proba(X)).any()
        assert (proba != without.predict_proba(X)).any()
        assert len(whole.masking_.decoders) == len(networks_of(whole.module_))
        start = Decoders()
        warm = self.make(host, max_epochs=1, callbacks=[start]).fit(X, y)
        fresh = warm.masking_.decoders.state_dict()
        # What is not trained yet stays as it was made, and has no momentum.
        assert all(torch.equal(fresh[name], start.made[name]) for name in fresh)
        weights = [*warm.masking_.decoders.parameters()]
        assert not any(weight in warm.optimizer_.state for weight in weights)
        assert (weights[0].grad, weights[-1].grad) == (None, None)
        for name, trained in whole.masking_.decoders.state_dict().items():
            assert (trained - fresh[name]).abs().max() > 1e-3 or "bias" in name

    @pytest.mark.fast_cases(1)
    def test_pickle_and_checkpoint(self, images, host, whole, tmp_path):
        X, y, _ = images
        copied = pickle.loads(pickle.dumps(whole))
        np.testing.assert_array_equal(copied.predict_proba(X), whole.predict_proba(X))

        class Stop(Exception):
            pass

        class Stopped(host):
            def on_epoch_begin(self, net, *args, **kwargs):
                if len(self.history) == 3:
                    raise Stop
                super().on_epoch_begin(net, *args, **kwargs)

        Stopped.__qualname__ = Stopped.__name__ = host.__name__
        path = tmp_path / "run"
        params = {"checkpoint": path, "masking": AdversarialMasking}
        with pytest.raises(Stop):
            Stopped(PreActResNet, **SMALL, **FAST, **params).fit(X, y)
        resumed = self.make(host, checkpoint=path).fit(X, y)
        np.testing.assert_array_equal(resumed.predict_proba(X), whole.predict_proba(X))

    @pytest.mark.fast_cases(1)
    def test_weights_of_rows(self, images, host):
        X, y, _ = images
        weight = np.random.default_rng(0).integers(0, 3, 60)
        # Two epochs: a warm-up, and one with views that are hidden in part.
        clf = self.make(host, max_epochs=2).fit(X, y, sample_weight=weight)
        assert clf.masking_.is_active
        assert np.isfinite(clf.predict_proba(X)).all()


class TestUse:
    @pytest.mark.slow
    def test_grid_search(self, images):
        X, y, _ = images
        clf = NetClassifier(PreActResNet, masking=AdversarialMasking, **SMALL, **FAST)
        grid = {
            "masking__aspect_ratio": [0.5, 0.8],
            "masking__mask_ratio": [(0.02, 0.07), (0.2, 0.3)],
            "masking__reconstruction_weight": [0.02],
        }
        search = GridSearchCV(clf, grid, cv=2).fit(X, y)
        best = search.best_params_
        assert (
            search.best_estimator_.masking_.aspect_ratio
            == best["masking__aspect_ratio"]
        )
        assert clone(search.best_estimator_).get_params()["masking"] is (
            AdversarialMasking
        )

    @pytest.mark.slow
    def test_an_instance_is_copied(self, images):
        X, y, _ = images
        masking = AdversarialMasking(aspect="fixed", warmup_epochs=1)
        clf = NetClassifier(PreActResNet, masking=masking, **SMALL, **FAST).fit(X, y)
        assert clf.masking_ is not masking and clf.masking_.aspect == "fixed"
        assert not hasattr(masking, "decoders") and clf.masking is masking

    @pytest.mark.slow
    def test_new_parameters_wait_for_the_next_fit(self, images):
        X, y, _ = images
        clf = NetClassifier(
            PreActResNet, masking=AdversarialMasking, **SMALL, **FAST
        ).fit(X, y)
        clf.set_params(masking__quality_ratio=0.5)
        assert clf.masking_.quality_ratio == 0.03
        assert clf.fit(X, y).masking_.quality_ratio == 0.5
        clf.set_params(masking=None, masking__quality_ratio=0.5)
        with pytest.raises(ValueError, match="masking__quality_ratio would have no"):
            clf.fit(X, y)

    @pytest.mark.slow
    def test_partial_fit_on_more_rows(self, images):
        X, y, _ = images
        clf = NetClassifier(
            PreActResNet, masking=AdversarialMasking, **SMALL, **FAST
        ).fit(X[:30], y[:30])
        clf.partial_fit(X, y)
        assert clf.masking_.label_quality.shape == (1, 60)

    @pytest.mark.slow
    def test_a_loader_and_a_split(self, images):
        from skorch.dataset import ValidSplit

        X, y, _ = images
        loaders = {"iterator_train": LoaderBatches, "iterator_valid": LoaderBatches}
        split = ValidSplit(3, stratified=True)
        params = {"masking": AdversarialMasking, "train_split": split, **SMALL, **FAST}
        of_loader = NetClassifier(PreActResNet, **params, **loaders).fit(X, y)
        plain = NetClassifier(PreActResNet, **params).fit(X, y)
        np.testing.assert_array_equal(
            of_loader.predict_proba(X), plain.predict_proba(X)
        )
        # Rows of the validation split are not judged.
        assert (plain.masking_.label_quality[0] == 1).sum() >= 20


class TestRefusals:
    def test_tables(self, blobs):
        X, y, _ = blobs
        with pytest.raises(ValueError, match=r"masking is for images.*masking=None"):
            NetClassifier(masking=AdversarialMasking).fit(X, y)

    def test_networks_without_a_map(self, images):
        X, y, _ = images
        with pytest.raises(ValueError, match=r"feature_map\(X\).*MLP has none"):
            NetClassifier(MLP, masking=AdversarialMasking).fit(X, y)

    @pytest.mark.parametrize(
        ("learnt", "message"),
        [
            (
                lambda net, X, y: [],
                "Host cannot be masked: .* does not return what was",
            ),
            (
                lambda net, X, y: [Learnt(net.module_.head, X, y)],
                "Host cannot be masked: .* a Linear has learnt, which is not one",
            ),
        ],
    )
    @pytest.mark.parametrize("n_warmup", [0, 1])
    def test_methods_that_do_not_say_what_they_learn(
        self, images, learnt, message, n_warmup
    ):
        class Host(NetClassifier):
            def training_loss(self, X, y, index):
                logits = self.module_(X)
                loss = nn.functional.cross_entropy(logits, y)
                return Step(loss, logits, learnt(self, X, y))

        X, y, _ = images
        params = {"masking__warmup_epochs": n_warmup, **FAST}
        with pytest.raises(ValueError, match=message):
            Host(Plain, masking=AdversarialMasking, **params).fit(X, y)
        assert Host(Plain, **FAST).fit(X, y).masking_ is None

    def test_an_optimizer_that_leaves_out_the_decoders(self, images):
        class Host(NetClassifier):
            def initialize_optimizer(self):
                self.optimizer_ = torch.optim.SGD(self.module_.parameters(), lr=0.1)
                return self

        X, y, _ = images
        with pytest.raises(ValueError, match=r"super\(\).initialize_optimizer"):
            Host(Plain, masking=AdversarialMasking, **FAST).fit(X, y)

    def test_a_typo(self, images):
        X, y, _ = images
        clf = NetClassifier(
            PreActResNet, masking=AdversarialMasking, masking__aspekt=1, **SMALL
        )
        with pytest.raises(ValueError, match=r"masking__aspekt.*it takes mask_ratio"):
            clf.fit(X, y)

    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ({"mask_ratio": 0.1}, r"two shares \(low, high\)"),
            ({"mask_ratio": (0.2, 0.1)}, r"two shares \(low, high\)"),
            ({"mask_ratio": (0.2, 1.1)}, r"two shares \(low, high\)"),
            ({"quality_ratio": -0.1}, "quality_ratio must be in"),
            ({"aspect_ratio": 0.0}, r"aspect_ratio must be in \(0, 1\]"),
            ({"aspect_ratio": 1.2}, r"aspect_ratio must be in \(0, 1\]"),
            ({"aspect": "even"}, "aspect must be one of"),
            ({"anchor": "centre"}, "anchor must be one of"),
            ({"masking_weight": -1.0}, "masking_weight must be at least 0"),
            ({"reconstruction_weight": np.nan}, "reconstruction_weight must be at"),
            ({"warmup_epochs": -1}, "warmup_epochs must be an int"),
            ({"warmup_epochs": 1.5}, "warmup_epochs must be an int"),
        ],
    )
    def test_parameters(self, params, message):
        with pytest.raises(ValueError, match=message):
            AdversarialMasking(**params)
