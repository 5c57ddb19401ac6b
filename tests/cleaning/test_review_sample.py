import numpy as np
import pytest
from known_detector import KnownDetector

from sknoisy import label_report
from sknoisy.cleaning._review_sample import review_order, row_strata

N = 1000


def report_of(n_rows=N, seed=0, level=0.8):
    scores = np.random.default_rng(seed).random(n_rows)
    y = np.arange(n_rows) % 3
    return label_report(KnownDetector(scores, level=level), scores[:, None], y)


def test_flagged_rows_come_first_then_the_scores():
    scores = np.array([0.2, 0.9, 0.4, 0.9, 0.6])
    report = label_report(KnownDetector(scores), scores[:, None], [0, 1, 0, 1, 0])
    frame = report.frame.assign(is_label_issue=[True, False, False, False, True])
    object.__setattr__(report, "frame", frame)
    assert review_order(report).tolist() == [4, 0, 1, 3, 2]


def test_strata_are_ranges_of_the_ranking():
    report = report_of()
    strata, guessed = row_strata(report)
    n_flagged = int(report.frame["is_label_issue"].sum())
    rest = N - n_flagged
    sizes = np.bincount(strata)[1:]
    half = n_flagged // 2
    assert sizes[:2].tolist() == [half, n_flagged - half]
    assert np.abs(sizes[2:] - np.array([0.1, 0.3, 0.6]) * rest).max() <= 1
    assert (np.diff(strata[review_order(report)]) >= 0).all()
    assert len(guessed) == 5 and (np.diff(guessed) < 0).all()


@pytest.mark.parametrize(("level", "n_strata"), [(0.99, 4), (1.0, 3), (-1, 2)])
def test_there_is_no_empty_stratum(level, n_strata):
    strata, guessed = row_strata(report_of(level=level))
    assert sorted(set(strata)) == list(range(1, n_strata + 1))
    assert len(guessed) == n_strata


def test_the_sample_has_both_parts():
    report = report_of()
    sample = report.sample_for_review(200, random_state=3)
    is_ranked = sample["sample"].str.startswith("rank").to_numpy()
    rows = sample["row"].to_numpy()
    assert len(set(rows)) == len(rows) and (~is_ranked).sum() == 100
    # The top 100 are all there, in order unless they were drawn.
    assert set(review_order(report)[:100]) <= set(rows)
    ranks = sample["sample"][is_ranked].str.removeprefix("rank ").astype(int)
    assert ranks.is_monotonic_increasing
    assert (review_order(report)[ranks - 1] == rows[is_ranked]).all()
    assert sample["sample_probability"].isna().tolist() == is_ranked.tolist()
    assert (sample["suspicion"] == report.frame["suspicion"].iloc[rows]).all()
    assert (sample["given_label"] == report.frame["given_label"].iloc[rows]).all()


def test_the_probability_is_the_share_of_the_stratum_that_was_drawn():
    report = report_of()
    sample = report.sample_for_review(150, share_random=1)
    strata, _ = row_strata(report)
    drawn = sample["row"].to_numpy()
    assert sample["sample"].tolist() == [f"stratum {h}" for h in strata[drawn]]
    for number, part in sample.groupby("sample"):
        size = (strata == int(number[8:])).sum()
        assert len(part) >= 5
        np.testing.assert_allclose(part["sample_probability"], len(part) / size)


@pytest.mark.slow
def test_each_row_is_drawn_as_often_as_its_probability_says():
    report = report_of(120)
    n_draws, counts, probability = 600, np.zeros(120), np.zeros(120)
    for seed in range(n_draws):
        sample = report.sample_for_review(40, share_random=1, random_state=seed)
        counts[sample["row"]] += 1
        probability[sample["row"]] = sample["sample_probability"]
    error = np.sqrt(n_draws * probability * (1 - probability))
    assert (np.abs(counts - n_draws * probability) <= 4.5 * error).all()


def test_the_order_of_the_draws_is_random():
    # So that the first part of the sample is a sample too.
    sample = report_of().sample_for_review(400, share_random=1)
    strata = sample["sample"].str.removeprefix("stratum ").astype(int)
    halves = [np.bincount(part, minlength=6)[1:] for part in np.array_split(strata, 2)]
    assert (np.abs(halves[0] - halves[1]) < 40).all()
    assert not strata.is_monotonic_increasing


@pytest.mark.parametrize(("n", "share"), [(1, 0.5), (7, 1), (3, 1), (5, 0), (5000, 1)])
def test_any_number_of_rows_can_be_asked_for(n, share):
    sample = report_of().sample_for_review(n, share_random=share)
    assert len(sample) <= n
    if share == 1:
        assert len(sample) == min(n, N)
    assert (sample["sample_probability"].dropna() <= 1).all()


def test_the_seed_decides():
    report = report_of()
    first, same, other = (
        report.sample_for_review(50, random_state=s) for s in (1, 1, 2)
    )
    assert first.equals(same) and not first.equals(other)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "n == 0, must be >= 1"),
        ({"share_random": 1.5}, "share_random == 1.5, must be <= 1"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        report_of().sample_for_review(**arguments)
