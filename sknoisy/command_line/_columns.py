"""Turn the columns of a table into the numbers that a detector needs."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, OneHotEncoder, StandardScaler

from sknoisy.command_line._errors import CommandError
from sknoisy.command_line._files import import_pandas
from sknoisy.command_line._notation import (
    Notation,
    advice,
    ambiguous_dates,
    as_dates,
    as_numbers,
)

_MAX_CATEGORIES = 40
_MAX_TEXT_FEATURES = 100
# A run of letters and digits, or any other single character: every text that is not
# blank has at least one word.
_WORD = r"(?u)\w+|[^\w\s]"
_ID_NAME = re.compile(r"(.*[^a-z0-9])?(id|uuid|guid|index)", re.IGNORECASE)


@dataclass(frozen=True)
class NumberTable:
    """A table as numbers, and how each column was used.

    Attributes
    ----------
    values : ndarray of shape (n_samples, n_features), dtype float32
    kinds : dict of str to list of str
        Names of the columns that are "numeric", "date", "categorical" and "text".
    dropped : dict of str to str
        Why each of these columns is not used.
    notes : list of str
        Further remarks on the columns for the user.
    """

    values: NDArray[np.float32]
    kinds: dict[str, list[str]]
    dropped: dict[str, str]
    notes: list[str] = field(default_factory=list)


def to_numbers(
    frame: Any,
    *,
    text: Collection[str] = (),
    notation: Notation | None = None,
    random_state: int | None = None,
) -> NumberTable:
    """Turn a table into numbers on one scale.

    Numbers and dates: missing values become the median, with an indicator column; then
    mean 0 and variance 1. Few distinct values: one-hot encoded, also a missing value.
    Texts: TF-IDF, reduced to at most 100 columns by a truncated SVD. Columns with a
    single value are dropped, and columns that only number or name the rows.

    Parameters
    ----------
    frame : pandas DataFrame
        Without the labels.
    text : collection of str
        Columns to treat as texts in any case.
    notation : Notation or None
        How numbers and dates are written; None uses the notation of Python.
    random_state : int or None
        Seed of the SVD.

    Returns
    -------
    table : NumberTable

    Raises
    ------
    CommandError
        If no column is left, or a cell holds more than one value.
    """
    kinds: dict[str, list[str]] = {
        "numeric": [],
        "date": [],
        "categorical": [],
        "text": [],
    }
    notation = notation or Notation()
    dropped: dict[str, str] = {}
    columns: dict[str, Any] = {}
    notes = []
    for name in frame.columns:
        kind, columns[name] = _recognise(frame[name], name in text, notation)
        if kind in kinds:
            kinds[kind].append(name)
        else:
            dropped[name] = kind
        if name not in text:
            notes.append(_note(frame[name], kind, notation))
    if len(dropped) == frame.shape[1]:
        reasons = [f"{name!r} {reason}" for name, reason in dropped.items()][:3]
        why = "; ".join(["", *reasons, *filter(None, notes)])
        raise CommandError(f"no column is left to score the labels by{why}")
    parts = [_scaled_and_encoded(columns, kinds)]
    parts += [_text_features(columns[name], random_state) for name in kinds["text"]]
    values = np.hstack([part for part in parts if part is not None])
    return NumberTable(values, kinds, dropped, [note for note in notes if note])


def _recognise(column: Any, is_text: bool, notation: Notation) -> tuple[str, Any]:
    """Return the kind of a column, or why it is dropped, and its converted cells."""
    pd = import_pandas()
    if is_text:
        return "text", _as_strings(column, notation)
    if pd.api.types.is_datetime64_any_dtype(column):
        return _number_or_constant("date", _days(column))
    if pd.api.types.is_timedelta64_dtype(column):
        return _number_or_constant("date", column / pd.Timedelta(days=1))
    if pd.api.types.is_numeric_dtype(column):
        return _recognise_numbers(column)
    return _recognise_strings(column.name, _as_strings(column, notation), notation)


def _note(column: Any, kind: str, notation: Notation) -> str | None:
    """Return a remark for the user on a column of strings, or None."""
    pd = import_pandas()
    types = pd.api.types
    if types.is_numeric_dtype(column) or types.is_datetime64_any_dtype(column):
        return None
    if kind == "date" and not types.is_timedelta64_dtype(column):
        present = _as_strings(column, notation).dropna()
        return ambiguous_dates(column.name, present, notation)
    if kind not in ("text", "categorical", "names the rows"):
        return None
    present = _as_strings(column, notation).dropna()
    taken_as = {"names the rows": "names of rows"}.get(kind, kind)
    return advice(column.name, present, taken_as, notation)


def _recognise_numbers(column: Any) -> tuple[str, Any]:
    numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
    numbers = np.where(np.isinf(numbers), np.nan, numbers)
    if len(numbers) > 2 and (np.diff(numbers) == 1).all():
        return "numbers the rows", None
    is_whole = np.isfinite(numbers).all() and (numbers == np.rint(numbers)).all()
    is_distinct = len(np.unique(numbers)) == len(numbers)
    if _ID_NAME.fullmatch(str(column.name)) and is_whole and is_distinct:
        return "names the rows", None
    return _number_or_constant("numeric", numbers)


def _recognise_strings(name: str, strings: Any, notation: Notation) -> tuple[str, Any]:
    present = strings.dropna()
    values = present.unique()
    if len(values) == 0 or (len(values) == 1 and len(present) == len(strings)):
        return "has a single value", None
    # The first cells rule out numbers for most columns of texts, without parsing all.
    if not as_numbers(present.iloc[:100], notation).isna().any():
        numbers = as_numbers(present, notation)
        if not numbers.isna().any():
            return _recognise_numbers(numbers.reindex(strings.index).rename(name))
    dates = as_dates(present, notation)
    if dates is not None:
        return _number_or_constant("date", _days(dates.reindex(strings.index)))
    has_blanks = present.str.contains(r"\s", regex=True).any()
    if len(values) == len(strings) and not has_blanks:
        return "names the rows", None
    if len(values) <= _MAX_CATEGORIES and 2 * len(values) <= len(present):
        return "categorical", strings
    return "text", strings


def _number_or_constant(kind: str, numbers: Any) -> tuple[str, Any]:
    numbers = np.asarray(numbers, dtype=np.float64)
    if len(np.unique(numbers)) == 1:  # NaN are equal here
        return "has a single value", None
    return kind, numbers


def _as_strings(column: Any, notation: Notation) -> Any:
    """Return the cells as strings, None where missing, numbered from 0."""
    pd = import_pandas()
    missing = column.isna().to_numpy()
    cells = np.full(len(column), None, dtype=object)
    for row in np.flatnonzero(~missing):
        cell = column.iat[row]
        if isinstance(cell, list | tuple | dict | set | np.ndarray):
            raise CommandError(
                f"column {column.name!r} holds several values a cell "
                f"({type(cell).__name__}); split them into columns, or --drop it"
            )
        text = str(cell)
        cells[row] = None if text in notation.missing else text
    return pd.Series(cells, name=column.name, dtype=object)


def _days(dates: Any) -> Any:
    """Return dates as days since 1970, NaN where missing."""
    if dates.dt.tz is not None:
        dates = dates.dt.tz_convert("UTC").dt.tz_localize(None)
    # In whole seconds, since finer units overflow for distant years.
    seconds = dates.to_numpy(dtype="datetime64[s]")
    days = seconds.astype(np.int64) / 86_400
    days[np.isnat(seconds)] = np.nan
    return days


def _scaled_and_encoded(
    columns: dict[str, Any], kinds: dict[str, list[str]]
) -> NDArray[np.float32] | None:
    pd = import_pandas()
    numbers, categories = kinds["numeric"] + kinds["date"], kinds["categorical"]
    if not numbers + categories:
        return None
    transformer = ColumnTransformer(
        [
            (
                "numbers",
                make_pipeline(
                    # Otherwise the squares of very large numbers would overflow.
                    MaxAbsScaler(),
                    SimpleImputer(strategy="median", add_indicator=True),
                    StandardScaler(),
                ),
                numbers,
            ),
            (
                "categories",
                OneHotEncoder(sparse_output=False, dtype=np.float32),
                categories,
            ),
        ]
    )
    transformer.set_output(transform="default")
    used = pd.DataFrame({name: columns[name] for name in numbers + categories})
    return transformer.fit_transform(used).astype(np.float32)


def _text_features(strings: Any, random_state: int | None) -> NDArray[np.float32]:
    vectorizer = TfidfVectorizer(
        token_pattern=_WORD, sublinear_tf=True, max_features=50_000, dtype=np.float32
    )
    try:
        words = vectorizer.fit_transform([text or "" for text in strings])
    except ValueError as error:
        raise CommandError(f"column {strings.name!r} has no words") from error
    if words.shape[1] > _MAX_TEXT_FEATURES:
        svd = TruncatedSVD(_MAX_TEXT_FEATURES, random_state=random_state)
        svd.set_output(transform="default")
        features = svd.fit_transform(words)
    else:
        features = words.toarray()
    # One factor for all columns: scaling each alone would amplify the smallest.
    return (features / max(features.std(), np.finfo(np.float32).tiny)).astype(
        np.float32
    )
