"""Augmentations of images: brute force for the weak ones, PIL for the strong ones."""

import math

import numpy as np
import pytest
import torch
from fast_part import examples
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps
from scipy.stats import binomtest, chisquare
from torch.nn import functional as F

from sknoisy.nets import (
    crop_and_flip,
    cutout,
    rand_augment,
    random_crop,
    random_flip,
)
from sknoisy.nets._image_augment import OPERATIONS

pytestmark = pytest.mark.usefixtures("seeded")
LEVELS = [0, 1, 7, 10, 15, 22, 30]
SIGNS = [-1, 1]
SHAPES = {"square": (3, 32, 32), "tall": (3, 24, 16), "grey": (1, 16, 20)}
MOVING = ["shear_x", "shear_y", "translate_x", "translate_y", "rotate"]
BLENDING = ["brightness", "colour", "contrast", "sharpness"]
# What no direction changes.
WITHOUT_SIGN = ["identity", "posterize", "solarize", "autocontrast", "equalize"]
VIEWS = {
    "random_flip": random_flip,
    "random_crop": random_crop,
    "crop_and_flip": crop_and_flip,
    "cutout": lambda X: cutout(X, 5),
    "rand_augment": rand_augment,
}
ALL_VIEWS = pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS.keys())


def draw_bytes(shape, n_images=4, seed=0):
    """Random images, smooth enough that no operation leaves them alone."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(20, 220, (n_images, *shape)).astype(np.float64)
    smooth = (coarse + np.roll(coarse, 1, 2) + np.roll(coarse, 1, 3)) / 3
    return smooth.round().astype(np.uint8)


def scaled(images):
    return torch.from_numpy(images).float() / 255


def to_pil(image):
    """Make a PIL image of an array (channels, height, width)."""
    return Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0))


def from_pil(image):
    return np.atleast_3d(np.asarray(image)).transpose(2, 0, 1)


def matrix_of(name, level, sign, shape):
    """Return where PIL fetches pixels from: (a, b, c, d, e, f), x' = a x + b y + c.

    Magnitudes are those of RandAugment's table of 30 levels; shears leave the centre
    where it is.
    """
    _, height, width = shape
    if name == "shear_x":
        m = sign * 0.3 * level / 30
        return 1, m, -m * height / 2, 0, 1, 0
    if name == "shear_y":
        m = sign * 0.3 * level / 30
        return 1, 0, 0, m, 1, -m * width / 2
    if name == "translate_x":
        return 1, 0, sign * int(150 / 331 * width * level / 30), 0, 1, 0
    if name == "translate_y":
        return 1, 0, 0, 0, 1, sign * int(150 / 331 * height * level / 30)
    angle = sign * math.radians(level)
    cos, sin = math.cos(angle), math.sin(angle)
    x, y = width / 2, height / 2
    return cos, sin, x - cos * x - sin * y, -sin, cos, y + sin * x - cos * y


def between_pixels(matrix, shape):
    """Say which pixels of the result lie on the border of two source pixels."""
    a, b, c, d, e, f = matrix
    y, x = np.mgrid[: shape[1], : shape[2]] + 0.5
    sources = np.stack([a * x + b * y + c, d * x + e * y + f])
    return (np.abs(sources - sources.round()) < 1e-3).any(0)


def by_pil(name, level, sign, image):
    picture, factor = to_pil(image), 1 + sign * 0.9 * level / 30
    if name == "brightness":
        return from_pil(ImageEnhance.Brightness(picture).enhance(factor))
    if name == "colour":
        return from_pil(ImageEnhance.Color(picture).enhance(factor))
    if name == "contrast":
        return from_pil(ImageEnhance.Contrast(picture).enhance(factor))
    if name == "sharpness":
        return from_pil(ImageEnhance.Sharpness(picture).enhance(factor))
    if name == "posterize":
        return from_pil(ImageOps.posterize(picture, 8 - round(level / 7.5)))
    if name == "solarize":
        return from_pil(ImageOps.solarize(picture, 255 - 8.5 * level))
    if name == "autocontrast":
        return from_pil(ImageOps.autocontrast(picture))
    if name == "equalize":
        return from_pil(ImageOps.equalize(picture))
    return image


def apply(name, images, level, sign):
    """Apply an operation to images of bytes; return bytes as floats."""
    signs = torch.full((len(images),), float(sign))
    return OPERATIONS[name](scaled(images), level / 30, signs).numpy() * 255


class TestFlip:
    def test_ends(self):
        X = torch.rand(7, 3, 4, 6)
        assert random_flip(X, 0.0).equal(X)
        assert random_flip(X, 1.0).numpy() == pytest.approx(X.numpy()[..., ::-1])

    def test_twice_is_the_identity(self):
        X = torch.rand(50, 3, 4, 6)
        assert random_flip(random_flip(X, 1.0), 1.0).equal(X)
        torch.manual_seed(3)
        once = random_flip(X)
        torch.manual_seed(3)
        assert random_flip(once).equal(X)

    @pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
    def test_each_image_is_mirrored_by_itself_with_probability_p(self, p):
        X = torch.rand(4000, 1, 1, 2)
        view = random_flip(X, p)
        is_flipped = (view == X.flip(3)).all(3).squeeze()
        is_same = (view == X).all(3).squeeze()
        assert (is_flipped ^ is_same).all()
        assert binomtest(int(is_flipped.sum()), 4000, p).pvalue > 0.001

    def test_half_of_them_by_default(self):
        X = torch.rand(4000, 1, 1, 2)
        n_flipped = int((random_flip(X) != X).any(3).sum())
        assert binomtest(n_flipped, 4000, 0.5).pvalue > 0.001


def shifts_of(image, padding):
    """Return all moved versions of an image (C, H, W), from a frame of zeros."""
    _, height, width = image.shape
    framed = F.pad(image, (padding,) * 4)
    n_moves = 2 * padding + 1
    moves = [(row, column) for row in range(n_moves) for column in range(n_moves)]
    return torch.stack([framed[:, r : r + height, c : c + width] for r, c in moves])


def which(views, candidates):
    """Return the number of the one candidate that each view equals."""
    equal = (views[:, None] == candidates[None]).flatten(2).all(2)
    assert (equal.sum(1) == 1).all()
    return equal.int().argmax(1).numpy()


class TestCrop:
    @pytest.mark.parametrize(("shape", "padding"), [((3, 6, 6), 1), ((1, 5, 8), 2)])
    def test_every_shift_occurs_equally_often(self, shape, padding):
        image = torch.rand(shape) + 0.1
        candidates = shifts_of(image, padding)
        n_images = 200 * len(candidates)
        views = random_crop(image.expand(n_images, *shape), padding)
        counts = np.bincount(which(views, candidates), minlength=len(candidates))
        assert chisquare(counts).pvalue > 0.001

    def test_each_image_is_moved_by_itself_and_none_is_another(self):
        X = torch.rand(30, 2, 6, 7) + 0.1
        views = random_crop(X, 2)
        found = [
            which(view[None], shifts_of(image, 2))[0]
            for image, view in zip(X, views, strict=True)
        ]
        assert len(set(found)) > 10

    @pytest.mark.parametrize(
        ("shape", "padding"), [((32, 32), 4), ((28, 40), 3), ((8, 8), 1), ((7, 90), 0)]
    )
    def test_by_default_an_eighth_of_the_height(self, shape, padding):
        height, width = shape
        X = torch.zeros(2000, 1, height, width)
        X[:, 0, height // 2, width // 2] = 1
        _, _, rows, columns = random_crop(X).nonzero().T
        moves = set(range(-padding, padding + 1))
        assert set((rows - height // 2).tolist()) == moves
        assert set((columns - width // 2).tolist()) == moves

    def test_no_padding_moves_nothing(self):
        X = torch.rand(5, 3, 4, 4)
        assert random_crop(X, 0).equal(X)

    def test_a_padding_beyond_the_image_may_leave_nothing(self):
        views = random_crop(torch.ones(300, 1, 2, 2), 4)
        left = views.flatten(1).sum(1)
        assert set(left.tolist()) == {0.0, 1.0, 2.0, 4.0}


class TestCropOfASize:
    def test_all_parts_are_alike_often(self):
        torch.manual_seed(0)
        image = torch.arange(20.0).reshape(1, 1, 4, 5)
        views = random_crop(image.expand(1200, 1, 4, 5), size=3)
        assert views.shape == (1200, 1, 3, 3)
        counts = {}
        for top in range(2):
            for left in range(3):
                part = image[0, 0, top : top + 3, left : left + 3]
                same = (views[:, 0] == part).flatten(1).all(1)
                counts[top, left] = int(same.sum())
        # Six parts, 200 of each expected, with a deviation of 13.
        assert sum(counts.values()) == 1200
        assert 140 < min(counts.values()) <= max(counts.values()) < 260

    def test_padding_is_black_and_may_be_cut_out(self):
        torch.manual_seed(0)
        views = random_crop(torch.ones(300, 1, 4, 4), padding=2, size=4)
        sums = views.sum((1, 2, 3))
        assert views.shape == (300, 1, 4, 4) and (sums.min(), sums.max()) == (4, 16)
        assert random_crop(torch.ones(2, 1, 4, 4), size=4).min() == 1

    def test_flips_keep_the_size(self):
        assert crop_and_flip(torch.ones(2, 3, 8, 9), size=5).shape == (2, 3, 5, 5)

    @pytest.mark.parametrize("size", [0, 7, 2.5])
    def test_sizes_that_cannot_be(self, size):
        with pytest.raises((TypeError, ValueError), match="size"):
            random_crop(torch.ones(2, 1, 6, 8), size=size)


class TestCropAndFlip:
    def test_moved_and_mirrored_images_occur_equally_often(self):
        image = torch.rand(3, 5, 6) + 0.1
        candidates = shifts_of(image, 1)
        candidates = torch.cat([candidates, candidates.flip(3)])
        views = crop_and_flip(image.expand(3600, 3, 5, 6), 1)
        counts = np.bincount(which(views, candidates), minlength=18)
        assert chisquare(counts).pvalue > 0.001

    def test_by_default_it_moves_as_random_crop(self):
        X = torch.zeros(1000, 1, 16, 17)
        X[:, 0, 8, 8] = 1
        _, _, rows, columns = crop_and_flip(X).nonzero().T
        assert set(rows.tolist()) == set(columns.tolist()) == {6, 7, 8, 9, 10}


class TestCutout:
    @pytest.mark.fast_cases(3)
    @pytest.mark.parametrize("size", [1, 2, 3, 4])
    @pytest.mark.parametrize(("height", "width"), [(6, 6), (5, 8)])
    def test_squares_around_every_pixel_cut_off_at_the_edges(self, size, height, width):
        candidates = np.ones((height, width, height, width), np.float32)
        for row, column in np.ndindex(height, width):
            top, left = row - size // 2, column - size // 2
            for r in range(max(top, 0), min(top + size, height)):
                for c in range(max(left, 0), min(left + size, width)):
                    candidates[row, column, r, c] = 0
        candidates = torch.from_numpy(candidates).reshape(-1, 1, height, width)
        views = cutout(torch.ones(150 * len(candidates), 1, height, width), size)
        counts = np.bincount(which(views, candidates), minlength=len(candidates))
        assert chisquare(counts).pvalue > 0.001
        # Where it meets no edge, the square is whole.
        n_black = (views == 0).flatten(1).sum(1)
        assert n_black.max() == size**2 and n_black.min() >= math.ceil(size / 2) ** 2

    def test_all_channels_lose_the_same_square_and_the_rest_stays(self):
        X = torch.rand(20, 3, 9, 9) + 0.1
        view = cutout(X, 4)
        black = view == 0
        assert black[:, 0].equal(black[:, 1]) and black[:, 0].equal(black[:, 2])
        assert view[~black].equal(X[~black])
        assert len(torch.unique(black[:, 0].flatten(1), dim=0)) > 10

    def test_ends(self):
        X = torch.rand(5, 3, 6, 6) + 0.1
        assert cutout(X, 0).equal(X)
        assert (cutout(X, 12) == 0).all()

    def test_sixteen_pixels_by_default(self):
        n_black = (cutout(torch.ones(500, 1, 32, 32)) == 0).flatten(1).sum(1)
        assert n_black.max() == 256


class TestAgainstPIL:
    """Bytes for bytes; where PIL rounds to bytes in between, within two of them."""

    @pytest.mark.fast_cases(4)
    @pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
    @pytest.mark.parametrize("sign", SIGNS)
    @pytest.mark.parametrize("name", MOVING)
    def test_moved_pixels(self, name, sign, shape):
        images = draw_bytes(shape)
        for level in LEVELS:
            given = apply(name, images, level, sign)
            matrix = matrix_of(name, level, sign, shape)
            compared = ~between_pixels(matrix, shape)
            assert compared.mean() > 0.9
            for image, found in zip(images, given, strict=True):
                picture = to_pil(image)
                moved = picture.transform(
                    picture.size, Image.Transform.AFFINE, matrix, Image.NEAREST
                )
                expected = from_pil(moved)[:, compared]
                np.testing.assert_allclose(found[:, compared], expected, atol=1e-4)

    @pytest.mark.parametrize("level", [10, 17, 30])
    def test_a_positive_angle_turns_clockwise_about_the_centre(self, level):
        images = draw_bytes((3, 32, 32))
        compared = ~between_pixels(
            matrix_of("rotate", level, 1, (3, 32, 32)), (3, 32, 32)
        )
        given = apply("rotate", images, level, 1)
        for image, found in zip(images, given, strict=True):
            expected = from_pil(to_pil(image).rotate(-level, Image.NEAREST))
            expected = expected[:, compared]
            np.testing.assert_allclose(found[:, compared], expected, atol=1e-4)

    @pytest.mark.fast_cases(4)
    @pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
    @pytest.mark.parametrize("sign", SIGNS)
    @pytest.mark.parametrize("name", BLENDING)
    def test_blended_colours(self, name, sign, shape):
        images = draw_bytes(shape)
        for level in LEVELS:
            given = apply(name, images, level, sign)
            for image, found in zip(images, given, strict=True):
                expected = by_pil(name, level, sign, image).astype(float)
                # PIL rounds what it blends with, and cuts off the result.
                assert np.abs(found - expected).max() <= 2

    @pytest.mark.parametrize("n_channels", [1, 3])
    @pytest.mark.parametrize("name", ["posterize", "solarize"])
    def test_every_byte_at_every_level(self, name, n_channels):
        image = np.arange(256, dtype=np.uint8).reshape(1, 16, 16).repeat(n_channels, 0)
        for level in range(31):
            expected = by_pil(name, level, 1, image)
            (found,) = apply(name, image[None], level, 1)
            np.testing.assert_allclose(found, expected, atol=1e-3)

    @pytest.mark.parametrize("kind", ["plain", "faint", "flat", "two", "dark", "rare"])
    @pytest.mark.parametrize("name", ["autocontrast", "equalize"])
    def test_histograms(self, name, kind):
        images = draw_bytes((3, 20, 24))
        if kind == "faint":
            images = images // 8 + 100
        elif kind == "flat":
            # One channel of a single value.
            images[:, 1] = 77
        elif kind == "two":
            images = np.where(images > 120, 200, 10).astype(np.uint8)
        elif kind == "dark":
            images[:] = 0
        elif kind == "rare":
            # Nearly all pixels have the last value: PIL's steps are then zero.
            images[:] = 250
            images[:, :, 0, :3] = 3
        for image, found in zip(images, apply(name, images, 10, 1), strict=True):
            expected = by_pil(name, 10, 1, image).astype(float)
            # PIL cuts off what it stretches; what it equalises are bytes.
            exact = 1e-3 if name == "equalize" else 1
            assert np.abs(found - expected).max() <= exact

    def test_few_pixels_are_not_equalised(self):
        # Below 255 pixels besides those of the last value, PIL's step is zero.
        image = draw_bytes((1, 8, 8))
        np.testing.assert_allclose(apply("equalize", image, 10, 1), image, atol=1e-3)
        np.testing.assert_array_equal(by_pil("equalize", 10, 1, image[0]), image[0])


class TestOperations:
    def test_the_fourteen_of_the_paper(self):
        expected = ["identity", *MOVING, *BLENDING]
        expected += ["posterize", "solarize", "autocontrast", "equalize"]
        assert sorted(OPERATIONS) == sorted(expected) and len(expected) == 14

    @pytest.mark.parametrize("name", [*MOVING, *BLENDING])
    def test_the_two_directions_differ_and_belong_to_each_image(self, name):
        X = scaled(draw_bytes((3, 16, 16), 1)).expand(4, 3, 16, 16)
        signs = torch.tensor([1.0, -1.0, 1.0, -1.0])
        view = OPERATIONS[name](X, 0.5, signs)
        for row, sign in enumerate(signs):
            alone = OPERATIONS[name](X[:1], 0.5, sign[None])
            torch.testing.assert_close(view[row], alone[0])
        assert (view[0] - view[1]).abs().mean() > 0.01

    @pytest.mark.parametrize("name", WITHOUT_SIGN)
    def test_the_others_have_no_direction(self, name):
        X = scaled(draw_bytes((3, 16, 16)))
        a, b = (OPERATIONS[name](X, 0.5, torch.full((4,), s)) for s in (-1.0, 1.0))
        assert a.equal(b)

    @pytest.mark.parametrize("name", OPERATIONS)
    def test_strength_zero_changes_nothing_but_histograms(self, name):
        X = scaled(draw_bytes((3, 16, 17)))
        view = OPERATIONS[name](X, 0.0, torch.ones(4))
        if name in ("autocontrast", "equalize"):
            assert not torch.allclose(view, X, atol=0.01)
        else:
            torch.testing.assert_close(view, X, rtol=0, atol=1e-6)

    def test_white_is_inverted_at_every_threshold_as_in_pil(self):
        white = torch.ones(1, 3, 4, 4)
        assert (OPERATIONS["solarize"](white, 0.0, torch.ones(1)) == 0).all()
        image = np.full((3, 4, 4), 255, np.uint8)
        assert (by_pil("solarize", 0, 1, image) == 0).all()

    @pytest.mark.fast_cases(4)
    @pytest.mark.parametrize("name", OPERATIONS)
    @pytest.mark.parametrize("n_channels", [1, 3, 4])
    @pytest.mark.parametrize("strength", [0.0, 1 / 3, 1.0])
    def test_nothing_leaves_the_range_or_its_kind(self, name, n_channels, strength):
        for dtype in (torch.float32, torch.float64):
            X = torch.rand(6, n_channels, 9, 11, dtype=dtype)
            X[0], X[1] = 0, 1
            before = X.clone()
            signs = torch.tensor([1.0, -1.0] * 3)
            view = OPERATIONS[name](X, strength, signs)
            assert view.shape == X.shape and view.dtype == dtype
            assert view.min() >= 0 and view.max() <= 1
            assert X.equal(before)

    def test_grey_images_have_no_colour_to_change(self):
        X = torch.rand(4, 1, 8, 8)
        view = OPERATIONS["colour"](X, 1.0, torch.tensor([1.0, -1.0, 1.0, -1.0]))
        torch.testing.assert_close(view, X, rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize("shape", [(1, 1), (2, 9), (9, 2)])
    def test_images_too_small_for_the_filter_stay(self, shape):
        X = torch.rand(2, 3, *shape)
        view = OPERATIONS["sharpness"](X, 1.0, torch.tensor([1.0, -1.0]))
        torch.testing.assert_close(view, X, rtol=1e-5, atol=1e-6)

    def test_what_comes_in_from_outside_is_black(self):
        X = torch.ones(1, 1, 20, 20)
        for name in MOVING:
            view = OPERATIONS[name](X, 1.0, torch.ones(1))
            assert set(view.unique().tolist()) == {0.0, 1.0}


def all_results(image, level):
    """Return what each operation makes of an image in both directions."""
    return torch.cat(
        [
            operation(image[None], level / 30, torch.tensor([float(sign)]))
            for operation in OPERATIONS.values()
            for sign in SIGNS
        ]
    )


def distances(views, candidates):
    """Return by how much a pixel differs at most, for each pair of images."""
    return torch.cdist(views.flatten(1), candidates.flatten(1), p=float("inf"))


class TestRandAugment:
    @pytest.mark.fast_cases(1)
    @pytest.mark.parametrize("level", [10, 20, 30])
    def test_one_operation_is_one_of_them_drawn_evenly(self, level):
        # So large and bright that every operation changes it from level 10 on.
        image = scaled(draw_bytes((3, 20, 20), 1))[0]
        candidates = all_results(image, level)
        views = rand_augment(image.expand(2800, -1, -1, -1), 1, level)
        distance = distances(views, candidates)
        assert distance.min(1).values.max() < 1e-5
        operation = distance.argmin(1) // 2
        counts = np.bincount(operation, minlength=14)
        assert chisquare(counts).pvalue > 0.001
        # Of those with a direction both occur equally often.
        for code, name in enumerate(OPERATIONS):
            if name not in WITHOUT_SIGN:
                here = distance.argmin(1)[operation == code] % 2
                assert binomtest(int(here.sum()), len(here), 0.5).pvalue > 0.001

    @pytest.mark.slow
    def test_two_operations_one_after_the_other_by_default(self):
        image = scaled(draw_bytes((3, 20, 20), 1))[0]
        candidates = torch.cat(
            [all_results(once, 10) for once in all_results(image, 10)]
        )
        views = rand_augment(image.expand(200, -1, -1, -1))
        distance = distances(views, candidates)
        assert distance.min(1).values.max() < 1e-5
        once = distances(views, all_results(image, 10))
        # An operation is the identity, or the same one twice, in a sixth of the pairs.
        assert (once.min(1).values > 1e-3).double().mean() > 0.6

    def test_no_operation_is_a_copy(self):
        X = torch.rand(5, 3, 8, 8)
        view = rand_augment(X, 0)
        assert view.equal(X) and view.data_ptr() != X.data_ptr()

    @pytest.mark.parametrize("magnitude", [-1, 31, 100])
    def test_a_magnitude_beyond_the_table(self, magnitude):
        message = rf"magnitude must be in \[0, 30\]; got {magnitude}\."
        with pytest.raises(ValueError, match=message):
            rand_augment(torch.rand(2, 3, 8, 8), magnitude=magnitude)

    def test_magnitudes_grow_with_the_level(self):
        X = scaled(draw_bytes((3, 24, 24)))
        for name in [*MOVING, *BLENDING, "posterize", "solarize"]:
            change = [
                (OPERATIONS[name](X, level / 30, torch.ones(4)) - X).abs().mean()
                for level in (5, 15, 30)
            ]
            assert change[0] < change[1] < change[2], name

    @given(
        st.integers(0, 10_000),
        st.integers(1, 4),
        st.integers(0, 30),
        st.sampled_from([(1, 5, 5), (3, 8, 8), (3, 6, 11), (4, 7, 7)]),
    )
    @examples(30)
    def test_images_in_images_out(self, seed, n_ops, magnitude, shape):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            X = torch.rand(9, *shape)
            before = X.clone()
            view = rand_augment(X, n_ops, magnitude)
        assert X.equal(before)
        assert view.shape == X.shape and view.dtype == X.dtype
        assert view.min() >= 0 and view.max() <= 1 and view.isfinite().all()


class TestEveryView:
    @ALL_VIEWS
    def test_the_same_seed_gives_the_same_view(self, view):
        X = torch.rand(30, 3, 16, 16)
        views = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            views.append(view(X))
        assert views[0].equal(views[1]) and not views[0].equal(views[2])

    @ALL_VIEWS
    def test_the_given_images_stay_as_they_are(self, view):
        X = torch.rand(30, 3, 16, 16)
        before = X.clone()
        out = view(X)
        assert X.equal(before) and not out.equal(X)
        # What is done to the view does not reach them either.
        out.zero_()
        assert X.equal(before)

    @ALL_VIEWS
    @pytest.mark.parametrize("shape", [(3, 16, 16), (1, 16, 24)])
    def test_the_layout_in_memory_does_not_matter(self, view, shape):
        X = torch.rand(30, *shape)
        torch.manual_seed(1)
        expected = view(X)
        torch.manual_seed(1)
        found = view(X.contiguous(memory_format=torch.channels_last))
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
        # And stays as it was.
        assert expected.is_contiguous()
        assert found.is_contiguous(memory_format=torch.channels_last)

    @ALL_VIEWS
    def test_double_precision_is_kept(self, view):
        X = torch.rand(30, 3, 16, 16, dtype=torch.float64)
        torch.manual_seed(1)
        out = view(X)
        assert out.dtype == torch.float64
        torch.manual_seed(1)
        single = view(X.float())
        # A pixel whose source lies between two may come from either.
        far = (out - single).abs() > 1e-5
        assert far.double().mean() < 0.005

    @ALL_VIEWS
    def test_a_single_image_of_a_single_channel(self, view):
        assert view(torch.rand(1, 1, 16, 16)).shape == (1, 1, 16, 16)
