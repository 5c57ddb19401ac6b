"""Where detectors that look at features get them from."""

import numpy as np
from sklearn.base import clone
from sklearn.utils.validation import check_array

from sknoisy._image_rows import refuse_images
from sknoisy._random_states import set_random_states

__all__ = ["FeaturesMixin"]


class FeaturesMixin:
    """X itself, or what ``estimator`` makes of it."""

    def _features(self, rows, codes, seed):
        """Return features of checked rows.

        Parameters
        ----------
        rows : ndarray of shape (n_samples, ...)
        codes : ndarray of shape (n_samples,), dtype int64
        seed : int

        Returns
        -------
        features : ndarray of shape (n_samples, n_features), dtype float64

        Raises
        ------
        ValueError
            If the rows are no features and nothing makes some.
        """
        vars(self).pop("estimator_", None)
        if self.estimator is None:
            refuse_images(self, rows)
            # Frames lie column by column, and their sums would be rounded otherwise.
            return np.ascontiguousarray(rows, dtype=np.float64)
        self.estimator_ = clone(self.estimator)
        set_random_states(self.estimator_, seed)
        features = self.estimator_.fit(rows, codes).transform(rows)
        return check_array(features, dtype=np.float64)
