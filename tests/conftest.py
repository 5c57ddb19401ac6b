"""What every test can count on: one torch thread, data to look for, loud skips."""

import ast
import gc
import signal
import sys
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import sklearn
import torch
from fast_part import FAST_EXAMPLES, pytest_collection_modifyitems  # noqa: F401
from other_device import MISSING, OtherProcess, set_up
from sklearn.datasets import load_digits

torch.set_num_threads(1)
# On a machine that does something else, too, a deadline tells nothing of the code.
hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")
hypothesis.settings.register_profile(
    "fast part", deadline=None, max_examples=FAST_EXAMPLES
)


def pytest_addoption(parser):
    parser.addoption(
        "--sklearn-config",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="run the tests under sklearn.set_config(NAME=VALUE); may be repeated",
    )


def pytest_configure(config):
    gc.disable()  # what is imported and collected stays to the end
    if config.option.markexpr == "not slow":
        hypothesis.settings.load_profile("fast part")
    for setting in config.getoption("--sklearn-config"):
        name, _, value = setting.partition("=")
        is_name = value.isidentifier() and value not in ("True", "False", "None")
        sklearn.set_config(**{name: value if is_name else ast.literal_eval(value)})


def pytest_collection_finish():
    """Spare the garbage collector what stays to the end: all modules and tests."""
    gc.freeze()
    gc.enable()


SHARED = Path(__file__).resolve().parents[2] / "shared"
# Small arrays that are part of the repository, and larger ones of other programs, which
# few have: `tests/reference/README.md` says more of both.
REFERENCES = {
    "small": Path(__file__).with_name("reference"),
    "large": SHARED / "reference",
}


def _load(path):
    with np.load(path) as archive:
        return {key: archive[key] for key in archive.files}


@pytest.fixture
def default_output():
    """Transformers give arrays, whatever ``--sklearn-config`` says."""
    with sklearn.config_context(transform_output="default"):
        yield


@pytest.fixture
def no_routing():
    """For parameters by the name of a step, as in pipelines without routing.

    Pipelines of imbalanced-learn need it, too: they route a weight of None to score.
    """
    with sklearn.config_context(enable_metadata_routing=False):
        yield


@pytest.fixture
def no_dispatch():
    """For mixtures of scikit-learn itself, whose start by k-means takes numpy only."""
    with sklearn.config_context(array_api_dispatch=False):
        yield


@pytest.fixture(autouse=True, scope="session")
def keyboard():
    """Let tests press Ctrl-C: a job in the background begins with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def close_figures():
    """Leave no figure open."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture(params=[name for name, at in REFERENCES.items() if at.exists()])
def reference(request):
    """Load a file of independently computed numbers, from each folder that is there."""
    return lambda name: _load(REFERENCES[request.param] / name)


@pytest.fixture(scope="session")
def other_device():
    """Call functions in a process that has another device than the CPU."""
    if set_up is None:
        pytest.skip(MISSING)
    process = OtherProcess()
    yield process
    process.close()


@pytest.fixture
def real_data():
    """Load a real data set; skip if it is absent, as its licence forbids to copy it."""

    def load(name):
        path = SHARED / "data" / name
        if not path.exists():
            pytest.skip(f"data/{name} is not there; this test needs it")
        return _load(path)

    return load


@pytest.fixture
def weakly_labelled_digits():
    """Handwritten digits, true labels, and those of annotators who err as people do."""
    X, y = load_digits(return_X_y=True)
    labels = _load(REFERENCES["small"] / "weak_labels.npz")
    return X.astype(np.float32) / 16, y, labels


@pytest.fixture
def blobs():
    """Three Gaussian blobs with a fifth of wrong labels: X, y_noisy, is_noisy."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], 60)
    centers = np.array([[4, 0, 0, 0], [0, 4, 0, 0], [0, 0, 4, 0]])
    X = centers[y] + rng.normal(size=(180, 4))
    is_noisy = np.zeros(180, dtype=bool)
    is_noisy[rng.choice(180, 36, replace=False)] = True
    y_noisy = np.where(is_noisy, (y + rng.integers(1, 3, 180)) % 3, y)
    order = rng.permutation(180)
    return X[order].astype(np.float32), y_noisy[order], is_noisy[order]
