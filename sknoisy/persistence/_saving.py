"""The public functions `save` and `load`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sklearn.base import BaseEstimator

from sknoisy._versions import differing_versions, installed_versions
from sknoisy._warning import warn_user
from sknoisy.persistence._allowed import find_names
from sknoisy.persistence._decode import Decoder
from sknoisy.persistence._encode import Encoder
from sknoisy.persistence._format import read_file, write_file

if TYPE_CHECKING:
    from sknoisy._types import Estimator

__all__ = ["load", "save"]


def save(estimator: Estimator, path: Path) -> None:
    """Store an estimator, fitted or not, in a file that cannot run code.

    All values are checked before the file is touched, and the file is replaced
    atomically: it always has the old or the new content.

    Parameters
    ----------
    estimator : estimator
        From this package, skorch or scikit-learn, for example a pipeline.
    path : str or path-like
        File to write. The folder must exist.

    Raises
    ------
    TypeError
        If ``estimator`` is not an estimator, or ``path`` is not a path.
    ValueError
        If a part of it cannot be stored, or could not be checked on loading; the error
        names the part. Also if the folder does not exist, or ``path`` exists and is not
        a regular file.

    See Also
    --------
    load : Load the estimator again.

    Notes
    -----
    ``cache``, ``checkpoint``, ``memory``, ``torch_load_kwargs`` and the compiler's
    options are stored as None wherever they occur: with them, the next fit would write
    to a folder, unpickle a file or run a program. A compiled network is stored as it
    was before compilation. An existing file keeps its permissions; a device or a FIFO
    is not replaced. An encoder stores the name of its model, not the model.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_iris
    >>> from sknoisy import NetClassifier, load, save
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = NetClassifier(max_epochs=5, random_state=0).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(clf, Path(folder) / "model.sknoisy")
    ...     again = load(Path(folder) / "model.sknoisy")
    >>> bool((again.predict(X) == clf.predict(X)).all())
    True
    """
    if not isinstance(estimator, BaseEstimator):
        raise TypeError(
            f"estimator must be an estimator; got {type(estimator).__name__}."
        )
    path, encoder = _path(path), Encoder()
    with encoder.below(type(estimator).__name__):
        try:
            root = encoder.encode(estimator)
        except RecursionError:
            raise ValueError(
                f"{type(estimator).__name__} cannot be saved: its values are nested "
                "too deeply, or a list contains itself."
            ) from None
    manifest = {
        "versions": installed_versions(),
        "names": sorted(encoder.names),
        "estimator": root,
        "objects": encoder.objects,
    }
    write_file(path, manifest, encoder.arrays)


def load(path: Path, *, known: Sequence[Any] = ()) -> Estimator:
    """Return the estimator that `save` has stored.

    Only classes of this package and selected ones of scikit-learn, torch and skorch are
    instantiated. Names in the file are looked up among these, and never imported.

    Parameters
    ----------
    path : str or path-like
        File that `save` has written.
    known : list of classes and functions, default=()
        What else the file may name: your own networks, views and callables, and classes
        of other packages. They are trusted, with the attributes that the file sets on
        their objects.

    Returns
    -------
    estimator : estimator
        Predicts, transforms and continues training like the saved one. Tensors that
        were on a CUDA device are placed on one if available, else on the CPU.

    Raises
    ------
    OSError
        If the file does not exist or cannot be read.
    TypeError
        If ``known`` holds anything other than classes and functions, or ``path`` is
        not a path.
    ValueError
        If the file is damaged, was not written by `save`, is not a regular file or has
        a newer format; or if it names a class or function that is neither allowed nor
        in ``known``, or sets attributes that no fit sets.

    Warns
    -----
    UserWarning
        If it was saved under other versions of the packages: it may predict
        differently.

    See Also
    --------
    save : Store an estimator.

    Notes
    -----
    The checksum in the file detects accidental damage. It is not a signature: anyone
    able to write the file can also write a valid checksum, and choose what the
    estimator predicts.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sknoisy import AUMDetector, load, save
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(AUMDetector(max_epochs=7), Path(folder) / "detector.sknoisy")
    ...     load(Path(folder) / "detector.sknoisy")
    AUMDetector(max_epochs=7)
    """
    path, known = _path(path), list(known)
    try:
        manifest, arrays = read_file(path)
        found = find_names(_listed(manifest, "names"), known)
        decoder = Decoder(arrays, found, known)
        estimator = decoder.run(_listed(manifest, "objects"), manifest.get("estimator"))
        versions = _saved_versions(manifest)
    except OSError:
        raise
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)!r} cannot be loaded: {error}") from error
    # Errors in `known` come from the caller; any other TypeError comes from the file.
    except TypeError as error:
        if str(error).startswith("known "):
            raise
        raise _damaged(path, error) from error
    # A modified file can raise any error: wrong keys, overflows, deep nesting.
    except Exception as error:
        raise _damaged(path, error) from error
    _warn_of_versions(path, versions)
    return estimator


def _damaged(path, error):
    return ValueError(
        f"{os.fspath(path)!r} cannot be loaded: it is damaged "
        f"({type(error).__name__}: {str(error)[:200]!a})."
    )


def _listed(manifest, name):
    values = manifest.get(name)
    if not isinstance(values, list):
        raise ValueError(f"its manifest has no {name}.")
    if name == "names" and not all(isinstance(value, str) for value in values):
        raise ValueError("its names must be strings.")
    return values


def _saved_versions(manifest):
    versions = manifest.get("versions")
    if not isinstance(versions, dict):
        raise ValueError("its manifest has no versions.")
    return versions


def _warn_of_versions(path, saved):
    differ = differing_versions(saved)
    if differ:
        warn_user(
            f"{os.fspath(path)!r} was saved with {differ}; it may predict "
            "differently. If that matters, fit it again.",
            UserWarning,
        )


def _path(path):
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path must be a string or path-like; got {path!r}.")
    return Path(path)
