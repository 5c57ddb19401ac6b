"""Labels of all the kinds that users have, and what is no label."""

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import torch
from scipy.sparse import csr_array

CODES = np.tile([0, 1, 2], 4)
WORDS = ["ant", "bee", "cat"]
# Neighbours that float64 cannot tell apart.
LARGE = [2**53, 2**53 + 1, 2**53 + 2]
HUGE = [2**63, 2**63 + 1, 2**63 + 2]
DATES = np.array(["2020-01-01", "2020-02-01", "2021-01-01"], "M8[ns]")
INDEX = list("mnopqrstuvwx")


def rows(values):
    return [values[code] for code in CODES]


def series(values, dtype=None):
    return pd.Series(rows(values), dtype=dtype, index=INDEX, name="kind")


def category(values, categories=None, ordered=False):
    dtype = pd.CategoricalDtype(categories, ordered=ordered)
    return series(values, dtype)


def column(values, dtype=None):
    return pl.Series("kind", rows(values), dtype=dtype)


SMALL, BOTH, HALVES = [0, 1, 2], [False, True, True], [0.0, 1.0, 2.0]

# Labels, and the sorted classes that they show.
KINDS = {
    **{f"pandas {t}": (series(BOTH, t), BOTH) for t in ("bool", "boolean")},
    "pandas bool[pyarrow]": (series(BOTH, "bool[pyarrow]"), BOTH),
    **{f"pandas {t}": (series(SMALL, t), SMALL) for t in ("Int8", "Int16", "UInt8")},
    **{f"pandas {t}": (series(SMALL, t), SMALL) for t in ("Int32", "int8", "uint16")},
    **{f"pandas {t}": (series(LARGE, t), LARGE) for t in ("Int64", "int64[pyarrow]")},
    **{f"pandas {t}": (series(HUGE, t), HUGE) for t in ("UInt64", "uint64[pyarrow]")},
    "pandas Float64": (series(HALVES, "Float64"), HALVES),
    "pandas double[pyarrow]": (series(HALVES, "double[pyarrow]"), HALVES),
    **{
        f"pandas {t}": (series(WORDS, t), WORDS)
        for t in ("string[python]", "string[pyarrow]", "str", "object")
    },
    "pandas Arrow string": (series(WORDS, pd.ArrowDtype(pa.string())), WORDS),
    "pandas Arrow dictionary": (
        series(WORDS, pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string()))),
        WORDS,
    ),
    "pandas category": (category(WORDS), WORDS),
    "pandas category, unused, ordered": (
        category(WORDS, ["zoo", "cat", "ant", "bee"], ordered=True),
        WORDS,
    ),
    "pandas category of int": (category(LARGE, [7, *LARGE[::-1]]), LARGE),
    "pandas category of bool": (category(BOTH), BOTH),
    "pandas category of Int64": (
        pd.Series(pd.Categorical(pd.array(rows(LARGE), "Int64")), INDEX, name="kind"),
        LARGE,
    ),
    "pandas datetime64": (series(DATES), list(DATES)),
    "pandas timestamp[pyarrow]": (
        series(DATES, pd.ArrowDtype(pa.timestamp("ns"))),
        list(DATES),
    ),
    "pandas timedelta64": (series(DATES - DATES[0]), list(DATES - DATES[0])),
    "pandas Sparse": (series(SMALL, "Sparse[int64]"), SMALL),
    "pandas object of int": (series(LARGE, object), LARGE),
    "pandas object of bool": (series(BOTH, object), BOTH),
    "pandas Categorical": (pd.Categorical(rows(WORDS)), WORDS),
    "pandas array": (pd.array(rows(LARGE), "Int64"), LARGE),
    "pandas Index": (pd.Index(rows(WORDS), name="kind"), WORDS),
    "pandas frame": (series(WORDS).to_frame(), WORDS),
    "polars Boolean": (column(BOTH), BOTH),
    "polars Int8": (column(SMALL, pl.Int8), SMALL),
    "polars UInt32": (column(SMALL, pl.UInt32), SMALL),
    "polars Int64": (column(LARGE), LARGE),
    "polars UInt64": (column(HUGE, pl.UInt64), HUGE),
    "polars Int128": (column(LARGE, pl.Int128), LARGE),
    "polars Float64": (column(HALVES), HALVES),
    "polars String": (column(WORDS), WORDS),
    "polars Categorical": (column(WORDS, pl.Categorical), WORDS),
    "polars Enum": (column(WORDS, pl.Enum(["zoo", "cat", "ant", "bee"])), WORDS),
    "polars Date": (column(DATES.astype("M8[D]").tolist()), list(DATES)),
    "polars Datetime": (column(DATES.astype("M8[us]").tolist()), list(DATES)),
    "polars frame": (column(WORDS).to_frame(), WORDS),
    "numpy bool": (np.array(rows(BOTH)), BOTH),
    "numpy int8": (np.array(rows(SMALL), "i1"), SMALL),
    "numpy int64": (np.array(rows(LARGE)), LARGE),
    "numpy uint64": (np.array(rows(HUGE), "u8"), HUGE),
    "numpy float16": (np.array(rows(HALVES), "f2"), HALVES),
    "numpy float64": (np.array(rows(HALVES)), HALVES),
    "numpy U": (np.array(rows(WORDS)), WORDS),
    "numpy StringDType": (np.array(rows(WORDS), np.dtypes.StringDType()), WORDS),
    "numpy datetime64": (DATES[CODES], list(DATES)),
    "numpy object of str": (np.array(rows(WORDS), object), WORDS),
    "numpy object of int": (np.array(rows(LARGE), object), LARGE),
    "numpy object of float": (np.array(rows(HALVES), object), HALVES),
    "numpy column": (np.array(rows(SMALL))[:, None], SMALL),
    "list of str": (rows(WORDS), WORDS),
    "list of int": (rows(LARGE), LARGE),
    "list of large int": (rows(HUGE), HUGE),
    "list of bool": (rows(BOTH), BOTH),
    "list of numpy int": (rows(np.array(LARGE)), LARGE),
    "list of numpy str": (rows(np.array(WORDS)), WORDS),
    "list of datetime64": (rows(DATES), list(DATES)),
    "list of tensors": (list(torch.tensor(rows(LARGE))), LARGE),
    "list of int and float": ([0, 1.0, 2] * 4, HALVES),
    "tuple": (tuple(rows(WORDS)), WORDS),
    "tensor of int64": (torch.tensor(rows(LARGE)), LARGE),
    "tensor of bool": (torch.tensor(rows(BOTH)), BOTH),
    "tensor of bfloat16": (torch.tensor(rows(HALVES)).bfloat16(), HALVES),
    "pyarrow array": (pa.array(rows(LARGE)), LARGE),
    "pyarrow chunks": (pa.chunked_array([rows(WORDS)]), WORDS),
}
# They warn, as scikit-learn's estimators do.
COLUMNS = ("pandas frame", "polars frame", "numpy column")

_GAP = ["a", None, "b", "a"]
_NAT = np.array(["2020-01-01", "NaT", "2021-01-01", "2020-01-01"], "M8[ns]")

# One label is missing, in row 1 of 4.
MISSING = {
    "list": _GAP,
    "list with NaN": ["a", np.nan, "b", "a"],
    "list of int": [1, None, 2, 1],
    "object with NaT": np.array(["a", pd.NaT, "b", "a"], object),
    "float": np.array([1.0, np.nan, 2.0, 1.0]),
    "datetime64": _NAT,
    "list of datetime64": list(_NAT),
    "tensor": torch.tensor([1.0, torch.nan, 2.0, 1.0]),
    "masked": np.ma.array([1, 5, 2, 1], mask=[0, 1, 0, 0]),
    "pandas datetime64": pd.Series(_NAT),
    "pandas tz-aware": pd.Series(_NAT).dt.tz_localize("UTC"),
    "pandas Period": pd.Series(_NAT).dt.to_period("M"),
    "pandas category": pd.Series(_GAP, dtype="category"),
    "pandas string": pd.Series(_GAP, dtype="string"),
    "pandas Int64": pd.Series([1, None, 2, 1], dtype="Int64"),
    "pandas int64[pyarrow]": pd.Series([1, None, 2, 1], dtype="int64[pyarrow]"),
    "pandas boolean": pd.Series([True, None, False, True], dtype="boolean"),
    "pandas Sparse": pd.Series([1, np.nan, 2, 1], dtype="Sparse[float64]"),
    "polars String": pl.Series(_GAP),
    "polars Categorical": pl.Series(_GAP, dtype=pl.Categorical),
    "polars Int64": pl.Series([1, None, 2, 1]),
    "polars Boolean": pl.Series([True, None, False, True]),
    "polars Date": pl.Series(_NAT).cast(pl.Date),
    "pyarrow": pa.array([1, None, 2, 1]),
}

_DAY = datetime.date(2020, 1, 1)

# What is no column of labels, and the message.
NO_LABELS = {
    "str and int": (
        ["a", 1] * 6,
        r"mixed kinds: strings \('a' in row 0\) and integers",
    ),
    "bool and int": ([True, 2] * 6, r"mixed kinds: booleans .* integers \(2 in row 1"),
    "float and large int": ([2.0**53, 2**53 + 1] * 6, "mixed kinds: floats"),
    "too large": (
        [2**70, 1] * 6,
        "do not fit in 64 bits, such as 1180591620717411303424",
    ),
    "uint64 and negative": ([2**63, -1] * 6, "do not fit in 64 bits"),
    "Decimal": ([Decimal(1), Decimal(2)] * 6, r"type Decimal, .* row 0: Decimal\('1"),
    "polars Decimal": (column([Decimal(1), Decimal(2), Decimal(3)]), "type Decimal"),
    "bytes": ([b"a", b"b"] * 6, r"type bytes, .*label.decode\(\) for label in y"),
    "numpy S": (np.array(rows(WORDS), "S"), r"of bytes\. .*label.decode\(\)"),
    "complex": (
        CODES.astype(complex),
        "Complex data not supported: y has dtype complex128",
    ),
    "tz-aware": (series(DATES).dt.tz_localize("UTC"), "of type Timestamp, the first"),
    "polars tz-aware": (
        column(DATES.astype("M8[us]").tolist()).dt.replace_time_zone("UTC"),
        "labels of dtype Datetime.*UTC",
    ),
    "Period": (series(DATES).dt.to_period("M"), r"type Period.*str\(label\) for"),
    "Interval": (pd.cut(CODES, [-1, 0, 3]), "type Interval"),
    "dates": ([_DAY, datetime.date(2021, 1, 1)] * 6, "type date, the first in row 0"),
    "sets": ([{1}, {2}] * 6, r"type set, the first in row 0: \{1\}"),
    "dicts": ([{"a": 1}, {"a": 2}] * 6, "type dict"),
    "tuples": ([("a", 1), ("b", 2)] * 6, r"1d array, got an array of shape \(12, 2\)"),
    "ragged lists": ([[1], [1, 2]] * 6, r"type list, the first in row 0: \[1\]"),
    "two columns": (np.stack([CODES, CODES], 1), "one label for each row. Targets"),
    "frame of two columns": (
        pd.DataFrame({"a": CODES, "b": CODES}),
        "a frame with 2 columns. Pass one of them",
    ),
    "dict": ({"a": 1, "b": 2}, r"is a dict, .* pass list\(y.values\(\)\)"),
    "set": ({1, 2}, "is a set, which has no rows; pass a list"),
    "str": ("abcabcabcabc", "'abcabcabcabc', one value; pass one label for each"),
    "number": (5, "y is 5, one value"),
    "generator": ((code for code in CODES), r"generator, .* pass list\(y\)"),
    "scipy sparse": (csr_array(CODES[:, None]), r"sparse; pass y.toarray\(\).ravel"),
    "sparse tensor": (torch.tensor(HALVES * 4).to_sparse(), r"pass y.to_dense\(\)"),
    "tensor with grad": (
        torch.tensor(HALVES * 4, requires_grad=True),
        r"requires grad, .* pass y.detach\(\)",
    ),
    "fractions": (CODES + 0.5, "Unknown label type: continuous"),
    "infinite": (np.where(CODES, 1.0, np.inf), "Input y contains infinity"),
}
