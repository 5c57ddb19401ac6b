import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest
from known_detector import FITS, KnownDetector
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sknoisy import (
    ConfidentLearningDetector,
    LabelReport,
    LossMixtureDetector,
    NoisyLabelFilter,
    label_report,
)
from sknoisy.cleaning._report_rates import rate_in_words

SCORES = np.array([0.1, 0.9, 0.6, 0.25, 0.0, 0.7])
LABELS = np.array(["ant", "bee", "ant", "bee", "cat", "ant"])
X = np.column_stack([SCORES, np.arange(6)])


@pytest.fixture(autouse=True)
def no_fits():
    FITS.clear()


@pytest.mark.parametrize(
    ("calibrated", "score"), [(False, "suspicion"), (True, "noise_probability")]
)
def test_the_frame_says_what_the_detector_says(calibrated, score):
    report = label_report(KnownDetector(calibrated=calibrated), X, LABELS)
    assert report.scores_are_probabilities is calibrated
    assert report.score_name == score
    frame = report.frame
    assert frame.columns.tolist() == [
        "is_label_issue",
        "label_quality",
        "given_label",
        "predicted_label",
        score,
        "suggested_label",
        "is_judged",
    ]
    assert frame["is_label_issue"].dtype == bool
    assert frame["is_label_issue"].tolist() == [False, True, True, False, False, True]
    assert frame[score].tolist() == SCORES.tolist()
    assert f"mean_{score}" in report.by_class
    np.testing.assert_allclose(frame["label_quality"], 1 - SCORES, rtol=1e-15)
    assert frame["given_label"].tolist() == LABELS.tolist()
    suggested = ["ant", "cat", "bee", "bee", "cat", "bee"]
    assert frame["suggested_label"].tolist() == suggested
    assert frame["predicted_label"].tolist() == suggested


def test_the_prediction_is_the_most_probable_class_where_it_is_known(blobs):
    X, y, _ = blobs
    detector = ConfidentLearningDetector(LogisticRegression(), random_state=0).fit(X, y)
    frame = label_report(detector, X, np.array(["ant", "bee", "cat"])[y]).frame
    # Other labels, so a clone is fitted, and tells the same in other words.
    expected = np.array(["ant", "bee", "cat"])[detector.pred_probs_.argmax(axis=1)]
    assert frame["predicted_label"].tolist() == expected.tolist()


def test_what_the_report_knows():
    report = label_report(KnownDetector(rate=0.4), X, LABELS)
    assert isinstance(report, LabelReport)
    assert report.classes.tolist() == ["ant", "bee", "cat"]
    assert report.noise_rate == 0.4
    assert report.noise_rate_estimates == {
        "flagged labels": 0.5,
        "the detector's estimate": 0.4,
    }
    assert report.detector_name == "KnownDetector" and report.X is X
    assert repr(report) == (
        "LabelReport(6 rows, 3 classes, 3 flagged, noise rate between 0.40 and 0.50)"
    )
    same = label_report(KnownDetector(rate=0.5), X, LABELS)
    assert repr(same).endswith("3 flagged, noise rate about 0.50)")


def test_confidence_has_no_effect_and_says_so():
    with pytest.warns(FutureWarning, match="confidence has no effect and will be"):
        report = label_report(KnownDetector(), X, LABELS, confidence=0.9)
    assert not hasattr(report, "confidence")


class TestNoiseRateEstimates:
    def test_predictions_of_other_labels_count(self, blobs):
        X, y, _ = blobs
        detector = ConfidentLearningDetector(LogisticRegression(), random_state=0)
        detector.fit(X, y)
        estimates = label_report(detector, X, y).noise_rate_estimates
        expected = np.mean(detector.pred_probs_.argmax(1) != y)
        assert estimates["labels predicted otherwise"] == expected

    def test_a_budget_is_no_estimate(self):
        # One row of six is dropped, three are flagged.
        budget = NoisyLabelFilter(KnownDetector(rate=0.4), keep=5)
        estimates = label_report(budget, X, LABELS).noise_rate_estimates
        assert sorted(estimates.values()) == [0.4, 0.5]

    def test_each_part_of_a_combination_is_asked(self):
        judge = KnownDetector(rate=0.4).fit(X, LABELS)
        judge.detectors_ = [
            ("strict", KnownDetector(level=0.8).fit(X, LABELS)),
            ("scaled", make_pipeline(KnownDetector(rate=0.7)).fit(X, LABELS)),
        ]
        estimates = label_report(judge, X, LABELS).noise_rate_estimates
        assert estimates["flagged labels, strict"] == 1 / 6
        assert estimates["the detector's estimate, scaled"] == 0.7

    @pytest.mark.parametrize(
        ("estimates", "words"),
        [
            ({"few": 0.048, "many": 0.139}, "between 4.8% (few) and 14% (many), dep"),
            ({"few": 0.1391, "many": 0.139}, "about 14%, as the detector estimates it"),
            ({"none": 0.0, "all": 1.0}, "between 0.0% (none) and 100% (all), depend"),
        ],
    )
    def test_words(self, estimates, words):
        assert rate_in_words(estimates).startswith(words)


def test_confusion_and_classes_are_counted():
    report = label_report(KnownDetector(), X, LABELS)
    expected = pd.crosstab(report.frame["given_label"], report.frame["suggested_label"])
    confusion = report.confusion
    pd.testing.assert_frame_equal(
        confusion,
        expected,
        check_dtype=False,
        check_index_type=False,
        check_column_type=False,
    )
    assert confusion.to_numpy().tolist() == [[1, 2, 0], [0, 1, 1], [0, 0, 1]]
    by_class = report.by_class
    assert by_class.index.tolist() == ["ant", "bee", "cat"]
    assert by_class["n_rows"].tolist() == [3, 2, 1]
    assert by_class["n_flagged"].tolist() == [2, 1, 0]
    np.testing.assert_allclose(by_class["share_flagged"], [2 / 3, 0.5, 0])
    np.testing.assert_allclose(
        by_class["mean_suspicion"], [1.4 / 3, 1.15 / 2, 0], atol=1e-15
    )
    assert by_class["top_suggestion"].tolist() == ["bee", "cat", None]


def test_numbers_stay_numbers():
    report = label_report(KnownDetector(), X, [1, 2, 1, 2, 3, 1])
    assert report.frame["given_label"].tolist() == [1, 2, 1, 2, 3, 1]
    assert report.frame["suggested_label"].dtype.kind == "i"
    assert report.by_class["top_suggestion"].tolist() == [2, 3, None]


class TestIndexIsKept:
    index = ["u", "v", "w", "x", "y", "z"]

    def test_of_a_frame(self):
        table = pd.DataFrame(X, columns=["score", "id"], index=self.index)
        y = pd.Series(LABELS, index=range(10, 16))
        report = label_report(KnownDetector(), table, y)
        assert report.frame.index.tolist() == self.index
        assert report.frame["given_label"].tolist() == LABELS.tolist()

    def test_of_a_series_of_labels(self):
        report = label_report(KnownDetector(), X, pd.Series(LABELS, index=self.index))
        assert report.frame.index.tolist() == self.index

    def test_without_one_it_counts(self):
        table = pl.DataFrame(X, schema=["score", "id"])
        report = label_report(KnownDetector(), table, pl.Series(LABELS.tolist()))
        assert report.frame.index.tolist() == list(range(6))


class TestWhatIsFitted:
    def test_a_detector_fitted_on_these_rows_is_taken_as_it_is(self):
        detector = KnownDetector().fit(X, LABELS)
        detector.noise_scores_ = SCORES[::-1].copy()
        report = label_report(detector, X, LABELS)
        assert len(FITS) == 1
        assert report.frame["suspicion"].tolist() == SCORES[::-1].tolist()

    @pytest.mark.usefixtures("default_output")
    def test_so_is_a_pipeline(self):
        pipe = make_pipeline(FunctionTransformer(), KnownDetector()).fit(X, LABELS)
        assert label_report(pipe, X, LABELS).detector_name == "KnownDetector"
        assert len(FITS) == 1

    def test_otherwise_a_clone_is_fitted(self):
        detector = KnownDetector()
        label_report(detector, X, LABELS)
        assert len(FITS) == 1 and not hasattr(detector, "noise_scores_")
        label_report(detector.fit(X[:5], LABELS[:5]), X, LABELS)
        assert len(FITS) == 3 and len(detector.noise_scores_) == 5

    def test_one_fitted_on_other_labels_is_not_taken(self):
        detector = KnownDetector().fit(X, LABELS)
        report = label_report(detector, X, LABELS[::-1])
        assert len(FITS) == 2
        assert report.frame["given_label"].tolist() == LABELS[::-1].tolist()

    def test_a_real_detector(self, blobs):
        X, y, _ = blobs
        detector = LossMixtureDetector(LogisticRegression(), random_state=0)
        fitted = clone(detector).fit(X, y)
        a, b = label_report(detector, X, y), label_report(fitted, X, y)
        pd.testing.assert_frame_equal(a.frame, b.frame)
        np.testing.assert_array_equal(a.frame[a.score_name], fitted.noise_scores_)

    def test_x_may_be_none_if_the_detector_is_fitted(self):
        detector = KnownDetector(SCORES).fit(X, LABELS)
        assert len(label_report(detector, None, LABELS).frame) == 6
        with pytest.raises(ValueError, match="X is None, but the detector must be"):
            label_report(clone(detector), None, LABELS)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((KnownDetector(), X, LABELS[:5]), ValueError, "inconsistent numbers"),
        ((KnownDetector(), X, [None, *LABELS[1:]]), ValueError, "missing label"),
        ((KnownDetector(), X[:0], []), ValueError, "y is empty"),
        ((LogisticRegression(), X, LABELS), TypeError, "does not set noise_scores_"),
    ],
)
def test_bad_input_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        label_report(*arguments)


def test_without_pandas_the_message_gives_the_install_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pip install 'sknoisy\[report\]'"):
        label_report(KnownDetector(), X, LABELS)


@pytest.mark.slow
def test_import_loads_no_torch():
    code = (
        "import sys, sknoisy; sknoisy.CleanedClassifier; sknoisy.label_report; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
