"""Margins and losses along the stages in which a scikit-learn classifier learns."""

import numpy as np
from sklearn.base import BaseEstimator, is_classifier
from sklearn.pipeline import Pipeline
from skorch import NeuralNet

from sknoisy._planting._gaps import fill_gaps
from sknoisy._selected_rows import params_of_rows, rows_for, rows_of
from sknoisy._validation import HasMethods
from sknoisy.detection._predictions._out_of_fold import refuse_undefined, run_folds

__all__ = [
    "MIN_PROBA",
    "LearnsInStages",
    "learns_in_passes",
    "learns_in_stages",
    "losses_of",
    "margins_of",
    "of_one_length",
    "record_stages",
    "staged_scores",
]

# Least probability of a label: classifiers that count, such as nearest neighbours, give
# zeros, whose loss would be infinite.
MIN_PROBA = 1e-7


class LearnsInStages(HasMethods):
    """Constraint on an estimator: it is a classifier that learns in stages."""

    def __init__(self) -> None:
        super().__init__(["fit"])

    def is_satisfied_by(self, val: object) -> bool:
        """Return whether a value is allowed."""
        return learns_in_stages(val)

    def __str__(self):
        return (
            "a classifier that learns in stages: one with staged_predict_proba, for "
            "example HistGradientBoostingClassifier(), one with partial_fit, for "
            'example SGDClassifier(loss="log_loss"), or a Pipeline that ends in one,'
        )


def learns_in_stages(estimator):
    """Return whether the margins or losses of an estimator can be read by stage.

    Parameters
    ----------
    estimator : object
        Of a Pipeline, its last step counts. Networks are not meant.
    """
    last = _last_step(estimator)
    if isinstance(last, type | NeuralNet) or not hasattr(last, "__sklearn_tags__"):
        return False
    return is_classifier(last) and (_is_boosting(last) or learns_in_passes(last))


def learns_in_passes(estimator):
    """Return whether the stages of an estimator are passes of ``partial_fit``."""
    last = _last_step(estimator)
    reads = hasattr(last, "decision_function") or hasattr(last, "predict_proba")
    return hasattr(last, "partial_fit") and reads and not _is_boosting(last)


def record_stages(
    estimator,
    X,
    codes,
    splits,
    *,
    n_classes,
    signal,
    n_passes,
    fit_params=None,
    seed=0,
    **how,
):
    """Read a signal of each row after each stage of a classifier.

    Parameters
    ----------
    estimator : classifier that learns in stages
        Seeded in place where it has no ``random_state`` yet: hand in a clone.
    X : array-like
        Whatever the classifier takes.
    codes : ndarray of shape (n_samples,), dtype int64
    splits : list of (train, test) pairs of ndarray, or None
        Row numbers, as `folds_of` returns them; None fits and reads all rows.
    n_classes, signal, n_passes, fit_params, seed
        As in `staged_scores`.
    **how : dict
        ``n_jobs`` and ``bar`` of `run_folds`.

    Returns
    -------
    trajectories : ndarray of shape (n_samples, n_stages), dtype float32
        Without gaps: a fold that stopped early has the mean of the row in the stages
        that it lacks. Of rows that are predicted more than once, the mean.
    mean : ndarray of shape (n_samples, n_classes), dtype float64
        Decision values or probabilities, averaged over the stages.

    Raises
    ------
    ValueError
        If a value is infinite or NaN.
    """
    rows = np.arange(len(codes))
    splits = [(rows, rows)] if splits is None else splits
    given = {} if fit_params is None else fit_params
    args = (n_classes, signal, n_passes, given, seed)
    how["seed"] = seed
    parts = list(run_folds(staged_scores, estimator, X, codes, splits, *args, **how))
    stages = of_one_length([stages for stages, _ in parts])
    trajectories = np.zeros((len(codes), stages[0].shape[1]), dtype=np.float32)
    mean, counts = np.zeros((len(codes), n_classes)), np.zeros((len(codes), 1))
    for (_, test), of_fold, (_, values) in zip(splits, stages, parts, strict=True):
        trajectories[test] += of_fold
        mean[test] += values
        counts[test] += 1
    refuse_undefined(estimator, mean)
    return (trajectories / counts).astype(np.float32), mean / counts


def staged_scores(
    estimator, X, codes, split, n_classes, signal, n_passes, fit_params, seed
):
    """Fit on some rows, and read a signal of others after each stage.

    Parameters
    ----------
    estimator : classifier that learns in stages
        Fitted in place: hand in a clone. Steps before it are fitted once.
    X : array-like
    codes : ndarray of shape (n_samples,), dtype int64
    split : pair of ndarray of dtype int64
        Numbers of the rows to fit and of those to read; they may be the same.
    n_classes : int
        Codes there may be; a class may be without rows to fit.
    signal : {"margin", "loss"}
        See `margins_of` and `losses_of`.
    n_passes : int
        Passes over the rows of an estimator with ``partial_fit``.
    fit_params : dict
        For ``fit``; what has an entry for each row is cut.
    seed : int
        Of the order of the rows in each pass.

    Returns
    -------
    stages : ndarray of shape (n_test, n_stages), dtype float32
    mean : ndarray of shape (n_test, n_classes)
        Decision values or probabilities, averaged over the stages.
    """
    train, test = split
    params = params_of_rows(fit_params, X, train)
    fitted, read = rows_for(estimator, X, train), rows_for(estimator, X, test, train)
    by_margin = signal == "margin"
    args = estimator, fitted, codes[train], read, by_margin, params
    in_passes = learns_in_passes(estimator)
    outputs = _by_pass(*args, n_passes, seed) if in_passes else _by_boosting(*args)
    signal_of = margins_of if by_margin else losses_of
    stages, total = [], np.zeros((len(test), n_classes))
    for known, values in outputs:
        values = _of_all_classes(values, known, n_classes, by_margin)
        stages.append(signal_of(values, codes[test]).astype(np.float32))
        total += values
    return np.stack(stages, axis=1), total / len(stages)


def margins_of(values, codes):
    """Return the value of each given label minus the largest one of another.

    Examples
    --------
    >>> import numpy as np
    >>> from sknoisy.detection._dynamics._stages import margins_of
    >>> values = np.array([[1.0, 4.0, 2.0], [1.0, 4.0, 2.0]])
    >>> margins_of(values, np.array([1, 2])).tolist()
    [2.0, -2.0]
    """
    rows = np.arange(len(codes))
    others = values.copy()
    others[rows, codes] = -np.inf
    return values[rows, codes] - others.max(axis=1)


def losses_of(proba, codes):
    """Return the cross-entropy of each given label.

    Examples
    --------
    >>> import numpy as np
    >>> from sknoisy.detection._dynamics._stages import losses_of
    >>> proba = np.array([[0.5, 0.5], [1.0, 0.0]])
    >>> losses_of(proba, np.array([0, 1])).round(2).tolist()
    [0.69, 16.12]
    """
    given = proba[np.arange(len(codes)), codes].astype(np.float64)
    return -np.log(np.clip(given, MIN_PROBA, 1))


def of_one_length(trajectories):
    """Fill missing stages of shorter trajectories with the mean of each row."""
    n_stages = max(t.shape[1] for t in trajectories)
    missing = [((0, 0), (0, n_stages - t.shape[1])) for t in trajectories]
    return [
        fill_gaps(np.pad(t, width, constant_values=np.nan))
        for t, width in zip(trajectories, missing, strict=True)
    ]


def _by_boosting(estimator, X, codes, read, by_margin, params):
    """Yield the known classes and the values of the rows to read after each stage."""
    estimator.fit(X, codes, **params)
    last = _last_step(estimator)
    output, change = _output(last, "staged_", by_margin)
    for values in output(_transformed(estimator, read)):
        yield last.classes_, change(values)


def _by_pass(estimator, X, codes, read, by_margin, params, n_passes, seed):
    """Yield the same after each pass of ``partial_fit`` over the rows."""
    last = _last_step(estimator)
    if last is not estimator:
        # Any kind of Pipeline fits the steps and hands on rows, labels and parameters.
        taker = _Taker(last)
        estimator.set_params(**{estimator.steps[-1][0]: taker}).fit(X, codes, **params)
        X, codes, params = _last_step(estimator).taken_
        read = _transformed(estimator, read)
    classes = np.unique(codes)
    output, change = _output(last, "", by_margin)
    rng = np.random.default_rng(seed)
    for _ in range(n_passes):
        # An estimator with a seed shuffles in the same order each time, and its margins
        # then depend on that order more than on the labels.
        order = rng.permutation(len(codes))
        own = params_of_rows(params, X, order)
        last.partial_fit(rows_of(X, order), codes[order], classes=classes, **own)
        yield last.classes_, change(output(read))


def _output(estimator, prefix, by_margin):
    """Return the method to read, and what makes decision values of its output."""
    decision = getattr(estimator, f"{prefix}decision_function", None)
    if by_margin and decision is not None:
        return decision, np.asarray
    proba = getattr(estimator, f"{prefix}predict_proba")
    return proba, _logarithms if by_margin else np.asarray


def _logarithms(proba):
    return np.log(np.maximum(proba, MIN_PROBA))


class _Taker(BaseEstimator):
    """Last step of a Pipeline that keeps what the estimator would be fitted on."""

    def __init__(self, estimator):
        self.estimator = estimator

    def fit(self, X, y, **params):
        self.taken_ = X, y, params
        return self

    def get_metadata_routing(self):
        return self.estimator.get_metadata_routing()


def _transformed(estimator, X):
    """Return rows as the steps before the last one transform them."""
    for step in [step for _, step in getattr(estimator, "steps", ())][:-1]:
        # Steps that only resample, of an imbalanced-learn pipeline, have no transform.
        if hasattr(step, "transform"):
            X = step.transform(X)
    return X


def _of_all_classes(values, known, n_classes, by_margin):
    """Return a column for each class; those not learnt are as low as the lowest."""
    if values.ndim == 1 or values.shape[1] == 1:
        # Of two classes, it is the value of the second against the first.
        values = np.stack([np.zeros(len(values)), np.ravel(values)], axis=1)
    if len(known) == n_classes:
        return values
    full = np.zeros((len(values), n_classes), dtype=values.dtype)
    if by_margin:
        full += values.min(axis=1, keepdims=True)
    full[:, known] = values
    return full


def _last_step(estimator):
    return estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator


def _is_boosting(estimator):
    return hasattr(estimator, "staged_predict_proba")
