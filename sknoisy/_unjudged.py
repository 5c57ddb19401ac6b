"""Rows whose label occurs once: a detector scores the other rows only."""

import functools
from typing import NamedTuple

import numpy as np

from sknoisy._codes import RareClassError
from sknoisy._rows_elsewhere import opened
from sknoisy._selected_rows import params_of_rows
from sknoisy._validation import indexable, safe_indexing

__all__ = ["Along", "scores_the_rest"]


class Along(NamedTuple):
    """Meaning of the axes of a fitted array, to put rows and classes back.

    Attributes
    ----------
    axes : tuple of {"rows", "classes"}
        Meaning of the first axes; any others are unchanged.
    fill : float, default=0.0
        Value for a class that was left out. If both axes are classes, it gets its row
        and column of the identity matrix instead. A row that was left out is NaN, or
        0 in an array of integers.
    numbers_of : {"rows", "classes"}, default=None
        Whether the entries are numbers of rows or of classes; None if neither.
    """

    axes: tuple[str, ...]
    fill: float = 0.0
    numbers_of: str | None = None


def scores_the_rest(fit):
    """Wrap ``fit`` of a detector to leave out the rows of classes that are too small.

    The estimator is fitted on the other rows. Its results are then extended to the
    length of y: a row that was left out has the score 0.5 and no flag, keeps its label,
    and is listed in ``unjudged_``. The estimator's ``_fitted_axes`` names the other
    arrays with an entry for each row or class, and how to fill them.

    Parameters
    ----------
    fit : function
        ``fit`` of a detector, which raises `RareClassError` before any training.

    Returns
    -------
    fit : function
        The wrapped function; raises ValueError if fewer than two classes are left.
    """

    @functools.wraps(fit)
    def fit_on_the_rest(self, X, y, *args, **params):
        vars(self).pop("_unjudged", None)
        rows, labels, own_params = X, y, params
        scored = None
        while True:
            try:
                fit(self, rows, labels, *args, **own_params)
                break
            except RareClassError as error:
                # Not an error of a part, which was fitted on other rows.
                if error.estimator is not self:
                    raise
                if scored is None:
                    classes, codes = error.classes, error.codes
                    scored = np.arange(len(codes))
                scored = scored[~error.is_rare]
            # More classes may be too small in the next pass: rows are counted first,
            # then groups.
            _check_the_rest(self, codes, scored)
            rows = safe_indexing(indexable(opened(X))[0], scored)
            labels = classes[codes[scored]]
            own_params = params_of_rows(params, X, scored)
        if scored is not None:
            _put_back(self, classes, codes, scored)
        return self

    return fit_on_the_rest


def _check_the_rest(estimator, codes, scored):
    n_left = len(np.unique(codes[scored]))
    if n_left < 2:
        n_rare = len(np.unique(codes)) - n_left
        raise ValueError(
            f"{type(estimator).__name__} needs at least two labels that occur twice or "
            f"more (in two groups, if there are groups); y has {n_left} such label(s), "
            f"and {n_rare} that are too rare. Merge rare labels into common ones."
        )


def _put_back(estimator, classes, codes, scored):
    """Extend the results for the scored rows to the length of y."""
    own = vars(estimator)
    kept = {"rows": scored, "classes": np.unique(codes[scored])}
    sizes = {"rows": len(codes), "classes": len(classes)}
    for name, along in estimator._fitted_axes.items():
        if name in own:
            own[name] = _widened(own[name], along, kept, sizes)
    suggested = classes[codes]
    suggested[scored] = estimator.suggested_labels_
    scores = np.full(len(codes), 0.5)
    scores[scored] = estimator.noise_scores_
    mask = np.zeros(len(codes), dtype=bool)
    mask[scored] = estimator.noise_mask_
    estimator.noise_scores_, estimator.noise_mask_ = scores, mask
    estimator.suggested_labels_, estimator.classes_ = suggested, classes
    estimator._unjudged = np.setdiff1d(np.arange(len(codes)), scored)


def _widened(values, along, kept, sizes):
    """Return an array extended by the rows and classes that were left out."""
    if along.numbers_of is not None:
        values = kept[along.numbers_of][values]
    axes = along.axes
    if not axes:
        return values
    shape = [sizes[axis] for axis in axes] + list(values.shape[len(axes) :])
    if axes == ("classes", "classes"):
        full = np.eye(*shape, dtype=values.dtype)
    else:
        full = np.full(shape, along.fill, dtype=values.dtype)
    if axes[0] == "rows" and values.dtype.kind == "f":
        full[np.setdiff1d(np.arange(sizes["rows"]), kept["rows"])] = np.nan
    full[np.ix_(*(kept[axis] for axis in axes))] = values
    return full
