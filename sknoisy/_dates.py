"""Refuse dates and times in X."""

import numpy as np

__all__ = ["refuse_dates", "refuse_dates_without_steps"]

# Prefixes of the types of dates, times and spans in numpy, pandas, pyarrow and polars.
_DATES = ("date", "time", "duration", "period")


def refuse_dates(X):
    """Refuse dates and times, which would be converted to numbers as large as 1e18.

    Parameters
    ----------
    X : array-like
        A frame or an array of objects is checked by its types and its first row.

    Raises
    ------
    TypeError
        If a column, or an array, holds dates, times or time spans.
    """
    found = next((pair for pair in _types_in(X) if _is_date(pair[1])), None)
    if found is not None:
        place = "" if found[0] is None else f" in column {found[0]!r}"
        raise TypeError(
            f"X has dates or times{place} ({found[1]}), which would become numbers as "
            "large as 1e18. Convert them to features such as year, month, weekday or "
            "days "
            "since a first day, for example by skrub's TableVectorizer."
        )


def refuse_dates_without_steps(estimator, X):
    """Refuse dates and times, unless a step before the classifier may take them.

    Parameters
    ----------
    estimator : estimator
        A pipeline, what holds one, or neither.
    X : array-like

    Raises
    ------
    TypeError
        As `refuse_dates`.
    """
    while hasattr(estimator, "estimator"):
        estimator = estimator.estimator
    if not hasattr(estimator, "steps"):
        refuse_dates(X)


def _types_in(X):
    """Return pairs of column and type; the column is None if there are no names."""
    if hasattr(X, "columns") and hasattr(X, "dtypes"):
        pairs = list(zip(X.columns, X.dtypes, strict=True))
        first = X[:1].to_numpy()[0] if len(X) and len(pairs) else ()
    elif isinstance(X, list | tuple) and len(X):
        X = np.asarray(X[:1])
        pairs, first = [(None, X.dtype)], X.ravel()
    else:
        pairs = [(None, getattr(X, "dtype", ""))]
        is_filled = (
            isinstance(X, np.ndarray) and X.dtype == object and X.ndim and X.size
        )
        first = X[:1].ravel() if is_filled else ()
    if "object" not in {str(kind).lower() for _, kind in pairs}:
        return pairs
    names = [name for name, _ in pairs] if len(pairs) == len(first) else []
    names = names or [None] * len(first)
    return pairs + [(n, type(v).__name__) for n, v in zip(names, first, strict=True)]


def _is_date(kind):
    # For a categorical column, the type of its categories counts.
    kind = getattr(getattr(kind, "categories", None), "dtype", kind)
    return str(kind).lower().startswith(_DATES)
