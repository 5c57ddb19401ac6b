"""NetClassifier and the robust classifiers on images: views, layouts, data, limits."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from skorch.callbacks import Callback, EpochScoring, LRScheduler
from skorch.dataset import ValidSplit
from torch import nn
from torch.optim import lr_scheduler
from torch.utils.data import Dataset, IterableDataset

from sknoisy import (
    DynamicBootstrapClassifier,
    ELRClassifier,
    ELRPlusClassifier,
    FlywheelClassifier,
    NALClassifier,
    NetClassifier,
    RobustLossClassifier,
    TransitionCorrectionClassifier,
)
from sknoisy.base import TrainingInterruptedWarning
from sknoisy.nets import (
    ArrayDataset,
    DynamicsRecorder,
    LoaderBatches,
    PreActResNet,
    PreActResNet18,
    ResNet,
    TensorBatches,
    crop_and_flip,
    rand_augment,
)
from sknoisy.nets._image_augment import random_crop
from sknoisy.nets._slots import is_channels_last as is_last
from sknoisy.nets._views import strong_view_of, weak_view_of

LOADERS = {"iterator_train": LoaderBatches, "iterator_valid": LoaderBatches}
SMALL = {"module__blocks": (1, 1), "module__width": 4}
FAST = {"max_epochs": 3, "batch_size": 16, "random_state": 0}
# Passes over the batches in which rows are augmented, of three epochs.
N_PASSES = {
    NetClassifier: 3,
    NALClassifier: 3,
    ELRClassifier: 3,
    # Two networks in turn.
    ELRPlusClassifier: 6,
    DynamicBootstrapClassifier: 3,
    RobustLossClassifier: 3,
    # A first network shows the matrix.
    TransitionCorrectionClassifier: 6,
    # The warm-up; its cycles have views of their own.
    FlywheelClassifier: 1,
}
CLASSIFIERS = pytest.mark.parametrize("classifier", N_PASSES)
pytestmark = pytest.mark.filterwarnings("ignore:the refurbished labels have collapsed")


@pytest.fixture
def images():
    """Random uint8 images of shape (54, 3, 8, 8) and three classes."""
    rng = np.random.default_rng(1)
    y = rng.permutation(np.repeat([0, 1, 2], 18))
    X = rng.integers(0, 100, (54, 3, 8, 8)) + 50 * y[:, None, None, None]
    return X.astype(np.uint8), y


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    y = rng.permutation(np.repeat([0, 1, 2], 18))
    return (np.eye(3, 4)[y] + rng.normal(size=(54, 4))).astype(np.float32), y


def make(classifier=NetClassifier, module=PreActResNet, **params):
    own = SMALL if module in (PreActResNet, ResNet) else {}
    return classifier(module, **{**own, **FAST, **params})


def assert_same_weights(a, b, same=True):
    pairs = zip(a.module_.parameters(), b.module_.parameters(), strict=True)
    assert all(left.equal(right) for left, right in pairs) == same


class Watch:
    """A view that keeps what it was given."""

    def __init__(self, view=torch.clone):
        self.view = view
        self.seen = []

    def __call__(self, X):
        self.seen.append(X.clone())
        return self.view(X)


class Seen(nn.Module):
    """A small network that keeps every batch it is given."""

    def __init__(self, n_classes, input_shape):
        super().__init__()
        self.conv = nn.Conv2d(input_shape[0], 4, 3)
        self.head = nn.Linear(4, n_classes)
        self.batches = []

    def embed(self, X):
        if len(X) > 1:
            self.batches.append((self.training, X.detach()))
        return self.conv(X).relu().mean((2, 3))

    def forward(self, X):
        return self.head(self.embed(X))

    def of(self, training):
        return [X for was_training, X in self.batches if was_training == training]


class TestAugment:
    @pytest.mark.slow
    def test_images_are_moved_and_mirrored_by_default(self, images):
        auto = make().fit(*images)
        named = make(augment=crop_and_flip).fit(*images)
        assert_same_weights(auto, named)
        assert_same_weights(auto, make(augment=None).fit(*images), same=False)

    @pytest.mark.parametrize("shape", [(4,), (2, 2)])
    def test_tables_and_sequences_are_left_alone(self, table, shape):
        X, y = table
        X = X.reshape(-1, *shape)
        params = {"module": nn.Sequential(nn.Flatten(), nn.Linear(4, 3))}
        with torch.random.fork_rng():
            torch.manual_seed(0)
            params["module"][1].reset_parameters()
        auto = make(**params).fit(X, y)
        assert_same_weights(auto, make(augment=None, **params).fit(X, y))

    @pytest.mark.fast_cases(1)
    @CLASSIFIERS
    def test_each_training_batch_once_and_nothing_else(self, classifier, images):
        X, y = images
        view = Watch()
        params = {"target_start_epoch": 2} if classifier is NALClassifier else {}
        net = make(classifier, augment=view, **params).fit(X, y)
        sizes = [len(seen) for seen in view.seen]
        # Two rows are a trial, for each of the networks that are trained one by one.
        n_trials = sizes.count(2)
        assert n_trials == 1 + (classifier is TransitionCorrectionClassifier)
        rest = [size for size in sizes if size != 2]
        assert rest == [16, 16, 16, 6] * N_PASSES[classifier]
        net.predict(X)
        net.predict_proba(X)
        net.transform(X)
        net.score(X, y)
        assert len(view.seen) == len(sizes)

    def test_evaluation_sees_the_rows_as_they_are(self, images):
        X, y = images
        net = make(
            module=Seen,
            augment=lambda X: X + 10,
            train_split=ValidSplit(3),
            callbacks=[
                DynamicsRecorder(when="epoch_end"),
                EpochScoring(surest, use_caching=False, name="surest"),
            ],
        )
        net.fit(X, y).predict(X)
        training, evaluation = net.module_.of(True), net.module_.of(False)
        assert len(training) == 3 * 3 and min(X.min() for X in training) >= 10
        assert len(evaluation) >= 7 and max(X.max() for X in evaluation) <= 1

    @CLASSIFIERS
    def test_passes_of_evaluation_do_not_augment(self, classifier, images):
        X, y = images

        def mark(X):
            return X + 10

        views = {}
        if classifier is FlywheelClassifier:
            views = {"weak_view": mark, "strong_view": mark}
        net = make(classifier, Seen, augment=mark, **views).fit(X, y)
        net.predict(X)
        module = getattr(net.module_, "network", net.module_)
        module = module.peers[0] if hasattr(module, "peers") else module
        evaluated = module.of(False)
        if classifier is DynamicBootstrapClassifier:
            # The posterior of a row in a batch is that of the augmented row.
            evaluated = [X for X in evaluated if len(X) == 54]
        if classifier is FlywheelClassifier:
            # What it refurbishes by is the mean of two weak views.
            assert min(X.min() for X in evaluated[:-1]) >= 10
            evaluated = evaluated[-1:]
        assert evaluated and max(X.max() for X in evaluated) <= 1

    @pytest.mark.parametrize("iterator", [{}, LOADERS], ids=["tensors", "loader"])
    @pytest.mark.parametrize("dtype", [np.uint8, np.float32])
    def test_a_view_gets_scaled_rows_and_may_change_them(self, images, dtype, iterator):
        X, y = images
        X = X if dtype == np.uint8 else (X / 255).astype(dtype)
        before = X.copy()
        view = Watch(lambda X: X.mul_(0.5))
        # One batch in order of the rows could be a view of the user's memory.
        params = {"batch_size": -1, "iterator_train__shuffle": False}
        make(augment=view, **params, **iterator).fit(X, y)
        np.testing.assert_array_equal(X, before)
        for seen in view.seen[1:]:
            assert seen.dtype == torch.float32
            expected = before / 255 if dtype == np.uint8 else before
            np.testing.assert_allclose(seen.numpy(), expected, rtol=1e-6)

    @pytest.mark.parametrize(
        ("view", "found"),
        [
            (lambda X: X[:, 1:], r"\(2, 2, 8, 8\) torch.float32"),
            (lambda X: X.flatten(2), r"\(2, 3, 64\) torch.float32"),
            (lambda X: X[:1], r"\(1, 3, 8, 8\) torch.float32"),
            (lambda X: X.double(), r"\(2, 3, 8, 8\) torch.float64"),
            (lambda X: X.numpy(), "ndarray"),
            (lambda X: None, "NoneType"),
            (lambda X: (X, X), "tuple"),
        ],
    )
    def test_a_view_of_another_shape_is_refused_before_training(
        self, images, view, found
    ):
        net = make(augment=view)
        message = r"augment must map .* for \(2, 3, 8, 8\) torch.float32 it returned "
        with pytest.raises(ValueError, match=message + found):
            net.fit(*images)
        assert len(net.history) == 0

    def test_a_view_may_change_the_size(self, images):
        X, y = images
        view = Watch(partial(random_crop, size=6))
        net = make(augment=view).fit(X, y)
        assert {tuple(seen.shape[1:]) for seen in view.seen} == {(3, 8, 8)}
        # Rows that are judged or predicted keep theirs.
        assert net.input_shape_ == (3, 8, 8) and net.predict_proba(X).shape == (54, 3)
        clf = make(ELRClassifier, augment=partial(random_crop, size=6)).fit(X, y)
        assert clf.noise_scores_.shape == (54,)

    def test_a_network_of_one_size_takes_no_other(self, images):
        class Fixed(nn.Module):
            def __init__(self, input_shape, n_classes):
                super().__init__()
                self.head = nn.Linear(int(np.prod(input_shape)), n_classes)

            def forward(self, X):
                return self.head(X.flatten(1))

        net = make(module=Fixed, augment=partial(random_crop, size=6))
        with pytest.raises(ValueError, match=r"cannot take rows .* \(3, 6, 6\)"):
            net.fit(*images)

    @pytest.mark.parametrize("value", ["crop", 3, True])
    def test_what_is_no_view(self, images, value):
        with pytest.raises(ValueError, match="'augment' parameter of NetClassifier"):
            make(augment=value).fit(*images)

    @pytest.mark.fast_cases(1)
    @pytest.mark.parametrize("view", ["auto", rand_augment])
    def test_the_same_seed_gives_the_same_bits(self, images, view):
        nets = [make(augment=view, random_state=s).fit(*images) for s in (0, 0, 1)]
        assert_same_weights(nets[0], nets[1])
        assert_same_weights(nets[0], nets[2], same=False)

    def test_no_generator_of_the_user_moves(self, images):
        before = torch.random.get_rng_state(), np.append(*np.random.get_state()[1:3])
        make(augment=rand_augment).fit(*images)
        assert torch.random.get_rng_state().equal(before[0])
        np.testing.assert_array_equal(np.append(*np.random.get_state()[1:3]), before[1])

    def test_a_fitted_net_can_be_stored(self, images, tmp_path):
        import pickle

        net = make(augment=rand_augment).fit(*images)
        again = pickle.loads(pickle.dumps(net))
        assert again.augment is rand_augment and net.augmentation_ is None
        proba = again.predict_proba(images[0])
        np.testing.assert_array_equal(proba, net.predict_proba(images[0]))


class TestFlywheelViews:
    def make(self, **params):
        own = {"max_epochs": 4, "warmup_epochs": 2, "lr": 0.02}
        return make(FlywheelClassifier, **{**own, **params})

    @pytest.mark.slow
    def test_cycles_do_not_augment_twice(self, images):
        seen = []

        def weak(X):
            seen.append(float(X.max()))
            return X

        # Were views made of augmented rows, they would see large values.
        mark = Watch(lambda X: X + 10)
        self.make(augment=mark, weak_view=weak, strong_view=weak).fit(*images)
        assert len(mark.seen) == 1 + 2 * 4
        assert len(seen) > 2 * 3 * 4 and max(seen) <= 1

    @pytest.fixture
    def fitted(self, images):
        return self.make(max_epochs=3, warmup_epochs=1).fit(*images)

    @pytest.mark.fast_cases(1)
    @pytest.mark.parametrize(
        ("view", "expected"),
        [
            (weak_view_of, crop_and_flip),
            (strong_view_of, lambda X: rand_augment(crop_and_flip(X))),
        ],
    )
    def test_images_are_moved_and_for_the_strong_view_recoloured(self, view, expected):
        X = torch.rand(20, 3, 16, 16)
        views = []
        for make_view in (view, expected):
            with torch.random.fork_rng():
                torch.manual_seed(0)
                views.append(make_view(X))
        assert views[0].equal(views[1]) and not views[0].equal(X)

    @pytest.mark.parametrize("view", [weak_view_of, strong_view_of])
    def test_the_users_views_get_a_copy(self, view):
        X = torch.rand(4, 3, 8, 8)
        before = X.clone()
        assert (view(X, torch.Tensor.zero_) == 0).all()
        assert X.equal(before)

    @pytest.mark.parametrize("name", ["weak_view", "strong_view"])
    def test_strengths_are_for_tables(self, images, name):
        message = f"{name}=0.3 is for tables, but X has 4 dimensions: set {name} to a c"
        with pytest.raises(ValueError, match=message):
            self.make(**{name: 0.3}).fit(*images)

    @pytest.mark.parametrize("name", ["weak_view", "strong_view"])
    def test_sequences_need_views_of_the_users_own(self, table, name):
        X, y = table
        other = {"weak_view": torch.clone, "strong_view": torch.clone}
        module = {"module": Flat}
        with pytest.raises(ValueError, match=f"{name}='auto' .* X has 3 dimensions"):
            self.make(**{**module, **other, name: "auto"}).fit(X.reshape(-1, 2, 2), y)
        clf = self.make(**module, **other).fit(X.reshape(-1, 2, 2), y)
        assert clf.predict_noisy().shape == (54,)

    @pytest.mark.parametrize("name", ["weak_view", "strong_view"])
    def test_views_keep_the_shape_of_images(self, images, name):
        message = (
            rf"{name} must map .* for \(2, 3, 8, 8\) .* it returned \(2, 3, 8, 7\)"
        )
        with pytest.raises(ValueError, match=message):
            self.make(**{name: lambda X: X[..., 1:]}).fit(*images)

    @pytest.mark.slow
    def test_strong_views_need_images_between_zero_and_one(self, images):
        X, y = images
        X = X.astype(np.float32) / 64 - 1
        message = r"images in \[0, 1\], but X has values from -1 to 2\.\d+: scale them"
        with pytest.raises(ValueError, match=message):
            self.make().fit(X, y)
        for params in ({"strong_view": crop_and_flip}, {"contrastive_weight": 0}):
            assert len(self.make(**params).fit(X, y).noise_scores_) == 54
        # Bytes are scaled before they are looked at.
        assert len(self.make().fit(*images).noise_scores_) == 54


class Flat(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.head = nn.Linear(4, n_classes)

    def embed(self, X):
        return X.flatten(1)

    def forward(self, X):
        return self.head(self.embed(X))


def surest(net, X, y):
    return float(net.predict_proba(X).max())


def is_channels_last(X):
    return X.is_contiguous(memory_format=torch.channels_last)


# Otherwise torch may end the process in the backward pass.
IS_SAFE = "AVX512" in torch.backends.cpu.get_cpu_capability()
NEEDS_AVX512 = pytest.mark.skipif(not IS_SAFE, reason="needs a processor with AVX-512")


class TestLayout:
    @NEEDS_AVX512
    @pytest.mark.fast_cases(1)
    @CLASSIFIERS
    def test_it_changes_no_prediction(self, classifier, images):
        X, y = images
        nets = [
            make(classifier, memory_format=form).fit(X, y)
            for form in ("contiguous", "channels_last")
        ]
        a, b = (net.predict_proba(X) for net in nets)
        # A flywheel's cycles multiply what rounding has begun.
        atol = 5e-3 if classifier is FlywheelClassifier else 1e-4
        np.testing.assert_allclose(a, b, atol=atol)
        # Given the same weights, in each layout, far closer.
        nets[1].module_.load_state_dict(nets[0].module_.state_dict())
        np.testing.assert_allclose(nets[1].predict_proba(X), a, atol=1e-5)

    @pytest.mark.fast_cases(3)
    @pytest.mark.parametrize("iterator", [{}, LOADERS], ids=["tensors", "loader"])
    @pytest.mark.parametrize("split", [None, ValidSplit(3)])
    @pytest.mark.parametrize("form", ["auto", "channels_last", "contiguous"])
    @pytest.mark.parametrize("view", ["auto", None])
    def test_batches_and_weights_lie_as_asked(
        self, images, form, iterator, split, view
    ):
        X, y = images
        net = make(
            module=Seen, memory_format=form, augment=view, train_split=split, **iterator
        )
        net.fit(X, y).predict(X)
        batches = [X for _, X in net.module_.batches]
        assert len(batches) > 8
        if form == "contiguous" or (form == "auto" and not IS_SAFE):
            assert all(X.is_contiguous() for X in batches)
            assert net.module_.conv.weight.is_contiguous()
        else:
            assert all(map(is_channels_last, batches))
            assert not any(X.is_contiguous() for X in batches)
            assert is_channels_last(net.module_.conv.weight)
            assert not net.module_.conv.weight.is_contiguous()

    @pytest.mark.parametrize(
        ("capability", "device", "expected"),
        [
            ("AVX2", "cpu", False),
            ("AVX512", "cpu", True),
            ("DEFAULT", "cpu", False),
            ("AVX2", "cuda", True),
        ],
    )
    def test_auto_avoids_what_may_crash(
        self, monkeypatch, capability, device, expected
    ):
        cpu = torch.backends.cpu
        monkeypatch.setattr(cpu, "get_cpu_capability", lambda: capability)
        net = make(module__input_shape=(3, 8, 8))
        net.device_ = torch.device(device)
        assert is_last(net) is expected

    @NEEDS_AVX512
    @pytest.mark.fast_cases(1)
    @CLASSIFIERS
    def test_every_convolution_of_every_network(self, classifier, images):
        net = make(classifier).fit(*images)
        n_networks = 0
        for name in net._modules:
            for layer in getattr(net, name + "_").modules():
                n_networks += isinstance(layer, PreActResNet)
                if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3):
                    assert is_channels_last(layer.weight)
        several = {ELRPlusClassifier: 4, FlywheelClassifier: 2}
        assert n_networks == several.get(classifier, 1)

    @NEEDS_AVX512
    def test_a_network_built_anew_lies_as_the_first(self, images):
        net = make(module=Seen).fit(*images)
        net.set_params(module=ResNet, **SMALL)
        convolutions = [m for m in net.module_.modules() if isinstance(m, nn.Conv2d)]
        assert all(is_channels_last(m.weight) for m in convolutions)

    def test_tables_have_none(self, table):
        nets = [
            NetClassifier(module__hidden=5, memory_format=form, **FAST).fit(*table)
            for form in ("auto", "channels_last", "contiguous")
        ]
        for net in nets[1:]:
            assert_same_weights(net, nets[0])

    def test_bytes_stay_bytes_until_the_batch(self, images):
        X, y = images
        dataset = ArrayDataset(X, y.astype(np.int64))
        batches = TensorBatches(dataset, 16, memory_format="channels_last")
        assert dataset.features is X and batches.X.dtype == torch.uint8
        assert dataset.on(torch.device("cpu"))[0].dtype == torch.uint8
        for batch in batches:
            expected = X[batch.index.numpy()] / np.float32(255)
            np.testing.assert_array_equal(batch[0].numpy(), expected)
            assert is_channels_last(batch[0])

    @pytest.mark.parametrize("iterator", [TensorBatches, LoaderBatches])
    def test_rows_that_are_no_images_stay(self, iterator):
        X = np.zeros((5, 2, 3, 4, 6), np.float32)
        for rows in (X, X[:, 0, 0, 0], X[:, 0, 0]):
            for batch in iterator(ArrayDataset(rows), 2, memory_format="channels_last"):
                assert batch[0].is_contiguous()
                assert batch[0].shape[1:] == rows.shape[1:]

    @pytest.mark.parametrize("value", ["NHWC", None, torch.channels_last])
    def test_other_names(self, images, value):
        with pytest.raises(ValueError, match="'memory_format' parameter of NetClass"):
            make(memory_format=value).fit(*images)


class Folder(Dataset):
    """Pictures and their targets, as torchvision's data sets have them."""

    def __init__(self, X, targets, mode="RGB"):
        pictures = X.transpose(0, 2, 3, 1)
        self.pictures = [Image.fromarray(p.squeeze()).convert(mode) for p in pictures]
        self.targets = targets

    def __len__(self):
        return len(self.pictures)

    def __getitem__(self, row):
        return self.pictures[row], self.targets[row]


class TestPictures:
    @pytest.mark.fast_cases(1)
    @pytest.mark.parametrize("kind", [list, np.asarray, torch.as_tensor])
    @pytest.mark.parametrize("mode", ["RGB", "L"])
    def test_they_train_as_arrays_do(self, images, mode, kind):
        X, y = images
        X = X if mode == "RGB" else X[:, :1]
        folder = Folder(X, kind(y), mode)
        net = make(**LOADERS).fit(folder)
        assert_same_weights(net, make(**LOADERS).fit(X, y))
        assert_same_weights(net, make().fit(X, y))
        assert net.classes_.tolist() == [0, 1, 2] and net.input_shape_ == X.shape[1:]
        np.testing.assert_array_equal(net.predict(folder), net.predict(X))
        np.testing.assert_array_equal(net.predict_proba(folder), net.predict_proba(X))

    @pytest.mark.slow
    def test_other_labels_may_be_given(self, images):
        X, y = images
        names = np.array(["ant", "bee", "cat"])
        folder = Folder(X, (2 - y).tolist())
        net = make(**LOADERS).fit(folder, names[y])
        assert net.classes_.tolist() == names.tolist()
        assert_same_weights(net, make().fit(X, y))
        # Codes of a Dataset, labels of an array.
        np.testing.assert_array_equal(names[net.predict(folder)], net.predict(X))

    def test_a_class_without_pictures_keeps_its_number(self, images):
        X, y = images
        net = make(**LOADERS).fit(Folder(X, (2 * y).tolist()))
        assert net.classes_.tolist() == [0, 1, 2, 3, 4]
        assert net.predict_proba(X).shape == (54, 5)

    @pytest.mark.slow
    def test_going_on(self, images):
        X, y = images
        a = make(**LOADERS).fit(Folder(X, y.tolist()))
        b = make(**LOADERS).fit(X, y)
        a.partial_fit(Folder(X, y.tolist()))
        assert_same_weights(a, b.partial_fit(X, y))

    @pytest.mark.fast_cases(1)
    @pytest.mark.parametrize("classifier", [ELRClassifier, FlywheelClassifier])
    def test_robust_classifiers_judge_their_targets(self, classifier, images):
        X, y = images
        clf = make(classifier, **LOADERS).fit(Folder(X, y.tolist()))
        again = make(classifier, **LOADERS).fit(X, y)
        np.testing.assert_array_equal(clf.noise_scores_, again.noise_scores_)
        assert clf.predict_noisy().shape == (54,)

    def test_pictures_of_one_class(self, images):
        with pytest.raises(ValueError, match="only one class"):
            make(**LOADERS).fit(Folder(images[0], [0] * 54))

    def test_they_take_the_loader_by_themselves(self, images):
        X, y = images
        assert_same_weights(
            make().fit(Folder(X, y.tolist())),
            make(**LOADERS).fit(Folder(X, y.tolist())),
        )


class NoLength(Dataset):
    def __getitem__(self, row):
        return torch.zeros(3, 8, 8)


class Stream(IterableDataset):
    def __iter__(self):
        yield torch.zeros(3, 8, 8)


class Memoryless(nn.Module):
    """Has no memory left for a batch, only for a row."""

    def __init__(self, n_classes):
        super().__init__()
        self.head = nn.Linear(192, n_classes)

    def forward(self, X):
        if len(X) > 1:
            raise torch.OutOfMemoryError("Tried to allocate 20.00 GiB.")
        return self.head(X.flatten(1))


class TestRefusals:
    @pytest.mark.parametrize("kind", [NoLength, Stream])
    def test_a_dataset_without_length(self, kind):
        message = f"{kind.__name__} has no length: a Dataset must know"
        with pytest.raises(TypeError, match=message):
            make(**LOADERS).fit(kind(), np.arange(6) % 2)

    @pytest.mark.fast_cases(3)
    @pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
    @pytest.mark.parametrize("n_channels", [1, 3, 4])
    def test_channels_last_arrays(self, dtype, n_channels):
        X, y = np.zeros((6, 8, 8, n_channels), dtype), np.arange(6) % 2
        message = rf"channels-last, shape \(6, 8, 8, {n_channels}\); pass X.transpose"
        with pytest.raises(ValueError, match=message):
            make().fit(X, y)
        net = make().fit(X.transpose(0, 3, 1, 2), y)
        with pytest.raises(ValueError, match=message):
            net.predict(X)

    @pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
    @pytest.mark.parametrize(("sign", "largest"), [(1, "255"), (-1, "255")])
    def test_bytes_as_floats(self, images, dtype, sign, largest):
        X, y = images
        X = X.astype(dtype)
        X[3, 1, 2, 2] = 255
        message = f"near .* has values up to {largest}. Pass uint8 .* or divide by 255"
        with pytest.raises(ValueError, match=message):
            make().fit(sign * X, y)

    def test_images_that_are_scaled_in_any_way(self, images):
        X, y = images
        for scaled in (X / 255, X / 127.5 - 1, (X - X.mean()) / X.std()):
            net = make(max_epochs=1).fit(scaled, y)
            assert np.isfinite(net.predict_proba(scaled)).all()
        # Tables of large numbers are the user's business.
        NetClassifier(**FAST, lr=1e-6).fit(X[:, :, 0, 0].astype(float), y)

    @pytest.mark.parametrize("device", ["cuda", "cuda:1", torch.device("cuda")])
    def test_a_gpu_that_is_not_there(self, images, monkeypatch, device):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        message = (
            rf"device='{device}', but torch finds no CUDA device: set device='cpu'"
        )
        for classifier in (NetClassifier, FlywheelClassifier):
            with pytest.raises(ValueError, match=message):
                make(classifier, device=device).fit(*images)

    def test_no_memory_left(self, images):
        net = make(module=Memoryless)
        message = r"Lower batch_size \(now 16\), .*iterator_train=LoaderBatches\. Tried"
        with pytest.raises(torch.OutOfMemoryError, match=message) as caught:
            net.fit(*images, sample_weight=np.ones(54))
        assert "20.00 GiB" in str(caught.value.__cause__)
        # The net is as usable as before.
        assert net.sample_weight_ is None and net.autocast_ is None
        net.set_params(module=PreActResNet, **SMALL).fit(*images)
        assert_same_weights(net, make().fit(*images))


class TestPrecision:
    @pytest.mark.fast_cases(1)
    @pytest.mark.parametrize(
        "form", ["contiguous", pytest.param("channels_last", marks=NEEDS_AVX512)]
    )
    def test_bfloat16_on_the_cpu(self, images, form):
        X, y = images
        seen = []

        class Typed(ResNet):
            def feature_map(self, X):
                out = super().feature_map(X)
                seen.append(out.dtype)
                return out

        net = make(module=Typed, amp=True, memory_format=form, device="cpu", **SMALL)
        proba = net.fit(X, y).predict_proba(X)
        # The check of the outputs before training is in full precision.
        assert set(seen[1:]) == {torch.bfloat16}
        assert proba.dtype == np.float32 and np.isfinite(proba).all()
        np.testing.assert_allclose(proba.sum(1), 1, rtol=1e-5)
        assert all(p.dtype == torch.float32 for p in net.module_.parameters())
        plain = make(module=ResNet).fit(X, y)
        found, expected = net.history[:, "train_loss"], plain.history[:, "train_loss"]
        np.testing.assert_allclose(found, expected, rtol=0.05)

    @pytest.mark.fast_cases(1)
    @CLASSIFIERS
    def test_every_classifier(self, classifier, images):
        X, y = images
        clf = make(classifier, amp=True, device="cpu").fit(X, y)
        assert np.isfinite(clf.predict_proba(X)).all()
        if classifier is not NetClassifier:
            assert np.isfinite(clf.noise_scores_).all()


class Look(Callback):
    """Look at the loss after each batch."""

    def on_train_begin(self, net, **kwargs):
        self.losses = []

    def on_batch_end(self, net, training=False, loss=None, **kwargs):
        if training:
            self.losses.append(net.history[-1, "batches", -1, "train_loss"])


class TestLossesOfBatches:
    @pytest.fixture
    def n_looks(self, monkeypatch):
        """Count how often a single number is fetched from a tensor."""
        looks = []

        def item(tensor, item=torch.Tensor.item):
            looks.append(tensor)
            return item(tensor)

        monkeypatch.setattr(torch.Tensor, "item", item)
        return looks

    @pytest.fixture
    def n_lists(self, monkeypatch):
        lists = []

        def tolist(tensor, tolist=torch.Tensor.tolist):
            lists.append(tuple(tensor.shape))
            return tolist(tensor)

        monkeypatch.setattr(torch.Tensor, "tolist", tolist)
        return lists

    @pytest.mark.fast_cases(2)
    @pytest.mark.parametrize(
        "callbacks",
        [
            None,
            "disable",
            [EpochScoring("accuracy", name="accuracy", lower_is_better=False)],
            [DynamicsRecorder()],
            [LRScheduler(lr_scheduler.StepLR, step_size=1)],
        ],
        ids=["default", "disable", "scoring", "recorder", "scheduler"],
    )
    def test_they_are_fetched_once_an_epoch(self, images, n_looks, n_lists, callbacks):
        net = make(callbacks=callbacks).fit(*images)
        assert n_looks == []
        # One list of four losses an epoch: a GPU is waited for three times in all.
        assert n_lists.count((4,)) == 3 and len(n_lists) == 3
        assert [len(row["batches"]) for row in net.history] == [4, 4, 4]

    def test_validation_batches_too(self, images, n_looks, n_lists):
        make(train_split=ValidSplit(3)).fit(*images)
        assert n_looks == []
        assert n_lists.count((3,)) == n_lists.count((1,)) == 3

    def test_a_scheduler_of_batches_gets_each(self, images):
        plateau = LRScheduler(
            lr_scheduler.ReduceLROnPlateau,
            patience=0,
            threshold=2.0,
            step_every="batch",
        )
        net = make(callbacks=[plateau]).fit(*images)
        assert net.history[-1, "batches", -1, "event_lr"] < 0.05

    def test_an_interrupt_leaves_those_before_it(self, images, monkeypatch):
        n_steps = []

        def step(net, X, y, index, loss=NetClassifier.training_loss):
            n_steps.append(1)
            if len(n_steps) == 7:
                raise KeyboardInterrupt
            return loss(net, X, y, index)

        monkeypatch.setattr(NetClassifier, "training_loss", step)
        with pytest.warns(TrainingInterruptedWarning, match="1 of"):
            net = make().fit(*images)
        batches = net.history[-1, "batches"]
        assert ["train_loss" in row for row in batches] == [True, True, False]

    def test_a_callback_that_looks_at_batches_gets_each(self, images, n_looks):
        look = Look()
        net = make(callbacks=[look]).fit(*images)
        assert len(n_looks) == 3 * 4 == len(look.losses)
        batches = net.history[:, "batches", :, "train_loss"]
        assert [loss for epoch in batches for loss in epoch] == look.losses

    @pytest.mark.fast_cases(1)
    @pytest.mark.parametrize("split", [None, ValidSplit(3)])
    def test_the_history_is_the_same(self, images, split):
        X, y = images
        a = make(train_split=split).fit(X, y)
        b = make(train_split=split, callbacks=[Look()]).fit(X, y)
        assert_same_weights(a, b)
        for key in ("train_loss", "train_batch_count"):
            assert a.history[:, key] == b.history[:, key]
        if split is not None:
            assert a.history[:, "valid_loss"] == b.history[:, "valid_loss"]
        sizes, losses = (
            a.history[-1, "batches", :, key]
            for key in ("train_batch_size", "train_loss")
        )
        mean = np.average(losses, weights=sizes)
        np.testing.assert_allclose(a.history[-1, "train_loss"], mean, rtol=1e-12)


class Rates(Callback):
    """Write the learning rate of each epoch into the history."""

    def on_epoch_begin(self, net, **kwargs):
        net.history.record("lr", net.optimizer_.param_groups[0]["lr"])


def cosine(lr, lowest, share):
    return lowest + (lr - lowest) * (1 + math.cos(math.pi * share)) / 2


class TestSchedulesOfPapers:
    @pytest.mark.fast_cases(2)
    @pytest.mark.parametrize(
        ("policy", "expected"),
        [
            # Cosine over all epochs.
            (
                partial(LRScheduler, lr_scheduler.CosineAnnealingLR, T_max=12),
                lambda epoch: cosine(0.1, 0, epoch / 12),
            ),
            # Divided by ten twice.
            (
                partial(LRScheduler, lr_scheduler.MultiStepLR, milestones=[4, 10]),
                lambda epoch: 0.1 * 0.1 ** ((epoch >= 4) + (epoch >= 10)),
            ),
            # Cosine cycles of five epochs, each from the start again.
            (
                partial(
                    LRScheduler,
                    lr_scheduler.CosineAnnealingWarmRestarts,
                    T_0=5,
                    eta_min=0.001,
                ),
                lambda epoch: cosine(0.1, 0.001, (epoch % 5) / 5),
            ),
            # Cycles that double: 2, 4, 8 epochs.
            (
                partial(
                    LRScheduler,
                    lr_scheduler.CosineAnnealingWarmRestarts,
                    T_0=2,
                    T_mult=2,
                ),
                lambda epoch: (
                    cosine(0.1, 0, epoch / 2)
                    if epoch < 2
                    else cosine(0.1, 0, (epoch - 2) / 4)
                    if epoch < 6
                    else cosine(0.1, 0, (epoch - 6) / 8)
                ),
            ),
        ],
        ids=["cosine", "steps", "restarts", "doubling"],
    )
    @pytest.mark.parametrize("classifier", [NetClassifier, NALClassifier])
    def test_rate_of_each_epoch(self, table, classifier, policy, expected):
        callbacks = [Rates(), policy()]
        clf = classifier(
            module__hidden=4, lr=0.1, max_epochs=12, batch_size=16, callbacks=callbacks
        )
        rates = clf.fit(*table).history[:, "lr"]
        # torch multiplies from epoch to epoch.
        expected = [expected(epoch) for epoch in range(12)]
        np.testing.assert_allclose(rates, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_images_train_the_network_of_18_layers_by_default(images):
    X, y = images
    net = NetClassifier(max_epochs=1, random_state=0).fit(X[:16], y[:16])
    assert type(net.module_) is PreActResNet18 and net.module is None
    assert net.module_.head.in_features == 512
    assert net.transform(X[:3]).shape == (3, 512)
