"""TransitionMatrixDisplay: what is drawn, not how it looks."""

import numpy as np
import pandas as pd
import pytest
from imblearn.pipeline import make_pipeline
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline as make_sklearn_pipeline
from sklearn.preprocessing import StandardScaler

from sknoisy import (
    AsymmetricNoiseInjector,
    MarginNoiseInjector,
    SymmetricNoiseInjector,
    TransitionMatrixDisplay,
    estimate_transition_matrix,
    pair_flip_matrix,
)

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")


class Estimates(ClassifierMixin, BaseEstimator):
    """A classifier that estimates a matrix, as corrections of the loss do."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.transition_matrix_ = pair_flip_matrix(len(self.classes_), 0.25)
        return self


def texts(display):
    return [[text.get_text() for text in row] for row in display.text_]


def names_on(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def test_cells_show_the_matrix_and_the_axes_say_which_is_which():
    matrix = np.array([[0.875, 0.125], [0.25, 0.75]])
    display = TransitionMatrixDisplay(matrix, display_labels=["cat", "dog"]).plot()
    np.testing.assert_array_equal(display.im_.get_array(), matrix)
    assert display.im_.get_clim() == (0, 1)
    assert texts(display) == [["0.88", "0.12"], ["0.25", "0.75"]]
    assert display.text_[0, 1].get_position() == (1, 0)
    ax = display.ax_
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("given label", "true label")
    assert names_on(ax.xaxis) == names_on(ax.yaxis) == ["cat", "dog"]
    assert ax.yaxis_inverted()  # the first class on top
    assert display.figure_ is ax.figure


def test_values_are_written_dark_on_light_and_light_on_dark():
    for cmap, clear, full in (("Blues", "black", "white"), ("gray", "white", "black")):
        display = TransitionMatrixDisplay(np.eye(2)).plot(cmap=cmap)
        assert display.text_[0, 1].get_color() == clear
        assert display.text_[0, 0].get_color() == full


def test_format_rotation_and_colour_bar():
    display = TransitionMatrixDisplay(np.eye(2), display_labels=["a", "b"])
    display.plot(values_format=".0%", xticks_rotation=45, colorbar=False)
    assert texts(display)[0] == ["100%", "0%"]
    assert display.ax_.get_xticklabels()[0].get_rotation() == 45
    assert display.figure_.axes == [display.ax_]
    display.plot()
    assert len(display.figure_.axes) == 2
    assert display.figure_.axes[1].get_ylabel() == "share of the true class"


def test_classes_are_numbered_without_names():
    display = TransitionMatrixDisplay(np.eye(3)).plot()
    assert names_on(display.ax_.xaxis) == ["0", "1", "2"]


@pytest.mark.fast_cases(1)
@pytest.mark.parametrize(("n_classes", "is_written"), [(20, True), (21, False)])
def test_values_are_written_for_up_to_20_classes(n_classes, is_written):
    display = TransitionMatrixDisplay(np.eye(n_classes)).plot()
    assert (display.text_ is not None) is is_written
    assert len(display.ax_.texts) == is_written * n_classes**2
    assert TransitionMatrixDisplay(np.eye(2)).plot(include_values=False).text_ is None
    many = TransitionMatrixDisplay(np.eye(21)).plot(include_values=True)
    assert many.text_.shape == (21, 21)


def test_of_many_classes_every_few_are_named_at_their_place():
    names = [f"class {c}" for c in range(100)]
    ax = TransitionMatrixDisplay(np.eye(100), display_labels=names).plot().ax_
    assert names_on(ax.yaxis) == names[::5]
    np.testing.assert_array_equal(ax.get_yticks(), np.arange(0, 100, 5))


@pytest.mark.fast_cases(2)
@pytest.mark.parametrize(
    "estimator",
    [
        SymmetricNoiseInjector(0.3),
        AsymmetricNoiseInjector(0.3),
        Estimates(),
    ],
    ids=repr,
)
def test_from_estimator_takes_whatever_has_a_matrix(estimator):
    import matplotlib.pyplot as plt

    y = np.array(["ant", "bee", "cat"] * 5)
    estimator.fit(np.zeros((15, 1)), y)
    _, ax = plt.subplots()
    display = TransitionMatrixDisplay.from_estimator(estimator, ax=ax)
    assert display.ax_ is ax
    assert display.transition_matrix is estimator.transition_matrix_
    assert names_on(ax.xaxis) == ["ant", "bee", "cat"]


@pytest.mark.slow
def test_from_estimator_takes_the_last_step_of_a_pipeline():
    X, y = np.random.default_rng(0).normal(size=(30, 2)), np.arange(30) % 3
    pipe = make_sklearn_pipeline(StandardScaler(), Estimates()).fit(X, y)
    display = TransitionMatrixDisplay.from_estimator(pipe)
    assert display.transition_matrix is pipe[-1].transition_matrix_
    pipe = make_pipeline(StandardScaler(), MarginNoiseInjector(random_state=0))
    pipe.fit_resample(X, y)
    display = TransitionMatrixDisplay.from_estimator(pipe)
    assert display.transition_matrix is pipe[-1].transition_matrix_


def test_from_predictions_draws_the_estimated_matrix():
    y = pd.Series(["ant", "bee", "cat"] * 20)
    noisy = AsymmetricNoiseInjector(0.4, random_state=0).fit_resample(None, y)[1]
    display = TransitionMatrixDisplay.from_predictions(y, noisy)
    np.testing.assert_array_equal(
        display.transition_matrix, estimate_transition_matrix(y, noisy)
    )
    assert names_on(display.ax_.yaxis) == ["ant", "bee", "cat"]
    order = ["cat", "ant", "bee"]
    display = TransitionMatrixDisplay.from_predictions(
        y, noisy, labels=order, display_labels=["Felis", "Formica", "Apis"]
    )
    np.testing.assert_array_equal(
        display.transition_matrix, estimate_transition_matrix(y, noisy, labels=order)
    )
    assert names_on(display.ax_.yaxis) == ["Felis", "Formica", "Apis"]


def test_both_ways_pass_on_how_to_draw():
    injector = SymmetricNoiseInjector(0.5).fit(None, [0, 1])
    how = {
        "include_values": True,
        "values_format": ".1f",
        "xticks_rotation": "vertical",
        "cmap": "gray",
        "colorbar": False,
    }
    for display in (
        TransitionMatrixDisplay.from_estimator(injector, **how),
        TransitionMatrixDisplay.from_predictions([0, 0, 1, 1], [0, 1, 0, 1], **how),
    ):
        assert texts(display) == [["0.5", "0.5"], ["0.5", "0.5"]]
        assert display.ax_.get_xticklabels()[0].get_rotation() == 90
        assert display.im_.cmap.name == "gray"
        assert display.figure_.axes == [display.ax_]
    no_values = {**how, "include_values": False}
    assert TransitionMatrixDisplay.from_estimator(injector, **no_values).text_ is None
    display = TransitionMatrixDisplay.from_predictions([0, 1], [0, 1], **no_values)
    assert display.text_ is None


def test_no_matrix_yet():
    with pytest.raises(NotFittedError, match="has no transition_matrix_ yet: call fit"):
        TransitionMatrixDisplay.from_estimator(SymmetricNoiseInjector())
    X, y = np.random.default_rng(0).normal(size=(30, 2)), np.arange(30) % 3
    injector = MarginNoiseInjector(random_state=0).fit(X, y)
    with pytest.raises(NotFittedError, match=r"MarginNoiseInjector .* or fit_resample"):
        TransitionMatrixDisplay.from_estimator(injector)


def test_names_must_be_as_many_as_the_classes():
    display = TransitionMatrixDisplay(np.eye(3), display_labels=["a", "b"])
    with pytest.raises(ValueError, match="one name for each of 3 classes; got 2"):
        display.plot()


def test_missing_matplotlib_names_the_extra(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"sknoisy\[plot\]"):
        TransitionMatrixDisplay(np.eye(2)).plot()
