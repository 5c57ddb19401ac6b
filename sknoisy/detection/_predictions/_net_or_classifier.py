"""Detectors that take a network, or a classifier that scikit-learn fits."""

from sklearn.base import clone
from skorch import NeuralNet

from sknoisy._validation import check_any_rows_and_labels, check_rows_and_labels
from sknoisy._verdicts import tags_of_part
from sknoisy.detection._dynamics._stages import learns_in_passes, record_stages
from sknoisy.detection._predictions._folds import FoldsMixin, folds_of
from sknoisy.nets import NetParamsMixin

__all__ = ["NetOrClassifierMixin"]

# Epochs of a network whose max_epochs is None, and so passes of other estimators.
_N_PASSES = 20


class NetOrClassifierMixin(FoldsMixin, NetParamsMixin):
    """Detectors whose ``estimator`` is a network or any other classifier.

    A network learns all rows, which are checked; another classifier takes X as it is.
    The detector also has ``cv`` and ``n_jobs``.
    """

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        if not self._is_net():
            tags.input_tags = tags_of_part(self.estimator).input_tags
        return tags

    def _is_net(self):
        return self.estimator is None or isinstance(self.estimator, NeuralNet)

    def _by_stages(self):
        """Whether the stages of a classifier that is no network are read."""
        return not self._is_net()

    def _splits_rows(self):
        in_sample = self._by_stages() and self.cv is None
        return not self._is_net() and not in_sample

    def _learns_all_rows(self):
        return f"{'a network' if self._is_net() else 'cv=None'} learns all rows"

    def _splits_rows_with(self):
        return "an estimator that is no network" if self._is_net() else "cv=5"

    def _check_data(self, X, y):
        """Set ``classes_``; return X, which is checked for a network, and the codes."""
        for name in ("trajectories_", "net_", "n_features_in_"):
            vars(self).pop(name, None)
        if self._is_net():
            X, self.classes_, codes = check_rows_and_labels(
                self, X, y, min_per_class=2, on_disk=True
            )
        else:
            in_passes = self._by_stages() and learns_in_passes(self.estimator)
            self._check_net_params(own=("max_epochs",) if in_passes else ())
            X, self.classes_, codes = check_any_rows_and_labels(self, X, y)
        return X, codes

    def _splits(self, X, codes, seed, routed):
        """Return the rows to fit and to predict; None fits and predicts all."""
        if not self._splits_rows():
            return None
        return folds_of(self, X, codes, seed, routed.splitter.split)

    def _record_stages(self, X, codes, splits, routed, **how):
        """Return trajectories and means of a classifier that learns in stages."""
        n_passes = _N_PASSES if self.max_epochs is None else self.max_epochs
        how |= {"n_passes": n_passes, "n_jobs": self.n_jobs}
        how["fit_params"] = routed.estimator.fit
        return record_stages(clone(self.estimator), X, codes, splits, **how)
