"""Build an estimator from JSON values and arrays."""

import functools
import inspect
import math
from collections import OrderedDict

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import Bunch

from sknoisy.persistence._allowed import is_allowed, is_plain
from sknoisy.persistence._attributes import check_names, is_path, looks_learnt, of_a_fit
from sknoisy.persistence._consistency import (
    check_bools,
    check_estimator_state,
    make_tree,
)
from sknoisy.persistence._encode import STORED_AS

__all__ = ["Decoder"]

_SCALARS = {
    *("bool", "str_", "float16", "float32", "float64", "longlong", "ulonglong"),
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
}
_TORCH = {
    *("tensor", "module", "optimizer", "part of a net", "History"),
    *("torch.Size", "torch.dtype", "torch.device"),
}
# Largest position in a generator's buffer; numpy does not check it.
_BUFFERS = {"MT19937": 624, "Philox": 4}
_PLAIN_GENERATORS = ("PCG64", "PCG64DXSM", "SFC64")


class Decoder:
    """Build objects from a manifest.

    Only the constructors of estimators are called, which just store their arguments.
    Nothing larger than the file is allocated: each array is used once, and references
    to an object share it.

    Parameters
    ----------
    arrays : dict of str to ndarray
        Each is removed when it is used.
    found : dict of str to class or function
        All classes and functions that may be named, by name.
    vouched : collection of classes
        Passed by the caller; plain objects may be instances of these and of a few
        classes of this package.
    """

    def __init__(self, arrays, found, vouched=()):
        self.arrays = dict(arrays)
        self.found = found
        self.vouched = vouched
        self.objects = []

    def run(self, objects, root):
        """Build all objects and return the estimator.

        Parameters
        ----------
        objects : list of dict
        root : dict
            Reference to the estimator.

        Returns
        -------
        estimator : estimator

        Raises
        ------
        ValueError
            If they cannot be built.
        """
        self.require(isinstance(objects, list), "its objects must be a list")
        for entry in objects:
            self.objects.append(self._typed(entry, _OBJECTS))
        self.require(not self.arrays, "an array belongs to no object")
        estimator = self.decode(root)
        self.require(isinstance(estimator, BaseEstimator), "it holds no estimator")
        return estimator

    def decode(self, value):
        """Return the value that a JSON value encodes."""
        if isinstance(value, dict):
            return self._typed(value, _VALUES)
        if isinstance(value, list):
            return [self.decode(entry) for entry in value]
        return value

    def fields(self, entry, *names):
        """Return the fields of an entry, which must have exactly these."""
        if set(entry) != {"type", *names}:
            raise ValueError(f"{entry.get('type')!r:.40} must have the fields {names}")
        return [entry[name] for name in names]

    def require(self, holds, message):
        """Raise a ValueError if a condition is false."""
        if not holds:
            raise ValueError(message)

    def kind(self, name, base):
        """Return the class of that name, which must derive from a base."""
        kind = self._named(name)
        if not (inspect.isclass(kind) and issubclass(kind, base)):
            raise ValueError(f"{name:.80} is of another kind")
        return kind

    def values(self, entries):
        """Return decoded pairs of name and value; paths are refused."""
        self.require(isinstance(entries, dict), "attributes must be a JSON object")
        found = [(name, self.decode(value)) for name, value in entries.items()]
        self._refuse_paths(found)
        return found

    def attributes(self, kind, entries):
        """Return decoded attributes; names that would hide a method are refused."""
        found = dict(self.values(entries))
        for name in found:
            own = inspect.getattr_static(kind, name, None)
            is_free = not hasattr(type(own), "__get__") or isinstance(
                own, functools.cached_property
            )
            is_name = name.isidentifier() and not name.startswith("__")
            self.require(
                is_free and is_name, f"an attribute cannot be named {name!r:.40}"
            )
        return found

    def stored(self, name):
        """Remove an array from those of the file and return it."""
        self.require(
            isinstance(name, str) and name in self.arrays,
            "an array is missing or used twice",
        )
        return self.arrays.pop(name)

    def _typed(self, entry, known):
        self.require(isinstance(entry, dict), "expected a JSON object")
        kind = entry.get("type")
        self.require(isinstance(kind, str), "a type must be a string")
        if kind in known:
            return known[kind](self, entry)
        if kind in _TORCH:
            from sknoisy.persistence._torch_parts import TORCH_DECODERS

            return TORCH_DECODERS[kind](self, entry)
        raise ValueError(f"{kind!r:.40} is an unknown type")

    def _named(self, name):
        self.require(
            isinstance(name, str) and name in self.found,
            "a name is not in the list of names",
        )
        return self.found[name]

    def _items(self, entry):
        (items,) = self.fields(entry, "items")
        self.require(isinstance(items, list), "items must be a list")
        return self.decode(items)

    def _pairs(self, entry):
        pairs = self._items(entry)
        self.require(
            all(isinstance(pair, list) and len(pair) == 2 for pair in pairs),
            "an entry must be a pair",
        )
        found = dict(pairs)
        self.require(len(found) == len(pairs), "a key occurs twice")
        self._refuse_paths((key, found[key]) for key in found if isinstance(key, str))
        return found

    def _refuse_paths(self, pairs):
        for name, value in pairs:
            message = f"{name:.60} may not come from a file"
            self.require(not is_path(name, value), message)

    def _ref(self, entry):
        (number,) = self.fields(entry, "id")
        is_there = type(number) is int and 0 <= number < len(self.objects)
        self.require(is_there, "it refers to an object that does not exist")
        return self.objects[number]

    def _float(self, entry):
        (text,) = self.fields(entry, "value")
        self.require(text in ("nan", "inf", "-inf"), "a float must be nan, inf or -inf")
        return float(text)

    def _scalar(self, entry):
        name, value = self.fields(entry, "dtype", "value")
        self.require(name in _SCALARS, "an unknown type of scalar")
        value = self.decode(value)
        is_text = isinstance(value, str)
        fits = is_text == (name == "str_") and isinstance(value, str | int | float)
        self.require(fits, "the value of a scalar has the wrong type")
        return getattr(np, name)(value)

    def _slice(self, entry):
        parts = self._items(entry)
        self.require(len(parts) == 3, "a slice must have three parts")
        return slice(*parts)

    def _partial(self, entry):
        parts = self._items(entry)
        self.require(
            len(parts) == 3 and callable(parts[0]),
            "a partial must have a function, arguments and keywords",
        )
        function, args, keywords = parts
        # It could print text of the file to a terminal.
        is_print = function is print and print not in self.vouched
        self.require(not is_print, "a partial of print is not allowed")
        return functools.partial(function, *args, **keywords)

    def _array(self, entry):
        name, dtype, order = self.fields(entry, "array", "dtype", "order")
        self.require(order in ("C", "F"), "the order of an array must be C or F")
        stored, dtype = self.stored(name), _dtype(dtype)
        if dtype.kind in STORED_AS or dtype.kind == "c":
            part = STORED_AS.get(dtype.kind, f"<f{dtype.itemsize // 2}")
            width = stored.shape[-1] if stored.ndim else 0
            fits = dtype.itemsize == stored.itemsize * width > 0
            self.require(fits and stored.dtype == part, "an array has another dtype")
            if dtype.kind == "U":
                valid = not stored.size or stored.max() < 0x110000
                self.require(valid, "a string holds an invalid code point")
            array = np.ascontiguousarray(stored).view(dtype).reshape(stored.shape[:-1])
        else:
            self.require(stored.dtype == dtype, "an array has another dtype")
            if dtype.kind == "b":
                check_bools(stored)
            array = stored
        return array.copy().T if order == "F" else array.copy()

    def _object_array(self, entry):
        shape, items = self.fields(entry, "shape", "items")
        self.require(
            all(type(size) is int and size >= 0 for size in shape)
            and math.prod(shape) == len(items),
            "the shape of an array does not match its items",
        )
        array = np.empty(len(items), dtype=object)
        for place, item in enumerate(items):
            array[place] = self.decode(item)
        return array.reshape(shape)

    def _random_state(self, entry):
        (state,) = self.fields(entry, "state")
        state = self.decode(state)
        name = state["bit_generator"]
        value = np.random.RandomState(_bit_generator(name, state))
        value.set_state(state)
        return value

    def _generator(self, entry):
        (state,) = self.fields(entry, "state")
        state = self.decode(state)
        bits = _bit_generator(state["bit_generator"], state)
        bits.state = state
        return np.random.Generator(bits)

    def _tree(self, entry):
        n_features, n_classes, n_outputs, max_depth, nodes, values = self.fields(
            entry,
            *("n_features", "n_classes", "n_outputs", "max_depth", "nodes", "values"),
        )
        n_classes, values = self.decode(n_classes), self.decode(values)
        nodes = dict(self.values(nodes))
        arrays = [n_classes, values, *nodes.values()]
        self.require(
            all(isinstance(array, np.ndarray) for array in arrays) and values.ndim,
            "tree's arrays must be arrays",
        )
        return make_tree(n_features, n_classes, n_outputs, max_depth, nodes, values)

    def _estimator(self, entry):
        name, params, attributes = self.fields(entry, "class", "params", "attributes")
        kind = self.kind(name, BaseEstimator)
        params = self.attributes(kind, params)
        learnt = self.attributes(kind, attributes)
        is_known = not is_allowed(name)
        check_names(kind, params, learnt, is_known=is_known)
        estimator = kind(**params)
        if not is_known:
            # Other attributes set by the constructor must not come from the file.
            own = vars(estimator)
            learnt = {
                key: value
                for key, value in learnt.items()
                if looks_learnt(key) or _is_equal(own[key], value)
            }
        left_out = of_a_fit(kind)
        learnt = {k: v for k, v in learnt.items() if k not in left_out}
        vars(estimator).update(learnt)
        check_estimator_state(estimator)
        if hasattr(estimator, "torch_load_kwargs"):
            from sknoisy.persistence._torch_parts import settle_net

            settle_net(estimator)
        return estimator

    def _instance(self, entry):
        name, attributes = self.fields(entry, "class", "attributes")
        kind = self.kind(name, object)
        self.require(
            is_plain(name) or kind in self.vouched,
            "an object is of a class that is not in known",
        )
        value = object.__new__(kind)
        vars(value).update(self.attributes(kind, attributes))
        return value


def _is_equal(value, other):
    if type(value) is not type(other):
        return False
    if isinstance(value, BaseEstimator):
        # Unfitted and with the same parameters: it may be an object shared in the file.
        return vars(value) == vars(other)
    return value == other


def _dtype(text):
    dtype = np.dtype(text) if isinstance(text, str) else np.dtype(object)
    if dtype.kind not in "biufcUSMm" or dtype.str != text:
        raise ValueError("an array has an unsupported dtype")
    return dtype


def _bit_generator(name, state):
    """Return a bit generator, after a check of what numpy does not check."""
    if name in _PLAIN_GENERATORS:
        return getattr(np.random, name)(0)
    if name not in _BUFFERS:
        raise ValueError("an unknown bit generator")
    place = state["state"]["pos"] if name == "MT19937" else state["buffer_pos"]
    if type(place) is not int or not 0 <= place <= _BUFFERS[name]:
        raise ValueError("a generator's position is outside its buffer")
    return getattr(np.random, name)(0)


_VALUES = {
    "ref": Decoder._ref,
    "float": Decoder._float,
    "tuple": lambda own, entry: tuple(own._items(entry)),
    "set": lambda own, entry: set(own._items(entry)),
    "frozenset": lambda own, entry: frozenset(own._items(entry)),
    "dict": Decoder._pairs,
    "OrderedDict": lambda own, entry: OrderedDict(own._pairs(entry)),
    "Bunch": lambda own, entry: Bunch(**own._pairs(entry)),
    "slice": Decoder._slice,
    "scalar": Decoder._scalar,
    "dtype": lambda own, entry: _dtype(*own.fields(entry, "value")),
    "name": lambda own, entry: own._named(*own.fields(entry, "name")),
    "partial": Decoder._partial,
}
_OBJECTS = {
    "array": Decoder._array,
    "object array": Decoder._object_array,
    "random state": Decoder._random_state,
    "generator": Decoder._generator,
    "tree": Decoder._tree,
    "estimator": Decoder._estimator,
    "instance": Decoder._instance,
}
