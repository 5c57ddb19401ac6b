"""Classifiers with ``partial_fit``, fitted on rows that do not fit in memory."""

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from sknoisy._labels import is_of
from sknoisy._row_blocks import BLOCK_BYTES
from sknoisy._row_source import RowSource

__all__ = ["suited_to"]

# Stochastic gradients have converged after about a million rows, says scikit-learn.
_ROWS_SEEN = 10**6
_LEAST_PASSES = 5


def suited_to(X, estimator):
    """Return an estimator that can be fitted on X: if need be, by blocks of rows.

    Parameters
    ----------
    X : array-like or RowSource
    estimator : classifier

    Returns
    -------
    estimator : classifier
        The same, unless X is a RowSource, and it has ``partial_fit`` and is no network,
        or is a pipeline that ends in one of both.
    """
    if not isinstance(X, RowSource):
        return estimator
    last = _steps(estimator)[-1]
    is_net = is_of(last, "skorch")
    if last is estimator and is_net:
        return estimator
    learns = is_net or hasattr(last, "partial_fit")
    return _BlockwiseClassifier(estimator) if learns else estimator


def _has(name):
    return available_if(lambda self: hasattr(_steps(self.estimator)[-1], name))


class _BlockwiseClassifier(ClassifierMixin, BaseEstimator):
    """A classifier that learns rows of a source block by block.

    Steps before it learn all rows first, one after the other, from one pass each. The
    classifier learns them in an order drawn anew for each pass: until it has seen about
    a million rows, at least five passes, at most its ``max_iter``; one without
    ``max_iter`` counts, and learns them once. A network reads its own batches.

    Parameters
    ----------
    estimator : classifier or Pipeline
        Its steps have ``partial_fit`` or learn nothing.
    random_state : int, default=None
        Of the order of the rows.
    """

    def __init__(self, estimator, random_state=None):
        self.estimator = estimator
        self.random_state = random_state

    def fit(self, X, y, **params):
        """Learn rows of a source.

        Raises
        ------
        TypeError
            If a step before the classifier has no ``partial_fit``.
        ValueError
            If there are further parameters.
        """
        if params:
            raise ValueError(
                f"{', '.join(params)} cannot be passed to a classifier that learns "
                "rows on disk by blocks; take a network, or load the rows."
            )
        rows = self._begin(X)
        last = self.steps_[-1]
        self.classes_ = np.unique(y)
        if is_of(last, "skorch"):
            last.fit(rows, y)
            return self
        rng = np.random.default_rng(self.random_state)
        for _ in range(_n_passes(last, len(y))):
            self._pass(rows, y, rng.permutation(len(y)))
        return self

    def partial_fit(self, X, y, classes=None):
        """Learn each row once, in the given order."""
        if hasattr(self, "steps_"):
            rows = TransformedRows.through(X, self.steps_[:-1])
        else:
            rows = self._begin(X)
            self.classes_ = np.unique(y) if classes is None else classes
        self._pass(rows, y, np.arange(len(y)))
        return self

    @_has("predict_proba")
    def predict_proba(self, X):
        """Return probabilities of the classes, block by block."""
        return self._outputs(X, "predict_proba")

    @_has("decision_function")
    def decision_function(self, X):
        """Return decision values, block by block."""
        return self._outputs(X, "decision_function")

    def _begin(self, X):
        """Fit the steps before the classifier; return the rows that it learns."""
        self.steps_ = [clone(step) for step in _steps(self.estimator)]
        rows = X
        for step in self.steps_[:-1]:
            if hasattr(step, "partial_fit"):
                for index in _blocks(rows):
                    step.partial_fit(rows.fetch(index))
            elif get_tags(step).requires_fit:
                raise TypeError(
                    f"{type(step).__name__} has no partial_fit, and the rows are not "
                    f"in memory; take a step that has one, such as StandardScaler."
                )
            rows = TransformedRows(rows, step)
        return rows

    def _pass(self, rows, y, order):
        for places in _blocks(rows):
            index = order[places]
            block = rows.fetch(index)
            self.steps_[-1].partial_fit(block, y[index], classes=self.classes_)

    def _outputs(self, X, name):
        check_is_fitted(self, "steps_")
        rows = TransformedRows.through(X, self.steps_[:-1])
        output = getattr(self.steps_[-1], name)
        if is_of(self.steps_[-1], "skorch"):
            return output(rows)
        return np.concatenate([output(rows.fetch(index)) for index in _blocks(rows)])


class TransformedRows(RowSource):
    """The rows of a source after a fitted transformer.

    Parameters
    ----------
    rows : RowSource
    step : transformer
    """

    def __init__(self, rows, step):
        self.rows, self.step = rows, step
        self.reads_ahead, self.fetch_bytes = rows.reads_ahead, rows.fetch_bytes
        self.dtype = np.dtype(np.float32)
        self.shape = (len(rows), *self.fetch([0]).shape[1:])

    @classmethod
    def through(cls, rows, steps):
        """Return the rows after several transformers."""
        for step in steps:
            rows = cls(rows, step)
        return rows

    def fetch(self, index):
        """Return some rows."""
        rows = self.step.transform(self.rows.fetch(index))
        return np.ascontiguousarray(rows, dtype=np.float32)

    def before_shuffling(self):
        """Prepare for rows fetched in random order."""
        self.rows.before_shuffling()


def _steps(estimator):
    """Return the steps of a Pipeline, or the estimator alone."""
    if not isinstance(estimator, Pipeline):
        return [estimator]
    steps = [step for _, step in estimator.steps]
    return [step for step in steps if step is not None and step != "passthrough"]


def _n_passes(classifier, n_rows):
    if not hasattr(classifier, "max_iter"):
        return 1
    wanted = max(_LEAST_PASSES, -(-_ROWS_SEEN // n_rows))
    return min(classifier.max_iter, wanted)


def _blocks(rows):
    """Return the numbers of all rows in order, in blocks of about one size."""
    # Some steps refuse a block of few rows, such as the last one might be.
    n_blocks = -(-4 * len(rows) * _width(rows) // BLOCK_BYTES)
    return np.array_split(np.arange(len(rows)), max(1, n_blocks))


def _width(rows):
    """Return the most numbers that a row has, before or after the steps."""
    own = int(np.prod(rows.shape[1:], dtype=np.int64))
    return max(own, _width(rows.rows)) if isinstance(rows, TransformedRows) else own
