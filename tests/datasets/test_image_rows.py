import os
import pickle

import numpy as np
import pytest
import torch
from new_process import in_new_process
from PIL import Image

from sknoisy import NetClassifier
from sknoisy.datasets import CenterCrop, ImageReadError, ImageRows, RandomCrop
from sknoisy.datasets._reading import as_array, printable, read_image, size_of
from sknoisy.nets import MLP, PreActResNet

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (6, 9, 7, 3)).astype(np.uint8)


@pytest.fixture
def paths(tmp_path):
    found = [tmp_path / f"{i}.png" for i in range(6)]
    for path, pixels in zip(found, PIXELS, strict=True):
        Image.fromarray(pixels).save(path)
    return found


def cropped_mean(image, rng):
    """Return a grey image of random brightness, as an array."""
    return np.full((3, 4, 4), rng.integers(256), np.uint8)


def to_tensor(image):
    return torch.tensor(np.asarray(image)).permute(2, 0, 1) / 255


def test_rows_are_the_pixels_channels_first(paths):
    rows = ImageRows(paths)
    assert rows.shape == (6, 3, 9, 7) and rows.dtype == np.uint8
    np.testing.assert_array_equal(rows.load(), PIXELS.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(rows[2:4].load(), rows.load()[2:4])


@pytest.mark.parametrize("n_jobs", [None, 3, -1])
def test_threads_change_nothing(paths, n_jobs):
    params = {"transform": CenterCrop(4), "train_transform": RandomCrop(4)}
    rows = ImageRows(paths, **params, n_jobs=n_jobs)
    alone = ImageRows(paths, **params)
    order = [5, 0, 3, 3]
    np.testing.assert_array_equal(rows.fetch(order), alone.fetch(order))
    changed = rows.fetch_changed(order, 7)
    np.testing.assert_array_equal(changed, alone.fetch_changed(order, 7))
    # The two copies of a row in a batch are changed each in its way.
    assert (changed[2] != changed[3]).any()
    assert (changed != alone.fetch_changed(order, 8)).any()


def test_three_ways_to_look_at_an_image(paths):
    rows = ImageRows(
        paths,
        transform=CenterCrop(4),
        train_transform=cropped_mean,
        judge_transform=CenterCrop((4, 4), resize=4),
    )
    assert rows.changes_rows and rows.shape == (6, 3, 4, 4)
    evaluated, judged = rows.load(), rows.judged().load()
    assert (evaluated != judged).any() and rows.judged().shape == rows.shape
    changed = rows.fetch_changed(range(6), 0)
    assert (changed == changed[:, :1, :1, :1]).all() and np.ptp(changed) > 0
    plain = ImageRows(paths)
    assert plain.judged() is plain and not plain.changes_rows
    np.testing.assert_array_equal(plain.fetch_changed([1], 0), plain.fetch([1]))


def test_a_transform_may_make_tensors(paths):
    rows = ImageRows(paths, transform=to_tensor)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows.load() * 255, ImageRows(paths).load(), rtol=1e-6)
    with pytest.raises(TypeError, match=r"must return a Pillow image, .* got a list"):
        ImageRows(paths, transform=lambda image: [1, 2])


def test_all_rows_have_one_size(paths):
    Image.new("RGB", (5, 5)).save(paths[4])
    rows = ImageRows(paths)
    assert rows.fetch([0, 3]).shape == (2, 3, 9, 7)
    message = r"one size: .*0\.png is of shape \(3, 9, 7\).*4\.png of \(3, 5, 5\)"
    with pytest.raises(ValueError, match=message):
        rows.fetch([3, 4])
    assert ImageRows(paths, transform=CenterCrop(5)).load().shape == (6, 3, 5, 5)


@pytest.mark.parametrize(
    ("mode", "pixels", "rgb"),
    [
        ("L", 100, [100] * 3),
        ("1", 1, [255] * 3),
        ("RGBA", (10, 20, 30, 255), [10, 20, 30]),
        ("RGBA", (0, 100, 200, 51), [204, 224, 244]),
        ("LA", (100, 0), [255] * 3),
        ("CMYK", (255, 0, 255, 0), [0, 255, 0]),
        ("I;16", 100 * 257, [100] * 3),
    ],
)
def test_modes_become_colours_or_grey(tmp_path, mode, pixels, rgb):
    path = str(tmp_path / "one.tif")
    Image.new(mode, (3, 2), pixels).save(path)
    found = ImageRows([path])[0]
    assert found.shape == (3, 2, 3)
    np.testing.assert_array_equal(found[:, 0, 0], rgb)
    assert ImageRows([path], mode="L").shape == (1, 1, 2, 3)


def test_palettes_with_transparency_do_not_warn(tmp_path):
    image = Image.new("P", (3, 2), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    image.save(tmp_path / "p.png", transparency=bytes([0, 255]))
    found = ImageRows([tmp_path / "p.png"])[0]
    np.testing.assert_array_equal(found[:, 0, 0], [10, 20, 30])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_as_they_were_held(tmp_path, orientation):
    pixels = RNG.integers(0, 256, (4, 6, 3)).astype(np.uint8)
    # What the eight values of Exif mean, by what undoes them.
    upright = {
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.transpose(1, 0, 2),
        6: pixels[::-1].transpose(1, 0, 2),
        7: pixels[::-1, ::-1].transpose(1, 0, 2),
        8: pixels[:, ::-1].transpose(1, 0, 2),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / "x.png", exif=exif)
    found = ImageRows([tmp_path / "x.png"])[0]
    np.testing.assert_array_equal(found, upright.transpose(2, 0, 1))
    assert size_of(str(tmp_path / "x.png")) == upright.shape[1::-1]


def test_other_modes_are_refused(tmp_path):
    Image.new("F", (3, 2), 0.5).save(tmp_path / "f.tif")
    with pytest.raises(ImageReadError, match="mode F has no range of brightness"):
        ImageRows([tmp_path / "f.tif"])
    with pytest.raises(ValueError, match="mode must be 'RGB' or 'L'; got 'HSV'"):
        ImageRows([tmp_path / "f.tif"], mode="HSV")
    with pytest.raises(ValueError, match="paths is empty: there is no image"):
        ImageRows([])


class TestFaults:
    def test_a_file_that_is_gone_is_named(self, paths):
        rows = ImageRows(paths)
        os.remove(paths[3])
        with pytest.raises(ImageReadError, match=r"row 3: .*3\.png does not exist"):
            rows.fetch([2, 3])

    def test_a_truncated_file_is_named(self, paths):
        path = paths[5].with_suffix(".jpg")
        noise = RNG.integers(0, 256, (64, 64, 3)).astype(np.uint8)
        Image.fromarray(noise).save(path)
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])
        with pytest.raises(ImageReadError, match=r"5\.jpg cannot be decoded .*trunc"):
            read_image(str(path), "RGB")

    def test_what_is_no_image_is_named(self, tmp_path):
        (tmp_path / "x.jpg").write_text("not an image")
        with pytest.raises(ImageReadError, match=r"x\.jpg is no image that Pillow"):
            ImageRows([tmp_path / "x.jpg"])
        (tmp_path / "y.jpg").write_bytes(b"")
        with pytest.raises(ImageReadError, match=r"y\.jpg is no image"):
            ImageRows([tmp_path / "y.jpg"])
        with pytest.raises(ImageReadError, match="a folder; give a file in it"):
            ImageRows([tmp_path])

    def test_a_file_of_too_many_pixels_is_refused(self, paths, monkeypatch):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20)
        with pytest.raises(ImageReadError, match="decompression bomb"):
            ImageRows(paths)

    @pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root reads all")
    def test_a_file_that_may_not_be_read(self, paths):
        os.chmod(paths[0], 0)
        with pytest.raises(ImageReadError, match="may not be read"):
            ImageRows(paths)

    def test_names_of_any_bytes_can_be_printed(self):
        assert printable(b"caf\xe9.png".decode("utf-8", "surrogateescape")) == (
            "caf\\udce9.png"
        )
        assert printable("日本.png") == "日本.png"

    def test_shapes_of_what_transforms_make(self):
        assert as_array(np.zeros((1, 2, 2), np.float64)).dtype == np.float32
        with pytest.raises(TypeError, match=r"of shape \(2, 2\) and uint8"):
            as_array(np.zeros((2, 2), np.uint8))


def test_they_pickle_and_are_told_apart(paths):
    rows = ImageRows(paths, train_transform=RandomCrop((9, 7), padding=1))
    again = pickle.loads(pickle.dumps(rows))
    np.testing.assert_array_equal(
        again.fetch_changed([1], 3), rows.fetch_changed([1], 3)
    )
    assert again.fingerprint == rows.fingerprint
    others = [
        ImageRows(paths),
        ImageRows(paths[::-1], train_transform=rows.train_transform),
        ImageRows(paths, train_transform=RandomCrop((9, 7), padding=2)),
        ImageRows(paths, train_transform=cropped_mean, transform=CenterCrop(4)),
    ]
    assert len({rows.fingerprint, *(other.fingerprint for other in others)}) == 5


def test_a_network_learns_from_files_as_from_their_pixels(paths):
    y = np.arange(6) % 2
    params = {"module": PreActResNet, "module__blocks": (1,), "module__width": 4}
    params |= {"max_epochs": 2, "random_state": 0, "batch_size": 2}
    rows = ImageRows(paths, n_jobs=2)
    found = NetClassifier(**params).fit(rows, y).predict_proba(rows)
    expected = NetClassifier(**params).fit(rows.load(), y).predict_proba(rows.load())
    np.testing.assert_array_equal(found, expected)


class Flat(MLP):
    def __init__(self, input_shape, n_classes):
        super().__init__((int(np.prod(input_shape)),), n_classes, hidden=2)

    def forward(self, X):
        return super().forward(X.flatten(1))


@pytest.mark.slow
@in_new_process
def test_workers_of_the_loader_read_the_same(paths):
    y = np.arange(6) % 2
    rows = ImageRows(paths, transform=CenterCrop(4), train_transform=RandomCrop(4))
    both = [
        NetClassifier(Flat, max_epochs=2, random_state=0, batch_size=2, **params)
        .fit(rows, y)
        .predict_proba(rows)
        for params in ({}, {"iterator_train__num_workers": 2})
    ]
    np.testing.assert_array_equal(*both)
