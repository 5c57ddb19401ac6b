"""What users call: save an estimator, load it again."""

import os
from pathlib import Path

from sklearn.base import BaseEstimator

from sknoisy._versions import differing_versions, installed_versions
from sknoisy._warning import warn_user
from sknoisy.persistence._allowed import find_names
from sknoisy.persistence._decode import Decoder
from sknoisy.persistence._encode import Encoder
from sknoisy.persistence._format import read_file, write_file

__all__ = ["load", "save"]


def save(estimator, path):
    """Store an estimator, fitted or not, in a file that cannot run code.

    Everything is looked at before the file is touched, and the file is replaced in one
    step: either the new content is there, or the old one.

    Parameters
    ----------
    estimator : estimator
        One of this package, a skorch net, or one of scikit-learn, a pipeline for
        example.
    path : str or path-like
        File to write. Its folder must exist.

    Raises
    ------
    TypeError
        If it is no estimator, or ``path`` no path.
    ValueError
        If a part of it cannot be stored, or checked when it is read, with its name; or
        if there is no such folder, or something else than a file in it.

    See Also
    --------
    load : The way back.

    Notes
    -----
    ``checkpoint``, ``memory``, ``torch_load_kwargs`` and the compiler's options are
    stored as None, wherever they stand: with them, the next fit would unpickle a file
    or run a program. A compiled network is stored as it was before. The file keeps its
    permissions; a device or a FIFO is not replaced.

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


def load(path, *, known=()):
    """Return the estimator that `save` has stored.

    Only classes of this package and chosen ones of scikit-learn, torch and skorch are
    made. Names in the file are looked up among these, and never imported.

    Parameters
    ----------
    path : str or path-like
        File that `save` has written.
    known : list of classes and functions, default=()
        What else the file may name: networks, views and callables of your own, and
        classes of other packages. They are trusted, with the attributes that the file
        gives to their objects.

    Returns
    -------
    estimator : estimator
        Predicts, transforms and trains on as the one that was saved. Tensors that
        were on CUDA are put there, if there is a device.

    Raises
    ------
    OSError
        If the file is not there.
    TypeError
        If ``known`` holds something else than classes and functions, or ``path`` is
        no path.
    ValueError
        If the file is damaged, of another kind, no regular file or of a newer format;
        or if it names what is neither allowed nor known, or sets what no fit learns.

    Warns
    -----
    UserWarning
        If it was saved under other versions of the packages: it may predict
        differently.

    See Also
    --------
    save : The way there.

    Notes
    -----
    The file has a checksum, which finds accidents. It is no signature: who can write
    the file can write the checksum, and choose what the estimator predicts.

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
    # Only `known` is checked before anything that a file could bring about.
    except TypeError as error:
        if str(error).startswith("known "):
            raise
        raise _damaged(path, error) from error
    # What a changed file leads to has no end: wrong keys, overflows, deep nesting.
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
        raise ValueError("its names are no strings.")
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
            "differently. Where it matters, fit again.",
            UserWarning,
        )


def _path(path):
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path must be a string or path-like; got {path!r}.")
    return Path(path)
