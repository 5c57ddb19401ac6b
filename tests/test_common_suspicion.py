"""Whether scores are called probabilities, in everything that judges labels."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from public_estimators import CANDIDATES, CONTRACT, PAPER, label
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sknoisy import (
    AutoNoiseDetector,
    CleanedClassifier,
    DynaCorDetector,
    NoisyLabelFilter,
    label_report,
    load,
)
from sknoisy._verdicts import scores_are_probabilities
from sknoisy.base import NoiseDetectorMixin, NoiseScoresMixin

# There are no wrong labels here, and some say so.
pytestmark = pytest.mark.filterwarnings("ignore:the mixture finds no second")

JUDGES = [e for e in CONTRACT if isinstance(e, NoiseScoresMixin)]
# By their calibration error: benchmarks/accuracy/reliability.py prints it.
PROBABILITIES = {"DynaCorDetector": lambda e: e.decision == "calibrated"}


def rows_and_labels():
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    return (rng.normal(size=(60, 4)) + 3 * y[:, None]).astype(np.float32), y


def fitted(estimator):
    return clone(estimator).fit(*rows_and_labels())


@pytest.mark.fast_cases(3)
@pytest.mark.parametrize("judge", JUDGES, ids=label)
def test_every_judge_says_it_as_measured(judge):
    assert not hasattr(clone(judge), "scores_are_probabilities_")
    judge = fitted(judge)
    expected = PROBABILITIES.get(type(judge).__name__, lambda e: False)(judge)
    assert judge.scores_are_probabilities_ is expected
    assert scores_are_probabilities(make_pipeline(StandardScaler(), judge)) is expected


@pytest.mark.parametrize("judge", JUDGES, ids=label)
def test_every_judge_documents_it(judge):
    documented = type(judge).__doc__
    if "noise_scores_ : " in documented:
        assert "scores_are_probabilities_ : bool" in documented


class FirstColumn(NoiseDetectorMixin, BaseEstimator):
    """Its scores follow the first column of X; what they are is a parameter."""

    def __init__(self, calibrated=False):
        self.calibrated = calibrated

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        order = np.argsort(np.argsort(np.asarray(X)[:, 0]))
        self.record_scores(order / len(y), np.ones((len(y), len(self.classes_))), y)
        if self.calibrated:
            self.scores_are_probabilities_ = True
        return self


@pytest.mark.parametrize("calibrated", [True, False])
class TestHolders:
    """What holds a detector says of its scores what the detector says."""

    @pytest.mark.parametrize(
        "hold",
        [
            NoisyLabelFilter,
            lambda judge: NoisyLabelFilter(make_pipeline(StandardScaler(), judge)),
            lambda judge: CleanedClassifier(judge, LogisticRegression()),
            lambda judge: AutoNoiseDetector(
                [("it", judge)], strategy="select", n_rounds=1, random_state=0
            ),
        ],
        ids=["filter", "filter of a pipeline", "classifier", "select"],
    )
    def test_holder(self, calibrated, hold):
        holder = fitted(hold(FirstColumn(calibrated)))
        assert holder.scores_are_probabilities_ is calibrated
        name = "noise_probability" if calibrated else "suspicion"
        X, y = rows_and_labels()
        assert name in label_report(holder, X, y).frame


def test_a_combination_is_an_order():
    judge = AutoNoiseDetector(CANDIDATES, n_rounds=1, random_state=0)
    assert fitted(judge).scores_are_probabilities_ is False


def test_the_last_fit_decides():
    judge = DynaCorDetector(max_epochs=1, n_runs=2, encoder_epochs=1, random_state=0)
    judge = fitted(judge.set_params(**PAPER))
    assert hasattr(judge, "encoder_")
    assert judge.scores_are_probabilities_ is False
    judge.set_params(corruption="relabel", decision="calibrated", settings="auto")
    judge.fit(*rows_and_labels())
    assert judge.scores_are_probabilities_ is True
    assert not hasattr(judge, "encoder_")


SAVED = Path(__file__).parent / "persistence" / "saved_0_1_0"


@pytest.mark.parametrize(
    ("name", "expected"),
    [("dynacor", True), ("dynacor_paper", False), ("auto", False), ("filter", False)],
)
def test_files_of_0_1_0_get_what_is_right(name, expected):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*saved (with|under)")
        judge = load(SAVED / f"{name}.sknoisy")
    assert judge.scores_are_probabilities_ is expected


def test_an_estimator_that_does_not_say_has_an_order():
    assert scores_are_probabilities(LogisticRegression()) is False
