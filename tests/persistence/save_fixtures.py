"""Save small fitted estimators and what they say, for later versions to load.

``python tests/persistence/save_fixtures.py FOLDER`` writes, with the code that is
installed, ``NAME.sknoisy`` for each estimator, ``outputs.npz`` with what it says of
``rows()``, and ``training.checkpoint``, a training that was stopped. The folders
``saved_X_Y_Z`` beside this file were made so by the released versions; do not make
them again with later code.
"""

import sys
import warnings
from functools import partial
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

import numpy as np
import torch
from public_estimators import CANDIDATES, PAPER, make, public_estimators
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback

import sknoisy
from sknoisy.nets import AdversarialMasking, PreActResNet

OUTPUTS = (
    *("predict", "predict_proba", "transform", "score_samples"),
    *("predict_noisy", "ranking"),
)
NET = {"max_epochs": 2, "module__hidden": 8, "batch_size": 20, "random_state": 0}
IMAGE = {
    **{"module": PreActResNet, "module__blocks": (1,), "module__width": 4},
    **{"max_epochs": 2, "batch_size": 20, "random_state": 0},
}


class StopAfterTwo(Callback):
    """Interrupt the training when its second epoch has ended."""

    def on_epoch_begin(self, net, **kwargs):
        """Raise what Ctrl-C raises."""
        if len(net.history) == 3:
            raise KeyboardInterrupt


def rows():
    """Return rows with three classes, a tenth of them wrongly labelled."""
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    X = rng.normal(size=(60, 4)) + 3 * np.eye(4)[y]
    names = np.array(["ant", "bee", "cat"])
    y = np.where(rng.random(60) < 0.1, (y + 1) % 3, y)
    return X.astype(np.float32), names[y]


def images():
    """Return small images with the labels of `rows`."""
    X, y = rows()
    return np.tile(X[:, :3, None, None], (1, 1, 8, 8)) / 8, y


def small_convolution():
    """Return a network of torch's own layers, whose weights are always the same."""
    layer = torch.nn.Conv2d(3, 4, 3)
    with torch.no_grad():
        for i, values in enumerate(layer.parameters()):
            values.copy_(torch.linspace(-1, 1 + i, values.numel()).view_as(values))
    return torch.nn.Sequential(layer, torch.nn.ReLU())


def estimators():
    """Return a name and an unfitted estimator for each kind of file.

    A public estimator that is not named here is there under the name of its class.
    """
    s = sknoisy
    by_loss = s.LossMixtureDetector(LogisticRegression(), random_state=0)
    found = {
        "net": s.NetClassifier(**NET),
        "pipeline": make_pipeline(StandardScaler(), s.NALClassifier(**NET)),
        "images": s.NetClassifier(**IMAGE),
        "masking_images": s.ELRClassifier(
            **IMAGE, masking=AdversarialMasking, masking__warmup_epochs=1
        ),
        "dynamics": s.DynamicsClassifier(summarize=True, max_epochs=1, random_state=0),
        "bootstrap": s.DynamicBootstrapClassifier(**NET),
        "nal": s.NALClassifier(attention="mlp", **NET),
        "robust_loss": s.RobustLossClassifier(loss="truncated_gce", **NET),
        "elr": s.ELRClassifier(**NET),
        "elr_plus": s.ELRPlusClassifier(**NET),
        "transition": s.TransitionCorrectionClassifier(**NET),
        "co_teaching": s.CoTeachingClassifier(**NET),
        "cdr": s.CDRClassifier(**NET),
        "flywheel": s.FlywheelClassifier(**NET),
        "dividemix": s.DivideMixClassifier(**NET),
        "dynacor": s.DynaCorDetector(n_runs=2, **NET),
        "dynacor_paper": s.DynaCorDetector(
            **PAPER, encoder_epochs=1, encoder_dim=8, **NET
        ),
        "aum": s.AUMDetector(**NET),
        "cores": s.CORESDetector(**NET),
        "small_loss": s.SmallLossDetector(**NET),
        "loss_mixture": s.LossMixtureDetector(**NET),
        "loss_mixture_regression": by_loss,
        "confident_learning": s.ConfidentLearningDetector(random_state=0),
        "neighbor_vote": s.NeighborVoteDetector(random_state=0),
        "fine": s.FINEDetector(random_state=0),
        "auto": s.AutoNoiseDetector(CANDIDATES, n_rounds=1, random_state=0),
        "AutoRobustClassifier": s.AutoRobustClassifier(
            [("regression", LogisticRegression()), ("elr", s.ELRClassifier(**NET))],
            random_state=0,
        ),
        "filter": s.NoisyLabelFilter(by_loss, keep=0.9),
        "cleaned": s.CleanedClassifier(by_loss, LogisticRegression()),
        "symmetric": s.SymmetricNoiseInjector(random_state=0),
        "matrix": s.TransitionNoiseInjector(
            partial(s.pair_flip_matrix, noise_rate=0.3), random_state=0
        ),
        "instance": s.InstanceNoiseInjector(random_state=0),
        "asymmetric": s.AsymmetricNoiseInjector(random_state=0),
        "margin": s.MarginNoiseInjector(estimator=LogisticRegression(), random_state=0),
        "mixture": s.BetaMixture(random_state=0),
        "splitter": s.BMMLossSplitter(),
        "ImageEncoder": s.ImageEncoder(small_convolution()),
        "TextEncoder": s.TextEncoder("wordllama"),
        "unfitted": s.DynaCorDetector(module__hidden=8, lr=0.1),
    }
    saved = {type(e) for e in found.values()}
    for cls in public_estimators():
        if cls not in saved:
            found[cls.__name__] = make(cls, NET)
    return found


def inputs_of(name):
    """Return what the estimator of this name is fitted on."""
    if name == "mixture":
        return (1 / (1 + np.exp(-rows()[0][:, :1])),)
    if name == "splitter":
        return (np.abs(rows()[0][:, 0]),)
    if name == "dynamics":
        return rows()[0], rows()[1] == "ant"
    if name == "TextEncoder":
        return [f"an {label}" for label in rows()[1]], rows()[1]
    if name == "ImageEncoder":
        X, y = images()
        return np.clip(X + 0.5, 0, 1), y
    return images() if name.endswith("images") else rows()


def outputs_of(name, estimator):
    """Return what a fitted estimator says, by the name of the method."""
    X = inputs_of(name)[0]
    found = {}
    for method in OUTPUTS:
        try:
            call = getattr(estimator, method)
            found[method] = call() if method in OUTPUTS[-2:] else call(X)
        except AttributeError:
            continue
    if hasattr(estimator, "corrupt"):
        found["corrupt"] = estimator.corrupt(*inputs_of(name))
    return found


def stopped(folder):
    """Return a net whose training stops after two of four epochs, and its rows."""
    path = Path(folder) / "training.checkpoint"
    net = sknoisy.NetClassifier(
        **{**NET, "max_epochs": 4}, checkpoint=path, callbacks=[StopAfterTwo()]
    )
    return net, *rows()


def main(folder):
    """Write all files."""
    folder = Path(folder)
    folder.mkdir(exist_ok=True)
    outputs = {}
    for name, estimator in estimators().items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if name != "unfitted":
                fit = getattr(estimator, "fit_resample", estimator.fit)
                is_injector = hasattr(estimator, "corrupt")
                (fit if is_injector else estimator.fit)(*inputs_of(name))
                for method, value in outputs_of(name, estimator).items():
                    outputs[f"{name}.{method}"] = value
        sknoisy.save(estimator, folder / f"{name}.sknoisy")
    net, X, y = stopped(folder)
    net.fit(X, y)
    net.set_params(callbacks=None).fit(X, y)
    outputs["stopped.predict_proba"] = net.predict_proba(X)
    # That fit wrote the end of the training: store the stopped one again.
    (folder / "training.checkpoint").unlink()
    net, X, y = stopped(folder)
    net.fit(X, y)
    np.savez_compressed(folder / "outputs.npz", **outputs)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(sys.argv[1])
