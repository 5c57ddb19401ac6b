"""Names for the types in public signatures.

They are imported for type checkers only: nothing here is needed to run the package.
"""

from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn
from torch.utils.data import Dataset

from sknoisy._row_source import RowSource

__all__ = [
    "Array",
    "ArrayLike",
    "Augment",
    "Axes",
    "BoolArray",
    "Callbacks",
    "ClassOf",
    "Device",
    "Estimator",
    "Fitted",
    "FloatArray",
    "IntArray",
    "Labels",
    "LrSchedule",
    "MakerOfModules",
    "Path",
    "RandomState",
    "Routing",
    "Rows",
    "View",
]

# scikit-learn, skorch and matplotlib have no types of their own.
Estimator: TypeAlias = Any
Routing: TypeAlias = Any
Axes: TypeAlias = Any

# What an inherited ``fit`` returns. jedi takes Self for the class that defines it.
Fitted = TypeVar("Fitted", bound=Any)

# What a user hands in: tables, images, lists, frames, tensors, rows on disk. Frames of
# pandas and polars are array-like.
Rows: TypeAlias = ArrayLike | Dataset[Any] | RowSource
Labels: TypeAlias = ArrayLike
Path: TypeAlias = str | PathLike[str]
RandomState: TypeAlias = int | np.random.RandomState | None
Device: TypeAlias = str | torch.device | None
MakerOfModules: TypeAlias = nn.Module | Callable[..., nn.Module]
ClassOf: TypeAlias = Callable[..., Any]
View: TypeAlias = Literal["auto"] | float | Callable[[torch.Tensor], torch.Tensor]
Augment: TypeAlias = Literal["auto"] | Callable[[torch.Tensor], torch.Tensor] | None
LrSchedule: TypeAlias = Literal["cosine"] | float | Callable[[int, int], float] | None
Callbacks: TypeAlias = Sequence[Any] | Literal["disable"] | None

# What is learnt and returned.
Array: TypeAlias = NDArray[Any]
BoolArray: TypeAlias = NDArray[np.bool_]
IntArray: TypeAlias = NDArray[np.int64]
FloatArray: TypeAlias = NDArray[np.floating[Any]]
