"""Trainings on the workers of dask and ray, which joblib has as backends."""

import joblib
import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_digits

from sknoisy import (
    AUMDetector,
    CoTeachingClassifier,
    DynaCorDetector,
    SymmetricNoiseInjector,
)

pytestmark = pytest.mark.slow

FAST = {"max_epochs": 3, "module__hidden": 16, "random_state": 0}
DETECTORS = (DynaCorDetector(max_rows=100, **FAST), AUMDetector(**FAST))
# It trains two halves of the rows within a training.
RACE = CoTeachingClassifier(settings=[{}, {"lr": 0.01}], **FAST)


@pytest.fixture(scope="module")
def fits():
    """Rows and labels, and detectors that were fitted here."""
    X, y = load_digits(return_X_y=True)
    injector = SymmetricNoiseInjector(0.2, random_state=0)
    table = injector.fit_resample(X[:300] / 16, y[:300])
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield table, [clone(estimator).fit(*table) for estimator in (*DETECTORS, RACE)]
    torch.set_num_threads(before)


def assert_same_on(backend, fits):
    table, fitted = fits
    for here in fitted:
        with joblib.parallel_config(backend, n_jobs=2):
            there = clone(here).fit(*table)
        assert_array_equal(there.noise_scores_, here.noise_scores_)
        nets = [getattr(fitted, "net_", fitted) for fitted in (there, here)]
        if nets[1] is here:
            assert there.candidates_ == here.candidates_
        else:
            assert_array_equal(there.trajectories_, here.trajectories_)
        weights = [net.module_.state_dict() for net in nets]
        assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[1])


# The servers of dask close their sockets and loops when they are collected.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("processes", [True, False])
def test_a_cluster_of_two_dask_workers(fits, processes):
    distributed = pytest.importorskip(
        "distributed", reason="distributed is not installed: dask is not tried"
    )
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with (
        distributed.LocalCluster(processes=processes, **options) as cluster,
        distributed.Client(cluster),
    ):
        assert_same_on("dask", fits)


@pytest.mark.filterwarnings("ignore")
def test_two_ray_workers(fits):
    ray = pytest.importorskip("ray", reason="ray is not installed: it is not tried")
    from ray.util.joblib import register_ray

    register_ray()
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        assert_same_on("ray", fits)
    finally:
        ray.shutdown()
