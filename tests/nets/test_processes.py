"""Two processes that train one net have the same weights, and judge all rows alike."""

import multiprocessing
import os
import pickle
import random
import re
import shutil
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import joblib
import numpy as np
import one_of_two
import pytest
from one_of_two import HELD_OUT, LEARNT, METHODS, N_KILLED, N_TRAIN, make
from sklearn.base import clone

from sknoisy import NALClassifier, NetClassifier
from sknoisy._planting._jobs import Jobs
from sknoisy.nets import _processes
from sknoisy.nets._batches import ArrayDataset, TensorBatches
from sknoisy.nets._epoch_rows import EpochRows
from sknoisy.nets._processes import Processes, joined

SECONDS = 240


def free_port():
    """Return a port that the system gives to no connection before it is used."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
        first = int(file.read().split()[0])
    for port in random.SystemRandom().sample(range(first // 2, first), 100):
        with socket.socket() as one, suppress(OSError):
            one.bind(("localhost", port))
            return port
    raise OSError("no port is free")


def launch(job, folder):
    """Run a job in two processes; return exit codes and what was printed."""
    port = str(free_port())
    script = Path(one_of_two.__file__)
    path = os.pathsep.join([str(script.parents[1]), *sys.path])
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": port}
    shared |= {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    two = [
        subprocess.Popen(
            [sys.executable, script, job, folder],
            env={**os.environ, **shared, "RANK": str(number)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    try:
        printed = [process.communicate(timeout=SECONDS) for process in two]
    finally:
        for process in two:
            process.kill()
    return [process.returncode for process in two], printed


def results(job, folder, number):
    with open(folder / f"{job}-{number}.pickle", "rb") as file:
        return pickle.load(file)


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


class OneOfSeveral(Processes):
    """One of several processes that do not exchange anything."""

    def __init__(self, number, count):
        self.number, self.count = number, count

    def of_first(self, tensor):
        return tensor


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("processes")


@pytest.fixture(scope="module")
def killed(folder):
    codes, printed = launch("killed", folder)
    assert codes == [0, -9], printed
    shutil.copy(folder / "checkpoint", folder / "of two")
    return results("killed", folder, 0)


@pytest.fixture(scope="module")
def both(folder, killed):
    codes, printed = launch("all", folder)
    assert codes == [0, 0], printed
    return [results("all", folder, number) for number in range(2)], printed


@pytest.mark.slow
def test_a_killed_process_ends_the_other_with_an_error(killed, folder):
    assert "another process of this training has ended" in killed
    assert (folder / "checkpoint").exists()


@pytest.mark.slow
def test_both_have_the_same_bits(both):
    (one, other), _ = both
    assert one["methods"].keys() == other["methods"].keys()
    for name, (state, accuracy) in one["methods"].items():
        assert_same(state, other["methods"][name][0])
        assert accuracy == other["methods"][name][1]
    for name, state in one["details"].items():
        if name != "rows read":
            assert_same(state, other["details"][name])


@pytest.mark.slow
def test_dynamics_are_known_of_all_rows(both):
    for name, (state, _) in both[0][0]["methods"].items():
        if not name.endswith("images"):
            assert np.isfinite(state["dynamics"][:, 0]).all()


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_held_out_rows_are_predicted_as_well(both, method):
    alone = make(method).fit(*LEARNT).score(*HELD_OUT)
    # Over ten seeds one process has a spread of 0.027 at most (NALClassifier).
    together = both[0][0]["methods"][method.__name__][1]
    assert together == pytest.approx(alone, abs=0.06)


@pytest.mark.slow
def test_without_random_steps_two_compute_what_one_does(both):
    found = both[0][0]["details"]
    weight = {"sample_weight": np.linspace(0, 2, N_TRAIN)}
    weighted = {"criterion__reduction": "none"}
    for name, params, args in (
        ("plain", {}, {}),
        ("row source", {}, {}),
        ("weighted", weighted, weight),
    ):
        alone = one_of_two.without_dropout(**params).fit(*LEARNT, **args)
        expected = one_of_two.state_of(alone)
        assert found[name].keys() == expected.keys()
        for key, value in expected.items():
            np.testing.assert_allclose(found[name][key], value, 1e-3, 2e-5)


@pytest.mark.slow
def test_each_reads_its_share_of_a_row_source(both):
    read = [found["details"]["rows read"] for found in both[0]]
    # Three epochs of half of the rows, and some that are looked at before.
    assert max(read) < 3 * N_TRAIN / 2 + 100
    assert min(read) > 3 * N_TRAIN // 2


@pytest.mark.slow
def test_a_checkpoint_resumes_with_the_same_bits(both):
    found = both[0][0]["details"]
    assert_same(found["resumed"], found["whole"])


@pytest.mark.slow
def test_one_process_goes_on_where_two_were_stopped(both, folder):
    alone = make(NALClassifier, max_epochs=5, checkpoint=folder / "of two")
    losses = alone.fit(*LEARNT).history[:, "train_loss"]
    expected = both[0][0]["details"]["whole"]["losses"]
    assert losses[: N_KILLED - 1] == expected[: N_KILLED - 1].tolist()
    np.testing.assert_allclose(losses, expected, rtol=0.05)


@pytest.mark.slow
def test_only_the_first_prints(both):
    (first, _), (other, _) = both[1]
    assert first.count("train_loss") == 1
    assert other == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("other rows", "RuntimeError: the processes differ in checksum of X"),
        ("other parameters", "the processes differ in alpha: 0.5 in process 0"),
        ("few rows", "ValueError: batch_size=3 rows are shared by 2 processes"),
        ("loader", "TypeError: .*but iterator_train=DataLoader yields all of it"),
        ("split", "differ in the rows of train_split.* random_state"),
        ("settings", "ValueError: .*shared by processes.*random_state to an int"),
        ("stop", "differ in the epoch: 2 in process 0, 'none after 1' in proc"),
        ("no stop", "none"),
    ],
)
def test_what_cannot_be_done_is_refused_in_both(both, name, message):
    for found in both[0]:
        assert re.search(message, found["refused"][name])


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("n_rows", [10, 33, 41, 64])
def test_shares_are_a_partition_of_each_batch(count, n_rows):
    whole = EpochRows(n_rows, None, 16, True, False, False, None)
    shares = [
        EpochRows(
            n_rows, None, 16, True, False, False, None, OneOfSeveral(number, count)
        ).bounds
        for number in range(count)
    ]
    assert len({len(bounds) for bounds in shares}) == 1
    # A last batch that is too small for all of them is part of the one before it.
    assert 0 <= len(whole.bounds) - len(shares[0]) <= 1
    stop = 0
    for batch in zip(*shares, strict=True):
        for start, end in batch:
            assert (start, end - start >= 2) == (stop, True)
            stop = end
    assert stop == n_rows


def test_too_few_rows_are_learnt_by_all():
    rows = [
        EpochRows(3, None, 16, True, False, False, None, OneOfSeveral(i, 2))
        for i in (0, 1)
    ]
    assert [own.bounds for own in rows] == [[(0, 3)]] * 2


def test_batches_have_the_share_of_a_process(table):
    data = ArrayDataset(*table)
    batches = TensorBatches(data, batch_size=20, processes=OneOfSeveral(1, 2))
    assert [batch.index.tolist() for batch in batches] == [
        list(range(10, 20)),
        list(range(30, 40)),
        [42, 43, 44],
    ]


def test_alone_nothing_changes(table):
    alone = NALClassifier(max_epochs=3, random_state=0).fit(*table)
    asked = NALClassifier(max_epochs=3, random_state=0, distributed=True).fit(*table)
    assert_same(one_of_two.state_of(asked), one_of_two.state_of(alone))
    assert clone(asked).distributed and pickle.loads(pickle.dumps(asked)).distributed


def test_networks_that_race_are_trained_one_after_the_other(monkeypatch):
    monkeypatch.setattr(_processes, "_are_several", lambda: True)
    monkeypatch.setattr(_processes, "Processes", lambda: OneOfSeveral(0, 2))
    with joblib.parallel_config(n_jobs=2):
        with joined(NetClassifier(distributed=True)):
            assert Jobs().n == 1
        with joined(NetClassifier()):
            assert Jobs().n == 2


def test_it_is_true_or_false(table):
    with pytest.raises(ValueError, match=r"'distributed' parameter.*bool"):
        NetClassifier(distributed="auto").fit(*table)


def test_a_worker_of_a_process_is_refused(table, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    worker = type("Worker", (), {"name": "LokyProcess-1"})
    monkeypatch.setattr(multiprocessing, "current_process", worker)
    with pytest.raises(RuntimeError, match=r"LokyProcess-1 is a worker.*n_jobs=1"):
        NetClassifier(distributed=True).fit(*table)
    with joined(NetClassifier()):
        pass
