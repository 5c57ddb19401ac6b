"""Trainings in other processes: the same results, errors and order as without."""

import os
import pickle
import signal
import time
from contextlib import closing
from functools import partial

import joblib
import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_digits
from skorch.callbacks import Callback

from sknoisy import (
    AUMDetector,
    DynaCorDetector,
    SmallLossDetector,
    SymmetricNoiseInjector,
)
from sknoisy._interruption import interruptions, needs_whole
from sknoisy._planting._fits import as_one_of_several, competes
from sknoisy._planting._jobs import Jobs, result_of
from sknoisy._planting._race import Candidate, race, race_then_repeat
from sknoisy._progress import progress
from sknoisy.base import TrainingInterrupted
from sknoisy.nets._device import isolated_rng

FAST = {"max_epochs": 3, "module__hidden": 16, "random_state": 0}
CPU = torch.device("cpu")


class Counts(Callback):
    """Counts epochs, where the user can read it afterwards."""

    n_epochs = 0

    def on_epoch_end(self, net, **kwargs):
        self.n_epochs += 1


DETECTORS = {
    "DynaCor": DynaCorDetector(callbacks=[Counts()], **FAST),
    "DynaCor on a part": DynaCorDetector(max_rows=100, n_runs=3, **FAST),
    "DynaCor, the paper's": DynaCorDetector(
        decision="cluster", encoder_epochs=1, n_runs=2, settings=[{}], **FAST
    ),
    "AUM": AUMDetector(callbacks=[Counts()], **FAST),
    "SmallLoss": SmallLossDetector(callbacks=[Counts()], **FAST),
}


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    injector = SymmetricNoiseInjector(0.2, random_state=0)
    return injector.fit_resample(X[:300] / 16, y[:300])


@pytest.fixture(scope="module")
def one_thread():
    """Workers start with as many threads as there are cores, or as OMP_NUM_THREADS."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def with_callback(detector):
    return bool(getattr(detector, "callbacks", None))


def assert_equal_fits(one, two):
    """Compare what two detectors learnt, down to the networks and what they saw."""
    found, expected = vars(two), vars(one)
    assert found.keys() == expected.keys()
    compared = 0
    for name, value in expected.items():
        if isinstance(value, np.ndarray):
            assert_array_equal(found[name], value, err_msg=name)
            compared += 1
    assert compared > 5
    nets = one.net_, two.net_
    weights = [net.module_.state_dict() for net in nets]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    losses = [[row["train_loss"] for row in net.history] for net in nets]
    assert losses[0] == losses[1] and len(losses[0]) == 3
    names = [[name for name, _ in net.callbacks_] for net in nets]
    assert names[0] == names[1]
    assert nets[0].get_params(deep=False).keys() == nets[1].get_params(False).keys()
    assert nets[0].verbose == nets[1].verbose


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", list(DETECTORS))
def test_two_processes_give_the_bits_of_one(digits, name):
    one = clone(DETECTORS[name]).fit(*digits)
    two = clone(DETECTORS[name]).set_params(n_jobs=2).fit(*digits)
    assert_equal_fits(one, two)
    if with_callback(two):
        (watched,) = [c for _, c in two.net_.callbacks_ if isinstance(c, Counts)]
        assert watched.n_epochs % 3 == 0 and watched.n_epochs


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", ["DynaCor on a part", "AUM"])
def test_threads_give_the_bits_of_one(digits, name):
    one = clone(DETECTORS[name]).fit(*digits)
    with joblib.parallel_config("threading", n_jobs=2):
        two = clone(DETECTORS[name]).fit(*digits)
    assert_equal_fits(one, two)


@pytest.fixture(scope="module")
def two_jobs():
    with Jobs(2) as jobs:
        yield jobs


def process_of(number):
    time.sleep(0.2)
    return number, os.getpid()


@pytest.mark.slow
def test_results_come_in_order_from_other_processes(two_jobs):
    results = list(two_jobs.results([(process_of, number) for number in range(4)]))
    assert [number for number, _ in results] == [0, 1, 2, 3]
    assert os.getpid() not in {process for _, process in results}
    assert [number for number, _ in Jobs().results([(process_of, 1)])] == [1]


@pytest.mark.parametrize(
    "n_jobs", [None, pytest.param(2, marks=pytest.mark.slow)], ids=str
)
def test_what_diverges_is_a_result_and_other_errors_are_raised(n_jobs):
    tasks = [(divmod, 7, 2), (diverging,), (failing, "late"), (divmod, 9, 2)]
    with Jobs(n_jobs) as jobs:
        seen = []
        with pytest.raises(KeyError, match="late"):
            with closing(jobs.results(tasks)) as results:
                for result in results:
                    seen.append(result)
        assert seen[0] == (3, 1) and len(seen) == 2
        with pytest.raises(FloatingPointError, match="loss is nan"):
            result_of(seen[1])
        assert result_of(seen[0]) is seen[0]
        # It works on afterwards.
        assert list(jobs.results(tasks[:1] * 2)) == [(3, 1)] * 2


def diverging():
    raise FloatingPointError("loss is nan")


def failing(word):
    raise KeyError(word)


@pytest.mark.slow
def test_an_error_says_where_it_was_raised(two_jobs):
    with pytest.raises(KeyError) as caught:
        list(two_jobs.results([(failing, "here")] * 2))
    assert "in failing" in caught.value.__notes__[0]


def state():
    return torch.get_num_threads(), needs_whole(), competes()


@pytest.mark.slow
def test_workers_have_the_threads_and_the_manners_of_the_caller(two_jobs):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert list(two_jobs.results([(state,)] * 2)) == [(3, False, False)] * 2
        torch.set_num_threads(1)
        with interruptions("raise"):
            assert list(two_jobs.results([(state,)] * 2)) == [(1, True, False)] * 2
        with as_one_of_several():
            assert list(two_jobs.results([(state,)] * 2)) == [(1, True, True)] * 2
    finally:
        torch.set_num_threads(before)


def kind_of(X):
    return X.filename, type(X), X.flags.writeable, float(X.sum())


@pytest.mark.slow
def test_large_arrays_are_mapped_once_and_need_no_copy(two_jobs):
    X = np.ones((400_000, 1), dtype=np.float32)
    tasks = [(kind_of, X)] * 2
    found = {*two_jobs.results(tasks), *two_jobs.results(tasks)}
    ((_, *how),) = found
    assert how == [np.memmap, True, 4e5]


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_what_comes_back_has_not_the_rows():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(1000, 500)).astype(np.float32), rng.integers(3, size=1000)
    sizes = [
        len(pickle.dumps(AUMDetector(n_jobs=n_jobs, **FAST).fit(X, y).net_))
        for n_jobs in (1, 2)
    ]
    assert abs(sizes[0] - sizes[1]) < 1000 and max(sizes) < X.nbytes / 5


def bar_in_worker():
    with progress(3, "Inner", verbose=1) as bar:
        bar.advance(3)


@pytest.mark.slow
def test_workers_show_no_bar_of_their_own(two_jobs, capfd):
    list(two_jobs.results([(bar_in_worker,)] * 2))
    assert "Inner" not in capfd.readouterr().err


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_the_bar_counts_the_trainings_of_all_workers(digits, capsys):
    detector = DynaCorDetector(n_jobs=2, n_runs=2, verbose=2, settings=[{}], **FAST)
    detector.fit(*digits)
    *lines, last = capsys.readouterr().err.splitlines()
    assert [line[:12] for line in lines if line.startswith("round")] == [
        "round 1 of 2",
        "round 2 of 2",
    ]
    assert last.startswith("DynaCorDetector: 100%, training 2/2")


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_all_that_diverge_end_the_fit(digits):
    detector = DynaCorDetector(n_jobs=2, lr=1e20, random_state=0)
    with pytest.raises(FloatingPointError, match="diverged"):
        detector.fit(*digits)


class Press(Callback):
    """Presses Ctrl-C, once, while the first training runs in a worker."""

    def __init__(self, process, mark):
        self.process, self.mark = process, mark

    def on_epoch_begin(self, net, **kwargs):
        assert os.getpid() != self.process
        try:
            self.mark.touch(exist_ok=False)
        except FileExistsError:
            return
        os.kill(self.process, signal.SIGINT)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("detector", [DynaCorDetector, AUMDetector])
def test_ctrl_c_while_workers_train(digits, tmp_path, detector):
    press = Press(os.getpid(), tmp_path / "pressed")
    long = FAST | {"max_epochs": 2000}
    with pytest.raises(TrainingInterrupted, match="before every row had"):
        detector(callbacks=[press], n_jobs=2, **long).fit(*digits)
    # New workers take the place of those that were stopped.
    one, two = (detector(n_jobs=n, **FAST).fit(*digits) for n in (1, 2))
    assert_array_equal(one.noise_scores_, two.noise_scores_)


@pytest.mark.slow
def test_what_cannot_be_pickled_is_an_error_of_joblib(digits):
    class Stubborn(Counts):
        def __reduce__(self):
            raise TypeError("stays here")

    detector = AUMDetector(callbacks=[Stubborn()], n_jobs=2, **FAST)
    with pytest.raises(Exception, match=r"pickle|stays here"):
        detector.fit(*digits)


def jobs_inside():
    return Jobs().n


@pytest.mark.slow
def test_trainings_in_a_worker_start_none_of_their_own(two_jobs):
    with joblib.parallel_config(n_jobs=2):
        assert Jobs().n == 2
        assert list(two_jobs.results([(jobs_inside,)] * 2)) == [1, 1]


@pytest.mark.parametrize(("backend", "n"), [("threading", 1), ("loky", 2)])
def test_no_threads_within_a_training(backend, n):
    with joblib.parallel_config(backend, n_jobs=2), isolated_rng(CPU):
        assert Jobs().n == n
    with joblib.parallel_config(backend, n_jobs=2):
        assert Jobs().n == 2


class Ahead:
    """Runs tasks as `Jobs` of several workers does, but here, and counts them."""

    def __init__(self, n):
        self.n, self.n_run = n, 0

    def results(self, tasks):
        for task in tasks:
            self.n_run += 1
            yield from Jobs().results([task])


def simulated(noise, n_rounds=5, n_rows=2000):
    """Return a candidate, and tasks whose signals agree the more the less noise."""
    rng = np.random.default_rng(0)
    planted = np.zeros((n_rounds, n_rows), dtype=bool)
    for number in range(n_rounds):
        planted[number, number * 100 : (number + 1) * 100] = True
    signal = rng.normal(size=n_rows)
    heard = signal + noise * rng.normal(size=(n_rounds, n_rows)) - 3 * planted
    recorded = heard[:, :, None], np.full((n_rows, 2), 0.5)

    def train(setting, number):
        return (lambda: (recorded[0][number], recorded[1], number),)

    return Candidate({"name": "only"}, planted, n_rows), train


@pytest.mark.parametrize("n", [1, 2, 3, 8])
@pytest.mark.parametrize("noise", [0.1, 0.25, 1.0])
def test_rounds_that_are_run_ahead_do_not_count_if_they_are_not_needed(n, noise):
    found = []
    for jobs in (Ahead(1), Ahead(n)):
        candidate, train = simulated(noise)
        with progress(5, "Race", verbose=1) as bar:
            best = race_then_repeat(
                [candidate], train, lambda c: c[0], (0, 2, 5), bar, jobs=jobs
            )
        n_rounds = len(best.trajectories)
        assert bar.done == bar.total == n_rounds and best.net == n_rounds - 1
        found.append((n_rounds, best.given_signal.tolist()))
    assert found[0] == found[1]
    assert n_rounds <= jobs.n_run < n_rounds + n


def test_what_diverges_ahead_of_the_end_does_not_matter():
    candidate, train = simulated(noise=0.05)

    def diverges_late(setting, number):
        return train(setting, number) if number < 2 else (diverging,)

    with progress(5, "Race", verbose=0) as bar:
        rounds = 0, 2, 5
        pick = partial(max, key=id)
        race_then_repeat([candidate], diverges_late, pick, rounds, bar, jobs=Ahead(8))
    assert len(candidate.trajectories) == 2


def test_the_rounds_of_a_single_one_are_run_together():
    candidate, train = simulated(noise=1.0)
    jobs = Ahead(2)
    handed = []
    results = jobs.results
    jobs.results = lambda tasks: handed.append(len(tasks)) or results(tasks)
    assert race([candidate], train, 5, jobs=jobs) == [candidate]
    assert handed == [5] and len(candidate.trajectories) == 5
