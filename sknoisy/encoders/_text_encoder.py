"""A transformer from texts to rows of numbers."""

from __future__ import annotations

import os
from collections.abc import Callable
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator

from sknoisy._parameters import check_parameters
from sknoisy._progress import progress
from sknoisy._rows import is_frame
from sknoisy._validation import HasMethods, Interval, StrOptions
from sknoisy._warning import warn_user
from sknoisy.encoders._encoder import EncoderMixin, fill_rows
from sknoisy.encoders._row_cache import (
    RowCache,
    digest_of_settings,
    row_key,
    versions_of,
)
from sknoisy.encoders._text_models import load_text_model

if TYPE_CHECKING:
    import torch

    from sknoisy._types import FloatArray

__all__ = ["TextEncoder"]

_N_SHOWN = 5


class TextEncoder(EncoderMixin, BaseEstimator):
    """Rows of numbers from texts, by a pretrained model.

    Parameters
    ----------
    model : str, object or callable
        - "sentence-transformers:NAME" or "model2vec:NAME", the name of a model on
          Hugging Face or the path of its folder. Code in that folder is not run.
        - "wordllama", the mean of the vectors of tokens, which come with the package;
          256 features, for English.
        - An object with ``encode(texts)``, such as a SentenceTransformer, or a
          function: from a list of str to an array of shape (n_texts, n_features).
    download : bool, default=False
        Whether a model that is not there is fetched from the internet.
    batch_size : int >= 1, default=64
        Texts at a time. Rows of the same text in batches of other sizes may differ by
        rounding.
    device : str, torch.device or None, default=None
        Of sentence-transformers. None selects CUDA if available, else the CPU.
    amp : "auto" or bool, default="auto"
        Half precision, of sentence-transformers: "auto" on CUDA only, float16; with
        True bfloat16 on a CPU, too.
    on_error : {"raise", "nan"}, default="raise"
        What becomes of a text that is missing or empty: an error with its number, or a
        row of NaN and a warning.
    cache : path-like, default=None
        Folder in which rows are kept, to be found again by the text, the model and all
        that changes the rows.
    cache_id : str, default=None
        Stands for a function in the cache, as its content cannot be known. Change it
        if the function changes.
    verbose : int, default=0
        1 shows a progress bar.

    Attributes
    ----------
    n_features_out_ : int
        Number of features.

    See Also
    --------
    ImageEncoder : The same for images.
    AutoNoiseDetector : Takes texts in frames, by the runs of characters in them.

    Notes
    -----
    Texts are encoded by length, the longest first, so that a batch needs little
    padding. Models cut long texts, often after 256 or 512 tokens. wordllama does not.

    Examples
    --------
    >>> from sknoisy import TextEncoder
    >>> def lengths(texts):
    ...     return [[len(text), text.count(" ")] for text in texts]
    >>> TextEncoder(lengths).fit_transform(["a text", "another short text"])
    array([[ 6.,  1.],
           [18.,  2.]], dtype=float32)
    """

    _parameter_constraints = {
        "model": [str, HasMethods(["encode"]), callable],
        "download": ["boolean"],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "device": "no_validation",
        "amp": [StrOptions({"auto"}), "boolean"],
        "on_error": [StrOptions({"raise", "nan"})],
        "cache": [str, os.PathLike, None],
        "cache_id": [str, None],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        model: str | Callable[[list[str]], Any] | Any,
        *,
        download: bool = False,
        batch_size: int = 64,
        device: str | torch.device | None = None,
        amp: Literal["auto"] | bool = "auto",
        on_error: Literal["raise", "nan"] = "raise",
        cache: str | os.PathLike[str] | None = None,
        cache_id: str | None = None,
        verbose: int = 0,
    ) -> None:
        self.model = model
        self.download = download
        self.batch_size = batch_size
        self.device = device
        self.amp = amp
        self.on_error = on_error
        self.cache = cache
        self.cache_id = cache_id
        self.verbose = verbose

    def transform(self, X: Any) -> FloatArray:
        """Encode texts.

        Parameters
        ----------
        X : list, array or Series of str, or frame with one column
            Texts.

        Returns
        -------
        rows : ndarray of shape (n_samples, n_features_out), dtype float32
            One row for each text.

        Raises
        ------
        ImportError
            If a package is missing; with the line that installs it.
        TypeError, ValueError
            If X holds something else than texts, or one is missing or empty; with its
            number.
        """
        return self._rows(X)

    def _first_row(self, X):
        texts, index, _, model = self._begin(X)
        return _checked(model.run([texts[index[0]]]), 1)

    def _rows(self, X):
        texts, index, lost, model = self._begin(X)
        caches, keys = [], None
        if self.cache is not None:
            caches = [self._cache_of(model)]
            wanted = set(index)
            keys = [
                row_key("text", text.encode("utf-8", "surrogatepass"))
                if i in wanted
                else None
                for i, text in enumerate(texts)
            ]
        name = type(self).__name__
        with progress(len(texts), name, self.verbose, unit="text") as bar:

            def compute(todo):
                # Missing texts have no key, and are to be computed, but cannot.
                todo = [i for i in todo if isinstance(texts[i], str) and texts[i]]
                todo.sort(key=lambda i: -len(texts[i]))
                bar.advance(len(texts) - len(todo))
                for start in range(0, len(todo), self.batch_size):
                    part = todo[start : start + self.batch_size]
                    rows = model.run([texts[i] for i in part])
                    yield part, [_checked(rows, len(part))]
                    bar.advance(len(part))

            (rows,) = fill_rows(len(texts), keys, caches, compute)
        _warn_of_missing(lost, len(texts))
        return rows

    def _begin(self, X):
        """Check everything; return texts, which are there and not, and the model."""
        check_parameters(self)
        texts = _texts_of(X)
        lost = [i for i, text in enumerate(texts) if _is_missing(text)]
        _refuse_others(texts, lost)
        if lost and self.on_error == "raise":
            raise ValueError(_what_is_missing(texts, lost))
        index = sorted({*range(len(texts))} - {*lost})
        if not index:
            raise ValueError(f"all {len(texts)} texts are missing or empty.")
        for i in lost:
            texts[i] = ""
        return texts, index, lost, self._load()

    def _load(self):
        params = {
            "download": self.download,
            "batch_size": self.batch_size,
            "device": self.device,
            "amp": self.amp,
        }
        asked = (self.model, *map(str, params.values()))
        loaded = getattr(self, "_loaded", None)
        if isinstance(self.model, str) and loaded is not None and loaded[0] == asked:
            return loaded[1]
        model = load_text_model(self.model, **params)
        if isinstance(self.model, str):
            self._loaded = asked, model
        return model

    def _cache_of(self, model):
        if model.digest is None and self.cache_id is None:
            raise ValueError(
                "cache= cannot know the content of model, a function: give a "
                "cache_id= that stands for it."
            )
        settings = {
            "model": self.model if isinstance(self.model, str) else "",
            "content": model.digest() if model.digest else "",
            "cache_id": self.cache_id,
            "versions": versions_of(*model.packages),
            "precision": model.precision,
        }
        return RowCache(self.cache, digest_of_settings(settings))


def _texts_of(X):
    """Return the texts of X as a list."""
    n_dims = len(getattr(X, "shape", ()))
    if is_frame(X):
        if len(X.columns) != 1:
            raise ValueError(
                f"X is a frame with {len(X.columns)} columns; pass one of them, for "
                "example X['text']."
            )
        X = X[X.columns[0]]
    elif n_dims > 2 or (n_dims == 2 and X.shape[1] != 1):
        raise ValueError(
            f"X has {n_dims} dimensions, shape {tuple(X.shape)}; TextEncoder takes one "
            "column of texts."
        )
    elif n_dims == 2:
        X = np.asarray(X)[:, 0]
    elif isinstance(X, str | bytes):
        raise TypeError(f"X is {X!r:.60}, one text; pass a list of texts.")
    if isinstance(X, dict | set) or not hasattr(X, "__len__"):
        raise TypeError(f"X is a {type(X).__name__}; pass a list of texts.")
    texts = X.to_list() if hasattr(X, "to_list") else list(X)
    if not texts:
        raise ValueError("X holds no texts.")
    return [str(text) if isinstance(text, np.str_) else text for text in texts]


def _is_missing(text):
    is_nan = isinstance(text, float) and text != text
    is_na = text is None or is_nan or type(text).__name__ in ("NAType", "NaTType")
    return is_na or (isinstance(text, str) and not text.strip())


def _refuse_others(texts, lost):
    known = set(lost)
    for i, text in enumerate(texts):
        if i not in known and not isinstance(text, str):
            hint = "; pass text.decode()" if isinstance(text, bytes) else ""
            raise TypeError(
                f"text {i} is {text!r:.60}, a {type(text).__name__}, not a string"
                f"{hint}."
            )


def _what_is_missing(texts, lost):
    kind = "empty" if isinstance(texts[lost[0]], str) else "missing"
    return (
        f"text {lost[0]} is {kind}: {texts[lost[0]]!r:.60}; {len(lost)} of "
        f"{len(texts)} are missing or empty. Leave them out, or pass on_error='nan', "
        "which makes rows of NaN of them."
    )


def _warn_of_missing(lost, n_texts):
    if lost:
        shown = ", ".join(map(str, lost[:_N_SHOWN]))
        more = ", ..." if len(lost) > _N_SHOWN else ""
        warn_user(
            f"{len(lost)} of {n_texts} texts are missing or empty; their rows are NaN: "
            f"{shown}{more}."
        )


def _checked(rows, n_texts):
    """Return what a model says as rows of float32."""
    if issparse(rows):
        raise ValueError(
            "model returns a sparse matrix; put a TruncatedSVD behind it, or return "
            ".toarray()."
        )
    if hasattr(rows, "detach"):
        rows = rows.detach().float().cpu().numpy()
    rows = np.asarray(rows)
    if rows.dtype.kind not in "iufb" or rows.ndim != 2 or len(rows) != n_texts:
        raise ValueError(
            f"model returns {rows.dtype} of shape {rows.shape} for {n_texts} texts; it "
            "must return numbers of shape (n_texts, n_features)."
        )
    rows = rows.astype(np.float32)
    if not np.isfinite(rows).all():
        raise ValueError("model returns NaN or infinity for a text.")
    return rows
