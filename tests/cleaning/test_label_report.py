import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known_detector import FITS, KnownDetector
from scipy.stats import binomtest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sknoisy import (
    ConfidentLearningDetector,
    LabelReport,
    LossMixtureDetector,
    label_report,
)
from sknoisy.cleaning._report import wilson_interval

SCORES = np.array([0.1, 0.9, 0.6, 0.25, 0.0, 0.7])
LABELS = np.array(["ant", "bee", "ant", "bee", "cat", "ant"])
X = np.column_stack([SCORES, np.arange(6)])


@pytest.fixture(autouse=True)
def no_fits():
    FITS.clear()


def test_the_frame_says_what_the_detector_says():
    frame = label_report(KnownDetector(), X, LABELS).frame
    assert frame.columns.tolist() == [
        "is_label_issue",
        "label_quality",
        "given_label",
        "predicted_label",
        "noise_probability",
        "suggested_label",
        "is_judged",
    ]
    assert frame["is_label_issue"].dtype == bool
    assert frame["is_label_issue"].tolist() == [False, True, True, False, False, True]
    assert frame["noise_probability"].tolist() == SCORES.tolist()
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
    report = label_report(KnownDetector(rate=0.4), X, LABELS, confidence=0.9)
    assert isinstance(report, LabelReport)
    assert report.classes.tolist() == ["ant", "bee", "cat"]
    assert report.noise_rate == 0.4 and report.confidence == 0.9
    assert report.noise_rate_interval == wilson_interval(0.4, 6, 0.9)
    assert report.detector_name == "KnownDetector" and report.X is X
    assert repr(report) == (
        "LabelReport(6 rows, 3 classes, 3 flagged, noise rate 0.40 (0.16 to 0.71))"
    )


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
        by_class["mean_noise_probability"], [1.4 / 3, 1.15 / 2, 0], atol=1e-15
    )
    assert by_class["top_suggestion"].tolist() == ["bee", "cat", None]


def test_numbers_stay_numbers():
    report = label_report(KnownDetector(), X, [1, 2, 1, 2, 3, 1])
    assert report.frame["given_label"].tolist() == [1, 2, 1, 2, 3, 1]
    assert report.frame["suggested_label"].dtype.kind == "i"
    assert report.by_class["top_suggestion"].tolist() == [2, 3, None]


@settings(max_examples=200, deadline=None)
@given(
    n=st.integers(1, 10_000),
    share=st.floats(0, 1),
    confidence=st.sampled_from([0.5, 0.9, 0.95, 0.99]),
)
def test_the_interval_is_wilsons(n, share, confidence):
    k = round(share * n)
    expected = binomtest(k, n).proportion_ci(confidence, method="wilson")
    low, high = wilson_interval(k / n, n, confidence)
    np.testing.assert_allclose([low, high], [expected.low, expected.high], atol=1e-12)
    assert 0 <= low <= k / n + 1e-12 and k / n - 1e-12 <= high <= 1


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
        assert report.frame["noise_probability"].tolist() == SCORES[::-1].tolist()

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
        np.testing.assert_array_equal(
            a.frame["noise_probability"], fitted.noise_scores_
        )

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


@pytest.mark.parametrize("confidence", [0, 1, 1.5])
def test_bad_confidence_is_refused(confidence):
    with pytest.raises(ValueError, match="confidence"):
        label_report(KnownDetector(), X, LABELS, confidence=confidence)


def test_without_pandas_the_message_gives_the_install_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pip install 'sknoisy\[report\]'"):
        label_report(KnownDetector(), X, LABELS)


def test_import_loads_no_torch():
    code = (
        "import sys, sknoisy; sknoisy.CleanedClassifier; sknoisy.label_report; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
