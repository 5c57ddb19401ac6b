"""Losses of the given labels, by a network in training or by any classifier."""

import numpy as np
from sklearn.base import clone
from skorch import NeuralNet

from sknoisy._progress import progress
from sknoisy._unjudged import Along
from sknoisy._validation import check_rows_and_labels
from sknoisy._verdicts import tags_of_part
from sknoisy.detection._dynamics._recording import record_dynamics
from sknoisy.detection._predictions._folds import FoldsMixin, folds_of
from sknoisy.detection._predictions._out_of_fold import (
    check_any_rows_and_labels,
    predict_out_of_fold,
)
from sknoisy.nets import NetParamsMixin

__all__ = ["MIN_PROBA", "LossesMixin"]

# Least probability of a label: classifiers that count, such as nearest neighbours, give
# zeros, whose loss would be infinite.
MIN_PROBA = 1e-7


class LossesMixin(FoldsMixin, NetParamsMixin):
    """Detectors based on losses: ``losses_`` of the given labels.

    Those of a network are averaged over its training; any other ``estimator`` predicts
    rows that it was not fitted on. The detector also has ``cv`` and ``n_jobs``.
    """

    _fitted_axes = {
        "losses_": Along(("rows",)),
        "trajectories_": Along(("rows",)),
    }

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        if not self._is_net():
            tags.input_tags = tags_of_part(self.estimator).input_tags
        return tags

    def _is_net(self):
        return self.estimator is None or isinstance(self.estimator, NeuralNet)

    def _splits_rows(self):
        return not self._is_net()

    def _check_data(self, X, y):
        """Set ``classes_``; return X, which is checked for a network, and the codes."""
        for name in ("trajectories_", "net_", "n_features_in_"):
            vars(self).pop(name, None)
        if self._is_net():
            X, self.classes_, codes = check_rows_and_labels(self, X, y, min_per_class=2)
        else:
            self._check_net_params()
            self.classes_, codes = check_any_rows_and_labels(self, X, y)
        return X, codes

    def _read_losses(self, X, codes, seed, bar, routed):
        """Set ``losses_`` and return probabilities of the classes.

        ``routed`` is what `_routed` returns.
        """
        if self._is_net():
            return self._record(X, codes, seed, bar)
        return self._predict_out_of_fold(X, codes, seed, bar, routed)

    def _record(self, X, codes, seed, bar):
        """Train a network on all rows; its losses are averaged over the epochs."""
        self.net_ = self._make_net()
        self.trajectories_, proba = record_dynamics(
            self.net_, X, codes, len(self.classes_), signal="loss", seed=seed
        )
        bar.advance()
        self.losses_ = self.trajectories_.mean(axis=1, dtype=np.float64)
        return proba

    def _predict_out_of_fold(self, X, codes, seed, bar, routed):
        """Predict each fold by a classifier fitted on the others."""
        splits = folds_of(self, X, codes, seed, routed.splitter.split)
        bar.total = len(splits)
        how = {"n_jobs": self.n_jobs, "seed": seed, "bar": bar}
        how["fit_params"] = routed.estimator.fit
        proba = predict_out_of_fold(clone(self.estimator), X, codes, splits, **how)
        given = proba[np.arange(len(codes)), codes].astype(np.float64)
        self.losses_ = -np.log(np.clip(given, MIN_PROBA, 1))
        return proba

    def _suspicion(self, proba, codes):
        """Return values that rank as the losses do and break ties.

        Parameters
        ----------
        proba : ndarray of shape (n_samples, n_classes)
            As `_read_losses` returned it.
        codes : ndarray of shape (n_samples,), dtype int64

        Returns
        -------
        suspicion : ndarray of shape (n_samples,)
            The losses; of predictions, which the least probability makes equal, less
            the probability of the label.
        """
        if self._is_net():
            return self.losses_
        return -proba[np.arange(len(codes)), codes]

    def _progress(self, n_steps=1):
        """Return a bar that counts trainings, or folds."""
        unit = "training" if self._is_net() else "fold"
        return progress(n_steps, type(self).__name__, self.verbose, unit=unit)
