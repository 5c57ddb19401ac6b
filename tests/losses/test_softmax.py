"""Softmax along the columns, where rows are short."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax

from sknoisy.losses._softmax import log_softmax_of, softmax_of


@pytest.mark.parametrize("shape", [(7, 2), (40, 10), (3, 15), (3, 16), (2, 5, 10)])
class TestSoftmax:
    def test_against_scipy(self, shape):
        logits = np.random.default_rng(0).normal(0, 9, shape)
        tensor = torch.from_numpy(logits)
        np.testing.assert_allclose(
            softmax_of(tensor), softmax(logits, -1), rtol=1e-9, atol=1e-13
        )
        np.testing.assert_allclose(
            log_softmax_of(tensor), log_softmax(logits, -1), rtol=1e-9, atol=1e-13
        )

    def test_gradients_are_those_of_torch(self, shape):
        logits = torch.randn(shape, dtype=torch.float64, requires_grad=True)
        weight = torch.randn(shape, dtype=torch.float64)
        for ours, theirs in ((softmax_of, "softmax"), (log_softmax_of, "log_softmax")):
            found, wanted = (
                torch.autograd.grad((weight * out).sum(), logits)[0]
                for out in (ours(logits), getattr(logits, theirs)(-1))
            )
            np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)

    def test_no_overflow(self, shape):
        logits = torch.full(shape, 1e4)
        logits[..., 0] = -1e4
        assert softmax_of(logits)[..., 0].eq(0).all()
        assert log_softmax_of(logits).isfinite().all()
