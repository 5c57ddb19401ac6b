from numbers import Real

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from scipy.sparse import csr_array, csr_matrix
from sklearn import config_context
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import BaggingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier

from sknoisy._validation import (
    Interval,
    check_classes,
    check_parameters,
    check_rows,
    check_rows_and_labels,
    check_weights,
    encode_labels,
    random_generator,
    refuse_dates,
    set_random_states,
)


class Estimator(BaseEstimator):
    _parameter_constraints = {"rate": [Interval(Real, 0, 1, closed="left")]}

    def __init__(self, rate=0.5, other=None):
        self.rate = rate
        self.other = other


@pytest.fixture
def X():
    return np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)


class TestParameters:
    def test_own_parameters_are_checked_and_named(self):
        check_parameters(Estimator(0.3, other=object()))
        message = r"'rate' parameter of Estimator .* \[0.0, 1.0\). Got 1.2"
        with pytest.raises(ValueError, match=message):
            check_parameters(Estimator(1.2))


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


class TestRows:
    @pytest.mark.parametrize(
        "dtype", [np.float64, np.float16, np.int64, np.uint8, np.bool_]
    )
    def test_numbers_become_float32(self, dtype):
        given = np.array([[0, 1], [1, 0]], dtype)
        checked = check_rows(Estimator(), given, reset=True)
        assert checked.dtype == np.float32
        np.testing.assert_array_equal(checked, given)

    def test_lists_and_frames(self, X):
        frames = X.tolist(), pd.DataFrame(X), pl.DataFrame(X), torch.from_numpy(X)
        for given in frames:
            checked = check_rows(Estimator(), given, reset=True)
            assert isinstance(checked, np.ndarray) and checked.dtype == np.float32
            np.testing.assert_array_equal(checked, X)

    def test_float32_is_not_copied(self, X):
        assert np.shares_memory(check_rows(Estimator(), X, reset=True), X)

    @pytest.mark.parametrize("convert", [np.asarray, torch.from_numpy])
    def test_uint8_images_stay_uint8(self, convert):
        images = np.arange(2 * 3 * 2 * 2, dtype=np.uint8).reshape(2, 3, 2, 2)
        checked = check_rows(Estimator(), convert(images), reset=True)
        assert checked.dtype == np.uint8
        np.testing.assert_array_equal(checked, images)

    def test_features_are_remembered_and_held_against(self, X):
        estimator = Estimator()
        table = pd.DataFrame(X, columns=["a", "b", "c"])
        check_rows(estimator, table, reset=True)
        assert estimator.n_features_in_ == 3
        assert estimator.feature_names_in_.tolist() == ["a", "b", "c"]
        check_rows(estimator, table)
        with pytest.raises(ValueError, match="feature names should match"):
            check_rows(estimator, table.rename(columns={"b": "z"}))

    def test_the_number_of_features_is_held_against_fit(self, X):
        estimator = Estimator()
        check_rows(estimator, X, reset=True)
        with pytest.raises(ValueError, match=r"2 features, but .* expecting 3"):
            check_rows(estimator, X[:, :2])

    @pytest.mark.parametrize("channels", [1, 3, 4])
    def test_channels_last_is_refused_with_the_transpose(self, channels):
        images = np.zeros((5, 8, 8, channels), np.uint8)
        message = rf"shape \(5, 8, 8, {channels}\); pass X.transpose\(0, 3, 1, 2\)"
        with pytest.raises(ValueError, match=message):
            check_rows(Estimator(), images, reset=True)
        moved = images.transpose(0, 3, 1, 2)
        assert check_rows(Estimator(), moved, reset=True).shape[1] == channels
        small = np.zeros((5, 3, 4, 4))
        assert check_rows(Estimator(), small, reset=True).shape == (5, 3, 4, 4)

    @pytest.mark.parametrize("sparse", [csr_array, csr_matrix])
    def test_sparse_rows_are_refused_with_advice(self, X, sparse):
        message = r"Sparse data .* X\.toarray.*TruncatedSVD"
        with pytest.raises(TypeError, match=message):
            check_rows(Estimator(), sparse(X), reset=True)

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("order", ["C", "F"])
    def test_rows_must_be_finite(self, X, bad, dtype, order):
        X = np.array(X, dtype=dtype, order=order)
        X[4, 1] = bad
        with pytest.raises(ValueError, match="NaN" if np.isnan(bad) else "infinity"):
            check_rows(Estimator(), X, reset=True)

    @pytest.mark.parametrize("value", [3e38, -3e38, 1e25, 1e-45])
    def test_large_finite_float32_is_taken(self, X, value):
        # The square overflows or vanishes; the value itself is fine.
        X[2, 2] = value
        np.testing.assert_array_equal(check_rows(Estimator(), X, reset=True), X)

    @pytest.mark.filterwarnings("ignore:overflow encountered in cast")
    def test_what_float32_cannot_hold_is_refused(self, X):
        X = X.astype(np.float64)
        X[2, 2] = 1e40
        with pytest.raises(ValueError, match="infinity or a value too large"):
            check_rows(Estimator(), X, reset=True)

    def test_assume_finite_is_respected(self, X):
        X[0, 0] = np.nan
        with config_context(assume_finite=True):
            check_rows(Estimator(), X, reset=True)

    def test_too_few_rows(self, X):
        with pytest.raises(ValueError, match=r"1 sample\(s\).* minimum of 4"):
            check_rows(Estimator(), X[:1], reset=True, min_samples=4)

    def test_one_dimension_is_refused(self, X):
        with pytest.raises(ValueError, match="Expected 2D array, got 1D array"):
            check_rows(Estimator(), X[:, 0], reset=True)


DAYS = pd.date_range("2020-01-01", periods=4)
DATES = {
    "numpy": DAYS.to_numpy()[:, None],
    "numpy spans": (DAYS - DAYS[0]).to_numpy()[:, None],
    "objects": DAYS.to_numpy().astype("M8[D]").astype(object)[:, None],
    "lists": [[day] for day in DAYS.to_pydatetime()],
    "pandas": pd.DataFrame({"n": 1.0, "day": DAYS}),
    "pandas, a time zone": pd.DataFrame({"day": DAYS.tz_localize("UTC")}),
    "pandas, spans": pd.DataFrame({"day": DAYS - DAYS[0]}),
    "pandas, periods": pd.DataFrame({"day": DAYS.to_period("D")}),
    "pandas, objects": pd.DataFrame({"n": 1.0, "day": DAYS.astype(object)}),
    "pandas, categories": pd.DataFrame({"day": pd.Categorical(DAYS)}),
    "pandas, arrow": pd.DataFrame({"day": DAYS}, dtype="timestamp[s][pyarrow]"),
    "polars": pl.DataFrame({"n": [1.0] * 4, "day": DAYS.to_pydatetime()}),
    "polars, days": pl.DataFrame({"day": [day.date() for day in DAYS]}),
    "polars, spans": pl.DataFrame({"day": list((DAYS - DAYS[0]).to_pytimedelta())}),
}


class TestDates:
    @pytest.mark.parametrize("X", DATES.values(), ids=DATES.keys())
    def test_they_are_refused_by_name(self, X):
        place = " in column 'day'" if hasattr(X, "columns") else ""
        message = rf"X has dates or times{place} \(\w.*TableVectorizer"
        with pytest.raises(TypeError, match=message):
            check_rows(Estimator(), X, reset=True)

    @pytest.mark.parametrize(
        "X",
        [
            pd.DataFrame(
                {"date": [1.0], "text": ["time"], "kind": pd.Categorical([1])}
            ),
            pl.DataFrame({"date": [1.0], "text": ["time"]}),
            np.array([["date", 1]], dtype=object),
            [["time"]],
            [],
            pd.DataFrame(),
            np.zeros((0, 2), dtype=object),
            csr_array(np.eye(2)),
            torch.zeros(2),
        ],
    )
    def test_nothing_else_is(self, X):
        refuse_dates(X)


class TestRowsAndLabels:
    def test_rows_classes_and_codes(self, X):
        y = ["b", "a", "b", "c", "a", "a"]
        rows, classes, codes = check_rows_and_labels(Estimator(), X, y)
        np.testing.assert_array_equal(rows, X)
        assert classes.tolist() == ["a", "b", "c"]
        assert codes.tolist() == [1, 0, 1, 2, 0, 0] and codes.dtype == np.int64

    @pytest.mark.parametrize("declared", [[0, 1, 2, 3], [3, 2, 1, 0, 1], [-5, 0, 2]])
    def test_declared_classes_may_be_absent(self, X, declared):
        y = [0, 2, 0, 2, 2, 0]
        _, classes, codes = check_rows_and_labels(Estimator(), X, y, classes=declared)
        assert classes.tolist() == sorted(set(declared))
        assert classes[codes].tolist() == y

    def test_missing_y(self, X):
        with pytest.raises(ValueError, match=r"Estimator requires y .* is None"):
            check_rows_and_labels(Estimator(), X, None)

    @pytest.mark.parametrize("label", [3, "a"])
    def test_a_single_class(self, X, label):
        with pytest.raises(ValueError, match=f"one class only, .*{label}.* at least"):
            check_rows_and_labels(Estimator(), X, [label] * 6)

    def test_too_few_rows_of_a_class(self, X):
        y = [0, 0, 0, 0, 0, 1]
        check_rows_and_labels(Estimator(), X, y)
        message = r"class .*1.* has 1 row\(s\); Estimator needs at least 2 rows"
        with pytest.raises(ValueError, match=message):
            check_rows_and_labels(Estimator(), X, y, min_per_class=2)

    def test_lengths_must_agree(self, X):
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            check_rows_and_labels(Estimator(), X, [0, 1, 0])

    def test_too_few_rows(self, X):
        with pytest.raises(ValueError, match="minimum of 2"):
            check_rows_and_labels(Estimator(), X[:1], [0])


class TestClasses:
    def test_enough_of_each(self):
        classes = np.array(["a", "b", "c"])
        check_classes(Estimator(), classes, np.array([0, 0, 1, 1]), min_per_class=2)

    def test_a_single_class_and_none(self):
        with pytest.raises(ValueError, match="one class only, 'a'; Estimator needs"):
            check_classes(Estimator(), np.array(["a"]), np.zeros(3, dtype=int))
        with pytest.raises(ValueError, match="y is empty; Estimator needs at least"):
            check_classes(Estimator(), np.array([]), np.array([], dtype=int))

    def test_the_smallest_class_that_occurs_is_named(self):
        classes, codes = np.array([3, 5, 8]), np.array([2, 2, 0, 2, 0])
        message = r"class 3 has 2 row\(s\); Estimator needs at least 3 rows of every"
        with pytest.raises(ValueError, match=message):
            check_classes(Estimator(), classes, codes, min_per_class=3)


class TestLabels:
    @pytest.mark.parametrize(
        ("y", "classes"),
        [
            ([3, -1, 3, 7], [-1, 3, 7]),
            (["b", "a", "b", "a"], ["a", "b"]),
            ([True, False, True, True], [False, True]),
            ([2.0, 1.0, 2.0, 2.0], [1.0, 2.0]),
            (pd.Series(["b", "a", "b", "a"]), ["a", "b"]),
            (pd.Series(["b", "a", "b", "a"], dtype="category"), ["a", "b"]),
            (pd.Series([3, 1, 3, 1], dtype="Int64"), [1, 3]),
            (pl.Series(["b", "a", "b", "a"]), ["a", "b"]),
            (np.array(["b", "a", "b", "a"], dtype=object), ["a", "b"]),
        ],
        ids=str,
    )
    def test_round_trip(self, y, classes):
        found, codes = encode_labels(y)
        assert found.tolist() == classes
        assert codes.dtype == np.int64
        assert found[codes].tolist() == list(y)

    def test_known_classes_give_the_codes(self):
        classes, codes = encode_labels([7, 3, 7], np.array([1, 3, 5, 7]))
        assert codes.tolist() == [3, 1, 3] and classes.tolist() == [1, 3, 5, 7]

    def test_unknown_labels_are_named(self):
        message = r"not there before: \[4, 9\]; known are \[1, 3\]"
        with pytest.raises(ValueError, match=message):
            encode_labels([9, 3, 4, 9], np.array([1, 3]))

    @pytest.mark.parametrize(
        ("y", "message"),
        [
            ([0.5, 1.2, 0.1], "Unknown label type"),
            ([[0, 1], [1, 0], [1, 1]], "y should be a 1d array"),
            ([0.0, 1.0, np.nan], r"1 missing label\(s\) .* in row 2"),
            ([0.0, 1.0, np.inf], "Input y contains infinity"),
        ],
    )
    def test_labels_that_are_no_classes(self, y, message):
        with pytest.raises(ValueError, match=message):
            encode_labels(y)

    @pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
    def test_missing_labels_are_counted_and_located(self, missing):
        y = np.array(["a", missing, "b", missing], dtype=object)
        message = r"y has 2 missing label\(s\) .* the first in row 1; drop those"
        with pytest.raises(ValueError, match=message):
            encode_labels(y)

    def test_missing_labels_of_a_series(self):
        for y in (pd.Series(["a", None, "b"]), pl.Series(["a", None, "b"])):
            with pytest.raises(ValueError, match=r"1 missing label\(s\).* row 1"):
                encode_labels(y)


class TestWeights:
    def test_none_stays_none(self):
        assert check_weights(None, np.zeros(3)) is None

    @pytest.mark.parametrize(
        "weights", [[1, 0, 2], (1.0, 0.0, 2.0), np.array([1, 0, 2])]
    )
    def test_weights_become_float32(self, weights):
        checked = check_weights(weights, np.zeros(3))
        assert checked.dtype == np.float32 and checked.tolist() == [1, 0, 2]

    def test_the_dtype_may_be_asked_for(self):
        given = [1 / 3, 1e-60, 2]
        checked = check_weights(given, np.zeros(3), dtype=np.float64)
        assert checked.dtype == np.float64 and checked.tolist() == given

    def test_what_is_no_number_is_no_weight(self):
        for weights in (["heavy", 1, 2], [{}, 1, 2]):
            with pytest.raises(TypeError, match="sample_weight must be numbers, one f"):
                check_weights(weights, np.zeros(3))

    @pytest.mark.parametrize(
        ("weights", "message"),
        [
            ([1, -1, 2], "Negative values"),
            ([1, np.nan, 2], "contains NaN"),
            ([1, np.inf, 2], "infinity"),
            ([0, 0, 0], "at least one (positive|non-zero)"),
            ([1, 2], r"sample_weight.shape == \(2,\)"),
            ([[1, 2, 3]], "1D array or scalar"),
        ],
    )
    def test_bad_weights_are_refused(self, weights, message):
        with pytest.raises(ValueError, match=message):
            check_weights(weights, np.zeros(3))


def test_many_classes_are_no_doubt_where_they_are_known():
    # scikit-learn warns that a target with so many values may be a regression's.
    _, codes = encode_labels(np.arange(50), np.arange(60))
    assert codes.tolist() == list(range(50))
    with pytest.raises(ValueError, match=r"labels that were not there before: \[1.5"):
        encode_labels(np.array([0, 1.5]), np.arange(3))
