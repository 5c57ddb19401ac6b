import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.utils import get_tags

from sknoisy import (
    AutoNoiseDetector,
    CleanedClassifier,
    ConfidentLearningDetector,
    LossMixtureDetector,
    NoisyLabelFilter,
)
from sknoisy._verdicts import suggest_labels


class TestSuggestedLabels:
    PROBA = np.array([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2], [0.6, 0.0, 0.4], [0, 0, 1]])
    CODES = np.array([1, 0, 0, 0])

    def test_the_most_probable_other_label_where_wrong(self):
        mask = np.array([True, False, True, True])
        given = suggest_labels(self.PROBA, self.CODES, mask)
        assert given.tolist() == [2, 0, 2, 2] and given.dtype == np.int64
        none = suggest_labels(self.PROBA, self.CODES, np.zeros(4, dtype=bool))
        assert none.tolist() == self.CODES.tolist()

    @pytest.mark.parametrize("scale", [1, -1, 100])
    def test_logits_will_do_and_nothing_is_changed(self, scale):
        logits = scale * np.random.default_rng(0).normal(size=(50, 4))
        codes = logits.argmin(1)
        before = logits.copy(), codes.copy()
        given = suggest_labels(logits, codes, np.ones(50, dtype=bool))
        assert (given != codes).all() and (given == logits.argmax(1)).all()
        best = suggest_labels(logits, given, np.ones(50, dtype=bool))
        assert (best == np.argsort(logits, axis=1)[:, -2]).all()
        np.testing.assert_array_equal(logits, before[0])
        np.testing.assert_array_equal(codes, before[1])


@pytest.mark.parametrize("part", [0.5, None, LogisticRegression, "logistic"])
def test_tags_can_be_asked_for_before_a_bad_part_is_refused(part):
    bad = AutoNoiseDetector([("a", part), 5])
    for owner in (
        bad,
        AutoNoiseDetector(part),
        ConfidentLearningDetector(part),
        LossMixtureDetector(part),
        NoisyLabelFilter(part),
        CleanedClassifier(part, part),
        NoisyLabelFilter(bad),
    ):
        assert get_tags(owner).target_tags.required
        with pytest.raises(NotFittedError):
            owner.predict_noisy()
