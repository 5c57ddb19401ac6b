"""A search over stacked networks against scikit-learn's, which trains each alone."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator
from torch import nn

from sknoisy import ELRClassifier, NALClassifier, NetClassifier, RobustLossClassifier
from sknoisy.losses import GCELoss
from sknoisy.nets import StackedSearchCV

SMALL = {"module__hidden": (8, 6), "max_epochs": 3, "batch_size": 16, "random_state": 0}
CASES = {
    "optimizer": (
        NetClassifier(**SMALL),
        {"lr": [0.05, 0.1], "optimizer__weight_decay": [0.0, 0.01]},
    ),
    "adam": (
        NetClassifier(**SMALL, optimizer=torch.optim.Adam),
        {"lr": [0.01, 0.02], "module__dropout": [0.1, 0.4]},
    ),
    "criterion": (
        NetClassifier(**SMALL, criterion=GCELoss),
        {"criterion__q": [1e-13, 0.5, 1.0], "random_state": [1, 2]},
    ),
    "lam and alpha": (NALClassifier(**SMALL), {"lam": [0.1, 2], "alpha": [0.5, 0.9]}),
    "q": (RobustLossClassifier(**SMALL), {"loss__q": [0.2, 0.7]}),
    "a and b": (RobustLossClassifier(loss="sce", **SMALL), {"loss__a": [0.1, 1.0]}),
}

FAILS = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.FitFailedWarning",
    "ignore:One or more of the test scores:UserWarning",
)


@pytest.fixture
def rows(blobs):
    X, y, _ = blobs
    # Folds of unequal sizes, and last batches of unequal sizes.
    return X[:100], y[:100]


def look(estimator, X, y):
    """Score by what was learnt, to the last bits."""
    net = estimator[-1] if hasattr(estimator, "steps") else estimator
    weights = [w.detach().double().abs().sum().item() for w in net.module_.parameters()]
    proba = estimator.predict_proba(X)[np.arange(len(X)), 0]
    found = {"weights": sum(weights), "proba": proba.mean(dtype=float)}
    if hasattr(net, "noise_scores_"):
        found["noise"] = net.noise_scores_.mean()
    return {"accuracy": estimator.score(X, y), **found}


def assert_same_results(one, other):
    names = [key for key in one.cv_results_ if "test" in key and "rank" not in key]
    assert [*one.cv_results_] == [*other.cv_results_]
    for name in names:
        np.testing.assert_allclose(
            one.cv_results_[name], other.cv_results_[name], rtol=1e-4, atol=1e-6
        )


@pytest.mark.parametrize("name", CASES)
def test_results_are_those_of_the_search_one_by_one(name, rows):
    net, grid = CASES[name]
    how = {"cv": 3, "scoring": look, "refit": False, "error_score": "raise"}
    stacked = StackedSearchCV(net, grid, **how).fit(*rows)
    assert_same_results(GridSearchCV(net, grid, **how).fit(*rows), stacked)
    assert stacked.n_stacked_ == 3 * len(stacked.cv_results_["params"])
    # The candidates differ, so that a mix-up would be seen.
    assert len(np.unique(stacked.cv_results_["split0_test_weights"])) > 1


def test_pipeline_on_a_frame_with_names_of_labels(rows):
    X, names = pd.DataFrame(rows[0], columns=list("abcd")), np.array(["b", "a", "c"])
    y = names[rows[1]]
    pipe = make_pipeline(StandardScaler(), NALClassifier(**SMALL))
    grid = {"nalclassifier__lam": [0.1, 1.0], "nalclassifier__batch_size": [16, 32]}
    stacked, alone = (
        s(pipe, grid, cv=2).fit(X, y) for s in (StackedSearchCV, GridSearchCV)
    )
    assert_same_results(alone, stacked)
    assert stacked.n_stacked_ == 8 and stacked.stack_time_ > 0
    assert stacked.best_params_ == alone.best_params_
    assert type(stacked.best_estimator_[-1]) is NALClassifier
    np.testing.assert_array_equal(stacked.predict_proba(X), alone.predict_proba(X))
    again = pickle.loads(pickle.dumps(stacked))
    assert (again.predict(X) == stacked.predict(X)).all()
    assert clone(stacked).get_params().keys() == stacked.get_params().keys()
    assert list(stacked.feature_names_in_) == list("abcd")


def test_random_folds_are_the_same_for_training_and_scores(rows):
    cv = KFold(2, shuffle=True)
    search = StackedSearchCV(NetClassifier(**SMALL), {"lr": [0.1, 0.2]}, cv=cv)
    assert search.fit(*rows).n_stacked_ == 4


@FAILS
def test_what_fails_is_scored_as_scikit_learn_does(rows):
    grid = {"lam": [0.1, 1.0, -1.0]}
    search = StackedSearchCV(NALClassifier(**SMALL), grid, cv=2)
    search.fit(*rows)
    assert np.isnan(search.cv_results_["mean_test_score"]).tolist() == [0, 0, 1]


@FAILS
def test_a_network_that_diverges_leaves_the_others(rows):
    net, how = NetClassifier(**SMALL), {"cv": 2, "refit": False}
    grid = {"lr": [0.1, 1e30]}
    stacked = StackedSearchCV(net, grid, **how).fit(*rows)
    alone = GridSearchCV(net, grid, **how).fit(*rows)
    assert_same_results(alone, stacked)
    assert stacked.n_stacked_ == 0


@pytest.mark.parametrize(
    ("net", "reason"),
    [
        (ELRClassifier(**SMALL), "step of ELRClassifier"),
        (
            NetClassifier(**{**SMALL, "callbacks": [], "train_split": len}),
            "train_split",
        ),
        (
            RobustLossClassifier(loss="truncated_gce", **SMALL),
            "TruncatedGCELoss is not",
        ),
        (
            NetClassifier(
                nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)), max_epochs=1
            ),
            "the network has BatchNorm1d",
        ),
    ],
    ids=str,
)
def test_what_cannot_be_stacked_is_refused(net, reason, rows):
    with pytest.raises(ValueError, match=f"{reason}.*Use sklearn.*GridSearchCV"):
        StackedSearchCV(net, {"lr": [0.1, 0.2]}, cv=2).fit(*rows)


def test_other_estimators_are_refused(rows):
    with pytest.raises(TypeError, match=r"NetClassifier, or a Pipeline .* Logistic"):
        StackedSearchCV(LogisticRegression(), {"C": [1, 2]}).fit(*rows)
    search = StackedSearchCV(NetClassifier(), {"lr": [0.1]}, max_stack=0)
    with pytest.raises(ValueError, match="max_stack"):
        search.fit(*rows)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_scikit_learn_contract():
    net = NetClassifier(max_epochs=10, module__hidden=32, batch_size=16, random_state=0)
    # Bad input is to be an error, not a candidate that failed.
    how = {"cv": 2, "error_score": "raise"}
    results = check_estimator(
        StackedSearchCV(net, {"lr": [0.05, 0.1]}, **how), on_fail=None
    )
    status = {result["check_name"]: result["status"] for result in results}
    assert {name: text for name, text in status.items() if text != "passed"} == {}
