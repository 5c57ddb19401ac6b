"""Networks, batches and the net class that the estimators are built on."""

from sknoisy.nets._augment import jitter, mixup, swap_features
from sknoisy.nets._batches import ArrayDataset, Batch, LoaderBatches, TensorBatches
from sknoisy.nets._callbacks import DynamicsRecorder
from sknoisy.nets._image_augment import (
    crop_and_flip,
    cutout,
    rand_augment,
    random_crop,
    random_flip,
)
from sknoisy.nets._image_networks import (
    CNN9,
    PreActResNet,
    PreActResNet18,
    ResNet,
    ResNet18,
    ResNet34,
)
from sknoisy.nets._masking import AdversarialMasking
from sknoisy.nets._modules import MLP, embed
from sknoisy.nets._net import NetClassifier
from sknoisy.nets._normalize import Normalize
from sknoisy.nets._optimizing import multi_step
from sknoisy.nets._params import NetParamsMixin
from sknoisy.nets._stacked_search import StackedSearchCV
from sknoisy.nets._step import Learnt, Step
from sknoisy.nets._timm import TimmNet
from sknoisy.nets._torchvision import TorchvisionNet

__all__ = [
    "AdversarialMasking",
    "CNN9",
    "MLP",
    "ArrayDataset",
    "Batch",
    "DynamicsRecorder",
    "Learnt",
    "LoaderBatches",
    "NetClassifier",
    "NetParamsMixin",
    "Normalize",
    "PreActResNet",
    "PreActResNet18",
    "ResNet",
    "ResNet18",
    "ResNet34",
    "StackedSearchCV",
    "Step",
    "TensorBatches",
    "TimmNet",
    "TorchvisionNet",
    "crop_and_flip",
    "cutout",
    "embed",
    "jitter",
    "mixup",
    "multi_step",
    "rand_augment",
    "random_crop",
    "random_flip",
    "swap_features",
]
