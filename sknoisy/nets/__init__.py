"""Networks, batches and the net class that the estimators are built on."""

from sknoisy.nets._augment import jitter, mixup, swap_features
from sknoisy.nets._batches import ArrayDataset, Batch, LoaderBatches, TensorBatches
from sknoisy.nets._callbacks import DynamicsRecorder
from sknoisy.nets._modules import MLP, embed
from sknoisy.nets._net import NetClassifier
from sknoisy.nets._params import NetParamsMixin

__all__ = [
    "MLP",
    "ArrayDataset",
    "Batch",
    "DynamicsRecorder",
    "LoaderBatches",
    "NetClassifier",
    "NetParamsMixin",
    "TensorBatches",
    "embed",
    "jitter",
    "mixup",
    "swap_features",
]
