"""Statistics of the noise between two label vectors, in the user's labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from sknoisy._codes import encode_labels
from sknoisy._labels import label_list
from sknoisy.noise._transition import Codes, Floats, empirical_transition_matrix

if TYPE_CHECKING:
    import pandas as pd


def estimate_transition_matrix(
    y_true: ArrayLike, y_noisy: ArrayLike, *, labels: ArrayLike | None = None
) -> Floats:
    """Return the share of each given label among the rows of each true class.

    Parameters
    ----------
    y_true, y_noisy : array-like of shape (n_samples,)
        True and given labels: numbers, strings, a Series.
    labels : array-like of shape (n_classes,), default=None
        The classes in the order of the rows and columns, all that occur among them.
        None takes those that occur in either vector, sorted.

    Returns
    -------
    T : ndarray of shape (n_classes, n_classes), dtype float64
        Rows = true class, columns = given class; rows sum to 1. A class without rows
        gets the row of the identity: nothing shows that its labels change.

    Raises
    ------
    ValueError
        If the two vectors differ in length, a label is missing or not in ``labels``,
        or ``labels`` names one twice.
    TypeError
        If some labels are strings and some are numbers.

    See Also
    --------
    noise_report : The same as a table in words.
    TransitionMatrixDisplay : The same as a plot.
    TransitionNoiseInjector : Draw labels with such a matrix.

    Examples
    --------
    >>> from sknoisy import estimate_transition_matrix
    >>> y_true = ["cat", "cat", "cat", "cat", "dog"]
    >>> y_noisy = ["cat", "cat", "cat", "dog", "dog"]
    >>> estimate_transition_matrix(y_true, y_noisy)
    array([[0.75, 0.25],
           [0.  , 1.  ]])
    """
    classes, true, noisy = encode_both(y_true, y_noisy, labels)
    return empirical_transition_matrix(true, noisy, len(classes))


def noise_report(y_true: ArrayLike, y_noisy: ArrayLike) -> pd.DataFrame:
    """Return a table of the wrong labels of each class.

    Parameters
    ----------
    y_true, y_noisy : array-like of shape (n_samples,)
        True and given labels: numbers, strings, a Series.

    Returns
    -------
    report : pandas DataFrame
        One row for each true class, in sorted order, and a last row "all classes". The
        index is named "true_label". Columns:

        - n_rows: rows of the class,
        - n_wrong: those among them that were given another label,
        - noise_rate: ``n_wrong / n_rows``,
        - top_wrong_label: the wrong label given most often, the first in sorted order
          if several are; None without wrong labels,
        - share_of_wrong: its share of the wrong labels; NaN without any.

    Raises
    ------
    ValueError
        If the two vectors differ in length, or a label is missing.
    TypeError
        If some labels are strings and some are numbers.
    ImportError
        If pandas is not installed.

    See Also
    --------
    estimate_transition_matrix : The shares of all given labels.

    Examples
    --------
    >>> from sknoisy import noise_report
    >>> y_true = ["cat", "cat", "cat", "cat", "dog"]
    >>> y_noisy = ["cat", "cat", "emu", "dog", "dog"]
    >>> report = noise_report(y_true, y_noisy)
    >>> report["noise_rate"].to_dict()
    {'cat': 0.5, 'dog': 0.0, 'all classes': 0.4}
    >>> report.loc["cat", "top_wrong_label"], float(report.loc["cat", "share_of_wrong"])
    ('dog', 0.5)
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError(
            "noise_report needs pandas: pip install 'sknoisy[report]'."
        ) from error
    classes, true, noisy = encode_both(y_true, y_noisy)
    counts = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(counts, (true, noisy), 1)
    present = np.flatnonzero(counts.sum(axis=1))
    shown = [*(classes[c] for c in present), "all classes"]
    counts = np.vstack([counts[present], counts.sum(axis=0)])
    wrong = counts.copy()
    wrong[np.arange(len(present)), present] = 0
    wrong[-1] = wrong[:-1].sum(axis=0)
    n_rows, n_wrong, top = counts.sum(axis=1), wrong.sum(axis=1), wrong.argmax(axis=1)
    with np.errstate(invalid="ignore"):
        share = wrong.max(axis=1) / n_wrong
    names = [classes[c] if n else None for c, n in zip(top, n_wrong, strict=True)]
    index = pd.Index(shown, name="true_label", dtype=object)
    return pd.DataFrame(
        {
            "n_rows": n_rows,
            "n_wrong": n_wrong,
            "noise_rate": n_wrong / n_rows,
            # As objects, or numbers beside None turn into floats, and None into NaN.
            "top_wrong_label": pd.Series(names, index=index, dtype=object),
            "share_of_wrong": share,
        },
        index=index,
    )


def encode_both(
    y_true: ArrayLike, y_noisy: ArrayLike, labels: Any = None
) -> tuple[list[Any], Codes, Codes]:
    """Turn two label vectors into codes of the same classes.

    Parameters
    ----------
    y_true, y_noisy : array-like of shape (n_samples,)
    labels : array-like of shape (n_classes,), default=None
        The classes in their order; None sorts those that occur.

    Returns
    -------
    classes : list
    true_codes, noisy_codes : ndarray of shape (n_samples,), dtype int64

    Raises
    ------
    ValueError, TypeError
        As `estimate_transition_matrix`.
    """
    encoded = encode_labels(y_true), encode_labels(y_noisy)
    n_true, n_noisy = (len(codes) for _, codes in encoded)
    if n_true != n_noisy or n_true == 0:
        raise ValueError(
            "y_true and y_noisy must have the same number of labels, at least one; got "
            f"{n_true} and {n_noisy}."
        )
    # Through lists: joining arrays would turn numbers into strings silently.
    found = {label for seen, _ in encoded for label in label_list(seen)}
    if labels is not None and np.ndim(labels) != 1:
        raise TypeError(f"labels must list the classes in their order; got {labels!r}.")
    classes = _sorted(found) if labels is None else list(labels)
    if len(set(classes)) < len(classes):
        raise ValueError(f"labels must name every class once; got {classes}.")
    position = {label: code for code, label in enumerate(classes)}
    absent = [label for label in found if label not in position]
    if absent:
        raise ValueError(
            f"y_true or y_noisy has labels that are not in labels: {absent}; labels "
            f"are {classes}."
        )
    true, noisy = (
        np.array([position[label] for label in label_list(seen)], dtype=np.int64)[codes]
        for seen, codes in encoded
    )
    return classes, true, noisy


def _sorted(found: set[Any]) -> list[Any]:
    try:
        return sorted(found)
    except TypeError as error:
        raise TypeError(
            "y_true and y_noisy must have labels of one kind, all strings or all "
            f"numbers; got {sorted(found, key=str)}."
        ) from error
