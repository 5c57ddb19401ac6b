"""A grid search that trains the networks of its candidates as one."""

from __future__ import annotations

import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from numbers import Integral
from typing import TYPE_CHECKING, Any, Self

import joblib
import numpy as np
from sklearn.base import TransformerMixin, clone, is_classifier
from sklearn.model_selection import GridSearchCV, check_cv
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags

from sknoisy._documentation import DOC_LINK_MODULE, DOC_LINK_TEMPLATE
from sknoisy._parameters import check_values
from sknoisy._validation import Interval
from sknoisy.nets._net import NetClassifier
from sknoisy.nets._stacked import (
    hindrance,
    signature_in_stack,
    stack_sizes,
    train_stacked,
    varying,
)

if TYPE_CHECKING:
    from sklearn.utils import Tags

    from sknoisy._types import Estimator, Labels, Rows

__all__ = ["StackedSearchCV"]


class StackedSearchCV(TransformerMixin, GridSearchCV):
    """Grid search that trains many small networks as one.

    A step of a small network is mostly overhead. Here the networks of all candidates
    and folds are stacked: one training with one step for all of them, each with its own
    rows, seed, dropout and parameters. Everything else is scikit-learn's
    `~sklearn.model_selection.GridSearchCV`, with the same results up to rounding.

    Networks are stacked if they differ in no more than ``lr``, ``random_state``,
    ``module__dropout``, numbers of the optimizer such as
    ``optimizer__weight_decay``, and numbers of the loss: ``lam`` and ``alpha`` of
    `NALClassifier`, ``loss__q`` or ``loss__a``, ``loss__b`` of `RobustLossClassifier`,
    ``criterion__q`` of a `losses.GCELoss`. Those that differ in more, for example in
    architecture or batch size, form a stack for each. What cannot be stacked is trained
    alone.

    Parameters
    ----------
    estimator : NetClassifier or Pipeline that ends in one
        A `NetClassifier`, `NALClassifier` or `RobustLossClassifier` on a table: its
        network consists of Linear, Dropout and activations, as `nets.MLP`, and its loss
        takes the rows one by one. Its ``callbacks``, ``train_split``, ``masking``,
        ``settings``, ``checkpoint`` and ``compile`` must not be set.
    param_grid : dict of str to list, or list of such dict
        Values to try of each parameter. For candidates that are no grid, pass a list of
        them, each value in a list of its own.
    scoring : str, callable, list, tuple or dict, default=None
        As in GridSearchCV, as are the other parameters but the last.
    refit : bool, str or callable, default=True
        Whether, and for which score, the best candidate is fitted on all rows.
    cv : int, splitter or iterable, default=None
        Folds.
    verbose : int, default=0
        How much is printed of each fit.
    error_score : "raise" or number, default=nan
        Score of a fit that fails.
    return_train_score : bool, default=False
        Whether training rows are scored too.
    max_stack : int >= 1, default=None
        Networks that are trained as one, at most. None takes as many as make an
        activation of at most a million numbers: with more a step on a CPU is no faster.

    Attributes
    ----------
    cv_results_ : dict of str to ndarray
        As in GridSearchCV. ``mean_fit_time`` and ``std_fit_time`` leave out the
        training in stacks.
    n_stacked_ : int
        Fits that were trained in stacks of at least two.
    stack_time_ : float
        Seconds of all training in stacks.
    best_estimator_, best_params_, best_score_, best_index_, scorer_, n_splits_, \
            refit_time_, multimetric_, classes_, n_features_in_, feature_names_in_
        As in GridSearchCV.

    See Also
    --------
    sklearn.model_selection.GridSearchCV : For all other estimators; with ``n_jobs``.

    Notes
    -----
    On the CPU each network has the initial weights, the order of rows and the dropout
    that it has alone. On other devices dropout is drawn otherwise. If the training of a
    network diverges, those of its stack are trained again, each alone.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sknoisy import NALClassifier
    >>> from sknoisy.nets import StackedSearchCV
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = NALClassifier(module__hidden=16, random_state=0)
    >>> pipe = make_pipeline(StandardScaler(), clf)
    >>> grid = {"nalclassifier__lam": [0.1, 0.5], "nalclassifier__alpha": [0.7, 0.9]}
    >>> search = StackedSearchCV(pipe, grid, cv=3).fit(X, y)
    >>> search.n_stacked_, len(search.cv_results_["params"])
    (12, 4)
    """

    _doc_link_module = DOC_LINK_MODULE
    _doc_link_template = DOC_LINK_TEMPLATE

    _parameter_constraints = {
        **GridSearchCV._parameter_constraints,
        "max_stack": [Interval(Integral, 1, None, closed="left"), None],
    }

    def __init__(
        self,
        estimator: Estimator,
        param_grid: Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]],
        *,
        scoring: Any = None,
        refit: bool | str | Callable[..., Any] = True,
        cv: Any = None,
        verbose: int = 0,
        error_score: Any = np.nan,
        return_train_score: bool = False,
        max_stack: int | None = None,
    ) -> None:
        super().__init__(
            estimator,
            param_grid,
            scoring=scoring,
            refit=refit,
            cv=cv,
            verbose=verbose,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.max_stack = max_stack

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags = get_tags(self.estimator).transformer_tags
        return tags

    def fit(self, X: Rows, y: Labels | None = None, **params: Any) -> Self:
        """Train and score all candidates.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
        **params : dict
            As in GridSearchCV: ``groups`` of the splitter, and arguments of the
            estimator's ``fit``. With ``sample_weight`` nothing can be stacked.

        Returns
        -------
        self : StackedSearchCV

        Raises
        ------
        TypeError
            If the estimator is no net, nor a Pipeline that ends in one.
        ValueError
            If none of the networks can be stacked.
        """
        check_values(self, self.get_params(deep=False))
        fits = _Fits()
        estimator, own_class = _with_members(self.estimator, fits)
        given = {**self.get_params(deep=False), "estimator": estimator}
        del given["max_stack"]
        folds = check_cv(self.cv, y, classifier=is_classifier(self.estimator))
        given["cv"] = _SameFolds(folds)
        fits.collect(given, X, y, params)
        fits.train(self.max_stack)
        search = GridSearchCV(**given).fit(X, y, **params)
        for name, value in vars(search).items():
            if name.endswith("_"):
                setattr(self, name, value)
        # The scorer may hold the estimator.
        for holder in (estimator, getattr(search, "best_estimator_", estimator)):
            if isinstance(net := _net_of(holder), _Member):
                net.__class__ = own_class
        self.n_stacked_, self.stack_time_ = fits.n_stacked, fits.seconds
        return self


class _Member:
    """A net whose epochs may be run in a stack; before the class of the method."""

    own_class: Any = None
    fits: Any = None

    def fit_loop(self, X, y=None, epochs=None, **kwargs):
        trained = self.fits.asked(self, X)
        if trained is None:
            return super().fit_loop(X, y, epochs, **kwargs)
        self.seed_ = trained.seed_
        self.module_.load_state_dict(trained.module_.state_dict())
        self.criterion_.load_state_dict(trained.criterion_.state_dict())
        for number in range(epochs):
            self.history.new_epoch()
            self.history.record("epoch", number + 1)
        return self


class _Built(Exception):
    """A net is built, and would now begin its first epoch."""


class _Fits:
    """The fits of a search: first all nets are built, then they are trained.

    Attributes
    ----------
    nets : dict of tuple to list of NetClassifier
        By parameters and rows; several if the seed is not set.
    """

    def __init__(self):
        self.collects, self.nets, self.reasons = False, defaultdict(list), []
        self.groups, self.rows = defaultdict(list), {}
        self.n_stacked, self.seconds = 0, 0.0

    def collect(self, search, X, y, params):
        """Build all nets, by a search that trains and scores none."""
        rest = {"scoring": _no_score, "refit": False, "return_train_score": False}
        search = {**search, **rest, "error_score": "raise", "verbose": 0}
        self.collects = True
        try:
            GridSearchCV(**search).fit(X, y, **params)
        except Exception:
            # The search that scores raises it again, or counts it as a failed fit; the
            # nets that were not reached are trained alone.
            pass
        finally:
            self.collects = False

    def asked(self, net, dataset):
        """Return a trained net with the parameters and rows of a net, or None."""
        params = {k: _identity(v) for k, v in net.get_params(deep=False).items()}
        rows = _checksum(dataset.features), _checksum(dataset.codes)
        key = tuple(sorted(params.items())), rows
        if self.collects:
            self._add(net, dataset, params, key)
            raise _Built
        return self.nets[key].pop(0) if self.nets[key] else None

    def _add(self, net, dataset, params, key):
        reason = hindrance(net, dataset)
        if reason is not None:
            self.reasons.append(reason)
            return
        # Each fit of scikit-learn's has a copy of its rows.
        net.stack_rows_ = self.rows.setdefault(key[1], dataset)
        free = varying(net)
        fixed = tuple(sorted((k, v) for k, v in params.items() if k not in free))
        self.groups[fixed, signature_in_stack(net)].append((key, net))

    def train(self, max_stack):
        """Train all nets in stacks, but those that would be alone in theirs."""
        if self.reasons and not self.groups:
            raise ValueError(
                "no networks of this search can be stacked: "
                f"{self.reasons[0]}. Use sklearn.model_selection.GridSearchCV."
            )
        start = time.perf_counter()
        for members in self.groups.values():
            key_of = {id(net): key for key, net in members}
            for nets in stack_sizes([net for _, net in members], max_stack):
                if len(nets) == 1:
                    continue
                try:
                    train_stacked(nets)
                except FloatingPointError:
                    # Which of them diverges, and how, is seen when each is alone.
                    continue
                self.n_stacked += len(nets)
                for net in nets:
                    self.nets[key_of[id(net)]].append(net)
        self.seconds = time.perf_counter() - start


class _SameFolds:
    """A splitter that splits once, though its folds may be random.

    Parameters
    ----------
    folds : splitter
    """

    def __init__(self, folds):
        self.folds = folds
        self.splits = None

    def __getattr__(self, name):
        if name == "folds":
            raise AttributeError(name)
        return getattr(self.folds, name)

    def split(self, X, y=None, groups=None, **params):
        if self.splits is None:
            self.splits = list(self.folds.split(X, y, groups, **params))
        return self.splits


def _net_of(estimator):
    return estimator[-1] if isinstance(estimator, Pipeline) else estimator


def _with_members(estimator, fits):
    """Return a clone whose clones ask for trained weights, and the class of its net."""
    estimator = clone(estimator)
    net = _net_of(estimator)
    own_class = type(net)
    if not isinstance(net, NetClassifier):
        raise TypeError(
            "estimator must be a NetClassifier, or a Pipeline that ends in one; got "
            f"{own_class.__name__}. Use sklearn.model_selection.GridSearchCV."
        )

    @wraps(own_class.fit)
    def fit(self, *args, **kwargs):
        try:
            return own_class.fit(self, *args, **kwargs)
        except _Built:
            return self

    own = {"own_class": own_class, "fits": fits, "fit": fit}
    net.__class__ = type(own_class.__name__, (_Member, own_class), own)
    return estimator, own_class


def _no_score(estimator, X, y=None):
    return 0.0


def _identity(value):
    """Return what is the same for equal values."""
    try:
        return joblib.hash(value)
    except Exception:
        # It cannot be pickled, as a lambda; clones share it.
        return str(id(value))


def _checksum(array):
    return (
        zlib.crc32(np.ascontiguousarray(array))
        if isinstance(array, np.ndarray)
        else id(array)
    )
