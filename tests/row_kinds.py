"""X that is no table of numbers, and X that is one in spite of its looks."""

import warnings
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import torch
from scipy.sparse import csr_array

# Twelve rows, two classes.
Y = np.arange(12) % 2
NUMBERS = 3.0 * Y[:, None] + np.arange(36).reshape(12, 3) % 5
TEXTS = ["good film", "bad one"] * 6
COLOURS = ["red", "blue"] * 6


def frame(module=pd, **columns):
    return module.DataFrame({"size": NUMBERS[:, 0], **columns})


with warnings.catch_warnings():
    # What csr_matrix(NUMBERS).todense() gives.
    warnings.simplefilter("ignore")
    MATRIX = np.asmatrix(NUMBERS.astype(np.float32))

# What has no rows, for every entry point.
NO_ROWS = {
    "dict": ({"a": NUMBERS[:, 0]}, r"X is a dict, .* pass pandas.DataFrame\(X\)"),
    "set": ({1, 2}, "X is a set, which has no order; pass a list or an array"),
    "path": ("data.csv", "X is 'data.csv', one value; pass an array or a frame"),
    "number": (5, "X is 5, one value"),
    "generator": ((row for row in NUMBERS), r"generator, .* pass list\(X\)"),
    "doubled names": (
        pd.DataFrame(NUMBERS, columns=["a", "a", "b"]),
        "X has 2 columns named 'a'; give each column a different name",
    ),
    "lazy frame": (frame(pl).lazy(), r"X is a LazyFrame; pass X.collect\(\)"),
}

# What would be read, by a network or by a classifier that takes it as it is.
ODD_ROWS = {
    "sparse tensor": (torch.tensor(NUMBERS).to_sparse(), r"pass X.to_dense\(\)"),
    "tensor with grad": (
        torch.tensor(NUMBERS, requires_grad=True),
        r"requires grad, .* pass X.detach\(\)",
    ),
    "list of tensors with grad": (
        list(torch.tensor(NUMBERS, requires_grad=True)),
        r"list of tensors that require grad; pass torch.stack\(X\).detach\(\)",
    ),
    "masked": (
        np.ma.array(NUMBERS, mask=NUMBERS > 6),
        r"X has \d masked entries; fill",
    ),
    "list of texts": (TEXTS, r'list of texts.* pass .*DataFrame\({"text": X}\)'),
    "array of texts": (np.array(TEXTS), "of texts, such as 'good film'.* pass a frame"),
    "Series of texts": (pd.Series(TEXTS), r"Series of texts.* frame, X.to_frame\(\)"),
    "polars Series of texts": (pl.Series(TEXTS), r"pass a frame, X.to_frame\(\)"),
    "column of strings": (
        frame(colour=COLOURS),
        r"strings in column 'colour', such as 'red' in row 0, .*OneHotEncoder",
    ),
    "polars column of strings": (frame(pl, colour=COLOURS), "in column 'colour'"),
    "categories": (frame(colour=pd.Categorical(COLOURS)), "strings in column 'colour'"),
    "objects with strings": (
        np.array([[1, "1.5"]] * 9 + [[2, "many"]] * 3, object),
        "strings in column 1, such as 'many' in row 9",
    ),
    "list with strings": ([[1, "x"]] * 12, "strings in column 1, such as 'x' in row 0"),
    "list of dicts": ([{"a": 1}] * 12, r"list of dicts; pass pandas.DataFrame\(X\)"),
    "ragged": (
        [[1, 2]] * 11 + [[1, 2, 3]],
        "rows of X differ in length: row 0 has 2 entries, row 11 has 3",
    ),
    "column of lists": (
        frame(embedding=[[1.0, 2.0]] * 12),
        r"lists in column 'embedding'.* np.stack\(X\['embedding'\]\)",
    ),
    "complex": (NUMBERS + 1j, r"Complex data not supported: .*pass np.abs\(X\)"),
    "structured": (
        np.zeros(12, dtype=[("a", "f4"), ("b", "f4")]),
        r"structured array with the fields \('a', 'b'\); .*structured_to_unstructured",
    ),
    "np.matrix": (MATRIX, "np.matrix is not supported"),
}

# What float32 cannot hold or a network cannot take.
TOO_MUCH = {
    "float64": (NUMBERS * 1e300, "too large .* in row .*, column .* scale that column"),
    "int": ([[2**200, 1]] * 12, "16069380442589.* in row 0, column 0"),
    "very large int": ([[2**2000, 1]] * 12, "too large .* in row 0, column 0"),
    "None": (None, "X is None; .* needs one row of features for each label"),
    "sparse": (csr_array(NUMBERS), r"X.toarray\(\) .*TruncatedSVD"),
    "frame of sparse columns": (
        pd.DataFrame(NUMBERS).astype("Sparse[float64]"),
        r"frame with sparse columns.* X.sparse.to_dense\(\)",
    ),
}

# The numbers of NUMBERS in other clothes.
AS_NUMBERS = {
    "objects": NUMBERS.astype(object),
    "Decimal": np.array([[Decimal(int(v)) for v in row] for row in NUMBERS], object),
    "strings of numbers": NUMBERS.astype(str),
    "tuples": tuple(map(tuple, NUMBERS)),
    "tensor": torch.tensor(NUMBERS),
    "tensor of bfloat16": torch.tensor(NUMBERS).bfloat16(),
    "list of tensors": list(torch.tensor(NUMBERS)),
    "frame": pd.DataFrame(NUMBERS),
    "frame with a sparse column": pd.DataFrame(NUMBERS).astype({0: "Sparse[float64]"}),
    "Int64": pd.DataFrame(NUMBERS).astype("Int64"),
    "Arrow": pd.DataFrame(NUMBERS).astype("double[pyarrow]"),
    "polars": pl.DataFrame(NUMBERS),
}
