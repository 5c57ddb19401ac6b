"""The default candidates of AutoNoiseDetector."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

from scipy.sparse import issparse
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import Normalizer, StandardScaler

from sknoisy._planting._common_scale import CommonScaler
from sknoisy._planting._models import (
    LEAST_ROWS,
    MOST_COLUMNS,
    TableSteps,
    boosting,
    forests,
    has_units,
    pipeline,
    regression,
    suits_boosting,
)
from sknoisy._rows import is_frame
from sknoisy.detection._confident_learning import ConfidentLearningDetector
from sknoisy.detection._neighbor_vote import NeighborVoteDetector

__all__ = ["Candidates", "default_candidates", "settle"]


@dataclass
class Candidates:
    """Candidates, those that take seconds and those that take long.

    Attributes
    ----------
    quick : list of (str, detector) pairs
    slow : list of (str, detector) pairs
        Take part only if they add to the quick ones.
    """

    quick: list[tuple[str, Any]]
    slow: list[tuple[str, Any]] = field(default_factory=list)


def default_candidates(X, n_classes, *, thorough=False, has_groups=False):
    """Return the candidates that suit the kind of X.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features) or (n_samples, C, H, W), sparse, frame
        Checked.
    n_classes : int
    thorough : bool, default=False
        Whether all compete whatever they cost.
    has_groups : bool, default=False
        Whether rows of a group must not predict each other.

    Returns
    -------
    candidates : Candidates

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> from sknoisy.detection._competitors import default_candidates
    >>> candidates = default_candidates(csr_array((3, 2)), 2)
    >>> [name for name, _ in candidates.quick]
    ['regression', 'unit rows, C=1', 'unit rows, C=10']
    """
    if issparse(X):
        return Candidates(_of_sparse_rows())
    if is_frame(X):
        return _of_frame(X, n_classes, thorough, has_groups)
    if X.ndim > 2:
        return Candidates(_of_images())
    scaled = (StandardScaler(),) if has_units(X) else ()
    prepared = partial(pipeline, *scaled)
    # What C means depends on the scale of the columns. Networks at this scale are less
    # sure of right labels, and contradict more of them.
    on_one_scale = prepared if scaled else partial(pipeline, CommonScaler())
    quick = [
        ("regression", prepared(ConfidentLearningDetector())),
        (
            "regression C=0.002",
            on_one_scale(ConfidentLearningDetector(regression(0.002))),
        ),
        *_neighbors(prepared),
    ]
    if thorough or X.shape[1] <= MOST_COLUMNS:
        quick += _forests(has_groups)
    if thorough or suits_boosting(*X.shape, n_classes):
        quick.append(("boosting", ConfidentLearningDetector(boosting())))
    return _with_networks(quick, prepared, len(X), thorough)


def settle(detector):
    """Return what to fit in place of a detector that was fitted, unfitted.

    Parameters
    ----------
    detector : detector or pipeline
        Fitted.

    Returns
    -------
    detector : detector or pipeline
        The same; a detector that chose one of several settings keeps to it.
    """
    last = detector[-1] if isinstance(detector, Pipeline) else detector
    setting = getattr(last, "best_setting_", None)
    detector = clone(detector)
    if setting is not None:
        last = detector[-1] if isinstance(detector, Pipeline) else detector
        last.set_params(settings=[setting])
    return detector


def _of_frame(X, n_classes, thorough, has_groups):
    steps = TableSteps(X)
    quick = []
    if steps.has_texts:
        for ngrams, C in (("words", 10), ("chars", 1), ("chars", 10)):
            detector = ConfidentLearningDetector(regression(C))
            quick.append((f"{ngrams}, C={C}", steps.sparse(ngrams)(detector)))
    quick.append(("regression", steps.scaled(ConfidentLearningDetector())))
    # Without scaling rare indicators up.
    plain = ConfidentLearningDetector(regression(0.1))
    quick.append(("regression C=0.1", steps.scaled(plain)))
    quick += _neighbors(steps.scaled)
    if steps.has_only_texts and not thorough:
        # The directions of texts are embeddings: trees and networks add nothing.
        return Candidates(quick)
    if thorough or suits_boosting(len(X), steps.n_columns, n_classes):
        model = boosting(categorical_features=steps.categories or None)
        quick.append(("boosting", steps.codes(ConfidentLearningDetector(model))))
    quick += [(name, steps.codes(forest)) for name, forest in _forests(has_groups)]
    return _with_networks(quick, steps.scaled, len(X), thorough)


def _forests(has_groups):
    cv = 5 if has_groups else "oob"
    oob = {"bootstrap": True, "oob_score": not has_groups}
    return [
        (name, ConfidentLearningDetector(forest, cv=cv))
        for name, forest in forests(**oob).items()
    ]


def _neighbors(prepared):
    return [
        (f"neighbors {k}", prepared(NeighborVoteDetector(n_neighbors=k)))
        for k in (10, 30)
    ]


def _with_networks(quick, prepared, n_rows, thorough):
    """Add networks to the candidates, for whose rows ``prepared`` makes pipelines."""
    # Imported here so that other candidates need no torch.
    from sknoisy._planting._settings import AUTO

    if n_rows < LEAST_ROWS and not thorough:
        return Candidates(quick)
    from sknoisy.detection._dynacor import DynaCorDetector

    if not thorough:
        # The mild setting leads nowhere by much.
        settings = [AUTO[0], AUTO[1], AUTO[3]]
        network = DynaCorDetector(settings=settings, n_runs=2)
        return Candidates(quick, [("DynaCor", prepared(network))])
    from sknoisy.detection._loss_mixture import LossMixtureDetector

    networks = {"losses": LossMixtureDetector(**AUTO[1]), "DynaCor": DynaCorDetector()}
    return Candidates(quick + [(n, prepared(d)) for n, d in networks.items()])


def _of_sparse_rows():
    # Word counts and frequencies are not standardised but scaled to rows of length 1.
    unit_rows = [
        (f"unit rows, C={C}", pipeline(Normalizer(), regression(C))) for C in (1, 10)
    ]
    return [("regression", ConfidentLearningDetector())] + [
        (name, ConfidentLearningDetector(model)) for name, model in unit_rows
    ]


def _of_images():
    from sknoisy._planting._settings import IMAGES
    from sknoisy.detection._aum import AUMDetector
    from sknoisy.detection._dynacor import DynaCorDetector
    from sknoisy.detection._loss_mixture import LossMixtureDetector

    return [
        ("losses", LossMixtureDetector()),
        ("AUM", AUMDetector()),
        ("DynaCor", DynaCorDetector(settings=IMAGES[1:])),
    ]
