"""Checks of fitted state that compiled code uses without bounds checks of its own."""

from typing import Any

import numpy as np
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.linear_model import SGDClassifier
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import BaseDecisionTree

from sknoisy._validation import NODE_DTYPE, Tree
from sknoisy.persistence._attributes import looks_learnt

__all__ = ["check_bools", "check_estimator_state", "make_tree"]

_FORESTS = (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
# Their fitted state includes compiled objects, or arrays that compiled code trusts.
_UNFITTED = (GradientBoostingClassifier, HistGradientBoostingClassifier, SGDClassifier)
_TEXTS = (CountVectorizer, HashingVectorizer)
_LEAF = -1


def check_estimator_state(estimator: Any) -> None:
    """Check attributes that scikit-learn passes to compiled code unchecked.

    Parameters
    ----------
    estimator : estimator

    Raises
    ------
    ValueError
        If they contradict each other, or cannot be checked.
    """
    own = vars(estimator)
    if isinstance(estimator, _UNFITTED) and any(map(looks_learnt, own)):
        raise ValueError(
            f"{type(estimator).__name__} is supported unfitted only, because its "
            "compiled code does not check what a fit has learnt"
        )
    if isinstance(estimator, _TEXTS) and own.get("input") == "filename":
        raise ValueError("input='filename' would open files: set it after loading")
    if isinstance(estimator, BaseDecisionTree) and "tree_" in own:
        tree = own["tree_"]
        agrees = isinstance(tree, Tree) and tree.n_features == own.get("n_features_in_")
        _require(agrees and tree.n_outputs == own.get("n_outputs_"), "tree_")
    elif isinstance(estimator, _FORESTS) and "estimators_" in own:
        trees = own["estimators_"]
        width = own.get("n_features_in_")
        _require(
            isinstance(trees, list)
            and all(
                isinstance(tree, BaseDecisionTree)
                and vars(tree).get("n_features_in_") == width
                and vars(tree).get("n_outputs_") == own.get("n_outputs_")
                and "tree_" in vars(tree)
                for tree in trees
            ),
            "estimators_",
        )
    elif isinstance(estimator, CountVectorizer) and "vocabulary_" in own:
        words = own["vocabulary_"]
        _require(
            isinstance(words, dict)
            and all(isinstance(place, int | np.integer) for place in words.values())
            and sorted(words.values()) == list(range(len(words))),
            "vocabulary_",
        )
    elif isinstance(estimator, OneHotEncoder) and "categories_" in own:
        sizes = [len(values) for values in own["categories_"]]
        has_all = own.get("drop_idx_") is None and own.get("drop") is None
        has_all &= own.get("_infrequent_enabled") is False
        if not has_all:
            raise ValueError(
                "OneHotEncoder with drop, min_frequency or max_categories is not "
                "supported"
            )
        _require(own.get("_n_features_outs") == sizes, "categories_")


def check_bools(array: np.ndarray) -> None:
    """Check that each byte of an array of bools is 0 or 1, as numpy assumes.

    Parameters
    ----------
    array : ndarray, dtype bool

    Raises
    ------
    ValueError
        If a byte has another value.
    """
    valid = not array.size or array.view(np.uint8).max() <= 1
    if not valid:
        raise ValueError("a byte of a bool array is neither 0 nor 1")


def make_tree(
    n_features: int,
    n_classes: np.ndarray,
    n_outputs: int,
    max_depth: int,
    fields: dict[str, np.ndarray],
    values: np.ndarray,
) -> Tree:
    """Return scikit-learn's tree, after a check of all indices in its nodes.

    Parameters
    ----------
    n_features, n_outputs, max_depth : int
    n_classes : ndarray of shape (n_outputs,)
    fields : dict of str to ndarray of shape (n_nodes,)
        The fields of the nodes by name.
    values : ndarray of shape (n_nodes, n_outputs, max(n_classes))

    Raises
    ------
    ValueError
        If the arrays do not form a valid tree.
    """
    sizes = [n_features, n_outputs, max_depth]
    _require(all(type(size) is int for size in sizes), "tree's sizes")
    _require(set(fields) == set(NODE_DTYPE.names), "tree's fields")
    n_nodes = len(values)
    nodes = np.zeros(n_nodes, NODE_DTYPE)
    for name, column in fields.items():
        fits = column.shape == (n_nodes,) and column.dtype == NODE_DTYPE[name]
        _require(fits, f"tree's {name}")
        nodes[name] = column
    _require(
        n_classes.dtype == np.int64
        and n_classes.shape == (n_outputs,)
        and n_outputs > 0
        and bool((n_classes > 0).all())
        and values.dtype == np.float64
        and values.shape == (n_nodes, n_outputs, n_classes.max()),
        "tree's values",
    )
    _require(n_nodes > 0 and 0 < n_features < 2**31, "tree's sizes")
    depth = _depth(nodes, n_features)
    _require(depth <= max_depth <= n_nodes, "tree's max_depth")
    tree = Tree(n_features, n_classes.astype(np.intp), n_outputs)
    state = {"max_depth": max_depth, "node_count": n_nodes}
    tree.__setstate__({**state, "nodes": nodes, "values": np.ascontiguousarray(values)})
    return tree


def _depth(nodes: np.ndarray, n_features: int) -> int:
    """Return the depth; each child must come after its parent."""
    left, right, feature = (
        nodes[name].tolist() for name in ("left_child", "right_child", "feature")
    )
    n_nodes = len(left)
    depth = [0] * n_nodes
    for node in range(n_nodes):
        if left[node] == _LEAF:
            continue
        for child in (left[node], right[node]):
            _require(node < child < n_nodes, "tree's children")
            depth[child] = max(depth[child], depth[node] + 1)
        _require(0 <= feature[node] < n_features, "tree's feature")
    return max(depth)


def _require(holds: Any, name: str) -> None:
    if not holds:
        raise ValueError(f"{name} is inconsistent with the other attributes")
