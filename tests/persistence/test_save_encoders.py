"""Files of encoders: the name of a model or its layers, and no folder to write to."""

import importlib.util

import numpy as np
import pytest
from public_estimators import numbers_of
from save_fixtures import images, small_convolution
from sklearn.pipeline import make_pipeline

from sknoisy import (
    ImageEncoder,
    NeighborVoteDetector,
    TextEncoder,
    load,
    save,
)

TEXTS = ["a", "two words", "three more words"]


def pixels():
    X, y = images()
    return np.clip(X + 0.5, 0, 1), y


def again(estimator, tmp_path, **kwargs):
    save(estimator, tmp_path / "file")
    return load(tmp_path / "file", **kwargs)


def test_a_pipeline_with_a_network_of_torchs_layers(tmp_path):
    X, y = pixels()
    encoder = ImageEncoder(small_convolution(), cache=tmp_path / "rows")
    pipe = make_pipeline(encoder, NeighborVoteDetector(random_state=0)).fit(X, y)
    loaded = again(pipe, tmp_path)
    # Whoever writes a file must not say where its reader writes.
    assert loaded[0].cache is None and pipe[0].cache is not None
    np.testing.assert_array_equal(loaded[0].transform(X), pipe[0].transform(X))
    assert loaded[0].get_feature_names_out().tolist() == [
        f"imageencoder{i}" for i in range(4)
    ]
    mask = loaded[-1].noise_mask_
    np.testing.assert_array_equal(mask, pipe[-1].noise_mask_)


@pytest.mark.skipif(
    importlib.util.find_spec("wordllama") is None, reason="wordllama is not there"
)
@pytest.mark.slow
def test_the_name_of_a_model_is_stored_and_not_the_model(tmp_path):
    encoder = TextEncoder("wordllama").fit(TEXTS)
    loaded = again(encoder, tmp_path)
    assert (tmp_path / "file").stat().st_size < 5000
    np.testing.assert_array_equal(loaded.transform(TEXTS), encoder.transform(TEXTS))


@pytest.mark.parametrize("cls", [ImageEncoder, TextEncoder])
def test_a_function_is_stored_by_name_and_must_be_known(cls, tmp_path):
    X = TEXTS if cls is TextEncoder else pixels()[0]
    encoder = cls(numbers_of).fit(X)
    with pytest.raises(ValueError, match=r"names public_estimators\.numbers_of"):
        again(encoder, tmp_path)
    loaded = again(encoder, tmp_path, known=[numbers_of])
    np.testing.assert_array_equal(loaded.transform(X), encoder.transform(X))
