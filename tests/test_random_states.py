import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import BaggingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier

from sknoisy._random_states import random_generator, set_random_states


class Estimator(BaseEstimator):
    def __init__(self, rate=0.5, other=None):
        self.rate = rate
        self.other = other


class TestRandomGenerator:
    def test_the_same_int_gives_the_same_stream(self):
        draws = [random_generator(seed).random() for seed in (0, 0, 1)]
        assert draws[0] == draws[1] != draws[2]

    def test_a_random_state_is_drawn_from_once(self):
        state, twin = np.random.RandomState(3), np.random.RandomState(3)
        first, second = random_generator(state), random_generator(state)
        assert first.random() != second.random()
        twin.randint(np.iinfo(np.int32).max, size=2)
        assert state.randint(10**6) == twin.randint(10**6)

    def test_none_differs_and_leaves_the_global_generator_alone(self):
        before = np.append(*np.random.get_state()[1:3])
        assert random_generator(None).random() != random_generator(None).random()
        np.testing.assert_array_equal(np.append(*np.random.get_state()[1:3]), before)

    def test_other_seeds_are_refused(self):
        with pytest.raises(ValueError, match="cannot be used to seed"):
            random_generator("today")


class TestSetRandomStates:
    def test_parts_without_a_seed_get_it(self):
        tree = DecisionTreeClassifier(random_state=5)
        pipe = make_pipeline(BaggingClassifier(tree), LogisticRegression())
        set_random_states(pipe, 7)
        assert pipe[0].random_state == pipe[1].random_state == 7
        assert pipe[0].estimator.random_state == 5

    @pytest.mark.parametrize("seed", [0, np.random.RandomState(1)], ids=type)
    def test_a_seed_that_is_set_stays(self, seed):
        estimator = clone(LogisticRegression(random_state=seed))
        kept = estimator.random_state
        set_random_states(estimator, 7)
        assert estimator.random_state is kept

    def test_no_other_parameter_changes(self):
        estimator = Estimator(other=None)
        set_random_states(estimator, 7)
        assert estimator.get_params() == {"rate": 0.5, "other": None}
