"""Tests of P(wrong) under noise rates that depend on the class."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn.metrics import roc_auc_score

from sknoisy._planting._posterior import guessed_transition, wrong_given_class


def bayes(true_proba, label, transition):
    """P(true != label | x, label) of one row, by summing over the true classes."""
    joint = [
        p * row[label] for p, row in zip(true_proba, transition.tolist(), strict=True)
    ]
    return 1 - joint[label] / sum(joint)


@given(seed=st.integers(0, 10_000), n_classes=st.integers(2, 5))
def test_the_known_matrix_gives_the_exact_posterior(seed, n_classes):
    rng = np.random.default_rng(seed)
    even = np.full((n_classes, n_classes), 1 / n_classes)
    transition = 0.6 * np.eye(n_classes)
    transition += 0.4 * (
        0.5 * rng.dirichlet(np.ones(n_classes), n_classes) + 0.5 * even
    )
    # No class is below the floor of the estimate.
    true = 0.9 * rng.dirichlet(np.ones(n_classes), 20) + 0.1 / n_classes
    codes = rng.integers(n_classes, size=20)
    found = wrong_given_class(true @ transition, codes, transition)
    expected = [bayes(t, c, transition) for t, c in zip(true, codes, strict=True)]
    assert_allclose(found, expected, atol=1e-9)


@given(seed=st.integers(0, 10_000), n_classes=st.integers(2, 6))
def test_a_guess_is_a_matrix_of_probabilities(seed, n_classes):
    rng = np.random.default_rng(seed)
    codes = rng.integers(n_classes, size=rng.integers(n_classes, 60))
    proba = rng.dirichlet(np.full(n_classes, 0.3), len(codes))
    guess = guessed_transition(proba, codes)
    assert (guess >= 0).all()
    assert_allclose(guess.sum(1), 1)
    wrong = wrong_given_class(proba, codes, guess)
    assert np.isfinite(wrong).all() and (wrong >= 0).all() and (wrong <= 1).all()


def test_half_of_the_differences_between_classes_is_believed():
    # Rates .1, .3 and .5; a third of the rows each.
    flips = np.array([[0.9, 0.1, 0.0], [0.0, 0.7, 0.3], [0.5, 0.0, 0.5]])
    codes = np.repeat([0, 1, 2], 100)
    guess = guessed_transition(flips[codes], codes)
    assert_allclose(1 - np.diag(guess), [0.2, 0.3, 0.4])
    # Half of a class's flips as found, half even.
    assert_allclose(guess[0, 1:], [0.15, 0.05])


@pytest.mark.parametrize("rates", [(0.1, 0.4), (0.4, 0.1)])
def test_class_dependent_noise_is_ranked_better(rates):
    rng = np.random.default_rng(0)
    transition = np.array([[1 - rates[0], rates[0]], [rates[1], 1 - rates[1]]])
    sure = 1 / (1 + np.exp(-rng.normal(0, 3, 20_000)))
    true = np.stack([sure, 1 - sure], axis=1)
    is_one = rng.random(20_000) > sure
    codes = is_one ^ (rng.random(20_000) < np.where(is_one, rates[1], rates[0]))
    proba, wrong = true @ transition, codes != is_one
    codes = codes.astype(np.int64)
    plain = 1 - proba[np.arange(len(codes)), codes]
    found = wrong_given_class(proba, codes, guessed_transition(proba, codes))
    gain = roc_auc_score(wrong, found) - roc_auc_score(wrong, plain)
    assert gain > 0.02
