"""Out-of-bag predictions, replayed tree by tree."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknoisy import ConfidentLearningDetector, SymmetricNoiseInjector
from sknoisy.detection._predictions._out_of_bag import predict_out_of_bag

FOREST = RandomForestClassifier(30, min_samples_leaf=5, oob_score=True)


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    injector = SymmetricNoiseInjector(0.2, random_state=0)
    return *injector.fit_resample(X, y), injector.noise_mask_


def test_a_row_is_predicted_by_trees_that_did_not_fit_it(iris):
    X, y, _ = iris
    proba = predict_out_of_bag(FOREST, X, y, seed=3)
    # The trees of another forest with the same seed have the same samples.
    forest = RandomForestClassifier(30, min_samples_leaf=5, random_state=3).fit(X, y)
    total = np.zeros((len(y), 3))
    for tree, sample in zip(forest, forest.estimators_samples_, strict=True):
        left_out = np.setdiff1d(np.arange(len(y)), sample)
        total[left_out] += tree.predict_proba(X[left_out])
    assert_allclose(proba, total / total.sum(1, keepdims=True), rtol=1e-10)


@pytest.mark.filterwarnings("ignore:Some inputs do not have OOB scores")
def test_a_row_that_every_tree_fitted_has_the_shares_of_the_classes(iris):
    X, y, _ = iris
    proba = predict_out_of_bag(FOREST.set_params(n_estimators=1), X, y)
    FOREST.set_params(n_estimators=30)
    same = (proba == np.bincount(y) / len(y)).all(1)
    # A bootstrap sample has 63 % of the rows.
    assert 0.5 < same.mean() < 0.75
    assert np.isfinite(proba).all()


def test_as_a_way_of_confident_learning(iris):
    X, y, is_wrong = iris
    detector = ConfidentLearningDetector(FOREST, cv="oob", random_state=0).fit(X, y)
    assert roc_auc_score(is_wrong, detector.noise_scores_) > 0.93
    piped = make_pipeline(StandardScaler(), FOREST)
    again = ConfidentLearningDetector(piped, cv="oob", random_state=0).fit(X, y)
    assert_allclose(again.noise_scores_, detector.noise_scores_, atol=0.2)


def test_what_has_no_out_of_bag_predictions(iris):
    X, y, _ = iris
    plain = RandomForestClassifier(5)
    with pytest.raises(TypeError, match=r"RandomForestClassifier has none\. Set oob_"):
        ConfidentLearningDetector(plain, cv="oob").fit(X, y)
    with pytest.raises(ValueError, match="cv='oob' needs an estimator"):
        ConfidentLearningDetector(cv="oob").fit(X, y)
    with pytest.raises(ValueError, match="leaves out single rows, not groups"):
        ConfidentLearningDetector(FOREST, cv="oob").fit(X, y, groups=y)
    with pytest.raises(ValueError, match="'cv' parameter"):
        ConfidentLearningDetector(FOREST, cv="bag").fit(X, y)
