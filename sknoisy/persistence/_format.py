"""The file: named arrays and a manifest in JSON, in the safetensors format."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from sknoisy._regular_files import check_replaceable, written_in_one_step

__all__ = ["FORMAT_VERSION", "read_file", "write_file"]

FORMAT_VERSION = 1
_STAMP = "sknoisy"
# An array like the others: the header of safetensors is limited to 100 MB.
_MANIFEST = "manifest"
# safetensors' own bound on the header.
_MAX_HEADER = 100_000_000


def write_file(
    path: Path, manifest: dict[str, Any], arrays: dict[str, np.ndarray]
) -> None:
    """Write a manifest and arrays; the file is replaced in one step.

    Parameters
    ----------
    path : Path
    manifest : dict
        What JSON can hold.
    arrays : dict of str to ndarray
        C-contiguous, of numbers or bools.

    Raises
    ------
    ValueError
        If the path cannot be a file, or the arrays are too many.
    """
    check_replaceable(path)
    text = json.dumps(manifest, allow_nan=False, separators=(",", ":"))
    arrays = {**arrays, _MANIFEST: np.frombuffer(text.encode(), np.uint8)}
    # One entry: safetensors puts several in any order.
    metadata = {_STAMP: f"{FORMAT_VERSION} {_checksum(arrays)}"}
    try:
        content = safetensors.numpy.save(arrays, metadata)
    except safetensors.SafetensorError as error:
        raise ValueError(f"path {str(path)!r} cannot be written: {error}.") from error
    with written_in_one_step(path) as draft:
        draft.write_bytes(content)


def read_file(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read a manifest and arrays, and check that nothing has changed.

    Parameters
    ----------
    path : Path

    Returns
    -------
    manifest : dict
    arrays : dict of str to ndarray
        Read-only.

    Raises
    ------
    OSError
        If there is no such file.
    ValueError
        If it is not of this format, of a newer version of it, or damaged.
    """
    content = path.read_bytes()
    checksum = _checksum_of_header(content)
    try:
        arrays = safetensors.numpy.load(content)
    # A dtype that numpy lacks is a KeyError or a TypeError there.
    except (safetensors.SafetensorError, KeyError, TypeError) as error:
        raise ValueError(f"it is damaged ({error}).") from error
    if checksum != _checksum(arrays):
        raise ValueError("it is damaged: its content does not match its checksum.")
    manifest = arrays.pop(_MANIFEST, None)
    if manifest is None or manifest.dtype != np.uint8:
        raise ValueError("it holds no manifest.")
    return _parse(manifest.tobytes()), arrays


def _checksum_of_header(content: bytes) -> str:
    """Return the checksum that the header names, if the format is ours to read."""
    size = int.from_bytes(content[:8], "little")
    if len(content) < 8 or not 2 <= size <= min(len(content) - 8, _MAX_HEADER):
        raise ValueError("it is truncated, or was not written by sknoisy.save.")
    metadata = _parse(content[8 : 8 + size]).get("__metadata__")
    stamp = metadata.get(_STAMP) if isinstance(metadata, dict) else None
    if not isinstance(stamp, str):
        raise ValueError("it was not written by sknoisy.save.")
    version, _, checksum = stamp.partition(" ")
    if version != str(FORMAT_VERSION):
        raise ValueError(
            f"it has version {version:.40} of the format, and this version of sknoisy "
            f"reads version {FORMAT_VERSION}: upgrade sknoisy."
        )
    return checksum


def _parse(text: bytes) -> dict[str, Any]:
    """Return a JSON object; names that occur twice and NaN are refused."""
    try:
        value = json.loads(
            text.decode(), object_pairs_hook=_without_duplicates, parse_constant=_refuse
        )
    except RecursionError:
        raise ValueError("its JSON is nested too deeply.") from None
    except ValueError as error:
        raise ValueError(f"its JSON cannot be read ({error}).") from error
    if not isinstance(value, dict):
        raise ValueError("its JSON is no object.")
    return value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name occurs twice")
    return found


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _checksum(arrays: dict[str, np.ndarray]) -> str:
    """Return the SHA-256 of names, dtypes, shapes and bytes, in the order of names."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        line = f"{name} {array.dtype} {list(array.shape)}\n"
        # A name from a file may hold halves of a character.
        digest.update(line.encode(errors="surrogatepass"))
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
