"""Losses of the given labels, by a network in training or by any classifier."""

import numpy as np
from sklearn.base import clone

from sknoisy._progress import progress
from sknoisy._unjudged import Along
from sknoisy.detection._dynamics._recording import record_dynamics
from sknoisy.detection._dynamics._stages import MIN_PROBA, losses_of
from sknoisy.detection._predictions._net_or_classifier import NetOrClassifierMixin
from sknoisy.detection._predictions._out_of_fold import predict_out_of_fold

__all__ = ["MIN_PROBA", "LossesMixin", "record_losses"]


def record_losses(net, X, codes, n_classes, seed):
    """Train a network on all rows.

    Parameters
    ----------
    net, X, codes, n_classes, seed
        Of `record_dynamics`.

    Returns
    -------
    net : skorch NeuralNet
        The same, fitted.
    trajectories : ndarray of shape (n_samples, n_epochs), dtype float32
        The losses.
    proba : ndarray of shape (n_samples, n_classes), dtype float32
    """
    how = {"signal": "loss", "seed": seed}
    return net, *record_dynamics(net, X, codes, n_classes, **how)


class LossesMixin(NetOrClassifierMixin):
    """Detectors based on losses: ``losses_`` of the given labels.

    Those of a network are averaged over its training; any other ``estimator`` predicts
    rows that it was not fitted on, or is read by stage if the detector has a parameter
    ``stages``.
    """

    _fitted_axes = {
        "losses_": Along(("rows",)),
        "trajectories_": Along(("rows",)),
    }

    def _by_stages(self):
        return super()._by_stages() and getattr(self, "stages", "last") == "mean"

    def _read_losses(self, X, codes, seed, bar, routed):
        """Set ``losses_`` and return probabilities of the classes.

        ``routed`` is what `_routed` returns.
        """
        if self._is_net():
            return self._record(X, codes, seed, bar)
        if self._by_stages():
            return self._read_stages(X, codes, seed, bar, routed)
        return self._predict_out_of_fold(X, codes, seed, bar, routed)

    def _record(self, X, codes, seed, bar):
        """Train a network on all rows; its losses are averaged over the epochs."""
        net = self._make_net()
        return self._store(*record_losses(net, X, codes, len(self.classes_), seed), bar)

    def _store(self, net, trajectories, proba, bar):
        """Set what `record_losses` returned; return the probabilities."""
        bar.advance()
        self.net_, self.trajectories_ = net, trajectories
        self.losses_ = trajectories.mean(axis=1, dtype=np.float64)
        return proba

    def _read_stages(self, X, codes, seed, bar, routed):
        """Average the losses over the stages of a classifier, in sample or not."""
        splits = self._splits(X, codes, seed, routed)
        bar.total = 1 if splits is None else len(splits)
        how = {"n_classes": len(self.classes_), "seed": seed, "bar": bar}
        self.trajectories_, proba = self._record_stages(
            X, codes, splits, routed, signal="loss", **how
        )
        self.losses_ = self.trajectories_.mean(axis=1, dtype=np.float64)
        return proba

    def _predict_out_of_fold(self, X, codes, seed, bar, routed):
        """Predict each fold by a classifier fitted on the others."""
        splits = self._splits(X, codes, seed, routed)
        bar.total = len(splits)
        how = {"n_jobs": self.n_jobs, "seed": seed, "bar": bar}
        how["fit_params"] = routed.estimator.fit
        proba = predict_out_of_fold(clone(self.estimator), X, codes, splits, **how)
        self.losses_ = losses_of(proba, codes)
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
        if self._is_net() or self._by_stages():
            return self.losses_
        return -proba[np.arange(len(codes)), codes]

    def _progress(self, n_steps=1):
        """Return a bar that counts trainings, or folds."""
        unit = "training" if self._is_net() else "fold"
        return progress(n_steps, type(self).__name__, self.verbose, unit=unit)
