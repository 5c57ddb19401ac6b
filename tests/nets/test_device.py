"""Random numbers of torch: each fit has them to itself, in threads and forks too."""

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from joblib import Parallel, delayed, parallel_config
from sklearn.base import clone
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback
from torch import nn

from sknoisy import AUMDetector, AutoNoiseDetector, LossMixtureDetector, NetClassifier
from sknoisy.nets import MLP, LoaderBatches
from sknoisy.nets._device import isolated_rng

CPU = torch.device("cpu")
SMALL = {"max_epochs": 5, "batch_size": 8, "module__hidden": 8, "random_state": 0}


def scores_of(estimator, X, y):
    fitted = clone(estimator).fit(X, y)
    if hasattr(fitted, "noise_scores_"):
        return fitted.noise_scores_
    return fitted.predict_proba(X)


@pytest.fixture(autouse=True)
def generator_stays():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    yield
    assert torch.equal(torch.random.get_rng_state(), before)


class TestThreads:
    @pytest.mark.fast_cases(1)
    @pytest.mark.parametrize(
        ("n_threads", "iterator"), [(2, {}), (4, {"iterator_train": LoaderBatches})]
    )
    def test_a_fit_has_the_bits_of_one_alone(self, table, n_threads, iterator):
        X, y = table
        net = NetClassifier(**SMALL, **iterator)
        alone = scores_of(net, X, y)
        start = threading.Barrier(n_threads)

        def fit(_):
            start.wait()
            return scores_of(net, X, y)

        with ThreadPoolExecutor(n_threads) as threads:
            for found in threads.map(fit, range(n_threads)):
                np.testing.assert_array_equal(found, alone)

    @pytest.mark.fast_cases(1)
    @pytest.mark.parametrize(
        "detector",
        [
            AUMDetector(**SMALL),
            LossMixtureDetector(
                NeuralNetClassifier(
                    MLP,
                    module__input_shape=(4,),
                    module__n_classes=3,
                    criterion=nn.CrossEntropyLoss,
                    batch_size=8,
                    verbose=0,
                ),
                random_state=0,
            ),
        ],
        ids=["nets", "net of skorch"],
    )
    @pytest.mark.filterwarnings("ignore:.*losses are too few")
    def test_so_have_detectors_in_joblibs_threads(self, table, detector):
        X, y = table
        alone = scores_of(clone(detector), X, y)
        with Parallel(2, backend="threading") as parallel:
            jobs = [delayed(scores_of)(clone(detector), X, y) for _ in range(2)]
            for found in parallel(jobs):
                np.testing.assert_array_equal(found, alone)

    @pytest.mark.slow
    def test_so_have_candidates(self, table):
        quick = {**SMALL, "max_epochs": 2}
        candidates = [(f"aum {n}", AUMDetector(n_runs=n, **quick)) for n in (2, 3)]
        detector = AutoNoiseDetector(candidates, n_rounds=1, random_state=0)
        alone = scores_of(detector, *table)
        with parallel_config("threading"):
            found = scores_of(detector.set_params(n_jobs=2), *table)
        np.testing.assert_array_equal(found, alone)

    def test_a_callback_may_fit_another_net(self, table):
        X, y = table

        class Other(Callback):
            def on_epoch_end(self, net, **kwargs):
                NetClassifier(max_epochs=1).fit(X, y)

        plain = NetClassifier(**SMALL)
        alone = scores_of(plain, X, y)
        watched = clone(plain).set_params(callbacks=[Other()])
        np.testing.assert_array_equal(scores_of(watched, X, y), alone)


class TestTurn:
    @pytest.fixture
    def held(self):
        """Another thread has its turn until the event is set."""
        has_it, end = threading.Event(), threading.Event()

        def hold():
            with isolated_rng(CPU):
                has_it.set()
                end.wait(30)

        thread = threading.Thread(target=hold)
        thread.start()
        has_it.wait(30)
        yield end
        end.set()
        thread.join()

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
    @pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
    def test_a_forked_process_does_not_wait_for_it(self, held):
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            with isolated_rng(CPU):
                os._exit(0)
        assert os.waitpid(child, 0)[1] == 0

    @pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs signals")
    def test_who_waits_can_be_interrupted(self, held, table):
        me = threading.main_thread().ident
        timer = threading.Timer(0.5, signal.pthread_kill, (me, signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            NetClassifier(max_epochs=1).fit(*table)
        held.set()
        assert NetClassifier(max_epochs=1).fit(*table).initialized_

    def test_an_error_ends_it(self, table):
        with pytest.raises(ZeroDivisionError), isolated_rng(CPU):
            raise ZeroDivisionError
        with ThreadPoolExecutor(1) as threads:
            threads.submit(NetClassifier(max_epochs=1).fit, *table).result(30)
