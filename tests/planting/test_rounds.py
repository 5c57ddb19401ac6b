"""Rounds: their score, their rows on the bar, and the words for an interruption."""

import numpy as np
import pytest

from sknoisy._planting._rounds import planted_auroc, tell_broken_off, tell_fit
from sknoisy._progress import progress
from sknoisy.base import TrainingInterrupted, TrainingInterruptedWarning

LABELS = "labels are scored"


def test_auroc_is_the_share_of_pairs_in_the_right_order():
    rng = np.random.default_rng(0)
    planted, scores, weights = rng.random(40) < 0.3, rng.random(40), rng.random(40)
    pairs = np.subtract.outer(scores[planted], scores[~planted]) > 0
    products = np.outer(weights[planted], weights[~planted])
    assert planted_auroc(planted, scores) == pytest.approx(pairs.mean())
    expected = (products * pairs).sum() / products.sum()
    assert planted_auroc(planted, scores, weights) == pytest.approx(expected)


@pytest.mark.parametrize("verbose", [0, 1, 2])
def test_a_row_is_written_for_each_fit_if_it_is_asked_for(capsys, verbose):
    with progress(2, "Contest", verbose, unit="fit") as bar:
        tell_fit(bar, "given labels", "nearest")
        tell_fit(bar, "round 1 of 1", "nearest", 0.875)
    *rows, last = capsys.readouterr().err.splitlines() or [""]
    assert ("AUROC 0.875" in last) == (verbose > 0)
    expected = ["given labels: nearest", "round 1 of 1: nearest AUROC 0.875"]
    assert rows == (expected if verbose == 2 else [])


@pytest.mark.parametrize("error", [KeyboardInterrupt(), TrainingInterrupted("short")])
def test_what_is_complete_is_told_and_nothing_is_an_error(error):
    bar = progress(9, "Contest", 0)
    message = (
        "^Contest was interrupted: labels are scored from 4 of 9 fits. Fit again to "
        "use all of them.$"
    )
    with pytest.warns(TrainingInterruptedWarning, match=message):
        tell_broken_off(error, "one was", LABELS, bar, 4, 9, "fits")
    message = "^fit was interrupted before one was complete.$"
    with pytest.raises(TrainingInterrupted, match=message) as caught:
        tell_broken_off(error, "one was complete", LABELS, bar, 0, 9, "fits")
    assert caught.value.__cause__ is error
