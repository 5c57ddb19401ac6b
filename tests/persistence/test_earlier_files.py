"""Files saved by released versions say the same today, or are refused in a sentence."""

import functools
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import save_fixtures
import torch
from public_estimators import public_estimators

import sknoisy.detection
from sknoisy import load
from sknoisy.persistence import _allowed

FOLDERS = sorted(Path(__file__).parent.glob("saved_*"))
FILES = [path for folder in FOLDERS for path in sorted(folder.glob("*.sknoisy"))]
# Files that a later version refuses, and a part of the sentence that says why.
REFUSED = {}


def name_of(path):
    return f"{path.parent.name}/{path.stem}"


@functools.cache
def outputs_in(folder):
    with np.load(folder / "outputs.npz") as archive:
        return {key: archive[key] for key in archive.files}


def load_quietly(path):
    with warnings.catch_warnings():
        # It was saved under other versions of the packages, and load says so.
        warnings.filterwarnings("ignore", message=".*saved (with|under)")
        return load(path)


def test_there_are_files_of_each_released_version():
    assert [folder.name for folder in FOLDERS] == ["saved_0_1_0"]
    # Newer estimators have no file yet.
    newer = {cls.__name__ for cls in public_estimators()}
    names = {path.stem for path in FILES}
    assert names == set(save_fixtures.estimators()) - newer


@pytest.mark.fast_cases(4)
@pytest.mark.usefixtures("default_output")
@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_file_of_an_earlier_version_says_the_same(path):
    if name_of(path) in REFUSED:
        with pytest.raises(ValueError, match=REFUSED[name_of(path)]):
            load_quietly(path)
        return
    estimator = load_quietly(path)
    expected = {
        key.partition(".")[2]: value
        for key, value in outputs_in(path.parent).items()
        if key.partition(".")[0] == path.stem
    }
    if path.stem == "unfitted":
        assert estimator.get_params()["module__hidden"] == 8
        return
    assert expected
    found = save_fixtures.outputs_of(path.stem, estimator)
    assert set(expected) <= set(found)
    for method, value in expected.items():
        if value.dtype.kind == "f":
            # Other releases of torch and numpy round differently.
            np.testing.assert_allclose(found[method], value, rtol=1e-4, atol=1e-5)
        else:
            np.testing.assert_array_equal(found[method], value)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_checkpoint_of_an_earlier_version_goes_on(folder, tmp_path):
    shutil.copy(folder / "training.checkpoint", tmp_path)
    net, X, y = save_fixtures.stopped(tmp_path)
    with pytest.warns(UserWarning, match="by sknoisy 0.1.0 without a checksum: damage"):
        net.set_params(callbacks=None).fit(X, y)
    expected = outputs_in(folder)["stopped.predict_proba"]
    # With the same seed, older releases drop other units in the epochs that follow.
    atol = 1e-5 if torch.__version__ >= (2, 13) else 0.05
    np.testing.assert_allclose(net.predict_proba(X), expected, rtol=1e-4, atol=atol)


def test_a_file_is_loaded_by_a_program_that_has_imported_nothing_else(monkeypatch):
    # Detectors are imported when they are asked for, or named by a file.
    for name in sknoisy.detection.__all__:
        monkeypatch.delitem(vars(sknoisy.detection), name, raising=False)
    _allowed._find.cache_clear()
    assert "AUMDetector" not in vars(sknoisy.detection)
    assert load_quietly(FOLDERS[0] / "aum.sknoisy").predict_noisy().any()


def test_the_decoder_of_an_earlier_version_goes_on():
    # Its decoder is one of pixels as they are, and makes images of twice the size.
    net = load_quietly(FOLDERS[0] / "masking_images.sknoisy")
    rng = np.random.default_rng(0)
    X = rng.random((len(net.noise_scores_), *net.input_shape_), dtype=np.float32)
    batch = torch.from_numpy(X[:4])
    with torch.no_grad():
        restored = net.masking_.decoders[0](net.module_.eval().feature_map(batch))
        restored = torch.nn.functional.interpolate(restored, (8, 8), mode="bilinear")
    found = net.masking_.restore(0, net.module_, batch)
    torch.testing.assert_close(found, restored, rtol=1e-4, atol=1e-5)
    # As if the first call were one of training.
    del net.masking_.pixels
    feature_map = net.module_.feature_map(batch).repeat(2, 1, 1, 1)
    loss = net.masking_.train().reconstruction_loss(0, feature_map, batch)
    assert loss.isfinite().all() and net.masking_.pixels.num_batches_tracked == 1
