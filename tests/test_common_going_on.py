"""Two calls with some epochs each leave every net as one call with all of them."""

import copy
import pickle
import warnings

import numpy as np
import pytest
from fitted_state import assert_same_fit, learnt_arrays
from public_estimators import instances, label
from sklearn.base import clone

NETS = instances("going on")


def quiet(fit, X, y):
    with warnings.catch_warnings():
        # After few epochs no label has been doubted.
        warnings.filterwarnings("ignore", message="no label was replaced")
        return fit(X, y)


@pytest.mark.fast_cases(3)
@pytest.mark.filterwarnings("ignore:the refurbished labels have collapsed")
@pytest.mark.parametrize("net", NETS, ids=label)
def test_two_and_three_epochs_are_five(net, blobs):
    X, y, _ = blobs
    whole = clone(net).set_params(max_epochs=5).fit(X, y)
    parts = clone(net).set_params(max_epochs=2)
    quiet(parts.partial_fit, X, y)
    held = learnt_arrays(parts)
    kept = copy.deepcopy(held)
    pickled = pickle.loads(pickle.dumps(parts))
    parts.set_params(max_epochs=3).partial_fit(X, y)
    warm = pickled.set_params(max_epochs=3, warm_start=True).fit(X, y)
    for other in (parts, warm):
        assert len(other.history) == 5
        assert_same_fit(other, whole)
        np.testing.assert_array_equal(other.predict_proba(X), whole.predict_proba(X))
    # What was handed out stays as it was.
    for name, values in kept.items():
        np.testing.assert_array_equal(held[name], values, err_msg=name)
