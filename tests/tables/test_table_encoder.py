import datetime
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.sparse import issparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from sknoisy._tables._encoder import TableEncoder

N = 90
RNG = np.random.default_rng(0)
NUMBERS = np.round(RNG.normal(50, 7, size=N), 3)
COLOURS = np.array(["red", "green", "blue"], dtype=object)[np.arange(N) % 3]
WORDS = np.array([f"word{i}" for i in range(60)])
SUBJECT = RNG.integers(2, size=N)
TEXTS = [" ".join([["sea", "hill"][s], *RNG.choice(WORDS, 8)]) for s in SUBJECT]
DAYS = RNG.permutation(N)
DATES = [datetime.datetime(1970, 1, 2) + datetime.timedelta(int(d)) for d in DAYS]
OUTPUTS = ("scaled", "sparse", "codes")


def columns(gap=True):
    """Cells of a table; with gaps, the first cell of each column is missing."""
    table = {"number": NUMBERS, "colour": COLOURS, "date": DATES, "text": TEXTS}
    table = {name: list(cells) for name, cells in table.items()}
    return {n: [None, *cells[1:]] if gap else cells for n, cells in table.items()}


def frame(gap=True):
    return pd.DataFrame(columns(gap))


def dense(features):
    return features.toarray() if issparse(features) else features


def encode(X, output="scaled", **options):
    features = TableEncoder(output=output, random_state=0, **options).fit_transform(X)
    return dense(features)


def standard(values):
    return (values - values.mean()) / values.std()


def test_numbers_are_standardised():
    features = encode(pd.DataFrame({"x": NUMBERS**2, "flag": NUMBERS > 50}))
    assert features.dtype == np.float32
    np.testing.assert_allclose(features[:, 0], standard(NUMBERS**2), rtol=1e-4)
    np.testing.assert_allclose(features[:, 1], standard(NUMBERS > 50), rtol=1e-4)


@pytest.mark.parametrize("gap", [np.nan, np.inf, -np.inf])
def test_missing_numbers_become_the_median_with_a_flag(gap):
    values = NUMBERS.copy()
    values[[3, 8]] = gap
    features = encode(pd.DataFrame({"x": values}))
    filled = np.where(np.isfinite(values), values, np.median(np.delete(values, [3, 8])))
    np.testing.assert_allclose(features[:, 0], standard(filled), rtol=1e-4, atol=1e-5)
    assert np.flatnonzero(features[:, 1] > 0).tolist() == [3, 8]
    codes = encode(pd.DataFrame({"x": values}), "codes")
    expected = np.where(np.isfinite(values), values, np.nan).astype(np.float32)
    np.testing.assert_array_equal(codes[:, 0], expected)


def test_huge_numbers_stay_finite():
    X = pd.DataFrame({"x": np.where(np.arange(N) < 5, 1.7e308, NUMBERS)})
    assert np.flatnonzero(encode(X)[:, 0] > 1).tolist() == [0, 1, 2, 3, 4]
    assert np.isfinite(encode(X)).all()
    codes = encode(X, "codes")
    assert np.isfinite(codes).all() and (codes[:5] > 1e38).all()


def test_dates_are_days():
    X = frame()[["date"]]
    expected = np.where(np.arange(N) == 0, np.nan, DAYS + 1.0)
    np.testing.assert_array_equal(encode(X, "codes")[:, 0], expected)
    np.testing.assert_array_equal(
        encode(X.assign(date=X["date"].dt.date), "codes")[:, 0], expected
    )
    spans = pd.DataFrame({"span": pd.to_timedelta(DAYS, "D")})
    np.testing.assert_array_equal(encode(spans, "codes")[:, 0], DAYS)


def test_times_of_other_zones_are_those_of_utc():
    tokyo = frame(gap=False)["date"].dt.tz_localize("Asia/Tokyo").to_frame()
    # Tokyo is nine hours ahead.
    for X in (tokyo, pl.from_pandas(tokyo)):
        features = encode(X, "codes")[:, 0]
        np.testing.assert_allclose(features, DAYS + 1 - 9 / 24, rtol=1e-6)


def test_categories_are_one_column_each_and_one_for_missing():
    encoder = TableEncoder().fit(frame()[["colour"]])
    features = encoder.transform(frame()[["colour"]])
    assert encoder.get_feature_names_out().tolist() == [
        "colour_blue",
        "colour_green",
        "colour_red",
        "colour_nan",
    ]
    expected = COLOURS[:, None] == np.array(["blue", "green", "red"])
    np.testing.assert_array_equal(features[1:, :3], expected[1:])
    assert features[0].tolist() == [0, 0, 0, 1]


def test_codes_of_categories_are_marked():
    encoder = TableEncoder(output="codes", n_text_features=3)
    features = encoder.fit_transform(frame())
    assert encoder.categorical_mask_.tolist() == [False] * 2 + [True] + [False] * 3
    expected = np.select([COLOURS == "blue", COLOURS == "green"], [0, 1], 2)
    np.testing.assert_array_equal(features[1:, 2], expected[1:])
    assert np.isnan(features[0, 2])
    assert not TableEncoder().fit(frame()).categorical_mask_.any()
    boosting = HistGradientBoostingClassifier(
        max_iter=2, categorical_features=encoder.categorical_mask_
    )
    boosting.fit(features, SUBJECT)


@pytest.mark.parametrize("output", OUTPUTS)
def test_what_was_not_in_fit(output):
    encoder = TableEncoder(output=output, random_state=0).fit(frame(gap=False))
    new = frame(gap=False).iloc[:2]
    new.loc[0] = [np.nan, "violet", pd.NaT, None]
    new.loc[1, "colour"] = None
    features = dense(encoder.transform(new))
    names = encoder.get_feature_names_out()
    is_colour = np.array([name.startswith("colour") for name in names])
    is_text = np.array([name.startswith("text") for name in names])
    assert np.count_nonzero(features[0, is_text]) == 0
    assert np.count_nonzero(features[1, is_text]) > 0
    if output == "codes":
        assert np.isnan(features[:, is_colour]).all()
        assert np.isnan(features[0, :2]).all()
    else:
        assert not features[:, is_colour].any()
        median = standard(NUMBERS)[np.argsort(NUMBERS)[[N // 2 - 1, N // 2]]].mean()
        np.testing.assert_allclose(features[0, 0], median, atol=1e-5)


def test_texts_share_one_scale():
    encoder = TableEncoder(random_state=0)
    features = encoder.fit_transform(frame()[["text"]])
    assert features.shape == (N, 30)
    np.testing.assert_allclose(features.std(), 1, rtol=1e-5)
    # All are divided by one number, so that the weakest stay the weakest.
    lengths = np.linalg.norm(features, axis=0)
    strengths = np.linalg.svd(encode(frame()[["text"]], "sparse"))[1]
    ratios = lengths / strengths[:30]
    np.testing.assert_allclose(ratios[:5], ratios[0], rtol=0.1)
    assert LogisticRegression().fit(features, SUBJECT).score(features, SUBJECT) > 0.9
    again = encode(frame()[["text"]])
    assert (again == features).all()
    np.testing.assert_allclose(
        encoder.transform(frame()[["text"]]), features, atol=1e-3
    )


@pytest.mark.parametrize(
    ("ngrams", "expected"),
    [
        ("words", ["a", "b"]),
        ("chars", [" a", " a ", "a ", " b", " b ", "b "]),
        ("both", ["a", "b", " a", " a ", "a ", " b", " b ", "b "]),
    ],
)
def test_what_is_counted_in_texts(ngrams, expected):
    texts = ["a", "b", "a b", ""]
    X = pd.DataFrame({"t": [*texts[:3], None]})
    encoder = TableEncoder(output="sparse", ngrams=ngrams, text=["t"])
    features = encoder.fit_transform(X)
    assert issparse(features) and features.dtype == np.float64
    names = [name.removeprefix("t_") for name in encoder.get_feature_names_out()]
    assert sorted(names) == sorted(expected)
    counts = [[part.strip() in text.split() for part in names] for text in texts]
    assert ((features.toarray() > 0) == counts).all()
    # Few texts, or few features, need no directions.
    assert encode(X, ngrams=ngrams, text=["t"]).shape == features.shape


def test_each_column_of_texts_has_its_own_words():
    X = pd.DataFrame({"t": TEXTS, "u": TEXTS[::-1]})
    assert encode(X, n_text_features=5).shape == (N, 10)
    alone = encode(X[["t"]], "sparse")
    np.testing.assert_array_equal(
        encode(X, "sparse"), np.hstack([alone, encode(X[["u"]], "sparse")])
    )


def test_few_rows_of_texts():
    assert encode(frame()[["text"]].iloc[:12]).shape == (12, 12)


def test_sparse_is_dense_without_texts():
    X = frame().drop(columns="text")
    features = TableEncoder(output="sparse").fit_transform(X)
    assert isinstance(features, np.ndarray) and features.dtype == np.float64
    np.testing.assert_allclose(features, encode(X), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize(
    "same",
    [
        lambda X: pl.DataFrame(columns()),
        lambda X: pl.DataFrame(columns(), schema_overrides={"colour": pl.Categorical}),
        lambda X: X.astype({"colour": "category"}),
        lambda X: X.astype({"colour": "string", "number": "Float64"}),
        lambda X: X.set_axis(RNG.permutation(N)),
        lambda X: X.to_numpy(dtype=object),
        lambda X: X.to_numpy().tolist(),
    ],
)
@pytest.mark.fast_cases(7)
def test_what_holds_the_cells_does_not_matter(same, output):
    expected = encode(frame(), output)
    np.testing.assert_array_equal(encode(same(frame()), output), expected)


def test_categories_that_are_numbers_stay_the_same_beside_gaps():
    encoder = TableEncoder().fit(pd.DataFrame({"c": pd.Categorical([1, 2, 3] * 30)}))
    new = encoder.transform(pd.DataFrame({"c": pd.Categorical([2, None, 3])}))
    assert new.tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 1]]


def test_dropped_columns_make_no_features():
    X = frame().assign(constant=1, row=np.arange(N))
    encoder = TableEncoder(output="codes", n_text_features=2).fit(X)
    assert encoder.columns_.dropped == {
        "constant": "has a single value",
        "row": "numbers the rows",
    }
    assert encoder.get_feature_names_out().tolist() == [
        *("number", "date", "colour", "text_0", "text_1")
    ]


def test_names_of_features_in_frames():
    encoder = TableEncoder(n_text_features=2, random_state=0)
    encoder.set_output(transform="pandas")
    X = frame()
    features = encoder.fit_transform(X)
    assert features.columns.tolist() == [
        *("number", "date", "missingindicator_number", "missingindicator_date"),
        *("colour_blue", "colour_green", "colour_red", "colour_nan"),
        *("text_0", "text_1"),
    ]
    with config_context(transform_output="polars"):
        encoder = TableEncoder(n_text_features=2, random_state=0).fit(X)
        np.testing.assert_array_equal(encoder.transform(X), encoder.transform(X))
        assert isinstance(encoder.transform(X), pl.DataFrame)


def test_it_is_an_estimator():
    X = frame()
    before = X.copy(deep=True)
    encoder = TableEncoder(output="sparse", ngrams="both", random_state=0).fit(X)
    pd.testing.assert_frame_equal(X, before)
    assert encoder.feature_names_in_.tolist() == X.columns.tolist()
    again = pickle.loads(pickle.dumps(encoder)).transform(X)
    np.testing.assert_array_equal(again.toarray(), encoder.transform(X).toarray())
    other = clone(encoder).fit_transform(X)
    np.testing.assert_allclose(other.toarray(), again.toarray(), rtol=1e-12)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (frame()["text"], "frame or an array of 2 dimensions; got Series"),
        (TEXTS, "frame or an array of 2 dimensions"),
        (frame().drop(columns="date"), "feature names should match"),
        (frame().assign(number="many"), "'number' held numbers or dates .* something"),
    ],
)
def test_rows_that_are_refused(X, message):
    with pytest.raises(ValueError, match=message):
        TableEncoder().fit(frame()).transform(X)


def test_parameters_are_checked():
    for params in ({"output": "dense"}, {"n_text_features": 0}, {"ngrams": "letters"}):
        with pytest.raises(ValueError, match=f"'{next(iter(params))}' parameter"):
            TableEncoder(**params).fit(frame())
