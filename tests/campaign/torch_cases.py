"""Cases of losses, networks, batches and augmentations."""

import inspect

import numpy as np
import torch
from odd_parameters import ANYTHING
from torch import nn

from sknoisy import losses, nets

# What the arguments of the losses mean.
CRITERIA = [
    "BackwardCorrectionLoss", "BootstrapLoss", "CORESLoss", "ELRLoss",
    "ForwardCorrectionLoss", "GCELoss", "NoiseAttentionLoss", "PENCILLoss",
    "ReweightingLoss", "SCELoss", "SELCLoss",
    "TruncatedGCELoss", "VolMinLoss",
]  # fmt: skip
FUNCTIONS = [
    "bootstrap_targets", "clean_probability", "cluster_loss", "confidence_penalty",
    "corrupt_label_probability", "corruption_matrix", "cosine_distances",
    "early_learning_penalty", "guessed_targets", "negative_entropy", "nt_xent",
    "noise_attention_loss", "prior_penalty", "refined_targets", "refurbished_targets",
    "semi_supervised_loss", "sharpen", "sieve_scores", "soft_assignment",
    "soft_cross_entropy", "soften_labels", "squared_distances", "target_distribution",
    "target_transition_matrix", "wrong_label_probability", "activation_map",
    "peak_and_valley", "alignment_loss", "mask_patches",
]  # fmt: skip


def _logits(trial, n, k, scale):
    logits = torch.tensor(trial.rng.normal(size=(n, k)) * scale, dtype=torch.float32)
    return logits.requires_grad_()


def criterion(trial):
    """A criterion on logits of any scale, with parameters of any type."""
    name = trial.pick(CRITERIA)
    trial.subject = name
    cls = getattr(losses, name)
    n, k = int(trial.rng.integers(1, 20)), trial.pick([2, 3, 10])
    params = {"n_samples": n, "n_classes": k}
    params |= {"transition_matrix": np.full((k, k), 0.1 / k) + 0.9 * np.eye(k)}
    own = inspect.signature(cls).parameters
    params = {key: value for key, value in params.items() if key in own}
    if name == "BootstrapLoss":
        params["weight"] = 0.8
    expect = "fits"
    if trial.chance(0.5):
        key = trial.pick(list(own))
        params[key] = trial.pick(ANYTHING)
        if key in ("n_samples", "n_classes") and _is_large(params[key]):
            params[key] = -1
        expect = "either"
    sizes = [params.get("n_samples", n), params.get("n_classes", k)]
    scale = trial.pick([0, 1, 100, 1e4])
    trial.note(f"{name}({params}), {n} rows, logits of scale {scale}")
    trial.written = " ".join(own)
    loss = trial.call("build", lambda: cls(**params), expect=expect)
    if sizes != [n, k]:
        return  # not for these rows
    logits = _logits(trial, n, k, scale)
    y = torch.tensor(trial.rng.integers(k, size=n))
    arguments = [logits, y]
    if "index" in inspect.signature(loss.forward).parameters:
        arguments.append(torch.arange(n))
    if name == "NoiseAttentionLoss":
        arguments.insert(1, torch.rand(n))
        arguments = _in_order(loss, logits, y, n)
    given = [logits.detach(), y]
    value = trial.call("loss", lambda: loss(*arguments), given=given, expect=expect)
    trial.check(torch.isfinite(value).all().item(), "the loss is not finite")
    if params.get("reduction", "mean") == "none":
        trial.check(value.shape == (n,), "reduction='none' gives another shape")
    trial.call("backward", lambda: value.sum().backward(), expect=expect)
    if logits.grad is not None:
        trial.check(torch.isfinite(logits.grad).all().item(), "a gradient is NaN")


def _in_order(loss, logits, y, n):
    values = {"logits": logits, "y": y, "index": torch.arange(n)}
    values["attention"] = torch.full((n,), 0.7)
    names = inspect.signature(loss.forward).parameters
    return [values[name] for name in names if name in values]


def _is_large(value):
    return isinstance(value, int | float) and not value <= 100


def function(trial):
    """A function of the losses on sound tensors of any scale: finite values."""
    name = trial.pick(FUNCTIONS)
    trial.subject = name
    n, k, m = int(trial.rng.integers(2, 20)), trial.pick([2, 3, 10]), 5
    scale = trial.pick([0, 1, 100, 1e4])
    logits = _logits(trial, n, k, scale)
    proba = torch.softmax(logits.detach(), 1)
    y = torch.tensor(trial.rng.integers(k, size=n))
    T = torch.softmax(torch.tensor(trial.rng.normal(size=(k, k))).float(), 1)
    one = torch.rand(n)
    maps = torch.rand(n, 4, 4)
    values = {
        "logits": logits, "y": y, "proba": proba, "targets": proba, "T_c": T,
        "q": one, "beliefs": proba, "weight": 0.5, "log_proba": logits.log_softmax(1),
        "gamma": 0.5, "epsilon": 0.2, "prior": torch.full((k,), 1 / k),
        "attention": one, "target": proba, "lam": 0.5, "first": torch.randn(n, m),
        "second": torch.randn(n, m), "clean_proba": one, "n_labelled": 1,
        "unlabelled_weight": 1.0, "z": torch.randn(n, m), "centers": torch.randn(2, m),
        "distances": torch.rand(n, 2), "ratio": one, "activation": maps, "size": (4, 4),
        "feature_map": torch.rand(n, 3, 4, 4), "X": torch.rand(n, 1, 4, 4),
        "is_noisy": one > 0.5, "is_copy": one > 0.8, "place": torch.zeros(n, 2).long(),
        "area": one * 0.1, "aspect": one + 0.5, "fill": torch.zeros(n, 1),
    }  # fmt: skip
    function_ = getattr(losses, name)
    if name in ("guessed_targets", "refined_targets"):
        values["logits"] = [logits.detach(), logits.detach()]
    if name in ("cluster_loss", "target_distribution"):
        values["q"] = torch.softmax(torch.randn(n, 2), 1)
    if name == "target_transition_matrix":
        values["targets"] = proba
    needed = [
        p.name
        for p in inspect.signature(function_).parameters.values()
        if p.default is p.empty
    ]
    arguments = [values[key] for key in needed]
    trial.note(f"{name}({', '.join(needed)}), {n} x {k}, logits of scale {scale}")
    given = [v.detach() for v in arguments if isinstance(v, torch.Tensor)]
    # The draws of the case itself are not the function's.
    result = trial.call(name, lambda: function_(*arguments), given=given, expect="fits")
    for part in result if isinstance(result, tuple) else (result,):
        trial.check(torch.isfinite(part.float()).all().item(), "not finite")


def network(trial):
    """A network of the package on rows of its input shape."""
    name = trial.pick(["MLP", "PreActResNet", "ResNet", "CNN9"])
    trial.subject = name
    cls = getattr(nets, name)
    side = 28 if name == "CNN9" else 8
    shape = (4,) if name == "MLP" else (trial.pick([1, 3]), side, side)
    params = {"input_shape": shape, "n_classes": 3}
    own = inspect.signature(cls).parameters
    if "width" in own:
        params["width"] = 4
    if "blocks" in own:
        params["blocks"] = (1, 1, 1, 1)
    expect = "fits"
    if trial.chance(0.5):
        key = trial.pick(list(own))
        value = trial.pick(ANYTHING)
        params[key] = 2 if _is_large(value) else value
        expect = "either"
    trial.note(f"{name}({params})")
    trial.written = " ".join(own)
    with torch.random.fork_rng(devices=[]):
        state = torch.get_rng_state()

        def build():
            try:
                return cls(**params)
            finally:
                torch.set_rng_state(state)  # weights are drawn, as in torch

        net = trial.call("build", build, expect=expect)
        X = torch.rand(4, *shape)
        if params["input_shape"] != shape:
            return
        out = trial.call("forward", lambda: _evaluate(net, X), expect=expect)
    n_classes = params["n_classes"]
    trial.check(out.shape == (4, n_classes), f"logits are {tuple(out.shape)}")
    trial.check(torch.isfinite(out).all().item(), "logits are not finite")


def _evaluate(net, X):
    with torch.no_grad():
        return net.eval()(X)


def augmentation(trial):
    """An augmentation keeps shape and dtype, and its batch as it was."""
    name = trial.pick([
        "crop_and_flip", "random_crop", "random_flip", "cutout", "rand_augment",
        "jitter", "swap_features", "mixup",
    ])  # fmt: skip
    trial.subject = name
    n = trial.pick([1, 2, 9])
    images = name not in ("jitter", "swap_features", "mixup")
    X = torch.rand(n, 3, 8, 8) if images else torch.rand(n, 5)
    extra = {
        "jitter": (X.std(0, correction=0), 0.1),
        "swap_features": (0.3,),
        "mixup": (torch.arange(n).flip(0), 0.3),
    }.get(name, ())
    expect = "fits"
    function_ = getattr(nets, name)
    optional = list(inspect.signature(function_).parameters)[1 + len(extra) :]
    options = {}
    if optional and trial.chance(0.4):
        key = trial.pick(optional)
        value = trial.pick(ANYTHING)
        options[key] = 3 if _is_large(value) else value
        expect = "either"
    trial.note(f"{name}({tuple(X.shape)}, {options})")
    trial.written = " ".join(inspect.signature(function_).parameters)
    state = torch.get_rng_state()

    def act():
        try:
            return function_(X, *extra, **options)
        finally:
            torch.set_rng_state(state)  # it draws from torch's own, as torch does

    made = trial.call(name, act, given=(X,), expect=expect)
    trial.check(
        made.shape == X.shape and made.dtype == X.dtype, "another kind of batch"
    )
    trial.check(torch.isfinite(made).all().item(), "not finite")


def batches(trial):
    """Datasets and batches give every row once."""
    n = trial.pick([1, 2, 7, 20])
    X = trial.rng.normal(size=(n, 3)).astype(np.float32)
    y = trial.rng.integers(2, size=n)
    size = trial.pick([1, 4, 64, -1, 0, "x", None, 2.5, np.int64(3)])
    name = trial.pick(["TensorBatches", "LoaderBatches"])
    options = {"batch_size": size, "shuffle": trial.chance(0.5)}
    trial.subject = name
    trial.note(f"{name}, {n} rows, {options}")
    trial.written = "batch_size shuffle features codes"
    bad = isinstance(size, str | float) or size in (0, None, -1)
    with torch.random.fork_rng(devices=[]):
        state = torch.get_rng_state()

        def read():
            try:
                data = nets.ArrayDataset(X, y)
                return list(getattr(nets, name)(data, **options))
            finally:
                torch.set_rng_state(state)

        found = trial.call(
            "batches", read, given=(X, y), expect="either" if bad else "fits"
        )
    rows = torch.cat([batch.index for batch in found]).sort().values
    trial.check(rows.tolist() == list(range(n)), "rows are missing or doubled")


def dataset(trial):
    """``ArrayDataset`` of features and codes of any kind."""
    X = trial.pick([np.zeros((4, 2)), np.zeros((0, 2)), [[1.0]], None, "x", nn.ReLU()])
    y = trial.pick([None, np.zeros(4, int), np.zeros(3, int), ["a"] * 4, 5])
    trial.note(f"X={X!r}, y={y!r}")
    trial.written = "features codes"
    made = trial.call("ArrayDataset", lambda: nets.ArrayDataset(X, y))
    trial.call("len", lambda: len(made))
