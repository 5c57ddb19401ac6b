"""The published settings, each once, with where it stands.

Lengths in epochs are those of the source; `Preset.params` shortens them.
"""

from dataclasses import dataclass, field
from functools import partial

import torch
from skorch.callbacks import Freezer

from sknoisy import DynamicBootstrapClassifier
from sknoisy.nets import (
    PreActResNet18,
    ResNet18,
    ResNet34,
    TimmNet,
    TorchvisionNet,
    multi_step,
)


def restarts(done, max_epochs, *, periods, lowest):
    """Return the factor of a cosine that starts again `periods` times."""
    period = max(round(max_epochs / periods), 1)
    angle = torch.pi * torch.tensor(done % period / period)
    return float(lowest + (1 - lowest) * (1 + torch.cos(angle)) / 2)


def halved(done, max_epochs, *, start, every):
    """Return the factor that is halved at each of the shares of the epochs."""
    steps = (done / max_epochs - start) // every
    return float(0.5 ** max(steps, 0))


@dataclass(frozen=True)
class Preset:
    """How the networks of a table were trained.

    Parameters
    ----------
    source : str
        Where the settings stand.
    network : dict
        Module and its parameters, at full size.
    epochs, batch_size, seeds : int
    lr, weight_decay : float
    lr_schedule : str or callable
    lengths : dict of str to int
        Parameters of methods that count epochs of ``epochs``, such as a warm-up.
    more : dict
        Other parameters of every network, such as the optimiser.
    callbacks : tuple
        Of every training at full size.
    at_full : dict
        Parameters of every network that only the data of the source need.
    lr_on_features : float or None
        Of the network that stands in on features, where that of the source would make
        it diverge.
    """

    source: str
    network: dict
    epochs: int
    batch_size: int
    lr: float
    weight_decay: float
    lr_schedule: object = "cosine"
    lengths: dict = field(default_factory=dict)
    seeds: int = 1
    more: dict = field(default_factory=dict)
    callbacks: tuple = ()
    at_full: dict = field(default_factory=dict)
    lr_on_features: float | None = None

    def build(self, make, network=None, epochs=None, **changed):
        """Return the estimator of a row by one call, as published by default.

        Parameters
        ----------
        make : callable
            A class, or a partial of it with what differs from the preset.
        network : dict or None
            None is that of the source.
        epochs : int or None
            None is that of the source.
        **changed : dict
            Instead of parameters of the preset, such as ``device``.
        """
        base, own = (
            (make.func, make.keywords) if isinstance(make, partial) else (make, {})
        )
        settings = {
            **({**self.network, **self.at_full} if network is None else network),
            **self.params(make, epochs or self.epochs),
            "batch_size": self.batch_size,
            "callbacks": list(self.callbacks),
        }
        return base(**{**settings, **changed, **own})

    def params(self, make, epochs):
        """Return parameters for ``make``, with lengths that fit ``epochs``."""
        known = _names(make)
        scaled = {
            name: max(round(length * epochs / self.epochs), 1)
            for name, length in self.lengths.items()
            if name in known
        }
        return {
            "lr": self.lr,
            "optimizer__weight_decay": self.weight_decay,
            "lr_schedule": self.lr_schedule,
            "max_epochs": epochs,
            **self.more,
            **scaled,
        }


def _is_body(name):
    """Tell whether a parameter is not one of the last layer."""
    return not name.rsplit(".", 1)[0].endswith(("fc", "head"))


def balanced(n_batches):
    """Return epochs of so many batches, with equally many rows of each class."""
    return {
        "iterator_train__balance": True,
        "iterator_train__batches_per_epoch": n_batches,
    }


def _names(make):
    while isinstance(make, partial):
        make = make.func
    return make().get_params()


# Document 000, Table 5.
RESNET50 = {"module": TorchvisionNet, "module__model": "resnet50"}
PRETRAINED50 = {**RESNET50, "module__weights": "DEFAULT"}
DYNACOR_CLIP = Preset(
    "DynaCor supplement, Table 5, CLIP with MLP",
    network={},
    epochs=30,
    batch_size=128,
    lr=0.1,
    weight_decay=5e-4,
)
DYNACOR_CLOTHING = Preset(
    "DynaCor supplement, Table 5, Clothing1M (milestones are not printed: half)",
    network=PRETRAINED50,
    epochs=10,
    batch_size=64,
    lr=0.002,
    weight_decay=1e-3,
    lr_schedule=partial(multi_step, milestones=(0.5,)),
)
# Document 001, Appendix B.3 and B.4; the start of the targets is that of the code.
NAL_CIFAR = Preset(
    "NAL appendix, B.3 and B.4, CIFAR",
    network={"module": ResNet34},
    epochs=500,
    batch_size=64,
    lr=0.02,
    weight_decay=1e-3,
    lr_schedule=partial(restarts, periods=50, lowest=0.05),
    lengths={"target_start_epoch": 60, "target_update_every": 10},
    seeds=3,
)
NAL_CLOTHING = Preset(
    "NAL appendix, B.3 and B.4, Clothing1M",
    network=RESNET50,
    epochs=250,
    batch_size=64,
    lr=0.02,
    weight_decay=1e-3,
    lr_schedule=partial(restarts, periods=25, lowest=0.005),
    lengths={"target_start_epoch": 60, "target_update_every": 10},
    at_full=balanced(2000),
)
# Of ANIMAL-10N the appendix has the data and λ; the rest is that of the code, where the
# branch is a network of its own on the pooled maps, and targets move in every epoch.
NAL_ANIMAL = Preset(
    "NAL code, ANIMAL-10N",
    network={"module": TorchvisionNet, "module__model": "vgg19_bn"},
    epochs=100,
    batch_size=128,
    lr=0.1,
    weight_decay=1e-3,
    lr_schedule=partial(multi_step, milestones=(0.5, 0.75), factor=0.2),
    lengths={"target_start_epoch": 41},
    more={"optimizer__momentum": 0.0},
)
# Document 002, section 9.5. The authors' code tracks the losses of augmented images. On
# features a rate of 0.1 makes cross-entropy diverge; of 0.05 and 0.02 the lower is the
# better one for CE and for M-DYR-H.
_TRACKED = {"augment_losses": True}
_ON_FEATURES = 0.02
ARAZO_PLAIN = Preset(
    "Loss correction report, 9.5.1, without mixup",
    network={"module": ResNet18},
    epochs=120,
    batch_size=128,
    lr=0.1,
    weight_decay=1e-4,
    lr_schedule=partial(multi_step, milestones=(30 / 120, 80 / 120, 110 / 120)),
    lengths={"warmup_epochs": 30},
    at_full=_TRACKED,
    lr_on_features=_ON_FEATURES,
)
ARAZO_MIXUP = Preset(
    "Loss correction report, 9.5.1, with mixup",
    network={"module": ResNet18},
    epochs=300,
    batch_size=128,
    lr=0.1,
    weight_decay=1e-4,
    lr_schedule=partial(multi_step, milestones=(100 / 300, 250 / 300)),
    lengths={"warmup_epochs": 105},
    at_full=_TRACKED,
    lr_on_features=_ON_FEATURES,
)
ARAZO_TINY_IMAGENET = Preset(
    "Loss correction report, 9.5.2, with mixup (0.001 is the rate of its script)",
    network=PRETRAINED50,
    epochs=100,
    batch_size=256,
    lr=0.001,
    weight_decay=1e-4,
    lr_schedule=partial(multi_step, milestones=(0.3, 0.8)),
    lengths={"warmup_epochs": 35},
    more={"optimizer": torch.optim.Adam},
    callbacks=(("frozen", Freezer(_is_body)),),
    at_full=_TRACKED,
)
# Its methods and those of the paper that it reproduces, by the names there: what makes
# them, and how they are trained. ST is static bootstrapping, DY dynamic, R the
# regulariser, M mixup, MD guided mixup, H hard, S soft, SH from soft to hard.
_PLAIN = partial(DynamicBootstrapClassifier, mixup=None)
_STATIC = partial(_PLAIN, weights="static", prior_weight=0)
_GUIDED = partial(DynamicBootstrapClassifier, mixup="guided")
_GUIDED_SH = partial(_GUIDED, targets="soft_to_hard")
ARAZO_METHODS = {
    "CE": (partial(_PLAIN, weights=None), ARAZO_PLAIN),
    "ST-H": (_STATIC, ARAZO_PLAIN),
    "ST-S": (partial(_STATIC, targets="soft"), ARAZO_PLAIN),
    "DY-H": (partial(_PLAIN, prior_weight=0), ARAZO_PLAIN),
    "DY-S": (partial(_PLAIN, prior_weight=0, targets="soft"), ARAZO_PLAIN),
    "DYR-H": (_PLAIN, ARAZO_PLAIN),
    "DYR-S": (partial(_PLAIN, targets="soft"), ARAZO_PLAIN),
    "M": (partial(DynamicBootstrapClassifier, weights=None), ARAZO_MIXUP),
    "M-DYR-H": (DynamicBootstrapClassifier, ARAZO_MIXUP),
    "M-DYR-S": (partial(DynamicBootstrapClassifier, targets="soft"), ARAZO_MIXUP),
    "M-DYR-H (GMM)": (
        partial(DynamicBootstrapClassifier, mixture="gaussian"),
        ARAZO_MIXUP,
    ),
    "M-DYR-S (GMM)": (
        partial(DynamicBootstrapClassifier, mixture="gaussian", targets="soft"),
        ARAZO_MIXUP,
    ),
    "MD-DYR-H": (_GUIDED, ARAZO_MIXUP),
    "MD-DYR-SH": (_GUIDED_SH, ARAZO_MIXUP),
    "MD-DYR-SH (Beta)": (partial(_GUIDED_SH, guidance="beta"), ARAZO_MIXUP),
    "MD-DYR-SH (Binomial)": (partial(_GUIDED_SH, guidance="binomial"), ARAZO_MIXUP),
}
# Document 003, "Experimental Details"; CIFAR is that of the authors' code.
SANM_CIFAR = Preset(
    "SANM code, CIFAR",
    network={"module": PreActResNet18},
    epochs=360,
    batch_size=64,
    lr=0.02,
    weight_decay=5e-4,
    lr_schedule=partial(multi_step, milestones=(150 / 360,)),
    lengths={"warmup_epochs": 10},
)
SANM_ANIMAL = Preset(
    "SANM supplement, Animal-10N",
    network={"module": TorchvisionNet, "module__model": "vgg19_bn"},
    epochs=150,
    batch_size=64,
    lr=0.02,
    weight_decay=5e-4,
    lr_schedule=partial(multi_step, milestones=(50 / 150, 100 / 150)),
)
SANM_CLOTHING = Preset(
    "SANM supplement, Clothing1M (whether the network is pretrained is not printed)",
    network=PRETRAINED50,
    epochs=80,
    batch_size=64,
    lr=0.002,
    weight_decay=1e-3,
    lr_schedule=partial(multi_step, milestones=(0.5,)),
    more={"optimizer": torch.optim.Adam},
)
# Document 004, section 4.2.
FLYWHEEL_CIFAR = Preset(
    "LNL-flywheel, 4.2, CIFAR",
    network={"module": PreActResNet18},
    epochs=300,
    batch_size=128,
    lr=0.02,
    weight_decay=5e-4,
    lengths={"warmup_epochs": 10},
)
FLYWHEEL_TINY_IMAGENET = Preset(
    "LNL-flywheel, 4.2, Tiny-ImageNet (the network is not named)",
    network={"module": PreActResNet18},
    epochs=200,
    batch_size=32,
    lr=0.01,
    weight_decay=5e-4,
    lr_schedule=partial(halved, start=0.5, every=0.125),
    lengths={"warmup_epochs": 10},
)
FLYWHEEL_CLOTHING = Preset(
    "LNL-flywheel, 4.2, Clothing1M",
    network=PRETRAINED50,
    epochs=80,
    batch_size=32,
    lr=0.001,
    weight_decay=1e-3,
    lr_schedule=partial(multi_step, milestones=(0.5,)),
    at_full=balanced(1000),
)
FLYWHEEL_WEBVISION = Preset(
    "LNL-flywheel, 4.2, WebVision",
    network={"module": TimmNet, "module__model": "inception_resnet_v2"},
    epochs=100,
    batch_size=32,
    lr=0.02,
    weight_decay=5e-4,
    lr_schedule=partial(halved, start=0.5, every=0.25),
)
