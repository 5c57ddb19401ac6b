"""Injectors whose noise depends on the class of a row, not on its features."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from sklearn.base import BaseEstimator

from sknoisy._codes import encode_labels
from sknoisy._rows import refuse_no_rows
from sknoisy._validation import (
    Interval,
    StrOptions,
    check_consistent_length,
    validate_data,
)
from sknoisy.base import NoiseInjectorMixin
from sknoisy.noise._transition import (
    check_transition_matrix,
    rows_by_class,
    sample_labels,
    symmetric_matrix,
)

if TYPE_CHECKING:
    from sknoisy._types import RandomState

__all__ = ["SymmetricNoiseInjector", "TransitionNoiseInjector"]


class _AnyRowsMixin(NoiseInjectorMixin):
    """An injector that uses only the number of rows of X."""

    def _check_data(self, X, y):
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is "
                "None."
            )
        refuse_no_rows(X)
        classes, codes = encode_labels(y)
        check_consistent_length(X, codes)
        if len(classes) < 2:
            raise ValueError(
                f"y has {len(classes)} class(es), {classes.tolist()}; "
                f"{type(self).__name__} needs at least two."
            )
        return validate_data(self, X, skip_check_array=True), classes, codes

    def _check_rows(self, X):
        refuse_no_rows(X)
        return validate_data(self, X, reset=False, skip_check_array=True)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        # As in scikit-learn's DummyClassifier, which does not look at X either.
        tags.no_validation = True
        for kind in ("sparse", "categorical", "string", "allow_nan"):
            setattr(tags.input_tags, kind, True)
        return tags


class SymmetricNoiseInjector(_AnyRowsMixin, BaseEstimator):
    """Symmetric label noise: some rows get a random label, whatever their class.

    A step of an imbalanced-learn pipeline, or on its own. X is only counted: it may be
    a table with strings or missing values, sparse, images, a list of texts, or None.

    Parameters
    ----------
    noise_rate : float in [0, 1], default=0.2
        Share of rows that are given a random label.
    convention : {"exclude", "include"}, default="exclude"
        Where the random label comes from.

        - "exclude": from the other classes, as in [1]_. ``noise_rate`` is the expected
          share of wrong labels.
        - "include": from all classes, as in [2]_. The expected share of wrong labels
          is ``noise_rate * (n_classes - 1) / n_classes``: "80 % noise" on ten classes
          makes 72 % of the labels wrong.
    selection : {"bernoulli", "exact", "exact_per_class"}, default="bernoulli"
        Which rows are given a random label.

        - "bernoulli": each row independently, with probability ``noise_rate``.
        - "exact": ``floor(noise_rate * n_samples)`` rows.
        - "exact_per_class": ``ceil(noise_rate * n_rows)`` rows of each class.
    random_state : int, RandomState instance or None, default=None
        The same int gives the same labels for the same y.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The sorted labels given to ``fit``.
    transition_matrix_ : ndarray of shape (n_classes, n_classes)
        The matrix of ``noise_rate`` and ``convention``: rows = true class.
    noise_mask_ : ndarray of shape (n_samples,), dtype bool
        True where ``fit_resample`` changed the label.
    noise_rate_ : float
        Share of labels that ``fit_resample`` changed.
    n_features_in_ : int
        Number of features, if X has them.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if X has names that are all strings.

    See Also
    --------
    TransitionNoiseInjector : Noise with your own transition matrix.
    InstanceNoiseInjector : Noise that depends on the features.

    Notes
    -----
    Up to ``noise_rate = 1 - 1 / n_classes`` ("exclude") or 1 ("include") the true class
    stays the most likely label of its rows.

    References
    ----------
    .. [1] G. Patrini, A. Rozza, A. K. Menon, R. Nock, L. Qu, "Making deep neural
       networks robust to label noise: a loss correction approach", CVPR 2017.
       arXiv:1609.03683
    .. [2] J. Li, R. Socher, S. C. H. Hoi, "DivideMix: Learning with noisy labels as
       semi-supervised learning", ICLR 2020. arXiv:2002.07394

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sknoisy import SymmetricNoiseInjector
    >>> X, y = load_iris(return_X_y=True)
    >>> injector = SymmetricNoiseInjector(0.2, selection="exact", random_state=0)
    >>> X, y_noisy = injector.fit_resample(X, y)
    >>> injector.noise_rate_, int((y_noisy != y).sum())
    (0.2, 30)
    """

    _parameter_constraints = {
        "noise_rate": [Interval(Real, 0, 1, closed="both")],
        "convention": [StrOptions({"exclude", "include"})],
        "selection": [StrOptions({"bernoulli", "exact", "exact_per_class"})],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        noise_rate: float = 0.2,
        *,
        convention: Literal["exclude", "include"] = "exclude",
        selection: Literal["bernoulli", "exact", "exact_per_class"] = "bernoulli",
        random_state: RandomState = None,
    ) -> None:
        self.noise_rate = noise_rate
        self.convention = convention
        self.selection = selection
        self.random_state = random_state

    def _fit_model(self, X):
        self.transition_matrix_ = symmetric_matrix(
            len(self.classes_), self.noise_rate, self.convention
        )

    def _draw(self, X, codes):
        rng = self._generator(codes)
        n_classes = len(self.classes_)
        rows = _select_rows(codes, n_classes, self.noise_rate, self.selection, rng)
        noisy = codes.copy()
        if self.convention == "include":
            noisy[rows] = rng.integers(n_classes, size=len(rows))
        else:
            # A step of 1 to n_classes - 1 around the circle reaches every other class.
            steps = rng.integers(1, n_classes, size=len(rows))
            noisy[rows] = (codes[rows] + steps) % n_classes
        return noisy


class TransitionNoiseInjector(_AnyRowsMixin, BaseEstimator):
    """Class-conditional label noise with a given transition matrix.

    Each row gets a label drawn from the matrix row of its class. X is only counted: it
    may be a table with strings or missing values, sparse, images, a list of texts, or
    None.

    Parameters
    ----------
    transition_matrix : array-like of shape (n_classes, n_classes) or callable
        ``transition_matrix[a, b]`` is the probability that a row of class ``a`` is
        given the label ``b``. Classes are in sorted order, rows sum to 1. A callable
        takes the number of classes and returns such a matrix, for any number of
        classes: ``functools.partial(pair_flip_matrix, noise_rate=0.4)``.
    random_state : int, RandomState instance or None, default=None
        The same int gives the same labels for the same y.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The sorted labels given to ``fit``.
    transition_matrix_ : ndarray of shape (n_classes, n_classes)
        The matrix as a float64 array.
    noise_mask_ : ndarray of shape (n_samples,), dtype bool
        True where ``fit_resample`` changed the label.
    noise_rate_ : float
        Share of labels that ``fit_resample`` changed.
    n_features_in_ : int
        Number of features, if X has them.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if X has names that are all strings.

    See Also
    --------
    pair_flip_matrix : The matrix of noise that goes to the next class.
    symmetric_matrix : The matrix of noise that goes to all classes equally.
    SymmetricNoiseInjector : Symmetric noise, also with exact numbers of rows.

    References
    ----------
    .. [1] G. Patrini, A. Rozza, A. K. Menon, R. Nock, L. Qu, "Making deep neural
       networks robust to label noise: a loss correction approach", CVPR 2017.
       arXiv:1609.03683. Its asymmetric noise is noise of this kind.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sknoisy import TransitionNoiseInjector, pair_flip_matrix
    >>> X, y = load_iris(return_X_y=True)
    >>> injector = TransitionNoiseInjector(pair_flip_matrix(3, 1.0), random_state=0)
    >>> X, y_noisy = injector.fit_resample(X, y)
    >>> y[[0, 50, 100]], y_noisy[[0, 50, 100]]
    (array([0, 1, 2]), array([1, 2, 0]))
    """

    _parameter_constraints = {
        "transition_matrix": ["array-like", callable],
        "random_state": ["random_state"],
    }

    def __init__(
        self, transition_matrix: Any, *, random_state: RandomState = None
    ) -> None:
        self.transition_matrix = transition_matrix
        self.random_state = random_state

    def _fit_model(self, X):
        n_classes = len(self.classes_)
        T = self.transition_matrix
        T = check_transition_matrix(T(n_classes) if callable(T) else T)
        if len(T) != n_classes:
            raise ValueError(
                f"transition_matrix is for {len(T)} classes, but y has {n_classes}: "
                f"{self.classes_.tolist()}."
            )
        self.transition_matrix_ = T

    def _draw(self, X, codes):
        return sample_labels(codes, self.transition_matrix_, self._generator(codes))


def _select_rows(codes, n_classes, noise_rate, selection, rng):
    """Return the numbers of the rows that are given a random label."""
    n_samples = len(codes)
    if selection == "bernoulli":
        return np.flatnonzero(rng.random(n_samples) < noise_rate)
    # 0.29 * 100 is 28.999999999999996 and 0.07 * 100 is 7.000000000000001 in floating
    # point: round first, or the number of rows is off by one.
    if selection == "exact":
        n_rows = int(np.floor(np.round(noise_rate * n_samples, 9)))
        return rng.choice(n_samples, n_rows, replace=False)
    return np.concatenate(
        [
            rng.choice(
                rows, int(np.ceil(np.round(noise_rate * len(rows), 9))), replace=False
            )
            for rows in rows_by_class(codes, n_classes)
        ]
    )
