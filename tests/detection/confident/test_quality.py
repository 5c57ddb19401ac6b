"""How good a label is: against a loop over rows."""

import numpy as np
import pytest
from hypothesis import given
from labelled_predictions import (
    noisy,
    predictions,
)

from sknoisy.detection._confident._quality import QUALITIES, label_quality


class TestQuality:
    @given(predictions())
    def test_by_hand(self, drawn):
        labels, proba = drawn
        proba = proba.astype(np.float64)
        n_classes = proba.shape[1]
        for i, (label, row) in enumerate(zip(labels, proba, strict=True)):
            rest = max(p for k, p in enumerate(row) if k != label)
            entropy = -sum(p * np.log(p) for p in row if p > 0) / np.log(n_classes)
            doubt = entropy / max(row[label], 1e-6)
            expected = {
                "self_confidence": row[label],
                "normalized_margin": (row[label] - rest + 1) / 2,
                "confidence_weighted_entropy": np.log1p(doubt) / max(doubt, 1e-6),
            }
            for method, value in expected.items():
                quality = label_quality(labels, proba, method)[i]
                assert quality == pytest.approx(value, rel=1e-9, abs=1e-9)

    @pytest.mark.parametrize("method", QUALITIES)
    def test_chosen_rows_are_those_of_all(self, method):
        labels, proba = noisy(500, 3)
        rows = np.array([7, 3, 499, 3])
        all_rows = label_quality(labels, proba, method)
        some = label_quality(labels, proba, method, rows)
        np.testing.assert_array_equal(some, all_rows[rows])
        assert ((all_rows >= 0) & (all_rows <= 1)).all()
