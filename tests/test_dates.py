import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator

from sknoisy._dates import refuse_dates
from sknoisy._validation import check_rows

DAYS = pd.date_range("2020-01-01", periods=4)
DATES = {
    "numpy": DAYS.to_numpy()[:, None],
    "numpy spans": (DAYS - DAYS[0]).to_numpy()[:, None],
    "objects": DAYS.to_numpy().astype("M8[D]").astype(object)[:, None],
    "lists": [[day] for day in DAYS.to_pydatetime()],
    "pandas": pd.DataFrame({"n": 1.0, "day": DAYS}),
    "pandas, a time zone": pd.DataFrame({"day": DAYS.tz_localize("UTC")}),
    "pandas, spans": pd.DataFrame({"day": DAYS - DAYS[0]}),
    "pandas, periods": pd.DataFrame({"day": DAYS.to_period("D")}),
    "pandas, objects": pd.DataFrame({"n": 1.0, "day": DAYS.astype(object)}),
    "pandas, categories": pd.DataFrame({"day": pd.Categorical(DAYS)}),
    "pandas, arrow": pd.DataFrame({"day": DAYS}, dtype="timestamp[s][pyarrow]"),
    "polars": pl.DataFrame({"n": [1.0] * 4, "day": DAYS.to_pydatetime()}),
    "polars, days": pl.DataFrame({"day": [day.date() for day in DAYS]}),
    "polars, spans": pl.DataFrame({"day": list((DAYS - DAYS[0]).to_pytimedelta())}),
}


class TestDates:
    @pytest.mark.parametrize("X", DATES.values(), ids=DATES.keys())
    def test_they_are_refused_by_name(self, X):
        place = " in column 'day'" if hasattr(X, "columns") else ""
        message = rf"X has dates or times{place} \(\w.*TableVectorizer"
        with pytest.raises(TypeError, match=message):
            check_rows(BaseEstimator(), X, reset=True)

    @pytest.mark.parametrize(
        "X",
        [
            pd.DataFrame(
                {"date": [1.0], "text": ["time"], "kind": pd.Categorical([1])}
            ),
            pl.DataFrame({"date": [1.0], "text": ["time"]}),
            np.array([["date", 1]], dtype=object),
            [["time"]],
            [],
            pd.DataFrame(),
            np.zeros((0, 2), dtype=object),
            csr_array(np.eye(2)),
            torch.zeros(2),
        ],
    )
    def test_nothing_else_is(self, X):
        refuse_dates(X)
