"""Read arrays, lists and strings from pickles without running any code of them."""

from __future__ import annotations

import _codecs
import io
import pickle
import zipfile

import numpy as np

from sknoisy.datasets._reading import printable

__all__ = ["read_pickle", "read_zipped_pickle"]

_RECONSTRUCT = np.empty(0).__reduce__()[0]
_SCALAR = np.int64(0).__reduce__()[0]
_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy.core.multiarray", "scalar"): _SCALAR,
    ("numpy._core.multiarray", "scalar"): _SCALAR,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    # Bytes in pickles for Python 2 that Python 3 has written.
    ("_codecs", "encode"): _codecs.encode,
}


class _ArrayUnpickler(pickle.Unpickler):
    """Knows arrays, and nothing that could be called to do harm."""

    def find_class(self, module, name):
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return _ALLOWED[module, name]


def read_pickle(path, most_bytes):
    """Return the content of a pickle of arrays, lists, dicts and strings.

    Parameters
    ----------
    path : str
    most_bytes : int
        A larger file is refused, since a pickle may fill the memory.

    Returns
    -------
    content : object
        Strings of Python 2 are decoded as Latin-1.

    Raises
    ------
    ValueError
        If it is too large, damaged, or has anything else in it.
    """
    with open(path, "rb") as file:
        data = file.read(most_bytes + 1)
    return _content(path, data, most_bytes)


def read_zipped_pickle(path, most_bytes):
    """Return what ``torch.save`` has stored, if it holds no tensors.

    Parameters
    ----------
    path : str
    most_bytes : int
        Of the pickle in the file.

    Returns
    -------
    content : object

    Raises
    ------
    ValueError
        If it is no such file, or as `read_pickle`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [n for n in archive.namelist() if n.endswith("/data.pkl")]
            if len(names) != 1:
                raise zipfile.BadZipFile("it has no data.pkl")
            with archive.open(names[0]) as file:
                data = file.read(most_bytes + 1)
    except zipfile.BadZipFile as error:
        raise ValueError(
            f"{printable(path)} is no file of torch.save: {error}. It may be damaged, "
            "or a page that was downloaded in its place."
        ) from error
    return _content(path, data, most_bytes)


def _content(path, data, most_bytes):
    if len(data) > most_bytes:
        raise ValueError(
            f"{printable(path)} has more than {most_bytes:,} bytes, and so is not the "
            "file that it should be."
        )
    try:
        return _ArrayUnpickler(io.BytesIO(data), encoding="latin1").load()
    # Unpickling of damaged files can fail in many ways.
    except Exception as error:
        raise ValueError(
            f"{printable(path)} cannot be read as arrays and lists: "
            f"{error or 'it is damaged'}. Get the published file."
        ) from error
