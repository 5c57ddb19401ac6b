"""Read labels of any kind as a numpy array."""

import sys
from collections.abc import Mapping, Sequence, Set
from decimal import Decimal
from numbers import Number

import numpy as np
from scipy.sparse import issparse
from sklearn.exceptions import DataConversionWarning

from sknoisy._warning import warn_user

__all__ = [
    "is_of",
    "label_array",
    "label_list",
    "refuse_odd_tensor",
    "tensor_to_array",
]

_TAKEN = "strings, integers, booleans, floats with integer values, or datetime64"

# Types allowed in an object array or a list, by their names in messages.
_FAMILIES = {
    "strings": str,
    "booleans": (bool, np.bool_),
    "integers": (int, np.integer),
    "floats": (float, np.floating),
    "datetime64": np.datetime64,
    "timedelta64": np.timedelta64,
}


def label_array(y, name="y", *, warn=True):
    """Return labels as a numpy array of the same values, without merging any.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, 1)
        An array, list, tensor or pandas, polars or pyarrow column of strings, integers,
        booleans, floats with integer values, or datetime64.
    name : str, default="y"
        How the argument is named in messages.
    warn : bool, default=True
        Whether to warn of a column in two dimensions.

    Returns
    -------
    labels : ndarray of shape (n_samples,)
        Of a kind in "biufUmM", or an object array of strings.

    Raises
    ------
    TypeError
        If y is not a column of labels, or its labels are of several or unsupported
        kinds.
    ValueError
        If a label is missing, an integer does not fit in 64 bits, y has more than one
        column, or is complex.
    """
    _refuse_no_column(y, name)
    y = _one_column(y, name, warn)
    if is_of(y, "torch"):
        y = tensor_to_array(y, name)
    values = _read(y, name)
    if values.ndim == 2 and values.shape[1] == 1:
        _warn_of_column(warn)
        values = values.ravel()
    if values.ndim != 1:
        raise ValueError(
            f"{name} should be a 1d array, got an array of shape {values.shape} "
            "instead: one label for each row. Targets with several labels a row are "
            "not supported."
        )
    if values.dtype.kind == "O":
        return _of_one_kind(values, name)
    if values.dtype.kind == "c":
        raise ValueError(
            f"Complex data not supported: {name} has dtype {values.dtype}. Labels are "
            f"{_TAKEN}."
        )
    if values.dtype.kind not in "biufUmM":
        what = "bytes" if values.dtype.kind == "S" else f"dtype {values.dtype}"
        raise _wrong_kind(name, what, is_bytes=values.dtype.kind == "S")
    if values.dtype.kind in "fmM":
        _refuse_missing(values != values, name)
    if values.dtype == np.float16:
        # pandas does not support an index of float16.
        values = values.astype(np.float32)
    return np.ascontiguousarray(values)


def label_list(labels):
    """Return labels as a list of Python values, or of datetime64.

    ``tolist`` would convert datetime64 of fine units to integers.

    Parameters
    ----------
    labels : ndarray of shape (n_labels,)

    Returns
    -------
    labels : list
    """
    return list(labels) if labels.dtype.kind in "mM" else labels.tolist()


def refuse_odd_tensor(tensor, name):
    """Refuse a torch tensor that is sparse or requires grad.

    Parameters
    ----------
    tensor : torch.Tensor
    name : str
        How the argument is named in messages.

    Raises
    ------
    TypeError
    """
    if tensor.layout != sys.modules["torch"].strided:
        raise TypeError(f"{name} is a sparse tensor; pass {name}.to_dense().")
    if tensor.requires_grad:
        raise TypeError(
            f"{name} is a tensor that requires grad, but gradients are not passed "
            f"through it; pass {name}.detach()."
        )


def tensor_to_array(tensor, name):
    """Return a torch tensor as an ndarray.

    Parameters
    ----------
    tensor : torch.Tensor
    name : str
        How the argument is named in messages.

    Returns
    -------
    array : ndarray
        Shares the memory of a tensor on the CPU.

    Raises
    ------
    TypeError
        If the tensor is sparse or requires grad.
    """
    refuse_odd_tensor(tensor, name)
    tensor = tensor.cpu()
    # numpy lacks bfloat16 and 8-bit floats.
    narrow = tensor.dtype.is_floating_point and tensor.dtype.itemsize <= 2
    return (tensor.float() if narrow else tensor).numpy()


def _refuse_no_column(y, name):
    """Refuse objects without rows, or without an order of rows."""
    kind = type(y).__name__
    if isinstance(y, str | bytes | Number):
        raise TypeError(f"{name} is {y!r}, one value; pass one label for each row.")
    if isinstance(y, Mapping) or (isinstance(y, Set) and not isinstance(y, Sequence)):
        advice = f"list({name}.values())" if isinstance(y, Mapping) else "a list"
        raise TypeError(
            f"{name} is a {kind}, which has no rows; pass {advice}, with one label for "
            "each row."
        )
    if issparse(y):
        raise TypeError(f"{name} is sparse; pass {name}.toarray().ravel().")
    if np.ma.is_masked(y):
        _refuse_missing(np.ma.getmaskarray(y).ravel(), name)
    if not hasattr(y, "__len__") and not hasattr(y, "__array__"):
        raise TypeError(
            f"{name} is a {kind}, which has no length; pass list({name}) or an array."
        )


def _one_column(y, name, warn):
    """Return the single column of a frame; other objects are returned unchanged."""
    is_frame = hasattr(y, "columns") and len(getattr(y, "shape", ())) == 2
    if not is_frame:
        return y
    if y.shape[1] != 1:
        raise ValueError(
            f"{name} should be a 1d array, got an array of shape {y.shape} instead: a "
            f"frame with {y.shape[1]} columns. Pass one of them."
        )
    _warn_of_column(warn)
    return y.iloc[:, 0] if hasattr(y, "iloc") else y.to_series(0)


def _read(y, name):
    """Return y as an array, of objects if it is a list of several types."""
    if is_of(y, "pandas"):
        return _read_pandas(y, name)
    if is_of(y, "polars"):
        _refuse_missing(y.is_null().to_numpy(), name)
        if getattr(y.dtype, "time_zone", None):
            raise _wrong_kind(name, f"dtype {y.dtype}")
        return _read_sequence(y.to_list()) if "128" in str(y.dtype) else np.asarray(y)
    if is_of(y, "pyarrow"):
        return _read_sequence(y.to_pylist())
    if hasattr(y, "__array__"):
        y = np.asarray(y)
        return y.astype(object) if y.dtype.kind == "T" else y
    return _read_sequence(y)


def _read_pandas(y, name):
    missing = np.asarray(y.isna())
    _refuse_missing(missing, name)
    if hasattr(y.dtype, "categories"):
        column = getattr(y, "array", y)
        used, codes = np.unique(column.codes, return_inverse=True)
        return np.asarray(_read_pandas(column.categories[used], name))[codes]
    return np.asarray(y.to_numpy())


def _read_sequence(y):
    """Return a list as an array, of objects unless all have the same type of label."""
    kinds = set(map(type, y))
    if any(issubclass(kind, Sequence | np.ndarray) for kind in kinds - {str, np.str_}):
        try:
            table = np.asarray(y)
        except ValueError:
            table = None
        if table is not None and table.ndim > 1 and table.dtype != object:
            return table
    elif kinds and _families(kinds) in ({"strings"}, {"datetime64"}, {"timedelta64"}):
        return np.asarray(y)
    elif len(kinds) == 1 and issubclass(*kinds, np.bool_ | np.integer | np.floating):
        return np.asarray(y)
    return np.fromiter(y, dtype=object, count=len(y))


def _of_one_kind(values, name):
    """Convert an object array of labels to their common kind."""
    kinds = {type(v) for v in values}
    if any(getattr(kind, "ndim", None) is not None for kind in kinds):
        # Arrays and tensors of 0 dimensions are converted to numbers.
        values = np.fromiter(map(_item, values), dtype=object, count=len(values))
        kinds = {type(v) for v in values}
    if not kinds <= {str, bool, int}:
        _refuse_missing(np.fromiter(map(_is_missing, values), bool, len(values)), name)
    families = _families(kinds)
    if None in families:
        row = next(i for i, v in enumerate(values) if None in _families({type(v)}))
        odd = values[row]
        what = f"type {type(odd).__name__}, the first in row {row}: {odd!r:.60}"
        raise _wrong_kind(name, what, is_bytes=isinstance(odd, bytes))
    if families == {"integers", "floats"} and all(v == float(v) for v in values):
        families = {"floats"}
    if len(families) > 1:
        raise _mixed_kinds(values, name)
    (family,) = families or {"strings"}
    if family == "strings":
        return values
    if family == "integers":
        return _whole_numbers(values, name)
    dtype = {"booleans": bool, "floats": np.float64}.get(family)
    return np.array(values.tolist()) if dtype is None else values.astype(dtype)


def _whole_numbers(values, name):
    for dtype in (np.int64, np.uint64):
        try:
            return values.astype(dtype)
        except OverflowError:
            continue
    largest = max(values, key=abs)
    raise ValueError(
        f"{name} has integers that do not fit in 64 bits, such as {largest}; pass "
        "them as strings."
    )


def _families(kinds):
    """Return the kinds of labels of some types; None stands for unsupported types."""
    return {
        next((f for f, types in _FAMILIES.items() if issubclass(kind, types)), None)
        for kind in kinds
    }


def _mixed_kinds(values, name):
    seen = {}
    for row, v in enumerate(values):
        (family,) = _families({type(v)})
        seen.setdefault(family, f"{family} ({v!r:.40} in row {row})")
    return TypeError(
        f"{name} has labels of mixed kinds: {' and '.join(seen.values())}. Make them "
        "all strings or all integers."
    )


def _wrong_kind(name, what, *, is_bytes=False):
    if is_bytes:
        advice = f"[label.decode() for label in {name}]"
    else:
        advice = f"strings, for example [str(label) for label in {name}]"
    return TypeError(
        f"{name} has labels of {what}. Labels are {_TAKEN}; pass {advice}."
    )


def _refuse_missing(missing, name):
    if missing.any():
        raise ValueError(
            f"{name} has {np.count_nonzero(missing)} missing label(s) (None, NaN, NA "
            f"or NaT), the first in row {missing.argmax()}; drop those rows."
        )


def _is_missing(v):
    if v is None or type(v).__name__ in ("NAType", "NaTType"):
        return True
    may_be_nan = (float, np.floating, np.datetime64, np.timedelta64, Decimal)
    return isinstance(v, may_be_nan) and bool(v != v)


def _item(v):
    return v.item() if getattr(v, "ndim", None) == 0 and hasattr(v, "item") else v


def is_of(y, package):
    """Return whether the class of an object, or one of its bases, is from a package.

    Parameters
    ----------
    y : object
    package : str
        Name of the package, which need not be installed.

    Returns
    -------
    flag : bool
    """
    return any(kind.__module__.partition(".")[0] == package for kind in type(y).__mro__)


def _warn_of_column(warn):
    if not warn:
        return
    warn_user(
        "A column-vector y was passed when a 1d array was expected. Please change the "
        "shape of y to (n_samples, ), for example using ravel().",
        DataConversionWarning,
    )
