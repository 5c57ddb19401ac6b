"""Data sets of image files: animals, clothes, dishes, WebVision, Tiny-ImageNet."""

import os

import numpy as np
import pytest
from miniatures import draw, write
from PIL import Image

from sknoisy.datasets import (
    CenterCrop,
    load_animal10n,
    load_clothing1m,
    load_food101n,
    load_tiny_imagenet,
    load_webvision,
)


class TestAnimals:
    @pytest.mark.parametrize("folder", ["", "raw_image"])
    def test_labels_are_in_the_names(self, tmp_path, folder):
        for name in ("3_b.jpg", "0_z.jpg", "9_a.jpg", "0_a.JPG"):
            draw(tmp_path / folder / "training" / name)
        draw(tmp_path / folder / "testing" / "1_a.jpg")
        write(tmp_path / folder / "training" / "Thumbs.db", "no image")
        data = load_animal10n(tmp_path)
        assert data.names.tolist() == ["0_a.JPG", "0_z.jpg", "3_b.jpg", "9_a.jpg"]
        assert data.labels.tolist() == ["cat", "cat", "coyote", "guinea pig"]
        assert data.codes.tolist() == [0, 0, 3, 9] and data.clean_labels is None
        assert data.images.shape == (4, 3, 8, 8) and not data.images.changes_rows
        test = load_animal10n(tmp_path, "test", size=4)
        assert test.clean_labels.tolist() == ["lynx"]
        assert test.images.shape == (1, 3, 4, 4)

    def test_faults(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="has no training or raw_image"):
            load_animal10n(tmp_path)
        (tmp_path / "training").mkdir()
        with pytest.raises(
            FileNotFoundError, match=r"no images in training/. ANIMAL-10N"
        ):
            load_animal10n(tmp_path)
        draw(tmp_path / "training" / "10_a.jpg")
        with pytest.raises(ValueError, match=r"10_a\.jpg does not begin with a label"):
            load_animal10n(tmp_path)
        with pytest.raises(ValueError, match="split must be one of 'train', 'test'"):
            load_animal10n(tmp_path, "val")


class TestClothing:
    NOISY = {f"images/0/{i:02}.jpg": i % 3 for i in range(30)}
    CLEAN = {f"images/0/{i:02}.jpg": 2 - i % 3 for i in (28, 29)}
    VAL = {f"images/1/{i}.jpg": 13 for i in range(2)}

    def save(self, root, texts):
        for i, name in enumerate({**self.NOISY, **self.VAL}):
            draw(root / name, (300, 280), seed=i)
        expert = {**self.CLEAN, **self.VAL}

        def kv(pairs):
            return [f"{name} {code}" for name, code in pairs.items()]

        # As in the set itself, the lines of the two kinds of files are in other orders.
        write(root / texts / "noisy_label_kv.txt", *kv(self.NOISY)[::-1])
        write(root / texts / "clean_label_kv.txt", *kv(expert))
        write(root / texts / "noisy_train_key_list.txt", *self.NOISY)
        write(root / texts / "clean_train_key_list.txt", *self.CLEAN)
        write(root / texts / "clean_val_key_list.txt", *self.VAL)

    @pytest.mark.parametrize("texts", ["", "annotations", "images"])
    def test_labels_are_joined_by_path(self, tmp_path, texts):
        self.save(tmp_path, texts)
        data = load_clothing1m(tmp_path)
        assert data.names.tolist() == list(self.NOISY)
        assert data.codes.tolist() == list(self.NOISY.values())
        assert data.classes[[0, 13]].tolist() == ["T-Shirt", "Underwear"]
        known = [code for code in data.clean_codes if code >= 0]
        assert known == list(self.CLEAN.values()) and len(known) == 2
        assert data.images.shape == (30, 3, 224, 224) and data.images.changes_rows
        train = load_clothing1m(tmp_path, "clean_train")
        assert train.codes.tolist() == list(self.CLEAN.values())
        val = load_clothing1m(tmp_path, "clean_val", size=8)
        assert val.labels.tolist() == ["Underwear"] * 2
        assert val.clean_labels.tolist() == val.labels.tolist()
        assert val.images.load().shape == (2, 3, 8, 8)
        assert not val.images.changes_rows

    def test_the_folder_of_images_itself(self, tmp_path):
        self.save(tmp_path, "images")
        data = load_clothing1m(tmp_path / "images", "clean_val")
        assert data.images[0].shape == (3, 224, 224)

    def test_sizes_are_those_of_the_papers(self, tmp_path):
        self.save(tmp_path, "")
        images = load_clothing1m(tmp_path, "clean_val").images
        with Image.open(tmp_path / "images/1/0.jpg") as image:
            whole = image.resize((int(256 * 300 / 280), 256), Image.Resampling.BILINEAR)
        pixels = np.asarray(whole).transpose(2, 0, 1)
        np.testing.assert_array_equal(images[0], pixels[:, 16:240, 25:249])
        changed = images.fetch_changed([0] * 20, seed=0)
        parts = {part.tobytes() for part in changed}
        assert len(parts) == 20
        # Each is a part of the resized image, or of its mirror image.
        for part in changed[:5]:
            assert any(
                (side[:, top : top + 224, left : left + 224] == part).all()
                for side in (pixels, pixels[:, :, ::-1])
                for top in range(33)
                for left in range(51)
            )

    def test_a_balanced_draw(self, tmp_path):
        self.save(tmp_path, "")
        names = list(self.NOISY)
        uneven = names[:3] + names[0::3] + names[1::3][:4]
        write(tmp_path / "noisy_train_key_list.txt", *sorted(set(uneven)))
        drawn = [
            load_clothing1m(tmp_path, n_rows=9, random_state=seed, size=8)
            for seed in (0, 0, 1)
        ]
        # Ten, five and one: three each, and what the smallest class has.
        assert np.bincount(drawn[0].codes).tolist() == [3, 3, 1]
        assert drawn[0].names.tolist() == drawn[1].names.tolist()
        assert drawn[0].names.tolist() == sorted(drawn[0].names)
        assert drawn[0].names.tolist() != drawn[2].names.tolist()
        for name, code in zip(drawn[0].names, drawn[0].codes, strict=True):
            assert self.NOISY[name] == code

    def test_faults(self, tmp_path):
        with pytest.raises(
            FileNotFoundError, match=r"key_list\.txt\. Clothing1M needs"
        ):
            load_clothing1m(tmp_path)
        self.save(tmp_path, "")
        with pytest.raises(
            ValueError, match="split must be one of 'noisy_train', 'cle"
        ):
            load_clothing1m(tmp_path, "train")
        with pytest.raises(TypeError, match="n_rows must be an integer"):
            load_clothing1m(tmp_path, n_rows=1.5)
        with pytest.raises(TypeError, match="no argument sizes; those for reading are"):
            load_clothing1m(tmp_path, sizes=3)
        with pytest.raises(ValueError, match="size and transform are both given"):
            load_clothing1m(tmp_path, size=3, transform=CenterCrop(3))
        write(tmp_path / "noisy_label_kv.txt", "images/0/00.jpg 14")
        with pytest.raises(
            ValueError, match=r"00\.jpg of noisy_train has no label from"
        ):
            load_clothing1m(tmp_path)
        write(tmp_path / "noisy_label_kv.txt", "images/0/00.jpg")
        with pytest.raises(
            ValueError, match=r"kv\.txt, line 1: a path and a label are"
        ):
            load_clothing1m(tmp_path)


class TestWebVision:
    SYNSETS = ("n03 shark, fish", "n01 tench", "n02 hen")

    @pytest.fixture
    def root(self, tmp_path):
        write(tmp_path / "info/synsets.txt", *self.SYNSETS)
        train = [f"google/q{i:04}/a b{i}.jpg {i % 3}" for i in range(6)]
        write(tmp_path / "info/train_filelist_google.txt", *train)
        write(tmp_path / "info/val_filelist.txt", "v1.jpg 1", "v2.jpg 2")
        for i in range(6):
            draw(tmp_path / f"google/q{i:04}/a b{i}.jpg", (300, 256))
        for name in ("v1", "v2"):
            draw(tmp_path / f"val_images_256/{name}.jpg", (256, 256))
        return tmp_path

    def test_the_first_classes(self, root):
        data = load_webvision(root, n_classes=2)
        assert data.classes.tolist() == ["n03", "n01"]
        assert data.codes.tolist() == [0, 1, 0, 1] and data.clean_labels is None
        assert data.names[1] == "google/q0001/a b1.jpg"
        assert data.images.shape == (4, 3, 299, 299) and data.images.changes_rows
        val = load_webvision(root, "val", n_classes=2, transform=CenterCrop(227))
        assert val.labels.tolist() == val.clean_labels.tolist() == ["n01"]
        assert val.images[0].shape == (3, 227, 227)
        assert load_webvision(root).codes.tolist() == [0, 1, 2, 0, 1, 2]

    @pytest.mark.parametrize("layout", ["wnids", "labels", "list"])
    def test_images_of_imagenet_in_the_order_of_webvision(self, root, layout):
        folder = root / "imagenet"
        names = {"wnids": ("n03", "n01", "n09"), "labels": ("0", "1", "57")}
        if layout == "list":
            for i in range(3):
                draw(folder / f"val/{i}.jpg", (330, 330))
            pairs = [f"{i}.jpg {code}" for i, code in enumerate((0, 1, 57))]
            write(folder / "imagenet_val.txt", *pairs)
        else:
            for name in names[layout]:
                draw(folder / name / "x.jpg", (330, 330))
        data = load_webvision(root, "imagenet", n_classes=2, imagenet=folder)
        assert sorted(data.labels.tolist()) == ["n01", "n03"]
        first = {"wnids": "n03/x.jpg", "labels": "0/x.jpg", "list": "val/0.jpg"}[layout]
        assert data.names[data.codes == 0].tolist() == [first]
        assert data.images.load().shape == (2, 3, 299, 299)

    def test_faults(self, root, tmp_path):
        with pytest.raises(ValueError, match="needs imagenet=, the folder"):
            load_webvision(root, "imagenet")
        with pytest.raises(
            FileNotFoundError, match=r"no such folder. the validation im"
        ):
            load_webvision(root, "imagenet", imagenet=root / "none")
        with pytest.raises(FileNotFoundError, match="no folder n03 or 0"):
            load_webvision(root, "imagenet", imagenet=root / "val_images_256")
        with pytest.raises(ValueError, match="n_classes must be at least 2; got 1"):
            load_webvision(root, n_classes=1)
        with pytest.raises(
            FileNotFoundError, match=r"synsets\.txt\. WebVision 1\.0 needs"
        ):
            load_webvision(root / "google")


class TestFood:
    @pytest.fixture
    def root(self, tmp_path):
        meta = tmp_path / "Food-101N_release" / "meta"
        write(meta / "classes.txt", "class_name", "pho", "apple_pie")
        names = ["pho/1.jpg", "apple_pie/1.jpg", "pho/2.jpg", "apple_pie/2.jpg"]
        write(meta / "imagelist.tsv", "class_name/key", *names)
        head = "class_name/key\tverification_label"
        write(meta / "verified_train.tsv", head, "apple_pie/1.jpg\t1", "pho/2.jpg\t0")
        write(meta / "verified_val.tsv", head, "pho/1.jpg\t1")
        for name in names:
            draw(meta.parent / "images" / name, (260, 260))
        write(tmp_path / "food-101/meta/test.txt", "apple_pie/77", "pho/5")
        for name in ("apple_pie/77", "pho/5"):
            draw(tmp_path / f"food-101/images/{name}.jpg", (260, 260))
        return tmp_path

    def test_headers_are_no_classes(self, root):
        data = load_food101n(root)
        assert data.classes.tolist() == ["pho", "apple_pie"]
        assert data.codes.tolist() == [0, 1, 0, 1]
        assert data.clean_labels.tolist() == ["pho", "apple_pie", "", ""]
        assert data.images.shape == (4, 3, 224, 224) and data.images.changes_rows

    def test_verified_parts_and_the_test(self, root):
        train = load_food101n(root, "verified_train")
        assert train.labels.tolist() == ["apple_pie", "pho"]
        assert train.clean_labels.tolist() == ["apple_pie", ""]
        assert train.clean_codes.tolist() == [1, -1]
        assert load_food101n(root, "verified_val").clean_labels.tolist() == ["pho"]
        test = load_food101n(root, "test", food101=root / "food-101")
        assert test.clean_labels.tolist() == ["apple_pie", "pho"]
        assert test.names.tolist() == ["apple_pie/77.jpg", "pho/5.jpg"]
        assert test.images.load().shape == (2, 3, 224, 224)

    def test_faults(self, root):
        with pytest.raises(ValueError, match="split='test' needs food101="):
            load_food101n(root, "test")
        with pytest.raises(
            FileNotFoundError, match=r"has no test\.txt. Food-101 needs"
        ):
            load_food101n(root, "test", food101=root)
        with pytest.raises(FileNotFoundError, match=r"classes\.txt\. Food-101N needs"):
            load_food101n(root / "food-101")
        meta = root / "Food-101N_release" / "meta"
        write(meta / "imagelist.tsv", "class_name/key", "soup/1.jpg")
        with pytest.raises(ValueError, match=r"soup/1\.jpg is of class 'soup', which"):
            load_food101n(root)


class TestTinyImageNet:
    @pytest.fixture
    def root(self, tmp_path):
        root = tmp_path / "tiny-imagenet-200"
        write(root / "wnids.txt", "n02", "n01")
        for label in ("n01", "n02"):
            for i in range(2):
                draw(root / f"train/{label}/images/{label}_{i}.JPEG", (64, 64))
            write(root / f"train/{label}/{label}_boxes.txt", "x\t0\t0\t1\t1")
        box = "\t0\t0\t62\t57"
        write(
            root / "val/val_annotations.txt", f"a.JPEG\tn01{box}", f"b.JPEG\tn02{box}"
        )
        for name in "ab":
            draw(root / f"val/images/{name}.JPEG", (64, 64))
        with Image.open(root / "val/images/b.JPEG") as image:
            image.convert("L").save(root / "val/images/b.JPEG")
        return root

    def test_both_parts(self, root):
        data = load_tiny_imagenet(root.parent)
        assert data.classes.tolist() == ["n02", "n01"]
        assert data.codes.tolist() == [0, 0, 1, 1]
        assert data.names[0] == "train/n02/images/n02_0.JPEG"
        val = load_tiny_imagenet(root, "val", check="full")
        assert val.labels.tolist() == ["n01", "n02"]
        # A grey file among the coloured ones.
        assert val.images.load().shape == (2, 3, 64, 64)

    def test_faults(self, root):
        with pytest.raises(
            FileNotFoundError, match=r"wnids\.txt\. Tiny-ImageNet-200 needs"
        ):
            load_tiny_imagenet(root / "val")
        with pytest.raises(
            ValueError, match="split must be one of 'train', 'val'; got"
        ):
            load_tiny_imagenet(root, "test")
        write(root / "wnids.txt", "n02", "n03")
        with pytest.raises(FileNotFoundError, match="has no train/n03/images"):
            load_tiny_imagenet(root)
        with pytest.raises(
            ValueError, match=r"has images of 'n01', which wnids.txt does"
        ):
            load_tiny_imagenet(root, "val")
        for path in (root / "train/n02/images").iterdir():
            os.remove(path)
        write(root / "wnids.txt", "n02")
        with pytest.raises(FileNotFoundError, match="has no images in train/"):
            load_tiny_imagenet(root)
