"""Choosing how to train: who stays in the race, who wins, and what runs add up to."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sknoisy._planting._calibration import calibrate
from sknoisy._planting._jobs import Jobs
from sknoisy._planting._race import Candidate, choose, race, race_then_repeat
from sknoisy._progress import progress
from sknoisy.base import TrainingInterrupted, TrainingInterruptedWarning

N_ROWS, N_PLANTED = 400, 40


def planted_rows(n_runs, n_rows=N_ROWS, n_planted=N_PLANTED):
    """Other rows in each run."""
    planted = np.zeros((n_runs, n_rows), dtype=bool)
    for run in range(n_runs):
        planted[run, run * n_planted : (run + 1) * n_planted] = True
    return planted


def training(planted, auroc, seed):
    """Return what a training records: planted labels low but for one or a few rows.

    A planted row above s of the given ones costs s / (planted rows × given rows).
    """
    rng = np.random.default_rng(seed)
    signal = np.where(planted, rng.normal(-3, 0.3, N_ROWS), rng.normal(3, 0.3, N_ROWS))
    given_signal = np.sort(signal[~planted])
    n_given = len(given_signal)
    swaps = round((1 - auroc) * N_PLANTED * n_given)
    for row in np.flatnonzero(planted):
        above = min(swaps, n_given - 1)
        if above:
            signal[row] = given_signal[above - 1 : above + 1].mean()
        swaps -= above
    proba = np.where(np.arange(N_ROWS)[:, None] % 2, [0.2, 0.8], [0.8, 0.2])
    return np.repeat(signal[:, None], 3, axis=1), proba, f"net {seed}"


def tasks_of(train):
    """Return the function that makes the tasks of a training function."""
    return lambda setting, number: (train, setting, number)


def contest(aurocs, n_runs=4):
    """Return candidates, and a train function that gives them these AUROCs.

    ``aurocs`` has a list for each setting; an exception in it is raised.
    """
    planted = planted_rows(n_runs)
    candidates = [Candidate({"name": name}, planted, N_ROWS) for name in aurocs]
    trained = []

    def train(setting, run):
        trained.append((setting["name"], run))
        outcome = aurocs[setting["name"]][run]
        if not isinstance(outcome, float):
            raise outcome
        return training(planted[run], outcome, seed=run)

    return candidates, tasks_of(train), trained


def names(active):
    return [runs.setting["name"] for runs in active]


def test_the_simulated_trainings_have_the_auroc_they_are_given():
    candidates, train, _ = contest({"a": [1.0, 0.98, 0.9, 0.7]})
    (runs,) = race(candidates, train, 4)
    np.testing.assert_allclose(runs.aurocs, [1.0, 0.98, 0.9, 0.7], atol=1e-4)
    assert runs.net == "net 3"


def test_all_stay_while_they_are_near_and_train_in_turn():
    candidates, train, trained = contest({"a": [0.97] * 4, "b": [0.95] * 4})
    assert names(race(candidates, train, 4)) == ["a", "b"]
    assert trained == [(name, run) for run in range(4) for name in "ab"]


@pytest.mark.parametrize(("gap", "stays"), [(0.025, True), (0.035, False)])
def test_who_falls_behind_is_not_trained_again(gap, stays):
    candidates, train, trained = contest({"a": [0.9 - gap] * 4, "b": [0.9] * 4})
    active = race(candidates, train, 4)
    assert names(active) == (["a", "b"] if stays else ["b"])
    assert trained.count(("a", 1)) == stays
    assert len(candidates[0].aurocs) == (4 if stays else 1)
    assert len(candidates[1].aurocs) == 4


def test_the_mean_over_the_runs_decides_who_falls_behind():
    # 0.06 behind in the third run alone, but 0.02 on average; out after the fourth.
    aurocs = {"a": [0.9, 0.9, 0.84, 0.8], "b": [0.9] * 4, "c": [0.8, 0.9, 0.9, 0.9]}
    candidates, train, trained = contest(aurocs)
    assert names(race(candidates, train, 4)) == ["b"]
    assert [run for name, run in trained if name == "a"] == [0, 1, 2, 3]
    assert [run for name, run in trained if name == "c"] == [0]


@pytest.mark.parametrize("run", [0, 2])
def test_a_setting_that_diverges_leaves_the_race(run):
    aurocs = {"a": [0.9] * 4, "b": [0.9] * 4, "c": [0.9] * 4}
    aurocs["b"][run] = FloatingPointError("loss is nan")
    candidates, train, trained = contest(aurocs)
    assert names(race(candidates, train, 4)) == ["a", "c"]
    assert [r for name, r in trained if name == "b"] == list(range(run + 1))
    assert len(candidates[1].aurocs) == run


@pytest.mark.parametrize(
    "aurocs",
    [
        {"a": [FloatingPointError("loss is nan")] * 2},
        {name: [FloatingPointError("loss is nan")] * 2 for name in "abc"},
        # The other one is out when it happens.
        {"a": [0.5] * 2, "b": [0.9, FloatingPointError("loss is nan")]},
    ],
)
def test_the_last_one_that_diverges_says_so(aurocs):
    candidates, train, _ = contest(aurocs, n_runs=2)
    with pytest.raises(FloatingPointError, match="loss is nan"):
        race(candidates, train, 2)


@pytest.mark.fast_cases(4)
@pytest.mark.parametrize("error", [KeyboardInterrupt(), TrainingInterrupted("short")])
@pytest.mark.parametrize("call", range(9))
def test_an_interruption_keeps_who_has_scored_all_rows(call, error):
    aurocs = {name: [0.9] * 3 for name in "abc"}
    aurocs["abc"[call % 3]][call // 3] = error
    candidates, train, trained = contest(aurocs, n_runs=3)
    # Two runs with different planted rows score all; each call before is complete.
    complete = [sum(c % 3 == i for c in range(call)) for i in range(3)]
    expected = [name for name, n in zip("abc", complete, strict=True) if n >= 2]
    if expected:
        n_done = sum(n for n in complete if n >= 2)
        message = rf"race was interrupted: .* from {n_done} of \d trainings"
        with pytest.warns(TrainingInterruptedWarning, match=message):
            assert names(race(candidates, train, 3)) == expected
    else:
        with pytest.raises(TrainingInterrupted, match="every row") as caught:
            race(candidates, train, 3)
        assert caught.value.__cause__ is error
    assert len(trained) == call + 1


def test_two_runs_that_plant_the_same_rows_do_not_score_all():
    planted = planted_rows(3)
    planted[1] = planted[0]

    def train(setting, run):
        if run == 2:
            raise KeyboardInterrupt
        return training(planted[run], 0.9, run)

    with pytest.raises(TrainingInterrupted):
        race([Candidate({}, planted, N_ROWS)], tasks_of(train), 3)


def test_a_verbose_bar_gets_a_row_for_each_training(capsys):
    aurocs = {"a": [0.8] * 2, "b": [0.9] * 2, "c": [FloatingPointError()] * 2}
    race(*contest(aurocs, n_runs=2)[:2], 2)
    assert capsys.readouterr() == ("", "")
    candidates, train, trained = contest(aurocs, n_runs=2)
    with progress(6, "Race", verbose=2) as bar:
        race(candidates, train, 2, bar)
    # Two trainings of six were called off.
    assert (bar.done, bar.total) == (4, 4)
    out, err = capsys.readouterr()
    *lines, last = err.splitlines()
    assert out == "" and last.startswith("Race: 100%, step 4/4, AUROC 0.9, took")
    assert trained == [("a", 0), ("b", 0), ("c", 0), ("b", 1)]
    assert len(lines) == 3  # but none for what diverged
    for line, run, name, auroc in zip(
        lines, (1, 1, 2), "abb", ("0.800", "0.900", "0.900"), strict=True
    ):
        assert line.startswith(f"round {run} of 2: ")
        assert f"'{name}'" in line and line.endswith(f"AUROC {auroc}")


PICK = partial(choose, origin=np.arange(N_ROWS), n_classes=2)
DIVERGED = FloatingPointError("loss is nan")


def raced(aurocs, rounds, total=20, finalist=None):
    """Race and repeat; return the best, what was trained, and the bar."""
    candidates, train, trained = contest(aurocs, n_runs=rounds[2])
    with progress(total, "Race", verbose=1) as bar:
        best = race_then_repeat(candidates, train, PICK, rounds, bar, finalist)
    assert bar.done == bar.total == len(trained)
    return best, trained


class TestRaceThenRepeat:
    """Signals of different rounds are drawn independently: they never agree."""

    def test_the_best_goes_on_with_the_rounds_of_the_race(self):
        aurocs = {"a": [0.88] * 5, "b": [0.9] * 5, "c": [0.8] * 5}
        best, trained = raced(aurocs, (2, 2, 4))
        shared = [("a", 0), ("b", 0), ("c", 0), ("a", 1), ("b", 1)]
        assert trained == [*shared, ("b", 2), ("b", 3)]
        assert best.setting == {"name": "b"} and len(best.trajectories) == 4

    def test_the_race_ends_when_one_is_left(self):
        best, trained = raced({"a": [0.9] * 5, "b": [0.8] * 5}, (3, 2, 3))
        assert trained == [("a", 0), ("b", 0), ("a", 1), ("a", 2)]
        assert best.setting == {"name": "a"}

    def test_a_single_one_has_no_race(self):
        best, trained = raced({"a": [0.9] * 5}, (3, 3, 3))
        assert trained == [("a", number) for number in range(3)]
        assert len(best.trajectories) == 3

    @pytest.mark.parametrize(("noise", "n_rounds"), [(0.1, 2), (0.25, 4), (1.0, 5)])
    def test_rounds_that_agree_are_enough(self, noise, n_rounds):
        """Means of m rounds correlate by m / (m + noise²).

        That is 0.995 for two in the first case, and in the second 0.980 - 0.0004 for
        three and 0.985 for four.
        """
        rng = np.random.default_rng(0)
        planted = planted_rows(5, 10_000, 1000)
        signal = rng.normal(size=(10_000, 1))

        def train(setting, number):
            heard = signal + noise * rng.normal(size=signal.shape)
            return heard - 3 * planted[number][:, None], np.ones((10_000, 2)), None

        candidate = Candidate({}, planted, 10_000)
        with progress(5, "Race", verbose=1) as bar:
            fits = tasks_of(train)
            race_then_repeat([candidate], fits, lambda c: c[0], (0, 2, 5), bar)
        assert len(candidate.trajectories) == bar.done == bar.total == n_rounds
        expected = n_rounds / (n_rounds + noise**2)
        assert candidate.agreement == pytest.approx(expected, abs=0.01)

    def test_what_diverges_after_the_race_is_replaced(self):
        aurocs = {"a": [0.88] * 4, "b": [0.9, 0.9, 0.9, DIVERGED]}
        best, trained = raced_with_one_more(aurocs, (2, 4, 4))
        assert best.setting == {"name": "a"} and len(best.trajectories) == 4
        assert trained[4:] == [("b", 2), ("b", 3), ("a", 2), ("a", 3)]
        with pytest.raises(FloatingPointError, match="loss is nan"):
            raced({"a": [0.7] * 4, "b": [0.9, 0.9, DIVERGED, 0.9]}, (2, 4, 4))

    def test_a_finalist_starts_again(self):
        finals, train, trained = contest({"b": [0.7] * 3}, n_runs=3)
        candidates, shared, _ = contest({"a": [0.88] * 2, "b": [0.9] * 2}, n_runs=2)
        with progress(7, "Race", verbose=1) as bar:
            best = race_then_repeat(
                candidates, shared, PICK, (2, 3, 3), bar, lambda _: (finals[0], train)
            )
        assert best is finals[0] and bar.done == bar.total == 7
        assert trained == [("b", number) for number in range(3)]
        np.testing.assert_allclose(best.aurocs, 0.7, atol=1e-4)

    @pytest.mark.parametrize(
        ("on_a_part", "call", "n_done"),
        [
            # Two rounds of two candidates, then two further ones of b.
            (False, 3, 0),
            (False, 5, 2),
            (False, 6, 3),
            # Then four of b on all rows: the third one is the seventh training.
            (True, 3, 0),
            (True, 6, 0),
            (True, 7, 2),
        ],
    )
    def test_an_interruption(self, on_a_part, call, n_done):
        candidates, shared, _ = contest({"a": [0.88] * 4, "b": [0.9] * 4}, n_runs=4)
        final = Candidate({"name": "b"}, planted_rows(4), N_ROWS)
        calls = []

        def fit_one(setting, number):
            calls.append(number)
            if len(calls) == call:
                raise KeyboardInterrupt
            function, *args = shared(setting, number)
            return function(*args)

        train = tasks_of(fit_one)
        finalist = (lambda _: (final, train)) if on_a_part else None
        with progress(8, "Race", verbose=0) as bar:
            fit = partial(
                race_then_repeat, candidates, train, PICK, (2, 4, 4), bar, finalist
            )
            if not n_done:
                with pytest.raises(TrainingInterrupted, match="every row"):
                    fit()
                return
            message = f"labels are scored from {n_done} of 4 trainings"
            with pytest.warns(TrainingInterruptedWarning, match=message):
                best = fit()
        assert best.setting == {"name": "b"} and len(best.trajectories) == n_done


class WithWorkers:
    """Runs tasks as `Jobs` does, one after the other, but says that it has workers."""

    def __init__(self, n):
        self.n = n

    def results(self, tasks):
        return Jobs().results(tasks)


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize("n", [6, 16])
@pytest.mark.parametrize("goes_on", [True, False])
@pytest.mark.parametrize(
    "aurocs",
    [
        {"a": [0.88] * 5, "b": [0.9] * 5, "c": [0.8] * 5},
        {"a": [0.9] * 5, "b": [0.8] * 5},
        {"a": [0.9, 0.9, 0.84, 0.8, 0.9], "b": [0.9] * 5, "c": [0.9] * 5},
        {"a": [0.9] * 5, "b": [0.9, DIVERGED, 0.9, 0.9, 0.9], "c": [0.89] * 5},
        # Diverges where it would not have been trained.
        {"a": [0.7] + 4 * [DIVERGED], "b": [0.9] * 5, "c": [0.89] * 5},
    ],
)
def test_rounds_beside_one_another_change_nothing(aurocs, goes_on, n):
    found, counts = [], []
    for jobs in (WithWorkers(1), WithWorkers(n)):
        candidates, train, trained = contest(aurocs, n_runs=5)
        with progress(5 * len(aurocs), "Race", verbose=1) as bar:
            if goes_on:
                rounds = 3, 2, 5
                race_then_repeat(candidates, train, PICK, rounds, bar, jobs=jobs)
            else:
                race(candidates, train, 5, bar, jobs)
        # A training that fails is not counted.
        assert bar.done >= sum(len(candidate.aurocs) for candidate in candidates)
        found.append(([c.aurocs for c in candidates], bar.done, bar.total))
        counts.append(len(trained))
    assert found[0] == found[1] and found[0][1] == found[0][2]
    assert counts[1] >= counts[0]


def raced_with_one_more(aurocs, rounds):
    """As `raced`, where one training fails and is not counted."""
    candidates, train, trained = contest(aurocs, n_runs=rounds[2])
    with progress(20, "Race", verbose=1) as bar:
        best = race_then_repeat(candidates, train, PICK, rounds, bar)
    assert bar.done == bar.total
    return best, trained


def test_few_or_equal_signals_do_not_agree():
    for values in (np.zeros((2, 50)), np.arange(100).reshape(2, 50)[:, ::-1] % 7):
        planted = np.zeros((2, 50), dtype=bool)
        planted[0, :24], planted[1, 24:48] = True, True
        runs = Candidate({}, planted, 50)
        for row in values:
            runs.add(row[:, None], np.ones((50, 2)), None)
        # Only two rows have their label in both rounds.
        assert runs.agreement == 0


def active_with(aurocs):
    planted = planted_rows(len(next(iter(aurocs.values()))))
    active = []
    for name, values in aurocs.items():
        runs = Candidate({"name": name}, planted, N_ROWS)
        for run, auroc in enumerate(values):
            runs.add(*training(planted[run], auroc, seed=run))
        active.append(runs)
    return active


@pytest.mark.fast_cases(3)
@pytest.mark.parametrize(
    ("aurocs", "expected"),
    [
        ({"a": [0.9] * 4}, "a"),
        ({"a": [0.9] * 4, "b": [0.95] * 4, "c": [0.92] * 4}, "b"),
        ({"a": [0.95] * 4, "b": [0.9] * 4}, "a"),
        # A lead of 0.01 on average: steady, or within a standard error of 0.02.
        ({"a": [0.90] * 4, "b": [0.912, 0.908, 0.911, 0.909]}, "b"),
        ({"a": [0.90] * 4, "b": [0.95, 0.87, 0.95, 0.87]}, "a"),
        # Less than a standard deviation, but more than its half, the standard error.
        ({"a": [0.90] * 4, "b": [0.94, 0.90, 0.94, 0.90]}, "b"),
        # The third leads the second by as little, but the first by more.
        ({"a": [0.86] * 4, "b": [0.90] * 4, "c": [0.95, 0.87, 0.95, 0.87]}, "c"),
        # After an interruption only the runs that both have count.
        ({"a": [0.90, 0.90, 0.99], "b": [0.912, 0.908]}, "b"),
    ],
)
def test_the_best_is_chosen_or_the_first_if_as_good(aurocs, expected):
    # The standard error of the lead, from numbers and not from trainings.
    if len(aurocs) == 2 and expected == "a" and len(aurocs["a"]) == 4:
        lead = np.subtract(aurocs["b"], aurocs["a"])
        assert lead.mean() <= lead.std(ddof=1) / 2
    best = choose(active_with(aurocs), np.arange(N_ROWS), n_classes=2)
    assert best.setting["name"] == expected


def test_all_alike_is_a_tie_for_the_first():
    active = active_with({"a": [0.93] * 3, "b": [0.93] * 3})
    for order in (active, active[::-1]):
        assert choose(order, np.arange(N_ROWS), 2) is order[0]


def test_one_run_has_no_standard_error_and_the_best_is_chosen():
    # One run can judge all samples only if the planted labels are on copies.
    planted = planted_rows(1)[:, ::-1]
    first, second = (Candidate({}, planted, N_ROWS - N_PLANTED) for _ in range(2))
    first.add(*training(planted[0], 0.90, seed=0))
    second.add(*training(planted[0], 0.91, seed=0))
    origin = np.concatenate([np.arange(N_ROWS - N_PLANTED), np.arange(N_PLANTED)])
    assert choose([first, second], origin, 2) is second


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize("copies", [False, True])
@pytest.mark.parametrize("n_classes", [3, 10])
def test_rows_that_anyone_suspects_do_not_count(copies, n_classes):
    """One setting sees through the wrong labels, another one has learnt them by heart.

    The first is blamed for what it finds: wrong labels lie as low as planted ones.
    """
    rng = np.random.default_rng(0)
    n, n_runs = 1000, 1 if copies else 4
    is_wrong = np.arange(n) % 10 < 3
    origin = np.arange(n)
    planted = planted_rows(n_runs, n, 100)
    if copies:
        origin = np.concatenate([origin, rng.permutation(n)[:200]])
        planted = np.arange(1200)[None] >= n
    seer, parrot = (
        Candidate({"name": name}, planted, n) for name in ("seer", "parrot")
    )
    for mask in planted:
        noise = rng.normal(0, 0.3, len(origin))
        low = mask | is_wrong[origin]
        seen = np.where(low, -3, 3) + noise
        # A tenth of the planted labels is learnt too.
        learnt = mask & (rng.random(len(origin)) < 0.9)
        parroted = np.where(learnt, -3, 3) + noise
        proba = np.full((len(origin), n_classes), 1 / n_classes)
        seer.add(seen[:, None], proba, None)
        parrot.add(parroted[:, None], proba, None)
    assert np.mean(parrot.aurocs) > np.mean(seer.aurocs) + 0.05
    assert choose([parrot, seer], origin, n_classes) is seer
    assert choose([seer, parrot], origin, n_classes) is seer


@st.composite
def recorded_runs(draw):
    """Runs of uneven length; every sample keeps its label in one of them at least."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    n_runs, n_samples = draw(st.integers(2, 4)), draw(st.integers(3, 9))
    n_copies = draw(st.integers(0, 4))
    planted = rng.random((n_runs, n_samples + n_copies)) < 0.4
    planted[rng.integers(n_runs), :n_samples] = False
    # An AUROC needs both kinds in each run.
    planted[:, 0], planted[:, 1] = False, np.arange(n_runs) > 0
    runs = Candidate({}, planted, n_samples)
    recorded = []
    for run in range(n_runs):
        planted[run, 2] |= not planted[run].any()
        n_epochs = draw(st.integers(1, 5))
        trajectories = rng.normal(size=(n_samples + n_copies, n_epochs))
        proba = rng.dirichlet(np.ones(3), n_samples + n_copies)
        recorded.append((trajectories.astype(np.float32), proba))
    planted[1, 2] = False  # kept at least once, though it may be planted in run 0
    for trajectories, proba in recorded:
        runs.add(trajectories, proba, None)
    return runs, planted, recorded


@pytest.mark.slow
@given(recorded_runs())
def test_means_take_the_runs_with_the_given_label_only(drawn):
    runs, planted, recorded = drawn
    longest = max(trajectories.shape[1] for trajectories, _ in recorded)
    assert runs.scores_all
    for row in range(runs.n_samples):
        kept = [r for (r, p) in zip(recorded, planted, strict=True) if not p[row]]
        signal = np.mean([t[row].mean(dtype=np.float64) for t, _ in kept])
        assert runs.given_signal[row] == pytest.approx(signal, rel=1e-6, abs=1e-9)
        # A run that ended early goes on with its mean.
        lines = [[*t[row], *[t[row].mean()] * (longest - t.shape[1])] for t, _ in kept]
        np.testing.assert_allclose(
            runs.given_trajectories[row], np.mean(lines, 0), rtol=1e-4, atol=1e-6
        )
        proba = np.mean([p[row] for _, p in kept], 0)
        np.testing.assert_allclose(runs.given_proba[row], proba, rtol=1e-9)


@pytest.mark.slow
@given(recorded_runs())
def test_planted_trajectories_come_run_after_run(drawn):
    runs, planted, recorded = drawn
    rows = runs.planted_trajectories
    assert len(rows) == planted.sum()
    expected = [t[p] for (t, _), p in zip(recorded, planted, strict=True)]
    start = 0
    for part in expected:
        found = rows[start : start + len(part), : part.shape[1]]
        np.testing.assert_array_equal(found, part)
        start += len(part)


@pytest.mark.slow
@given(recorded_runs())
def test_auroc_is_the_share_of_pairs_in_the_right_order(drawn):
    runs, planted, recorded = drawn
    rng = np.random.default_rng(0)
    weights = rng.random(planted.shape[1])
    for run, (trajectories, _) in enumerate(recorded):
        signal = trajectories.mean(1)
        pairs = [
            (weights[i] * weights[j], signal[i] < signal[j])
            for i in np.flatnonzero(planted[run])
            for j in np.flatnonzero(~planted[run])
        ]
        products, in_order = np.array(pairs).T
        assert runs.aurocs[run] == pytest.approx(in_order.mean())
        weighted = (products * in_order).sum() / products.sum()
        assert runs.auroc(run, weights) == pytest.approx(weighted)


def test_without_planted_labels_there_is_no_auroc():
    runs = Candidate({}, np.zeros((1, 5), dtype=bool), 5)
    runs.add(np.zeros((5, 2)), np.full((5, 2), 0.5), "net")
    assert runs.aurocs == [] and runs.scores_all and runs.net == "net"
    assert race([runs], lambda *args: (np.ones((5, 2)), 0.5, None), 0) == [runs]


def test_calibration_learns_from_all_runs():
    (runs,) = active_with({"a": [0.97] * 4})
    labels, planted = (
        np.concatenate([runs.signal[run, rows[run]] for run in range(4)])
        for rows in (~runs.planted, runs.planted)
    )
    expected = calibrate(labels, planted, 2, 0.3)
    values = np.linspace(-4, 4, 50)
    found = runs.calibrate(2, 0.3)
    np.testing.assert_allclose(found(values), expected(values), rtol=1e-9, atol=1e-12)
    assert found(-3) > 0.9 and found(3) < 0.1
    assert runs.calibrate(2).noise_rate < 0.01
