"""Turn an estimator into JSON values and arrays."""

import functools
import math
import sys
import types
from collections import OrderedDict
from contextlib import contextmanager

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import Bunch

from sknoisy._validation import Tree
from sknoisy.persistence._allowed import is_allowed, name_of
from sknoisy.persistence._attributes import check_names, is_path, of_a_fit
from sknoisy.persistence._consistency import check_estimator_state

__all__ = ["STORED_AS", "Encoder"]

_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, np.ufunc)
_GENERATORS = ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")
# How numpy arrays are stored whose dtype safetensors does not have.
STORED_AS = {"U": "<u4", "S": "|u1", "M": "<i8", "m": "<i8"}


class Encoder:
    """Turn an estimator into JSON values and arrays.

    Objects with an identity (arrays, tensors, estimators, parts of nets) are listed
    once, before all references to them by number: shared objects stay shared.

    Attributes
    ----------
    objects : list of dict
    arrays : dict of str to ndarray
    names : set of str
        Classes and functions that the objects name.
    """

    def __init__(self):
        self.objects = []
        self.arrays = {}
        self.names = set()
        # Keeps encoded objects alive, because id() may be reused after their deletion.
        self._done = {}
        self._open = set()
        self._path = []

    def encode(self, value):
        """Return the JSON value that encodes a value.

        Raises
        ------
        ValueError
            If it cannot be encoded, with the path to the value.
        """
        kind = type(value)
        if value is None or kind in (bool, str):
            return value
        if kind is int:
            return value if value.bit_length() < 2**12 else self.refuse("is too large")
        if kind is float:
            return value if math.isfinite(value) else _typed("float", value=repr(value))
        if kind is list:
            return self._items(value)
        make = _CONTAINERS.get(kind)
        if make is not None:
            return make(self, value)
        if isinstance(value, np.generic):
            return self._scalar(value)
        if isinstance(value, np.dtype):
            return _typed("dtype", value=self._dtype(value))
        if isinstance(value, (type, *_FUNCTIONS)):
            return _typed("name", name=self.name(value))
        if isinstance(value, functools.partial):
            parts = value.func, value.args, value.keywords
            return _typed("partial", items=self._items(parts))
        if "torch" in sys.modules:
            from sknoisy.persistence._torch_parts import encode_torch_value

            found = encode_torch_value(self, value)
            if found is not None:
                return found
        return self._refer(value, self._kind_of(value))

    def at(self, label, value):
        """Encode a part of the current value; errors name it by the label."""
        self._path.append(label)
        found = self.encode(value)
        self._path.pop()
        return found

    def attributes(self, values):
        """Encode attributes by name; paths become None."""
        return {
            name: self.at(f".{name}", None if is_path(name, value) else value)
            for name, value in values.items()
        }

    def name(self, value):
        """Return the name of a class or function, and add it to the list of names."""
        try:
            name = name_of(value)
        except ValueError as error:
            self.refuse(
                f"cannot be found again: {error}. Define it with a name at the top "
                "level of a module"
            )
        self.names.add(name)
        return name

    def store(self, array):
        """Add an array of numbers to the file; return its name there."""
        name = str(len(self.arrays))
        # Not ascontiguousarray, which turns 0 dimensions into 1.
        array = np.asarray(array, array.dtype.newbyteorder("<"), order="C")
        self.arrays[name] = array
        return name

    def refuse(self, why):
        """Raise the error that the current value cannot be saved."""
        place = "".join(self._path).lstrip(".")
        raise ValueError(
            f"{place} {why}. Such a value cannot be saved. pickle may be able to store "
            "it; load pickles only from sources that you trust."
        )

    @contextmanager
    def below(self, label):
        """Prefix errors with a name."""
        self._path.append(label)
        yield
        self._path.pop()

    def _refer(self, value, make):
        if id(value) not in self._done:
            if id(value) in self._open:
                self.refuse("contains itself")
            self._open.add(id(value))
            entry = make(self, value)
            self._open.discard(id(value))
            self._done[id(value)] = len(self.objects), value
            self.objects.append(entry)
        return _typed("ref", id=self._done[id(value)][0])

    def _kind_of(self, value):
        if type(value) in (np.ndarray, np.memmap):
            return Encoder._array
        if type(value) is np.random.RandomState:
            return Encoder._random_state
        if type(value) is np.random.Generator:
            return Encoder._generator
        if type(value) is Tree:
            return Encoder._tree
        if isinstance(value, BaseEstimator):
            return Encoder._estimator
        if "torch" in sys.modules:
            from sknoisy.persistence._torch_parts import torch_encoder_of

            make = torch_encoder_of(value)
            if make is not None:
                return make
        if not _is_plain(value):
            self.refuse(f"is a {type(value).__module__}.{type(value).__qualname__}")
        return Encoder._instance

    def _items(self, values):
        return [self.at(f"[{i}]", value) for i, value in enumerate(values)]

    def _pairs(self, values):
        return [
            [self.encode(key), self.at(f"[{key!r:.60}]", _without_path(key, value))]
            for key, value in values.items()
        ]

    def _scalar(self, value):
        kind = type(value).__name__
        if isinstance(value, np.bool | np.integer | np.str_) or kind in _FLOATS:
            return _typed("scalar", dtype=kind, value=self.encode(value.item()))
        return self.refuse(f"is a numpy.{kind}")

    def _dtype(self, dtype):
        is_long = dtype.itemsize > {"f": 8, "c": 16}.get(dtype.kind, np.inf)
        if dtype.kind not in "biufcUSMm" or is_long:
            self.refuse(f"has dtype {dtype}")
        return dtype.newbyteorder("<").str

    def _array(self, array):
        if array.dtype == object:
            items = self._items(array.ravel().tolist())
            return _typed("object array", shape=list(array.shape), items=items)
        if array.dtype.itemsize == 0:
            self.refuse(f"has dtype {array.dtype}")
        dtype = self._dtype(array.dtype)
        # Rounding in matrix products depends on the memory order.
        is_fortran = array.flags.f_contiguous and not array.flags.c_contiguous
        order = "F" if is_fortran else "C"
        array = np.asarray(array.T if is_fortran else array, dtype, order="C")
        if array.dtype.kind in STORED_AS:
            array = array[..., None].view(STORED_AS[array.dtype.kind])
        elif array.dtype.kind == "c":
            array = array[..., None].view(array.real.dtype)
        return _typed("array", array=self.store(array), dtype=dtype, order=order)

    def _random_state(self, value):
        state = value.get_state(legacy=False)
        return _typed("random state", state=self.encode(state))

    def _generator(self, value):
        state = value.bit_generator.state
        if state["bit_generator"] not in _GENERATORS:
            self.refuse(f"draws from a {state['bit_generator']}")
        return _typed("generator", state=self.encode(state))

    def _tree(self, tree):
        state = tree.__getstate__()
        nodes = state["nodes"]
        return _typed(
            "tree",
            n_features=tree.n_features,
            n_classes=self.encode(tree.n_classes),
            n_outputs=tree.n_outputs,
            max_depth=state["max_depth"],
            nodes={name: self.encode(nodes[name]) for name in nodes.dtype.names},
            values=self.encode(state["values"]),
        )

    def _estimator(self, estimator):
        own, kind = vars(estimator), type(estimator)
        names = [name for name in estimator.get_params(deep=False) if name in own]
        params = {name: own[name] for name in names}
        left_out = {*params, *of_a_fit(kind)}
        learnt = {k: v for k, v in own.items() if k not in left_out}
        try:
            check_estimator_state(estimator)
            check_names(kind, params, learnt, is_known=not is_allowed(name_of(kind)))
        except ValueError as error:
            self.refuse(f"could not be checked on loading: {error}")
        return _typed(
            "estimator",
            **{"class": self.name(kind)},
            params=self.attributes(params),
            attributes=self.attributes(learnt),
        )

    def _instance(self, value):
        kind = self.name(type(value))
        attributes = self.attributes(vars(value))
        return _typed("instance", **{"class": kind}, attributes=attributes)


def _typed(kind, **fields):
    return {"type": kind, **fields}


def _without_path(key, value):
    return None if isinstance(key, str) and is_path(key, value) else value


def _is_plain(value):
    """Return whether an object's state is its attributes and nothing else."""
    kind = type(value)
    is_usual = (
        kind.__reduce_ex__ is object.__reduce_ex__
        and kind.__reduce__ is object.__reduce__
        and kind.__getstate__ is object.__getstate__
        and not hasattr(kind, "__setstate__")
    )
    # No built-in base but object: a list or a file has state beyond its attributes.
    is_python = all(base is object or base.__flags__ & 512 for base in kind.__mro__)
    has_slots = any(vars(base).get("__slots__") for base in kind.__mro__)
    return is_usual and is_python and not has_slots and hasattr(value, "__dict__")


_FLOATS = ("float16", "float32", "float64")
_CONTAINERS = {
    tuple: lambda own, value: _typed("tuple", items=own._items(value)),
    # Sorted, so that the same estimator gives the same file.
    set: lambda own, value: _typed("set", items=own._items(sorted(value, key=repr))),
    frozenset: lambda own, value: _typed(
        "frozenset", items=own._items(sorted(value, key=repr))
    ),
    dict: lambda own, value: _typed("dict", items=own._pairs(value)),
    OrderedDict: lambda own, value: _typed("OrderedDict", items=own._pairs(value)),
    Bunch: lambda own, value: _typed("Bunch", items=own._pairs(value)),
    slice: lambda own, value: _typed(
        "slice", items=own._items([value.start, value.stop, value.step])
    ),
}
