"""The file format: safetensors with named arrays and a JSON manifest."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from sknoisy._regular_files import (
    check_replaceable,
    open_regular,
    written_in_one_step,
)

__all__ = ["FORMAT_VERSION", "read_file", "write_file"]

FORMAT_VERSION = 1
_STAMP = "sknoisy"
# Stored as an array, since the header of safetensors is limited to 100 MB.
_MANIFEST = "manifest"
# safetensors' limit of the header.
_MAX_HEADER = 100_000_000
# Parsed, the manifest takes about 20 times as much memory.
_MAX_MANIFEST = 1 << 27
_MAX_DEPTH = 200
_CHUNK = 1 << 18


def write_file(
    path: Path, manifest: dict[str, Any], arrays: dict[str, np.ndarray]
) -> None:
    """Write a manifest and arrays; the file is replaced atomically.

    Parameters
    ----------
    path : Path
    manifest : dict
        Must be serialisable as JSON.
    arrays : dict of str to ndarray
        C-contiguous arrays of numbers or bools.

    Raises
    ------
    ValueError
        If the path cannot be a file, there are too many arrays, or the manifest is too
        large or too deeply nested to be read again.
    """
    check_replaceable(path)
    text = json.dumps(manifest, allow_nan=False, separators=(",", ":"))
    encoded = text.encode()
    try:
        _check_size_and_depth(encoded)
    except ValueError as error:
        raise ValueError(f"path {str(path)!r} cannot be written: {error}") from error
    arrays = {**arrays, _MANIFEST: np.frombuffer(encoded, np.uint8)}
    # A single entry, since safetensors does not keep the order of several.
    metadata = {_STAMP: f"{FORMAT_VERSION} {_checksum(arrays)}"}
    try:
        content = safetensors.numpy.save(arrays, metadata)
    except safetensors.SafetensorError as error:
        raise ValueError(f"path {str(path)!r} cannot be written: {error}.") from error
    with written_in_one_step(path) as draft:
        draft.write_bytes(content)


def read_file(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read a manifest and arrays, and verify the checksum.

    Parameters
    ----------
    path : Path

    Returns
    -------
    manifest : dict
    arrays : dict of str to ndarray
        Read-only arrays by name.

    Raises
    ------
    OSError
        If the file does not exist or cannot be read.
    ValueError
        If it is not a regular file, has another format or a newer version of this one,
        or is damaged.
    """
    content = _read_bytes(path)
    checksum = _checksum_of_header(content)
    try:
        arrays = safetensors.numpy.load(content)
    # safetensors raises KeyError or TypeError for dtypes that numpy lacks.
    except (safetensors.SafetensorError, KeyError, TypeError) as error:
        raise ValueError(f"it is damaged ({error}).") from error
    if checksum != _checksum(arrays):
        raise ValueError("it is damaged: its content does not match its checksum.")
    manifest = arrays.pop(_MANIFEST, None)
    if manifest is None or manifest.dtype != np.uint8:
        raise ValueError("it has no manifest.")
    return _parse(manifest.tobytes()), arrays


def _read_bytes(path: Path) -> bytes:
    """Return the content of a file whose length must match its header."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(8)
        n_header = int.from_bytes(start, "little")
        if len(start) < 8 or not 2 <= n_header <= min(size - 8, _MAX_HEADER):
            raise ValueError("it is truncated, or was not written by sknoisy.save.")
        header = file.read(n_header)
        _checksum_of_header(start + header)
        # The rest is read only if the format and the length are right.
        ends = [
            entry["data_offsets"][1]
            for name, entry in _parse(header).items()
            if name != "__metadata__"
        ]
        if 8 + n_header + max(ends, default=0) != size:
            raise ValueError(
                "it is damaged: its length differs from the one in its header."
            )
        return start + header + file.read(size - 8 - n_header)


def _checksum_of_header(content: bytes) -> str:
    """Return the checksum in the header; check the format and its version."""
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
            f"it has version {version:.40} of the format, but this version of sknoisy "
            f"reads version {FORMAT_VERSION}; upgrade sknoisy."
        )
    return checksum


def _parse(text: bytes) -> dict[str, Any]:
    """Return a JSON object; duplicate names, NaN and infinity are refused."""
    _check_size_and_depth(text)
    try:
        value = json.loads(
            text.decode(), object_pairs_hook=_without_duplicates, parse_constant=_refuse
        )
    except RecursionError:
        raise ValueError("its JSON is nested too deeply.") from None
    except ValueError as error:
        raise ValueError(f"its JSON cannot be read ({error}).") from error
    if not isinstance(value, dict):
        raise ValueError("its JSON must be an object.")
    return value


def _check_size_and_depth(text: bytes) -> None:
    """Refuse JSON that would take much memory, or exhaust the stack of the parser."""
    if len(text) > _MAX_MANIFEST:
        raise ValueError(
            f"its JSON has {len(text)} bytes; at most {_MAX_MANIFEST} are allowed."
        )
    depth, in_string, n_backslashes = 0, False, 0
    for start in range(0, len(text), _CHUNK):
        letters = np.frombuffer(text[start : start + _CHUNK], np.uint8)
        inside, n_backslashes = _inside_strings(letters, in_string, n_backslashes)
        in_string = bool(inside[-1])
        opens = (letters == ord("[")) | (letters == ord("{"))
        closes = (letters == ord("]")) | (letters == ord("}"))
        steps = np.where(inside, 0, opens.astype(np.int8) - closes.astype(np.int8))
        depths = depth + np.cumsum(steps, dtype=np.int32)
        if depths.max() > _MAX_DEPTH:
            raise ValueError("its JSON is nested too deeply.")
        depth = int(depths[-1])


def _inside_strings(
    letters: np.ndarray, in_string: bool, n_backslashes: int
) -> tuple[np.ndarray, int]:
    """Return which bytes are in strings, and the number of backslashes at the end.

    The other arguments are the state at the start. A quote after an odd number of
    backslashes is escaped.
    """
    place = np.arange(len(letters), dtype=np.int32)
    # Place of the last byte that is not a backslash, up to and including each byte.
    other = np.where(letters == ord("\\"), np.int32(-1 - n_backslashes), place)
    other = np.maximum.accumulate(other)
    before = np.append(np.int32(-1 - n_backslashes), other[:-1])
    is_escaped = (place - 1 - before) % 2 == 1
    quotes = (letters == ord('"')) & ~is_escaped
    inside = (np.cumsum(quotes, dtype=np.int32) + in_string) % 2 == 1
    return inside, int(len(letters) - 1 - other[-1])


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
        # A name from a file may hold lone surrogates.
        digest.update(line.encode(errors="surrogatepass"))
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
