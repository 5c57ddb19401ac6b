import gzip

import numpy as np
import pytest
from miniatures import idx

from sknoisy.datasets import load_mnist

RNG = np.random.default_rng(0)
IMAGES, CODES = RNG.integers(0, 256, (12, 28, 28)), RNG.integers(0, 10, 12)


def save(root, compressed=False, prefix="train", images=IMAGES, codes=CODES):
    root.mkdir(parents=True, exist_ok=True)
    idx(root, f"{prefix}-images-idx3-ubyte", images, compressed)
    idx(root, f"{prefix}-labels-idx1-ubyte", codes, compressed)


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("folder", ["", "raw", "MNIST/raw"])
def test_images_and_labels(tmp_path, compressed, folder):
    save(tmp_path / folder, compressed)
    data = load_mnist(tmp_path, checksum=False)
    np.testing.assert_array_equal(data.images, IMAGES[:, None])
    assert data.images.dtype == np.uint8 and data.images.flags.writeable
    np.testing.assert_array_equal(data.codes, CODES)
    assert data.labels.tolist() == [str(code) for code in CODES]
    save(tmp_path / folder, compressed, "t10k", IMAGES[:5], CODES[:5])
    assert len(load_mnist(tmp_path, "test", checksum=False)) == 5


def test_faults(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"has no train-images-idx3-ubyte. MNIST"
    ):
        load_mnist(tmp_path)
    with pytest.raises(ValueError, match="split must be 'train' or 'test'; got 'val'"):
        load_mnist(tmp_path, "val")
    save(tmp_path, compressed=True)
    with pytest.raises(ValueError, match=r"ubyte\.gz is not the published file"):
        load_mnist(tmp_path)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"ubyte\.gz is damaged: "):
        load_mnist(tmp_path, checksum=False)
    path.write_bytes(gzip.compress(b"\0\0\x08\x03" + b"\0" * 20))
    with pytest.raises(ValueError, match="is no IDX file of 3 dimensions, or is cut"):
        load_mnist(tmp_path, checksum=False)
    path.write_bytes(gzip.compress(b"\0"))
    with pytest.raises(ValueError, match="cut off: it has 1 bytes"):
        load_mnist(tmp_path, checksum=False)
    save(tmp_path, codes=CODES[:5])
    with pytest.raises(ValueError, match="has 12 images but 5 labels of 'train'"):
        load_mnist(tmp_path, checksum=False)


def test_real_digits_survive_the_format(tmp_path, real_data):
    mnist = real_data("mnist.npz")
    images, codes = mnist["X_train"][:500], mnist["y_train"][:500]
    save(tmp_path, compressed=True, images=images, codes=codes)
    data = load_mnist(tmp_path, checksum=False)
    np.testing.assert_array_equal(data.images[:, 0], images)
    np.testing.assert_array_equal(data.codes, codes)
