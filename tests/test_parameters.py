from numbers import Real

import pytest
from sklearn.base import BaseEstimator

from sknoisy._parameters import check_parameters
from sknoisy._validation import Interval


class Estimator(BaseEstimator):
    _parameter_constraints = {"rate": [Interval(Real, 0, 1, closed="left")]}

    def __init__(self, rate=0.5, other=None):
        self.rate = rate
        self.other = other


class TestParameters:
    def test_own_parameters_are_checked_and_named(self):
        check_parameters(Estimator(0.3, other=object()))
        message = r"'rate' parameter of Estimator .* \[0.0, 1.0\). Got 1.2"
        with pytest.raises(ValueError, match=message):
            check_parameters(Estimator(1.2))
