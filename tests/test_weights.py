import numpy as np
import pytest

from sknoisy._weights import check_weights


class TestWeights:
    def test_none_stays_none(self):
        assert check_weights(None, np.zeros(3)) is None

    @pytest.mark.parametrize(
        "weights", [[1, 0, 2], (1.0, 0.0, 2.0), np.array([1, 0, 2])]
    )
    def test_weights_become_float32(self, weights):
        checked = check_weights(weights, np.zeros(3))
        assert checked.dtype == np.float32 and checked.tolist() == [1, 0, 2]

    def test_the_dtype_may_be_asked_for(self):
        given = [1 / 3, 1e-60, 2]
        checked = check_weights(given, np.zeros(3), dtype=np.float64)
        assert checked.dtype == np.float64 and checked.tolist() == given

    def test_what_is_no_number_is_no_weight(self):
        for weights in (["heavy", 1, 2], [{}, 1, 2]):
            with pytest.raises(TypeError, match="sample_weight must be numbers, one f"):
                check_weights(weights, np.zeros(3))

    @pytest.mark.parametrize(
        ("weights", "message"),
        [
            ([1, -1, 2], "Negative values"),
            ([1, np.nan, 2], "contains NaN"),
            ([1, np.inf, 2], "infinity"),
            ([0, 0, 0], "at least one (positive|non-zero)"),
            ([1, 2], r"sample_weight.shape == \(2,\)"),
            ([[1, 2, 3]], "1D array or scalar"),
        ],
    )
    def test_bad_weights_are_refused(self, weights, message):
        with pytest.raises(ValueError, match=message):
            check_weights(weights, np.zeros(3))
