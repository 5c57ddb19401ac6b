"""Rows of texts: what is in them, how they are kept, what is refused."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from torch import nn

from sknoisy import NeighborVoteDetector, TextEncoder

TEXTS = ["a", "some more words", "two words", "ünïcode", "a", "x " * 50]
ROWS = [[len(text), text.count(" ")] for text in TEXTS]


@pytest.mark.parametrize(
    "X",
    [
        *(TEXTS, tuple(TEXTS), np.array(TEXTS), np.array(TEXTS, object)),
        *(np.array(TEXTS)[:, None], pd.Series(TEXTS), pd.Series(TEXTS, dtype="string")),
        *(pd.Series(TEXTS, dtype="category"), pd.DataFrame({"text": TEXTS})),
        *(pl.Series(TEXTS), pl.DataFrame({"text": TEXTS})),
        pd.Series(TEXTS, index=range(6, 0, -1)),
    ],
    ids=lambda X: type(X).__name__,
)
@pytest.mark.parametrize("batch_size", [2, 64])
def test_all_containers_give_the_same_rows(X, batch_size, lengths):
    rows = TextEncoder(lengths, batch_size=batch_size).transform(X)
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, ROWS)
    asked = [text for batch in lengths.asked for text in batch]
    assert all(type(text) is str for text in asked)
    assert max(map(len, lengths.asked)) <= batch_size
    assert [len(text) for text in asked] == sorted(map(len, TEXTS), reverse=True)


@pytest.mark.parametrize(
    "give",
    [
        np.array,
        np.float64,
        torch.tensor,
        lambda rows: torch.tensor(rows, dtype=torch.bfloat16).requires_grad_(),
        pd.DataFrame,
    ],
)
def test_whatever_a_function_gives_becomes_float32(give, lengths):
    rows = TextEncoder(lambda texts: give(lengths(texts))).fit_transform(TEXTS[:4])
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, ROWS[:4])


def test_a_vectorizer_serves_as_a_function():
    vectorizer = TfidfVectorizer().fit(TEXTS)
    rows = TextEncoder(lambda t: vectorizer.transform(t).toarray()).transform(TEXTS)
    expected = vectorizer.transform(TEXTS).toarray()
    np.testing.assert_allclose(rows, expected, rtol=1e-6)
    with pytest.raises(ValueError, match="sparse matrix; put a TruncatedSVD"):
        TextEncoder(vectorizer.transform).transform(TEXTS)


class Encodes:
    """An object with ``encode``, as other packages have them."""

    def encode(self, texts):
        return np.array([[len(text), 1.0] for text in texts])


class Module(nn.Module):
    """A module with ``encode``, which a SentenceTransformer is."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))
        self.dropout = nn.Dropout(0.5)
        self.tokenizer = None

    def encode(self, texts, batch_size, convert_to_tensor, **params):
        assert convert_to_tensor and batch_size == 64
        assert params == {"show_progress_bar": False, "convert_to_numpy": False}
        numbers = torch.tensor(
            [[len(t), 1.0] for t in texts], device=self.weight.device
        )
        return self.dropout(numbers * self.weight)


def test_an_object_with_encode():
    expected = [[len(text), 1] for text in TEXTS]
    np.testing.assert_array_equal(TextEncoder(Encodes()).transform(TEXTS), expected)


def test_a_module_is_evaluated_and_left_alone(tmp_path):
    module = Module()
    assert module.training
    encoder = TextEncoder(module, cache=tmp_path)
    rows = encoder.transform(TEXTS)
    np.testing.assert_array_equal(rows, [[len(text), 1] for text in TEXTS])
    assert module.training and module.weight.grad is None
    np.testing.assert_array_equal(encoder.transform(TEXTS), rows)
    with torch.no_grad():
        module.weight.mul_(2)
    np.testing.assert_array_equal(encoder.transform(TEXTS), 2 * rows)
    half = TextEncoder(module, amp=True).transform(TEXTS)
    np.testing.assert_allclose(half, 2 * rows, rtol=0.02)


class TestMissing:
    X = ["a b", None, float("nan"), pd.NA, "", "  \n", "c"]

    def test_they_are_named(self, lengths):
        message = "text 1 is missing: None; 5 of 7 are missing or empty. Leave them out"
        with pytest.raises(ValueError, match=message):
            TextEncoder(lengths).transform(self.X)
        with pytest.raises(ValueError, match="text 1 is empty: ''; 1 of 2 are"):
            TextEncoder(lengths).transform(["a", ""])
        assert not lengths.asked

    def test_rows_of_nan_and_a_warning(self, lengths, tmp_path):
        encoder = TextEncoder(lengths, on_error="nan", cache=tmp_path, cache_id="a")
        message = r"5 of 7 texts are missing or empty; .* NaN: 1, 2, 3, 4, 5\."
        for _ in range(2):
            with pytest.warns(UserWarning, match=message):
                rows = encoder.transform(self.X)
            np.testing.assert_array_equal(rows[[0, 6]], [[3, 1], [1, 0]])
            assert np.isnan(rows[1:6]).all()
        assert lengths.asked == [["a b", "c"]]
        assert TextEncoder(lengths, on_error="nan").fit(self.X[1:]).n_features_out_ == 2
        with pytest.raises(ValueError, match="all 5 texts are missing or empty"):
            encoder.transform(self.X[1:6])


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        ("a text", TypeError, "X is 'a text', one text; pass a list"),
        (7, TypeError, "X is a int; pass a list of texts"),
        ({"a": 1}, TypeError, "X is a dict"),
        ([], ValueError, "X holds no texts"),
        (["a", 7], TypeError, "text 1 is 7, a int, not a string"),
        (["a", b"b"], TypeError, "a bytes, not a string; pass text.decode()"),
        ([["a"]], TypeError, "a list, not a string"),
        (np.zeros((2, 3)), ValueError, "X has 2 dimensions"),
        (np.zeros((2, 3, 4, 4)), ValueError, "X has 4 dimensions"),
        (pd.DataFrame({"a": ["x"], "b": ["y"]}), ValueError, "a frame with 2 columns"),
    ],
)
def test_what_holds_no_texts_is_refused(lengths, X, error, message):
    with pytest.raises(error, match=message):
        TextEncoder(lengths).fit(X)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda texts: [len(text) for text in texts], r"int64 of shape \(6,\) for 6"),
        (lambda texts: [[1.0]], r"shape \(1, 1\) for 6 texts"),
        (lambda texts: [[text] for text in texts], "must return numbers"),
        (lambda texts: np.full((len(texts), 2), np.inf), "NaN or infinity for a text"),
        (TfidfVectorizer, "model=TfidfVectorizer is a class; give an instance"),
        ("all-MiniLM-L6-v2", "is not known; give 'sentence-transformers:NAME'"),
        ("model2vec:", "model='model2vec:' is not known"),
        (7, "'model' parameter of TextEncoder must be"),
    ],
)
def test_models_that_give_no_rows_are_refused(model, message):
    with pytest.raises(ValueError, match=message):
        TextEncoder(model).fit_transform(TEXTS)


@pytest.mark.parametrize(
    "params", [{"batch_size": 0}, {"on_error": "skip"}, {"cache": 7}, {"amp": "half"}]
)
def test_bad_parameters_are_refused(params, lengths):
    (name,) = params
    with pytest.raises(ValueError, match=f"'{name}' parameter of TextEncoder"):
        TextEncoder(lengths, **params).fit(TEXTS)


def test_a_bad_device_is_refused():
    with pytest.raises(ValueError, match="device='abacus' is not a torch device"):
        TextEncoder(Module(), device="abacus").fit(TEXTS)


class TestCache:
    def test_each_text_is_encoded_once(self, lengths, tmp_path):
        encoder = TextEncoder(lengths, cache=tmp_path, cache_id="lengths")
        np.testing.assert_array_equal(encoder.transform(TEXTS), ROWS)
        assert sorted(lengths.asked[0]) == sorted(set(TEXTS))
        rows = encoder.transform(["new", *TEXTS[::-1]])
        np.testing.assert_array_equal(rows, [[3, 0], *ROWS[::-1]])
        assert lengths.asked[1:] == [["new"]]
        TextEncoder(lengths, cache=tmp_path, cache_id="other").transform(TEXTS)
        assert len(lengths.asked) == 3

    def test_functions_need_a_name(self, lengths, tmp_path):
        with pytest.raises(ValueError, match="content of model, a function: give a"):
            TextEncoder(lengths, cache=tmp_path).transform(TEXTS)


class TestContract:
    def test_clone_pickle_and_names(self):
        encoder = TextEncoder(Encodes(), batch_size=3).fit(TEXTS)
        again = pickle.loads(pickle.dumps(encoder))
        np.testing.assert_array_equal(again.transform(TEXTS), encoder.transform(TEXTS))
        assert clone(encoder).batch_size == 3
        names = encoder.get_feature_names_out().tolist()
        assert names == ["textencoder0", "textencoder1"]
        frame = encoder.set_output(transform="pandas").transform(TEXTS)
        assert frame.columns.tolist() == names

    def test_a_pipeline_and_a_column_of_a_frame(self, lengths):
        pipe = make_pipeline(TextEncoder(lengths), NeighborVoteDetector(n_neighbors=3))
        scores = pipe.fit(TEXTS, [0, 1, 0, 1, 0, 1])[-1].noise_scores_
        assert scores.shape == (6,)
        frame = pd.DataFrame({"text": TEXTS, "size": np.arange(6.0)})
        for column in ("text", ["text"]):
            columns = make_column_transformer((TextEncoder(lengths), column))
            np.testing.assert_array_equal(columns.fit_transform(frame), ROWS)

    def test_progress_counts_texts(self, lengths, capsys):
        TextEncoder(lengths, verbose=1).transform(TEXTS)
        assert "6/6" in capsys.readouterr().err
        TextEncoder(lengths).transform(TEXTS)
        assert capsys.readouterr() == ("", "")
