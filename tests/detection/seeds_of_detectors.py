"""What detectors hand on to what they fit."""

import numpy as np


def seed_of(random_state):
    """Return the seed that a detector with an int hands on."""
    drawn = np.random.RandomState(random_state).randint(np.iinfo(np.int32).max)
    return int(np.random.default_rng(drawn).integers(2**31))
