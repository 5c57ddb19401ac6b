"""Sample weights, one for each row."""

from __future__ import annotations

from numbers import Number
from typing import TYPE_CHECKING, Any

import numpy as np

from sknoisy._rows import plain_rows
from sknoisy._validation import check_sample_weight

if TYPE_CHECKING:
    from sknoisy._types import Array, ArrayLike

__all__ = ["check_weights"]


def check_weights(
    sample_weight: ArrayLike | None, X: ArrayLike, *, dtype: Any = np.float32
) -> Array | None:
    """Return sample weights as an array, or None if there are none.

    Parameters
    ----------
    sample_weight : array-like of shape (n_samples,), float or None
        A single number is the weight of every row.
    X : array-like of shape (n_samples, ...)
        The rows, one for each weight.
    dtype : dtype, default=float32
        Dtype of the returned array.

    Returns
    -------
    weights : ndarray of shape (n_samples,) or None
        One weight for each row.

    Raises
    ------
    ValueError
        If a weight is negative or not finite, if all are zero, or if there is not
        exactly one for each row of X.
    TypeError
        If the weights are not numbers.
    """
    if sample_weight is None:
        return None
    if not isinstance(sample_weight, Number):
        sample_weight = plain_rows(sample_weight, "sample_weight")
    try:
        weights = check_sample_weight(
            sample_weight, X, dtype=dtype, ensure_non_negative=True
        )
    except (TypeError, ValueError) as error:
        if "string to float" not in str(error) and "float()" not in str(error):
            raise
        raise TypeError(
            f"sample_weight must be numbers, one for each row; got "
            f"{sample_weight!r:.60}."
        ) from error
    if not weights.any():
        raise ValueError("sample_weight must have at least one positive weight.")
    return weights
