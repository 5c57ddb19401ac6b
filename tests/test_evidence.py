"""What a detector knows of a row, as numbers to learn from."""

import numpy as np
import pytest

from sknoisy import NeighborVoteDetector
from sknoisy._evidence import evidence_of, similarities


@pytest.mark.parametrize("n_columns", [5, 2_500])
def test_similarities_are_products_of_the_named_features(n_columns):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, n_columns)) * rng.uniform(1, 9, n_columns)
    y = np.arange(30) % 3
    detector = NeighborVoteDetector(n_neighbors=3).fit(X, y)
    found = evidence_of(detector, X, y, y)
    # Of so few rows the directions are all of X, up to a rotation.
    scaled = X / np.sqrt(X.std(0))
    scaled -= scaled.mean(0)
    scaled /= np.sqrt((scaled**2).sum(1).mean())
    products = scaled @ scaled.T
    given = y[:, None] == y
    likely = found.likely[:, None] == found.likely
    expected = given + likely + 1.0 * (given & likely) + (1 + given) * products
    rows = np.arange(30)
    np.testing.assert_allclose(similarities(found, rows, rows), expected, atol=1e-6)
    assert (found.likely != y).all()
