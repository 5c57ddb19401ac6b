"""Rows that were encoded before, in files that cannot run code.

Not joblib's Memory, for three reasons: its files are pickles; it stores a call as a
whole, so that one new image would encode all of them again; and it finds a model again
by pickling it, which is slow and does not give the same bytes each time.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from sknoisy._regular_files import written_in_one_step
from sknoisy._warning import warn_user

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

__all__ = [
    "RowCache",
    "digest_of_arrays",
    "digest_of_module",
    "digest_of_settings",
    "row_key",
    "versions_of",
]

# Of keys and names of folders: no two contents with the same one will ever be met.
_N_BYTES = 16
# After so many new rows they are written, in case the program is stopped.
_ROWS_PER_FILE = 2048


def row_key(kind: str, *parts: bytes | memoryview) -> bytes:
    """Return the key of a row, from its content.

    Parameters
    ----------
    kind : str
        What the content is, since the bytes of a file and of pixels may agree.
    *parts : bytes
        The content.

    Returns
    -------
    key : bytes
    """
    found = hashlib.blake2b(kind.encode(), digest_size=_N_BYTES)
    for part in parts:
        found.update(len(part).to_bytes(8, "little"))
        found.update(part)
    return found.digest()


def digest_of_arrays(arrays: Iterable[tuple[str, NDArray[Any]]]) -> str:
    """Return a digest of named arrays: of a model, by its weights.

    Parameters
    ----------
    arrays : iterable of (str, ndarray)

    Returns
    -------
    digest : str
    """
    found = hashlib.blake2b(digest_size=_N_BYTES)
    for name, array in arrays:
        found.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        found.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return found.hexdigest()


def digest_of_module(module: torch.nn.Module) -> str:
    """Return a digest of a module: of its class, its parts and its weights.

    What its ``forward`` computes is not part of it.

    Parameters
    ----------
    module : torch.nn.Module

    Returns
    -------
    digest : str
    """
    import torch

    kind = f"{type(module).__module__}.{type(module).__qualname__} {module}"
    # As bytes, since numpy has no bfloat16.
    arrays = (
        (
            f"{name} {value.dtype} {tuple(value.shape)}",
            value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy(),
        )
        for name, value in module.state_dict().items()
        if isinstance(value, torch.Tensor)
    )
    return digest_of_settings({"kind": kind, "weights": digest_of_arrays(arrays)})


def digest_of_settings(settings: dict[str, Any]) -> str:
    """Return a digest of what the rows depend on beside their content.

    Parameters
    ----------
    settings : dict
        Of values that JSON can express.

    Returns
    -------
    digest : str
    """
    text = json.dumps(settings, sort_keys=True).encode()
    return hashlib.blake2b(text, digest_size=_N_BYTES).hexdigest()


def versions_of(*packages: str) -> dict[str, str | None]:
    """Return the versions of what the rows depend on.

    Parameters
    ----------
    *packages : str

    Returns
    -------
    versions : dict of str to str or None
        None for a package that is not installed.
    """
    found: dict[str, str | None] = dict.fromkeys(packages)
    for package in packages:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


class RowCache:
    """Rows by the content that they encode, in a folder for each model.

    Parameters
    ----------
    folder : str or path-like
        Made if it does not exist.
    digest : str
        Name of the folder of the model and its settings.

    Attributes
    ----------
    folder : Path
        The folder of the model.
    """

    def __init__(self, folder: str | os.PathLike[str], digest: str) -> None:
        self.folder = Path(folder) / digest
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(
                f"cache={os.fspath(folder)!r} cannot be made a folder: {error}."
            ) from error
        self._new: dict[bytes, NDArray[np.float32]] = {}

    def find(self, keys: Sequence[bytes]) -> dict[bytes, NDArray[np.float32]]:
        """Return the rows that are there.

        Parameters
        ----------
        keys : sequence of bytes

        Returns
        -------
        rows : dict of bytes to ndarray of shape (n_features_out,), dtype float32

        Warns
        -----
        UserWarning
            If a file is damaged; its rows are encoded again.
        """
        wanted = set(keys)
        found: dict[bytes, NDArray[np.float32]] = {}
        for file in sorted(self.folder.glob("*.safetensors")):
            if not wanted:
                break
            for key, row in self._read(file, wanted):
                found[key] = row
                wanted.discard(key)
        return found

    def add(self, key: bytes, row: NDArray[np.float32]) -> None:
        """Keep a row; it is written with others, at the latest by `write`.

        Parameters
        ----------
        key : bytes
        row : ndarray of shape (n_features_out,), dtype float32
        """
        self._new[key] = row
        if len(self._new) >= _ROWS_PER_FILE:
            self.write()

    def write(self) -> None:
        """Write the rows that are not yet in a file.

        Warns
        -----
        UserWarning
            If the folder cannot be written to, since the rows are right all the same.
        """
        if not self._new:
            return
        keys = np.frombuffer(b"".join(self._new), np.uint8).reshape(-1, _N_BYTES)
        content = save({"keys": keys, "rows": np.stack(list(self._new.values()))})
        # The same rows have the same name: two programs write one file.
        name = hashlib.blake2b(content, digest_size=_N_BYTES).hexdigest()
        try:
            with written_in_one_step(self.folder / f"{name}.safetensors") as draft:
                draft.write_bytes(content)
        except OSError as error:
            warn_user(
                f"{len(keys)} rows cannot be kept in the cache, and will be encoded "
                f"again: {error}."
            )
        self._new = {}

    def _read(self, file, wanted):
        """Return pairs of key and row from a file, of those that are wanted."""
        try:
            with safe_open(file, framework="numpy") as content:
                keys = [key.tobytes() for key in content.get_tensor("keys")]
                places = [i for i, key in enumerate(keys) if key in wanted]
                if not places:
                    return []
                rows = content.get_tensor("rows")
        except (SafetensorError, OSError, ValueError, TypeError) as error:
            warn_user(
                f"{os.fspath(file)!r} in the cache cannot be read ({error}); its rows "
                "are encoded again. Delete it."
            )
            return []
        if rows.dtype != np.float32 or rows.ndim != 2 or len(rows) != len(keys):
            warn_user(
                f"{os.fspath(file)!r} in the cache holds no rows by keys; they are "
                "encoded again. Delete it."
            )
            return []
        return [(keys[i], rows[i].copy()) for i in places]
