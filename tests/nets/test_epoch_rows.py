"""Balanced epochs, and epochs of a number of batches."""

import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from row_sources import Shelf
from torch.utils.data import Subset

from sknoisy import (
    AUMDetector,
    DivideMixClassifier,
    ELRPlusClassifier,
    FlywheelClassifier,
    NALClassifier,
    NetClassifier,
    SSRClassifier,
)
from sknoisy.nets import ArrayDataset, LoaderBatches, TensorBatches
from sknoisy.nets._epoch_rows import EpochRows

BOTH = pytest.mark.parametrize("iterator", [TensorBatches, LoaderBatches])
RNG = np.random.default_rng(0)
CODES = RNG.permutation(np.repeat([0, 1, 2], [70, 20, 10]))
X = (RNG.normal(size=(100, 3)) + CODES[:, None]).astype(np.float32)
DATA = ArrayDataset(X, CODES)
SMALL = {"module__hidden": 4, "max_epochs": 2, "batch_size": 10, "random_state": 0}
DRAWS = {"iterator_train__balance": True, "iterator_train__batches_per_epoch": 3}


def published_counts(codes, wanted, seed):
    """Count the rows of each class as the published loaders draw them.

    All rows are shuffled; one is taken while its class has fewer than an equal share,
    a float, and while there are fewer rows than wanted.
    """
    n_classes = len(set(codes.tolist()))
    order = list(range(len(codes)))
    random.Random(seed).shuffle(order)
    counts = dict.fromkeys(codes.tolist(), 0)
    for row in order:
        code = int(codes[row])
        if counts[code] < wanted / n_classes and sum(counts.values()) < wanted:
            counts[code] += 1
    return counts


def epoch(batches):
    made = list(batches)
    return torch.cat([batch.index for batch in made]).numpy(), made


@given(
    counts=st.lists(st.integers(1, 30), min_size=1, max_size=5),
    batch_size=st.integers(1, 9),
    n_batches=st.integers(1, 12),
    seed=st.integers(0, 5),
)
def test_a_draw_has_as_many_rows_as_the_published_one(
    counts, batch_size, n_batches, seed
):
    codes = np.repeat(np.arange(len(counts)) * 2, counts)
    torch.manual_seed(seed)
    rows = EpochRows(len(codes), codes, batch_size, True, False, True, n_batches)
    order = rows.draw().numpy()
    assert len(set(order.tolist())) == len(order) == rows.n_drawn
    wanted = batch_size * n_batches
    expected = published_counts(codes, wanted, seed)
    found = {code: int((codes[order] == code).sum()) for code in expected}
    assert sum(found.values()) == sum(expected.values())
    quota = -(-wanted // len(counts))
    for code, n in zip(expected, counts, strict=True):
        # Which class is one or more short at the end is up to the order.
        assert min(n, quota) - len(counts) < found[code] <= min(n, quota)


@BOTH
class TestBatches:
    def test_classes_are_balanced_and_rows_keep_their_numbers(self, iterator):
        torch.manual_seed(0)
        batches = iterator(DATA, 10, shuffle=True, balance=True, batches_per_epoch=3)
        assert len(batches) == 3
        orders = []
        for _ in range(4):
            index, made = epoch(batches)
            orders.append(index)
            assert len(set(index)) == 30
            np.testing.assert_array_equal(np.bincount(CODES[index]), 10)
            for batch in made:
                features, y = batch
                np.testing.assert_array_equal(features, X[batch.index])
                np.testing.assert_array_equal(y, CODES[batch.index])
        assert len({tuple(sorted(order)) for order in orders}) == 4
        # All ten rows of the rarest class are in each epoch, and not at its end.
        places = [np.flatnonzero(CODES[order] == 2).mean() for order in orders]
        assert 8 < np.mean(places) < 21

    def test_without_a_number_all_classes_are_as_the_smallest(self, iterator):
        batches = iterator(DATA, 8, shuffle=True, balance=True)
        index, made = epoch(batches)
        np.testing.assert_array_equal(np.bincount(CODES[index]), 10)
        assert [len(batch.index) for batch in made] == [8, 8, 8, 6]
        dropped = iterator(DATA, 8, shuffle=True, balance=True, drop_last=True)
        assert len(dropped) == 3

    def test_a_number_alone_leaves_classes_as_they_are(self, iterator):
        torch.manual_seed(0)
        batches = iterator(DATA, 10, shuffle=True, batches_per_epoch=5)
        counts = np.zeros(3)
        for _ in range(60):
            index, _ = epoch(batches)
            assert len(set(index)) == 50
            counts += np.bincount(CODES[index], minlength=3)
        np.testing.assert_allclose(counts / 3000, [0.7, 0.2, 0.1], atol=0.03)
        whole = iterator(DATA, 10, shuffle=True, batches_per_epoch=50)
        torch.manual_seed(3)
        found, _ = epoch(whole)
        torch.manual_seed(3)
        np.testing.assert_array_equal(found, epoch(iterator(DATA, 10, shuffle=True))[0])

    def test_of_a_subset_its_own_rows_are_drawn(self, iterator):
        rows = np.flatnonzero(np.arange(100) % 3 > 0)
        batches = iterator(Subset(DATA, rows), 4, shuffle=True, balance=True)
        index, _ = epoch(batches)
        smallest = np.bincount(CODES[rows]).min()
        assert set(index) <= set(rows)
        np.testing.assert_array_equal(np.bincount(CODES[index]), smallest)

    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ({"balance": 1}, "balance must be True or False; got 1"),
            ({"batches_per_epoch": 0}, "batches_per_epoch must be at least 1; got 0"),
            ({"batches_per_epoch": 2.5}, "batches_per_epoch must be an integer"),
            (
                {"balance": True, "shuffle": False},
                "balance would leave the same rows out of each pass",
            ),
            (
                {"balance": True, "batches_per_epoch": 2, "shuffle": False},
                "balance and batches_per_epoch would leave",
            ),
        ],
    )
    def test_wrong_arguments(self, iterator, params, message):
        with pytest.raises((TypeError, ValueError), match=message):
            iterator(DATA, 10, **{"shuffle": True, **params})
        with pytest.raises(ValueError, match="balance=True needs label codes"):
            iterator(ArrayDataset(X), 10, shuffle=True, balance=True)


def test_both_iterators_draw_the_same():
    drawn = []
    for iterator in (TensorBatches, LoaderBatches):
        torch.manual_seed(5)
        batches = iterator(DATA, 7, shuffle=True, balance=True, batches_per_epoch=4)
        drawn.append([epoch(batches)[0].tolist() for _ in range(2)])
    assert drawn[0] == drawn[1]


class TestTraining:
    def test_an_epoch_has_that_many_batches(self):
        net = NetClassifier(**SMALL, **DRAWS).fit(X, CODES)
        assert [len(row["batches"]) for row in net.history] == [3, 3]
        assert net.predict_proba(X).shape == (100, 3)

    def test_epochs_are_drawn_from_the_seed(self):
        one = NetClassifier(**SMALL, **DRAWS, lr_schedule=None).fit(X, CODES)
        other = NetClassifier(**{**SMALL, "max_epochs": 1}, **DRAWS, lr_schedule=None)
        other.partial_fit(X, CODES).partial_fit(X, CODES)
        np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))
        on_disk = NetClassifier(**SMALL, **DRAWS, lr_schedule=None)
        proba = on_disk.fit(Shelf(X), CODES).predict_proba(X)
        np.testing.assert_array_equal(one.predict_proba(X), proba)

    def test_balanced_epochs_find_the_rare_class(self):
        rng = np.random.default_rng(1)
        y = np.repeat([0, 1], [950, 50])
        rows = rng.normal(size=(1000, 2)).astype(np.float32) + 1.2 * y[:, None]
        params = {**SMALL, "max_epochs": 10, "batch_size": 20}
        plain = NetClassifier(**params).fit(rows, y)
        balanced = NetClassifier(**params, iterator_train__balance=True).fit(rows, y)
        recall = [(net.predict(rows[y == 1]) == 1).mean() for net in (plain, balanced)]
        assert recall[0] < 0.5 and recall[1] > 0.7

    @pytest.mark.filterwarnings("ignore")
    @pytest.mark.parametrize(
        ("kind", "params"),
        [
            (FlywheelClassifier, {"warmup_epochs": 1}),
            (DivideMixClassifier, {"warmup_epochs": 1}),
            (SSRClassifier, {}),
            (NALClassifier, {}),
            (ELRPlusClassifier, {}),
        ],
        ids=lambda value: getattr(value, "__name__", ""),
    )
    def test_robust_classifiers_judge_all_rows(self, kind, params):
        clf = kind(**{**SMALL, "max_epochs": 3}, **params, **DRAWS).fit(X, CODES)
        assert clf.noise_scores_.shape == (100,)
        assert np.isfinite(clf.noise_scores_).all()
        again = kind(**{**SMALL, "max_epochs": 3}, **params, **DRAWS).fit(X, CODES)
        np.testing.assert_array_equal(clf.noise_scores_, again.noise_scores_)

    def test_schedules_count_the_batches_there_are(self):
        nal = NALClassifier(**SMALL, **DRAWS).fit(X, CODES)
        assert nal.n_updates_ == 2 * 3
        assert NALClassifier(**SMALL).fit(X, CODES).n_updates_ == 2 * 10

    @pytest.mark.filterwarnings("ignore")
    def test_dynamics_of_rows_that_an_epoch_leaves_out(self):
        net = NetClassifier(**{**SMALL, "max_epochs": 4}, **DRAWS)
        found = AUMDetector(net, n_runs=2, random_state=0).fit(X, CODES)
        assert np.isfinite(found.noise_scores_).all()

    @pytest.mark.parametrize("name", ["balance", "batches_per_epoch"])
    def test_rows_to_be_scored_are_not_drawn(self, name):
        net = NetClassifier(**SMALL, **{f"iterator_valid__{name}": True})
        with pytest.raises(ValueError, match=f"set iterator_train__{name}"):
            net.fit(X, CODES)
