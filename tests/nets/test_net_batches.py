import pickle
from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from new_process import in_new_process
from torch.utils.data import Dataset, Subset

from sknoisy.nets import ArrayDataset, Batch, LoaderBatches, TensorBatches
from sknoisy.nets._batches import LabelledRows
from sknoisy.nets._epoch_rows import batch_bounds

BOTH = pytest.mark.parametrize("iterator", [TensorBatches, LoaderBatches])


class Rows(Dataset):
    def __init__(self, X, y=None):
        self.X, self.y = X, y

    def __len__(self):
        return len(self.X)

    def __getitem__(self, row):
        return self.X[row] if self.y is None else (self.X[row], self.y[row])


@pytest.fixture
def data():
    """Row i is (i, -i), with label i modulo 5."""
    rows = np.arange(23)
    return ArrayDataset(np.stack([rows, -rows], 1).astype(np.float32), rows % 5)


def index_of(batches):
    return [batch.index.tolist() for batch in batches]


class TestBatch:
    def test_it_unpacks_as_a_pair_and_carries_its_rows(self):
        X, y, rows = torch.ones(2, 3), torch.tensor([0, 1]), torch.tensor([7, 4])
        batch = Batch(X, y, rows)
        first, second = batch
        assert first is X and second is y and batch.index is rows
        assert isinstance(batch, tuple) and len(batch) == 2

    def test_it_pickles_with_its_rows(self):
        batch = Batch(torch.ones(2, 3), torch.tensor([0, 1]), torch.tensor([7, 4]))
        again = pickle.loads(pickle.dumps(batch))
        assert type(again) is Batch and len(again) == 2
        assert torch.equal(again[0], batch[0]) and torch.equal(again[1], batch[1])
        assert again.index.tolist() == [7, 4]


class TestBounds:
    @settings(deadline=None)
    @given(
        n_rows=st.integers(1, 300), batch_size=st.integers(1, 64), drop=st.booleans()
    )
    def test_they_partition_the_rows(self, n_rows, batch_size, drop):
        bounds = batch_bounds(n_rows, batch_size, drop)
        sizes = [stop - start for start, stop in bounds]
        covered = [row for start, stop in bounds for row in range(start, stop)]
        assert covered == list(range(len(covered)))
        assert all(size == batch_size for size in sizes[:-1])
        if drop and n_rows >= batch_size:
            assert len(covered) == n_rows - n_rows % batch_size
            assert sizes[-1] == batch_size
        else:
            assert len(covered) == n_rows
            assert 1 <= sizes[-1] <= batch_size + 1
        if batch_size > 1 and n_rows > 1:
            assert min(sizes) > 1

    def test_a_remainder_of_one_joins_the_batch_before(self):
        assert batch_bounds(9, 4, False) == [(0, 4), (4, 9)]
        assert batch_bounds(5, 4, False) == [(0, 5)]
        assert batch_bounds(10, 4, False) == [(0, 4), (4, 8), (8, 10)]

    def test_drop_last_keeps_an_only_batch(self):
        assert batch_bounds(3, 4, True) == [(0, 3)]
        assert batch_bounds(5, 4, True) == [(0, 4)]
        assert batch_bounds(8, 4, True) == [(0, 4), (4, 8)]

    @BOTH
    @pytest.mark.parametrize("size", [0, -3])
    def test_batches_hold_at_least_one_row(self, iterator, data, size):
        with pytest.raises(ValueError, match=f"batch_size .* at least 1; got {size}"):
            iterator(data, batch_size=size)


class TestArrayDataset:
    def test_lengths_must_agree(self):
        with pytest.raises(ValueError, match="3 rows but 2 labels"):
            ArrayDataset(np.zeros((3, 1), np.float32), np.zeros(2, np.int64))

    def test_items_and_length(self, data):
        X, y = data[7]
        assert X.tolist() == [7, -7] and y == 2 and len(data) == 23
        assert ArrayDataset(data.features)[3][1] == 0

    def test_fetch_from_an_array_and_from_datasets(self, data):
        for features in (
            data.features,
            Rows(data.features),
            Rows(data.features, data.codes),
        ):
            X, y, rows = ArrayDataset(features, data.codes).fetch([4, 1])
            assert X.tolist() == [[4, -4], [1, -1]] and X.dtype == torch.float32
            assert y.tolist() == [4, 1] and rows.tolist() == [4, 1]
        assert ArrayDataset(data.features).fetch([4])[1] is None


@pytest.mark.slow
@in_new_process
def test_loader_workers_give_the_same_batches(data):
    found = []
    for params in ({}, {"num_workers": 1}):
        torch.manual_seed(3)
        batches = LoaderBatches(data, batch_size=8, shuffle=True, **params)
        found.append(index_of(batches))
    assert found[0] == found[1]


class TestIterators:
    @BOTH
    def test_rows_in_order_without_shuffle(self, iterator, data):
        batches = list(iterator(data, batch_size=8))
        assert index_of(batches) == [
            list(range(8)),
            list(range(8, 16)),
            list(range(16, 23)),
        ]
        for X, y in batches:
            assert X[:, 1].equal(-X[:, 0]) and y.equal(X[:, 0].long() % 5)

    @BOTH
    def test_every_row_once_per_epoch_in_a_new_order(self, iterator, data):
        torch.manual_seed(0)
        batches = iterator(data, batch_size=4, shuffle=True)
        epochs = [list(batches) for _ in range(3)]
        orders = [list(chain.from_iterable(index_of(epoch))) for epoch in epochs]
        for epoch, order in zip(epochs, orders, strict=True):
            assert sorted(order) == list(range(23))
            assert len(epoch) == len(batches) == 6
            for batch in epoch:
                X, y = batch
                assert isinstance(batch, Batch)
                assert X[:, 0].long().equal(batch.index)
                assert y.equal(batch.index % 5)
        assert orders[0] != orders[1] != orders[2]

    def test_both_iterators_give_the_same_batches_for_the_same_seed(self, data):
        given = []
        for iterator in (TensorBatches, LoaderBatches):
            torch.manual_seed(3)
            batches = iterator(data, batch_size=4, shuffle=True)
            given.append([index_of(batches), index_of(batches), torch.rand(1).item()])
        assert given[0] == given[1]

    @BOTH
    def test_a_pass_in_order_draws_no_random_number(self, iterator, data):
        before = torch.random.get_rng_state()
        list(iterator(data, batch_size=4))
        assert torch.equal(torch.random.get_rng_state(), before)

    @BOTH
    def test_no_labels(self, iterator, data):
        for X, y in iterator(ArrayDataset(data.features), batch_size=8):
            assert y is None and len(X) > 1

    @BOTH
    @pytest.mark.parametrize("shuffle", [False, True])
    def test_nested_subsets_keep_the_row_numbers_of_the_base(
        self, iterator, data, shuffle
    ):
        outer = Subset(data, [20, 3, 9, 11, 5, 0])
        inner = Subset(outer, [4, 1, 1, 0])
        batches = list(iterator(inner, batch_size=2, shuffle=shuffle))
        rows = list(chain.from_iterable(index_of(batches)))
        assert sorted(rows) == [3, 3, 5, 20]
        if not shuffle:
            assert rows == [5, 3, 3, 20]
        for X, y in batches:
            assert y.equal(X[:, 0].long() % 5)
        for batch in batches:
            assert batch[0][:, 0].long().equal(batch.index)

    @BOTH
    def test_drop_last(self, iterator, data):
        batches = iterator(data, batch_size=8, drop_last=True)
        assert len(batches) == 2
        assert list(chain.from_iterable(index_of(batches))) == list(range(16))
        only = iterator(Subset(data, [1, 2]), batch_size=8, drop_last=True)
        assert index_of(only) == [[1, 2]]

    @BOTH
    def test_uint8_becomes_float_in_each_batch(self, iterator):
        X = np.arange(0, 240, 20, dtype=np.uint8).reshape(3, 1, 2, 2)
        data = ArrayDataset(X, np.array([0, 1, 0]))
        for shuffle in (False, True):
            batches = iterator(data, batch_size=2, shuffle=shuffle)
            for batch in batches:
                assert batch[0].dtype == torch.float32
                expected = X[batch.index.numpy()] / 255
                np.testing.assert_allclose(batch[0].numpy(), expected, rtol=1e-6)
        np.testing.assert_array_equal(X, np.arange(0, 240, 20).reshape(3, 1, 2, 2))

    def test_uint8_stays_uint8_in_memory(self):
        data = ArrayDataset(np.zeros((3, 1, 2, 2), np.uint8))
        assert TensorBatches(data).X.dtype == torch.uint8

    @BOTH
    @pytest.mark.parametrize("shape", [(3, 2, 4, 4), (3, 5)])
    def test_only_images_are_laid_out_channels_last(self, iterator, shape):
        rows = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
        for form in ("contiguous", "channels_last"):
            (batch,) = iterator(ArrayDataset(rows), memory_format=form)
            np.testing.assert_array_equal(batch[0].numpy(), rows)
            is_last = form == "channels_last" and rows.ndim == 4
            assert batch[0].is_contiguous() == (not is_last)

    def test_labelled_rows_have_features_codes_and_labels(self, data):
        classes = np.array(["a", "b", "c", "d", "e"])
        rows = LabelledRows(data.features, data.codes, classes)
        assert rows.X is data.features and len(rows) == 23
        assert rows.y.tolist() == [classes[i % 5] for i in range(23)]
        (batch,) = TensorBatches(rows)
        np.testing.assert_array_equal(batch[1].numpy(), data.codes)

    @BOTH
    def test_read_only_and_reversed_arrays_are_taken(self, iterator, data):
        X, y = data.features[::-1], data.codes[::-1]
        X.flags.writeable = y.flags.writeable = False
        (batch,) = iterator(ArrayDataset(X, y), batch_size=64)
        np.testing.assert_array_equal(batch[0].numpy(), X)
        np.testing.assert_array_equal(batch[1].numpy(), y)

    @BOTH
    def test_memory_maps_are_taken(self, iterator, data, tmp_path):
        np.save(tmp_path / "X.npy", data.features)
        X = np.load(tmp_path / "X.npy", mmap_mode="r")
        assert isinstance(X, np.memmap)
        for batch in iterator(ArrayDataset(X, data.codes), batch_size=8, shuffle=True):
            assert batch[0][:, 0].long().equal(batch.index)

    def test_tensors_refuse_what_is_not_in_memory(self, data):
        on_disk = ArrayDataset(Rows(data.features), data.codes)
        with pytest.raises(TypeError, match="Rows set iterator_train=LoaderBatches"):
            TensorBatches(on_disk)
        with pytest.raises(TypeError, match="Rows set iterator_train=LoaderBatches"):
            TensorBatches(Rows(data.features))

    @pytest.mark.parametrize("with_label", [False, True])
    def test_loader_reads_torch_datasets(self, data, with_label):
        rows = Rows(data.features, data.codes if with_label else None)
        batches = LoaderBatches(ArrayDataset(rows, data.codes), 8, shuffle=True)
        for batch in batches:
            assert batch[0][:, 0].long().equal(batch.index)
            assert batch[1].equal(batch.index % 5)

    def test_loader_hands_its_parameters_to_torch(self, data):
        assert LoaderBatches(data, timeout=0, pin_memory=False).loader.timeout == 0
        generator = torch.Generator()
        loader = LoaderBatches(data, generator=generator).loader
        assert loader.generator is generator
        with pytest.raises(TypeError, match="num_wokers"):
            LoaderBatches(data, num_wokers=1)

    @pytest.mark.gpu
    @BOTH
    def test_batches_lie_on_the_device(self, iterator, data):
        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA device")
        given = []
        for device in ("cpu", "cuda"):
            torch.manual_seed(3)
            batches = list(iterator(data, 8, shuffle=True, device=device))
            assert all(batch[0].device.type == device for batch in batches)
            assert all(batch.index.device.type == device for batch in batches)
            given.append(index_of(batches))
        assert given[0] == given[1]
