"""The settings of the paper and of its authors' code."""

from functools import partial

import numpy as np
import pytest
from torch import nn

from sknoisy import DynaCorDetector
from sknoisy.detection._dynamics._procedures import procedure
from sknoisy.nets import MLP, PreActResNet18, ResNet34, TorchvisionNet, multi_step


class Own(nn.Module):
    """Not in the paper."""


# Table 5: learning rate, weight decay, batch size, epochs, α.
TABLE = {
    "features": ((2, None, None), (0.1, 5e-4, None, 30, 0.5)),
    "default for images": ((4, None, None), (0.02, 5e-4, None, 300, 0.05)),
    "PreActResNet18": ((4, PreActResNet18, None), (0.02, 5e-4, None, 300, 0.05)),
    "ResNet34": ((4, ResNet34, None), (0.1, 5e-4, None, 100, 0.05)),
    "ResNet50": ((4, TorchvisionNet, "resnet50"), (0.002, 1e-3, 64, 10, 0.5)),
    "any other": ((4, Own, None), (0.1, 5e-4, None, 30, 0.5)),
}


@pytest.mark.parametrize("name", TABLE)
def test_the_paper_has_a_column_for_each_network(name):
    key, expected = TABLE[name]
    setting, encoder = procedure("paper", *key)
    keys = ("lr", "optimizer__weight_decay", "batch_size", "max_epochs")
    assert (*map(setting.get, keys), encoder["alignment_weight"]) == expected
    assert encoder["encoder_epochs"] == 10
    assert encoder["encoder_weight_decay"] == 5e-4


@pytest.mark.parametrize(
    ("name", "key", "expected"),
    [
        # Milestones 50, 60, ... of 100 epochs, each to a hundredth.
        ("code", (4, None, None), {49: 1, 50: 1e-2, 59: 1e-2, 60: 1e-4, 99: 1e-10}),
        ("paper", (4, ResNet34, None), {49: 1, 50: 1e-2}),
        ("paper", (4, None, None), {149: 1, 150: 0.1, 299: 0.1}),
        ("paper", (4, TorchvisionNet, "resnet50"), {4: 1, 5: 0.1}),
    ],
)
def test_schedules(name, key, expected):
    setting = procedure(name, *key).setting
    factors = {n: setting["lr_schedule"](n, setting["max_epochs"]) for n in expected}
    assert factors == pytest.approx(expected)


def test_the_code_is_another_one():
    setting, encoder = procedure("code", 2)
    assert (setting["lr"], setting["max_epochs"], setting["module__hidden"]) == (
        0.02,
        20,
        512,
    )
    assert encoder == {
        "normalize": "sign",
        "encoder_epochs": 15,
        "encoder_weight_decay": 1e-4,
        "alignment_weight": 0.5,
    }
    assert procedure("code", 4).setting["module"] is ResNet34
    assert "module" not in procedure("code", 4, Own).setting
    assert not [k for k in procedure("code", 2, MLP).setting if k.startswith("module")]


def test_the_steps_are_shares_of_the_epochs():
    # 0.7 of 10 is 6.999999999999999 in floating point.
    factors = [multi_step(n, 10, milestones=(0.7,), factor=0.5) for n in (6, 7)]
    assert factors == [1.0, 0.5]
    assert multi_step(9, 10, milestones=()) == 1.0


def test_the_encoder_is_trained_as_the_settings_say(blobs):
    X, y, _ = blobs
    copies = {"corruption": "copy", "decision": "cluster", "copy_view": None}
    quick = {**copies, "max_epochs": 3, "module__hidden": 8, "random_state": 0}
    code = DynaCorDetector(settings="code", **quick).fit(X, y)
    assert len(code.encoder_.metrics_) == 16
    assert code.encoder_.get_params()["optimizer__weight_decay"] == 1e-4
    paper = DynaCorDetector(settings="paper", **quick).fit(X, y)
    assert len(paper.encoder_.metrics_) == 11
    assert paper.encoder_.get_params()["optimizer__weight_decay"] == 5e-4
    # What is given goes first: the code's values, set one by one.
    same = DynaCorDetector(
        settings=[code.best_setting_],
        normalize="sign",
        encoder_epochs=15,
        encoder_weight_decay=1e-4,
        **quick,
    ).fit(X, y)
    np.testing.assert_array_equal(same.noise_scores_, code.noise_scores_)


def test_a_schedule_in_steps_is_that_of_a_function(blobs):
    X, y, _ = blobs

    def halved(done, max_epochs):
        return 1.0 if done < 2 else 0.1

    steps = partial(multi_step, milestones=(0.5,))
    scores = [
        DynaCorDetector(
            settings=[{"lr_schedule": schedule, "max_epochs": 4, "module__hidden": 4}],
            n_runs=2,
            random_state=0,
        )
        .fit(X, y)
        .noise_scores_
        for schedule in (steps, halved, "cosine")
    ]
    np.testing.assert_array_equal(scores[0], scores[1])
    assert not np.array_equal(scores[0], scores[2])
