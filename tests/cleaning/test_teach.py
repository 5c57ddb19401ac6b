"""Reports that have learnt from decisions."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import sknoisy
from sknoisy import ConfidentLearningDetector, label_report
from sknoisy.cleaning import LabelReport

N = 600


@pytest.fixture(scope="module")
def audit():
    """Return a report about strings in a frame, and the true labels."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(N, 4)), columns=list("abcd"))
    truth = np.where(X["a"] > 0, "spam", "ham")
    y = pd.Series(np.where((X["b"] > 0.5) & (truth == "spam"), "ham", truth), name="y")
    model = ConfidentLearningDetector(LogisticRegression(), random_state=0)
    return label_report(make_pipeline(StandardScaler(), model), X, y), truth


def decide(report, truth, rows):
    given = report.frame["given_label"].to_numpy()[rows]
    is_wrong = given != truth[rows]
    return pd.DataFrame(
        {
            "row": rows,
            "row_sha256": report.row_checksums(rows),
            "given_label": given,
            "decision": np.where(is_wrong, "relabel", "keep"),
            "new_label": np.where(is_wrong, truth[rows], ""),
        }
    )


def top(report, n):
    return report.sample_for_review(n, share_random=0)["row"].to_numpy()


def test_it_is_what_a_fit_with_them_says(audit):
    report, truth = audit
    decisions = decide(report, truth, top(report, 120))
    taught = report.teach(decisions)
    verified = report.verified(decisions)
    detector = make_pipeline(
        StandardScaler(),
        ConfidentLearningDetector(LogisticRegression(), random_state=0),
    )
    detector.fit(report.X, report.y, confidentlearningdetector__verified=verified)
    for fitted in (detector, detector[-1]):
        of_fit = label_report(fitted, report.X, report.y).frame
        pd.testing.assert_frame_equal(taught.frame, of_fit)
    # Such a report has what the detector said before at hand.
    again = label_report(detector, report.X, report.y).teach(decisions)
    pd.testing.assert_frame_equal(taught.frame, again.frame)


def test_the_next_round_finds_more_and_repeats_no_row(audit):
    report, truth = audit
    is_wrong = report.frame["given_label"].to_numpy() != truth
    rows = top(report, 120)
    taught = report.teach(decide(report, truth, rows))
    sample = taught.sample_for_review(60)
    assert sample["sample"].str.startswith("rank").all() and len(sample) == 60
    second = sample["row"].to_numpy()
    assert not np.isin(second, rows).any()
    without = np.setdiff1d(top(report, 180), rows)
    assert is_wrong[second].mean() > is_wrong[without].mean() + 0.2
    # All decisions so far are passed, and those of rounds before make no difference.
    both = decide(report, truth, np.concatenate([rows, second]))
    pd.testing.assert_frame_equal(taught.teach(both).frame, report.teach(both).frame)


def test_what_the_decisions_say_of_their_rows(audit):
    report, truth = audit
    decisions = decide(report, truth, top(report, 8))
    decisions.loc[0, ["decision", "new_label"]] = "exclude", ""
    decisions.loc[1, ["decision", "new_label"]] = "unsure", ""
    decisions.loc[2, ["decision", "new_label"]] = "keep", ""
    decisions.loc[3, ["decision", "new_label"]] = "relabel", "ham"
    before = report.frame.copy()
    taught = report.teach(decisions)
    frame = taught.frame.iloc[decisions["row"].to_numpy()]
    assert frame["suspicion"].iloc[[0, 2, 3]].tolist() == [1, 0, 1]
    assert frame["is_label_issue"].iloc[[0, 2, 3]].tolist() == [True, False, True]
    assert frame["suggested_label"].iloc[3] == "ham"
    assert 0 < frame["suspicion"].iloc[1] < 1
    np.testing.assert_allclose(
        taught.frame["label_quality"], 1 - taught.frame["suspicion"]
    )
    pd.testing.assert_frame_equal(report.frame, before)
    assert taught.reviewed.tolist() == sorted(decisions["row"])


def test_the_page_of_the_next_round_has_no_reviewed_row(audit, tmp_path):
    report, truth = audit
    rows = top(report, 120)
    taught = report.teach(decide(report, truth, rows))
    page = taught.review(tmp_path / "next.html").read_text()
    flagged = np.setdiff1d(np.flatnonzero(taught.frame["is_label_issue"]), rows)
    assert page.count('class="row"') == len(flagged) > 0
    assert repr(taught) != repr(report)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"row": N}, f"decision about row {N}, but the data has {N} rows"),
        ({"row_sha256": "0" * 64}, "not the row that was reviewed"),
        ({"given_label": "eggs"}, "has the label"),
        ({"decision": "maybe"}, "decision must be one of"),
    ],
)
def test_decisions_about_other_rows_are_refused(audit, change, message):
    report, truth = audit
    decisions = decide(report, truth, top(report, 5)).astype(object)
    for column, value in change.items():
        decisions.loc[0, column] = value
    for use in (report.teach, report.verified):
        with pytest.raises(ValueError, match=message):
            use(decisions)


def test_a_report_without_detector_is_refused(audit):
    report, truth = audit
    fields = {
        name: getattr(report, name)
        for name in (
            *("frame", "classes", "noise_rate", "noise_rate_estimates"),
            *("scores_are_probabilities", "detector_name", "X", "y"),
        )
    }
    bare = LabelReport(**fields)
    with pytest.raises(ValueError, match="no fitted detector"):
        bare.teach(decide(report, truth, top(report, 5)))


def test_an_audit_of_a_table_learns_from_what_its_detector_got(audit):
    report, truth = audit
    # The rule goes by a word, which the detector gets encoded.
    table = report.X.assign(b=np.where(report.X["b"] > 0.5, "yes", "no"), y=report.y)
    audited = sknoisy.audit(table, "y", detector="confident-learning", random_state=0)
    rows = top(audited, 120)
    taught = audited.teach(decide(audited, truth, rows))
    is_wrong = (report.y.to_numpy() != truth)[np.setdiff1d(np.arange(N), rows)]
    before, after = (
        roc_auc_score(is_wrong, np.delete(r.frame["suspicion"].to_numpy(), rows))
        for r in (audited, taught)
    )
    assert after > before + 0.1
