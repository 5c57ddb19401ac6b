"""Kinds of y and of weights, with what should become of each."""

import enum
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import scipy.sparse as sp
import torch
from odd_features import Kind

WORDS = np.array(["ant", "bee", "cat", "dog", "eel"])
DAYS = np.array([f"2024-0{i}-01" for i in range(1, 6)], dtype="datetime64[D]")
Color = enum.Enum("Color", ["RED", "BLUE", "GREEN", "WHITE", "BLACK"])


def plain_labels(rng, n_samples, n_classes):
    """Return codes, at least three rows of each class, shuffled."""
    codes = np.arange(n_samples) % n_classes
    spare = 3 * n_classes
    codes[spare:] = rng.integers(n_classes, size=n_samples - spare)
    return rng.permutation(codes)


def _series(values, dtype=None):
    return pd.Series(values, dtype=dtype, name="kind", index=range(7, 7 + len(values)))


def _fits(make, weight=1.0):
    return Kind(make, "fits", True, weight)


def _words(make, weight=1.0):
    return _fits(lambda y, rng: make(WORDS[y]), weight)


def _in_class(first, second):
    """Replace half of a class, so that one label is a neighbour of another."""
    return lambda y, rng: [second if v else first for v in y]


FITS = {
    "int64": _fits(lambda y, rng: y.copy(), 12),
    "int8": _fits(lambda y, rng: y.astype(np.int8)),
    "uint8": _fits(lambda y, rng: y.astype(np.uint8)),
    "uint64": _fits(lambda y, rng: y.astype(np.uint64)),
    "negative": _fits(lambda y, rng: y - 3),
    "big ints": _fits(lambda y, rng: y + 2**60),
    "floats": _fits(lambda y, rng: y.astype(float)),
    "float32": _fits(lambda y, rng: y.astype(np.float32)),
    "strided": _fits(lambda y, rng: np.repeat(y, 2)[::2]),
    "reversed view": _fits(lambda y, rng: y[::-1].copy()[::-1]),
    "list": _fits(lambda y, rng: y.tolist(), 2),
    "tuple": _fits(lambda y, rng: tuple(y.tolist())),
    "list of numpy ints": _fits(lambda y, rng: list(y)),
    "words": _words(lambda w: w, 4),
    "object words": _words(lambda w: w.astype(object)),
    "list of words": _words(lambda w: w.tolist(), 2),
    "words with blanks": _words(lambda w: np.char.add(w, " of the sea")),
    "Series": _fits(lambda y, rng: _series(y), 3),
    "Series of words": _words(_series, 2),
    "Series object": _words(lambda w: _series(w, object)),
    "Categorical": _words(lambda w: _series(w, "category"), 2),
    "Categorical, unused": _words(
        lambda w: _series(pd.Categorical(w, categories=[*WORDS, "fox"]))
    ),
    "Categorical array": _words(pd.Categorical),
    "Int64": _fits(lambda y, rng: _series(y, "Int64")),
    "Int64 big": _fits(lambda y, rng: _series(y + 2**60, "Int64")),
    "Arrow int": _fits(lambda y, rng: _series(y, "int64[pyarrow]")),
    "Arrow big": _fits(lambda y, rng: _series(y + 2**60, "int64[pyarrow]")),
    "Arrow words": _words(lambda w: _series(w, "string[pyarrow]")),
    "Index": _words(pd.Index),
    "polars": _fits(lambda y, rng: pl.Series("kind", y), 2),
    "polars words": _words(lambda w: pl.Series("kind", w.tolist())),
    "polars Categorical": _words(
        lambda w: pl.Series("kind", w.tolist(), dtype=pl.Categorical)
    ),
    "polars Enum": _words(
        lambda w: pl.Series("kind", w.tolist(), dtype=pl.Enum(WORDS.tolist()))
    ),
    "tensor": _fits(lambda y, rng: torch.tensor(y)),
    "tensor int32": _fits(lambda y, rng: torch.tensor(y, dtype=torch.int32)),
    "column": _fits(lambda y, rng: y[:, None].copy()),
}
# Of two classes.
BINARY = {
    "bool": _fits(lambda y, rng: y == 1),
    "list of bool": _fits(lambda y, rng: (y == 1).tolist()),
    "boolean": _fits(lambda y, rng: _series(y == 1, "boolean")),
    "Categorical bool": _fits(lambda y, rng: _series(y == 1).astype("category")),
    "Arrow bool": _fits(lambda y, rng: _series(y == 1, "bool[pyarrow]")),
    "polars bool": _fits(lambda y, rng: pl.Series("kind", y == 1)),
    "tensor bool": _fits(lambda y, rng: torch.tensor(y == 1)),
}
CHANGED = {
    "bytes": Kind(lambda y, rng: WORDS[y].astype("S")),
    "object bytes": Kind(lambda y, rng: [w.encode() for w in WORDS[y].tolist()]),
    "object ints": Kind(lambda y, rng: y.astype(object)),
    "huge ints": Kind(lambda y, rng: [int(v) + 2**70 for v in y]),
    "datetime64": Kind(lambda y, rng: DAYS[y]),
    "dates": Kind(lambda y, rng: DAYS[y].tolist()),
    "Timestamps": Kind(lambda y, rng: _series(pd.to_datetime(DAYS[y]))),
    "tz-aware": Kind(lambda y, rng: _series(pd.to_datetime(DAYS[y], utc=True))),
    "Period": Kind(lambda y, rng: _series(pd.PeriodIndex(DAYS[y], freq="M"))),
    "timedelta": Kind(lambda y, rng: y.astype("timedelta64[D]")),
    "Interval": Kind(lambda y, rng: _series(pd.cut(y, [-1, 0, 1, 9]))),
    "Decimal": Kind(lambda y, rng: [Decimal(int(v)) for v in y]),
    "Fraction": Kind(lambda y, rng: [Fraction(int(v), 3) for v in y]),
    "Enum": Kind(lambda y, rng: [list(Color)[v] for v in y]),
    "pairs": Kind(lambda y, rng: [(int(v), "a") for v in y]),
    "DataFrame": Kind(lambda y, rng: pd.DataFrame({"kind": y})),
    "Int64 column": Kind(lambda y, rng: pd.DataFrame({"kind": _series(y, "Int64")})),
    "polars frame": Kind(lambda y, rng: pl.DataFrame({"kind": y})),
    "polars dates": Kind(lambda y, rng: pl.Series("kind", DAYS[y].tolist())),
    "tensor on grad": Kind(lambda y, rng: torch.tensor(y * 1.0, requires_grad=True)),
    "a label once": Kind(lambda y, rng: np.r_[9, y[1:]], weight=4),
    "words, one once": Kind(lambda y, rng: np.r_[["zoo"], WORDS[y[1:]]], weight=2),
    "each row its own": Kind(lambda y, rng: np.arange(len(y))),
    "one class large": Kind(lambda y, rng: np.r_[1, 1, np.zeros(len(y) - 2, int)]),
    "words beside blanks": Kind(_in_class("a", "a ")),
    "empty word": Kind(_in_class("", "b")),
    "nul words": Kind(_in_class("a\0", "a")),
    "NFC and NFD": Kind(_in_class("\u00e9", "e\u0301")),
    "formula words": Kind(_in_class("=1+1", "<b>")),
    "numbers as words": Kind(lambda y, rng: y.astype(str)),
    "mixed": Kind(lambda y, rng: [("a" if v else 0) for v in y]),
    "bool and int": Kind(lambda y, rng: [(2 if v else True) for v in y]),
    "ints and floats": Kind(lambda y, rng: [(1.0 if v else 0) for v in y]),
    "masked": Kind(lambda y, rng: np.ma.masked_equal(y, 1)),
    "complex": Kind(lambda y, rng: y + 0j),
    "set per row": Kind(lambda y, rng: [{int(v)} for v in y]),
    "structured": Kind(lambda y, rng: np.zeros(len(y), dtype=[("a", int)])),
}


def _refused(make, weight=1.0):
    return Kind(make, "refused", False, weight)


REFUSED = {
    "NaN": _refused(lambda y, rng: np.r_[np.nan, y[1:]], 2),
    "infinite": _refused(lambda y, rng: np.r_[np.inf, y[1:]]),
    "object with None": _refused(lambda y, rng: [None, *WORDS[y[1:]].tolist()]),
    "object with NaN": _refused(lambda y, rng: [np.nan, *WORDS[y[1:]].tolist()]),
    "NA": _refused(lambda y, rng: _series([pd.NA, *y[1:].tolist()], "Int64"), 2),
    "boolean NA": _refused(lambda y, rng: _series([pd.NA, *(y[1:] == 1)], "boolean")),
    "Arrow NA": _refused(
        lambda y, rng: _series([None, *WORDS[y[1:]].tolist()], "string[pyarrow]")
    ),
    "Categorical NA": _refused(
        lambda y, rng: _series([None, *WORDS[y[1:]].tolist()], "category")
    ),
    "NaT": _refused(lambda y, rng: np.r_[[np.datetime64("NaT")], DAYS[y[1:]]]),
    "NaT Series": _refused(lambda y, rng: _series(pd.to_datetime(DAYS[y])).shift()),
    "polars null": _refused(lambda y, rng: pl.Series("k", [None, *y[1:].tolist()])),
    "polars word null": _refused(
        lambda y, rng: pl.Series("k", [None, *WORDS[y[1:]].tolist()])
    ),
    "tensor NaN": _refused(lambda y, rng: torch.tensor(np.r_[np.nan, y[1:]])),
    "continuous": _refused(lambda y, rng: y + rng.random(len(y)), 2),
    "one class": _refused(lambda y, rng: np.zeros(len(y), int), 2),
    "one word": _refused(lambda y, rng: ["same"] * len(y)),
    "too short": _refused(lambda y, rng: y[:-1], 2),
    "too long": _refused(lambda y, rng: np.r_[y, 0]),
    "empty": _refused(lambda y, rng: y[:0]),
    "one-hot": _refused(lambda y, rng: np.eye(y.max() + 1, dtype=int)[y]),
    "two columns": _refused(lambda y, rng: np.c_[y, y]),
    "None": _refused(lambda y, rng: None),
    "number": _refused(lambda y, rng: 3),
    "word": _refused(lambda y, rng: "label"),
    "dict": _refused(lambda y, rng: {"a": 1}),
    "lists of lists": _refused(lambda y, rng: [[int(v)] * (1 + v) for v in y]),
    "generator": _refused(lambda y, rng: (v for v in y)),
    "sparse": _refused(lambda y, rng: sp.csr_array(y[:, None])),
}
LABELS = FITS | CHANGED | REFUSED

WEIGHTS = {
    "ones": Kind(lambda n, rng: np.ones(n), "fits"),
    "random": Kind(lambda n, rng: rng.random(n) + 0.1, "fits"),
    "float32": Kind(lambda n, rng: np.ones(n, np.float32), "fits"),
    "ints": Kind(lambda n, rng: rng.integers(1, 4, n), "fits"),
    "list": Kind(lambda n, rng: [1.0] * n, "fits"),
    "Series": Kind(lambda n, rng: pd.Series(np.ones(n)), "fits"),
    "some zero": Kind(lambda n, rng: (np.arange(n) % 3 > 0) * 1.0),
    "bool": Kind(lambda n, rng: np.arange(n) % 3 > 0),
    "number": Kind(lambda n, rng: 2.0),
    "huge": Kind(lambda n, rng: np.full(n, 1e30)),
    "beyond float32": Kind(lambda n, rng: np.full(n, 1e300)),
    "tiny": Kind(lambda n, rng: np.full(n, 1e-300)),
    "one row only": Kind(lambda n, rng: np.eye(1, n)[0]),
    "tensor": Kind(lambda n, rng: torch.ones(n)),
    "polars": Kind(lambda n, rng: pl.Series(np.ones(n))),
    "zeros": _refused(lambda n, rng: np.zeros(n)),
    "negative": _refused(lambda n, rng: -np.ones(n)),
    "NaN": _refused(lambda n, rng: np.r_[np.nan, np.ones(n - 1)]),
    "infinite": _refused(lambda n, rng: np.r_[np.inf, np.ones(n - 1)]),
    "too short": _refused(lambda n, rng: np.ones(n - 1)),
    "2-D": _refused(lambda n, rng: np.ones((n, 2))),
    "words": _refused(lambda n, rng: ["heavy"] * n),
    "dict": _refused(lambda n, rng: {"0": 1.0}),
}
