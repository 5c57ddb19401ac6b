"""The default candidates of AutoRobustClassifier."""

from functools import partial

from scipy.sparse import issparse
from sklearn.preprocessing import Normalizer, StandardScaler

from sknoisy._planting._common_scale import CommonScaler
from sknoisy._planting._models import (
    LEAST_ROWS,
    MOST_COLUMNS,
    TableSteps,
    forests,
    has_units,
    pipeline,
    regression,
)
from sknoisy._rows import is_frame
from sknoisy.classification._co_teaching import CoTeachingClassifier
from sknoisy.classification._dividemix import DivideMixClassifier
from sknoisy.classification._dynamic_bootstrap import DynamicBootstrapClassifier
from sknoisy.classification._early_learning import ELRClassifier
from sknoisy.classification._elr_plus import ELRPlusClassifier
from sknoisy.classification._flywheel import FlywheelClassifier
from sknoisy.classification._robust_loss import RobustLossClassifier
from sknoisy.classification._ssr import SSRClassifier
from sknoisy.extending import NetClassifier

__all__ = ["STRONG", "default_contenders", "distilled_net"]

# Regularisation of networks: what wins on noisy human labels of embeddings, what wins
# on tables, and what methods bear that need confident networks.
STRONG = {
    "module__hidden": 512,
    "module__dropout": 0.5,
    "optimizer__weight_decay": 2e-2,
    "lr": 0.02,
}
_MILD = {"module__hidden": 256, "module__dropout": 0.3}
_CONFIDENT = {"module__dropout": 0.5, "optimizer__weight_decay": 5e-3}


def default_contenders(X, *, thorough=False):
    """Return the candidates that suit the kind of X, the faster ones first.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features) or (n_samples, C, H, W), sparse, frame
        Checked.
    thorough : bool, default=False
        Whether those take part that take long.

    Returns
    -------
    candidates : list of (str, classifier) pairs

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> from sknoisy.classification._contenders import default_contenders
    >>> [name for name, _ in default_contenders(csr_array((3, 2)))]
    ['regression', 'unit rows, C=1', 'unit rows, C=10']
    """
    if issparse(X):
        unit_rows = [
            (f"unit rows, C={C}", pipeline(Normalizer(), regression(C)))
            for C in (1, 10)
        ]
        return [("regression", regression(1.0)), *unit_rows]
    if is_frame(X):
        return _of_frame(X, thorough)
    if X.ndim > 2:
        return _of_images(thorough)
    prepared = _prepared(X)
    found = [(f"regression, C={C:g}", prepared(regression(C))) for C in _inverses(X)]
    if thorough or X.shape[1] <= MOST_COLUMNS:
        found += list(_forests().items())
    return found + _networks(len(X), prepared, thorough)


def distilled_net(X):
    """Return the network that learns what the candidates together predict.

    Parameters
    ----------
    X : ndarray or frame
        Checked.

    Returns
    -------
    classifier : NetClassifier or Pipeline
    """
    net = NetClassifier(module__hidden=512, module__dropout=0.3)
    if is_frame(X):
        return TableSteps(X).scaled(net)
    return NetClassifier() if X.ndim > 2 else _prepared(X)(net)


def _prepared(X):
    """Return what puts a step before a model, for the columns of X."""
    return partial(pipeline, StandardScaler() if has_units(X) else CommonScaler())


def _inverses(X):
    """Return C of the regressions: embeddings need more regularisation than tables."""
    return (0.01, 0.1, 1.0) if X.shape[1] <= MOST_COLUMNS else (0.001, 0.01, 0.1)


def _of_frame(X, thorough):
    steps = TableSteps(X)
    found = []
    if steps.has_texts:
        for ngrams, C in (("words", 10), ("chars", 1), ("chars", 10)):
            found.append((f"{ngrams}, C={C}", steps.sparse(ngrams)(regression(C))))
    found += [(f"regression, C={C:g}", steps.scaled(regression(C))) for C in (0.01, 1)]
    found += [(name, steps.codes(forest)) for name, forest in _forests().items()]
    return found + _networks(len(X), steps.scaled, thorough)


def _forests():
    """Return forests; where classes overlap, large leaves average more rows."""
    from sklearn.ensemble import RandomForestClassifier

    large = {
        f"forest, leaves of {n_rows}": RandomForestClassifier(
            100, min_samples_leaf=n_rows
        )
        for n_rows in (10, 30)
    }
    return forests() | large


def _networks(n_rows, prepared, thorough):
    if n_rows < LEAST_ROWS and not thorough:
        return []
    found = {
        "cross-entropy, strong": NetClassifier(**STRONG, max_epochs=10),
        "cross-entropy, mild": NetClassifier(**_MILD),
        "GCE": RobustLossClassifier(),
        "bootstrapping": DynamicBootstrapClassifier(**_CONFIDENT),
        "flywheel": FlywheelClassifier(contrastive_weight=0),
    }
    if thorough:
        found |= {
            "ELR": ELRClassifier(**STRONG),
            "SSR": SSRClassifier(),
            "co-teaching": CoTeachingClassifier(**_CONFIDENT),
            "ELR+": ELRPlusClassifier(),
            "DivideMix": DivideMixClassifier(),
        }
    return [(name, prepared(net)) for name, net in found.items()]


def _of_images(thorough):
    found = {
        "cross-entropy": NetClassifier(),
        "GCE": RobustLossClassifier(),
        "bootstrapping": DynamicBootstrapClassifier(),
    }
    if thorough:
        found |= {"ELR+": ELRPlusClassifier(), "DivideMix": DivideMixClassifier()}
    return list(found.items())
