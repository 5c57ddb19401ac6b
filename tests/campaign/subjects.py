"""Everything that the campaign calls, by name."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import command_cases
import encoder_cases
import estimator_cases
import function_cases
import numpy as np
import output_cases
import situations
import torch_cases
from public_estimators import public_estimators

import sknoisy


@dataclass(frozen=True)
class Subject:
    """What is called, the row of the table it counts in, how often it is drawn."""

    group: str
    run: Callable
    weight: float


def estimators():
    """Return a subject for each public estimator."""
    found = {
        name: Subject(group, partial(estimator_cases.run, name=name), weight)
        for name, (group, _, _, weight) in situations.table().items()
    }
    for cls in public_estimators("mixture"):
        run = partial(function_cases.mixture, name=cls.__name__)
        found[cls.__name__] = Subject("mixtures", run, 4)
    for cls in public_estimators("encoder"):
        run = partial(encoder_cases.run, name=cls.__name__)
        found[cls.__name__] = Subject("encoders", run, 4)
    return found


SUBJECTS = estimators() | {
    "find_label_issues": Subject("functions", function_cases.find_label_issues, 5),
    "noise_report": Subject("functions", function_cases.compare_labels, 5),
    "matrices": Subject("functions", function_cases.matrices, 3),
    "array functions": Subject("functions", function_cases.array_functions, 3),
    "label_report": Subject("cleaning", function_cases.label_report, 4),
    "files": Subject("files", output_cases.files, 4),
    "displays": Subject("displays", output_cases.display, 1.5),
    "losses": Subject("losses", torch_cases.criterion, 5),
    "functions of losses": Subject("losses", torch_cases.function, 3),
    "networks": Subject("parts of nets", torch_cases.network, 4),
    "augmentations": Subject("parts of nets", torch_cases.augmentation, 4),
    "batches": Subject("parts of nets", torch_cases.batches, 3),
    "datasets": Subject("parts of nets", torch_cases.dataset, 1),
    "command": Subject("command", command_cases.command, 8),
}


def warm_up():
    """Import what is imported on first use, which may change global state once."""
    import matplotlib.pyplot as plt
    import polars
    import pyarrow.parquet  # noqa: F401
    import torch

    plt.close(plt.figure())
    for name in sknoisy.__all__:
        getattr(sknoisy, name)
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(30, 2)), np.arange(30) % 2
    sknoisy.NetClassifier(max_epochs=1, module__hidden=2).fit(X, y)
    sknoisy.AutoNoiseDetector(n_rounds=1).fit(X, y)
    sknoisy.NeighborVoteDetector().fit(polars.DataFrame(X), polars.Series(y))
    torch.compile  # noqa: B018
