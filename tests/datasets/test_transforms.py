import numpy as np
import pytest
from PIL import Image

from sknoisy.datasets import CenterCrop, RandomCrop, RandomResizedCrop


def image(height, width, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3))
    return Image.fromarray(pixels.astype(np.uint8))


def drawn(transform, picture, n=200):
    rng = np.random.default_rng(0)
    return [np.asarray(transform(picture, rng)) for _ in range(n)]


def test_the_centre_is_cut_out():
    picture = image(11, 8)
    found = np.asarray(CenterCrop((5, 4))(picture))
    np.testing.assert_array_equal(found, np.asarray(picture)[3:8, 2:6])


@pytest.mark.parametrize(("height", "width"), [(30, 45), (45, 30), (30, 30)])
def test_the_shorter_side_is_resized_and_the_proportions_stay(height, width):
    picture = image(height, width)
    whole = CenterCrop((20 * height // 30, 20 * width // 30), resize=20)(picture)
    size = (20 * width // 30, 20 * height // 30)
    expected = picture.resize(size, Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(np.asarray(whole), np.asarray(expected))


def test_small_images_get_a_black_frame():
    found = np.asarray(CenterCrop(6)(image(3, 4)))
    assert found.shape == (6, 6, 3)
    assert not found[[0, 4, 5]].any() and not found[:, [0, 5]].any()
    np.testing.assert_array_equal(found[1:4, 1:5], np.asarray(image(3, 4)))


def test_random_crops_are_all_parts_alike_often_and_half_are_mirrored():
    picture = image(4, 5)
    pixels = np.asarray(picture)
    parts = {}
    for top in range(3):
        for left in range(3):
            part = pixels[top : top + 2, left : left + 3]
            parts[part.tobytes()] = parts[part[:, ::-1].tobytes()] = 0
    for found in drawn(RandomCrop((2, 3)), picture, 1800):
        parts[found.tobytes()] += 1
    # 18 parts, 100 of each expected, with a deviation of 10.
    assert len(parts) == 18 and 60 < min(parts.values()) <= max(parts.values()) < 140


def test_padding_is_black_and_moves():
    white = Image.new("RGB", (4, 4), "white")
    sums = [found.sum() for found in drawn(RandomCrop(4, padding=2), white)]
    assert max(sums) == 16 * 3 * 255 and min(sums) == 4 * 3 * 255
    unmoved = RandomCrop(4, flip=0)
    assert all(np.array_equal(f, np.asarray(white)) for f in drawn(unmoved, white, 5))


def test_resized_crops_have_areas_and_proportions_in_their_ranges():
    # A picture whose pixels tell their place.
    place = np.zeros((100, 100, 3), np.uint8)
    place[..., 0], place[..., 1] = np.arange(100)[:, None] * 2, np.arange(100) * 2
    transform = RandomResizedCrop(50, scale=(0.3, 0.6), ratio=(0.5, 2), flip=0)
    areas, ratios = [], []
    for found in drawn(transform, Image.fromarray(place)):
        height = np.ptp(found[..., 0].astype(float)) / 2
        width = np.ptp(found[..., 1].astype(float)) / 2
        areas.append(height * width / 1e4)
        ratios.append(width / height)
    # Bilinear sampling does not reach the edges: one pixel or two are lost.
    assert 0.25 < min(areas) < 0.33 and 0.53 < max(areas) <= 0.6
    assert 0.45 < min(ratios) < 0.6 and 1.7 < max(ratios) < 2.2


def test_where_no_part_fits_the_centre_is_taken():
    transform = RandomResizedCrop(4, scale=(1, 1), ratio=(1, 1), flip=0)
    picture = image(4, 16)
    for found in drawn(transform, picture, 3):
        np.testing.assert_array_equal(found, np.asarray(picture)[:, 6:10])


def test_the_same_generator_gives_the_same_changes():
    for transform in (RandomCrop(8, resize=10), RandomResizedCrop(8)):
        first, second = (drawn(transform, image(12, 9), 5) for _ in range(2))
        np.testing.assert_array_equal(first, second)
        assert len({found.tobytes() for found in first}) > 1


def test_the_repr_says_how_it_is_made():
    assert repr(CenterCrop(4, resize=5)) == "CenterCrop(size=(4, 4), resize=5)"
    expected = "RandomCrop(size=(2, 3), resize=None, padding=1, flip=0.5)"
    assert repr(RandomCrop((2, 3), padding=1)) == expected
    assert "scale=(0.08, 1.0)" in repr(RandomResizedCrop(4))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CenterCrop(0), "size must be at least 1; got 0"),
        (lambda: CenterCrop((4, 4, 4)), "size must be a number of pixels or two"),
        (lambda: CenterCrop(4, resize=0.5), "resize must be an integer"),
        (lambda: RandomCrop(4, padding=-1), "padding must be at least 0"),
        (lambda: RandomCrop(4, flip=2), r"flip must be in \[0, 1\]; got 2"),
        (lambda: RandomResizedCrop(4, scale=(0.5, 0.1)), "scale must be two numbers"),
        (lambda: RandomResizedCrop(4, ratio=(0, 1)), "ratio must be two numbers"),
    ],
)
def test_wrong_arguments_are_named(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()


def test_sizes_and_places_are_those_of_torchvision():
    transforms = pytest.importorskip(
        "torchvision.transforms", reason="torchvision is not there to compare with"
    )
    for height, width in ((333, 500), (500, 333), (256, 256), (97, 301)):
        picture = image(height, width)
        theirs = transforms.Compose(
            [transforms.Resize(256), transforms.CenterCrop(224)]
        )
        ours = CenterCrop(224, resize=256)
        np.testing.assert_array_equal(ours(picture), np.asarray(theirs(picture)))
