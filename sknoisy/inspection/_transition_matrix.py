"""Plot of a transition matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sknoisy.inspection._arrays import as_numbers
from sknoisy.noise._report import encode_both
from sknoisy.noise._transition import empirical_transition_matrix

if TYPE_CHECKING:
    from sknoisy._types import Array, ArrayLike, Axes, Estimator

__all__ = ["TransitionMatrixDisplay"]

# With more classes than this the numbers overlap, and so do the names of the classes.
_MANY_CLASSES = 20


class TransitionMatrixDisplay:
    """Which labels the rows of each true class were given, as a coloured matrix.

    Parameters
    ----------
    transition_matrix : ndarray of shape (n_classes, n_classes)
        Rows = true class, columns = given label.
    display_labels : array-like of shape (n_classes,), default=None
        Names of the classes. None numbers them from 0.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    im_ : matplotlib AxesImage
        Its colours run from 0 to 1 whatever the matrix.
    text_ : ndarray of shape (n_classes, n_classes), dtype matplotlib Text, or None
        The values in the cells; None if they were not written.

    See Also
    --------
    estimate_transition_matrix : The matrix of two label vectors.
    noise_report : The main mistakes of each class, as a table.
    sklearn.metrics.ConfusionMatrixDisplay : The same for predictions, in counts.

    Examples
    --------
    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> from sknoisy import TransitionMatrixDisplay
    >>> y_true = ["cat", "cat", "cat", "cat", "dog"]
    >>> y_noisy = ["cat", "cat", "cat", "dog", "dog"]
    >>> display = TransitionMatrixDisplay.from_predictions(y_true, y_noisy)
    >>> display.text_[0, 1].get_text()
    '0.25'
    """

    def __init__(
        self, transition_matrix: Array, *, display_labels: ArrayLike | None = None
    ) -> None:
        self.transition_matrix = transition_matrix
        self.display_labels = display_labels

    @classmethod
    def from_estimator(
        cls,
        estimator: Estimator,
        *,
        include_values: bool | None = None,
        values_format: str = ".2f",
        xticks_rotation: str | float = "horizontal",
        cmap: Any = "Blues",
        ax: Axes | None = None,
        colorbar: bool = True,
    ) -> Self:
        """Plot the matrix of an injector, or of any estimator that has one.

        Parameters
        ----------
        estimator : estimator with ``transition_matrix_`` and ``classes_``
            Fitted; the last step is taken of a Pipeline.
        include_values, values_format, xticks_rotation, cmap, ax, colorbar
            As in `plot`.

        Returns
        -------
        display : TransitionMatrixDisplay

        Raises
        ------
        NotFittedError
            If the estimator has no matrix yet. An injector whose noise depends on the
            rows has one after ``fit_resample`` only.
        ImportError
            If matplotlib is not installed.
        """
        if hasattr(estimator, "steps"):
            estimator = estimator[-1]
        check_is_fitted(
            estimator,
            ["transition_matrix_", "classes_"],
            msg=(
                "This %(name)s has no transition_matrix_ yet: call fit, or fit_resample"
                " if it is an injector whose noise depends on the rows."
            ),
        )
        display = cls(estimator.transition_matrix_, display_labels=estimator.classes_)
        return display.plot(
            include_values=include_values,
            values_format=values_format,
            xticks_rotation=xticks_rotation,
            cmap=cmap,
            ax=ax,
            colorbar=colorbar,
        )

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        y_noisy: ArrayLike,
        *,
        labels: ArrayLike | None = None,
        display_labels: ArrayLike | None = None,
        include_values: bool | None = None,
        values_format: str = ".2f",
        xticks_rotation: str | float = "horizontal",
        cmap: Any = "Blues",
        ax: Axes | None = None,
        colorbar: bool = True,
    ) -> Self:
        """Plot the matrix of true and given labels.

        Parameters
        ----------
        y_true, y_noisy : array-like of shape (n_samples,)
            True and given labels: numbers, strings, a Series.
        labels : array-like of shape (n_classes,), default=None
            The classes in the order of the rows and columns, all that occur among
            them. None sorts those that occur.
        display_labels : array-like of shape (n_classes,), default=None
            Names of the classes in that order. None takes the labels themselves.
        include_values, values_format, xticks_rotation, cmap, ax, colorbar
            As in `plot`.

        Returns
        -------
        display : TransitionMatrixDisplay

        Raises
        ------
        ValueError, TypeError
            As `estimate_transition_matrix`.
        ImportError
            If matplotlib is not installed.
        """
        classes, true, noisy = encode_both(y_true, y_noisy, labels)
        display = cls(
            empirical_transition_matrix(true, noisy, len(classes)),
            display_labels=classes if display_labels is None else display_labels,
        )
        return display.plot(
            include_values=include_values,
            values_format=values_format,
            xticks_rotation=xticks_rotation,
            cmap=cmap,
            ax=ax,
            colorbar=colorbar,
        )

    def plot(
        self,
        *,
        include_values: bool | None = None,
        values_format: str = ".2f",
        xticks_rotation: str | float = "horizontal",
        cmap: Any = "Blues",
        ax: Axes | None = None,
        colorbar: bool = True,
    ) -> Self:
        """Draw into an axes.

        Parameters
        ----------
        include_values : bool, default=None
            Whether the values stand in the cells. None means up to 20 classes.
        values_format : str, default=".2f"
            Format of the values.
        xticks_rotation : {"horizontal", "vertical"} or float, default="horizontal"
            Rotation of the names of the given labels; a float is in degrees.
        cmap : str or matplotlib Colormap, default="Blues"
            Colours from 0 to 1.
        ax : matplotlib Axes, default=None
            None makes a new figure.
        colorbar : bool, default=True
            Whether to put a colour bar beside the matrix.

        Returns
        -------
        display : TransitionMatrixDisplay
            The display itself, with the axes it drew on.

        Raises
        ------
        ValueError
            If ``display_labels`` has not one name for each class.
        ImportError
            If matplotlib is not installed.
        """
        try:
            import matplotlib.pyplot as plt
        except ImportError as error:
            raise ImportError(
                "TransitionMatrixDisplay needs matplotlib: pip install 'sknoisy[plot]'."
            ) from error
        matrix = as_numbers("transition_matrix", self.transition_matrix, 2)
        n_classes = len(matrix)
        given: Any = self.display_labels
        if given is None:
            given = range(n_classes)
        names = list(given) if np.ndim(given) == 1 else [given]
        if matrix.shape != (n_classes, n_classes):
            raise ValueError(
                f"transition_matrix must be square; got shape {matrix.shape}."
            )
        if len(names) != n_classes:
            raise ValueError(
                f"display_labels must have one name for each of {n_classes} classes; "
                f"got {len(names)}."
            )
        if ax is None:
            _, ax = plt.subplots()
        self.ax_, self.figure_ = ax, ax.figure
        self.im_ = ax.imshow(matrix, vmin=0, vmax=1, cmap=cmap, interpolation="nearest")
        if include_values is None:
            include_values = n_classes <= _MANY_CLASSES
        self.text_ = (
            self._write_values(matrix, values_format) if include_values else None
        )
        if colorbar:
            self.figure_.colorbar(self.im_, ax=ax, label="share of the true class")
        ticks = range(0, n_classes, -(-n_classes // _MANY_CLASSES))
        shown = [names[tick] for tick in ticks]
        ax.set_xticks(ticks, shown, rotation=xticks_rotation)
        ax.set_yticks(ticks, shown)
        ax.set(xlabel="given label", ylabel="true label")
        return self

    def _write_values(self, matrix, values_format):
        """Write each value into its cell, dark on light colours and light on dark."""
        texts = np.empty(matrix.shape, dtype=object)
        for (row, column), value in np.ndenumerate(matrix):
            red, green, blue, _ = self.im_.cmap(self.im_.norm(value))
            # The weights of the three colours in perceived brightness, ITU-R BT.601.
            is_light = 0.299 * red + 0.587 * green + 0.114 * blue > 0.5
            texts[row, column] = self.ax_.text(
                column,
                row,
                format(value, values_format),
                ha="center",
                va="center",
                color="black" if is_light else "white",
            )
        return texts
