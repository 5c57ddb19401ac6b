"""Parts of default candidates: models of scikit-learn, and the steps before them."""

from functools import partial

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

__all__ = [
    "LEAST_ROWS",
    "MOST_COLUMNS",
    "TableSteps",
    "boosting",
    "forests",
    "has_units",
    "pipeline",
    "regression",
    "suits_boosting",
]

# Columns of a table may have different units, so that one or two dominate the others;
# networks and neighbours then need standardised columns. Embeddings, whose first
# columns often have the largest variance, and rare indicators get worse by it.
_MAX_SHARE, _N_WIDEST, _MIN_COLUMNS = 0.9, 2, 5
# Trees are of no use where many columns matter a little each, as those of embeddings;
# boosting grows one for each class, and takes ten times as long as a forest.
_MOST_CLASSES, MOST_COLUMNS = 8, 130
# Fewer rows teach networks and boosting no more than they teach the others.
LEAST_ROWS = 500


def has_units(X):
    """Return whether two columns of at least five hold nearly all variance.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)

    Returns
    -------
    flag : bool

    Examples
    --------
    >>> import numpy as np
    >>> from sknoisy._planting._models import has_units
    >>> X = np.random.default_rng(0).normal(size=(50, 6))
    >>> has_units(X), has_units(X * [1000, 1, 1, 1, 1, 1])
    (False, True)
    """
    variance = np.sort(X.var(0, dtype=np.float64))[::-1]
    if np.count_nonzero(variance) < _MIN_COLUMNS:
        return False
    return bool(variance[:_N_WIDEST].sum() > _MAX_SHARE * variance.sum())


def suits_boosting(n_rows, n_columns, n_classes):
    """Return whether boosting is worth its time on such rows."""
    is_small = n_columns <= MOST_COLUMNS and n_classes <= _MOST_CLASSES
    return is_small and n_rows >= LEAST_ROWS


def boosting(**params):
    """Return gradient boosting, held back: by default it learns wrong labels."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        learning_rate=0.05,
        max_iter=60,
        max_leaf_nodes=15,
        early_stopping=False,
        **params,
    )


def forests(**params):
    """Return forests by name: small leaves are needed to hold them back.

    Splits drawn at random hold back more.
    """
    from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

    return {
        "forest": RandomForestClassifier(100, min_samples_leaf=5, **params),
        "random splits": ExtraTreesClassifier(100, min_samples_leaf=3, **params),
    }


def regression(C):
    """Return a logistic regression."""
    return LogisticRegression(C=C, max_iter=1000)


def pipeline(*steps):
    """Return a pipeline whose output does not follow ``set_config``.

    The steps are those given and no copies: the competition fits one that several
    pipelines hold only once.
    """
    for step in steps[:-1]:
        step.set_output(transform="default")
    return make_pipeline(*steps) if len(steps) > 1 else steps[0]


class TableSteps:
    """How the columns of a frame become rows for models.

    Parameters
    ----------
    X : pandas or polars DataFrame
        All rows, since a part may look otherwise.

    Attributes
    ----------
    scaled, codes : callable
        Put a step before a model: for networks and neighbours, and for trees.
    categories : list of int
        Columns of the codes that are categories.
    n_columns : int
    has_texts, has_only_texts : bool
    """

    def __init__(self, X):
        from sknoisy._tables._columns import table_columns
        from sknoisy._tables._encoder import TableEncoder

        self._kinds = table_columns(X).kinds
        kinds = list(self._kinds.values())
        n_numbers = sum(kind in ("number", "date") for kind in kinds)
        n_categories = kinds.count("category")
        self.scaled = partial(pipeline, TableEncoder(kinds=self._kinds))
        codes = TableEncoder(output="codes", kinds=self._kinds)
        self.codes = partial(pipeline, codes)
        self.categories = list(range(n_numbers, n_numbers + n_categories))
        self.n_columns = len(kinds)
        self.has_texts = "text" in kinds
        self.has_only_texts = not n_numbers + n_categories

    def sparse(self, ngrams):
        """Return what puts a step before a linear model, with the TF-IDF of texts."""
        from sknoisy._tables._encoder import TableEncoder

        encoder = TableEncoder(output="sparse", ngrams=ngrams, kinds=self._kinds)
        return partial(pipeline, encoder)
