"""Whatever form a picture has, its pixels are the same."""

from io import BytesIO

import numpy as np
import pytest
import torch

Image = pytest.importorskip("PIL.Image", reason="Pillow is not there: extra images")

from sknoisy.encoders._decoding import (  # noqa: E402
    UnreadableImage,
    as_bytes_of_pixels,
    decode,
)


def picture(height=6, width=8):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def stored(image, form="PNG", **params):
    file = BytesIO()
    image.save(file, form, **params)
    return file.getvalue()


def test_every_form_gives_the_same_pixels(tmp_path):
    last = picture()
    image = Image.fromarray(last)
    path = tmp_path / "a.png"
    path.write_bytes(stored(image))
    forms = [
        *(last, last.transpose(2, 0, 1), image, path, str(path), path.read_bytes()),
        *(bytearray(path.read_bytes()), torch.from_numpy(last), last / 255),
        {"bytes": path.read_bytes(), "path": None},
        {"bytes": None, "path": str(path)},
        {"bytes": stored(image)},
        np.float32(last / 255).transpose(2, 0, 1),
        last.astype(np.int64),
    ]
    for form in forms:
        found = decode(form, None, "crop")
        assert found.dtype == np.uint8 and found.flags.c_contiguous
        np.testing.assert_array_equal(found, last.transpose(2, 0, 1))


@pytest.mark.parametrize("resize", ["crop", "squash"])
def test_a_resized_array_equals_the_resized_file(resize):
    last = picture()
    found = decode(last, 4, resize)
    assert found.shape == (3, 4, 4)
    file = stored(Image.fromarray(last))
    np.testing.assert_array_equal(decode(file, 4, resize), found)


def test_crop_keeps_the_middle_and_squash_all():
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 100
    wide[:, 20:] = 200
    cropped = decode(wide, 10, "crop")
    assert (cropped[:, :, 1:-1] == 100).all()
    squashed = decode(wide, 10, "squash")
    assert squashed[:, :, 0].max() == 0 and squashed[:, :, -1].min() == 200
    assert squashed.mean() == pytest.approx(100, abs=1)


def grey(mode, value):
    return Image.new(mode, (5, 5), value)


@pytest.mark.parametrize(
    ("image", "colour"),
    [
        (grey("L", 77), (77, 77, 77)),
        (grey("1", 1), (255, 255, 255)),
        (Image.new("RGB", (5, 5), (1, 2, 3)).quantize(2), (1, 2, 3)),
        (Image.new("RGBA", (5, 5), (0, 0, 0, 0)), (255, 255, 255)),
        (Image.new("RGBA", (5, 5), (10, 20, 30, 255)), (10, 20, 30)),
        (Image.new("LA", (5, 5), (0, 0)), (255, 255, 255)),
        (Image.new("CMYK", (5, 5), (255, 0, 0, 0)), (0, 255, 255)),
        (Image.new("YCbCr", (5, 5), (128, 128, 128)), (128, 128, 128)),
        (Image.fromarray(np.full((5, 5), 257 * 9, np.uint16)), (9, 9, 9)),
        (Image.fromarray(np.full((5, 5), 257 * 9, np.int32)), (9, 9, 9)),
        (Image.fromarray(np.full((5, 5), 9, np.int32)), (9, 9, 9)),
    ],
    ids=lambda value: getattr(value, "mode", None),
)
def test_modes_become_three_colours(image, colour):
    found = decode(image, None, "crop")
    np.testing.assert_array_equal(found[:, 2, 2], colour)
    # An array of four channels is no other than the image.
    if image.mode == "RGBA":
        np.testing.assert_array_equal(decode(np.asarray(image), None, "crop"), found)


def test_transparent_colours_of_a_file_become_white():
    image = Image.new("P", (5, 5), 0)
    image.putpalette([10, 20, 30, 0, 0, 0])
    found = decode(stored(image, transparency=0), None, "crop")
    assert (found == 255).all()


def test_half_transparent_is_half_white():
    image = Image.new("RGBA", (2, 2), (0, 0, 0, 128))
    assert decode(image, None, "crop")[0, 0, 0] == pytest.approx(127, abs=1)


@pytest.mark.parametrize("mode", ["file", "image"])
def test_exif_orientation_is_followed(mode):
    last = picture(20, 40)
    last[:10, :20] = 255  # the corner at the top left
    last[10:] = last[:, 20:] = 0
    exif = Image.Exif()
    exif[274] = 6  # turn by 90 degrees clockwise to see it upright
    file = stored(Image.fromarray(last), "JPEG", exif=exif, quality=95)
    image = file if mode == "file" else Image.open(BytesIO(file))
    found = decode(image, None, "crop").mean(0)
    assert found.shape == (40, 20)
    assert found[:20, 10:].mean() > 240 and found[20:].mean() < 10


def test_a_large_photograph_is_decoded_at_a_fraction_of_its_size():
    column = np.linspace(0, 255, 800).astype(np.uint8)
    last = np.broadcast_to(column[:, None, None], (800, 800, 3))
    file = stored(Image.fromarray(np.ascontiguousarray(last)), "JPEG", quality=95)
    found = decode(file, 50, "crop").astype(int)
    exact = decode(np.ascontiguousarray(last), 50, "crop")
    assert abs(found - exact).max() <= 3


def test_of_several_frames_the_first_counts():
    frames = [Image.new("RGB", (5, 5), c) for c in ("red", "blue")]
    file = stored(frames[0], "GIF", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(decode(file, None, "crop")[:, 0, 0], [255, 0, 0])


def test_grey_arrays_are_repeated():
    last = picture()[:, :, 0]
    found = decode(last, None, "crop")
    np.testing.assert_array_equal(found, np.stack([last] * 3))
    np.testing.assert_array_equal(decode(last[..., None], None, "crop"), found)
    assert decode(last, 3, "squash").shape == (3, 3, 3)


def test_channels_first_wins_where_both_would_do():
    image = np.zeros((3, 5, 4), np.uint8)
    assert decode(image, None, "crop").shape == (3, 5, 4)


@pytest.mark.parametrize("missing", [None, float("nan"), np.nan])
def test_missing_images_are_unreadable(missing):
    with pytest.raises(UnreadableImage, match="is missing"):
        decode(missing, None, "crop")


def test_damaged_files_are_unreadable(tmp_path):
    file = stored(Image.fromarray(picture(40, 40)))
    for damaged in (file[: len(file) // 2], b"", b"no image"):
        with pytest.raises(UnreadableImage, match=r"cannot be read \(\w*Error: .+\)"):
            decode(damaged, None, "crop")
    with pytest.raises(UnreadableImage, match=r"does not exist .* begin in"):
        decode(tmp_path / "absent.png", None, "crop")
    with pytest.raises(UnreadableImage, match=r"cannot be read \(IsADirectoryError"):
        decode(tmp_path, None, "crop")
    with pytest.raises(UnreadableImage, match="holds floats"):
        decode(Image.new("F", (5, 5)), None, "crop")


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (7, TypeError, "is a int; give a path"),
        ({"a": 1}, TypeError, "is a dict; give a path"),
        (np.zeros(5), ValueError, r"has the shape \(5,\); give"),
        (np.zeros((0, 5, 3)), ValueError, "has the shape"),
        (np.zeros((5, 5, 2)), ValueError, "neither the first nor the last axis"),
        (np.zeros((5, 5), bool), TypeError, "has dtype bool; give uint8"),
        (np.full((5, 5), 2.0), ValueError, "float64 values from 2 to 2"),
        (np.full((5, 5), -1), ValueError, "values from -1 to -1"),
        (np.full((5, 5), 256), ValueError, "from 256 to 256; give uint8 from 0 to 255"),
        (np.full((5, 5), np.nan), ValueError, "values from nan to nan"),
    ],
)
def test_what_is_no_image_is_refused(image, error, message):
    with pytest.raises(error, match=message):
        decode(image, None, "crop")


def test_floats_are_rounded_to_the_nearest_byte():
    values = np.array([0, 0.4, 0.6, 254.6, 255]) / 255
    assert as_bytes_of_pixels(values).tolist() == [0, 0, 1, 255, 255]
    assert as_bytes_of_pixels(np.empty(0)).dtype == np.uint8


def test_an_absent_pillow_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "PIL.Image", None)
    with pytest.raises(ImportError, match=r"pip install 'sknoisy\[images\]'"):
        decode(b"", None, "crop")
