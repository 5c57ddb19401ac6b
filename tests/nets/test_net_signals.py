import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import log_softmax, softmax

from sknoisy.nets._signals import (
    SIGNALS,
    alignment,
    logit_diff,
    loss,
    prob_diff,
    probability,
)


def by_hand(name, logits, y):
    """Table 6 in float64, one row at a time."""
    values = []
    for z, label in zip(np.asarray(logits, np.float64), y, strict=True):
        p = softmax(z)
        others = np.delete(np.arange(len(z)), label)
        values.append(
            {
                "loss": -log_softmax(z)[label],
                "probability": p[label],
                "prob_diff": p[label] - p.max(),
                "logit_diff": z[label] - z[others].max(),
            }[name]
        )
    return np.array(values)


@pytest.mark.fast_cases(4)
@pytest.mark.parametrize("name", sorted(SIGNALS))
@pytest.mark.parametrize("n_classes", [2, 7])
@pytest.mark.parametrize("scale", [1, 50, 500])
def test_signals_follow_their_definition_also_at_large_logits(name, n_classes, scale):
    rng = np.random.default_rng(0)
    logits = rng.uniform(-scale, scale, (200, n_classes)).astype(np.float32)
    y = rng.integers(0, n_classes, 200)
    values = SIGNALS[name](torch.from_numpy(logits), torch.from_numpy(y))
    assert values.shape == (200,) and values.dtype == torch.float32
    expected = by_hand(name, logits, y)
    np.testing.assert_allclose(values.numpy(), expected, rtol=2e-5, atol=1e-6)


def test_the_loss_of_a_hopeless_row_is_finite_in_float32():
    logits = torch.tensor([[50.0, -50.0], [-50.0, 50.0]])
    y = torch.tensor([1, 1])
    np.testing.assert_allclose(loss(logits, y).numpy(), [100, 0], atol=1e-6)
    np.testing.assert_allclose(logit_diff(logits, y).numpy(), [-100, 100], rtol=1e-6)
    np.testing.assert_allclose(prob_diff(logits, y).numpy(), [-1, 0], atol=1e-6)
    p = probability(logits, y).numpy()
    np.testing.assert_allclose(p, [np.exp(-100), 1], rtol=1e-5, atol=1e-44)


@settings(deadline=None)
@given(
    logits=arrays(np.float32, (4, 3), elements=st.floats(-40, 40, width=32)),
    y=arrays(np.int64, 4, elements=st.integers(0, 2)),
)
def test_ranges_and_signs(logits, y):
    z, codes = torch.from_numpy(logits), torch.from_numpy(y)
    assert ((prob_diff(z, codes) >= -1) & (prob_diff(z, codes) <= 0)).all()
    assert ((probability(z, codes) >= 0) & (probability(z, codes) <= 1)).all()
    assert (loss(z, codes) >= 0).all()
    ordered = np.sort(logits, axis=1)
    is_label = (logits.argmax(1) == y) & (ordered[:, -1] > ordered[:, -2])
    np.testing.assert_array_equal((logit_diff(z, codes) > 0).numpy(), is_label)


def test_signals_do_not_write_into_the_logits():
    logits, y = torch.randn(5, 3), torch.tensor([0, 1, 2, 0, 1])
    before = logits.clone()
    for signal in SIGNALS.values():
        signal(logits, y)
    assert logits.equal(before)


def test_rows_without_logits_stay_nan():
    logits = torch.tensor([[1.0, 2.0], [torch.nan, torch.nan]])
    for signal in SIGNALS.values():
        values = signal(logits, torch.tensor([0, 1]))
        assert values.isnan().tolist() == [False, True]


@pytest.mark.parametrize("n_features", [3, 40])
def test_alignment_is_the_squared_projection_on_the_first_singular_vector(n_features):
    # Both ways of taking the eigenvector: fewer and more features than rows.
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 30)
    features = (rng.normal(size=(30, n_features)) + 1 + y[:, None]).astype(np.float32)
    expected = np.empty(30)
    for code in range(3):
        v = features[y == code].astype(np.float64)
        u = np.linalg.svd(v)[2][0]
        expected[y == code] = (v @ u) ** 2
    values = alignment(torch.from_numpy(features), torch.from_numpy(y))
    np.testing.assert_allclose(values.numpy(), expected, rtol=1e-4, atol=1e-5)


def test_alignment_of_a_row_alone_in_its_class_is_its_squared_length():
    features = torch.tensor([[3.0, 4.0, 0.0], [1.0, 0.0, 0.0]])
    values = alignment(features, torch.tensor([0, 1]))
    np.testing.assert_allclose(values.numpy(), [25, 1], rtol=1e-6)
