"""Rows on disk, folders of images, and the data sets of the papers from local files."""

from sknoisy._row_source import RowSource
from sknoisy._rows_elsewhere import as_row_source
from sknoisy.datasets._animal10n import load_animal10n
from sknoisy.datasets._cifar import (
    load_cifar10,
    load_cifar10n,
    load_cifar100,
    load_cifar100n,
)
from sknoisy.datasets._clothing1m import load_clothing1m
from sknoisy.datasets._folder import load_image_folder
from sknoisy.datasets._food101n import load_food101n
from sknoisy.datasets._image_rows import ImageRows
from sknoisy.datasets._labelled import LabelledImages
from sknoisy.datasets._mnist import load_mnist
from sknoisy.datasets._parquet import ParquetRows
from sknoisy.datasets._reading import ImageReadError
from sknoisy.datasets._tiny_imagenet import load_tiny_imagenet
from sknoisy.datasets._transforms import CenterCrop, RandomCrop, RandomResizedCrop
from sknoisy.datasets._webvision import load_webvision

__all__ = [
    "CenterCrop",
    "ImageReadError",
    "ImageRows",
    "LabelledImages",
    "ParquetRows",
    "RandomCrop",
    "RandomResizedCrop",
    "RowSource",
    "as_row_source",
    "load_animal10n",
    "load_cifar10",
    "load_cifar100",
    "load_cifar100n",
    "load_cifar10n",
    "load_clothing1m",
    "load_food101n",
    "load_image_folder",
    "load_mnist",
    "load_tiny_imagenet",
    "load_webvision",
]
