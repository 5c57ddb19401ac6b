"""Robust classifiers in a grid search: results, threads and memory of the workers."""

import inspect

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknoisy import NALClassifier

NAMES = np.array(["ant", "bee", "cat"])
GRID = {
    "nalclassifier__lam": [0.1, 0.5],
    "nalclassifier__alpha": [0.7, 0.99],
    "nalclassifier__module__hidden": [8, (8, 4)],
    "nalclassifier__optimizer__weight_decay": [0.0, 0.01],
}


@pytest.fixture
def frame(blobs):
    """A pandas frame with string labels."""
    X, y, _ = blobs
    return pd.DataFrame(X.astype(np.float64), columns=list("abcd")), NAMES[y]


def make_search(**params):
    pipe = make_pipeline(
        StandardScaler(),
        NALClassifier(max_epochs=6, batch_size=16, lr=0.2, random_state=0),
    )
    return GridSearchCV(pipe, GRID, cv=2, **params)


def scores_of(search):
    names = [key for key in search.cv_results_ if "test_score" in key]
    return {name: search.cv_results_[name].tolist() for name in names}


@pytest.mark.slow
def test_a_pipeline_on_a_frame_with_string_labels(frame):
    X, y = frame
    search = make_search().fit(X, y)
    assert len(search.cv_results_["params"]) == 16
    means = search.cv_results_["mean_test_score"]
    assert np.isfinite(means).all() and search.best_score_ == means.max() > 0.5
    clf = search.best_estimator_[-1]
    wanted = {f"nalclassifier__{k}": v for k, v in clf.get_params().items()}
    assert {key: wanted[key] for key in GRID} == search.best_params_
    # Refitted on all rows: the labels of all of them are judged.
    assert clf.predict_noisy().shape == (180,)
    assert set(clf.suggested_labels_) <= set(NAMES)
    assert set(search.predict(X)) <= set(NAMES)
    # Each parameter has reached its part.
    assert clf.criterion_.lam == search.best_params_["nalclassifier__lam"]
    assert clf.criterion_.alpha == search.best_params_["nalclassifier__alpha"]
    decay = search.best_params_["nalclassifier__optimizer__weight_decay"]
    assert clf.optimizer_.param_groups[0]["weight_decay"] == decay


@pytest.mark.slow
def test_two_processes_give_the_results_of_one(frame):
    X, y = frame
    one, two = make_search().fit(X, y), make_search(n_jobs=2).fit(X, y)
    assert scores_of(one) == scores_of(two)
    assert one.best_params_ == two.best_params_
    np.testing.assert_array_equal(
        one.best_estimator_[-1].noise_scores_, two.best_estimator_[-1].noise_scores_
    )


def look_around(estimator, X, y):
    """Score a candidate, and say how the process that did it was set."""
    frames = [info.frame for info in inspect.stack()]
    (caller,) = [f for f in frames if f.f_code.co_name == "_fit_and_score"]
    whole = caller.f_locals["X"]
    whole = np.asarray(whole) if isinstance(whole, pd.DataFrame) else whole
    while whole.base is not None and not isinstance(whole, np.memmap):
        whole = whole.base
    return {
        "accuracy": estimator.score(X, y),
        "threads": torch.get_num_threads(),
        "is_memmap": isinstance(whole, np.memmap),
    }


@pytest.mark.slow
@pytest.mark.parametrize("kind", [np.asarray, pd.DataFrame], ids=["array", "frame"])
def test_workers_share_the_cores_and_the_data(monkeypatch, kind):
    # Else joblib would take this one.
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    rng = np.random.default_rng(0)
    # Above a megabyte joblib hands data over as a file that the workers map.
    X, y = rng.normal(size=(4000, 40)), rng.integers(0, 2, 4000)
    clf = NALClassifier(module__hidden=4, max_epochs=1, random_state=0)
    search = GridSearchCV(
        clf, {"lam": [0.1, 0.5]}, cv=2, n_jobs=2, scoring=look_around, refit=False
    ).fit(kind(X), y)
    results = search.cv_results_
    threads = [results[f"split{i}_test_threads"] for i in (0, 1)]
    assert (np.array(threads) == max(1, joblib.cpu_count() // 2)).all()
    assert (results["mean_test_is_memmap"] == 1).all()


def test_a_memory_mapped_file_is_taken_as_it_is(tmp_path, blobs):
    X, y, _ = blobs
    path = tmp_path / "X.npy"
    np.save(path, X)
    mapped = np.load(path, mmap_mode="r")
    clf = NALClassifier(module__hidden=8, max_epochs=3, random_state=0)
    given = clf.fit(mapped, y).noise_scores_
    np.testing.assert_array_equal(given, clf.fit(X, y).noise_scores_)
    np.testing.assert_array_equal(np.load(path), X)
