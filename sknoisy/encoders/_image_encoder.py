"""A transformer from images to rows of numbers."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from sklearn.base import BaseEstimator

from sknoisy._parameters import N_JOBS, check_parameters
from sknoisy._progress import progress
from sknoisy._validation import Interval, StrOptions
from sknoisy._warning import warn_user
from sknoisy.encoders._encoder import EncoderMixin, device_of, fill_rows
from sknoisy.encoders._image_batches import ImageRows, decoded_batches, in_threads
from sknoisy.encoders._image_models import load_image_model
from sknoisy.encoders._image_source import ImageSource
from sknoisy.encoders._row_cache import RowCache, digest_of_settings, versions_of

if TYPE_CHECKING:
    import torch

    from sknoisy._types import FloatArray

__all__ = ["ImageEncoder"]

_N_SHOWN = 5


class ImageEncoder(EncoderMixin, BaseEstimator):
    """Rows of numbers from images, by a pretrained network.

    On a CPU, wrong labels are found in these rows within seconds, where a network that
    learns from pixels takes hours.

    Parameters
    ----------
    model : str, torch module or callable
        - "efficientnet-lite0", with the weights of ImageNet that come with the package;
          1,280 features.
        - "timm:NAME" or "torchvision:NAME", with the default weights of that library,
          before the last layer. It must be installed, and is no extra: pip may replace
          your torch by another build with it.
        - A module, of which a copy is used in evaluation mode, or a function. It gets a
          float Tensor of shape (n, 3, height, width) on the device, and returns a
          Tensor (n, n_features), or maps (n, n_features, h, w), whose mean is taken.
    image_size : int >= 1, default=None
        Height and width to which images are resized, by Pillow, bicubic. None is the
        size that a network by name was trained with; for your own, images are as they
        are and need one size.
    resize : {"crop", "squash"}, default="crop"
        What becomes of images that are not square. "crop" keeps the middle, as
        networks are trained; "squash" keeps all, and changes the proportions.
    second_view : "flip" or callable, default="flip"
        The second view of `transform_views`. "flip" mirrors left and right. A function
        gets the images of a batch as a float Tensor in [0, 1].
    weights : path-like, default=None
        File of weights for a network by name, of safetensors or of torch (which is
        read without running code). None takes those in the cache of the library.
    download : bool, default=False
        Whether weights that are not there are fetched from the internet.
    mean, std : sequence of 3 floats, default=None
        Of red, green and blue in [0, 1]; images are standardised by them. None is what
        a network by name was trained with, 0 and 1 for your own.
    batch_size : int >= 1, default=32
        Images at a time; more keep a GPU busier, fewer fit in the caches of a CPU. Rows
        of the same image in batches of other sizes differ by rounding.
    device : str, torch.device or None, default=None
        None selects CUDA if available, else the CPU.
    amp : "auto" or bool, default="auto"
        Half precision: "auto" on CUDA only, float16; with True bfloat16 on a CPU, too,
        whose 8 bits change the rows visibly. Batches beyond the range of float16 are
        computed in float32.
    n_jobs : int or None, default=None
        Threads that read and resize images, the next batch ahead of the network. None
        is 1; -1 is all processors.
    on_error : {"raise", "nan"}, default="raise"
        What becomes of an image that is missing or damaged: an error with its number
        and path, or a row of NaN and a warning.
    cache : path-like, default=None
        Folder in which rows are kept, to be found again by the content of the image,
        the weights and all that changes the rows.
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
    TextEncoder : The same for texts.
    NeighborVoteDetector : Judges labels by the neighbours of such rows.
    ConfidentLearningDetector : Judges labels by a regression on such rows.

    Notes
    -----
    Images become RGB: grey ones by repetition, 16 bits by dividing by 257, what is
    transparent becomes white. They are turned as their Exif orientation says. Of
    several frames the first counts. Large JPEG files are decoded at a fraction of
    their size, at least twice ``image_size``.

    In an array (n_samples, a, b, c), the channels are the axis of length 1, 3 or 4: a
    if it is one, else c. Floats must be in [0, 1] and are rounded to bytes, so that the
    same picture gives the same row as an array and as a file.

    The network is loaded when it is used first, and is not part of a pickle if it is
    given by name. No gradient is computed, and no random number drawn from the global
    generators.

    Examples
    --------
    >>> import numpy as np
    >>> from torch import nn
    >>> from sknoisy import ImageEncoder
    >>> rng = np.random.default_rng(0)
    >>> images = rng.integers(0, 256, (10, 32, 32, 3), dtype=np.uint8)
    >>> maps = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU())
    >>> ImageEncoder(maps).fit_transform(images).shape
    (10, 8)
    """

    _parameter_constraints = {
        "model": [str, callable],
        "image_size": [Interval(Integral, 1, None, closed="left"), None],
        "resize": [StrOptions({"crop", "squash"})],
        "second_view": [StrOptions({"flip"}), callable],
        "weights": [str, os.PathLike, None],
        "download": ["boolean"],
        "mean": ["array-like", None],
        "std": ["array-like", None],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "device": "no_validation",
        "amp": [StrOptions({"auto"}), "boolean"],
        "n_jobs": N_JOBS,
        "on_error": [StrOptions({"raise", "nan"})],
        "cache": [str, os.PathLike, None],
        "cache_id": [str, None],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        model: str | Callable[..., Any],
        *,
        image_size: int | None = None,
        resize: Literal["crop", "squash"] = "crop",
        second_view: Literal["flip"] | Callable[..., Any] = "flip",
        weights: str | os.PathLike[str] | None = None,
        download: bool = False,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        batch_size: int = 32,
        device: str | torch.device | None = None,
        amp: Literal["auto"] | bool = "auto",
        n_jobs: int | None = None,
        on_error: Literal["raise", "nan"] = "raise",
        cache: str | os.PathLike[str] | None = None,
        cache_id: str | None = None,
        verbose: int = 0,
    ) -> None:
        self.model = model
        self.image_size = image_size
        self.resize = resize
        self.second_view = second_view
        self.weights = weights
        self.download = download
        self.mean = mean
        self.std = std
        self.batch_size = batch_size
        self.device = device
        self.amp = amp
        self.n_jobs = n_jobs
        self.on_error = on_error
        self.cache = cache
        self.cache_id = cache_id
        self.verbose = verbose

    def transform(self, X: Any) -> FloatArray:
        """Encode images.

        Parameters
        ----------
        X : list, array, tensor, Series, folder or data set
            Images: paths, bytes of files, PIL images, arrays or tensors in a list, an
            object array, a Series or the only column of a frame; an array (n_samples,
            channels, height, width), with the channels first or last, or (n_samples,
            height, width); the path of a folder, whose files are taken with those of
            its subfolders, sorted; or an object with a length and ``fetch(index)`` or
            ``[i]``, such as a Dataset of torch, whose labels are not used.

        Returns
        -------
        rows : ndarray of shape (n_samples, n_features_out), dtype float32
            One row for each image.

        Raises
        ------
        ImportError
            If a package is missing; with the line that installs it.
        TypeError, ValueError
            If X holds no images, or one cannot be read; with its number and path.
        """
        return self._rows(X)

    def transform_views(self, X: Any) -> tuple[FloatArray, FloatArray]:
        """Encode images and their second views in one pass, in which each is read once.

        Parameters
        ----------
        X : object
            As for `transform`.

        Returns
        -------
        rows, second : ndarray of shape (n_samples, n_features_out), dtype float32
            As by `transform`, and of the second views, for example for ``X_copy`` of
            `DynaCorDetector.fit`.
        """
        rows, second = self._encoded(X, (None, self.second_view))
        return rows, second

    def _rows(self, X):
        return self._encoded(X, (None,))[0]

    def _first_row(self, X):
        source, encode, _ = self._begin(X)
        for read, _, pixels in self._batches(source, encode, range(len(source)), 1):
            if read:
                return encode(pixels)
        raise _none_readable(source)

    def _encoded(self, X, views):
        """Return the rows of each view."""
        source, encode, weights_of = self._begin(X)
        caches, keys = [], None
        if self.cache is not None:
            caches = [self._cache_of(encode, weights_of, view) for view in views]
            keys = in_threads(source.key, range(len(source)), self.n_jobs)
        name = type(self).__name__
        with progress(len(source), name, self.verbose, unit="image") as bar:

            def compute(index):
                bar.advance(len(source) - len(index))
                size = self.batch_size
                for read, lost, pixels in self._batches(source, encode, index, size):
                    if read:
                        yield read, [encode(pixels, view) for view in views]
                    bar.advance(len(read) + len(lost))

            found = fill_rows(len(source), keys, caches, compute, len(views))
        if found[0] is None:
            raise _none_readable(source)
        _warn_of_unreadable(np.flatnonzero(np.isnan(found[0][:, 0])), len(source))
        return found

    def _begin(self, X):
        """Check everything; return images, what encodes them, and its digest."""
        check_parameters(self)
        self._check_values()
        source = ImageSource(X)
        if self.on_error == "raise":
            source.refuse_missing_files()
        return source, *self._load()

    def _batches(self, source, encode, index, batch_size):
        return decoded_batches(
            source,
            index,
            batch_size=batch_size,
            size=self.image_size or encode.model.image_size,
            resize=self.resize,
            n_jobs=self.n_jobs,
            on_error=self.on_error,
        )

    def _check_values(self):
        for name in ("mean", "std"):
            value = getattr(self, name)
            if value is not None and np.shape(value) != (3,):
                raise ValueError(f"{name} must hold 3 numbers; got {value!r}.")
        if self.std is not None and not np.all(np.asarray(self.std) > 0):
            raise ValueError(f"std must be above 0; got {self.std!r}.")

    def _load(self):
        """Return what encodes pixels, and a function that returns its digest."""
        from sknoisy.nets._device import isolated_rng

        device = device_of(self.device)
        asked = (
            *(self.model, self.image_size, self.weights, self.download, str(device)),
            *(self.amp, repr(self.mean), repr(self.std)),
        )
        loaded = getattr(self, "_loaded", None)
        if isinstance(self.model, str) and loaded is not None and loaded[0] == asked:
            return loaded[1:]
        # New networks draw weights before they get those of the file.
        with isolated_rng(device):
            model = load_image_model(
                self.model,
                image_size=self.image_size,
                weights=self.weights,
                download=self.download,
                device=device,
            )
        encode = ImageRows(model, device, self.mean, self.std, self.amp)
        weights_of = _Once(model.digest)
        if isinstance(self.model, str):
            self._loaded = asked, encode, weights_of
        return encode, weights_of

    def _cache_of(self, encode, weights_of, view):
        """Return the cache of a view."""
        is_unknown = encode.model.module is None or callable(view)
        if is_unknown and self.cache_id is None:
            what = "model" if encode.model.module is None else "second_view"
            raise ValueError(
                f"cache= cannot know the content of {what}, a function: give a "
                "cache_id= that stands for it."
            )
        settings = {
            "model": self.model if isinstance(self.model, str) else "",
            "weights": weights_of(),
            "cache_id": self.cache_id,
            "versions": versions_of("torch", "pillow", *encode.model.packages),
            "image_size": self.image_size or encode.model.image_size,
            "resize": self.resize,
            "colours": [encode.mean, encode.std],
            "precision": str(encode.dtype),
            "device": encode.device.type,
            "view": "function" if callable(view) else view,
        }
        return RowCache(self.cache, digest_of_settings(settings))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags


def _none_readable(source):
    return ValueError(f"none of the {len(source)} images can be read.")


def _warn_of_unreadable(lost, n_images):
    if len(lost):
        shown = ", ".join(map(str, lost[:_N_SHOWN]))
        more = ", ..." if len(lost) > _N_SHOWN else ""
        warn_user(
            f"{len(lost)} of {n_images} images cannot be read; their rows are NaN: "
            f"{shown}{more}."
        )


class _Once:
    """A function without arguments that is called once, when it is needed."""

    def __init__(self, function):
        self._function = function
        self._found = None

    def __call__(self):
        if self._found is None:
            self._found = self._function()
        return self._found
