"""Published settings of DynaCor: those of the paper, and of its authors' code."""

from functools import partial
from typing import Any, NamedTuple

from sknoisy.nets import ResNet34
from sknoisy.nets._optimizing import multi_step

__all__ = ["ENCODERS", "Procedure", "procedure"]

# The steps of the authors' code: 50, 60, 70, 80 and 90 of 100 epochs.
_FIVE_STEPS = partial(multi_step, milestones=(0.5, 0.6, 0.7, 0.8, 0.9), factor=0.01)
# The paper says no more than "multi-step" of the two other networks. The works that it
# follows there divide the rate by ten at half time.
_ONE_STEP = partial(multi_step, milestones=(0.5,), factor=0.1)

# The columns of Table 5: for features, and for three networks on images.
_FEATURES = {
    "lr": 0.1,
    "max_epochs": 30,
    "module__dropout": 0.0,
    "module__hidden": (512, 512),
    "optimizer__weight_decay": 5e-4,
}
_RESNET34 = {
    "lr": 0.1,
    "lr_schedule": _FIVE_STEPS,
    "max_epochs": 100,
    "optimizer__weight_decay": 5e-4,
}
_PREACT = {
    "lr": 0.02,
    "lr_schedule": _ONE_STEP,
    "max_epochs": 300,
    "optimizer__weight_decay": 5e-4,
}
_RESNET50 = {
    "batch_size": 64,
    "lr": 0.002,
    "lr_schedule": _ONE_STEP,
    "max_epochs": 10,
    "optimizer__weight_decay": 1e-3,
}
# Networks by their name in lower case, with the weight α of the alignment.
_NETWORKS = {
    "resnet34": (_RESNET34, 0.05),
    "preactresnet18": (_PREACT, 0.05),
    "resnet50": (_RESNET50, 0.5),
}
_ALIGNMENT = 0.5


class Procedure(NamedTuple):
    """What a name stands for.

    Parameters
    ----------
    setting : dict
        Parameters of the net that is watched.
    encoder : dict
        Parameters of the encoder of trajectories, as `DynaCorDetector` names them.
    """

    setting: dict[str, Any]
    encoder: dict[str, Any]


# What the encoder is trained with. The paper does not say how trajectories are scaled;
# the code keeps their signs, since it normalises over an axis of length 1.
ENCODERS = {
    "paper": {
        "normalize": "l2_time",
        "encoder_epochs": 10,
        "encoder_weight_decay": 5e-4,
    },
    "code": {
        "normalize": "sign",
        "encoder_epochs": 15,
        "encoder_weight_decay": 1e-4,
    },
}


def procedure(name, n_dims, module=None, model=None):
    """Return the published settings for a network on rows of so many dimensions.

    Parameters
    ----------
    name : {"paper", "code"}
    n_dims : int
        4 for images.
    module : torch module class, default=None
        The user's own. A network of Table 5 is known by its name; any other has the
        settings of features.
    model : str, default=None
        The network that ``module`` builds, of a `nets.TorchvisionNet`.

    Returns
    -------
    procedure : Procedure

    Examples
    --------
    >>> from sknoisy.detection._dynamics._procedures import procedure
    >>> found = procedure("paper", 2)
    >>> found.setting["max_epochs"], found.encoder["alignment_weight"]
    (30, 0.5)
    >>> procedure("paper", 4).setting["max_epochs"]
    300
    """
    if name == "code":
        setting = _of_code(n_dims, module)
        # The code has one default for all networks.
        alignment = _ALIGNMENT
    else:
        setting, alignment = _of_paper(n_dims, module, model)
    return Procedure(setting, {**ENCODERS[name], "alignment_weight": alignment})


def _of_paper(n_dims, module, model):
    if module is None and n_dims == 4:
        return _NETWORKS["preactresnet18"]
    if module is None:
        return _FEATURES, _ALIGNMENT
    network = model if isinstance(model, str) else getattr(module, "__name__", "")
    return _NETWORKS.get(network.lower(), (_of_any(_FEATURES), _ALIGNMENT))


def _of_code(n_dims, module):
    if n_dims == 4:
        # Without the network itself, if the user has an own one.
        return {**_RESNET34, **({} if module else {"module": ResNet34})}
    # One hidden layer, where the paper says two.
    setting = {**_FEATURES, "lr": 0.02, "max_epochs": 20, "module__hidden": 512}
    return setting if module is None else _of_any(setting)


def _of_any(setting):
    """Return what of a setting suits networks of any kind."""
    return {k: v for k, v in setting.items() if not k.startswith("module__")}
