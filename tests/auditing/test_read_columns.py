import numpy as np
import pandas as pd
import pytest

from sknoisy._user_errors import UserError
from sknoisy.auditing._columns import read_columns

N = 60
RNG = np.random.default_rng(0)
NUMBERS = np.round(RNG.normal(50, 7, size=N), 3)


def only(values, **options):
    """Read one column beside one of numbers; return its kind and its cells."""
    frame = pd.DataFrame({"anchor": NUMBERS, "it": values})
    before = frame.copy(deep=True)
    table = read_columns(frame, **options)
    pd.testing.assert_frame_equal(frame, before)
    assert table.kinds["numeric"][0] == "anchor"
    kinds = [kind for kind, names in table.kinds.items() if "it" in names]
    if not kinds:
        return table.dropped["it"], None
    return kinds[0], table.frame["it"]


def features_of(frame, **options):
    return read_columns(frame, **options).to_numbers(random_state=0)


def test_the_columns_become_numbers_on_one_scale():
    words = np.array([f"w{i}" for i in range(50)])
    texts = [" ".join(RNG.choice(words, 9)) for _ in range(N)]
    frame = pd.DataFrame({"x": NUMBERS**2, "text": texts})
    features = features_of(frame)
    assert features.shape == (N, 31) and features.dtype == np.float32
    expected = (NUMBERS**2 - (NUMBERS**2).mean()) / (NUMBERS**2).std()
    np.testing.assert_allclose(features[:, 0], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(features[:, 1:].std(), 1, rtol=1e-5)
    assert (features_of(frame) == features).all()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["red", None] * (N // 2), ["red", None]),
        (pd.Categorical(["a", "b"] * (N // 2)), ["a", "b"]),
        (np.array([True, "no"] * (N // 2), dtype=object), ["True", "no"]),
        (np.array([True, None] * (N // 2), dtype=object), ["True", None]),
        ([f"code{i % 30}" for i in range(N)], ["code0", "code1"]),
    ],
)
def test_few_values_are_categories(values, expected):
    kind, cells = only(values)
    assert kind == "categorical"
    cells = cells[:2].astype(object)
    assert cells.where(cells.notna(), None).tolist() == expected


def test_other_strings_are_texts():
    frame = pd.DataFrame({"it": [f"code{i % 41}" for i in range(200)]})
    assert read_columns(frame).kinds["text"] == ["it"]


def test_a_column_can_be_forced_to_be_text():
    frame = pd.DataFrame({"it": ["red", "dark red", None] * (N // 3), "x": NUMBERS})
    table = read_columns(frame, text=["it"])
    assert (table.kinds["text"], table.text) == (["it"], ["it"])
    features = table.to_numbers(random_state=0)
    assert not features[2, 1:].any() and features[:2, 1:].any(axis=1).all()
    kind, cells = only(np.arange(N), text=["it"])
    assert kind == "text" and cells[11] == "11"
    assert only([f"u{i}" for i in range(N)], text=["it"])[0] == "text"
    assert only(["  ", " "] * (N // 2), text=["it"])[0] == "is blank"


@pytest.mark.parametrize(
    "form", ["%Y-%m-%d", "%Y-%m-%d %H:%M", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "date"]
)
def test_dates_become_days(form):
    days = RNG.permutation(N) * 11
    dates = pd.Series(pd.Timestamp("2023-01-31") + pd.to_timedelta(days, "D"))
    kind, cells = only(dates if form == "date" else dates.dt.strftime(form))
    assert kind == "date"
    assert (cells == dates).all()
    features = features_of(cells.to_frame())
    expected = (days - days.mean()) / days.std()
    np.testing.assert_allclose(features[:, 0], expected, rtol=1e-4, atol=1e-5)


def test_missing_dates_and_durations_are_taken():
    days = pd.Series(pd.to_timedelta(RNG.permutation(N) * 11, "D"))
    assert only(days)[0] == "date"
    dates = (pd.Timestamp("2023-01-31", tz="Asia/Tokyo") + days).where(days.index > 4)
    for column in (dates, dates.dt.strftime("%d.%m.%Y")):
        kind, cells = only(column)
        assert kind == "date"
        assert np.flatnonzero(cells.isna()).tolist() == [0, 1, 2, 3, 4]


def test_numbers_that_are_stored_as_strings_are_numbers():
    values = NUMBERS.astype(str).astype(object)
    values[0] = None
    kind, cells = only(values)
    assert kind == "numeric"
    np.testing.assert_array_equal(cells, [np.nan, *NUMBERS[1:]])


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.ones(N), "has a single value"),
        (["x"] * N, "has a single value"),
        ([None] * N, "has a single value"),
        (["2024-01-01"] * N, "has a single value"),
        ([" " * i for i in range(N)], "is blank"),
        ([f"{i}" for i in range(N)], "numbers the rows"),
        ([f"u{i * 7919}" for i in range(N)], "names the rows"),
    ],
)
def test_columns_that_tell_nothing_are_dropped_with_a_reason(values, reason):
    assert only(values)[0] == reason


def test_distinct_whole_numbers_that_are_called_an_id_are_dropped():
    ids = (RNG.permutation(N) * 3).astype(str)
    frame = pd.DataFrame({"user id": ids, "humid": ids, "x": NUMBERS})
    table = read_columns(frame)
    assert table.dropped == {"user id": "names the rows"}
    assert table.frame.columns.tolist() == table.kinds["numeric"] == ["humid", "x"]


def test_the_order_of_the_index_does_not_matter():
    dates = pd.Series(pd.date_range("2024", periods=N))
    cells = {"x": NUMBERS, "d": dates, "e": dates.dt.strftime("%d.%m.%Y")}
    frame = pd.DataFrame(
        {**cells, "s": NUMBERS.astype(str), "c": ["a", "b"] * (N // 2)}
    )
    shuffled = frame.set_axis(RNG.permutation(N))
    assert (features_of(shuffled) == features_of(frame)).all()


def test_a_table_without_useful_columns_is_refused():
    with pytest.raises(UserError, match=r"no column is left to .* single value"):
        read_columns(pd.DataFrame({"x": np.ones(N)}))
    with pytest.raises(UserError, match="no column is left"):
        read_columns(pd.DataFrame(index=range(N)))


def test_cells_with_several_values_are_refused():
    with pytest.raises(UserError, match=r"'it' holds several values a cell \(list"):
        only([[1, 2]] * N)


def test_a_frame_keeps_its_columns_but_those_that_are_forced_to_be_text():
    texts = [f"the comment {chr(97 + i % 26)} of {i}" for i in range(N)]
    frame = pd.DataFrame(
        {"x": NUMBERS, "long": texts, "colour": ["red", "dark red", None] * (N // 3)}
    )
    table = read_columns(frame, text=["long"])
    assert table.to_frame(random_state=0) is table.frame
    assert table.frame.columns.tolist() == ["x", "long", "colour"]
    table = read_columns(frame, text=["long", "colour"])
    features = table.to_frame(random_state=0)
    assert features.columns[:2].tolist() == ["x", "long"]
    given = features.filter(like="text of colour").to_numpy()
    np.testing.assert_array_equal(
        given, features_of(frame[["colour"]], text=["colour"])
    )
