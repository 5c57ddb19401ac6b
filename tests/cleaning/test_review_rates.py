import itertools

import numpy as np
import pandas as pd
import pytest
from known_detector import KnownDetector
from scipy.stats import binomtest, hypergeom

from sknoisy import label_report
from sknoisy.cleaning._review_rates import StoppingPoint, rate_interval
from sknoisy.cleaning._review_sample import review_order, row_strata

N = 600


def report_of(seed=0, n_rows=N, rate=0.2):
    """Return a report and which labels are wrong: the more suspicious, the likelier."""
    rng = np.random.default_rng(seed)
    is_wrong = rng.random(n_rows) < rate
    scores = np.clip(rng.normal(0.3 + 0.4 * is_wrong, 0.15), 0, 1)
    y = np.arange(n_rows) % 3
    return label_report(KnownDetector(scores), scores[:, None], y), is_wrong


def decide(report, rows, is_wrong, sample=None, unsure=()):
    """Return decisions about rows by the truth."""
    given = report.frame["given_label"].to_numpy()
    rows = np.asarray(rows, dtype=np.int64)
    frame = pd.DataFrame(
        {
            "row": rows,
            "row_sha256": report.row_checksums(rows),
            "given_label": given[rows],
            "decision": np.where(is_wrong[rows], "relabel", "keep"),
            "new_label": np.where(is_wrong[rows], (given[rows] + 1) % 3, -1),
            "audit_id": report.audit_id,
        }
    ).astype({"new_label": object})
    frame.loc[np.isin(rows, unsure), "decision"] = "unsure"
    frame.loc[frame["decision"] != "relabel", "new_label"] = ""
    if sample is not None:
        frame["sample"] = sample["sample"].to_numpy()
        frame["sample_probability"] = sample["sample_probability"].to_numpy()
    return frame


def reviewed(report, is_wrong, n=200, share=0.5, seed=0, **options):
    sample = report.sample_for_review(n, share_random=share, random_state=seed)
    return decide(report, sample["row"], is_wrong, sample, **options)


class TestRateInterval:
    @pytest.mark.parametrize(("wrong", "n"), [(0, 30), (3, 50), (25, 50), (50, 50)])
    def test_one_large_group_has_the_interval_of_wilson(self, wrong, n):
        args = (np.array([v], dtype=float) for v in (1e12, n, wrong))
        estimate, low, high = rate_interval(*args, 0.9)
        expected = binomtest(wrong, n).proportion_ci(0.9, method="wilson")
        assert estimate == wrong / n
        np.testing.assert_allclose((low, high), expected, rtol=1e-7, atol=1e-9)

    def test_equal_groups_that_agree_are_as_good_as_one(self):
        # The level of each is lowered such that the mean has the level.
        args = (np.full(4, v) for v in (1e12, 400.0, 100.0))
        _, low, high = rate_interval(*args, 0.95)
        expected = binomtest(400, 1600).proportion_ci(0.95, method="wilson")
        np.testing.assert_allclose((low, high), expected, atol=3e-4)

    def test_what_was_seen_whole_is_certain(self):
        sizes, wrong = np.array([50.0, 30.0]), np.array([20.0, 3.0])
        assert rate_interval(sizes, sizes, wrong, 0.95) == (23 / 80,) * 3
        half = rate_interval(sizes, np.array([50.0, 15.0]), wrong, 0.95)
        whole_width, half_width = 30 / 80, half[2] - half[1]
        assert 0 < half_width < whole_width

    def test_a_group_without_a_wrong_label_is_not_certain(self):
        sizes = np.array([100.0, 900.0])
        _, low, high = rate_interval(
            sizes, np.array([40.0, 40.0]), np.array([30.0, 0.0]), 0.95
        )
        # In the second group up to 8.8 % may be wrong.
        assert low == pytest.approx(0.075, abs=0.03) and 0.1 < high < 0.9 * 0.1 + 0.1

    @pytest.mark.slow
    def test_it_holds_the_truth_as_often_as_it_says(self):
        # All samples that can be drawn, with their probabilities.
        sizes, drawn = np.array([60, 240]), np.array([20, 30])
        coverages = []
        for wrong in itertools.product((6, 20, 33, 48), (2, 12, 40, 100)):
            truth = sum(wrong) / sizes.sum()
            coverage = 0.0
            for found in itertools.product(*(range(n + 1) for n in drawn)):
                chance = np.prod(hypergeom.pmf(found, sizes, wrong, drawn))
                args = (np.array(v, dtype=float) for v in (sizes, drawn, found))
                _, low, high = rate_interval(*args, 0.95)
                coverage += chance * (low <= truth <= high)
            coverages.append(coverage)
        assert 0.94 < np.mean(coverages) < 0.965
        assert min(coverages) > 0.92


class TestNoiseRateInterval:
    def test_it_counts_the_strata_and_the_top(self):
        report, is_wrong = report_of()
        decisions = reviewed(report, is_wrong)
        found = report.noise_rate_interval(decisions)
        # By hand: the top until the last row before a gap that was not drawn.
        order, rows = review_order(report), set(decisions["row"])
        drawn = set(decisions["row"][decisions["sample"].str.startswith("stratum")])
        top = list(itertools.takewhile(rows.__contains__, order))
        while top and top[-1] in drawn:
            top.pop()
        assert len(top) >= 90 and top[-1] not in drawn
        strata, _ = row_strata(report)
        whole, groups = set(top), []
        for h in range(1, strata.max() + 1):
            every = np.flatnonzero(strata == h)
            left = [row for row in every if row not in top]
            seen = [[row for row in part if row in drawn] for part in (left, every)]
            if rows.issuperset(every):
                # Reviewed whole.
                whole.update(every)
            elif len(seen[1]) * len(left) >= 10 * len(every):
                groups.append((len(left), len(seen[0]), is_wrong[seen[0]].sum()))
            else:
                # Too few are left: the rows of the stratum stay together.
                whole.difference_update(every)
                groups.append((len(every), len(seen[1]), is_wrong[seen[1]].sum()))
        groups.insert(0, (len(whole), len(whole), is_wrong[list(whole)].sum()))
        sizes, n, wrong = np.array(groups, dtype=float).T
        assert (found.estimate, found.low, found.high) == rate_interval(
            sizes, n, wrong, 0.95
        )
        assert found.estimate == pytest.approx(np.sum(sizes * wrong / n) / N)
        assert found.n_reviewed == n.sum() and found.n_wrong == wrong.sum()
        assert found.n_unsure == 0 and found.confidence == 0.95
        assert found.low < is_wrong.mean() < found.high

    @pytest.mark.slow
    def test_the_estimate_is_right_on_average(self):
        report, is_wrong = report_of(1)
        estimates = [
            report.noise_rate_interval(reviewed(report, is_wrong, 80, seed=s)).estimate
            for s in range(60)
        ]
        error = np.std(estimates) / np.sqrt(len(estimates))
        assert abs(np.mean(estimates) - is_wrong.mean()) < 4 * error
        # The top alone would say twice that.
        top = review_order(report)[:40]
        assert is_wrong[top].mean() > 2 * is_wrong.mean()

    def test_all_rows_reviewed_is_the_truth(self):
        report, is_wrong = report_of(n_rows=60)
        everything = decide(report, np.arange(60), is_wrong)
        found = report.noise_rate_interval(everything)
        assert found.low == found.high == found.estimate == is_wrong.mean()

    def test_excluded_rows_count_as_wrong_and_unsure_ones_not_at_all(self):
        report, is_wrong = report_of()
        decisions = reviewed(report, is_wrong, 150, share=1)
        expected = report.noise_rate_interval(decisions)
        excluded = decisions.replace({"decision": {"relabel": "exclude"}})
        assert report.noise_rate_interval(excluded.assign(new_label="")) == expected
        doubtful = decisions["row"].iloc[:9]
        decisions = reviewed(report, is_wrong, 150, share=1, unsure=doubtful)
        found = report.noise_rate_interval(decisions)
        assert found.n_unsure == 9 and found.n_reviewed == expected.n_reviewed - 9

    def test_a_higher_confidence_is_wider(self):
        report, is_wrong = report_of()
        decisions = reviewed(report, is_wrong)
        wide = report.noise_rate_interval(decisions, confidence=0.99)
        narrow = report.noise_rate_interval(decisions, confidence=0.5)
        assert wide.low < narrow.low < narrow.high < wide.high

    def test_decisions_without_a_stratum_are_refused(self):
        report, is_wrong = report_of()
        top = decide(report, review_order(report)[:50], is_wrong)
        with pytest.raises(ValueError, match="no rows that were drawn at random"):
            report.noise_rate_interval(top)
        ranked = reviewed(report, is_wrong, share=0)
        with pytest.raises(
            ValueError, match="suspicious rows alone say nothing of the"
        ):
            report.noise_rate_interval(ranked)

    def test_a_stratum_without_a_decision_is_refused(self):
        report, is_wrong = report_of()
        decisions = reviewed(report, is_wrong)
        some = decisions[decisions["sample"] != "stratum 5"]
        with pytest.raises(ValueError, match="no row of the random sample was decided"):
            report.noise_rate_interval(some)

    def test_rows_of_the_sample_that_are_missing_are_counted(self):
        report, is_wrong = report_of()
        decisions = reviewed(report, is_wrong, share=1)
        with pytest.warns(UserWarning, match=r"^7 row\(s\) of the random sample have"):
            report.noise_rate_interval(decisions.iloc[7:])

    def test_another_audit_is_refused(self):
        report, is_wrong = report_of()
        decisions = reviewed(report, is_wrong)
        other = decisions.assign(audit_id="0" * 16)
        with pytest.raises(
            ValueError, match="from the audit 0000000000000000, but this"
        ):
            report.noise_rate_interval(other)
        moved = decisions.assign(audit_id="")
        where = moved["sample"] == "stratum 4"
        moved.loc[where, "sample"] = "stratum 2"
        with pytest.raises(ValueError, match="has the sample 'stratum 2', but in this"):
            report.noise_rate_interval(moved)

    @pytest.mark.parametrize("confidence", [0, 1])
    def test_confidence_is_between_0_and_1(self, confidence):
        report, _ = report_of()
        with pytest.raises(ValueError, match="confidence =="):
            report.noise_rate_interval([], confidence=confidence)
        with pytest.raises(ValueError, match="confidence =="):
            report.flag_precision([], confidence=confidence)


class TestFlagPrecision:
    def test_what_was_reviewed_whole_is_counted(self):
        report, is_wrong = report_of()
        everything = decide(report, np.arange(N), is_wrong)
        table = report.flag_precision(everything)
        scores = report.frame["suspicion"].to_numpy()
        flags = report.frame["is_label_issue"].to_numpy()
        assert len(table) == 10 and table["min_score"].is_monotonic_decreasing
        for line in table.itertuples():
            where = flags & (scores >= line.min_score)
            assert line.n_flagged == line.n_reviewed == where.sum()
            assert line.precision == pytest.approx(is_wrong[where].mean(), rel=1e-12)
            assert line.low == line.high == line.precision
        assert table["n_flagged"].iloc[-1] == flags.sum()

    @pytest.mark.slow
    def test_a_sample_gives_intervals_that_hold_it(self):
        report, is_wrong = report_of(n_rows=3000)
        scores = report.frame["suspicion"].to_numpy()
        flags = report.frame["is_label_issue"].to_numpy()
        truth = is_wrong[flags & (scores >= 0.6)].mean()
        held = []
        for seed in range(40):
            decisions = reviewed(report, is_wrong, 200, share=0.8, seed=seed)
            table = report.flag_precision(decisions, min_scores=[0.6])
            assert table["n_reviewed"].iloc[0] < table["n_flagged"].iloc[0]
            held.append(table["low"].iloc[0] <= truth <= table["high"].iloc[0])
        assert np.mean(held) > 0.85

    def test_what_was_not_reviewed_is_not_known(self):
        report, is_wrong = report_of()
        top = decide(report, review_order(report)[:30], is_wrong)
        table = report.flag_precision(top)
        least = report.frame["suspicion"].to_numpy()[review_order(report)[29]]
        known = table["min_score"] >= least
        assert known.any() and not known.all()
        assert table["precision"].notna().tolist() == known.tolist()

    def test_without_a_flag_there_is_nothing(self):
        detector = KnownDetector(np.linspace(0, 0.4, 20))
        report = label_report(detector, np.zeros((20, 1)), np.arange(20) % 2)
        assert len(report.flag_precision([])) == 0


class TestStoppingPoint:
    def decisions(self, report, wrong, unsure=()):
        order = review_order(report)[: len(wrong)]
        is_wrong = np.zeros(N, dtype=bool)
        is_wrong[order] = wrong
        return decide(report, order, is_wrong, unsure=order[list(unsure)])

    def test_the_last_rows_are_counted(self):
        report, _ = report_of()
        wrong = [True] * 60 + [False] * 47 + [True] * 3
        point = report.stopping_point(self.decisions(report, wrong))
        # The window of ranks 56 to 105 has five wrong labels, ten percent.
        assert point == StoppingPoint(110, 50, 3, 105)
        text = "of the last 50, 3 were wrong; rank 105 was a point to stop"
        assert str(point) == text
        point = report.stopping_point(self.decisions(report, wrong), worth=0.05)
        assert (
            point.rank is None and str(point) == "of the last 50, 3 were wrong; go on"
        )

    def test_rows_after_a_gap_do_not_count_and_unsure_ones_neither(self):
        report, _ = report_of()
        decisions = self.decisions(report, [True] * 5 + [False] * 6, unsure=[7])
        point = report.stopping_point(decisions, window=4, worth=0)
        assert point == StoppingPoint(11, 4, 0, 10)
        gap = decisions[decisions["row"] != review_order(report)[3]]
        point = report.stopping_point(gap, window=4)
        assert point == StoppingPoint(3, 3, 3, None)

    def test_nothing_reviewed_is_nothing_found(self):
        report, _ = report_of()
        assert report.stopping_point([]) == StoppingPoint(0, 0, 0, None)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [({"window": 0}, "window == 0"), ({"worth": 2}, "worth == 2")],
    )
    def test_bad_arguments_are_refused(self, arguments, message):
        report, _ = report_of()
        with pytest.raises(ValueError, match=message):
            report.stopping_point([], **arguments)
