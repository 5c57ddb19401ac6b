"""Predictions out of fold: what a classifier may be given, and may say."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sknoisy import (
    AutoNoiseDetector,
    ConfidentLearningDetector,
    LossMixtureDetector,
    SmallLossDetector,
)


class Undefined(ClassifierMixin, BaseEstimator):
    """Has no probability for rows that begin with 7."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])

    def predict_proba(self, X):
        proba = np.full((len(X), len(self.classes_)), 1 / len(self.classes_))
        proba[np.asarray(X)[:, 0] == 7] = np.nan
        return proba


@pytest.mark.parametrize("verbose", [0, 1])
@pytest.mark.parametrize(
    "detector", [ConfidentLearningDetector, LossMixtureDetector, SmallLossDetector]
)
def test_a_classifier_that_says_nothing_is_named(detector, verbose):
    X, y = np.arange(60.0)[:, None], np.arange(60) % 2
    message = "estimator Undefined predicts .* NaN for 1 of 60 rows, first for row 7"
    with pytest.raises(ValueError, match=message):
        detector(Undefined(), verbose=verbose).fit(X, y)


def test_candidates_are_named():
    X, y = np.arange(60.0)[:, None], np.arange(60) % 2
    candidates = [("undefined", SmallLossDetector(Undefined()))]
    with pytest.raises(ValueError, match="estimator Undefined predicts"):
        AutoNoiseDetector(candidates).fit(X, y)


def weekdays(X):
    return X["day"].dt.day_of_week.to_numpy()[:, None]


def test_dates_are_for_a_step_before_the_classifier():
    X = pd.DataFrame({"day": pd.date_range("2020", periods=70)})
    y = np.arange(70) % 2
    with pytest.raises(TypeError, match="dates or times in column 'day'"):
        SmallLossDetector(LogisticRegression()).fit(X, y)
    days = FunctionTransformer(weekdays).set_output(transform="default")
    pipeline = make_pipeline(days, LogisticRegression())
    search = GridSearchCV(pipeline, {"logisticregression__C": [1.0]}, cv=2)
    for estimator in (pipeline, search):
        assert len(SmallLossDetector(estimator, cv=2).fit(X, y).noise_scores_) == 70
