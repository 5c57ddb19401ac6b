"""The only module that uses private scikit-learn API, and the checks of X and y.

The rest of the package imports private names of scikit-learn from here, under public
names.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Self, cast

import numpy as np
from sklearn import config_context, get_config
from sklearn.utils import _safe_indexing, validation
from sklearn.utils import indexable as _indexable
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    Options,
    RealNotInt,
    StrOptions,
    validate_parameter_constraints,
)
from sklearn.utils.metadata_routing import _raise_for_params, _routing_enabled
from sklearn.utils.metaestimators import _BaseComposition, _safe_split
from sklearn.utils.validation import _check_method_params, _check_sample_weight

from sknoisy._codes import check_classes, encode_labels, sorted_classes
from sknoisy._dates import refuse_dates
from sknoisy._image_rows import refuse_channels_last
from sknoisy._row_source import check_row_source, is_row_source
from sknoisy._rows import explained, plain_rows, refuse_odd_rows
from sknoisy._rows_elsewhere import opened, whole_array

if TYPE_CHECKING:
    from sknoisy._types import Array, ArrayLike, Estimator, IntArray, Labels, Rows

__all__ = [
    "HasMethods",
    "Interval",
    "NamedParts",
    "Options",
    "RealNotInt",
    "StrOptions",
    "check_any_rows_and_labels",
    "check_consistent_length",
    "check_method_params",
    "check_numbers",
    "check_rows",
    "check_rows_and_labels",
    "check_sample_weight",
    "indexable",
    "refuse_params_unless_routed",
    "routes_metadata",
    "safe_indexing",
    "safe_split",
    "validate_data",
    "validate_parameter_constraints",
]


def __getattr__(name):
    # Imported lazily, since only saved files need it: sklearn.tree takes 50 ms.
    if name in ("NODE_DTYPE", "Tree"):
        from sklearn.tree import _tree

        return getattr(_tree, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _for_any_rows(function):
    """Wrap a function of scikit-learn to run without array API dispatch.

    With ``array_api_dispatch`` it would refuse objects that only have ``__array__``.
    """

    @functools.wraps(function)
    def without_dispatch(*args, **kwargs):
        with config_context(array_api_dispatch=False):
            return function(*args, **kwargs)

    return without_dispatch


check_consistent_length = _for_any_rows(validation.check_consistent_length)
check_method_params = _check_method_params
check_sample_weight = _for_any_rows(_check_sample_weight)
indexable = _for_any_rows(_indexable)
safe_indexing = _for_any_rows(_safe_indexing)
safe_split = _safe_split
validate_data = _for_any_rows(validation.validate_data)


class NamedParts(_BaseComposition):
    """An estimator with a list of (name, part) pairs and access to their parameters.

    ``_named_parts`` is the name of the parameter that holds the list.
    """

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters, including those of the parts.

        Parameters
        ----------
        deep : bool, default=True
            False returns the estimator's own parameters only.

        Returns
        -------
        params : dict
            Parameters by name; those of a part as ``part__name``.
        """
        return self._get_params(self._named_parts, deep=deep)

    def set_params(self, **params: Any) -> Self:
        """Set parameters, including those of the parts.

        Parameters
        ----------
        **params : dict
            ``part__name=value`` sets a parameter of a part, ``part=estimator`` replaces
            it.

        Returns
        -------
        self : object
            The estimator.
        """
        return self._set_params(self._named_parts, **params)

    def check_part_names(self, names: list[str]) -> None:
        """Refuse names that occur twice, contain ``__`` or are names of parameters.

        Parameters
        ----------
        names : list of str
            Names of the parts.

        Raises
        ------
        ValueError
            If a name is not allowed.
        """
        self._validate_names(names)


def check_rows(
    estimator: Estimator,
    X: Rows,
    *,
    reset: bool = False,
    min_samples: int = 1,
    on_disk: bool = False,
) -> Array:
    """Check X and return it as float32, or as uint8 if it holds uint8 images.

    Parameters
    ----------
    estimator : estimator
        ``n_features_in_`` and ``feature_names_in_`` are set if ``reset``, else X is
        compared with them.
    X : array-like of shape (n_samples, n_features) or (n_samples, C, H, W)
        Rows of a table, or images.
    reset : bool, default=False
        True in ``fit``.
    min_samples : int, default=1
        Smallest allowed number of rows.
    on_disk : bool, default=False
        Whether rows that are not in memory are returned as a `RowSource`; if False they
        are refused, unless they are an array on disk that fits in memory.

    Returns
    -------
    X : ndarray, dtype float32 or uint8, or RowSource
        The same rows.

    Raises
    ------
    ValueError
        If X has NaN or infinite values, too few rows, another number of features than
        in ``fit``, or is channels-last.
    TypeError
        If X is sparse, a dict or a tensor that requires grad, or has dates or times; or
        if its rows are on disk, and the estimator needs all of them at once.
    """
    X = opened(X) if on_disk else whole_array(opened(X))
    if is_row_source(X):
        source = check_row_source(
            X,
            type(estimator).__name__,
            min_samples=min_samples,
            **_takes(estimator, on_disk),
        )
        validate_data(estimator, source, reset=reset, skip_check_array=True)
        return cast("Array", source)
    rows = _refuse_sparse(plain_rows(X))
    # Before scikit-learn compares the height with the number of features.
    refuse_channels_last(getattr(rows, "shape", ()))
    is_uint8 = getattr(rows, "ndim", 2) == 4 and np.asarray(rows).dtype == np.uint8
    rows = check_numbers(
        estimator,
        rows,
        reset=reset,
        dtype=np.uint8 if is_uint8 else np.float32,
        allow_nd=True,
        ensure_all_finite=not _is_surely_finite(rows),
        ensure_min_samples=min_samples,
    )
    refuse_channels_last(rows.shape)
    return rows


def check_numbers(estimator, X, **how):
    """Check that X is a table of numbers, as scikit-learn's ``validate_data`` does.

    Parameters
    ----------
    estimator : estimator
    X : array-like of shape (n_samples, ...)
    **how : dict
        Passed to ``validate_data``.

    Returns
    -------
    X : ndarray or sparse matrix

    Raises
    ------
    ValueError, TypeError
        If X is not such a table. The error names texts, columns of strings, dates, rows
        of different lengths, dicts and similar faults.
    """
    if X is None:
        raise ValueError(
            f"X is None; {type(estimator).__name__} needs one row of features for each "
            "label."
        )
    name = type(estimator).__name__
    X = whole_array(opened(X))
    if is_row_source(X):
        check_row_source(X, name, **_takes(estimator, False))
    given, X = X, plain_rows(X)
    refuse_dates(X)
    # An overflow raises an error below, which is clearer than numpy's warning.
    with explained(given, name), np.errstate(over="ignore"):
        return validate_data(estimator, X, **how)


def check_rows_and_labels(
    estimator: Estimator,
    X: Rows,
    y: Labels,
    *,
    classes: ArrayLike | None = None,
    min_samples: int = 2,
    min_per_class: int = 1,
    on_disk: bool = False,
) -> tuple[Array, Array, IntArray]:
    """Check the X and y given to ``fit``.

    Parameters
    ----------
    estimator : estimator
        ``n_features_in_`` and ``feature_names_in_`` are set on it.
    X : array-like of shape (n_samples, n_features) or (n_samples, C, H, W)
        Rows of a table, or images.
    y : array-like of shape (n_samples,)
        Labels of any kind.
    classes : array-like of shape (n_classes,), default=None
        All labels, if some may be absent from y.
    min_samples, min_per_class : int
        Smallest allowed number of rows, in total and in each class.
    on_disk : bool, default=False
        As in `check_rows`.

    Returns
    -------
    X : ndarray, dtype float32 or uint8, or RowSource
        The same rows.
    classes : ndarray of shape (n_classes,)
        The sorted distinct labels.
    codes : ndarray of shape (n_samples,), dtype int64
        Position of each label in ``classes``.

    Raises
    ------
    ValueError
        As `check_rows`; and if y is missing, continuous, has NaN, another length than
        X, fewer than two classes, or a class with fewer than ``min_per_class`` rows.
    """
    if y is None:
        raise ValueError(
            f"{type(estimator).__name__} requires y to be passed, but the target y is "
            "None."
        )
    X = check_rows(estimator, X, reset=True, min_samples=min_samples, on_disk=on_disk)
    classes, codes = encode_labels(y, sorted_classes(classes))
    check_consistent_length(X, codes)
    check_classes(estimator, classes, codes, min_per_class)
    return X, classes, codes


def check_any_rows_and_labels(estimator, X, y, *, min_per_class=2):
    """Check the X and y of an estimator whose classifier checks what X is.

    Parameters
    ----------
    estimator : estimator
        It gets ``n_features_in_`` and ``feature_names_in_`` if X has
        them.
    X : array-like
        Only counted, as its classifier checks it, and opened if it is not in memory.
    y : array-like of shape (n_samples,)
    min_per_class : int, default=2
        Smallest allowed number of rows in each class.

    Returns
    -------
    X : array-like or RowSource
    classes : ndarray of shape (n_classes,)
    codes : ndarray of shape (n_samples,), dtype int64

    Raises
    ------
    ValueError
        If y is missing or not labels, has another length than X, or if there are
        fewer than two classes, or too few rows of one.
    """
    if y is None:
        raise ValueError(
            f"{type(estimator).__name__} requires y to be passed, but the target y is "
            "None."
        )
    if X is None:
        raise ValueError(
            f"X is None; {type(estimator).__name__} needs one row of features for each "
            "label."
        )
    X = opened(X)
    refuse_odd_rows(X)
    validate_data(estimator, X, skip_check_array=True)
    classes, codes = encode_labels(y)
    check_consistent_length(X, codes)
    check_classes(estimator, classes, codes, min_per_class)
    return X, classes, codes


def routes_metadata():
    """Return whether scikit-learn's metadata routing is enabled."""
    return _routing_enabled()


def refuse_params_unless_routed(params, estimator, method):
    """Refuse metadata unless metadata routing is enabled.

    Raises
    ------
    ValueError
        If there are params, and metadata routing is not enabled.
    """
    _raise_for_params(params, estimator, method)


def _takes(estimator, on_disk):
    """Return whether rows on disk are taken, and what takes them if not."""
    instead = getattr(estimator, "_instead_on_disk", "")
    return {"takes": on_disk, "instead": instead}


def _is_surely_finite(X):
    """Return whether one fast pass shows that a float32 array has no NaN or infinity.

    The product of a vector with itself is NaN or infinite if an entry is. It takes two
    thirds of the time of scikit-learn's test, which is run if the result is False.
    """
    if not isinstance(X, np.ndarray) or X.dtype != np.float32:
        return False
    if isinstance(X, np.matrix):
        # np.dot would be a matrix product; scikit-learn refuses it.
        return False
    if not X.flags.c_contiguous or get_config()["assume_finite"]:
        return False
    flat = X.ravel()
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(np.dot(flat, flat)))


def _refuse_sparse(X):
    if hasattr(X, "columns") and hasattr(X, "sparse"):
        kinds = {str(kind).startswith("Sparse") for kind in X.dtypes}
        if kinds == {True}:
            raise TypeError(
                "Sparse data was passed for X (a frame with sparse columns), but dense "
                "data is required. Use X.sparse.to_dense() if it fits in memory, or "
                "put sklearn.decomposition.TruncatedSVD before this estimator."
            )
    if hasattr(X, "toarray") and not hasattr(X, "to_numpy"):
        raise TypeError(
            f"Sparse data was passed for X ({type(X).__name__}), but dense data is "
            "required. Use X.toarray() if it fits in memory, or put "
            "sklearn.decomposition.TruncatedSVD before this estimator."
        )
    return X
