"""What a display is given is checked before anything is drawn."""

import numpy as np
import pytest

from sknoisy import DynamicsDisplay, SampleWeightsDisplay, TransitionMatrixDisplay

plt = pytest.importorskip("matplotlib.pyplot")

VALUES = np.arange(6.0).reshape(3, 2)
MASK = np.array([True, False, False])


@pytest.mark.parametrize(
    ("display", "message"),
    [
        (DynamicsDisplay({"a": 1}, MASK), "trajectories must be an array of numbers"),
        (DynamicsDisplay(VALUES, {"a": 1}), "noise_mask must have one entry for each"),
        (DynamicsDisplay(VALUES, MASK[:2]), r"for each of the 3 rows.* got shape \(2,"),
        (DynamicsDisplay(VALUES[:0], MASK[:0]), r"trajectories .* got shape \(0, 2\)"),
        (SampleWeightsDisplay(0.5), r"sample_weights must be .* got shape \(\)"),
        (SampleWeightsDisplay(["a"]), "sample_weights must be an array of numbers"),
        (TransitionMatrixDisplay(VALUES), r"must be square; got shape \(3, 2\)"),
        (TransitionMatrixDisplay(0.5), "with two axes; got shape"),
        (
            TransitionMatrixDisplay(np.eye(2), display_labels=3),
            "one name for each of 2",
        ),
    ],
)
def test_what_is_no_array_is_named(display, message):
    with pytest.raises((TypeError, ValueError), match=message):
        display.plot()
    assert not plt.get_fignums()


def test_lists_are_arrays():
    display = DynamicsDisplay(VALUES.tolist(), MASK.tolist()).plot()
    assert [len(line.get_xdata()) for line in display.lines_] == [2, 2]
    plt.close("all")
