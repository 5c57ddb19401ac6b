"""The default candidates of AutoNoiseDetector."""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler

from sknoisy._rows import is_frame
from sknoisy.detection._confident_learning import ConfidentLearningDetector
from sknoisy.detection._neighbor_vote import NeighborVoteDetector

__all__ = ["Candidates", "default_candidates", "settle"]

# Columns of a table may have different units, so that one or two dominate the others;
# networks and neighbours then need standardised columns. Embeddings, whose first
# columns often have the largest variance, and rare indicators get worse by it.
_MAX_SHARE, _N_WIDEST, _MIN_COLUMNS = 0.9, 2, 5
# Trees are of no use where many columns matter a little each, as those of embeddings;
# boosting grows one for each class, and takes ten times as long as a forest.
_MOST_CLASSES, _MOST_COLUMNS = 8, 130
# Fewer rows teach networks and boosting no more than they teach the others.
_LEAST_ROWS = 500


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
    scaled = (StandardScaler(),) if _has_units(X) else ()
    prepared = partial(_pipeline, *scaled)
    quick = [
        ("regression", prepared(ConfidentLearningDetector())),
        (
            "regression C=0.001",
            prepared(ConfidentLearningDetector(_regression(0.001))),
        ),
        *_neighbors(prepared),
    ]
    if thorough or X.shape[1] <= _MOST_COLUMNS:
        quick += _forests(has_groups)
    if _suits_boosting(*X.shape, n_classes, thorough):
        quick.append(("boosting", ConfidentLearningDetector(_boosting())))
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


def _has_units(X):
    """Return whether two columns of at least five hold nearly all variance."""
    variance = np.sort(X.var(0, dtype=np.float64))[::-1]
    if np.count_nonzero(variance) < _MIN_COLUMNS:
        return False
    return variance[:_N_WIDEST].sum() > _MAX_SHARE * variance.sum()


def _of_frame(X, n_classes, thorough, has_groups):
    from sknoisy.detection._tables._columns import table_columns
    from sknoisy.detection._tables._encoder import TableEncoder

    # Of all rows, since a part may look otherwise.
    kinds = table_columns(X).kinds
    n_numbers = sum(kind in ("number", "date") for kind in kinds.values())
    n_categories = sum(kind == "category" for kind in kinds.values())
    scaled = partial(_pipeline, TableEncoder(kinds=kinds))
    codes = partial(_pipeline, TableEncoder(output="codes", kinds=kinds))
    quick = []
    if "text" in kinds.values():
        for ngrams, C in (("words", 10), ("chars", 1), ("chars", 10)):
            encoder = TableEncoder(output="sparse", ngrams=ngrams, kinds=kinds)
            detector = ConfidentLearningDetector(_regression(C))
            quick.append((f"{ngrams}, C={C}", _pipeline(encoder, detector)))
    quick.append(("regression", scaled(ConfidentLearningDetector())))
    # Without scaling rare indicators up.
    plain = ConfidentLearningDetector(_regression(0.1))
    quick.append(("regression C=0.1", scaled(plain)))
    # The directions of texts are embeddings, which trees and networks add little to.
    only_texts = not n_numbers + n_categories and not thorough
    if not only_texts and _suits_boosting(len(X), len(kinds), n_classes, thorough):
        categories = list(range(n_numbers, n_numbers + n_categories))
        model = _boosting(categorical_features=categories or None)
        quick.append(("boosting", codes(ConfidentLearningDetector(model))))
    quick += [(name, codes(forest)) for name, forest in _forests(has_groups)]
    quick += _neighbors(scaled)
    if only_texts:
        return Candidates(quick)
    return _with_networks(quick, scaled, len(X), thorough)


def _suits_boosting(n_rows, n_columns, n_classes, thorough):
    is_small = n_columns <= _MOST_COLUMNS and n_classes <= _MOST_CLASSES
    return thorough or (is_small and n_rows >= _LEAST_ROWS)


def _boosting(**params):
    from sklearn.ensemble import HistGradientBoostingClassifier

    # Held back: with its defaults it learns wrong labels by heart.
    return HistGradientBoostingClassifier(
        learning_rate=0.05,
        max_iter=60,
        max_leaf_nodes=15,
        early_stopping=False,
        **params,
    )


def _forests(has_groups):
    from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

    cv = 5 if has_groups else "oob"
    oob = {"bootstrap": True, "oob_score": not has_groups}
    # Small leaves are needed to hold them back; splits drawn at random hold back more.
    forests = {
        "forest": RandomForestClassifier(100, min_samples_leaf=5, **oob),
        "random splits": ExtraTreesClassifier(100, min_samples_leaf=3, **oob),
    }
    return [
        (name, ConfidentLearningDetector(forest, cv=cv))
        for name, forest in forests.items()
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

    if n_rows < _LEAST_ROWS and not thorough:
        return Candidates(quick)
    from sknoisy.detection._dynacor import DynaCorDetector

    if not thorough:
        # The mild setting leads nowhere by much.
        settings = [AUTO[0], AUTO[1], AUTO[3]]
        network = DynaCorDetector(settings=settings, n_runs=3)
        return Candidates(quick, [("DynaCor", prepared(network))])
    from sknoisy.detection._loss_mixture import LossMixtureDetector

    networks = {"losses": LossMixtureDetector(**AUTO[1]), "DynaCor": DynaCorDetector()}
    return Candidates(quick + [(n, prepared(d)) for n, d in networks.items()])


def _of_sparse_rows():
    # Word counts and frequencies are not standardised but scaled to rows of length 1.
    unit_rows = [
        (f"unit rows, C={C}", _pipeline(Normalizer(), _regression(C))) for C in (1, 10)
    ]
    return [("regression", ConfidentLearningDetector())] + [
        (name, ConfidentLearningDetector(model)) for name, model in unit_rows
    ]


def _pipeline(*steps):
    """Return a pipeline whose output does not follow ``set_config``.

    The steps are those given and no copies: the competition fits one that several
    pipelines hold only once.
    """
    for step in steps[:-1]:
        step.set_output(transform="default")
    return make_pipeline(*steps) if len(steps) > 1 else steps[0]


def _regression(C):
    return LogisticRegression(C=C, max_iter=1000)


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
