"""Which rows a classifier is fitted on, and which it predicts."""

from __future__ import annotations

import copy
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.model_selection import (
    StratifiedGroupKFold,
    StratifiedKFold,
    check_cv,
)
from sklearn.utils import Bunch, column_or_1d
from sklearn.utils.metadata_routing import (
    UNUSED,
    MetadataRouter,
    MethodMapping,
    process_routing,
)

from sknoisy._codes import RareClassError
from sknoisy._validation import (
    check_consistent_length,
    refuse_params_unless_routed,
    routes_metadata,
)

if TYPE_CHECKING:
    from sknoisy._types import Routing

__all__ = ["FoldsMixin", "folds_of"]

# As scikit-learn has it where cv is None.
_N_FOLDS = 5

if TYPE_CHECKING:
    # The class beside it comes from scikit-learn, which has no types.
    _Host = Any
else:
    _Host = object


class FoldsMixin(_Host):
    """A detector whose ``estimator`` predicts rows that it was not fitted on.

    It has ``cv``, and takes ``groups`` in ``fit``. With metadata routing, these go to
    whatever splits the rows, and other metadata to the estimator.
    """

    # Only the splitter requests them.
    __metadata_request__fit = {"groups": UNUSED}

    def get_metadata_routing(self) -> Routing:
        """Return what ``fit`` passes on to the estimator and to the splitter.

        Returns
        -------
        routing : MetadataRouter
        """
        router = MetadataRouter(owner=self).add_self_request(self)
        mapping = MethodMapping().add(caller="fit", callee="fit")
        if hasattr(self.estimator, "get_metadata_routing"):
            router.add(estimator=self.estimator, method_mapping=mapping)
        if self._splits_rows():
            mapping = MethodMapping().add(caller="fit", callee="split")
            is_count = self.cv is None or isinstance(self.cv, Integral)
            splitter = StratifiedGroupKFold() if is_count else check_cv(self.cv)
            router.add(splitter=splitter, method_mapping=mapping)
        return router

    def _splits_rows(self):
        return True

    def _learns_all_rows(self):
        """Return what fits all rows, in words."""
        return "a network learns all rows"

    def _splits_rows_with(self):
        """Return what must be passed for rows to be left out, in words."""
        return "an estimator that is no network"

    def _routed(self, groups, params):
        """Return what goes to the estimator's ``fit`` and to the splitter's ``split``.

        Parameters
        ----------
        groups : array-like of shape (n_samples,) or None
        params : dict
            What ``fit`` was given beside.

        Returns
        -------
        routed : Bunch
            ``routed.estimator.fit`` and ``routed.splitter.split``, dicts.

        Raises
        ------
        ValueError
            If there are params, and metadata routing is off; or if there are groups
            and no rows are split.
        """
        if groups is not None and not self._splits_rows():
            raise ValueError(
                f"groups would have no effect: {self._learns_all_rows()}, and none are "
                "left out to be predicted. Leave groups out, or pass "
                f"{self._splits_rows_with()}."
            )
        split = {} if groups is None else {"groups": groups}
        if routes_metadata():
            return process_routing(self, "fit", **split, **params)
        refuse_params_unless_routed(params, self, "fit")
        return Bunch(estimator=Bunch(fit={}), splitter=Bunch(split=split))


def folds_of(estimator, X, codes, seed, split_params):
    """Return the rows to fit and to predict, fold by fold.

    Parameters
    ----------
    estimator : estimator
        The detector: it has ``cv`` and ``classes_``.
    X : array-like
    codes : ndarray of shape (n_samples,), dtype int64
        Each class has at least two rows.
    seed : int
        Of splitters that shuffle and have no ``random_state`` yet.
    split_params : dict
        ``groups``, and whatever else the splitter takes.

    Returns
    -------
    splits : list of (train, test) pairs of ndarray of dtype int64
        Every row is in a test fold.

    Raises
    ------
    ValueError
        If the splits leave a row out, fit what they predict, split a group, or leave a
        class out of what is fitted.
    RareClassError
        If all rows of a class belong to one group.
    """
    groups = split_params.get("groups")
    group_codes = None
    if groups is not None:
        check_consistent_length(X, groups)
        group_codes = np.unique(column_or_1d(groups), return_inverse=True)[1]
        _check_groups(estimator, codes, group_codes)
    splitter = _splitter(estimator.cv, codes, group_codes, seed)
    splits = [
        (_row_numbers(train, len(codes)), _row_numbers(test, len(codes)))
        for train, test in splitter.split(X, codes, **split_params)
    ]
    _check_coverage(estimator.cv, splits, len(codes))
    for number, (train, test) in enumerate(splits):
        _check_split(estimator, number, train, test, codes, group_codes)
    return splits


def _splitter(cv, codes, group_codes, seed):
    """Return the splitter, as a seeded copy if it draws."""
    if cv is None or isinstance(cv, Integral):
        n_folds = _N_FOLDS if cv is None else cv
        if group_codes is None:
            n_folds = min(n_folds, int(np.bincount(codes).min()))
            return StratifiedKFold(n_folds, shuffle=True, random_state=seed)
        n_folds = min(n_folds, int(_groups_of_classes(codes, group_codes).min()))
        return StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    splitter = check_cv(cv)
    listed = () if hasattr(cv, "split") else splitter.cv
    if not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in listed):
        raise TypeError(
            "cv must be a number of folds, a splitter, or a list of pairs of row "
            f"numbers, those to fit and those to predict; got {cv!r}."
        )
    if getattr(splitter, "random_state", seed) is None:
        # It would draw from numpy's global generator.
        splitter = copy.copy(splitter)
        splitter.random_state = seed
    return splitter


def _groups_of_classes(codes, group_codes):
    """Return in how many groups each class occurs."""
    pairs = np.unique(np.stack([codes, group_codes]), axis=1)
    return np.bincount(pairs[0])


def _check_groups(estimator, codes, group_codes):
    n_groups = _groups_of_classes(codes, group_codes)
    if n_groups.min() < 2:
        classes = estimator.classes_
        raise RareClassError(
            f"all rows of class {classes[n_groups < 2].tolist()[0]!r} belong to one "
            f"group; {type(estimator).__name__} needs at least two groups with rows of "
            "every class. Drop the class or merge it with another.",
            estimator,
            classes,
            codes,
            n_groups[codes] < 2,
        )


def _row_numbers(rows, n_samples):
    rows = np.asarray(rows)
    if rows.dtype == bool:
        rows = np.flatnonzero(rows)
    if len(rows) and not 0 <= rows.min() <= rows.max() < n_samples:
        raise ValueError(
            f"cv gives row numbers from {rows.min()} to {rows.max()}, but there are "
            f"{n_samples} rows to be scored."
        )
    return rows.astype(np.int64, copy=False)


def _check_coverage(cv, splits, n_samples):
    predicted = np.zeros(n_samples, dtype=bool)
    for _, test in splits:
        predicted[test] = True
    if not predicted.all():
        raise ValueError(
            f"cv={cv!r} never predicts {np.count_nonzero(~predicted)} of {n_samples} "
            f"rows, the first of them row {predicted.argmin()}; every row must be in a "
            "test fold, as with KFold, StratifiedKFold or GroupKFold."
        )


def _check_split(estimator, number, train, test, codes, group_codes):
    """Refuse a split that predicts fitted rows, or lacks classes among them."""
    cv = estimator.cv
    shared = np.intersect1d(train, test)
    if len(shared):
        raise ValueError(
            f"cv={cv!r} fits row {shared[0]} and predicts it, in split {number}; a row "
            "must not be in the training and in the test fold of a split."
        )
    if group_codes is not None:
        shared = np.intersect1d(group_codes[train], group_codes[test])
        if len(shared):
            row = int(np.isin(group_codes, shared).argmax())
            raise ValueError(
                f"cv={cv!r} fits rows of a group and predicts others of it, those of "
                f"row {row}, in split {number}; take a splitter that keeps groups "
                "together, such as GroupKFold, StratifiedGroupKFold or an int."
            )
    absent = np.setdiff1d(codes[test], codes[train])
    if len(absent):
        label = estimator.classes_[absent].tolist()[0]
        raise ValueError(
            f"cv={cv!r} predicts rows of class {label!r} in split {number} without any "
            "to learn it from; take a splitter that stratifies, fewer folds, or merge "
            "the class with another."
        )
