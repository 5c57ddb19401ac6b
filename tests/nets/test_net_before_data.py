"""Nets that are built before their first data, and data that come in other shapes."""

import pickle

import numpy as np
import pytest
import torch
from skorch.dataset import Dataset as SkorchDataset
from skorch.helper import predefined_split
from skorch.hf import AccelerateMixin
from skorch.scoring import loss_scoring
from torch import nn
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset

from sknoisy import CoTeachingClassifier, ELRClassifier, NetClassifier
from sknoisy.nets import AdversarialMasking, LoaderBatches

PARAMS = {"max_epochs": 2, "batch_size": 16, "random_state": 0}


class Small(nn.Module):
    def __init__(self, n_inputs=4):
        super().__init__()
        self.head = nn.Linear(n_inputs, 3)

    def forward(self, X):
        return self.head(X.flatten(1))


class Asks(nn.Module):
    def __init__(self, n_samples):
        super().__init__()


class Rows(Dataset):
    """Yields rows, or pairs if it has labels."""

    def __init__(self, X, y=None):
        self.X, self.y = X, y

    def __len__(self):
        return len(self.X)

    def __getitem__(self, row):
        return self.X[row] if self.y is None else (self.X[row], self.y[row])


def net(**params):
    return NetClassifier(**{"module": Small, **PARAMS, **params})


GIVEN = {"module": None, "module__hidden": 4, "module__input_shape": (4,)}


@pytest.mark.parametrize("params", [{}, {**GIVEN, "classes": [0, 1, 2]}])
def test_initialize_and_partial_fit_are_a_fit(table, params):
    X, y = table
    state = torch.get_rng_state()
    built = net(**params).initialize()
    assert torch.get_rng_state().equal(state)
    assert built.predict_proba(X).shape == (45, 3)
    fitted = net(**params).fit(X, y)
    np.testing.assert_array_equal(
        built.partial_fit(X, y).predict_proba(X), fitted.predict_proba(X)
    )
    assert built.n_features_in_ == 4 and built.classes_.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(
        built.fit(X, y).predict_proba(X), fitted.predict_proba(X)
    )


def test_weights_are_loaded_before_data(table, tmp_path):
    X, y = table
    names = np.array(["ant", "bee", "cat"])
    fitted = net().fit(X, names[y])
    fitted.save_params(tmp_path / "weights.pt")
    for classes, labels in (
        (names, names),
        (list(names[::-1]), names),
        # As in skorch: codes, while nobody has said what they stand for.
        (None, np.arange(3)),
    ):
        loaded = net(classes=classes).initialize()
        loaded.load_params(tmp_path / "weights.pt")
        loaded = pickle.loads(pickle.dumps(loaded))
        expected = labels[names.searchsorted(fitted.predict(X))]
        np.testing.assert_array_equal(loaded.predict(X), expected)


def test_images_after_initialize_lie_as_in_a_fit():
    X = np.random.default_rng(0).random((12, 1, 4, 4), dtype=np.float32)
    y = np.arange(12) % 3

    class Convolves(nn.Sequential):
        def __init__(self):
            parts = nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3)
            super().__init__(*parts)

    built = net(module=Convolves).initialize().partial_fit(X, y)
    fitted = net(module=Convolves).fit(X, y)
    strides = [one.module_[0].weight.stride() for one in (built, fitted)]
    assert strides[0] == strides[1]
    np.testing.assert_array_equal(built.predict_proba(X), fitted.predict_proba(X))


@pytest.mark.parametrize(
    "given, match",
    [
        (net(module=None), "chooses its network by the data: set module__input_shape"),
        (
            net(**GIVEN),
            "MLP needs n_classes, which NetClassifier reads .* set classes, or call",
        ),
        (
            net(module=Asks),
            "Asks needs n_samples, which .* the data: call fit or partial_fit instead",
        ),
        (CoTeachingClassifier(Small), "CoTeachingClassifier needs the rows to build"),
        (net(masking=AdversarialMasking), "NetClassifier needs the rows to build"),
        (net(lr=-1), "'lr' parameter of NetClassifier"),
        (net(max_epoch=3), "unexpected argument.* max_epoch"),
    ],
)
def test_initialize_says_what_it_lacks(given, match):
    with pytest.raises(ValueError, match=match):
        given.initialize()


def test_a_network_that_does_not_fit_the_data_is_told_at_the_data(table):
    X, y = table
    with pytest.raises(ValueError, match="3 outputs for a row, but 4 are needed"):
        net().initialize().partial_fit(X, y % 3 + (y == 2) * (X[:, 0] > 0))


def test_partial_fit_for_some_epochs(table):
    X, y = table
    twice = net(max_epochs=9).partial_fit(X, y, epochs=2)
    assert len(twice.history) == 2 and twice.max_epochs == 9
    once = net(max_epochs=2).fit(X, y)
    np.testing.assert_array_equal(twice.predict_proba(X), once.predict_proba(X))
    assert len(twice.partial_fit(X, y, epochs=0).history) == 2
    for epochs, kind in ((-1, ValueError), (1.5, TypeError)):
        with pytest.raises(kind, match="epochs must be "):
            twice.partial_fit(X, y, epochs=epochs)
    assert twice.max_epochs == 9


def test_no_epochs_train_nothing(table):
    X, y = table
    start = net().initialize()
    none = net(max_epochs=0).fit(X, y)
    np.testing.assert_array_equal(none.predict_proba(X), start.predict_proba(X))
    with pytest.raises(ValueError, match="max_epochs must be 1 or more; got 0"):
        ELRClassifier(Small, max_epochs=0).fit(X, y)


def test_a_trimmed_net_says_that_it_cannot_be_trained(table):
    trimmed = net().fit(*table)
    trimmed.trim_for_prediction()
    with pytest.raises(Exception, match="trimmed for prediction"):
        trimmed.fit(*table)


LOADER = {"iterator_train": DataLoader, "iterator_valid": DataLoader}


def test_a_plain_loader_trains_as_our_iterators_do(table):
    X, y = table
    ours = net(iterator_train__shuffle=False).fit(X, y)
    pairs = net(**LOADER).fit(X, y)
    np.testing.assert_allclose(pairs.predict_proba(X), ours.predict_proba(X), rtol=1e-5)
    np.testing.assert_allclose(pairs.transform(X), ours.transform(X), rtol=1e-5)


class Indexed(nn.CrossEntropyLoss):
    def forward(self, logits, y, index):
        return super().forward(logits, y) + 0 * index.sum()


@pytest.mark.parametrize(
    "kind, params, weights, reader",
    [
        (CoTeachingClassifier, {}, None, "the training of CoTeachingClassifier"),
        (ELRClassifier, {}, None, "its criterion"),
        (NetClassifier, {"criterion": Indexed}, None, "its criterion"),
        (NetClassifier, {}, np.ones(45), "sample_weight"),
    ],
)
def test_what_reads_row_numbers_refuses_a_plain_loader(
    table, kind, params, weights, reader
):
    fit = kind(Small, iterator_train=DataLoader, **params, **PARAMS).fit
    match = f"{reader} reads which rows .*=DataLoader does not .*LoaderBatches"
    with pytest.raises(TypeError, match=match):
        fit(*table, sample_weight=weights)


def test_scores_of_rows_refuse_a_plain_loader(table):
    net = ELRClassifier(Small, iterator_valid=DataLoader, **PARAMS)
    with pytest.raises(TypeError, match="iterator_valid=DataLoader does not say it"):
        net.fit(*table)


def test_a_loader_that_yields_no_pairs(table):
    def three(dataset, batch_size):
        return [[torch.zeros(2, 4)] * 3]

    with pytest.raises(TypeError, match=r"list yields list, not pairs \(X, y\)"):
        net(iterator_train=three).fit(*table)


def test_datasets_that_hold_their_labels(table):
    X, y = table
    names = np.array(["ant", "bee", "cat"])[y]
    ours = net().fit(X, names).predict_proba(X)
    loaders = {"iterator_train": LoaderBatches, "iterator_valid": LoaderBatches}
    for data, params in (
        (SkorchDataset(X, names), {}),
        (TensorDataset(torch.tensor(X), torch.tensor(y)), {}),
        (Rows(X, names), loaders),
        (Subset(Rows(X, names), range(45)), loaders),
        (Rows(X, list(torch.tensor(y))), loaders),
    ):
        fitted = net(**params).fit(data)
        np.testing.assert_array_equal(fitted.predict_proba(X), ours)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_skorch_scores_losses_of_rows_and_labels(table, reduction):
    X, y = table
    names = np.array(["ant", "bee", "cat"])[y]
    fitted = net(criterion__reduction=reduction, max_epochs=1).fit(X, names)
    losses = -np.log(fitted.predict_proba(X)[np.arange(45), y])
    reduced = {"mean": losses.mean(), "sum": losses.sum(), "none": losses}
    np.testing.assert_allclose(
        loss_scoring(fitted, X, names), reduced[reduction], rtol=1e-4
    )


def test_a_validation_set_of_ones_own(table):
    X, y = table
    names = np.array(["ant", "bee", "cat"])[y]
    whole = net(train_split=lambda data, y: (data, data)).fit(X, names)
    for valid in (SkorchDataset(X, names), Rows(X, names)):
        params = {} if isinstance(valid, SkorchDataset) else {"use_caching": True}
        if not isinstance(valid, SkorchDataset):
            params["iterator_valid"] = LoaderBatches
        held = net(train_split=predefined_split(valid), **params).fit(X, names)
        for name in ("valid_loss", "valid_acc"):
            assert held.history[:, name] == whole.history[:, name]
        np.testing.assert_array_equal(held.predict_proba(X), whole.predict_proba(X))
    with pytest.raises(ValueError, match="dog"):
        net(
            train_split=predefined_split(SkorchDataset(X[:2], np.array(["dog", "ant"])))
        ).fit(X, names)


class Accelerated(AccelerateMixin, NetClassifier):
    pass


class RobustAccelerated(AccelerateMixin, CoTeachingClassifier):
    pass


class Accelerator:
    """What of accelerate's a net calls, on one device."""

    device_placement, num_processes, is_main_process = True, 1, True

    def __init__(self):
        self.n_backwards = 0

    def prepare(self, part):
        return part

    def unwrap_model(self, module, keep_fp32_wrapper=False):
        return module

    def wait_for_everyone(self):
        pass

    def gather_for_metrics(self, output):
        return output

    def accumulate(self, module):
        return torch.enable_grad()

    autocast = staticmethod(torch.enable_grad)

    def backward(self, loss):
        self.n_backwards += 1
        loss.backward()

    def print(self, text):
        pass


def accelerator():
    try:
        import accelerate
    except ImportError:
        pytest.skip("accelerate is not installed: its true Accelerator is not tried")
    return accelerate.Accelerator(cpu=True)


@pytest.mark.parametrize("make", [Accelerator, accelerator])
def test_accelerate_mixin_trains_a_plain_net(table, make):
    X, y = table
    given = make()
    plain = net().fit(X, y)
    fast = Accelerated(Small, accelerator=given, **PARAMS).fit(X, y)
    np.testing.assert_allclose(fast.predict_proba(X), plain.predict_proba(X), rtol=1e-5)
    assert getattr(given, "n_backwards", 6) == 6
    built = Accelerated(Small, accelerator=make(), **PARAMS).initialize()
    assert built.predict_proba(X).shape == (45, 3)


def test_accelerate_mixin_refuses_what_it_would_leave_out(table):
    given = Accelerator()
    for kind, params, weights, match in (
        (RobustAccelerated, {}, None, "the training_loss of Robust.*Take CoTeach"),
        (Accelerated, {"augment": torch.neg}, None, "augment.* Take NetClassifier"),
        (Accelerated, {"criterion": Indexed}, None, "criterion that takes an index"),
        (Accelerated, {}, np.ones(45), "leaves out sample_weight"),
    ):
        with pytest.raises(ValueError, match=match):
            kind(Small, accelerator=given, **params, **PARAMS).fit(
                *table, sample_weight=weights
            )
    soft = {"soft_targets": np.eye(3)[table[1]]}
    with pytest.raises(ValueError, match="leaves out soft_targets"):
        Accelerated(Small, accelerator=given, **PARAMS).fit(*table, **soft)
    for name, match in (
        ("num_processes", "has 2 processes"),
        ("gradient_accumulation_steps", "accumulates gradients over 2 batches"),
    ):
        given = Accelerator()
        setattr(given, name, 2)
        with pytest.raises(ValueError, match=match):
            Accelerated(Small, accelerator=given, **PARAMS).fit(*table)
