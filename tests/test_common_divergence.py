"""X of extreme size: each estimator fits, or says in words what is wrong."""

import numpy as np
import pandas as pd
import pytest
from public_estimators import ONE_EACH, SCORERS, kind_of, label
from sklearn.base import clone

from sknoisy import NetClassifier
from sknoisy.noise._class_conditional import _AnyRowsMixin

# The others look at labels only, or leave the rows to what they hold.
LOOK_AT_ROWS = [
    estimator
    for estimator in ONE_EACH
    if not isinstance(estimator, _AnyRowsMixin) and kind_of(type(estimator)) != "holder"
]


@pytest.fixture(scope="module")
def blobs():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], 17)
    return 2 * np.eye(3)[y] + rng.normal(size=(51, 3)), y


@pytest.mark.fast_cases(4)
@pytest.mark.filterwarnings("ignore:the refurbished labels have collapsed")
@pytest.mark.parametrize("scale", [1e-30, 1e15])
@pytest.mark.parametrize("estimator", SCORERS, ids=label)
def test_a_fit_is_finite_or_said_to_diverge(blobs, estimator, scale):
    X, y = blobs
    estimator = clone(estimator)
    params = estimator.get_params()
    if params.get("estimator") is not None:
        estimator.set_params(estimator=NetClassifier(max_epochs=1))
    elif "max_epochs" in params:
        estimator.set_params(max_epochs=2 if "warmup_epochs" in params else 1)
    try:
        estimator.fit(X * scale, y)
    except FloatingPointError as error:
        assert scale > 1 and "Lower lr" in str(error)
        return
    assert np.isfinite(estimator.noise_scores_).all()
    if hasattr(estimator, "predict_proba"):
        assert np.isfinite(estimator.predict_proba(X * scale)).all()


@pytest.mark.parametrize("estimator", LOOK_AT_ROWS, ids=label)
def test_dates_are_no_numbers(estimator):
    X = pd.DataFrame({"when": pd.date_range("2020", periods=24)})
    with pytest.raises(
        TypeError, match=r"dates or times in column 'when' \(datetime64"
    ):
        clone(estimator).fit(X, np.arange(24) % 2)
