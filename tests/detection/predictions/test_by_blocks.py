import numpy as np
import pytest
from row_sources import Shelf
from sklearn.base import clone
from sklearn.decomposition import PCA, IncrementalPCA
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.metrics import roc_auc_score
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler

from sknoisy import (
    AUMDetector,
    ConfidentLearningDetector,
    FINEDetector,
    LossMixtureDetector,
    NetClassifier,
    SmallLossDetector,
)
from sknoisy.detection._predictions import _by_blocks
from sknoisy.detection._predictions._by_blocks import _BlockwiseClassifier, suited_to

RNG = np.random.default_rng(0)
TRUE = np.arange(300) % 3
TABLE = RNG.normal(5 * np.eye(4)[TRUE], 1, (300, 4)) * [1, 9, 1, 1] + 5
TABLE = TABLE.astype("f4")
WRONG = RNG.random(300) < 0.15
LABELS = np.array(["ant", "bee", "cat"])[np.where(WRONG, (TRUE + 1) % 3, TRUE)]
BLOCK = 80
SGD = make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss", max_iter=6))


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    monkeypatch.setattr(_by_blocks, "BLOCK_BYTES", BLOCK * 16)


def shelf():
    return Shelf(TABLE, limit=BLOCK)


def test_counts_are_those_of_the_array():
    detector = ConfidentLearningDetector(GaussianNB(), cv=3, random_state=0)
    found = clone(detector).fit(shelf(), LABELS)
    expected = detector.fit(TABLE, LABELS)
    np.testing.assert_allclose(found.pred_probs_, expected.pred_probs_, atol=1e-5)
    np.testing.assert_array_equal(found.noise_mask_, expected.noise_mask_)


def test_steps_learn_all_rows_before_the_classifier():
    steps = StandardScaler(), IncrementalPCA(2), Normalizer(), GaussianNB()
    steps = make_pipeline(*steps)
    model = _BlockwiseClassifier(steps).fit(shelf(), TRUE)
    scaler, pca, _, classifier = model.steps_
    np.testing.assert_allclose(scaler.mean_, TABLE.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(scaler.var_, TABLE.var(axis=0), rtol=1e-5)
    assert pca.n_samples_seen_ == 300
    rows = Normalizer().transform(pca.transform(scaler.transform(TABLE)))
    np.testing.assert_allclose(
        model.predict_proba(shelf()), classifier.predict_proba(rows), atol=1e-5
    )
    np.testing.assert_array_equal(classifier.class_count_, [100, 100, 100])
    # What was handed in is not fitted.
    assert not hasattr(steps[0], "mean_")


@pytest.mark.parametrize(
    "detector",
    [
        ConfidentLearningDetector(SGD, cv=2, random_state=0),
        LossMixtureDetector(SGD, cv=2, random_state=0),
        SmallLossDetector(SGD, cv=2, random_state=0),
        AUMDetector(SGD, max_epochs=6, random_state=0),
        LossMixtureDetector(SGD, stages="mean", cv=2, max_epochs=6, random_state=0),
    ],
    ids=lambda d: f"{type(d).__name__}-{getattr(d, 'stages', '')}",
)
def test_stochastic_gradients_find_wrong_labels(detector):
    scores = clone(detector).fit(shelf(), LABELS).noise_scores_
    assert roc_auc_score(WRONG, scores) > 0.95
    # The same seed, the same bits.
    again = clone(detector).fit(shelf(), LABELS)
    np.testing.assert_array_equal(scores, again.noise_scores_)


def test_a_network_after_a_scaler():
    net = NetClassifier(max_epochs=5, batch_size=16, random_state=0)
    net.set_params(module__hidden=8, iterator_valid__batch_size=16)
    model = make_pipeline(StandardScaler(), net)
    detector = ConfidentLearningDetector(model, cv=2, random_state=0)
    found = clone(detector).fit(shelf(), LABELS).pred_probs_
    # The mean of blocks has other last bits than the mean of all rows.
    np.testing.assert_allclose(
        found, detector.fit(TABLE, LABELS).pred_probs_, atol=0.01
    )


def test_passes_are_of_about_a_million_rows():
    counting = [_by_blocks._n_passes(GaussianNB(), n) for n in (10, 10**7)]
    assert counting == [1, 1]
    passes = [_by_blocks._n_passes(SGDClassifier(), n) for n in (10, 10**5, 10**7)]
    assert passes == [1000, 10, 5]


def test_only_what_can_be_fitted_by_blocks_is_wrapped():
    net = NetClassifier()
    others = (net, LogisticRegression(), make_pipeline(PCA(), LogisticRegression()))
    assert all(suited_to(shelf(), other) is other for other in others)
    assert suited_to(TABLE, SGD) is SGD
    assert isinstance(suited_to(shelf(), SGD), _BlockwiseClassifier)
    assert isinstance(suited_to(shelf(), make_pipeline(net)), _BlockwiseClassifier)
    assert not hasattr(_BlockwiseClassifier(SGDClassifier()), "predict_proba")


def test_what_needs_all_rows_is_named():
    model = make_pipeline(PCA(2), SGDClassifier(loss="log_loss"))
    with pytest.raises(TypeError, match="PCA has no partial_fit, and the rows are not"):
        ConfidentLearningDetector(model).fit(shelf(), LABELS)
    with pytest.raises(
        TypeError, match=r"in memory.* also take a classifier with part"
    ):
        ConfidentLearningDetector(LogisticRegression()).fit(shelf(), LABELS)
    with pytest.raises(
        TypeError, match=r"Or pass an estimator that reads batches: Net"
    ):
        ConfidentLearningDetector().fit(shelf(), LABELS)
    with pytest.raises(TypeError, match=r"Or pass estimator=NetClassifier\(\), which"):
        FINEDetector().fit(shelf(), LABELS)
    with pytest.raises(ValueError, match="sample_weight cannot be passed"):
        _BlockwiseClassifier(SGD).fit(shelf(), TRUE, sample_weight=np.ones(300))
