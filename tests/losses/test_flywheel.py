"""The EM steps of flywheel against the reference, identities and closed forms."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from sknoisy.losses import (
    clean_probability,
    confidence_penalty,
    corrupt_label_probability,
    corruption_matrix,
    refurbished_targets,
    target_transition_matrix,
)


def draw(seed, n_rows=60, n_classes=4):
    """Return predictions, labels and cleanness of a random state."""
    rng = np.random.default_rng(seed)
    proba = torch.from_numpy(rng.dirichlet(np.ones(n_classes), n_rows))
    y = torch.from_numpy(rng.integers(0, n_classes, n_rows))
    return proba, y, torch.from_numpy(rng.random(n_rows))


@pytest.mark.parametrize("case", ["case0", "case1"])
def test_a_cycle_equals_the_reference(reference, case):
    data = reference("flywheel_steps.npz")
    prefix = f"{case}_"
    ours = {
        key.removeprefix(prefix): torch.from_numpy(np.asarray(value))
        for key, value in data.items()
        if key.startswith(prefix)
    }
    y, before, after = ours["labels"], ours["aux_proba_prev"], ours["aux_proba_new"]
    q = clean_probability(
        ours["main_proba"].log(), y, float(ours["gamma"]), ours["epsilon"]
    )
    targets = refurbished_targets(q, y, before)
    T_c = corruption_matrix(q, y, before)
    for found, name in (
        (q, "clean_prob"),
        (q.mean(), "gamma_new"),
        (targets, "target"),
        (target_transition_matrix(targets, y), "transition_matrix"),
        (T_c, "corruption_matrix"),
        (corrupt_label_probability(after, y, T_c), "epsilon_new"),
    ):
        assert_allclose(found, ours[name], rtol=1e-7, err_msg=name)
    assert torch.equal(after.argmax(1), ours["refurbished"])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.01, 0.99))
def test_sums(seed, gamma):
    proba, y, _ = draw(seed)
    q = clean_probability(proba.log(), y, gamma, 0.25)
    assert ((q > 0) & (q < 1)).all()
    targets = refurbished_targets(q, y, proba)
    assert_allclose(targets.sum(1), 1, rtol=1e-12)
    for matrix in (
        corruption_matrix(q, y, proba),
        target_transition_matrix(targets, y),
    ):
        assert_allclose(matrix.sum(1), 1, rtol=1e-12)
    # ε is a distribution over the labels a row could have been given.
    T_c = corruption_matrix(q, y, proba)
    total = sum(
        corrupt_label_probability(proba, torch.full_like(y, label), T_c)
        for label in range(4)
    )
    assert_allclose(total, 1, rtol=1e-6)


def test_bayes_by_hand_and_limits():
    proba, y, _ = draw(0)
    given = proba.numpy()[np.arange(60), y.numpy()]
    found = clean_probability(proba.log(), y, 0.3, 0.1)
    assert_allclose(found, 0.3 * given / (0.3 * given + 0.7 * 0.1), rtol=1e-12)
    uniform = torch.full((60, 4), 0.25, dtype=torch.float64).log()
    assert_allclose(clean_probability(uniform, y, 0.37, 0.25), 0.37, rtol=1e-12)
    assert (clean_probability(proba.log(), y, 1.0, 0.1) > 0.99).sum() > 50
    # γ of 0 or 1 and ε of 0 leave every label a chance.
    for gamma, epsilon in ((0.0, 0.1), (1.0, 0.1), (0.5, 0.0)):
        q = clean_probability(proba.log(), y, gamma, epsilon)
        assert torch.isfinite(q).all() and (q > 0).all()


def test_known_cleanness_gives_the_spread_of_wrong_labels():
    rng = np.random.default_rng(1)
    true, given = rng.integers(0, 3, 500), rng.integers(0, 3, 500)
    is_clean = true == given
    proba = torch.eye(3, dtype=torch.float64)[torch.from_numpy(true)]
    q = torch.from_numpy(is_clean.astype(float))
    T_c = corruption_matrix(q, torch.from_numpy(given), proba).numpy()
    for label in range(3):
        wrong = given[(true == label) & ~is_clean]
        counts = np.bincount(wrong, minlength=3)
        assert_allclose(T_c[label], counts / counts.sum(), rtol=1e-12)


def test_a_class_without_corrupt_labels_has_a_uniform_row():
    proba = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    T_c = corruption_matrix(torch.tensor([0.5, 0.2]), torch.tensor([0, 1]), proba)
    assert T_c[1].tolist() == [0.5, 0.5]
    assert_allclose(T_c[0], [0.5 / 1.3, 0.8 / 1.3], rtol=1e-6)


def test_gradient_of_the_regularised_loss():
    logits, y, _ = draw(3)
    logits = (5 * logits).requires_grad_()
    prior = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    lam = 1.2
    loss = torch.nn.functional.cross_entropy(logits, y, reduction="sum")
    (loss + lam * confidence_penalty(logits, prior).sum()).backward()
    g = logits.detach().softmax(1)
    labels = torch.nn.functional.one_hot(y, 4)
    assert_allclose(logits.grad, (1 - lam) * g - labels + lam * prior, atol=1e-5)


def test_the_regulariser_is_bounded():
    logits = torch.tensor([[1000.0, -1000.0]])
    found = confidence_penalty(logits, torch.tensor([0.5, 0.5]))
    assert_allclose(found, 0.5 * np.log(1e-8), rtol=1e-3)


def test_regulariser_makes_the_likeliest_class_certain():
    # Lemma 1 with five classes: p = 0.6 e_0 + 0.4 / 5, λ = 0.4 has its optimum at e_0.
    p = torch.full((5,), 0.08, dtype=torch.float64)
    p[0] = 0.68
    logits = torch.zeros(1, 5, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.2)
    prior = torch.full((5,), 0.2, dtype=torch.float64)
    for _ in range(400):
        optimizer.zero_grad()
        loss = -(p * logits.log_softmax(1)).sum()
        (loss + 0.4 * confidence_penalty(logits, prior).sum()).backward()
        optimizer.step()
    assert logits.softmax(1)[0, 0] > 0.99
