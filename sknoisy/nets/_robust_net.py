"""Common parts of robust classifiers: their own loss, and scores of the labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from sknoisy.base import NoiseScoresMixin
from sknoisy.mixture._two_groups import share_against
from sknoisy.nets._net import NetClassifier
from sknoisy.nets._parameter_names import signature_of
from sknoisy.nets._settings import OF_ROBUST_METHODS
from sknoisy.nets._slots import facts_of

if TYPE_CHECKING:
    import torch

    from sknoisy._types import Array, ArrayLike, ClassOf, IntArray

__all__ = ["RobustNetMixin"]

if TYPE_CHECKING:
    # The base class is from skorch, which has no types.
    _Host = Any
else:
    _Host = object


class RobustNetMixin(NoiseScoresMixin, _Host):
    """The contract of noise scores, on a `NetClassifier` that trains robustly.

    It comes before `NetClassifier` among the bases of a class. A method may override
    ``initialize_criterion`` with `own_criterion` if it keeps a state for each row, and
    ``label_evidence`` if it has more evidence about a row than its prediction.
    """

    _race_settings: tuple[dict[str, Any], ...] = OF_ROBUST_METHODS

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        order = cls.__mro__
        if NetClassifier not in order:
            return
        if order.index(NetClassifier) < order.index(RobustNetMixin):
            raise TypeError(
                f"{cls.__name__} would have no noise scores: NetClassifier comes "
                "before RobustNetMixin among its bases. Write "
                f"class {cls.__name__}(RobustNetMixin, NetClassifier)."
            )

    def refuse_criterion(self) -> None:
        """Refuse a criterion, which would not be used.

        Raises
        ------
        ValueError
            If the user set ``criterion`` or a parameter of it.
        """
        given = [f"criterion__{name}" for name in self.get_params_for("criterion")]
        if self.criterion is not nn.CrossEntropyLoss:
            given.insert(0, "criterion")
        if given:
            raise ValueError(
                f"{', '.join(given)} would have no effect: {type(self).__name__} has "
                "its own loss. RobustLossClassifier(loss=...) takes any criterion."
            )

    def start_fit(self, dataset: Any) -> None:
        """Refuse a criterion before any training.

        Parameters
        ----------
        dataset : ArrayDataset
            All rows given to ``fit``.
        """
        super().start_fit(dataset)
        self.refuse_criterion()

    def own_criterion(self, criterion: ClassOf, **params: Any) -> nn.Module:
        """Build the method's criterion, which returns one loss for each row.

        Parameters
        ----------
        criterion : torch criterion class
            Given ``n_samples`` and ``n_classes`` if its signature has them.
        **params : dict
            Arguments of the criterion by name.

        Returns
        -------
        criterion : torch module
            The loss of this method.
        """
        known, _ = signature_of(criterion)
        facts = {key: value for key, value in facts_of(self).items() if key in known}
        return criterion(**facts, **params, reduction="none").to(self.device_)

    def finish_fit(self, dataset: Any) -> None:
        """Score the given labels with the trained network, in evaluation mode.

        ``noise_rate_`` is the share of labels against which the evidence decides, where
        they are a group of their own.

        Parameters
        ----------
        dataset : ArrayDataset
            All rows given to ``fit``.
        """
        super().finish_fit(dataset)
        given_codes, logits = self.score_rows(dataset)
        proba = logits.softmax(1).cpu().numpy()
        codes = given_codes.cpu().numpy()
        evidence = self.label_evidence(proba, codes)
        given = evidence[np.arange(len(codes)), codes].astype(np.float64)
        self.record_scores(1 - given, evidence, codes)
        is_judged = np.bincount(codes)[codes] > 1
        if is_judged.any():
            rate = share_against(evidence[is_judged], codes[is_judged])
            self.noise_rate_ = self.noise_rate_ if rate is None else rate

    # It takes no mask, which here always follows from the scores.
    def record_scores(  # type: ignore[override]
        self, scores: ArrayLike, proba: Array, codes: IntArray
    ) -> None:
        """Set the scores of all labels except those that occur once.

        A network also learns such a class, but cannot score the label, because that row
        is its only example of the class.
        """
        is_lone = np.bincount(codes)[codes] == 1
        scores = np.where(is_lone, 0.5, scores)
        super().record_scores(scores, proba, codes)
        self._unjudged = np.flatnonzero(is_lone)
        if is_lone.any() and not is_lone.all():
            self.noise_rate_ = float(self.noise_scores_[~is_lone].mean())

    def score_rows(self, dataset: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Return codes and logits of all rows, in evaluation mode.

        Parameters
        ----------
        dataset : ArrayDataset
            All rows given to ``fit``.

        Returns
        -------
        codes : Tensor of shape (n_samples,), dtype int64
            Codes of the given labels.
        logits : Tensor of shape (n_samples, n_classes)
            Outputs of the network.
        """
        _, codes, logits = self.eval_pass(dataset, ["module"])
        return codes, logits["module"]

    def label_evidence(self, proba: Array, codes: IntArray) -> Array:
        """Return the evidence for each label and row.

        Parameters
        ----------
        proba : ndarray of shape (n_samples, n_classes)
            Predicted in evaluation mode.
        codes : ndarray of shape (n_samples,), dtype int64
            The given labels.

        Returns
        -------
        evidence : ndarray of shape (n_samples, n_classes)
            Here the predicted probabilities.
        """
        return proba
