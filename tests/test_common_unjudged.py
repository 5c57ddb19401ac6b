"""A label that occurs once: the other rows are judged, and the row is named."""

import numpy as np
import pandas as pd
import pytest
from public_estimators import DETECTORS, SCORERS, label
from scipy.sparse import coo_array
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from sknoisy import (
    AutoNoiseDetector,
    CleanedClassifier,
    ConfidentLearningDetector,
    DynamicsDisplay,
    FINEDetector,
    LossMixtureDetector,
    LossMixtureDisplay,
    NeighborVoteDetector,
    NetClassifier,
    NoisyLabelFilter,
    RobustLossClassifier,
    SmallLossDetector,
    label_report,
    load,
    save,
)

LONE = [7, 41]
REST = np.delete(np.arange(73), LONE)


@pytest.fixture
def data(blobs):
    """Return rows of three classes, and of two that have one row each."""
    X, y, _ = blobs
    names = np.array(["bee", "cat", "dog"])[y].astype("<U9")
    names[LONE] = "ant", "zebrafish"
    return X[:73], names[:73]


def quick(detector):
    """Return an unfitted copy that trains for two epochs, if it trains.

    Its generator would give other numbers if it were drawn from before the rows are
    set aside, and again after.
    """
    detector = clone(detector).set_params(random_state=np.random.RandomState(0))
    net = getattr(detector, "estimator", None) or detector
    if hasattr(net, "max_epochs"):
        net.set_params(max_epochs=2)
    return detector


FITTED = {}


@pytest.fixture
def fitted(detector, data):
    """Return the detector fitted on the data: once for all tests, which only read."""
    if id(detector) not in FITTED:
        FITTED[id(detector)] = quick(detector).fit(*data)
    return FITTED[id(detector)]


@pytest.mark.filterwarnings("ignore:the losses cannot be split")
@pytest.mark.filterwarnings("ignore:the refurbished labels have collapsed")
@pytest.mark.parametrize("detector", SCORERS, ids=label)
def test_a_label_that_occurs_once_is_named_and_not_judged(detector, fitted, data):
    _, y = data
    assert fitted.unjudged_.tolist() == LONE and fitted.unjudged_.dtype == np.int64
    assert fitted.noise_scores_[LONE].tolist() == [0.5, 0.5]
    assert fitted.noise_scores_.dtype == np.float64
    assert not fitted.noise_mask_[LONE].any()
    assert fitted.suggested_labels_[LONE].tolist() == ["ant", "zebrafish"]
    assert fitted.classes_.tolist() == ["ant", "bee", "cat", "dog", "zebrafish"]
    assert np.isfinite(fitted.noise_scores_).all() and np.isfinite(fitted.noise_rate_)
    np.testing.assert_array_equal(fitted.suggested_labels_ != y, fitted.noise_mask_)
    assert sorted(fitted.ranking()) == list(range(73))


@pytest.mark.filterwarnings("ignore:the losses cannot be split")
@pytest.mark.parametrize("detector", DETECTORS, ids=label)
class TestDetectorsSetTheRowAside:
    def test_the_other_rows_are_judged_as_if_it_were_not_there(
        self, detector, fitted, data
    ):
        X, y = data
        alone = quick(detector).fit(X[REST], y[REST])
        assert len(alone.unjudged_) == 0 and alone.unjudged_.dtype == np.int64
        assert alone.noise_rate_ == fitted.noise_rate_
        for name in ("noise_scores_", "noise_mask_", "suggested_labels_"):
            np.testing.assert_array_equal(
                getattr(fitted, name)[REST], getattr(alone, name)
            )

    def test_no_fitted_array_is_left_without_the_row_or_class(self, detector, fitted):
        for name, value in vars(fitted).items():
            if isinstance(value, np.ndarray):
                assert len(REST) not in value.shape, name
                assert 3 not in value.shape, name
        rows = getattr(fitted, "corrupted_indices_", REST)
        assert not set(LONE) & set(rows.tolist())

    def test_less_than_two_labels_that_occur_twice_are_refused(self, detector, data):
        X, y = data
        few = np.append(np.flatnonzero(y == "bee")[:5], LONE)
        message = r"y has 1 such label\(s\), and 2 that are too rare\. Merge"
        with pytest.raises(ValueError, match=message):
            quick(detector).fit(X[few], y[few])
        with pytest.raises(ValueError, match=r"y has 0 such .* and 5 that are too"):
            quick(detector).fit(X[:5], ["a", "b", "c", "d", "e"])

    def test_what_is_set_aside_is_checked_before(self, detector, data):
        if isinstance(detector, AutoNoiseDetector):
            pytest.skip("its candidates check what they are given: the other rows")
        X, y = data
        X = X.copy()
        X[LONE[0], 0] = np.nan
        with pytest.raises(ValueError, match="NaN"):
            quick(detector).fit(X, y)


def test_robust_classifiers_learn_the_class_but_do_not_count_its_row(data):
    X, y = data
    classifier = quick(RobustLossClassifier(module__hidden=32, batch_size=32)).fit(X, y)
    assert classifier.predict_proba(X).shape == (73, 5)
    # The rate is a share of the other rows.
    n_counted = classifier.noise_rate_ * len(REST)
    assert n_counted == pytest.approx(round(n_counted), abs=1e-9)
    assert len(classifier.fit(X[REST], y[REST]).unjudged_) == 0


def test_arrays_of_classes_know_the_class_that_was_set_aside(data):
    X, y = data
    learning = ConfidentLearningDetector(random_state=0).fit(X, y)
    votes = NeighborVoteDetector(n_rounds=1, random_state=0).fit(X, y)
    fine = FINEDetector(random_state=0).fit(X, y)
    for T in (learning.transition_matrix_, votes.transition_matrix_):
        assert T.shape == (5, 5)
        np.testing.assert_allclose(T.sum(1), 1, rtol=1e-12)
        assert T[0, 0] == T[4, 4] == 1
    counts = learning.confident_joint_.sum(1)
    np.testing.assert_array_equal(counts, np.unique(y, return_counts=True)[1])
    assert np.isnan(learning.thresholds_).tolist() == [True, *[False] * 3, True]
    assert votes.class_prior_[[0, 4]].tolist() == [0, 0]
    for values in (learning.pred_probs_, votes.votes_, fine.alignments_):
        assert values.shape == (73, 5)
        assert np.isnan(values[LONE]).all()
        assert (values[REST][:, [0, 4]] == 0).all()
        assert (values[REST][:, 1:4] > 0).any(0).all()


def test_probabilities_that_are_given_speak_for_such_a_label_too(data):
    _, y = data
    _, codes = np.unique(y, return_inverse=True)
    proba = np.full((73, 5), 0.05)
    proba[np.arange(73), codes] = 0.8
    detector = ConfidentLearningDetector().fit(None, y, pred_probs=proba)
    assert len(detector.unjudged_) == 0
    assert detector.label_quality_[LONE] == pytest.approx([0.8, 0.8])


@pytest.mark.parametrize("kind", ["list", "frame", "sparse"])
def test_rows_of_any_kind_are_set_aside(data, kind):
    X, y = data
    texts = [f"{name} {name} animal" for name in y]
    rows = {
        "list": texts,
        "frame": pd.DataFrame(X, columns=list("abcd"), index=np.arange(73) + 100),
        "sparse": coo_array(X),
    }[kind]
    estimator = LogisticRegression()
    if kind == "list":
        from sklearn.feature_extraction.text import CountVectorizer
        from sklearn.pipeline import make_pipeline

        estimator = make_pipeline(CountVectorizer(), LogisticRegression())
    detector = ConfidentLearningDetector(estimator, cv=2, random_state=0)
    judges = [detector]
    if kind == "sparse":
        judges.append(AutoNoiseDetector([("one", detector)], n_rounds=1))
    for judge in judges:
        fitted = clone(judge).fit(rows, pd.Series(y, index=np.arange(73) + 100))
        assert fitted.unjudged_.tolist() == LONE
        if kind == "frame":
            assert fitted.feature_names_in_.tolist() == list("abcd")


def test_a_class_of_three_rows_is_judged_in_fewer_folds(data):
    X, y = data
    few = np.concatenate([LONE[:1], np.flatnonzero(y == "bee")[:3]])
    few = np.append(few, np.flatnonzero(y == "cat"))
    detector = ConfidentLearningDetector(cv=5, random_state=0).fit(X[few], y[few])
    assert detector.unjudged_.tolist() == [0]


def test_fit_resample_keeps_the_row(data):
    X, y = data
    detector = NeighborVoteDetector(random_state=0)
    X_kept, y_kept = detector.fit_resample(X, y)
    assert set(LONE) <= set(detector.sample_indices_.tolist())
    assert {"ant", "zebrafish"} <= set(y_kept) and len(X_kept) == len(y_kept)


class TestWhatHoldsADetector:
    @pytest.mark.parametrize("rule", [{}, {"threshold": 0.2}, {"keep": 5}])
    def test_a_filter_never_drops_the_row(self, data, rule):
        X, y = data
        sampler = NoisyLabelFilter(NeighborVoteDetector(random_state=0), **rule)
        sampler.fit(X, y)
        assert sampler.unjudged_.tolist() == LONE
        assert not sampler.noise_mask_[LONE].any()
        if "keep" in rule:
            assert sampler.noise_mask_.sum() == 68

    def test_a_filter_that_would_have_to_refuses(self, data):
        sampler = NoisyLabelFilter(NeighborVoteDetector(), keep=1)
        message = "keep=1 keeps 1 rows, but 2 rows have a label that occurs once"
        with pytest.raises(ValueError, match=message):
            sampler.fit(*data)

    @pytest.mark.parametrize("action", ["drop", "relabel", "reweight"])
    def test_a_cleaned_classifier_learns_it_with_its_label(self, data, action):
        X, y = data
        detector = NeighborVoteDetector(random_state=0)
        cleaned = CleanedClassifier(detector, LogisticRegression(), action=action)
        cleaned.fit(X, y)
        assert cleaned.unjudged_.tolist() == LONE
        assert cleaned.classifier_.classes_.tolist() == cleaned.classes_.tolist()

    def test_a_detector_without_the_attribute_has_judged_all(self, data):
        from cleaning.known_detector import KnownDetector

        X, y = data
        scores = np.linspace(0, 0.4, 73)
        sampler = NoisyLabelFilter(KnownDetector(scores)).fit(X, y)
        assert len(sampler.unjudged_) == 0

    @pytest.mark.slow
    def test_a_report_shows_it(self, data, tmp_path):
        X, y = data
        detector = ConfidentLearningDetector(random_state=0).fit(X, y)
        report = label_report(detector, X, y)
        frame = report.frame
        assert report.unjudged.tolist() == LONE
        np.testing.assert_array_equal(np.flatnonzero(~frame["is_judged"]), LONE)
        assert frame.loc[LONE, "predicted_label"].tolist() == ["ant", "zebrafish"]
        page = report.to_html(tmp_path / "page.html").read_text()
        assert "<dt>Not scored</dt><dd>2 (labels that occur once)</dd>" in page
        assert "<h2>Labels that occur once</h2>" in page
        assert '<th scope="row">41</th><td>zebrafish</td>' in page
        whole = label_report(detector.fit(X[REST], y[REST]), X[REST], y[REST])
        page = whole.to_html(tmp_path / "whole.html").read_text()
        assert whole.frame["is_judged"].all() and "Labels that occur once" not in page

    def test_a_report_shows_the_first_of_many(self, data, tmp_path, monkeypatch):
        X, y = data
        monkeypatch.setattr("sknoisy.cleaning._report_page._MAX_UNJUDGED", 1)
        detector = NeighborVoteDetector(n_rounds=1).fit(X, y)
        page = label_report(detector, X, y).to_html(tmp_path / "page.html")
        assert "The first 1 of 2 rows not scored." in page.read_text()

    def test_plots_leave_it_out(self, data):
        X, y = data
        detector = LossMixtureDetector(max_epochs=2, random_state=0)
        detector.fit(X, y)
        assert np.isnan(detector.trajectories_[LONE]).all()
        labels = [
            text.get_text()
            for text in DynamicsDisplay.from_estimator(detector).ax_.get_legend().texts
        ]
        assert sum(int(text.split("(")[1].split()[0]) for text in labels) == len(REST)
        known = np.zeros(73, dtype=bool)
        display = LossMixtureDisplay.from_estimator(detector, noise_mask=known)
        assert len(display.losses) == len(display.noise_mask) == len(REST)


def test_no_bar_of_a_fit_that_was_not_begun(data, capfd):
    X, y = data
    for kind in (LossMixtureDetector, SmallLossDetector):
        kind(LogisticRegression(), random_state=0, verbose=1).fit(X, y)
        assert "stopped" not in capfd.readouterr().err


def test_it_is_saved_and_loaded(data, tmp_path):
    detector = NeighborVoteDetector(n_rounds=1, random_state=0).fit(*data)
    save(detector, tmp_path / "detector.sknoisy")
    assert load(tmp_path / "detector.sknoisy").unjudged_.tolist() == LONE


def test_there_is_none_before_fit():
    with pytest.raises(AttributeError, match="NeighborVoteDetector has no unjudged_"):
        NeighborVoteDetector().unjudged_  # noqa: B018
    assert not hasattr(NetClassifier(), "unjudged_")
