"""Files of AutoNoiseDetector with its candidates, and of models that stay unfitted."""

import json
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array
from sealed_files import same, seal, unpack
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
)
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.pipeline import make_pipeline

from sknoisy import (
    AutoNoiseDetector,
    ConfidentLearningDetector,
    LossMixtureDetector,
    NeighborVoteDetector,
    load,
    save,
)
from sknoisy._tables._columns import Columns
from sknoisy._tables._encoder import TableEncoder

UNFITTED = [
    GradientBoostingClassifier(n_estimators=1, max_depth=1),
    HistGradientBoostingClassifier(max_iter=1, max_leaf_nodes=2),
    SGDClassifier(loss="log_loss", max_iter=1, tol=None),
]


def again(estimator, tmp_path, **kwargs):
    save(estimator, tmp_path / "file")
    return load(tmp_path / "file", **kwargs)


def rows_and_labels(n_rows=40):
    rng = np.random.default_rng(0)
    y = np.arange(n_rows) % 2
    X = rng.normal(size=(n_rows, 3)) + 2 * y[:, None]
    y[:3] = 1 - y[:3]
    return X, y


def frame_and_labels():
    X, y = rows_and_labels()
    words = np.array(["ant bee", "bee cat", "cat dog", "dog ant"])[np.arange(40) % 4]
    days = pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(40) % 7, "D")
    # Texts have more than 40 values or less than two rows for each.
    texts = [f"{pair} number {i}" for i, pair in enumerate(words)]
    frame = pd.DataFrame({"size": X[:, 0], "kind": words, "day": days, "text": texts})
    return frame.mask(np.arange(40)[:, None] == [5, 6, 7, 99]), y


def fit(detector, X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return detector.fit(X, y)


def says_the_same(loaded, detector):
    assert same(loaded.noise_scores_, detector.noise_scores_)
    assert same(loaded.predict_noisy(), detector.predict_noisy())
    assert same(loaded.ranking(), detector.ranking())
    assert loaded.noise_rate_ == detector.noise_rate_
    return [name for name, _ in loaded.detectors_]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["table", "sparse rows"])
def test_the_default_candidates_are_stored(kind, tmp_path):
    X, y = rows_and_labels()
    X = csr_array(X) if kind == "sparse rows" else X
    detector = fit(AutoNoiseDetector(n_rounds=1, random_state=0), X, y)
    loaded = again(detector, tmp_path)
    assert says_the_same(loaded, detector) == [n for n, _ in detector.detectors_]


@pytest.mark.slow
@pytest.mark.usefixtures("default_output")
def test_candidates_for_frames_with_texts_are_stored(tmp_path):
    X, y = frame_and_labels()
    codes, rates = TableEncoder(output="codes"), TableEncoder(output="sparse")
    boosting = HistGradientBoostingClassifier(max_iter=2, max_leaf_nodes=3)
    candidates = [
        (str(model), ConfidentLearningDetector(make_pipeline(encoder, model)))
        for encoder, model in [
            (codes, boosting),
            (codes, ExtraTreesClassifier(3, min_samples_leaf=5)),
            (rates, LogisticRegression()),
        ]
    ]
    votes = NeighborVoteDetector(n_rounds=1)
    candidates += [
        ("losses", LossMixtureDetector(make_pipeline(codes, boosting))),
        ("votes", make_pipeline(TableEncoder(n_text_features=3), votes)),
    ]
    auto = AutoNoiseDetector(candidates, n_rounds=1, random_state=0)
    detector = fit(auto, X, y)
    loaded = again(detector, tmp_path)
    assert says_the_same(loaded, detector)
    assert [name for name, _ in loaded.detectors] == [name for name, _ in candidates]


@pytest.mark.fast_cases(1)
@pytest.mark.usefixtures("default_output")
@pytest.mark.parametrize("output", ["scaled", "sparse", "codes"])
def test_a_fitted_encoder_of_tables(output, tmp_path):
    X, _ = frame_and_labels()
    encoder = TableEncoder(output=output, n_text_features=3, random_state=0).fit(X)
    loaded = again(encoder, tmp_path)
    assert loaded.columns_ == encoder.columns_
    assert set(loaded.columns_.kinds.values()) == {"number", "category", "date", "text"}
    found, expected = loaded.transform(X), encoder.transform(X)
    if output == "sparse":
        found, expected = found.toarray(), expected.toarray()
    np.testing.assert_array_equal(found, expected)


@pytest.mark.slow
def test_another_program_finds_the_encoder(tmp_path):
    X, y = frame_and_labels()
    model = make_pipeline(TableEncoder(output="sparse"), LogisticRegression())
    save(model.fit(X[["size", "kind"]], y), tmp_path / "file")
    code = (
        "import json, sys, sknoisy\n"
        "step = sknoisy.load(sys.argv[1])[0]\n"
        "print(json.dumps(step.columns_.kinds))"
    )
    run = [sys.executable, "-c", code, str(tmp_path / "file")]
    out = subprocess.run(run, check=True, capture_output=True, text=True).stdout
    assert json.loads(out) == {"size": "number", "kind": "category"}


def test_a_plain_object_of_ours_keeps_its_methods(tmp_path):
    X, _ = frame_and_labels()
    save(TableEncoder().fit(X[["size"]]), tmp_path / "file")
    manifest, arrays = unpack((tmp_path / "file").read_bytes())
    entry = next(e for e in manifest["objects"] if e["type"] == "instance")
    assert entry["class"].endswith(f"._columns.{Columns.__name__}")
    entry["attributes"]["of_kind"] = None
    (tmp_path / "file").write_bytes(seal(manifest, arrays))
    with pytest.raises(ValueError, match="an attribute cannot be named 'of_kind'"):
        load(tmp_path / "file")
    # An estimator is built by its constructor, not as a plain object.
    del entry["attributes"]["of_kind"]
    entry["class"] = "sknoisy._tables._encoder.TableEncoder"
    (tmp_path / "file").write_bytes(seal(manifest, arrays))
    with pytest.raises(ValueError, match="of a class that is not in known"):
        load(tmp_path / "file")


@pytest.mark.parametrize("model", UNFITTED, ids=lambda m: type(m).__name__)
class TestUnfittedOnly:
    def test_parameters_are_stored(self, model, tmp_path):
        loaded = again(model, tmp_path)
        assert type(loaded) is type(model) and vars(loaded) == vars(model)

    def test_a_fitted_one_is_refused_by_save(self, model, tmp_path):
        fitted = type(model)(**model.get_params()).fit(*rows_and_labels())
        message = f"{type(model).__name__} is supported unfitted only, because its comp"
        with pytest.raises(ValueError, match=message):
            save(fitted, tmp_path / "file")
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("known", [False, True])
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("_predictors", []),
            ("_bin_mapper", None),
            ("coef_", {"type": "ref", "id": 0}),
            ("estimators_", []),
            ("n_features_in_", 10**9),
            ("_sklearn_output_config", {"type": "dict", "items": []}),
        ],
    )
    def test_a_file_that_adds_what_a_fit_learns(
        self, model, known, name, value, tmp_path
    ):
        save(model, tmp_path / "file")
        manifest, arrays = unpack((tmp_path / "file").read_bytes())
        manifest["objects"].insert(
            0, {"type": "array", "array": "0", "dtype": "<f8", "order": "C"}
        )
        manifest["estimator"]["id"] = 1
        manifest["objects"][1]["attributes"][name] = value
        arrays["0"] = np.zeros((1, 3))
        (tmp_path / "file").write_bytes(seal(manifest, arrays))
        kind = type(model).__name__
        message = f"{kind} (is supported unfitted|cannot have the learnt attribute)"
        with pytest.raises(ValueError, match=f"cannot be loaded: {message}"):
            load(tmp_path / "file", known=[type(model)] * known)
