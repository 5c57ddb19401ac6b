"""Second views of copied rows: built in, of the user, or given for all rows."""

import numpy as np
import pytest
from PIL import Image
from sklearn import config_context
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sknoisy import DynaCorDetector
from sknoisy._row_source import RowSource
from sknoisy.detection._dynamics._second_view import crop_resize, flip, with_copies

COPIES = {"corruption": "copy", "decision": "cluster"}
QUICK = {
    **COPIES,
    "settings": [{"max_epochs": 2, "module__hidden": 4}],
    "encoder_epochs": 1,
    "random_state": 0,
}


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (5, 3, 32, 32)).astype(np.uint8)


@pytest.fixture
def rows_seen(monkeypatch):
    """Rows that networks are trained on, one array for each training."""
    from sknoisy.detection import _dynacor

    seen, record = [], _dynacor.record_dynamics

    def watched(net, rows, *args, **kwargs):
        seen.append(rows)
        return record(net, rows, *args, **kwargs)

    monkeypatch.setattr(_dynacor, "record_dynamics", watched)
    return seen


def test_flip_reverses_the_columns(images):
    np.testing.assert_array_equal(flip(images)[..., 0], images[..., -1])


def test_crop_and_resize_are_those_of_an_image_library(images):
    expected = np.stack(
        [
            np.asarray(
                Image.fromarray(image[:, 4:-4, 4:-4].transpose(1, 2, 0)).resize(
                    (32, 32), Image.Resampling.BICUBIC
                )
            ).transpose(2, 0, 1)
            for image in images
        ]
    ).astype(int)
    view = crop_resize(images)
    assert view.dtype == np.uint8
    # Pillow rounds and clips between the two directions, which torch does not.
    assert (np.abs(view - expected) <= 2).mean() > 0.95


def test_a_smooth_image_is_enlarged_by_four_thirds():
    ramp = np.arange(32, dtype=np.float32)
    images = np.tile(ramp, (1, 1, 32, 1))
    view = crop_resize(images)[0, 0, 16]
    # The centre of column j lies at (j + 1/2) 24/32 - 1/2 of the cropped image.
    inner = slice(3, -3)
    expected = (4 + (ramp + 0.5) * 0.75 - 0.5)[inner]
    np.testing.assert_allclose(view[inner], expected, atol=1e-4)


def test_images_of_any_size_keep_their_range(images):
    for size in (3, 8, 9):
        small = images[:, :, :size, :size]
        view = crop_resize(small)
        assert view.shape == small.shape
        assert view.min() >= small.min() and view.max() <= small.max()


def test_images_of_two_pixels_are_refused(images):
    with pytest.raises(ValueError, match="needs images of 3 pixels or more a side"):
        crop_resize(images[..., :2, :2])


def test_second_views_of_all_rows_are_what_copies_show(blobs, rows_seen):
    X, y, _ = blobs
    X_copy = X + np.arange(len(X))[:, None]
    detector = DynaCorDetector(**QUICK).fit(X, y, X_copy=X_copy)
    source = detector.corrupted_indices_
    (rows,) = rows_seen
    np.testing.assert_allclose(rows[len(X) :], X_copy[source].astype(np.float32))
    np.testing.assert_allclose(rows[: len(X)], X.astype(np.float32))


def test_a_callable_is_given_rows_and_their_numbers(blobs, rows_seen):
    X, y, _ = blobs
    views = np.random.default_rng(0).normal(size=X.shape)

    def view(rows, index):
        np.testing.assert_allclose(rows, X[index].astype(np.float32))
        rows[:] = 0
        return views[index]

    before = X.copy()
    detector = DynaCorDetector(copy_view=view, **QUICK).fit(X, y)
    (rows,) = rows_seen
    expected = views[detector.corrupted_indices_].astype(np.float32)
    np.testing.assert_allclose(rows[len(X) :], expected)
    np.testing.assert_allclose(rows[: len(X)], before.astype(np.float32))
    np.testing.assert_array_equal(X, before)


@pytest.mark.parametrize(
    ("copy_view", "expected"),
    [("auto", crop_resize), ("flip", flip), ("crop_resize", crop_resize)],
)
def test_copies_of_images_show_another_view(images, copy_view, expected):
    index = np.array([0, 3])
    rows = with_copies(DynaCorDetector(), images, index, copy_view, None)
    np.testing.assert_array_equal(rows[: len(images)], images)
    np.testing.assert_array_equal(rows[len(images) :], expected(images[index]))


def test_identical_copies_of_vectors_warn_unless_asked_for(blobs):
    X, y, _ = blobs
    with pytest.warns(UserWarning, match="copies are identical to their rows"):
        warned = DynaCorDetector(**QUICK).fit(X, y)
    asked = DynaCorDetector(copy_view=None, **QUICK).fit(X, y)
    np.testing.assert_array_equal(warned.noise_scores_, asked.noise_scores_)


def test_views_are_routed_through_a_pipeline(blobs, rows_seen):
    X, y, _ = blobs
    with config_context(enable_metadata_routing=True):
        detector = DynaCorDetector(**QUICK).set_fit_request(X_copy=True)
        pipeline = make_pipeline(FunctionTransformer(), detector)
        pipeline.fit(X, y, X_copy=X + 1)
    (rows,) = rows_seen
    source = detector.corrupted_indices_
    np.testing.assert_allclose(rows[len(X) :], (X[source] + 1).astype(np.float32))


@pytest.mark.parametrize(
    ("params", "make", "message"),
    [
        ({"copy_view": "flip"}, None, "copy_view='flip' is for images of shape"),
        ({}, lambda X: X[:-1], "X_copy must have the shape of the rows that it shows"),
        ({}, lambda X: X[:, :2], "X_copy: X has 2 features, but .* expecting 4"),
        ({}, lambda X: X * np.nan, "X_copy: Input X contains NaN"),
        ({"copy_view": np.copy}, np.copy, "X_copy and copy_view both say"),
        (
            {"copy_view": lambda rows: rows[:1]},
            None,
            "result of copy_view must have the shape",
        ),
        (
            {"corruption": "relabel", "decision": "calibrated"},
            np.copy,
            "X_copy needs corruption='copy'",
        ),
    ],
)
def test_views_that_cannot_be_used_are_refused_before_training(
    blobs, rows_seen, params, make, message
):
    X, y, _ = blobs
    detector = DynaCorDetector(**{**QUICK, **params})
    with pytest.raises(ValueError, match=message):
        detector.fit(X, y, X_copy=None if make is None else make(X))
    assert not rows_seen


@pytest.mark.parametrize("scale", [1.0, 1 / 255])
def test_views_of_bytes_are_bytes(images, scale):
    # Numbers in [0, 1] would become black images.
    index, kind = np.arange(2), "same kind as X, uint8; got float32"
    with pytest.raises(ValueError, match=kind):
        with_copies(DynaCorDetector(), images, index, lambda r: r * scale, None)
    with pytest.raises(ValueError, match=kind):
        with_copies(DynaCorDetector(), images, index, "auto", images * scale)
    with pytest.raises(ValueError, match="same kind as X, float32; got uint8"):
        X = (images / 255).astype(np.float32)
        with_copies(DynaCorDetector(), X, index, "auto", images)


@pytest.mark.parametrize("copy_view", ["auto", "flip", np.negative])
def test_without_copies_no_view_is_needed(images, copy_view):
    none = np.arange(0)
    rows = with_copies(DynaCorDetector(), images, none, copy_view, None)
    np.testing.assert_array_equal(rows, images)


def test_rows_that_a_source_keeps_are_not_changed(images):
    class Keeping(RowSource):
        shape, dtype = images.shape, images.dtype

        def fetch(self, index):
            return images

    before = images.copy()
    rows = with_copies(DynaCorDetector(), Keeping(), np.array([1]), "flip", None)
    rows.fetch([0, 5, 2, 3, 4])
    np.testing.assert_array_equal(images, before)


class OnDisk(RowSource):
    """Rows that count how they are read."""

    def __init__(self, rows):
        self.rows, self.shape, self.dtype = rows, rows.shape, rows.dtype

    def fetch(self, index):
        return self.rows[np.asarray(index)]


@pytest.mark.parametrize(
    "copy_view", [None, "flip", lambda rows, index: rows[::1] // 2]
)
def test_copies_of_rows_on_disk_show_what_those_in_memory_do(images, copy_view):
    source = np.array([1, 4])
    expected = with_copies(DynaCorDetector(), images, source, copy_view, None)
    rows = with_copies(DynaCorDetector(), OnDisk(images), source, copy_view, None)
    assert rows.shape == expected.shape
    np.testing.assert_array_equal(rows.load(), expected)
    np.testing.assert_array_equal(rows.fetch([6, 0, 5]), expected[[6, 0, 5]])
    np.testing.assert_array_equal(rows.fetch_changed([6, 0], 0), expected[[6, 0]])


def test_second_views_on_disk(images):
    source, views = np.array([1, 4]), 255 - images
    detector = DynaCorDetector()
    for X in (images, OnDisk(images)):
        for X_copy in (views, OnDisk(views)):
            rows = with_copies(detector, X, source, "auto", X_copy)
            copies = rows[5:] if X is images else rows.fetch([5, 6])
            np.testing.assert_array_equal(copies, views[source])


def test_wrong_labels_that_identical_copies_hide_are_found_by_second_views():
    # F1 of four seeds: identical 0.14-0.22, second views 0.76-0.86.
    rng = np.random.default_rng(0)
    y, n = rng.integers(0, 4, 600), 600
    things = 0.45 * rng.normal(size=(4, 64))[y] + 0.5 * rng.normal(size=(n, 64))
    X, X_copy = (things + 0.5 * rng.normal(size=(n, 64)) for _ in range(2))
    is_wrong = rng.random(n) < 0.4
    noisy = np.where(is_wrong, (y + rng.integers(1, 4, n)) % 4, y)
    detector = DynaCorDetector(settings="paper", **COPIES, random_state=0)
    found = detector.fit_predict_noisy(X, noisy, X_copy=X_copy)
    hidden = detector.set_params(copy_view=None).fit_predict_noisy(X, noisy)
    assert f1_score(is_wrong, found) > 0.65
    assert f1_score(is_wrong, hidden) < 0.35
