"""Random states: generators from ``random_state``, and seeds for parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils import check_random_state

if TYPE_CHECKING:
    from sknoisy._types import Estimator, RandomState

__all__ = ["random_generator", "set_random_states"]


def random_generator(random_state: RandomState) -> np.random.Generator:
    """Return a new numpy Generator; global generators are not used.

    Parameters
    ----------
    random_state : int, RandomState instance or None
        The same int gives the same stream. One number is drawn from a RandomState
        instance. None uses fresh entropy from the operating system, not from
        ``np.random``.

    Returns
    -------
    generator : numpy.random.Generator
        The new generator.
    """
    if random_state is None:
        return np.random.default_rng()
    seed = check_random_state(random_state).randint(np.iinfo(np.int32).max)
    return np.random.default_rng(seed)


def set_random_states(estimator: Estimator, seed: int) -> None:
    """Set each ``random_state`` of an estimator and its parts that is None.

    Otherwise they would draw from numpy's global generator.

    Parameters
    ----------
    estimator : estimator
        Changed in place: pass a clone.
    seed : int
        The new ``random_state``.
    """
    for name, value in sorted(estimator.get_params().items()):
        if value is None and name.split("__")[-1] == "random_state":
            estimator.set_params(**{name: seed})
