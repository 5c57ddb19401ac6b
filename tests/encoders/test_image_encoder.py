"""Rows of images: what is in them, how they are kept, what is refused."""

import pickle
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from conftest import means
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from torch import nn

from sknoisy import ImageEncoder, NeighborVoteDetector
from sknoisy.encoders._image_batches import ImageRows
from sknoisy.encoders._image_models import ImageModel

Image = pytest.importorskip("PIL.Image", reason="Pillow is not there: extra images")


def stored(image, form="PNG"):
    file = BytesIO()
    Image.fromarray(image).save(file, form)
    return file.getvalue()


def written(images, folder):
    """Write images with names in order; return their paths."""
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{i:03}.png" for i in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        path.write_bytes(stored(image))
    return paths


class Fetched:
    """Rows on disk, of which some are fetched at a time."""

    def __init__(self, images):
        self.images = images
        self.shape = images.shape

    def __len__(self):
        return len(self.images)

    def fetch(self, index):
        return self.images[np.asarray(index)]


class Labelled(torch.utils.data.Dataset):
    """A data set that yields PIL images and labels."""

    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        return Image.fromarray(self.images[i]), 1


def test_all_containers_give_the_same_rows(images, colours, tmp_path):
    paths = written(images, tmp_path / "photos")
    files = [path.read_bytes() for path in paths]
    of_objects = np.empty(len(files), object)
    of_objects[:] = [Image.fromarray(image) for image in images]
    containers = [
        *(images, images.transpose(0, 3, 1, 2), list(images), images / 255),
        *(torch.from_numpy(images), paths, [str(path) for path in paths], files),
        *(np.array([str(path) for path in paths]), of_objects, tuple(files)),
        *(pd.Series(paths), pd.Series(files), pd.DataFrame({"image": files})),
        *(pl.Series([str(path) for path in paths]), np.array(files, object)[:, None]),
        *(tmp_path / "photos", str(tmp_path / "photos")),
        *(Fetched(images), Labelled(images), [{"bytes": file} for file in files]),
    ]
    for X in containers:
        rows = ImageEncoder(colours, batch_size=3).transform(X)
        assert rows.dtype == np.float32
        np.testing.assert_allclose(rows, means(images), rtol=1e-5)


def test_a_stack_of_grey_images(images, colours):
    rows = ImageEncoder(colours).transform(images[..., 0])
    np.testing.assert_allclose(rows, means(images[..., :1]).repeat(3, 1), rtol=1e-5)


def test_a_folder_is_read_with_its_subfolders_in_order(images, colours, tmp_path):
    written(images[:2], tmp_path / "b")
    written(images[2:4], tmp_path / "a")
    (tmp_path / "a" / "notes.txt").write_text("no image")
    rows = ImageEncoder(colours).transform(tmp_path)
    np.testing.assert_allclose(rows, means(images[[2, 3, 0, 1]]), rtol=1e-5)


def test_a_folder_of_classes_feeds_it_and_a_detector(images, colours, tmp_path):
    from sknoisy.datasets import load_image_folder

    written(images[:4], tmp_path / "cats")
    written(images[4:], tmp_path / "dogs")
    folder = load_image_folder(tmp_path)
    pipe = make_pipeline(ImageEncoder(colours), NeighborVoteDetector(n_neighbors=3))
    pipe.fit(folder.images, folder.labels)
    rows = pipe[0].transform(folder.images)
    np.testing.assert_allclose(rows, means(images), rtol=1e-5)
    again = pipe[0].set_params(cache=tmp_path / "cache", cache_id="a")
    np.testing.assert_array_equal(again.transform(folder.images), rows)
    assert set(pipe[-1].suggested_labels_) <= {"cats", "dogs"}


def test_colours_are_standardised(images, colours):
    mean, std = [0.1, 0.2, 0.3], [0.5, 0.25, 2.0]
    rows = ImageEncoder(colours, mean=mean, std=std).transform(images)
    np.testing.assert_allclose(rows, (means(images) - mean) / std, rtol=1e-4, atol=1e-6)


def test_images_of_several_sizes_are_resized(images, colours):
    sizes = [images[0], images[1][:6], images[2][:, :5]]
    rows = ImageEncoder(lambda X: X.flatten(1), image_size=4).transform(sizes)
    assert rows.shape == (3, 48)
    message = r"image 0 has \(12, 10\) pixels, image 1 has \(6, 10\): pass image_size="
    with pytest.raises(ValueError, match=message):
        ImageEncoder(colours).transform(sizes)


def test_maps_are_averaged_over_their_pixels(images):
    rows = ImageEncoder(nn.Identity()).transform(images)
    np.testing.assert_allclose(rows, means(images), rtol=1e-5)


class TestViews:
    def test_flip_is_the_row_of_the_mirrored_image(self, images):
        left = ImageEncoder(lambda X: X[..., :5].flatten(1), batch_size=3)
        rows, second = left.transform_views(images)
        np.testing.assert_array_equal(rows, left.transform(images))
        mirrored = np.ascontiguousarray(images[:, :, ::-1])
        np.testing.assert_array_equal(second, left.transform(mirrored))

    def test_each_image_is_read_once(self, images, colours):
        class Counted(list):
            n_read = 0

            def __getitem__(self, i):
                self.n_read += 1
                return super().__getitem__(i)

        X = Counted(images)
        ImageEncoder(colours).transform_views(X)
        # Once more to look at its size, which needs no decoding.
        assert X.n_read == len(images) and colours.n_images == 2 * len(images)

    def test_a_function_gets_colours_in_unit_range(self, images, colours):
        encoder = ImageEncoder(colours, second_view=lambda X: 1 - X, mean=[0.5] * 3)
        rows, second = encoder.transform_views(images)
        np.testing.assert_allclose(rows, means(images) - 0.5, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(second, -rows, rtol=1e-4, atol=1e-6)


class TestModule:
    @staticmethod
    def network():
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return nn.Sequential(
                nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.ReLU()
            )

    def test_it_is_evaluated_and_left_alone(self, images):
        network = self.network()
        network[0].eval()
        before = {k: v.clone() for k, v in network.state_dict().items()}
        state = torch.random.get_rng_state()
        rows = ImageEncoder(network, batch_size=3).fit_transform(images)
        assert network.training and not network[0].training
        for name, value in network.state_dict().items():
            assert torch.equal(value, before[name])
            assert value.is_contiguous()
        assert torch.equal(torch.random.get_rng_state(), state)
        X = torch.from_numpy(images.transpose(0, 3, 1, 2)).float() / 255
        with torch.no_grad():
            expected = self.network().eval()(X).mean((2, 3))
        np.testing.assert_allclose(rows, expected, rtol=1e-4, atol=1e-6)

    def test_its_weights_count_as_they_are_now(self, images):
        network = self.network()
        encoder = ImageEncoder(network)
        before = encoder.fit_transform(images)
        with torch.no_grad():
            network[0].weight.zero_()
        assert (encoder.transform(images) != before).any()

    def test_no_modes_of_torch_matter(self, images):
        encoder = ImageEncoder(self.network())
        expected = encoder.transform(images)
        torch.set_default_dtype(torch.float64)
        try:
            with torch.inference_mode():
                np.testing.assert_array_equal(encoder.transform(images), expected)
            assert torch.get_default_dtype() == torch.float64
        finally:
            torch.set_default_dtype(torch.float32)

    def test_half_precision_is_near(self, images):
        rows = ImageEncoder(self.network()).transform(images)
        half = ImageEncoder(self.network(), amp=True).transform(images)
        assert half.dtype == np.float32 and (half != rows).any()
        np.testing.assert_allclose(half, rows, rtol=0.05, atol=0.02)


def test_what_float16_cannot_hold_is_computed_in_float32(images):
    # As on a GPU; the CPU has float16, too, though it is not used there.
    layer = nn.Conv2d(3, 2, 1, bias=False).requires_grad_(False)
    pixels = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    for weight, is_exact in ((1e5, True), (1 / 3, False)):
        layer.weight.fill_(weight)
        encode = ImageRows(
            ImageModel(layer, layer), torch.device("cpu"), None, None, True
        )
        encode.dtype = torch.float32
        exact = encode(pixels)
        encode.dtype = torch.float16
        half = encode(pixels)
        assert np.isfinite(half).all()
        assert np.array_equal(half, exact) is is_exact
        np.testing.assert_allclose(half, exact, rtol=2e-3)


@pytest.mark.parametrize("n_jobs", [2, 3])
def test_threads_change_nothing(images, n_jobs):
    files = [stored(image) for image in images]
    encoder = ImageEncoder(lambda X: X.flatten(1), image_size=5, batch_size=3)
    rows = encoder.transform(files)
    encoder.set_params(n_jobs=n_jobs)
    np.testing.assert_array_equal(encoder.transform(files), rows)
    with pytest.raises(ValueError, match="image 5 cannot be read"):
        encoder.transform([*files[:5], b"damaged", *files[5:]])


class TestCache:
    def encoder(self, colours, folder, **params):
        params = {"cache": folder, "cache_id": "means", "batch_size": 3, **params}
        return ImageEncoder(colours, **params)

    def test_each_content_is_encoded_once(self, images, colours, tmp_path):
        encoder = self.encoder(colours, tmp_path / "cache")
        rows = encoder.transform(images)
        assert colours.n_images == 8
        np.testing.assert_array_equal(encoder.transform(images[::-1]), rows[::-1])
        assert colours.n_images == 8
        more = np.concatenate([images[:2], images[:1] // 2, images[:1] // 2])
        again = clone(encoder).set_params(model=colours).transform(more)
        assert colours.n_images == 9
        np.testing.assert_allclose(again, means(more), rtol=1e-5)

    def test_what_changes_the_rows_is_told_apart(self, images, colours, tmp_path):
        first = self.encoder(colours, tmp_path).transform(images)
        changes = [
            *({"image_size": 4}, {"mean": [0.5] * 3}, {"std": [2.0] * 3}),
            *({"cache_id": "other"}, {"amp": True}),
            {"image_size": 4, "resize": "squash"},
        ]
        for change in changes:
            seen = colours.n_images
            self.encoder(colours, tmp_path, **change).transform(images)
            assert colours.n_images == seen + 8, change
        again = self.encoder(colours, tmp_path, batch_size=5, n_jobs=2)
        seen = colours.n_images
        np.testing.assert_array_equal(again.transform(images), first)
        assert colours.n_images == seen

    def test_files_are_known_by_content_not_by_name(self, images, colours, tmp_path):
        paths = written(images, tmp_path / "photos")
        encoder = self.encoder(colours, tmp_path / "cache")
        rows = encoder.transform(paths)
        paths[0].rename(tmp_path / "moved.png")
        paths[1].write_bytes(stored(images[1] // 2))
        moved = encoder.transform([tmp_path / "moved.png", *paths[1:]])
        assert colours.n_images == 9
        np.testing.assert_array_equal(np.delete(moved, 1, 0), np.delete(rows, 1, 0))
        np.testing.assert_allclose(moved[1], means(images[1:2] // 2)[0], rtol=1e-5)

    def test_every_kind_of_image_has_a_key(self, images, colours, tmp_path):
        file = stored(images[0])
        (path,) = written(images[:1], tmp_path / "photos")
        image = Image.fromarray(images[0])
        X = [
            *(file, path, image, images[0], torch.from_numpy(images[0])),
            *({"bytes": file, "path": "a"}, {"bytes": None, "path": str(path)}),
            image.quantize(4),
        ]
        encoder = self.encoder(colours, tmp_path / "cache")
        rows = encoder.transform(X)
        # The bytes of the file are there four times, the array twice.
        assert colours.n_images == 4
        np.testing.assert_array_equal(encoder.transform(X), rows)
        assert colours.n_images == 4

    def test_views_are_kept_apart(self, images, tmp_path):
        flat = ImageEncoder(lambda X: X.flatten(1), cache=tmp_path, cache_id="flat")
        rows = flat.transform(images)
        both = flat.transform_views(images)
        np.testing.assert_array_equal(both[0], rows)
        mirrored = np.ascontiguousarray(images[:, :, ::-1])
        np.testing.assert_array_equal(both[1], flat.transform(mirrored))
        for one, other in zip(flat.transform_views(images), both, strict=True):
            np.testing.assert_array_equal(one, other)

    def test_weights_are_part_of_the_key(self, images, tmp_path):
        network = TestModule.network()
        rows = ImageEncoder(network, cache=tmp_path).transform(images)
        with torch.no_grad():
            network[0].weight.mul_(2)
        other = ImageEncoder(network, cache=tmp_path).transform(images)
        np.testing.assert_array_equal(other, ImageEncoder(network).transform(images))
        assert (other != rows).any()

    def test_an_interrupted_run_goes_on(self, images, colours, tmp_path):
        class Interrupted(type(colours)):
            def __call__(self, X):
                if self.n_images >= 6:
                    raise KeyboardInterrupt
                return super().__call__(X)

        with pytest.raises(KeyboardInterrupt):
            self.encoder(Interrupted(), tmp_path).transform(images)
        rows = self.encoder(colours, tmp_path).transform(images)
        assert colours.n_images == 2
        np.testing.assert_allclose(rows, means(images), rtol=1e-5)

    def test_functions_need_a_name(self, images, colours, tmp_path):
        with pytest.raises(ValueError, match="content of model, a function: give a"):
            ImageEncoder(colours, cache=tmp_path).transform(images)
        encoder = ImageEncoder(nn.Identity(), cache=tmp_path, second_view=torch.abs)
        with pytest.raises(ValueError, match="content of second_view, a function"):
            encoder.transform_views(images)
        assert encoder.transform(images).shape == (8, 3)

    def test_unreadable_images_are_not_kept(self, images, colours, tmp_path):
        X = [stored(images[0]), b"damaged", None, tmp_path / "absent.png"]
        encoder = self.encoder(colours, tmp_path / "cache", on_error="nan")
        for n_images in (1, 1):
            with pytest.warns(UserWarning, match="3 of 4 images cannot be read"):
                rows = encoder.transform(X)
            assert np.isnan(rows).all(1).tolist() == [False, True, True, True]
            assert colours.n_images == n_images


class TestUnreadable:
    def test_it_is_named(self, images, colours, tmp_path):
        paths = written(images, tmp_path / "photos")
        paths[3].write_bytes(paths[3].read_bytes()[:60])
        with pytest.raises(ValueError, match=r"image 3, '.*003.png', cannot be read"):
            ImageEncoder(colours).transform(paths)
        with pytest.raises(ValueError, match="image 1 is missing; repair it, leave"):
            ImageEncoder(colours).transform([images[0], None])

    def test_missing_files_are_counted_before_the_work(self, images, colours, tmp_path):
        paths = [*written(images[:1], tmp_path / "photos"), *(map(Path, "abcde"))]
        message = r"5 of 6 images do not exist: 1 \('a'\), .* 3 \('c'\), \.\.\.\. Rel"
        with pytest.raises(ValueError, match=message):
            ImageEncoder(colours).transform(paths)
        assert colours.n_images == 0

    def test_rows_of_nan_and_a_warning(self, images, colours):
        X = [None, *images[:3], b"damaged", *[b""] * 5]
        encoder = ImageEncoder(colours, on_error="nan", batch_size=2)
        message = r"7 of 10 images cannot be read; .* NaN: 0, 4, 5, 6, 7, \.\.\."
        with pytest.warns(UserWarning, match=message):
            rows = encoder.fit_transform(X)
        assert np.isnan(rows).all(1).nonzero()[0].tolist() == [0, *range(4, 10)]
        np.testing.assert_allclose(rows[1:4], means(images[:3]), rtol=1e-5)
        assert clone(encoder).set_params(model=colours).fit(X).n_features_out_ == 3
        with pytest.raises(ValueError, match="none of the 2 images can be read"):
            encoder.transform([b"", None])
        with pytest.raises(ValueError, match="none of the 1 images can be read"):
            encoder.fit([b""])

    def test_what_a_data_set_cannot_read(self, images, colours):
        class Broken(Fetched):
            def fetch(self, index):
                if 2 in index:
                    raise ValueError("row 2: it is broken")
                return super().fetch(index)

        with pytest.raises(
            ValueError, match=r"image 2 cannot be read \(row 2: it is br"
        ):
            ImageEncoder(colours).transform(Broken(images))
        with pytest.warns(UserWarning, match="1 of 8 images cannot be read"):
            rows = ImageEncoder(colours, on_error="nan").transform(Broken(images))
        assert np.isnan(rows).all(1).nonzero()[0].tolist() == [2]

    def test_what_is_no_image_is_refused_all_the_same(self, images, colours):
        for on_error in ("raise", "nan"):
            with pytest.raises(TypeError, match="image 1 is a int; give a path"):
                ImageEncoder(colours, on_error=on_error).transform([images[0], 7])
            with pytest.raises(ValueError, match=r"image 0 has the shape \(2,\)"):
                ImageEncoder(colours, on_error=on_error).transform([np.zeros(2)])


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (7, TypeError, "X is a int; pass a list of paths or images"),
        ({"a": 1}, TypeError, "X is a dict"),
        (b"file", TypeError, "X is a bytes"),
        ([], ValueError, "X holds no images"),
        (np.zeros((0, 3, 8, 8)), ValueError, "X holds no images"),
        ("nowhere", ValueError, "X is 'nowhere', which is not there"),
        (
            np.zeros((8, 9, 3)),
            ValueError,
            r"one image, shape \(8, 9, 3\); pass X\[None",
        ),
        (np.zeros((9, 8)), ValueError, "X has 2 dimensions"),
        (np.zeros((9, 8, 8, 8)), ValueError, "neither its second nor its last axis"),
        (
            np.full((2, 3, 8, 8), 7.5),
            ValueError,
            "X has float64 values from 7.5 to 7.5",
        ),
        (np.zeros((2, 3, 8, 8), complex), TypeError, "X has dtype complex128; give"),
        (pd.DataFrame({"a": ["x"], "b": ["y"]}), ValueError, "a frame with 2 columns"),
    ],
)
def test_what_holds_no_images_is_refused(colours, X, error, message):
    with pytest.raises(error, match=message):
        ImageEncoder(colours).fit(X)


def test_one_file_and_an_empty_folder_are_refused(colours, tmp_path):
    with pytest.raises(ValueError, match="holds no files of images"):
        ImageEncoder(colours).fit(tmp_path)
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(ValueError, match="which is one file; pass a list of paths"):
        ImageEncoder(colours).fit(tmp_path / "a.png")


def _no_memory(X):
    raise torch.OutOfMemoryError("all of it is taken.")


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            nn.Conv2d(4, 2, 3),
            r"cannot take images of shape \(8, 3, 12, 10\): .* another",
        ),
        (_no_memory, "Lower batch_size, which is 8 here, or image_size"),
        (lambda X: X[:, 0], r"the shape \(8, 12, 10\) for 8 images"),
        (lambda X: X.mean((2, 3))[1:], r"the shape \(7, 3\) for 8 images"),
        (lambda X: (X,), "model returns a tuple; it must return a tensor"),
        (lambda X: X.mean((2, 3)) / 0 * 0, "NaN or infinity for an image"),
        (nn.Linear, "model=Linear is a class; give an instance"),
        ("resnet18", "model='resnet18' is not known; give 'timm:NAME'"),
        ("timm:", "model='timm:' is not known"),
        (7, "'model' parameter of ImageEncoder must be"),
    ],
)
def test_models_that_give_no_rows_are_refused(images, model, message):
    error = torch.OutOfMemoryError if model is _no_memory else ValueError
    with pytest.raises(error, match=message):
        ImageEncoder(model).fit_transform(images)


def test_rows_of_several_lengths_are_refused(images):
    encoder = ImageEncoder(lambda X: X.flatten(1)[:, : len(X)], batch_size=5)
    with pytest.raises(ValueError, match="rows of 5 and of 3 features"):
        encoder.transform(images)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"image_size": 0}, "image_size"),
        ({"resize": "pad"}, "resize"),
        ({"second_view": "turn"}, "second_view"),
        ({"batch_size": 0}, "batch_size"),
        ({"on_error": "skip"}, "on_error"),
        ({"device": "abacus"}, "device='abacus' is not a torch device"),
        ({"mean": [1, 2]}, r"mean must hold 3 numbers; got \[1, 2\]"),
        ({"std": [1, 0, 1]}, r"std must be above 0; got \[1, 0, 1\]"),
        ({"weights": "a.pth"}, "weights= is for networks by name"),
    ],
)
def test_bad_parameters_are_refused(images, colours, params, message):
    with pytest.raises(ValueError, match=message):
        ImageEncoder(colours, **params).fit(images)


class TestContract:
    def test_a_pickle_gives_the_same_rows(self, images):
        encoder = ImageEncoder(TestModule.network()).fit(images)
        again = pickle.loads(pickle.dumps(encoder))
        np.testing.assert_array_equal(
            again.transform(images), encoder.transform(images)
        )
        assert again.n_features_out_ == 4

    def test_names_of_features(self, images, colours):
        encoder = ImageEncoder(colours)
        with pytest.raises(NotFittedError):
            encoder.get_feature_names_out()
        names = encoder.fit(images).get_feature_names_out()
        assert names.tolist() == [f"imageencoder{i}" for i in range(3)]
        frame = encoder.set_output(transform="pandas").transform(images)
        assert frame.columns.tolist() == names.tolist()

    def test_fit_encodes_one_image(self, images, colours):
        ImageEncoder(colours).fit(images)
        assert colours.n_images == 1

    def test_a_pipeline_and_a_column_of_a_frame(self, images, colours, tmp_path):
        y = np.repeat([0, 1], 4)
        pipe = make_pipeline(ImageEncoder(colours), NeighborVoteDetector(n_neighbors=3))
        assert pipe.fit(images, y)[-1].noise_scores_.shape == (8,)
        paths = list(map(str, written(images, tmp_path / "photos")))
        frame = pd.DataFrame({"path": paths, "size": np.arange(8.0)})
        columns = make_column_transformer(
            (ImageEncoder(colours), "path"), ("passthrough", ["size"])
        )
        rows = columns.fit_transform(frame)
        np.testing.assert_allclose(rows[:, :3], means(images), rtol=1e-5)

    def test_progress_counts_images(self, images, colours, capsys):
        ImageEncoder(colours, verbose=1, batch_size=3).transform(images)
        assert "8/8" in capsys.readouterr().err
        ImageEncoder(colours).transform(images)
        assert capsys.readouterr() == ("", "")

    def test_nothing_of_the_users_changes(self, images, colours):
        before = images.copy()
        ImageEncoder(colours, image_size=4).fit_transform(images)
        np.testing.assert_array_equal(images, before)
