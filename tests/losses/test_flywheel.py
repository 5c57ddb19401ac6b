"""The EM steps of flywheel: the reference, slow sums, closed forms, and the truth."""

import numpy as np
import pytest
import torch
from fast_part import examples
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from sknoisy.losses import (
    FlywheelLoss,
    clean_probability,
    confidence_penalty,
    corrupt_label_probability,
    corruption_matrix,
    refurbished_targets,
    target_transition_matrix,
    wrong_label_probability,
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


@examples(30)
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


@pytest.mark.parametrize("gamma", [0.0, 1.0])
def test_a_share_of_0_or_1_counts_as_1e_4_away_from_it(gamma):
    proba, y, _ = draw(0)
    given, share = proba.numpy()[np.arange(60), y.numpy()], abs(gamma - 1e-4)
    found = clean_probability(proba.log(), y, gamma, 0.1)
    assert_allclose(found, share * given / (share * given + (1 - share) * 0.1), 1e-9)


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


@pytest.mark.parametrize(("weight", "is_known"), [(0.9, False), (1.1, True)])
def test_a_class_of_less_than_1e_8_of_the_rows_has_a_uniform_row(weight, is_known):
    # 200 rows, each with the same share of class 1, of which one label is given.
    proba = torch.tensor([1 - weight * 1e-8, weight * 1e-8]).double().repeat(200, 1)
    y = torch.zeros(200, dtype=torch.int64)
    T_c = corruption_matrix(torch.zeros(200).double(), y, proba)
    assert T_c[1].tolist() == ([1, 0] if is_known else [0.5, 0.5])


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


@pytest.mark.parametrize("gamma", [0.3, 0.8])
def test_alone_a_network_is_not_drawn_from_the_shares_of_the_labels(gamma):
    # The same for all rows: class 0 is predicted more often than it is given. The
    # labels draw back by γ, the regulariser away by λ.
    y, rows = torch.arange(400) % 4, torch.arange(400)
    g = torch.tensor([0.4, 0.2, 0.2, 0.2])
    for auxiliary, weight in ((True, 0.9), (False, min(0.9, gamma))):
        state = FlywheelLoss(400, 4, 0.9, resample=False, auxiliary=auxiliary)
        state.start(torch.eye(4)[y], y, rows)
        state.start_cycle(torch.full((400,), gamma), y, rows)
        logits = g.log().requires_grad_()
        state.main_loss(logits.expand(400, 4), y, rows).mean().backward()
        assert_allclose(logits.grad, (gamma - weight) * (g - 0.25), atol=1e-6)


def test_without_an_auxiliary_network_epsilon_is_uniform():
    proba, y, q = (value.float() for value in draw(13))
    state = FlywheelLoss(60, 4, auxiliary=False)
    rows, y = torch.arange(60), y.long()
    state.start(proba, y, rows)
    state.start_cycle(q, y, rows)
    state.refurbish(proba, y, rows)
    assert (state.epsilon == 0.25).all() and not state.resample
    assert_allclose(state.prior, torch.bincount(y) / 60)


def test_the_regulariser_is_bounded():
    logits = torch.tensor([[1000.0, -1000.0]])
    found = confidence_penalty(logits, torch.tensor([0.5, 0.5]))
    assert_allclose(found, 0.5 * np.log(1e-8), rtol=1e-3)


@pytest.mark.slow
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


def test_many_rows_are_summed_in_parts():
    # More than two of the blocks that are summed at a time.
    proba, y, q = draw(5, n_rows=9001)
    doubt = (1 - q)[:, None].numpy() * proba.numpy()
    sums = np.array([doubt[y.numpy() == label].sum(0) for label in range(4)]).T
    expected = sums / sums.sum(1, keepdims=True)
    assert_allclose(corruption_matrix(q, y, proba), expected, rtol=1e-9)
    single = corruption_matrix(q.float(), y, proba.float())
    assert single.dtype == torch.float64
    assert_allclose(single, expected, rtol=1e-6)


def test_weights_equal_repeated_rows_in_both_matrices():
    proba, y, q = draw(6)
    counts = torch.from_numpy(np.random.default_rng(6).integers(0, 4, 60))
    again = torch.arange(60).repeat_interleave(counts)
    targets = refurbished_targets(q, y, proba)
    for found, expected in (
        (
            corruption_matrix(q, y, proba, counts.double()),
            corruption_matrix(q[again], y[again], proba[again]),
        ),
        (
            target_transition_matrix(targets, y, counts.double()),
            target_transition_matrix(targets[again], y[again]),
        ),
    ):
        assert_allclose(found, expected, rtol=1e-12)


def slow_matrix(weight, proba, y):
    """Sum by true and given label, one number at a time."""
    n_classes = proba.shape[1]
    sums = np.zeros((n_classes, n_classes))
    for i, label in enumerate(y):
        for true in range(n_classes):
            sums[true, label] += weight[i] * proba[i, true]
    return sums / sums.sum(1, keepdims=True)


def slow_losses(logits, learnt, q, prior, lam):
    """Equation 8 of each row; Equation 7 where q is not None."""
    losses = []
    for i, row in enumerate(logits):
        g = np.exp(row) / np.exp(row).sum()
        loss = -np.log(g[learnt[i]])
        loss *= 1 if q is None else q[i]
        losses.append(loss + lam * sum(prior * np.log(g + 1e-8)))
    return losses


def slow_wrong(q, y, proba, T_c):
    """The chance that another class is the true one: Bayes' theorem, row by row."""
    wrong = []
    for i, label in enumerate(y):
        joint = [proba[i, true] * T_c[true, label] for true in range(len(T_c))]
        wrong.append((1 - q[i]) * (sum(joint) - joint[label]) / sum(joint))
    return wrong


@examples(30)
@given(st.integers(0, 10_000))
def test_a_wrong_label_is_corrupt_and_not_true_by_chance(seed):
    proba, y, q = draw(seed)
    T_c = draw(seed + 1, n_rows=4)[0]
    wrong = wrong_label_probability(q, y, proba, T_c)
    assert_allclose(wrong, slow_wrong(q, y.numpy(), proba.numpy(), T_c.numpy()))
    assert ((wrong >= 0) & (wrong <= 1 - q)).all()
    # Where corrupt labels are never the true ones, to be corrupt is to be wrong.
    never = T_c * (1 - torch.eye(4))
    wrong = wrong_label_probability(q, y, proba, never / never.sum(1, keepdim=True))
    assert_allclose(wrong, 1 - q, rtol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("resample", [True, False])
@pytest.mark.parametrize("epsilon", ["estimated", "uniform"])
class TestState:
    """Three cycles of random networks, in loops over rows."""

    def test_it_follows_the_equations(self, epsilon, resample, weighted):
        rng = np.random.default_rng(0)
        n_rows, n_classes, lam = 50, 4, 0.9
        y = rng.integers(0, n_classes, n_rows)
        w = rng.random(n_rows) if weighted else np.ones(n_rows)
        state = FlywheelLoss(n_rows, n_classes, lam, epsilon, resample)

        def give(step, values):
            # The rows come in any order, as a shuffled loader has them.
            order = torch.from_numpy(rng.permutation(n_rows))
            values = torch.from_numpy(values).float()[order]
            weight = torch.from_numpy(w).float()[order] if weighted else None
            step(values, torch.from_numpy(y)[order], order, weight)

        before = rng.dirichlet(np.ones(n_classes), n_rows)
        eps = np.full(n_rows, 1 / n_classes)
        assert state.gamma.isnan()
        give(state.start, before)
        gamma = (w * (before.argmax(1) == y)).sum() / w.sum()
        assert_allclose(state.gamma, gamma, rtol=1e-5)
        rows, codes = torch.arange(n_rows), torch.from_numpy(y)
        for _ in range(3):
            logits = rng.normal(size=(n_rows, n_classes))
            g = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
            given = g[np.arange(n_rows), y]
            q = gamma * given / (gamma * given + (1 - gamma) * eps)
            order = torch.from_numpy(rng.permutation(n_rows))
            part = torch.from_numpy(logits).float()[order]
            assert_allclose(state.judge(part, codes[order], order), q[order], rtol=1e-5)
            # Nothing moves before the whole has been judged.
            assert_allclose(state.gamma, gamma, rtol=1e-5)
            give(state.start_cycle, q)
            gamma = (w * q).sum() / w.sum()
            T_c = slow_matrix(w * (1 - q), before, y)
            targets = q[:, None] * np.eye(n_classes)[y] + (1 - q)[:, None] * before
            assert_allclose(state.gamma, gamma, rtol=1e-5)
            assert_allclose(state.corruption, T_c, rtol=1e-4)
            assert_allclose(state.targets(codes, rows), targets, rtol=1e-4, atol=1e-6)
            log_f = np.log(rng.dirichlet(np.ones(n_classes), n_rows))
            expected = -(targets * log_f).sum(1)
            found = state.auxiliary_loss(
                torch.from_numpy(log_f), torch.from_numpy(targets)
            )
            assert_allclose(found, expected, rtol=1e-7)
            after = rng.dirichlet(np.ones(n_classes), n_rows)
            give(state.refurbish, after)
            if epsilon == "estimated":
                eps = np.array([after[i] @ T_c[:, y[i]] for i in range(n_rows)])
            learnt = after.argmax(1) if resample else y
            prior = np.bincount(learnt, w, n_classes) / w.sum()
            assert_allclose(state.epsilon, eps, rtol=1e-4)
            assert_allclose(state.prior, prior, rtol=1e-5)
            assert state.labels.tolist() == after.argmax(1).tolist()
            some = torch.from_numpy(rng.permutation(n_rows)[:20])
            part = torch.from_numpy(logits[some]).float()
            found = state.main_loss(part, codes[some], some)
            weight = None if resample else q[some]
            expected = slow_losses(logits[some], learnt[some], weight, prior, lam)
            assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
            before = after
        # After the last epoch all rows are judged once more, by the networks as they
        # are, and nothing that the cycles know changes.
        kept = [b.clone() for b in state.buffers()]
        proba = rng.dirichlet(np.ones(n_classes), n_rows)
        if epsilon == "estimated":
            eps = np.array([proba[i] @ T_c[:, y[i]] for i in range(n_rows)])
        weight = torch.from_numpy(w).float()[order] if weighted else None
        q = gamma * given / (gamma * given + (1 - gamma) * eps)
        targets = q[:, None] * np.eye(n_classes)[y] + (1 - q)[:, None] * proba
        T_c = slow_matrix(w * (1 - q), proba, y)
        found = state.conclude(
            torch.from_numpy(proba).float()[order],
            torch.from_numpy(logits).float()[order],
            codes[order],
            order,
            weight,
        )
        wrong = np.array(slow_wrong(q, y, proba, T_c))
        expected = q[order], wrong[order], slow_matrix(w, targets, y), T_c
        for ours, value in zip(found, expected, strict=True):
            assert_allclose(ours, value, rtol=1e-4, atol=1e-6)
        for now, then in zip(state.buffers(), kept, strict=True):
            assert now.equal(then)

    def test_rows_that_are_not_given_stay(self, epsilon, resample, weighted):
        proba, y, q = (value.float() for value in draw(7))
        y, weight = y.long(), torch.rand(20) if weighted else None
        state = FlywheelLoss(60, 4, 0.9, epsilon, resample)
        names = ["q", "epsilon", "proba", "labels"]
        untouched = {name: getattr(state, name).clone() for name in names}
        some = torch.randperm(60, generator=torch.Generator().manual_seed(0))[:20]
        others = np.setdiff1d(np.arange(60), some)
        state.start(proba[some], y[some], some, weight)
        state.start_cycle(q[some], y[some], some, weight)
        state.refurbish(proba[some], y[some], some, weight)
        for name in names:
            assert getattr(state, name)[others].equal(untouched[name][others])
        assert_allclose(state.q[some], q[some])
        # What is known of all is what these rows say.
        alone = FlywheelLoss(20, 4, 0.9, epsilon, resample)
        rows = torch.arange(20)
        alone.start(proba[some], y[some], rows, weight)
        alone.start_cycle(q[some], y[some], rows, weight)
        alone.refurbish(proba[some], y[some], rows, weight)
        for name in ("gamma", "prior", "corruption"):
            assert_allclose(getattr(state, name), getattr(alone, name), rtol=1e-6)
        assert alone.epsilon.equal(state.epsilon[some])

    def test_weights_equal_repeated_rows(self, epsilon, resample, weighted):
        proba, y, q = (value.float() for value in draw(8))
        y, counts = y.long(), torch.arange(60) % 3
        again = torch.arange(60).repeat_interleave(counts)
        once = FlywheelLoss(60, 4, 0.9, epsilon, resample)
        often = FlywheelLoss(len(again), 4, 0.9, epsilon, resample)
        rows, weight = torch.arange(60), counts.float() * (3 if weighted else 1)
        rows_again = torch.arange(len(again))
        once.start(proba, y, rows, weight)
        often.start(proba[again], y[again], rows_again)
        assert_allclose(once.gamma, often.gamma, rtol=1e-6)
        once.start_cycle(q, y, rows, weight)
        often.start_cycle(q[again], y[again], rows_again)
        once.refurbish(proba, y, rows, weight)
        often.refurbish(proba[again], y[again], rows_again)
        for name in ("gamma", "prior", "corruption"):
            assert_allclose(getattr(once, name), getattr(often, name), rtol=1e-6)
        assert_allclose(once.epsilon[again], often.epsilon, rtol=1e-6)


@pytest.mark.parametrize(("n_samples", "n_classes"), [(1000, 2), (1000, 10)])
def test_a_row_takes_four_bytes_for_each_class_and_sixteen_more(n_samples, n_classes):
    state = FlywheelLoss(n_samples, n_classes)
    size = sum(b.numel() * b.element_size() for b in state.buffers())
    assert size <= 4 * n_samples * (n_classes + 4) + 8 * (n_classes + 1) ** 2
    assert not list(state.parameters())


def test_state_is_saved_and_loaded():
    proba, y, q = (value.float() for value in draw(9))
    y, rows, states = y.long(), torch.arange(60), [FlywheelLoss(60, 4), None]
    states[0].start(proba, y, rows)
    states[0].start_cycle(q, y, rows)
    states[1] = FlywheelLoss(60, 4)
    states[1].load_state_dict(states[0].state_dict())
    for state in states:
        state.refurbish(proba.flip(1), y, rows)
    for a, b in zip(*(state.buffers() for state in states), strict=True):
        assert a.equal(b)


def test_small_weights_are_not_lost_beside_large_ones():
    # In single precision 2^24 + 1 is 2^24.
    y = torch.arange(40_000) % 2
    weight = torch.ones(40_000)
    weight[1] = 2.0**24
    proba, logits = torch.eye(2)[1 - y], 50 * torch.eye(2)[y]
    state = FlywheelLoss(40_000, 2)
    state.start(proba, y, torch.arange(40_000), weight)
    expected = 20_000 / (2**24 + 39_999)
    assert_allclose(state.given_prior[0], expected, rtol=1e-5)
    assert_allclose(state.prior[1], expected, rtol=1e-5)
    state.gamma.fill_(0.5)
    _, _, T, _ = state.conclude(proba, logits, y, torch.arange(40_000), weight)
    # One third of each row is corrupt, and the other class's.
    given = 2 / 3 * np.array([20_000, 2**24 + 19_999])
    expected = np.diag(given) + np.fliplr(np.diag(given[::-1])) / 2
    assert_allclose(T, expected / expected.sum(1, keepdims=True), rtol=1e-5)


@pytest.mark.parametrize("weighted", [False, True])
def test_before_the_first_cycle_the_share_of_clean_labels_is_the_accuracy(weighted):
    # A fit that was interrupted in the warm-up.
    proba, y, w = (value.float() for value in draw(11))
    y, logits, weight = y.long(), draw(12)[0].float().log(), w if weighted else None
    gamma = np.average(proba.argmax(1) == y, weights=weight)
    state = FlywheelLoss(60, 4)
    q, *_ = state.conclude(proba, logits, y, torch.arange(60), weight)
    given = logits.exp().numpy()[np.arange(60), y]
    assert_allclose(q, gamma * given / (gamma * given + (1 - gamma) / 4), rtol=1e-5)
    assert state.gamma.isnan()


def test_an_unknown_epsilon_is_refused():
    with pytest.raises(ValueError, match="'estimated' or 'uniform'; got 'fixed'"):
        FlywheelLoss(3, 2, epsilon="fixed")


def test_given_labels_that_are_all_clean_are_plain_cross_entropy():
    logits, y, _ = draw(10)
    state = FlywheelLoss(60, 4, lam=0.0, resample=False)
    expected = torch.nn.functional.cross_entropy(logits, y, reduction="none")
    assert state.main_loss(logits, y, torch.arange(60)).equal(expected)


# Corrupt labels by true class: evenly over all, and never the true one.
EVEN = np.full((4, 4), 0.25)
NEVER_TRUE = np.array(
    [[0, 0.7, 0.2, 0.1], [0.1, 0, 0.6, 0.3], [0.5, 0.25, 0, 0.25], [0.8, 0.1, 0.1, 0]]
)
CELLS = 40


class World:
    """Rows that follow Equation 1: p(ỹ|x) = 0.6 e_y + 0.4 T_c[y], with 40 different x.

    A network is a table over x, and its training finds the optimum: f is the mean
    target of a cell, and g, after Equation 8, e_ŷ: every row of a cell learns ŷ, and
    for λ π < 1 the loss falls with each other class's probability.
    """

    def __init__(self, T_c, epsilon, lam=1.2):
        rng = np.random.default_rng(0)
        n_rows = 40_000
        self.cell = torch.from_numpy(rng.integers(0, CELLS, n_rows))
        self.true = self.cell % 4
        self.is_clean = rng.random(n_rows) < 0.6
        ladder = np.cumsum(T_c, axis=1)[self.true]
        drawn = (rng.random(n_rows)[:, None] > ladder).sum(1)
        self.y = torch.from_numpy(np.where(self.is_clean, self.true, drawn))
        self.rows = torch.arange(n_rows)
        self.state = FlywheelLoss(n_rows, 4, lam, epsilon)

    def fit(self, targets):
        """Return the mean target of each row's cell."""
        sums = torch.zeros(CELLS, 4).index_add_(0, self.cell, targets)
        means = sums / torch.bincount(self.cell)[:, None]
        return means[self.cell]

    def run(self, f, gamma, n_cycles=30):
        state, g = self.state, f
        state.start(f, self.y, self.rows)
        state.gamma.fill_(gamma)
        for _ in range(n_cycles):
            q = state.judge(g.clamp_min(1e-30).log(), self.y, self.rows)
            state.start_cycle(q, self.y, self.rows)
            f = self.fit(state.targets(self.y, self.rows))
            state.refurbish(f, self.y, self.rows)
            g = self.fit(torch.eye(4)[state.labels])
        assert state.labels.equal(self.true)
        return float(state.gamma), state.corruption.numpy()


@pytest.mark.parametrize("start", [0.3, 0.9])
class TestTruth:
    """γ and T_c, from a γ that is far off.

    A corrupt label that happens to be the true one looks like a clean label. What the
    data tell is p(ỹ|x), hence T_c off its diagonal up to a factor, and
    γ + (1 − γ) T_c[y, y], the share of right labels: every γ up to that share explains
    them as well. Only what is known of ε can decide.
    """

    @pytest.mark.fast_cases(1)
    def test_where_epsilon_is_known(self, start):
        world = World(EVEN, "uniform")
        gamma, T_c = world.run(world.fit(torch.eye(4)[world.y]), start)
        assert gamma == pytest.approx(world.is_clean.mean(), abs=0.02)
        assert_allclose(T_c, EVEN, atol=0.05)

    @pytest.mark.fast_cases(1)
    def test_where_corrupt_labels_are_known_never_to_be_true(self, start):
        world = World(NEVER_TRUE, "estimated")
        true = torch.eye(4)[world.true]
        matrix = torch.from_numpy(NEVER_TRUE)
        world.state.epsilon.copy_(corrupt_label_probability(true, world.y, matrix))
        gamma, T_c = world.run(true, start)
        assert gamma == pytest.approx(world.is_clean.mean(), abs=0.02)
        assert_allclose(T_c, NEVER_TRUE, atol=0.05)

    @pytest.mark.fast_cases(1)
    @pytest.mark.parametrize("T_c", [EVEN, NEVER_TRUE], ids=["even", "never true"])
    def test_else_what_can_be_known(self, start, T_c):
        world = World(T_c, "estimated")
        gamma, found = world.run(world.fit(torch.eye(4)[world.y]), start)
        right = 0.6 + 0.4 * np.diag(T_c)
        assert_allclose(gamma + (1 - gamma) * np.diag(found), right, atol=0.02)
        off = ~np.eye(4, dtype=bool)
        for row, expected, is_off in zip(found, T_c, off, strict=True):
            spread, truth = row[is_off], expected[is_off]
            assert_allclose(spread / spread.sum(), truth / truth.sum(), atol=0.05)
        # A start at γ = 0.9 and another at 0.3 end 0.08 apart or more.
        assert 0.4 < gamma < right.max()
