import hashlib
import io
import pickle
import shutil
import zipfile

import miniatures
import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression

from sknoisy import NetClassifier
from sknoisy.datasets import (
    _cifar,
    load_cifar10,
    load_cifar10n,
    load_cifar100,
    load_cifar100n,
)
from sknoisy.datasets._cifar import CIFAR10
from sknoisy.datasets._pickles import read_pickle, read_zipped_pickle

RNG = np.random.default_rng(0)
CODES, TEST_CODES = RNG.permutation(np.arange(40) % 10), np.arange(10)[::-1]
FINE = [f"fine{i:03}" for i in range(100)]
COARSE = [f"coarse{i:02}" for i in range(20)]


@pytest.fixture
def ten(tmp_path):
    return tmp_path, *miniatures.cifar10(tmp_path, CODES, TEST_CODES)


@pytest.fixture
def hundred(tmp_path):
    """100 images, in the Python version."""
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    images, fine = miniatures.pixels_of(100), RNG.permutation(100)
    labels = {"fine_labels": fine.tolist(), "coarse_labels": (fine // 5).tolist()}
    for name in ("train", "test"):
        content = miniatures.pickle_of_python_2(images, **labels)
        (folder / name).write_bytes(content)
    meta = {"fine_label_names": FINE, "coarse_label_names": COARSE}
    (folder / "meta").write_bytes(pickle.dumps(meta, protocol=2))
    return tmp_path, images, fine


class TestTen:
    def test_batches_in_their_order_channels_first(self, ten):
        root, images, test = ten
        data = load_cifar10(root, checksum=False)
        np.testing.assert_array_equal(data.images, images)
        np.testing.assert_array_equal(data.codes, CODES)
        assert data.labels.tolist() == [CIFAR10[code] for code in CODES]
        assert data.clean_labels.tolist() == data.labels.tolist()
        held_out = load_cifar10(root, "test", checksum=False)
        np.testing.assert_array_equal(held_out.images, test)
        np.testing.assert_array_equal(held_out.codes, TEST_CODES)
        # The folder itself may be named, too.
        again = load_cifar10(root / "cifar-10-batches-py", checksum=False)
        np.testing.assert_array_equal(again.images, images)
        assert data.images.flags.writeable

    def test_the_binary_version(self, ten):
        root, images, _ = ten
        shutil.rmtree(root / "cifar-10-batches-py")
        folder = root / "cifar-10-batches-bin"
        folder.mkdir()
        rows = np.concatenate(
            [CODES[:, None].astype(np.uint8), images.reshape(40, -1)], axis=1
        )
        for number, part in enumerate(np.array_split(rows, 5), 1):
            (folder / f"data_batch_{number}.bin").write_bytes(part.tobytes())
        data = load_cifar10(root)
        np.testing.assert_array_equal(data.images, images)
        np.testing.assert_array_equal(data.codes, CODES)
        (folder / "data_batch_3.bin").write_bytes(rows.tobytes()[:-1])
        with pytest.raises(ValueError, match=r"data_batch_3\.bin is cut off"):
            load_cifar10(root)

    def test_image_files_by_class(self, tmp_path):
        images = miniatures.pixels_of(40)
        as_folders(tmp_path, images)
        data = load_cifar10(tmp_path)
        order = np.argsort(CODES, kind="stable")
        np.testing.assert_array_equal(data.images, images[order])
        np.testing.assert_array_equal(data.codes, CODES[order])

    def test_image_files_of_another_set(self, tmp_path):
        miniatures.draw(tmp_path / "train/zebra/0000.png", (32, 32))
        with pytest.raises(FileNotFoundError, match="but a class 'zebra'"):
            load_cifar10(tmp_path)
        shutil.rmtree(tmp_path / "train/zebra")
        miniatures.draw(tmp_path / "train/cat/0000.png", (31, 32))
        with pytest.raises(ValueError, match="not 32 x 32"):
            load_cifar10(tmp_path)

    def test_what_is_not_there(self, tmp_path):
        message = (
            r"has no cifar-10-batches-py or .*nothing is downloaded, get it from ht"
        )
        with pytest.raises(FileNotFoundError, match=message):
            load_cifar10(tmp_path)
        (tmp_path / "cifar-10-batches-py").mkdir()
        with pytest.raises(FileNotFoundError, match="has no data_batch_1"):
            load_cifar10(tmp_path)
        with pytest.raises(
            ValueError, match="split must be 'train' or 'test'; got 'va"
        ):
            load_cifar10(tmp_path, "val")

    def test_other_files_are_refused_by_their_checksum(self, ten, monkeypatch):
        root = ten[0]
        with pytest.raises(ValueError, match="data_batch_1 is not the published file"):
            load_cifar10(root)
        folder = root / "cifar-10-batches-py"
        md5 = {
            f.name: hashlib.md5(f.read_bytes()).hexdigest() for f in folder.iterdir()
        }
        monkeypatch.setattr(_cifar, "_MD5", md5)
        assert len(load_cifar10(root)) == 40

    def test_what_is_no_batch(self, ten):
        path = ten[0] / "cifar-10-batches-py" / "test_batch"
        for content, message in (
            ({"data": np.zeros((2, 5), np.uint8), "labels": [0, 1]}, "is no batch of"),
            ({"data": np.zeros((2, 3072), np.uint8)}, "is no batch of CIFAR"),
            ([1], "is no batch of CIFAR"),
            (
                {"data": np.zeros((2, 3072), np.uint8), "labels": [0]},
                "has 2 images but 1 labels",
            ),
        ):
            path.write_bytes(pickle.dumps(content, protocol=2))
            with pytest.raises(ValueError, match=message):
                load_cifar10(ten[0], "test", checksum=False)


class TestPickles:
    def test_code_is_not_run(self, ten):
        root, made = ten[0], ten[0] / "made"
        path = root / "cifar-10-batches-py" / "test_batch"
        miniatures.harmful(path, made)
        with pytest.raises(ValueError, match=r"test_batch cannot .*asks for .*open"):
            load_cifar10(root, "test", checksum=False)
        assert not made.exists()

    def test_damage_and_size(self, tmp_path):
        path = str(tmp_path / "x")
        with open(path, "wb") as file:
            file.write(pickle.dumps([1, 2, 3])[:-3])
        with pytest.raises(ValueError, match="cannot be read as arrays and lists"):
            read_pickle(path, 1000)
        with pytest.raises(ValueError, match="has more than 5 bytes"):
            read_pickle(path, 5)
        with pytest.raises(ValueError, match=r"no file of torch\.save.*downloaded"):
            read_zipped_pickle(path, 1000)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a/b.txt", "x")
        with pytest.raises(ValueError, match=r"it has no data\.pkl"):
            read_zipped_pickle(path, 1000)

    def test_what_python_3_has_saved_is_read(self, tmp_path):
        content = {"a": np.arange(3), "b": [np.int64(4)], "c": b"\xff"}
        for protocol in (2, 4):
            path = tmp_path / str(protocol)
            path.write_bytes(pickle.dumps(content, protocol=protocol))
            again = read_pickle(str(path), 1000)
            assert again["a"].tolist() == [0, 1, 2] and again["b"] == [4]


class TestHundred:
    def test_fine_and_coarse(self, hundred):
        root, images, fine = hundred
        data = load_cifar100(root, checksum=False)
        np.testing.assert_array_equal(data.images, images)
        np.testing.assert_array_equal(data.codes, fine)
        assert data.classes.tolist() == FINE
        coarse = load_cifar100(root, "test", labels="coarse", checksum=False)
        np.testing.assert_array_equal(coarse.codes, fine // 5)
        assert coarse.labels[0] == COARSE[fine[0] // 5]

    def test_the_binary_version(self, hundred):
        root, images, fine = hundred
        shutil.rmtree(root / "cifar-100-python")
        labels = np.stack([fine // 5, fine], 1).astype(np.uint8)
        rows = np.concatenate([labels, images.reshape(100, -1)], axis=1)
        folder = root / "cifar-100-binary"
        folder.mkdir()
        (folder / "train.bin").write_bytes(rows.tobytes())
        miniatures.write(folder / "fine_label_names.txt", *FINE)
        miniatures.write(folder / "coarse_label_names.txt", *COARSE)
        for kind, codes in (("fine", fine), ("coarse", fine // 5)):
            data = load_cifar100(root, labels=kind)
            np.testing.assert_array_equal(data.images, images)
            np.testing.assert_array_equal(data.codes, codes)

    def test_arguments_and_checksums(self, hundred):
        with pytest.raises(
            ValueError, match="labels must be 'fine' or 'coarse'; got 1"
        ):
            load_cifar100(hundred[0], labels=1)
        with pytest.raises(
            ValueError, match="labels must be 'fine' or 'coarse'; got 1"
        ):
            load_cifar100n(hundred[0], 1)
        with pytest.raises(ValueError, match="train is not the published file"):
            load_cifar100(hundred[0])
        with pytest.raises(FileNotFoundError, match="has no cifar-100-python or"):
            load_cifar100(hundred[0] / "none")


def as_folders(root, images):
    """Save images as files that are numbered within their class."""
    counts = dict.fromkeys(range(10), 0)
    for pixels, code in zip(images, CODES.tolist(), strict=True):
        path = root / "train" / CIFAR10[code] / f"{counts[code]:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.transpose(1, 2, 0)).save(path)
        counts[code] += 1


class TestHumanLabels:
    NOISY = np.where(np.arange(40) % 5 == 0, (CODES + 1) % 10, CODES)

    def save(self, root, clean=CODES):
        names = "aggre_label worse_label random_label1 random_label2 random_label3"
        columns = {name: (self.NOISY + i) % 10 for i, name in enumerate(names.split())}
        miniatures.human(root, "CIFAR-10_human.pt", clean_label=clean, **columns)

    @pytest.mark.parametrize("form", ["batches", "files"])
    def test_they_meet_their_images(self, ten, form):
        root, images, _ = ten
        if form == "files":
            shutil.rmtree(root / "cifar-10-batches-py")
            as_folders(root, images)
        self.save(root)
        for i, noise in enumerate(["aggre", "worse", "random1", "random2", "random3"]):
            data = load_cifar10n(root, noise, checksum=False)
            np.testing.assert_array_equal(data.images, images)
            np.testing.assert_array_equal(data.codes, (self.NOISY + i) % 10)
            np.testing.assert_array_equal(data.clean_codes, CODES)
        # As the authors' code calls it.
        worst = load_cifar10n(root, "worst", checksum=False)
        np.testing.assert_array_equal(worst.codes, (self.NOISY + 1) % 10)

    def test_they_may_lie_in_data(self, ten):
        root = ten[0]
        (root / "data").mkdir()
        self.save(root / "data")
        data = load_cifar10n(root, "aggre", checksum=False)
        assert (data.labels != data.clean_labels).mean() == 0.2

    def test_another_order_is_refused(self, ten):
        root = ten[0]
        self.save(root, clean=np.roll(CODES, 1))
        with pytest.raises(ValueError, match="in another order than the images"):
            load_cifar10n(root, checksum=False)
        self.save(root, clean=np.zeros(40, int))
        with pytest.raises(ValueError, match="some images are missing, or"):
            load_cifar10n(root, checksum=False)
        self.save(root, clean=np.zeros(39, int))
        with pytest.raises(ValueError, match="40 images but 39 labels 'clean_label'"):
            load_cifar10n(root, checksum=False)

    def test_faults(self, ten):
        root = ten[0]
        with pytest.raises(
            FileNotFoundError, match=r"CIFAR-10N needs CIFAR-10_human\.pt"
        ):
            load_cifar10n(root)
        with pytest.raises(
            ValueError, match="noise must be one of aggre, worse, random1"
        ):
            load_cifar10n(root, "clean")
        self.save(root)
        with pytest.raises(ValueError, match=r"human.pt is not the published file"):
            load_cifar10n(root)

    def test_of_a_hundred_classes(self, hundred):
        root, _, fine = hundred
        noisy = (fine + 1) % 100
        miniatures.human(
            root,
            "CIFAR-100_human.pt",
            clean_label=fine,
            noisy_label=noisy,
            clean_coarse_label=(fine // 5).tolist(),
            noisy_coarse_label=(noisy // 5).tolist(),
        )
        data = load_cifar100n(root, checksum=False)
        np.testing.assert_array_equal(data.codes, noisy)
        np.testing.assert_array_equal(data.clean_codes, fine)
        coarse = load_cifar100n(root, "coarse", checksum=False)
        np.testing.assert_array_equal(coarse.codes, noisy // 5)
        np.testing.assert_array_equal(coarse.clean_codes, fine // 5)
        miniatures.human(root, "CIFAR-100_human.pt", clean_label=fine[::-1].copy())
        with pytest.raises(ValueError, match="one of the two is in another order"):
            load_cifar100n(root, checksum=False)


def test_a_network_learns_them(ten):
    data = load_cifar10(ten[0], checksum=False)
    from test_folder import Mean

    net = NetClassifier(Mean, max_epochs=1, random_state=0).fit(
        data.images, data.labels
    )
    assert set(net.predict(data.images)) <= set(CIFAR10)


@pytest.mark.slow
def test_real_images_meet_real_labels(tmp_path, real_data):
    """2,000 photographs, as files by class, and what people called them."""
    jpeg, labels = real_data("cifar10_jpeg.npz"), real_data("cifar_labels.npz")
    n, counts = 2000, dict.fromkeys(range(10), 0)
    data, bounds = jpeg["jpeg_train"].tobytes(), jpeg["offsets_train"]
    for i, code in enumerate(jpeg["y_train"][:n].tolist()):
        path = tmp_path / "train" / CIFAR10[code] / f"{counts[code]:04}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data[bounds[i] : bounds[i + 1]])
        counts[code] += 1
    columns = {"clean_label": labels["c10n_clean"][:n].astype(np.int64)}
    columns["worse_label"] = labels["c10n_worse"][:n].astype(np.int64)
    miniatures.human(tmp_path, "CIFAR-10_human.pt", **columns)
    found = load_cifar10n(tmp_path, "worse", checksum=False)
    np.testing.assert_array_equal(found.codes, columns["worse_label"])
    assert 0.37 < (found.labels != found.clean_labels).mean() < 0.43
    for row in (0, 777, 1999):
        with Image.open(io.BytesIO(data[bounds[row] : bounds[row + 1]])) as image:
            pixels = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
        np.testing.assert_array_equal(found.images[row], pixels)
    # Labels of another order would be at chance, which is 0.1.
    flat = found.images.reshape(n, 3, 8, 4, 8, 4).mean((3, 5)).reshape(n, -1) / 255
    model = LogisticRegression(C=0.1, max_iter=200).fit(flat[:1500], found.codes[:1500])
    assert model.score(flat[1500:], found.clean_codes[1500:]) > 0.25
