"""Kinds of X: containers, dtypes and values, with what should become of each."""

import datetime
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import scipy.sparse as sp
import torch


@dataclass(frozen=True)
class Kind:
    """A way to write data.

    Parameters
    ----------
    make : callable
        Takes the plain data and a generator.
    expect : {"fits", "refused", "either"}
    same : bool
        Whether it holds the very numbers of the plain data.
    weight : float
        How often it is drawn.
    """

    make: Callable
    expect: str = "either"
    same: bool = False
    weight: float = 1.0


def plain_features(rng, codes, n_columns):
    """Return blobs whose numbers float16 holds exactly."""
    centers = rng.integers(-4, 5, size=(codes.max() + 1, n_columns))
    X = centers[codes] + rng.normal(size=(len(codes), n_columns))
    return np.round(X * 8) / 8


def plain_images(rng, codes, side=8):
    """Return images of one channel, brighter in another place for each class."""
    images = rng.random((len(codes), 1, side, side)) / 2
    for row, code in enumerate(codes):
        images[row, 0, code % side] += 0.5
    return np.round(images * 64) / 64


def _memmap(X, rng):
    handle = tempfile.NamedTemporaryFile(prefix="campaign")
    mapped = np.memmap(handle, dtype=np.float64, mode="w+", shape=X.shape)
    mapped[:] = X
    return mapped


def _read_only(X, rng):
    X = X.copy()
    X.flags.writeable = False
    return X


def _with(value):
    def make(X, rng):
        X = X.copy()
        X[rng.integers(len(X)), rng.integers(X.shape[1])] = value
        return X

    return make


def _names(X):
    return [f"col{i}" for i in range(X.shape[1])]


def _frame(X):
    return pd.DataFrame(X, columns=_names(X))


def _frame_with(column):
    def make(X, rng):
        frame = _frame(X)
        frame["extra"] = column(len(X))
        return frame

    return make


def _days(n):
    return pd.date_range("2024-01-01", periods=n)


def _nullable(X, rng):
    frame = _frame(X).astype("Float64")
    frame.iloc[0, 0] = pd.NA
    return frame


def _constant(X, rng):
    return np.full_like(X, 3.0)


def _object(X, rng):
    return X.astype(object)


def _structured(X, rng):
    return np.zeros(len(X), dtype=[("a", float), ("b", int)])


class _Rows:
    """Rows that only ``__array__`` can read."""

    def __init__(self, X):
        self.X = X

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.X, dtype=dtype)

    def __len__(self):
        return len(self.X)


def _fits(make, weight=1.0):
    return Kind(make, "fits", True, weight)


FITS = {
    "float64": _fits(lambda X, rng: X.copy(), 12),
    "float32": _fits(lambda X, rng: X.astype(np.float32), 8),
    "float16": _fits(lambda X, rng: X.astype(np.float16)),
    "Fortran order": _fits(lambda X, rng: np.asfortranarray(X)),
    "read-only": _fits(_read_only),
    "negative strides": _fits(lambda X, rng: X[::-1].copy()[::-1]),
    "every second column": _fits(lambda X, rng: np.repeat(X, 2, 1)[:, ::2]),
    "big-endian": _fits(lambda X, rng: X.astype(">f8")),
    "lists": _fits(lambda X, rng: X.tolist()),
    "tuples": _fits(lambda X, rng: tuple(map(tuple, X.tolist()))),
    "list of arrays": _fits(lambda X, rng: list(X)),
    "memmap": _fits(_memmap),
    "DataFrame": _fits(lambda X, rng: _frame(X), 3),
    "DataFrame float32": _fits(lambda X, rng: _frame(X).astype("float32")),
    "DataFrame, numbered": _fits(lambda X, rng: pd.DataFrame(X)),
    "DataFrame, shuffled index": _fits(
        lambda X, rng: _frame(X).set_index(rng.permutation(len(X)))
    ),
    "DataFrame Float64": _fits(lambda X, rng: _frame(X).astype("Float64")),
    "DataFrame Arrow": _fits(lambda X, rng: _frame(X).astype("double[pyarrow]")),
    "polars": _fits(lambda X, rng: pl.DataFrame(X, schema=_names(X)), 2),
    "polars Float32": _fits(
        lambda X, rng: pl.DataFrame(X.astype(np.float32), schema=_names(X))
    ),
    "tensor float32": _fits(lambda X, rng: torch.tensor(X, dtype=torch.float32)),
    "tensor float64": _fits(lambda X, rng: torch.tensor(X)),
    "object numbers": _fits(_object),
}

CHANGED = {
    "int64": Kind(lambda X, rng: np.round(X).astype(np.int64), "fits"),
    "int8": Kind(lambda X, rng: np.round(X).astype(np.int8), "fits"),
    "uint8": Kind(lambda X, rng: np.abs(np.round(X)).astype(np.uint8), "fits"),
    "bool": Kind(lambda X, rng: X > 0, "either"),
    "DataFrame Int64": Kind(lambda X, rng: _frame(X).round().astype("Int64"), "fits"),
    "DataFrame bool": Kind(lambda X, rng: _frame(X) > 0, "either"),
    "DataFrame mixed": Kind(
        lambda X, rng: _frame(X).round().astype({"col0": "int32"}), "fits"
    ),
    "DataFrame sparse": Kind(
        lambda X, rng: _frame(X).astype(pd.SparseDtype(float, 0.0)), "either"
    ),
    "one column": Kind(lambda X, rng: X[:, :1], "either"),
    "constant": Kind(_constant, "either"),
    "constant column": Kind(lambda X, rng: np.c_[X, np.ones(len(X))], "either"),
    "duplicated rows": Kind(lambda X, rng: np.repeat(X[::2], 2, 0)[: len(X)]),
    "scale 1e30": Kind(lambda X, rng: X * 1e30),
    "scale 1e-30": Kind(lambda X, rng: X * 1e-30),
    "scale 1e8": Kind(lambda X, rng: X * 1e8),
    "one value 1e15": Kind(_with(1e15)),
    "5-D": Kind(lambda X, rng: X[:, None, None, None, :]),
    "one value 1e300": Kind(_with(1e300)),
    "denormal": Kind(lambda X, rng: X * 1e-310),
    "many columns": Kind(lambda X, rng: rng.normal(size=(len(X), 80))),
    "longdouble": Kind(lambda X, rng: X.astype(np.longdouble)),
    "masked array": Kind(lambda X, rng: np.ma.masked_less(X, -3)),
    "DataFrame, doubled names": Kind(
        lambda X, rng: pd.DataFrame(X, columns=["a"] * X.shape[1])
    ),
    "DataFrame, mixed names": Kind(
        lambda X, rng: pd.DataFrame(X, columns=[0, *_names(X)[1:]])
    ),
    "DataFrame, digits": Kind(lambda X, rng: _frame(X).astype(str)),
    "DataFrame category": Kind(lambda X, rng: _frame(X).round().astype("category")),
    "sparse CSR": Kind(lambda X, rng: sp.csr_matrix(X)),
    "sparse float32 array": Kind(lambda X, rng: sp.csc_array(X.astype(np.float32))),
    "sparse COO": Kind(lambda X, rng: sp.coo_array(X)),
    "sparse tensor": Kind(lambda X, rng: torch.tensor(X).to_sparse()),
    "tensor with grad": Kind(lambda X, rng: torch.tensor(X, requires_grad=True)),
    "tensor bfloat16": Kind(lambda X, rng: torch.tensor(X).to(torch.bfloat16)),
    "list of tensors": Kind(lambda X, rng: list(torch.tensor(X))),
    "only __array__": Kind(lambda X, rng: _Rows(X)),
    "3-D": Kind(lambda X, rng: X[:, None, :]),
    "matrix": Kind(lambda X, rng: np.asmatrix(X)),
    "digits": Kind(lambda X, rng: X.astype(str)),
}


def _refused(make, weight=1.0):
    return Kind(make, "refused", False, weight)


def _texts(X, rng):
    return [f"text number {i}" for i in range(len(X))]


REFUSED = {
    "NaN": _refused(_with(np.nan), 2),
    "infinite": _refused(_with(np.inf), 2),
    "minus infinity": _refused(_with(-np.inf)),
    "NaN float32": _refused(lambda X, rng: _with(np.nan)(X, rng).astype(np.float32)),
    "Float64 with NA": _refused(_nullable),
    "polars with null": _refused(
        lambda X, rng: pl.DataFrame({"a": [None, *X[1:, 0]], "b": X[:, 1]})
    ),
    "object with None": _refused(lambda X, rng: _with(None)(X.astype(object), rng)),
    "object with text": _refused(lambda X, rng: _with("red")(X.astype(object), rng)),
    "Decimal with text": _refused(
        lambda X, rng: [[Decimal("1.5"), "no"] for _ in range(len(X))]
    ),
    "datetime column": _refused(_frame_with(_days)),
    "timedelta column": _refused(_frame_with(lambda n: pd.to_timedelta(range(n)))),
    "text column": _refused(_frame_with(lambda n: (["red", "blue"] * n)[:n])),
    "period column": _refused(
        _frame_with(lambda n: pd.period_range("2024", periods=n, freq="D"))
    ),
    "polars with dates": _refused(
        lambda X, rng: pl.DataFrame(
            {"a": X[:, 0], "d": [datetime.date.today()] * len(X)}
        )
    ),
    "datetime64": _refused(lambda X, rng: X.astype("datetime64[s]")),
    "strings": _refused(lambda X, rng: np.full(X.shape, "word")),
    "texts": _refused(_texts),
    "bytes": _refused(lambda X, rng: np.full(X.shape, b"word")),
    "complex": _refused(lambda X, rng: X + 1j),
    "ragged": _refused(
        lambda X, rng: [list(row)[: 1 + i % 2] for i, row in enumerate(X)]
    ),
    "dict": _refused(lambda X, rng: {"a": X[:, 0], "b": X[:, 1]}),
    "list of dicts": _refused(lambda X, rng: [{"a": v} for v in X[:, 0]]),
    "generator": _refused(lambda X, rng: (row for row in X)),
    "set": _refused(lambda X, rng: {1, 2, 3}),
    "None": _refused(lambda X, rng: None),
    "number": _refused(lambda X, rng: 5),
    "text": _refused(lambda X, rng: "table.csv"),
    "1-D": _refused(lambda X, rng: X[:, 0].copy()),
    "Series": _refused(lambda X, rng: pd.Series(X[:, 0])),
    "structured": _refused(_structured),
    "empty": _refused(lambda X, rng: X[:0]),
    "one row": _refused(lambda X, rng: X[:1]),
    "no columns": _refused(lambda X, rng: X[:, :0]),
    "row too few": _refused(lambda X, rng: X[:-1]),
}
TABLES = FITS | CHANGED | REFUSED

IMAGES = {
    "images float64": _fits(lambda X, rng: X.copy(), 4),
    "images float32": _fits(lambda X, rng: X.astype(np.float32), 4),
    "images Fortran order": _fits(lambda X, rng: np.asfortranarray(X)),
    "images tensor": _fits(lambda X, rng: torch.tensor(X)),
    "images in lists": _fits(lambda X, rng: X.tolist()),
    "images uint8": Kind(lambda X, rng: (X * 200).astype(np.uint8), "fits"),
    "images 0-255 float": _refused(lambda X, rng: X * 255),
    "images int64": Kind(lambda X, rng: (X * 200).astype(np.int64)),
    "images channels last": Kind(
        lambda X, rng: np.repeat(X, 3, 1).transpose(0, 2, 3, 1)
    ),
    "images NaN": _refused(lambda X, rng: np.where(X == X.max(), np.nan, X)),
    "images 1 x 1": Kind(lambda X, rng: X[:, :, :1, :1]),
    "images without channel": Kind(lambda X, rng: X[:, 0]),
    "images row too few": _refused(lambda X, rng: X[:-1]),
}
