"""Whatever trains a network does so on a device beside the CPU, and crosses little.

The device is the stand-in of ``tests/other_device.py``, in a process of its own.
"""

from collections import Counter

import numpy as np
import pytest
import torch
from other_device import NAME, DeviceModule, counted, own_generator, without_float64
from public_estimators import ON_IMAGES
from skorch.dataset import ValidSplit
from torch import nn

from sknoisy import (
    DivideMixClassifier,
    DynamicsClassifier,
    ELRClassifier,
    FINEDetector,
    FlywheelClassifier,
    ImageEncoder,
    NetClassifier,
    SSRClassifier,
)
from sknoisy.nets import AdversarialMasking, LoaderBatches, PreActResNet, rand_augment

# Without a faster kernel for many weights at once, which the stand-in has not: the CPU
# would round otherwise. With this batch size all results have the bits of the CPU. With
# others torch lays out some gradients differently, and the mixture of
# DynamicBootstrapClassifier makes a difference of 4e-9 in a logit 2e-5 in an epoch.
USUAL = {"batch_size": 16, "random_state": 0, "optimizer__foreach": False}
ON_TABLES = {"module__hidden": 8, "max_epochs": 3}
NARROW = {"module": PreActResNet, "module__blocks": (1,), "module__width": 4}
LOADERS = {"iterator_train": LoaderBatches, "iterator_valid": LoaderBatches}
SIX_STEPS = {"batch_size": 8}
BRIEF = {"warmup_epochs": 1, "ramp_epochs": 2, "noise_rate": 0.2, "forget_rate": 0.2}

# A pass sends the order of its rows; it brings back all losses, and whether weights are
# finite. A recorder sends the codes; it brings back whether it knows all rows, and what
# it has seen.
PASS = RECORD = 3
# How many rows a step learns depends on what its networks predict, once a step.
WAITING = {"CoTeachingPlusClassifier"}
# Crossings of an epoch, however many steps it has, of those that need more than a pass.
OF_AN_EPOCH = {
    "AUMDetector": 2 * (PASS + RECORD),  # two runs
    "CORESClassifier": PASS + 4,  # the sieve
    "CORESDetector": PASS + RECORD + 4,  # the sieve
    "CoTeachingPlusClassifier": PASS + 6,  # a wait in each step
    "DISCClassifier": PASS + 2,  # the sizes of the parts
    "DivideMixClassifier": 2 * (PASS + 4) + 2,  # two groups of rows for two networks
    "DynaCorDetector": 5 * (PASS + RECORD),  # planted rates and settings
    "DynamicBootstrapClassifier": PASS + 5,  # a mixture, fitted by numpy
    "ELRPlusClassifier": 2 * PASS,
    "FlywheelClassifier": 2 * PASS + 7,  # the E-steps
    "LossMixtureDetector": PASS + RECORD,
    "PESClassifier": 2 * PASS + 4,  # the judgement, two groups of rows
    "RobustLossClassifier": PASS + 2,  # the pruning of truncated_gce
    "SSRClassifier": PASS + 12,  # selection and relabelling
    "SmallLossDetector": PASS + RECORD,
    "UNICONClassifier": 2 * (PASS + 12),  # two judgements and groups of rows
    "TransitionCorrectionClassifier": 2 * PASS + RECORD,  # a first network
    "dynacor_of_a_net": 2 * (PASS + RECORD),
}

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*losses are too few"),
    pytest.mark.filterwarnings("ignore:the refurbished labels have collapsed"),
]


# The branch of NALClassifier reads maps of images only.
ON_BOTH = [
    make for make in ON_IMAGES if "attention_input" not in getattr(make, "keywords", {})
]


def rows(kind="table"):
    rng = np.random.default_rng(0)
    codes = np.repeat([0, 1, 2], 16)
    y = codes.copy()
    y[::7] = (y[::7] + 1) % 3
    if kind == "table":
        X = 2 * np.eye(3, 4)[codes] + rng.normal(size=(48, 4))
        return X.astype(np.float32), y
    X = rng.integers(0, 100, (48, 3, 8, 8)) + 50 * codes[:, None, None, None]
    return X[::2].astype(np.uint8), y[::2]


def made(make, **params):
    """Return an estimator, brief as far as it has the parameters for it."""
    params = {**USUAL, **params}
    names = make(max_epochs=1).get_params()
    return make(**{k: v for k, v in BRIEF.items() if k in names}, **params)


def name_of(make):
    return getattr(getattr(make, "func", make), "__name__", "")


def answers(estimator, X):
    """Return all that a fitted estimator says of its rows and of X."""
    names = ("noise_scores_", "label_proba_", "suggested_labels_")
    found = {name: getattr(estimator, name, None) for name in names}
    for method in ("predict_proba", "transform"):
        if hasattr(estimator, method):
            found[method] = getattr(estimator, method)(X)
    return {name: value for name, value in found.items() if value is not None}


def fitted(estimator, X, y, **fit_params):
    """Return the answers of an estimator; runs in the process with the device."""
    return answers(estimator.fit(X, y, **fit_params), X)


class Small(nn.Sequential):
    """An encoder of images, with the same weights each time."""

    def __init__(self):
        super().__init__(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten())
        values = torch.Generator().manual_seed(0)
        for weight in self.parameters():
            nn.init.normal_(weight, generator=values)


def encoded(encoder, images):
    """Return the rows of images; runs in the process with the device."""
    return np.asarray(encoder.fit_transform(images))


def fitted_without_float64(estimator, X, y):
    """Return the answers; runs in the process with the device."""
    with without_float64():
        return fitted(estimator, X, y)


def crossings_of(estimator, X, y):
    """Count what crosses in a fit; runs in the process with the device."""
    with counted() as found:
        estimator.fit(X, y)
    return Counter(found)


SEEN = []


def seen_view(X):
    SEEN.append(len(X))
    return rand_augment(X)


def crossings_of_views(estimator):
    """Count what random changes let cross, and their calls; runs with the device."""
    del SEEN[:]
    found = crossings_of(estimator, *rows("images"))
    return by_kind_in("_image_augment.py", found), len(SEEN)


def by_kind_in(file, crossings):
    """Return the number of crossings of each kind in a file."""
    found = Counter()
    for crossing, n in crossings.items():
        if file in crossing.line:
            found[crossing.kind] += n
    return found


def changed_on(X):
    """Return crossings and result of random changes; runs with the device."""
    X = X.to(NAME)
    torch.manual_seed(0)
    with counted() as found:
        changed = rand_augment(X)
    return [crossing.kind for crossing in found], changed.cpu().numpy()


def twice_with_own_generator(estimator):
    """Fit twice; runs in the process with the device."""
    X, y = rows()
    with own_generator():
        torch.rand(1, device=NAME)
        before = DeviceModule.get_rng_state()
        found = [fitted(estimator, X, y) for _ in range(2)]
        return *found, torch.equal(DeviceModule.get_rng_state(), before)


def assert_as_on_the_cpu(other_device, make, data, fit_params=None, **params):
    on_cpu, on_other = (
        other_device(
            fitted, made(make, device=device, **params), *data, **(fit_params or {})
        )
        for device in ("cpu", NAME)
    )
    assert on_cpu.keys() == on_other.keys()
    for name, expected in on_cpu.items():
        np.testing.assert_allclose(
            on_other[name], expected, atol=1e-5, rtol=1e-5, err_msg=name
        )


class TestResults:
    """They are those of the CPU, where both draw the same random numbers."""

    @pytest.mark.parametrize("make", ON_BOTH, ids=name_of)
    def test_of_tables(self, other_device, make):
        assert_as_on_the_cpu(other_device, make, rows(), **ON_TABLES)

    @pytest.mark.parametrize("make", ON_IMAGES, ids=name_of)
    def test_of_images(self, other_device, make):
        assert_as_on_the_cpu(other_device, make, rows("images"), **NARROW, max_epochs=2)

    @pytest.mark.parametrize(
        "params",
        [
            LOADERS,
            {"train_split": ValidSplit(3, stratified=True)},
            {"settings": "auto"},
            {"iterator_train__balance": True, "iterator_train__batches_per_epoch": 3},
        ],
        ids=["rows by a loader", "validation", "a race of settings", "balanced"],
    )
    def test_with_options_of_a_net(self, other_device, params):
        params = {**ON_TABLES, **params}
        assert_as_on_the_cpu(other_device, NetClassifier, rows(), **params)

    def test_with_weights_of_rows(self, other_device):
        weights = {"sample_weight": np.linspace(0.5, 2, 48)}
        for make in (NetClassifier, ELRClassifier):
            assert_as_on_the_cpu(other_device, make, rows(), weights, **ON_TABLES)

    @pytest.mark.slow
    def test_with_masked_images(self, other_device):
        params = {**NARROW, "max_epochs": 2, "masking": AdversarialMasking}
        data = rows("images")
        for make in (NetClassifier, DivideMixClassifier):
            assert_as_on_the_cpu(other_device, make, data, **params)

    @pytest.mark.slow
    def test_of_features_of_a_net(self, other_device):
        def fine(device):
            net = NetClassifier(**USUAL, **ON_TABLES, device=device)
            detector = FINEDetector(net, random_state=0)
            return other_device(fitted, detector, *rows())["noise_scores_"]

        np.testing.assert_allclose(fine(NAME), fine("cpu"), atol=1e-5)

    def test_of_encoders(self, other_device):
        def rows_of_images(device):
            encoder = ImageEncoder(Small(), device=device, batch_size=7)
            return other_device(encoded, encoder, rows("images")[0])

        np.testing.assert_allclose(rows_of_images(NAME), rows_of_images("cpu"), 1e-5)

    def test_of_trajectories(self, other_device):
        X, y = rows()
        data = X.cumsum(1), y > 0
        params = {"max_epochs": 3}
        assert_as_on_the_cpu(other_device, DynamicsClassifier, data, **params)


@pytest.mark.parametrize("make", ON_BOTH, ids=name_of)
def test_devices_without_float64_are_enough(other_device, make):
    """Sums over all rows are then less exact."""
    params = {**ON_TABLES, "max_epochs": 2}
    exact = other_device(fitted, made(make, device="cpu", **params), *rows())
    found = other_device(
        fitted_without_float64, made(make, device=NAME, **params), *rows()
    )
    for name, expected in exact.items():
        np.testing.assert_allclose(found[name], expected, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("make", ON_BOTH, ids=name_of)
def test_a_seed_is_for_the_generator_of_the_device(other_device, make):
    """It draws the same at each fit, and is found as it was left."""
    estimator = made(make, device=NAME, **{**ON_TABLES, "max_epochs": 2})
    first, second, is_restored = other_device(twice_with_own_generator, estimator)
    assert is_restored
    for name, expected in first.items():
        np.testing.assert_array_equal(second[name], expected, err_msg=name)


class TestCrossings:
    @pytest.mark.parametrize("make", ON_BOTH, ids=name_of)
    def test_no_step_crosses_and_an_epoch_rarely(self, other_device, make):
        """Six steps in an epoch: one crossing in each would not fit in the budget."""
        shorter, longer = (
            other_device(
                crossings_of,
                made(make, device=NAME, **{**ON_TABLES, **SIX_STEPS, "max_epochs": n}),
                *rows(),
            )
            for n in (3, 4)
        )
        in_steps = {crossing for crossing in longer if crossing.in_step}
        if name_of(make) in WAITING:
            in_steps = {crossing for crossing in in_steps if crossing.kind != "wait"}
        assert not in_steps
        epoch = longer.total() - shorter.total()
        assert epoch <= OF_AN_EPOCH.get(name_of(make), PASS), longer - shorter

    @pytest.mark.parametrize("make", [FlywheelClassifier, SSRClassifier])
    def test_the_strong_view_crosses_once_a_step(self, other_device, make):
        params = {**NARROW, **SIX_STEPS, "max_epochs": 2, "strong_view": seen_view}
        estimator = made(make, device=NAME, **params)
        in_views, n_views = other_device(crossings_of_views, estimator)
        # The first one, on two rows, is before training.
        assert n_views > 6
        assert in_views == {"up": n_views}

    def test_random_changes_of_images_are_sent_at_once(self, other_device):
        X = torch.rand(64, 3, 8, 8, generator=torch.Generator().manual_seed(0))
        kinds, found = other_device(changed_on, X)
        assert kinds == ["up"]
        with torch.random.fork_rng():
            torch.manual_seed(0)
            np.testing.assert_allclose(found, rand_augment(X), atol=1e-6)

    def test_a_loader_sends_each_batch(self, other_device):
        net = made(NetClassifier, device=NAME, **ON_TABLES, **SIX_STEPS, **LOADERS)
        found = other_device(crossings_of, net, *rows())
        assert not any(crossing.in_step for crossing in found)
        # X, y and row numbers, in three epochs of six batches.
        assert by_kind_in("_batches.py", found) == {"up": 3 * 6 * 3}


class Mixing(nn.Linear):
    """A network with a constant that does not move to the device."""

    def __init__(self, input_shape, n_classes):
        super().__init__(*input_shape, n_classes)
        self.scales = torch.ones(input_shape)

    def forward(self, X):
        return super().forward(X * self.scales)


class Asking(nn.Linear):
    """A network that reads a number back in each step."""

    def __init__(self, input_shape, n_classes):
        super().__init__(*input_shape, n_classes)

    def forward(self, X):
        return super().forward(X / float(X.detach().abs().amax()))


class TestStandIn:
    """What the other tests rest on: it fails and counts where a GPU would."""

    def test_devices_that_are_mixed_are_refused(self, other_device):
        net = NetClassifier(Mixing, max_epochs=1)
        assert other_device(fitted, net, *rows())
        with pytest.raises(Exception, match="tensors to be on the same device"):
            other_device(fitted, net.set_params(device=NAME), *rows())

    def test_a_number_read_in_a_step_is_counted(self, other_device):
        net = made(NetClassifier, module=Asking, max_epochs=3, device=NAME, **SIX_STEPS)
        found = other_device(crossings_of, net, *rows())
        in_steps = {c: n for c, n in found.items() if c.in_step}
        assert sum(in_steps.values()) == 3 * 6
        assert {crossing.kind for crossing in in_steps} == {"down"}

    def test_operations_cross_as_on_a_gpu(self, other_device):
        assert other_device(kinds_of_crossings) == KINDS

    def test_other_processes_have_no_such_device(self):
        with pytest.raises(RuntimeError, match="device"):
            torch.zeros(1, device=NAME)


KINDS = {
    "to": ["up"],
    "tensor": ["up"],
    "cpu": ["down"],
    "item": ["down"],
    "tolist": ["down"],
    "if": ["down"],
    "equal": ["down"],
    "nonzero": ["wait"],
    "bincount": ["wait"],
    "by a mask": ["wait"],
    "by the host's rows": ["up"],
    "by rows": [],
    "not awaited": ["unpinned"],
    "arithmetic": [],
    "made there": [],
    "backward": [],
}


def kinds_of_crossings():
    """Return what crosses in some operations; runs in the process with the device."""
    on_host = torch.tensor([1.0, 0.0, 3.0])
    x = on_host.to(NAME)
    rows, weight = torch.tensor([0, 2]), x.clone().requires_grad_()
    rows_there = rows.to(NAME)
    operations = {
        "to": lambda: on_host.to(NAME),
        "tensor": lambda: torch.tensor([1, 2], device=NAME),
        "cpu": x.cpu,
        "item": x.sum().item,
        "tolist": x.tolist,
        "if": lambda: bool((x > 0).any()),
        "equal": lambda: torch.equal(x, x),
        "nonzero": x.nonzero,
        "bincount": lambda: torch.bincount(rows_there),
        "by a mask": lambda: x[x > 0],
        "by the host's rows": lambda: x[rows],
        "by rows": lambda: x[rows_there],
        "not awaited": lambda: on_host.to(NAME, non_blocking=True),
        "arithmetic": lambda: (x * 2 + x.mean()).softmax(0).double(),
        "made there": lambda: torch.rand(3, device=NAME) + torch.arange(3, device=NAME),
        "backward": lambda: (weight * x).sum().backward(),
    }
    kinds = {}
    for name, operation in operations.items():
        with counted() as found:
            operation()
        kinds[name] = [crossing.kind for crossing in found]
    return kinds
