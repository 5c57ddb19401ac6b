import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from sknoisy.command_line._columns import to_numbers
from sknoisy.command_line._errors import CommandError

N = 60
RNG = np.random.default_rng(0)
NUMBERS = np.round(RNG.normal(50, 7, size=N), 3)


def only(values, **options):
    """Read one column beside one of numbers; return its kind and its features."""
    frame = pd.DataFrame({"anchor": NUMBERS, "it": values})
    before = frame.copy(deep=True)
    table = to_numbers(frame, **options)
    pd.testing.assert_frame_equal(frame, before)
    kinds = [kind for kind, names in table.kinds.items() if "it" in names]
    kind = kinds[0] if kinds else table.dropped["it"]
    is_number = kind in ("numeric", "date")
    part = table.values[:, 1:] if not is_number else np.delete(table.values, 0, axis=1)
    return kind, part


def test_numbers_are_standardised():
    kind, features = only(NUMBERS**2)
    assert kind == "numeric"
    expected = (NUMBERS**2 - (NUMBERS**2).mean()) / (NUMBERS**2).std()
    np.testing.assert_allclose(features[:, 0], expected, rtol=1e-4, atol=1e-5)
    assert features.dtype == np.float32


@pytest.mark.parametrize("gap", [np.nan, np.inf, -np.inf])
def test_missing_numbers_become_the_median_with_a_flag(gap):
    values = NUMBERS.copy()
    values[[3, 8]] = gap
    kind, features = only(values)
    assert kind == "numeric"
    assert features.shape == (N, 2)
    filled = np.where(np.isfinite(values), values, np.median(np.delete(values, [3, 8])))
    expected = (filled - filled.mean()) / filled.std()
    np.testing.assert_allclose(features[:, 0], expected, rtol=1e-4, atol=1e-5)
    assert np.flatnonzero(features[:, 1] > 0).tolist() == [3, 8]


def test_huge_numbers_stay_finite():
    kind, features = only(np.where(np.arange(N) < 5, 1.7e308, NUMBERS))
    assert kind == "numeric"
    assert np.isfinite(features).all()
    assert np.flatnonzero(features[:, 0] > 1).tolist() == [0, 1, 2, 3, 4]


def test_few_texts_make_few_features():
    words = np.array([f"w{i}" for i in range(500)])
    frame = pd.DataFrame({"it": [" ".join(RNG.choice(words, 30)) for _ in range(12)]})
    assert to_numbers(frame, random_state=0).values.shape == (12, 12)


def test_few_values_are_one_column_each_and_one_for_missing():
    values = np.array(["red", "green", None], dtype=object)[np.arange(N) % 3]
    kind, features = only(values)
    assert kind == "categorical"
    expected = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]])[np.arange(N) % 3]
    assert features.tolist() == expected.tolist()


@pytest.mark.parametrize(
    "values",
    [
        pd.Categorical(["a", "b"] * (N // 2)),
        np.array([True, "no"] * (N // 2), dtype=object),
        pd.array([True, None] * (N // 2), dtype="boolean").astype(object),
    ],
)
def test_categories_of_any_type_are_taken(values):
    kind, features = only(values)
    assert kind == "categorical"
    assert features.shape == (N, 2)


def test_long_texts_become_features_that_tell_their_subject():
    subject = np.arange(N) % 2
    words = np.array([f"word{i}" for i in range(400)])
    texts = [" ".join([["sea", "hill"][s], *RNG.choice(words, 12)]) for s in subject]
    kind, features = only(texts, random_state=0)
    assert kind == "text"
    assert features.shape[1] <= 100
    np.testing.assert_allclose(features.std(), 1, rtol=1e-5)
    assert LogisticRegression().fit(features, subject).score(features, subject) > 0.9
    again = only(texts, random_state=0)[1]
    assert (again == features).all()


def test_a_text_of_few_words_keeps_each_of_them():
    values = [
        " ".join(["a", "b", "c", "d"][i % 4 :]) + " !" * (i + 1) for i in range(N)
    ]
    kind, features = only(values)
    assert kind == "text"
    assert features.shape == (N, 5)


def test_a_column_can_be_forced_to_be_text():
    values = np.array(["red", "dark red", None], dtype=object)[np.arange(N) % 3]
    kind, features = only(values, text=["it"])
    assert kind == "text"
    assert features.shape == (N, 2)
    assert not features[2].any()


def test_many_categories_are_text():
    kind, _ = only([f"code{i % 30}" for i in range(N)])
    assert kind == "categorical"
    frame = pd.DataFrame({"it": [f"code{i % 41}" for i in range(200)]})
    assert to_numbers(frame).kinds["text"] == ["it"]


@pytest.mark.parametrize(
    "form", ["%Y-%m-%d", "%Y-%m-%d %H:%M", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "date"]
)
def test_dates_become_days(form):
    days = RNG.permutation(N) * 11
    dates = pd.Series(pd.Timestamp("2023-01-31") + pd.to_timedelta(days, "D"))
    kind, features = only(dates if form == "date" else dates.dt.strftime(form))
    assert kind == "date"
    expected = (days - days.mean()) / days.std()
    np.testing.assert_allclose(features[:, 0], expected, rtol=1e-4, atol=1e-5)


def test_missing_dates_and_durations_are_taken():
    days = pd.Series(pd.to_timedelta(RNG.permutation(N) * 11, "D"))
    assert only(days)[0] == "date"
    dates = (pd.Timestamp("2023-01-31", tz="Asia/Tokyo") + days).where(days.index > 4)
    kind, features = only(dates)
    assert kind == "date"
    assert np.flatnonzero(features[:, 1] > 0).tolist() == [0, 1, 2, 3, 4]
    kind, strings = only(dates.dt.strftime("%d.%m.%Y"))
    assert kind == "date"
    np.testing.assert_allclose(strings, features, rtol=1e-2, atol=1e-2)


def test_numbers_that_are_stored_as_strings_are_numbers():
    values = NUMBERS.astype(str).astype(object)
    values[0] = None
    kind, features = only(values)
    assert kind == "numeric"
    assert features.shape == (N, 2)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.ones(N), "has a single value"),
        (["x"] * N, "has a single value"),
        ([None] * N, "has a single value"),
        (np.full(N, np.nan), "has a single value"),
        (["2024-01-01"] * N, "has a single value"),
        (np.arange(N) + 5, "numbers the rows"),
        ([f"{i}" for i in range(N)], "numbers the rows"),
        ([f"u{i * 7919}" for i in range(N)], "names the rows"),
    ],
)
def test_columns_that_tell_nothing_are_dropped_with_a_reason(values, reason):
    assert only(values)[0] == reason


@pytest.mark.parametrize("name", ["id", "ID", "user_id", "sample id", "Index"])
def test_distinct_whole_numbers_that_are_called_an_id_are_dropped(name):
    ids = RNG.permutation(N) * 3
    frame = pd.DataFrame({name: ids, "humid": ids, "x": NUMBERS})
    table = to_numbers(frame)
    assert table.dropped == {name: "names the rows"}
    assert table.kinds["numeric"] == ["humid", "x"]
    assert to_numbers(frame.assign(**{name: ids // 6})).dropped == {}


def test_one_value_and_gaps_are_two_values():
    kind, features = only(["x", None] * (N // 2))
    assert (kind, features.shape) == ("categorical", (N, 2))


def test_the_order_of_the_index_does_not_matter():
    dates = pd.Series(pd.date_range("2024", periods=N))
    cells = {"x": NUMBERS, "d": dates, "e": dates.dt.strftime("%d.%m.%Y")}
    frame = pd.DataFrame(
        {**cells, "s": NUMBERS.astype(str), "c": ["a", "b"] * (N // 2)}
    )
    shuffled = frame.set_axis(RNG.permutation(N))
    assert (to_numbers(shuffled).values == to_numbers(frame).values).all()


def test_a_table_without_useful_columns_is_refused():
    with pytest.raises(CommandError, match="no column is left"):
        to_numbers(pd.DataFrame({"x": np.ones(N)}))
    with pytest.raises(CommandError, match="no column is left"):
        to_numbers(pd.DataFrame(index=range(N)))


def test_cells_with_several_values_are_refused():
    with pytest.raises(CommandError, match=r"'it' holds several values a cell \(list"):
        only([[1, 2]] * N)


def test_a_text_without_words_is_refused():
    with pytest.raises(CommandError, match="column 'it' has no words"):
        only(["  ", " "] * (N // 2), text=["it"])
