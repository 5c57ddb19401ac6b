"""Rows on disk, folders of images, and the data sets of the papers from local files."""

from sknoisy._row_source import RowSource
from sknoisy.datasets._folder import load_image_folder
from sknoisy.datasets._image_rows import ImageRows
from sknoisy.datasets._labelled import LabelledImages
from sknoisy.datasets._reading import ImageReadError
from sknoisy.datasets._transforms import CenterCrop, RandomCrop, RandomResizedCrop

__all__ = [
    "CenterCrop",
    "ImageReadError",
    "ImageRows",
    "LabelledImages",
    "RandomCrop",
    "RandomResizedCrop",
    "RowSource",
    "load_image_folder",
]
