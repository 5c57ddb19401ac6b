"""Every estimator works on rows on disk as on an array, or says that it cannot."""

import warnings

import numpy as np
import pytest
import torch
from public_estimators import at_defaults, public_estimators
from row_sources import Shaking, Shelf
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from skorch import NeuralNetClassifier
from skorch.callbacks import EpochScoring
from skorch.dataset import ValidSplit
from skorch.helper import predefined_split
from test_common_images import Narrow, brief, brief_at_defaults

import sknoisy
from sknoisy import (
    AUMDetector,
    AutoNoiseDetector,
    AutoRobustClassifier,
    CleanedClassifier,
    ConfidentLearningDetector,
    DivideMixClassifier,
    DynaCorDetector,
    LossMixtureDetector,
    NALClassifier,
    NetClassifier,
    NoisyLabelFilter,
    RobustLossClassifier,
    label_report,
    save,
)
from sknoisy.base import NoiseInjectorMixin
from sknoisy.classification._contenders import default_contenders
from sknoisy.datasets import RowSource
from sknoisy.detection._competitors import Candidates, default_candidates
from sknoisy.nets import MLP, ArrayDataset, LoaderBatches, TensorBatches, _defaults

KINDS = public_estimators()
# They look at all rows at once, to project them or to search neighbours among them; or
# what they take are no images.
REFUSING = {
    *("BMMLossSplitter", "BetaMixture", "DynamicsClassifier", "FINEDetector"),
    *("InstanceNoiseInjector", "MarginNoiseInjector", "NeighborVoteDetector"),
    *("ConfidentLearningDetector", "TextEncoder"),
}
# Their candidates, or what they hold, are tried on their own, and below.
HOLDERS = (AutoNoiseDetector, AutoRobustClassifier, CleanedClassifier, NoisyLabelFilter)
SMALL = {"module__hidden": 4, "max_epochs": 2, "batch_size": 16, "random_state": 0}

RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(60, 4)).astype(np.float32)
LABELS = np.array(["cat", "dog", "emu"])[np.arange(60) % 3]
IMAGE_LABELS = np.repeat([0, 1, 2], 8)
IMAGES = (
    RNG.integers(0, 100, (24, 3, 8, 8)) + 50 * IMAGE_LABELS[:, None, None, None]
).astype(np.uint8)


@pytest.fixture(autouse=True)
def _narrow(monkeypatch):
    monkeypatch.setitem(_defaults._MODULES, 3, Narrow)


def fitted(kind, X):
    estimator = brief(at_defaults(kind))
    if "random_state" in estimator.get_params():
        estimator.set_params(random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if isinstance(estimator, NoiseInjectorMixin):
            return estimator.fit_resample(X, IMAGE_LABELS)
        return estimator.fit(X, IMAGE_LABELS)


@pytest.mark.parametrize(
    "kind", [k for k in KINDS if k not in HOLDERS], ids=lambda kind: kind.__name__
)
def test_the_bits_are_those_of_the_array_or_it_is_refused(kind):
    source = Shelf(IMAGES)
    if kind.__name__ in REFUSING:
        with pytest.raises(
            (TypeError, ValueError), match=r"all rows|features|binary|texts"
        ):
            fitted(kind, source)
        return
    found, expected = fitted(kind, source), fitted(kind, IMAGES)
    if isinstance(found, tuple):
        assert found[0] is source
        np.testing.assert_array_equal(found[1], expected[1])
        return
    if hasattr(found, "noise_scores_"):
        np.testing.assert_array_equal(found.noise_scores_, expected.noise_scores_)
    if hasattr(found, "predict_proba"):
        proba = found.predict_proba(source)
        np.testing.assert_array_equal(proba, expected.predict_proba(IMAGES))
        np.testing.assert_array_equal(proba, found.predict_proba(IMAGES))


@pytest.mark.parametrize("name", ["ConfidentLearning", "FINE", "NeighborVote"])
@pytest.mark.filterwarnings("ignore:24 losses are too few")
def test_those_for_features_take_them_with_a_network(name):
    kind = getattr(sknoisy, f"{name}Detector")
    detector = kind(NetClassifier(max_epochs=1, random_state=0))
    if "random_state" in detector.get_params():
        detector.set_params(random_state=0)
    found = clone(detector).fit(Shelf(IMAGES), IMAGE_LABELS)
    expected = detector.fit(IMAGES, IMAGE_LABELS)
    np.testing.assert_array_equal(found.noise_scores_, expected.noise_scores_)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", [AutoNoiseDetector, AutoRobustClassifier])
def test_candidates_for_images_take_them(kind, monkeypatch):
    monkeypatch.setattr(
        "sknoisy.detection._auto.default_candidates",
        lambda *args, **params: Candidates(
            [(n, brief(d)) for n, d in default_candidates(*args, **params).quick]
        ),
    )
    monkeypatch.setattr(
        "sknoisy.classification._auto.default_contenders",
        lambda *args, **params: [
            (n, brief(c)) for n, c in default_contenders(*args, **params)
        ],
    )
    estimator = brief_at_defaults(kind).set_params(random_state=0)
    found = clone(estimator).fit(Shelf(IMAGES), IMAGE_LABELS)
    expected = estimator.fit(IMAGES, IMAGE_LABELS)
    np.testing.assert_array_equal(found.noise_scores_, expected.noise_scores_)
    if kind is AutoRobustClassifier:
        proba = found.predict_proba(Shelf(IMAGES))
        np.testing.assert_array_equal(proba, expected.predict_proba(IMAGES))
    with pytest.raises(TypeError, match="needs all rows at once"):
        clone(estimator).fit(Shelf(TABLE), LABELS)


class TestTables:
    def test_a_fit_fetches_batches_only(self):
        source = Shelf(TABLE, limit=16)
        net = NetClassifier(**SMALL, iterator_valid__batch_size=16)
        proba = net.fit(source, LABELS).predict_proba(source)
        expected = NetClassifier(**SMALL).fit(TABLE, LABELS)
        np.testing.assert_array_equal(proba, expected.predict_proba(TABLE))
        assert set(net.predict(source)) <= set(LABELS)
        assert net.score(source, LABELS) == expected.score(TABLE, LABELS)
        features = net.transform(source)
        np.testing.assert_array_equal(features, expected.transform(TABLE))

    def test_the_iterator_follows_the_rows(self):
        net = NetClassifier(**SMALL).fit(Shelf(TABLE), LABELS)
        made = net.get_iterator(net.get_dataset(Shelf(TABLE)))
        assert isinstance(made, LoaderBatches)
        assert isinstance(net.get_iterator(net.get_dataset(TABLE)), TensorBatches)

    def test_parameters_of_the_loader_need_no_other_iterator(self):
        params = {"iterator_train__num_workers": 0, "iterator_valid__num_workers": 0}
        net = NetClassifier(**SMALL, **params)
        with pytest.raises(
            ValueError, match="TensorBatches takes no iterator_train__n"
        ):
            clone(net).fit(TABLE, LABELS)
        source = Shelf(TABLE)
        proba = net.fit(source, LABELS).predict_proba(source)
        # Arrays may follow: they are read by the same iterator.
        np.testing.assert_array_equal(net.predict_proba(TABLE), proba)

    def test_a_pipeline_and_a_search(self):
        source = Shelf(TABLE)
        model = make_pipeline(FunctionTransformer(), NetClassifier(**SMALL))
        found = cross_validate(model, source, LABELS, cv=3)["test_score"]
        expected = cross_validate(model, TABLE, LABELS, cv=3)["test_score"]
        np.testing.assert_array_equal(found, expected)
        net = NALClassifier(**SMALL)
        found = cross_val_predict(net, source, LABELS, cv=2)
        np.testing.assert_array_equal(
            found, cross_val_predict(net, TABLE, LABELS, cv=2)
        )
        search = GridSearchCV(net, {"lr": [0.01, 0.1]}, cv=2).fit(source, LABELS)
        assert search.best_estimator_.n_features_in_ == 4

    @pytest.mark.parametrize(
        "split",
        [ValidSplit(3), predefined_split(ArrayDataset(TABLE, np.arange(60) % 3))],
    )
    def test_a_validation_split_and_scores(self, split):
        params = {**SMALL, "train_split": split}
        score = EpochScoring("accuracy", on_train=True, use_caching=False, name="own")
        found = NetClassifier(**params, callbacks=[score]).fit(Shelf(TABLE), LABELS)
        expected = NetClassifier(**params).fit(TABLE, LABELS)
        losses = [net.history[:, "valid_loss"] for net in (found, expected)]
        assert losses[0] == losses[1] and len(found.history[:, "own"]) == 2

    def test_more_epochs_and_weights(self):
        weights = np.linspace(0, 2, 60)
        both = []
        for X in (Shelf(TABLE), TABLE):
            net = NetClassifier(**SMALL).fit(X, LABELS, sample_weight=weights)
            both.append(net.partial_fit(X, LABELS).predict_proba(TABLE))
        np.testing.assert_array_equal(*both)

    def test_a_row_of_no_number_is_named(self):
        table = TABLE.copy()
        table[41, 2] = np.nan
        with pytest.raises(ValueError, match="row 41 of Shelf has NaN or infinite"):
            NetClassifier(**SMALL).fit(Shelf(table), LABELS)

    @pytest.mark.parametrize(("side", "largest"), [(32, 600), (256, 85)])
    def test_batches_to_be_scored_are_smaller_for_large_images(self, side, largest):
        class Blank(RowSource):
            shape, dtype = (600, 3, side, side), np.dtype(np.uint8)
            most = 0

            def fetch(self, index):
                self.most = max(self.most, len(index))
                return np.zeros((len(index), *self.shape[1:]), np.uint8)

        rows, y = Blank(), np.arange(600) % 2
        head = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
        head.append(torch.nn.Linear(3, 2))
        net = NetClassifier(head, max_epochs=0, batch_size=8).fit(rows, y)
        # 64 MiB as float32.
        assert net.predict_proba(rows).shape == (600, 2) and rows.most == largest

    def test_bytes_as_floats_are_refused(self):
        source = Shelf(IMAGES.astype(np.float32))
        with pytest.raises(ValueError, match="float images should be near"):
            NetClassifier(max_epochs=1).fit(source, IMAGE_LABELS)

    def test_a_checkpoint_tells_sources_apart(self, tmp_path):
        params = {**SMALL, "checkpoint": tmp_path / "run.ckpt"}
        source = Shelf(TABLE)
        source.fingerprint = "table", 1
        NetClassifier(**params).fit(source, LABELS)
        source.fingerprint = "table", 2
        with pytest.raises(ValueError, match="of another training: rows on disk was"):
            NetClassifier(**params).fit(source, LABELS)

    def test_a_fitted_net_is_saved_without_rows(self, tmp_path):
        net = NetClassifier(**SMALL).fit(Shelf(TABLE), LABELS)
        save(net, tmp_path / "net.sknoisy")
        again = sknoisy.load(tmp_path / "net.sknoisy")
        np.testing.assert_array_equal(again.predict(Shelf(TABLE)), net.predict(TABLE))


class TestChangedRows:
    def test_training_rows_are_changed_and_judged_ones_are_not(self):
        source = Shaking(TABLE)
        net = NetClassifier(**SMALL, augment=None).fit(source, LABELS)
        # One seed a pass, counted up batch by batch.
        seeds = np.array(source.seeds).reshape(2, 4)
        assert (np.diff(seeds, axis=1) == 1).all() and seeds[0, 0] != seeds[1, 0]
        expected = NetClassifier(**SMALL).fit(TABLE, LABELS)
        changed, plain = net.predict_proba(TABLE), expected.predict_proba(TABLE)
        assert np.abs(changed - plain).max() > 1e-3
        np.testing.assert_array_equal(net.predict_proba(source), changed)
        again = NetClassifier(**SMALL, augment=None).fit(Shaking(TABLE), LABELS)
        np.testing.assert_array_equal(again.predict_proba(TABLE), changed)

    def test_given_labels_are_scored_on_judged_rows(self):
        source = Shaking(TABLE)
        net = RobustLossClassifier(**SMALL).fit(source, LABELS)
        # Judged rows are far off, so the scores are not those of the rows themselves.
        judged = net.predict_proba(source.judged())
        own = judged[np.arange(60), np.arange(60) % 3]
        np.testing.assert_allclose(net.noise_scores_, 1 - own, atol=1e-6)
        assert np.abs(judged - net.predict_proba(source)).max() > 0.1

    def test_their_own_changes_take_the_place_of_the_default_ones(self):
        class Images(Shaking):
            def fetch(self, index):
                return Shelf.fetch(self, index)

            def fetch_changed(self, index, seed):
                return self.fetch(index)

            def judged(self):
                return self

        floats = IMAGES.astype(np.float32) / 255
        params = {"max_epochs": 1, "random_state": 0, "batch_size": 8}
        found = NetClassifier(**params).fit(Images(floats), IMAGE_LABELS)
        # A draw of the seed comes between that of the order and those of the network.
        expected = NetClassifier(**params, augment=None)
        expected.fit(Shelf(floats), IMAGE_LABELS)
        proba = [net.predict_proba(floats) for net in (found, expected)]
        np.testing.assert_array_equal(*proba)

    def test_groups_of_rows_are_changed_too(self):
        source = Shaking(TABLE)
        net = DivideMixClassifier(**SMALL, warmup_epochs=1, augment=None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            net.fit(source, LABELS)
        # Two networks, a warm-up epoch of four batches each, then the groups.
        assert len(source.seeds) > 8


class TestHolders:
    def test_cleaning_keeps_rows_on_disk(self):
        source = Shelf(TABLE)
        detector = LossMixtureDetector(NetClassifier(**SMALL), random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kept, labels = clone(detector).fit_resample(source, LABELS)
            expected, same = clone(detector).fit_resample(TABLE, LABELS)
            report = label_report(detector.fit(source, LABELS), source, LABELS)
        np.testing.assert_array_equal(kept.load(), expected)
        np.testing.assert_array_equal(labels, same)
        assert len(report.frame) == 60

    def test_a_classifier_on_cleaned_rows(self):
        net = NetClassifier(**SMALL)
        detector = ConfidentLearningDetector(net, cv=2, random_state=0)
        model = CleanedClassifier(NoisyLabelFilter(detector, keep=50), net)
        found = clone(model).fit(Shelf(TABLE), LABELS).predict_proba(Shelf(TABLE))
        expected = model.fit(TABLE, LABELS).predict_proba(TABLE)
        np.testing.assert_array_equal(found, expected)

    def test_copies_of_rows_are_not_made_in_memory(self):
        params = {"corruption": "copy", "max_epochs": 1, "random_state": 0}
        params |= {"settings": [{"module__hidden": 4, "lr": 0.1}]}
        for copy_view in (None, np.negative):
            detector = DynaCorDetector(**params, copy_view=copy_view)
            found = detector.fit(Shelf(TABLE), LABELS).noise_scores_
            expected = detector.fit(TABLE, LABELS).noise_scores_
            np.testing.assert_array_equal(found, expected)

    def test_a_net_of_skorch(self):
        params = {"module__input_shape": (4,), "module__n_classes": 4}
        params |= {"module__hidden": 4, "max_epochs": 2, "verbose": 0}
        net = NeuralNetClassifier(MLP, criterion=torch.nn.CrossEntropyLoss, **params)
        both = [
            AUMDetector(clone(net), n_runs=2, random_state=0).fit(X, LABELS)
            for X in (Shelf(TABLE), TABLE)
        ]
        np.testing.assert_array_equal(*(found.noise_scores_ for found in both))
