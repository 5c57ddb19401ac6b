import os
import unicodedata

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from torch import nn

from sknoisy import ConfidentLearningDetector, ImageEncoder, NetClassifier
from sknoisy.datasets import (
    CenterCrop,
    ImageReadError,
    LabelledImages,
    RandomCrop,
    load_image_folder,
)
from sknoisy.datasets._listing import find_duplicates

RNG = np.random.default_rng(0)


class Mean(nn.Module):
    """A linear network on the mean colour."""

    def __init__(self, n_classes):
        super().__init__()
        self.head = nn.Linear(3, n_classes)

    def forward(self, X):
        return self.head(X.mean((2, 3)))


def draw(path, size=(8, 6), colour=None):
    """Save a noisy image, or one of one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if colour is None:
        pixels = RNG.integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)
        Image.fromarray(pixels).save(path)
    else:
        Image.new("RGB", size, colour).save(path)


@pytest.fixture
def folder(tmp_path):
    for name in ("b/2.png", "b/1.PNG", "a/x/y/3.jpeg", "a/0.bmp", "c d/é.png"):
        draw(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "a/README").write_text("no image")
    for hidden in (".git/x.png", "a/.thumbs/x.png", "a/._0.png"):
        draw(tmp_path / hidden)
    return tmp_path


def test_class_folders(folder):
    data = load_image_folder(folder)
    names = ["a/0.bmp", "a/x/y/3.jpeg", "b/1.PNG", "b/2.png", "c d/é.png"]
    assert data.names.tolist() == names
    assert data.labels.tolist() == ["a", "a", "b", "b", "c d"]
    assert data.classes.tolist() == ["a", "b", "c d"]
    assert data.codes.tolist() == [0, 0, 1, 1, 2] and len(data) == 5
    assert data.clean_labels is None and data.clean_codes is None
    assert data.skipped == data.duplicates == data.conflicts == []
    for i, name in enumerate(names):
        pixels = np.asarray(Image.open(folder / name).convert("RGB"))
        np.testing.assert_array_equal(data.images[i], pixels.transpose(2, 0, 1))
    assert repr(data) == "<LabelledImages: 5 of 3x6x8, 3 classes>"
    part = data.take(data.labels == "b")
    assert isinstance(part, LabelledImages) and part.labels.tolist() == ["b", "b"]
    assert part.codes.tolist() == [1, 1] and part.images.shape == (2, 3, 6, 8)


def test_a_network_and_a_detector_on_a_folder(tmp_path):
    for i in range(12):
        draw(tmp_path / "red" / f"{i}.png", colour=(200 + i, 10, 10))
        draw(tmp_path / "blue" / f"{i}.png", colour=(10, 10, 200 + i))
    os.rename(tmp_path / "red/3.png", tmp_path / "blue/wrong.png")
    data = load_image_folder(tmp_path, size=4)
    net = NetClassifier(Mean, max_epochs=20, augment=None, random_state=0)
    detector = ConfidentLearningDetector(net, cv=3, random_state=0)
    worst = detector.fit(data.images, data.labels).ranking()[0]
    assert data.names[worst] == "blue/wrong.png"


def test_a_pipeline_of_an_encoder_and_a_regression(tmp_path):
    for name, colour in (("red", (220, 20, 20)), ("blue", (20, 20, 220))):
        for i in range(10):
            draw(tmp_path / name / f"{i}.png", size=(8 + i, 9), colour=colour)
    data = load_image_folder(tmp_path, size=6, duplicates=False)
    colours = ImageEncoder(nn.AdaptiveAvgPool2d(1))
    model = make_pipeline(colours, LogisticRegression(C=1000))
    scores = cross_val_score(model, data.images, data.labels, cv=2)
    assert scores.tolist() == [1, 1]
    rows = colours.fit_transform(data.images)
    np.testing.assert_allclose(rows[0] * 255, [20, 20, 220], atol=0.5)


class TestTables:
    def write(self, folder, text, name="labels.csv", **how):
        path = folder / name
        path.write_text(text, **{"encoding": "utf-8", **how})
        return path

    def test_paths_and_labels(self, folder):
        text = "path,label,split\nb/2.png,zebra,train\nc d/é.png,ant,test\n"
        path = self.write(folder, text + "a/0.bmp,ant,train\n")
        data = load_image_folder(path)
        assert data.labels.tolist() == ["zebra", "ant", "ant"]
        assert data.classes.tolist() == ["ant", "zebra"]
        assert data.names.tolist() == ["b/2.png", "c d/é.png", "a/0.bmp"]
        train = load_image_folder(path, where=("split", "train"))
        assert train.names.tolist() == ["b/2.png", "a/0.bmp"]
        with pytest.raises(ValueError, match=r"labels\.csv has no rows to load"):
            load_image_folder(path, where=("split", "dev"))

    def test_other_columns_tabs_and_true_classes(self, folder):
        text = "file\tgiven\ttrue\nb/2.png\tant\tbee\nb/1.PNG\tbee\t\n"
        path = self.write(folder, text, "t.tsv", encoding="utf-8-sig")
        columns = {"path_column": "file", "label_column": "given"}
        data = load_image_folder(path, clean_column="true", **columns)
        assert data.clean_labels.tolist() == ["bee", ""]
        assert data.clean_codes.tolist() == [1, -1]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (
                "path,class\na/0.bmp,1\n",
                "has no column 'label'; it has 'path', 'class'",
            ),
            ("", "has no column 'path'; it has none"),
            ("path,label\na/0.bmp,\n", "line 2: 'label' is empty"),
            ("path,label\na/0.bmp\n", "line 2: 'label' is empty"),
            ("path,label\n,x\n", "line 2: 'path' is empty"),
            ("path,label\na/none.bmp,x\n", r"1 images cannot .*none\.bmp does not exi"),
        ],
    )
    def test_faults_are_named(self, folder, text, message):
        with pytest.raises(ValueError, match=message):
            load_image_folder(self.write(folder, text))


class TestFaults:
    def test_no_folder(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="there is no folder or file"):
            load_image_folder(tmp_path / "none")
        with pytest.raises(ValueError, match="has no folders, of which each would be"):
            load_image_folder(tmp_path)
        draw(tmp_path / "x.png")
        with pytest.raises(ValueError, match="1 images are in no folder"):
            load_image_folder(tmp_path)
        (tmp_path / "cat").mkdir()
        with pytest.raises(
            ValueError, match=r"have no images, files that end in \.bmp"
        ):
            load_image_folder(tmp_path)

    def test_empty_classes_and_loose_images_are_told(self, folder):
        (folder / "none").mkdir()
        draw(folder / "loose.png")
        with pytest.warns(UserWarning) as caught:
            data = load_image_folder(folder)
        texts = [str(warning.message) for warning in caught]
        assert "1 images lie in" in texts[0] and "loose.png" in texts[0]
        assert texts[1] == "1 class folders have no images, and are no classes: none."
        assert len(data) == 5 and "none" not in data.classes

    def test_unreadable_files_are_refused_or_skipped_by_name(self, folder):
        (folder / "a/0.bmp").write_text("no image")
        os.symlink(folder / "nowhere", folder / "b/broken.png")
        message = r"2 images cannot be read: .*0\.bmp is no image .*broken\.png does"
        with pytest.raises(ImageReadError, match=message):
            load_image_folder(folder)
        data = load_image_folder(folder, unreadable="skip")
        assert [name for name, _ in data.skipped] == ["a/0.bmp", "b/broken.png"]
        assert "is no image that Pillow knows" in data.skipped[0][1]
        assert data.names.tolist() == [
            "a/x/y/3.jpeg",
            "b/1.PNG",
            "b/2.png",
            "c d/é.png",
        ]
        assert len(data.images) == len(data.labels) == 4

    def test_truncated_files_are_found_by_a_full_check(self, folder):
        path = folder / "a/big.jpg"
        draw(path, size=(8, 6))
        data = path.read_bytes()
        path.write_bytes(data[:-20])
        rows = load_image_folder(folder).images
        with pytest.raises(
            ImageReadError, match=r"row 1: .*big\.jpg cannot be decoded"
        ):
            rows.load()
        with pytest.raises(
            ImageReadError, match=r"1 images cannot be read: .*big\.jpg"
        ):
            load_image_folder(folder, check="full")
        data = load_image_folder(folder, check="full", unreadable="skip", n_jobs=2)
        assert [name for name, _ in data.skipped] == ["a/big.jpg"]
        assert data.images.load().shape == (5, 3, 6, 8)

    def test_nothing_readable(self, tmp_path):
        for name in ("a/1.png", "b/1.png"):
            (tmp_path / name).parent.mkdir()
            (tmp_path / name).write_text("no image")
        with pytest.raises(ValueError, match=r"none of 2 images in .* can be read"):
            load_image_folder(tmp_path, unreadable="skip")

    def test_images_of_several_sizes_need_one(self, folder):
        draw(folder / "b/0.png", size=(9, 6))
        message = (
            r"differ in size: a/0.bmp has 8 x 6 pixels, b/0.png 9 x 6\. Pass size="
        )
        with pytest.raises(ValueError, match=message):
            load_image_folder(folder)
        assert load_image_folder(folder, size=5).images.load().shape[2:] == (5, 5)
        assert load_image_folder(folder, size=(4, 5)).images.load().shape[2:] == (4, 5)
        made = load_image_folder(
            folder, transform=CenterCrop(4), train_transform=RandomCrop(4), check=None
        )
        assert made.images.shape == (6, 3, 4, 4) and made.images.changes_rows

    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ({"check": "all"}, "check must be 'header', 'full' or None; got 'all'"),
            ({"unreadable": "drop"}, "unreadable must be 'raise' or 'skip'"),
            ({"size": 4, "transform": CenterCrop(4)}, "size and transform are both"),
        ],
    )
    def test_arguments(self, folder, params, message):
        with pytest.raises(ValueError, match=message):
            load_image_folder(folder, **params)

    def test_what_is_no_regular_file_is_left_out(self, folder):
        if not hasattr(os, "mkfifo"):
            pytest.skip("there are no FIFOs here")
        os.mkfifo(folder / "a/pipe.png")
        assert len(load_image_folder(folder)) == 5
        os.symlink(folder / "a/pipe.png", folder / "a/link.png")
        with pytest.raises(ImageReadError, match=r"link\.png .*FIFO"):
            load_image_folder(folder)


class TestNames:
    def test_links_are_followed_and_circles_end(self, folder):
        os.symlink(folder / "a", folder / "a/x/again")
        os.symlink(folder / "b", folder / "d")
        with pytest.warns(UserWarning, match="2 images occur under different labels"):
            data = load_image_folder(folder)
        assert data.labels.tolist() == [*"aabb", "c d", *"dd"]

    @pytest.mark.parametrize("form", ["NFC", "NFD"])
    def test_unicode(self, tmp_path, form):
        for name in ("Žluťoučký kůň/日本語 🐴.png", "b/ñ.png"):
            draw(tmp_path / unicodedata.normalize(form, name))
        data = load_image_folder(tmp_path)
        assert unicodedata.normalize(form, "Žluťoučký kůň") in data.classes
        assert data.images.load().shape[0] == 2

    def test_names_that_are_no_utf8(self, tmp_path):
        if os.name == "nt":
            pytest.skip("all names are Unicode here")
        root = os.fsencode(tmp_path)
        draw(tmp_path / "a/x.png")
        os.rename(root + b"/a/x.png", root + b"/a/caf\xe9.png")
        data = load_image_folder(tmp_path)
        assert data.images.load().shape[0] == 1
        os.rename(root + b"/a", root + b"/caf\xe9")
        with pytest.raises(ValueError, match=r"caf\\udce9 has a name that is no UTF-8"):
            load_image_folder(tmp_path)


class TestDuplicates:
    def test_the_same_image_under_two_labels_is_told(self, folder):
        (folder / "b/copy.png").write_bytes((folder / "a/0.bmp").read_bytes())
        (folder / "a/twin.bmp").write_bytes((folder / "a/0.bmp").read_bytes())
        (folder / "b/same.png").write_bytes((folder / "b/2.png").read_bytes())
        message = (
            r"1 images occur under different labels.*a/0\.bmp \(a\); a/twin\.bmp \("
        )
        with pytest.warns(UserWarning, match=message):
            data = load_image_folder(folder)
        groups = [data.names[rows].tolist() for rows in data.duplicates]
        assert groups == [
            ["a/0.bmp", "a/twin.bmp", "b/copy.png"],
            ["b/2.png", "b/same.png"],
        ]
        assert [rows.tolist() for rows in data.conflicts] == [[0, 1, 5]]
        assert load_image_folder(folder, duplicates=False).duplicates == []

    def test_files_that_begin_and_end_alike(self, tmp_path):
        middles = (b"x", b"y", b"x", b"xx")
        paths = []
        for i, middle in enumerate(middles):
            paths.append(str(tmp_path / str(i)))
            with open(paths[-1], "wb") as file:
                file.write(b"0" * 5000 + middle + b"1" * 5000)
        assert [rows.tolist() for rows in find_duplicates(paths)] == [[0, 2]]
        os.remove(paths[0])
        assert find_duplicates(paths) == []
