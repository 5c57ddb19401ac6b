"""Cases that encode odd images and texts."""

import tempfile
from io import BytesIO

import numpy as np
import pandas as pd
import polars as pl
import torch
from odd_parameters import ANYTHING, odd_parameter
from public_estimators import numbers_of
from sklearn.base import clone

import sknoisy


def run(trial, name):
    """Encode images or texts of some kind, with some parameters."""
    cls = getattr(sknoisy, name)
    trial.subject = name
    params, expects = {"model": numbers_of}, []
    for _ in range(trial.pick([0, 1, 2], [5, 4, 1])):
        key, value, expected = odd_parameter(trial, cls)
        if key in ("cache", "weights"):
            value, expected = tempfile.mkdtemp(), "either"
        params[key] = value
        # A function in place of the model may fit, and a model by name is not there.
        expects.append("refused" if expected == "refused" else "either")
    kinds = _images(trial.rng) if name == "ImageEncoder" else _texts(trial.rng)
    kind = trial.pick(list(kinds))
    X, expect, expected = kinds[kind]
    if expects:
        expect = "refused" if "refused" in (expect, *expects) else "either"
    trial.note(f"{name}({params}); X: {kind}")
    trial.written = f"{params} {name} X image text model weights"
    model = trial.call("build", lambda: cls(**params))
    rows = trial.call("fit_transform", lambda: model.fit_transform(X), expect=expect)
    rows = np.asarray(rows)
    trial.check(rows.dtype == np.float32 and rows.ndim == 2, "rows")
    if expected is not None and not expects:
        trial.check(np.allclose(rows, expected, rtol=1e-5), "other rows")
    again = trial.call("transform", lambda: clone(model).fit(X).transform(X))
    trial.check(np.array_equal(rows, again, equal_nan=True), "other bits")


def _images(rng):
    last = rng.integers(0, 256, (5, 6, 7, 3)).astype(np.uint8)
    means = last.mean((1, 2)) / 255
    grey = (last[..., 0].mean((1, 2)) / 255)[:, None].repeat(3, 1)
    files = [_file(image) for image in last]
    return {
        "last": (last, "fits", means),
        "first": (last.transpose(0, 3, 1, 2), "fits", means),
        "Fortran order": (np.asfortranarray(last), "fits", means),
        "reversed": (last[::-1], "fits", means[::-1]),
        "grey": (last[..., 0], "fits", grey),
        "floats": (last / 255, "fits", means),
        "float16": ((last / 255).astype(np.float16), "either", None),
        "int64": (last.astype(np.int64), "fits", means),
        "lists of arrays": (list(last), "fits", means),
        "tensor": (torch.from_numpy(last), "fits", means),
        "tensors": (list(torch.from_numpy(last)), "fits", means),
        "files": (files, "fits", means),
        "Series": (pd.Series(files), "fits", means),
        "polars": (pl.Series(files), "fits", means),
        "bytes as floats": (last.astype(np.float32), "refused", None),
        "negative": (last.astype(int) - 300, "refused", None),
        "NaN": (np.full((5, 3, 6, 7), np.nan), "refused", None),
        "two channels": (last[..., :2], "refused", None),
        "one image": (last[0], "refused", None),
        "table": (last.reshape(5, -1), "refused", None),
        "five axes": (last[None], "refused", None),
        "bool": (last > 5, "refused", None),
        "words": (np.array(["a", "b"]), "refused", None),
        "nested lists": (last.tolist(), "refused", None),
        "sizes": ([last[0], last[1][1:]], "refused", None),
        "cut files": ([file[: len(file) // 2] for file in files], "refused", None),
        "missing": ([files[0], None], "refused", None),
        "anything": (list(ANYTHING), "refused", None),
        "empty": (last[:0], "refused", None),
        "None": (None, "refused", None),
        "number": (5, "refused", None),
        "dict": ({"a": last}, "refused", None),
    }


def _file(image):
    from PIL import Image

    file = BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def _texts(rng):
    words = ["a", "two words", "ünïcode \U0001f600", "x" * 300, "nul\0", "  blanks "]
    texts = [words[i] for i in rng.permutation(len(words))]
    rows = np.array([[len(text), text.count(" ")] for text in texts])
    return {
        "list": (texts, "fits", rows),
        "tuple": (tuple(texts), "fits", rows),
        "array": (np.array(texts, object), "fits", rows),
        "column": (np.array(texts, object)[:, None], "fits", rows),
        "Series": (pd.Series(texts), "fits", rows),
        "category": (pd.Series(texts, dtype="category"), "fits", rows),
        "frame": (pd.DataFrame({"a": texts}), "fits", rows),
        "polars": (pl.Series(texts), "fits", rows),
        "one": (texts[:1], "fits", rows[:1]),
        "surrogate": (["a\ud800"], "either", None),
        "empty text": ([*texts, ""], "refused", None),
        "blank": ([*texts, " \n"], "refused", None),
        "missing": ([*texts, None], "refused", None),
        "NaN": (pd.Series([*texts, np.nan]), "refused", None),
        "bytes": ([text.encode() for text in texts], "refused", None),
        "numbers": (np.arange(5), "refused", None),
        "lists": ([texts], "refused", None),
        "two columns": (pd.DataFrame({"a": texts, "b": texts}), "refused", None),
        "images": (np.zeros((5, 3, 8, 8)), "refused", None),
        "anything": (list(ANYTHING), "refused", None),
        "empty": ([], "refused", None),
        "None": (None, "refused", None),
        "str": ("a text", "refused", None),
        "dict": ({"a": "text"}, "refused", None),
    }
