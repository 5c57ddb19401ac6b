"""A warning points at the user's line, whatever stands between."""

import warnings

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknoisy import BMMLossSplitter, CleanedClassifier, LossMixtureDetector
from sknoisy._warning import warn_user


def test_from_here_it_is_this_line():
    with pytest.warns(FutureWarning, match="soon") as caught:
        warn_user("soon", FutureWarning)
    assert caught[0].filename == __file__


def test_the_category_is_a_warning_of_users_by_default():
    with pytest.warns(UserWarning, match="so it is"):
        warn_user("so it is")


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_holders_and_pipelines_do_not_hide_the_line(depth):
    # Eight losses are too few for a mixture.
    X = np.arange(16.0).reshape(8, 2)
    y = np.array([0, 1] * 4)
    detector = LossMixtureDetector(LogisticRegression(), cv=2, random_state=0)
    holder = CleanedClassifier(detector, LogisticRegression())
    estimator = [detector, holder, make_pipeline(StandardScaler(), holder)][depth]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        estimator.fit(X, y)
    told = [w for w in caught if "too few" in str(w.message)]
    assert told and {w.filename for w in told} == {__file__}


def test_a_function_of_ours_called_directly():
    with pytest.warns(UserWarning, match="cannot be split") as caught:
        BMMLossSplitter().fit(np.ones(50))
    assert caught[0].filename == __file__
