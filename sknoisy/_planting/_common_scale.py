"""One scale for all columns, which keeps their proportions."""

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from sknoisy._validation import validate_data

__all__ = ["CommonScaler"]


class CommonScaler(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Divide all columns by their common deviation, the root of the mean variance.

    Networks learn at the same pace then whatever the scale of X. Columns of embeddings
    that vary more stay so, which full standardising would undo.

    Attributes
    ----------
    scale_ : float
        1 if no column varies.
    n_features_in_ : int

    Examples
    --------
    >>> import numpy as np
    >>> from sknoisy._planting._common_scale import CommonScaler
    >>> X = np.array([[0.0, 0.0], [8.0, 6.0]])
    >>> CommonScaler().fit_transform(X).round(2).tolist()
    [[0.0, 0.0], [2.26, 1.7]]
    """

    def fit(self, X, y=None):
        """Learn the scale of an array of shape (n_samples, n_features)."""
        X = validate_data(self, X, dtype=[np.float32, np.float64])
        self.scale_ = float(np.sqrt(X.var(0, dtype=np.float64).mean())) or 1.0
        return self

    def transform(self, X):
        """Return the rows, an array of the same shape, on that scale."""
        check_is_fitted(self, "scale_")
        X = validate_data(self, X, reset=False, dtype=[np.float32, np.float64])
        return X / X.dtype.type(self.scale_)
