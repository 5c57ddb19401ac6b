"""Changes of saved files: damages, and forgeries with a right checksum."""

import copy
import json
import os

import numpy as np
from sealed_files import seal

__all__ = ["CHECKPOINTS", "DAMAGES", "FORGERIES"]

SIZES = (
    *(0, 1, -1, 2, 3, 7, 100, -(2**31), 2**31 - 1, 2**31, 2**32, 2**62, 2**63, 2**64),
    *(1.5, 1e300, True, False, None, "1"),
)
NAMES = (
    *("os.system", "builtins.eval", "pickle.loads", "torch.load", "numpy.load"),
    *("torch.nn.LSTM", "torch.nn.Linear", "torch.nn.Embedding", "builtins.print"),
    *("sklearn.svm.SVC", "sklearn.pipeline.Pipeline", "sknoisy.nets.MLP", "torch.nn"),
    *("sknoisy.NetClassifier", "sknoisy.persistence.load", "builtins.str", ""),
)
HOSTILE_NAMES = (
    *("checkpoint", "memory", "torch_load_kwargs", "compile", "compile__options"),
    *("forward", "predict", "_compiled_call_impl", "_forward_hooks", "__class__"),
    *("__dict__", "_backward_hooks", "_forward_pre_hooks", "call_super_init"),
    *("dump_patches", "initialized_", "callbacks_", "module_", "_modules", "_criteria"),
    *("training_key_", "_parameter_constraints", "virtual_params_", "prefixes_"),
    *("settings", "estimator", "n_jobs", "warm_start", "history_", "classes_", "x_"),
)


def evil_path():
    """Return where a pickle lies that makes a folder when it is read."""
    return os.environ.get("CAMPAIGN_EVIL", "/nowhere")


def hostile(rng):
    """Return a value that no honest file has in most places."""
    evil = evil_path()
    values = [
        *SIZES,
        *([], {}, [[]], "", "nan", "a" * 3000, [10**9] * 2, evil, [evil]),
        {"type": "ref", "id": int(rng.integers(60))},
        {"type": "name", "name": NAMES[rng.integers(len(NAMES))]},
        {"type": "tuple", "items": [evil, 2**40]},
        {"type": "set", "items": [evil]},
        {"type": "dict", "items": [["checkpoint", evil], ["memory", evil]]},
        {"type": "float", "value": "nan"},
        {"type": "scalar", "dtype": "int64", "value": 2**62},
        {"type": "torch.Size", "items": [2**40, 2**40]},
    ]
    return values[rng.integers(len(values))]


def flipped(content, rng):
    """Flip one bit."""
    content = bytearray(content)
    place = rng.integers(8 * len(content))
    content[place // 8] ^= 1 << int(place % 8)
    return bytes(content)


def flipped_in_front(content, rng):
    """Flip one bit of the first 2,000 bytes."""
    return flipped(content[:2000], rng) + content[2000:]


def cut(content, rng):
    """Lose the end."""
    return content[: rng.integers(len(content))]


def overwritten(content, rng):
    """Put other bytes in a place, zeros for example as after a power cut."""
    place, length = rng.integers(len(content)), int(rng.integers(1, 5000))
    new = bytes(length) if rng.random() < 0.5 else rng.bytes(length)
    return (content[:place] + new + content[place + length :])[: len(content)]


def inserted_or_lost(content, rng):
    """Add or lose some bytes."""
    place = rng.integers(len(content))
    if rng.random() < 0.5:
        return content[:place] + rng.bytes(int(rng.integers(1, 9))) + content[place:]
    return content[:place] + content[place + int(rng.integers(1, 9)) :]


def moved(content, rng):
    """Exchange two blocks."""
    a, b = sorted(rng.integers(len(content), size=2).tolist())
    size = int(rng.integers(1, 600))
    first, second = content[a : a + size], content[b : b + size]
    return (content[:a] + second + content[a + size : b] + first + content[b + size :])[
        : len(content)
    ]


def ways(value, path=()):
    """Return the way to each part of a JSON value."""
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from ways(value[key], (*path, key))


def at(value, way):
    """Return the part at the end of a way."""
    for key in way:
        value = value[key]
    return value


def of_leaf(manifest, arrays, rng, allowed=lambda value: True):
    """Return the holder and key of a part, drawn evenly over kinds of objects."""
    objects = manifest["objects"]
    kinds = sorted({entry["type"] for entry in objects} - {"array", "tensor"})
    kind = kinds[rng.integers(len(kinds))]
    chosen = [entry for entry in objects if entry["type"] == kind]
    entry = chosen[rng.integers(len(chosen))]
    found = [way for way in ways(entry) if way and allowed(at(entry, way))]
    if not found:
        return manifest, "versions"
    way = found[rng.integers(len(found))]
    return at(entry, way[:-1]), way[-1]


def changed_value(manifest, arrays, rng):
    """Put a hostile value in any place."""
    holder, key = of_leaf(manifest, arrays, rng)
    holder[key] = hostile(rng)


def changed_size(manifest, arrays, rng):
    """Change a number."""
    is_number = lambda value: type(value) in (int, float, bool)  # noqa: E731
    holder, key = of_leaf(manifest, arrays, rng, is_number)
    value = SIZES[rng.integers(len(SIZES))]
    near = type(holder[key]) is int and rng.random() < 0.5
    holder[key] = holder[key] + int(rng.integers(-2, 3)) if near else value


def added_attribute(manifest, arrays, rng):
    """Add an attribute, a parameter, a buffer or a part with a hostile name."""
    places = [
        entry[place]
        for entry in manifest["objects"]
        for place in ("attributes", "params", "buffers", "modules", "parameters")
        if isinstance(entry.get(place), dict)
    ]
    name = HOSTILE_NAMES[rng.integers(len(HOSTILE_NAMES))]
    places[rng.integers(len(places))][name] = hostile(rng)
    for text in (
        (*NAMES, "builtins.print") if rng.random() < 0.2 else ("builtins.print",)
    ):
        manifest["names"] = sorted({*manifest["names"], text})


def moved_to_attributes(manifest, arrays, rng):
    """Let a parameter be a learnt attribute, with a hostile value at times."""
    owners = [entry for entry in manifest["objects"] if entry["type"] == "estimator"]
    entry = owners[rng.integers(len(owners))]
    if entry["params"]:
        name = sorted(entry["params"])[rng.integers(len(entry["params"]))]
        paths = [own for own in ("checkpoint", "memory") if own in entry["params"]]
        if paths and rng.random() < 0.5:
            del entry["params"][paths[0]]
            entry["attributes"][paths[0]] = evil_path()
            return
        value = entry["params"].pop(name)
        entry["attributes"][name] = hostile(rng) if rng.random() < 0.5 else value


def changed_name(manifest, arrays, rng):
    """Let a class be another one, that may be known or not."""
    holders = [entry for entry in manifest["objects"] if "class" in entry]
    entry = holders[rng.integers(len(holders))]
    known = manifest["names"]
    name = (NAMES if rng.random() < 0.3 else known)[0:]
    entry["class"] = name[rng.integers(len(name))]
    manifest["names"] = sorted({*known, entry["class"]})


def changed_type(manifest, arrays, rng):
    """Let an object be of another type, with the fields it has."""
    objects = manifest["objects"]
    entry = objects[rng.integers(len(objects))]
    entry["type"] = objects[rng.integers(len(objects))]["type"]


def changed_order(manifest, arrays, rng):
    """Exchange two objects, or let a reference point at another."""
    objects = manifest["objects"]
    a, b = rng.integers(len(objects), size=2)
    if rng.random() < 0.3:
        objects[a], objects[b] = objects[b], objects[a]
        return
    is_ref = lambda value: isinstance(value, dict) and value.get("type") == "ref"  # noqa: E731
    holder, key = of_leaf(manifest, arrays, rng, is_ref)
    if isinstance(holder[key], dict):
        holder[key] = {"type": "ref", "id": int(b)}


def changed_array(manifest, arrays, rng):
    """Change values, sizes or the dtype of an array."""
    entries = [e for e in manifest["objects"] if e["type"] in ("array", "tensor")]
    if not entries:
        return
    entry = entries[rng.integers(len(entries))]
    array = arrays[entry["array"]]
    match rng.integers(7):
        case 0:
            array = array.ravel()[: max(array.size - 1, 0)]
        case 1:
            array = np.concatenate([array.ravel()] * 2)
        case 2:
            array = array[None]
        case 3:
            bits = np.frombuffer(rng.bytes(array.nbytes), np.uint8)
            array = bits.view(array.dtype).reshape(array.shape)
        case 4 if array.dtype.kind in "iu":
            limits = np.iinfo(array.dtype)
            array = rng.choice([limits.min, limits.max, 0], array.shape)
            array = array.astype(arrays[entry["array"]].dtype)
        case 5:
            dtype = rng.choice(["float64", "int8", "int64", "float32"])
            array = array.astype(dtype)
            entry["dtype"] = dtype if entry["type"] == "tensor" else array.dtype.str
        case _:
            array = np.full_like(array, np.nan if array.dtype.kind == "f" else 1)
    arrays[entry["array"]] = np.ascontiguousarray(array)


def forged(change):
    """Return a function from manifest and arrays to the bytes of a forged file."""

    def apply(manifest, arrays, rng):
        manifest, arrays = copy.deepcopy(manifest), dict(arrays)
        for _ in range(1 + (rng.random() < 0.3)):
            try:
                change(manifest, arrays, rng)
            # The first change may have left nothing for the second.
            except (KeyError, IndexError, TypeError, ValueError, AttributeError):
                pass
        return seal(json.dumps(manifest).encode(), arrays)

    return apply


DAMAGES = {
    "bit flipped": flipped,
    "bit flipped in front": flipped_in_front,
    "cut off": cut,
    "overwritten": overwritten,
    "bytes added or lost": inserted_or_lost,
    "blocks exchanged": moved,
}
FORGERIES = {
    "value": forged(changed_value),
    "size": forged(changed_size),
    "attribute added": forged(added_attribute),
    "parameter as learnt": forged(moved_to_attributes),
    "class": forged(changed_name),
    "type": forged(changed_type),
    "order": forged(changed_order),
    "array": forged(changed_array),
}
CHECKPOINTS = {f"checkpoint: {name}": change for name, change in DAMAGES.items()}
