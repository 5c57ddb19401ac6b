import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from label_kinds import WORDS

from sknoisy._label_kinds import labels_like


class TestLabelsThatYCannotHold:
    CLASSES = np.array([*WORDS, "elephant"])

    @pytest.mark.parametrize(
        "y",
        [
            pd.Series(WORDS, dtype="category"),
            pd.Categorical(WORDS),
            pl.Series(WORDS, dtype=pl.Enum(WORDS)),
        ],
        ids=type,
    )
    def test_categories(self, y):
        codes = np.arange(3)
        with pytest.raises(ValueError, match=r"cannot hold all labels .*elephant"):
            labels_like(y, self.CLASSES, codes, codes[::-1] + 1)

    @pytest.mark.parametrize(
        "y",
        [
            np.array([0, 1, 2], np.int8),
            pd.Series([0, 1, 2], dtype="Int8"),
            pl.Series([0, 1, 2], dtype=pl.Int8),
            torch.tensor([0, 1, 2], dtype=torch.int8),
            np.array([0, 1, 2], np.float16),
        ],
        ids=repr,
    )
    def test_narrow_numbers(self, y):
        codes, classes = np.arange(3), np.array([0, 1, 2, 300001])
        with pytest.raises(ValueError, match=r"300001\]: its dtype is .*given to fit"):
            labels_like(y, classes, codes, codes + 1)

    def test_strings_of_numpy_get_the_width_they_need(self):
        codes = np.arange(3)
        labels = labels_like(np.array(WORDS), self.CLASSES, codes, codes + 1)
        assert labels.tolist() == ["bee", "cat", "elephant"]

    def test_an_error_of_the_users_own_container_is_handed_on(self):
        class Odd(pd.Series):
            @property
            def name(self):
                raise LookupError("no name")

            @name.setter
            def name(self, value):
                pass

        codes = np.arange(3)
        with pytest.raises(LookupError, match="no name"):
            labels_like(Odd(WORDS), self.CLASSES, codes, codes + 1)


def test_the_index_of_rows_that_are_repeated_is_that_of_y():
    y = pd.Series(WORDS, index=["m", "n", "o"])
    labels = labels_like(y, np.array(WORDS), np.arange(3), np.array([2, 2, 2]))
    assert labels.to_dict() == {"m": "cat", "n": "cat", "o": "cat"}
    assert y.index.tolist() == ["m", "n", "o"]
