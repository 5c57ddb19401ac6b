"""Print a hash of what each estimator learns, to compare two versions on one machine.

``python tests/campaign/golden_hashes.py > before.txt`` on one commit, the same to
``after.txt`` on another, then ``diff <(sort before.txt) <(sort after.txt)``: a line
that differs is a method whose weights, scores or flags are no longer the same bits.
Hashes differ between processors and releases of torch, so none are kept.
"""

import hashlib
import re
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from sklearn.base import clone

sys.path.insert(0, str(Path(__file__).parents[1]))

import public_estimators

from sknoisy import NetClassifier
from sknoisy.base import NoiseInjectorMixin
from sknoisy.nets import AdversarialMasking, PreActResNet

IMAGE_NET = {
    **{"module": PreActResNet, "module__blocks": (1,), "module__width": 4},
    **{"max_epochs": 3, "batch_size": 20, "random_state": 0},
}
ADDRESS = r" at 0x[0-9a-f]+"
LEARNT = ("noise_scores_", "noise_mask_", "suggested_labels_", "transition_matrix_")


def digest(arrays):
    """Return a short hash of arrays, in their order."""
    found = hashlib.sha256()
    for array in arrays:
        array = np.ascontiguousarray(array)
        found.update(f"{array.dtype}{array.shape}".encode())
        found.update(array.tobytes())
    return found.hexdigest()[:16]


def nets_in(estimator):
    """Return the networks that an estimator is or holds."""
    held = [estimator, *vars(estimator).values()]
    nets = [part for part in held if isinstance(part, NetClassifier)]
    return [net for net in nets if hasattr(net, "module_")]


def weights_of(net):
    """Return all tensors of a net: parameters, buffers and state of rows."""
    parts = [net.module_, net.criterion_]
    parts += [getattr(net, "judge_", None), getattr(net, "masking_", None)]
    return [
        tensor.detach().numpy()
        for part in parts
        if isinstance(part, torch.nn.Module)
        for _, tensor in sorted(part.state_dict().items())
    ]


def name_of(estimator):
    """Return the class and the parameters that are not the defaults."""
    try:
        defaults = type(estimator)().get_params(deep=False)
    except TypeError:
        # It must be given a detector.
        defaults = {}
    changed = {
        name: value
        for name, value in estimator.get_params(deep=False).items()
        if name not in defaults or str(defaults[name]) != str(value)
    }
    text = re.sub(ADDRESS, "", f"{type(estimator).__name__} {changed}")
    return " ".join(text.split())


def blobs():
    """Return three blobs with a fifth of wrong labels."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], 60)
    X = 4 * np.eye(4)[y] + rng.normal(size=(180, 4))
    y = np.where(rng.random(180) < 0.2, (y + 1) % 3, y)
    order = rng.permutation(180)
    return X[order].astype(np.float32), y[order]


def cases():
    """Return names, estimators and data."""
    X, y = blobs()
    for estimator in public_estimators.CONTRACT + public_estimators.SCORERS:
        yield name_of(estimator), estimator, X, y
    images = np.tile(X[:60, :3, None, None].clip(0, 8) / 8, (1, 1, 8, 8))
    for make in public_estimators.ON_IMAGES:
        yield (
            f"images {re.sub(ADDRESS, '', str(make))}",
            make(**IMAGE_NET),
            images,
            y[:60],
        )
    for make in [NetClassifier, *public_estimators.ROBUST]:
        kind = make if isinstance(make, type) else type(make)
        masked = kind(**IMAGE_NET, masking=AdversarialMasking)
        yield f"masked {kind.__name__}", masked, images, y[:60]


def learnt_by(estimator, X, y):
    """Fit and return all that must stay the same bits."""
    tags = estimator.__sklearn_tags__()
    fitted = clone(estimator)
    if "random_state" in fitted.get_params(deep=False):
        fitted.set_params(random_state=0)
    if isinstance(fitted, NoiseInjectorMixin):
        return [fitted.fit_resample(X, y)[1]]
    if tags.input_tags.one_d_array:
        return [fitted.fit(np.abs(X[:, 0])).predict_proba(np.abs(X[:, 0]))]
    if not tags.target_tags.required:
        X = 1 / (1 + np.exp(-X[:, :1]))
        return [fitted.fit(X).predict_proba(X)]
    if tags.classifier_tags and not tags.classifier_tags.multi_class:
        y = y > 0
    fitted.fit(X, y)
    found = [getattr(fitted, name) for name in LEARNT if hasattr(fitted, name)]
    found += [tensor for net in nets_in(fitted) for tensor in weights_of(net)]
    if hasattr(fitted, "predict_proba"):
        found.append(fitted.predict_proba(X))
    return found


def main():
    """Print a line for each case; what is refused has the kind of its error."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for name, estimator, X, y in cases():
        try:
            found = digest(learnt_by(estimator, X, y))
        except (ValueError, TypeError) as error:
            found = type(error).__name__
        sys.stdout.write(f"{found}  {name[:200]}\n")


if __name__ == "__main__":
    main()
