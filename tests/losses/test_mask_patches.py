"""Peaks, patches and softened labels: one image at a time in numpy, and identities."""

import numpy as np
import pytest
import torch
from fast_part import examples
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from sknoisy.losses import (
    activation_map,
    mask_patches,
    peak_and_valley,
    soften_labels,
)

MANY = examples(60)
SEEDS = st.integers(0, 10_000)


def images(seed, n_rows=6, shape=(3, 9, 12)):
    return torch.rand(n_rows, *shape, generator=torch.Generator().manual_seed(seed))


def slow_resize(plane, size):
    """Bilinear, pixel centres at half-integers, edges repeated; in float64."""
    out = np.zeros(size)
    for r in range(size[0]):
        for c in range(size[1]):
            y = np.clip((r + 0.5) * plane.shape[0] / size[0] - 0.5, 0, None)
            x = np.clip((c + 0.5) * plane.shape[1] / size[1] - 0.5, 0, None)
            y0, x0 = int(y), int(x)
            y1 = min(y0 + 1, plane.shape[0] - 1)
            x1 = min(x0 + 1, plane.shape[1] - 1)
            v, u = y - y0, x - x0
            top = (1 - u) * plane[y0, x0] + u * plane[y0, x1]
            out[r, c] = (1 - v) * top + v * (
                (1 - u) * plane[y1, x0] + u * plane[y1, x1]
            )
    return out


def slow_mask(image, place, area, aspect, fill, anchor):
    n_channels, height, width = image.shape
    h = int(np.clip(np.round(np.sqrt(area * height * width * aspect)), 0, height))
    w = int(np.clip(np.round(np.sqrt(area * height * width / aspect)), 0, width))
    r, c = place
    if anchor == "center":
        r, c = r - h // 2, c - w // 2
    r, c = min(max(r, 0), height - h), min(max(c, 0), width - w)
    masked = image.copy()
    for k in range(n_channels):
        masked[k, r : r + h, c : c + w] = fill[k]
    return masked, (r, c, h, w)


class TestActivationMap:
    @given(SEEDS, st.integers(1, 5), st.integers(1, 5))
    @MANY
    def test_the_energy_enlarged_image_by_image(self, seed, h, w):
        maps = torch.randn(3, 4, h, w, generator=torch.Generator().manual_seed(seed))
        found = activation_map(maps, (7, 10)).numpy()
        for image, activation in zip(maps.double().numpy(), found, strict=True):
            energy = slow_resize((image**2).sum(0), (7, 10))
            spread = energy.max() - energy.min()
            flat = spread <= 1e-5 * energy.max()
            scaled = 0 * energy if flat else (energy - energy.min()) / spread
            assert_allclose(activation, scaled, atol=1e-3)

    def test_a_flat_map_is_nought(self):
        assert_array_equal(activation_map(torch.ones(2, 3, 4, 4), (8, 8)), 0)

    def test_half_precision_is_not_kept(self):
        made = activation_map(torch.ones(1, 1, 2, 2, dtype=torch.bfloat16), (4, 4))
        assert made.dtype == torch.float32


class TestPeakAndValley:
    @given(SEEDS)
    @MANY
    def test_as_numpy_on_bytes(self, seed):
        activation = torch.rand(4, 6, 5, generator=torch.Generator().manual_seed(seed))
        peak, valley = peak_and_valley(activation)
        for i, plane in enumerate(activation.numpy()):
            levels = np.floor(plane * np.float32(255))
            expected = np.unravel_index(levels.argmax(), levels.shape)
            assert tuple(peak[i].tolist()) == expected
            expected = np.unravel_index(levels.argmin(), levels.shape)
            assert tuple(valley[i].tolist()) == expected

    def test_a_plateau_counts_as_one_height(self):
        activation = torch.tensor([[[0.0, 0.999, 0.9995], [0.002, 0.5, 0.999]]])
        peak, valley = peak_and_valley(activation)
        assert (peak.tolist(), valley.tolist()) == ([[0, 1]], [[0, 0]])
        # Only 1 is of the highest level, and 0.002 is of the lowest one, too.
        peak, valley = peak_and_valley(torch.tensor([[[0.999, 1.0, 0.002, 0.0]]]))
        assert (peak.tolist(), valley.tolist()) == ([[0, 1]], [[0, 2]])


class TestMaskPatches:
    @given(
        SEEDS,
        st.floats(0, 1),
        st.floats(0.2, 5),
        st.sampled_from(["center", "corner"]),
    )
    @MANY
    def test_one_image_at_a_time(self, seed, area, aspect, anchor):
        rng = np.random.default_rng(seed)
        X = images(seed)
        places = np.stack([rng.integers(0, 9, 6), rng.integers(0, 12, 6)], 1)
        # Sizes of exactly a half would be a matter of float32's rounding.
        areas = np.full(6, area, dtype=np.float32) * rng.random(6, dtype=np.float32)
        aspects = np.full(6, aspect, dtype=np.float32)
        fills = rng.random((6, 3), dtype=np.float32)
        made = mask_patches(
            X, *map(torch.from_numpy, (places, areas, aspects, fills)), anchor
        ).numpy()
        for i, image in enumerate(X.numpy()):
            masked, _ = slow_mask(
                image, places[i], areas[i], aspects[i], fills[i], anchor
            )
            assert_array_equal(made[i], masked)

    @given(SEEDS, st.floats(0.01, 0.5), st.floats(0.5, 2))
    @MANY
    def test_a_rectangle_that_holds_the_place(self, seed, area, aspect):
        rng = np.random.default_rng(seed)
        X = images(seed, n_rows=1)
        r, c = int(rng.integers(9)), int(rng.integers(12))
        made = mask_patches(
            X,
            torch.tensor([[r, c]]),
            torch.tensor([area]),
            torch.tensor([aspect]),
            torch.full((1, 3), 2.0),
        )
        changed = (made != X).any(1)[0]
        rows, columns = changed.any(1).nonzero(), changed.any(0).nonzero()
        h, w = len(rows), len(columns)
        assert changed.sum() == h * w
        assert h == min(round((area * 108 * aspect) ** 0.5), 9)
        assert w == min(round((area * 108 / aspect) ** 0.5), 12)
        assert h == 0 or w == 0 or changed[r, c]

    def test_nothing_is_hidden_of_no_area(self):
        X = images(0)
        zero = torch.zeros(6)
        place = torch.zeros(6, 2, dtype=torch.int64)
        assert torch.equal(mask_patches(X, place, zero, zero + 1, torch.ones(6, 3)), X)

    def test_the_users_images_stay_and_layout_is_kept(self):
        X = images(0).contiguous(memory_format=torch.channels_last)
        before = X.clone()
        made = mask_patches(
            X,
            torch.zeros(6, 2, dtype=torch.int64),
            torch.full((6,), 0.2),
            torch.ones(6),
            torch.ones(6, 3),
        )
        assert torch.equal(X, before)
        assert made.is_contiguous(memory_format=torch.channels_last)

    def test_an_image_does_not_touch_another(self):
        X, place = images(1), torch.full((6, 2), 4)
        area, aspect, fill = torch.full((6,), 0.1), torch.ones(6), torch.ones(6, 3)
        together = mask_patches(X, place, area, aspect, fill)
        alone = mask_patches(X[2:3], place[2:3], area[2:3], aspect[2:3], fill[2:3])
        assert torch.equal(together[2:3], alone)


class TestSoftenLabels:
    @given(SEEDS, st.integers(2, 8), st.floats(0, 1), st.booleans())
    @MANY
    def test_distributions_stay_distributions(self, seed, n_classes, ratio, keep):
        generator = torch.Generator().manual_seed(seed)
        targets = torch.rand(5, n_classes, generator=generator).softmax(1)
        softened = soften_labels(targets, torch.full((5,), ratio), keep)
        assert_allclose(softened.sum(1), 1, rtol=1e-6)
        assert (softened >= 0).all()

    @given(SEEDS, st.integers(2, 8), st.floats(0, 1))
    @MANY
    def test_the_rule_in_numpy(self, seed, n_classes, ratio):
        rng = np.random.default_rng(seed)
        targets = rng.dirichlet(np.ones(n_classes), 5)
        softened = soften_labels(
            torch.from_numpy(targets), torch.full((5,), ratio, dtype=torch.float64)
        ).numpy()
        for row, found in zip(targets, softened, strict=True):
            top = row.argmax()
            rho = min(ratio, row[top])
            expected = row + rho / (n_classes - 1)
            expected[top] = row[top] - rho
            assert_allclose(found, expected, atol=1e-12)

    @given(SEEDS, st.integers(2, 8), st.floats(0, 1))
    @MANY
    def test_the_class_is_kept_exactly_up_to_the_bound(self, seed, n_classes, ratio):
        # ρ <= (y1 - y2)(C - 1)/C
        rng = np.random.default_rng(seed)
        targets = rng.dirichlet(np.ones(n_classes), 1)
        first, second = np.sort(targets[0])[::-1][:2]
        bound = (first - second) * (n_classes - 1) / n_classes
        softened = soften_labels(
            torch.from_numpy(targets), torch.tensor([ratio], dtype=torch.float64)
        )
        if abs(ratio - bound) > 1e-9:
            kept = softened.argmax().item() == targets.argmax()
            assert kept == (ratio < bound)
        kept = soften_labels(
            torch.from_numpy(targets), torch.tensor([ratio], dtype=torch.float64), True
        )
        assert kept.max() - kept[0, targets.argmax()] < 1e-12

    @pytest.mark.parametrize("keep", [False, True])
    def test_nothing_hidden_nothing_softened(self, keep):
        targets = torch.eye(3)
        assert torch.equal(soften_labels(targets, torch.zeros(3), keep), targets)
