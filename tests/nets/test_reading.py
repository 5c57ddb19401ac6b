import multiprocessing
import os
import threading
import traceback

import numpy as np
import pytest
import torch
from new_process import in_new_process
from row_sources import Shaking, Shelf
from skorch.callbacks import Callback

from sknoisy import NetClassifier
from sknoisy.nets import ArrayDataset, LoaderBatches
from sknoisy.nets._reading import PortionReader, read_ahead

TABLE = np.arange(120, dtype=np.float32).reshape(60, 2)
CODES = np.arange(60) % 3


class Portioned(Shelf):
    """Two batches of eight rows are fetched at a time, or almost three."""

    fetch_bytes = 23 * 8


class Processes(Shelf):
    """The first column is the process that fetched the row."""

    def fetch(self, index):
        rows = super().fetch(index).copy()
        rows[:, 0] = os.getpid() % 2**20
        return rows


def reading_threads():
    return [t for t in threading.enumerate() if t.name == "sknoisy-reading"]


def batches_of(source, **params):
    torch.manual_seed(0)
    data = ArrayDataset(source, CODES)
    return list(LoaderBatches(data, 8, shuffle=True, **params))


@pytest.mark.parametrize("kind", [Shelf, Portioned])
def test_the_batches_are_those_of_a_loader(kind):
    source = kind(TABLE)
    found, expected = batches_of(source), batches_of(TABLE)
    assert len(found) == len(expected) == 8
    for batch, other in zip(found, expected, strict=True):
        assert batch[0].equal(other[0]) and batch[1].equal(other[1])
        assert batch.index.equal(other.index)
    sizes = [len(index) for index in source.fetched]
    assert sizes == ([8] * 7 + [4] if kind is Shelf else [16] * 3 + [12])
    # Without labels, too.
    data = ArrayDataset(kind(TABLE))
    X = torch.cat([batch[0] for batch in LoaderBatches(data, 8)])
    np.testing.assert_array_equal(X, TABLE)


def test_changed_rows_are_fetched_batch_by_batch():
    source = Shaking(TABLE)
    source.fetch_bytes = 2**20
    batches_of(source, training=True)
    assert [len(index) for index in source.fetched] == [8] * 7 + [4]
    assert (np.diff(source.seeds) == 1).all()


@pytest.mark.parametrize("ahead", [True, False])
def test_the_next_batch_is_read_meanwhile(ahead):
    second = threading.Event()

    class Source(Shelf):
        reads_ahead = ahead

        def fetch(self, index):
            rows = super().fetch(index)
            if len(self.fetched) == 2:
                second.set()
            return rows

    source = Source(TABLE)
    batches = iter(LoaderBatches(ArrayDataset(source, CODES), 8))
    next(batches)
    assert second.wait(10 if ahead else 0.01) is ahead
    batches.close()
    assert not reading_threads() and len(source.fetched) == 1 + ahead


def test_results_and_errors_come_in_turn():
    def root(number):
        if number < 0:
            raise ValueError(f"{number} is negative")
        return number**0.5

    assert list(read_ahead(root, [4, 9, 16])) == [2, 3, 4]
    assert list(read_ahead(root, [])) == []
    found = read_ahead(root, iter([4, 9, -1, 16]))
    assert [next(found), next(found)] == [2, 3]
    with pytest.raises(ValueError, match="-1 is negative") as error:
        next(found)
    assert traceback.extract_tb(error.tb)[-1].name == "root"


def test_an_error_of_the_source_reaches_the_caller():
    class Broken(Shelf):
        def fetch(self, index):
            if 41 in index and len(index) > 1:
                raise OSError("the disk is gone")
            return super().fetch(index)

    with pytest.raises(OSError, match="the disk is gone") as error:
        NetClassifier(max_epochs=1, batch_size=8).fit(Broken(TABLE), CODES)
    assert traceback.extract_tb(error.tb)[-1].name == "fetch"
    assert not reading_threads()


class Stop(Callback):
    def __init__(self, error=RuntimeError):
        self.error = error

    def on_batch_end(self, net, training=False, **kwargs):
        if training:
            raise self.error("enough")


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.filterwarnings("ignore")
def test_an_interrupted_fit_leaves_no_thread(error):
    net = NetClassifier(max_epochs=1, batch_size=8, callbacks=[Stop(error)])
    try:
        net.fit(Shelf(TABLE), CODES)
    except (RuntimeError, KeyboardInterrupt):
        # Here the frames of the training are still alive.
        for thread in reading_threads():
            thread.join(10)
        assert not reading_threads()
    assert not reading_threads()


@pytest.mark.slow
@in_new_process
def test_workers_stay_for_all_passes():
    batches = LoaderBatches(ArrayDataset(Processes(TABLE), CODES), 8, num_workers=1)
    found = {int(X[0, 0]) for _ in range(2) for X, _ in batches}
    assert len(found) == 1 and os.getpid() % 2**20 not in found


@pytest.mark.slow
@in_new_process
def test_workers_give_the_same_changes():
    expected = batches_of(Shaking(TABLE), training=True)
    for n in (0, 2):
        found = batches_of(Shaking(TABLE), training=True, num_workers=n)
        for batch, other in zip(found, expected, strict=True):
            assert batch[0].equal(other[0]) and batch.index.equal(other.index)


@pytest.mark.slow
@in_new_process
def test_an_interrupted_fit_leaves_no_worker():
    params = {"iterator_train__num_workers": 1, "callbacks": [Stop()]}
    net = NetClassifier(max_epochs=1, batch_size=8, **params)
    with pytest.raises(RuntimeError, match="enough"):
        net.fit(Shelf(TABLE), CODES)
    assert not multiprocessing.active_children()


@pytest.mark.slow
@in_new_process
def test_a_fit_leaves_no_worker_and_has_the_same_bits():
    params = {"max_epochs": 2, "batch_size": 8, "random_state": 0}
    net = NetClassifier(**params, iterator_train__num_workers=1)
    proba = net.fit(Shelf(TABLE), CODES).predict_proba(TABLE)
    assert not multiprocessing.active_children()
    expected = NetClassifier(**params).fit(TABLE, CODES).predict_proba(TABLE)
    np.testing.assert_array_equal(proba, expected)


def test_a_reader_has_as_many_batches_as_its_order():
    assert len(PortionReader(None, [[1], [2]], 1, True, False)) == 2
