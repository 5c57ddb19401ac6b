import numpy as np
import pytest
import torch
from row_kinds import AS_NUMBERS, NO_ROWS, NUMBERS, ODD_ROWS, TEXTS, TOO_MUCH
from scipy.sparse import dok_array
from sklearn.base import BaseEstimator

from sknoisy import AutoNoiseDetector
from sknoisy._rows import (
    _TAKES_FRAMES,
    explained,
    plain_rows,
    refuse_no_rows,
    refuse_odd_rows,
)
from sknoisy._validation import check_numbers, check_rows

pytestmark = pytest.mark.filterwarnings("ignore:pandas.DataFrame with sparse col")

REFUSED = {**NO_ROWS, **ODD_ROWS, **TOO_MUCH}


class Detector(BaseEstimator):
    pass


@pytest.mark.parametrize(("X", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_table_of_numbers_is_named(X, message):
    with pytest.raises((TypeError, ValueError), match=message):
        check_rows(Detector(), X, reset=True)


@pytest.mark.parametrize("X", AS_NUMBERS.values(), ids=AS_NUMBERS)
def test_numbers_are_taken_whatever_holds_them(X):
    rows = check_rows(Detector(), X, reset=True)
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, NUMBERS.astype(np.float32))


def test_what_else_can_be_done_with_texts():
    with pytest.raises(ValueError, match="where Detector needs numbers") as caught:
        check_rows(Detector(), TEXTS, reset=True)
    for advice in ("AutoNoiseDetector", "TruncatedSVD", "estimator accepts them"):
        assert advice in str(caught.value)
    with pytest.raises(ValueError, match=r"list of texts.*; pass a frame") as caught:
        check_rows(AutoNoiseDetector(), TEXTS, reset=True)
    assert "numbers" not in str(caught.value)
    assert AutoNoiseDetector.__name__ == _TAKES_FRAMES


def test_values_whose_squares_overflow():
    with pytest.raises(ValueError, match=r"as large as 7e\+200, whose squares overf"):
        with explained(NUMBERS * 1e200, "Detector"):
            raise ValueError("Input X contains NaN.")


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (NUMBERS, "Input X contains NaN."),
        (np.array([[np.nan]]), "Input X contains NaN."),
        (np.array([[np.inf]]), "infinity or a value too large for dtype('float32')."),
        (NUMBERS.astype(object), "could not convert string to float: ''"),
        (NUMBERS.tolist(), "setting an array element with a sequence."),
        (np.array([["a", 1]], object), "something else"),
        (np.array([[1, {}]], object), "value too large for dtype('float32')."),
        (dok_array(NUMBERS), "could not convert string to float: ''"),
    ],
)
def test_other_errors_pass_as_they_are(X, message):
    error = ValueError(message)
    with pytest.raises(ValueError) as caught, explained(X, "Detector"):
        raise error
    assert caught.value is error


def test_rows_that_need_no_reading():
    for X in (None, dok_array(NUMBERS), np.ma.array(NUMBERS), NUMBERS, [["a"]]):
        refuse_no_rows(X)
        refuse_odd_rows(X)
        assert plain_rows(X) is X
    assert type(plain_rows(torch.zeros(3, 2))) is np.ndarray


def test_a_tensor_of_bfloat16_is_named_where_another_reads_it():
    with pytest.raises(TypeError, match=r"tensor of torch.bfloat16; pass X.float\(\)"):
        with explained(torch.zeros(2, 2).bfloat16(), "Detector"):
            torch.zeros(2, 2).bfloat16().numpy()


def test_more_of_scikit_learns_checks_may_be_asked_for():
    with pytest.raises(ValueError, match="minimum of 20 is required by Detector"):
        check_numbers(Detector(), NUMBERS, ensure_min_samples=20)
