"""Small data sets in the layouts of the published ones."""

import gzip
import pickle
import struct

import numpy as np
from PIL import Image


def draw(path, size=(8, 8), seed=0):
    """Save a noisy image of (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)
    Image.fromarray(pixels).save(path)


def write(path, *lines):
    """Save lines of text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def pixels_of(n, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, 3, 32, 32)).astype(np.uint8)


def pickle_of_python_2(images, **lists):
    """Return a batch as Python 2 and its numpy have pickled it, byte by byte."""

    def text(value):
        return b"U" + bytes([len(value)]) + value.encode("latin1")

    def number(value):
        return b"J" + struct.pack("<i", value)

    rows = images.reshape(len(images), -1)
    empty = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n"
    empty += number(0) + b"\x85" + text("b") + b"tR"
    dtype = b"cnumpy\ndtype\n(" + text("u1") + number(0) + number(1) + b"tR"
    dtype += b"(" + number(3) + text("|") + b"NNN" + number(-1) + number(-1)
    dtype += number(0) + b"tb"
    data = rows.tobytes()
    state = b"(" + number(1) + number(rows.shape[0]) + number(rows.shape[1]) + b"\x86"
    state += dtype + b"\x89" + b"T" + struct.pack("<i", len(data)) + data + b"tb"
    items = text("data") + empty + state
    for name, values in lists.items():
        listed = b"](" + b"".join(
            text(v) if isinstance(v, str) else number(v) for v in values
        )
        items += text(name) + listed + b"e"
    return b"\x80\x02}(" + items + b"u."


def cifar10(root, codes, test_codes, seed=0):
    """Make the Python version: five batches and a test batch; return all pixels."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    images = pixels_of(len(codes) + len(test_codes), seed)
    parts = np.array_split(np.arange(len(codes)), 5)
    for number, rows in enumerate(parts, 1):
        content = pickle_of_python_2(images[rows], labels=codes[rows].tolist())
        (folder / f"data_batch_{number}").write_bytes(content)
    test = images[len(codes) :]
    content = pickle_of_python_2(test, labels=test_codes.tolist())
    (folder / "test_batch").write_bytes(content)
    return images[: len(codes)], test


def human(root, name, **columns):
    """Make a file of torch.save without tensors."""
    import torch

    torch.save(columns, root / name)


def idx(root, name, array, compressed=False):
    """Make an IDX file."""
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    data = header + array.astype(np.uint8).tobytes()
    if compressed:
        (root / f"{name}.gz").write_bytes(gzip.compress(data))
    else:
        (root / name).write_bytes(data)


class Harmful:
    """Would write a file if it were unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def harmful(path, made):
    path.write_bytes(pickle.dumps({"data": Harmful(made)}, protocol=2))
