import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest

from sknoisy._tables._columns import table_columns

N = 60
RNG = np.random.default_rng(0)
NUMBERS = np.round(RNG.normal(50, 7, size=N), 3)
DAYS = RNG.permutation(N)
DATES = pd.Series(pd.Timestamp("2023-01-31") + pd.to_timedelta(DAYS, "D"))
COLOURS = ["red", "green", "blue"] * (N // 3)
TEXTS = [f"the comment number {i} of all" for i in range(N)]


def kind_of(column, name="it", **options):
    columns = table_columns(pd.DataFrame({"x": NUMBERS, name: column}), **options)
    assert columns.kinds["x"] == "number"
    return columns.kinds.get(name) or columns.dropped[name]


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (NUMBERS, "number"),
        (pd.array([*range(5), None] * 10, dtype="Int64"), "number"),
        (pd.array([*range(5), None] * 10, dtype="int64[pyarrow]"), "number"),
        (pd.array([True, None] * 30, dtype="boolean"), "number"),
        (np.array([True, None] * 30, dtype=object), "number"),
        (np.array([Decimal("1.5"), 2, 3.5] * 20, dtype=object), "number"),
        (pd.arrays.SparseArray(NUMBERS), "number"),
        (np.where(DAYS < 5, np.nan, 3.0), "number"),
        (DATES, "date"),
        (DATES.dt.tz_localize("Asia/Tokyo"), "date"),
        (DATES.dt.date, "date"),
        (DATES.astype("date32[day][pyarrow]"), "date"),
        (DATES - DATES[0], "date"),
        (COLOURS, "category"),
        (pd.array(COLOURS, dtype="string"), "category"),
        (pd.array(COLOURS, dtype="string[pyarrow]"), "category"),
        (pd.Categorical([1, 2] * 30), "category"),
        (pd.Categorical([f"c{i // 2}" for i in range(N)]), "category"),
        (np.array([True, "no"] * 30, dtype=object), "category"),
        (["x", None] * 30, "category"),
        ([f"code{i % 30}" for i in range(N)], "category"),
        ([f"code{i % 31}" for i in range(N)], "text"),
        (TEXTS, "text"),
        (["很好的电影" + chr(0x4E00 + i) for i in range(N)], "text"),
        (np.ones(N), "has a single value"),
        (np.full(N, np.nan), "has a single value"),
        (["x"] * N, "has a single value"),
        ([None] * N, "has a single value"),
        (pd.Categorical(["x"] * N), "has a single value"),
        (pd.to_datetime(["2024-01-01"] * N), "has a single value"),
        (np.arange(N) + 5, "numbers the rows"),
        ([f"u{i * 7919}" for i in range(N)], "names the rows"),
        (pd.Categorical([f"u{i * 7919}" for i in range(N)]), "names the rows"),
        ([" " * i for i in range(N)], "is blank"),
    ],
)
def test_what_a_column_holds(column, kind):
    assert kind_of(column) == kind


@pytest.mark.parametrize(
    ("dtype", "cells", "kind"),
    [
        (pl.Int64, [*range(5), None] * 10, "number"),
        (pl.Boolean, [True, None] * 30, "number"),
        (pl.Decimal(10, 2), [Decimal("1.5"), Decimal("2.5")] * 30, "number"),
        (pl.Date, DATES.dt.date, "date"),
        (pl.Duration, list(map(datetime.timedelta, DAYS.tolist())), "date"),
        (pl.String, COLOURS, "category"),
        (pl.Categorical, [f"c{i // 2}" for i in range(N)], "category"),
        (pl.Enum(["red", "green", "blue"]), COLOURS, "category"),
        (pl.String, TEXTS, "text"),
        (pl.Null, [None] * N, "has a single value"),
    ],
)
def test_what_a_column_of_polars_holds(dtype, cells, kind):
    it = pl.Series(cells).cast(dtype, strict=False)
    columns = table_columns(pl.DataFrame({"x": NUMBERS, "it": it}))
    assert columns.kinds.get("it", columns.dropped.get("it")) == kind


def test_the_limits_of_categories():
    def kind(n_values, n_rows, dtype=object):
        column = pd.Series([f"code {i % n_values}" for i in range(n_rows)], dtype=dtype)
        return table_columns(column.to_frame("it")).kinds["it"]

    assert kind(40, 400) == "category" and kind(41, 400) == "text"
    assert kind(255, 600, "category") == "category"
    assert kind(256, 600, "category") == "text"


@pytest.mark.parametrize("name", ["id", "ID", "user_id", "sample id", "Index"])
def test_distinct_whole_numbers_that_are_called_an_id_are_dropped(name):
    ids = RNG.permutation(N) * 3
    assert kind_of(ids, name) == "names the rows"
    assert kind_of(ids, "humid") == "number"
    assert kind_of(ids // 6, name) == "number"
    assert kind_of(ids + 0.5, name) == "number"
    assert kind_of(np.where(ids < 9, np.nan, ids), name) == "number"


def test_a_column_can_be_forced_to_be_text():
    assert kind_of(COLOURS, text=["it"]) == "text"
    assert kind_of([f"u{i}" for i in range(N)], text=["it"]) == "text"
    assert kind_of(NUMBERS, text=["it"]) == "text"
    assert kind_of([" ", ""] * 30, text=["it"]) == "is blank"


def test_columns_of_an_array_are_numbered():
    array = np.column_stack([np.array(COLOURS, object), NUMBERS, np.arange(N)])
    columns = table_columns(array)
    assert columns.kinds == {0: "category", 1: "number"}
    assert columns.dropped == {2: "numbers the rows"}
    assert columns.of_kind("number", "category") == [0, 1]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame({"it": [[1, 2]] * N}), r"'it' holds several values a cell \(lis"),
        (pl.DataFrame({"it": [[1, 2]] * N}), r"'it' holds several values a cell"),
        (pl.DataFrame({"it": [{"a": 1}] * N}), "'it' holds several values a cell"),
        (pd.DataFrame({"it": NUMBERS + 1j}), "'it' holds complex numbers"),
        (pd.DataFrame({"it": np.ones(N)}), "no column .* left.*'it' has a single val"),
        (pd.DataFrame(index=range(N)), r"no column of X is left to use\."),
    ],
)
def test_frames_that_cannot_be_used(frame, message):
    with pytest.raises(ValueError, match=message):
        table_columns(frame)
