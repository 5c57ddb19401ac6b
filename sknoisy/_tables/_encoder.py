"""Encode frames for linear models, networks or trees."""

from numbers import Integral

import numpy as np
from scipy.sparse import hstack
from sklearn import config_context
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
)
from sklearn.utils.validation import check_is_fitted

from sknoisy._parameters import check_parameters
from sknoisy._rows import is_frame, plain_rows
from sknoisy._tables._cells import (
    as_numbers,
    as_strings,
    is_missing,
    read_column,
)
from sknoisy._tables._columns import Columns, table_columns
from sknoisy._tables._texts import TextFeatures
from sknoisy._validation import Interval, StrOptions, validate_data

__all__ = ["TableEncoder"]

_LARGEST = np.finfo(np.float32).max


class TableEncoder(TransformerMixin, BaseEstimator):
    """Numbers from a table with numbers, dates, categories and texts.

    Parameters
    ----------
    output : {"scaled", "sparse", "codes"}, default="scaled"
        What the numbers are for.

        - "scaled", for networks and neighbours: dense. Numbers, and dates in days, get
          mean 0 and variance 1; missing ones become the median, and a column tells
          where. Categories are one-hot encoded, a missing one too. Texts become
          ``n_text_features`` directions of their TF-IDF.
        - "sparse", for linear models: the same with the TF-IDF itself. Dense if there
          are no texts.
        - "codes", for trees: numbers as they are, NaN where missing; categories as
          codes from 0, NaN where missing or unknown; texts as with "scaled".
    n_text_features : int >= 1, default=30
        Directions for each column of texts; not for "sparse".
    ngrams : {"words", "chars", "both"}, default="chars"
        What is counted in texts: words, runs of 2 to 4 characters, or both.
    text : collection of str, default=()
        Columns that are texts in any case.
    kinds : dict, default=None
        What the columns hold, as in ``columns_.kinds``; others are not used. None
        recognises it, which depends on the rows.
    random_state : int, RandomState instance or None, default=None
        Draws the start of the search for the directions.

    Attributes
    ----------
    columns_ : Columns
        What each column holds, and why some are not used.
    categorical_mask_ : ndarray of shape (n_features_out,), dtype bool
        Which features are codes of categories. They follow the numbers and come before
        the texts.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
    """

    _parameter_constraints = {
        "output": [StrOptions({"scaled", "sparse", "codes"})],
        "n_text_features": [Interval(Integral, 1, None, closed="left")],
        "ngrams": [StrOptions({"words", "chars", "both"})],
        "text": [list, tuple, set, frozenset],
        "kinds": [dict, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        *,
        output="scaled",
        n_text_features=30,
        ngrams="chars",
        text=(),
        kinds=None,
        random_state=None,
    ):
        self.output = output
        self.n_text_features = n_text_features
        self.ngrams = ngrams
        self.text = text
        self.kinds = kinds
        self.random_state = random_state

    def fit(self, X, y=None):
        """Learn what the columns hold.

        Parameters
        ----------
        X : pandas or polars DataFrame, or array-like of shape (n_samples, n_columns)
        y : None
            Not used.

        Returns
        -------
        self : TableEncoder

        Raises
        ------
        ValueError
            If no column is left to use, or if a cell holds several values.
        """
        self._fit_transform(X)
        return self

    def fit_transform(self, X, y=None):
        """Learn what the columns hold, and return their numbers.

        Parameters
        ----------
        X : pandas or polars DataFrame, or array-like of shape (n_samples, n_columns)
        y : None
            Not used.

        Returns
        -------
        features : ndarray of shape (n_samples, n_features_out), or csr_matrix
            Of float32; of float64 with "sparse".
        """
        return self._fit_transform(X)

    def transform(self, X):
        """Return the numbers of further rows.

        Parameters
        ----------
        X : pandas or polars DataFrame, or array-like of shape (n_samples, n_columns)

        Returns
        -------
        features : ndarray of shape (n_samples, n_features_out), or csr_matrix
            Unknown categories are 0 everywhere, with "codes" NaN.

        Raises
        ------
        ValueError
            If a column that held numbers holds something else, or if X has other
            columns than in `fit`.
        """
        check_is_fitted(self, "columns_")
        X = self._check(X, reset=False)
        with config_context(transform_output="default"):
            return self._joined(
                [
                    part.transform(_cells_of(X, kind, names))
                    for kind, (names, part) in self._parts.items()
                ]
            )

    def get_feature_names_out(self, input_features=None):
        """Return the names of the features.

        Parameters
        ----------
        input_features : None
            Not used.

        Returns
        -------
        names : ndarray of shape (n_features_out,), dtype object
        """
        check_is_fitted(self, "columns_")
        names = [
            part.get_feature_names_out([str(name) for name in columns])
            for columns, part in self._parts.values()
        ]
        return np.concatenate(names).astype(object)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        return tags

    def _fit_transform(self, X):
        check_parameters(self)
        X = self._check(X, reset=True)
        if self.kinds is None:
            self.columns_ = table_columns(X, text=self.text)
        else:
            self.columns_ = Columns(dict(self.kinds), {})
        of_kind = self.columns_.of_kind
        names = {
            "numbers": of_kind("number", "date"),
            "categories": of_kind("category"),
            "texts": of_kind("text"),
        }
        made = self._make_parts(has_texts=bool(names["texts"]))
        self._parts = {kind: (names[kind], made[kind]) for kind in made if names[kind]}
        with config_context(transform_output="default"):
            blocks = [
                part.fit_transform(_cells_of(X, kind, names))
                for kind, (names, part) in self._parts.items()
            ]
        are_codes = [k == "categories" and self.output == "codes" for k in self._parts]
        widths = [block.shape[1] for block in blocks]
        self.categorical_mask_ = np.repeat(are_codes, widths)
        return self._joined(blocks)

    def _make_parts(self, *, has_texts):
        """Return what encodes the columns of each kind, in the order of the output."""
        is_sparse = self.output == "sparse"
        n_components = None if is_sparse else self.n_text_features
        texts = TextFeatures(self.ngrams, n_components, self.random_state)
        if self.output == "codes":
            numbers = FunctionTransformer(_as_float32, feature_names_out="one-to-one")
            categories = OrdinalEncoder(
                handle_unknown="use_encoded_value",
                unknown_value=np.nan,
                encoded_missing_value=np.nan,
            )
        else:
            numbers = make_pipeline(
                # Otherwise the squares of very large numbers would overflow.
                MaxAbsScaler(),
                SimpleImputer(strategy="median", add_indicator=True),
                StandardScaler(),
            )
            categories = OneHotEncoder(
                handle_unknown="ignore", sparse_output=is_sparse and has_texts
            )
        return {"numbers": numbers, "categories": categories, "texts": texts}

    def _joined(self, blocks):
        if self.output == "sparse" and "texts" in self._parts:
            return hstack(blocks, format="csr")
        dtype = np.float64 if self.output == "sparse" else np.float32
        return np.hstack(blocks).astype(dtype, copy=False)

    def _check(self, X, *, reset):
        X = plain_rows(X)
        if not is_frame(X):
            X = X if hasattr(X, "dtype") else np.array(X, dtype=object)
            if X.ndim != 2 or not isinstance(X, np.ndarray):
                raise ValueError(
                    "X must be a frame or an array of 2 dimensions; got "
                    f"{type(X).__name__}."
                )
        validate_data(self, X, reset=reset, skip_check_array=True)
        return X


def _cells_of(X, kind, names):
    """Return the cells of some columns, as the part for their kind takes them."""
    columns = [(name, read_column(X, name)) for name in names]
    if kind == "numbers":
        return np.column_stack([_numbers(name, cells) for name, cells in columns])
    strings = [as_strings(cells) for _, cells in columns]
    if kind == "categories":
        return np.column_stack(strings)
    return [np.where(is_missing(column), "", column) for column in strings]


def _numbers(name, cells):
    kind, numbers = as_numbers(cells)
    if kind is None:
        raise ValueError(
            f"column {name!r} held numbers or dates when the encoder was fitted, and "
            "now holds something else."
        )
    return numbers


def _as_float32(numbers):
    """Return numbers with those beyond the range of float32 moved to its ends."""
    return np.clip(numbers, -_LARGEST, _LARGEST)
