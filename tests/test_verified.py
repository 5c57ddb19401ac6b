"""``fit(X, y, verified=...)`` of detectors, which learn from reviewed rows."""

import pickle

import numpy as np
import pandas as pd
import pytest
from public_estimators import DETECTORS, label
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.validation import has_fit_parameter

from sknoisy import (
    AutoNoiseDetector,
    ConfidentLearningDetector,
    NeighborVoteDetector,
    NoisyLabelFilter,
)

SCALER = StandardScaler()
LEARNING = ConfidentLearningDetector(LogisticRegression(), random_state=0)


@pytest.fixture(scope="module")
def systematic():
    """Return rows where a rule made a third of the labels of a class wrong.

    The rule goes by a column that has nothing to do with the class, so that a model of
    the labels learns the rule's mistakes.
    """
    rng = np.random.default_rng(0)
    X = rng.normal(size=(900, 6))
    truth = np.where(X[:, 0] + 0.3 * rng.normal(size=900) > 0, "spam", "ham")
    y = np.where((X[:, 1] > 0.5) & (truth == "spam"), "ham", truth)
    return X, y, truth


def reviewed_top(detector, y, truth, n):
    """Return what a person finds who looks at the first rows of the ranking."""
    verified = np.full(len(y), np.nan)
    rows = detector.ranking()[:n]
    verified[rows] = y[rows] != truth[rows]
    return verified


@pytest.fixture(scope="module")
def untaught(systematic):
    X, y, _ = systematic
    return clone(LEARNING).fit(X, y)


@pytest.fixture(scope="module")
def taught(systematic, untaught):
    X, y, truth = systematic
    verified = reviewed_top(untaught, y, truth, 150)
    return clone(LEARNING).fit(X, y, verified=verified), verified


@pytest.mark.fast_cases(3)
@pytest.mark.filterwarnings("ignore:the losses cannot be split")
@pytest.mark.parametrize("detector", DETECTORS, ids=label)
def test_every_detector_learns_from_them(detector, blobs):
    X, y, is_noisy = blobs
    if isinstance(detector, NoisyLabelFilter):
        assert not has_fit_parameter(detector, "verified")
    else:
        assert has_fit_parameter(detector, "verified")
    plain = clone(detector).fit(X, y)
    verified = np.full(180, -1)
    verified[::9] = is_noisy[::9]
    taught = clone(detector).fit(X, y, verified=verified)
    np.testing.assert_array_equal(taught.noise_scores_[::9], is_noisy[::9])
    np.testing.assert_array_equal(taught.noise_mask_[::9], is_noisy[::9])
    rest = verified == -1
    order = np.argsort(plain.noise_scores_[rest], kind="stable")
    assert (np.diff(taught.noise_scores_[rest][order]) >= 0).all()
    assert taught.noise_scores_.min() >= 0 and taught.noise_scores_.max() <= 1
    if not isinstance(detector, NoisyLabelFilter):
        np.testing.assert_array_equal(taught.suggested_labels_ != y, taught.noise_mask_)


def test_a_systematic_error_is_learnt(systematic, untaught, taught):
    _, y, truth = systematic
    detector, verified = taught
    rest = np.isnan(verified)
    is_wrong = (y != truth)[rest]
    before = roc_auc_score(is_wrong, untaught.noise_scores_[rest])
    after = roc_auc_score(is_wrong, detector.noise_scores_[rest])
    # Over ten seeds of the rows: 0.58 to 0.67, and 0.97 to 0.99.
    assert before < 0.75 and after > 0.9


def test_known_labels_decide_about_their_rows(systematic, taught):
    _, _, truth = systematic
    detector, verified = taught
    known = ~np.isnan(verified)
    np.testing.assert_array_equal(detector.noise_scores_[known], verified[known])
    np.testing.assert_array_equal(detector.suggested_labels_[known], truth[known])
    assert detector.noise_rate_ == clone(LEARNING).fit(*systematic[:2]).noise_rate_


def test_below_50_the_others_keep_their_order(systematic, untaught):
    X, y, truth = systematic
    for n in (1, 5, 49):
        verified = reviewed_top(untaught, y, truth, n)
        detector = clone(LEARNING).fit(X, y, verified=verified)
        rest = np.isnan(verified)
        np.testing.assert_array_equal(
            np.argsort(-detector.noise_scores_[rest], kind="stable"),
            np.argsort(-untaught.noise_scores_[rest], kind="stable"),
        )


@pytest.mark.parametrize("verified", [[-1] * 900, [np.nan] * 900, None])
def test_nothing_known_changes_no_bit(systematic, untaught, verified):
    X, y, _ = systematic
    detector = clone(LEARNING).fit(X, y, verified=verified)
    for name in ("noise_scores_", "noise_mask_", "suggested_labels_"):
        np.testing.assert_array_equal(getattr(detector, name), getattr(untaught, name))


@pytest.mark.parametrize("answer", [0, 1])
def test_the_same_answer_for_all_is_safe(systematic, untaught, answer):
    X, y, _ = systematic
    verified = np.full(900, np.nan)
    verified[untaught.ranking()[:150]] = answer
    detector = clone(LEARNING).fit(X, y, verified=verified)
    rest = np.isnan(verified)
    before, after = untaught.noise_scores_[rest], detector.noise_scores_[rest]
    assert (np.diff(after[np.argsort(before, kind="stable")]) >= 0).all()
    assert np.sign(after.mean() - before.mean()) == 2 * answer - 1


def test_five_decisions_move_no_score_far(systematic, untaught):
    X, y, truth = systematic
    for rows in (untaught.ranking()[:5], np.arange(0, 900, 180)):
        verified = np.full(900, np.nan)
        verified[rows] = (y != truth)[rows]
        detector = clone(LEARNING).fit(X, y, verified=verified)
        change = (detector.noise_scores_ - untaught.noise_scores_)[np.isnan(verified)]
        assert np.abs(change).max() < 0.6


def test_it_is_the_same_each_time_and_pickled(systematic, taught):
    X, y, _ = systematic
    detector, verified = taught
    again = clone(LEARNING).fit(X, y, verified=verified)
    loaded = pickle.loads(pickle.dumps(detector))
    for other in (again, loaded):
        np.testing.assert_array_equal(other.noise_scores_, detector.noise_scores_)
    # A later fit knows nothing of it.
    assert "_untaught" not in vars(again.fit(X, y))


def test_kinds_of_containers(systematic, taught):
    X, y, _ = systematic
    detector, verified = taught
    series = pd.Series(verified, index=np.arange(900)[::-1])
    nullable = pd.array(np.nan_to_num(verified, nan=-1), dtype="Int64")
    for kind in (series, nullable, verified.tolist()):
        other = clone(LEARNING).fit(pd.DataFrame(X), pd.Series(y), verified=kind)
        # The memory of a frame is laid out otherwise.
        np.testing.assert_allclose(
            other.noise_scores_, detector.noise_scores_, rtol=1e-7
        )


def test_it_is_routed_through_a_pipeline(systematic, taught):
    X, y, _ = systematic
    _, verified = taught
    scaler = StandardScaler()
    expected = clone(LEARNING).fit(scaler.fit_transform(X), y, verified=verified)
    with config_context(enable_metadata_routing=True):
        routed = clone(LEARNING).set_fit_request(verified=True)
        make_pipeline(scaler, routed).fit(X, y, verified=verified)
        with pytest.raises(ValueError, match=r"verified.* are passed but are not expl"):
            make_pipeline(scaler, clone(LEARNING)).fit(X, y, verified=verified)
    np.testing.assert_array_equal(routed.noise_scores_, expected.noise_scores_)
    step = make_pipeline(scaler, clone(LEARNING))
    step.fit(X, y, confidentlearningdetector__verified=verified)
    np.testing.assert_array_equal(step[-1].noise_scores_, expected.noise_scores_)


def test_a_filter_passes_them_to_its_detector(systematic, taught):
    X, y, _ = systematic
    detector, verified = taught
    kept = NoisyLabelFilter(LEARNING, keep=0.8).fit(X, y, verified=verified)
    np.testing.assert_array_equal(kept.noise_scores_, detector.noise_scores_)
    assert kept.noise_mask_[verified == 1].all()


def test_a_combination_learns_from_frames_and_its_candidates(systematic):
    X, y, truth = systematic
    # The rule goes by a word.
    words = np.where(X[:, 1] > 0.5, "offer today", "see you")
    frame = pd.DataFrame({"size": X[:, 0], "shop": words})
    candidates = [
        ("regression", ConfidentLearningDetector(random_state=0)),
        ("votes", NeighborVoteDetector(n_rounds=2, random_state=0)),
    ]
    encoder = make_column_transformer((OneHotEncoder(), ["shop"]), remainder=SCALER)
    candidates = [(name, make_pipeline(encoder, d)) for name, d in candidates]
    detector = AutoNoiseDetector(candidates, n_rounds=1, random_state=0)
    untaught = clone(detector).fit(frame, y)
    verified = reviewed_top(untaught, y, truth, 150)
    rest = np.isnan(verified)
    is_wrong = (y != truth)[rest]
    taught = detector.fit(frame, y, verified=verified)
    before, after = (
        roc_auc_score(is_wrong, d.noise_scores_[rest]) for d in (untaught, taught)
    )
    assert after > before + 0.1


@pytest.mark.parametrize(
    ("verified", "message"),
    [
        ([0] * 899, "inconsistent numbers of samples"),
        ([2] + [0] * 899, "verified must be 1 for wrong labels, .*; got 2"),
        (np.zeros((900, 1)), r"one number for each label; got shape \(900, 1\)"),
        (["keep"] * 900, "could not convert string to float"),
        ([np.inf] * 900, "infinity"),
    ],
)
def test_others_are_refused(systematic, verified, message):
    X, y, _ = systematic
    with pytest.raises(ValueError, match=message):
        clone(LEARNING).fit(X, y, verified=verified)


def test_a_label_that_occurs_once_is_not_judged(systematic):
    X, y, _ = systematic
    y = y.astype("<U5").copy()
    y[3] = "eggs"
    verified = np.full(900, np.nan)
    verified[100:300] = np.arange(200) % 2
    detector = clone(LEARNING).fit(X, y, verified=verified)
    assert detector.unjudged_.tolist() == [3]
    assert detector.noise_scores_[3] == 0.5 and not detector.noise_mask_[3]
    assert detector.suggested_labels_[3] == "eggs"
    verified[3] = 1
    detector = clone(LEARNING).fit(X, y, verified=verified)
    assert detector.noise_scores_[3] == 1 and detector.noise_mask_[3]
    assert detector.suggested_labels_[3] != "eggs"
