"""Epochs in which a row was not used."""

import numpy as np

__all__ = ["fill_gaps"]


def fill_gaps(trajectories):
    """Fill epochs in which a row was not used by its mean over the other epochs.

    Happens where the user drops incomplete batches; 0 for a row that was never seen.

    Examples
    --------
    >>> import numpy as np
    >>> from sknoisy._planting._gaps import fill_gaps
    >>> fill_gaps(np.array([[1.0, np.nan, 3.0], [np.nan] * 3])).tolist()
    [[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]]
    """
    gaps = np.isnan(trajectories)
    if not gaps.any():
        return trajectories
    total = np.where(gaps, 0, trajectories).sum(1, keepdims=True)
    mean = total / np.maximum((~gaps).sum(1, keepdims=True), 1)
    return np.where(gaps, mean, trajectories).astype(trajectories.dtype)
