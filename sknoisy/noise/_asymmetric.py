"""The injector whose wrong labels of a class all go to one other class."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from sklearn.base import BaseEstimator

from sknoisy._validation import Interval, StrOptions
from sknoisy.noise._class_conditional import _AnyRowsMixin, _select_rows

if TYPE_CHECKING:
    from sknoisy._types import RandomState

__all__ = ["AsymmetricNoiseInjector"]

# Class positions. Sorted by name, the classes of CIFAR-10 and of CIFAR-100 stand in
# the order of their numbers, so names serve as well as numbers.
_CIFAR10 = {9: 1, 2: 0, 4: 7, 3: 5, 5: 3}
_MNIST = {7: 1, 2: 7, 5: 6, 6: 5, 3: 8}
# The superclass of each of the 100 fine classes of CIFAR-100, as its files state it.
# fmt: off
_CIFAR100_SUPERCLASS = np.array([
    4, 1, 14, 8, 0, 6, 7, 7, 18, 3, 3, 14, 9, 18, 7, 11, 3, 9, 7, 11,
    6, 11, 5, 10, 7, 6, 13, 15, 3, 15, 0, 11, 1, 10, 12, 14, 16, 9, 11, 5,
    5, 19, 8, 8, 15, 13, 14, 17, 18, 10, 16, 4, 17, 4, 2, 0, 17, 4, 18, 17,
    10, 3, 2, 12, 12, 16, 12, 1, 9, 19, 2, 10, 0, 1, 16, 12, 9, 13, 15, 13,
    16, 19, 2, 4, 6, 19, 5, 5, 8, 19, 18, 1, 2, 15, 6, 0, 17, 8, 14, 13,
])
# fmt: on
_N_CLASSES = {"cifar10": 10, "mnist": 10, "cifar100": 100}


class AsymmetricNoiseInjector(_AnyRowsMixin, BaseEstimator):
    """Asymmetric label noise: the wrong labels of a class all go to one other class.

    For example, some dogs are labelled as cats, but none as trucks. X is only counted:
    it may be a table with strings or missing values, sparse, images, a list of texts,
    or None.

    Parameters
    ----------
    noise_rate : float in [0, 1], default=0.4
        Share of rows that the mapping is applied to. From 0.5 on, the wrong label is
        more likely than the right one. Rows of a class without a partner keep their
        label, so the share of wrong labels is smaller if there are such classes: half
        of ``noise_rate`` for "cifar10" and "mnist" with classes of equal size.
    mapping : dict or str, default="pair_flip"
        Which label becomes which.

        - dict ``{label: wrong label}`` in the labels of y. A label without an entry
          stays; a label that is mapped to itself is refused.
        - "pair_flip": each class becomes the next one, the last the first, as in [2]_.
        - "random_partner": each class becomes one other class, drawn in ``fit``. Two
          classes may have the same partner. ``mapping_`` contains the result.
        - "cifar10": truck to automobile, bird to airplane, deer to horse, cat to dog
          and dog to cat, as in [1]_. In class positions 9 to 1, 2 to 0, 4 to 7, 3 to 5
          and 5 to 3.
        - "mnist": 7 to 1, 2 to 7, 5 to 6, 6 to 5 and 3 to 8, as in [1]_.
        - "cifar100": each class becomes the next one of its block of five, the last
          the first. ``blocks`` says which five.

        The last three are in class positions, that is places in ``classes_``. They need
        10, 10 and 100 classes in y.
    blocks : {"contiguous", "superclass"}, default="contiguous"
        What a block is; used only by "cifar100".

        - "contiguous": classes 0 to 4, 5 to 9 and so on. Published results use
          these. Classes are in alphabetical order, so a block holds unrelated classes.
        - "superclass": the five classes of a superclass of CIFAR-100.
    selection : {"bernoulli", "exact", "exact_per_class"}, default="bernoulli"
        Which rows the mapping is applied to.

        - "bernoulli": each row independently, with probability ``noise_rate``.
        - "exact": ``floor(noise_rate * n_samples)`` rows.
        - "exact_per_class": ``ceil(noise_rate * n_rows)`` rows of each class.
    random_state : int, RandomState instance or None, default=None
        The same int gives the same labels for the same y.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The sorted labels given to ``fit``.
    mapping_ : dict
        ``{label: wrong label}`` in the labels of y; classes that keep their label have
        no entry.
    transition_matrix_ : ndarray of shape (n_classes, n_classes)
        The matrix of ``noise_rate`` and ``mapping_``: rows = true class.
    noise_mask_ : ndarray of shape (n_samples,), dtype bool
        True where ``fit_resample`` changed the label.
    noise_rate_ : float
        Share of labels that ``fit_resample`` changed.
    n_features_in_ : int
        Number of features, if X has them.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if X has names that are all strings.

    See Also
    --------
    TransitionNoiseInjector : Noise with your own transition matrix.
    SymmetricNoiseInjector : The same noise for all classes.
    MarginNoiseInjector : The wrong label depends on the row.

    References
    ----------
    .. [1] G. Patrini, A. Rozza, A. K. Menon, R. Nock, L. Qu, "Making deep neural
       networks robust to label noise: a loss correction approach", CVPR 2017.
       arXiv:1609.03683
    .. [2] B. Han, Q. Yao, X. Yu, G. Niu, M. Xu, W. Hu, I. Tsang, M. Sugiyama,
       "Co-teaching: Robust training of deep neural networks with extremely noisy
       labels", NeurIPS 2018. arXiv:1804.06872

    Examples
    --------
    >>> from sknoisy import AsymmetricNoiseInjector
    >>> y = ["cat", "dog", "emu"] * 100
    >>> injector = AsymmetricNoiseInjector(
    ...     0.3, mapping={"dog": "cat"}, selection="exact_per_class", random_state=0
    ... )
    >>> _, y_noisy = injector.fit_resample(None, y)
    >>> injector.noise_rate_
    0.1
    >>> injector.transition_matrix_
    array([[1. , 0. , 0. ],
           [0.3, 0.7, 0. ],
           [0. , 0. , 1. ]])
    """

    _parameter_constraints = {
        "noise_rate": [Interval(Real, 0, 1, closed="both")],
        "mapping": [
            dict,
            StrOptions({"pair_flip", "random_partner", "cifar10", "mnist", "cifar100"}),
        ],
        "blocks": [StrOptions({"contiguous", "superclass"})],
        "selection": [StrOptions({"bernoulli", "exact", "exact_per_class"})],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        noise_rate: float = 0.4,
        *,
        mapping: dict[Any, Any] | str = "pair_flip",
        blocks: Literal["contiguous", "superclass"] = "contiguous",
        selection: Literal["bernoulli", "exact", "exact_per_class"] = "bernoulli",
        random_state: RandomState = None,
    ) -> None:
        self.noise_rate = noise_rate
        self.mapping = mapping
        self.blocks = blocks
        self.selection = selection
        self.random_state = random_state

    def _fit_model(self, X):
        labels = self.classes_.tolist()
        n_classes = len(labels)
        if isinstance(self.mapping, dict):
            partners = _partners_of_labels(self.mapping, labels)
        else:
            rng = self._generator()
            partners = _named_partners(self.mapping, self.blocks, n_classes, rng)
        self.mapping_ = {labels[a]: labels[b] for a, b in enumerate(partners) if a != b}
        stay = np.eye(n_classes)
        move = stay[partners]
        self.transition_matrix_ = stay + self.noise_rate * (move - stay)
        self._partners = partners

    def _draw(self, X, codes):
        rng = self._generator(codes)
        n_classes = len(self.classes_)
        rows = _select_rows(codes, n_classes, self.noise_rate, self.selection, rng)
        noisy = codes.copy()
        noisy[rows] = self._partners[codes[rows]]
        return noisy


def _partners_of_labels(mapping, labels):
    """Return the wrong class of each class from a dict of labels."""
    if not mapping:
        raise ValueError("mapping is empty; give {label: wrong label}.")
    unknown = [v for v in [*mapping, *mapping.values()] if v not in labels]
    if unknown:
        raise ValueError(
            f"mapping names labels that y does not have: {unknown}; y has {labels}."
        )
    partners = np.arange(len(labels))
    for label, wrong_label in mapping.items():
        if label == wrong_label:
            raise ValueError(
                f"mapping sends {label!r} to itself; leave it out: labels without an "
                "entry stay as they are."
            )
        partners[labels.index(label)] = labels.index(wrong_label)
    return partners


def _named_partners(mapping, blocks, n_classes, rng):
    """Return the wrong class of each class for a named mapping."""
    if n_classes != _N_CLASSES.get(mapping, n_classes):
        raise ValueError(
            f"mapping={mapping!r} is for {_N_CLASSES[mapping]} classes, but y has "
            f"{n_classes}. Give a dict {{label: wrong label}} in the labels of y."
        )
    partners = np.arange(n_classes)
    if mapping == "pair_flip":
        return np.roll(partners, -1)
    if mapping == "random_partner":
        # A step of 1 to n_classes - 1 around the circle reaches every other class.
        return (partners + rng.integers(1, n_classes, size=n_classes)) % n_classes
    if mapping == "cifar100":
        is_true = blocks == "superclass"
        return _next_in_block(_CIFAR100_SUPERCLASS if is_true else partners // 5)
    known = _CIFAR10 if mapping == "cifar10" else _MNIST
    partners[list(known)] = list(known.values())
    return partners


def _next_in_block(block_of_class):
    """Return for each class the next one of its block, for the last one the first."""
    partners = np.empty(len(block_of_class), dtype=np.int64)
    for block in np.unique(block_of_class):
        members = np.flatnonzero(block_of_class == block)
        partners[members] = np.roll(members, -1)
    return partners
